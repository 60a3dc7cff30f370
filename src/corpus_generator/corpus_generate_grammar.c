// SPDX-License-Identifier: Apache-2.0
// Compiles the rule tables into nodes.
//
// Notation of a rule's text:
//   [a|b|]       one of the alternatives, which may hold more of the same; an empty one is allowed
//   {rule}       one of the rows of that name, the first ones more often
//   {noun}       a word of the class; {noun3} the document's third noun, the same wherever it is written; {noun3!} a
//                new third noun; {noun3.s} a form of it. Classes: noun verb adj place job material food animal colour
//                adv feeling. Forms: s past pp ing agent able re ly ness un
//   {P1.he}      of a person: full family he him his himself job town born pet petname colour food title; {P1} alone is
//                the first name
//   {T1.river}   of a town: river region founded people product; {T1} alone is the name. P1 lives in T1
//   {N1 2 90}    sets a number of that range and writes nothing, as does {N3 = N1 + N2}, also with - and *; {N1} writes
//                it, {N1.words} {N1.ordinal} {N1.money} in other forms. With '!', {N1! 2 90}, it is set anew
//   {date} {month} {weekday} {year} {time}, each with a digit to be remembered: {date1}
//   {X1}         an invented name
//   {a}          the article that fits the next word
//   {^}          the next letter is a capital
//   {topic}      the document's topic
// Sentences, paragraphs and quoted speech get their capital letters by themselves.
#include "base/memory.h"
#include "corpus_generator/corpus_generate_internal.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct titan_grammar {
  titan_node *nodes;
  titan_rule *rules;
  int node_count, node_capacity, rule_count, rule_capacity;
};

static const char *const class_names[] = {"noun", "verb",   "adj",    "place", "job",     "material",
                                          "food", "animal", "colour", "adv",   "feeling", NULL};
static const char *const form_names[] = {"base", "s",  "past", "pp",   "ing", "agent",
                                         "able", "re", "ly",   "ness", "un",  NULL};
static const char *const person_names[] = {"first", "full", "family", "he",      "him",    "his",  "himself", "job",
                                           "town",  "born", "pet",    "petname", "colour", "food", "title",   NULL};
static const char *const town_names[] = {"name", "river", "region", "founded", "people", "product", NULL};
static const char *const number_names[] = {"digits", "words", "ordinal", "money", NULL};
static const char *const calendar_names[] = {"date", "month", "weekday", "year", "time", NULL};

static int index_of(const char *const *names, const char *name) {
  for (int i = 0; names[i] != NULL; i++)
    if (strcmp(names[i], name) == 0)
      return i;
  return -1;
}

static titan_status add_node(titan_grammar *grammar, int *out) {
  if (grammar->node_count == grammar->node_capacity) {
    int capacity = grammar->node_capacity == 0 ? 4096 : 2 * grammar->node_capacity;
    TITAN_TRY(titan_memory_resize(TITAN_MEMORY_DATA, (size_t)capacity * sizeof *grammar->nodes, &grammar->nodes));
    grammar->node_capacity = capacity;
  }
  *out = grammar->node_count++;
  grammar->nodes[*out] = (titan_node){.next = -1};
  return TITAN_OK;
}

static titan_status add_rule(titan_grammar *grammar, const char *name, int alternatives, int *out) {
  if (grammar->rule_count == grammar->rule_capacity) {
    int capacity = grammar->rule_capacity == 0 ? 1024 : 2 * grammar->rule_capacity;
    TITAN_TRY(titan_memory_resize(TITAN_MEMORY_DATA, (size_t)capacity * sizeof *grammar->rules, &grammar->rules));
    grammar->rule_capacity = capacity;
  }
  *out = grammar->rule_count;
  titan_rule *rule = &grammar->rules[*out];
  *rule = (titan_rule){.count = alternatives};
  if (strlen(name) >= sizeof rule->name)
    return titan_error(TITAN_ERROR_INTERNAL, "grammar: rule name '%s' is too long", name);
  strcpy(rule->name, name);
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_DATA, (size_t)alternatives, sizeof(int), &rule->alternatives));
  grammar->rule_count++;
  return TITAN_OK;
}

int titan_grammar_find(const titan_grammar *grammar, const char *name) {
  for (int i = 0; i < grammar->rule_count; i++)
    if (strcmp(grammar->rules[i].name, name) == 0)
      return i;
  return -1;
}

// Operands after the name: "2 90" or "= N1 + N2".
static titan_status parse_number(titan_node *node, const char *arguments) {
  char sign;
  int left, right;
  if (arguments[0] == '\0')
    node->arithmetic = TITAN_NUMBER_PLAIN;
  else if (sscanf(arguments, " = N%d %c N%d", &left, &sign, &right) == 3) {
    node->arithmetic = sign == '+' ? TITAN_NUMBER_SUM : sign == '-' ? TITAN_NUMBER_DIFFERENCE : TITAN_NUMBER_PRODUCT;
    node->low = left, node->high = right;
  } else if (sscanf(arguments, " %ld %ld", &node->low, &node->high) == 2)
    node->arithmetic = TITAN_NUMBER_RANGE;
  else
    return titan_error(TITAN_ERROR_INTERNAL, "grammar: cannot read the number '%s'", arguments);
  return TITAN_OK;
}

static bool set_slot(titan_node *node, titan_slot slot, int attribute) {
  node->slot = slot;
  node->attribute = attribute;
  return attribute >= 0;
}

// The slots with a table of names of their own; false: not one of them, or its attribute is unknown.
static bool name_slot(titan_grammar *grammar, titan_node *node, const char *name, const char *attribute) {
  int found;
  if (strcmp(name, "P") == 0)
    return set_slot(node, TITAN_SLOT_PERSON, attribute[0] == '\0' ? 0 : index_of(person_names, attribute));
  if (strcmp(name, "T") == 0)
    return set_slot(node, TITAN_SLOT_TOWN, attribute[0] == '\0' ? 0 : index_of(town_names, attribute));
  if (strcmp(name, "N") == 0)
    return set_slot(node, TITAN_SLOT_NUMBER, attribute[0] == '\0' ? 0 : index_of(number_names, attribute));
  if (strcmp(name, "X") == 0)
    return set_slot(node, TITAN_SLOT_NAME, 0);
  if (strcmp(name, "a") == 0)
    return set_slot(node, TITAN_SLOT_ARTICLE, 0);
  if (strcmp(name, "^") == 0)
    return set_slot(node, TITAN_SLOT_CAPITAL, 0);
  if (strcmp(name, "topic") == 0)
    return set_slot(node, TITAN_SLOT_TOPIC, 0);
  if ((found = index_of(calendar_names, name)) >= 0)
    return set_slot(node, TITAN_SLOT_CALENDAR, found);
  if ((found = index_of(class_names, name)) >= 0) {
    node->word_class = found;
    node->form = attribute[0] == '\0' ? 0 : index_of(form_names, attribute);
    return set_slot(node, TITAN_SLOT_WORD, node->form);
  }
  node->rule = titan_grammar_find(grammar, name);
  return set_slot(node, TITAN_SLOT_CHOICE, node->rule);
}

// content: what stands between braces.
static titan_status parse_slot(titan_grammar *grammar, int index, const char *content, size_t length) {
  char name[64], *attribute = "", *arguments = "";
  if (length >= sizeof name)
    return titan_error(TITAN_ERROR_INTERNAL, "grammar: slot '%.*s' is too long", (int)length, content);
  memcpy(name, content, length);
  name[length] = '\0';
  titan_node *node = &grammar->nodes[index];
  char *blank = strchr(name, ' ');
  if (blank != NULL)
    *blank = '\0', arguments = blank + 1;
  if (titan_grammar_find(grammar, name) < 0) {
    char *dot = strchr(name, '.');
    if (dot != NULL)
      *dot = '\0', attribute = dot + 1;
    size_t end = strlen(name);
    if (end > 1 && name[end - 1] == '!')
      node->fresh = true, name[--end] = '\0';
    if (end > 1 && isdigit((unsigned char)name[end - 1]))
      node->variable = name[end - 1] - '0', name[--end] = '\0';
  }
  if (!name_slot(grammar, node, name, attribute))
    return titan_error(TITAN_ERROR_INTERNAL, "grammar: no slot or rule '{%.*s}'", (int)length, content);
  if (node->slot == TITAN_SLOT_NUMBER)
    return parse_number(node, arguments);
  return TITAN_OK;
}

static titan_status parse_sequence(titan_grammar *grammar, const char **cursor, int *first);

static titan_status parse_choice(titan_grammar *grammar, int index, const char **cursor) {
  int alternatives = 1, depth = 0, rule;
  for (const char *c = *cursor; *c != '\0' && depth >= 0; c++) {
    depth += (*c == '[') - (*c == ']');
    alternatives += *c == '|' && depth == 0;
  }
  TITAN_TRY(add_rule(grammar, "", alternatives, &rule));
  for (int i = 0; i < alternatives; i++) {
    int first;
    TITAN_TRY(parse_sequence(grammar, cursor, &first));
    grammar->rules[rule].alternatives[i] = first;
    if (**cursor != (i + 1 < alternatives ? '|' : ']'))
      return titan_error(TITAN_ERROR_INTERNAL, "grammar: '[' without ']'");
    ++*cursor;
  }
  grammar->nodes[index].slot = TITAN_SLOT_CHOICE;
  grammar->nodes[index].rule = rule;
  return TITAN_OK;
}

// Reads up to the end of the text or to a '|' or ']' of the enclosing choice.
static titan_status parse_sequence(titan_grammar *grammar, const char **cursor, int *first) {
  int last = -1, index = -1;
  *first = -1;
  while (**cursor != '\0' && **cursor != '|' && **cursor != ']') {
    TITAN_TRY(add_node(grammar, &index));
    if (last < 0)
      *first = index;
    else
      grammar->nodes[last].next = index;
    last = index;
    if (**cursor == '[') {
      ++*cursor;
      TITAN_TRY(parse_choice(grammar, index, cursor));
    } else if (**cursor == '{') {
      size_t length = strcspn(*cursor, "}");
      TITAN_TRY(parse_slot(grammar, index, *cursor + 1, length - 1));
      *cursor += length + 1;
    } else {
      size_t length = strcspn(*cursor, "[]|{");
      grammar->nodes[index].text = *cursor;
      grammar->nodes[index].length = length;
      *cursor += length;
    }
  }
  return TITAN_OK;
}

static const titan_rule_source *const tables[] = {titan_generate_rules_sentences, titan_generate_rules_stories,
                                                  titan_generate_rules_papers};
enum { TABLE_COUNT = sizeof tables / sizeof tables[0] };

static int rows_of_same_name(const titan_rule_source *row) {
  int count = 1;
  while (row[count].name != NULL && strcmp(row[count].name, row->name) == 0)
    count++;
  return count;
}

static titan_status compile(titan_grammar *grammar) {
  int rule;
  for (int t = 0; t < TABLE_COUNT; t++) // names first, so that rules can refer to later ones
    for (const titan_rule_source *row = tables[t]; row->name != NULL; row += grammar->rules[rule].count)
      TITAN_TRY(add_rule(grammar, row->name, rows_of_same_name(row), &rule));
  for (int t = 0; t < TABLE_COUNT; t++)
    for (const titan_rule_source *row = tables[t]; row->name != NULL;) {
      rule = titan_grammar_find(grammar, row->name);
      int count = grammar->rules[rule].count;
      for (int i = 0; i < count; i++, row++) {
        const char *cursor = row->text;
        int first;
        if (parse_sequence(grammar, &cursor, &first) != TITAN_OK || *cursor != '\0') {
          char message[200];
          snprintf(message, sizeof message, "%s", titan_error_message());
          return titan_error(TITAN_ERROR_INTERNAL, "%s, in the row %s: %s", message, row->name, row->text);
        }
        grammar->rules[rule].alternatives[i] = first;
      }
    }
  return TITAN_OK;
}

titan_status titan_grammar_create(titan_grammar **out) {
  *out = NULL;
  titan_grammar *grammar;
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_DATA, 1, sizeof *grammar, &grammar));
  titan_status status = compile(grammar);
  if (status != TITAN_OK) {
    titan_grammar_destroy(&grammar);
    return status;
  }
  *out = grammar;
  return TITAN_OK;
}

void titan_grammar_destroy(titan_grammar **grammar) {
  if (*grammar == NULL)
    return;
  for (int i = 0; i < (*grammar)->rule_count; i++)
    titan_memory_free((*grammar)->rules[i].alternatives);
  titan_memory_free((*grammar)->rules);
  titan_memory_free((*grammar)->nodes);
  titan_memory_free(*grammar);
  *grammar = NULL;
}

const titan_rule *titan_grammar_rule(const titan_grammar *grammar, int rule) {
  return &grammar->rules[rule];
}

const titan_node *titan_grammar_node(const titan_grammar *grammar, int node) {
  return &grammar->nodes[node];
}
