/* Pictures of arrays: a canvas of RGB values 0 to 255 in a float32 array (height, width, 3), tiles
 * of maps in colours, labels, and grids of them. Coordinates are (row y, column x) in pixels from
 * the upper left; whatever lies outside a canvas is not drawn. */
#ifndef CORNU_SRC_PICTURE_H
#define CORNU_SRC_PICTURE_H

#include "cornu/base.h"

/* ---- letters (font.c) ---- */

enum { CN__FONT_WIDTH = 5, CN__FONT_HEIGHT = 8, CN__FONT_GLYPHS = 95, CN__FONT_ADVANCE = 6 };
extern const uint8_t cn__font[CN__FONT_GLYPHS][CN__FONT_HEIGHT];

/* ---- canvas ---- */

typedef struct cn__rgb {
    float r, g, b;
} cn__rgb;

/* A canvas filled with white. */
cn_array *cn__canvas_new(int64_t height, int64_t width);
void cn__canvas_fill(cn_array *picture, int64_t y, int64_t x, int64_t height, int64_t width,
                     cn__rgb colour);
/* Draws `text` in one line, CN__FONT_ADVANCE * zoom pixels a letter; letters that are not ASCII are
 * drawn as '?'. Letters that do not end before `x_limit` are left out. */
void cn__canvas_text(cn_array *picture, int64_t y, int64_t x, int64_t x_limit, const char *text,
                     int zoom, cn__rgb colour);

/* ---- tiles (tile.c) ---- */

typedef enum cn__scaling {
    CN__MIN_MAX = 0, /* the tile's least value is 0, its greatest 1 */
    CN__SYMMETRIC,   /* 0 is 1/2, the greatest absolute value 0 or 1 */
    CN__FIXED        /* `low` is 0, `high` is 1 */
} cn__scaling;

typedef enum cn__colours {
    CN__GREY = 0,
    CN__SIGNED, /* blue, white, red: for CN__SYMMETRIC */
    CN__HEAT    /* dark blue to light yellow, ever lighter: for class activation maps */
} cn__colours;

/* What to draw: `values` lent, element (y, x, c) at y * row + x * pixel + c, so that one map of a
 * channels-last array is drawn where it lies (pixel = its channels). Three channels are RGB, the
 * colours count for one channel. NaN is drawn magenta. */
typedef struct cn__tile {
    const float *values;
    int64_t height, width;
    int64_t pixel, row; /* 0: `channels` and width * pixel */
    int channels;       /* 1 or 3; 0 means 1 */
    cn__scaling scaling;
    float low, high;
    cn__colours colours;
} cn__tile;

/* The tile of map `channel` of one image (height, width, channels). */
cn__tile cn__tile_of_map(const float *values, int64_t height, int64_t width, int64_t channels,
                         int64_t channel);

cn__rgb cn__colour(cn__colours colours, float share);
/* Draws the tile with every value as a square of zoom x zoom pixels. */
void cn__canvas_tile(cn_array *picture, int64_t y, int64_t x, const cn__tile *tile, int64_t zoom);
/* A copy of `image` (height, width, 3) under the colours CN__HEAT of `heat` (height, width; 0 to
 * 1), which cover `strength` of it. */
cn_array *cn__picture_overlay(const cn_array *image, const float *heat, float strength);

/* ---- grids (grid.c) ---- */

enum { CN__CELL_TILES = 4, CN__LABEL_SIZE = 64 };

/* One place of a grid: tiles side by side under a label, such as a feature map and its projection.
 */
typedef struct cn__cell {
    char label[CN__LABEL_SIZE];
    int tiles;
    cn__tile tile[CN__CELL_TILES];
} cn__cell;

typedef struct cn__grid {
    const char *title;   /* NULL: none */
    const char *caption; /* a line below the title, NULL: none */
    int64_t count;
    const cn__cell *cells;
    int64_t columns;     /* 0: the picture is near square */
    int64_t tile_pixels; /* tiles are enlarged by whole factors up to this; 0: by their number */
} cn__grid;

/* How long the longer side of a tile may be: `tile_pixels`, or for 0 what makes `tiles` of them a
 * picture of about 1200 pixels on a side. Larger tiles are drawn as they are: who makes them
 * reduces them. */
int64_t cn__grid_tile_limit(int64_t tiles, int64_t tile_pixels);

/* Draws the cells row by row. NULL if there is none, or if the picture would have more than 2^28
 * pixels. */
cn_array *cn__picture_grid(const cn__grid *grid);

#endif
