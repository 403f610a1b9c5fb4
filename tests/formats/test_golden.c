/* Files that Keras 1, 2 and 3 wrote give the predictions that Keras made. golden/models.txt lists,
 * in columns: the model, the arrays, the names of the inputs, those of the outputs ("out__*": each
 * output's layer with that prefix), and the file that the weights are read from ("-": the model).
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cornu/formats.h"
#include "formats/keras.h"

#define ABSOLUTE 1e-5
#define RELATIVE 1e-4

/* ---- comparing ---- */

/* Compares the rows that the reference has. */
static bool agrees(const char *what, const cn_array *y, const cn_array *wanted)
{
    char has[200], wants[200];
    cn_shape a = *cn_array_shape(y), b = *cn_array_shape(wanted);
    if (a.dim[0] > b.dim[0])
        a.dim[0] = b.dim[0];
    if (!cn_shape_equal(&a, &b)) {
        print_error("%s: shape %s, not %s\n", what, cn_shape_text(&a, has, sizeof has),
                    cn_shape_text(&b, wants, sizeof wants));
        return false;
    }
    const float *p = cn_array_const_floats(y), *q = cn_array_const_floats(wanted);
    for (int64_t i = 0; i < cn_array_count(wanted); i++) {
        double difference = fabs((double)p[i] - (double)q[i]);
        if (!(difference <= ABSOLUTE + RELATIVE * fabs((double)q[i]))) {
            print_error("%s: element %lld is %.9g, not %.9g\n", what, (long long)i, (double)p[i],
                        (double)q[i]);
            return false;
        }
    }
    return true;
}

static const char *golden(const char *name)
{
    static char paths[4][600];
    static unsigned turn;
    char *path = paths[turn++ % 4];
    (void)snprintf(path, sizeof paths[0], "%s/%.300s", CN_TEST_GOLDEN, name);
    return path;
}

/* ---- whole models ---- */

enum { most_arrays = 64 };

/* Reads the arrays of a list of names; returns their number. */
static int read_list(cn_npz *npz, const char *names, cn_array **arrays)
{
    char copy[600], *rest = copy;
    int count = 0;
    (void)snprintf(copy, sizeof copy, "%s", names);
    for (char *name; (name = strtok_r(rest, ",", &rest)) != NULL;)
        arrays[count++] = cn_npz_read(npz, name);
    return count;
}

/* The array that output `index` should be. */
static cn_array *wanted_output(cn_npz *npz, const char *names, const cn_model *model, int index)
{
    char name[300];
    const char *star = strchr(names, '*');
    if (star != NULL) {
        (void)snprintf(name, sizeof name, "%.*s%s", (int)(star - names), names,
                       cn_tensor_name(cn_model_outputs(model).items[index]));
        return cn_npz_read(npz, name);
    }
    for (int i = 0; i < index && names != NULL; i++)
        names = strchr(names, ',') != NULL ? strchr(names, ',') + 1 : NULL;
    if (names == NULL)
        return NULL;
    (void)snprintf(name, sizeof name, "%.*s", (int)strcspn(names, ","), names);
    return cn_npz_read(npz, name);
}

static bool is_in_list(const char *list, const char *name)
{
    size_t length = strlen(name);
    for (const char *at = list; (at = strstr(at, name)) != NULL; at += length)
        if ((at == list || at[-1] == ',') && (at[length] == ',' || at[length] == '\0'))
            return true;
    return false;
}

static bool check_predictions(const char *what, cn_model *model, cn_npz *npz, const char *inputs,
                              const char *outputs, const char *wrong)
{
    cn_array *in[most_arrays], *out[most_arrays];
    int in_count = read_list(npz, inputs, in), out_count = cn_model_outputs(model).count;
    bool good = in_count == cn_model_inputs(model).count && out_count <= most_arrays;
    bool predicted =
        good && cn_model_predict(model, (const cn_array *const *)in, out, 0, NULL) == CN_OK;
    good = predicted;
    if (!good)
        print_error("%s: %s\n", what, cn_error_message());
    for (int i = 0; good && i < out_count; i++) {
        char name[800];
        const char *layer = cn_tensor_name(cn_model_outputs(model).items[i]);
        if (is_in_list(wrong, layer))
            continue;
        (void)snprintf(name, sizeof name, "%s: output %d (%s)", what, i, layer);
        cn_array *wanted = wanted_output(npz, outputs, model, i);
        good = wanted != NULL && agrees(name, out[i], wanted);
        if (wanted == NULL)
            print_error("%s: %s\n", name, cn_error_message());
        cn_array_free(wanted);
    }
    for (int i = 0; predicted && i < out_count; i++)
        cn_array_free(out[i]);
    for (int i = 0; i < in_count; i++)
        cn_array_free(in[i]);
    return good;
}

/* Keras lists layers in the order of its models. */
static bool check_order(const char *path, const cn_model *model)
{
    cn__keras_parts parts;
    if (cn__keras_unzip(path, &parts) != CN_OK)
        return false;
    json_t *json = cn__json_parse(parts.config, parts.config_size), *layer;
    cn__free(parts.config);
    cn__free(parts.weights);
    size_t i;
    int place = 0;
    bool good = true;
    json_array_foreach(cn__json_get(cn__json_get(json, "config"), "layers"), i, layer)
    {
        const char *name = cn__json_text(cn__json_get(layer, "config"), "name");
        const char *class_name = cn__json_text(layer, "class_name");
        if (cn_model_layer(model, 0) != NULL && strcmp(class_name, "InputLayer") == 0 && i == 0 &&
            strcmp(cn_layer_type(cn_model_layer(model, 0)), "InputLayer") != 0)
            continue; /* of a Sequential */
        good = good && place < cn_model_layer_count(model) &&
               strcmp(name, cn_layer_name(cn_model_layer(model, place))) == 0;
        place++;
    }
    if (!good)
        print_error("%s: the layers are in another order\n", path);
    json_decref(json);
    return good && place == cn_model_layer_count(model);
}

static bool check_model(char *columns[6])
{
    char what[700];
    (void)snprintf(what, sizeof what, "%s + %s", columns[0], columns[4]);
    cn_model *model = cn_model_load(golden(columns[0]), NULL);
    cn_npz *npz = cn_npz_open(golden(columns[1]));
    bool good = model != NULL && npz != NULL;
    if (good && strcmp(columns[4], "-") != 0)
        good = cn_model_load_weights(model, golden(columns[4]), NULL) == CN_OK;
    if (!good)
        print_error("%s: %s\n", what, cn_error_message());
    good = good && check_predictions(what, model, npz, columns[2], columns[3], columns[5]);
    if (good && strstr(columns[0], ".keras") != NULL)
        good = check_order(golden(columns[0]), model);
    cn_npz_close(npz);
    cn_model_free(model);
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
        cn_clear_error();
        all++;
        good += check_model(columns);
    }
    (void)fclose(list);
    print_message("# models: %d of %d\n", good, all);
    assert_int_equal(good, all);
}

/* ---- Keras 1's layers on Theano, one by one ---- */

/* A Sequential model of one layer. */
static cn_model *model_of(const json_t *layer)
{
    json_t *config = json_deep_copy(layer);
    (void)json_object_del(config, "_class");
    json_t *json = json_pack("{sss[{sssO}]ss}", "class_name", "Sequential", "config", "class_name",
                             json_string_value(json_object_get(layer, "_class")), "config", config,
                             "keras_version", "1.2.2");
    const char *key;
    void *next;
    json_t *value;
    json_object_foreach_safe(config, next, key, value)
    {
        if (key[0] == '_')
            (void)json_object_del(config, key);
    }
    char *text = json_dumps(json, 0);
    /* Where the layers do not tell, 3 is the number of channels. */
    const json_t *input = json_object_get(layer, "batch_input_shape");
    bool first = json_integer_value(json_array_get(input, 1)) == 3;
    cn_load_options options = {.backend = CN_BACKEND_THEANO,
                               .data_format = first ? CN_CHANNELS_FIRST : CN_CHANNELS_LAST};
    cn_model *model = cn_model_from_json(text, &options);
    free(text);
    json_decref(config);
    json_decref(json);
    return model;
}

static bool set_weights(cn_model *model, cn_npz *npz, int index)
{
    cn__keras k = {.version = 1, .theano = true};
    cn_layer *layer = cn_model_layer(model, 0);
    for (int i = 0; i < cn_layer_weight_count(layer); i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "c%d_w%d", index, i);
        cn_array *array = cn_npz_read(npz, name);
        if (array == NULL || cn__keras_set_weight(&k, layer, i, cn_array_shape(array),
                                                  cn_array_const_floats(array)) != CN_OK)
            return cn_array_free(array), false;
        cn_array_free(array);
    }
    return true;
}

static bool check_layer(cn_npz *npz, const json_t *layer, int index)
{
    char x[64], y[64];
    (void)snprintf(x, sizeof x, "c%d_x", index);
    (void)snprintf(y, sizeof y, "c%d_y", index);
    cn_model *model = model_of(layer);
    bool good = model != NULL && set_weights(model, npz, index);
    if (!good)
        print_error("layer %d: %s\n", index, cn_error_message());
    char *text = json_dumps(layer, 0);
    good = good && check_predictions(text, model, npz, x, y, "-");
    free(text);
    cn_model_free(model);
    return good;
}

/* Layers that Cornu has not, and those that Keras itself could not compute, or computed with a
 * shape other than it had said, are passed over. */
static bool is_left_out(const json_t *layer)
{
    static const char *const classes[] = {"Highway", "MaxoutDense", "LSTM", "GRU", "SimpleRNN"};
    const char *name = json_string_value(json_object_get(layer, "_class"));
    for (size_t i = 0; i < CN__COUNT(classes); i++)
        if (strcmp(classes[i], name) == 0)
            return true;
    const char *padding = json_string_value(json_object_get(layer, "border_mode"));
    if ((padding != NULL && strcmp(padding, "full") == 0) ||
        strcmp(json_string_value(json_object_get(layer, "name")), "prelu_2") == 0)
        return true;
    const json_t *said = json_object_get(layer, "_inferred_output_shape");
    const json_t *had = json_object_get(layer, "_actual_output_shape");
    bool other = !json_is_true(json_object_get(layer, "_ok"));
    for (size_t i = 1; !other && i < json_array_size(said); i++)
        other = !json_equal(json_array_get(said, i), json_array_get(had, i));
    return other;
}

static void test_keras1_layers(void **state)
{
    (void)state;
    cn_npz *npz = cn_npz_open(golden("keras1-theano/06_layers.npz"));
    json_t *layers = json_load_file(golden("keras1-theano/06_layers.json"), 0, NULL);
    assert_non_null(npz);
    assert_non_null(layers);
    int good = 0, all = 0;
    size_t i;
    json_t *layer;
    json_array_foreach(layers, i, layer)
    {
        if (is_left_out(layer))
            continue;
        cn_clear_error();
        all++;
        good += check_layer(npz, layer, (int)i);
    }
    json_decref(layers);
    cn_npz_close(npz);
    print_message("# Keras 1 layers: %d of %d\n", good, all);
    assert_int_equal(good, all);
}

/* ---- transposed convolutions ---- */

/* Reads "3" or "3x2" into `numbers` and returns what follows it. */
static const char *read_numbers(const char *text, int64_t *numbers)
{
    char *rest = NULL;
    numbers[0] = strtol(text, &rest, 10);
    for (int i = 1; *rest == 'x'; i++)
        numbers[i] = strtol(rest + 1, &rest, 10);
    return rest;
}

/* The layer that a name such as "d2_k3x2_s2_same_op1_d1" tells. */
static cn_layer *layer_named(const char *name)
{
    static cn_layer *(*const make[])(const cn_conv_transpose_layer *) = {
        NULL, cn_conv1d_transpose_new, cn_conv2d_transpose_new, cn_conv3d_transpose_new};
    cn_conv_transpose_layer o = {.size_ = sizeof o};
    int rank = name[1] - '0';
    const char *at = read_numbers(name + 4, o.kernel_size);
    at = read_numbers(at + 2, o.strides);
    o.padding = strncmp(at, "_same", 5) == 0 ? CN_SAME : CN_VALID;
    at += o.padding == CN_SAME ? 8 : 9;
    if (*at == 'N')
        at++;
    else
        at = read_numbers(at, o.output_padding);
    for (int i = 0; at[-1] != 'N' && i < rank; i++)
        if (o.output_padding[i] == 0)
            o.output_padding[i] =
                i > 0 && strchr(name, 'x') == NULL ? o.output_padding[0] : CN_ZERO;
    (void)read_numbers(at + 2, o.dilation_rate);
    o.filters = 1;
    return make[rank](&o);
}

static bool check_transpose(cn_npz *npz, const char *name)
{
    cn_array *arrays[4] = {NULL};
    static const char *const parts[] = {"x", "k", "b", "y"};
    for (int i = 0; i < 4; i++) {
        char member[120];
        (void)snprintf(member, sizeof member, "%s/%s", name, parts[i]);
        arrays[i] = cn_npz_read(npz, member);
    }
    const cn_shape *x = cn_array_shape(arrays[0]), *k = cn_array_shape(arrays[1]);
    cn_input_layer input = {.size_ = sizeof input};
    for (int i = 1; i < x->rank; i++)
        input.shape[i - 1] = x->dim[i];
    cn_layer *layer = layer_named(name);
    ((cn_conv_transpose_layer *)layer->options)->filters = k->dim[k->rank - 2];
    cn_model *model = cn_sequential(cn_input_new(&input), layer);
    cn_array *out = NULL;
    bool good = model != NULL && cn_layer_set_weight(layer, 0, arrays[1]) == CN_OK &&
                (arrays[2] == NULL || cn_layer_set_weight(layer, 1, arrays[2]) == CN_OK) &&
                cn_model_predict(model, (const cn_array *const *)arrays, &out, 0, NULL) == CN_OK;
    if (!good)
        print_error("%s: %s\n", name, cn_error_message());
    good = good && agrees(name, out, arrays[3]);
    cn_array_free(out);
    cn_model_free(model);
    for (int i = 0; i < 4; i++)
        cn_array_free(arrays[i]);
    return good;
}

static void test_transposed(void **state)
{
    (void)state;
    cn_npz *npz = cn_npz_open(golden("keras3/deconv_all.npz"));
    assert_non_null(npz);
    int good = 0, all = 0;
    for (size_t i = 0; i < cn_npz_count(npz); i++) {
        char name[100];
        const char *member = cn_npz_name(npz, i), *slash = strchr(member, '/');
        if (slash == NULL || strcmp(slash, "/y") != 0)
            continue;
        (void)snprintf(name, sizeof name, "%.*s", (int)(slash - member), member);
        cn_clear_error();
        all++;
        good += check_transpose(npz, name);
    }
    cn_npz_close(npz);
    print_message("# transposed convolutions: %d of %d\n", good, all);
    assert_int_equal(good, all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_models),
        cmocka_unit_test(test_keras1_layers),
        cmocka_unit_test(test_transposed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
