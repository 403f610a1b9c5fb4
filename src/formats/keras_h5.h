/* What the files that call libhdf5 share. */
#ifndef CORNU_SRC_KERAS_H5_H
#define CORNU_SRC_KERAS_H5_H

#include "formats/keras.h"

#include <hdf5.h>

/* What libhdf5 did with its failures before it was silenced. */
typedef struct cn__h5_quiet {
    H5E_auto2_t function;
    void *data;
} cn__h5_quiet;

/* Every use of libhdf5 stands between these: one thread at a time, in silence. */
cn__h5_quiet cn__h5_begin(void);
void cn__h5_end(cn__h5_quiet before);

/* Opens a group or an array; negative if there is none, or only a link to another file. */
hid_t cn__h5_object(const cn__h5 *h5, const char *name);

/* Checks what libhdf5 does not (keras_h5_heap.c): a file in memory, or one with its size. */
cn_status cn__h5_check_heaps(const void *file, size_t size);
cn_status cn__h5_check_file(const char *path, size_t *size);

#endif
