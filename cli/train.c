/* Callbacks of `cornu train`, and signals. */
#define _POSIX_C_SOURCE 200809L /* sigaction */
#include "feed.h"
#include "train.h"

#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* ---- a loss that is no number ---- */

static train_loss bad_loss;

const train_loss *train_bad_loss(void)
{
    return bad_loss.name ? &bad_loss : NULL;
}

/* False if it is one; logs are means over the epoch so far, which stay what they are then. */
static bool check_loss(cn_event event, const cn_training *t)
{
    static const char *const names[] = {"loss", "val_loss"};
    int count = event == CN_BATCH_END ? 1 : event == CN_EPOCH_END ? 2 : 0;
    for (int i = 0; i < t->logs.count; i++)
        for (int n = 0; n < count; n++)
            if (strcmp(t->logs.names[i], names[n]) == 0 && !isfinite(t->logs.values[i]))
                bad_loss = (train_loss){names[n], t->logs.values[i], t->epoch + 1,
                                        event == CN_BATCH_END ? t->batch + 1 : 0};
    return bad_loss.name == NULL;
}

/* ---- saving ---- */

/* True once the model was saved as it was when a signal came: the best weights, which
 * early_stopping() puts back in the end, are not what --resume goes on with. */
static bool saved_as_stopped;

static cn_status keep_event(const train_settings *s, cn_event event, cn_training *t)
{
    bool last = event == CN_EPOCH_END && t->epoch + 1 == t->epochs;
    bool due = s->save_every > 0 && (t->batch + 1) % s->save_every == 0;
    bool within = event == CN_BATCH_END || (event == CN_EPOCH_END && !last);
    /* Where the training ends by itself it is saved once, then. */
    bool save = (event == CN_EPOCH_END && !last && !t->stop) || (event == CN_BATCH_END && due) ||
                (event == CN_TRAIN_END && !saved_as_stopped);
    if (stopped && within) {
        t->stop = save = saved_as_stopped = true;
    }
    return save ? cn_model_save(t->model, s->output) : CN_OK;
}

/* Stands behind all others, so that the file has their states as they are after the event. */
static cn_status keep(void *context, cn_event event, cn_training *training)
{
    if (!check_loss(event, training))
        return event == CN_TRAIN_END ? CN_OK : CN_ERROR_ARGUMENT;
    return keep_event(context, event, training);
}

/* ---- what a killed run has left ---- */

/* The process of a temporary file "NAME.PID-NUMBER" of the library, or "NAME.train.PID" of
 * recall_write(); 0 for any other file. */
static long process_of(const char *file, const char *name)
{
    size_t length = strlen(name);
    if (strncmp(file, name, length) != 0)
        return 0;
    bool settings = strncmp(file + length, ".train.", 7) == 0;
    const char *digits = file + length + (settings ? 7 : 1);
    if (!settings && file[length] != '.')
        return 0;
    size_t count = strspn(digits, "0123456789");
    const char *rest = digits + count;
    bool whole = settings
                     ? *rest == '\0'
                     : *rest == '-' && rest[1] && rest[1 + strspn(rest + 1, "0123456789")] == '\0';
    return whole && count > 0 && count < 10 ? strtol(digits, NULL, 10) : 0;
}

void train_remove_leftovers(const char *output)
{
    const char *name = feed_name(output);
    char path[8400];
    int length = (int)(name - output);
    (void)snprintf(path, sizeof path, "%.*s", length > 0 ? length : 1, length > 0 ? output : ".");
    DIR *folder = opendir(path);
    for (struct dirent *entry; folder && (entry = readdir(folder)) != NULL;) {
        long process = process_of(entry->d_name, name);
        if (process < 1 || kill((pid_t)process, 0) == 0 || errno != ESRCH)
            continue;
        (void)snprintf(path, sizeof path, "%.*s%s", length, output, entry->d_name);
        (void)remove(path);
    }
    if (folder)
        (void)closedir(folder);
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
        !add(c, cn_early_stopping(.monitor = monitor, .patience = s->early_stopping,
                                  .restore_best_weights = true)))
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
