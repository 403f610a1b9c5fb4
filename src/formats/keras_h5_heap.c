/* Texts of variable length in HDF5 files. An attribute holds references to them; the texts lie in
 * heaps within the file. libhdf5 (at least to 1.10.8) trusts both: it writes as much as the heap
 * says into memory of the size that the reference says, and looks up numbers that the heap has not.
 * So libhdf5 gives the references only, by a conversion that leaves them as they are, and the heaps
 * are read here. (HDF5 File Format Specification 3.0, III.E, Disk Format: Level 1E - Global Heap,
 * and VIII, References.) */
#include "formats/keras_h5.h"

#include <string.h>
#include <sys/stat.h>

/* A reference in the file: 4 bytes of length, 8 of the heap's address, 4 of the object's number.
 * A heap: signature, version, 3 bytes of no matter, 8 of size, then objects: 2 bytes of number, 6
 * of no matter here, 8 of size, the content, filled up to 8 bytes. Number 0 is free space, whose
 * size counts its own header. */
enum { REFERENCE = 16, HEAP_HEADER = 16, OBJECT_HEADER = 16, NUMBERS = 65536 };
static const char signature[5] = {'G', 'C', 'O', 'L', 1};

#define MOST_HEAP ((size_t)64 << 20)     /* bytes of one heap */
#define MOST_HEAPS ((uint64_t)256 << 20) /* bytes of all heaps that an attribute makes us read */

static uint64_t number_at(const unsigned char *bytes, int count)
{
    uint64_t number = 0;
    for (int i = count - 1; i >= 0; i--)
        number = number << 8 | bytes[i];
    return number;
}

static cn_status fail_heap(uint64_t address, const char *rule)
{
    return cn__fail(CN_ERROR_FORMAT, "the heap at byte %llu of the HDF5 file %s",
                    (unsigned long long)address, rule);
}

/* ---- references ---- */

/* libhdf5 finds the references in its buffer, and opaque bytes in their place. */
static herr_t leave(hid_t from, hid_t to, H5T_cdata_t *data, size_t count, size_t stride,
                    size_t background_stride, void *buffer, void *background, hid_t transfer)
{
    (void)count, (void)stride, (void)background_stride, (void)buffer, (void)background,
        (void)transfer;
    if (data->command == H5T_CONV_INIT)
        return H5Tget_size(from) == REFERENCE && H5Tget_size(to) == REFERENCE ? 0 : -1;
    return 0;
}

static cn_status read_as(hid_t attribute, hid_t opaque, unsigned char *bytes)
{
    static const char name[] = "references";
    hid_t type = H5Tcopy(H5T_C_S1);
    bool read = type >= 0 && H5Tset_size(type, H5T_VARIABLE) >= 0 &&
                H5Tregister(H5T_PERS_SOFT, name, type, opaque, leave) >= 0;
    if (read) {
        read = H5Aread(attribute, opaque, bytes) >= 0;
        (void)H5Tunregister(H5T_PERS_SOFT, name, type, opaque, leave);
    }
    if (type >= 0)
        (void)H5Tclose(type);
    return read ? CN_OK : cn__fail(CN_ERROR_FORMAT, "the references cannot be read");
}

cn_status cn__h5_read_references(hid_t attribute, size_t count, cn__h5_reference *references)
{
    unsigned char *bytes = cn__calloc(count, REFERENCE);
    if (bytes == NULL)
        return cn_error_status();
    hid_t opaque = H5Tcreate(H5T_OPAQUE, REFERENCE);
    cn_status status = opaque < 0 ? cn__fail(CN_ERROR_MEMORY, "libhdf5 has no memory for a type")
                                  : read_as(attribute, opaque, bytes);
    for (size_t i = 0; status == CN_OK && i < count; i++) {
        const unsigned char *at = bytes + i * REFERENCE;
        references[i] = (cn__h5_reference){number_at(at, 4), number_at(at + 4, 8),
                                           (unsigned)number_at(at + 12, 4)};
    }
    if (opaque >= 0)
        (void)H5Tclose(opaque);
    cn__free(bytes);
    return status;
}

/* ---- heaps ---- */

cn_status cn__h5_heap_open(const cn__h5 *h5, cn__h5_heap *heap)
{
    size_t of_address, of_size;
    hsize_t before = 0;
    *heap = (cn__h5_heap){.h5 = h5};
    hid_t plist = H5Fget_create_plist(h5->file);
    bool known = plist >= 0 && H5Pget_sizes(plist, &of_address, &of_size) >= 0 &&
                 H5Pget_userblock(plist, &before) >= 0;
    if (plist >= 0)
        (void)H5Pclose(plist);
    if (!known || of_address != 8 || of_size != 8)
        return cn__fail(CN_ERROR_UNSUPPORTED,
                        "the HDF5 file's addresses and sizes do not have 8 bytes");
    heap->base = before;
    heap->objects = cn__calloc(NUMBERS, sizeof *heap->objects);
    return heap->objects == NULL ? cn_error_status() : CN_OK;
}

void cn__h5_heap_close(cn__h5_heap *heap)
{
    cn__free(heap->bytes);
    cn__free(heap->objects);
    *heap = (cn__h5_heap){0};
}

/* Notes where the objects are. */
static bool find_objects(cn__h5_heap *heap)
{
    size_t at = HEAP_HEADER;
    memset(heap->objects, 0, NUMBERS * sizeof *heap->objects);
    while (heap->size - at >= OBJECT_HEADER) {
        uint64_t number = number_at(heap->bytes + at, 2), left = heap->size - at;
        uint64_t content = number_at(heap->bytes + at + 8, 8);
        if (content > left || (number == 0 && content < OBJECT_HEADER))
            return false;
        uint64_t whole = number == 0 ? content : OBJECT_HEADER + (content + 7) / 8 * 8;
        if (whole > left)
            return false;
        heap->objects[number] = (uint32_t)at;
        at += whole;
    }
    return true;
}

static cn_status load(cn__h5_heap *heap, uint64_t address)
{
    unsigned char header[HEAP_HEADER];
    uint64_t size, at;
    heap->size = 0;
    if (__builtin_add_overflow(address, heap->base, &at) ||
        !cn__h5_bytes(heap->h5, at, sizeof header, header) ||
        memcmp(header, signature, sizeof signature) != 0)
        return fail_heap(address, "is none");
    size = number_at(header + 8, 8);
    if (size < HEAP_HEADER || size > MOST_HEAP || size > heap->h5->size ||
        (heap->loaded += size) > MOST_HEAPS)
        return fail_heap(address, "tells a size that cannot be meant");
    CN__TRY(cn__grow(&heap->bytes, &heap->capacity, 0, (size_t)size, 1));
    if (!cn__h5_bytes(heap->h5, at, (size_t)size, heap->bytes))
        return fail_heap(address, "is cut short");
    heap->size = (size_t)size;
    heap->address = address;
    if (find_objects(heap))
        return CN_OK;
    heap->size = 0;
    return fail_heap(address, "is broken");
}

cn_status cn__h5_heap_text(cn__h5_heap *heap, const cn__h5_reference *r, const char **text,
                           size_t *length)
{
    *text = "";
    *length = 0;
    if (r->length == 0 || r->heap == 0)
        return CN_OK;
    if (heap->size == 0 || heap->address != r->heap)
        CN__TRY(load(heap, r->heap));
    size_t at = r->number > 0 && r->number < NUMBERS ? heap->objects[r->number] : 0;
    if (at == 0)
        return fail_heap(r->heap, "has not the text that is looked for");
    if (number_at(heap->bytes + at + 8, 8) != r->length)
        return fail_heap(r->heap, "has a text of another length than is looked for");
    *text = (const char *)heap->bytes + at + OBJECT_HEADER;
    *length = strnlen(*text, (size_t)r->length);
    return CN_OK;
}

/* ---- the file's bytes ---- */

cn_status cn__h5_open_bytes(const char *path, cn__h5 *h5)
{
    struct stat info;
    FILE *stream = fopen(path, "rbe");
    if (stream == NULL || fstat(fileno(stream), &info) != 0 || !S_ISREG(info.st_mode)) {
        if (stream != NULL)
            (void)fclose(stream);
        return cn__fail(CN_ERROR_IO, "it cannot be opened, or is no regular file");
    }
    h5->stream = stream;
    h5->size = (size_t)info.st_size;
    return CN_OK;
}

bool cn__h5_bytes(const cn__h5 *h5, uint64_t at, size_t count, void *bytes)
{
    if (at > h5->size || count > h5->size - at)
        return false;
    if (h5->stream == NULL) {
        memcpy(bytes, (const char *)cn__h5_image_bytes(h5) + at, count);
        return true;
    }
    return fseeko(h5->stream, (off_t)at, SEEK_SET) == 0 &&
           fread(bytes, 1, count, h5->stream) == count;
}
