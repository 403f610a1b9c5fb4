/* Training gives the same bits for any number of threads, and when it is cut off anywhere and taken
 * up again; its steps allocate nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cornu/datasets.h"
#include "models/history.h"
#include "models/training.h"
#include "unit/failing.h"

/* ---- a network and its data ---- */

enum { side = 8 };

static void assert_ok(cn_status status)
{
    if (status != CN_OK)
        fail_msg("%s", cn_error_message());
}

static cn_model *network(const char *optimizer)
{
    cn_model *model = cn_sequential(
        cn_input({side, side, 3}),
        cn_conv2d(6, {3, 3}, .strides = {2, 2}, .padding = CN_SAME, .name = "conv",
                  .kernel_initializer = "GlorotUniform(seed=1)"),
        cn_batch_normalization(.name = "norm"), cn_activation("relu"), cn_dropout(0.25F, .seed = 2),
        cn_conv2d_transpose(4, {5, 5}, .strides = {2, 2}, .padding = CN_SAME, .activation = "relu",
                            .name = "deconv", .kernel_initializer = "GlorotUniform(seed=3)"),
        cn_max_pooling2d({2, 2}), cn_flatten(),
        cn_dense(10, .activation = "softmax", .name = "dense",
                 .kernel_initializer = "GlorotUniform(seed=4)"));
    assert_non_null(model);
    assert_ok(cn_compile(model, .optimizer = optimizer, .loss = {"sparse_categorical_crossentropy"},
                         .metrics = {"accuracy"}));
    return model;
}

/* Pictures that are moved about as they are read. */
static cn_dataset *pictures(int64_t count)
{
    cn_dataset *data = cn_augment(cn_drawn_shapes_dataset(5, count, side), .horizontal_flip = true,
                                  .shift = 0.1F, .rotation = 20, .brightness = 0.1F, .seed = 6);
    assert_non_null(data);
    return data;
}

/* ---- all that training has made ---- */

typedef struct bits {
    float values[16000];
    size_t count;
} bits;

static void add(bits *b, const void *values, int64_t count)
{
    assert_true(b->count + (size_t)count <= sizeof b->values / sizeof *b->values);
    memcpy(b->values + b->count, values, (size_t)count * sizeof *b->values);
    b->count += (size_t)count;
}

/* Calls visit for every array of weights and of the optimizer's variables. */
typedef void (*array_visitor)(float *values, int64_t count, void *context);
static void visit_arrays(const cn_model *model, array_visitor visit, void *context)
{
    const cn__optimizer *optimizer = cn__model_compiled(model)->optimizer;
    for (int i = 0; i < cn_model_layer_count(model); i++) {
        cn_layer *layer = cn_model_layer(model, i);
        for (int j = 0; j < layer->weight_count; j++) {
            cn_array *value = layer->weights[j].variable->value;
            visit(cn_array_floats(value), cn_array_count(value), context);
        }
    }
    for (int i = 0; i < cn__optimizer_variable_count(optimizer); i++) {
        cn__optimizer_variable v;
        cn__optimizer_variable_at(optimizer, i, &v);
        if (v.values != NULL)
            visit(v.values, cn_shape_count(&v.shape), context);
    }
}

static void add_array(float *values, int64_t count, void *context)
{
    add(context, values, count);
}

static void take_bits(const cn_model *model, bits *b)
{
    const cn__optimizer *optimizer = cn__model_compiled(model)->optimizer;
    double rate = cn__optimizer_learning_rate(optimizer);
    int64_t iterations = cn__optimizer_iterations(optimizer);
    const cn_history *history = cn_model_history(model);
    b->count = 0;
    visit_arrays(model, add_array, b);
    add(b, &rate, 2);
    add(b, &iterations, 2);
    for (int i = 0; i < cn_history_count(history); i++)
        add(b, cn_history_values(history, cn_history_name(history, i)),
            2 * cn_history_epochs(history));
}

static void assert_same_bits(const bits *a, const bits *b, const char *what, int number)
{
    if (a->count != b->count || memcmp(a->values, b->values, a->count * sizeof *a->values) != 0)
        fail_msg("other bits: %s %d", what, number);
}

/* ---- threads ---- */

/* 100 steps. */
static void train_on_threads(int threads, int loader_threads, bits *result)
{
    cn_model *model = network("adam");
    cn_dataset *data = pictures(80);
    cn_pool *pool = threads > 0 ? cn_pool_new(threads) : NULL;
    assert_ok(cn_fit_dataset(model, data, .batch_size = 8, .epochs = 10,
                             .loader_threads = loader_threads, .pool = pool));
    assert_int_equal(cn__optimizer_iterations(cn__model_compiled(model)->optimizer), 100);
    take_bits(model, result);
    cn_pool_free(pool);
    cn_dataset_free(data);
    cn_model_free(model);
}

static void test_threads(void **state)
{
    (void)state;
    static bits one, other;
    train_on_threads(0, 1, &one);
    static const int threads[] = {1, 2, 3, 8};
    for (int i = 0; i < 4; i++) {
        train_on_threads(threads[i], 1 + i, &other);
        assert_same_bits(&one, &other, "threads", threads[i]);
    }
}

/* ---- cutting off ---- */

enum { samples = 20, batch_size = 8, batches = 3, epochs = 3 };

/* Cuts the training off at its event number `at` (ends of batches and of epochs), handing it over
 * to another model as a file would. */
typedef struct cut {
    int at;
    cn_model *next;
} cut;

typedef struct arrays {
    float *items[100];
    int count;
} arrays;

static void list_array(float *values, int64_t count, void *context)
{
    arrays *a = context;
    (void)count;
    a->items[a->count++] = values;
}

static void copy_array(float *values, int64_t count, void *context)
{
    arrays *a = context;
    memcpy(a->items[a->count++], values, (size_t)count * sizeof *values);
}

static cn_status hand_over(const cn_model *from, cn_model *to)
{
    const cn__optimizer *optimizer = cn__model_compiled(from)->optimizer;
    cn__optimizer *next = cn__model_compiled(to)->optimizer;
    arrays of_next = {.count = 0};
    visit_arrays(to, list_array, &of_next);
    of_next.count = 0;
    visit_arrays(from, copy_array, &of_next);
    for (int i = 0; i < cn_model_layer_count(to); i++)
        for (int j = 0; j < cn_model_layer(to, i)->weight_count; j++)
            cn__variable_changed(cn_model_layer(to, i)->weights[j].variable);
    cn__optimizer_set_iterations(next, cn__optimizer_iterations(optimizer));
    if (cn__optimizer_set_learning_rate(next, cn__optimizer_learning_rate(optimizer)) != CN_OK)
        cn_clear_error(); /* a schedule rules it */
    cn__records records;
    CN__TRY(cn__training_records(from, &records));
    cn_status status = cn__training_resume(to, &records);
    cn__records_free(&records);
    return status;
}

static cn_status cut_off(void *context, cn_event event, cn_training *training)
{
    cut *c = context;
    if ((event != CN_BATCH_END && event != CN_EPOCH_END) || c->at-- > 0 || training->stop)
        return CN_OK;
    training->stop = true;
    return hand_over(training->model, c->next);
}

/* A callback takes the learning rate down where it may, to have a state that is kept. */
static cn_status fit(cn_model *model, cut *c)
{
    cn_dataset *data = pictures(samples), *held_out = pictures(10);
    cn_callback *list[2];
    cn_callback_list callbacks = {0, list};
    if (cn_model_set_learning_rate(model, cn_model_learning_rate(model)) == CN_OK)
        list[callbacks.count++] =
            cn_reduce_lr_on_plateau(.patience = 1, .factor = 0.5, .min_delta = 1);
    if (c != NULL)
        list[callbacks.count++] = cn_callback(.run = cut_off, .context = c);
    cn_status status =
        cn_fit_dataset(model, data, .batch_size = batch_size, .epochs = epochs, .resume = true,
                       .validation_data = held_out, .callbacks = callbacks);
    cn_dataset_free(data);
    cn_dataset_free(held_out);
    return status;
}

static void cut_everywhere(const char *optimizer)
{
    static bits uncut, resumed;
    cn_model *whole = network(optimizer);
    assert_ok(fit(whole, NULL));
    take_bits(whole, &uncut);
    cn_model_free(whole);
    for (int at = 0; at < epochs * (batches + 1); at++) {
        cn_model *first = network(optimizer), *second = network(optimizer);
        assert_ok(fit(first, &(cut){at, second}));
        cn_model_free(first);
        assert_ok(fit(second, NULL));
        take_bits(second, &resumed);
        cn_model_free(second);
        assert_same_bits(&uncut, &resumed, optimizer, at);
    }
}

static void test_cut_off(void **state)
{
    (void)state;
    cut_everywhere("adam");
    cut_everywhere("nadam");
    cut_everywhere("SGD(learning_rate=0.1, momentum=0.9, gradient_accumulation_steps=2, "
                   "use_ema=True, ema_momentum=0.5, ema_overwrite_frequency=4)");
    cut_everywhere("RMSprop(learning_rate=CosineDecay(initial_learning_rate=0.01, decay_steps=9), "
                   "momentum=0.5, centered=True, clipnorm=0.1)");
}

/* ---- memory ---- */

/* Counts the allocations of the epochs after the first, from their beginning to their last batch.
 */
typedef struct watch {
    counter memory;
    int left, allocations;
} watch;

static cn_status watch_memory(void *context, cn_event event, cn_training *training)
{
    watch *w = context;
    if (event == CN_EPOCH_BEGIN)
        w->left = w->memory.until_failure;
    if (event == CN_BATCH_END && training->epoch > 0)
        w->allocations += w->left - w->memory.until_failure;
    w->left = w->memory.until_failure;
    return CN_OK;
}

static void test_no_allocation_in_steps(void **state)
{
    (void)state;
    static watch w;
    fail_at(&w.memory, 1000000);
    cn_model *model = network("adam");
    cn_dataset *data = cn_drawn_shapes_dataset(1, samples, side);
    cn_dataset *held_out = cn_drawn_shapes_dataset(2, 10, side);
    cn_pool *pool = cn_pool_new(2);
    assert_ok(cn_fit_dataset(
        model, data, .batch_size = batch_size, .epochs = 4, .validation_data = held_out,
        .pool = pool, .callbacks = cn_callbacks(cn_callback(.run = watch_memory, .context = &w))));
    assert_int_equal(w.allocations, 0);
    cn_pool_free(pool);
    cn_dataset_free(data);
    cn_dataset_free(held_out);
    cn_model_free(model);
    assert_int_equal(w.memory.alive, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_cut_off),
        cmocka_unit_test_teardown(test_no_allocation_in_steps, restore_allocator),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
