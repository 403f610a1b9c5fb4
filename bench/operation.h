/* An operation of Cornu's, made ready to be run again and again. */
#ifndef CORNU_BENCH_OPERATION_H
#define CORNU_BENCH_OPERATION_H

#include "cornu/ops.h"
#include "peer.h"

/* `x` is the input of `conv`, `g` its output or the gradient of that. The result of a pass is
 * written to one of x, g and kernel; all begin with random numbers from -1/2 to 1/2. */
typedef struct operation {
    cn_conv conv;
    bool transposed;
    peer_pass pass;
    cn_conv_plan *plan;
    float *x, *g, *kernel, *packed;
    void *scratch;
} operation;

/* Fills with random numbers from 0 to 1. */
void fill_uniform(float *values, int64_t count, uint64_t seed);

/* False, with cn_error_message(), if it cannot be planned or memory is short. */
bool operation_make(operation *o, const cn_conv *conv, bool transposed, peer_pass pass,
                    cn_pool *pool);
void operation_run(const operation *o, cn_pool *pool);
void operation_release(operation *o);

#endif
