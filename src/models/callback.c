/* Callbacks: what they are, running lists of them, keeping their states. */
#include "models/callback.h"

#include "data/data.h"
#include "models/history.h"

#include <stdio.h>
#include <string.h>

/* ---- making ---- */

static cn_status fill(cn_callback *callback)
{
    const cn_callback_functions *f = &callback->functions;
    if (!f->run)
        return cn__fail(CN_ERROR_ARGUMENT, "cn_callback: .run is required");
    if (f->state_count < 0 || (f->state_count > 0 && !f->state))
        return cn__fail(CN_ERROR_ARGUMENT, "cn_callback: .state has %d numbers, but is %s",
                        f->state_count, f->state ? "there" : "NULL");
    callback->name = cn__strdup(f->name ? f->name : "callback");
    callback->functions.name = callback->name;
    return callback->name ? CN_OK : CN_ERROR_MEMORY;
}

cn_callback *cn_callback_new(const cn_callback_functions *functions)
{
    cn_callback_functions f;
    if (!functions)
        return (void)cn__fail_null_argument("cn_callback"), NULL;
    if (cn__take_options("cn_callback", &f, sizeof f, functions) != CN_OK)
        return NULL;
    cn_callback *callback = cn__calloc(1, sizeof *callback);
    if (!callback) {
        if (f.release)
            f.release(f.context);
        return NULL;
    }
    callback->functions = f;
    if (fill(callback) == CN_OK)
        return callback;
    cn_callback_free(callback);
    return NULL;
}

void cn_callback_free(cn_callback *callback)
{
    if (!callback)
        return;
    if (callback->functions.release)
        callback->functions.release(callback->functions.context);
    cn__free(callback->name);
    cn__free(callback);
}

const char *cn__callback_name(const cn_callback *callback)
{
    return callback->name;
}

/* ---- lists ---- */

cn_status cn__callbacks_check(cn_callback_list list)
{
    for (int i = 0; i < list.count; i++)
        if (!list.items[i])
            return cn__fail_null_argument("callbacks");
    return CN_OK;
}

/* A failure of a caller's own function may come without a message, but not with that of an earlier
 * failure. What was on record before a success stays there. */
static cn_status run_one(const cn_callback *callback, cn_event event, cn_training *training)
{
    static const char *const events[] = {"the beginning of the training",
                                         "the beginning of an epoch", "the end of a batch",
                                         "the end of an epoch", "the end of the training"};
    const cn_callback_functions *f = &callback->functions;
    cn__failure before;
    cn__failure_take(&before);
    cn_clear_error();
    cn_status status = f->run(f->context, event, training);
    if (status == CN_OK && before.status != CN_OK)
        (void)cn__failure_put(&before);
    if (status != CN_OK && cn_error_status() != status)
        return cn__fail(status, "%s: fails at %s (%s)", callback->name, events[event],
                        cn_status_name(status));
    return status;
}

cn_status cn__callbacks_run_round(cn_callback_list list, bool last, cn_event event,
                                  cn_training *training)
{
    cn__failure first = {.status = CN_OK};
    for (int i = 0; i < list.count; i++) {
        if (list.items[i]->last != last)
            continue;
        cn_status status = run_one(list.items[i], event, training);
        if (status == CN_OK || first.status != CN_OK)
            continue;
        if (event != CN_TRAIN_END)
            return status;
        cn__failure_take(&first);
    }
    return first.status == CN_OK ? CN_OK : cn__failure_put(&first);
}

cn_status cn__callbacks_run(cn_callback_list list, cn_event event, cn_training *training)
{
    cn_status status = cn__callbacks_run_round(list, false, event, training);
    if (status != CN_OK && event != CN_TRAIN_END)
        return status;
    cn__failure first;
    cn__failure_take(&first);
    cn_status last = cn__callbacks_run_round(list, true, event, training);
    return status == CN_OK ? last : cn__failure_put(&first);
}

void cn__callbacks_free(cn_callback_list list)
{
    for (int i = 0; i < list.count; i++)
        cn_callback_free(list.items[i]);
}

/* ---- states ---- */

/* "callback/NAME", the second of that name "callback/NAME_1" ... To be freed with cn__free. */
static char *record_name(cn_callback_list list, int index)
{
    const char *name = list.items[index]->name;
    int before = 0;
    for (int i = 0; i < index; i++)
        before += strcmp(list.items[i]->name, name) == 0;
    size_t size = strlen(name) + 32;
    char *text = cn__alloc(size);
    if (!text)
        return NULL;
    int length = snprintf(text, size, "callback/%s", name);
    if (before > 0)
        (void)snprintf(text + length, size - (size_t)length, "_%d", before);
    return text;
}

cn_status cn__callbacks_to_records(cn_callback_list list, cn__records *records)
{
    for (int i = 0; i < list.count; i++) {
        const cn_callback_functions *f = &list.items[i]->functions;
        if (f->state_count == 0)
            continue;
        char *name = record_name(list, i);
        cn_status status =
            name ? cn__records_add(records, name, f->state_count, f->state) : CN_ERROR_MEMORY;
        cn__free(name);
        CN__TRY(status);
    }
    return CN_OK;
}

cn_status cn__callbacks_from_records(cn_callback_list list, const cn__records *records)
{
    for (int i = 0; i < list.count; i++) {
        const cn_callback_functions *f = &list.items[i]->functions;
        char *name = record_name(list, i);
        if (!name)
            return CN_ERROR_MEMORY;
        const cn__record *record = cn__records_find(records, name);
        if (record && f->state_count > 0 && record->count == f->state_count)
            memcpy(f->state, record->values, (size_t)f->state_count * sizeof *f->state);
        cn__free(name);
    }
    return CN_OK;
}
