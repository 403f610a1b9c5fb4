/* Planning a kernel gradient: which way round the outer products lie, and how the kernel and the
 * pixels are cut into tasks. */
#include "ops/conv_plan.h"

enum {
    /* Tasks that a gradient is cut into at least, so that many threads share them evenly. */
    wanted_tasks = 32,
    /* Floats of the kernel that a task keeps adding to: they stay in the first two cache levels. */
    task_floats = 16 * 1024,
    /* Most floats of a merged line: what a task copies for one pixel at the image's edge. */
    most_merged = cn__gradient_copied,
    /* Pixels that a part of the sum has at least. */
    least_part = 1024
};

/* What one pixel costs a tile of `rows` by `vectors`, in multiply-adds of one vector: these, or the
 * loads of both operands and of their pointers, or the wait for the sums of the pixel before. */
static double tile_cost(int64_t rows, int64_t vectors)
{
    return (double)cn__max(cn__max(rows * vectors, rows + vectors + 2), 8);
}

/* The same for an outer product of `rows` by `columns` that is cut into tiles. */
static double product_cost(const cn__kernels *kernels, int64_t rows, int64_t columns)
{
    int64_t vectors = cn__ceil_div(columns, kernels->lanes);
    int64_t most = cn__widest(kernels), blocks = cn__ceil_div(vectors, most);
    int64_t each = cn__ceil_div(vectors, blocks);
    int64_t strips = cn__ceil_div(rows, kernels->outer_rows[each]);
    return (double)(blocks * strips) * tile_cost(cn__ceil_div(rows, strips), each);
}

/* Output positions along the last axis at which a tap reads inside the image, over all taps; and
 * those at which any does. */
static void count_inside(const cn__axis_phase *axis, int64_t *cells, int64_t *positions)
{
    *cells = *positions = 0;
    for (int64_t p = 0; p < axis->count; p++) {
        int64_t inside = 0;
        for (int64_t t = 0; t < axis->taps; t++)
            inside += axis->in[p * axis->taps + t] >= 0;
        *cells += inside;
        *positions += inside > 0;
    }
}

/* The cheaper way round of a product, and whether it is the swapped one, which takes memory and so
 * has to save a good part. */
static double best_way(const cn_conv_plan *plan, int64_t rows, bool *swapped)
{
    double plain = product_cost(plan->kernels, rows, plan->columns);
    double other = product_cost(plan->kernels, plan->columns, rows);
    bool may = plan->conv.groups == 1 &&
               rows + cn__widest(plan->kernels) * plan->kernels->lanes <= most_merged;
    *swapped = may && 1.2 * other < plain;
    return *swapped ? other : plain;
}

/* Chooses between single taps, which leave the padding out, and whole lines of taps, whose rows
 * fill the tiles better. */
static void choose_shape(cn_conv_plan *plan)
{
    const cn_conv *conv = &plan->conv;
    const cn__axis_phase *axis = plan->phase[0].axis[2];
    cn__gradient *g = &plan->gradient;
    bool swapped;
    int64_t cells, positions, line = conv->kernel[2] * plan->depth;
    count_inside(axis, &cells, &positions);
    double apart = (double)cells * best_way(plan, plan->depth, &g->swapped);
    g->merged = 1;
    if (conv->groups == 1 && conv->dilation[2] == 1 && conv->kernel[2] > 1 && line <= most_merged &&
        (double)positions * best_way(plan, line, &swapped) < apart) {
        g->merged = conv->kernel[2];
        g->swapped = swapped;
    }
    g->lines = plan->phase[0].taps / g->merged;
    g->rows = g->merged * plan->depth;
}

/* Positions are inside from the first that is to the last: the cells follow each other. */
static cn_status find_inside(cn_conv_plan *plan)
{
    const cn__axis_phase *axis = plan->phase[0].axis[2];
    cn__gradient *g = &plan->gradient;
    g->inside = cn__arena_alloc(plan->arena, (size_t)axis->taps * sizeof *g->inside);
    if (g->inside == NULL)
        return cn_error_status();
    for (int64_t t = 0; t < axis->taps; t += g->merged) {
        const int64_t *x = axis->in + t;
        int64_t first = 0, end = axis->count, last = g->merged - 1;
        while (first < end && (x[first * axis->taps] < 0 || x[first * axis->taps + last] < 0))
            first++;
        while (end > first &&
               (x[(end - 1) * axis->taps] < 0 || x[(end - 1) * axis->taps + last] < 0))
            end--;
        g->inside[t].first = first;
        g->inside[t].end = end;
    }
    return CN_OK;
}

cn_status cn__gradient_shape(cn_conv_plan *plan, int64_t *columns)
{
    choose_shape(plan);
    *columns = plan->gradient.swapped ? plan->gradient.rows : plan->columns;
    return find_inside(plan);
}

/* Tasks are as large as the cache allows, but enough; the pixels are cut into parts only where the
 * kernel alone does not give enough. All of this depends on the shape alone, so that the sums have
 * the same order for any number of threads. */
void cn__gradient_tasks(cn_conv_plan *plan)
{
    const cn_conv *conv = &plan->conv;
    cn__gradient *g = &plan->gradient;
    int64_t blocks = plan->blocks, line = g->rows * plan->columns;
    g->task_lines = cn__max(1, cn__min(g->lines, task_floats / line));
    g->task_blocks = cn__max(1, cn__min(blocks, task_floats / cn__max(1, line / blocks)));
    g->line_tasks = cn__ceil_div(g->lines, g->task_lines);
    g->block_tasks = cn__ceil_div(blocks, g->task_blocks);
    int64_t tasks = conv->groups * g->line_tasks * g->block_tasks;
    int64_t pixels = conv->batch * plan->phase[0].image_pixels;
    plan->parts = cn__max(1, cn__min(cn__ceil_div(wanted_tasks, tasks), pixels / least_part));
    plan->tasks = tasks * plan->parts;
    if (plan->parts > 1 || g->swapped)
        plan->scratch_floats = plan->parts * cn_conv_kernel_count(conv, false);
}
