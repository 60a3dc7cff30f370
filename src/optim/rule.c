// SPDX-License-Identifier: Apache-2.0
#include "optim/rule.h"

#include <string.h>

static const titan_optimizer_rule *const rules[] = {
#define TITAN_OPTIMIZER(rule, name) &titan_optimizer_rule_##rule,
#include "optim/rules.def"
#undef TITAN_OPTIMIZER
};

const titan_optimizer_rule *titan_optimizer_rule_find(const char *name) {
  for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
    if (strcmp(rules[i]->name, name) == 0)
      return rules[i];
  return NULL;
}

const char *titan_optimizer_rule_names(void) {
#define TITAN_OPTIMIZER(rule, name) ", " name
  static const char names[] =
#include "optim/rules.def"
      ;
#undef TITAN_OPTIMIZER
  return names + 2;
}

const titan_optimizer_rule *titan_optimizer_rule_at(int index) {
  return (size_t)index < sizeof rules / sizeof *rules ? rules[index] : NULL;
}

bool titan_optimizer_rule_has(const titan_optimizer_rule *rule, const char *option) {
  for (const char *const *name = rule->constants; *name != NULL; name++)
    if (strcmp(*name, option) == 0)
      return true;
  return false;
}
