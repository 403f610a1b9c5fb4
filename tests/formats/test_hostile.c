/* Broken and malicious model files: an error, no crash, no leak, and no memory out of proportion.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <hdf5.h>
#include <zip.h>

#include "cornu/formats.h"
#include "formats/keras.h"
#include "unit/failing.h"
#include "unit/temporary.h"

#define MOST_MEMORY ((size_t)64 << 20)

static const char *golden(const char *name)
{
    static char path[600];
    (void)snprintf(path, sizeof path, "%s/%.300s", CN_TEST_GOLDEN, name);
    return path;
}

/* ---- an allocator that knows how much is in use ---- */

typedef struct meter {
    size_t used, most;
} meter;

enum { header_bytes = 64 };

static void *metered_allocate(size_t size, size_t alignment, void *context)
{
    meter *m = context;
    unsigned char *memory = NULL;
    if (alignment > header_bytes || size > (size_t)1 << 40 ||
        posix_memalign((void **)&memory, header_bytes, size + header_bytes) != 0)
        return NULL;
    memcpy(memory, &size, sizeof size);
    m->used += size;
    m->most = m->used > m->most ? m->used : m->most;
    return memory + header_bytes;
}

static void metered_release(void *memory, void *context)
{
    meter *m = context;
    unsigned char *begin = (unsigned char *)memory - header_bytes;
    size_t size;
    memcpy(&size, begin, sizeof size);
    m->used -= size;
    free(begin);
}

static meter usage;

static void start_metering(void)
{
    usage = (meter){0, 0};
    cn_set_allocator(&(cn_allocator){metered_allocate, metered_release, &usage});
    cn_clear_error();
}

/* Nothing is left, and never was too much in use. */
static void stop_metering(void)
{
    assert_int_equal(usage.used, 0);
    assert_true(usage.most < MOST_MEMORY);
    cn_set_allocator(NULL);
}

/* Loads a file that may be broken. */
static bool load(const char *path)
{
    start_metering();
    cn_model *model = cn_model_load(path, NULL);
    bool loaded = model != NULL;
    if (!loaded) {
        assert_true(cn_error_status() != CN_OK);
        assert_non_null(strstr(cn_error_message(), path));
    }
    cn_model_free(model);
    stop_metering();
    return loaded;
}

static void assert_message(const char *part)
{
    if (strstr(cn_error_message(), part) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", part, cn_error_message());
}

static void *read_golden(const char *name, size_t *size)
{
    FILE *stream = fopen(golden(name), "rb");
    assert_non_null(stream);
    assert_int_equal(fseek(stream, 0, SEEK_END), 0);
    *size = (size_t)ftell(stream);
    rewind(stream);
    void *bytes = malloc(*size);
    assert_int_equal(fread(bytes, 1, *size, stream), *size);
    (void)fclose(stream);
    return bytes;
}

/* ---- truncated files ---- */

static void check_truncated(const char *name, size_t step)
{
    size_t size;
    void *bytes = read_golden(name, &size);
    const char *path = write_temporary("truncated", bytes, size);
    free(bytes);
    assert_true(load(path));
    for (size_t length = size - 1; length > 0; length -= length > step ? step : length) {
        assert_int_equal(truncate(path, (off_t)length), 0);
        assert_false(load(path));
    }
}

static void test_truncated(void **state)
{
    (void)state;
    check_truncated("keras3/legacy/k1_th_1.2.2.h5", 29);
    check_truncated("keras3/single/cf_conv.keras", 31);
    check_truncated("keras3/legacy/k2_seq_2.3.1.json", 7);
}

/* ---- .keras files with a changed configuration ---- */

static void add_member(zip_t *zip, const char *name, const void *bytes, size_t size)
{
    zip_source_t *source = zip_source_buffer(zip, bytes, size, 0);
    assert_true(source != NULL && zip_file_add(zip, name, source, ZIP_FL_OVERWRITE) >= 0);
}

static const char *write_keras(const char *config, size_t config_size, const void *weights,
                               size_t size)
{
    const char *path = temporary_path("changed.keras");
    zip_t *zip = zip_open(path, ZIP_CREATE | ZIP_TRUNCATE, NULL);
    assert_non_null(zip);
    add_member(zip, "config.json", config, config_size);
    add_member(zip, "model.weights.h5", weights, size);
    assert_int_equal(zip_close(zip), 0);
    return path;
}

/* A file whose parts can be changed. */
typedef struct parts {
    json_t *config;
    void *weights;
    size_t size;
    int count;
} parts;

static void open_parts(const char *name, parts *p)
{
    cn__keras_parts read;
    assert_int_equal(cn__keras_unzip(golden(name), &read), CN_OK);
    *p = (parts){cn__json_parse(read.config, read.config_size), read.weights, read.weights_size, 0};
    assert_non_null(p->config);
    cn__free(read.config);
}

static void load_changed(parts *p)
{
    char *text = json_dumps(p->config, JSON_COMPACT);
    (void)load(write_keras(text, strlen(text), p->weights, p->size));
    free(text);
    p->count++;
}

static const char *const replacements[] = {
    "null", "true", "-1", "0", "1000000000", "1e300", "\"x\"", "[]", "{}", "[[[1]]]",
};

/* Changes each member of each object in turn. */
static void change_members(parts *p, json_t *json)
{
    size_t i;
    const char *key;
    void *next;
    json_t *value;
    if (json_is_array(json))
        json_array_foreach(json, i, value)
        {
            change_members(p, value);
        }
    if (!json_is_object(json))
        return;
    json_object_foreach_safe(json, next, key, value)
    {
        change_members(p, value);
        char name[100];
        (void)snprintf(name, sizeof name, "%s", key);
        json_incref(value);
        for (size_t r = 0; r < CN__COUNT(replacements); r++) {
            json_t *other = json_loads(replacements[r], JSON_DECODE_ANY, NULL);
            (void)json_object_set_new(json, name, other);
            load_changed(p);
        }
        (void)json_object_set_new(json, name, value);
    }
    /* Removing a member changes the order of the others, so that it comes last. */
    json_t *copy = json_copy(json);
    json_object_foreach(copy, key, value)
    {
        (void)json_object_del(json, key);
        load_changed(p);
        (void)json_object_set(json, key, value);
    }
    json_decref(copy);
}

static void test_changed_configuration(void **state)
{
    (void)state;
    static const char *const files[] = {"keras3/single/cf_deconv.keras",
                                        "keras3/g_nested_functional.keras"};
    for (size_t i = 0; i < CN__COUNT(files); i++) {
        parts p;
        open_parts(files[i], &p);
        change_members(&p, p.config);
        assert_true(p.count > 500);
        json_decref(p.config);
        cn__free(p.weights);
    }
}

/* ---- sizes ---- */

static void test_zip_bombs(void **state)
{
    (void)state;
    size_t size = (size_t)300 << 20;
    char *zeros = calloc(1, size);
    parts p;
    open_parts("keras3/single/cf_conv.keras", &p);
    char *text = json_dumps(p.config, 0);
    assert_non_null(zeros);
    assert_false(load(write_keras(zeros, size, p.weights, p.size)));
    assert_message("more than can be meant");
    assert_false(load(write_keras(text, strlen(text), zeros, size)));
    assert_message("more than can be meant");
    free(text);
    free(zeros);
    json_decref(p.config);
    cn__free(p.weights);
}

/* A copy of a file in which an array has another shape, and no data. */
static const char *write_reshaped(const char *name, const char *array, int rank,
                                  const hsize_t *dims)
{
    size_t size;
    void *bytes = read_golden(name, &size);
    const char *path = write_temporary("reshaped.h5", bytes, size);
    free(bytes);
    hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
    hid_t space = H5Screate_simple(rank, dims, NULL);
    assert_true(H5Ldelete(file, array, H5P_DEFAULT) >= 0);
    hid_t made =
        H5Dcreate2(file, array, H5T_IEEE_F32LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(made >= 0);
    (void)H5Dclose(made);
    (void)H5Sclose(space);
    (void)H5Fclose(file);
    return path;
}

static void test_reshaped_weights(void **state)
{
    (void)state;
    const char *array = "model_weights/convolution2d_1/convolution2d_1_W:0";
    const hsize_t large[] = {100000, 100000}, other[] = {3, 3, 3, 5}, same[] = {3, 3, 3, 4};
    assert_false(load(write_reshaped("keras3/legacy/k1_seq_1.2.2.h5", array, 2, large)));
    assert_message("(100000, 100000)");
    assert_false(load(write_reshaped("keras3/legacy/k1_seq_1.2.2.h5", array, 4, other)));
    assert_message("convolution2d_1 (Conv2D)");
    assert_message("kernel");
    assert_message("(3, 3, 3, 4)");
    assert_message("(3, 3, 3, 5)");
    assert_false(load(write_reshaped("keras3/legacy/k1_seq_1.2.2.h5", array, 4, same)));
    assert_message("no data");
}

/* ---- texts of variable length ---- */

/* Loads the file with another byte in one place. Returns whether it still loads. */
static bool load_with(unsigned char *bytes, size_t size, size_t at, unsigned char value)
{
    unsigned char before = bytes[at];
    bytes[at] = value;
    bool loaded = load(write_temporary("flipped.h5", bytes, size));
    bytes[at] = before;
    return loaded;
}

/* Whether the 16 bytes look like a reference to the heap: length, address, number. */
static bool is_reference(const unsigned char *bytes, uint64_t heap)
{
    uint32_t length, number;
    uint64_t address;
    memcpy(&length, bytes, sizeof length);
    memcpy(&address, bytes + 4, sizeof address);
    memcpy(&number, bytes + 12, sizeof number);
    return address == heap && length > 0 && length < 4096 && number > 0 && number < 256;
}

/* Changes each byte of the references to a heap. */
static void check_references(unsigned char *bytes, size_t size, size_t heap)
{
    int told = 0;
    for (size_t at = 0; at + 16 <= size; at++)
        for (size_t i = at; is_reference(bytes + at, heap) && i < at + 16; i++)
            told += !load_with(bytes, size, i, bytes[i] ^ 0x81) &&
                    strstr(cn_error_message(), "the heap at byte") != NULL;
    assert_true(told >= 16);
}

static void test_broken_references(void **state)
{
    (void)state;
    static const char *const files[] = {"keras3/b_autoencoder.h5", "keras3/legacy/k2_seq_2.3.1.h5"};
    for (size_t f = 0; f < CN__COUNT(files); f++) {
        size_t size;
        unsigned char *bytes = read_golden(files[f], &size);
        size_t heap = 0;
        while (heap + 64 < size && memcmp(bytes + heap, "GCOL", 4) != 0)
            heap++;
        assert_true(heap + 64 < size);
        check_references(bytes, size, heap);
        for (size_t i = 0; i < 64; i++)
            (void)load_with(bytes, size, heap + i, bytes[heap + i] ^ 0xff);
        assert_false(load_with(bytes, size, heap, 'X'));
        assert_message("is none");
        assert_false(load_with(bytes, size, heap + 9, 0));
        assert_message("size");
        free(bytes);
    }
}

static void test_weights_of_another_model(void **state)
{
    (void)state;
    start_metering();
    cn_model *model = cn_model_load(golden("keras3/legacy/k1_seq_1.2.2.h5"), NULL);
    assert_non_null(model);
    assert_int_not_equal(
        cn_model_load_weights(model, golden("keras3/legacy/k2_fn_2.2.4.weights_only.h5"), NULL),
        CN_OK);
    assert_int_not_equal(cn_model_load_weights(model, golden("keras3/b_autoencoder.keras"), NULL),
                         CN_OK);
    assert_int_not_equal(cn_model_load_weights(model, golden("models.txt"), NULL), CN_OK);
    assert_int_not_equal(cn_model_load_weights(model, golden("no-such-file.h5"), NULL), CN_OK);
    cn_load_options by_name = {.by_name = true};
    assert_int_equal(cn_model_load_weights(model, golden("keras3/b_autoencoder.h5"), &by_name),
                     CN_OK);
    cn_model_free(model);
    stop_metering();
}

/* ---- text ---- */

static void assert_refused(const char *text, cn_status status, const char *part)
{
    start_metering();
    assert_null(cn_model_from_json(text, NULL));
    assert_int_equal(cn_error_status(), status);
    assert_message(part);
    stop_metering();
}

static void test_nesting(void **state)
{
    (void)state;
    enum { depth = 200000 };
    char *text = malloc(depth + 1);
    memset(text, '[', depth);
    text[depth] = '\0';
    assert_refused(text, CN_ERROR_FORMAT, "nested");
    free(text);
    /* Many small values take more memory than their text. */
    size_t size = (size_t)4 << 20;
    text = malloc(size + 1);
    for (size_t i = 0; i < size; i++)
        text[i] = "{},"[i % 3];
    text[size] = '\0';
    assert_refused(text, CN_ERROR_UNSUPPORTED, "memory");
    free(text);
}

static void test_unsupported(void **state)
{
    (void)state;
    assert_refused(
        "{\"class_name\": \"Sequential\", \"config\": {\"name\": \"s\", \"layers\": ["
        "{\"class_name\": \"LSTM\", \"config\": {\"name\": \"memory\", \"units\": 3}}]}}",
        CN_ERROR_UNSUPPORTED, "layer memory: Cornu has no layers of the class LSTM");
    assert_refused("{\"class_name\": \"Sequential\", \"config\": {\"name\": \"s\", \"layers\": ["
                   "{\"class_name\": \"Dense\", \"config\": {\"name\": \"d\", \"units\": 3, "
                   "\"quantum\": 1}}]}}",
                   CN_ERROR_UNSUPPORTED, "layer d (Dense): the option quantum");
    assert_refused(
        "{\"class_name\": \"Sequential\", \"config\": {\"name\": \"s\", \"layers\": ["
        "{\"class_name\": \"Dense\", \"config\": {\"name\": \"d\", \"units\": \"3\"}}]}}",
        CN_ERROR_FORMAT, "layer d (Dense): units is a text");
}

static void test_circle(void **state)
{
    (void)state;
    assert_refused(
        "{\"class_name\": \"Functional\", \"module\": \"keras\", \"config\": {\"name\": \"f\", "
        "\"layers\": [{\"class_name\": \"InputLayer\", \"name\": \"x\", \"config\": "
        "{\"batch_shape\": [null, 2]}, \"inbound_nodes\": []}, {\"class_name\": \"Add\", "
        "\"name\": \"a\", \"config\": {\"name\": \"a\"}, \"inbound_nodes\": [[[\"x\", 0, 0, "
        "{}], [\"a\", 0, 0, {}]]]}], \"input_layers\": [[\"x\", 0, 0]], \"output_layers\": "
        "[[\"a\", 0, 0]]}}",
        CN_ERROR_FORMAT, "circle");
}

/* ---- no memory ---- */

static void check_without_memory(const char *name)
{
    counter c;
    cn_model *model = NULL;
    for (int k = 0; model == NULL; k++) {
        fail_at(&c, k);
        model = cn_model_load(golden(name), NULL);
        if (model == NULL) {
            assert_int_equal(cn_error_status(), CN_ERROR_MEMORY);
            assert_int_equal(c.alive, 0);
        }
        assert_true(k < 20000);
    }
    cn_model_free(model);
    assert_int_equal(c.alive, 0);
    cn_set_allocator(NULL);
}

static void test_without_memory(void **state)
{
    (void)state;
    check_without_memory("keras3/legacy/k1_th_1.2.2.h5");
    check_without_memory("keras3/g_nested_functional.keras");
    check_without_memory("keras3/g_op_layers.keras");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_changed_configuration),
        cmocka_unit_test(test_zip_bombs),
        cmocka_unit_test(test_reshaped_weights),
        cmocka_unit_test(test_broken_references),
        cmocka_unit_test(test_weights_of_another_model),
        cmocka_unit_test(test_nesting),
        cmocka_unit_test(test_unsupported),
        cmocka_unit_test(test_circle),
        cmocka_unit_test_teardown(test_without_memory, restore_allocator),
    };
    return cmocka_run_group_tests(tests, make_temporary_folder, remove_temporary_folder);
}
