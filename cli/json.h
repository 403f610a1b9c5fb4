/* Writes JSON to stdout, indented, for the commands' --json. */
#ifndef CORNU_CLI_JSON_H
#define CORNU_CLI_JSON_H

#include <stdbool.h>
#include <stdint.h>

/* Start with zeros. */
typedef struct cli_json {
    int depth;
    bool inside; /* the innermost object or list has a member already */
} cli_json;

/* Every function takes the member's key, NULL inside a list and outside of everything. */
void cli_json_open(cli_json *json, const char *key, char bracket); /* '{' or '[' */
void cli_json_close(cli_json *json, char bracket); /* '}' or ']'; ends the line at last */
void cli_json_text(cli_json *json, const char *key, const char *text); /* null for NULL */
void cli_json_integer(cli_json *json, const char *key, int64_t value);
void cli_json_number(cli_json *json, const char *key, double value); /* null if not finite */
void cli_json_bool(cli_json *json, const char *key, bool value);
/* A list of numbers in one line. */
void cli_json_integers(cli_json *json, const char *key, const int64_t *values, int count);

#endif
