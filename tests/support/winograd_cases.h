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

/* Kernels with two taps at least along one of the last axes, in one to three dimensions, sometimes
 * in groups. An axis of the others may have any number of taps, also none for some phases. */
static inline cn_conv random_conv(bool transposed)
{
    int rank = test_int(0, 3) == 0 ? 3 : test_int(1, 2);
    cn_conv conv = {.rank = rank,
                    .batch = test_int(1, 2),
                    .in_channels = channels(),
                    .out_channels = channels(),
                    .groups = test_int(0, 3) == 0 ? 2 : 1};
    conv.in_channels *= conv.groups;
    conv.out_channels *= conv.groups;
    int filtered = test_int(rank > 1 ? rank - 2 : 0, rank - 1);
    for (int i = 0; i < rank; i++) {
        int64_t stride = test_int(1, 3);
        int64_t least = i == filtered ? stride + 1 : 1;
        conv.stride[i] = stride;
        conv.kernel[i] = test_int(least, rank == 3 ? least + 2 : 9);
        conv.in[i] = test_int(1, rank == 3 ? 6 : 12);
        conv.before[i] = test_int(-2, 4);
        conv.out[i] = test_int(transposed ? stride : 1, rank == 3 ? 8 : 14);
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
    static const int points[] = {3, 4, 6};
    const cn__kernels *tables[8];
    int isas = cn__kernels_all(tables);
    cn_pool *pool = cn_pool_new(2);
    test_seed();
    for (int i = 0; i < count; i++) {
        cn__kernels_use(tables[i / 3 % isas]);
        cn__winograd_prefer(points[i % 3]);
        check(i, i % 3 == 0 ? pool : NULL);
    }
    cn__winograd_prefer(0);
    cn__kernels_use(NULL);
    cn_pool_free(pool);
}

#endif
