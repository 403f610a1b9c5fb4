/* Folded convolutions, for few channels.
 *
 * Few output channels do not fill a vector. So neighbouring output positions are computed together,
 * as if they were channels of one position: those of all phases of a transposed convolution, or a
 * few of an ordinary one. Such a run of positions reads the input cells that any of them reads; the
 * kernel has zeros where a position has no tap for a cell. Few input channels make short sums. So
 * the cells of a line, which lie side by side, are one tap of that many times the channels; where a
 * line leaves the image the tile reads a copy with zeros. */
#ifndef CORNU_SRC_OPS_CONV_FOLD_H
#define CORNU_SRC_OPS_CONV_FOLD_H

#include "ops/conv_plan.h"

enum { cn__fold_copied = 4096 /* floats that a task copies for one tile at most */ };

/* Runs of output positions along one axis: run q has the positions q * step + first and the
 * `members` - 1 after it, as far as there are so many, and reads the cells from q * scale + cell
 * on. */
typedef struct cn__fold_class {
    int64_t first, members, step, count;
    int64_t cell, cells, scale;
    int64_t inside_first, inside_end; /* the runs all of whose cells lie inside the image */
} cn__fold_class;

typedef struct cn__fold_phase {
    const cn__fold_class *axis[3];
    int64_t merged;      /* neighbouring cells of a line that make one tap: all, or 1 */
    int64_t taps, depth; /* of the tile */
    int64_t columns;     /* positions of a run times output channels */
    int64_t blocks;
    cn__column_block *block;
    int64_t packed;     /* where its kernel begins in the packed kernel, in floats */
    int64_t image_runs; /* runs in one image */
    int64_t chunk_runs; /* runs of a task; in planes: groups of lines; spread: images */
    int64_t lines;      /* in planes: lines of runs computed together; spread: of output kept */
    /* Spread: parts of an image's lines, and positions of a line that are computed together. */
    int64_t parts, positions;
    int64_t first_task, tasks;
} cn__fold_phase;

/* How the runs are computed: by the tile, in planes (conv_planar.h), or overlapping
 * (conv_spread.h). */
typedef enum cn__fold_kind {
    CN__FOLD_TILES,
    CN__FOLD_PLANES,
    CN__FOLD_SPREAD,
    CN__FOLD_KINDS
} cn__fold_kind;

struct cn__fold {
    cn__fold_kind kind;
    int64_t phases;
    cn__fold_phase *phase;
    int64_t blocks, tasks; /* of all phases */
    const float *zeros;    /* as many as the deepest tap reads */
};

/* The kernel's tap that a position of a run has for a cell, counted from the run's first of each;
 * -1 if it has none. */
int64_t cn__fold_tap(const cn_conv_plan *plan, int axis, const cn__fold_class *of, int64_t member,
                     int64_t cell);

/* Sets plan->fold and the plan's packed floats if folding is expected to be faster; else leaves the
 * plan as it is. */
cn_status cn__fold_plan(cn_conv_plan *plan);
void cn__fold_pack(const cn_conv_plan *plan, const float *kernel, float *packed, cn_pool *pool);
extern const cn__conv_path cn__fold_path;

#endif
