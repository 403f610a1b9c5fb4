/* The FMA peak: a positive number, for the calling thread and for a pool. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "cornu/ops.h"

static void test_peak(void **state)
{
    (void)state;
    cn_pool *pool = cn_pool_new(2);
    cn_pool *const pools[] = {NULL, pool};
    for (int i = 0; i < 2; i++) {
        double peak = cn_peak_flops(pools[i]);
        assert_true(isfinite(peak) && peak > 0);
    }
    cn_pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_peak)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
