/* cornu/cornu.h - everything.
 *
 *   base.h      status and messages, shapes, arrays, memory, threads
 *   ops.h       operations on plain float buffers: the fast transposed convolution
 *   graph.h     symbolic tensors, gradients, compiled functions
 *   layers.h    Keras' layers
 *   models.h    Sequential and functional models, prediction
 *   formats.h   Keras files, npy and npz, pictures
 *   datasets.h  data sets
 *   inspect.h   deconvnet, feature maps
 */
#ifndef CORNU_CORNU_H
#define CORNU_CORNU_H

#include "cornu/base.h"
#include "cornu/datasets.h"
#include "cornu/formats.h"
#include "cornu/graph.h"
#include "cornu/inspect.h"
#include "cornu/layers.h"
#include "cornu/models.h"
#include "cornu/ops.h"
#include "cornu/training.h"

#endif
