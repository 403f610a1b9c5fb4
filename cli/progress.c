/* Progress: a bar, lines, or JSON. */
#include "progress.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { BAR_CELLS = 20, MOST_LOGS = 200 };

static const double redraw_seconds = 0.1;

typedef struct progress {
    progress_style style;
    bool colors;
    double begin, drawn; /* seconds: when the epoch began, when the bar was drawn */
    int64_t steps;       /* of the epoch, made in this run */
    int width;           /* of the line on the terminal; 0: none is begun */
    int columns;         /* of the terminal; 0: not known */
} progress;

static double now(void)
{
    struct timespec time;
    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

/* ---- the bar ---- */

typedef struct line {
    char text[4000];
    size_t used;
    int width; /* columns */
} line;

static void CN_PRINTF(2, 3) add(line *l, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(l->text + l->used, sizeof l->text - l->used, format, arguments);
    va_end(arguments);
    size_t room = sizeof l->text - l->used - 1;
    size_t added = length > 0 ? (size_t)length < room ? (size_t)length : room : 0;
    /* of a letter of several bytes those behind the first have no column; nor has a colour */
    for (size_t i = 0; i < added; i++)
        l->width += ((unsigned char)l->text[l->used + i] & 0xC0) != 0x80;
    l->used += added;
}

static void add_color(line *l, bool colors, const char *color)
{
    int width = l->width;
    if (colors)
        add(l, "\033[%sm", color);
    l->width = width;
}

static void add_cells(line *l, bool colors, int done)
{
    add_color(l, colors, "32");
    for (int i = 0; i < done; i++)
        add(l, "━");
    add_color(l, colors, "0");
    add_color(l, colors, "37");
    for (int i = done; i < BAR_CELLS; i++)
        add(l, colors ? "━" : "─");
    add_color(l, colors, "0");
}

/* 2s, 1:05, 1:00:05 */
static void add_time(line *l, double seconds)
{
    long long s = llround(seconds);
    if (s >= 3600)
        add(l, "%lld:%02lld:%02lld", s / 3600, s / 60 % 60, s % 60);
    else if (s >= 60)
        add(l, "%lld:%02lld", s / 60, s % 60);
    else
        add(l, "%llds", s);
}

static void add_step_time(line *l, double seconds)
{
    if (seconds >= 1 || seconds == 0)
        add(l, " %.0fs/step", seconds);
    else if (seconds >= 1e-3)
        add(l, " %.0fms/step", seconds * 1e3);
    else
        add(l, " %.0fus/step", seconds * 1e6);
}

static int by_name(const void *a, const void *b)
{
    const cn_logs *logs[2] = {a, b};
    return strcmp(logs[0]->names[0], logs[1]->names[0]);
}

/* In the order of their names, as Keras 3 prints them; as many as fit, if `columns` is not 0. */
static void add_logs(line *l, cn_logs logs, int columns)
{
    cn_logs sorted[MOST_LOGS];
    int count = logs.count < MOST_LOGS ? logs.count : MOST_LOGS;
    for (int i = 0; i < count; i++)
        sorted[i] = (cn_logs){1, logs.names + i, logs.values + i};
    qsort(sorted, (size_t)count, sizeof *sorted, by_name);
    for (int i = 0; i < count; i++) {
        double value = *sorted[i].values;
        if (columns > 0 && l->width + (int)strlen(*sorted[i].names) + 16 > columns)
            return;
        add(l, fabs(value) > 1e-3 || value == 0 ? " - %s: %.4f" : " - %s: %.4e", *sorted[i].names,
            value);
    }
}

/* Blanks go over what is left of a longer line. */
static void put_line(progress *p, const line *l)
{
    int rest = p->width > l->width ? p->width - l->width : 0;
    (void)fprintf(stderr, "\r%s%*s", l->text, rest, "");
    (void)fflush(stderr);
    p->width = l->width;
}

static void draw_bar(progress *p, const cn_training *t, bool whole)
{
    line l = {.used = 0};
    double seconds = now() - p->begin, step = p->steps > 0 ? seconds / (double)p->steps : 0;
    int64_t done = whole ? t->batches : t->batch + 1;
    int digits = snprintf(NULL, 0, "%" PRId64, t->batches);
    add_color(&l, p->colors, "1");
    add(&l, "%*" PRId64 "/%" PRId64, digits, done, t->batches);
    add_color(&l, p->colors, "0");
    add(&l, " ");
    add_cells(&l, p->colors, (int)(BAR_CELLS * done / (t->batches > 0 ? t->batches : 1)));
    add(&l, " ");
    add_time(&l, whole ? seconds : step * (double)(t->batches - done));
    add_step_time(&l, step);
    /* A line that is drawn over must not go on in the next row. */
    add_logs(&l, t->logs, whole ? 0 : p->columns);
    put_line(p, &l);
    p->drawn = now();
}

/* ---- lines ---- */

static void print_line(const progress *p, const cn_training *t)
{
    (void)fprintf(stderr, "epoch %" PRId64 "/%" PRId64 "  %.1fs", t->epoch + 1, t->epochs,
                  now() - p->begin);
    for (int i = 0; i < t->logs.count; i++)
        (void)fprintf(stderr,
                      fabs(t->logs.values[i]) > 1e-3 || t->logs.values[i] == 0 ? "  %s %.4f"
                                                                               : "  %s %.4e",
                      t->logs.names[i], t->logs.values[i]);
    (void)fputc('\n', stderr);
}

/* Names are those of layers: quotes and backslashes are all that could stand in the way. */
static void print_name(const char *name)
{
    (void)fputc('"', stderr);
    for (; *name; name++) {
        if (*name == '"' || *name == '\\')
            (void)fputc('\\', stderr);
        if ((unsigned char)*name < 0x20)
            (void)fprintf(stderr, "\\u%04x", *name);
        else
            (void)fputc(*name, stderr);
    }
    (void)fputc('"', stderr);
}

static void print_json(const progress *p, const cn_training *t)
{
    (void)fprintf(stderr,
                  "{\"epoch\": %" PRId64 ", \"epochs\": %" PRId64 ", \"seconds\": %.3f, "
                  "\"logs\": {",
                  t->epoch + 1, t->epochs, now() - p->begin);
    for (int i = 0; i < t->logs.count; i++) {
        (void)fprintf(stderr, "%s", i > 0 ? ", " : "");
        print_name(t->logs.names[i]);
        if (isfinite(t->logs.values[i]))
            (void)fprintf(stderr, ": %.9g", t->logs.values[i]);
        else
            (void)fprintf(stderr, ": null");
    }
    (void)fprintf(stderr, "}}\n");
}

/* ---- events ---- */

static void begin_epoch(progress *p, const cn_training *t)
{
    p->begin = now();
    p->drawn = 0;
    p->steps = 0;
    if (p->style == PROGRESS_BAR)
        (void)fprintf(stderr, "Epoch %" PRId64 "/%" PRId64 "\n", t->epoch + 1, t->epochs);
}

static void end_line(progress *p)
{
    if (p->width > 0)
        (void)fputc('\n', stderr);
    p->width = 0;
}

static void end_epoch(progress *p, const cn_training *t)
{
    if (p->style == PROGRESS_BAR)
        draw_bar(p, t, true);
    else if (p->style == PROGRESS_LINE)
        print_line(p, t);
    else if (p->style == PROGRESS_JSON)
        print_json(p, t);
    end_line(p);
}

static cn_status run(void *context, cn_event event, cn_training *training)
{
    progress *p = context;
    if (event == CN_EPOCH_BEGIN)
        begin_epoch(p, training);
    if (event == CN_BATCH_END)
        p->steps++;
    if (event == CN_BATCH_END && p->style == PROGRESS_BAR && now() - p->drawn >= redraw_seconds)
        draw_bar(p, training, false);
    if (event == CN_EPOCH_END)
        end_epoch(p, training);
    if (event == CN_TRAIN_END)
        end_line(p);
    return CN_OK;
}

cn_callback *progress_callback(progress_style style)
{
    const char *no_color = getenv("NO_COLOR"), *terminal = getenv("TERM");
    bool dumb = terminal && strcmp(terminal, "dumb") == 0;
    bool on_terminal = isatty(STDERR_FILENO) == 1 && !dumb;
    progress *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    p->style = style != PROGRESS_AUTO ? style : on_terminal ? PROGRESS_BAR : PROGRESS_LINE;
    struct winsize size;
    if (on_terminal && ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0)
        p->columns = size.ws_col;
    p->colors = on_terminal && !(no_color && *no_color);
    return cn_callback(.run = run, .release = free, .context = p, .name = "progress");
}
