// SPDX-License-Identifier: Apache-2.0
// The device interface: a typed table of functions. What a device author includes.
//
// A device gives memory, one kernel for each operation that is no view, and the vector functions of the optimizer. All
// required slots are checked by titan_device_check at creation.
//
// What is asked of a device is put into a queue and may be done later. Host code never reads or writes memory of DEVICE
// space: who needs a result on the host copies it out and waits for a mark. The CPU device has no queues: it does
// everything at once, in host memory.
#ifndef TITAN_DEVICE_DEVICE_H
#define TITAN_DEVICE_DEVICE_H

#include "base/cpu_isa.h"
#include "base/memory.h"
#include "graph/op.h"

typedef struct titan_device titan_device;
typedef struct titan_comm titan_comm;                       // comm/comm.h
typedef struct titan_recording titan_recording;             // the device's
typedef struct titan_step_numbers titan_step_numbers;       // device/numbers.h
typedef struct titan_numbers_request titan_numbers_request; // device/numbers.h

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

// Where memory of a device lies. On a device without queues they are one.
typedef enum titan_space {
  TITAN_SPACE_DEVICE,   // kernels and copies use it; host code never does
  TITAN_SPACE_EXCHANGE, // the same, and groups of the device may register it with their library
  TITAN_SPACE_HOST,     // host memory that copies can be made to and from while the host goes on (pinned)
} titan_space;

// Queues of a device: what is put into one is done in that order; different queues know of each other by marks alone.
typedef enum titan_queue {
  TITAN_QUEUE_COMPUTE,  // kernels and vector functions
  TITAN_QUEUE_GATHER,   // groups: parameters
  TITAN_QUEUE_REDUCE,   // groups: gradients
  TITAN_QUEUE_TENSOR,   // groups: transfers of tensor parallelism that go on beside products
  TITAN_QUEUE_PIPELINE, // groups: activations and their gradients
  TITAN_QUEUE_COPY,     // batches, and what is saved
  TITAN_QUEUES
} titan_queue;

// What groups of GPUs go over (comm.gpu_transport).
typedef enum titan_transport {
  TITAN_TRANSPORT_AUTO, // NCCL where it can be had on every rank
  TITAN_TRANSPORT_NCCL,
  TITAN_TRANSPORT_HOST, // host memory, and the host's group
} titan_transport;

// A point in a queue. 0 is the past: it has been reached.
typedef struct titan_mark {
  uint64_t number;
} titan_mark;

// Of a device's clock, at a time.
enum { TITAN_INSTANTS = 513 };

// All required but the last six. See device/queue.h for the calls, which do with devices without queues too.
typedef struct titan_queue_functions {
  // The point after all that the queue has got so far.
  titan_status (*mark)(titan_device *device, titan_queue queue, titan_mark *out);
  // What the queue gets from now on begins after the mark; the host does not wait.
  titan_status (*after)(titan_device *device, titan_queue queue, titan_mark mark);
  // The host waits. Errors of what was done before the mark come out here.
  titan_status (*wait)(titan_device *device, titan_mark mark);
  bool (*reached)(titan_device *device, titan_mark mark);
  // Any two spaces. Host memory is of TITAN_SPACE_HOST, and stays as it is until the copy has been made.
  titan_status (*copy)(titan_device *device, titan_queue queue, void *to, const void *from, size_t bytes);
  titan_status (*copy_rows)(titan_device *device, titan_queue queue, void *to, size_t to_pitch, const void *from,
                            size_t from_pitch, size_t row_bytes, size_t rows);
  // Optional, both or none: the device's own clock. COMPUTE writes down when it comes to this point, in `slot` of
  // TITAN_INSTANTS.
  titan_status (*instant)(titan_device *device, int slot);
  // Seconds from one instant to another. The host waits for both.
  titan_status (*seconds)(titan_device *device, int from, int to, double *out);
  // Optional, all or none: work that is put into queues once and done many times. From record to record_end nothing of
  // what the queues get is done; it becomes a recording, with its arguments as they are. Meanwhile the host does not
  // wait, and memory is neither allocated nor freed; marks are the recording's own, and older ones are the past. Where
  // something fails in between, record_end is to be called all the same.
  titan_status (*record)(titan_device *device);
  titan_status (*record_end)(titan_device *device, titan_recording **out);
  // Puts the work of a recording into the queues: it begins after all that each of them has got so far, and what they
  // get afterwards begins after it.
  titan_status (*replay)(titan_device *device, titan_recording *recording);
  // Waits for what the device has been asked for. NULL is fine.
  void (*forget)(titan_device *device, titan_recording *recording);
} titan_queue_functions;

// Hyper-parameters of step t (counted from 1) of Adam, the same for all parameters.
typedef struct titan_step_constants {
  float learning_rate, beta1, beta2, epsilon;
  float bias_correction1, bias_correction2; // 1 - beta^t
} titan_step_constants;

// What an update goes by. In DEVICE space: the host writes `constants` at a step's beginning, the device the rest.
typedef struct titan_step_state {
  titan_step_constants constants;
  float gradient_scale; // multiplies the gradient first (clipping)
  uint32_t bad;         // a step's numbers were not finite, or its ranks had different tokens: updates change nothing
} titan_step_state;

// How Adam decays weights: AdamW's `decoupled` w -= lr*wd*w before the update; else g += wd*w.
typedef struct titan_adam_decay {
  float weight_decay;
  bool decoupled;
} titan_adam_decay;

// A run of parameters that Adam updates, as in titan_vector_functions.adam.
typedef struct titan_adam_span {
  titan_adam_decay decay;
  int64_t n;
  float *master, *exp_avg, *exp_avg_sq;
  const float *gradient;
  void *compute;
} titan_adam_span;
enum { TITAN_ADAM_SPANS = 60 }; // at once

// What of the state a factor of a vector function is multiplied by.
typedef enum titan_state_factor {
  TITAN_FACTOR_ONE, // nothing
  TITAN_FACTOR_GRADIENT_SCALE,
  TITAN_FACTOR_LEARNING_RATE,
} titan_state_factor;

// Functions over flat vectors in DEVICE space. All required but adam_spans. Each is put into COMPUTE. Those with a
// state change nothing where that is bad.
typedef struct titan_vector_functions {
  // master, exp_avg, exp_avg_sq [n] f32 are updated from gradient [n] f32; where compute is not NULL, the new master is
  // also written to compute [n] of type `dtype` (it may be master itself when float32).
  titan_status (*adam)(titan_device *device, const titan_step_state *state, titan_adam_decay decay, int64_t n,
                       float *master, float *exp_avg, float *exp_avg_sq, const float *gradient, void *compute,
                       titan_dtype dtype);
  // Optional. The same of `count` spans, TITAN_ADAM_SPANS at most, at once: bitwise what adam gives one by one.
  titan_status (*adam_spans)(titan_device *device, const titan_step_state *state, int count,
                             const titan_adam_span *spans, titan_dtype dtype);
  // *sum = sum of squares of x[n] f32, accumulated in float64 in a fixed order.
  titan_status (*sum_of_squares)(titan_device *device, int64_t n, const float *x, double *sum);
  // to[n] = from[n], rounded to nearest even where narrowing. float32 and bfloat16.
  titan_status (*convert)(titan_device *device, int64_t n, const void *from, titan_dtype from_dtype, void *to,
                          titan_dtype to_dtype);
  // x[n] = value
  titan_status (*fill)(titan_device *device, int64_t n, float *x, float value);
  // y[n] += x[n]
  titan_status (*accumulate)(titan_device *device, int64_t n, float *y, const float *x);
  // y[n] = a y[n] + b f x[n], of an optimizer; f: what `factor` names in the state.
  titan_status (*scaled_add)(titan_device *device, const titan_step_state *state, int64_t n, float *y, float a,
                             const float *x, float b, titan_state_factor factor);
  // One of the stages of a step's numbers: titan_step_numbers_apply (device/numbers.h).
  titan_status (*numbers)(titan_device *device, const titan_numbers_request *request, titan_step_numbers *numbers,
                          titan_step_state *state);
} titan_vector_functions;

struct titan_device {
  const char *name;        // "cpu", "cuda", "meta"
  const char *level;       // "avx2": the instructions that a CPU device uses; NULL: not a CPU
  const char *description; // "AMD EPYC, avx512_bf16, 2 threads": for the log
  const char *identity;    // of the chip: ranks with the same share it; NULL: has no meaning
  int sharing_ranks;       // that share it, this one included; 0: not known. The program writes it
  int threads;             // of this rank, where that has a meaning
  size_t logits_bytes;     // of the loss head's chunks: weights are read once for each; 0: few, as caches want
  size_t exchange_unit;    // memory of EXCHANGE space is taken in multiples of so many bytes; 0: of one
  size_t alignment;        // of the blocks in a plan's arenas, bytes; 0: TITAN_PLAN_ALIGNMENT
  titan_device *host;      // of a device with queues: the CPU device beside it, which it owns
  titan_status (*allocate)(titan_device *device, titan_space space, titan_memory_tag tag, size_t bytes, void *out);
  void (*free)(titan_device *device, titan_space space, void *pointer);    // NULL is fine
  const titan_kernel *(*kernel)(titan_device *device, titan_op_kind kind); // NULL for views
  const titan_vector_functions *vector;
  const titan_queue_functions *queues; // NULL: host memory, and all is done when a call returns
  // Bytes that this rank can still take, and that there are; NULL: the node's memory counts.
  titan_status (*memory)(titan_device *device, size_t *available, size_t *total);
  // Optional. Collective over world, once, before the first group: ranks find out how the device's groups go. The same
  // answer on every rank; TITAN_ERROR_DEVICE where the transport that is asked for cannot be had.
  titan_status (*connect)(titan_device *device, titan_comm *world, titan_transport transport);
  // A group of the device for the ranks of a host group, whose operations go over DEVICE space and are put into
  // `queue`; NULL: the host group serves. Collective over host, which must outlive it.
  titan_status (*group)(titan_device *device, titan_comm *host, titan_queue queue, titan_comm **out);
  // Optional. Bytes of such a group under the tag COMMUNICATION, for so many operations in flight.
  size_t (*group_bytes)(const titan_device *device, const titan_comm *host, titan_queue queue, int works);
  void (*destroy)(titan_device *device);
  void *implementation;
};

// Whether its memory is the host's. (A device that is only planned for has no queues either.)
static inline bool titan_device_is_host(const titan_device *device) {
  return device->queues == NULL && device->level != NULL;
}

// Bytes that memory of EXCHANGE space takes.
static inline size_t titan_device_exchange_bytes(const titan_device *device, size_t bytes) {
  size_t unit = device->exchange_unit > 0 ? device->exchange_unit : 1;
  return (bytes + unit - 1) / unit * unit;
}

// Whether every required slot is there; TITAN_ERROR_INTERNAL names the first that is not.
titan_status titan_device_check(titan_device *device);
// Collective over host. The group of the device, or the host group itself where it serves: on a device without such
// groups, and where it has one rank. works: operations in flight at once. To be destroyed by
// titan_device_group_destroy, before host is.
titan_status titan_device_group_create(titan_device *device, titan_comm *host, titan_queue queue, int works,
                                       titan_comm **out);
void titan_device_group_destroy(titan_comm *host, titan_comm **group);
// Bytes of it under the tag COMMUNICATION.
size_t titan_device_group_bytes(const titan_device *device, const titan_comm *host, titan_queue queue, int works);
// NULL is fine; the handle becomes NULL.
void titan_device_destroy(titan_device **device);

// The CPU device; `threads` >= 1 OpenMP threads. The instruction set is the best the chip has, lowered by the
// environment variable TITAN_CPU_ISA (generic, baseline, avx2, avx512, avx512_bf16, amx; another word, or one that the
// chip lacks, is TITAN_ERROR_USAGE).
titan_status titan_device_create_cpu(int threads, titan_device **out);
// The same of this level, whatever the environment says. A process has CPU devices of one level only (oneDNN): another
// one is TITAN_ERROR_INTERNAL.
titan_status titan_device_create_cpu_of_level(int threads, titan_cpu_isa level, titan_device **out);

#endif
