/* Training runs of Keras 3.15 (golden/keras3/train), made again: every loss, the weights and the
 * optimizer's state after the last step, predictions, the loss in evaluation, and three more steps
 * for the runs that Keras resumed from a file. */
#include "models/replay.h"
#include "models/training.h"

enum { batch_size = 8, resumed_steps = 3 };

typedef struct run {
    const char *name;
    const char *optimizer;
    const char *loss;                        /* = "categorical_crossentropy" */
    cn_model *(*net)(const struct run *run); /* = the small network below */
    const char *data;                        /* = "train" */
    int steps;                               /* = 6 */
    const char *regularizer; /* of the kernels of convolutions, and of the dense layer's bias */
    const char *constraint;  /* of the first kernel */
    bool labels;             /* targets are numbers of classes */
    bool weighted;           /* samples have the weights 0 to 2 */
    bool follows_roundings;  /* the idle bias does: see replay.h */
} run;

/* ---- networks ---- */

static cn_model *small_network(const run *r)
{
    return cn_sequential(
        cn_input({8, 8, 2}),
        cn_conv2d(4, {3, 3}, .padding = CN_SAME, .activation = "relu",
                  .kernel_regularizer = r->regularizer, .kernel_constraint = r->constraint),
        cn_max_pooling2d({2, 2}),
        cn_conv2d(6, {3, 3}, .strides = {2, 2}, .padding = CN_SAME,
                  .kernel_regularizer = r->regularizer),
        cn_batch_normalization(), cn_leaky_relu(.negative_slope = 0.2F),
        cn_conv2d_transpose(3, {3, 3}, .strides = {2, 2}, .padding = CN_SAME, .activation = "relu",
                            .kernel_regularizer = r->regularizer),
        cn_flatten(), cn_dense(4, .activation = "softmax", .bias_regularizer = r->regularizer));
}

static cn_model *autoencoder(const run *r)
{
    (void)r;
    return cn_sequential(
        cn_input({8, 8, 1}),
        cn_conv2d(4, {3, 3}, .strides = {2, 2}, .padding = CN_SAME, .activation = "relu"),
        cn_conv2d(4, {3, 3}, .strides = {2, 2}, .padding = CN_SAME, .activation = "relu"),
        cn_conv2d_transpose(4, {3, 3}, .strides = {2, 2}, .padding = CN_SAME, .activation = "relu"),
        cn_conv2d_transpose(4, {3, 3}, .strides = {2, 2}, .padding = CN_SAME, .activation = "relu"),
        cn_conv2d(1, {3, 3}, .padding = CN_SAME, .activation = "sigmoid"));
}

static cn_model *generator(const run *r)
{
    (void)r;
    return cn_sequential(
        cn_input({6}), cn_dense(24, .use_bias = CN_FALSE), cn_batch_normalization(),
        cn_leaky_relu(), cn_reshape({2, 2, 6}),
        cn_conv2d_transpose(4, {5, 5}, .strides = {2, 2}, .padding = CN_SAME, .use_bias = CN_FALSE),
        cn_batch_normalization(), cn_leaky_relu(),
        cn_conv2d_transpose(3, {4, 4}, .strides = {2, 2}, .padding = CN_SAME, .activation = "tanh"),
        cn_conv2d_transpose(2, {3, 3}, .strides = {2, 2}, .output_padding = {1, 1}),
        cn_conv2d_transpose(1, {3, 3}, .padding = CN_SAME, .dilation_rate = {2, 2}));
}

static cn_model *zoo(const run *r)
{
    (void)r;
    return cn_model_load(golden("keras3/train/zoo_before.keras"), NULL);
}

/* ---- the runs ---- */

#define SGD "SGD(learning_rate=0.05)"
#define SCHEDULED(schedule) "SGD(learning_rate=" schedule ")"

static const run runs[] = {
    {.name = "sgd", .optimizer = SGD},
    {.name = "sgd_momentum", .optimizer = "SGD(learning_rate=0.05, momentum=0.9)"},
    {.name = "sgd_nesterov", .optimizer = "SGD(learning_rate=0.05, momentum=0.9, nesterov=True)"},
    {.name = "sgd_clipnorm", .optimizer = "SGD(learning_rate=0.05, clipnorm=0.3)"},
    {.name = "sgd_gclip", .optimizer = "SGD(learning_rate=0.05, global_clipnorm=0.5)"},
    {.name = "sgd_clipvalue", .optimizer = "SGD(learning_rate=0.05, clipvalue=0.02)"},
    {.name = "sgd_wd", .optimizer = "SGD(learning_rate=0.05, weight_decay=0.01)"},
    {.name = "sgd_ema", .optimizer = "SGD(learning_rate=0.05, use_ema=True, ema_momentum=0.9)"},
    {.name = "sgd_expdecay",
     .optimizer = SCHEDULED("ExponentialDecay(initial_learning_rate=0.05, decay_steps=2, "
                            "decay_rate=0.5, staircase=True)")},
    {.name = "sgd_poly",
     .optimizer = SCHEDULED("PolynomialDecay(initial_learning_rate=0.05, decay_steps=4, "
                            "end_learning_rate=0.001, power=2.0)")},
    {.name = "sgd_cos",
     .optimizer = SCHEDULED("CosineDecay(initial_learning_rate=0.05, decay_steps=5, alpha=0.1, "
                            "warmup_target=0.1, warmup_steps=2)")},
    {.name = "sgd_piece",
     .optimizer =
         SCHEDULED("PiecewiseConstantDecay(boundaries=[2, 4], values=[0.05, 0.02, 0.01])")},
    {.name = "sgd_invtime",
     .optimizer = SCHEDULED("InverseTimeDecay(initial_learning_rate=0.05, decay_steps=2, "
                            "decay_rate=0.5)")},
    {.name = "sgd_cosrestart",
     .optimizer =
         SCHEDULED("CosineDecayRestarts(initial_learning_rate=0.05, first_decay_steps=2)")},
    {.name = "adam", .optimizer = "Adam(learning_rate=0.01)", .follows_roundings = true},
    {.name = "adam_amsgrad",
     .optimizer = "Adam(learning_rate=0.01, amsgrad=True)",
     .follows_roundings = true},
    {.name = "adam_defaults", .optimizer = "adam", .follows_roundings = true},
    {.name = "adamw", .optimizer = "AdamW(learning_rate=0.01)", .follows_roundings = true},
    {.name = "rmsprop", .optimizer = "RMSprop(learning_rate=0.01)", .follows_roundings = true},
    {.name = "rmsprop_mc",
     .optimizer = "RMSprop(learning_rate=0.01, rho=0.8, momentum=0.9, centered=True)",
     .follows_roundings = true},
    {.name = "adagrad", .optimizer = "Adagrad(learning_rate=0.05)"},
    {.name = "adadelta", .optimizer = "Adadelta(learning_rate=1.0)"},
    {.name = "adamax", .optimizer = "Adamax(learning_rate=0.01)", .follows_roundings = true},
    {.name = "nadam", .optimizer = "Nadam(learning_rate=0.01)", .follows_roundings = true},
    {.name = "ftrl",
     .optimizer = "Ftrl(learning_rate=0.05, l1_regularization_strength=0.001, "
                  "l2_regularization_strength=0.01, beta=0.1)"},
    {.name = "lion", .optimizer = "Lion(learning_rate=0.002)", .follows_roundings = true},
    {.name = "adafactor", .optimizer = "Adafactor(learning_rate=0.01)", .follows_roundings = true},
    {.name = "lamb", .optimizer = "Lamb(learning_rate=0.01)", .follows_roundings = true},
    {.name = "sgd_l2", .optimizer = SGD, .regularizer = "L2(l2=0.01)"},
    {.name = "sgd_l1l2", .optimizer = SGD, .regularizer = "L1L2(l1=0.001, l2=0.01)"},
    {.name = "sgd_maxnorm",
     .optimizer = "SGD(learning_rate=0.5)",
     .constraint = "MaxNorm(max_value=0.5, axis=[0, 1, 2])"},
    {.name = "sgd_unitnorm", .optimizer = SGD, .constraint = "UnitNorm(axis=[0, 1, 2])"},
    {.name = "sgd_nonneg", .optimizer = SGD, .constraint = "NonNeg"},
    {.name = "sgd_minmax",
     .optimizer = SGD,
     .constraint = "MinMaxNorm(min_value=0.5, max_value=1.0, rate=0.5, axis=[0, 1, 2])"},
    {.name = "sgd_mse", .optimizer = SGD, .loss = "mse"},
    {.name = "sgd_kld", .optimizer = SGD, .loss = "kl_divergence"},
    {.name = "sgd_cce_ls",
     .optimizer = SGD,
     .loss = "CategoricalCrossentropy(label_smoothing=0.1)"},
    {.name = "sgd_focal", .optimizer = SGD, .loss = "categorical_focal_crossentropy"},
    {.name = "sgd_sw", .optimizer = SGD, .weighted = true},
    {.name = "sgd_sparse",
     .optimizer = SGD,
     .loss = "sparse_categorical_crossentropy",
     .labels = true},
    {.name = "ae_adam_bce",
     .optimizer = "Adam(learning_rate=0.01)",
     .loss = "binary_crossentropy",
     .net = autoencoder,
     .data = "ae",
     .steps = 8},
    {.name = "gen_rmsprop_mae",
     .optimizer = "RMSprop(learning_rate=0.005)",
     .loss = "mae",
     .net = generator,
     .data = "gen"},
    {.name = "zoo_sgd",
     .optimizer = "SGD(learning_rate=0.1)",
     .net = zoo,
     .data = "zoo",
     .steps = 4},
};

/* ---- one run ---- */

typedef struct replay {
    const run *run;
    cn_model *model;
    cn_npz *data, *npz; /* what was given, and what Keras made of it */
    cn_array *x, *y, *weights;
} replay;

static cn_array *classes_of(const cn_array *rows)
{
    const cn_shape *shape = cn_array_shape(rows);
    cn_array *classes = cn_array_new(CN_INT32, &(cn_shape){1, {shape->dim[0]}});
    const float *row = cn_array_const_floats(rows);
    for (int64_t i = 0; i < shape->dim[0]; i++, row += shape->dim[1])
        for (int j = 0; j < shape->dim[1]; j++)
            if (row[j] > row[cn_array_ints(classes)[i]])
                cn_array_ints(classes)[i] = j;
    return classes;
}

static cn_array *weights_from_0_to_2(int64_t count)
{
    cn_array *weights = cn_array_new(CN_FLOAT32, &(cn_shape){1, {count}});
    for (int64_t i = 0; i < count; i++)
        cn_array_floats(weights)[i] = (float)(2 * (double)i / (double)(count - 1));
    return weights;
}

static void read_data(replay *p)
{
    p->x = cn_npz_read(p->data, "x");
    p->y = cn_npz_read(p->data, "t");
    if (p->y == NULL)
        p->y = cn_array_copy(p->x);
    if (p->run->labels) {
        cn_array *classes = classes_of(p->y);
        cn_array_free(p->y);
        p->y = classes;
    }
    if (p->run->weighted)
        p->weights = weights_from_0_to_2(cn_array_shape(p->x)->dim[0]);
}

/* Sets the weights from the arrays PREFIX000:..., PREFIX001:... in the order of the layers. */
static bool set_weights(cn_model *model, cn_npz *npz, const char *prefix)
{
    int number = 0;
    bool good = true;
    for (int i = 0; i < cn_model_layer_count(model); i++) {
        cn_layer *layer = cn_model_layer(model, i);
        for (int j = 0; j < cn_layer_weight_count(layer); j++) {
            cn_array *value = read_beginning(npz, "%s%03d", prefix, number++);
            good = good && cn_layer_set_weight(layer, j, value) == CN_OK;
            cn_array_free(value);
        }
    }
    return good;
}

static bool begin(replay *p, const run *r)
{
    const char *data = r->data != NULL ? r->data : "train";
    *p = (replay){.run = r,
                  .model = r->net != NULL ? r->net(r) : small_network(r),
                  .data = cn_npz_open(golden("keras3/train/%s_data.npz", data)),
                  .npz = cn_npz_open(golden("keras3/train/%s.npz", r->name))};
    if (p->model == NULL || p->data == NULL || p->npz == NULL)
        return false;
    read_data(p);
    bool own = r->data != NULL;
    return set_weights(p->model, own ? p->npz : p->data, own ? "before" : "w") &&
           cn_compile(p->model, .optimizer = r->optimizer,
                      .loss = {r->loss != NULL ? r->loss : "categorical_crossentropy"}) == CN_OK;
}

static void end(replay *p)
{
    cn_model_free(p->model);
    cn_npz_close(p->data);
    cn_npz_close(p->npz);
    cn_array_free(p->x);
    cn_array_free(p->y);
    cn_array_free(p->weights);
}

/* Trains on batch number `step` of the data that are gone through again and again. */
static double train(const replay *p, cn_model *model, int step)
{
    int64_t batches = cn_array_shape(p->x)->dim[0] / batch_size,
            first = step % batches * batch_size;
    cn_array *x = rows_of(p->x, first, batch_size), *y = rows_of(p->y, first, batch_size);
    cn_array *weights = rows_of(p->weights, first, batch_size);
    cn_logs logs = {0};
    cn_status status = cn_model_train_on_batch(
        model, cn_arrays(x), cn_arrays(y),
        weights != NULL ? cn_arrays(weights) : (cn_array_list){0}, &logs, NULL);
    double loss = status == CN_OK ? cn_logs_get(logs, "loss") : (double)NAN;
    cn_array_free(x);
    cn_array_free(y);
    cn_array_free(weights);
    return loss;
}

static bool train_and_compare(const replay *p, cn_model *model, int steps, const char *losses)
{
    cn_array *wanted = cn_npz_read(p->npz, losses);
    bool good = wanted != NULL && cn_array_count(wanted) == steps;
    for (int step = 0; good && step < steps; step++) {
        char what[120];
        (void)snprintf(what, sizeof what, "%s: %s: step %d", p->run->name, losses, step);
        good =
            same_number(what, train(p, model, step), (double)cn_array_const_floats(wanted)[step]);
    }
    cn_array_free(wanted);
    return good;
}

/* ---- after it ---- */

/* Idle weights become Keras': in evaluation they matter. */
static bool compare_weights(const replay *p, cn_model *model, const char *prefix)
{
    int number = 0, idle = p->run->follows_roundings ? idle_layer(model) : -1;
    bool good = true;
    for (int i = 0; i < cn_model_layer_count(model); i++) {
        cn_layer *layer = cn_model_layer(model, i);
        for (int j = 0; j < cn_layer_weight_count(layer); j++) {
            char what[200];
            const char *weight = cn_layer_weight_name(layer, j);
            cn_array *wanted = read_beginning(p->npz, "%s%03d", prefix, number++);
            (void)snprintf(what, sizeof what, "%s: %s: %s/%s", p->run->name, prefix,
                           cn_layer_name(layer), weight);
            if (is_idle(idle, i, weight))
                good = cn_layer_set_weight(layer, j, wanted) == CN_OK && good;
            else
                good = same_array(what, cn_layer_weight(layer, j), wanted) && good;
            cn_array_free(wanted);
        }
    }
    return good;
}

static bool compare_slot(const replay *p, const cn__optimizer_variable *v, const cn_array *wanted,
                         const char *what)
{
    const cn__optimizer *optimizer = cn__model_compiled(p->model)->optimizer;
    bool is_int = cn_array_dtype(wanted) == CN_INT32;
    if (v->is_iteration)
        return same_number(what, (double)cn__optimizer_iterations(optimizer),
                           (double)cn_array_const_ints(wanted)[0]);
    if (v->is_rate)
        return same_number(what, cn__optimizer_learning_rate(optimizer),
                           (double)cn_array_const_floats(wanted)[0]);
    if (is_int) /* a slot that Adafactor has no use for */
        return cn_array_shape(wanted)->rank == 0;
    if (cn_shape_count(&v->shape) != cn_array_count(wanted)) {
        print_error("%s: has another shape\n", what);
        return false;
    }
    int idle = idle_layer(p->model);
    char bias[120] = "no bias";
    if (idle >= 0)
        (void)snprintf(bias, sizeof bias, "%s_bias", cn_layer_name(cn_model_layer(p->model, idle)));
    bool idles = strncmp(v->name, bias, strlen(bias)) == 0;
    return same_values(what, v->values, cn_array_const_floats(wanted), cn_array_count(wanted),
                       idles ? 0.1 : 0);
}

/* The variables of the optimizer, each in Keras' order, and called as Keras calls them. */
static bool compare_optimizer(const replay *p)
{
    const cn__optimizer *optimizer = cn__model_compiled(p->model)->optimizer;
    int count = cn__optimizer_variable_count(optimizer), number = 0;
    bool good = true;
    for (size_t i = 0; i < cn_npz_count(p->npz); i++) {
        const char *name = cn_npz_name(p->npz, i);
        char what[500];
        if (strncmp(name, "opt", 3) != 0)
            continue;
        cn__optimizer_variable v = {0};
        if (number < count)
            cn__optimizer_variable_at(optimizer, number, &v);
        number++;
        cn_array *wanted = cn_npz_read(p->npz, name);
        (void)snprintf(what, sizeof what, "%s: %s (%s)", p->run->name, v.name, name);
        good = number <= count && compare_slot(p, &v, wanted, what) && good;
        cn_array_free(wanted);
    }
    if (number != count)
        print_error("%s: keeps %d variables, not %d\n", p->run->name, count, number);
    return good && number == count;
}

static bool compare_evaluation(const replay *p)
{
    char what[120];
    cn_array *loss = cn_npz_read(p->npz, "eval_loss"), *pred = cn_npz_read(p->npz, "pred");
    cn_logs logs = {0};
    bool good = cn_model_evaluate(p->model, cn_arrays(p->x), cn_arrays(p->y), batch_size, &logs,
                                  NULL) == CN_OK;
    (void)snprintf(what, sizeof what, "%s: eval_loss", p->run->name);
    good = good &&
           same_number(what, cn_logs_get(logs, "loss"), (double)cn_array_const_floats(loss)[0]);
    (void)snprintf(what, sizeof what, "%s: pred", p->run->name);
    good = same_prediction(what, p->model, p->x, pred) && good;
    cn_array_free(loss);
    cn_array_free(pred);
    return good;
}

static bool was_resumed(const replay *p)
{
    cn_array *losses = cn_npz_read(p->npz, "resume_losses");
    cn_array_free(losses);
    cn_clear_error();
    return losses != NULL;
}

/* What Keras did after it had read the file that it had written. */
static bool go_on(const replay *p, cn_model *model)
{
    return train_and_compare(p, model, resumed_steps, "resume_losses") &&
           compare_weights(p, model, "resumed");
}

/* The same with what is read from Keras' file, if there is one of that kind. */
static bool go_on_from_file(const replay *p, const char *ending)
{
    const char *path = golden("keras3/train/%s.%s", p->run->name, ending);
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return true;
    (void)fclose(file);
    cn_model *model = cn_model_load(path, NULL);
    bool good = model != NULL && cn_model_is_compiled(model) && go_on(p, model);
    if (!good)
        print_error("%s.%s: %s\n", p->run->name, ending, cn_error_message());
    cn_model_free(model);
    return good;
}

static bool resume(const replay *p)
{
    return !was_resumed(p) ||
           (go_on(p, p->model) && go_on_from_file(p, "keras") && go_on_from_file(p, "h5"));
}

static bool replay_run(const run *r)
{
    replay p;
    bool good = begin(&p, r);
    if (!good)
        print_error("%s: %s\n", r->name, cn_error_message());
    good = good && train_and_compare(&p, p.model, r->steps > 0 ? r->steps : 6, "losses");
    if (good) {
        good = compare_weights(&p, p.model, "after");
        good = compare_optimizer(&p) && good;
        good = compare_evaluation(&p) && good;
        good = resume(&p) && good;
    }
    end(&p);
    return good;
}

static void test_runs(void **state)
{
    (void)state;
    int good = 0, all = (int)CN__COUNT(runs);
    for (int i = 0; i < all; i++) {
        cn_clear_error();
        good += replay_run(&runs[i]);
    }
    print_message("# replayed %d of %d runs\n", good, all);
    assert_int_equal(good, all);
}

/* ---- two outputs ---- */

/* Of four steps on the same batch, before each. */
static const char *const logged[] = {"loss", "cls_loss", "recon_loss", "cls_accuracy", "recon_mae"};
static const double logs_of_keras[4][5] = {
    {1.507318139076233, 1.4609297513961792, 0.09277675300836563, 0.25, 0.2621760964393616},
    {1.4598722457885742, 1.4136496782302856, 0.09244506806135178, 0.25, 0.26180940866470337},
    {1.4098352193832397, 1.36381196975708, 0.09204649180173874, 0.25, 0.2613424062728882},
    {1.3693381547927856, 1.323443055152893, 0.09179022908210754, 0.5, 0.2610322833061218},
};

static bool same_logs(int step, cn_logs logs)
{
    bool good = true;
    for (int i = 0; i < 5; i++) {
        char what[80];
        (void)snprintf(what, sizeof what, "step %d: %s", step, logged[i]);
        good = same_number(what, cn_logs_get(logs, logged[i]), logs_of_keras[step][i]) && good;
    }
    return good;
}

static void test_two_outputs(void **state)
{
    (void)state;
    run r = {.name = "two outputs"};
    replay p = {.run = &r,
                .model = cn_model_load(golden("keras3/h_multi_output.keras"), NULL),
                .npz = cn_npz_open(golden("keras3/h_multi_output.npz"))};
    cn_array *x = cn_npz_read(p.npz, "x_train"), *t = cn_npz_read(p.npz, "t");
    cn_array *x0 = cn_npz_read(p.npz, "x0"), *out[2] = {NULL};
    cn_logs logs;
    assert_true(set_weights(p.model, p.npz, "before"));
    assert_int_equal(cn_compile(p.model, .optimizer = "SGD(learning_rate=0.05, momentum=0.9)",
                                .loss = {"categorical_crossentropy", "mse"},
                                .loss_weights = {1, 0.5F},
                                .metrics = {"cls:accuracy", "recon:mae"}),
                     CN_OK);
    assert_int_equal(cn_model_evaluate(p.model, cn_arrays(x), cn_arrays(t, x), 5, &logs, NULL),
                     CN_OK);
    assert_true(same_logs(0, logs));
    for (int step = 0; step < 4; step++) {
        assert_int_equal(cn_model_train_on_batch(p.model, cn_arrays(x), cn_arrays(t, x),
                                                 (cn_array_list){0}, &logs, NULL),
                         CN_OK);
        assert_true(same_logs(step, logs));
    }
    assert_true(compare_weights(&p, p.model, "after"));
    assert_int_equal(cn_model_predict(p.model, (const cn_array *const *)&x0, out, 0, NULL), CN_OK);
    for (int i = 0; i < 2; i++) {
        cn_array *wanted = cn_npz_read(p.npz, i == 0 ? "y0" : "y1");
        assert_true(same_array("y", out[i], wanted));
        cn_array_free(wanted);
        cn_array_free(out[i]);
    }
    cn_array_free(x);
    cn_array_free(t);
    cn_array_free(x0);
    end(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_runs),
        cmocka_unit_test(test_two_outputs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
