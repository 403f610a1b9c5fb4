/* Floor 5, for the library's own use: what each epoch gave, and records by name. */
#ifndef CORNU_SRC_HISTORY_H
#define CORNU_SRC_HISTORY_H

#include "models/training.h"

/* ---- history (history.c) ---- */

cn_history *cn__history_new(void);
void cn__history_free(cn_history *history);
/* Adds an epoch. A name that is new is NaN for the epochs before, one that is missing NaN for this
 * one. On failure the history is as it was. */
cn_status cn__history_append(cn_history *history, cn_logs logs);
/* Puts other logs in the place of the last epoch's; names that only those had stay. On failure the
 * history is as it was. */
cn_status cn__history_replace_last(cn_history *history, cn_logs logs);
/* Forgets all epochs and names. */
void cn__history_clear(cn_history *history);

/* Adds a record "history/NAME" for each name. */
cn_status cn__history_to_records(const cn_history *history, cn__records *records);
/* Makes the history that of the records with such names; others are passed over. */
cn_status cn__history_from_records(cn_history *history, const cn__records *records);

/* ---- records (records.c) ---- */

/* Adds a copy to records that hold nothing (then it makes their arena) or only what this function
 * added. */
cn_status cn__records_add(cn__records *records, const char *name, int64_t count,
                          const double *values);
/* The record of that name, NULL if there is none. */
const cn__record *cn__records_find(const cn__records *records, const char *name);

#endif
