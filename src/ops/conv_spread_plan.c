/* Planning a folded convolution whose runs overlap. */
#include <math.h>

#include "ops/conv_spread.h"

/* Costs in multiply-adds of one vector, found by timing. */
static const double tap_cost = 4;      /* pointing at a cell */
static const double tile_cost = 12;    /* beginning a tile, for each cell */
static const double store_cost = 3;    /* storing a vector of products */
static const double add_cost = 7;      /* and adding it to the output */
static const double line_cost = 50;    /* a line of the output */
static const double finish_cost = 0.5; /* each vector of it: start, clamp and store */

static const double task_multiplications = 1 << 20;
enum {
    wanted_tasks = 32,
    most_weights = 128 * 1024 /* floats of the kernel, all read for each line of cells */
};

static int64_t floor_div(int64_t a, int64_t b)
{
    return a >= 0 ? a / b : -((b - 1 - a) / b);
}

cn__fold_class cn__spread_class(const cn_conv_plan *plan, int axis)
{
    const cn_conv *conv = &plan->conv;
    int64_t stride = conv->stride[axis], before = conv->before[axis];
    int64_t reach = (conv->kernel[axis] - 1) * conv->dilation[axis];
    if (plan->pass == CN_CONV_TRANSPOSE)
        return (cn__fold_class){.first = -before,
                                .members = cn__max(reach + 1, axis == 1 ? stride : 1),
                                .step = stride,
                                .count = conv->in[axis],
                                .cells = 1,
                                .scale = 1};
    /* o * stride + tap - before = cell, for the cells from 0 to stride - 1 */
    int64_t first = -floor_div(reach - before, stride);
    return (cn__fold_class){.first = first,
                            .members = floor_div(stride - 1 + before, stride) - first + 1,
                            .step = 1,
                            .count = cn__ceil_div(conv->in[axis], stride),
                            .cells = stride,
                            .scale = stride};
}

/* Positions of a line that a strip has: equal parts, 0 if there is no room. */
static int64_t positions_of(const cn_conv_plan *plan, const cn__fold_phase *phase)
{
    int64_t room = cn__spread_lines / phase->axis[1]->members - cn__spread_width(plan, phase, 0);
    int64_t most = room / plan->columns, out = plan->conv.out[2];
    if (most < cn__min(out, 4 * phase->axis[2]->members))
        return 0;
    return cn__ceil_div(out, cn__ceil_div(out, most));
}

double cn__spread_cost(const cn_conv_plan *plan, const cn__fold_phase *phase)
{
    const cn__fold_class *const *axis = phase->axis;
    int64_t taps = axis[0]->cells * axis[1]->cells * axis[2]->cells;
    int64_t positions = positions_of(plan, phase);
    int64_t vectors = cn__ceil_div(phase->columns, plan->kernels->lanes);
    int64_t blocks = cn__ceil_div(vectors, cn__widest(plan->kernels));
    int64_t rows = plan->kernels->rows[cn__ceil_div(vectors, blocks)];
    if (axis[0]->members != 1 || positions == 0 || taps * rows > cn__most_pointers ||
        taps * plan->depth * vectors * plan->kernels->lanes > most_weights)
        return HUGE_VAL;
    int64_t lanes = plan->kernels->lanes, line = axis[2]->members * plan->columns;
    double pieces = (double)(axis[1]->members * cn__ceil_div(line, lanes) + blocks - 1);
    /* a product of one vector waits for its loads: one for each cell, and the weights */
    double products = fmax((double)vectors, 1 + (double)vectors / (double)rows);
    double cell = (double)(taps * plan->depth) * products +
                  (double)blocks * ((double)taps * tap_cost + tile_cost) +
                  (double)vectors * store_cost + pieces * add_cost;
    double strips = (double)cn__ceil_div(plan->conv.out[2], positions);
    double cells =
        (double)axis[2]->count + (strips - 1) * (double)axis[2]->members / (double)axis[2]->step;
    const int64_t *out = plan->conv.out;
    double lines = (double)(out[0] * out[1]), floats = (double)(out[2] * plan->columns);
    return cell * cells * (double)(axis[0]->count * axis[1]->count) +
           lines * (strips * line_cost + floats / (double)lanes * finish_cost);
}

cn_status cn__spread_finish(cn_conv_plan *plan, cn__fold_phase *phase, int64_t *width)
{
    const cn__fold_class *const *axis = phase->axis;
    phase->merged = 1;
    phase->taps = axis[0]->cells * axis[1]->cells * axis[2]->cells;
    phase->depth = plan->depth;
    phase->lines = axis[1]->members;
    phase->positions = positions_of(plan, phase);
    CN__TRY(cn__plan_blocks(plan, phase->columns, cn__widest(plan->kernels), &phase->blocks,
                            &phase->block, width));
    /* a part must not reach beyond its neighbours */
    int64_t units = plan->conv.batch * axis[0]->count;
    int64_t overlap = cn__max(1, cn__ceil_div(axis[1]->members, axis[1]->step) - 1);
    double each = (double)(cn__max(1, phase->taps) * phase->depth) *
                  (double)(phase->columns * axis[1]->count * axis[2]->count);
    double wanted = fmin(wanted_tasks, fmax(1, each * (double)units / task_multiplications));
    phase->parts =
        cn__max(1, cn__min(cn__ceil_div((int64_t)wanted, units), axis[1]->count / overlap));
    phase->chunk_runs = 1;
    if (phase->parts == 1)
        phase->chunk_runs = (int64_t)fmax(1, fmin((double)units, task_multiplications / each));
    phase->tasks = cn__ceil_div(units, phase->chunk_runs) * phase->parts;
    return CN_OK;
}
