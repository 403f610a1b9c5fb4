/* Planning a folded convolution: how many output positions each axis folds, chosen by the number of
 * vector operations that every way takes. */
#include <math.h>
#include <string.h>

#include "ops/conv_line.h"
#include "ops/conv_line_filter.h"
#include "ops/conv_planar.h"
#include "ops/conv_spread.h"
#include "ops/conv_winograd.h"

/* Costs in multiply-adds of one vector, two of which a processor does at a time. Found by timing.
 */
enum {
    tap_cost = 8,      /* pointing at the input of a tap */
    block_cost = 8,    /* beginning a tile, for each position */
    vector_cost = 4,   /* start, clamp and store of a vector */
    segment_cost = 16, /* copying neighbouring values from a tile to the output */
    copied_cost = 2    /* and each vector of them */
};
enum {
    most_ways = 12,
    most_columns = 64,              /* of a run of several strides */
    most_weights = 512 * 1024,      /* floats of a block's kernel */
    most_kernel = 64 * 1024 * 1024, /* floats of all kernels */
    task_multiplications = 1 << 20,
    wanted_tasks = 32
};

/* One way to fold an axis. */
typedef struct way {
    int64_t classes;
    cn__fold_class *class;
} way;

typedef struct ways {
    int count;
    way way[most_ways];
} ways;

/* The cells from low to high that an output position reads, of run 0; none if high < low. */
typedef struct range {
    int64_t low, high;
} range;

int64_t cn__fold_tap(const cn_conv_plan *plan, int axis, const cn__fold_class *of, int64_t member,
                     int64_t cell)
{
    const cn_conv *conv = &plan->conv;
    int64_t position = of->first + member, stride = conv->stride[axis], shift;
    if (plan->pass == CN_CONV_TRANSPOSE)
        shift = position + conv->before[axis] - (of->cell + cell) * stride;
    else
        shift = of->cell + cell + conv->before[axis] - position * stride;
    int64_t dilation = conv->dilation[axis];
    if (shift < 0 || shift % dilation != 0 || shift / dilation >= conv->kernel[axis])
        return -1;
    return shift / dilation;
}

static range range_of(const cn_conv_plan *plan, int axis, int64_t position)
{
    const cn_conv *conv = &plan->conv;
    int64_t first = position - conv->before[axis], stride = conv->stride[axis];
    int64_t dilation = conv->dilation[axis], kernel = conv->kernel[axis];
    if (plan->pass != CN_CONV_TRANSPOSE) {
        first = position * stride - conv->before[axis];
        return (range){first, first + (kernel - 1) * dilation};
    }
    range found = {INT64_MAX, INT64_MIN};
    for (int64_t t = 0; t < kernel; t++) {
        int64_t scaled = position + conv->before[axis] - t * dilation;
        if (scaled % stride != 0)
            continue;
        found.low = cn__min(found.low, scaled / stride);
        found.high = cn__max(found.high, scaled / stride);
    }
    return found;
}

/* The class of `members` positions from `first` on, whose ranges are given. */
static cn__fold_class class_of(const cn_conv_plan *plan, int axis, int64_t step, int64_t first,
                               int64_t members, const range *ranges)
{
    const cn_conv *conv = &plan->conv;
    bool transposed = plan->pass == CN_CONV_TRANSPOSE;
    cn__fold_class c = {.first = first, .members = members, .step = step};
    range all = {INT64_MAX, INT64_MIN};
    for (int64_t i = first; i < first + members; i++) {
        all.low = cn__min(all.low, ranges[i].low);
        all.high = cn__max(all.high, ranges[i].high);
    }
    c.count = cn__ceil_div(conv->out[axis] - first, step);
    c.scale = transposed ? step / conv->stride[axis] : step * conv->stride[axis];
    if (all.high < all.low)
        return c;
    c.cell = all.low;
    c.cells = all.high - all.low + 1;
    c.inside_first = cn__min(c.count, c.cell < 0 ? cn__ceil_div(-c.cell, c.scale) : 0);
    int64_t spare = conv->in[axis] - c.cell - c.cells;
    c.inside_end = spare < 0 ? 0 : cn__min(c.count, spare / c.scale + 1);
    c.inside_end = cn__max(c.inside_end, c.inside_first);
    return c;
}

/* Adds the way that cuts each `step` output positions where the ranges change, or everywhere, or
 * nowhere. */
typedef enum cutting { cut_nowhere, cut_at_changes, cut_everywhere } cutting;
static cn_status add_way(cn_conv_plan *plan, int axis, int64_t step, cutting cut,
                         const range *ranges, ways *found)
{
    way *w = &found->way[found->count];
    int64_t positions = cn__min(step, plan->conv.out[axis]);
    w->class = cn__arena_alloc(plan->arena, (size_t)positions * sizeof *w->class);
    if (w->class == NULL)
        return cn_error_status();
    w->classes = 0;
    for (int64_t first = 0, end; first < positions; first = end) {
        for (end = first + 1; end < positions && cut != cut_everywhere; end++)
            if (cut == cut_at_changes &&
                (ranges[end].low != ranges[first].low || ranges[end].high != ranges[first].high))
                break;
        w->class[w->classes++] = class_of(plan, axis, step, first, end - first, ranges);
    }
    found->count++;
    return CN_OK;
}

/* The ways worth trying: by phase, by phases that read the same cells, and runs of 1, 2 ...
 * strides. */
static cn_status find_ways(cn_conv_plan *plan, int axis, ways *found)
{
    static const int64_t strides[] = {1, 2, 3, 4, 5, 6, 8};
    int64_t stride = plan->pass == CN_CONV_TRANSPOSE ? plan->conv.stride[axis] : 1;
    int64_t count = cn__min(cn__max(8, stride) * 8, plan->conv.out[axis]);
    range *ranges = cn__arena_alloc(plan->arena, (size_t)count * sizeof *ranges);
    if (ranges == NULL)
        return cn_error_status();
    for (int64_t p = 0; p < count && (p < stride || stride <= 8); p++)
        ranges[p] = range_of(plan, axis, p);
    if (stride > 1 && stride <= 8)
        CN__TRY(add_way(plan, axis, stride, cut_everywhere, ranges, found));
    if (stride > 1)
        CN__TRY(add_way(plan, axis, stride, cut_at_changes, ranges, found));
    for (size_t i = 0; i < CN__COUNT(strides); i++) {
        int64_t step = stride * strides[i];
        if (i > 0 &&
            (stride > 8 || step > plan->conv.out[axis] || step * plan->columns > most_columns))
            break;
        CN__TRY(add_way(plan, axis, step, cut_nowhere, ranges, found));
    }
    return CN_OK;
}

/* The ways of spreading: runs of columns overlap, those of rows may. */
static cn_status find_spread_ways(cn_conv_plan *plan, const ways found[3], ways spread[3])
{
    cn__fold_class *class = cn__arena_alloc(plan->arena, 2 * sizeof *class);
    if (class == NULL)
        return cn_error_status();
    class[0] = cn__spread_class(plan, 1);
    class[1] = cn__spread_class(plan, 2);
    memcpy(spread, found, 2 * sizeof *spread);
    spread[1].way[spread[1].count++] = (way){1, &class[0]};
    spread[2] = (ways){1, {{1, &class[1]}}};
    return CN_OK;
}

/* What one position costs that reads `taps` taps of `depth` and has `columns` columns. */
static double position_cost(const cn_conv_plan *plan, int64_t taps, int64_t depth, int64_t columns)
{
    int64_t vectors = cn__ceil_div(columns, plan->kernels->lanes);
    int64_t blocks = cn__ceil_div(vectors, cn__widest(plan->kernels));
    return (double)vectors * ((double)taps * (double)depth + vector_cost) +
           (double)blocks * ((double)taps * tap_cost + block_cost);
}

static double direct_cost(const cn_conv_plan *plan)
{
    double cost = 0;
    for (int64_t p = 0; p < plan->phases; p++)
        cost += (double)plan->phase[p].image_pixels *
                position_cost(plan, plan->phase[p].taps, plan->depth, plan->columns);
    return cost * (double)plan->conv.groups;
}

/* The vectors of the widest block of a phase. */
static int64_t block_vectors(const cn_conv_plan *plan, int64_t columns)
{
    int64_t vectors = cn__ceil_div(columns, plan->kernels->lanes);
    return cn__ceil_div(vectors, cn__ceil_div(vectors, cn__widest(plan->kernels)));
}

/* True if a dilation makes a phase so large that its numbers would overflow. */
static bool is_vast(const cn_conv_plan *plan, const cn__fold_class *z, const cn__fold_class *y,
                    const cn__fold_class *x)
{
    const double most = (double)((int64_t)1 << 40);
    double members = (double)z->members * (double)y->members * (double)x->members;
    double cells = (double)z->cells * (double)y->cells * (double)x->cells;
    return members * (double)plan->columns > most || cells * (double)plan->depth > most;
}

static cn__fold_phase phase_of(const cn_conv_plan *plan, const cn__fold_class *z,
                               const cn__fold_class *y, const cn__fold_class *x)
{
    cn__fold_phase phase = {.axis = {z, y, x}};
    phase.columns = z->members * y->members * x->members * plan->columns;
    phase.image_runs = z->count * y->count * x->count;
    int64_t vectors = block_vectors(plan, phase.columns), rows = plan->kernels->rows[vectors];
    int64_t cells = z->cells * y->cells * x->cells, floats = cells * plan->depth;
    bool merges =
        rows * floats <= cn__fold_copied || (plan->depth < 16 && floats <= cn__fold_copied);
    phase.merged = merges && x->cells > 0 ? x->cells : 1;
    phase.taps = cells / phase.merged;
    phase.depth = phase.merged * plan->depth;
    return phase;
}

/* Infinite if the phase does not fit a task. */
static double tiles_cost(const cn_conv_plan *plan, const cn__fold_phase *phase)
{
    int64_t vectors = block_vectors(plan, phase->columns);
    double weights = (double)phase->taps * (double)phase->depth;
    if (phase->taps * plan->kernels->rows[vectors] > cn__most_pointers ||
        weights * (double)vectors * plan->kernels->lanes > most_weights ||
        weights * (double)phase->columns > most_kernel)
        return HUGE_VAL;
    double cost = position_cost(plan, phase->taps, phase->depth, phase->columns);
    int64_t segments = phase->axis[0]->members * phase->axis[1]->members;
    if (segments > 1)
        cost += (double)segments * segment_cost +
                (double)(phase->columns / plan->kernels->lanes) * copied_cost;
    return cost * (double)phase->image_runs;
}

static double (*const phase_cost[])(const cn_conv_plan *,
                                    const cn__fold_phase *) = {[CN__FOLD_TILES] = tiles_cost,
                                                               [CN__FOLD_PLANES] = cn__planar_cost,
                                                               [CN__FOLD_SPREAD] = cn__spread_cost};

/* Goes through the phases of three ways: their cost, and the phases themselves if `to` is given. */
static double all_phases(const cn_conv_plan *plan, const way *const axis[3], cn__fold_kind kind,
                         cn__fold_phase *to)
{
    double cost = 0;
    for (int64_t z = 0; z < axis[0]->classes; z++)
        for (int64_t y = 0; y < axis[1]->classes; y++)
            for (int64_t x = 0; x < axis[2]->classes; x++) {
                const cn__fold_class *const of[3] = {&axis[0]->class[z], &axis[1] -> class[y],
                                                     &axis[2] -> class[x]};
                if (is_vast(plan, of[0], of[1], of[2]))
                    return HUGE_VAL;
                cn__fold_phase phase = phase_of(plan, of[0], of[1], of[2]);
                cost += phase_cost[kind](plan, &phase);
                if (to != NULL)
                    *to++ = phase;
            }
    return cost;
}

/* The cheapest combination of ways. */
static double choose(const cn_conv_plan *plan, const ways found[3], cn__fold_kind kind,
                     const way *best[3])
{
    double least = HUGE_VAL;
    for (int z = 0; z < found[0].count; z++)
        for (int y = 0; y < found[1].count; y++)
            for (int x = 0; x < found[2].count; x++) {
                const way *axis[3] = {&found[0].way[z], &found[1].way[y], &found[2].way[x]};
                double cost = all_phases(plan, axis, kind, NULL);
                if (cost >= least)
                    continue;
                least = cost;
                for (int i = 0; i < 3; i++)
                    best[i] = axis[i];
            }
    return least;
}

static void cut_into_tasks(const cn_conv_plan *plan, double all, cn__fold_phase *phase)
{
    int64_t rows = plan->kernels->rows[phase->block[0].vectors];
    double each = (double)cn__max(1, phase->taps * phase->depth) *
                  (double)cn__min(phase->columns, most_columns);
    double wanted = fmax(all / wanted_tasks, task_multiplications);
    double runs = fmin(fmax(wanted / each, 64), 4096);
    phase->chunk_runs = cn__ceil_div((int64_t)runs, rows) * rows;
    phase->tasks =
        cn__ceil_div(plan->conv.batch * phase->image_runs, phase->chunk_runs) * phase->blocks;
}

static const cn__conv_path *const paths[CN__FOLD_KINDS] = {[CN__FOLD_TILES] = &cn__fold_path,
                                                           [CN__FOLD_PLANES] = &cn__planar_path,
                                                           [CN__FOLD_SPREAD] = &cn__spread_path};

/* The blocks, the tasks and the packed kernel of all phases. */
static cn_status finish(cn_conv_plan *plan, struct cn__fold *fold)
{
    double all = cn_conv_multiplications(&plan->conv, plan->pass == CN_CONV_TRANSPOSE);
    int64_t packed = 0, deepest = 1, members = 1;
    for (int64_t p = 0; p < fold->phases; p++) {
        cn__fold_phase *phase = &fold->phase[p];
        int64_t width = phase->columns;
        if (fold->kind == CN__FOLD_PLANES) {
            CN__TRY(cn__planar_finish(plan, phase));
        } else if (fold->kind == CN__FOLD_SPREAD) {
            CN__TRY(cn__spread_finish(plan, phase, &width));
        } else {
            CN__TRY(cn__plan_blocks(plan, phase->columns, cn__widest(plan->kernels), &phase->blocks,
                                    &phase->block, &width));
            cut_into_tasks(plan, all, phase);
        }
        phase->first_task = fold->tasks;
        phase->packed = packed;
        fold->tasks += phase->tasks;
        fold->blocks += phase->blocks;
        packed += phase->taps * phase->depth * width;
        deepest = cn__max(deepest, phase->depth);
        members = cn__max(members, phase->columns / plan->columns);
    }
    fold->zeros = cn__arena_alloc(plan->arena, (size_t)deepest * sizeof(float));
    if (fold->zeros == NULL)
        return cn_error_status();
    plan->algorithm = fold->kind == CN__FOLD_PLANES   ? "planar"
                      : fold->kind == CN__FOLD_SPREAD ? "spread"
                      : members == 1                  ? "cells as channels"
                      : plan->phases > 1              ? "phases as channels"
                                                      : "pixels as channels";
    plan->packed_floats = packed;
    plan->fold = fold;
    plan->path = paths[fold->kind];
    return CN_OK;
}

/* Costs are those of an image; two are paid in a cycle. */
static double cycles_of(const cn_conv_plan *plan, double cost)
{
    return cost * (double)plan->conv.batch / 2;
}

/* Notes the cost if the algorithm can be used. */
static void weigh(cn_conv_plan *plan, const char *algorithm, double cost)
{
    if (cost < HUGE_VAL)
        cn__plan_weigh(plan, algorithm, cycles_of(plan, cost));
}

/* The cheapest way to fold, if it is cheaper than `least`, which then is its cost: false else. */
static bool choose_kind(cn_conv_plan *plan, const ways found[3], const ways spread[3],
                        double *least, cn__fold_kind *kind, const way *best[3])
{
    static const char *const kinds[CN__FOLD_KINDS] = {"as channels", "planar", "spread"};
    bool chosen = false;
    for (int i = 0; i < CN__FOLD_KINDS; i++) {
        const way *here[3] = {0};
        double cost = choose(plan, i == CN__FOLD_SPREAD ? spread : found, (cn__fold_kind)i, here);
        weigh(plan, kinds[i], cost);
        if (!(cost < *least))
            continue;
        *least = cost;
        *kind = (cn__fold_kind)i;
        memcpy(best, here, sizeof here);
        chosen = true;
    }
    return chosen;
}

/* True if minimal filtering is planned and is expected to be faster. */
static bool stays(const cn_conv_plan *plan, double least)
{
    return plan->winograd != NULL &&
           (cn__winograd_preferred() != 0 || cycles_of(plan, least) >= plan->cycles);
}

/* In place of the direct sum, or of minimal filtering. */
static void take_over(cn_conv_plan *plan, double cost)
{
    plan->winograd = NULL;
    plan->scratch_floats = 0;
    plan->cycles = cycles_of(plan, cost);
}

static cn_status plan_fold(cn_conv_plan *plan, cn__fold_kind kind, const way *best[3])
{
    struct cn__fold *fold = cn__arena_alloc(plan->arena, sizeof *fold);
    if (fold == NULL)
        return cn_error_status();
    fold->kind = kind;
    fold->phases = best[0]->classes * best[1]->classes * best[2]->classes;
    fold->phase = cn__arena_alloc(plan->arena, (size_t)fold->phases * sizeof *fold->phase);
    if (fold->phase == NULL)
        return cn_error_status();
    all_phases(plan, best, kind, fold->phase);
    return finish(plan, fold);
}

cn_status cn__fold_plan(cn_conv_plan *plan)
{
    bool transposed = plan->pass == CN_CONV_TRANSPOSE;
    if (!transposed && plan->pass != CN_CONV_FORWARD)
        return CN_OK;
    /* full vectors and long sums leave nothing to be saved */
    if (plan->columns % plan->kernels->lanes == 0 && plan->depth >= 64)
        return CN_OK;
    ways found[3] = {0}, spread[3] = {0};
    bool one_group = plan->conv.groups == 1;
    for (int axis = 0; axis < 3 && one_group; axis++)
        CN__TRY(find_ways(plan, axis, &found[axis]));
    if (one_group)
        CN__TRY(find_spread_ways(plan, found, spread));
    cn__fold_kind kind = CN__FOLD_TILES;
    const way *best[3] = {0};
    double by_line = cn__line_cost(plan), filtered = cn__line_filter_cost(plan);
    double direct = direct_cost(plan);
    if (plan->choice[0] == '\0') /* else minimal filtering has weighed it */
        weigh(plan, "direct", direct);
    weigh(plan, "by line", by_line);
    weigh(plan, "filtered by line", filtered);
    double least = fmin(fmin(by_line, filtered), direct);
    bool folded = one_group && choose_kind(plan, found, spread, &least, &kind, best);
    bool lines = filtered <= least || by_line <= least;
    if (stays(plan, least) || (plan->winograd != NULL && !folded && !lines))
        return CN_OK;
    take_over(plan, least);
    if (folded)
        return plan_fold(plan, kind, best);
    if (filtered <= least)
        return cn__line_filter_plan(plan);
    return by_line <= least ? cn__line_plan(plan) : CN_OK;
}
