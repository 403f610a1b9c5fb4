/* Functions of one and two numbers over whole buffers, broadcasting, reductions and softmax. */
#include "support/compare.h"

#include "cornu/ops.h"
#include "support/reference.h"

static int setup(void **state)
{
    (void)state;
    test_seed();
    return 0;
}

/* A shape of up to `most_rank` axes; `zeros` lets extents of 0 come up. */
static cn_shape random_shape(int most_rank, int64_t most_extent, bool zeros)
{
    cn_shape shape = {.rank = (int)test_int(0, most_rank)};
    for (int i = 0; i < shape.rank; i++)
        shape.dim[i] = test_int(0, 4) == 0 ? 1 : test_int(zeros ? 0 : 1, most_extent);
    return shape;
}

/* ---- functions of one number ---- */

static void unary_over_chunks(void **state)
{
    (void)state;
    cn_pool *pool = cn_pool_new(3);
    static const int64_t counts[] = {0, 1, 16383, 16384, 16385, 50000};
    for (size_t i = 0; i < CN__COUNT(counts); i++) {
        int64_t count = counts[i];
        cn_function1 f = {CN_ELU, {0.5f}};
        float *x = test_floats(count), *dy = test_floats(count), *dx = test_floats(count);
        double *exact = widened(x, count), *slope = widened(dy, count);
        for (int64_t j = 0; j < count; j++) {
            slope[j] *= exact[j] > 0 ? 1 : 0.5 * exp(exact[j]);
            exact[j] = reference_unary(CN_ELU, exact[j], f.p);
        }
        cn_unary_gradient_f32(f, x, dy, dx, count, pool);
        cn_unary_f32(f, x, x, count, pool);
        assert_close("elu in place", x, exact, count, 4e-7);
        assert_close("gradient of elu", dx, slope, count, 1e-6);
        free(x);
        free(dy);
        free(dx);
        free(exact);
        free(slope);
    }
    cn_pool_free(pool);
}

static void names(void **state)
{
    (void)state;
    assert_string_equal(cn_unary_name(CN_GELU_TANH), "gelu_tanh");
    assert_string_equal(cn_unary_name((cn_unary)1000), "unknown");
    assert_string_equal(cn_binary_name(CN_GREATER_EQUAL), "greater_equal");
    assert_string_equal(cn_binary_name((cn_binary)-1), "unknown");
}

/* ---- broadcasting ---- */

/* An operand's shape: some axes in front left out, others 1. */
static cn_shape narrowed(const cn_shape *shape)
{
    cn_shape narrow = {.rank = (int)test_int(0, shape->rank)};
    for (int i = 0; i < narrow.rank; i++)
        narrow.dim[i] = test_int(0, 2) ? shape->dim[shape->rank - narrow.rank + i] : 1;
    return narrow;
}

static void binary_broadcasts(void **state)
{
    (void)state;
    cn_pool *pool = cn_pool_new(3);
    for (int round = 0; round < 2000; round++) {
        cn_shape shape = random_shape(5, round % 50 == 0 ? 12 : 5, true);
        cn_shape a_shape = test_int(0, 1) ? shape : narrowed(&shape);
        cn_shape b_shape = test_int(0, 1) ? shape : narrowed(&shape), out_shape;
        assert_int_equal(cn_broadcast(&a_shape, &b_shape, &out_shape), CN_OK);
        int64_t count = cn_shape_count(&out_shape), a_count = cn_shape_count(&a_shape);
        float *a = test_floats(a_count), *b = test_floats(cn_shape_count(&b_shape));
        float *out = test_floats(count);
        double *exact = malloc((size_t)(count + 1) * sizeof *exact);
        cn_binary op = (cn_binary)test_int(CN_ADD, CN_MINIMUM);
        for (int64_t i = 0; i < count; i++)
            exact[i] =
                reference_binary(op, (double)a[reference_broadcast_index(&out_shape, i, &a_shape)],
                                 (double)b[reference_broadcast_index(&out_shape, i, &b_shape)]);
        float *to = a_count == count && test_int(0, 1) ? a : out;
        assert_int_equal(cn_binary_f32(op, &a_shape, a, &b_shape, b, to, pool), CN_OK);
        assert_close(cn_binary_name(op), to, exact, count, 4e-7);
        free(a);
        free(b);
        free(out);
        free(exact);
    }
    cn_pool_free(pool);
}

static void broadcast_rules(void **state)
{
    (void)state;
    cn_shape a = cn_shape_of(-1, 1, 5), b = cn_shape_of(7, -1), out;
    assert_int_equal(cn_broadcast(&a, &b, &out), CN_OK);
    assert_int_equal(out.rank, 3);
    assert_int_equal(out.dim[0], -1);
    assert_int_equal(out.dim[1], 7);
    assert_int_equal(out.dim[2], 5);
    a = cn_shape_of(2, 3, 4);
    b = cn_shape_of(2, 4);
    assert_int_equal(cn_broadcast(&a, &b, &out), CN_ERROR_SHAPE);
    assert_string_equal(cn_error_message(),
                        "shapes (2, 3, 4) and (2, 4) do not go together: axis -2 has 3 in one "
                        "and 2 in the other; they must be equal, or one of them 1");
    a = cn_shape_of(-1, 4);
    float x = 0;
    assert_int_equal(cn_binary_f32(CN_ADD, &a, &x, &a, &x, &x, NULL), CN_ERROR_SHAPE);
}

/* ---- reductions ---- */

static void check_reduction(const cn_shape *shape, unsigned axes, cn_pool *pool)
{
    static const char *const what[] = {"sum", "mean", "maximum"};
    cn_reduction reduction = (cn_reduction)test_int(CN_SUM, CN_MAX);
    int64_t count = cn_shape_count(shape), outputs = 1;
    for (int i = 0; i < shape->rank; i++)
        outputs *= axes >> i & 1 ? 1 : shape->dim[i];
    float *in = test_floats(count), *out = test_floats(outputs);
    double *exact = malloc((size_t)(outputs + 1) * sizeof *exact);
    if (count > 0 && test_int(0, 5) == 0)
        in[test_int(0, count - 1)] = NAN;
    reference_reduce(reduction, shape, axes, in, exact);
    assert_int_equal(cn_reduce_f32(reduction, shape, axes, in, out, pool), CN_OK);
    assert_close(what[reduction], out, exact, outputs, 1e-7);
    free(in);
    free(out);
    free(exact);
}

static void reductions(void **state)
{
    (void)state;
    cn_pool *pool = cn_pool_new(3);
    for (int round = 0; round < 2000; round++) {
        cn_shape shape = random_shape(5, 7, true);
        check_reduction(&shape, (unsigned)test_int(0, (1 << shape.rank) - 1), pool);
    }
    const cn_shape large[] = {cn_shape_of(100001),      cn_shape_of(5000, 7),
                              cn_shape_of(300, 515),    cn_shape_of(3, 130, 100),
                              cn_shape_of(20, 17, 300), cn_shape_of(2, 40, 5, 300),
                              cn_shape_of(7, 9001),     cn_shape_of(2, 5, 3, 5000)};
    for (size_t i = 0; i < CN__COUNT(large); i++)
        for (unsigned axes = 0; axes < 1u << large[i].rank; axes++)
            check_reduction(&large[i], axes, pool);
    cn_pool_free(pool);
}

/* ---- softmax ---- */

/* The loss is the sum of w y; its gradient by central differences in double. */
static void check_softmax(const cn_shape *shape, int axis, bool logarithm, cn_pool *pool)
{
    int64_t count = cn_shape_count(shape);
    float *x = test_floats(count), *w = test_floats(count), *y = test_floats(count);
    float *dx = test_floats(count);
    for (int64_t i = 0; i < count; i++)
        x[i] *= 4;
    double *in = widened(x, count), *out = test_doubles(count), *slope = test_doubles(count);
    reference_softmax(shape, axis, logarithm, in, out);
    assert_int_equal(cn_softmax_f32(shape, axis, logarithm, x, y, pool), CN_OK);
    assert_close("softmax", y, out, count, 5e-7);
    assert_int_equal(cn_softmax_gradient_f32(shape, axis, logarithm, y, w, dx, pool), CN_OK);
    for (int64_t i = 0; count <= 200 && i < count; i++) {
        double h = 1e-5, loss[2] = {0, 0}, middle = in[i];
        for (int side = 0; side < 2; side++) {
            in[i] = middle + (side ? h : -h);
            reference_softmax(shape, axis, logarithm, in, out);
            for (int64_t j = 0; j < count; j++)
                loss[side] += (double)w[j] * out[j];
        }
        in[i] = middle;
        slope[i] = (loss[1] - loss[0]) / (2 * h);
    }
    if (count <= 200)
        assert_close("gradient of softmax", dx, slope, count, 3e-6);
    assert_int_equal(cn_softmax_f32(shape, axis, logarithm, x, x, pool), CN_OK);
    assert_memory_equal(x, y, (size_t)count * sizeof *x);
    free(x);
    free(w);
    free(y);
    free(dx);
    free(in);
    free(out);
    free(slope);
}

static void softmax(void **state)
{
    (void)state;
    cn_pool *pool = cn_pool_new(3);
    for (int round = 0; round < 300; round++) {
        cn_shape shape = random_shape(4, 6, true);
        if (shape.rank > 0)
            check_softmax(&shape, (int)test_int(0, shape.rank - 1), round % 2, pool);
    }
    const cn_shape large[] = {cn_shape_of(40, 1000), cn_shape_of(3, 21, 700)};
    for (int axis = 0; axis < 4; axis++) {
        check_softmax(&large[0], axis % 2, axis / 2, pool);
        check_softmax(&large[1], 1, axis / 2, pool);
    }
    cn_pool_free(pool);
    float x = 0;
    assert_int_equal(cn_softmax_f32(&large[0], 2, false, &x, &x, NULL), CN_ERROR_ARGUMENT);
}

/* ---- threads ---- */

typedef struct problem {
    cn_shape shape;
    unsigned axes;
    cn_reduction reduction;
    float *in;
} problem;

static void reduce(void *context, float *out, cn_pool *pool)
{
    problem *p = context;
    assert_int_equal(cn_reduce_f32(p->reduction, &p->shape, p->axes, p->in, out, pool), CN_OK);
}

static void softmax_of_columns(void *context, float *out, cn_pool *pool)
{
    problem *p = context;
    assert_int_equal(cn_softmax_f32(&p->shape, 0, false, p->in, out, pool), CN_OK);
}

static void threads(void **state)
{
    (void)state;
    problem p = {.shape = cn_shape_of(700, 300)};
    p.in = test_floats(700 * 300);
    for (p.axes = 0; p.axes < 4; p.axes++) {
        static const int64_t outputs[] = {700 * 300, 300, 700, 1};
        assert_same_bits("sum", reduce, &p, outputs[p.axes]);
    }
    assert_same_bits("softmax", softmax_of_columns, &p, 700 * 300);
    free(p.in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unary_over_chunks), cmocka_unit_test(names),
        cmocka_unit_test(binary_broadcasts), cmocka_unit_test(broadcast_rules),
        cmocka_unit_test(reductions),        cmocka_unit_test(softmax),
        cmocka_unit_test(threads),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
