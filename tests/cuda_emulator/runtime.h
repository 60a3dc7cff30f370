// SPDX-License-Identifier: Apache-2.0
// The emulated CUDA runtime: streams and events, memory apart from the host's, and the functions of cudart that the
// device uses, under their own names.
//
// Device memory has no access rights while host code runs, so that a touch is SIGSEGV with a message. New memory, also
// pinned memory, is full of NaN. Work is done when the host waits, in a random order that streams and events allow, and
// no further than the wait asks for, at least.
#ifndef TITAN_TESTS_CUDA_EMULATOR_RUNTIME_H
#define TITAN_TESTS_CUDA_EMULATOR_RUNTIME_H

#include <cuda_runtime_api.h>
#include <functional>

// Puts `work` into the stream. It is done when the host waits, in a random order that streams and events allow, with
// device memory open.
void titan_emulated_enqueue(cudaStream_t stream, std::function<void()> work);
// The same for work in which ranks meet: all of it, of any stream, begins in the order in which it was put in, and goes
// on beside the others. `advance` is called until it says that it is done; it does not wait for other ranks.
void titan_emulated_enqueue_in_order(cudaStream_t stream, std::function<bool()> advance);
// From work: it has failed on the GPU, as an address that is none's does. The first error of all counts.
void titan_emulated_error(cudaError_t error);

// --- between the files of the runtime ---

// Lets host code at device memory, or keeps it out.
void titan_emulated_memory_open(bool open);
// Whether bytes [pointer, pointer + bytes) lie in one block, or are no device memory at all.
bool titan_emulated_memory_valid(const void *pointer, size_t bytes);
// Does all work of all streams; the error of the GPU.
cudaError_t titan_emulated_finish(void);
// Keeps an error for cudaGetLastError, and returns it.
cudaError_t titan_emulated_return(cudaError_t error);

#endif
