/* Gradients of a compiled model against differences. */
#include "graph/differences.h"
#include "models/fit.h"
#include "models/training.h"

#include <stdio.h>

typedef struct work {
    cn__doubles *in, *gradients;
    cn_gradient_check *check;
    cn_pool *pool;
} work;

/* Numbers of either type in double. */
static cn_status widen(cn_dtype dtype, const cn_shape *shape, const void *values, cn__doubles *wide)
{
    int64_t count = cn_shape_count(shape);
    *wide = (cn__doubles){*shape, cn__calloc((size_t)count, sizeof(double))};
    if (wide->values == NULL)
        return cn_error_status();
    for (int64_t i = 0; i < count; i++)
        wide->values[i] = dtype == CN_INT32 ? (double)((const int32_t *)values)[i]
                                            : (double)((const float *)values)[i];
    return CN_OK;
}

static cn_status widen_all(const cn__examined *e, const work *w)
{
    const cn__compiled *c = e->compiled;
    int64_t size;
    const float *gradients = cn__optimizer_gradients(c->optimizer, &size);
    for (int i = 0; i < e->inputs.count; i++)
        CN__TRY(widen(cn_tensor_dtype(e->inputs.items[i]), &e->shapes[i], e->values[i], &w->in[i]));
    for (int i = 0; i < c->graph.trained; i++)
        CN__TRY(widen(CN_FLOAT32, cn_tensor_shape(c->graph.variable[i]),
                      gradients + cn__optimizer_offset(c->optimizer, i), &w->gradients[i]));
    return CN_OK;
}

static cn_status compare(const cn__examined *e, const work *w)
{
    const cn__compiled *c = e->compiled;
    cn__differences found;
    CN__TRY(widen_all(e, w));
    cn__claim claim = {.inputs = e->inputs,
                       .in = w->in,
                       .training = true,
                       .run = e->run,
                       .value = c->graph.loss,
                       .with_respect_to = {c->graph.trained, c->graph.variable},
                       .gradients = w->gradients};
    CN__TRY(cn__compare_with_differences(&claim, &found, w->pool));
    if (found.kinks > found.compared)
        return cn__fail(CN_ERROR_ARGUMENT,
                        "the loss has a kink at %lld of %lld derivatives: give other data, or "
                        "biases that are not 0",
                        (long long)found.kinks, (long long)(found.kinks + found.compared));
    *w->check = (cn_gradient_check){
        .worst = found.worst, .derivatives = found.compared, .kinks = found.kinks};
    if (c->graph.trained > 0)
        (void)snprintf(w->check->weight, sizeof w->check->weight, "%s",
                       c->weights[found.where].name);
    return CN_OK;
}

static cn_status look(const cn__examined *e, void *context)
{
    work *w = context;
    int inputs = e->inputs.count, trained = e->compiled->graph.trained;
    w->in = cn__calloc((size_t)(inputs + trained) + 1, sizeof *w->in);
    if (w->in == NULL)
        return cn_error_status();
    w->gradients = w->in + inputs;
    cn_status status = compare(e, w);
    for (int i = 0; i < inputs + trained; i++)
        cn__doubles_free(&w->in[i]);
    cn__free(w->in);
    return status;
}

cn_status cn_check_gradient(cn_model *model, cn_array_list x, cn_array_list y,
                            cn_gradient_check *check, cn_pool *pool)
{
    cn__fed fed = {0};
    work w = {.check = check, .pool = pool};
    if (check == NULL)
        return cn__fail_null_argument("cn_check_gradient");
    CN__TRY(cn__fed_from_arrays(x, y, &fed));
    return cn__trainer_examine(model, &fed, look, &w, pool);
}
