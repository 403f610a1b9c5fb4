/* Files that grow while a training goes on, and numbers as text whatever the locale. */
#ifndef CORNU_SRC_LOG_FILE_H
#define CORNU_SRC_LOG_FILE_H

#include "base/base.h"

#include <stdio.h>

/* Opens a file to add to its end, or an empty one if `fresh`. NULL with a message on failure. */
FILE *cn__log_open(const char *path, bool fresh);
/* Closes it; fails if anything could not be written. */
cn_status cn__log_close(FILE *stream, const char *path);
/* True if the file is there and not empty. */
bool cn__log_has_content(const char *path);

/* Makes the folder that a path's last part is in, and those above it. */
cn_status cn__make_folders_for(const char *path);

enum { CN__NUMBER_SIZE = 40 };
/* The shortest text that reads as the same number, as Python's repr() writes it: "0.1", "3.0",
 * "1e-05", "nan". */
char *cn__number_text(double number, char text[CN__NUMBER_SIZE]);
/* Makes a number that printf wrote in this locale one with a point. */
void cn__use_point(char *number);

#endif
