/* What the examples share: the command line, pictures in and out. */
#ifndef CORNU_EXAMPLES_COMMON_H
#define CORNU_EXAMPLES_COMMON_H

#include <cornu/cornu.h>

/* ---- the command line: PROGRAM [-e EPOCHS] [-n SAMPLES] [-o FOLDER] [FILE...] ---- */

typedef struct settings {
    int64_t epochs, samples;
    const char *folder; /* where pictures are written, "." if none is given */
    int file_count;
    char **files;
    cn_pool *pool; /* a thread for each processor */
} settings;
/* `files` tells the usage, such as "[IMAGES.idx]". */
settings read_command_line(int argc, char **argv, int64_t epochs, int64_t samples,
                           const char *files);
/* "FOLDER/NAME", in `path`. */
const char *in_folder(const settings *s, const char *name, char *path, size_t size);

/* ---- errors: the library returns a status or NULL; these programs end with its message ---- */

void check(cn_status status);
void need(const void *made);
/* Ends the program with a message of its own. */
void fail(const char *message);

/* ---- training ---- */

/* model.predict(x) */
cn_array *predict(cn_model *model, const cn_array *x, cn_pool *pool);

/* ---- arrays and pictures: values from 0 to 1, (pictures, height, width, 1 or 3) ---- */

/* Grey pictures of 28 x 28: those of the .idx file (MNIST's digits), or drawn shapes without one.
 */
cn_array *grey_pictures(const settings *s);
/* a[first : first + count] */
cn_array *part_of(const cn_array *a, int64_t first, int64_t count);
/* Normal random numbers. */
cn_array *random_normal(const cn_shape *shape);

/* Writes pictures as FOLDER/NAME, `columns` beside each other. Of several arrays a row of the first
 * stands above the same pictures of the second, and so on. */
void write_pictures(const settings *s, const char *name, cn_array_list arrays, int64_t columns);

#endif
