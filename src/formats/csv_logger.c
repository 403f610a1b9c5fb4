/* A callback that writes the logs of every epoch as comma-separated values. Rules:
 * keras/src/callbacks/csv_logger.py; lines end in CR LF and names are quoted as in RFC 4180. */
#include "formats/log_file.h"

#include "cornu/formats.h"
#include "models/callback.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

typedef struct csv_logger {
    char *path;
    bool append;
    cn__arena *arena; /* of the columns */
    int count;        /* of columns, -1 before the first line */
    char **columns;
    double lines; /* the state: written so far. After a resumption the file goes on */
} csv_logger;

static void release(void *context)
{
    csv_logger *c = context;
    cn__arena_free(c->arena);
    cn__free(c->path);
    cn__free(c);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The columns are the logs of the first epoch, in the order of their names. */
static cn_status set_columns(csv_logger *c, cn_logs logs)
{
    c->columns = cn__arena_alloc(c->arena, (size_t)logs.count * sizeof *c->columns);
    if (!c->columns)
        return CN_ERROR_MEMORY;
    for (int i = 0; i < logs.count; i++) {
        c->columns[i] = cn__arena_strdup(c->arena, logs.names[i]);
        if (!c->columns[i])
            return CN_ERROR_MEMORY;
    }
    if (logs.count > 1)
        qsort(c->columns, (size_t)logs.count, sizeof *c->columns, compare_names);
    c->count = logs.count;
    return CN_OK;
}

static void write_name(FILE *stream, const char *name)
{
    bool quoted = strpbrk(name, ",\"\r\n") != NULL;
    (void)fputs(quoted ? ",\"" : ",", stream);
    for (; *name; name++) {
        if (*name == '"')
            (void)fputc('"', stream);
        (void)fputc(*name, stream);
    }
    if (quoted)
        (void)fputc('"', stream);
}

static void write_header(const csv_logger *c, FILE *stream)
{
    (void)fputs("epoch", stream);
    for (int i = 0; i < c->count; i++)
        write_name(stream, c->columns[i]);
    (void)fputs("\r\n", stream);
}

static void write_line(const csv_logger *c, FILE *stream, const cn_training *training)
{
    (void)fprintf(stream, "%" PRId64, training->epoch);
    for (int i = 0; i < c->count; i++) {
        char text[CN__NUMBER_SIZE];
        int place = cn__logs_find(training->logs, c->columns[i]);
        bool there = place >= 0;
        (void)fprintf(stream, ",%s",
                      there ? cn__number_text(training->logs.values[place], text) : "NA");
    }
    (void)fputs("\r\n", stream);
}

static cn_status run(void *context, cn_event event, cn_training *training)
{
    csv_logger *c = context;
    if (event != CN_EPOCH_END)
        return CN_OK;
    if (c->count < 0)
        CN__TRY(set_columns(c, training->logs));
    bool go_on = c->lines > 0 || c->append;
    bool header = !go_on || !cn__log_has_content(c->path);
    FILE *stream = cn__log_open(c->path, !go_on);
    if (!stream)
        return cn_error_status();
    if (header)
        write_header(c, stream);
    write_line(c, stream, training);
    c->lines++;
    return cn__log_close(stream, c->path);
}

cn_callback *cn_csv_logger(const char *path, bool append)
{
    if (!path)
        return (void)cn__fail_null_argument("csv_logger"), NULL;
    csv_logger *c = cn__calloc(1, sizeof *c);
    if (!c)
        return NULL;
    *c = (csv_logger){.append = append, .count = -1};
    c->path = cn__strdup(path);
    c->arena = c->path ? cn__arena_new() : NULL;
    if (!c->arena) {
        release(c);
        return NULL;
    }
    return cn_callback(.run = run, .release = release, .context = c, .name = "csv_logger",
                       .state_count = 1, .state = &c->lines);
}
