// SPDX-License-Identifier: Apache-2.0
// Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
// A stream is keyed by a seed and a name; element i of a stream depends on nothing but the key and i, so a tensor's
// values do not depend on how it is cut over ranks.
#ifndef TITAN_BASE_RANDOM_H
#define TITAN_BASE_RANDOM_H

#include <stdint.h>

typedef struct titan_random_stream {
  uint32_t key[2];
} titan_random_stream;

titan_random_stream titan_random_stream_create(uint64_t seed, const char *name);

// One Philox4x32-10 block.
void titan_philox4x32(const uint32_t key[2], const uint32_t counter[4], uint32_t out[4]);

// out[i] = uniform double in (0, 1) for the stream's elements first .. first+count-1.
void titan_random_uniform(titan_random_stream stream, uint64_t first, uint64_t count, double *out);

// out[i] = mean + std * z, z standard normal cut to [low, high] standard deviations (use -INFINITY, INFINITY for a
// plain normal), by the inverse distribution function, for the stream's elements first .. first+count-1.
void titan_random_normal(titan_random_stream stream, uint64_t first, uint64_t count, double mean, double std,
                         double low, double high, float *out);

// Inverse of the standard normal distribution function, 0 < p < 1. Relative error about 1e-16.
// Wichura, "Algorithm AS 241: The percentage points of the normal distribution", Applied Statistics 37 (1988).
double titan_normal_quantile(double p);

#endif
