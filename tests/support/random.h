/* Random numbers for tests. The seed is printed and can be set with CORNU_TEST_SEED. */
#ifndef CORNU_TESTS_RANDOM_H
#define CORNU_TESTS_RANDOM_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/base.h"

static cn__random test_random;

static inline void test_seed(void)
{
    const char *text = getenv("CORNU_TEST_SEED");
    test_random.seed = text != NULL ? strtoull(text, NULL, 10) : 20160601;
    test_random.counter = 0;
    printf("# seed %llu (set CORNU_TEST_SEED to change it)\n",
           (unsigned long long)test_random.seed);
}

/* A whole number from low to high, both included. */
static inline int64_t test_int(int64_t low, int64_t high)
{
    return low + (int64_t)(cn__random_bits(&test_random) % (uint64_t)(high - low + 1));
}

/* `count` numbers between -1 and 1, to be released with free(). */
static inline float *test_floats(int64_t count)
{
    float *x = malloc((size_t)(count + 1) * sizeof *x);
    for (int64_t i = 0; i < count; i++)
        x[i] = (float)(2 * cn__random_uniform(&test_random) - 1);
    return x;
}

#endif
