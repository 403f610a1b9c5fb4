/* Times whole networks: bench_networks [THREADS [MILLISECONDS [CASE...]]]
 *
 * Prints a line for each case: name, threads, runs, best and median milliseconds of one call, and
 * the peak of the process' memory in MiB. A case is timed for MILLISECONDS (1000) after two calls
 * to warm up. `peer_torch.py` prints the same lines for the same networks in PyTorch. */
#include <cornu/cornu.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

typedef struct network {
    cn_model *model;
    cn_array *x, *y;
} network;

typedef struct bench_case {
    const char *name;
    cn_model *(*make)(void);
    const char *loss;
    int64_t batch;
    bool training;
} bench_case;

/* ---- the networks ---- */

/* The CIFAR network of the question. */
static cn_model *question(void)
{
    return cn_sequential(
        cn_input({32, 32, 3}), cn_conv2d(32, {3, 3}, .padding = CN_SAME, .activation = "relu"),
        cn_conv2d(32, {3, 3}, .padding = CN_SAME, .activation = "relu"), cn_max_pooling2d({2, 2}),
        cn_dropout(0.25f), cn_conv2d(64, {3, 3}, .padding = CN_SAME, .activation = "relu"),
        cn_conv2d(64, {3, 3}, .padding = CN_SAME, .activation = "relu"), cn_max_pooling2d({2, 2}),
        cn_dropout(0.25f), cn_flatten(), cn_dense(512, .activation = "relu"), cn_dropout(0.5f),
        cn_dense(10, .activation = "softmax"));
}

static cn_layer *down(int64_t filters)
{
    return cn_conv2d(filters, {3, 3}, .strides = {2, 2}, .padding = CN_SAME, .activation = "relu");
}

static cn_layer *up(int64_t filters, int64_t size, const char *activation)
{
    return cn_conv2d_transpose(filters, {size, size}, .strides = {2, 2}, .padding = CN_SAME,
                               .activation = activation);
}

static cn_model *autoencoder(void)
{
    return cn_sequential(cn_input({64, 64, 3}), down(32), down(64), down(128), up(64, 3, "relu"),
                         up(32, 3, "relu"), up(3, 3, "sigmoid"));
}

/* The generator of Radford, Metz and Chintala, arXiv 1511.06434. */
static cn_model *dcgan_generator(void)
{
    return cn_sequential(cn_input({100}), cn_dense(4 * 4 * 1024), cn_reshape({4, 4, 1024}),
                         cn_batch_normalization(), cn_activation("relu"), up(512, 5, NULL),
                         cn_batch_normalization(), cn_activation("relu"), up(256, 5, NULL),
                         cn_batch_normalization(), cn_activation("relu"), up(128, 5, NULL),
                         cn_batch_normalization(), cn_activation("relu"), up(3, 5, "tanh"));
}

static const bench_case cases[] = {
    {"question-train", question, "categorical_crossentropy", 32, true},
    {"question-predict-32", question, NULL, 32, false},
    {"question-predict-1", question, NULL, 1, false},
    {"autoencoder-train", autoencoder, "mse", 32, true},
    {"autoencoder-predict-32", autoencoder, NULL, 32, false},
    {"dcgan-train", dcgan_generator, "mse", 16, true},
    {"dcgan-predict-16", dcgan_generator, NULL, 16, false},
};

/* ---- timing ---- */

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void fail(const char *what)
{
    fprintf(stderr, "bench_networks: %s: %s\n", what, cn_error_message());
    exit(1);
}

/* Values in 0 to 1. */
static cn_array *filled(const cn_shape *symbolic, int64_t batch)
{
    cn_shape shape = *symbolic;
    shape.dim[0] = batch;
    cn_array *array = cn_array_new(CN_FLOAT32, &shape);
    if (array == NULL)
        fail("data");
    for (int64_t i = 0; i < cn_array_count(array); i++)
        cn_array_floats(array)[i] = (float)rand() / (float)RAND_MAX;
    return array;
}

static void step(const bench_case *c, const network *n, cn_pool *pool)
{
    cn_array *out[1] = {NULL};
    cn_status status =
        c->training ? cn_model_train_on_batch(n->model, cn_arrays(n->x), cn_arrays(n->y),
                                              (cn_array_list){0}, NULL, pool)
                    : cn_model_predict(n->model, (const cn_array *[]){n->x}, out, c->batch, pool);
    if (status != CN_OK)
        fail(c->name);
    cn_array_free(out[0]);
}

static void time_case(const bench_case *c, const network *n, double milliseconds, cn_pool *pool)
{
    enum { most = 100000 };
    double *times = malloc(most * sizeof *times);
    int count = 0;
    for (int i = 0; i < 2; i++)
        step(c, n, pool);
    for (double begin = now(); count < most && (count < 3 || now() - begin < milliseconds);) {
        double before = now();
        step(c, n, pool);
        times[count++] = now() - before;
    }
    qsort(times, (size_t)count, sizeof *times, ascending);
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    printf("%s\t%d\t%d\t%.3f\t%.3f\t%.0f\n", c->name, cn_pool_threads(pool), count, times[0],
           times[count / 2], (double)usage.ru_maxrss / 1024);
    free(times);
}

static void run_case(const bench_case *c, double milliseconds, cn_pool *pool)
{
    network n = {.model = c->make()};
    if (n.model == NULL)
        fail(c->name);
    if (c->training && cn_compile(n.model, .optimizer = "adam", .loss = {c->loss}) != CN_OK)
        fail(c->name);
    n.x = filled(cn_tensor_shape(cn_model_input(n.model)), c->batch);
    n.y = filled(cn_tensor_shape(cn_model_output(n.model)), c->batch);
    time_case(c, &n, milliseconds, pool);
    cn_array_free(n.x);
    cn_array_free(n.y);
    cn_model_free(n.model);
}

int main(int argc, char **argv)
{
    cn_pool *pool = cn_pool_new(argc > 1 ? atoi(argv[1]) : 0);
    double milliseconds = argc > 2 ? atof(argv[2]) : 1000;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bool wanted = argc <= 3;
        for (int a = 3; a < argc; a++)
            wanted = wanted || strcmp(argv[a], cases[i].name) == 0;
        if (wanted)
            run_case(&cases[i], milliseconds, pool);
    }
    cn_pool_free(pool);
    return 0;
}
