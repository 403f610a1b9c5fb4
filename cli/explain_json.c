/* The JSON of `cornu explain`. */
#include "explain.h"
#include "json.h"

#include <string.h>

static void print_json_axis(cli_json *json, const explanation *e, const explain_axis *a)
{
    cli_json_open(json, NULL, '{');
    cli_json_text(json, "name", a->name);
    const struct {
        const char *key;
        int64_t value;
        bool transposed;
    } numbers[] = {
        {"in", a->in, false},
        {"kernel", a->kernel, false},
        {"stride", a->stride, false},
        {"dilation", a->dilation, false},
        {"out", a->out, false},
        {"before", a->before, false},
        {"after", a->after, false},
        {"output_padding_most", a->stride - 1, true},
        {"out_with_output_padding_0", a->smallest, true},
        {"overlap_least", a->least, true},
        {"overlap_most", a->most, true},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (e->of.transposed || !numbers[i].transposed)
            cli_json_integer(json, numbers[i].key, numbers[i].value);
    cli_json_close(json, '}');
}

static void print_json_torch(cli_json *json, const explanation *e)
{
    int64_t extra[3];
    for (int i = 0; i < e->of.conv.rank; i++)
        extra[i] = e->axis[i].torch_extra;
    if (!e->torch) {
        cli_json_text(json, "pytorch", NULL);
        return;
    }
    cli_json_open(json, "pytorch", '{');
    cli_json_integers(json, "padding", e->of.conv.before, e->of.conv.rank);
    if (e->of.transposed)
        cli_json_integers(json, "output_padding", extra, e->of.conv.rank);
    cli_json_close(json, '}');
}

static void print_json_shape(cli_json *json, const char *key, const int64_t *spatial, int rank,
                             int64_t a, int64_t b)
{
    int64_t shape[5];
    memcpy(shape, spatial, (size_t)rank * sizeof *shape);
    shape[rank] = a;
    shape[rank + 1] = b;
    cli_json_integers(json, key, shape, rank + (b > 0 ? 2 : 1));
}

void explain_print_json(const explanation *e)
{
    const cn_conv *c = &e->of.conv;
    int64_t weights = cn_conv_kernel_count(c, e->of.transposed);
    cli_json json = {0};
    cli_json_open(&json, NULL, '{');
    cli_json_text(&json, "operation", e->of.name);
    cli_json_text(&json, "padding", e->of.padding_name);
    print_json_shape(&json, "input", c->in, c->rank, c->in_channels, 0);
    print_json_shape(&json, "output", c->out, c->rank, c->out_channels, 0);
    if (e->of.transposed)
        print_json_shape(&json, "kernel", c->kernel, c->rank, c->out_channels / c->groups,
                         c->in_channels);
    else
        print_json_shape(&json, "kernel", c->kernel, c->rank, c->in_channels / c->groups,
                         c->out_channels);
    cli_json_integer(&json, "groups", c->groups);
    cli_json_integer(&json, "weights", weights);
    cli_json_integer(&json, "parameters", weights + c->out_channels);
    cli_json_number(&json, "multiplications", cn_conv_multiplications(c, e->of.transposed));
    cli_json_open(&json, "axes", '[');
    for (int i = 0; i < c->rank; i++)
        print_json_axis(&json, e, &e->axis[i]);
    cli_json_close(&json, ']');
    print_json_torch(&json, e);
    cli_json_close(&json, '}');
}
