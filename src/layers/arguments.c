/* Reading the arguments of losses and metrics by a table of what there are. */
#include "layers/arguments.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* Writes the first names of all arguments, such as "alpha, beta". */
static const char *list_names(const cn__argument *arguments, int count, char *text, size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    for (int i = 0; i < count && arguments[i].names && used < size; i++) {
        int length = (int)strcspn(arguments[i].names, "|");
        int written = snprintf(text + used, size - used, "%s%.*s", i > 0 ? ", " : "", length,
                               arguments[i].names);
        used += written > 0 ? (size_t)written : 0;
    }
    return text[0] ? text : "none";
}

static cn_status check_keys(const char *what, const cn__expression *e, const char *ignored,
                            const cn__argument *arguments, int count)
{
    for (int k = 0; k < e->count; k++) {
        const char *key = e->arguments[k].key;
        bool found = cn__list_index(ignored, key) >= 0;
        for (int i = 0; i < count && !found; i++)
            found = cn__list_index(arguments[i].names, key) >= 0;
        char names[200];
        if (!found)
            return cn__fail(CN_ERROR_ARGUMENT,
                            "the %s %s has no argument \"%s\"; its arguments: %s", what, e->name,
                            key, list_names(arguments, count, names, sizeof names));
    }
    return CN_OK;
}

/* ---- one function for each kind: false if the text is no such value ---- */

static bool read_number(const cn__argument *a, const char *text, double number, double *value)
{
    (void)text;
    *value = number;
    return number >= a->low && number <= a->high;
}

static bool read_whole(const cn__argument *a, const char *text, double number, double *value)
{
    return read_number(a, text, number, value) && number == floor(number);
}

static bool read_word(const cn__argument *a, const char *text, double number, double *value)
{
    int place = cn__list_index(a->words, text);
    (void)number;
    *value = place;
    return place >= 0;
}

/* "[1, 2]", "(1, 2)", "1": digits in runs, with nothing else between them but commas and spaces. */
static bool read_bits(const cn__argument *a, const char *text, double number, double *value)
{
    uint32_t bits = 0;
    (void)a;
    (void)number;
    for (const char *c = text; *c;) {
        int n = 0;
        const char *begin = c;
        for (; isdigit((unsigned char)*c) && n < 32; c++)
            n = n * 10 + (*c - '0');
        if (n > 31 || (c == begin && !strchr("[](), ", *c)))
            return false;
        bits |= c > begin ? UINT32_C(1) << n : 0;
        c += c == begin;
    }
    *value = bits;
    return bits != 0;
}

/* What the argument takes, for messages. */
static const char *values_text(const cn__argument *a, char *text, size_t size)
{
    if (a->kind == CN__ARGUMENT_WORD)
        (void)snprintf(text, size, "one of %s", a->words);
    else if (a->kind == CN__ARGUMENT_BITS)
        (void)snprintf(text, size, "a list of whole numbers from 0 to 31, such as [1, 2]");
    else if (a->low == a->high)
        (void)snprintf(text, size, "%g", a->low);
    else
        (void)snprintf(text, size, "a %snumber from %g to %g",
                       a->kind == CN__ARGUMENT_WHOLE ? "whole " : "", a->low, a->high);
    return text;
}

static cn_status read(const char *what, const cn__expression *e, const cn__argument *a,
                      double *value)
{
    static bool (*const readers[])(const cn__argument *, const char *, double, double *) = {
        [CN__ARGUMENT_NUMBER] = read_number,
        [CN__ARGUMENT_WHOLE] = read_whole,
        [CN__ARGUMENT_WORD] = read_word,
        [CN__ARGUMENT_BITS] = read_bits,
    };
    const char *text = cn__expression_text(e, a->names, NULL);
    char values[120];
    *value = a->value;
    if (!text && a->required)
        return cn__fail(CN_ERROR_ARGUMENT, "the %s %s needs the argument %s: %s", what, e->name,
                        a->names, values_text(a, values, sizeof values));
    if (!text || (strcmp(text, "None") == 0 && !a->required))
        return CN_OK;
    if (readers[a->kind](a, text, cn__expression_number(e, a->names, (double)NAN), value))
        return CN_OK;
    return cn__fail(CN_ERROR_ARGUMENT, "the %s %s: %.*s must be %s, not %s", what, e->name,
                    (int)strcspn(a->names, "|"), a->names, values_text(a, values, sizeof values),
                    text);
}

cn_status cn__arguments_read(const char *what, const cn__expression *e, const char *ignored,
                             const cn__argument *arguments, int count, double *values)
{
    CN__TRY(check_keys(what, e, ignored, arguments, count));
    for (int i = 0; i < count && arguments[i].names; i++)
        CN__TRY(read(what, e, &arguments[i], &values[i]));
    return CN_OK;
}
