/* cornu/datasets.h - pictures to learn from that need no download. */
#ifndef CORNU_DATASETS_H
#define CORNU_DATASETS_H

#include "cornu/base.h"

#ifdef __cplusplus
extern "C" {
#endif

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

/* The name of a class, such as "ring"; NULL for a label that is none. */
CN_API const char *cn_drawn_shape_name(int label);

#ifdef __cplusplus
}
#endif

#endif
