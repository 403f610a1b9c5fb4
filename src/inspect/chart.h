/* Charts: curves over 1, 2, 3 ..., in panels one above the other that share the horizontal axis. */
#ifndef CORNU_SRC_CHART_H
#define CORNU_SRC_CHART_H

#include "inspect/picture.h"

typedef struct cn__curve {
    const char *label;
    const double *values; /* one for each point; what is not finite is a gap */
    bool dashed;
} cn__curve;

typedef struct cn__panel {
    int count; /* at least one curve */
    const cn__curve *curves;
} cn__panel;

typedef struct cn__chart {
    int64_t width, height;
    int64_t points; /* of every curve, at least one */
    const char *x_title;
    int panel_count;
    const cn__panel *panels;
} cn__chart;

enum { CN__MOST_PANELS = 4 };

/* Draws the chart. The curves of a panel have colours that are told apart with any kind of colour
 * blindness; the legend above it tells their latest values, too. */
cn_array *cn__chart_draw(const cn__chart *chart);

#endif
