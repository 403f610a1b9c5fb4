/* The data set of drawn shapes. Every picture is a background, a figure whose coverage of each
 * pixel comes from its signed distance to the figure's edge, a gradient of light, and noise. */
#include "cornu/datasets.h"

#include "base/base.h"

#include <inttypes.h>
#include <math.h>

#define PI 3.141592653589793

enum { SMALLEST_SIZE = 8, LARGEST_SIZE = 1024 };

/* A figure in its own coordinates: of about radius 1 around the origin, or without end (textures).
 * `detail` is random in 0 to 1. The result is the distance to the edge, negative inside. */
typedef double figure(double x, double y, double detail);

static double disk(double x, double y, double detail)
{
    (void)detail;
    return hypot(x, y) - 0.95;
}

static double ring(double x, double y, double detail)
{
    double half_width = 0.14 + 0.1 * detail;
    return fabs(hypot(x, y) - (1 - half_width)) - half_width;
}

static double box(double x, double y, double half_width, double half_height)
{
    return fmax(fabs(x) - half_width, fabs(y) - half_height);
}

static double square(double x, double y, double detail)
{
    (void)detail;
    return box(x, y, 0.8, 0.8);
}

/* Three half-planes at distance 1/2 from the centre. */
static double triangle(double x, double y, double detail)
{
    (void)detail;
    double slope = sqrt(3) / 2;
    return fmax(-y, fmax(slope * x + y / 2, -slope * x + y / 2)) - 0.55;
}

static double cross(double x, double y, double detail)
{
    double arm = 0.2 + 0.12 * detail;
    return fmin(box(x, y, 1, arm), box(x, y, arm, 1));
}

/* Folded into one tenth of the star: the distance to the line from a point to an inner corner. */
static double star(double x, double y, double detail)
{
    double inner = 0.4 + 0.1 * detail, half = PI / 5;
    double angle = fabs(remainder(atan2(y, x), 2 * half)), radius = hypot(x, y);
    double corner_x = inner * cos(half), corner_y = inner * sin(half);
    double length = hypot(corner_x - 1, corner_y);
    double px = radius * cos(angle) - 1, py = radius * sin(angle);
    return (px * corner_y - py * (corner_x - 1)) / length;
}

/* The distance to the nearest edge of stripes of width 1, the first inside. */
static double stripes(double x)
{
    return 0.5 - fabs(remainder(x, 2));
}

static double horizontal_stripes(double x, double y, double detail)
{
    (void)x;
    return stripes(y * 3) / 3 + 0.05 * (detail - 0.5);
}

static double vertical_stripes(double x, double y, double detail)
{
    return horizontal_stripes(y, x, detail);
}

static double checkerboard(double x, double y, double detail)
{
    (void)detail;
    double a = stripes(x * 2.2) / 2.2, b = stripes(y * 2.2) / 2.2;
    double distance = fmin(fabs(a), fabs(b));
    return (a < 0) == (b < 0) ? -distance : distance;
}

static double dots(double x, double y, double detail)
{
    double pitch = 0.62;
    return hypot(remainder(x, pitch), remainder(y, pitch)) - (0.15 + 0.06 * detail);
}

static const struct class
{
    const char *name;
    figure *distance;
    double turn; /* the figure is turned by up to this either way */
    bool endless;
} classes[] = {
    {"disk", disk, 0, false},
    {"ring", ring, 0, false},
    {"square", square, PI / 4, false},
    {"triangle", triangle, PI, false},
    {"cross", cross, PI / 4, false},
    {"star", star, PI, false},
    {"horizontal stripes", horizontal_stripes, PI / 10, true},
    {"vertical stripes", vertical_stripes, PI / 10, true},
    {"checkerboard", checkerboard, PI / 4, true},
    {"dots", dots, PI / 4, true},
};

const char *cn_drawn_shape_name(int label)
{
    return label >= 0 && (size_t)label < CN__COUNT(classes) ? classes[label].name : NULL;
}

/* What is random in a picture. Lengths are in pixels. */
typedef struct scene {
    double figure[3], ground[3];
    double x, y, radius; /* the figure's centre and size */
    double turn_x, turn_y;
    double detail, softness;
    double light_x, light_y; /* change of brightness from edge to edge */
    double noise;
} scene;

static double between(cn__random *random, double low, double high)
{
    return low + (high - low) * cn__random_uniform(random);
}

/* Two colours that differ enough to be told apart, though not always by their brightness. */
static void choose_colours(cn__random *random, scene *s)
{
    double difference = 0;
    while (difference < 0.45) {
        difference = 0;
        for (int c = 0; c < 3; c++) {
            s->figure[c] = between(random, 0.05, 0.95);
            s->ground[c] = between(random, 0.05, 0.95);
            difference += (s->figure[c] - s->ground[c]) * (s->figure[c] - s->ground[c]);
        }
        difference = sqrt(difference);
    }
}

static scene choose_scene(cn__random *random, const struct class *class, double size)
{
    scene s = {.radius = size * between(random, 0.22, 0.42)};
    choose_colours(random, &s);
    double room = class->endless ? size / 2 : size / 2 - 0.9 * s.radius;
    s.x = size / 2 + between(random, -room, room);
    s.y = size / 2 + between(random, -room, room);
    double turn = between(random, -class->turn, class->turn);
    s.turn_x = cos(turn);
    s.turn_y = sin(turn);
    s.detail = cn__random_uniform(random);
    s.softness = between(random, 0.8, 1.8);
    s.light_x = between(random, -0.25, 0.25);
    s.light_y = between(random, -0.25, 0.25);
    s.noise = between(random, 0.01, 0.08);
    return s;
}

/* How much of the pixel around (x, y) the figure covers. */
static double coverage(const scene *s, figure *distance, double x, double y)
{
    double u = (x - s->x) / s->radius, v = (y - s->y) / s->radius;
    double d = distance(s->turn_x * u + s->turn_y * v, s->turn_x * v - s->turn_y * u, s->detail);
    return fmin(fmax(0.5 - d * s->radius / s->softness, 0), 1);
}

static void draw(cn__random *random, const struct class *class, int64_t size, float *pixel)
{
    scene s = choose_scene(random, class, (double)size);
    for (int64_t row = 0; row < size; row++)
        for (int64_t column = 0; column < size; column++, pixel += 3) {
            double x = (double)column + 0.5, y = (double)row + 0.5;
            double share = coverage(&s, class->distance, x, y);
            double light =
                1 + s.light_x * (x / (double)size - 0.5) + s.light_y * (y / (double)size - 0.5);
            for (int c = 0; c < 3; c++) {
                double value = s.ground[c] + share * (s.figure[c] - s.ground[c]);
                value = value * light + s.noise * cn__random_normal(random);
                pixel[c] = (float)fmin(fmax(value, 0), 1);
            }
        }
}

static cn_status new_arrays(int64_t count, int64_t size, cn_array **images, cn_array **labels)
{
    cn_shape images_shape = cn_shape_of(count, size, size, 3), labels_shape = cn_shape_of(count);
    *images = cn_array_new(CN_FLOAT32, &images_shape);
    *labels = *images ? cn_array_new(CN_INT32, &labels_shape) : NULL;
    if (*labels)
        return CN_OK;
    cn_array_free(*images);
    *images = NULL;
    return cn_error_status();
}

static cn_status check(const char *where, int64_t count, int64_t size)
{
    if (count < 0 || size < SMALLEST_SIZE || size > LARGEST_SIZE)
        return cn__fail(CN_ERROR_ARGUMENT,
                        "%s: the count must not be negative and the size must be from %d to %d, "
                        "but received %" PRId64 " and %" PRId64,
                        where, SMALLEST_SIZE, LARGEST_SIZE, count, size);
    return CN_OK;
}

/* Picture `index` of the seed. */
static void draw_one(uint64_t seed, int64_t index, int64_t size, float *image, int32_t *label)
{
    /* a stretch of the seed's numbers for each picture, longer than any picture needs */
    cn__random random = {.seed = seed, .counter = (uint64_t)index << 32};
    *label = (int32_t)(cn__random_uniform(&random) * (double)CN__COUNT(classes));
    draw(&random, &classes[*label], size, image);
}

cn_status cn_drawn_shapes(uint64_t seed, int64_t count, int64_t size, cn_array **images,
                          cn_array **labels)
{
    if (!images || !labels)
        return cn__fail_null_argument("cn_drawn_shapes");
    *images = *labels = NULL;
    CN__TRY(check("cn_drawn_shapes", count, size));
    CN__TRY(new_arrays(count, size, images, labels));
    float *pixels = cn_array_floats(*images);
    int32_t *label = cn_array_ints(*labels);
    for (int64_t i = 0; i < count; i++)
        draw_one(seed, i, size, pixels + i * size * size * 3, &label[i]);
    return CN_OK;
}

/* ---- drawn as they are read ---- */

typedef struct drawn {
    uint64_t seed;
    int64_t size;
} drawn;

static cn_status read_drawn(void *context, int64_t index, uint64_t draw_number, void *const *fields)
{
    (void)draw_number;
    const drawn *d = context;
    draw_one(d->seed, index, d->size, fields[0], fields[1]);
    return CN_OK;
}

cn_dataset *cn_drawn_shapes_dataset(uint64_t seed, int64_t count, int64_t size)
{
    if (check("cn_drawn_shapes_dataset", count, size) != CN_OK)
        return NULL;
    drawn *d = cn__alloc(sizeof *d);
    if (!d)
        return NULL;
    *d = (drawn){seed, size};
    cn_dataset_source source = {.count = count,
                                .inputs = 1,
                                .targets = 1,
                                .dtypes = {CN_FLOAT32, CN_INT32},
                                .shapes = {cn_shape_of(size, size, 3)},
                                .read = read_drawn,
                                .release = cn__free,
                                .context = d,
                                .slow = true};
    return cn_dataset_new(&source);
}
