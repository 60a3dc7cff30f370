// SPDX-License-Identifier: Apache-2.0
// Cases for kernels of GPUs beside those of the conformance tests: rows around what a block keeps in registers, more
// rows than a grid's second dimension has, vectors of several blocks.
#ifndef TITAN_TESTS_CUDA_KERNELS_WIDE_CASES_H
#define TITAN_TESTS_CUDA_KERNELS_WIDE_CASES_H

#include "conformance.h"

int for_each_wide_case(case_visitor visit, void *context);

#endif
