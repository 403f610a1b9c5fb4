/* Options from a table: parsing, --help, suggestions, and the form of error messages. */
#include "cli.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *command_name = "";

void cli_set_name(const char *name)
{
    command_name = name;
}

static void CN_PRINTF(1, 0) print_message(const char *format, va_list arguments)
{
    (void)fflush(stdout);
    (void)fprintf(stderr, "cornu%s%s: ", *command_name ? " " : "", command_name);
    (void)vfprintf(stderr, format, arguments);
    (void)fputc('\n', stderr);
}

int cli_fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    print_message(format, arguments);
    va_end(arguments);
    return CLI_FAILED;
}

int cli_fail_usage(const char *hint, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    print_message(format, arguments);
    va_end(arguments);
    if (hint)
        (void)fprintf(stderr, "%s\n", hint);
    return CLI_USAGE;
}

void cli_note(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    print_message(format, arguments);
    va_end(arguments);
}

int cli_fail_library(void)
{
    return cli_fail("%s", cn_error_message());
}

/* ---- suggestions ---- */

enum { LONGEST_NAME = 63 };

static size_t least_of(size_t a, size_t b, size_t c)
{
    size_t least = a < b ? a : b;
    return least < c ? least : c;
}

/* Letters to insert, delete or replace to get from `a` to `b`. */
static size_t edits(const char *a, const char *b)
{
    size_t length = strlen(b);
    size_t row[LONGEST_NAME + 1];
    if (strlen(a) > LONGEST_NAME || length > LONGEST_NAME)
        return LONGEST_NAME;
    for (size_t j = 0; j <= length; j++)
        row[j] = j;
    for (size_t i = 1; *a; i++, a++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= length; j++) {
            size_t above = row[j];
            row[j] = least_of(above + 1, row[j - 1] + 1, diagonal + (*a != b[j - 1]));
            diagonal = above;
        }
    }
    return row[length];
}

const char *cli_nearest(const char *text, const char *const *names, size_t count, size_t stride)
{
    const char *nearest = NULL;
    size_t best = strlen(text) / 3 + 2; /* further off is not a slip of the finger */
    for (size_t i = 0; i < count; i++) {
        const char *name = *(const char *const *)(const void *)((const char *)names + i * stride);
        size_t distance = edits(text, name);
        if (distance < best) {
            best = distance;
            nearest = name;
        }
    }
    return nearest;
}

const char *cli_hint(char *text, size_t size, const char *nearest)
{
    if (!nearest)
        return NULL;
    (void)snprintf(text, size, "Did you mean `%s`?", nearest);
    return text;
}

/* ---- --help ---- */

static const cli_option help_option = {.name = "help", .letter = 'h', .help = "show this help"};

enum { HELP_COLUMN = 30 };

static void print_option(const cli_option *option)
{
    char left[80];
    char letter[] = {'-', option->letter, ',', '\0'};
    (void)snprintf(left, sizeof left, "  %3s --%s%s%s", option->letter ? letter : "", option->name,
                   option->value ? " " : "", option->value ? option->value : "");
    bool fits = strlen(left) < HELP_COLUMN;
    (void)printf("%-*s%s", HELP_COLUMN, left, fits ? "" : "\n");
    if (!fits)
        (void)printf("%*s", HELP_COLUMN, "");
    for (const char *c = option->help; *c; c++) {
        (void)putchar(*c);
        if (*c == '\n')
            (void)printf("%*s", HELP_COLUMN, "");
    }
    (void)putchar('\n');
}

void cli_print_help(const cli_command *command)
{
    (void)printf("usage: cornu %s%s%s [options]\n\n%s\n\noptions:\n", command->name,
                 *command->arguments ? " " : "", command->arguments, command->help);
    for (const cli_option *option = command->options; option->name; option++)
        print_option(option);
    print_option(&help_option);
    if (command->details)
        (void)printf("\n%s", command->details);
}

/* ---- values ---- */

static bool parse_integer(const char *text, char **end, int64_t *value)
{
    errno = 0;
    long long number = strtoll(text, end, 10);
    *value = number;
    return *end != text && errno == 0;
}

static bool store_integer(const char *text, void *target)
{
    char *end;
    return parse_integer(text, &end, target) && *end == '\0';
}

static bool store_number(const char *text, void *target)
{
    char *end;
    errno = 0;
    *(double *)target = strtod(text, &end);
    return end != text && *end == '\0' && errno == 0;
}

static bool store_extents(const char *text, void *target)
{
    cli_extents extents = {0};
    for (;;) {
        char *end;
        if (extents.rank == CN_MAX_RANK || !parse_integer(text, &end, &extents.dim[extents.rank]))
            return false;
        extents.rank++;
        if (*end == '\0')
            break;
        if (*end != 'x' && *end != ',')
            return false;
        text = end + 1;
    }
    *(cli_extents *)target = extents;
    return true;
}

static bool store_choice(const cli_option *option, const char *text, int *target)
{
    size_t length = strlen(text);
    int place = 0;
    for (const char *name = option->value;; name++, place++) {
        size_t width = strcspn(name, "|");
        if (width == length && memcmp(name, text, length) == 0) {
            *target = place;
            return true;
        }
        name += width;
        if (*name == '\0')
            return false;
    }
}

static bool store(const cli_option *option, const char *text, void *settings)
{
    void *target = (char *)settings + option->offset;
    switch (option->kind) {
    case CLI_FLAG:
        *(bool *)target = true;
        return true;
    case CLI_TEXT:
        *(const char **)target = text;
        return true;
    case CLI_INTEGER:
        return store_integer(text, target);
    case CLI_NUMBER:
        return store_number(text, target);
    case CLI_CHOICE:
        return store_choice(option, text, target);
    case CLI_EXTENTS:
        return store_extents(text, target);
    }
    return false;
}

static const char *expectation(cli_kind kind)
{
    static const char *const texts[] = {[CLI_TEXT] = "a text",
                                        [CLI_INTEGER] = "a whole number",
                                        [CLI_NUMBER] = "a number",
                                        [CLI_CHOICE] = "one of",
                                        [CLI_EXTENTS] = "numbers joined by x, as in"};
    return texts[kind];
}

/* NULL if the number that was stored is one that the option takes, else what it takes. */
static const char *range_missed(const cli_option *option, const void *settings)
{
    static const char *const texts[] = {[CLI_FROM_0] = "a number from 0",
                                        [CLI_FROM_1] = "a number from 1",
                                        [CLI_ABOVE_0] = "a number above 0"};
    const void *target = (const char *)settings + option->offset;
    if (option->range == CLI_ANY)
        return NULL;
    double value =
        option->kind == CLI_INTEGER ? (double)*(const int64_t *)target : *(const double *)target;
    bool good = option->range == CLI_FROM_0   ? value >= 0
                : option->range == CLI_FROM_1 ? value >= 1
                                              : value > 0;
    return good && isfinite(value) ? NULL : texts[option->range];
}

/* ---- parsing ---- */

typedef struct parser {
    const cli_command *command;
    char **argv; /* what is still to be read */
    void *settings;
    uint64_t seen; /* a bit for each row of the table */
    int code;
} parser;

static bool refuse(parser *p, int code)
{
    p->code = code;
    return false;
}

static bool refuse_unknown(parser *p, const char *argument, const char *name)
{
    const cli_option *options = p->command->options;
    size_t count = 0;
    while (options[count].name)
        count++;
    const char *nearest =
        *name ? cli_nearest(name, (const char *const *)&options->name, count, sizeof *options)
              : NULL;
    char hint[160];
    if (nearest)
        (void)snprintf(hint, sizeof hint, "Did you mean `--%s`?", nearest);
    else
        (void)snprintf(hint, sizeof hint, "`cornu %s --help` lists the options.", p->command->name);
    return refuse(p, cli_fail_usage(hint, "there is no option `%s`", argument));
}

static bool take(parser *p, const cli_option *option, const char *value)
{
    char spelled[80];
    (void)snprintf(spelled, sizeof spelled, "--%s", option->name);
    if (option->kind == CLI_FLAG && value)
        return refuse(p, cli_fail_usage(NULL, "%s takes no value, but got `%s`", spelled, value));
    if (option->kind != CLI_FLAG && !value) {
        value = *p->argv;
        if (!value || strncmp(value, "--", 2) == 0)
            return refuse(p, cli_fail_usage(NULL, "%s needs a value: %s %s", spelled, spelled,
                                            option->value));
        p->argv++;
    }
    p->seen |= UINT64_C(1) << (option - p->command->options);
    bool stored = store(option, value, p->settings);
    const char *takes = stored ? range_missed(option, p->settings) : NULL;
    if (takes)
        return refuse(p, cli_fail_usage(NULL, "%s takes %s, but got %s", spelled, takes, value));
    if (stored)
        return true;
    return refuse(p, cli_fail_usage(NULL, "%s takes %s %s, but got `%s`", spelled,
                                    expectation(option->kind), option->value, value));
}

static bool help_asked(parser *p)
{
    cli_print_help(p->command);
    return refuse(p, CLI_OK);
}

/* --name, --name=value */
static bool parse_long(parser *p, const char *argument)
{
    const char *name = argument + 2;
    size_t length = strcspn(name, "=");
    const char *value = name[length] ? name + length + 1 : NULL;
    char bare[LONGEST_NAME + 1];
    (void)snprintf(bare, sizeof bare, "%.*s", (int)(length < sizeof bare ? length : 0), name);
    if (strcmp(bare, help_option.name) == 0)
        return help_asked(p);
    for (const cli_option *option = p->command->options; option->name; option++)
        if (strcmp(bare, option->name) == 0)
            return take(p, option, value);
    return refuse_unknown(p, argument, bare);
}

/* -o value, -ovalue, and flags together: -ab */
static bool parse_short(parser *p, const char *argument)
{
    for (const char *letter = argument + 1; *letter; letter++) {
        if (*letter == help_option.letter)
            return help_asked(p);
        const cli_option *option = p->command->options;
        while (option->name && option->letter != *letter)
            option++;
        if (!option->name)
            return refuse_unknown(p, argument, letter);
        if (option->kind != CLI_FLAG)
            return take(p, option, letter[1] ? letter + 1 : NULL);
        if (!take(p, option, NULL))
            return false;
    }
    return true;
}

/* Word `index`, counted from 0, of the arguments' names. */
static const char *nth_word(const char *words, int index)
{
    for (; index > 0; index--)
        words += strcspn(words, " ") + (words[strcspn(words, " ")] == ' ');
    return words;
}

static bool check_complete(parser *p, int count)
{
    const cli_command *command = p->command;
    char hint[160];
    (void)snprintf(hint, sizeof hint, "usage: cornu %s%s%s [options]; `cornu %s --help` says more.",
                   command->name, *command->arguments ? " " : "", command->arguments,
                   command->name);
    if (count < command->least) {
        const char *missing = nth_word(command->arguments, count);
        return refuse(
            p, cli_fail_usage(hint, "%.*s is missing", (int)strcspn(missing, " ."), missing));
    }
    if (count > command->most)
        return refuse(p, cli_fail_usage(hint, "too many arguments"));
    for (int i = 0; command->options[i].name; i++)
        if (command->options[i].required && !(p->seen >> i & 1))
            return refuse(p, cli_fail_usage(hint, "--%s %s is missing", command->options[i].name,
                                            command->options[i].value));
    return true;
}

bool cli_parse(const cli_command *command, char **argv, int *count, void *settings, int *code)
{
    parser p = {.command = command, .argv = argv, .settings = settings};
    bool good = true, options_end = false;
    *count = 0;
    while (good && *p.argv) {
        char *argument = *p.argv++;
        if (options_end || argument[0] != '-' || argument[1] == '\0')
            argv[(*count)++] = argument;
        else if (strcmp(argument, "--") == 0)
            options_end = true;
        else if (argument[1] == '-')
            good = parse_long(&p, argument);
        else
            good = parse_short(&p, argument);
    }
    good = good && check_complete(&p, *count);
    *code = p.code;
    return good;
}
