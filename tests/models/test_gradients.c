/* The gradient of every layer, activation and loss, with respect to inputs and weights, against
 * central differences.
 *
 * Two comparisons, each relative to the norm of the gradient:
 *   - the gradient's own nodes, evaluated in double, against differences in double: 1e-6. The
 *     difference quotient with a step of 1e-6 has a truncation error of 1e-12 times the third
 *     derivative and a rounding error of some 1e-10.
 *   - the gradient of the float program against the one in double: 1e-4, a thousand times the
 *     rounding error of one operation. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "graph/differences.h"
#include "layers/losses.h"
#include "support/random.h"

static const double of_formulas = 1e-6, of_floats = 1e-4;

enum { most_inputs = 3, most_tensors = 12 };

/* ---- the harness ---- */

static double norm(const double *values, int64_t count)
{
    double sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += values[i] * values[i];
    return sqrt(sum);
}

static cn_array *numbers(const cn_shape *shape, double low, double high)
{
    cn_array *array = cn_array_new(CN_FLOAT32, shape);
    for (int64_t i = 0; i < cn_array_count(array); i++)
        cn_array_floats(array)[i] = (float)(low + cn__random_uniform(&test_random) * (high - low));
    return array;
}

/* A number that a graph computes. */
typedef struct subject {
    const char *name;
    bool training;
    int inputs;
    cn_tensor *in[most_inputs];
    cn_array *x[most_inputs]; /* the values of the inputs */
    cn__doubles wide[most_inputs];
    cn_tensor *value; /* of shape () */
    int count;
    cn_tensor *tensors[most_tensors]; /* what it is differentiated by */
    cn_tensor *gradients[most_tensors];
} subject;

/* What the programs compute in float. */
static void check_floats(const subject *s, const cn__doubles *exact)
{
    cn_array *dx[most_tensors] = {NULL};
    cn_tensor_list gradients = {s->count, s->gradients};
    cn_function *f = cn_function_new((cn_tensor_list){s->inputs, s->in}, gradients);
    if (cn_function_run(f, (const cn_array *const *)s->x, dx, s->training, NULL) != CN_OK)
        fail_msg("%s: %s", s->name, cn_error_message());
    double all = 0;
    for (int i = 0; i < s->count; i++)
        all = hypot(all, norm(exact[i].values, cn_array_count(dx[i])));
    for (int i = 0; i < s->count; i++) {
        int64_t count = cn_array_count(dx[i]);
        cn__doubles off;
        assert_true(cn_shape_equal(cn_array_shape(dx[i]), &exact[i].shape));
        assert_int_equal(cn__doubles_of(dx[i], &off), CN_OK);
        for (int64_t k = 0; k < count; k++)
            off.values[k] -= exact[i].values[k];
        double size = fmax(norm(exact[i].values, count), 1e-3 * all);
        if (!(norm(off.values, count) <= of_floats * size))
            fail_msg("%s: the gradient of %s is off by %g of %g in float", s->name,
                     cn_tensor_name(s->tensors[i]), norm(off.values, count), size);
        cn__doubles_free(&off);
        cn_array_free(dx[i]);
    }
    cn_function_free(f);
}

static void check_formulas(const subject *s, const cn__doubles *gradients)
{
    cn__claim claim = {.inputs = {s->inputs, s->in},
                       .in = s->wide,
                       .training = s->training,
                       .value = s->value,
                       .with_respect_to = {s->count, s->tensors},
                       .gradients = gradients,
                       .seed = test_random.seed};
    cn__differences d;
    if (cn__compare_with_differences(&claim, &d, NULL) != CN_OK)
        fail_msg("%s: %s", s->name, cn_error_message());
    if (!(d.worst <= of_formulas))
        fail_msg("%s: the derivative by %s is off by %g", s->name,
                 cn_tensor_name(s->tensors[d.where]), d.worst);
    if (d.compared == 0 || d.kinks * 10 > d.compared)
        fail_msg("%s: %lld kinks and %lld derivatives", s->name, (long long)d.kinks,
                 (long long)d.compared);
}

static void check(subject *s)
{
    cn__doubles exact[most_tensors];
    cn_tensor_list in = {s->inputs, s->in}, by = {s->count, s->tensors};
    cn__evaluation evaluation = {.training = s->training};
    if (s->value == NULL || cn_gradients(cn_tensors(s->value), (cn_tensor_list){0, NULL}, by,
                                         CN_GRADIENT, s->gradients) != CN_OK)
        fail_msg("%s: %s", s->name, cn_error_message());
    cn__graph_retain(s->value->graph);
    for (int i = 0; i < s->inputs; i++)
        assert_int_equal(cn__doubles_of(s->x[i], &s->wide[i]), CN_OK);
    if (cn__evaluate(in, s->wide, (cn_tensor_list){s->count, s->gradients}, exact, &evaluation) !=
        CN_OK)
        fail_msg("%s: %s", s->name, cn_error_message());
    check_floats(s, exact);
    check_formulas(s, exact);
    for (int i = 0; i < s->count; i++)
        cn__doubles_free(&exact[i]);
    for (int i = 0; i < s->inputs; i++) {
        cn__doubles_free(&s->wide[i]);
        cn_array_free(s->x[i]);
    }
    cn__graph_release(s->value->graph);
}

/* Adds an input, whose batch is known only when its values come. */
static cn_tensor *add_input(subject *s, cn_shape shape, double low, double high)
{
    s->x[s->inputs] = numbers(&shape, low, high);
    shape.dim[0] = -1;
    cn_tensor *input = cn_op_input(CN_FLOAT32, &shape, "x");
    s->in[s->inputs++] = input;
    return input;
}

/* The sum of all values of y, each times a number of its own. */
static void add_sum(subject *s, cn_tensor *y)
{
    if (y == NULL)
        fail_msg("%s: %s", s->name, cn_error_message());
    cn_shape shape = *cn_tensor_shape(y);
    shape.dim[0] = cn_array_shape(s->x[0])->dim[0];
    cn_tensor *factors = add_input(s, shape, -1, 1);
    s->value =
        cn_op_reduce(CN_SUM, cn_op_binary(CN_MULTIPLY, y, factors), (1u << shape.rank) - 1, false);
}

/* ---- layers ---- */

typedef struct example {
    const char *name;
    int64_t in[2][6]; /* extents of 0 end a shape */
    cn_layer *(*make)(void);
} example;

#define EXAMPLE(name, shapes, ...)                                                                 \
    static cn_layer *make_##name(void)                                                             \
    {                                                                                              \
        return __VA_ARGS__;                                                                        \
    }
#include "models/gradients.def"
#undef EXAMPLE

#define IN(...)                                                                                    \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }
#define EXAMPLE(name, shapes, ...) {#name, shapes, make_##name},
static const example examples[] = {
#include "models/gradients.def"
};

static cn_shape shape_of(const int64_t *extents)
{
    cn_shape shape = {0};
    while (shape.rank < 6 && extents[shape.rank] != 0) {
        shape.dim[shape.rank] = extents[shape.rank];
        shape.rank++;
    }
    return shape;
}

/* Weights that are neither zeros nor ones, where mistakes would not show; variances positive. */
static void set_weights(cn_layer *layer)
{
    for (int i = 0; i < cn_layer_weight_count(layer); i++) {
        bool variance = strstr(cn_layer_weight_name(layer, i), "variance") != NULL;
        cn_array *value =
            numbers(cn_array_shape(cn_layer_weight(layer, i)), variance ? 0.5 : -1, 1);
        assert_int_equal(cn_layer_set_weight(layer, i, value), CN_OK);
        cn_array_free(value);
    }
}

static void check_layer(const example *e, bool training)
{
    subject s = {.name = e->name, .training = training};
    cn_layer *layer = e->make();
    for (int i = 0; i < 2 && e->in[i][0] != 0; i++)
        s.tensors[s.count++] = add_input(&s, shape_of(e->in[i]), -1, 1);
    add_sum(&s, cn_apply_list(layer, (cn_tensor_list){s.inputs, s.in}));
    set_weights(layer);
    for (int i = 0; i < layer->weight_count; i++)
        if (layer->weights[i].trainable)
            s.tensors[s.count++] = cn__variable_tensor(s.value, layer->weights[i].variable, NULL);
    check(&s);
}

static const cn__layer_type *type_of(const example *e)
{
    cn_layer *layer = e->make();
    if (layer == NULL)
        fail_msg("%s: %s", e->name, cn_error_message());
    const cn__layer_type *type = layer->type;
    cn_layer_free(layer);
    return type;
}

static void test_layers(void **state)
{
    (void)state;
    test_seed();
    for (size_t i = 0; i < CN__COUNT(examples); i++) {
        check_layer(&examples[i], false);
        check_layer(&examples[i], true);
    }
}

/* All layers but Input, which computes nothing. */
static void test_no_layer_is_forgotten(void **state)
{
    (void)state;
    for (int t = 0; cn__layer_types[t] != NULL; t++) {
        bool found = cn__layer_types[t] == cn__layer_type_find("InputLayer");
        for (size_t i = 0; i < CN__COUNT(examples) && !found; i++)
            found = type_of(&examples[i]) == cn__layer_types[t];
        if (!found)
            fail_msg("gradients.def has no example of %s", cn__layer_types[t]->name);
    }
}

/* ---- activations ---- */

static const char *const activations[] = {
    "linear",
    "relu",
    "relu(negative_slope=0.1, max_value=1.5, threshold=0.5)",
    "relu6",
    "leaky_relu",
    "LeakyReLU",
    "elu(alpha=0.7)",
    "selu",
    "celu(alpha=2)",
    "gelu",
    "gelu(approximate=True)",
    "sigmoid",
    "log_sigmoid",
    "hard_sigmoid",
    "hard_sigmoid(legacy=True)",
    "silu",
    "hard_silu",
    "mish",
    "softplus",
    "softsign",
    "tanh",
    "hard_tanh",
    "tanh_shrink",
    "soft_shrink",
    "hard_shrink",
    "squareplus",
    "sparse_plus",
    "sparse_sigmoid",
    "threshold(threshold=0.5, value=2)",
    "exponential",
    "softmax",
    "softmax(axis=1)",
    "log_softmax",
    "sparsemax",
    "glu",
    "glu(axis=1)",
};

static void test_activations(void **state)
{
    (void)state;
    test_seed();
    for (size_t i = 0; i < CN__COUNT(activations); i++) {
        subject s = {.name = activations[i]};
        s.tensors[s.count++] = add_input(&s, cn_shape_of(3, 4, 6), -4, 4);
        add_sum(&s, cn__activate(activations[i], s.in[0]));
        check(&s);
    }
}

/* Every function of one number, also those that are no activation. */
static void test_functions(void **state)
{
    (void)state;
    test_seed();
    for (int op = 0; op < CN_UNARY_COUNT; op++) {
        subject s = {.name = cn_unary_name((cn_unary)op)};
        bool positive = op == CN_LOG || op == CN_SQRT || op == CN_RSQRT || op == CN_RECIPROCAL;
        s.tensors[s.count++] = add_input(&s, cn_shape_of(3, 20), positive ? 0.5 : -4, 4);
        add_sum(&s, cn_op_unary(s.in[0], (cn_function1){(cn_unary)op, {0.5f, 1, 0}}));
        check(&s);
    }
}

/* ---- losses ---- */

/* What a prediction is made of, and the range of targets. */
typedef enum target_kind {
    NUMBERS,  /* any numbers */
    POSITIVE, /* predictions and targets from 0.1 to 1 */
    SOFTMAX,  /* predictions out of a softmax, targets from 0 to 1 */
    SIGMOID,  /* out of a sigmoid */
    CLASSES,  /* out of a softmax, targets are classes */
    LOGITS    /* any numbers, targets are classes */
} target_kind;

typedef struct loss_example {
    const char *loss;
    target_kind kind;
} loss_example;

static const loss_example losses[] = {
    {"mse", NUMBERS},
    {"mae", NUMBERS},
    {"mape", NUMBERS},
    {"msle", POSITIVE},
    {"huber", NUMBERS},
    {"Huber(delta=0.3)", NUMBERS},
    {"log_cosh", NUMBERS},
    {"hinge", NUMBERS},
    {"squared_hinge", NUMBERS},
    {"categorical_hinge", NUMBERS},
    {"kl_divergence", POSITIVE},
    {"poisson", POSITIVE},
    {"cosine_similarity", NUMBERS},
    {"CosineSimilarity", SIGMOID},
    {"dice", POSITIVE},
    {"dice", SIGMOID},
    {"tversky", POSITIVE},
    {"Tversky(alpha=0.3, beta=0.8)", SIGMOID},
    {"categorical_crossentropy", SOFTMAX},
    {"categorical_crossentropy", POSITIVE},
    {"CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)", NUMBERS},
    {"sparse_categorical_crossentropy", CLASSES},
    {"SparseCategoricalCrossentropy(from_logits=True)", LOGITS},
    {"categorical_focal_crossentropy", SOFTMAX},
    {"categorical_focal_crossentropy", POSITIVE},
    {"binary_crossentropy", SIGMOID},
    {"binary_crossentropy", POSITIVE},
    {"BinaryCrossentropy(from_logits=True, label_smoothing=0.1)", NUMBERS},
    {"binary_focal_crossentropy", SIGMOID},
    {"BinaryFocalCrossentropy(apply_class_balancing=True, gamma=1.5)", POSITIVE},
};

static cn_tensor *prediction_of(cn_tensor *x, target_kind kind)
{
    if (kind == SOFTMAX || kind == CLASSES)
        return cn_op_softmax(x, -1, false);
    return kind == SIGMOID ? cn_op_unary(x, (cn_function1){.op = CN_SIGMOID}) : x;
}

/* Adds the targets as another input. */
static cn_tensor *add_target(subject *s, const loss_example *e, cn_shape shape)
{
    static const double low[] = {-1, 0.1, 0, 0, 0, 0};
    if (!cn__loss_is_sparse(e->loss))
        return add_input(s, shape, low[e->kind], e->kind == POSITIVE ? 0.9 : 1);
    cn_shape unknown = cn_shape_of(-1, shape.dim[1]);
    shape.rank = 2;
    cn_array *classes = cn_array_new(CN_INT32, &shape);
    for (int64_t i = 0; i < cn_array_count(classes); i++)
        cn_array_ints(classes)[i] = (int32_t)test_int(0, 3);
    s->x[s->inputs] = classes;
    s->in[s->inputs] = cn_op_input(CN_INT32, &unknown, "classes");
    return s->in[s->inputs++];
}

static void test_losses(void **state)
{
    (void)state;
    test_seed();
    for (size_t i = 0; i < CN__COUNT(losses); i++) {
        const loss_example *e = &losses[i];
        subject s = {.name = e->loss, .training = true};
        bool positive = e->kind == POSITIVE;
        cn_shape shape = cn_shape_of(3, 2, 4);
        cn_tensor *x = add_input(&s, shape, positive ? 0.1 : -2, positive ? 0.9 : 2);
        s.tensors[s.count++] = x;
        cn_tensor *target = add_target(&s, e, shape);
        add_sum(&s, cn__loss_values(e->loss, target, prediction_of(x, e->kind)));
        check(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layers), cmocka_unit_test(test_no_layer_is_forgotten),
        cmocka_unit_test(test_activations), cmocka_unit_test(test_functions),
        cmocka_unit_test(test_losses)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
