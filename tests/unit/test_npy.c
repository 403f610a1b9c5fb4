/* .npy: every element type, both orders, what is written, and broken files. */
#include "base/base.h"
#include "cornu/formats.h"
#include "formats/npy.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <cmocka.h>
#include "failing.h"
#include "temporary.h"

#define SHAPE(...) ((cn_shape[]){cn_shape_of(__VA_ARGS__)})

static unsigned char file[70000];

/* Composes an npy in `file` and returns its size. */
static size_t compose(int version, const char *dictionary, const void *elements, size_t size)
{
    size_t length = strlen(dictionary), at = 0;
    memcpy(file, "\x93NUMPY", 6);
    file[6] = (unsigned char)version;
    file[7] = 0;
    for (at = 8; at < (version == 1 ? 10 : 12); at++)
        file[at] = (unsigned char)(length >> (8 * (at - 8)));
    memcpy(file + at, dictionary, length);
    memcpy(file + at + length, elements, size);
    return at + length + size;
}

/* The array that an npy of that type, order and shape holds. */
static cn_array *parse(const char *descr, bool fortran, const char *shape, const void *elements,
                       size_t size)
{
    char text[200];
    snprintf(text, sizeof text, "{'descr': '%s', 'fortran_order': %s, 'shape': %s, }  \n", descr,
             fortran ? "True" : "False", shape);
    size_t total = compose(1, text, elements, size), called_for;
    cn_clear_error();
    cn_array *array = cn__npy_parse(file, total);
    if (array) {
        assert_int_equal(cn__npy_size(file, total, &called_for), CN_OK);
        assert_int_equal(called_for, total);
    }
    return array;
}

static void check_floats(cn_array *array, const float *expected, int64_t count)
{
    assert_non_null(cn_array_floats(array));
    assert_int_equal(cn_array_count(array), count);
    for (int64_t i = 0; i < count; i++)
        assert_true(cn_array_floats(array)[i] == expected[i] ||
                    (isnan(expected[i]) && isnan(cn_array_floats(array)[i])));
    cn_array_free(array);
}

static void check_ints(cn_array *array, const int32_t *expected, int64_t count)
{
    assert_non_null(cn_array_ints(array));
    assert_int_equal(cn_array_count(array), count);
    assert_memory_equal(cn_array_ints(array), expected, (size_t)count * 4);
    cn_array_free(array);
}

static void test_floats(void **state)
{
    (void)state;
    const unsigned char f2[] = {0x00, 0x3c, 0x00, 0xc0, 0x01, 0x00,
                                0xff, 0x7b, 0x00, 0x7c, 0x01, 0xfe};
    check_floats(parse("<f2", false, "(6,)", f2, 12),
                 (const float[]){1, -2, 0x1p-24F, 65504, INFINITY, NAN}, 6);
    const unsigned char f2_big[] = {0x3c, 0x00, 0xc0, 0x01, 0x83, 0xff};
    check_floats(parse(">f2", false, "(3,)", f2_big, 6),
                 (const float[]){1, -2.001953125F, -1023 * 0x1p-24F}, 3);
    const unsigned char f4[] = {0, 0, 0xc0, 0x3f, 0, 0, 0x80, 0xc0};
    check_floats(parse("<f4", false, "(1, 2)", f4, 8), (const float[]){1.5F, -4}, 2);
    const unsigned char f4_big[] = {0x3f, 0xc0, 0, 0, 0xc0, 0x80, 0, 0};
    check_floats(parse(">f4", false, "(2,1)", f4_big, 8), (const float[]){1.5F, -4}, 2);
    const unsigned char f8[] = {0, 0, 0, 0, 0, 0, 0xf8, 0x3f};
    check_floats(parse("<f8", false, "()", f8, 8), (const float[]){1.5F}, 1);
    const unsigned char f8_big[] = {0x3f, 0xf8, 0, 0, 0, 0, 0, 0};
    check_floats(parse(">f8", false, "(1L,)", f8_big, 8), (const float[]){1.5F}, 1);
}

static void test_integers(void **state)
{
    (void)state;
    const unsigned char bytes[] = {0x00, 0x01, 0x80, 0xff, 0x02, 0x00, 0x00, 0x80};
    check_ints(parse("|b1", false, "(4,)", bytes, 4), (const int32_t[]){0, 1, 1, 1}, 4);
    check_ints(parse("|i1", false, "(4,)", bytes, 4), (const int32_t[]){0, 1, -128, -1}, 4);
    check_ints(parse("|u1", false, "(2, 2)", bytes, 4), (const int32_t[]){0, 1, 128, 255}, 4);
    check_ints(parse("<i2", false, "(4,)", bytes, 8), (const int32_t[]){256, -128, 2, -32768}, 4);
    check_ints(parse(">i2", false, "(4,)", bytes, 8), (const int32_t[]){1, -32513, 512, 128}, 4);
    check_ints(parse("<u2", false, "(4,)", bytes, 8), (const int32_t[]){256, 65408, 2, 32768}, 4);
    check_ints(parse("<i4", false, "(2,)", bytes, 8),
               (const int32_t[]){-8388352, (int32_t)0x80000002}, 2);
    check_floats(parse("<u4", false, "(2,)", bytes, 8),
                 (const float[]){4286578944.0F, 2147483650.0F}, 2);
    const unsigned char small[] = {0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    check_ints(parse("<i8", false, "(1,)", small, 8), (const int32_t[]){-2}, 1);
    check_floats(parse("<u8", false, "(1,)", small, 8), (const float[]){0x1p64F}, 1);
    const unsigned char large[] = {0, 0, 0, 0x80, 0, 0, 0, 0};
    check_floats(parse("<i8", false, "(1,)", large, 8), (const float[]){0x1p31F}, 1);
    check_ints(parse(">i8", false, "(0, 3)", large, 0), NULL, 0);
}

static void test_fortran_order(void **state)
{
    (void)state;
    unsigned char bytes[24];
    for (unsigned char i = 0; i < 24; i++)
        bytes[i] = i;
    cn_array *array = parse("|u1", true, "(2, 3, 4)", bytes, 24);
    assert_true(cn_shape_equal(cn_array_shape(array), SHAPE(2, 3, 4)));
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < 3; j++)
            for (int k = 0; k < 4; k++)
                assert_int_equal(cn_array_ints(array)[(i * 3 + j) * 4 + k], i + 2 * j + 6 * k);
    cn_array_free(array);
    const float values[] = {1, 2, 3, 4, 5, 6};
    check_floats(parse("=f4", true, "(2, 3)", values, 24), (const float[]){1, 3, 5, 2, 4, 6}, 6);
    cn_array *empty = parse("<f4", true, "(0, 4611686018427387904, 4)", values, 0);
    assert_int_equal(cn_array_count(empty), 0);
    cn_array_free(empty);
}

static void test_versions_and_spellings(void **state)
{
    (void)state;
    const char *dictionaries[] = {
        "{'descr': '|u1', 'fortran_order': False, 'shape': (2,), }          \n",
        "{\"shape\":(2,),\"fortran_order\":False,\"descr\":\"u1\"}",
        "{ 'fortran_order' : False , 'shape' : ( 2 , ) , 'descr' : '<u1' } \n",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (2)}",
    };
    for (int version = 1; version <= 3; version++)
        for (size_t i = 0; i < CN__COUNT(dictionaries); i++) {
            size_t size = compose(version, dictionaries[i], "\x05\x06", 2);
            check_ints(cn__npy_parse(file, size), (const int32_t[]){5, 6}, 2);
        }
}

static void check_refused(const char *dictionary, const void *elements, size_t size,
                          cn_status status)
{
    size_t total = compose(1, dictionary, elements, size);
    cn_clear_error();
    assert_null(cn__npy_parse(file, total));
    assert_int_equal(cn_error_status(), status);
    assert_memory_equal(cn_error_message(), "npy: ", 5);
}

static void test_broken_headers(void **state)
{
    (void)state;
    static const struct {
        const char *dictionary;
        cn_status status;
    } cases[] = {
        {"", CN_ERROR_FORMAT},
        {"{", CN_ERROR_FORMAT},
        {"{}", CN_ERROR_FORMAT},
        {"{'descr'", CN_ERROR_FORMAT},
        {"{'descr", CN_ERROR_FORMAT},
        {"{'descr': ", CN_ERROR_UNSUPPORTED},
        {"{'descr': 'f4'", CN_ERROR_FORMAT},
        {"{'descr': 'f4' 'shape': (2,), 'fortran_order': False}", CN_ERROR_FORMAT},
        {"{'descr': 'f4', 'descr': 'f4', 'shape': (2,), 'fortran_order': False}", CN_ERROR_FORMAT},
        {"{'descr': 'f4', 'shape': (2,), 'fortran_order': False, 'x': 1}", CN_ERROR_FORMAT},
        {"{'descr': 'f4', 'shape': (2,)}", CN_ERROR_FORMAT},
        {"{'descr': 'f4', 'fortran_order': 0, 'shape': (2,)}", CN_ERROR_FORMAT},
        {"{'descr': 'f4', 'fortran_order': Tru", CN_ERROR_FORMAT},
        {"{'descr': 'f4', 'fortran_order': False, 'shape': [2]}", CN_ERROR_FORMAT},
        {"{'descr': 'f4', 'fortran_order': False, 'shape': (2", CN_ERROR_FORMAT},
        {"{'descr': 'f4', 'fortran_order': False, 'shape': (2,", CN_ERROR_FORMAT},
        {"{'descr': 'f4', 'fortran_order': False, 'shape': (2 3)}", CN_ERROR_FORMAT},
        {"{'descr': 'f4', 'fortran_order': False, 'shape': (-2,)}", CN_ERROR_FORMAT},
        {"{'descr': 'f4', 'fortran_order': False, 'shape': (9223372036854775808,)}",
         CN_ERROR_FORMAT},
        {"{'descr': 'f4', 'fortran_order': True, 'shape': (9223372036854775807,)}",
         CN_ERROR_FORMAT},
        {"{'descr': 'f4', 'fortran_order': True, 'shape': (4294967296, 4294967296)}",
         CN_ERROR_FORMAT},
        {"{'descr': 'f4', 'fortran_order': True, 'shape': (1099511627776,)}", CN_ERROR_FORMAT},
        {"{'descr': 'f4', 'fortran_order': False, 'shape': (2,1,1,1,1,1,1,1,1)}",
         CN_ERROR_UNSUPPORTED},
        {"{'descr': [('a', 'f4')], 'fortran_order': False, 'shape': (2,)}", CN_ERROR_UNSUPPORTED},
        {"{'descr': '|O', 'fortran_order': False, 'shape': (2,)}", CN_ERROR_UNSUPPORTED},
        {"{'descr': '<c8', 'fortran_order': False, 'shape': (1,)}", CN_ERROR_UNSUPPORTED},
        {"{'descr': '', 'fortran_order': False, 'shape': (2,)}", CN_ERROR_UNSUPPORTED},
        {"{'descr': '<f3', 'fortran_order': False, 'shape': (2,)}", CN_ERROR_UNSUPPORTED},
        {"{'descr': 'f4', 'fortran_order': False, 'shape': (3,)}", CN_ERROR_FORMAT},
        {"{'descr': 'f4', 'fortran_order': False, 'shape': (1,)}", CN_ERROR_FORMAT},
    };
    for (size_t i = 0; i < CN__COUNT(cases); i++)
        check_refused(cases[i].dictionary, "12345678", 8, cases[i].status);
    size_t size = compose(4, "{}", "", 0);
    assert_null(cn__npy_parse(file, size));
    assert_int_equal(cn_error_status(), CN_ERROR_UNSUPPORTED);
    size = compose(2, "{}", "", 0);
    memset(file + 8, 0xff, 4);
    assert_null(cn__npy_parse(file, size));
    assert_int_equal(cn_error_status(), CN_ERROR_UNSUPPORTED);
}

static void test_round_trip(void **state)
{
    (void)state;
    cn_array *floats = cn_array_from(SHAPE(2, 3), (const float[]){1, -2, 3.5F, 4, 5, 6});
    cn_array *ints = cn_array_new(CN_INT32, SHAPE(4));
    for (int i = 0; i < 4; i++)
        cn_array_ints(ints)[i] = i - 2;
    const char *path = temporary_path("a.npy");
    assert_int_equal(cn_npy_write(path, ints), CN_OK);
    check_ints(cn_npy_read(path), cn_array_ints(ints), 4);
    assert_int_equal(cn_npy_write(path, floats), CN_OK); /* replaces */
    check_floats(cn_npy_read(path), cn_array_floats(floats), 6);
    assert_int_equal(count_temporary_files(0), 1);

    size_t size = read_temporary("a.npy", file, sizeof file);
    assert_int_equal(size, 128 + 24);
    assert_memory_equal(file, "\x93NUMPY\x01\x00\x76\x00{'descr': '", 21);
    assert_non_null(strstr((char *)file + 10, "f4', 'fortran_order': False, 'shape': (2, 3), }"));
    assert_int_equal(file[127], '\n');
    struct stat info;
    mode_t mask = umask(0);
    umask(mask);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0666 & ~mask);

    cn_shape largest = cn_shape_of(1, 1, 1, 1, 1, 1, 1, 0);
    cn_array *empty = cn_array_new(CN_FLOAT32, &largest);
    assert_int_equal(cn_npy_write(path, empty), CN_OK);
    cn_array *back = cn_npy_read(path);
    assert_true(cn_shape_equal(cn_array_shape(back), &largest));
    cn_array_free(back);
    cn_array_free(empty);
    cn_array_free(floats);
    cn_array_free(ints);
}

/* Each cut fails, naming the file, and so does a byte too many. */
static void test_cut_short(void **state)
{
    (void)state;
    cn_array *array = cn_array_new(CN_FLOAT32, SHAPE(16, 16));
    assert_int_equal(cn_npy_write(temporary_path("whole.npy"), array), CN_OK);
    cn_array_free(array);
    size_t size = read_temporary("whole.npy", file, sizeof file);
    for (size_t i = 0; i <= 64; i++) {
        size_t cut = i < 64 ? size * i / 64 : size + 1;
        const char *path = write_temporary("cut.npy", file, cut);
        cn_clear_error();
        assert_null(cn_npy_read(path));
        assert_int_equal(cn_error_status(), CN_ERROR_FORMAT);
        assert_memory_equal(cn_error_message(), path, strlen(path));
    }
}

/* Any byte of the header changed gives an array or an error, nothing else. */
static void test_changed_bytes(void **state)
{
    (void)state;
    cn_array *array = cn_array_new(CN_INT32, SHAPE(3, 2));
    assert_int_equal(cn_npy_write(temporary_path("whole.npy"), array), CN_OK);
    cn_array_free(array);
    size_t size = read_temporary("whole.npy", file, sizeof file);
    const unsigned char changes[] = {1, 2, 4, 16, 64, 128, 255};
    for (size_t i = 0; i < 100; i++)
        for (size_t j = 0; j < CN__COUNT(changes); j++) {
            file[i] ^= changes[j];
            cn_clear_error();
            cn_array *read = cn__npy_parse(file, size);
            assert_true(read ? cn_array_count(read) <= 24 : cn_error_status() != CN_OK);
            cn_array_free(read);
            file[i] ^= changes[j];
        }
}

static void check_failed(cn_status got, cn_status status, const char *path)
{
    assert_int_equal(got, status);
    assert_int_equal(cn_error_status(), status);
    assert_memory_equal(cn_error_message(), path, strlen(path));
}

static void test_paths(void **state)
{
    (void)state;
    cn_array *array = cn_array_new(CN_FLOAT32, SHAPE(2));
    const char *missing = temporary_path("no/such.npy");
    assert_null(cn_npy_read(missing));
    check_failed(cn_error_status(), CN_ERROR_IO, missing);
    assert_null(cn_npy_read(temporary_folder));
    check_failed(cn_error_status(), CN_ERROR_IO, temporary_folder);
    check_failed(cn_npy_write(missing, array), CN_ERROR_IO, missing);
    check_failed(cn_npy_write(temporary_folder, array), CN_ERROR_IO, temporary_folder);
    check_failed(cn_npy_write("/dev/null", array), CN_ERROR_IO, "/dev/null");
    assert_int_equal(count_temporary_files(0), 0);
    cn_clear_error();
    assert_null(cn_npy_read(NULL));
    assert_int_equal(cn_error_status(), CN_ERROR_ARGUMENT);
    assert_int_equal(cn_npy_write(NULL, array), CN_ERROR_ARGUMENT);
    assert_int_equal(cn_npy_write("x", NULL), CN_ERROR_ARGUMENT);
    cn_array_free(array);
}

static void test_memory_runs_out(void **state)
{
    (void)state;
    counter c;
    bool done = false;
    for (int k = 0; !done; k++) {
        fail_at(&c, k);
        cn_array *array = cn_array_new(CN_FLOAT32, SHAPE(3));
        cn_status status = array ? cn_npy_write(temporary_path("a.npy"), array) : CN_ERROR_MEMORY;
        cn_array *back = status == CN_OK ? cn_npy_read(temporary_path("a.npy")) : NULL;
        done = back != NULL;
        assert_int_equal(cn_error_status(), done ? CN_OK : CN_ERROR_MEMORY);
        assert_true(k < 20);
        cn_array_free(array);
        cn_array_free(back);
        assert_int_equal(c.alive, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_floats),
        cmocka_unit_test(test_integers),
        cmocka_unit_test(test_fortran_order),
        cmocka_unit_test(test_versions_and_spellings),
        cmocka_unit_test(test_broken_headers),
        cmocka_unit_test_teardown(test_round_trip, empty_temporary_folder),
        cmocka_unit_test_teardown(test_cut_short, empty_temporary_folder),
        cmocka_unit_test_teardown(test_changed_bytes, empty_temporary_folder),
        cmocka_unit_test(test_paths),
        cmocka_unit_test_teardown(test_memory_runs_out, restore_allocator),
    };
    return cmocka_run_group_tests(tests, make_temporary_folder, remove_temporary_folder);
}
