/* Batch normalisation: values, moments and gradients against the double reference. */
#include "support/compare.h"

#include "cornu/ops.h"
#include "support/reference.h"

static const float epsilon = 1e-3f;

static int setup(void **state)
{
    (void)state;
    test_seed();
    return 0;
}

typedef struct problem {
    int64_t rows, channels;
    float *x, *dy, *mean, *variance, *gamma, *beta; /* gamma and beta may be NULL */
    double *wide_x, *wide_gamma, *wide_beta, *exact_mean, *exact_variance, *exact;
} problem;

static problem problem_new(int64_t rows, int64_t channels, float offset)
{
    problem p = {.rows = rows, .channels = channels};
    int64_t count = rows * channels;
    p.x = test_floats(count);
    for (int64_t i = 0; i < count; i++)
        p.x[i] += offset;
    p.dy = test_floats(count);
    p.mean = test_floats(channels);
    p.variance = test_floats(channels);
    p.gamma = test_int(0, 3) ? test_floats(channels) : NULL;
    p.beta = test_int(0, 3) ? test_floats(channels) : NULL;
    p.wide_x = widened(p.x, count);
    p.wide_gamma = p.gamma ? widened(p.gamma, channels) : NULL;
    p.wide_beta = p.beta ? widened(p.beta, channels) : NULL;
    p.exact_mean = test_doubles(channels);
    p.exact_variance = test_doubles(channels);
    p.exact = test_doubles(count);
    return p;
}

static void problem_free(problem *p)
{
    void *const all[] = {p->x,         p->dy,         p->mean,           p->variance,
                         p->gamma,     p->beta,       p->wide_x,         p->wide_gamma,
                         p->wide_beta, p->exact_mean, p->exact_variance, p->exact};
    for (size_t i = 0; i < CN__COUNT(all); i++)
        free(all[i]);
}

static void run_reference(problem *p)
{
    reference_batch_norm(p->rows, p->channels, p->wide_x, p->wide_gamma, p->wide_beta,
                         (double)epsilon, p->exact_mean, p->exact_variance, p->exact);
}

/* ---- forward ---- */

static void check_forward(int64_t rows, int64_t channels, cn_pool *pool)
{
    problem p = problem_new(rows, channels, 3);
    float *y = test_floats(rows * channels);
    run_reference(&p);
    cn_batch_moments_f32(rows, channels, p.x, p.mean, p.variance, pool);
    assert_close("mean", p.mean, p.exact_mean, channels, 1e-7);
    assert_close("variance", p.variance, p.exact_variance, channels, 3e-7);
    cn_batch_norm_f32(rows, channels, p.x, p.mean, p.variance, p.gamma, p.beta, epsilon, y, pool);
    /* the mean of many rows is some 5 deviations from 0, that of few can be 100 */
    assert_close("batch normalisation", y, p.exact, rows * channels, rows < 10 ? 2e-5 : 4e-6);
    cn_batch_norm_f32(rows, channels, p.x, p.mean, p.variance, p.gamma, p.beta, epsilon, p.x, pool);
    assert_memory_equal(p.x, y, (size_t)(rows * channels) * sizeof *y);
    free(y);
    problem_free(&p);
}

static void forward(void **state)
{
    (void)state;
    static const int64_t channels[] = {1, 2, 3, 16, 17, 64, 300, 511, 512, 513, 1500};
    cn_pool *pool = cn_pool_new(3);
    for (size_t i = 0; i < CN__COUNT(channels); i++) {
        check_forward(1, channels[i], pool);
        check_forward(test_int(2, 9), channels[i], pool);
        check_forward(400, channels[i], pool);
    }
    check_forward(70000, 1, pool);
    check_forward(30001, 3, pool);
    cn_pool_free(pool);
}

static void nothing(void **state)
{
    (void)state;
    float number = 5;
    cn_batch_norm_f32(0, 1, NULL, &number, &number, NULL, NULL, epsilon, NULL, NULL);
    cn_batch_norm_f32(4, 0, NULL, NULL, NULL, NULL, NULL, epsilon, NULL, NULL);
    cn_batch_norm_gradient_f32(0, 1, NULL, &number, &number, NULL, epsilon, NULL, NULL, NULL,
                               &number, NULL);
    assert_true(number == 0);
}

/* ---- gradient ---- */

/* The loss: the sum of dy y. */
static double loss_of(problem *p)
{
    double loss = 0;
    run_reference(p);
    for (int64_t i = 0; i < p->rows * p->channels; i++)
        loss += (double)p->dy[i] * p->exact[i];
    return loss;
}

static void differences(problem *p, double *numbers, int64_t count, double *slopes)
{
    const double h = 1e-5;
    for (int64_t i = 0; numbers && i < count; i++) {
        double middle = numbers[i];
        numbers[i] = middle + h;
        double high = loss_of(p);
        numbers[i] = middle - h;
        slopes[i] = (high - loss_of(p)) / (2 * h);
        numbers[i] = middle;
    }
}

static void check_gradient(int64_t rows, int64_t channels, cn_pool *pool)
{
    problem p = problem_new(rows, channels, 0.5f);
    float *dx = test_floats(rows * channels), *dgamma = test_floats(channels);
    float *dbeta = test_floats(channels), *again = test_floats(rows * channels);
    double *slopes = test_doubles(rows * channels);
    cn_batch_moments_f32(rows, channels, p.x, p.mean, p.variance, pool);
    cn_batch_norm_gradient_f32(rows, channels, p.x, p.mean, p.variance, p.gamma, epsilon, p.dy, dx,
                               dgamma, dbeta, pool);
    differences(&p, p.wide_x, rows * channels, slopes);
    assert_close("dx", dx, slopes, rows * channels, rows <= 2 ? 2e-4 : 2e-5);
    differences(&p, p.wide_gamma, channels, slopes);
    if (p.gamma)
        assert_close("dgamma", dgamma, slopes, channels, 1e-5);
    differences(&p, p.wide_beta, channels, slopes);
    if (p.beta)
        assert_close("dbeta", dbeta, slopes, channels, 1e-6);
    cn_batch_norm_gradient_f32(rows, channels, p.x, p.mean, p.variance, p.gamma, epsilon, p.dy,
                               again, NULL, NULL, pool);
    assert_memory_equal(dx, again, (size_t)(rows * channels) * sizeof *dx);
    free(dx);
    free(dgamma);
    free(dbeta);
    free(again);
    free(slopes);
    problem_free(&p);
}

static void gradient(void **state)
{
    (void)state;
    cn_pool *pool = cn_pool_new(3);
    for (int round = 0; round < 20; round++)
        check_gradient(test_int(2, 12), test_int(1, 20), pool);
    check_gradient(600, 1, pool);
    check_gradient(1, 5, pool);
    check_gradient(2, 515, pool);
    cn_pool_free(pool);
}

/* ---- threads ---- */

static void all_of_it(void *context, float *out, cn_pool *pool)
{
    problem *p = context;
    float *dx = out, *y = dx + p->rows * p->channels, *mean = y + p->rows * p->channels;
    float *variance = mean + p->channels, *dgamma = variance + p->channels;
    float *dbeta = dgamma + p->channels;
    cn_batch_moments_f32(p->rows, p->channels, p->x, mean, variance, pool);
    cn_batch_norm_f32(p->rows, p->channels, p->x, mean, variance, p->gamma, p->beta, epsilon, y,
                      pool);
    cn_batch_norm_gradient_f32(p->rows, p->channels, p->x, mean, variance, p->gamma, epsilon, p->dy,
                               dx, dgamma, dbeta, pool);
}

static void threads(void **state)
{
    (void)state;
    problem p = problem_new(3000, 70, 1);
    assert_same_bits("batch normalisation", all_of_it, &p,
                     2 * p.rows * p.channels + 4 * p.channels);
    problem_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forward),
        cmocka_unit_test(nothing),
        cmocka_unit_test(gradient),
        cmocka_unit_test(threads),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
