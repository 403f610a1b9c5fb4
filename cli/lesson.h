/* What the commands that train and judge have in common: a model from a file or built in, and how
 * it is compiled. */
#ifndef CORNU_CLI_LESSON_H
#define CORNU_CLI_LESSON_H

#include "architectures.h"
#include "data.h"

#include "cornu/formats.h"

/* The options; a member of the settings of every such command. */
typedef struct lesson_options {
    const char *weights;
    const char *loss, *loss_weights, *metrics, *optimizer;
    cli_extents size, input;
    int64_t classes, scale, batch_size, threads;
    int backend; /* cn_backend */
} lesson_options;

/* The rows of an options' table over settings with a member `lesson`. */
#define LESSON_AT(settings, member) .offset = offsetof(settings, lesson.member)
#define LESSON_OPTIONS(settings)                                                                   \
    {.name = "loss",                                                                               \
     .kind = CLI_TEXT,                                                                             \
     LESSON_AT(settings, loss),                                                                    \
     .value = "LOSS,...",                                                                          \
     .help = "as Keras names it; one for each output, or one for all\n"                            \
             "of them; none for an output that is not trained\n"                                   \
             "(default: what the model was compiled with)"},                                       \
        {.name = "loss-weights",                                                                   \
         .kind = CLI_TEXT,                                                                         \
         LESSON_AT(settings, loss_weights),                                                        \
         .value = "N,...",                                                                         \
         .help = "a factor for each output's loss (default 1)"},                                   \
        {.name = "metrics",                                                                        \
         .kind = CLI_TEXT,                                                                         \
         LESSON_AT(settings, metrics),                                                             \
         .value = "METRIC,...",                                                                    \
         .help = "for every output; OUTPUT:METRIC for one of them"},                               \
        {.name = "batch-size",                                                                     \
         .letter = 'b',                                                                            \
         .kind = CLI_INTEGER,                                                                      \
         LESSON_AT(settings, batch_size),                                                          \
         .value = "N",                                                                             \
         .help = "samples that are computed at a time (default 32)",                               \
         .range = CLI_FROM_1},                                                                     \
        {.name = "weights",                                                                        \
         .kind = CLI_TEXT,                                                                         \
         LESSON_AT(settings, weights),                                                             \
         .value = "FILE",                                                                          \
         .help = "read the model's weights from this file"},                                       \
        {.name = "size",                                                                           \
         .kind = CLI_EXTENTS,                                                                      \
         LESSON_AT(settings, size),                                                                \
         .value = "HxW",                                                                           \
         .help = "size of pictures, for a model that takes any"},                                  \
        {.name = "input",                                                                          \
         .kind = CLI_EXTENTS,                                                                      \
         LESSON_AT(settings, input),                                                               \
         .value = "HxWxC",                                                                         \
         .help = "of a built-in model: its pictures"},                                             \
        {.name = "classes",                                                                        \
         .kind = CLI_INTEGER,                                                                      \
         LESSON_AT(settings, classes),                                                             \
         .value = "N",                                                                             \
         .help = "of a built-in model: how many classes there are"},                               \
        {.name = "scale",                                                                          \
         .kind = CLI_INTEGER,                                                                      \
         LESSON_AT(settings, scale),                                                               \
         .value = "N",                                                                             \
         .help = "of fsrcnn: how many times it enlarges (default 2)"},                             \
        {.name = "threads",                                                                        \
         .kind = CLI_INTEGER,                                                                      \
         LESSON_AT(settings, threads),                                                             \
         .value = "N",                                                                             \
         .help = "threads to compute with (default: all processors)"},                             \
    {                                                                                              \
        .name = "backend", .kind = CLI_CHOICE, LESSON_AT(settings, backend),                       \
        .value = "auto|tensorflow|theano",                                                         \
        .help = "what Keras ran on when it wrote the model\n(default: what the file says)"         \
    }

typedef struct lesson {
    const char *path; /* of the model, or its built-in name */
    cn_model *model;
    cn_pool *pool;
    const architecture *built_in; /* NULL for a file */
} lesson;

/* Opens a model and the threads; an exit code. lesson_close() is due in any case. */
int lesson_open(lesson *l, const lesson_options *options, const char *path);
void lesson_close(lesson *l);

/* Compiles the model as the options say. What they do not say is taken from the model's own
 * compile state, or is what is usual for a built-in model with such data. `loss` is taken if there
 * is nothing else; without it (NULL) that is a failure. */
int lesson_compile(lesson *l, const lesson_options *options, const data *d, const char *loss);

/* The text for --help. */
#define LESSON_MODELS                                                                              \
    "MODEL is a file (.keras, .h5, .json) or one of\n"                                             \
    "  question           the CIFAR network of Keras' documentation, with a second output:\n"      \
    "                     a transposed convolution from the first layer's maps back to the\n"      \
    "                     image\n"                                                                 \
    "  autoencoder        convolutions down to a quarter, transposed ones up again\n"              \
    "  dcgan-generator    from 100 numbers to a picture of values -1 to 1\n"                       \
    "  unet               a class for every pixel\n"                                               \
    "  fsrcnn             enlarges pictures\n"

#endif
