/* Floor 0, for the library's own use: failing with a message, memory, arenas, threads, random
 * numbers. Functions that cross files are named cn__. */
#ifndef CORNU_SRC_BASE_H
#define CORNU_SRC_BASE_H

#include "cornu/base.h"

/* ---- status (status.c) ---- */

/* Records a failure with its one-line message and returns `status`, so that
 * `return cn__fail(CN_ERROR_SHAPE, "...", ...)` is the whole of an error path. */
cn_status cn__fail(cn_status status, const char *format, ...) CN_PRINTF(2, 3);

/* The same for constructors: returns NULL. */
#define cn__fail_null(...) ((void)cn__fail(__VA_ARGS__), NULL)

/* An allocation of `bytes` for `what` failed. */
cn_status cn__fail_memory(const char *what, size_t bytes);

/* Records that `where` was given a NULL, unless a failure is on record already: then the NULL is
 * what that failure returned, and its message is the one to keep. Returns the status on record. */
cn_status cn__fail_null_argument(const char *where);

/* Puts "WHERE: " before the message on record and returns its status. */
cn_status cn__fail_within(const char *format, ...) CN_PRINTF(1, 2);

/* A failure, to be carried from one thread to another, or to be put back. */
typedef struct cn__failure {
    cn_status status;
    char message[1024];
} cn__failure;
void cn__failure_take(cn__failure *failure);
/* Puts it on record and returns its status. */
cn_status cn__failure_put(const cn__failure *failure);

/* Copies what the caller's header knew of an options struct of `size` bytes, whose first member is
 * size_; the rest becomes zero. `given` may be NULL. */
cn_status cn__take_options(const char *where, void *options, size_t size, const void *given);

/* Runs an expression of type cn_status and returns its value from the function if it failed. */
#define CN__TRY(expression)                                                                        \
    do {                                                                                           \
        cn_status try_status_ = (expression);                                                      \
        if (try_status_ != CN_OK)                                                                  \
            return try_status_;                                                                    \
    } while (0)

#define CN__COUNT(array) (sizeof(array) / sizeof((array)[0]))

static inline int64_t cn__min(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static inline int64_t cn__max(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* a / b rounded up, for positive b. */
static inline int64_t cn__ceil_div(int64_t a, int64_t b)
{
    return a / b + (a % b > 0);
}

/* ---- shapes (shape.c) ---- */

/* True for 0 to CN_MAX_RANK extents of -1 (unknown) or more. */
bool cn__shape_is_legal(const cn_shape *shape);
/* True if both may turn out to be the same shape: an unknown extent agrees with every other. */
bool cn__shapes_agree(const cn_shape *a, const cn_shape *b);

/* ---- memory (memory.c) ---- */

/* Memory aligned to 64 bytes, NULL (with a message on record) if there is none. A size of 0 gives
 * memory too. */
void *cn__alloc(size_t size);
/* `count` zeroed elements of `size` bytes; the product is checked. */
void *cn__calloc(size_t count, size_t size);
void cn__free(void *memory);
/* Grows the buffer `*memory` of `*capacity` elements of `size` bytes to at least `needed`; the
 * first `used` are kept. */
cn_status cn__grow(void *memory, size_t *capacity, size_t used, size_t needed, size_t size);
/* A copy of `text`, to be freed with cn__free. */
char *cn__strdup(const char *text);

/* An arena: many small pieces, given back together. */
typedef struct cn__arena cn__arena;
cn__arena *cn__arena_new(void);
void cn__arena_free(cn__arena *arena);
/* Zeroed memory that lives as long as the arena. */
void *cn__arena_alloc(cn__arena *arena, size_t size);
void *cn__arena_copy(cn__arena *arena, const void *source, size_t size);
char *cn__arena_strdup(cn__arena *arena, const char *text);
char *cn__arena_printf(cn__arena *arena, const char *format, ...) CN_PRINTF(2, 3);
/* Moves everything of `source` into `target` and frees `source`. */
void cn__arena_absorb(cn__arena *target, cn__arena *source);

/* ---- threads (pool.c) ---- */

/* Runs task(context, 0) ... task(context, count - 1), each once, on the pool's threads. */
typedef void (*cn__task)(void *context, size_t index);
void cn__pool_run(cn_pool *pool, cn__task task, void *context, size_t count);
/* The threads that cn_pool_new(0) starts. */
int cn__default_threads(void);

/* ---- random numbers (random.c) ---- */

/* Counter-based random numbers (Philox 4x32-10): the n-th number of a seed is the same whatever the
 * thread count or the order of asking. */
typedef struct cn__random {
    uint64_t seed;
    uint64_t counter;
} cn__random;
uint32_t cn__random_bits(cn__random *random);
/* In [0, 1). */
double cn__random_uniform(cn__random *random);
/* Mean 0, standard deviation 1. */
double cn__random_normal(cn__random *random);

#endif
