/* A callback that saves the model. Rules: keras/src/callbacks/model_checkpoint.py. */
#include "formats/log_file.h"

#include "cornu/formats.h"
#include "data/data.h"
#include "models/callback.h"

#include <ctype.h>
#include <string.h>

static const char who[] = "model_checkpoint";

enum { best, batches, numbers }; /* the state; batches: since the last time it was saved */

typedef struct checkpoint {
    cn_model_checkpoint_options o;
    cn__monitor monitor;
    char *pattern;
    double state[numbers];
} checkpoint;

static void release(void *context)
{
    checkpoint *c = context;
    cn__free(c->monitor.name);
    cn__free(c->pattern);
    cn__free(c);
}

/* ---- the file's name ---- */

/* {name:[0][width][.precision][type]}, of what Python's format strings know. */
typedef struct place {
    const char *name;
    int name_length;
    bool zeros;
    int width, precision; /* precision -1: none */
    char type;            /* 0: none */
    const char *end;      /* after the brace */
} place;

enum { most_width = 30 };

static int read_digits(const char **at)
{
    int number = 0;
    for (; isdigit((unsigned char)**at); (*at)++)
        number = (int)cn__min(10 * number + (**at - '0'), most_width + 1);
    return number;
}

static cn_status read_place(const char *pattern, const char *at, place *p)
{
    *p = (place){.name = at, .name_length = (int)strcspn(at, ":{}"), .precision = -1};
    at += p->name_length;
    if (*at == ':') {
        at++;
        p->zeros = *at == '0';
        p->width = read_digits(&at);
        if (*at == '.' && isdigit((unsigned char)at[1])) {
            at++;
            p->precision = read_digits(&at);
        }
        if (*at && strchr("defg", *at))
            p->type = *at++;
    }
    bool legal = p->width <= most_width && p->precision <= most_width && p->name_length > 0;
    if (*at != '}' || !legal || (p->type == 'd' && p->precision >= 0))
        return cn__fail(CN_ERROR_ARGUMENT,
                        "%s: %s: \"{%.40s\" is no place for a number; there may be {epoch}, "
                        "{epoch:02d}, {val_loss:.4f}, with the types d, e, f and g, widths and "
                        "precisions of at most %d, and {{ and }} for braces",
                        who, pattern, p->name, most_width);
    p->end = at + 1;
    return CN_OK;
}

static void format_place(const place *p, bool whole, double number, char *text, size_t size)
{
    char plain[CN__NUMBER_SIZE];
    int width = p->width, precision = p->precision < 0 ? 6 : p->precision;
    if (whole && (p->type == 'd' || p->type == 0))
        (void)snprintf(text, size, p->zeros ? "%0*lld" : "%*lld", width, (long long)number);
    else if (p->type == 'f')
        (void)snprintf(text, size, p->zeros ? "%0*.*f" : "%*.*f", width, precision, number);
    else if (p->type == 'e')
        (void)snprintf(text, size, p->zeros ? "%0*.*e" : "%*.*e", width, precision, number);
    else if (p->type == 'g' || p->precision >= 0)
        (void)snprintf(text, size, p->zeros ? "%0*.*g" : "%*.*g", width, precision, number);
    else
        (void)snprintf(text, size, "%*s", width, cn__number_text(number, plain));
    cn__use_point(text);
}

static bool is_name(const place *p, const char *name)
{
    return strlen(name) == (size_t)p->name_length &&
           memcmp(p->name, name, (size_t)p->name_length) == 0;
}

/* The number for a place; `whole` if it is an integer. */
static cn_status find_number(const checkpoint *c, const place *p, const cn_training *t, bool *whole,
                             double *number)
{
    bool is_batch = is_name(p, "batch") && c->o.save_freq > 0;
    *whole = is_name(p, "epoch") || is_batch;
    if (*whole) {
        *number = (double)((is_batch ? t->batch : t->epoch) + 1);
        return CN_OK;
    }
    for (int i = 0; i < t->logs.count; i++)
        if (is_name(p, t->logs.names[i])) {
            *number = t->logs.values[i];
            if (p->type != 'd')
                return CN_OK;
            return cn__fail(CN_ERROR_ARGUMENT, "%s: %s: %s is no whole number: write {%s:.4f}", who,
                            c->pattern, t->logs.names[i], t->logs.names[i]);
        }
    char names[500];
    return cn__fail(CN_ERROR_NOT_FOUND,
                    "%s: %s: there is no %.*s; the names there are: epoch, %s%s", who, c->pattern,
                    p->name_length, p->name, c->o.save_freq > 0 ? "batch, " : "",
                    cn__logs_list(t->logs, names, sizeof names));
}

/* The path, to be freed with cn__free. Without a training only the pattern is checked. */
static cn_status make_path(const checkpoint *c, const cn_training *t, char **path)
{
    size_t capacity = 0, used = 0;
    for (const char *at = c->pattern; *at;) {
        char text[400] = {*at, '\0'}; /* the largest number has 309 digits before the point */
        place p = {.end = at + 1};
        bool whole = false;
        double number = 0;
        if ((*at == '{' || *at == '}') && at[1] == *at)
            p.end = at + 2;
        else if (*at == '{' || *at == '}') {
            CN__TRY(read_place(c->pattern, at + (*at == '{'), &p));
            if (t)
                CN__TRY(find_number(c, &p, t, &whole, &number));
            format_place(&p, whole, number, text, sizeof text);
        }
        size_t length = strlen(text);
        CN__TRY(cn__grow(path, &capacity, used, used + length + 1, 1));
        memcpy(*path + used, text, length + 1);
        used += length;
        at = p.end;
    }
    return CN_OK;
}

/* ---- saving ---- */

static cn_status save(const checkpoint *c, const cn_training *training)
{
    char *path = NULL;
    cn_status status = make_path(c, training, &path);
    if (status == CN_OK)
        status = cn__make_folders_for(path);
    if (status == CN_OK)
        status = cn_model_save(training->model, path);
    cn__free(path);
    return status;
}

static cn_status save_if_best(checkpoint *c, const cn_training *training)
{
    double value;
    if (c->o.save_best_only) {
        CN__TRY(cn__monitor_value(&c->monitor, who, training->logs, &value));
        if (!cn__monitor_improves(&c->monitor, value, c->state[best]))
            return CN_OK;
        c->state[best] = value;
    }
    return save(c, training);
}

/* The state changes before the model is saved, so that the file has it as it is afterwards. */
static cn_status run(void *context, cn_event event, cn_training *training)
{
    checkpoint *c = context;
    if (event == CN_EPOCH_END && c->o.save_freq == 0)
        return save_if_best(c, training);
    if (event != CN_BATCH_END || c->o.save_freq == 0)
        return CN_OK;
    c->state[batches]++;
    if (c->state[batches] < (double)c->o.save_freq)
        return CN_OK;
    c->state[batches] = 0;
    return save_if_best(c, training);
}

/* ---- making ---- */

static bool ends_with(const char *text, const char *ending)
{
    size_t length = strlen(text), tail = strlen(ending);
    return length >= tail && strcmp(text + length - tail, ending) == 0;
}

static cn_status check_path(const checkpoint *c)
{
    const char *path = c->pattern;
    bool weights = ends_with(path, ".weights.h5");
    if (c->o.save_weights_only && !weights)
        return cn__fail(CN_ERROR_ARGUMENT,
                        "%s: with .save_weights_only the path must end in .weights.h5, but is %s",
                        who, path);
    if (!c->o.save_weights_only &&
        (weights || !(ends_with(path, ".keras") || ends_with(path, ".h5"))))
        return cn__fail(CN_ERROR_ARGUMENT,
                        "%s: the path must end in .keras or .h5, or with .save_weights_only in "
                        ".weights.h5, but is %s",
                        who, path);
    if (c->o.save_freq < 0)
        return cn__fail(CN_ERROR_ARGUMENT, "%s: save_freq must be at least 0, not %lld", who,
                        (long long)c->o.save_freq);
    char *made = NULL;
    cn_status status = make_path(c, NULL, &made);
    cn__free(made);
    return status;
}

static cn_status init(checkpoint *c, const char *path, const cn_model_checkpoint_options *options)
{
    CN__TRY(cn__take_options(who, &c->o, sizeof c->o, options));
    c->pattern = cn__strdup(path);
    if (!c->pattern)
        return CN_ERROR_MEMORY;
    CN__TRY(check_path(c));
    CN__TRY(cn__monitor_init(&c->monitor, c->o.monitor, c->o.mode, 0));
    c->state[best] =
        c->o.has_initial_value ? c->o.initial_value_threshold : cn__monitor_worst(&c->monitor);
    return CN_OK;
}

cn_callback *cn_model_checkpoint_new(const char *path, const cn_model_checkpoint_options *options)
{
    if (!path)
        return (void)cn__fail_null_argument(who), NULL;
    checkpoint *c = cn__calloc(1, sizeof *c);
    if (!c)
        return NULL;
    if (init(c, path, options) != CN_OK) {
        release(c);
        return NULL;
    }
    cn_callback *callback = cn_callback(.run = run, .release = release, .context = c, .name = who,
                                        .state_count = numbers, .state = c->state);
    if (callback)
        callback->last = true;
    return callback;
}
