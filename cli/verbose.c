/* CORNU_VERBOSE=1: a line on stderr for every operation that is computed. */
#include "cli.h"

#include <cornu/graph.h>

#include <stdio.h>
#include <stdlib.h>

static void print_trace(const cn_trace *trace, void *context)
{
    char from[160] = "", to[160];
    (void)context;
    if (trace->inputs > 0)
        (void)cn_shape_text(trace->in[0], from, sizeof from);
    (void)cn_shape_text(trace->out, to, sizeof to);
    (void)fprintf(stderr, "%9.3f ms", trace->milliseconds);
    if (trace->multiplications > 0)
        (void)fprintf(stderr, " %7.1f GFLOP/s",
                      2e-6 * trace->multiplications / trace->milliseconds);
    else
        (void)fprintf(stderr, " %7s        ", "");
    (void)fprintf(stderr, "  %-22s %s -> %s  %s", trace->operation, from, to, trace->name);
    if (*trace->algorithm)
        (void)fprintf(stderr, ", %s", trace->algorithm);
    if (*trace->choice)
        (void)fprintf(stderr, " (million cycles: %s)", trace->choice);
    (void)fputc('\n', stderr);
}

void cli_trace_if_asked(void)
{
    const char *verbose = getenv("CORNU_VERBOSE");
    if (verbose && *verbose && *verbose != '0')
        cn_set_tracer(print_trace, NULL);
}
