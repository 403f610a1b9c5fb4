/* Arrays in NumPy's format, in memory. */
#ifndef CORNU_SRC_NPY_H
#define CORNU_SRC_NPY_H

#include "base/base.h"

/* The longest header read, its magic included. Only structured types, which are not supported, make
 * longer ones. */
#define CN__NPY_MAX_HEADER 65536

/* Reads the header in the first `size` bytes of an npy and tells how many bytes the whole npy must
 * have, header included. */
cn_status cn__npy_size(const void *bytes, size_t size, size_t *total);

/* The array in `bytes`, which must hold one npy and nothing else. */
cn_array *cn__npy_parse(const void *bytes, size_t size);

/* Writes the header for `array` into `text` and returns its length, a multiple of 64. */
#define CN__NPY_HEADER_SPACE 512
size_t cn__npy_header(const cn_array *array, char text[CN__NPY_HEADER_SPACE]);

/* The elements of `array` as bytes, and their number. */
const void *cn__npy_elements(const cn_array *array, size_t *size);

#endif
