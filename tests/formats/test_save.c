/* What is saved for Keras: models that Keras wrote are loaded, saved and loaded again, and must
 * then be the same to the bit; their configurations are compared with Keras' own. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "cornu/formats.h"
#include "formats/keras.h"
#include "unit/failing.h"
#include "unit/temporary.h"

static const char *golden(const char *name)
{
    static char paths[4][600];
    static unsigned turn;
    char *path = paths[turn++ % 4];
    (void)snprintf(path, sizeof paths[0], "%s/%.300s", CN_TEST_GOLDEN, name);
    return path;
}

/* ---- predictions ---- */

enum { most_arrays = 64 };

typedef struct arrays {
    int count;
    cn_array *items[most_arrays];
} arrays;

static void free_arrays(arrays *a)
{
    for (int i = 0; i < a->count; i++)
        cn_array_free(a->items[i]);
    a->count = 0;
}

static bool predict(cn_model *model, const arrays *in, arrays *out)
{
    out->count = 0;
    if (model == NULL || in->count != cn_model_inputs(model).count ||
        cn_model_outputs(model).count > most_arrays ||
        cn_model_predict(model, (const cn_array *const *)in->items, out->items, 0, NULL) != CN_OK)
        return false;
    out->count = cn_model_outputs(model).count;
    return true;
}

static bool same_bits(const cn_array *a, const cn_array *b)
{
    return cn_shape_equal(cn_array_shape(a), cn_array_shape(b)) &&
           memcmp(cn_array_const_floats(a), cn_array_const_floats(b),
                  (size_t)cn_array_count(a) * sizeof(float)) == 0;
}

/* Whether the model, which is freed, predicts exactly that. */
static bool predicts(const char *what, cn_model *model, const arrays *in, const arrays *wanted)
{
    arrays out;
    bool good = predict(model, in, &out) && out.count == wanted->count;
    if (!good)
        print_error("%s: %s\n", what, cn_error_message());
    for (int i = 0; good && i < out.count; i++) {
        good = same_bits(out.items[i], wanted->items[i]);
        if (!good)
            print_error("%s: output %d is another\n", what, i);
    }
    free_arrays(&out);
    cn_model_free(model);
    return good;
}

/* ---- every golden model ---- */

static cn_model *saved_and_loaded(cn_model *model, const char *name)
{
    const char *path = temporary_path(name);
    return cn_model_save(model, path) == CN_OK ? cn_model_load(path, NULL) : NULL;
}

/* The configuration as text, of a model of that configuration as well. */
static cn_model *through_json(const cn_model *model, bool *same)
{
    char *text = cn_model_to_json(model), *again = NULL;
    cn_model *copy = text != NULL ? cn_model_from_json(text, NULL) : NULL;
    if (copy != NULL)
        again = cn_model_to_json(copy);
    *same = again != NULL && strcmp(text, again) == 0;
    cn_free_text(text);
    cn_free_text(again);
    return copy;
}

static bool check_saving(const char *what, cn_model *model, const arrays *in)
{
    arrays wanted;
    bool same = false;
    if (!predict(model, in, &wanted)) {
        print_error("%s: %s\n", what, cn_error_message());
        return false;
    }
    bool good = predicts("keras", saved_and_loaded(model, "m.keras"), in, &wanted);
    good = predicts("h5", saved_and_loaded(model, "m.h5"), in, &wanted) && good;
    cn_model *copy = through_json(model, &same);
    bool read = copy != NULL && cn_model_save(model, temporary_path("m.weights.h5")) == CN_OK &&
                cn_model_load_weights(copy, temporary_path("m.weights.h5"), NULL) == CN_OK;
    if (!read || !same)
        print_error("%s: the text differs, or: %s\n", what, cn_error_message());
    good = predicts("weights", copy, in, &wanted) && good && read && same;
    free_arrays(&wanted);
    return good;
}

static arrays read_inputs(const char *path, const char *names)
{
    arrays in = {0};
    char copy[600], *rest = copy;
    cn_npz *npz = cn_npz_open(golden(path));
    (void)snprintf(copy, sizeof copy, "%s", names);
    for (char *name; npz != NULL && (name = strtok_r(rest, ",", &rest)) != NULL;)
        in.items[in.count++] = cn_npz_read(npz, name);
    cn_npz_close(npz);
    return in;
}

/* Files of which Keras 3 cannot have all: `same` as on Theano with a stride or an even kernel, its
 * bilinear interpolation, the older hard sigmoid. */
static const char *const refused[] = {
    "keras2-theano/A_deconv_cf.h5",    "keras2-theano/A_deconv_cl.h5",
    "keras2-theano/B_conv_cf.h5",      "keras2-theano/B_conv_cl.h5",
    "keras2-theano/C_misc_cf.h5",      "keras2-theano/C_misc_cl.h5",
    "keras2-theano/D_depthwise_cf.h5", "keras2-theano/D_depthwise_cl.h5",
    "keras2-theano/F_dcgan_cf.h5",     "keras2-theano/E_unet_cl.h5",
    "keras2-theano/G_nested_cl.h5",    "keras2-tf/functional_2.12.keras",
    "keras2-tf/functional_2.14.keras", "keras2-tf/functional_2.14_windows.keras",
    "keras2-tf/functional_2.15.keras",
};

static bool is_refused(const char *name)
{
    for (size_t i = 0; i < CN__COUNT(refused); i++)
        if (strcmp(refused[i], name) == 0)
            return true;
    return false;
}

static bool check_model(char *columns[6])
{
    cn_model *model = cn_model_load(golden(columns[0]), NULL);
    arrays in = read_inputs(columns[1], columns[2]);
    bool good = false;
    if (model == NULL)
        print_error("%s: %s\n", columns[0], cn_error_message());
    else if (is_refused(columns[0]))
        good = cn_model_save(model, temporary_path("m.keras")) == CN_ERROR_UNSUPPORTED &&
               strstr(cn_error_message(), "layer ") != NULL;
    else
        good = check_saving(columns[0], model, &in);
    if (!good)
        print_error("%s is not saved as it should be\n", columns[0]);
    free_arrays(&in);
    cn_model_free(model);
    (void)count_temporary_files(1);
    return good;
}

static void test_models(void **state)
{
    (void)state;
    char line[1200];
    int good = 0, all = 0;
    FILE *list = fopen(golden("models.txt"), "rb");
    assert_non_null(list);
    while (fgets(line, sizeof line, list) != NULL) {
        char *columns[6] = {NULL}, *rest = line;
        for (int i = 0; i < 6; i++)
            columns[i] = strtok_r(rest, "\t\n", &rest);
        assert_non_null(columns[5]);
        if (strcmp(columns[4], "-") != 0)
            continue;
        cn_clear_error();
        all++;
        good += check_model(columns);
    }
    (void)fclose(list);
    print_message("# models: %d of %d\n", good, all);
    assert_int_equal(good, all);
}

/* ---- configurations beside Keras' ---- */

static bool is_within(const json_t *ours, const json_t *keras, const char *where);

static bool object_is_within(const json_t *ours, const json_t *keras, const char *where)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)ours, key, value)
    {
        const json_t *other = json_object_get(keras, key);
        /* Newer versions have objects here. */
        if (strcmp(key, "dtype") == 0 && json_is_object(other))
            continue;
        if (other == NULL || !is_within(value, other, key)) {
            print_error("%s: %s %s\n", where, key, other == NULL ? "is not in Keras' file" : "");
            return false;
        }
    }
    return true;
}

/* Keras since 3.11 tells a single tensor without the list around it; LayerNormalization's axis is a
 * list of one. */
static const json_t *alone(const json_t *value)
{
    return json_is_array(value) && json_array_size(value) == 1 ? json_array_get(value, 0) : value;
}

/* Whether all that is in `ours` is in `keras`, too. */
static bool is_within(const json_t *ours, const json_t *keras, const char *where)
{
    ours = alone(ours);
    keras = alone(keras);
    if (json_is_number(ours) && json_is_number(keras))
        return json_number_value(ours) == json_number_value(keras);
    if (json_is_object(ours) && json_is_object(keras))
        return object_is_within(ours, keras, where);
    if (!json_is_array(ours) || json_array_size(ours) != json_array_size(keras))
        return json_equal(ours, keras) != 0;
    for (size_t i = 0; i < json_array_size(ours); i++)
        if (!is_within(json_array_get(ours, i), json_array_get(keras, i), where))
            return false;
    return true;
}

static json_t *config_of(const char *path)
{
    cn__keras_parts parts;
    if (cn__keras_unzip(path, &parts) != CN_OK)
        return NULL;
    json_t *json = cn__json_parse(parts.config, parts.config_size);
    cn__free(parts.config);
    cn__free(parts.weights);
    return json;
}

static bool check_config(const char *name)
{
    cn_model *model = cn_model_load(golden(name), &(cn_load_options){.no_compile = true});
    bool good = model != NULL && cn_model_save(model, temporary_path("m.keras")) == CN_OK;
    json_t *ours = good ? config_of(temporary_path("m.keras")) : NULL;
    json_t *keras = config_of(golden(name));
    good = ours != NULL && keras != NULL && is_within(ours, keras, name);
    if (!good)
        print_error("%s: %s\n", name, cn_error_message());
    json_decref(ours);
    json_decref(keras);
    cn_model_free(model);
    return good;
}

static void test_configurations(void **state)
{
    (void)state;
    static const char *const names[] = {
        "keras3/a_cifar_cnn.keras",          "keras3/a_cifar_cnn_same.keras",
        "keras3/b_autoencoder.keras",        "keras3/c_dcgan_discriminator.keras",
        "keras3/c_dcgan_generator.keras",    "keras3/d_unet.keras",
        "keras3/g_nested_functional.keras",  "keras3/g_nested_shared.keras",
        "keras3/g_seq_in_seq.keras",         "keras3/h_multi_output.keras",
        "keras3/single/up1d_zp_crop.keras",  "keras3/single/up3d.keras",
        "keras3/single/conv1d_causal.keras", "keras3/single/sepconv1d.keras",
        "keras3/single/dwconv1d.keras",      "keras3/single/gn.keras",
        "keras3/single/ln_axis.keras",       "keras3/single/prelu_full.keras",
        "keras3/single/resize_bil.keras",    "keras3/single/cf_deconv.keras",
        "keras3/single/gap1d.keras",         "keras3/versions/vm_3.15.1.keras",
    };
    for (size_t i = 0; i < CN__COUNT(names); i++)
        assert_true(check_config(names[i]));
}

/* ---- how a model is trained ---- */

/* Whether the optimizer has exactly the arrays opt000:..., opt001:... of the file. */
static bool has_slots(const cn_model *model, cn_npz *npz)
{
    const cn__optimizer *optimizer = cn__model_compiled(model)->optimizer;
    int count = 0;
    for (size_t i = 0; i < cn_npz_count(npz); i++) {
        const char *name = cn_npz_name(npz, i);
        if (strncmp(name, "opt", 3) != 0)
            continue;
        cn__optimizer_variable v;
        cn_array *array = cn_npz_read(npz, name);
        if (count >= cn__optimizer_variable_count(optimizer) || array == NULL)
            return cn_array_free(array), false;
        cn__optimizer_variable_at(optimizer, count++, &v);
        bool same;
        if (v.is_iteration)
            same = cn_array_const_ints(array)[0] == cn__optimizer_iterations(optimizer);
        else if (v.is_rate)
            same = cn_array_const_floats(array)[0] == (float)cn__optimizer_learning_rate(optimizer);
        else
            same = cn_shape_equal(&v.shape, cn_array_shape(array)) &&
                   memcmp(v.values, cn_array_const_floats(array),
                          (size_t)cn_array_count(array) * sizeof(float)) == 0;
        cn_array_free(array);
        if (!same) {
            print_error("%s is another\n", name);
            return false;
        }
    }
    return count == cn__optimizer_variable_count(optimizer);
}

static bool same_metrics(const struct cn__metric_list *a, const struct cn__metric_list *b)
{
    bool same = a->count == b->count;
    for (int i = 0; same && i < a->count; i++)
        same = strcmp(a->texts[i], b->texts[i]) == 0;
    return same;
}

/* Whether two models are trained alike. */
static bool same_training(const cn_model *a, const cn_model *b)
{
    const cn__compiled *p = cn__model_compiled(a), *q = cn__model_compiled(b);
    bool same =
        p != NULL && q != NULL && same_metrics(&p->metrics, &q->metrics) &&
        same_metrics(&p->weighted_metrics, &q->weighted_metrics) &&
        cn__optimizer_variable_count(p->optimizer) == cn__optimizer_variable_count(q->optimizer) &&
        cn__optimizer_iterations(p->optimizer) == cn__optimizer_iterations(q->optimizer) &&
        cn__optimizer_learning_rate(p->optimizer) == cn__optimizer_learning_rate(q->optimizer);
    for (int i = 0; same && i < cn_model_outputs(a).count; i++)
        same = (p->losses[i] == NULL) == (q->losses[i] == NULL) &&
               p->loss_weights[i] == q->loss_weights[i];
    for (int i = 0; same && i < cn__optimizer_variable_count(p->optimizer); i++) {
        cn__optimizer_variable x, y;
        cn__optimizer_variable_at(p->optimizer, i, &x);
        cn__optimizer_variable_at(q->optimizer, i, &y);
        same = x.values == NULL ||
               memcmp(x.values, y.values, (size_t)cn_shape_count(&x.shape) * sizeof(float)) == 0;
    }
    return same;
}

static bool check_saved_training(cn_model *model, const char *name)
{
    cn_model *copy = saved_and_loaded(model, name);
    bool same = copy != NULL && same_training(model, copy);
    if (!same)
        print_error("%s: the training is another: %s\n", name, cn_error_message());
    cn_model_free(copy);
    return same;
}

static void test_training_of_keras_3(void **state)
{
    (void)state;
    static const char *const names[] = {"sgd_momentum", "adam",         "adamw",      "rmsprop",
                                        "adadelta",     "sgd_expdecay", "ae_adam_bce"};
    static const char *const endings[] = {"keras", "h5"};
    for (size_t i = 0; i < 2 * CN__COUNT(names); i++) {
        char model_path[100], arrays_path[100];
        struct stat info;
        (void)snprintf(model_path, sizeof model_path, "keras3/train/%s.%s", names[i / 2],
                       endings[i % 2]);
        (void)snprintf(arrays_path, sizeof arrays_path, "keras3/train/%s.npz", names[i / 2]);
        if (stat(golden(model_path), &info) != 0)
            continue; /* not every run was saved as .h5, too */
        cn_model *model = cn_model_load(golden(model_path), NULL);
        cn_npz *npz = cn_npz_open(golden(arrays_path));
        print_message("# %s\n", model_path);
        assert_non_null(model);
        assert_non_null(npz);
        assert_true(cn_model_is_compiled(model));
        assert_true(has_slots(model, npz));
        assert_true(check_saved_training(model, "t.keras"));
        assert_true(check_saved_training(model, "t.h5"));
        cn_npz_close(npz);
        cn_model_free(model);
    }
}

static void test_several_outputs(void **state)
{
    (void)state;
    static const char *const names[] = {"keras3/h_multi_output.keras", "keras3/h_multi_output.h5"};
    for (size_t i = 0; i < CN__COUNT(names); i++) {
        cn_model *model = cn_model_load(golden(names[i]), NULL);
        assert_non_null(model);
        const cn__compiled *c = cn__model_compiled(model);
        assert_non_null(c);
        assert_string_equal(c->losses[0], "categorical_crossentropy");
        assert_string_equal(c->losses[1], "mse");
        assert_true(c->loss_weights[0] == 1 && c->loss_weights[1] == 0.5);
        assert_int_equal(c->metrics.count, 2);
        assert_string_equal(c->metrics.texts[0], "cls:accuracy");
        assert_string_equal(c->metrics.texts[1], "recon:mae");
        assert_true(check_saved_training(model, "t.keras"));
        assert_true(check_saved_training(model, "t.h5"));
        cn_model_free(model);
    }
}

static void test_training_of_older_keras(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int64_t iterations;
        int arrays; /* that are not 0 */
    } files[] = {
        {"keras1-theano/05_optim_adam_after12steps.h5", 12, 16},
        {"keras1-theano/05_optim_sgd_momentum_after12steps.h5", 0, 8}, /* which did not count */
        {"keras1-theano/05_optim_rmsprop_after12steps.h5", 0, 8},
        {"keras1-theano/04_two_outputs_after8steps.h5", 8, 28},
        {"keras2-theano/H_train_adam_after8steps.h5", 8, 20},
        {"keras2-theano/H_train_sgd_momentum_after8steps.h5", 8, 10},
        {"keras2-theano/H_train_rmsprop_after8steps.h5", 8, 10},
    };
    for (size_t i = 0; i < CN__COUNT(files); i++) {
        print_message("# %s\n", files[i].name);
        cn_model *model = cn_model_load(golden(files[i].name), NULL);
        assert_non_null(model);
        assert_true(cn_model_is_compiled(model));
        const cn__optimizer *o = cn__model_compiled(model)->optimizer;
        assert_int_equal(cn__optimizer_iterations(o), files[i].iterations);
        int filled = 0;
        for (int j = 0; j < cn__optimizer_variable_count(o); j++) {
            cn__optimizer_variable v;
            cn__optimizer_variable_at(o, j, &v);
            bool any = false;
            for (int64_t n = 0; v.values != NULL && n < cn_shape_count(&v.shape); n++)
                any = any || v.values[n] != 0;
            filled += any;
        }
        assert_int_equal(filled, files[i].arrays);
        cn_model_free(model);
    }
}

/* A kernel's momentum is turned as the kernel is: that of a true convolution is flipped. */
static void test_turned_momentum(void **state)
{
    (void)state;
    const char *path = golden("keras2-theano/H_train_sgd_momentum_after8steps.h5");
    cn_model *model = cn_model_load(path, NULL);
    cn__h5 h5;
    float file[3 * 3 * 8];
    assert_non_null(model);
    assert_int_equal(cn__h5_open(path, &h5), CN_OK);
    assert_int_equal(cn__h5_read(&h5, "/optimizer_weights/training/SGD/moment_0", 72, file), CN_OK);
    cn__h5_close(&h5);
    cn__optimizer_variable v;
    cn__optimizer_variable_at(cn__model_compiled(model)->optimizer, 2, &v);
    assert_int_equal(cn_shape_count(&v.shape), 72);
    for (int tap = 0; tap < 9; tap++)
        assert_memory_equal(v.values + 8 * tap, file + 8 * (8 - tap), 8 * sizeof(float));
    cn_model_free(model);
}

/* What Keras 1's optimizers do otherwise is kept in .keras beside what Keras 3 reads. */
static void test_older_optimizer_is_kept(void **state)
{
    (void)state;
    cn_model *model = cn_model_load(golden("keras1-theano/04_two_outputs_after8steps.h5"), NULL);
    assert_non_null(model);
    assert_int_equal(cn_model_set_learning_rate(model, 0.25), CN_OK);
    cn_model *copy = saved_and_loaded(model, "t.keras");
    if (copy == NULL)
        print_error("%s\n", cn_error_message());
    assert_non_null(copy);
    assert_true(same_training(model, copy));
    assert_string_equal(cn__optimizer_text(cn__model_compiled(model)->optimizer),
                        cn__optimizer_text(cn__model_compiled(copy)->optimizer));
    cn_model_free(copy);
    cn_model_free(model);
}

/* ---- models of our own ---- */

static cn_array *ramp(int rows, int columns)
{
    cn_shape shape = cn_shape_of(rows, columns);
    cn_array *array = cn_array_new(CN_FLOAT32, &shape);
    for (int64_t i = 0; i < cn_array_count(array); i++)
        cn_array_floats(array)[i] = (float)i / 7 - 1;
    return array;
}

static bool check_own(cn_model *model)
{
    arrays in = {1, {ramp(3, 4)}};
    bool good = model != NULL && check_saving("own", model, &in);
    if (model == NULL)
        print_error("%s\n", cn_error_message());
    free_arrays(&in);
    cn_model_free(model);
    return good;
}

/* Outputs are those of both calls of a functional model: Keras counts them from 1 there. */
static void test_nested_outputs(void **state)
{
    (void)state;
    cn_tensor *a = cn_input_tensor({4}), *x = cn_input_tensor({4});
    cn_tensor *b = cn_apply(cn_dense(4, .activation = "relu"), a);
    cn_layer *inner = cn_model_as_layer(cn_model_new(cn_tensors(a), cn_tensors(b)));
    cn_tensor *once = cn_apply(inner, x), *twice = cn_apply(inner, once);
    assert_true(check_own(cn_model_new(cn_tensors(x), cn_tensors(once, twice))));
}

static void test_options(void **state)
{
    (void)state;
    assert_true(check_own(cn_sequential(
        cn_input({4}),
        cn_dense(6, .activation = "leaky_relu(negative_slope=0.25)",
                 .kernel_initializer = "VarianceScaling(scale=2, mode='fan_in')",
                 .kernel_regularizer = "L2(l2=0.001)", .bias_regularizer = "l1",
                 .kernel_constraint = "MaxNorm(max_value=2, axis=[0])"),
        cn_dense(6, .activation = "elu(alpha=0.5)", .use_bias = CN_FALSE),
        cn_activation("relu(max_value=6, threshold=0.1)"), cn_leaky_relu(.negative_slope = 0.2f),
        cn_activation("gelu(approximate=False)"), cn_relu(.max_value = 3), cn_dropout(0.3f),
        cn_batch_normalization(.momentum = 0.8f, .scale = CN_FALSE), cn_activation("softmax"))));
}

/* A model that begins at another's layer gets an input of its own in the file. */
static void test_part_of_a_model(void **state)
{
    (void)state;
    cn_tensor *x = cn_input_tensor({2}), *y = cn_apply(cn_dense(4), x);
    cn_model *part = cn_model_new(cn_tensors(y), cn_tensors(cn_apply(cn_dense(3), y)));
    assert_true(check_own(part));
}

/* The size that Keras 1 told is an output padding to Keras 3. */
static void test_output_size(void **state)
{
    (void)state;
    for (int64_t size = 7; size <= 8; size++) {
        cn_shape shape = cn_shape_of(2, 4, 4, 3);
        arrays in = {1, {cn_array_new(CN_FLOAT32, &shape)}};
        for (int i = 0; i < 96; i++)
            cn_array_floats(in.items[0])[i] = (float)(i % 13) - 6;
        cn_model *model = cn_sequential(cn_input({4, 4, 3}),
                                        cn_conv2d_transpose(2, {3, 3}, {2, 2}, .padding = CN_SAME,
                                                            .output_size = {size, size}));
        assert_true(check_saving("output_size", model, &in));
        free_arrays(&in);
        cn_model_free(model);
    }
}

/* ---- going on with a training ---- */

static cn_model *trainable_model(void)
{
    cn_set_random_seed(7);
    cn_model *model = cn_sequential(cn_input({4}), cn_dense(8, .activation = "tanh"),
                                    cn_dropout(0.25f, .seed = 5), cn_dense(2));
    assert_int_equal(cn_compile(model, .optimizer = "Adam(learning_rate=0.1, amsgrad=True)",
                                .loss = {"Huber(delta=0.5)"}, .metrics = {"mae"},
                                .weighted_metrics = {"mse"}),
                     CN_OK);
    return model;
}

static void fit(cn_model *model, int64_t epochs)
{
    cn_array *x = ramp(10, 4), *y = ramp(10, 2);
    cn_status status = cn_fit(model, cn_arrays(x), cn_arrays(y), .epochs = epochs, .batch_size = 4,
                              .resume = true);
    if (status != CN_OK)
        print_error("%s\n", cn_error_message());
    assert_int_equal(status, CN_OK);
    cn_array_free(x);
    cn_array_free(y);
}

static bool same_weights(const cn_model *a, const cn_model *b)
{
    for (int i = 0; i < cn_model_layer_count(a); i++)
        for (int j = 0; j < cn_layer_weight_count(cn_model_layer(a, i)); j++)
            if (!same_bits(cn_layer_weight(cn_model_layer(a, i), j),
                           cn_layer_weight(cn_model_layer(b, i), j)))
                return false;
    return true;
}

static void test_going_on(void **state)
{
    (void)state;
    cn_model *whole = trainable_model();
    fit(whole, 4);
    cn_model *first = trainable_model();
    fit(first, 2);
    cn_model *rest = saved_and_loaded(first, "half.keras");
    if (rest == NULL)
        print_error("%s\n", cn_error_message());
    assert_non_null(rest);
    assert_true(same_training(first, rest));
    fit(rest, 4);
    assert_true(same_training(whole, rest));
    assert_true(same_weights(whole, rest));
    const cn_history *p = cn_model_history(whole), *q = cn_model_history(rest);
    assert_int_equal(cn_history_epochs(q), 4);
    assert_memory_equal(cn_history_values(p, "loss"), cn_history_values(q, "loss"),
                        4 * sizeof(double));
    cn_model_free(whole);
    cn_model_free(first);
    cn_model_free(rest);
}

/* Numbers that JSON has not, and those that need all their digits. */
static void test_records(void **state)
{
    (void)state;
    const double values[] = {0.1 + 0.2, (double)NAN, (double)INFINITY, -(double)INFINITY, -0.0,
                             4.9e-324,  1e300};
    cn__record record = {"history/loss", (int64_t)CN__COUNT(values), values};
    cn_model *model = trainable_model();
    assert_int_equal(cn__training_resume(model, &(cn__records){NULL, 1, &record}), CN_OK);
    cn_model *copy = saved_and_loaded(model, "records.keras");
    assert_non_null(copy);
    cn__records records = {0};
    assert_int_equal(cn__training_records(copy, &records), CN_OK);
    bool found = false;
    for (int i = 0; i < records.count; i++)
        if (strcmp(records.items[i].name, record.name) == 0) {
            found = records.items[i].count == record.count;
            for (int64_t n = 0; found && n < record.count; n++)
                found = isnan(values[n])
                            ? isnan(records.items[i].values[n]) != 0
                            : memcmp(&values[n], &records.items[i].values[n], sizeof(double)) == 0;
        }
    cn__records_free(&records);
    assert_true(found);
    cn_model_free(copy);
    cn_model_free(model);
}

/* The best weights so far, which are too many for JSON, go on with the training: without them, or
 * with others, it would not end with those of the first epoch. */
static cn_model *stopped_early(const char *path, int64_t epochs, bool resumed)
{
    cn_set_random_seed(7);
    cn_model *model = resumed ? cn_model_load(path, NULL)
                              : cn_sequential(cn_input({4}), cn_dense(2000), cn_dense(2));
    cn_array *x = ramp(10, 4), *y = ramp(10, 2);
    cn_callback *best = cn_early_stopping(.monitor = "loss", .min_delta = 1e9, .patience = 9,
                                          .restore_best_weights = epochs > 1);
    if (!resumed)
        assert_int_equal(cn_compile(model, .loss = {"mse"}), CN_OK);
    assert_non_null(model);
    assert_int_equal(
        cn_fit(model, cn_arrays(x), cn_arrays(y), .epochs = epochs, .resume = true,
               .callbacks = cn_callbacks(best, cn_model_checkpoint(path, .save_freq = 0))),
        CN_OK);
    cn_array_free(x);
    cn_array_free(y);
    return model;
}

static void test_best_weights_of_before(void **state)
{
    (void)state;
    char path[600];
    (void)snprintf(path, sizeof path, "%s", temporary_path("best.keras"));
    cn_model *one = stopped_early(temporary_path("other.keras"), 1, false);
    cn_model *some = stopped_early(path, 2, false), *rest = stopped_early(path, 4, true);
    assert_true(same_weights(one, some));
    assert_true(same_weights(one, rest));
    assert_int_equal(cn_history_epochs(cn_model_history(rest)), 4);
    cn_model_free(one);
    cn_model_free(some);
    cn_model_free(rest);
}

/* A model that was loaded is trained from epoch 0 on, with a history of its own, unless it is asked
 * to go on; saved again untouched, it keeps where it stood. */
static void test_trained_anew(void **state)
{
    (void)state;
    char path[600];
    (void)snprintf(path, sizeof path, "%s", temporary_path("anew.keras"));
    cn_model_free(stopped_early(path, 2, false));
    cn_array *x = ramp(10, 4), *y = ramp(10, 2);
    cn_model *model = cn_model_load(path, NULL);
    assert_int_equal(cn_model_save(model, path), CN_OK);
    assert_int_equal(cn_fit(model, cn_arrays(x), cn_arrays(y), .epochs = 1), CN_OK);
    assert_int_equal(cn_history_epochs(cn_model_history(model)), 1);
    cn_model_free(model);
    model = cn_model_load(path, NULL);
    assert_int_equal(cn_fit(model, cn_arrays(x), cn_arrays(y), .epochs = 3, .resume = true), CN_OK);
    assert_int_equal(cn_history_epochs(cn_model_history(model)), 3);
    cn_model_free(model);
    cn_array_free(x);
    cn_array_free(y);
}

/* A loss that Cornu has not leaves the model uncompiled; so does the caller who asks for it. */
static void test_uncompiled(void **state)
{
    (void)state;
    cn_model *model = trainable_model();
    const char *path = temporary_path("u.h5");
    assert_int_equal(cn_model_save(model, path), CN_OK);
    cn_model *copy = cn_model_load(path, &(cn_load_options){.no_compile = true});
    assert_non_null(copy);
    assert_false(cn_model_is_compiled(copy));
    cn_model_free(copy);
    /* The name of the loss in the file, overwritten with one of the same length. */
    static char bytes[200000];
    size_t size = read_temporary("u.h5", bytes, sizeof bytes), at = 0;
    while (at + 5 < size && memcmp(bytes + at, "Huber", 5) != 0)
        at++;
    assert_true(at + 5 < size);
    memcpy(bytes + at, "Other", 5);
    copy = cn_model_load(write_temporary("u.h5", bytes, size), NULL);
    assert_non_null(copy);
    assert_false(cn_model_is_compiled(copy));
    assert_string_equal(cn_error_message(), "");
    cn_model_free(copy);
    cn_model_free(model);
}

/* ---- what cannot be ---- */

static void fails(cn_model *model, const char *word, const char *option)
{
    const char *path = temporary_path("kept.keras");
    char kept[16] = "";
    assert_non_null(model);
    assert_non_null(write_temporary("kept.keras", "before", 6));
    assert_int_equal(cn_model_save(model, path), CN_ERROR_UNSUPPORTED);
    print_message("# %s\n", cn_error_message());
    assert_non_null(strstr(cn_error_message(), word));
    assert_non_null(strstr(cn_error_message(), option));
    assert_int_equal(read_temporary("kept.keras", kept, sizeof kept), 6);
    assert_int_equal(count_temporary_files(1), 1);
    cn_model_free(model);
}

static void test_refusals(void **state)
{
    (void)state;
    (void)count_temporary_files(1);
    fails(cn_sequential(cn_input({6, 6, 4}),
                        cn_conv2d_transpose(4, {3, 3}, .name = "up", .groups = 2)),
          "layer up (Conv2DTranspose)", "groups");
    fails(cn_sequential(cn_input({6, 6, 4}), cn_conv2d_transpose(4, {3, 3}, {2, 2}, .name = "up",
                                                                 .padding = CN_SAME_THEANO)),
          "layer up (Conv2DTranspose)", "padding");
    fails(cn_sequential(cn_input({6, 6, 4}),
                        cn_dense(3, .name = "d", .activation = "gelu(approximate=True)")),
          "layer d (Dense)", "approximate");
    fails(cn_sequential(cn_input({6, 6, 4}),
                        cn_up_sampling2d({2}, .name = "large", .interpolation = "bilinear_corner")),
          "layer large (UpSampling2D)", "bilinear_corner");
}

static void test_paths(void **state)
{
    (void)state;
    cn_model *model = cn_sequential(cn_input({4}), cn_dense(2));
    assert_int_equal(cn_model_save(model, temporary_path("m.txt")), CN_ERROR_ARGUMENT);
    assert_int_equal(cn_model_save(model, temporary_path("none/m.keras")), CN_ERROR_IO);
    assert_int_equal(cn_model_save(model, "/dev/null.keras/m.h5"), CN_ERROR_IO);
    cn_clear_error();
    assert_int_equal(cn_model_save(NULL, temporary_path("m.h5")), CN_ERROR_ARGUMENT);
    assert_int_equal(count_temporary_files(0), 0);
    cn_model_free(model);
}

/* Whichever allocation fails: no file is left, no memory either, and no model half made. */
static void check_without_memory(cn_model *model, const char *name)
{
    counter c;
    cn_model *copy = NULL;
    cn_status status = CN_ERROR_MEMORY;
    for (int k = 0; status != CN_OK; k++) {
        fail_at(&c, k);
        status = cn_model_save(model, temporary_path(name));
        cn_set_allocator(NULL);
        assert_int_equal(c.alive, 0);
        assert_true(status == CN_OK || status == CN_ERROR_MEMORY);
        assert_int_equal(count_temporary_files(0), status == CN_OK);
        assert_true(k < 20000);
    }
    for (int k = 0; copy == NULL; k++) {
        fail_at(&c, k);
        copy = cn_model_load(temporary_path(name), NULL);
        assert_true(copy != NULL || cn_error_status() == CN_ERROR_MEMORY);
        assert_true(copy != NULL || c.alive == 0);
        assert_true(k < 20000);
    }
    assert_true(cn_model_is_compiled(copy));
    cn_model_free(copy);
    assert_int_equal(c.alive, 0);
    cn_set_allocator(NULL);
}

static void test_without_memory(void **state)
{
    (void)state;
    cn_model *model = trainable_model();
    fit(model, 1);
    check_without_memory(model, "m.keras");
    (void)count_temporary_files(1);
    check_without_memory(model, "m.h5");
    cn_model_free(model);
}

/* A long list of names does not fit one attribute. */
static void test_many_layers(void **state)
{
    (void)state;
    enum { layers = 700 };
    cn_layer *list[layers + 1] = {cn_input({4})};
    char name[200];
    for (int i = 1; i <= layers; i++) {
        (void)snprintf(name, sizeof name, "layer_%0120d", i);
        list[i] = cn_dense(4, .name = name);
    }
    cn_model *model = cn_sequential_new(NULL, layers + 1, list);
    cn_model *copy = saved_and_loaded(model, "long.h5");
    if (copy == NULL)
        print_error("%s\n", cn_error_message());
    assert_non_null(copy);
    assert_true(same_bits(cn_layer_weight(cn_model_layer(model, 699), 0),
                          cn_layer_weight(cn_model_layer(copy, 699), 0)));
    cn_model_free(copy);
    cn_model_free(model);
}

static void test_same_bytes(void **state)
{
    (void)state;
    static char first[200000], second[200000];
    assert_int_equal(setenv("SOURCE_DATE_EPOCH", "1700000000", 1), 0);
    cn_model *model = cn_model_load(golden("keras3/train/adam.keras"), NULL);
    assert_non_null(model);
    assert_int_equal(cn_model_save(model, temporary_path("1.keras")), CN_OK);
    assert_int_equal(cn_model_save(model, temporary_path("2.keras")), CN_OK);
    size_t size = read_temporary("1.keras", first, sizeof first);
    assert_int_equal(read_temporary("2.keras", second, sizeof second), size);
    assert_memory_equal(first, second, size);
    cn_model_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_models),
        cmocka_unit_test(test_configurations),
        cmocka_unit_test(test_training_of_keras_3),
        cmocka_unit_test(test_several_outputs),
        cmocka_unit_test(test_training_of_older_keras),
        cmocka_unit_test(test_turned_momentum),
        cmocka_unit_test(test_older_optimizer_is_kept),
        cmocka_unit_test(test_nested_outputs),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_part_of_a_model),
        cmocka_unit_test(test_output_size),
        cmocka_unit_test(test_going_on),
        cmocka_unit_test(test_records),
        cmocka_unit_test_teardown(test_best_weights_of_before, empty_temporary_folder),
        cmocka_unit_test_teardown(test_trained_anew, empty_temporary_folder),
        cmocka_unit_test(test_uncompiled),
        cmocka_unit_test_teardown(test_refusals, empty_temporary_folder),
        cmocka_unit_test_setup(test_paths, empty_temporary_folder),
        cmocka_unit_test_setup(test_without_memory, empty_temporary_folder),
        cmocka_unit_test(test_many_layers),
        cmocka_unit_test(test_same_bytes),
    };
    return cmocka_run_group_tests(tests, make_temporary_folder, remove_temporary_folder);
}
