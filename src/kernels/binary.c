/* Functions of two numbers. */
#include "kernels/simd.h"
#include "kernels/maths.h"

static inline float f_add(float a, float b)
{
    return a + b;
}

static inline float f_subtract(float a, float b)
{
    return a - b;
}

static inline float f_multiply(float a, float b)
{
    return a * b;
}

static inline float f_divide(float a, float b)
{
    return a / b;
}

/* NaN wins. */
static inline float f_maximum(float a, float b)
{
    return ((a > b) | (a != a)) ? a : b;
}

static inline float f_minimum(float a, float b)
{
    return ((a < b) | (a != a)) ? a : b;
}

static inline float f_greater(float a, float b)
{
    return a > b ? 1.0f : 0.0f;
}

static inline float f_greater_equal(float a, float b)
{
    return a >= b ? 1.0f : 0.0f;
}

static inline float f_prelu(float a, float b)
{
    return a > 0.0f ? a : b * a;
}

/* log2(a) for 0 < a, in double because the exponent of a power multiplies its error; that error is
 * below 4.3e-12 relative to log2(m). Infinity comes out as 128. */
static inline double log2_of(float a)
{
    int32_t n;
    double m = (double)cn__log_parts(a, &n);
    double s = (m - 1.0) / (m + 1.0), u = s * s;
    double g = 0.34078312023563484;
    g = g * u + 0.41166990722732405;
    g = g * u + 0.57708363099326387;
    g = g * u + 0.96179667310445616;
    g = g * u + 2.8853900817902738;
    return s * g + (double)n;
}

/* 2^t; NaN counts as 0. */
static inline float power_of_two(double t)
{
    const double round = 0x1.8p52; /* adding it leaves the nearest whole number */
    t = t == t ? t : 0.0;
    t = t < -152.0 ? -152.0 : t;
    t = t > 130.0 ? 130.0 : t;
    double whole = (t + round) - round;
    int32_t n = (int32_t)whole, half = n >> 1;
    float rest = cn__exp((float)(t - whole) * 0.693147181f);
    return rest * cn__power_of_two(half) * cn__power_of_two(n - half);
}

/* C's powf, but for the sign of zeros: a negative `a` needs a whole `b`; 1 to any power and
 * anything to the power 0 are 1. */
static inline float f_power(float a, float b)
{
    float size = cn__absolute(a), b_size = cn__absolute(b);
    float y = power_of_two((double)b * log2_of(size));
    y = size == 0.0f ? (b > 0.0f ? 0.0f : CN__INF) : y;
    y = size == CN__INF ? (b > 0.0f ? CN__INF : 0.0f) : y;
    /* from 2^24 on every float is even; below 2^23 adding 2^23 rounds to a whole number */
    float round = 0x1p23f;
    float whole = b_size < round ? (b_size + round) - round : b_size;
    float half = 0.5f * b_size;
    float half_whole = half < round ? (half + round) - round : half;
    bool odd = (whole == b_size) & (half_whole != half);
    float signed_y = odd ? -y : y;
    float fractional = size == CN__INF ? y : __builtin_nanf("");
    float of_negative = whole == b_size ? signed_y : fractional;
    y = a < 0.0f ? of_negative : y;
    y = ((a == a) & (b == b)) ? y : a + b;
    return ((b == 0.0f) | (a == 1.0f)) ? 1.0f : y;
}

/* `a_step` and `b_step` are constants 0 or 1 where this is called. A value that is repeated is read
 * before `out` is written. */
#define BINARY(NAME, name)                                                                         \
    static inline __attribute__((always_inline)) void loop_##name(                                 \
        const float *a, const int a_step, const float *b, const int b_step, float *out,            \
        int64_t count)                                                                             \
    {                                                                                              \
        const float first_a = *a, first_b = *b;                                                    \
        CN__INDEPENDENT                                                                            \
        for (int64_t i = 0; i < count; i++)                                                        \
            out[i] = f_##name(a_step ? a[i] : first_a, b_step ? b[i] : first_b);                   \
    }                                                                                              \
    void CN__K(binary_##name)(const float *a, int a_step, const float *b, int b_step, float *out,  \
                              int64_t count);                                                      \
    void CN__K(binary_##name)(const float *a, int a_step, const float *b, int b_step, float *out,  \
                              int64_t count)                                                       \
    {                                                                                              \
        if (count <= 0)                                                                            \
            return;                                                                                \
        if (a_step && b_step)                                                                      \
            loop_##name(a, 1, b, 1, out, count);                                                   \
        else if (a_step)                                                                           \
            loop_##name(a, 1, b, 0, out, count);                                                   \
        else if (b_step)                                                                           \
            loop_##name(a, 0, b, 1, out, count);                                                   \
        else                                                                                       \
            loop_##name(a, 0, b, 0, out, count);                                                   \
    }
CN_BINARY_LIST(BINARY)
