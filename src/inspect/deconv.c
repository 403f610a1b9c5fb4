/* Projecting feature maps to the image (Zeiler and Fergus, arXiv 1311.2901): the gradient of a
 * layer's output with respect to the image, seeded with the maps themselves. The gradient of a
 * convolution is the transposed convolution with its kernel and that of max pooling is unpooling by
 * the switches; what relu does to the signal is the rule. */
#include "inspect/inspect.h"
#include "models/model.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { BATCH = 8 /* filters that are projected at a time */ };

struct cn_deconvnet {
    char *layer;
    int inputs;
    int64_t batch; /* that the model insists on, 0 for any */
    int64_t filters;
    cn_data_format format;
    cn_shape mask;        /* (batch, 1, 1, filters) with the filters where the format has them */
    cn_function *maps;    /* the model's inputs -> the layer's output */
    cn_function *project; /* the model's inputs and the mask -> the signal at one input */
};

/* ---- the data format ---- */

static cn_data_format format_of(const cn_layer *layer)
{
    const cn__option *option = cn__option_find(layer->type, "data_format");
    const cn_model *inner = cn__layer_model(layer);
    if (inner)
        return cn_model_data_format(inner);
    return option ? *(const cn_data_format *)cn__option_at(option, layer->options)
                  : CN_CHANNELS_LAST;
}

cn_data_format cn_model_data_format(const cn_model *model)
{
    for (int i = 0; i < cn_model_layer_count(model); i++)
        if (format_of(model->layers[i]) == CN_CHANNELS_FIRST)
            return CN_CHANNELS_FIRST;
    return CN_CHANNELS_LAST;
}

static int channel_axis(const cn_shape *shape, cn_data_format format)
{
    return format == CN_CHANNELS_FIRST && shape->rank > 2 ? 1 : shape->rank - 1;
}

/* ---- making ---- */

/* Where the layer was first applied in the model's graph. */
static cn_tensor *output_in(const cn_layer *layer, cn_graph *graph)
{
    for (int i = 0; i < layer->call_count; i++)
        if (cn__graph_of(layer->calls[i]->out[0]) == graph)
            return layer->calls[i]->out[0];
    return NULL;
}

static cn_status find_output(const cn_model *model, const char *name, int input, cn_tensor **output)
{
    if (!model || !name)
        return cn__fail_null_argument("cn_deconvnet_new");
    const cn_layer *layer = cn_model_layer_named(model, name);
    if (!layer)
        return cn_error_status();
    cn_tensor_list inputs = cn_model_inputs(model);
    if (input < 0 || input >= inputs.count)
        return cn__fail(CN_ERROR_ARGUMENT,
                        "deconvnet: the model %s has no input %d; its inputs are 0 to %d",
                        cn_model_name(model), input, inputs.count - 1);
    *output = output_in(layer, cn__graph_of(inputs.items[0]));
    if (!*output)
        return cn__fail(CN_ERROR_ARGUMENT, "deconvnet: the layer %s is not applied in the model %s",
                        name, cn_model_name(model));
    return CN_OK;
}

/* The shape of the mask that lets one filter through. */
static cn_status find_filters(cn_deconvnet *net, const cn_tensor *output)
{
    const cn_shape *shape = cn_tensor_shape(output);
    char text[200];
    int axis = channel_axis(shape, net->format);
    net->filters = shape->rank >= 2 ? shape->dim[axis] : -1;
    if (net->filters < 1)
        return cn__fail(CN_ERROR_SHAPE,
                        "deconvnet: the layer %s gives %s, which has no known number of filters",
                        net->layer, cn_shape_text(shape, text, sizeof text));
    net->mask = (cn_shape){.rank = shape->rank, .dim = {-1}};
    for (int i = 1; i < shape->rank; i++)
        net->mask.dim[i] = i == axis ? net->filters : 1;
    return CN_OK;
}

static cn_status make_functions(cn_deconvnet *net, cn_tensor_list inputs, cn_tensor *output,
                                cn_gradient_rule rule, int input)
{
    cn_tensor *all[cn__most_inputs + 1], *signal = NULL;
    if (inputs.count > cn__most_inputs)
        return cn__fail(CN_ERROR_UNSUPPORTED, "deconvnet: the model has more than %d inputs",
                        cn__most_inputs);
    cn_tensor *mask = cn_op_input(CN_FLOAT32, &net->mask, "mask");
    cn_tensor *seed = cn_op_binary(CN_MULTIPLY, output, mask);
    if (!seed) {
        cn_tensor_release(mask);
        return cn_error_status();
    }
    CN__TRY(cn_gradients(cn_tensors(output), cn_tensors(seed), cn_tensors(inputs.items[input]),
                         rule, &signal));
    memcpy(all, inputs.items, (size_t)inputs.count * sizeof *all);
    all[inputs.count] = mask;
    net->inputs = inputs.count;
    net->maps = cn_function_new(inputs, cn_tensors(output));
    net->project = cn_function_new((cn_tensor_list){inputs.count + 1, all}, cn_tensors(signal));
    return net->maps && net->project ? CN_OK : cn_error_status();
}

static cn_status make(cn_deconvnet *net, const cn_model *model, const char *layer,
                      cn_tensor *output, cn_gradient_rule rule, int input)
{
    cn_tensor_list inputs = cn_model_inputs(model);
    net->layer = cn__strdup(layer);
    if (!net->layer)
        return cn_error_status();
    net->format = cn_model_data_format(model);
    net->batch = cn__max(cn_tensor_shape(inputs.items[input])->dim[0], 0);
    CN__TRY(find_filters(net, output));
    return make_functions(net, inputs, output, rule, input);
}

cn_deconvnet *cn_deconvnet_new(cn_model *model, const char *layer, cn_gradient_rule rule, int input)
{
    cn_tensor *output = NULL;
    if (find_output(model, layer, input, &output) != CN_OK)
        return NULL;
    cn_deconvnet *net = cn__calloc(1, sizeof *net);
    if (net && make(net, model, layer, output, rule, input) != CN_OK) {
        cn_deconvnet_free(net);
        return NULL;
    }
    return net;
}

void cn_deconvnet_free(cn_deconvnet *net)
{
    if (!net)
        return;
    cn_function_free(net->maps);
    cn_function_free(net->project);
    cn__free(net->layer);
    cn__free(net);
}

/* ---- running ---- */

static const char *elements(const cn_array *array)
{
    const void *floats = cn_array_const_floats(array);
    return floats ? floats : (const void *)cn_array_const_ints(array);
}

/* `rows` copies of an array of batch 1. Both types of elements have 4 bytes. */
static cn_array *repeated(const cn_array *array, int64_t rows)
{
    cn_shape shape = *cn_array_shape(array);
    shape.dim[0] = rows;
    cn_array *copies = cn_array_new(cn_array_dtype(array), &shape);
    size_t bytes = (size_t)cn_array_count(array) * sizeof(float);
    for (int64_t i = 0; copies && i < rows; i++) {
        void *floats = cn_array_floats(copies);
        char *to = floats ? floats : (void *)cn_array_ints(copies);
        memcpy(to + (size_t)i * bytes, elements(array), bytes);
    }
    return copies;
}

/* `count` rows beginning with `first` of the array `from`, put into `to` from row `place` on. */
static void copy_rows(cn_array *to, int64_t place, const cn_array *from, int64_t count)
{
    int64_t row = cn_array_count(from) / cn_array_shape(from)->dim[0];
    memcpy(cn_array_floats(to) + place * row, cn_array_const_floats(from),
           (size_t)(count * row) * sizeof(float));
}

static void free_arrays(cn_array **arrays, int count)
{
    for (int i = 0; arrays && i < count; i++)
        cn_array_free(arrays[i]);
    cn__free(arrays);
}

/* The inputs `rows` times, with room for one more; NULL after a failure. */
static cn_array **inputs_of(const cn_deconvnet *net, const cn_array *const *in, int64_t rows)
{
    cn_array **arrays = cn__calloc((size_t)net->inputs + 1, sizeof *arrays);
    for (int i = 0; arrays && i < net->inputs; i++) {
        arrays[i] = repeated(in[i], rows);
        if (!arrays[i]) {
            free_arrays(arrays, net->inputs);
            return NULL;
        }
    }
    return arrays;
}

static cn_status check_inputs(const cn_deconvnet *net, const cn_array *const *in, const void *out)
{
    char text[200];
    if (!net || !in || !out)
        return cn__fail_null_argument("deconvnet");
    for (int i = 0; i < net->inputs; i++) {
        if (!in[i])
            return cn__fail_null_argument("deconvnet");
        const cn_shape *shape = cn_array_shape(in[i]);
        if (shape->rank < 1 || shape->dim[0] != 1)
            return cn__fail(CN_ERROR_SHAPE,
                            "deconvnet: takes one image at a time, of shape (1, ...), but input %d "
                            "is %s",
                            i, cn_shape_text(shape, text, sizeof text));
    }
    return CN_OK;
}

cn_status cn_deconvnet_maps(cn_deconvnet *net, const cn_array *const *in, cn_array **maps,
                            cn_pool *pool)
{
    cn_array *all = NULL;
    CN__TRY(check_inputs(net, in, maps));
    cn_array **arrays = inputs_of(net, in, cn__max(net->batch, 1));
    if (!arrays)
        return cn_error_status();
    cn_status status =
        cn_function_run(net->maps, (const cn_array *const *)arrays, &all, false, pool);
    free_arrays(arrays, net->inputs);
    if (status != CN_OK || net->batch <= 1) {
        if (status == CN_OK)
            *maps = all;
        return status;
    }
    cn_shape shape = *cn_array_shape(all);
    shape.dim[0] = 1;
    cn_array *one = cn_array_new(CN_FLOAT32, &shape);
    if (one)
        copy_rows(one, 0, all, 1);
    cn_array_free(all);
    *maps = one;
    return one ? CN_OK : cn_error_status();
}

static cn_array *mask_of(const cn_deconvnet *net, const int64_t *filters, int64_t count,
                         int64_t rows)
{
    cn_shape shape = net->mask;
    shape.dim[0] = rows;
    cn_array *mask = cn_array_new(CN_FLOAT32, &shape);
    for (int64_t i = 0; mask && i < count; i++)
        cn_array_floats(mask)[i * net->filters + filters[i]] = 1;
    return mask;
}

/* Projects `count` filters in one batch of `rows`. */
static cn_array *project(const cn_deconvnet *net, const cn_array *const *in, const int64_t *filters,
                         int64_t count, int64_t rows, cn_pool *pool)
{
    cn_array *out = NULL, **arrays = inputs_of(net, in, rows);
    if (!arrays)
        return NULL;
    arrays[net->inputs] = mask_of(net, filters, count, rows);
    if (arrays[net->inputs])
        (void)cn_function_run(net->project, (const cn_array *const *)arrays, &out, false, pool);
    free_arrays(arrays, net->inputs + 1);
    return out;
}

static cn_status project_all(const cn_deconvnet *net, const cn_array *const *in,
                             const int64_t *filters, int64_t count, cn_array **all, cn_pool *pool)
{
    int64_t most = net->batch ? net->batch : BATCH;
    for (int64_t first = 0; first < count; first += most) {
        int64_t part = cn__min(most, count - first), rows = net->batch ? net->batch : part;
        cn_array *out = project(net, in, filters + first, part, rows, pool);
        if (!out)
            return cn_error_status();
        cn_shape shape = *cn_array_shape(out);
        shape.dim[0] = count;
        if (!*all)
            *all = cn_array_new(CN_FLOAT32, &shape);
        if (*all)
            copy_rows(*all, first, out, part);
        cn_array_free(out);
        if (!*all)
            return cn_error_status();
    }
    return CN_OK;
}

cn_status cn_deconvnet_project(cn_deconvnet *net, const cn_array *const *in, const int64_t *filters,
                               int64_t count, cn_array **projections, cn_pool *pool)
{
    cn_array *all = NULL;
    CN__TRY(check_inputs(net, in, projections));
    if (!filters || count < 1)
        return cn__fail(CN_ERROR_ARGUMENT, "deconvnet: there is no filter to project");
    for (int64_t i = 0; i < count; i++)
        if (filters[i] < 0 || filters[i] >= net->filters)
            return cn__fail(CN_ERROR_ARGUMENT,
                            "deconvnet: the layer %s has no filter %" PRId64
                            "; its filters are 0 to %" PRId64,
                            net->layer, filters[i], net->filters - 1);
    cn_status status = project_all(net, in, filters, count, &all, pool);
    if (status == CN_OK)
        *projections = all;
    else
        cn_array_free(all);
    return status;
}

/* ---- the strongest maps ---- */

int64_t cn_maps_count(const cn_array *maps, cn_data_format data_format)
{
    const cn_shape *shape = maps ? cn_array_shape(maps) : NULL;
    if (!shape || !cn_array_const_floats(maps) || shape->rank < 2 || shape->dim[0] != 1)
        return -1;
    return shape->dim[channel_axis(shape, data_format)];
}

static void add_squares(const cn_array *maps, int axis, double *strength)
{
    const cn_shape *shape = cn_array_shape(maps);
    const float *value = cn_array_const_floats(maps);
    int64_t inner = 1, filters = shape->dim[axis], count = cn_array_count(maps);
    for (int i = axis + 1; i < shape->rank; i++)
        inner *= shape->dim[i];
    for (int64_t i = 0; i < count; i++)
        strength[i / inner % filters] += (double)value[i] * (double)value[i];
    for (int64_t f = 0; f < filters; f++) /* NaN, which nothing exceeds, would go first */
        strength[f] = isnan(strength[f]) ? 0 : strength[f];
}

cn_status cn_strongest_maps(const cn_array *maps, cn_data_format data_format, int64_t count,
                            int64_t *filters)
{
    int64_t all = cn_maps_count(maps, data_format);
    if (all < 0 || !filters)
        return cn__fail(CN_ERROR_ARGUMENT,
                        "cn_strongest_maps: needs float32 maps of one image, (1, ...)");
    if (count < 0 || count > all)
        return cn__fail(CN_ERROR_ARGUMENT,
                        "cn_strongest_maps: there are %" PRId64 " maps, not %" PRId64, all, count);
    double *strength = cn__calloc((size_t)all, sizeof *strength);
    if (!strength)
        return CN_ERROR_MEMORY;
    add_squares(maps, channel_axis(cn_array_shape(maps), data_format), strength);
    for (int64_t i = 0; i < count; i++) {
        int64_t best = -1;
        for (int64_t f = 0; f < all; f++) /* negative: taken */
            if (strength[f] >= 0 && (best < 0 || strength[f] > strength[best]))
                best = f;
        filters[i] = best;
        strength[best] = -1;
    }
    cn__free(strength);
    return CN_OK;
}
