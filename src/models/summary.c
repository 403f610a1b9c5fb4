/* A model's summary as Keras 3 prints it (keras/src/utils/summary_utils.py): a table of the layers,
 * one column more if the model is no mere chain, then the numbers of parameters. */
#include "models/model.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { DEFAULT_WIDTH = 76, LEAST_WIDTH = 40, MOST_WIDTH = 1000, MOST_COLUMNS = 4 };

/* ---- growing text ---- */

typedef struct text {
    char *bytes;
    size_t used, capacity;
    bool failed;
} text;

static void add_bytes(text *t, const char *bytes, size_t count)
{
    t->failed = t->failed || cn__grow(&t->bytes, &t->capacity, t->used, t->used + count + 1, 1);
    if (t->failed)
        return;
    memcpy(t->bytes + t->used, bytes, count);
    t->used += count;
    t->bytes[t->used] = '\0';
}

static void add(text *t, const char *bytes)
{
    add_bytes(t, bytes, strlen(bytes));
}

CN_PRINTF(2, 3) static void add_format(text *t, const char *format, ...)
{
    char line[256];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    add(t, line);
}

static void add_times(text *t, const char *bytes, int times)
{
    for (int i = 0; i < times; i++)
        add(t, bytes);
}

/* "13674" as "13,674". */
static void add_grouped(text *t, int64_t number)
{
    char digits[32];
    int count = snprintf(digits, sizeof digits, "%lld", (long long)number);
    for (int i = 0; i < count; i++) {
        if (i > 0 && (count - i) % 3 == 0)
            add(t, ",");
        add_bytes(t, &digits[i], 1);
    }
}

/* ---- facts ---- */

/* A mere chain: each layer is applied once, to the one before. */
static bool is_chain(const cn_model *model)
{
    for (int i = 0; i < model->step_count; i++) {
        const cn__model_step *step = &model->steps[i];
        if (step->inputs > 1 || step->node > 0 || step->layer == NULL)
            return false;
        for (int j = 0; j < i; j++)
            if (model->steps[j].depth == step->depth)
                return false;
    }
    return model->input_count == 1;
}

static void add_output_shape(text *t, const cn_model *model, const cn_layer *layer)
{
    const cn__model_step *step = NULL;
    for (int i = 0; i < model->step_count; i++)
        if (model->steps[i].layer == layer && (step == NULL || model->steps[i].node > step->node))
            step = &model->steps[i];
    bool several = step != NULL && step->outputs > 1;
    add(t, several ? "[" : "");
    for (int i = 0; step != NULL && i < step->outputs; i++) {
        char shape[160];
        add(t, i > 0 ? ", " : "");
        add(t, cn_shape_text(&model->value_shapes[step->out[i]], shape, sizeof shape));
    }
    add(t, several ? "]" : "");
}

static void add_connections(text *t, const cn_model *model, const cn_layer *layer)
{
    size_t before = t->used;
    for (int i = 0; i < model->step_count; i++) {
        const cn__model_step *step = &model->steps[i];
        for (int j = 0; step->layer == layer && j < step->inputs; j++) {
            int output = 0;
            const cn__model_step *maker = cn__model_maker(model, step->in[j], &output);
            add(t, t->used > before ? ", " : "");
            if (maker != NULL && maker->layer != NULL) {
                add(t, maker->layer->name);
                add_format(t, "[%d][%d]", maker->node, output);
            } else {
                add(t, maker != NULL ? "(operation)" : "(input)");
            }
        }
    }
    add(t, t->used == before ? "-" : "");
}

/* ---- the table ---- */

typedef struct style {
    const char *ellipsis;                              /* NULL: none */
    const char *horizontal, *vertical;                 /* of the rows */
    const char *head_horizontal, *head_vertical;       /* of the heading */
    const char *top[3], *head[3], *row[3], *bottom[3]; /* left, between, right */
} style;

static const style drawn = {.ellipsis = "…",
                            .horizontal = "─",
                            .vertical = "│",
                            .head_horizontal = "━",
                            .head_vertical = "┃",
                            .top = {"┏", "┳", "┓"},
                            .head = {"┡", "╇", "┩"},
                            .row = {"├", "┼", "┤"},
                            .bottom = {"└", "┴", "┘"}};
static const style plain = {.horizontal = "-",
                            .vertical = "|",
                            .head_horizontal = "=",
                            .head_vertical = "|",
                            .top = {"+", "+", "+"},
                            .head = {"+", "+", "+"},
                            .row = {"+", "+", "+"},
                            .bottom = {"+", "+", "+"}};

typedef struct table {
    text out;
    const style *style;
    int columns;
    int widths[MOST_COLUMNS]; /* of the text in a cell, without the blanks beside it */
} table;

static const char *const headings[MOST_COLUMNS] = {"Layer (type)", "Output Shape", "Param #",
                                                   "Connected to"};
enum { NUMBER_COLUMN = 2 }; /* set to the right */

static void add_rule(table *t, const char *horizontal, const char *const corners[3])
{
    for (int i = 0; i < t->columns; i++) {
        add(&t->out, corners[i == 0 ? 0 : 1]);
        add_times(&t->out, horizontal, t->widths[i] + 2);
    }
    add(&t->out, corners[2]);
    add(&t->out, "\n");
}

/* Continuation bytes of UTF-8 begin none. */
static bool begins_character(char byte)
{
    return ((unsigned char)byte & 0xC0) != 0x80;
}

/* The bytes of the first `most` characters of a text, and how many characters these are. */
static size_t bytes_of(const char *words, int most, int *characters)
{
    size_t i = 0;
    for (*characters = 0; words[i] != '\0'; i++) {
        if (begins_character(words[i]) && *characters == most)
            break;
        *characters += begins_character(words[i]);
    }
    return i;
}

/* How many bytes of `cell` come on its next line of at most `width` characters: as many words as
 * fit, or a part of one that is too long. */
static size_t line_bytes(const char *cell, int width, int *characters)
{
    size_t bytes = bytes_of(cell, width, characters), space = bytes;
    if (cell[bytes] == '\0' || cell[bytes] == ' ')
        return bytes;
    while (space > 0 && cell[space] != ' ')
        space--;
    if (space == 0)
        return bytes;
    for (size_t i = space; i < bytes; i++)
        *characters -= begins_character(cell[i]);
    return space;
}

/* Writes the next line of a cell and returns what is left of the cell. Of a word that is too long
 * for a line the rest is left out, or comes on the next line if the style has no sign for that. */
static const char *add_cell(table *t, const char *cell, int column)
{
    int characters = 0, width = t->widths[column];
    size_t bytes = line_bytes(cell, width, &characters), taken = bytes;
    const char *sign = "";
    if (cell[bytes] != '\0' && cell[bytes] != ' ' && t->style->ellipsis != NULL) {
        sign = t->style->ellipsis;
        taken = strcspn(cell, " ");
        bytes = bytes_of(cell, width - 1, &characters);
        characters = width;
    }
    int blanks = width - characters;
    add_times(&t->out, " ", 1 + (column == NUMBER_COLUMN ? blanks : 0));
    add_bytes(&t->out, cell, bytes);
    add(&t->out, sign);
    add_times(&t->out, " ", 1 + (column == NUMBER_COLUMN ? 0 : blanks));
    cell += taken;
    return *cell == ' ' ? cell + 1 : cell;
}

static void add_row(table *t, const char *vertical, const char *const *cells)
{
    const char *rest[MOST_COLUMNS];
    bool more = true;
    for (int i = 0; i < t->columns; i++)
        rest[i] = cells[i];
    while (more) {
        more = false;
        for (int i = 0; i < t->columns; i++) {
            add(&t->out, vertical);
            rest[i] = add_cell(t, rest[i], i);
            more = more || *rest[i] != '\0';
        }
        add(&t->out, vertical);
        add(&t->out, "\n");
    }
}

/* The widths that Keras has on a terminal of 80 columns, in proportion for others. */
static void set_widths(table *t, int width)
{
    static const int shares[2][MOST_COLUMNS] = {{33, 24, 15}, {21, 19, 12, 19}};
    const int *share = shares[t->columns == MOST_COLUMNS];
    int room = width - t->columns - 1, left = room, total = DEFAULT_WIDTH - t->columns - 1;
    for (int i = 1; i < t->columns; i++) {
        t->widths[i] = room * share[i] / total - 2;
        left -= t->widths[i] + 2;
    }
    t->widths[0] = left - 2;
}

static void add_layer_row(table *t, const cn_model *model, const cn_layer *layer)
{
    text cells[MOST_COLUMNS] = {0};
    add(&cells[0], layer->name);
    add(&cells[0], " (");
    add(&cells[0], layer->type->name);
    add(&cells[0], ")");
    add_output_shape(&cells[1], model, layer);
    add_grouped(&cells[2], cn__layer_parameters(layer, false));
    if (t->columns == MOST_COLUMNS)
        add_connections(&cells[3], model, layer);
    const char *texts[MOST_COLUMNS] = {0};
    for (int i = 0; i < t->columns; i++) {
        t->out.failed = t->out.failed || cells[i].failed;
        texts[i] = cells[i].bytes != NULL ? cells[i].bytes : "";
    }
    if (!t->out.failed)
        add_row(t, t->style->vertical, texts);
    for (int i = 0; i < MOST_COLUMNS; i++)
        cn__free(cells[i].bytes);
}

/* "13,674 (53.41 KB)" */
static void add_total(text *t, const char *what, int64_t parameters)
{
    static const char *const units[] = {"B", "KB", "MB", "GB", "TB", "PB", "EB"};
    double size = (double)parameters * sizeof(float);
    size_t unit = 0;
    for (; size >= 1024 && unit + 1 < CN__COUNT(units); unit++)
        size /= 1024;
    add_format(t, " %s: ", what);
    add_grouped(t, parameters);
    add_format(t, " (%.2f %s)\n", size, units[unit]);
}

static void add_table(table *t, const cn_model *model)
{
    add_rule(t, t->style->head_horizontal, t->style->top);
    add_row(t, t->style->head_vertical, headings);
    add_rule(t, t->style->head_horizontal, t->style->head);
    for (int i = 0; i < model->layer_count; i++) {
        if (i > 0)
            add_rule(t, t->style->horizontal, t->style->row);
        add_layer_row(t, model, model->layers[i]);
    }
    add_rule(t, t->style->horizontal, t->style->bottom);
}

char *cn_model_summary(const cn_model *model, const cn_summary_options *options)
{
    if (model == NULL)
        return cn__fail_null_argument("cn_model_summary"), NULL;
    int width = options != NULL && options->width != 0 ? options->width : DEFAULT_WIDTH;
    if (width < LEAST_WIDTH || width > MOST_WIDTH)
        return cn__fail_null(CN_ERROR_ARGUMENT, "summary: the width must be from %d to %d, not %d",
                             LEAST_WIDTH, MOST_WIDTH, width);
    table t = {.style = options != NULL && options->ascii ? &plain : &drawn,
               .columns = model->sequential || is_chain(model) ? MOST_COLUMNS - 1 : MOST_COLUMNS};
    set_widths(&t, width);
    add(&t.out, "Model: \"");
    add(&t.out, model->name);
    add(&t.out, "\"\n");
    add_table(&t, model);
    int64_t total = cn_model_parameter_count(model, false);
    int64_t trainable = cn_model_parameter_count(model, true);
    add_total(&t.out, "Total params", total);
    add_total(&t.out, "Trainable params", trainable);
    add_total(&t.out, "Non-trainable params", total - trainable);
    if (!t.out.failed)
        return t.out.bytes;
    cn__free(t.out.bytes);
    return NULL;
}

void cn_free_text(char *summary)
{
    cn__free(summary);
}
