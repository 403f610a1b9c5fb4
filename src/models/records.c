/* Records: numbers with a name. */
#include "models/history.h"

#include <string.h>

cn_status cn__records_add(cn__records *records, const char *name, int64_t count,
                          const double *values)
{
    if (!records->arena)
        records->arena = cn__arena_new();
    if (!records->arena)
        return CN_ERROR_MEMORY;
    size_t used = (size_t)records->count;
    /* Room for 1, 2, 4, 8 ...: what is left behind in the arena is as much again at most. */
    if ((used & (used - 1)) == 0) {
        size_t room = used > 0 ? 2 * used : 1;
        cn__record *items = cn__arena_alloc(records->arena, room * sizeof *items);
        if (!items)
            return CN_ERROR_MEMORY;
        if (used > 0)
            memcpy(items, records->items, used * sizeof *items);
        records->items = items;
    }
    cn__record record = {
        .name = cn__arena_strdup(records->arena, name),
        .count = count,
        .values = cn__arena_copy(records->arena, values, (size_t)count * sizeof *values)};
    if (!record.name || !record.values)
        return CN_ERROR_MEMORY;
    records->items[records->count++] = record;
    return CN_OK;
}

const cn__record *cn__records_find(const cn__records *records, const char *name)
{
    for (int i = 0; i < records->count; i++)
        if (strcmp(records->items[i].name, name) == 0)
            return &records->items[i];
    return NULL;
}
