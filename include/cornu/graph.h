/* cornu/graph.h - symbolic tensors and the functions compiled from them.
 *
 * A cn_tensor stands for a value that is not known yet: the output of a layer, of an operation, or
 * an input. Tensors live in a graph that grows as they are made; the graph lives as long as a model
 * or a function that was made from it. A tensor that never becomes part of either is released with
 * cn_tensor_release(). A function computes any tensors from any others, as Keras' K.function does.
 */
#ifndef CORNU_GRAPH_H
#define CORNU_GRAPH_H

#include "cornu/ops.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cn_tensor cn_tensor;

/* A list of tensors, lent for the call: cn_tensors(a, b). */
typedef struct cn_tensor_list {
    int count;
    cn_tensor *const *items;
} cn_tensor_list;
#define cn_tensors(...)                                                                            \
    ((cn_tensor_list){(int)(sizeof((cn_tensor *[]){__VA_ARGS__}) / sizeof(cn_tensor *)),           \
                      (cn_tensor *[]){__VA_ARGS__}})

/* The shape with the batch first; -1 where it is known only when data comes. NULL for NULL. */
CN_API const cn_shape *cn_tensor_shape(const cn_tensor *tensor);
CN_API cn_dtype cn_tensor_dtype(const cn_tensor *tensor);
/* The name of the layer or operation that makes the tensor. Never NULL. */
CN_API const char *cn_tensor_name(const cn_tensor *tensor);
/* Releases a tensor's whole graph if no model or function holds it: once for all tensors that
 * operations have joined. */
CN_API void cn_tensor_release(cn_tensor *tensor);

/* ---- inputs, constants ---- */

/* A new input in a graph of its own; operations join graphs. `shape` includes the batch. `name` may
 * be NULL. */
CN_API cn_tensor *cn_op_input(cn_dtype dtype, const cn_shape *shape, const char *name);
/* A constant in the graph of `beside`; the array is copied. */
CN_API cn_tensor *cn_op_constant(cn_tensor *beside, const cn_array *array);
/* A constant number, of shape (). */
CN_API cn_tensor *cn_op_number(cn_tensor *beside, float value);

/* ---- operations: each returns the tensor of its result, or NULL with a message ----
 *
 * They work on float32 numbers; only reshape and transpose take int32 too. Extents that are unknown
 * are checked by the run that brings them. */

/* How a convolution or a transposed convolution lies on its input. Zeros mean the defaults. */
typedef struct cn_conv_options {
    bool transposed;
    int rank;
    int64_t groups;
    int64_t stride[3], dilation[3];
    cn_padding padding;
    bool has_output_padding; /* transposed: output_padding is given (Keras' None if not) */
    int64_t output_padding[3];
    int64_t output_size[3]; /* transposed: this output size exactly, if not 0 */
    bool direct_only;       /* as in cn_conv, and most_scratch too */
    int64_t most_scratch;
} cn_conv_options;
/* x (batch, spatial..., channels), kernel with the axes that ops.h tells. */
CN_API cn_tensor *cn_op_conv(cn_tensor *x, cn_tensor *kernel, const cn_conv_options *options);

CN_API cn_tensor *cn_op_unary(cn_tensor *x, cn_function1 function);
CN_API cn_tensor *cn_op_binary(cn_binary op, cn_tensor *a, cn_tensor *b);
/* `axes`: bit i for axis i. */
CN_API cn_tensor *cn_op_reduce(cn_reduction reduction, cn_tensor *x, unsigned axes, bool keepdims);
/* One extent of `shape` may be -1: what remains. An extent of 0 keeps the input's extent there. */
CN_API cn_tensor *cn_op_reshape(cn_tensor *x, const cn_shape *shape);
CN_API cn_tensor *cn_op_transpose(cn_tensor *x, const int *order);
CN_API cn_tensor *cn_op_pad(cn_tensor *x, const int64_t *before, const int64_t *after, float value);
CN_API cn_tensor *cn_op_concatenate(cn_tensor_list tensors, int axis);
CN_API cn_tensor *cn_op_softmax(cn_tensor *x, int axis, bool logarithm);
/* x (rows, a) times y (a, columns). */
CN_API cn_tensor *cn_op_matmul(cn_tensor *x, cn_tensor *y);

typedef struct cn_pool_options {
    int rank;
    int64_t window[3], stride[3];
    cn_padding padding;
} cn_pool_options;
/* `switches`, if not NULL, receives the tensor (int32) of the places of the maxima. */
CN_API cn_tensor *cn_op_max_pool(cn_tensor *x, const cn_pool_options *options,
                                 cn_tensor **switches);
/* `like` has the shape before pooling; only its shape is used. A run fails whose switches name
 * cells outside the image. */
CN_API cn_tensor *cn_op_max_unpool(cn_tensor *x, cn_tensor *switches, cn_tensor *like,
                                   const cn_pool_options *options);
CN_API cn_tensor *cn_op_average_pool(cn_tensor *x, const cn_pool_options *options);

/* Resizes the spatial extents to `factor` times theirs, or to `size` where that is not 0. */
typedef struct cn_resize_options {
    int rank;
    int64_t factor[3], size[3];
    cn_interpolation interpolation;
} cn_resize_options;
CN_API cn_tensor *cn_op_resize(cn_tensor *x, const cn_resize_options *options);

/* Normalises over all axes but the last. In training with the batch's own moments, otherwise with
 * `mean` and `variance`. gamma and beta may be NULL. With `new_mean` and `new_variance` not NULL
 * they receive the moving averages after a training step: old * momentum + batch * (1 - momentum).
 */
typedef struct cn_batch_norm_options {
    float momentum, epsilon;
    const bool *trainable; /* asked in every run: if false, the batch's moments are never used;
                              NULL: true */
} cn_batch_norm_options;
CN_API cn_tensor *cn_op_batch_norm(cn_tensor *x, cn_tensor *gamma, cn_tensor *beta, cn_tensor *mean,
                                   cn_tensor *variance, const cn_batch_norm_options *options,
                                   cn_tensor **new_mean, cn_tensor **new_variance);

/* In training drops values with probability `rate` and scales the others by 1 / (1 - rate); axes
 * whose bit is set in `shared_axes` share one decision. */
CN_API cn_tensor *cn_op_dropout(cn_tensor *x, float rate, unsigned shared_axes, uint64_t seed);
/* In training: x + stddev * normal noise, or x * (1 + stddev * normal noise). Every run of this and
 * of dropout draws other numbers, told by the seed and the number of the run. */
CN_API cn_tensor *cn_op_noise(cn_tensor *x, float stddev, bool multiply, uint64_t seed);

/* ---- gradients ---- */

/* How the signal passes a relu (of any slope and maximum) on its way back. */
typedef enum cn_gradient_rule {
    CN_GRADIENT = 0,   /* the derivative */
    CN_DECONVNET,      /* relu of the signal: Zeiler and Fergus, arXiv 1311.2901 */
    CN_GUIDED_BACKPROP /* both: Springenberg et al., arXiv 1412.6806 */
} cn_gradient_rule;

/* For each of `with_respect_to`, the gradient of sum(seed * output) over the `outputs`, written to
 * `gradients` (as many as `with_respect_to`; their contents mean nothing after a failure). A seed
 * has its output's shape or can be broadcast to it; NULL stands for ones, and `seeds` may be empty.
 * An input that no output depends on gets zeros. */
CN_API cn_status cn_gradients(cn_tensor_list outputs, cn_tensor_list seeds,
                              cn_tensor_list with_respect_to, cn_gradient_rule rule,
                              cn_tensor **gradients);

/* ---- functions ---- */

/* Computes output tensors from input tensors: Keras' K.function. Any tensor may be an input; there
 * may be none, if the outputs depend on weights and constants alone. At least one output. The
 * graphs of all tensors are joined. */
typedef struct cn_function cn_function;
CN_API cn_function *cn_function_new(cn_tensor_list inputs, cn_tensor_list outputs);
CN_API void cn_function_free(cn_function *function);
/* Runs it. `in` holds one array per input, `out` receives one new array per output (the caller's to
 * free; untouched on failure). `training` is the learning phase: dropout drops, batch normalisation
 * uses the batch. The first run with new shapes plans; later ones only compute. Several threads may
 * run one function at the same time. */
CN_API cn_status cn_function_run(cn_function *function, const cn_array *const *in, cn_array **out,
                                 bool training, cn_pool *pool);

/* ---- looking at runs ---- */

/* What one operation of a run did. Lent for the call. */
typedef struct cn_trace {
    const char *operation; /* "conv", "conv_kernel_gradient", "batch_norm" ... */
    const char *name;      /* of the layer that it belongs to, or of what it makes */
    const char *algorithm; /* of convolutions; else "" */
    const char *choice;    /* of convolutions: as cn_conv_plan_choice() tells it; else "" */
    int inputs;
    const cn_shape *in[4]; /* of the first inputs, as many as there are */
    const cn_shape *out;
    double milliseconds;
    double multiplications; /* useful ones; 0 where they are not counted */
} cn_trace;
/* Has `tracer` called after every operation that any function or model computes from now on; NULL
 * ends it. It may be called by several threads at a time. */
typedef void (*cn_tracer)(const cn_trace *trace, void *context);
CN_API void cn_set_tracer(cn_tracer tracer, void *context);

/* What one operation of a function will do. Lent for the call. */
typedef struct cn_planned {
    cn_trace operation; /* takes 0 milliseconds */
    size_t packed_bytes, scratch_bytes;
    size_t live_bytes; /* of the workspace that are in use meanwhile: values and scratch */
} cn_planned;
typedef void (*cn_planner)(const cn_planned *step, void *context);

/* The memory that a run needs besides weights and inputs. */
typedef struct cn_memory {
    size_t workspace_bytes; /* for the values between operations, and scratch */
    size_t least_bytes;     /* the most of them that are in use at a time: no plan needs less */
    size_t packed_bytes;    /* kernels in the order in which they are read */
    size_t output_bytes;    /* the new arrays that a run gives */
} cn_memory;

/* Plans a function for inputs of these shapes (all extents known), as its first run would, and
 * tells what is planned: each operation in its order, and the memory. `planner` and `memory` may be
 * NULL. */
CN_API cn_status cn_function_plan(cn_function *function, const cn_shape *in, bool training,
                                  cn_planner planner, void *context, cn_memory *memory);

#ifdef __cplusplus
}
#endif

#endif
