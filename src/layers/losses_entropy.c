/* Cross-entropies. Where the prediction is given as logits, or comes straight out of a softmax or
 * sigmoid, they are taken from what went into it; otherwise the prediction is kept off 0 and 1, and
 * has no gradient where that changes it. */
#include "graph/ops.h"
#include "layers/arguments.h"
#include "layers/losses_formulas.h"

static const double epsilon = CN__LOSS_EPSILON;

/* x between epsilon and 1 - epsilon. */
static cn_tensor *off_ends(cn_tensor *x)
{
    return cn__loss_unary(CN_CLIP, x, epsilon, 1 - epsilon);
}

/* (1 - p of the right answer)^power, whose derivative is infinite at 0 for a power below 1. */
static cn_tensor *focus(cn_tensor *missing, double power)
{
    cn_tensor *base = cn__loss_unary(CN_CLIP, missing, epsilon, 1);
    return base ? cn_op_binary(CN_POWER, base, cn_op_number(base, (float)power)) : NULL;
}

/* ---- of several classes, one is right ---- */

/* log p, with p made to add up to 1. */
static cn_tensor *log_of_share(const cn__loss_terms *t)
{
    cn_tensor *logits = t->arguments[cn__from_logits] != 0 ? t->p : t->before_softmax;
    if (logits)
        return cn_op_softmax(logits, -1, true);
    cn_tensor *share = cn_op_binary(CN_DIVIDE, t->p, cn__loss_over_last(CN_SUM, t->p, true));
    return cn__loss_unary(CN_LOG, off_ends(share), 0, 0);
}

/* y (1 - a) + a / classes */
static cn_tensor *smoothed(const cn__loss_terms *t)
{
    double a = t->arguments[cn__label_smoothing];
    int64_t classes = t->p->shape.dim[t->p->shape.rank - 1];
    if (a == 0)
        return t->y;
    if (classes < 1)
        return cn__fail_null(CN_ERROR_SHAPE,
                             "label_smoothing needs a prediction whose number of classes is known");
    return cn__loss_affine(1 - a, t->y, a / (double)classes);
}

/* -sum(y log p) */
static cn_tensor *entropy_of(cn_tensor *y, cn_tensor *log_p)
{
    return cn__loss_affine(
        -1, cn__loss_over_last(CN_SUM, cn_op_binary(CN_MULTIPLY, y, log_p), false), 0);
}

cn_tensor *cn__categorical_crossentropy(const cn__loss_terms *t)
{
    return entropy_of(smoothed(t), log_of_share(t));
}

cn_tensor *cn__sparse_categorical_crossentropy(const cn__loss_terms *t)
{
    cn_tensor *y = cn__op_one_hot(t->y, t->p->shape.dim[t->p->shape.rank - 1]);
    return entropy_of(y, log_of_share(t));
}

/* -sum(alpha (1 - p)^gamma y log p), after Lin et al., arXiv 1708.02002. */
cn_tensor *cn__categorical_focal_crossentropy(const cn__loss_terms *t)
{
    cn_tensor *log_p = log_of_share(t);
    cn_tensor *missing = cn__loss_affine(-1, cn__loss_unary(CN_EXP, log_p, 0, 0), 1);
    cn_tensor *weight =
        cn__loss_affine(t->arguments[cn__alpha], focus(missing, t->arguments[cn__gamma]), 0);
    return entropy_of(cn_op_binary(CN_MULTIPLY, weight, smoothed(t)), log_p);
}

/* ---- each number is the answer yes or no ---- */

static cn_tensor *binary_logits(const cn__loss_terms *t)
{
    return t->arguments[cn__from_logits] != 0 ? t->p : t->before_sigmoid;
}

/* y (1 - a) + a / 2 */
static cn_tensor *smoothed_binary(const cn__loss_terms *t)
{
    double a = t->arguments[cn__label_smoothing];
    return a == 0 ? t->y : cn__loss_affine(1 - a, t->y, a / 2);
}

/* y a + (1 - y) b */
static cn_tensor *chosen(cn_tensor *y, cn_tensor *a, cn_tensor *b)
{
    cn_tensor *difference = cn_op_binary(CN_SUBTRACT, a, b);
    return cn_op_binary(CN_ADD, b, cn_op_binary(CN_MULTIPLY, y, difference));
}

/* -(y log p + (1 - y) log(1 - p)) of every number. With p = 1 / (1 + exp(-x)) that is
 * log(1 + exp(x)) - x y. */
static cn_tensor *binary_entropy(const cn__loss_terms *t, cn_tensor *y)
{
    cn_tensor *x = binary_logits(t);
    if (x)
        return cn_op_binary(CN_SUBTRACT, cn__loss_unary(CN_SOFTPLUS, x, 0, 0),
                            cn_op_binary(CN_MULTIPLY, x, y));
    cn_tensor *p = off_ends(t->p);
    cn_tensor *log_p = cn__loss_unary(CN_LOG, p, 0, 0);
    cn_tensor *log_rest = cn__loss_unary(CN_LOG, cn__loss_affine(-1, p, 1), 0, 0);
    return cn__loss_affine(-1, chosen(y, log_p, log_rest), 0);
}

cn_tensor *cn__binary_crossentropy(const cn__loss_terms *t)
{
    return cn__loss_over_last(CN_MEAN, binary_entropy(t, smoothed_binary(t)), false);
}

cn_tensor *cn__binary_focal_crossentropy(const cn__loss_terms *t)
{
    cn_tensor *y = smoothed_binary(t), *x = binary_logits(t);
    cn_tensor *p = x ? cn__loss_unary(CN_SIGMOID, x, 0, 0) : t->p;
    cn_tensor *missing = chosen(y, cn__loss_affine(-1, p, 1), p);
    cn_tensor *values =
        cn_op_binary(CN_MULTIPLY, focus(missing, t->arguments[cn__gamma]), binary_entropy(t, y));
    double a = t->arguments[cn__alpha];
    if (t->arguments[cn__apply_class_balancing] != 0)
        values = cn_op_binary(CN_MULTIPLY, values, cn__loss_affine(2 * a - 1, y, 1 - a));
    return cn__loss_over_last(CN_MEAN, values, false);
}
