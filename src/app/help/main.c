// SPDX-License-Identifier: Apache-2.0
// write_help FOLDER: writes a manual page (NAME.1) and completions for bash (NAME.bash) and zsh (_NAME) of each
// program.
#include "app/help/help.h"
#include "app/usage.h"

#include <string.h>

static titan_help_program programs[] = {
    {.name = "titan-hpc", .purpose = "pre-train Llama models with MPI"},
    {.name = "titan-checkpoint",
     .purpose = "list, show, verify, compare and convert checkpoints of titan-hpc",
     .usage = titan_checkpoint_usage},
    {.name = "titan-report",
     .purpose = "show runs of titan-hpc as a page or in a terminal",
     .usage = titan_report_usage},
    {.name = "titan-tokenizer", .purpose = "train, describe and try out tokenizers", .usage = titan_tokenizer_usage},
    {.name = "titan-corpus",
     .purpose = "make a corpus of plain text files, or of generated text",
     .usage = titan_corpus_usage},
};

typedef bool write_function(const titan_help_program *program, FILE *file);

static bool write_file(const titan_help_program *program, const char *folder, const char *before, const char *after,
                       write_function *write) {
  char path[4096];
  int length = snprintf(path, sizeof path, "%s/%s%s%s", folder, before, program->name, after);
  FILE *file = length > 0 && (size_t)length < sizeof path ? fopen(path, "w") : NULL;
  if (file == NULL)
    return false;
  bool written = write(program, file) && !ferror(file);
  return fclose(file) == 0 && written;
}

int main(int argc, char **argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: write_help FOLDER\n");
    return 2;
  }
  for (size_t i = 0; i < sizeof programs / sizeof programs[0]; i++) {
    titan_help_program *program = &programs[i];
    if (!(program->usage != NULL ? titan_help_read_usage(program) : titan_help_read_table(program)) ||
        !write_file(program, argv[1], "", ".1", titan_help_write_manual) ||
        !write_file(program, argv[1], "", ".bash", titan_help_write_bash) ||
        !write_file(program, argv[1], "_", "", titan_help_write_zsh)) {
      fprintf(stderr, "write_help: the help files of %s cannot be made in %s\n", program->name, argv[1]);
      return 5;
    }
  }
  return 0;
}
