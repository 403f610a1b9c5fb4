/* cornu/formats.h - files: arrays (npy, npz), pictures (PNG, JPEG).
 *
 * Files are taken to be hostile: sizes are checked before they are used, and a broken file gives
 * CN_ERROR_FORMAT, never a crash or memory out of proportion to the file. Every message names the
 * file. Writing is all or nothing: the file is written under another name in the same folder and
 * then renamed, so that a failure leaves what was there before. A path that exists but is no
 * regular file (a folder, a device) is refused.
 */
#ifndef CORNU_FORMATS_H
#define CORNU_FORMATS_H

#include "cornu/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- one array: .npy ---- */

/* Reads an array that NumPy saved: format versions 1 to 3, either byte order, C or Fortran order,
 * of at most CN_MAX_RANK axes. Elements of type f2, f4 and f8 become float32; bool, i1 to i8 and
 * u1 to u8 become int32 if every value fits, else float32. The array is in row-major order. */
CN_API cn_array *cn_npy_read(const char *path);

/* Writes `array` as .npy, version 1, in this machine's byte order. */
CN_API cn_status cn_npy_write(const char *path, const cn_array *array);

/* ---- several named arrays: .npz ---- */

/* An open .npz: a zip file whose members NAME.npy are arrays, stored or deflated. */
typedef struct cn_npz cn_npz;

CN_API cn_npz *cn_npz_open(const char *path);
CN_API void cn_npz_close(cn_npz *npz);
/* The number of arrays, 0 for NULL. Members that are not .npy are not counted. */
CN_API size_t cn_npz_count(const cn_npz *npz);
/* The name of array `index`, without ".npy"; in the file's order. NULL beyond the last. Lent until
 * the npz is closed. */
CN_API const char *cn_npz_name(const cn_npz *npz, size_t index);
/* Reads an array by its name; CN_ERROR_NOT_FOUND if there is none. Elements as in cn_npy_read. */
CN_API cn_array *cn_npz_read(cn_npz *npz, const char *name);

/* An .npz in the making. It holds copies of its arrays in memory until it is finished. */
typedef struct cn_npz_writer cn_npz_writer;

CN_API cn_npz_writer *cn_npz_create(const char *path);
/* Adds `array` as NAME.npy, deflated. A name may be added once. After a failure the writer takes
 * nothing more and cn_npz_finish writes nothing. */
CN_API cn_status cn_npz_add(cn_npz_writer *writer, const char *name, const cn_array *array);
/* Writes the file and frees the writer, also on failure. The same arrays give the same bytes
 * whenever they are written. At least one array is needed. */
CN_API cn_status cn_npz_finish(cn_npz_writer *writer);
/* Frees the writer without writing anything. */
CN_API void cn_npz_discard(cn_npz_writer *writer);

/* ---- pictures ---- */

/* Reads a PNG or JPEG, told apart by its content, as a float32 array (height, width, channels) of
 * values 0 to 255.
 *
 * channels  0: as in the file, 1 for grey and 3 for colour; 1: grey, colour being weighted
 *           0.299 R + 0.587 G + 0.114 B (ITU-R BT.601) and not rounded; 3: RGB.
 *
 * Palettes are looked up, 16-bit samples scaled to 8, alpha is dropped. Colour profiles, gamma and
 * the EXIF orientation are not applied: the samples are those of the file. CMYK is not supported.
 * A picture has at most 2^28 pixels. */
CN_API cn_array *cn_image_read(const char *path, int channels);

/* Writes (height, width), (height, width, 1) or (height, width, 3) as PNG, or as JPEG of quality
 * 92, by the name's ending: .png, .jpg or .jpeg. Values are rounded to the nearest integer and
 * clipped to 0..255; NaN is written as 0. */
CN_API cn_status cn_image_write(const char *path, const cn_array *image);

typedef enum cn_resize {
    CN_RESIZE_NEAREST = 0, /* the pixel under the new pixel's centre */
    CN_RESIZE_BILINEAR,    /* a triangle of radius 1 */
    CN_RESIZE_BICUBIC      /* Keys' cubic with a = -0.5, radius 2; may overshoot 0..255 */
} cn_resize;

/* A resized copy of a float32 picture (height, width) or (height, width, channels). Pixels are
 * areas: their centres are at half-integers. When an axis shrinks, bilinear and bicubic filters
 * widen in proportion (antialiasing); at the borders the weights are those of the pixels there
 * are, normalised, as in Pillow and in TensorFlow's antialiased resize. */
CN_API cn_array *cn_image_resize(const cn_array *image, int64_t height, int64_t width,
                                 cn_resize method);

#ifdef __cplusplus
}
#endif

#endif
