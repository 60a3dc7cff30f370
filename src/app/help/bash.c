// SPDX-License-Identifier: Apache-2.0
// Completion for bash. It needs bash alone, not the functions of the package bash-completion.
#include "app/help/help.h"

#include <string.h>

// "@" stands for the name of the function. What COMP_WORDBREAKS makes of "--option=value" is three words, or one.
static const char REPLY[] =
    "# @_reply KIND WORD WORDS...: what may stand in the place of WORD\n"
    "@_reply() {\n"
    "  local kind=$1 word=$2 head='' i\n"
    "  shift 2\n"
    "  case $kind in *list) head=${word%\"${word##*,}\"} word=${word##*,} ;; esac\n"
    "  case $kind in\n"
    "  bool | words*) mapfile -t COMPREPLY < <(compgen -W \"$*\" -- \"$word\") ;;\n"
    "  path*)\n"
    "    compopt -o filenames 2>/dev/null\n"
    "    mapfile -t COMPREPLY < <(compgen -f -- \"$word\")\n"
    "    ;;\n"
    "  folder)\n"
    "    compopt -o filenames 2>/dev/null\n"
    "    mapfile -t COMPREPLY < <(compgen -d -- \"$word\")\n"
    "    ;;\n"
    "  esac\n"
    "  for ((i = 0; i < ${#COMPREPLY[@]}; i++)); do COMPREPLY[i]=$head${COMPREPLY[i]}; done\n"
    "  [[ ${#COMPREPLY[@]} -ne 1 || ${COMPREPLY[0]} != *[.=] ]] || compopt -o nospace 2>/dev/null\n"
    "}\n"
    "\n"
    "@() {\n"
    "  local word=${COMP_WORDS[COMP_CWORD]} option=${COMP_WORDS[COMP_CWORD - 1]} command='' takes head='' assigned='' "
    "i\n"
    "  COMPREPLY=()\n"
    "  if [ \"$word\" = = ]; then\n"
    "    word='' assigned=yes\n"
    "  elif [ \"$option\" = = ]; then\n"
    "    option=${COMP_WORDS[COMP_CWORD - 2]} assigned=yes\n"
    "  elif [[ $word == --*=* ]]; then\n"
    "    option=${word%%=*} assigned=yes head=$option=\n"
    "    word=${word#*=}\n"
    "  fi\n"
    "  if [ \"$COMP_CWORD\" -ge 2 ] && [[ \" $(@_commands) \" == *\" ${COMP_WORDS[1]} \"* ]]; then "
    "command=${COMP_WORDS[1]}; fi\n"
    "  read -r -a takes <<<\"$(@_takes \"$option\")\"\n"
    "  if [ \"${takes[0]}\" = topic ]; then\n"
    "    if [[ $word == *.* ]]; then takes=(words $(@_options '' | sed 's/--//g')); else takes=(words $(@_sections | "
    "sed 's/[^ ][^ ]*/& &./g')); fi\n"
    "  fi\n"
    "  if [ -n \"${takes[0]}\" ] && { [ \"${takes[0]}\" != bool ] || [ -n \"$assigned\" ] || [[ $word != -* ]]; }; "
    "then\n"
    "    @_reply \"${takes[0]}\" \"$word\" \"${takes[@]:1}\"\n"
    "    for ((i = 0; i < ${#COMPREPLY[@]}; i++)); do COMPREPLY[i]=$head${COMPREPLY[i]}; done\n"
    "    if [ \"${takes[0]}\" != bool ] || [ -n \"$assigned\" ] || [ -n \"$word\" ]; then return; fi\n"
    "  elif [ -n \"$assigned\" ]; then\n"
    "    return\n"
    "  fi\n"
    "  if [ \"$COMP_CWORD\" -eq 1 ] && [[ $word != -* ]] && [ -n \"$(@_commands)\" ]; then\n"
    "    local commands\n"
    "    @_reply words \"$word\" $(@_commands)\n"
    "    commands=(\"${COMPREPLY[@]}\") COMPREPLY=()\n"
    "    [ -z \"$(@_positional '')\" ] || @_reply \"$(@_positional '')\" \"$word\"\n"
    "    COMPREPLY=(\"${commands[@]}\" \"${COMPREPLY[@]}\")\n"
    "  elif [[ $word != -* ]] && [ -n \"$(@_positional \"$command\")\" ]; then\n"
    "    @_reply \"$(@_positional \"$command\")\" \"$word\"\n"
    "  elif [[ -z $word || $word == -* ]]; then\n"
    "    local values=(\"${COMPREPLY[@]}\")\n"
    "    if [[ $word == *.* ]] || [ -z \"$(@_sections)\" ]; then\n"
    "      @_reply words \"$word\" $(@_options \"$command\")\n"
    "    else # the sections first: all options are too many to be read\n"
    "      @_reply words \"$word\" $(@_sections | sed 's/[^ ][^ ]*/--&./g') --help --check --version\n"
    "    fi\n"
    "    COMPREPLY=(\"${values[@]}\" \"${COMPREPLY[@]}\")\n"
    "  fi\n"
    "}\n"
    "\n"
    "complete -F @ ";

static void put_template(FILE *file, const char *text, const char *function) {
  for (const char *c = text; *c != '\0'; c++)
    if (*c == '@' && (c[1] == '_' || c[1] == '(' || c[1] == ' '))
      fputs(function, file);
    else
      fputc(*c, file);
}

static const char *kind_name(titan_help_takes takes) {
  switch (takes) {
  case TITAN_HELP_NOTHING:
    return NULL;
  case TITAN_HELP_ANYTHING:
    return "anything";
  case TITAN_HELP_BOOL:
    return "bool";
  case TITAN_HELP_WORDS:
    return "words";
  case TITAN_HELP_WORD_LIST:
    return "wordslist";
  case TITAN_HELP_PATH:
    return "path";
  case TITAN_HELP_PATH_LIST:
    return "pathlist";
  case TITAN_HELP_FOLDER:
    return "folder";
  case TITAN_HELP_TOPIC:
    return "topic";
  }
  return NULL;
}

// What an option takes is the same in all commands that have it, or nothing is offered for it.
static void put_takes(const titan_help_program *program, FILE *file) {
  for (int i = 0; i < program->option_count; i++) {
    const titan_help_option *option = &program->options[i];
    const char *kind = kind_name(option->takes);
    bool is_known = false;
    for (int j = 0; j < i; j++)
      is_known |= strcmp(program->options[j].name, option->name) == 0;
    if (kind != NULL && !is_known)
      fprintf(file, "  %s) echo \"%s%s%s\" ;;\n", option->name, kind, option->words[0] != '\0' ? " " : "",
              option->words);
  }
}

static void put_options(const titan_help_program *program, FILE *file) {
  for (int c = 0; c < program->command_count; c++) {
    fprintf(file, "  '%s') echo", program->commands[c].name);
    for (int i = 0; i < program->option_count; i++)
      if (program->options[i].command == c)
        fprintf(file, " %s", program->options[i].name);
    fputs(" ;;\n", file);
  }
}

// The part before the dot of each option of the table, once.
static void put_sections(const titan_help_program *program, FILE *file) {
  const char *last = "";
  size_t last_length = 0;
  fputs("  echo", file);
  for (int i = 0; i < program->option_count; i++) {
    const char *name = program->options[i].name + strlen("--"), *dot = strchr(name, '.');
    if (dot == NULL || ((size_t)(dot - name) == last_length && strncmp(name, last, last_length) == 0))
      continue;
    fprintf(file, " %.*s", (int)(dot - name), name);
    last = name, last_length = (size_t)(dot - name);
  }
  fputc('\n', file);
}

static void put_commands(const titan_help_program *program, FILE *file) {
  fputs("  echo", file);
  for (int c = 0; c < program->command_count; c++)
    if (program->commands[c].name[0] != '\0')
      fprintf(file, " %s", program->commands[c].name);
  fputc('\n', file);
}

static void put_positional(const titan_help_program *program, FILE *file) {
  for (int c = 0; c < program->command_count; c++)
    if (program->commands[c].positional != TITAN_HELP_NOTHING)
      fprintf(file, "  '%s') echo %s ;;\n", program->commands[c].name, kind_name(program->commands[c].positional));
}

bool titan_help_write_bash(const titan_help_program *program, FILE *file) {
  char function[TITAN_HELP_NAME_BYTES];
  snprintf(function, sizeof function, "_%s", program->name);
  for (char *c = function; *c != '\0'; c++)
    *c = *c == '-' ? '_' : *c;
  fprintf(file,
          "# SPDX-License-Identifier: Apache-2.0\n"
          "# Completion of %s for bash, made when titan-hpc is built, of the tables and texts of --help.\n"
          "# shellcheck disable=SC2046,SC2207 # words are split on purpose\n\n",
          program->name);
  fprintf(file, "%s_commands() {\n", function);
  put_commands(program, file);
  fprintf(file, "}\n%s_sections() {\n", function);
  put_sections(program, file);
  fprintf(file, "}\n%s_options() { # of a command\n  case $1 in\n", function);
  put_options(program, file);
  fprintf(file, "  esac\n}\n%s_positional() { # what the arguments of a command are\n  case $1 in\n", function);
  put_positional(program, file);
  fprintf(file, "  esac\n}\n%s_takes() { # what an option takes: a kind, and the words of it\n  case $1 in\n",
          function);
  put_takes(program, file);
  fputs("  esac\n}\n", file);
  put_template(file, REPLY, function);
  fprintf(file, "%s\n", program->name);
  return true;
}
