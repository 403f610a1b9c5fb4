/* Cornu, for bench/compare.py: what its peers do (peer.h), and
 *
 *   peak                                        GFLOP/s of multiply-adds in registers
 *   plan                                        packed bytes, scratch bytes, algorithm
 *   compare FILE                                the greatest difference between the last values and
 *                                               those in FILE, relative to the greatest value
 *   net FILE NETWORK BATCH LOSS FOLDER          prepares a network of networks.txt; LOSS "predict":
 *                                               prediction. Its values are the prediction, or the
 *                                               losses of the first steps without dropout
 *   work                                        useful FLOP of one prediction or step
 *
 * `op` and `net` write the data and weights that the peers then read: x.bin, y.bin,
 * LAYER.WEIGHT.bin
 */
#include "network.h"
#include "operation.h"
#include "peer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { checked_steps = 3 };

static cn_pool *pool;
static operation current;
static struct {
    bool ready, training;
    int64_t batch;
    cn_model *model,
        *checked; /* `checked`: the same without dropout, to be trained for its values */
    cn_array *x, *y;
} net;
static cn_array *predicted;
static float losses[checked_steps];
static float *kept; /* a copy of the last values */
static size_t kept_count;

static bool refuse_error(void)
{
    return peer_refuse("%s", cn_error_message());
}

static void release(void)
{
    operation_release(&current);
    cn_model_free(net.model);
    cn_model_free(net.checked);
    cn_array_free(net.x);
    cn_array_free(net.y);
    cn_array_free(predicted);
    memset(&net, 0, sizeof net);
    predicted = NULL;
}

/* ---- operations ---- */

static bool write_to(const char *folder, const char *name, const float *values, size_t count)
{
    char path[4400];
    snprintf(path, sizeof path, "%s/%s.bin", folder, name);
    return peer_write(path, values, count);
}

static const char *prepare_operation(const peer_operation *o)
{
    release();
    cn_conv conv = {.rank = 2,
                    .batch = o->n,
                    .in_channels = o->ic,
                    .out_channels = o->oc,
                    .groups = o->groups,
                    .in = {o->h, o->w},
                    .kernel = {o->kh, o->kw},
                    .stride = {o->sh, o->sw},
                    .before = {o->before_h, o->before_w},
                    .out = {o->oh, o->ow}};
    if (!operation_make(&current, &conv, o->transposed, o->pass, pool))
        return (void)refuse_error(), NULL;
    bool written =
        (o->pass == PEER_INPUT_GRADIENT || write_to(o->folder, "x", current.x, peer_x_count(o))) &&
        (o->pass == PEER_FORWARD || write_to(o->folder, "g", current.g, peer_g_count(o))) &&
        (o->pass == PEER_KERNEL_GRADIENT ||
         write_to(o->folder, "kernel", current.kernel, peer_kernel_count(o)));
    return written ? "cornu" : NULL;
}

static const float *operation_result(size_t *count)
{
    const cn_conv *c = &current.conv;
    *count = (size_t)(current.pass == PEER_FORWARD ? cn_conv_out_count(c)
                      : current.pass == PEER_INPUT_GRADIENT
                          ? cn_conv_in_count(c)
                          : cn_conv_kernel_count(c, current.transposed));
    return current.pass == PEER_FORWARD          ? current.g
           : current.pass == PEER_INPUT_GRADIENT ? current.x
                                                 : current.kernel;
}

/* ---- networks ---- */

/* Random values in 0 to 1; those of each sample sum to 1 if `shares`. */
static cn_array *filled(const cn_shape *symbolic, int64_t batch, bool shares, uint64_t seed)
{
    cn_shape shape = *symbolic;
    shape.dim[0] = batch;
    cn_array *array = cn_array_new(CN_FLOAT32, &shape);
    if (array == NULL)
        return NULL;
    float *values = cn_array_floats(array);
    int64_t count = cn_array_count(array) / batch;
    fill_uniform(values, batch * count, seed);
    for (int64_t i = 0; shares && i < batch; i++) {
        float sum = 0;
        for (int64_t k = 0; k < count; k++)
            sum += values[i * count + k];
        for (int64_t k = 0; k < count; k++)
            values[i * count + k] /= sum;
    }
    return array;
}

static bool write_array(const char *folder, const char *name, const cn_array *array)
{
    return write_to(folder, name, cn_array_const_floats(array), (size_t)cn_array_count(array));
}

static bool write_network(const char *folder)
{
    if (!write_array(folder, "x", net.x) || !write_array(folder, "y", net.y))
        return false;
    for (int i = 0; i < cn_model_weight_count(net.model); i++) {
        char name[128];
        snprintf(name, sizeof name, "%s", cn_model_weight_name(net.model, i));
        name[strcspn(name, "/")] = '.';
        if (!write_array(folder, name, cn_model_weight(net.model, i)))
            return false;
    }
    return true;
}

static bool prepare_models(const char *file, const char *name, const char *loss)
{
    char reason[256];
    net.model = network_make(file, name, true, reason);
    if (net.model == NULL)
        return peer_refuse("%s", reason);
    if (!net.training)
        return true;
    net.checked = network_make(file, name, false, reason);
    if (net.checked == NULL)
        return peer_refuse("%s", reason);
    return (cn_model_copy_weights(net.checked, net.model) == CN_OK &&
            cn_compile(net.model, .optimizer = "adam", .loss = {loss}) == CN_OK &&
            cn_compile(net.checked, .optimizer = "adam", .loss = {loss}) == CN_OK) ||
           refuse_error();
}

/* FILE NETWORK BATCH LOSS FOLDER */
static bool prepare_network(const char *request)
{
    char file[1024], name[64], loss[64], folder[4096];
    long long batch;
    release();
    peer_set_variants(NULL);
    if (sscanf(request, "%*s %1023s %63s %lld %63s %4095s", file, name, &batch, loss, folder) !=
            5 ||
        batch < 1)
        return peer_refuse("not a network: %.100s", request);
    net.batch = batch;
    net.training = strcmp(loss, "predict") != 0;
    if (!prepare_models(file, name, loss))
        return false;
    bool shares = strcmp(loss, "categorical_crossentropy") == 0;
    net.x = filled(cn_tensor_shape(cn_model_input(net.model)), batch, false, 1);
    net.y = filled(cn_tensor_shape(cn_model_output(net.model)), batch, shares, 2);
    if (net.x == NULL || net.y == NULL)
        return refuse_error();
    net.ready = write_network(folder);
    if (net.ready)
        peer_set_variants("cornu");
    return net.ready;
}

static bool train(cn_model *model, float *loss)
{
    cn_logs logs;
    if (cn_model_train_on_batch(model, cn_arrays(net.x), cn_arrays(net.y), (cn_array_list){0},
                                &logs, pool) != CN_OK)
        return refuse_error();
    *loss = (float)cn_logs_get(logs, "loss");
    return true;
}

static bool step(void)
{
    float loss;
    if (net.training)
        return train(net.model, &loss);
    cn_array *out[1] = {NULL};
    const cn_array *in[] = {net.x};
    if (cn_model_predict(net.model, in, out, net.batch, pool) != CN_OK)
        return refuse_error();
    cn_array_free(predicted);
    predicted = out[0];
    return true;
}

static const float *network_result(size_t *count)
{
    if (!net.training) {
        *count = (size_t)cn_array_count(predicted);
        return cn_array_const_floats(predicted);
    }
    *count = checked_steps;
    for (int i = 0; i < checked_steps; i++)
        if (!train(net.checked, &losses[i]))
            return NULL;
    return losses;
}

static void add_work(const cn_trace *trace, void *context)
{
    *(double *)context += 2 * trace->multiplications;
}

static bool count_work(char *answer, size_t size)
{
    double work = 0;
    if (!net.ready)
        return peer_refuse("no network is prepared");
    cn_set_tracer(add_work, &work);
    bool done = step();
    cn_set_tracer(NULL, NULL);
    snprintf(answer, size, "%.0f", work);
    return done;
}

/* ---- requests ---- */

static bool run(int variant)
{
    (void)variant;
    if (net.ready)
        return step();
    operation_run(&current, pool);
    return true;
}

/* Keeps a copy for `compare`. */
static const float *result(int variant, size_t *count)
{
    (void)variant;
    const float *values = net.ready ? network_result(count) : operation_result(count);
    if (values == NULL)
        return NULL;
    free(kept);
    kept = peer_memory(*count * sizeof *kept);
    memcpy(kept, values, *count * sizeof *kept);
    kept_count = *count;
    return values;
}

static bool compare(const char *path, char *answer, size_t size)
{
    FILE *file = fopen(path, "rb");
    float *values = peer_memory((kept_count + 1) * sizeof *values);
    size_t count = file ? fread(values, sizeof *values, kept_count + 1, file) : 0;
    float largest = 0, difference = 0;
    for (size_t i = 0; i < count && i < kept_count; i++) {
        largest = fmaxf(largest, fabsf(kept[i]));
        float here = fabsf(values[i] - kept[i]);
        difference = here > difference || isnan(here) ? here : difference;
        if (isnan(difference))
            break;
    }
    if (file)
        fclose(file);
    free(values);
    if (count != kept_count || count == 0)
        return peer_refuse("%zu values where Cornu has %zu", count, kept_count);
    snprintf(answer, size, "%.3g", (double)(difference / largest));
    return true;
}

static bool other(char *request, char *answer, size_t size)
{
    char word[16] = "", path[4096] = "";
    sscanf(request, "%15s %4095s", word, path);
    if (strcmp(word, "peak") == 0)
        return snprintf(answer, size, "%.2f", 1e-9 * cn_peak_flops(pool)) > 0;
    if (strcmp(word, "plan") == 0 && current.plan != NULL)
        return snprintf(answer, size, "%zu %zu %s", cn_conv_plan_packed_bytes(current.plan),
                        cn_conv_plan_scratch_bytes(current.plan),
                        cn_conv_plan_algorithm(current.plan)) > 0;
    if (strcmp(word, "compare") == 0)
        return compare(path, answer, size);
    if (strcmp(word, "net") == 0)
        return prepare_network(request) && snprintf(answer, size, "cornu") > 0;
    if (strcmp(word, "work") == 0)
        return count_work(answer, size);
    return peer_refuse("does not know '%s'", word);
}

int main(int count, char **arguments)
{
    char greeting[128];
    pool = cn_pool_new(count > 1 ? atoi(arguments[1]) : 1);
    if (pool == NULL) {
        printf("no %s\n", cn_error_message());
        return 1;
    }
    snprintf(greeting, sizeof greeting, "Cornu %s (%s)", cn_version(), cn_isa_name());
    peer cornu = {.prepare = prepare_operation, .run = run, .result = result, .other = other};
    int status = peer_serve(&cornu, greeting);
    release();
    free(kept);
    cn_pool_free(pool);
    return status;
}
