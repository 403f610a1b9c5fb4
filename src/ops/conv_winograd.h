/* Minimal filtering (Winograd's algorithms) for convolutions and transposed convolutions, along
 * rows, columns or both: several times fewer multiplications than the direct sum. The plan chooses
 * it where it pays; see conv_winograd.c. */
#ifndef CORNU_SRC_OPS_CONV_WINOGRAD_H
#define CORNU_SRC_OPS_CONV_WINOGRAD_H

#include "ops/conv_plan.h"

/* Sets plan->winograd and the plan's packed and scratch floats if minimal filtering can compute
 * this convolution and is expected to be faster; else leaves the plan as it is. */
cn_status cn__winograd_plan(cn_conv_plan *plan);
extern const cn__conv_path cn__winograd_path;

/* The same for kernel gradients, whose plan is that of the convolution. */
cn_status cn__winograd_gradient_plan(cn_conv_plan *plan);
void cn__winograd_gradient_run(const cn_conv_plan *plan, const float *in, const float *gradient,
                               float *kernel, float *scratch, cn_pool *pool);

/* Takes the algorithms with this many points (3, 4 or 6) wherever they can be used, also where they
 * do not pay, alone if they can, else in a sub-pixel convolution; 0 for the default. For tests and
 * benchmarks: not safe while another thread plans. */
void cn__winograd_prefer(int points);
int cn__winograd_preferred(void);

#endif
