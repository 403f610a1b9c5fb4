/* Pictures as float32 arrays: reading, writing. */
#include "formats/image.h"
#include "formats/file.h"

#include "cornu/formats.h"

#include <string.h>
#include <strings.h>

/* No honest picture file is this large, and it is read whole. */
#define MAX_FILE_SIZE ((size_t)1 << 30)

/* Deflate makes at most 1032 bytes of one. A JPEG spends at least one bit on 64 pixels, which is
 * 512 pixels a byte. Files that state more are lies, told to make the reader take memory. */
#define MAX_EXPANSION 1040

static cn_status check_pixels(int64_t height, int64_t width)
{
    if (height < 1 || width < 1 || height > CN__IMAGE_MAX_PIXELS / width)
        return cn__fail(CN_ERROR_UNSUPPORTED,
                        "a picture of %lld x %lld; it must have 1 to %lld pixels",
                        (long long)height, (long long)width, (long long)CN__IMAGE_MAX_PIXELS);
    return CN_OK;
}

cn_status cn__picture_new(cn__picture *picture, size_t file_size, uint64_t raw_size)
{
    CN__TRY(check_pixels(picture->height, picture->width));
    if (raw_size / MAX_EXPANSION > file_size)
        return cn__fail(CN_ERROR_FORMAT, "a picture of %lld x %lld does not fit into %zu bytes",
                        (long long)picture->height, (long long)picture->width, file_size);
    picture->samples =
        cn__alloc((size_t)(picture->height * picture->width) * (size_t)picture->channels);
    return picture->samples ? CN_OK : CN_ERROR_MEMORY;
}

/* ---- reading ---- */

static const struct codec {
    const char *magic;
    size_t magic_size;
    const char *endings[2];
    cn_status (*decode)(const void *bytes, size_t size, cn__picture *picture);
    cn_status (*encode)(const cn__picture *picture, FILE *stream);
} codecs[] = {
    {"\x89PNG\r\n\x1a\n", 8, {".png", ".png"}, cn__png_decode, cn__png_encode},
    {"\xff\xd8\xff", 3, {".jpg", ".jpeg"}, cn__jpeg_decode, cn__jpeg_encode},
};

static cn_status decode(const void *bytes, size_t size, cn__picture *picture)
{
    for (size_t i = 0; i < CN__COUNT(codecs); i++)
        if (size >= codecs[i].magic_size &&
            memcmp(bytes, codecs[i].magic, codecs[i].magic_size) == 0)
            return codecs[i].decode(bytes, size, picture);
    return cn__fail(CN_ERROR_FORMAT, "neither a PNG nor a JPEG by its content");
}

/* The picture's samples as floats, brought to `channels` channels. */
static cn_array *floats_of(const cn__picture *picture, int channels)
{
    cn_shape shape = cn_shape_of(picture->height, picture->width, channels);
    cn_array *array = cn_array_new(CN_FLOAT32, &shape);
    if (!array)
        return NULL;
    float *out = cn_array_floats(array);
    const unsigned char *in = picture->samples;
    int64_t pixels = picture->height * picture->width;
    if (picture->channels == channels) {
        for (int64_t i = 0; i < pixels * channels; i++)
            out[i] = in[i];
    } else if (channels == 1) {
        for (int64_t i = 0; i < pixels; i++, in += 3)
            out[i] = (float)(0.299 * in[0] + 0.587 * in[1] + 0.114 * in[2]);
    } else {
        for (int64_t i = 0; i < pixels; i++)
            out[3 * i] = out[3 * i + 1] = out[3 * i + 2] = in[i];
    }
    return array;
}

cn_array *cn_image_read(const char *path, int channels)
{
    if (!path)
        return (void)cn__fail_null_argument("cn_image_read"), NULL;
    if (channels != 0 && channels != 1 && channels != 3)
        return cn__fail_null(CN_ERROR_ARGUMENT,
                             "cn_image_read: %s: channels must be 0 (as in the file), 1 or 3, not "
                             "%d",
                             path, channels);
    void *bytes;
    size_t size;
    if (cn__file_read(path, MAX_FILE_SIZE, &bytes, &size) != CN_OK)
        return NULL;
    cn__picture picture = {0};
    cn_array *array = NULL;
    if (decode(bytes, size, &picture) == CN_OK)
        array = floats_of(&picture, channels ? channels : picture.channels);
    if (!array)
        (void)cn__fail_within("%s", path);
    cn__free(picture.samples);
    cn__free(bytes);
    return array;
}

/* ---- writing ---- */

static unsigned char sample_of(double value)
{
    if (!(value > 0)) /* NaN too */
        return 0;
    return value < 255 ? (unsigned char)(value + 0.5) : 255;
}

static cn_status picture_of(const cn_array *image, cn__picture *picture)
{
    const cn_shape *shape = cn_array_shape(image);
    bool planar = shape->rank == 2;
    if (!planar && (shape->rank != 3 || (shape->dim[2] != 1 && shape->dim[2] != 3))) {
        char text[200];
        return cn__fail(CN_ERROR_SHAPE,
                        "a picture must be (height, width), (height, width, 1) or (height, width, "
                        "3), not %s",
                        cn_shape_text(shape, text, sizeof text));
    }
    CN__TRY(check_pixels(shape->dim[0], shape->dim[1]));
    *picture = (cn__picture){shape->dim[0], shape->dim[1], planar ? 1 : (int)shape->dim[2], NULL};
    int64_t count = cn_array_count(image);
    picture->samples = cn__alloc((size_t)count);
    if (!picture->samples)
        return CN_ERROR_MEMORY;
    const float *floats = cn_array_const_floats(image);
    const int32_t *ints = cn_array_const_ints(image);
    for (int64_t i = 0; i < count; i++)
        picture->samples[i] = sample_of(floats ? (double)floats[i] : ints[i]);
    return CN_OK;
}

/* The codec of the name's ending, in either case. */
static const struct codec *codec_of(const char *path)
{
    const char *ending = strrchr(path, '.');
    for (size_t i = 0; ending && i < CN__COUNT(codecs); i++)
        if (strcasecmp(ending, codecs[i].endings[0]) == 0 ||
            strcasecmp(ending, codecs[i].endings[1]) == 0)
            return &codecs[i];
    return NULL;
}

static cn_status write_picture(const char *path, const struct codec *codec,
                               const cn__picture *picture)
{
    cn__file_writer writer;
    CN__TRY(cn__file_create(&writer, path));
    cn_status status = codec->encode(picture, writer.stream);
    if (status != CN_OK)
        (void)cn__fail_within("%s", path);
    return cn__file_finish(&writer, status);
}

cn_status cn_image_write(const char *path, const cn_array *image)
{
    if (!path || !image)
        return cn__fail_null_argument("cn_image_write");
    const struct codec *codec = codec_of(path);
    if (!codec)
        return cn__fail(CN_ERROR_ARGUMENT, "%s: a picture's name must end in .png, .jpg or .jpeg",
                        path);
    cn__picture picture = {0};
    cn_status status = picture_of(image, &picture);
    if (status == CN_OK)
        status = write_picture(path, codec, &picture);
    else
        (void)cn__fail_within("%s", path);
    cn__free(picture.samples);
    return status;
}
