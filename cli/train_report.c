/* What `cornu train` says and draws in the end. */
#include "feed.h"
#include "train.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---- the curve ---- */

int train_check_curve(const char *path)
{
    char folder[4096];
    const char *name = path ? feed_name(path) : NULL;
    if (!path)
        return CLI_OK;
    if (!feed_ends(path, ".png") && !feed_ends(path, ".jpg") && !feed_ends(path, ".jpeg"))
        return cli_fail_usage(NULL, "--curve takes a .png or .jpg, but got %s", path);
    (void)snprintf(folder, sizeof folder, "%.*s", name == path ? 1 : (int)(name - path),
                   name == path ? "." : path);
    if (access(folder, W_OK | X_OK) != 0)
        return cli_fail("--curve %s: the folder cannot be written to: %s", path, strerror(errno));
    return CLI_OK;
}

int train_draw_curve(const cn_model *model, const train_settings *s)
{
    cn_array *picture = cn_draw_curves(cn_model_history(model), 0, 0);
    bool good = picture && cn_image_write(s->curve, picture) == CN_OK;
    cn_array_free(picture);
    return good ? CLI_OK : cli_fail_library();
}

/* ---- the numbers ---- */

/* The epoch, counted from 1, in which what is watched was least; 0: in none. */
static int64_t best_epoch(const cn_model *model, bool validated, const char **watched)
{
    *watched = validated ? "val_loss" : "loss";
    const cn_history *history = cn_model_history(model);
    const double *values = cn_history_values(history, *watched);
    int64_t best = 0;
    for (int64_t i = 0; values && i < cn_history_epochs(history); i++)
        if (isfinite(values[i]) && (best == 0 || values[i] < values[best - 1]))
            best = i + 1;
    return best;
}

/* What came of --early-stopping. */
static void report_early_stopping(const cn_model *model, const train_settings *s, bool validated)
{
    const char *watched;
    int64_t best = best_epoch(model, validated, &watched);
    int64_t epochs = cn_history_epochs(cn_model_history(model));
    if (s->early_stopping < 0 || best == 0 || train_was_stopped())
        return;
    if (epochs < s->epochs)
        (void)printf("stopped early: %s has not fallen since epoch %" PRId64
                     ", whose weights are kept\n",
                     watched, best);
    else if (best < epochs)
        (void)printf("%s was least in epoch %" PRId64 ", whose weights are kept\n", watched, best);
}

void train_report(const cn_model *model, const train_settings *s, bool validated)
{
    const cn_history *history = cn_model_history(model);
    int64_t epochs = cn_history_epochs(history);
    (void)printf("%s: %" PRId64 " epoch%s", s->output, epochs, epochs == 1 ? "" : "s");
    for (int i = 0; epochs > 0 && i < cn_history_count(history); i++) {
        const char *name = cn_history_name(history, i);
        (void)printf(", %s %.4g", name, cn_history_values(history, name)[epochs - 1]);
    }
    (void)putchar('\n');
    report_early_stopping(model, s, validated);
}

int train_fail(const train_settings *s, bool resumed)
{
    const train_loss *bad = train_bad_loss();
    if (!bad)
        return cli_fail_library();
    char place[40] = "";
    if (bad->batch > 0)
        (void)snprintf(place, sizeof place, ", batch %" PRId64, bad->batch);
    return cli_fail("the %s is %s in epoch %" PRId64
                    "%s; %s keeps the weights %s. Look at the data "
                    "for nan, or try a smaller --learning-rate",
                    bad->name, isnan(bad->value) ? "nan" : "infinite", bad->epoch, place, s->output,
                    s->save_every > 0 || resumed ? "that were saved last"
                    : bad->epoch > 1             ? "of the epoch before"
                                                 : "that it began with");
}
