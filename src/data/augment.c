/* Augmentation: flip, turn, zoom and shift are one affine map, so that a picture is sampled once.
 */
#include "data/data.h"

#include <math.h>
#include <string.h>

#define RADIANS (3.141592653589793 / 180)

/* ---- the map ---- */

/* Where the pixel (column, row) of the new picture comes from: at (xx * column + xy * row + x, ...)
 * of the old one. Pixel centres are whole numbers here. */
typedef struct affine {
    double xx, xy, x, yx, yy, y;
} affine;

/* Quarter turns are exact. */
static void sine_and_cosine(double degrees, double *sine, double *cosine)
{
    static const double signs[4][2] = {{0, 1}, {1, 0}, {0, -1}, {-1, 0}};
    double quarters = nearbyint(degrees / 90);
    const double *quarter = signs[(int)quarters & 3];
    double s = sin((degrees - 90 * quarters) * RADIANS);
    double c = cos((degrees - 90 * quarters) * RADIANS);
    *sine = s * quarter[1] + c * quarter[0];
    *cosine = c * quarter[1] - s * quarter[0];
}

/* The motion backwards. */
static affine affine_of(const cn__motion *motion, int64_t height, int64_t width)
{
    double s, c;
    sine_and_cosine(motion->degrees, &s, &c);
    double across = (motion->horizontal_flip ? -1 : 1) / motion->zoom;
    double down = (motion->vertical_flip ? -1 : 1) / motion->zoom;
    affine a = {.xx = c * across, .xy = s * across, .yx = -s * down, .yy = c * down};
    double centre_x = (double)(width - 1) / 2, centre_y = (double)(height - 1) / 2;
    double from_x = centre_x + motion->x, from_y = centre_y + motion->y;
    a.x = centre_x - a.xx * from_x - a.xy * from_y;
    a.y = centre_y - a.yx * from_x - a.yy * from_y;
    return a;
}

static double clamp(double value, double low, double high)
{
    return fmin(fmax(value, low), high);
}

/* ---- sampling ---- */

/* A place on one axis: between pixel `first` and pixel `second`. */
typedef struct place {
    int64_t first, second;
    float share; /* of the second */
} place;

static place place_of(double at, int64_t extent)
{
    at = clamp(at, 0, (double)(extent - 1));
    int64_t first = (int64_t)at;
    float share = (float)(at - (double)first);
    return (place){first, first + (share > 0), share};
}

/* Exactly `a` for a share of 0, also if `b` is not finite. */
static float mix(float a, float b, float share)
{
    return share == 0 ? a : (1 - share) * a + share * b;
}

static void sample(place x, place y, int64_t width, int64_t channels, const float *from, float *to)
{
    const float *a = from + (y.first * width + x.first) * channels;
    const float *b = from + (y.first * width + x.second) * channels;
    const float *c = from + (y.second * width + x.first) * channels;
    const float *d = from + (y.second * width + x.second) * channels;
    for (int64_t i = 0; i < channels; i++)
        to[i] = mix(mix(a[i], b[i], x.share), mix(c[i], d[i], x.share), y.share);
}

void cn__move_picture(const cn__motion *motion, const cn_shape *shape, const float *from, float *to)
{
    int64_t height = shape->dim[0], width = shape->dim[1], channels = shape->dim[2];
    affine a = affine_of(motion, height, width);
    for (int64_t row = 0; row < height; row++)
        for (int64_t column = 0; column < width; column++, to += channels) {
            double x = a.xx * (double)column + a.xy * (double)row + a.x;
            double y = a.yx * (double)column + a.yy * (double)row + a.y;
            sample(place_of(x, width), place_of(y, height), width, channels, from, to);
        }
}

static int64_t nearest(double at, int64_t extent)
{
    return (int64_t)clamp(floor(at + 0.5), 0, (double)(extent - 1));
}

void cn__move_labels(const cn__motion *motion, const cn_shape *shape, const void *from, void *to)
{
    int64_t height = shape->dim[0], width = shape->dim[1];
    size_t bytes = (size_t)(shape->rank == 3 ? shape->dim[2] : 1) * sizeof(int32_t);
    affine a = affine_of(motion, height, width);
    char *out = to;
    for (int64_t row = 0; row < height; row++)
        for (int64_t column = 0; column < width; column++, out += bytes) {
            double x = a.xx * (double)column + a.xy * (double)row + a.x;
            double y = a.yx * (double)column + a.yy * (double)row + a.y;
            int64_t pixel = nearest(y, height) * width + nearest(x, width);
            memcpy(out, (const char *)from + (size_t)pixel * bytes, bytes);
        }
}

/* ---- the data set ---- */

typedef struct augmented {
    cn_dataset *dataset;
    cn_augment_options options;
    cn_shape picture;
    bool moves[CN_MOST_FIELDS]; /* targets that move along */
    size_t scratch;             /* bytes of the largest field that moves */
} augmented;

static double either_way(cn__random *random, float most)
{
    return (double)most * (2 * cn__random_uniform(random) - 1);
}

/* All numbers are drawn whatever the options: one option changes nothing of the others. */
static cn__motion choose_motion(const augmented *a, cn__random *random)
{
    const cn_augment_options *o = &a->options;
    cn__motion m;
    m.horizontal_flip = cn__random_uniform(random) < 0.5 && o->horizontal_flip;
    m.vertical_flip = cn__random_uniform(random) < 0.5 && o->vertical_flip;
    m.x = either_way(random, o->shift) * (double)a->picture.dim[1];
    m.y = either_way(random, o->shift) * (double)a->picture.dim[0];
    m.degrees = either_way(random, o->rotation);
    m.zoom = 1 + either_way(random, o->zoom);
    return m;
}

static bool moves(const cn__motion *m)
{
    return m->horizontal_flip || m->vertical_flip || m->x != 0 || m->y != 0 || m->degrees != 0 ||
           m->zoom != 1;
}

static size_t bytes_of(const cn_shape *shape)
{
    return (size_t)cn_shape_count(shape) * sizeof(float);
}

static cn_status move_fields(const augmented *a, const cn__motion *motion, void *const *fields)
{
    void *scratch = cn__alloc(a->scratch);
    if (!scratch)
        return CN_ERROR_MEMORY;
    memcpy(scratch, fields[0], bytes_of(&a->picture));
    cn__move_picture(motion, &a->picture, scratch, fields[0]);
    for (int i = 1; i < CN_MOST_FIELDS; i++) {
        if (!a->moves[i])
            continue;
        const cn_shape *shape = cn_dataset_shape(a->dataset, i);
        memcpy(scratch, fields[i], bytes_of(shape));
        cn__move_labels(motion, shape, scratch, fields[i]);
    }
    cn__free(scratch);
    return CN_OK;
}

static void brighten(const augmented *a, double by, float *picture)
{
    int64_t count = cn_shape_count(&a->picture);
    for (int64_t i = 0; i < count; i++)
        picture[i] = fminf(fmaxf(picture[i] + (float)by, 0), a->options.range);
}

static cn_status read_augmented(void *context, int64_t index, uint64_t draw, void *const *fields)
{
    const augmented *a = context;
    CN__TRY(cn_dataset_read(a->dataset, index, draw, fields));
    cn__random random = {.seed = cn__draw(a->options.seed, 0, (int64_t)draw)};
    cn__motion motion = choose_motion(a, &random);
    if (moves(&motion))
        CN__TRY(move_fields(a, &motion, fields));
    if (a->options.brightness > 0)
        brighten(a, either_way(&random, a->options.brightness) * (double)a->options.range,
                 fields[0]);
    return CN_OK;
}

static void release(void *context)
{
    augmented *a = context;
    cn_dataset_free(a->dataset);
    cn__free(a);
}

/* ---- making it ---- */

static cn_status check_part(const char *name, float value, bool legal, const char *rule)
{
    if (legal)
        return CN_OK;
    return cn__fail(CN_ERROR_ARGUMENT, "cn_augment: %s must be %s, not %g", name, rule,
                    (double)value);
}

static bool within(float value, float most)
{
    return value >= 0 && value <= most; /* not so for NaN */
}

static cn_status check_options(const cn_augment_options *o)
{
    CN__TRY(check_part("shift", o->shift, within(o->shift, 1),
                       "from 0 to 1, a part of width and height"));
    CN__TRY(
        check_part("rotation", o->rotation, within(o->rotation, 180), "from 0 to 180, in degrees"));
    CN__TRY(check_part("zoom", o->zoom, within(o->zoom, 1) && o->zoom < 1,
                       "from 0 to less than 1: factors are from 1 - zoom to 1 + zoom"));
    CN__TRY(check_part("brightness", o->brightness, within(o->brightness, 1),
                       "from 0 to 1, a part of the range"));
    return check_part("range", o->range, o->range > 0 && isfinite(o->range),
                      "positive: the largest value of a pixel, such as 1 or 255");
}

static cn_status check_picture(const cn_dataset *dataset)
{
    const cn_shape *shape = cn_dataset_shape(dataset, 0);
    if (cn_dataset_dtype(dataset, 0) == CN_FLOAT32 && shape->rank == 3 && cn_shape_count(shape) > 0)
        return CN_OK;
    char text[200];
    return cn__fail(CN_ERROR_SHAPE,
                    "cn_augment: field 0 must be a float32 picture (height, width, channels), not "
                    "%s %s",
                    cn_dataset_dtype(dataset, 0) == CN_FLOAT32 ? "float32" : "int32",
                    cn_shape_text(shape, text, sizeof text));
}

/* Finds the targets that move along. */
static cn_status choose_targets(augmented *a)
{
    bool found = false;
    int fields = cn_dataset_inputs(a->dataset) + cn_dataset_targets(a->dataset);
    for (int i = cn_dataset_inputs(a->dataset); i < fields; i++) {
        const cn_shape *shape = cn_dataset_shape(a->dataset, i);
        a->moves[i] = (shape->rank == 2 || shape->rank == 3) &&
                      shape->dim[0] == a->picture.dim[0] && shape->dim[1] == a->picture.dim[1];
        found = found || a->moves[i];
        if (a->moves[i] && bytes_of(shape) > a->scratch)
            a->scratch = bytes_of(shape);
    }
    char text[200];
    return found ? CN_OK
                 : cn__fail(CN_ERROR_SHAPE,
                            "cn_augment: targets_too needs a target of the height and width of "
                            "field 0, %s; there is none",
                            cn_shape_text(&a->picture, text, sizeof text));
}

static cn_status prepare(augmented *a, const cn_augment_options *options)
{
    CN__TRY(cn__take_options("cn_augment", &a->options, sizeof a->options, options));
    if (a->options.range == 0)
        a->options.range = 1;
    CN__TRY(check_options(&a->options));
    CN__TRY(check_picture(a->dataset));
    a->picture = *cn_dataset_shape(a->dataset, 0);
    a->scratch = bytes_of(&a->picture);
    return a->options.targets_too ? choose_targets(a) : CN_OK;
}

cn_dataset *cn_dataset_augment(cn_dataset *dataset, const cn_augment_options *options)
{
    if (!dataset)
        return (void)cn__fail_null_argument("cn_augment"), NULL;
    augmented *a = cn__calloc(1, sizeof *a);
    if (!a)
        return cn_dataset_free(dataset), NULL;
    a->dataset = dataset;
    if (prepare(a, options) != CN_OK)
        return release(a), NULL;
    cn_dataset_source source = {.count = cn_dataset_count(dataset),
                                .inputs = cn_dataset_inputs(dataset),
                                .targets = cn_dataset_targets(dataset),
                                .read = read_augmented,
                                .release = release,
                                .context = a,
                                .slow = true};
    for (int i = 0; i < source.inputs + source.targets; i++) {
        source.dtypes[i] = cn_dataset_dtype(dataset, i);
        source.shapes[i] = *cn_dataset_shape(dataset, i);
    }
    return cn_dataset_new(&source);
}
