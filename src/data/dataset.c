/* Data sets: made of functions, of arrays, of parts of others. */
#include "data/data.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { element_size = 4 }; /* of either type */

struct cn_dataset {
    cn_dataset_source source;
    int64_t counts[CN_MOST_FIELDS]; /* of the elements of one sample */
};

/* ---- made of functions ---- */

static int fields_of(const cn_dataset *dataset)
{
    return dataset->source.inputs + dataset->source.targets;
}

/* Arrays and batches have one axis more than a sample. */
static cn_status check_field(const cn_dataset_source *source, int field, int64_t *count)
{
    const cn_shape *shape = &source->shapes[field];
    if (source->dtypes[field] != CN_FLOAT32 && source->dtypes[field] != CN_INT32)
        return cn__fail(CN_ERROR_ARGUMENT,
                        "a data set's field %d must be of type CN_FLOAT32 or CN_INT32, not %d",
                        field, (int)source->dtypes[field]);
    *count = cn_shape_count(shape);
    if (*count < 0 || shape->rank >= CN_MAX_RANK || *count > PTRDIFF_MAX / element_size) {
        char text[200];
        return cn__fail(CN_ERROR_SHAPE,
                        "a data set's field %d cannot have samples of the shape %s: they have at "
                        "most %d axes of known extents",
                        field, cn_shape_text(shape, text, sizeof text), CN_MAX_RANK - 1);
    }
    return CN_OK;
}

static cn_status check_source(const cn_dataset_source *source, int64_t *counts)
{
    if (source->inputs < 1 || source->targets < 0 || source->inputs > CN_MOST_FIELDS ||
        source->targets > CN_MOST_FIELDS - source->inputs)
        return cn__fail(CN_ERROR_ARGUMENT,
                        "a data set must have at least 1 input and at most %d inputs and targets, "
                        "not %d and %d",
                        CN_MOST_FIELDS, source->inputs, source->targets);
    if (source->count < 0)
        return cn__fail(CN_ERROR_ARGUMENT, "a data set cannot have %" PRId64 " samples",
                        source->count);
    if (!source->read)
        return cn__fail(CN_ERROR_ARGUMENT, "a data set must have a function `read`");
    for (int i = 0; i < source->inputs + source->targets; i++)
        CN__TRY(check_field(source, i, &counts[i]));
    return CN_OK;
}

cn_dataset *cn_dataset_new(const cn_dataset_source *source)
{
    if (!source)
        return (void)cn__fail_null_argument("cn_dataset_new"), NULL;
    cn_dataset *dataset = cn__calloc(1, sizeof *dataset);
    if (dataset && check_source(source, dataset->counts) == CN_OK) {
        dataset->source = *source;
        return dataset;
    }
    cn__free(dataset);
    if (source->release)
        source->release(source->context);
    return NULL;
}

void cn_dataset_free(cn_dataset *dataset)
{
    if (!dataset)
        return;
    if (dataset->source.release)
        dataset->source.release(dataset->source.context);
    cn__free(dataset);
}

int64_t cn_dataset_count(const cn_dataset *dataset)
{
    return dataset ? dataset->source.count : 0;
}

int cn_dataset_inputs(const cn_dataset *dataset)
{
    return dataset ? dataset->source.inputs : 0;
}

int cn_dataset_targets(const cn_dataset *dataset)
{
    return dataset ? dataset->source.targets : 0;
}

static bool has_field(const cn_dataset *dataset, int field)
{
    return dataset && field >= 0 && field < fields_of(dataset);
}

cn_dtype cn_dataset_dtype(const cn_dataset *dataset, int field)
{
    return has_field(dataset, field) ? dataset->source.dtypes[field] : CN_FLOAT32;
}

const cn_shape *cn_dataset_shape(const cn_dataset *dataset, int field)
{
    return has_field(dataset, field) ? &dataset->source.shapes[field] : NULL;
}

bool cn_dataset_is_slow(const cn_dataset *dataset)
{
    return dataset && dataset->source.slow;
}

/* ---- reading ---- */

/* A caller's function may fail without a message, while an older failure is still on record: that
 * one is put aside meanwhile, so that no message is taken for another's. */
static cn_status read_sample(cn_dataset *dataset, int64_t index, uint64_t draw, void *const *fields)
{
    cn__failure before;
    cn__failure_take(&before);
    cn_clear_error();
    cn_status status = dataset->source.read(dataset->source.context, index, draw, fields);
    if (status == CN_OK && before.status != CN_OK)
        (void)cn__failure_put(&before);
    if (status == CN_OK)
        return CN_OK;
    if (cn_error_status() == CN_OK)
        return cn__fail(status, "a data set's sample %" PRId64 " cannot be read: %s", index,
                        cn_status_name(status));
    return status == cn_error_status() ? status : cn__fail(status, "%s", cn_error_message());
}

cn_status cn_dataset_read(cn_dataset *dataset, int64_t index, uint64_t draw, void *const *fields)
{
    if (!dataset || !fields)
        return cn__fail_null_argument("cn_dataset_read");
    int64_t count = dataset->source.count;
    if (index < 0 || index >= count)
        return cn__fail(CN_ERROR_ARGUMENT,
                        "cn_dataset_read: there is no sample %" PRId64 ": the data set has %" PRId64
                        ", counted from 0",
                        index, count);
    return read_sample(dataset, index, draw, fields);
}

static void *elements_of(cn_array *array)
{
    return cn_array_dtype(array) == CN_INT32 ? (void *)cn_array_ints(array)
                                             : (void *)cn_array_floats(array);
}

static cn_status new_arrays(const cn_dataset *dataset, cn_array **fields)
{
    for (int i = 0; i < fields_of(dataset); i++) {
        cn_shape shape = dataset->source.shapes[i];
        memmove(&shape.dim[1], &shape.dim[0], (size_t)shape.rank++ * sizeof shape.dim[0]);
        shape.dim[0] = dataset->source.count;
        fields[i] = cn_array_new(dataset->source.dtypes[i], &shape);
        if (!fields[i])
            return cn_error_status();
    }
    return CN_OK;
}

static cn_status read_all(cn_dataset *dataset, cn_array **fields)
{
    CN__TRY(new_arrays(dataset, fields));
    for (int64_t index = 0; index < dataset->source.count; index++) {
        void *rows[CN_MOST_FIELDS];
        for (int i = 0; i < fields_of(dataset); i++)
            rows[i] = (char *)elements_of(fields[i]) + index * dataset->counts[i] * element_size;
        CN__TRY(read_sample(dataset, index, 0, rows));
    }
    return CN_OK;
}

cn_status cn_dataset_arrays(cn_dataset *dataset, cn_array **fields)
{
    if (!dataset || !fields)
        return cn__fail_null_argument("cn_dataset_arrays");
    for (int i = 0; i < fields_of(dataset); i++)
        fields[i] = NULL;
    cn_status status = read_all(dataset, fields);
    for (int i = 0; status != CN_OK && i < fields_of(dataset); i++) {
        cn_array_free(fields[i]);
        fields[i] = NULL;
    }
    return status;
}

/* ---- the rows of arrays ---- */

typedef struct rows {
    int fields;
    const void *elements[CN_MOST_FIELDS];
    size_t bytes[CN_MOST_FIELDS]; /* of one row */
} rows;

static cn_status read_row(void *context, int64_t index, uint64_t draw, void *const *fields)
{
    (void)draw;
    const rows *r = context;
    for (int i = 0; i < r->fields; i++)
        memcpy(fields[i], (const char *)r->elements[i] + (size_t)index * r->bytes[i], r->bytes[i]);
    return CN_OK;
}

static cn_status add_array(cn_dataset_source *source, int field, const cn_array *array)
{
    if (!array)
        return cn__fail_null_argument("cn_dataset_from_arrays");
    cn_shape shape = *cn_array_shape(array);
    if (field == 0)
        source->count = shape.rank ? shape.dim[0] : 0;
    if (shape.rank == 0 || shape.dim[0] != source->count) {
        char text[200];
        return cn__fail(CN_ERROR_SHAPE,
                        "cn_dataset_from_arrays: all arrays must have as many rows as the first, "
                        "%" PRId64 ", but array %d is %s",
                        source->count, field, cn_shape_text(&shape, text, sizeof text));
    }
    memmove(&shape.dim[0], &shape.dim[1], (size_t)--shape.rank * sizeof shape.dim[0]);
    rows *r = source->context;
    source->dtypes[field] = cn_array_dtype(array);
    source->shapes[field] = shape;
    r->elements[field] = source->dtypes[field] == CN_INT32
                             ? (const void *)cn_array_const_ints(array)
                             : (const void *)cn_array_const_floats(array);
    r->bytes[field] = (size_t)cn__max(cn_shape_count(&shape), 0) * element_size;
    r->fields++;
    return CN_OK;
}

static cn_status add_arrays(cn_dataset_source *source, cn_array_list inputs, cn_array_list targets)
{
    if (inputs.count < 1 || targets.count < 0 || inputs.count > CN_MOST_FIELDS ||
        targets.count > CN_MOST_FIELDS - inputs.count)
        return cn__fail(CN_ERROR_ARGUMENT,
                        "cn_dataset_from_arrays: there must be at least 1 input and at most %d "
                        "inputs and targets, not %d and %d",
                        CN_MOST_FIELDS, inputs.count, targets.count);
    for (int i = 0; i < inputs.count + targets.count; i++)
        CN__TRY(add_array(source, i,
                          i < inputs.count ? inputs.items[i] : targets.items[i - inputs.count]));
    return CN_OK;
}

cn_dataset *cn_dataset_from_arrays(cn_array_list inputs, cn_array_list targets)
{
    cn_dataset_source source = {.inputs = inputs.count,
                                .targets = targets.count,
                                .read = read_row,
                                .release = cn__free,
                                .context = cn__calloc(1, sizeof(rows))};
    if (source.context && add_arrays(&source, inputs, targets) == CN_OK)
        return cn_dataset_new(&source);
    cn__free(source.context);
    return NULL;
}

/* ---- a part of another ---- */

typedef struct part {
    cn_dataset *whole;
    int64_t first;
} part;

static cn_status read_part(void *context, int64_t index, uint64_t draw, void *const *fields)
{
    const part *p = context;
    return cn_dataset_read(p->whole, p->first + index, draw, fields);
}

cn_dataset *cn_dataset_part(cn_dataset *dataset, int64_t first, int64_t count)
{
    if (!dataset)
        return (void)cn__fail_null_argument("cn_dataset_part"), NULL;
    int64_t whole = dataset->source.count;
    if (first < 0 || count < 0 || first > whole || count > whole - first)
        return cn__fail_null(CN_ERROR_ARGUMENT,
                             "cn_dataset_part: %" PRId64 " samples from %" PRId64
                             " on are not within the data set, which has %" PRId64,
                             count, first, whole);
    part *p = cn__alloc(sizeof *p);
    if (!p)
        return NULL;
    *p = (part){dataset, first};
    cn_dataset_source source = dataset->source;
    source.count = count;
    source.read = read_part;
    source.release = cn__free;
    source.context = p;
    return cn_dataset_new(&source);
}
