/* Optimizers: trajectories that Keras 3.15 made, schedules and whatever else changes a step by its
 * formula, the state, threads, errors. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cornu/formats.h"
#include "layers/optimizers.h"
#include "support/compare.h"
#include "unit/failing.h"

/* ---- a few weights and an optimizer ---- */

enum { most_weights = 4 };
typedef struct trained {
    cn__optimizer *optimizer;
    int count;
    cn__variable *variables[most_weights];
} trained;

static cn__optimizer *optimizer_of(const char *text)
{
    cn__optimizer *optimizer = cn__optimizer_new(text);
    if (!optimizer)
        fail_msg("%s", cn_error_message());
    return optimizer;
}

/* Adopts the arrays. */
static trained train(const char *optimizer, int count, cn_array *const *arrays,
                     const char *constraint)
{
    static const char *const names[most_weights] = {"dense/kernel", "dense/bias", "conv/kernel",
                                                    "conv/bias"};
    trained t = {.optimizer = optimizer_of(optimizer), .count = count};
    cn__trained weights[most_weights];
    for (int i = 0; i < count; i++) {
        t.variables[i] = cn__variable_new(arrays[i]);
        weights[i] = (cn__trained){names[i], t.variables[i], constraint};
    }
    assert_int_equal(cn__optimizer_build(t.optimizer, count, weights), CN_OK);
    return t;
}

static void release(trained *t)
{
    cn__optimizer_free(t->optimizer);
    for (int i = 0; i < t->count; i++)
        cn__variable_release(t->variables[i]);
}

static float *weight(const trained *t, int i)
{
    return cn_array_floats(t->variables[i]->value);
}

static float *gradient(const trained *t, int i)
{
    int64_t count;
    return cn__optimizer_gradients(t->optimizer, &count) + cn__optimizer_offset(t->optimizer, i);
}

/* One weight of two numbers, 1 and -2. */
static trained small(const char *optimizer)
{
    static const float values[] = {1, -2};
    const cn_shape shape = cn_shape_of(2);
    cn_array *array = cn_array_from(&shape, values);
    return train(optimizer, 1, &array, NULL);
}

/* A step with the gradients a and b leaves the weights at c and d, within 1e-6: a few roundings of
 * numbers around 1. */
static void step_to(trained *t, double a, double b, double c, double d)
{
    gradient(t, 0)[0] = (float)a;
    gradient(t, 0)[1] = (float)b;
    cn__optimizer_step(t->optimizer, NULL);
    assert_float_equal(weight(t, 0)[0], (float)c, 1e-6f);
    assert_float_equal(weight(t, 0)[1], (float)d, 1e-6f);
}

/* ---- trajectories of Keras 3.15 ---- */

enum { steps = 8 };
static const struct golden {
    const char *name, *optimizer;
} goldens[] = {
    {"sgd", "SGD(learning_rate=0.1)"},
    {"sgd_m", "sgd(learning_rate=0.1, momentum=0.9)"},
    {"sgd_n", "SGD(learning_rate=0.1, momentum=0.9, nesterov=True)"},
    {"sgd_wd", "SGD(learning_rate=0.1, weight_decay=0.02)"},
    {"sgd_cn", "SGD(learning_rate=0.1, clipnorm=1.0)"},
    {"sgd_gcn", "SGD(learning_rate=0.1, global_clipnorm=1.0)"},
    {"sgd_cv", "SGD(learning_rate=0.1, clipvalue=0.3)"},
    {"sgd_ema", "SGD(learning_rate=0.1, use_ema=True, ema_momentum=0.9)"},
    {"sgd_acc", "SGD(learning_rate=0.1, gradient_accumulation_steps=2)"},
    {"adam", "Adam(learning_rate=0.01)"},
    {"adam_ams", "Adam(learning_rate=0.01, amsgrad=True)"},
    {"adamw", "AdamW(learning_rate=0.01)"},
    {"rms", "RMSprop(learning_rate=0.01)"},
    {"rms_m", "RMSprop(learning_rate=0.01, momentum=0.9)"},
    {"rms_c", "RMSprop(learning_rate=0.01, centered=True)"},
    {"rms_mc", "RMSprop(learning_rate=0.01, rho=0.8, momentum=0.9, centered=True)"},
    {"adagrad", "Adagrad(learning_rate=0.1)"},
    {"adadelta", "Adadelta(learning_rate=1.0)"},
    {"adamax", "Adamax(learning_rate=0.01)"},
    {"nadam", "Nadam(learning_rate=0.01)"},
    {"ftrl", "Ftrl(learning_rate=0.1, l1_regularization_strength=0.01, "
             "l2_regularization_strength=0.02)"},
    {"lion", "Lion(learning_rate=0.01)"},
};

static cn_array *CN_PRINTF(2, 3) read_array(cn_npz *npz, const char *format, ...)
{
    char text[64];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    cn_array *array = cn_npz_read(npz, text);
    if (!array)
        fail_msg("%s", cn_error_message());
    return array;
}

static void set_gradient(const trained *t, int i, cn_npz *npz, const char *name, int step)
{
    cn_array *g = read_array(npz, "%s%d", name, step);
    memcpy(gradient(t, i), cn_array_const_floats(g), (size_t)cn_array_count(g) * sizeof(float));
    cn_array_free(g);
}

/* To 1e-6 of the largest: Keras' own float32 numbers are as far from the exact ones. */
static void compare(const char *what, const float *x, const float *y, int64_t count)
{
    float most = 0;
    for (int64_t i = 0; i < count; i++)
        most = fmaxf(most, fabsf(y[i]));
    for (int64_t i = 0; i < count; i++)
        if (!(fabsf(x[i] - y[i]) <= 1e-6f * most))
            fail_msg("%s: element %d is %.9g, not %.9g", what, (int)i, (double)x[i], (double)y[i]);
}

static void test_golden(void **state)
{
    const struct golden *golden = *state;
    cn_npz *npz = cn_npz_open(CN_TEST_GOLDEN "/keras3/train/optimizers.npz");
    assert_non_null(npz);
    cn_array *start[] = {cn_npz_read(npz, "w0"), cn_npz_read(npz, "b0")};
    trained t = train(golden->optimizer, 2, start, NULL);
    cn_array *w = read_array(npz, "%s_w", golden->name);
    cn_array *b = read_array(npz, "%s_bfinal", golden->name);
    int64_t count = cn_array_count(t.variables[0]->value);
    for (int i = 0; i < steps; i++) {
        set_gradient(&t, 0, npz, "gw", i);
        set_gradient(&t, 1, npz, "gb", i);
        cn__optimizer_step(t.optimizer, NULL);
        compare(golden->name, weight(&t, 0), cn_array_const_floats(w) + i * count, count);
    }
    compare(golden->name, weight(&t, 1), cn_array_const_floats(b), cn_array_count(b));
    assert_int_equal(cn__optimizer_iterations(t.optimizer), steps);
    release(&t);
    cn_array_free(w);
    cn_array_free(b);
    cn_npz_close(npz);
}

/* ---- schedules ---- */

enum { most_rates = 8 };
/* The rates of steps 0, 1, 2 ..., computed from Keras' formulas in double precision. */
static const struct schedule {
    const char *text;
    double rates[most_rates];
} schedules[] = {
    {"ExponentialDecay(initial_learning_rate=0.8, decay_steps=2, decay_rate=0.25)",
     {0.8, 0.4, 0.2, 0.1, 0.05, 0.025, 0.0125, 0.00625}},
    {"ExponentialDecay(initial_learning_rate=0.8, decay_steps=2, decay_rate=0.5, staircase=True)",
     {0.8, 0.8, 0.4, 0.4, 0.2, 0.2, 0.1, 0.1}},
    {"InverseTimeDecay(initial_learning_rate=1, decay_steps=2, decay_rate=0.5)",
     {1, 0.8, 0.66666667, 0.57142857, 0.5, 0.44444444, 0.4, 0.36363636}},
    {"InverseTimeDecay(initial_learning_rate=1, decay_steps=2, decay_rate=1, staircase=true)",
     {1, 1, 0.5, 0.5, 0.33333333, 0.33333333, 0.25, 0.25}},
    {"PolynomialDecay(initial_learning_rate=1, decay_steps=4, end_learning_rate=0.2, power=2)",
     {1, 0.65, 0.4, 0.25, 0.2, 0.2, 0.2, 0.2}},
    {"PolynomialDecay(initial_learning_rate=1, decay_steps=2, end_learning_rate=0, cycle=True)",
     {1, 0.5, 0, 0.25, 0, 0.16666667, 0, 0.125}},
    {"CosineDecay(initial_learning_rate=0.1, decay_steps=4, alpha=0.1)",
     {0.1, 0.08681981, 0.055, 0.02318019, 0.01, 0.01, 0.01, 0.01}},
    {"CosineDecay(initial_learning_rate=0.1, decay_steps=4, warmup_steps=2, warmup_target=0.2)",
     {0.1, 0.15, 0.2, 0.17071068, 0.1, 0.02928932, 0, 0}},
    {"CosineDecayRestarts(initial_learning_rate=1, first_decay_steps=1, m_mul=0.5)",
     {1, 0.5, 0.25, 0.25, 0.21338835, 0.125, 0.03661165, 0.125}},
    {"CosineDecayRestarts(initial_learning_rate=1, first_decay_steps=2, t_mul=1, alpha=0.5)",
     {1, 0.75, 1, 0.75, 1, 0.75, 1, 0.75}},
    {"PiecewiseConstantDecay(boundaries=[1, 4], values=[0.5, 0.25, 0.125])",
     {0.5, 0.5, 0.25, 0.25, 0.25, 0.125, 0.125, 0.125}},
};

static void test_schedule(void **state)
{
    const struct schedule *schedule = *state;
    char text[200];
    (void)snprintf(text, sizeof text, "SGD(learning_rate=%s)", schedule->text);
    trained t = small(text);
    double w = 1;
    for (int i = 0; i < most_rates; i++) {
        assert_true(fabs(cn__optimizer_learning_rate(t.optimizer) - schedule->rates[i]) < 1e-7);
        w -= schedule->rates[i];
        step_to(&t, 1, 0, w, -2);
    }
    assert_int_equal(cn__optimizer_set_learning_rate(t.optimizer, 0.1), CN_ERROR_ARGUMENT);
    assert_int_equal(cn__optimizer_variable_count(t.optimizer), 1);
    release(&t);
}

/* ---- what changes a step ---- */

static void test_clips(void **state)
{
    (void)state;
    const cn_shape shape = cn_shape_of(1);
    static const float zero[] = {0};
    static const struct {
        const char *text;
        double first, second;
    } clips[] = {{"SGD(learning_rate=1, clipnorm=2)", -2, -2},
                 {"SGD(learning_rate=1, clipnorm=0)", -3, -4},
                 {"SGD(learning_rate=1, clipnorm=3.5)", -3, -3.5},
                 {"SGD(learning_rate=1, global_clipnorm=1)", -0.6, -0.8},
                 {"SGD(learning_rate=1, global_clipnorm=6)", -3, -4},
                 {"SGD(learning_rate=1, clipvalue=3.25)", -3, -3.25},
                 {"SGD(lr=1, clipnorm=1, version=2)", -0.6, -0.8},
                 {"SGD(lr=1, clipnorm=2.5, clipvalue=1.75, version=1)", -1.5, -1.75}};
    for (size_t i = 0; i < CN__COUNT(clips); i++) {
        cn_array *arrays[] = {cn_array_from(&shape, zero), cn_array_from(&shape, zero)};
        trained t = train(clips[i].text, 2, arrays, NULL);
        gradient(&t, 0)[0] = 3;
        gradient(&t, 1)[0] = 4;
        cn__optimizer_step(t.optimizer, NULL);
        assert_float_equal(weight(&t, 0)[0], (float)clips[i].first, 1e-6f);
        assert_float_equal(weight(&t, 1)[0], (float)clips[i].second, 1e-6f);
        release(&t);
    }
}

static void test_averages(void **state)
{
    (void)state;
    trained t = small("SGD(learning_rate=1, use_ema=True, ema_momentum=0.75)");
    cn__optimizer_finish(t.optimizer); /* before any step there is no average */
    assert_float_equal(weight(&t, 0)[0], 1, 0);
    step_to(&t, 0, 0, 1, -2);
    step_to(&t, -4, 0, 5, -2);
    uint64_t version = t.variables[0]->version;
    cn__optimizer_finish(t.optimizer);
    assert_float_equal(weight(&t, 0)[0], 2, 1e-6f);
    assert_true(t.variables[0]->version != version);
    release(&t);
    t = small("SGD(learning_rate=1, use_ema=True, ema_momentum=0.75, ema_overwrite_frequency=2)");
    step_to(&t, 0, 0, 1, -2);
    step_to(&t, -4, 0, 2, -2);
    release(&t);
}

static void test_accumulation(void **state)
{
    (void)state;
    trained t = small("Adam(learning_rate=0.1, gradient_accumulation_steps=3)");
    step_to(&t, 1, 1, 1, -2);
    step_to(&t, 1, -1, 1, -2);
    step_to(&t, 4, 1.5, 0.9, -2.1); /* Adam's first step is as long as the rate */
    assert_int_equal(cn__optimizer_iterations(t.optimizer), 3);
    trained alone = small("Adam(learning_rate=0.1)");
    step_to(&alone, 2, 0.5, 0.9, -2.1);
    gradient(&alone, 0)[0] = gradient(&t, 0)[0] = -1;
    gradient(&alone, 0)[1] = gradient(&t, 0)[1] = 2;
    cn__optimizer_step(alone.optimizer, NULL);
    const double next[] = {(double)weight(&alone, 0)[0], (double)weight(&alone, 0)[1]};
    step_to(&t, -1, 2, 0.9, -2.1);
    step_to(&t, -1, 2, 0.9, -2.1);
    step_to(&t, -1, 2, next[0], next[1]);
    release(&alone);
    release(&t);
}

/* By hand from the formulas of Keras 1.2.2 and 2.3.1. */
static void test_older_versions(void **state)
{
    (void)state;
    trained t = small("SGD(lr=1, decay=1, version=1)");
    step_to(&t, 1, 0, 0, -2);
    step_to(&t, 1, 0, -0.5, -2);
    release(&t);
    t = small("RMSprop(lr=0.1, rho=0.75, epsilon=0.5, version=2)");
    step_to(&t, 1, 0, 0.9, -2);
    release(&t);
    t = small("RMSprop(learning_rate=0.1, rho=0.75, epsilon=0.75)");
    step_to(&t, 1, 0, 0.9, -2);
    release(&t);
    t = small("Adagrad(lr=0.1, epsilon=1, version=1)");
    step_to(&t, 1, 0, 0.95, -2);
    release(&t);
    t = small("Adagrad(learning_rate=0.1, epsilon=1, initial_accumulator_value=2)");
    step_to(&t, 1, 0, 0.95, -2);
    release(&t);
    t = small("Nadam(version=1)");
    assert_float_equal(cn__optimizer_learning_rate(t.optimizer), 0.002, 1e-9);
    release(&t);
}

static void test_constraints_and_rate(void **state)
{
    (void)state;
    static const float values[] = {3, 4};
    const cn_shape shape = cn_shape_of(2);
    cn_array *array = cn_array_from(&shape, values);
    trained t = train("SGD(learning_rate=1)", 1, &array, "MaxNorm(max_value=2.5)");
    step_to(&t, 0, 0, 1.5, 2);
    assert_int_equal(cn__optimizer_set_learning_rate(t.optimizer, 0.5), CN_OK);
    assert_float_equal(cn__optimizer_learning_rate(t.optimizer), 0.5, 0);
    step_to(&t, 1, 2, 1, 1);
    assert_int_equal(cn__optimizer_set_learning_rate(t.optimizer, (double)NAN), CN_ERROR_ARGUMENT);
    release(&t);
}

/* Lamb steps as far as the weight is long, Adafactor by a part of its size. */
static void test_by_size(void **state)
{
    (void)state;
    trained t = small("Lamb(learning_rate=0.1)");
    double far =
        0.1 * sqrt(5) / sqrt(2); /* the direction of the first step is the gradient's signs */
    step_to(&t, 3, -0.5, 1 - far, -2 + far);
    release(&t);
    t = small("Adafactor(learning_rate=0.1)");
    double part = 0.1 * sqrt(5.0 / 2);
    step_to(&t, 3, -0.5, 1 - part, -2 + part);
    release(&t);
}

/* A matrix: means of rows (1, 9) and columns (5, 5), and none over all (5). */
static void test_adafactor_matrix(void **state)
{
    (void)state;
    static const float values[] = {1, 1, 1, 1}, slopes[] = {1, -1, 3, 3};
    const cn_shape shape = cn_shape_of(2, 2);
    cn_array *array = cn_array_from(&shape, values);
    trained t = train("adafactor(learning_rate=0.25)", 1, &array, NULL);
    memcpy(gradient(&t, 0), slopes, sizeof slopes);
    cn__optimizer_step(t.optimizer, NULL);
    for (int i = 0; i < 4; i++)
        assert_float_equal(weight(&t, 0)[i], 1 - copysignf(0.25f, slopes[i]), 1e-6f);
    cn__optimizer_variable v;
    static const float rows[] = {1, 9}, columns[] = {5, 5};
    assert_int_equal(cn__optimizer_variable_count(t.optimizer), 5);
    for (int i = 0; i < 2; i++) {
        cn__optimizer_variable_at(t.optimizer, 2 + i, &v);
        assert_string_equal(v.name, "kernel");
        assert_int_equal(cn_shape_count(&v.shape), 2);
        compare("slot", v.values, i == 0 ? rows : columns, 2);
    }
    release(&t);
}

/* ---- the state ---- */

static void check_names(const char *optimizer, const char *expected)
{
    static const float values[6] = {0};
    const cn_shape matrix = cn_shape_of(2, 3), vector = cn_shape_of(3);
    cn_array *arrays[] = {cn_array_from(&matrix, values), cn_array_from(&vector, values)};
    trained t = train(optimizer, 2, arrays, NULL);
    char all[1000] = "";
    for (int i = 0; i < cn__optimizer_variable_count(t.optimizer); i++) {
        cn__optimizer_variable v;
        cn__optimizer_variable_at(t.optimizer, i, &v);
        assert_int_equal(v.is_iteration, i == 0);
        assert_true(v.is_iteration || v.is_rate || v.values);
        (void)snprintf(all + strlen(all), sizeof all - strlen(all), "%s%s:%d", i ? " " : "", v.name,
                       (int)cn_shape_count(&v.shape));
    }
    assert_string_equal(all, expected);
    release(&t);
}

/* The orders and names of files that Keras 3.15 wrote. */
static void test_variables(void **state)
{
    (void)state;
    check_names("sgd", "iteration:1 learning_rate:1");
    check_names("SGD(learning_rate=ExponentialDecay(initial_learning_rate=1, decay_steps=1, "
                "decay_rate=1), momentum=0.5)",
                "iteration:1 dense_kernel_momentum:6 dense_bias_momentum:3");
    check_names("Adam(amsgrad=True)",
                "iteration:1 learning_rate:1 dense_kernel_momentum:6 dense_kernel_velocity:6 "
                "dense_bias_momentum:3 dense_bias_velocity:3 dense_kernel_velocity_hat:6 "
                "dense_bias_velocity_hat:3");
    check_names("RMSprop(momentum=0.5, centered=True)",
                "iteration:1 learning_rate:1 dense_kernel_velocity:6 dense_bias_velocity:3 "
                "dense_kernel_momentum:6 dense_bias_momentum:3 dense_kernel_average_gradient:6 "
                "dense_bias_average_gradient:3");
    check_names("Nadam", "iteration:1 learning_rate:1 dense_kernel_momentum:6 "
                         "dense_kernel_velocity:6 dense_bias_momentum:3 dense_bias_velocity:3 "
                         "variable:1");
    check_names("SGD(use_ema=True, gradient_accumulation_steps=2, momentum=0.5)",
                "iteration:1 learning_rate:1 dense_kernel_average:6 "
                "dense_kernel_gradient_accumulator:6 dense_bias_average:3 "
                "dense_bias_gradient_accumulator:3 dense_kernel_momentum:6 dense_bias_momentum:3");
    check_names("Adafactor", "iteration:1 learning_rate:1 kernel:2 kernel:3 "
                             "dense_kernel_velocity:6 bias:1 bias:1 dense_bias_velocity:3");
}

static void copy_state(const trained *from, const trained *to)
{
    cn__optimizer_set_iterations(to->optimizer, cn__optimizer_iterations(from->optimizer));
    for (int i = 0; i < cn__optimizer_variable_count(from->optimizer); i++) {
        cn__optimizer_variable a, b;
        cn__optimizer_variable_at(from->optimizer, i, &a);
        cn__optimizer_variable_at(to->optimizer, i, &b);
        if (a.values)
            memcpy(b.values, a.values, (size_t)cn_shape_count(&a.shape) * sizeof(float));
    }
    memcpy(weight(to, 0), weight(from, 0), 2 * sizeof(float));
}

/* An optimizer with the state of another goes on as that does. */
static void test_state_is_whole(void **state)
{
    (void)state;
    for (size_t i = 0; i < CN__COUNT(goldens); i++) {
        trained a = small(goldens[i].optimizer), b = small(goldens[i].optimizer);
        for (int step = 0; step < 5; step++) {
            gradient(&a, 0)[0] = gradient(&b, 0)[0] = 0.5f;
            gradient(&a, 0)[1] = gradient(&b, 0)[1] = (float)step - 2.5f;
            cn__optimizer_step(a.optimizer, NULL);
            if (step < 3)
                copy_state(&a, &b);
            else
                cn__optimizer_step(b.optimizer, NULL);
        }
        assert_memory_equal(weight(&a, 0), weight(&b, 0), 2 * sizeof(float));
        release(&a);
        release(&b);
    }
}

static void test_texts(void **state)
{
    (void)state;
    static const char *const texts[][2] = {{"adam", "Adam"},
                                           {" sgd ( lr=0.5 )", "SGD( lr=0.5 )"},
                                           {"RMSprop(rho=None)", "RMSprop(rho=None)"}};
    for (size_t i = 0; i < CN__COUNT(texts); i++) {
        cn__optimizer *o = optimizer_of(texts[i][0]);
        assert_string_equal(cn__optimizer_text(o), texts[i][1]);
        cn__optimizer_free(o);
    }
    cn__optimizer *o = optimizer_of("Adam(learning_rate=0.009999999776482582)");
    assert_true(cn__optimizer_learning_rate(o) == 0.009999999776482582);
    cn__optimizer_free(o);
}

/* ---- threads, errors, memory ---- */

static const char *under_test;

/* Three steps on weights of more than one task: 40000 and 20 numbers. */
static void compute_steps(void *context, float *out, cn_pool *pool)
{
    const float *numbers = context;
    const cn_shape large = cn_shape_of(200, 200), few = cn_shape_of(20);
    cn_array *arrays[] = {cn_array_from(&large, numbers), cn_array_from(&few, numbers)};
    trained t = train(under_test, 2, arrays, "MinMaxNorm(min_value=1, max_value=3, rate=0.5)");
    for (int step = 1; step <= 3; step++) {
        for (int64_t i = 0; i < 40000; i++)
            gradient(&t, 0)[i] = numbers[i] * (float)step - 0.25f;
        memcpy(gradient(&t, 1), numbers + step, 20 * sizeof(float));
        cn__optimizer_step(t.optimizer, pool);
    }
    memcpy(out, weight(&t, 0), 40000 * sizeof *out);
    memcpy(out + 40000, weight(&t, 1), 20 * sizeof *out);
    release(&t);
}

static void test_threads(void **state)
{
    (void)state;
    static const char *const optimizers[] = {
        "Adam(global_clipnorm=1, use_ema=True, ema_overwrite_frequency=2, weight_decay=0.1)",
        "RMSprop(centered=True, momentum=0.5, clipnorm=1)",
        "Nadam(gradient_accumulation_steps=2)",
        "Lamb",
        "Adafactor",
        "Ftrl(learning_rate_power=-0.7)"};
    float *numbers = test_floats(40000);
    for (size_t i = 0; i < CN__COUNT(optimizers); i++) {
        under_test = optimizers[i];
        assert_same_bits(under_test, compute_steps, numbers, 40020);
    }
    free(numbers);
}

static const char *const errors[][2] = {
    {"adem",
     "there is no optimizer \"adem\"; there are SGD, RMSprop, Adagrad, Adadelta, Adam, AdamW, "
     "Adamax, Nadam, Ftrl, Lion, Lamb and Adafactor"},
    {"SGD(rho=0.5)", "the optimizer SGD has no argument \"rho\""},
    {"SGD(clipnorm=1, clipvalue=2)",
     "SGD: only one of clipnorm, clipvalue and global_clipnorm can be set, not 2"},
    {"Adam(beta_1=2)", "Adam: beta_1 must be a number from 0 to 1, not 2"},
    {"Adam(epsilon=small)", "Adam: epsilon must be a number from 0 to inf, not small"},
    {"SGD(version=4)", "SGD: version must be a number from 1 to 3, not 4"},
    {"SGD(version=1.5)", "SGD: version must be a whole number, not 1.5"},
    {"SGD(learning_rate=-1)", "the learning rate must be a number of at least 0, not -1"},
    {"SGD(loss_scale_factor=8)", "SGD: loss_scale_factor is for numbers of 16 bits; leave it out"},
    {"SGD(learning_rate=Decay(a=1))",
     "there is no learning rate schedule \"Decay\"; there are ExponentialDecay, InverseTimeDecay, "
     "PolynomialDecay, CosineDecay, CosineDecayRestarts and PiecewiseConstantDecay"},
    {"SGD(learning_rate=CosineDecay(initial_learning_rate=1))",
     "CosineDecay: decay_steps must be a number above 0, not None"},
    {"SGD(learning_rate=CosineDecay(initial_learning_rate=1, decay_steps=0))",
     "CosineDecay: decay_steps must be a number above 0, not 0"},
    {"SGD(learning_rate=CosineDecay(steps=1))",
     "the schedule CosineDecay has no argument \"steps\""},
    {"SGD(learning_rate=PiecewiseConstantDecay(boundaries=[1, 2], values=[1, 2]))",
     "PiecewiseConstantDecay: there must be boundaries, and one value more than there are of them; "
     "2 "
     "boundaries and 2 values are given"},
    {"SGD(learning_rate=PiecewiseConstantDecay(boundaries=[1, b], values=[1, 2]))",
     "PiecewiseConstantDecay: boundaries must be a number or a list such as [0, 1], not [1, b]"},
};

static void test_errors(void **state)
{
    (void)state;
    for (size_t i = 0; i < CN__COUNT(errors); i++) {
        assert_null(cn__optimizer_new(errors[i][0]));
        assert_string_equal(cn_error_message(), errors[i][1]);
    }
    const cn_shape shape = cn_shape_of(2);
    cn__variable *variable = cn__variable_new(cn_array_new(CN_FLOAT32, &shape));
    cn__optimizer *o = optimizer_of("sgd");
    const cn__trained weights = {"dense/kernel", variable, "MaxNorm(axis=1)"};
    assert_int_equal(cn__optimizer_build(o, 1, &weights), CN_ERROR_ARGUMENT);
    assert_string_equal(cn_error_message(),
                        "dense/kernel: MaxNorm: axis must be a whole number from -1 "
                        "to 0, as the weight has 1 axes, not 1");
    cn__optimizer_free(o);
    cn__optimizer_free(NULL);
    cn__variable_release(variable);
}

/* Whichever allocation fails, the failure is told and nothing is lost; a step allocates nothing. */
static void test_memory(void **state)
{
    (void)state;
    counter c;
    bool done = false;
    for (int k = 0; !done && k < 100; k++) {
        fail_at(&c, -1);
        const cn_shape shape = cn_shape_of(30, 3);
        cn__variable *variable = cn__variable_new(cn_array_new(CN_FLOAT32, &shape));
        const cn__trained weight = {"dense/kernel", variable, "MaxNorm(axis=[0, 1])"};
        c.until_failure = k;
        cn__optimizer *o = cn__optimizer_new(
            "Adam(use_ema=True, global_clipnorm=1, learning_rate=PiecewiseConstantDecay("
            "boundaries=[1], values=[1, 2]))");
        done = o && cn__optimizer_build(o, 1, &weight) == CN_OK;
        assert_int_equal(cn_error_status(), done ? CN_OK : CN_ERROR_MEMORY);
        c.until_failure = 0;
        if (done)
            cn__optimizer_step(o, NULL);
        assert_int_equal(cn_error_status(), done ? CN_OK : CN_ERROR_MEMORY);
        cn__optimizer_free(o);
        cn__variable_release(variable);
        assert_int_equal(c.alive, 0);
    }
    assert_true(done);
}

int main(void)
{
    static const struct CMUnitTest others[] = {
        cmocka_unit_test(test_clips),
        cmocka_unit_test(test_averages),
        cmocka_unit_test(test_accumulation),
        cmocka_unit_test(test_older_versions),
        cmocka_unit_test(test_constraints_and_rate),
        cmocka_unit_test(test_by_size),
        cmocka_unit_test(test_adafactor_matrix),
        cmocka_unit_test(test_variables),
        cmocka_unit_test(test_state_is_whole),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_errors),
        cmocka_unit_test_teardown(test_memory, restore_allocator),
    };
    enum { first = CN__COUNT(goldens), second = first + CN__COUNT(schedules) };
    struct CMUnitTest tests[second + CN__COUNT(others)];
    test_seed();
    for (size_t i = 0; i < CN__COUNT(goldens); i++)
        tests[i] = (struct CMUnitTest){goldens[i].name, test_golden, NULL, NULL,
                                       (void *)(uintptr_t)&goldens[i]};
    for (size_t i = 0; i < CN__COUNT(schedules); i++)
        tests[first + i] = (struct CMUnitTest){schedules[i].text, test_schedule, NULL, NULL,
                                               (void *)(uintptr_t)&schedules[i]};
    memcpy(tests + second, others, sizeof others);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
