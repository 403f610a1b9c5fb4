/* How a model is trained, as Keras' files tell it: compile_config of .keras and training_config of
 * .h5, read in the forms of Keras 1, 2 and 3 and written for 3. */
#include "formats/keras.h"

#include <math.h>
#include <string.h>

/* ---- reading: objects ---- */

/* What an object says without need, so that its expression stays short. */
static bool says_nothing(const char *key, const json_t *value)
{
    const char *of_no_use = "name|dtype|trainable|jit_compile|is_legacy_optimizer";
    const char *false_anyway = "use_ema|amsgrad|nesterov|centered|from_logits";
    if (json_is_null(value) || cn__list_index(of_no_use, key) >= 0)
        return true;
    if (json_is_false(value))
        return cn__list_index(false_anyway, key) >= 0;
    if (strcmp(key, "decay") == 0)
        return json_number_value(value) == 0;
    const char *text = json_string_value(value);
    return strcmp(key, "reduction") == 0 && text != NULL &&
           (strcmp(text, "auto") == 0 || strcmp(text, "sum_over_batch_size") == 0);
}

/* A copy of an object's config without that; NULL if memory is short. To be released. */
static json_t *without_defaults(const json_t *config)
{
    json_t *copy = json_object(), *value;
    const char *key;
    bool averages = json_is_true(cn__json_get(config, "use_ema"));
    json_object_foreach((json_t *)(uintptr_t)config, key, value)
    {
        bool unused = !averages && strncmp(key, "ema_", 4) == 0;
        if (!unused && !says_nothing(key, value) && json_object_set(copy, key, value) != 0) {
            json_decref(copy);
            return NULL;
        }
    }
    return copy;
}

/* Functions of Keras 2 come as objects around them. */
static const json_t *unwrap(const json_t *value)
{
    const char *class_name = cn__json_text(value, "class_name");
    if (class_name == NULL || (strcmp(class_name, "MeanMetricWrapper") != 0 &&
                               strcmp(class_name, "LossFunctionWrapper") != 0))
        return value;
    const json_t *config = cn__json_get(value, "config");
    const json_t *function = cn__json_get(config, "fn");
    return function != NULL ? function : cn__json_get(config, "name");
}

/* The expression of a loss, metric or optimizer. */
static cn_status expression_of(const cn__keras *k, const json_t *value, const char **text)
{
    value = unwrap(value);
    const json_t *config = cn__json_get(value, "config");
    const char *class_name = cn__json_text(value, "class_name");
    if (class_name == NULL || !json_is_object(config))
        return cn__json_expression(k->arena, value, text);
    json_t *copy = without_defaults(config);
    json_t *object = json_pack("{ssso}", "class_name", class_name, "config", copy);
    cn_status status = object != NULL ? cn__json_expression(k->arena, object, text)
                                      : cn__fail(CN_ERROR_MEMORY, "no memory for %s", class_name);
    json_decref(object);
    return status;
}

/* ---- reading: one for each output ---- */

/* What of a list or object belongs to an output; NULL if nothing does. */
static const json_t *of_output(const json_t *value, const cn_model *model, int output)
{
    if (json_is_array(value))
        return json_array_get(value, (size_t)output);
    const json_t *found = cn__json_get(value, cn_tensor_name(model->outputs[output]));
    bool alone = model->output_count == 1 && json_object_size(value) == 1;
    return found == NULL && alone
               ? json_object_iter_value(json_object_iter((json_t *)(uintptr_t)value))
               : found;
}

static bool is_object(const json_t *value)
{
    return cn__json_text(value, "class_name") != NULL;
}

static cn_status read_losses(const cn__keras *k, const cn_model *model, const json_t *value,
                             cn_compile_options *o)
{
    bool one = json_is_string(value) || is_object(value);
    if (value == NULL || json_is_null(value))
        return CN_OK;
    if (one)
        return expression_of(k, value, &o->loss[0]);
    if (model->output_count > CN_MOST_LOSSES)
        return cn__fail(CN_ERROR_UNSUPPORTED, "there are more losses than %d", CN_MOST_LOSSES);
    for (int i = 0; i < model->output_count; i++) {
        const json_t *loss = of_output(value, model, i);
        o->loss[i] = "none";
        if (loss != NULL && !json_is_null(loss))
            CN__TRY(expression_of(k, loss, &o->loss[i]));
    }
    return CN_OK;
}

static void read_loss_weights(const cn_model *model, const json_t *value, cn_compile_options *o)
{
    for (int i = 0; i < model->output_count && i < CN_MOST_LOSSES; i++) {
        const json_t *weight = json_is_number(value) ? value : of_output(value, model, i);
        double number = json_number_value(weight);
        if (json_is_number(weight))
            o->loss_weights[i] = number == 0 ? -0.0f : (float)number;
    }
}

/* ---- reading: metrics ---- */

/* Adds a metric, or all of a list; `output` is NULL for every output. */
static cn_status add_metrics(const cn__keras *k, const json_t *value, const char *output,
                             const char **metrics, int *count)
{
    size_t i;
    json_t *item;
    const char *text = NULL;
    if (value == NULL || json_is_null(value))
        return CN_OK;
    if (json_is_array(value)) {
        json_array_foreach(value, i, item)
        {
            CN__TRY(add_metrics(k, item, output, metrics, count));
        }
        return CN_OK;
    }
    if (*count == CN_MOST_METRICS)
        return cn__fail(CN_ERROR_UNSUPPORTED, "there are more metrics than %d", CN_MOST_METRICS);
    CN__TRY(expression_of(k, value, &text));
    if (output != NULL)
        text = cn__arena_printf(k->arena, "%s:%s", output, text);
    metrics[(*count)++] = text;
    return text != NULL ? CN_OK : cn_error_status();
}

/* With several outputs a list has a list for each; Keras 3's may have single ones instead, where
 * those of Keras 1 and 2 are for all outputs. */
static bool is_by_output(const cn__keras *k, const cn_model *model, const json_t *value)
{
    if (model->output_count == 1)
        return false;
    if (json_is_object(value))
        return !is_object(value);
    bool fits = json_array_size(value) == (size_t)model->output_count;
    bool lists = false;
    for (size_t i = 0; i < json_array_size(value); i++)
        lists = lists || json_is_array(json_array_get(value, i));
    return fits && (lists || k->version > 2);
}

static cn_status read_metrics(const cn__keras *k, const cn_model *model, const json_t *value,
                              const char **metrics)
{
    int count = 0;
    bool object = json_is_object(value) && !is_object(value);
    if (!is_by_output(k, model, value))
        return add_metrics(k, object ? of_output(value, model, 0) : value, NULL, metrics, &count);
    for (int i = 0; i < model->output_count; i++)
        CN__TRY(add_metrics(k, of_output(value, model, i), cn_tensor_name(model->outputs[i]),
                            metrics, &count));
    return CN_OK;
}

/* ---- reading: the whole ---- */

/* The optimizers of Keras 1 and 2 compute in their own way. */
static cn_status read_optimizer(const cn__keras *k, const json_t *config, const char **text)
{
    const json_t *optimizer = cn__json_get(config, "optimizer");
    if (optimizer == NULL)
        optimizer = cn__json_get(config, "optimizer_config");
    CN__TRY(expression_of(k, optimizer, text));
    if (!k->old_optimizer)
        return CN_OK;
    size_t length = strlen(*text);
    bool has_arguments = length > 0 && (*text)[length - 1] == ')';
    *text = cn__arena_printf(k->arena, "%.*s%sversion=%d)", (int)length - has_arguments, *text,
                             has_arguments ? ", " : "(", k->version);
    return *text != NULL ? CN_OK : cn_error_status();
}

/* Cornu's own text of an optimizer does not have the rate that was set later. */
static cn_status set_rate(cn_model *model, const json_t *config)
{
    const json_t *optimizer = cn__json_get(cn__json_get(config, "optimizer"), "config");
    const json_t *rate = cn__json_get(optimizer, "learning_rate");
    if (json_is_object(rate))
        rate = cn__json_get(cn__json_get(rate, "config"), "initial_learning_rate");
    return json_is_number(rate) ? cn_model_set_learning_rate(model, json_number_value(rate))
                                : CN_OK;
}

static cn_status compile(const cn__keras *k, cn_model *model, const json_t *config,
                         const char *optimizer)
{
    cn_compile_options o = {.size_ = sizeof o, .optimizer = optimizer};
    if (o.optimizer == NULL)
        CN__TRY(read_optimizer(k, config, &o.optimizer));
    CN__TRY(read_losses(k, model, cn__json_get(config, "loss"), &o));
    read_loss_weights(model, cn__json_get(config, "loss_weights"), &o);
    CN__TRY(read_metrics(k, model, cn__json_get(config, "metrics"), o.metrics));
    CN__TRY(read_metrics(k, model, cn__json_get(config, "weighted_metrics"), o.weighted_metrics));
    CN__TRY(cn_model_compile(model, &o));
    return optimizer != NULL ? set_rate(model, config) : CN_OK;
}

cn_status cn__keras_compile(const cn__keras *k, cn_model *model, const json_t *config,
                            const char *optimizer)
{
    if (k->options.no_compile || json_object_size(config) == 0)
        return CN_OK;
    cn_status status = compile(k, model, config, optimizer);
    if (status == CN_OK || status == CN_ERROR_MEMORY)
        return status;
    /* What Cornu has not leaves the model as Keras' load_model(compile=False) does. */
    cn_clear_error();
    return CN_OK;
}

/* ---- writing: the optimizer ---- */

static const char *const not_in_keras_3 = "version|epsilon_outside|schedule_decay|decay|lr";

cn_status cn__keras_own_optimizer(const cn__keras_saving *s, const cn__optimizer *optimizer,
                                  const char **text, bool *decays)
{
    cn__expression e;
    const char *all = cn__optimizer_text(optimizer);
    CN__TRY(cn__expression_parse(s->arena, all, &e));
    *text = NULL;
    for (int i = 0; i < e.count; i++)
        if (cn__list_index(not_in_keras_3, e.arguments[i].key) >= 0)
            *text = all;
    *decays = cn__expression_number(&e, "decay", 0) != 0;
    return CN_OK;
}

/* Until Keras 3 `decay` made of the rate what InverseTimeDecay makes of it. */
static cn_status put_decay(double rate, double decay, json_t *config)
{
    json_t *schedule = cn__keras_put_class("keras.optimizers.schedules", "InverseTimeDecay", config,
                                           "learning_rate");
    if (schedule == NULL)
        return cn_error_status();
    CN__TRY(cn__json_put(schedule, "initial_learning_rate", cn__json_float((float)rate)));
    CN__TRY(cn__json_put(schedule, "decay_steps", json_integer(1)));
    return cn__json_put(schedule, "decay_rate", json_real(decay));
}

/* The rate is that of the next step, which may have been set since. */
static cn_status put_rate(const cn__optimizer *optimizer, const cn__expression *e, json_t *config)
{
    const char *given = cn__expression_text(e, "learning_rate|lr", NULL);
    double rate = cn__optimizer_learning_rate(optimizer);
    double decay = cn__expression_number(e, "decay", 0);
    if (given != NULL && strchr(given, '(') != NULL)
        return CN_OK;
    return decay != 0 ? put_decay(rate, decay, config)
                      : cn__json_put(config, "learning_rate", cn__json_float((float)rate));
}

static cn_status put_optimizer(const cn__keras_saving *s, const cn__optimizer *optimizer,
                               json_t *config)
{
    const char *key = s->legacy ? "optimizer_config" : "optimizer";
    const char *text = cn__optimizer_text(optimizer);
    cn__expression e;
    CN__TRY(cn__expression_parse(s->arena, text, &e));
    CN__TRY(cn__keras_put_object(s, "keras.optimizers", text, config, key));
    json_t *object = cn__json_get(config, key), *arguments = cn__json_get(object, "config");
    for (int i = 0; i < e.count; i++)
        if (cn__list_index(not_in_keras_3, e.arguments[i].key) >= 0)
            (void)json_object_del(arguments, e.arguments[i].key);
    if (s->legacy) {
        (void)json_object_del(object, "module");
        (void)json_object_del(object, "registered_name");
    }
    return put_rate(optimizer, &e, arguments);
}

/* ---- writing: losses and metrics ---- */

/* A name, or an object if there are arguments. Keras 3.15 does not know its own short names of
 * losses in .h5. */
static cn_status put_named(const cn__keras_saving *s, const char *module, const char *text,
                           bool spelled_out, json_t *parent, const char *key)
{
    cn__expression e;
    char name[cn__name_size];
    CN__TRY(cn__expression_parse(s->arena, text, &e));
    if (e.count > 0)
        return cn__keras_put_object(s, module, text, parent, key);
    if (spelled_out) {
        const char *class_name = cn__keras_class_name(s->arena, e.name);
        if (class_name == NULL)
            return cn_error_status();
        cn__snake_case(class_name, name, sizeof name);
        e.name = name;
    }
    return cn__json_put(parent, key, json_string(e.name));
}

static cn_status put_loss(const cn__keras_saving *s, const char *text, json_t *parent,
                          const char *key)
{
    return text != NULL ? put_named(s, "keras.losses", text, s->legacy, parent, key)
                        : cn__json_put(parent, key, json_null());
}

static cn_status put_losses(const cn__keras_saving *s, const cn_model *model, const cn__compiled *c,
                            json_t *config)
{
    if (model->output_count == 1)
        return put_loss(s, c->losses[0], config, "loss");
    json_t *list = cn__json_put_list(config, "loss");
    for (int i = 0; i < model->output_count && list != NULL; i++)
        CN__TRY(put_loss(s, c->losses[i], list, NULL));
    return list != NULL ? CN_OK : cn_error_status();
}

static cn_status put_loss_weights(const cn_model *model, const cn__compiled *c, json_t *config)
{
    bool ones = true;
    for (int i = 0; i < model->output_count; i++)
        ones = ones && c->loss_weights[i] == 1;
    if (ones)
        return cn__json_put(config, "loss_weights", json_null());
    json_t *list = cn__json_put_list(config, "loss_weights");
    for (int i = 0; i < model->output_count && list != NULL; i++)
        CN__TRY(cn__json_put(list, NULL, cn__json_float((float)c->loss_weights[i])));
    return list != NULL ? CN_OK : cn_error_status();
}

/* The metric in "OUTPUT:METRIC" if it is this output's, or is every output's; else NULL. */
static const char *metric_of(const char *text, const char *output)
{
    size_t length = strcspn(text, ":(");
    if (text[length] != ':')
        return text;
    bool is = output == NULL || (strlen(output) == length && memcmp(output, text, length) == 0);
    return is ? text + length + 1 : NULL;
}

static cn_status put_metrics_of(const cn__keras_saving *s, const struct cn__metric_list *metrics,
                                const char *output, json_t *list)
{
    for (int i = 0; i < metrics->count; i++) {
        const char *metric = metric_of(metrics->texts[i], output);
        if (metric != NULL)
            CN__TRY(put_named(s, "keras.metrics", metric, false, list, NULL));
    }
    return CN_OK;
}

/* A list; with several outputs a list of one for each that has a loss. */
static cn_status put_metrics(const cn__keras_saving *s, const cn_model *model,
                             const struct cn__metric_list *metrics, json_t *config, const char *key)
{
    if (metrics->count == 0)
        return cn__json_put(config, key, json_null());
    json_t *list = cn__json_put_list(config, key);
    if (list == NULL || model->output_count == 1)
        return list != NULL ? put_metrics_of(s, metrics, NULL, list) : cn_error_status();
    for (int i = 0; i < model->output_count; i++) {
        json_t *inner = cn__json_put_list(list, NULL);
        if (inner == NULL)
            return cn_error_status();
        if (model->compiled->losses[i] != NULL)
            CN__TRY(put_metrics_of(s, metrics, cn_tensor_name(model->outputs[i]), inner));
    }
    return CN_OK;
}

cn_status cn__keras_put_compile(const cn__keras_saving *s, const cn_model *model, json_t *config)
{
    const cn__compiled *c = cn__model_compiled(model);
    CN__TRY(put_optimizer(s, c->optimizer, config));
    CN__TRY(put_losses(s, model, c, config));
    CN__TRY(put_loss_weights(model, c, config));
    CN__TRY(put_metrics(s, model, &c->metrics, config, "metrics"));
    CN__TRY(put_metrics(s, model, &c->weighted_metrics, config, "weighted_metrics"));
    return s->legacy ? cn__json_put(config, "sample_weight_mode", json_null()) : CN_OK;
}
