// SPDX-License-Identifier: Apache-2.0
// A stand-in for NCCL over MPI: the functions that groups use (cuda/nccl_functions.def), under their own names.
// Operations are put into the emulated stream. Those of all communicators begin in the order in which they were issued,
// each when the one before it in its stream has ended, and go on beside each other. A send ends when its receive is
// there.
//
// TITAN_EMULATED_NCCL_VERSION: the version that it tells, as 22809. TITAN_EMULATED_NCCL_FAULT=KIND:RANK:NUMBER: of rank
// RANK of the world, operation NUMBER (counted from 0 over all groups of the process) goes wrong. KIND: `call` its call
// fails; `asynchronous` an error is found later; `hang` it is never done; `hang_all_gather`, ..., `hang_send`,
// `hang_recv`: of those of this kind, operation NUMBER (a group of messages is of the kind of its first); `recorded` is
// that of an operation that is captured, and NUMBER counts these; `identifier` there is no identifier, and with
// `absent` it never comes (NUMBER counts identifiers); `start` the rank never comes to its group NUMBER; `never` this
// group's start is in progress for ever; `late` its error is told when it is asked for the fourth time.
#define OMPI_SKIP_MPICXX 1 // the C interface alone
#include "nccl_communicator.h"
#include "runtime_private.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <mpi.h>
#include <nccl.h>
#include <string>
#include <unistd.h>
#include <vector>

namespace {

struct transfer {
  bool sends;
  void *memory;
  size_t bytes;
  int peer;
};

std::vector<transfer> grouped;
ncclComm *grouped_comm;
cudaStream_t grouped_stream;
int group_depth;

// An operation on its way, on copies of its operands in host memory.
struct exchange {
  std::vector<char> sent, received;
  std::vector<MPI_Request> requests;
  bool begun = false;
};

// Work that `begin` starts and `end` finishes when all requests are done.
std::function<bool()> advance(std::function<void(exchange &)> begin, std::function<void(exchange &)> end) {
  auto x = std::make_shared<exchange>();
  return [x, begin, end] {
    int done = 0;
    if (!x->begun)
      begin(*x);
    x->begun = true;
    MPI_Testall(static_cast<int>(x->requests.size()), x->requests.data(), &done, MPI_STATUSES_IGNORE);
    if (done) {
      end(*x);
      *x = exchange(); // the work of a graph is done at each of its launches
    }
    return done != 0;
  };
}

size_t bytes_of(ncclDataType_t type) {
  switch (type) {
  case ncclFloat64:
  case ncclInt64:
    return 8;
  case ncclBfloat16:
    return 2;
  default:
    return 4;
  }
}

float to_float(uint16_t bits) {
  uint32_t wide = static_cast<uint32_t>(bits) << 16;
  float value;
  std::memcpy(&value, &wide, sizeof value);
  return value;
}

uint16_t to_bfloat16(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  if ((bits & 0x7fffffff) > 0x7f800000)
    return static_cast<uint16_t>(bits >> 16 | 0x40);
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

template <typename T> T combine(T a, T b, ncclRedOp_t op) {
  if (op == ncclSum)
    return a + b;
  return (op == ncclMax) == (b > a) ? b : a;
}

// Element i of a vector of each of the ranks, combined as groups of the host do it: the largest power of two of ranks
// below all of them, and the rest.
template <typename T, typename Read> T combine_tree(const Read &read, int first, int ranks, ncclRedOp_t op) {
  if (ranks == 1)
    return read(first);
  int left = 1;
  while (2 * left < ranks)
    left *= 2;
  return combine(combine_tree<T>(read, first, left, op), combine_tree<T>(read, first + left, ranks - left, op), op);
}

// to[count] = from[0][count], from[1][count], ..., combined.
template <typename T>
void combine_all(const char *from, size_t stride, int ranks, size_t count, ncclRedOp_t op, void *to) {
  for (size_t i = 0; i < count; i++) {
    const auto read = [=](int r) {
      T element;
      std::memcpy(&element, from + static_cast<size_t>(r) * stride + i * sizeof(T), sizeof(T));
      return element;
    };
    const T all = combine_tree<T>(read, 0, ranks, op);
    std::memcpy(static_cast<char *>(to) + i * sizeof(T), &all, sizeof(T));
  }
}

void combine_bfloat16(const char *from, size_t stride, int ranks, size_t count, ncclRedOp_t op, void *to) {
  for (size_t i = 0; i < count; i++) {
    const auto read = [=](int r) {
      uint16_t bits;
      std::memcpy(&bits, from + static_cast<size_t>(r) * stride + i * 2, 2);
      return to_float(bits);
    };
    const uint16_t bits = to_bfloat16(combine_tree<float>(read, 0, ranks, op));
    std::memcpy(static_cast<char *>(to) + i * 2, &bits, 2);
  }
}

void combine_ranks(ncclDataType_t type, const char *from, size_t stride, int ranks, size_t count, ncclRedOp_t op,
                   void *to) {
  switch (type) {
  case ncclFloat64:
    return combine_all<double>(from, stride, ranks, count, op, to);
  case ncclInt64:
    return combine_all<int64_t>(from, stride, ranks, count, op, to);
  case ncclInt32:
    return combine_all<int32_t>(from, stride, ranks, count, op, to);
  case ncclBfloat16:
    return combine_bfloat16(from, stride, ranks, count, op, to);
  default:
    return combine_all<float>(from, stride, ranks, count, op, to);
  }
}

// Puts an operation of the communicator into the stream, or does the fault that is asked for.
ncclResult_t issue(ncclComm *comm, const std::string &kind, cudaStream_t stream, std::function<bool()> work) {
  static int number;
  static std::map<std::string, int> numbers;
  int mine = number++, of_kind = numbers[kind]++;
  comm->stream = stream;
  comm->issued = true;
  if (titan_emulated_nccl_fault("call", mine))
    return ncclSystemError;
  if (titan_emulated_nccl_fault("asynchronous", mine)) {
    titan_emulated_enqueue_in_order(stream, [comm] {
      comm->found = ncclRemoteError;
      return false;
    });
    return ncclSuccess;
  }
  static int captured;
  if (titan_emulated_nccl_fault("hang", mine) || titan_emulated_nccl_fault(("hang_" + kind).c_str(), of_kind) ||
      (stream->captured != nullptr && titan_emulated_nccl_fault("recorded", captured++))) {
    titan_emulated_enqueue_in_order(stream, [] { return false; });
    return ncclSuccess;
  }
  titan_emulated_enqueue_in_order(stream, work);
  return titan_emulated_nccl_begin(comm);
}

// x.received = x.sent of all ranks, in their order.
void begin_gather(const ncclComm *comm, exchange &x, const void *send, size_t bytes) {
  x.sent.assign(static_cast<const char *>(send), static_cast<const char *>(send) + bytes);
  x.received.resize(bytes * static_cast<size_t>(comm->size));
  x.requests.resize(1);
  MPI_Iallgather(x.sent.data(), static_cast<int>(bytes), MPI_BYTE, x.received.data(), static_cast<int>(bytes), MPI_BYTE,
                 comm->mpi, x.requests.data());
}

// What is sent lies in x.sent, and what is received in x.received, in the order of the transfers.
void begin_transfers(const ncclComm *comm, exchange &x, const std::vector<transfer> &transfers) {
  size_t sent = 0, received = 0;
  for (const transfer &t : transfers)
    (t.sends ? sent : received) += t.bytes;
  x.sent.resize(sent);
  x.received.resize(received);
  sent = received = 0;
  for (const transfer &t : transfers) {
    MPI_Request request;
    if (t.sends) {
      std::memcpy(x.sent.data() + sent, t.memory, t.bytes);
      MPI_Issend(x.sent.data() + sent, static_cast<int>(t.bytes), MPI_BYTE, t.peer, 0, comm->mpi, &request);
      sent += t.bytes;
    } else {
      MPI_Irecv(x.received.data() + received, static_cast<int>(t.bytes), MPI_BYTE, t.peer, 0, comm->mpi, &request);
      received += t.bytes;
    }
    x.requests.push_back(request);
  }
}

void end_transfers(const exchange &x, const std::vector<transfer> &transfers) {
  size_t received = 0;
  for (const transfer &t : transfers)
    if (!t.sends) {
      std::memcpy(t.memory, x.received.data() + received, t.bytes);
      received += t.bytes;
    }
}

ncclResult_t issue_transfers(ncclComm *comm, cudaStream_t stream, std::vector<transfer> transfers) {
  for (const transfer &t : transfers)
    if (t.peer != comm->rank)
      titan_emulated_nccl_record(comm, t.sends ? "send" : "recv", stream, t.bytes, comm->knows(t.memory, t.bytes),
                                 t.peer);
  return issue(comm, transfers[0].sends ? "send" : "recv", stream,
               advance([comm, transfers](exchange &x) { begin_transfers(comm, x, transfers); },
                       [transfers](exchange &x) { end_transfers(x, transfers); }));
}

ncclResult_t add_transfer(ncclComm *comm, cudaStream_t stream, transfer t) {
  if (group_depth == 0)
    return issue_transfers(comm, stream, {t});
  grouped.push_back(t);
  grouped_comm = comm;
  grouped_stream = stream;
  return ncclSuccess;
}

} // namespace

extern "C" {

ncclResult_t ncclGetVersion(int *version) {
  const char *text = std::getenv("TITAN_EMULATED_NCCL_VERSION");
  *version = text != nullptr ? std::atoi(text) : NCCL_VERSION_CODE;
  return ncclSuccess;
}

const char *ncclGetErrorString(ncclResult_t result) {
  return result == ncclRemoteError   ? "remote process exited or there was a network error"
         : result == ncclSystemError ? "unhandled system error"
                                     : "another error";
}

ncclResult_t ncclAllGather(const void *send, void *recv, size_t count, ncclDataType_t type, ncclComm_t comm,
                           cudaStream_t stream) {
  size_t all = count * bytes_of(type) * static_cast<size_t>(comm->size);
  titan_emulated_nccl_record(comm, "all_gather", stream, all - count * bytes_of(type),
                             comm->knows(send, count * bytes_of(type)) && comm->knows(recv, all));
  return issue(comm, "all_gather", stream,
               advance([=](exchange &x) { begin_gather(comm, x, send, count * bytes_of(type)); },
                       [=](exchange &x) { std::memcpy(recv, x.received.data(), x.received.size()); }));
}

ncclResult_t ncclReduceScatter(const void *send, void *recv, size_t count, ncclDataType_t type, ncclRedOp_t op,
                               ncclComm_t comm, cudaStream_t stream) {
  size_t bytes = count * bytes_of(type), whole = bytes * static_cast<size_t>(comm->size);
  titan_emulated_nccl_record(comm, "reduce_scatter", stream, whole - bytes,
                             comm->knows(send, whole) && comm->knows(recv, bytes));
  return issue(comm, "reduce_scatter", stream,
               advance([=](exchange &x) { begin_gather(comm, x, send, whole); },
                       [=](exchange &x) {
                         combine_ranks(type, x.received.data() + static_cast<size_t>(comm->rank) * bytes, whole,
                                       comm->size, count, op, recv);
                       }));
}

ncclResult_t ncclAllReduce(const void *send, void *recv, size_t count, ncclDataType_t type, ncclRedOp_t op,
                           ncclComm_t comm, cudaStream_t stream) {
  size_t bytes = count * bytes_of(type);
  titan_emulated_nccl_record(comm, "all_reduce", stream, bytes, comm->knows(send, bytes) && comm->knows(recv, bytes));
  return issue(
      comm, "all_reduce", stream,
      advance([=](exchange &x) { begin_gather(comm, x, send, bytes); },
              [=](exchange &x) { combine_ranks(type, x.received.data(), bytes, comm->size, count, op, recv); }));
}

ncclResult_t ncclBroadcast(const void *send, void *recv, size_t count, ncclDataType_t type, int root, ncclComm_t comm,
                           cudaStream_t stream) {
  size_t bytes = count * bytes_of(type);
  titan_emulated_nccl_record(comm, "broadcast", stream, bytes, comm->knows(recv, bytes));
  return issue(comm, "broadcast", stream,
               advance(
                   [=](exchange &x) {
                     const char *from = static_cast<const char *>(send);
                     x.received.assign(from, from + bytes);
                     x.requests.resize(1);
                     MPI_Ibcast(x.received.data(), static_cast<int>(bytes), MPI_BYTE, root, comm->mpi,
                                x.requests.data());
                   },
                   [=](exchange &x) { std::memcpy(recv, x.received.data(), bytes); }));
}

ncclResult_t ncclSend(const void *send, size_t count, ncclDataType_t type, int peer, ncclComm_t comm,
                      cudaStream_t stream) {
  return add_transfer(comm, stream, {true, const_cast<void *>(send), count * bytes_of(type), peer});
}

ncclResult_t ncclRecv(void *recv, size_t count, ncclDataType_t type, int peer, ncclComm_t comm, cudaStream_t stream) {
  return add_transfer(comm, stream, {false, recv, count * bytes_of(type), peer});
}

ncclResult_t ncclGroupStart() {
  group_depth++;
  return ncclSuccess;
}

ncclResult_t ncclGroupEnd() {
  if (--group_depth > 0 || grouped.empty())
    return ncclSuccess;
  std::vector<transfer> transfers = std::move(grouped);
  grouped.clear();
  return issue_transfers(grouped_comm, grouped_stream, std::move(transfers));
}
}
