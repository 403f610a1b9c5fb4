/* Keras' learning rate schedules. Formulas:
 * keras/src/optimizers/schedules/learning_rate_schedule.py at version 3.15. */
#include "layers/schedules.h"

#include <math.h>
#include <string.h>

enum { most_arguments = 6 };

typedef struct argument {
    const char *key;
    double value; /* the default, if it is optional */
    bool optional;
    bool above; /* must be above 0 */
    double low; /* the least it may be: 0 or 1 */
} argument;

typedef struct row {
    const char *names;
    argument arguments[most_arguments];
    double (*rate)(const cn__schedule *s, double step);
} row;

struct cn__schedule {
    const row *row;
    double a[most_arguments]; /* the arguments, in the row's order */
    int pieces;               /* of PiecewiseConstantDecay */
    double *boundaries, *values;
};

/* ---- the formulas ---- */

static double part_of(double step, double steps, bool staircase)
{
    return staircase ? floor(step / steps) : step / steps;
}

/* rate, steps, decay, staircase */
static double exponential(const cn__schedule *s, double step)
{
    return s->a[0] * pow(s->a[2], part_of(step, s->a[1], s->a[3] != 0));
}

static double inverse_time(const cn__schedule *s, double step)
{
    return s->a[0] / (1 + s->a[2] * part_of(step, s->a[1], s->a[3] != 0));
}

/* rate, steps, end, power, cycle */
static double polynomial(const cn__schedule *s, double step)
{
    double steps = s->a[1];
    if (s->a[4] != 0)
        steps *= step == 0 ? 1 : ceil(step / steps);
    return (s->a[0] - s->a[2]) * pow(1 - fmin(step, steps) / steps, s->a[3]) + s->a[2];
}

static double half_cosine(double part)
{
    static const double pi = 3.14159265358979323846;
    return 0.5 * (1 + cos(pi * part));
}

/* rate, steps, alpha, warm-up steps, warm-up target */
static double cosine(const cn__schedule *s, double step)
{
    bool warms = !isnan(s->a[4]);
    double warm_up = warms ? s->a[3] : 0, from = warms ? s->a[4] : s->a[0];
    if (step < warm_up)
        return (s->a[4] - s->a[0]) * (step / warm_up) + s->a[0];
    double part = fmin(step - warm_up, s->a[1]) / s->a[1];
    return from * ((1 - s->a[2]) * half_cosine(part) + s->a[2]);
}

/* rate, first steps, t_mul, m_mul, alpha. Period i is t_mul^i times as long as the first. */
static double cosine_restarts(const cn__schedule *s, double step)
{
    double part = step / s->a[1], growth = s->a[2], period = floor(part), begin = period;
    if (growth > 1) {
        /* The logarithm may be off by its rounding where a period begins. */
        period = floor(log(1 + part * (growth - 1)) / log(growth) + 1e-9);
        begin = (pow(growth, period) - 1) / (growth - 1);
    }
    part = fmax(part - begin, 0) / pow(growth, period);
    return s->a[0] * ((1 - s->a[4]) * pow(s->a[3], period) * half_cosine(part) + s->a[4]);
}

static double piecewise(const cn__schedule *s, double step)
{
    int i = 0;
    while (i < s->pieces - 1 && step > s->boundaries[i])
        i++;
    return s->values[i];
}

/* ---- the table ---- */

#define RATE                                                                                       \
    {                                                                                              \
        .key = "initial_learning_rate"                                                             \
    }
#define STEPS(name)                                                                                \
    {                                                                                              \
        .key = name, .above = true                                                                 \
    }
#define OTHER(name, default_)                                                                      \
    {                                                                                              \
        .key = name, .value = default_, .optional = true                                           \
    }

static const row rows[] = {
    {"ExponentialDecay",
     {RATE, STEPS("decay_steps"), {.key = "decay_rate"}, OTHER("staircase", 0)},
     exponential},
    {"InverseTimeDecay",
     {RATE, STEPS("decay_steps"), {.key = "decay_rate"}, OTHER("staircase", 0)},
     inverse_time},
    {"PolynomialDecay",
     {RATE, STEPS("decay_steps"), OTHER("end_learning_rate", 1e-4), OTHER("power", 1),
      OTHER("cycle", 0)},
     polynomial},
    {"CosineDecay",
     {RATE, STEPS("decay_steps"), OTHER("alpha", 0), OTHER("warmup_steps", 0),
      OTHER("warmup_target", (double)NAN)},
     cosine},
    {"CosineDecayRestarts",
     {RATE,
      STEPS("first_decay_steps"),
      {.key = "t_mul", .value = 2, .optional = true, .low = 1},
      OTHER("m_mul", 1),
      OTHER("alpha", 0)},
     cosine_restarts},
    {.names = "PiecewiseConstantDecay|PiecewiseConstant", .rate = piecewise},
};

/* ---- reading ---- */

static const row *find(const cn__expression *e)
{
    for (size_t i = 0; i < CN__COUNT(rows); i++)
        if (cn__list_index(rows[i].names, e->name) >= 0)
            return &rows[i];
    return cn__fail_null(CN_ERROR_ARGUMENT,
                         "there is no learning rate schedule \"%s\"; there are ExponentialDecay, "
                         "InverseTimeDecay, PolynomialDecay, CosineDecay, CosineDecayRestarts and "
                         "PiecewiseConstantDecay",
                         e->name);
}

static cn_status check_keys(const row *r, const cn__expression *e)
{
    for (int i = 0; i < e->count; i++) {
        const char *key = e->arguments[i].key;
        bool known =
            cn__list_index(r->rate == piecewise ? "name|boundaries|values" : "name", key) >= 0;
        for (int j = 0; j < most_arguments && r->arguments[j].key; j++)
            known = known || strcmp(r->arguments[j].key, key) == 0;
        if (!known)
            return cn__fail(CN_ERROR_ARGUMENT, "the schedule %s has no argument \"%s\"", e->name,
                            key);
    }
    return CN_OK;
}

static cn_status read_argument(const argument *a, const cn__expression *e, double *value)
{
    const char *text = cn__expression_text(e, a->key, "None");
    *value = cn__expression_number(e, a->key, a->optional ? a->value : (double)NAN);
    if (strcmp(text, "None") == 0 && a->optional)
        return CN_OK;
    bool in_range = a->above ? *value > 0 : *value >= a->low;
    if (fabs(*value) < (double)INFINITY && in_range)
        return CN_OK;
    return cn__fail(CN_ERROR_ARGUMENT, "%s: %s must be a number%s, not %s", e->name, a->key,
                    a->above     ? " above 0"
                    : a->low > 0 ? " of at least 1"
                                 : "",
                    text);
}

static cn_status read_pieces(cn__arena *arena, const cn__expression *e, cn__schedule *s)
{
    int boundaries;
    CN__TRY(cn__expression_numbers(arena, e, "boundaries", &boundaries, &s->boundaries));
    CN__TRY(cn__expression_numbers(arena, e, "values", &s->pieces, &s->values));
    if (s->pieces == boundaries + 1 && boundaries > 0)
        return CN_OK;
    return cn__fail(CN_ERROR_ARGUMENT,
                    "%s: there must be boundaries, and one value more than there are of them; %d "
                    "boundaries and %d values are given",
                    e->name, boundaries, s->pieces);
}

cn__schedule *cn__schedule_parse(cn__arena *arena, const char *text)
{
    cn__expression e;
    if (cn__expression_parse(arena, text, &e) != CN_OK)
        return NULL;
    const row *r = find(&e);
    cn__schedule *s = r ? cn__arena_alloc(arena, sizeof *s) : NULL;
    if (!s || check_keys(r, &e) != CN_OK)
        return NULL;
    s->row = r;
    for (int i = 0; i < most_arguments && r->arguments[i].key; i++)
        if (read_argument(&r->arguments[i], &e, &s->a[i]) != CN_OK)
            return NULL;
    if (r->rate == piecewise && read_pieces(arena, &e, s) != CN_OK)
        return NULL;
    return s;
}

double cn__schedule_rate(const cn__schedule *s, int64_t step)
{
    return (double)(float)s->row->rate(s, (double)step);
}
