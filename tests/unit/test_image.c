/* Pictures: every kind of PNG, JPEG, writing, resizing, broken files. */
#include "base/base.h"
#include "cornu/formats.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <jpeglib.h>
#include <png.h>
#include <cmocka.h>
#include "failing.h"
#include "temporary.h"

#define SHAPE(...) ((cn_shape[]){cn_shape_of(__VA_ARGS__)})

static unsigned char file[100000];

/* ---- making PNGs ---- */

static const png_color palette[] = {{10, 20, 30}, {40, 50, 60}, {70, 80, 90}, {255, 0, 128}};

/* Writes rows of `stride` bytes as they are, as a PNG of that type and depth. */
static const char *make_png(int width, int height, int depth, int type, bool interlaced,
                            const void *rows, int stride)
{
    const char *path = temporary_path("made.png");
    FILE *stream = fopen(path, "wb");
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    png_init_io(png, stream);
    png_set_IHDR(png, info, (png_uint_32)width, (png_uint_32)height, depth, type,
                 interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE, 0, 0);
    png_set_gAMA(png, info, 0.25); /* is to have no effect */
    if (type == PNG_COLOR_TYPE_PALETTE) {
        png_set_PLTE(png, info, palette, 4);
        png_set_tRNS(png, info, (png_bytep)(char[]){0, 100}, 2, NULL);
    }
    png_write_info(png, info);
    int passes = png_set_interlace_handling(png);
    for (int pass = 0; pass < passes; pass++)
        for (int row = 0; row < height; row++)
            png_write_row(png, (const unsigned char *)rows + row * stride);
    png_write_end(png, info);
    png_destroy_write_struct(&png, &info);
    fclose(stream);
    return path;
}

static void check_read(const char *path, int channels, int height, int width, int depth,
                       const float *expected)
{
    cn_array *image = cn_image_read(path, channels);
    assert_non_null(image);
    assert_true(cn_shape_equal(cn_array_shape(image), SHAPE(height, width, depth)));
    for (int i = 0; i < height * width * depth; i++)
        assert_float_equal(cn_array_floats(image)[i], expected[i], 1e-4);
    cn_array_free(image);
}

/* ---- reading PNG ---- */

static void test_png_grey(void **state)
{
    (void)state;
    const char *path = make_png(5, 2, 1, PNG_COLOR_TYPE_GRAY, false, "\xA8\x50", 1);
    check_read(path, 0, 2, 5, 1, (const float[]){255, 0, 255, 0, 255, 0, 255, 0, 255, 0});
    path = make_png(3, 1, 2, PNG_COLOR_TYPE_GRAY, false, "\x1B", 1);
    check_read(path, 0, 1, 3, 1, (const float[]){0, 85, 170});
    path = make_png(2, 1, 4, PNG_COLOR_TYPE_GRAY, false, "\x3F", 1);
    check_read(path, 3, 1, 2, 3, (const float[]){51, 51, 51, 255, 255, 255});
    path = make_png(2, 1, 8, PNG_COLOR_TYPE_GRAY, false, "\x07\xC8", 2);
    check_read(path, 1, 1, 2, 1, (const float[]){7, 200});
    path = make_png(2, 1, 16, PNG_COLOR_TYPE_GRAY, false, "\xFF\xFF\x10\xF0", 4);
    check_read(path, 0, 1, 2, 1, (const float[]){255, 17});
    path = make_png(2, 1, 8, PNG_COLOR_TYPE_GRAY_ALPHA, false, "\x07\x01\xC8\x00", 4);
    check_read(path, 0, 1, 2, 1, (const float[]){7, 200});
}

static void test_png_colour(void **state)
{
    (void)state;
    const char *path = make_png(2, 1, 8, PNG_COLOR_TYPE_RGB, false, "\x0A\x14\x1E\xFF\x00\x80", 6);
    check_read(path, 0, 1, 2, 3, (const float[]){10, 20, 30, 255, 0, 128});
    check_read(
        path, 1, 1, 2, 1,
        (const float[]){0.299F * 10 + 0.587F * 20 + 0.114F * 30, 0.299F * 255 + 0.114F * 128});
    path = make_png(1, 1, 8, PNG_COLOR_TYPE_RGB_ALPHA, false, "\x0A\x14\x1E\x00", 4);
    check_read(path, 0, 1, 1, 3, (const float[]){10, 20, 30});
    path = make_png(1, 1, 16, PNG_COLOR_TYPE_RGB, false, "\x0A\x0A\x14\x14\x1E\x1E", 6);
    check_read(path, 0, 1, 1, 3, (const float[]){10, 20, 30});
    const float looked_up[] = {255, 0, 128, 10, 20, 30, 40, 50, 60};
    path = make_png(3, 1, 2, PNG_COLOR_TYPE_PALETTE, false, "\xC4", 1);
    check_read(path, 0, 1, 3, 3, looked_up);
    path = make_png(3, 1, 8, PNG_COLOR_TYPE_PALETTE, false, "\x03\x00\x01", 3);
    check_read(path, 3, 1, 3, 3, looked_up);
}

static void test_png_interlaced(void **state)
{
    (void)state;
    unsigned char rows[13 * 11];
    float expected[13 * 11];
    for (int i = 0; i < 13 * 11; i++)
        expected[i] = rows[i] = (unsigned char)(i * 7);
    check_read(make_png(13, 11, 8, PNG_COLOR_TYPE_GRAY, true, rows, 13), 0, 11, 13, 1, expected);
}

/* ---- JPEG ---- */

/* A smooth colour picture, which JPEG keeps to a few grey levels. */
static cn_array *smooth(int height, int width, int channels)
{
    cn_array *image = cn_array_new(CN_FLOAT32, SHAPE(height, width, channels));
    for (int i = 0; i < height * width; i++)
        for (int c = 0; c < channels; c++)
            cn_array_floats(image)[i * channels + c] =
                (float)(128 + 100 * sin(0.05 * (i / width) + 0.03 * (i % width) + c));
    return image;
}

static double largest_difference(const cn_array *a, const cn_array *b)
{
    assert_true(cn_shape_equal(cn_array_shape(a), cn_array_shape(b)));
    double largest = 0;
    for (int64_t i = 0; i < cn_array_count(a); i++)
        largest = fmax(largest, fabs((double)cn_array_const_floats(a)[i] -
                                     (double)cn_array_const_floats(b)[i]));
    return largest;
}

static void test_write_and_read(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int channels;
        double tolerance;
    } cases[] = {{"a.png", 1, 0.5}, {"a.PNG", 3, 0.5}, {"a.jpg", 1, 4}, {"a.b.JPEG", 3, 12}};
    for (size_t i = 0; i < CN__COUNT(cases); i++) {
        cn_array *image = smooth(37, 53, cases[i].channels);
        assert_int_equal(cn_image_write(temporary_path(cases[i].name), image), CN_OK);
        cn_array *back = cn_image_read(temporary_path(cases[i].name), 0);
        assert_non_null(back);
        assert_true(largest_difference(image, back) <= cases[i].tolerance + 1e-5);
        cn_array_free(image);
        cn_array_free(back);
    }
    assert_int_equal(count_temporary_files(0), 4);
}

/* The kind is told by the content: a JPEG named .png is read as JPEG. */
static void test_kind_by_content(void **state)
{
    (void)state;
    cn_array *image = smooth(8, 8, 1);
    assert_int_equal(cn_image_write(temporary_path("a.jpg"), image), CN_OK);
    assert_int_equal(rename(temporary_path("a.jpg"), temporary_path("a.png")), 0);
    cn_array *back = cn_image_read(temporary_path("a.png"), 3);
    assert_int_equal(cn_array_count(back), 8 * 8 * 3);
    cn_array_free(back);
    cn_array_free(image);
}

static const char *make_jpeg(int components, J_COLOR_SPACE space, bool progressive)
{
    struct jpeg_compress_struct codec;
    struct jpeg_error_mgr errors;
    codec.err = jpeg_std_error(&errors);
    jpeg_create_compress(&codec);
    const char *path = temporary_path("made.jpg");
    FILE *stream = fopen(path, "wb");
    jpeg_stdio_dest(&codec, stream);
    codec.image_width = codec.image_height = 40;
    codec.input_components = components;
    codec.in_color_space = space;
    jpeg_set_defaults(&codec);
    if (progressive)
        jpeg_simple_progression(&codec);
    jpeg_start_compress(&codec, TRUE);
    unsigned char row[40 * 4];
    for (int y = 0; y < 40; y++) {
        for (int x = 0; x < 40 * components; x++)
            row[x] = (unsigned char)(50 + x / components + y);
        JSAMPROW rows[] = {row};
        jpeg_write_scanlines(&codec, rows, 1);
    }
    jpeg_finish_compress(&codec);
    jpeg_destroy_compress(&codec);
    fclose(stream);
    return path;
}

static void test_jpeg_kinds(void **state)
{
    (void)state;
    const char *path = make_jpeg(3, JCS_RGB, true);
    cn_array *image = cn_image_read(path, 1);
    assert_non_null(image);
    for (int i = 0; i < 40 * 40; i++)
        assert_float_equal(cn_array_floats(image)[i], (50 + i / 40 + i % 40), 5);
    cn_array_free(image);
    path = make_jpeg(4, JCS_CMYK, false);
    assert_null(cn_image_read(path, 0));
    assert_int_equal(cn_error_status(), CN_ERROR_UNSUPPORTED);
    assert_memory_equal(cn_error_message(), path, strlen(path));
}

/* ---- broken files ---- */

static void check_cuts(size_t size, const char *name)
{
    for (size_t i = 0; i < 64; i++) {
        const char *path = write_temporary(name, file, size * i / 64);
        cn_clear_error();
        assert_null(cn_image_read(path, 0));
        assert_int_equal(cn_error_status(), CN_ERROR_FORMAT);
        assert_memory_equal(cn_error_message(), path, strlen(path));
    }
}

static void check_changes(size_t size, const char *name)
{
    for (size_t i = 0; i < size; i += i < 700 ? 3 : 41) {
        file[i] ^= 0xff;
        cn_clear_error();
        cn_array *image = cn_image_read(write_temporary(name, file, size), 3);
        assert_true(image || cn_error_status() != CN_OK);
        cn_array_free(image);
        file[i] ^= 0xff;
    }
}

static void test_broken(void **state)
{
    (void)state;
    cn_array *image = smooth(64, 64, 3);
    const char *names[] = {"a.png", "a.jpg"};
    for (size_t i = 0; i < CN__COUNT(names); i++) {
        assert_int_equal(cn_image_write(temporary_path(names[i]), image), CN_OK);
        size_t size = read_temporary(names[i], file, sizeof file);
        assert_true(size > 500 && size < sizeof file);
        check_cuts(size, names[i]);
        check_changes(size, names[i]);
    }
    cn_array_free(image);
    size_t size = 0;
    make_jpeg(3, JCS_RGB, true);
    size = read_temporary("made.jpg", file, sizeof file);
    check_cuts(size, "made.jpg");
    check_changes(size, "made.jpg");
    assert_null(cn_image_read(write_temporary("a.gif", "GIF89a", 6), 0));
    assert_int_equal(cn_error_status(), CN_ERROR_FORMAT);
}

/* The stated extents are far beyond what so short a file can hold. */
static void test_lying_extents(void **state)
{
    (void)state;
    make_jpeg(1, JCS_GRAYSCALE, false);
    size_t size = read_temporary("made.jpg", file, sizeof file);
    for (size_t i = 0; i + 9 < size; i++)
        if (file[i] == 0xff && file[i + 1] == 0xc0)
            memset(file + i + 5, 0x3f, 4);
    assert_null(cn_image_read(write_temporary("lie.jpg", file, size), 0));
    assert_int_equal(cn_error_status(), CN_ERROR_FORMAT);
    assert_non_null(strstr(cn_error_message(), "16191 x 16191"));

    make_png(1, 1, 8, PNG_COLOR_TYPE_GRAY, false, "\x07", 1);
    size = read_temporary("made.png", file, sizeof file);
    const unsigned char lie[] = {0, 0, 0x3f, 0x3f, 0, 0, 0x3f, 0x3f, 8, 0, 0, 0, 0};
    memcpy(file + 16, lie, sizeof lie);
    uint32_t sum = 0xffffffff; /* CRC-32 of the chunk's type and content */
    for (size_t i = 12; i < 29; i++) {
        sum ^= file[i];
        for (int bit = 0; bit < 8; bit++)
            sum = sum >> 1 ^ (sum & 1 ? 0xedb88320 : 0);
    }
    for (size_t i = 0; i < 4; i++)
        file[29 + i] = (unsigned char)(~sum >> (24 - 8 * i));
    assert_null(cn_image_read(write_temporary("lie.png", file, size), 0));
    assert_int_equal(cn_error_status(), CN_ERROR_FORMAT);
    assert_non_null(strstr(cn_error_message(), "16191 x 16191"));
}

static void check_failed(cn_status got, cn_status status, const char *part)
{
    assert_int_equal(got, status);
    assert_int_equal(cn_error_status(), status);
    assert_non_null(strstr(cn_error_message(), part));
    cn_clear_error();
}

static void test_arguments(void **state)
{
    (void)state;
    cn_array *image = smooth(4, 4, 3), *two = smooth(4, 4, 2);
    const char *path = temporary_path("a.png");
    check_failed(cn_image_write(temporary_path("a.bmp"), image), CN_ERROR_ARGUMENT, "a.bmp");
    check_failed(cn_image_write("png", image), CN_ERROR_ARGUMENT, "must end in .png");
    check_failed(cn_image_write(path, two), CN_ERROR_SHAPE, "(4, 4, 2)");
    check_failed(cn_image_write(temporary_path("no/a.png"), image), CN_ERROR_IO, "no/a.png");
    check_failed(cn_image_write(NULL, image), CN_ERROR_ARGUMENT, "NULL");
    check_failed(cn_image_write(path, NULL), CN_ERROR_ARGUMENT, "NULL");
    cn_array *empty = cn_array_new(CN_FLOAT32, SHAPE(0, 4));
    check_failed(cn_image_write(path, empty), CN_ERROR_UNSUPPORTED, "0 x 4");
    cn_array *wide = cn_array_new(CN_FLOAT32, SHAPE(1, 70000)); /* more than a JPEG can have */
    check_failed(cn_image_write(temporary_path("a.jpg"), wide), CN_ERROR_IO, "a.jpg: JPEG: ");
    assert_int_equal(count_temporary_files(0), 0);
    assert_null(cn_image_read(path, 0));
    check_failed(cn_error_status(), CN_ERROR_IO, path);
    assert_null(cn_image_read(path, 2));
    check_failed(cn_error_status(), CN_ERROR_ARGUMENT, "not 2");
    assert_null(cn_image_read(NULL, 0));
    cn_array_free(image);
    cn_array_free(two);
    cn_array_free(empty);
    cn_array_free(wide);
}

static void test_rounding(void **state)
{
    (void)state;
    const char *path = temporary_path("a.png");
    cn_array *image = cn_array_from(
        SHAPE(2, 4), (const float[]){-5, 0.4F, 0.5F, 254.4F, 254.6F, 1e30F, NAN, -INFINITY});
    assert_int_equal(cn_image_write(path, image), CN_OK);
    check_read(path, 0, 2, 4, 1, (const float[]){0, 0, 1, 254, 255, 255, 0, 0});
    cn_array_free(image);
    image = cn_array_new(CN_INT32, SHAPE(1, 1, 3));
    memcpy(cn_array_ints(image), (const int32_t[]){-1, 77, 300}, 12);
    assert_int_equal(cn_image_write(path, image), CN_OK);
    check_read(path, 0, 1, 1, 3, (const float[]){0, 77, 255});
    cn_array_free(image);
}

/* ---- resizing ---- */

static void check_resized(const cn_array *image, int height, int width, cn_resize method,
                          const float *expected)
{
    cn_array *resized = cn_image_resize(image, height, width, method);
    assert_non_null(resized);
    assert_int_equal(cn_array_shape(resized)->dim[0], height);
    assert_int_equal(cn_array_shape(resized)->dim[1], width);
    for (int64_t i = 0; i < cn_array_count(resized); i++)
        assert_float_equal(cn_array_floats(resized)[i], expected[i], 1e-4);
    cn_array_free(resized);
}

static void test_resize_values(void **state)
{
    (void)state;
    cn_array *row = cn_array_from(SHAPE(1, 4), (const float[]){10, 20, 40, 80});
    check_resized(row, 1, 4, CN_RESIZE_BICUBIC, cn_array_floats(row));
    check_resized(row, 1, 2, CN_RESIZE_NEAREST, (const float[]){20, 80});
    check_resized(row, 1, 3, CN_RESIZE_NEAREST, (const float[]){10, 40, 80});
    check_resized(row, 2, 8, CN_RESIZE_NEAREST,
                  (const float[]){10, 10, 20, 20, 40, 40, 80, 80, 10, 10, 20, 20, 40, 40, 80, 80});
    check_resized(row, 1, 8, CN_RESIZE_BILINEAR,
                  (const float[]){10, 12.5F, 17.5F, 25, 35, 50, 70, 80});
    /* Half the size: weights 1 3 3 1 of the pixels there are. */
    check_resized(row, 1, 2, CN_RESIZE_BILINEAR,
                  (const float[]){(3 * 10 + 3 * 20 + 40) / 7.0F, (20 + 3 * 40 + 3 * 80) / 7.0F});
    /* Twice the size: the cubic at distances 1/4, 3/4, 5/4, 7/4. */
    const float w[] = {0.8671875F, 0.2265625F, -0.0703125F, -0.0234375F};
    float edge = w[0] + w[1] + w[2];
    cn_array *column = cn_array_copy(row);
    assert_int_equal(cn_array_reshape(column, SHAPE(4, 1)), CN_OK);
    const float cubic[] = {
        (10 * w[0] + 20 * w[2]) / (w[0] + w[2]),
        (10 * w[0] + 20 * w[1] + 40 * w[3]) / (w[0] + w[1] + w[3]),
        (10 * w[1] + 20 * w[0] + 40 * w[2]) / edge,
        10 * w[2] + 20 * w[0] + 40 * w[1] + 80 * w[3],
        10 * w[3] + 20 * w[1] + 40 * w[0] + 80 * w[2],
        (20 * w[2] + 40 * w[0] + 80 * w[1]) / edge,
        (20 * w[3] + 40 * w[1] + 80 * w[0]) / (w[0] + w[1] + w[3]),
        (40 * w[2] + 80 * w[0]) / (w[0] + w[2]),
    };
    check_resized(column, 8, 1, CN_RESIZE_BICUBIC, cubic);
    cn_array_free(row);
    cn_array_free(column);
}

/* A constant stays constant, channels stay apart, and the axes are treated alike. */
static void test_resize_properties(void **state)
{
    (void)state;
    cn_array *constant = cn_array_new(CN_FLOAT32, SHAPE(17, 9, 2));
    for (int64_t i = 0; i < cn_array_count(constant); i++)
        cn_array_floats(constant)[i] = i % 2 ? 200 : 50;
    const int sizes[][2] = {{1, 1}, {5, 40}, {40, 5}, {17, 9}, {33, 31}};
    for (int method = CN_RESIZE_NEAREST; method <= CN_RESIZE_BICUBIC; method++)
        for (size_t s = 0; s < CN__COUNT(sizes); s++) {
            cn_array *r = cn_image_resize(constant, sizes[s][0], sizes[s][1], (cn_resize)method);
            assert_true(cn_shape_equal(cn_array_shape(r), SHAPE(sizes[s][0], sizes[s][1], 2)));
            for (int64_t i = 0; i < cn_array_count(r); i++)
                assert_float_equal(cn_array_floats(r)[i], (i % 2 ? 200 : 50), 1e-3);
            cn_array_free(r);
        }
    cn_array_free(constant);
    cn_array *image = smooth(20, 30, 1), *turned = cn_array_new(CN_FLOAT32, SHAPE(30, 20, 1));
    for (int i = 0; i < 600; i++)
        cn_array_floats(turned)[i % 30 * 20 + i / 30] = cn_array_floats(image)[i];
    cn_array *a = cn_image_resize(image, 13, 47, CN_RESIZE_BICUBIC);
    cn_array *b = cn_image_resize(turned, 47, 13, CN_RESIZE_BICUBIC);
    for (int i = 0; i < 13 * 47; i++)
        assert_float_equal(cn_array_floats(a)[i], cn_array_floats(b)[i % 47 * 13 + i / 47], 1e-3);
    cn_array_free(a);
    cn_array_free(b);
    cn_array_free(image);
    cn_array_free(turned);
}

static void check_not_resized(const cn_array *image, int64_t height, int64_t width,
                              cn_resize method, cn_status status)
{
    cn_clear_error();
    assert_null(cn_image_resize(image, height, width, method));
    assert_int_equal(cn_error_status(), status);
}

static void test_resize_refuses(void **state)
{
    (void)state;
    cn_array *image = smooth(4, 4, 1), *ints = cn_array_new(CN_INT32, SHAPE(4, 4));
    cn_array *row = cn_array_new(CN_FLOAT32, SHAPE(4)), *no = cn_array_new(CN_FLOAT32, SHAPE(0, 4));
    check_not_resized(image, 0, 4, CN_RESIZE_NEAREST, CN_ERROR_ARGUMENT);
    check_not_resized(image, 4, -1, CN_RESIZE_NEAREST, CN_ERROR_ARGUMENT);
    check_not_resized(image, INT64_MAX, INT64_MAX, CN_RESIZE_NEAREST, CN_ERROR_ARGUMENT);
    check_not_resized(image, 4, 4, (cn_resize)3, CN_ERROR_ARGUMENT);
    check_not_resized(ints, 4, 4, CN_RESIZE_NEAREST, CN_ERROR_SHAPE);
    check_not_resized(row, 4, 4, CN_RESIZE_NEAREST, CN_ERROR_SHAPE);
    check_not_resized(no, 4, 4, CN_RESIZE_NEAREST, CN_ERROR_SHAPE);
    check_not_resized(NULL, 4, 4, CN_RESIZE_NEAREST, CN_ERROR_ARGUMENT);
    cn_array_free(image);
    cn_array_free(ints);
    cn_array_free(row);
    cn_array_free(no);
}

static void test_memory_runs_out(void **state)
{
    (void)state;
    const char *names[] = {"a.png", "a.jpg"};
    counter c;
    for (size_t i = 0; i < CN__COUNT(names); i++) {
        bool done = false;
        for (int k = 2; !done; k++) {
            fail_at(&c, k);
            cn_array *image = smooth(4, 4, 3);
            (void)cn_image_write(temporary_path(names[i]), image);
            cn_array *back = cn_error_status() ? NULL : cn_image_read(temporary_path(names[i]), 1);
            cn_array *half = cn_image_resize(back, 2, 2, CN_RESIZE_BILINEAR);
            done = half != NULL;
            assert_int_equal(cn_error_status(), done ? CN_OK : CN_ERROR_MEMORY);
            assert_true(k < 20);
            cn_array_free(image);
            cn_array_free(back);
            cn_array_free(half);
            assert_int_equal(c.alive, 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_png_grey, empty_temporary_folder),
        cmocka_unit_test_teardown(test_png_colour, empty_temporary_folder),
        cmocka_unit_test_teardown(test_png_interlaced, empty_temporary_folder),
        cmocka_unit_test_teardown(test_write_and_read, empty_temporary_folder),
        cmocka_unit_test_teardown(test_kind_by_content, empty_temporary_folder),
        cmocka_unit_test_teardown(test_jpeg_kinds, empty_temporary_folder),
        cmocka_unit_test_teardown(test_broken, empty_temporary_folder),
        cmocka_unit_test_teardown(test_lying_extents, empty_temporary_folder),
        cmocka_unit_test_teardown(test_arguments, empty_temporary_folder),
        cmocka_unit_test_teardown(test_rounding, empty_temporary_folder),
        cmocka_unit_test(test_resize_values),
        cmocka_unit_test(test_resize_properties),
        cmocka_unit_test(test_resize_refuses),
        cmocka_unit_test_teardown(test_memory_runs_out, restore_allocator),
    };
    return cmocka_run_group_tests(tests, make_temporary_folder, remove_temporary_folder);
}
