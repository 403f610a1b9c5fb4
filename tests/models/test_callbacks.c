/* Callbacks against what Keras 3's rules give, worked out by hand; logs, histories and what
 * checkpoints keep of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "models/callback.h"
#include "models/history.h"
#include "unit/failing.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

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

static void assert_message(const char *part)
{
    if (strstr(cn_error_message(), part) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", part, cn_error_message());
}

static void assert_ok(cn_status status)
{
    if (status != CN_OK)
        fail_msg("%s", cn_error_message());
}

/* ---- a model and its training ---- */

typedef struct fixture {
    cn_model *model;
    cn_layer *layers[2]; /* one in the model, one in a model within it */
    cn_training training;
} fixture;

static fixture make(void)
{
    fixture f = {0};
    cn_model *inner = cn_sequential(cn_input({2}), cn_dense(2, .name = "inner"));
    f.layers[1] = cn_model_layer(inner, 0);
    f.model = cn_sequential(cn_input({3}), cn_dense(2, .name = "outer"), cn_model_as_layer(inner));
    f.layers[0] = cn_model_layer(f.model, 0);
    assert_non_null(f.model);
    assert_ok(cn_compile(f.model, .optimizer = "SGD(learning_rate=0.125)", .loss = {"mse"}));
    f.training = (cn_training){.model = f.model, .epochs = 100, .batches = 1};
    return f;
}

static float weight_value(float mark, int layer, int weight, int64_t element)
{
    return mark + (float)(100 * layer + 10 * weight) + (float)element;
}

/* Gives all weights different values that follow from `mark`. */
static void set_weights(const fixture *f, float mark)
{
    for (int l = 0; l < 2; l++)
        for (int w = 0; w < 2; w++) {
            cn_array *weight = cn_array_copy(cn_layer_weight(f->layers[l], w));
            for (int64_t i = 0; i < cn_array_count(weight); i++)
                cn_array_floats(weight)[i] = weight_value(mark, l, w, i);
            assert_ok(cn_layer_set_weight(f->layers[l], w, weight));
            cn_array_free(weight);
        }
}

static void assert_weights(const fixture *f, float mark)
{
    for (int l = 0; l < 2; l++)
        for (int w = 0; w < 2; w++) {
            const cn_array *weight = cn_layer_weight(f->layers[l], w);
            for (int64_t i = 0; i < cn_array_count(weight); i++)
                assert_float_equal(cn_array_const_floats(weight)[i], weight_value(mark, l, w, i),
                                   0);
        }
}

static cn_status run(fixture *f, cn_callback_list list, cn_event event)
{
    return cn__callbacks_run(list, event, &f->training);
}

/* One epoch that gives one number; the weights are marked by the epoch. */
static void run_epoch(fixture *f, cn_callback_list list, const char *name, double value)
{
    set_weights(f, (float)f->training.epoch);
    assert_ok(run(f, list, CN_EPOCH_BEGIN));
    f->training.logs = (cn_logs){1, &name, &value};
    assert_ok(run(f, list, CN_EPOCH_END));
    f->training.logs = (cn_logs){0};
    f->training.epoch++;
}

#define COUNT(array) (int)(sizeof(array) / sizeof((array)[0]))
#define SERIES(...)                                                                                \
    COUNT(((double[]){__VA_ARGS__})), (const double[])                                             \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }

/* The epoch after which the callback stops the training, -1 if it does not; takes it over. */
static int stops_after(cn_callback *callback, const char *name, int count, const double *values)
{
    fixture f = make();
    cn_callback_list list = cn_callbacks(callback);
    int last = -1;
    assert_ok(cn__callbacks_check(list));
    assert_ok(run(&f, list, CN_TRAIN_BEGIN));
    for (int i = 0; i < count && last < 0; i++) {
        run_epoch(&f, list, name, values[i]);
        last = f.training.stop ? i : -1;
    }
    assert_ok(run(&f, list, CN_TRAIN_END));
    cn__callbacks_free(list);
    cn_model_free(f.model);
    return last;
}

/* ---- early stopping ---- */

static void test_patience(void **state)
{
    (void)state;
    assert_int_equal(
        stops_after(cn_early_stopping(.patience = 2), "val_loss", SERIES(1, 0.8, 0.9, 0.85, 0)), 3);
    assert_int_equal(stops_after(cn_early_stopping(.patience = 2), "val_loss",
                                 SERIES(1, 0.8, 0.9, 0.7, 0.7, 0.6)),
                     -1);
    /* without patience the first epoch still does not end it */
    assert_int_equal(
        stops_after(cn_early_stopping(0), "val_loss", SERIES((double)NAN, 1, 0.9, 0.9)), 3);
}

static void test_min_delta(void **state)
{
    (void)state;
    assert_int_equal(stops_after(cn_early_stopping(.patience = 1, .min_delta = 0.1), "val_loss",
                                 SERIES(1, 0.85, 0.76)),
                     2);
    assert_int_equal(stops_after(cn_early_stopping(.patience = 1, .min_delta = -0.1), "val_loss",
                                 SERIES(1, 0.85, 0.7)),
                     -1);
}

static void test_mode(void **state)
{
    (void)state;
    cn_callback *more = cn_early_stopping(.monitor = "accuracy");
    assert_int_equal(stops_after(more, "accuracy", SERIES(0.5, 0.6, 0.55)), 2);
    cn_callback *less = cn_early_stopping(.monitor = "accuracy", .mode = CN_BETTER_LESS);
    assert_int_equal(stops_after(less, "accuracy", SERIES(0.5, 0.6, 0.55)), 1);
}

/* Improving on the best but not on the baseline, waiting goes on; it ends in an epoch that does
 * not improve. */
static void test_baseline(void **state)
{
    (void)state;
    assert_int_equal(
        stops_after(cn_early_stopping(.patience = 2, .has_baseline = true, .baseline = 0.5),
                    "val_loss", SERIES(1, 0.9, 0.8, 0.85, 0.1)),
        3);
    assert_int_equal(
        stops_after(cn_early_stopping(.patience = 2, .has_baseline = true, .baseline = 0.5),
                    "val_loss", SERIES(1, 0.4, 0.45, 0.45)),
        3);
}

static void test_start_from_epoch(void **state)
{
    (void)state;
    assert_int_equal(stops_after(cn_early_stopping(.patience = 1, .start_from_epoch = 2),
                                 "val_loss", SERIES(1, 2, 3, 4)),
                     3);
}

static void test_restoring(void **state)
{
    (void)state;
    fixture f = make();
    cn_callback_list list =
        cn_callbacks(cn_early_stopping(.patience = 2, .restore_best_weights = true));
    assert_ok(run(&f, list, CN_TRAIN_BEGIN));
    static const double losses[] = {1, 0.5, 0.7, 0.6};
    for (int i = 0; i < COUNT(losses); i++)
        run_epoch(&f, list, "val_loss", losses[i]);
    assert_true(f.training.stop);
    assert_weights(&f, 3);
    assert_ok(run(&f, list, CN_TRAIN_END));
    assert_weights(&f, 1);
    cn__callbacks_free(list);
    cn_model_free(f.model);
}

/* If a batch failed, the weights stay as they are; if one stopped the training, the best return. */
static void test_restoring_within_an_epoch(void **state)
{
    (void)state;
    fixture f = make();
    cn_callback_list list = cn_callbacks(cn_early_stopping(.restore_best_weights = true));
    assert_ok(run(&f, list, CN_TRAIN_BEGIN));
    run_epoch(&f, list, "val_loss", 1);
    assert_ok(run(&f, list, CN_EPOCH_BEGIN));
    set_weights(&f, 5);
    assert_ok(run(&f, list, CN_TRAIN_END));
    assert_weights(&f, 5);
    f.training.stop = true;
    assert_ok(run(&f, list, CN_TRAIN_END));
    assert_weights(&f, 0);
    cn__callbacks_free(list);
    cn_model_free(f.model);
}

/* Cut off after two epochs and taken up by new callbacks, a training ends as it would have. */
static void test_resuming(void **state)
{
    (void)state;
    static const double losses[] = {0.5, 0.7, 0.6};
    fixture f = make();
    cn__records records = {0};
    cn_callback_list first =
        cn_callbacks(cn_terminate_on_nan(), cn_early_stopping(.patience = 9),
                     cn_early_stopping(.patience = 2, .restore_best_weights = true));
    assert_ok(run(&f, first, CN_TRAIN_BEGIN));
    for (int i = 0; i < 2; i++)
        run_epoch(&f, first, "val_loss", losses[i]);
    assert_ok(cn__callbacks_to_records(first, &records));
    cn__callbacks_free(first);
    assert_int_equal(records.count, 2);
    assert_string_equal(records.items[0].name, "callback/early_stopping");
    assert_string_equal(records.items[1].name, "callback/early_stopping_1");

    cn_callback_list second =
        cn_callbacks(cn_early_stopping(.patience = 9),
                     cn_early_stopping(.patience = 2, .restore_best_weights = true));
    assert_ok(run(&f, second, CN_TRAIN_BEGIN));
    assert_ok(cn__callbacks_from_records(second, &records));
    run_epoch(&f, second, "val_loss", losses[2]);
    assert_true(f.training.stop);
    assert_ok(run(&f, second, CN_TRAIN_END));
    assert_weights(&f, 0);
    cn__callbacks_free(second);
    cn__arena_free(records.arena);
    cn_model_free(f.model);
}

/* A training that had been stopped when it was saved does not go on, unless told to wait longer. */
static void test_resuming_what_was_stopped(void **state)
{
    (void)state;
    for (int patience = 1; patience <= 2; patience++) {
        fixture f = make();
        cn__records records = {0};
        cn_callback_list first = cn_callbacks(cn_early_stopping(.patience = 1));
        run_epoch(&f, first, "val_loss", 1);
        run_epoch(&f, first, "val_loss", 2);
        assert_true(f.training.stop);
        assert_ok(cn__callbacks_to_records(first, &records));
        cn__callbacks_free(first);

        f.training.stop = false;
        cn_callback_list second = cn_callbacks(cn_early_stopping(.patience = patience));
        assert_ok(run(&f, second, CN_TRAIN_BEGIN));
        assert_ok(cn__callbacks_from_records(second, &records));
        assert_ok(run(&f, second, CN_EPOCH_BEGIN));
        assert_int_equal(f.training.stop, patience == 1);
        cn__callbacks_free(second);
        cn__arena_free(records.arena);
        cn_model_free(f.model);
    }
}

static void test_missing_monitor(void **state)
{
    (void)state;
    fixture f = make();
    cn_callback_list list = cn_callbacks(cn_early_stopping(0));
    f.training.logs = (cn_logs){2, (const char *const[]){"loss", "mae"}, (const double[]){1, 2}};
    assert_int_equal(run(&f, list, CN_EPOCH_END), CN_ERROR_NOT_FOUND);
    assert_message("early_stopping: there is no val_loss in the logs, which are loss, mae; ");
    cn__callbacks_free(list);
    cn_model_free(f.model);
}

/* ---- which way is better ---- */

static void test_directions(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool more;
    } rows[] = {{"loss", false},
                {"val_accuracy", true},
                {"out_binary_accuracy", true},
                {"auc_1", true},
                {"val_mean_io_u", true},
                {"f1_score", true},
                {"psnr", true},
                {"acc_head_loss", false},
                {"mae", false},
                {"layer2_mse", false},
                {"decoder2_mae", false},
                {"r2_score", true},
                {"false_negatives", false},
                {"cosine_similarity", true}};
    for (int i = 0; i < COUNT(rows); i++) {
        cn__monitor monitor;
        assert_ok(cn__monitor_init(&monitor, rows[i].name, CN_BETTER_AUTO, 0));
        if (monitor.more != rows[i].more)
            fail_msg("%s", rows[i].name);
        assert_false(cn__monitor_improves(&monitor, (double)NAN, 0));
        assert_true(cn__monitor_improves(&monitor, 0, cn__monitor_worst(&monitor)));
        cn__free(monitor.name);
    }
}

/* ---- learning rates ---- */

/* Optimizers keep the rate in single precision. */
#define RATE_BOUND 1e-8

/* The rates that the logs tell, and those after each epoch. */
static void test_plateau(void **state)
{
    (void)state;
    static const double after[] = {0.125, 0.125, 0.0625, 0.0625, 0.04, 0.04, 0.04, 0.04};
    fixture f = make();
    cn_callback_list list =
        cn_callbacks(cn_reduce_lr_on_plateau(.monitor = "loss", .factor = 0.5, .patience = 2,
                                             .cooldown = 1, .min_lr = 0.04));
    assert_ok(run(&f, list, CN_TRAIN_BEGIN));
    for (int i = 0; i < COUNT(after); i++) {
        const char *name = "loss";
        double value = 1 - 0.00005 * (i == 1); /* less than min_delta: no improvement */
        f.training.logs = (cn_logs){1, &name, &value};
        f.training.epoch = i;
        assert_ok(run(&f, list, CN_EPOCH_END));
        assert_int_equal(f.training.logs.count, 2);
        assert_float_equal(cn_logs_get(f.training.logs, "loss"), value, 0);
        assert_float_equal(cn_logs_get(f.training.logs, "learning_rate"), after[i > 0 ? i - 1 : 0],
                           RATE_BOUND);
        assert_float_equal(cn_model_learning_rate(f.model), after[i], RATE_BOUND);
    }
    cn__callbacks_free(list);
    cn_model_free(f.model);
}

static void test_plateau_refusals(void **state)
{
    (void)state;
    assert_null(cn_reduce_lr_on_plateau(.factor = 1));
    assert_message("factor must be between 0 and 1, not 1");
    assert_null(cn_reduce_lr_on_plateau(.patience = -1));
    assert_null(cn_early_stopping(.patience = -1));
    assert_message("patience must be at least 0, not -1");
    assert_null(cn_early_stopping_new(&(cn_early_stopping_options){.size_ = 4}));
    assert_message("size_ must be");
}

static double halve(int64_t epoch, double rate, void *context)
{
    int64_t from = *(int64_t *)context;
    return epoch < from ? rate : epoch == from ? rate / 2 : (double)NAN;
}

static void test_scheduler(void **state)
{
    (void)state;
    int64_t from = 1;
    static const double rates[] = {0.125, 0.0625};
    fixture f = make();
    cn_callback_list list = cn_callbacks(cn_learning_rate_scheduler(halve, &from));
    for (int i = 0; i < 2; i++) {
        f.training.epoch = i;
        assert_ok(run(&f, list, CN_EPOCH_BEGIN));
        assert_float_equal(cn_model_learning_rate(f.model), rates[i], RATE_BOUND);
        f.training.logs = (cn_logs){0};
        assert_ok(run(&f, list, CN_EPOCH_END));
        assert_float_equal(cn_logs_get(f.training.logs, "learning_rate"), rates[i], RATE_BOUND);
    }
    f.training.epoch = 2;
    assert_int_equal(run(&f, list, CN_EPOCH_BEGIN), CN_ERROR_ARGUMENT);
    assert_message("gives nan for epoch 2");
    cn__callbacks_free(list);
    cn_model_free(f.model);
    assert_null(cn_learning_rate_scheduler(NULL, NULL));
}

static void test_terminate_on_nan(void **state)
{
    (void)state;
    static const struct {
        double loss;
        bool stop;
    } rows[] = {{1e30, false}, {(double)NAN, true}, {(double)INFINITY, true}};
    cn_callback_list list = cn_callbacks(cn_terminate_on_nan());
    for (int i = 0; i < COUNT(rows); i++) {
        fixture f = make();
        const char *name = "loss";
        f.training.logs = (cn_logs){1, &name, &rows[i].loss};
        assert_ok(run(&f, list, CN_BATCH_END));
        assert_int_equal(f.training.stop, rows[i].stop);
        cn_model_free(f.model);
    }
    cn__callbacks_free(list);
}

/* ---- lists ---- */

/* Writes its letter into the text that all share. */
typedef struct witness {
    char letter;
    cn_status status;
    char *text;
} witness;

static cn_status bear_witness(void *context, cn_event event, cn_training *training)
{
    const witness *w = context;
    (void)event;
    (void)training;
    w->text[strlen(w->text)] = w->letter;
    return w->status;
}

static void end_witness(void *context)
{
    const witness *w = context;
    w->text[strlen(w->text)] = (char)(w->letter - 'a' + 'A');
}

static void test_lists(void **state)
{
    (void)state;
    char text[40] = "";
    cn_training training = {0};
    witness w[] = {{'a', CN_OK, text},
                   {'b', CN_ERROR_IO, text},
                   {'c', CN_ERROR_SHAPE, text},
                   {'d', CN_OK, text}};
    cn_callback *c[4];
    for (int i = 0; i < 4; i++)
        c[i] = cn_callback(.run = bear_witness, .release = end_witness, .context = &w[i],
                           .name = i == 1 ? "mine" : NULL);
    cn_callback_list list = cn_callbacks(c[0], c[1], c[2], c[3]);
    c[0]->last = true;
    assert_string_equal(cn__callback_name(c[1]), "mine");
    assert_string_equal(cn__callback_name(c[0]), "callback");
    assert_int_equal(cn__callbacks_run(list, CN_EPOCH_END, &training), CN_ERROR_IO);
    assert_string_equal(text, "b");
    assert_message("mine: fails at the end of an epoch (input/output error)");
    assert_int_equal(cn__callbacks_run(list, CN_TRAIN_END, &training), CN_ERROR_IO);
    assert_string_equal(text, "bbcda");
    assert_int_equal(cn_error_status(), CN_ERROR_IO);
    assert_message("mine: fails at the end of the training");
    assert_int_equal(cn__callbacks_check(cn_callbacks(c[0], NULL)), CN_ERROR_IO);
    cn__callbacks_free(list);
    assert_string_equal(text, "bbcdaABCD");

    memset(text, 0, sizeof text);
    assert_null(cn_callback(.release = end_witness, .context = &w[0]));
    assert_string_equal(text, "A");
    assert_message(".run is required");
}

/* ---- history ---- */

static cn_status append(cn_history *history, int count, const char *const *names,
                        const double *values)
{
    return cn__history_append(history, (cn_logs){count, names, values});
}

static void test_history(void **state)
{
    (void)state;
    cn_history *h = cn__history_new(), *copy = cn__history_new();
    cn__records records = {0};
    assert_ok(append(h, 1, (const char *const[]){"loss"}, (const double[]){3}));
    assert_ok(append(h, 2, (const char *const[]){"mae", "loss"}, (const double[]){7, 2}));
    assert_ok(append(h, 1, (const char *const[]){"mae"}, (const double[]){6}));
    assert_ok(cn__records_add(&records, "epoch", 1, (const double[]){3}));
    assert_ok(cn__history_to_records(h, &records));
    assert_ok(cn__history_from_records(copy, &records));
    for (int i = 0; i < 2; i++) {
        const cn_history *one = i == 0 ? h : copy;
        assert_int_equal(cn_history_epochs(one), 3);
        assert_int_equal(cn_history_count(one), 2);
        assert_string_equal(cn_history_name(one, 1), "mae");
        assert_null(cn_history_name(one, 2));
        assert_null(cn_history_values(one, "val_loss"));
        const double *loss = cn_history_values(one, "loss"), *mae = cn_history_values(one, "mae");
        assert_true(loss[0] == 3 && loss[1] == 2 && isnan(loss[2]));
        assert_true(isnan(mae[0]) && mae[1] == 7 && mae[2] == 6);
    }
    assert_ok(append(copy, 1, (const char *const[]){"loss"}, (const double[]){1}));
    assert_float_equal(cn_history_values(copy, "loss")[3], 1, 0);
    cn__history_clear(copy);
    assert_int_equal(cn_history_epochs(copy), 0);
    cn__history_free(copy);
    cn__history_free(h);
    cn__arena_free(records.arena);
}

static void test_history_from_broken_records(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int count;
        const char *message;
    } rows[] = {{"history/b", 1, "b has 1 epochs, but the names before it have 2"},
                {"history/a", 2, "a is there twice"}};
    for (int i = 0; i < COUNT(rows); i++) {
        cn__records records = {0};
        cn_history *h = cn__history_new();
        assert_ok(cn__records_add(&records, "history/a", 2, (const double[]){1, 2}));
        assert_ok(cn__records_add(&records, rows[i].name, rows[i].count, (const double[]){1, 2}));
        assert_int_equal(cn__history_from_records(h, &records), CN_ERROR_FORMAT);
        assert_message(rows[i].message);
        assert_int_equal(cn_history_count(h), 0);
        cn__history_free(h);
        cn__arena_free(records.arena);
    }
}

static void test_many_records(void **state)
{
    (void)state;
    cn__records records = {0};
    char name[20];
    for (int i = 0; i < 37; i++) {
        double value = i;
        (void)snprintf(name, sizeof name, "n%d", i);
        assert_ok(cn__records_add(&records, name, 1, &value));
    }
    for (int i = 0; i < 37; i++) {
        (void)snprintf(name, sizeof name, "n%d", i);
        assert_float_equal(cn__records_find(&records, name)->values[0], i, 0);
    }
    assert_null(cn__records_find(&records, "n37"));
    cn__arena_free(records.arena);
}

static void test_logs(void **state)
{
    (void)state;
    char text[15];
    cn_logs logs = {2, (const char *const[]){"loss", "accuracy"}, (const double[]){1, 2}};
    assert_float_equal(cn_logs_get(logs, "accuracy"), 2, 0);
    assert_true(isnan(cn_logs_get(logs, "acc")));
    assert_true(isnan(cn_logs_get((cn_logs){0}, "loss")));
    assert_string_equal(cn__logs_list(logs, text, sizeof text), "loss, ...");
    assert_string_equal(cn__logs_list(logs, (char[40]){0}, 40), "loss, accuracy");
    cn__more_logs more = {0};
    assert_ok(cn__logs_put(&more, &logs, "loss", 5));
    assert_int_equal(logs.count, 2);
    assert_float_equal(cn_logs_get(logs, "loss"), 5, 0);
    cn__more_logs_free(&more);
}

/* ---- memory ---- */

/* Everything that allocates, on records made before. */
static cn_status use_memory(const cn_training *made, const cn__records *records)
{
    cn_training training = *made;
    cn__records kept = {0};
    const char *name = "val_loss";
    double value = 1;
    training.logs = (cn_logs){1, &name, &value};
    cn_callback_list list = cn_callbacks(cn_early_stopping(.restore_best_weights = true),
                                         cn_reduce_lr_on_plateau(0), cn_terminate_on_nan());
    cn_history *history = cn__history_new();
    cn_status status = history ? cn__callbacks_check(list) : CN_ERROR_MEMORY;
    static const cn_event events[] = {CN_TRAIN_BEGIN, CN_EPOCH_BEGIN, CN_EPOCH_END, CN_TRAIN_END};
    for (int i = 0; i < COUNT(events) && status == CN_OK; i++)
        status = cn__callbacks_run(list, events[i], &training);
    if (status == CN_OK)
        status = cn__callbacks_to_records(list, &kept);
    if (status == CN_OK)
        status = cn__callbacks_from_records(list, &kept);
    if (status == CN_OK)
        status = cn__history_from_records(history, records);
    if (status == CN_OK)
        status = cn__history_append(history, training.logs);
    if (status == CN_OK)
        status = cn__history_to_records(history, &kept);
    cn__callbacks_free(list);
    cn__history_free(history);
    cn__arena_free(kept.arena);
    return status;
}

static void test_no_memory(void **state)
{
    (void)state;
    restore_allocator(NULL);
    fixture f = make();
    cn__records records = {0};
    assert_ok(cn__records_add(&records, "history/loss", 1, (const double[]){1}));
    cn_status status = CN_ERROR_MEMORY;
    for (int k = 0; status != CN_OK; k++) {
        fail_at(&memory, k);
        status = use_memory(&f.training, &records);
        assert_true(status == CN_OK || status == CN_ERROR_MEMORY);
        assert_int_equal(memory.alive, 0);
        assert_true(k < 200);
    }
    restore_allocator(NULL);
    cn__arena_free(records.arena);
    cn_model_free(f.model);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, count_memory, check_memory)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_patience),
        TEST(test_min_delta),
        TEST(test_mode),
        TEST(test_baseline),
        TEST(test_start_from_epoch),
        TEST(test_restoring),
        TEST(test_restoring_within_an_epoch),
        TEST(test_resuming),
        TEST(test_resuming_what_was_stopped),
        TEST(test_missing_monitor),
        TEST(test_directions),
        TEST(test_plateau),
        TEST(test_plateau_refusals),
        TEST(test_scheduler),
        TEST(test_terminate_on_nan),
        TEST(test_lists),
        TEST(test_history),
        TEST(test_history_from_broken_records),
        TEST(test_many_records),
        TEST(test_logs),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
