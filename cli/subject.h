/* What `cornu summary` and `cornu bench` look at: a model, and the shapes of the inputs of one
 * prediction. */
#ifndef CORNU_CLI_SUBJECT_H
#define CORNU_CLI_SUBJECT_H

#include "cli.h"

#include "cornu/models.h"

/* The options that make the shapes of the inputs full; a member of the settings of every such
 * command. Zeros: not given. */
typedef struct subject_options {
    int64_t batch;
    cli_extents size;
} subject_options;

/* The rows of an options' table over settings with a member `subject`; `batch_help` and `size_help`
 * are their help. */
#define SUBJECT_OPTIONS(settings, batch_help, size_help)                                           \
    {.name = "batch",                                                                              \
     .kind = CLI_INTEGER,                                                                          \
     .offset = offsetof(settings, subject.batch),                                                  \
     .value = "N",                                                                                 \
     .help = batch_help,                                                                           \
     .range = CLI_FROM_1},                                                                         \
    {                                                                                              \
        .name = "size", .kind = CLI_EXTENTS, .offset = offsetof(settings, subject.size),           \
        .value = "HxW", .help = size_help                                                          \
    }

/* A model of a file or a built-in one, not compiled. NULL, with *code set and a message printed, if
 * it cannot be read. */
cn_model *subject_open(const char *path, int *code);

/* The full shape of each input, in new memory for the caller to free(): a batch (1, or the model's
 * own) and `size` where extents are open. NULL, with *code set and a message printed, if they do
 * not fit the model. */
cn_shape *subject_shapes(const cn_model *model, const subject_options *options, int *code);

/* "28 B", "1.5 KiB" in `text`, which is returned. */
enum { SUBJECT_BYTES = 32 };
const char *subject_bytes(size_t bytes, char text[SUBJECT_BYTES]);

#endif
