/* Data sets in files: IDX (also gzipped), CIFAR-10, folders of pictures; and their broken kin. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <zlib.h>

#include "cornu/formats.h"
#include "cornu/models.h"
#include "unit/failing.h"
#include "unit/temporary.h"

#define SHAPE(...) ((cn_shape[]){cn_shape_of(__VA_ARGS__)})

static void check_message(cn_status status, const char *format, const char *path)
{
    char expected[800];
    assert_int_equal(cn_error_status(), status);
    (void)snprintf(expected, sizeof expected, "%s: %s", path, format);
    assert_string_equal(cn_error_message(), expected);
}

/* ---- IDX ---- */

/* Two pictures of 2 x 3. */
static const unsigned char pictures[28] = {0, 0, 8, 3, 0, 0, 0, 2, 0,  0,  0,  2,   0,   0,
                                           0, 3, 0, 1, 2, 3, 5, 8, 70, 80, 90, 100, 254, 255};

/* Writes the same bytes compressed. */
static const char *write_gzip(const char *name, const void *bytes, size_t size)
{
    const char *path = temporary_path(name);
    gzFile file = gzopen(path, "wb9");
    assert_int_equal(gzwrite(file, bytes, (unsigned)size), size);
    assert_int_equal(gzclose(file), Z_OK);
    return path;
}

static void check_pictures(cn_array *array)
{
    assert_non_null(array);
    assert_true(cn_shape_equal(cn_array_shape(array), SHAPE(2, 2, 3)));
    for (int i = 0; i < 12; i++)
        assert_true(cn_array_floats(array)[i] == (float)pictures[16 + i]);
    cn_array_free(array);
}

static void test_idx_pictures(void **state)
{
    (void)state;
    check_pictures(cn_idx_read(write_temporary("plain.idx", pictures, sizeof pictures)));
    check_pictures(cn_idx_read(write_gzip("packed.idx.gz", pictures, sizeof pictures)));
}

static void check_ints(const char *bytes, size_t size, const cn_shape *shape,
                       const int32_t *expected)
{
    cn_array *array = cn_idx_read(write_temporary("ints.idx", bytes, size));
    assert_non_null(array);
    assert_true(cn_shape_equal(cn_array_shape(array), shape));
    assert_non_null(cn_array_ints(array));
    assert_memory_equal(cn_array_ints(array), expected,
                        (size_t)cn_array_count(array) * sizeof *expected);
    cn_array_free(array);
}

static void check_floats(const char *bytes, size_t size, const cn_shape *shape,
                         const float *expected)
{
    cn_array *array = cn_idx_read(write_temporary("floats.idx", bytes, size));
    assert_non_null(array);
    assert_true(cn_shape_equal(cn_array_shape(array), shape));
    assert_non_null(cn_array_floats(array));
    assert_memory_equal(cn_array_floats(array), expected,
                        (size_t)cn_array_count(array) * sizeof *expected);
    cn_array_free(array);
}

static void test_idx_types(void **state)
{
    (void)state;
    check_ints("\0\0\x08\1\0\0\0\3\7\0\xff", 11, SHAPE(3), (const int32_t[]){7, 0, 255});
    check_ints("\0\0\x09\1\0\0\0\2\x7f\xff", 10, SHAPE(2), (const int32_t[]){127, -1});
    check_ints("\0\0\x0b\1\0\0\0\2\1\2\xff\xfe", 12, SHAPE(2), (const int32_t[]){258, -2});
    check_ints("\0\0\x0c\2\0\0\0\1\0\0\0\2\1\2\3\4\x80\0\0\0", 20, SHAPE(1, 2),
               (const int32_t[]){0x01020304, INT32_MIN});
    check_floats("\0\0\x0d\1\0\0\0\2\x3f\x80\0\0\xc0\x20\0\0", 16, SHAPE(2),
                 (const float[]){1, -2.5f});
    check_floats("\0\0\x0e\1\0\0\0\1\x3f\xb9\x99\x99\x99\x99\x99\x9a", 16, SHAPE(1),
                 (const float[]){0.1f});
    check_floats("\0\0\x08\2\0\0\0\0\0\0\0\5", 12, SHAPE(0, 5), NULL);
}

static void test_idx_truncated(void **state)
{
    (void)state;
    unsigned char packed[200];
    for (size_t size = 0; size < sizeof pictures; size++)
        assert_null(cn_idx_read(write_temporary("short.idx", pictures, size)));
    check_message(CN_ERROR_FORMAT,
                  "cut short: its header calls for 12 bytes of elements, it has 11",
                  temporary_path("short.idx"));
    assert_null(cn_idx_read(write_temporary("short.idx", pictures, 15)));
    check_message(CN_ERROR_FORMAT, "cut short within its header", temporary_path("short.idx"));
    (void)write_gzip("whole.gz", pictures, sizeof pictures);
    size_t whole = read_temporary("whole.gz", packed, sizeof packed);
    for (size_t size = 0; size < whole; size++)
        assert_null(cn_idx_read(write_temporary("short.gz", packed, size)));
    check_message(CN_ERROR_FORMAT, "its compressed data are cut short", temporary_path("short.gz"));
}

/* Every bit of the compressed file turned: an error, or a bit that tells nothing of the pictures,
 * such as those of the time in gzip's header. */
static void test_idx_broken_gzip(void **state)
{
    (void)state;
    unsigned char packed[200];
    (void)write_gzip("whole.gz", pictures, sizeof pictures);
    size_t size = read_temporary("whole.gz", packed, sizeof packed);
    for (size_t bit = 0; bit < 8 * size; bit++) {
        packed[bit / 8] ^= (unsigned char)(1 << bit % 8);
        cn_array *array = cn_idx_read(write_temporary("broken.gz", packed, size));
        if (array)
            check_pictures(array);
        packed[bit / 8] ^= (unsigned char)(1 << bit % 8);
    }
}

/* The largest piece of memory asked for. */
static size_t largest;

static void *watched_allocate(size_t size, size_t alignment, void *context)
{
    (void)context;
    largest = size > largest ? size : largest;
    void *memory = NULL;
    return posix_memalign(&memory, alignment, size) == 0 ? memory : NULL;
}

static void watched_release(void *memory, void *context)
{
    (void)context;
    free(memory);
}

static void check_refused(const char *bytes, size_t size, const char *message)
{
    largest = 0;
    cn_set_allocator(&(cn_allocator){watched_allocate, watched_release, NULL});
    const char *path = write_temporary("refused.idx", bytes, size);
    assert_null(cn_idx_read(path));
    cn_set_allocator(NULL);
    assert_true(largest <= (size_t)2 << 20);
    check_message(CN_ERROR_FORMAT, message, path);
}

static void test_idx_lies(void **state)
{
    (void)state;
    const char *no_idx =
        "not an IDX file, which begins with two zeros and a type from 0x08 to 0x0E";
    check_refused("\1\0\x08\1\0\0\0\1\1", 9, no_idx);
    check_refused("\0\1\x08\1\0\0\0\1\1", 9, no_idx);
    check_refused("\0\0\x0a\1\0\0\0\1\1", 9, no_idx);
    check_refused("", 0, no_idx);
    check_refused("\0\0\x08\0\1", 5, "has 0 axes; 1 to 8 are supported");
    check_refused("\0\0\x08\x09\0\0\0\1\1", 9, "has 9 axes; 1 to 8 are supported");
    check_refused("\0\0\x08\1\0\0\0\1\1\2", 10,
                  "goes on after the 1 bytes of elements its header calls for");
    check_refused("\0\0\x08\2\xff\xff\xff\xff\0\0\x10\0\1", 13,
                  "cut short: its header calls for 17592186040320 bytes of elements, it has 1");
    check_refused("\0\0\x0e\2\xff\xff\xff\xff\xff\xff\xff\xff\1", 13,
                  "no array can have its shape (4294967295, 4294967295)");
    check_refused("\0\0\x08\3\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\1", 17,
                  "no array can have its shape (4294967295, 4294967295, 4294967295)");
}

static void test_idx_missing(void **state)
{
    (void)state;
    const char *path = temporary_path("missing.idx");
    assert_null(cn_idx_read(path));
    check_message(CN_ERROR_IO, "cannot open: No such file or directory", path);
    assert_null(cn_idx_read(temporary_folder));
    check_message(CN_ERROR_IO, "cannot read: Is a directory", temporary_folder);
    assert_null(cn_idx_read(NULL));
}

/* ---- CIFAR-10 ---- */

enum { record = 3073 };

/* The byte of a record's channel and pixel. */
static unsigned char byte_of(int number, int channel, int pixel)
{
    return (unsigned char)(number * 50 + channel * 80 + pixel);
}

static void make_record(int number, unsigned char *bytes)
{
    bytes[0] = (unsigned char)(9 - number);
    for (int c = 0; c < 3; c++)
        for (int p = 0; p < 1024; p++)
            bytes[1 + c * 1024 + p] = byte_of(number, c, p);
}

static void test_cifar10(void **state)
{
    (void)state;
    static unsigned char bytes[3 * record];
    for (int i = 0; i < 3; i++)
        make_record(i, bytes + i * record);
    const char *paths[] = {write_temporary("1.bin", bytes, record),
                           write_temporary("2.bin", bytes + record, 2 * record)};
    cn_array *images, *labels;
    assert_int_equal(cn_cifar10_read(2, paths, &images, &labels), CN_OK);
    assert_true(cn_shape_equal(cn_array_shape(images), SHAPE(3, 32, 32, 3)));
    assert_true(cn_shape_equal(cn_array_shape(labels), SHAPE(3)));
    const float *value = cn_array_const_floats(images);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(cn_array_const_ints(labels)[i], 9 - i);
        for (int p = 0; p < 1024; p++)
            for (int c = 0; c < 3; c++)
                assert_true(*value++ == (float)byte_of(i, c, p) / 255);
    }
    cn_array_free(images);
    cn_array_free(labels);
}

static void check_cifar10_refused(const void *bytes, size_t size, const char *message)
{
    const char *path = write_temporary("bad.bin", bytes, size);
    cn_array *images = (cn_array *)&path, *labels = images;
    assert_int_equal(cn_cifar10_read(1, &path, &images, &labels), CN_ERROR_FORMAT);
    assert_null(images);
    assert_null(labels);
    if (message)
        check_message(CN_ERROR_FORMAT, message, path);
}

static void test_cifar10_refused(void **state)
{
    (void)state;
    static unsigned char bytes[2 * record];
    for (size_t size = 0; size < 2 * record; size += size == record - 1 ? 2 : 1)
        check_cifar10_refused(bytes, size, NULL);
    check_cifar10_refused(bytes, record + 1,
                          "3074 bytes are no batch of CIFAR-10, whose pictures take 3073 each");
    bytes[record] = 10;
    check_cifar10_refused(bytes, 2 * record, "picture 1 has the label 10; there are 0 to 9");
    cn_array *images, *labels;
    const char *path = temporary_path("missing.bin");
    assert_int_equal(cn_cifar10_read(1, &path, &images, &labels), CN_ERROR_IO);
    assert_int_equal(cn_cifar10_read(0, &path, &images, &labels), CN_ERROR_ARGUMENT);
    assert_int_equal(cn_cifar10_read(1, NULL, &images, &labels), CN_ERROR_ARGUMENT);
    assert_int_equal(cn_cifar10_read(1, &path, NULL, &labels), CN_ERROR_ARGUMENT);
    path = NULL;
    assert_int_equal(cn_cifar10_read(1, &path, &images, &labels), CN_ERROR_ARGUMENT);
}

/* ---- a folder of pictures ---- */

/* Classes in the order of their bytes: "B", "a", "empty"; and what is to be passed over. */
static const char *const folders[] = {"set",    "set/a",        "set/a/folder.png",
                                      "set/B",  "set/empty",    "none",
                                      "hollow", "hollow/class", "set/.hidden"};
static const char *const files[] = {"set/a/2.png",  "set/a/10.PNG",   "set/B/p.jpeg",
                                    "set/a/.h.png", "set/a/t.txt",    "set/a/png",
                                    "set/file.png", "set/a/link.jpg", "set/a/dangling.png"};

/* A picture of one colour. */
static void write_picture(const char *name, int height, int width, float red, float green,
                          float blue)
{
    cn_array *image = cn_array_new(CN_FLOAT32, SHAPE(height, width, 3));
    for (int i = 0; i < height * width; i++)
        memcpy(cn_array_floats(image) + 3 * i, (float[]){red, green, blue}, 3 * sizeof(float));
    const char *path = temporary_path("new.png");
    assert_int_equal(cn_image_write(path, image), CN_OK);
    assert_int_equal(rename(path, temporary_path(name)), 0);
    cn_array_free(image);
}

static int make_folders(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        if (mkdir(temporary_path(folders[i]), 0777) != 0)
            return -1;
    write_picture("set/a/2.png", 2, 2, 0, 51, 255);
    write_picture("set/a/10.PNG", 4, 6, 102, 102, 102);
    write_picture("set/B/p.jpeg", 2, 2, 255, 0, 0);
    write_picture("set/a/.h.png", 1, 1, 1, 1, 1);
    write_picture("set/file.png", 1, 1, 1, 1, 1);
    (void)write_temporary("set/a/t.txt", "text", 4);
    (void)write_temporary("set/a/png", "text", 4);
    return symlink(temporary_path("set/B/p.jpeg"), temporary_path("set/a/link.jpg")) == 0 &&
                   symlink("nowhere.png", temporary_path("set/a/dangling.png")) == 0
               ? 0
               : -1;
}

static int remove_folders(void **state)
{
    (void)state;
    cn_set_allocator(NULL);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        (void)unlink(temporary_path(files[i]));
    for (size_t i = sizeof folders / sizeof *folders; i-- > 0;)
        (void)rmdir(temporary_path(folders[i]));
    return 0;
}

/* All pixels of sample `index` have this colour, its label is `label`. */
static void check_colour(cn_dataset *dataset, int index, int label, int channels,
                         const float *colour)
{
    float values[2 * 3 * 3] = {0};
    int32_t got = -1;
    assert_int_equal(cn_dataset_read(dataset, index, 0, (void *[]){values, &got}), CN_OK);
    assert_int_equal(got, label);
    /* a resized picture's weights sum to 1 within the rounding of a few floats */
    for (int i = 0; i < 2 * 3 * channels; i++)
        assert_float_equal(values[i], colour[i % channels], 1e-6);
}

static void test_image_folder(void **state)
{
    (void)state;
    char *names = NULL;
    cn_image_folder_options options = {sizeof options, .height = 2, .width = 3};
    cn_dataset *dataset = cn_image_folder_new(temporary_path("set"), &options, &names);
    assert_non_null(dataset);
    assert_string_equal(names, "B\na\nempty\n");
    cn_free_text(names);
    assert_int_equal(cn_dataset_count(dataset), 4);
    assert_int_equal(cn_dataset_inputs(dataset), 1);
    assert_int_equal(cn_dataset_targets(dataset), 1);
    assert_true(cn_shape_equal(cn_dataset_shape(dataset, 0), SHAPE(2, 3, 3)));
    assert_int_equal(cn_dataset_shape(dataset, 1)->rank, 0);
    assert_int_equal(cn_dataset_dtype(dataset, 1), CN_INT32);
    assert_true(cn_dataset_is_slow(dataset));
    check_colour(dataset, 0, 0, 3, (const float[]){1, 0, 0});
    check_colour(dataset, 1, 1, 3, (const float[]){0.4f, 0.4f, 0.4f}); /* 10.PNG */
    check_colour(dataset, 2, 1, 3, (const float[]){0, 0.2f, 1});       /* 2.png */
    check_colour(dataset, 3, 1, 3, (const float[]){1, 0, 0});          /* link.jpg */
    cn_dataset_free(dataset);

    dataset = cn_image_folder(temporary_path("set/"), .height = 2, .width = 3, .channels = 1);
    assert_true(cn_shape_equal(cn_dataset_shape(dataset, 0), SHAPE(2, 3, 1)));
    check_colour(dataset, 0, 0, 1, (const float[]){0.299f});
    cn_dataset_free(dataset);
    dataset = cn_image_folder(temporary_path("set"), 0);
    assert_true(cn_shape_equal(cn_dataset_shape(dataset, 0), SHAPE(256, 256, 3)));
    cn_dataset_free(dataset);
}

static void test_image_folder_broken_picture(void **state)
{
    (void)state;
    cn_dataset *dataset = cn_image_folder(temporary_path("set"), .height = 2, .width = 3);
    (void)write_temporary("set/a/2.png", "no picture", 10);
    float values[2 * 3 * 3];
    int32_t label;
    assert_int_equal(cn_dataset_read(dataset, 2, 0, (void *[]){values, &label}), CN_ERROR_FORMAT);
    check_message(CN_ERROR_FORMAT, "neither a PNG nor a JPEG by its content",
                  temporary_path("set/a/2.png"));
    (void)unlink(temporary_path("set/a/2.png"));
    assert_int_equal(cn_dataset_read(dataset, 2, 0, (void *[]){values, &label}), CN_ERROR_IO);
    cn_dataset_free(dataset);
}

static void test_image_folder_refused(void **state)
{
    (void)state;
    char *names = (char *)state;
    assert_null(cn_image_folder_new(temporary_path("missing"), NULL, &names));
    assert_null(names);
    check_message(CN_ERROR_IO, "cannot open as a folder: No such file or directory",
                  temporary_path("missing"));
    assert_null(cn_image_folder(temporary_path("set/file.png"), 0));
    assert_int_equal(cn_error_status(), CN_ERROR_IO);
    assert_null(cn_image_folder(temporary_path("none"), 0));
    check_message(CN_ERROR_FORMAT, "has no folders in it; there must be one for each class",
                  temporary_path("none"));
    assert_null(cn_image_folder(temporary_path("hollow"), 0));
    check_message(CN_ERROR_FORMAT, "there are no pictures (.png, .jpg, .jpeg) in its 1 folders",
                  temporary_path("hollow"));
    assert_null(cn_image_folder(temporary_path("set"), .channels = 2));
    assert_string_equal(cn_error_message(),
                        "cn_image_folder: channels must be 1 (grey) or 3, not 2");
    assert_null(cn_image_folder(temporary_path("set"), .height = -1));
    assert_null(cn_image_folder(temporary_path("set"), .height = INT64_MAX, .width = INT64_MAX));
    assert_null(cn_image_folder(NULL, 0));
    cn_image_folder_options options = {.size_ = 1};
    assert_null(cn_image_folder_new(temporary_path("set"), &options, NULL));
}

/* ---- memory ---- */

static bool use_all(const char *idx, const char *cifar, const char *folder)
{
    cn_array *array = cn_idx_read(idx), *images = NULL, *labels = NULL;
    bool done = array && cn_cifar10_read(1, &cifar, &images, &labels) == CN_OK;
    char *names = NULL;
    cn_image_folder_options options = {sizeof options, .height = 2, .width = 3};
    cn_dataset *dataset = done ? cn_image_folder_new(folder, &options, &names) : NULL;
    float values[2 * 3 * 3];
    int32_t label;
    done = dataset && cn_dataset_read(dataset, 1, 0, (void *[]){values, &label}) == CN_OK;
    cn_free_text(names);
    cn_dataset_free(dataset);
    cn_array_free(array);
    cn_array_free(images);
    cn_array_free(labels);
    return done;
}

static void test_memory_failures(void **state)
{
    (void)state;
    static unsigned char bytes[record];
    const char *idx = write_gzip("a.idx.gz", pictures, sizeof pictures);
    const char *cifar = write_temporary("a.bin", bytes, record), *folder = temporary_path("set");
    bool done = false;
    for (int k = 0; !done; k++) {
        assert_in_range(k, 0, 100);
        counter c;
        fail_at(&c, k);
        done = use_all(idx, cifar, folder);
        assert_int_equal(cn_error_status(), done ? CN_OK : CN_ERROR_MEMORY);
        assert_int_equal(c.alive, 0);
        cn_set_allocator(NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_idx_pictures),
        cmocka_unit_test(test_idx_types),
        cmocka_unit_test(test_idx_truncated),
        cmocka_unit_test(test_idx_broken_gzip),
        cmocka_unit_test_teardown(test_idx_lies, restore_allocator),
        cmocka_unit_test(test_idx_missing),
        cmocka_unit_test(test_cifar10),
        cmocka_unit_test(test_cifar10_refused),
        cmocka_unit_test_setup_teardown(test_image_folder, make_folders, remove_folders),
        cmocka_unit_test_setup_teardown(test_image_folder_broken_picture, make_folders,
                                        remove_folders),
        cmocka_unit_test_setup_teardown(test_image_folder_refused, make_folders, remove_folders),
        cmocka_unit_test_setup_teardown(test_memory_failures, make_folders, remove_folders),
    };
    return cmocka_run_group_tests(tests, make_temporary_folder, remove_temporary_folder);
}
