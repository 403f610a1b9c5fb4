/* What the processor could do at best, to compare operations with. */
#include <time.h>

#include "base/base.h"
#include "cornu/ops.h"
#include "kernels/kernels.h"

enum {
    runs = 3,
    rounds = 2000000 /* some 10 ms */
};

/* All threads do the same; one tells how much. */
static void peak_task(void *context, size_t index)
{
    double operations;
    volatile float sink = cn__kernels_get()->peak(rounds, &operations);
    (void)sink;
    if (index == 0)
        *(double *)context = operations;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double cn_peak_flops(cn_pool *pool)
{
    int threads = cn_pool_threads(pool);
    double best = 0;
    for (int i = 0; i < runs; i++) {
        double operations = 0, start = now();
        cn__pool_run(pool, peak_task, &operations, (size_t)threads);
        double rate = operations * threads / (now() - start);
        best = rate > best ? rate : best;
    }
    return best;
}
