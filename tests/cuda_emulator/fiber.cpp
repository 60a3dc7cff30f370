// SPDX-License-Identifier: Apache-2.0
// Fibers: on x86-64 a switch saves the registers that a call keeps; elsewhere ucontext does it.
#include "emulator_private.h"

#include <cstdio>
#include <cstdlib>
#include <sys/mman.h>
#include <ucontext.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#endif

enum { STACK_BYTES = 256 << 10, GUARD_BYTES = 64 << 10 };

struct fiber {
  unsigned char *stack; // STACK_BYTES above a guard
  void (*entry)(void);
  void *pointer; // of the stack, while paused
  ucontext_t context;
  void *fake_stack;
};

static fiber *running;

#ifdef __SANITIZE_ADDRESS__
static const void *caller_stack;
static size_t caller_stack_bytes;
static void *caller_fake_stack;
static void before_resume(fiber *f) {
  __sanitizer_start_switch_fiber(&caller_fake_stack, f->stack, STACK_BYTES);
}
static void after_resume(void) {
  __sanitizer_finish_switch_fiber(caller_fake_stack, nullptr, nullptr);
}
static void before_pause(fiber *f) {
  __sanitizer_start_switch_fiber(&f->fake_stack, caller_stack, caller_stack_bytes);
}
static void after_pause(fiber *f) {
  __sanitizer_finish_switch_fiber(f->fake_stack, &caller_stack, &caller_stack_bytes);
}
#else
static void before_resume(fiber *) {}
static void after_resume(void) {}
static void before_pause(fiber *) {}
static void after_pause(fiber *) {}
#endif

static void begin(void) {
  fiber *f = running;
  after_pause(f);
  f->entry();
  abort(); // entries do not return
}

#ifdef __x86_64__
static void *caller_pointer;
extern "C" void titan_fiber_switch(void **save, void *to);
asm(".text\n"
    ".type titan_fiber_switch, @function\n"
    ".hidden titan_fiber_switch\n"
    ".globl titan_fiber_switch\n"
    "titan_fiber_switch:\n"
    "  pushq %rbp\n  pushq %rbx\n  pushq %r12\n  pushq %r13\n  pushq %r14\n  pushq %r15\n"
    "  movq %rsp, (%rdi)\n"
    "  movq %rsi, %rsp\n"
    "  popq %r15\n  popq %r14\n  popq %r13\n  popq %r12\n  popq %rbx\n  popq %rbp\n"
    "  ret\n"
    ".size titan_fiber_switch, . - titan_fiber_switch\n");

void fiber_reset(fiber *f) {
  void **top = reinterpret_cast<void **>(f->stack + STACK_BYTES - 56);
  top[0] = nullptr; // where begin would return to: the stack is aligned as after a call
  *--top = reinterpret_cast<void *>(begin);
  for (int i = 0; i < 6; i++)
    *--top = nullptr;
  f->pointer = top;
  f->fake_stack = nullptr;
}
static void switch_in(fiber *f) {
  titan_fiber_switch(&caller_pointer, f->pointer);
}
static void switch_out(fiber *f) {
  titan_fiber_switch(&f->pointer, caller_pointer);
}
#else
static ucontext_t caller_context;

void fiber_reset(fiber *f) {
  getcontext(&f->context);
  f->context.uc_stack.ss_sp = f->stack;
  f->context.uc_stack.ss_size = STACK_BYTES;
  f->context.uc_link = nullptr;
  makecontext(&f->context, begin, 0);
  f->fake_stack = nullptr;
}
static void switch_in(fiber *f) {
  swapcontext(&caller_context, &f->context);
}
static void switch_out(fiber *f) {
  swapcontext(&f->context, &caller_context);
}
#endif

fiber *fiber_create(void (*entry)(void)) {
  fiber *f = new fiber();
  void *memory = mmap(nullptr, STACK_BYTES + GUARD_BYTES, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED || mprotect(memory, GUARD_BYTES, PROT_NONE) != 0) {
    perror("the emulator's stacks");
    abort();
  }
  f->stack = static_cast<unsigned char *>(memory) + GUARD_BYTES;
  f->entry = entry;
  fiber_reset(f);
  return f;
}

void fiber_resume(fiber *f) {
  running = f;
  before_resume(f);
  switch_in(f);
  after_resume();
  running = nullptr;
}

void fiber_pause(void) {
  fiber *f = running;
  before_pause(f);
  switch_out(f);
  after_pause(f);
}
