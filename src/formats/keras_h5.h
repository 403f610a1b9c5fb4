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

/* The bytes of a file that is in memory. */
const void *cn__h5_image_bytes(const cn__h5 *h5);

/* ---- what libhdf5 is not trusted with (keras_h5_heap.c) ---- */

/* Opens the file to be read as bytes. */
cn_status cn__h5_open_bytes(const char *path, cn__h5 *h5);
/* Reads bytes of the file; false if it has not so many. */
bool cn__h5_bytes(const cn__h5 *h5, uint64_t at, size_t count, void *bytes);

/* Where a text of variable length is. */
typedef struct cn__h5_reference {
    uint64_t length;
    uint64_t heap; /* its address */
    unsigned number;
} cn__h5_reference;
/* The references of an attribute of `count` texts of variable length. */
cn_status cn__h5_read_references(hid_t attribute, size_t count, cn__h5_reference *references);

/* The heap that was looked into last. */
typedef struct cn__h5_heap {
    const cn__h5 *h5;
    uint64_t base;    /* of all addresses */
    uint64_t address; /* the heap's, if it has a size */
    size_t size, capacity;
    unsigned char *bytes;
    uint32_t *objects; /* where the object of each number is; 0: nowhere */
    uint64_t loaded;   /* bytes so far */
} cn__h5_heap;
cn_status cn__h5_heap_open(const cn__h5 *h5, cn__h5_heap *heap);
void cn__h5_heap_close(cn__h5_heap *heap);
/* The text, lent until the next one. */
cn_status cn__h5_heap_text(cn__h5_heap *heap, const cn__h5_reference *reference, const char **text,
                           size_t *length);

#endif
