/* The readable convolutions that the fast ones are tested against: loops over everything, sums in
 * double. Three axes always; extents of missing axes are 1. */
#ifndef CORNU_TESTS_REFERENCE_CONV_H
#define CORNU_TESTS_REFERENCE_CONV_H

#include "cornu/ops.h"

/* out (double) and the sum of absolute products of each output, for error bounds. */
void reference_conv(const cn_conv *conv, const float *in, const float *kernel, const float *bias,
                    double *out, double *magnitude);
void reference_conv_transpose(const cn_conv *conv, const float *in, const float *kernel,
                              const float *bias, double *out, double *magnitude);
/* `in`, `out_gradient` as in cn_conv_kernel_gradient_f32. */
void reference_kernel_gradient(const cn_conv *conv, bool transposed, const float *in,
                               const float *out_gradient, double *kernel, double *magnitude);

#endif
