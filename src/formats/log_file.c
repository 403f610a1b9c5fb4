/* Files that grow while a training goes on, and numbers as text whatever the locale. */
#include "formats/log_file.h"

#include "formats/file.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- files ---- */

FILE *cn__log_open(const char *path, bool fresh)
{
    if (cn__file_may_replace(path) != CN_OK)
        return NULL;
    FILE *stream = fopen(path, fresh ? "wbe" : "abe");
    if (!stream)
        (void)cn__file_fail(path, "write");
    return stream;
}

cn_status cn__log_close(FILE *stream, const char *path)
{
    bool written = !ferror(stream);
    written = fclose(stream) == 0 && written;
    return written ? CN_OK : cn__file_fail(path, "write");
}

bool cn__log_has_content(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && info.st_size > 0;
}

cn_status cn__make_folders_for(const char *path)
{
    char *folder = cn__strdup(path);
    if (!folder)
        return CN_ERROR_MEMORY;
    cn_status status = CN_OK;
    for (char *slash = strchr(folder, '/'); slash && status == CN_OK;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (slash > folder && mkdir(folder, 0777) != 0 && errno != EEXIST)
            status = cn__file_fail(folder, "make this folder");
        *slash = '/';
    }
    cn__free(folder);
    return status;
}

/* ---- numbers ---- */

/* The decimal point of a locale may have several bytes; no byte of it is a letter, digit or sign.
 */
static bool is_point(char letter)
{
    return !isalnum((unsigned char)letter) && letter != '-' && letter != '+' && letter != ' ';
}

void cn__use_point(char *number)
{
    char *to = number;
    for (const char *from = number; *from; from++)
        if (!is_point(*from))
            *to++ = *from;
        else if (to == number || to[-1] != '.')
            *to++ = '.';
    *to = '\0';
}

enum { most_digits = 17, least_exponent = -4, most_exponent = 15 };

char *cn__number_text(double number, char text[CN__NUMBER_SIZE])
{
    if (!isfinite(number)) {
        const char *word = isnan(number) ? "nan" : number < 0 ? "-inf" : "inf";
        (void)snprintf(text, CN__NUMBER_SIZE, "%s", word);
        return text;
    }
    int digits = 0;
    do
        (void)snprintf(text, CN__NUMBER_SIZE, "%.*e", digits, number);
    while (strtod(text, NULL) != number && ++digits < most_digits);
    int exponent = atoi(strchr(text, 'e') + 1);
    if (exponent >= least_exponent && exponent <= most_exponent)
        (void)snprintf(text, CN__NUMBER_SIZE, "%.*f", digits > exponent ? digits - exponent : 1,
                       number);
    cn__use_point(text);
    return text;
}
