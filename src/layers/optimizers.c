/* Optimizers: reading and building them. */
#include <math.h>
#include <string.h>

#include "layers/optimizer_rules.h"

/* ---- reading ---- */

#define ANY ((double)INFINITY)
#define NONE ((double)NAN)
#define ALWAYS(value)                                                                              \
    {                                                                                              \
        value, value, value                                                                        \
    }
static const cn__optimizer_argument common_arguments[cn__common_count] = {
    [cn__weight_decay] = {"weight_decay", ALWAYS(NONE), 0, ANY},
    [cn__clipnorm] = {"clipnorm", ALWAYS(NONE), 0, ANY},
    [cn__clipvalue] = {"clipvalue", ALWAYS(NONE), 0, ANY},
    [cn__global_clipnorm] = {"global_clipnorm", ALWAYS(NONE), 0, ANY},
    [cn__use_ema] = {"use_ema", ALWAYS(0), 0, 1},
    [cn__ema_momentum] = {"ema_momentum", ALWAYS(0.99), 0, 1},
    [cn__ema_overwrite_frequency] = {"ema_overwrite_frequency", ALWAYS(NONE), 1, 1e9},
    [cn__accumulation_steps] = {"gradient_accumulation_steps", ALWAYS(1), 1, 1e9},
    [cn__older_decay] = {"decay", ALWAYS(0), 0, ANY},
    [cn__version_number] = {"version", ALWAYS(3), 1, 3},
};

static cn_status read_argument(const cn__expression *e, const cn__optimizer_argument *argument,
                               int version, double *value)
{
    const char *text = cn__expression_text(e, argument->keys, "None");
    *value = argument->value[version - 1];
    if (strcmp(text, "None") == 0)
        return CN_OK;
    *value = cn__expression_number(e, argument->keys, NONE);
    if (fabs(*value) < ANY && *value >= argument->low && *value <= argument->high)
        return CN_OK;
    return cn__fail(CN_ERROR_ARGUMENT, "%s: %s must be a number from %g to %g, not %s", e->name,
                    argument->keys, argument->low, argument->high, text);
}

static cn_status check_whole(const cn__optimizer *o, const cn__expression *e)
{
    static const int whole[] = {cn__version_number, cn__accumulation_steps,
                                cn__ema_overwrite_frequency};
    for (size_t i = 0; i < CN__COUNT(whole); i++) {
        double value = o->common[whole[i]];
        if (!isnan(value) && value != floor(value))
            return cn__fail(CN_ERROR_ARGUMENT, "%s: %s must be a whole number, not %g", e->name,
                            common_arguments[whole[i]].keys, value);
    }
    return CN_OK;
}

static cn_status check_keys(const cn__optimizer *o, const cn__expression *e)
{
    for (int i = 0; i < e->count; i++) {
        const char *key = e->arguments[i].key;
        bool known = cn__list_index("learning_rate|lr|name|loss_scale_factor|jit_compile|"
                                    "is_legacy_optimizer",
                                    key) >= 0;
        for (int j = 0; j < cn__common_count; j++)
            known = known || strcmp(common_arguments[j].keys, key) == 0;
        for (int j = 0; j < cn__optimizer_arguments; j++)
            known = known || cn__list_index(o->rule->arguments[j].keys, key) >= 0;
        if (!known)
            return cn__fail(CN_ERROR_ARGUMENT, "the optimizer %s has no argument \"%s\"", e->name,
                            key);
    }
    if (strcmp(cn__expression_text(e, "loss_scale_factor", "None"), "None") != 0)
        return cn__fail(CN_ERROR_UNSUPPORTED,
                        "%s: loss_scale_factor is for numbers of 16 bits; leave it out", e->name);
    return CN_OK;
}

static cn_status check_clips(const cn__optimizer *o, const cn__expression *e)
{
    int clips = 0;
    for (int i = cn__clipnorm; i <= cn__global_clipnorm; i++)
        clips += !isnan(o->common[i]);
    if (clips > 1 && o->common[cn__version_number] == 3)
        return cn__fail(
            CN_ERROR_ARGUMENT,
            "%s: only one of clipnorm, clipvalue and global_clipnorm can be set, not %d", e->name,
            clips);
    return CN_OK;
}

static cn_status read_rate(cn__optimizer *o, const cn__expression *e, int version)
{
    const char *text = cn__expression_text(e, "learning_rate|lr", "None");
    bool given = strcmp(text, "None") != 0;
    double rate = cn__expression_number(e, "learning_rate|lr", NONE);
    if (given && isnan(rate)) {
        o->schedule = cn__schedule_parse(o->arena, text);
        return o->schedule ? CN_OK : cn_error_status();
    }
    return cn__optimizer_set_learning_rate(o, given ? rate : o->rule->rate[version - 1]);
}

static cn_status read_all(cn__optimizer *o, const char *text)
{
    cn__expression e;
    CN__TRY(cn__expression_parse(o->arena, text, &e));
    o->rule = cn__optimizer_rule_find(e.name);
    if (!o->rule)
        return CN_ERROR_ARGUMENT;
    CN__TRY(check_keys(o, &e));
    for (int i = 0; i < cn__common_count; i++)
        CN__TRY(read_argument(&e, &common_arguments[i], 3, &o->common[i]));
    CN__TRY(check_whole(o, &e));
    int version = (int)o->common[cn__version_number];
    for (int i = 0; i < cn__optimizer_arguments && o->rule->arguments[i].keys; i++)
        CN__TRY(read_argument(&e, &o->rule->arguments[i], version, &o->a[i]));
    if (isnan(o->common[cn__weight_decay]))
        o->common[cn__weight_decay] = o->rule->decay;
    CN__TRY(check_clips(o, &e));
    CN__TRY(read_rate(o, &e, version));
    const char *rest = strchr(text, '(');
    o->text = cn__arena_printf(o->arena, "%.*s%s", (int)strcspn(o->rule->names, "|"),
                               o->rule->names, rest ? rest : "");
    return o->text ? CN_OK : CN_ERROR_MEMORY;
}

cn__optimizer *cn__optimizer_new(const char *optimizer)
{
    if (!optimizer)
        return cn__fail_null_argument("cn__optimizer_new"), NULL;
    cn__optimizer *o = cn__calloc(1, sizeof *o);
    if (!o)
        return NULL;
    o->u = 1;
    o->arena = cn__arena_new();
    if (!o->arena || read_all(o, optimizer) != CN_OK) {
        cn__optimizer_free(o);
        return NULL;
    }
    return o;
}

static void release_built(cn__optimizer *o)
{
    cn__free(o->memory);
    cn__arena_free(o->built);
    o->memory = NULL;
    o->built = NULL;
    o->weight_count = o->piece_count = o->task_count = 0;
}

void cn__optimizer_free(cn__optimizer *o)
{
    if (!o)
        return;
    release_built(o);
    cn__arena_free(o->arena);
    cn__free(o);
}

const char *cn__optimizer_text(const cn__optimizer *o)
{
    return o->text;
}

/* ---- building ---- */

static cn_status copy_weight(cn__optimizer *o, const cn__trained *from, cn__trained_weight *to)
{
    *to = (cn__trained_weight){.variable = from->variable,
                               .shape = *cn_array_shape(from->variable->value),
                               .count = cn_array_count(from->variable->value),
                               .offset = o->total,
                               .name = cn__arena_strdup(o->built, from->name)};
    o->total += cn__ceil_div(cn__max(to->count, 1), 16) * 16;
    o->piece_count += (int)cn__ceil_div(to->count, cn__piece_values);
    o->constrains = o->constrains || from->constraint;
    if (!to->name)
        return CN_ERROR_MEMORY;
    if (cn__constraint_parse(o->built, from->constraint, &to->shape, &to->constraint) != CN_OK)
        return cn__fail_within("%s", from->name);
    return CN_OK;
}

/* Tasks are runs of pieces with enough values to be worth a thread's while. */
static cn_status cut(cn__optimizer *o)
{
    o->pieces = cn__arena_alloc(o->built, ((size_t)o->piece_count + 1) * sizeof *o->pieces);
    o->tasks = cn__arena_alloc(o->built, ((size_t)o->piece_count + 1) * sizeof *o->tasks);
    if (!o->pieces || !o->tasks)
        return CN_ERROR_MEMORY;
    int64_t values = cn__piece_values;
    int n = 0;
    for (int i = 0; i < o->weight_count; i++)
        for (int64_t at = 0; at < o->weights[i].count; at += cn__piece_values) {
            int64_t count = cn__min(o->weights[i].count - at, cn__piece_values);
            if (values >= cn__piece_values) {
                o->tasks[o->task_count++] = n;
                values = 0;
            }
            o->pieces[n++] = (cn__piece){.weight = i, .first = at, .count = count};
            values += count;
        }
    o->tasks[o->task_count] = n;
    return CN_OK;
}

static float *take_buffer(const cn__optimizer *o, bool wanted, int64_t *used)
{
    float *buffer = wanted ? o->memory + *used : NULL;
    *used += wanted ? o->total : 0;
    return buffer;
}

static cn_status make_buffers(cn__optimizer *o)
{
    bool averages = o->common[cn__use_ema] != 0, sums = o->common[cn__accumulation_steps] > 1;
    size_t buffers = 1 + (size_t)averages + (size_t)sums;
    for (int s = 0; s < cn__update_slots; s++)
        buffers += cn__optimizer_keeps(o, s);
    o->memory = cn__calloc((size_t)cn__max(o->total, 1) * buffers, sizeof(float));
    if (!o->memory)
        return CN_ERROR_MEMORY;
    int64_t used = 0;
    o->gradients = take_buffer(o, true, &used);
    o->average = take_buffer(o, averages, &used);
    o->sum = take_buffer(o, sums, &used);
    for (int s = 0; s < cn__update_slots; s++) {
        o->slot[s] = take_buffer(o, cn__optimizer_keeps(o, s), &used);
        int first = o->rule->slots[s].first;
        for (int64_t i = 0; o->slot[s] && first >= 0 && i < o->total; i++)
            o->slot[s][i] = (float)o->a[first];
    }
    return CN_OK;
}

static cn_status build(cn__optimizer *o, int count, const cn__trained *weights)
{
    o->built = cn__arena_new();
    o->weights =
        o->built ? cn__arena_alloc(o->built, ((size_t)count + 1) * sizeof *o->weights) : NULL;
    if (!o->weights)
        return CN_ERROR_MEMORY;
    o->total = 0;
    o->constrains = false;
    for (int i = 0; i < count; i++)
        CN__TRY(copy_weight(o, &weights[i], &o->weights[i]));
    o->weight_count = count;
    CN__TRY(cut(o));
    return make_buffers(o);
}

cn_status cn__optimizer_build(cn__optimizer *o, int count, const cn__trained *weights)
{
    if (!o || count < 0 || (count > 0 && !weights))
        return cn__fail_null_argument("cn__optimizer_build");
    release_built(o);
    cn_status status = build(o, count, weights);
    if (status != CN_OK)
        release_built(o);
    return status;
}

float *cn__optimizer_gradients(const cn__optimizer *o, int64_t *count)
{
    *count = o->total;
    return o->gradients;
}

int64_t cn__optimizer_offset(const cn__optimizer *o, int weight)
{
    return o->weights[weight].offset;
}

/* ---- what can be asked and set ---- */

int64_t cn__optimizer_iterations(const cn__optimizer *o)
{
    return o->iterations;
}

void cn__optimizer_set_iterations(cn__optimizer *o, int64_t iterations)
{
    o->iterations = cn__max(iterations, 0);
}

double cn__optimizer_learning_rate(const cn__optimizer *o)
{
    return o->schedule ? cn__schedule_rate(o->schedule, o->iterations) : o->rate;
}

cn_status cn__optimizer_set_learning_rate(cn__optimizer *o, double rate)
{
    if (o->schedule)
        return cn__fail(CN_ERROR_ARGUMENT,
                        "the learning rate follows a schedule and cannot be set; make the "
                        "optimizer with a number to change it");
    if (!(rate >= 0 && rate < ANY))
        return cn__fail(CN_ERROR_ARGUMENT,
                        "the learning rate must be a number of at least 0, not %g", rate);
    o->rate = (double)(float)rate;
    return CN_OK;
}
