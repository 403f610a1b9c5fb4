/* Planning a convolution with few input channels; see conv_line.h. */
#include <math.h>

#include "ops/conv_direct.h"
#include "ops/conv_line.h"

/* Costs in multiply-adds of one vector, two of which a processor does at a time. Found by timing.
 */
enum {
    line_cost = 45,   /* beginning a line of a phase */
    tap_cost = 8,     /* finding the input of a tap */
    tile_cost = 30,   /* beginning and ending a tile */
    least_cost = 8,   /* a step of a tile: the latency of a multiply-add */
    copied_cost = 16, /* copying so many floats costs one */
};

enum {
    most_pixels = 4096,        /* of a strip */
    far_floats = 4 << 20,      /* of an output */
    most_depth = 64,           /* input channels */
    near_weights = 6 * 1024,   /* floats of a block's kernel */
    most_weights = 256 * 1024, /* and of the whole */
    wanted_tasks = 32
};
static const double task_multiplications = 1 << 20;

/* The phases of an axis: of a convolution one. None if there are too many. */
static void plan_axis(const cn_conv_plan *plan, int axis, cn__line_axis *to)
{
    const cn_conv *conv = &plan->conv;
    bool transposed = plan->pass == CN_CONV_TRANSPOSE;
    int64_t stride = conv->stride[axis], before = conv->before[axis], kernel = conv->kernel[axis];
    int64_t phases = transposed ? cn__min(stride, conv->out[axis]) : 1, end = INT64_MIN;
    to->step = transposed ? stride : 1;
    to->scale = transposed ? 1 : stride;
    to->apart = conv->dilation[axis];
    to->first = INT64_MAX;
    to->phases = phases <= cn__line_phases ? phases : 0;
    for (int64_t p = 0; p < to->phases; p++) {
        cn__line_phase *phase = &to->phase[p];
        int64_t tap = (((p + before) % stride) + stride) % stride;
        *phase = (cn__line_phase){conv->out[axis], -before, kernel};
        if (transposed) {
            phase->count = cn__ceil_div(conv->out[axis] - p, stride);
            phase->taps = tap < kernel ? cn__ceil_div(kernel - tap, stride) : 0;
            phase->cell = (p + before - tap) / stride - (phase->taps - 1);
        }
        if (phase->taps > 0) {
            to->first = cn__min(to->first, phase->cell);
            end = cn__max(end, phase->cell + (phase->taps - 1) * to->apart + 1);
        }
    }
    to->reach = end > to->first ? end - to->first : 0;
}

static int64_t most_taps(const cn__line_axis *axis)
{
    int64_t most = 0;
    for (int64_t p = 0; p < axis->phases; p++)
        most = cn__max(most, axis->phase[p].taps);
    return most;
}

static bool suits(const cn_conv_plan *plan)
{
    const cn_conv *conv = &plan->conv;
    bool dilated = conv->dilation[0] > 1 || conv->dilation[1] > 1 || conv->dilation[2] > 1;
    double weights = (double)plan->depth * (double)plan->packed_columns * (double)conv->groups;
    for (int i = 0; i < 3; i++)
        weights *= (double)conv->kernel[i];
    if (plan->pass == CN_CONV_TRANSPOSE ? dilated : dilated && conv->groups > 1)
        return false;
    return plan->depth <= most_depth && weights <= most_weights;
}

/* All but the tasks; no strips if it cannot be done. */
static struct cn__line_conv shape_of(const cn_conv_plan *plan)
{
    const cn_conv *conv = &plan->conv;
    struct cn__line_conv line = {.merged = conv->dilation[2] == 1};
    cn__line_axis *axis = line.axis;
    if (!suits(plan))
        return line;
    for (int i = 0; i < 3; i++) {
        plan_axis(plan, i, &axis[i]);
        if (axis[i].phases == 0 || axis[i].reach <= 0)
            return line;
    }
    int64_t lines = most_taps(&axis[0]) * most_taps(&axis[1]), across = most_taps(&axis[2]);
    double copies = (double)most_taps(&axis[0]) * (double)axis[1].reach;
    int64_t count = axis[2].phase[0].count;
    if (copies > cn__line_copies || lines * (line.merged ? 1 : across) > cn__line_taps)
        return line;
    line.copies = (int64_t)copies;
    int64_t room = cn__line_copied / line.copies / conv->in_channels - axis[2].reach;
    if (room < 0)
        return line;
    line.pixels = cn__min(cn__min(room / axis[2].scale + 1, count), most_pixels);
    line.strips = cn__ceil_div(count, line.pixels);
    line.pixels = cn__ceil_div(count, line.strips);
    line.cells = axis[2].reach + (line.pixels - 1) * axis[2].scale;
    /* Where a block's kernel does not stay in the first-level cache, more pixels share what is read
     * of it. */
    line.widest = cn__widest(plan->kernels);
    if (lines * across * plan->depth * line.widest * plan->kernels->lanes > near_weights)
        line.widest = cn__min(line.widest, 2);
    return line;
}

/* Of some pixels for all columns of a group, whose sums have `taps` taps of `depth`. */
static double pixels_cost(const cn_conv_plan *plan, const struct cn__line_conv *line,
                          int64_t pixels, int64_t taps, int64_t depth)
{
    int64_t vectors = cn__ceil_div(plan->columns, plan->kernels->lanes);
    int64_t blocks = cn__ceil_div(vectors, line->widest);
    double wide = (double)vectors / (double)blocks;
    double tiles = (double)cn__ceil_div(pixels, plan->kernels->rows[cn__ceil_div(vectors, blocks)]);
    double rows = (double)pixels / tiles;
    double step = fmax(fmax(rows * wide, rows + wide), least_cost);
    double tile = (double)(taps * depth) * step + tile_cost;
    return line_cost + (double)(taps * tap_cost) + tile * tiles * (double)blocks;
}

/* Of a strip of an output line: phase by phase, or, if there are no lines of taps, all at once. */
static double strip_cost(const cn_conv_plan *plan, const struct cn__line_conv *line, int64_t lines)
{
    const cn__line_axis *ax = &line->axis[2];
    if (lines == 0)
        return pixels_cost(plan, line, line->pixels * ax->step, 0, 0);
    double cost = 0;
    for (int64_t x = 0; x < ax->phases; x++) {
        int64_t across = ax->phase[x].taps;
        cost += pixels_cost(plan, line, line->pixels, line->merged ? lines : lines * across,
                            line->merged ? across * plan->depth : plan->depth);
    }
    return cost;
}

double cn__line_cost(const cn_conv_plan *plan)
{
    const cn_conv *conv = &plan->conv;
    const struct cn__line_conv line = shape_of(plan);
    const cn__line_axis *axis = line.axis;
    if (line.strips == 0)
        return HUGE_VAL;
    double cost = 0, copied = (double)(line.cells * conv->in_channels) / copied_cost;
    copied *= conv->groups > 1 ? 4 : 1;
    for (int64_t z = 0; z < axis[0].phases; z++)
        for (int64_t y = 0; y < axis[1].phases; y++) {
            const cn__line_phase *pz = &axis[0].phase[z], *py = &axis[1].phase[y];
            cost += (double)(pz->count * py->count) * strip_cost(plan, &line, pz->taps * py->taps);
        }
    double lines = (double)conv->in[0] * (double)conv->in[1] * (double)conv->kernel[0];
    return (double)line.strips * (cost * (double)conv->groups + copied * lines);
}

cn__line_tasks cn__line_cut(const cn_conv_plan *plan, int64_t strips)
{
    const cn_conv *conv = &plan->conv;
    int64_t all_lines = conv->batch * conv->out[0] * conv->out[1];
    double all = cn_conv_multiplications(conv, plan->pass == CN_CONV_TRANSPOSE);
    double wanted = fmax(all / wanted_tasks, task_multiplications);
    double each = all / (double)(all_lines * strips);
    int64_t lines = (int64_t)fmax(1, fmin(wanted / each, (double)all_lines));
    return (cn__line_tasks){lines, strips * cn__ceil_div(all_lines, lines),
                            cn_conv_out_count(conv) > far_floats};
}

cn_status cn__line_plan(cn_conv_plan *plan)
{
    struct cn__line_conv *line = cn__arena_alloc(plan->arena, sizeof *line);
    if (line == NULL)
        return cn_error_status();
    *line = shape_of(plan);
    CN__TRY(cn__plan_blocks(plan, plan->columns, line->widest, &plan->blocks, &plan->block,
                            &plan->packed_columns));
    const cn__line_tasks cut = cn__line_cut(plan, line->strips);
    line->lines = cut.lines;
    line->tasks = cut.tasks;
    line->far = cut.far;
    plan->packed_floats = cn__direct_packed_floats(plan);
    plan->line = line;
    plan->path = &cn__line_path;
    plan->algorithm = "by line";
    return CN_OK;
}
