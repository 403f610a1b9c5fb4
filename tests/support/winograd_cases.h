/* What the tests of minimal filtering share: convolutions that it can compute, and turns of all
 * instruction sets and numbers of points. */
#ifndef CORNU_TESTS_WINOGRAD_CASES_H
#define CORNU_TESTS_WINOGRAD_CASES_H

#include <math.h>

#include "kernels/kernels.h"
#include "ops/conv_winograd.h"
#include "support/random.h"

static const char name[] = "minimal filtering";

/* Around the lanes and tiles of every instruction set; the fewest are the lanes of AVX-512. */
static inline int64_t channels(void)
{
    static const int64_t some[] = {16, 17, 24, 31, 32, 33, 48, 65};
    return some[test_int(0, 7)];
}

/* All kernels that are cut into at most 3 parts of at most 3 taps on each axis, by phases and as
 * sums. A transposed convolution is a sum only if both strides are 1. */
static inline cn_conv random_conv(bool transposed)
{
    cn_conv conv = {
        .rank = 2, .batch = test_int(1, 2), .in_channels = channels(), .out_channels = channels()};
    static const int64_t least[] = {2, 3, 4}, most[] = {9, 6, 9};
    bool sum = !transposed || test_int(0, 2) == 0;
    for (int i = 0; i < 2; i++) {
        int64_t stride = transposed && sum ? 1 : test_int(transposed ? 2 : 1, 3);
        conv.stride[i] = stride;
        conv.kernel[i] = test_int(least[stride - 1], most[stride - 1]);
        conv.in[i] = test_int(1, 12);
        conv.before[i] = test_int(-2, 4);
        conv.out[i] = test_int(transposed ? stride : 1, transposed ? 20 : 14);
    }
    return conv;
}

static inline double largest(const double *x, int64_t count)
{
    double most = 0;
    for (int64_t i = 0; i < count; i++)
        most = fmax(most, fabs(x[i]));
    return most;
}

/* Every instruction set and number of points takes its turn. */
static inline void for_configurations(int count, void (*check)(int number, cn_pool *pool))
{
    const cn__kernels *tables[8];
    int isas = cn__kernels_all(tables);
    cn_pool *pool = cn_pool_new(2);
    test_seed();
    for (int i = 0; i < count; i++) {
        cn__kernels_use(tables[i / 2 % isas]);
        cn__winograd_prefer(i % 2 == 0 ? 4 : 6);
        check(i, i % 3 == 0 ? pool : NULL);
    }
    cn__winograd_prefer(0);
    cn__kernels_use(NULL);
    cn_pool_free(pool);
}

#endif
