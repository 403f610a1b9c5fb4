/* Floor 0: status, memory, shapes, arrays, pools, random numbers. */
#include "base/base.h"

#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "failing.h"

/* A shape to point to. */
#define SHAPE(...) ((cn_shape[]){cn_shape_of(__VA_ARGS__)})

static bool is_zero(const void *memory, size_t size)
{
    const unsigned char *bytes = memory;
    for (size_t i = 0; i < size; i++)
        if (bytes[i])
            return false;
    return true;
}

/* ---- status ---- */

static void test_status(void **state)
{
    (void)state;
    cn_clear_error();
    assert_int_equal(cn_error_status(), CN_OK);
    assert_string_equal(cn_error_message(), "");
    assert_int_equal(cn__fail(CN_ERROR_SHAPE, "dense: %d inputs", 3), CN_ERROR_SHAPE);
    assert_int_equal(cn__fail_null_argument("later"), CN_ERROR_SHAPE);
    assert_string_equal(cn_error_message(), "dense: 3 inputs");
    assert_int_equal(cn__fail_within("layer %s", "d1"), CN_ERROR_SHAPE);
    assert_string_equal(cn_error_message(), "layer d1: dense: 3 inputs");
    (void)cn__fail(CN_ERROR_IO, "again (%s)", cn_error_message());
    assert_string_equal(cn_error_message(), "again (layer d1: dense: 3 inputs)");
    (void)cn__fail(CN_ERROR_IO, "a\nb\x1b[31m");
    assert_string_equal(cn_error_message(), "a?b?[31m");
    cn_clear_error();
    assert_int_equal(cn__fail_null_argument("here"), CN_ERROR_ARGUMENT);
    assert_string_equal(cn_error_message(), "here: an argument is NULL");
    assert_null(cn__fail_null(CN_ERROR_IO, "x"));
    assert_string_equal(cn_status_name(CN_ERROR_SHAPE), "shape error");
    assert_string_equal(cn_status_name((cn_status)99), "unknown status");
    assert_string_equal(cn_status_name((cn_status)-1), "unknown status");
    assert_string_equal(cn_version(), CN__VERSION);
}

static void test_long_messages(void **state)
{
    (void)state;
    char text[3000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    (void)cn__fail(CN_ERROR_IO, "%s", text);
    assert_int_equal(strlen(cn_error_message()), 1023);
    (void)cn__fail_within("%s", text);
    assert_int_equal(strlen(cn_error_message()), 1023);
    (void)cn__fail_within("short");
    assert_memory_equal(cn_error_message(), "short: xxx", 10);
    assert_int_equal(strlen(cn_error_message()), 1023);
}

static void *read_message(void *result)
{
    *(size_t *)result = strlen(cn_error_message());
    return NULL;
}

static void test_message_belongs_to_thread(void **state)
{
    (void)state;
    (void)cn__fail(CN_ERROR_IO, "mine");
    pthread_t thread;
    size_t length = 99;
    assert_int_equal(pthread_create(&thread, NULL, read_message, &length), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(length, 0);
}

/* ---- memory ---- */

static void test_alloc(void **state)
{
    (void)state;
    for (size_t size = 0; size < 300; size += 37) {
        void *memory = cn__alloc(size);
        assert_non_null(memory);
        assert_int_equal((uintptr_t)memory % 64, 0);
        cn__free(memory);
        void *zeros = cn__calloc(size, 3);
        assert_true(is_zero(zeros, 3 * size));
        cn__free(zeros);
    }
    cn__free(NULL);
    cn_clear_error();
    assert_null(cn__alloc(SIZE_MAX));
    assert_int_equal(cn_error_status(), CN_ERROR_MEMORY);
    assert_non_null(strstr(cn_error_message(), "18446744073709551615 bytes"));
    cn_clear_error();
    assert_null(cn__calloc(SIZE_MAX / 2, 3));
    assert_int_equal(cn_error_status(), CN_ERROR_MEMORY);
}

static void test_allocator_hook(void **state)
{
    (void)state;
    counter c;
    fail_at(&c, 1);
    char *copy = cn__strdup("text");
    assert_string_equal(copy, "text");
    assert_null(cn__alloc(123));
    assert_int_equal(cn_error_status(), CN_ERROR_MEMORY);
    assert_non_null(strstr(cn_error_message(), "123 bytes"));
    cn__free(copy);
    assert_int_equal(c.alive, 0);
    assert_null(cn__strdup(NULL));
}

static void test_grow(void **state)
{
    (void)state;
    counter c;
    fail_at(&c, -1);
    int *numbers = NULL;
    size_t capacity = 0;
    for (size_t i = 0; i < 1000; i++) {
        assert_int_equal(cn__grow(&numbers, &capacity, i, i + 1, sizeof *numbers), CN_OK);
        assert_true(capacity > i);
        numbers[i] = (int)i;
    }
    for (int i = 0; i < 1000; i++)
        assert_int_equal(numbers[i], i);
    assert_int_equal(c.alive, 1);
    int *before = numbers;
    size_t capacity_before = capacity;
    c.until_failure = 0;
    assert_int_equal(cn__grow(&numbers, &capacity, 1000, 5000, sizeof *numbers), CN_ERROR_MEMORY);
    c.until_failure = -1;
    assert_int_equal(cn__grow(&numbers, &capacity, 1000, SIZE_MAX / 2, 8), CN_ERROR_MEMORY);
    assert_ptr_equal(numbers, before);
    assert_int_equal(capacity, capacity_before);
    cn__free(numbers);
    assert_int_equal(c.alive, 0);
}

static void test_arena(void **state)
{
    (void)state;
    counter c;
    fail_at(&c, -1);
    cn__arena *arena = cn__arena_new();
    char *pieces[200];
    for (size_t i = 0; i < 200; i++) {
        size_t size = i % 10 == 9 ? 10000 : i;
        pieces[i] = cn__arena_alloc(arena, size);
        assert_int_equal((uintptr_t)pieces[i] % _Alignof(max_align_t), 0);
        assert_true(is_zero(pieces[i], size));
        memset(pieces[i], (int)i, size);
    }
    for (size_t i = 1; i < 200; i++)
        assert_int_equal((unsigned char)pieces[i][i - 1], i);
    assert_string_equal(cn__arena_printf(arena, "%s_%d", "dense", 7), "dense_7");
    assert_string_equal(cn__arena_copy(arena, "abc", 4), "abc");
    cn__arena *other = cn__arena_new();
    char *kept = cn__arena_strdup(other, "kept");
    cn__arena_absorb(arena, other);
    cn__arena_absorb(arena, cn__arena_new());
    cn__arena_absorb(arena, NULL);
    assert_string_equal(kept, "kept");
    assert_non_null(cn__arena_alloc(arena, 20));
    cn__arena_free(arena);
    cn__arena_free(NULL);
    assert_int_equal(c.alive, 0);
}

static void test_arena_failures(void **state)
{
    (void)state;
    counter c;
    for (int k = 0; k < 2; k++) {
        fail_at(&c, k);
        cn__arena *arena = cn__arena_new();
        assert_null(cn__arena_printf(arena, "%d", 1));
        assert_int_equal(cn_error_status(), CN_ERROR_MEMORY);
        cn__arena_free(arena);
        assert_int_equal(c.alive, 0);
    }
    fail_at(&c, -1);
    cn__arena *arena = cn__arena_new();
    assert_null(cn__arena_alloc(arena, SIZE_MAX - 4));
    assert_null(cn__arena_strdup(arena, NULL));
    assert_non_null(cn__arena_alloc(arena, 0));
    cn__arena_free(arena);
    assert_int_equal(c.alive, 0);
}

/* ---- shapes and arrays ---- */

static void check_text(cn_shape shape, const char *expected)
{
    char text[256];
    assert_string_equal(cn_shape_text(&shape, text, sizeof text), expected);
}

static void test_shape(void **state)
{
    (void)state;
    cn_shape shape = cn_shape_of(2, 3, 4);
    assert_int_equal(cn_shape_count(&shape), 24);
    check_text(shape, "(2, 3, 4)");
    check_text(cn_shape_of(-1, 7), "(None, 7)");
    check_text(cn_shape_of(5), "(5,)");
    check_text((cn_shape){0}, "()");
    check_text((cn_shape){.rank = CN_MAX_RANK + 1}, "(no shape)");
    cn_shape most = cn_shape_of(INT64_MIN, INT64_MIN, INT64_MIN, INT64_MIN, INT64_MIN, INT64_MIN,
                                INT64_MIN, INT64_MIN);
    char text[256], small[6];
    assert_int_equal(strlen(cn_shape_text(&most, text, sizeof text)), 8 * 20 + 7 * 2 + 2);
    assert_string_equal(cn_shape_text(&shape, small, sizeof small), "(2, 3");
    assert_ptr_equal(cn_shape_text(&shape, small, 0), small);

    assert_int_equal(cn_shape_count(&(cn_shape){0}), 1);
    assert_int_equal(cn_shape_count(SHAPE(-1, 3)), -1);
    assert_int_equal(cn_shape_count(SHAPE(INT64_MAX, 2)), -1);
    assert_int_equal(cn_shape_count(SHAPE(INT64_MAX, 1)), INT64_MAX);
    assert_int_equal(cn_shape_count(SHAPE(INT64_MAX, 4, 0)), 0);
    assert_int_equal(cn_shape_count(SHAPE(0, -1)), -1);
    assert_int_equal(cn_shape_count(NULL), -1);
    cn_clear_error();
    assert_true(cn__shape_is_legal(&(cn_shape){0}) && cn__shape_is_legal(SHAPE(-1, 0, 3)));
    assert_false(cn__shape_is_legal(SHAPE(2, -2)));
    assert_false(cn__shape_is_legal(&(cn_shape){.rank = CN_MAX_RANK + 1}));
    assert_true(cn__shapes_agree(SHAPE(2, -1, 4), SHAPE(-1, 3, 4)));
    assert_false(cn__shapes_agree(SHAPE(2, -1, 4), SHAPE(2, 3, 5)));
    assert_false(cn__shapes_agree(SHAPE(2, -1), SHAPE(2, -1, 1)));
    assert_true(cn__ceil_div(0, 3) == 0 && cn__ceil_div(7, 3) == 3);
    assert_true(cn__ceil_div(INT64_MAX, 2) == INT64_MAX / 2 + 1);
    cn_shape nine = cn_shape_of(1, 1, 1, 1, 1, 1, 1, 1, 1);
    assert_int_equal(cn_error_status(), CN_ERROR_SHAPE);
    assert_int_equal(cn_shape_count(&nine), -1);

    assert_true(cn_shape_equal(&shape, SHAPE(2, 3, 4)));
    assert_false(cn_shape_equal(&shape, SHAPE(2, 3)));
    assert_false(cn_shape_equal(&shape, SHAPE(2, 3, 5)));
    assert_false(cn_shape_equal(&shape, NULL));
}

static void test_array(void **state)
{
    (void)state;
    counter c;
    fail_at(&c, -1);
    cn_array *a = cn_array_from(SHAPE(2, 3), (const float[]){1, 2, 3, 4, 5, 6});
    cn_array *b = cn_array_copy(a);
    cn_array *zeros = cn_array_new(CN_INT32, SHAPE(5));
    assert_int_equal((uintptr_t)cn_array_floats(b) % 64, 0);
    assert_memory_equal(cn_array_const_floats(b), cn_array_floats(a), 6 * sizeof(float));
    assert_int_equal(cn_array_dtype(zeros), CN_INT32);
    assert_true(is_zero(cn_array_const_ints(zeros), 20));
    assert_null(cn_array_floats(zeros));
    assert_null(cn_array_const_floats(zeros));
    assert_null(cn_array_ints(a));
    assert_null(cn_array_const_ints(a));
    assert_int_equal(cn_array_reshape(b, SHAPE(3, 2, 1)), CN_OK);
    assert_int_equal(cn_array_shape(b)->rank, 3);
    assert_int_equal(cn_array_reshape(b, SHAPE(3, 3)), CN_ERROR_SHAPE);
    assert_non_null(strstr(cn_error_message(), "(3, 2, 1) has 6 elements, the new shape (3, 3)"));
    assert_int_equal(cn_array_count(b), 6);
    cn_array_free(a);
    cn_array_free(b);
    cn_array_free(zeros);
    cn_array_free(NULL);
    assert_int_equal(c.alive, 0);
}

static void check_refused(cn_array *array, cn_status status)
{
    assert_null(array);
    assert_int_equal(cn_error_status(), status);
    cn_clear_error();
}

static void test_array_refuses(void **state)
{
    (void)state;
    counter c;
    fail_at(&c, 0);
    check_refused(cn_array_new(CN_FLOAT32, SHAPE(2)), CN_ERROR_MEMORY);
    check_refused(cn_array_new(CN_FLOAT32, SHAPE(-1, 2)), CN_ERROR_SHAPE);
    check_refused(cn_array_new(CN_FLOAT32, SHAPE(INT64_MAX / 2)), CN_ERROR_SHAPE);
    check_refused(cn_array_new(CN_FLOAT32, SHAPE(INT64_MAX / 4)), CN_ERROR_SHAPE);
    check_refused(cn_array_new(CN_FLOAT32, SHAPE(INT64_MAX, 2)), CN_ERROR_SHAPE);
    check_refused(cn_array_new((cn_dtype)7, SHAPE(2)), CN_ERROR_ARGUMENT);
    check_refused(cn_array_new(CN_FLOAT32, NULL), CN_ERROR_ARGUMENT);
    check_refused(cn_array_copy(NULL), CN_ERROR_ARGUMENT);
    assert_int_equal(cn_array_reshape(NULL, SHAPE(1)), CN_ERROR_ARGUMENT);
    assert_null(cn_array_floats(NULL));
    assert_null(cn_array_shape(NULL));
    assert_int_equal(cn_array_count(NULL), 0);
}

/* ---- threads ---- */

#define TASKS 1000

typedef struct tally {
    cn_pool *pool;
    atomic_int seen[TASKS];
} tally;

static void count_one(void *context, size_t index)
{
    atomic_fetch_add(&((tally *)context)->seen[index], 1);
}

static void count_nested(void *context, size_t index)
{
    tally *t = context;
    (void)index;
    cn__pool_run(t->pool, count_one, t, TASKS);
}

static void check_seen(tally *t, int times)
{
    for (int i = 0; i < TASKS; i++) {
        assert_int_equal(t->seen[i], times);
        t->seen[i] = 0;
    }
}

static void test_pool(void **state)
{
    (void)state;
    static tally t;
    const int threads[] = {1, 2, 3, 8};
    for (size_t i = 0; i < CN__COUNT(threads); i++) {
        t.pool = cn_pool_new(threads[i]);
        assert_int_equal(cn_pool_threads(t.pool), threads[i]);
        cn__pool_run(t.pool, count_one, &t, 0);
        check_seen(&t, 0);
        cn__pool_run(t.pool, count_one, &t, TASKS);
        check_seen(&t, 1);
        cn__pool_run(t.pool, count_nested, &t, 7);
        check_seen(&t, 7);
        cn__pool_run(t.pool, count_nested, &t, 1);
        check_seen(&t, 1);
        cn_pool_free(t.pool);
    }
    t.pool = NULL;
    cn__pool_run(NULL, count_nested, &t, 2);
    check_seen(&t, 2);
    assert_int_equal(cn_pool_threads(NULL), 1);
    cn_pool_free(NULL);
}

static void *use_pool(void *context)
{
    for (int i = 0; i < 20; i++)
        cn__pool_run(((tally *)context)->pool, count_one, context, TASKS);
    return NULL;
}

static void test_pool_shared(void **state)
{
    (void)state;
    static tally t;
    t.pool = cn_pool_new(3);
    pthread_t threads[4];
    for (size_t i = 0; i < CN__COUNT(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, use_pool, &t), 0);
    for (size_t i = 0; i < CN__COUNT(threads); i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    check_seen(&t, 4 * 20);
    cn_pool_free(t.pool);
}

static int threads_chosen(const char *variable)
{
    setenv("CORNU_NUM_THREADS", variable, 1);
    cn_pool *pool = cn_pool_new(0);
    int threads = cn_pool_threads(pool);
    assert_non_null(pool);
    cn_pool_free(pool);
    return threads;
}

static void test_pool_size(void **state)
{
    (void)state;
    int machine = threads_chosen("");
    assert_true(machine >= 1);
    assert_int_equal(threads_chosen("3"), 3);
    assert_int_equal(threads_chosen("-3"), machine);
    assert_int_equal(threads_chosen("0"), machine);
    assert_int_equal(threads_chosen("2x"), machine);
    unsetenv("CORNU_NUM_THREADS");
    counter c;
    fail_at(&c, 0);
    assert_null(cn_pool_new(2));
    assert_int_equal(cn_error_status(), CN_ERROR_MEMORY);
    assert_null(cn_pool_new(-1));
    assert_int_equal(cn_error_status(), CN_ERROR_ARGUMENT);
    assert_null(cn_pool_new(1 << 20));
}

/* ---- random numbers ---- */

static void test_random_known_answer(void **state)
{
    (void)state;
    cn__random zero = {0};
    const uint32_t expected[] = {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8};
    for (size_t i = 0; i < CN__COUNT(expected); i++)
        assert_int_equal(cn__random_bits(&zero), expected[i]);
    assert_int_equal(zero.counter, 4);
}

static void test_random_is_by_counter(void **state)
{
    (void)state;
    cn__random run = {.seed = 0x123456789abcdef0};
    for (uint64_t n = 0; n < 100; n++) {
        cn__random jump = {.seed = run.seed, .counter = n};
        assert_int_equal(cn__random_bits(&run), cn__random_bits(&jump));
    }
    cn__random far = {.counter = UINT64_MAX}, near = {.counter = UINT32_MAX};
    assert_int_not_equal(cn__random_bits(&far), cn__random_bits(&near));
    assert_int_equal(far.counter, 0);
}

static void test_random_distributions(void **state)
{
    (void)state;
    enum { COUNT = 100000 };
    cn__random random = {.seed = 42};
    double mean = 0, square = 0, cube = 0;
    for (int i = 0; i < COUNT; i++) {
        double u = cn__random_uniform(&random);
        assert_true(u >= 0 && u < 1);
        mean += u / COUNT;
        square += u * u / COUNT;
    }
    assert_true(fabs(mean - 0.5) < 0.005 && fabs(square - 1.0 / 3) < 0.005);
    mean = square = 0;
    for (int i = 0; i < COUNT; i++) {
        double n = cn__random_normal(&random);
        mean += n / COUNT;
        square += n * n / COUNT;
        cube += n * n * n / COUNT;
    }
    assert_true(fabs(mean) < 0.02 && fabs(square - 1) < 0.02 && fabs(cube) < 0.05);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_status, restore_allocator),
        cmocka_unit_test(test_long_messages),
        cmocka_unit_test(test_message_belongs_to_thread),
        cmocka_unit_test(test_alloc),
        cmocka_unit_test_teardown(test_allocator_hook, restore_allocator),
        cmocka_unit_test_teardown(test_grow, restore_allocator),
        cmocka_unit_test_teardown(test_arena, restore_allocator),
        cmocka_unit_test_teardown(test_arena_failures, restore_allocator),
        cmocka_unit_test(test_shape),
        cmocka_unit_test_teardown(test_array, restore_allocator),
        cmocka_unit_test_teardown(test_array_refuses, restore_allocator),
        cmocka_unit_test(test_pool),
        cmocka_unit_test(test_pool_shared),
        cmocka_unit_test_teardown(test_pool_size, restore_allocator),
        cmocka_unit_test(test_random_known_answer),
        cmocka_unit_test(test_random_is_by_counter),
        cmocka_unit_test(test_random_distributions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
