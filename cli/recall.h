/* Settings that a later run of a command remembers: a text file beside its output. */
#ifndef CORNU_CLI_RECALL_H
#define CORNU_CLI_RECALL_H

#include "cli.h"

/* Writes the argument and the settings that differ from the defaults as lines, in one step: the
 * file is as it was, or whole. An exit code. */
int recall_write(const char *path, const cli_command *command, const char *argument,
                 const void *settings);

/* What such a file holds. */
typedef struct recall {
    char *memory;         /* that the texts lie in */
    const char *argument; /* lent */
    void *settings;       /* of command->settings_size bytes */
} recall;

/* Reads it; an exit code. recall_free() is due in any case. */
int recall_read(const char *path, const cli_command *command, recall *r);
void recall_free(recall *r);

/* Puts the remembered settings in the place of those that were not given (that have their
 * defaults). Given ones that are not the same are refused with the hint, unless their names are in
 * `free_names` (ending with NULL), which may change. An exit code. */
int recall_merge(const recall *r, const cli_command *command, const char *const *free_names,
                 const char *hint, void *settings);

#endif
