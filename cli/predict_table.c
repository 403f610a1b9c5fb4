/* Class tables. */
#include "predict.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>

/* ---- names of classes ---- */

enum { MOST_BYTES = 1 << 24 };

static char *read_text(const char *path, int *code)
{
    FILE *file = fopen(path, "rb");
    char *text = file ? malloc(MOST_BYTES) : NULL;
    size_t length = text ? fread(text, 1, MOST_BYTES, file) : 0;
    bool good = text && !ferror(file) && length < MOST_BYTES;
    if (!good)
        *code = cli_fail("%s: %s", path,
                         !file                  ? strerror(errno)
                         : length == MOST_BYTES ? "too long for names of classes"
                                                : "cannot be read");
    if (file)
        (void)fclose(file);
    if (!good) {
        free(text);
        return NULL;
    }
    text[length] = '\0';
    return text;
}

/* Every line is a name, the last one also without its end. */
static int64_t split(char *text, char **names)
{
    int64_t count = 0;
    while (*text) {
        char *end = text + strcspn(text, "\n");
        bool last = *end == '\0';
        *end = '\0';
        if (end > text && end[-1] == '\r')
            end[-1] = '\0';
        if (names)
            names[count] = text;
        count++;
        text = last ? end : end + 1;
    }
    return count;
}

int predict_read_classes(const char *path, predict_classes *classes)
{
    int code = CLI_OK;
    int64_t lines = 1;
    classes->text = read_text(path, &code);
    if (!classes->text)
        return code;
    for (const char *c = classes->text; *c; c++)
        lines += *c == '\n';
    classes->name = calloc((size_t)lines, sizeof *classes->name);
    if (!classes->name)
        return cli_fail("no memory");
    classes->count = split(classes->text, classes->name);
    return CLI_OK;
}

void predict_free_classes(predict_classes *classes)
{
    free(classes->text);
    free(classes->name);
}

/* ---- scores ---- */

bool predict_is_scores(const cn_array *output)
{
    return cn_array_shape(output)->rank == 2 && cn_array_const_floats(output);
}

/* NaN comes last. */
static double rank(float score)
{
    return isnan(score) ? (double)-INFINITY : (double)score;
}

/* The class that follows `after` in the order of scores, then of numbers; the first one for -1. */
static int64_t next_class(const float *scores, int64_t count, int64_t after)
{
    int64_t best = -1;
    for (int64_t i = 0; i < count; i++) {
        double score = rank(scores[i]);
        bool follows =
            after < 0 || score < rank(scores[after]) || (score == rank(scores[after]) && i > after);
        if (follows && (best < 0 || score > rank(scores[best])))
            best = i;
    }
    return best;
}

static const char *class_name(const predict_classes *classes, int64_t index)
{
    return index < classes->count ? classes->name[index] : NULL;
}

static void print_sample(const predict_table *table, const float *scores, int64_t count)
{
    int64_t class = -1;
    for (int64_t i = 0; i < table->top && i < count; i++) {
        class = next_class(scores, count, class);
        const char *name = class_name(table->classes, class);
        (void)printf("  %8.4f  %s%" PRId64 "%s%s\n", (double)scores[class], name ? "" : "class ",
                     class, name ? "  " : "", name ? name : "");
    }
}

static void print_sample_json(const predict_table *table, const float *scores, int64_t count)
{
    int64_t class = -1;
    cli_json_open(table->json, "top", '[');
    for (int64_t i = 0; i < table->top && i < count; i++) {
        class = next_class(scores, count, class);
        cli_json_open(table->json, NULL, '{');
        cli_json_integer(table->json, "class", class);
        if (class_name(table->classes, class))
            cli_json_text(table->json, "name", class_name(table->classes, class));
        cli_json_number(table->json, "score", (double)scores[class]);
        cli_json_close(table->json, '}');
    }
    cli_json_close(table->json, ']');
}

void predict_print_scores(const predict_table *table, const char *file, const char *output,
                          const cn_array *scores)
{
    const cn_shape *shape = cn_array_shape(scores);
    int64_t samples = shape->dim[0], count = shape->dim[1];
    for (int64_t i = 0; i < samples; i++) {
        const float *sample = cn_array_const_floats(scores) + i * count;
        if (!table->json) {
            (void)printf("%s", file);
            if (samples > 1)
                (void)printf(" [%" PRId64 "]", i);
            (void)printf("%s%s\n", output ? ": " : "", output ? output : "");
            print_sample(table, sample, count);
            continue;
        }
        cli_json_open(table->json, NULL, '{');
        cli_json_text(table->json, "file", file);
        cli_json_integer(table->json, "sample", i);
        if (output)
            cli_json_text(table->json, "output", output);
        print_sample_json(table, sample, count);
        cli_json_close(table->json, '}');
    }
}
