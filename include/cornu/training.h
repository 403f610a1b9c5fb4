/* cornu/training.h - compile, fit, evaluate, as in Keras.
 *
 *     cn_compile(model, .optimizer = "adam", .loss = {"categorical_crossentropy", "mse"},
 *                .metrics = {"accuracy"});
 *     cn_fit(model, cn_arrays(x), cn_arrays(labels, x), .epochs = 10, .validation_split = 0.1);
 *
 * Optimizers, learning-rate schedules, losses and metrics are written as Keras names them, with
 * their arguments where the defaults do not do: "SGD(learning_rate=0.1, momentum=0.9)",
 * "Adam(learning_rate=CosineDecay(initial_learning_rate=0.01, decay_steps=1000))",
 * "CategoricalCrossentropy(label_smoothing=0.1)". Formulas and defaults are those of Keras 3.
 *
 * While one thread trains a model, others may predict with it: a prediction sees the weights
 * between two steps.
 *
 * Training gives the same bits for any number of threads, and for a run that was cut off and
 * resumed from its checkpoint.
 */
#ifndef CORNU_TRAINING_H
#define CORNU_TRAINING_H

#include "cornu/datasets.h"
#include "cornu/models.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { CN_MOST_LOSSES = 16, CN_MOST_METRICS = 16 };

/* ---- compile ---- */

typedef struct cn_compile_options {
    size_t size_;
    const char *optimizer; /* = "rmsprop" */
    /* One for each output, or one for all of them; "none" for an output that is not trained. */
    const char *loss[CN_MOST_LOSSES];
    float loss_weights[CN_MOST_LOSSES]; /* = 1 each; -0.0f is a zero that is meant */
    /* For every output; "OUTPUT:METRIC" for the output of that name alone. As in Keras, `metrics`
     * take all samples alike, `weighted_metrics` by the weights of samples and classes. */
    const char *metrics[CN_MOST_METRICS];
    const char *weighted_metrics[CN_MOST_METRICS];
} cn_compile_options;
/* Tells how the model is trained and begins with a new optimizer. Texts are copied. Which layers
 * are trainable is asked here, as in Keras: compile again after cn_layer_set_trainable(). On
 * failure the model is as it was. */
#define cn_compile(model, ...)                                                                     \
    cn_model_compile(model, &(cn_compile_options){.size_ = sizeof(cn_compile_options), __VA_ARGS__})
CN_API cn_status cn_model_compile(cn_model *model, const cn_compile_options *options);
CN_API bool cn_model_is_compiled(const cn_model *model);
/* What it was compiled with, with a loss and a weight for each output. The texts are lent until it
 * is compiled again. */
CN_API cn_status cn_model_compile_options(const cn_model *model, cn_compile_options *options);

/* Adds a tensor of the model's graph to what training makes small: the sum of its elements; for a
 * loss that is not between an output and a target. Call it before cn_model_compile(). */
CN_API cn_status cn_model_add_loss(cn_model *model, cn_tensor *loss);

/* The learning rate of the next step. Setting it fails where a schedule rules it. */
CN_API double cn_model_learning_rate(const cn_model *model);
CN_API cn_status cn_model_set_learning_rate(cn_model *model, double rate);

/* Called in every step between the gradients and the update with all the gradients in one piece of
 * memory: those of several machines can be averaged there. Fails the step if it fails. NULL takes
 * the hook away. */
typedef cn_status (*cn_gradient_hook)(float *gradients, int64_t count, void *context);
CN_API cn_status cn_model_set_gradient_hook(cn_model *model, cn_gradient_hook hook, void *context);

/* ---- numbers with names ---- */

/* What a batch or an epoch gave: "loss", then with several outputs "OUTPUT_loss" each, then the
 * metrics ("accuracy", or "OUTPUT_accuracy" with several outputs; of two with one name a weighted
 * one is "weighted_accuracy", another "accuracy_1"); after an epoch also those of the
 * validation data, with "val_" before. Lent. */
typedef struct cn_logs {
    int count;
    const char *const *names;
    const double *values;
} cn_logs;
/* The number of that name; NaN if there is none. */
CN_API double cn_logs_get(cn_logs logs, const char *name);

/* ---- callbacks ---- */

/* The training in progress, as callbacks see it. */
typedef struct cn_training {
    cn_model *model;
    int64_t epoch, epochs;  /* this one, counted from 0; how many there will be */
    int64_t batch, batches; /* within the epoch */
    int64_t samples;        /* of the epoch so far */
    cn_logs logs;           /* means over the epoch so far */
    bool stop;              /* set it to end the training after the epoch's batch at hand */
    cn_pool *pool;
} cn_training;

typedef enum cn_event {
    CN_TRAIN_BEGIN,
    CN_EPOCH_BEGIN,
    CN_BATCH_END, /* a batch was trained on */
    CN_EPOCH_END, /* and validated */
    CN_TRAIN_END  /* also after a failure */
} cn_event;

/* One thing that is done while training. `run` is called at every event; a failure ends the
 * training. It may evaluate the model or save it, but not compile or fit it. `release` may be NULL.
 * `state`, if not NULL, are numbers that a checkpoint keeps for it. */
typedef struct cn_callback_functions {
    size_t size_;
    cn_status (*run)(void *context, cn_event event, cn_training *training);
    void (*release)(void *context);
    void *context;
    const char *name; /* = "callback" */
    int state_count;
    double *state;
} cn_callback_functions;
typedef struct cn_callback cn_callback;
/* A callback of the caller's own; calls release(context) in the end, also if it fails. */
#define cn_callback(...)                                                                           \
    cn_callback_new(&(cn_callback_functions){.size_ = sizeof(cn_callback_functions), __VA_ARGS__})
CN_API cn_callback *cn_callback_new(const cn_callback_functions *functions);
CN_API void cn_callback_free(cn_callback *callback);

/* A list of callbacks: cn_callbacks(cn_early_stopping(.patience = 3), ...). cn_fit() takes them
 * over, also when it fails. */
typedef struct cn_callback_list {
    int count;
    cn_callback *const *items;
} cn_callback_list;
#define cn_callbacks(...)                                                                          \
    ((cn_callback_list){(int)(sizeof((cn_callback *[]){__VA_ARGS__}) / sizeof(cn_callback *)),     \
                        (cn_callback *[]){__VA_ARGS__}})

/* Whether more or less of what is watched is better; AUTO tells by the name. */
typedef enum cn_better { CN_BETTER_AUTO = 0, CN_BETTER_LESS, CN_BETTER_MORE } cn_better;

/* Ends the training when what is watched has stopped improving. */
typedef struct cn_early_stopping_options {
    size_t size_;
    const char *monitor; /* = "val_loss" */
    double min_delta;    /* = 0: less is no improvement */
    int64_t patience;    /* = 0: epochs without improvement before the end */
    cn_better mode;
    bool has_baseline; /* waiting goes on until it is better than `baseline`, too */
    double baseline;
    bool restore_best_weights;
    int64_t start_from_epoch; /* = 0 */
} cn_early_stopping_options;
#define cn_early_stopping(...)                                                                     \
    cn_early_stopping_new(                                                                         \
        &(cn_early_stopping_options){.size_ = sizeof(cn_early_stopping_options), __VA_ARGS__})
CN_API cn_callback *cn_early_stopping_new(const cn_early_stopping_options *options);

/* Multiplies the learning rate when what is watched has stopped improving. */
typedef struct cn_reduce_lr_on_plateau_options {
    size_t size_;
    const char *monitor; /* = "val_loss" */
    double factor;       /* = 0.1 */
    int64_t patience;    /* = 10 */
    cn_better mode;
    double min_delta; /* = 1e-4; -0.0 is a zero that is meant */
    int64_t cooldown; /* = 0 */
    double min_lr;    /* = 0 */
} cn_reduce_lr_on_plateau_options;
#define cn_reduce_lr_on_plateau(...)                                                               \
    cn_reduce_lr_on_plateau_new(&(cn_reduce_lr_on_plateau_options){                                \
        .size_ = sizeof(cn_reduce_lr_on_plateau_options), __VA_ARGS__})
CN_API cn_callback *cn_reduce_lr_on_plateau_new(const cn_reduce_lr_on_plateau_options *options);

/* Sets the learning rate before every epoch to schedule(epoch, rate so far, context). */
typedef double (*cn_rate_of_epoch)(int64_t epoch, double rate, void *context);
CN_API cn_callback *cn_learning_rate_scheduler(cn_rate_of_epoch schedule, void *context);

/* Ends the training when the loss is no number any more. */
CN_API cn_callback *cn_terminate_on_nan(void);

/* ModelCheckpoint, CSVLogger and TensorBoard write files: see cornu/formats.h. */

/* ---- fit ---- */

typedef struct cn_fit_options {
    size_t size_;
    int64_t batch_size; /* = that which the model's input is fixed to, else 32; the last batch may
                           be smaller */
    int64_t epochs;     /* = 1: the number of the last one, when training is resumed */
    int64_t initial_epoch; /* = 0 */
    /* Goes on where the training stood whose .keras checkpoint was loaded: its epoch and batch, its
     * history, what callbacks remember. Without a checkpoint it begins anew. */
    bool resume;
    double validation_split; /* = 0: the last part of the arrays, taken before shuffling */
    cn_array_list validation_x, validation_y;
    cn_dataset *validation_data;   /* lent */
    int64_t validation_batch_size; /* = batch_size */
    cn_flag shuffle;               /* = CN_TRUE */
    uint64_t seed;                 /* = 0: of the order and of what data sets draw */
    int64_t steps_per_epoch;       /* = all batches; else the first ones of an epoch's order */
    cn_array_list sample_weight;   /* (samples): one for all outputs, or one for each; those of
                                      samples that validation_split holds back are not used */
    const float *class_weight;     /* of classes 0 to class_count - 1; one output only */
    int class_count;
    cn_callback_list callbacks;
    int loader_threads; /* = 0 for arrays, 1 for data sets that are read or drawn as they go */
    cn_pool *pool;      /* NULL: the calling thread */
} cn_fit_options;

/* Trains on arrays, one for each input and one for each output (lent for the call). A failed step
 * leaves the model as after the last whole step. */
#define cn_fit(model, x, y, ...)                                                                   \
    cn_model_fit(model, x, y, &(cn_fit_options){.size_ = sizeof(cn_fit_options), __VA_ARGS__})
CN_API cn_status cn_model_fit(cn_model *model, cn_array_list x, cn_array_list y,
                              const cn_fit_options *options);
/* The same on a data set (lent). */
#define cn_fit_dataset(model, data, ...)                                                           \
    cn_model_fit_dataset(model, data,                                                              \
                         &(cn_fit_options){.size_ = sizeof(cn_fit_options), __VA_ARGS__})
CN_API cn_status cn_model_fit_dataset(cn_model *model, cn_dataset *data,
                                      const cn_fit_options *options);

/* What each epoch of the latest cn_fit() gave (of the resumed training as a whole). Lent until the
 * next. */
typedef struct cn_history cn_history;
CN_API const cn_history *cn_model_history(const cn_model *model);
CN_API int64_t cn_history_epochs(const cn_history *history);
/* The names in it. */
CN_API int cn_history_count(const cn_history *history);
CN_API const char *cn_history_name(const cn_history *history, int index);
/* One value for each epoch, NaN where there is none; NULL if there is no such name. */
CN_API const double *cn_history_values(const cn_history *history, const char *name);

/* ---- evaluate, single steps ---- */

/* Loss and metrics on arrays or on a data set; batch_size 0 is as in cn_fit(). The logs are lent
 * until the model's next training or evaluation. */
CN_API cn_status cn_model_evaluate(cn_model *model, cn_array_list x, cn_array_list y,
                                   int64_t batch_size, cn_logs *logs, cn_pool *pool);
CN_API cn_status cn_model_evaluate_dataset(cn_model *model, cn_dataset *data, int64_t batch_size,
                                           cn_logs *logs, cn_pool *pool);

/* One step on one batch: the logs are those of this batch, before the update. `sample_weight` may
 * be empty. `logs` may be NULL. */
CN_API cn_status cn_model_train_on_batch(cn_model *model, cn_array_list x, cn_array_list y,
                                         cn_array_list sample_weight, cn_logs *logs, cn_pool *pool);
CN_API cn_status cn_model_test_on_batch(cn_model *model, cn_array_list x, cn_array_list y,
                                        cn_logs *logs, cn_pool *pool);

/* ---- looking at gradients ---- */

/* The largest difference, for any one weight of the compiled model and any direction tried, between
 * the derivative of the loss that a step of training computes and the one that central differences
 * of the loss give, computed in double precision: relative to the norm of the weight's gradient,
 * and at least to 4e-3 of that of all weights' gradients together. Below 1e-4 if all is well.
 * Dropout and noise are in force, with the same numbers for both. */
typedef struct cn_gradient_check {
    double worst;        /* relative difference */
    char weight[160];    /* where: "LAYER/WEIGHT" */
    int64_t derivatives; /* how many were compared */
    int64_t kinks;       /* how many were not, because the loss has a kink right there */
} cn_gradient_check;
/* On one batch. Nothing of the model changes. It takes long: the loss is evaluated some 40 times
 * for each weight, in code that is made to be plain. CN_ERROR_ARGUMENT if more than half of the
 * derivatives lie at kinks, as those of a relu whose input is exactly 0. */
CN_API cn_status cn_check_gradient(cn_model *model, cn_array_list x, cn_array_list y,
                                   cn_gradient_check *check, cn_pool *pool);

#ifdef __cplusplus
}
#endif

#endif
