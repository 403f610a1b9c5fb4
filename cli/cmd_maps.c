/* cornu maps: a layer's feature maps as a picture. */
#include "look.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct settings {
    look_options look;
    feed_options feed;
} settings;

#define AT(member) .offset = offsetof(settings, look.member)

static const cli_option options[] = {
    {.name = "layer",
     .letter = 'l',
     .kind = CLI_TEXT,
     AT(layer),
     .value = "NAME",
     .help = "the layer; OUTER/INNER in a nested model (default: the\nfirst convolution)"},
    {.name = "filters",
     .letter = 'f',
     .kind = CLI_TEXT,
     AT(filters),
     .value = "N,N,...",
     .help = "these maps in this order, such as 0,3,7 or 0-15\n(default: all)"},
    {.name = "top",
     .letter = 't',
     .kind = CLI_INTEGER,
     AT(top),
     .value = "N",
     .help = "the N strongest maps"},
    {.name = "output",
     .letter = 'o',
     .kind = CLI_TEXT,
     AT(output),
     .value = "OUT.png",
     .help = "the picture (default IMAGE-LAYER-maps.png); for several\nimages the names go before "
             "its ending"},
    {.name = "npy",
     .kind = CLI_TEXT,
     AT(npy),
     .value = "OUT.npy",
     .help = "write the layer's output, all maps, as an array, too"},
    {.name = "columns", .kind = CLI_INTEGER, AT(columns), .value = "N", .help = "tiles in a row"},
    {.name = "tile",
     .kind = CLI_INTEGER,
     AT(tile),
     .value = "N",
     .help = "pixels of a tile's longer side (default: by their\nnumber)"},
    FEED_OPTIONS(settings),
    {0},
};

static int draw(const settings *s, const feed *f, const cn_layer *layer, const cn_array *maps,
                const char *file, bool several)
{
    char path[LOOK_PATH], npy[LOOK_PATH], what[1000], shape[200], caption[600];
    look_filters filters = {0};
    (void)snprintf(what, sizeof what, "%.900s-maps",
                   s->look.layer ? s->look.layer : cn_layer_name(layer));
    (void)snprintf(caption, sizeof caption, "%s of %.300s, a scale for each map",
                   cn_shape_text(cn_array_shape(maps), shape, sizeof shape), feed_name(file));
    look_path(path, s->look.output, file, what, several);
    int code = look_choose(&s->look, maps, f->format, 0, &filters);
    cn_maps_picture_options o = {.title = cn_layer_name(layer),
                                 .caption = caption,
                                 .data_format = f->format,
                                 .columns = s->look.columns,
                                 .tile_pixels = s->look.tile};
    cn_array *picture =
        code == CLI_OK ? cn_maps_picture(maps, filters.filter, filters.count, &o) : NULL;
    if (code == CLI_OK && (!picture || cn_image_write(path, picture) != CN_OK))
        code = cli_fail_library();
    cn_array_free(picture);
    free(filters.filter);
    if (code != CLI_OK)
        return code;
    (void)printf("%s: %s (%s) gives %s: %" PRId64 " maps in %s\n", file, cn_layer_name(layer),
                 cn_layer_type(layer), shape, filters.count, path);
    if (!s->look.npy)
        return CLI_OK;
    look_path(npy, s->look.npy, file, what, several);
    return cn_npy_write(npy, maps) == CN_OK ? CLI_OK : cli_fail_library();
}

static int show(const settings *s, const feed *f, cn_deconvnet *net, const cn_layer *layer,
                const char *file, bool several)
{
    cn_array **in = NULL, **first = NULL, *maps = NULL;
    int inputs = cn_model_inputs(f->model).count;
    int code = feed_read(f, file, &in);
    if (code == CLI_OK)
        code = feed_first(f, in, &first);
    if (code == CLI_OK) {
        cn_status status = cn_deconvnet_maps(net, (const cn_array *const *)first, &maps, f->pool);
        code = status == CN_OK ? draw(s, f, layer, maps, file, several) : cli_fail_library();
    }
    cn_array_free(maps);
    feed_free(in, inputs);
    feed_free(first, inputs);
    return code;
}

static int run_with(const settings *s, feed *f, int count, char **arguments)
{
    int code = look_check_names(count - 1, arguments + 1);
    if (code == CLI_OK)
        code = feed_open(f, &s->feed, arguments[0]);
    if (code != CLI_OK)
        return code;
    const cn_layer *layer = feed_layer(f, s->look.layer, &code);
    if (!layer)
        return code;
    cn_deconvnet *net = cn_deconvnet_new(
        f->model, s->look.layer ? s->look.layer : cn_layer_name(layer), CN_DECONVNET, 0);
    if (!net)
        return cli_fail_library();
    for (int i = 1; i < count && code == CLI_OK; i++)
        code = show(s, f, net, layer, arguments[i], count > 2);
    cn_deconvnet_free(net);
    return code;
}

static int run(const void *given, int count, char **arguments)
{
    feed f = {0};
    int code = run_with(given, &f, count, arguments);
    feed_close(&f);
    return code;
}

const cli_command cli_maps = {
    .name = "maps",
    .help = "draw a layer's feature maps for an image",
    .arguments = "MODEL IMAGE...",
    .least = 2,
    .most = 100000,
    .options = options,
    .details =
        "IMAGE is a PNG or JPEG, an .npy that holds what the model takes, or an .npz with the\n"
        "arrays x0, x1 ... for its inputs; of several samples the first is shown. Black is 0 and\n"
        "white the greatest value; where there are negative values, blue is below 0 and red "
        "above.\n\n"
        "example:\n"
        "  cornu maps model.keras cat.png --layer conv2d_1 --top 16 -o maps.png\n",
    .settings_size = sizeof(settings),
    .run = run,
};
