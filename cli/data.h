/* What a model learns from or is judged by: --data, made into what the model takes. */
#ifndef CORNU_CLI_DATA_H
#define CORNU_CLI_DATA_H

#include "cli.h"

#include "cornu/training.h"

enum { DATA_MADE = 6 };

typedef struct data {
    cn_dataset *set;             /* the last one made */
    cn_dataset *made[DATA_MADE]; /* each from the one before it */
    int made_count;
    cn_array *arrays[CN_MOST_FIELDS];
    int array_count;
    const char *spec;
    char found[600];           /* what was found: "200 pictures in 10 folders" */
    char names[400];           /* of the arrays in an .npz: "x0, t0" */
    char used[400];            /* of those that are taken */
    cli_extents size;          /* of pictures, if the model takes any size */
    bool pictures;             /* field 0 is a picture (height, width, channels), 1 its class */
    bool ordered;              /* by classes */
    int field[CN_MOST_LOSSES]; /* what each output is compared with; -1: nothing is there */
} data;

/* What is to be opened. */
typedef struct data_options {
    const cn_model *model; /* that the data are for */
    cli_extents size;      /* of pictures, if the model takes any size */
    bool test;             /* of data sets with two parts the one to test with */
} data_options;

/* The text for --help. */
#define DATA_HELP                                                                                  \
    "DATA is one of\n"                                                                             \
    "  FILE.npz           the arrays x0, x1 ... and t0, t1 ... in the order of the model's\n"      \
    "                     inputs and outputs; an output without one is compared with x0\n"         \
    "  FOLDER             of pictures, in a folder for each class; values 0 to 1\n"                \
    "  mnist:FOLDER       the files of MNIST, those to train or those to test with\n"              \
    "  cifar10:FILE,...   binary batches of CIFAR-10\n"                                            \
    "  shapes:COUNT:SEED  drawn shapes of ten classes, see `cornu shapes`; without a seed\n"       \
    "                     those to learn from have 0, those to judge by 1\n"                       \
    "Pictures are made into what the model takes. An output that is a picture of the\n"            \
    "input's size is compared with the input, any other with the class. If the output is\n"        \
    "some times larger than the input, the input is the picture made smaller.\n"

/* Opens it; an exit code. data_close() is due in any case. */
int data_open(data *d, const char *spec, const data_options *options);
/* Prints to stderr what was found; `kind` is "data" or so. */
void data_tell(const data *d, const char *kind);
void data_close(data *d);
/* Moves the last part of the samples to `held`, which must be closed first. */
int data_split(data *d, double part, data *held);
/* Changes pictures at random: "flip,shift=0.1,rotate=10". */
int data_augment(data *d, const char *changes, uint64_t seed);
/* Gives the fields the form that a compiled model takes, with those targets only that have a
 * loss, and tries the model on a sample. */
int data_fit(data *d, cn_model *model);

/* ---- data_picture.c ---- */

/* How pictures and classes become what a model takes. */
typedef struct data_form {
    cn_dataset *base; /* lent */
    bool pictures;
    bool channels_first;
    cn_shape input;   /* of a sample of field 0; rank 0: as it is */
    cn_shape picture; /* of a target that is the picture */
    int64_t size[3];  /* of the picture: height, width, channels */
    int64_t shrink;   /* the input is so many times smaller than the picture */
    int inputs, targets;
    int from[CN_MOST_FIELDS];        /* the field that each target is, DATA_PICTURE for it */
    cn_shape shapes[CN_MOST_FIELDS]; /* of the targets */
    cn_dtype dtypes[CN_MOST_FIELDS];
} data_form;
enum { DATA_PICTURE = -1 };

/* What pictures a model takes; false if its input is no picture. Unknown extents are taken from
 * `size`, or stay -1. */
bool data_picture_form(const cn_model *model, const cli_extents *size, data_form *form);
/* NULL with a message of the library. */
cn_dataset *data_formed(const data_form *form);

/* ---- data_sources.c ---- */

/* Opens the data as they are. */
int data_read(data *d, const data_options *options);
/* Puts a new data set at the end; an exit code, after a message for NULL. */
int data_append(data *d, cn_dataset *made);
/* A data set of the arrays; the inputs are the first of them. */
int data_append_arrays(data *d, int inputs);
/* Notes what was found: "COUNT " and what there are so many of. */
void data_found(data *d, const char *format, ...) CN_PRINTF(2, 3);
/* Puts the samples into an order that follows from `seed`. */
int data_shuffle(data *d, uint64_t seed);

/* ---- data_arrays.c ---- */

int data_read_npz(data *d, const cn_model *model);

#endif
