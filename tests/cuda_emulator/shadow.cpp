// SPDX-License-Identifier: Apache-2.0
// Shared memory, and who has last written and read each byte of it.
//
// The hooks at the end are those that g++ -fsanitize=thread puts before each access to memory that is no register. The
// kernels are compiled with it and linked without its library, so that no access escapes.
#include "emulator_private.h"

#include <cstdlib>
#include <sys/mman.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, bytes) ((void)(address), (void)(bytes))
#define ASAN_UNPOISON_MEMORY_REGION(address, bytes) ((void)(address), (void)(bytes))
#endif

unsigned char *shared_memory;

namespace {

enum { POISON = 0xff, MANY = 0xffff, RED_ZONE = 64 };

// Epochs are counted over all blocks. A stamp counts the warp's barriers when the access was made.
struct cell {
  uint32_t write_epoch, write_stamp, read_epoch, read_stamp, readers; // readers: lanes of read_warp
  uint16_t writer, read_warp;                                         // MANY: several warps have read
  uint8_t inside;                                                     // of an array of this grid
};

struct array {
  const void *key;
  const char *name;
  size_t offset, bytes;
};

cell *cells;
std::vector<array> arrays;
size_t static_bytes, dynamic_bytes;
uint32_t epoch = 1, block_epoch = 1;
uint32_t warp_stamp[MOST_THREADS / WARP];
uint32_t met[MOST_THREADS][WARP]; // [thread][lane]: the warp's barrier at which they met last
bool watched;

void allocate() {
  void *memory = mmap(nullptr, SHARED_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  cells = static_cast<cell *>(calloc(SHARED_BYTES, sizeof *cells));
  if (memory == MAP_FAILED || cells == nullptr)
    abort();
  shared_memory = static_cast<unsigned char *>(memory);
}

const char *name_at(size_t offset, size_t *index) {
  for (const array &a : arrays)
    if (offset >= a.offset && offset < a.offset + a.bytes) {
      *index = offset - a.offset;
      return a.name;
    }
  *index = offset;
  return "shared memory that is no array's";
}

void complain(const char *what, size_t offset, int thread, int other) {
  size_t index;
  const char *name = name_at(offset, &index);
  if (other >= 0)
    fault("%s: byte %zu of %s, threads %d and %d, no barrier between", what, index, name, thread, other);
  else
    fault("%s: byte %zu of %s, thread %d", what, index, name, thread);
}

bool knows(int thread, int other, uint32_t stamp) {
  return thread == other || (thread / WARP == other / WARP && met[thread][other % WARP] > stamp);
}

// A reader of the cell in this epoch that the thread does not know to have read; -1: none.
int unknown_reader(const cell &c, int thread) {
  if (c.read_epoch != epoch)
    return -1;
  if (c.read_warp == MANY)
    return MOST_THREADS;
  for (int lane = 0; lane < WARP; lane++)
    if ((c.readers >> lane & 1) && !knows(thread, c.read_warp * WARP + lane, c.read_stamp))
      return c.read_warp * WARP + lane;
  return -1;
}

void note_read(cell &c, int thread) {
  int warp = thread / WARP;
  if (c.read_epoch == epoch && c.read_warp != warp) {
    c.read_warp = MANY;
    return;
  }
  if (c.read_epoch != epoch)
    c.readers = 0;
  for (int lane = 0; lane < WARP && c.readers != 0 && c.read_stamp != warp_stamp[warp]; lane++)
    if (knows(thread, warp * WARP + lane, c.read_stamp))
      c.readers &= ~(1u << lane); // who knows this thread knows that one
  c.read_epoch = epoch;
  c.read_warp = (uint16_t)warp;
  c.read_stamp = warp_stamp[warp];
  c.readers |= 1u << thread % WARP;
}

bool check_byte(size_t offset, int thread, bool writes) {
  cell &c = cells[offset];
  if (!c.inside) {
    complain("an access outside of the arrays in shared memory", offset, thread, -1);
    return false;
  }
  bool written = c.write_epoch >= block_epoch;
  bool ordered = c.write_epoch != epoch || knows(thread, c.writer, c.write_stamp);
  int writer = c.writer, reader = writes ? unknown_reader(c, thread) : -1;
  if (writes) {
    c.write_epoch = epoch;
    c.writer = (uint16_t)thread;
    c.write_stamp = warp_stamp[thread / WARP];
    c.read_epoch = 0;
  } else {
    note_read(c, thread);
  }
  if (!writes && !written)
    complain("a read of what was not written", offset, thread, -1);
  else if (!ordered)
    complain(writes ? "two writes" : "a read after a write", offset, thread, writer);
  else if (reader >= 0)
    complain("a write after a read", offset, thread, reader);
  return (written || writes) && ordered && reader < 0;
}

} // namespace

void shadow_access(int thread, const void *address, size_t bytes, bool writes) {
  size_t offset = (uintptr_t)address - (uintptr_t)shared_memory;
  if (offset >= SHARED_BYTES || thread < 0 || !watched) // without hooks, what threads wrote is not known
    return;
  for (size_t i = 0; i < bytes && offset + i < SHARED_BYTES; i++)
    if (!check_byte(offset + i, thread, writes))
      return; // one report for an access
}

void shadow_barrier(void) {
  epoch++;
}

void shadow_warp_barrier(int warp, unsigned lanes) {
  uint32_t stamp = ++warp_stamp[warp];
  for (int a = 0; a < WARP; a++)
    for (int b = 0; b < WARP; b++)
      if ((lanes >> a & 1) && (lanes >> b & 1))
        met[warp * WARP + a][b] = stamp;
}

void shadow_add(size_t offset, size_t bytes, const char *name) {
  arrays.push_back(array{nullptr, name, offset, bytes});
  for (size_t i = 0; i < bytes; i++)
    cells[offset + i].inside = 1;
  ASAN_UNPOISON_MEMORY_REGION(shared_memory + offset, bytes);
}

void shared_begin_grid(size_t bytes) {
  if (shared_memory == nullptr)
    allocate();
  for (const array &a : arrays)
    for (size_t i = 0; i < a.bytes; i++)
      cells[a.offset + i].inside = 0;
  ASAN_POISON_MEMORY_REGION(shared_memory, SHARED_BYTES);
  arrays.clear();
  static_bytes = 0;
  dynamic_bytes = bytes;
  if (bytes > 0)
    shadow_add(STATIC_BYTES, bytes, "the dynamic array");
}

void shared_begin_block(void) {
  block_epoch = ++epoch;
  for (const array &a : arrays)
    memset(shared_memory + a.offset, POISON, a.bytes);
}

void *titan_emulated_shared(const void *key, const char *name, size_t bytes, size_t alignment) {
  for (const array &a : arrays)
    if (a.key == key)
      return shared_memory + a.offset;
  size_t offset = (static_bytes + alignment - 1) / alignment * alignment;
  if (offset + bytes > STATIC_BYTES)
    fault_and_end("%s does not fit the 48 KiB of static shared memory", name);
  shadow_add(offset, bytes, name);
  arrays.back().key = key;
  memset(shared_memory + offset, POISON, bytes);
  static_bytes = offset + bytes + RED_ZONE;
  return shared_memory + offset;
}

void *titan_emulated_dynamic_shared(void) {
  if (dynamic_bytes == 0)
    fault("dynamic shared memory in a grid that was launched without");
  return shared_memory + STATIC_BYTES;
}

void titan_emulated_vector_access(const void *address, size_t bytes) {
  if ((uintptr_t)address % bytes != 0)
    fault("thread %d: an access of %zu bytes at %p, which is not aligned", running_thread(), bytes, address);
}

bool titan_emulator_watches(void) {
  return watched;
}

// --- hooks ---

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

static inline void hook(const void *address, size_t bytes, bool writes, bool aligned) {
  watched = true;
  if (aligned && (uintptr_t)address % bytes != 0 && running_thread() >= 0)
    fault("thread %d: an access of %zu bytes at %p, which is not aligned", running_thread(), bytes, address);
  if ((uintptr_t)address - (uintptr_t)shared_memory < SHARED_BYTES)
    shadow_access(running_thread(), address, bytes, writes);
}

extern "C" {
// clang-format off
void __tsan_init(void) {}
void __tsan_func_entry(void *) {}
void __tsan_func_exit(void) {}
void __tsan_vptr_update(void **, void *) {}
void __tsan_vptr_read(void **) {}
void __tsan_read1(void *p) { hook(p, 1, false, false); }
void __tsan_read2(void *p) { hook(p, 2, false, true); }
void __tsan_read4(void *p) { hook(p, 4, false, true); }
void __tsan_read8(void *p) { hook(p, 8, false, true); }
void __tsan_read16(void *p) { hook(p, 16, false, true); }
void __tsan_write1(void *p) { hook(p, 1, true, false); }
void __tsan_write2(void *p) { hook(p, 2, true, true); }
void __tsan_write4(void *p) { hook(p, 4, true, true); }
void __tsan_write8(void *p) { hook(p, 8, true, true); }
void __tsan_write16(void *p) { hook(p, 16, true, true); }
void __tsan_unaligned_read2(void *p) { hook(p, 2, false, false); }
void __tsan_unaligned_read4(void *p) { hook(p, 4, false, false); }
void __tsan_unaligned_read8(void *p) { hook(p, 8, false, false); }
void __tsan_unaligned_read16(void *p) { hook(p, 16, false, false); }
void __tsan_unaligned_write2(void *p) { hook(p, 2, true, false); }
void __tsan_unaligned_write4(void *p) { hook(p, 4, true, false); }
void __tsan_unaligned_write8(void *p) { hook(p, 8, true, false); }
void __tsan_unaligned_write16(void *p) { hook(p, 16, true, false); }
void __tsan_read_range(void *p, unsigned long bytes) { hook(p, bytes, false, false); }
void __tsan_write_range(void *p, unsigned long bytes) { hook(p, bytes, true, false); }
// clang-format on
}

#endif
