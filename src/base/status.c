/* The failure on record: one message and status for each thread, in memory that is always there. */
#include "base/base.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MESSAGE_SIZE 1024

static _Thread_local char record_message[MESSAGE_SIZE];
static _Thread_local cn_status record_status;

static const char *const status_names[] = {
    [CN_OK] = "ok",
    [CN_ERROR_ARGUMENT] = "argument error",
    [CN_ERROR_SHAPE] = "shape error",
    [CN_ERROR_MEMORY] = "memory error",
    [CN_ERROR_IO] = "input/output error",
    [CN_ERROR_FORMAT] = "format error",
    [CN_ERROR_UNSUPPORTED] = "unsupported",
    [CN_ERROR_NOT_FOUND] = "not found",
};

const char *cn_status_name(cn_status status)
{
    size_t index = (size_t)status;
    return index < CN__COUNT(status_names) ? status_names[index] : "unknown status";
}

const char *cn_error_message(void)
{
    return record_message;
}

cn_status cn_error_status(void)
{
    return record_status;
}

void cn_clear_error(void)
{
    record_message[0] = '\0';
    record_status = CN_OK;
}

const char *cn_version(void)
{
    return CN__VERSION;
}

/* Puts `message` on record. Names out of files go into messages, so that control characters are
 * taken out: a message is one line and does nothing to a terminal. */
static void put_on_record(cn_status status, const char *message)
{
    size_t length = strlen(message);
    for (size_t i = 0; i <= length; i++) {
        unsigned char c = (unsigned char)message[i];
        bool control = (c < 32 && i < length) || c == 127;
        record_message[i] = control ? '?' : (char)c;
    }
    record_status = status;
}

/* The text is composed beside the record because the arguments may point into the record. */
cn_status cn__fail(cn_status status, const char *format, ...)
{
    char message[MESSAGE_SIZE] = "";
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    put_on_record(status, message);
    return status;
}

cn_status cn__fail_memory(const char *what, size_t bytes)
{
    return cn__fail(CN_ERROR_MEMORY, "%s: no memory for %zu bytes", what, bytes);
}

cn_status cn__fail_null_argument(const char *where)
{
    if (record_status != CN_OK)
        return record_status;
    return cn__fail(CN_ERROR_ARGUMENT, "%s: an argument is NULL", where);
}

cn_status cn__fail_within(const char *format, ...)
{
    char message[MESSAGE_SIZE] = "";
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    return cn__fail(record_status, "%s: %s", message, record_message);
}

/* ---- carried ---- */

void cn__failure_take(cn__failure *failure)
{
    failure->status = cn_error_status();
    (void)snprintf(failure->message, sizeof failure->message, "%s", cn_error_message());
}

cn_status cn__failure_put(const cn__failure *failure)
{
    return cn__fail(failure->status, "%s", failure->message);
}

cn_status cn__take_options(const char *where, void *options, size_t size, const void *given)
{
    size_t known = size;
    if (given)
        memcpy(&known, given, sizeof known);
    if (known < sizeof known || known > size)
        return cn__fail(CN_ERROR_ARGUMENT,
                        "%s: size_ must be the size of the options (%zu bytes), not %zu; use the "
                        "macro of the header",
                        where, size, known);
    memset(options, 0, size);
    if (given)
        memcpy(options, given, known);
    return CN_OK;
}
