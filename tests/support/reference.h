/* The readable operations that the fast ones are tested against: straight from their definitions,
 * in double, with the system's mathematical functions. */
#ifndef CORNU_TESTS_REFERENCE_H
#define CORNU_TESTS_REFERENCE_H

#include "cornu/ops.h"

/* ---- reference_elementwise.c ---- */

double reference_unary(cn_unary op, double x, const float *p);
double reference_binary(cn_binary op, double a, double b);

/* Where the elements of an array of `shape` stand in one of `smaller`, which is broadcast to it. */
int64_t reference_broadcast_index(const cn_shape *shape, int64_t index, const cn_shape *smaller);

void reference_reduce(cn_reduction reduction, const cn_shape *shape, unsigned axes, const float *in,
                      double *out);

void reference_softmax(const cn_shape *shape, int axis, bool logarithm, const double *in,
                       double *out);

/* With the batch's own mean and population variance, which are written out too. */
void reference_batch_norm(int64_t rows, int64_t channels, const double *x, const double *gamma,
                          const double *beta, double epsilon, double *mean, double *variance,
                          double *y);

/* ---- reference_image.c ---- */

void reference_max_pool(const cn_pooling *pooling, const float *in, double *out, int32_t *switches);
void reference_average_pool(const cn_pooling *pooling, const float *in, double *out);
void reference_max_unpool(const cn_pooling *pooling, const float *in, const int32_t *switches,
                          double *out);
void reference_resize(const cn_resizing *resizing, const float *in, double *out);

#endif
