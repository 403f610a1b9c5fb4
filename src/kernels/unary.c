/* Functions of one number and their derivatives. Each is a scalar expression without branches; the
 * macros at the end make the loops, which the compiler turns into vectors. */
#include "kernels/simd.h"
#include "kernels/maths.h"

/* Beyond these numbers a factor that goes to 0 or 1 has arrived there: x is held back so that
 * infinity times 0 does not come up. */
#define FAR_EXP (-110.0f)   /* exp(x) is 0 */
#define FAR_NORMAL (-30.0f) /* the normal distribution is 0 */

static inline float inside(float x, float low, float high)
{
    return ((x < low) | (x > high)) ? 0.0f : 1.0f;
}

static inline float clip(float x, float low, float high)
{
    return cn__at_most(cn__at_least(x, low), high);
}

static inline float f_identity(float x, const float *p)
{
    (void)p;
    return x;
}

static inline float d_identity(float x, const float *p)
{
    (void)x, (void)p;
    return 1.0f;
}

static inline float f_affine(float x, const float *p)
{
    return p[0] * x + p[1];
}

static inline float d_affine(float x, const float *p)
{
    (void)x;
    return p[0];
}

static inline float f_clip(float x, const float *p)
{
    return clip(x, p[0], p[1]);
}

static inline float d_clip(float x, const float *p)
{
    return inside(x, p[0], p[1]);
}

/* A slope of 0 gives 0 for -infinity too. */
static inline float f_relu(float x, const float *p)
{
    float below = p[0] == 0.0f ? cn__keep_nan(x, 0.0f) : p[0] * (x - p[2]);
    float y = x >= p[2] ? x : below;
    return x >= p[1] ? p[1] : y;
}

static inline float d_relu(float x, const float *p)
{
    float slope = x > p[2] ? 1.0f : p[0];
    return x >= p[1] ? 0.0f : slope;
}

static inline float f_elu(float x, const float *p)
{
    float below = p[0] * cn__expm1_of_negative(cn__at_most(x, 0.0f));
    return x > 0.0f ? x : below;
}

static inline float d_elu(float x, const float *p)
{
    float below = p[0] * cn__exp(x);
    return x > 0.0f ? 1.0f : below;
}

static inline float f_selu(float x, const float *p)
{
    (void)p;
    float below = 1.67326324f * cn__expm1_of_negative(cn__at_most(x, 0.0f));
    return 1.05070099f * (x > 0.0f ? x : below);
}

static inline float d_selu(float x, const float *p)
{
    (void)p;
    float below = 1.67326324f * cn__exp(x);
    return 1.05070099f * (x >= 0.0f ? 1.0f : below);
}

static inline float f_celu(float x, const float *p)
{
    float below = p[0] * cn__expm1_of_negative(cn__at_most(x / p[0], 0.0f));
    return x > 0.0f ? x : below;
}

static inline float d_celu(float x, const float *p)
{
    float below = cn__exp(x / p[0]);
    return x >= 0.0f ? 1.0f : below;
}

static inline float f_gelu(float x, const float *p)
{
    (void)p;
    x = cn__at_least(x, FAR_NORMAL);
    return x * cn__normal(x);
}

static inline float d_gelu(float x, const float *p)
{
    (void)p;
    x = clip(x, FAR_NORMAL, -FAR_NORMAL);
    return cn__normal(x) + x * 0.398942280f * cn__exp(-0.5f * x * x);
}

/* (1 + tanh(u)) / 2 is sigmoid(2 u); this is 2 u. */
static inline float gelu_tanh_argument(float x)
{
    return 1.59576912f * x * (1.0f + 0.044715f * x * x);
}

static inline float f_gelu_tanh(float x, const float *p)
{
    (void)p;
    x = cn__at_least(x, FAR_NORMAL);
    return x * cn__sigmoid(gelu_tanh_argument(x));
}

static inline float d_gelu_tanh(float x, const float *p)
{
    (void)p;
    x = clip(x, FAR_NORMAL, -FAR_NORMAL);
    float argument = gelu_tanh_argument(x), slope = 1.59576912f * (1.0f + 0.134145f * x * x);
    float s = cn__sigmoid(argument);
    return s + x * slope * s * cn__sigmoid(-argument);
}

static inline float f_sigmoid(float x, const float *p)
{
    (void)p;
    return cn__sigmoid(x);
}

static inline float d_sigmoid(float x, const float *p)
{
    (void)p;
    float e = cn__exp(-cn__absolute(x));
    return e / ((1.0f + e) * (1.0f + e));
}

static inline float f_log_sigmoid(float x, const float *p)
{
    (void)p;
    return -cn__softplus(-x);
}

static inline float d_log_sigmoid(float x, const float *p)
{
    (void)p;
    return cn__sigmoid(-x);
}

static inline float f_hard_sigmoid(float x, const float *p)
{
    return clip(p[0] * x + 0.5f, 0.0f, 1.0f);
}

static inline float d_hard_sigmoid(float x, const float *p)
{
    return p[0] * inside(p[0] * x + 0.5f, 0.0f, 1.0f);
}

static inline float f_silu(float x, const float *p)
{
    (void)p;
    x = cn__at_least(x, FAR_EXP);
    return x * cn__sigmoid(x);
}

static inline float d_silu(float x, const float *p)
{
    (void)p;
    x = clip(x, FAR_EXP, -FAR_EXP);
    float s = cn__sigmoid(x);
    return s + x * s * cn__sigmoid(-x);
}

static inline float f_hard_silu(float x, const float *p)
{
    (void)p;
    x = cn__at_least(x, -3.0f);
    return x * clip(x * (1.0f / 6.0f) + 0.5f, 0.0f, 1.0f);
}

static inline float d_hard_silu(float x, const float *p)
{
    (void)p;
    float sixth = 1.0f / 6.0f;
    float middle = x * (2.0f * sixth) + 0.5f;
    float y = x < -3.0f ? 0.0f : middle;
    return x > 3.0f ? 1.0f : y;
}

/* With e = exp(x), tanh(log(1 + e)) = n / (n + 2) for n = e (e + 2); 1 above x = 20. */
static inline float f_mish(float x, const float *p)
{
    (void)p;
    x = cn__at_least(x, FAR_EXP);
    float e = cn__exp(cn__at_most(x, 20.0f)), n = e * (e + 2.0f);
    return x * (n / (n + 2.0f));
}

static inline float d_mish(float x, const float *p)
{
    (void)p;
    x = clip(x, FAR_EXP, 20.0f);
    float e = cn__exp(x), n = e * (e + 2.0f), m = n + 2.0f;
    return n / m + x * (4.0f * e * (1.0f + e) / (m * m));
}

static inline float f_softplus(float x, const float *p)
{
    (void)p;
    return cn__softplus(x);
}

static inline float d_softplus(float x, const float *p)
{
    (void)p;
    return cn__sigmoid(x);
}

static inline float f_softsign(float x, const float *p)
{
    (void)p;
    x = clip(x, -FLT_MAX, FLT_MAX);
    return x / (1.0f + cn__absolute(x));
}

static inline float d_softsign(float x, const float *p)
{
    (void)p;
    float r = 1.0f / (1.0f + cn__absolute(x));
    return r * r;
}

static inline float f_tanh(float x, const float *p)
{
    (void)p;
    return cn__tanh(x);
}

static inline float d_tanh(float x, const float *p)
{
    (void)p;
    float e = cn__exp(-2.0f * cn__absolute(x));
    return 4.0f * e / ((1.0f + e) * (1.0f + e));
}

static inline float f_hard_tanh(float x, const float *p)
{
    (void)p;
    return clip(x, -1.0f, 1.0f);
}

static inline float d_hard_tanh(float x, const float *p)
{
    (void)p;
    return inside(x, -1.0f, 1.0f);
}

static inline float f_tanh_shrink(float x, const float *p)
{
    (void)p;
    return x - cn__tanh(x);
}

static inline float d_tanh_shrink(float x, const float *p)
{
    (void)p;
    float t = cn__tanh(x);
    return t * t;
}

static inline float f_soft_shrink(float x, const float *p)
{
    float y = x < -p[0] ? x + p[0] : cn__keep_nan(x, 0.0f);
    return x > p[0] ? x - p[0] : y;
}

static inline float d_soft_shrink(float x, const float *p)
{
    return 1.0f - inside(x, -p[0], p[0]);
}

static inline float f_hard_shrink(float x, const float *p)
{
    return cn__absolute(x) > p[0] ? x : cn__keep_nan(x, 0.0f);
}

static inline float d_hard_shrink(float x, const float *p)
{
    return cn__absolute(x) > p[0] ? 1.0f : 0.0f;
}

/* For x < 0 the form without a difference of near numbers. From 1e18 on the root is |x|, and its
 * square would leave the range. */
static inline float f_squareplus(float x, const float *p)
{
    float size = cn__absolute(x);
    float root = size > 1e18f ? size : __builtin_sqrtf(x * x + p[0]);
    float below = 0.5f * p[0] / (root - x + FLT_MIN);
    return x < 0.0f ? below : 0.5f * x + 0.5f * root;
}

static inline float d_squareplus(float x, const float *p)
{
    x = clip(x, -1e18f, 1e18f);
    return 0.5f + 0.5f * x / (__builtin_sqrtf(x * x + p[0]) + FLT_MIN);
}

static inline float f_sparse_plus(float x, const float *p)
{
    (void)p;
    float y = x <= -1.0f ? 0.0f : 0.25f * (x + 1.0f) * (x + 1.0f);
    return x >= 1.0f ? x : y;
}

static inline float d_sparse_plus(float x, const float *p)
{
    (void)p;
    float y = x <= -1.0f ? 0.0f : 0.5f * (x + 1.0f);
    return x >= 1.0f ? 1.0f : y;
}

static inline float f_sparse_sigmoid(float x, const float *p)
{
    (void)p;
    return clip(0.5f * x + 0.5f, 0.0f, 1.0f);
}

static inline float d_sparse_sigmoid(float x, const float *p)
{
    (void)p;
    return ((x <= -1.0f) | (x >= 1.0f)) ? 0.0f : 0.5f;
}

static inline float f_threshold(float x, const float *p)
{
    return x > p[0] ? x : cn__keep_nan(x, p[1]);
}

static inline float d_threshold(float x, const float *p)
{
    return x > p[0] ? 1.0f : 0.0f;
}

static inline float f_exp(float x, const float *p)
{
    (void)p;
    return cn__exp(x);
}

static inline float d_exp(float x, const float *p)
{
    (void)p;
    return cn__exp(x);
}

static inline float f_log(float x, const float *p)
{
    (void)p;
    return cn__log(x);
}

static inline float d_log(float x, const float *p)
{
    (void)p;
    return 1.0f / x;
}

static inline float f_sqrt(float x, const float *p)
{
    (void)p;
    return __builtin_sqrtf(x);
}

static inline float d_sqrt(float x, const float *p)
{
    (void)p;
    return 0.5f / __builtin_sqrtf(x);
}

static inline float f_rsqrt(float x, const float *p)
{
    (void)p;
    return 1.0f / __builtin_sqrtf(x);
}

static inline float d_rsqrt(float x, const float *p)
{
    (void)p;
    return -0.5f / (x * __builtin_sqrtf(x));
}

static inline float f_reciprocal(float x, const float *p)
{
    (void)p;
    return 1.0f / x;
}

static inline float d_reciprocal(float x, const float *p)
{
    (void)p;
    float r = 1.0f / x;
    return -r * r;
}

static inline float f_square(float x, const float *p)
{
    (void)p;
    return x * x;
}

static inline float d_square(float x, const float *p)
{
    (void)p;
    return 2.0f * x;
}

static inline float f_abs(float x, const float *p)
{
    (void)p;
    return cn__absolute(x);
}

static inline float f_sign(float x, const float *p)
{
    (void)p;
    float y = x < 0.0f ? -1.0f : cn__keep_nan(x, 0.0f);
    return x > 0.0f ? 1.0f : y;
}

static inline float d_abs(float x, const float *p)
{
    return f_sign(x, p);
}

static inline float d_sign(float x, const float *p)
{
    (void)x, (void)p;
    return 0.0f;
}

static inline float f_positive(float x, const float *p)
{
    (void)p;
    return x > 0.0f ? 1.0f : cn__keep_nan(x, 0.0f);
}

static inline float d_positive(float x, const float *p)
{
    (void)x, (void)p;
    return 0.0f;
}

/* x and y may be the same buffer, which the loops are told is no hindrance. The parameters are
 * copied because y might hold them. */
#define UNARY(NAME, name)                                                                          \
    void CN__K(unary_##name)(const float *x, float *y, int64_t count, const float *p);             \
    void CN__K(unary_##name)(const float *x, float *y, int64_t count, const float *p)              \
    {                                                                                              \
        const float q[3] = {p[0], p[1], p[2]};                                                     \
        CN__INDEPENDENT                                                                            \
        for (int64_t i = 0; i < count; i++)                                                        \
            y[i] = f_##name(x[i], q);                                                              \
    }
CN_UNARY_LIST(UNARY)

#define UNARY_GRADIENT(NAME, name)                                                                 \
    void CN__K(unary_gradient_##name)(const float *x, const float *dy, float *dx, int64_t count,   \
                                      const float *p);                                             \
    void CN__K(unary_gradient_##name)(const float *x, const float *dy, float *dx, int64_t count,   \
                                      const float *p)                                              \
    {                                                                                              \
        const float q[3] = {p[0], p[1], p[2]};                                                     \
        CN__INDEPENDENT                                                                            \
        for (int64_t i = 0; i < count; i++)                                                        \
            dx[i] = dy[i] * d_##name(x[i], q);                                                     \
    }
CN_UNARY_LIST(UNARY_GRADIENT)
