/* Arrays for the tests of this folder. */
#ifndef CORNU_TESTS_INSPECT_ARRAYS_H
#define CORNU_TESTS_INSPECT_ARRAYS_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "cornu/formats.h"
#include "cornu/inspect.h"

/* An array of the golden file. */
static inline cn_array *golden_array(const char *file, const char *name)
{
    char path[600];
    (void)snprintf(path, sizeof path, "%s/%s", CN_TEST_GOLDEN, file);
    cn_npz *npz = cn_npz_open(path);
    cn_array *array = cn_npz_read(npz, name);
    cn_npz_close(npz);
    if (!array)
        fail_msg("%s: %s", path, cn_error_message());
    return array;
}

/* Numbers between -1 and 1 without a pattern. */
static inline cn_array *drawn_array(cn_shape shape, uint32_t seed)
{
    cn_array *array = cn_array_new(CN_FLOAT32, &shape);
    assert_non_null(array);
    for (int64_t i = 0; i < cn_array_count(array); i++) {
        seed = seed * 1664525u + 1013904223u;
        cn_array_floats(array)[i] = (float)(seed >> 8) / 8388608.0f - 1;
    }
    return array;
}

/* The arrays have one shape, and |a - b| <= tolerance * max(|b|, 1). Frees both. */
static inline void assert_arrays_close(const char *what, cn_array *a, cn_array *b, double tolerance)
{
    char has[200], wants[200];
    if (!a || !b)
        fail_msg("%s: %s", what, cn_error_message());
    if (!cn_shape_equal(cn_array_shape(a), cn_array_shape(b)))
        fail_msg("%s: shape %s, not %s", what, cn_shape_text(cn_array_shape(a), has, sizeof has),
                 cn_shape_text(cn_array_shape(b), wants, sizeof wants));
    const float *p = cn_array_const_floats(a), *q = cn_array_const_floats(b);
    for (int64_t i = 0; i < cn_array_count(a); i++)
        if (!(fabs((double)p[i] - (double)q[i]) <= tolerance * fmax(fabs((double)q[i]), 1)))
            fail_msg("%s: element %lld is %.9g, not %.9g", what, (long long)i, (double)p[i],
                     (double)q[i]);
    cn_array_free(a);
    cn_array_free(b);
}

/* Samples `first` to first + count of a batch. */
static inline cn_array *samples(const cn_array *array, int64_t first, int64_t count)
{
    cn_shape shape = *cn_array_shape(array);
    int64_t each = cn_array_count(array) / shape.dim[0];
    shape.dim[0] = count;
    return cn_array_from(&shape, cn_array_const_floats(array) + first * each);
}

/* What a function of one input and one output gives. */
static inline cn_array *result_of(cn_tensor *input, cn_tensor *output, const cn_array *x)
{
    cn_array *y = NULL;
    cn_function *function = cn_function_new(cn_tensors(input), cn_tensors(output));
    if (!function || cn_function_run(function, &x, &y, false, NULL) != CN_OK)
        fail_msg("%s", cn_error_message());
    cn_function_free(function);
    return y;
}

/* Sets weight `index` of a layer and frees the value. */
static inline void set_weight(cn_layer *layer, int index, cn_array *value)
{
    if (cn_layer_set_weight(layer, index, value) != CN_OK)
        fail_msg("%s", cn_error_message());
    cn_array_free(value);
}

#endif
