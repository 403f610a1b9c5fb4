/* Pooling and what runs back through it, against the definition; Keras' and Theano's paddings. */
#include "support/compare.h"

#include "cornu/ops.h"
#include "support/reference.h"

static int setup(void **state)
{
    (void)state;
    test_seed();
    return 0;
}

/* ---- paddings, worked out by hand ---- */

static void paddings(void **state)
{
    (void)state;
    static const struct {
        int64_t in, window, stride;
        cn_padding padding;
        int64_t out, before;
    } cases[] = {
        {7, 2, 2, CN_VALID, 3, 0},       {7, 3, 2, CN_VALID, 3, 0},
        {7, 2, 0, CN_VALID, 3, 0},       {7, 2, 3, CN_VALID, 2, 0},
        {7, 2, 2, CN_SAME, 4, 0},        {6, 3, 2, CN_SAME, 3, 0},
        {7, 3, 2, CN_SAME, 4, 1},        {7, 5, 1, CN_SAME, 7, 2},
        {7, 2, 3, CN_SAME, 3, 0},        {5, 9, 2, CN_SAME, 3, 4},
        {7, 2, 2, CN_SAME_THEANO, 4, 1}, {7, 3, 2, CN_SAME_THEANO, 4, 1},
        {6, 3, 2, CN_SAME_THEANO, 3, 1}, {7, 1, 1, CN_SAME_THEANO, 7, 0},
        {7, 2, 3, CN_SAME_THEANO, 3, 1}, {7, 4, 1, CN_SAME_THEANO, 7, 3},
        {7, 5, 2, CN_SAME_THEANO, 4, 3},
    };
    for (size_t i = 0; i < CN__COUNT(cases); i++) {
        cn_pooling p = {.rank = 1,
                        .batch = 1,
                        .channels = 1,
                        .in = {cases[i].in},
                        .window = {cases[i].window},
                        .stride = {cases[i].stride}};
        assert_int_equal(cn_pooling_pad(&p, cases[i].padding), CN_OK);
        assert_int_equal(p.out[0], cases[i].out);
        assert_int_equal(p.before[0], cases[i].before);
        assert_int_equal(cn_pooling_check(&p), CN_OK);
    }
}

/* Keras 1.2.2 on Theano: AveragePooling2D((3, 2), strides=(1, 2), border_mode='same') of the
 * numbers 0 to 11 in three rows; the windows begin one row above and one column to the left. */
static void theano_average(void **state)
{
    (void)state;
    cn_pooling p = {
        .rank = 2, .batch = 1, .channels = 1, .in = {3, 4}, .window = {3, 2}, .stride = {1, 2}};
    assert_int_equal(cn_pooling_pad(&p, CN_SAME_THEANO), CN_OK);
    const float in[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
    const double exact[] = {2, 3.5, 4, 5.5, 6, 7.5};
    float out[6];
    assert_int_equal(cn_average_pool_f32(&p, in, out, NULL), CN_OK);
    assert_close("average", out, exact, 6, 1e-7);
}

static void refusals(void **state)
{
    (void)state;
    cn_pooling p = {.rank = 2, .batch = 1, .channels = 1, .in = {5, 2}, .window = {3, 3}};
    assert_int_equal(cn_pooling_pad(&p, CN_VALID), CN_ERROR_SHAPE);
    assert_string_equal(cn_error_message(),
                        "pooling: a window of 3 columns does not fit an input of 2: use padding "
                        "`same` or a window of at most 2");
    assert_int_equal(cn_pooling_pad(&p, CN_CAUSAL), CN_ERROR_ARGUMENT);
    assert_int_equal(cn_pooling_pad(&p, CN_SAME), CN_OK);
    p.out[0] = 3; /* one window too many */
    assert_int_equal(cn_pooling_check(&p), CN_ERROR_SHAPE);
    p.out[0] = 2;
    p.before[1] = 3; /* the first window ends where the input begins */
    assert_int_equal(cn_pooling_check(&p), CN_ERROR_SHAPE);
    p.before[1] = INT64_MIN;
    assert_int_equal(cn_pooling_check(&p), CN_ERROR_SHAPE);
    p = (cn_pooling){.rank = 1, .batch = 1, .channels = 2, .in = {4}, .window = {2}};
    assert_int_equal(cn_pooling_pad(&p, CN_VALID), CN_OK);
    const float in[4] = {0};
    const int32_t switches[4] = {0, 3, -1, 2};
    float out[8];
    assert_int_equal(cn_max_unpool_f32(&p, in, switches, out, NULL), CN_ERROR_ARGUMENT);
    assert_string_equal(cn_error_message(), "cn_max_unpool_f32: a switch names a cell outside the "
                                            "image, which has the cells 0 to 3");
    p.channels = (int64_t)1 << 39;
    assert_int_equal(cn_pooling_check(&p), CN_ERROR_SHAPE);
}

/* ---- values ---- */

static cn_pooling random_pooling(void)
{
    static const cn_padding paddings_[] = {CN_VALID, CN_SAME, CN_SAME_THEANO};
    cn_pooling p = {.rank = (int)test_int(1, 3), .batch = test_int(0, 3)};
    static const int64_t channels[] = {0, 1, 2, 3, 5, 8, 16, 17, 33, 40, 70};
    p.channels = channels[test_int(0, 10)];
    for (int i = 0; i < p.rank; i++) {
        p.in[i] = test_int(1, p.rank == 1 ? 20 : p.rank == 2 ? 8 : 4);
        p.window[i] = test_int(1, cn__min(p.in[i], 4));
        p.stride[i] = test_int(0, 4);
    }
    assert_int_equal(cn_pooling_pad(&p, paddings_[test_int(0, 2)]), CN_OK);
    return p;
}

static int64_t count_of(const cn_pooling *p, const int64_t *extents)
{
    int64_t count = p->batch * p->channels;
    for (int i = 0; i < p->rank; i++)
        count *= extents[i];
    return count;
}

/* Small whole numbers, so that equal ones meet under a window. */
static float *small_numbers(int64_t count)
{
    float *x = test_floats(count);
    for (int64_t i = 0; i < count; i++)
        x[i] = test_int(0, 60) ? (float)test_int(-4, 4) : NAN;
    return x;
}

static void check_maximum(const cn_pooling *p, cn_pool *pool)
{
    int64_t in_count = count_of(p, p->in), count = count_of(p, p->out);
    float *in = small_numbers(in_count), *out = test_floats(count), *back = test_floats(in_count);
    float *values = test_floats(count);
    double *exact = test_doubles(count), *exact_back = test_doubles(in_count);
    int32_t *switches = calloc((size_t)count + 1, sizeof *switches);
    int32_t *exact_switches = calloc((size_t)count + 1, sizeof *switches);
    reference_max_pool(p, in, exact, exact_switches);
    assert_int_equal(cn_max_pool_f32(p, in, out, switches, pool), CN_OK);
    assert_close("maximum", out, exact, count, 0);
    assert_memory_equal(switches, exact_switches, (size_t)count * sizeof *switches);
    assert_int_equal(cn_max_pool_f32(p, in, out, NULL, pool), CN_OK);
    assert_close("maximum without switches", out, exact, count, 0);
    reference_max_unpool(p, values, switches, exact_back);
    assert_int_equal(cn_max_unpool_f32(p, values, switches, back, pool), CN_OK);
    assert_close("unpooling", back, exact_back, in_count, 1e-6);
    free(in);
    free(out);
    free(back);
    free(values);
    free(exact);
    free(exact_back);
    free(switches);
    free(exact_switches);
}

/* The gradient by the adjoint identity: <average(x), y> = <x, gradient(y)>, cell by cell. */
static void check_average(const cn_pooling *p, cn_pool *pool)
{
    int64_t in_count = count_of(p, p->in), count = count_of(p, p->out);
    float *in = test_floats(in_count), *out = test_floats(count), *dy = test_floats(count);
    float *dx = test_floats(in_count);
    double *exact = test_doubles(count), left = 0, right = 0;
    reference_average_pool(p, in, exact);
    assert_int_equal(cn_average_pool_f32(p, in, out, pool), CN_OK);
    assert_close("average", out, exact, count, 5e-7);
    assert_int_equal(cn_average_pool_gradient_f32(p, dy, dx, pool), CN_OK);
    for (int64_t i = 0; i < count; i++)
        left += exact[i] * (double)dy[i];
    for (int64_t i = 0; i < in_count; i++)
        right += (double)in[i] * (double)dx[i];
    assert_true(fabs(left - right) <= 1e-6 * (double)(in_count + 1));
    free(in);
    free(out);
    free(dy);
    free(dx);
    free(exact);
}

static void values(void **state)
{
    (void)state;
    cn_pool *pool = cn_pool_new(3);
    for (int round = 0; round < 400; round++) {
        cn_pooling p = random_pooling();
        check_maximum(&p, pool);
        check_average(&p, pool);
    }
    /* windows of more cells than a kernel gets at a time, and more channels */
    cn_pooling large = {.rank = 2,
                        .batch = 1,
                        .channels = 300,
                        .in = {15, 14},
                        .window = {12, 13},
                        .stride = {3, 1}};
    for (int same = 0; same < 2; same++) {
        assert_int_equal(cn_pooling_pad(&large, same ? CN_SAME : CN_VALID), CN_OK);
        check_maximum(&large, pool);
        check_average(&large, pool);
    }
    cn_pool_free(pool);
}

/* Every input cell's gradient, by differences of the reference. */
static void average_gradient(void **state)
{
    (void)state;
    for (int round = 0; round < 30; round++) {
        cn_pooling p = random_pooling();
        p.batch = cn__min(p.batch, 1);
        p.channels = cn__min(p.channels, 2);
        int64_t in_count = count_of(&p, p.in), count = count_of(&p, p.out);
        float *in = test_floats(in_count), *dy = test_floats(count), *dx = test_floats(in_count);
        double *low = test_doubles(count), *high = test_doubles(count);
        double *slope = test_doubles(in_count);
        for (int64_t i = 0; i < in_count; i++) {
            float middle = in[i];
            in[i] = middle - 1;
            reference_average_pool(&p, in, low);
            in[i] = middle + 1;
            reference_average_pool(&p, in, high);
            in[i] = middle;
            slope[i] = 0;
            for (int64_t j = 0; j < count; j++)
                slope[i] += (double)dy[j] * (high[j] - low[j]) / 2;
        }
        assert_int_equal(cn_average_pool_gradient_f32(&p, dy, dx, NULL), CN_OK);
        assert_close("gradient of the average", dx, slope, in_count, 1e-6);
        free(in);
        free(dy);
        free(dx);
        free(low);
        free(high);
        free(slope);
    }
}

/* ---- threads ---- */

typedef struct problem {
    cn_pooling p;
    float *in;
    int32_t *switches;
} problem;

static void average(void *context, float *out, cn_pool *pool)
{
    problem *c = context;
    assert_int_equal(cn_average_pool_f32(&c->p, c->in, out, pool), CN_OK);
}

static void spread(void *context, float *out, cn_pool *pool)
{
    problem *c = context;
    assert_int_equal(cn_average_pool_gradient_f32(&c->p, c->in, out, pool), CN_OK);
}

static void unpool(void *context, float *out, cn_pool *pool)
{
    problem *c = context;
    assert_int_equal(cn_max_pool_f32(&c->p, c->in, out, c->switches, pool), CN_OK);
    assert_int_equal(cn_max_unpool_f32(&c->p, c->in, c->switches, out, pool), CN_OK);
}

static void threads(void **state)
{
    (void)state;
    problem c = {.p = {.rank = 2,
                       .batch = 2,
                       .channels = 100,
                       .in = {30, 31},
                       .window = {3, 3},
                       .stride = {2, 2}}};
    assert_int_equal(cn_pooling_pad(&c.p, CN_SAME), CN_OK);
    int64_t in_count = count_of(&c.p, c.p.in), count = count_of(&c.p, c.p.out);
    c.in = test_floats(in_count);
    c.switches = calloc((size_t)count, sizeof *c.switches);
    assert_same_bits("average", average, &c, count);
    assert_same_bits("gradient of the average", spread, &c, in_count);
    assert_same_bits("unpooling", unpool, &c, in_count);
    free(c.in);
    free(c.switches);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paddings), cmocka_unit_test(theano_average),   cmocka_unit_test(refusals),
        cmocka_unit_test(values),   cmocka_unit_test(average_gradient), cmocka_unit_test(threads),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
