/* Keras' callbacks that change how a training goes on. Rules:
 * keras/src/callbacks/early_stopping.py, reduce_lr_on_plateau.py, learning_rate_scheduler.py,
 * terminate_on_nan.py.
 *
 * What they remember is in their states from the beginning: a callback serves one training, so
 * that nothing has to be reset. */
#include "models/callback.h"

#include "data/data.h"

#include <limits.h>
#include <math.h>
#include <string.h>

static cn_status check_at_least(const char *who, const char *option, double value, double low)
{
    if (value >= low)
        return CN_OK;
    return cn__fail(CN_ERROR_ARGUMENT, "%s: %s must be at least %g, not %g", who, option, low,
                    value);
}

/* ---- early stopping ---- */

/* The state: these numbers, and behind them the best weights if they are to be restored, so that
 * they are in checkpoints, too. */
enum { stop_wait, stop_best, stop_best_epoch, stop_has_weights, stop_stopped, stop_numbers };

typedef struct early_stopping {
    cn_early_stopping_options o;
    cn__monitor monitor;
    cn_callback *callback; /* that it is the context of */
    double *state;
    size_t capacity;
    bool whole; /* the latest event was the end of an epoch */
} early_stopping;

static void early_stopping_release(void *context)
{
    early_stopping *e = context;
    cn__free(e->monitor.name);
    cn__free(e->state);
    cn__free(e);
}

static void store_weights(const cn_model *model, double *to)
{
    for (int w = 0; w < model->weight_count; w++) {
        const cn_array *weight = cn_model_weight(model, w);
        const float *values = cn_array_const_floats(weight);
        for (int64_t i = 0; i < cn_array_count(weight); i++)
            *to++ = (double)values[i];
    }
}

static void put_back(const cn_model *model, const double *best)
{
    cn_graph *graph = cn__graph_of(model->inputs[0]);
    cn__graph_lock_weights(graph, true); /* others may be predicting */
    for (int w = 0; w < model->weight_count; w++) {
        const struct cn__model_weight *weight = &model->weights[w];
        cn__variable *variable = weight->layer->weights[weight->index].variable;
        float *values = cn_array_floats(variable->value);
        for (int64_t i = 0; i < cn_array_count(variable->value); i++)
            values[i] = (float)*best++;
        cn__variable_changed(variable);
    }
    cn__graph_unlock_weights(graph);
}

static cn_status make_room_for_weights(early_stopping *e, const cn_model *model)
{
    int64_t count = stop_numbers;
    for (int w = 0; w < model->weight_count; w++)
        count += cn_array_count(cn_model_weight(model, w));
    if (count > INT_MAX)
        return cn__fail(CN_ERROR_UNSUPPORTED,
                        "early_stopping: keeps at most %d weights, but model %s has %lld: leave "
                        ".restore_best_weights out and use cn_model_checkpoint()",
                        INT_MAX - stop_numbers, cn_model_name(model),
                        (long long)count - stop_numbers);
    CN__TRY(cn__grow(&e->state, &e->capacity, stop_numbers, (size_t)count, sizeof *e->state));
    memset(e->state + stop_numbers, 0, (size_t)(count - stop_numbers) * sizeof *e->state);
    e->callback->functions.state = e->state;
    e->callback->functions.state_count = (int)count;
    return CN_OK;
}

static void keep_best(early_stopping *e, const cn_training *training)
{
    e->state[stop_best_epoch] = (double)training->epoch;
    e->state[stop_has_weights] = e->o.restore_best_weights;
    if (e->o.restore_best_weights)
        store_weights(training->model, e->state + stop_numbers);
}

static cn_status early_stopping_epoch(early_stopping *e, cn_training *training)
{
    double value, *s = e->state;
    CN__TRY(cn__monitor_value(&e->monitor, "early_stopping", training->logs, &value));
    if (training->epoch < e->o.start_from_epoch)
        return CN_OK;
    bool better = cn__monitor_improves(&e->monitor, value, s[stop_best]);
    /* The weights of the first epoch that counts are kept even if it gave no number. */
    if (better || (e->o.restore_best_weights && s[stop_has_weights] == 0))
        keep_best(e, training);
    s[stop_wait]++;
    if (better) {
        s[stop_best] = value;
        if (!e->o.has_baseline || cn__monitor_improves(&e->monitor, value, e->o.baseline))
            s[stop_wait] = 0;
    } else if (s[stop_wait] >= (double)e->o.patience && training->epoch > 0) {
        s[stop_stopped] = 1;
        training->stop = true;
    }
    return CN_OK;
}

/* A training that failed within an epoch is left as it is. One that is resumed after it was stopped
 * stops again, unless there is more patience now. */
static cn_status early_stopping_run(void *context, cn_event event, cn_training *training)
{
    early_stopping *e = context;
    bool done = event == CN_TRAIN_END && (e->whole || training->stop);
    bool restore = done && e->state[stop_has_weights] != 0;
    e->whole = event == CN_EPOCH_END;
    if (event == CN_TRAIN_BEGIN && e->o.restore_best_weights)
        return make_room_for_weights(e, training->model);
    if (event == CN_EPOCH_BEGIN && e->state[stop_stopped] != 0)
        training->stop = training->stop || e->state[stop_wait] >= (double)e->o.patience;
    if (event == CN_EPOCH_END)
        return early_stopping_epoch(e, training);
    if (restore)
        put_back(training->model, e->state + stop_numbers);
    return CN_OK;
}

static cn_status early_stopping_init(early_stopping *e, const cn_early_stopping_options *options)
{
    static const char who[] = "early_stopping";
    CN__TRY(cn__take_options(who, &e->o, sizeof e->o, options));
    CN__TRY(check_at_least(who, "patience", (double)e->o.patience, 0));
    CN__TRY(check_at_least(who, "start_from_epoch", (double)e->o.start_from_epoch, 0));
    CN__TRY(cn__monitor_init(&e->monitor, e->o.monitor, e->o.mode, e->o.min_delta));
    CN__TRY(cn__grow(&e->state, &e->capacity, 0, stop_numbers, sizeof *e->state));
    memset(e->state, 0, stop_numbers * sizeof *e->state);
    e->state[stop_best] = cn__monitor_worst(&e->monitor);
    return CN_OK;
}

cn_callback *cn_early_stopping_new(const cn_early_stopping_options *options)
{
    early_stopping *e = cn__calloc(1, sizeof *e);
    if (!e)
        return NULL;
    if (early_stopping_init(e, options) != CN_OK) {
        early_stopping_release(e);
        return NULL;
    }
    cn_callback *callback =
        cn_callback(.run = early_stopping_run, .release = early_stopping_release, .context = e,
                    .name = "early_stopping", .state_count = stop_numbers, .state = e->state);
    if (callback)
        e->callback = callback;
    return callback;
}

/* ---- the learning rate ---- */

static const char learning_rate[] = "learning_rate";

enum { plateau_wait, plateau_best, plateau_cooldown, plateau_numbers };

typedef struct plateau {
    cn_reduce_lr_on_plateau_options o;
    cn__monitor monitor;
    cn__more_logs logs;
    double state[plateau_numbers];
} plateau;

static void plateau_release(void *context)
{
    plateau *p = context;
    cn__free(p->monitor.name);
    cn__more_logs_free(&p->logs);
    cn__free(p);
}

static cn_status reduce(plateau *p, cn_model *model)
{
    double rate = cn_model_learning_rate(model);
    /* Optimizers keep the rate in single precision: a rate that was set to min_lr is not above. */
    if ((float)rate <= (float)p->o.min_lr)
        return CN_OK;
    p->state[plateau_cooldown] = (double)p->o.cooldown;
    p->state[plateau_wait] = 0;
    return cn_model_set_learning_rate(model, fmax(rate * p->o.factor, p->o.min_lr));
}

static cn_status plateau_epoch(plateau *p, cn_training *training)
{
    double value, *s = p->state;
    CN__TRY(cn__monitor_value(&p->monitor, "reduce_lr_on_plateau", training->logs, &value));
    CN__TRY(cn__logs_put(&p->logs, &training->logs, learning_rate,
                         cn_model_learning_rate(training->model)));
    if (s[plateau_cooldown] > 0) {
        s[plateau_cooldown]--;
        s[plateau_wait] = 0;
    }
    if (cn__monitor_improves(&p->monitor, value, s[plateau_best])) {
        s[plateau_best] = value;
        s[plateau_wait] = 0;
        return CN_OK;
    }
    if (s[plateau_cooldown] > 0)
        return CN_OK;
    s[plateau_wait]++;
    return s[plateau_wait] >= (double)p->o.patience ? reduce(p, training->model) : CN_OK;
}

static cn_status plateau_run(void *context, cn_event event, cn_training *training)
{
    return event == CN_EPOCH_END ? plateau_epoch(context, training) : CN_OK;
}

static cn_status plateau_init(plateau *p, const cn_reduce_lr_on_plateau_options *options)
{
    static const char who[] = "reduce_lr_on_plateau";
    cn_reduce_lr_on_plateau_options *o = &p->o;
    CN__TRY(cn__take_options(who, o, sizeof *o, options));
    o->factor = o->factor != 0 ? o->factor : 0.1;
    o->patience = o->patience != 0 ? o->patience : 10;
    o->min_delta = o->min_delta != 0 || signbit(o->min_delta) ? o->min_delta : 1e-4;
    if (!(o->factor > 0 && o->factor < 1))
        return cn__fail(CN_ERROR_ARGUMENT, "%s: factor must be between 0 and 1, not %g", who,
                        o->factor);
    CN__TRY(check_at_least(who, "patience", (double)o->patience, 0));
    CN__TRY(check_at_least(who, "cooldown", (double)o->cooldown, 0));
    CN__TRY(check_at_least(who, "min_lr", o->min_lr, 0));
    CN__TRY(cn__monitor_init(&p->monitor, o->monitor, o->mode, o->min_delta));
    p->state[plateau_best] = cn__monitor_worst(&p->monitor);
    return CN_OK;
}

cn_callback *cn_reduce_lr_on_plateau_new(const cn_reduce_lr_on_plateau_options *options)
{
    plateau *p = cn__calloc(1, sizeof *p);
    if (!p)
        return NULL;
    if (plateau_init(p, options) != CN_OK) {
        plateau_release(p);
        return NULL;
    }
    return cn_callback(.run = plateau_run, .release = plateau_release, .context = p,
                       .name = "reduce_lr_on_plateau", .state_count = plateau_numbers,
                       .state = p->state);
}

typedef struct scheduler {
    cn_rate_of_epoch schedule;
    void *context;
    cn__more_logs logs;
} scheduler;

static void scheduler_release(void *context)
{
    scheduler *s = context;
    cn__more_logs_free(&s->logs);
    cn__free(s);
}

static cn_status scheduler_run(void *context, cn_event event, cn_training *training)
{
    scheduler *s = context;
    double rate = cn_model_learning_rate(training->model);
    if (event == CN_EPOCH_END)
        return cn__logs_put(&s->logs, &training->logs, learning_rate, rate);
    if (event != CN_EPOCH_BEGIN)
        return CN_OK;
    double next = s->schedule(training->epoch, rate, s->context);
    if (!isfinite(next) || next < 0)
        return cn__fail(CN_ERROR_ARGUMENT,
                        "learning_rate_scheduler: the rate must be a number of at least 0, but the "
                        "schedule gives %g for epoch %lld",
                        next, (long long)training->epoch);
    return cn_model_set_learning_rate(training->model, next);
}

cn_callback *cn_learning_rate_scheduler(cn_rate_of_epoch schedule, void *context)
{
    if (!schedule)
        return (void)cn__fail_null_argument("learning_rate_scheduler"), NULL;
    scheduler *s = cn__calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->schedule = schedule;
    s->context = context;
    return cn_callback(.run = scheduler_run, .release = scheduler_release, .context = s,
                       .name = "learning_rate_scheduler");
}

/* ---- no number any more ---- */

static cn_status terminate_run(void *context, cn_event event, cn_training *training)
{
    (void)context;
    int loss = cn__logs_find(training->logs, "loss");
    if (event == CN_BATCH_END && loss >= 0 && !isfinite(training->logs.values[loss]))
        training->stop = true;
    return CN_OK;
}

cn_callback *cn_terminate_on_nan(void)
{
    return cn_callback(.run = terminate_run, .name = "terminate_on_nan");
}
