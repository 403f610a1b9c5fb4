/* Running minimal filtering.
 *
 * A tile of outputs is computed from windows of input cells in three stages (winograd.c has the
 * transforms): the windows' channels are transformed, at each of their points multiplied with the
 * transformed kernel, a matrix product over all tiles, and the sums transformed back. A task does
 * so for some tiles, so that what lies between the stages stays in the cache. */
#include <math.h>
#include <string.h>

#include "ops/conv_winograd_plan.h"
#include "ops/split.h"

enum {
    most_points = cn__winograd_most * cn__winograd_most,
    shared_tiles = 4, /* of a task that transforms shared input */
    line = 16         /* floats of a cache line */
};

typedef struct run_context {
    const cn_conv_plan *plan;
    const float *in, *packed, *bias;
    float *out, *scratch;
    cn_clamp clamp;
} run_context;

/* Where a tile stands. */
typedef struct place {
    int64_t image, y, x;
} place;

static place place_of(const cn__winograd_conv *w, int64_t tile)
{
    int64_t x = tile % w->tiles[1], rest = tile / w->tiles[1];
    return (place){rest / w->tiles[0], rest % w->tiles[0], x};
}

void cn__winograd_window(const cn_conv_plan *plan, const float *in, int64_t part, int64_t tile,
                         const float **cells)
{
    const cn_conv *conv = &plan->conv;
    const cn__winograd_conv *w = plan->winograd;
    place at = place_of(w, tile);
    int64_t y = cn__window_of(w, part, 0)->first + at.y * w->step * w->spacing[0];
    int64_t left = cn__window_of(w, part, 1)->first + at.x * w->step * w->spacing[1];
    for (int64_t i = 0; i < w->points; i++, y += w->spacing[0]) {
        bool within = y >= 0 && y < conv->in[1];
        const float *row = in + (at.image * conv->in[1] + y) * conv->in[2] * conv->in_channels;
        for (int64_t j = 0, x = left; j < w->points; j++, x += w->spacing[1])
            *cells++ = within && x >= 0 && x < conv->in[2] ? row + x * conv->in_channels : w->zeros;
    }
}

static void transform_input(const run_context *c, int64_t first, int64_t end, float *transformed)
{
    const cn__winograd_conv *w = c->plan->winograd;
    const float *cells[most_points];
    for (int64_t part = 0; part < w->inputs; part++)
        for (int64_t tile = first; tile < end; tile++) {
            cn__winograd_window(c->plan, c->in, part, tile, cells);
            w->kernels->input(cells, c->plan->depth,
                              transformed + part * w->points * w->points * w->in_step +
                                  (tile - first) * w->row,
                              w->in_step);
        }
}

/* The matrix product of one point: sums = in * weights for `tiles` tiles, where `in` are the parts'
 * inputs. Meanwhile what the next point needs is brought near, its weights and then its first
 * input: each run of the tile kernel takes parts * depth lines. */
typedef struct product {
    int64_t parts, tiles;
    const float *in[cn__most_inputs], *weights;
    const float *next_in, *next_weights;
    int64_t next_floats; /* of the weights */
    float *sums;
} product;

static const float *next_lines(const cn_conv_plan *plan, const product *work, int64_t index)
{
    int64_t done = index * work->parts * plan->depth * line;
    if (done < work->next_floats)
        return work->next_weights + done;
    done -= work->next_floats;
    bool more = work->next_in != NULL && done < work->tiles * plan->winograd->row;
    return more ? work->next_in + done : NULL;
}

static void multiply(const cn_conv_plan *plan, const cn__column_block *block, const product *work)
{
    static const _Alignas(64) float start[cn__widest_block];
    const float *in[cn__most_inputs * CN__MAX_ROWS];
    float *out[CN__MAX_ROWS];
    int64_t most = plan->kernels->rows[block->vectors], row = plan->winograd->row;
    int64_t width = block->vectors * plan->kernels->lanes;
    cn__tile tile = {.taps = work->parts,
                     .depth = plan->depth,
                     .in = in,
                     .weights = work->weights,
                     .weights_tap = plan->depth * width,
                     .start = start,
                     .out = out,
                     .columns = width,
                     .low = -INFINITY,
                     .high = INFINITY};
    for (int64_t m = 0; m < work->tiles; m += most) {
        int64_t rows = cn__min(most, work->tiles - m);
        for (int64_t r = 0; r < rows; r++) {
            for (int64_t part = 0; part < work->parts; part++)
                in[part * rows + r] = work->in[part] + (m + r) * row;
            out[r] = work->sums + (m + r) * width;
        }
        tile.ahead = next_lines(plan, work, m / most);
        plan->kernels->tile[block->vectors][rows](&tile);
    }
}

/* The first point from `point` on that a phase uses, and its product but for the weights. */
static int64_t next_product(const cn__winograd_conv *w, int64_t phase, int64_t point,
                            const float *in, float *sums, product *work)
{
    int64_t points = w->points * w->points;
    for (work->parts = 0; point < points && work->parts == 0; point++) {
        for (int64_t part = cn__first_part(w, phase); part < cn__end_part(w, phase); part++)
            if (cn__point_used(w, part, point))
                work->in[work->parts++] =
                    in + ((w->summed ? part : 0) * points + point) * w->in_step;
        work->sums = sums + point * w->sum_step;
    }
    return point;
}

/* All points of a phase. */
static void multiply_points(const cn_conv_plan *plan, int64_t phase, const cn__column_block *block,
                            const float *packed, const float *in, float *sums, int64_t tiles)
{
    const cn__winograd_conv *w = plan->winograd;
    int64_t part_floats = plan->depth * block->vectors * plan->kernels->lanes;
    product two[2] = {{.tiles = tiles}, {.tiles = tiles}}, *now = &two[0], *next = &two[1];
    int64_t point = next_product(w, phase, 0, in, sums, now);
    now->weights = packed + cn__winograd_packed(plan, phase, block);
    while (now->parts > 0) {
        point = next_product(w, phase, point, in, sums, next);
        next->weights = now->weights + now->parts * part_floats;
        now->next_weights = next->weights;
        now->next_floats = next->parts * part_floats;
        now->next_in = next->parts > 0 ? next->in[0] : NULL;
        multiply(plan, block, now);
        product *done = now;
        now = next;
        next = done;
    }
}

/* Where a tile's outputs go; those outside the image go to `outside`. */
static void point_outputs(const run_context *c, int64_t phase, place at, int64_t column,
                          float *outside, float **out)
{
    const cn_conv *conv = &c->plan->conv;
    const cn__winograd_conv *w = c->plan->winograd;
    const cn__axis_phase *ay = c->plan->phase[phase].axis[1], *ax = c->plan->phase[phase].axis[2];
    int64_t y = at.y * w->step - cn__window_of(w, phase, 0)->shift;
    int64_t x = at.x * w->step - cn__window_of(w, phase, 1)->shift;
    float *image = c->out + at.image * conv->out[1] * conv->out[2] * conv->out_channels + column;
    for (int64_t i = y; i < y + w->step; i++)
        for (int64_t j = x; j < x + w->step; j++) {
            bool inside = i >= 0 && i < ay->count && j >= 0 && j < ax->count;
            *out++ = inside ? image + ay->out[i] + ax->out[j] : outside;
        }
}

/* The sums at each point of the first tile; zeros where the phase's kernel is zero. */
static void point_sums(const cn_conv_plan *plan, int64_t phase, const float *sums, int64_t width,
                       const float **in, int64_t *step)
{
    const cn__winograd_conv *w = plan->winograd;
    for (int64_t p = 0; p < w->points * w->points; p++) {
        bool used = false;
        for (int64_t part = cn__first_part(w, phase); part < cn__end_part(w, phase); part++)
            used = used || cn__point_used(w, part, p);
        in[p] = used ? sums + p * w->sum_step : w->zeros;
        step[p] = used ? width : 0;
    }
}

static void transform_sums(const run_context *c, int64_t phase, const cn__column_block *block,
                           int64_t first, int64_t end, const float *sums, float *outside)
{
    const cn__winograd_conv *w = c->plan->winograd;
    const float *in[most_points];
    float *out[most_points];
    int64_t step[most_points];
    _Alignas(64) float start[cn__widest_block] = {0};
    if (c->bias != NULL)
        memcpy(start, c->bias + block->first, (size_t)block->columns * sizeof(float));
    cn__winograd_output work = {.in = in,
                                .start = start,
                                .out = out,
                                .channels = block->columns,
                                .low = c->clamp.low,
                                .high = c->clamp.high};
    point_sums(c->plan, phase, sums, block->vectors * c->plan->kernels->lanes, in, step);
    for (int64_t tile = first; tile < end; tile++) {
        point_outputs(c, phase, place_of(w, tile), block->first, outside, out);
        w->kernels->output(&work);
        for (int64_t p = 0; p < w->points * w->points; p++)
            in[p] += step[p];
    }
}

/* ---- tasks ---- */

static int64_t chunk_end(const cn__winograd_conv *w, int64_t chunk)
{
    return cn__min((chunk + 1) * w->chunk, w->all_tiles);
}

/* A block of columns of one phase and chunk. `sums` is the slot's working memory. */
static void run_block(const run_context *c, int64_t chunk, int64_t phase, int64_t b,
                      const float *transformed, float *sums)
{
    const cn_conv_plan *plan = c->plan;
    const cn__winograd_conv *w = plan->winograd;
    const cn__column_block *block = &plan->block[b];
    int64_t first = chunk * w->chunk, end = chunk_end(w, chunk);
    multiply_points(plan, phase, block, c->packed, transformed, sums, end - first);
    transform_sums(c, phase, block, first, end, sums, sums + w->points * w->points * w->sum_step);
}

/* A chunk, with a transformed input of its own behind the slot's sums. */
static void run_chunk(const run_context *c, int64_t chunk, float *slot)
{
    const cn_conv_plan *plan = c->plan;
    const cn__winograd_conv *w = plan->winograd;
    float *transformed = slot + w->slot_floats - w->chunk_floats;
    transform_input(c, chunk * w->chunk, chunk_end(w, chunk), transformed);
    for (int64_t phase = 0; phase < plan->phases; phase++)
        for (int64_t b = 0; b < plan->blocks; b++)
            run_block(c, chunk, phase, b, transformed, slot);
}

static float *shared_chunk(const run_context *c, int64_t chunk)
{
    const cn__winograd_conv *w = c->plan->winograd;
    return c->scratch + w->slots * w->slot_floats + chunk * w->chunk_floats;
}

/* A few tiles of the shared input. */
static void input_task(void *context, size_t index)
{
    const run_context *c = context;
    const cn__winograd_conv *w = c->plan->winograd;
    int64_t first = (int64_t)index * shared_tiles;
    for (int64_t tile = first; tile < cn__min(first + shared_tiles, w->all_tiles); tile++) {
        int64_t chunk = tile / w->chunk;
        transform_input(c, tile, tile + 1,
                        shared_chunk(c, chunk) + (tile - chunk * w->chunk) * w->row);
    }
}

static void run_task(void *context, int64_t task, int64_t slot)
{
    const run_context *c = context;
    const cn__winograd_conv *w = c->plan->winograd;
    float *memory = c->scratch + slot * w->slot_floats;
    int64_t chunk = task % w->chunks, part = task / w->chunks;
    if (w->shared)
        run_block(c, chunk, part / c->plan->blocks, part % c->plan->blocks, shared_chunk(c, chunk),
                  memory);
    else
        run_chunk(c, chunk, memory);
}

void cn__winograd_run(const cn_conv_plan *plan, const float *in, const float *packed,
                      const float *bias, cn_clamp clamp, float *out, float *scratch, cn_pool *pool)
{
    const cn__winograd_conv *w = plan->winograd;
    run_context context = {.plan = plan,
                           .in = in,
                           .packed = packed,
                           .bias = bias,
                           .out = out,
                           .scratch = scratch,
                           .clamp = clamp};
    if (w->shared)
        cn__pool_run(pool, input_task, &context, (size_t)cn__ceil_div(w->all_tiles, shared_tiles));
    cn__run_slots(pool, run_task, &context, w->tasks, w->slots);
}
