/* Metrics: the table, and the means. */
#include "layers/metrics.h"

#include <math.h>
#include <string.h>

#include "layers/losses.h"
#include "layers/metrics_types.h"

/* ---- the table ---- */

#define MEAN(function) .value = cn__value_##function
#define OWN(function, size)                                                                        \
    .state = cn__##size##_state, .add = cn__##size##_add, .result = cn__##function##_result
#define THRESHOLD                                                                                  \
    {                                                                                              \
        "threshold|thresholds", .value = 0.5, .low = -1e9, .high = 1e9                             \
    }
#define TOP                                                                                        \
    {                                                                                              \
        "k", .kind = CN__ARGUMENT_WHOLE, .value = 5, .low = 1, .high = 1e9                         \
    }
#define MAXIMUM                                                                                    \
    {                                                                                              \
        "max_val", .value = 1, .low = 1e-6, .high = 1e9                                            \
    }
#define CLASS_IDS                                                                                  \
    {                                                                                              \
        "target_class_ids", .kind = CN__ARGUMENT_BITS                                              \
    }
#define CLASSES                                                                                    \
    CLASS_IDS,                                                                                     \
        {"num_classes", .kind = CN__ARGUMENT_WHOLE, .low = 2, .high = 10000, .required = true},    \
    {                                                                                              \
        "ignore_class", .kind = CN__ARGUMENT_WHOLE, .value = (double)NAN, .low = -1e9, .high = 1e9 \
    }
#define SPARSE(name, default_)                                                                     \
    {                                                                                              \
        name, CN__YES_OR_NO, .value = default_                                                     \
    }

static const cn__metric_type types[] = {
    {"accuracy|acc|Accuracy", MEAN(equal)},
    {"binary_accuracy|BinaryAccuracy", {THRESHOLD}, MEAN(binary_accuracy)},
    {"categorical_accuracy|CategoricalAccuracy", MEAN(categorical_accuracy)},
    {"sparse_categorical_accuracy|SparseCategoricalAccuracy", .target = CN__TARGET_CLASSES,
     MEAN(sparse_categorical_accuracy)},
    {"top_k_categorical_accuracy|TopKCategoricalAccuracy", {TOP}, MEAN(top_k)},
    {"sparse_top_k_categorical_accuracy|SparseTopKCategoricalAccuracy",
     {TOP},
     .target = CN__TARGET_CLASSES,
     MEAN(sparse_top_k)},
    {"mean_squared_error|MeanSquaredError|mse|MSE", MEAN(squared_error)},
    {"root_mean_squared_error|RootMeanSquaredError|rmse|RMSE", MEAN(squared_error),
     .of_mean = sqrt},
    {"mean_absolute_error|MeanAbsoluteError|mae|MAE", MEAN(absolute_error)},
    {"mean_absolute_percentage_error|MeanAbsolutePercentageError|mape|MAPE",
     MEAN(percentage_error)},
    {"mean_squared_logarithmic_error|MeanSquaredLogarithmicError|msle|MSLE",
     MEAN(logarithmic_error)},
    {"huber|Huber|huber_loss", {CN__DELTA}, MEAN(huber)},
    {"log_cosh|LogCosh|LogCoshError|logcosh|Logcosh", MEAN(log_cosh)},
    {"hinge|Hinge", MEAN(hinge), .takes_signs = true},
    {"squared_hinge|SquaredHinge", MEAN(squared_hinge), .takes_signs = true},
    {"categorical_hinge|CategoricalHinge", MEAN(categorical_hinge)},
    {"kl_divergence|KLDivergence|kld|KLD|kullback_leibler_divergence|KullbackLeiblerDivergence",
     MEAN(kl_divergence)},
    {"poisson|Poisson", MEAN(poisson)},
    {"cosine_similarity|CosineSimilarity|cosine_proximity|CosineProximity|cosine",
     {CN__LAST_AXIS},
     MEAN(cosine_similarity)},
    {"dice|Dice", MEAN(dice), .part = CN__PART_BATCH},
    {"tversky|Tversky",
     {CN__SHARE("alpha", 0.5), CN__SHARE("beta", 0.5)},
     MEAN(tversky),
     .part = CN__PART_BATCH},
    {"categorical_crossentropy|CategoricalCrossentropy",
     {CN__CROSSENTROPY, CN__LAST_AXIS},
     MEAN(categorical_crossentropy)},
    {"sparse_categorical_crossentropy|SparseCategoricalCrossentropy",
     {{"from_logits", CN__YES_OR_NO}, CN__LAST_AXIS},
     .target = CN__TARGET_CLASSES,
     MEAN(sparse_categorical_crossentropy)},
    {"categorical_focal_crossentropy|CategoricalFocalCrossentropy",
     {CN__FOCAL, CN__LAST_AXIS},
     MEAN(categorical_focal)},
    {"binary_crossentropy|BinaryCrossentropy|bce|BCE",
     {CN__CROSSENTROPY, CN__LAST_AXIS},
     MEAN(binary_crossentropy)},
    {"binary_focal_crossentropy|BinaryFocalCrossentropy",
     {CN__FOCAL, CN__BALANCING, CN__LAST_AXIS},
     MEAN(binary_focal)},
    {"psnr|PSNR", {MAXIMUM}, MEAN(psnr), .part = CN__PART_SAMPLE},
    {"ssim|SSIM", {MAXIMUM}, OWN(ssim, ssim)},
    {"precision|Precision", {THRESHOLD}, OWN(precision, confusion)},
    {"recall|Recall", {THRESHOLD}, OWN(recall, confusion)},
    {"auc|AUC",
     {{"num_thresholds", .kind = CN__ARGUMENT_WHOLE, .value = 200, .low = 2, .high = 1e6},
      {"curve", .kind = CN__ARGUMENT_WORD, .words = "ROC|PR"}},
     OWN(auc, auc)},
    {"f1_score|F1Score",
     {{"average", .kind = CN__ARGUMENT_WORD, .words = "None|micro|macro|weighted"},
      {"threshold", .value = (double)NAN, .low = -1e9, .high = 1e9}},
     OWN(f1, f1)},
    {"mean_iou|mean_io_u|MeanIoU|iou|IoU",
     {CLASSES, SPARSE("sparse_y_true", -1), SPARSE("sparse_y_pred", -1)},
     .target = CN__TARGET_EITHER,
     OWN(iou, iou)},
    {"one_hot_mean_iou|one_hot_mean_io_u|OneHotMeanIoU|one_hot_iou|OneHotIoU",
     {CLASSES, SPARSE("sparse_y_true", 0), SPARSE("sparse_y_pred", 0)},
     .target = CN__TARGET_EITHER,
     OWN(iou, iou)},
    {"binary_iou|binary_io_u|BinaryIoU",
     {CLASS_IDS, THRESHOLD},
     .state = cn__binary_iou_state,
     .add = cn__binary_iou_add,
     .result = cn__iou_result},
    {"r2_score|R2Score",
     {{"class_aggregation", .kind = CN__ARGUMENT_WORD, .value = 1,
       .words = "None|uniform_average|variance_weighted_average"}},
     OWN(r2, r2)},
};

/* ---- finding ---- */

/* The kind of "accuracy" or "crossentropy" that suits the shapes: Keras' rule
 * (trainers/compile_utils.py). Predictions of one number are yes or no. */
static const char *suited(const char *word, const char *loss, const cn_shape *target,
                          const cn_shape *prediction)
{
    static const char *const kinds[2][3] = {
        {"binary_accuracy", "categorical_accuracy", "sparse_categorical_accuracy"},
        {"binary_crossentropy", "categorical_crossentropy", "sparse_categorical_crossentropy"}};
    bool entropy = cn__list_index("crossentropy|ce", word) >= 0;
    if (!entropy && cn__list_index("accuracy|acc|Accuracy", word) < 0)
        return word;
    if (prediction->rank < 2 && strcmp(word, "Accuracy") == 0)
        return word; /* the class, of equal numbers */
    int64_t width = cn__metric_width(prediction);
    bool lacks_axis = target->rank < prediction->rank;
    bool classes = lacks_axis || (cn__metric_width(target) == 1 && width > 1) ||
                   (loss && cn__loss_is_sparse(loss));
    return kinds[entropy][width == 1 ? 0 : classes ? 2 : 1];
}

static const cn__metric_type *find(const char *word)
{
    for (size_t i = 0; i < CN__COUNT(types); i++)
        if (cn__list_index(types[i].names, word) >= 0)
            return &types[i];
    return cn__fail_null(CN_ERROR_ARGUMENT,
                         "there is no metric \"%s\"; the names are Keras', such as \"accuracy\", "
                         "\"mae\" or \"AUC(num_thresholds=50)\"",
                         word);
}

/* ---- shapes ---- */

/* The product of all extents but the batch, -1 if one is not known. */
static int64_t sample_count(const cn_shape *shape)
{
    cn_shape sample = *shape;
    if (sample.rank > 0)
        sample.dim[0] = 1;
    return cn_shape_count(&sample);
}

static bool target_fits(const cn__metric *metric, const cn_shape *target,
                        const cn_shape *prediction)
{
    int64_t asked = sample_count(prediction), given = sample_count(target);
    int64_t width = cn__metric_width(prediction);
    if (target->rank < 1 || prediction->rank < 1)
        return false;
    if (metric->width >= 0 && width >= 0 && width != metric->width)
        return false;
    if (metric->type->target == CN__TARGET_EITHER || asked < 0 || given < 0)
        return true;
    return metric->type->target == CN__TARGET_SAME ? given == asked : given * width == asked;
}

static cn_status check_shapes(const cn__metric *metric, const cn_shape *target,
                              const cn_shape *prediction)
{
    char a[128], b[128];
    if (target_fits(metric, target, prediction))
        return CN_OK;
    bool classes = metric->type->target == CN__TARGET_CLASSES;
    return cn__fail(
        CN_ERROR_SHAPE, "%s: the target %s does not suit the prediction %s; it must have %s",
        metric->name, cn_shape_text(target, a, sizeof a), cn_shape_text(prediction, b, sizeof b),
        classes ? "its shape without the last axis: the numbers of classes" : "its shape");
}

/* ---- new, free ---- */

static cn_status set_state(cn__metric *metric)
{
    int64_t count = 2;
    if (metric->type->state)
        CN__TRY(metric->type->state(metric, &count));
    if (count > INT32_MAX)
        return cn__fail(CN_ERROR_UNSUPPORTED, "%s: there are too many classes", metric->name);
    metric->state_count = (int)count;
    metric->state = cn__calloc((size_t)count, sizeof(double));
    return metric->state ? CN_OK : CN_ERROR_MEMORY;
}

/* What logs call it: the argument "name", or the word in snake case. */
static const char *log_name(cn__arena *arena, const cn__expression *e)
{
    char text[cn__name_size];
    const char *name = cn__expression_text(e, "name", NULL);
    cn__snake_case(e->name, text, sizeof text);
    return cn__arena_strdup(arena, name && strcmp(name, "None") != 0 ? name : text);
}

static cn_status fill(cn__metric *metric, const char *text, const char *loss,
                      const cn_shape *target, const cn_shape *prediction)
{
    cn__expression e;
    CN__TRY(cn__expression_parse(metric->arena, text, &e));
    metric->name = log_name(metric->arena, &e);
    if (!metric->name)
        return CN_ERROR_MEMORY;
    metric->type = find(suited(e.name, loss, target, prediction));
    if (!metric->type)
        return CN_ERROR_ARGUMENT;
    metric->width = cn__metric_width(prediction);
    CN__TRY(cn__arguments_read("metric", &e, "name|dtype", metric->type->arguments,
                               cn__most_arguments, metric->arguments));
    CN__TRY(check_shapes(metric, target, prediction));
    return set_state(metric);
}

cn__metric *cn__metric_new(const char *metric, const char *loss, const cn_shape *target,
                           const cn_shape *prediction)
{
    if (!metric || !target || !prediction)
        return cn__fail_null_argument("cn__metric_new"), NULL;
    cn__arena *arena = cn__arena_new();
    cn__metric *new = arena ? cn__arena_alloc(arena, sizeof *new) : NULL;
    if (!new) {
        cn__arena_free(arena);
        return NULL;
    }
    new->arena = arena;
    if (fill(new, metric, loss, target, prediction) == CN_OK)
        return new;
    cn__metric_free(new);
    return NULL;
}

void cn__metric_free(cn__metric *metric)
{
    if (!metric)
        return;
    cn__free(metric->state);
    cn__free(metric->scratch);
    cn__arena_free(metric->arena);
}

const char *cn__metric_name(const cn__metric *metric)
{
    return metric->name;
}

void cn__metric_reset(cn__metric *metric)
{
    memset(metric->state, 0, (size_t)metric->state_count * sizeof(double));
}

double *cn__metric_state(cn__metric *metric, int *count)
{
    *count = metric->state_count;
    return metric->state;
}

/* ---- adding ---- */

/* Targets that are classes must be there: the predictions of a row are looked up by them. */
static cn_status check_classes(const cn__metric *metric, const cn__compared *batch)
{
    int64_t count = cn_shape_count(&batch->target_shape);
    double width = (double)cn__metric_width(&batch->prediction_shape);
    for (int64_t i = 0; i < count; i++) {
        double y = cn__target_at(batch, i);
        if (!(y >= 0 && y < width && y == floor(y)))
            return cn__fail(CN_ERROR_ARGUMENT,
                            "%s: element %lld of the target is %g, but the classes are the whole "
                            "numbers from 0 to %g",
                            metric->name, (long long)i, y, width - 1);
    }
    return CN_OK;
}

static bool are_signs(const cn__compared *batch)
{
    int64_t count = cn_shape_count(&batch->target_shape);
    for (int64_t i = 0; i < count; i++) {
        double y = cn__target_at(batch, i);
        if (y != 0 && y != 1)
            return true;
    }
    return false;
}

/* The state is the weighted sum of the samples' values, and that of the weights. */
static void add_mean(cn__metric *metric, const cn__compared *batch)
{
    const cn__metric_type *type = metric->type;
    int64_t samples = batch->prediction_shape.dim[0];
    int64_t each = sample_count(&batch->prediction_shape);
    cn__metric_values v = {
        .batch = batch,
        .arguments = metric->arguments,
        .count = type->part == CN__PART_ROW ? cn__metric_width(&batch->prediction_shape) : each,
        .targets_are_signs = type->takes_signs && are_signs(batch)};
    if (type->part == CN__PART_BATCH)
        v.count = each * samples;
    double of_batch = type->part == CN__PART_BATCH ? type->value(&v) : 0;
    for (int64_t s = 0; s < samples && each > 0; s++) {
        int64_t parts = type->part == CN__PART_BATCH ? 0 : each / v.count;
        double sum = of_batch;
        for (int64_t i = 0; i < parts; i++) {
            v.prediction = s * each + i * v.count;
            v.target = type->target == CN__TARGET_CLASSES ? s * parts + i : v.prediction;
            sum += type->value(&v) / (double)parts;
        }
        metric->state[0] += cn__weight_at(batch, s) * sum;
        metric->state[1] += cn__weight_at(batch, s);
    }
}

cn_status cn__metric_add(cn__metric *metric, const cn__compared *compared)
{
    const cn_shape *p = &compared->prediction_shape, *y = &compared->target_shape;
    CN__TRY(check_shapes(metric, y, p));
    if (p->dim[0] != y->dim[0])
        return cn__fail(CN_ERROR_SHAPE, "%s: there are %lld predictions and %lld targets",
                        metric->name, (long long)p->dim[0], (long long)y->dim[0]);
    if (metric->type->target == CN__TARGET_CLASSES)
        CN__TRY(check_classes(metric, compared));
    if (metric->type->add)
        return metric->type->add(metric, compared);
    add_mean(metric, compared);
    return CN_OK;
}

double cn__metric_result(const cn__metric *metric)
{
    const cn__metric_type *type = metric->type;
    if (type->result)
        return type->result(metric);
    double mean = metric->state[1] != 0 ? metric->state[0] / metric->state[1] : 0;
    return type->of_mean ? type->of_mean(mean) : mean;
}
