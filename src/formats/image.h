/* Pictures in memory, between the codecs and cn_image_read and cn_image_write. */
#ifndef CORNU_SRC_IMAGE_H
#define CORNU_SRC_IMAGE_H

#include "base/base.h"

#include <stdio.h>

/* 16384 x 16384; as float32 RGB that takes 3 GiB. A slip in an argument or a lie in a file shall
 * not ask for all memory. */
#define CN__IMAGE_MAX_PIXELS ((int64_t)1 << 28)

/* Samples of 8 bits, (height, width, channels), channels 1 or 3. */
typedef struct cn__picture {
    int64_t height, width;
    int channels;
    unsigned char *samples;
} cn__picture;

/* Allocates the samples of a picture whose extents are set, if a file of `file_size` bytes can
 * honestly hold `raw_size` bytes of uncompressed picture. */
cn_status cn__picture_new(cn__picture *picture, size_t file_size, uint64_t raw_size);

/* Decoders. On failure too, `picture->samples` is to be freed by the caller, who has zeroed it. */
cn_status cn__png_decode(const void *bytes, size_t size, cn__picture *picture);
cn_status cn__jpeg_decode(const void *bytes, size_t size, cn__picture *picture);

/* Encoders. Errors of the stream itself are left to its owner. */
cn_status cn__png_encode(const cn__picture *picture, FILE *stream);
cn_status cn__jpeg_encode(const cn__picture *picture, FILE *stream);

#endif
