// SPDX-License-Identifier: Apache-2.0
// Grids, blocks and the turns of their threads.
#include "emulator_private.h"

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <random>
#include <string>

namespace {

enum thread_state { READY, AT_BARRIER, IN_WARP, ENDED };

struct pending_copy {
  void *to;
  const void *from;
  bool zero;
};

struct thread {
  thread_state state;
  uint3 index;
  fiber *stack;
  lane_request request;
  const char *file; // of the barrier
  int line;
  std::vector<std::vector<pending_copy>> copies; // by group; the last is open
};

struct settings {
  titan_emulator_order order = TITAN_EMULATOR_FORWARD;
  std::mt19937_64 random;
  bool collects = false;
  int faults = 0;
  std::string first;
  uint64_t grids = 0;
  settings();
};

settings::settings() {
  const char *text = getenv("TITAN_EMULATOR_ORDER");
  if (text == nullptr || strcmp(text, "forward") == 0)
    return;
  if (strcmp(text, "backward") == 0) {
    order = TITAN_EMULATOR_BACKWARD;
  } else if (strncmp(text, "random:", 7) == 0) {
    order = TITAN_EMULATOR_RANDOM;
    random.seed(strtoull(text + 7, nullptr, 10));
  } else {
    fprintf(stderr, "TITAN_EMULATOR_ORDER: %s, expected forward, backward or random:SEED\n", text);
    abort();
  }
}

settings &set() {
  static settings s;
  return s;
}

// The grid that runs.
const titan_emulated_launch *grid;
const std::function<void()> *body;
std::vector<thread> threads;
int thread_count, live, arrived, current = -1;
unsigned in_warp[MOST_THREADS / WARP];                    // lanes that wait in a warp function
const thread *at_barrier;                                 // one that waits at a barrier
bool ended;                                               // by a fault
std::vector<fiber *> &stacks = *new std::vector<fiber *>; // reachable to the end: fibers are kept
std::map<const void *, size_t> allowed;

uint64_t count_of(dim3 d) {
  return (uint64_t)d.x * d.y * d.z;
}

uint3 index_of(uint64_t i, dim3 d) {
  return uint3{(unsigned)(i % d.x), (unsigned)(i / d.x % d.y), (unsigned)(i / ((uint64_t)d.x * d.y))};
}

void order_of(uint64_t count, std::vector<uint32_t> &out) {
  out.resize(count);
  for (uint64_t i = 0; i < count; i++)
    out[i] = (uint32_t)(set().order == TITAN_EMULATOR_BACKWARD ? count - 1 - i : i);
  if (set().order == TITAN_EMULATOR_RANDOM)
    std::shuffle(out.begin(), out.end(), set().random);
}

// --- turns ---

void release_barrier() {
  for (int i = 0; i < thread_count; i++)
    if (threads[i].state == AT_BARRIER)
      threads[i].state = READY;
  arrived = 0;
  at_barrier = nullptr;
  shadow_barrier();
}

void thread_entry(void) {
  for (;;) {
    int self = current;
    (*body)();
    thread &t = threads[self];
    t.state = ENDED;
    live--;
    if (!t.copies.empty())
      fault("thread %d ended with copies to shared memory that it has not waited for", self);
    t.copies.clear();
    stacks.push_back(t.stack);
    t.stack = nullptr;
    if (live > 0 && arrived == live)
      release_barrier();
    fiber_pause();
  }
}

void resume(int i) {
  thread &t = threads[i];
  if (t.stack == nullptr) {
    if (stacks.empty())
      stacks.push_back(fiber_create(thread_entry));
    t.stack = stacks.back();
    stacks.pop_back();
  }
  current = i;
  titan_emulated_now.thread = t.index;
  fiber_resume(t.stack);
  current = -1;
}

void pause_thread(void) {
  fiber_pause();
}

void report_standstill() {
  current = -1;
  for (int i = 0; i < thread_count; i++) {
    const thread &t = threads[i];
    if (t.state == IN_WARP)
      return fault_and_end("thread %d waits in a warp function (%s:%d, mask %08x) for lanes that do not come", i,
                           t.request.file, t.request.line, t.request.mask);
  }
  for (int i = 0; i < thread_count; i++)
    if (threads[i].state == AT_BARRIER)
      return fault_and_end("thread %d waits at a barrier (%s:%d) for threads that do not come", i, threads[i].file,
                           threads[i].line);
}

void run_block(uint3 block) {
  static std::vector<uint32_t> order;
  titan_emulated_now.block = block;
  shared_begin_block();
  live = thread_count;
  arrived = 0;
  at_barrier = nullptr;
  memset(in_warp, 0, sizeof in_warp);
  for (int i = 0; i < thread_count; i++) {
    threads[i].state = READY;
    threads[i].index = index_of((uint64_t)i, grid->block);
  }
  order_of((uint64_t)thread_count, order);
  while (live > 0 && !ended) {
    bool moved = false;
    for (int i = 0; i < thread_count && !ended; i++)
      if (threads[order[i]].state == READY) {
        resume((int)order[i]);
        moved = true;
      }
    if (!moved)
      report_standstill();
    if (set().order == TITAN_EMULATOR_RANDOM && live > 0)
      std::shuffle(order.begin(), order.end(), set().random);
  }
  if (!ended)
    return;
  for (int i = 0; i < thread_count; i++)
    if (threads[i].stack != nullptr) { // in the middle of the kernel
      fiber_reset(threads[i].stack);
      stacks.push_back(threads[i].stack);
      threads[i].stack = nullptr;
      threads[i].copies.clear();
    }
}

bool launch_is_valid(const titan_emulated_launch &l) {
  uint64_t block = count_of(l.block), blocks = count_of(l.grid);
  auto limit = allowed.find(l.kernel);
  size_t most = limit != allowed.end() ? limit->second : (size_t)STATIC_BYTES;
  bool valid = block > 0 && block <= MOST_THREADS && l.block.z <= 64 && blocks > 0 && l.grid.x <= 0x7fffffff &&
               l.grid.y <= 65535 && l.grid.z <= 65535 && l.shared_bytes <= most;
  if (!valid)
    fault("a launch that a GPU refuses: grid %u,%u,%u, block %u,%u,%u, %zu bytes of dynamic shared memory of %zu",
          l.grid.x, l.grid.y, l.grid.z, l.block.x, l.block.y, l.block.z, l.shared_bytes, most);
  return valid;
}

void run_blocks() {
  static std::vector<uint32_t> order;
  uint64_t blocks = count_of(grid->grid);
  order_of(blocks, order);
  for (uint64_t i = 0; i < blocks && !ended; i++)
    run_block(index_of(order[i], grid->grid));
}

} // namespace

titan_emulated_place titan_emulated_now;

void titan_emulated_run(const titan_emulated_launch &launch, const std::function<void()> &kernel) {
  static std::mutex one_at_a_time;
  std::lock_guard<std::mutex> lock(one_at_a_time);
  grid = &launch;
  body = &kernel;
  ended = false;
  set().grids++;
  if (launch_is_valid(launch)) {
    thread_count = (int)count_of(launch.block);
    threads.resize((size_t)thread_count);
    titan_emulated_now.block_size = launch.block;
    titan_emulated_now.grid_size = launch.grid;
    shared_begin_grid(launch.shared_bytes);
    run_blocks();
  }
  grid = nullptr;
}

void titan_emulated_allow_shared(const void *kernel, size_t bytes) {
  if (bytes > MOST_DYNAMIC_BYTES)
    fault("%zu bytes of dynamic shared memory, %d at most", bytes, (int)MOST_DYNAMIC_BYTES);
  allowed[kernel] = bytes;
}

// --- barriers and warp functions ---

static bool same_place(const char *file, int line, const char *other_file, int other_line) {
  return line == other_line && (file == other_file || strcmp(file, other_file) == 0);
}

void titan_emulated_barrier(const char *file, int line) {
  thread &t = threads[current];
  if (at_barrier != nullptr && !same_place(file, line, at_barrier->file, at_barrier->line))
    fault_and_end("threads of one block at different barriers: %s:%d and %s:%d", at_barrier->file, at_barrier->line,
                  file, line);
  t.file = file;
  t.line = line;
  t.state = AT_BARRIER;
  at_barrier = &t;
  arrived++;
  if (arrived == live)
    release_barrier();
  else
    pause_thread();
}

static void check_alike(const lane_request &a, const lane_request &b) {
  if (a.mask != b.mask || a.kind != b.kind || a.width != b.width || !same_place(a.file, a.line, b.file, b.line))
    fault_and_end("lanes of one warp in different warp functions: %s:%d with mask %08x and %s:%d with mask %08x",
                  a.file, a.line, a.mask, b.file, b.line, b.mask);
}

// All lanes of the mask have come.
static void finish_warp(int first, unsigned mask, titan_emulated_warp_kind kind) {
  lane_request *lanes[WARP];
  for (int lane = 0; lane < WARP; lane++)
    lanes[lane] = mask >> lane & 1 ? &threads[first + lane].request : nullptr;
  warp_resolve(lanes, mask);
  if (kind == TITAN_EMULATED_SYNC)
    shadow_warp_barrier(first / WARP, mask);
  for (int lane = 0; lane < WARP; lane++)
    if (mask >> lane & 1)
      threads[first + lane].state = READY;
  in_warp[first / WARP] &= ~mask;
}

uint64_t titan_emulated_warp(titan_emulated_warp_kind kind, unsigned mask, uint64_t bits, int argument, int width,
                             const char *file, int line) {
  int first = current / WARP * WARP, lane = current - first;
  thread &t = threads[current];
  unsigned &waiting = in_warp[first / WARP];
  t.request = lane_request{kind, mask, bits, 0, argument, width, file, line};
  if (!(mask >> lane & 1))
    fault_and_end("%s:%d: thread %d is not in its own mask %08x", file, line, current, mask);
  if ((waiting & mask) != 0)
    check_alike(t.request, threads[first + __ffs((int)(waiting & mask)) - 1].request);
  t.state = IN_WARP;
  waiting |= 1u << lane;
  if ((waiting & mask) == mask)
    finish_warp(first, mask, kind);
  else
    pause_thread();
  return t.request.result;
}

// --- asynchronous copies: made at the wait, so that without one the memory still has what it had ---

void titan_emulated_copy_async(void *to, const void *from, bool zero) {
  thread &t = threads[current];
  if ((uintptr_t)to % 16 != 0 || (uintptr_t)from % 16 != 0)
    fault("a copy of 16 bytes to %p from %p, which are not aligned", to, from);
  if (t.copies.empty())
    t.copies.emplace_back();
  t.copies.back().push_back(pending_copy{to, from, zero});
}

void titan_emulated_copy_commit(void) {
  threads[current].copies.emplace_back();
}

void titan_emulated_copy_wait(int groups) {
  auto &copies = threads[current].copies;
  while ((int)copies.size() - 1 > groups) {
    for (const pending_copy &c : copies.front()) {
      shadow_access(current, c.to, 16, true);
      if (c.zero)
        memset(c.to, 0, 16);
      else
        memcpy(c.to, c.from, 16);
    }
    copies.erase(copies.begin());
  }
  if (groups == 0 && copies.size() == 1 && copies.front().empty())
    copies.clear();
}

// --- faults and settings ---

const char *running_kernel(void) {
  return grid != nullptr ? grid->name : "no kernel";
}

int running_thread(void) {
  return current;
}

static void report(const char *format, va_list arguments) {
  char text[512];
  vsnprintf(text, sizeof text, format, arguments);
  settings &s = set();
  if (s.faults++ == 0)
    s.first = std::string(running_kernel()) + ": " + text;
  if (s.collects)
    return;
  fprintf(stderr, "FAULT in kernel %s, block %u,%u,%u: %s\n", running_kernel(), titan_emulated_now.block.x,
          titan_emulated_now.block.y, titan_emulated_now.block.z, text);
  abort();
}

void fault(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  report(format, arguments);
  va_end(arguments);
}

void fault_and_end(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  report(format, arguments);
  va_end(arguments);
  ended = true;
  if (current >= 0)
    for (;;)
      pause_thread(); // for ever: the block has ended
}

void titan_emulator_set_order(titan_emulator_order order, uint64_t seed) {
  set().order = order;
  set().random.seed(seed);
}

void titan_emulator_collect_faults(bool collect) {
  set().collects = collect;
}

int titan_emulator_take_faults(char *first, size_t bytes) {
  settings &s = set();
  if (first != nullptr && bytes > 0)
    snprintf(first, bytes, "%s", s.first.c_str());
  int count = s.faults;
  s.faults = 0;
  s.first.clear();
  return count;
}

uint64_t titan_emulator_grids(void) {
  return set().grids;
}
