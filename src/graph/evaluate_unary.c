/* Functions of one number and their derivatives in double, from the definitions in ops.h. */
#include "graph/evaluate_node.h"

#include <math.h>

/* f(x) and f'(x). At a kink the derivative is the one that the kernels take. */
typedef struct point {
    double y, slope;
} point;

static point identity(double x, const double *p)
{
    (void)p;
    return (point){x, 1};
}

static point affine(double x, const double *p)
{
    return (point){p[0] * x + p[1], p[0]};
}

/* x, where it lies between the bounds. */
static point between(double x, double low, double high)
{
    return x < low ? (point){low, 0} : x > high ? (point){high, 0} : (point){x, 1};
}

static point clip(double x, const double *p)
{
    return between(x, p[0], p[1]);
}

static point relu(double x, const double *p)
{
    double slope = x > p[2] ? 1 : p[0];
    if (x >= p[1])
        return (point){p[1], 0};
    return (point){x >= p[2] ? x : p[0] == 0 ? 0 : p[0] * (x - p[2]), slope};
}

static point elu(double x, const double *p)
{
    return x > 0 ? (point){x, 1} : (point){p[0] * expm1(x), p[0] * exp(x)};
}

static point selu(double x, const double *p)
{
    (void)p;
    const double scale = 1.05070098735548, alpha = 1.67326324235438;
    return x >= 0 ? (point){scale * x, scale}
                  : (point){scale * alpha * expm1(x), scale * alpha * exp(x)};
}

static point celu(double x, const double *p)
{
    return x >= 0 ? (point){x, 1} : (point){p[0] * expm1(x / p[0]), exp(x / p[0])};
}

static point gelu(double x, const double *p)
{
    (void)p;
    double normal = erfc(-x / sqrt(2)) / 2, density = exp(-x * x / 2) / sqrt(2 * acos(-1));
    return (point){x * normal, normal + x * density};
}

static point sigmoid(double x, const double *p)
{
    (void)p;
    double y = 1 / (1 + exp(-x));
    return (point){y, y / (1 + exp(x))};
}

/* (1 + tanh(u)) / 2 is sigmoid(2 u). */
static point gelu_tanh(double x, const double *p)
{
    double twice = 2 * sqrt(2 / acos(-1)), u = twice * (x + 0.044715 * x * x * x);
    point s = sigmoid(u, p);
    return (point){x * s.y, s.y + x * s.slope * twice * (1 + 3 * 0.044715 * x * x)};
}

static point softplus(double x, const double *p)
{
    return (point){fmax(x, 0) + log1p(exp(-fabs(x))), sigmoid(x, p).y};
}

static point log_sigmoid(double x, const double *p)
{
    point s = softplus(-x, p);
    return (point){-s.y, s.slope};
}

static point hard_sigmoid(double x, const double *p)
{
    point s = between(p[0] * x + 0.5, 0, 1);
    return (point){s.y, s.slope * p[0]};
}

static point silu(double x, const double *p)
{
    point s = sigmoid(x, p);
    return (point){x * s.y, s.y + x * s.slope};
}

static point hard_silu(double x, const double *p)
{
    (void)p;
    return x < -3 ? (point){0, 0} : x > 3 ? (point){x, 1} : (point){x * (x / 6 + 0.5), x / 3 + 0.5};
}

static point mish(double x, const double *p)
{
    point s = softplus(x, p);
    double t = tanh(s.y);
    return (point){x * t, t + x * (1 - t * t) * s.slope};
}

static point softsign(double x, const double *p)
{
    (void)p;
    double r = 1 / (1 + fabs(x));
    return (point){x * r, r * r};
}

static point tangent(double x, const double *p)
{
    (void)p;
    double e = exp(-2 * fabs(x));
    return (point){tanh(x), 4 * e / ((1 + e) * (1 + e))};
}

static point hard_tanh(double x, const double *p)
{
    (void)p;
    return between(x, -1, 1);
}

static point tanh_shrink(double x, const double *p)
{
    (void)p;
    double t = tanh(x);
    return (point){x - t, t * t};
}

static point soft_shrink(double x, const double *p)
{
    return x > p[0] ? (point){x - p[0], 1} : x < -p[0] ? (point){x + p[0], 1} : (point){0, 0};
}

static point hard_shrink(double x, const double *p)
{
    return fabs(x) > p[0] ? (point){x, 1} : (point){0, 0};
}

static point squareplus(double x, const double *p)
{
    double root = sqrt(x * x + p[0]);
    return (point){x < 0 ? p[0] / 2 / (root - x) : (x + root) / 2,
                   root == 0 ? 0.5 : (1 + x / root) / 2};
}

static point sparse_plus(double x, const double *p)
{
    (void)p;
    return x <= -1  ? (point){0, 0}
           : x >= 1 ? (point){x, 1}
                    : (point){(x + 1) * (x + 1) / 4, (x + 1) / 2};
}

static point sparse_sigmoid(double x, const double *p)
{
    (void)p;
    return x <= -1 ? (point){0, 0} : x >= 1 ? (point){1, 0} : (point){(x + 1) / 2, 0.5};
}

static point threshold(double x, const double *p)
{
    return x > p[0] ? (point){x, 1} : (point){p[1], 0};
}

static point exponential(double x, const double *p)
{
    (void)p;
    return (point){exp(x), exp(x)};
}

static point logarithm(double x, const double *p)
{
    (void)p;
    return (point){log(x), 1 / x};
}

static point square_root(double x, const double *p)
{
    (void)p;
    return (point){sqrt(x), 0.5 / sqrt(x)};
}

static point rsqrt(double x, const double *p)
{
    (void)p;
    return (point){1 / sqrt(x), -0.5 / (x * sqrt(x))};
}

static point reciprocal(double x, const double *p)
{
    (void)p;
    return (point){1 / x, -1 / (x * x)};
}

static point square(double x, const double *p)
{
    (void)p;
    return (point){x * x, 2 * x};
}

static point sign(double x, const double *p)
{
    (void)p;
    return (point){(x > 0) - (x < 0), 0};
}

static point absolute(double x, const double *p)
{
    return (point){fabs(x), sign(x, p).y};
}

static point positive(double x, const double *p)
{
    (void)p;
    return (point){x > 0, 0};
}

static point (*const functions[CN_UNARY_COUNT])(double x, const double *p) = {
    [CN_IDENTITY] = identity,
    [CN_AFFINE] = affine,
    [CN_CLIP] = clip,
    [CN_RELU] = relu,
    [CN_ELU] = elu,
    [CN_SELU] = selu,
    [CN_CELU] = celu,
    [CN_GELU] = gelu,
    [CN_GELU_TANH] = gelu_tanh,
    [CN_SIGMOID] = sigmoid,
    [CN_LOG_SIGMOID] = log_sigmoid,
    [CN_HARD_SIGMOID] = hard_sigmoid,
    [CN_SILU] = silu,
    [CN_HARD_SILU] = hard_silu,
    [CN_MISH] = mish,
    [CN_SOFTPLUS] = softplus,
    [CN_SOFTSIGN] = softsign,
    [CN_TANH] = tangent,
    [CN_HARD_TANH] = hard_tanh,
    [CN_TANH_SHRINK] = tanh_shrink,
    [CN_SOFT_SHRINK] = soft_shrink,
    [CN_HARD_SHRINK] = hard_shrink,
    [CN_SQUAREPLUS] = squareplus,
    [CN_SPARSE_PLUS] = sparse_plus,
    [CN_SPARSE_SIGMOID] = sparse_sigmoid,
    [CN_THRESHOLD] = threshold,
    [CN_EXP] = exponential,
    [CN_LOG] = logarithm,
    [CN_SQRT] = square_root,
    [CN_RSQRT] = rsqrt,
    [CN_RECIPROCAL] = reciprocal,
    [CN_SQUARE] = square,
    [CN_ABS] = absolute,
    [CN_SIGN] = sign,
    [CN_POSITIVE] = positive,
};

static point at(cn_function1 function, double x)
{
    double p[3] = {(double)function.p[0], (double)function.p[1], (double)function.p[2]};
    point f = functions[function.op](x, p);
    return isnan(x) ? (point){x, x} : f;
}

cn_status cn__evaluate_unary(const cn__evaluated *e)
{
    cn_function1 function = *(const cn_function1 *)e->node->attributes;
    for (int64_t i = 0; i < e->out_count[0]; i++)
        e->out[0][i] = at(function, e->in[0][i]).y;
    return CN_OK;
}

/* (dy, x): the derivative, or what the rule lets pass of the signal. */
cn_status cn__evaluate_unary_gradient(const cn__evaluated *e)
{
    const cn__unary_gradient_attributes *a = e->node->attributes;
    for (int64_t i = 0; i < e->out_count[0]; i++) {
        double slope = a->rule == CN_DECONVNET ? 1 : at(a->function, e->in[1][i]).slope;
        double dx = e->in[0][i] * slope;
        e->out[0][i] = a->rule == CN_GRADIENT || dx > 0 ? dx : 0;
    }
    return CN_OK;
}
