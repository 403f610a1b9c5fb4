/* Vectors of the width the instruction set has, with GNU C's vector extensions. Only for files that
 * are compiled per instruction set. */
#ifndef CORNU_SRC_KERNELS_SIMD_H
#define CORNU_SRC_KERNELS_SIMD_H

#include <string.h>
#if defined(__AVX512F__)
#include <immintrin.h>
#endif

#include "kernels/kernels.h"

/* Before a loop with constant bounds that must be unrolled whole, so that arrays of vectors become
 * registers. */
#if defined(__clang__)
#define CN__UNROLL _Pragma("clang loop unroll(full)")
#else
#define CN__UNROLL _Pragma("GCC unroll 32")
#endif

/* The tiles: the most rows for 1, 2, 3 and 4 vectors. rows * vectors accumulators, `vectors`
 * weights and one broadcast value have to fit the registers, and the pointers of all rows the
 * general ones. The outer product has a single pointer: there one accumulator in memory is cheaper
 * than fewer rows. A tile of the filtered line has six accumulators for each vector. */
#if defined(__AVX512F__)
#define CN__LANES 16
#define CN__TILES(X) X(1, 12) X(2, 12) X(3, 9) X(4, 6)
#define CN__OUTERS(X) X(1, 12) X(2, 12) X(3, 9) X(4, 7)
#define CN__PRODUCTS(X) X(1, 24) X(2, 14) X(3, 9) X(4, 6)
#define CN__FILTERS(X) X(1, 4) X(2, 2)
#elif defined(__AVX2__)
#define CN__LANES 8
#define CN__TILES(X) X(1, 10) X(2, 6)
#define CN__OUTERS(X) CN__TILES(X)
#define CN__PRODUCTS(X) X(1, 12) X(2, 6) X(3, 4)
#define CN__FILTERS(X) X(1, 2)
#elif defined(__aarch64__)
#define CN__LANES 4
#define CN__TILES(X) X(1, 16) X(2, 12) X(3, 8) X(4, 6)
#define CN__OUTERS(X) CN__TILES(X)
#define CN__PRODUCTS(X) X(1, 24) X(2, 14) X(3, 9) X(4, 6)
#define CN__FILTERS(X) X(1, 4) X(2, 2)
#else
#define CN__LANES 4
#define CN__TILES(X) X(1, 10) X(2, 5)
#define CN__OUTERS(X) CN__TILES(X)
#define CN__PRODUCTS(X) CN__TILES(X)
#define CN__FILTERS(X) X(1, 2)
#endif

/* CN__UP_TO(n, X, v) is X(v, 1) ... X(v, n). */
#define CN__UP_TO(n, X, v) CN__PASTE2_(CN__UP_TO_, n)(X, v)
#define CN__PASTE2_(a, b) a##b
#define CN__UP_TO_4(X, v) X(v, 1) X(v, 2) X(v, 3) X(v, 4)
#define CN__UP_TO_5(X, v) CN__UP_TO_4(X, v) X(v, 5)
#define CN__UP_TO_6(X, v) CN__UP_TO_5(X, v) X(v, 6)
#define CN__UP_TO_7(X, v) CN__UP_TO_6(X, v) X(v, 7)
#define CN__UP_TO_8(X, v) CN__UP_TO_7(X, v) X(v, 8)
#define CN__UP_TO_9(X, v) CN__UP_TO_8(X, v) X(v, 9)
#define CN__UP_TO_10(X, v) CN__UP_TO_9(X, v) X(v, 10)
#define CN__UP_TO_12(X, v) CN__UP_TO_10(X, v) X(v, 11) X(v, 12)
#define CN__UP_TO_14(X, v) CN__UP_TO_12(X, v) X(v, 13) X(v, 14)
#define CN__UP_TO_16(X, v) CN__UP_TO_14(X, v) X(v, 15) X(v, 16)
#define CN__UP_TO_20(X, v) CN__UP_TO_16(X, v) X(v, 17) X(v, 18) X(v, 19) X(v, 20)
#define CN__UP_TO_24(X, v) CN__UP_TO_20(X, v) X(v, 21) X(v, 22) X(v, 23) X(v, 24)

typedef float cn__v __attribute__((vector_size(CN__LANES * sizeof(float))));
typedef int32_t cn__vi __attribute__((vector_size(CN__LANES * sizeof(float))));
/* The same, at any address. */
typedef float cn__vu
    __attribute__((vector_size(CN__LANES * sizeof(float)), aligned(sizeof(float)), may_alias));

static inline cn__v cn__load(const float *from)
{
    return *(const cn__vu *)from;
}

static inline void cn__store(float *to, cn__v value)
{
    *(cn__vu *)to = value;
}

/* The first `count` values of a vector. A masked store of all of them would be slower. */
static inline void cn__store_first(float *to, cn__v value, int64_t count)
{
    if (count == CN__LANES) {
        cn__store(to, value);
        return;
    }
#if defined(__AVX512F__)
    _mm512_mask_storeu_ps(to, (__mmask16)((1U << count) - 1), (__m512)value);
#else
    for (int64_t i = 0; i < count; i++)
        to[i] = value[i];
#endif
}

static inline cn__v cn__splat(float value)
{
    return value - (cn__v){0};
}

/* Keeps a value, or a pointer, in its register: otherwise the compiler loads a value again at each
 * use, and makes a pointer for each of many sums of strides. */
#if defined(__x86_64__)
#define CN__KEEP(value) __asm__("" : "+v"(value))
#elif defined(__aarch64__)
#define CN__KEEP(value) __asm__("" : "+w"(value))
#else
#define CN__KEEP(value) (void)0
#endif
#define CN__KEEP_POINTER(pointer) __asm__("" : "+r"(pointer))

/* mask ? a : b, lane by lane. */
static inline cn__v cn__select(cn__vi mask, cn__v a, cn__v b)
{
    return (cn__v)((mask & (cn__vi)a) | (~mask & (cn__vi)b));
}

/* NaN stays: minimum and maximum give their second operand then. */
static inline cn__v cn__clamped(cn__v x, cn__v low, cn__v high)
{
#if defined(__AVX512F__)
    return (cn__v)_mm512_min_ps((__m512)high, _mm512_max_ps((__m512)low, (__m512)x));
#else
    x = cn__select(x < low, low, x);
    return cn__select(x > high, high, x);
#endif
}

#endif
