/* Steps of training and evaluation: a program for each shape of batch, made when such a batch first
 * comes; the sums that means are taken from. */
#include "graph/program.h"
#include "models/training.h"

#include <string.h>

/* Programs kept: full and last batches of training and validation, and some more. */
enum { most_programs = 8 };

typedef struct prepared {
    cn__program *program; /* NULL: free */
    uint64_t used;        /* when, for the one to go */
    char *memory;         /* of the outputs that have no place of their own */
    void **out;
} prepared;

/* What a batch's field is copied to if its numbers have another type. */
typedef struct converted {
    void *values;
    size_t capacity; /* elements */
} converted;

typedef struct cn__trainer {
    cn__arena *arena;
    cn_tensor_list inputs;     /* the model's, targets, sample weights */
    cn_tensor_list outputs[2]; /* in test and in training: loss, the outputs' losses, predictions if
                                  they are watched; then gradients, updates */
    int fixed;                 /* of the outputs: those before the predictions */
    int predictions;
    prepared programs[most_programs];
    uint64_t clock;
    cn__workspace workspace; /* of whichever program runs */
    const void **in;
    converted *converted;
    float *ones;
    size_t ones_capacity;
    double *sums; /* samples, loss, the outputs' losses */
    bool *flags;  /* of the layers, while a step runs */
} trainer;

/* ---- making ---- */

static void list_inputs(const cn__training_graph *g, cn_tensor **in)
{
    for (int i = 0; i < g->inputs; i++)
        *in++ = g->input[i];
    for (int i = 0; i < g->outputs; i++)
        *in++ = g->target[i];
    for (int i = 0; i < g->outputs; i++)
        *in++ = g->weight[i];
}

static void list_outputs(const cn__training_graph *g, int predictions, cn_tensor **out)
{
    *out++ = g->loss;
    for (int i = 0; i < g->outputs; i++)
        *out++ = g->output_loss[i];
    for (int i = 0; i < predictions; i++)
        *out++ = g->prediction[i];
    for (int i = 0; i < g->trained; i++)
        *out++ = g->gradient[i];
    for (int i = 0; i < g->updates; i++)
        *out++ = g->update[i].value;
}

static cn_status fill(trainer *t, const cn__compiled *c)
{
    const cn__training_graph *g = &c->graph;
    int inputs = g->inputs + 2 * g->outputs;
    t->fixed = 1 + g->outputs;
    t->predictions = c->watched_count > 0 ? g->outputs : 0;
    int tested = t->fixed + t->predictions, all = tested + g->trained + g->updates;
    cn_tensor **in = cn__arena_alloc(c->arena, (size_t)inputs * sizeof *in);
    cn_tensor **out = cn__arena_alloc(c->arena, (size_t)all * sizeof *out);
    t->in = cn__arena_alloc(c->arena, (size_t)inputs * sizeof *t->in);
    t->converted = cn__arena_alloc(c->arena, (size_t)inputs * sizeof *t->converted);
    t->sums = cn__arena_alloc(c->arena, (size_t)(t->fixed + 1) * sizeof *t->sums);
    t->flags = cn__arena_alloc(c->arena, (size_t)c->layer_count * sizeof *t->flags);
    if (in == NULL || out == NULL || t->in == NULL || t->converted == NULL || t->sums == NULL ||
        t->flags == NULL)
        return cn_error_status();
    list_inputs(g, in);
    list_outputs(g, t->predictions, out);
    t->inputs = (cn_tensor_list){inputs, in};
    t->outputs[false] = (cn_tensor_list){tested, out};
    t->outputs[true] = (cn_tensor_list){all, out};
    return CN_OK;
}

/* The model's trainer, made at its first step. */
static trainer *trainer_of(cn__compiled *c)
{
    if (c->trainer != NULL)
        return c->trainer;
    trainer *t = cn__arena_alloc(c->arena, sizeof *t);
    if (t == NULL || fill(t, c) != CN_OK)
        return NULL;
    return c->trainer = t;
}

static void release(prepared *p)
{
    cn__program_free(p->program);
    cn__free(p->memory);
    cn__free(p->out);
    *p = (prepared){0};
}

void cn__trainer_free(trainer *t)
{
    if (t == NULL)
        return;
    for (int i = 0; i < most_programs; i++)
        release(&t->programs[i]);
    for (int i = 0; i < t->inputs.count; i++)
        cn__free(t->converted[i].values);
    cn__free(t->workspace.memory);
    cn__free(t->ones);
}

/* ---- programs ---- */

static size_t output_bytes(const cn__program *program, int output)
{
    size_t bytes = (size_t)cn_shape_count(cn__program_output_shape(program, output)) * 4;
    return (bytes + 63) / 64 * 64;
}

/* Gradients go into the optimizer's memory, the others into the program's own. */
static cn_status place_outputs(const trainer *t, const cn__compiled *c, bool training, prepared *p)
{
    int count = t->outputs[training].count, tested = t->outputs[false].count;
    int trained = training ? c->graph.trained : 0;
    size_t bytes = 0;
    for (int i = 0; i < count; i++)
        if (i < tested || i >= tested + trained)
            bytes += output_bytes(p->program, i);
    p->memory = cn__alloc(bytes);
    p->out = cn__calloc((size_t)count, sizeof *p->out);
    if (p->memory == NULL || p->out == NULL)
        return cn_error_status();
    int64_t size;
    float *gradients = cn__optimizer_gradients(c->optimizer, &size);
    char *next = p->memory;
    for (int i = 0; i < count; i++) {
        bool is_gradient = i >= tested && i < tested + trained;
        p->out[i] = next;
        if (is_gradient)
            p->out[i] = gradients + cn__optimizer_offset(c->optimizer, i - tested);
        else
            next += output_bytes(p->program, i);
    }
    return CN_OK;
}

/* The program for these shapes: one that is there, or a new one in the place of that used longest
 * ago. */
static prepared *prepare(trainer *t, const cn__compiled *c, const cn_shape *shapes, bool training)
{
    prepared *p = &t->programs[0];
    for (int i = 0; i < most_programs; i++) {
        prepared *other = &t->programs[i];
        if (other->program != NULL && cn__program_fits(other->program, shapes, training)) {
            other->used = ++t->clock;
            return other;
        }
        p = other->used < p->used ? other : p;
    }
    release(p);
    p->program = cn__program_new(t->inputs, t->outputs[training], shapes, training, &t->workspace);
    if (p->program == NULL || place_outputs(t, c, training, p) != CN_OK) {
        release(p);
        return NULL;
    }
    p->used = ++t->clock;
    return p;
}

/* ---- what is fed ---- */

/* True if both have the same extents when those of 1 are left out. */
static bool same_but_ones(const cn_shape *a, const cn_shape *b)
{
    int i = 0, j = 0;
    for (;;) {
        while (i < a->rank && a->dim[i] == 1)
            i++;
        while (j < b->rank && b->dim[j] == 1)
            j++;
        if (i == a->rank || j == b->rank)
            return i == a->rank && j == b->rank;
        if (a->dim[i++] != b->dim[j++])
            return false;
    }
}

static cn_shape without_batch(const cn_shape *shape)
{
    cn_shape sample = {.rank = shape->rank - 1};
    memcpy(sample.dim, shape->dim + 1, (size_t)sample.rank * sizeof *sample.dim);
    return sample;
}

/* Says which targets the loss takes, and which loss takes such targets. */
static cn_status wrong_target(const cn__compiled *c, int output, const cn_shape *sample)
{
    const cn__training_graph *g = &c->graph;
    cn_shape expected = without_batch(&g->target[output]->shape);
    bool sparse = g->target[output]->dtype == CN_INT32;
    const char *hint = "";
    char takes[128], given[128];
    if (sparse && sample->rank == expected.rank + 1)
        hint = "; one-hot rows go with \"categorical_crossentropy\"";
    if (!sparse && strstr(cn__compiled_loss(c, output), "ategorical") != NULL)
        hint = "; class numbers go with \"sparse_categorical_crossentropy\"";
    return cn__fail(
        CN_ERROR_SHAPE,
        "the output '%s': the loss %s takes %s of the shape %s for each sample, not %s%s",
        cn_tensor_name(g->prediction[output]), cn__compiled_loss(c, output),
        sparse ? "class numbers" : "targets", cn_shape_text(&expected, takes, sizeof takes),
        cn_shape_text(sample, given, sizeof given), hint);
}

static cn_status wrong_input(const cn_tensor *tensor, const cn_shape *sample)
{
    cn_shape expected = without_batch(&tensor->shape);
    int last = expected.rank - 1;
    bool first = last > 0 && sample->rank == expected.rank && expected.dim[last] > 0 &&
                 sample->dim[0] == expected.dim[last] && sample->dim[last] != expected.dim[last];
    char takes[128], given[128];
    return cn__fail(CN_ERROR_SHAPE, "the input '%s' takes the shape %s for each sample, not %s%s",
                    tensor->name, cn_shape_text(&expected, takes, sizeof takes),
                    cn_shape_text(sample, given, sizeof given),
                    first ? "; the channels are the last axis: transpose it" : "");
}

/* The shape of a batch of such samples, as `tensor` takes it. False if they do not fit. */
static bool fit_shape(const cn_tensor *tensor, const cn_shape *sample, int64_t count,
                      bool is_target, cn_shape *shape)
{
    cn_shape batch = {.rank = sample->rank + 1, .dim = {count}};
    if (sample->rank >= CN_MAX_RANK)
        return false;
    memcpy(batch.dim + 1, sample->dim, (size_t)sample->rank * sizeof *sample->dim);
    *shape = batch;
    if (cn__shapes_agree(&tensor->shape, &batch))
        return true;
    *shape = tensor->shape;
    shape->dim[0] = count;
    return is_target && same_but_ones(shape, &batch);
}

static cn_status to_ints(const cn_tensor *tensor, const float *from, int32_t *to, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        if (!(from[i] >= -2e9F && from[i] <= 2e9F) || (float)(int32_t)from[i] != from[i])
            return cn__fail(CN_ERROR_ARGUMENT, "'%s' takes whole numbers, but got %g", tensor->name,
                            (double)from[i]);
        to[i] = (int32_t)from[i];
    }
    return CN_OK;
}

static cn_status convert(const cn_tensor *tensor, cn_dtype from, const void *values, int64_t count,
                         converted *to, const void **result)
{
    *result = values;
    if (from == tensor->dtype)
        return CN_OK;
    CN__TRY(cn__grow(&to->values, &to->capacity, 0, (size_t)count, sizeof(float)));
    *result = to->values;
    if (tensor->dtype == CN_INT32)
        return to_ints(tensor, values, to->values, count);
    const int32_t *ints = values;
    float *floats = to->values;
    for (int64_t i = 0; i < count; i++)
        floats[i] = (float)ints[i];
    return CN_OK;
}

static cn_status need_ones(trainer *t, int64_t count)
{
    size_t before = t->ones_capacity;
    CN__TRY(cn__grow(&t->ones, &t->ones_capacity, before, (size_t)count, sizeof *t->ones));
    for (size_t i = before; i < t->ones_capacity; i++)
        t->ones[i] = 1;
    return CN_OK;
}

static cn_status feed(trainer *t, const cn__compiled *c, const cn__fed *fed, cn_shape *shapes)
{
    const cn__training_graph *g = &c->graph;
    if (fed->fields != g->inputs + g->outputs)
        return cn__fail(CN_ERROR_ARGUMENT,
                        "the model has %d inputs and %d outputs with a loss, but there are %d "
                        "arrays",
                        g->inputs, g->outputs, fed->fields);
    CN__TRY(need_ones(t, fed->count));
    for (int i = 0; i < fed->fields; i++) {
        const cn_tensor *tensor = t->inputs.items[i];
        bool is_target = i >= g->inputs;
        if (!fit_shape(tensor, &fed->shapes[i], fed->count, is_target, &shapes[i]))
            return is_target ? wrong_target(c, i - g->inputs, &fed->shapes[i])
                             : wrong_input(tensor, &fed->shapes[i]);
        CN__TRY(convert(tensor, fed->dtypes[i], fed->values[i], cn_shape_count(&shapes[i]),
                        &t->converted[i], &t->in[i]));
    }
    for (int i = 0; i < g->outputs; i++) {
        shapes[fed->fields + i] = cn_shape_of(fed->count);
        t->in[fed->fields + i] = fed->weights[i] != NULL ? fed->weights[i] : t->ones;
    }
    return CN_OK;
}

/* ---- one step ---- */

/* Layers are trainable or not as they were when the model was compiled: another model that shares
 * them may have been compiled since. */
static void swap_flags(trainer *t, const cn__compiled *c, bool begin)
{
    for (int i = 0; i < c->layer_count; i++) {
        cn_layer *layer = c->layers[i].layer;
        if (begin)
            t->flags[i] = layer->trainable;
        layer->trainable = begin ? c->layers[i].trainable : t->flags[i];
    }
}

static cn_status add_metrics(const trainer *t, const cn__compiled *c, const cn__fed *fed,
                             const cn_shape *shapes, const prepared *p)
{
    const cn__training_graph *g = &c->graph;
    for (int i = 0; i < c->watched_count; i++) {
        int output = c->watched[i].output, field = g->inputs + output;
        cn__compared compared = {
            .prediction_shape = *cn__program_output_shape(p->program, t->fixed + output),
            .target_shape = shapes[field],
            .prediction = p->out[t->fixed + output],
            .target_dtype = g->target[output]->dtype,
            .target = t->in[field],
            .weights = c->watched[i].weighted ? fed->weights[output] : NULL,
        };
        CN__TRY(cn__metric_add(c->watched[i].metric, &compared));
    }
    return CN_OK;
}

static void add_losses(trainer *t, int64_t count, const prepared *p)
{
    t->sums[0] += (double)count;
    for (int i = 0; i < t->fixed; i++)
        t->sums[1 + i] += (double)count * (double)*(const float *)p->out[i];
}

/* The hook may fail without a message, but not with that of an earlier failure. */
static cn_status call_hook(const cn__compiled *c)
{
    int64_t count;
    float *gradients = cn__optimizer_gradients(c->optimizer, &count);
    cn__failure before;
    if (c->hook == NULL)
        return CN_OK;
    cn__failure_take(&before);
    cn_clear_error();
    cn_status status = c->hook(gradients, count, c->hook_context);
    if (status == CN_OK && before.status != CN_OK)
        (void)cn__failure_put(&before);
    if (status != CN_OK && cn_error_status() != status)
        return cn__fail(status, "the gradient hook fails (%s)", cn_status_name(status));
    return status;
}

static void change_weights(const trainer *t, const cn__compiled *c, const prepared *p,
                           cn_pool *pool)
{
    cn_graph *graph = cn__graph_of(c->graph.loss);
    cn__graph_lock_weights(graph, true); /* others may be predicting */
    cn__optimizer_step(c->optimizer, pool);
    void *const *updates = p->out + t->outputs[false].count + c->graph.trained;
    for (int i = 0; i < c->graph.updates; i++) {
        cn__variable *variable = c->graph.update[i].variable;
        memcpy(cn_array_floats(variable->value), updates[i],
               (size_t)cn_array_count(variable->value) * sizeof(float));
        cn__variable_changed(variable);
    }
    cn__graph_unlock_weights(graph);
}

/* Feeds and runs the program for the batch, whose shapes are told. */
static cn_status compute(trainer *t, const cn__compiled *c, const cn__fed *fed, bool training,
                         cn_shape *shapes, prepared **p, cn_pool *pool)
{
    CN__TRY(feed(t, c, fed, shapes));
    *p = prepare(t, c, shapes, training);
    if (*p == NULL)
        return cn_error_status();
    uint64_t number = (uint64_t)cn__optimizer_iterations(c->optimizer);
    return cn__program_run((*p)->program, t->in, (*p)->out, number, pool);
}

static cn_status run(trainer *t, cn__compiled *c, const cn__fed *fed, bool training, cn_pool *pool)
{
    cn_shape shapes[CN_MOST_FIELDS + CN_MOST_LOSSES];
    prepared *p;
    CN__TRY(compute(t, c, fed, training, shapes, &p, pool));
    if (training)
        CN__TRY(call_hook(c));
    CN__TRY(add_metrics(t, c, fed, shapes, p));
    if (training)
        change_weights(t, c, p, pool);
    add_losses(t, fed->count, p);
    return CN_OK;
}

cn_status cn__trainer_step(cn_model *model, const cn__fed *fed, bool training, cn_pool *pool)
{
    cn__compiled *c = NULL;
    CN__TRY(cn__model_need_compiled(model, &c));
    trainer *t = trainer_of(c);
    if (t == NULL)
        return cn_error_status();
    swap_flags(t, c, true);
    cn_status status = run(t, c, fed, training, pool);
    swap_flags(t, c, false);
    return status == CN_OK ? CN_OK : cn__fail_within("model %s", model->name);
}

cn_status cn__trainer_examine(cn_model *model, const cn__fed *fed, cn__examiner look, void *context,
                              cn_pool *pool)
{
    cn__compiled *c = NULL;
    CN__TRY(cn__model_need_compiled(model, &c));
    trainer *t = trainer_of(c);
    if (t == NULL)
        return cn_error_status();
    cn_shape shapes[CN_MOST_FIELDS + CN_MOST_LOSSES];
    prepared *p;
    swap_flags(t, c, true);
    cn_status status = compute(t, c, fed, true, shapes, &p, pool);
    if (status == CN_OK)
        status = look(&(cn__examined){.compiled = c,
                                      .inputs = t->inputs,
                                      .shapes = shapes,
                                      .values = t->in,
                                      .run = (uint64_t)cn__optimizer_iterations(c->optimizer)},
                      context);
    swap_flags(t, c, false);
    return status == CN_OK ? CN_OK : cn__fail_within("model %s", model->name);
}

/* ---- sums ---- */

void cn__trainer_reset(cn__compiled *c)
{
    int count = 0;
    double *sums = cn__trainer_sums(c, &count);
    for (int i = 0; i < count; i++)
        sums[i] = 0;
    for (int i = 0; i < c->watched_count; i++)
        cn__metric_reset(c->watched[i].metric);
}

double *cn__trainer_sums(cn__compiled *c, int *count)
{
    trainer *t = trainer_of(c);
    *count = t != NULL ? 1 + t->fixed : 0;
    return t != NULL ? t->sums : NULL;
}

/* 0 / 0 is what is known of no samples. */
void cn__trainer_means(const cn__compiled *c, double *logs)
{
    const trainer *t = c->trainer;
    bool several = c->graph.outputs > 1;
    int count = 0;
    for (int i = 0; t != NULL && i < (several ? t->fixed : 1); i++)
        logs[count++] = t->sums[1 + i] / t->sums[0];
    for (int i = 0; i < c->watched_count; i++)
        logs[count++] = cn__metric_result(c->watched[i].metric);
}
