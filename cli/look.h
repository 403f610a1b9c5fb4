/* What `cornu deconv` and `cornu maps` have in common: choosing filters, and naming files. */
#ifndef CORNU_CLI_LOOK_H
#define CORNU_CLI_LOOK_H

#include "feed.h"

typedef struct look_options {
    const char *layer, *filters, *output, *npy;
    int64_t top, columns, tile;
} look_options;

/* Filters to show. */
typedef struct look_filters {
    int64_t count;
    int64_t *filter; /* free() it */
} look_filters;

/* Reads --filters, or takes the --top strongest maps; with neither, `top` of them, or if that is 0
 * all in their order. An exit code. */
int look_choose(const look_options *o, const cn_array *maps, cn_data_format format, int64_t top,
                look_filters *filters);

enum { LOOK_PATH = 4200 };

/* The path of one picture's file: for several pictures the file's stem goes before the ending of
 * `given`, and without `given` the path is STEM-WHAT.png. `what` may hold slashes. */
void look_path(char *path, const char *given, const char *file, const char *what, bool several);

/* Refuses several pictures that would be written to one file. An exit code. */
int look_check_names(int count, char *const *files);

#endif
