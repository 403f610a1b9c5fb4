/* Packing the kernel for minimal filtering: transformed once, for all tiles. */
#include <string.h>

#include "ops/conv_winograd_plan.h"

enum {
    most_taps = 3 * 3,
    pack_rows = 16 /* input channels of a task */
};

typedef struct pack_context {
    const cn_conv_plan *plan;
    const float *kernel;
    float *packed;
} pack_context;

/* What a task packs: `count` input channels from `first` on of a block of columns of a part. */
typedef struct piece {
    int64_t group, set;
    const cn__winograd_part *part;
    const cn__column_block *block;
    int64_t first, count;
} piece;

/* A tap of the kernel, or as many as cells are merged, which follow one another: (count, width). */
static void gather_tap(const cn_conv_plan *plan, const piece *of, const float *tap, float *to)
{
    const cn_conv *conv = &plan->conv;
    const cn__winograd_conv *w = plan->winograd;
    const cn__column_block *block = of->block;
    int64_t width = block->vectors * plan->kernels->lanes;
    bool transposed = plan->pass == CN_CONV_TRANSPOSE;
    const float *columns = tap + of->group * w->columns + block->first;
    if (transposed)
        plan->kernels->transpose(block->columns, of->count,
                                 tap + block->first * conv->in_channels + of->group * w->depth +
                                     of->first,
                                 conv->in_channels, to, width);
    for (int64_t k = 0; k < of->count; k++) {
        if (!transposed)
            memcpy(to + k * width, columns + (of->first + k) * conv->out_channels,
                   (size_t)block->columns * sizeof(float));
        for (int64_t n = block->columns; n < width; n++)
            to[k * width + n] = 0;
    }
}

/* Where the transformed kernel of a part goes, point by point; points that are not used go to
 * `unused`. */
static void point_packed(const cn__winograd_conv *w, const piece *of, int64_t point_floats,
                         float *to, float *unused, float **out)
{
    for (int64_t point = 0; point < w->points; point++) {
        out[point] = unused;
        for (int64_t p = w->first_part[of->set]; p < w->first_part[of->set + 1]; p++) {
            if (!cn__point_used(w, &w->part[p], point))
                continue;
            if (&w->part[p] == of->part)
                out[point] = to;
            to += point_floats;
        }
    }
}

/* The taps of a piece, as (rows, width) each; taps of zero have a row step of 0. */
typedef struct gathered {
    _Alignas(64) float rows[most_taps][pack_rows * cn__widest_block];
    const float *tap[most_taps];
    int64_t step[most_taps];
} gathered;

static void gather_taps(const pack_context *c, const piece *of, gathered *to)
{
    const cn_conv_plan *plan = c->plan;
    const cn_conv *conv = &plan->conv;
    const cn__winograd_conv *w = plan->winograd;
    int64_t columns = w->axis[2].taps, taps = w->axis[1].taps * columns;
    int64_t tap_floats = conv->in_channels * conv->out_channels / conv->groups;
    int64_t z = cn__window_tap(of->part->axis[0], 0);
    for (int64_t t = 0; t < taps; t++) {
        int64_t y = cn__window_tap(of->part->axis[1], t / columns);
        int64_t x = cn__window_tap(of->part->axis[2], t % columns);
        int64_t tap = (z * conv->kernel[1] + y) * conv->kernel[2] + x;
        bool zero = y < 0 || x < 0;
        if (!zero)
            gather_tap(plan, of, c->kernel + tap * tap_floats, to->rows[t]);
        to->tap[t] = zero ? w->zeros : to->rows[t];
        to->step[t] = zero ? 0 : of->block->vectors * plan->kernels->lanes;
    }
}

static piece piece_at(const cn_conv_plan *plan, int64_t index)
{
    const cn__winograd_conv *w = plan->winograd;
    int64_t pieces = cn__ceil_div(w->depth, pack_rows), rest = index / pieces;
    int64_t first = index % pieces * pack_rows;
    int64_t part = rest / w->blocks % w->parts, set = 0;
    while (part >= w->first_part[set + 1])
        set++;
    return (piece){.group = rest / w->blocks / w->parts,
                   .set = set,
                   .part = &w->part[part],
                   .block = &w->block[rest % w->blocks],
                   .first = first,
                   .count = cn__min(pack_rows, w->depth - first)};
}

static void pack_task(void *context, size_t index)
{
    const pack_context *c = context;
    const cn_conv_plan *plan = c->plan;
    const cn__winograd_conv *w = plan->winograd;
    const piece of = piece_at(plan, (int64_t)index);
    int64_t width = of.block->vectors * plan->kernels->lanes;
    int64_t taps = w->axis[1].taps * w->axis[2].taps;
    _Alignas(64) float unused[cn__widest_block];
    float *out[cn__most_points];
    gathered from;
    gather_taps(c, &of, &from);
    float *to = c->packed + cn__winograd_packed(w, of.group, of.set, of.block);
    point_packed(w, &of, cn__packed_floats(w, 1, width), to + of.first * width, unused, out);
    for (int64_t k = 0; k < of.count; k++) {
        w->kernels->kernel(from.tap, width, out);
        for (int64_t t = 0; t < taps; t++)
            from.tap[t] += from.step[t];
        for (int64_t p = 0; p < w->points; p++)
            out[p] += out[p] == unused ? 0 : width;
    }
}

void cn__winograd_pack(const cn_conv_plan *plan, const float *kernel, float *packed, cn_pool *pool)
{
    const cn__winograd_conv *w = plan->winograd;
    pack_context context = {plan, kernel, packed};
    int64_t parts = w->parts * plan->conv.groups;
    int64_t pieces = cn__ceil_div(w->depth, pack_rows);
    cn__pool_run(pool, pack_task, &context, (size_t)(parts * w->blocks * pieces));
}
