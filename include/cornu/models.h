/* cornu/models.h - Sequential and functional models. */
#ifndef CORNU_MODELS_H
#define CORNU_MODELS_H

#include "cornu/layers.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cn_model cn_model;

/* A stack of layers, the first of them cn_input(...):
 *     cn_model *m = cn_sequential(cn_input({32, 32, 3}), cn_conv2d(32, {3, 3}), ...);
 * Takes the layers over, also when it fails (NULL) or when one of them is NULL. */
#define cn_sequential(...)                                                                         \
    cn_sequential_new(NULL, (int)(sizeof((cn_layer *[]){__VA_ARGS__}) / sizeof(cn_layer *)),       \
                      (cn_layer *[]){__VA_ARGS__})
/* The same with a name; NULL: "sequential", then "sequential_1" ... */
CN_API cn_model *cn_sequential_new(const char *name, int count, cn_layer *const *layers);

/* The functional model between tensors of one graph; cn_model_new(cn_tensors(x), cn_tensors(y)).
 * Models may share layers, but must not be made or freed by several threads at a time then. NULL if
 * an output does not follow from the inputs. */
CN_API cn_model *cn_model_new(cn_tensor_list inputs, cn_tensor_list outputs);
/* The same with a name; NULL: "functional", then "functional_1" ... */
CN_API cn_model *cn_model_named(const char *name, cn_tensor_list inputs, cn_tensor_list outputs);
CN_API void cn_model_free(cn_model *model);

CN_API const char *cn_model_name(const cn_model *model);
CN_API cn_tensor_list cn_model_inputs(const cn_model *model);
CN_API cn_tensor_list cn_model_outputs(const cn_model *model);
CN_API cn_tensor *cn_model_input(const cn_model *model);  /* the first */
CN_API cn_tensor *cn_model_output(const cn_model *model); /* the first */

/* Layers in Keras' order (a Sequential does not count its input layer). */
CN_API int cn_model_layer_count(const cn_model *model);
CN_API cn_layer *cn_model_layer(const cn_model *model, int index); /* -1: the last */
/* By name; "outer/inner" reaches into nested models. NULL, naming the layers there are, if none has
 * that name. */
CN_API cn_layer *cn_model_layer_named(const cn_model *model, const char *name);

/* The model as a layer, to be applied to other tensors with the same weights. Takes the model over.
 */
CN_API cn_layer *cn_model_as_layer(cn_model *model);

/* Runs the model on one array per input (batch first, at least one sample) and gives one new array
 * per output, the caller's to free; `out` is untouched after a failure. Works in batches of
 * `batch_size` (0: the batch that the model's input is fixed to, else 32). Several threads may
 * predict with one model, or with models that share layers, at the same time. `pool` may be NULL:
 * the calling thread alone. */
CN_API cn_status cn_model_predict(cn_model *model, const cn_array *const *in, cn_array **out,
                                  int64_t batch_size, cn_pool *pool);

/* cn_function_plan() of the model's prediction; `in` has one full shape per input. */
CN_API cn_status cn_model_plan(cn_model *model, const cn_shape *in, cn_planner planner,
                               void *context, cn_memory *memory);

CN_API int64_t cn_model_parameter_count(const cn_model *model, bool trainable_only);

/* All weights, as get_weights() gives them: layer by layer, those of nested models in their place,
 * each once. A name is "LAYER/WEIGHT". NULL, with a message, if there is no weight of that number.
 */
CN_API int cn_model_weight_count(const cn_model *model);
CN_API const char *cn_model_weight_name(const cn_model *model, int index);
CN_API const cn_array *cn_model_weight(const cn_model *model, int index);
/* Copies `value` (of the weight's shape) into the weight. */
CN_API cn_status cn_model_set_weight(cn_model *model, int index, const cn_array *value);
/* Copies all weights from a model that has as many, of the same shapes; on failure none. */
CN_API cn_status cn_model_copy_weights(cn_model *model, const cn_model *from);

/* Keras 3's summary table as text (UTF-8 box drawing, or ASCII), to be released with cn_free_text.
 */
typedef struct cn_summary_options {
    int width; /* columns, 40 to 1000; = 76, which Keras takes on a terminal of 80 */
    bool ascii;
} cn_summary_options;
CN_API char *cn_model_summary(const cn_model *model, const cn_summary_options *options);
/* The same facts as JSON. */
CN_API char *cn_model_summary_json(const cn_model *model);
CN_API void cn_free_text(char *text);

#ifdef __cplusplus
}
#endif

#endif
