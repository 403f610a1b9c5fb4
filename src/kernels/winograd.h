/* What the kernels of minimal filtering have in common: the points, and the way back from them. */
#ifndef CORNU_SRC_KERNELS_WINOGRAD_H
#define CORNU_SRC_KERNELS_WINOGRAD_H

#include "kernels/simd.h"

/* The points a and b, and their powers. */
#define A 0.75f
#define B 1.5f
#define A2 (A * A)
#define B2 (B * B)

#define INLINE static inline __attribute__((always_inline))

/* y[i] = sum over the points of p^i x; infinity belongs to the last. */
INLINE void output_line(const int n, const int taps, const cn__v *x, cn__v *y)
{
    const int m = n - taps + 1;
    if (n == 3) {
        y[0] = x[0] + x[1];
        y[1] = x[1] + x[2];
        return;
    }
    cn__v even_a = x[1] + x[2], odd_a = x[1] - x[2];
    if (n == 4) {
        y[0] = x[0] + even_a;
        y[1] = odd_a;
        if (m == 3)
            y[2] = even_a;
    } else {
        cn__v even_b = x[3] + x[4], odd_b = x[3] - x[4];
        y[0] = x[0] + even_a + even_b;
        y[1] = A * odd_a + B * odd_b;
        y[2] = A2 * even_a + B2 * even_b;
        y[3] = (A2 * A) * odd_a + (B2 * B) * odd_b;
        if (m == 5)
            y[4] = (A2 * A2) * even_a + (B2 * B2) * even_b;
    }
    y[m - 1] += x[n - 1];
}

#endif
