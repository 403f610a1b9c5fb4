/* Grids: labelled cells of tiles in rows and columns. */
#include "inspect/picture.h"

#include "base/base.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum {
    MARGIN = 10,     /* around the grid and between cells */
    TILE_GAP = 3,    /* between the tiles of a cell */
    LABEL_LINE = 11, /* a label and the space below it */
    TITLE_LINE = 22,
    CAPTION_LINE = 14,
    SMALLEST_TILE = 48,   /* of the tile sizes that are chosen by the number of cells */
    LARGEST_TILE = 256,   /* that tiles are enlarged to */
    USUAL_PICTURE = 1200, /* pixels on a side that they aim at */
    LETTERS_OF_LABEL = 8  /* that find room above the smallest tile */
};

#define MOST_PIXELS ((int64_t)1 << 28)

static const cn__rgb black = {0, 0, 0}, dark_grey = {70, 70, 70}, light_grey = {200, 200, 200};

typedef struct layout {
    int64_t columns, rows;
    int64_t tile_pixels;
    int64_t cell_height, cell_width; /* without margins */
    int64_t top;                     /* where the first row of cells begins */
    int64_t height, width;
} layout;

static int64_t zoom_of(const cn__tile *tile, int64_t tile_pixels)
{
    return cn__max(1, tile_pixels / cn__max(tile->height, tile->width));
}

static int64_t cell_width(const cn__cell *cell, int64_t tile_pixels)
{
    int64_t width = 0;
    for (int t = 0; t < cell->tiles; t++)
        width += (t ? TILE_GAP : 0) + cell->tile[t].width * zoom_of(&cell->tile[t], tile_pixels);
    return width;
}

static int64_t cell_height(const cn__cell *cell, int64_t tile_pixels)
{
    int64_t height = 0;
    for (int t = 0; t < cell->tiles; t++)
        height = cn__max(height, cell->tile[t].height * zoom_of(&cell->tile[t], tile_pixels));
    return LABEL_LINE + height;
}

static int64_t longest_side(const cn__grid *grid)
{
    int64_t side = 1;
    for (int64_t i = 0; i < grid->count; i++)
        for (int t = 0; t < grid->cells[i].tiles; t++)
            side =
                cn__max(side, cn__max(grid->cells[i].tile[t].height, grid->cells[i].tile[t].width));
    return side;
}

int64_t cn__grid_tile_limit(int64_t tiles, int64_t tile_pixels)
{
    int64_t share = (int64_t)(USUAL_PICTURE / sqrt((double)tiles)) - MARGIN;
    return tile_pixels > 0 ? tile_pixels : cn__max(share, SMALLEST_TILE);
}

/* A multiple of the longest side, so that maps of different sizes come out alike where they can. */
static int64_t chosen_tile_pixels(const cn__grid *grid)
{
    int64_t tiles = grid->count * cn__max(1, grid->cells[0].tiles), side = longest_side(grid);
    int64_t pixels = cn__grid_tile_limit(tiles, grid->tile_pixels);
    if (grid->tile_pixels <= 0)
        pixels = cn__min(pixels, LARGEST_TILE);
    return side > pixels ? side : pixels / side * side;
}

/* As many columns as make the picture about as wide as high. */
static int64_t near_square(const layout *l, int64_t count)
{
    double area =
        (double)count * (double)(l->cell_height + MARGIN) / (double)(l->cell_width + MARGIN);
    return cn__min(count, cn__max(1, (int64_t)ceil(sqrt(area))));
}

static layout lay_out(const cn__grid *grid)
{
    layout l = {.tile_pixels = chosen_tile_pixels(grid)};
    l.cell_width = LETTERS_OF_LABEL * CN__FONT_ADVANCE;
    for (int64_t i = 0; i < grid->count; i++) {
        l.cell_width = cn__max(l.cell_width, cell_width(&grid->cells[i], l.tile_pixels));
        l.cell_height = cn__max(l.cell_height, cell_height(&grid->cells[i], l.tile_pixels));
    }
    l.columns =
        grid->columns > 0 ? cn__min(grid->columns, grid->count) : near_square(&l, grid->count);
    l.rows = cn__ceil_div(grid->count, l.columns);
    l.top = MARGIN + (grid->title ? TITLE_LINE : 0) + (grid->caption ? CAPTION_LINE : 0);
    l.width = MARGIN + l.columns * (l.cell_width + MARGIN);
    l.height = l.top + l.rows * (l.cell_height + MARGIN);
    return l;
}

/* Room for the title, in letters of twice the size, and the caption. */
static void widen_for_text(const cn__grid *grid, layout *l)
{
    if (grid->title)
        l->width =
            cn__max(l->width, 2 * MARGIN + 2 * CN__FONT_ADVANCE * (int64_t)strlen(grid->title));
    if (grid->caption)
        l->width =
            cn__max(l->width, 2 * MARGIN + CN__FONT_ADVANCE * (int64_t)strlen(grid->caption));
}

static void draw_cell(cn_array *picture, const cn__cell *cell, const layout *l, int64_t y,
                      int64_t x)
{
    cn__canvas_text(picture, y, x, x + l->cell_width + MARGIN / 2, cell->label, 1, dark_grey);
    for (int t = 0; t < cell->tiles; t++) {
        const cn__tile *tile = &cell->tile[t];
        int64_t zoom = zoom_of(tile, l->tile_pixels);
        cn__canvas_fill(picture, y + LABEL_LINE - 1, x - 1, tile->height * zoom + 2,
                        tile->width * zoom + 2, light_grey); /* a frame: tiles may be white */
        cn__canvas_tile(picture, y + LABEL_LINE, x, tile, zoom);
        x += tile->width * zoom + TILE_GAP;
    }
}

static cn_status check_grid(const cn__grid *grid)
{
    if (grid->count < 1)
        return cn__fail(CN_ERROR_ARGUMENT, "picture: there is nothing to draw");
    for (int64_t i = 0; i < grid->count; i++)
        for (int t = 0; t < grid->cells[i].tiles; t++) {
            const cn__tile *tile = &grid->cells[i].tile[t];
            if (tile->height < 1 || tile->width < 1 || tile->height > MOST_PIXELS ||
                tile->width > MOST_PIXELS)
                return cn__fail(CN_ERROR_SHAPE,
                                "picture: a map of %" PRId64 " x %" PRId64 " cannot be drawn",
                                tile->height, tile->width);
        }
    return CN_OK;
}

cn_array *cn__picture_grid(const cn__grid *grid)
{
    if (check_grid(grid) != CN_OK)
        return NULL;
    layout l = lay_out(grid);
    widen_for_text(grid, &l);
    if (l.height > MOST_PIXELS / l.width)
        return cn__fail_null(CN_ERROR_SHAPE,
                             "picture: %" PRId64 " x %" PRId64
                             " pixels are too many: draw fewer maps, or with fewer pixels each",
                             l.height, l.width);
    cn_array *picture = cn__canvas_new(l.height, l.width);
    if (!picture)
        return NULL;
    if (grid->title)
        cn__canvas_text(picture, MARGIN, MARGIN, l.width, grid->title, 2, black);
    if (grid->caption)
        cn__canvas_text(picture, MARGIN + (grid->title ? TITLE_LINE : 0), MARGIN, l.width,
                        grid->caption, 1, dark_grey);
    for (int64_t i = 0; i < grid->count; i++)
        draw_cell(picture, &grid->cells[i], &l, l.top + i / l.columns * (l.cell_height + MARGIN),
                  MARGIN + i % l.columns * (l.cell_width + MARGIN));
    return picture;
}
