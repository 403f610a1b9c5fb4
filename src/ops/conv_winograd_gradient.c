/* Minimal filtering for kernel gradients.
 *
 * The gradient of a part of the kernel is a correlation of the input with the output's gradient.
 * The algorithms of the forward pass, transposed, compute it: for each tile its window of the input
 * and its cells of the output's gradient are transformed, at each point their channels' outer
 * product is summed over the tiles, and the sums are transformed back once. The sums of a point are
 * cut into pieces, chunks and slices, which keeps the rounding errors of long sums small. */
#include <string.h>

#include "ops/conv_winograd_plan.h"
#include "ops/split.h"

enum {
    most_points = cn__winograd_most * cn__winograd_most,
    most_taps = 3 * 3,
    most_piece =
        96, /* tiles that are summed at a time: a block of them fits the first-level cache */
    task_tiles = 4, /* that a task transforms, where all tasks share a chunk */
    task_rows = 8   /* that a task transforms back */
};

typedef struct context {
    const cn_conv_plan *plan;
    const float *in, *gradient;
    float *kernel;
    float *sums;        /* of all slices */
    float *transformed; /* the shared chunk: input, then gradient */
    float *slots;
    int64_t first, end; /* tiles of the shared chunk */
} context;

/* Input channels or output channels of a block. */
typedef struct range {
    int64_t first, count;
} range;

static range block_range(const cn__winograd_side *side, int64_t block)
{
    enum { line = 16 };
    int64_t lines = cn__ceil_div(side->channels, line);
    int64_t first = lines * block / side->blocks * line;
    int64_t end = cn__min(lines * (block + 1) / side->blocks * line, side->channels);
    return (range){first, end - first};
}

/* ---- transforming ---- */

/* The output's gradient in a tile; zeros outside the image. */
static void point_gradient(const context *c, int64_t tile, const float **cells)
{
    const cn_conv *conv = &c->plan->conv;
    const cn__winograd_conv *w = c->plan->winograd;
    int64_t left = tile % w->tiles[1] * w->step, rest = tile / w->tiles[1];
    int64_t top = rest % w->tiles[0] * w->step, image = rest / w->tiles[0];
    for (int64_t y = top; y < top + w->step; y++)
        for (int64_t x = left; x < left + w->step; x++) {
            int64_t cell = (image * conv->out[1] + y) * conv->out[2] + x;
            bool inside = y < conv->out[1] && x < conv->out[2];
            *cells++ = inside ? c->gradient + cell * conv->out_channels : w->zeros;
        }
}

typedef void (*transform)(const float *const *in, int64_t channels, float *out, int64_t step);

/* One tile's cells, block by block; what a block's last vector has beyond the channels is zero. */
static void transform_cells(const cn__winograd_conv *w, const cn__winograd_side *side,
                            transform kernel, const float **cells, int64_t count, float *to)
{
    for (int64_t b = 0; b < side->blocks; b++, to += side->panel) {
        range channels = block_range(side, b);
        int64_t rest = side->width - channels.count;
        kernel(cells, channels.count, to, side->step);
        for (int64_t p = 0; rest > 0 && p < w->points * w->points; p++)
            memset(to + p * side->step + channels.count, 0, (size_t)rest * sizeof(float));
        for (int64_t i = 0; i < count; i++)
            cells[i] += channels.count;
    }
}

/* Tiles `first` to `end` of a chunk that begins with tile `chunk` and is kept in `to`. */
static void transform_tiles(const context *c, int64_t chunk, int64_t first, int64_t end, float *to)
{
    const cn__winograd_conv *w = c->plan->winograd;
    const cn__winograd_side *in = &w->gradient.in, *out = &w->gradient.out;
    const float *cells[most_points];
    for (int64_t part = 0; part < w->inputs; part++)
        for (int64_t tile = first; tile < end; tile++) {
            cn__winograd_window(c->plan, c->in, part, tile, cells);
            transform_cells(w, in, w->kernels->input, cells, w->points * w->points,
                            to + part * in->part + (tile - chunk) * in->width);
        }
    for (int64_t tile = first; tile < end; tile++) {
        point_gradient(c, tile, cells);
        transform_cells(w, out, w->kernels->gradient, cells, w->step * w->step,
                        to + in->size + (tile - chunk) * out->width);
    }
}

/* ---- a block of the kernel ---- */

typedef struct block {
    int64_t index, part;
    int64_t in_block, out_block;
    range in, out;
} block;

static block block_at(const cn__winograd_gradient *g, int64_t index)
{
    block b = {.index = index,
               .part = index / g->out.blocks / g->in.blocks,
               .in_block = index / g->out.blocks % g->in.blocks,
               .out_block = index % g->out.blocks};
    b.in = block_range(&g->in, b.in_block);
    b.out = block_range(&g->out, b.out_block);
    return b;
}

/* All rows and columns of a block at one point and piece. */
static void multiply_point(const cn_conv_plan *plan, const block *b, cn__outer work)
{
    int64_t lanes = plan->kernels->lanes, vectors = cn__ceil_div(b->out.count, lanes);
    int64_t tiles = cn__ceil_div(vectors, cn__widest(plan->kernels)), b_at = work.b_at;
    float *out = work.out;
    for (int64_t t = 0; t < tiles; t++) {
        int64_t first = vectors * t / tiles, end = vectors * (t + 1) / tiles;
        work.b_at = b_at + first * lanes;
        work.out = out + first * lanes;
        work.columns = (end - first) * lanes;
        cn__outer_rows(plan->kernels, (int)(end - first), b->in.count, work);
    }
}

/* Adds the products of a chunk's tiles to a block's sums, or begins them. */
static void multiply(const cn_conv_plan *plan, const block *b, const float *transformed,
                     int64_t tiles, bool accumulate, float *sums)
{
    const cn__winograd_conv *w = plan->winograd;
    const cn__winograd_gradient *g = &w->gradient;
    const float *in[most_piece], *out[most_piece];
    const float *first_in = transformed + b->part * g->in.part + b->in_block * g->in.panel;
    const float *first_out = transformed + g->in.size + b->out_block * g->out.panel;
    int64_t pieces = cn__ceil_div(tiles, most_piece);
    for (int64_t i = 0; i < cn__min(tiles, most_piece); i++) {
        in[i] = first_in + i * g->in.width;
        out[i] = first_out + i * g->out.width;
    }
    for (int64_t p = 0; p < w->points * w->points; p++)
        for (int64_t piece = 0; cn__point_used(w, b->part, p) && piece < pieces; piece++) {
            int64_t first = tiles * piece / pieces, end = tiles * (piece + 1) / pieces;
            multiply_point(plan, b,
                           (cn__outer){.pixels = end - first,
                                       .a = in,
                                       .b = out,
                                       .a_at = p * g->in.step + first * g->in.width,
                                       .b_at = p * g->out.step + first * g->out.width,
                                       .out = sums + p * g->sum_step,
                                       .stride = g->out.width,
                                       .accumulate = accumulate || piece > 0});
        }
}

/* Where the taps of a part go, for the block's first row; those it has not go to `unused`. Returns
 * floats from a row to the next. */
static void point_taps(const context *c, const block *b, float *unused, float **out, int64_t *step)
{
    const cn_conv *conv = &c->plan->conv;
    const cn__winograd_conv *w = c->plan->winograd;
    for (int64_t t = 0; t < w->taps * w->taps; t++) {
        int64_t y = cn__window_tap(cn__window_of(w, b->part, 0), t / w->taps);
        int64_t x = cn__window_tap(cn__window_of(w, b->part, 1), t % w->taps);
        bool zero = y < 0 || x < 0;
        int64_t row = (y * conv->kernel[2] + x) * conv->in_channels + b->in.first;
        out[t] = zero ? unused : c->kernel + row * conv->out_channels + b->out.first;
        step[t] = zero ? 0 : conv->out_channels;
    }
}

/* Transforms some rows of a block's sums back. */
static void finish(const context *c, const block *b, int64_t first, int64_t end, const float *sums)
{
    const cn__winograd_conv *w = c->plan->winograd;
    const cn__winograd_gradient *g = &w->gradient;
    float unused[cn__widest_block], *out[most_taps];
    const float *in[most_points];
    int64_t step[most_taps], in_step[most_points];
    point_taps(c, b, unused, out, step);
    for (int64_t t = 0; t < w->taps * w->taps; t++)
        out[t] += first * step[t];
    for (int64_t p = 0; p < w->points * w->points; p++) {
        bool used = cn__point_used(w, b->part, p);
        in[p] = used ? sums + p * g->sum_step + first * g->out.width : w->zeros;
        in_step[p] = used ? g->out.width : 0;
    }
    for (int64_t row = first; row < end; row++) {
        w->kernels->result(in, b->out.count, out);
        for (int64_t t = 0; t < w->taps * w->taps; t++)
            out[t] += step[t];
        for (int64_t p = 0; p < w->points * w->points; p++)
            in[p] += in_step[p];
    }
}

/* ---- slices ---- */

static void slice_task(void *opaque, int64_t slice, int64_t slot)
{
    const context *c = opaque;
    const cn__winograd_conv *w = c->plan->winograd;
    const cn__winograd_gradient *g = &w->gradient;
    float *transformed = c->slots + slot * g->slot_floats, *sums = c->sums + slice * g->slice_sums;
    int64_t first = w->all_tiles * slice / g->slices;
    int64_t all = w->all_tiles * (slice + 1) / g->slices - first;
    for (int64_t chunk = 0; chunk < g->chunks; chunk++) {
        int64_t from = all * chunk / g->chunks, tiles = all * (chunk + 1) / g->chunks - from;
        transform_tiles(c, first + from, first + from, first + from + tiles, transformed);
        for (int64_t i = 0; i < g->blocks; i++) {
            block b = block_at(g, i);
            multiply(c->plan, &b, transformed, tiles, chunk > 0, sums + i * g->block_sums);
        }
    }
}

/* Adds the slices up, in their order, and transforms the sum back. */
static void finish_task(void *opaque, size_t index)
{
    const context *c = opaque;
    const cn__winograd_conv *w = c->plan->winograd;
    const cn__winograd_gradient *g = &w->gradient;
    int64_t pieces = cn__ceil_div(g->in.width, task_rows);
    block b = block_at(g, (int64_t)index / pieces);
    int64_t first = (int64_t)index % pieces * task_rows;
    int64_t end = cn__min(first + task_rows, b.in.count);
    float *sums = c->sums + b.index * g->block_sums;
    if (first >= end)
        return;
    for (int64_t slice = 1; slice < g->slices; slice++)
        for (int64_t p = 0; p < w->points * w->points; p++) {
            float *to = sums + p * g->sum_step + first * g->out.width;
            if (cn__point_used(w, b.part, p))
                c->plan->kernels->add_scaled(1, to + slice * g->slice_sums, to,
                                             (end - first) * g->out.width);
        }
    finish(c, &b, first, end, sums);
}

/* ---- shared chunks ---- */

static void transform_task(void *opaque, size_t index)
{
    const context *c = opaque;
    int64_t first = c->first + (int64_t)index * task_tiles;
    transform_tiles(c, c->first, first, cn__min(first + task_tiles, c->end), c->transformed);
}

static void block_task(void *opaque, int64_t index, int64_t slot)
{
    const context *c = opaque;
    const cn__winograd_conv *w = c->plan->winograd;
    const cn__winograd_gradient *g = &w->gradient;
    block b = block_at(g, index);
    float *sums =
        g->slice_sums > 0 ? c->sums + index * g->block_sums : c->slots + slot * g->slot_floats;
    multiply(c->plan, &b, c->transformed, c->end - c->first, c->first > 0, sums);
    if (c->end == w->all_tiles)
        finish(c, &b, 0, b.in.count, sums);
}

static void run_shared(context *c, cn_pool *pool)
{
    const cn__winograd_conv *w = c->plan->winograd;
    const cn__winograd_gradient *g = &w->gradient;
    for (int64_t chunk = 0; chunk < g->chunks; chunk++) {
        c->first = w->all_tiles * chunk / g->chunks;
        c->end = w->all_tiles * (chunk + 1) / g->chunks;
        cn__pool_run(pool, transform_task, c, (size_t)cn__ceil_div(c->end - c->first, task_tiles));
        cn__run_slots(pool, block_task, c, g->blocks, g->slots);
    }
}

void cn__winograd_gradient_run(const cn_conv_plan *plan, const float *in, const float *gradient,
                               float *kernel, float *scratch, cn_pool *pool)
{
    const cn__winograd_gradient *g = &plan->winograd->gradient;
    context c = {.plan = plan, .in = in, .gradient = gradient, .kernel = kernel, .sums = scratch};
    c.transformed = c.sums + g->slices * g->slice_sums;
    c.slots = c.transformed + (g->shared ? g->in.size + g->out.size : 0);
    if (g->shared) {
        run_shared(&c, pool);
        return;
    }
    cn__run_slots(pool, slice_task, &c, g->slices, g->slots);
    cn__pool_run(pool, finish_task, &c, (size_t)(g->blocks * cn__ceil_div(g->in.width, task_rows)));
}
