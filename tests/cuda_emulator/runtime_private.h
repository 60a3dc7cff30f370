// SPDX-License-Identifier: Apache-2.0
// Streams and events of the emulated runtime, and the capture of their work into graphs.
#ifndef TITAN_TESTS_CUDA_EMULATOR_RUNTIME_PRIVATE_H
#define TITAN_TESTS_CUDA_EMULATOR_RUNTIME_PRIVATE_H

#include "runtime.h"

#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>

struct capture; // runtime_graph.cpp

// How often an event has been recorded, and how many of these the streams have come to.
struct event_state {
  uint64_t recorded = 0, reached = 0;
  std::chrono::steady_clock::time_point time; // of the last
};

struct CUevent_st {
  std::shared_ptr<event_state> state = std::make_shared<event_state>();
  std::shared_ptr<capture> captured; // where it was recorded last
  size_t place = 0;                  // among the events of that capture
};

struct work {
  std::function<void()> run;          // none: a wait
  std::shared_ptr<event_state> event; // of a wait: begins when it has been reached `number` times
  uint64_t number;
  cudaError_t failure;
  uint64_t turn = 0;                       // of work in which ranks meet: its number among these, from 1
  std::function<bool()> advance = nullptr; // of such work
};

struct CUstream_st {
  std::deque<work> waiting;
  uint64_t put = 0, done = 0;        // pieces of work
  std::shared_ptr<capture> captured; // that its work goes into; NULL: none
  size_t lane = 0;                   // in it
  bool is_lane = false;              // of a graph that was launched
};

// Work of a stream that is not captured.
void titan_emulated_put(cudaStream_t stream, work w);
// The event's next time.
work titan_emulated_reach(const std::shared_ptr<event_state> &state);
// A stream for a part of a graph that is launched; it goes when it is empty.
CUstream_st *titan_emulated_add_lane(void);

// --- capture: runtime_graph.cpp ---

// Work, an event, and a wait of a stream that is captured, or that an event of a capture takes into it.
cudaError_t titan_emulated_capture(cudaStream_t stream, work w);
cudaError_t titan_emulated_capture_record(cudaStream_t stream, cudaEvent_t event);
cudaError_t titan_emulated_capture_wait(CUstream_st *stream, cudaEvent_t event);
// Of calls that may not be made while a stream is captured: the error, which also ends the capture's validity.
// of: an event, or NULL.
cudaError_t titan_emulated_forbidden(cudaEvent_t of);
#define TITAN_EMULATED_FORBIDDEN_OF(event)                                                                             \
  do {                                                                                                                 \
    cudaError_t forbidden_ = titan_emulated_forbidden(event);                                                          \
    if (forbidden_ != cudaSuccess)                                                                                     \
      return titan_emulated_return(forbidden_);                                                                        \
  } while (0)
#define TITAN_EMULATED_FORBIDDEN() TITAN_EMULATED_FORBIDDEN_OF(nullptr)
// TITAN_EMULATED_GRAPH_FAULT=stale: whether a copy is one of those that are left out.
bool titan_emulated_copy_is_lost(const CUstream_st *stream, const void *to, const void *from);
bool titan_emulated_memory_is_device(const void *pointer);

#endif
