// SPDX-License-Identifier: Apache-2.0
// The device as it is built where cuDNN's header is missing: there is never a cuDNN, so nothing else is reached.
#if !__has_include(<cudnn.h>)
#include "cuda/dnn_attention.h"

#include <stdio.h>

titan_status titan_dnn_create(const titan_dnn_request *request, titan_cuda_dnn **out,
                              char reason[TITAN_DNN_REASON_BYTES]) {
  (void)request;
  *out = NULL;
  snprintf(reason, TITAN_DNN_REASON_BYTES, "this program was built without cuDNN's header");
  return TITAN_OK;
}

void titan_dnn_destroy(titan_cuda_dnn **dnn) {
  *dnn = NULL;
}

int titan_dnn_library_version(void) {
  return 0;
}

int titan_dnn_version(const titan_cuda_dnn *dnn) {
  (void)dnn;
  return 0;
}

titan_status titan_dnn_attention_create(titan_cuda_dnn *dnn, titan_dnn_attention_kind kind,
                                        const titan_dnn_attention_shape *shape, size_t limit, bool build,
                                        titan_dnn_attention **out, char reason[TITAN_DNN_REASON_BYTES]) {
  (void)dnn, (void)kind, (void)shape, (void)limit, (void)build;
  *out = NULL;
  snprintf(reason, TITAN_DNN_REASON_BYTES, "this program was built without cuDNN's header");
  return TITAN_OK;
}

void titan_dnn_attention_destroy(titan_dnn_attention **attention) {
  *attention = NULL;
}

int64_t titan_dnn_attention_engine(const titan_dnn_attention *attention) {
  (void)attention;
  return -1;
}

size_t titan_dnn_attention_workspace(const titan_dnn_attention *attention) {
  (void)attention;
  return 0;
}

titan_status titan_dnn_attention_run(titan_dnn_attention *attention, const titan_dnn_attention_operands *operands) {
  (void)attention, (void)operands;
  return titan_error(TITAN_ERROR_INTERNAL, "attention by cuDNN, without cuDNN");
}

#endif
