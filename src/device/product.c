// SPDX-License-Identifier: Apache-2.0
#include "device/product.h"

#include "base/clock.h"
#include "device/queue.h"

typedef struct product {
  titan_device *device;
  titan_op_call call;
  const titan_kernel *kernel;
  void *memory, *workspace, *state;
} product;

static titan_status allocate(product *p) {
  titan_device *device = p->device;
  size_t matrix = titan_tensor_bytes(&p->call.inputs[0]);
  size_t workspace = p->kernel->workspace != NULL ? p->kernel->workspace(device, &p->call) : 0;
  TITAN_TRY(device->allocate(device, TITAN_SPACE_DEVICE, TITAN_MEMORY_GENERAL, 3 * matrix, &p->memory));
  TITAN_TRY(device->allocate(device, TITAN_SPACE_DEVICE, TITAN_MEMORY_GENERAL, workspace, &p->workspace));
  // Ones of float32 are finite numbers of bfloat16 too.
  TITAN_TRY(device->vector->fill(device, (int64_t)(3 * matrix / sizeof(float)), p->memory, 1.0f));
  return p->kernel->prepare != NULL ? p->kernel->prepare(device, &p->call, &p->state) : TITAN_OK;
}

static titan_status run_once(product *p, double *seconds) {
  size_t matrix = titan_tensor_bytes(&p->call.inputs[0]);
  const void *inputs[2] = {p->memory, (char *)p->memory + matrix};
  void *outputs[1] = {(char *)p->memory + 2 * matrix};
  double start = titan_clock_seconds();
  TITAN_TRY(p->kernel->run(p->device, &p->call, p->state, inputs, outputs, p->workspace));
  TITAN_TRY(titan_device_drain(p->device));
  *seconds = titan_clock_seconds() - start;
  return TITAN_OK;
}

static void release(product *p) {
  if (p->state != NULL && p->kernel->release != NULL)
    p->kernel->release(p->device, p->state);
  p->device->free(p->device, TITAN_SPACE_DEVICE, p->workspace);
  p->device->free(p->device, TITAN_SPACE_DEVICE, p->memory);
}

titan_status titan_device_time_products(titan_device *device, const titan_product_request *request,
                                        titan_product_times *out) {
  product p = {.device = device, .call = {.kind = TITAN_OP_matmul, .input_count = 2}};
  double warm_up = 0;
  titan_status status = TITAN_OK;
  p.call.inputs[0] = p.call.inputs[1] = (titan_tensor_type){request->dtype, 2, {request->size, request->size}};
  p.call.attributes.matmul.transpose_b = true;
  p.call.attributes.matmul.output = request->dtype;
  TITAN_TRY(titan_op_infer(&p.call));
  p.kernel = device->kernel(device, TITAN_OP_matmul);
  *out = (titan_product_times){.flops = titan_op_cost_of(&p.call).flops};
  TITAN_TRY_CLEANUP(allocate(&p));
  TITAN_TRY_CLEANUP(run_once(&p, &warm_up));
  double begin = titan_clock_seconds();
  while (out->count < request->most &&
         (out->count < request->least || titan_clock_seconds() - begin < request->seconds)) {
    TITAN_TRY_CLEANUP(run_once(&p, &out->seconds[out->count]));
    out->count++;
  }
cleanup:
  release(&p);
  return status;
}
