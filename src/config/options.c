#include "config/option.h"

#include <stddef.h>
#include <string.h>

// The words of options.def, as initializers.
#define ANY                                                                                                            \
  { 0 }
#define NOT_EMPTY                                                                                                      \
  { .kind = TITAN_CONSTRAINT_NOT_EMPTY }
#define CHOICES(list)                                                                                                  \
  { .kind = TITAN_CONSTRAINT_CHOICES, .words = list }
#define CHOICES_ANY_CASE(list)                                                                                         \
  { .kind = TITAN_CONSTRAINT_CHOICES_ANY_CASE, .words = list }
#define AT_LEAST(limit)                                                                                                \
  { .kind = TITAN_CONSTRAINT_AT_LEAST, .minimum = limit }
#define ABOVE(limit)                                                                                                   \
  { .kind = TITAN_CONSTRAINT_ABOVE, .minimum = limit }
#define AT_LEAST_OR(limit, other)                                                                                      \
  { .kind = TITAN_CONSTRAINT_AT_LEAST_OR, .minimum = limit, .special = other }
#define AT_LEAST_BELOW(lowest, limit)                                                                                  \
  { .kind = TITAN_CONSTRAINT_AT_LEAST_BELOW, .minimum = lowest, .maximum = limit }
#define FROM_TO(lowest, highest)                                                                                       \
  { .kind = TITAN_CONSTRAINT_FROM_TO, .minimum = lowest, .maximum = highest }
#define FROM_TO_OR(lowest, highest, other)                                                                             \
  { .kind = TITAN_CONSTRAINT_FROM_TO_OR, .minimum = lowest, .maximum = highest, .special = other }
#define WORD_OR_COUNT(word)                                                                                            \
  { .kind = TITAN_CONSTRAINT_WORD_OR_COUNT, .words = word }
#define LIST_OF(list)                                                                                                  \
  { .kind = TITAN_CONSTRAINT_LIST_OF, .words = list }
#define AVAILABLE                                                                                                      \
  { .kind = TITAN_AVAILABLE }
#define LATER(value)                                                                                                   \
  { .kind = TITAN_LATER, .off = value }
#define LATER_WARNED(value, what)                                                                                      \
  { .kind = TITAN_LATER_WARNED, .off = value, .note = what }
#define NO_EFFECT(value, why)                                                                                          \
  { .kind = TITAN_NO_EFFECT, .off = value, .note = why }
#define REFUSED(value, why)                                                                                            \
  { .kind = TITAN_REFUSED, .off = value, .note = why }

const titan_option titan_options[TITAN_OPTION_COUNT] = {
#define OPTION(section_, key_, type_, default_, constraint_, origin_, availability_, help_)                            \
  [TITAN_OPTION_##section_##_##key_] = {.section = #section_,                                                          \
                                        .key = #key_,                                                                  \
                                        .name = #section_ "." #key_,                                                   \
                                        .type = TITAN_OPTION_##type_,                                                  \
                                        .offset = offsetof(titan_config, section_.key_),                               \
                                        .constraint = constraint_,                                                     \
                                        .origin = TITAN_ORIGIN_##origin_,                                              \
                                        .availability = availability_,                                                 \
                                        .help = help_},
#include "config/options.def"
};

const titan_config titan_config_defaults = {
#define SECTION(section, text) .section = {
#define END_SECTION(section)                                                                                           \
  }                                                                                                                    \
  ,
#define OPTION(section, key_, type, default_, ...) .key_ = default_,
#include "config/options.def"
};

const titan_option_section titan_option_sections[] = {
#define SECTION(section, text_) {#section, text_},
#include "config/options.def"
};
const size_t titan_option_section_count = sizeof titan_option_sections / sizeof titan_option_sections[0];

static const struct {
  const char *name;
  int target;
} negations[] = {
#define NEGATION(section, key, target_) {#section "." #key, TITAN_OPTION_##section##_##target_},
#include "config/options.def"
};
enum { NEGATION_COUNT = sizeof negations / sizeof negations[0] };

int titan_option_find(const char *name, bool *negated) {
  *negated = false;
  for (int i = 0; i < TITAN_OPTION_COUNT; i++)
    if (strcmp(name, titan_options[i].name) == 0)
      return i;
  for (int i = 0; i < NEGATION_COUNT; i++)
    if (strcmp(name, negations[i].name) == 0) {
      *negated = true;
      return negations[i].target;
    }
  return -1;
}

bool titan_option_section_exists(const char *section) {
  for (size_t i = 0; i < titan_option_section_count; i++)
    if (strcmp(section, titan_option_sections[i].name) == 0)
      return true;
  return false;
}

const char *titan_option_nearest(const char *name) {
  const char *dot = strchr(name, '.');
  const char *key = dot ? dot + 1 : name;
  const char *nearest = NULL;
  size_t smallest = SIZE_MAX;
  for (int i = 0; i < TITAN_OPTION_COUNT; i++) {
    // The right key in a wrong section, or with none, is the likeliest mistake of all.
    size_t distance = strcmp(key, titan_options[i].key) == 0 ? 0 : titan_text_distance(name, titan_options[i].name);
    size_t without_section = dot ? distance : titan_text_distance(key, titan_options[i].key);
    distance = without_section < distance ? without_section : distance;
    if (distance < smallest)
      smallest = distance, nearest = titan_options[i].name;
  }
  return nearest;
}

const char *titan_option_nearest_section(const char *section) {
  const char *nearest = NULL;
  size_t smallest = SIZE_MAX;
  for (size_t i = 0; i < titan_option_section_count; i++) {
    size_t distance = titan_text_distance(section, titan_option_sections[i].name);
    if (distance < smallest)
      smallest = distance, nearest = titan_option_sections[i].name;
  }
  return nearest;
}
