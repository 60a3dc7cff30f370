// SPDX-License-Identifier: Apache-2.0
// The references: each operation as the table in graph/op.h states it, in float64, one element at a time.
#include "conformance.h"

#include <math.h>

static int64_t rows_of(const titan_tensor_type *type) {
  return titan_tensor_rows(type);
}

static void put(operand *out, int64_t i, double value, double terms) {
  out->values[i] = value;
  out->terms[i] = terms;
}

// Tokens outside of a shard's table name no row.
static void embedding(const titan_op_call *call, const operand *in, operand *out) {
  int64_t width = call->inputs[1].dims[1], rows = call->inputs[1].dims[0];
  for (int64_t i = 0; i < titan_tensor_elements(&call->outputs[0]); i++) {
    int64_t row = (int64_t)in[0].values[i / width] - call->attributes.embedding.first;
    put(&out[0], i, row >= 0 && row < rows ? in[1].values[row * width + i % width] : 0, 0);
  }
}

static void embedding_backward(const titan_op_call *call, const operand *in, operand *out) {
  int64_t width = call->inputs[1].dims[2], rows = call->attributes.embedding.vocabulary;
  for (int64_t i = 0; i < titan_tensor_elements(&call->inputs[1]); i++) {
    int64_t row = (int64_t)in[0].values[i / width] - call->attributes.embedding.first, to = row * width + i % width;
    if (row < 0 || row >= rows)
      continue;
    out[0].values[to] += in[1].values[i];
    out[0].terms[to] += fabs(in[1].values[i]);
  }
}

static void matmul(const titan_op_call *call, const operand *in, operand *out) {
  const titan_tensor_type *a = &call->inputs[0], *b = &call->inputs[1];
  bool ta = call->attributes.matmul.transpose_a, tb = call->attributes.matmul.transpose_b;
  int64_t lda = titan_tensor_columns(a), ldb = titan_tensor_columns(b);
  int64_t m = ta ? lda : rows_of(a), k = ta ? rows_of(a) : lda, n = tb ? rows_of(b) : ldb;
  for (int64_t i = 0; i < m; i++)
    for (int64_t j = 0; j < n; j++) {
      double sum = call->input_count == 3 ? in[2].values[i * n + j] : 0, terms = fabs(sum);
      for (int64_t l = 0; l < k; l++) {
        double product = in[0].values[ta ? l * lda + i : i * lda + l] * in[1].values[tb ? j * ldb + l : l * ldb + j];
        sum += product;
        terms += fabs(product);
      }
      put(&out[0], i * n + j, sum, terms);
    }
}

static void rms_norm(const titan_op_call *call, const operand *in, operand *out) {
  const titan_tensor_type *type = &call->inputs[0];
  int64_t width = titan_tensor_columns(type);
  bool round_twice = !call->attributes.norm.fused;
  for (int64_t r = 0; r < rows_of(type); r++) {
    const double *x = in[0].values + r * width;
    double square = 0;
    for (int64_t i = 0; i < width; i++)
      square += x[i] * x[i];
    double rstd = 1 / sqrt(square / (double)width + (double)call->attributes.norm.epsilon);
    put(&out[1], r, rstd, rstd);
    for (int64_t i = 0; i < width; i++) {
      double n = x[i] * rstd;
      double y = (round_twice ? round_to(type->dtype, n) : n) * in[1].values[i];
      put(&out[0], r * width + i, y, fabs(y));
    }
  }
}

// float32's rounding of the sum is left to the tolerance, so that finite differences can be taken.
static void add_rms_norm(const titan_op_call *call, const operand *in, operand *out) {
  bool rounds = call->inputs[0].dtype == TITAN_BFLOAT16;
  for (int64_t i = 0; i < titan_tensor_elements(&call->inputs[0]); i++) {
    double sum = in[0].values[i] + in[1].values[i];
    put(&out[2], i, rounds ? round_to(TITAN_BFLOAT16, sum) : sum, fabs(in[0].values[i]) + fabs(in[1].values[i]));
  }
  rms_norm(call, (const operand[]){{out[2].values, NULL}, in[2]}, out);
  for (int64_t i = 0; i < titan_tensor_elements(&call->inputs[0]) && !rounds; i++) { // terms that may cancel
    int64_t width = titan_tensor_columns(&call->inputs[0]);
    out[0].terms[i] += out[2].terms[i] * out[1].values[i / width] * fabs(in[2].values[i % width]);
  }
}

static void rms_norm_backward(const titan_op_call *call, const operand *in, operand *out) {
  const titan_tensor_type *type = &call->inputs[1];
  int64_t width = titan_tensor_columns(type);
  bool round_twice = !call->attributes.norm.fused;
  for (int64_t r = 0; r < rows_of(type); r++) {
    double rstd = in[3].values[r], mean = 0, mean_terms = 0;
    for (int64_t i = 0; i < width; i++) {
      double term = in[0].values[r * width + i] * in[2].values[i] * in[1].values[r * width + i] * rstd;
      mean += term / (double)width;
      mean_terms += fabs(term) / (double)width;
    }
    for (int64_t i = 0; i < width; i++) {
      double dy = in[0].values[r * width + i], n = in[1].values[r * width + i] * rstd, g = dy * in[2].values[i];
      double c = call->input_count == 5 ? in[4].values[r * width + i] : 0;
      put(&out[0], r * width + i, c + rstd * (g - n * mean), fabs(c) + rstd * (fabs(g) + fabs(n) * mean_terms));
      double dw = dy * (round_twice ? round_to(type->dtype, n) : n);
      out[1].values[i] += dw;
      out[1].terms[i] += fabs(dw);
    }
  }
}

static void layer_norm(const titan_op_call *call, const operand *in, operand *out) {
  const titan_tensor_type *type = &call->inputs[0];
  int64_t width = titan_tensor_columns(type);
  for (int64_t r = 0; r < rows_of(type); r++) {
    const double *x = in[0].values + r * width;
    double mean = 0, size = 0, variance = 0;
    for (int64_t i = 0; i < width; i++) {
      mean += x[i] / (double)width;
      size += fabs(x[i]) / (double)width;
    }
    for (int64_t i = 0; i < width; i++)
      variance += (x[i] - mean) * (x[i] - mean) / (double)width;
    double rstd = 1 / sqrt(variance + (double)call->attributes.norm.epsilon);
    put(&out[1], r, mean, size);
    put(&out[2], r, rstd, rstd);
    for (int64_t i = 0; i < width; i++) {
      double w = call->input_count == 2 ? in[1].values[i] : 1;
      put(&out[0], r * width + i, (x[i] - mean) * rstd * w, (fabs(x[i]) + size) * rstd * fabs(w));
    }
  }
}

static void layer_norm_backward(const titan_op_call *call, const operand *in, operand *out) {
  const titan_tensor_type *type = &call->inputs[1];
  int64_t width = titan_tensor_columns(type);
  bool weighted = call->input_count == 5;
  for (int64_t r = 0; r < rows_of(type); r++) {
    const double *dy = in[0].values + r * width, *x = in[1].values + r * width;
    double mean = in[2].values[r], rstd = in[3].values[r], g_mean = 0, gn_mean = 0, g_terms = 0, gn_terms = 0;
    for (int64_t i = 0; i < width; i++) {
      double g = dy[i] * (weighted ? in[4].values[i] : 1), n = (x[i] - mean) * rstd;
      g_mean += g / (double)width;
      gn_mean += g * n / (double)width;
      g_terms += fabs(g) / (double)width;
      gn_terms += fabs(g) * (fabs(x[i]) + fabs(mean)) * rstd / (double)width;
    }
    for (int64_t i = 0; i < width; i++) {
      double g = dy[i] * (weighted ? in[4].values[i] : 1), n = (x[i] - mean) * rstd;
      double n_terms = (fabs(x[i]) + fabs(mean)) * rstd;
      put(&out[0], r * width + i, rstd * (g - g_mean - n * gn_mean), rstd * (fabs(g) + g_terms + n_terms * gn_terms));
      if (weighted) {
        out[1].values[i] += dy[i] * n;
        out[1].terms[i] += fabs(dy[i]) * n_terms;
      }
    }
  }
}

// By wavelengths, as transformers has it (_compute_llama3_parameters).
static double scaled_frequency(double frequency, const titan_rope_scaling *scaling) {
  double wavelength = 2 * acos(-1) / frequency, length = (double)scaling->original_length;
  if (scaling->factor == 0 || wavelength < length / scaling->high)
    return frequency;
  if (wavelength > length / scaling->low)
    return frequency / scaling->factor;
  double smooth = (length / wavelength - scaling->low) / (scaling->high - scaling->low);
  return (1 - smooth) * (frequency / scaling->factor) + smooth * frequency;
}

static void rope_table(const titan_op_call *call, const operand *in, operand *out) {
  (void)in;
  int64_t half = call->attributes.rope.head_size / 2;
  for (int64_t l = 0; l < call->attributes.rope.length; l++)
    for (int64_t i = 0; i < half; i++) {
      double frequency = exp(-2.0 * (double)i / (2.0 * (double)half) * log(call->attributes.rope.theta));
      frequency = scaled_frequency(frequency, &call->attributes.rope.scaling);
      double angle = (double)(call->attributes.rope.first_position + l) * frequency;
      put(&out[0], (l * half + i) * 2, cos(angle), 1);
      put(&out[0], (l * half + i) * 2 + 1, sin(angle), 1);
    }
}

static void rope(const titan_op_call *call, const operand *in, operand *out) {
  const int64_t *dims = call->inputs[0].dims;
  double sign = call->attributes.rope.inverse ? -1 : 1;
  for (int64_t p = 0; p < titan_tensor_elements(&call->inputs[0]) / 2; p++) {
    int64_t half = dims[3] / 2, i = p % half, l = p / half / dims[2] % dims[1];
    double cosine = in[1].values[(l * half + i) * 2], sine = sign * in[1].values[(l * half + i) * 2 + 1];
    double even = in[0].values[2 * p], odd = in[0].values[2 * p + 1], terms = fabs(even) + fabs(odd);
    put(&out[0], 2 * p, even * cosine - odd * sine, terms);
    put(&out[0], 2 * p + 1, even * sine + odd * cosine, terms);
  }
}

// Where element i of a part (0 q, 1 k, 2 v) lies in qkv.
static int64_t place_in_qkv(const titan_op_call *call, int part, int64_t i) {
  int64_t heads = call->attributes.heads.heads, kv_heads = call->attributes.heads.kv_heads;
  int64_t size = call->attributes.heads.head_size, first = part == 0 ? 0 : heads + (part - 1) * kv_heads;
  int64_t width = (part == 0 ? heads : kv_heads) * size;
  return i / width * (heads + 2 * kv_heads) * size + first * size + i % width;
}

// Element i of a part rotated by sign * the angle of its position; `even` points to its pair.
static void rotate_element(const titan_op_call *call, const double *table, int part, int64_t i, double sign,
                           const double *even, double *value, double *terms) {
  int64_t size = call->attributes.heads.head_size, heads = call->attributes.heads.heads;
  int64_t width = (part == 0 ? heads : call->attributes.heads.kv_heads) * size;
  int64_t angle = i / width % call->attributes.heads.length * size + i % size / 2 * 2;
  double cosine = table[angle], sine = sign * table[angle + 1];
  *value = i % 2 == 0 ? even[0] * cosine - even[1] * sine : even[0] * sine + even[1] * cosine;
  *terms = fabs(even[0]) + fabs(even[1]);
}

static void split_heads(const titan_op_call *call, const operand *in, operand *out) {
  for (int part = 0; part < 3; part++)
    for (int64_t i = 0; i < titan_tensor_elements(&call->outputs[part]); i++) {
      const double *x = in[0].values + place_in_qkv(call, part, i);
      double value = *x, terms = 0;
      if (part < 2)
        rotate_element(call, in[1].values, part, i, 1, x - i % 2, &value, &terms);
      put(&out[part], i, value, terms);
    }
}

static void join_heads(const titan_op_call *call, const operand *in, operand *out) {
  for (int part = 0; part < 3; part++)
    for (int64_t i = 0; i < titan_tensor_elements(&call->inputs[part]); i++) {
      double value = in[part].values[i], terms = 0;
      if (part < 2)
        rotate_element(call, in[3].values, part, i, -1, in[part].values + i - i % 2, &value, &terms);
      put(&out[0], place_in_qkv(call, part, i), value, terms);
    }
}

static void silu(const titan_op_call *call, const operand *in, operand *out) {
  for (int64_t i = 0; i < titan_tensor_elements(&call->outputs[0]); i++) {
    double x = in[0].values[i];
    put(&out[0], i, x / (1 + exp(-x)), fabs(x / (1 + exp(-x))));
  }
}

static void silu_backward(const titan_op_call *call, const operand *in, operand *out) {
  for (int64_t i = 0; i < titan_tensor_elements(&call->outputs[0]); i++) {
    double x = in[1].values[i], s = 1 / (1 + exp(-x));
    put(&out[0], i, in[0].values[i] * s * (1 + x * (1 - s)), fabs(in[0].values[i]) * s * (1 + fabs(x)));
  }
}

static void swiglu(const titan_op_call *call, const operand *in, operand *out) {
  int64_t width = titan_tensor_columns(&call->outputs[0]);
  for (int64_t i = 0; i < titan_tensor_elements(&call->outputs[0]); i++) {
    const double *row = in[0].values + i / width * 2 * width;
    double gate = row[i % width], y = gate / (1 + exp(-gate)) * row[width + i % width];
    put(&out[0], i, y, fabs(y));
  }
}

static void swiglu_backward(const titan_op_call *call, const operand *in, operand *out) {
  int64_t width = titan_tensor_columns(&call->inputs[0]);
  for (int64_t i = 0; i < titan_tensor_elements(&call->inputs[0]); i++) {
    int64_t at = i / width * 2 * width + i % width;
    double dy = in[0].values[i], gate = in[1].values[at], up = in[1].values[at + width], s = 1 / (1 + exp(-gate));
    put(&out[0], at, dy * up * s * (1 + gate * (1 - s)), fabs(dy * up) * s * (1 + fabs(gate)));
    put(&out[0], at + width, dy * gate * s, fabs(dy * gate) * s);
  }
}

static void mul(const titan_op_call *call, const operand *in, operand *out) {
  for (int64_t i = 0; i < titan_tensor_elements(&call->outputs[0]); i++)
    put(&out[0], i, in[0].values[i] * in[1].values[i], fabs(in[0].values[i] * in[1].values[i]));
}

static void add(const titan_op_call *call, const operand *in, operand *out) {
  for (int64_t i = 0; i < titan_tensor_elements(&call->outputs[0]); i++)
    put(&out[0], i, in[0].values[i] + in[1].values[i], fabs(in[0].values[i]) + fabs(in[1].values[i]));
}

// Columns that count; the label's among them, or -1.
static int64_t columns_of(const titan_op_call *call) {
  int64_t columns = call->attributes.cross_entropy.columns;
  return columns > 0 ? columns : call->inputs[0].dims[1];
}

static int64_t label_column(const titan_op_call *call, double label) {
  int64_t column = (int64_t)label - call->attributes.cross_entropy.first;
  return column >= 0 && column < columns_of(call) ? column : -1;
}

// The logit of a label that other columns stand for counts as 0.
static void cross_entropy(const titan_op_call *call, const operand *in, operand *out) {
  int64_t rows = call->inputs[0].dims[0], columns = columns_of(call);
  for (int64_t r = 0; r < rows; r++) {
    const double *x = in[0].values + r * call->inputs[0].dims[1];
    double largest = x[0], sum = 0;
    int64_t label = label_column(call, in[1].values[r]);
    for (int64_t i = 1; i < columns; i++)
      largest = fmax(largest, x[i]);
    for (int64_t i = 0; i < columns; i++)
      sum += exp(x[i] - largest);
    double lse = largest + log(sum), target = label >= 0 ? x[label] : 0;
    put(&out[1], r, lse, fabs(largest) + log(sum) + 1);
    if (in[1].values[r] < 0)
      continue; // the row does not count
    out[0].values[0] += lse - target;
    out[0].terms[0] += fabs(largest) + log(sum) + 1;
  }
}

static void cross_entropy_backward(const titan_op_call *call, const operand *in, operand *out) {
  int64_t rows = call->inputs[0].dims[0], width = call->inputs[0].dims[1], columns = columns_of(call);
  for (int64_t i = 0; i < rows * width; i++) {
    int64_t r = i / width;
    double factor = in[2].values[r] < 0 ? 0 : in[3].values[0];
    double p = exp(in[0].values[i] - in[1].values[r]), hit = i % width == label_column(call, in[2].values[r]);
    if (i % width >= columns)
      p = 0; // padding
    // an error of one unit in x - lse changes p by as much relatively, hence the factor
    double distance = fabs(in[0].values[i]) + fabs(in[1].values[r]) + 1;
    put(&out[0], i, factor * (p - hit), fabs(factor) * (p * distance + hit));
  }
}

static void copy(const titan_op_call *call, const operand *in, operand *out) {
  for (int64_t i = 0; i < titan_tensor_elements(&call->outputs[0]); i++)
    put(&out[0], i, in[0].values[i], 0);
}

static void take_columns(const titan_op_call *call, const operand *in, operand *out) {
  int64_t width = titan_tensor_columns(&call->outputs[0]), whole = titan_tensor_columns(&call->inputs[0]);
  for (int64_t i = 0; i < titan_tensor_elements(&call->outputs[0]); i++)
    put(&out[0], i, in[0].values[i / width * whole + call->attributes.collective.rank * width + i % width], 0);
}

static void vocabulary_max(const titan_op_call *call, const operand *in, operand *out) {
  for (int64_t r = 0; r < call->inputs[0].dims[0]; r++) {
    const double *x = in[0].values + r * call->inputs[0].dims[1];
    double largest = x[0];
    for (int64_t i = 1; i < columns_of(call); i++)
      largest = fmax(largest, x[i]);
    put(&out[0], r, largest, 0);
  }
}

static void vocabulary_sums(const titan_op_call *call, const operand *in, operand *out) {
  int64_t rows = call->inputs[0].dims[0];
  for (int64_t r = 0; r < rows; r++) {
    const double *x = in[0].values + r * call->inputs[0].dims[1];
    int64_t label = label_column(call, in[1].values[r]);
    for (int64_t i = 0; i < columns_of(call); i++) {
      double p = exp(x[i] - in[2].values[r]);
      out[0].values[r] += p;
      out[0].terms[r] += p * (fabs(x[i] - in[2].values[r]) + 1); // as in cross_entropy_backward
    }
    put(&out[0], rows + r, label >= 0 ? x[label] : 0, 0);
  }
}

static void vocabulary_loss(const titan_op_call *call, const operand *in, operand *out) {
  int64_t rows = call->inputs[0].dims[0];
  for (int64_t r = 0; r < rows; r++) {
    double largest = in[2].values[r], logarithm = log(in[3].values[r]), target = in[3].values[rows + r];
    double terms = fabs(largest) + fabs(logarithm) + 1;
    put(&out[1], r, largest + logarithm, terms);
    if (in[1].values[r] < 0)
      continue;
    out[0].values[0] += largest + logarithm - target;
    out[0].terms[0] += terms + fabs(target);
  }
}

reference_function reference_of(titan_op_kind kind) {
  static const reference_function functions[TITAN_OP_COUNT] = {
      [TITAN_OP_embedding] = embedding,
      [TITAN_OP_embedding_backward] = embedding_backward,
      [TITAN_OP_matmul] = matmul,
      [TITAN_OP_rms_norm] = rms_norm,
      [TITAN_OP_rms_norm_backward] = rms_norm_backward,
      [TITAN_OP_add_rms_norm] = add_rms_norm,
      [TITAN_OP_layer_norm] = layer_norm,
      [TITAN_OP_layer_norm_backward] = layer_norm_backward,
      [TITAN_OP_rope_table] = rope_table,
      [TITAN_OP_rope] = rope,
      [TITAN_OP_split_heads] = split_heads,
      [TITAN_OP_join_heads] = join_heads,
      [TITAN_OP_silu] = silu,
      [TITAN_OP_silu_backward] = silu_backward,
      [TITAN_OP_swiglu] = swiglu,
      [TITAN_OP_swiglu_backward] = swiglu_backward,
      [TITAN_OP_mul] = mul,
      [TITAN_OP_add] = add,
      [TITAN_OP_cross_entropy] = cross_entropy,
      [TITAN_OP_cross_entropy_backward] = cross_entropy_backward,
      [TITAN_OP_copy] = copy,
      [TITAN_OP_take_columns] = take_columns,
      [TITAN_OP_vocabulary_max] = vocabulary_max,
      [TITAN_OP_vocabulary_sums] = vocabulary_sums,
      [TITAN_OP_vocabulary_loss] = vocabulary_loss,
  };
  return functions[kind];
}
