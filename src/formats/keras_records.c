/* Where a training stands, in metadata.json of .keras: {"NAME": [numbers], ...}. What JSON has no
 * number for is "nan", "inf" or "-inf". */
#include "formats/keras.h"
#include "models/history.h"

#include <math.h>
#include <string.h>

static json_t *number(double value)
{
    if (isnan(value))
        return json_string("nan");
    return isinf(value) ? json_string(value > 0 ? "inf" : "-inf") : json_real(value);
}

static cn_status put_record(const cn__record *record, json_t *object)
{
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
        status = put_record(&records.items[i], object);
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

static cn_status read_record(const char *name, const json_t *list, cn__records *records)
{
    size_t count = json_array_size(list);
    double *values = cn__calloc(count > 0 ? count : 1, sizeof *values);
    if (values == NULL)
        return cn_error_status();
    cn_status status = CN_OK;
    for (size_t i = 0; i < count && status == CN_OK; i++)
        if (!read_number(json_array_get(list, i), &values[i]))
            status = cn__fail(CN_ERROR_FORMAT, "metadata.json: %s holds %s, not a number", name,
                              cn__json_kind(json_array_get(list, i)));
    if (status == CN_OK)
        status = cn__records_add(records, name, (int64_t)count, values);
    cn__free(values);
    return status;
}

cn_status cn__keras_read_records(cn_model *model, const json_t *json)
{
    cn__records records = {0};
    const char *name;
    json_t *list;
    cn_status status = CN_OK;
    if (json_object_size(json) == 0 || !cn_model_is_compiled(model))
        return CN_OK;
    json_object_foreach((json_t *)(uintptr_t)json, name, list)
    {
        if (status == CN_OK)
            status = read_record(name, list, &records);
    }
    if (status == CN_OK)
        status = cn__training_resume(model, &records);
    cn__records_free(&records);
    return status;
}
