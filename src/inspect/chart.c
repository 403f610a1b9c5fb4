/* Charts: axes with round numbers, smooth lines, legends. */
#include "inspect/chart.h"

#include "base/base.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Lengths in pixels, to be multiplied by the zoom. */
enum {
    MARGIN = 8,
    GAP = 4,        /* between a tick's label and the axis */
    PANEL_GAP = 10, /* between panels */
    LEGEND_ROW = 14,
    SAMPLE = 18,    /* the piece of line before a legend's text */
    ENTRY_GAP = 12, /* between a legend's entries */
    INSET = 6,      /* of the first and last point from the plot's sides */
    TICK_DISTANCE = 24,
    DASH = 5,
    DASH_GAP = 3,
    DOT_DISTANCE = 9, /* points further apart than this get a dot each */
    LEAST_PLOT = 24,
    LABEL_SIZE = 32,
    ZOOM_WIDTH = 450, /* a picture twice as large has letters of twice the size, and so on */
    ZOOM_HEIGHT = 300
};

#define MOST_PIXELS ((int64_t)1 << 28)
#define MOST_VALUE 1e30 /* larger numbers are gaps, so that ranges do not overflow */

static const cn__rgb text_colour = {40, 40, 40}, axis_colour = {110, 110, 110},
                     grid_colour = {228, 228, 228};

/* The colours of Okabe and Ito (jfly.uni-koeln.de/color), without the yellow, which is too light
 * for lines on white. */
static const cn__rgb palette[] = {{0, 114, 178}, {213, 94, 0},   {0, 158, 115}, {204, 121, 167},
                                  {230, 159, 0}, {86, 180, 233}, {0, 0, 0}};

/* ---- the vertical axis ---- */

typedef struct axis {
    double low, high, step;
} axis;

/* The smallest of 1, 2, 5, 10, 20 ... that is at least `raw`. */
static double round_step(double raw)
{
    double power = pow(10, floor(log10(raw))), times = raw / power;
    return power * (times <= 1 ? 1 : times <= 2 ? 2 : times <= 5 ? 5 : 10);
}

static bool is_drawn(double value)
{
    return fabs(value) <= MOST_VALUE; /* false for NaN */
}

static axis axis_of(const cn__panel *panel, int64_t points, int64_t pixels, int64_t zoom)
{
    double low = (double)INFINITY, high = -(double)INFINITY;
    for (int i = 0; i < panel->count; i++)
        for (int64_t j = 0; j < points; j++)
            if (is_drawn(panel->curves[i].values[j])) {
                low = fmin(low, panel->curves[i].values[j]);
                high = fmax(high, panel->curves[i].values[j]);
            }
    if (low > high)
        low = high = 0;
    double size = fmax(fabs(low), fabs(high));
    if (high - low <= 1e-9 * size) {
        low -= size > 0 ? 0.1 * size : 1;
        high += size > 0 ? 0.1 * size : 1;
    }
    int64_t intervals = cn__max(2, pixels / (TICK_DISTANCE * zoom));
    axis a = {.step = round_step((high - low) / (double)intervals)};
    a.low = floor(low / a.step + 1e-9);
    a.high = ceil(high / a.step - 1e-9);
    return a;
}

/* Ends of an axis count steps: tick k, from low to high, is the number k * step. */
static void tick_text(const axis *a, double tick, char text[LABEL_SIZE])
{
    double power = floor(log10(a->step) + 1e-9); /* of the step's only digit */
    double most = fmax(fabs(a->low), fabs(a->high)) * a->step;
    if (power >= -4 && most < 1e6)
        (void)snprintf(text, LABEL_SIZE, "%.*f", (int)fmax(0, -power), tick * a->step);
    else
        (void)snprintf(text, LABEL_SIZE, "%.*g", (int)floor(log10(most) - power + 1e-9) + 1,
                       tick * a->step);
}

static int64_t text_width(const char *text, int64_t zoom)
{
    return (int64_t)strlen(text) * CN__FONT_ADVANCE * zoom;
}

static int64_t axis_width(const axis *a, int64_t zoom)
{
    int64_t width = 0;
    char text[LABEL_SIZE];
    for (double tick = a->low; tick <= a->high; tick++) {
        tick_text(a, tick, text);
        width = cn__max(width, text_width(text, zoom));
    }
    return width;
}

/* ---- a panel ---- */

typedef struct plot {
    cn_array *picture;
    cn_array *cover; /* (height, width): how much of each pixel the line at hand covers */
    const cn__panel *panel;
    int64_t points;
    int64_t legend, top, left, bottom, right; /* the plot's; `legend`: the top of the legend */
    int64_t zoom;
    axis y;
} plot;

static double x_of(const plot *p, int64_t point)
{
    double inset = (double)(INSET * p->zoom);
    double share = p->points > 1 ? (double)point / (double)(p->points - 1) : 0.5;
    return (double)p->left + inset + share * ((double)(p->right - p->left) - 2 * inset);
}

static double y_of(const plot *p, double tick)
{
    double share = (tick - p->y.low) / (p->y.high - p->y.low);
    return (double)p->bottom - share * (double)(p->bottom - p->top);
}

static void draw_text(const plot *p, int64_t y, int64_t x, const char *text)
{
    cn__canvas_text(p->picture, y, x, cn_array_shape(p->picture)->dim[1], text, (int)p->zoom,
                    text_colour);
}

static void draw_y_axis(const plot *p)
{
    char text[LABEL_SIZE];
    for (double tick = p->y.low; tick <= p->y.high; tick++) {
        int64_t y = (int64_t)y_of(p, tick);
        cn__canvas_fill(p->picture, y, p->left, 1, p->right - p->left, grid_colour);
        tick_text(&p->y, tick, text);
        draw_text(p, y - 3 * p->zoom, p->left - GAP * p->zoom - text_width(text, p->zoom), text);
    }
}

/* Labels stand in the middle below their ticks. */
static void draw_x_axis(const plot *p, bool labels)
{
    char text[LABEL_SIZE];
    (void)snprintf(text, sizeof text, "%lld", (long long)p->points);
    double room = (double)(p->right - p->left) /
                  (double)(text_width(text, p->zoom) + TICK_DISTANCE * p->zoom);
    int64_t step = (int64_t)fmax(1, round_step((double)p->points / fmax(1, room)));
    for (int64_t number = step; number <= p->points; number += step) {
        int64_t x = (int64_t)x_of(p, number - 1);
        cn__canvas_fill(p->picture, p->top, x, p->bottom - p->top, 1, grid_colour);
        cn__canvas_fill(p->picture, p->bottom, x, 3 * p->zoom, p->zoom, axis_colour);
        (void)snprintf(text, sizeof text, "%lld", (long long)number);
        if (labels)
            draw_text(p, p->bottom + 5 * p->zoom, x - text_width(text, p->zoom) / 2 + p->zoom / 2,
                      text);
    }
    cn__canvas_fill(p->picture, p->bottom, p->left, p->zoom, p->right - p->left, axis_colour);
    cn__canvas_fill(p->picture, p->top, p->left - p->zoom, p->bottom - p->top + p->zoom, p->zoom,
                    axis_colour);
}

/* ---- lines ---- */

typedef struct point {
    double x, y;
} point;

/* Covers the pixels within `radius` of the line from a to b; `begin`, if not negative, is how far
 * along a dashed curve a is. Where pieces of a curve meet, pixels count once: the larger cover. */
static void cover_line(const plot *p, point a, point b, double radius, double begin)
{
    const cn_shape *shape = cn_array_shape(p->cover);
    double dx = b.x - a.x, dy = b.y - a.y, length = hypot(dx, dy), reach = radius + 1;
    double dash = (double)(DASH * p->zoom), period = dash + (double)(DASH_GAP * p->zoom);
    int64_t bottom = cn__min(shape->dim[0] - 1, (int64_t)(fmax(a.y, b.y) + reach));
    int64_t right = cn__min(shape->dim[1] - 1, (int64_t)(fmax(a.x, b.x) + reach));
    for (int64_t y = (int64_t)fmax(0, fmin(a.y, b.y) - reach); y <= bottom; y++)
        for (int64_t x = (int64_t)fmax(0, fmin(a.x, b.x) - reach); x <= right; x++) {
            double px = (double)x + 0.5 - a.x, py = (double)y + 0.5 - a.y;
            double along = length > 0 ? (px * dx + py * dy) / length : 0;
            along = fmin(fmax(along, 0), length);
            double share = length > 0 ? along / length : 0;
            double cover = radius + 0.5 - hypot(px - share * dx, py - share * dy);
            if (begin >= 0) {
                double place = fmod(begin + along, period);
                cover = fmin(cover, fmin(place, dash - place) + 0.5);
            }
            float *to = cn_array_floats(p->cover) + y * shape->dim[1] + x;
            *to = fmaxf(*to, (float)fmin(fmax(cover, 0), 1));
        }
}

/* Paints what is covered in rows `top` to `bottom`, and uncovers it. */
static void paint(const plot *p, int64_t top, int64_t bottom, cn__rgb colour)
{
    int64_t width = cn_array_shape(p->cover)->dim[1];
    float *cover = cn_array_floats(p->cover) + top * width;
    float *pixel = cn_array_floats(p->picture) + top * width * 3;
    for (int64_t i = 0; i < (bottom - top) * width; i++, cover++, pixel += 3) {
        pixel[0] += *cover * (colour.r - pixel[0]);
        pixel[1] += *cover * (colour.g - pixel[1]);
        pixel[2] += *cover * (colour.b - pixel[2]);
        *cover = 0;
    }
}

static double line_radius(const plot *p)
{
    return 0.75 + 0.25 * (double)p->zoom;
}

static void draw_curve(const plot *p, const cn__curve *curve, cn__rgb colour)
{
    double radius = line_radius(p), along = 0;
    double distance = (double)(p->right - p->left) / (double)cn__max(1, p->points - 1);
    bool dots = distance > (double)(DOT_DISTANCE * p->zoom), before = false;
    point last = {0};
    for (int64_t i = 0; i < p->points; i++) {
        bool drawn = is_drawn(curve->values[i]);
        if (drawn) {
            point here = {x_of(p, i), y_of(p, curve->values[i] / p->y.step)};
            bool after = i + 1 < p->points && is_drawn(curve->values[i + 1]);
            if (before)
                cover_line(p, last, here, radius, curve->dashed ? along : -1);
            if (dots || (!before && !after))
                cover_line(p, here, here, radius + 0.75 * (double)p->zoom, -1);
            along += before ? hypot(here.x - last.x, here.y - last.y) : 0;
            last = here;
        }
        before = drawn;
    }
    int64_t reach = (int64_t)radius + 3 * p->zoom;
    paint(p, cn__max(0, p->top - reach),
          cn__min(cn_array_shape(p->cover)->dim[0], p->bottom + reach), colour);
}

/* ---- legends ---- */

static void entry_text(const cn__curve *curve, int64_t points, char *text, size_t size)
{
    int64_t last = points - 1;
    while (last > 0 && !is_drawn(curve->values[last]))
        last--;
    (void)snprintf(text, size, "%.60s %.4g", curve->label, curve->values[last]);
}

/* Goes over a legend's entries line by line, draws those within `rows`, and returns the number of
 * rows. Nothing is drawn for 0 rows. */
static int64_t legend(const plot *p, int64_t rows)
{
    int64_t row = 0, x = p->left, z = p->zoom;
    for (int i = 0; i < p->panel->count; i++) {
        const cn__curve *curve = &p->panel->curves[i];
        char text[100];
        entry_text(curve, p->points, text, sizeof text);
        int64_t width = (SAMPLE + GAP) * z + text_width(text, z);
        if (x > p->left && x + width > p->right) {
            row++;
            x = p->left;
        }
        if (row < rows) {
            int64_t y = p->legend + row * LEGEND_ROW * z;
            double middle = (double)(y + 4 * z);
            cover_line(p, (point){(double)x, middle}, (point){(double)(x + SAMPLE * z), middle},
                       line_radius(p), curve->dashed ? 0 : -1);
            paint(p, y, y + LEGEND_ROW * z, palette[(size_t)i % CN__COUNT(palette)]);
            draw_text(p, y, x + (SAMPLE + GAP) * z, text);
        }
        x += width + ENTRY_GAP * z;
    }
    return row + 1;
}

static void draw_panel(plot *p, bool labels)
{
    draw_y_axis(p);
    draw_x_axis(p, labels);
    /* The first curve lies on top: it is the one that is looked at first. */
    for (int i = p->panel->count; i-- > 0;)
        draw_curve(p, &p->panel->curves[i], palette[(size_t)i % CN__COUNT(palette)]);
    (void)legend(p, (p->top - p->legend) / (LEGEND_ROW * p->zoom));
}

/* ---- the chart ---- */

/* Places the panels: the same plot height for all that is left beside legends and labels. */
static cn_status lay_out(const cn__chart *chart, plot *plots)
{
    int64_t zoom = plots[0].zoom, n = chart->panel_count;
    int64_t below = (5 + CN__FONT_HEIGHT + GAP + CN__FONT_HEIGHT) * zoom;
    int64_t share = (chart->height - 2 * MARGIN * zoom - below - (n - 1) * PANEL_GAP * zoom) / n;
    int64_t left = 0, top = MARGIN * zoom;
    for (int i = 0; i < n; i++) {
        plots[i].y = axis_of(plots[i].panel, chart->points, share, zoom);
        left = cn__max(left, axis_width(&plots[i].y, zoom) + (MARGIN + GAP) * zoom);
    }
    for (int i = 0; i < n; i++) {
        plot *p = &plots[i];
        p->left = left;
        p->right = chart->width - MARGIN * zoom;
        p->legend = top;
        int64_t rows = cn__min(legend(p, 0), share / 2 / (LEGEND_ROW * zoom));
        p->top = top + rows * LEGEND_ROW * zoom + GAP * zoom;
        p->bottom = top + share;
        top = p->bottom + PANEL_GAP * zoom;
        if (p->bottom - p->top < LEAST_PLOT * zoom || p->right - left < LEAST_PLOT * zoom)
            return cn__fail(CN_ERROR_ARGUMENT,
                            "chart: %lld x %lld pixels are too few: 900 x 600 would do",
                            (long long)chart->width, (long long)chart->height);
    }
    return CN_OK;
}

cn_array *cn__chart_draw(const cn__chart *chart)
{
    plot plots[CN__MOST_PANELS] = {0};
    if (chart->width < 1 || chart->height < 1 || chart->height > MOST_PIXELS / chart->width)
        return cn__fail_null(CN_ERROR_ARGUMENT, "chart: %lld x %lld pixels cannot be drawn",
                             (long long)chart->width, (long long)chart->height);
    int64_t zoom = cn__max(1, cn__min(chart->width / ZOOM_WIDTH, chart->height / ZOOM_HEIGHT));
    for (int i = 0; i < chart->panel_count; i++)
        plots[i] = (plot){.panel = &chart->panels[i], .points = chart->points, .zoom = zoom};
    if (lay_out(chart, plots) != CN_OK)
        return NULL;
    cn_shape shape = cn_shape_of(chart->height, chart->width);
    cn_array *picture = cn__canvas_new(chart->height, chart->width);
    cn_array *cover = picture ? cn_array_new(CN_FLOAT32, &shape) : NULL;
    if (!cover) {
        cn_array_free(picture);
        return NULL;
    }
    for (int i = 0; i < chart->panel_count; i++) {
        plots[i].picture = picture;
        plots[i].cover = cover;
        draw_panel(&plots[i], i + 1 == chart->panel_count);
    }
    const plot *last = &plots[chart->panel_count - 1];
    draw_text(last, last->bottom + (5 + CN__FONT_HEIGHT + GAP) * zoom,
              (last->left + last->right - text_width(chart->x_title, zoom)) / 2, chart->x_title);
    cn_array_free(cover);
    return picture;
}
