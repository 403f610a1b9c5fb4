/* Minimal filtering: how the kernel is cut into parts and which windows of the input they read. */
#include "ops/conv_winograd_plan.h"

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

/* The taps r, r + stride ... of a convolution, or those of a phase of a transposed convolution,
 * which are a correlation in reverse. */
static cn__window all_taps(const cn_conv_plan *plan, int axis, int64_t r)
{
    int64_t kernel = plan->conv.kernel[axis], stride = plan->conv.stride[axis];
    int64_t before = plan->conv.before[axis];
    int64_t taps = r < kernel ? cn__ceil_div(kernel - r, stride) : 0;
    if (plan->pass != CN_CONV_TRANSPOSE)
        return (cn__window){.taps = taps, .tap = r, .tap_step = stride, .first = r - before};
    return (cn__window){.phase = r,
                        .taps = taps,
                        .tap = r + (taps - 1) * stride,
                        .tap_step = -stride,
                        .first = (before - modulo(before, stride)) / stride - (taps - 1)};
}

/* Where each phase has one part, all read the same windows, which begin where the longest part
 * begins to read. The others get zeros before their taps. */
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
    to->out_first = transposed ? -modulo(conv->before[axis], stride) : 0;
    for (int64_t r = 0; r < cn__min(stride / merged, kernel); r++) {
        const cn__window all = all_taps(plan, axis, r);
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

/* The parts of a phase; returns how many. */
static int64_t combine(const cn__winograd_conv *w, int64_t phase, cn__winograd_part *to)
{
    const cn__window *first[3] = {NULL};
    int64_t count[3];
    for (int i = 2; i >= 0; i--) {
        count[i] = phase_parts(&w->axis[i], phase % w->axis[i].phases, &first[i]);
        phase /= w->axis[i].phases;
    }
    for (int64_t p = 0; to != NULL && p < count[0] * count[1] * count[2]; p++, to++) {
        int64_t at[3] = {p / count[2] / count[1], p / count[2] % count[1], p % count[2]};
        for (int i = 0; i < 3; i++) {
            to->axis[i] = &first[i][at[i]];
            to->input = to->input * w->axis[i].inputs + to->axis[i]->input;
        }
    }
    return count[0] * count[1] * count[2];
}

cn_status cn__winograd_parts(const cn_conv_plan *plan, cn__winograd_conv *w)
{
    for (int i = 0; i < 3; i++)
        CN__TRY(plan_axis(plan, i, i == 2 ? w->merged : 1, &w->axis[i]));
    w->phases = w->axis[0].phases * w->axis[1].phases * w->axis[2].phases;
    int64_t *first = cn__arena_alloc(plan->arena, (size_t)(w->phases + 1) * sizeof *first);
    if (first == NULL)
        return cn_error_status();
    bool fits = suits(w);
    for (int64_t p = 0; p < w->phases; p++) {
        int64_t parts = combine(w, p, NULL);
        first[p + 1] = first[p] + parts;
        fits = fits && parts <= cn__most_parts;
    }
    w->first_part = first;
    if (!fits)
        return CN_OK;
    w->part = cn__arena_alloc(plan->arena, (size_t)first[w->phases] * sizeof *w->part);
    if (w->part == NULL)
        return cn_error_status();
    for (int64_t p = 0; p < w->phases; p++)
        combine(w, p, w->part + first[p]);
    w->inputs = w->axis[0].inputs * w->axis[1].inputs * w->axis[2].inputs;
    return CN_OK;
}
