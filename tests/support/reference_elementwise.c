#include "support/reference.h"

#include <math.h>

/* ---- functions of one number, in the words of ops.h ---- */

static double identity(double x, const float *p)
{
    (void)p;
    return x;
}

static double affine(double x, const float *p)
{
    return (double)p[0] * x + (double)p[1];
}

static double keep_nan(double x, double y)
{
    return isnan(x) ? x : y;
}

static double clip(double x, const float *p)
{
    return keep_nan(x, fmin(fmax(x, (double)p[0]), (double)p[1]));
}

static double relu(double x, const float *p)
{
    if (x >= (double)p[1])
        return (double)p[1];
    if (x >= (double)p[2])
        return x;
    return p[0] == 0 ? keep_nan(x, 0) : (double)p[0] * (x - (double)p[2]);
}

static double elu(double x, const float *p)
{
    return x > 0 ? x : (double)p[0] * expm1(x);
}

static double selu(double x, const float *p)
{
    (void)p;
    return 1.05070098735548 * (x > 0 ? x : 1.67326324235438 * expm1(x));
}

static double celu(double x, const float *p)
{
    double a = (double)p[0];
    return keep_nan(x, fmax(x, 0) + fmin(a * expm1(x / a), 0));
}

/* The products of -infinity and 0 are 0 here: their limit. */
static double gelu(double x, const float *p)
{
    (void)p;
    return x == (double)-INFINITY ? 0 : x * erfc(-x / sqrt(2)) / 2;
}

static double sigmoid(double x, const float *p)
{
    (void)p;
    return 1 / (1 + exp(-x));
}

static double gelu_tanh(double x, const float *p)
{
    double u = sqrt(2 / 3.14159265358979323846) * (x + 0.044715 * x * x * x);
    return x == (double)-INFINITY ? 0 : x * sigmoid(2 * u, p);
}

static double softplus(double x, const float *p)
{
    (void)p;
    return keep_nan(x, fmax(x, 0) + log1p(exp(-fabs(x))));
}

static double log_sigmoid(double x, const float *p)
{
    return -softplus(-x, p);
}

static double hard_sigmoid(double x, const float *p)
{
    return keep_nan(x, fmin(fmax((double)p[0] * x + 0.5, 0), 1));
}

static double silu(double x, const float *p)
{
    return x == (double)-INFINITY ? 0 : x * sigmoid(x, p);
}

static double hard_silu(double x, const float *p)
{
    (void)p;
    return x <= -3 ? 0 : x >= 3 ? x : x * (x / 6 + 0.5);
}

static double mish(double x, const float *p)
{
    return x == (double)-INFINITY ? 0 : x * tanh(softplus(x, p));
}

static double softsign(double x, const float *p)
{
    (void)p;
    return isinf(x) ? copysign(1, x) : x / (1 + fabs(x));
}

static double hyperbolic_tangent(double x, const float *p)
{
    (void)p;
    return tanh(x);
}

static double hard_tanh(double x, const float *p)
{
    (void)p;
    return keep_nan(x, fmin(fmax(x, -1), 1));
}

static double tanh_shrink(double x, const float *p)
{
    (void)p;
    return x - tanh(x);
}

static double soft_shrink(double x, const float *p)
{
    double t = (double)p[0];
    return x > t ? x - t : x < -t ? x + t : keep_nan(x, 0);
}

static double hard_shrink(double x, const float *p)
{
    return fabs(x) > (double)p[0] ? x : keep_nan(x, 0);
}

static double squareplus(double x, const float *p)
{
    if (isinf(x))
        return x > 0 ? x : 0;
    double root = sqrt(x * x + (double)p[0]);
    return x > 0 ? (x + root) / 2 : root - x > 0 ? (double)p[0] / 2 / (root - x) : keep_nan(x, 0);
}

static double sparse_plus(double x, const float *p)
{
    (void)p;
    return x <= -1 ? 0 : x >= 1 ? x : (x + 1) * (x + 1) / 4;
}

static double sparse_sigmoid(double x, const float *p)
{
    (void)p;
    return x <= -1 ? 0 : x >= 1 ? 1 : (x + 1) / 2;
}

static double threshold(double x, const float *p)
{
    return x > (double)p[0] ? x : keep_nan(x, (double)p[1]);
}

static double exponential(double x, const float *p)
{
    (void)p;
    return exp(x);
}

static double logarithm_of(double x, const float *p)
{
    (void)p;
    return log(x);
}

static double square_root(double x, const float *p)
{
    (void)p;
    return sqrt(x);
}

static double rsqrt(double x, const float *p)
{
    (void)p;
    return 1 / sqrt(x);
}

static double reciprocal(double x, const float *p)
{
    (void)p;
    return 1 / x;
}

static double square(double x, const float *p)
{
    (void)p;
    return x * x;
}

static double absolute(double x, const float *p)
{
    (void)p;
    return fabs(x);
}

static double sign(double x, const float *p)
{
    (void)p;
    return keep_nan(x, (x > 0) - (x < 0));
}

static double positive(double x, const float *p)
{
    (void)p;
    return keep_nan(x, x > 0);
}

static double (*const unary[CN_UNARY_COUNT])(double x, const float *p) = {
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
    [CN_TANH] = hyperbolic_tangent,
    [CN_HARD_TANH] = hard_tanh,
    [CN_TANH_SHRINK] = tanh_shrink,
    [CN_SOFT_SHRINK] = soft_shrink,
    [CN_HARD_SHRINK] = hard_shrink,
    [CN_SQUAREPLUS] = squareplus,
    [CN_SPARSE_PLUS] = sparse_plus,
    [CN_SPARSE_SIGMOID] = sparse_sigmoid,
    [CN_THRESHOLD] = threshold,
    [CN_EXP] = exponential,
    [CN_LOG] = logarithm_of,
    [CN_SQRT] = square_root,
    [CN_RSQRT] = rsqrt,
    [CN_RECIPROCAL] = reciprocal,
    [CN_SQUARE] = square,
    [CN_ABS] = absolute,
    [CN_SIGN] = sign,
    [CN_POSITIVE] = positive,
};

double reference_unary(cn_unary op, double x, const float *p)
{
    return unary[op](x, p);
}

double reference_binary(cn_binary op, double a, double b)
{
    bool nan = isnan(a) || isnan(b);
    switch (op) {
    case CN_ADD:
        return a + b;
    case CN_SUBTRACT:
        return a - b;
    case CN_MULTIPLY:
        return a * b;
    case CN_DIVIDE:
        return a / b;
    case CN_MAXIMUM:
        return nan ? (double)NAN : fmax(a, b);
    case CN_MINIMUM:
        return nan ? (double)NAN : fmin(a, b);
    case CN_POWER:
        return pow(a, b);
    case CN_GREATER:
        return a > b;
    case CN_GREATER_EQUAL:
        return a >= b;
    case CN_PRELU:
        return a > 0 ? a : b * a;
    default:
        return (double)NAN;
    }
}

/* ---- shapes ---- */

int64_t reference_broadcast_index(const cn_shape *shape, int64_t index, const cn_shape *smaller)
{
    int64_t offset = 0, stride = 1;
    for (int i = shape->rank - 1, j = smaller->rank - 1; j >= 0; i--, j--) {
        int64_t at = index % shape->dim[i];
        index /= shape->dim[i];
        offset += smaller->dim[j] == 1 ? 0 : at * stride;
        stride *= smaller->dim[j];
    }
    return offset;
}

void reference_reduce(cn_reduction reduction, const cn_shape *shape, unsigned axes, const float *in,
                      double *out)
{
    cn_shape kept = *shape;
    double reduced = 1;
    for (int i = 0; i < shape->rank; i++)
        if (axes >> i & 1) {
            kept.dim[i] = 1;
            reduced *= (double)shape->dim[i];
        }
    for (int64_t o = 0; o < cn_shape_count(&kept); o++)
        out[o] = reduction == CN_MAX ? (double)-INFINITY : 0;
    for (int64_t i = 0; i < cn_shape_count(shape); i++) {
        double *to = &out[reference_broadcast_index(shape, i, &kept)], x = (double)in[i];
        if (reduction == CN_MAX)
            *to = reference_binary(CN_MAXIMUM, *to, x);
        else
            *to += x;
    }
    for (int64_t o = 0; reduction == CN_MEAN && o < cn_shape_count(&kept); o++)
        out[o] /= reduced;
}

void reference_softmax(const cn_shape *shape, int axis, bool logarithm, const double *in,
                       double *out)
{
    int64_t inner = 1, n = shape->dim[axis];
    for (int i = axis + 1; i < shape->rank; i++)
        inner *= shape->dim[i];
    for (int64_t i = 0; i < cn_shape_count(shape); i++) {
        int64_t first = i / (n * inner) * n * inner + i % inner;
        double most = (double)-INFINITY, sum = 0;
        for (int64_t j = 0; j < n; j++)
            most = fmax(most, in[first + j * inner]);
        for (int64_t j = 0; j < n; j++)
            sum += exp(in[first + j * inner] - most);
        out[i] = logarithm ? in[i] - most - log(sum) : exp(in[i] - most) / sum;
    }
}

void reference_batch_norm(int64_t rows, int64_t channels, const double *x, const double *gamma,
                          const double *beta, double epsilon, double *mean, double *variance,
                          double *y)
{
    for (int64_t c = 0; c < channels; c++) {
        mean[c] = variance[c] = 0;
        for (int64_t r = 0; r < rows; r++)
            mean[c] += x[r * channels + c] / (double)rows;
        for (int64_t r = 0; r < rows; r++)
            variance[c] += pow(x[r * channels + c] - mean[c], 2) / (double)rows;
        for (int64_t r = 0; r < rows; r++)
            y[r * channels + c] = (gamma ? gamma[c] : 1) * (x[r * channels + c] - mean[c]) /
                                      sqrt(variance[c] + epsilon) +
                                  (beta ? beta[c] : 0);
    }
}
