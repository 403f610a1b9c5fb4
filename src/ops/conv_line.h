/* Convolutions with few input channels, and transposed ones. Their sums are short, so what
 * surrounds the sum has to be little. The cells of a kernel's line lie side by side and are one tap
 * of that many times the channels. Pixels in a row, those of a phase of a transposed convolution,
 * read them a constant step apart, so the line kernel needs one pointer for each tap and many
 * pixels; for that to hold at the image's edges, too, the lines of the input are copied, with zeros
 * around them, into a few kilobytes from which they are read again for the next lines of the
 * output. Where there are groups, a copy has the channels of each group by themselves. */
#ifndef CORNU_SRC_OPS_CONV_LINE_H
#define CORNU_SRC_OPS_CONV_LINE_H

#include "ops/conv_plan.h"

enum {
    cn__line_copied = 8192, /* floats of the input that a task has copies of */
    cn__line_copies = 256,  /* and lines at most */
    cn__line_taps = 256,    /* most taps */
    cn__line_phases = 8     /* most phases along an axis */
};

/* Along an axis the outputs p + q * step, q < count, of phase p read the cells q * scale + cell +
 * t * apart, t < taps. */
typedef struct cn__line_phase {
    int64_t count, cell, taps;
} cn__line_phase;

typedef struct cn__line_axis {
    int64_t phases, step, scale, apart;
    int64_t first, reach; /* cells that any phase reads: the first, and how many, for q = 0 */
    cn__line_phase phase[cn__line_phases];
} cn__line_axis;

/* How the output's lines, in so many strips each, are cut into tasks. */
typedef struct cn__line_tasks {
    int64_t lines, tasks; /* lines of a task, and the tasks */
    bool far;             /* the output is too large for any cache */
} cn__line_tasks;
cn__line_tasks cn__line_cut(const cn_conv_plan *plan, int64_t strips);

struct cn__line_conv {
    cn__line_axis axis[3];
    bool merged;    /* neighbouring taps of the last axis are one */
    int64_t widest; /* vectors of a block at most */
    int64_t copies; /* lines that there is a copy of */
    int64_t pixels; /* of a phase in a strip: neighbours that are computed together */
    int64_t strips; /* in a line */
    int64_t cells;  /* of a line that a strip reads */
    int64_t lines;  /* of a task */
    bool far;       /* the output is too large for any cache */
    int64_t tasks;
};

/* What the convolution costs so, in multiply-adds of a vector; infinite if it cannot be done. */
double cn__line_cost(const cn_conv_plan *plan);
/* Sets plan->line, and the plan's blocks. */
cn_status cn__line_plan(cn_conv_plan *plan);
extern const cn__conv_path cn__line_path;

#endif
