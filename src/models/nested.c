/* Models used as layers: applied to tensors, such a layer applies the model's own layers, which
 * keep their weights, in the model's steps. */
#include "models/model.h"

static cn_status take_step(const cn__model_step *step, cn_tensor **values)
{
    cn_tensor *in[cn__most_inputs], *out[cn__most_layer_outputs];
    for (int i = 0; i < step->inputs; i++)
        in[i] = values[step->in[i]];
    int outputs = cn_apply_outputs(step->layer, (cn_tensor_list){step->inputs, in},
                                   cn__most_layer_outputs, out);
    if (outputs < 0)
        return cn_error_status();
    for (int i = 0; i < step->outputs; i++)
        values[step->out[i]] = out[i];
    return CN_OK;
}

static cn_status take_steps(const cn_model *model, cn_tensor *const *in, cn_tensor **values,
                            cn_tensor **out)
{
    for (int i = 0; i < model->input_count; i++)
        values[model->input_values[i]] = in[i];
    for (int i = 0; i < model->step_count; i++)
        if (model->steps[i].inputs > 0)
            CN__TRY(take_step(&model->steps[i], values));
    for (int i = 0; i < model->output_count; i++)
        out[i] = values[model->output_values[i]];
    return CN_OK;
}

/* A layer must not hold the graph that holds it, or neither would ever be freed. */
static void let_go_of(cn_model *model, const cn_graph *graph)
{
    if (model->graph != NULL && cn__graph_of(model->inputs[0]) == graph) {
        cn__graph_let_go(model->graph);
        model->graph = NULL;
        model->inputs = model->outputs = NULL;
    }
}

static cn_status apply(cn_layer *layer, cn_tensor *const *in, int inputs, cn_tensor **out,
                       int *outputs)
{
    cn_model *model = layer->extra;
    if (inputs != model->input_count)
        return cn__fail(CN_ERROR_ARGUMENT, "the model has %d inputs, not %d", model->input_count,
                        inputs);
    for (int i = 0; i < inputs; i++)
        let_go_of(model, cn__graph_of(in[i]));
    cn_tensor **values = cn__calloc((size_t)model->value_count, sizeof(cn_tensor *));
    if (values == NULL)
        return cn_error_status();
    cn_status status = take_steps(model, in, values, out);
    cn__free(values);
    *outputs = model->output_count;
    return status;
}

/* As in Keras, a model's flag is also that of all its layers. */
static void set_trainable(cn_layer *layer, bool trainable)
{
    const cn_model *model = layer->extra;
    for (int i = 0; i < model->layer_count; i++)
        cn_layer_set_trainable(model->layers[i], trainable);
}

static void release(cn_layer *layer)
{
    cn_model_free(layer->extra);
}

const cn__layer_type cn__functional_type = {.name = "Functional",
                                            .option_bytes = sizeof(cn__options_head),
                                            .least_inputs = 1,
                                            .most_inputs = cn__most_inputs,
                                            .apply_many = apply,
                                            .set_trainable = set_trainable,
                                            .release = release};
const cn__layer_type cn__sequential_type = {.name = "Sequential",
                                            .option_bytes = sizeof(cn__options_head),
                                            .least_inputs = 1,
                                            .most_inputs = 1,
                                            .apply_many = apply,
                                            .set_trainable = set_trainable,
                                            .release = release};

cn_layer *cn_model_as_layer(cn_model *model)
{
    if (model == NULL)
        return cn__fail_null_argument("cn_model_as_layer"), NULL;
    cn_layer *layer = NULL;
    if (model->has_operations)
        cn__fail(
            CN_ERROR_UNSUPPORTED,
            "model %s: has operations outside its layers, so that it cannot become a layer; make "
            "them with layers such as Add, Activation or Rescaling",
            model->name);
    else if (model->output_count > cn__most_layer_outputs)
        cn__fail(CN_ERROR_UNSUPPORTED, "model %s: a layer has at most %d outputs, not %d",
                 model->name, cn__most_layer_outputs, model->output_count);
    else
        layer = cn__layer_new(
            model->sequential ? &cn__sequential_type : &cn__functional_type,
            &(cn__options_head){.size_ = sizeof(cn__options_head), .name = model->name});
    if (layer == NULL) {
        cn_model_free(model);
        return NULL;
    }
    cn_function_free(atomic_exchange(&model->function, NULL));
    layer->extra = model;
    return layer;
}

cn_model *cn__layer_model(const cn_layer *layer)
{
    bool is_model = layer->type == &cn__functional_type || layer->type == &cn__sequential_type;
    return is_model ? layer->extra : NULL;
}
