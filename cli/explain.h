/* What `cornu explain` finds out before it prints. */
#ifndef CORNU_CLI_EXPLAIN_H
#define CORNU_CLI_EXPLAIN_H

#include "operation.h"

/* One spatial axis, from the descriptor. */
typedef struct explain_axis {
    const char *name;
    int64_t in, kernel, stride, dilation, span, before, out;
    int64_t after;          /* padding (transposed: crop) after the last position; may be < 0 */
    int64_t full;           /* transposed: the output before it is cropped */
    int64_t smallest;       /* transposed: the output with output_padding 0 */
    int64_t output_padding; /* -1: not given */
    int64_t torch_extra;    /* transposed: PyTorch's output_padding */
    bool torch;             /* PyTorch's symmetric padding can express this axis */
    int64_t step;           /* transposed: the taps fall on every step-th phase of the stride */
    int64_t least, most;    /* transposed: taps that reach a cell away from the border */
} explain_axis;

typedef struct explanation {
    operation of;
    bool torch; /* PyTorch's padding can express every axis */
    explain_axis axis[3];
} explanation;

/* Calls `print` for every axis, but only once for axes with the same numbers: `label` then reads
 * "rows, columns". */
typedef void explain_print_axis(const explanation *e, const explain_axis *axis, const char *label);
void explain_each_axis(const explanation *e, explain_print_axis *print);

/* The text and the JSON of an explanation, on stdout. */
void explain_print_text(const explanation *e);
void explain_print_json(const explanation *e);

/* Taps of a transposed convolution that reach the output cell `position` of one axis: in an image
 * without an end, and in this image. */
int64_t explain_taps_inside(const explain_axis *axis, int64_t position);
int64_t explain_taps(const explain_axis *axis, int64_t position);

/* The overlap of a transposed convolution: as text on stdout, and as a picture. */
void explain_print_overlap(const explanation *e);
cn_status explain_draw_overlap(const explanation *e, const char *path);

#endif
