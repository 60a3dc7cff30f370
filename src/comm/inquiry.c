// SPDX-License-Identifier: Apache-2.0
#include "comm/inquiry.h"

#include "comm/recorder.h"
#include "comm/stack.h"

#include <string.h>

enum { MOST_STACKS = 8, MOST_LOWER = 64 };

titan_status titan_inquiry_create(const titan_side_peer *peers, int self, int size, uint64_t secret,
                                  const titan_side_time *time, titan_inquiry *out) {
  *out = (titan_inquiry){
      .question = {
          .peers = peers, .self = self, .size = size, .request = {.secret = secret, .from = self}, .time = time}};
  size_t count = (size_t)size;
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_OBSERVE, count, sizeof *out->ranks, &out->ranks));
  return titan_memory_allocate_zeroed(TITAN_MEMORY_OBSERVE, count, sizeof *out->dialogues, &out->dialogues);
}

void titan_inquiry_destroy(titan_inquiry *inquiry) {
  if (inquiry->dialogues != NULL)
    titan_side_hang_up(inquiry->dialogues, inquiry->question.size);
  titan_memory_free(inquiry->dialogues);
  titan_memory_free(inquiry->ranks);
  *inquiry = (titan_inquiry){0};
}

// Asks the ranks of [first, last].
static void ask(titan_inquiry *inquiry, titan_side_kind kind, int first, int last, double seconds) {
  for (int rank = 0; rank < inquiry->question.size; rank++)
    inquiry->dialogues[rank].asked = rank >= first && rank <= last;
  inquiry->question.request.kind = kind;
  titan_side_exchange(&inquiry->question, seconds, inquiry->dialogues);
}

bool titan_inquiry_leave(titan_inquiry *inquiry) {
  const double seconds = TITAN_INQUIRY_LEAVE / 1e3;
  int self = inquiry->question.self, last = self - 1 < MOST_LOWER ? self - 1 : MOST_LOWER;
  if (self == 0)
    return false;
  ask(inquiry, TITAN_SIDE_LATE, 0, 0, seconds);
  if (inquiry->dialogues[0].answered)
    return true;
  ask(inquiry, TITAN_SIDE_WHERE, 1, last, seconds);
  for (int rank = 1; rank <= last; rank++)
    if (inquiry->dialogues[rank].answered) {
      ask(inquiry, TITAN_SIDE_LATE, rank, rank, seconds);
      return inquiry->dialogues[rank].answered;
    }
  return false;
}

// Takes the stacks of ranks that wait for nothing.
static void ask_for_stacks(titan_inquiry *inquiry, double seconds) {
  int left = MOST_STACKS, self = inquiry->question.self;
  for (int rank = 0; rank < inquiry->question.size; rank++)
    inquiry->dialogues[rank].asked = !inquiry->ranks[rank].where.waits && left-- > 0;
  bool own = inquiry->dialogues[self].asked;
  inquiry->question.request.kind = TITAN_SIDE_STACK;
  titan_side_exchange(&inquiry->question, seconds, inquiry->dialogues);
  for (int rank = 0; rank < inquiry->question.size; rank++)
    if (inquiry->dialogues[rank].answered)
      snprintf(inquiry->ranks[rank].stack, TITAN_STACK_BYTES, "%.*s", TITAN_STACK_BYTES - 1,
               inquiry->dialogues[rank].answer.stack);
  if (own)
    titan_stack_take(true, inquiry->ranks[self].stack, TITAN_STACK_BYTES);
}

bool titan_inquiry_ask(titan_inquiry *inquiry, int waiter, double timeout) {
  const titan_side_time *time = inquiry->question.time;
  int size = inquiry->question.size, self = inquiry->question.self;
  bool all_answer = true;
  double deadline = time->now(time->context) + TITAN_INQUIRY_TELL / 1e3;
  ask(inquiry, TITAN_SIDE_WHERE, 0, size - 1, TITAN_INQUIRY_TELL / 1e3);
  for (int rank = 0; rank < size; rank++) {
    titan_verdict_rank *one = &inquiry->ranks[rank];
    one->answered = rank == self || inquiry->dialogues[rank].answered;
    all_answer &= one->answered;
    if (rank == self)
      titan_recorder_whereabouts(&one->where);
    else if (one->answered)
      one->where = inquiry->dialogues[rank].answer.where;
  }
  const titan_verdict_rank *late = &inquiry->ranks[waiter];
  if (!late->answered || !late->where.waits || late->where.wait_seconds < timeout)
    return false;
  if (all_answer)
    ask_for_stacks(inquiry, deadline - time->now(time->context));
  return true;
}

void titan_inquiry_end(titan_inquiry *inquiry) {
  ask(inquiry, TITAN_SIDE_END, 0, inquiry->question.size - 1, TITAN_INQUIRY_END / 1e3);
}
