/* Draws the shares of the FMA peak of a comparison: bench_chart RESULTS.tsv CHART.png
 *
 * A bar for Cornu and one for the best peer (by the median) for each row, in the order of the file.
 */
#include "inspect/picture.h"

#include <cornu/cornu.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    most_rows = 1000,
    zoom = 2,
    line_height = CN__FONT_HEIGHT * zoom + 2,
    row_height = 2 * line_height + 8,
    margin = 16,
    bars_from = 40 * CN__FONT_ADVANCE * zoom, /* the name, pass and threads stand before */
    peak_width = 320,                         /* of a share of 1; the widest bar has most_share */
    letters_behind = 44 * CN__FONT_ADVANCE * zoom
};

static const double most_share = 3.2;

typedef struct contender {
    char name[48];
    double median, share;
} contender;

typedef struct row {
    char label[96];
    contender cornu, peer;
} row;

/* The row of that label, or a new one behind the last. NULL if there are too many. */
static row *row_of(row *rows, int *count, const char *label)
{
    for (int i = *count - 1; i >= 0; i--)
        if (strcmp(rows[i].label, label) == 0)
            return &rows[i];
    if (*count == most_rows)
        return NULL;
    snprintf(rows[*count].label, sizeof rows->label, "%s", label);
    return &rows[(*count)++];
}

/* name pass threads isa contender median_ms ... share_of_peak, with tabs between */
static void read_line(char *line, row *rows, int *count)
{
    char label[96], name[64], pass[16], threads[16], isa[16];
    contender c = {0};
    const char *share = strrchr(line, '\t');
    if (line[0] == '#' || share == NULL ||
        sscanf(line, "%63[^\t]\t%15[^\t]\t%15[^\t]\t%15[^\t]\t%47[^\t]\t%lf", name, pass, threads,
               isa, c.name, &c.median) != 6)
        return;
    c.share = atof(share);
    bool lowered = strcmp(isa, "best") != 0;
    snprintf(label, sizeof label, "%.24s %s x%s%s%s", name, pass, threads, lowered ? " " : "",
             lowered ? isa : "");
    row *r = row_of(rows, count, label);
    bool own = strcmp(c.name, "cornu") == 0;
    contender *place = r == NULL ? NULL : own ? &r->cornu : &r->peer;
    if (place != NULL && (place->name[0] == '\0' || c.median < place->median))
        *place = c;
}

static void draw_bar(cn_array *picture, int64_t y, const contender *c, cn__rgb colour)
{
    const cn__rgb black = {0, 0, 0};
    char text[96];
    if (c->name[0] == '\0')
        return;
    double share = c->share < most_share ? c->share : most_share;
    int64_t width = (int64_t)(share * peak_width + 0.5);
    cn__canvas_fill(picture, y, bars_from, line_height - 2, width, colour);
    snprintf(text, sizeof text, "%.0f%% %s", 100 * c->share, c->name);
    cn__canvas_text(picture, y, bars_from + width + 6, INT64_MAX, text, zoom, black);
}

static cn_array *draw(const row *rows, int count)
{
    const cn__rgb black = {0, 0, 0}, grey = {160, 160, 160}, blue = {0, 114, 178},
                  orange = {230, 159, 0};
    int64_t width = bars_from + (int64_t)(most_share * peak_width) + letters_behind;
    int64_t top = margin + 2 * line_height, height = top + count * row_height + margin;
    cn_array *picture = cn__canvas_new(height, width);
    if (picture == NULL)
        return NULL;
    cn__canvas_text(picture, margin, margin, width,
                    "Share of the FMA peak, counting useful multiplications only (line: 100%)",
                    zoom, black);
    for (int i = 0; i < count; i++) {
        int64_t y = top + i * row_height;
        cn__canvas_text(picture, y + line_height / 2, margin, bars_from, rows[i].label, zoom,
                        black);
        draw_bar(picture, y, &rows[i].cornu, blue);
        draw_bar(picture, y + line_height, &rows[i].peer, orange);
    }
    cn__canvas_fill(picture, top, bars_from + peak_width, count * row_height, 1, grey);
    return picture;
}

int main(int arguments, char **argument)
{
    if (arguments != 3) {
        fprintf(stderr, "usage: bench_chart RESULTS.tsv CHART.png\n");
        return 2;
    }
    FILE *file = fopen(argument[1], "r");
    if (file == NULL) {
        fprintf(stderr, "bench_chart: cannot open %s\n", argument[1]);
        return 1;
    }
    static row rows[most_rows];
    static char line[1024];
    int count = 0;
    while (fgets(line, sizeof line, file) != NULL)
        read_line(line, rows, &count);
    fclose(file);
    cn_array *picture = draw(rows, count);
    bool written = picture != NULL && cn_image_write(argument[2], picture) == CN_OK;
    if (!written)
        fprintf(stderr, "bench_chart: %s\n", cn_error_message());
    cn_array_free(picture);
    return written ? 0 : 1;
}
