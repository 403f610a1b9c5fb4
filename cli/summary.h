/* The memory that `cornu summary --memory` tells. */
#ifndef CORNU_CLI_SUMMARY_H
#define CORNU_CLI_SUMMARY_H

#include "json.h"
#include "subject.h"

typedef struct summary_memory {
    cn_model *model;
    cn_shape *shapes; /* of the inputs */
    cn_memory plan;
} summary_memory;

/* As text, and as the JSON object "memory"; an exit code. */
int summary_print_memory(const summary_memory *memory);
int summary_json_memory(cli_json *json, const summary_memory *memory);

#endif
