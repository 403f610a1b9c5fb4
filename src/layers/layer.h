/* Floor 4, for the library's own use: what a layer is.
 *
 * A layer is one file: a comment that tells what it is, its options' table, build (makes the
 * weights), apply (grows the graph), and one exported cn__layer_type, which layers.def lists. The
 * options' table is the single source for defaults, validation, JSON in and out, the names that
 * older Keras versions used, and the documentation. Layers never see JSON.
 */
#ifndef CORNU_SRC_LAYER_H
#define CORNU_SRC_LAYER_H

#include "cornu/layers.h"
#include "graph/graph.h"

typedef struct cn__layer_type cn__layer_type;
typedef struct cn__call cn__call;

typedef enum cn__option_kind {
    CN__INT,   /* int64_t; 0 is the default */
    CN__FLOAT, /* float; 0 is the default, -0.0f a zero that is meant, NaN Keras' None */
    CN__BOOL,  /* bool, false by default */
    CN__FLAG,  /* cn_flag, true by default */
    CN__TEXT,  /* const char *, NULL by default or `text`; `choices`, if given, are all there are */
    CN__OBJECT, /* const char *: an expression such as "relu" or "L2(l2=0.01)"; NULL is Keras' None
                 */
    CN__ENUM,   /* int (a C enum); `choices` names its values, separated by '|' */
    CN__DIMS,   /* int64_t[3]: one number for each spatial axis; {n} is n along all; CN_ZERO is a
                   zero that is meant */
    CN__PAIRS,  /* int64_t[3][2]: before and after along each spatial axis; all 0 is the default;
                   CN_ZERO as above */
    CN__SHAPE,  /* int64_t[CN_MAX_RANK], ended by 0; -1 is None */
    CN__AXES    /* int64_t[CN_MAX_RANK], ended by 0: axes; in a file a number or a list */
} cn__option_kind;

typedef struct cn__option {
    const char *name;    /* Keras 3's */
    const char *aliases; /* older names, separated by '|'; NULL */
    cn__option_kind kind;
    size_t offset; /* in the layer's options */
    bool required;
    double number;       /* the default of INT, FLOAT, ENUM, DIMS, PAIRS, AXES; 0 for DIMS: None */
    const char *text;    /* the default of TEXT and OBJECT */
    const char *choices; /* of ENUM: "valid|same|causal" in the order of the C enum; of TEXT */
    const char *choice_aliases; /* of ENUM: older names in the same places; NULL */
    double low,
        high;  /* the range of INT, FLOAT, DIMS, PAIRS; both 0: any; high < low: no upper end */
    bool ours; /* not in Keras' files: a writer refuses a layer that has it set */
} cn__option;

/* For an options struct T: CN__OPTION(T, filters, CN__INT, .required = true, .low = 1, ...). */
#define CN__OPTION(T, member, ...)                                                                 \
    {                                                                                              \
        .name = #member, .offset = offsetof(T, member), .kind = __VA_ARGS__                        \
    }

struct cn__layer_type {
    const char *name;    /* Keras' class name */
    const char *aliases; /* older class names, separated by '|'; NULL */
    const cn__option *options;
    int option_count;
    int refused_count;   /* options after those: members of the struct that other ranks use */
    size_t option_bytes; /* of the options struct, which begins as cn__options_head does */
    int rank;            /* spatial axes, for the layers that have them */
    int least_inputs, most_inputs;
    /* In check, build and apply, failures are recorded with cn__fail(): the caller puts the layer's
     * name before them. */
    /* Checks what one option alone cannot tell. May be NULL. */
    cn_status (*check)(const cn_layer *layer);
    /* Makes the weights from the input's shape; called once. May be NULL. */
    cn_status (*build)(cn_layer *layer, cn_tensor *const *in);
    /* Grows the graph; returns the output (or use apply_many). */
    cn_tensor *(*apply)(cn_layer *layer, cn_tensor *const *in, int inputs);
    /* For layers with several outputs: fills `out` (at most cn__most_layer_outputs), sets *outputs.
     */
    cn_status (*apply_many)(cn_layer *layer, cn_tensor *const *in, int inputs, cn_tensor **out,
                            int *outputs);
    /* Hands cn_layer_set_trainable on to the layers it holds. May be NULL. */
    void (*set_trainable)(cn_layer *layer, bool trainable);
    /* Gives back `layer->extra`. May be NULL. */
    void (*release)(cn_layer *layer);
};

enum { cn__most_layer_outputs = 64 };

typedef struct cn__weight {
    const char *name; /* "kernel" */
    const char *path; /* "conv2d/kernel" */
    cn__variable *variable;
    bool trainable;          /* unless the layer is not */
    const char *initializer; /* expressions; NULL is none */
    const char *regularizer;
    const char *constraint;
} cn__weight;

/* What a training step makes of a weight that no gradient trains: moving averages. */
typedef struct cn__update {
    cn__variable *variable;
    cn_tensor *value;
} cn__update;
enum { cn__most_updates = 4 };

/* The first members of every options struct. What follows size_ is given by position. */
typedef struct cn__options_head {
    const char *name;
    cn_flag trainable;
    size_t size_;
} cn__options_head;

struct cn_layer {
    const cn__layer_type *type;
    cn__arena *arena; /* holds the layer, its options and texts */
    const char *name;
    void *options; /* the type's options struct with every default filled in */
    bool trainable, built;
    int references; /* graphs that hold it */
    int weight_count;
    cn__weight weights[8];
    int call_count;
    cn__call **calls; /* in the order of application, of the graphs that are alive */
    size_t call_capacity;
    int update_count; /* of the application in progress */
    cn__update updates[cn__most_updates];
    void *extra; /* the type's own: a model used as a layer, a wrapped layer */
};

/* One application of a layer. Lives in the graph's arena. */
struct cn__call {
    cn_layer *layer;
    int index; /* among the layer's calls in this graph: Keras' node index */
    int inputs, outputs;
    cn_tensor **in;
    cn_tensor **out;
    int updates;
    cn__update *update;
    struct cn__hold *hold; /* the graph's hold on the layer */
};
/* The call that made a tensor, NULL for a tensor that an operation made. */
static inline cn__call *cn__tensor_call(const cn_tensor *tensor)
{
    return tensor->origin;
}

/* The place of a word in a list such as "valid|same", -1 if it is not there (or the list is NULL).
 */
int cn__list_index(const char *list, const char *word);

/* "Conv2DTranspose" becomes "conv2d_transpose", as in Keras' automatic names. */
void cn__snake_case(const char *type, char *text, size_t size);
/* Room for the longest of them, with a number. */
enum { cn__name_size = 96 };

/* Makes a layer from an options struct (copied; its size_ may be smaller than the library's: the
 * rest is default; NULL: all is default), checks it and fills in the defaults. */
cn_layer *cn__layer_new(const cn__layer_type *type, const void *options);
void cn__layer_retain(cn_layer *layer);
void cn__layer_release(cn_layer *layer);

/* The type of a class name, old names included; NULL if there is none. */
const cn__layer_type *cn__layer_type_find(const char *name);
/* The table of all types, ended by NULL. */
extern const cn__layer_type *const cn__layer_types[];

/* For build: adds a weight. The options PREFIX_initializer (required), PREFIX_regularizer and
 * PREFIX_constraint tell how it is filled and kept. */
cn_status cn__layer_add_weight(cn_layer *layer, const char *name, const cn_shape *shape,
                               const char *prefix, bool trainable);
/* For apply: a training step sets the weight to `value`. */
cn_status cn__layer_add_update(cn_layer *layer, const char *weight, cn_tensor *value);
/* For apply: the tensor of a weight in the graph of `beside`; NULL if the layer has no such weight.
 */
cn_tensor *cn__layer_weight_tensor(const cn_layer *layer, const char *name, cn_tensor *beside);

/* The extent of an axis, which must be known to make weights. */
cn_status cn__layer_channels(const cn_tensor *x, int axis, int64_t *channels);

/* Fails with "LAYER (TYPE): message"; for use outside check, build and apply. */
cn_status cn__layer_fail(const cn_layer *layer, cn_status status, const char *format, ...)
    CN_PRINTF(3, 4);

/* From here on, build leaves this thread's new weights at 0 and runs no initializer: for readers,
 * who set them afterwards. Returns what was in force. */
bool cn__layer_skip_initializers(bool skip);
/* How many elements this thread's new weights may have together from here on: for readers, who know
 * how many a file can hold. Returns what was left of the budget in force, at first INT64_MAX. */
int64_t cn__layer_weight_budget(int64_t elements);

/* A seed for one random thing: the next of the process' own, which cn_set_random_seed() starts. */
uint64_t cn__next_seed(void);

/* The seed of a layer's option: its own, or the process' next if it is 0. */
uint64_t cn__layer_seed(const cn_layer *layer, int64_t seed);

/* ---- options by name, for the readers and writers (options.c) ---- */

/* Fills in the defaults of layer->options and checks every option. */
cn_status cn__options_fill(cn_layer *layer);
/* The option of that name or alias, NULL if the type has none. */
const cn__option *cn__option_find(const cn__layer_type *type, const char *name);
/* An option's member in an options struct. */
void *cn__option_at(const cn__option *option, void *options);
/* The number of a choice of an ENUM option, -1 if there is none. */
int cn__option_choice(const cn__option *option, const char *text);
/* Sets one number of an INT, FLOAT, DIMS or PAIRS option (element `index` of the array) to exactly
 * `value`, also if that is 0, which would otherwise stand for the default. */
cn_status cn__option_set_number(const cn__option *option, void *options, int index, double value);
/* That number, CN_ZERO read as 0. */
double cn__option_number(const cn__option *option, const void *options, int index);

/* ---- expressions: "name", "Name(key=value, ...)" (expression.c) ---- */

typedef struct cn__expression {
    const char *name;
    int count;
    struct {
        const char *key;
        const char *text; /* the value as text, unquoted */
        double number;    /* NaN if the value is not a number; True is 1, False 0 */
    } arguments[24];
} cn__expression;
cn_status cn__expression_parse(cn__arena *arena, const char *text, cn__expression *expression);
double cn__expression_number(const cn__expression *expression, const char *key, double fallback);
const char *cn__expression_text(const cn__expression *expression, const char *key,
                                const char *fallback);
/* The numbers of a value such as 3 or [0, 1, 2]; `*count` is 0 if there is no such argument or it
 * is None. */
cn_status cn__expression_numbers(cn__arena *arena, const cn__expression *expression,
                                 const char *key, int *count, double **numbers);

/* ---- activations (activations.c): "relu", "LeakyReLU(negative_slope=0.1)" ---- */

/* True if `activation` names one and has only its arguments; NULL and "linear" are the identity. If
 * not, the message tells. */
bool cn__activation_known(const char *activation);
/* True if each value of the result depends on one value of x: the axes then do not matter. */
bool cn__activation_is_elementwise(const char *activation);
/* The activated tensor. Axes are counted on x: softmax works over the last axis. */
cn_tensor *cn__activate(const char *activation, cn_tensor *x);

/* ---- initializers (initializers.c) ---- */

/* True if `initializer` names one and has only its arguments. If not, the message tells. */
bool cn__initializer_known(const char *initializer);
/* Fills a float array. Draws from `random`, or from a fresh stream if the expression has a seed. */
cn_status cn__initialize(const char *initializer, cn__random *random, cn_array *array);

/* ---- what several layers share (shared.c) ---- */

/* The number in a list of DIMS or PAIRS: CN_ZERO is 0. */
static inline int64_t cn__dim(int64_t number)
{
    return number == CN_ZERO ? 0 : number;
}

/* x with `axis` moved to the end, and back: from the end to `axis`. */
cn_tensor *cn__axis_to_last(cn_tensor *x, int axis);
cn_tensor *cn__axis_from_last(cn_tensor *x, int axis);
/* x with the channels moved to the end if the format is channels first, else x; and back. */
cn_tensor *cn__to_channels_last(cn_tensor *x, cn_data_format format);
cn_tensor *cn__from_channels_last(cn_tensor *x, cn_data_format format);
/* The channels' axis in the format. */
int cn__channel_axis(const cn_tensor *x, cn_data_format format);
/* Counts an axis from the front; fails if x has none of that number. The batch is axis 0. */
cn_status cn__layer_axis(const cn_tensor *x, int64_t axis, int *from_front);
/* The axes of an AXES option as bits. */
cn_status cn__layer_axes(const cn_tensor *x, const int64_t *axes, unsigned *bits);

/* For build: the kernel (sizes..., a, b) of a convolution, where `sizes` holds a number for each of
 * the layer's spatial axes, or is NULL for ones; `options` is the prefix of its options. */
cn_status cn__layer_add_kernel(cn_layer *layer, const char *name, const char *options,
                               const int64_t *sizes, int64_t a, int64_t b);
/* For build: the weight "bias" of `count` numbers, if it is used. */
cn_status cn__layer_add_bias(cn_layer *layer, cn_flag use_bias, int64_t count);
/* For build: fails if `groups` does not divide the input's channels. */
cn_status cn__layer_check_groups(int64_t groups, int64_t channels);

/* Adds the weight "bias" if it is used, activates, and gives the result the format; x has the
 * channels last. */
cn_tensor *cn__bias_and_activation(const cn_layer *layer, cn_tensor *x, cn_flag use_bias,
                                   const char *activation, cn_data_format format);

/* Lines of options' tables. T is the layer's options struct. */
#define CN__ACTIVATION(T) CN__OPTION(T, activation, CN__OBJECT)
#define CN__USE_BIAS(T) CN__OPTION(T, use_bias, CN__FLAG, .aliases = "bias")
#define CN__DATA_FORMAT(T)                                                                         \
    CN__OPTION(T, data_format, CN__ENUM, .aliases = "dim_ordering", .number = CN_CHANNELS_LAST,    \
               .choices = "default|channels_last|channels_first",                                  \
               .choice_aliases = "default|tf|th")
#define CN__PADDING(T)                                                                             \
    CN__OPTION(T, padding, CN__ENUM, .aliases = "border_mode",                                     \
               .choices = "valid|same|causal|same_theano")
/* How a weight is filled and kept; the older names are those of Keras 1. */
#define CN__INITIALIZER(T, member, default_, older)                                                \
    CN__OPTION(T, member, CN__OBJECT, .text = default_, .aliases = older)
#define CN__KEEPER(T, member, older) CN__OPTION(T, member, CN__OBJECT, .aliases = older)

#endif
