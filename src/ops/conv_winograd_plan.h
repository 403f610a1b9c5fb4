/* What planning, packing and running of minimal filtering share. */
#ifndef CORNU_SRC_OPS_CONV_WINOGRAD_PLAN_H
#define CORNU_SRC_OPS_CONV_WINOGRAD_PLAN_H

#include "ops/conv_winograd.h"

/* A part of an axis' taps that is a correlation with stride 1: tap `tap` + i * `tap_step` of the
 * kernel is applied to cell `lead` + i of a window of input cells. */
typedef struct cn__window {
    int64_t phase; /* of the axis' outputs */
    int64_t taps, tap, tap_step;
    int64_t lead;  /* taps of zero before the first */
    int64_t first; /* where the first tile's window begins in the input */
    int64_t input; /* which of the axis' windows it is */
    /* The points at which the part's kernel is not zero: all, but for the first (0) if there is a
     * lead, and the last (infinity) if there are taps of zero behind. */
    int64_t first_point, end_point;
} cn__window;

/* An axis is filtered, a tile then having `points` cells and `step` outputs of each phase along it,
 * or it is not: then each of its taps is a part, and points, taps and step are 1. The outputs
 * out_first + phase + i * out_step belong to a phase: those that a transposed convolution computes
 * with the same taps, or all of a convolution. */
typedef struct cn__winograd_axis {
    int64_t points, taps, step;
    int64_t tiles;   /* that cover an image */
    int64_t spacing; /* of the cells of a window */
    int64_t phases, out_first, out_step;
    int64_t parts, inputs;
    cn__window *part; /* [parts], phase by phase */
    int64_t *first;   /* [inputs]: where the first tile's windows begin */
} cn__winograd_axis;

/* A part of a phase's kernel: one of each axis. */
typedef struct cn__winograd_part {
    const cn__window *axis[3];
    int64_t phase;
    int64_t input; /* the windows it reads: one of each axis */
} cn__winograd_part;

/* The kernel is cut into parts of at most `taps` taps along each axis that is filtered:
 * - the phases of a transposed convolution: all may read the same windows of the input;
 * - the taps with the same position modulo the stride of a convolution, and pieces of a large
 *   kernel, which read windows of their own. What the parts of one phase give is added up before it
 *   is transformed back.
 * Where the kernel is a multiple of the stride along the last axis, `merged` = stride neighbouring
 * input cells of a convolution may be one cell, with that many times the channels, and so may the
 * outputs of all phases of a transposed convolution: both lie side by side in memory. */
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

typedef struct cn__winograd_conv {
    const cn__winograd *kernels;
    cn__winograd_axis axis[3];
    int64_t points;                      /* of a tile */
    int64_t tiles;                       /* of all images */
    int64_t inputs;                      /* windows that a tile reads */
    int64_t merged, in_cells, out_cells; /* in_cells, out_cells: merged, or 1 */
    int64_t depth, columns;              /* of a group, with all merged cells */
    int64_t blocks, packed_columns;
    cn__column_block *block;
    int64_t phases;
    int64_t parts;
    cn__winograd_part *part; /* [parts], phase by phase; NULL if the kernel does not suit */
    /* The parts of phase p that read the windows of round r are a set, p * rounds + r. */
    const int64_t *first_part; /* [phases * rounds + 1]: where the parts of a set begin */
    const int64_t *packed;     /* and their kernels, in floats */
    int64_t group_packed;      /* floats of a group's kernel */

    /* A task computes `chunk` tiles of a group: all phases and columns, or, where there are too few
     * chunks for many threads, a block of columns of one phase (`shared`: all such tasks read the
     * same transformed input, which is computed before them). Chunks are numbered by group. */
    int64_t chunk, group_chunks, chunks, tasks;
    bool shared;
    /* A chunk's windows are transformed `round_inputs` at a time, so that they stay in the cache,
     * and multiplied with what there is of them in the kernels of all phases and columns, whose
     * sums are kept meanwhile. All at once, if they are shared. */
    int64_t rounds, round_inputs;
    bool far;      /* the input is too large to be in a cache */
    bool far_out;  /* and the output in any */
    int64_t panel; /* parts whose kernel at a point stays in the cache */
    /* The working memory, in floats. Transformed inputs of a chunk (windows of a round, points,
     * chunk, row), each point `in_step` after the other, `chunk_floats` altogether: for each slot
     * or, if they are shared, each chunk. In each slot the sums (points, chunk, widest), `sum_step`
     * apart: of one block of one phase, or of all if there is more than one round. */
    int64_t row, in_step, chunk_floats, sum_step, slot_floats;
    int64_t slots; /* tasks that run at the same time at most */
    const float *zeros;
    cn__winograd_gradient gradient; /* of a kernel gradient, in place of chunks and memory */
} cn__winograd_conv;

enum {
    cn__line_floats = 16,  /* floats of a cache line */
    cn__widest_block = 64, /* columns */
    cn__most_points = cn__winograd_most * cn__winograd_most,
    cn__most_parts = 64,  /* of a phase */
    cn__most_merged = 768 /* floats of a merged cell: tasks copy some on their stack */
};

/* Where a tile stands: its image, and how many tiles lie before it along each axis. */
typedef struct cn__winograd_place {
    int64_t image, at[3];
} cn__winograd_place;

static inline cn__winograd_place cn__winograd_place_of(const cn__winograd_conv *w, int64_t tile)
{
    cn__winograd_place p;
    for (int i = 2; i >= 0; i--) {
        p.at[i] = tile % w->axis[i].tiles;
        tile /= w->axis[i].tiles;
    }
    p.image = tile;
    return p;
}

/* Moves on to the next tile. */
static inline void cn__winograd_next(const cn__winograd_conv *w, cn__winograd_place *place)
{
    for (int i = 2; i >= 0; i--) {
        if (++place->at[i] < w->axis[i].tiles)
            return;
        place->at[i] = 0;
    }
    place->image++;
}

/* The kernel's tap for place i of a window, -1 for a zero. */
static inline int64_t cn__window_tap(const cn__window *window, int64_t i)
{
    i -= window->lead;
    return i < 0 || i >= window->taps ? -1 : window->tap + i * window->tap_step;
}

/* What is planned best so far. */
typedef struct cn__winograd_choice {
    double cycles;
    const cn__winograd_conv *of;
    double tried; /* the fewest cycles of all tries, and their algorithm */
    const cn__winograd *algorithm;
} cn__winograd_choice;
/* Keeps a try with these cycles if it is the best. */
void cn__winograd_keep(cn__winograd_choice *best, double cycles, const cn__winograd_conv *of);
/* Plans with an algorithm along the axes that are to be filtered; keeps it if it is the best. */
typedef cn_status cn__winograd_try(cn_conv_plan *plan, const cn__winograd *kernels,
                                   const bool filtered[3], cn__winograd_choice *best);

/* The cycles that an input or output takes by itself if it is too large for the caches: it is
 * transformed all at once, not while there is something to multiply. */
double cn__winograd_far_cycles(int64_t floats);
/* Floats of working memory that may be taken. */
int64_t cn__winograd_room(const cn_conv_plan *plan);
/* False if minimal filtering is forbidden or cannot compute this. */
bool cn__winograd_possible(const cn_conv_plan *plan);
/* True if there are as many channels as a vector has, or as many may be read. */
bool cn__winograd_fills(const cn_conv_plan *plan, int64_t depth, int64_t columns);
/* Begins a plan: the algorithm and its points along the axes. NULL if memory is short. */
cn__winograd_conv *cn__winograd_new(const cn_conv_plan *plan, const cn__winograd *kernels,
                                    const bool filtered[3], int64_t merged);
/* Tries all algorithms; leaves the best in plan->winograd, NULL if that is the direct sum with its
 * cycles. */
cn_status cn__winograd_choose(cn_conv_plan *plan, double direct, cn__winograd_try *try_one);

/* True if the kernel of a part is not zero everywhere at a point. */
static inline bool cn__point_used(const cn__winograd_conv *w, const cn__winograd_part *part,
                                  int64_t point)
{
    int64_t y = point / w->axis[2].points, x = point % w->axis[2].points;
    return y >= part->axis[1]->first_point && y < part->axis[1]->end_point &&
           x >= part->axis[2]->first_point && x < part->axis[2]->end_point;
}

/* True if a part of the phase is used at a point, of those from `first` to `end`. */
static inline bool cn__any_used(const cn__winograd_conv *w, int64_t first, int64_t end,
                                int64_t point)
{
    for (int64_t p = first; p < end; p++)
        if (cn__point_used(w, &w->part[p], point))
            return true;
    return false;
}

/* The points of all parts of a set, each as often as it has parts that use it. */
static inline int64_t cn__set_points(const cn__winograd_conv *w, int64_t set)
{
    int64_t points = 0;
    for (int64_t p = w->first_part[set]; p < w->first_part[set + 1]; p++) {
        const cn__window *y = w->part[p].axis[1], *x = w->part[p].axis[2];
        points += (y->end_point - y->first_point) * (x->end_point - x->first_point);
    }
    return points;
}

/* Floats of `blocks` blocks, with `columns` columns altogether, of a part's packed kernel at a
 * point. One line more for each block keeps the points, which are written together, from falling on
 * the same lines of the caches. */
static inline int64_t cn__packed_floats(const cn__winograd_conv *w, int64_t blocks, int64_t columns)
{
    return w->depth * columns + cn__line_floats * blocks;
}

/* Where a block of a set begins in the packed kernel: [group][phase][round][block][point][part]
 * [depth][vectors * lanes], without the parts that are zero at a point. */
static inline int64_t cn__winograd_packed(const cn__winograd_conv *w, int64_t group, int64_t set,
                                          const cn__column_block *block)
{
    return group * w->group_packed + w->packed[set] +
           cn__set_points(w, set) * cn__packed_floats(w, block - w->block, block->packed);
}

/* Plans the axes, whose points, taps and step are given, and the parts, those of a phase in the
 * order of their windows. There are none if the kernel does not suit these taps or has too many
 * parts. */
cn_status cn__winograd_parts(const cn_conv_plan *plan, cn__winograd_conv *w);

/* A run. */
typedef struct cn__winograd_context {
    const cn_conv_plan *plan;
    const float *in, *packed, *bias;
    float *out, *scratch;
    cn_clamp clamp;
} cn__winograd_context;

/* The tiles of a chunk and the group they are computed for. */
typedef struct cn__winograd_chunk {
    int64_t group, first, end;
} cn__winograd_chunk;

void cn__winograd_pack(const cn_conv_plan *plan, const float *kernel, float *packed, cn_pool *pool);
/* The windows of a round, transformed. */
void cn__winograd_inputs(const cn__winograd_context *c, const cn__winograd_chunk *of, int64_t round,
                         float *transformed);
/* The outputs of a phase and a block of columns from the sums at the points. */
void cn__winograd_outputs(const cn__winograd_context *c, const cn__winograd_chunk *of,
                          int64_t phase, const cn__column_block *block, const float *sums);

#endif
