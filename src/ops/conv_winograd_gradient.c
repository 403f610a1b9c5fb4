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
    most_taps = 3 * 3,
    most_piece = 96, /* tiles summed at a time: a block of them fits the first-level cache */
    task_tiles = 4,  /* that a task transforms, where all tasks share a chunk */
    task_rows = 8    /* that a task transforms back */
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

/* Channels of a block, or parts of the kernel. */
typedef struct range {
    int64_t first, count;
} range;

static range block_range(const cn__winograd_side *side, int64_t block)
{
    int64_t lines = cn__ceil_div(side->channels, cn__line_floats);
    int64_t first = lines * block / side->blocks * cn__line_floats;
    int64_t end = cn__min(lines * (block + 1) / side->blocks * cn__line_floats, side->channels);
    return (range){first, end - first};
}

/* ---- transforming ---- */

static int64_t taps_of(const cn__winograd_conv *w)
{
    return w->axis[1].taps * w->axis[2].taps;
}

/* Cells of the output's gradient in a tile. */
static int64_t cells_of(const cn__winograd_conv *w)
{
    return w->axis[1].step * w->axis[2].step;
}

/* Points at count[1] x count[2] cells of an image, `apart` from each other, from cell `from` on;
 * zeros outside. */
static void point_cells(const cn__winograd_conv *w, const float *images, const int64_t extent[3],
                        int64_t channels, int64_t image, const int64_t from[3],
                        const int64_t count[3], const int64_t apart[3], const float **cells)
{
    bool inside = from[0] >= 0 && from[0] < extent[0];
    int64_t slice = image * extent[0] + from[0];
    for (int64_t i = 0, y = from[1]; i < count[1]; i++, y += apart[1]) {
        bool within = inside && y >= 0 && y < extent[1];
        const float *row = within ? images + (slice * extent[1] + y) * extent[2] * channels : NULL;
        for (int64_t j = 0, x = from[2]; j < count[2]; j++, x += apart[2])
            *cells++ = within && x >= 0 && x < extent[2] ? row + x * channels : w->zeros;
    }
}

/* The window of the input that a part of the kernel reads in a tile. */
static void point_window(const context *c, int64_t part, int64_t tile, const float **cells)
{
    const cn_conv *conv = &c->plan->conv;
    const cn__winograd_conv *w = c->plan->winograd;
    cn__winograd_place p = cn__winograd_place_of(w, tile);
    int64_t from[3], count[3], apart[3];
    for (int i = 0; i < 3; i++) {
        const cn__winograd_axis *axis = &w->axis[i];
        from[i] = w->part[part].axis[i]->first + p.at[i] * axis->step * axis->spacing;
        count[i] = axis->points;
        apart[i] = axis->spacing;
    }
    point_cells(w, c->in, conv->in, conv->in_channels, p.image, from, count, apart, cells);
}

static void point_gradient(const context *c, int64_t tile, const float **cells)
{
    static const int64_t apart[3] = {1, 1, 1};
    const cn_conv *conv = &c->plan->conv;
    const cn__winograd_conv *w = c->plan->winograd;
    cn__winograd_place p = cn__winograd_place_of(w, tile);
    int64_t from[3], count[3];
    for (int i = 0; i < 3; i++) {
        from[i] = p.at[i] * w->axis[i].step;
        count[i] = w->axis[i].step;
    }
    point_cells(w, c->gradient, conv->out, conv->out_channels, p.image, from, count, apart, cells);
}

typedef void (*transform)(const float *const *in, int64_t channels, float *out, int64_t step);

/* One tile's cells, block by block. */
static void transform_cells(const cn__winograd_side *side, transform kernel, const float **cells,
                            int64_t count, float *to)
{
    for (int64_t b = 0; b < side->blocks; b++, to += side->panel) {
        int64_t channels = block_range(side, b).count;
        kernel(cells, channels, to, side->step);
        for (int64_t i = 0; i < count; i++)
            cells[i] += channels;
    }
}

/* What the products read of a tile beyond the columns, all of which are in the last block: numbers
 * that mean nothing, but may be slow ones. */
static void clear_rest(const cn_conv_plan *plan, float *to)
{
    const cn__winograd_conv *w = plan->winograd;
    const cn__winograd_side *out = &w->gradient.out;
    int64_t columns = block_range(out, out->blocks - 1).count;
    int64_t rest = cn__ceil_div(columns, plan->kernels->lanes) * plan->kernels->lanes - columns;
    to += (out->blocks - 1) * out->panel + columns;
    for (int64_t p = 0; rest > 0 && p < w->points; p++)
        memset(to + p * out->step, 0, (size_t)rest * sizeof(float));
}

/* The cells of a tile and of the next. */
typedef struct two_tiles {
    const float *cells[2][cn__most_points];
} two_tiles;

/* Asks for the cells of the next tile, which come from memory. Inline, because a compiler may leave
 * out the call of a function that does nothing but ask. */
static inline __attribute__((always_inline)) void ask_for(const float *const *cells, int64_t count,
                                                          int64_t channels)
{
    for (int64_t i = 0; i < count; i++)
        for (int64_t k = 0; k < channels; k += cn__line_floats)
            __builtin_prefetch(cells[i] + k, 0, 2);
}

/* Tiles `first` to `end` of a chunk that begins with tile `chunk`. */
static void transform_input(const context *c, int64_t part, int64_t chunk, int64_t first,
                            int64_t end, float *to)
{
    const cn__winograd_conv *w = c->plan->winograd;
    const cn__winograd_side *in = &w->gradient.in;
    two_tiles at;
    point_window(c, part, first, at.cells[0]);
    for (int64_t tile = first, now = 0; tile < end; tile++, now = !now) {
        if (tile + 1 < end)
            point_window(c, part, tile + 1, at.cells[!now]);
        if (tile + 1 < end && w->far)
            ask_for(at.cells[!now], w->points, in->channels);
        transform_cells(in, w->kernels->input, at.cells[now], w->points,
                        to + part * in->part + (tile - chunk) * in->width);
    }
}

static void transform_gradient(const context *c, int64_t chunk, int64_t first, int64_t end,
                               float *to)
{
    const cn__winograd_conv *w = c->plan->winograd;
    const cn__winograd_side *out = &w->gradient.out;
    two_tiles at;
    point_gradient(c, first, at.cells[0]);
    to += w->gradient.in.size + (first - chunk) * out->width;
    for (int64_t tile = first, now = 0; tile < end; tile++, now = !now, to += out->width) {
        if (tile + 1 < end)
            point_gradient(c, tile + 1, at.cells[!now]);
        if (tile + 1 < end && w->far_out)
            ask_for(at.cells[!now], cells_of(w), out->channels);
        transform_cells(out, w->kernels->gradient, at.cells[now], cells_of(w), to);
        clear_rest(c->plan, to);
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

/* The products of a block at a point for some tiles, and what they read. */
typedef struct product {
    int64_t point, first, tiles;
    const float *in, *out;
} product;

static product product_at(const cn_conv_plan *plan, const block *b, const float *transformed,
                          int64_t point, int64_t first, int64_t end)
{
    const cn__winograd_gradient *g = &plan->winograd->gradient;
    return (product){point, first, end - first,
                     transformed + b->part * g->in.part + point * g->in.step +
                         b->in_block * g->in.panel + first * g->in.width,
                     transformed + g->in.size + point * g->out.step + b->out_block * g->out.panel +
                         first * g->out.width};
}

/* Lines of the next product's input and gradient, one after the other. */
static const float *next_lines(const cn__winograd_gradient *g, const product *next, int64_t done)
{
    int64_t floats = next->tiles * g->in.width;
    if (done < floats)
        return next->in + done;
    done -= floats;
    return done < next->tiles * g->out.width ? next->out + done : NULL;
}

/* Adds a product to a block's sums at its point, all rows and columns. */
static void multiply_point(const cn_conv_plan *plan, const block *b, const product *now,
                           const product *next, cn__outer work)
{
    const cn__winograd_gradient *g = &plan->winograd->gradient;
    int64_t lanes = plan->kernels->lanes, vectors = cn__ceil_div(b->out.count, lanes);
    int64_t tiles = cn__ceil_div(vectors, cn__widest(plan->kernels)), done = 0;
    float *out = work.out;
    work.pixels = now->tiles;
    for (int64_t t = 0; t < tiles; t++) {
        int64_t column = vectors * t / tiles, width = vectors * (t + 1) / tiles - column;
        int64_t strips = cn__ceil_div(b->in.count, plan->kernels->outer_rows[width]);
        work.b_at = now->out - work.b[0] + column * lanes;
        work.columns = width * lanes;
        for (int64_t s = 0; s < strips; s++, done += now->tiles * cn__line_floats) {
            int64_t row = b->in.count * s / strips, end = b->in.count * (s + 1) / strips;
            work.a_at = now->in - work.a[0] + row;
            work.out = out + row * g->out.width + column * lanes;
            work.ahead = next_lines(g, next, done);
            plan->kernels->outer[width][end - row](&work);
        }
    }
}

/* Adds the products of a chunk's tiles to a block's sums, or begins them. */
static void multiply(const cn_conv_plan *plan, const block *b, const float *transformed,
                     int64_t tiles, bool accumulate, float *sums)
{
    const cn__winograd_conv *w = plan->winograd;
    const cn__winograd_gradient *g = &w->gradient;
    const float *in[most_piece], *out[most_piece];
    int64_t points = w->points, pieces = cn__ceil_div(tiles, most_piece);
    product now = product_at(plan, b, transformed, 0, 0, tiles / pieces), next;
    for (int64_t i = 0; i < cn__min(tiles, most_piece); i++) {
        in[i] = now.in + i * g->in.width;
        out[i] = now.out + i * g->out.width;
    }
    cn__outer work = {.a = in, .b = out, .stride = g->out.width};
    for (int64_t i = 0; i < points * pieces; i++, now = next) {
        int64_t p = (i + 1) / pieces, piece = (i + 1) % pieces;
        next = product_at(plan, b, transformed, p, tiles * piece / pieces,
                          tiles * (piece + 1) / pieces);
        if (!cn__point_used(w, &w->part[b->part], now.point))
            continue;
        work.out = sums + now.point * g->sum_step;
        work.accumulate = accumulate || now.first > 0;
        multiply_point(plan, b, &now, &next, work);
    }
}

/* Where the taps of a part go, for the block's first row; those it has not go to `unused`. `step`:
 * floats from a row to the next. */
static void point_taps(const context *c, const block *b, float *unused, float **out, int64_t *step)
{
    const cn_conv *conv = &c->plan->conv;
    const cn__winograd_conv *w = c->plan->winograd;
    const cn__window *const *axis = w->part[b->part].axis;
    for (int64_t t = 0; t < taps_of(w); t++) {
        int64_t z = cn__window_tap(axis[0], 0), y = cn__window_tap(axis[1], t / w->axis[2].taps);
        int64_t x = cn__window_tap(axis[2], t % w->axis[2].taps);
        bool zero = y < 0 || x < 0;
        int64_t tap = (z * conv->kernel[1] + y) * conv->kernel[2] + x;
        int64_t row = tap * conv->in_channels + b->in.first;
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
    const float *in[cn__most_points];
    int64_t step[most_taps], in_step[cn__most_points];
    point_taps(c, b, unused, out, step);
    for (int64_t t = 0; t < taps_of(w); t++)
        out[t] += first * step[t];
    for (int64_t p = 0; p < w->points; p++) {
        bool used = cn__point_used(w, &w->part[b->part], p);
        in[p] = used ? sums + p * g->sum_step + first * g->out.width : w->zeros;
        in_step[p] = used ? g->out.width : 0;
    }
    for (int64_t row = first; row < end; row++) {
        w->kernels->result(in, b->out.count, out);
        for (int64_t t = 0; t < taps_of(w); t++)
            out[t] += step[t];
        for (int64_t p = 0; p < w->points; p++)
            in[p] += in_step[p];
    }
}

/* ---- slices ---- */

/* The tiles `first` to `end` of a slice, which are a chunk, for a part of the kernel. */
static void add_chunk(const context *c, int64_t part, int64_t first, int64_t end, bool accumulate,
                      float *transformed, float *sums)
{
    const cn__winograd_gradient *g = &c->plan->winograd->gradient;
    int64_t blocks = g->in.blocks * g->out.blocks;
    transform_input(c, part, first, first, end, transformed);
    for (int64_t i = part * blocks; i < (part + 1) * blocks; i++) {
        block b = block_at(g, i);
        multiply(c->plan, &b, transformed, end - first, accumulate, sums + i * g->block_sums);
    }
}

static void slice_task(void *opaque, int64_t index, int64_t slot)
{
    const context *c = opaque;
    const cn__winograd_conv *w = c->plan->winograd;
    const cn__winograd_gradient *g = &w->gradient;
    int64_t slice = index % g->slices, part = index / g->slices * g->task_parts;
    float *transformed = c->slots + slot * g->slot_floats, *sums = c->sums + slice * g->slice_sums;
    int64_t begin = w->tiles * slice / g->slices;
    int64_t all = w->tiles * (slice + 1) / g->slices - begin;
    for (int64_t chunk = 0; chunk < g->chunks; chunk++) {
        int64_t first = begin + all * chunk / g->chunks;
        int64_t end = begin + all * (chunk + 1) / g->chunks;
        transform_gradient(c, first, first, end, transformed);
        for (int64_t p = part; p < part + g->task_parts; p++)
            add_chunk(c, p, first, end, chunk > 0, transformed, sums);
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
        for (int64_t p = 0; p < w->points; p++) {
            float *to = sums + p * g->sum_step + first * g->out.width;
            bool used = cn__point_used(w, &w->part[b.part], p);
            for (int64_t row = first; used && row < end; row++, to += g->out.width)
                c->plan->kernels->add_scaled(1, to + slice * g->slice_sums, to, b.out.count);
        }
    finish(c, &b, first, end, sums);
}

/* ---- shared chunks ---- */

static void transform_task(void *opaque, size_t index)
{
    const context *c = opaque;
    int64_t first = c->first + (int64_t)index * task_tiles;
    int64_t end = cn__min(first + task_tiles, c->end);
    for (int64_t part = 0; part < c->plan->winograd->parts; part++)
        transform_input(c, part, c->first, first, end, c->transformed);
    transform_gradient(c, c->first, first, end, c->transformed);
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
    if (c->end == w->tiles)
        finish(c, &b, 0, b.in.count, sums);
}

static void run_shared(context *c, cn_pool *pool)
{
    const cn__winograd_conv *w = c->plan->winograd;
    const cn__winograd_gradient *g = &w->gradient;
    for (int64_t chunk = 0; chunk < g->chunks; chunk++) {
        c->first = w->tiles * chunk / g->chunks;
        c->end = w->tiles * (chunk + 1) / g->chunks;
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
    cn__run_slots(pool, slice_task, &c, g->slice_tasks, g->slots);
    cn__pool_run(pool, finish_task, &c, (size_t)(g->blocks * cn__ceil_div(g->in.width, task_rows)));
}
