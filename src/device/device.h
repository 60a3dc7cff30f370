// SPDX-License-Identifier: Apache-2.0
// The device interface: a typed table of functions. What a device author includes.
//
// A device gives memory, one kernel for each operation that is no view, and the vector functions of the optimizer. All
// required slots are checked by titan_device_check at creation. Pointers are device pointers.
#ifndef TITAN_DEVICE_DEVICE_H
#define TITAN_DEVICE_DEVICE_H

#include "base/cpu_isa.h"
#include "base/memory.h"
#include "graph/op.h"

typedef struct titan_device titan_device;
typedef struct titan_comm titan_comm; // comm/comm.h

// One operation's kernel. `state` is what prepare made (oneDNN primitives, say); a plan prepares each call once and
// runs it many times. Nothing in run allocates.
typedef struct titan_kernel {
  // Optional. Bytes of scratch memory that one run of the call needs (64-byte aligned).
  size_t (*workspace)(titan_device *device, const titan_op_call *call);
  // Optional. Makes *state; TITAN_ERROR_DEVICE when the device cannot do the call.
  titan_status (*prepare)(titan_device *device, const titan_op_call *call, void **state);
  // Exactly one of these two is required. inputs[i], outputs[i]: the operands in the call's order. workspace: as many
  // bytes as asked for, or NULL. run_in_group is for collectives (attributes.collective): collective over the group.
  titan_status (*run)(titan_device *device, const titan_op_call *call, void *state, const void *const *inputs,
                      void *const *outputs, void *workspace);
  titan_status (*run_in_group)(titan_device *device, const titan_op_call *call, void *state, titan_comm *group,
                               const void *const *inputs, void *const *outputs, void *workspace);
  // Optional; needed where prepare is.
  void (*release)(titan_device *device, void *state);
} titan_kernel;

// Hyper-parameters of one optimizer step t (counted from 1).
typedef struct titan_adam_step {
  float learning_rate, beta1, beta2, epsilon, weight_decay;
  float bias_correction1, bias_correction2; // 1 - beta^t
  bool decoupled;                           // AdamW: w -= lr*wd*w before the update; Adam: g += wd*w
  float gradient_scale;                     // multiplies the gradient first (clipping)
} titan_adam_step;

// Functions over flat vectors. All required.
typedef struct titan_vector_functions {
  // master, exp_avg, exp_avg_sq [n] f32 are updated from gradient [n] f32; where compute is not NULL, the new master is
  // also written to compute [n] of type `dtype` (it may be master itself when float32).
  void (*adam)(titan_device *device, const titan_adam_step *step, int64_t n, float *master, float *exp_avg,
               float *exp_avg_sq, const float *gradient, void *compute, titan_dtype dtype);
  // Sum of squares of x[n] f32, accumulated in float64 in a fixed order.
  double (*sum_of_squares)(titan_device *device, int64_t n, const float *x);
  // to[n] = from[n], rounded to nearest even where narrowing. float32 and bfloat16.
  void (*convert)(titan_device *device, int64_t n, const void *from, titan_dtype from_dtype, void *to,
                  titan_dtype to_dtype);
  // x[n] = value
  void (*fill)(titan_device *device, int64_t n, float *x, float value);
  // y[n] += x[n]
  void (*accumulate)(titan_device *device, int64_t n, float *y, const float *x);
  // y[n] = a y[n] + b x[n]
  void (*scaled_add)(titan_device *device, int64_t n, float *y, float a, const float *x, float b);
} titan_vector_functions;

struct titan_device {
  const char *name;        // "cpu", "cuda", "meta"
  const char *level;       // "avx2": the instructions that a CPU device uses; NULL: not a CPU
  const char *description; // "AMD EPYC, avx512_bf16, 2 threads": for the log
  int threads;             // of this rank, where that has a meaning
  size_t alignment;        // of the blocks in a plan's arenas, bytes; 0: TITAN_PLAN_ALIGNMENT
  titan_status (*allocate)(titan_device *device, titan_memory_tag tag, size_t bytes, void *out);
  void (*free)(titan_device *device, void *pointer);
  const titan_kernel *(*kernel)(titan_device *device, titan_op_kind kind); // NULL for views
  const titan_vector_functions *vector;
  void (*destroy)(titan_device *device);
  void *implementation;
};

// Whether every required slot is there; TITAN_ERROR_INTERNAL names the first that is not.
titan_status titan_device_check(titan_device *device);
// NULL is fine; the handle becomes NULL.
void titan_device_destroy(titan_device **device);

// The CPU device; `threads` >= 1 OpenMP threads. The instruction set is the best the chip has, lowered by the
// environment variable TITAN_CPU_ISA (baseline, avx2, avx512, avx512_bf16, amx; an unknown word or one the chip lacks
// is TITAN_ERROR_USAGE).
titan_status titan_device_create_cpu(int threads, titan_device **out);
// The same of this level, whatever the environment says. A process has CPU devices of one level only (oneDNN): another
// one is TITAN_ERROR_INTERNAL.
titan_status titan_device_create_cpu_of_level(int threads, titan_cpu_isa level, titan_device **out);

#endif
