/* What `cornu bench` is asked for, and what its two kinds, of models and of single operations, have
 * in common. */
#ifndef CORNU_CLI_BENCH_H
#define CORNU_CLI_BENCH_H

#include "json.h"
#include "operation.h"
#include "subject.h"

typedef struct bench_settings {
    subject_options subject;
    operation_options operation;
    int pass; /* a bench_pass; -1: not given */
    int64_t threads;
    double seconds;
    bool explain, json;
} bench_settings;

typedef enum bench_pass { BENCH_FORWARD, BENCH_INPUT_GRADIENT, BENCH_KERNEL_GRADIENT } bench_pass;

/* Exit codes. */
int bench_model(const bench_settings *s, const char *path, cn_pool *pool);
int bench_operation(const bench_settings *s, const operation_kind *kind, cn_pool *pool);

/* ---- time ---- */

typedef struct bench_times {
    int runs;
    double best, median; /* seconds */
    double peak;         /* FLOP/s, the better of before and after */
} bench_times;

/* One run; false if it failed, with the library's message. */
typedef bool bench_run(void *context);
/* Runs it once to make everything ready, then for some seconds; an exit code. */
int bench_measure(bench_run *run, void *context, double seconds, cn_pool *pool, bench_times *times);

/* Seconds since some time ago. */
double bench_now(void);

/* Of `batch` images that take `multiplications`: a line, and the members of a JSON object. */
void bench_print_times(const bench_times *times, int64_t batch, double multiplications);
void bench_json_times(cli_json *json, const bench_times *times, int64_t batch,
                      double multiplications);

/* ---- the choice of an algorithm ---- */

/* What was weighed against what, as two lines of text and as members of a JSON object. */
void bench_print_choice(const char *algorithm, const char *choice, size_t packed, size_t scratch);
void bench_json_choice(cli_json *json, const char *algorithm, const char *choice, size_t packed,
                       size_t scratch);

/* Random numbers from -1/2 to 1/2; the same ones for the same count. */
void bench_fill(float *values, int64_t count);

#endif
