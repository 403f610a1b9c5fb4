/* Running minimal filtering.
 *
 * A tile of outputs is computed from windows of input cells in three stages (winograd.c has the
 * transforms): the windows' channels are transformed, at each of their points multiplied with the
 * transformed kernel, a matrix product over all tiles, and the sums transformed back. A task does
 * so for some tiles, so that what lies between the stages stays in the cache. */
#include <math.h>

#include "ops/conv_winograd_plan.h"
#include "ops/split.h"

enum {
    shared_tiles = 4, /* of a task that transforms shared input */
};

/* The matrix product of one point, or some parts of it: sums = in * weights for `tiles` tiles,
 * where `in` are the parts' inputs. Meanwhile what the next product needs is brought near, its
 * weights and then its first input: each run of the tile kernel takes parts * depth lines. */
typedef struct product {
    bool begun; /* add to the sums of parts before */
    int64_t parts, tiles;
    const float *in[cn__most_parts], *weights;
    const float *next_in, *next_weights;
    int64_t next_floats; /* of the weights */
    float *sums;
} product;

static const float *next_lines(const cn_conv_plan *plan, const product *work, int64_t index)
{
    int64_t done = index * work->parts * plan->winograd->depth * cn__line_floats;
    if (done < work->next_floats)
        return work->next_weights + done;
    done -= work->next_floats;
    bool more = work->next_in != NULL && done < work->tiles * plan->winograd->row;
    return more ? work->next_in + done : NULL;
}

static void multiply(const cn_conv_plan *plan, const cn__column_block *block, const product *work)
{
    static const _Alignas(64) float start[cn__widest_block];
    const float *in[cn__most_parts * CN__MAX_ROWS];
    float *out[CN__MAX_ROWS];
    int64_t most = plan->kernels->rows[block->vectors], row = plan->winograd->row;
    int64_t width = block->vectors * plan->kernels->lanes;
    cn__tile tile = {.taps = work->parts,
                     .depth = plan->winograd->depth,
                     .in = in,
                     .weights = work->weights,
                     .weights_tap = cn__packed_floats(plan->winograd, 1, width),
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
                work->begun = cn__any_used(w, w->first_part[at->set - round], at->part, at->point);
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
    int64_t part_floats = cn__packed_floats(w, 1, block->vectors * plan->kernels->lanes);
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

/* ---- tasks ---- */

static cn__winograd_chunk chunk_at(const cn__winograd_conv *w, int64_t index)
{
    int64_t first = index % w->group_chunks * w->chunk;
    return (cn__winograd_chunk){index / w->group_chunks, first,
                                cn__min(first + w->chunk, w->tiles)};
}

/* A round of a block of columns of one phase and chunk; with the last round, its outputs. */
static void run_block(const cn__winograd_context *c, const cn__winograd_chunk *of, int64_t round,
                      int64_t phase, int64_t b, const float *transformed, float *sums)
{
    const cn__winograd_conv *w = c->plan->winograd;
    const cn__column_block *block = &w->block[b];
    int64_t set = phase * w->rounds + round;
    multiply_points(c->plan, set, block, c->packed + cn__winograd_packed(w, of->group, set, block),
                    transformed, sums, of->end - of->first);
    if (round == w->rounds - 1)
        cn__winograd_outputs(c, of, phase, block, sums);
}

/* A chunk, with a transformed input of its own before the slot's sums. */
static void run_chunk(const cn__winograd_context *c, const cn__winograd_chunk *of, float *slot)
{
    const cn__winograd_conv *w = c->plan->winograd;
    int64_t sums_step = w->rounds > 1 ? w->points * w->sum_step : 0;
    for (int64_t round = 0; round < w->rounds; round++) {
        float *sums = slot + w->chunk_floats;
        cn__winograd_inputs(c, of, round, slot);
        for (int64_t phase = 0; phase < w->phases; phase++)
            for (int64_t b = 0; b < w->blocks; b++, sums += sums_step)
                run_block(c, of, round, phase, b, slot, sums);
    }
}

static float *shared_chunk(const cn__winograd_context *c, int64_t index)
{
    const cn__winograd_conv *w = c->plan->winograd;
    return c->scratch + w->slots * w->slot_floats + index * w->chunk_floats;
}

/* A few tiles of the shared input of one group. */
static void input_task(void *context, size_t index)
{
    const cn__winograd_context *c = context;
    const cn__winograd_conv *w = c->plan->winograd;
    int64_t pieces = cn__ceil_div(w->tiles, shared_tiles);
    int64_t group = (int64_t)index / pieces, first = (int64_t)index % pieces * shared_tiles;
    for (int64_t tile = first; tile < cn__min(first + shared_tiles, w->tiles); tile++)
        cn__winograd_inputs(c, &(cn__winograd_chunk){group, tile, tile + 1}, 0,
                            shared_chunk(c, group * w->group_chunks + tile / w->chunk) +
                                tile % w->chunk * w->row);
}

/* A chunk, or a block of columns of one phase of it; `slot` is the working memory. */
static void chunk_task(void *context, int64_t task, int64_t slot)
{
    const cn__winograd_context *c = context;
    const cn__winograd_conv *w = c->plan->winograd;
    float *memory = c->scratch + slot * w->slot_floats;
    int64_t index = task % w->chunks, part = task / w->chunks;
    cn__winograd_chunk of = chunk_at(w, index);
    if (w->shared)
        run_block(c, &of, 0, part / w->blocks, part % w->blocks, shared_chunk(c, index), memory);
    else
        run_chunk(c, &of, memory);
}

static void run_winograd(const cn_conv_plan *plan, const cn__conv_run *run, cn_pool *pool)
{
    const cn__winograd_conv *w = plan->winograd;
    cn__winograd_context context = {.plan = plan,
                                    .in = run->in,
                                    .packed = run->packed,
                                    .bias = run->bias,
                                    .out = run->out,
                                    .scratch = run->scratch,
                                    .clamp = run->clamp};
    if (w->shared)
        cn__pool_run(pool, input_task, &context,
                     (size_t)(plan->conv.groups * cn__ceil_div(w->tiles, shared_tiles)));
    cn__run_slots(pool, chunk_task, &context, w->tasks, w->slots);
}

const cn__conv_path cn__winograd_path = {cn__winograd_pack, run_winograd};
