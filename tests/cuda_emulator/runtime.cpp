// SPDX-License-Identifier: Apache-2.0
#include "emulated.h"
#include "runtime_private.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sched.h>
#include <vector>

namespace {

std::vector<CUstream_st *> streams, lanes_over; // lanes_over: to be used again
cudaError_t last_error = cudaSuccess, gpu_error = cudaSuccess;
cudaError_t next_failure = cudaSuccess;
bool executing, is_open;             // is_open: device memory
uint64_t ordered_put, ordered_begun; // works in which ranks meet

uint64_t next_random() { // Marsaglia, "Xorshift RNGs", 2003
  static uint64_t state = titan_emulated()->seed * 0x9e3779b97f4a7c15u | 1;
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state;
}

CUstream_st *stream_of(cudaStream_t stream) {
  static CUstream_st standard;
  if (streams.empty())
    streams.push_back(&standard);
  return stream != nullptr ? stream : &standard;
}

void shuffle() {
  for (size_t i = streams.size() - 1; i > 0; i--)
    std::swap(streams[i], streams[next_random() % (i + 1)]);
}

bool can_run(const CUstream_st *stream) {
  if (stream->waiting.empty())
    return false;
  const work &w = stream->waiting.front();
  if (w.turn > ordered_begun + 1)
    return false;
  return w.event == nullptr || w.run != nullptr || w.event->reached >= w.number;
}

// Whether it is done.
bool run_first(CUstream_st *stream) {
  const work &first = stream->waiting.front();
  if ((first.turn > 0 || (first.run != nullptr && first.event == nullptr)) && !is_open)
    titan_emulated_memory_open(is_open = true);
  ordered_begun = std::max(ordered_begun, first.turn);
  if (first.turn > 0 && gpu_error == cudaSuccess && !first.advance())
    return false;
  work w = std::move(stream->waiting.front());
  stream->waiting.pop_front();
  titan_emulated_error(w.failure);
  if (w.run != nullptr && (gpu_error == cudaSuccess || w.event != nullptr)) // after an error nothing but events
    w.run();
  stream->done++;
  return true;
}

// The next stream with work that can be done. Ranks that meet may wait for each other, so that is done last, and only
// where it is needed.
CUstream_st *next_stream(bool enough) {
  CUstream_st *meets = nullptr;
  for (CUstream_st *stream : streams) {
    if (!can_run(stream))
      continue;
    if (stream->waiting.front().turn == 0)
      return stream;
    meets = stream;
  }
  return enough ? nullptr : meets;
}

// Does work until `enough`, and with some luck more; not `waits`: until other ranks would have to be waited for.
template <typename condition> cudaError_t execute(condition enough, bool waits = true) {
  if (executing) {
    fprintf(stderr, "emulated GPU: work waits for work\n");
    abort();
  }
  stream_of(nullptr);
  executing = true;
  shuffle();
  while (!enough() || next_random() % 8 != 0) {
    if (next_random() % 8 == 0)
      shuffle();
    CUstream_st *stream = next_stream(enough());
    if (stream == nullptr && enough())
      break;
    if (stream == nullptr) {
      fprintf(stderr, "emulated GPU, seed %llu: streams wait for events that nothing reaches\n",
              static_cast<unsigned long long>(titan_emulated()->seed));
      abort();
    }
    if (run_first(stream))
      continue;
    if (!waits)
      break;
    sched_yield();
  }
  if (is_open)
    titan_emulated_memory_open(false);
  is_open = executing = false;
  return gpu_error;
}

bool is_idle() {
  return std::all_of(streams.begin(), streams.end(), [](const CUstream_st *s) { return s->waiting.empty(); });
}

void put(cudaStream_t stream, work w) {
  w.failure = next_failure;
  next_failure = cudaSuccess;
  if (stream_of(stream)->captured != nullptr)
    titan_emulated_return(titan_emulated_capture(stream, std::move(w)));
  else
    titan_emulated_put(stream, std::move(w));
}

size_t number_of(const char *variable, size_t otherwise) {
  const char *text = getenv(variable);
  return text != nullptr ? size_t(strtoull(text, nullptr, 10)) : otherwise;
}

} // namespace

work titan_emulated_reach(const std::shared_ptr<event_state> &state) {
  uint64_t number = ++state->recorded;
  auto reach = [=] {
    state->reached = std::max(state->reached, number);
    state->time = std::chrono::steady_clock::now();
  };
  return work{reach, state, number, cudaSuccess};
}

void titan_emulated_put(cudaStream_t stream, work w) {
  if (w.advance != nullptr)
    w.turn = ++ordered_put;
  stream_of(stream)->waiting.push_back(std::move(w));
  stream_of(stream)->put++;
}

CUstream_st *titan_emulated_add_lane() {
  auto is_over = [](const CUstream_st *s) { return s->is_lane && s->waiting.empty(); };
  for (CUstream_st *stream : streams)
    if (is_over(stream))
      lanes_over.push_back(stream);
  streams.erase(std::remove_if(streams.begin(), streams.end(), is_over), streams.end());
  CUstream_st *lane = lanes_over.empty() ? new CUstream_st : lanes_over.back();
  if (!lanes_over.empty())
    lanes_over.pop_back();
  lane->is_lane = true;
  streams.push_back(lane);
  return lane;
}

titan_emulated_machine *titan_emulated() {
  // NVIDIA H100 80GB HBM3: 81559 MiB.
  static titan_emulated_machine machine = {
      int(number_of("TITAN_EMULATED_DRIVER", CUDART_VERSION)), int(number_of("TITAN_EMULATED_GPUS", 1)),
      int(number_of("TITAN_EMULATED_CAPABILITY", 90)),         int(number_of("TITAN_EMULATED_NO_CODE", 0)),
      number_of("TITAN_EMULATED_MEMORY", 81559) << 20,         number_of("TITAN_EMULATED_SEED", 1)};
  return &machine;
}

void titan_emulated_fail(int error) {
  next_failure = cudaError_t(error);
}

void titan_emulated_repair() {
  next_failure = gpu_error = last_error = cudaSuccess;
}

void titan_emulated_error(cudaError_t error) {
  if (gpu_error == cudaSuccess)
    gpu_error = error;
}

cudaError_t titan_emulated_return(cudaError_t error) {
  if (error == cudaSuccess)
    error = gpu_error;
  if (error != cudaSuccess && error != cudaErrorNotReady)
    last_error = error;
  return error;
}

cudaError_t titan_emulated_finish() {
  stream_of(nullptr);
  return is_idle() ? gpu_error : execute(is_idle);
}

void titan_emulated_enqueue_in_order(cudaStream_t stream, std::function<bool()> advance) {
  work w{[] {}, nullptr, 0, cudaSuccess};
  w.advance = std::move(advance);
  put(stream, std::move(w));
}

void titan_emulated_enqueue(cudaStream_t stream, std::function<void()> run) {
  put(stream, work{std::move(run), nullptr, 0, cudaSuccess});
}

extern "C" {

// --- errors ---

cudaError_t cudaGetLastError() {
  cudaError_t error = titan_emulated_return(cudaSuccess);
  error = error != cudaSuccess ? error : last_error;
  last_error = cudaSuccess;
  return error;
}

cudaError_t cudaPeekAtLastError() {
  return gpu_error != cudaSuccess ? gpu_error : last_error;
}

// --- streams ---

cudaError_t cudaDeviceGetStreamPriorityRange(int *least, int *greatest) {
  *least = 0;
  *greatest = -5;
  return cudaSuccess;
}

cudaError_t cudaStreamCreateWithPriority(cudaStream_t *out, unsigned int, int) {
  stream_of(nullptr);
  *out = new CUstream_st;
  streams.push_back(*out);
  return titan_emulated_return(cudaSuccess);
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *out, unsigned int flags) {
  return cudaStreamCreateWithPriority(out, flags, 0);
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  TITAN_EMULATED_FORBIDDEN();
  cudaError_t error = titan_emulated_finish();
  streams.erase(std::find(streams.begin(), streams.end(), stream));
  delete stream;
  return titan_emulated_return(error);
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  TITAN_EMULATED_FORBIDDEN();
  const CUstream_st *s = stream_of(stream);
  uint64_t number = s->put;
  return titan_emulated_return(execute([=] { return s->done >= number; }));
}

cudaError_t cudaStreamQuery(cudaStream_t stream) {
  TITAN_EMULATED_FORBIDDEN();
  return titan_emulated_return(stream_of(stream)->waiting.empty() ? cudaSuccess : cudaErrorNotReady);
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned int) {
  if (event->captured != nullptr || stream_of(stream)->captured != nullptr)
    return titan_emulated_return(titan_emulated_capture_wait(stream_of(stream), event));
  if (event->state->recorded > event->state->reached)
    put(stream, work{nullptr, event->state, event->state->recorded, cudaSuccess});
  return titan_emulated_return(cudaSuccess);
}

cudaError_t cudaDeviceSynchronize() {
  TITAN_EMULATED_FORBIDDEN();
  return titan_emulated_return(titan_emulated_finish());
}

cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void *data) {
  titan_emulated_enqueue(stream, [=] {
    titan_emulated_memory_open(false);
    function(data);
    titan_emulated_memory_open(true);
  });
  return titan_emulated_return(cudaSuccess);
}

// --- events ---

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *out, unsigned int) {
  *out = new CUevent_st;
  return titan_emulated_return(cudaSuccess);
}

cudaError_t cudaEventCreate(cudaEvent_t *out) {
  return cudaEventCreateWithFlags(out, cudaEventDefault);
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  event->captured = stream_of(stream)->captured;
  if (event->captured != nullptr)
    return titan_emulated_return(titan_emulated_capture_record(stream, event));
  put(stream, titan_emulated_reach(event->state));
  return titan_emulated_return(cudaSuccess);
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  TITAN_EMULATED_FORBIDDEN_OF(event);
  std::shared_ptr<event_state> state = event->state;
  uint64_t number = state->recorded;
  if (state->reached >= number)
    return titan_emulated_return(cudaSuccess);
  return titan_emulated_return(execute([=] { return state->reached >= number; }));
}

// A GPU goes on while the host asks, now and then; work in which ranks meet is done for one that asks often.
cudaError_t cudaEventQuery(cudaEvent_t event) {
  TITAN_EMULATED_FORBIDDEN_OF(event);
  static unsigned queries;
  std::shared_ptr<event_state> state = event->state;
  uint64_t number = state->recorded;
  if (state->reached < number && !executing && next_random() % 8 == 0) {
    bool meets = ++queries % 4 == 0;
    execute([=] { return !meets || state->reached >= number; }, false);
  }
  return titan_emulated_return(event->state->reached >= event->state->recorded ? cudaSuccess : cudaErrorNotReady);
}

cudaError_t cudaEventElapsedTime(float *milliseconds, cudaEvent_t from, cudaEvent_t to) {
  if (from->state->reached < from->state->recorded || to->state->reached < to->state->recorded)
    return titan_emulated_return(cudaErrorNotReady);
  *milliseconds = std::chrono::duration<float, std::milli>(to->state->time - from->state->time).count();
  return titan_emulated_return(cudaSuccess);
}

// --- copies ---

cudaError_t cudaMemcpy2DAsync(void *to, size_t to_pitch, const void *from, size_t from_pitch, size_t width,
                              size_t height, cudaMemcpyKind, cudaStream_t stream) {
  auto valid = [=] {
    return titan_emulated_memory_valid(to, (height - 1) * to_pitch + width) &&
           titan_emulated_memory_valid(from, (height - 1) * from_pitch + width);
  };
  if (width == 0 || height == 0)
    return titan_emulated_return(cudaSuccess);
  if (width > to_pitch || width > from_pitch || !valid())
    return titan_emulated_return(cudaErrorInvalidValue);
  if (titan_emulated_copy_is_lost(stream_of(stream), to, from))
    return titan_emulated_return(cudaSuccess);
  titan_emulated_enqueue(stream, [=] {
    if (!valid()) {
      titan_emulated_error(cudaErrorIllegalAddress);
      return;
    }
    for (size_t row = 0; row < height; row++)
      memmove(static_cast<char *>(to) + row * to_pitch, static_cast<const char *>(from) + row * from_pitch, width);
  });
  return titan_emulated_return(cudaSuccess);
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  return cudaMemcpy2DAsync(to, bytes, from, bytes, bytes, bytes > 0 ? 1 : 0, kind, stream);
}

cudaError_t cudaMemsetAsync(void *to, int value, size_t bytes, cudaStream_t stream) {
  if (!titan_emulated_memory_valid(to, bytes))
    return titan_emulated_return(cudaErrorInvalidValue);
  titan_emulated_enqueue(stream, [=] { memset(to, value, bytes); });
  return titan_emulated_return(cudaSuccess);
}

} // extern "C"
