/* How work is cut into tasks. The cuts depend on shapes alone, never on the number of threads, and
 * work of one task wakes no thread. */
#ifndef CORNU_SRC_OPS_SPLIT_H
#define CORNU_SRC_OPS_SPLIT_H

#include "base/base.h"

/* Values of a task: some microseconds of work. */
#define CN__CHUNK ((int64_t)16384)

/* How many of the units that take `values` each make a task; at least 1. */
static inline int64_t cn__units_per_task(int64_t values)
{
    return cn__max(CN__CHUNK / cn__max(values, 1), 1);
}

/* Runs `task` over `units`, `per_task` in each; task number i has to work on the units from
 * i * per_task on. */
static inline void cn__run_split(cn_pool *pool, cn__task task, void *context, int64_t units,
                                 int64_t per_task)
{
    cn__pool_run(pool, task, context, (size_t)cn__ceil_div(units, per_task));
}

/* Runs `task` for 0 to tasks - 1, each once, where no two of those that run at the same time have
 * the same slot, 0 to slots - 1: which one has no influence on results, it is working memory. */
typedef void (*cn__slot_task)(void *context, int64_t task, int64_t slot);
void cn__run_slots(cn_pool *pool, cn__slot_task task, void *context, int64_t tasks, int64_t slots);

#endif
