// SPDX-License-Identifier: Apache-2.0
#ifndef TITAN_CUDA_KERNELS_PROBE_H
#define TITAN_CUDA_KERNELS_PROBE_H

#ifdef __cplusplus
extern "C" {
#endif

// cudaError_t: whether the present GPU can run what this library was compiled for.
int titan_cuda_probe(void);

#ifdef __cplusplus
}
#endif

#endif
