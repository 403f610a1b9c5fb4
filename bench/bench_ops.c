/* Times the convolutions of a table of shapes in their three passes, and prints for each: the
 * median and best time, useful GFLOP/s, the share of the FMA peak measured in the same run, and the
 * bytes of packed kernel and scratch.
 *
 *     bench_ops [SHAPES.tsv] [--rows NAME,NAME...] [--threads N] [--seconds S]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "operation.h"

typedef struct settings {
    const char *shapes, *rows;
    int threads;
    double seconds; /* for each row and pass */
    cn_pool *pool;
} settings;

typedef struct shape {
    char name[64];
    bool transposed;
    cn_conv conv;
} shape;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- a row ---- */

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Runs a pass for some time and prints the rest of its row. */
static void time_operation(const settings *s, const operation *o)
{
    enum { most = 2000 };
    static double times[most];
    int count = 0;
    double work = 2 * cn_conv_multiplications(&o->conv, o->transposed);
    double peak = cn_peak_flops(s->pool);
    operation_run(o, s->pool);
    for (double start = now(); count < most && (count < 5 || now() - start < s->seconds);) {
        double before = now();
        operation_run(o, s->pool);
        times[count++] = now() - before;
    }
    double peak_after = cn_peak_flops(s->pool);
    peak = peak_after > peak ? peak_after : peak;
    qsort(times, (size_t)count, sizeof *times, ascending);
    double best = times[0];
    printf("%10.3f %10.3f %9.1f %6.1f%% %11zu %9zu  %s\n", 1e3 * times[count / 2], 1e3 * best,
           1e-9 * work / best, 100 * work / best / peak, cn_conv_plan_packed_bytes(o->plan),
           cn_conv_plan_scratch_bytes(o->plan), cn_conv_plan_algorithm(o->plan));
    fflush(stdout);
}

static void time_shape(const settings *s, const shape *row)
{
    static const char *const labels[] = {"fwd", "bwd_d", "bwd_w"};
    for (int pass = 0; pass < 3; pass++) {
        operation o;
        printf("%-14s %-6s ", row->name, labels[pass]);
        if (!operation_make(&o, &row->conv, row->transposed, (peer_pass)pass, s->pool)) {
            printf("%s\n", cn_error_message());
            continue;
        }
        time_operation(s, &o);
        operation_release(&o);
    }
}

/* ---- the table ---- */

/* name op n ic h w oc kh kw sh sw padding groups; lines from '#' on are comments */
static bool parse_row(const char *line, shape *row)
{
    char op[16], padding[16];
    long n, ic, h, w, oc, kh, kw, sh, sw, groups;
    if (sscanf(line, "%63s %15s %ld %ld %ld %ld %ld %ld %ld %ld %ld %15s %ld", row->name, op, &n,
               &ic, &h, &w, &oc, &kh, &kw, &sh, &sw, padding, &groups) != 13)
        return false;
    row->transposed = strcmp(op, "convT") == 0;
    row->conv = (cn_conv){.rank = 2,
                          .batch = n,
                          .in_channels = ic,
                          .out_channels = oc,
                          .groups = groups,
                          .in = {h, w},
                          .kernel = {kh, kw},
                          .stride = {sh, sw}};
    cn_padding rule = strcmp(padding, "same") == 0 ? CN_SAME : CN_VALID;
    return (row->transposed ? cn_conv_transpose_pad_keras(&row->conv, rule, NULL)
                            : cn_conv_pad_keras(&row->conv, rule)) == CN_OK;
}

static bool wanted(const char *rows, const char *name)
{
    size_t length = strlen(name);
    for (const char *at = rows; at != NULL; at = strchr(at, ','), at += at != NULL)
        if (strncmp(at, name, length) == 0 && (at[length] == ',' || at[length] == '\0'))
            return true;
    return rows == NULL;
}

static int run_table(const settings *s)
{
    char line[512];
    FILE *file = fopen(s->shapes, "r");
    if (file == NULL) {
        fprintf(stderr, "bench_ops: cannot open %s\n", s->shapes);
        return 1;
    }
    printf("%s, %d threads, FMA peak %.1f GFLOP/s\n", cn_isa_name(), s->threads,
           1e-9 * cn_peak_flops(s->pool));
    printf("%-14s %-6s %10s %10s %9s %7s %11s %9s  %s\n", "name", "pass", "median ms", "best ms",
           "GFLOP/s", "peak", "packed B", "scratch B", "algorithm");
    while (fgets(line, sizeof line, file) != NULL) {
        shape row;
        if (line[0] == '#')
            continue;
        if (!parse_row(line, &row))
            fprintf(stderr, "bench_ops: not a shape: %s", line);
        else if (wanted(s->rows, row.name))
            time_shape(s, &row);
    }
    fclose(file);
    return 0;
}

int main(int count, char **arguments)
{
    settings s = {.shapes = "bench/shapes.tsv", .threads = 1, .seconds = 0.3};
    for (int i = 1; i < count; i++) {
        const char *value = i + 1 < count ? arguments[i + 1] : "";
        if (strcmp(arguments[i], "--rows") == 0 && ++i)
            s.rows = value;
        else if (strcmp(arguments[i], "--threads") == 0 && ++i)
            s.threads = atoi(value);
        else if (strcmp(arguments[i], "--seconds") == 0 && ++i)
            s.seconds = atof(value);
        else
            s.shapes = arguments[i];
    }
    s.pool = cn_pool_new(s.threads);
    if (s.pool == NULL) {
        fprintf(stderr, "bench_ops: %s\n", cn_error_message());
        return 1;
    }
    s.threads = cn_pool_threads(s.pool);
    int result = run_table(&s);
    cn_pool_free(s.pool);
    return result;
}
