/* Planning minimal filtering: whether it can be used, windows, tiles, working memory, and whether
 * it pays. */
#include <math.h>

#include "ops/conv_winograd_plan.h"

enum {
    line = 16, /* floats of a cache line */
    /* Tiles of a task: enough for each part of the packed kernel, which comes from the third-level
     * cache or from memory, to be used often. */
    least_chunk = 24,
    most_chunk = 48,
    slot_bytes = 4 << 20,      /* of a task's working memory, where `least_chunk` allows it */
    scratch_bytes = 128 << 20, /* of all tasks: fewer run together if this is not enough */
    wanted_chunks = 8,
    /* The most products in a sum at one of 6 x 6 points: the error grows with their number, and
     * with twice as many comes near to the bound of ops.h. 4 x 4 points have a quarter of it. */
    most_products = 1024,
    most_slots = 32
};

bool cn__winograd_possible(const cn_conv_plan *plan)
{
    const cn_conv *conv = &plan->conv;
    int64_t lanes = plan->kernels->lanes;
    if (conv->direct_only || !cn__winograd_allowed())
        return false;
    if (conv->groups != 1 || conv->in_channels < lanes || conv->out_channels < lanes)
        return false;
    if (conv->dilation[1] != 1 || conv->dilation[2] != 1)
        return false;
    return conv->kernel[0] == 1 && conv->stride[0] == 1 && conv->before[0] == 0 &&
           conv->in[0] == conv->out[0];
}

/* ---- the parts of the taps ---- */

/* Each phase of a transposed convolution's axis. As a correlation it has its taps in reverse. */
static void parts_by_phase(const cn_conv_plan *plan, cn__winograd_conv *w, int axis)
{
    const cn_conv *conv = &plan->conv;
    int64_t stride = conv->stride[axis + 1];
    for (int64_t p = 0; p < w->parts[axis]; p++) {
        const cn__axis_phase *phase = &plan->axis[axis + 1].phase[p];
        cn__window *window = &w->window[axis][p];
        window->taps = phase->taps;
        if (phase->taps == 0)
            continue;
        window->tap = phase->tap[phase->taps - 1];
        window->tap_step = -stride;
        window->first = (p + conv->before[axis + 1] - window->tap) / stride;
    }
}

/* The taps with the same position modulo the stride, cut into as few equal parts of at most three
 * as can be; with room for cn__most_parts. Returns how many there are, also if it is more. */
static int64_t summed_parts(const cn_conv_plan *plan, int axis, cn__window *windows)
{
    const cn_conv *conv = &plan->conv;
    bool transposed = plan->pass == CN_CONV_TRANSPOSE;
    int64_t kernel = conv->kernel[axis + 1], stride = conv->stride[axis + 1], parts = 0;
    int64_t before = transposed ? kernel - 1 - conv->before[axis + 1] : conv->before[axis + 1];
    for (int64_t residue = 0; residue < cn__min(stride, kernel); residue++) {
        int64_t all = cn__ceil_div(kernel - residue, stride), pieces = cn__ceil_div(all, 3);
        for (int64_t i = 0; i < pieces; i++, parts++) {
            int64_t from = all * i / pieces, tap = residue + from * stride;
            if (parts < cn__most_parts)
                windows[parts] = (cn__window){.taps = all * (i + 1) / pieces - from,
                                              .tap = transposed ? kernel - 1 - tap : tap,
                                              .tap_step = transposed ? -1 : stride,
                                              .first = tap - before};
        }
    }
    return parts;
}

static cn_status plan_parts(const cn_conv_plan *plan, cn__winograd_conv *w, int axis)
{
    int64_t phases = plan->axis[axis + 1].phases;
    w->window[axis] = cn__arena_alloc(plan->arena, (size_t)cn__max(phases, cn__most_parts) *
                                                       sizeof *w->window[axis]);
    if (w->window[axis] == NULL)
        return cn_error_status();
    w->spacing[axis] = w->summed ? plan->conv.stride[axis + 1] : 1;
    w->parts[axis] = w->summed ? summed_parts(plan, axis, w->window[axis]) : phases;
    if (!w->summed)
        parts_by_phase(plan, w, axis);
    return CN_OK;
}

/* The most taps of a part along the axes; 0 if there are parts without or too many parts. */
static int64_t most_taps(const cn__winograd_conv *w)
{
    int64_t most = 0;
    for (int axis = 0; axis < 2; axis++) {
        if (w->summed && w->parts[axis] > cn__most_parts)
            return 0;
        for (int64_t p = 0; p < w->parts[axis]; p++) {
            if (w->window[axis][p].taps == 0)
                return 0;
            most = cn__max(most, w->window[axis][p].taps);
        }
    }
    return most;
}

/* ---- windows and tiles ---- */

/* The windows that phases share begin where the first of them begins to read. A phase that begins
 * later gets zeros before its taps if it has room for them, else its outputs are shifted. */
static void share_windows(cn__winograd_conv *w, int axis)
{
    int64_t first = INT64_MAX;
    for (int64_t p = 0; p < w->parts[axis]; p++)
        first = cn__min(first, w->window[axis][p].first);
    for (int64_t p = 0; p < w->parts[axis]; p++) {
        cn__window *window = &w->window[axis][p];
        int64_t late = window->first - first;
        window->lead = cn__min(late, w->taps - window->taps);
        window->shift = late - window->lead;
        window->first = first;
    }
}

/* A single tap in the middle of three needs neither the first point nor the last. */
static void centre_windows(cn__winograd_conv *w, int axis)
{
    for (int64_t p = 0; p < w->parts[axis]; p++) {
        cn__window *window = &w->window[axis][p];
        window->lead = window->taps + 2 <= w->taps;
        window->first -= window->lead * w->spacing[axis];
    }
}

static void plan_tiles(const cn_conv_plan *plan, cn__winograd_conv *w, int axis)
{
    if (w->summed)
        centre_windows(w, axis);
    else
        share_windows(w, axis);
    int64_t outputs = plan->axis[axis + 1].phase[0].count;
    for (int64_t p = 0; p < w->parts[axis]; p++) {
        cn__window *window = &w->window[axis][p];
        window->first_point = window->lead > 0;
        window->end_point = w->points - (window->lead + window->taps < w->taps);
        if (!w->summed)
            outputs = cn__max(outputs, plan->axis[axis + 1].phase[p].count + window->shift);
    }
    w->tiles[axis] = cn__ceil_div(outputs, w->step);
}

static cn_status plan_packed(const cn_conv_plan *plan, cn__winograd_conv *w)
{
    int64_t *packed = cn__arena_alloc(plan->arena, (size_t)(plan->phases + 1) * sizeof *packed);
    if (packed == NULL)
        return cn_error_status();
    w->packed = packed;
    for (int64_t p = 0; p < plan->phases; p++)
        packed[p + 1] = packed[p] + cn__phase_points(w, p) * plan->depth * plan->packed_columns;
    return CN_OK;
}

/* Whole tiles of the matrix product, in chunks of about the same size. */
static void plan_chunks(const cn_conv_plan *plan, cn__winograd_conv *w)
{
    int64_t rows = plan->kernels->rows[plan->block[0].vectors];
    int64_t tile_bytes =
        w->points * w->points * (w->inputs * w->row + cn__widest_block) * (int64_t)sizeof(float);
    int64_t most = cn__min(most_chunk, slot_bytes / tile_bytes);
    most = cn__max(least_chunk, cn__min(most, w->all_tiles / wanted_chunks));
    w->shared = w->all_tiles <= 2 * most_chunk;
    if (w->shared)
        most = most_chunk;
    int64_t equal = cn__ceil_div(w->all_tiles, cn__ceil_div(w->all_tiles, most));
    w->chunk = cn__min(cn__ceil_div(equal, rows) * rows, w->all_tiles);
    w->chunks = cn__ceil_div(w->all_tiles, w->chunk);
    w->tasks = w->chunks * (w->shared ? plan->phases * plan->blocks : 1);
}

static void plan_memory(const cn_conv_plan *plan, cn__winograd_conv *w)
{
    int64_t points = w->points * w->points;
    w->row = cn__ceil_div(plan->depth, line) * line;
    plan_chunks(plan, w);
    /* One line more keeps the points from falling on the same lines of the caches. */
    w->in_step = w->chunk * w->row + line;
    w->sum_step = w->chunk * cn__widest_block + line;
    w->chunk_floats = w->inputs * points * w->in_step;
    w->slot_floats = points * w->sum_step + cn__widest_block + (w->shared ? 0 : w->chunk_floats);
    int64_t room = scratch_bytes / (int64_t)sizeof(float);
    room -= w->shared ? w->chunks * w->chunk_floats : 0;
    w->slots = cn__min(w->tasks, cn__min(most_slots, cn__default_threads()));
    w->slots = cn__min(w->slots, room / w->slot_floats);
}

cn_status cn__winograd_windows(const cn_conv_plan *plan, const cn__winograd *kernels,
                               cn__winograd_conv **planned)
{
    *planned = NULL;
    cn__winograd_conv *w = cn__arena_alloc(plan->arena, sizeof *w);
    if (w == NULL)
        return cn_error_status();
    w->summed =
        plan->pass != CN_CONV_TRANSPOSE || (plan->conv.stride[1] == 1 && plan->conv.stride[2] == 1);
    CN__TRY(plan_parts(plan, w, 0));
    CN__TRY(plan_parts(plan, w, 1));
    int64_t taps = most_taps(w);
    if (taps < 2 || taps > kernels->taps)
        return CN_OK;
    w->inputs = w->summed ? w->parts[0] * w->parts[1] : 1;
    w->kernels = kernels;
    w->points = kernels->points;
    w->taps = kernels->taps;
    w->step = w->points - w->taps + 1;
    plan_tiles(plan, w, 0);
    plan_tiles(plan, w, 1);
    w->all_tiles = plan->conv.batch * plan->conv.in[0] * w->tiles[0] * w->tiles[1];
    int64_t zeros = cn__max(cn__max(plan->depth, plan->columns), cn__widest_block);
    w->zeros = cn__arena_alloc(plan->arena, (size_t)zeros * sizeof(float));
    if (w->zeros == NULL)
        return cn_error_status();
    *planned = w;
    return CN_OK;
}

/* Leaves it in plan->winograd, or NULL if it does not fit the parts of the kernel or the scratch.
 */
static cn_status plan_with(cn_conv_plan *plan, const cn__winograd *kernels)
{
    cn__winograd_conv *w;
    plan->winograd = NULL;
    CN__TRY(cn__winograd_windows(plan, kernels, &w));
    if (w == NULL ||
        (kernels->points == cn__winograd_most && w->inputs * plan->depth > most_products))
        return CN_OK;
    CN__TRY(plan_packed(plan, w));
    plan_memory(plan, w);
    if (w->slots > 0)
        plan->winograd = w;
    return CN_OK;
}

/* ---- whether it pays ---- */

/* Measured: cycles to transform a vector at a point, inputs and sums alike; bytes of the packed
 * kernel that are read in a cycle if it fits the third-level cache and if it does not, and written;
 * the share of the peak that the products reach. */
static const double transform_cycles = 10, cached_bytes = 12, memory_bytes = 4.5, pack_bytes = 2.4,
                    share = 0.85;
static const double cache = 24 << 20;

/* A kernel is packed once if it is constant, and for each run in training. */
static const double pack_runs = 0.25;

static double products(const cn_conv_plan *plan, double pixels, double taps)
{
    double columns = (double)plan->packed_columns / plan->kernels->lanes;
    return pixels * taps * (double)plan->depth * columns / 2 / share;
}

static double with_weights(double cycles, double bytes, double reads)
{
    double read = bytes * reads / (bytes < cache ? cached_bytes : memory_bytes);
    return (cycles > read ? cycles : read) + pack_runs * bytes / pack_bytes;
}

static double direct_cycles(const cn_conv_plan *plan)
{
    double cycles = 0, pixels = 0;
    for (int64_t p = 0; p < plan->phases; p++) {
        double here = (double)(plan->conv.batch * plan->phase[p].image_pixels);
        cycles += products(plan, here, (double)plan->phase[p].taps);
        pixels += here;
    }
    double chunks = pixels / (double)(plan->phases * plan->chunk_pixels);
    return with_weights(cycles, (double)cn_conv_plan_packed_bytes(plan), chunks < 1 ? 1 : chunks);
}

static double winograd_cycles(const cn_conv_plan *plan)
{
    const cn__winograd_conv *w = plan->winograd;
    double products_points = 0;
    for (int64_t p = 0; p < plan->phases; p++)
        products_points += (double)cn__phase_points(w, p);
    double tiles = (double)w->all_tiles, points = (double)(w->points * w->points);
    double vectors =
        (double)(w->inputs * w->row + plan->phases * plan->packed_columns) / plan->kernels->lanes;
    double bytes = (double)w->packed[plan->phases] * sizeof(float);
    return tiles * points * vectors * transform_cycles +
           with_weights(products(plan, tiles, products_points), bytes, (double)w->chunks);
}

static int preferred;

void cn__winograd_prefer(int points)
{
    preferred = points;
}

cn_status cn__winograd_choose(cn_conv_plan *plan,
                              cn_status (*plan_one)(cn_conv_plan *plan,
                                                    const cn__winograd *kernels),
                              double (*cycles_of)(const cn_conv_plan *plan), double direct)
{
    double best = preferred != 0 ? (double)INFINITY : direct;
    const cn__winograd_conv *chosen = NULL;
    for (int i = 0; i < CN__WINOGRAD_COUNT; i++) {
        const cn__winograd *kernels = &plan->kernels->winograd[i];
        if (preferred != 0 && kernels->points != preferred)
            continue;
        CN__TRY(plan_one(plan, kernels));
        if (plan->winograd == NULL)
            continue;
        double cycles = cycles_of(plan);
        if (cycles < best) {
            best = cycles;
            chosen = plan->winograd;
        }
    }
    plan->winograd = chosen;
    return CN_OK;
}

cn_status cn__winograd_plan(cn_conv_plan *plan)
{
    if (!cn__winograd_possible(plan))
        return CN_OK;
    CN__TRY(cn__winograd_choose(plan, plan_with, winograd_cycles, direct_cycles(plan)));
    const cn__winograd_conv *w = plan->winograd;
    if (w == NULL)
        return CN_OK;
    plan->packed_floats = w->packed[plan->phases];
    plan->scratch_floats =
        w->slots * w->slot_floats + (w->shared ? w->chunks * w->chunk_floats : 0);
    return CN_OK;
}
