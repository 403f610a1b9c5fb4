/* Keras' initializers. Formulas: keras/src/initializers/random_initializers.py and
 * constant_initializers.py. */
#include "layers/layer.h"

#include <math.h>
#include <string.h>

/* What an initializer works on. */
typedef struct filling {
    const cn__expression *e;
    cn__random *random;
    const cn_shape *shape;
    int64_t count;
    float *values;
} filling;

/* ---- constants ---- */

static void fill(const filling *f, double value)
{
    for (int64_t i = 0; i < f->count; i++)
        f->values[i] = (float)value;
}

static cn_status zeros(const filling *f)
{
    fill(f, 0);
    return CN_OK;
}

static cn_status ones(const filling *f)
{
    fill(f, 1);
    return CN_OK;
}

static cn_status constant(const filling *f)
{
    fill(f, cn__expression_number(f->e, "value", 0));
    return CN_OK;
}

static cn_status identity(const filling *f)
{
    char text[200];
    if (f->shape->rank != 2)
        return cn__fail(CN_ERROR_SHAPE, "identity makes matrices, not %s",
                        cn_shape_text(f->shape, text, sizeof text));
    double gain = cn__expression_number(f->e, "gain", 1);
    int64_t columns = f->shape->dim[1];
    for (int64_t i = 0; i < f->count; i++)
        f->values[i] = i / columns == i % columns ? (float)gain : 0;
    return CN_OK;
}

/* ---- distributions ---- */

static void fill_uniform(const filling *f, double low, double high)
{
    for (int64_t i = 0; i < f->count; i++)
        f->values[i] = (float)(low + (high - low) * cn__random_uniform(f->random));
}

static void fill_normal(const filling *f, double mean, double deviation)
{
    for (int64_t i = 0; i < f->count; i++)
        f->values[i] = (float)(mean + deviation * cn__random_normal(f->random));
}

/* Draws again what lies more than two deviations away. */
static void fill_truncated(const filling *f, double mean, double deviation)
{
    for (int64_t i = 0; i < f->count; i++) {
        double number;
        do
            number = cn__random_normal(f->random);
        while (fabs(number) > 2);
        f->values[i] = (float)(mean + deviation * number);
    }
}

static cn_status random_uniform(const filling *f)
{
    double scale = cn__expression_number(f->e, "scale", 0.05); /* Keras 1 */
    fill_uniform(f, cn__expression_number(f->e, "minval", -scale),
                 cn__expression_number(f->e, "maxval", scale));
    return CN_OK;
}

static cn_status random_normal(const filling *f)
{
    fill_normal(f, cn__expression_number(f->e, "mean", 0),
                cn__expression_number(f->e, "stddev|scale", 0.05));
    return CN_OK;
}

static cn_status truncated_normal(const filling *f)
{
    fill_truncated(f, cn__expression_number(f->e, "mean", 0),
                   cn__expression_number(f->e, "stddev", 0.05));
    return CN_OK;
}

/* ---- scaled by the number of inputs and outputs ---- */

/* The last two axes are inputs and outputs; the others, a kernel's extents, count for both. */
static void fans(const cn_shape *shape, double *in, double *out)
{
    int rank = shape->rank;
    double receptive = 1;
    for (int i = 0; i < rank - 2; i++)
        receptive *= (double)shape->dim[i];
    *in = rank == 0 ? 1 : (double)shape->dim[rank > 1 ? rank - 2 : 0] * receptive;
    *out = rank == 0 ? 1 : (double)shape->dim[rank - 1] * receptive;
}

/* By the names that Keras has for them. */
typedef enum mode { fan_in, fan_out, fan_avg } mode;
typedef enum distribution { truncated, untruncated, uniform } distribution;

static cn_status scaled(const filling *f, double scale, mode by, distribution how)
{
    double in, out;
    fans(f->shape, &in, &out);
    double fan = by == fan_in ? in : by == fan_out ? out : (in + out) / 2;
    double variance = scale / fmax(1, fan);
    if (how == uniform)
        fill_uniform(f, -sqrt(3 * variance), sqrt(3 * variance));
    else if (how == untruncated)
        fill_normal(f, 0, sqrt(variance));
    else /* the deviation of a normal distribution cut at two deviations is this much smaller */
        fill_truncated(f, 0, sqrt(variance) / 0.87962566103423978);
    return CN_OK;
}

static cn_status variance_scaling(const filling *f)
{
    const char *by = cn__expression_text(f->e, "mode", "fan_in");
    const char *how = cn__expression_text(f->e, "distribution", "truncated_normal");
    int mode_number = cn__list_index("fan_in|fan_out|fan_avg", by);
    int distribution_number =
        strcmp(how, "normal") == 0
            ? (int)truncated
            : cn__list_index("truncated_normal|untruncated_normal|uniform", how);
    double scale = cn__expression_number(f->e, "scale", 1);
    if (mode_number < 0 || distribution_number < 0 || !(scale > 0))
        return cn__fail(
            CN_ERROR_ARGUMENT,
            "VarianceScaling takes a scale above 0, a mode of fan_in, fan_out or fan_avg "
            "and a distribution of truncated_normal, untruncated_normal or uniform, not "
            "%g, %s, %s",
            scale, by, how);
    return scaled(f, scale, (mode)mode_number, (distribution)distribution_number);
}

static cn_status glorot_uniform(const filling *f)
{
    return scaled(f, 1, fan_avg, uniform);
}

static cn_status glorot_normal(const filling *f)
{
    return scaled(f, 1, fan_avg, truncated);
}

static cn_status he_uniform(const filling *f)
{
    return scaled(f, 2, fan_in, uniform);
}

static cn_status he_normal(const filling *f)
{
    return scaled(f, 2, fan_in, truncated);
}

static cn_status lecun_uniform(const filling *f)
{
    return scaled(f, 1, fan_in, uniform);
}

static cn_status lecun_normal(const filling *f)
{
    return scaled(f, 1, fan_in, truncated);
}

/* ---- orthogonal ---- */

/* Makes row `k` of the matrix orthogonal to the rows above it and of length 1. Done twice, for the
 * first pass leaves rounding errors where rows are nearly parallel. */
static void orthonormalise(double *matrix, int64_t k, int64_t length)
{
    double *row = matrix + k * length;
    for (int pass = 0; pass < 2; pass++) {
        for (int64_t j = 0; j < k; j++) {
            const double *other = matrix + j * length;
            double product = 0;
            for (int64_t i = 0; i < length; i++)
                product += row[i] * other[i];
            for (int64_t i = 0; i < length; i++)
                row[i] -= product * other[i];
        }
        double square = 0;
        for (int64_t i = 0; i < length; i++)
            square += row[i] * row[i];
        for (int64_t i = 0; i < length; i++)
            row[i] /= sqrt(square);
    }
}

/* The longer side of (product of the first axes, last axis) gives the length of the vectors. */
static cn_status orthogonal(const filling *f)
{
    if (f->shape->rank < 2 || f->count == 0)
        return cn__fail(CN_ERROR_SHAPE, "orthogonal makes weights of at least two axes");
    double gain = cn__expression_number(f->e, "gain", 1);
    int64_t columns = f->shape->dim[f->shape->rank - 1], rows = f->count / columns;
    int64_t length = cn__max(rows, columns), vectors = cn__min(rows, columns);
    double *matrix = cn__calloc((size_t)f->count, sizeof(double));
    if (!matrix)
        return CN_ERROR_MEMORY;
    for (int64_t i = 0; i < f->count; i++)
        matrix[i] = cn__random_normal(f->random);
    for (int64_t k = 0; k < vectors; k++)
        orthonormalise(matrix, k, length);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < columns; c++)
            f->values[r * columns + c] =
                (float)(gain * (rows >= columns ? matrix[c * length + r] : matrix[r * length + c]));
    cn__free(matrix);
    return CN_OK;
}

/* ---- for the kernels (extents..., out, in) of transposed convolutions ---- */

static cn_status check_transposed_kernel(const filling *f, bool fits, const char *rule)
{
    char text[200];
    if (f->shape->rank >= 3 && f->count > 0 && fits)
        return CN_OK;
    return cn__fail(CN_ERROR_SHAPE,
                    "%s makes kernels (extents..., out, in) of transposed convolutions %s, not %s",
                    f->e->name, rule, cn_shape_text(f->shape, text, sizeof text));
}

/* How much of a pixel reaches the tap at `place` of `size` taps. */
static double hat(int64_t place, int64_t size)
{
    double factor = (double)((size + 1) / 2);
    double centre = size % 2 == 1 ? factor - 1 : factor - 0.5;
    return 1 - fabs((double)place - centre) / factor;
}

/* Every channel is enlarged for itself, by bilinear interpolation: after Long, Shelhamer and
 * Darrell, arXiv 1411.4038. A stride of s goes with extents of 2 s - s mod 2. */
static cn_status bilinear(const filling *f)
{
    int rank = f->shape->rank;
    const int64_t *dim = f->shape->dim;
    CN__TRY(check_transposed_kernel(f, rank >= 3 && dim[rank - 2] == dim[rank - 1],
                                    "with as many channels out as in"));
    int64_t channels = dim[rank - 1];
    for (int64_t i = 0; i < f->count; i++) {
        double value = i / channels % channels == i % channels;
        int64_t place = i / (channels * channels);
        for (int axis = rank - 3; axis >= 0; axis--) {
            value *= hat(place % dim[axis], dim[axis]);
            place /= dim[axis];
        }
        f->values[i] = (float)value;
    }
    return CN_OK;
}

/* After Aitken et al., arXiv 1707.02937, for a transposed convolution of stride `scale`: the taps
 * that share an output phase are a kernel `scale` times smaller, the same one for every phase. What
 * comes out is then constant over blocks of `scale` pixels and has no checkerboard. */
static cn_status icnr(const filling *f)
{
    double scale = cn__expression_number(f->e, "scale", 2);
    int rank = f->shape->rank;
    bool fits = scale >= 1 && scale == floor(scale) && scale < 0x1p31;
    cn_shape small = *f->shape;
    for (int i = 0; i < rank - 2 && fits; i++) {
        fits = small.dim[i] % (int64_t)scale == 0;
        small.dim[i] /= (int64_t)scale;
    }
    CN__TRY(check_transposed_kernel(f, fits, "whose extents are multiples of its scale"));
    cn_array *kernel = cn_array_new(CN_FLOAT32, &small);
    const char *inner = cn__expression_text(f->e, "initializer", "he_normal");
    cn_status status = kernel ? cn__initialize(inner, f->random, kernel) : CN_ERROR_MEMORY;
    int64_t row = small.dim[rank - 1] * small.dim[rank - 2];
    for (int64_t tap = 0; tap < f->count / row && status == CN_OK; tap++) {
        int64_t place = tap, from = 0, stride = 1;
        for (int i = rank - 3; i >= 0; i--) {
            from += place % f->shape->dim[i] / (int64_t)scale * stride;
            place /= f->shape->dim[i];
            stride *= small.dim[i];
        }
        memcpy(f->values + tap * row, cn_array_const_floats(kernel) + from * row,
               (size_t)row * sizeof(float));
    }
    cn_array_free(kernel);
    return status;
}

/* ---- the table ---- */

#define ICNR_NAMES "icnr|ICNR"

static const struct initializer {
    const char *names;
    const char *keys;
    cn_status (*fill)(const filling *f);
} initializers[] = {
    {"zeros|Zeros|zero", NULL, zeros},
    {"ones|Ones|one", NULL, ones},
    {"constant|Constant", "value", constant},
    {"identity|Identity|IdentityInitializer", "gain", identity},
    {"random_uniform|RandomUniform|uniform", "minval|maxval|scale", random_uniform},
    {"random_normal|RandomNormal|normal", "mean|stddev|scale", random_normal},
    {"truncated_normal|TruncatedNormal", "mean|stddev", truncated_normal},
    {"variance_scaling|VarianceScaling", "scale|mode|distribution", variance_scaling},
    {"glorot_uniform|GlorotUniform", NULL, glorot_uniform},
    {"glorot_normal|GlorotNormal", NULL, glorot_normal},
    {"he_uniform|HeUniform", NULL, he_uniform},
    {"he_normal|HeNormal", NULL, he_normal},
    {"lecun_uniform|LecunUniform", NULL, lecun_uniform},
    {"lecun_normal|LecunNormal", NULL, lecun_normal},
    {"orthogonal|Orthogonal|OrthogonalInitializer", "gain", orthogonal},
    {"bilinear|Bilinear", NULL, bilinear},
    {ICNR_NAMES, "scale|initializer", icnr},
};

static const struct initializer *find(const cn__expression *e)
{
    const struct initializer *row = NULL;
    for (size_t i = 0; i < CN__COUNT(initializers) && !row; i++)
        if (cn__list_index(initializers[i].names, e->name) >= 0)
            row = &initializers[i];
    if (!row)
        return cn__fail_null(CN_ERROR_ARGUMENT,
                             "there is no initializer \"%s\"; the names are Keras', such as "
                             "\"glorot_uniform\", \"zeros\" or \"RandomNormal(stddev=0.02)\"",
                             e->name);
    for (int i = 0; i < e->count; i++) {
        const char *key = e->arguments[i].key;
        if (cn__list_index("seed|dtype|input_axes|output_axes", key) < 0 &&
            cn__list_index(row->keys, key) < 0)
            return cn__fail_null(CN_ERROR_ARGUMENT, "the initializer %s has no argument \"%s\"",
                                 e->name, key);
    }
    return row;
}

/* What ICNR fills its kernels with must be an initializer, but not ICNR again. */
static const struct initializer *find_with_inner(cn__arena *arena, const cn__expression *e)
{
    const struct initializer *row = find(e);
    const char *text = cn__expression_text(e, "initializer", NULL);
    if (!row || !text)
        return row;
    cn__expression inner;
    if (cn__expression_parse(arena, text, &inner) != CN_OK || !find(&inner))
        return NULL;
    if (cn__list_index(ICNR_NAMES, inner.name) >= 0)
        return cn__fail_null(CN_ERROR_ARGUMENT, "%s takes another initializer, not %s", e->name,
                             text);
    return row;
}

bool cn__initializer_known(const char *initializer)
{
    cn__arena *arena = cn__arena_new();
    cn__expression e;
    bool known = arena && cn__expression_parse(arena, initializer, &e) == CN_OK &&
                 find_with_inner(arena, &e) != NULL;
    cn__arena_free(arena);
    return known;
}

static cn_status initialize(cn__arena *arena, const char *text, cn__random *random, cn_array *array)
{
    cn__expression e;
    CN__TRY(cn__expression_parse(arena, text, &e));
    const struct initializer *row = find_with_inner(arena, &e);
    if (!row)
        return CN_ERROR_ARGUMENT;
    double seed = cn__expression_number(&e, "seed", -1);
    cn__random own = {.seed = seed >= 0 && seed < 0x1p63 ? (uint64_t)seed : 0};
    filling f = {.e = &e,
                 .random = seed >= 0 ? &own : random,
                 .shape = cn_array_shape(array),
                 .count = cn_array_count(array),
                 .values = cn_array_floats(array)};
    return row->fill(&f);
}

cn_status cn__initialize(const char *initializer, cn__random *random, cn_array *array)
{
    if (!initializer || !array || !cn_array_floats(array))
        return cn__fail_null_argument("cn__initialize");
    cn__arena *arena = cn__arena_new();
    if (!arena)
        return CN_ERROR_MEMORY;
    cn_status status = initialize(arena, initializer, random, array);
    cn__arena_free(arena);
    return status;
}
