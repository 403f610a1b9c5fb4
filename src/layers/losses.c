/* Losses: the table, and the formulas that are not cross-entropies. */
#include "layers/losses.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "graph/ops.h"
#include "layers/arguments.h"
#include "layers/losses_formulas.h"

static const double epsilon = CN__LOSS_EPSILON;

static cn_tensor *unary(cn_unary op, cn_tensor *x)
{
    return cn__loss_unary(op, x, 0, 0);
}

static cn_tensor *at_least(cn_tensor *x, double low)
{
    return cn__loss_unary(CN_CLIP, x, low, (double)INFINITY);
}

static cn_tensor *binary(cn_binary op, cn_tensor *a, cn_tensor *b)
{
    return cn_op_binary(op, a, b);
}

static cn_tensor *sum(cn_tensor *x)
{
    return cn__loss_over_last(CN_SUM, x, false);
}

static cn_tensor *mean(cn_tensor *x)
{
    return cn__loss_over_last(CN_MEAN, x, false);
}

/* ---- distances ---- */

static cn_tensor *difference(const cn__loss_terms *t)
{
    return binary(CN_SUBTRACT, t->p, t->y);
}

static cn_tensor *mean_squared_error(const cn__loss_terms *t)
{
    return mean(unary(CN_SQUARE, difference(t)));
}

static cn_tensor *mean_absolute_error(const cn__loss_terms *t)
{
    return mean(unary(CN_ABS, difference(t)));
}

static cn_tensor *mean_absolute_percentage_error(const cn__loss_terms *t)
{
    cn_tensor *size = at_least(unary(CN_ABS, t->y), epsilon);
    cn_tensor *part = binary(CN_DIVIDE, unary(CN_ABS, difference(t)), size);
    return cn__loss_affine(100, mean(part), 0);
}

/* log(1 + x), x kept off what is below 0. */
static cn_tensor *log_of_next(cn_tensor *x)
{
    return unary(CN_LOG, cn__loss_affine(1, at_least(x, epsilon), 1));
}

static cn_tensor *mean_squared_logarithmic_error(const cn__loss_terms *t)
{
    cn_tensor *d = binary(CN_SUBTRACT, log_of_next(t->p), log_of_next(t->y));
    return mean(unary(CN_SQUARE, d));
}

/* d^2 / 2 up to |d| = delta, then delta (|d| - delta / 2). With c the d cut off at delta, both are
 * c (d - c / 2). */
static cn_tensor *huber(const cn__loss_terms *t)
{
    double delta = t->arguments[0];
    cn_tensor *d = difference(t), *c = cn__loss_unary(CN_CLIP, d, -delta, delta);
    cn_tensor *rest = binary(CN_SUBTRACT, d, cn__loss_affine(0.5, c, 0));
    return mean(binary(CN_MULTIPLY, c, rest));
}

/* log(cosh(d)) = d + log(1 + exp(-2 d)) - log 2 */
static cn_tensor *log_cosh(const cn__loss_terms *t)
{
    cn_tensor *d = difference(t);
    cn_tensor *tail = unary(CN_SOFTPLUS, cn__loss_affine(-2, d, 0));
    return mean(cn__loss_affine(1, binary(CN_ADD, d, tail), -log(2)));
}

/* ---- margins ---- */

/* The targets, or 2 y - 1 if they are all 0 or 1. */
static cn_tensor *signs(cn_tensor *y)
{
    unsigned all = (1u << y->shape.rank) - 1;
    cn_tensor *less = cn__loss_affine(1, y, -1);
    cn_tensor *other = unary(CN_POSITIVE, unary(CN_ABS, binary(CN_MULTIPLY, y, less)));
    cn_tensor *any = other ? cn_op_reduce(CN_MAX, other, all, false) : NULL;
    return binary(CN_ADD, y, binary(CN_MULTIPLY, less, cn__loss_affine(-1, any, 1)));
}

static cn_tensor *positive_part(cn_tensor *x)
{
    return cn_op_unary(x, (cn_function1){.op = CN_RELU, .p = {0, INFINITY, 0}});
}

static cn_tensor *margins(const cn__loss_terms *t)
{
    return positive_part(cn__loss_affine(-1, binary(CN_MULTIPLY, signs(t->y), t->p), 1));
}

static cn_tensor *hinge(const cn__loss_terms *t)
{
    return mean(margins(t));
}

static cn_tensor *squared_hinge(const cn__loss_terms *t)
{
    return mean(unary(CN_SQUARE, margins(t)));
}

/* How far the best wrong class comes within 1 of the right one. */
static cn_tensor *categorical_hinge(const cn__loss_terms *t)
{
    cn_tensor *right = sum(binary(CN_MULTIPLY, t->y, t->p));
    cn_tensor *wrong =
        cn__loss_over_last(CN_MAX, binary(CN_MULTIPLY, cn__loss_affine(-1, t->y, 1), t->p), false);
    return positive_part(cn__loss_affine(1, binary(CN_SUBTRACT, wrong, right), 1));
}

/* ---- distributions ---- */

static cn_tensor *kl_divergence(const cn__loss_terms *t)
{
    cn_tensor *y = cn__loss_unary(CN_CLIP, t->y, epsilon, 1);
    cn_tensor *p = cn__loss_unary(CN_CLIP, t->p, epsilon, 1);
    return sum(binary(CN_MULTIPLY, y, unary(CN_LOG, binary(CN_DIVIDE, y, p))));
}

static cn_tensor *poisson(const cn__loss_terms *t)
{
    cn_tensor *log_p = unary(CN_LOG, cn__loss_affine(1, t->p, epsilon));
    return mean(binary(CN_SUBTRACT, t->p, binary(CN_MULTIPLY, t->y, log_p)));
}

/* x divided by its length, which counts as epsilon at least. */
static cn_tensor *normalised(cn_tensor *x)
{
    cn_tensor *square = cn__loss_over_last(CN_SUM, unary(CN_SQUARE, x), true);
    return binary(CN_MULTIPLY, x, unary(CN_RSQRT, at_least(square, epsilon * epsilon)));
}

static cn_tensor *cosine_similarity(const cn__loss_terms *t)
{
    return cn__loss_affine(-1, sum(binary(CN_MULTIPLY, normalised(t->y), normalised(t->p))), 0);
}

/* ---- overlaps: one number for all values along the axes, by default for the whole batch ---- */

static cn_tensor *overlap_sum(unsigned axes, cn_tensor *a, cn_tensor *b)
{
    cn_tensor *product = binary(CN_MULTIPLY, a, b);
    return product ? cn_op_reduce(CN_SUM, product, axes, false) : NULL;
}

/* A number for the whole batch is given to each of its samples. */
static cn_tensor *one_for_each_sample(cn_tensor *value, const cn__loss_terms *t)
{
    unsigned others = (1u << t->p->shape.rank) - 2;
    if (!value || value->shape.rank > 0)
        return value;
    return cn__op_broadcast_like(value, cn_op_reduce(CN_SUM, t->p, others, false));
}

static cn_status overlap_axes(double asked, const cn__loss_terms *t, unsigned *axes)
{
    unsigned all = (1u << t->p->shape.rank) - 1;
    *axes = asked == 0 ? all : (unsigned)asked;
    if (*axes == all || (*axes < all && !(*axes & 1)))
        return CN_OK;
    return cn__fail(CN_ERROR_ARGUMENT,
                    "axis must be None, for one number for the whole batch, or name some of the "
                    "axes 1 to %d",
                    t->p->shape.rank - 1);
}

/* 1 - 2 sum(y p) / (sum(y) + sum(p)) */
static cn_tensor *dice(const cn__loss_terms *t)
{
    unsigned axes;
    if (overlap_axes(t->arguments[0], t, &axes) != CN_OK)
        return NULL;
    cn_tensor *both = overlap_sum(axes, t->y, t->p), *either = binary(CN_ADD, t->y, t->p);
    cn_tensor *total = either ? cn_op_reduce(CN_SUM, either, axes, false) : NULL;
    cn_tensor *part = binary(CN_DIVIDE, both, cn__loss_affine(1, total, epsilon));
    return one_for_each_sample(cn__loss_affine(-2, part, 1), t);
}

/* 1 - sum(y p) / (sum(y p) + alpha sum(y (1 - p)) + beta sum((1 - y) p)): what Keras calls alpha
 * weighs what is missed, although its documentation says false positives. */
static cn_tensor *tversky(const cn__loss_terms *t)
{
    unsigned axes;
    double alpha = t->arguments[0], beta = t->arguments[1];
    if (overlap_axes(t->arguments[2], t, &axes) != CN_OK)
        return NULL;
    cn_tensor *both = overlap_sum(axes, t->y, t->p);
    cn_tensor *missed = overlap_sum(axes, t->y, cn__loss_affine(-1, t->p, 1));
    cn_tensor *wrong = overlap_sum(axes, cn__loss_affine(-1, t->y, 1), t->p);
    cn_tensor *errors =
        binary(CN_ADD, cn__loss_affine(alpha, missed, 0), cn__loss_affine(beta, wrong, epsilon));
    cn_tensor *part = binary(CN_DIVIDE, both, binary(CN_ADD, both, errors));
    return one_for_each_sample(cn__loss_affine(-1, part, 1), t);
}

/* ---- the table ---- */

#define AXES                                                                                       \
    {                                                                                              \
        "axis", .kind = CN__ARGUMENT_BITS                                                          \
    }

static const struct loss {
    const char *names; /* Keras 3's function and class, then older ones */
    cn_tensor *(*values)(const cn__loss_terms *t);
    cn__argument arguments[cn__most_arguments];
    bool sparse;
} losses[] = {
    {"mean_squared_error|MeanSquaredError|mse|MSE", .values = mean_squared_error},
    {"mean_absolute_error|MeanAbsoluteError|mae|MAE", .values = mean_absolute_error},
    {"mean_absolute_percentage_error|MeanAbsolutePercentageError|mape|MAPE",
     .values = mean_absolute_percentage_error},
    {"mean_squared_logarithmic_error|MeanSquaredLogarithmicError|msle|MSLE",
     .values = mean_squared_logarithmic_error},
    {"huber|Huber|huber_loss", .values = huber, .arguments = {CN__DELTA}},
    {"log_cosh|LogCosh|logcosh|Logcosh", .values = log_cosh},
    {"hinge|Hinge", .values = hinge},
    {"squared_hinge|SquaredHinge", .values = squared_hinge},
    {"categorical_hinge|CategoricalHinge", .values = categorical_hinge},
    {"kl_divergence|KLDivergence|kld|KLD|kullback_leibler_divergence|KullbackLeiblerDivergence",
     .values = kl_divergence},
    {"poisson|Poisson", .values = poisson},
    {"cosine_similarity|CosineSimilarity|cosine_proximity|CosineProximity|cosine",
     .values = cosine_similarity, .arguments = {CN__LAST_AXIS}},
    {"dice|Dice", .values = dice, .arguments = {AXES}},
    {"tversky|Tversky", .values = tversky,
     .arguments = {CN__SHARE("alpha", 0.5), CN__SHARE("beta", 0.5), AXES}},
    {"categorical_crossentropy|CategoricalCrossentropy", .values = cn__categorical_crossentropy,
     .arguments = {CN__CROSSENTROPY, CN__LAST_AXIS}},
    {"sparse_categorical_crossentropy|SparseCategoricalCrossentropy",
     .values = cn__sparse_categorical_crossentropy,
     .arguments = {{"from_logits", CN__YES_OR_NO},
                   {"ignore_class", .kind = CN__ARGUMENT_WORD, .words = "None"},
                   CN__LAST_AXIS},
     .sparse = true},
    {"categorical_focal_crossentropy|CategoricalFocalCrossentropy",
     .values = cn__categorical_focal_crossentropy, .arguments = {CN__FOCAL, CN__LAST_AXIS}},
    {"binary_crossentropy|BinaryCrossentropy|bce|BCE", .values = cn__binary_crossentropy,
     .arguments = {CN__CROSSENTROPY, CN__LAST_AXIS}},
    {"binary_focal_crossentropy|BinaryFocalCrossentropy", .values = cn__binary_focal_crossentropy,
     .arguments = {CN__FOCAL, CN__BALANCING, CN__LAST_AXIS}},
};

/* ---- finding ---- */

/* A loss as it was written. */
typedef struct parsed {
    const struct loss *row;
    double arguments[cn__most_arguments];
} parsed;

/* The mean over all values is the trainer's: no other reduction is there to choose. */
static cn_status check_reduction(const cn__expression *e)
{
    const char *reduction = cn__expression_text(e, "reduction", "auto");
    if (cn__list_index("sum_over_batch_size|auto", reduction) >= 0)
        return CN_OK;
    return cn__fail(CN_ERROR_UNSUPPORTED,
                    "the loss %s: reduction must be sum_over_batch_size, not %s", e->name,
                    reduction);
}

/* "mean_squared_error, ...": Keras 3's names of all. */
static void list_names(char *text, size_t size)
{
    size_t used = 0;
    for (size_t i = 0; i < CN__COUNT(losses); i++) {
        int length = (int)strcspn(losses[i].names, "|");
        int written = snprintf(text + used, size - used, "%s%.*s", i > 0 ? ", " : "", length,
                               losses[i].names);
        used = written > 0 && used + (size_t)written < size ? used + (size_t)written : size - 1;
    }
}

static cn_status find(const cn__expression *e, parsed *p)
{
    char names[700];
    p->row = NULL;
    for (size_t i = 0; i < CN__COUNT(losses) && !p->row; i++)
        if (cn__list_index(losses[i].names, e->name) >= 0)
            p->row = &losses[i];
    if (!p->row) {
        list_names(names, sizeof names);
        return cn__fail(CN_ERROR_ARGUMENT, "there is no loss \"%s\"; there are %s", e->name, names);
    }
    CN__TRY(check_reduction(e));
    return cn__arguments_read("loss", e, "name|dtype|reduction", p->row->arguments,
                              cn__most_arguments, p->arguments);
}

static cn_status parse(const char *loss, parsed *p)
{
    if (!loss)
        return cn__fail_null_argument("loss");
    cn__arena *arena = cn__arena_new();
    cn__expression e;
    cn_status status = arena ? cn__expression_parse(arena, loss, &e) : CN_ERROR_MEMORY;
    if (status == CN_OK)
        status = find(&e, p);
    cn__arena_free(arena);
    return status;
}

bool cn__loss_known(const char *loss)
{
    parsed p;
    return parse(loss, &p) == CN_OK;
}

bool cn__loss_is_sparse(const char *loss)
{
    parsed p;
    return parse(loss, &p) == CN_OK && p.row->sparse;
}

cn_shape cn__loss_target_shape(const char *loss, const cn_shape *prediction)
{
    cn_shape shape = *prediction;
    if (shape.rank > 1 && cn__loss_is_sparse(loss))
        shape.rank--;
    return shape;
}

/* ---- the values ---- */

/* A prediction of one number for each sample, without an axis for it, gets one. */
static cn_tensor *with_last_axis(cn_tensor *x)
{
    static const cn_shape one = {2, {0, 1}};
    return x && x->shape.rank == 1 ? cn_op_reshape(x, &one) : x;
}

/* The node that computed x; layers may have put identities behind it. */
static const cn__node *maker(const cn_tensor *x)
{
    const cn__node *node = x->node;
    while (node->op == &cn__unary_op && ((const cn_function1 *)node->attributes)->op == CN_IDENTITY)
        node = node->in[0]->node;
    return node;
}

/* What went into the softmax over the last axis that made x, NULL if none did. */
static cn_tensor *before_softmax(const cn_tensor *x)
{
    const cn__node *node = maker(x);
    const cn__softmax_attributes *a = node->attributes;
    bool made = node->op == &cn__softmax_op && !a->logarithm && a->axis == x->shape.rank - 1;
    return made && a->axis > 0 ? node->in[0] : NULL;
}

static cn_tensor *before_sigmoid(const cn_tensor *x)
{
    const cn__node *node = maker(x);
    bool made =
        node->op == &cn__unary_op && ((const cn_function1 *)node->attributes)->op == CN_SIGMOID;
    return made ? with_last_axis(node->in[0]) : NULL;
}

static cn_status check(const parsed *p, const cn_tensor *target, const cn_tensor *prediction)
{
    char text[128];
    if (!target || !prediction)
        return cn__fail_null_argument("loss");
    if (prediction->shape.rank < (p->row->sparse ? 2 : 1))
        return cn__fail(CN_ERROR_SHAPE, "the prediction %s needs a batch%s",
                        cn_shape_text(&prediction->shape, text, sizeof text),
                        p->row->sparse ? " and an axis of classes" : "");
    if (target->dtype != CN_FLOAT32 && !p->row->sparse)
        return cn__fail(CN_ERROR_ARGUMENT, "the targets must be float32, not int32");
    return CN_OK;
}

/* Targets in the shape of the prediction, or where they are classes, in that of the prediction
 * without its last axis. */
static cn_tensor *shaped_target(const parsed *p, cn_tensor *target, cn_tensor *prediction)
{
    unsigned last = 1u << (prediction->shape.rank - 1);
    cn_tensor *like = prediction;
    if (p->row->sparse)
        like = cn_op_reduce(CN_SUM, prediction, last, false);
    if (!like || cn__same_known_shape(target, like))
        return like ? target : NULL;
    return cn__op_reshape_like(target, like);
}

cn_tensor *cn__loss_values(const char *loss, cn_tensor *target, cn_tensor *prediction)
{
    parsed found;
    if (parse(loss, &found) != CN_OK)
        return NULL;
    cn_tensor *values = NULL;
    if (check(&found, target, prediction) == CN_OK) {
        cn_tensor *p = with_last_axis(prediction);
        cn__loss_terms t = {.y = p ? shaped_target(&found, target, p) : NULL,
                            .p = p,
                            .before_softmax = before_softmax(prediction),
                            .before_sigmoid = before_sigmoid(prediction),
                            .arguments = found.arguments};
        values = t.y ? found.row->values(&t) : NULL;
    }
    if (!values)
        (void)cn__fail_within("the loss %s", loss);
    return values;
}
