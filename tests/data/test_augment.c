/* Augmentation: exact motions, bilinear values by hand, masks, reproducibility, options. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "data/data.h"
#include "unit/failing.h"

#include <math.h>
#include <string.h>

#define SHAPE(...) ((cn_shape[]){cn_shape_of(__VA_ARGS__)})

/* ---- motions ---- */

static void check_picture(cn__motion motion, const cn_shape *shape, const float *from,
                          const float *expected)
{
    float to[64];
    motion.zoom = motion.zoom != 0 ? motion.zoom : 1;
    cn__move_picture(&motion, shape, from, to);
    assert_memory_equal(to, expected, (size_t)cn_shape_count(shape) * sizeof *to);
}

/* The same of elements that are not numbers of floating point. */
static void check_labels(cn__motion motion, const cn_shape *shape, const int32_t *from,
                         const int32_t *expected)
{
    int32_t to[64];
    motion.zoom = motion.zoom != 0 ? motion.zoom : 1;
    cn__move_labels(&motion, shape, from, to);
    assert_memory_equal(to, expected, (size_t)cn_shape_count(shape) * sizeof *to);
}

static void check_both(cn__motion motion, const cn_shape *shape, const int32_t *from,
                       const int32_t *expected)
{
    float from_floats[64], expected_floats[64];
    for (int64_t i = 0; i < cn_shape_count(shape); i++) {
        from_floats[i] = (float)from[i];
        expected_floats[i] = (float)expected[i];
    }
    check_picture(motion, shape, from_floats, expected_floats);
    check_labels(motion, shape, from, expected);
}

/* Two channels, 2 x 3; what is not finite, and -0, stay what they are. */
static void test_identity(void **state)
{
    (void)state;
    const float from[] = {1, -0.0f, INFINITY, NAN, 5, -6, 1e-40f, 8, -INFINITY, 10, 11, 12};
    check_picture((cn__motion){.zoom = 1}, SHAPE(2, 3, 2), from, from);
    check_labels((cn__motion){.zoom = 1}, SHAPE(2, 3), (const int32_t[]){1, 2, 3, 4, 5, 6},
                 (const int32_t[]){1, 2, 3, 4, 5, 6});
}

static void test_flips(void **state)
{
    (void)state;
    const int32_t from[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
    const int32_t across[] = {4, 5, 2, 3, 0, 1, 10, 11, 8, 9, 6, 7};
    const int32_t down[] = {6, 7, 8, 9, 10, 11, 0, 1, 2, 3, 4, 5};
    const int32_t both[] = {10, 11, 8, 9, 6, 7, 4, 5, 2, 3, 0, 1};
    check_both((cn__motion){.horizontal_flip = true}, SHAPE(2, 3, 2), from, across);
    check_both((cn__motion){.vertical_flip = true}, SHAPE(2, 3, 2), from, down);
    check_both((cn__motion){.horizontal_flip = true, .vertical_flip = true}, SHAPE(2, 3, 2), from,
               both);
}

static void test_quarter_turns(void **state)
{
    (void)state;
    const int32_t from[] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    const int32_t right[] = {7, 4, 1, 8, 5, 2, 9, 6, 3};
    const int32_t left[] = {3, 6, 9, 2, 5, 8, 1, 4, 7};
    const int32_t half[] = {9, 8, 7, 6, 5, 4, 3, 2, 1};
    check_both((cn__motion){.degrees = 90}, SHAPE(3, 3, 1), from, right);
    check_both((cn__motion){.degrees = -90}, SHAPE(3, 3, 1), from, left);
    check_both((cn__motion){.degrees = 180}, SHAPE(3, 3, 1), from, half);
    check_both((cn__motion){.degrees = -180}, SHAPE(3, 3, 1), from, half);
    const int32_t even[] = {1, 2, 3, 4}, even_right[] = {3, 1, 4, 2};
    check_both((cn__motion){.degrees = 90}, SHAPE(2, 2, 1), even, even_right);
    check_both((cn__motion){.degrees = 180}, SHAPE(1, 4, 1), even, (const int32_t[]){4, 3, 2, 1});
    /* first flipped, then turned: 2 1 / 4 3, then 4 2 / 3 1 */
    check_both((cn__motion){.horizontal_flip = true, .degrees = 90}, SHAPE(2, 2, 1), even,
               (const int32_t[]){4, 2, 3, 1});
}

/* By whole pixels, the edges repeated; last of all motions. */
static void test_shifts(void **state)
{
    (void)state;
    const int32_t from[] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    check_both((cn__motion){.x = 1}, SHAPE(3, 3, 1), from,
               (const int32_t[]){1, 1, 2, 4, 4, 5, 7, 7, 8});
    check_both((cn__motion){.y = -2}, SHAPE(3, 3, 1), from,
               (const int32_t[]){7, 8, 9, 7, 8, 9, 7, 8, 9});
    check_both((cn__motion){.x = -3, .y = 3}, SHAPE(3, 3, 1), from,
               (const int32_t[]){3, 3, 3, 3, 3, 3, 3, 3, 3});
    check_both((cn__motion){.degrees = 90, .x = 1}, SHAPE(3, 3, 1), from,
               (const int32_t[]){7, 7, 4, 8, 8, 5, 9, 9, 6});
    check_both((cn__motion){.horizontal_flip = true, .x = 1}, SHAPE(1, 3, 1), from,
               (const int32_t[]){3, 3, 2});
}

/* Places that are multiples of 1/4 have exact weights. */
static void test_bilinear(void **state)
{
    (void)state;
    const float from[] = {0, 16, 32, 64};
    check_picture((cn__motion){.x = 0.25}, SHAPE(1, 4, 1), from, (const float[]){0, 12, 28, 56});
    check_picture((cn__motion){.x = -0.5, .y = 9}, SHAPE(1, 4, 1), from,
                  (const float[]){8, 24, 48, 64});
    check_picture((cn__motion){.x = 0.5}, SHAPE(2, 2, 1), (const float[]){2, 4, INFINITY, INFINITY},
                  (const float[]){2, 3, INFINITY, INFINITY});
    /* twice as large: pixel centres 0 1 2 3 come from 0.75 1.25 1.75 2.25 */
    check_picture((cn__motion){.zoom = 2}, SHAPE(1, 4, 1), from, (const float[]){12, 20, 28, 40});
    check_labels((cn__motion){.zoom = 2}, SHAPE(1, 4), (const int32_t[]){1, 2, 3, 4},
                 (const int32_t[]){2, 2, 3, 3});
    /* half as large: from -1.5 0.5 2.5 4.5 */
    check_picture((cn__motion){.zoom = 0.5}, SHAPE(1, 4, 1), from, (const float[]){0, 8, 48, 64});
    const float square[] = {0, 4, 8, 16};
    check_picture((cn__motion){.x = 0.5, .y = -0.5}, SHAPE(2, 2, 1), square,
                  (const float[]){4, 7, 8, 12});
}

/* Turned by 45 degrees, the corner of a 3 x 3 picture comes from sqrt(2) left of or above the
 * centre, that is from the edge's middle, and the edge's middle from (0.5 sqrt(2)) twice: within
 * the rounding of a few operations in float. */
static void test_turned(void **state)
{
    (void)state;
    const float from[] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    float to[9];
    cn__move_picture(&(cn__motion){.degrees = 45, .zoom = 1}, SHAPE(3, 3, 1), from, to);
    float r = sqrtf(0.5f);
    /* the values are 5 + x + 3 y, x and y from the centre; clamped to 1 where they are beyond */
    const float expected[] = {5 - 1,         5 - r - 3 * r, 5 - 3,         5 - r + 3 * r, 5,
                              5 + r - 3 * r, 5 + 3,         5 + r + 3 * r, 5 + 1};
    for (int i = 0; i < 9; i++)
        assert_float_equal(to[i], expected[i], 1e-5);
}

/* ---- data sets ---- */

enum { samples = 200, height = 4, width = 6, channels = 2, pixels = height * width };

/* A picture (4, 6, 2) of numbers within 0 to 1 that are all different, masks (4, 6) and (4, 6, 1)
 * of the pixels' numbers, and a label. */
typedef struct sample {
    float picture[pixels * channels];
    int32_t mask[pixels];
    float other_mask[pixels];
    int32_t label;
} sample;

static cn_status read_sample(void *context, int64_t index, uint64_t draw, void *const *fields)
{
    (void)context;
    (void)draw;
    for (int i = 0; i < pixels; i++) {
        for (int c = 0; c < channels; c++)
            ((float *)fields[0])[i * channels + c] = (float)(i * channels + c) / 64;
        ((int32_t *)fields[1])[i] = i;
        ((float *)fields[2])[i] = (float)i;
    }
    *(int32_t *)fields[3] = (int32_t)index;
    return CN_OK;
}

static cn_dataset *plain(void)
{
    return cn_dataset_new(&(cn_dataset_source){
        .count = samples,
        .inputs = 1,
        .targets = 3,
        .dtypes = {CN_FLOAT32, CN_INT32, CN_FLOAT32, CN_INT32},
        .shapes = {cn_shape_of(height, width, channels), cn_shape_of(height, width),
                   cn_shape_of(height, width, 1)},
        .read = read_sample,
    });
}

static sample read_one(cn_dataset *dataset, int64_t index, uint64_t draw)
{
    sample s;
    memset(&s, 0, sizeof s);
    assert_int_equal(cn_dataset_read(dataset, index, draw,
                                     (void *[]){s.picture, s.mask, s.other_mask, &s.label}),
                     CN_OK);
    return s;
}

static void test_nothing(void **state)
{
    (void)state;
    cn_dataset *dataset = cn_augment(plain(), 0), *original = plain();
    assert_true(cn_dataset_is_slow(dataset));
    assert_int_equal(cn_dataset_count(dataset), samples);
    assert_int_equal(cn_dataset_targets(dataset), 3);
    assert_int_equal(cn_dataset_dtype(dataset, 1), CN_INT32);
    assert_true(cn_shape_equal(cn_dataset_shape(dataset, 0), SHAPE(height, width, channels)));
    for (uint64_t draw = 0; draw < 20; draw++) {
        sample a = read_one(dataset, 3, draw), b = read_one(original, 3, draw);
        assert_memory_equal(&a, &b, sizeof a);
    }
    cn_dataset_free(dataset);
    cn_dataset_free(original);
}

/* Masks of whole motions tell where each pixel comes from; the pictures must have moved alike. */
static void check_moved_alike(const sample *s)
{
    for (int i = 0; i < pixels; i++) {
        assert_in_range(s->mask[i], 0, pixels - 1);
        assert_true(s->other_mask[i] == (float)s->mask[i]);
        for (int c = 0; c < channels; c++)
            assert_true(s->picture[i * channels + c] == (float)(s->mask[i] * channels + c) / 64);
    }
}

/* Each of the four combinations comes up a fourth of the time: 50 of 200, within 4 standard
 * deviations (6). */
static void test_random_flips(void **state)
{
    (void)state;
    cn_dataset *dataset = cn_augment(plain(), .horizontal_flip = true, .vertical_flip = true,
                                     .targets_too = true, .seed = 5);
    int seen[4] = {0};
    const int32_t firsts[4] = {0, width - 1, pixels - width, pixels - 1};
    for (int i = 0; i < samples; i++) {
        sample s = read_one(dataset, i, (uint64_t)i);
        check_moved_alike(&s);
        assert_int_equal(s.label, i);
        int which = 0;
        while (which < 3 && firsts[which] != s.mask[0])
            which++;
        assert_int_equal(s.mask[0], firsts[which]);
        seen[which]++;
    }
    for (int i = 0; i < 4; i++)
        assert_in_range(seen[i], 50 - 24, 50 + 24);
    cn_dataset_free(dataset);
}

/* Without targets_too masks stay; the picture follows from the seed and the draw, not the index. */
static void test_reproducible(void **state)
{
    (void)state;
    cn_dataset *dataset = cn_augment(plain(), .shift = 0.3f, .rotation = 30, .zoom = 0.2f,
                                     .brightness = 0.1f, .seed = 1);
    cn_dataset *other = cn_augment(plain(), .shift = 0.3f, .rotation = 30, .zoom = 0.2f,
                                   .brightness = 0.1f, .seed = 2);
    cn_dataset *original = plain();
    sample a = read_one(dataset, 1, 9), b = read_one(dataset, 2, 9), c = read_one(dataset, 1, 8);
    sample d = read_one(other, 1, 9), o = read_one(original, 1, 9);
    assert_memory_equal(a.picture, b.picture, sizeof a.picture);
    assert_memory_not_equal(a.picture, c.picture, sizeof a.picture);
    assert_memory_not_equal(a.picture, d.picture, sizeof a.picture);
    assert_memory_not_equal(a.picture, o.picture, sizeof a.picture);
    assert_memory_equal(a.mask, o.mask, sizeof a.mask);
    cn_dataset_free(dataset);
    cn_dataset_free(other);
    cn_dataset_free(original);
}

/* Shifts of up to half the width and height: a mask's pixel has moved at most so far, and further
 * than a quarter now and then. */
static void test_random_shifts(void **state)
{
    (void)state;
    cn_dataset *dataset = cn_augment(plain(), .shift = 0.5f, .targets_too = true);
    int far_x = 0, far_y = 0;
    for (int i = 0; i < samples; i++) {
        sample s = read_one(dataset, i, (uint64_t)i);
        for (int y = 0; y < height; y++)
            for (int x = 0; x < width; x++) {
                int from = s.mask[y * width + x];
                assert_true(abs(from % width - x) <= width / 2);
                assert_true(abs(from / width - y) <= height / 2);
                far_x += abs(from % width - x) > width / 4;
                far_y += abs(from / width - y) > height / 4;
            }
    }
    assert_true(far_x > samples && far_y > samples);
    cn_dataset_free(dataset);
}

/* All pixels change alike, by up to a quarter of the range either way, and stay within it. */
static void test_brightness(void **state)
{
    (void)state;
    cn_dataset *dataset = cn_augment(plain(), .brightness = 0.25f, .range = 0.5f);
    cn_dataset *original = plain();
    sample o = read_one(original, 0, 0);
    float least = 1, most = -1;
    for (int i = 0; i < samples; i++) {
        sample s = read_one(dataset, i, (uint64_t)i);
        float by = s.picture[16] - o.picture[16]; /* 1/4: far from the ends of the range */
        least = fminf(least, by);
        most = fmaxf(most, by);
        for (int p = 0; p < pixels * channels; p++)
            assert_float_equal(s.picture[p], fminf(fmaxf(o.picture[p] + by, 0), 0.5f), 1e-6);
    }
    assert_true(least >= -0.125f && least < -0.115f);
    assert_true(most <= 0.125f && most > 0.115f);
    cn_dataset_free(dataset);
    cn_dataset_free(original);
}

/* One option does not change what another one does. */
static void test_options_do_not_mix(void **state)
{
    (void)state;
    cn_dataset *flips = cn_augment(plain(), .horizontal_flip = true, .targets_too = true);
    cn_dataset *more = cn_augment(plain(), .horizontal_flip = true, .brightness = 0.1f,
                                  .vertical_flip = true, .targets_too = true);
    for (int i = 0; i < 50; i++) {
        sample a = read_one(flips, i, (uint64_t)i), b = read_one(more, i, (uint64_t)i);
        assert_int_equal(a.mask[0] % width, b.mask[0] % width);
    }
    cn_dataset_free(flips);
    cn_dataset_free(more);
}

/* ---- options that are refused ---- */

static void check_refused(cn_augment_options options, const char *message)
{
    options.size_ = sizeof options;
    assert_null(cn_dataset_augment(plain(), &options));
    assert_string_equal(cn_error_message(), message);
}

static void test_refused(void **state)
{
    (void)state;
    check_refused((cn_augment_options){.shift = 1.5f},
                  "cn_augment: shift must be from 0 to 1, a part of width and height, not 1.5");
    check_refused((cn_augment_options){.rotation = -1},
                  "cn_augment: rotation must be from 0 to 180, in degrees, not -1");
    check_refused(
        (cn_augment_options){.zoom = 1},
        "cn_augment: zoom must be from 0 to less than 1: factors are from 1 - zoom to 1 + "
        "zoom, not 1");
    check_refused((cn_augment_options){.brightness = NAN},
                  "cn_augment: brightness must be from 0 to 1, a part of the range, not nan");
    check_refused((cn_augment_options){.range = -255},
                  "cn_augment: range must be positive: the largest value of a pixel, such as 1 or "
                  "255, not -255");
    assert_null(cn_dataset_augment(plain(), &(cn_augment_options){.size_ = 1000}));
    cn_clear_error();
    assert_null(cn_augment(NULL, .shift = 0.1f));
    cn_dataset *dataset = cn_dataset_augment(plain(), NULL);
    assert_non_null(dataset);
    cn_dataset_free(dataset);
}

static cn_status read_nothing(void *context, int64_t index, uint64_t draw, void *const *fields)
{
    (void)context;
    (void)index;
    (void)draw;
    (void)fields;
    return CN_OK;
}

static void test_fields_refused(void **state)
{
    (void)state;
    cn_dataset_source source = {.count = 1, .inputs = 1, .targets = 1, .read = read_nothing};
    source.shapes[0] = cn_shape_of(8, 8);
    assert_null(cn_augment(cn_dataset_new(&source), .horizontal_flip = true));
    assert_string_equal(cn_error_message(), "cn_augment: field 0 must be a float32 picture "
                                            "(height, width, channels), not float32 (8, 8)");
    source.shapes[0] = cn_shape_of(8, 8, 3);
    source.dtypes[0] = CN_INT32;
    assert_null(cn_augment(cn_dataset_new(&source), .horizontal_flip = true));
    source.dtypes[0] = CN_FLOAT32;
    source.shapes[1] = cn_shape_of(8, 9);
    assert_null(cn_augment(cn_dataset_new(&source), .targets_too = true));
    assert_string_equal(cn_error_message(), "cn_augment: targets_too needs a target of the height "
                                            "and width of field 0, (8, 8, 3); there is none");
}

static void test_memory_failures(void **state)
{
    (void)state;
    bool done = false;
    for (int k = 0; !done; k++) {
        assert_in_range(k, 0, 20);
        counter c;
        fail_at(&c, k);
        cn_dataset *dataset = cn_augment(plain(), .shift = 0.5f, .targets_too = true);
        sample s;
        done = dataset &&
               cn_dataset_read(dataset, 0, 1,
                               (void *[]){s.picture, s.mask, s.other_mask, &s.label}) == CN_OK;
        assert_int_equal(cn_error_status(), done ? CN_OK : CN_ERROR_MEMORY);
        cn_dataset_free(dataset);
        assert_int_equal(c.alive, 0);
        cn_set_allocator(NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_identity),
        cmocka_unit_test(test_flips),
        cmocka_unit_test(test_quarter_turns),
        cmocka_unit_test(test_shifts),
        cmocka_unit_test(test_bilinear),
        cmocka_unit_test(test_turned),
        cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_random_flips),
        cmocka_unit_test(test_reproducible),
        cmocka_unit_test(test_random_shifts),
        cmocka_unit_test(test_brightness),
        cmocka_unit_test(test_options_do_not_mix),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_fields_refused),
        cmocka_unit_test_teardown(test_memory_failures, restore_allocator),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
