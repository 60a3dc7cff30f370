// SPDX-License-Identifier: Apache-2.0
#include "step/csv_cell.h"

#include <stdio.h>
#include <string.h>

enum { MOST_DIGITS = 9 };

// What stands between a stage and a microbatch. Longer names come before those that they begin with.
static const struct {
  const char *name;
  bool computes, of_microbatch;
  titan_compute compute;
} kinds[] = {{"RESHARD", .of_microbatch = false},
             {"UNSHARD", .of_microbatch = false},
             {"REDUCE_GRAD", .of_microbatch = false},
             {"SEND_F", .of_microbatch = true},
             {"RECV_F", .of_microbatch = true},
             {"SEND_B", .of_microbatch = true},
             {"RECV_B", .of_microbatch = true},
             {"F", true, true, TITAN_COMPUTE_FORWARD},
             {"B", true, true, TITAN_COMPUTE_BACKWARD},
             {"I", true, true, TITAN_COMPUTE_INPUT_GRADIENT},
             {"W", true, true, TITAN_COMPUTE_WEIGHT_GRADIENT}};

static const char no_action[] = "this is not an action: expected stage, action, microbatch, as 3F5, 0I2 or 1UNSHARD";

// The number at *at, which moves behind it; -1: there is none, or it is too long.
static int number(const char **at, const char *end) {
  int value = 0, digits = 0;
  for (; *at < end && **at >= '0' && **at <= '9'; ++*at)
    if (++digits <= MOST_DIGITS)
      value = 10 * value + (**at - '0');
  return digits >= 1 && digits <= MOST_DIGITS ? value : -1;
}

static const char *parse_action(const char *text, const char *end, int microbatches, titan_csv_action *out) {
  static _Thread_local char reason[96];
  const char *at = text;
  size_t kind = 0;
  *out = (titan_csv_action){.cell.stage = number(&at, end), .cell.microbatch = -1};
  while (kind < sizeof kinds / sizeof *kinds &&
         ((size_t)(end - at) < strlen(kinds[kind].name) || memcmp(at, kinds[kind].name, strlen(kinds[kind].name)) != 0))
    kind++;
  if (out->cell.stage < 0 || kind == sizeof kinds / sizeof *kinds)
    return no_action;
  at += strlen(kinds[kind].name);
  out->computes = kinds[kind].computes;
  out->cell.compute = kinds[kind].compute;
  if (kinds[kind].of_microbatch)
    out->cell.microbatch = number(&at, end);
  if (at != end)
    return no_action;
  if (!kinds[kind].of_microbatch)
    return NULL;
  if (out->cell.microbatch < 0)
    return "the microbatch is missing: expected stage, action, microbatch, as 3F5";
  if (out->cell.microbatch < microbatches)
    return NULL;
  snprintf(reason, sizeof reason, "microbatch %d is out of range: the microbatches are 0 to %d", out->cell.microbatch,
           microbatches - 1);
  return reason;
}

static const char *parse_pair(const char *text, const char *end, int microbatches, titan_csv_action actions[2]) {
  static const char name[] = "OVERLAP_F_B";
  const char *middle = memchr(text, ';', (size_t)(end - text)), *close = memchr(text, ')', (size_t)(end - text));
  if (middle == NULL || close == NULL || middle > close)
    return "this is not a pair: expected a forward and a backward, as (0F4;7B1)OVERLAP_F_B";
  size_t rest = (size_t)(end - close - 1);
  if (rest != 0 && (rest != strlen(name) || memcmp(close + 1, name, rest) != 0))
    return "expected OVERLAP_F_B after the pair";
  const char *second = middle + 1;
  while (second < close && *second == ' ')
    second++;
  const char *reason = parse_action(text + 1, middle, microbatches, &actions[0]);
  if (reason == NULL)
    reason = parse_action(second, close, microbatches, &actions[1]);
  if (reason != NULL)
    return reason;
  const titan_cell *forward = &actions[0].cell, *backward = &actions[1].cell;
  if (!actions[0].computes || !actions[1].computes || forward->compute != TITAN_COMPUTE_FORWARD ||
      (backward->compute != TITAN_COMPUTE_BACKWARD && backward->compute != TITAN_COMPUTE_INPUT_GRADIENT) ||
      forward->microbatch == backward->microbatch)
    return "a pair is a forward and, of another microbatch, a backward (B or I)";
  actions[0].cell.paired = true;
  return NULL;
}

const char *titan_csv_cell_parse(const char *text, size_t length, int microbatches, titan_csv_action actions[2],
                                 int *count) {
  bool pair = length > 0 && text[0] == '(';
  *count = pair ? 2 : 1;
  return pair ? parse_pair(text, text + length, microbatches, actions)
              : parse_action(text, text + length, microbatches, actions);
}
