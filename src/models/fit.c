/* Training: epochs, batches, validation, callbacks; and going on where a checkpoint stopped. */
#include "models/fit.h"
#include "models/callback.h"

#include <math.h>

typedef struct fit {
    cn_model *model;
    cn__compiled *c;
    cn__fitting *fitting;
    const cn_fit_options *o;
    cn_dataset *data, *validation;
    cn__loader *loader, *validation_loader;
    int64_t batch_size, batches;
    float *weights; /* of a batch's samples, for each output */
    int64_t stride; /* from one output's to the next one's, which is aligned to 64 bytes */
    cn_training training;
} fit;

/* ---- options ---- */

cn_status cn__need_idle(const cn_model *model)
{
    if (model->fitting == NULL || !model->fitting->in_progress)
        return CN_OK;
    return cn__fail(CN_ERROR_ARGUMENT,
                    "model %s: is being trained; a callback of cn_fit() cannot compile or fit it",
                    model->name);
}

cn_status cn__need_samples(const cn_model *model, const cn_dataset *data)
{
    if (cn_dataset_count(data) > 0)
        return CN_OK;
    return cn__fail(CN_ERROR_ARGUMENT, "model %s: the data set has no samples", model->name);
}

static cn_status check_numbers(const fit *f)
{
    const cn_fit_options *o = f->o;
    if (o->epochs < 0 || o->initial_epoch < 0 || o->steps_per_epoch < 0 ||
        o->validation_batch_size < 0 || o->loader_threads < 0 || o->loader_threads > 256)
        return cn__fail(CN_ERROR_ARGUMENT,
                        "fit: epochs, initial_epoch, steps_per_epoch, validation_batch_size and "
                        "loader_threads (at most 256) are not negative");
    if (o->class_count < 0 || (o->class_weight == NULL) != (o->class_count == 0))
        return cn__fail(CN_ERROR_ARGUMENT,
                        "fit: class_weight holds class_count weights, one for each class");
    if (o->class_count > 0 && f->c->graph.outputs != 1)
        return cn__fail(CN_ERROR_ARGUMENT,
                        "fit: class_weight is for models with one output; use sample_weight");
    return CN_OK;
}

static cn_status check_weights(const fit *f, int64_t samples)
{
    int count = f->o->sample_weight.count, outputs = f->c->graph.outputs;
    if (count != 0 && count != 1 && count != outputs)
        return cn__fail(CN_ERROR_ARGUMENT,
                        "fit: there are %d arrays of sample weights; give one for all outputs, or "
                        "one for each of %d",
                        count, outputs);
    for (int i = 0; i < count; i++) {
        const cn_array *array = f->o->sample_weight.items[i];
        if (array == NULL || cn_array_const_floats(array) == NULL ||
            cn_array_count(array) != samples)
            return cn__fail(CN_ERROR_SHAPE,
                            "fit: sample_weight %d is a float32 array with one weight for each of "
                            "%lld samples",
                            i, (long long)samples);
    }
    return CN_OK;
}

static int threads_for(const fit *f, const cn_dataset *data)
{
    if (f->o->loader_threads > 0)
        return f->o->loader_threads;
    return cn_dataset_is_slow(data) ? 1 : 0;
}

static cn_status make_loaders(fit *f)
{
    const cn_fit_options *o = f->o;
    CN__TRY(cn__need_samples(f->model, f->data));
    if (f->validation != NULL)
        CN__TRY(cn__need_samples(f->model, f->validation));
    int64_t validation_batch =
        o->validation_batch_size > 0 ? o->validation_batch_size : f->batch_size;
    f->batch_size = cn__min(f->batch_size, cn_dataset_count(f->data));
    cn__loader_options options = {.batch_size = f->batch_size,
                                  .shuffle = o->shuffle != CN_FALSE,
                                  .seed = o->seed,
                                  .threads = threads_for(f, f->data)};
    f->loader = cn__loader_new(f->data, &options);
    if (f->loader == NULL)
        return cn_error_status();
    f->batches = cn__loader_batches(f->loader);
    if (o->steps_per_epoch > 0)
        f->batches = cn__min(f->batches, o->steps_per_epoch);
    if (f->validation == NULL)
        return CN_OK;
    options = (cn__loader_options){.batch_size = validation_batch,
                                   .threads = threads_for(f, f->validation)};
    f->validation_loader = cn__loader_new(f->validation, &options);
    return f->validation_loader != NULL ? CN_OK : cn_error_status();
}

/* ---- weights of samples ---- */

static double target_value(const cn__fed *fed, int field, int64_t i)
{
    if (fed->dtypes[field] == CN_INT32)
        return ((const int32_t *)fed->values[field])[i];
    return (double)((const float *)fed->values[field])[i];
}

/* The class of a target: the number that it is, or the place of its largest value. -1 for what is
 * no number, and for a target without values. */
static int64_t class_of(const cn__fed *fed, int field, int64_t sample)
{
    int64_t size = cn_shape_count(&fed->shapes[field]), best = 0;
    if (size < 1)
        return -1;
    double first = target_value(fed, field, sample * size);
    if (size == 1)
        return first >= 0 && first < 1e9 ? (int64_t)(first + 0.5) : -1;
    for (int64_t i = 1; i < size; i++)
        if (target_value(fed, field, sample * size + i) >
            target_value(fed, field, sample * size + best))
            best = i;
    return best;
}

static cn_status weigh_classes(const fit *f, const cn__fed *fed, float *weights)
{
    int field = f->c->graph.inputs;
    if (field >= fed->fields)
        return CN_OK; /* the step tells what is missing */
    for (int64_t i = 0; i < fed->count; i++) {
        int64_t class = class_of(fed, field, i);
        if (class < 0 || class >= f->o->class_count)
            return cn__fail(CN_ERROR_ARGUMENT, "fit: there is no class_weight for class %lld",
                            (long long)class);
        weights[i] *= f->o->class_weight[class];
    }
    return CN_OK;
}

static cn_status weigh(const fit *f, const cn__batch *batch, cn__fed *fed)
{
    const cn_fit_options *o = f->o;
    for (int output = 0; output < f->c->graph.outputs; output++) {
        float *weights = f->weights + output * f->stride;
        if (o->sample_weight.count == 0 && o->class_count == 0)
            continue;
        const cn_array *array = NULL;
        if (o->sample_weight.count > 0)
            array = o->sample_weight.items[o->sample_weight.count == 1 ? 0 : output];
        for (int64_t i = 0; i < batch->count; i++)
            weights[i] = array != NULL ? cn_array_const_floats(array)[batch->indexes[i]] : 1;
        if (o->class_count > 0)
            CN__TRY(weigh_classes(f, fed, weights));
        fed->weights[output] = weights;
    }
    return CN_OK;
}

/* ---- epochs ---- */

static cn_status event(fit *f, cn_event event)
{
    return cn__callbacks_run(f->o->callbacks, event, &f->training);
}

/* The end of an epoch is in the history whenever a callback may save it, with what callbacks before
 * it have added to the logs. Those that write it down come after all others. */
static cn_status end_epoch(fit *f)
{
    cn_training *t = &f->training;
    f->fitting->epoch = t->epoch + 1;
    f->fitting->batch = 0;
    CN__TRY(cn__history_append(f->fitting->history, t->logs));
    f->fitting->ended = &t->logs;
    cn_status status = cn__callbacks_run_round(f->o->callbacks, false, CN_EPOCH_END, t);
    f->fitting->ended = NULL;
    CN__TRY(status);
    CN__TRY(cn__history_replace_last(f->fitting->history, t->logs));
    CN__TRY(cn__callbacks_run_round(f->o->callbacks, true, CN_EPOCH_END, t));
    t->epoch++;
    return CN_OK;
}

static void give_means(fit *f)
{
    cn__trainer_means(f->c, f->c->logs);
    f->training.logs = (cn_logs){f->c->log_count, f->c->log_names, f->c->logs};
}

static cn_status train_batch(fit *f)
{
    cn__batch batch;
    cn__fed fed = {0};
    CN__TRY(cn__loader_next(f->loader, &batch));
    cn__fed_from_batch(f->data, &batch, &fed);
    CN__TRY(weigh(f, &batch, &fed));
    CN__TRY(cn__trainer_step(f->model, &fed, true, f->o->pool));
    give_means(f);
    f->training.samples += batch.count;
    f->fitting->batch = f->training.batch + 1;
    return event(f, CN_BATCH_END);
}

static cn_status validate(fit *f)
{
    if (f->validation == NULL)
        return CN_OK;
    CN__TRY(cn__evaluate_loader(f->model, f->validation, f->validation_loader, f->o->pool));
    cn__trainer_means(f->c, f->c->logs + f->c->log_count);
    f->training.logs.count = 2 * f->c->log_count;
    return CN_OK;
}

/* Batches from the one where the epoch is to begin. */
static cn_status train_epoch(fit *f)
{
    cn_training *t = &f->training;
    int64_t first = f->fitting->batch;
    CN__TRY(cn__loader_begin(f->loader, t->epoch, first));
    t->samples = cn__min(first * f->batch_size, cn_dataset_count(f->data));
    if (first == 0)
        cn__trainer_reset(f->c);
    else
        give_means(f);
    CN__TRY(event(f, CN_EPOCH_BEGIN));
    for (t->batch = first; t->batch < f->batches && !t->stop; t->batch++)
        CN__TRY(train_batch(f));
    if (t->batch < f->batches)
        return CN_OK; /* broken off: not an epoch */
    CN__TRY(validate(f));
    return end_epoch(f);
}

/* Where to begin: anew, or where the records say. */
static cn_status begin(fit *f)
{
    cn__fitting *fitting = f->fitting;
    if (!f->o->resume)
        cn__records_free(&fitting->resumed);
    bool resumed = fitting->resumed.count > 0;
    if (!resumed)
        cn__history_clear(fitting->history);
    fitting->epoch = resumed ? cn__records_whole(&fitting->resumed, "epoch") : f->o->initial_epoch;
    fitting->batch = resumed ? cn__records_whole(&fitting->resumed, "batch") : 0;
    if (fitting->batch > 0 &&
        (fitting->batch > f->batches || !cn__sums_restore(f->c, &fitting->resumed)))
        fitting->batch = 0;
    f->training = (cn_training){.model = f->model,
                                .epoch = fitting->epoch,
                                .epochs = f->o->epochs > 0 ? f->o->epochs : 1,
                                .batch = fitting->batch,
                                .batches = f->batches,
                                .logs = {0, f->c->log_names, f->c->logs},
                                .pool = f->o->pool};
    CN__TRY(event(f, CN_TRAIN_BEGIN));
    return cn__callbacks_from_records(f->o->callbacks, &fitting->resumed);
}

static cn_status train(fit *f)
{
    cn_training *t = &f->training;
    f->fitting->callbacks = f->o->callbacks;
    f->fitting->in_progress = true;
    cn_status status = begin(f);
    while (status == CN_OK && t->epoch < t->epochs && !t->stop)
        status = train_epoch(f);
    cn__failure first;
    cn__failure_take(&first);
    cn_status last = event(f, CN_TRAIN_END);
    f->fitting->in_progress = false;
    cn__records_free(&f->fitting->resumed);
    return status == CN_OK ? last : cn__failure_put(&first);
}

/* ---- beginning and end ---- */

static cn_status prepare(fit *f, cn_model *model, const cn_fit_options *options)
{
    if (model == NULL || options == NULL)
        return cn__fail_null_argument("cn_model_fit");
    CN__TRY(cn__callbacks_check(options->callbacks));
    CN__TRY(cn__model_need_compiled(model, &f->c));
    CN__TRY(cn__need_idle(model));
    f->model = model;
    f->o = options;
    f->fitting = cn__fitting_of(model);
    if (f->fitting == NULL)
        return cn_error_status();
    CN__TRY(check_numbers(f));
    return cn__batch_size(model, options->batch_size, &f->batch_size);
}

static cn_status run(fit *f)
{
    CN__TRY(make_loaders(f));
    f->stride = cn__ceil_div(f->batch_size, 16) * 16;
    f->weights = cn__calloc((size_t)(f->stride * f->c->graph.outputs), sizeof *f->weights);
    if (f->weights == NULL)
        return cn_error_status();
    CN__TRY(train(f));
    cn_graph *graph = cn__graph_of(f->c->graph.loss);
    cn__graph_lock_weights(graph, true); /* others may be predicting */
    cn__optimizer_finish(f->c->optimizer);
    cn__graph_unlock_weights(graph);
    return CN_OK;
}

static void clean_up(fit *f)
{
    cn__loader_free(f->loader);
    cn__loader_free(f->validation_loader);
    cn__free(f->weights);
}

cn_status cn_model_fit_dataset(cn_model *model, cn_dataset *data, const cn_fit_options *options)
{
    cn_fit_options o;
    fit f = {.data = data};
    cn_status status = cn__take_options("cn_model_fit", &o, sizeof o, options);
    if (status != CN_OK)
        return status;
    status = data != NULL ? prepare(&f, model, &o) : cn__fail_null_argument("cn_model_fit");
    if (status == CN_OK)
        status = check_weights(&f, cn_dataset_count(data));
    f.validation = o.validation_data;
    if (status == CN_OK)
        status = run(&f);
    clean_up(&f);
    cn__callbacks_free(o.callbacks);
    return status;
}

/* The samples that are held out of `count`. */
static cn_status split(const cn_fit_options *o, int64_t count, int64_t *trained)
{
    double part = o->validation_split;
    *trained = (int64_t)floor((double)count * (1 - part));
    if (part == 0 || (part > 0 && part < 1 && *trained > 0 && *trained < count))
        return CN_OK;
    return cn__fail(CN_ERROR_ARGUMENT,
                    "fit: a validation_split of %g leaves none of %lld samples to train on or to "
                    "validate with",
                    part, (long long)count);
}

/* The data sets of arrays. */
typedef struct parts {
    cn_dataset *all, *trained, *held_out, *validation;
} parts;

static cn_status make_parts(const cn_fit_options *o, cn_array_list x, cn_array_list y, parts *p)
{
    int64_t trained = 0;
    p->all = cn_dataset_from_arrays(x, y);
    if (p->all == NULL)
        return cn_error_status();
    int64_t count = cn_dataset_count(p->all);
    CN__TRY(split(o, count, &trained));
    if (o->validation_x.count > 0) {
        p->validation = cn_dataset_from_arrays(o->validation_x, o->validation_y);
        return p->validation != NULL ? CN_OK : cn_error_status();
    }
    if (trained == count || o->validation_data != NULL)
        return CN_OK;
    p->trained = cn_dataset_part(p->all, 0, trained);
    p->held_out = cn_dataset_part(p->all, trained, count - trained);
    return p->trained != NULL && p->held_out != NULL ? CN_OK : cn_error_status();
}

cn_status cn_model_fit(cn_model *model, cn_array_list x, cn_array_list y,
                       const cn_fit_options *options)
{
    cn_fit_options o;
    parts p = {0};
    fit f = {0};
    CN__TRY(cn__take_options("cn_model_fit", &o, sizeof o, options));
    cn_status status = prepare(&f, model, &o);
    if (status == CN_OK)
        status = make_parts(&o, x, y, &p);
    if (status == CN_OK)
        status = check_weights(&f, cn_dataset_count(p.all));
    f.data = p.trained != NULL ? p.trained : p.all;
    f.validation = o.validation_data != NULL ? o.validation_data
                   : p.held_out != NULL      ? p.held_out
                                             : p.validation;
    if (status == CN_OK)
        status = run(&f);
    clean_up(&f);
    cn_dataset_free(p.trained);
    cn_dataset_free(p.held_out);
    cn_dataset_free(p.validation);
    cn_dataset_free(p.all);
    cn__callbacks_free(o.callbacks);
    return status;
}
