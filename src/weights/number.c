// SPDX-License-Identifier: Apache-2.0
#include "weights/number.h"

#include <math.h>

static const char *const names[] = {"float32", "bfloat16", "float16"};
enum { NUMBERS = sizeof names / sizeof *names };

const char *titan_number_name(titan_number number) {
  return names[number];
}

bool titan_number_find(const char *name, titan_number *out) {
  for (int i = 0; i < NUMBERS; i++)
    if (strcmp(names[i], name) == 0) {
      *out = (titan_number)i;
      return true;
    }
  return false;
}

static float float_of(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

float titan_half_to_float(uint16_t half) {
  uint32_t sign = (uint32_t)(half & 0x8000u) << 16, exponent = half >> 10 & 0x1f, fraction = half & 0x3ffu;
  if (exponent == 0x1f)
    return float_of(sign | 0x7f800000u | fraction << 13);
  if (exponent > 0)
    return float_of(sign | (exponent + 112) << 23 | fraction << 13);
  float small = (float)fraction * 0x1p-24f; // subnormal
  return sign ? -small : small;
}

uint16_t titan_half_from_float(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  uint16_t sign = (uint16_t)(bits >> 16 & 0x8000u);
  bits &= 0x7fffffffu;
  if (bits > 0x7f800000u)
    return sign | 0x7e00u;
  if (bits >= 0x477ff000u) // 65520, half way to the next power of two: it and all above round to infinity
    return sign | 0x7c00u;
  if (bits < 0x38800000u) { // below 2^-14: a multiple of 2^-24; the sum's last place is that, so adding rounds to it
    float magnitude = float_of(bits) + 0.5f;
    uint32_t rounded;
    memcpy(&rounded, &magnitude, sizeof rounded);
    return sign | (uint16_t)(rounded - 0x3f000000u);
  }
  bits += 0xfffu + (bits >> 13 & 1);
  return sign | (uint16_t)((bits >> 13) - (112u << 10));
}

int64_t titan_number_unfit(titan_number number, int64_t count, const float *values) {
  for (int64_t i = 0; i < count && number == TITAN_NUMBER_FLOAT16; i++)
    if (isfinite(values[i]) && fabsf(values[i]) >= 65520.0f) // half way from the largest to the next power of two
      return i;
  return -1;
}

titan_status titan_number_unfit_error(const char *path, const char *tensor, float value) {
  return titan_error(TITAN_ERROR_CHECKPOINT,
                     "%s: %s holds %g, which float16 cannot (65504 at most); bfloat16 and float32 can", path, tensor,
                     (double)value);
}

void titan_number_to_float(titan_number number, int64_t count, const void *in, float *out) {
  const uint16_t *halves = in;
  if (number == TITAN_NUMBER_FLOAT32)
    memcpy(out, in, (size_t)count * sizeof *out);
  for (int64_t i = 0; i < count && number == TITAN_NUMBER_BFLOAT16; i++)
    out[i] = titan_bf16_to_float(halves[i]);
  for (int64_t i = 0; i < count && number == TITAN_NUMBER_FLOAT16; i++)
    out[i] = titan_half_to_float(halves[i]);
}

void titan_number_from_float(titan_number number, int64_t count, const float *in, void *out) {
  uint16_t *halves = out;
  if (number == TITAN_NUMBER_FLOAT32)
    memcpy(out, in, (size_t)count * sizeof *in);
  for (int64_t i = 0; i < count && number == TITAN_NUMBER_BFLOAT16; i++)
    halves[i] = titan_bf16_from_float(in[i]);
  for (int64_t i = 0; i < count && number == TITAN_NUMBER_FLOAT16; i++)
    halves[i] = titan_half_from_float(in[i]);
}
