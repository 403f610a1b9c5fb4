/* cornu/base.h - what every other part stands on: status codes and messages, shapes, arrays,
 * memory hooks, and threads.
 *
 * Conventions of the whole library:
 *
 * Errors: an action returns a cn_status. A constructor returns NULL when it fails, and returns NULL
 * when it is given a NULL that an earlier constructor returned, so that a chain of calls is checked
 * once, at its end. cn_error_message() then tells what failed: passing a NULL on does not change
 * it.
 *
 * Ownership: "get" functions lend; what "new", "copy", "load" and "read" functions return is the
 * caller's, to be released by the matching "free". Freeing NULL does nothing.
 *
 * Threads: every function may be called from any thread; one object must not be changed by one
 * thread while another uses it. The error message belongs to the calling thread.
 */
#ifndef CORNU_BASE_H
#define CORNU_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define CN_API __attribute__((visibility("default")))
#define CN_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define CN_API
#define CN_PRINTF(fmt, args)
#endif

/* ---- status ---- */

typedef enum cn_status {
    CN_OK = 0,
    CN_ERROR_ARGUMENT,    /* a wrong argument or option */
    CN_ERROR_SHAPE,       /* shapes that do not fit each other */
    CN_ERROR_MEMORY,      /* an allocation failed */
    CN_ERROR_IO,          /* a file cannot be opened, read or written */
    CN_ERROR_FORMAT,      /* a file is broken, or not of the kind it should be */
    CN_ERROR_UNSUPPORTED, /* correct, but not something Cornu does */
    CN_ERROR_NOT_FOUND    /* no layer, weight or member of that name */
} cn_status;

/* The name of a status, such as "shape error". Never NULL. */
CN_API const char *cn_status_name(cn_status status);

/* The message of this thread's latest failure: one line that names the thing, the rule, what was
 * received and, where there is one, what would work. "" if nothing failed since the last
 * cn_clear_error(). Lent until this thread's next failure. */
CN_API const char *cn_error_message(void);

/* The status of this thread's latest failure, CN_OK after cn_clear_error(). */
CN_API cn_status cn_error_status(void);

/* Forgets this thread's latest failure. */
CN_API void cn_clear_error(void);

/* The library's version, such as "0.1.0". */
CN_API const char *cn_version(void);

/* ---- memory ---- */

/* Where the library gets its memory. `allocate` returns `size` bytes aligned to `alignment` (a
 * power of two), or NULL; `release` takes back what `allocate` gave, never NULL. */
typedef struct cn_allocator {
    void *(*allocate)(size_t size, size_t alignment, void *context);
    void (*release)(void *memory, void *context);
    void *context;
} cn_allocator;

/* Makes the library take its memory from `allocator` (copied), or from the system again for NULL.
 * Call it while nothing of the library is alive: memory goes back to the allocator in force. */
CN_API void cn_set_allocator(const cn_allocator *allocator);

/* ---- shapes and arrays ---- */

#define CN_MAX_RANK 8

/* The extents of a tensor. In symbolic shapes an extent of -1 is not known yet (Keras' None). */
typedef struct cn_shape {
    int rank;
    int64_t dim[CN_MAX_RANK];
} cn_shape;

/* cn_shape_of(2, 3, 4) is the shape (2, 3, 4). */
#define cn_shape_of(...)                                                                           \
    cn_shape_of_((int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)),                        \
                 (const int64_t[]){__VA_ARGS__})
CN_API cn_shape cn_shape_of_(int rank, const int64_t *dims);

/* The number of elements, -1 if an extent is unknown or the product does not fit an int64_t. */
CN_API int64_t cn_shape_count(const cn_shape *shape);

/* True if both have the same rank and extents. */
CN_API bool cn_shape_equal(const cn_shape *a, const cn_shape *b);

/* Writes "(2, None, 4)" into `text` of `size` bytes and returns `text`. */
CN_API char *cn_shape_text(const cn_shape *shape, char *text, size_t size);

typedef enum cn_dtype { CN_FLOAT32 = 0, CN_INT32 } cn_dtype;

/* A dense array in row-major order, with its memory. */
typedef struct cn_array cn_array;

/* A new array of zeros. NULL if an extent is negative or memory is short. */
CN_API cn_array *cn_array_new(cn_dtype dtype, const cn_shape *shape);
/* A new float32 array of `shape` filled from `values` (zeros for NULL). */
CN_API cn_array *cn_array_from(const cn_shape *shape, const float *values);
CN_API cn_array *cn_array_copy(const cn_array *array);
CN_API void cn_array_free(cn_array *array);
CN_API cn_dtype cn_array_dtype(const cn_array *array);
CN_API const cn_shape *cn_array_shape(const cn_array *array);
CN_API int64_t cn_array_count(const cn_array *array);
/* The elements, aligned to 64 bytes. NULL if the array is not of that type. */
CN_API float *cn_array_floats(cn_array *array);
CN_API const float *cn_array_const_floats(const cn_array *array);
CN_API int32_t *cn_array_ints(cn_array *array);
CN_API const int32_t *cn_array_const_ints(const cn_array *array);
/* Gives the array another shape with the same number of elements. */
CN_API cn_status cn_array_reshape(cn_array *array, const cn_shape *shape);

/* A list of arrays, lent for the call: cn_arrays(images, labels). */
typedef struct cn_array_list {
    int count;
    const cn_array *const *items;
} cn_array_list;
#define cn_arrays(...)                                                                             \
    ((cn_array_list){(int)(sizeof((const cn_array *[]){__VA_ARGS__}) / sizeof(cn_array *)),        \
                     (const cn_array *[]){__VA_ARGS__}})

/* ---- threads ---- */

/* A pool of threads. Functions that compute take one; NULL means the calling thread alone. Results
 * have the same bits for any number of threads. A pool may be used by several threads at a time:
 * they take turns. */
typedef struct cn_pool cn_pool;

/* A pool of `threads` threads, the caller among them; 0 means CORNU_NUM_THREADS, or else one for
 * each processor of the machine. */
CN_API cn_pool *cn_pool_new(int threads);
CN_API void cn_pool_free(cn_pool *pool);
/* The number of threads, 1 for NULL. */
CN_API int cn_pool_threads(const cn_pool *pool);

/* ---- processor ---- */

/* The instruction set the kernels in use were compiled for: "avx512", "avx2", "sse2", "neon" or
 * "generic". The best one the processor has, lowered by the environment variable CORNU_ISA. */
CN_API const char *cn_isa_name(void);

#ifdef __cplusplus
}
#endif

#endif
