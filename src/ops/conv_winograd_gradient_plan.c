/* Planning minimal filtering for kernel gradients: blocks of channels, chunks of tiles, working
 * memory, and whether it pays. */
#include <math.h>

#include "ops/conv_winograd_plan.h"

enum {
    own_bytes = 5 << 18,       /* of sums that a task may have for itself: they stay in a cache */
    own_chunk_bytes = 2 << 20, /* of a task's transformed chunk */
    least_chunk = 24,          /* tiles: fewer would read the sums too often */
    most_chunk = 96,
    slice_tiles = 128, /* of a slice at least: adding slices up has to cost little */
    most_slices = 16,
    shared_bytes = 48 << 20, /* of a shared chunk, where there are several */
    far_floats = 1 << 21,    /* of an input or gradient that does not stay in a cache */
    most_slots = 32
};

/* Blocks of nearly equal numbers of lines, each of which has at least a vector's channels. */
static void plan_side(cn__winograd_side *side, int64_t channels)
{
    int64_t lines = cn__ceil_div(channels, cn__line_floats);
    side->channels = channels;
    side->blocks = cn__ceil_div(lines, cn__widest_block / cn__line_floats);
    side->width = cn__ceil_div(lines, side->blocks) * cn__line_floats;
}

/* A line more for each point keeps them from falling on the same lines of the caches. */
static void side_memory(const cn__winograd_conv *w, cn__winograd_side *side)
{
    side->panel = w->gradient.chunk * side->width;
    side->step = side->blocks * side->panel + cn__line_floats;
    side->size = w->points * side->step;
}

static int64_t tile_bytes(const cn__winograd_conv *w, int64_t parts)
{
    const cn__winograd_side *in = &w->gradient.in, *out = &w->gradient.out;
    return w->points * (parts * in->blocks * in->width + out->blocks * out->width) *
           (int64_t)sizeof(float);
}

/* Tiles of a chunk if `all` are cut into equal ones of at most `most`. */
static int64_t equal_chunks(int64_t all, int64_t most)
{
    return cn__ceil_div(all, cn__ceil_div(all, most));
}

static void plan_slices(cn__winograd_conv *w)
{
    cn__winograd_gradient *g = &w->gradient;
    g->slices = cn__max(1, cn__min(most_slices, w->tiles / slice_tiles));
    g->task_parts = g->slices >= cn__default_threads() ? w->parts : 1;
    g->slice_tasks = g->slices * w->parts / g->task_parts;
    int64_t tiles = cn__ceil_div(w->tiles, g->slices);
    int64_t most = own_chunk_bytes / tile_bytes(w, 1);
    g->chunk = equal_chunks(tiles, cn__max(least_chunk, cn__min(most_chunk, most)));
    g->chunks = cn__ceil_div(tiles, g->chunk);
    g->slice_sums = g->blocks * g->block_sums;
}

/* One chunk, whose sums need to be kept for one block at a time only, or, if it is too large,
 * several. */
static void plan_shared(cn__winograd_conv *w, int64_t room)
{
    cn__winograd_gradient *g = &w->gradient;
    int64_t most = shared_bytes / tile_bytes(w, w->parts);
    bool kept = g->blocks * g->block_sums < room - shared_bytes / (int64_t)sizeof(float);
    g->shared = true;
    g->slices = 1;
    g->chunk = kept && w->tiles > most ? equal_chunks(w->tiles, cn__max(1, most)) : w->tiles;
    g->chunks = cn__ceil_div(w->tiles, g->chunk);
    g->slice_sums = g->chunks > 1 ? g->blocks * g->block_sums : 0;
}

static int64_t shared_floats(const cn__winograd_gradient *g)
{
    return g->slices * g->slice_sums + (g->shared ? g->in.size + g->out.size : 0);
}

/* Leaves it in plan->winograd, or NULL if it does not fit the parts of the kernel or the scratch.
 */
static cn_status plan_with(cn_conv_plan *plan, const cn__winograd *kernels, const bool filtered[3])
{
    plan->winograd = NULL;
    cn__winograd_conv *w = cn__winograd_new(plan, kernels, filtered, 1);
    if (w == NULL)
        return cn_error_status();
    CN__TRY(cn__winograd_parts(plan, w));
    if (w->part == NULL)
        return CN_OK;
    w->tiles = plan->conv.batch * w->axis[0].tiles * w->axis[1].tiles * w->axis[2].tiles;
    w->far = cn_conv_in_count(&plan->conv) > far_floats;
    w->far_out = cn_conv_out_count(&plan->conv) > far_floats;
    int64_t zeros = cn__max(cn__max(plan->depth, plan->columns), cn__widest_block);
    w->zeros = cn__arena_alloc(plan->arena, (size_t)zeros * sizeof(float));
    if (w->zeros == NULL)
        return cn_error_status();
    cn__winograd_gradient *g = &w->gradient;
    plan_side(&g->in, plan->depth);
    plan_side(&g->out, plan->columns);
    g->blocks = w->parts * g->in.blocks * g->out.blocks;
    g->sum_step = g->in.width * g->out.width + cn__line_floats;
    g->block_sums = w->points * g->sum_step;
    if (g->blocks / w->parts * g->block_sums * (int64_t)sizeof(float) <= own_bytes)
        plan_slices(w);
    else
        plan_shared(w, cn__winograd_room(plan));
    side_memory(w, &g->in);
    side_memory(w, &g->out);
    if (g->shared) {
        g->in.part = g->in.size;
        g->in.size *= w->parts;
    }
    g->slot_floats = g->shared ? (g->chunks == 1 ? g->block_sums : 0) : g->in.size + g->out.size;
    g->slots = cn__min(cn__default_threads(), most_slots);
    g->slots = cn__min(g->slots, g->shared ? g->blocks : g->slice_tasks);
    int64_t room = cn__winograd_room(plan) - shared_floats(g);
    if (g->slot_floats > 0)
        g->slots = cn__min(g->slots, room / g->slot_floats);
    if (room >= 0 && g->slots > 0)
        plan->winograd = w;
    return CN_OK;
}

/* ---- whether it pays ---- */

/* Measured: cycles to transform a vector at a point, forth and back; the share of the peak that
 * products reach, direct and at the points. */
static const double transform_cycles = 10, result_cycles = 3, direct_share = 0.8, share = 0.8;

/* The direct sum leaves taps out that read the padding. */
static double direct_cycles(const cn_conv_plan *plan)
{
    const cn__gradient *g = &plan->gradient;
    int64_t lanes = plan->kernels->lanes;
    int64_t line_products = g->swapped ? plan->columns * cn__ceil_div(g->rows, lanes)
                                       : g->rows * cn__ceil_div(plan->columns, lanes);
    double products = (double)(plan->conv.batch * line_products) / (double)g->merged;
    for (int i = 0; i < 3; i++) {
        const cn__axis_phase *axis = plan->phase[0].axis[i];
        int64_t inside = 0;
        for (int64_t cell = 0; cell < axis->count * axis->taps; cell++)
            inside += axis->in[cell] >= 0;
        products *= (double)inside;
    }
    return products / 2 / direct_share;
}

/* The points of all parts, without those at which a part of the kernel is zero. */
static int64_t used_points(const cn__winograd_conv *w)
{
    int64_t points = 0;
    for (int64_t p = 0; p < w->parts; p++)
        for (int64_t i = 0; i < w->points; i++)
            points += cn__point_used(w, &w->part[p], i);
    return points;
}

static double winograd_cycles(const cn_conv_plan *plan)
{
    const cn__winograd_conv *w = plan->winograd;
    const cn__winograd_gradient *g = &w->gradient;
    double lanes = plan->kernels->lanes, points = (double)w->points;
    double columns = (double)cn__ceil_div(plan->columns, plan->kernels->lanes);
    double kernel = (double)plan->depth * columns;
    int64_t transformed = tile_bytes(w, w->parts);
    double vectors = (double)transformed / (lanes * sizeof(float)), tiles = (double)w->tiles;
    return tiles * vectors * transform_cycles +
           cn__winograd_far_cycles(cn_conv_in_count(&plan->conv)) +
           cn__winograd_far_cycles(cn_conv_out_count(&plan->conv)) +
           tiles * (double)used_points(w) * kernel / 2 / share +
           (double)(w->parts * g->slices) * points * kernel * result_cycles;
}

static cn_status try(cn_conv_plan *plan, const cn__winograd *kernels, const bool filtered[3],
                     cn__winograd_choice *best)
{
    CN__TRY(plan_with(plan, kernels, filtered));
    double cycles = plan->winograd != NULL ? winograd_cycles(plan) : (double)INFINITY;
    cn__winograd_keep(best, cycles, plan->winograd);
    return CN_OK;
}

cn_status cn__winograd_gradient_plan(cn_conv_plan *plan)
{
    plan->cycles = plan->phases > 0 ? direct_cycles(plan) : (double)INFINITY;
    if (!cn__winograd_possible(plan) || plan->conv.groups != 1 ||
        !cn__winograd_fills(plan, plan->depth, plan->columns))
        return CN_OK;
    CN__TRY(cn__winograd_choose(plan, plan->cycles, try));
    if (plan->winograd == NULL)
        return CN_OK;
    plan->algorithm = "minimal filtering";
    const cn__winograd_gradient *g = &plan->winograd->gradient;
    plan->scratch_floats = shared_floats(g) + g->slots * g->slot_floats;
    return CN_OK;
}
