/* Pictures of arrays: canvas, text, colours, normalisation, grids. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "inspect/picture.h"

#include <math.h>
#include <string.h>

static void is_pixel(const cn_array *picture, int64_t y, int64_t x, float r, float g, float b)
{
    const float *p = cn_array_const_floats(picture) + (y * cn_array_shape(picture)->dim[1] + x) * 3;
    assert_true(p[0] == r && p[1] == g && p[2] == b);
}

static int64_t count_dark(const cn_array *picture)
{
    int64_t count = 0;
    for (int64_t i = 0; i < cn_array_count(picture); i += 3)
        count += cn_array_const_floats(picture)[i] < 128;
    return count;
}

static void test_fill_is_clipped(void **state)
{
    (void)state;
    cn_array *picture = cn__canvas_new(4, 5);
    cn__canvas_fill(picture, -2, 3, 4, 100, (cn__rgb){1, 2, 3});
    is_pixel(picture, 0, 3, 1, 2, 3);
    is_pixel(picture, 1, 4, 1, 2, 3);
    is_pixel(picture, 2, 4, 255, 255, 255);
    is_pixel(picture, 1, 2, 255, 255, 255);
    cn__canvas_fill(picture, 9, 9, 1, 1, (cn__rgb){0, 0, 0});
    assert_int_equal(count_dark(picture), 4);
    cn_array_free(picture);
}

static void test_text(void **state)
{
    (void)state;
    cn_array *picture = cn__canvas_new(8, 20);
    cn__canvas_text(picture, 0, 0, 20, "-", 1, (cn__rgb){0, 0, 0});
    assert_int_equal(count_dark(picture), 5);
    is_pixel(picture, 3, 0, 0, 0, 0);
    is_pixel(picture, 3, 4, 0, 0, 0);
    cn__canvas_text(picture, 0, 6, 11, "--", 1, (cn__rgb){0, 0, 0}); /* room for one */
    assert_int_equal(count_dark(picture), 10);
    cn_array_free(picture);

    /* a letter of two bytes is one question mark */
    cn_array *accent = cn__canvas_new(8, 20), *question = cn__canvas_new(8, 20);
    cn__canvas_text(accent, 0, 0, 20, "\xc3\xa9", 1, (cn__rgb){0, 0, 0});
    cn__canvas_text(question, 0, 0, 20, "?", 1, (cn__rgb){0, 0, 0});
    assert_memory_equal(cn_array_const_floats(accent), cn_array_const_floats(question),
                        8 * 20 * 3 * sizeof(float));
    cn_array_free(accent);
    cn_array_free(question);
}

static void test_every_letter_differs(void **state)
{
    (void)state;
    for (int a = 0; a < CN__FONT_GLYPHS; a++)
        for (int b = 0; b < a; b++)
            assert_memory_not_equal(cn__font[a], cn__font[b], CN__FONT_HEIGHT);
}

static float luminance(cn__rgb colour)
{
    return 0.299f * colour.r + 0.587f * colour.g + 0.114f * colour.b;
}

static void test_colours(void **state)
{
    (void)state;
    for (int i = 1; i <= 100; i++)
        assert_true(luminance(cn__colour(CN__HEAT, (float)i / 100)) >
                    luminance(cn__colour(CN__HEAT, (float)(i - 1) / 100)));
    assert_true(cn__colour(CN__SIGNED, 0).b > cn__colour(CN__SIGNED, 0).r);
    assert_true(cn__colour(CN__SIGNED, 1).r > cn__colour(CN__SIGNED, 1).b);
    assert_true(cn__colour(CN__SIGNED, 0.5f).g == 250);
    assert_true(cn__colour(CN__GREY, -3).g == 0);
    assert_true(cn__colour(CN__GREY, INFINITY).g == 255);
    assert_true(cn__colour(CN__HEAT, NAN).r == 255 && cn__colour(CN__HEAT, NAN).g == 0);
}

/* Map 1 of a channels-last array of 2 maps, each cell 2 x 2 pixels. */
static void test_tile_of_map(void **state)
{
    (void)state;
    const float values[] = {9, -1, 9, 0, 9, 1, 9, 3};
    cn__tile tile = cn__tile_of_map(values, 2, 2, 2, 1);
    cn_array *picture = cn__canvas_new(4, 4);
    cn__canvas_tile(picture, 0, 0, &tile, 2);
    is_pixel(picture, 0, 0, 0, 0, 0);
    is_pixel(picture, 1, 2, 63.75f, 63.75f, 63.75f);
    is_pixel(picture, 2, 1, 127.5f, 127.5f, 127.5f);
    is_pixel(picture, 3, 3, 255, 255, 255);
    tile.scaling = CN__SYMMETRIC;
    cn__canvas_tile(picture, 0, 0, &tile, 2);
    is_pixel(picture, 1, 3, 127.5f, 127.5f, 127.5f);
    cn_array_free(picture);
}

static void test_odd_values(void **state)
{
    (void)state;
    const float values[] = {NAN, INFINITY, -INFINITY, 1, 2, 3};
    cn__tile tile = {.values = values, .height = 1, .width = 6};
    cn_array *picture = cn__canvas_new(1, 6);
    cn__canvas_tile(picture, 0, 0, &tile, 1);
    is_pixel(picture, 0, 0, 255, 0, 255);
    is_pixel(picture, 0, 1, 255, 255, 255);
    is_pixel(picture, 0, 2, 0, 0, 0);
    is_pixel(picture, 0, 4, 127.5f, 127.5f, 127.5f);
    const float zeros[6] = {0};
    tile.values = zeros;
    cn__canvas_tile(picture, 0, 0, &tile, 1);
    is_pixel(picture, 0, 5, 0, 0, 0);
    tile.scaling = CN__SYMMETRIC;
    tile.colours = CN__SIGNED;
    cn__canvas_tile(picture, 0, 0, &tile, 1);
    is_pixel(picture, 0, 5, 250, 250, 250);
    cn__tile rgb = {.values = (const float[]){0, 50, 100, NAN, 0, 0},
                    .height = 1,
                    .width = 2,
                    .channels = 3,
                    .scaling = CN__FIXED,
                    .high = 100};
    cn__canvas_tile(picture, 0, 0, &rgb, 1);
    is_pixel(picture, 0, 0, 0, 127.5f, 255);
    is_pixel(picture, 0, 1, 255, 0, 255);
    cn_array_free(picture);
}

static void test_overlay(void **state)
{
    (void)state;
    cn_array *image = cn__canvas_new(1, 2);
    cn_array *overlay = cn__picture_overlay(image, (const float[]){0, 1}, 0.5f);
    is_pixel(overlay, 0, 0, 132.5f, 131.5f, 152.5f);
    is_pixel(overlay, 0, 1, 255, 250, 212.5f);
    is_pixel(image, 0, 0, 255, 255, 255);
    cn_array_free(overlay);
    cn_array_free(image);
}

static void test_grid(void **state)
{
    (void)state;
    const float values[64] = {0};
    cn__cell cells[6];
    memset(cells, 0, sizeof cells);
    for (int i = 0; i < 6; i++) {
        cells[i].tiles = 2;
        cells[i].tile[0] = (cn__tile){.values = values, .height = 2, .width = 2};
        cells[i].tile[1] = (cn__tile){.values = values, .height = 8, .width = 8};
    }
    cn_array *picture =
        cn__picture_grid(&(cn__grid){.count = 6, .cells = cells, .columns = 3, .tile_pixels = 50});
    /* 48 is the greatest multiple of 8: two tiles of 48, 3 between them, margins of 10 */
    assert_int_equal(cn_array_shape(picture)->dim[0], 10 + 2 * (11 + 48 + 10));
    assert_int_equal(cn_array_shape(picture)->dim[1], 10 + 3 * (48 + 3 + 48 + 10));
    assert_int_equal(count_dark(picture), 6 * 2 * 48 * 48);
    is_pixel(picture, 21, 10, 0, 0, 0);
    is_pixel(picture, 20, 10, 200, 200, 200); /* the frame */
    is_pixel(picture, 19, 10, 255, 255, 255);
    is_pixel(picture, 21, 10 + 48, 200, 200, 200);
    is_pixel(picture, 21, 10 + 48 + 1, 255, 255, 255);
    is_pixel(picture, 21, 10 + 48 + 3, 0, 0, 0);
    cn_array_free(picture);

    picture = cn__picture_grid(&(cn__grid){.count = 6, .cells = cells, .title = "two words"});
    assert_non_null(picture);
    cn_array_free(picture);
    assert_null(cn__picture_grid(&(cn__grid){.count = 0}));
    cells[0].tile[0].height = 1 << 20;
    cells[0].tile[1].width = 1 << 20;
    assert_null(cn__picture_grid(&(cn__grid){.count = 6, .cells = cells}));
    assert_int_equal(cn_error_status(), CN_ERROR_SHAPE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fill_is_clipped),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_every_letter_differs),
        cmocka_unit_test(test_colours),
        cmocka_unit_test(test_tile_of_map),
        cmocka_unit_test(test_odd_values),
        cmocka_unit_test(test_overlay),
        cmocka_unit_test(test_grid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
