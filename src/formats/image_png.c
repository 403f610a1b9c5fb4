/* PNG, over libpng. The plain interface rather than the simplified one, which applies gamma and
 * blends alpha away. */
#include "formats/image.h"

#include <png.h>
#include <setjmp.h>
#include <string.h>

/* ---- decoding ---- */

typedef struct input {
    const unsigned char *at;
    size_t left;
} input;

static void read_input(png_structp png, png_bytep bytes, size_t count)
{
    input *in = png_get_io_ptr(png);
    if (count > in->left)
        png_error(png, "cut short");
    memcpy(bytes, in->at, count);
    in->at += count;
    in->left -= count;
}

_Noreturn static void fail_png(png_structp png, png_const_charp message)
{
    (void)cn__fail(CN_ERROR_FORMAT, "PNG: %s", message);
    png_longjmp(png, 1);
}

static void ignore_warning(png_structp png, png_const_charp message)
{
    (void)png;
    (void)message;
}

/* Asks for 8-bit grey or RGB samples, whatever is in the file. */
static void set_transforms(png_structp png)
{
    png_set_scale_16(png);
    png_set_expand(png);
    png_set_strip_alpha(png);
}

/* Everything that libpng may leave by longjmp; the caller has the setjmp. */
static cn_status decode(png_structp png, png_infop info, size_t size, cn__picture *picture)
{
    png_read_info(png, info);
    picture->width = png_get_image_width(png, info);
    picture->height = png_get_image_height(png, info);
    bool colour = png_get_color_type(png, info) & PNG_COLOR_MASK_COLOR;
    picture->channels = colour ? 3 : 1;
    uint64_t raw_size = (uint64_t)png_get_rowbytes(png, info) * (uint64_t)picture->height;
    set_transforms(png);
    int passes = png_set_interlace_handling(png);
    png_read_update_info(png, info);
    size_t stride = (size_t)(picture->width * picture->channels);
    if (png_get_rowbytes(png, info) != stride)
        png_error(png, "rows of an unexpected length");
    CN__TRY(cn__picture_new(picture, size, raw_size));
    for (int pass = 0; pass < passes; pass++)
        for (int64_t row = 0; row < picture->height; row++)
            png_read_row(png, picture->samples + (size_t)row * stride, NULL);
    png_read_end(png, NULL);
    return CN_OK;
}

cn_status cn__png_decode(const void *bytes, size_t size, cn__picture *picture)
{
    input in = {bytes, size};
    png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, NULL, fail_png, ignore_warning);
    if (!png)
        return cn__fail(CN_ERROR_MEMORY, "PNG: no memory for a decoder");
    png_infop info = png_create_info_struct(png);
    cn_status status;
    if (!info)
        status = cn__fail(CN_ERROR_MEMORY, "PNG: no memory for a decoder");
    else if (setjmp(png_jmpbuf(png)))
        status = cn_error_status();
    else {
        png_set_read_fn(png, &in, read_input);
        status = decode(png, info, size, picture);
    }
    png_destroy_read_struct(&png, &info, NULL);
    return status;
}

/* ---- encoding ---- */

cn_status cn__png_encode(const cn__picture *picture, FILE *stream)
{
    png_image image = {.version = PNG_IMAGE_VERSION,
                       .width = (png_uint_32)picture->width,
                       .height = (png_uint_32)picture->height,
                       .format = picture->channels == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB};
    if (png_image_write_to_stdio(&image, stream, 0, picture->samples, 0, NULL))
        return CN_OK;
    return cn__fail(CN_ERROR_IO, "PNG: %s", image.message);
}
