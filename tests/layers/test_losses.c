/* Losses: Keras' own values, values computed by hand, gradients against difference quotients, the
 * way through logits, shapes that are not known beforehand, and what is refused.
 *
 * Keras' values were computed in float32. Where a value is a sum of a few numbers of its size both
 * carry a few roundings of 6e-8; where it is a logarithm near 0 the error is absolute. So the bound
 * is 1e-5 of the larger of the value and 0.1. */
#include "layers/losses.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "cornu/formats.h"
#include "graph/ops.h"
#include "unit/failing.h"

static void check_close(const char *what, double is, double wanted)
{
    if (!(fabs(is - wanted) <= 1e-5 * fmax(fabs(wanted), 0.1)))
        fail_msg("%s is %.9g, not %.9g", what, is, wanted);
}

/* ---- running ---- */

/* The symbolic shape of a tensor that will hold the array: the batch is left open. */
static cn_tensor *input_for(const cn_array *array)
{
    cn_shape shape = *cn_array_shape(array);
    shape.dim[0] = -1;
    return cn_op_input(cn_array_dtype(array), &shape, "x");
}

/* Gives back the graphs of both, which may be one. */
static void release(cn_tensor *a, cn_tensor *b)
{
    if (a && b && cn__graph_of(a) != cn__graph_of(b))
        cn_tensor_release(b);
    cn_tensor_release(a ? a : b);
}

/* The loss' values for the arrays, with `wrap` applied to the prediction. NULL if it fails. */
static cn_array *values_of(const char *loss, const cn_array *y, const cn_array *p,
                           cn_tensor *(*wrap)(cn_tensor *x))
{
    cn_tensor *target = input_for(y), *x = input_for(p);
    cn_tensor *values = cn__loss_values(loss, target, wrap ? wrap(x) : x);
    if (!values) {
        release(target, x);
        return NULL;
    }
    cn_function *f = cn_function_new(cn_tensors(target, x), cn_tensors(values));
    const cn_array *in[] = {y, p};
    cn_array *out[1] = {NULL};
    (void)cn_function_run(f, in, out, true, NULL);
    cn_function_free(f);
    return out[0];
}

static void assert_values(const char *loss, const cn_array *y, const cn_array *p,
                          cn_tensor *(*wrap)(cn_tensor *x), cn_shape shape, const double *wanted)
{
    cn_array *values = values_of(loss, y, p, wrap);
    char text[128];
    if (!values)
        fail_msg("%s: %s", loss, cn_error_message());
    if (!cn_shape_equal(cn_array_shape(values), &shape))
        fail_msg("%s: the shape is %s", loss,
                 cn_shape_text(cn_array_shape(values), text, sizeof text));
    for (int64_t i = 0; i < cn_array_count(values); i++)
        check_close(loss, (double)cn_array_const_floats(values)[i], wanted[i]);
    cn_array_free(values);
}

static cn_array *floats(cn_shape shape, const float *values)
{
    return cn_array_from(&shape, values);
}

static cn_array *ints(cn_shape shape, const int32_t *values)
{
    cn_array *array = cn_array_new(CN_INT32, &shape);
    memcpy(cn_array_ints(array), values, (size_t)cn_array_count(array) * sizeof *values);
    return array;
}

static cn_npz *golden(const char *name)
{
    char path[600];
    (void)snprintf(path, sizeof path, "%s/%s", CN_TEST_GOLDEN, name);
    cn_npz *npz = cn_npz_open(path);
    assert_non_null(npz);
    return npz;
}

/* ---- Keras 3's values ---- */

/* golden/keras3/train/losses.json, its list "losses" in its order: name and arguments, and
 * "weighted", the mean of values times weights. losses.npz has target, prediction and values. */
static const struct keras3 {
    const char *loss;
    double weighted;
} keras3[] = {
    {"CategoricalCrossentropy", 1.4679850339889526},
    {"CategoricalCrossentropy(from_logits=True)", 2.292119264602661},
    {"CategoricalCrossentropy(label_smoothing=0.1)", 1.4778436422348022},
    {"categorical_crossentropy", 1.7219457626342773},
    {"SparseCategoricalCrossentropy", 1.4679850339889526},
    {"SparseCategoricalCrossentropy(from_logits=True, ignore_class=None)", 2.292119264602661},
    {"BinaryCrossentropy", 0.8437702059745789},
    {"BinaryCrossentropy(from_logits=True)", 0.9109147191047668},
    {"BinaryCrossentropy(label_smoothing=0.2)", 0.8489372730255127},
    {"BinaryFocalCrossentropy", 0.49468621611595154},
    {"BinaryFocalCrossentropy(apply_class_balancing=True, gamma=3.0)", 0.24526481330394745},
    {"CategoricalFocalCrossentropy", 0.2426477074623108},
    {"MeanSquaredError", 1.8819657564163208},
    {"MeanAbsoluteError", 1.0174752473831177},
    {"MeanAbsolutePercentageError", 398.066650390625},
    {"MeanSquaredLogarithmicError", 0.3145690858364105},
    {"Huber", 1.2411028146743774},
    {"Huber(delta=0.5)", 0.4094334840774536},
    {"LogCosh", 0.5882734656333923},
    {"KLDivergence", 1.4679797887802124},
    {"Poisson", 1.0041109323501587},
    {"CosineSimilarity", -0.22663052380084991},
    {"Hinge", 0.8636165261268616},
    {"SquaredHinge", 1.3843536376953125},
    {"CategoricalHinge", 2.770519256591797},
    {"Dice", 0.4517004191875458},
    {"Tversky", 0.4517004191875458},
};

static cn_array *numbered(cn_npz *npz, size_t number, const char *what)
{
    char name[40];
    (void)snprintf(name, sizeof name, "%zu_%s", number, what);
    cn_array *array = cn_npz_read(npz, name);
    assert_non_null(array);
    return array;
}

static void test_keras3(void **state)
{
    const struct keras3 *row = *state;
    size_t number = (size_t)(row - keras3);
    cn_npz *npz = golden("keras3/train/losses.npz");
    cn_array *y = numbered(npz, number, "yt"), *p = numbered(npz, number, "yp");
    cn_array *none = numbered(npz, number, "none"), *weights = cn_npz_read(npz, "sw");
    cn_array *values = values_of(row->loss, y, p, NULL);
    if (!values)
        fail_msg("%s", cn_error_message());
    int64_t samples = cn_array_shape(p)->dim[0];
    assert_int_equal(cn_array_count(values), samples);
    double sum = 0;
    for (int64_t i = 0; i < samples; i++) {
        /* Dice and Tversky give the whole batch's number. */
        int64_t j = cn_array_count(none) > 1 ? i : 0;
        double value = (double)cn_array_const_floats(values)[i];
        check_close(row->loss, value, (double)cn_array_const_floats(none)[j]);
        sum += value * (double)cn_array_const_floats(weights)[i];
    }
    check_close("the weighted mean", sum / (double)samples, row->weighted);
    cn_array *const all[] = {y, p, none, weights, values};
    for (size_t i = 0; i < CN__COUNT(all); i++)
        cn_array_free(all[i]);
    cn_npz_close(npz);
}

/* Keras 1 on Theano, under the names it had. Its cosine proximity is the mean over the five
 * numbers, which Keras made the sum later. */
static void test_keras1(void **state)
{
    static const struct {
        const char *name;
        double factor;
    } rows[] = {{"mse", 1},
                {"mae", 1},
                {"mape", 1},
                {"msle", 1},
                {"squared_hinge", 1},
                {"hinge", 1},
                {"categorical_crossentropy", 1},
                {"binary_crossentropy", 1},
                {"kullback_leibler_divergence", 1},
                {"poisson", 1},
                {"cosine_proximity", 5}};
    (void)state;
    cn_npz *npz = golden("keras1-theano/09_losses.npz");
    cn_array *y = cn_npz_read(npz, "y_true"), *p = cn_npz_read(npz, "y_pred");
    for (size_t i = 0; i < CN__COUNT(rows); i++) {
        cn_array *wanted = cn_npz_read(npz, rows[i].name);
        double numbers[6];
        assert_int_equal(cn_array_count(wanted), 6);
        for (int k = 0; k < 6; k++)
            numbers[k] = rows[i].factor * (double)cn_array_const_floats(wanted)[k];
        assert_values(rows[i].name, y, p, NULL, cn_shape_of(6), numbers);
        cn_array_free(wanted);
    }
    cn_array_free(y);
    cn_array_free(p);
    cn_npz_close(npz);
}

/* ---- by hand ---- */

static void test_by_hand(void **state)
{
    (void)state;
    const float y[] = {1, 0, 1, 0}, p[] = {0.5f, 0.5f, 1, 0.5f};
    cn_array *flat_y = floats(cn_shape_of(1, 4), y), *flat_p = floats(cn_shape_of(1, 4), p);
    cn_array *two_y = floats(cn_shape_of(2, 2), y), *two_p = floats(cn_shape_of(2, 2), p);
    /* sum(y p) = 3/2, sum(y) = 2, sum(p) = 5/2: 1 - 3 / 4.5. Missed 1/2, wrong 1. */
    assert_values("dice", flat_y, flat_p, NULL, cn_shape_of(1), (const double[]){1 - 3 / 4.5});
    assert_values("Tversky(alpha=0.3, beta=0.7)", flat_y, flat_p, NULL, cn_shape_of(1),
                  (const double[]){1 - 1.5 / (1.5 + 0.15 + 0.7)});
    /* All for one; then each row for itself: 1/2 of 1 + 1, and 1 of 1 + 3/2. */
    assert_values("Dice(axis=None)", two_y, two_p, NULL, cn_shape_of(2),
                  (const double[]){1 - 3 / 4.5, 1 - 3 / 4.5});
    assert_values("Dice(axis=[1])", two_y, two_p, NULL, cn_shape_of(2),
                  (const double[]){1 - 1 / 2.0, 1 - 2 / 2.5});
    assert_values("Tversky(axis=(1))", two_y, two_p, NULL, cn_shape_of(2),
                  (const double[]){1 - 0.5 / (0.5 + 0.25 + 0.25), 1 - 1 / (1 + 0.25)});
    /* y = (0.9, 0.1) after smoothing by 0.2 */
    assert_values("CategoricalCrossentropy(label_smoothing=0.2)", two_y, two_p, NULL,
                  cn_shape_of(2),
                  (const double[]){log(2), -(0.9 * log(2 / 3.0) + 0.1 * log(1 / 3.0))});
    assert_values("BinaryCrossentropy(label_smoothing=0.2)", flat_y, flat_p, NULL, cn_shape_of(1),
                  (const double[]){(3 * log(2) + 0.1 * 15.9424) / 4});
    /* 0 and 1 stand for -1 and 1: margins 0.5, 1.5, 0, 1.5. */
    assert_values("hinge", flat_y, flat_p, NULL, cn_shape_of(1), (const double[]){3.5 / 4});
    assert_values("squared_hinge", flat_y, flat_p, NULL, cn_shape_of(1),
                  (const double[]){(0.25 + 2.25 + 2.25) / 4});
    const float signs[] = {1, -1, 1, -1};
    cn_array *sign_y = floats(cn_shape_of(1, 4), signs);
    assert_values("hinge", sign_y, flat_p, NULL, cn_shape_of(1), (const double[]){3.5 / 4});
    /* Differences -1.5, 1.5, 0, 1.5 from the signs; delta 1: 3/2 - 1/2. */
    assert_values("huber", sign_y, flat_p, NULL, cn_shape_of(1),
                  (const double[]){(0.125 + 1 + 0 + 1) / 4});
    cn_array *const all[] = {flat_y, flat_p, two_y, two_p, sign_y};
    for (size_t i = 0; i < CN__COUNT(all); i++)
        cn_array_free(all[i]);
}

/* ---- the way through logits ---- */

static cn_tensor *unary(cn_unary op, cn_tensor *x)
{
    return cn_op_unary(x, (cn_function1){.op = op});
}

static cn_tensor *softmax(cn_tensor *x)
{
    return cn_op_softmax(x, -1, false);
}

/* As layers leave it that pass on a tensor that another layer made. */
static cn_tensor *softmax_layer(cn_tensor *x)
{
    return cn_apply(cn_activation("linear"), cn_apply(cn_activation("softmax"), x));
}

static cn_tensor *sigmoid(cn_tensor *x)
{
    return unary(CN_IDENTITY, unary(CN_SIGMOID, x));
}

/* A softmax that is not the last thing done. */
static cn_tensor *shifted_softmax(cn_tensor *x)
{
    return cn_op_binary(CN_ADD, softmax(x), cn_op_number(x, 0));
}

static void test_logits(void **state)
{
    (void)state;
    cn_array *x = floats(cn_shape_of(2, 3), (const float[]){100, 0, 0, 0.5f, 1, -1});
    cn_array *y = floats(cn_shape_of(2, 3), (const float[]){0, 1, 0, 0, 0, 1});
    cn_array *classes = ints(cn_shape_of(2), (const int32_t[]){1, 2});
    const double entropy[] = {100, 1 + log(exp(0.5) + exp(1) + exp(-1))};
    const double clipped[] = {-log(1e-7), entropy[1]}, p = exp(-entropy[1]);
    assert_values("CategoricalCrossentropy(from_logits=True)", y, x, NULL, cn_shape_of(2), entropy);
    assert_values("categorical_crossentropy", y, x, softmax, cn_shape_of(2), entropy);
    assert_values("categorical_crossentropy", y, x, softmax_layer, cn_shape_of(2), entropy);
    assert_values("sparse_categorical_crossentropy", classes, x, softmax_layer, cn_shape_of(2),
                  entropy);
    assert_values("categorical_crossentropy", y, x, shifted_softmax, cn_shape_of(2), clipped);
    const double focal[] = {0.25 * 100, 0.25 * (1 - p) * (1 - p) * entropy[1]};
    assert_values("categorical_focal_crossentropy", y, x, softmax, cn_shape_of(2), focal);
    const double binary[] = {(100 + log(2) + log(2)) / 3,
                             (log1p(exp(0.5)) + log1p(exp(1)) + log1p(exp(-1)) + 1) / 3};
    assert_values("BinaryCrossentropy(from_logits=True)", y, x, NULL, cn_shape_of(2), binary);
    assert_values("binary_crossentropy", y, x, sigmoid, cn_shape_of(2), binary);
    cn_array *const all[] = {x, y, classes};
    for (size_t i = 0; i < CN__COUNT(all); i++)
        cn_array_free(all[i]);
}

/* ---- gradients ---- */

/* Every loss, with arguments that take it through all its parts. The predictions are away from the
 * kinks. */
static const struct differentiable {
    const char *loss;
    cn_tensor *(*wrap)(cn_tensor *x);
} differentiable[] = {
    {"mse", NULL},
    {"mae", NULL},
    {"mape", NULL},
    {"msle", NULL},
    {"Huber(delta=0.15)", NULL},
    {"log_cosh", NULL},
    {"hinge", NULL},
    {"squared_hinge", NULL},
    {"categorical_hinge", NULL},
    {"kld", NULL},
    {"poisson", NULL},
    {"cosine_similarity", NULL},
    {"dice", NULL},
    {"Dice(axis=1)", NULL},
    {"Tversky(alpha=0.2, beta=0.9)", NULL},
    {"categorical_crossentropy", NULL},
    {"categorical_crossentropy", softmax},
    {"CategoricalCrossentropy(from_logits=True, label_smoothing=0.3)", NULL},
    {"sparse_categorical_crossentropy", NULL},
    {"sparse_categorical_crossentropy", softmax_layer},
    {"CategoricalFocalCrossentropy(gamma=1.5, alpha=0.6)", NULL},
    {"categorical_focal_crossentropy", softmax},
    {"CategoricalFocalCrossentropy(from_logits=True)", NULL},
    {"BinaryCrossentropy(label_smoothing=0.1)", NULL},
    {"binary_crossentropy", sigmoid},
    {"BinaryFocalCrossentropy(apply_class_balancing=True, alpha=0.3)", NULL},
    {"binary_focal_crossentropy", sigmoid},
    {"BinaryFocalCrossentropy(from_logits=True, gamma=3)", NULL},
};

static const float seeds[2] = {0.75f, -1.25f};

/* The sum of the values, weighted by the seeds. */
static double seeded(cn_function *f, const cn_array *y, const cn_array *p)
{
    cn_array *values = NULL;
    const cn_array *in[] = {y, p};
    assert_int_equal(cn_function_run(f, in, &values, true, NULL), CN_OK);
    double sum = 0;
    for (int i = 0; i < 2; i++)
        sum += (double)seeds[i] * (double)cn_array_const_floats(values)[i];
    cn_array_free(values);
    return sum;
}

/* A value of size v has an error of about 2^-23 v, so the quotient with step h one of 1.2e-7 v / h;
 * to cut the series off makes one of h^2 / 6 times the third derivative, at most 2 / 0.2^3 here.
 * With h = 4e-3 that is 3e-5 v and 7e-4. */
static void test_gradient(void **state)
{
    static const float h = 4e-3f;
    const struct differentiable *row = *state;
    bool sparse = cn__loss_is_sparse(row->loss);
    cn_array *y =
        sparse ? ints(cn_shape_of(2), (const int32_t[]){2, 0})
               : floats(cn_shape_of(2, 3), (const float[]){0.1f, 0.7f, 0.2f, 0.5f, 0.2f, 0.3f});
    cn_array *p =
        floats(cn_shape_of(2, 3), (const float[]){0.3f, 0.45f, 0.6f, 0.25f, 0.55f, 0.35f});
    cn_array *seed = floats(cn_shape_of(2), seeds), *dx = NULL;
    cn_tensor *target = input_for(y), *x = input_for(p), *s = input_for(seed), *gradient;
    cn_tensor *values = cn__loss_values(row->loss, target, row->wrap ? row->wrap(x) : x);
    assert_non_null(values);
    assert_int_equal(
        cn_gradients(cn_tensors(values), cn_tensors(s), cn_tensors(x), CN_GRADIENT, &gradient),
        CN_OK);
    cn_function *f = cn_function_new(cn_tensors(target, x), cn_tensors(values));
    cn_function *g = cn_function_new(cn_tensors(target, x, s), cn_tensors(gradient));
    const cn_array *in[] = {y, p, seed};
    assert_int_equal(cn_function_run(g, in, &dx, true, NULL), CN_OK);
    double largest = 0, size = fabs(seeded(f, y, p));
    for (int i = 0; i < 6; i++)
        largest = fmax(largest, fabs((double)cn_array_const_floats(dx)[i]));
    assert_true(largest > 1e-3);
    for (int i = 0; i < 6; i++) {
        float kept = cn_array_floats(p)[i], more = kept + h, less = kept - h;
        cn_array_floats(p)[i] = more;
        double after = seeded(f, y, p);
        cn_array_floats(p)[i] = less;
        double before = seeded(f, y, p);
        cn_array_floats(p)[i] = kept;
        double quotient = (after - before) / ((double)more - (double)less);
        double derivative = (double)cn_array_const_floats(dx)[i];
        if (!(fabs(quotient - derivative) <= 1e-4 * (size + 1) + 1e-3 * largest))
            fail_msg("derivative %d is %.9g, the difference quotient %.9g", i, derivative,
                     quotient);
    }
    cn_function_free(f);
    cn_function_free(g);
    cn_array *const all[] = {y, p, seed, dx};
    for (size_t i = 0; i < CN__COUNT(all); i++)
        cn_array_free(all[i]);
}

/* A prediction that is cut off has no gradient; logits always have p - y. */
static void test_saturation(void **state)
{
    (void)state;
    cn_array *x = floats(cn_shape_of(1, 2), (const float[]){40, -40}), *dx = NULL;
    cn_array *y = floats(cn_shape_of(1, 2), (const float[]){0, 1});
    for (int cut = 0; cut < 2; cut++) {
        cn_tensor *target = input_for(y), *in = input_for(x), *gradient;
        cn_tensor *p = cut ? shifted_softmax(in) : softmax(in);
        cn_tensor *values = cn__loss_values("categorical_crossentropy", target, p);
        assert_int_equal(cn_gradients(cn_tensors(values), (cn_tensor_list){0, NULL}, cn_tensors(in),
                                      CN_GRADIENT, &gradient),
                         CN_OK);
        cn_function *g = cn_function_new(cn_tensors(target, in), cn_tensors(gradient));
        assert_int_equal(cn_function_run(g, (const cn_array *const[]){y, x}, &dx, true, NULL),
                         CN_OK);
        for (int i = 0; i < 2; i++)
            check_close("the gradient", (double)cn_array_const_floats(dx)[i], cut ? 0 : 1 - 2 * i);
        cn_array_free(dx);
        cn_function_free(g);
    }
    cn_array_free(x);
    cn_array_free(y);
}

/* ---- shapes ---- */

/* (batch), (batch, 1) and spatial extents that only the run tells. */
static void test_open_shapes(void **state)
{
    (void)state;
    cn_array *column = floats(cn_shape_of(3, 1), (const float[]){1, 2, 3});
    cn_array *flat = floats(cn_shape_of(3), (const float[]){1, 0, 0});
    const double squares[] = {0, 4, 9};
    assert_values("mse", flat, column, NULL, cn_shape_of(3), squares);
    assert_values("mse", column, flat, NULL, cn_shape_of(3), squares);
    assert_values("mse", flat, flat, NULL, cn_shape_of(3), (const double[]){0, 0, 0});
    assert_values("binary_crossentropy", flat, flat, sigmoid, cn_shape_of(3),
                  (const double[]){log1p(exp(1)) - 1, log(2), log(2)});
    const cn_shape image = cn_shape_of(-1, -1, -1, 2), kind = cn_shape_of(-1, -1, -1, 1);
    cn_tensor *x = cn_op_input(CN_FLOAT32, &image, "x");
    cn_tensor *y = cn_op_input(CN_INT32, &kind, "y");
    cn_tensor *values = cn__loss_values("SparseCategoricalCrossentropy(from_logits=True)", y, x);
    assert_int_equal(cn_tensor_shape(values)->rank, 3);
    cn_function *f = cn_function_new(cn_tensors(x, y), cn_tensors(values));
    for (int side = 1; side < 3; side++) {
        cn_shape pixels = cn_shape_of(2, side, 3, 2), labels = cn_shape_of(2, side, 3, 1);
        cn_array *in[] = {cn_array_new(CN_FLOAT32, &pixels), cn_array_new(CN_INT32, &labels)};
        cn_array *out = NULL;
        assert_int_equal(cn_function_run(f, (const cn_array *const *)in, &out, true, NULL), CN_OK);
        assert_int_equal(cn_array_count(out), 6 * side);
        check_close("log 2", (double)cn_array_const_floats(out)[6 * side - 1], log(2));
        cn_array_free(in[0]);
        cn_array_free(in[1]);
        cn_array_free(out);
    }
    cn_function_free(f);
    cn_array_free(column);
    cn_array_free(flat);
}

static void test_target_shape(void **state)
{
    (void)state;
    cn_shape maps = cn_shape_of(-1, 4, 4, 10);
    cn_shape classes = cn__loss_target_shape("SparseCategoricalCrossentropy", &maps);
    cn_shape same = cn__loss_target_shape("mse", &maps);
    assert_true(cn_shape_equal(&classes, &(cn_shape){3, {-1, 4, 4}}));
    assert_true(cn_shape_equal(&same, &maps));
    assert_true(cn__loss_is_sparse("sparse_categorical_crossentropy"));
    assert_false(cn__loss_is_sparse("mse"));
}

/* ---- what is refused ---- */

static void test_refused(void **state)
{
    static const char *const rows[][2] = {
        {"cross",
         "there is no loss \"cross\"; there are mean_squared_error, mean_absolute_error, "
         "mean_absolute_percentage_error, mean_squared_logarithmic_error, huber, log_cosh, "
         "hinge, squared_hinge, categorical_hinge, kl_divergence, poisson, "
         "cosine_similarity, dice, tversky, categorical_crossentropy, "
         "sparse_categorical_crossentropy, categorical_focal_crossentropy, "
         "binary_crossentropy, binary_focal_crossentropy"},
        {"Huber(dleta=1)", "the loss Huber has no argument \"dleta\"; its arguments: delta"},
        {"mse(axis=1)", "the loss mse has no argument \"axis\"; its arguments: none"},
        {"Huber(delta=big)", "the loss Huber: delta must be a number from 1e-06 to 1e+06, not big"},
        {"BinaryCrossentropy(from_logits=2)",
         "the loss BinaryCrossentropy: from_logits must be a whole number from 0 to 1, not 2"},
        {"CategoricalCrossentropy(axis=1)",
         "the loss CategoricalCrossentropy: axis must be -1, not 1"},
        {"SparseCategoricalCrossentropy(ignore_class=255)",
         "the loss SparseCategoricalCrossentropy: ignore_class must be one of None, not 255"},
        {"Dice(axis=[-1])", "the loss Dice: axis must be a list of whole numbers from 0 to 31, "
                            "such as [1, 2], not [-1]"},
        {"MeanSquaredError(reduction=sum)",
         "the loss MeanSquaredError: reduction must be sum_over_batch_size, not sum"},
    };
    (void)state;
    for (size_t i = 0; i < CN__COUNT(rows); i++) {
        assert_false(cn__loss_known(rows[i][0]));
        assert_string_equal(cn_error_message(), rows[i][1]);
    }
    assert_true(cn__loss_known("Huber(delta=None, name='a', reduction='sum_over_batch_size')"));
    cn_clear_error();
}

static void test_wrong_targets(void **state)
{
    static const char *const numbers[] = {"3", "-1", "0.5"};
    const float wrong[] = {3, -1, 0.5f};
    (void)state;
    cn_array *p = cn_array_new(CN_FLOAT32, &(cn_shape){2, {2, 3}});
    for (int i = 0; i < 3; i++) {
        char message[200];
        cn_array *y = floats(cn_shape_of(2), (const float[]){0, wrong[i]});
        assert_null(values_of("sparse_categorical_crossentropy", y, p, NULL));
        (void)snprintf(message, sizeof message,
                       "one_hot: element 1 is %s, but the classes are the whole numbers from 0 to "
                       "2",
                       numbers[i]);
        assert_non_null(strstr(cn_error_message(), message));
        cn_array_free(y);
    }
    cn_array *y = ints(cn_shape_of(2), (const int32_t[]){0, 1});
    assert_null(values_of("mse", y, p, NULL));
    assert_string_equal(cn_error_message(), "the loss mse: the targets must be float32, not int32");
    assert_null(values_of("sparse_categorical_crossentropy", y, y, NULL));
    cn_array_free(y);
    y = floats(cn_shape_of(2, 4), NULL);
    assert_null(values_of("mse", y, p, NULL));
    assert_null(values_of("Dice(axis=[0, 5])", p, p, NULL));
    assert_string_equal(cn_error_message(),
                        "the loss Dice(axis=[0, 5]): axis must be None, for one number for the "
                        "whole batch, or name some of the axes 1 to 1");
    cn_array_free(y);
    cn_array_free(p);
    cn_clear_error();
}

static void test_failing_allocations(void **state)
{
    static const char *const losses[] = {"BinaryFocalCrossentropy", "hinge", "Tversky(alpha=0.3)",
                                         "sparse_categorical_crossentropy", "cosine_similarity"};
    const cn_shape shape = cn_shape_of(-1, 3);
    (void)state;
    for (size_t i = 0; i < CN__COUNT(losses); i++) {
        bool done = false;
        for (int k = 0; !done; k++) {
            counter c;
            fail_at(&c, k);
            cn_shape labels = cn__loss_target_shape(losses[i], &shape);
            cn_clear_error();
            cn_tensor *p = cn_op_input(CN_FLOAT32, &shape, "p");
            cn_tensor *y = cn_op_input(CN_FLOAT32, &labels, "y");
            done = cn__loss_values(losses[i], y, p) != NULL;
            assert_true(done || cn_error_status() == CN_ERROR_MEMORY);
            release(p, y);
            assert_int_equal(c.alive, 0);
            restore_allocator(NULL);
            assert_true(k < 1000);
        }
    }
}

int main(void)
{
    static const struct CMUnitTest others[] = {
        cmocka_unit_test(test_keras1),
        cmocka_unit_test(test_by_hand),
        cmocka_unit_test(test_logits),
        cmocka_unit_test(test_saturation),
        cmocka_unit_test(test_open_shapes),
        cmocka_unit_test(test_target_shape),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_wrong_targets),
        cmocka_unit_test_teardown(test_failing_allocations, restore_allocator),
    };
    enum { first = CN__COUNT(keras3), second = first + CN__COUNT(differentiable) };
    struct CMUnitTest tests[second + CN__COUNT(others)];
    for (size_t i = 0; i < CN__COUNT(keras3); i++)
        tests[i] = (struct CMUnitTest){keras3[i].loss, test_keras3, NULL, NULL,
                                       (void *)(uintptr_t)&keras3[i]};
    for (size_t i = 0; i < CN__COUNT(differentiable); i++)
        tests[first + i] = (struct CMUnitTest){differentiable[i].loss, test_gradient, NULL, NULL,
                                               (void *)(uintptr_t)&differentiable[i]};
    memcpy(tests + second, others, sizeof others);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
