/* The ways in which `cornu predict` shows outputs. */
#ifndef CORNU_CLI_PREDICT_H
#define CORNU_CLI_PREDICT_H

#include "feed.h"
#include "json.h"

/* Names of classes, one in a line of a file. */
typedef struct predict_classes {
    char *text; /* the file */
    int64_t count;
    char **name;
} predict_classes;

/* Both allow zeros. An exit code. */
int predict_read_classes(const char *path, predict_classes *classes);
void predict_free_classes(predict_classes *classes);

/* What is printed of the samples of one file. */
typedef struct predict_table {
    const predict_classes *classes;
    int64_t top;
    cli_json *json; /* NULL: text */
} predict_table;

/* True if an output is scores of classes: (batch, classes). */
bool predict_is_scores(const cn_array *output);
/* Prints the highest scores of every sample. `output` names it, NULL if it is the only one. */
void predict_print_scores(const predict_table *table, const char *file, const char *output,
                          const cn_array *scores);

#endif
