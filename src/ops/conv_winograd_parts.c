/* Minimal filtering: how the kernel is cut into parts and which windows of the input they read. */
#include "ops/conv_winograd_plan.h"

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

/* Each phase of a transposed convolution. As a correlation it has its taps in reverse. */
static void cut_phases(const cn_conv_plan *plan, int axis, cn__winograd_axis *to)
{
    int64_t stride = plan->conv.stride[axis];
    for (int64_t p = 0; p < plan->axis[axis].phases; p++) {
        const cn__axis_phase *phase = &plan->axis[axis].phase[p];
        int64_t tap = phase->taps > 0 ? phase->tap[phase->taps - 1] : 0;
        cut_taps(to, &(cn__window){.phase = p,
                                   .taps = phase->taps,
                                   .tap = tap,
                                   .tap_step = -stride,
                                   .first = (p + plan->conv.before[axis] - tap) / stride});
    }
}

/* The taps of a convolution with the same position modulo the stride. */
static void cut_residues(const cn_conv_plan *plan, int axis, cn__winograd_axis *to)
{
    int64_t kernel = plan->conv.kernel[axis], stride = plan->conv.stride[axis];
    for (int64_t r = 0; r < cn__min(stride, kernel); r++)
        cut_taps(to, &(cn__window){.taps = cn__ceil_div(kernel - r, stride),
                                   .tap = r,
                                   .tap_step = stride,
                                   .first = r - plan->conv.before[axis]});
}

/* Where each phase has one part, all may read the same windows, which begin where the first of them
 * begins to read. A phase that begins later gets zeros before its taps if it has room for them,
 * else its outputs are shifted. */
static void share_windows(cn__winograd_axis *axis)
{
    int64_t first = INT64_MAX;
    for (int64_t p = 0; p < axis->parts; p++)
        first = cn__min(first, axis->part[p].first);
    for (int64_t p = 0; p < axis->parts; p++) {
        cn__window *part = &axis->part[p];
        int64_t late = part->first - first;
        part->lead = cn__min(late, axis->taps - part->taps);
        axis->shift[part->phase] = late - part->lead;
        part->first = first;
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

static cn_status plan_axis(const cn_conv_plan *plan, int axis, cn__winograd_axis *to)
{
    bool transposed = plan->pass == CN_CONV_TRANSPOSE;
    int64_t phases = plan->axis[axis].phases, outputs = 0;
    size_t taps = (size_t)plan->conv.kernel[axis];
    to->part = cn__arena_alloc(plan->arena, taps * sizeof *to->part);
    to->first = cn__arena_alloc(plan->arena, taps * sizeof *to->first);
    to->shift = cn__arena_alloc(plan->arena, (size_t)phases * sizeof *to->shift);
    if (to->part == NULL || to->first == NULL || to->shift == NULL)
        return cn_error_status();
    to->spacing = transposed ? 1 : plan->conv.stride[axis];
    (transposed ? cut_phases : cut_residues)(plan, axis, to);
    bool single = phases > 1;
    for (int64_t p = 1; p < to->parts; p++)
        single = single && to->part[p].phase != to->part[p - 1].phase;
    if (single)
        share_windows(to);
    number_windows(to);
    for (int64_t p = 0; p < phases; p++)
        outputs = cn__max(outputs, plan->axis[axis].phase[p].count + to->shift[p]);
    to->tiles = cn__ceil_div(outputs, to->step);
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
static int64_t combine(const cn_conv_plan *plan, const cn__winograd_conv *w, int64_t phase,
                       cn__winograd_part *to)
{
    const cn__window *first[3] = {NULL};
    int64_t count[3];
    for (int i = 2; i >= 0; i--) {
        count[i] = phase_parts(&w->axis[i], phase % plan->axis[i].phases, &first[i]);
        phase /= plan->axis[i].phases;
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
        CN__TRY(plan_axis(plan, i, &w->axis[i]));
    int64_t *first = cn__arena_alloc(plan->arena, (size_t)(plan->phases + 1) * sizeof *first);
    if (first == NULL)
        return cn_error_status();
    bool fits = suits(w);
    for (int64_t p = 0; p < plan->phases; p++) {
        int64_t parts = combine(plan, w, p, NULL);
        first[p + 1] = first[p] + parts;
        fits = fits && parts <= cn__most_parts;
    }
    w->first_part = first;
    if (!fits)
        return CN_OK;
    w->part = cn__arena_alloc(plan->arena, (size_t)first[plan->phases] * sizeof *w->part);
    if (w->part == NULL)
        return cn_error_status();
    for (int64_t p = 0; p < plan->phases; p++)
        combine(plan, w, p, w->part + first[p]);
    w->inputs = w->axis[0].inputs * w->axis[1].inputs * w->axis[2].inputs;
    return CN_OK;
}
