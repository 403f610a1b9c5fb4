/* Resizing, against weights written out in double. */
#include "support/compare.h"

#include "cornu/ops.h"
#include "support/reference.h"

static int setup(void **state)
{
    (void)state;
    test_seed();
    return 0;
}

static int64_t count_of(const cn_resizing *r, const int64_t *extents)
{
    int64_t count = r->batch * r->channels;
    for (int i = 0; i < r->rank; i++)
        count *= extents[i];
    return count;
}

/* ---- numbers worked out by hand ---- */

static void lines(void **state)
{
    (void)state;
    static const struct {
        cn_interpolation interpolation;
        int64_t in, out;
        double exact[9];
    } cases[] = {
        {CN_NEAREST, 3, 6, {1, 1, 3, 3, 7, 7}},
        {CN_NEAREST, 3, 2, {1, 7}},
        {CN_BILINEAR, 3, 6, {1, 1.5, 2.5, 4, 6, 7}},
        {CN_BILINEAR, 3, 1, {3}},
        {CN_BILINEAR_CORNER, 3, 6, {1, 2, 3, 5, 7, 7}},
        {CN_BILINEAR_THEANO, 3, 6, {1, 2, 3, 5, 7, 7}},
        {CN_BILINEAR_THEANO, 3, 9, {1, 1, 5. / 3, 7. / 3, 3, 13. / 3, 17. / 3, 7, 7}},
        {CN_BICUBIC, 3, 3, {1, 3, 7}},
        {CN_BICUBIC, 1, 3, {1, 1, 1}},
    };
    const float in[] = {1, 3, 7};
    for (size_t i = 0; i < CN__COUNT(cases); i++) {
        cn_resizing r = {.rank = 1,
                         .batch = 1,
                         .channels = 1,
                         .in = {cases[i].in},
                         .out = {cases[i].out},
                         .interpolation = cases[i].interpolation};
        float out[9];
        assert_int_equal(cn_resize_f32(&r, in, out, NULL), CN_OK);
        assert_close("resizing", out, cases[i].exact, r.out[0], 1e-6);
    }
}

static void refusals(void **state)
{
    (void)state;
    cn_resizing r = {.rank = 2,
                     .batch = 1,
                     .channels = 1,
                     .in = {4, 4},
                     .out = {8, 6},
                     .interpolation = CN_BILINEAR_THEANO};
    assert_int_equal(cn_resize_f32(&r, NULL, NULL, NULL), CN_ERROR_SHAPE);
    assert_string_equal(cn_error_message(),
                        "resizing: Theano's bilinear interpolation takes whole factors, but axis 1 "
                        "goes from 4 to 6");
    r.interpolation = (cn_interpolation)17;
    assert_int_equal(cn_resize_f32(&r, NULL, NULL, NULL), CN_ERROR_ARGUMENT);
    r.interpolation = CN_BILINEAR;
    r.in[0] = 0;
    assert_int_equal(cn_resize_f32(&r, NULL, NULL, NULL), CN_ERROR_SHAPE);
    r.in[0] = 4;
    r.channels = (int64_t)1 << 40;
    assert_int_equal(cn_resize_gradient_f32(&r, NULL, NULL, NULL), CN_ERROR_SHAPE);
    r.channels = 0;
    assert_int_equal(cn_resize_f32(&r, NULL, NULL, NULL), CN_OK);
}

/* ---- random shapes ---- */

static cn_resizing random_resizing(void)
{
    static const int64_t channels[] = {0, 1, 2, 3, 5, 16, 17, 33, 40};
    cn_resizing r = {.rank = (int)test_int(1, 3), .batch = test_int(0, 2)};
    r.channels = channels[test_int(0, 8)];
    r.interpolation = (cn_interpolation)test_int(CN_NEAREST, CN_BICUBIC);
    for (int i = 0; i < r.rank; i++) {
        r.in[i] = test_int(1, r.rank == 3 ? 4 : 7);
        r.out[i] = test_int(0, r.rank == 3 ? 6 : 12);
        if (r.interpolation == CN_BILINEAR_THEANO)
            r.out[i] = r.in[i] * test_int(1, 4);
    }
    return r;
}

/* The gradient by the adjoint identity with one output cell at a time would be slow: with random
 * numbers in all of them, <resize(x), y> = <x, gradient(y)> for several x. */
static void check_resize(const cn_resizing *r, cn_pool *pool)
{
    int64_t in_count = count_of(r, r->in), count = count_of(r, r->out);
    float *out = test_floats(count), *dy = test_floats(count), *dx = test_floats(in_count);
    double *exact = test_doubles(count);
    assert_int_equal(cn_resize_gradient_f32(r, dy, dx, pool), CN_OK);
    for (int trial = 0; trial < 4; trial++) {
        float *in = test_floats(in_count);
        double left = 0, right = 0;
        for (int64_t i = 0; trial == 3 && i < in_count; i++)
            in[i] = (float)(i == in_count / 2);
        reference_resize(r, in, exact);
        assert_int_equal(cn_resize_f32(r, in, out, pool), CN_OK);
        assert_close("resizing", out, exact, count, 2e-6);
        for (int64_t i = 0; i < count; i++)
            left += exact[i] * (double)dy[i];
        for (int64_t i = 0; i < in_count; i++)
            right += (double)in[i] * (double)dx[i];
        assert_true(fabs(left - right) <= 1e-6 * (double)(in_count + 1));
        free(in);
    }
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
        cn_resizing r = random_resizing();
        check_resize(&r, pool);
    }
    cn_pool_free(pool);
}

/* ---- threads ---- */

typedef struct problem {
    cn_resizing r;
    float *in;
} problem;

static void forward(void *context, float *out, cn_pool *pool)
{
    problem *c = context;
    assert_int_equal(cn_resize_f32(&c->r, c->in, out, pool), CN_OK);
}

static void backward(void *context, float *out, cn_pool *pool)
{
    problem *c = context;
    assert_int_equal(cn_resize_gradient_f32(&c->r, c->in, out, pool), CN_OK);
}

static void threads(void **state)
{
    (void)state;
    problem c = {.r = {.rank = 2,
                       .batch = 2,
                       .channels = 70,
                       .in = {13, 9},
                       .out = {31, 27},
                       .interpolation = CN_BICUBIC}};
    c.in = test_floats(count_of(&c.r, c.r.out));
    assert_same_bits("resizing", forward, &c, count_of(&c.r, c.r.out));
    assert_same_bits("gradient of resizing", backward, &c, count_of(&c.r, c.r.in));
    free(c.in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines),
        cmocka_unit_test(refusals),
        cmocka_unit_test(values),
        cmocka_unit_test(threads),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
