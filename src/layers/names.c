/* Automatic names: the class name in snake case and a number that counts per class and process. */
#include "layers/layer.h"
#include "layers/names.h"

#include <ctype.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

/* An underscore goes before a capital that starts a word or follows a small letter, which is what
 * Keras' two regular expressions do (keras/src/utils/naming.py). */
void cn__snake_case(const char *type, char *text, size_t size)
{
    size_t used = 0;
    for (size_t i = 0; type[i] && used + 2 < size; i++) {
        unsigned char c = (unsigned char)type[i], next = (unsigned char)type[i + 1];
        bool starts_word = i > 0 && isupper(c) && (islower(next) || islower(type[i - 1] & 0x7f));
        if (starts_word)
            text[used++] = '_';
        text[used++] = (char)tolower(c);
    }
    text[used] = '\0';
}

/* How many names of each type were given. A slot is claimed once and never given back; the types
 * are few, and those beyond the last slot share it. */
enum { slots = 128 };
static struct {
    _Atomic(const cn__layer_type *) type;
    _Atomic uint64_t count;
} counters[slots];

static _Atomic uint64_t *counter_of(const cn__layer_type *type)
{
    for (int i = 0; i < slots - 1; i++) {
        const cn__layer_type *owner = NULL;
        if (atomic_compare_exchange_strong(&counters[i].type, &owner, type) || owner == type)
            return &counters[i].count;
    }
    return &counters[slots - 1].count;
}

char *cn__name_automatic(cn__arena *arena, const cn__layer_type *type)
{
    char base[cn__name_size];
    cn__snake_case(type->name, base, sizeof base);
    uint64_t number = atomic_fetch_add(counter_of(type), 1);
    if (number == 0)
        return cn__arena_strdup(arena, base);
    return cn__arena_printf(arena, "%s_%llu", base, (unsigned long long)number);
}

/* The number at the end of "conv2d_7", 0 for "conv2d", -1 for a name that is not of this form. */
static int64_t number_in(const char *name, const char *base)
{
    size_t length = strlen(base);
    if (strncmp(name, base, length) != 0)
        return -1;
    if (!name[length])
        return 0;
    if (name[length] != '_' || !isdigit((unsigned char)name[length + 1]))
        return -1;
    int64_t number = 0;
    for (const char *c = name + length + 1; *c; c++) {
        if (!isdigit((unsigned char)*c) || number > INT64_MAX / 100)
            return -1;
        number = number * 10 + (*c - '0');
    }
    return number;
}

void cn__name_taken(const cn__layer_type *type, const char *name)
{
    char base[cn__name_size];
    cn__snake_case(type->name, base, sizeof base);
    int64_t number = number_in(name, base);
    if (number < 0)
        return;
    _Atomic uint64_t *counter = counter_of(type);
    uint64_t count = atomic_load(counter);
    while (count <= (uint64_t)number &&
           !atomic_compare_exchange_weak(counter, &count, (uint64_t)number + 1))
        ;
}
