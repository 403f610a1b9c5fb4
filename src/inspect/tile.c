/* Arrays in colours: normalisation, colour maps, overlays. */
#include "inspect/picture.h"

#include "base/base.h"

#include <math.h>

/* ---- colour maps: points at equal distances, straight lines between them ---- */

enum { MOST_POINTS = 6 };

static const struct {
    int points;
    cn__rgb point[MOST_POINTS];
} colour_maps[] = {
    [CN__GREY] = {2, {{0, 0, 0}, {255, 255, 255}}},
    [CN__SIGNED] = {5,
                    {{5, 48, 128}, {80, 145, 215}, {250, 250, 250}, {232, 110, 80}, {140, 5, 30}}},
    [CN__HEAT] = {6,
                  {{10, 8, 50},
                   {80, 20, 120},
                   {165, 40, 110},
                   {230, 85, 65},
                   {250, 165, 50},
                   {255, 245, 170}}},
};

static float mix(float a, float b, float share)
{
    return a + share * (b - a);
}

cn__rgb cn__colour(cn__colours colours, float share)
{
    if (isnan(share))
        return (cn__rgb){255, 0, 255};
    int last = colour_maps[colours].points - 1;
    float place = fminf(fmaxf(share, 0), 1) * (float)last;
    int index = place < (float)last ? (int)place : last - 1;
    const cn__rgb *a = &colour_maps[colours].point[index], *b = a + 1;
    float part = place - (float)index;
    return (cn__rgb){mix(a->r, b->r, part), mix(a->g, b->g, part), mix(a->b, b->b, part)};
}

/* ---- tiles ---- */

cn__tile cn__tile_of_map(const float *values, int64_t height, int64_t width, int64_t channels,
                         int64_t channel)
{
    return (cn__tile){.values = values + channel,
                      .height = height,
                      .width = width,
                      .pixel = channels,
                      .row = width * channels,
                      .channels = 1};
}

static cn__tile with_defaults(cn__tile tile)
{
    tile.channels = tile.channels ? tile.channels : 1;
    tile.pixel = tile.pixel ? tile.pixel : tile.channels;
    tile.row = tile.row ? tile.row : tile.width * tile.pixel;
    return tile;
}

/* The finite values' range; 0 to 0 if there is none. */
static void find_range(const cn__tile *tile, float *low, float *high)
{
    *low = INFINITY;
    *high = -INFINITY;
    for (int64_t y = 0; y < tile->height; y++)
        for (int64_t x = 0; x < tile->width; x++)
            for (int c = 0; c < tile->channels; c++) {
                float value = tile->values[y * tile->row + x * tile->pixel + c];
                if (!isfinite(value))
                    continue;
                *low = fminf(*low, value);
                *high = fmaxf(*high, value);
            }
    if (*low > *high)
        *low = *high = 0;
}

/* share = (value - zero) * factor; in double, where no range of floats overflows. */
typedef struct scale {
    double zero, factor;
} scale;

static scale scale_of(const cn__tile *tile)
{
    float low = tile->low, high = tile->high;
    if (tile->scaling != CN__FIXED)
        find_range(tile, &low, &high);
    if (tile->scaling == CN__SYMMETRIC) {
        high = fmaxf(fabsf(low), fabsf(high));
        low = -high;
    }
    double zero = (double)low, width = (double)high - zero;
    if (width > 0)
        return (scale){zero, 1 / width};
    /* nothing to tell apart: white in CN__SIGNED, else black */
    if (tile->scaling == CN__SYMMETRIC)
        return (scale){-0.5, 1};
    return (scale){zero, 0};
}

static cn__rgb colour_at(const cn__tile *tile, scale s, const float *value)
{
    float share[3];
    for (int c = 0; c < tile->channels; c++)
        share[c] = (float)(((double)value[c] - s.zero) * s.factor);
    if (tile->channels == 1)
        return cn__colour(tile->colours, share[0]);
    bool missing = isnan(share[0]) || isnan(share[1]) || isnan(share[2]);
    return missing ? cn__colour(CN__GREY, NAN)
                   : (cn__rgb){cn__colour(CN__GREY, share[0]).r, cn__colour(CN__GREY, share[1]).g,
                               cn__colour(CN__GREY, share[2]).b};
}

void cn__canvas_tile(cn_array *picture, int64_t y, int64_t x, const cn__tile *given, int64_t zoom)
{
    cn__tile tile = with_defaults(*given);
    scale s = scale_of(&tile);
    for (int64_t row = 0; row < tile.height; row++)
        for (int64_t column = 0; column < tile.width; column++)
            cn__canvas_fill(
                picture, y + row * zoom, x + column * zoom, zoom, zoom,
                colour_at(&tile, s, tile.values + row * tile.row + column * tile.pixel));
}

cn_array *cn__picture_overlay(const cn_array *image, const float *heat, float strength)
{
    cn_array *overlay = cn_array_copy(image);
    if (!overlay)
        return NULL;
    float *pixel = cn_array_floats(overlay);
    for (int64_t i = 0; i < cn_array_count(overlay) / 3; i++, pixel += 3) {
        cn__rgb colour = cn__colour(CN__HEAT, heat[i]);
        pixel[0] = mix(pixel[0], colour.r, strength);
        pixel[1] = mix(pixel[1], colour.g, strength);
        pixel[2] = mix(pixel[2], colour.b, strength);
    }
    return overlay;
}
