/* JPEG, over libjpeg, which ends the program on errors unless told otherwise. */
#include "formats/image.h"

#include <jpeglib.h>
#include <jerror.h>
#include <setjmp.h>

#define QUALITY 92

/* A progressive JPEG of a few bytes a scan can ask for a pass over the picture thousands of times;
 * encoders make about ten scans. */
#define MAX_SCANS 200

typedef struct errors {
    struct jpeg_error_mgr manager; /* first: libjpeg hands back a pointer to it */
    jmp_buf leave;
    cn_status status; /* of an error */
    struct jpeg_progress_mgr progress;
} errors;

_Noreturn static void leave(j_common_ptr codec)
{
    errors *e = (errors *)codec->err;
    char message[JMSG_LENGTH_MAX];
    codec->err->format_message(codec, message);
    (void)cn__fail(codec->err->msg_code == JERR_OUT_OF_MEMORY ? CN_ERROR_MEMORY : e->status,
                   "JPEG: %s", message);
    longjmp(e->leave, 1);
}

/* Warnings (level -1) pass, but not those that stand for missing data. */
static void consider(j_common_ptr codec, int level)
{
    int code = codec->err->msg_code;
    if (level < 0 && (code == JWRN_JPEG_EOF || code == JWRN_HIT_MARKER))
        leave(codec);
}

static void limit_scans(j_common_ptr codec)
{
    if (((j_decompress_ptr)codec)->input_scan_number <= MAX_SCANS)
        return;
    errors *e = (errors *)codec->err;
    (void)cn__fail(CN_ERROR_FORMAT, "JPEG: more than %d scans", MAX_SCANS);
    longjmp(e->leave, 1);
}

static struct jpeg_error_mgr *set_errors(errors *e, cn_status status)
{
    (void)jpeg_std_error(&e->manager);
    e->manager.error_exit = leave;
    e->manager.emit_message = consider;
    e->status = status;
    return &e->manager;
}

/* Everything that libjpeg may leave by longjmp; the caller has the setjmp. */
static cn_status decode(struct jpeg_decompress_struct *codec, const void *bytes, size_t size,
                        cn__picture *picture)
{
    jpeg_create_decompress(codec);
    codec->progress = &((errors *)codec->err)->progress;
    codec->progress->progress_monitor = limit_scans;
    jpeg_mem_src(codec, bytes, (unsigned long)size);
    (void)jpeg_read_header(codec, TRUE);
    if (codec->num_components > 3)
        return cn__fail(CN_ERROR_UNSUPPORTED,
                        "JPEG: %d components (CMYK); save the picture as RGB or grey",
                        codec->num_components);
    bool grey = codec->jpeg_color_space == JCS_GRAYSCALE;
    codec->out_color_space = grey ? JCS_GRAYSCALE : JCS_RGB;
    picture->channels = grey ? 1 : 3;
    picture->width = codec->image_width;
    picture->height = codec->image_height;
    uint64_t raw_size = (uint64_t)codec->image_width * codec->image_height;
    CN__TRY(cn__picture_new(picture, size, raw_size));
    (void)jpeg_start_decompress(codec);
    while (codec->output_scanline < codec->output_height) {
        size_t done = (size_t)codec->output_scanline * codec->image_width;
        JSAMPROW row = picture->samples + done * (size_t)picture->channels;
        (void)jpeg_read_scanlines(codec, &row, 1);
    }
    (void)jpeg_finish_decompress(codec);
    return CN_OK;
}

cn_status cn__jpeg_decode(const void *bytes, size_t size, cn__picture *picture)
{
    struct jpeg_decompress_struct codec = {0};
    errors e;
    cn_status status;
    codec.err = set_errors(&e, CN_ERROR_FORMAT);
    if (setjmp(e.leave))
        status = cn_error_status();
    else
        status = decode(&codec, bytes, size, picture);
    jpeg_destroy_decompress(&codec);
    return status;
}

static void encode(struct jpeg_compress_struct *codec, const cn__picture *picture, FILE *stream)
{
    jpeg_create_compress(codec);
    jpeg_stdio_dest(codec, stream);
    codec->image_width = (JDIMENSION)picture->width;
    codec->image_height = (JDIMENSION)picture->height;
    codec->input_components = picture->channels;
    codec->in_color_space = picture->channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_set_defaults(codec);
    jpeg_set_quality(codec, QUALITY, TRUE);
    jpeg_start_compress(codec, TRUE);
    while (codec->next_scanline < codec->image_height) {
        size_t done = (size_t)codec->next_scanline * codec->image_width;
        JSAMPROW row = picture->samples + done * (size_t)picture->channels;
        (void)jpeg_write_scanlines(codec, &row, 1);
    }
    jpeg_finish_compress(codec);
}

cn_status cn__jpeg_encode(const cn__picture *picture, FILE *stream)
{
    struct jpeg_compress_struct codec = {0};
    errors e;
    cn_status status;
    codec.err = set_errors(&e, CN_ERROR_IO);
    if (setjmp(e.leave)) {
        status = cn_error_status();
    } else {
        encode(&codec, picture, stream);
        status = CN_OK;
    }
    jpeg_destroy_compress(&codec);
    return status;
}
