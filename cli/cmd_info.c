/* cornu info: what this build is and what it computes with. */
#include "cli.h"
#include "json.h"

#include <stdio.h>

typedef struct settings {
    bool json;
} settings;

static const cli_option options[] = {
    {.name = "json", .kind = CLI_FLAG, .offset = offsetof(settings, json), .help = "print JSON"},
    {0},
};

static int run(const void *given, int count, char **arguments)
{
    (void)count;
    (void)arguments;
    const settings *s = given;
    cn_pool *pool = cn_pool_new(0);
    if (!pool)
        return cli_fail_library();
    int threads = cn_pool_threads(pool);
    cn_pool_free(pool);
    if (s->json) {
        cli_json json = {0};
        cli_json_open(&json, NULL, '{');
        cli_json_text(&json, "version", cn_version());
        cli_json_text(&json, "instruction_set", cn_isa_name());
        cli_json_integer(&json, "threads", threads);
        cli_json_close(&json, '}');
        return CLI_OK;
    }
    (void)printf("version          %s\ninstruction set  %s\nthreads          %d\n", cn_version(),
                 cn_isa_name(), threads);
    return CLI_OK;
}

const cli_command cli_info = {
    .name = "info",
    .help = "show the version, the instruction set in use and the number of threads",
    .arguments = "",
    .options = options,
    .details = "CORNU_ISA lowers the instruction set, CORNU_NUM_THREADS sets the threads.\n",
    .settings_size = sizeof(settings),
    .run = run,
};
