/* Masks of dropout. */
#include "ops/dropout.h"

#include "kernels/kernels.h"
#include "ops/split.h"

typedef struct job {
    uint64_t seed;
    float rate, kept;
    float *mask;
    int64_t count;
} job;

static void task(void *context, size_t index)
{
    const job *j = context;
    int64_t first = (int64_t)index * CN__CHUNK, count = cn__min(CN__CHUNK, j->count - first);
    cn__kernels_get()->random_mask(j->seed, (uint64_t)first, j->rate, j->kept, j->mask + first,
                                   count);
}

void cn__dropout_mask(uint64_t seed, float rate, float *mask, int64_t count, cn_pool *pool)
{
    job j = {seed, rate, rate < 1 ? 1 / (1 - rate) : 0, mask, count};
    cn__run_split(pool, task, &j, count, CN__CHUNK);
}
