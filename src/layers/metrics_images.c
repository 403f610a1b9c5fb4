/* Structural similarity: Wang, Bovik, Sheikh and Simoncelli, "Image quality assessment: from error
 * visibility to structural similarity", 2004, with TensorFlow's choices (tf.image.ssim): a Gaussian
 * window of 11 x 11 and deviation 1.5 that lies inside the image, and the mean over windows and
 * channels. */
#include <math.h>

#include "layers/metrics_types.h"

enum { window = 11, moments = 5 };

/* Of the two pictures x and y in a window. */
enum { of_x, of_y, of_xx, of_yy, of_xy };

/* One channel of one image of both. */
typedef struct picture {
    const cn__compared *batch;
    int64_t begin, rows, columns, channels; /* the channel's first number; the image's extents */
    double taps[window];
    double c1, c2;
} picture;

static void make_taps(double *taps)
{
    double sum = 0;
    for (int i = 0; i < window; i++) {
        double offset = i - (window - 1) / 2;
        taps[i] = exp(-offset * offset / (2 * 1.5 * 1.5));
        sum += taps[i];
    }
    for (int i = 0; i < window; i++)
        taps[i] /= sum;
}

/* The moments along the columns: `across` receives (rows, columns - 10, moments). */
static void filter_columns(const picture *p, double *across)
{
    for (int64_t r = 0; r < p->rows; r++)
        for (int64_t c = 0; c + window <= p->columns; c++, across += moments) {
            for (int m = 0; m < moments; m++)
                across[m] = 0;
            for (int k = 0; k < window; k++) {
                int64_t i = p->begin + (r * p->columns + c + k) * p->channels;
                double x = (double)p->batch->prediction[i], y = cn__target_at(p->batch, i);
                across[of_x] += p->taps[k] * x;
                across[of_y] += p->taps[k] * y;
                across[of_xx] += p->taps[k] * x * x;
                across[of_yy] += p->taps[k] * y * y;
                across[of_xy] += p->taps[k] * x * y;
            }
        }
}

/* The index of one window, from its moments: likeness of means, times that of variances. */
static double similarity(const picture *p, const double *of)
{
    double xy = of[of_x] * of[of_y], squares = of[of_x] * of[of_x] + of[of_y] * of[of_y];
    double means = (2 * xy + p->c1) / (squares + p->c1);
    return means * (2 * (of[of_xy] - xy) + p->c2) / (of[of_xx] + of[of_yy] - squares + p->c2);
}

/* The mean over all windows. */
static double picture_similarity(const picture *p, double *across)
{
    int64_t rows = p->rows - window + 1, line = (p->columns - window + 1) * moments;
    double sum = 0;
    filter_columns(p, across);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < line; c += moments) {
            double of[moments] = {0};
            for (int k = 0; k < window; k++)
                for (int m = 0; m < moments; m++)
                    of[m] += p->taps[k] * across[(r + k) * line + c + m];
            sum += similarity(p, of);
        }
    return sum / (double)(rows * (line / moments));
}

/* The state is the weighted sum of the images' similarities, and that of the weights. */
cn_status cn__ssim_state(cn__metric *metric, int64_t *count)
{
    (void)metric;
    *count = 2;
    return CN_OK;
}

cn_status cn__ssim_add(cn__metric *metric, const cn__compared *batch)
{
    const cn_shape *shape = &batch->prediction_shape;
    char text[128];
    if (shape->rank != 4 || shape->dim[1] < window || shape->dim[2] < window)
        return cn__fail(CN_ERROR_SHAPE,
                        "%s: images (batch, rows, columns, channels) of at least %d x %d are "
                        "compared, not %s",
                        metric->name, window, window, cn_shape_text(shape, text, sizeof text));
    double l = metric->arguments[0];
    picture p = {.batch = batch,
                 .rows = shape->dim[1],
                 .columns = shape->dim[2],
                 .channels = shape->dim[3],
                 .c1 = 0.01 * l * 0.01 * l,
                 .c2 = 0.03 * l * 0.03 * l};
    make_taps(p.taps);
    size_t needed = (size_t)p.rows * (size_t)(p.columns - window + 1) * moments;
    CN__TRY(cn__grow(&metric->scratch, &metric->scratch_capacity, 0, needed, sizeof(double)));
    for (int64_t s = 0; s < shape->dim[0] && p.channels > 0; s++) {
        double sum = 0;
        for (int64_t c = 0; c < p.channels; c++) {
            p.begin = s * p.rows * p.columns * p.channels + c;
            sum += picture_similarity(&p, metric->scratch);
        }
        metric->state[0] += cn__weight_at(batch, s) * sum / (double)p.channels;
        metric->state[1] += cn__weight_at(batch, s);
    }
    return CN_OK;
}

double cn__ssim_result(const cn__metric *metric)
{
    return cn__quotient(metric->state[0], metric->state[1]);
}
