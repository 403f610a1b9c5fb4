/* Packing the kernel for minimal filtering: transformed once, for all tiles. */
#include <string.h>

#include "ops/conv_winograd_plan.h"

enum {
    most_points = cn__winograd_most * cn__winograd_most,
    most_taps = 3 * 3,
    pack_rows = 16 /* input channels of a task */
};

typedef struct pack_context {
    const cn_conv_plan *plan;
    const float *kernel;
    float *packed;
} pack_context;

/* Input channels `first` to `first + count` of a block and a tap of the kernel: (count, width). */
static void gather_tap(const cn_conv_plan *plan, const cn__column_block *block, const float *tap,
                       int64_t first, int64_t count, float *to)
{
    int64_t width = block->vectors * plan->kernels->lanes;
    if (plan->pass == CN_CONV_TRANSPOSE)
        plan->kernels->transpose(block->columns, count,
                                 tap + block->first * plan->conv.in_channels + first,
                                 plan->conv.in_channels, to, width);
    for (int64_t k = 0; k < count; k++) {
        if (plan->pass != CN_CONV_TRANSPOSE)
            memcpy(to + k * width, tap + (first + k) * plan->conv.out_channels + block->first,
                   (size_t)block->columns * sizeof(float));
        for (int64_t n = block->columns; n < width; n++)
            to[k * width + n] = 0;
    }
}

/* Where the transformed kernel of a part goes, point by point; points that are not used go to
 * `unused`. */
static void point_packed(const cn__winograd_conv *w, int64_t phase, int64_t part,
                         int64_t point_floats, float *to, float *unused, float **out)
{
    for (int64_t point = 0; point < w->points * w->points; point++) {
        out[point] = unused;
        for (int64_t p = cn__first_part(w, phase); p < cn__end_part(w, phase); p++) {
            if (!cn__point_used(w, p, point))
                continue;
            if (p == part)
                out[point] = to;
            to += point_floats;
        }
    }
}

/* The taps of a block from input channel `first` on, as (rows, width) each; taps of zero have a row
 * step of 0. */
typedef struct gathered {
    _Alignas(64) float rows[most_taps][pack_rows * cn__widest_block];
    const float *tap[most_taps];
    int64_t step[most_taps];
} gathered;

static void gather_taps(const pack_context *c, int64_t part, const cn__column_block *block,
                        int64_t first, int64_t count, gathered *to)
{
    const cn_conv_plan *plan = c->plan;
    const cn__winograd_conv *w = plan->winograd;
    int64_t taps = w->taps;
    int64_t tap_floats = plan->conv.in_channels * plan->conv.out_channels;
    for (int64_t t = 0; t < taps * taps; t++) {
        int64_t y = cn__window_tap(cn__window_of(w, part, 0), t / taps);
        int64_t x = cn__window_tap(cn__window_of(w, part, 1), t % taps);
        bool zero = y < 0 || x < 0;
        if (!zero)
            gather_tap(plan, block, c->kernel + (y * plan->conv.kernel[2] + x) * tap_floats, first,
                       count, to->rows[t]);
        to->tap[t] = zero ? w->zeros : to->rows[t];
        to->step[t] = zero ? 0 : block->vectors * plan->kernels->lanes;
    }
}

/* Some input channels of one block of one part. */
static void pack_task(void *context, size_t index)
{
    const pack_context *c = context;
    const cn_conv_plan *plan = c->plan;
    const cn__winograd_conv *w = plan->winograd;
    int64_t pieces = cn__ceil_div(plan->depth, pack_rows);
    int64_t first = (int64_t)index % pieces * pack_rows, rest = (int64_t)index / pieces;
    int64_t count = cn__min(pack_rows, plan->depth - first);
    const cn__column_block *block = &plan->block[rest % plan->blocks];
    int64_t part = rest / plan->blocks, phase = w->summed ? 0 : part;
    int64_t width = block->vectors * plan->kernels->lanes;
    _Alignas(64) float unused[cn__widest_block];
    float *out[most_points];
    gathered from;
    gather_taps(c, part, block, first, count, &from);
    point_packed(w, phase, part, plan->depth * width,
                 c->packed + cn__winograd_packed(plan, phase, block) + first * width, unused, out);
    for (int64_t k = 0; k < count; k++) {
        w->kernels->kernel(from.tap, width, out);
        for (int64_t t = 0; t < w->taps * w->taps; t++)
            from.tap[t] += from.step[t];
        for (int64_t p = 0; p < w->points * w->points; p++)
            out[p] += out[p] == unused ? 0 : width;
    }
}

void cn__winograd_pack(const cn_conv_plan *plan, const float *kernel, float *packed, cn_pool *pool)
{
    pack_context context = {plan, kernel, packed};
    int64_t parts = plan->winograd->parts[0] * plan->winograd->parts[1];
    int64_t pieces = cn__ceil_div(plan->depth, pack_rows);
    cn__pool_run(pool, pack_task, &context, (size_t)(parts * plan->blocks * pieces));
}
