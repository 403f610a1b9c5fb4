/* Draws the roofline of a comparison: bench_roofline RESULTS.tsv PICTURE.png
 *
 * Each operation is a point: across, the useful FLOP for each byte of its input, output and kernel;
 * upwards, the GFLOP/s of Cornu (blue) and of the best peer (orange). Both axes are logarithmic.
 * The roof is the FMA peak and, on the left, what the memory's speed, measured here by copying,
 * allows. Points above it have their data in a cache, or do fewer multiplications than are counted.
 * Only the rows with the most threads are drawn. */
#include "inspect/picture.h"

#include <cornu/cornu.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { most_points = 2000, width = 1200, height = 800, left = 90, bottom = 60, top = 50, zoom = 2 };

static const cn__rgb black = {0, 0, 0}, grey = {170, 170, 170}, blue = {0, 114, 178},
                     orange = {230, 159, 0};

/* The ends of the axes, as powers of 2. */
static const double x_least = -2, x_most = 10, y_least = 1, y_most = 11;

typedef struct point {
    double intensity, speed, median;
    int threads;
    bool own;
    char row[80];
} point;

typedef struct results {
    point points[most_points];
    int count, threads;
    double peak;
} results;

/* name pass threads isa contender median best gflops peak packed scratch algorithm kind bytes share
 */
static bool read_line(char *line, point *p, double *peak)
{
    enum { columns = 15 };
    char *column[columns], *rest = line;
    for (int i = 0; i < columns; i++)
        if ((column[i] = strsep(&rest, "\t\n")) == NULL)
            return false;
    double bytes = atof(column[13]);
    if (line[0] == '#' || strcmp(column[3], "best") != 0 || bytes <= 0)
        return false;
    *p = (point){.threads = atoi(column[2]),
                 .own = strcmp(column[4], "cornu") == 0,
                 .median = atof(column[5]),
                 .speed = atof(column[7])};
    p->intensity = p->speed * 1e9 * atof(column[6]) * 1e-3 / bytes;
    *peak = atof(column[8]);
    snprintf(p->row, sizeof p->row, "%.60s %.15s", column[0], column[1]);
    return true;
}

/* Of the peers of a row the fastest stays. */
static void keep(results *r, const point *p)
{
    for (int i = 0; i < r->count; i++) {
        point *other = &r->points[i];
        if (other->own || p->own || strcmp(other->row, p->row) != 0 || other->threads != p->threads)
            continue;
        if (p->median < other->median)
            *other = *p;
        return;
    }
    if (r->count < most_points)
        r->points[r->count++] = *p;
}

static void read_results(FILE *file, results *r)
{
    char line[1024];
    point p;
    double peak;
    while (fgets(line, sizeof line, file) != NULL) {
        if (!read_line(line, &p, &peak))
            continue;
        keep(r, &p);
        if (p.threads > r->threads) {
            r->threads = p.threads;
            r->peak = 0;
        }
        if (p.threads == r->threads && peak > r->peak)
            r->peak = peak;
    }
}

/* Bytes read and written in a second by copying between two blocks far larger than any cache, one
 * thread. */
static double copy_speed(void)
{
    const size_t bytes = (size_t)256 << 20;
    char *from = malloc(bytes), *to = malloc(bytes);
    double best = 0;
    for (int i = 0; from != NULL && to != NULL && i < 4; i++) {
        struct timespec a, b;
        memset(from, i, bytes);
        clock_gettime(CLOCK_MONOTONIC, &a);
        memcpy(to, from, bytes);
        clock_gettime(CLOCK_MONOTONIC, &b);
        double seconds = (double)(b.tv_sec - a.tv_sec) + 1e-9 * (double)(b.tv_nsec - a.tv_nsec);
        volatile char sink = to[bytes - 1];
        (void)sink;
        best = fmax(best, 2 * (double)bytes / seconds);
    }
    free(from);
    free(to);
    return best;
}

static int64_t x_of(double intensity)
{
    double share = (log2(intensity) - x_least) / (x_most - x_least);
    return left + (int64_t)(fmin(fmax(share, 0), 1) * (width - left - 20));
}

static int64_t y_of(double speed)
{
    double share = (log2(speed) - y_least) / (y_most - y_least);
    return height - bottom - (int64_t)(fmin(fmax(share, 0), 1) * (height - bottom - top));
}

static void draw_axes(cn_array *picture)
{
    char text[32];
    for (double x = x_least; x <= x_most; x++) {
        cn__canvas_fill(picture, top, x_of(exp2(x)), height - bottom - top, 1, grey);
        snprintf(text, sizeof text, "%g", exp2(x));
        cn__canvas_text(picture, height - bottom + 6, x_of(exp2(x)) - 8, width, text, zoom, black);
    }
    for (double y = y_least; y <= y_most; y++) {
        cn__canvas_fill(picture, y_of(exp2(y)), left, 1, width - left - 20, grey);
        snprintf(text, sizeof text, "%g", exp2(y));
        cn__canvas_text(picture, y_of(exp2(y)) - 8, 10, left, text, zoom, black);
    }
    cn__canvas_text(picture, height - 26, left, width, "useful FLOP for each byte", zoom, black);
}

static void draw_roof(cn_array *picture, double peak, double memory)
{
    for (int64_t x = left; x < width - 20; x++) {
        double power = x_least + (x_most - x_least) * (double)(x - left) / (width - left - 20);
        double roof = fmin(peak, 1e-9 * memory * exp2(power));
        cn__canvas_fill(picture, y_of(roof), x, 3, 1, black);
    }
}

static void draw_points(cn_array *picture, const results *r, bool own, cn__rgb colour)
{
    enum { size = 8 };
    for (int i = 0; i < r->count; i++) {
        const point *p = &r->points[i];
        if (p->threads == r->threads && p->own == own)
            cn__canvas_fill(picture, y_of(p->speed) - size / 2, x_of(p->intensity) - size / 2, size,
                            size, colour);
    }
}

static cn_array *draw(const results *r)
{
    cn_array *picture = cn__canvas_new(height, width);
    if (picture == NULL)
        return NULL;
    double memory = copy_speed();
    char title[160];
    snprintf(title, sizeof title, "GFLOP/s, %d thread%s: FMA peak %.0f, memory %.0f GB/s",
             r->threads, r->threads > 1 ? "s" : "", r->peak, 1e-9 * memory);
    cn__canvas_text(picture, 12, left, width, title, zoom, black);
    cn__canvas_text(picture, 12, width - 330, width, "Cornu", zoom, blue);
    cn__canvas_text(picture, 12, width - 250, width, "best peer", zoom, orange);
    draw_axes(picture);
    draw_roof(picture, r->peak, memory);
    draw_points(picture, r, false, orange);
    draw_points(picture, r, true, blue);
    return picture;
}

int main(int arguments, char **argument)
{
    if (arguments != 3) {
        fprintf(stderr, "usage: bench_roofline RESULTS.tsv PICTURE.png\n");
        return 2;
    }
    FILE *file = fopen(argument[1], "r");
    if (file == NULL) {
        fprintf(stderr, "bench_roofline: cannot open %s\n", argument[1]);
        return 1;
    }
    static results r;
    read_results(file, &r);
    fclose(file);
    if (r.count == 0) {
        fprintf(stderr, "bench_roofline: there is no operation in %s\n", argument[1]);
        return 1;
    }
    cn_array *picture = draw(&r);
    bool written = picture != NULL && cn_image_write(argument[2], picture) == CN_OK;
    if (!written)
        fprintf(stderr, "bench_roofline: %s\n", cn_error_message());
    cn_array_free(picture);
    return written ? 0 : 1;
}
