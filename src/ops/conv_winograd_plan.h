/* What planning, packing and running of minimal filtering share. */
#ifndef CORNU_SRC_OPS_CONV_WINOGRAD_PLAN_H
#define CORNU_SRC_OPS_CONV_WINOGRAD_PLAN_H

#include "ops/conv_winograd.h"

/* A part of an axis' taps, at most three, that is a correlation with stride 1: tap `tap` + i *
 * `tap_step` of the kernel is applied to cell `lead` + i of a window of input cells. */
typedef struct cn__window {
    int64_t taps, tap, tap_step;
    int64_t lead;  /* taps of zero before the first */
    int64_t first; /* where the first tile's window begins in the input */
    int64_t shift; /* outputs of the first tile that lie before output 0 */
    /* The points at which the phase's kernel is not zero everywhere: all, but for the first (0) if
     * there is a lead, and the last (infinity) if there are taps of zero behind. */
    int64_t first_point, end_point;
} cn__window;

/* The channels of the input or of the output's gradient, in blocks of at most `cn__widest_block`.
 * Transformed cells are kept as (part, point, block, tile, width). */
typedef struct cn__winograd_side {
    int64_t channels, blocks;
    int64_t width;            /* floats of a block's row */
    int64_t panel;            /* floats of a block at a point, of all tiles */
    int64_t step, part, size; /* floats of a point, from part to part (0: one at a time), of all */
} cn__winograd_side;

/* Kernel gradients, see conv_winograd_gradient.c. The tiles are cut into slices that are summed
 * apart, and slices into chunks that are transformed together. A task is a slice, for all parts of
 * the kernel or, where that gives too few tasks, for one of them; it transforms its chunks in the
 * memory of its slot. Or, where the sums are too large for that (`shared`), there is one slice, all
 * tasks transform a chunk, and a task then is a block of the kernel. */
typedef struct cn__winograd_gradient {
    cn__winograd_side in, out;
    bool shared;
    int64_t slices, chunks, chunk; /* chunks of a slice and their tiles, at most */
    int64_t task_parts, slice_tasks;
    int64_t blocks;               /* of all parts of the kernel */
    int64_t sum_step, block_sums; /* floats of a block's sums: at a point, altogether */
    int64_t slice_sums;           /* of a slice: all blocks; 0 if a slot has those of a block */
    int64_t slots, slot_floats;
} cn__winograd_gradient;

/* The kernel is cut into parts, each part of the rows' taps with each of the columns' taps, in one
 * of two ways:
 * - by phase, for transposed convolutions with a stride: each output phase has its own part, and
 *   all parts read the same windows of the input;
 * - as a sum, for all others: the parts are the taps with the same position modulo the stride, or
 *   thirds of a large kernel. Each reads windows of its own, whose cells are `spacing` apart, and
 *   what they give is added up before it is transformed back.
 * The images are covered by tiles of step x step outputs of each phase; a tile reads windows of
 * points x points input cells. */
typedef struct cn__winograd_conv {
    const cn__winograd *kernels;
    int64_t points, taps, step; /* of an axis */
    int64_t tiles[2];           /* rows and columns of tiles in an image */
    int64_t all_tiles;
    bool summed;
    cn__window *window[2];    /* [parts] of the rows' and the columns' taps */
    int64_t parts[2], inputs; /* inputs: the windows a tile reads, all parts if summed, else 1 */
    int64_t spacing[2];
    const int64_t *packed; /* [phases + 1]: where the phase's kernel begins, in floats */

    /* A task computes `chunk` tiles: all phases and columns, or, where there are too few chunks for
     * many threads, a block of columns of one phase (`shared`: all such tasks read the same
     * transformed input, which is computed before them). */
    int64_t chunk, chunks, tasks;
    bool shared;
    /* The working memory, in floats. Transformed inputs of a chunk (inputs, points^2, chunk, row),
     * each point `in_step` after the other, `chunk_floats` altogether: for each slot or, if they
     * are shared, each chunk. In each slot the sums (points^2, chunk, widest), `sum_step` apart,
     * and a row for outputs outside the image. */
    int64_t row, in_step, chunk_floats, sum_step, slot_floats;
    int64_t slots; /* tasks that run at the same time at most */
    const float *zeros;
    cn__winograd_gradient gradient; /* of a kernel gradient, in place of chunks and memory */
} cn__winograd_conv;

enum {
    cn__widest_block = 64, /* columns */
    cn__most_parts = 3,    /* of an axis, if they are summed */
    cn__most_inputs = 3 * 3
};

/* False if minimal filtering is forbidden or cannot compute this. */
bool cn__winograd_possible(const cn_conv_plan *plan);
/* Parts, windows and tiles; leaves NULL if the kernels do not fit the parts. */
cn_status cn__winograd_windows(const cn_conv_plan *plan, const cn__winograd *kernels,
                               cn__winograd_conv **planned);
/* Leaves the cheapest of all kernels in plan->winograd, or NULL if `direct` cycles are fewer.
 * plan_one() leaves what it plans there too, or NULL if it cannot. */
cn_status cn__winograd_choose(cn_conv_plan *plan,
                              cn_status (*plan_one)(cn_conv_plan *plan,
                                                    const cn__winograd *kernels),
                              double (*cycles_of)(const cn_conv_plan *plan), double direct);
/* The cells of a tile's window for a part, zeros outside the image. */
void cn__winograd_window(const cn_conv_plan *plan, const float *in, int64_t part, int64_t tile,
                         const float **cells);

/* The window of a part along the rows (axis 0) or columns (axis 1). */
static inline const cn__window *cn__window_of(const cn__winograd_conv *w, int64_t part, int axis)
{
    return &w->window[axis][axis == 0 ? part / w->parts[1] : part % w->parts[1]];
}

/* The kernel's tap for place i of a window, -1 for a zero. */
static inline int64_t cn__window_tap(const cn__window *window, int64_t i)
{
    i -= window->lead;
    return i < 0 || i >= window->taps ? -1 : window->tap + i * window->tap_step;
}

/* The parts of a phase are cn__first_part() to cn__end_part(). */
static inline int64_t cn__first_part(const cn__winograd_conv *w, int64_t phase)
{
    return w->summed ? 0 : phase;
}

static inline int64_t cn__end_part(const cn__winograd_conv *w, int64_t phase)
{
    return w->summed ? w->inputs : phase + 1;
}

/* True if the kernel of a part is not zero everywhere at a point. */
static inline bool cn__point_used(const cn__winograd_conv *w, int64_t part, int64_t point)
{
    const cn__window *y = cn__window_of(w, part, 0), *x = cn__window_of(w, part, 1);
    int64_t i = point / w->points, j = point % w->points;
    return i >= y->first_point && i < y->end_point && j >= x->first_point && j < x->end_point;
}

/* The points of all parts of a phase, each as often as it has parts that use it. */
static inline int64_t cn__phase_points(const cn__winograd_conv *w, int64_t phase)
{
    int64_t points = 0;
    for (int64_t part = cn__first_part(w, phase); part < cn__end_part(w, phase); part++) {
        const cn__window *y = cn__window_of(w, part, 0), *x = cn__window_of(w, part, 1);
        points += (y->end_point - y->first_point) * (x->end_point - x->first_point);
    }
    return points;
}

/* Where a block of a phase begins in the packed kernel: [phase][block][point][part][depth][vectors
 * * lanes], without the parts that are zero at a point. */
static inline int64_t cn__winograd_packed(const cn_conv_plan *plan, int64_t phase,
                                          const cn__column_block *block)
{
    const cn__winograd_conv *w = plan->winograd;
    return w->packed[phase] + cn__phase_points(w, phase) * plan->depth * block->packed;
}

#endif
