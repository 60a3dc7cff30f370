// SPDX-License-Identifier: Apache-2.0
#include "device/nonfinite.h"

#include "device/queue.h"

#include <math.h>

static const int64_t buffer_bytes = 4 << 20;

// A value is not finite where its exponent has all bits set. Counting first, without a branch, is a loop of vectors.

static titan_nonfinite count_float32(int64_t count, const uint32_t *bits) {
  const uint32_t exponent = 0x7f800000u;
  titan_nonfinite found = {0};
  for (int64_t i = 0; i < count; i++)
    found.count += (bits[i] & exponent) == exponent;
  if (found.count == 0)
    return found;
  while ((bits[found.first] & exponent) != exponent)
    found.first++;
  float value;
  memcpy(&value, &bits[found.first], sizeof value);
  found.value = (double)value;
  return found;
}

static titan_nonfinite count_bfloat16(int64_t count, const titan_bf16 *bits) {
  const unsigned exponent = 0x7f80u;
  titan_nonfinite found = {0};
  for (int64_t i = 0; i < count; i++)
    found.count += (bits[i] & exponent) == exponent;
  if (found.count == 0)
    return found;
  while ((bits[found.first] & exponent) != exponent)
    found.first++;
  found.value = (double)titan_bf16_to_float(bits[found.first]);
  return found;
}

static titan_nonfinite count_float64(int64_t count, const double *values) {
  titan_nonfinite found = {0};
  for (int64_t i = count - 1; i >= 0; i--)
    if (!isfinite(values[i]))
      found = (titan_nonfinite){.count = found.count + 1, .first = i, .value = values[i]};
  return found;
}

titan_nonfinite titan_nonfinite_count(titan_dtype dtype, int64_t count, const void *values) {
  switch (dtype) {
  case TITAN_FLOAT32:
    return count_float32(count, values);
  case TITAN_BFLOAT16:
    return count_bfloat16(count, values);
  case TITAN_FLOAT64:
    return count_float64(count, values);
  case TITAN_INT32:
  case TITAN_INT64:
  case TITAN_BYTE:
    break;
  }
  return (titan_nonfinite){0};
}

titan_status titan_nonfinite_scanner_create(titan_device *device, titan_nonfinite_scanner *out) {
  *out = (titan_nonfinite_scanner){.device = device};
  return device->queues == NULL
             ? TITAN_OK
             : device->allocate(device, TITAN_SPACE_HOST, TITAN_MEMORY_GENERAL, (size_t)buffer_bytes, &out->buffer);
}

void titan_nonfinite_scanner_destroy(titan_nonfinite_scanner *scanner) {
  if (scanner->buffer != NULL)
    scanner->device->free(scanner->device, TITAN_SPACE_HOST, scanner->buffer);
  *scanner = (titan_nonfinite_scanner){0};
}

titan_status titan_nonfinite_scan(const titan_nonfinite_scanner *scanner, titan_dtype dtype, int64_t count,
                                  const void *values, titan_nonfinite *out) {
  titan_device *device = scanner->device;
  int64_t bytes = (int64_t)titan_dtype_bytes(dtype), most = buffer_bytes / bytes;
  *out = (titan_nonfinite){0};
  if (device->queues == NULL) {
    *out = titan_nonfinite_count(dtype, count, values);
    return TITAN_OK;
  }
  for (int64_t done = 0; done < count; done += most) {
    int64_t piece = count - done < most ? count - done : most;
    TITAN_TRY(titan_queue_copy(device, TITAN_QUEUE_COMPUTE, scanner->buffer, (const char *)values + done * bytes,
                               (size_t)(piece * bytes)));
    TITAN_TRY(titan_queue_finish(device, TITAN_QUEUE_COMPUTE));
    titan_nonfinite found = titan_nonfinite_count(dtype, piece, scanner->buffer);
    if (out->count == 0 && found.count > 0)
      *out = (titan_nonfinite){.first = done + found.first, .value = found.value};
    out->count += found.count;
  }
  return TITAN_OK;
}
