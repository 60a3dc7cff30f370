// SPDX-License-Identifier: Apache-2.0
#include "pcre2_split.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>

struct pcre2_split {
  pcre2_code *code;
  pcre2_match_data *data;
  pcre2_match_context *context;
  pcre2_jit_stack *stack;
};

pcre2_split *pcre2_split_create(const char *pattern) {
  int error;
  PCRE2_SIZE offset;
  pcre2_split *split = calloc(1, sizeof *split);
  if (!split)
    return NULL;
  split->code = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_UCP, &error, &offset, NULL);
  if (!split->code) {
    pcre2_split_destroy(split);
    return NULL;
  }
  pcre2_jit_compile(split->code, PCRE2_JIT_COMPLETE); // without it, matching only takes longer
  split->data = pcre2_match_data_create_from_pattern(split->code, NULL);
  split->context = pcre2_match_context_create(NULL);
  split->stack = pcre2_jit_stack_create(32 << 10, 64 << 20, NULL);
  pcre2_jit_stack_assign(split->context, NULL, split->stack);
  return split;
}

void pcre2_split_destroy(pcre2_split *split) {
  if (!split)
    return;
  pcre2_match_data_free(split->data);
  pcre2_match_context_free(split->context);
  pcre2_jit_stack_free(split->stack);
  pcre2_code_free(split->code);
  free(split);
}

bool pcre2_split_next(pcre2_split *split, const char *text, size_t length, size_t at, size_t *start, size_t *end) {
  int count = pcre2_match(split->code, (PCRE2_SPTR)text, length, at, PCRE2_NO_UTF_CHECK, split->data, split->context);
  if (count < 0) {
    if (count != PCRE2_ERROR_NOMATCH)
      fprintf(stderr, "pcre2_match gave %d\n", count);
    return false;
  }
  const PCRE2_SIZE *ends = pcre2_get_ovector_pointer(split->data);
  *start = ends[0];
  *end = ends[1];
  return true;
}

int pcre2_split_unicode_version(void) {
  char version[64] = "";
  pcre2_config(PCRE2_CONFIG_UNICODE_VERSION, version);
  return atoi(version);
}
