/* The frame of the command line: what a sub-command is, its options, and how it reports.
 *
 * A sub-command NAME is one file, cmd_NAME.c, that defines `const cli_command cli_NAME`; a line in
 * commands.def adds it. Its options are a table over a struct of settings: the table is parsed, and
 * printed as --help, by options.c. Commands use Cornu's public headers only. */
#ifndef CORNU_CLI_H
#define CORNU_CLI_H

#include "cornu/base.h"

/* Exit codes. */
enum {
    CLI_OK = 0,
    CLI_FAILED = 1,   /* the work failed: a file, a shape, memory */
    CLI_USAGE = 2,    /* the command line is wrong */
    CLI_STOPPED = 130 /* a signal ended it; what was done is saved */
};

typedef enum cli_kind {
    CLI_FLAG,    /* bool */
    CLI_TEXT,    /* const char *, lent from argv */
    CLI_INTEGER, /* int64_t */
    CLI_NUMBER,  /* double */
    CLI_CHOICE,  /* int: the place in `value`, which reads "first|second|third" */
    CLI_EXTENTS  /* cli_extents, from 32x32x3 or 32,32,3 */
} cli_kind;

/* The numbers that a CLI_INTEGER or CLI_NUMBER takes. */
typedef enum cli_range { CLI_ANY, CLI_FROM_0, CLI_FROM_1, CLI_ABOVE_0 } cli_range;

typedef struct cli_extents {
    int rank; /* 0: not given */
    int64_t dim[CN_MAX_RANK];
} cli_extents;

typedef struct cli_option {
    const char *name;  /* without the dashes */
    char letter;       /* the short form, or 0 */
    cli_kind kind;     /* the type of the member of the settings ... */
    size_t offset;     /* ... at this offset */
    const char *value; /* what the value is called in --help; NULL for a flag */
    const char *help;  /* lines after the first are indented like it */
    bool required;
    cli_range range;
} cli_option;

typedef struct cli_command {
    const char *name;
    const char *help;          /* one line */
    const char *arguments;     /* the arguments without options, as written in the usage line */
    int least, most;           /* how many of them */
    const cli_option *options; /* a row without a name ends the table */
    const char *details;       /* the end of --help, or NULL */
    size_t settings_size;
    const void *defaults; /* settings_size bytes; NULL means zeros */
    /* Does the work and returns an exit code. `arguments` are `count` texts. */
    int (*run)(const void *settings, int count, char **arguments);
} cli_command;

/* Parses `argv` (without the command's name) into `settings`, which holds the defaults, and moves
 * the other arguments to the front: *count of them. Returns true to go on; false to end with *code,
 * after --help or a wrong usage. */
bool cli_parse(const cli_command *command, char **argv, int *count, void *settings, int *code);

void cli_print_help(const cli_command *command);

/* The one of `count` names that `text` may have meant, or NULL. `stride` is the distance between
 * the pointers to names in bytes. */
const char *cli_nearest(const char *text, const char *const *names, size_t count, size_t stride);

/* "Did you mean `NEAREST`?" in `text`, which is returned; NULL if `nearest` is. */
const char *cli_hint(char *text, size_t size, const char *nearest);

/* Sets the name that errors start with: "cornu NAME: ...". */
void cli_set_name(const char *name);
/* Prints what every operation does, if CORNU_VERBOSE is set (verbose.c). */
void cli_trace_if_asked(void);
/* Print one line to stderr and return the exit code. `hint` is printed as a second line unless it
 * is NULL. cli_fail_library() prints the library's message. */
int cli_fail(const char *format, ...) CN_PRINTF(1, 2);
int cli_fail_usage(const char *hint, const char *format, ...) CN_PRINTF(2, 3);
int cli_fail_library(void);
/* Prints one line to stderr about something that is no failure. */
void cli_note(const char *format, ...) CN_PRINTF(1, 2);

#endif
