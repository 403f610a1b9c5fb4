/* The canvas: filling and text. */
#include "inspect/picture.h"

#include "base/base.h"

/* Pixels (y, x) .. of a picture, clipped to it. */
typedef struct area {
    int64_t top, left, bottom, right;
} area;

static area clip(const cn_array *picture, int64_t y, int64_t x, int64_t height, int64_t width)
{
    const cn_shape *shape = cn_array_shape(picture);
    return (area){.top = cn__max(y, 0),
                  .left = cn__max(x, 0),
                  .bottom = cn__min(y + height, shape->dim[0]),
                  .right = cn__min(x + width, shape->dim[1])};
}

void cn__canvas_fill(cn_array *picture, int64_t y, int64_t x, int64_t height, int64_t width,
                     cn__rgb colour)
{
    area a = clip(picture, y, x, height, width);
    int64_t columns = cn_array_shape(picture)->dim[1];
    for (int64_t row = a.top; row < a.bottom; row++) {
        float *pixel = cn_array_floats(picture) + (row * columns + a.left) * 3;
        for (int64_t column = a.left; column < a.right; column++, pixel += 3) {
            pixel[0] = colour.r;
            pixel[1] = colour.g;
            pixel[2] = colour.b;
        }
    }
}

cn_array *cn__canvas_new(int64_t height, int64_t width)
{
    cn_shape shape = cn_shape_of(height, width, 3);
    cn_array *picture = cn_array_new(CN_FLOAT32, &shape);
    if (picture)
        cn__canvas_fill(picture, 0, 0, height, width, (cn__rgb){255, 255, 255});
    return picture;
}

static void draw_letter(cn_array *picture, int64_t y, int64_t x, unsigned char letter, int zoom,
                        cn__rgb colour)
{
    bool drawable = letter >= ' ' && letter < ' ' + CN__FONT_GLYPHS;
    const uint8_t *glyph = cn__font[(drawable ? letter : '?') - ' '];
    for (int row = 0; row < CN__FONT_HEIGHT; row++)
        for (int column = 0; column < CN__FONT_WIDTH; column++)
            if (glyph[row] >> (CN__FONT_WIDTH - 1 - column) & 1)
                cn__canvas_fill(picture, y + row * zoom, x + column * zoom, zoom, zoom, colour);
}

/* The bytes after the first of a UTF-8 letter are skipped: one '?' a letter. */
void cn__canvas_text(cn_array *picture, int64_t y, int64_t x, int64_t x_limit, const char *text,
                     int zoom, cn__rgb colour)
{
    for (const char *letter = text; *letter; letter++) {
        if (((unsigned char)*letter & 0xC0) == 0x80)
            continue;
        if (x + CN__FONT_WIDTH * zoom > x_limit)
            return;
        draw_letter(picture, y, x, (unsigned char)*letter, zoom, colour);
        x += CN__FONT_ADVANCE * zoom;
    }
}
