/* Predicting with a model while it is trained on pictures that other threads augment. What is shown
 * here is shown when the program runs under ThreadSanitizer. */
#include "cornu/cornu.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>

#include <cmocka.h>

enum { samples = 48, size = 8, readers = 4 };

static atomic_bool done;

typedef struct reader {
    cn_model *model;
    const cn_array *x;
    cn_pool *pool;
    int runs;
    bool good;
} reader;

static void *predict(void *context)
{
    reader *r = context;
    r->good = true;
    while (r->good && (r->runs == 0 || !atomic_load(&done))) {
        cn_array *y = NULL;
        r->good = cn_model_predict(r->model, &r->x, &y, 16, r->pool) == CN_OK;
        float sum = 0;
        for (int i = 0; r->good && i < 10; i++)
            sum += cn_array_const_floats(y)[i];
        r->good = r->good && sum > 0.999F && sum < 1.001F; /* softmax */
        cn_array_free(y);
        r->runs++;
    }
    return NULL;
}

static cn_model *network(void)
{
    return cn_sequential(cn_input({size, size, 3}),
                         cn_conv2d(8, {3, 3}, .padding = CN_SAME, .activation = "relu"),
                         cn_batch_normalization(), cn_max_pooling2d({2, 2}), cn_dropout(0.25F),
                         cn_conv2d_transpose(4, {3, 3}, .strides = {2, 2}), cn_flatten(),
                         cn_dense(10, .activation = "softmax"));
}

static void test_training_and_prediction(void **state)
{
    (void)state;
    cn_array *x, *y;
    assert_int_equal(cn_drawn_shapes(1, samples, size, &x, &y), CN_OK);
    cn_model *model = network();
    assert_int_equal(
        cn_compile(model, .loss = {"sparse_categorical_crossentropy"}, .metrics = {"accuracy"}),
        CN_OK);
    cn_pool *pool = cn_pool_new(2);
    reader all[readers];
    pthread_t thread[readers];
    for (int i = 0; i < readers; i++) {
        all[i] = (reader){.model = model, .x = x, .pool = i % 2 ? pool : NULL};
        assert_int_equal(pthread_create(&thread[i], NULL, predict, &all[i]), 0);
    }
    cn_dataset *data = cn_augment(cn_dataset_from_arrays(cn_arrays(x), cn_arrays(y)),
                                  .horizontal_flip = true, .shift = 0.1F);
    assert_int_equal(cn_fit_dataset(model, data, .batch_size = 8, .epochs = 3, .pool = pool,
                                    .loader_threads = 3, .validation_data = data),
                     CN_OK);
    atomic_store(&done, true);
    for (int i = 0; i < readers; i++) {
        pthread_join(thread[i], NULL);
        assert_true(all[i].good && all[i].runs > 0);
    }
    cn_dataset_free(data);
    cn_model_free(model);
    cn_pool_free(pool);
    cn_array_free(x);
    cn_array_free(y);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_training_and_prediction),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
