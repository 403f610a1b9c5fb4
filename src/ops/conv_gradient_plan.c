/* Planning a kernel gradient: which way round the outer products lie, and how the kernel and the
 * pixels are cut into tasks. */
#include <math.h>

#include "ops/conv_gradient.h"

enum {
    /* Tasks that a gradient is cut into at least, so that many threads share them evenly. */
    wanted_tasks = 32,
    /* Floats of the kernel that a task keeps adding to: they stay in the first two cache levels. */
    task_floats = 16 * 1024,
    /* Rows of a task's part of a larger line, about. */
    task_side = 128,
    /* Floats of input and gradient that do not stay in the caches. */
    ahead_floats = 1024 * 1024,
    /* Floats of a chunk that are brought near ahead. */
    chunk_floats = 96 * 1024,
    /* Pixels that a part of the sum has at least: adding a part up takes a few cycles for each
     * vector of the kernel, its products half a cycle for each pixel. */
    least_part = 512,
    line_floats = 16,   /* of a cache line */
    page_floats = 1024, /* lines that lie so far apart have the same `ways` places in a cache */
    ways = 12,
    /* Fewest pixels of a chunk: for fewer, lines are not merged. */
    least_chunk = 32
};

/* A product of a part of the kernel, to be cut into tiles. */
typedef struct product_shape {
    int64_t rows, columns;
    int64_t a_step, b_step; /* floats from one pixel's rows, columns to the next's */
} product_shape;

/* True if a chunk's block of columns stays in the first-level cache: it has places for few lines
 * that lie a multiple of 4 KiB apart. */
static bool stays_near(const cn_conv_plan *plan, int64_t step, double vectors)
{
    int64_t places = 1;
    double pixels = cn__gradient_block / (vectors * plan->kernels->lanes);
    while (places < page_floats && step % page_floats * places % page_floats != 0)
        places *= 2;
    return fmin(pixels, cn__gradient_runs) <= (double)(ways * places);
}

/* What one pixel of a run costs a tile of `rows` by `vectors`, in cycles: two multiply-adds or two
 * loads each, or the wait for the sums of the pixel before, or, where one tile after another goes
 * through its own columns, what the second-level cache gives; the cache lines that come from there,
 * which take longest if all of them fall on the same places of the first-level cache; then what
 * there is to do for each run, and for each chunk, whose sums are added to the kernel. */
static double tile_cost(const cn_conv_plan *plan, const product_shape *shape, double rows,
                        double vectors, bool streams)
{
    double sums = rows * vectors, loads = 1.2 * (rows + vectors), wait = sums <= 4 ? 4 : 8;
    double cycles = fmax(fmax(sums, loads), wait) / 2;
    double bytes = vectors * plan->kernels->lanes * sizeof(float);
    double run = (double)cn__min(plan->conv.out[2], cn__gradient_runs);
    double lines = fmin(rows / line_floats + 0.75, (double)shape->a_step / line_floats);
    double block = stays_near(plan, shape->b_step, vectors) ? 0 : bytes / (4 * line_floats);
    bool same = shape->a_step % page_floats == 0 && shape->b_step % page_floats == 0;
    double fetched = same ? lines + block : lines / 2 + block / 4;
    return (streams ? fmax(cycles, bytes / 24) : cycles) + fetched + 8 / run +
           (20 + 2 * sums) / cn__gradient_runs;
}

/* The same for a product that is cut into tiles; and the number of blocks of columns that is best.
 */
static double product_cost(const cn_conv_plan *plan, const product_shape *shape,
                           int64_t *best_blocks)
{
    const cn__kernels *kernels = plan->kernels;
    int64_t vectors = cn__ceil_div(shape->columns, kernels->lanes);
    double best = 0;
    for (int64_t most = 1; most <= CN__MAX_VECTORS && kernels->product_rows[most] > 0; most++) {
        int64_t blocks = cn__ceil_div(vectors, most), each = cn__ceil_div(vectors, blocks);
        int64_t strips = cn__ceil_div(shape->rows, kernels->product_rows[each]);
        double cost = (double)(blocks * strips) *
                      tile_cost(plan, shape, (double)shape->rows / (double)strips,
                                (double)vectors / (double)blocks, strips == 1 && blocks > 1);
        if (most == 1 || cost < best) {
            best = cost;
            *best_blocks = blocks;
        }
    }
    return best;
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

/* The product of `rows` values of the input and the channels of the gradient, or swapped. */
static product_shape shape_of(const cn_conv_plan *plan, int64_t rows, bool swapped)
{
    int64_t in = plan->conv.stride[2] * plan->conv.in_channels, out = plan->conv.out_channels;
    return swapped ? (product_shape){plan->columns, rows, out, in}
                   : (product_shape){rows, plan->columns, in, out};
}

/* The cheaper way round of a product, and whether it is the swapped one, which takes memory and so
 * has to save a good part. */
static double best_way(const cn_conv_plan *plan, int64_t rows, bool *swapped)
{
    int64_t blocks;
    product_shape shape = shape_of(plan, rows, false), turned = shape_of(plan, rows, true);
    double plain = product_cost(plan, &shape, &blocks);
    double other = product_cost(plan, &turned, &blocks);
    *swapped = 1.2 * other < plain;
    return *swapped ? other : plain;
}

/* Positions are inside from the first that is to the last: the cells follow each other. */
static void find_inside(cn_conv_plan *plan)
{
    const cn__axis_phase *axis = plan->phase[0].axis[2];
    cn__gradient *g = &plan->gradient;
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
}

/* Floats that a line of merged taps copies of a chunk's input at most. */
static int64_t copied_floats(const cn_conv_plan *plan, int64_t pixels)
{
    const cn_conv *conv = &plan->conv;
    int64_t taps = conv->kernel[2], stride = conv->stride[2], depth = plan->depth;
    int64_t runs = cn__min(pixels, pixels / conv->out[2] + 2);
    if (conv->dilation[2] > 1 || conv->groups > 1)
        return (pixels * stride + cn__min(pixels, runs * conv->dilation[2]) * taps) * depth;
    int64_t left = plan->gradient.inside[0].first;
    int64_t right = conv->out[2] - plan->gradient.inside[0].end;
    int64_t edges = ((left + right) * stride + ((left > 0) + (right > 0)) * taps) * depth;
    int64_t whole = (cn__min(pixels, conv->out[2]) * stride + taps) * depth;
    if (edges == 0)
        whole = 0;
    int64_t behind = (stride + taps) * depth + CN__MAX_VECTORS * plan->kernels->lanes;
    return runs * cn__min(whole, cn__max(edges, cn__gradient_whole)) + behind;
}

/* Chooses between single taps, which leave the padding out, and whole lines of taps, whose rows
 * fill the tiles better. */
static void choose_shape(cn_conv_plan *plan)
{
    const cn_conv *conv = &plan->conv;
    const cn__axis_phase *axis = plan->phase[0].axis[2];
    cn__gradient *g = &plan->gradient;
    bool swapped;
    int64_t cells, positions;
    count_inside(axis, &cells, &positions);
    g->merged = conv->kernel[2];
    find_inside(plan);
    double together = (double)positions * best_way(plan, g->merged * plan->depth, &g->swapped);
    if (conv->groups > 1) /* copied cell by cell, once for the lines of taps that read a cell */
        together += (double)conv->in[2] * (8 + (double)plan->depth / 4) /
                    (double)cn__max(1, conv->kernel[1] / conv->stride[1]);
    double apart = (double)cells * best_way(plan, plan->depth, &swapped);
    if (apart < together || copied_floats(plan, least_chunk) > cn__gradient_copied) {
        g->merged = 1;
        g->swapped = swapped;
        find_inside(plan);
    }
    g->lines = plan->phase[0].taps / g->merged;
    g->rows = g->merged * plan->depth;
}

/* Blocks of columns and strips of rows. */
static cn_status choose_tiles(cn_conv_plan *plan)
{
    const cn__kernels *kernels = plan->kernels;
    cn__gradient *g = &plan->gradient;
    product_shape shape = shape_of(plan, g->rows, g->swapped);
    int64_t width;
    product_cost(plan, &shape, &g->blocks);
    CN__TRY(cn__cut_columns(plan, shape.columns, g->blocks, &g->block, &width));
    for (int v = 1; v <= CN__MAX_VECTORS && kernels->product_rows[v] > 0; v++)
        g->strip_rows[v] =
            cn__ceil_div(shape.rows, cn__ceil_div(shape.rows, kernels->product_rows[v]));
    return CN_OK;
}

cn_status cn__gradient_shape(cn_conv_plan *plan, int64_t *columns)
{
    int64_t taps = plan->phase[0].axis[2]->taps;
    cn__gradient *g = &plan->gradient;
    *columns = plan->columns;
    g->inside = cn__arena_alloc(plan->arena, (size_t)taps * sizeof *g->inside);
    if (g->inside == NULL)
        return cn_error_status();
    choose_shape(plan);
    return choose_tiles(plan);
}

/* A chunk's block of columns stays in the first-level cache; where a task reads nearly all of its
 * pixels' channels and they come from memory, those of two chunks stay in the second. */
static void choose_chunk(cn_conv_plan *plan)
{
    const cn_conv *conv = &plan->conv;
    cn__gradient *g = &plan->gradient;
    g->chunk = cn__gradient_runs;
    for (int64_t b = 0; b < g->blocks; b++)
        g->chunk =
            cn__min(g->chunk, cn__gradient_block / (g->block[b].vectors * plan->kernels->lanes));
    g->ahead = g->block_tasks <= 2 && g->row_tasks <= 2 && g->rows >= 32 &&
               cn_conv_in_count(conv) + cn_conv_out_count(conv) >= ahead_floats;
    if (g->ahead)
        g->chunk =
            cn__max(least_chunk, cn__min(g->chunk, chunk_floats / (g->rows + plan->columns)));
    while (g->merged > 1 && copied_floats(plan, g->chunk) > cn__gradient_copied)
        g->chunk /= 2;
    if (conv->out[2] <= g->chunk) /* whole lines */
        g->chunk -= g->chunk % conv->out[2];
    g->copied = g->merged > 1 ? copied_floats(plan, g->chunk) : 0;
}

/* A part of a line of taps as a task. Where the sums are read and written for several chunks a
 * large line is cut into about squares, for which the fewest lines come from memory. */
static void choose_part(cn_conv_plan *plan)
{
    cn__gradient *g = &plan->gradient;
    product_shape shape = shape_of(plan, g->rows, g->swapped);
    int64_t line = shape.rows * shape.columns, strip = g->strip_rows[g->block[0].vectors];
    g->task_rows = shape.rows;
    if (line > task_floats && shape.columns > task_side &&
        plan->conv.batch * plan->phase[0].image_pixels > 2 * cn__gradient_runs)
        g->task_rows = cn__min(shape.rows, cn__max(1, task_side / strip) * strip);
    int64_t block = cn__max(1, g->task_rows * shape.columns / g->blocks);
    g->task_blocks = cn__max(1, cn__min(g->blocks, task_floats / block));
    g->row_tasks = cn__ceil_div(shape.rows, g->task_rows);
    g->block_tasks = cn__ceil_div(g->blocks, g->task_blocks);
}

/* Tasks are as large as the cache allows, but enough; the pixels are cut into parts only where the
 * kernel alone does not give enough. All of this depends on the shape alone, so that the sums have
 * the same order for any number of threads. */
void cn__gradient_tasks(cn_conv_plan *plan)
{
    const cn_conv *conv = &plan->conv;
    cn__gradient *g = &plan->gradient;
    g->task_lines = cn__max(1, cn__min(g->lines, task_floats / (g->rows * plan->columns)));
    g->line_tasks = cn__ceil_div(g->lines, g->task_lines);
    choose_part(plan);
    choose_chunk(plan);
    int64_t tasks = conv->groups * g->line_tasks * g->row_tasks * g->block_tasks;
    int64_t pixels = conv->batch * plan->phase[0].image_pixels;
    /* A power of two of equal parts, which any usual number of threads shares evenly. */
    plan->parts = 1;
    while (2 * plan->parts <= pixels / least_part && plan->parts * tasks < wanted_tasks)
        plan->parts *= 2;
    plan->tasks = tasks * plan->parts;
    if (plan->parts > 1 || g->swapped)
        plan->scratch_floats = plan->parts * cn_conv_kernel_count(conv, false);
}
