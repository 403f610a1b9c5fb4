/* Requests and answers: see peer.h. */
#include "peer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { most_times = 1000 };

static char reason[512];
static char variants[128]; /* of what is prepared, "" for nothing */

bool peer_refuse(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    for (char *at = reason; *at; at++)
        if (*at == '\n')
            *at = ' ';
    return false;
}

void peer_set_variants(const char *names)
{
    snprintf(variants, sizeof variants, "%s", names ? names : "");
}

double peer_milliseconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

/* ---- shapes ---- */

size_t peer_x_count(const peer_operation *o)
{
    return (size_t)(o->n * o->h * o->w * o->ic);
}

size_t peer_g_count(const peer_operation *o)
{
    return (size_t)(o->n * o->oh * o->ow * o->oc);
}

size_t peer_kernel_count(const peer_operation *o)
{
    return (size_t)(o->kh * o->kw * o->ic * o->oc / o->groups);
}

size_t peer_result_count(const peer_operation *o)
{
    return o->pass == PEER_FORWARD          ? peer_g_count(o)
           : o->pass == PEER_INPUT_GRADIENT ? peer_x_count(o)
                                            : peer_kernel_count(o);
}

static int64_t after(bool transposed, int64_t in, int64_t out, int64_t kernel, int64_t stride,
                     int64_t before)
{
    int64_t small = transposed ? in : out, large = transposed ? out : in;
    return (small - 1) * stride + kernel - large - before;
}

int64_t peer_after_h(const peer_operation *o)
{
    return after(o->transposed, o->h, o->oh, o->kh, o->sh, o->before_h);
}

int64_t peer_after_w(const peer_operation *o)
{
    return after(o->transposed, o->w, o->ow, o->kw, o->sw, o->before_w);
}

peer_operation peer_adjoint(const peer_operation *o)
{
    peer_operation a = *o;
    a.pass = PEER_FORWARD;
    a.transposed = !o->transposed;
    a.ic = o->oc, a.oc = o->ic;
    a.h = o->oh, a.oh = o->h;
    a.w = o->ow, a.ow = o->w;
    return a;
}

/* ---- memory and files ---- */

void *peer_memory(size_t bytes)
{
    void *memory = aligned_alloc(64, (bytes + 191) / 64 * 64);
    if (memory == NULL) {
        fprintf(stderr, "no memory for %zu bytes\n", bytes);
        exit(1);
    }
    return memory;
}

float *peer_read(const char *folder, const char *name, size_t count)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s.bin", folder, name);
    FILE *file = fopen(path, "rb");
    float *values = peer_memory(count * sizeof *values);
    bool complete = file != NULL && fread(values, sizeof *values, count, file) == count;
    if (file != NULL)
        fclose(file);
    if (complete)
        return values;
    free(values);
    return (void)peer_refuse("%s does not hold %zu numbers", path, count), NULL;
}

bool peer_write(const char *path, const float *values, size_t count)
{
    FILE *file = fopen(path, "wb");
    bool complete = file != NULL && fwrite(values, sizeof *values, count, file) == count;
    if (file != NULL)
        complete = fclose(file) == 0 && complete;
    return complete || peer_refuse("cannot write %s", path);
}

/* ---- requests ---- */

/* PASS OP n ic h w oc kh kw sh sw before_h before_w oh ow groups FOLDER */
static bool parse_operation(const char *text, peer_operation *o)
{
    static char folder[4096];
    char pass[16], op[16];
    long long v[14];
    if (sscanf(text,
               "%15s %15s %lld %lld %lld %lld %lld %lld %lld %lld %lld %lld %lld %lld %lld %lld "
               "%4095s",
               pass, op, &v[0], &v[1], &v[2], &v[3], &v[4], &v[5], &v[6], &v[7], &v[8], &v[9],
               &v[10], &v[11], &v[12], &v[13], folder) != 17)
        return peer_refuse("not an operation: %.200s", text);
    *o = (peer_operation){.pass = strcmp(pass, "fwd") == 0     ? PEER_FORWARD
                                  : strcmp(pass, "bwd_d") == 0 ? PEER_INPUT_GRADIENT
                                                               : PEER_KERNEL_GRADIENT,
                          .transposed = strcmp(op, "convT") == 0,
                          .n = v[0],
                          .ic = v[1],
                          .h = v[2],
                          .w = v[3],
                          .oc = v[4],
                          .kh = v[5],
                          .kw = v[6],
                          .sh = v[7],
                          .sw = v[8],
                          .before_h = v[9],
                          .before_w = v[10],
                          .oh = v[11],
                          .ow = v[12],
                          .groups = v[13],
                          .folder = folder};
    for (int i = 0; i < 14; i++)
        if (i != 9 && i != 10 && v[i] < 1)
            return peer_refuse("number %d of the operation is %lld", i + 1, v[i]);
    return true;
}

/* The place of a name among the variants, -1 if it is not there. */
static int find_variant(const char *name)
{
    size_t length = strlen(name);
    int index = 0;
    for (const char *at = variants; *at; at += *at == ',', index++) {
        size_t here = strcspn(at, ",");
        if (here == length && strncmp(at, name, length) == 0)
            return index;
        at += here;
    }
    return -1;
}

static bool answer_operation(const peer *p, const char *request)
{
    peer_operation o;
    variants[0] = '\0';
    const char *names = parse_operation(request, &o) ? p->prepare(&o) : NULL;
    if (names == NULL)
        return false;
    peer_set_variants(names);
    printf("ok %s\n", names);
    return true;
}

static bool answer_values(const peer *p, int variant, const char *path)
{
    size_t count;
    const float *values = p->run(variant) ? p->result(variant, &count) : NULL;
    if (values == NULL || !peer_write(path, values, count))
        return false;
    puts("ok");
    return true;
}

/* One run that does not count, then as many as the time allows. */
static bool answer_time(const peer *p, int variant, double milliseconds)
{
    static double times[most_times];
    int count = 0;
    if (!p->run(variant))
        return false;
    for (double begin = peer_milliseconds();
         count < 1 || (count < most_times && peer_milliseconds() - begin < milliseconds);) {
        double before = peer_milliseconds();
        if (!p->run(variant))
            return false;
        times[count++] = peer_milliseconds() - before;
    }
    fputs("ok", stdout);
    for (int i = 0; i < count; i++)
        printf(" %.5f", times[i]);
    putchar('\n');
    return true;
}

static bool answer(const peer *p, char *request)
{
    char word[16] = "", variant[64] = "", rest[4096] = "", other[1024];
    sscanf(request, "%15s %63s %4095s", word, variant, rest);
    if (strcmp(word, "op") == 0)
        return answer_operation(p, request + strcspn(request, " "));
    bool values = strcmp(word, "values") == 0;
    if (values || strcmp(word, "time") == 0) {
        int index = find_variant(variant);
        if (index < 0)
            return peer_refuse("nothing is prepared as %s", variant);
        return values ? answer_values(p, index, rest) : answer_time(p, index, atof(rest));
    }
    if (p->other == NULL)
        return peer_refuse("does not know '%s'", word);
    if (!p->other(request, other, sizeof other))
        return false;
    printf("ok %s\n", other);
    return true;
}

int peer_serve(const peer *p, const char *greeting)
{
    char *line = NULL;
    size_t size = 0;
    printf("ok %s\n", greeting);
    fflush(stdout);
    for (ssize_t length; (length = getline(&line, &size, stdin)) > 0;) {
        line[strcspn(line, "\n")] = '\0';
        snprintf(reason, sizeof reason, "refused");
        if (!answer(p, line))
            printf("no %s\n", reason);
        fflush(stdout);
    }
    free(line);
    return 0;
}
