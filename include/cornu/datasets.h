/* cornu/datasets.h - what a model learns from: samples, one after the other or drawn on the way.
 *
 * A data set has a fixed number of samples. A sample has fields: first what the model's inputs
 * take, then what its outputs are compared with. Any thread may read any sample at any time. What
 * is random about reading (augmentation) follows from the number `draw` alone, so that training
 * comes out the same however many threads read ahead.
 */
#ifndef CORNU_DATASETS_H
#define CORNU_DATASETS_H

#include "cornu/base.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { CN_MOST_FIELDS = 32 };

typedef struct cn_dataset cn_dataset;

/* How a data set is made of functions. `read` writes one sample into fields[i], which have room for
 * the elements of shapes[i]. `release` may be NULL. */
typedef struct cn_dataset_source {
    int64_t count;
    int inputs, targets;
    cn_dtype dtypes[CN_MOST_FIELDS]; /* of the inputs, then of the targets */
    cn_shape shapes[CN_MOST_FIELDS]; /* of one sample, without the batch */
    cn_status (*read)(void *context, int64_t index, uint64_t draw, void *const *fields);
    void (*release)(void *context);
    void *context;
    bool slow; /* reading is work: better done ahead, on other threads */
} cn_dataset_source;
/* Calls release(context) in the end, also if it fails. */
CN_API cn_dataset *cn_dataset_new(const cn_dataset_source *source);
CN_API void cn_dataset_free(cn_dataset *dataset);

/* The rows of arrays, which are lent as long as the data set lives. All have as many rows. */
CN_API cn_dataset *cn_dataset_from_arrays(cn_array_list inputs, cn_array_list targets);
/* `count` samples from `first` on. Lends `dataset`, which must live longer. */
CN_API cn_dataset *cn_dataset_part(cn_dataset *dataset, int64_t first, int64_t count);

CN_API int64_t cn_dataset_count(const cn_dataset *dataset);
CN_API int cn_dataset_inputs(const cn_dataset *dataset);
CN_API int cn_dataset_targets(const cn_dataset *dataset);
CN_API cn_dtype cn_dataset_dtype(const cn_dataset *dataset, int field);
CN_API const cn_shape *cn_dataset_shape(const cn_dataset *dataset, int field);
CN_API bool cn_dataset_is_slow(const cn_dataset *dataset);
/* Reads one sample; fails if there is none of that index. */
CN_API cn_status cn_dataset_read(cn_dataset *dataset, int64_t index, uint64_t draw,
                                 void *const *fields);
/* All samples as one new array per field (the caller's), each read with the draw 0. */
CN_API cn_status cn_dataset_arrays(cn_dataset *dataset, cn_array **fields);

/* Changes pictures at random while they are read; field 0 is (height, width, channels). Places
 * outside the picture take its nearest pixel. All zeros change nothing. */
typedef struct cn_augment_options {
    size_t size_;
    bool horizontal_flip, vertical_flip; /* of every second picture */
    float shift;                         /* up to this part of width and height, either way */
    float rotation;                      /* up to so many degrees, either way */
    float zoom;                          /* factors from 1 - zoom to 1 + zoom */
    float brightness;                    /* up to this part of `range` added or taken away */
    float range;      /* = 1: the largest value of a pixel; values are kept within 0 and it */
    bool targets_too; /* targets that are pictures of field 0's height and width (masks) move along;
                         they take the nearest pixel, and no brightness */
    uint64_t seed;
} cn_augment_options;
/* Takes `dataset` over, also when it fails. */
#define cn_augment(dataset, ...)                                                                   \
    cn_dataset_augment(dataset,                                                                    \
                       &(cn_augment_options){.size_ = sizeof(cn_augment_options), __VA_ARGS__})
CN_API cn_dataset *cn_dataset_augment(cn_dataset *dataset, const cn_augment_options *options);

/* Draws `count` pictures of coloured shapes and textures, of ten classes: disk, ring, square,
 * triangle, cross, star, horizontal stripes, vertical stripes, checkerboard, dots. Colours, place,
 * size, angle, softness of the edges and noise are random.
 *
 * seed    picture i of a seed is the same whatever `count`; take another seed for test pictures
 * size    pixels on a side, 8 to 1024
 * images  (count, size, size, 3), float32, 0 to 1
 * labels  (count), int32, 0 to 9; all classes are equally likely
 *
 * Both arrays are the caller's to free; both are NULL after a failure. */
CN_API cn_status cn_drawn_shapes(uint64_t seed, int64_t count, int64_t size, cn_array **images,
                                 cn_array **labels);

/* The same pictures and labels as a data set, drawn as they are read. */
CN_API cn_dataset *cn_drawn_shapes_dataset(uint64_t seed, int64_t count, int64_t size);

/* The name of a class, such as "ring"; NULL for a label that is none. */
CN_API const char *cn_drawn_shape_name(int label);

#ifdef __cplusplus
}
#endif

#endif
