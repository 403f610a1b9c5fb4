/* Watching a log: which way is better, and whether it is. */
#include "models/callback.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

/* How the words begin that metrics have of which more is better. */
static const char *const more_is_better[] = {
    "acc",  "auc",   "precision", "recall",     "sensitivity", "specificity",
    "true", "iou",   "io_u",      "dice",       "psnr",        "ssim",
    "f1",   "fbeta", "r2",        "cosine_sim", "top_k"};

/* Words of a name are parted by anything but letters and digits, so that the layer "conv2d_r2" but
 * not "layer2" has the word "r2". */
static bool has_word(const char *name, const char *beginning)
{
    for (const char *at = name; (at = strstr(at, beginning)) != NULL; at++)
        if (at == name || !isalnum((unsigned char)at[-1]))
            return true;
    return false;
}

static bool ends_with(const char *name, const char *ending)
{
    size_t length = strlen(name), tail = strlen(ending);
    return length >= tail && strcmp(name + length - tail, ending) == 0;
}

static bool guess_more(const char *name)
{
    if (ends_with(name, "loss"))
        return false;
    for (size_t i = 0; i < CN__COUNT(more_is_better); i++)
        if (has_word(name, more_is_better[i]))
            return true;
    return false;
}

cn_status cn__monitor_init(cn__monitor *monitor, const char *name, cn_better mode, double min_delta)
{
    *monitor = (cn__monitor){.name = cn__strdup(name ? name : "val_loss"),
                             .more = mode == CN_BETTER_MORE,
                             .min_delta = fabs(min_delta)};
    if (!monitor->name)
        return CN_ERROR_MEMORY;
    if (mode == CN_BETTER_AUTO)
        monitor->more = guess_more(monitor->name);
    return CN_OK;
}

double cn__monitor_worst(const cn__monitor *monitor)
{
    return monitor->more ? -(double)INFINITY : (double)INFINITY;
}

bool cn__monitor_improves(const cn__monitor *monitor, double value, double other)
{
    return monitor->more ? value - monitor->min_delta > other : value + monitor->min_delta < other;
}

cn_status cn__monitor_value(const cn__monitor *monitor, const char *who, cn_logs logs,
                            double *value)
{
    int index = cn__logs_find(logs, monitor->name);
    if (index < 0) {
        char names[700];
        bool validation = strncmp(monitor->name, "val_", 4) == 0;
        return cn__fail(CN_ERROR_NOT_FOUND, "%s: there is no %s in the logs, which are %s%s", who,
                        monitor->name, cn__logs_list(logs, names, sizeof names),
                        validation ? "; after an epoch there are those of the validation data, if "
                                     "cn_fit() has some"
                                   : "");
    }
    *value = logs.values[index];
    return CN_OK;
}
