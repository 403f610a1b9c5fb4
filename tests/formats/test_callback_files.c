/* The files that callbacks write: names and choice of checkpoints, lines of CSV to the byte,
 * TensorBoard's records. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "cornu/formats.h"
#include "formats/log_file.h"
#include "models/callback.h"
#include "unit/temporary.h"

#include <math.h>
#include <sys/stat.h>

#define COUNT(array) (int)(sizeof(array) / sizeof((array)[0]))

static void assert_message(const char *part)
{
    if (strstr(cn_error_message(), part) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", part, cn_error_message());
}

static void assert_ok(cn_status status)
{
    if (status != CN_OK)
        fail_msg("%s", cn_error_message());
}

static bool exists(const char *name)
{
    struct stat info;
    return stat(temporary_path(name), &info) == 0;
}

/* The end of an epoch with these logs. */
static cn_status end_epoch(cn_callback *callback, cn_training *training, int count,
                           const char *const *names, const double *values)
{
    training->logs = (cn_logs){count, names, values};
    return cn__callbacks_run(cn_callbacks(callback), CN_EPOCH_END, training);
}

static cn_status end_with(cn_callback *callback, cn_training *training, const char *name,
                          double value)
{
    return end_epoch(callback, training, 1, &name, &value);
}

static cn_training begin(void)
{
    cn_model *model = cn_sequential(cn_input({2}), cn_dense(1));
    assert_non_null(model);
    assert_ok(cn_compile(model, .optimizer = "sgd", .loss = {"mse"}));
    return (cn_training){.model = model, .epochs = 9, .batches = 3};
}

/* ---- checkpoints ---- */

static void test_names(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *name;
    } rows[] = {{"{epoch}.keras", "7.keras"},
                {"m-{epoch:02d}-{val_loss:.2f}.keras", "m-07-0.13.keras"},
                {"{epoch:03d}_{loss:.1e}.h5", "007_2.5e+01.h5"},
                {"{loss}{{x}}.keras", "25.0{x}.keras"},
                {"{loss:08.3f}{loss:g}.keras", "0025.00025.keras"},
                {"deep/{epoch:.1f}/m.keras", "deep/7.0/m.keras"}};
    cn_training training = begin();
    training.epoch = 6;
    for (int i = 0; i < COUNT(rows); i++) {
        cn_callback *c = cn_model_checkpoint(temporary_path(rows[i].pattern), .save_freq = 0);
        assert_non_null(c);
        assert_ok(end_epoch(c, &training, 2, (const char *const[]){"loss", "val_loss"},
                            (const double[]){25, 0.1251}));
        if (!exists(rows[i].name))
            fail_msg("%s", rows[i].name);
        (void)remove(temporary_path(rows[i].name));
        cn_callback_free(c);
    }
    (void)rmdir(temporary_path("deep/7.0"));
    (void)rmdir(temporary_path("deep"));
    cn_model_free(training.model);
}

static void test_refused_names(void **state)
{
    (void)state;
    static const char *const wrong[] = {"{}.keras",
                                        "{loss.keras",
                                        "loss}.keras",
                                        "{loss:.99f}.keras",
                                        "{loss:x}.keras",
                                        "{loss:.2d}.keras",
                                        "{loss:99999999999f}.keras",
                                        "{epoch:02d",
                                        "m.json",
                                        "m.weights.h5"};
    for (int i = 0; i < COUNT(wrong); i++)
        if (cn_model_checkpoint(wrong[i], .save_freq = 0) != NULL)
            fail_msg("%s", wrong[i]);
    assert_null(cn_model_checkpoint("m.keras", .save_weights_only = true));
    assert_message("with .save_weights_only the path must end in .weights.h5, but is m.keras");

    cn_training training = begin();
    cn_callback *c = cn_model_checkpoint("{mae}.keras", .mode = CN_BETTER_AUTO);
    assert_int_equal(end_with(c, &training, "loss", 1), CN_ERROR_NOT_FOUND);
    assert_message("{mae}.keras: there is no mae; the names there are: epoch, loss");
    cn_callback_free(c);
    c = cn_model_checkpoint("{loss:02d}.keras", .mode = CN_BETTER_AUTO);
    assert_int_equal(end_with(c, &training, "loss", 1), CN_ERROR_ARGUMENT);
    assert_message("loss is no whole number: write {loss:.4f}");
    cn_callback_free(c);
    cn_model_free(training.model);
}

/* Which epochs are saved, the first being a 1. */
static void test_best_only(void **state)
{
    (void)state;
    static const double values[] = {(double)NAN, 0.7, 0.8, 0.9, 0.9, 0.95};
    static const bool saved[] = {false, false, true, true, false, true};
    cn_training training = begin();
    cn_callback *c = cn_model_checkpoint(
        temporary_path("{epoch}.weights.h5"), .save_weights_only = true, .save_best_only = true,
        .monitor = "val_accuracy", .has_initial_value = true, .initial_value_threshold = 0.75);
    for (int i = 0; i < COUNT(values); i++) {
        char name[40];
        training.epoch = i;
        (void)snprintf(name, sizeof name, "%d.weights.h5", i + 1);
        assert_ok(end_with(c, &training, "val_accuracy", values[i]));
        assert_int_equal(exists(name), saved[i]);
    }
    assert_float_equal(c->functions.state[0], 0.95, 0);
    assert_int_equal(end_with(c, &training, "loss", 1), CN_ERROR_NOT_FOUND);
    assert_message("there is no val_accuracy in the logs, which are loss");
    cn_callback_free(c);
    cn_model_free(training.model);
}

/* Every two batches, counted on from epoch to epoch. */
static void test_save_freq(void **state)
{
    (void)state;
    cn_training training = begin();
    cn_callback *c = cn_model_checkpoint(temporary_path("{epoch}-{batch}.keras"), .save_freq = 2);
    for (training.epoch = 0; training.epoch < 2; training.epoch++) {
        for (training.batch = 0; training.batch < 3; training.batch++)
            assert_ok(cn__callbacks_run(cn_callbacks(c), CN_BATCH_END, &training));
        assert_ok(cn__callbacks_run(cn_callbacks(c), CN_EPOCH_END, &training));
    }
    assert_true(exists("1-2.keras") && exists("2-1.keras") && exists("2-3.keras"));
    assert_int_equal(count_temporary_files(0), 3);
    cn_callback_free(c);
    cn_model_free(training.model);
}

/* ---- numbers as text ---- */

static void test_numbers(void **state)
{
    (void)state;
    static const struct {
        double number;
        const char *text;
    } rows[] = {{0, "0.0"},
                {-1, "-1.0"},
                {0.1, "0.1"},
                {1.0 / 3, "0.3333333333333333"},
                {100, "100.0"},
                {123456789.125, "123456789.125"},
                {1e-4, "0.0001"},
                {1e-5, "1e-05"},
                {1.5e15, "1500000000000000.0"},
                {1e16, "1e+16"},
                {-1.7976931348623157e308, "-1.7976931348623157e+308"},
                {5e-324, "5e-324"},
                {(double)NAN, "nan"},
                {-(double)INFINITY, "-inf"}};
    for (int i = 0; i < COUNT(rows); i++) {
        char text[CN__NUMBER_SIZE];
        assert_string_equal(cn__number_text(rows[i].number, text), rows[i].text);
    }
    char comma[] = "-1,5e-05", arabic[] = "1\xd9\xab"
                                          "5";
    cn__use_point(comma);
    cn__use_point(arabic);
    assert_string_equal(comma, "-1.5e-05");
    assert_string_equal(arabic, "1.5");
}

/* ---- CSV ---- */

static void assert_file(const char *name, const char *content)
{
    char text[500] = "";
    text[read_temporary(name, text, sizeof text - 1)] = '\0';
    assert_string_equal(text, content);
}

static void test_progress(void **state)
{
    (void)state;
    char line[100] = "";
    cn_training training = {.epochs = 2};
    FILE *file = tmpfile();
    cn_callback *c = cn_progress(file);
    assert_ok(cn__callbacks_run(cn_callbacks(c), CN_EPOCH_BEGIN, &training));
    assert_ok(end_with(c, &training, "loss", 0.5));
    rewind(file);
    assert_non_null(fgets(line, sizeof line, file));
    assert_string_equal(line, "epoch 1/2  0.0s  loss 0.5000\n");
    cn_callback_free(c);
    (void)fclose(file);
    file = fopen("/dev/full", "w");
    if (file != NULL) { /* a device that is always full */
        c = cn_progress(file);
        assert_int_equal(end_with(c, &training, "loss", 0.5), CN_ERROR_IO);
        cn_callback_free(c);
        (void)fclose(file);
    }
    assert_null(cn_progress(NULL));
}

static void test_csv(void **state)
{
    (void)state;
    static const char *const names[] = {"loss", "a,\"b\"", "Auc", "val_loss"};
    cn_training training = {0};
    (void)write_temporary("log.csv", "old\n", 4);
    cn_callback *c = cn_csv_logger(temporary_path("log.csv"), false);
    assert_ok(end_epoch(c, &training, 3, names, (const double[]){0.5, 2, 1e-7}));
    training.epoch = 1;
    assert_ok(end_epoch(c, &training, 1, names, (const double[]){(double)NAN}));
    cn_callback_free(c);
    assert_file("log.csv", "epoch,Auc,\"a,\"\"b\"\"\",loss\r\n0,1e-07,2.0,0.5\r\n1,NA,NA,nan\r\n");
}

static void test_csv_goes_on(void **state)
{
    (void)state;
    cn_training training = {0};
    for (training.epoch = 0; training.epoch < 2; training.epoch++) {
        cn_callback *c = cn_csv_logger(temporary_path("log.csv"), true);
        assert_ok(end_with(c, &training, "loss", 1));
        cn_callback_free(c);
    }
    assert_file("log.csv", "epoch,loss\r\n0,1.0\r\n1,1.0\r\n");

    /* a resumed training adds to what it wrote before */
    cn_callback *c = cn_csv_logger(temporary_path("log.csv"), false);
    c->functions.state[0] = 2;
    assert_ok(end_with(c, &training, "loss", 2));
    cn_callback_free(c);
    assert_file("log.csv", "epoch,loss\r\n0,1.0\r\n1,1.0\r\n2,2.0\r\n");

    c = cn_csv_logger(temporary_folder, false);
    assert_int_equal(end_with(c, &training, "loss", 2), CN_ERROR_IO);
    assert_message(temporary_folder);
    cn_callback_free(c);
}

/* ---- TensorBoard ---- */

static uint32_t masked_crc(const uint8_t *data, size_t size)
{
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < 8 * size; i++) {
        uint32_t bit = (crc ^ (uint32_t)(data[i / 8] >> i % 8)) & 1;
        crc = crc >> 1 ^ bit * 0x82F63B78;
    }
    crc = ~crc;
    return ((crc >> 15) | (crc << 17)) + 0xA282EAD8;
}

static uint32_t read_32(const uint8_t *data)
{
    return data[0] | (uint32_t)data[1] << 8 | (uint32_t)data[2] << 16 | (uint32_t)data[3] << 24;
}

/* Checks a record's frame; returns what it holds and moves on to the next. */
static const uint8_t *next_record(const uint8_t **at, size_t *size)
{
    const uint8_t *data = *at + 12;
    *size = read_32(*at);
    assert_int_equal(read_32(*at + 4), 0);
    assert_int_equal(read_32(*at + 8), masked_crc(*at, 8));
    assert_int_equal(read_32(data + *size), masked_crc(data, *size));
    *at = data + *size + 4;
    return data;
}

/* The content of the only file in a folder, which is removed with the folder. */
static size_t take_file(const char *folder, uint8_t *bytes, size_t capacity)
{
    char name[400] = "";
    DIR *dir = opendir(temporary_path(folder));
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir));)
        if (entry->d_name[0] != '.')
            (void)snprintf(name, sizeof name, "%s/%.200s", folder, entry->d_name);
    (void)closedir(dir);
    assert_non_null(strstr(name, "/events.out.tfevents."));
    size_t size = read_temporary(name, bytes, capacity);
    (void)remove(temporary_path(name));
    assert_int_equal(rmdir(temporary_path(folder)), 0);
    return size;
}

/* RFC 3720, B.4: CRC-32C of 32 bytes of zeros is AA 36 91 8A, of 0 to 31 4E 79 DD 46. */
static void test_own_crc(void **state)
{
    (void)state;
    uint8_t bytes[32] = {0};
    uint32_t zeros = 0x8A9136AA, counting = 0x46DD794E;
    assert_int_equal(masked_crc(bytes, 32), (zeros >> 15 | zeros << 17) + 0xA282EAD8);
    for (uint8_t i = 0; i < 32; i++)
        bytes[i] = i;
    assert_int_equal(masked_crc(bytes, 32), (counting >> 15 | counting << 17) + 0xA282EAD8);
}

static void test_events(void **state)
{
    (void)state;
    /* the key of field 5, 22 bytes of summary with one value of 20 bytes: tag and number */
    static const uint8_t loss[] = "\x10\xac\x02\x2a\x13\x0a\x11\x0a\x0a"
                                  "epoch_loss\x15\x00\x00\x20\x40";
    /* as in every event file: 24 bytes, and the checksum of this length */
    static const uint8_t head[] = {24, 0, 0, 0, 0, 0, 0, 0, 0xa3, 0x7f, 0x4b, 0x22};
    static const char *const names[] = {"loss", "val_loss"};
    uint8_t bytes[1000];
    cn_training training = {.epoch = 300};
    cn_callback *c = cn_tensor_board(temporary_path("board/run"));
    assert_ok(end_epoch(c, &training, 1, names, (const double[]){2.5}));
    assert_ok(end_epoch(c, &training, 2, names, (const double[]){2.5, 2.5}));
    cn_callback_free(c);
    for (int kind = 0; kind < 2; kind++) {
        size_t size = take_file(kind ? "board/run/validation" : "board/run/train", bytes, 1000);
        const uint8_t *at = bytes, *end = bytes + size;
        assert_memory_equal(bytes, head, sizeof head);
        const uint8_t *event = next_record(&at, &size);
        assert_memory_equal(event + 9,
                            "\x1a\x0d"
                            "brain.Event:2",
                            15);
        for (int i = 0; i < (kind ? 1 : 2); i++) {
            event = next_record(&at, &size);
            assert_int_equal(event[0], 1 << 3 | 1); /* the time, a double */
            assert_int_equal(size, 9 + sizeof loss - 1);
            assert_memory_equal(event + 9, loss, sizeof loss - 1);
        }
        assert_ptr_equal(at, end);
    }
    (void)rmdir(temporary_path("board/run"));
    (void)rmdir(temporary_path("board"));
}

static void test_no_arguments(void **state)
{
    (void)state;
    assert_null(cn_tensor_board(NULL));
    assert_null(cn_csv_logger(NULL, false));
    assert_null(cn_model_checkpoint_new(NULL, NULL));
}

#define TEST(name) cmocka_unit_test_teardown(name, empty_temporary_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_names),     TEST(test_refused_names), TEST(test_best_only),
        TEST(test_save_freq), TEST(test_numbers),       TEST(test_progress),
        TEST(test_csv),       TEST(test_csv_goes_on),   TEST(test_own_crc),
        TEST(test_events),    TEST(test_no_arguments),
    };
    return cmocka_run_group_tests(tests, make_temporary_folder, remove_temporary_folder);
}
