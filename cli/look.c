/* Filters and file names. */
#include "look.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- filters ---- */

static int fail_filters(const char *given)
{
    return cli_fail_usage(NULL, "--filters takes numbers such as 0,3,7 or 0-15, but got `%s`",
                          given);
}

/* Adds the filters `first` to `last`. */
static int add(look_filters *filters, int64_t first, int64_t last, int64_t all)
{
    if (first < 0 || last >= all || first > last)
        return cli_fail_usage(NULL,
                              "--filters: there is no filter %" PRId64 "; the layer has %" PRId64
                              ", from 0 to %" PRId64,
                              first < 0 || first >= all ? first : last, all, all - 1);
    int64_t count = filters->count + last - first + 1;
    int64_t *longer = realloc(filters->filter, (size_t)count * sizeof *longer);
    if (!longer)
        return cli_fail("no memory");
    filters->filter = longer;
    while (first <= last)
        filters->filter[filters->count++] = first++;
    return CLI_OK;
}

/* "0,3,7", "0-15", "1,4-6" */
static int parse(const char *given, int64_t all, look_filters *filters)
{
    const char *text = given;
    for (;;) {
        char *end;
        errno = 0;
        int64_t first = strtoll(text, &end, 10), last = first;
        if (end == text || errno)
            return fail_filters(given);
        if (*end == '-') {
            text = end + 1;
            last = strtoll(text, &end, 10);
            if (end == text || errno)
                return fail_filters(given);
        }
        int code = add(filters, first, last, all);
        if (code != CLI_OK || *end == '\0')
            return code;
        if (*end != ',')
            return fail_filters(given);
        text = end + 1;
    }
}

int look_choose(const look_options *o, const cn_array *maps, cn_data_format format, int64_t top,
                look_filters *filters)
{
    int64_t all = cn_maps_count(maps, format);
    if (o->filters && o->top)
        return cli_fail_usage(NULL, "--filters and --top exclude each other");
    if (o->top < 0)
        return cli_fail_usage(NULL, "--top takes a number from 1, but got %" PRId64, o->top);
    if (o->columns < 0 || o->tile < 0)
        return cli_fail_usage(NULL, "--columns and --tile take numbers from 1");
    if (o->filters)
        return parse(o->filters, all, filters);
    top = o->top ? o->top : top;
    int code = add(filters, 0, (top && top < all ? top : all) - 1, all);
    if (code != CLI_OK || top == 0)
        return code;
    return cn_strongest_maps(maps, format, filters->count, filters->filter) == CN_OK
               ? CLI_OK
               : cli_fail_library();
}

/* ---- names ---- */

void look_path(char *path, const char *given, const char *file, const char *what, bool several)
{
    char stem[1000];
    feed_stem(file, stem, sizeof stem);
    if (!given) {
        int length = snprintf(path, LOOK_PATH, "%s-", stem);
        (void)snprintf(path + length, LOOK_PATH - (size_t)length, "%s.png", what);
        for (char *c = path + length; *c; c++)
            if (*c == '/')
                *c = '-';
    } else if (several) {
        const char *dot = strrchr(feed_name(given), '.');
        size_t length = dot ? (size_t)(dot - given) : strlen(given);
        (void)snprintf(path, LOOK_PATH, "%.*s-%s%s", (int)length, given, stem, dot ? dot : "");
    } else {
        (void)snprintf(path, LOOK_PATH, "%s", given);
    }
}

int look_check_names(int count, char *const *files)
{
    char one[1000], other[1000];
    for (int i = 1; i < count; i++)
        for (int j = 0; j < i; j++)
            if (strcmp(feed_stem(files[i], one, sizeof one),
                       feed_stem(files[j], other, sizeof other)) == 0)
                return cli_fail_usage("Run the command for each of them.",
                                      "%s and %s would be written to one file", files[j], files[i]);
    return CLI_OK;
}
