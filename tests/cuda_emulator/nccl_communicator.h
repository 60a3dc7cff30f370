// SPDX-License-Identifier: Apache-2.0
// What the files of the stand-in for NCCL share.
#ifndef TITAN_TESTS_CUDA_EMULATOR_NCCL_COMMUNICATOR_H
#define TITAN_TESTS_CUDA_EMULATOR_NCCL_COMMUNICATOR_H

#include <algorithm>
#include <mpi.h>
#include <nccl.h>
#include <string>
#include <utility>
#include <vector>

struct ncclComm {
  MPI_Comm mpi;
  int rank, size;
  ncclResult_t found; // asynchronously
  std::string name;
  int number;                                     // of the communicators of this process
  std::vector<std::pair<char *, size_t>> buffers; // that are registered
  cudaStream_t stream = nullptr;                  // of the latest operation
  bool issued = false;                            // since errors were asked for
  cudaEvent_t event = nullptr;
  int polls = 0;             // answers that a call is in progress, to come; below 0: for ever
  ncclComm *split = nullptr; // made of this one, and where it is to be put when the call is no longer in progress
  ncclComm **split_to = nullptr;

  bool forget(const void *memory) {
    auto known = std::find_if(buffers.begin(), buffers.end(), [=](const auto &b) { return b.first == memory; });
    if (known == buffers.end())
      return false;
    buffers.erase(known);
    return true;
  }
  bool knows(const void *memory, size_t bytes) const {
    const char *first = static_cast<const char *>(memory);
    return std::any_of(buffers.begin(), buffers.end(),
                       [=](const auto &b) { return first >= b.first && first + bytes <= b.first + b.second; });
  }
};

int titan_emulated_world_rank();
// Whether TITAN_EMULATED_NCCL_FAULT asks for this (nccl.cpp).
bool titan_emulated_nccl_fault(const char *kind, int number);
// TITAN_EMULATED_NCCL_POLLS=N: calls on a communicator are in progress until it has been asked N times. The answer of
// one.
ncclResult_t titan_emulated_nccl_begin(ncclComm *comm);
// TITAN_EMULATED_NCCL_RECORD=FILE: FILE.RANK gets a line for each operation of this rank of the world as it is issued:
// operation, group, number of the communicator and of the stream, payload bytes as titan_comm_traffic counts them,
// whether the buffers are registered, the other rank of a message (-1: of none).
void titan_emulated_nccl_record(const ncclComm *comm, const char *operation, cudaStream_t stream, size_t payload,
                                bool registered, int peer = -1);

#endif
