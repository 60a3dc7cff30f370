// SPDX-License-Identifier: Apache-2.0
// The emulated CUDA runtime: streams and events, memory apart from the host's, and the functions of cudart that the
// device uses, under their own names.
#ifndef TITAN_TESTS_CUDA_EMULATOR_RUNTIME_H
#define TITAN_TESTS_CUDA_EMULATOR_RUNTIME_H

#include <cuda_runtime_api.h>
#include <functional>

// Puts `work` into the stream. It is done when the host waits, in a random order that streams and events allow.
void titan_emulated_enqueue(cudaStream_t stream, std::function<void()> work);
// The same for work in which ranks meet: all of it, of any stream, is done in the order in which it was put in.
void titan_emulated_enqueue_in_order(cudaStream_t stream, std::function<void()> work);

#endif
