/* Comparing what an operation computed with the double reference, and with itself on other threads.
 */
#ifndef CORNU_TESTS_COMPARE_H
#define CORNU_TESTS_COMPARE_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "support/random.h"

/* |y - exact| <= tolerance * max(|exact|, 1), or both NaN, or both the same infinity. */
static inline void assert_close(const char *what, const float *y, const double *exact,
                                int64_t count, double tolerance)
{
    for (int64_t i = 0; i < count; i++) {
        bool fine = isnan(exact[i])
                        ? isnan(y[i])
                        : (double)y[i] == exact[i] ||
                              fabs((double)y[i] - exact[i]) <= tolerance * fmax(fabs(exact[i]), 1);
        if (!fine)
            fail_msg("%s: element %lld of %lld is %.9g, not %.9g", what, (long long)i,
                     (long long)count, (double)y[i], exact[i]);
    }
}

static inline double *test_doubles(int64_t count)
{
    double *x = malloc((size_t)(count + 1) * sizeof *x);
    for (int64_t i = 0; i < count; i++)
        x[i] = 2 * cn__random_uniform(&test_random) - 1;
    return x;
}

/* A copy in double, to be released with free(). */
static inline double *widened(const float *x, int64_t count)
{
    double *y = malloc((size_t)(count + 1) * sizeof *y);
    for (int64_t i = 0; i < count; i++)
        y[i] = (double)x[i];
    return y;
}

/* Runs `compute(context, out, pool)` with 1, 2, 3 and 8 threads: the same bits in `count` floats.
 */
typedef void (*test_compute)(void *context, float *out, cn_pool *pool);

static inline void assert_same_bits(const char *what, test_compute compute, void *context,
                                    int64_t count)
{
    static const int threads[] = {1, 2, 3, 8};
    float *first = test_floats(count), *other = test_floats(count);
    compute(context, first, NULL);
    for (size_t i = 0; i < CN__COUNT(threads); i++) {
        cn_pool *pool = cn_pool_new(threads[i]);
        assert_non_null(pool);
        compute(context, other, pool);
        cn_pool_free(pool);
        if (memcmp(first, other, (size_t)count * sizeof *first) != 0)
            fail_msg("%s: other bits with %d threads", what, threads[i]);
    }
    free(first);
    free(other);
}

#endif
