// SPDX-License-Identifier: Apache-2.0
// Commands and options of a program, from the table of options or from the lines of its usage.
#include "app/help/help.h"

#include "config/spelling.h"

#include <ctype.h>
#include <string.h>

static titan_help_option *add_option(titan_help_program *program, int command, const char *name) {
  if (program->option_count == TITAN_HELP_OPTIONS || strlen(name) >= TITAN_HELP_NAME_BYTES)
    return NULL;
  titan_help_option *option = &program->options[program->option_count++];
  *option = (titan_help_option){.text = "", .command = command};
  strcpy(option->name, name);
  return option;
}

static titan_help_command *add_command(titan_help_program *program, const char *name) {
  if (program->command_count == TITAN_HELP_COMMANDS || strlen(name) >= TITAN_HELP_NAME_BYTES)
    return NULL;
  titan_help_command *command = &program->commands[program->command_count++];
  *command = (titan_help_command){0};
  strcpy(command->name, name);
  return command;
}

// "a|b|c=<what>" as "a b c=".
static bool set_words(titan_help_option *option, const char *words) {
  size_t length = 0;
  for (const char *c = words; *c != '\0'; c++) {
    if (*c == '<')
      c += strcspn(c, ">");
    else if (length + 1 == sizeof option->words)
      return false;
    else
      option->words[length++] = *c == '|' ? ' ' : *c;
    if (*c == '\0')
      break;
  }
  option->words[length] = '\0';
  return true;
}

// --- the table of options ---

static titan_help_takes takes_of(const titan_option *option) {
  if (option->type == TITAN_OPTION_BOOL)
    return TITAN_HELP_BOOL;
  if (option == &titan_options[TITAN_OPTION_job_config_file])
    return TITAN_HELP_PATH_LIST;
  if (option->type == TITAN_OPTION_PATH)
    return TITAN_HELP_PATH;
  if (option->constraint.words == NULL)
    return TITAN_HELP_ANYTHING;
  return option->type == TITAN_OPTION_LIST ? TITAN_HELP_WORD_LIST : TITAN_HELP_WORDS;
}

bool titan_help_read_table(titan_help_program *program) {
  if (add_command(program, "") == NULL)
    return false;
  for (int i = 0; i < TITAN_OPTION_COUNT; i++) {
    char name[TITAN_HELP_NAME_BYTES];
    snprintf(name, sizeof name, "--%s", titan_options[i].name);
    titan_help_option *option = add_option(program, 0, name);
    if (option == NULL)
      return false;
    option->takes = takes_of(&titan_options[i]);
    option->text = titan_options[i].help;
    const char *words = option->takes == TITAN_HELP_BOOL ? "true|false" : titan_options[i].constraint.words;
    if (words != NULL && !set_words(option, words))
      return false;
  }
  titan_help_option *help = add_option(program, 0, "--help"), *check = add_option(program, 0, "--check");
  titan_help_option *version = add_option(program, 0, "--version");
  if (help == NULL || check == NULL || version == NULL)
    return false;
  help->takes = TITAN_HELP_TOPIC;
  help->text = "Describe all options, those of a section, or one option";
  check->text = "Check the speed of ranks, links and groups with the options of a run";
  version->text = "Print the versions of the program and its libraries";
  return true;
}

// --- the lines of a usage ---

// Takes the next word of a line without its brackets: "[--dtype" as "--dtype". *closes: the word ends with a bracket.
static bool next_word(const char **at, const char *end, char *word, bool *closes) {
  while (*at < end && (**at == ' ' || **at == '['))
    (*at)++;
  size_t length = 0;
  *closes = false;
  for (; *at < end && **at != ' '; (*at)++) {
    *closes |= **at == ']';
    if (**at != ']' && length + 1 < TITAN_HELP_NAME_BYTES)
      word[length++] = **at;
  }
  word[length] = '\0';
  return length > 0;
}

// What stands for a value in capitals, or is an example of one.
static bool set_value(titan_help_option *option, const char *value) {
  if (strchr(value, '|') != NULL) {
    option->takes = TITAN_HELP_WORDS;
    return set_words(option, value);
  }
  option->takes = strcmp(value, "FILE") == 0     ? TITAN_HELP_PATH
                  : strcmp(value, "FOLDER") == 0 ? TITAN_HELP_FOLDER
                                                 : TITAN_HELP_ANYTHING;
  return true;
}

static titan_help_option *find_option(titan_help_program *program, int command, const char *name) {
  for (int i = 0; i < program->option_count; i++)
    if (program->options[i].command == command && strcmp(program->options[i].name, name) == 0)
      return &program->options[i];
  return add_option(program, command, name);
}

// "usage: titan-corpus text2jsonl INPUT [INPUT ...] --output FILE"
static bool read_line(titan_help_program *program, const char *at, const char *end) {
  char word[TITAN_HELP_NAME_BYTES];
  titan_help_option *open = NULL; // the option whose value may follow
  bool closes;
  at = strstr(at, program->name);
  if (at == NULL || at >= end)
    return false;
  at += strlen(program->name);
  const char *first = at;
  bool has_command = next_word(&first, end, word, &closes) && islower((unsigned char)word[0]);
  titan_help_command *command = add_command(program, has_command ? word : "");
  if (command == NULL)
    return false;
  if (has_command)
    at = first;
  while (next_word(&at, end, word, &closes)) {
    if (word[0] == '-') {
      open = find_option(program, program->command_count - 1, word);
      if (open == NULL)
        return false;
      if (closes || strspn(at, " ") == 0 || at[1] == '[')
        open = NULL; // it takes nothing
    } else if (open != NULL) {
      if (!set_value(open, word))
        return false;
      open = NULL;
    } else if (word[0] != '.') { // "..." repeats what stands before it
      command->positional = strcmp(word, "FOLDER") == 0 ? TITAN_HELP_FOLDER : TITAN_HELP_PATH;
    }
  }
  return true;
}

bool titan_help_read_usage(titan_help_program *program) {
  const char *line = program->usage;
  for (; *line != '\0' && *line != '\n'; line += strcspn(line, "\n") + 1)
    if (!read_line(program, line, line + strcspn(line, "\n")))
      return false;
  bool has_plain = program->commands[0].name[0] == '\0';
  if (!has_plain && add_command(program, "") == NULL)
    return false;
  int plain = has_plain ? 0 : program->command_count - 1;
  titan_help_option *help = add_option(program, plain, "--help");
  if (help == NULL)
    return false;
  help->text = "Print how the program is used";
  if (strstr(program->usage, "--version") == NULL)
    return true;
  titan_help_option *version = add_option(program, plain, "--version");
  if (version == NULL)
    return false;
  version->text = "Print the version of the program";
  return true;
}
