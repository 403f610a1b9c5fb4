/* Expressions: "name" or "Name(key=value, ...)". A value is a number, None, True, False, a quoted
 * text, or a list, which is kept as text. */
#include "layers/layer.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Beyond these, numbers are 0 or infinite whatever their digits. */
enum { most_exponent = 1000 };

/* What is being read. */
typedef struct reader {
    cn__arena *arena;
    const char *text; /* the whole, for messages */
    const char *at;
} reader;

static cn_status fail(const reader *r, const char *rule)
{
    return cn__fail(CN_ERROR_ARGUMENT,
                    "\"%s\" cannot be read: %s; write \"name\" or \"Name(key=value, ...)\"",
                    r->text, rule);
}

static void skip_spaces(reader *r)
{
    while (isspace((unsigned char)*r->at))
        r->at++;
}

static bool take(reader *r, char c)
{
    skip_spaces(r);
    if (*r->at != c)
        return false;
    r->at++;
    return true;
}

/* A copy of the text from `begin` to `end`, without spaces at its end. */
static const char *copy(reader *r, const char *begin, const char *end)
{
    while (end > begin && isspace((unsigned char)end[-1]))
        end--;
    char *text = cn__arena_alloc(r->arena, (size_t)(end - begin) + 1);
    if (text)
        memcpy(text, begin, (size_t)(end - begin));
    return text;
}

static bool in_name(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '.' || c == '>';
}

static cn_status read_name(reader *r, const char **name)
{
    skip_spaces(r);
    const char *begin = r->at;
    while (in_name(*r->at))
        r->at++;
    if (r->at == begin)
        return fail(r, "a name is missing");
    *name = copy(r, begin, r->at);
    return *name ? CN_OK : CN_ERROR_MEMORY;
}

static cn_status read_quoted(reader *r, const char **text)
{
    const char *begin = r->at + 1, *end = strchr(begin, *r->at);
    if (!end)
        return fail(r, "a quotation mark is missing");
    r->at = end + 1;
    char *quoted = cn__arena_alloc(r->arena, (size_t)(end - begin) + 1);
    *text = quoted ? memcpy(quoted, begin, (size_t)(end - begin)) : NULL;
    return *text ? CN_OK : CN_ERROR_MEMORY;
}

/* Up to the comma or parenthesis that ends the argument; brackets within it are pairs. */
static cn_status read_bare(reader *r, const char **text)
{
    const char *begin = r->at;
    int depth = 0;
    for (; *r->at && (depth > 0 || (*r->at != ',' && *r->at != ')')); r->at++) {
        depth += *r->at == '(' || *r->at == '[';
        depth -= *r->at == ')' || *r->at == ']';
    }
    if (r->at == begin || depth != 0)
        return fail(r, depth ? "a bracket is not closed" : "a value is missing");
    *text = copy(r, begin, r->at);
    return *text ? CN_OK : CN_ERROR_MEMORY;
}

/* digits * 10^exponent. Up to 2^64 and 10^27 both are exact in x86's long double, and all but one
 * number in a thousand of 17 digits come out as strtod() has them; those of up to 15 digits all do.
 */
static double scaled(uint64_t digits, int exponent)
{
    long double power = 1;
    for (int i = 0; i < abs(exponent); i++)
        power *= 10;
    if (digits == 0)
        return 0;
    return (double)(exponent < 0 ? (long double)digits / power : (long double)digits * power);
}

/* Reads digits, of which the first 19 count, and moves the exponent for those that do not, and for
 * all of them if they follow the decimal point. Returns how many there were. */
static int64_t read_digits(const char **at, uint64_t *digits, int *exponent, bool after_point)
{
    const char *c = *at;
    for (; isdigit((unsigned char)*c); c++) {
        bool room = *digits < UINT64_C(1000000000000000000);
        if (room)
            *digits = *digits * 10 + (uint64_t)(*c - '0');
        if (room == after_point && abs(*exponent) < most_exponent)
            *exponent += room ? -1 : 1;
    }
    int64_t count = c - *at;
    *at = c;
    return count;
}

/* The exponent after an 'e', if there is one. False: it has no digits. */
static bool read_exponent(const char **at, int *exponent)
{
    const char *c = *at;
    if (*c != 'e' && *c != 'E')
        return true;
    bool negative = c[1] == '-';
    c += 1 + (c[1] == '-' || c[1] == '+');
    if (!isdigit((unsigned char)*c))
        return false;
    int written = 0;
    for (; isdigit((unsigned char)*c); c++)
        written = written < most_exponent ? written * 10 + (*c - '0') : written;
    *exponent += negative ? -written : written;
    *at = c;
    return true;
}

/* A number with a decimal point whatever the locale, which ends where `*at` is left; NaN if there
 * is none.
 */
static double read_number(const char **at)
{
    const char *c = *at;
    double sign = *c == '-' ? -1 : 1;
    c += *c == '-' || *c == '+';
    uint64_t digits = 0;
    int exponent = 0;
    bool infinite = strncmp(c, "inf", 3) == 0;
    int64_t count = infinite ? 0 : read_digits(&c, &digits, &exponent, false);
    if (!infinite && *c == '.') {
        c++;
        count += read_digits(&c, &digits, &exponent, true);
    }
    if (infinite)
        c += 3;
    else if (count == 0 || !read_exponent(&c, &exponent))
        return (double)NAN;
    *at = c;
    return sign * (infinite ? (double)INFINITY : scaled(digits, exponent));
}

/* NaN if the text is no number or something follows it. */
static double number_of(const char *text)
{
    double number = read_number(&text);
    return *text ? (double)NAN : number;
}

static cn_status read_argument(reader *r, cn__expression *e)
{
    if (e->count == (int)CN__COUNT(e->arguments))
        return fail(r, "there are too many arguments");
    const char *key = NULL, *text = NULL;
    CN__TRY(read_name(r, &key));
    if (!take(r, '='))
        return fail(r, "an argument is not of the form key=value");
    skip_spaces(r);
    bool quoted = *r->at == '\'' || *r->at == '"';
    CN__TRY(quoted ? read_quoted(r, &text) : read_bare(r, &text));
    double number = quoted ? (double)NAN : number_of(text);
    if (!quoted && (strcmp(text, "True") == 0 || strcmp(text, "true") == 0))
        number = 1;
    if (!quoted && (strcmp(text, "False") == 0 || strcmp(text, "false") == 0))
        number = 0;
    e->arguments[e->count].key = key;
    e->arguments[e->count].text = text;
    e->arguments[e->count++].number = number;
    return CN_OK;
}

cn_status cn__expression_parse(cn__arena *arena, const char *text, cn__expression *expression)
{
    reader r = {arena, text, text};
    *expression = (cn__expression){0};
    CN__TRY(read_name(&r, &expression->name));
    if (take(&r, '(') && !take(&r, ')')) {
        do {
            CN__TRY(read_argument(&r, expression));
        } while (take(&r, ','));
        if (!take(&r, ')'))
            return fail(&r, "the closing parenthesis is missing");
    }
    skip_spaces(&r);
    return *r.at ? fail(&r, "something follows its end") : CN_OK;
}

/* `keys` may be several, separated by '|'. */
static int find(const cn__expression *expression, const char *keys)
{
    for (int i = 0; i < expression->count; i++)
        if (cn__list_index(keys, expression->arguments[i].key) >= 0)
            return i;
    return -1;
}

double cn__expression_number(const cn__expression *expression, const char *key, double fallback)
{
    int i = find(expression, key);
    return i >= 0 && !isnan(expression->arguments[i].number) ? expression->arguments[i].number
                                                             : fallback;
}

const char *cn__expression_text(const cn__expression *expression, const char *key,
                                const char *fallback)
{
    int i = find(expression, key);
    return i >= 0 ? expression->arguments[i].text : fallback;
}

cn_status cn__expression_numbers(cn__arena *arena, const cn__expression *expression,
                                 const char *key, int *count, double **numbers)
{
    const char *text = cn__expression_text(expression, key, "None");
    *count = 0;
    *numbers = NULL;
    if (strcmp(text, "None") == 0)
        return CN_OK;
    *numbers = cn__arena_alloc(arena, (strlen(text) + 1) * sizeof **numbers);
    if (!*numbers)
        return CN_ERROR_MEMORY;
    reader r = {arena, text, text};
    bool list = take(&r, '[') || take(&r, '(');
    do {
        skip_spaces(&r);
        double number = read_number(&r.at);
        if (isnan(number))
            break;
        (*numbers)[(*count)++] = number;
    } while (list && take(&r, ','));
    bool closed = !list || take(&r, ']') || take(&r, ')');
    skip_spaces(&r);
    if (*count == 0 || !closed || *r.at)
        return cn__fail(CN_ERROR_ARGUMENT,
                        "%s: %s must be a number or a list such as [0, 1], not %s",
                        expression->name, key, text);
    return CN_OK;
}
