/* Planning a folded convolution that is computed in planes. */
#include <math.h>

#include "ops/conv_planar.h"

/* Costs in multiply-adds of one vector, found by timing. */
static const double turn_cost = 0.6; /* transposing a value of the input */
static const double store_cost = 3;  /* and one of the output */
static const double call_cost = 60;  /* calling an outer product, and adding its result */

static const double task_multiplications = 1 << 20;

/* Vectors of a line's sums: equal parts of the line. */
static int64_t line_vectors(const cn_conv_plan *plan, const cn__fold_phase *phase)
{
    int64_t vectors = cn__ceil_div(phase->axis[2]->count, plan->kernels->lanes);
    return cn__ceil_div(vectors, cn__ceil_div(vectors, cn__widest(plan->kernels)));
}

/* Lines of runs that are computed together, so that they share the transposed input: as many as
 * there is room for, 0 if there is not even for one. */
static int64_t lines_of(const cn_conv_plan *plan, const cn__fold_phase *phase, int64_t vectors)
{
    const cn__fold_class *const *axis = phase->axis;
    int64_t width = vectors * plan->kernels->lanes;
    int64_t plane = width + cn__max(1, axis[2]->cells) - 1;
    int64_t in_line = cn__max(1, axis[0]->cells) * cn__planar_channels * plane;
    int64_t by_sums = cn__planar_sums / (phase->columns * width);
    int64_t spare = cn__planar_in / in_line - cn__max(1, axis[1]->cells);
    int64_t by_in = spare < 0 ? 0 : spare / axis[1]->scale + 1;
    return cn__min(axis[1]->count, cn__min(by_sums, by_in));
}

double cn__planar_cost(const cn_conv_plan *plan, const cn__fold_phase *phase)
{
    const cn__fold_class *const *axis = phase->axis;
    int64_t vectors = line_vectors(plan, phase), lines = lines_of(plan, phase, vectors);
    int64_t cells = axis[0]->cells * axis[1]->cells * axis[2]->cells;
    if (axis[2]->scale != 1 || cells > cn__planar_taps || lines == 0)
        return HUGE_VAL;
    int64_t blocks = cn__ceil_div(phase->columns, plan->kernels->outer_rows[vectors]);
    int64_t rows = cn__ceil_div(phase->columns, blocks), width = vectors * plan->kernels->lanes;
    /* vectors of pixels lie across two lines of the cache */
    int64_t loads = 2 * vectors + rows + 2;
    double product = (double)cn__max(cn__max(rows * vectors, loads), 8);
    double chunks = (double)cn__ceil_div(plan->depth, cn__planar_channels);
    double turned = (double)(axis[0]->cells * (width + axis[2]->cells)) *
                    (double)((lines - 1) * axis[1]->scale + axis[1]->cells) / (double)lines;
    double line = (double)blocks * ((double)(cells * plan->depth) * product + chunks * call_cost) +
                  turn_cost * turned * (double)plan->depth +
                  store_cost * (double)(phase->columns * width);
    return line * (double)cn__ceil_div(axis[2]->count, width) *
           (double)(axis[0]->count * axis[1]->count);
}

cn_status cn__planar_finish(cn_conv_plan *plan, cn__fold_phase *phase)
{
    const cn__fold_class *const *axis = phase->axis;
    int64_t vectors = line_vectors(plan, phase);
    phase->merged = 1;
    phase->taps = axis[0]->cells * axis[1]->cells * axis[2]->cells;
    phase->depth = plan->depth;
    phase->lines = lines_of(plan, phase, vectors);
    phase->blocks = cn__ceil_div(phase->columns, plan->kernels->outer_rows[vectors]);
    phase->block = cn__arena_alloc(plan->arena, (size_t)phase->blocks * sizeof *phase->block);
    if (phase->block == NULL)
        return cn_error_status();
    for (int64_t b = 0, first = 0; b < phase->blocks; b++) {
        int64_t end = phase->columns * (b + 1) / phase->blocks;
        phase->block[b] = (cn__column_block){
            .first = first, .columns = end - first, .vectors = (int)vectors, .packed = first};
        first = end;
    }
    int64_t groups = plan->conv.batch * axis[0]->count * cn__ceil_div(axis[1]->count, phase->lines);
    double each = (double)(cn__max(1, phase->taps) * phase->depth) *
                  (double)(phase->columns * phase->lines * axis[2]->count);
    phase->chunk_runs = (int64_t)fmax(1, fmin(task_multiplications / each, (double)groups));
    phase->tasks = cn__ceil_div(groups, phase->chunk_runs);
    return CN_OK;
}
