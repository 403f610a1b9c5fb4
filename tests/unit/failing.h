/* An allocator that counts what is alive and fails at will. */
#ifndef CORNU_TESTS_FAILING_H
#define CORNU_TESTS_FAILING_H

#include "cornu/base.h"

#include <stdlib.h>
#include <string.h>

typedef struct counter {
    int alive;
    int until_failure; /* allocations left before all fail; negative: none fails */
} counter;

static inline void *counted_allocate(size_t size, size_t alignment, void *context)
{
    counter *c = context;
    if (c->until_failure == 0)
        return NULL;
    if (c->until_failure > 0)
        c->until_failure--;
    void *memory = NULL;
    if (posix_memalign(&memory, alignment, size) != 0)
        return NULL;
    memset(memory, 0xA5, size);
    c->alive++;
    return memory;
}

static inline void counted_release(void *memory, void *context)
{
    ((counter *)context)->alive--;
    free(memory);
}

/* Puts the counting allocator in force with the k-th allocation (from 0) failing, and those after
 * it; negative: none. */
static inline void fail_at(counter *c, int k)
{
    *c = (counter){.until_failure = k};
    cn_set_allocator(&(cn_allocator){counted_allocate, counted_release, c});
    cn_clear_error();
}

static inline int restore_allocator(void **state)
{
    (void)state;
    cn_set_allocator(NULL);
    cn_clear_error();
    return 0;
}

#endif
