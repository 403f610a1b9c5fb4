/* cornu: the table of sub-commands and what comes before and after one. */
#include "cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CLI_COMMAND(name) extern const cli_command cli_##name;
#include "commands.def"
#undef CLI_COMMAND

static const cli_command *const commands[] = {
#define CLI_COMMAND(name) &cli_##name,
#include "commands.def"
#undef CLI_COMMAND
};

enum { COMMANDS = sizeof commands / sizeof *commands };

static void print_overview(FILE *file)
{
    (void)fprintf(file,
                  "usage: cornu COMMAND [arguments] [options]\n"
                  "       cornu COMMAND --help\n"
                  "       cornu --help | --version\n\n"
                  "Convolutional networks in Keras' words and on Keras' files, with transposed\n"
                  "convolution as the speciality.\n\ncommands:\n");
    for (int i = 0; i < COMMANDS; i++)
        (void)fprintf(file, "  %-14s %s\n", commands[i]->name, commands[i]->help);
    (void)fprintf(file,
                  "\nexit codes:\n"
                  "  0    done\n"
                  "  1    the work failed: a file, a shape, memory\n"
                  "  2    the command line is wrong\n"
                  "  130  `train` was stopped by Ctrl-C; what it has learnt is saved\n\n"
                  "environment:\n"
                  "  CORNU_NUM_THREADS  threads to compute with; one per processor if not set\n"
                  "  CORNU_ISA          instruction set to use instead of the best one:\n"
                  "                     avx512, avx2, sse2, neon or generic\n"
                  "  CORNU_WINOGRAD     0: no minimal filtering, which has another rounding\n"
                  "  CORNU_VERBOSE      1: a line on stderr for every operation computed\n");
}

static const cli_command *find_command(const char *name)
{
    for (int i = 0; i < COMMANDS; i++)
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    const char *names[COMMANDS];
    for (int i = 0; i < COMMANDS; i++)
        names[i] = commands[i]->name;
    const char *nearest = cli_nearest(name, names, COMMANDS, sizeof *names);
    char hint[100];
    if (!cli_hint(hint, sizeof hint, nearest))
        (void)snprintf(hint, sizeof hint, "`cornu --help` lists the commands.");
    (void)cli_fail_usage(hint, "there is no command `%s`", name);
    return NULL;
}

/* ---- the environment ---- */

/* The instruction sets that the library may have been compiled for. */
static const char *const instruction_sets[] = {
#if defined(__x86_64__)
    "avx512",
    "avx2",
    "sse2",
#elif defined(__aarch64__)
    "neon",
#else
    "generic",
#endif
};

enum { INSTRUCTION_SETS = sizeof instruction_sets / sizeof *instruction_sets };

/* The library passes over what it does not know. */
static int check_environment(void)
{
    const char *isa = getenv("CORNU_ISA"), *threads = getenv("CORNU_NUM_THREADS");
    bool known = !isa || !*isa;
    char list[100] = "", *end = NULL;
    for (int i = 0; i < INSTRUCTION_SETS; i++) {
        known = known || strcmp(isa, instruction_sets[i]) == 0;
        (void)snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s", i ? ", " : "",
                       instruction_sets[i]);
    }
    if (!known)
        return cli_fail_usage(NULL, "CORNU_ISA is `%s`, but there are here: %s", isa, list);
    long count = threads && *threads ? strtol(threads, &end, 10) : 1;
    if (count < 1 || count > 1024 || (end && *end))
        return cli_fail_usage(NULL, "CORNU_NUM_THREADS is a number from 1 to 1024, but it is `%s`",
                              threads);
    return CLI_OK;
}

static int run_command(const cli_command *command, char **argv)
{
    cli_set_name(command->name);
    int environment = check_environment();
    if (environment != CLI_OK)
        return environment;
    cli_trace_if_asked();
    void *settings = calloc(1, command->settings_size + 1);
    if (!settings)
        return cli_fail("no memory");
    if (command->defaults)
        memcpy(settings, command->defaults, command->settings_size);
    int code, count;
    if (cli_parse(command, argv, &count, settings, &code))
        code = command->run(settings, count, argv);
    free(settings);
    return code;
}

static int run(int argc, char **argv)
{
    if (argc < 2) {
        print_overview(stderr);
        return CLI_USAGE;
    }
    const char *first = argv[1];
    if (strcmp(first, "--version") == 0) {
        (void)printf("cornu %s\n", cn_version());
        return CLI_OK;
    }
    bool help =
        strcmp(first, "help") == 0 || strcmp(first, "--help") == 0 || strcmp(first, "-h") == 0;
    if (help && argc < 3) {
        print_overview(stdout);
        return CLI_OK;
    }
    const cli_command *command = find_command(help ? argv[2] : first);
    if (!command)
        return CLI_USAGE;
    if (!help)
        return run_command(command, argv + 2);
    cli_print_help(command);
    return CLI_OK;
}

/* What could not be written to the standard output is a failure like any other. */
int main(int argc, char **argv)
{
    int code = run(argc, argv);
    bool written = fflush(stdout) == 0 && !ferror(stdout);
    if (!written && code == CLI_OK)
        code = cli_fail("the standard output cannot be written");
    return code;
}
