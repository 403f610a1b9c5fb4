/* What each epoch of a training gave. */
#include "models/history.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define PREFIX "history/"

typedef struct column {
    char *name;
    double *values; /* one for each epoch */
    size_t capacity;
} column;

struct cn_history {
    int64_t epochs;
    int count;
    column *columns;
    size_t capacity;
};

cn_history *cn__history_new(void)
{
    return cn__calloc(1, sizeof(cn_history));
}

void cn__history_clear(cn_history *history)
{
    for (int i = 0; i < history->count; i++) {
        cn__free(history->columns[i].name);
        cn__free(history->columns[i].values);
    }
    cn__free(history->columns);
    *history = (cn_history){0};
}

void cn__history_free(cn_history *history)
{
    if (!history)
        return;
    cn__history_clear(history);
    cn__free(history);
}

/* ---- what is in it ---- */

int64_t cn_history_epochs(const cn_history *history)
{
    return history ? history->epochs : 0;
}

int cn_history_count(const cn_history *history)
{
    return history ? history->count : 0;
}

const char *cn_history_name(const cn_history *history, int index)
{
    bool there = history && index >= 0 && index < history->count;
    return there ? history->columns[index].name : NULL;
}

static column *find(const cn_history *history, const char *name)
{
    for (int i = 0; i < history->count; i++)
        if (strcmp(history->columns[i].name, name) == 0)
            return &history->columns[i];
    return NULL;
}

const double *cn_history_values(const cn_history *history, const char *name)
{
    const column *found = history && name ? find(history, name) : NULL;
    return found ? found->values : NULL;
}

/* ---- adding ---- */

/* Room for `epochs` numbers. */
static cn_status make_room(const cn_history *history, column *c, int64_t epochs)
{
    return cn__grow(&c->values, &c->capacity, c->capacity ? (size_t)history->epochs : 0,
                    (size_t)cn__max(epochs, 1), sizeof *c->values);
}

static cn_status add_column(cn_history *history, const char *name)
{
    size_t count = (size_t)history->count;
    CN__TRY(cn__grow(&history->columns, &history->capacity, count, count + 1,
                     sizeof *history->columns));
    column new = {.name = cn__strdup(name)};
    if (!new.name || make_room(history, &new, history->epochs) != CN_OK) {
        cn__free(new.name);
        return CN_ERROR_MEMORY;
    }
    for (int64_t i = 0; i < history->epochs; i++)
        new.values[i] = (double)NAN;
    history->columns[history->count++] = new;
    return CN_OK;
}

/* Columns with names that the logs have, and room for one more epoch in all. */
static cn_status prepare(cn_history *history, cn_logs logs)
{
    for (int i = 0; i < logs.count; i++)
        if (!find(history, logs.names[i]))
            CN__TRY(add_column(history, logs.names[i]));
    for (int i = 0; i < history->count; i++)
        CN__TRY(make_room(history, &history->columns[i], history->epochs + 1));
    return CN_OK;
}

static void drop_columns(cn_history *history, int count)
{
    while (history->count > count) {
        column *last = &history->columns[--history->count];
        cn__free(last->name);
        cn__free(last->values);
    }
}

cn_status cn__history_append(cn_history *history, cn_logs logs)
{
    int count = history->count;
    cn_status status = prepare(history, logs);
    if (status != CN_OK) {
        drop_columns(history, count);
        return status;
    }
    for (int i = 0; i < history->count; i++) {
        column *c = &history->columns[i];
        c->values[history->epochs] = cn_logs_get(logs, c->name);
    }
    history->epochs++;
    return CN_OK;
}

cn_status cn__history_replace_last(cn_history *history, cn_logs logs)
{
    history->epochs--;
    cn_status status = cn__history_append(history, logs);
    history->epochs += status != CN_OK;
    return status;
}

/* ---- records ---- */

cn_status cn__history_to_records(const cn_history *history, cn__records *records)
{
    for (int i = 0; i < history->count; i++) {
        const column *c = &history->columns[i];
        size_t size = strlen(c->name) + sizeof PREFIX;
        char *name = cn__alloc(size);
        if (!name)
            return CN_ERROR_MEMORY;
        (void)snprintf(name, size, "%s%s", PREFIX, c->name);
        cn_status status = cn__records_add(records, name, history->epochs, c->values);
        cn__free(name);
        CN__TRY(status);
    }
    return CN_OK;
}

static cn_status read_record(cn_history *history, const cn__record *record, bool first)
{
    const char *name = record->name + strlen(PREFIX);
    if (record->count < 0 || (!first && record->count != history->epochs))
        return cn__fail(CN_ERROR_FORMAT,
                        "history: %s has %lld epochs, but the names before it have %lld", name,
                        (long long)record->count, (long long)history->epochs);
    if (find(history, name))
        return cn__fail(CN_ERROR_FORMAT, "history: %s is there twice", name);
    history->epochs = record->count;
    CN__TRY(add_column(history, name));
    if (record->count > 0)
        memcpy(find(history, name)->values, record->values,
               (size_t)record->count * sizeof *record->values);
    return CN_OK;
}

cn_status cn__history_from_records(cn_history *history, const cn__records *records)
{
    cn__history_clear(history);
    bool first = true;
    for (int i = 0; i < records->count; i++) {
        if (strncmp(records->items[i].name, PREFIX, strlen(PREFIX)) != 0)
            continue;
        cn_status status = read_record(history, &records->items[i], first);
        if (status != CN_OK) {
            cn__history_clear(history);
            return status;
        }
        first = false;
    }
    return CN_OK;
}
