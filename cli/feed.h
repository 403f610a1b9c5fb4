/* What the commands that run a model have in common: reading the model, and making of a picture (or
 * of arrays in a file) what the model takes. */
#ifndef CORNU_CLI_FEED_H
#define CORNU_CLI_FEED_H

#include "cli.h"

#include "cornu/formats.h"
#include "cornu/inspect.h"
#include "cornu/models.h"

enum { FEED_AUTO, FEED_RGB, FEED_BGR, FEED_GRAY, FEED_YCBCR };

/* The options; a member of the settings of every such command. */
typedef struct feed_options {
    const char *weights; /* a file; NULL: the model's own */
    int color;           /* FEED_AUTO ... */
    const char *scale, *offset;
    cli_extents size;
    int64_t threads;
    int backend; /* cn_backend */
} feed_options;

/* The rows of an options' table over settings with a member `feed`. */
#define FEED_AT(settings, member) .offset = offsetof(settings, feed.member)
#define FEED_OPTIONS(settings)                                                                     \
    {.name = "weights",                                                                            \
     .kind = CLI_TEXT,                                                                             \
     FEED_AT(settings, weights),                                                                   \
     .value = "FILE",                                                                              \
     .help = "read the weights from this file, such as what\n"                                     \
             "save_weights() wrote for a MODEL that is .json"},                                    \
        {.name = "color",                                                                          \
         .kind = CLI_CHOICE,                                                                       \
         FEED_AT(settings, color),                                                                 \
         .value = "auto|rgb|bgr|gray|ycbcr",                                                       \
         .help = "what the channels are (default gray for 1, rgb for 3);\n"                        \
                 "ycbcr is that of ITU-R BT.601, 16 to 235 or 240"},                               \
        {.name = "scale",                                                                          \
         .kind = CLI_TEXT,                                                                         \
         FEED_AT(settings, scale),                                                                 \
         .value = "N",                                                                             \
         .help = "what 0 to 255 is multiplied by, such as 2/255 (default\n"                        \
                 "1/255, or 1 for a model that begins with Rescaling)"},                           \
        {.name = "offset",                                                                         \
         .kind = CLI_TEXT,                                                                         \
         FEED_AT(settings, offset),                                                                \
         .value = "N",                                                                             \
         .help = "what is added then (default 0)"},                                                \
        {.name = "size",                                                                           \
         .kind = CLI_EXTENTS,                                                                      \
         FEED_AT(settings, size),                                                                  \
         .value = "HxW",                                                                           \
         .help = "scale pictures to this size (default: what the model\n"                          \
                 "takes, or as they are if it takes any)"},                                        \
        {.name = "threads",                                                                        \
         .kind = CLI_INTEGER,                                                                      \
         FEED_AT(settings, threads),                                                               \
         .value = "N",                                                                             \
         .help = "threads to compute with (default: all processors)"},                             \
    {                                                                                              \
        .name = "backend", .kind = CLI_CHOICE, FEED_AT(settings, backend),                         \
        .value = "auto|tensorflow|theano",                                                         \
        .help = "what Keras ran on when it wrote the model\n(default: what the file says)"         \
    }

/* A model that is fed. */
typedef struct feed {
    const char *model_path;
    cn_model *model;
    cn_pool *pool;
    cn_data_format format;
    int color;
    double scale, offset;
    cli_extents size;
} feed;

/* Opens the model; an exit code. feed_close() is due in any case. */
int feed_open(feed *f, const feed_options *options, const char *model_path);
void feed_close(feed *f);

/* Reads FILE into one new array for each of the model's inputs, batch first: a picture (PNG, JPEG)
 * made into what the model takes, an .npy as it is, or the arrays x0, x1 ... of an .npz. An exit
 * code. The arrays, in new memory, are freed with feed_free(). */
int feed_read(const feed *f, const char *path, cn_array ***in);
void feed_free(cn_array **arrays, int count);

/* The same for a picture: in[0] is set. */
int feed_read_picture(const feed *f, const char *path, cn_array **in);

/* The first image of a batch: new arrays of batch 1. An exit code. */
int feed_first(const feed *f, cn_array *const *in, cn_array ***first);

/* A picture of the values of row `row` of an output, (height, width, 1 or 3), 0 to 255, by the
 * reverse of what the input was made by. NULL if the output is no picture. */
cn_array *feed_picture(const feed *f, const cn_array *output, int64_t row);
/* True if an array of this shape can be a picture: 1 or 3 channels. */
bool feed_is_picture(const feed *f, const cn_shape *shape);

/* Turns signals of the model's input (count, ...), such as projections, into RGB colours in place.
 */
void feed_signal_to_rgb(const feed *f, cn_array *signals);

/* The layer of that name; for NULL the first convolution. NULL after a message that lists the
 * layers, the nearest first. */
cn_layer *feed_layer(const feed *f, const char *name, int *code);

/* The file's name without folder. */
const char *feed_name(const char *path);
/* The file's name without folder and ending: "cat" for "pictures/cat.png"; in `text`, returned. */
const char *feed_stem(const char *path, char *text, size_t size);
/* True if the name ends so, whatever the case. */
bool feed_ends(const char *path, const char *ending);

#endif
