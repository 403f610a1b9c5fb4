/* Memory: the allocator hook, checked allocation, growing buffers, arenas. */
#include "base/base.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define ALIGNMENT 64 /* a cache line, and the longest vector */

/* ---- the hook ---- */

/* Large blocks are asked for in large pages where the system has them (transparent huge pages):
 * their contents are walked through in an order that spends many entries of the page tables' cache.
 */
enum { large_page = 2 << 20, large_block = 4 << 20 };

static void *system_allocate(size_t size, size_t alignment, void *context)
{
    (void)context;
    if (size >= large_block)
        alignment = large_page;
    size_t rounded = (size + alignment - 1) / alignment * alignment;
    void *memory = aligned_alloc(alignment, rounded);
#ifdef MADV_HUGEPAGE
    if (memory != NULL && size >= large_block)
        (void)madvise(memory, rounded, MADV_HUGEPAGE);
#endif
    return memory;
}

static void system_release(void *memory, void *context)
{
    (void)context;
    free(memory);
}

static const cn_allocator system_allocator = {system_allocate, system_release, NULL};
static cn_allocator current = {system_allocate, system_release, NULL};

void cn_set_allocator(const cn_allocator *allocator)
{
    current = allocator ? *allocator : system_allocator;
}

/* ---- allocation ---- */

void *cn__alloc(size_t size)
{
    void *memory = NULL;
    if (size <= PTRDIFF_MAX - ALIGNMENT)
        memory = current.allocate(size ? size : 1, ALIGNMENT, current.context);
    if (!memory)
        (void)cn__fail_memory("allocation", size);
    return memory;
}

void *cn__calloc(size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes))
        return cn__fail_null(CN_ERROR_MEMORY, "allocation: no memory for %zu elements of %zu bytes",
                             count, size);
    void *memory = cn__alloc(bytes);
    if (memory)
        memset(memory, 0, bytes);
    return memory;
}

void cn__free(void *memory)
{
    if (memory)
        current.release(memory, current.context);
}

/* `memory` is the address of a pointer of any type, hence read and written with memcpy. */
cn_status cn__grow(void *memory, size_t *capacity, size_t used, size_t needed, size_t size)
{
    if (needed <= *capacity)
        return CN_OK;
    size_t count = *capacity > SIZE_MAX / 2 ? needed : 2 * *capacity;
    if (count < needed)
        count = needed;
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes))
        return cn__fail(CN_ERROR_MEMORY, "allocation: no memory for %zu elements of %zu bytes",
                        count, size);
    void *grown = cn__alloc(bytes);
    if (!grown)
        return CN_ERROR_MEMORY;
    void *old;
    memcpy(&old, memory, sizeof old);
    if (used)
        memcpy(grown, old, used * size);
    cn__free(old);
    memcpy(memory, &grown, sizeof grown);
    *capacity = count;
    return CN_OK;
}

char *cn__strdup(const char *text)
{
    if (!text)
        return (void)cn__fail_null_argument("cn__strdup"), NULL;
    size_t size = strlen(text) + 1;
    char *copy = cn__alloc(size);
    return copy ? memcpy(copy, text, size) : NULL;
}

/* ---- arena ---- */

#define CHUNK_SIZE ((size_t)16 << 10)
#define PIECE_ALIGNMENT _Alignof(max_align_t)

typedef struct chunk {
    struct chunk *next;
    size_t used, size; /* of bytes */
    _Alignas(max_align_t) unsigned char bytes[];
} chunk;

/* Pieces come from the first chunk; the others are full, or came with cn__arena_absorb. */
struct cn__arena {
    chunk *chunks;
};

cn__arena *cn__arena_new(void)
{
    return cn__calloc(1, sizeof(cn__arena));
}

void cn__arena_free(cn__arena *arena)
{
    if (!arena)
        return;
    while (arena->chunks) {
        chunk *next = arena->chunks->next;
        cn__free(arena->chunks);
        arena->chunks = next;
    }
    cn__free(arena);
}

/* A chunk with room for `size` bytes. One made for a single large piece goes behind the first,
 * whose room is still good. */
static chunk *add_chunk(cn__arena *arena, size_t size)
{
    size_t room = size > CHUNK_SIZE / 4 ? size : CHUNK_SIZE;
    chunk *added = cn__alloc(sizeof(chunk) + room);
    if (!added)
        return NULL;
    *added = (chunk){.size = room};
    chunk **place = room == size && arena->chunks ? &arena->chunks->next : &arena->chunks;
    added->next = *place;
    *place = added;
    return added;
}

void *cn__arena_alloc(cn__arena *arena, size_t size)
{
    if (!arena)
        return (void)cn__fail_null_argument("cn__arena_alloc"), NULL;
    if (size > PTRDIFF_MAX / 2)
        return (void)cn__fail_memory("arena", size), NULL;
    size_t rounded = (size + PIECE_ALIGNMENT - 1) / PIECE_ALIGNMENT * PIECE_ALIGNMENT;
    chunk *from = arena->chunks;
    if (!from || from->size - from->used < rounded)
        from = add_chunk(arena, rounded);
    if (!from)
        return NULL;
    void *piece = from->bytes + from->used;
    from->used += rounded;
    return memset(piece, 0, size);
}

void *cn__arena_copy(cn__arena *arena, const void *source, size_t size)
{
    void *copy = cn__arena_alloc(arena, size);
    if (copy && size)
        memcpy(copy, source, size);
    return copy;
}

char *cn__arena_strdup(cn__arena *arena, const char *text)
{
    if (!text)
        return (void)cn__fail_null_argument("cn__arena_strdup"), NULL;
    return cn__arena_copy(arena, text, strlen(text) + 1);
}

char *cn__arena_printf(cn__arena *arena, const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    char *text = NULL;
    if (length < 0)
        (void)cn__fail(CN_ERROR_ARGUMENT, "cn__arena_printf: the text cannot be formatted");
    else
        text = cn__arena_alloc(arena, (size_t)length + 1);
    if (text)
        (void)vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    va_end(arguments);
    return text;
}

void cn__arena_absorb(cn__arena *target, cn__arena *source)
{
    if (!source || source == target)
        return;
    chunk **last = &target->chunks;
    while (*last)
        last = &(*last)->next;
    *last = source->chunks;
    source->chunks = NULL;
    cn__arena_free(source);
}
