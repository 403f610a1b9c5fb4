/* cornu/ops.h - operations on plain float buffers: usable without graph, layers or models.
 *
 * Layout: channels last, densely packed: (batch, spatial..., channels). Nothing here allocates
 * unless its comment says so; nothing keeps a pointer to a buffer. Input and output buffers must
 * not overlap unless the comment allows it. Where a function takes a `pool`, NULL computes on the
 * calling thread; the results have the same bits for any number of threads.
 */
#ifndef CORNU_OPS_H
#define CORNU_OPS_H

#include "cornu/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ==== convolution and transposed convolution ==== */

/* The shape of a convolution or of a transposed convolution with 1, 2 or 3 spatial dimensions
 * (extents in the order (depth,) (rows,) columns; only the first `rank` of each array are read).
 *
 * Convolution (cross-correlation, the kernel is not flipped), for every output position o:
 *     out[o] = bias + sum over taps t of in[o * stride + t * dilation - before] . W[t]
 *   with zeros outside the input. Kernel axes: (kernel..., in_channels / groups, out_channels).
 * Transposed convolution, for every input position i:
 *     out[i * stride + t * dilation - before] += in[i] . W[t]
 *   dropping what falls outside the output; then + bias. Kernel axes:
 *   (kernel..., out_channels / groups, in_channels).
 *
 * Both kernels have Keras' axes, and with the same kernel the transposed convolution is the
 * gradient of the convolution with respect to its input: a trained convolution's kernel is used as
 * it is. */
typedef struct cn_conv {
    int rank;             /* 1, 2 or 3 */
    int64_t batch;        /* images, at least 1 */
    int64_t in_channels;  /* channels of the input */
    int64_t out_channels; /* channels of the output */
    int64_t groups;       /* 0 means 1; divides both channel counts */
    int64_t in[3];        /* extents of the input */
    int64_t kernel[3];    /* extents of the kernel */
    int64_t stride[3];    /* 0 means 1 */
    int64_t dilation[3];  /* 0 means 1 */
    int64_t before[3]; /* zero padding (transposed: crop) before the first position; may be < 0 */
    int64_t out[3];    /* extents of the output */
    bool direct_only;  /* every product is computed: no minimal filtering (see cn_conv_plan_new) */
    int64_t most_scratch; /* most bytes that minimal filtering may work in; 0 means 128 MiB */
} cn_conv;

typedef enum cn_padding {
    CN_VALID = 0,
    CN_SAME,       /* Keras' and TensorFlow's */
    CN_CAUSAL,     /* 1-D convolution only */
    CN_SAME_THEANO /* Keras' `same` on the Theano backend: dilated kernel // 2 on both sides */
} cn_padding;

/* Fill in `before` and `out` from the other members and a convention. CN_ERROR_SHAPE if the output
 * would be empty, with a message that says which setting would work.
 *
 * Keras (keras/src/backend/common/backend_utils.py): `output_padding` holds `rank` numbers, or is
 * NULL for Keras' None, which is not the same as zeros. */
CN_API cn_status cn_conv_pad_keras(cn_conv *conv, cn_padding padding);
CN_API cn_status cn_conv_transpose_pad_keras(cn_conv *conv, cn_padding padding,
                                             const int64_t *output_padding);
/* Explicit zero padding (transposed: crops) on both sides, and extra cells at the end of a
 * transposed convolution's output; each array holds `rank` numbers, NULL for zeros. PyTorch's
 * convention is `after` = `before`; ONNX' pads are (before..., after...). */
CN_API cn_status cn_conv_pad(cn_conv *conv, const int64_t *before, const int64_t *after);
CN_API cn_status cn_conv_transpose_pad(cn_conv *conv, const int64_t *before, const int64_t *after,
                                       const int64_t *output_padding);
/* An output of exactly `size` (as Keras 1's Deconvolution2D(output_shape=...)): `before` is what
 * `padding` crops. CN_ERROR_SHAPE, naming the sizes that fit, if no convolution with this stride
 * maps an image of `size` to the input. */
CN_API cn_status cn_conv_transpose_out(cn_conv *conv, cn_padding padding, const int64_t *size);

/* Checks every member. All functions below do so themselves. `transposed` tells which of the two
 * operations is meant. */
CN_API cn_status cn_conv_check(const cn_conv *conv, bool transposed);

/* The adjoint: the transposed convolution that is the input gradient of the convolution `conv`, or
 * the convolution that is the input gradient of the transposed convolution `conv`. */
CN_API cn_conv cn_conv_adjoint(const cn_conv *conv);

/* Elements of the input, output and kernel, and useful multiplications of one run. */
CN_API int64_t cn_conv_in_count(const cn_conv *conv);
CN_API int64_t cn_conv_out_count(const cn_conv *conv);
CN_API int64_t cn_conv_kernel_count(const cn_conv *conv, bool transposed);
CN_API double cn_conv_multiplications(const cn_conv *conv, bool transposed);

/* What is done to each output value in the same pass: out = min(max(x, low), high); NaN stays. */
typedef struct cn_clamp {
    float low, high;
} cn_clamp;

/* One call. `bias` (out_channels) may be NULL. Allocates the packed kernel and working memory, and
 * gives them back. */
CN_API cn_status cn_conv_f32(const cn_conv *conv, const float *in, const float *kernel,
                             const float *bias, float *out, cn_pool *pool);
CN_API cn_status cn_conv_transpose_f32(const cn_conv *conv, const float *in, const float *kernel,
                                       const float *bias, float *out, cn_pool *pool);
/* The gradient of a loss with respect to the kernel, given the input `in` and the loss' gradient
 * `out_gradient` with respect to the output. `kernel_gradient` has the kernel's axes. */
CN_API cn_status cn_conv_kernel_gradient_f32(const cn_conv *conv, const float *in,
                                             const float *out_gradient, float *kernel_gradient,
                                             cn_pool *pool);
CN_API cn_status cn_conv_transpose_kernel_gradient_f32(const cn_conv *conv, const float *in,
                                                       const float *out_gradient,
                                                       float *kernel_gradient, cn_pool *pool);

/* The same in steps, for calls that are repeated: plan once per shape, pack once per kernel, run
 * often. A plan is read-only after it is made: threads may share it. */
typedef enum cn_conv_pass {
    CN_CONV_FORWARD,
    CN_CONV_TRANSPOSE,
    CN_CONV_KERNEL_GRADIENT,          /* of a convolution */
    CN_CONV_TRANSPOSE_KERNEL_GRADIENT /* of a transposed convolution */
} cn_conv_pass;

typedef struct cn_conv_plan cn_conv_plan;

/* The plan chooses the algorithm. Where it pays, convolutions and transposed convolutions without
 * dilation, and the gradients of their kernels (in one group), are computed by minimal filtering
 * (Winograd's algorithms) along one or two of their axes: with 1.3 to 4 times fewer
 * multiplications, and with an error below 1e-5 of the largest output for up to 512 channels, where
 * the direct sum has some 3e-6. An infinity or NaN in the input then spreads over the tiles of up
 * to 5 x 5 cells near it, a cell being an output or, of a transposed convolution with few channels,
 * those of a stride along each axis; or over all taps of a kernel gradient. It needs working
 * memory, at most `most_scratch` bytes. `direct_only`, or CORNU_WINOGRAD=0 in the environment,
 * forbids it. With few channels or many groups, neighbouring outputs or groups may be computed
 * together by a kernel with zeros, which an infinity or NaN turns into NaN for all of them. */
CN_API cn_conv_plan *cn_conv_plan_new(const cn_conv *conv, cn_conv_pass pass);
CN_API void cn_conv_plan_free(cn_conv_plan *plan);
/* Which algorithm the plan chose, such as "direct" or "by phase". */
CN_API const char *cn_conv_plan_algorithm(const cn_conv_plan *plan);
/* The algorithms that were weighed against each other, with the millions of cycles that one core is
 * expected to take: "direct 1.20, minimal filtering 6 x 6 0.41". "" if there was nothing to choose.
 * Lent. */
CN_API const char *cn_conv_plan_choice(const cn_conv_plan *plan);
/* Bytes of the packed kernel, 0 for the kernel gradients. */
CN_API size_t cn_conv_plan_packed_bytes(const cn_conv_plan *plan);
/* Bytes of working memory that a run needs; 0 for a direct transposed convolution, at most
 * `most_scratch` for minimal filtering. Depthwise with more channels on one side: an image of so
 * many. */
CN_API size_t cn_conv_plan_scratch_bytes(const cn_conv_plan *plan);
/* Writes the kernel into `packed` (cn_conv_plan_packed_bytes() bytes, aligned to 64). */
CN_API void cn_conv_plan_pack(const cn_conv_plan *plan, const float *kernel, float *packed,
                              cn_pool *pool);
/* Forward and transposed: reads `in`, `packed`, `bias` (or NULL); writes `out`. `clamp` may be
 * NULL. `scratch`: cn_conv_plan_scratch_bytes() bytes aligned to 64, NULL if 0. Cannot fail. */
CN_API void cn_conv_plan_run(const cn_conv_plan *plan, const float *in, const float *packed,
                             const float *bias, const cn_clamp *clamp, float *out, void *scratch,
                             cn_pool *pool);
/* Packs and runs, for a kernel that is used once: where few pixels meet each weight the packed
 * kernel then never leaves the cache. What is in `packed` afterwards means nothing. The same bits
 * as cn_conv_plan_run(). */
CN_API void cn_conv_plan_pack_and_run(const cn_conv_plan *plan, const float *in,
                                      const float *kernel, float *packed, const float *bias,
                                      const cn_clamp *clamp, float *out, void *scratch,
                                      cn_pool *pool);
/* Kernel gradients. */
CN_API void cn_conv_plan_kernel_gradient(const cn_conv_plan *plan, const float *in,
                                         const float *out_gradient, float *kernel_gradient,
                                         void *scratch, cn_pool *pool);

/* ==== pooling ==== */

/* The shape of a pooling over `rank` spatial dimensions. Cells outside the input are never the
 * maximum and do not count in an average. */
typedef struct cn_pooling {
    int rank; /* 1, 2 or 3 */
    int64_t batch, channels;
    int64_t in[3];
    int64_t window[3];
    int64_t stride[3]; /* 0 means the window's */
    int64_t before[3]; /* cells before the first position */
    int64_t out[3];
} cn_pooling;

/* Fills in `before` and `out` by Keras' rule (CN_VALID, CN_SAME, CN_SAME_THEANO). */
CN_API cn_status cn_pooling_pad(cn_pooling *pooling, cn_padding padding);
CN_API cn_status cn_pooling_check(const cn_pooling *pooling);

/* `switches` (as many as outputs; may be NULL) tells for each output which input cell of its image
 * was the maximum: ((z * rows) + y) * columns + x; of equal cells the first. */
CN_API cn_status cn_max_pool_f32(const cn_pooling *pooling, const float *in, float *out,
                                 int32_t *switches, cn_pool *pool);
/* The reverse: `in` has the pooled extents, `out` the unpooled ones. Every value goes to the cell
 * its switch names, values that meet are added, the other cells are 0. This is also the gradient of
 * max pooling. Switches outside the image are refused (CN_ERROR_ARGUMENT). */
CN_API cn_status cn_max_unpool_f32(const cn_pooling *pooling, const float *in,
                                   const int32_t *switches, float *out, cn_pool *pool);
CN_API cn_status cn_average_pool_f32(const cn_pooling *pooling, const float *in, float *out,
                                     cn_pool *pool);
/* `out_gradient` has the pooled extents, `in_gradient` the unpooled ones. */
CN_API cn_status cn_average_pool_gradient_f32(const cn_pooling *pooling, const float *out_gradient,
                                              float *in_gradient, cn_pool *pool);

/* ==== elementwise ==== */

/* Functions of one number; p0, p1, p2 are parameters. The list declares the enumeration, the
 * kernels and the tests. */
#define CN_UNARY_LIST(X)                                                                           \
    X(IDENTITY, identity)         /* x */                                                          \
    X(AFFINE, affine)             /* p0 * x + p1 */                                                \
    X(CLIP, clip)                 /* min(max(x, p0), p1) */                                        \
    X(RELU, relu)                 /* x >= p1: p1; x >= p2: x; else p0 * (x - p2)                   \
                                     (slope p0, maximum p1, threshold p2) */                       \
    X(ELU, elu)                   /* x > 0: x; else p0 * (exp(x) - 1) */                           \
    X(SELU, selu)                 /* 1.05070098735548 * elu(x, 1.67326324235438) */                \
    X(CELU, celu)                 /* max(x, 0) + min(p0 * (exp(x / p0) - 1), 0) */                 \
    X(GELU, gelu)                 /* x * (1 + erf(x / sqrt 2)) / 2 */                              \
    X(GELU_TANH, gelu_tanh)       /* x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3))) */      \
    X(SIGMOID, sigmoid)           /* 1 / (1 + exp(-x)) */                                          \
    X(LOG_SIGMOID, log_sigmoid)   /* -log(1 + exp(-x)) */                                          \
    X(HARD_SIGMOID, hard_sigmoid) /* min(max(p0 * x + 1/2, 0), 1); Keras 3: 1/6, 1 and 2: 0.2 */   \
    X(SILU, silu)                 /* x * sigmoid(x) */                                             \
    X(HARD_SILU, hard_silu)       /* x * hard_sigmoid(x, 1/6) */                                   \
    X(MISH, mish)                 /* x * tanh(softplus(x)) */                                      \
    X(SOFTPLUS, softplus)         /* log(1 + exp(x)) */                                            \
    X(SOFTSIGN, softsign)         /* x / (1 + |x|) */                                              \
    X(TANH, tanh)                                                                                  \
    X(HARD_TANH, hard_tanh)           /* min(max(x, -1), 1) */                                     \
    X(TANH_SHRINK, tanh_shrink)       /* x - tanh(x) */                                            \
    X(SOFT_SHRINK, soft_shrink)       /* x > p0: x - p0; x < -p0: x + p0; else 0 */                \
    X(HARD_SHRINK, hard_shrink)       /* |x| > p0: x; else 0 */                                    \
    X(SQUAREPLUS, squareplus)         /* (x + sqrt(x^2 + p0)) / 2 */                               \
    X(SPARSE_PLUS, sparse_plus)       /* x <= -1: 0; x >= 1: x; else (x + 1)^2 / 4 */              \
    X(SPARSE_SIGMOID, sparse_sigmoid) /* x <= -1: 0; x >= 1: 1; else (x + 1) / 2 */                \
    X(THRESHOLD, threshold)           /* x > p0: x; else p1 */                                     \
    X(EXP, exp)                                                                                    \
    X(LOG, log)                                                                                    \
    X(SQRT, sqrt)                                                                                  \
    X(RSQRT, rsqrt)           /* 1 / sqrt(x) */                                                    \
    X(RECIPROCAL, reciprocal) /* 1 / x */                                                          \
    X(SQUARE, square)                                                                              \
    X(ABS, abs)                                                                                    \
    X(SIGN, sign)                                                                                  \
    X(POSITIVE, positive) /* x > 0: 1; else 0 */

typedef enum cn_unary {
#define CN_UNARY_ENUM(NAME, name) CN_##NAME,
    CN_UNARY_LIST(CN_UNARY_ENUM)
#undef CN_UNARY_ENUM
        CN_UNARY_COUNT
} cn_unary;

/* A function and its parameters. */
typedef struct cn_function1 {
    cn_unary op;
    float p[3];
} cn_function1;

/* y = f(x) for `count` values; x and y may be the same buffer. Relative error below 4e-7 (or
 * absolute below 4e-7 where |y| < 1); NaN stays NaN. */
CN_API void cn_unary_f32(cn_function1 function, const float *x, float *y, int64_t count,
                         cn_pool *pool);
/* dx = dy * f'(x). At a kink the derivative is the one Keras' TensorFlow backend takes (relu: 0).
 */
CN_API void cn_unary_gradient_f32(cn_function1 function, const float *x, const float *dy, float *dx,
                                  int64_t count, cn_pool *pool);
/* The name, such as "relu". */
CN_API const char *cn_unary_name(cn_unary op);

#define CN_BINARY_LIST(X)                                                                          \
    X(ADD, add)                                                                                    \
    X(SUBTRACT, subtract)                                                                          \
    X(MULTIPLY, multiply)                                                                          \
    X(DIVIDE, divide)                                                                              \
    X(MAXIMUM, maximum)                                                                            \
    X(MINIMUM, minimum)                                                                            \
    X(POWER, power)                                                                                \
    X(GREATER, greater) /* a > b: 1; else 0 */                                                     \
    X(GREATER_EQUAL, greater_equal)                                                                \
    X(PRELU, prelu) /* a > 0: a; else b * a */

typedef enum cn_binary {
#define CN_BINARY_ENUM(NAME, name) CN_##NAME,
    CN_BINARY_LIST(CN_BINARY_ENUM)
#undef CN_BINARY_ENUM
        CN_BINARY_COUNT
} cn_binary;

/* out = a op b with numpy's broadcasting; `out` has the shape cn_broadcast() gives. `out` may be
 * the buffer of an operand that has its full shape. */
CN_API cn_status cn_binary_f32(cn_binary op, const cn_shape *a_shape, const float *a,
                               const cn_shape *b_shape, const float *b, float *out, cn_pool *pool);
CN_API const char *cn_binary_name(cn_binary op);
/* The common shape of two operands (-1 extents allowed); CN_ERROR_SHAPE names the axis. */
CN_API cn_status cn_broadcast(const cn_shape *a, const cn_shape *b, cn_shape *out);

/* ==== reductions, rearrangements ==== */

typedef enum cn_reduction { CN_SUM = 0, CN_MEAN, CN_MAX } cn_reduction;

/* Reduces `in` over the axes whose bit is set in `axes` (bit 0 = first axis); `out` keeps them with
 * extent 1 or without, which is the same in memory. Sums are pairwise or in double; the partition
 * does not depend on the thread count. An empty maximum is -infinity, an empty mean NaN. */
CN_API cn_status cn_reduce_f32(cn_reduction reduction, const cn_shape *shape, unsigned axes,
                               const float *in, float *out, cn_pool *pool);

/* out axis i is in axis order[i] (numpy's transpose). */
CN_API cn_status cn_transpose_f32(const cn_shape *shape, const int *order, const float *in,
                                  float *out, cn_pool *pool);
/* Adds `before[i]`/`after[i]` cells of `value` around axis i; negative numbers cut cells off. */
CN_API cn_status cn_pad_f32(const cn_shape *shape, const int64_t *before, const int64_t *after,
                            float value, const float *in, float *out, cn_pool *pool);
/* Joins `count` arrays along `axis`. */
CN_API cn_status cn_concatenate_f32(int count, const cn_shape *shapes, const float *const *in,
                                    int axis, float *out, cn_pool *pool);

/* softmax or log softmax over `axis`. in and out may be the same buffer. */
CN_API cn_status cn_softmax_f32(const cn_shape *shape, int axis, bool logarithm, const float *in,
                                float *out, cn_pool *pool);
/* dx from y = softmax(x) (or log softmax) and dy. */
CN_API cn_status cn_softmax_gradient_f32(const cn_shape *shape, int axis, bool logarithm,
                                         const float *y, const float *dy, float *dx, cn_pool *pool);

/* ==== resizing ==== */

typedef enum cn_interpolation {
    CN_NEAREST = 0,
    CN_BILINEAR,        /* half-pixel centres: src = (dst + 1/2) * in / out - 1/2, edges clamped */
    CN_BILINEAR_CORNER, /* Keras 2 on TensorFlow 1: src = dst * in / out */
    CN_BILINEAR_THEANO, /* Keras 2 on Theano: like CORNER, for whole-number factors */
    CN_BICUBIC          /* half-pixel centres, a = -1/2 */
} cn_interpolation;

/* Resizes (batch, in..., channels) to (batch, out..., channels), `rank` 1 to 3. CN_NEAREST with
 * whole factors repeats cells. No antialiasing. */
typedef struct cn_resizing {
    int rank;
    int64_t batch, channels;
    int64_t in[3], out[3];
    cn_interpolation interpolation;
} cn_resizing;
CN_API cn_status cn_resizing_check(const cn_resizing *resizing);
CN_API cn_status cn_resize_f32(const cn_resizing *resizing, const float *in, float *out,
                               cn_pool *pool);
/* `out_gradient` has the extents `out`, `in_gradient` the extents `in`. */
CN_API cn_status cn_resize_gradient_f32(const cn_resizing *resizing, const float *out_gradient,
                                        float *in_gradient, cn_pool *pool);

/* ==== batch normalisation ==== */

/* x is (rows, channels). y = gamma * (x - mean) / sqrt(variance + epsilon) + beta; gamma and beta
 * may be NULL. x and y may be the same buffer. */
CN_API void cn_batch_norm_f32(int64_t rows, int64_t channels, const float *x, const float *mean,
                              const float *variance, const float *gamma, const float *beta,
                              float epsilon, float *y, cn_pool *pool);
/* Mean and population variance of every channel. */
CN_API void cn_batch_moments_f32(int64_t rows, int64_t channels, const float *x, float *mean,
                                 float *variance, cn_pool *pool);
/* Gradients when mean and variance are the batch's own. dx, dgamma, dbeta may each be NULL; gamma
 * may be NULL. dx must not be x or dy. */
CN_API void cn_batch_norm_gradient_f32(int64_t rows, int64_t channels, const float *x,
                                       const float *mean, const float *variance, const float *gamma,
                                       float epsilon, const float *dy, float *dx, float *dgamma,
                                       float *dbeta, cn_pool *pool);

/* ==== the processor ==== */

/* The FMA peak, FLOP/s of all threads together: the best of three short runs (some 30 ms in all) of
 * nothing but multiply-adds in registers, with the instruction set in use. No kernel can be faster;
 * what share of it an operation reaches tells how good it is. Measure it beside the operation,
 * since the clock of a processor drifts. */
CN_API double cn_peak_flops(cn_pool *pool);

#ifdef __cplusplus
}
#endif

#endif
