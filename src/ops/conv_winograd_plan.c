/* Planning minimal filtering: whether it can be used, its tasks and working memory, and whether it
 * pays. */
#include <math.h>
#include <stdio.h>

#include "ops/conv_winograd_plan.h"

enum {
    /* Tiles of a task: enough for each part of the packed kernel, which comes from the third-level
     * cache or from memory, to be used often. */
    least_chunk = 24,
    most_chunk = 48,
    near_floats = 192 * 1024,  /* of a kernel in the second-level cache: fewer tiles will do */
    round_bytes = 1 << 20,     /* of the windows that are transformed together, at most */
    scratch_bytes = 128 << 20, /* of all tasks, if the convolution does not tell: fewer run together
                                  if this is not enough */
    wanted_chunks = 8,
    /* The most products in a sum at one of 6 x 6 points, and of 6 points along one axis: the error
     * grows with their number, and with more comes near to the bound of ops.h. Fewer points have a
     * quarter of it. */
    most_products = 1400,
    most_line_products = 8192,
    panel_floats = 128 * 1024, /* about half of a second-level cache */
    far_floats = 1 << 20,      /* of an input that does not stay in the caches */
    far_out_floats = 2 << 20,  /* of an output that does not */
    most_near = 4 << 20,       /* floats of either that cost nothing by themselves */
    most_slots = 32
};

int64_t cn__winograd_room(const cn_conv_plan *plan)
{
    int64_t bytes = plan->conv.most_scratch;
    return (bytes != 0 ? bytes : scratch_bytes) / (int64_t)sizeof(float);
}

bool cn__winograd_possible(const cn_conv_plan *plan)
{
    const cn_conv *conv = &plan->conv;
    if (conv->direct_only || !cn__winograd_allowed())
        return false;
    return conv->dilation[0] == 1 && conv->dilation[1] == 1 && conv->dilation[2] == 1;
}

bool cn__winograd_fills(const cn_conv_plan *plan, int64_t depth, int64_t columns)
{
    int64_t lanes = plan->kernels->lanes;
    return (depth >= lanes || plan->roomy) && columns >= lanes;
}

/* ---- tasks and memory ---- */

static cn_status plan_cells(const cn_conv_plan *plan, cn__winograd_conv *w)
{
    bool transposed = plan->pass == CN_CONV_TRANSPOSE;
    w->in_cells = transposed ? 1 : w->merged;
    w->out_cells = transposed ? w->merged : 1;
    w->depth = plan->depth * w->in_cells;
    w->columns = plan->columns * w->out_cells;
    return cn__plan_blocks(plan, w->columns, cn__widest(plan->kernels), &w->blocks, &w->block,
                           &w->packed_columns);
}

/* The round in which a part's window is transformed. */
static int64_t set_of(const cn__winograd_conv *w, const cn__winograd_part *part)
{
    return part->phase * w->rounds + part->input / w->round_inputs;
}

static cn_status plan_sets(const cn_conv_plan *plan, cn__winograd_conv *w)
{
    int64_t sets = w->phases * w->rounds, part = 0;
    int64_t *first = cn__arena_alloc(plan->arena, (size_t)(sets + 1) * sizeof *first);
    int64_t *packed = cn__arena_alloc(plan->arena, (size_t)(sets + 1) * sizeof *packed);
    if (first == NULL || packed == NULL)
        return cn_error_status();
    w->first_part = first;
    w->packed = packed;
    for (int64_t s = 0; s < sets; s++) {
        while (part < w->parts && set_of(w, &w->part[part]) == s)
            part++;
        first[s + 1] = part;
        packed[s + 1] =
            packed[s] + cn__set_points(w, s) * cn__packed_floats(w, w->blocks, w->packed_columns);
    }
    w->group_packed = packed[sets];
    return CN_OK;
}

/* Whole tiles of the matrix product, in chunks of about the same size. */
static void plan_chunks(const cn_conv_plan *plan, cn__winograd_conv *w)
{
    int64_t rows = plan->kernels->rows[w->block[0].vectors];
    int64_t input_bytes = w->points * w->row * (int64_t)sizeof(float);
    w->shared = w->tiles <= 2 * most_chunk && w->phases * w->blocks > 1;
    bool near = w->points * w->parts * w->depth * w->packed_columns <= near_floats;
    int64_t least = near ? rows : least_chunk;
    int64_t most = cn__max(least, cn__min(most_chunk, w->tiles / wanted_chunks));
    if (w->shared)
        most = most_chunk;
    int64_t equal = cn__ceil_div(w->tiles, cn__ceil_div(w->tiles, most));
    w->chunk = cn__min(cn__ceil_div(equal, rows) * rows, w->tiles);
    w->group_chunks = cn__ceil_div(w->tiles, w->chunk);
    w->chunks = w->group_chunks * plan->conv.groups;
    w->tasks = w->chunks * (w->shared ? w->phases * w->blocks : 1);
    w->round_inputs = w->inputs;
    if (!w->shared)
        w->round_inputs = cn__min(w->inputs, cn__max(1, round_bytes / (input_bytes * w->chunk)));
    w->rounds = cn__ceil_div(w->inputs, w->round_inputs);
    w->panel = cn__max(1, panel_floats / (w->depth * cn__widest_block));
}

static cn_status plan_memory(const cn_conv_plan *plan, cn__winograd_conv *w)
{
    w->row = cn__ceil_div(w->depth, cn__line_floats) * cn__line_floats;
    plan_chunks(plan, w);
    /* One line more keeps the points from falling on the same lines of the caches. */
    w->in_step = w->chunk * w->row + cn__line_floats;
    w->sum_step = w->chunk * cn__widest_block + cn__line_floats;
    w->chunk_floats = w->round_inputs * w->points * w->in_step;
    w->slot_floats = (w->rounds > 1 ? w->phases * w->blocks : 1) * w->points * w->sum_step +
                     (w->shared ? 0 : w->chunk_floats);
    int64_t room = cn__winograd_room(plan);
    room -= w->shared ? w->chunks * w->chunk_floats : 0;
    w->slots = cn__min(w->tasks, cn__min(most_slots, cn__default_threads()));
    w->slots = cn__min(w->slots, room / w->slot_floats);
    int64_t zeros = cn__max(w->depth, cn__widest_block);
    w->zeros = cn__arena_alloc(plan->arena, (size_t)zeros * sizeof(float));
    return w->zeros != NULL ? CN_OK : cn_error_status();
}

/* The most products that are added up at a point. */
static int64_t most_added(const cn__winograd_conv *w)
{
    int64_t most = 0, run = 0;
    for (int64_t p = 0; p < w->parts; p++) {
        run = p > 0 && w->part[p].phase == w->part[p - 1].phase ? run + 1 : 1;
        most = cn__max(most, run);
    }
    return most * w->depth;
}

cn__winograd_conv *cn__winograd_new(const cn_conv_plan *plan, const cn__winograd *kernels,
                                    const bool filtered[3], int64_t merged)
{
    cn__winograd_conv *w = cn__arena_alloc(plan->arena, sizeof *w);
    if (w == NULL)
        return NULL;
    w->kernels = kernels;
    w->merged = merged;
    w->points = 1;
    for (int i = 0; i < 3; i++) {
        cn__winograd_axis *axis = &w->axis[i];
        axis->points = filtered[i] ? kernels->points : 1;
        axis->taps = filtered[i] ? kernels->taps : 1;
        axis->step = axis->points - axis->taps + 1;
        w->points *= axis->points;
    }
    return w;
}

/* Leaves it in plan->winograd, or NULL if it does not fit the parts of the kernel or the scratch.
 */
static cn_status plan_with(cn_conv_plan *plan, const cn__winograd *kernels, const bool filtered[3],
                           int64_t merged)
{
    plan->winograd = NULL;
    cn__winograd_conv *w = cn__winograd_new(plan, kernels, filtered, merged);
    if (w == NULL)
        return cn_error_status();
    CN__TRY(plan_cells(plan, w));
    if (!cn__winograd_fills(plan, w->depth, w->columns))
        return CN_OK;
    CN__TRY(cn__winograd_parts(plan, w));
    int64_t most = kernels->axes == 2 ? most_products : most_line_products;
    if (w->part == NULL || (kernels->points == cn__winograd_most && most_added(w) > most))
        return CN_OK;
    w->tiles = plan->conv.batch * w->axis[0].tiles * w->axis[1].tiles * w->axis[2].tiles;
    CN__TRY(plan_memory(plan, w));
    CN__TRY(plan_sets(plan, w));
    w->far = cn_conv_in_count(&plan->conv) > far_floats;
    w->far_out = cn_conv_out_count(&plan->conv) > far_out_floats;
    if (w->slots > 0)
        plan->winograd = w;
    return CN_OK;
}

/* ---- whether it pays ---- */

/* Measured: cycles to transform a vector at a point along one axis and along two, inputs and sums
 * alike; bytes of the packed kernel that are read in a cycle if it fits the third-level cache and
 * if it does not, and written; bytes of an input or output that is not in the caches; the share of
 * the peak that the products reach. */
static const double transform_cycles[] = {0, 5, 6}, cached_bytes = 12, memory_bytes = 4.5,
                    pack_bytes = 4, far_bytes = 10, share = 0.85;
static const double cache = 24 << 20;

/* A kernel is packed once if it is constant, and for each run in training. */
static const double pack_runs = 0.25;

static double products(const cn_conv_plan *plan, double pixels, int64_t depth, int64_t columns)
{
    return pixels * (double)depth * (double)(columns / plan->kernels->lanes) / 2 / share;
}

static double with_weights(double cycles, double bytes, double reads)
{
    double read = bytes * reads / (bytes < cache ? cached_bytes : memory_bytes);
    return (cycles > read ? cycles : read) + pack_runs * bytes / pack_bytes;
}

/* Infinite for the inner plan of a sub-pixel convolution, which has no phases. */
static double direct_cycles(const cn_conv_plan *plan)
{
    double cycles = 0, pixels = 0;
    if (plan->phases == 0)
        return (double)INFINITY;
    for (int64_t p = 0; p < plan->phases; p++) {
        double here = (double)(plan->conv.batch * plan->phase[p].image_pixels);
        cycles += products(plan, (double)plan->conv.groups * here,
                           plan->phase[p].taps * plan->depth, plan->packed_columns);
        pixels += here;
    }
    double chunks = pixels / (double)(plan->phases * plan->chunk_pixels);
    return with_weights(cycles, (double)cn_conv_plan_packed_bytes(plan), chunks < 1 ? 1 : chunks);
}

double cn__winograd_far_cycles(int64_t floats)
{
    return floats <= most_near ? 0 : (double)floats * sizeof(float) / far_bytes;
}

static double winograd_cycles(const cn_conv_plan *plan)
{
    const cn__winograd_conv *w = plan->winograd;
    double groups = (double)plan->conv.groups, tiles = groups * (double)w->tiles;
    double bytes = groups * (double)w->group_packed * sizeof(float);
    int64_t points = 0, vectors = w->inputs * w->row + w->phases * w->packed_columns;
    vectors /= plan->kernels->lanes;
    for (int64_t s = 0; s < w->phases * w->rounds; s++)
        points += cn__set_points(w, s);
    return tiles * (double)(w->points * vectors) * transform_cycles[w->kernels->axes] +
           cn__winograd_far_cycles(cn_conv_in_count(&plan->conv)) +
           cn__winograd_far_cycles(cn_conv_out_count(&plan->conv)) +
           with_weights(products(plan, tiles, points * w->depth, w->packed_columns), bytes,
                        (double)w->group_chunks);
}

static int preferred;

void cn__winograd_prefer(int points)
{
    preferred = points;
}

int cn__winograd_preferred(void)
{
    return preferred;
}

/* Plans with an algorithm along some axes, with merged cells and without. */
static cn_status try(cn_conv_plan *plan, const cn__winograd *kernels, const bool filtered[3],
                     cn__winograd_choice *best)
{
    const cn_conv *conv = &plan->conv;
    int64_t channels = plan->pass == CN_CONV_TRANSPOSE ? conv->out_channels : conv->in_channels;
    int64_t stride = conv->stride[2];
    bool merges = stride > 1 && conv->kernel[2] % stride == 0 && conv->groups == 1 &&
                  stride * channels <= cn__most_merged;
    for (int64_t merged = 1; merged <= stride; merged += stride - 1) {
        CN__TRY(plan_with(plan, kernels, filtered, merged));
        double cycles = plan->winograd != NULL ? winograd_cycles(plan) : (double)INFINITY;
        cn__winograd_keep(best, cycles, plan->winograd);
        if (!merges)
            break;
    }
    return CN_OK;
}

void cn__winograd_keep(cn__winograd_choice *best, double cycles, const cn__winograd_conv *of)
{
    if (cycles < best->tried) {
        best->tried = cycles;
        best->algorithm = of->kernels;
    }
    if (cycles < best->cycles) {
        best->cycles = cycles;
        best->of = of;
    }
}

static void weigh(cn_conv_plan *plan, double direct, const cn__winograd_choice *best)
{
    char name[64];
    if (best->algorithm == NULL)
        return;
    int points = best->algorithm->points, across = best->algorithm->axes == 2 ? points : 1;
    (void)snprintf(name, sizeof name, "minimal filtering %d x %d", points, across);
    cn__plan_weigh(plan, "direct", direct);
    cn__plan_weigh(plan, name, best->tried);
}

cn_status cn__winograd_choose(cn_conv_plan *plan, double direct, cn__winograd_try *try_one)
{
    static const bool rows[3] = {false, true, false}, columns[3] = {false, false, true},
                      both[3] = {false, true, true};
    cn__winograd_choice best = {.cycles = preferred != 0 ? (double)INFINITY : direct,
                                .tried = (double)INFINITY};
    for (int i = 0; i < CN__WINOGRAD_COUNT; i++) {
        const cn__winograd *kernels = &plan->kernels->winograd[i];
        if (preferred != 0 && kernels->points != preferred)
            continue;
        CN__TRY(try_one(plan, kernels, kernels->axes == 2 ? both : columns, &best));
        if (kernels->axes == 1)
            CN__TRY(try_one(plan, kernels, rows, &best));
    }
    plan->winograd = best.of;
    plan->cycles = best.cycles;
    weigh(plan, direct, &best);
    return CN_OK;
}

cn_status cn__winograd_plan(cn_conv_plan *plan)
{
    plan->cycles = direct_cycles(plan);
    if (!cn__winograd_possible(plan))
        return CN_OK;
    CN__TRY(cn__winograd_choose(plan, plan->cycles, try));
    const cn__winograd_conv *w = plan->winograd;
    if (w == NULL)
        return CN_OK;
    plan->path = &cn__winograd_path;
    plan->algorithm = "minimal filtering";
    plan->packed_floats = w->group_packed * plan->conv.groups;
    plan->scratch_floats =
        w->slots * w->slot_floats + (w->shared ? w->chunks * w->chunk_floats : 0);
    return CN_OK;
}
