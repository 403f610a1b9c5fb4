/* Reading ahead: batches, their contents, their order and their errors are the same for any number
 * of threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "data/data.h"
#include "unit/failing.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum { count = 23, width = 3 };

static const int thread_counts[] = {0, 1, 3, 8};

/* ---- a data set that knows what it was asked ---- */

/* Sample i: floats i, the low bits of the draw, 1; and the whole number -i. Reading takes turns
 * with other threads, some samples longer than others. */
typedef struct source {
    int64_t bad, worse; /* samples that cannot be read; -1: none */
    atomic_int reads;
} source;

static cn_status read_source(void *context, int64_t index, uint64_t draw, void *const *fields)
{
    source *s = context;
    atomic_fetch_add(&s->reads, 1);
    for (int64_t i = 0; i < index * 7 % 5; i++)
        (void)sched_yield();
    float *values = fields[0];
    values[0] = (float)index;
    values[1] = (float)(draw & 0xFFFF);
    values[2] = 1;
    *(int32_t *)fields[1] = (int32_t)-index;
    if (index == s->bad || index == s->worse)
        return cn__fail(CN_ERROR_FORMAT, "sample %d is bad", (int)index);
    return CN_OK;
}

static cn_dataset *dataset_of(source *s, int64_t samples)
{
    return cn_dataset_new(&(cn_dataset_source){
        .count = samples,
        .inputs = 1,
        .targets = 1,
        .dtypes = {CN_FLOAT32, CN_INT32},
        .shapes = {cn_shape_of(width)},
        .read = read_source,
        .context = s,
        .slow = true,
    });
}

static cn__loader *loader_of(cn_dataset *dataset, int64_t batch_size, bool shuffle, int threads)
{
    cn__loader *loader = cn__loader_new(
        dataset, &(cn__loader_options){
                     .batch_size = batch_size, .shuffle = shuffle, .seed = 11, .threads = threads});
    assert_non_null(loader);
    return loader;
}

/* ---- what comes out, as text ---- */

typedef struct text {
    char bytes[20000];
    size_t length;
} text;

__attribute__((format(printf, 2, 3))) static void add(text *t, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    t->length +=
        (size_t)vsnprintf(t->bytes + t->length, sizeof t->bytes - t->length, format, arguments);
    va_end(arguments);
    assert_true(t->length < sizeof t->bytes);
}

static void add_batch(text *t, const cn__batch *batch)
{
    const float *values = batch->fields[0];
    const int32_t *labels = batch->fields[1];
    for (int64_t i = 0; i < batch->count; i++, values += width)
        add(t, "%d:%g,%g,%g,%d ", (int)batch->indexes[i], (double)values[0], (double)values[1],
            (double)values[2], labels[i]);
    add(t, "\n");
}

/* At most `most` batches of an epoch, failures among them. True if the epoch is over. */
static bool add_epoch(text *t, cn__loader *loader, int64_t epoch, int64_t first, int64_t most)
{
    assert_int_equal(cn__loader_begin(loader, epoch, first), CN_OK);
    for (int64_t i = 0; i < most; i++) {
        cn__batch batch;
        cn_clear_error();
        cn_status status = cn__loader_next(loader, &batch);
        if (status != CN_OK) {
            assert_int_equal(cn_error_status(), status);
            assert_int_equal(batch.count, 0);
            add(t, "failed: %s\n", cn_error_message());
        } else if (batch.count == 0) {
            return true;
        } else {
            add_batch(t, &batch);
        }
    }
    return false;
}

/* ---- order ---- */

static void test_shuffle(void **state)
{
    (void)state;
    enum { n = 100 };
    int64_t order[n], again[n], other[n];
    cn__shuffle(1, 0, order, n);
    cn__shuffle(1, 0, again, n);
    assert_memory_equal(order, again, sizeof order);
    cn__shuffle(1, 1, other, n);
    assert_memory_not_equal(order, other, sizeof order);
    cn__shuffle(2, 0, other, n);
    assert_memory_not_equal(order, other, sizeof order);
    bool seen[n] = {false};
    int at_home = 0;
    for (int i = 0; i < n; i++) {
        assert_in_range(order[i], 0, n - 1);
        assert_false(seen[order[i]]);
        seen[order[i]] = true;
        at_home += order[i] == i;
    }
    assert_in_range(at_home, 0, 6); /* 1 is expected; 7 and more have a chance of 1e-4 */
    cn__shuffle(1, 0, order, 0);
    cn__shuffle(1, 0, order, 1);
    assert_int_equal(order[0], 0);
}

/* Each of the 24 orders of 4 comes up 24000 / 24 = 1000 times, within 5 standard deviations (31).
 */
static void test_shuffle_is_fair(void **state)
{
    (void)state;
    int seen[256] = {0};
    for (int epoch = 0; epoch < 24000; epoch++) {
        int64_t order[4];
        cn__shuffle(3, epoch, order, 4);
        seen[order[0] << 6 | order[1] << 4 | order[2] << 2 | order[3]]++;
    }
    int orders = 0;
    for (int i = 0; i < 256; i++) {
        orders += seen[i] > 0;
        if (seen[i])
            assert_in_range(seen[i], 1000 - 155, 1000 + 155);
    }
    assert_int_equal(orders, 24);
}

static void test_draws_differ(void **state)
{
    (void)state;
    uint64_t draws[4 * 4 * 4];
    int n = 0;
    for (uint64_t seed = 0; seed < 4; seed++)
        for (int64_t epoch = 0; epoch < 4; epoch++)
            for (int64_t index = -1; index < 3; index++)
                draws[n++] = cn__draw(seed, epoch, index);
    for (int i = 0; i < n; i++)
        for (int j = 0; j < i; j++)
            assert_true(draws[i] != draws[j]);
}

/* ---- batches ---- */

static void test_batches_in_order(void **state)
{
    (void)state;
    source s = {.bad = -1, .worse = -1};
    cn_dataset *dataset = dataset_of(&s, 5);
    for (size_t t = 0; t < CN__COUNT(thread_counts); t++) {
        cn__loader *loader = loader_of(dataset, 2, false, thread_counts[t]);
        assert_int_equal(cn__loader_batches(loader), 3);
        cn__batch batch;
        assert_int_equal(cn__loader_next(loader, &batch), CN_OK); /* not begun */
        assert_int_equal(batch.count, 0);
        text got = {.length = 0}, expected = {.length = 0};
        assert_true(add_epoch(&got, loader, 4, 0, 10));
        for (int i = 0; i < 5; i++)
            add(&expected, "%d:%d,%d,1,%d %s", i, i, (int)(cn__draw(11, 4, i) & 0xFFFF), -i,
                i % 2 || i == 4 ? "\n" : "");
        assert_string_equal(got.bytes, expected.bytes);
        assert_int_equal(cn__loader_next(loader, &batch), CN_OK);
        assert_int_equal(batch.count, 0);
        cn__loader_free(loader);
    }
    cn_dataset_free(dataset);
}

/* Whole epochs, epochs broken off, epochs begun at a later batch, samples that cannot be read. */
static void tell_all(text *t, cn_dataset *dataset, bool shuffle, int64_t batch_size, int threads)
{
    cn__loader *loader = loader_of(dataset, batch_size, shuffle, threads);
    assert_true(add_epoch(t, loader, 0, 0, 100));
    for (int64_t most = 0; most < 4; most++)
        (void)add_epoch(t, loader, 1 + most, most % cn__loader_batches(loader), most);
    assert_true(add_epoch(t, loader, 7, cn__loader_batches(loader), 1));
    assert_true(add_epoch(t, loader, 0, 0, 100));
    (void)add_epoch(t, loader, 8, 0, 1);
    cn__loader_free(loader);
}

static void check_any_threads(cn_dataset *dataset)
{
    const int64_t batch_sizes[] = {1, 4, 23, INT64_MAX};
    for (int shuffle = 0; shuffle < 2; shuffle++)
        for (size_t b = 0; b < CN__COUNT(batch_sizes); b++) {
            static text expected, got;
            for (size_t t = 0; t < CN__COUNT(thread_counts); t++) {
                text *out = t ? &got : &expected;
                out->length = 0;
                tell_all(out, dataset, shuffle, batch_sizes[b], thread_counts[t]);
                assert_true(out->length > 800);
                if (t)
                    assert_string_equal(got.bytes, expected.bytes);
            }
        }
}

static void test_any_threads(void **state)
{
    (void)state;
    source s = {.bad = -1, .worse = -1};
    cn_dataset *dataset = dataset_of(&s, count);
    check_any_threads(dataset);
    cn_dataset_free(dataset);
}

/* With two bad samples in one batch, the first of them is told. */
static void test_failures_with_any_threads(void **state)
{
    (void)state;
    source s = {.bad = 9, .worse = 10};
    cn_dataset *dataset = dataset_of(&s, count);
    cn__loader *loader = loader_of(dataset, 4, false, 3);
    text got = {.length = 0};
    assert_true(add_epoch(&got, loader, 0, 2, 100));
    const char *expected = "failed: sample 9 is bad\n12:";
    assert_memory_equal(got.bytes, expected, strlen(expected));
    cn__loader_free(loader);
    static text all;
    all.length = 0;
    tell_all(&all, dataset, true, 4, 8);
    assert_non_null(strstr(all.bytes, "failed: sample 10 is bad\n"));
    for (size_t t = 0; t < CN__COUNT(thread_counts); t++) {
        static text other;
        other.length = 0;
        tell_all(&other, dataset, true, 4, thread_counts[t]);
        assert_string_equal(other.bytes, all.bytes);
    }
    cn_dataset_free(dataset);
}

/* Begun at batch k, an epoch goes on as if it had come there from its first. */
static void test_restart(void **state)
{
    (void)state;
    source s = {.bad = -1, .worse = -1};
    cn_dataset *dataset = dataset_of(&s, count);
    for (size_t t = 0; t < CN__COUNT(thread_counts); t++) {
        cn__loader *loader = loader_of(dataset, 5, true, thread_counts[t]);
        text whole = {.length = 0};
        assert_true(add_epoch(&whole, loader, 6, 0, 100));
        const char *rest = whole.bytes;
        for (int first = 0; first < 5; first++) {
            text part = {.length = 0};
            assert_true(add_epoch(&part, loader, 6, first, 100));
            assert_string_equal(part.bytes, rest);
            rest = strchr(rest, '\n') + 1;
        }
        cn__loader_free(loader);
    }
    cn_dataset_free(dataset);
}

/* A whole epoch reads every sample once. */
static void test_reads_once(void **state)
{
    (void)state;
    for (size_t t = 0; t < CN__COUNT(thread_counts); t++) {
        source s = {.bad = -1, .worse = -1};
        cn_dataset *dataset = dataset_of(&s, count);
        cn__loader *loader = loader_of(dataset, 4, true, thread_counts[t]);
        text got = {.length = 0};
        assert_true(add_epoch(&got, loader, 0, 0, 100));
        assert_int_equal(atomic_load(&s.reads), count);
        cn__loader_free(loader);
        cn_dataset_free(dataset);
    }
}

static void test_empty(void **state)
{
    (void)state;
    source s = {.bad = -1, .worse = -1};
    cn_dataset *dataset = dataset_of(&s, 0);
    for (size_t t = 0; t < CN__COUNT(thread_counts); t++) {
        cn__loader *loader = loader_of(dataset, 4, true, thread_counts[t]);
        text got = {.length = 0};
        assert_int_equal(cn__loader_batches(loader), 0);
        assert_true(add_epoch(&got, loader, 0, 0, 1));
        cn__loader_free(loader);
    }
    cn_dataset_free(dataset);
}

static void test_refused(void **state)
{
    (void)state;
    source s = {.bad = -1, .worse = -1};
    cn_dataset *dataset = dataset_of(&s, count);
    assert_null(cn__loader_new(dataset, &(cn__loader_options){.batch_size = 0}));
    assert_string_equal(cn_error_message(), "the batch size must be at least 1, not 0");
    assert_null(cn__loader_new(dataset, &(cn__loader_options){.batch_size = 1, .threads = -1}));
    assert_null(cn__loader_new(dataset, &(cn__loader_options){.batch_size = 1, .threads = 1025}));
    cn_clear_error();
    assert_null(cn__loader_new(NULL, &(cn__loader_options){.batch_size = 1}));
    assert_null(cn__loader_new(dataset, NULL));
    cn__loader *loader = loader_of(dataset, 23, false, 1);
    assert_int_equal(cn__loader_begin(loader, 0, 2), CN_ERROR_ARGUMENT);
    assert_string_equal(cn_error_message(), "an epoch cannot begin at batch 2: it has 1");
    assert_int_equal(cn__loader_begin(loader, 0, -1), CN_ERROR_ARGUMENT);
    assert_int_equal(cn__loader_begin(NULL, 0, 0), CN_ERROR_ARGUMENT);
    assert_int_equal(cn__loader_next(loader, NULL), CN_ERROR_ARGUMENT);
    cn__loader_free(loader);
    cn__loader_free(NULL);
    cn_dataset_free(dataset);
}

/* All is allocated by cn__loader_new, or nothing is left. */
static void test_memory(void **state)
{
    (void)state;
    source s = {.bad = 3, .worse = -1};
    cn_dataset *dataset = dataset_of(&s, count);
    cn__loader *loader = NULL;
    static counter c;
    for (int k = 0; !loader; k++) {
        assert_in_range(k, 0, 40);
        fail_at(&c, k);
        loader = cn__loader_new(
            dataset, &(cn__loader_options){.batch_size = 4, .shuffle = true, .threads = 3});
        if (!loader) {
            assert_int_equal(cn_error_status(), CN_ERROR_MEMORY);
            assert_int_equal(c.alive, 0);
        }
    }
    c.until_failure = 0;
    text got = {.length = 0};
    assert_true(add_epoch(&got, loader, 0, 0, 100));
    assert_true(add_epoch(&got, loader, 1, 3, 100));
    cn__loader_free(loader);
    assert_int_equal(c.alive, 0);
    cn_set_allocator(NULL);
    cn_dataset_free(dataset);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shuffle),
        cmocka_unit_test(test_shuffle_is_fair),
        cmocka_unit_test(test_draws_differ),
        cmocka_unit_test(test_batches_in_order),
        cmocka_unit_test(test_any_threads),
        cmocka_unit_test(test_failures_with_any_threads),
        cmocka_unit_test(test_restart),
        cmocka_unit_test(test_reads_once),
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_refused),
        cmocka_unit_test_teardown(test_memory, restore_allocator),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
