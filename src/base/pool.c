/* Threads, over pthreadpool. */
#define _GNU_SOURCE /* sched_getaffinity */
#include "base/base.h"

#include <pthreadpool.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

/* pthreadpool does not check that its threads start; a count far above any machine's would hang. */
#define MAX_THREADS 1024

struct cn_pool {
    int threads;
    pthreadpool_t workers; /* NULL for one thread */
    uint32_t flags;
};

/* CORNU_NUM_THREADS, or 0 if it is not set to a positive number. */
static int threads_from_environment(void)
{
    const char *text = getenv("CORNU_NUM_THREADS");
    if (!text || !*text)
        return 0;
    char *end;
    long threads = strtol(text, &end, 10);
    if (*end || threads <= 0)
        return 0;
    return (int)cn__min(threads, MAX_THREADS);
}

/* The processors this process may use: in a container fewer than the machine has. */
static int threads_of_machine(void)
{
#ifdef __linux__
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        return (int)cn__max(CPU_COUNT(&set), 1);
#endif
    return (int)cn__min(cn__max(sysconf(_SC_NPROCESSORS_ONLN), 1), MAX_THREADS);
}

int cn__default_threads(void)
{
    int threads = threads_from_environment();
    return threads != 0 ? threads : threads_of_machine();
}

cn_pool *cn_pool_new(int threads)
{
    if (threads < 0 || threads > MAX_THREADS)
        return cn__fail_null(CN_ERROR_ARGUMENT,
                             "cn_pool_new: threads must be 0 (choose) to %d, not %d", MAX_THREADS,
                             threads);
    if (threads == 0)
        threads = cn__default_threads();
    cn_pool *pool = cn__calloc(1, sizeof *pool);
    if (!pool)
        return NULL;
    pool->threads = threads;
    /* Workers wait for the next work in a loop, which is quick, unless they take the processor from
     * one that has work left. */
    pool->flags = threads > threads_of_machine() ? PTHREADPOOL_FLAG_YIELD_WORKERS : 0;
    if (threads == 1)
        return pool;
    pool->workers = pthreadpool_create((size_t)threads);
    if (!pool->workers) {
        cn__free(pool);
        return cn__fail_null(CN_ERROR_MEMORY, "cn_pool_new: %d threads cannot be started", threads);
    }
    return pool;
}

void cn_pool_free(cn_pool *pool)
{
    if (!pool)
        return;
    if (pool->workers)
        pthreadpool_destroy(pool->workers);
    cn__free(pool);
}

int cn_pool_threads(const cn_pool *pool)
{
    return pool ? pool->threads : 1;
}

/* True while this thread runs a task: a pool cannot be entered again from within, since its workers
 * may all be waiting for this very task. */
static _Thread_local bool inside_task;

/* pthreadpool orders what its threads see, but a thread sanitizer cannot look into it; `order` says
 * the same where it can, at the cost of two atomic operations a task. */
typedef struct job {
    cn__task task;
    void *context;
    atomic_uint order;
} job;

static void run_one(void *context, size_t index)
{
    job *work = context;
    (void)atomic_load_explicit(&work->order, memory_order_acquire);
    inside_task = true;
    work->task(work->context, index);
    inside_task = false;
    (void)atomic_fetch_add_explicit(&work->order, 1, memory_order_release);
}

void cn__pool_run(cn_pool *pool, cn__task task, void *context, size_t count)
{
    if (!pool || !pool->workers || count <= 1 || inside_task) {
        for (size_t i = 0; i < count; i++)
            task(context, i);
        return;
    }
    job work = {.task = task, .context = context};
    atomic_store_explicit(&work.order, 1, memory_order_release);
    pthreadpool_parallelize_1d(pool->workers, run_one, &work, count, pool->flags);
    (void)atomic_load_explicit(&work.order, memory_order_acquire);
}
