/* Callbacks of `cornu train`, and signals. */
#define _POSIX_C_SOURCE 200809L /* sigaction */
#include "train.h"

#include <signal.h>
#include <stdlib.h>

/* ---- signals ---- */

static volatile sig_atomic_t stopped;

static void stop(int signal_number)
{
    (void)signal_number;
    stopped = 1;
}

void train_catch_signals(void)
{
    struct sigaction action = {.sa_handler = stop, .sa_flags = (int)SA_RESETHAND | SA_RESTART};
    (void)sigemptyset(&action.sa_mask);
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
}

bool train_was_stopped(void)
{
    return stopped != 0;
}

/* ---- saving ---- */

/* Stands behind all others, so that the file has their states as they are after the event. */
static cn_status keep(void *context, cn_event event, cn_training *training)
{
    const train_settings *s = context;
    bool due = s->save_every > 0 && (training->batch + 1) % s->save_every == 0;
    if (stopped)
        training->stop = true;
    bool save = event == CN_EPOCH_END || event == CN_TRAIN_END || (event == CN_BATCH_END && due);
    return save ? cn_model_save(training->model, s->output) : CN_OK;
}

/* ---- all of them ---- */

/* False, freeing all, if the callback is NULL. */
static bool add(train_callbacks *c, cn_callback *callback)
{
    if (callback) {
        c->items[c->count++] = callback;
        return true;
    }
    while (c->count > 0)
        cn_callback_free(c->items[--c->count]);
    return false;
}

static bool add_all(train_callbacks *c, const train_settings *s, const char *monitor, bool resumed)
{
    if (!add(c, progress_callback((progress_style)s->progress)))
        return false;
    if (s->reduce_lr > 0 &&
        !add(c, cn_reduce_lr_on_plateau(.monitor = monitor, .patience = s->reduce_lr)))
        return false;
    if (s->early_stopping >= 0 &&
        !add(c, cn_early_stopping(.monitor = monitor, .patience = s->early_stopping)))
        return false;
    if (s->csv && !add(c, cn_csv_logger(s->csv, resumed)))
        return false;
    if (s->tensorboard && !add(c, cn_tensor_board(s->tensorboard)))
        return false;
    /* the settings are only read, and outlive the callback */
    void *context = (void *)(uintptr_t)s;
    return add(c, cn_callback(.run = keep, .context = context, .name = "keep"));
}

cn_status train_make_callbacks(train_callbacks *callbacks, const train_settings *settings,
                               bool validated, bool resumed)
{
    const char *monitor = validated ? "val_loss" : "loss";
    return add_all(callbacks, settings, monitor, resumed) ? CN_OK : cn_error_status();
}
