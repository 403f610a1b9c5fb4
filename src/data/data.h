/* Data sets, for the library's own use: reading batches ahead of the step that needs them. */
#ifndef CORNU_SRC_DATA_H
#define CORNU_SRC_DATA_H

#include "base/base.h"
#include "cornu/datasets.h"

/* ---- data sets (dataset.c) ---- */

/* ---- reading ahead (loader.c) ---- */

/* The order of an epoch: a permutation of 0 to count - 1 that follows from seed and epoch alone. */
void cn__shuffle(uint64_t seed, int64_t epoch, int64_t *order, int64_t count);

/* Reads one epoch after the other in batches, on threads of its own or on the caller's (0
 * threads). Allocates nothing once it is made. */
typedef struct cn__loader cn__loader;

typedef struct cn__loader_options {
    int64_t batch_size;
    bool shuffle;
    uint64_t seed; /* of the order, and of the draws: sample `index` of `epoch` is read with the
                      draw that cn__draw gives */
    int threads;
} cn__loader_options;
cn__loader *cn__loader_new(cn_dataset *dataset, const cn__loader_options *options);
void cn__loader_free(cn__loader *loader);
uint64_t cn__draw(uint64_t seed, int64_t epoch, int64_t index);

/* Begins an epoch at one of its batches (0: the first). */
cn_status cn__loader_begin(cn__loader *loader, int64_t epoch, int64_t first_batch);

/* A batch, lent until the next call. */
typedef struct cn__batch {
    int64_t count; /* samples; 0: the epoch is over */
    const void *fields[CN_MOST_FIELDS];
    const int64_t *indexes; /* of the samples in the data set */
} cn__batch;
cn_status cn__loader_next(cn__loader *loader, cn__batch *batch);
int64_t cn__loader_batches(const cn__loader *loader);

/* ---- moving pictures (augment.c) ---- */

/* How a picture is moved: it is flipped, then turned (degrees, clockwise), then made larger by the
 * factor `zoom`, all around its centre, and then shifted by x pixels to the right and y down. */
typedef struct cn__motion {
    bool horizontal_flip, vertical_flip;
    double degrees, zoom, x, y;
} cn__motion;
/* Writes the moved picture (height, width, channels) `from` to `to`. */
void cn__move_picture(const cn__motion *motion, const cn_shape *shape, const float *from,
                      float *to);
/* The same for elements of any type of 4 bytes, which are moved and not mixed. The shape may be
 * (height, width). */
void cn__move_labels(const cn__motion *motion, const cn_shape *shape, const void *from, void *to);

#endif
