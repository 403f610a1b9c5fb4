/* Remembering settings. A file has a line for the argument, then one for each setting, as it is
 * written on the command line: --name=value. In lines \n is a new line and \\ a backslash. */
#include "recall.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_LINES = 80 };

static const char title[] = "# cornu train: what `cornu train --resume` goes on with\n";

/* ---- values ---- */

static const void *member(const void *settings, const cli_option *option)
{
    return (const char *)settings + option->offset;
}

static size_t size_of(cli_kind kind)
{
    static const size_t sizes[] = {
        [CLI_FLAG] = sizeof(bool),       [CLI_TEXT] = sizeof(char *),
        [CLI_INTEGER] = sizeof(int64_t), [CLI_NUMBER] = sizeof(double),
        [CLI_CHOICE] = sizeof(int),      [CLI_EXTENTS] = sizeof(cli_extents)};
    return sizes[kind];
}

static bool same(const cli_option *option, const void *a, const void *b)
{
    const void *x = member(a, option), *y = member(b, option);
    if (option->kind != CLI_TEXT)
        return memcmp(x, y, size_of(option->kind)) == 0;
    const char *const *first = x, *const *second = y;
    return *first == *second || (*first && *second && strcmp(*first, *second) == 0);
}

/* The defaults of all settings, to be freed. */
static void *default_settings(const cli_command *command)
{
    void *settings = calloc(1, command->settings_size + 1);
    if (settings && command->defaults)
        memcpy(settings, command->defaults, command->settings_size);
    return settings;
}

/* ---- writing ---- */

static void put_text(FILE *file, const char *text)
{
    for (; *text; text++) {
        if (*text == '\\' || *text == '\n')
            (void)fprintf(file, "\\%c", *text == '\n' ? 'n' : '\\');
        else
            (void)fputc(*text, file);
    }
}

static void put_extents(FILE *file, const cli_extents *extents)
{
    for (int i = 0; i < extents->rank; i++)
        (void)fprintf(file, "%s%" PRId64, i ? "x" : "", extents->dim[i]);
}

/* Choice number `choice` of "first|second|third". */
static void put_choice(FILE *file, const char *names, int choice)
{
    for (; choice > 0; choice--)
        names += strcspn(names, "|") + 1;
    (void)fprintf(file, "%.*s", (int)strcspn(names, "|"), names);
}

static void put_setting(FILE *file, const cli_option *option, const void *value)
{
    (void)fprintf(file, "--%s%s", option->name, option->kind == CLI_FLAG ? "" : "=");
    if (option->kind == CLI_TEXT)
        put_text(file, *(const char *const *)value);
    else if (option->kind == CLI_INTEGER)
        (void)fprintf(file, "%" PRId64, *(const int64_t *)value);
    else if (option->kind == CLI_NUMBER)
        (void)fprintf(file, "%.17g", *(const double *)value);
    else if (option->kind == CLI_CHOICE)
        put_choice(file, option->value, *(const int *)value);
    else if (option->kind == CLI_EXTENTS)
        put_extents(file, value);
    (void)fputc('\n', file);
}

static void put_all(FILE *file, const cli_command *command, const char *argument,
                    const void *settings, const void *defaults)
{
    (void)fputs(title, file);
    put_text(file, argument);
    (void)fputc('\n', file);
    for (const cli_option *option = command->options; option->name; option++)
        if (!same(option, settings, defaults))
            put_setting(file, option, member(settings, option));
}

int recall_write(const char *path, const cli_command *command, const char *argument,
                 const void *settings)
{
    char temporary[4200];
    void *defaults = default_settings(command);
    int length = snprintf(temporary, sizeof temporary, "%s.%ld", path, (long)getpid());
    FILE *file = defaults && (size_t)length < sizeof temporary ? fopen(temporary, "w") : NULL;
    if (file)
        put_all(file, command, argument, settings, defaults);
    free(defaults);
    if (!file)
        return cli_fail("%s: cannot be written: %s", path, strerror(errno));
    bool good = !ferror(file);
    good = fclose(file) == 0 && good;
    if (good && rename(temporary, path) == 0)
        return CLI_OK;
    int error = errno;
    (void)remove(temporary);
    return cli_fail("%s: cannot be written: %s", path, strerror(error));
}

/* ---- reading ---- */

/* Undoes put_text in place. */
static void restore_text(char *text)
{
    char *to = text;
    for (; *text; text++) {
        if (*text == '\\' && text[1] != '\0')
            *to++ = *++text == 'n' ? '\n' : *text;
        else
            *to++ = *text;
    }
    *to = '\0';
}

static char *read_file(const char *path)
{
    enum { MOST = 1 << 20 };
    FILE *file = fopen(path, "r");
    char *text = file ? calloc(1, MOST) : NULL;
    size_t length = text ? fread(text, 1, MOST - 1, file) : 0;
    bool good = file && text && !ferror(file) && memchr(text, '\0', length) == NULL;
    if (file)
        (void)fclose(file);
    if (good)
        return text;
    free(text);
    return NULL;
}

/* Lines that are no comments. Their number, -1 if there are too many. */
static int split_lines(char *text, char **lines)
{
    int count = 0;
    for (char *end; *text; text = end) {
        end = text + strcspn(text, "\n");
        if (*end)
            *end++ = '\0';
        if (*text == '\0' || *text == '#')
            continue;
        if (count == MOST_LINES)
            return -1;
        restore_text(text);
        lines[count++] = text;
    }
    return count;
}

int recall_read(const char *path, const cli_command *command, recall *r)
{
    char *lines[MOST_LINES + 1] = {0};
    int count = 0, code = CLI_FAILED;
    *r = (recall){.memory = read_file(path), .settings = default_settings(command)};
    if (!r->memory || !r->settings)
        return cli_fail("%s: cannot be read, but --resume goes on with what is in it", path);
    if (split_lines(r->memory, lines) < 1 || lines[0][0] == '-' ||
        !cli_parse(command, lines, &count, r->settings, &code) || count != 1)
        return cli_fail("%s: is not what `cornu %s` wrote", path, command->name);
    r->argument = lines[0];
    return CLI_OK;
}

void recall_free(recall *r)
{
    free(r->memory);
    free(r->settings);
    *r = (recall){0};
}

/* ---- both together ---- */

static bool is_among(const char *name, const char *const *names)
{
    for (; *names; names++)
        if (strcmp(*names, name) == 0)
            return true;
    return false;
}

static int merge(const recall *r, const cli_command *command, const char *const *free_names,
                 const char *hint, const void *defaults, void *settings)
{
    for (const cli_option *o = command->options; o->name; o++) {
        bool given = !same(o, settings, defaults), free_one = is_among(o->name, free_names);
        if (given && !free_one && !same(o, settings, r->settings))
            return cli_fail_usage(hint, "--%s is not what the training was begun with", o->name);
        if (!given)
            memcpy((char *)settings + o->offset, member(r->settings, o), size_of(o->kind));
    }
    return CLI_OK;
}

int recall_merge(const recall *r, const cli_command *command, const char *const *free_names,
                 const char *hint, void *settings)
{
    void *defaults = default_settings(command);
    int code =
        defaults ? merge(r, command, free_names, hint, defaults, settings) : cli_fail("no memory");
    free(defaults);
    return code;
}
