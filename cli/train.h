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
 * --save-every batches, and in the end. `settings` are lent. */
cn_status train_make_callbacks(train_callbacks *callbacks, const train_settings *settings,
                               bool validated, bool resumed);

/* From here on SIGINT and SIGTERM end the training after the batch at hand; a second one ends the
 * program. */
void train_catch_signals(void);
bool train_was_stopped(void);

#endif
