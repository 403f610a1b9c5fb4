/* cornu train: trains a model, and goes on with a training that was cut off. */
#include "feed.h"
#include "lesson.h"
#include "recall.h"
#include "train.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef train_settings settings;

static const settings defaults = {.early_stopping = -1};

#define AT(member) .offset = offsetof(settings, member)

static const cli_option options[] = {
    {.name = "data",
     .letter = 'd',
     .kind = CLI_TEXT,
     AT(data),
     .value = "DATA",
     .help = "what to learn from, see below"},
    {.name = "output",
     .letter = 'o',
     .kind = CLI_TEXT,
     AT(output),
     .value = "OUT",
     .help = "write the model here after every epoch: .keras, or .h5,\n"
             "which cannot be resumed",
     .required = true},
    {.name = "epochs",
     .letter = 'e',
     .kind = CLI_INTEGER,
     AT(epochs),
     .value = "N",
     .help = "how many (default 1)",
     .range = CLI_FROM_1},
    {.name = "resume",
     .kind = CLI_FLAG,
     AT(resume),
     .help = "go on from OUT, bit for bit; begin if it is not there"},
    {.name = "force", .kind = CLI_FLAG, AT(force), .help = "begin anew though OUT is there"},
    {.name = "validation-split",
     .kind = CLI_NUMBER,
     AT(validation_split),
     .value = "PART",
     .help = "hold back the last part of DATA, such as 0.1; of a folder\na random part"},
    {.name = "validation-data",
     .kind = CLI_TEXT,
     AT(validation_data),
     .value = "DATA",
     .help = "what to validate with after every epoch"},
    {.name = "no-shuffle",
     .kind = CLI_FLAG,
     AT(no_shuffle),
     .help = "take the samples in their order"},
    {.name = "seed",
     .kind = CLI_INTEGER,
     AT(seed),
     .value = "N",
     .help = "of the initial weights, the order, dropout and\naugmentation (default 0)",
     .range = CLI_FROM_0},
    {.name = "optimizer",
     .kind = CLI_TEXT,
     AT(lesson.optimizer),
     .value = "OPTIMIZER",
     .help = "as Keras names it, such as \"SGD(momentum=0.9)\" (default:\n"
             "what the model was compiled with, or adam)"},
    {.name = "learning-rate",
     .kind = CLI_NUMBER,
     AT(learning_rate),
     .value = "N",
     .help = "the optimizer's (default: its own)",
     .range = CLI_ABOVE_0},
    LESSON_OPTIONS(settings),
    {.name = "augment",
     .kind = CLI_TEXT,
     AT(augment),
     .value = "CHANGE,...",
     .help = "change pictures at random: flip, vertical-flip,\n"
             "shift=0.1, rotate=10, zoom=0.1, brightness=0.1"},
    {.name = "early-stopping",
     .kind = CLI_INTEGER,
     AT(early_stopping),
     .value = "PATIENCE",
     .help = "end after so many epochs in which the validation's loss\n"
             "(or the loss) did not fall; in the end OUT gets the\n"
             "weights of the best epoch",
     .range = CLI_FROM_0},
    {.name = "reduce-lr",
     .kind = CLI_INTEGER,
     AT(reduce_lr),
     .value = "PATIENCE",
     .help = "divide the learning rate by 10 then",
     .range = CLI_FROM_1},
    {.name = "save-every",
     .kind = CLI_INTEGER,
     AT(save_every),
     .value = "N",
     .help = "write OUT after every N batches, too",
     .range = CLI_FROM_1},
    {.name = "csv", .kind = CLI_TEXT, AT(csv), .value = "FILE", .help = "write a line per epoch"},
    {.name = "tensorboard",
     .kind = CLI_TEXT,
     AT(tensorboard),
     .value = "FOLDER",
     .help = "write TensorBoard's event files"},
    {.name = "curve",
     .kind = CLI_TEXT,
     AT(curve),
     .value = "FILE.png",
     .help = "draw losses and metrics over the epochs"},
    {.name = "progress",
     .kind = CLI_CHOICE,
     AT(progress),
     .value = PROGRESS_CHOICES,
     .help = "what to print to the standard error output (default\n"
             "auto: a bar on a terminal, else a line per epoch)"},
    {0},
};

/* What may change when a training is resumed. */
static const char *const may_change[] = {"output",  "epochs",      "resume",         "force",
                                         "csv",     "tensorboard", "curve",          "progress",
                                         "threads", "save-every",  "early-stopping", NULL};

typedef struct job {
    settings s;
    const char *model; /* the argument; NULL: none */
    char memory[4200]; /* the path of what is remembered */
    recall recalled;
    lesson lesson;
    data data, held;
    bool resumes; /* OUT is there, and the training goes on from it */
} job;

/* ---- the command line ---- */

static bool keeps_training(const job *j)
{
    return feed_ends(j->s.output, ".keras");
}

static int check_numbers(const settings *s)
{
    if (!(s->validation_split >= 0 && s->validation_split < 1))
        return cli_fail_usage(NULL,
                              "--validation-split takes a part below 1, such as 0.1, but got %g",
                              s->validation_split);
    if (s->validation_split > 0 && s->validation_data)
        return cli_fail_usage(NULL, "--validation-split and --validation-data exclude each other");
    return CLI_OK;
}

static int check_output(job *j)
{
    const char *output = j->s.output;
    bool weights = feed_ends(output, ".weights.h5");
    if (weights || (!keeps_training(j) && !feed_ends(output, ".h5")))
        return cli_fail_usage(NULL, "-o takes a .keras or .h5, but got `%s`", output);
    if (j->s.resume && !keeps_training(j))
        return cli_fail_usage(NULL, "--resume needs a .keras: an .h5 does not keep where a "
                                    "training stands");
    if (strlen(output) > 4000)
        return cli_fail_usage(NULL, "-o: the name is too long");
    (void)snprintf(j->memory, sizeof j->memory, "%s.train", output);
    bool there = access(output, F_OK) == 0;
    j->resumes = there && j->s.resume && !j->s.force;
    if (there && !j->s.resume && !j->s.force)
        return cli_fail_usage("--resume goes on with it, --force begins anew.",
                              "%s is there already", output);
    return CLI_OK;
}

/* The settings, those of the training that goes on among them. */
static int complete(job *j)
{
    int code = check_output(j);
    bool remembered = j->s.resume && !j->s.force && access(j->memory, F_OK) == 0;
    if (code != CLI_OK)
        return code;
    if (remembered) {
        code = recall_read(j->memory, &cli_train, &j->recalled);
        char hint[3 * sizeof j->memory];
        const char *out = j->s.output;
        (void)snprintf(hint, sizeof hint,
                       "Leave it out, begin anew with --force, or make another model of %s: cornu "
                       "train %s --data DATA -o NEW.keras",
                       out, out);
        if (code == CLI_OK)
            code = recall_merge(&j->recalled, &cli_train, may_change, hint, &j->s);
        if (code != CLI_OK)
            return code;
        if (j->model && strcmp(j->model, j->recalled.argument) != 0)
            return cli_fail_usage("Leave it out, or begin anew with --force.",
                                  "the training of %s was begun with %s, not %s", j->s.output,
                                  j->recalled.argument, j->model);
        j->model = j->recalled.argument;
    }
    if (j->resumes && !j->model)
        j->model = j->s.output;
    if (!j->model && j->s.resume)
        return cli_fail("%s is not there, and there is no MODEL to begin with", j->s.output);
    if (!j->model || !j->s.data)
        return cli_fail_usage("usage: cornu train MODEL --data DATA -o OUT [options]; "
                              "`cornu train --help` says more.",
                              "%s is missing", j->model ? "--data DATA" : "MODEL");
    code = check_numbers(&j->s);
    if (code == CLI_OK)
        code = train_check_curve(j->s.curve);
    j->s.epochs = j->s.epochs > 0 ? j->s.epochs : 1;
    return code;
}

/* ---- model and data ---- */

static int open_data(job *j)
{
    const settings *s = &j->s;
    data_options o = {.model = j->lesson.model, .size = s->lesson.size};
    int code = data_open(&j->data, s->data, &o);
    if (code == CLI_OK && s->validation_split > 0 && j->data.ordered)
        code = data_shuffle(&j->data, (uint64_t)s->seed);
    if (code == CLI_OK && s->validation_split > 0)
        code = data_split(&j->data, s->validation_split, &j->held);
    o.test = true;
    if (code == CLI_OK && s->validation_data)
        code = data_open(&j->held, s->validation_data, &o);
    if (code == CLI_OK && s->augment)
        code = data_augment(&j->data, s->augment, (uint64_t)s->seed);
    return code;
}

static int fit_data(job *j)
{
    int code = data_fit(&j->data, j->lesson.model);
    return code == CLI_OK && j->held.set ? data_fit(&j->held, j->lesson.model) : code;
}

static int remember(job *j)
{
    settings s = j->s;
    s.resume = s.force = false;
    /* Without the old file, a run that is cut off here cannot be taken for one of the new. */
    if (j->s.force && remove(s.output) != 0 && errno != ENOENT)
        return cli_fail("%s: cannot be replaced: %s", s.output, strerror(errno));
    return recall_write(j->memory, &cli_train, j->model, &s);
}

static cn_status refuse(void *context, cn_event event, cn_training *training)
{
    (void)context;
    (void)training;
    return event == CN_TRAIN_BEGIN ? CN_ERROR_ARGUMENT : CN_OK;
}

/* A MODEL may be a checkpoint, but its epochs are no part of the training that begins here. A
 * training that does not go on with them forgets them, and this one ends before its first step. */
static void forget_training(const job *j)
{
    (void)cn_fit_dataset(j->lesson.model, j->data.set, .batch_size = j->s.lesson.batch_size,
                         .callbacks = cn_callbacks(cn_callback(.run = refuse)));
}

/* Makes the model and writes it before it has learnt anything. */
static int begin(job *j)
{
    lesson *l = &j->lesson;
    cn_set_random_seed((uint64_t)j->s.seed);
    int code = lesson_open(l, &j->s.lesson, j->model);
    if (code == CLI_OK)
        code = open_data(j);
    if (code == CLI_OK)
        code = lesson_compile(l, &j->s.lesson, &j->data, NULL);
    if (code == CLI_OK && j->s.learning_rate > 0 &&
        cn_model_set_learning_rate(l->model, j->s.learning_rate) != CN_OK)
        code = cli_fail_library();
    if (code == CLI_OK)
        code = fit_data(j);
    if (code == CLI_OK && !l->built_in)
        forget_training(j);
    if (code == CLI_OK && keeps_training(j))
        code = remember(j);
    if (code == CLI_OK && cn_model_save(l->model, j->s.output) != CN_OK)
        code = cli_fail_library();
    return code;
}

/* Reads the model that was begun with. It is read even right after it was written, so that a
 * training that is resumed later has begun in the same way. */
static int go_on(job *j)
{
    lesson *l = &j->lesson;
    cn_model_free(l->model);
    cn_set_random_seed((uint64_t)j->s.seed);
    l->model = cn_model_load(j->s.output, NULL);
    if (!l->model)
        return cli_fail_library();
    if (!j->resumes)
        return CLI_OK;
    l->path = j->s.output;
    l->pool = cn_pool_new((int)j->s.lesson.threads);
    if (!l->pool)
        return cli_fail_library();
    int code = open_data(j);
    if (code == CLI_OK)
        code = fit_data(j);
    return code == CLI_OK ? remember(j) : code;
}

/* ---- training ---- */

static void tell_data(const job *j)
{
    const settings *s = &j->s;
    if (s->progress == PROGRESS_JSON || s->progress == PROGRESS_NONE)
        return;
    data_tell(&j->data, "data");
    if (s->validation_data)
        data_tell(&j->held, "validation data");
}

/* True, after a message, if the epochs are done. */
static bool is_done(const job *j)
{
    int64_t epochs = cn_history_epochs(cn_model_history(j->lesson.model));
    if (!j->resumes || epochs < j->s.epochs)
        return false;
    (void)printf("%s has %s%" PRId64 " epoch%s already; --epochs %" PRId64 " goes on\n",
                 j->s.output, epochs == j->s.epochs ? "its " : "", epochs, epochs == 1 ? "" : "s",
                 epochs + 1);
    return true;
}

static int train(job *j)
{
    train_callbacks callbacks = {0};
    const settings *s = &j->s;
    if (is_done(j))
        return s->curve ? train_draw_curve(j->lesson.model, s) : CLI_OK;
    tell_data(j);
    if (train_make_callbacks(&callbacks, s, j->held.set != NULL, j->resumes) != CN_OK)
        return cli_fail_library();
    train_catch_signals();
    cn_status status = cn_fit_dataset(
        j->lesson.model, j->data.set, .epochs = s->epochs, .batch_size = s->lesson.batch_size,
        .seed = (uint64_t)s->seed, .shuffle = s->no_shuffle ? CN_FALSE : CN_TRUE,
        .resume = s->resume, .validation_data = j->held.set,
        .callbacks = {callbacks.count, callbacks.items}, .pool = j->lesson.pool);
    if (status != CN_OK)
        return train_fail(s, j->resumes);
    train_report(j->lesson.model, s, j->held.set != NULL);
    int code = s->curve ? train_draw_curve(j->lesson.model, s) : CLI_OK;
    if (code != CLI_OK || !train_was_stopped())
        return code;
    cli_note("stopped; %s", keeps_training(j) ? "--resume goes on" : "the model is saved");
    return CLI_STOPPED;
}

static int run(const void *given, int count, char **arguments)
{
    job *j = calloc(1, sizeof *j);
    if (!j)
        return cli_fail("no memory");
    j->s = *(const settings *)given;
    j->model = count > 0 ? arguments[0] : NULL;
    int code = complete(j);
    if (code == CLI_OK)
        train_remove_leftovers(j->s.output);
    if (code == CLI_OK && !j->resumes)
        code = begin(j);
    if (code == CLI_OK && keeps_training(j))
        code = go_on(j);
    if (code == CLI_OK)
        code = train(j);
    data_close(&j->held);
    data_close(&j->data);
    lesson_close(&j->lesson);
    recall_free(&j->recalled);
    free(j);
    return code;
}

const cli_command cli_train = {
    .name = "train",
    .help = "train a model",
    .arguments = "MODEL",
    .least = 0,
    .most = 1,
    .options = options,
    .details = LESSON_MODELS
    "\n" DATA_HELP "\n"
    "OUT.keras.train keeps the options: `cornu train -o OUT.keras --resume`\n"
    "is enough to go on, also after the computer was switched off. The result is the same\n"
    "as without the break; but where --early-stopping has put back the best weights, a\n"
    "longer training goes on from these. Ctrl-C ends the training after the batch at hand;\n"
    "the model is saved, and the exit code is 130.\n\n"
    "examples:\n"
    "  cornu train question --data shapes:5000 --epochs 10 --validation-split 0.1 -o q.keras\n"
    "  cornu train unet.json --data D.npz --loss sparse_categorical_crossentropy -o u.keras\n"
    "  cornu train -o q.keras --resume --epochs 20\n",
    .settings_size = sizeof(settings),
    .defaults = &defaults,
    .run = run,
};
