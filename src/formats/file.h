/* Whole files in, whole files out. */
#ifndef CORNU_SRC_FILE_H
#define CORNU_SRC_FILE_H

#include "base/base.h"

#include <stdio.h>

/* Fails with "PATH: cannot ACTION: " and what errno says. */
cn_status cn__file_fail(const char *path, const char *action);

/* Reads the file into `*bytes` (to be freed with cn__free) and `*size`; more than `limit` bytes are
 * refused. Messages name the path. */
cn_status cn__file_read(const char *path, size_t limit, void **bytes, size_t *size);

/* A file being written under another name in the same folder. */
typedef struct cn__file_writer {
    FILE *stream;
    const char *path; /* the caller's, kept until cn__file_finish */
    char *temporary;
} cn__file_writer;

/* Refuses a path that exists but is no regular file: renaming onto a device would replace it. */
cn_status cn__file_may_replace(const char *path);

cn_status cn__file_create(cn__file_writer *writer, const char *path);
/* Ends what cn__file_create began. If `status`, the success of the writing, is CN_OK, gives the
 * file its name; otherwise removes it. Returns `status`, or what failed here. */
cn_status cn__file_finish(cn__file_writer *writer, cn_status status);

#endif
