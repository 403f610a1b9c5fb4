/* Timing, and what is told about it. */
#include "bench.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { LEAST_RUNS = 3, MOST_RUNS = 10000 };

double bench_now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static int repeat(bench_run *run, void *context, double seconds, double *spent, int *runs)
{
    if (!run(context))
        return cli_fail_library();
    double start = bench_now();
    for (*runs = 0; *runs < MOST_RUNS && (*runs < LEAST_RUNS || bench_now() - start < seconds);
         ++*runs) {
        double before = bench_now();
        if (!run(context))
            return cli_fail_library();
        spent[*runs] = bench_now() - before;
    }
    return CLI_OK;
}

int bench_measure(bench_run *run, void *context, double seconds, cn_pool *pool, bench_times *times)
{
    *times = (bench_times){0};
    double *spent = calloc(MOST_RUNS, sizeof *spent);
    if (!spent)
        return cli_fail("no memory");
    double before = cn_peak_flops(pool);
    int code = repeat(run, context, seconds, spent, &times->runs);
    double after = cn_peak_flops(pool);
    times->peak = before > after ? before : after;
    qsort(spent, (size_t)times->runs, sizeof *spent, ascending);
    times->best = spent[0];
    times->median = spent[times->runs / 2];
    free(spent);
    return code;
}

void bench_print_times(const bench_times *t, int64_t batch, double multiplications)
{
    double flops = 2 * multiplications / t->best;
    (void)printf("  best %.3f ms, median %.3f ms of %d runs; %.1f images/s\n", 1e3 * t->best,
                 1e3 * t->median, t->runs, (double)batch / t->best);
    (void)printf("  %.1f GFLOP/s: %.1f%% of the FMA peak, %.1f GFLOP/s\n", 1e-9 * flops,
                 100 * flops / t->peak, 1e-9 * t->peak);
}

void bench_json_times(cli_json *json, const bench_times *t, int64_t batch, double multiplications)
{
    double flops = 2 * multiplications / t->best;
    cli_json_integer(json, "runs", t->runs);
    cli_json_number(json, "best_ms", 1e3 * t->best);
    cli_json_number(json, "median_ms", 1e3 * t->median);
    cli_json_number(json, "images_per_second", (double)batch / t->best);
    cli_json_number(json, "multiplications", multiplications);
    cli_json_number(json, "gflops", 1e-9 * flops);
    cli_json_number(json, "peak_gflops", 1e-9 * t->peak);
    cli_json_number(json, "share_of_peak", flops / t->peak);
}

void bench_print_choice(const char *algorithm, const char *choice, size_t packed, size_t scratch)
{
    char of_packed[SUBJECT_BYTES], of_scratch[SUBJECT_BYTES];
    (void)printf("  chosen   %s; packed kernel %s, scratch %s\n", algorithm,
                 subject_bytes(packed, of_packed), subject_bytes(scratch, of_scratch));
    (void)printf("  weighed  %s%s\n", *choice ? choice : "nothing to choose",
                 *choice ? " (million cycles of one core)" : "");
}

void bench_json_choice(cli_json *json, const char *algorithm, const char *choice, size_t packed,
                       size_t scratch)
{
    cli_json_text(json, "algorithm", algorithm);
    cli_json_text(json, "choice", choice);
    cli_json_integer(json, "packed_bytes", (int64_t)packed);
    cli_json_integer(json, "scratch_bytes", (int64_t)scratch);
}

/* A linear congruential sequence; the factor is Knuth's (MMIX). */
void bench_fill(float *values, int64_t count)
{
    uint64_t state = 1;
    for (int64_t i = 0; i < count; i++) {
        state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        values[i] = (float)(state >> 40) / (float)(1 << 24) - 0.5f;
    }
}
