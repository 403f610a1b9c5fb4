/* A callback that writes TensorBoard's event files. A file is a sequence of records (TFRecord:
 * length, its checksum, data, its checksum), each of them a protocol buffer of the message Event:
 *
 *     Event    1 wall_time (double), 2 step (int64), 3 file_version (string) or 5 summary (Summary)
 *     Summary  1 value (Value, repeated)
 *     Value    1 tag (string), 2 simple_value (float)
 *
 * Formats: tensorflow.org/tutorials/load_data/tfrecord, protobuf.dev/programming-guides/encoding,
 * tensorflow/core/util/event.proto and framework/summary.proto; CRC-32C: RFC 3720. Tags are those
 * of keras/src/callbacks/tensorboard.py. */
#include "formats/log_file.h"

#include "cornu/formats.h"
#include "models/callback.h"

#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ---- bytes ---- */

/* Memory that ran out shows in `status`. */
typedef struct bytes {
    uint8_t *data;
    size_t size, capacity;
    cn_status status;
} bytes;

static void put(bytes *b, const void *data, size_t size)
{
    if (b->status == CN_OK)
        b->status = cn__grow(&b->data, &b->capacity, b->size, b->size + size, 1);
    if (b->status != CN_OK)
        return;
    memcpy(b->data + b->size, data, size);
    b->size += size;
}

/* The least significant byte first. */
static void put_little_endian(bytes *b, uint64_t value, size_t size)
{
    uint8_t data[8];
    for (size_t i = 0; i < size; i++)
        data[i] = (uint8_t)(value >> (8 * i));
    put(b, data, size);
}

/* ---- protocol buffers ---- */

enum wire { wire_varint = 0, wire_64_bits = 1, wire_bytes = 2, wire_32_bits = 5 };

static void put_varint(bytes *b, uint64_t value)
{
    uint8_t data[10];
    size_t size = 0;
    do {
        data[size] = (uint8_t)(value & 0x7F);
        value >>= 7;
        if (value)
            data[size] |= 0x80;
        size++;
    } while (value);
    put(b, data, size);
}

static void put_key(bytes *b, unsigned field, enum wire wire)
{
    put_varint(b, field << 3 | wire);
}

static void put_bytes(bytes *b, unsigned field, const void *data, size_t size)
{
    put_key(b, field, wire_bytes);
    put_varint(b, size);
    put(b, data, size);
}

static void put_double(bytes *b, unsigned field, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    put_key(b, field, wire_64_bits);
    put_little_endian(b, bits, sizeof bits);
}

static void put_float(bytes *b, unsigned field, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    put_key(b, field, wire_32_bits);
    put_little_endian(b, bits, sizeof bits);
}

/* ---- records ---- */

/* Bit by bit: the records are short. */
static uint32_t crc32c(const uint8_t *data, size_t size)
{
    uint32_t crc = 0xFFFFFFFF;
    for (size_t i = 0; i < size; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82F63B78 : 0);
    }
    return ~crc;
}

static void put_checksum(bytes *b, const uint8_t *data, size_t size)
{
    uint32_t crc = crc32c(data, size);
    put_little_endian(b, (crc >> 15 | crc << 17) + 0xA282EAD8, 4);
}

static void put_record(bytes *file, const bytes *event)
{
    bytes length = {0};
    put_little_endian(&length, event->size, 8);
    if (length.status == CN_OK && event->status == CN_OK) {
        put(file, length.data, length.size);
        put_checksum(file, length.data, length.size);
        put(file, event->data, event->size);
        put_checksum(file, event->data, event->size);
    } else
        file->status = CN_ERROR_MEMORY;
    cn__free(length.data);
}

static double now(void)
{
    struct timespec time;
    (void)clock_gettime(CLOCK_REALTIME, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static void put_version(bytes *file)
{
    static const char version[] = "brain.Event:2";
    bytes event = {0};
    put_double(&event, 1, now());
    put_bytes(&event, 3, version, strlen(version));
    put_record(file, &event);
    cn__free(event.data);
}

static void put_scalar(bytes *file, int64_t step, const char *name, double number)
{
    static const char prefix[] = "epoch_";
    bytes tag = {0}, value = {0}, summary = {0}, event = {0};
    put(&tag, prefix, strlen(prefix));
    put(&tag, name, strlen(name));
    put_bytes(&value, 1, tag.data, tag.size);
    put_float(&value, 2, (float)number);
    put_bytes(&summary, 1, value.data, value.size);
    put_double(&event, 1, now());
    put_key(&event, 2, wire_varint);
    put_varint(&event, (uint64_t)step);
    put_bytes(&event, 5, summary.data, summary.size);
    if (tag.status == CN_OK && value.status == CN_OK && summary.status == CN_OK)
        put_record(file, &event);
    else
        file->status = CN_ERROR_MEMORY;
    cn__free(tag.data);
    cn__free(value.data);
    cn__free(summary.data);
    cn__free(event.data);
}

/* ---- the callback ---- */

enum { train, validation, kinds };
static const char *const kind_names[kinds] = {"train", "validation"};

typedef struct tensor_board {
    char *folder;
    char *paths[kinds]; /* of the files; NULL before they are needed */
} tensor_board;

static void release(void *context)
{
    tensor_board *t = context;
    for (int kind = 0; kind < kinds; kind++)
        cn__free(t->paths[kind]);
    cn__free(t->folder);
    cn__free(t);
}

/* TensorBoard reads the files of a folder in the order of their names and takes those with
 * "tfevents" in them; the rest makes names that no one else gives. */
static cn_status name_file(tensor_board *t, int kind)
{
    static atomic_uint files;
    char host[65] = "localhost";
    if (gethostname(host, sizeof host) != 0 || strchr(host, '/'))
        (void)snprintf(host, sizeof host, "localhost");
    host[sizeof host - 1] = '\0';
    size_t size = strlen(t->folder) + sizeof host + 100;
    char *path = cn__alloc(size);
    if (!path)
        return CN_ERROR_MEMORY;
    (void)snprintf(path, size, "%s/%s/events.out.tfevents.%010lld.%s.%lld.%u.v2", t->folder,
                   kind_names[kind], (long long)now(), host, (long long)getpid(),
                   atomic_fetch_add(&files, 1));
    t->paths[kind] = path;
    return cn__make_folders_for(path);
}

static cn_status append(const char *path, const bytes *data)
{
    FILE *stream = cn__log_open(path, false);
    if (!stream)
        return cn_error_status();
    (void)fwrite(data->data, 1, data->size, stream);
    return cn__log_close(stream, path);
}

static bool is_validation(const char *name)
{
    return strncmp(name, "val_", 4) == 0;
}

static cn_status write_kind(tensor_board *t, int kind, const cn_training *training)
{
    bytes file = {0};
    cn_logs logs = training->logs;
    for (int i = 0; i < logs.count; i++)
        if (is_validation(logs.names[i]) == (kind == validation)) {
            if (!t->paths[kind] && file.size == 0)
                put_version(&file);
            put_scalar(&file, training->epoch, logs.names[i] + (kind == validation ? 4 : 0),
                       logs.values[i]);
        }
    cn_status status = file.status;
    if (status == CN_OK && file.size > 0 && !t->paths[kind])
        status = name_file(t, kind);
    if (status == CN_OK && file.size > 0)
        status = append(t->paths[kind], &file);
    cn__free(file.data);
    return status;
}

static cn_status run(void *context, cn_event event, cn_training *training)
{
    tensor_board *t = context;
    if (event != CN_EPOCH_END)
        return CN_OK;
    for (int kind = 0; kind < kinds; kind++)
        CN__TRY(write_kind(t, kind, training));
    return CN_OK;
}

cn_callback *cn_tensor_board(const char *folder)
{
    if (!folder)
        return (void)cn__fail_null_argument("tensor_board"), NULL;
    tensor_board *t = cn__calloc(1, sizeof *t);
    if (!t)
        return NULL;
    t->folder = cn__strdup(folder);
    if (!t->folder) {
        release(t);
        return NULL;
    }
    return cn_callback(.run = run, .release = release, .context = t, .name = "tensor_board");
}
