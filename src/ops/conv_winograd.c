/* Running minimal filtering.
 *
 * A tile of outputs is computed from windows of input cells in three stages (winograd.c has the
 * transforms): the windows' channels are transformed, at each of their points multiplied with the
 * transformed kernel, a matrix product over all tiles, and the sums transformed back. A task does
 * so for some tiles, so that what lies between the stages stays in the cache. */
#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "ops/conv_winograd_plan.h"

enum {
    most_points = cn__winograd_most * cn__winograd_most,
    shared_tiles = 4, /* of a task that transforms shared input */
    line = 16,        /* floats of a cache line */
    short_cell = 256  /* floats */
};

typedef struct run_context {
    const cn_conv_plan *plan;
    const float *in, *packed, *bias;
    float *out, *scratch;
    cn_clamp clamp;
    _Atomic int64_t next; /* the next task that nobody has taken */
} run_context;

/* Where a tile stands, counted in tiles. */
typedef struct place {
    int64_t image, at[3];
} place;

static place place_of(const cn__winograd_conv *w, int64_t tile)
{
    place p;
    for (int i = 2; i >= 0; i--) {
        p.at[i] = tile % w->axis[i].tiles;
        tile /= w->axis[i].tiles;
    }
    p.image = tile;
    return p;
}

/* Cells that lie partly outside the image, copied, with zeros for what is outside: at most one on
 * either side of each row. */
typedef struct edges {
    float *next;
    float of[2 * cn__winograd_most * cn__most_merged];
} edges;

/* The merged cell at x of a row. */
static const float *point_cell(const run_context *c, const float *row, int64_t x, edges *copies)
{
    const cn__winograd_conv *w = c->plan->winograd;
    int64_t channels = c->plan->conv.in_channels, width = c->plan->conv.in[2];
    int64_t first = cn__max(0, -x), end = cn__min(w->in_cells, width - x);
    if (first >= end)
        return w->zeros;
    if (end - first == w->in_cells)
        return row + x * channels;
    float *to = copies->next;
    copies->next += w->depth;
    memset(to, 0, (size_t)w->depth * sizeof *to);
    memcpy(to + first * channels, row + (x + first) * channels,
           (size_t)((end - first) * channels) * sizeof *to);
    return to;
}

/* The cells of a tile's window; outside the image zeros. */
static void point_window(const run_context *c, int64_t input, const place *p, const float *in,
                         edges *copies, const float **cells)
{
    const cn_conv *conv = &c->plan->conv;
    const cn__winograd_conv *w = c->plan->winograd;
    const cn__winograd_axis *rows = &w->axis[1], *columns = &w->axis[2];
    int64_t from[3];
    for (int i = 2; i >= 0; i--) {
        const cn__winograd_axis *axis = &w->axis[i];
        from[i] = axis->first[input % axis->inputs] + p->at[i] * axis->step * axis->spacing;
        input /= axis->inputs;
    }
    bool inside = from[0] >= 0 && from[0] < conv->in[0];
    const float *image =
        in + (p->image * conv->in[0] + from[0]) * conv->in[1] * conv->in[2] * conv->in_channels;
    copies->next = copies->of;
    for (int64_t i = 0, y = from[1]; i < rows->points; i++, y += rows->spacing) {
        bool within = inside && y >= 0 && y < conv->in[1];
        const float *row = image + y * conv->in[2] * conv->in_channels;
        for (int64_t j = 0, x = from[2]; j < columns->points; j++, x += columns->spacing)
            *cells++ = within ? point_cell(c, row, x, copies) : w->zeros;
    }
}

/* The tiles of a chunk and the group they are computed for. */
typedef struct chunk {
    int64_t group, first, end;
} chunk;

/* A window made ready. */
typedef struct window {
    const float *cells[most_points];
    edges copies;
} window;

/* Points at a window, and asks for its cells if they come from memory. Short cells that are far
 * apart are read instead: that teaches the processor's own prefetchers, which asking does not. */
static void make_ready(const run_context *c, const chunk *of, int64_t input, int64_t tile,
                       window *next)
{
    const cn__winograd_conv *w = c->plan->winograd;
    place p = place_of(w, tile);
    point_window(c, input, &p, c->in + of->group * w->depth, &next->copies, next->cells);
    bool read = w->merged > 1 && w->depth <= short_cell;
    for (int64_t i = 0; w->far && i < w->points; i++)
        for (int64_t k = 0; k < w->depth; k += line)
            if (read)
                (void)*(const volatile float *)(next->cells[i] + k);
            else
                __builtin_prefetch(next->cells[i] + k, 0, 2);
}

/* The windows of a round. Each is made ready while its predecessor is still to be transformed, so
 * that its cells arrive in time. */
static void transform_input(const run_context *c, const chunk *of, int64_t round,
                            float *transformed)
{
    const cn__winograd_conv *w = c->plan->winograd;
    window two[2], *now = &two[0], *next = &two[1];
    int64_t first = round * w->round_inputs, end = cn__min(first + w->round_inputs, w->inputs);
    for (int64_t input = first; input < end; input++) {
        make_ready(c, of, input, of->first, now);
        for (int64_t tile = of->first; tile < of->end; tile++) {
            if (tile + 1 < of->end)
                make_ready(c, of, input, tile + 1, next);
            w->kernels->input(now->cells, w->depth,
                              transformed + (input - first) * w->points * w->in_step +
                                  (tile - of->first) * w->row,
                              w->in_step);
            window *done = now;
            now = next;
            next = done;
        }
    }
}

/* The matrix product of one point, or some parts of it: sums = in * weights for `tiles` tiles,
 * where `in` are the parts' inputs. Meanwhile what the next product needs is brought near, its
 * weights and then its first input: each run of the tile kernel takes parts * depth lines. */
typedef struct product {
    bool begun; /* add to the sums of parts before */
    int64_t parts, tiles;
    const float *in[cn__most_panel], *weights;
    const float *next_in, *next_weights;
    int64_t next_floats; /* of the weights */
    float *sums;
} product;

static const float *next_lines(const cn_conv_plan *plan, const product *work, int64_t index)
{
    int64_t done = index * work->parts * plan->winograd->depth * line;
    if (done < work->next_floats)
        return work->next_weights + done;
    done -= work->next_floats;
    bool more = work->next_in != NULL && done < work->tiles * plan->winograd->row;
    return more ? work->next_in + done : NULL;
}

static void multiply(const cn_conv_plan *plan, const cn__column_block *block, const product *work)
{
    static const _Alignas(64) float start[cn__widest_block];
    const float *in[cn__most_panel * CN__MAX_ROWS];
    float *out[CN__MAX_ROWS];
    int64_t most = plan->kernels->rows[block->vectors], row = plan->winograd->row;
    int64_t width = block->vectors * plan->kernels->lanes;
    cn__tile tile = {.taps = work->parts,
                     .depth = plan->winograd->depth,
                     .in = in,
                     .weights = work->weights,
                     .weights_tap = plan->winograd->depth * width,
                     .start = work->begun ? NULL : start,
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

/* True if a part of the phase is used at a point, of those from `first` to `end`. */
static bool any_used(const cn__winograd_conv *w, int64_t first, int64_t end, int64_t point)
{
    for (int64_t p = first; p < end; p++)
        if (cn__point_used(w, &w->part[p], point))
            return true;
    return false;
}

/* Goes through the points of a set and the parts of each. */
typedef struct walk {
    int64_t set, point, part;
} walk;

/* The next product, but for the weights: a panel of the parts that are used at a point. None if its
 * parts are 0. */
static void next_product(const cn__winograd_conv *w, const float *in, float *sums, walk *at,
                         product *work)
{
    int64_t end = w->first_part[at->set + 1], round = at->set % w->rounds;
    for (work->parts = 0; at->point < w->points && work->parts < w->panel;) {
        const cn__winograd_part *part = &w->part[at->part];
        if (at->part < end && cn__point_used(w, part, at->point)) {
            if (work->parts == 0)
                work->begun = any_used(w, w->first_part[at->set - round], at->part, at->point);
            work->in[work->parts++] =
                in + ((part->input - round * w->round_inputs) * w->points + at->point) * w->in_step;
        }
        work->sums = sums + at->point * w->sum_step;
        if (++at->part < end)
            continue;
        at->point++;
        at->part = w->first_part[at->set];
        if (work->parts > 0)
            return;
    }
}

/* All points of a set. */
static void multiply_points(const cn_conv_plan *plan, int64_t set, const cn__column_block *block,
                            const float *packed, const float *in, float *sums, int64_t tiles)
{
    const cn__winograd_conv *w = plan->winograd;
    int64_t part_floats = w->depth * block->vectors * plan->kernels->lanes;
    product two[2] = {{.tiles = tiles}, {.tiles = tiles}}, *now = &two[0], *next = &two[1];
    walk at = {set, 0, w->first_part[set]};
    next_product(w, in, sums, &at, now);
    now->weights = packed;
    while (now->parts > 0) {
        next_product(w, in, sums, &at, next);
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

/* A block of columns of a phase. */
typedef struct target {
    int64_t group, phase;
    const cn__column_block *block;
} target;

/* Where a tile's outputs go: into the image, into nowhere if they are outside it, and if merged
 * ones lie partly inside first into a row of their own, of which a part is copied. */
typedef struct destination {
    float *out[most_points];
    int64_t copies;
    struct {
        float *to;
        const float *from;
        int64_t count;
    } copy[2 * cn__winograd_most];
    _Alignas(64) float rows[2 * cn__winograd_most][cn__widest_block], nowhere[cn__widest_block];
} destination;

/* The block's columns of the outputs that begin at x of a row. */
static float *point_output(const run_context *c, const cn__column_block *block, float *row,
                           int64_t x, destination *d)
{
    const cn__winograd_conv *w = c->plan->winograd;
    int64_t channels = c->plan->conv.out_channels, width = c->plan->conv.out[2];
    if (x >= 0 && x + w->out_cells <= width)
        return row + x * channels + block->first;
    int64_t first = cn__max(cn__max(0, -x) * channels, block->first);
    int64_t end =
        cn__min(cn__min(w->out_cells, width - x) * channels, block->first + block->columns);
    if (first >= end)
        return d->nowhere;
    float *of = d->rows[d->copies];
    d->copy[d->copies].to = row + x * channels + first;
    d->copy[d->copies].from = of + first - block->first;
    d->copy[d->copies++].count = end - first;
    return of;
}

static void point_outputs(const run_context *c, const target *to, const place *p, destination *d)
{
    const cn_conv *conv = &c->plan->conv;
    const cn__winograd_axis *axis = c->plan->winograd->axis;
    int64_t from[3], rest = to->phase;
    for (int i = 2; i >= 0; i--) {
        from[i] =
            axis[i].out_first + rest % axis[i].phases + p->at[i] * axis[i].step * axis[i].out_step;
        rest /= axis[i].phases;
    }
    bool inside = from[0] >= 0 && from[0] < conv->out[0];
    float **out = d->out, *image = c->out + to->group * c->plan->columns;
    int64_t slice = p->image * conv->out[0] + from[0];
    d->copies = 0;
    for (int64_t i = 0, y = from[1]; i < axis[1].step; i++, y += axis[1].out_step) {
        bool within = inside && y >= 0 && y < conv->out[1];
        float *row = image + (slice * conv->out[1] + y) * conv->out[2] * conv->out_channels;
        for (int64_t j = 0, x = from[2]; j < axis[2].step; j++, x += axis[2].out_step)
            *out++ = within ? point_output(c, to->block, row, x, d) : d->nowhere;
    }
}

/* The sums at each point of the first tile; zeros where the phase's kernel is zero. */
static void point_sums(const cn_conv_plan *plan, int64_t phase, const float *sums, int64_t width,
                       const float **in, int64_t *step)
{
    const cn__winograd_conv *w = plan->winograd;
    for (int64_t p = 0; p < w->points; p++) {
        bool used = any_used(w, w->first_part[phase * w->rounds],
                             w->first_part[(phase + 1) * w->rounds], p);
        in[p] = used ? sums + p * w->sum_step : w->zeros;
        step[p] = used ? width : 0;
    }
}

static void transform_sums(const run_context *c, const chunk *of, const target *to,
                           const float *sums)
{
    const cn__winograd_conv *w = c->plan->winograd;
    const float *in[most_points];
    int64_t step[most_points];
    destination d;
    _Alignas(64) float start[cn__widest_block] = {0};
    for (int64_t n = 0; c->bias != NULL && n < to->block->columns; n++)
        start[n] =
            c->bias[to->group * c->plan->columns + (to->block->first + n) % c->plan->columns];
    cn__winograd_output work = {.in = in,
                                .start = start,
                                .out = d.out,
                                .channels = to->block->columns,
                                .low = c->clamp.low,
                                .high = c->clamp.high};
    point_sums(c->plan, to->phase, sums, to->block->vectors * c->plan->kernels->lanes, in, step);
    for (int64_t tile = of->first; tile < of->end; tile++) {
        place p = place_of(w, tile);
        point_outputs(c, to, &p, &d);
        w->kernels->output(&work);
        for (int64_t i = 0; i < d.copies; i++)
            memcpy(d.copy[i].to, d.copy[i].from, (size_t)d.copy[i].count * sizeof(float));
        for (int64_t i = 0; i < w->points; i++)
            in[i] += step[i];
    }
}

/* ---- tasks ---- */

static chunk chunk_at(const cn__winograd_conv *w, int64_t index)
{
    int64_t first = index % w->group_chunks * w->chunk;
    return (chunk){index / w->group_chunks, first, cn__min(first + w->chunk, w->tiles)};
}

/* A round of a block of columns of one phase and chunk; with the last round, its outputs. */
static void run_block(const run_context *c, const chunk *of, int64_t round, int64_t phase,
                      int64_t b, const float *transformed, float *sums)
{
    const cn__winograd_conv *w = c->plan->winograd;
    target to = {of->group, phase, &w->block[b]};
    int64_t set = phase * w->rounds + round;
    multiply_points(c->plan, set, to.block,
                    c->packed + cn__winograd_packed(w, of->group, set, to.block), transformed, sums,
                    of->end - of->first);
    if (round == w->rounds - 1)
        transform_sums(c, of, &to, sums);
}

/* A chunk, with a transformed input of its own before the slot's sums. */
static void run_chunk(const run_context *c, const chunk *of, float *slot)
{
    const cn__winograd_conv *w = c->plan->winograd;
    int64_t sums_step = w->rounds > 1 ? w->points * w->sum_step : 0;
    for (int64_t round = 0; round < w->rounds; round++) {
        float *sums = slot + w->chunk_floats;
        transform_input(c, of, round, slot);
        for (int64_t phase = 0; phase < w->phases; phase++)
            for (int64_t b = 0; b < w->blocks; b++, sums += sums_step)
                run_block(c, of, round, phase, b, slot, sums);
    }
}

static float *shared_chunk(const run_context *c, int64_t index)
{
    const cn__winograd_conv *w = c->plan->winograd;
    return c->scratch + w->slots * w->slot_floats + index * w->chunk_floats;
}

/* A few tiles of the shared input of one group. */
static void input_task(void *context, size_t index)
{
    const run_context *c = context;
    const cn__winograd_conv *w = c->plan->winograd;
    int64_t pieces = cn__ceil_div(w->tiles, shared_tiles);
    int64_t group = (int64_t)index / pieces, first = (int64_t)index % pieces * shared_tiles;
    for (int64_t tile = first; tile < cn__min(first + shared_tiles, w->tiles); tile++)
        transform_input(c, &(chunk){group, tile, tile + 1}, 0,
                        shared_chunk(c, group * w->group_chunks + tile / w->chunk) +
                            tile % w->chunk * w->row);
}

/* Takes tasks until there are none left: there are as many workers as slots of working memory. */
static void work(void *context, size_t slot)
{
    run_context *c = context;
    const cn__winograd_conv *w = c->plan->winograd;
    float *memory = c->scratch + (int64_t)slot * w->slot_floats;
    for (;;) {
        int64_t task = atomic_fetch_add_explicit(&c->next, 1, memory_order_relaxed);
        if (task >= w->tasks)
            return;
        int64_t index = task % w->chunks, part = task / w->chunks;
        chunk of = chunk_at(w, index);
        if (w->shared)
            run_block(c, &of, 0, part / w->blocks, part % w->blocks, shared_chunk(c, index),
                      memory);
        else
            run_chunk(c, &of, memory);
    }
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
    atomic_init(&context.next, 0);
    if (w->shared)
        cn__pool_run(pool, input_task, &context,
                     (size_t)(plan->conv.groups * cn__ceil_div(w->tiles, shared_tiles)));
    cn__pool_run(pool, work, &context, (size_t)w->slots);
}
