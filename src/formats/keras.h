/* Keras' files, for the readers' and writers' own use. A file is read in three steps: its
 * configuration becomes JSON (keras_json.c), the JSON layers and a model (keras_layer.c,
 * keras_config.c), and the arrays beside it their weights (keras_weights.c); then a model that was
 * compiled is compiled again (keras_training.c, keras_optimizer.c). What only old versions of Keras
 * wrote is in keras1.c. Writing goes the same way back (keras_save.c and the others of that name).
 */
#ifndef CORNU_SRC_KERAS_H
#define CORNU_SRC_KERAS_H

#include "cornu/formats.h"
#include "models/training.h"

#include <jansson.h>
#include <stdio.h>

/* What is being read. */
typedef struct cn__keras {
    const char *path; /* for messages; NULL for text in memory */
    cn_load_options options;
    cn__arena *arena;           /* for what lives as long as the reading */
    int version;                /* of Keras: 1, 2 or 3 */
    bool theano;                /* kernels are those of true convolutions */
    bool theano_same;           /* `same` pads as on Theano */
    bool corner_bilinear;       /* bilinear enlarging as on TensorFlow 1 */
    cn_data_format data_format; /* of Keras 1's layers that do not tell */
    int models;                 /* made so far, for names */
    bool old_optimizer;    /* until 2.10: formulas of their own, variables grouped by their kinds */
    bool sorted_optimizer; /* and by their weights' names */
} cn__keras;

/* ---- JSON (keras_json.c) ---- */

/* Parses JSON whose nesting and whose size in memory are bounded. NULL if it is broken. To be
 * released with json_decref. */
json_t *cn__json_parse(const char *text, size_t size);
/* A member of an object, NULL if there is none; the same for texts. */
json_t *cn__json_get(const json_t *object, const char *key);
const char *cn__json_text(const json_t *object, const char *key);
/* "a list", "the text "same"": what a value is, for messages. */
const char *cn__json_kind(const json_t *value);
/* The expression ("L2(l2=0.01)") of a text, a number or an object with class_name and config;
 * `*text` is NULL for null. */
cn_status cn__json_expression(cn__arena *arena, const json_t *value, const char **text);

/* ---- layers (keras_layer.c) ---- */

/* The layer of a class and its configuration. */
cn_layer *cn__keras_layer(const cn__keras *k, const char *class_name, const char *name,
                          const json_t *config);
/* An InputLayer with a shape such as [null, 32, 32, 3]. */
cn_layer *cn__keras_input(const char *name, const json_t *batch_shape, const json_t *dtype);
/* Whether the module is that of Keras 3's operations, such as Multiply between a tensor and a
 * number; the layer that does the same. `constant` is the number, `constant_first` tells where it
 * stood, NaN if there is none; `rank` is that of the first tensor. */
bool cn__keras_is_operation(const json_t *entry);
cn_layer *cn__keras_operation(const char *class_name, const char *name, const json_t *config,
                              int tensors, double constant, bool constant_first, int rank);

/* ---- calls of layers (keras_nodes.c) ---- */

/* A tensor as files refer to it. */
typedef struct cn__keras_reference {
    const char *layer;
    int64_t node, tensor;
} cn__keras_reference;
bool cn__keras_is_reference(const json_t *value);
cn__keras_reference cn__keras_reference_of(const json_t *list);

/* One call of a layer: what it is called with, and what came out. */
typedef struct cn__keras_node {
    int inputs;
    cn__keras_reference *in;
    double constant; /* of an operation between a tensor and a number; NaN */
    bool constant_first;
    int outputs; /* 0 until the call was made */
    cn_tensor **out;
} cn__keras_node;
/* The calls listed in inbound_nodes, as many as the list has. */
cn_status cn__keras_nodes(cn__arena *arena, const json_t *json, bool is_operation,
                          cn__keras_node **nodes);

/* ---- models (keras_config.c) ---- */

/* The model of a configuration {"class_name": ..., "config": ...}. */
cn_model *cn__keras_model(cn__keras *k, const json_t *json);

/* ---- old versions (keras1.c) ---- */

/* Fills in version, backend and what follows from them; `keras_version` and `backend` are what the
 * file says or NULL; `names_end_in_0` tells whether its weights' names end in ":0". */
void cn__keras_identify(cn__keras *k, const char *keras_version, const char *backend,
                        bool has_weights, bool names_end_in_0, json_t *json);
/* The class name that Keras 3 has for `class_name`; `config` tells Merge's mode. NULL with a
 * message if there is none. */
const char *cn__keras_class(const cn__keras *k, const char *class_name, const json_t *config);
/* A configuration in Keras 3's words; to be released with json_decref. `class_name` is the new one.
 */
json_t *cn__keras_translate(const cn__keras *k, const char *class_name, const json_t *config);
/* The number that this version gives to the first call of a nested model. */
int cn__keras_first_node(const cn__keras *k);

/* ---- kernels (keras_kernel.c) ---- */

/* Whether an array of `shape` can be weight `index` of a layer. */
cn_status cn__keras_check_weight(const cn__keras *k, const cn_layer *layer, int index,
                                 const cn_shape *shape);
/* Puts the array's elements into the order of that weight; as many as it has. */
cn_status cn__keras_turn_weight(const cn__keras *k, const cn_layer *layer, int index,
                                const cn_shape *shape, const float *values, float *turned);
/* Sets the weight from the array's elements. */
cn_status cn__keras_set_weight(const cn__keras *k, cn_layer *layer, int index,
                               const cn_shape *shape, const float *values);

/* ---- HDF5 (keras_h5.c, keras_h5_array.c) ---- */

/* An open HDF5 file. libhdf5 is used by one thread at a time and prints nothing. */
typedef struct cn__h5 {
    int64_t file;
    FILE *stream; /* the file's bytes, NULL if it is in memory */
    void *image;  /* the same, if it is in memory */
    size_t size;  /* of the file */
} cn__h5;
cn_status cn__h5_open(const char *path, cn__h5 *h5);
/* Takes the bytes over, also on failure; they were made with cn__alloc. */
cn_status cn__h5_open_image(void *bytes, size_t size, cn__h5 *h5);
void cn__h5_close(cn__h5 *h5);
bool cn__h5_has(const cn__h5 *h5, const char *object);
bool cn__h5_has_attribute(const cn__h5 *h5, const char *object, const char *name);
/* An attribute's texts, put together from the parts NAME0, NAME1, ... if there is none of that
 * name. */
cn_status cn__h5_texts(const cn__h5 *h5, cn__arena *arena, const char *object, const char *name,
                       const char *const **texts, int *count);
/* An attribute that is one text; NULL if it is not there. */
cn_status cn__h5_text(const cn__h5 *h5, cn__arena *arena, const char *object, const char *name,
                      const char **text);
/* The shape of an array, and its elements as float32 (as many as the shape tells). */
cn_status cn__h5_shape(const cn__h5 *h5, const char *array, cn_shape *shape);
cn_status cn__h5_read(const cn__h5 *h5, const char *array, int64_t count, float *values);
/* An array of one number as a whole one. */
cn_status cn__h5_read_integer(const cn__h5 *h5, const char *array, int64_t *value);
/* An array of `count` numbers in double. */
cn_status cn__h5_read_doubles(const cn__h5 *h5, const char *array, int64_t count, double *values);

/* ---- weights (keras_weights.c) ---- */

/* Reads the weights in an HDF5 file into the model. `whole`: the file has the model itself too, so
 * that layers are found by their names. */
cn_status cn__keras_weights(const cn__keras *k, const cn__h5 *h5, cn_model *model, bool whole);
/* Whether the names of the weights under `group` end in ":0". */
cn_status cn__keras_weight_names(const cn__h5 *h5, cn__arena *arena, const char *group, bool *found,
                                 bool *end_in_0);

/* ---- how a model is trained (keras_training.c, keras_optimizer.c) ---- */

/* Compiles the model as compile_config or training_config tells, with `optimizer` instead of the
 * optimizer there if it is not NULL. A model that Cornu cannot compile is left as it is. */
cn_status cn__keras_compile(const cn__keras *k, cn_model *model, const json_t *config,
                            const char *optimizer);
/* Reads what the compiled model's optimizer has kept, if the file has it and it fits. */
cn_status cn__keras_read_optimizer(const cn__keras *k, const cn__h5 *h5, cn_model *model);
/* The training that the model's next cn_fit() goes on with (keras_records.c). */
cn_status cn__keras_read_records(cn_model *model, const json_t *json, const cn__h5 *h5);

/* ---- zip (keras_zip.c) ---- */

/* What a .keras file has. */
typedef struct cn__keras_parts {
    char *config; /* text with a 0 behind it; to be freed with cn__free, as the weights are */
    size_t config_size;
    void *weights;
    size_t weights_size;
    int version; /* of Keras: 2 (from 2.12 on) or 3 */
} cn__keras_parts;
cn_status cn__keras_unzip(const char *path, cn__keras_parts *parts);
/* metadata.json, to be released with json_decref; NULL if there is none. */
cn_status cn__keras_metadata(const char *path, json_t **metadata);
/* One member of a zip file to be written; its bytes are lent. */
typedef struct cn__keras_member {
    const char *name;
    const void *bytes;
    size_t size;
} cn__keras_member;
/* Writes a zip file of stored members into the stream. */
cn_status cn__keras_zip(const cn__keras_member *members, int count, FILE *stream);

/* ---- writing: JSON (keras_save_object.c) ---- */

/* What is being written. */
typedef struct cn__keras_saving {
    bool legacy;      /* for Keras 2 and 3 (.h5), else for Keras 3 */
    bool has_weights; /* the file has them */
    cn__arena *arena; /* for what lives as long as the writing */
} cn__keras_saving;

/* Puts a new value, which it takes over, into an object or, without a key, at the end of a list.
 * NULL is what failed to be made. */
cn_status cn__json_put(json_t *parent, const char *key, json_t *value);
/* The same for a new object or list, which is lent. */
json_t *cn__json_put_object(json_t *parent, const char *key);
json_t *cn__json_put_list(json_t *parent, const char *key);
json_t *cn__json_float(float value);
/* The text, on one line; every number is read back exactly. To be freed with cn__free. */
char *cn__json_print(const json_t *json);

/* Puts {"module", "class_name", "config": {}, "registered_name": null} and returns the config. */
json_t *cn__keras_put_class(const char *module, const char *class_name, json_t *parent,
                            const char *key);
/* Puts the object of an expression such as "L2(l2=0.01)". */
cn_status cn__keras_put_object(const cn__keras_saving *s, const char *module,
                               const char *expression, json_t *parent, const char *key);
cn_status cn__keras_put_initializer(const cn__keras_saving *s, const char *text, json_t *parent,
                                    const char *key);
cn_status cn__keras_put_regularizer(const cn__keras_saving *s, const char *text, json_t *parent,
                                    const char *key);
cn_status cn__keras_put_activation(const cn__keras_saving *s, const char *text, json_t *parent,
                                   const char *key);
/* "MeanSquaredError" for "mse". */
const char *cn__keras_class_name(cn__arena *arena, const char *name);

/* ---- writing: the model (keras_save_layer.c, keras_save_config.c, keras_training.c) ---- */

/* The options of a layer, into an object. `in` is the shape of its input in all of its calls, NULL
 * if they differ. */
cn_status cn__keras_put_options(const cn__keras_saving *s, const cn_layer *layer,
                                const cn_shape *in, json_t *config);

/* The model's configuration, to be released with json_decref. */
json_t *cn__keras_save_config(const cn__keras_saving *s, const cn_model *model);
/* How the compiled model is trained, into an object. */
cn_status cn__keras_put_compile(const cn__keras_saving *s, const cn_model *model, json_t *config);
/* The optimizer's text if it has arguments that Keras 3 has not, else NULL; whether its rate
 * decays, so that Keras 3 takes it for a schedule. */
cn_status cn__keras_own_optimizer(const cn__keras_saving *s, const cn__optimizer *optimizer,
                                  const char **text, bool *decays);
/* Where the training stands, into an object but for its long records; nothing if there was none. */
cn_status cn__keras_put_records(const cn_model *model, json_t *parent, const char *key);

/* ---- writing: HDF5 (keras_save_h5.c) ---- */

/* Fills a file with what is told of the model. */
typedef cn_status cn__h5_filler(const cn__keras_saving *s, const cn__h5 *h5, const cn_model *model);
/* A file in memory, to be freed with cn__free. libhdf5 is held while `fill` runs, which uses only
 * the functions below. */
cn_status cn__h5_make(const cn__keras_saving *s, cn__h5_filler *fill, const cn_model *model,
                      void **bytes, size_t *size);
/* The groups on the way are made, too; a group that is there is let be. */
cn_status cn__h5_put_group(const cn__h5 *h5, const char *name);
cn_status cn__h5_put_floats(const cn__h5 *h5, const char *name, const cn_shape *shape,
                            const float *values);
cn_status cn__h5_put_doubles(const cn__h5 *h5, const char *name, int64_t count,
                             const double *values);
cn_status cn__h5_put_integer(const cn__h5 *h5, const char *name, int64_t value);
/* Attributes of a group. A long list is split into NAME0, NAME1, ..., as in Keras. */
cn_status cn__h5_put_text(const cn__h5 *h5, const char *group, const char *name, const char *text);
cn_status cn__h5_put_texts(const cn__h5 *h5, const char *group, const char *name,
                           const char *const *texts, size_t count);

/* ---- writing: weights and optimizer (keras_save_weights.c, keras_optimizer.c) ---- */

cn__h5_filler cn__keras_put_weights;       /* as in .keras */
cn__h5_filler cn__keras_put_old_weights;   /* as in .h5 */
cn__h5_filler cn__keras_put_optimizer;     /* of a compiled model, as in .keras */
cn__h5_filler cn__keras_put_long_records;  /* (keras_records.c) */
cn__h5_filler cn__keras_put_old_optimizer; /* as in .h5 */

#endif
