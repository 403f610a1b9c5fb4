/* Where a training stands, in metadata.json of .keras: {"NAME": [numbers], ...}. What JSON has no
 * number for is "nan", "inf" or "-inf". A long record, such as the best weights so far, is only
 * told by its number n there; it is the array /cornu_training/n beside the weights. */
#include "formats/keras.h"
#include "models/history.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MOST_IN_JSON = 4096 };

static bool is_long(const cn__record *record)
{
    return record->count > MOST_IN_JSON;
}

static json_t *number(double value)
{
    if (isnan(value))
        return json_string("nan");
    return isinf(value) ? json_string(value > 0 ? "inf" : "-inf") : json_real(value);
}

static cn_status put_record(const cn__record *record, int place, json_t *object)
{
    if (is_long(record))
        return cn__json_put(object, record->name, json_integer(place));
    json_t *list = cn__json_put_list(object, record->name);
    for (int64_t i = 0; i < record->count && list != NULL; i++)
        CN__TRY(cn__json_put(list, NULL, number(record->values[i])));
    return list != NULL ? CN_OK : cn_error_status();
}

cn_status cn__keras_put_records(const cn_model *model, json_t *parent, const char *key)
{
    cn__records records = {0};
    cn_status status = cn__training_records(model, &records);
    json_t *object = status == CN_OK && records.count > 0 ? cn__json_put_object(parent, key) : NULL;
    if (status == CN_OK && records.count > 0 && object == NULL)
        status = cn_error_status();
    for (int i = 0; i < records.count && status == CN_OK; i++)
        status = put_record(&records.items[i], i, object);
    cn__records_free(&records);
    return status;
}

cn_status cn__keras_put_long_records(const cn__keras_saving *s, const cn__h5 *h5,
                                     const cn_model *model)
{
    cn__records records = {0};
    cn_status status = cn__training_records(model, &records);
    for (int i = 0; i < records.count && status == CN_OK; i++) {
        const cn__record *record = &records.items[i];
        if (!is_long(record))
            continue;
        const char *path = cn__arena_printf(s->arena, "/cornu_training/%d", i);
        status = path != NULL ? cn__h5_put_doubles(h5, path, record->count, record->values)
                              : cn_error_status();
    }
    cn__records_free(&records);
    return status;
}

static bool read_number(const json_t *value, double *to)
{
    const char *text = json_string_value(value);
    *to = json_number_value(value);
    if (text == NULL)
        return json_is_number(value);
    bool infinite = strcmp(text, "inf") == 0 || strcmp(text, "-inf") == 0;
    *to = !infinite ? (double)NAN : text[0] == '-' ? -(double)INFINITY : (double)INFINITY;
    return infinite || strcmp(text, "nan") == 0;
}

static cn_status read_list(const char *name, const json_t *list, double *values)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (!read_number(json_array_get(list, i), &values[i]))
            return cn__fail(CN_ERROR_FORMAT, "metadata.json: %s holds %s, not a number", name,
                            cn__json_kind(json_array_get(list, i)));
    return CN_OK;
}

/* Where a long record is, and how many numbers it holds; they are all in the file. */
static cn_status find_array(const cn__h5 *h5, json_int_t place, char path[40], int64_t *count)
{
    cn_shape shape;
    (void)snprintf(path, 40, "/cornu_training/%lld", (long long)place);
    CN__TRY(cn__h5_shape(h5, path, &shape));
    *count = cn_shape_count(&shape);
    if (*count >= 0 && (size_t)*count <= h5->size / sizeof(double))
        return CN_OK;
    return cn__fail(CN_ERROR_FORMAT, "%s is larger than the file", path);
}

static cn_status read_record(const char *name, const json_t *json, const cn__h5 *h5,
                             cn__records *records)
{
    char path[40];
    int64_t count = (int64_t)json_array_size(json);
    if (json_is_integer(json))
        CN__TRY(find_array(h5, json_integer_value(json), path, &count));
    double *values = cn__calloc((size_t)cn__max(count, 1), sizeof *values);
    if (values == NULL)
        return cn_error_status();
    cn_status status = json_is_integer(json) ? cn__h5_read_doubles(h5, path, count, values)
                                             : read_list(name, json, values);
    if (status == CN_OK)
        status = cn__records_add(records, name, count, values);
    cn__free(values);
    return status;
}

cn_status cn__keras_read_records(cn_model *model, const json_t *json, const cn__h5 *h5)
{
    cn__records records = {0};
    const char *name;
    json_t *value;
    cn_status status = CN_OK;
    if (json_object_size(json) == 0 || !cn_model_is_compiled(model))
        return CN_OK;
    json_object_foreach((json_t *)(uintptr_t)json, name, value)
    {
        if (status == CN_OK)
            status = read_record(name, value, h5, &records);
    }
    if (status == CN_OK)
        status = cn__training_resume(model, &records);
    cn__records_free(&records);
    return status;
}
