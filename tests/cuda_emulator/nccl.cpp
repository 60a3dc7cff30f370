// SPDX-License-Identifier: Apache-2.0
// A stand-in for NCCL over MPI: the functions that groups use (device/cuda/nccl_functions.def), under their own names.
// Operations are put into the emulated stream and are done in the order in which they were issued.
//
// TITAN_EMULATED_NCCL_VERSION: the version that it tells, as 22809. TITAN_EMULATED_NCCL_FAULT=KIND:RANK:NUMBER: of rank
// RANK of the world, operation NUMBER (counted from 0 over all groups of the process) goes wrong. KIND: `call` its call
// fails; `asynchronous` an error is found later; `hang` it is never done; `identifier` there is no identifier (NUMBER
// counts identifiers); `start` the rank never comes to its group NUMBER.
#define OMPI_SKIP_MPICXX 1 // the C interface alone
#include "runtime.h"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <mpi.h>
#include <nccl.h>
#include <unistd.h>
#include <vector>

struct ncclComm {
  MPI_Comm mpi;
  int rank, size;
  ncclResult_t found; // asynchronously
};

namespace {

enum { TAG = 20000, TAGS = 10000 };

struct identifier {
  int root, number; // its rank in the world, and how many it made before
};

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

int world_rank() {
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  return rank;
}

bool fault(const char *kind, int number) {
  const char *text = std::getenv("TITAN_EMULATED_NCCL_FAULT");
  char have[32];
  int rank = -1, at = -1;
  if (text == nullptr || std::sscanf(text, "%31[a-z]:%d:%d", have, &rank, &at) != 3)
    return false;
  return std::strcmp(have, kind) == 0 && rank == world_rank() && at == number;
}

[[noreturn]] void hang() {
  for (;;)
    sleep(1);
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

// to[count] = from[0][count], from[1][count], ..., combined in the order of the ranks.
template <typename T>
void combine_all(const char *from, size_t stride, int ranks, size_t count, ncclRedOp_t op, void *to) {
  for (size_t i = 0; i < count; i++) {
    T sum, next;
    std::memcpy(&sum, from + i * sizeof(T), sizeof(T));
    for (int r = 1; r < ranks; r++) {
      std::memcpy(&next, from + static_cast<size_t>(r) * stride + i * sizeof(T), sizeof(T));
      sum = combine(sum, next, op);
    }
    std::memcpy(static_cast<char *>(to) + i * sizeof(T), &sum, sizeof(T));
  }
}

void combine_bfloat16(const char *from, size_t stride, int ranks, size_t count, ncclRedOp_t op, void *to) {
  for (size_t i = 0; i < count; i++) {
    uint16_t bits;
    float sum = 0;
    for (int r = 0; r < ranks; r++) {
      std::memcpy(&bits, from + static_cast<size_t>(r) * stride + i * 2, 2);
      sum = r == 0 ? to_float(bits) : combine(sum, to_float(bits), op);
    }
    bits = to_bfloat16(sum);
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
ncclResult_t issue(ncclComm *comm, cudaStream_t stream, std::function<void()> work) {
  static int number;
  int mine = number++;
  if (fault("call", mine))
    return ncclSystemError;
  if (fault("asynchronous", mine)) {
    titan_emulated_enqueue_in_order(stream, [comm] { comm->found = ncclRemoteError; });
    return ncclSuccess;
  }
  if (fault("hang", mine)) {
    titan_emulated_enqueue_in_order(stream, [] { hang(); });
    return ncclSuccess;
  }
  titan_emulated_enqueue_in_order(stream, work);
  return ncclSuccess;
}

void gather_from_all(const ncclComm *comm, const void *send, void *recv, size_t bytes) {
  std::vector<char> mine(static_cast<const char *>(send), static_cast<const char *>(send) + bytes); // may lie in recv
  MPI_Allgather(mine.data(), static_cast<int>(bytes), MPI_BYTE, recv, static_cast<int>(bytes), MPI_BYTE, comm->mpi);
}

void do_transfers(const ncclComm *comm, const std::vector<transfer> &transfers) {
  std::vector<MPI_Request> requests(transfers.size());
  for (size_t i = 0; i < transfers.size(); i++) {
    const transfer &t = transfers[i];
    if (t.sends)
      MPI_Isend(t.memory, static_cast<int>(t.bytes), MPI_BYTE, t.peer, 0, comm->mpi, &requests[i]);
    else
      MPI_Irecv(t.memory, static_cast<int>(t.bytes), MPI_BYTE, t.peer, 0, comm->mpi, &requests[i]);
  }
  MPI_Waitall(static_cast<int>(requests.size()), requests.data(), MPI_STATUSES_IGNORE);
}

ncclResult_t add_transfer(ncclComm *comm, cudaStream_t stream, transfer t) {
  if (group_depth == 0) {
    std::vector<transfer> one{t};
    return issue(comm, stream, [comm, one] { do_transfers(comm, one); });
  }
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

ncclResult_t ncclGetUniqueId(ncclUniqueId *id) {
  static int number;
  identifier mine = {world_rank(), number++};
  if (fault("identifier", mine.number))
    return ncclSystemError;
  std::memset(id, 0, sizeof *id);
  std::memcpy(id, &mine, sizeof mine);
  return ncclSuccess;
}

// The root collects who there is, and tells all.
ncclResult_t ncclCommInitRankConfig(ncclComm_t *comm, int ranks, ncclUniqueId id, int rank, ncclConfig_t *) {
  static int number;
  identifier of;
  std::vector<int> members(static_cast<size_t>(ranks));
  std::memcpy(&of, &id, sizeof of);
  if (fault("start", number++))
    hang();
  int mine[2] = {rank, world_rank()}, tag = TAG + of.number % TAGS;
  if (mine[1] != of.root) {
    MPI_Send(mine, 2, MPI_INT, of.root, tag, MPI_COMM_WORLD);
    MPI_Recv(members.data(), ranks, MPI_INT, of.root, tag, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  } else {
    members[static_cast<size_t>(rank)] = mine[1];
    for (int i = 1; i < ranks; i++) {
      int other[2];
      MPI_Recv(other, 2, MPI_INT, MPI_ANY_SOURCE, tag, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
      members[static_cast<size_t>(other[0])] = other[1];
    }
    for (int member : members)
      if (member != of.root)
        MPI_Send(members.data(), ranks, MPI_INT, member, tag, MPI_COMM_WORLD);
  }
  MPI_Group world, group;
  ncclComm *made = new ncclComm{MPI_COMM_NULL, rank, ranks, ncclSuccess};
  MPI_Comm_group(MPI_COMM_WORLD, &world);
  MPI_Group_incl(world, ranks, members.data(), &group);
  MPI_Comm_create_group(MPI_COMM_WORLD, group, tag, &made->mpi);
  MPI_Group_free(&group);
  MPI_Group_free(&world);
  *comm = made;
  return ncclSuccess;
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t *result) {
  *result = comm->found;
  return ncclSuccess;
}

ncclResult_t ncclCommFinalize(ncclComm_t) {
  return ncclSuccess;
}

ncclResult_t ncclCommDestroy(ncclComm_t comm) {
  MPI_Comm_free(&comm->mpi);
  delete comm;
  return ncclSuccess;
}

// The others may never come: nothing is freed together.
ncclResult_t ncclCommAbort(ncclComm_t comm) {
  delete comm;
  return ncclSuccess;
}

ncclResult_t ncclAllGather(const void *send, void *recv, size_t count, ncclDataType_t type, ncclComm_t comm,
                           cudaStream_t stream) {
  return issue(comm, stream, [=] { gather_from_all(comm, send, recv, count * bytes_of(type)); });
}

ncclResult_t ncclReduceScatter(const void *send, void *recv, size_t count, ncclDataType_t type, ncclRedOp_t op,
                               ncclComm_t comm, cudaStream_t stream) {
  return issue(comm, stream, [=] {
    size_t bytes = count * bytes_of(type), whole = bytes * static_cast<size_t>(comm->size);
    std::vector<char> all(whole * static_cast<size_t>(comm->size));
    gather_from_all(comm, send, all.data(), whole);
    combine_ranks(type, all.data() + static_cast<size_t>(comm->rank) * bytes, whole, comm->size, count, op, recv);
  });
}

ncclResult_t ncclAllReduce(const void *send, void *recv, size_t count, ncclDataType_t type, ncclRedOp_t op,
                           ncclComm_t comm, cudaStream_t stream) {
  return issue(comm, stream, [=] {
    size_t bytes = count * bytes_of(type);
    std::vector<char> all(bytes * static_cast<size_t>(comm->size));
    gather_from_all(comm, send, all.data(), bytes);
    combine_ranks(type, all.data(), bytes, comm->size, count, op, recv);
  });
}

ncclResult_t ncclBroadcast(const void *send, void *recv, size_t count, ncclDataType_t type, int root, ncclComm_t comm,
                           cudaStream_t stream) {
  return issue(comm, stream, [=] {
    size_t bytes = count * bytes_of(type);
    if (comm->rank == root && send != recv)
      std::memcpy(recv, send, bytes);
    MPI_Bcast(recv, static_cast<int>(bytes), MPI_BYTE, root, comm->mpi);
  });
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
  ncclComm *comm = grouped_comm;
  std::vector<transfer> transfers = std::move(grouped);
  grouped.clear();
  return issue(comm, grouped_stream, [comm, transfers] { do_transfers(comm, transfers); });
}
}
