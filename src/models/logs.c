/* Logs: numbers with names, lent. */
#include "models/callback.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

int cn__logs_find(cn_logs logs, const char *name)
{
    for (int i = 0; i < logs.count; i++)
        if (strcmp(logs.names[i], name) == 0)
            return i;
    return -1;
}

double cn_logs_get(cn_logs logs, const char *name)
{
    int index = name ? cn__logs_find(logs, name) : -1;
    return index < 0 ? (double)NAN : logs.values[index];
}

char *cn__logs_list(cn_logs logs, char *text, size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    for (int i = 0; i < logs.count; i++) {
        size_t needed = strlen(logs.names[i]) + 2;
        bool fits = used + needed + sizeof ", ..." <= size;
        (void)snprintf(text + used, size - used, "%s%s", i > 0 ? ", " : "",
                       fits ? logs.names[i] : "...");
        if (!fits)
            break;
        used += strlen(text + used);
    }
    return text;
}

cn_status cn__logs_put(cn__more_logs *more, cn_logs *logs, const char *name, double value)
{
    size_t count = (size_t)logs->count;
    CN__TRY(cn__grow(&more->names, &more->name_capacity, 0, count + 1, sizeof *more->names));
    CN__TRY(cn__grow(&more->values, &more->value_capacity, 0, count + 1, sizeof *more->values));
    for (size_t i = 0; i < count; i++) {
        more->names[i] = logs->names[i];
        more->values[i] = logs->values[i];
    }
    int place = cn__logs_find(*logs, name);
    size_t index = place < 0 ? count : (size_t)place;
    more->names[index] = name;
    more->values[index] = value;
    *logs = (cn_logs){logs->count + (place < 0), more->names, more->values};
    return CN_OK;
}

void cn__more_logs_free(cn__more_logs *more)
{
    cn__free(more->names);
    cn__free(more->values);
}
