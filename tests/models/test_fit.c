/* cn_fit(): what callbacks may do while it runs, weights of samples and classes, what is held out,
 * and what it refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "cornu/cornu.h"
#include "unit/failing.h"

#include <math.h>
#include <string.h>

enum { samples = 10 };

static counter memory;

static int count_memory(void **state)
{
    (void)state;
    fail_at(&memory, -1);
    return 0;
}

static int check_memory(void **state)
{
    assert_int_equal(memory.alive, 0);
    return restore_allocator(state);
}

static void assert_ok(cn_status status)
{
    if (status != CN_OK)
        fail_msg("%s", cn_error_message());
}

static void assert_fails(cn_status status, const char *part)
{
    assert_int_not_equal(status, CN_OK);
    if (strstr(cn_error_message(), part) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", part, cn_error_message());
    cn_clear_error();
}

/* What is computed of a few float32 numbers below 1. */
static void assert_near(double value, double wanted)
{
    if (!(fabs(value - wanted) < 1e-6))
        fail_msg("%.9g, not %.9g", value, wanted);
}

/* ---- a model and its data ---- */

typedef struct fixture {
    cn_model *model;
    cn_array *x, *y, *classes, *weights;
} fixture;

static cn_array *numbers(int64_t rows, int64_t columns, int64_t step)
{
    const cn_shape shape = cn_shape_of(rows, columns);
    cn_array *array = cn_array_new(CN_FLOAT32, &shape);
    assert_non_null(array);
    for (int64_t i = 0; i < rows * columns; i++)
        cn_array_floats(array)[i] = (float)(i * step % 11) / 11 - 0.5F;
    return array;
}

/* Classes 0, 1, 0, 1 ...; a sample of class 1 weighs 3. */
static fixture make(const char *loss)
{
    fixture f = {.x = numbers(samples, 4, 7), .y = numbers(samples, 2, 5)};
    const cn_shape shape = cn_shape_of(samples);
    f.classes = cn_array_new(CN_INT32, &shape);
    f.weights = cn_array_new(CN_FLOAT32, &shape);
    assert_non_null(f.classes);
    assert_non_null(f.weights);
    for (int i = 0; i < samples; i++) {
        cn_array_ints(f.classes)[i] = i % 2;
        cn_array_floats(f.weights)[i] = i % 2 == 1 ? 3 : 1;
    }
    cn_set_random_seed(3);
    f.model = cn_sequential(cn_input({4}), cn_dense(3, .activation = "tanh"), cn_dense(2));
    assert_non_null(f.model);
    assert_ok(cn_compile(f.model, .optimizer = "SGD(learning_rate=0.5)", .loss = {loss},
                         .metrics = {strcmp(loss, "mse") == 0 ? "mae" : "accuracy"}));
    return f;
}

static void release(fixture *f)
{
    cn_model_free(f->model);
    cn_array_free(f->x);
    cn_array_free(f->y);
    cn_array_free(f->classes);
    cn_array_free(f->weights);
}

/* `count` rows from `first` on. */
static cn_array *rows(const cn_array *array, int64_t first, int64_t count)
{
    cn_shape shape = *cn_array_shape(array);
    int64_t each = cn_array_count(array) / shape.dim[0];
    shape.dim[0] = count;
    cn_array *part = cn_array_new(CN_FLOAT32, &shape);
    assert_non_null(part);
    memcpy(cn_array_floats(part), cn_array_const_floats(array) + first * each,
           (size_t)(count * each) * sizeof(float));
    return part;
}

static void assert_same_weights(const cn_model *a, const cn_model *b)
{
    for (int i = 0; i < cn_model_weight_count(a); i++) {
        const cn_array *first = cn_model_weight(a, i), *second = cn_model_weight(b, i);
        assert_memory_equal(cn_array_const_floats(first), cn_array_const_floats(second),
                            (size_t)cn_array_count(first) * sizeof(float));
    }
}

/* Both have learnt the same, and told the same. */
static void assert_same(const fixture *a, const fixture *b)
{
    const cn_history *first = cn_model_history(a->model), *second = cn_model_history(b->model);
    assert_same_weights(a->model, b->model);
    assert_int_equal(cn_history_epochs(first), cn_history_epochs(second));
    assert_int_equal(cn_history_count(first), cn_history_count(second));
    for (int i = 0; i < cn_history_count(first); i++) {
        const char *name = cn_history_name(first, i);
        assert_memory_equal(cn_history_values(first, name), cn_history_values(second, name),
                            (size_t)cn_history_epochs(first) * sizeof(double));
    }
}

/* ---- callbacks that use the model ---- */

static cn_status judge(void *context, cn_event event, cn_training *training)
{
    const fixture *f = context;
    cn_logs logs;
    if (event != CN_BATCH_END && event != CN_EPOCH_END)
        return CN_OK;
    cn_status status =
        cn_model_evaluate(training->model, cn_arrays(f->x), cn_arrays(f->y), 0, &logs, NULL);
    if (status == CN_OK && !(cn_logs_get(logs, "loss") > cn_logs_get(training->logs, "loss")))
        return CN_ERROR_ARGUMENT; /* neither the training's number nor those of other data */
    return status;
}

/* Sums and logs of the training stay what they are. */
static void test_evaluating_in_a_callback(void **state)
{
    (void)state;
    fixture plain = make("mse"), judged = make("mse"), far = make("mse");
    for (int i = 0; i < 2 * samples; i++)
        cn_array_floats(far.y)[i] += 100;
    assert_ok(
        cn_fit(plain.model, cn_arrays(plain.x), cn_arrays(plain.y), .epochs = 3, .batch_size = 4));
    assert_ok(cn_fit(judged.model, cn_arrays(judged.x), cn_arrays(judged.y), .epochs = 3,
                     .batch_size = 4,
                     .callbacks = cn_callbacks(cn_callback(.run = judge, .context = &far))));
    assert_same(&plain, &judged);
    release(&plain);
    release(&judged);
    release(&far);
}

static cn_status compile_anew(void *context, cn_event event, cn_training *training)
{
    (void)context;
    return event == CN_EPOCH_END ? cn_compile(training->model, .loss = {"mae"}) : CN_OK;
}

static cn_status fit_within(void *context, cn_event event, cn_training *training)
{
    const fixture *f = context;
    return event == CN_BATCH_END
               ? cn_fit(training->model, cn_arrays(f->x), cn_arrays(f->y), .epochs = 1)
               : CN_OK;
}

static void test_training_within_training(void **state)
{
    (void)state;
    fixture f = make("mse");
    assert_fails(cn_fit(f.model, cn_arrays(f.x), cn_arrays(f.y),
                        .callbacks = cn_callbacks(cn_callback(.run = compile_anew))),
                 "is being trained");
    assert_fails(cn_fit(f.model, cn_arrays(f.x), cn_arrays(f.y),
                        .callbacks = cn_callbacks(cn_callback(.run = fit_within, .context = &f))),
                 "is being trained");
    assert_ok(cn_fit(f.model, cn_arrays(f.x), cn_arrays(f.y), .epochs = 1));
    release(&f);
}

static void count_release(void *context)
{
    ++*(int *)context;
}

static cn_status do_nothing(void *context, cn_event event, cn_training *training)
{
    (void)context;
    (void)event;
    (void)training;
    return CN_OK;
}

static void test_callbacks_are_taken_over(void **state)
{
    (void)state;
    fixture f = make("mse");
    int released = 0;
    assert_fails(
        cn_fit(f.model, cn_arrays(f.x), cn_arrays(f.y), .epochs = -1,
               .callbacks = cn_callbacks(
                   cn_callback(.run = do_nothing, .release = count_release, .context = &released))),
        "epochs");
    assert_int_equal(released, 1);
    release(&f);
}

/* ---- weights ---- */

static void test_class_weight(void **state)
{
    (void)state;
    static const float weights[] = {1, 3};
    const char *loss = "SparseCategoricalCrossentropy(from_logits=True)";
    fixture by_class = make(loss), by_sample = make(loss), by_none = make(loss);
    assert_ok(cn_fit(by_class.model, cn_arrays(by_class.x), cn_arrays(by_class.classes),
                     .batch_size = samples, .class_weight = weights, .class_count = 2));
    assert_ok(cn_fit(by_sample.model, cn_arrays(by_sample.x), cn_arrays(by_sample.classes),
                     .batch_size = samples, .sample_weight = cn_arrays(by_sample.weights)));
    assert_ok(cn_fit(by_none.model, cn_arrays(by_none.x), cn_arrays(by_none.classes),
                     .batch_size = samples));
    assert_same(&by_class, &by_sample);
    assert_true(*cn_history_values(cn_model_history(by_class.model), "loss") >
                *cn_history_values(cn_model_history(by_none.model), "loss") + 0.25);
    assert_fails(cn_fit(by_class.model, cn_arrays(by_class.x), cn_arrays(by_class.classes),
                        .class_weight = weights, .class_count = 1),
                 "no class_weight for class 1");
    assert_fails(cn_fit(by_class.model, cn_arrays(by_class.x), ((cn_array_list){0}),
                        .class_weight = weights, .class_count = 2),
                 "there are 1 arrays");
    release(&by_class);
    release(&by_sample);
    release(&by_none);
}

/* By hand: the absolute errors of both samples' two values, all alike and by their weights. */
static void test_weighted_metrics(void **state)
{
    (void)state;
    fixture f = make("mse");
    cn_array *x = rows(f.x, 0, 2), *y = rows(f.y, 0, 2), *p = NULL,
             *weights = rows(f.weights, 0, 2);
    assert_ok(cn_compile(f.model, .loss = {"mse"}, .metrics = {"mae", "mae"},
                         .weighted_metrics = {"mae"}));
    assert_ok(cn_model_predict(f.model, (const cn_array *[]){x}, &p, 0, NULL));
    double errors[2] = {0};
    for (int i = 0; i < 4; i++)
        errors[i / 2] +=
            fabs((double)cn_array_const_floats(p)[i] - (double)cn_array_const_floats(y)[i]) / 2;
    cn_logs logs;
    assert_ok(cn_model_train_on_batch(f.model, cn_arrays(x), cn_arrays(y), cn_arrays(weights),
                                      &logs, NULL));
    assert_int_equal(logs.count, 4);
    assert_near(cn_logs_get(logs, "mae"), (errors[0] + errors[1]) / 2);
    assert_near(cn_logs_get(logs, "mae_1"), (errors[0] + errors[1]) / 2);
    assert_near(cn_logs_get(logs, "weighted_mae"), (errors[0] + 3 * errors[1]) / 4);
    cn_array_free(x);
    cn_array_free(y);
    cn_array_free(p);
    cn_array_free(weights);
    release(&f);
}

/* ---- batches, and what is held out ---- */

static void test_batches_larger_than_all(void **state)
{
    (void)state;
    fixture f = make("mse"), whole = make("mse");
    assert_ok(cn_fit(f.model, cn_arrays(f.x), cn_arrays(f.y), .batch_size = INT64_MAX,
                     .sample_weight = cn_arrays(f.weights)));
    assert_ok(cn_fit(whole.model, cn_arrays(whole.x), cn_arrays(whole.y), .batch_size = samples,
                     .sample_weight = cn_arrays(whole.weights)));
    assert_same(&f, &whole);
    release(&f);
    release(&whole);
}

static void test_validation_split(void **state)
{
    (void)state;
    fixture split = make("mse"), given = make("mse");
    cn_array *x[2] = {rows(given.x, 0, 7), rows(given.x, 7, 3)};
    cn_array *y[2] = {rows(given.y, 0, 7), rows(given.y, 7, 3)};
    assert_ok(cn_fit(split.model, cn_arrays(split.x), cn_arrays(split.y), .epochs = 2,
                     .batch_size = 4, .validation_split = 0.25));
    assert_ok(cn_fit(given.model, cn_arrays(x[0]), cn_arrays(y[0]), .epochs = 2, .batch_size = 4,
                     .validation_x = cn_arrays(x[1]), .validation_y = cn_arrays(y[1])));
    assert_same(&split, &given);
    assert_int_equal(cn_history_count(cn_model_history(split.model)), 4);
    assert_fails(
        cn_fit(split.model, cn_arrays(split.x), cn_arrays(split.y), .validation_split = 0.99),
        "leaves none");
    for (int i = 0; i < 2; i++) {
        cn_array_free(x[i]);
        cn_array_free(y[i]);
    }
    release(&split);
    release(&given);
}

static void test_no_samples(void **state)
{
    (void)state;
    fixture f = make("mse");
    cn_array *x = rows(f.x, 0, 0), *y = rows(f.y, 0, 0);
    assert_fails(cn_fit(f.model, cn_arrays(x), cn_arrays(y), .epochs = 1), "no samples");
    assert_fails(cn_fit(f.model, cn_arrays(f.x), cn_arrays(f.y), .validation_x = cn_arrays(x),
                        .validation_y = cn_arrays(y)),
                 "no samples");
    assert_fails(cn_model_evaluate(f.model, cn_arrays(x), cn_arrays(y), 0, NULL, NULL),
                 "no samples");
    cn_array_free(x);
    cn_array_free(y);
    release(&f);
}

static void test_many_outputs(void **state)
{
    (void)state;
    cn_tensor *x = cn_input_tensor({4}), *outputs[CN_MOST_LOSSES + 1];
    for (int i = 0; i <= CN_MOST_LOSSES; i++)
        outputs[i] = cn_apply(cn_dense(1), x);
    cn_model *model = cn_model_new(cn_tensors(x), (cn_tensor_list){CN_MOST_LOSSES + 1, outputs});
    assert_non_null(model);
    assert_fails(cn_compile(model, .loss = {"mse"}), "at most 16 outputs");
    assert_false(cn_model_is_compiled(model));
    cn_model_free(model);
}

/* ---- the gradients' hook ---- */

static cn_status halve(float *gradients, int64_t count, void *context)
{
    (void)context;
    for (int64_t i = 0; i < count; i++)
        gradients[i] /= 2;
    return CN_OK;
}

static cn_status refuse(float *gradients, int64_t count, void *context)
{
    (void)gradients;
    (void)count;
    (void)context;
    return CN_ERROR_IO;
}

static void test_gradient_hook(void **state)
{
    (void)state;
    fixture hooked = make("mse"), slow = make("mse"), idle = make("mse");
    assert_ok(cn_model_set_gradient_hook(hooked.model, halve, NULL));
    assert_ok(cn_model_set_learning_rate(slow.model, 0.25));
    fixture *both[] = {&hooked, &slow};
    for (int i = 0; i < 2; i++)
        assert_ok(
            cn_fit(both[i]->model, cn_arrays(both[i]->x), cn_arrays(both[i]->y), .epochs = 1));
    assert_same(&hooked, &slow);
    assert_ok(cn_model_set_gradient_hook(idle.model, refuse, NULL));
    assert_int_equal(cn_fit(idle.model, cn_arrays(idle.x), cn_arrays(idle.y), .epochs = 1),
                     CN_ERROR_IO);
    assert_fails(cn_error_status(), "the gradient hook fails");
    fixture untrained = make("mse");
    assert_same_weights(idle.model, untrained.model);
    release(&hooked);
    release(&slow);
    release(&idle);
    release(&untrained);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, count_memory, check_memory)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_evaluating_in_a_callback),
        TEST(test_training_within_training),
        TEST(test_callbacks_are_taken_over),
        TEST(test_class_weight),
        TEST(test_weighted_metrics),
        TEST(test_batches_larger_than_all),
        TEST(test_validation_split),
        TEST(test_no_samples),
        TEST(test_many_outputs),
        TEST(test_gradient_hook),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
