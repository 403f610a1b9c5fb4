/* Compiling: what a model is trained by. */
#include "data/data.h"
#include "graph/map.h"
#include "layers/losses.h"
#include "models/fit.h"

#include <math.h>
#include <string.h>

/* ---- what is trained ---- */

typedef struct weight_list {
    cn__compiled *compiled;
    size_t layer_capacity, weight_capacity;
    cn__map known; /* variables */
} weight_list;

static cn_status add_weights(cn_layer *layer, bool trainable, void *context)
{
    weight_list *list = context;
    cn__compiled *c = list->compiled;
    size_t layers = (size_t)c->layer_count;
    CN__TRY(cn__grow(&c->layers, &list->layer_capacity, layers, layers + 1, sizeof *c->layers));
    c->layers[c->layer_count++] = (struct cn__flag){layer, trainable};
    for (int i = 0; i < layer->weight_count && trainable; i++) {
        const cn__weight *weight = &layer->weights[i];
        if (!weight->trainable || cn__map_get(&list->known, weight->variable) != NULL)
            continue;
        CN__TRY(cn__map_set(&list->known, weight->variable, list));
        size_t count = (size_t)c->weight_count;
        CN__TRY(
            cn__grow(&c->weights, &list->weight_capacity, count, count + 1, sizeof *c->weights));
        c->weights[c->weight_count++] =
            (cn__trained){weight->path, weight->variable, weight->constraint};
        if (!cn__regularizer_known(weight->regularizer) ||
            !cn__constraint_known(weight->constraint))
            return cn__fail_within("%s", weight->path);
    }
    return CN_OK;
}

static cn_status find_weights(const cn_model *model, cn__compiled *c)
{
    weight_list list = {.compiled = c};
    cn_status status = cn__visit_layers(model, add_weights, &list);
    cn__map_free(&list.known);
    return status;
}

/* ---- losses ---- */

static const char *copy_text(cn__compiled *c, const char *text)
{
    return cn__arena_strdup(c->arena, text);
}

static int count_losses(const cn_compile_options *o)
{
    int count = 0;
    for (int i = 0; i < CN_MOST_LOSSES; i++)
        count = o->loss[i] != NULL ? i + 1 : count;
    return count;
}

static double loss_weight(float given)
{
    return given != 0 ? (double)given : signbit(given) ? 0 : 1;
}

static cn_status set_loss(cn__compiled *c, int output, const char *loss)
{
    if (loss == NULL || strcmp(loss, "none") == 0)
        return CN_OK;
    if (!cn__loss_known(loss))
        return cn_error_status();
    c->losses[output] = copy_text(c, loss);
    return c->losses[output] != NULL ? CN_OK : cn_error_status();
}

static cn_status set_losses(const cn_model *model, const cn_compile_options *o, cn__compiled *c)
{
    int outputs = model->output_count, count = count_losses(o);
    if (count > 1 && count != outputs)
        return cn__fail(
            CN_ERROR_ARGUMENT,
            "there are %d losses, but the outputs are %d; give one for all, or one for each "
            "(\"none\" for an output that is not trained)",
            count, outputs);
    if (outputs > CN_MOST_LOSSES)
        return cn__fail(CN_ERROR_UNSUPPORTED, "at most %d outputs can be trained, not %d",
                        CN_MOST_LOSSES, outputs);
    for (int i = 0; i < outputs; i++) {
        c->loss_weights[i] = loss_weight(o->loss_weights[i]);
        CN__TRY(set_loss(c, i, o->loss[count > 1 ? i : 0]));
    }
    return CN_OK;
}

/* ---- metrics and the names of what is logged ---- */

/* Which of the trained outputs "OUTPUT:METRIC" names; *output is -1 for all. */
static cn_status split_metric(const cn__compiled *c, const char *text, int *output,
                              const char **metric)
{
    const cn__training_graph *g = &c->graph;
    size_t length = strcspn(text, ":(");
    *output = -1;
    *metric = text;
    if (text[length] != ':')
        return CN_OK;
    *metric = text + length + 1;
    for (int i = 0; i < g->outputs; i++) {
        const char *name = cn_tensor_name(g->prediction[i]);
        if (strlen(name) == length && memcmp(name, text, length) == 0)
            *output = i;
    }
    if (*output < 0)
        return cn__fail(CN_ERROR_NOT_FOUND,
                        "the metric \"%s\" names an output with a loss that there is not; the "
                        "first is '%s'",
                        text, g->outputs > 0 ? cn_tensor_name(g->prediction[0]) : "none");
    return CN_OK;
}

/* A tensor may be several outputs, each with a loss of its own. */
const char *cn__compiled_loss(const cn__compiled *c, int trained)
{
    for (int i = 0;; i++)
        if (c->losses[i] != NULL && trained-- == 0)
            return c->losses[i];
}

static cn_status watch(cn__compiled *c, const char *text, bool weighted)
{
    int output = 0;
    const char *name = NULL;
    CN__TRY(split_metric(c, text, &output, &name));
    for (int i = 0; i < c->graph.outputs; i++) {
        if (output >= 0 && i != output)
            continue;
        cn__metric *metric =
            cn__metric_new(name, cn__compiled_loss(c, i), &c->graph.target[i]->shape,
                           &c->graph.prediction[i]->shape);
        if (metric == NULL)
            return cn_error_status();
        c->watched[c->watched_count++] = (cn__watched){i, weighted, metric};
    }
    return CN_OK;
}

static cn_status watch_all(cn__compiled *c, const char *const *texts, bool weighted)
{
    struct cn__metric_list *list = weighted ? &c->weighted_metrics : &c->metrics;
    list->texts = cn__arena_alloc(c->arena, CN_MOST_METRICS * sizeof *list->texts);
    if (list->texts == NULL)
        return cn_error_status();
    for (int i = 0; i < CN_MOST_METRICS && texts[i] != NULL; i++) {
        CN__TRY(watch(c, texts[i], weighted));
        list->texts[list->count++] = copy_text(c, texts[i]);
        if (list->texts[i] == NULL)
            return cn_error_status();
    }
    return CN_OK;
}

static cn_status set_metrics(const cn_compile_options *o, cn__compiled *c)
{
    size_t most = 2 * (size_t)CN_MOST_METRICS * (size_t)c->graph.outputs;
    c->watched = cn__arena_alloc(c->arena, most * sizeof *c->watched);
    if (c->watched == NULL)
        return cn_error_status();
    CN__TRY(watch_all(c, o->metrics, false));
    return watch_all(c, o->weighted_metrics, true);
}

static bool is_taken(const char *const *names, int count, const char *name)
{
    for (int i = 0; i < count; i++)
        if (name != NULL && strcmp(names[i], name) == 0)
            return true;
    return false;
}

/* The text, with a number if it is a name already; NULL if memory is short. */
static const char *numbered(const cn__compiled *c, const char *text, const char *const *names,
                            int count)
{
    const char *name = text;
    for (int i = 1; is_taken(names, count, name); i++)
        name = cn__arena_printf(c->arena, "%s_%d", text, i);
    return name;
}

/* What logs call a metric, as in Keras: of two of the same name the weighted one says so. */
static const char *log_name(const cn__compiled *c, const cn__watched *w, const char *const *names,
                            int count)
{
    const char *name = cn__metric_name(w->metric), *output = "", *bar = "";
    if (c->graph.outputs > 1) {
        output = cn_tensor_name(c->graph.prediction[w->output]);
        bar = "_";
    }
    const char *text = cn__arena_printf(c->arena, "%s%s%s", output, bar, name);
    if (w->weighted && is_taken(names, count, text))
        text = cn__arena_printf(c->arena, "%s%sweighted_%s", output, bar, name);
    return numbered(c, text, names, count);
}

static cn_status name_logs(cn__compiled *c)
{
    const cn__training_graph *g = &c->graph;
    bool several = g->outputs > 1;
    int count = 0, most = 1 + g->outputs + c->watched_count;
    const char **names = cn__arena_alloc(c->arena, 2 * (size_t)most * sizeof *names);
    c->logs = cn__arena_alloc(c->arena, 3 * (size_t)most * sizeof *c->logs);
    if (names == NULL || c->logs == NULL)
        return cn_error_status();
    names[count++] = "loss";
    for (int i = 0; i < g->outputs && several; i++, count++) {
        names[count] = cn__arena_printf(c->arena, "%s_loss", cn_tensor_name(g->prediction[i]));
        if ((names[count] = numbered(c, names[count], names, count)) == NULL)
            return cn_error_status();
    }
    for (int i = 0; i < c->watched_count; i++, count++)
        if ((names[count] = log_name(c, &c->watched[i], names, count)) == NULL)
            return cn_error_status();
    for (int i = 0; i < count; i++)
        if ((names[count + i] = cn__arena_printf(c->arena, "val_%s", names[i])) == NULL)
            return cn_error_status();
    c->log_count = count;
    c->log_names = names;
    return CN_OK;
}

/* ---- the whole ---- */

void cn__compiled_free(cn__compiled *compiled)
{
    if (compiled == NULL)
        return;
    for (int i = 0; i < compiled->watched_count; i++)
        cn__metric_free(compiled->watched[i].metric);
    cn__trainer_free(compiled->trainer);
    cn__optimizer_free(compiled->optimizer);
    cn__free(compiled->layers);
    cn__free(compiled->weights);
    cn__arena_free(compiled->arena);
}

static cn_status fill(const cn_model *model, const cn_compile_options *o, cn__compiled *c)
{
    size_t outputs = (size_t)model->output_count;
    c->losses = cn__arena_alloc(c->arena, outputs * sizeof *c->losses);
    c->loss_weights = cn__arena_alloc(c->arena, outputs * sizeof *c->loss_weights);
    if (c->losses == NULL || c->loss_weights == NULL)
        return cn_error_status();
    c->optimizer = cn__optimizer_new(o->optimizer != NULL ? o->optimizer : "rmsprop");
    if (c->optimizer == NULL)
        return cn_error_status();
    CN__TRY(set_losses(model, o, c));
    CN__TRY(find_weights(model, c));
    CN__TRY(cn__training_graph_build(model, c));
    CN__TRY(set_metrics(o, c));
    CN__TRY(name_logs(c));
    return cn__optimizer_build(c->optimizer, c->weight_count, c->weights);
}

static cn_status check(const cn_model *model, const cn_compile_options *options)
{
    if (model == NULL || options == NULL)
        return cn__fail_null_argument("cn_model_compile");
    if (model->graph == NULL)
        return cn__fail(CN_ERROR_ARGUMENT,
                        "model %s: is used as a layer; compile the model that holds it",
                        model->name);
    return cn__need_idle(model);
}

cn_status cn_model_compile(cn_model *model, const cn_compile_options *options)
{
    cn_compile_options o;
    CN__TRY(check(model, options));
    CN__TRY(cn__take_options("cn_model_compile", &o, sizeof o, options));
    cn__arena *arena = cn__arena_new();
    cn__compiled *compiled = arena != NULL ? cn__arena_alloc(arena, sizeof *compiled) : NULL;
    if (compiled == NULL) {
        cn__arena_free(arena);
        return cn_error_status();
    }
    compiled->arena = arena;
    if (fill(model, &o, compiled) != CN_OK) {
        (void)cn__fail_within("model %s", model->name);
        cn__compiled_free(compiled);
        return cn_error_status();
    }
    cn__compiled_free(model->compiled);
    model->compiled = compiled;
    return CN_OK;
}

cn_status cn_model_add_loss(cn_model *model, cn_tensor *loss)
{
    if (model == NULL || loss == NULL)
        return cn__fail_null_argument("cn_model_add_loss");
    if (model->graph == NULL || cn__graph_of(loss) != cn__graph_of(model->inputs[0]))
        return cn__fail(CN_ERROR_ARGUMENT,
                        "model %s: the loss '%s' is not made from the model's own tensors",
                        model->name, cn_tensor_name(loss));
    size_t count = (size_t)model->added_loss_count;
    cn_tensor **losses = cn__arena_alloc(model->arena, (count + 1) * sizeof *losses);
    if (losses == NULL)
        return cn_error_status();
    if (count > 0)
        memcpy(losses, model->added_losses, count * sizeof *losses);
    losses[count] = loss;
    model->added_losses = losses;
    model->added_loss_count++;
    return CN_OK;
}

/* ---- what a compiled model tells ---- */

const cn__compiled *cn__model_compiled(const cn_model *model)
{
    return model != NULL ? model->compiled : NULL;
}

cn_status cn__model_need_compiled(const cn_model *model, cn__compiled **compiled)
{
    if (model == NULL)
        return cn__fail_null_argument("model");
    *compiled = model->compiled;
    if (*compiled != NULL)
        return CN_OK;
    return cn__fail(
        CN_ERROR_ARGUMENT,
        "model %s: is not compiled: call cn_compile(model, .optimizer = \"adam\", .loss "
        "= {\"mse\"}) first",
        model->name);
}

bool cn_model_is_compiled(const cn_model *model)
{
    return cn__model_compiled(model) != NULL;
}

double cn_model_learning_rate(const cn_model *model)
{
    const cn__compiled *compiled = cn__model_compiled(model);
    return compiled != NULL ? cn__optimizer_learning_rate(compiled->optimizer) : (double)NAN;
}

cn_status cn_model_set_learning_rate(cn_model *model, double rate)
{
    cn__compiled *compiled = NULL;
    CN__TRY(cn__model_need_compiled(model, &compiled));
    return cn__optimizer_set_learning_rate(compiled->optimizer, rate);
}

cn_status cn_model_set_gradient_hook(cn_model *model, cn_gradient_hook hook, void *context)
{
    cn__compiled *compiled = NULL;
    CN__TRY(cn__model_need_compiled(model, &compiled));
    compiled->hook = hook;
    compiled->hook_context = context;
    return CN_OK;
}
