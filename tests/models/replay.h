/* Training runs that Keras made, made again: files, batches, comparing. */
#ifndef CORNU_TESTS_REPLAY_H
#define CORNU_TESTS_REPLAY_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "cornu/formats.h"

/* Both sides are float32, and steps add their roundings up. Measured: losses 2e-6, weights mostly
 * 1e-6, 2e-5 for a bias whose gradient is a small sum of large numbers. */
#define REPLAY_BOUND 1e-4

static inline const char *golden(const char *format, ...) CN_PRINTF(1, 2);
static inline const char *golden(const char *format, ...)
{
    static char paths[4][600];
    static unsigned turn;
    char *path = paths[turn++ % 4];
    int length = snprintf(path, sizeof paths[0], "%s/", CN_TEST_GOLDEN);
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(path + length, sizeof paths[0] - (size_t)length, format, arguments);
    va_end(arguments);
    return path;
}

/* The array whose name begins with these words; NULL if there is none. */
static inline cn_array *read_beginning(cn_npz *npz, const char *format, ...) CN_PRINTF(2, 3);
static inline cn_array *read_beginning(cn_npz *npz, const char *format, ...)
{
    char words[200];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(words, sizeof words, format, arguments);
    va_end(arguments);
    for (size_t i = 0; i < cn_npz_count(npz); i++)
        if (strncmp(cn_npz_name(npz, i), words, strlen(words)) == 0)
            return cn_npz_read(npz, cn_npz_name(npz, i));
    return NULL;
}

/* A copy of some rows, NULL for NULL. */
static inline cn_array *rows_of(const cn_array *array, int64_t first, int64_t count)
{
    if (array == NULL)
        return NULL;
    cn_shape shape = *cn_array_shape(array);
    size_t row = (size_t)(cn_array_count(array) / shape.dim[0]) * 4;
    shape.dim[0] = count;
    cn_array *rows = cn_array_new(cn_array_dtype(array), &shape);
    bool ints = cn_array_dtype(array) == CN_INT32;
    const char *from = ints ? (const char *)cn_array_const_ints(array)
                            : (const char *)cn_array_const_floats(array);
    memcpy(ints ? (void *)cn_array_ints(rows) : (void *)cn_array_floats(rows),
           from + (size_t)first * row, (size_t)count * row);
    return rows;
}

/* ---- comparing: false, with a message, if they differ ---- */

static inline bool same_number(const char *what, double x, double wanted)
{
    if (fabs(x - wanted) <= REPLAY_BOUND * fabs(wanted))
        return true;
    print_error("%s: %.9g, not %.9g\n", what, x, wanted);
    return false;
}

/* The distance, relative to the norm of `wanted` (at least `least`). */
static inline bool same_values(const char *what, const float *x, const float *wanted, int64_t count,
                               double least)
{
    double norm = 0, distance = 0;
    for (int64_t i = 0; i < count; i++) {
        double difference = (double)x[i] - (double)wanted[i];
        norm += (double)wanted[i] * (double)wanted[i];
        distance += difference * difference;
    }
    norm = fmax(sqrt(norm), least);
    distance = sqrt(distance);
    if (distance <= REPLAY_BOUND * norm)
        return true;
    print_error("%s: is %.3g away, its norm is %.3g\n", what, distance, norm);
    return false;
}

static inline bool same_array(const char *what, const cn_array *x, const cn_array *wanted)
{
    if (x == NULL || wanted == NULL || cn_array_count(x) != cn_array_count(wanted)) {
        print_error("%s: %s\n", what, cn_error_message());
        return false;
    }
    return same_values(what, cn_array_const_floats(x), cn_array_const_floats(wanted),
                       cn_array_count(x), 0);
}

/* Whether the model predicts `wanted` from the first rows of x. */
static inline bool same_prediction(const char *what, cn_model *model, const cn_array *x,
                                   const cn_array *wanted)
{
    cn_array *some = rows_of(x, 0, cn_array_shape(wanted)->dim[0]), *out[2] = {NULL};
    bool good = cn_model_predict(model, (const cn_array *const *)&some, out, 0, NULL) == CN_OK;
    good = same_array(what, out[0], wanted) && good;
    cn_array_free(some);
    cn_array_free(out[0]);
    cn_array_free(out[1]);
    return good;
}

/* The layer in front of a batch normalization, if it has a bias; else -1. The bias is taken away
 * with the mean again: its gradient is nothing but roundings, and so are the steps that optimizers
 * make of it which look at a gradient's sign or at its proportion to others. What depends on it in
 * turn is the moving mean alone. */
static inline int idle_layer(const cn_model *model)
{
    for (int i = 0; i + 1 < cn_model_layer_count(model); i++)
        if (strcmp(cn_layer_type(cn_model_layer(model, i + 1)), "BatchNormalization") == 0 &&
            cn_layer_weight_count(cn_model_layer(model, i)) == 2)
            return i;
    return -1;
}

/* Whether roundings decide about a weight, given the idle layer. */
static inline bool is_idle(int idle, int layer, const char *weight)
{
    return idle >= 0 && ((layer == idle && strcmp(weight, "bias") == 0) ||
                         (layer == idle + 1 && strcmp(weight, "moving_mean") == 0));
}

#endif
