/* Minimal filtering: how the kernel is cut into parts and which windows of the input they read. */
#include "ops/conv_winograd_plan.h"

enum { most_phases = 4096 };

static int64_t modulo(int64_t a, int64_t b)
{
    return (a % b + b) % b;
}

/* Cuts taps of a phase into as few equal parts as can be. */
static void cut_taps(cn__winograd_axis *axis, const cn__window *all)
{
    int64_t pieces = cn__ceil_div(all->taps, axis->taps);
    for (int64_t i = 0; i < pieces; i++) {
        int64_t from = all->taps * i / pieces, end = all->taps * (i + 1) / pieces;
        cn__window *part = &axis->part[axis->parts++];
        *part = *all;
        part->taps = end - from;
        part->tap += from * all->tap_step;
        part->first += from * axis->spacing;
    }
}

/* The taps r, r + stride ... of a convolution, or all taps of phase r of a transposed convolution,
 * which are a correlation in reverse. */
static cn__window all_taps(const cn_conv_plan *plan, int axis, const cn__winograd_axis *of,
                           int64_t r)
{
    int64_t kernel = plan->conv.kernel[axis], stride = plan->conv.stride[axis];
    int64_t before = plan->conv.before[axis], from = r + of->out_first + before;
    bool transposed = plan->pass == CN_CONV_TRANSPOSE;
    int64_t tap = transposed ? modulo(from, stride) : r;
    int64_t taps = tap < kernel ? cn__ceil_div(kernel - tap, stride) : 0;
    if (!transposed)
        return (cn__window){.taps = taps, .tap = tap, .tap_step = stride, .first = tap - before};
    return (cn__window){.phase = r,
                        .taps = taps,
                        .tap = tap + (taps - 1) * stride,
                        .tap_step = -stride,
                        .first = (from - tap) / stride - (taps - 1)};
}

/* True if windows as long as the filter hold what all phases of a tile read. */
static bool windows_suffice(const cn_conv_plan *plan, int axis, const cn__winograd_axis *of)
{
    int64_t first = INT64_MAX, end = INT64_MIN;
    for (int64_t r = 0; r < of->phases; r++) {
        const cn__window all = all_taps(plan, axis, of, r);
        if (all.taps > 0) {
            first = cn__min(first, all.first);
            end = cn__max(end, all.first + all.taps);
        }
    }
    return end - first <= of->taps;
}

/* All phases read the same windows, which begin where the first of them begins to read. The others
 * get zeros before their taps. */
static void share_windows(cn__winograd_axis *axis)
{
    int64_t first = INT64_MAX;
    for (int64_t p = 0; p < axis->parts; p++)
        first = cn__min(first, axis->part[p].first);
    for (int64_t p = 0; p < axis->parts; p++) {
        axis->part[p].lead = axis->part[p].first - first;
        axis->part[p].first = first;
    }
}

/* Numbers the windows that begin at different places. */
static void number_windows(cn__winograd_axis *axis)
{
    for (int64_t p = 0; p < axis->parts; p++) {
        cn__window *part = &axis->part[p];
        part->first_point = part->lead > 0;
        part->end_point = axis->points - (part->lead + part->taps < axis->taps);
        while (part->input < axis->inputs && axis->first[part->input] != part->first)
            part->input++;
        axis->first[part->input] = part->first;
        axis->inputs = cn__max(axis->inputs, part->input + 1);
    }
}

/* Each tap is in one part, so that there is room. */
static cn_status plan_axis(const cn_conv_plan *plan, int axis, int64_t merged,
                           cn__winograd_axis *to)
{
    const cn_conv *conv = &plan->conv;
    bool transposed = plan->pass == CN_CONV_TRANSPOSE;
    int64_t stride = conv->stride[axis], kernel = conv->kernel[axis];
    to->part = cn__arena_alloc(plan->arena, (size_t)kernel * sizeof *to->part);
    to->first = cn__arena_alloc(plan->arena, (size_t)kernel * sizeof *to->first);
    if (to->part == NULL || to->first == NULL)
        return cn_error_status();
    to->spacing = transposed ? 1 : stride;
    to->phases = transposed ? stride / merged : 1;
    to->out_step = transposed ? stride : 1;
    if (transposed && (merged > 1 || !windows_suffice(plan, axis, to)))
        to->out_first = -modulo(conv->before[axis], stride);
    for (int64_t r = 0; r < stride / merged; r++) {
        const cn__window all = all_taps(plan, axis, to, r);
        cut_taps(to, &all);
    }
    if (transposed && cn__ceil_div(kernel, stride) <= to->taps)
        share_windows(to);
    number_windows(to);
    to->tiles = cn__ceil_div(cn__ceil_div(conv->out[axis] - to->out_first, to->out_step), to->step);
    return CN_OK;
}

static int64_t most_taps(const cn__winograd_axis *axis)
{
    int64_t most = 0;
    for (int64_t p = 0; p < axis->parts; p++)
        most = cn__max(most, axis->part[p].taps);
    return most;
}

/* True if the parts are as long as the algorithm's filter: its points would be too many for
 * shorter ones. */
static bool suits(const cn__winograd_conv *w)
{
    int64_t most = 0;
    for (int i = 0; i < 3; i++)
        most = w->axis[i].points > 1 ? cn__max(most, most_taps(&w->axis[i])) : most;
    return most == w->kernels->taps;
}

/* The parts of an axis that belong to a phase: `first` and what follows it. */
static int64_t phase_parts(const cn__winograd_axis *axis, int64_t phase, const cn__window **first)
{
    int64_t count = 0;
    for (int64_t p = axis->parts - 1; p >= 0; p--)
        if (axis->part[p].phase == phase) {
            *first = &axis->part[p];
            count++;
        }
    return count;
}

/* The parts of a phase in the order of their windows; returns how many. */
static int64_t combine(const cn__winograd_conv *w, int64_t phase, cn__winograd_part *to)
{
    const cn__window *first[3] = {NULL};
    int64_t count[3];
    for (int i = 2; i >= 0; i--) {
        count[i] = phase_parts(&w->axis[i], phase % w->axis[i].phases, &first[i]);
        phase /= w->axis[i].phases;
    }
    int64_t parts = count[0] * count[1] * count[2];
    for (int64_t p = 0; to != NULL && p < parts; p++) {
        int64_t at[3] = {p / count[2] / count[1], p / count[2] % count[1], p % count[2]}, place = p;
        cn__winograd_part part = {.phase = 0};
        for (int i = 0; i < 3; i++) {
            part.axis[i] = &first[i][at[i]];
            part.input = part.input * w->axis[i].inputs + part.axis[i]->input;
        }
        for (; place > 0 && to[place - 1].input > part.input; place--)
            to[place] = to[place - 1];
        to[place] = part;
    }
    return parts;
}

/* False if there are so many parts or phases that looking for them would take long. */
static bool can_be_counted(const cn_conv_plan *plan, const cn__winograd_conv *w)
{
    bool transposed = plan->pass == CN_CONV_TRANSPOSE;
    double parts = 1, phases = 1;
    for (int i = 0; i < 3; i++) {
        int64_t stride = transposed ? plan->conv.stride[i] : 1;
        int64_t cells = !transposed && i == 2 ? w->merged : stride;
        int64_t taps = cn__ceil_div(plan->conv.kernel[i], cells);
        parts *= (double)cn__ceil_div(taps, w->axis[i].taps);
        phases *= (double)(i == 2 ? stride / cn__min(stride, w->merged) : stride);
    }
    return parts <= cn__most_parts && phases <= most_phases;
}

cn_status cn__winograd_parts(const cn_conv_plan *plan, cn__winograd_conv *w)
{
    if (!can_be_counted(plan, w))
        return CN_OK;
    for (int i = 0; i < 3; i++)
        CN__TRY(plan_axis(plan, i, i == 2 ? w->merged : 1, &w->axis[i]));
    w->phases = w->axis[0].phases * w->axis[1].phases * w->axis[2].phases;
    w->inputs = w->axis[0].inputs * w->axis[1].inputs * w->axis[2].inputs;
    if (!suits(w))
        return CN_OK;
    for (int64_t p = 0; p < w->phases; p++) {
        int64_t parts = combine(w, p, NULL);
        if (parts > cn__most_parts)
            return CN_OK;
        w->parts += parts;
    }
    w->part = cn__arena_alloc(plan->arena, (size_t)w->parts * sizeof *w->part);
    if (w->part == NULL)
        return cn_error_status();
    cn__winograd_part *next = w->part;
    for (int64_t p = 0; p < w->phases; p++) {
        int64_t parts = combine(w, p, next);
        for (int64_t i = 0; i < parts; i++)
            next++->phase = p;
    }
    return CN_OK;
}
