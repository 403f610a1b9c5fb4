/* The plan of a convolution: which input cells each output position reads, axis by axis.
 *
 * Along one axis a transposed convolution with stride s has up to s kinds of output positions
 * ("phases", position modulo s), each with its own subset of the kernel's taps; a convolution has
 * one phase with all taps. Within a phase every output position reads one input cell per tap, at an
 * offset that the tables below hold, or the padding (-1). The three axes are independent, so the
 * tables grow with the extents and not with their product. */
#ifndef CORNU_SRC_OPS_CONV_PLAN_H
#define CORNU_SRC_OPS_CONV_PLAN_H

#include "base/base.h"
#include "cornu/ops.h"
#include "kernels/kernels.h"

/* One phase of one axis. Offsets are in floats. */
typedef struct cn__axis_phase {
    int64_t count;      /* output positions */
    int64_t taps;       /* kernel taps they read */
    const int64_t *in;  /* [count][taps]: offset of the input cell, -1 for padding */
    const int64_t *out; /* [count]: offset of the output cell */
    const int64_t *tap; /* [taps]: which tap of the kernel */
    /* The positions at which all taps lie inside the input; there the offsets grow by a step. */
    int64_t inside, inside_end;
    int64_t in_step, out_step;
} cn__axis_phase;

typedef struct cn__axis {
    int64_t phases;
    cn__axis_phase *phase;
} cn__axis;

/* One combination of phases: an ordinary convolution. */
typedef struct cn__conv_phase {
    const cn__axis_phase *axis[3];
    int64_t taps;         /* product */
    int64_t image_pixels; /* output positions in one image */
    int64_t packed;       /* where its kernel begins in the packed kernel, in floats */
} cn__conv_phase;

/* A block of output channels that one tile covers. */
typedef struct cn__column_block {
    int64_t first, columns;
    int vectors;
    int64_t packed; /* where it begins in a phase's group, in floats per tap and input channel */
} cn__column_block;

/* How a kernel gradient is computed: as outer products of `rows` values of the input, those of a
 * line of `merged` taps, and the channels of the output's gradient, summed over the pixels; or
 * swapped, the channels by the values. */
typedef struct cn__gradient {
    int64_t merged;      /* neighbouring taps of the last axis: all of them, or 1 */
    int64_t lines, rows; /* lines of taps; rows of each in the kernel */
    bool swapped;        /* the input's values are the columns of the product */
    /* For each tap that a line begins with: the output positions along the last axis, from `first`
     * to `end`, at which the whole line lies inside the image. */
    struct {
        int64_t first, end;
    } * inside;
    int64_t task_lines, line_tasks; /* lines of a task; tasks for all lines */
    int64_t task_blocks, block_tasks;
    int64_t task_rows, row_tasks; /* rows of the product */
    int64_t blocks;               /* of columns, nearly equal numbers of vectors in each */
    cn__column_block *block;
    int64_t strip_rows[CN__MAX_VECTORS + 1]; /* rows of the tiles of so many vectors */
    int64_t chunk;                           /* pixels that are summed at a time */
    bool ahead;                              /* products ask for the next chunk's pixels */
    int64_t copied; /* floats that a line of taps copies of a chunk's input at most */
} cn__gradient;

/* What a run is given. */
typedef struct cn__conv_run {
    const float *in, *packed, *bias; /* the bias may be NULL */
    cn_clamp clamp;
    float *out, *scratch;
} cn__conv_run;

/* How a convolution is computed: packs a kernel, and runs. */
typedef struct cn__conv_path {
    void (*pack)(const cn_conv_plan *plan, const float *kernel, float *packed, cn_pool *pool);
    void (*run)(const cn_conv_plan *plan, const cn__conv_run *run, cn_pool *pool);
} cn__conv_path;

struct cn_conv_plan {
    cn_conv conv; /* with three axes and no zeros for defaults */
    cn_conv_pass pass;
    const cn__conv_path *path; /* not for kernel gradients */
    const char *algorithm;
    char choice[200]; /* what was weighed, in words */
    double cycles;    /* that the algorithm is expected to take, where others are weighed */
    bool roomy;       /* a vector behind the end of the input may be read */
    const cn__kernels *kernels;
    cn__arena *arena; /* holds the plan's tables */

    int64_t depth;   /* input channels of a group */
    int64_t columns; /* output channels of a group */
    cn__axis axis[3];
    int64_t phases;
    cn__conv_phase *phase;
    int64_t blocks;
    cn__column_block *block;
    int64_t packed_columns; /* columns, each block rounded up to whole vectors */
    int64_t chunk_pixels;   /* output pixels of a task at most */
    int64_t chunks;         /* equal parts of each phase's pixels */
    bool chunk_first;       /* all tasks of a chunk follow each other: small kernels */
    bool large_output;      /* larger than a second-level cache */
    int64_t tasks;
    int64_t packed_floats;
    int64_t scratch_floats;
    int64_t parts; /* kernel gradients: parts of the pixels that are summed apart */
    const struct cn__winograd_conv *winograd; /* minimal filtering, NULL if not used */
    const struct cn__depthwise_conv
        *depthwise; /* conv_depthwise.h; then most of the above is not */
    cn__gradient gradient;
    const struct cn__fold *fold;      /* few channels, conv_fold.h; NULL if not used */
    const struct cn__line_conv *line; /* few input channels, conv_line.h; NULL if not used */
    const struct cn__line_filter *line_filter; /* conv_line_filter.h; NULL if not used */
    const struct cn__groups *groups;           /* conv_groups.h; NULL if not used */
    const struct cn__subpixel *subpixel;       /* conv_subpixel.h; NULL if not used */
    float *zeros;                              /* what padding points to: `depth` zeros */
};

enum {
    /* Pointers to input cells that a task keeps on its stack. */
    cn__most_pointers = 1024
};

/* The vectors of the widest tile. */
static inline int64_t cn__widest(const cn__kernels *kernels)
{
    int64_t most = CN__MAX_VECTORS;
    while (kernels->rows[most] == 0)
        most--;
    return most;
}

/* Plans everything but merged groups, on a plan whose convolution, pass and arena are given. */
cn_status cn__plan_alone(cn_conv_plan *plan);

/* Notes an algorithm that is weighed against others. */
void cn__plan_weigh(cn_conv_plan *plan, const char *algorithm, double cycles);

/* Cuts `columns` columns into blocks of nearly equal numbers of vectors, at most `widest`;
 * `packed_columns` of whole vectors. */
cn_status cn__plan_blocks(const cn_conv_plan *plan, int64_t columns, int64_t widest,
                          int64_t *blocks, cn__column_block **block, int64_t *packed_columns);
/* The same for a given number of blocks. */
cn_status cn__cut_columns(const cn_conv_plan *plan, int64_t columns, int64_t blocks,
                          cn__column_block **block, int64_t *packed_columns);

/* Kernel gradients: chooses the shape of the outer products and tells how many columns they have;
 * cuts them into tasks. */
cn_status cn__gradient_shape(cn_conv_plan *plan, int64_t *columns);
void cn__gradient_tasks(cn_conv_plan *plan);

/* Where a pixel of a phase stands: counted over the batch and the phase's three axes. */
typedef struct cn__pixel {
    int64_t image, z, y, x;
} cn__pixel;

static inline cn__pixel cn__pixel_at(const cn__conv_phase *phase, int64_t index)
{
    cn__pixel pixel;
    pixel.x = index % phase->axis[2]->count;
    index /= phase->axis[2]->count;
    pixel.y = index % phase->axis[1]->count;
    index /= phase->axis[1]->count;
    pixel.z = index % phase->axis[0]->count;
    pixel.image = index / phase->axis[0]->count;
    return pixel;
}

static inline void cn__pixel_next(const cn__conv_phase *phase, cn__pixel *pixel)
{
    if (++pixel->x < phase->axis[2]->count)
        return;
    pixel->x = 0;
    if (++pixel->y < phase->axis[1]->count)
        return;
    pixel->y = 0;
    if (++pixel->z < phase->axis[0]->count)
        return;
    pixel->z = 0;
    pixel->image++;
}

#endif
