/* cornu deconv: a layer's feature maps, taken back to the image through transposed convolutions. */
#include "look.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct settings {
    look_options look;
    feed_options feed;
    int rule;
    int64_t input;
} settings;

enum { TOP = 16 /* maps that are shown if nothing else is asked for */ };

/* In the order of the option's choices. */
static const struct {
    cn_gradient_rule rule;
    const char *text;
} rules[] = {{CN_DECONVNET, "deconvnet"},
             {CN_GRADIENT, "gradient"},
             {CN_GUIDED_BACKPROP, "guided backpropagation"}};

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
     .help = "these filters in this order, such as 0,3,7 or 0-15"},
    {.name = "top",
     .letter = 't',
     .kind = CLI_INTEGER,
     AT(top),
     .value = "N",
     .help = "the N strongest maps, by the sum of their squares\n(default 16)"},
    {.name = "output",
     .letter = 'o',
     .kind = CLI_TEXT,
     AT(output),
     .value = "OUT.png",
     .help = "the picture (default IMAGE-LAYER.png); for several\nimages the names go before its "
             "ending"},
    {.name = "npy",
     .kind = CLI_TEXT,
     AT(npy),
     .value = "OUT.npy",
     .help = "write the projections as an array, too: (filters, ...)\nas the model's input is"},
    {.name = "rule",
     .kind = CLI_CHOICE,
     .offset = offsetof(settings, rule),
     .value = "deconvnet|gradient|guided",
     .help = "what relu does to the signal on its way back: keeps its\npositive part (default), "
             "the derivative, or both"},
    {.name = "columns", .kind = CLI_INTEGER, AT(columns), .value = "N", .help = "tiles in a row"},
    {.name = "tile",
     .kind = CLI_INTEGER,
     AT(tile),
     .value = "N",
     .help = "pixels of a tile's longer side (default: by their\nnumber)"},
    {.name = "input",
     .kind = CLI_INTEGER,
     .offset = offsetof(settings, input),
     .value = "N",
     .help = "the number of the model's input to project to\n(default 0)"},
    FEED_OPTIONS(settings),
    {0},
};

/* One image under work. */
typedef struct job {
    const settings *s;
    const feed *f;
    cn_deconvnet *net;
    const cn_layer *layer;
    const char *file;
    bool several;
    cn_array **in, **first, *maps, *projections;
    look_filters filters;
} job;

static int write_picture(const job *j)
{
    char path[LOOK_PATH], shape[200], caption[600];
    const look_options *look = &j->s->look;
    look_path(path, look->output, j->file, look->layer ? look->layer : cn_layer_name(j->layer),
              j->several);
    (void)snprintf(caption, sizeof caption,
                   "%.300s: feature map and its projection (%s), a scale for each",
                   feed_name(j->file), rules[j->s->rule].text);
    cn_maps_picture_options o = {.title = cn_layer_name(j->layer),
                                 .caption = caption,
                                 .data_format = j->f->format,
                                 .projections = j->projections,
                                 .columns = look->columns,
                                 .tile_pixels = look->tile};
    cn_array *picture = cn_maps_picture(j->maps, j->filters.filter, j->filters.count, &o);
    cn_status status = picture ? cn_image_write(path, picture) : cn_error_status();
    cn_array_free(picture);
    if (status != CN_OK)
        return cli_fail_library();
    (void)printf("%s: %s (%s) gives %s: %" PRId64 " of %" PRId64 " maps projected, in %s\n",
                 j->file, cn_layer_name(j->layer), cn_layer_type(j->layer),
                 cn_shape_text(cn_array_shape(j->maps), shape, sizeof shape), j->filters.count,
                 cn_maps_count(j->maps, j->f->format), path);
    return CLI_OK;
}

/* The array holds what came out; colours are changed for the picture only. */
static int write_npy(const job *j)
{
    char path[LOOK_PATH];
    if (!j->s->look.npy)
        return CLI_OK;
    look_path(path, j->s->look.npy, j->file, "", j->several);
    return cn_npy_write(path, j->projections) == CN_OK ? CLI_OK : cli_fail_library();
}

static int project(job *j)
{
    int code = feed_read(j->f, j->file, &j->in);
    if (code == CLI_OK)
        code = feed_first(j->f, j->in, &j->first);
    if (code != CLI_OK)
        return code;
    const cn_array *const *in = (const cn_array *const *)j->first;
    if (cn_deconvnet_maps(j->net, in, &j->maps, j->f->pool) != CN_OK)
        return cli_fail_library();
    code = look_choose(&j->s->look, j->maps, j->f->format, TOP, &j->filters);
    if (code != CLI_OK)
        return code;
    if (cn_deconvnet_project(j->net, in, j->filters.filter, j->filters.count, &j->projections,
                             j->f->pool) != CN_OK)
        return cli_fail_library();
    code = write_npy(j);
    feed_signal_to_rgb(j->f, j->projections);
    return code == CLI_OK ? write_picture(j) : code;
}

static int show(const job *common, const char *file)
{
    job j = *common;
    j.file = file;
    int inputs = cn_model_inputs(j.f->model).count;
    int code = project(&j);
    feed_free(j.in, inputs);
    feed_free(j.first, inputs);
    cn_array_free(j.maps);
    cn_array_free(j.projections);
    free(j.filters.filter);
    return code;
}

static int run_with(const settings *s, feed *f, int count, char **arguments)
{
    int code = look_check_names(count - 1, arguments + 1);
    if (code == CLI_OK)
        code = feed_open(f, &s->feed, arguments[0]);
    if (code != CLI_OK)
        return code;
    job j = {.s = s, .f = f, .several = count > 2};
    j.layer = feed_layer(f, s->look.layer, &code);
    if (!j.layer)
        return code;
    if (s->input < 0 || s->input >= cn_model_inputs(f->model).count)
        return cli_fail_usage(NULL, "--input: %s has the inputs 0 to %d, but got %" PRId64,
                              arguments[0], cn_model_inputs(f->model).count - 1, s->input);
    j.net = cn_deconvnet_new(f->model, s->look.layer ? s->look.layer : cn_layer_name(j.layer),
                             rules[s->rule].rule, (int)s->input);
    if (!j.net)
        return cli_fail_library();
    for (int i = 1; i < count && code == CLI_OK; i++)
        code = show(&j, arguments[i]);
    cn_deconvnet_free(j.net);
    return code;
}

static int run(const void *given, int count, char **arguments)
{
    feed f = {0};
    int code = run_with(given, &f, count, arguments);
    feed_close(&f);
    return code;
}

const cli_command cli_deconv = {
    .name = "deconv",
    .help = "project a layer's feature maps back to the image",
    .arguments = "MODEL IMAGE...",
    .least = 2,
    .most = 100000,
    .options = options,
    .details =
        "Runs the model on the image, takes the layer's feature maps one by one and brings each\n"
        "back to the image through transposed convolutions with the model's own kernels: pooling\n"
        "is undone with the places of the maxima, relu keeps what is positive (Zeiler and\n"
        "Fergus, 2013). The picture shows every map beside its projection, the strongest first.\n"
        "In a map black is 0 and white the greatest value; where there are negative values, blue\n"
        "is below 0 and red above. In a projection grey is 0.\n\n"
        "IMAGE is a PNG or JPEG, an .npy that holds what the model takes, or an .npz with the\n"
        "arrays x0, x1 ... for its inputs; of several samples the first is shown.\n\n"
        "example:\n"
        "  cornu deconv model.h5 cat.png --layer conv2d_3 --top 16 -o deconv.png\n",
    .settings_size = sizeof(settings),
    .run = run,
};
