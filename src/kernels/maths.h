/* exp, log and their relatives in single precision, without branches, so that a loop over them
 * becomes vectors. The polynomials are near-minimax fits made for this file; the error given beside
 * each is that of the fit, before rounding. */
#ifndef CORNU_SRC_KERNELS_MATHS_H
#define CORNU_SRC_KERNELS_MATHS_H

#include <float.h>
#include <stdint.h>
#include <string.h>

#define CN__INF (__builtin_inff())

/* Before a loop whose rounds do not depend on each other, though its buffers may be the same one.
 */
#if defined(__clang__)
#pragma clang diagnostic ignored "-Wpass-failed" /* builds with sanitizers make no vectors */
#define CN__INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#else
#define CN__INDEPENDENT _Pragma("GCC ivdep")
#endif

static inline uint32_t cn__bits(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline float cn__from_bits(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline float cn__absolute(float x)
{
    return __builtin_fabsf(x);
}

/* NaN stays NaN. */
static inline float cn__at_least(float x, float low)
{
    return x < low ? low : x;
}

static inline float cn__at_most(float x, float high)
{
    return x > high ? high : x;
}

/* `value`, but NaN where x is NaN. */
static inline float cn__keep_nan(float x, float value)
{
    return x == x ? value : x;
}

/* 2^n for -126 <= n <= 127. */
static inline float cn__power_of_two(int32_t n)
{
    return cn__from_bits((uint32_t)(n + 127) << 23);
}

/* x = n ln 2 + r with |r| <= ln 2 / 2. Returns e^r - 1 and puts n into `*n`; n has no meaning if x
 * is NaN, but lies in the range that |x| <= 150 gives. */
static inline float cn__exp_parts(float x, int32_t *n)
{
    const float round = 0x1.8p23f; /* adding it leaves the nearest whole number in the low bits */
    float shifted = x * 1.44269504f + round;
    float whole = shifted - round;
    /* ln 2 in two parts; the first has few bits, so that its multiples are exact */
    float r = x - whole * 0.693359375f;
    r = r + whole * 2.12194440e-4f;
    int32_t exponent = (int32_t)(cn__bits(shifted) - cn__bits(round));
    exponent = exponent > 220 ? 220 : exponent;
    *n = exponent < -220 ? -220 : exponent;
    /* (e^r - 1 - r) / r^2, error of e^r below 3.2e-9 */
    float g = 1.39506022e-3f;
    g = g * r + 8.36895313e-3f;
    g = g * r + 4.16662060e-2f;
    g = g * r + 1.66665182e-1f;
    g = g * r + 0.5f;
    return r + r * r * g;
}

/* e^x: 0 below, infinity above, denormal numbers between. */
static inline float cn__exp(float x)
{
    int32_t n;
    float rest = cn__exp_parts(cn__at_most(cn__at_least(x, -104.0f), 89.0f), &n);
    int32_t half = n >> 1;
    return (1.0f + rest) * cn__power_of_two(half) * cn__power_of_two(n - half);
}

/* e^x - 1 for x <= 0, with a small relative error near 0. */
static inline float cn__expm1_of_negative(float x)
{
    int32_t n;
    float rest = cn__exp_parts(cn__at_least(x, -20.0f), &n);
    /* n is above -30; the limit is for NaN, whose n has no meaning */
    float scale = cn__power_of_two(n < -120 ? -120 : n > 120 ? 120 : n);
    return scale * rest + (scale - 1.0f);
}

/* 2 atanh(s) = log((1 + s) / (1 - s)) for |s| <= 1/3, relative error below 4.1e-9. */
static inline float cn__twice_atanh(float s)
{
    float u = s * s;
    float g = 0.281915456f;
    g = g * u + 0.279576659f;
    g = g * u + 0.400251150f;
    g = g * u + 0.666663110f;
    g = g * u + 2.0f;
    return s * g;
}

/* log(1 + x) for 0 <= x <= 1, with a small relative error near 0. */
static inline float cn__log1p_of_fraction(float x)
{
    return cn__twice_atanh(x / (2.0f + x));
}

/* x = m 2^n with sqrt(1/2) <= m < sqrt(2), for positive finite x. Returns m. */
static inline float cn__log_parts(float x, int32_t *n)
{
    const uint32_t root = 0x3f3504f3; /* sqrt(1/2) */
    bool denormal = x < FLT_MIN;
    uint32_t bits = cn__bits(denormal ? x * 0x1p23f : x) - root;
    *n = ((int32_t)bits >> 23) - (denormal ? 23 : 0);
    return cn__from_bits((bits & 0x7fffff) + root);
}

static inline float cn__log(float x)
{
    int32_t n;
    float m = cn__log_parts(x, &n);
    float whole = (float)n;
    float y = cn__twice_atanh((m - 1.0f) / (m + 1.0f)) - whole * 2.12194440e-4f;
    y = y + whole * 0.693359375f;
    y = x < CN__INF ? y : x; /* infinity, NaN */
    y = x == 0.0f ? -CN__INF : y;
    return x < 0.0f ? __builtin_nanf("") : y;
}

static inline float cn__sigmoid(float x)
{
    float e = cn__exp(-cn__absolute(x));
    return (x < 0.0f ? e : 1.0f) / (1.0f + e);
}

static inline float cn__tanh(float x)
{
    float e = cn__expm1_of_negative(-2.0f * cn__absolute(x));
    float y = -e / (2.0f + e);
    return x < 0.0f ? -y : y;
}

static inline float cn__softplus(float x)
{
    return (x > 0.0f ? x : 0.0f) + cn__log1p_of_fraction(cn__exp(-cn__absolute(x)));
}

/* The distribution function of the normal distribution, (1 + erf(x / sqrt 2)) / 2.
 * With z = |x| / sqrt 2, erfc(z) = exp(-z P(z)); P is a polynomial up to z = 4 (error of erf below
 * 4.2e-10) and goes on as a straight line, where erfc is below 2e-8. */
static inline float cn__normal(float x)
{
    float z = cn__absolute(x) * 0.707106781f;
    float w = cn__at_most(z, 4.0f);
    float g = 1.19329650e-6f;
    g = g * w - 2.13545791e-5f;
    g = g * w + 1.67480917e-4f;
    g = g * w - 7.40685908e-4f;
    g = g * w + 1.79935386e-3f;
    g = g * w - 2.53061095e-4f;
    g = g * w - 1.91176943e-2f;
    g = g * w + 1.02771275e-1f;
    g = g * w + 6.36619806e-1f;
    g = g * w + 1.12837923f;
    float tail = 0.5f * cn__exp(-z * (g + (z - w)));
    return x < 0.0f ? tail : 1.0f - tail;
}

#endif
