/* Metrics: Keras' own values, values computed by hand, weights, batches, names, and what is
 * refused. Ours are counted in double and Keras' in float32, which leaves it roundings of 6e-8 for
 * each of a few numbers of the result's size: the bound is 1e-5 of the larger of the value and 0.1.
 */
#include "layers/metrics.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "cornu/formats.h"
#include "support/random.h"
#include "unit/failing.h"

static void check_close(const char *what, double is, double wanted)
{
    if (!(fabs(is - wanted) <= 1e-5 * fmax(fabs(wanted), 0.1)))
        fail_msg("%s is %.9g, not %.9g", what, is, wanted);
}

/* The batch's extent is left open, as it is when a model is compiled. */
static cn_shape open_batch(cn_shape shape)
{
    shape.dim[0] = -1;
    return shape;
}

static cn__metric *metric_for(const char *text, const cn__compared *batch)
{
    cn_shape y = open_batch(batch->target_shape), p = open_batch(batch->prediction_shape);
    cn__metric *metric = cn__metric_new(text, "mse", &y, &p);
    if (!metric)
        fail_msg("%s: %s", text, cn_error_message());
    return metric;
}

static double result_of(const char *text, const cn__compared *batch)
{
    cn__metric *metric = metric_for(text, batch);
    if (cn__metric_add(metric, batch) != CN_OK)
        fail_msg("%s: %s", text, cn_error_message());
    double result = cn__metric_result(metric);
    cn__metric_free(metric);
    return result;
}

/* A batch of numbers that are both of one shape. */
static cn__compared alike(cn_shape shape, const float *y, const float *p, const float *weights)
{
    return (cn__compared){.prediction_shape = shape,
                          .target_shape = shape,
                          .prediction = p,
                          .target = y,
                          .weights = weights};
}

/* ---- Keras 3's values ---- */

/* A batch read from golden/keras3/train/losses.npz; predictions that are the numbers of classes are
 * made floats. */
typedef struct stored {
    cn_npz *npz;
    cn_array *y, *p, *weights;
    cn__compared batch;
} stored;

static stored read_stored(const char *prefix, size_t number)
{
    char path[600], name[40];
    (void)snprintf(path, sizeof path, "%s/keras3/train/losses.npz", CN_TEST_GOLDEN);
    stored s = {.npz = cn_npz_open(path)};
    (void)snprintf(name, sizeof name, "%s%zu_yt", prefix, number);
    s.y = cn_npz_read(s.npz, name);
    (void)snprintf(name, sizeof name, "%s%zu_yp", prefix, number);
    cn_array *p = cn_npz_read(s.npz, name);
    s.weights = cn_npz_read(s.npz, "sw");
    assert_true(s.y && p && s.weights);
    s.p = cn_array_new(CN_FLOAT32, cn_array_shape(p));
    for (int64_t i = 0; i < cn_array_count(p); i++)
        cn_array_floats(s.p)[i] =
            cn_array_dtype(p) == CN_INT32 ? (float)cn_array_ints(p)[i] : cn_array_floats(p)[i];
    cn_array_free(p);
    bool ints = cn_array_dtype(s.y) == CN_INT32;
    s.batch = (cn__compared){.prediction_shape = *cn_array_shape(s.p),
                             .target_shape = *cn_array_shape(s.y),
                             .prediction = cn_array_floats(s.p),
                             .target_dtype = cn_array_dtype(s.y),
                             .target = ints ? (const void *)cn_array_ints(s.y)
                                            : (const void *)cn_array_floats(s.y)};
    return s;
}

static void free_stored(stored *s)
{
    cn_array_free(s->y);
    cn_array_free(s->p);
    cn_array_free(s->weights);
    cn_npz_close(s->npz);
}

/* golden/keras3/train/losses.json, its list "metrics" in its order. F1's five numbers are written
 * as their mean. The two of the best k are counted by hand: the file has 1 there, although one of
 * the six right classes has the lowest prediction of its row and another is third. */
static const struct keras3 {
    const char *metric, *name;
    double value;
} keras3[] = {
    {"CategoricalAccuracy", "categorical_accuracy", 0.5},
    {"SparseCategoricalAccuracy", "sparse_categorical_accuracy", 0.5},
    {"BinaryAccuracy", "binary_accuracy", 0.5666666626930237},
    {"TopKCategoricalAccuracy(k=2)", "top_k_categorical_accuracy", 4 / 6.0},
    {"MeanSquaredError", "mean_squared_error", 1.3609048128128052},
    {"RootMeanSquaredError", "root_mean_squared_error", 1.1665782928466797},
    {"MeanAbsoluteError", "mean_absolute_error", 0.895412266254425},
    {"Precision", "precision", 0.5625},
    {"Recall", "recall", 0.6000000238418579},
    {"AUC", "auc", 0.542222261428833},
    {"F1Score", "f1_score", 0.25999997854232787},
    {"CosineSimilarity", "cosine_similarity", 0.4501872956752777},
    {"KLDivergence", "kl_divergence", 1.569380283355713},
    {"BinaryIoU", "binary_io_u", 0.3950216472148895},
    {"R2Score", "r2_score", -0.7876112461090088},
    {"MeanIoU(num_classes=5)", "mean_io_u", 0.25},
    {"OneHotMeanIoU(num_classes=5)", "one_hot_mean_io_u", 0.25},
    {"Accuracy", "accuracy", 0.5},
    {"SparseTopKCategoricalAccuracy(k=2)", "sparse_top_k_categorical_accuracy", 4 / 6.0},
};

static void test_keras3(void **state)
{
    const struct keras3 *row = *state;
    stored s = read_stored("m", (size_t)(row - keras3));
    cn__metric *metric = metric_for(row->metric, &s.batch);
    assert_string_equal(cn__metric_name(metric), row->name);
    assert_int_equal(cn__metric_add(metric, &s.batch), CN_OK);
    check_close(row->metric, cn__metric_result(metric), row->value);
    cn__metric_free(metric);
    free_stored(&s);
}

/* The same file's list "losses", as metrics: the mean, and the mean by weights
 * ("mean_with_sample_weight"). */
static const struct as_metric {
    const char *loss;
    double mean, weighted;
} as_metric[] = {
    {"CategoricalCrossentropy", 1.5693860054016113, 1.6014381647109985},
    {"CategoricalCrossentropy(from_logits=True)", 2.5018930435180664, 2.5004937648773193},
    {"CategoricalCrossentropy(label_smoothing=0.1)", 1.5822032690048218, 1.612192988395691},
    {"CategoricalCrossentropy", 2.102109670639038, 1.8784862756729126},
    {"SparseCategoricalCrossentropy", 1.5693860054016113, 1.6014381647109985},
    {"SparseCategoricalCrossentropy(from_logits=True)", 2.5018930435180664, 2.5004937648773193},
    {"BinaryCrossentropy", 1.4521671533584595, 0.9204765558242798},
    {"BinaryCrossentropy(from_logits=True)", 1.1484993696212769, 0.9937251806259155},
    {"BinaryCrossentropy(label_smoothing=0.2)", 1.4476532936096191, 0.9261133670806885},
    {"BinaryFocalCrossentropy", 1.0951194763183594, 0.5396576523780823},
    {"BinaryFocalCrossentropy(apply_class_balancing=True, gamma=3.0)", 0.3827855587005615,
     0.2675616145133972},
    {"CategoricalFocalCrossentropy", 0.2552865445613861, 0.2647065818309784},
    {"MeanSquaredError", 1.3609048128128052, 2.053053617477417},
    {"MeanAbsoluteError", 0.895412266254425, 1.1099730730056763},
    {"MeanAbsolutePercentageError", 290.03961181640625, 434.2545166015625},
    {"MeanSquaredLogarithmicError", 0.27535873651504517, 0.3431662917137146},
    {"Huber", 1.17693293094635, 1.3539303541183472},
    {"Huber(delta=0.5)", 0.3417907655239105, 0.44665470719337463},
    {"LogCosh", 0.46233198046684265, 0.6417528390884399},
    {"KLDivergence", 1.569380283355713, 1.6014324426651},
    {"Poisson", 1.1604286432266235, 1.0953937768936157},
    {"CosineSimilarity", 0.4501872956752777, 0.2472333014011383}, /* the metric's sign */
    {"Hinge", 1.1813791990280151, 0.9421271681785583},
    {"SquaredHinge", 2.2661080360412598, 1.5102039575576782},
    {"CategoricalHinge", 3.006596326828003, 3.0223846435546875},
    {"Dice", 0.49276411533355713, 0.49276408553123474},
    {"Tversky", 0.49276411533355713, 0.49276408553123474},
};

static void test_loss_as_metric(void **state)
{
    const struct as_metric *row = *state;
    stored s = read_stored("", (size_t)(row - as_metric));
    check_close(row->loss, result_of(row->loss, &s.batch), row->mean);
    s.batch.weights = cn_array_floats(s.weights);
    check_close("with weights", result_of(row->loss, &s.batch), row->weighted);
    free_stored(&s);
}

/* ---- by hand ---- */

enum { most_numbers = 12 };

/* Small cases, computed by hand from the definitions. Weights of 0 only stand for none. */
static const struct by_hand {
    const char *metric;
    cn_shape shape;
    float y[most_numbers], p[most_numbers], weights[4];
    double value;
} by_hand[] = {
    {"Precision", {1, {4}}, {0, 1, 1, 1}, {1, 0, 1, 1}, {0}, 2 / 3.0},
    {"Precision", {1, {4}}, {0, 1, 1, 1}, {1, 0, 1, 1}, {0, 0, 1, 0}, 1},
    {"precision(threshold=0.75)", {2, {2, 2}}, {0, 1, 1, 1}, {1, 0, 0.7f, 0.8f}, {0}, 0.5},
    {"recall(thresholds=0.6)", {2, {2, 2}}, {0, 1, 1, 1}, {1, 0, 0.7f, 0.8f}, {0}, 2 / 3.0},
    {"Recall", {1, {2}}, {0, 0}, {1, 0}, {0}, 0},
    /* Thresholds below 0, 1/2 and above 1. */
    {"AUC(num_thresholds=3)", {1, {4}}, {0, 0, 1, 1}, {0, 0.5f, 0.3f, 0.9f}, {0}, 0.75},
    {"AUC(num_thresholds=3)", {1, {4}}, {0, 0, 1, 1}, {0, 0.5f, 0.3f, 0.9f}, {1, 0, 0, 1}, 1},
    /* Between the first two: slope 1/3, intercept 2/3, positives from 4 to 1. */
    {"AUC(num_thresholds=3, curve='PR')",
     {1, {4}},
     {0, 0, 1, 1},
     {0, 0.5f, 0.3f, 0.9f},
     {0},
     (1 + 2 / 3.0 * 1.3862943611198906) / 6 + 0.5},
    /* True, false positives and false negatives of the classes: 1 0 2, 2 1 0, 1 1 0. */
    {"F1Score(threshold=0.5)",
     {2, {3, 3}},
     {1, 1, 1, 1, 0, 0, 1, 1, 0},
     {0.2f, 0.6f, 0.7f, 0.2f, 0.6f, 0.6f, 0.6f, 0.8f, 0},
     {0},
     (0.5 + 0.8 + 2 / 3.0) / 3},
    {"F1Score(threshold=0.5, average='micro')",
     {2, {3, 3}},
     {1, 1, 1, 1, 0, 0, 1, 1, 0},
     {0.2f, 0.6f, 0.7f, 0.2f, 0.6f, 0.6f, 0.6f, 0.8f, 0},
     {0},
     8 / 12.0},
    {"F1Score(threshold=0.5, average='weighted')",
     {2, {3, 3}},
     {1, 1, 1, 1, 0, 0, 1, 1, 0},
     {0.2f, 0.6f, 0.7f, 0.2f, 0.6f, 0.6f, 0.6f, 0.8f, 0},
     {0},
     (3 * 0.5 + 2 * 0.8 + 2 / 3.0) / 6},
    {"MeanIoU(num_classes=2)", {1, {4}}, {0, 0, 1, 1}, {0, 1, 0, 1}, {0}, 1 / 3.0},
    {"MeanIoU(num_classes=2)",
     {1, {4}},
     {0, 0, 1, 1},
     {0, 1, 0, 1},
     {0.3f, 0.3f, 0.3f, 0.1f},
     (0.3 / 0.9 + 0.1 / 0.7) / 2},
    {"MeanIoU(num_classes=2, ignore_class=1)", {1, {4}}, {0, 0, 1, 1}, {0, 1, 0, 1}, {0}, 0.25},
    {"IoU(num_classes=2, target_class_ids=[0])", {1, {3}}, {0, 1, 1}, {0, 0, 1}, {0}, 0.5},
    {"OneHotMeanIoU(num_classes=3)",
     {2, {4, 3}},
     {0, 0, 1, 1, 0, 0, 0, 1, 0, 1, 0, 0},
     {0.2f, 0.3f, 0.5f, 0.1f, 0.2f, 0.7f, 0.5f, 0.3f, 0.1f, 0.1f, 0.4f, 0.5f},
     {0.1f, 0.2f, 0.3f, 0.4f},
     0.1 / 0.7 / 3},
    {"BinaryIoU(threshold=0.3)", {1, {4}}, {0, 1, 0, 1}, {0.1f, 0.2f, 0.4f, 0.7f}, {0}, 1 / 3.0},
    {"BinaryIoU(target_class_ids=[1])", {1, {4}}, {0, 1, 0, 1}, {0.1f, 0.2f, 0.4f, 0.7f}, {0}, 0.5},
    {"R2Score", {2, {3, 1}}, {1, 4, 3}, {2, 4, 4}, {0}, 1 - 2 / (14 / 3.0)},
    {"R2Score", {2, {3, 1}}, {0.1f, 0.1f, 0.1f}, {2, 4, 4}, {0}, 0},
    {"R2Score(class_aggregation='variance_weighted_average')",
     {2, {2, 2}},
     {0, 0, 2, 4},
     {1, 0, 2, 4},
     {0},
     (2 * 0.5 + 8 * 1) / 10},
    {"top_k_categorical_accuracy(k=1)",
     {2, {2, 3}},
     {0, 0, 1, 0, 1, 0},
     {0.1f, 0.9f, 0.8f, 0.05f, 0.95f, 0},
     {0.7f, 0.3f},
     0.3},
    {"cosine_similarity", {2, {2, 2}}, {0, 1, 1, 1}, {1, 0, 1, 1}, {0.3f, 0.7f}, 0.7},
    {"BinaryAccuracy(threshold=0.7)", {1, {4}}, {1, 1, 0, 0}, {0.98f, 1, 0, 0.6f}, {0}, 1},
    {"PSNR(max_val=255)", {2, {2, 2}}, {3, 5, 7, 9}, {4, 4, 8, 8}, {0}, 48.13080360867910},
    {"root_mean_squared_error", {2, {2, 1}}, {0, 0}, {1, 3}, {0}, 2.23606797749979},
    {"hinge", {2, {2, 1}}, {1, -1}, {0.5f, 0.5f}, {0}, 1},
    {"hinge", {2, {2, 1}}, {1, 0}, {0.5f, 0.5f}, {0}, 1},
};

static void test_by_hand(void **state)
{
    const struct by_hand *row = *state;
    bool weighted = false;
    for (size_t i = 0; i < CN__COUNT(row->weights); i++)
        weighted = weighted || row->weights[i] != 0;
    cn__compared batch = alike(row->shape, row->y, row->p, weighted ? row->weights : NULL);
    check_close(row->metric, result_of(row->metric, &batch), row->value);
}

/* ---- images ---- */

/* The index of the window at (r, c) straight from its definition, in two dimensions. */
static double window_index(const float *x, const float *y, int64_t columns, int64_t channels)
{
    double weights = 0, mx = 0, my = 0, xx = 0, yy = 0, xy = 0;
    for (int64_t i = 0; i < 11; i++)
        for (int64_t j = 0; j < 11; j++) {
            double w = exp(-(double)((i - 5) * (i - 5) + (j - 5) * (j - 5)) / 4.5);
            double a = (double)x[(i * columns + j) * channels];
            double b = (double)y[(i * columns + j) * channels];
            weights += w;
            mx += w * a;
            my += w * b;
            xx += w * a * a;
            yy += w * b * b;
            xy += w * a * b;
        }
    mx /= weights;
    my /= weights;
    double vx = xx / weights - mx * mx, vy = yy / weights - my * my;
    return (2 * mx * my + 1e-4) * (2 * (xy / weights - mx * my) + 9e-4) /
           ((mx * mx + my * my + 1e-4) * (vx + vy + 9e-4));
}

static void test_ssim(void **state)
{
    enum { rows = 13, columns = 12, channels = 2, size = rows * columns * channels };
    const cn_shape shape = cn_shape_of(2, rows, columns, channels);
    const float weights[] = {1, 3};
    (void)state;
    float *x = test_floats(2 * size), *y = test_floats(2 * size);
    double wanted = 0;
    for (int s = 0; s < 2; s++)
        for (int r = 0; r + 11 <= rows; r++)
            for (int c = 0; c + 11 <= columns; c++)
                for (int k = 0; k < channels; k++) {
                    int64_t at = s * size + (r * columns + c) * channels + k;
                    wanted += (double)weights[s] / 4 / (3 * 2 * channels) *
                              window_index(x + at, y + at, columns, channels);
                }
    cn__compared batch = alike(shape, y, x, weights);
    check_close("ssim", result_of("ssim", &batch), wanted);
    batch.target = x;
    check_close("of equal images", result_of("SSIM(max_val=2)", &batch), 1);
    for (int i = 0; i < 2 * size; i++) {
        x[i] = 0.25f;
        y[i] = 0.75f;
    }
    batch.target = y;
    check_close("of flat images", result_of("ssim", &batch), (0.375 + 1e-4) / (0.625 + 1e-4));
    batch.prediction_shape.dim[1] = batch.target_shape.dim[1] = 10;
    cn__metric *metric = metric_for("ssim", &batch);
    assert_int_equal(cn__metric_add(metric, &batch), CN_ERROR_SHAPE);
    assert_string_equal(cn_error_message(),
                        "ssim: images (batch, rows, columns, channels) of at least 11 x 11 are "
                        "compared, not (2, 10, 12, 2)");
    cn__metric_free(metric);
    free(x);
    free(y);
}

/* ---- which accuracy is meant, and names ---- */

static void test_suited(void **state)
{
    static const struct {
        const char *word, *loss, *kind;
        cn_shape target, prediction;
    } rows[] = {
        {"accuracy", "mse", "binary_accuracy", {2, {4, 1}}, {2, {4, 1}}},
        {"acc", "mse", "binary_accuracy", {1, {4}}, {1, {4}}},
        {"accuracy", "binary_crossentropy", "categorical_accuracy", {2, {4, 3}}, {2, {4, 3}}},
        {"accuracy", NULL, "sparse_categorical_accuracy", {1, {4}}, {2, {4, 3}}},
        {"Accuracy", "mse", "sparse_categorical_accuracy", {2, {4, 1}}, {2, {4, 3}}},
        {"accuracy", "mse", "sparse_categorical_accuracy", {2, {2, 2}}, {3, {2, 2, 3}}},
        {"crossentropy", "mse", "binary_crossentropy", {2, {4, 1}}, {2, {4, 1}}},
        {"crossentropy", "mse", "categorical_crossentropy", {2, {4, 3}}, {2, {4, 3}}},
        {"ce", "mse", "sparse_categorical_crossentropy", {1, {4}}, {2, {4, 3}}},
    };
    const float p[] = {0.2f, 0.7f, 0.1f, 0.6f, 0.3f, 0.1f, 0.25f, 0.25f, 0.5f, 0.3f, 0.3f, 0.4f};
    const float y[] = {1, 1, 0, 1, 0, 0, 1, 0, 0, 0, 1, 0};
    (void)state;
    for (size_t i = 0; i < CN__COUNT(rows); i++) {
        cn__compared batch = {.prediction_shape = rows[i].prediction,
                              .target_shape = rows[i].target,
                              .prediction = p,
                              .target = y};
        cn_shape target = open_batch(rows[i].target), prediction = open_batch(rows[i].prediction);
        cn__metric *metric = cn__metric_new(rows[i].word, rows[i].loss, &target, &prediction);
        assert_non_null(metric);
        assert_int_equal(cn__metric_add(metric, &batch), CN_OK);
        assert_true(cn__metric_result(metric) == result_of(rows[i].kind, &batch));
        assert_string_equal(cn__metric_name(metric),
                            rows[i].word[0] == 'A' ? "accuracy" : rows[i].word);
        cn__metric_free(metric);
    }
}

static void test_names(void **state)
{
    static const char *const rows[][2] = {
        {"mse", "mse"},
        {"MAE", "mae"},
        {"AUC(num_thresholds=50)", "auc"},
        {"top_k_categorical_accuracy(k=3)", "top_k_categorical_accuracy"},
        {"TopKCategoricalAccuracy", "top_k_categorical_accuracy"},
        {"Precision(name='p_half')", "p_half"},
        {"Precision(name=None)", "precision"}};
    const float numbers[] = {0, 1};
    cn__compared batch = alike(cn_shape_of(1, 2), numbers, numbers, NULL);
    (void)state;
    for (size_t i = 0; i < CN__COUNT(rows); i++) {
        cn__metric *metric = metric_for(rows[i][0], &batch);
        assert_string_equal(cn__metric_name(metric), rows[i][1]);
        cn__metric_free(metric);
    }
}

/* ---- batches and state ---- */

/* Predictions of probabilities for cells of images, with targets that are classes. */
static void test_cells(void **state)
{
    const float p[] = {0.9f, 0.1f, 0.2f, 0.8f, 0.6f, 0.4f, 0.7f, 0.3f};
    const int32_t y[] = {0, 0, 1, 1};
    const float weights[] = {1, 3};
    (void)state;
    cn__compared batch = {.prediction_shape = cn_shape_of(2, 2, 1, 2),
                          .target_shape = cn_shape_of(2, 2, 1),
                          .prediction = p,
                          .target_dtype = CN_INT32,
                          .target = y,
                          .weights = weights};
    /* Told 0 1, 0 0: one of two right in the first image, none in the second. */
    check_close("accuracy", result_of("accuracy", &batch), 0.5 / 4);
    check_close("IoU", result_of("MeanIoU(num_classes=2)", &batch), 1 / 8.0 / 2);
    batch.weights = NULL;
    check_close("entropy", result_of("sparse_categorical_crossentropy", &batch),
                -(log(0.9) + log(0.2) + log(0.4) + log(0.3)) / 4);
}

/* Two batches count as one, through a copy of the state; after the first one a metric allocates
 * nothing more. */
static void test_batches(void **state)
{
    static const char *const metrics[] = {"categorical_accuracy",
                                          "rmse",
                                          "precision",
                                          "AUC(curve=PR)",
                                          "f1_score",
                                          "r2_score",
                                          "hinge",
                                          "ssim",
                                          "psnr",
                                          "OneHotMeanIoU(num_classes=2)"};
    enum { size = 11 * 11 * 2 };
    (void)state;
    float *p = test_floats(2 * size), *y = test_floats(2 * size), weights[] = {0.5f, 2};
    for (int i = 0; i < 2 * size; i++)
        y[i] = y[i] > 0;
    cn__compared whole = alike(cn_shape_of(2, 11, 11, 2), y, p, weights);
    cn__compared half = alike(cn_shape_of(1, 11, 11, 2), y, p, weights);
    for (size_t i = 0; i < CN__COUNT(metrics); i++) {
        counter c;
        fail_at(&c, -1);
        cn__metric *first = metric_for(metrics[i], &whole);
        cn__metric *second = metric_for(metrics[i], &whole);
        half.target = y;
        half.prediction = p;
        half.weights = weights;
        assert_int_equal(cn__metric_add(first, &half), CN_OK);
        assert_int_equal(cn__metric_add(second, &half), CN_OK);
        int count, same;
        double *from = cn__metric_state(first, &count), *to = cn__metric_state(second, &same);
        assert_int_equal(count, same);
        cn__metric_reset(second);
        for (int k = 0; k < count; k++)
            assert_true(to[k] == 0);
        memcpy(to, from, (size_t)count * sizeof *to);
        half.target = y + size;
        half.prediction = p + size;
        half.weights = weights + 1;
        c.until_failure = 0;
        assert_int_equal(cn__metric_add(second, &half), CN_OK);
        c.until_failure = -1;
        check_close(metrics[i], cn__metric_result(second), result_of(metrics[i], &whole));
        cn__metric_free(first);
        cn__metric_free(second);
        assert_int_equal(c.alive, 0);
        restore_allocator(NULL);
    }
    free(p);
    free(y);
}

/* Without a batch the result is 0. */
static void test_nothing(void **state)
{
    const float none[] = {0};
    cn__compared batch = alike(cn_shape_of(0, 3), none, none, NULL);
    (void)state;
    assert_true(result_of("mse", &batch) == 0);
    assert_true(result_of("auc", &batch) == 0);
    assert_true(result_of("f1_score", &batch) == 0);
    assert_true(result_of("r2_score", &batch) == 0);
}

/* ---- what is refused ---- */

static void test_refused(void **state)
{
    static const struct {
        const char *metric, *message;
        cn_shape target;
    } rows[] = {
        {"acuracy",
         "there is no metric \"acuracy\"; the names are Keras', such as \"accuracy\", "
         "\"mae\" or \"AUC(num_thresholds=50)\"",
         {2, {-1, 3}}},
        {"AUC(thresholds=3)",
         "the metric AUC has no argument \"thresholds\"; its arguments: "
         "num_thresholds, curve",
         {2, {-1, 3}}},
        {"AUC(curve=roc)", "the metric AUC: curve must be one of ROC|PR, not roc", {2, {-1, 3}}},
        {"MeanIoU",
         "the metric MeanIoU needs the argument num_classes: a whole number from 2 to "
         "10000",
         {2, {-1, 3}}},
        {"precision",
         "precision: the target (None,) does not suit the prediction (None, 3); it "
         "must have its shape",
         {1, {-1}}},
        {"sparse_categorical_accuracy",
         "sparse_categorical_accuracy: the target (None, 3) does not suit the prediction (None, "
         "3); it must have its shape without the last axis: the numbers of classes",
         {2, {-1, 3}}},
    };
    cn_shape prediction = cn_shape_of(-1, 3), open = cn_shape_of(-1, -1);
    (void)state;
    for (size_t i = 0; i < CN__COUNT(rows); i++) {
        assert_null(cn__metric_new(rows[i].metric, "mse", &rows[i].target, &prediction));
        assert_string_equal(cn_error_message(), rows[i].message);
    }
    assert_null(cn__metric_new("f1_score", "mse", &open, &open));
    assert_string_equal(cn_error_message(), "f1_score: the prediction's last extent must be known");
    cn_clear_error();
}

static void test_wrong_batches(void **state)
{
    const float p[] = {0.2f, 0.7f, 0.1f, 0.6f, 0.3f, 0.1f}, y[] = {1, 3};
    (void)state;
    cn__compared batch = {.prediction_shape = cn_shape_of(2, 3),
                          .target_shape = cn_shape_of(2),
                          .prediction = p,
                          .target = y};
    cn__metric *metric = metric_for("accuracy", &batch);
    assert_int_equal(cn__metric_add(metric, &batch), CN_ERROR_ARGUMENT);
    assert_string_equal(cn_error_message(), "accuracy: element 1 of the target is 3, but the "
                                            "classes are the whole numbers from 0 to 2");
    batch.target_shape.dim[0] = 1;
    assert_int_equal(cn__metric_add(metric, &batch), CN_ERROR_SHAPE);
    assert_string_equal(cn_error_message(), "accuracy: there are 2 predictions and 1 targets");
    batch.prediction_shape = cn_shape_of(1, 4);
    assert_int_equal(cn__metric_add(metric, &batch), CN_ERROR_SHAPE);
    cn__metric_free(metric);
    batch = alike(cn_shape_of(2), y, p, NULL);
    metric = metric_for("MeanIoU(num_classes=2)", &batch);
    assert_int_equal(cn__metric_add(metric, &batch), CN_ERROR_ARGUMENT);
    assert_string_equal(cn_error_message(),
                        "mean_io_u: 0.2 is no class: they are the whole numbers from 0 to 1");
    batch.target_shape = cn_shape_of(2, 2);
    assert_int_equal(cn__metric_add(metric, &batch), CN_ERROR_SHAPE);
    cn__metric_free(metric);
    cn_clear_error();
}

static void test_failing_allocations(void **state)
{
    static const char *const metrics[] = {"accuracy", "AUC(num_thresholds=10)", "f1_score"};
    const cn_shape shape = cn_shape_of(-1, 3);
    (void)state;
    for (size_t i = 0; i < CN__COUNT(metrics); i++) {
        cn__metric *metric = NULL;
        for (int k = 0; !metric; k++) {
            counter c;
            fail_at(&c, k);
            metric = cn__metric_new(metrics[i], "mse", &shape, &shape);
            assert_true(metric || cn_error_status() == CN_ERROR_MEMORY);
            cn__metric_free(metric);
            assert_int_equal(c.alive, 0);
            restore_allocator(NULL);
        }
    }
}

int main(void)
{
    static const struct CMUnitTest others[] = {
        cmocka_unit_test(test_ssim),
        cmocka_unit_test(test_suited),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_cells),
        cmocka_unit_test_teardown(test_batches, restore_allocator),
        cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_wrong_batches),
        cmocka_unit_test_teardown(test_failing_allocations, restore_allocator),
    };
    enum {
        first = CN__COUNT(keras3),
        second = first + CN__COUNT(as_metric),
        third = second + CN__COUNT(by_hand)
    };
    struct CMUnitTest tests[third + CN__COUNT(others)];
    test_seed();
    for (size_t i = 0; i < CN__COUNT(keras3); i++)
        tests[i] = (struct CMUnitTest){keras3[i].metric, test_keras3, NULL, NULL,
                                       (void *)(uintptr_t)&keras3[i]};
    for (size_t i = 0; i < CN__COUNT(as_metric); i++)
        tests[first + i] = (struct CMUnitTest){as_metric[i].loss, test_loss_as_metric, NULL, NULL,
                                               (void *)(uintptr_t)&as_metric[i]};
    for (size_t i = 0; i < CN__COUNT(by_hand); i++)
        tests[second + i] = (struct CMUnitTest){by_hand[i].metric, test_by_hand, NULL, NULL,
                                                (void *)(uintptr_t)&by_hand[i]};
    memcpy(tests + third, others, sizeof others);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
