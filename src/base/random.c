// SPDX-License-Identifier: Apache-2.0
#include "base/random.h"

#include "base/hash.h"

#include <math.h>
#include <string.h>

// FNV-1a over the name, mixed with the seed by the finaliser of splitmix64.
titan_random_stream titan_random_stream_create(uint64_t seed, const char *name) {
  uint64_t z = titan_hash_bytes(TITAN_HASH_START, name, strlen(name)) + (seed + 1) * 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  z ^= z >> 31;
  return (titan_random_stream){{(uint32_t)z, (uint32_t)(z >> 32)}};
}

void titan_philox4x32(const uint32_t key[2], const uint32_t counter[4], uint32_t out[4]) {
  uint32_t k0 = key[0], k1 = key[1];
  uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
  for (int round = 0; round < 10; round++) {
    uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
    uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
    c0 = n0, c1 = (uint32_t)p1, c2 = n2, c3 = (uint32_t)p0;
    k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
  }
  out[0] = c0, out[1] = c1, out[2] = c2, out[3] = c3;
}

// Element i is half of block i/2: 52 random bits, shifted by half a step so that 0 and 1 do not occur.
static double uniform_of(const uint32_t block[4], int half) {
  uint64_t bits = ((uint64_t)block[2 * half] << 32 | block[2 * half + 1]) >> 12;
  return ((double)bits + 0.5) * 0x1p-52;
}

void titan_random_uniform(titan_random_stream stream, uint64_t first, uint64_t count, double *out) {
  uint32_t block[4];
  uint64_t block_number = UINT64_MAX;
  for (uint64_t i = 0; i < count; i++) {
    uint64_t element = first + i;
    if (element / 2 != block_number) {
      block_number = element / 2;
      titan_philox4x32(stream.key, (uint32_t[4]){(uint32_t)block_number, (uint32_t)(block_number >> 32), 0, 0}, block);
    }
    out[i] = uniform_of(block, (int)(element % 2));
  }
}

double titan_normal_quantile(double p) {
  double q = p - 0.5;
  if (fabs(q) <= 0.425) {
    double r = 0.180625 - q * q;
    return q *
           (((((((2509.0809287301226727 * r + 33430.575583588128105) * r + 67265.770927008700853) * r +
                45921.953931549871457) *
                   r +
               13731.693765509461125) *
                  r +
              1971.5909503065514427) *
                 r +
             133.14166789178437745) *
                r +
            3.387132872796366608) /
           (((((((5226.495278852545925 * r + 28729.085735721942674) * r + 39307.89580009271061) * r +
                21213.794301586595867) *
                   r +
               5394.1960214247511077) *
                  r +
              687.1870074920579083) *
                 r +
             42.313330701600911252) *
                r +
            1.0);
  }
  double r = sqrt(-log(q < 0 ? p : 1 - p));
  double value;
  if (r <= 5) {
    r -= 1.6;
    value = (((((((7.7454501427834140764e-4 * r + 0.0227238449892691845833) * r + 0.24178072517745061177) * r +
                 1.27045825245236838258) *
                    r +
                3.64784832476320460504) *
                   r +
               5.7694972214606914055) *
                  r +
              4.6303378461565452959) *
                 r +
             1.42343711074968357734) /
            (((((((1.05075007164441684324e-9 * r + 5.475938084995344946e-4) * r + 0.0151986665636164571966) * r +
                 0.14810397642748007459) *
                    r +
                0.68976733498510000455) *
                   r +
               1.6763848301838038494) *
                  r +
              2.05319162663775882187) *
                 r +
             1.0);
  } else {
    r -= 5;
    value = (((((((2.01033439929228813265e-7 * r + 2.71155556874348757815e-5) * r + 0.0012426609473880784386) * r +
                 0.026532189526576123093) *
                    r +
                0.29656057182850489123) *
                   r +
               1.7848265399172913358) *
                  r +
              5.4637849111641143699) *
                 r +
             6.6579046435011037772) /
            (((((((2.04426310338993978564e-15 * r + 1.4215117583164458887e-7) * r + 1.8463183175100546818e-5) * r +
                 7.868691311456132591e-4) *
                    r +
                0.0148753612908506148525) *
                   r +
               0.13692988092273580531) *
                  r +
              0.59983220655588793769) *
                 r +
             1.0);
  }
  return q < 0 ? -value : value;
}

static double normal_distribution(double z) {
  return 0.5 * erfc(-z * 0.70710678118654752440);
}

void titan_random_normal(titan_random_stream stream, uint64_t first, uint64_t count, double mean, double std,
                         double low, double high, float *out) {
  double p_low = normal_distribution(low), p_range = normal_distribution(high) - p_low;
  double uniform[256];
  for (uint64_t done = 0; done < count;) {
    uint64_t n = count - done < 256 ? count - done : 256;
    titan_random_uniform(stream, first + done, n, uniform);
    for (uint64_t i = 0; i < n; i++) {
      double z = titan_normal_quantile(p_low + p_range * uniform[i]);
      z = z < low ? low : z > high ? high : z;
      out[done + i] = (float)(mean + std * z);
    }
    done += n;
  }
}
