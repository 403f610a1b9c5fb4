/* Keras' constraints: what a weight is changed to after every step. Formulas:
 * keras/src/constraints/constraints.py at version 3.15. */
#include "layers/keepers.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* A norm that lies below `low` or above `high` is moved there by `rate`; epsilon as in Keras. */
struct cn__constraint {
    bool positive; /* no norms: negative values become 0 */
    double low, high, rate;
    cn_shape shape;
    int64_t step[CN_MAX_RANK]; /* along each axis, in `norms`; 0: the norm is over this axis */
    int64_t groups;            /* that have a norm each */
    double *norms;             /* [groups] */
};

typedef struct row {
    const char *names;
    const char *keys;
    bool positive;
    double low, high;
} row;

static const row rows[] = {
    {"MaxNorm|max_norm|maxnorm", "max_value|m|axis", .high = 2},
    {"MinMaxNorm|min_max_norm", "min_value|low|max_value|m|high|rate|axis", .high = 1},
    {"UnitNorm|unit_norm|unitnorm", "axis", .low = 1, .high = 1},
    {"NonNeg|non_neg|nonneg", NULL, .positive = true},
};

static cn_status check(const row *r, const cn__expression *e)
{
    for (int i = 0; i < e->count; i++) {
        const char *key = e->arguments[i].key, *text = e->arguments[i].text;
        if (cn__list_index("name", key) >= 0)
            continue;
        if (cn__list_index(r->keys, key) < 0)
            return cn__fail(CN_ERROR_ARGUMENT, "the constraint %s has no argument \"%s\"", e->name,
                            key);
        if (strcmp(key, "axis") != 0 && !(e->arguments[i].number >= 0))
            return cn__fail(CN_ERROR_ARGUMENT, "%s: %s must be a number of at least 0, not %s",
                            e->name, key, text);
    }
    return CN_OK;
}

static const row *find(const cn__expression *e)
{
    for (size_t i = 0; i < CN__COUNT(rows); i++)
        if (cn__list_index(rows[i].names, e->name) >= 0)
            return check(&rows[i], e) == CN_OK ? &rows[i] : NULL;
    return cn__fail_null(CN_ERROR_ARGUMENT,
                         "there is no constraint \"%s\"; the names are Keras', such as \"NonNeg\", "
                         "\"UnitNorm\" or \"MaxNorm(max_value=2, axis=[0, 1, 2])\"",
                         e->name);
}

/* The axes the norms are over, as bits. */
static cn_status read_axes(cn__arena *arena, const cn__expression *e, int rank, unsigned *axes)
{
    int count;
    double *numbers, first = 0;
    CN__TRY(cn__expression_numbers(arena, e, "axis", &count, &numbers));
    *axes = 0;
    for (int i = 0; i < cn__max(count, 1); i++) {
        double axis = count > 0 ? numbers[i] : first;
        if (axis != floor(axis) || axis < -rank || axis >= rank)
            return cn__fail(CN_ERROR_ARGUMENT,
                            "%s: axis must be a whole number from %d to %d, as the weight has %d "
                            "axes, not %g",
                            e->name, -rank, rank - 1, rank, axis);
        *axes |= 1u << ((int)axis + (axis < 0 ? rank : 0));
    }
    return CN_OK;
}

static cn_status lay_out(cn__arena *arena, unsigned axes, cn__constraint *c)
{
    c->groups = 1;
    for (int i = c->shape.rank - 1; i >= 0; i--) {
        bool over = axes >> i & 1;
        c->step[i] = over ? 0 : c->groups;
        c->groups *= over ? 1 : c->shape.dim[i];
    }
    c->norms = cn__arena_alloc(arena, (size_t)cn__max(c->groups, 1) * sizeof *c->norms);
    return c->norms ? CN_OK : CN_ERROR_MEMORY;
}

bool cn__constraint_known(const char *text)
{
    if (!text)
        return true;
    cn__arena *arena = cn__arena_new();
    cn__expression e;
    int count;
    double *numbers;
    bool known = arena && cn__expression_parse(arena, text, &e) == CN_OK && find(&e) &&
                 cn__expression_numbers(arena, &e, "axis", &count, &numbers) == CN_OK;
    cn__arena_free(arena);
    return known;
}

cn_status cn__constraint_parse(cn__arena *arena, const char *text, const cn_shape *shape,
                               cn__constraint **constraint)
{
    *constraint = NULL;
    if (!text)
        return CN_OK;
    cn__expression e;
    CN__TRY(cn__expression_parse(arena, text, &e));
    const row *r = find(&e);
    if (!r)
        return CN_ERROR_ARGUMENT;
    cn__constraint *c = cn__arena_alloc(arena, sizeof *c);
    if (!c)
        return CN_ERROR_MEMORY;
    *c = (cn__constraint){.positive = r->positive,
                          .low = cn__expression_number(&e, "min_value|low", r->low),
                          .high = cn__expression_number(&e, "max_value|m|high", r->high),
                          .rate = cn__expression_number(&e, "rate", 1),
                          .shape = *shape};
    unsigned axes = 0;
    if (!c->positive)
        CN__TRY(read_axes(arena, &e, shape->rank, &axes));
    CN__TRY(lay_out(arena, axes, c));
    *constraint = c;
    return CN_OK;
}

/* The group of element `index`, which begins a run along the last axis. */
static int64_t group_of(const cn__constraint *c, int64_t index)
{
    int64_t group = 0;
    for (int i = c->shape.rank - 1; i >= 0; i--) {
        group += index % c->shape.dim[i] * c->step[i];
        index /= c->shape.dim[i];
    }
    return group;
}

/* norms[group] becomes what the group's values are multiplied with. */
static void find_factors(const cn__constraint *c)
{
    static const double epsilon = 1e-7;
    for (int64_t i = 0; i < c->groups; i++) {
        double norm = sqrt(c->norms[i]), clipped = fmin(fmax(norm, c->low), c->high);
        c->norms[i] = (c->rate * clipped + (1 - c->rate) * norm) / (epsilon + norm);
    }
}

void cn__constrain(const cn__constraint *c, float *values)
{
    int64_t count = cn_shape_count(&c->shape), rank = c->shape.rank;
    int64_t run = rank > 0 ? c->shape.dim[rank - 1] : 1, step = rank > 0 ? c->step[rank - 1] : 0;
    if (c->positive) {
        for (int64_t i = 0; i < count; i++)
            values[i] = values[i] < 0 ? 0 : values[i];
        return;
    }
    memset(c->norms, 0, (size_t)c->groups * sizeof *c->norms);
    for (int64_t at = 0; at < count; at += run) {
        double *norms = c->norms + group_of(c, at);
        for (int64_t i = 0; i < run; i++)
            norms[i * step] += (double)values[at + i] * (double)values[at + i];
    }
    find_factors(c);
    for (int64_t at = 0; at < count; at += run) {
        const double *factors = c->norms + group_of(c, at);
        for (int64_t i = 0; i < run; i++)
            values[at + i] = (float)(factors[i * step] * (double)values[at + i]);
    }
}
