#include "json.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

static void print_quoted(const char *text)
{
    (void)putchar('"');
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        if (*c == '"' || *c == '\\')
            (void)printf("\\%c", *c);
        else if (*c < 0x20)
            (void)printf("\\u%04x", *c);
        else
            (void)putchar(*c);
    }
    (void)putchar('"');
}

static void new_line(const cli_json *json)
{
    (void)printf("\n%*s", 2 * json->depth, "");
}

static void begin(cli_json *json, const char *key)
{
    if (json->inside)
        (void)putchar(',');
    if (json->depth)
        new_line(json);
    if (key) {
        print_quoted(key);
        (void)printf(": ");
    }
    json->inside = true;
}

void cli_json_open(cli_json *json, const char *key, char bracket)
{
    begin(json, key);
    (void)putchar(bracket);
    json->depth++;
    json->inside = false;
}

void cli_json_close(cli_json *json, char bracket)
{
    json->depth--;
    if (json->inside)
        new_line(json);
    (void)putchar(bracket);
    json->inside = true;
    if (json->depth == 0)
        (void)putchar('\n');
}

void cli_json_text(cli_json *json, const char *key, const char *text)
{
    begin(json, key);
    if (text)
        print_quoted(text);
    else
        (void)printf("null");
}

void cli_json_integer(cli_json *json, const char *key, int64_t value)
{
    begin(json, key);
    (void)printf("%" PRId64, value);
}

void cli_json_number(cli_json *json, const char *key, double value)
{
    begin(json, key);
    if (isfinite(value))
        (void)printf("%.15g", value);
    else
        (void)printf("null");
}

void cli_json_bool(cli_json *json, const char *key, bool value)
{
    begin(json, key);
    (void)printf(value ? "true" : "false");
}

void cli_json_integers(cli_json *json, const char *key, const int64_t *values, int count)
{
    begin(json, key);
    (void)putchar('[');
    for (int i = 0; i < count; i++)
        (void)printf("%s%" PRId64, i ? ", " : "", values[i]);
    (void)putchar(']');
}
