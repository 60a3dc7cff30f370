// SPDX-License-Identifier: Apache-2.0
// What an event file of TensorBoard holds, read without protobuf's library: a line "step tag value" a scalar, and
// "step tag text" with the text's first line. Ends with 1 where a checksum or a length is wrong.
//
//   event_rows FILE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct span {
  const unsigned char *at, *end;
} span;

static uint32_t crc32c(const unsigned char *bytes, size_t count) {
  uint32_t sum = 0xffffffffu;
  for (size_t i = 0; i < count; i++)
    for (int bit = (sum ^= bytes[i], 0); bit < 8; bit++)
      sum = sum & 1 ? sum >> 1 ^ 0x82f63b78u : sum >> 1;
  return ~sum;
}

static uint64_t fixed(const unsigned char *bytes, int count) {
  uint64_t value = 0;
  for (int i = count - 1; i >= 0; i--)
    value = value << 8 | bytes[i];
  return value;
}

static int sum_is_wrong(const unsigned char *bytes, size_t count, const unsigned char *stored) {
  uint32_t sum = crc32c(bytes, count);
  return (uint32_t)fixed(stored, 4) != (uint32_t)((sum >> 15 | sum << 17) + 0xa282ead8u);
}

static uint64_t varint(span *in) {
  uint64_t value = 0;
  for (int shift = 0; in->at < in->end; shift += 7) {
    unsigned char byte = *in->at++;
    value |= (uint64_t)(byte & 127) << shift;
    if (byte < 128)
      break;
  }
  return value;
}

// The next field: its number, and its bytes (of a number: its value's). 0 at the end.
static int next_field(span *in, span *field, uint64_t *value) {
  if (in->at >= in->end)
    return 0;
  uint64_t key = varint(in), kind = key & 7, length = kind == 1 ? 8 : kind == 5 ? 4 : 0;
  if (kind == 0)
    *value = varint(in);
  else if (kind == 2)
    length = varint(in);
  if (length > (uint64_t)(in->end - in->at) || kind == 3 || kind == 4 || kind > 5)
    exit(1);
  *field = (span){in->at, in->at + length};
  if (kind == 1 || kind == 5)
    *value = fixed(in->at, (int)length);
  in->at += length;
  return (int)(key >> 3);
}

static void print_text(span tensor, long long step, span tag) {
  span field;
  uint64_t value;
  for (int number; (number = next_field(&tensor, &field, &value)) != 0;)
    if (number == 8)
      printf("%lld %.*s text %.*s\n", step, (int)(tag.end - tag.at), (const char *)tag.at,
             (int)strcspn((const char *)field.at, "\n"), (const char *)field.at);
}

static void print_value(span in, long long step) {
  span field, tag = {0};
  uint64_t value;
  for (int number; (number = next_field(&in, &field, &value)) != 0;)
    if (number == 1) {
      tag = field;
    } else if (number == 2) {
      uint32_t bits = (uint32_t)value;
      float scalar;
      memcpy(&scalar, &bits, sizeof scalar);
      printf("%lld %.*s %.9g\n", step, (int)(tag.end - tag.at), (const char *)tag.at, (double)scalar);
    } else if (number == 8) {
      print_text(field, step, tag);
    }
}

static void print_event(span event) {
  span field, summary = {0}, one;
  uint64_t value, step = 0;
  for (int number; (number = next_field(&event, &field, &value)) != 0;)
    if (number == 2)
      step = value;
    else if (number == 5)
      summary = field;
  while (next_field(&summary, &one, &value) == 1)
    print_value(one, (long long)step);
}

int main(int argc, char **argv) {
  static unsigned char bytes[1 << 20];
  FILE *file = argc == 2 ? fopen(argv[1], "rb") : NULL;
  if (file == NULL) {
    fputs("usage: event_rows FILE\n", stderr);
    return 2;
  }
  while (fread(bytes, 1, 12, file) == 12) {
    uint64_t length = fixed(bytes, 8);
    if (sum_is_wrong(bytes, 8, bytes + 8) || length + 4 > sizeof bytes ||
        fread(bytes, 1, length + 4, file) != length + 4 || sum_is_wrong(bytes, length, bytes + length))
      return 1;
    print_event((span){bytes, bytes + length});
  }
  int whole = feof(file);
  fclose(file);
  return !whole;
}
