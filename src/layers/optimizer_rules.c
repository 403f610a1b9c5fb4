/* The optimizers of Keras: arguments, slots, coefficients. Formulas: keras/src/optimizers at
 * version 3.15, keras/optimizers.py at 1.2.2 and 2.3.1. Coefficients are computed in double, where
 * Keras has float32 powers. */
#include "layers/optimizer_rules.h"

#include <math.h>

#define ANY ((double)INFINITY)

/* ---- coefficients, in the order that the kernels tell ---- */

enum { sgd_momentum, sgd_nesterov };

static void sgd(const cn__optimizer_moment *m)
{
    bool nesterov = m->a[sgd_nesterov] != 0;
    m->c[0] = (float)m->a[sgd_momentum];
    m->c[1] = (float)m->rate;
    m->c[2] = nesterov ? (float)m->a[sgd_momentum] : 1;
    m->c[3] = nesterov ? (float)m->rate : 0;
}

enum { rms_rho, rms_momentum, rms_epsilon, rms_centered, rms_outside };

static void rmsprop(const cn__optimizer_moment *m)
{
    bool outside = m->a[rms_outside] != 0;
    m->c[0] = (float)m->a[rms_rho];
    m->c[1] = (float)(1 - m->a[rms_rho]);
    m->c[2] = (float)m->rate;
    m->c[3] = outside ? 0 : (float)m->a[rms_epsilon];
    m->c[4] = outside ? (float)m->a[rms_epsilon] : 0;
    m->c[5] = (float)m->a[rms_momentum];
}

enum { adagrad_first, adagrad_epsilon, adagrad_outside };

static void adagrad(const cn__optimizer_moment *m)
{
    bool outside = m->a[adagrad_outside] != 0;
    m->c[0] = (float)m->rate;
    m->c[1] = outside ? 0 : (float)m->a[adagrad_epsilon];
    m->c[2] = outside ? (float)m->a[adagrad_epsilon] : 0;
}

enum { adadelta_rho, adadelta_epsilon };

static void adadelta(const cn__optimizer_moment *m)
{
    m->c[0] = (float)m->a[adadelta_rho];
    m->c[1] = (float)(1 - m->a[adadelta_rho]);
    m->c[2] = (float)m->rate;
    m->c[3] = (float)m->a[adadelta_epsilon];
}

/* Of all the relatives of Adam. */
enum { beta_1, beta_2, epsilon, adam_amsgrad, nadam_decay = adam_amsgrad };

static double unbiased(const cn__optimizer_moment *m, int beta)
{
    return 1 - pow(m->a[beta], m->t);
}

static void adam(const cn__optimizer_moment *m)
{
    m->c[0] = (float)(1 - m->a[beta_1]);
    m->c[1] = (float)(1 - m->a[beta_2]);
    m->c[2] = (float)(m->rate * sqrt(unbiased(m, beta_2)) / unbiased(m, beta_1));
    m->c[3] = (float)m->a[epsilon];
}

static void adamax(const cn__optimizer_moment *m)
{
    m->c[0] = (float)(1 - m->a[beta_1]);
    m->c[1] = (float)m->a[beta_2];
    m->c[2] = (float)(m->rate / unbiased(m, beta_1));
    m->c[3] = (float)m->a[epsilon];
}

/* The momentum of step t rises: beta 1 (1 - 0.96^(t decay) / 2). */
static void nadam(const cn__optimizer_moment *m)
{
    double decay = m->a[nadam_decay];
    double now = m->a[beta_1] * (1 - 0.5 * pow(0.96, m->t * decay));
    double next = m->a[beta_1] * (1 - 0.5 * pow(0.96, (m->t + 1) * decay));
    *m->u = (float)((double)*m->u * now);
    double product = (double)*m->u;
    m->c[0] = (float)(1 - m->a[beta_1]);
    m->c[1] = (float)(1 - m->a[beta_2]);
    m->c[2] = (float)(m->rate * next / (1 - product * next));
    m->c[3] = (float)(m->rate * (1 - now) / (1 - product));
    m->c[4] = (float)(1 / unbiased(m, beta_2));
    m->c[5] = (float)m->a[epsilon];
}

enum { ftrl_power, ftrl_first, ftrl_l1, ftrl_l2, ftrl_shrinkage, ftrl_beta };

static void ftrl(const cn__optimizer_moment *m)
{
    m->c[0] = (float)-m->a[ftrl_power];
    m->c[1] = (float)(1 / m->rate);
    m->c[2] = (float)(2 * m->a[ftrl_shrinkage]);
    m->c[3] = (float)(2 * (m->a[ftrl_l2] + m->a[ftrl_beta] / (2 * m->rate)));
    m->c[4] = (float)m->a[ftrl_l1];
}

static void lion(const cn__optimizer_moment *m)
{
    m->c[0] = (float)m->a[beta_1];
    m->c[1] = (float)(1 - m->a[beta_1]);
    m->c[2] = (float)m->a[beta_2];
    m->c[3] = (float)(1 - m->a[beta_2]);
    m->c[4] = (float)m->rate;
}

/* ---- Lamb: as far as the weight is long ---- */

static void lamb(const cn__optimizer_moment *m)
{
    m->c[0] = (float)(1 - m->a[beta_1]);
    m->c[1] = (float)(1 - m->a[beta_2]);
    m->c[2] = (float)(1 / unbiased(m, beta_1));
    m->c[3] = (float)(1 / unbiased(m, beta_2));
    m->c[4] = (float)m->a[epsilon];
}

static void finish_lamb(const cn__optimizer_moment *m, const cn__optimizer_weight *weight)
{
    const cn__kernels *k = cn__kernels_get();
    double long_w = sqrt(k->sum_squares(weight->w, weight->count));
    double long_g = sqrt(k->sum_squares(weight->g, weight->count));
    double ratio = long_w > 0 && long_g > 0 ? long_w / long_g : 1;
    k->add_scaled((float)(-m->rate * ratio), weight->g, weight->w, weight->count);
}

/* ---- Adafactor: mean squares of rows and columns in place of those of the elements ---- */

enum { factor_decay, factor_epsilon_1, factor_epsilon_2, factor_threshold, factor_relative };
enum { slot_rows, slot_columns, slot_velocity };

/* Of a matrix (rows, columns) of gradients: moves r[rows] and c[columns] by `part` towards the
 * means of the squares, and sets v to their product. */
static void factor_matrix(const float *g, float *r, float *c, float *v, int64_t rows,
                          int64_t columns, double part, double added)
{
    double mean = 0;
    for (int64_t i = 0; i < rows; i++) {
        double sum = 0;
        for (int64_t j = 0; j < columns; j++)
            sum += (double)g[i * columns + j] * (double)g[i * columns + j] + added;
        r[i] = (float)((1 - part) * (double)r[i] + part * sum / (double)columns);
        mean += (double)r[i] / (double)rows;
    }
    for (int64_t j = 0; j < columns; j++) {
        double sum = 0;
        for (int64_t i = 0; i < rows; i++)
            sum += (double)g[i * columns + j] * (double)g[i * columns + j] + added;
        c[j] = (float)((1 - part) * (double)c[j] + part * sum / (double)rows);
    }
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < columns; j++)
            v[i * columns + j] = (float)((double)r[i] / mean * (double)c[j]);
}

static void factor(const cn__optimizer_moment *m, const cn__optimizer_weight *weight)
{
    const cn_shape *shape = weight->shape;
    double part = pow(m->t, m->a[factor_decay]), added = m->a[factor_epsilon_1];
    const float *g = weight->g;
    float *v = weight->slot[slot_velocity];
    if (shape->rank < 2) {
        for (int64_t i = 0; i < weight->count; i++)
            v[i] =
                (float)((1 - part) * (double)v[i] + part * ((double)g[i] * (double)g[i] + added));
        return;
    }
    int64_t rows = shape->dim[shape->rank - 2], columns = shape->dim[shape->rank - 1];
    for (int64_t i = 0; rows * columns > 0 && i < weight->count / (rows * columns); i++)
        factor_matrix(g + i * rows * columns, weight->slot[slot_rows] + i * rows,
                      weight->slot[slot_columns] + i * columns, v + i * rows * columns, rows,
                      columns, part, added);
}

/* Weights move by a part of their own size. A given rate is a bound on it, and so is 1 / sqrt(t).
 */
static void finish_adafactor(const cn__optimizer_moment *m, const cn__optimizer_weight *weight)
{
    const cn__kernels *k = cn__kernels_get();
    double count = (double)cn__max(weight->count, 1);
    factor(m, weight);
    for (int64_t i = 0; i < weight->count; i++)
        weight->g[i] /= sqrtf(weight->slot[slot_velocity][i]);
    double size = sqrt(k->sum_squares(weight->w, weight->count) / count);
    double change = sqrt(k->sum_squares(weight->g, weight->count) / count);
    double rate = fmin(m->rate, 1 / sqrt(m->t)) * fmax(m->a[factor_epsilon_2], size);
    rate /= fmax(1, change / m->a[factor_threshold]);
    k->add_scaled((float)-rate, weight->g, weight->w, weight->count);
}

/* ---- the table ---- */

#define ALL(value)                                                                                 \
    {                                                                                              \
        value, value, value                                                                        \
    }
#define EPSILON                                                                                    \
    {                                                                                              \
        "epsilon", {1e-8, 1e-7, 1e-7}, 0, ANY                                                      \
    }
#define BETA(key, value)                                                                           \
    {                                                                                              \
        key, ALL(value), 0, 1                                                                      \
    }
#define FLAG(key, older, now)                                                                      \
    {                                                                                              \
        key, {older, older, now}, 0, 1                                                             \
    }
#define MEAN_AND_SQUARE                                                                            \
    {"momentum", 0, -1, -1, 0},                                                                    \
    {                                                                                              \
        "velocity", 0, -1, -1, 0                                                                   \
    }

static const cn__optimizer_rule rules[] = {
    {.names = "SGD|sgd",
     .arguments = {BETA("momentum", 0), FLAG("nesterov", 0, 0)},
     .slots = {{"momentum", 0, sgd_momentum, -1, 0}},
     .rate = ALL(0.01),
     .kernel = CN__UPDATE_SGD,
     .coefficients = sgd},
    {.names = "RMSprop|rmsprop|RMSProp",
     .arguments = {BETA("rho", 0.9), BETA("momentum", 0), EPSILON, FLAG("centered", 0, 0),
                   FLAG("epsilon_outside", 1, 0)},
     .slots = {{"velocity", 0, -1, -1, 0},
               {"momentum", 1, rms_momentum, -1, 0},
               {"average_gradient", 2, rms_centered, -1, 0}},
     .rate = ALL(0.001),
     .kernel = CN__UPDATE_RMSPROP,
     .coefficients = rmsprop},
    {.names = "Adagrad|adagrad",
     .arguments = {{"initial_accumulator_value", {0, 0, 0.1}, 0, ANY},
                   EPSILON,
                   FLAG("epsilon_outside", 1, 0)},
     .slots = {{"accumulator", 0, -1, adagrad_first, 0}},
     .rate = {0.01, 0.01, 0.001},
     .kernel = CN__UPDATE_ADAGRAD,
     .coefficients = adagrad},
    {.names = "Adadelta|adadelta",
     .arguments = {BETA("rho", 0.95), EPSILON},
     .slots = {{"accumulated_grad", 0, -1, -1, 0}, {"accumulated_delta_var", 0, -1, -1, 0}},
     .rate = {1, 1, 0.001},
     .kernel = CN__UPDATE_ADADELTA,
     .coefficients = adadelta},
    {.names = "Adam|adam",
     .arguments = {BETA("beta_1", 0.9), BETA("beta_2", 0.999), EPSILON, FLAG("amsgrad", 0, 0)},
     .slots = {MEAN_AND_SQUARE, {"velocity_hat", 1, adam_amsgrad, -1, 0}},
     .rate = ALL(0.001),
     .kernel = CN__UPDATE_ADAM,
     .coefficients = adam},
    {.names = "AdamW|adamw",
     .arguments = {BETA("beta_1", 0.9), BETA("beta_2", 0.999), EPSILON, FLAG("amsgrad", 0, 0)},
     .slots = {MEAN_AND_SQUARE, {"velocity_hat", 1, adam_amsgrad, -1, 0}},
     .rate = ALL(0.001),
     .decay = 0.004,
     .kernel = CN__UPDATE_ADAM,
     .coefficients = adam},
    {.names = "Adamax|adamax",
     .arguments = {BETA("beta_1", 0.9), BETA("beta_2", 0.999), EPSILON},
     .slots = {{"momentum", 0, -1, -1, 0}, {"norm", 0, -1, -1, 0}},
     .rate = {0.002, 0.002, 0.001},
     .kernel = CN__UPDATE_ADAMAX,
     .coefficients = adamax},
    {.names = "Nadam|nadam",
     .arguments = {BETA("beta_1", 0.9),
                   BETA("beta_2", 0.999),
                   EPSILON,
                   {"schedule_decay", {0.004, 0.004, 1}, 0, ANY}},
     .slots = {MEAN_AND_SQUARE},
     .rate = {0.002, 0.002, 0.001},
     .keeps_u = true,
     .kernel = CN__UPDATE_NADAM,
     .coefficients = nadam},
    {.names = "Ftrl|ftrl|FTRL",
     .arguments = {{"learning_rate_power", ALL(-0.5), -ANY, 0},
                   {"initial_accumulator_value", ALL(0.1), 0, ANY},
                   {"l1_regularization_strength", ALL(0), 0, ANY},
                   {"l2_regularization_strength", ALL(0), 0, ANY},
                   {"l2_shrinkage_regularization_strength", ALL(0), 0, ANY},
                   {"beta", ALL(0), 0, ANY}},
     .slots = {{"accumulator", 0, -1, ftrl_first, 0}, {"linear", 0, -1, -1, 0}},
     .rate = ALL(0.001),
     .kernel = CN__UPDATE_FTRL,
     .coefficients = ftrl},
    {.names = "Lion|lion",
     .arguments = {BETA("beta_1", 0.9), BETA("beta_2", 0.99)},
     .slots = {{"momentum", 0, -1, -1, 0}},
     .rate = ALL(0.001),
     .kernel = CN__UPDATE_LION,
     .coefficients = lion},
    {.names = "Lamb|lamb",
     .arguments = {BETA("beta_1", 0.9), BETA("beta_2", 0.999), EPSILON},
     .slots = {MEAN_AND_SQUARE},
     .rate = ALL(0.001),
     .kernel = CN__UPDATE_LAMB,
     .coefficients = lamb,
     .finish = finish_lamb},
    {.names = "Adafactor|adafactor",
     .arguments = {{"beta_2_decay", ALL(-0.8), -ANY, 0},
                   {"epsilon_1", ALL(1e-30), 0, ANY},
                   {"epsilon_2", ALL(1e-3), 0, ANY},
                   {"clip_threshold", ALL(1), 0, ANY},
                   FLAG("relative_step", 1, 1)},
     .slots = {{"", 0, -1, -1, 1}, {"", 0, -1, -1, 2}, {"velocity", 0, -1, -1, 0}},
     .rate = ALL(0.001),
     .kernel = -1,
     .finish = finish_adafactor},
};

const cn__optimizer_rule *cn__optimizer_rule_find(const char *name)
{
    for (size_t i = 0; i < CN__COUNT(rules); i++)
        if (cn__list_index(rules[i].names, name) >= 0)
            return &rules[i];
    return cn__fail_null(CN_ERROR_ARGUMENT,
                         "there is no optimizer \"%s\"; there are SGD, RMSprop, Adagrad, Adadelta, "
                         "Adam, AdamW, Adamax, Nadam, Ftrl, Lion, Lamb and Adafactor",
                         name);
}
