/* cornu/layers.h - Keras' layers.
 *
 * A constructor takes its required options in Keras' order and the others by name:
 *     cn_layer *l = cn_conv2d(32, {3, 3}, .padding = CN_SAME, .activation = "relu");
 * An option that is left out, or 0, has Keras' default. Options that count along spatial axes are
 * lists: {3, 3}, or {3} for the same number along every axis. Objects (activations, initializers,
 * regularizers, constraints) are written as in Keras: "relu", "leaky_relu",
 * "VarianceScaling(scale=2, mode='fan_in')".
 *
 * A layer is handed on: cn_apply(), cn_sequential() and the like take it over, also when they fail.
 * It then lives as long as the graph or model it is in. A layer that was never used is released
 * with cn_layer_free().
 */
#ifndef CORNU_LAYERS_H
#define CORNU_LAYERS_H

#include "cornu/graph.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cn_layer cn_layer;

/* Frees a layer that nothing has taken over. */
CN_API void cn_layer_free(cn_layer *layer);

/* Applies a layer to a tensor, or to several (merging layers): makes its weights at the first
 * application and returns the output. Applied again, the layer shares its weights. */
CN_API cn_tensor *cn_apply(cn_layer *layer, cn_tensor *input);
CN_API cn_tensor *cn_apply_list(cn_layer *layer, cn_tensor_list inputs);
/* For layers with several outputs (models used as layers): fills `outputs`, at most `capacity`;
 * returns their number, -1 on failure. */
CN_API int cn_apply_outputs(cn_layer *layer, cn_tensor_list inputs, int capacity,
                            cn_tensor **outputs);

/* "conv2d_transpose_1", "Conv2DTranspose". */
CN_API const char *cn_layer_name(const cn_layer *layer);
CN_API const char *cn_layer_type(const cn_layer *layer);
/* The layer's first input and output tensor where it was first applied; NULL if it was not. */
CN_API cn_tensor *cn_layer_input(const cn_layer *layer);
CN_API cn_tensor *cn_layer_output(const cn_layer *layer);

/* Weights in Keras' order: trainable ones first. A name is Keras 3's short one, such as "kernel". A
 * model used as a layer has none of its own: its layers have them (cn_model_layer_named). */
CN_API int cn_layer_weight_count(const cn_layer *layer);
CN_API const char *cn_layer_weight_name(const cn_layer *layer, int index);
CN_API bool cn_layer_weight_is_trainable(const cn_layer *layer, int index);
/* Lent; changing its elements is cn_layer_set_weight's business. */
CN_API const cn_array *cn_layer_weight(const cn_layer *layer, int index);
/* Copies `value` (of the weight's shape) into the weight. */
CN_API cn_status cn_layer_set_weight(cn_layer *layer, int index, const cn_array *value);
CN_API int64_t cn_layer_parameter_count(const cn_layer *layer);
CN_API bool cn_layer_trainable(const cn_layer *layer);
/* Of a model used as a layer: all its layers'. cn_model_compile() asks for it; a BatchNormalization
 * that is not trainable uses its moving averages in training, too, from the next run on. */
CN_API void cn_layer_set_trainable(cn_layer *layer, bool trainable);

/* Seeds what is random from here on in this process: initial weights, dropout, noise. Without a
 * call the seed is 0, so that a program makes the same numbers whenever it is run. An object's own
 * `seed` goes before it. */
CN_API void cn_set_random_seed(uint64_t seed);

/* ---- options that several layers share ---- */

typedef enum cn_data_format {
    CN_DATA_FORMAT_DEFAULT = 0, /* channels last */
    CN_CHANNELS_LAST,
    CN_CHANNELS_FIRST
} cn_data_format;

/* A flag whose default is true. */
typedef enum cn_true_by_default { CN_DEFAULT = 0, CN_FALSE = -1, CN_TRUE = 1 } cn_flag;

/* A zero that is meant, in lists where 0 stands for the default: .output_padding = {CN_ZERO, 1}.
 * Where a number with a fraction has a default other than 0, the zero that is meant is -0.0f. */
#define CN_ZERO INT64_MIN

/* Every options struct begins with
 *     name       the layer's name; default: the type's, with a number, such as "conv2d_1"
 *     trainable  whether training changes the weights; default: CN_TRUE
 *     size_      the size of the struct the caller was compiled with; the constructors set it
 * and goes on with the options in Keras' order, which may be given by position. "=" in the comments
 * below tells the default. Shapes: b batch, s... spatial extents, c channels; channels are the last
 * axis unless data_format is CN_CHANNELS_FIRST, then the one after the batch. */
#define CN_LAYER_(function, type, ...) function(&(type){.size_ = sizeof(type), __VA_ARGS__})

/* ==== input ==== */

/* What a model starts from; takes no tensor.
 * Out: (b, shape...).  cn_input({32, 32, 3}), cn_input({-1, -1, 3}) for images of any size. */
typedef struct cn_input_layer {
    const char *name;
    cn_flag trainable;
    size_t size_;
    int64_t shape[CN_MAX_RANK]; /* without the batch; -1: any extent; {0}: one number */
    int64_t batch_size;         /* = any */
    cn_dtype dtype;             /* = CN_FLOAT32 */
} cn_input_layer;
#define cn_input(...) CN_LAYER_(cn_input_new, cn_input_layer, __VA_ARGS__)
CN_API cn_layer *cn_input_new(const cn_input_layer *options);

/* The output of such a layer, for functional models: cn_tensor *x = cn_input_tensor({32, 32, 3});
 */
#define cn_input_tensor(...) CN_LAYER_(cn_input_tensor_new, cn_input_layer, __VA_ARGS__)
CN_API cn_tensor *cn_input_tensor_new(const cn_input_layer *options);

/* ==== core ==== */

/* Fully connected: activation(x . kernel + bias), over the last axis.
 * In: (b, ..., n). Out: (b, ..., units). Weights: kernel (n, units), bias (units). */
typedef struct cn_dense_layer {
    const char *name;
    cn_flag trainable;
    size_t size_;
    int64_t units;
    const char *activation;           /* = none */
    cn_flag use_bias;                 /* = CN_TRUE */
    const char *kernel_initializer;   /* = "glorot_uniform" */
    const char *bias_initializer;     /* = "zeros" */
    const char *kernel_regularizer;   /* = none */
    const char *bias_regularizer;     /* = none */
    const char *activity_regularizer; /* = none */
    const char *kernel_constraint;    /* = none */
    const char *bias_constraint;      /* = none */
} cn_dense_layer;
#define cn_dense(...) CN_LAYER_(cn_dense_new, cn_dense_layer, __VA_ARGS__)
CN_API cn_layer *cn_dense_new(const cn_dense_layer *options);

/* An activation as a layer: "relu", "softmax", "leaky_relu(negative_slope=0.1)", "ELU(alpha=0.5)"
 * ... In, out: any shape. */
typedef struct cn_activation_layer {
    const char *name;
    cn_flag trainable;
    size_t size_;
    const char *activation;
} cn_activation_layer;
#define cn_activation(...) CN_LAYER_(cn_activation_new, cn_activation_layer, __VA_ARGS__)
CN_API cn_layer *cn_activation_new(const cn_activation_layer *options);

/* x >= max_value: max_value; x >= threshold: x; else negative_slope * (x - threshold).
 * In, out: any shape. */
typedef struct cn_relu_layer {
    const char *name;
    cn_flag trainable;
    size_t size_;
    float max_value;      /* = none */
    float negative_slope; /* = 0 */
    float threshold;      /* = 0 */
} cn_relu_layer;
#define cn_relu(...) CN_LAYER_(cn_relu_new, cn_relu_layer, __VA_ARGS__)
CN_API cn_layer *cn_relu_new(const cn_relu_layer *options);

/* x > 0: x; else negative_slope * x. In, out: any shape. */
typedef struct cn_leaky_relu_layer {
    const char *name;
    cn_flag trainable;
    size_t size_;
    float negative_slope; /* = 0.3 */
} cn_leaky_relu_layer;
#define cn_leaky_relu(...) CN_LAYER_(cn_leaky_relu_new, cn_leaky_relu_layer, __VA_ARGS__)
CN_API cn_layer *cn_leaky_relu_new(const cn_leaky_relu_layer *options);

/* x > 0: x; else alpha * x, with a trained alpha for each element of the input.
 * In, out: (b, ...). Weights: alpha, of the input's shape without the batch. */
typedef struct cn_prelu_layer {
    const char *name;
    cn_flag trainable;
    size_t size_;
    const char *alpha_initializer;    /* = "zeros" */
    const char *alpha_regularizer;    /* = none */
    const char *alpha_constraint;     /* = none */
    int64_t shared_axes[CN_MAX_RANK]; /* = none; {1, 2}: one alpha for all rows and columns */
} cn_prelu_layer;
#define cn_prelu(...) CN_LAYER_(cn_prelu_new, cn_prelu_layer, __VA_ARGS__)
CN_API cn_layer *cn_prelu_new(const cn_prelu_layer *options);

/* x > 0: x; else alpha * (exp(x) - 1). In, out: any shape. */
typedef struct cn_elu_layer {
    const char *name;
    cn_flag trainable;
    size_t size_;
    float alpha; /* = 1 */
} cn_elu_layer;
#define cn_elu(...) CN_LAYER_(cn_elu_new, cn_elu_layer, __VA_ARGS__)
CN_API cn_layer *cn_elu_new(const cn_elu_layer *options);

/* exp(x) / sum of exp(x) along an axis. In, out: any shape. */
typedef struct cn_softmax_layer {
    const char *name;
    cn_flag trainable;
    size_t size_;
    int64_t axis; /* = -1, the last */
} cn_softmax_layer;
#define cn_softmax(...) CN_LAYER_(cn_softmax_new, cn_softmax_layer, __VA_ARGS__)
CN_API cn_layer *cn_softmax_new(const cn_softmax_layer *options);

/* ==== convolution ==== */

/* Convolution (Keras', so the kernel is not flipped): activation(x * kernel + bias).
 * In: (b, s..., c). Out: (b, ceil((s - k + 1) / stride)..., filters) for CN_VALID, where
 * k = (kernel_size - 1) * dilation_rate + 1, and (b, ceil(s / stride)..., filters) for CN_SAME.
 * Weights: kernel (kernel_size..., c / groups, filters), bias (filters). */
typedef struct cn_conv_layer {
    const char *name;
    cn_flag trainable;
    size_t size_;
    int64_t filters; /* channels of the output */
    int64_t kernel_size[3];
    int64_t strides[3];               /* = {1} */
    cn_padding padding;               /* = CN_VALID; CN_SAME, CN_SAME_THEANO; CN_CAUSAL for
                                         cn_conv1d only */
    cn_data_format data_format;       /* = channels last */
    int64_t dilation_rate[3];         /* = {1} */
    int64_t groups;                   /* = 1; divides c and filters */
    const char *activation;           /* = none */
    cn_flag use_bias;                 /* = CN_TRUE */
    const char *kernel_initializer;   /* = "glorot_uniform" */
    const char *bias_initializer;     /* = "zeros" */
    const char *kernel_regularizer;   /* = none */
    const char *bias_regularizer;     /* = none */
    const char *activity_regularizer; /* = none */
    const char *kernel_constraint;    /* = none */
    const char *bias_constraint;      /* = none */
} cn_conv_layer;
#define cn_conv1d(...) CN_LAYER_(cn_conv1d_new, cn_conv_layer, __VA_ARGS__)
#define cn_conv2d(...) CN_LAYER_(cn_conv2d_new, cn_conv_layer, __VA_ARGS__)
#define cn_conv3d(...) CN_LAYER_(cn_conv3d_new, cn_conv_layer, __VA_ARGS__)
CN_API cn_layer *cn_conv1d_new(const cn_conv_layer *options);
CN_API cn_layer *cn_conv2d_new(const cn_conv_layer *options);
CN_API cn_layer *cn_conv3d_new(const cn_conv_layer *options);

/* Transposed convolution ("deconvolution"): what maps a convolution's output back to the size of
 * its input; with the same kernel it is the gradient of that convolution with respect to its input.
 * In: (b, s..., c). Out, with k as above:
 *     CN_VALID  (s - 1) * stride + max(k, stride),  with output_padding p: (s - 1) * stride + k + p
 *     CN_SAME   s * stride,           with output_padding p: (s - 1) * stride + k modulo 2 + p
 * Weights: kernel (kernel_size..., filters / groups, c), bias (filters). */
typedef struct cn_conv_transpose_layer {
    const char *name;
    cn_flag trainable;
    size_t size_;
    int64_t filters; /* channels of the output */
    int64_t kernel_size[3];
    int64_t strides[3];         /* = {1} */
    cn_padding padding;         /* = CN_VALID */
    int64_t output_padding[3];  /* = none, which is not zeros: zeros are {CN_ZERO}; below strides */
    cn_data_format data_format; /* = channels last */
    int64_t dilation_rate[3];   /* = {1} */
    const char *activation;     /* = none */
    cn_flag use_bias;           /* = CN_TRUE */
    const char *kernel_initializer;   /* = "glorot_uniform" */
    const char *bias_initializer;     /* = "zeros" */
    const char *kernel_regularizer;   /* = none */
    const char *bias_regularizer;     /* = none */
    const char *activity_regularizer; /* = none */
    const char *kernel_constraint;    /* = none */
    const char *bias_constraint;      /* = none */
    int64_t groups;                   /* = 1; divides c and filters. Not in Keras */
    int64_t output_size[3]; /* = none; exactly these spatial extents (Keras 1). Not in Keras */
} cn_conv_transpose_layer;
#define cn_conv1d_transpose(...)                                                                   \
    CN_LAYER_(cn_conv1d_transpose_new, cn_conv_transpose_layer, __VA_ARGS__)
#define cn_conv2d_transpose(...)                                                                   \
    CN_LAYER_(cn_conv2d_transpose_new, cn_conv_transpose_layer, __VA_ARGS__)
#define cn_conv3d_transpose(...)                                                                   \
    CN_LAYER_(cn_conv3d_transpose_new, cn_conv_transpose_layer, __VA_ARGS__)
CN_API cn_layer *cn_conv1d_transpose_new(const cn_conv_transpose_layer *options);
CN_API cn_layer *cn_conv2d_transpose_new(const cn_conv_transpose_layer *options);
CN_API cn_layer *cn_conv3d_transpose_new(const cn_conv_transpose_layer *options);

/* Convolution of every channel by itself.
 * In: (b, s..., c). Out: as cn_conv2d's, with c * depth_multiplier channels; channel i gives
 * channels i * depth_multiplier and following. Weights: kernel (kernel_size..., c,
 * depth_multiplier), bias. */
typedef struct cn_depthwise_conv_layer {
    const char *name;
    cn_flag trainable;
    size_t size_;
    int64_t kernel_size[3];
    int64_t strides[3];                /* = {1} */
    cn_padding padding;                /* = CN_VALID */
    int64_t depth_multiplier;          /* = 1 */
    cn_data_format data_format;        /* = channels last */
    int64_t dilation_rate[3];          /* = {1} */
    const char *activation;            /* = none */
    cn_flag use_bias;                  /* = CN_TRUE */
    const char *depthwise_initializer; /* = "glorot_uniform" */
    const char *bias_initializer;      /* = "zeros" */
    const char *depthwise_regularizer; /* = none */
    const char *bias_regularizer;      /* = none */
    const char *activity_regularizer;  /* = none */
    const char *depthwise_constraint;  /* = none */
    const char *bias_constraint;       /* = none */
} cn_depthwise_conv_layer;
#define cn_depthwise_conv1d(...)                                                                   \
    CN_LAYER_(cn_depthwise_conv1d_new, cn_depthwise_conv_layer, __VA_ARGS__)
#define cn_depthwise_conv2d(...)                                                                   \
    CN_LAYER_(cn_depthwise_conv2d_new, cn_depthwise_conv_layer, __VA_ARGS__)
CN_API cn_layer *cn_depthwise_conv1d_new(const cn_depthwise_conv_layer *options);
CN_API cn_layer *cn_depthwise_conv2d_new(const cn_depthwise_conv_layer *options);

/* A depthwise convolution, then one of extent 1 that mixes the channels; bias and activation after
 * both. In: (b, s..., c). Out: as cn_conv2d's. Weights: depthwise_kernel (kernel_size..., c,
 * depth_multiplier), pointwise_kernel (1..., c * depth_multiplier, filters), bias (filters). */
typedef struct cn_separable_conv_layer {
    const char *name;
    cn_flag trainable;
    size_t size_;
    int64_t filters; /* channels of the output */
    int64_t kernel_size[3];
    int64_t strides[3];                /* = {1} */
    cn_padding padding;                /* = CN_VALID */
    cn_data_format data_format;        /* = channels last */
    int64_t dilation_rate[3];          /* = {1} */
    int64_t depth_multiplier;          /* = 1 */
    const char *activation;            /* = none */
    cn_flag use_bias;                  /* = CN_TRUE */
    const char *depthwise_initializer; /* = "glorot_uniform" */
    const char *pointwise_initializer; /* = "glorot_uniform" */
    const char *bias_initializer;      /* = "zeros" */
    const char *depthwise_regularizer; /* = none */
    const char *pointwise_regularizer; /* = none */
    const char *bias_regularizer;      /* = none */
    const char *activity_regularizer;  /* = none */
    const char *depthwise_constraint;  /* = none */
    const char *pointwise_constraint;  /* = none */
    const char *bias_constraint;       /* = none */
} cn_separable_conv_layer;
#define cn_separable_conv1d(...)                                                                   \
    CN_LAYER_(cn_separable_conv1d_new, cn_separable_conv_layer, __VA_ARGS__)
#define cn_separable_conv2d(...)                                                                   \
    CN_LAYER_(cn_separable_conv2d_new, cn_separable_conv_layer, __VA_ARGS__)
CN_API cn_layer *cn_separable_conv1d_new(const cn_separable_conv_layer *options);
CN_API cn_layer *cn_separable_conv2d_new(const cn_separable_conv_layer *options);

/* ==== pooling ==== */

/* The largest or the mean value under a window. Cells outside the input do not count.
 * In: (b, s..., c). Out: (b, ceil((s - pool_size + 1) / stride)..., c) for CN_VALID,
 * (b, ceil(s / stride)..., c) for CN_SAME. */
typedef struct cn_pooling_layer {
    const char *name;
    cn_flag trainable;
    size_t size_;
    int64_t pool_size[3];       /* = {2} */
    int64_t strides[3];         /* = pool_size */
    cn_padding padding;         /* = CN_VALID */
    cn_data_format data_format; /* = channels last */
} cn_pooling_layer;
#define cn_max_pooling1d(...) CN_LAYER_(cn_max_pooling1d_new, cn_pooling_layer, __VA_ARGS__)
#define cn_max_pooling2d(...) CN_LAYER_(cn_max_pooling2d_new, cn_pooling_layer, __VA_ARGS__)
#define cn_max_pooling3d(...) CN_LAYER_(cn_max_pooling3d_new, cn_pooling_layer, __VA_ARGS__)
#define cn_average_pooling1d(...) CN_LAYER_(cn_average_pooling1d_new, cn_pooling_layer, __VA_ARGS__)
#define cn_average_pooling2d(...) CN_LAYER_(cn_average_pooling2d_new, cn_pooling_layer, __VA_ARGS__)
#define cn_average_pooling3d(...) CN_LAYER_(cn_average_pooling3d_new, cn_pooling_layer, __VA_ARGS__)
CN_API cn_layer *cn_max_pooling1d_new(const cn_pooling_layer *options);
CN_API cn_layer *cn_max_pooling2d_new(const cn_pooling_layer *options);
CN_API cn_layer *cn_max_pooling3d_new(const cn_pooling_layer *options);
CN_API cn_layer *cn_average_pooling1d_new(const cn_pooling_layer *options);
CN_API cn_layer *cn_average_pooling2d_new(const cn_pooling_layer *options);
CN_API cn_layer *cn_average_pooling3d_new(const cn_pooling_layer *options);

/* The largest or the mean value of every channel.
 * In: (b, s..., c). Out: (b, c), with keepdims (b, 1..., c). */
typedef struct cn_global_pooling_layer {
    const char *name;
    cn_flag trainable;
    size_t size_;
    cn_data_format data_format; /* = channels last */
    bool keepdims;              /* = false */
} cn_global_pooling_layer;
#define cn_global_max_pooling1d(...)                                                               \
    CN_LAYER_(cn_global_max_pooling1d_new, cn_global_pooling_layer, __VA_ARGS__)
#define cn_global_max_pooling2d(...)                                                               \
    CN_LAYER_(cn_global_max_pooling2d_new, cn_global_pooling_layer, __VA_ARGS__)
#define cn_global_max_pooling3d(...)                                                               \
    CN_LAYER_(cn_global_max_pooling3d_new, cn_global_pooling_layer, __VA_ARGS__)
#define cn_global_average_pooling1d(...)                                                           \
    CN_LAYER_(cn_global_average_pooling1d_new, cn_global_pooling_layer, __VA_ARGS__)
#define cn_global_average_pooling2d(...)                                                           \
    CN_LAYER_(cn_global_average_pooling2d_new, cn_global_pooling_layer, __VA_ARGS__)
#define cn_global_average_pooling3d(...)                                                           \
    CN_LAYER_(cn_global_average_pooling3d_new, cn_global_pooling_layer, __VA_ARGS__)
CN_API cn_layer *cn_global_max_pooling1d_new(const cn_global_pooling_layer *options);
CN_API cn_layer *cn_global_max_pooling2d_new(const cn_global_pooling_layer *options);
CN_API cn_layer *cn_global_max_pooling3d_new(const cn_global_pooling_layer *options);
CN_API cn_layer *cn_global_average_pooling1d_new(const cn_global_pooling_layer *options);
CN_API cn_layer *cn_global_average_pooling2d_new(const cn_global_pooling_layer *options);
CN_API cn_layer *cn_global_average_pooling3d_new(const cn_global_pooling_layer *options);

/* ==== regularisation ==== */

/* In training sets values to 0 with probability rate and multiplies the others by 1 / (1 - rate).
 * In, out: any shape. */
typedef struct cn_dropout_layer {
    const char *name;
    cn_flag trainable;
    size_t size_;
    float rate;                       /* 0 to 1 */
    int64_t noise_shape[CN_MAX_RANK]; /* = none; with the batch: 1 shares a decision along an axis,
                                         -1 does not */
    int64_t seed;                     /* = the process' own */
} cn_dropout_layer;
#define cn_dropout(...) CN_LAYER_(cn_dropout_new, cn_dropout_layer, __VA_ARGS__)
CN_API cn_layer *cn_dropout_new(const cn_dropout_layer *options);

/* Dropout of whole channels. In, out: (b, s..., c). */
typedef struct cn_spatial_dropout_layer {
    const char *name;
    cn_flag trainable;
    size_t size_;
    float rate;                 /* 0 to 1 */
    int64_t seed;               /* = the process' own */
    cn_data_format data_format; /* = channels last */
} cn_spatial_dropout_layer;
#define cn_spatial_dropout1d(...)                                                                  \
    CN_LAYER_(cn_spatial_dropout1d_new, cn_spatial_dropout_layer, __VA_ARGS__)
#define cn_spatial_dropout2d(...)                                                                  \
    CN_LAYER_(cn_spatial_dropout2d_new, cn_spatial_dropout_layer, __VA_ARGS__)
#define cn_spatial_dropout3d(...)                                                                  \
    CN_LAYER_(cn_spatial_dropout3d_new, cn_spatial_dropout_layer, __VA_ARGS__)
CN_API cn_layer *cn_spatial_dropout1d_new(const cn_spatial_dropout_layer *options);
CN_API cn_layer *cn_spatial_dropout2d_new(const cn_spatial_dropout_layer *options);
CN_API cn_layer *cn_spatial_dropout3d_new(const cn_spatial_dropout_layer *options);

/* In training adds normal noise. In, out: any shape. */
typedef struct cn_gaussian_noise_layer {
    const char *name;
    cn_flag trainable;
    size_t size_;
    float stddev;
    int64_t seed; /* = the process' own */
} cn_gaussian_noise_layer;
#define cn_gaussian_noise(...)                                                                     \
    CN_LAYER_(cn_gaussian_noise_new, cn_gaussian_noise_layer, __VA_ARGS__)
CN_API cn_layer *cn_gaussian_noise_new(const cn_gaussian_noise_layer *options);

/* In training multiplies by normal noise of mean 1 and variance rate / (1 - rate).
 * In, out: any shape. */
typedef struct cn_gaussian_dropout_layer {
    const char *name;
    cn_flag trainable;
    size_t size_;
    float rate;   /* 0 to below 1 */
    int64_t seed; /* = the process' own */
} cn_gaussian_dropout_layer;
#define cn_gaussian_dropout(...)                                                                   \
    CN_LAYER_(cn_gaussian_dropout_new, cn_gaussian_dropout_layer, __VA_ARGS__)
CN_API cn_layer *cn_gaussian_dropout_new(const cn_gaussian_dropout_layer *options);

/* Changes nothing; in training adds to the loss l1 times the sum of the absolute values, and l2
 * times that of the squares, divided by the batch. In, out: any shape. */
typedef struct cn_activity_regularization_layer {
    const char *name;
    cn_flag trainable;
    size_t size_;
    float l1, l2; /* from 0; = 0 */
} cn_activity_regularization_layer;
#define cn_activity_regularization(...)                                                            \
    CN_LAYER_(cn_activity_regularization_new, cn_activity_regularization_layer, __VA_ARGS__)
CN_API cn_layer *cn_activity_regularization_new(const cn_activity_regularization_layer *options);

/* ==== normalisation ==== */

/* gamma * (x - mean) / sqrt(variance + epsilon) + beta for every channel; in training with the
 * batch's own mean and (population) variance, which move moving_mean and moving_variance: old *
 * momentum + batch * (1 - momentum). Otherwise, or if it is not trainable, with the moving ones.
 * In, out: (b, ..., c). Weights: gamma, beta, moving_mean, moving_variance, each (c). */
typedef struct cn_batch_normalization_layer {
    const char *name;
    cn_flag trainable;
    size_t size_;
    int64_t axis;                            /* = -1: the channels' axis */
    float momentum;                          /* = 0.99 */
    float epsilon;                           /* = 0.001 */
    cn_flag center;                          /* = CN_TRUE: has beta */
    cn_flag scale;                           /* = CN_TRUE: has gamma */
    const char *beta_initializer;            /* = "zeros" */
    const char *gamma_initializer;           /* = "ones" */
    const char *moving_mean_initializer;     /* = "zeros" */
    const char *moving_variance_initializer; /* = "ones" */
    const char *beta_regularizer;            /* = none */
    const char *gamma_regularizer;           /* = none */
    const char *beta_constraint;             /* = none */
    const char *gamma_constraint;            /* = none */
} cn_batch_normalization_layer;
#define cn_batch_normalization(...)                                                                \
    CN_LAYER_(cn_batch_normalization_new, cn_batch_normalization_layer, __VA_ARGS__)
CN_API cn_layer *cn_batch_normalization_new(const cn_batch_normalization_layer *options);

/* The same with the moments of each sample over some axes. In, out: (b, ...).
 * Weights: gamma, beta, with the extents of the axes. */
typedef struct cn_layer_normalization_layer {
    const char *name;
    cn_flag trainable;
    size_t size_;
    int64_t axis[CN_MAX_RANK];     /* = {-1} */
    float epsilon;                 /* = 0.001 */
    cn_flag center;                /* = CN_TRUE: has beta */
    cn_flag scale;                 /* = CN_TRUE: has gamma */
    const char *beta_initializer;  /* = "zeros" */
    const char *gamma_initializer; /* = "ones" */
    const char *beta_regularizer;  /* = none */
    const char *gamma_regularizer; /* = none */
    const char *beta_constraint;   /* = none */
    const char *gamma_constraint;  /* = none */
} cn_layer_normalization_layer;
#define cn_layer_normalization(...)                                                                \
    CN_LAYER_(cn_layer_normalization_new, cn_layer_normalization_layer, __VA_ARGS__)
CN_API cn_layer *cn_layer_normalization_new(const cn_layer_normalization_layer *options);

/* The same with the moments of each sample over a group of channels and all other axes.
 * In, out: (b, ..., c). Weights: gamma, beta, each (c). */
typedef struct cn_group_normalization_layer {
    const char *name;
    cn_flag trainable;
    size_t size_;
    int64_t groups;                /* = 32; divides c; -1: one for each channel */
    int64_t axis;                  /* = -1: the channels' axis */
    float epsilon;                 /* = 0.001 */
    cn_flag center;                /* = CN_TRUE: has beta */
    cn_flag scale;                 /* = CN_TRUE: has gamma */
    const char *beta_initializer;  /* = "zeros" */
    const char *gamma_initializer; /* = "ones" */
    const char *beta_regularizer;  /* = none */
    const char *gamma_regularizer; /* = none */
    const char *beta_constraint;   /* = none */
    const char *gamma_constraint;  /* = none */
} cn_group_normalization_layer;
#define cn_group_normalization(...)                                                                \
    CN_LAYER_(cn_group_normalization_new, cn_group_normalization_layer, __VA_ARGS__)
CN_API cn_layer *cn_group_normalization_new(const cn_group_normalization_layer *options);

/* x / sqrt(max(sum of x * x over the axes, 1e-12)). In, out: any shape. */
typedef struct cn_unit_normalization_layer {
    const char *name;
    cn_flag trainable;
    size_t size_;
    int64_t axis[CN_MAX_RANK]; /* = {-1} */
} cn_unit_normalization_layer;
#define cn_unit_normalization(...)                                                                 \
    CN_LAYER_(cn_unit_normalization_new, cn_unit_normalization_layer, __VA_ARGS__)
CN_API cn_layer *cn_unit_normalization_new(const cn_unit_normalization_layer *options);

/* x * scale + offset. In, out: any shape. */
typedef struct cn_rescaling_layer {
    const char *name;
    cn_flag trainable;
    size_t size_;
    float scale;
    float offset; /* = 0 */
} cn_rescaling_layer;
#define cn_rescaling(...) CN_LAYER_(cn_rescaling_new, cn_rescaling_layer, __VA_ARGS__)
CN_API cn_layer *cn_rescaling_new(const cn_rescaling_layer *options);

/* ==== reshaping ==== */

/* All axes but the batch in one; channels last whatever the data format. In: (b, ...). Out: (b, n).
 */
typedef struct cn_flatten_layer {
    const char *name;
    cn_flag trainable;
    size_t size_;
    cn_data_format data_format; /* = channels last */
    bool keras1_order;          /* = false; as they lie, whatever the data format. Not in Keras */
} cn_flatten_layer;
#define cn_flatten(...) CN_LAYER_(cn_flatten_new, cn_flatten_layer, __VA_ARGS__)
CN_API cn_layer *cn_flatten_new(const cn_flatten_layer *options);

/* Another shape for the same elements; one extent may be -1: what remains.
 * In: (b, ...). Out: (b, target_shape...). */
typedef struct cn_reshape_layer {
    const char *name;
    cn_flag trainable;
    size_t size_;
    int64_t target_shape[CN_MAX_RANK]; /* without the batch; {0}: one number */
} cn_reshape_layer;
#define cn_reshape(...) CN_LAYER_(cn_reshape_new, cn_reshape_layer, __VA_ARGS__)
CN_API cn_layer *cn_reshape_new(const cn_reshape_layer *options);

/* Axes in another order; axis 1 is the one after the batch. In: (b, x, y, z).
 * Out: (b, z, x, y) for dims {3, 1, 2}. */
typedef struct cn_permute_layer {
    const char *name;
    cn_flag trainable;
    size_t size_;
    int64_t dims[CN_MAX_RANK];
} cn_permute_layer;
#define cn_permute(...) CN_LAYER_(cn_permute_new, cn_permute_layer, __VA_ARGS__)
CN_API cn_layer *cn_permute_new(const cn_permute_layer *options);

/* The input n times. In: (b, c). Out: (b, n, c). */
typedef struct cn_repeat_vector_layer {
    const char *name;
    cn_flag trainable;
    size_t size_;
    int64_t n;
} cn_repeat_vector_layer;
#define cn_repeat_vector(...) CN_LAYER_(cn_repeat_vector_new, cn_repeat_vector_layer, __VA_ARGS__)
CN_API cn_layer *cn_repeat_vector_new(const cn_repeat_vector_layer *options);

/* Enlarges by whole factors. In: (b, s..., c). Out: (b, s * size..., c). */
typedef struct cn_up_sampling_layer {
    const char *name;
    cn_flag trainable;
    size_t size_;
    int64_t size[3];            /* = {2} */
    cn_data_format data_format; /* = channels last; not cn_up_sampling1d */
    const char *interpolation;  /* = "nearest"; cn_up_sampling2d only: "bilinear", "bicubic", and
                                   "bilinear_corner" and "bilinear_theano" as Keras 2 had them */
} cn_up_sampling_layer;
#define cn_up_sampling1d(...) CN_LAYER_(cn_up_sampling1d_new, cn_up_sampling_layer, __VA_ARGS__)
#define cn_up_sampling2d(...) CN_LAYER_(cn_up_sampling2d_new, cn_up_sampling_layer, __VA_ARGS__)
#define cn_up_sampling3d(...) CN_LAYER_(cn_up_sampling3d_new, cn_up_sampling_layer, __VA_ARGS__)
CN_API cn_layer *cn_up_sampling1d_new(const cn_up_sampling_layer *options);
CN_API cn_layer *cn_up_sampling2d_new(const cn_up_sampling_layer *options);
CN_API cn_layer *cn_up_sampling3d_new(const cn_up_sampling_layer *options);

/* Zeros around the spatial axes. In: (b, s..., c). Out: (b, before + s + after..., c). */
typedef struct cn_zero_padding_layer {
    const char *name;
    cn_flag trainable;
    size_t size_;
    int64_t padding[3][2];      /* = 1 each; {{top, bottom}, {left, right}} */
    cn_data_format data_format; /* = channels last */
} cn_zero_padding_layer;
#define cn_zero_padding1d(...) CN_LAYER_(cn_zero_padding1d_new, cn_zero_padding_layer, __VA_ARGS__)
#define cn_zero_padding2d(...) CN_LAYER_(cn_zero_padding2d_new, cn_zero_padding_layer, __VA_ARGS__)
#define cn_zero_padding3d(...) CN_LAYER_(cn_zero_padding3d_new, cn_zero_padding_layer, __VA_ARGS__)
CN_API cn_layer *cn_zero_padding1d_new(const cn_zero_padding_layer *options);
CN_API cn_layer *cn_zero_padding2d_new(const cn_zero_padding_layer *options);
CN_API cn_layer *cn_zero_padding3d_new(const cn_zero_padding_layer *options);

/* Cuts cells off. In: (b, s..., c). Out: (b, s - before - after..., c). */
typedef struct cn_cropping_layer {
    const char *name;
    cn_flag trainable;
    size_t size_;
    int64_t cropping[3][2];     /* = 1 each, cn_cropping2d: 0 */
    cn_data_format data_format; /* = channels last; not cn_cropping1d */
} cn_cropping_layer;
#define cn_cropping1d(...) CN_LAYER_(cn_cropping1d_new, cn_cropping_layer, __VA_ARGS__)
#define cn_cropping2d(...) CN_LAYER_(cn_cropping2d_new, cn_cropping_layer, __VA_ARGS__)
#define cn_cropping3d(...) CN_LAYER_(cn_cropping3d_new, cn_cropping_layer, __VA_ARGS__)
CN_API cn_layer *cn_cropping1d_new(const cn_cropping_layer *options);
CN_API cn_layer *cn_cropping2d_new(const cn_cropping_layer *options);
CN_API cn_layer *cn_cropping3d_new(const cn_cropping_layer *options);

/* Images of a given size. In: (b, rows, columns, c). Out: (b, height, width, c). */
typedef struct cn_resizing_layer {
    const char *name;
    cn_flag trainable;
    size_t size_;
    int64_t height, width;
    const char *interpolation;  /* = "bilinear"; "nearest", "bicubic" */
    cn_data_format data_format; /* = channels last */
} cn_resizing_layer;
#define cn_resizing(...) CN_LAYER_(cn_resizing_new, cn_resizing_layer, __VA_ARGS__)
CN_API cn_layer *cn_resizing_new(const cn_resizing_layer *options);

/* ==== merging ==== */

/* Elementwise over two or more tensors (cn_apply_list), which are broadcast; cn_subtract takes two.
 * In: (b, ...) each. Out: the common shape. */
typedef struct cn_merge_layer {
    const char *name;
    cn_flag trainable;
    size_t size_;
} cn_merge_layer;
#define cn_add(...) CN_LAYER_(cn_add_new, cn_merge_layer, __VA_ARGS__)
#define cn_subtract(...) CN_LAYER_(cn_subtract_new, cn_merge_layer, __VA_ARGS__)
#define cn_multiply(...) CN_LAYER_(cn_multiply_new, cn_merge_layer, __VA_ARGS__)
#define cn_average(...) CN_LAYER_(cn_average_new, cn_merge_layer, __VA_ARGS__)
#define cn_maximum(...) CN_LAYER_(cn_maximum_new, cn_merge_layer, __VA_ARGS__)
#define cn_minimum(...) CN_LAYER_(cn_minimum_new, cn_merge_layer, __VA_ARGS__)
CN_API cn_layer *cn_add_new(const cn_merge_layer *options);
CN_API cn_layer *cn_subtract_new(const cn_merge_layer *options);
CN_API cn_layer *cn_multiply_new(const cn_merge_layer *options);
CN_API cn_layer *cn_average_new(const cn_merge_layer *options);
CN_API cn_layer *cn_maximum_new(const cn_merge_layer *options);
CN_API cn_layer *cn_minimum_new(const cn_merge_layer *options);

/* Joins tensors along an axis. In: equal extents but along the axis. */
typedef struct cn_concatenate_layer {
    const char *name;
    cn_flag trainable;
    size_t size_;
    int64_t axis; /* = -1, the last; the batch is axis 0 */
} cn_concatenate_layer;
#define cn_concatenate(...) CN_LAYER_(cn_concatenate_new, cn_concatenate_layer, __VA_ARGS__)
CN_API cn_layer *cn_concatenate_new(const cn_concatenate_layer *options);

/* Sums products of two tensors along an axis of each. In: (b, x..., n) and (b, y..., n), the summed
 * axes anywhere. Out: (b, x..., y...), (b, 1) for vectors. */
typedef struct cn_dot_layer {
    const char *name;
    cn_flag trainable;
    size_t size_;
    int64_t axes[CN_MAX_RANK]; /* {of both} or {of the first, of the second}; the batch is axis 0 */
    bool normalize;            /* = false; true: cosine, tensors are scaled to length 1 */
} cn_dot_layer;
#define cn_dot(...) CN_LAYER_(cn_dot_new, cn_dot_layer, __VA_ARGS__)
CN_API cn_layer *cn_dot_new(const cn_dot_layer *options);

#ifdef __cplusplus
}
#endif

#endif
