/* Networks that `cornu train` builds by name. */
#ifndef CORNU_CLI_ARCHITECTURES_H
#define CORNU_CLI_ARCHITECTURES_H

#include "cli.h"

#include "cornu/models.h"

/* What is asked for; zeros are the architecture's own defaults. */
typedef struct architecture_options {
    cli_extents input; /* height, width, channels */
    int64_t classes, scale;
} architecture_options;

typedef struct architecture {
    const char *name;
    int64_t input[3];
    int64_t classes; /* 0: it has none */
    int64_t scale;   /* 0: it has none */
    int64_t step;    /* height and width are multiples of it */
    const char *loss, *metrics;
    cn_model *(*make)(const architecture_options *options);
} architecture;

/* NULL if none has that name. */
const architecture *architecture_named(const char *name);
/* Refuses a path that is no file, but may be a mistyped name: one without ending and folder. An
 * exit code. */
int architecture_check_name(const char *path);
/* A new model; NULL, with *code set and a message printed, if it cannot be. */
cn_model *architecture_make(const architecture *a, const architecture_options *options, int *code);

#endif
