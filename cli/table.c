/* Tables. */
#include "table.h"

#include "cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool cli_table_add(cli_table *table, const char *const *texts)
{
    cli_table_row *longer = realloc(table->row, ((size_t)table->rows + 1) * sizeof *longer);
    if (!longer)
        return cli_fail("no memory"), false;
    table->row = longer;
    for (size_t i = 0; i < strlen(table->align); i++)
        (void)snprintf(longer[table->rows][i], CLI_TABLE_CELL, "%s", texts[i]);
    table->rows++;
    return true;
}

static int width_of(const cli_table *table, size_t column)
{
    size_t width = 0;
    for (int i = 0; i < table->rows; i++)
        if (strlen(table->row[i][column]) > width)
            width = strlen(table->row[i][column]);
    return (int)width;
}

static void trim(char *line)
{
    size_t length = strlen(line);
    while (length > 0 && line[length - 1] == ' ')
        line[--length] = '\0';
}

void cli_table_print(cli_table *table)
{
    char line[CLI_TABLE_COLUMNS * (CLI_TABLE_CELL + 2)];
    for (int i = 0; i < table->rows; i++) {
        int used = 0;
        for (size_t column = 0; table->align[column]; column++) {
            int width = width_of(table, column);
            used += snprintf(line + used, sizeof line - (size_t)used, "  %*s",
                             table->align[column] == 'l' ? -width : width, table->row[i][column]);
        }
        trim(line);
        (void)puts(line);
    }
    cli_table_free(table);
}

void cli_table_free(cli_table *table)
{
    free(table->row);
    table->row = NULL;
    table->rows = 0;
}
