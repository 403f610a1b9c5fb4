/* Evaluation, and single steps on arrays. */
#include "models/fit.h"

#include <string.h>

void cn__fed_from_batch(const cn_dataset *data, const cn__batch *batch, cn__fed *fed)
{
    fed->count = batch->count;
    fed->fields = cn_dataset_inputs(data) + cn_dataset_targets(data);
    for (int i = 0; i < fed->fields; i++) {
        fed->dtypes[i] = cn_dataset_dtype(data, i);
        fed->shapes[i] = *cn_dataset_shape(data, i);
        fed->values[i] = batch->fields[i];
    }
}

cn_status cn__batch_size(const cn_model *model, int64_t given, int64_t *size)
{
    int64_t fixed = cn_tensor_shape(model->inputs[0])->dim[0];
    *size = given != 0 ? given : fixed > 0 ? fixed : 32;
    if (given >= 0)
        return CN_OK;
    return cn__fail(CN_ERROR_ARGUMENT, "model %s: the batch size is at least 1, not %lld",
                    model->name, (long long)given);
}

cn_status cn__evaluate_loader(cn_model *model, const cn_dataset *data, cn__loader *loader,
                              cn_pool *pool)
{
    cn__trainer_reset(model->compiled);
    CN__TRY(cn__loader_begin(loader, 0, 0));
    for (;;) {
        cn__batch batch;
        cn__fed fed = {0};
        CN__TRY(cn__loader_next(loader, &batch));
        if (batch.count == 0)
            return CN_OK;
        cn__fed_from_batch(data, &batch, &fed);
        CN__TRY(cn__trainer_step(model, &fed, false, pool));
    }
}

static void give_logs(const cn__compiled *c, cn_logs *logs)
{
    double *own = c->logs + 2 * c->log_count; /* a training in progress has the others */
    cn__trainer_means(c, own);
    if (logs != NULL)
        *logs = (cn_logs){c->log_count, c->log_names, own};
}

/* After what may have been done by a callback, within an epoch whose sums were kept. */
static void give_back(cn__compiled *c, cn__records *kept)
{
    if (kept->count > 0)
        (void)cn__sums_restore(c, kept);
    cn__records_free(kept);
}

cn_status cn_model_evaluate_dataset(cn_model *model, cn_dataset *data, int64_t batch_size,
                                    cn_logs *logs, cn_pool *pool)
{
    cn__compiled *c = NULL;
    cn__loader_options options = {.threads = cn_dataset_is_slow(data) ? 1 : 0};
    cn__records kept;
    if (data == NULL)
        return cn__fail_null_argument("cn_model_evaluate_dataset");
    CN__TRY(cn__model_need_compiled(model, &c));
    CN__TRY(cn__need_samples(model, data));
    CN__TRY(cn__batch_size(model, batch_size, &options.batch_size));
    CN__TRY(cn__sums_keep(model, &kept));
    cn__loader *loader = cn__loader_new(data, &options);
    cn_status status =
        loader != NULL ? cn__evaluate_loader(model, data, loader, pool) : cn_error_status();
    cn__loader_free(loader);
    if (status == CN_OK)
        give_logs(c, logs);
    give_back(c, &kept);
    return status;
}

cn_status cn_model_evaluate(cn_model *model, cn_array_list x, cn_array_list y, int64_t batch_size,
                            cn_logs *logs, cn_pool *pool)
{
    cn_dataset *data = cn_dataset_from_arrays(x, y);
    if (data == NULL)
        return cn_error_status();
    cn_status status = cn_model_evaluate_dataset(model, data, batch_size, logs, pool);
    cn_dataset_free(data);
    return status;
}

/* ---- single steps ---- */

static cn_status feed_array(const cn_array *array, cn__fed *fed)
{
    if (array == NULL)
        return cn__fail_null_argument("batch");
    cn_shape shape = *cn_array_shape(array);
    int64_t count = shape.rank > 0 ? shape.dim[0] : 0;
    if (count < 1 || (fed->fields > 0 && count != fed->count))
        return cn__fail(CN_ERROR_SHAPE,
                        "array %d of the batch has %lld samples; all have as many, at least 1",
                        fed->fields, (long long)count);
    shape.rank--;
    memmove(shape.dim, shape.dim + 1, (size_t)shape.rank * sizeof *shape.dim);
    int i = fed->fields++;
    fed->count = count;
    fed->dtypes[i] = cn_array_dtype(array);
    fed->shapes[i] = shape;
    fed->values[i] = fed->dtypes[i] == CN_INT32 ? (const void *)cn_array_const_ints(array)
                                                : (const void *)cn_array_const_floats(array);
    return CN_OK;
}

cn_status cn__fed_from_arrays(cn_array_list x, cn_array_list y, cn__fed *fed)
{
    if (x.count + y.count > CN_MOST_FIELDS)
        return cn__fail(CN_ERROR_UNSUPPORTED, "a batch has at most %d arrays, not %d",
                        CN_MOST_FIELDS, x.count + y.count);
    for (int i = 0; i < x.count; i++)
        CN__TRY(feed_array(x.items[i], fed));
    for (int i = 0; i < y.count; i++)
        CN__TRY(feed_array(y.items[i], fed));
    return CN_OK;
}

static cn_status feed_weights(cn_array_list weights, int outputs, cn__fed *fed)
{
    if (weights.count != 0 && weights.count != 1 && weights.count != outputs)
        return cn__fail(CN_ERROR_ARGUMENT,
                        "there are %d arrays of sample weights; give one for all outputs, or one "
                        "for each of %d",
                        weights.count, outputs);
    for (int i = 0; i < outputs && weights.count > 0; i++) {
        const cn_array *array = weights.items[weights.count == 1 ? 0 : i];
        if (array == NULL || cn_array_const_floats(array) == NULL ||
            cn_array_count(array) != fed->count)
            return cn__fail(CN_ERROR_SHAPE,
                            "sample weights are float32, one for each of %lld samples",
                            (long long)fed->count);
        fed->weights[i] = cn_array_const_floats(array);
    }
    return CN_OK;
}

static cn_status on_batch(cn_model *model, cn_array_list x, cn_array_list y, cn_array_list weights,
                          bool training, cn_logs *logs, cn_pool *pool)
{
    cn__compiled *c = NULL;
    cn__fed fed = {0};
    cn__records kept;
    CN__TRY(cn__model_need_compiled(model, &c));
    CN__TRY(cn__fed_from_arrays(x, y, &fed));
    CN__TRY(feed_weights(weights, c->graph.outputs, &fed));
    CN__TRY(cn__sums_keep(model, &kept));
    cn__trainer_reset(c);
    cn_status status = cn__trainer_step(model, &fed, training, pool);
    if (status == CN_OK)
        give_logs(c, logs);
    give_back(c, &kept);
    return status;
}

cn_status cn_model_train_on_batch(cn_model *model, cn_array_list x, cn_array_list y,
                                  cn_array_list sample_weight, cn_logs *logs, cn_pool *pool)
{
    return on_batch(model, x, y, sample_weight, true, logs, pool);
}

cn_status cn_model_test_on_batch(cn_model *model, cn_array_list x, cn_array_list y, cn_logs *logs,
                                 cn_pool *pool)
{
    return on_batch(model, x, y, (cn_array_list){0}, false, logs, pool);
}
