/* A table on stdout: its columns are as wide as what stands in them. */
#ifndef CORNU_CLI_TABLE_H
#define CORNU_CLI_TABLE_H

#include <stdbool.h>

enum { CLI_TABLE_COLUMNS = 8, CLI_TABLE_CELL = 100 };

typedef char cli_table_row[CLI_TABLE_COLUMNS][CLI_TABLE_CELL];

/* Start with `align`, and zeros. */
typedef struct cli_table {
    const char *align; /* a letter for each column: l or r */
    int rows;
    cli_table_row *row;
} cli_table;

/* Adds a row of one text for each column; a longer one is cut off. False, after a message, without
 * memory. */
bool cli_table_add(cli_table *table, const char *const *texts);
/* Prints and frees what was added. */
void cli_table_print(cli_table *table);
void cli_table_free(cli_table *table);

#endif
