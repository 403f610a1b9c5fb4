/* .npz: round trips, members as NumPy writes them, lies and broken files. */
#include "base/base.h"
#include "cornu/formats.h"
#include "formats/npy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <zip.h>
#include <cmocka.h>
#include "failing.h"
#include "temporary.h"

#define SHAPE(...) ((cn_shape[]){cn_shape_of(__VA_ARGS__)})

/* An array whose values hardly compress. */
static cn_array *noise(int64_t count)
{
    cn_array *array = cn_array_new(CN_INT32, SHAPE(count));
    cn__random random = {.seed = 7};
    for (int64_t i = 0; i < count; i++)
        cn_array_ints(array)[i] = (int32_t)cn__random_bits(&random);
    return array;
}

static void check_same(cn_array *got, const cn_array *expected)
{
    assert_non_null(got);
    assert_int_equal(cn_array_dtype(got), cn_array_dtype(expected));
    assert_true(cn_shape_equal(cn_array_shape(got), cn_array_shape(expected)));
    size_t size;
    const void *elements = cn__npy_elements(expected, &size);
    assert_memory_equal(cn__npy_elements(got, &size), elements, size);
    cn_array_free(got);
}

static void check_failed(cn_status got, cn_status status, const char *path)
{
    assert_int_equal(got, status);
    assert_int_equal(cn_error_status(), status);
    assert_memory_equal(cn_error_message(), path, strlen(path));
}

static void write_both(const char *path, const cn_array *a, const cn_array *b)
{
    cn_npz_writer *writer = cn_npz_create(path);
    assert_non_null(writer);
    assert_int_equal(cn_npz_add(writer, "a", a), CN_OK);
    assert_int_equal(cn_npz_add(writer, "folder/b", b), CN_OK);
    assert_int_equal(cn_npz_finish(writer), CN_OK);
}

static void test_round_trip(void **state)
{
    (void)state;
    cn_array *a = cn_array_from(SHAPE(2, 2), (const float[]){1, 2, 3, 4});
    cn_array *b = noise(100000);
    const char *path = temporary_path("a.npz");
    write_both(path, a, b);
    cn_npz *npz = cn_npz_open(path);
    assert_int_equal(cn_npz_count(npz), 2);
    assert_string_equal(cn_npz_name(npz, 0), "a");
    assert_string_equal(cn_npz_name(npz, 1), "folder/b");
    assert_null(cn_npz_name(npz, 2));
    for (int i = 0; i < 2; i++) {
        check_same(cn_npz_read(npz, "folder/b"), b);
        check_same(cn_npz_read(npz, "a"), a);
    }
    assert_null(cn_npz_read(npz, "c"));
    check_failed(cn_error_status(), CN_ERROR_NOT_FOUND, path);
    cn_npz_close(npz);
    assert_int_equal(count_temporary_files(0), 1);
    cn_array_free(a);
    cn_array_free(b);
}

/* The arrays are copied when they are added, and the same arrays give the same bytes. */
static void test_copies_and_reproduces(void **state)
{
    (void)state;
    static char first[5000], second[5000];
    cn_array *a = noise(100);
    write_both(temporary_path("1.npz"), a, a);
    cn_npz_writer *writer = cn_npz_create(temporary_path("2.npz"));
    cn_array *changed = cn_array_copy(a);
    assert_int_equal(cn_npz_add(writer, "a", changed), CN_OK);
    cn_array_ints(changed)[0]++;
    cn_array_free(changed);
    assert_int_equal(cn_npz_add(writer, "folder/b", a), CN_OK);
    assert_int_equal(cn_npz_finish(writer), CN_OK);
    size_t size = read_temporary("1.npz", first, sizeof first);
    assert_true(size > 800 && size < sizeof first);
    assert_int_equal(read_temporary("2.npz", second, sizeof second), size);
    assert_memory_equal(first, second, size);
    cn_array_free(a);
}

static void test_writer_failures(void **state)
{
    (void)state;
    cn_array *a = noise(10);
    const char *path = temporary_path("a.npz");
    write_temporary("a.npz", "before", 6);
    cn_npz_writer *writer = cn_npz_create(path);
    assert_int_equal(cn_npz_add(writer, "a", a), CN_OK);
    check_failed(cn_npz_add(writer, "a", a), CN_ERROR_ARGUMENT, path);
    assert_int_equal(cn_npz_add(writer, "b", a), CN_ERROR_ARGUMENT);
    assert_int_equal(cn_npz_finish(writer), CN_ERROR_ARGUMENT);

    cn_clear_error();
    writer = cn_npz_create(path);
    assert_int_equal(cn_npz_add(writer, "a", NULL), CN_ERROR_ARGUMENT);
    assert_int_equal(cn_npz_finish(writer), CN_ERROR_ARGUMENT);
    check_failed(cn_npz_finish(cn_npz_create(path)), CN_ERROR_ARGUMENT, path);
    writer = cn_npz_create(path);
    assert_int_equal(cn_npz_add(writer, "a", a), CN_OK);
    cn_npz_discard(writer);
    cn_npz_discard(NULL);
    char text[10];
    assert_int_equal(read_temporary("a.npz", text, sizeof text), 6);
    assert_int_equal(count_temporary_files(0), 1);

    path = temporary_path("no/such.npz");
    writer = cn_npz_create(path);
    if (writer) {
        assert_int_equal(cn_npz_add(writer, "a", a), CN_OK);
        assert_int_equal(cn_npz_finish(writer), CN_ERROR_IO);
    }
    check_failed(cn_error_status(), CN_ERROR_IO, path);
    assert_null(cn_npz_create(temporary_folder));
    check_failed(cn_error_status(), CN_ERROR_IO, temporary_folder);
    cn_clear_error();
    assert_null(cn_npz_create(NULL));
    assert_int_equal(cn_npz_add(NULL, "a", a), CN_ERROR_ARGUMENT);
    assert_int_equal(cn_npz_finish(NULL), CN_ERROR_ARGUMENT);
    cn_array_free(a);
}

/* Writes a zip of one member. */
static const char *write_zip(const char *member, const void *bytes, size_t size, int method)
{
    const char *path = temporary_path("made.npz");
    zip_t *zip = zip_open(path, ZIP_CREATE | ZIP_TRUNCATE, NULL);
    zip_int64_t index = zip_file_add(zip, member, zip_source_buffer(zip, bytes, size, 0), 0);
    assert_true(index >= 0);
    assert_int_equal(zip_set_file_compression(zip, (zip_uint64_t)index, method, 0), 0);
    assert_int_equal(zip_close(zip), 0);
    return path;
}

/* An npy of `size` zero bytes of elements, of which its header states `stated`. */
static unsigned char *make_npy(size_t stated, size_t size)
{
    unsigned char *bytes = calloc(1, 128 + size);
    memcpy(bytes, "\x93NUMPY\x01\x00\x76\x00", 10);
    memset(bytes + 10, ' ', 118);
    int length = sprintf((char *)bytes + 10,
                         "{'descr': '|u1', 'fortran_order': False, 'shape': (%zu,), }", stated);
    bytes[10 + length] = ' ';
    return bytes;
}

static void check_made(size_t stated, size_t size, int method, bool good)
{
    unsigned char *bytes = make_npy(stated, size);
    const char *path = write_zip("x.npy", bytes, 128 + size, method);
    cn_npz *npz = cn_npz_open(path);
    cn_array *array = cn_npz_read(npz, "x");
    if (good) {
        assert_int_equal(cn_array_count(array), size);
    } else {
        assert_null(array);
        check_failed(cn_error_status(), CN_ERROR_FORMAT, path);
    }
    cn_array_free(array);
    cn_npz_close(npz);
    free(bytes);
}

static void test_members(void **state)
{
    (void)state;
    check_made(50, 50, ZIP_CM_STORE, true);
    check_made(50, 50, ZIP_CM_DEFLATE, true);
    check_made(0, 0, ZIP_CM_STORE, true);
    check_made((size_t)40 << 20, (size_t)40 << 20, ZIP_CM_DEFLATE, true); /* zeros: 1 : 1000 */
    check_made(60, 50, ZIP_CM_DEFLATE, false);
    check_made(50, 60, ZIP_CM_DEFLATE, false);
    check_made(10, (size_t)40 << 20, ZIP_CM_DEFLATE, false);
    check_made((size_t)1 << 50, 1000, ZIP_CM_DEFLATE, false);
    cn_npz *npz = cn_npz_open(write_zip("readme.txt", "hello", 5, ZIP_CM_STORE));
    assert_int_equal(cn_npz_count(npz), 0);
    assert_null(cn_npz_read(npz, "readme.txt"));
    assert_int_equal(cn_error_status(), CN_ERROR_NOT_FOUND);
    cn_npz_close(npz);
    npz = cn_npz_open(write_zip("x.npy", "hello", 5, ZIP_CM_STORE));
    assert_null(cn_npz_read(npz, "x"));
    assert_int_equal(cn_error_status(), CN_ERROR_FORMAT);
    cn_npz_close(npz);
}

/* Sets the sizes stated in the local and the central header of the only member. */
static void lie(unsigned char *zip, size_t size, uint32_t stated)
{
    for (size_t i = 0; i + 30 < size; i++) {
        size_t at = memcmp(zip + i, "PK\x03\x04", 4) == 0   ? i + 22
                    : memcmp(zip + i, "PK\x01\x02", 4) == 0 ? i + 24
                                                            : 0;
        for (size_t j = 0; at && j < 4; j++)
            zip[at + j] = (unsigned char)(stated >> (8 * j));
    }
}

static void check_lie(size_t header_states, uint32_t zip_states)
{
    static unsigned char zip[5000];
    unsigned char *bytes = make_npy(header_states, 1000);
    write_zip("x.npy", bytes, 1128, ZIP_CM_DEFLATE);
    free(bytes);
    size_t size = read_temporary("made.npz", zip, sizeof zip);
    lie(zip, size, zip_states);
    const char *path = write_temporary("lie.npz", zip, size);
    cn_npz *npz = cn_npz_open(path);
    assert_null(cn_npz_read(npz, "x"));
    check_failed(cn_error_status(), npz ? CN_ERROR_FORMAT : cn_error_status(), path);
    cn_npz_close(npz);
}

static void test_lies(void **state)
{
    (void)state;
    check_lie(1000, 0xf0000000);             /* beyond what deflate can do */
    check_lie(0xf0000000 - 128, 0xf0000000); /* the same, with a header that agrees */
    check_lie(200000 - 128, 200000);         /* possible, but the data end early */
    check_lie(500 - 128, 500);               /* more data than stated */
    check_lie(1000, 1127);
    check_lie(1000, 0);
}

static void read_all(const char *path)
{
    cn_npz *npz = cn_npz_open(path);
    for (size_t i = 0; i < cn_npz_count(npz); i++)
        cn_array_free(cn_npz_read(npz, cn_npz_name(npz, i)));
    cn_npz_close(npz);
}

/* A cut file cannot be opened: the directory is at its end. A changed byte never does harm, and one
 * in the data is found by the checksum. */
static void test_broken(void **state)
{
    (void)state;
    static unsigned char zip[5000];
    cn_array *a = noise(200);
    write_both(temporary_path("whole.npz"), a, a);
    size_t size = read_temporary("whole.npz", zip, sizeof zip);
    for (size_t i = 0; i < 64; i++) {
        const char *path = write_temporary("cut.npz", zip, size * i / 64);
        cn_clear_error();
        assert_null(cn_npz_open(path));
        check_failed(cn_error_status(), CN_ERROR_FORMAT, path);
    }
    for (size_t i = 0; i < size; i += i < 100 || i > size - 200 ? 1 : 37) {
        zip[i] ^= 0x41;
        read_all(write_temporary("changed.npz", zip, size));
        zip[i] ^= 0x41;
    }
    zip[400] ^= 1;
    cn_npz *npz = cn_npz_open(write_temporary("changed.npz", zip, size));
    assert_null(cn_npz_read(npz, "a"));
    assert_int_equal(cn_error_status(), CN_ERROR_FORMAT);
    check_same(cn_npz_read(npz, "folder/b"), a);
    cn_npz_close(npz);
    cn_array_free(a);
    const char *path = temporary_path("missing.npz");
    assert_null(cn_npz_open(path));
    check_failed(cn_error_status(), CN_ERROR_IO, path);
    assert_null(cn_npz_open(temporary_folder));
    cn_clear_error();
    assert_null(cn_npz_open(NULL));
    assert_null(cn_npz_read(NULL, "a"));
    assert_int_equal(cn_npz_count(NULL), 0);
    cn_npz_close(NULL);
}

static void test_memory_runs_out(void **state)
{
    (void)state;
    const char *path = temporary_path("a.npz");
    counter c;
    bool done = false;
    for (int k = 0; !done; k++) {
        fail_at(&c, k);
        cn_array *array = cn_array_new(CN_FLOAT32, SHAPE(3));
        cn_npz_writer *writer = cn_npz_create(path);
        (void)cn_npz_add(writer, "x", array);
        cn_npz *npz = cn_npz_finish(writer) == CN_OK ? cn_npz_open(path) : NULL;
        cn_array *back = cn_npz_read(npz, "x");
        done = back != NULL;
        assert_int_equal(cn_error_status(), done ? CN_OK : CN_ERROR_MEMORY);
        assert_true(k < 30);
        cn_npz_close(npz);
        cn_array_free(array);
        cn_array_free(back);
        assert_int_equal(c.alive, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_round_trip, empty_temporary_folder),
        cmocka_unit_test_teardown(test_copies_and_reproduces, empty_temporary_folder),
        cmocka_unit_test_teardown(test_writer_failures, empty_temporary_folder),
        cmocka_unit_test_teardown(test_members, empty_temporary_folder),
        cmocka_unit_test_teardown(test_lies, empty_temporary_folder),
        cmocka_unit_test_teardown(test_broken, empty_temporary_folder),
        cmocka_unit_test_teardown(test_memory_runs_out, restore_allocator),
    };
    return cmocka_run_group_tests(tests, make_temporary_folder, remove_temporary_folder);
}
