/* IDX, the files of MNIST: two zeros, the elements' type, the number of axes, the extents (32 bits,
 * highest byte first), the elements (highest byte first). Often gzipped; zlib reads both. */
#include "formats/file.h"

#include "cornu/formats.h"

#include <string.h>
#include <zlib.h>

/* Memory grows by this much at first, and no faster than the elements come: what the header says
 * may be a lie. */
#define FIRST_CHUNK ((size_t)1 << 20)

/* ---- elements ---- */

static uint32_t word_of(const unsigned char *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static double value_u8(const unsigned char *bytes)
{
    return bytes[0];
}

static double value_i8(const unsigned char *bytes)
{
    return (int8_t)bytes[0];
}

static double value_i16(const unsigned char *bytes)
{
    return (int16_t)(bytes[0] << 8 | bytes[1]);
}

static double value_i32(const unsigned char *bytes)
{
    return (int32_t)word_of(bytes);
}

static double value_f32(const unsigned char *bytes)
{
    uint32_t bits = word_of(bytes);
    float value;
    memcpy(&value, &bits, sizeof value);
    return (double)value;
}

static double value_f64(const unsigned char *bytes)
{
    uint64_t bits = (uint64_t)word_of(bytes) << 32 | word_of(bytes + 4);
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static const struct type {
    unsigned char code;
    unsigned char size;
    bool whole;
    double (*value)(const unsigned char *bytes);
} types[] = {
    {0x08, 1, true, value_u8},  {0x09, 1, true, value_i8},   {0x0B, 2, true, value_i16},
    {0x0C, 4, true, value_i32}, {0x0D, 4, false, value_f32}, {0x0E, 8, false, value_f64},
};

static const struct type *type_of(unsigned char code)
{
    for (size_t i = 0; i < CN__COUNT(types); i++)
        if (types[i].code == code)
            return &types[i];
    return NULL;
}

/* Bytes with several axes are pictures. */
static cn_dtype dtype_of(const struct type *type, const cn_shape *shape)
{
    bool pictures = type->value == value_u8 && shape->rank > 1;
    return type->whole && !pictures ? CN_INT32 : CN_FLOAT32;
}

static cn_array *array_of(const struct type *type, const cn_shape *shape,
                          const unsigned char *bytes)
{
    cn_array *array = cn_array_new(dtype_of(type, shape), shape);
    int64_t count = cn_array_count(array);
    float *floats = cn_array_floats(array);
    int32_t *ints = cn_array_ints(array);
    for (int64_t i = 0; i < count; i++, bytes += type->size) {
        if (floats)
            floats[i] = (float)type->value(bytes);
        else
            ints[i] = (int32_t)type->value(bytes);
    }
    return array;
}

/* ---- the file ---- */

typedef struct source {
    gzFile file;
    const char *path;
} source;

/* Reads `size` bytes, fewer only at the end. */
static cn_status read_bytes(const source *s, void *bytes, size_t size, size_t *got)
{
    *got = gzfread(bytes, 1, size, s->file);
    int error;
    (void)gzerror(s->file, &error);
    if (error == Z_ERRNO)
        return cn__file_fail(s->path, "read");
    if (error == Z_MEM_ERROR)
        return cn__fail_memory("zlib", size);
    return error < 0 ? cn__fail(CN_ERROR_FORMAT, "%s: %s", s->path,
                                error == Z_BUF_ERROR ? "its compressed data are cut short"
                                                     : "its compressed data are broken")
                     : CN_OK;
}

static cn_status read_type(const source *s, const struct type **type, int *rank)
{
    unsigned char magic[4] = {0};
    size_t got;
    CN__TRY(read_bytes(s, magic, sizeof magic, &got));
    *type = type_of(magic[2]);
    if (got < sizeof magic || magic[0] != 0 || magic[1] != 0 || !*type)
        return cn__fail(CN_ERROR_FORMAT,
                        "%s: not an IDX file, which begins with two zeros and a type from 0x08 to "
                        "0x0E",
                        s->path);
    *rank = magic[3];
    if (*rank < 1 || *rank > CN_MAX_RANK)
        return cn__fail(CN_ERROR_FORMAT, "%s: has %d axes; 1 to %d are supported", s->path, *rank,
                        CN_MAX_RANK);
    return CN_OK;
}

static cn_status read_shape(const source *s, int rank, cn_shape *shape)
{
    unsigned char extents[4 * CN_MAX_RANK];
    size_t got;
    CN__TRY(read_bytes(s, extents, (size_t)rank * 4, &got));
    if (got < (size_t)rank * 4)
        return cn__fail(CN_ERROR_FORMAT, "%s: cut short within its header", s->path);
    *shape = (cn_shape){.rank = rank};
    for (int i = 0; i < rank; i++)
        shape->dim[i] = word_of(extents + 4 * i);
    int64_t count = cn_shape_count(shape);
    if (count >= 0 && count <= PTRDIFF_MAX / 16)
        return CN_OK;
    char text[200];
    return cn__fail(CN_ERROR_FORMAT, "%s: no array can have its shape %s", s->path,
                    cn_shape_text(shape, text, sizeof text));
}

static cn_status read_elements(const source *s, size_t size, unsigned char **bytes)
{
    size_t capacity = 0, used = 0, got;
    while (used < size) {
        size_t chunk = used > FIRST_CHUNK ? used : FIRST_CHUNK;
        chunk = size - used < chunk ? size - used : chunk;
        CN__TRY(cn__grow(bytes, &capacity, used, used + chunk, 1));
        CN__TRY(read_bytes(s, *bytes + used, chunk, &got));
        used += got;
        if (got < chunk)
            return cn__fail(CN_ERROR_FORMAT,
                            "%s: cut short: its header calls for %zu bytes of elements, it has %zu",
                            s->path, size, used);
    }
    char beyond;
    CN__TRY(read_bytes(s, &beyond, 1, &got));
    if (got)
        return cn__fail(CN_ERROR_FORMAT,
                        "%s: goes on after the %zu bytes of elements its header calls for", s->path,
                        size);
    return CN_OK;
}

static cn_array *read_array(const source *s)
{
    const struct type *type;
    int rank = 0;
    cn_shape shape;
    if (read_type(s, &type, &rank) != CN_OK || read_shape(s, rank, &shape) != CN_OK)
        return NULL;
    unsigned char *bytes = NULL;
    cn_array *array = NULL;
    if (read_elements(s, (size_t)cn_shape_count(&shape) * type->size, &bytes) == CN_OK)
        array = array_of(type, &shape, bytes);
    cn__free(bytes);
    return array;
}

cn_array *cn_idx_read(const char *path)
{
    if (!path)
        return (void)cn__fail_null_argument("cn_idx_read"), NULL;
    source s = {gzopen(path, "rbe"), path};
    if (!s.file)
        return (void)cn__file_fail(path, "open"), NULL;
    cn_array *array = read_array(&s);
    if (!array && cn_error_status() == CN_ERROR_MEMORY)
        (void)cn__fail_within("%s", path);
    (void)gzclose_r(s.file);
    return array;
}
