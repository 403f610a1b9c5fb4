/* Convolution and transposed convolution in the graph. Result, input gradient and kernel gradient
 * are closed under differentiation: the gradient of each is written with the other two. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "graph/fold_norm.h"

const char *cn__conv_name(bool transposed, int rank)
{
    static const char *const names[2][3] = {
        {"conv1d", "conv2d", "conv3d"},
        {"conv1d_transpose", "conv2d_transpose", "conv3d_transpose"}};
    return rank >= 1 && rank <= 3 ? names[transposed][rank - 1] : "conv";
}

static bool has_output_size(const cn_conv_options *options)
{
    return options->transposed && options->output_size[0] != 0;
}

static bool spatial_extents_are_known(const cn_shape *x)
{
    for (int i = 1; i < x->rank - 1; i++)
        if (x->dim[i] < 0)
            return false;
    return true;
}

/* A given output size can be checked only against a known input. */
static cn_status pad(const cn_conv_options *options, const cn_shape *x, cn_conv *conv)
{
    if (!options->transposed)
        return cn_conv_pad_keras(conv, options->padding);
    if (has_output_size(options)) {
        if (spatial_extents_are_known(x))
            return cn_conv_transpose_out(conv, options->padding, options->output_size);
        memcpy(conv->out, options->output_size, sizeof conv->out);
        return CN_OK;
    }
    return cn_conv_transpose_pad_keras(
        conv, options->padding, options->has_output_padding ? options->output_padding : NULL);
}

/* The names of a kernel's axes for messages. */
static const char *kernel_axes(bool transposed, int rank)
{
    static const char *const axes[2][3] = {
        {"(columns, in, out)", "(rows, columns, in, out)", "(depth, rows, columns, in, out)"},
        {"(columns, out, in)", "(rows, columns, out, in)", "(depth, rows, columns, out, in)"}};
    return axes[transposed][rank - 1];
}

/* The groups of a convolution, each of which has a part of the kernel's last axis. */
static cn_status check_groups(const cn_conv_options *options, const cn_shape *kernel,
                              int64_t groups)
{
    char text[128];
    const char *name = cn__conv_name(options->transposed, options->rank);
    int64_t split, whole = kernel->dim[options->rank + 1];
    if (groups < 1)
        return cn__fail(CN_ERROR_SHAPE, "%s: groups must be at least 1, not %lld", name,
                        (long long)groups);
    if (__builtin_mul_overflow(kernel->dim[options->rank], groups, &split) ||
        (whole >= 0 && whole % groups != 0))
        return cn__fail(CN_ERROR_SHAPE,
                        "%s: %lld groups do not divide the last axis of the kernel %s", name,
                        (long long)groups, cn_shape_text(kernel, text, sizeof text));
    return CN_OK;
}

/* An extent of all groups together from that of one. */
static int64_t of_groups(int64_t extent, int64_t groups)
{
    return extent < 0 ? -1 : extent * groups;
}

static cn_status check_channels(const cn_conv_options *options, const cn_shape *x,
                                const cn_shape *kernel, int64_t groups)
{
    int rank = options->rank;
    int64_t channels = x->dim[rank + 1], of_all = of_groups(kernel->dim[rank], groups);
    int64_t takes = options->transposed ? kernel->dim[rank + 1] : of_all;
    if (channels == takes)
        return CN_OK;
    char of_x[128], of_kernel[128];
    const char *name = cn__conv_name(options->transposed, rank);
    cn_shape_text(x, of_x, sizeof of_x);
    cn_shape_text(kernel, of_kernel, sizeof of_kernel);
    int64_t other = options->transposed ? of_all : kernel->dim[rank + 1];
    if (channels == other)
        return cn__fail(CN_ERROR_SHAPE,
                        "%s: the input %s has %lld channels, but the kernel %s, read as %s, takes "
                        "%lld: its last two axes are the other way round",
                        name, of_x, (long long)channels, of_kernel,
                        kernel_axes(options->transposed, rank), (long long)takes);
    return cn__fail(CN_ERROR_SHAPE,
                    "%s: the input %s has %lld channels, but the kernel %s, read as %s, takes %lld",
                    name, of_x, (long long)channels, of_kernel,
                    kernel_axes(options->transposed, rank), (long long)takes);
}

static cn_status check_ranks(const cn_conv_options *options, const cn_shape *x,
                             const cn_shape *kernel)
{
    char text[128];
    if (options->rank < 1 || options->rank > 3)
        return cn__fail(CN_ERROR_ARGUMENT, "conv: rank must be 1, 2 or 3, not %d", options->rank);
    const char *name = cn__conv_name(options->transposed, options->rank);
    if (x->rank != options->rank + 2)
        return cn__fail(
            CN_ERROR_SHAPE, "%s: the input must have %d axes (batch, %d spatial, channels), not %s",
            name, options->rank + 2, options->rank, cn_shape_text(x, text, sizeof text));
    if (kernel->rank != options->rank + 2)
        return cn__fail(CN_ERROR_SHAPE, "%s: the kernel must have the axes %s, not %s", name,
                        kernel_axes(options->transposed, options->rank),
                        cn_shape_text(kernel, text, sizeof text));
    return CN_OK;
}

cn_status cn__conv_of(const cn_conv_options *options, const cn_shape *x, const cn_shape *kernel,
                      cn_conv *conv)
{
    CN__TRY(check_ranks(options, x, kernel));
    int rank = options->rank;
    int64_t groups = options->groups != 0 ? options->groups : 1;
    CN__TRY(check_groups(options, kernel, groups));
    CN__TRY(check_channels(options, x, kernel, groups));
    *conv = (cn_conv){.rank = rank,
                      .batch = x->dim[0] < 0 ? 1 : x->dim[0],
                      .in_channels = x->dim[rank + 1],
                      .out_channels = options->transposed ? of_groups(kernel->dim[rank], groups)
                                                          : kernel->dim[rank + 1],
                      .groups = groups,
                      .direct_only = options->direct_only,
                      .most_scratch = options->most_scratch};
    for (int i = 0; i < rank; i++) {
        conv->in[i] = x->dim[i + 1] < 0 ? cn__unknown_extent : x->dim[i + 1];
        conv->kernel[i] = kernel->dim[i];
        conv->stride[i] = options->stride[i];
        conv->dilation[i] = options->dilation[i];
    }
    return pad(options, x, conv);
}

static cn_status conv_shape(const void *attributes, int inputs, cn_tensor *const *in,
                            cn_tensor **out)
{
    const cn__conv_attributes *a = attributes;
    (void)inputs;
    cn_conv conv;
    CN__TRY(cn__conv_of(&a->options, &in[0]->shape, &in[1]->shape, &conv));
    int rank = a->options.rank;
    cn_shape *shape = &out[0]->shape;
    shape->rank = rank + 2;
    shape->dim[0] = in[0]->shape.dim[0];
    shape->dim[rank + 1] = conv.out_channels;
    for (int i = 0; i < rank; i++)
        shape->dim[i + 1] =
            in[0]->shape.dim[i + 1] < 0 && !has_output_size(&a->options) ? -1 : conv.out[i];
    return CN_OK;
}

static cn_status like_shape(const void *attributes, int inputs, cn_tensor *const *in,
                            cn_tensor **out)
{
    (void)attributes;
    (void)inputs;
    out[0]->shape = in[2]->shape;
    return CN_OK;
}

/* ---- gradients ---- */

static cn_tensor *input_gradient(const void *attributes, cn_tensor *dy, cn_tensor *kernel,
                                 cn_tensor *like)
{
    return cn__node_new(&cn__conv_input_gradient_op, attributes, 3,
                        (cn_tensor *[]){dy, kernel, like});
}

static cn_tensor *kernel_gradient(const void *attributes, cn_tensor *x, cn_tensor *dy,
                                  cn_tensor *like)
{
    return cn__node_new(&cn__conv_kernel_gradient_op, attributes, 3, (cn_tensor *[]){x, dy, like});
}

static cn_status built(cn_tensor *const *tensors, int count)
{
    for (int i = 0; i < count; i++)
        if (tensors[i] == NULL)
            return cn_error_status();
    return CN_OK;
}

static cn_status conv_gradient(const cn__node *node, cn_tensor *const *dy, cn_gradient_rule rule,
                               cn_tensor **dx)
{
    (void)rule;
    dx[0] = input_gradient(node->attributes, dy[0], node->in[1], node->in[0]);
    dx[1] = kernel_gradient(node->attributes, node->in[0], dy[0], node->in[1]);
    return built(dx, 2);
}

static cn_status input_gradient_gradient(const cn__node *node, cn_tensor *const *d,
                                         cn_gradient_rule rule, cn_tensor **dx)
{
    (void)rule;
    dx[0] = cn__node_new(&cn__conv_op, node->attributes, 2, (cn_tensor *[]){d[0], node->in[1]});
    dx[1] = kernel_gradient(node->attributes, d[0], node->in[0], node->in[1]);
    return built(dx, 2);
}

static cn_status kernel_gradient_gradient(const cn__node *node, cn_tensor *const *d,
                                          cn_gradient_rule rule, cn_tensor **dx)
{
    (void)rule;
    dx[0] = input_gradient(node->attributes, node->in[1], d[0], node->in[0]);
    dx[1] = cn__node_new(&cn__conv_op, node->attributes, 2, (cn_tensor *[]){node->in[0], d[0]});
    return built(dx, 2);
}

/* ---- running ---- */

enum { most_versions = 6 };

typedef struct conv_state {
    cn_conv_plan *plan;
    float *packed;
    /* The kernel, and what is folded into it, change when the sum of these versions does; without
     * any the kernel is computed anew on every run. */
    const uint64_t *versions[most_versions];
    int version_count;
    uint64_t seen_version, packed_version;
    cn__folded folded;
    cn_clamp clamp;
    bool clamped;
    double multiplications;
} conv_state;

static void release_state(void *opaque)
{
    conv_state *state = opaque;
    cn_conv_plan_free(state->plan);
    cn__free(state->packed);
    cn__free(state->folded.kernel);
}

const uint64_t *cn__version_of(const cn_tensor *weight)
{
    static const uint64_t constant = 1;
    while (weight->node->op == &cn__reshape_op || weight->node->op == &cn__reshape_like_op)
        weight = weight->node->in[0];
    const cn__variable *variable = cn__tensor_variable(weight);
    if (variable != NULL)
        return &variable->version;
    return weight->node->op == &cn__constant_op ? &constant : NULL;
}

static void find_versions(const cn__node *node, conv_state *state)
{
    const cn__conv_attributes *a = node->attributes;
    bool folds = node->op == &cn__conv_op && a->normalised;
    state->versions[0] = cn__version_of(node->in[1]);
    state->version_count = state->versions[0] != NULL;
    for (int i = 2; folds && i < node->inputs; i++)
        state->versions[state->version_count++] = cn__version_of(node->in[i]);
}

static cn_status prepare(cn__step *step, const cn_conv *conv, cn_conv_pass pass, bool packs)
{
    const cn__conv_attributes *a = step->node->attributes;
    conv_state *state = cn__arena_alloc(step->arena, sizeof *state);
    if (state == NULL)
        return cn_error_status();
    step->state = state;
    step->release = release_state;
    state->clamp = a->clamp;
    state->clamped = a->clamped;
    state->multiplications = cn_conv_multiplications(
        conv, pass == CN_CONV_TRANSPOSE || pass == CN_CONV_TRANSPOSE_KERNEL_GRADIENT);
    state->plan = cn_conv_plan_new(conv, pass);
    if (state->plan == NULL)
        return cn_error_status();
    step->scratch_bytes = cn_conv_plan_scratch_bytes(state->plan);
    if (!packs)
        return CN_OK;
    find_versions(step->node, state);
    step->packed_bytes = cn_conv_plan_packed_bytes(state->plan);
    state->packed = cn__alloc(step->packed_bytes);
    return state->packed != NULL ? CN_OK : cn_error_status();
}

static cn_status conv_prepare(cn__step *step)
{
    const cn__conv_attributes *a = step->node->attributes;
    cn_conv conv;
    CN__TRY(cn__conv_of(&a->options, &step->node->in[0]->shape, &step->node->in[1]->shape, &conv));
    CN__TRY(
        prepare(step, &conv, a->options.transposed ? CN_CONV_TRANSPOSE : CN_CONV_FORWARD, true));
    conv_state *state = step->state;
    if (!a->normalised)
        return CN_OK;
    step->packed_bytes +=
        (size_t)(cn_conv_kernel_count(&conv, a->options.transposed) + conv.out_channels) *
        sizeof(float);
    return cn__folded_make(&conv, a, &state->folded);
}

static cn_status input_gradient_prepare(cn__step *step)
{
    const cn__conv_attributes *a = step->node->attributes;
    cn_conv conv;
    CN__TRY(cn__conv_of(&a->options, &step->node->in[2]->shape, &step->node->in[1]->shape, &conv));
    cn_conv adjoint = cn_conv_adjoint(&conv);
    return prepare(step, &adjoint, a->options.transposed ? CN_CONV_FORWARD : CN_CONV_TRANSPOSE,
                   true);
}

static cn_status kernel_gradient_prepare(cn__step *step)
{
    const cn__conv_attributes *a = step->node->attributes;
    cn_conv conv;
    CN__TRY(cn__conv_of(&a->options, &step->node->in[0]->shape, &step->node->in[2]->shape, &conv));
    return prepare(
        step, &conv,
        a->options.transposed ? CN_CONV_TRANSPOSE_KERNEL_GRADIENT : CN_CONV_KERNEL_GRADIENT, false);
}

/* The version of the kernel's values; 0 if they may be others on every run. */
static uint64_t kernel_version(const conv_state *state)
{
    uint64_t version = 0;
    for (int i = 0; i < state->version_count; i++)
        version += *state->versions[i];
    return version;
}

/* A kernel is kept packed from the second run with the same values on: in training there is none.
 */
static cn_status run(const cn__step *step, cn_pool *pool)
{
    conv_state *state = step->state;
    const cn__conv_attributes *a = step->node->attributes;
    bool forward = step->node->op == &cn__conv_op, folds = forward && a->normalised;
    uint64_t version = kernel_version(state);
    const cn_clamp *clamp = state->clamped ? &state->clamp : NULL;
    if (folds && version != state->seen_version)
        cn__folded_fill(a, step->in, &state->folded);
    const float *kernel = folds ? state->folded.kernel : step->in[1];
    const float *bias = folds ? state->folded.bias : forward && a->biased ? step->in[2] : NULL;
    if (version == 0 || version != state->seen_version) {
        state->seen_version = version;
        cn_conv_plan_pack_and_run(state->plan, step->in[0], kernel, state->packed, bias, clamp,
                                  step->out[0], step->scratch, pool);
        return CN_OK;
    }
    if (version != state->packed_version)
        cn_conv_plan_pack(state->plan, kernel, state->packed, pool);
    state->packed_version = version;
    cn_conv_plan_run(state->plan, step->in[0], state->packed, bias, clamp, step->out[0],
                     step->scratch, pool);
    return CN_OK;
}

static cn_status run_kernel_gradient(const cn__step *step, cn_pool *pool)
{
    conv_state *state = step->state;
    cn_conv_plan_kernel_gradient(state->plan, step->in[0], step->in[1], step->out[0], step->scratch,
                                 pool);
    return CN_OK;
}

static void tell(const cn__step *step, cn_trace *trace)
{
    const conv_state *state = step->state;
    const cn__conv_attributes *a = step->node->attributes;
    if (step->node->op == &cn__conv_op && a->options.transposed)
        trace->operation = "conv_transpose";
    trace->algorithm = cn_conv_plan_algorithm(state->plan);
    trace->choice = cn_conv_plan_choice(state->plan);
    trace->multiplications = state->multiplications;
}

const cn__op cn__conv_op = {.name = "conv",
                            .attribute_bytes = sizeof(cn__conv_attributes),
                            .outputs = 1,
                            .shape = conv_shape,
                            .gradient = conv_gradient,
                            .prepare = conv_prepare,
                            .run = run,
                            .tell = tell};

const cn__op cn__conv_input_gradient_op = {.name = "conv_input_gradient",
                                           .attribute_bytes = sizeof(cn__conv_attributes),
                                           .outputs = 1,
                                           .shape = like_shape,
                                           .gradient = input_gradient_gradient,
                                           .prepare = input_gradient_prepare,
                                           .run = run,
                                           .tell = tell,
                                           .shape_only = 1u << 2};

const cn__op cn__conv_kernel_gradient_op = {.name = "conv_kernel_gradient",
                                            .attribute_bytes = sizeof(cn__conv_attributes),
                                            .outputs = 1,
                                            .shape = like_shape,
                                            .gradient = kernel_gradient_gradient,
                                            .prepare = kernel_gradient_prepare,
                                            .run = run_kernel_gradient,
                                            .tell = tell,
                                            .shape_only = 1u << 2};

/* ---- public ---- */

cn_tensor *cn_op_conv(cn_tensor *x, cn_tensor *kernel, const cn_conv_options *options)
{
    if (options == NULL)
        return cn__fail_null_argument("conv"), NULL;
    cn__conv_attributes attributes = {.options = *options, .clamp = {-INFINITY, INFINITY}};
    return cn__node_new(&cn__conv_op, &attributes, 2, (cn_tensor *[]){x, kernel});
}

/* x times y is a convolution of x, seen as one row of pixels, with a kernel of one tap. */
cn_tensor *cn_op_matmul(cn_tensor *x, cn_tensor *y)
{
    if (x == NULL || y == NULL)
        return cn__fail_null_argument("matmul"), NULL;
    if (x->shape.rank != 2 || y->shape.rank != 2 || x->shape.dim[1] != y->shape.dim[0]) {
        char of_x[128], of_y[128];
        return cn__fail_null(CN_ERROR_SHAPE,
                             "matmul: needs (rows, a) and (a, columns), not %s and %s",
                             cn_shape_text(&x->shape, of_x, sizeof of_x),
                             cn_shape_text(&y->shape, of_y, sizeof of_y));
    }
    cn_shape pixels = cn_shape_of(x->shape.dim[0], 1, x->shape.dim[1]);
    cn_shape taps = cn_shape_of(1, y->shape.dim[0], y->shape.dim[1]);
    cn_shape rows = cn_shape_of(x->shape.dim[0], y->shape.dim[1]);
    cn_tensor *product = cn_op_conv(cn_op_reshape(x, &pixels), cn_op_reshape(y, &taps),
                                    &(cn_conv_options){.rank = 1});
    return cn_op_reshape(product, &rows);
}
