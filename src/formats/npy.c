/* NumPy's array format: a magic, a version, a Python dictionary as text, the elements. Described in
 * the documentation of numpy.lib.format. */
#include "formats/npy.h"
#include "formats/file.h"

#include "cornu/formats.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#define MAGIC "\x93NUMPY"
#define MAGIC_SIZE 6

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define NATIVE_ORDER '<'
#else
#define NATIVE_ORDER '>'
#endif

typedef struct header {
    char order; /* '<' little endian, '>' big endian */
    char kind;  /* 'f', 'i', 'u', or 'b' for bool */
    int bytes;  /* of an element */
    bool fortran;
    cn_shape shape;
    int64_t count;
    size_t offset; /* of the first element */
} header;

/* ---- the dictionary ---- */

typedef struct cursor {
    const char *at, *end;
} cursor;

static void skip_blanks(cursor *c)
{
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\n' || *c->at == '\t'))
        c->at++;
}

static bool accept(cursor *c, char wanted)
{
    skip_blanks(c);
    if (c->at == c->end || *c->at != wanted)
        return false;
    c->at++;
    return true;
}

/* A string in single or double quotes, without escapes, that fits `text`. */
static bool parse_string(cursor *c, char *text, size_t size)
{
    char quote = accept(c, '\'') ? '\'' : '"';
    if (quote == '"' && !accept(c, '"'))
        return false;
    const char *stop = memchr(c->at, quote, (size_t)(c->end - c->at));
    if (!stop || (size_t)(stop - c->at) >= size)
        return false;
    memcpy(text, c->at, (size_t)(stop - c->at));
    text[stop - c->at] = '\0';
    c->at = stop + 1;
    return true;
}

static bool parse_extent(cursor *c, int64_t *extent)
{
    skip_blanks(c);
    const char *start = c->at;
    *extent = 0;
    for (; c->at < c->end && *c->at >= '0' && *c->at <= '9'; c->at++)
        if (__builtin_mul_overflow(*extent, 10, extent) ||
            __builtin_add_overflow(*extent, *c->at - '0', extent))
            return false;
    bool digits = c->at > start;
    (void)accept(c, 'L'); /* Python 2 wrote long integers so */
    return digits;
}

static cn_status parse_shape(cursor *c, header *h)
{
    h->shape = (cn_shape){0};
    if (!accept(c, '('))
        return cn__fail(CN_ERROR_FORMAT, "npy: 'shape' must be a tuple");
    while (!accept(c, ')')) {
        int64_t extent;
        if (!parse_extent(c, &extent))
            return cn__fail(CN_ERROR_FORMAT, "npy: 'shape' must hold integers from 0 to 2^63 - 1");
        if (h->shape.rank == CN_MAX_RANK)
            return cn__fail(CN_ERROR_UNSUPPORTED, "npy: the array has more than %d axes",
                            CN_MAX_RANK);
        h->shape.dim[h->shape.rank++] = extent;
        if (!accept(c, ',') && (c->at == c->end || *c->at != ')'))
            return cn__fail(CN_ERROR_FORMAT, "npy: 'shape' must be a tuple");
    }
    h->count = cn_shape_count(&h->shape);
    return CN_OK;
}

static cn_status parse_order(cursor *c, header *h)
{
    static const char *const words[] = {"False", "True"};
    skip_blanks(c);
    for (size_t i = 0; i < CN__COUNT(words); i++) {
        size_t length = strlen(words[i]);
        if ((size_t)(c->end - c->at) < length || memcmp(c->at, words[i], length) != 0)
            continue;
        c->at += length;
        h->fortran = i == 1;
        return CN_OK;
    }
    return cn__fail(CN_ERROR_FORMAT, "npy: 'fortran_order' must be True or False");
}

static cn_status parse_descr(cursor *c, header *h)
{
    static const char types[][3] = {"f2", "f4", "f8", "b1", "i1", "i2",
                                    "i4", "i8", "u1", "u2", "u4", "u8"};
    char text[16];
    if (!parse_string(c, text, sizeof text))
        return cn__fail(CN_ERROR_UNSUPPORTED,
                        "npy: 'descr' is not the name of a number type; structured arrays are not "
                        "supported");
    size_t prefix = text[0] && strchr("<>|=", text[0]) ? 1 : 0;
    for (size_t i = 0; i < CN__COUNT(types); i++) {
        if (strcmp(text + prefix, types[i]) != 0)
            continue;
        h->order = text[0] == '<' || text[0] == '>' ? text[0] : NATIVE_ORDER;
        h->kind = types[i][0];
        h->bytes = types[i][1] - '0';
        return CN_OK;
    }
    return cn__fail(CN_ERROR_UNSUPPORTED,
                    "npy: elements of type '%s' are not supported; f2, f4, f8, b1, i1 to i8 and u1 "
                    "to u8 are",
                    text);
}

static cn_status parse_dictionary(cursor c, header *h)
{
    static const struct {
        const char *key;
        cn_status (*parse)(cursor *c, header *h);
    } entries[] = {{"descr", parse_descr}, {"fortran_order", parse_order}, {"shape", parse_shape}};
    unsigned seen = 0;
    bool open = accept(&c, '{');
    while (open && !accept(&c, '}')) {
        char key[16];
        if (!parse_string(&c, key, sizeof key) || !accept(&c, ':'))
            return cn__fail(CN_ERROR_FORMAT, "npy: the header is not a dictionary");
        size_t i = 0;
        while (i < CN__COUNT(entries) && strcmp(key, entries[i].key) != 0)
            i++;
        if (i == CN__COUNT(entries) || seen & 1u << i)
            return cn__fail(CN_ERROR_FORMAT, "npy: the header has an unknown or repeated key '%s'",
                            key);
        CN__TRY(entries[i].parse(&c, h));
        seen |= 1u << i;
        if (!accept(&c, ',') && (c.at == c.end || *c.at != '}'))
            return cn__fail(CN_ERROR_FORMAT, "npy: the header is not a dictionary");
    }
    if (seen != (1u << CN__COUNT(entries)) - 1)
        return cn__fail(CN_ERROR_FORMAT,
                        "npy: the header must have 'descr', 'fortran_order' and 'shape'");
    return CN_OK;
}

/* ---- the header ---- */

/* Version 1 counts the dictionary's bytes in 2 bytes, versions 2 and 3 in 4, little endian. */
static cn_status parse_header(const unsigned char *bytes, size_t size, header *h)
{
    if (size < MAGIC_SIZE + 2 || memcmp(bytes, MAGIC, MAGIC_SIZE) != 0)
        return cn__fail(CN_ERROR_FORMAT, "npy: not an npy: it does not begin with \\x93NUMPY");
    int version = bytes[MAGIC_SIZE];
    if (version < 1 || version > 3)
        return cn__fail(CN_ERROR_UNSUPPORTED, "npy: version %d; 1 to 3 are supported", version);
    size_t start = MAGIC_SIZE + 2 + (version == 1 ? 2 : 4);
    if (size < start)
        return cn__fail(CN_ERROR_FORMAT, "npy: cut short in its header");
    size_t length = 0;
    for (size_t i = start; i > MAGIC_SIZE + 2; i--)
        length = length << 8 | bytes[i - 1];
    if (length > CN__NPY_MAX_HEADER - start)
        return cn__fail(CN_ERROR_UNSUPPORTED, "npy: a header of %zu bytes; at most %d are read",
                        length, CN__NPY_MAX_HEADER);
    if (length > size - start)
        return cn__fail(CN_ERROR_FORMAT, "npy: cut short in its header");
    const char *text = (const char *)bytes + start;
    h->offset = start + length;
    CN__TRY(parse_dictionary((cursor){text, text + length}, h));
    h->fortran = h->fortran && h->count > 1;
    return CN_OK;
}

/* The number of bytes that the header calls for. */
static cn_status total_size(const header *h, size_t *total)
{
    if (h->count < 0 || __builtin_mul_overflow((uint64_t)h->count, (uint64_t)h->bytes, total) ||
        __builtin_add_overflow(*total, h->offset, total)) {
        char text[200];
        return cn__fail(CN_ERROR_FORMAT, "npy: no file can hold an array of shape %s",
                        cn_shape_text(&h->shape, text, sizeof text));
    }
    return CN_OK;
}

cn_status cn__npy_size(const void *bytes, size_t size, size_t *total)
{
    header h = {0};
    CN__TRY(parse_header(bytes, size, &h));
    return total_size(&h, total);
}

/* ---- the elements ---- */

static uint64_t load_bits(const unsigned char *bytes, const header *h)
{
    uint64_t bits = 0;
    for (int i = 0; i < h->bytes; i++)
        bits = bits << 8 | bytes[h->order == '<' ? h->bytes - 1 - i : i];
    return bits;
}

/* IEEE 754 binary16: 1 sign, 5 exponent and 10 fraction bits. */
static float float_of_half(uint64_t bits)
{
    int exponent = (int)(bits >> 10 & 31), fraction = (int)(bits & 1023);
    float magnitude;
    if (exponent == 31)
        magnitude = fraction ? NAN : INFINITY;
    else if (exponent == 0)
        magnitude = ldexpf((float)fraction, -24);
    else
        magnitude = ldexpf((float)(1024 + fraction), exponent - 25);
    return bits >> 15 ? -magnitude : magnitude;
}

static int64_t sign_extend(uint64_t bits, int bytes)
{
    uint64_t sign = (uint64_t)1 << (8 * bytes - 1);
    return (int64_t)((bits ^ sign) - sign);
}

static float float_of(uint64_t bits, const header *h)
{
    if (h->kind == 'i')
        return (float)sign_extend(bits, h->bytes);
    if (h->kind != 'f')
        return (float)bits;
    if (h->bytes == 2)
        return float_of_half(bits);
    if (h->bytes == 8) {
        double wide;
        memcpy(&wide, &bits, sizeof wide);
        return (float)wide;
    }
    uint32_t low = (uint32_t)bits;
    float value;
    memcpy(&value, &low, sizeof value);
    return value;
}

/* False if the value does not fit. */
static bool int_of(uint64_t bits, const header *h, int32_t *value)
{
    int64_t wide = h->kind == 'i' ? sign_extend(bits, h->bytes) : (int64_t)bits;
    if (h->kind == 'b')
        wide = bits != 0;
    *value = (int32_t)wide;
    bool wrapped = h->kind == 'u' && wide < 0;
    return wide == *value && !wrapped;
}

/* Walks a row-major array in the order of the file: in Fortran order the first axis is fastest. */
typedef struct walk {
    int64_t index[CN_MAX_RANK], stride[CN_MAX_RANK];
    int64_t at;
} walk;

static walk walk_start(const header *h)
{
    walk w = {.at = 0};
    int64_t stride = 1;
    for (int i = h->shape.rank - 1; h->fortran && i >= 0; i--) {
        w.stride[i] = stride;
        stride *= h->shape.dim[i];
    }
    return w;
}

/* The place of the next element. */
static int64_t walk_on(walk *w, const header *h)
{
    int64_t place = w->at;
    if (!h->fortran)
        w->at++;
    for (int i = 0; h->fortran && i < h->shape.rank; i++) {
        w->at += w->stride[i];
        if (++w->index[i] < h->shape.dim[i])
            break;
        w->at -= w->stride[i] * h->shape.dim[i];
        w->index[i] = 0;
    }
    return place;
}

static cn_array *read_floats(const header *h, const unsigned char *bytes)
{
    cn_array *array = cn_array_new(CN_FLOAT32, &h->shape);
    if (!array)
        return NULL;
    float *values = cn_array_floats(array);
    if (h->kind == 'f' && h->bytes == 4 && h->order == NATIVE_ORDER && !h->fortran) {
        memcpy(values, bytes, (size_t)h->count * sizeof *values);
        return array;
    }
    walk w = walk_start(h);
    for (int64_t i = 0; i < h->count; i++, bytes += h->bytes)
        values[walk_on(&w, h)] = float_of(load_bits(bytes, h), h);
    return array;
}

/* Gives up with `*fits` false at the first value that does not fit. */
static cn_array *read_ints(const header *h, const unsigned char *bytes, bool *fits)
{
    cn_array *array = cn_array_new(CN_INT32, &h->shape);
    if (!array)
        return NULL;
    int32_t *values = cn_array_ints(array);
    walk w = walk_start(h);
    for (int64_t i = 0; *fits && i < h->count; i++, bytes += h->bytes)
        *fits = int_of(load_bits(bytes, h), h, &values[walk_on(&w, h)]);
    return array;
}

cn_array *cn__npy_parse(const void *bytes, size_t size)
{
    header h = {0};
    size_t total = 0;
    if (parse_header(bytes, size, &h) != CN_OK || total_size(&h, &total) != CN_OK)
        return NULL;
    if (total != size)
        return cn__fail_null(CN_ERROR_FORMAT, "npy: the header calls for %zu bytes, there are %zu",
                             total, size);
    const unsigned char *elements = (const unsigned char *)bytes + h.offset;
    if (h.kind == 'f')
        return read_floats(&h, elements);
    bool fits = true;
    cn_array *array = read_ints(&h, elements, &fits);
    if (fits)
        return array;
    cn_array_free(array);
    return read_floats(&h, elements);
}

cn_array *cn_npy_read(const char *path)
{
    if (!path)
        return (void)cn__fail_null_argument("cn_npy_read"), NULL;
    void *bytes;
    size_t size;
    if (cn__file_read(path, PTRDIFF_MAX, &bytes, &size) != CN_OK)
        return NULL;
    cn_array *array = cn__npy_parse(bytes, size);
    if (!array)
        (void)cn__fail_within("%s", path);
    cn__free(bytes);
    return array;
}

/* ---- writing ---- */

size_t cn__npy_header(const cn_array *array, char text[CN__NPY_HEADER_SPACE])
{
    char shape[200];
    (void)cn_shape_text(cn_array_shape(array), shape, sizeof shape);
    size_t start = MAGIC_SIZE + 4;
    size_t used =
        start + (size_t)snprintf(text + start, CN__NPY_HEADER_SPACE - start,
                                 "{'descr': '%c%s', 'fortran_order': False, 'shape': %s, }",
                                 NATIVE_ORDER, cn_array_dtype(array) == CN_FLOAT32 ? "f4" : "i4",
                                 shape);
    size_t total = (used + 1 + 63) / 64 * 64; /* blanks and a line feed fill it up */
    memset(text + used, ' ', total - used);
    text[total - 1] = '\n';
    memcpy(text, MAGIC "\x01\x00", MAGIC_SIZE + 2);
    text[MAGIC_SIZE + 2] = (char)((total - start) & 255);
    text[MAGIC_SIZE + 3] = (char)((total - start) >> 8);
    return total;
}

const void *cn__npy_elements(const cn_array *array, size_t *size)
{
    *size = (size_t)cn_array_count(array) * 4;
    if (cn_array_dtype(array) == CN_FLOAT32)
        return cn_array_const_floats(array);
    return cn_array_const_ints(array);
}

cn_status cn_npy_write(const char *path, const cn_array *array)
{
    if (!path || !array)
        return cn__fail_null_argument("cn_npy_write");
    cn__file_writer writer;
    CN__TRY(cn__file_create(&writer, path));
    char text[CN__NPY_HEADER_SPACE];
    (void)fwrite(text, 1, cn__npy_header(array, text), writer.stream);
    size_t size;
    const void *elements = cn__npy_elements(array, &size);
    (void)fwrite(elements, 1, size, writer.stream); /* cn__file_finish looks for errors */
    return cn__file_finish(&writer, CN_OK);
}
