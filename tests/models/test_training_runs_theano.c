/* Training runs of Keras 1.2 and 2.3 on Theano (golden/keras1-theano, golden/keras2-theano), made
 * again: every loss, accuracies, weights and predictions after the last step, the gradients of a
 * first batch, and what fit() gave. */
#include "formats/keras.h"
#include "models/replay.h"
#include "models/training.h"

typedef struct run {
    const char *model, *arrays; /* files */
    int version;                /* of Keras */
    const char *optimizer;
    const char *name;      /* behind "losses__" */
    int steps, batch_size; /* the batches are gone through again and again */
    bool follows_roundings;
} run;

#define KERAS_1 "keras1-theano/05_optim_model.json", "keras1-theano/05_optimizers.npz", 1
#define KERAS_2 "keras2-theano/H_train.json", "keras2-theano/H_train.npz", 2

static const run runs[] = {
    {KERAS_1, "SGD(version=1, lr=0.05)", "sgd", 12, 6, false},
    {KERAS_1, "SGD(version=1, lr=0.05, momentum=0.9)", "sgd_momentum", 12, 6, false},
    {KERAS_1, "SGD(version=1, lr=0.05, momentum=0.9, decay=0.01, nesterov=True)",
     "sgd_nesterov_decay", 12, 6, false},
    {KERAS_1, "rmsprop(version=1)", "rmsprop", 12, 6, false},
    {KERAS_1, "adam(version=1)", "adam", 12, 6, false},
    {KERAS_1, "Adam(version=1, lr=0.01, decay=0.01, clipnorm=0.5)", "adam_decay_clip", 12, 6,
     false},
    {KERAS_1, "adagrad(version=1)", "adagrad", 12, 6, false},
    {KERAS_1, "adadelta(version=1)", "adadelta", 12, 6, false},
    {KERAS_1, "adamax(version=1)", "adamax", 12, 6, false},
    {KERAS_1, "nadam(version=1)", "nadam", 12, 6, false},
    {"keras1-theano/08_batchnorm_training.json", "keras1-theano/08_batchnorm_training.npz", 1,
     "SGD(version=1, lr=0.1)", NULL, 4, 8, true},
    {KERAS_2, "SGD(version=2, learning_rate=0.05, momentum=0.9)", "sgd_momentum", 8, 6, false},
    {KERAS_2, "SGD(version=2, learning_rate=0.05, momentum=0.9, decay=0.01, nesterov=True)",
     "sgd_nesterov_decay", 8, 6, false},
    {KERAS_2, "rmsprop(version=2)", "rmsprop", 8, 6, true},
    {KERAS_2, "adam(version=2)", "adam", 8, 6, true},
    {KERAS_2, "Adam(version=2, learning_rate=0.01, amsgrad=True)", "adam_amsgrad", 8, 6, true},
    {KERAS_2, "adagrad(version=2)", "adagrad", 8, 6, true},
    {KERAS_2, "adadelta(version=2)", "adadelta", 8, 6, true},
    {KERAS_2, "adamax(version=2)", "adamax", 8, 6, true},
    {KERAS_2, "nadam(version=2)", "nadam", 8, 6, true},
};

/* ---- maximum pooling as on Theano ---- */

/* What x is, but without a gradient. */
static cn_status shape_of_input(const void *attributes, int inputs, cn_tensor *const *in,
                                cn_tensor **out)
{
    (void)attributes;
    (void)inputs;
    out[0]->shape = in[0]->shape;
    return CN_OK;
}

static cn_status no_gradient(const cn__node *node, cn_tensor *const *dy, cn_gradient_rule rule,
                             cn_tensor **dx)
{
    (void)node;
    (void)dy;
    (void)rule;
    dx[0] = NULL;
    return CN_OK;
}

static bool always(const cn__node *node)
{
    (void)node;
    return true;
}

static cn_tensor *held(cn_tensor *x)
{
    static const cn__op op = {.name = "held",
                              .outputs = 1,
                              .shape = shape_of_input,
                              .gradient = no_gradient,
                              .alias = always};
    return cn__node_new(&op, NULL, 1, &x);
}

/* Where several cells of a window have the maximum, TensorFlow gives the gradient to the first and
 * Theano gives it to each of them, in full: the sum over the window of (cell has the maximum) *
 * (x - held x), which is 0, has that gradient. */
static cn_tensor *theano_pool(cn_tensor *x)
{
    const cn_pool_options window = {.rank = 2, .window = {2, 2}, .stride = {2, 2}};
    const cn_resize_options twice = {.rank = 2, .factor = {2, 2}};
    cn_tensor *most = held(cn_op_max_pool(x, &window, NULL));
    cn_tensor *has_most = cn_op_binary(CN_GREATER_EQUAL, x, cn_op_resize(most, &twice));
    cn_tensor *zero = cn_op_binary(CN_SUBTRACT, x, held(x));
    cn_tensor *mean = cn_op_average_pool(cn_op_binary(CN_MULTIPLY, has_most, zero), &window);
    return cn_op_binary(CN_ADD, most, cn_op_unary(mean, (cn_function1){CN_AFFINE, {4, 0, 0}}));
}

/* The network of H_train.json, in which windows of equal cells are frequent: a relu has made them
 * 0 before the batch normalization. */
static cn_model *keras_2_network(void)
{
    cn_tensor *x = cn_input_tensor({8, 8, 2});
    cn_tensor *y = cn_apply(cn_conv2d(4, {3, 3}, .padding = CN_SAME, .activation = "relu"), x);
    y = theano_pool(cn_apply(cn_batch_normalization(), y));
    y = cn_apply(cn_conv2d_transpose(3, {3, 3}, .strides = {2, 2}, .activation = "relu"), y);
    y = cn_apply(cn_dense(12, .activation = "tanh"), cn_apply(cn_flatten(), y));
    y = cn_apply(cn_dense(5, .activation = "softmax"), y);
    cn_model *model = cn_model_new(cn_tensors(x), cn_tensors(y));
    cn_tensor_release(x);
    return model;
}

/* ---- models and their weights ---- */

static cn_model *load(const char *path)
{
    cn_model *model =
        cn_model_load(golden("%s", path), &(cn_load_options){.backend = CN_BACKEND_THEANO});
    if (model == NULL)
        fail_msg("%s", cn_error_message());
    return model;
}

static cn_model *model_of(const run *r)
{
    return r->version == 2 ? keras_2_network() : load(r->model);
}

/* The array of a weight: PREFIX__LAYER__j, or else PREFIX__number. */
static cn_array *read_weight(cn_npz *npz, const char *prefix, const cn_layer *layer, int j,
                             int number)
{
    cn_array *array = read_beginning(npz, "%s__%s__%d", prefix, cn_layer_name(layer), j);
    return array != NULL ? array : read_beginning(npz, "%s__%d", prefix, number);
}

/* Sets the weights from arrays that have the axes and the flipped kernels of Theano. */
static void set_weights(cn_model *model, int version, cn_npz *npz, const char *prefix)
{
    const cn__keras keras = {.version = version, .theano = true};
    int number = 0;
    for (int i = 0; i < cn_model_layer_count(model); i++) {
        cn_layer *layer = cn_model_layer(model, i);
        for (int j = 0; j < cn_layer_weight_count(layer); j++) {
            cn_array *array = read_weight(npz, prefix, layer, j, number++);
            if (array == NULL || cn__keras_set_weight(&keras, layer, j, cn_array_shape(array),
                                                      cn_array_const_floats(array)) != CN_OK)
                fail_msg("%s, weight %d: %s", prefix, number - 1, cn_error_message());
            cn_array_free(array);
        }
    }
}

/* `wanted` is the same model with the weights that Keras had. Idle weights become Keras': in
 * evaluation they matter. */
static bool same_weights(const char *what, cn_model *model, const cn_model *wanted, int idle)
{
    bool good = true;
    for (int i = 0; i < cn_model_layer_count(model); i++) {
        cn_layer *layer = cn_model_layer(model, i), *other = cn_model_layer(wanted, i);
        for (int j = 0; j < cn_layer_weight_count(layer); j++) {
            char text[200];
            const char *weight = cn_layer_weight_name(layer, j);
            (void)snprintf(text, sizeof text, "%s: %s/%s", what, cn_layer_name(layer), weight);
            if (is_idle(idle, i, weight))
                good = cn_layer_set_weight(layer, j, cn_layer_weight(other, j)) == CN_OK && good;
            else
                good =
                    same_array(text, cn_layer_weight(layer, j), cn_layer_weight(other, j)) && good;
        }
    }
    return good;
}

/* ---- one run ---- */

/* NAME__RUN, or NAME if the run has no name. */
static cn_array *read_of(const run *r, cn_npz *npz, const char *name)
{
    char text[120];
    (void)snprintf(text, sizeof text, "%s%s%s", name, r->name != NULL ? "__" : "",
                   r->name != NULL ? r->name : "");
    cn_array *array = cn_npz_read(npz, text);
    cn_clear_error();
    return array;
}

/* One row of losses for each step: the loss, then perhaps the accuracy. */
static bool train(const run *r, cn_model *model, const cn_array *x, const cn_array *y,
                  const cn_array *losses)
{
    int64_t batches = cn_array_shape(x)->dim[0] / r->batch_size;
    int64_t columns = cn_array_count(losses) / r->steps;
    bool good = cn_array_shape(losses)->dim[0] == r->steps;
    for (int64_t step = 0; good && step < r->steps; step++) {
        cn_array *some_x = rows_of(x, step % batches * r->batch_size, r->batch_size);
        cn_array *some_y = rows_of(y, step % batches * r->batch_size, r->batch_size);
        cn_logs logs = {0};
        good = cn_model_train_on_batch(model, cn_arrays(some_x), cn_arrays(some_y),
                                       (cn_array_list){0}, &logs, NULL) == CN_OK;
        for (int64_t i = 0; good && i < columns; i++) {
            char what[160];
            (void)snprintf(what, sizeof what, "Keras %d: %s: step %d: %s", r->version, r->optimizer,
                           (int)step, logs.names[i]);
            good = same_number(what, logs.values[i],
                               (double)cn_array_const_floats(losses)[step * columns + i]);
        }
        cn_array_free(some_x);
        cn_array_free(some_y);
    }
    return good;
}

/* On Theano the averages are taken of v + epsilon for a batch's variance v of n values, by Keras 2
 * times n / (n - 1 - epsilon). They began with 1. */
static void change_moving_variance(const run *r, cn_model *model)
{
    const double epsilon = 1e-3, n = 64.0 * r->batch_size, first = pow(0.99, r->steps);
    double factor = r->version == 2 ? n / (n - 1 - epsilon) : 1;
    cn_layer *layer = cn_model_layer(model, idle_layer(model) + 1);
    cn_array *variance = cn_array_copy(cn_layer_weight(layer, 3));
    float *v = cn_array_floats(variance);
    for (int64_t i = 0; i < cn_array_count(variance); i++)
        v[i] = (float)(first + factor * ((double)v[i] - first + epsilon * (1 - first)));
    assert_string_equal(cn_layer_weight_name(layer, 3), "moving_variance");
    assert_int_equal(cn_layer_set_weight(layer, 3, variance), CN_OK);
    cn_array_free(variance);
}

static bool compare(const run *r, cn_model *model, cn_npz *npz, const cn_array *x)
{
    char prefix[80];
    cn_model *wanted = model_of(r);
    if (idle_layer(model) >= 0)
        change_moving_variance(r, model);
    (void)snprintf(prefix, sizeof prefix, r->name != NULL ? "w_after__%s" : "after", r->name);
    set_weights(wanted, r->version, npz, prefix);
    bool good =
        same_weights(r->optimizer, model, wanted, r->follows_roundings ? idle_layer(model) : -1);
    cn_array *predicted = read_of(r, npz, "pred_after");
    if (predicted != NULL)
        good = same_prediction(r->optimizer, model, x, predicted) && good;
    cn_array_free(predicted);
    cn_model_free(wanted);
    return good;
}

static bool replay(const run *r)
{
    cn_npz *npz = cn_npz_open(golden("%s", r->arrays));
    cn_model *model = model_of(r);
    cn_array *x = cn_npz_read(npz, "X"), *y = cn_npz_read(npz, "Y");
    cn_array *losses = read_of(r, npz, "losses");
    set_weights(model, r->version, npz, r->name != NULL ? "w_before" : "before");
    bool good = cn_compile(model, .optimizer = r->optimizer, .loss = {"categorical_crossentropy"},
                           .metrics = {"accuracy"}) == CN_OK &&
                train(r, model, x, y, losses) && compare(r, model, npz, x);
    if (!good)
        print_error("Keras %d: %s: %s\n", r->version, r->optimizer, cn_error_message());
    cn_array_free(x);
    cn_array_free(y);
    cn_array_free(losses);
    cn_model_free(model);
    cn_npz_close(npz);
    return good;
}

static void test_runs(void **state)
{
    (void)state;
    int good = 0, all = (int)CN__COUNT(runs);
    for (int i = 0; i < all; i++) {
        cn_clear_error();
        good += replay(&runs[i]);
    }
    print_message("# replayed %d of %d runs\n", good, all);
    assert_int_equal(good, all);
}

/* ---- gradients ---- */

typedef struct seen {
    float values[8000];
    int64_t count;
} seen;

static cn_status keep_gradients(float *gradients, int64_t count, void *context)
{
    seen *s = context;
    s->count = count;
    memcpy(s->values, gradients, (size_t)count * sizeof *gradients);
    return CN_OK;
}

/* Of the first batch; `expected` becomes a model whose weights are the gradients. */
static void test_gradients(void **state)
{
    (void)state;
    static seen s;
    const run *r = &runs[0];
    cn_npz *npz = cn_npz_open(golden("%s", r->arrays));
    cn_npz *gradients = cn_npz_open(golden("keras1-theano/05_grads_first_batch.npz"));
    cn_model *model = load(r->model), *expected = load(r->model);
    cn_array *x = cn_npz_read(npz, "X"), *y = cn_npz_read(npz, "Y");
    cn_array *some_x = rows_of(x, 0, r->batch_size), *some_y = rows_of(y, 0, r->batch_size);
    set_weights(model, 1, npz, "w_before");
    set_weights(expected, 1, gradients, "grad");
    assert_int_equal(cn_compile(model, .optimizer = "sgd", .loss = {"categorical_crossentropy"}),
                     CN_OK);
    assert_int_equal(cn_model_set_gradient_hook(model, keep_gradients, &s), CN_OK);
    assert_int_equal(cn_model_train_on_batch(model, cn_arrays(some_x), cn_arrays(some_y),
                                             (cn_array_list){0}, NULL, NULL),
                     CN_OK);
    const cn__optimizer *optimizer = cn__model_compiled(model)->optimizer;
    int number = 0;
    bool good = true;
    for (int i = 0; i < cn_model_layer_count(expected); i++)
        for (int j = 0; j < cn_layer_weight_count(cn_model_layer(expected, i)); j++) {
            const cn_array *wanted = cn_layer_weight(cn_model_layer(expected, i), j);
            int64_t at = cn__optimizer_offset(optimizer, number++);
            good = same_values("gradient", s.values + at, cn_array_const_floats(wanted),
                               cn_array_count(wanted), 0) &&
                   good;
        }
    assert_int_equal(number, 8);
    assert_true(good);
    cn_array_free(x);
    cn_array_free(y);
    cn_array_free(some_x);
    cn_array_free(some_y);
    cn_model_free(model);
    cn_model_free(expected);
    cn_npz_close(npz);
    cn_npz_close(gradients);
}

/* ---- two outputs: the network of the question that Cornu answers, made small ---- */

#define QUESTION "keras1-theano/04_two_outputs"
static const char *const logged[] = {"loss", "activation_12_loss", "deconv_out_loss"};

typedef struct question {
    cn_npz *npz;
    cn_model *model;
    cn_array *x, *y;
} question;

static question ask(void)
{
    question q = {.npz = cn_npz_open(golden(QUESTION ".npz")), .model = load(QUESTION ".json")};
    q.x = cn_npz_read(q.npz, "X");
    q.y = cn_npz_read(q.npz, "Y");
    set_weights(q.model, 1, q.npz, "before");
    assert_int_equal(cn_compile(q.model, .optimizer = "adam(version=1)",
                                .loss = {"categorical_crossentropy", "mse"}),
                     CN_OK);
    return q;
}

static void release(question *q)
{
    cn_array_free(q->x);
    cn_array_free(q->y);
    cn_model_free(q->model);
    cn_npz_close(q->npz);
}

static bool predicts(const question *q, const char *when)
{
    cn_array *out[2] = {NULL};
    bool good = cn_model_predict(q->model, (const cn_array *const *)&q->x, out, 0, NULL) == CN_OK;
    for (int i = 0; good && i < 2; i++) {
        char name[40];
        (void)snprintf(name, sizeof name, "pred%d_%s", i, when);
        cn_array *wanted = cn_npz_read(q->npz, name);
        cn_array *some = rows_of(out[i], 0, cn_array_shape(wanted)->dim[0]);
        good = same_array(name, some, wanted) && good;
        cn_array_free(some);
        cn_array_free(wanted);
    }
    cn_array_free(out[0]);
    cn_array_free(out[1]);
    return good;
}

/* Eight steps on four batches of ten. */
static void test_two_outputs(void **state)
{
    (void)state;
    question q = ask();
    cn_array *losses = cn_npz_read(q.npz, "losses");
    assert_true(predicts(&q, "before"));
    for (int step = 0; step < 8; step++) {
        cn_array *x = rows_of(q.x, step % 4 * 10, 10), *y = rows_of(q.y, step % 4 * 10, 10);
        cn_logs logs;
        assert_int_equal(cn_model_train_on_batch(q.model, cn_arrays(x), cn_arrays(y, x),
                                                 (cn_array_list){0}, &logs, NULL),
                         CN_OK);
        for (int i = 0; i < 3; i++)
            assert_true(same_number(logged[i], cn_logs_get(logs, logged[i]),
                                    (double)cn_array_const_floats(losses)[step * 3 + i]));
        cn_array_free(x);
        cn_array_free(y);
    }
    cn_model *wanted = load(QUESTION ".json");
    set_weights(wanted, 1, q.npz, "after");
    assert_true(same_weights("two outputs", q.model, wanted, -1));
    assert_true(predicts(&q, "after"));
    cn_model_free(wanted);
    cn_array_free(losses);
    release(&q);
}

/* The history that Keras' fit() gave of two epochs. */
static void test_fit(void **state)
{
    (void)state;
    question q = ask();
    json_t *wanted = json_load_file(golden(QUESTION "_fit_history.json"), 0, NULL);
    assert_non_null(wanted);
    assert_int_equal(cn_fit(q.model, cn_arrays(q.x), cn_arrays(q.y, q.x), .batch_size = 10,
                            .epochs = 2, .shuffle = CN_FALSE),
                     CN_OK);
    const cn_history *history = cn_model_history(q.model);
    assert_int_equal(cn_history_epochs(history), 2);
    assert_int_equal(cn_history_count(history), 3);
    for (int i = 0; i < 3; i++)
        for (int epoch = 0; epoch < 2; epoch++) {
            const double *values = cn_history_values(history, logged[i]);
            const json_t *list = json_object_get(wanted, logged[i]);
            assert_non_null(values);
            assert_true(same_number(logged[i], values[epoch],
                                    json_number_value(json_array_get(list, (size_t)epoch))));
        }
    assert_true(predicts(&q, "after"));
    json_decref(wanted);
    release(&q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_runs),
        cmocka_unit_test(test_gradients),
        cmocka_unit_test(test_two_outputs),
        cmocka_unit_test(test_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
