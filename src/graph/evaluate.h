/* The graph in double precision, node by node, in the plainest code there is. What the fast
 * programs compute in float is checked against it, and it tells derivatives by differences, for
 * which float is too coarse. */
#ifndef CORNU_SRC_GRAPH_EVALUATE_H
#define CORNU_SRC_GRAPH_EVALUATE_H

#include "graph/graph.h"

/* An array of doubles; whole numbers of int32 tensors too. */
typedef struct cn__doubles {
    cn_shape shape;
    double *values;
} cn__doubles;
/* An array's elements in double. */
cn_status cn__doubles_of(const cn_array *array, cn__doubles *doubles);
void cn__doubles_free(cn__doubles *doubles);

/* What a variable counts as, instead of its value: as many numbers. */
typedef struct cn__replaced {
    const cn__variable *variable;
    const double *values;
} cn__replaced;

/* How a graph is evaluated. */
typedef struct cn__evaluation {
    bool training;
    uint64_t run; /* its number, as that of a run of a function: random operations go by it */
    int replaced_count;
    const cn__replaced *replaced;
} cn__evaluation;

/* Computes `outputs` (new arrays, to be freed; none after a failure) from `inputs`. On one thread,
 * and with all values between in memory at once. CN_ERROR_UNSUPPORTED names an operation that
 * cannot be evaluated. */
cn_status cn__evaluate(cn_tensor_list inputs, const cn__doubles *in, cn_tensor_list outputs,
                       cn__doubles *out, const cn__evaluation *evaluation);

#endif
