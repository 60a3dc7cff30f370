// SPDX-License-Identifier: Apache-2.0
// The stand-in's communicators, their memory, and the record of what goes over them.
#define OMPI_SKIP_MPICXX 1 // the C interface alone
#include "nccl_communicator.h"
#include "runtime_private.h"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <unistd.h>

namespace {

enum { TAG = 20000, TAGS = 10000 };

struct identifier {
  int root, number; // its rank in the world, and how many it made before
};

std::string name_of(const ncclConfig_t *config) {
  return config->commName != nullptr ? config->commName : "-";
}

[[noreturn]] void hang() {
  for (;;)
    sleep(1);
}

int starts; // communicators so far

// The answer of the start of communicator `number`.
ncclResult_t begin_start(ncclComm *comm, int number) {
  ncclResult_t result = titan_emulated_nccl_begin(comm);
  if (titan_emulated_nccl_fault("never", number))
    comm->polls = -1;
  if (titan_emulated_nccl_fault("late", number)) {
    comm->polls = 3;
    comm->found = ncclSystemError;
  }
  return comm->polls != 0 ? ncclInProgress : result;
}

} // namespace

ncclResult_t titan_emulated_nccl_begin(ncclComm *comm) {
  const char *text = std::getenv("TITAN_EMULATED_NCCL_POLLS");
  comm->polls = text != nullptr ? std::atoi(text) : 0;
  return comm->polls != 0 ? ncclInProgress : ncclSuccess;
}

int titan_emulated_world_rank() {
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  return rank;
}

bool titan_emulated_nccl_fault(const char *kind, int number) {
  const char *text = std::getenv("TITAN_EMULATED_NCCL_FAULT");
  char have[32];
  int rank = -1, at = -1;
  if (text == nullptr || std::sscanf(text, "%31[a-z_]:%d:%d", have, &rank, &at) != 3)
    return false;
  return std::strcmp(have, kind) == 0 && rank == titan_emulated_world_rank() && at == number;
}

void titan_emulated_nccl_record(const ncclComm *comm, const char *operation, cudaStream_t stream, size_t payload,
                                bool registered, int peer) {
  static std::vector<cudaStream_t> streams;
  static FILE *file;
  const char *path = std::getenv("TITAN_EMULATED_NCCL_RECORD");
  if (path == nullptr)
    return;
  if (file == nullptr)
    file = std::fopen((std::string(path) + "." + std::to_string(titan_emulated_world_rank())).c_str(), "w");
  auto known = std::find(streams.begin(), streams.end(), stream);
  int number = static_cast<int>(known - streams.begin());
  if (known == streams.end())
    streams.push_back(stream);
  std::fprintf(file, "%s %s %d %d %zu %s %d\n", operation, comm->name.c_str(), comm->number, number, payload,
               registered ? "registered" : "copied", peer);
  std::fflush(file);
}

extern "C" {

ncclResult_t ncclGetUniqueId(ncclUniqueId *id) {
  static int number;
  identifier mine = {titan_emulated_world_rank(), number++};
  if (titan_emulated_nccl_fault("absent", mine.number))
    hang();
  if (titan_emulated_nccl_fault("identifier", mine.number))
    return ncclSystemError;
  std::memset(id, 0, sizeof *id);
  std::memcpy(id, &mine, sizeof mine);
  return ncclSuccess;
}

ncclResult_t ncclCommSplit(ncclComm_t comm, int color, int key, ncclComm_t *made, ncclConfig_t *config) {
  int number = starts++;
  if (titan_emulated_nccl_fault("start", number))
    hang();
  *made = nullptr;
  MPI_Comm mpi;
  MPI_Comm_split(comm->mpi, color == NCCL_SPLIT_NOCOLOR ? MPI_UNDEFINED : color, key, &mpi);
  if (mpi == MPI_COMM_NULL)
    return ncclSuccess;
  ncclComm *child = new ncclComm{mpi, 0, 0, ncclSuccess, name_of(config), number, {}};
  MPI_Comm_rank(mpi, &child->rank);
  MPI_Comm_size(mpi, &child->size);
  begin_start(child, number);
  comm->split = child;
  comm->split_to = made;
  ncclResult_t result = titan_emulated_nccl_begin(comm);
  if (result == ncclSuccess)
    *made = child;
  return result;
}

// The roots of the other identifiers have nothing to do here.
ncclResult_t ncclCommInitRankScalable(ncclComm_t *comm, int ranks, int rank, int count, ncclUniqueId *ids,
                                      ncclConfig_t *config) {
  identifier last;
  std::memcpy(&last, &ids[count - 1], sizeof last);
  if (last.root == 0)
    return ncclInvalidArgument; // expected: of ranks that are spread over the world
  return ncclCommInitRankConfig(comm, ranks, ids[0], rank, config);
}

ncclResult_t ncclMemAlloc(void **memory, size_t bytes) {
  return cudaMalloc(memory, bytes) == cudaSuccess ? ncclSuccess : ncclUnhandledCudaError;
}

ncclResult_t ncclMemFree(void *memory) {
  return cudaFree(memory) == cudaSuccess ? ncclSuccess : ncclUnhandledCudaError;
}

ncclResult_t ncclCommWindowRegister(ncclComm_t comm, void *memory, size_t bytes, ncclWindow_t *window, int flags) {
  static int number;
  int64_t extremes[2] = {static_cast<int64_t>(bytes), -static_cast<int64_t>(bytes)};
  MPI_Allreduce(MPI_IN_PLACE, extremes, 2, MPI_INT64_T, MPI_MAX, comm->mpi);
  if (titan_emulated_nccl_fault("register", number++) || flags != NCCL_WIN_COLL_SYMMETRIC ||
      extremes[0] != -extremes[1])
    return ncclInvalidArgument;
  comm->buffers.push_back({static_cast<char *>(memory), bytes});
  *window = reinterpret_cast<ncclWindow_t>(memory);
  return ncclSuccess;
}

ncclResult_t ncclCommWindowDeregister(ncclComm_t comm, ncclWindow_t window) {
  return comm->forget(window) ? ncclSuccess : ncclInvalidArgument;
}

ncclResult_t ncclCommRegister(ncclComm_t comm, void *memory, size_t bytes, void **handle) {
  comm->buffers.push_back({static_cast<char *>(memory), bytes});
  *handle = memory;
  return ncclSuccess;
}

ncclResult_t ncclCommDeregister(ncclComm_t comm, void *handle) {
  return comm->forget(handle) ? ncclSuccess : ncclInvalidArgument;
}

const char *ncclGetLastError(ncclComm_t) {
  return "";
}

// The root collects who there is, and tells all.
ncclResult_t ncclCommInitRankConfig(ncclComm_t *comm, int ranks, ncclUniqueId id, int rank, ncclConfig_t *config) {
  identifier of;
  std::vector<int> members(static_cast<size_t>(ranks));
  std::memcpy(&of, &id, sizeof of);
  int number = starts++;
  if (titan_emulated_nccl_fault("start", number))
    hang();
  int mine[2] = {rank, titan_emulated_world_rank()}, tag = TAG + of.number % TAGS;
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
  ncclComm *made = new ncclComm{MPI_COMM_NULL, rank, ranks, ncclSuccess, name_of(config), number, {}};
  MPI_Comm_group(MPI_COMM_WORLD, &world);
  MPI_Group_incl(world, ranks, members.data(), &group);
  MPI_Comm_create_group(MPI_COMM_WORLD, group, tag, &made->mpi);
  MPI_Group_free(&group);
  MPI_Group_free(&world);
  *comm = made;
  return begin_start(made, number);
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t *result) {
  if (comm->polls != 0) {
    *result = ncclInProgress;
    if (comm->polls > 0 && --comm->polls == 0 && comm->split_to != nullptr) {
      *comm->split_to = comm->split;
      comm->split_to = nullptr;
    }
    return ncclSuccess;
  }
  *result = comm->found;
  if (comm->stream != nullptr && comm->stream->captured != nullptr)
    return ncclSuccess;
  // A GPU goes on while the host asks for errors: up to the end of the latest operation, if it is asked often.
  if (comm->event == nullptr)
    cudaEventCreateWithFlags(&comm->event, cudaEventDisableTiming);
  if (cudaEventQuery(comm->event) == cudaSuccess && comm->issued) {
    cudaEventRecord(comm->event, comm->stream);
    comm->issued = false;
  }
  return ncclSuccess;
}

ncclResult_t ncclCommFinalize(ncclComm_t comm) {
  return titan_emulated_nccl_begin(comm);
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
}
