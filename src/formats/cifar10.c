/* CIFAR-10's binary version: records of a label and 32 x 32 bytes each of red, green and blue. */
#include "formats/file.h"

#include "cornu/formats.h"

enum { side = 32, plane = side * side, channels = 3, classes = 10 };
enum { record_size = 1 + channels * plane };

/* The whole of CIFAR-10 has a sixth of this. */
#define MAX_FILE_SIZE ((size_t)1 << 30)

typedef struct batch {
    void *bytes;
    size_t size;
} batch;

static cn_status read_batch(const char *path, batch *b)
{
    if (!path)
        return cn__fail_null_argument("cn_cifar10_read");
    CN__TRY(cn__file_read(path, MAX_FILE_SIZE, &b->bytes, &b->size));
    if (b->size == 0 || b->size % record_size != 0)
        return cn__fail(CN_ERROR_FORMAT,
                        "%s: %zu bytes are no batch of CIFAR-10, whose pictures take %d each", path,
                        b->size, record_size);
    for (size_t i = 0; i < b->size / record_size; i++) {
        int label = ((const unsigned char *)b->bytes)[i * record_size];
        if (label >= classes)
            return cn__fail(CN_ERROR_FORMAT, "%s: picture %zu has the label %d; there are 0 to %d",
                            path, i, label, classes - 1);
    }
    return CN_OK;
}

static void convert(const unsigned char *record, float *image, int32_t *label)
{
    *label = record[0];
    for (int pixel = 0; pixel < plane; pixel++)
        for (int c = 0; c < channels; c++)
            image[pixel * channels + c] = (float)record[1 + c * plane + pixel] / 255;
}

static cn_status convert_all(int count, const batch *batches, cn_array **images, cn_array **labels)
{
    int64_t records = 0;
    for (int i = 0; i < count; i++)
        records += (int64_t)(batches[i].size / record_size);
    cn_shape images_shape = cn_shape_of(records, side, side, channels);
    cn_shape labels_shape = cn_shape_of(records);
    *images = cn_array_new(CN_FLOAT32, &images_shape);
    *labels = *images ? cn_array_new(CN_INT32, &labels_shape) : NULL;
    if (!*labels) {
        cn_array_free(*images);
        *images = NULL;
        return cn_error_status();
    }
    float *image = cn_array_floats(*images);
    int32_t *label = cn_array_ints(*labels);
    for (int i = 0; i < count; i++) {
        const unsigned char *bytes = batches[i].bytes;
        for (size_t at = 0; at < batches[i].size; at += record_size) {
            convert(bytes + at, image, label++);
            image += channels * plane;
        }
    }
    return CN_OK;
}

cn_status cn_cifar10_read(int count, const char *const *paths, cn_array **images, cn_array **labels)
{
    if (!paths || !images || !labels)
        return cn__fail_null_argument("cn_cifar10_read");
    *images = *labels = NULL;
    if (count < 1)
        return cn__fail(CN_ERROR_ARGUMENT, "cn_cifar10_read: there must be at least 1 file, not %d",
                        count);
    batch *batches = cn__calloc((size_t)count, sizeof *batches);
    cn_status status = batches ? CN_OK : CN_ERROR_MEMORY;
    for (int i = 0; status == CN_OK && i < count; i++)
        status = read_batch(paths[i], &batches[i]);
    if (status == CN_OK)
        status = convert_all(count, batches, images, labels);
    for (int i = 0; batches && i < count; i++)
        cn__free(batches[i].bytes);
    cn__free(batches);
    return status;
}
