/* A line for each epoch. */
#include "cornu/formats.h"

#include "base/base.h"

#include <errno.h>
#include <string.h>
#include <time.h>

typedef struct progress {
    FILE *stream;
    double begun; /* the epoch, in seconds */
} progress;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static cn_status run(void *context, cn_event event, cn_training *training)
{
    progress *p = context;
    if (event == CN_EPOCH_BEGIN)
        p->begun = now();
    if (event != CN_EPOCH_END)
        return CN_OK;
    (void)fprintf(p->stream, "epoch %lld/%lld  %.1fs", (long long)training->epoch + 1,
                  (long long)training->epochs, now() - p->begun);
    for (int i = 0; i < training->logs.count; i++)
        (void)fprintf(p->stream, "  %s %.4f", training->logs.names[i], training->logs.values[i]);
    (void)fprintf(p->stream, "\n");
    if (fflush(p->stream) == 0 && !ferror(p->stream))
        return CN_OK;
    return cn__fail(CN_ERROR_IO, "progress: the line of epoch %lld cannot be written: %s",
                    (long long)training->epoch + 1, strerror(errno));
}

cn_callback *cn_progress(FILE *stream)
{
    if (stream == NULL)
        return cn__fail_null_argument("cn_progress"), NULL;
    progress *p = cn__calloc(1, sizeof *p);
    if (p == NULL)
        return NULL;
    p->stream = stream;
    return cn_callback(.run = run, .release = cn__free, .context = p, .name = "progress");
}
