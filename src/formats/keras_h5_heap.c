/* Texts of variable length lie in heaps within an HDF5 file, and libhdf5 (at least to 1.10.8) reads
 * beyond a heap that tells wrong sizes. So the heaps are checked before it sees them. (HDF5 File
 * Format Specification 3.0, III.E, Disk Format: Level 1E - Global Heap.) */
#include "formats/keras_h5.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* The heap's signature and version, then 8 bytes of size, then objects: 2 bytes of number, 6 of no
 * matter here, 8 of size, the content, filled up to 8 bytes. Number 0 is free space, whose size
 * counts its own header. */
enum { HEAP_HEADER = 16, OBJECT_HEADER = 16, LEAST_HEAP = 4096 };
static const char signature[8] = {'G', 'C', 'O', 'L', 1, 0, 0, 0};

static uint64_t number_at(const unsigned char *bytes, int count)
{
    uint64_t number = 0;
    for (int i = count - 1; i >= 0; i--)
        number = number << 8 | bytes[i];
    return number;
}

static bool heap_is_sound(const unsigned char *heap, size_t room)
{
    if (room < LEAST_HEAP)
        return false;
    uint64_t size = number_at(heap + 8, 8), at = HEAP_HEADER;
    if (size < LEAST_HEAP || size > room)
        return false;
    while (size - at >= OBJECT_HEADER) {
        uint64_t content = number_at(heap + at + 8, 8), left = size - at;
        bool is_free = number_at(heap + at, 2) == 0;
        if (content > left || (is_free && content < OBJECT_HEADER))
            return false;
        uint64_t whole = is_free ? content : OBJECT_HEADER + (content + 7) / 8 * 8;
        if (whole > left)
            return false;
        at += whole;
    }
    return true;
}

/* The next heap from `at` on, NULL if there is none. */
static const unsigned char *find_heap(const unsigned char *at, const unsigned char *end)
{
    while (end - at >= (ptrdiff_t)sizeof signature) {
        at = memchr(at, signature[0], (size_t)(end - at) - sizeof signature + 1);
        if (at == NULL || memcmp(at, signature, sizeof signature) == 0)
            return at;
        at++;
    }
    return NULL;
}

cn_status cn__h5_check_heaps(const void *file, size_t size)
{
    const unsigned char *bytes = file, *end = bytes + size;
    for (const unsigned char *at = bytes; (at = find_heap(at, end)) != NULL; at++)
        if (!heap_is_sound(at, (size_t)(end - at)))
            return cn__fail(CN_ERROR_FORMAT, "the heap at byte %zu of the HDF5 file is broken",
                            (size_t)(at - bytes));
    return CN_OK;
}

cn_status cn__h5_check_file(const char *path, size_t *size)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    struct stat info;
    if (file < 0 || fstat(file, &info) != 0 || !S_ISREG(info.st_mode) || info.st_size == 0) {
        if (file >= 0)
            (void)close(file);
        return cn__fail(CN_ERROR_IO, "it cannot be opened, or is no regular file");
    }
    *size = (size_t)info.st_size;
    void *bytes = mmap(NULL, *size, PROT_READ, MAP_PRIVATE, file, 0);
    (void)close(file);
    if (bytes == MAP_FAILED)
        return cn__fail(CN_ERROR_IO, "its %zu bytes cannot be mapped into memory", *size);
    cn_status status = cn__h5_check_heaps(bytes, *size);
    (void)munmap(bytes, *size);
    return status;
}
