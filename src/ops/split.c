/* Tasks that share a few pieces of working memory. */
#include "ops/split.h"

#include <stdatomic.h>

typedef struct queue {
    cn__slot_task task;
    void *context;
    int64_t tasks;
    _Atomic int64_t next; /* the next task that nobody has taken */
} queue;

/* Takes tasks until there are none left: there are as many workers as slots. */
static void work(void *context, size_t slot)
{
    queue *q = context;
    for (;;) {
        int64_t task = atomic_fetch_add_explicit(&q->next, 1, memory_order_relaxed);
        if (task >= q->tasks)
            return;
        q->task(q->context, task, (int64_t)slot);
    }
}

void cn__run_slots(cn_pool *pool, cn__slot_task task, void *context, int64_t tasks, int64_t slots)
{
    queue q = {.task = task, .context = context, .tasks = tasks};
    atomic_init(&q.next, 0);
    cn__pool_run(pool, work, &q, (size_t)slots);
}
