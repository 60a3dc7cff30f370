// SPDX-License-Identifier: Apache-2.0
// A step's numbers: loss, gradient norm, and the flags that its ranks raise. They are made, summed over ranks and
// judged on the device, in stages with a sum over one group of ranks between each two, so that the updates need not
// wait for the host. Device authors call titan_step_numbers_apply where their memory is.
#ifndef TITAN_DEVICE_NUMBERS_H
#define TITAN_DEVICE_NUMBERS_H

#include "device/device.h"

#include <math.h>

#ifdef __CUDACC__ // the functions are GPU code too
#define TITAN_NUMBERS_INLINE static inline __host__ __device__
#else
#define TITAN_NUMBERS_INLINE static inline
#endif

// What the ranks add up. Flags are 1 on the ranks that raise them.
enum {
  TITAN_NUMBER_LOSS,
  TITAN_NUMBER_SQUARES, // of the gradients
  TITAN_NUMBER_STOP,
  TITAN_NUMBER_DUE,
  TITAN_NUMBER_ENDED,
  TITAN_NUMBER_TOKENS, // a hash of the rank's batch, a whole number below 2^TITAN_NUMBERS_HASH_BITS
  TITAN_NUMBER_TOKENS_SQUARED,
  TITAN_NUMBERS,
  TITAN_NUMBERS_HASH_BITS = 21, // sums over a million ranks are exact
};

struct titan_step_numbers {
  double sums[TITAN_NUMBERS];
  double own_loss;    // this rank's part of the mean loss
  double loss;        // the mean over all tokens; NaN where it is not finite on some rank
  double norm;        // global L2 norm of the gradients
  double same_tokens; // 1 or 0: whether the ranks that work on the same sequences had the same tokens
};

// Each stage follows the sum that it is named after.
typedef enum titan_numbers_stage {
  TITAN_NUMBERS_OWN,           // this rank's numbers
  TITAN_NUMBERS_OVER_DATA,     // over the ranks with other samples
  TITAN_NUMBERS_OVER_PIPELINE, // of which the last stage has the loss
  TITAN_NUMBERS_OVER_TENSOR,   // the result, and what it means for the updates
} titan_numbers_stage;

struct titan_numbers_request {
  titan_numbers_stage stage;
  // OWN, in DEVICE space: losses [loss_count] of microbatches, sums of token losses; squares [square_count], added in
  // order.
  const float *losses;
  const double *squares;
  int loss_count, square_count;
  double divisor; // of the losses: counted tokens of the whole step
  // OWN, in DEVICE space [TITAN_NUMBERS]: those of STOP to TOKENS; that of LOSS is 1 where the loss is to be NaN
  // whatever was computed (debug.inject_nan_step).
  const double *flags;
  double replicas; // OVER_TENSOR: ranks that have each counted the whole gradient
  double max_norm; // OVER_TENSOR: of clipping; INFINITY: none
  int token_ranks; // OVER_TENSOR: ranks of a pipeline and a tp group together, at most 1024
};

// A sum of hashes as a hash.
TITAN_NUMBERS_INLINE double titan_numbers_fold(double sum) {
  return (double)((uint64_t)sum & ((1u << TITAN_NUMBERS_HASH_BITS) - 1));
}

// Whether `ranks` (1024 at most) folded hashes with this sum and this sum of squares are all the same: equal by Cauchy
// and Schwarz if and only if all terms are. Both sides are below 2^62.
TITAN_NUMBERS_INLINE bool titan_numbers_agree(double sum, double sum_of_squares, int ranks) {
  return (uint64_t)sum * (uint64_t)sum == (uint64_t)sum_of_squares * (uint64_t)ranks;
}

// What a factor of titan_vector_functions.scaled_add is multiplied by.
TITAN_NUMBERS_INLINE float titan_state_factor_of(const titan_step_state *state, titan_state_factor factor) {
  if (factor == TITAN_FACTOR_GRADIENT_SCALE)
    return state->gradient_scale;
  return factor == TITAN_FACTOR_LEARNING_RATE ? state->constants.learning_rate : 1.0f;
}

TITAN_NUMBERS_INLINE void titan_numbers_own(const titan_numbers_request *r, titan_step_numbers *n) {
  double loss = 0, squares = 0;
  for (int i = 0; i < r->loss_count; i++)
    loss += (double)r->losses[i];
  for (int i = 0; i < r->square_count; i++)
    squares += r->squares[i];
  for (int i = 0; i < TITAN_NUMBERS; i++)
    n->sums[i] = r->flags[i];
  n->own_loss = r->flags[TITAN_NUMBER_LOSS] != 0 ? (double)NAN : loss / r->divisor;
  n->sums[TITAN_NUMBER_LOSS] = n->own_loss;
  n->sums[TITAN_NUMBER_SQUARES] = squares;
}

// What clipping multiplies the gradients by: min(1, max_norm / (norm + 1e-6)).
TITAN_NUMBERS_INLINE float titan_numbers_scale(double max_norm, double norm) {
  double scale = max_norm / (norm + 1e-6);
  return (float)(scale < 1 ? scale : 1);
}

TITAN_NUMBERS_INLINE void titan_numbers_judge(const titan_numbers_request *r, titan_step_numbers *n,
                                              titan_step_state *state) {
  n->loss = n->sums[TITAN_NUMBER_LOSS] > 0 ? (double)NAN : n->loss;
  n->norm = sqrt(n->sums[TITAN_NUMBER_SQUARES] / r->replicas);
  n->same_tokens =
      titan_numbers_agree(n->sums[TITAN_NUMBER_TOKENS], n->sums[TITAN_NUMBER_TOKENS_SQUARED], r->token_ranks);
  state->gradient_scale = titan_numbers_scale(r->max_norm, n->norm);
  state->bad |= !(isfinite(n->loss) && isfinite(n->norm) && n->same_tokens > 0);
}

TITAN_NUMBERS_INLINE void titan_step_numbers_apply(const titan_numbers_request *r, titan_step_numbers *n,
                                                   titan_step_state *state) {
  switch (r->stage) {
  case TITAN_NUMBERS_OWN:
    titan_numbers_own(r, n);
    break;
  case TITAN_NUMBERS_OVER_DATA:
    n->sums[TITAN_NUMBER_TOKENS] = titan_numbers_fold(n->sums[TITAN_NUMBER_TOKENS]);
    n->sums[TITAN_NUMBER_TOKENS_SQUARED] = n->sums[TITAN_NUMBER_TOKENS] * n->sums[TITAN_NUMBER_TOKENS];
    break;
  case TITAN_NUMBERS_OVER_PIPELINE: // alike on all ranks of a tp group, unless it is finite on some only
    n->loss = n->sums[TITAN_NUMBER_LOSS];
    n->sums[TITAN_NUMBER_LOSS] = isfinite(n->loss) ? 0 : 1;
    break;
  case TITAN_NUMBERS_OVER_TENSOR:
    titan_numbers_judge(r, n, state);
    break;
  }
}

#endif
