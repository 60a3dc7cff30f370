// SPDX-License-Identifier: Apache-2.0
// Completion for zsh, with its own function _arguments.
#include "app/help/help.h"

#include <string.h>

enum { LONGEST_TEXT = 70 };

// The beginning of a text, up to the end of a sentence or of the last whole word, as _arguments and quotes want it.
static void put_summary(FILE *file, const char *text) {
  size_t length = strcspn(text, ".;:");
  while (text[length] != '\0' && text[length + 1] != ' ' && text[length + 1] != '\0')
    length += 1 + strcspn(text + length + 1, ".;:"); // inside a word
  if (length > LONGEST_TEXT)
    for (length = LONGEST_TEXT; length > 0 && text[length] != ' ';)
      length--;
  for (size_t i = 0; i < length; i++) {
    if (text[i] == '\'')
      fputs("'\\'", file);
    if (strchr("[]\\", text[i]) != NULL)
      fputc('\\', file);
    fputc(text[i], file);
  }
}

// What follows the description of an option: ":message:action".
static void put_action(const titan_help_option *option, FILE *file) {
  switch (option->takes) {
  case TITAN_HELP_NOTHING:
    break;
  case TITAN_HELP_ANYTHING:
    fputs(":value:", file);
    break;
  case TITAN_HELP_BOOL:
    fputs("::value:(true false)", file);
    break;
  case TITAN_HELP_WORDS:
    fprintf(file, ":value:(%s)", option->words);
    break;
  case TITAN_HELP_WORD_LIST:
    fprintf(file, ":values:_values -s , value %s", option->words);
    break;
  case TITAN_HELP_PATH:
    fputs(":path:_files", file);
    break;
  case TITAN_HELP_PATH_LIST:
    fputs(":paths:_files", file);
    break;
  case TITAN_HELP_FOLDER:
    fputs(":folder:_files -/", file);
    break;
  case TITAN_HELP_TOPIC:
    fputs("::section or option:($topics)", file);
    break;
  }
}

static void put_option(const titan_help_option *option, FILE *file) {
  bool takes = option->takes != TITAN_HELP_NOTHING;
  bool is_topic = option->takes == TITAN_HELP_TOPIC;
  fprintf(file, "    %c*%s%s", is_topic ? '"' : '\'', option->name, takes ? "=" : "");
  if (option->text[0] != '\0') {
    fputc('[', file);
    put_summary(file, option->text);
    fputc(']', file);
  }
  put_action(option, file);
  fprintf(file, "%c\n", is_topic ? '"' : '\'');
}

static void put_arguments(const titan_help_program *program, int command, FILE *file) {
  fputs("  arguments=(\n", file);
  for (int i = 0; i < program->option_count; i++)
    if (program->options[i].command == command)
      put_option(&program->options[i], file);
  if (program->commands[command].positional != TITAN_HELP_NOTHING)
    fprintf(file, "    '*:path:_files%s'\n", program->commands[command].positional == TITAN_HELP_FOLDER ? " -/" : "");
  fputs("  )\n", file);
}

static void put_topics(const titan_help_program *program, FILE *file) {
  fputs("local -aU topics\ntopics=(", file);
  for (int i = 0; i < program->option_count; i++) {
    const char *name = program->options[i].name + strlen("--"), *dot = strchr(name, '.');
    if (dot != NULL)
      fprintf(file, " %.*s %s", (int)(dot - name), name, name);
  }
  fputs(")\n", file);
}

// The commands stand where the first argument is; what follows one is completed by its own options.
static void put_commands(const titan_help_program *program, FILE *file) {
  fputs("case ${words[2]} in\n", file);
  for (int c = 0; c < program->command_count; c++) {
    if (program->commands[c].name[0] == '\0')
      continue;
    fprintf(file, "%s)\n  shift words\n  (( CURRENT-- ))\n", program->commands[c].name);
    put_arguments(program, c, file);
    fputs("  ;;\n", file);
  }
  fputs("*)\n", file);
}

bool titan_help_write_zsh(const titan_help_program *program, FILE *file) {
  int plain = 0;
  bool has_commands = program->command_count > 1;
  for (int c = 0; c < program->command_count; c++)
    if (program->commands[c].name[0] == '\0')
      plain = c;
  fprintf(file,
          "#compdef %s\n"
          "# SPDX-License-Identifier: Apache-2.0\n"
          "# Completion of %s for zsh, made when titan-hpc is built, of the tables and texts of --help.\n"
          "local -a arguments\n",
          program->name, program->name);
  if (program->usage == NULL)
    put_topics(program, file);
  if (has_commands)
    put_commands(program, file);
  put_arguments(program, plain, file);
  if (has_commands) {
    bool takes_paths = program->commands[plain].positional != TITAN_HELP_NOTHING; // in the place of a command
    fprintf(file, "  arguments+=('1:command:%s(", takes_paths ? "{_alternative \"commands:command:" : "");
    for (int c = 0; c < program->command_count; c++)
      if (c != plain)
        fprintf(file, "%s%s", program->commands[c].name, c + 1 < program->command_count ? " " : "");
    fprintf(file, ")%s')\n  ;;\nesac\n", takes_paths ? "\" \"paths:path:_files\"}" : "");
  }
  fputs("_arguments -S \"$arguments[@]\"\n", file);
  return true;
}
