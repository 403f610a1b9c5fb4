/* Pictures of feature maps, alone or beside their projections. */
#include "inspect/inspect.h"
#include "inspect/picture.h"

#include "base/base.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

/* Images as they are drawn: (count, height, width, channels), channels last. */
typedef struct images {
    cn_array *array;
    int64_t height, width, channels;
} images;

/* What an array is drawn as: a row for vectors and lines, planes below each other for volumes. */
static cn_status read_images(const char *what, const cn_array *array, cn_data_format format,
                             images *to)
{
    const cn_shape *shape = array ? cn_array_shape(array) : NULL;
    char text[200];
    if (!array || !cn_array_const_floats(array))
        return cn__fail(CN_ERROR_ARGUMENT, "cn_maps_picture: the %s must be a float32 array", what);
    if (shape->rank < 2 || shape->rank > 5 || cn_array_count(array) < 1)
        return cn__fail(CN_ERROR_SHAPE,
                        "cn_maps_picture: the %s must have a batch, up to 3 spatial axes and "
                        "channels, but are %s",
                        what, cn_shape_text(shape, text, sizeof text));
    to->array = cn__array_channels_last(array, format);
    if (!to->array)
        return cn_error_status();
    const cn_shape *last = cn_array_shape(to->array);
    int rank = last->rank;
    to->channels = last->dim[rank - 1];
    to->width = rank > 2 ? last->dim[rank - 2] : 1;
    to->height = (rank > 3 ? last->dim[rank - 3] : 1) * (rank > 4 ? last->dim[1] : 1);
    return CN_OK;
}

/* Channels that are no colours are drawn as their mean. */
static cn_status mix_channels(images *p)
{
    if (p->channels == 1 || p->channels == 3)
        return CN_OK;
    int64_t pixels = cn_array_count(p->array) / p->channels;
    cn_shape flat = cn_shape_of(pixels, p->channels), one = cn_shape_of(pixels, 1);
    cn_array *mean = cn_array_new(CN_FLOAT32, &one);
    if (!mean)
        return cn_error_status();
    cn_status status = cn_reduce_f32(CN_MEAN, &flat, 2, cn_array_const_floats(p->array),
                                     cn_array_floats(mean), NULL);
    cn_array_free(p->array);
    p->array = mean;
    p->channels = 1;
    return status;
}

/* The mean over `rows` x `columns` pixels of an image of that `width`; `to` holds zeros. */
static void mean_pixel(const float *from, int64_t width, int64_t rows, int64_t columns,
                       int64_t channels, float *to)
{
    for (int64_t y = 0; y < rows; y++)
        for (int64_t x = 0; x < columns; x++)
            for (int64_t c = 0; c < channels; c++)
                to[c] += from[(y * width + x) * channels + c];
    for (int64_t c = 0; c < channels; c++)
        to[c] /= (float)(rows * columns);
}

/* `to` has the new extents. A new pixel is the mean of those it takes the place of. */
static void reduce_to(const images *p, images *to)
{
    const float *from = cn_array_const_floats(p->array);
    float *mean = cn_array_floats(to->array);
    int64_t count = cn_array_shape(to->array)->dim[0], channels = p->channels;
    for (int64_t i = 0; i < count; i++, from += p->height * p->width * channels)
        for (int64_t y = 0; y < to->height; y++)
            for (int64_t x = 0; x < to->width; x++, mean += channels) {
                int64_t top = y * p->height / to->height, left = x * p->width / to->width;
                int64_t bottom = (y + 1) * p->height / to->height;
                int64_t right = (x + 1) * p->width / to->width;
                mean_pixel(from + (top * p->width + left) * channels, p->width, bottom - top,
                           right - left, channels, mean);
            }
}

/* Images whose longer side is more than `most` pixels are reduced to that. What cannot be drawn at
 * all is left for the grid to refuse. */
static cn_status reduce(images *p, int64_t most)
{
    int64_t side = cn__max(p->height, p->width);
    if (side <= most || side > INT32_MAX)
        return CN_OK;
    images to = {.height = cn__max(1, p->height * most / side),
                 .width = cn__max(1, p->width * most / side),
                 .channels = p->channels};
    int64_t pixels = p->height * p->width;
    cn_shape shape = cn_shape_of(cn_array_count(p->array) / (pixels * p->channels), to.height,
                                 to.width, to.channels);
    to.array = cn_array_new(CN_FLOAT32, &shape);
    if (!to.array)
        return cn_error_status();
    reduce_to(p, &to);
    cn_array_free(p->array);
    *p = to;
    return CN_OK;
}

static bool has_negative(const cn_array *array)
{
    const float *value = cn_array_const_floats(array);
    for (int64_t i = 0; i < cn_array_count(array); i++)
        if (value[i] < 0)
            return true;
    return false;
}

/* The greatest absolute value of a tile. */
static float greatest(const cn__tile *tile)
{
    float high = 0;
    for (int64_t y = 0; y < tile->height; y++)
        for (int64_t x = 0; x < tile->width; x++) {
            float value = fabsf(tile->values[y * tile->row + x * tile->pixel]);
            high = value > high ? value : high;
        }
    return high;
}

static cn__tile map_tile(const images *maps, int64_t filter, bool is_signed)
{
    cn__tile tile = cn__tile_of_map(cn_array_const_floats(maps->array), maps->height, maps->width,
                                    maps->channels, filter);
    tile.scaling = is_signed ? CN__SYMMETRIC : CN__FIXED;
    tile.colours = is_signed ? CN__SIGNED : CN__GREY;
    tile.high = greatest(&tile);
    return tile;
}

enum { BINS = 4096 };

/* The absolute value that 1 in 100 of the values other than 0 exceed, so that a few sparks do not
 * darken the rest. */
static float usual_limit(const float *value, int64_t count)
{
    float most = 0;
    int64_t bins[BINS] = {0}, above = 0, all = 0;
    for (int64_t i = 0; i < count; i++)
        if (isfinite(value[i]))
            most = fmaxf(most, fabsf(value[i]));
    for (int64_t i = 0; i < count; i++)
        if (isfinite(value[i]) && value[i] != 0) {
            int64_t bin = (int64_t)(fabsf(value[i]) / most * BINS);
            bins[bin < BINS ? bin : BINS - 1]++;
            all++;
        }
    int bin = BINS - 1;
    while (bin > 0 && above + bins[bin] <= all / 100)
        above += bins[bin--];
    return most * (float)(bin + 1) / BINS;
}

static cn__tile projection_tile(const images *p, int64_t index)
{
    int64_t count = p->height * p->width * p->channels;
    const float *values = cn_array_const_floats(p->array) + index * count;
    float limit = usual_limit(values, count);
    return (cn__tile){.values = values,
                      .height = p->height,
                      .width = p->width,
                      .channels = (int)p->channels,
                      .scaling = limit > 0 ? CN__FIXED : CN__SYMMETRIC,
                      .low = -limit,
                      .high = limit};
}

static cn_array *draw(const images *maps, const images *projections, const int64_t *filters,
                      int64_t count, const cn_maps_picture_options *o)
{
    cn__cell *cells = cn__calloc((size_t)count, sizeof *cells);
    bool is_signed = has_negative(maps->array);
    for (int64_t i = 0; cells && i < count; i++) {
        int64_t filter = filters ? filters[i] : i;
        cn__tile tile = map_tile(maps, filter, is_signed);
        (void)snprintf(cells[i].label, sizeof cells[i].label, "#%" PRId64 " %.2g", filter,
                       (double)tile.high);
        cells[i].tile[cells[i].tiles++] = tile;
        if (projections->array)
            cells[i].tile[cells[i].tiles++] = projection_tile(projections, i);
    }
    cn__grid grid = {.title = o->title,
                     .caption = o->caption,
                     .count = count,
                     .cells = cells,
                     .columns = o->columns,
                     .tile_pixels = o->tile_pixels};
    cn_array *picture = cells ? cn__picture_grid(&grid) : NULL;
    cn__free(cells);
    return picture;
}

static cn_status check_filters(const images *maps, const int64_t *filters, int64_t count)
{
    for (int64_t i = 0; filters && i < count; i++)
        if (filters[i] < 0 || filters[i] >= maps->channels)
            return cn__fail(CN_ERROR_ARGUMENT,
                            "cn_maps_picture: there is no filter %" PRId64
                            "; the filters are 0 to %" PRId64,
                            filters[i], maps->channels - 1);
    return CN_OK;
}

static cn_status prepare(const cn_array *array, const int64_t *filters, int64_t count,
                         const cn_maps_picture_options *o, images *maps, images *projections)
{
    char text[200];
    CN__TRY(read_images("maps", array, o->data_format, maps));
    if (cn_array_shape(array)->dim[0] != 1)
        return cn__fail(CN_ERROR_SHAPE,
                        "cn_maps_picture: the maps must be those of one image, (1, ...), not %s",
                        cn_shape_text(cn_array_shape(array), text, sizeof text));
    CN__TRY(check_filters(maps, filters, count));
    int64_t most =
        cn__grid_tile_limit(cn__max(count, 1) * (o->projections ? 2 : 1), o->tile_pixels);
    CN__TRY(reduce(maps, most));
    if (!o->projections)
        return CN_OK;
    CN__TRY(read_images("projections", o->projections, o->data_format, projections));
    if (cn_array_shape(o->projections)->dim[0] != count)
        return cn__fail(CN_ERROR_SHAPE,
                        "cn_maps_picture: %" PRId64 " filters need as many projections, but they "
                        "are %s",
                        count, cn_shape_text(cn_array_shape(o->projections), text, sizeof text));
    CN__TRY(mix_channels(projections));
    return reduce(projections, most);
}

cn_array *cn_maps_picture(const cn_array *array, const int64_t *filters, int64_t count,
                          const cn_maps_picture_options *options)
{
    cn_maps_picture_options o = {0};
    images maps = {0}, projections = {0};
    cn_array *picture = NULL;
    if (options)
        o = *options;
    if (!filters)
        count = cn_maps_count(array, o.data_format);
    if (prepare(array, filters, count, &o, &maps, &projections) == CN_OK)
        picture = draw(&maps, &projections, filters, cn__max(count, 0), &o);
    cn_array_free(maps.array);
    cn_array_free(projections.array);
    return picture;
}
