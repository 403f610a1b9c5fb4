/* The course of a training as a picture. */
#include "inspect/chart.h"
#include "inspect/inspect.h"

#include "base/base.h"

#include <string.h>

enum { usual_width = 900, usual_height = 600 };

static const char *without_val(const char *name)
{
    return strncmp(name, "val_", 4) == 0 ? name + 4 : name;
}

static bool is_loss(const char *name)
{
    size_t length = strlen(name);
    return length >= 4 && strcmp(name + length - 4, "loss") == 0;
}

static void add_curve(cn__panel *panel, cn__curve *curves, const cn_history *history,
                      const char *name)
{
    curves[panel->count++] = (cn__curve){.label = name,
                                         .values = cn_history_values(history, name),
                                         .dashed = without_val(name) != name};
    panel->curves = curves;
}

/* The history's name "val_..." for one without, NULL if it has none. */
static const char *find_validation(const cn_history *history, const char *name)
{
    for (int i = 0; i < cn_history_count(history); i++) {
        const char *other = cn_history_name(history, i);
        if (without_val(other) != other && strcmp(without_val(other), name) == 0)
            return other;
    }
    return NULL;
}

/* Losses, or else everything but losses and the learning rate; each with its validation beside it,
 * so that they have neighbouring colours. */
static void choose(cn__panel *panel, cn__curve *curves, const cn_history *history, bool losses)
{
    for (int i = 0; i < cn_history_count(history); i++) {
        const char *name = cn_history_name(history, i), *base = without_val(name);
        bool rate = strcmp(name, "learning_rate") == 0;
        if (is_loss(name) != losses || rate || (base != name && cn_history_values(history, base)))
            continue;
        add_curve(panel, curves, history, name);
        const char *validation = base == name ? find_validation(history, name) : NULL;
        if (validation)
            add_curve(panel, curves, history, validation);
    }
}

cn_array *cn_draw_curves(const cn_history *history, int width, int height)
{
    if (!history)
        return (void)cn__fail_null_argument("cn_draw_curves"), NULL;
    int count = cn_history_count(history), panels = 0;
    cn__panel panel[2] = {0};
    cn__curve *curves = cn__calloc(2 * (size_t)count, sizeof *curves);
    if (!curves)
        return NULL;
    choose(&panel[0], curves, history, true);
    panels += panel[0].count > 0;
    choose(&panel[panels], curves + count, history, false);
    panels += panel[panels].count > 0;
    cn_array *picture = NULL;
    if (panels == 0 || cn_history_epochs(history) == 0)
        (void)cn__fail(CN_ERROR_ARGUMENT, "cn_draw_curves: the history has no epoch to draw");
    else
        picture = cn__chart_draw(&(cn__chart){.width = width ? width : usual_width,
                                              .height = height ? height : usual_height,
                                              .points = cn_history_epochs(history),
                                              .x_title = "epoch",
                                              .panel_count = panels,
                                              .panels = panel});
    cn__free(curves);
    return picture;
}
