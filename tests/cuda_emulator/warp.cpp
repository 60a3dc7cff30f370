// SPDX-License-Identifier: Apache-2.0
// What warp functions give.
#include "emulator_private.h"

static uint64_t ballot(lane_request *const lanes[WARP]) {
  uint64_t bits = 0;
  for (int lane = 0; lane < WARP; lane++)
    if (lanes[lane] != nullptr && lanes[lane]->bits != 0)
      bits |= (uint64_t)1 << lane;
  return bits;
}

// The lane that `lane` reads; itself where the segment of `width` lanes ends.
static int source_of(const lane_request &r, int lane) {
  int begin = lane / r.width * r.width, end = begin + r.width, source = lane;
  switch (r.kind) {
  case TITAN_EMULATED_SHFL:
    return begin + (r.argument & (r.width - 1));
  case TITAN_EMULATED_SHFL_XOR:
    source = lane ^ r.argument;
    return source < end ? source : lane;
  case TITAN_EMULATED_SHFL_DOWN:
    return lane + r.argument < end ? lane + r.argument : lane;
  default:
    return lane - r.argument >= begin ? lane - r.argument : lane;
  }
}

static void exchange(lane_request *const lanes[WARP]) {
  for (int lane = 0; lane < WARP; lane++) {
    lane_request *r = lanes[lane];
    if (r == nullptr)
      continue;
    int width = r->width;
    if (width < 1 || width > WARP || (width & (width - 1)) != 0)
      fault_and_end("%s:%d: a shuffle of width %d", r->file, r->line, width);
    int source = source_of(*r, lane);
    if (source < 0 || source >= WARP || lanes[source] == nullptr)
      fault_and_end("%s:%d: lane %d reads lane %d, which is not in the mask %08x", r->file, r->line, lane, source,
                    r->mask);
    r->result = lanes[source]->bits;
  }
}

static float half_of(unsigned word, int high) {
  return __uint_as_float(high ? word & 0xffff0000u : word << 16);
}

// mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32: D[16,8] = A[16,16] B[16,8] + C. Of lane l: g = l / 4, t = l % 4;
// a[0] = A[g, 2t..], a[1] = A[g+8, 2t..], a[2] = A[g, 2t+8..], a[3] = A[g+8, 2t+8..]; b[0] = B[2t.., g], b[1] =
// B[2t+8.., g]; c, d[0..1] = [g, 2t..], [2..3] = [g+8, 2t..].
static void multiply(lane_request *const lanes[WARP]) {
  float a[16][16], b[16][8], d[16][8];
  titan_emulated_fragments *f[WARP];
  for (int lane = 0; lane < WARP; lane++) {
    f[lane] = reinterpret_cast<titan_emulated_fragments *>((uintptr_t)lanes[lane]->bits);
    int g = lane / 4, t = lane % 4;
    for (int i = 0; i < 8; i++)
      a[g + (i / 2 % 2) * 8][2 * t + i % 2 + i / 4 * 8] = half_of(f[lane]->a[i / 2], i % 2);
    for (int i = 0; i < 4; i++) {
      b[2 * t + i % 2 + i / 2 * 8][g] = half_of(f[lane]->b[i / 2], i % 2);
      d[g + i / 2 * 8][2 * t + i % 2] = f[lane]->c[i];
    }
  }
  for (int i = 0; i < 16; i++)
    for (int j = 0; j < 8; j++) {
      float sum = 0;
      for (int k = 0; k < 16; k++)
        sum += a[i][k] * b[k][j];
      d[i][j] += sum;
    }
  for (int lane = 0; lane < WARP; lane++)
    for (int i = 0; i < 4; i++)
      f[lane]->d[i] = d[lane / 4 + i / 2 * 8][lane % 4 * 2 + i % 2];
}

// ldmatrix.sync.aligned.m8n8.x4[.trans].shared.b16: lane l has the address of row l % 8 of matrix l / 8; of each matrix
// it gets elements [l / 4, 2 (l % 4)..], or of the transposed one.
static void load_matrices(lane_request *const lanes[WARP]) {
  uint16_t matrix[4][8][8];
  for (int lane = 0; lane < WARP; lane++) {
    auto *rows = reinterpret_cast<titan_emulated_matrix_rows *>((uintptr_t)lanes[lane]->bits);
    if ((uintptr_t)rows->row % 16 != 0)
      fault("%s:%d: a row of a matrix at %p, which is not aligned to 16 bytes", lanes[lane]->file, lanes[lane]->line,
            rows->row);
    shadow_access(running_thread() / WARP * WARP + lane, rows->row, 16, false);
    memcpy(matrix[lane / 8][lane % 8], rows->row, 16);
  }
  for (int lane = 0; lane < WARP; lane++) {
    auto *rows = reinterpret_cast<titan_emulated_matrix_rows *>((uintptr_t)lanes[lane]->bits);
    for (int m = 0; m < 4; m++) {
      int i = lane / 4, j = lane % 4 * 2;
      unsigned low = rows->transposed ? matrix[m][j][i] : matrix[m][i][j];
      unsigned high = rows->transposed ? matrix[m][j + 1][i] : matrix[m][i][j + 1];
      rows->to[m] = low | high << 16;
    }
  }
}

void warp_resolve(lane_request *const lanes[WARP], unsigned mask) {
  lane_request *first = lanes[__ffs((int)mask) - 1];
  switch (first->kind) {
  case TITAN_EMULATED_SYNC:
    break;
  case TITAN_EMULATED_BALLOT: {
    uint64_t bits = ballot(lanes);
    for (int lane = 0; lane < WARP; lane++)
      if (lanes[lane] != nullptr)
        lanes[lane]->result = bits;
    break;
  }
  case TITAN_EMULATED_MMA:
    multiply(lanes);
    break;
  case TITAN_EMULATED_LOAD_MATRIX:
    load_matrices(lanes);
    break;
  default:
    exchange(lanes);
  }
}
