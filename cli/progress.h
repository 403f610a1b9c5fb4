/* How far a training is, on the standard error output. */
#ifndef CORNU_CLI_PROGRESS_H
#define CORNU_CLI_PROGRESS_H

#include "cornu/training.h"

/* In the order of the option's choices. */
typedef enum progress_style {
    PROGRESS_AUTO, /* a bar on a terminal, else lines */
    PROGRESS_BAR,  /* as Keras draws it */
    PROGRESS_LINE, /* a line for each epoch */
    PROGRESS_JSON, /* an object in a line for each epoch */
    PROGRESS_NONE
} progress_style;
#define PROGRESS_CHOICES "auto|bar|line|json|none"

/* NULL with a message of the library. */
cn_callback *progress_callback(progress_style style);

#endif
