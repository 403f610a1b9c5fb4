/* Reading ahead. Batch b of an epoch is read into buffer b % buffers; a buffer is free for another
 * batch as soon as the batch in it is no longer lent. The threads take one sample at a time, in the
 * order in which they are used, so that all of them work on the batch that is needed next. */
#include "data/data.h"

#include <inttypes.h>
#include <pthread.h>

enum { element_size = 4, least_ahead = 3, most_threads = 1024 };

/* A batch, read or being read. */
typedef struct buffer {
    char *fields[CN_MOST_FIELDS]; /* (batch_size, sample) */
    int64_t *indexes;
    int64_t count, done; /* samples, and how many of them have been read */
    int64_t failed;      /* the first one that could not be read; `count` if all could */
    cn__failure failure; /* its message */
} buffer;

struct cn__loader {
    cn_dataset *dataset;
    cn__loader_options options;
    int fields;
    size_t bytes[CN_MOST_FIELDS]; /* of a sample's field */
    int64_t batches, epoch;
    bool lent;      /* the current batch */
    int64_t *order; /* of the samples; NULL if they are not shuffled */
    int64_t buffer_count;
    buffer *buffers;

    /* What the threads share, under `lock`. */
    pthread_mutex_t lock;
    pthread_cond_t work, done;
    bool has_lock;
    int64_t next_batch, next_sample; /* the next to be read */
    int64_t current;                 /* the batch that is lent, or is to be lent next */
    int64_t busy;                    /* threads that are reading a sample */
    bool stop;
    int thread_count;
    pthread_t *threads;
};

/* ---- order and draws ---- */

/* The finisher of Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014. */
static uint64_t finish(uint64_t z)
{
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
    z = (z ^ z >> 27) * 0x94D049BB133111EB;
    return z ^ z >> 31;
}

/* Each number is added before the bits are mixed again: none can cancel another. */
uint64_t cn__draw(uint64_t seed, int64_t epoch, int64_t index)
{
    const uint64_t golden_ratio = 0x9E3779B97F4A7C15;
    uint64_t z = finish(seed + golden_ratio);
    z = finish(z + (uint64_t)epoch + golden_ratio);
    return finish(z + (uint64_t)index + golden_ratio);
}

/* Below `bound`, all equally likely: numbers beyond the last multiple of it are thrown away. */
static uint64_t random_below(cn__random *random, uint64_t bound)
{
    uint64_t beyond = UINT64_MAX - UINT64_MAX % bound, number = beyond;
    while (number >= beyond) {
        number = (uint64_t)cn__random_bits(random) << 32;
        number |= cn__random_bits(random);
    }
    return number % bound;
}

/* By Fisher and Yates. No sample has the index -1, whose draw is the seed. */
void cn__shuffle(uint64_t seed, int64_t epoch, int64_t *order, int64_t count)
{
    cn__random random = {.seed = cn__draw(seed, epoch, -1)};
    for (int64_t i = 0; i < count; i++)
        order[i] = i;
    for (int64_t i = count - 1; i > 0; i--) {
        int64_t other = (int64_t)random_below(&random, (uint64_t)i + 1), swapped = order[i];
        order[i] = order[other];
        order[other] = swapped;
    }
}

/* ---- reading ---- */

static buffer *buffer_of(const cn__loader *loader, int64_t batch)
{
    return &loader->buffers[batch % loader->buffer_count];
}

/* Makes the buffer ready for the samples of `batch`. */
static void begin_batch(cn__loader *loader, int64_t batch)
{
    buffer *b = buffer_of(loader, batch);
    int64_t size = loader->options.batch_size, first = batch * size;
    b->count = b->failed = cn__min(size, cn_dataset_count(loader->dataset) - first);
    b->done = 0;
    for (int64_t i = 0; i < b->count; i++)
        b->indexes[i] = loader->order ? loader->order[first + i] : first + i;
}

static cn_status read_sample(const cn__loader *loader, const buffer *b, int64_t sample)
{
    void *fields[CN_MOST_FIELDS];
    for (int i = 0; i < loader->fields; i++)
        fields[i] = b->fields[i] + (size_t)sample * loader->bytes[i];
    int64_t index = b->indexes[sample];
    uint64_t draw = cn__draw(loader->options.seed, loader->epoch, index);
    return cn_dataset_read(loader->dataset, index, draw, fields);
}

/* ---- threads ---- */

/* Takes the next sample to be read; false if there is none, or no free buffer. */
static bool take_sample(cn__loader *loader, buffer **b, int64_t *sample)
{
    int64_t batch = loader->next_batch;
    if (batch >= loader->batches || batch >= loader->current + loader->buffer_count)
        return false;
    *b = buffer_of(loader, batch);
    *sample = loader->next_sample++;
    if (*sample == 0)
        begin_batch(loader, batch);
    if (loader->next_sample == (*b)->count) {
        loader->next_batch++;
        loader->next_sample = 0;
    }
    return true;
}

static void *read_ahead(void *context)
{
    cn__loader *loader = context;
    (void)pthread_mutex_lock(&loader->lock);
    while (!loader->stop) {
        buffer *b;
        int64_t sample;
        if (!take_sample(loader, &b, &sample)) {
            (void)pthread_cond_wait(&loader->work, &loader->lock);
            continue;
        }
        loader->busy++;
        (void)pthread_mutex_unlock(&loader->lock);
        cn_status status = read_sample(loader, b, sample);
        (void)pthread_mutex_lock(&loader->lock);
        /* the failure that reading one sample after the other would have met */
        if (status != CN_OK && sample < b->failed) {
            b->failed = sample;
            cn__failure_take(&b->failure);
        }
        loader->busy--;
        if (++b->done == b->count || loader->busy == 0)
            (void)pthread_cond_signal(&loader->done);
    }
    (void)pthread_mutex_unlock(&loader->lock);
    return NULL;
}

static cn_status start_threads(cn__loader *loader)
{
    int wanted = loader->options.threads;
    loader->threads = cn__calloc((size_t)wanted, sizeof *loader->threads);
    if (!loader->threads)
        return CN_ERROR_MEMORY;
    if (pthread_mutex_init(&loader->lock, NULL) != 0)
        return cn__fail(CN_ERROR_MEMORY, "a lock for reading ahead cannot be made");
    (void)pthread_cond_init(&loader->work, NULL);
    (void)pthread_cond_init(&loader->done, NULL);
    loader->has_lock = true;
    for (; loader->thread_count < wanted; loader->thread_count++)
        if (pthread_create(&loader->threads[loader->thread_count], NULL, read_ahead, loader) != 0)
            return cn__fail(CN_ERROR_MEMORY, "%d threads for reading ahead cannot be started",
                            wanted);
    return CN_OK;
}

static void stop_threads(cn__loader *loader)
{
    if (!loader->has_lock)
        return;
    (void)pthread_mutex_lock(&loader->lock);
    loader->stop = true;
    (void)pthread_cond_broadcast(&loader->work);
    (void)pthread_mutex_unlock(&loader->lock);
    for (int i = 0; i < loader->thread_count; i++)
        (void)pthread_join(loader->threads[i], NULL);
    (void)pthread_cond_destroy(&loader->done);
    (void)pthread_cond_destroy(&loader->work);
    (void)pthread_mutex_destroy(&loader->lock);
}

/* ---- making and freeing ---- */

static cn_status check_options(const cn__loader_options *options)
{
    if (options->batch_size < 1)
        return cn__fail(CN_ERROR_ARGUMENT, "the batch size must be at least 1, not %" PRId64,
                        options->batch_size);
    if (options->threads < 0 || options->threads > most_threads)
        return cn__fail(CN_ERROR_ARGUMENT,
                        "the threads that read ahead must be 0 (none) to %d, not %d", most_threads,
                        options->threads);
    return CN_OK;
}

/* With threads, one buffer is lent while the others are read: enough for every thread to have two
 * samples to read, or for the whole epoch. */
static int64_t buffers_needed(const cn__loader *loader)
{
    if (loader->options.threads == 0)
        return 1;
    int64_t ahead = cn__ceil_div(2 * loader->options.threads, loader->options.batch_size);
    return cn__max(cn__min(1 + cn__max(ahead, least_ahead), loader->batches), 1);
}

static cn_status new_buffers(cn__loader *loader)
{
    loader->buffer_count = buffers_needed(loader);
    loader->buffers = cn__calloc((size_t)loader->buffer_count, sizeof *loader->buffers);
    if (!loader->buffers)
        return CN_ERROR_MEMORY;
    size_t size = (size_t)loader->options.batch_size;
    for (int64_t b = 0; b < loader->buffer_count; b++) {
        buffer *at = &loader->buffers[b];
        at->indexes = cn__calloc(size, sizeof *at->indexes);
        if (!at->indexes)
            return CN_ERROR_MEMORY;
        for (int i = 0; i < loader->fields; i++)
            if (!(at->fields[i] = cn__calloc(size, loader->bytes[i])))
                return CN_ERROR_MEMORY;
    }
    return CN_OK;
}

static cn_status make(cn__loader *loader, cn_dataset *dataset, const cn__loader_options *options)
{
    CN__TRY(check_options(options));
    int64_t count = cn_dataset_count(dataset);
    loader->dataset = dataset;
    loader->options = *options;
    loader->options.batch_size = cn__min(options->batch_size, cn__max(count, 1));
    loader->batches = cn__ceil_div(count, loader->options.batch_size);
    loader->current = loader->next_batch = loader->batches;
    loader->fields = cn_dataset_inputs(dataset) + cn_dataset_targets(dataset);
    for (int i = 0; i < loader->fields; i++)
        loader->bytes[i] = (size_t)cn_shape_count(cn_dataset_shape(dataset, i)) * element_size;
    if (options->shuffle && !(loader->order = cn__calloc((size_t)count, sizeof *loader->order)))
        return CN_ERROR_MEMORY;
    CN__TRY(new_buffers(loader));
    return options->threads ? start_threads(loader) : CN_OK;
}

cn__loader *cn__loader_new(cn_dataset *dataset, const cn__loader_options *options)
{
    if (!dataset || !options)
        return (void)cn__fail_null_argument("cn__loader_new"), NULL;
    cn__loader *loader = cn__calloc(1, sizeof *loader);
    if (loader && make(loader, dataset, options) == CN_OK)
        return loader;
    cn__loader_free(loader);
    return NULL;
}

void cn__loader_free(cn__loader *loader)
{
    if (!loader)
        return;
    stop_threads(loader);
    for (int64_t b = 0; loader->buffers && b < loader->buffer_count; b++) {
        for (int i = 0; i < loader->fields; i++)
            cn__free(loader->buffers[b].fields[i]);
        cn__free(loader->buffers[b].indexes);
    }
    cn__free(loader->buffers);
    cn__free(loader->order);
    cn__free(loader->threads);
    cn__free(loader);
}

int64_t cn__loader_batches(const cn__loader *loader)
{
    return loader ? loader->batches : 0;
}

/* ---- epochs and batches ---- */

/* Lets the threads finish the samples they are at; they find no others. */
static void abandon(cn__loader *loader)
{
    loader->next_batch = loader->batches;
    while (loader->busy > 0)
        (void)pthread_cond_wait(&loader->done, &loader->lock);
}

static void begin(cn__loader *loader, int64_t epoch, int64_t first_batch)
{
    if (loader->order)
        cn__shuffle(loader->options.seed, epoch, loader->order, cn_dataset_count(loader->dataset));
    loader->epoch = epoch;
    loader->current = loader->next_batch = first_batch;
    loader->next_sample = 0;
    loader->lent = false;
}

cn_status cn__loader_begin(cn__loader *loader, int64_t epoch, int64_t first_batch)
{
    if (!loader)
        return cn__fail_null_argument("cn__loader_begin");
    if (first_batch < 0 || first_batch > loader->batches)
        return cn__fail(CN_ERROR_ARGUMENT,
                        "an epoch cannot begin at batch %" PRId64 ": it has %" PRId64, first_batch,
                        loader->batches);
    if (!loader->has_lock)
        return begin(loader, epoch, first_batch), CN_OK;
    (void)pthread_mutex_lock(&loader->lock);
    abandon(loader);
    begin(loader, epoch, first_batch);
    (void)pthread_cond_broadcast(&loader->work);
    (void)pthread_mutex_unlock(&loader->lock);
    return CN_OK;
}

/* The current batch, read here and now up to the first failure. */
static cn_status read_batch(cn__loader *loader)
{
    begin_batch(loader, loader->current);
    const buffer *b = buffer_of(loader, loader->current);
    for (int64_t sample = 0; sample < b->count; sample++)
        CN__TRY(read_sample(loader, b, sample));
    return CN_OK;
}

/* The threads may have to begin with the current batch yet: its `done` is of use only once they
 * have taken all of its samples. */
static cn_status await_batch(cn__loader *loader)
{
    const buffer *b = buffer_of(loader, loader->current);
    (void)pthread_mutex_lock(&loader->lock);
    while (loader->next_batch <= loader->current || b->done < b->count)
        (void)pthread_cond_wait(&loader->done, &loader->lock);
    (void)pthread_mutex_unlock(&loader->lock);
    return b->failed < b->count ? cn__failure_put(&b->failure) : CN_OK;
}

/* Gives the lent batch's buffer back. */
static void advance(cn__loader *loader)
{
    if (loader->has_lock)
        (void)pthread_mutex_lock(&loader->lock);
    loader->current += loader->lent;
    loader->lent = loader->current < loader->batches;
    if (!loader->has_lock)
        return;
    (void)pthread_cond_broadcast(&loader->work);
    (void)pthread_mutex_unlock(&loader->lock);
}

/* A batch that cannot be read counts as lent: the next call goes on to the one after it. */
cn_status cn__loader_next(cn__loader *loader, cn__batch *batch)
{
    if (!loader || !batch)
        return cn__fail_null_argument("cn__loader_next");
    *batch = (cn__batch){0};
    advance(loader);
    if (!loader->lent)
        return CN_OK;
    CN__TRY(loader->has_lock ? await_batch(loader) : read_batch(loader));
    const buffer *b = buffer_of(loader, loader->current);
    batch->count = b->count;
    batch->indexes = b->indexes;
    for (int i = 0; i < loader->fields; i++)
        batch->fields[i] = b->fields[i];
    return CN_OK;
}
