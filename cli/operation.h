/* What `cornu explain` and `cornu bench` have in common: a convolution or transposed convolution
 * described on the command line. */
#ifndef CORNU_CLI_OPERATION_H
#define CORNU_CLI_OPERATION_H

#include "cli.h"

#include "cornu/ops.h"

/* The options; a member of the settings of every such command. Zeros: not given. */
typedef struct operation_options {
    cli_extents input, kernel, stride, dilation, output_padding, output_size;
    int64_t filters, groups;
    const char *padding;
} operation_options;

/* The rows of an options' table over settings with a member `operation`; `needed`: input and kernel
 * must be given. */
#define OPERATION_AT(settings, member) .offset = offsetof(settings, operation.member)
#define OPERATION_OPTIONS(settings, needed)                                                        \
    {.name = "input",                                                                              \
     .letter = 'i',                                                                                \
     .kind = CLI_EXTENTS,                                                                          \
     OPERATION_AT(settings, input),                                                                \
     .value = "HxW[xC]",                                                                           \
     .help = "extents of the input, channels last (default 1 channel)",                            \
     .required = needed},                                                                          \
        {.name = "kernel",                                                                         \
         .letter = 'k',                                                                            \
         .kind = CLI_EXTENTS,                                                                      \
         OPERATION_AT(settings, kernel),                                                           \
         .value = "N[xN]",                                                                         \
         .help = "kernel size",                                                                    \
         .required = needed},                                                                      \
        {.name = "stride",                                                                         \
         .letter = 's',                                                                            \
         .kind = CLI_EXTENTS,                                                                      \
         OPERATION_AT(settings, stride),                                                           \
         .value = "N[xN]",                                                                         \
         .help = "stride (default 1)"},                                                            \
        {.name = "padding",                                                                        \
         .letter = 'p',                                                                            \
         .kind = CLI_TEXT,                                                                         \
         OPERATION_AT(settings, padding),                                                          \
         .value = "valid|same|causal|same_theano|N[xN]",                                           \
         .help = "padding (default valid); causal is for conv1d,\n"                                \
                 "same_theano is what Keras did on Theano, and numbers\n"                          \
                 "are the cells on either side, as PyTorch counts them"},                          \
        {.name = "dilation",                                                                       \
         .letter = 'd',                                                                            \
         .kind = CLI_EXTENTS,                                                                      \
         OPERATION_AT(settings, dilation),                                                         \
         .value = "N[xN]",                                                                         \
         .help = "dilation rate (default 1)"},                                                     \
        {.name = "output-padding",                                                                 \
         .kind = CLI_EXTENTS,                                                                      \
         OPERATION_AT(settings, output_padding),                                                   \
         .value = "N[xN]",                                                                         \
         .help = "transposed: Keras' output_padding (default None)"},                              \
        {.name = "output-size",                                                                    \
         .kind = CLI_EXTENTS,                                                                      \
         OPERATION_AT(settings, output_size),                                                      \
         .value = "HxW",                                                                           \
         .help = "transposed: the wanted output, instead of\noutput_padding"},                     \
        {.name = "filters",                                                                        \
         .letter = 'f',                                                                            \
         .kind = CLI_INTEGER,                                                                      \
         OPERATION_AT(settings, filters),                                                          \
         .value = "N",                                                                             \
         .help = "channels of the output (default 1)",                                             \
         .range = CLI_FROM_1},                                                                     \
    {                                                                                              \
        .name = "groups", .kind = CLI_INTEGER, OPERATION_AT(settings, groups), .value = "N",       \
        .help = "groups of channels (default 1)", .range = CLI_FROM_1                              \
    }

typedef struct operation_kind operation_kind;

/* The operation of that name, or NULL. Case and underscores do not count: Conv2DTranspose is
 * conv2d_transpose. */
const operation_kind *operation_kind_named(const char *name);
/* The known name that `name` may have meant, or NULL. */
const char *operation_nearest(const char *name);

typedef struct operation {
    const char *name;
    bool transposed;
    bool sized;     /* the output size was asked for */
    bool symmetric; /* padding is a number of cells on either side; `padding` is then CN_VALID */
    cn_padding padding;
    const char *padding_name;
    int64_t output_padding[3]; /* -1: not given */
    cn_conv conv;              /* of one image */
} operation;

/* Puts together and checks what is asked for; an exit code. */
int operation_take(const operation_options *options, const operation_kind *kind, operation *o);

#endif
