// SPDX-License-Identifier: Apache-2.0
// Stream capture and graphs (CUDA C++ Programming Guide, "Creating a Graph Using Stream Capture"). A graph that is
// launched is done in lanes, one for each stream that was captured, in a random order that the captured events allow.
//
// TITAN_EMULATED_GRAPH_FAULT, to see that tests find it: `join` streams never come back to the one that the capture
// began in; `order` launches do without what streams wait for inside the graph; `stale` after the first launch nothing
// is copied from host memory outside graphs; `wait` the host waits once in each capture.
#include "runtime_private.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <vector>

namespace {

struct item {
  size_t lane;
  work w;              // where it is neither of these:
  bool records, waits; // an event
  size_t place;        // of the event
};

// How many pieces of work of each lane come before.
using past = std::vector<size_t>;

} // namespace

struct capture {
  CUstream_st *origin = nullptr;
  bool invalid = false;
  std::vector<CUstream_st *> streams; // by lane; the first is the origin
  std::vector<size_t> counts;         // by lane: pieces of work
  std::vector<past> pasts;            // by lane: of what it gets next
  std::vector<past> events;           // by event: of what waits for it
  std::vector<item> items;            // as they came
};

struct CUgraph_st {
  size_t lanes, events;
  std::vector<item> items;
};

struct CUgraphExec_st {
  CUgraph_st graph;
};

namespace {

std::shared_ptr<capture> present;
bool was_launched;

bool fault(const char *kind) {
  const char *text = std::getenv("TITAN_EMULATED_GRAPH_FAULT");
  return text != nullptr && std::strcmp(text, kind) == 0;
}

cudaError_t invalidate(cudaError_t error) {
  if (present != nullptr)
    present->invalid = true;
  return error;
}

void merge(past &to, const past &from) {
  to.resize(std::max(to.size(), from.size()));
  for (size_t i = 0; i < from.size(); i++)
    to[i] = std::max(to[i], from[i]);
}

void join_capture(CUstream_st *stream, const std::shared_ptr<capture> &c) {
  stream->captured = c;
  stream->lane = c->streams.size();
  c->streams.push_back(stream);
  c->counts.push_back(0);
  c->pasts.emplace_back();
}

bool is_joined(const capture &c) {
  past all = c.pasts[0];
  all.resize(c.counts.size());
  for (size_t lane = 1; lane < c.counts.size(); lane++)
    if (all[lane] < c.counts[lane])
      return false;
  return true;
}

} // namespace

cudaError_t titan_emulated_forbidden(cudaEvent_t of) {
  if (of != nullptr && of->captured != nullptr)
    return invalidate(cudaErrorCapturedEvent);
  return present != nullptr ? invalidate(cudaErrorStreamCaptureUnsupported) : cudaSuccess;
}

bool titan_emulated_copy_is_lost(const CUstream_st *stream, const void *to, const void *from) {
  return was_launched && stream->captured == nullptr && fault("stale") && titan_emulated_memory_is_device(to) &&
         !titan_emulated_memory_is_device(from);
}

cudaError_t titan_emulated_capture(cudaStream_t stream, work w) {
  capture &c = *stream->captured;
  if (c.items.size() == 100 && fault("wait"))
    return cudaDeviceSynchronize();
  if (c.invalid)
    return cudaErrorStreamCaptureInvalidated;
  past &p = c.pasts[stream->lane];
  p.resize(c.streams.size());
  p[stream->lane] = ++c.counts[stream->lane];
  c.items.push_back(item{stream->lane, std::move(w), false, false, 0});
  return cudaSuccess;
}

cudaError_t titan_emulated_capture_record(cudaStream_t stream, cudaEvent_t event) {
  capture &c = *stream->captured;
  if (c.invalid)
    return cudaErrorStreamCaptureInvalidated;
  event->place = c.events.size();
  c.events.push_back(c.pasts[stream->lane]);
  c.items.push_back(item{stream->lane, {}, true, false, event->place});
  return cudaSuccess;
}

cudaError_t titan_emulated_capture_wait(CUstream_st *stream, cudaEvent_t event) {
  const std::shared_ptr<capture> &c = event->captured;
  if (c == nullptr || c != present) // of no capture, or of one that has ended
    return stream->captured == nullptr ? cudaErrorCapturedEvent : invalidate(cudaErrorStreamCaptureIsolation);
  if (c->invalid)
    return cudaErrorStreamCaptureInvalidated;
  if (stream->captured == nullptr)
    join_capture(stream, c);
  if (stream == c->origin && fault("join"))
    return cudaSuccess;
  merge(c->pasts[stream->lane], c->events[event->place]);
  c->items.push_back(item{stream->lane, {}, false, true, event->place});
  return cudaSuccess;
}

extern "C" {

// One at a time: a second one would be another sequence, which the device has no use for.
cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  if (stream == nullptr)
    return titan_emulated_return(cudaErrorStreamCaptureUnsupported);
  if (present != nullptr)
    return titan_emulated_return(cudaErrorIllegalState);
  present = std::make_shared<capture>();
  present->origin = stream;
  join_capture(stream, present);
  return titan_emulated_return(cudaSuccess);
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph) {
  *graph = nullptr;
  if (present == nullptr || stream == nullptr || stream->captured == nullptr)
    return titan_emulated_return(cudaErrorIllegalState);
  std::shared_ptr<capture> c = present;
  if (stream != c->origin)
    return titan_emulated_return(invalidate(cudaErrorStreamCaptureUnmatched));
  present = nullptr;
  for (CUstream_st *captured : c->streams)
    captured->captured = nullptr;
  if (c->invalid)
    return titan_emulated_return(cudaErrorStreamCaptureInvalidated);
  if (!is_joined(*c))
    return titan_emulated_return(cudaErrorStreamCaptureUnjoined);
  *graph = new CUgraph_st{c->streams.size(), c->events.size(), c->items};
  return titan_emulated_return(cudaSuccess);
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *out, cudaGraph_t graph, unsigned long long) {
  TITAN_EMULATED_FORBIDDEN();
  *out = new CUgraphExec_st{*graph};
  return titan_emulated_return(cudaSuccess);
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  const CUgraph_st &graph = executable->graph;
  std::vector<std::shared_ptr<event_state>> events(graph.events);
  std::vector<CUstream_st *> lanes(graph.lanes);
  TITAN_EMULATED_FORBIDDEN();
  was_launched = true;
  auto begin = std::make_shared<event_state>();
  titan_emulated_put(stream, titan_emulated_reach(begin));
  for (CUstream_st *&lane : lanes) {
    lane = titan_emulated_add_lane();
    titan_emulated_put(lane, work{nullptr, begin, 1, cudaSuccess});
  }
  for (auto &event : events)
    event = std::make_shared<event_state>();
  for (const item &i : graph.items)
    if (i.records)
      titan_emulated_put(lanes[i.lane], titan_emulated_reach(events[i.place]));
    else if (!i.waits)
      titan_emulated_put(lanes[i.lane], i.w);
    else if (!fault("order"))
      titan_emulated_put(lanes[i.lane], work{nullptr, events[i.place], 1, cudaSuccess});
  for (CUstream_st *lane : lanes) {
    auto end = std::make_shared<event_state>();
    titan_emulated_put(lane, titan_emulated_reach(end));
    titan_emulated_put(stream, work{nullptr, end, 1, cudaSuccess});
  }
  return titan_emulated_return(cudaSuccess);
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return titan_emulated_return(cudaSuccess);
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  delete executable;
  return titan_emulated_return(cudaSuccess);
}

} // extern "C"
