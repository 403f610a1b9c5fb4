/* The step of the optimizers. Its work is cut into pieces of the weights; what all pieces have in
 * common, such as norms, is found before. */
#include <math.h>
#include <string.h>

#include "layers/optimizer_rules.h"

static float *values_of(const cn__trained_weight *weight)
{
    return cn_array_floats(weight->variable->value);
}

typedef void (*piece_work)(cn__optimizer *o, cn__piece *p);
typedef struct work {
    cn__optimizer *o;
    piece_work work;
} work;

static void work_on_pieces(void *context, size_t index)
{
    const work *w = context;
    for (int i = w->o->tasks[index]; i < w->o->tasks[index + 1]; i++)
        w->work(w->o, &w->o->pieces[i]);
}

static void for_pieces(cn__optimizer *o, piece_work how, cn_pool *pool)
{
    work w = {o, how};
    cn__pool_run(pool, work_on_pieces, &w, (size_t)o->task_count);
}

static void add_gradient(cn__optimizer *o, cn__piece *p)
{
    int64_t at = o->weights[p->weight].offset + p->first;
    cn__kernels_get()->add_scaled(1, o->gradients + at, o->sum + at, p->count);
}

/* The gradients become the means of what was added up. */
static void take_mean_gradient(cn__optimizer *o, cn__piece *p)
{
    const cn__kernels *k = cn__kernels_get();
    int64_t at = o->weights[p->weight].offset + p->first;
    k->add_scaled(1, o->sum + at, o->gradients + at, p->count);
    k->scale_and_clip(o->gradients + at, (float)(1 / o->common[cn__accumulation_steps]), INFINITY,
                      p->count);
    memset(o->sum + at, 0, (size_t)p->count * sizeof *o->sum);
}

static void sum_squares(cn__optimizer *o, cn__piece *p)
{
    int64_t at = o->weights[p->weight].offset + p->first;
    p->squares = cn__kernels_get()->sum_squares(o->gradients + at, p->count);
}

/* Every weight's `squares` become those that its norm is taken from: its own or all of them. */
static void find_norms(cn__optimizer *o, cn_pool *pool)
{
    bool own = o->common[cn__clipnorm] > 0 && o->common[cn__version_number] == 3;
    double all = 0;
    for_pieces(o, sum_squares, pool);
    for (int i = 0; i < o->weight_count; i++)
        o->weights[i].squares = 0;
    for (int i = 0; i < o->piece_count; i++) {
        o->weights[o->pieces[i].weight].squares += o->pieces[i].squares;
        all += o->pieces[i].squares;
    }
    for (int i = 0; i < o->weight_count && !own; i++)
        o->weights[i].squares = all;
}

/* The greatest norm there may be, 0 for any. */
static double most_norm(const cn__optimizer *o)
{
    double own = o->common[cn__clipnorm], all = o->common[cn__global_clipnorm];
    return own > 0 ? own : all > 0 ? all : 0;
}

static void change(cn__optimizer *o, cn__piece *p)
{
    const cn__kernels *k = cn__kernels_get();
    const cn__trained_weight *weight = &o->weights[p->weight];
    int64_t at = weight->offset + p->first;
    float *w = values_of(weight) + p->first, *g = o->gradients + at;
    double norm = most_norm(o), value = o->common[cn__clipvalue];
    if (norm > 0 || value > 0)
        k->scale_and_clip(g, norm > 0 ? (float)(norm / fmax(sqrt(weight->squares), norm)) : 1,
                          value > 0 ? (float)value : INFINITY, p->count);
    if (o->common[cn__weight_decay] > 0)
        k->scale_and_clip(w, (float)(1 - o->common[cn__weight_decay] * o->now), INFINITY, p->count);
    float *slot[cn__update_slots];
    for (int s = 0; s < cn__update_slots; s++)
        slot[s] = o->slot[s] ? o->slot[s] + at : NULL;
    if (o->rule->kernel >= 0)
        k->update[o->rule->kernel](w, g, slot, p->count, o->c);
}

/* The steps done with gradients, which with accumulation are less than the calls. */
static double updates(const cn__optimizer *o)
{
    return floor((double)o->iterations / o->common[cn__accumulation_steps]);
}

static cn__optimizer_moment moment_of(cn__optimizer *o)
{
    return (cn__optimizer_moment){
        .a = o->a, .rate = o->now, .t = updates(o) + 1, .u = &o->u, .c = o->c};
}

static void finish_weight(void *context, size_t index)
{
    cn__optimizer *o = context;
    const cn__trained_weight *t = &o->weights[index];
    cn__optimizer_moment m = moment_of(o);
    cn__optimizer_weight weight = {
        .shape = &t->shape, .count = t->count, .w = values_of(t), .g = o->gradients + t->offset};
    for (int s = 0; s < cn__update_slots; s++)
        weight.slot[s] = o->slot[s] ? o->slot[s] + t->offset : NULL;
    o->rule->finish(&m, &weight);
}

static void update(cn__optimizer *o, cn_pool *pool)
{
    double decay = 1 + o->common[cn__older_decay] * (double)o->iterations;
    o->now = (double)(float)(cn__optimizer_learning_rate(o) / decay);
    cn__optimizer_moment moment = moment_of(o);
    if (o->rule->coefficients)
        o->rule->coefficients(&moment);
    if (most_norm(o) > 0)
        find_norms(o, pool);
    for_pieces(o, change, pool);
    if (o->rule->finish)
        cn__pool_run(pool, finish_weight, o, (size_t)o->weight_count);
}

static void average(cn__optimizer *o, cn__piece *p)
{
    const cn__trained_weight *weight = &o->weights[p->weight];
    float *mean = o->average + weight->offset + p->first, *w = values_of(weight) + p->first;
    double momentum = updates(o) > 0 ? o->common[cn__ema_momentum] : 0;
    cn__kernels_get()->average((float)momentum, w, mean, p->count);
    if (fmod(updates(o) + 1, o->common[cn__ema_overwrite_frequency]) == 0)
        memcpy(w, mean, (size_t)p->count * sizeof *w);
}

static void constrain(void *context, size_t index)
{
    const cn__trained_weight *weight = &((cn__optimizer *)context)->weights[index];
    if (weight->constraint)
        cn__constrain(weight->constraint, values_of(weight));
}

void cn__optimizer_step(cn__optimizer *o, cn_pool *pool)
{
    bool now = fmod((double)o->iterations + 1, o->common[cn__accumulation_steps]) == 0;
    if (o->sum)
        for_pieces(o, now ? take_mean_gradient : add_gradient, pool);
    if (now)
        update(o, pool);
    if (o->average)
        for_pieces(o, average, pool);
    if (o->constrains)
        cn__pool_run(pool, constrain, o, (size_t)o->weight_count);
    for (int i = 0; i < o->weight_count; i++)
        cn__variable_changed(o->weights[i].variable);
    o->iterations++;
}

void cn__optimizer_finish(cn__optimizer *o)
{
    for (int i = 0; i < o->weight_count && o->average && o->iterations > 0; i++) {
        const cn__trained_weight *weight = &o->weights[i];
        memcpy(values_of(weight), o->average + weight->offset,
               (size_t)weight->count * sizeof(float));
        cn__variable_changed(weight->variable);
    }
}
