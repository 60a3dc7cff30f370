// SPDX-License-Identifier: Apache-2.0
// The rows of spellings.def as data: keys of TorchTitan's later files, and what they stand for here.
#ifndef TITAN_CONFIG_SPELLING_H
#define TITAN_CONFIG_SPELLING_H

#include "config/option.h"

typedef enum titan_meaning_kind {
  TITAN_MEANING_SAME,
  TITAN_MEANING_OPPOSITE,
  TITAN_MEANING_IS_WORD,
  TITAN_MEANING_FIXED,
  TITAN_MEANING_UNUSED,
} titan_meaning_kind;

typedef struct titan_meaning {
  titan_meaning_kind kind;
  const char *word;  // IS_WORD: the one that means true
  const char *words; // IS_WORD: all words; FIXED: the accepted values, NULL for none ("a|b")
  const char *text;  // FIXED and UNUSED: for people
} titan_meaning;

typedef struct titan_spelling {
  const char *section, *key, *name; // name: "section.key"
  int target;                       // index of the option, -1 for FIXED and UNUSED
  titan_meaning meaning;
} titan_spelling;

extern const titan_spelling titan_spellings[];
extern const size_t titan_spelling_count;

// NULL when the name is no spelling.
const titan_spelling *titan_spelling_find(const char *name);

bool titan_spelling_section_exists(const char *section);

// What the key stands for, as a sentence without its end: "training.batch_size", "the opposite of ...".
titan_status titan_spelling_describe(const titan_spelling *spelling, titan_text *text);

// Takes one value under the name `name`, which may be an option or a spelling. *known is false, and nothing is done,
// when it is neither. A value that does not fit is a problem.
titan_status titan_name_assign(titan_config *config, const char *name, titan_value value,
                               const titan_option_place *place, titan_problems *problems, bool *known);

#endif
