/* The options of a layer: defaults, validation, and options by name. All of it follows the types'
 * tables. */
#include "layers/layer.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- words in lists such as "valid|same" ---- */

int cn__list_index(const char *list, const char *word)
{
    size_t length = strlen(word);
    for (int index = 0; list; index++) {
        const char *end = strchr(list, '|');
        size_t item = end ? (size_t)(end - list) : strlen(list);
        if (item == length && length > 0 && memcmp(list, word, length) == 0)
            return index;
        list = end ? end + 1 : NULL;
    }
    return -1;
}

static int list_length(const char *list)
{
    int count = 1;
    for (const char *c = list; *c; c++)
        count += *c == '|';
    return count;
}

/* ---- by name ---- */

const cn__option *cn__option_find(const cn__layer_type *type, const char *name)
{
    for (int i = 0; i < type->option_count; i++) {
        const cn__option *option = &type->options[i];
        if (strcmp(option->name, name) == 0 || cn__list_index(option->aliases, name) >= 0)
            return option;
    }
    return NULL;
}

void *cn__option_at(const cn__option *option, void *options)
{
    return (unsigned char *)options + option->offset;
}

int cn__option_choice(const cn__option *option, const char *text)
{
    int choice = cn__list_index(option->choices, text);
    return choice >= 0 ? choice : cn__list_index(option->choice_aliases, text);
}

/* ---- numbers ---- */

/* " at least 1" or " from 0 to 1": the range of an option. */
static const char *range_text(const cn__option *o, char *text, size_t size)
{
    if (o->low > o->high)
        (void)snprintf(text, size, "at least %g", o->low);
    else
        (void)snprintf(text, size, "from %g to %g", o->low, o->high);
    return text;
}

static cn_status check_range(const cn__option *o, double value)
{
    bool any = o->low == 0 && o->high == 0;
    bool below = value < o->low, above = o->high >= o->low && value > o->high;
    char range[64];
    if (any || (!below && !above))
        return CN_OK;
    return cn__fail(CN_ERROR_ARGUMENT, "%s must be %s, not %g", o->name,
                    range_text(o, range, sizeof range), value);
}

static cn_status fail_missing(const cn__option *o)
{
    char range[64];
    if (o->low == 0 && o->high == 0)
        return cn__fail(CN_ERROR_ARGUMENT, "%s is required", o->name);
    return cn__fail(CN_ERROR_ARGUMENT, "%s is required: it must be %s", o->name,
                    range_text(o, range, sizeof range));
}

static bool is_zero_by_default(float value)
{
    return value == 0 && !signbit(value);
}

/* ---- one function for each kind: fills the default in, then checks ---- */

typedef cn_status fill_function(const cn_layer *layer, const cn__option *o, void *at);

static cn_status fill_int(const cn_layer *layer, const cn__option *o, void *at)
{
    int64_t *value = at;
    (void)layer;
    if (*value == 0 && o->required)
        return fail_missing(o);
    if (*value == 0) {
        *value = (int64_t)o->number;
        return CN_OK;
    }
    return check_range(o, (double)*value);
}

static cn_status fill_float(const cn_layer *layer, const cn__option *o, void *at)
{
    float *value = at;
    (void)layer;
    if (is_zero_by_default(*value) && o->required)
        return fail_missing(o);
    if (is_zero_by_default(*value))
        *value = (float)o->number;
    if (isnan(*value) && !isnan(o->number))
        return cn__fail(CN_ERROR_ARGUMENT, "%s must be a number, not NaN", o->name);
    return check_range(o, (double)*value);
}

static cn_status fill_bool(const cn_layer *layer, const cn__option *o, void *at)
{
    (void)layer;
    (void)o;
    (void)at;
    return CN_OK;
}

static cn_status fill_flag(const cn_layer *layer, const cn__option *o, void *at)
{
    cn_flag *value = at;
    (void)layer;
    if (*value == CN_DEFAULT)
        *value = CN_TRUE;
    if (*value == CN_TRUE || *value == CN_FALSE)
        return CN_OK;
    return cn__fail(CN_ERROR_ARGUMENT, "%s must be CN_TRUE (%d) or CN_FALSE (%d), not %d", o->name,
                    CN_TRUE, CN_FALSE, (int)*value);
}

/* Takes over the text or the default. */
static cn_status copy_text(const cn_layer *layer, const cn__option *o, const char **text)
{
    if (!*text && o->required)
        return fail_missing(o);
    const char *source = *text ? *text : o->text;
    *text = source ? cn__arena_strdup(layer->arena, source) : NULL;
    return source && !*text ? CN_ERROR_MEMORY : CN_OK;
}

static cn_status fill_text(const cn_layer *layer, const cn__option *o, void *at)
{
    const char **text = at;
    CN__TRY(copy_text(layer, o, text));
    if (!*text || !o->choices || cn__list_index(o->choices, *text) >= 0)
        return CN_OK;
    return cn__fail(CN_ERROR_ARGUMENT, "%s must be one of %s, not \"%s\"", o->name, o->choices,
                    *text);
}

static bool ends_in(const char *text, const char *end)
{
    size_t length = strlen(text), tail = strlen(end);
    return length >= tail && strcmp(text + length - tail, end) == 0;
}

static cn_status fill_object(const cn_layer *layer, const cn__option *o, void *at)
{
    const char **text = at;
    CN__TRY(copy_text(layer, o, text));
    if (!*text)
        return CN_OK;
    cn__expression parsed;
    cn_status status = CN_OK;
    if (ends_in(o->name, "activation"))
        status = cn__activation_known(*text) ? CN_OK : cn_error_status();
    else if (ends_in(o->name, "_initializer"))
        status = cn__initializer_known(*text) ? CN_OK : cn_error_status();
    else
        status = cn__expression_parse(layer->arena, *text, &parsed);
    return status == CN_OK ? CN_OK : cn__fail_within("%s", o->name);
}

static cn_status fill_enum(const cn_layer *layer, const cn__option *o, void *at)
{
    int *value = at;
    (void)layer;
    if (*value == 0)
        *value = (int)o->number;
    if (*value >= 0 && *value < list_length(o->choices))
        return CN_OK;
    return cn__fail(CN_ERROR_ARGUMENT, "%s must be one of %s, not the number %d", o->name,
                    o->choices, *value);
}

static bool all_zero(const int64_t *numbers, int count)
{
    for (int i = 0; i < count; i++)
        if (numbers[i] != 0)
            return false;
    return true;
}

/* Fails if numbers are given for more axes than the layer has. */
static cn_status check_axes(const cn_layer *layer, const cn__option *o, const int64_t *numbers,
                            int per_axis)
{
    int rank = layer->type->rank;
    if (all_zero(numbers + rank * per_axis, (3 - rank) * per_axis))
        return CN_OK;
    return cn__fail(CN_ERROR_ARGUMENT, "%s has numbers for more axes than the %d that are there",
                    o->name, rank);
}

static cn_status fill_dims(const cn_layer *layer, const cn__option *o, void *at)
{
    int64_t *numbers = at;
    CN__TRY(check_axes(layer, o, numbers, 1));
    int rank = layer->type->rank;
    bool missing = all_zero(numbers, rank);
    if (missing && o->required)
        return fail_missing(o);
    if (missing && o->number == 0)
        return CN_OK;
    if (!missing && numbers[0] == 0)
        return cn__fail(CN_ERROR_ARGUMENT,
                        "%s: the first number is missing (for a zero that is meant, write CN_ZERO)",
                        o->name);
    for (int i = 0; i < rank; i++) {
        if (missing)
            numbers[i] = (int64_t)o->number;
        else if (numbers[i] == 0)
            numbers[i] = numbers[0];
        CN__TRY(check_range(o, (double)cn__dim(numbers[i])));
    }
    return CN_OK;
}

static cn_status fill_pairs(const cn_layer *layer, const cn__option *o, void *at)
{
    int64_t *numbers = at;
    CN__TRY(check_axes(layer, o, numbers, 2));
    int count = 2 * layer->type->rank;
    bool missing = all_zero(numbers, count);
    for (int i = 0; i < count; i++) {
        if (missing)
            numbers[i] = (int64_t)o->number;
        else if (numbers[i] == 0)
            numbers[i] = CN_ZERO;
        CN__TRY(check_range(o, (double)cn__dim(numbers[i])));
    }
    return CN_OK;
}

/* The first 0 ends a list of SHAPE or AXES. */
static cn_status check_end(const cn__option *o, const int64_t *numbers)
{
    int count = 0;
    while (count < CN_MAX_RANK && numbers[count] != 0)
        count++;
    if (all_zero(numbers + count, CN_MAX_RANK - count))
        return CN_OK;
    return cn__fail(CN_ERROR_ARGUMENT, "%s: number %d is 0, which would end the list; %s", o->name,
                    count + 1,
                    o->kind == CN__SHAPE ? "an extent must be at least 1, or -1"
                                         : "an axis cannot be the batch's");
}

static cn_status fill_shape(const cn_layer *layer, const cn__option *o, void *at)
{
    const int64_t *extents = at;
    (void)layer;
    for (int i = 0; i < CN_MAX_RANK && extents[i] != 0; i++)
        if (extents[i] < -1)
            return cn__fail(CN_ERROR_ARGUMENT, "%s: an extent must be at least 1, or -1, not %lld",
                            o->name, (long long)extents[i]);
    return check_end(o, extents);
}

static cn_status fill_axes(const cn_layer *layer, const cn__option *o, void *at)
{
    int64_t *axes = at;
    (void)layer;
    if (all_zero(axes, CN_MAX_RANK) && o->required)
        return fail_missing(o);
    if (all_zero(axes, CN_MAX_RANK))
        axes[0] = (int64_t)o->number;
    for (int i = 0; i < CN_MAX_RANK && axes[i] != 0; i++)
        if (axes[i] < -CN_MAX_RANK || axes[i] >= CN_MAX_RANK)
            return cn__fail(CN_ERROR_ARGUMENT, "%s: there is no axis %lld", o->name,
                            (long long)axes[i]);
    return check_end(o, axes);
}

/* ---- all kinds ---- */

static const struct {
    size_t size; /* of an element */
    int count;
    fill_function *fill;
} kinds[] = {
    [CN__INT] = {sizeof(int64_t), 1, fill_int},
    [CN__FLOAT] = {sizeof(float), 1, fill_float},
    [CN__BOOL] = {sizeof(bool), 1, fill_bool},
    [CN__FLAG] = {sizeof(cn_flag), 1, fill_flag},
    [CN__TEXT] = {sizeof(char *), 1, fill_text},
    [CN__OBJECT] = {sizeof(char *), 1, fill_object},
    [CN__ENUM] = {sizeof(int), 1, fill_enum},
    [CN__DIMS] = {sizeof(int64_t), 3, fill_dims},
    [CN__PAIRS] = {sizeof(int64_t), 6, fill_pairs},
    [CN__SHAPE] = {sizeof(int64_t), CN_MAX_RANK, fill_shape},
    [CN__AXES] = {sizeof(int64_t), CN_MAX_RANK, fill_axes},
};

static cn_status refuse(const cn__option *o, const void *at)
{
    static const unsigned char zeros[CN_MAX_RANK * sizeof(int64_t)];
    if (memcmp(at, zeros, kinds[o->kind].size * (size_t)kinds[o->kind].count) == 0)
        return CN_OK;
    return cn__fail(CN_ERROR_ARGUMENT, "there is no option %s", o->name);
}

cn_status cn__options_fill(cn_layer *layer)
{
    const cn__layer_type *type = layer->type;
    for (int i = 0; i < type->option_count + type->refused_count; i++) {
        const cn__option *o = &type->options[i];
        void *at = cn__option_at(o, layer->options);
        CN__TRY(i < type->option_count ? kinds[o->kind].fill(layer, o, at) : refuse(o, at));
    }
    return CN_OK;
}

/* ---- numbers one by one ---- */

cn_status cn__option_set_number(const cn__option *option, void *options, int index, double value)
{
    void *at = cn__option_at(option, options);
    cn__option_kind kind = option->kind;
    if (index < 0 || index >= kinds[kind].count)
        return cn__fail(CN_ERROR_ARGUMENT, "%s: more than %d numbers", option->name,
                        kinds[kind].count);
    if (kind == CN__FLOAT) {
        *(float *)at = value == 0 ? -0.0f : (float)value;
        return CN_OK;
    }
    if (kinds[kind].size != sizeof(int64_t) || kind == CN__TEXT || kind == CN__OBJECT)
        return cn__fail(CN_ERROR_ARGUMENT, "%s is not a number", option->name);
    if (!(fabs(value) < 0x1p53) || value != floor(value))
        return cn__fail(CN_ERROR_ARGUMENT, "%s must be a whole number, not %g", option->name,
                        value);
    bool pads = kind == CN__DIMS || kind == CN__PAIRS;
    if (value == 0 && !pads && (option->number != 0 || kind != CN__INT || option->required))
        return cn__fail(CN_ERROR_ARGUMENT, "%s cannot be 0", option->name);
    ((int64_t *)at)[index] = value == 0 && pads ? CN_ZERO : (int64_t)value;
    return CN_OK;
}

double cn__option_number(const cn__option *option, const void *options, int index)
{
    const void *at = (const unsigned char *)options + option->offset;
    if (option->kind == CN__FLOAT)
        return (double)*(const float *)at;
    return (double)cn__dim(((const int64_t *)at)[index]);
}
