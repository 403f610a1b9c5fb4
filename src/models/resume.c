/* What outlives a training: its history, and the records by which another one goes on with it. */
#include "models/callback.h"
#include "models/fit.h"

#include <stdio.h>
#include <string.h>

void cn__fitting_free(cn__fitting *fitting)
{
    if (fitting == NULL)
        return;
    cn__history_free(fitting->history);
    cn__records_free(&fitting->resumed);
    cn__free(fitting);
}

cn__fitting *cn__fitting_of(cn_model *model)
{
    if (model->fitting != NULL)
        return model->fitting;
    cn__fitting *fitting = cn__calloc(1, sizeof *fitting);
    if (fitting == NULL || (fitting->history = cn__history_new()) == NULL) {
        cn__free(fitting);
        return NULL;
    }
    return model->fitting = fitting;
}

const cn_history *cn_model_history(const cn_model *model)
{
    return model != NULL && model->fitting != NULL ? model->fitting->history : NULL;
}

static cn_status add_number(cn__records *records, const char *name, double value)
{
    return cn__records_add(records, name, 1, &value);
}

static cn_status add_sums(cn__compiled *c, cn__records *records)
{
    int sum_count = 0;
    const double *sums = cn__trainer_sums(c, &sum_count);
    CN__TRY(cn__records_add(records, "sums", sum_count, sums));
    for (int i = 0; i < c->watched_count; i++) {
        char name[40];
        int count = 0;
        const double *state = cn__metric_state(c->watched[i].metric, &count);
        (void)snprintf(name, sizeof name, "metric/%d", i);
        CN__TRY(cn__records_add(records, name, count, state));
    }
    return CN_OK;
}

static cn_status collect(const cn_model *model, cn__records *records)
{
    const cn__fitting *fitting = model->fitting;
    CN__TRY(add_number(records, "epoch", (double)fitting->epoch));
    CN__TRY(add_number(records, "batch", (double)fitting->batch));
    if (fitting->ended != NULL)
        CN__TRY(cn__history_replace_last(fitting->history, *fitting->ended));
    CN__TRY(cn__history_to_records(fitting->history, records));
    if (fitting->in_progress)
        CN__TRY(cn__callbacks_to_records(fitting->callbacks, records));
    if (fitting->batch == 0 || model->compiled == NULL)
        return CN_OK;
    return add_sums(model->compiled, records);
}

static cn_status copy_records(const cn__records *from, cn__records *to)
{
    for (int i = 0; i < from->count; i++) {
        const cn__record *r = &from->items[i];
        CN__TRY(cn__records_add(to, r->name, r->count, r->values));
    }
    return CN_OK;
}

/* A model that was loaded and not trained since keeps what it was loaded with. */
cn_status cn__training_records(const cn_model *model, cn__records *records)
{
    *records = (cn__records){0};
    const cn__fitting *fitting = model->fitting;
    if (fitting == NULL)
        return CN_OK;
    bool untouched = !fitting->in_progress && fitting->resumed.count > 0;
    cn_status status =
        untouched ? copy_records(&fitting->resumed, records) : collect(model, records);
    if (status != CN_OK)
        cn__records_free(records);
    return status;
}

void cn__records_free(cn__records *records)
{
    cn__arena_free(records->arena);
    *records = (cn__records){0};
}

cn_status cn__training_resume(cn_model *model, const cn__records *records)
{
    cn__fitting *fitting = cn__fitting_of(model);
    cn__records copy = {0};
    if (fitting == NULL)
        return cn_error_status();
    if (copy_records(records, &copy) != CN_OK) {
        cn__records_free(&copy);
        return cn_error_status();
    }
    cn__records_free(&fitting->resumed);
    fitting->resumed = copy;
    return cn__history_from_records(fitting->history, &copy);
}

int64_t cn__records_whole(const cn__records *records, const char *name)
{
    const cn__record *r = cn__records_find(records, name);
    bool is_whole = r != NULL && r->count == 1 && r->values[0] >= 0 && r->values[0] < 1e15;
    return is_whole ? (int64_t)r->values[0] : 0;
}

/* Copies a record of exactly `count` numbers. */
static bool restore(const cn__records *records, const char *name, int count, double *values)
{
    const cn__record *r = cn__records_find(records, name);
    if (r == NULL || r->count != count)
        return false;
    memcpy(values, r->values, (size_t)count * sizeof *values);
    return true;
}

cn_status cn__sums_keep(const cn_model *model, cn__records *records)
{
    *records = (cn__records){0};
    if (model->fitting == NULL || !model->fitting->in_progress)
        return CN_OK;
    cn_status status = add_sums(model->compiled, records);
    if (status != CN_OK)
        cn__records_free(records);
    return status;
}

bool cn__sums_restore(cn__compiled *c, const cn__records *records)
{
    int count = 0;
    double *sums = cn__trainer_sums(c, &count);
    bool all = sums != NULL && restore(records, "sums", count, sums);
    for (int i = 0; i < c->watched_count; i++) {
        char name[40];
        double *state = cn__metric_state(c->watched[i].metric, &count);
        (void)snprintf(name, sizeof name, "metric/%d", i);
        all = all && restore(records, name, count, state);
    }
    return all;
}
