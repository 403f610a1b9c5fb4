/* Gradients against differences. */
#include "graph/differences.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum {
    most_elements = 20, /* tensors up to this size are compared element by element, of others this
                           many elements */
    directions = 2      /* of the larger ones */
};

/* The step, relative to the values' size: the quotient's truncation error is its square, and the
 * rounding error 2^-53 divided by it. */
static const double relative_step = 1e-6;
/* What counts as one, for tensors of small numbers or of zeros. */
static const double least_size = 0.1;
/* One-sided quotients of a smooth function differ by the step times the second derivative; this is
 * far above. */
static const double kink = 1e-4;
/* The least norm that differences are relative to, as a part of that of all gradients together: a
 * difference of 1e-4, the most that is right, then is four times the rounding of a float, which is
 * what sums leave that are zero in truth, such as a bias' before batch normalisation. */
static const double least_norm = 4e-3;

typedef struct probe {
    int tensor;
    int64_t element; /* -1: a direction */
    uint64_t seed;   /* of the direction */
    double step, scale;
    /* The answers: */
    cn_status status;
    double difference; /* infinite without numbers to compare; -1 at a kink */
} probe;

typedef struct work {
    const cn__claim *claim;
    double value; /* where nothing is moved */
    probe *probes;
} work;

/* ---- moving along one direction ---- */

/* Adds `by` times the probe's direction; returns the derivative that is claimed along it. */
static double move(const cn__claim *claim, const probe *p, double by, double *values)
{
    const cn__doubles *gradient = &claim->gradients[p->tensor];
    int64_t count = cn_shape_count(&gradient->shape);
    cn__random random = {.seed = p->seed};
    double derivative = 0;
    if (p->element >= 0) {
        values[p->element] += by;
        return gradient->values[p->element];
    }
    for (int64_t i = 0; i < count; i++) {
        double along = (cn__random_bits(&random) & 1 ? 1 : -1) / sqrt((double)count);
        values[i] += by * along;
        derivative += gradient->values[i] * along;
    }
    return derivative;
}

/* The values of a tensor, copied. */
static cn_status values_of(const cn__claim *claim, const cn_tensor *tensor, cn__doubles *copy)
{
    cn__variable *variable = cn__tensor_variable(tensor);
    if (variable != NULL)
        return cn__doubles_of(variable->value, copy);
    for (int i = 0; i < claim->inputs.count; i++)
        if (claim->inputs.items[i] == tensor) {
            const cn__doubles *from = &claim->in[i];
            size_t bytes = (size_t)cn_shape_count(&from->shape) * sizeof(double);
            *copy = (cn__doubles){from->shape, cn__alloc(bytes)};
            if (copy->values == NULL)
                return cn_error_status();
            memcpy(copy->values, from->values, bytes);
            return CN_OK;
        }
    return cn__fail(CN_ERROR_ARGUMENT, "differences: '%s' is neither an input nor a variable",
                    cn_tensor_name(tensor));
}

/* The graph's number with other values for one of its tensors; NULL for none. */
static cn_status evaluate(const cn__claim *claim, const cn_tensor *tensor, const cn__doubles *moved,
                          double *value)
{
    cn__doubles out, *in = cn__calloc((size_t)claim->inputs.count + 1, sizeof *in);
    if (in == NULL)
        return cn_error_status();
    for (int i = 0; i < claim->inputs.count; i++)
        in[i] = claim->inputs.items[i] == tensor ? *moved : claim->in[i];
    cn__variable *variable = tensor != NULL ? cn__tensor_variable(tensor) : NULL;
    cn__replaced replaced = {variable, variable != NULL ? moved->values : NULL};
    cn__evaluation evaluation = {claim->training, claim->run, variable != NULL, &replaced};
    cn_status status = cn__evaluate(claim->inputs, in, cn_tensors(claim->value), &out, &evaluation);
    cn__free(in);
    if (status != CN_OK)
        return status;
    *value = out.values[0];
    cn__doubles_free(&out);
    return CN_OK;
}

/* ---- one derivative ---- */

static double outside(double x, double a, double b)
{
    return fmax(fmax(fmin(a, b) - x, x - fmax(a, b)), 0);
}

static cn_status find_difference(const work *w, probe *p, cn__doubles *values)
{
    const cn_tensor *tensor = w->claim->with_respect_to.items[p->tensor];
    double after, before;
    CN__TRY(values_of(w->claim, tensor, values));
    double claimed = move(w->claim, p, p->step, values->values);
    CN__TRY(evaluate(w->claim, tensor, values, &after));
    (void)move(w->claim, p, -2 * p->step, values->values);
    CN__TRY(evaluate(w->claim, tensor, values, &before));
    double right = (after - w->value) / p->step, left = (w->value - before) / p->step;
    if (!isfinite(right - left + claimed + p->scale))
        p->difference = (double)INFINITY;
    else if (fabs(right - left) > kink * fmax(p->scale, fabs(right + left) / 2))
        p->difference = -1;
    else
        p->difference = outside(claimed, left, right) / p->scale;
    return CN_OK;
}

static void probe_task(void *context, size_t index)
{
    const work *w = context;
    cn__doubles values = {0};
    w->probes[index].status = find_difference(w, &w->probes[index], &values);
    cn__doubles_free(&values);
}

/* ---- which ones ---- */

static double norm(const double *values, int64_t count)
{
    double sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += values[i] * values[i];
    return sqrt(sum);
}

static int64_t count_of(const cn__claim *claim, int tensor)
{
    return cn_shape_count(&claim->gradients[tensor].shape);
}

static int probes_of(const cn__claim *claim, int tensor)
{
    int64_t count = count_of(claim, tensor);
    return count <= most_elements ? (int)count : most_elements + directions;
}

static cn_status choose(const cn__claim *claim, int tensor, double least_scale, cn__random *random,
                        probe *probes)
{
    int64_t count = count_of(claim, tensor);
    cn__doubles values = {0};
    CN__TRY(values_of(claim, claim->with_respect_to.items[tensor], &values));
    double size = norm(values.values, count) / sqrt(fmax((double)count, 1));
    cn__doubles_free(&values);
    double own = norm(claim->gradients[tensor].values, count);
    probe p = {.tensor = tensor,
               .step = relative_step * fmax(size, least_size),
               .scale = isnan(own) ? own : fmax(fmax(own, least_scale), DBL_MIN)};
    for (int i = 0; i < probes_of(claim, tensor); i++) {
        p.element = count <= most_elements ? i
                    : i < most_elements    ? (int64_t)(cn__random_uniform(random) * (double)count)
                                           : -1;
        p.seed = cn__random_bits(random);
        probes[i] = p;
    }
    return CN_OK;
}

static cn_status choose_all(const cn__claim *claim, probe *probes)
{
    cn__random random = {.seed = claim->seed};
    double all = 0;
    for (int i = 0; i < claim->with_respect_to.count; i++)
        all = hypot(all, norm(claim->gradients[i].values, count_of(claim, i)));
    for (int i = 0; i < claim->with_respect_to.count; i++) {
        CN__TRY(choose(claim, i, least_norm * all, &random, probes));
        probes += probes_of(claim, i);
    }
    return CN_OK;
}

static cn_status collect(const probe *probes, int64_t count, cn__differences *found)
{
    *found = (cn__differences){0};
    for (int64_t i = 0; i < count; i++) {
        const probe *p = &probes[i];
        if (p->status != CN_OK)
            return cn__fail(p->status, "differences: a thread failed: %s",
                            cn_status_name(p->status));
        if (p->difference < 0) {
            found->kinks++;
            continue;
        }
        found->compared++;
        if (p->difference > found->worst) {
            found->worst = p->difference;
            found->where = p->tensor;
        }
    }
    return CN_OK;
}

cn_status cn__compare_with_differences(const cn__claim *claim, cn__differences *differences,
                                       cn_pool *pool)
{
    work w = {.claim = claim};
    CN__TRY(evaluate(claim, NULL, NULL, &w.value));
    int64_t count = 0;
    for (int i = 0; i < claim->with_respect_to.count; i++)
        count += probes_of(claim, i);
    w.probes = cn__calloc((size_t)count + 1, sizeof *w.probes);
    if (w.probes == NULL)
        return cn_error_status();
    cn_status status = choose_all(claim, w.probes);
    if (status == CN_OK) {
        cn__pool_run(pool, probe_task, &w, (size_t)count);
        status = collect(w.probes, count, differences);
    }
    cn__free(w.probes);
    return status;
}
