// SPDX-License-Identifier: Apache-2.0
// Manual pages and shell completions, written when the program is built. titan-hpc's come from the table of options,
// those of the other programs from the text of their --help (app/usage.h says what form it has).
#ifndef TITAN_APP_HELP_HELP_H
#define TITAN_APP_HELP_HELP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum {
  TITAN_HELP_NAME_BYTES = 128,
  TITAN_HELP_WORDS_BYTES = 512,
  TITAN_HELP_OPTIONS = 1024, // of one program, most
  TITAN_HELP_COMMANDS = 16,
};

// What an option takes.
typedef enum titan_help_takes {
  TITAN_HELP_NOTHING,
  TITAN_HELP_ANYTHING,
  TITAN_HELP_BOOL, // true or false, or nothing
  TITAN_HELP_WORDS,
  TITAN_HELP_WORD_LIST, // words with commas between them
  TITAN_HELP_PATH,
  TITAN_HELP_PATH_LIST,
  TITAN_HELP_FOLDER,
  TITAN_HELP_TOPIC, // a section or an option of the table
} titan_help_takes;

typedef struct titan_help_option {
  char name[TITAN_HELP_NAME_BYTES]; // "--training.steps"
  titan_help_takes takes;
  char words[TITAN_HELP_WORDS_BYTES]; // with blanks between them
  const char *text;                   // what it does; "" where the tables do not say
  int command;                        // index of the command that it belongs to
} titan_help_option;

typedef struct titan_help_command {
  char name[TITAN_HELP_NAME_BYTES]; // "" for the program without a command
  titan_help_takes positional;      // arguments that are no options: NOTHING, PATH or FOLDER
} titan_help_command;

typedef struct titan_help_program {
  const char *name, *purpose;
  const char *usage; // NULL for the program that has the table of options
  titan_help_command commands[TITAN_HELP_COMMANDS];
  int command_count;
  titan_help_option options[TITAN_HELP_OPTIONS];
  int option_count;
} titan_help_program;

// Fills commands and options from the table of options, or from the lines of `usage`. False when they do not fit.
bool titan_help_read_table(titan_help_program *program);
bool titan_help_read_usage(titan_help_program *program);

// False when memory for a text runs out; errors in writing stay with the file.
bool titan_help_write_manual(const titan_help_program *program, FILE *file);
bool titan_help_write_bash(const titan_help_program *program, FILE *file);
bool titan_help_write_zsh(const titan_help_program *program, FILE *file);

#endif
