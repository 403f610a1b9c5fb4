/* JSON of configurations: parsing within bounds, and objects as expressions. */
#include "formats/keras.h"

#include <string.h>

/* The deepest nesting read, and the most memory the values may take. A nested model adds about 6
 * levels; the largest of Keras' own models takes below 16 MiB. */
enum { MOST_NESTING = 256 };
#define MOST_MEMORY ((size_t)96 << 20)

/* An upper estimate of the memory jansson takes, from the characters that begin values. */
static cn_status check_size(const char *text, size_t size)
{
    size_t memory = size, depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        if (in_string && c == '\\')
            i++;
        else if (c == '"')
            in_string = !in_string;
        if (in_string || c == '"')
            continue;
        depth += c == '{' || c == '[';
        depth -= (c == '}' || c == ']') && depth > 0;
        memory += c == '{' ? 320 : c == '[' ? 128 : c == ',' ? 64 : c == ':' ? 96 : 0;
        if (depth > MOST_NESTING)
            return cn__fail(CN_ERROR_FORMAT, "the configuration is nested more than %d deep",
                            MOST_NESTING);
    }
    if (memory > MOST_MEMORY)
        return cn__fail(CN_ERROR_UNSUPPORTED,
                        "the configuration would take %zu bytes of memory, more than the %zu Cornu "
                        "gives it",
                        memory, MOST_MEMORY);
    return CN_OK;
}

json_t *cn__json_parse(const char *text, size_t size)
{
    if (check_size(text, size) != CN_OK)
        return NULL;
    json_error_t error;
    json_t *json = json_loadb(text, size, 0, &error);
    if (json == NULL)
        return cn__fail_null(CN_ERROR_FORMAT,
                             "the configuration is no JSON: line %d, column %d: %s", error.line,
                             error.column, error.text);
    return json;
}

json_t *cn__json_get(const json_t *object, const char *key)
{
    return json_object_get(object, key);
}

const char *cn__json_text(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

const char *cn__json_kind(const json_t *value)
{
    static const char *const kinds[] = {
        [JSON_OBJECT] = "an object", [JSON_ARRAY] = "a list",  [JSON_STRING] = "a text",
        [JSON_INTEGER] = "a number", [JSON_REAL] = "a number", [JSON_TRUE] = "true",
        [JSON_FALSE] = "false",      [JSON_NULL] = "null",
    };
    return value == NULL ? "missing" : kinds[json_typeof(value)];
}

/* ---- expressions ---- */

enum { MOST_NUMBERS = 256 }; /* in a list */

static bool is_left_out(const char *key, const json_t *value)
{
    return json_is_null(value) || strcmp(key, "name") == 0 || strcmp(key, "trainable") == 0 ||
           strcmp(key, "dtype") == 0;
}

/* One value of an argument as text: an object, such as a schedule, is an expression in its turn. */
static const char *value_text(cn__arena *arena, const json_t *value)
{
    const char *text = NULL;
    if (json_is_object(value))
        return cn__json_expression(arena, value, &text) == CN_OK ? text : NULL;
    if (json_is_boolean(value))
        return json_is_true(value) ? "True" : "False";
    if (json_is_integer(value))
        return cn__arena_printf(arena, "%lld", (long long)json_integer_value(value));
    if (json_is_real(value)) {
        char *printed = cn__json_print(value);
        text = printed != NULL ? cn__arena_strdup(arena, printed) : NULL;
        cn__free(printed);
        return text;
    }
    if (json_is_string(value) && strchr(json_string_value(value), '\'') == NULL)
        return cn__arena_printf(arena, "'%s'", json_string_value(value));
    if (!json_is_array(value) || json_array_size(value) > MOST_NUMBERS)
        return cn__fail_null(CN_ERROR_UNSUPPORTED, "an argument is %s", cn__json_kind(value));
    const char *list = "";
    size_t i;
    json_t *item;
    json_array_foreach(value, i, item)
    {
        if (!json_is_number(item))
            return cn__fail_null(CN_ERROR_UNSUPPORTED, "an argument is a list that holds %s",
                                 cn__json_kind(item));
        text = value_text(arena, item);
        list = text == NULL ? NULL : cn__arena_printf(arena, "%s%s%s", list, i ? ", " : "", text);
        if (list == NULL)
            return NULL;
    }
    return cn__arena_printf(arena, "[%s]", list);
}

static cn_status object_text(cn__arena *arena, const char *name, json_t *config, const char **text)
{
    const char *key;
    json_t *value;
    const char *arguments = "";
    json_object_foreach(config, key, value)
    {
        if (is_left_out(key, value))
            continue;
        const char *one = value_text(arena, value);
        if (one == NULL)
            return cn__fail_within("%s: %s", name, key);
        arguments =
            cn__arena_printf(arena, "%s%s%s=%s", arguments, *arguments ? ", " : "", key, one);
        if (arguments == NULL)
            return cn_error_status();
    }
    *text = *arguments ? cn__arena_printf(arena, "%s(%s)", name, arguments) : name;
    return *text == NULL ? cn_error_status() : CN_OK;
}

cn_status cn__json_expression(cn__arena *arena, const json_t *value, const char **text)
{
    *text = NULL;
    if (json_is_null(value))
        return CN_OK;
    if (json_is_string(value)) {
        *text = cn__arena_strdup(arena, json_string_value(value));
        return *text == NULL ? cn_error_status() : CN_OK;
    }
    const char *name = cn__json_text(value, "class_name");
    json_t *config = cn__json_get(value, "config");
    /* A function of Python is written with its name for a configuration. */
    if (name != NULL && json_is_string(config))
        return cn__json_expression(arena, config, text);
    if (name == NULL || (config != NULL && !json_is_object(config)))
        return cn__fail(
            CN_ERROR_FORMAT,
            "it is %s, but should be a text, null, or an object with class_name and config",
            cn__json_kind(value));
    name = cn__arena_strdup(arena, name);
    return name == NULL ? cn_error_status() : object_text(arena, name, config, text);
}
