/* What `cornu train` is told, and what it does while it trains. */
#ifndef CORNU_CLI_TRAIN_H
#define CORNU_CLI_TRAIN_H

#include "lesson.h"
#include "progress.h"

typedef struct train_settings {
    lesson_options lesson;
    const char *data, *output, *validation_data, *augment, *csv, *tensorboard, *curve;
    int64_t epochs, seed, early_stopping, reduce_lr, save_every;
    double validation_split, learning_rate;
    int progress; /* progress_style */
    bool no_shuffle, resume, force;
} train_settings;

extern const cli_command cli_train;

enum { TRAIN_CALLBACKS = 8 };

typedef struct train_callbacks {
    int count;
    cn_callback *items[TRAIN_CALLBACKS];
} train_callbacks;

/* Makes them; frees them if it fails. The last one saves the model after every epoch, after
 * --save-every batches, and in the end; it fails instead when the loss is no number any more.
 * `settings` are lent. */
cn_status train_make_callbacks(train_callbacks *callbacks, const train_settings *settings,
                               bool validated, bool resumed);

/* The loss that was no number and ended the training, or NULL. */
typedef struct train_loss {
    const char *name; /* "loss", "val_loss" */
    double value;
    int64_t epoch, batch; /* counted from 1; batch 0: the whole epoch */
} train_loss;
const train_loss *train_bad_loss(void);

/* Removes temporary files of OUT that a killed run has left. */
void train_remove_leftovers(const char *output);

/* From here on SIGINT and SIGTERM end the training after the batch at hand; a second one ends the
 * program. */
void train_catch_signals(void);
bool train_was_stopped(void);

/* ---- train_report.c ---- */

/* What is drawn in the end must not fail for its name then. `path` may be NULL. An exit code. */
int train_check_curve(const char *path);
int train_draw_curve(const cn_model *model, const train_settings *settings);
/* Prints "model.keras: 10 epochs, loss 0.1234" with the numbers of the last, and what came of
 * --early-stopping. */
void train_report(const cn_model *model, const train_settings *settings, bool validated);
/* Tells why the training failed; an exit code. */
int train_fail(const train_settings *settings, bool resumed);

#endif
