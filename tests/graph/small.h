/* Small functions on small arrays, for the tests of the graph. */
#ifndef CORNU_TESTS_GRAPH_SMALL_H
#define CORNU_TESTS_GRAPH_SMALL_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "graph/graph.h"
#include "support/random.h"

static const cn_tensor_list none = {0, NULL};

static inline cn_tensor *input(cn_shape shape)
{
    return cn_op_input(CN_FLOAT32, &shape, "x");
}

static inline cn_array *numbers(cn_shape shape)
{
    int64_t count = cn_shape_count(&shape);
    float *values = test_floats(count);
    cn_array *array = cn_array_from(&shape, values);
    free(values);
    return array;
}

static inline cn_array *integers(cn_shape shape, const int32_t *values)
{
    cn_array *array = cn_array_new(CN_INT32, &shape);
    memcpy(cn_array_ints(array), values, (size_t)cn_array_count(array) * sizeof *values);
    return array;
}

static inline void assert_values(const cn_array *array, cn_shape shape, const float *expected)
{
    char text[100];
    if (!cn_shape_equal(cn_array_shape(array), &shape))
        fail_msg("the shape is %s", cn_shape_text(cn_array_shape(array), text, sizeof text));
    for (int64_t i = 0; i < cn_array_count(array); i++)
        if (!(fabsf(cn_array_const_floats(array)[i] - expected[i]) <= 1e-6f))
            fail_msg("element %d is %g, not %g", (int)i, (double)cn_array_const_floats(array)[i],
                     (double)expected[i]);
}

/* Compiles and runs a function with one output; takes the arrays over. */
static inline cn_status run(cn_tensor_list inputs, cn_tensor *output, cn_array **in, cn_array **y)
{
    cn_clear_error();
    *y = NULL;
    cn_function *f = cn_function_new(inputs, cn_tensors(output));
    assert_non_null(f);
    cn_status status = cn_function_run(f, (const cn_array *const *)in, y, false, NULL);
    cn_function_free(f);
    for (int i = 0; i < inputs.count; i++)
        cn_array_free(in[i]);
    return status;
}

static inline void assert_fails(cn_status status, cn_status expected, const char *message)
{
    assert_string_equal(cn_error_message(), message);
    assert_int_equal(status, expected);
}

static inline void assert_null_with(const cn_tensor *tensor, cn_status status, const char *message)
{
    assert_null(tensor);
    assert_fails(cn_error_status(), status, message);
    cn_clear_error();
}

#endif
