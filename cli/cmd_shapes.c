/* cornu shapes: the drawn data set, as pictures and as arrays. */
#include "cli.h"

#include "cornu/datasets.h"
#include "cornu/formats.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

typedef struct settings {
    const char *folder, *npz;
    int64_t count, size, seed;
} settings;

static const settings defaults = {.count = 100, .size = 32};

#define AT(member) .offset = offsetof(settings, member)

static const cli_option options[] = {
    {.name = "output",
     .letter = 'o',
     .kind = CLI_TEXT,
     AT(folder),
     .value = "DIR",
     .help = "write a PNG for each picture into this folder, which is\nmade if there is none"},
    {.name = "npz",
     .kind = CLI_TEXT,
     AT(npz),
     .value = "OUT.npz",
     .help = "write the arrays x (count, size, size, 3), 0 to 1,\nand y (count), 0 to 9"},
    {.name = "count",
     .letter = 'n',
     .kind = CLI_INTEGER,
     AT(count),
     .value = "N",
     .help = "pictures (default 100)"},
    {.name = "size",
     .kind = CLI_INTEGER,
     AT(size),
     .value = "N",
     .help = "pixels on a side (default 32)"},
    {.name = "seed",
     .kind = CLI_INTEGER,
     AT(seed),
     .value = "N",
     .help = "take another one for other pictures (default 0)"},
    {0},
};

/* The pictures' files sort in the order of the pictures: 00012-ring.png. */
static cn_status write_picture(const char *folder, const cn_array *images, int64_t index, int label)
{
    char path[4200];
    int64_t size = cn_array_shape(images)->dim[1], count = size * size * 3;
    cn_shape shape = cn_shape_of(size, size, 3);
    (void)snprintf(path, sizeof path, "%s/%05" PRId64 "-%s.png", folder, index,
                   cn_drawn_shape_name(label));
    for (char *c = path + strlen(folder) + 1; *c; c++)
        if (*c == ' ')
            *c = '-';
    cn_array *picture = cn_array_from(&shape, cn_array_const_floats(images) + index * count);
    for (int64_t i = 0; picture && i < count; i++)
        cn_array_floats(picture)[i] *= 255;
    cn_status status = picture ? cn_image_write(path, picture) : cn_error_status();
    cn_array_free(picture);
    return status;
}

static int write_folder(const char *folder, const cn_array *images, const cn_array *labels)
{
    if (strlen(folder) > 4000)
        return cli_fail("%s: the name is too long", folder);
    if (mkdir(folder, 0777) != 0 && errno != EEXIST)
        return cli_fail("%s: %s", folder, strerror(errno));
    for (int64_t i = 0; i < cn_array_count(labels); i++)
        if (write_picture(folder, images, i, cn_array_const_ints(labels)[i]) != CN_OK)
            return cli_fail_library();
    (void)printf("wrote %" PRId64 " pictures to %s\n", cn_array_count(labels), folder);
    return CLI_OK;
}

static int write_npz(const char *path, const cn_array *images, const cn_array *labels)
{
    cn_npz_writer *npz = cn_npz_create(path);
    if (!npz)
        return cli_fail_library();
    (void)cn_npz_add(npz, "x", images);
    (void)cn_npz_add(npz, "y", labels);
    if (cn_npz_finish(npz) != CN_OK)
        return cli_fail_library();
    (void)printf("wrote x and y of %" PRId64 " pictures to %s\n", cn_array_count(labels), path);
    return CLI_OK;
}

static int run(const void *given, int count, char **arguments)
{
    (void)count;
    (void)arguments;
    const settings *s = given;
    cn_array *images = NULL, *labels = NULL;
    if (!s->folder && !s->npz)
        return cli_fail_usage("Give --output DIR, --npz OUT.npz or both.",
                              "there is nowhere to write to");
    if (s->count < 1 || s->size < 8 || s->size > 1024)
        return cli_fail_usage(NULL, "--count takes a number from 1 and --size one from 8 to 1024");
    if (s->seed < 0)
        return cli_fail_usage(NULL, "--seed takes a number from 0, but got %" PRId64, s->seed);
    if (cn_drawn_shapes((uint64_t)s->seed, s->count, s->size, &images, &labels) != CN_OK)
        return cli_fail_library();
    int code = s->folder ? write_folder(s->folder, images, labels) : CLI_OK;
    if (code == CLI_OK && s->npz)
        code = write_npz(s->npz, images, labels);
    cn_array_free(images);
    cn_array_free(labels);
    return code;
}

const cli_command cli_shapes = {
    .name = "shapes",
    .help = "draw a data set of coloured shapes, to try things on",
    .arguments = "",
    .options = options,
    .details = "The classes: disk, ring, square, triangle, cross, star, horizontal stripes,\n"
               "vertical stripes, checkerboard, dots.\n\n"
               "example:\n"
               "  cornu shapes -o shapes --npz shapes.npz --count 1000\n",
    .settings_size = sizeof(settings),
    .defaults = &defaults,
    .run = run,
};
