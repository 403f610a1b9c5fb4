/* Elementwise operations and their gradients. */
#include <math.h>
#include <string.h>

#include "graph/ops.h"

static cn_status same_shape(const void *attributes, int inputs, cn_tensor *const *in,
                            cn_tensor **out)
{
    (void)attributes;
    (void)inputs;
    out[0]->shape = in[0]->shape;
    return CN_OK;
}

static int64_t count_out(const cn__step *step)
{
    return cn_shape_count(&step->node->out[0]->shape);
}

/* ---- one operand ---- */

/* True if f' can be told from y = f(x): relu without a threshold, whose y > 0 where x > 0. Then x
 * need not be kept, and a convolution before it can apply it in the same pass. */
static bool derivative_from_result(cn_function1 f)
{
    return f.op == CN_RELU && f.p[0] == 0 && f.p[2] == 0;
}

static cn_status unary_gradient(const cn__node *node, cn_tensor *const *dy, cn_gradient_rule rule,
                                cn_tensor **dx)
{
    cn_function1 function = *(const cn_function1 *)node->attributes;
    if (function.op != CN_RELU)
        rule = CN_GRADIENT;
    cn__unary_gradient_attributes attributes = {function, rule};
    if (function.op == CN_IDENTITY) {
        dx[0] = dy[0];
        return CN_OK;
    }
    if (function.op == CN_AFFINE) {
        dx[0] = cn_op_unary(dy[0], (cn_function1){CN_AFFINE, {function.p[0], 0, 0}});
        return dx[0] != NULL ? CN_OK : cn_error_status();
    }
    if (function.op == CN_SQUARE) {
        cn_tensor *twice = cn_op_unary(node->in[0], (cn_function1){CN_AFFINE, {2, 0, 0}});
        dx[0] = cn_op_binary(CN_MULTIPLY, dy[0], twice);
        return dx[0] != NULL ? CN_OK : cn_error_status();
    }
    cn_tensor *point = derivative_from_result(function) ? node->out[0] : node->in[0];
    dx[0] = cn__node_new(&cn__unary_gradient_op, &attributes, 2, (cn_tensor *[]){dy[0], point});
    return dx[0] != NULL ? CN_OK : cn_error_status();
}

static cn_status unary_run(const cn__step *step, cn_pool *pool)
{
    cn_unary_f32(*(const cn_function1 *)step->node->attributes, step->in[0], step->out[0],
                 count_out(step), pool);
    return CN_OK;
}

/* The signal's way back through a relu: deconvnet lets pass what is positive of the signal, guided
 * backpropagation that and only where the relu was open. */
static cn_status unary_gradient_run(const cn__step *step, cn_pool *pool)
{
    static const cn_function1 relu = {CN_RELU, {0, __builtin_inff(), 0}};
    const cn__unary_gradient_attributes *a = step->node->attributes;
    int64_t count = count_out(step);
    if (a->rule == CN_DECONVNET) {
        cn_unary_f32(relu, step->in[0], step->out[0], count, pool);
        return CN_OK;
    }
    cn_unary_gradient_f32(a->function, step->in[1], step->in[0], step->out[0], count, pool);
    if (a->rule == CN_GUIDED_BACKPROP)
        cn_unary_f32(relu, step->out[0], step->out[0], count, pool);
    return CN_OK;
}

/* Linear in the signal; the second derivative of the functions themselves is that of the piecewise
 * linear ones, zero. */
static cn_status unary_gradient_gradient(const cn__node *node, cn_tensor *const *d,
                                         cn_gradient_rule rule, cn_tensor **dx)
{
    const cn__unary_gradient_attributes *a = node->attributes;
    (void)rule;
    if (a->function.op != CN_RELU)
        return cn__fail(CN_ERROR_UNSUPPORTED,
                        "gradient: the second derivative of %s is not available; that of relu is",
                        cn_unary_name(a->function.op));
    dx[0] = cn__node_new(&cn__unary_gradient_op, a, 2, (cn_tensor *[]){d[0], node->in[1]});
    return dx[0] != NULL ? CN_OK : cn_error_status();
}

const cn__op cn__unary_op = {.name = "unary",
                             .attribute_bytes = sizeof(cn_function1),
                             .outputs = 1,
                             .shape = same_shape,
                             .gradient = unary_gradient,
                             .run = unary_run,
                             .in_place = true};

const cn__op cn__unary_gradient_op = {.name = "unary_gradient",
                                      .attribute_bytes = sizeof(cn__unary_gradient_attributes),
                                      .outputs = 1,
                                      .shape = same_shape,
                                      .gradient = unary_gradient_gradient,
                                      .run = unary_gradient_run,
                                      .in_place = true};

cn_tensor *cn_op_unary(cn_tensor *x, cn_function1 function)
{
    if ((size_t)function.op >= CN_UNARY_COUNT)
        return cn__fail_null(CN_ERROR_ARGUMENT, "unary: there is no function %d", (int)function.op);
    return cn__node_new(&cn__unary_op, &function, 1, &x);
}

/* ---- two operands ---- */

static cn_status binary_shape(const void *attributes, int inputs, cn_tensor *const *in,
                              cn_tensor **out)
{
    (void)inputs;
    if (cn_broadcast(&in[0]->shape, &in[1]->shape, &out[0]->shape) == CN_OK)
        return CN_OK;
    return cn__fail_within("%s", cn_binary_name(*(const cn_binary *)attributes));
}

static cn_tensor *negative(cn_tensor *x)
{
    return cn_op_unary(x, (cn_function1){CN_AFFINE, {-1, 0, 0}});
}

static cn_tensor *times(cn_tensor *a, cn_tensor *b)
{
    return cn_op_binary(CN_MULTIPLY, a, b);
}

/* log(x), and 0 where x is not positive, as TensorFlow has it. */
static cn_tensor *log_of_positive(cn_tensor *x)
{
    cn_tensor *positive = cn_op_unary(x, (cn_function1){CN_THRESHOLD, {0, 1, 0}});
    return cn_op_unary(positive, (cn_function1){.op = CN_LOG});
}

/* The signal dy, where it passes a relu of x. */
static cn_tensor *through_relu(cn_tensor *dy, cn_tensor *x, cn_gradient_rule rule)
{
    cn__unary_gradient_attributes attributes = {{CN_RELU, {0, INFINITY, 0}}, rule};
    return cn__node_new(&cn__unary_gradient_op, &attributes, 2, (cn_tensor *[]){dy, x});
}

/* prelu is relu(a) - b relu(-a): two relus, which have their rule. */
static void prelu_gradients(cn_tensor *a, cn_tensor *b, cn_tensor *dy, cn_gradient_rule rule,
                            cn_tensor *d[2])
{
    cn_tensor *minus = negative(a);
    cn_tensor *below = cn_op_unary(minus, (cn_function1){CN_RELU, {0, INFINITY, 0}});
    d[0] = cn_op_binary(CN_SUBTRACT, through_relu(dy, a, rule),
                        through_relu(negative(times(dy, b)), minus, rule));
    d[1] = negative(times(dy, below));
}

/* What is multiplied with dy for each operand, before the sum over broadcast axes. */
static void partial_gradients(const cn__node *node, cn_tensor *dy, cn_gradient_rule rule,
                              cn_tensor *d[2])
{
    cn_tensor *a = node->in[0], *b = node->in[1], *y = node->out[0], *open;
    switch (*(const cn_binary *)node->attributes) {
    case CN_ADD:
        d[0] = d[1] = dy;
        break;
    case CN_SUBTRACT:
        d[0] = dy;
        d[1] = negative(dy);
        break;
    case CN_MULTIPLY:
        d[0] = times(dy, b);
        d[1] = times(dy, a);
        break;
    case CN_DIVIDE:
        d[0] = cn_op_binary(CN_DIVIDE, dy, b);
        d[1] = negative(cn_op_binary(CN_DIVIDE, times(dy, y), b));
        break;
    case CN_MAXIMUM: /* of equal operands the first has the gradient, as TensorFlow has it */
        open = cn_op_binary(CN_GREATER_EQUAL, a, b);
        d[0] = times(dy, open);
        d[1] = cn_op_binary(CN_SUBTRACT, dy, d[0]);
        break;
    case CN_MINIMUM:
        open = cn_op_binary(CN_GREATER_EQUAL, b, a);
        d[0] = times(dy, open);
        d[1] = cn_op_binary(CN_SUBTRACT, dy, d[0]);
        break;
    case CN_POWER:
        d[0] = times(dy,
                     times(b, cn_op_binary(CN_POWER, a,
                                           cn_op_unary(b, (cn_function1){CN_AFFINE, {1, -1, 0}}))));
        d[1] = times(dy, times(y, log_of_positive(a)));
        break;
    case CN_PRELU:
        prelu_gradients(a, b, dy, rule, d);
        break;
    default: /* comparisons are flat */
        d[0] = d[1] = NULL;
    }
}

static bool is_comparison(cn_binary op)
{
    return op == CN_GREATER || op == CN_GREATER_EQUAL;
}

static cn_status binary_gradient(const cn__node *node, cn_tensor *const *dy, cn_gradient_rule rule,
                                 cn_tensor **dx)
{
    if (is_comparison(*(const cn_binary *)node->attributes))
        return CN_OK;
    cn_tensor *d[2];
    partial_gradients(node, dy[0], rule, d);
    for (int i = 0; i < 2; i++) {
        dx[i] = cn__op_reduce_like(d[i], node->in[i]);
        if (dx[i] == NULL)
            return cn_error_status();
    }
    return CN_OK;
}

static cn_status binary_run(const cn__step *step, cn_pool *pool)
{
    const cn__node *node = step->node;
    return cn_binary_f32(*(const cn_binary *)node->attributes, &node->in[0]->shape, step->in[0],
                         &node->in[1]->shape, step->in[1], step->out[0], pool);
}

const cn__op cn__binary_op = {.name = "binary",
                              .attribute_bytes = sizeof(cn_binary),
                              .outputs = 1,
                              .shape = binary_shape,
                              .gradient = binary_gradient,
                              .run = binary_run,
                              .in_place = true};

cn_tensor *cn_op_binary(cn_binary op, cn_tensor *a, cn_tensor *b)
{
    if ((size_t)op >= CN_BINARY_COUNT)
        return cn__fail_null(CN_ERROR_ARGUMENT, "binary: there is no operation %d", (int)op);
    return cn__node_new(&cn__binary_op, &op, 2, (cn_tensor *[]){a, b});
}

/* ---- filling a shape ---- */

static cn_status like_shape(const void *attributes, int inputs, cn_tensor *const *in,
                            cn_tensor **out)
{
    (void)attributes;
    (void)inputs;
    const cn_shape *x = &in[0]->shape, *like = &in[1]->shape;
    cn_shape joined;
    out[0]->shape = *like;
    if (cn_broadcast(x, like, &joined) == CN_OK && cn__shapes_agree(&joined, like))
        return CN_OK;
    char from[128], to[128];
    return cn__fail(CN_ERROR_SHAPE, "broadcast: %s cannot be repeated to the shape %s",
                    cn_shape_text(x, from, sizeof from), cn_shape_text(like, to, sizeof to));
}

static cn_status broadcast_gradient(const cn__node *node, cn_tensor *const *dy,
                                    cn_gradient_rule rule, cn_tensor **dx)
{
    (void)rule;
    dx[0] = cn__op_reduce_like(dy[0], node->in[0]);
    return dx[0] != NULL ? CN_OK : cn_error_status();
}

/* x + 0 with the zero repeated over the whole shape. */
static cn_status broadcast_run(const cn__step *step, cn_pool *pool)
{
    const cn__node *node = step->node;
    float *out = step->out[0];
    memset(out, 0, (size_t)count_out(step) * sizeof *out);
    return cn_binary_f32(CN_ADD, &node->out[0]->shape, out, &node->in[0]->shape, step->in[0], out,
                         pool);
}

const cn__op cn__broadcast_like_op = {.name = "broadcast_like",
                                      .outputs = 1,
                                      .shape = like_shape,
                                      .gradient = broadcast_gradient,
                                      .run = broadcast_run,
                                      .shape_only = 1u << 1};

cn_tensor *cn__op_broadcast_like(cn_tensor *x, cn_tensor *like)
{
    if (cn__same_known_shape(x, like))
        return x;
    return cn__node_new(&cn__broadcast_like_op, NULL, 2, (cn_tensor *[]){x, like});
}

cn_tensor *cn__op_zeros_like(cn_tensor *like)
{
    return cn__op_broadcast_like(cn_op_number(like, 0), like);
}

cn_tensor *cn__op_ones_like(cn_tensor *like)
{
    return cn__op_broadcast_like(cn_op_number(like, 1), like);
}
