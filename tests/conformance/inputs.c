// SPDX-License-Identifier: Apache-2.0
// Inputs of the cases, and how backward operations are tied to their forwards.
#include "base/random.h"
#include "conformance.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const gradient_tie ties[] = {
    {.backward = TITAN_OP_embedding_backward,
     .forward = TITAN_OP_embedding,
     .forward_input = {1},
     .dy = {2},
     .gradient_of = {1}},
    {.backward = TITAN_OP_rms_norm_backward,
     .forward = TITAN_OP_rms_norm,
     .inputs = 4,
     .forward_input = {0, 1, 2, 0},
     .forward_output = {0, 0, 0, 2},
     .dy = {1},
     .gradient_of = {0, 1}},
    // the fifth input is the gradient of the sum, here of x and zeros
    {.backward = TITAN_OP_rms_norm_backward,
     .forward = TITAN_OP_add_rms_norm,
     .inputs = 5,
     .forward_input = {0, 1, 3, 0, 0},
     .forward_output = {0, 0, 0, 2, 0},
     .dy = {1, 0, 5},
     .gradient_of = {0, 2}},
    {.backward = TITAN_OP_layer_norm_backward,
     .forward = TITAN_OP_layer_norm,
     .forward_input = {0, 1, 0, 0, 2},
     .forward_output = {0, 0, 2, 3, 0},
     .dy = {1},
     .gradient_of = {0, 1}},
    {.backward = TITAN_OP_silu_backward,
     .forward = TITAN_OP_silu,
     .forward_input = {0, 1},
     .dy = {1},
     .gradient_of = {0}},
    {.backward = TITAN_OP_swiglu_backward,
     .forward = TITAN_OP_swiglu,
     .forward_input = {0, 1},
     .dy = {1},
     .gradient_of = {0}},
    {.backward = TITAN_OP_join_heads,
     .forward = TITAN_OP_split_heads,
     .forward_input = {0, 0, 0, 2},
     .dy = {1, 2, 3},
     .gradient_of = {0}},
    {.backward = TITAN_OP_cross_entropy_backward,
     .forward = TITAN_OP_cross_entropy,
     .forward_input = {1, 0, 2, 0},
     .forward_output = {0, 2, 0, 0},
     .dy = {4},
     .gradient_of = {0}},
};

const gradient_tie *gradient_tie_of(const titan_op_call *backward) {
  for (size_t i = 0; i < sizeof ties / sizeof *ties; i++)
    if (ties[i].backward == backward->kind && (ties[i].inputs == 0 || ties[i].inputs == backward->input_count))
      return &ties[i];
  return NULL;
}

void forward_call_of(const gradient_tie *tie, const titan_op_call *backward, titan_op_call *forward) {
  *forward = (titan_op_call){.kind = tie->forward, .attributes = backward->attributes};
  for (int i = 0; i < backward->input_count; i++)
    if (tie->forward_input[i] > 0) {
      forward->inputs[tie->forward_input[i] - 1] = backward->inputs[i];
      forward->input_count++;
    }
  if (tie->forward == TITAN_OP_embedding) { // the table's values are no input of its gradient
    forward->inputs[1] = backward->outputs[0];
    forward->input_count = 2;
  }
  if (tie->forward == TITAN_OP_add_rms_norm) {
    forward->inputs[1] = backward->inputs[1];
    forward->input_count = 3;
  }
  if (tie->forward == TITAN_OP_split_heads) { // linear
    forward->inputs[0] = backward->outputs[0];
    forward->input_count = 2;
  }
  if (titan_op_infer(forward) != TITAN_OK)
    abort();
}

static double *doubles(int64_t count) {
  double *values = calloc((size_t)count, sizeof *values);
  if (values == NULL)
    abort();
  return values;
}

void make_outputs(const titan_op_call *call, operand *out) {
  for (int i = 0; i < call->output_count; i++) {
    int64_t count = titan_tensor_elements(&call->outputs[i]);
    out[i] = (operand){doubles(count), doubles(count)};
  }
}

void free_operands(operand *operands, int count) {
  for (int i = 0; i < count; i++) {
    free(operands[i].values);
    free(operands[i].terms);
  }
}

// Integers below this for tokens and labels: of a shard also some on either side of it.
static int64_t integer_limit(const titan_op_call *call) {
  switch (call->kind) {
  case TITAN_OP_embedding:
    return call->attributes.embedding.shard ? call->attributes.embedding.first + call->inputs[1].dims[0] + 3
                                            : call->inputs[1].dims[0];
  case TITAN_OP_embedding_backward:
    return call->attributes.embedding.vocabulary +
           (call->attributes.embedding.shard ? call->attributes.embedding.first + 3 : 0);
  default:
    if (call->attributes.cross_entropy.first > 0)
      return call->attributes.cross_entropy.first + call->inputs[0].dims[1] + 3;
    return call->attributes.cross_entropy.columns > 0 ? call->attributes.cross_entropy.columns
                                                      : call->inputs[0].dims[1];
  }
}

bool reads_logits(titan_op_kind kind) {
  return kind == TITAN_OP_cross_entropy || kind == TITAN_OP_cross_entropy_backward || kind == TITAN_OP_vocabulary_max ||
         kind == TITAN_OP_vocabulary_sums;
}

// Rows whose labels do not count: every fifth where there are more than three.
static bool is_ignored(titan_op_kind kind, int64_t row) {
  return (reads_logits(kind) || kind == TITAN_OP_vocabulary_loss) && row % 5 == 3;
}

double logits_shift(uint64_t seed) {
  return (double)(seed % LOGITS_SHIFTS) * 100 - 100;
}

static void fill(const titan_op_call *call, int input, uint64_t seed, double *values) {
  int64_t count = titan_tensor_elements(&call->inputs[input]);
  titan_dtype dtype = call->inputs[input].dtype;
  titan_random_stream stream = titan_random_stream_create(seed + (uint64_t)input, titan_op_name(call->kind));
  titan_random_uniform(stream, 0, (uint64_t)count, values);
  bool logits = input == 0 && reads_logits(call->kind);
  // logits spread over 60 with a shift per seed, so that exp() without its maximum taken off would overflow
  double width = logits ? 60 : 6, shift = logits ? logits_shift(seed) : 0;
  for (int64_t i = 0; i < count; i++)
    values[i] = dtype == TITAN_INT32 ? floor(values[i] * (double)integer_limit(call))
                                     : round_to(dtype, (values[i] - 0.5) * width + shift);
  for (int64_t i = 0; dtype == TITAN_INT32 && i < count; i++)
    values[i] = is_ignored(call->kind, i) ? TITAN_LABEL_IGNORED - (double)(i % 2) : values[i];
}

// What the other ranks add: maxima at least as large as the logits here, sums of exponentials of 1 and more.
static void reduce_over_ranks(const titan_op_call *call, operand *in) {
  int64_t rows = call->inputs[0].dims[0], width = titan_tensor_columns(&call->inputs[0]);
  for (int64_t r = 0; r < rows && call->kind == TITAN_OP_vocabulary_sums; r++) {
    double *largest = &in[2].values[r];
    *largest = in[0].values[r * width] + fabs(*largest);
    for (int64_t i = 0; i < width; i++)
      *largest = fmax(*largest, in[0].values[r * width + i]);
    *largest = round_to(TITAN_FLOAT32, *largest);
  }
  for (int64_t r = 0; r < rows && call->kind == TITAN_OP_vocabulary_loss; r++)
    in[3].values[r] = round_to(TITAN_FLOAT32, 1 + 100 * fabs(in[3].values[r]));
}

void forward_inputs_of(const gradient_tie *tie, const titan_op_call *forward, const operand *backward_in,
                       operand *forward_in, operand *zeros) {
  int64_t largest = 0;
  for (int i = 0; i < forward->input_count; i++)
    largest =
        titan_tensor_elements(&forward->inputs[i]) > largest ? titan_tensor_elements(&forward->inputs[i]) : largest;
  *zeros = (operand){doubles(largest), NULL};
  for (int i = 0; i < forward->input_count; i++) {
    forward_in[i] = *zeros;
    for (size_t k = 0; k < sizeof tie->forward_input / sizeof *tie->forward_input; k++)
      if (tie->forward_input[k] == i + 1)
        forward_in[i] = backward_in[k];
  }
}

static bool reads_forward_outputs(const gradient_tie *tie) {
  bool any = false;
  for (size_t i = 0; i < sizeof tie->forward_output / sizeof *tie->forward_output; i++)
    any |= tie->forward_output[i] > 0;
  return any;
}

void make_inputs(const titan_op_call *call, uint64_t seed, operand *in) {
  for (int i = 0; i < call->input_count; i++) {
    in[i] = (operand){doubles(titan_tensor_elements(&call->inputs[i])), NULL};
    fill(call, i, seed, in[i].values);
  }
  reduce_over_ranks(call, in);
  const gradient_tie *tie = gradient_tie_of(call);
  if (tie == NULL || !reads_forward_outputs(tie))
    return;
  titan_op_call forward;
  forward_call_of(tie, call, &forward);
  operand forward_in[5], zeros, out[TITAN_MAX_OUTPUTS];
  forward_inputs_of(tie, &forward, in, forward_in, &zeros);
  make_outputs(&forward, out);
  reference_of(forward.kind)(&forward, forward_in, out);
  for (int i = 0; i < call->input_count; i++)
    if (tie->forward_output[i] > 0) {
      int64_t count = titan_tensor_elements(&call->inputs[i]);
      for (int64_t k = 0; k < count; k++)
        in[i].values[k] = round_to(call->inputs[i].dtype, out[tie->forward_output[i] - 1].values[k]);
    }
  free_operands(out, forward.output_count);
  free_operands(&zeros, 1);
}
