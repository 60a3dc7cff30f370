// SPDX-License-Identifier: Apache-2.0
#include "base/copy.h"

#include <stdint.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#ifdef __SSE2__
enum { LINE = 64 };

void titan_copy_past_caches(void *to, const void *from, size_t bytes) {
  char *out = to;
  const char *in = from;
  size_t lead = (LINE - (uintptr_t)out % LINE) % LINE;
  if (bytes < lead + LINE) {
    memcpy(out, in, bytes);
    return;
  }
  memcpy(out, in, lead);
  size_t done = lead;
  for (; done + LINE <= bytes; done += LINE) {
    __m128i a = _mm_loadu_si128((const __m128i *)(const void *)(in + done));
    __m128i b = _mm_loadu_si128((const __m128i *)(const void *)(in + done + 16));
    __m128i c = _mm_loadu_si128((const __m128i *)(const void *)(in + done + 32));
    __m128i d = _mm_loadu_si128((const __m128i *)(const void *)(in + done + 48));
    _mm_stream_si128((__m128i *)(void *)(out + done), a);
    _mm_stream_si128((__m128i *)(void *)(out + done + 16), b);
    _mm_stream_si128((__m128i *)(void *)(out + done + 32), c);
    _mm_stream_si128((__m128i *)(void *)(out + done + 48), d);
  }
  memcpy(out + done, in + done, bytes - done);
  _mm_sfence();
}
#else
void titan_copy_past_caches(void *to, const void *from, size_t bytes) {
  memcpy(to, from, bytes);
}
#endif
