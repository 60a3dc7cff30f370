// SPDX-License-Identifier: Apache-2.0
// Memory of the emulated GPU: blocks in a range of addresses without access rights. A block ends where its pages end,
// up to the 255 bytes that CUDA rounds up to, and the page after it is never opened.
#include "emulated.h"
#include "runtime_private.h"

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <sys/mman.h>
#include <unistd.h>

namespace {

constexpr size_t page = 4096, granularity = 256, address_space = size_t(128) << 30;

struct block {
  size_t pages_begin, pages_bytes, bytes; // pages_begin: from the range's beginning
};

char *range;
std::map<size_t, block> blocks; // by the place of the first byte, from the range's beginning
std::map<void *, size_t> pinned;
size_t used;

size_t rounded(size_t bytes, size_t to) {
  return (bytes + to - 1) / to * to;
}

const block *find(size_t place) {
  auto after = blocks.upper_bound(place);
  if (after == blocks.begin())
    return nullptr;
  const block &b = std::prev(after)->second;
  return place < b.pages_begin + b.pages_bytes + page ? &b : nullptr;
}

void on_fault(int number, siginfo_t *info, void *) {
  const char *address = static_cast<const char *>(info->si_addr);
  if (range != nullptr && address >= range && address < range + address_space) {
    size_t place = size_t(address - range);
    const block *b = find(place);
    char text[256];
    int length = b == nullptr
                     ? snprintf(text, sizeof text, "emulated GPU, seed %llu: freed device memory was touched\n",
                                static_cast<unsigned long long>(titan_emulated()->seed))
                     : snprintf(text, sizeof text,
                                "emulated GPU, seed %llu: host code touched device memory, or a kernel left its block: "
                                "byte %lld of a block of %zu\n",
                                static_cast<unsigned long long>(titan_emulated()->seed),
                                static_cast<long long>(place) - static_cast<long long>(b->pages_begin + b->pages_bytes -
                                                                                       rounded(b->bytes, granularity)),
                                b->bytes);
    if (write(STDERR_FILENO, text, size_t(length)) < 0)
      _exit(139);
  }
  signal(number, SIG_DFL); // the touch comes again, and ends the process
}

bool make_range() {
  if (range != nullptr)
    return true;
  void *memory = mmap(nullptr, address_space, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED)
    return false;
  range = static_cast<char *>(memory);
  struct sigaction action = {};
  action.sa_sigaction = on_fault;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGSEGV, &action, nullptr);
  return true;
}

// The first gap that is large enough, with a page after the block before it.
size_t find_place(size_t pages_bytes) {
  size_t place = 0;
  for (const auto &entry : blocks) {
    if (place + pages_bytes + page <= entry.second.pages_begin)
      break;
    place = entry.second.pages_begin + entry.second.pages_bytes + page;
  }
  return place;
}

} // namespace

void titan_emulated_memory_open(bool open) {
  for (const auto &entry : blocks)
    mprotect(range + entry.second.pages_begin, entry.second.pages_bytes, open ? PROT_READ | PROT_WRITE : PROT_NONE);
}

bool titan_emulated_memory_valid(const void *pointer, size_t bytes) {
  const char *address = static_cast<const char *>(pointer);
  if (range == nullptr || address < range || address >= range + address_space)
    return true;
  size_t place = size_t(address - range);
  auto after = blocks.upper_bound(place);
  if (after == blocks.begin())
    return false;
  const auto &entry = *std::prev(after);
  return place + bytes <= entry.first + entry.second.bytes;
}

bool titan_emulated_memory_is_device(const void *pointer) {
  const char *address = static_cast<const char *>(pointer);
  return range != nullptr && address >= range && address < range + address_space;
}

size_t titan_emulated_live_blocks() {
  return blocks.size() + pinned.size();
}

extern "C" {

cudaError_t cudaMalloc(void **out, size_t bytes) {
  *out = nullptr;
  TITAN_EMULATED_FORBIDDEN();
  size_t taken = rounded(bytes, granularity), pages_bytes = rounded(taken, page);
  if (bytes == 0)
    return cudaSuccess;
  if (used + taken > titan_emulated()->bytes || !make_range())
    return titan_emulated_return(cudaErrorMemoryAllocation);
  size_t begin = find_place(pages_bytes), place = begin + pages_bytes - taken;
  if (begin + pages_bytes + page > address_space)
    return titan_emulated_return(cudaErrorMemoryAllocation);
  mprotect(range + begin, pages_bytes, PROT_READ | PROT_WRITE);
  memset(range + begin, 0xff, pages_bytes); // NaN of every type
  mprotect(range + begin, pages_bytes, PROT_NONE);
  blocks[place] = block{begin, pages_bytes, bytes};
  used += taken;
  *out = range + place;
  return cudaSuccess;
}

cudaError_t cudaFree(void *pointer) {
  if (pointer == nullptr)
    return cudaSuccess;
  TITAN_EMULATED_FORBIDDEN();
  cudaError_t error = titan_emulated_finish();
  auto at = blocks.find(size_t(static_cast<char *>(pointer) - range));
  if (at == blocks.end()) {
    fprintf(stderr, "emulated GPU: memory is freed that it has not given\n");
    abort();
  }
  used -= rounded(at->second.bytes, granularity);
  madvise(range + at->second.pages_begin, at->second.pages_bytes, MADV_DONTNEED);
  mprotect(range + at->second.pages_begin, at->second.pages_bytes, PROT_NONE);
  blocks.erase(at);
  return titan_emulated_return(error);
}

cudaError_t cudaHostAlloc(void **out, size_t bytes, unsigned int) {
  TITAN_EMULATED_FORBIDDEN();
  *out = aligned_alloc(page, rounded(bytes + 1, page));
  if (*out == nullptr)
    return titan_emulated_return(cudaErrorMemoryAllocation);
  memset(*out, 0xff, bytes);
  pinned[*out] = bytes;
  return cudaSuccess;
}

cudaError_t cudaFreeHost(void *pointer) {
  TITAN_EMULATED_FORBIDDEN();
  cudaError_t error = titan_emulated_finish();
  if (pointer != nullptr && pinned.erase(pointer) == 0) {
    fprintf(stderr, "emulated GPU: pinned memory is freed that it has not given\n");
    abort();
  }
  free(pointer);
  return titan_emulated_return(error);
}

cudaError_t cudaMemGetInfo(size_t *available, size_t *total) {
  *total = titan_emulated()->bytes;
  *available = *total > used ? *total - used : 0;
  return cudaSuccess;
}

} // extern "C"
