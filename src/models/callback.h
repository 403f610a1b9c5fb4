/* Floor 5, for the library's own use: lists of callbacks, and what callbacks share. */
#ifndef CORNU_SRC_CALLBACK_H
#define CORNU_SRC_CALLBACK_H

#include "base/base.h"
#include "models/training.h"

/* ---- callbacks (callback.c) ---- */

struct cn_callback {
    cn_callback_functions functions;
    char *name;
    bool last; /* is run after all that are not: it writes down what they leave behind */
};

/* Fails if one of them is NULL: its constructor failed. */
cn_status cn__callbacks_check(cn_callback_list list);
/* Runs them in order, those that are `last` in a second round. The first failure ends it, but
 * CN_TRAIN_END goes to all; the first failure is then the one on record. */
cn_status cn__callbacks_run(cn_callback_list list, cn_event event, cn_training *training);
/* One of the rounds. */
cn_status cn__callbacks_run_round(cn_callback_list list, bool last, cn_event event,
                                  cn_training *training);
void cn__callbacks_free(cn_callback_list list);
const char *cn__callback_name(const cn_callback *callback);

/* Adds the callbacks' states to the records, by their names. */
cn_status cn__callbacks_to_records(cn_callback_list list, cn__records *records);
/* Gives the callbacks their states back. To be called after CN_TRAIN_BEGIN, which may make room for
 * them. A callback without a record of as many numbers begins anew. */
cn_status cn__callbacks_from_records(cn_callback_list list, const cn__records *records);

/* ---- watching a log (monitor.c) ---- */

typedef struct cn__monitor {
    char *name;
    bool more; /* is better */
    double min_delta;
} cn__monitor;
/* `name` may be NULL: "val_loss". To be freed with cn__free(monitor->name). */
cn_status cn__monitor_init(cn__monitor *monitor, const char *name, cn_better mode,
                           double min_delta);
/* What every number is better than. */
double cn__monitor_worst(const cn__monitor *monitor);
/* True if `value` is better than `other`, by more than min_delta. Never for NaN. */
bool cn__monitor_improves(const cn__monitor *monitor, double value, double other);
/* The number in the logs; fails if there is none. */
cn_status cn__monitor_value(const cn__monitor *monitor, const char *who, cn_logs logs,
                            double *value);

/* ---- logs (logs.c) ---- */

/* The place of a name, -1 if it is not there. */
int cn__logs_find(cn_logs logs, const char *name);
/* Writes "loss, accuracy" into `text`, as many names as fit, and returns it. */
char *cn__logs_list(cn_logs logs, char *text, size_t size);

/* Logs with one more: memory for them, which a callback keeps. */
typedef struct cn__more_logs {
    const char **names;
    double *values;
    size_t name_capacity, value_capacity;
} cn__more_logs;
/* Makes `*logs` a copy with the number `value` of that name (lent) in it. */
cn_status cn__logs_put(cn__more_logs *more, cn_logs *logs, const char *name, double value);
void cn__more_logs_free(cn__more_logs *more);

#endif
