/* Prediction: the model's function on one batch after the other. */
#include "models/model.h"

#include <string.h>

enum { DEFAULT_BATCH = 32 };

/* The function is made at the first use. Should several threads make it at the same time, the first
 * one stays. */
static cn_function *function_of(cn_model *model)
{
    cn_function *function = atomic_load(&model->function);
    if (function != NULL)
        return function;
    cn_function *made = cn_function_new(cn_model_inputs(model), cn_model_outputs(model));
    if (made == NULL || atomic_compare_exchange_strong(&model->function, &function, made))
        return made;
    cn_function_free(made);
    return function;
}

cn_status cn_model_plan(cn_model *model, const cn_shape *in, cn_planner planner, void *context,
                        cn_memory *memory)
{
    if (model == NULL || in == NULL)
        return cn__fail_null_argument("cn_model_plan");
    cn_function *function = function_of(model);
    if (function == NULL)
        return cn_error_status();
    return cn_function_plan(function, in, false, planner, context, memory);
}

/* ---- rows of arrays ---- */

static const char *elements(const cn_array *array)
{
    const void *floats = cn_array_const_floats(array);
    return floats != NULL ? floats : (const void *)cn_array_const_ints(array);
}

static char *changing_elements(cn_array *array)
{
    void *floats = cn_array_floats(array);
    return floats != NULL ? floats : (void *)cn_array_ints(array);
}

/* Bytes of one row. Both types of elements have 4. */
static size_t row_bytes(const cn_array *array)
{
    int64_t rows = cn_array_shape(array)->dim[0];
    return rows > 0 ? (size_t)(cn_array_count(array) / rows) * sizeof(float) : 0;
}

static cn_array *rows_of(const cn_array *array, int64_t first, int64_t count)
{
    cn_shape shape = *cn_array_shape(array);
    shape.dim[0] = count;
    cn_array *rows = cn_array_new(cn_array_dtype(array), &shape);
    if (rows != NULL)
        memcpy(changing_elements(rows), elements(array) + (size_t)first * row_bytes(array),
               (size_t)count * row_bytes(array));
    return rows;
}

static void free_all(cn_array **arrays, int count)
{
    for (int i = 0; arrays != NULL && i < count; i++) {
        cn_array_free(arrays[i]);
        arrays[i] = NULL;
    }
}

/* ---- batches ---- */

/* Puts the results of a batch that begins at row `first` of `rows` into the whole results. */
static cn_status collect(const cn_model *model, cn_array *const *batch, int64_t first,
                         int64_t count, int64_t rows, cn_array **out)
{
    for (int i = 0; i < model->output_count; i++) {
        cn_shape shape = *cn_array_shape(batch[i]);
        if (shape.rank < 1 || shape.dim[0] != count) {
            char text[128];
            return cn__fail(CN_ERROR_SHAPE,
                            "model %s: output %d has the shape %s for a batch of %lld; prediction "
                            "needs one row for each sample",
                            model->name, i, cn_shape_text(&shape, text, sizeof text),
                            (long long)count);
        }
        shape.dim[0] = rows;
        if (out[i] == NULL)
            out[i] = cn_array_new(cn_array_dtype(batch[i]), &shape);
        if (out[i] == NULL)
            return cn_error_status();
        memcpy(changing_elements(out[i]) + (size_t)first * row_bytes(batch[i]), elements(batch[i]),
               (size_t)count * row_bytes(batch[i]));
    }
    return CN_OK;
}

static cn_status predict_batch(const cn_model *model, cn_function *function,
                               const cn_array *const *in, int64_t first, int64_t count,
                               int64_t rows, cn_array **part, cn_array **result, cn_array **out,
                               cn_pool *pool)
{
    for (int i = 0; i < model->input_count; i++) {
        part[i] = rows_of(in[i], first, count);
        if (part[i] == NULL)
            return cn_error_status();
    }
    CN__TRY(cn_function_run(function, (const cn_array *const *)part, result, false, pool));
    return collect(model, result, first, count, rows, out);
}

static cn_status predict_batches(const cn_model *model, cn_function *function,
                                 const cn_array *const *in, int64_t rows, int64_t batch_size,
                                 cn_array **out, cn_pool *pool)
{
    cn_array **part = cn__calloc((size_t)model->input_count, sizeof *part);
    cn_array **result = cn__calloc((size_t)model->output_count, sizeof *result);
    cn_status status = part == NULL || result == NULL ? cn_error_status() : CN_OK;
    for (int64_t first = 0; status == CN_OK && first < rows; first += batch_size) {
        int64_t count = cn__min(batch_size, rows - first);
        status = predict_batch(model, function, in, first, count, rows, part, result, out, pool);
        free_all(part, model->input_count);
        free_all(result, model->output_count);
    }
    cn__free(part);
    cn__free(result);
    return status;
}

/* The number of samples, which all inputs share. */
static cn_status count_rows(const cn_model *model, const cn_array *const *in, int64_t *rows)
{
    for (int i = 0; i < model->input_count; i++) {
        if (in[i] == NULL)
            return cn__fail_null_argument("cn_model_predict");
        const cn_shape *shape = cn_array_shape(in[i]);
        char text[128];
        if (shape->rank < 1 || shape->dim[0] < 1)
            return cn__fail(
                CN_ERROR_SHAPE,
                "model %s: input %d has the shape %s; its first axis counts the samples, "
                "at least 1",
                model->name, i, cn_shape_text(shape, text, sizeof text));
        if (i == 0)
            *rows = shape->dim[0];
        if (shape->dim[0] != *rows)
            return cn__fail(CN_ERROR_SHAPE,
                            "model %s: input %d has %lld samples and input 0 has %lld; all inputs "
                            "have as many",
                            model->name, i, (long long)shape->dim[0], (long long)*rows);
    }
    return CN_OK;
}

/* A model whose input has a batch of its own takes no other. */
static int64_t default_batch(const cn_model *model)
{
    const cn_tensor *input = cn_model_input(model);
    int64_t own = input != NULL ? cn_tensor_shape(input)->dim[0] : 0;
    return own > 0 ? own : DEFAULT_BATCH;
}

cn_status cn_model_predict(cn_model *model, const cn_array *const *in, cn_array **out,
                           int64_t batch_size, cn_pool *pool)
{
    if (model == NULL || in == NULL || out == NULL)
        return cn__fail_null_argument("cn_model_predict");
    if (batch_size < 0)
        return cn__fail(CN_ERROR_ARGUMENT, "model %s: the batch size is at least 1, not %lld",
                        model->name, (long long)batch_size);
    if (batch_size == 0)
        batch_size = default_batch(model);
    int64_t rows = 0;
    CN__TRY(count_rows(model, in, &rows));
    cn_function *function = function_of(model);
    if (function == NULL)
        return cn_error_status();
    if (rows <= batch_size)
        return cn_function_run(function, in, out, false, pool);
    cn_array **results = cn__calloc((size_t)model->output_count, sizeof(cn_array *));
    if (results == NULL)
        return cn_error_status();
    cn_status status = predict_batches(model, function, in, rows, batch_size, results, pool);
    if (status == CN_OK)
        memcpy(out, results, (size_t)model->output_count * sizeof *out);
    else
        free_all(results, model->output_count);
    cn__free(results);
    return status;
}
