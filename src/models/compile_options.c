/* What a model was compiled with, read back. */
#include "models/training.h"

cn_status cn_model_compile_options(const cn_model *model, cn_compile_options *options)
{
    if (model == NULL || options == NULL)
        return cn__fail_null_argument("cn_model_compile_options");
    const cn__compiled *c = cn__model_compiled(model);
    *options = (cn_compile_options){.size_ = sizeof *options};
    if (c == NULL)
        return cn__fail(CN_ERROR_ARGUMENT, "model %s: is not compiled", model->name);
    options->optimizer = cn__optimizer_text(c->optimizer);
    for (int i = 0; i < model->output_count; i++) {
        float weight = (float)c->loss_weights[i];
        options->loss[i] = c->losses[i] != NULL ? c->losses[i] : "none";
        options->loss_weights[i] = weight != 0 ? weight : -0.0F;
    }
    for (int i = 0; i < c->metrics.count; i++)
        options->metrics[i] = c->metrics.texts[i];
    for (int i = 0; i < c->weighted_metrics.count; i++)
        options->weighted_metrics[i] = c->weighted_metrics.texts[i];
    return CN_OK;
}
