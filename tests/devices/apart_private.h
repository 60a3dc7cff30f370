// SPDX-License-Identifier: Apache-2.0
#ifndef TITAN_TESTS_DEVICES_APART_PRIVATE_H
#define TITAN_TESTS_DEVICES_APART_PRIVATE_H

#include "apart.h"

#include "comm/backend.h"
#include "device/numbers.h"

typedef struct apart apart;
typedef struct apart_op apart_op;
typedef struct apart_transfer apart_transfer; // apart_group.c

// One thing that was put into a queue, with its arguments.
struct apart_op {
  titan_status (*run)(apart *a, apart_op *op);
  titan_queue queue;
  bool exchange, done;
  uint64_t mark; // of a wait for a mark: its number
  union {
    struct {
      const titan_kernel *kernel;
      const titan_op_call *call;
      void *state;
      const void *inputs[TITAN_MAX_INPUTS];
      void *outputs[TITAN_MAX_OUTPUTS], *workspace;
      titan_comm *group; // of the host
    } kernel;
    struct {
      void *to;
      const void *from;
      size_t to_pitch, from_pitch, row_bytes, rows;
    } copy;
    struct {
      int64_t n;
      const titan_step_state *state;
      titan_adam_decay decay;
      const void *from;
      void *to, *slots[3];
      titan_dtype from_dtype, to_dtype;
      float a, b;
      titan_state_factor factor;
    } vector;
    struct {
      titan_numbers_request request;
      titan_step_numbers *numbers;
      titan_step_state *state;
    } numbers;
    struct {
      titan_operation operation;
      titan_comm *group;        // of the host
      apart_transfer *transfer; // between two ranks, from its beginning to its end
    } exchange_of;
  } of;
};

typedef struct apart_block {
  char *begin;
  size_t bytes;
  titan_memory_tag tag;
} apart_block;

struct apart {
  titan_device *cpu;
  uint64_t seed, random;
  // Memory: blocks in the order of their addresses.
  char *memory, *memory_end;
  apart_block *blocks;
  size_t block_count, block_capacity;
  // Operations since the last wait; that with index i has the number first + i.
  apart_op *ops;
  size_t op_count, op_capacity;
  uint64_t first;
  uint64_t last[TITAN_QUEUES]; // number of the queue's last operation
  bool records;                // what queues get is recorded, from this number on
  uint64_t recorded_from;
  titan_status status; // of the first operation that failed
  char message[1024];
  char description[160];
};

static inline apart *apart_of(const titan_device *device) {
  return device->implementation;
}

// Another operation; *out is valid until the next one.
titan_status apart_add(apart *a, titan_queue queue, titan_status (*run)(apart *a, apart_op *op), apart_op **out);
// Does all that there is to do.
titan_status apart_execute(apart *a);
extern const titan_queue_functions apart_queues;
titan_status apart_record(titan_device *device);
titan_status apart_record_end(titan_device *device, titan_recording **out);
titan_status apart_replay(titan_device *device, titan_recording *recording);
void apart_forget(titan_device *device, titan_recording *recording);

titan_status apart_allocate(titan_device *device, titan_space space, titan_memory_tag tag, size_t bytes, void *out);
void apart_free(titan_device *device, titan_space space, void *pointer);
// TITAN_APART_MEMORY: MiB that there are in all, instead of the address space.
titan_status apart_memory(titan_device *device, size_t *available, size_t *total);
titan_status apart_memory_create(apart *a);
void apart_memory_destroy(apart *a);
// Lets host code at the memory, or keeps it out.
void apart_memory_open(apart *a, bool open);

extern const titan_vector_functions apart_vector;
const titan_kernel *apart_kernel(titan_device *device, titan_op_kind kind);
titan_status apart_group(titan_device *device, titan_comm *host, titan_queue queue, titan_comm **out);
// The host's group of a group of this device.
titan_comm *apart_host_group(titan_comm *group);

#endif
