/* cornu/formats.h - files: arrays (npy, npz), pictures (PNG, JPEG), Keras' models.
 *
 * Files are taken to be hostile: sizes are checked before they are used, and a broken file gives
 * CN_ERROR_FORMAT, never a crash or memory out of proportion to the file. Every message names the
 * file. Writing is all or nothing: the file is written under another name in the same folder and
 * then renamed, so that a failure leaves what was there before. A path that exists but is no
 * regular file (a folder, a device) is refused.
 */
#ifndef CORNU_FORMATS_H
#define CORNU_FORMATS_H

#include <stdio.h>

#include "cornu/training.h"

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

/* ---- Keras' models ---- */

/* Files of Keras 1, 2 and 3, told apart by their content:
 *   .keras        configuration and weights (Keras 3, and 2.12 to 2.15)
 *   .h5, .hdf5    configuration and weights (model.save() of Keras 1 and 2, also of 3)
 *   .weights.h5   weights only (Keras 3, and 2.12 to 2.15), and what save_weights() of Keras 1 and
 *                 2 wrote
 *   .json         configuration only (to_json())
 * A model that was compiled is compiled again, with the state of its optimizer. If Cornu has not
 * what it was compiled with (a loss of the author's own), the model comes uncompiled;
 * cn_model_is_compiled tells. An optimizer whose state does not fit begins anew. */

typedef enum cn_backend {
    CN_BACKEND_AUTO = 0,   /* what the file says; Keras 1 does not say: what its names look like */
    CN_BACKEND_TENSORFLOW, /* and all others but Theano */
    CN_BACKEND_THEANO      /* kernels are flipped, and `same` pads differently */
} cn_backend;

typedef struct cn_load_options {
    cn_backend backend; /* that wrote the file */
    /* `same` pads as on TensorFlow in a file that Theano wrote, too. Predictions are then not those
     * that Theano made. */
    bool tensorflow_same;
    /* cn_model_load_weights: layers and their weights in the file belong together that have the
     * same name, others are passed over; otherwise they belong together in their order. */
    bool by_name;
    bool no_compile; /* Keras' compile=False */
    /* Of Keras 1's layers that do not tell theirs: UpSampling and ZeroPadding. Default: that of the
     * file's other layers. */
    cn_data_format data_format;
} cn_load_options;

/* Reads a model; `options` may be NULL. CN_ERROR_UNSUPPORTED if it has a layer that Cornu has not.
 * From a .json file the weights are what their initializers make. */
CN_API cn_model *cn_model_load(const char *path, const cn_load_options *options);

/* The model of a configuration as text. */
CN_API cn_model *cn_model_from_json(const char *text, const cn_load_options *options);

/* Reads the weights of any file that has some into a model of the same layers. After a failure some
 * weights may have been read. */
CN_API cn_status cn_model_load_weights(cn_model *model, const char *path,
                                       const cn_load_options *options);

/* Writes a model for Keras 3 (and for cn_model_load), by the name's ending: .keras or .h5 (Keras 2
 * reads that too, unless a functional model in it calls another model) with the state of a compiled
 * model, .weights.h5 or .json. A .keras file also keeps where a training stands, so that cn_fit()
 * goes on from it, bit for bit; layers that draw random numbers need a seed of their own for that,
 * and what cn_model_add_loss() added has to be added again.
 * CN_ERROR_UNSUPPORTED if the model has something that Keras has not; but the initializer
 * "bilinear", which it has not, becomes "zeros" in a file that has the weights, and the optimizers
 * of Keras 1 and 2 go by Keras 3's formulas when Keras 3 goes on with them. */
CN_API cn_status cn_model_save(cn_model *model, const char *path);
/* The configuration as JSON text, as Keras' to_json(); to be released with cn_free_text. */
CN_API char *cn_model_to_json(const cn_model *model);

/* ---- callbacks that write ---- */

/* Writes a line for each epoch: "epoch 1/10  2.1s  loss 0.3512  accuracy 0.8910". The stream is
 * lent.
 */
CN_API cn_callback *cn_progress(FILE *stream);

/* Saves the model as training goes on. `path` may have {epoch}, {epoch:02d} (counted from 1) and
 * {val_loss:.2f} (any log) in it. */
typedef struct cn_model_checkpoint_options {
    size_t size_;
    const char *monitor; /* = "val_loss" */
    cn_better mode;
    bool save_best_only;
    bool save_weights_only;
    int64_t save_freq;      /* = 0: after every epoch; else after so many batches */
    bool has_initial_value; /* of what is watched, to be better than */
    double initial_value_threshold;
} cn_model_checkpoint_options;
#define cn_model_checkpoint(path, ...)                                                             \
    cn_model_checkpoint_new(path, &(cn_model_checkpoint_options){                                  \
                                      .size_ = sizeof(cn_model_checkpoint_options), __VA_ARGS__})
CN_API cn_callback *cn_model_checkpoint_new(const char *path,
                                            const cn_model_checkpoint_options *options);

/* A line of comma-separated values for each epoch (counted from 0), the logs in the order of their
 * names. With `append` lines are added to a file that is there already. */
CN_API cn_callback *cn_csv_logger(const char *path, bool append);

/* TensorBoard's event files, train/ and validation/ in `folder`: a scalar for every log and epoch.
 */
CN_API cn_callback *cn_tensor_board(const char *folder);

/* ---- data sets in files ---- */

/* An .idx file, as MNIST's are (also gzipped): float32 for pictures (values 0 to 255), int32 for
 * labels: unsigned bytes with one axis. */
CN_API cn_array *cn_idx_read(const char *path);
/* CIFAR-10's binary batches, one after the other: images (n, 32, 32, 3) 0 to 1, labels (n). */
CN_API cn_status cn_cifar10_read(int count, const char *const *paths, cn_array **images,
                                 cn_array **labels);
/* A folder with a folder of pictures (PNG, JPEG) for each class, the classes in the order of their
 * names. Pictures are read as they are needed, resized to height x width (bilinear), values 0 to 1;
 * labels are int32 numbers. */
typedef struct cn_image_folder_options {
    size_t size_;
    int64_t height, width; /* = 256 */
    int channels;          /* = 3; 1: grey */
} cn_image_folder_options;
#define cn_image_folder(path, ...)                                                                 \
    cn_image_folder_new(                                                                           \
        path, &(cn_image_folder_options){.size_ = sizeof(cn_image_folder_options), __VA_ARGS__},   \
        NULL)
/* `names`, if not NULL, receives the classes' names, one in a line, to be released with
 * cn_free_text. */
CN_API cn_dataset *cn_image_folder_new(const char *path, const cn_image_folder_options *options,
                                       char **names);

#ifdef __cplusplus
}
#endif

#endif
