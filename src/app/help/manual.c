// SPDX-License-Identifier: Apache-2.0
// Manual pages, in the macros of man(7).
#include "app/help/help.h"

#include "base/status.h"
#include "config/spelling.h"

#include <stdlib.h>
#include <string.h>

// Text of which troff changes nothing. `at_start`: a line begins, so a dot or a quotation mark is no request.
static void put(FILE *file, const char *text, size_t length, bool at_start) {
  for (size_t i = 0; i < length; i++) {
    switch (text[i]) {
    case '\\':
      fputs("\\e", file);
      break;
    case '-':
      fputs("\\-", file);
      break;
    case '~':
      fputs("\\(ti", file);
      break;
    case '^':
      fputs("\\(ha", file);
      break;
    case '`':
      fputs("\\(ga", file);
      break;
    case '"':
      fputs("\\(dq", file);
      break;
    case '\'':
      fputs("\\(aq", file);
      break;
    case '.':
      fputs(at_start && i == 0 ? "\\&." : ".", file);
      break;
    default:
      fputc(text[i], file);
    }
  }
}

static void put_text(FILE *file, const char *text) {
  put(file, text, strlen(text), true);
}

static void put_line(FILE *file, const char *text) {
  put_text(file, text);
  fputc('\n', file);
}

// A heading: NAME, or with `level` "SS" a smaller one.
static void put_heading(FILE *file, const char *level, const char *text) {
  fprintf(file, ".%s \"", level);
  put_text(file, text);
  fputs("\"\n", file);
}

// A paragraph whose heading is a word in bold, and in italics what follows it.
static void put_tag(FILE *file, const char *word, const char *value) {
  fputs(".TP\n\\fB", file);
  put_text(file, word);
  fputs("\\fR", file);
  if (value[0] != '\0') {
    fputs(" \\fI", file);
    put_text(file, value);
    fputs("\\fR", file);
  }
  fputc('\n', file);
}

static void put_head(const titan_help_program *program, FILE *file) {
  fputs(".\\\" Made when titan-hpc is built, of the tables and texts of --help.\n.TH \"", file);
  put_text(file, program->name);
  fputs("\" 1 \"\" \"titan\\-hpc " TITAN_VERSION "\" \"User Commands\"\n.nh\n.ad l\n",
        file); // names of options stay whole
  put_heading(file, "SH", "NAME");
  put_text(file, program->name);
  fputs(" \\- ", file);
  put_line(file, program->purpose);
  put_heading(file, "SH", "SYNOPSIS");
}

static void put_see_also(const titan_help_program *program, FILE *file) {
  static const char *const names[] = {"titan-checkpoint", "titan-corpus", "titan-hpc", "titan-report",
                                      "titan-tokenizer"};
  bool is_first = true;
  put_heading(file, "SH", "SEE ALSO");
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    if (strcmp(names[i], program->name) == 0)
      continue;
    fputs(is_first ? "\\fB" : ", \\fB", file);
    put_text(file, names[i]);
    fputs("\\fR(1)", file);
    is_first = false;
  }
  fputc('\n', file);
}

// --- a program with the table of options ---

static const char *const TABLE_DESCRIPTION[] = {
    "titan-hpc pre-trains Llama models. It runs under MPI: mpirun or srun starts it, one process for each rank.",
    "The command line overrides the configuration files (.toml or .cfg), later files override earlier ones, and files "
    "override the defaults. An option of true or false without a value is true. The last value of a repeated option "
    "counts. In paths, ~ and ${NAME} are replaced.",
    "TorchTitan does not have the options marked [ours].",
};

static const struct {
  const char *name, *text;
} ENVIRONMENT[] = {
    {"OMP_NUM_THREADS", "The number of threads of each rank. Without it, the ranks of a node share its cores."},
    {"TITAN_ASSETS", "The folder with the small corpora and the test tokenizer."},
    {"TITAN_CPU_ISA", "Lowers the instruction set in use: baseline, avx2, avx512, avx512_bf16 or amx."},
    {"TITAN_TRACE", "If it is set, an error message includes the source lines that the error passed."},
    {"NO_COLOR", "If it is not empty, the log has no colour, unless metrics.enable_color_printing is true."},
};

static const struct {
  const char *command, *text;
} EXAMPLES[] = {
    {"titan-hpc --training.steps 10 --training.seq_len 256 --job.dump_folder outputs",
     "Trains a small model for ten steps on one rank, with the installed corpus and tokenizer."},
    {"mpirun -np 2 titan-hpc --job.config_file run.toml --checkpoint.enable_checkpoint",
     "Trains on two ranks and saves checkpoints. The same command resumes the run."},
    {"titan-hpc --job.config_file run.toml --memory_estimation.enabled --memory_estimation.world_size 256",
     "Estimates the memory of a run on 256 ranks."},
    {"mpirun -np 8 titan-hpc --check --job.config_file run.toml",
     "Checks the ranks, links and groups of this run before it starts."},
    {"titan-hpc --help training.steps", "Describes one option in full."},
};

static bool put_option(int index, FILE *file) {
  const titan_option *option = &titan_options[index];
  char name[TITAN_HELP_NAME_BYTES];
  titan_text text = {0};
  snprintf(name, sizeof name, "--%s", option->name);
  put_tag(file, name, option->type == TITAN_OPTION_BOOL ? "[true|false]" : "VALUE");
  bool described = titan_option_describe(option, &text) == TITAN_OK;
  if (described)
    put_line(file, text.data);
  titan_text_destroy(&text);
  if (option->origin == TITAN_ORIGIN_OURS)
    put_line(file, "[ours]");
  return described;
}

static bool put_table(FILE *file) {
  const titan_option_section **order = calloc(titan_option_section_count, sizeof *order);
  if (order == NULL)
    return false;
  bool done = true;
  titan_option_sections_by_use(order);
  put_heading(file, "SH", "OPTIONS");
  put_tag(file, "--help", "[SECTION | SECTION.OPTION]");
  put_line(file, "Describes all options, those of a section, or one option.");
  put_tag(file, "--check", "");
  put_line(file,
           "Checks the machine with the options of a run, in seconds: measures the speed of each rank, of the links "
           "between neighbours and of the groups of the mesh, prints a table (JSON lines with "
           "--metrics.log_format json), and trains nothing. What is more than 1.5 times slower than the median of "
           "the others is named in a WARNING; the exit code remains 0.");
  put_tag(file, "--version", "");
  put_line(file, "Prints the versions of the program and its libraries.");
  for (size_t s = 0; s < titan_option_section_count; s++) {
    char heading[TITAN_HELP_WORDS_BYTES];
    snprintf(heading, sizeof heading, "%s: %s", order[s]->name, order[s]->text);
    put_heading(file, "SS", heading);
    for (int i = 0; i < TITAN_OPTION_COUNT; i++)
      if (strcmp(titan_options[i].section, order[s]->name) == 0)
        done &= put_option(i, file);
  }
  free(order);
  return done;
}

static bool put_spellings(FILE *file) {
  bool done = true;
  put_heading(file, "SH", "LATER SPELLINGS");
  put_line(file,
           "Later versions of TorchTitan have these keys. titan-hpc accepts them in files and on the command line.");
  for (size_t i = 0; i < titan_spelling_count; i++) {
    char name[TITAN_HELP_NAME_BYTES];
    titan_text text = {0};
    snprintf(name, sizeof name, "--%s", titan_spellings[i].name);
    put_tag(file, name, "");
    done &= titan_spelling_describe(&titan_spellings[i], &text) == TITAN_OK;
    put_line(file, text.data != NULL ? text.data : "");
    titan_text_destroy(&text);
  }
  return done;
}

// The kinds of failure that share an exit code stand in one paragraph.
static void put_exit_codes(FILE *file) {
  int last = -1;
  put_heading(file, "SH", "EXIT STATUS");
#define PUT(name, code, text)                                                                                          \
  if ((code) != last) {                                                                                                \
    fputs(last < 0 ? "" : "\n", file);                                                                                 \
    put_tag(file, #code, "");                                                                                          \
    put_text(file, text);                                                                                              \
  } else {                                                                                                             \
    fprintf(file, ", %s", text);                                                                                       \
  }                                                                                                                    \
  last = (code);
  TITAN_STATUS_LIST(PUT)
#undef PUT
  fputc('\n', file);
}

static bool write_table_manual(const titan_help_program *program, FILE *file) {
  fputs("\\fBtitan\\-hpc\\fR [\\fB\\-\\-job.config_file\\fR \\fIFILE\\fR[,\\fIFILE\\fR]...] "
        "[\\fB\\-\\-\\fIsection\\fR.\\fIoption value\\fR]...\n.br\n"
        "\\fBtitan\\-hpc\\fR \\fB\\-\\-check\\fR [\\fIoptions of a run\\fR]\n.br\n"
        "\\fBtitan\\-hpc\\fR \\fB\\-\\-help\\fR [\\fISECTION\\fR | \\fISECTION.OPTION\\fR]\n.br\n"
        "\\fBtitan\\-hpc\\fR \\fB\\-\\-version\\fR\n",
        file);
  put_heading(file, "SH", "DESCRIPTION");
  for (size_t i = 0; i < sizeof TABLE_DESCRIPTION / sizeof TABLE_DESCRIPTION[0]; i++) {
    fputs(i > 0 ? ".PP\n" : "", file);
    put_line(file, TABLE_DESCRIPTION[i]);
  }
  bool done = put_table(file);
  done &= put_spellings(file);
  put_exit_codes(file);
  put_heading(file, "SH", "ENVIRONMENT");
  for (size_t i = 0; i < sizeof ENVIRONMENT / sizeof ENVIRONMENT[0]; i++) {
    put_tag(file, ENVIRONMENT[i].name, "");
    put_line(file, ENVIRONMENT[i].text);
  }
  put_heading(file, "SH", "EXAMPLES");
  for (size_t i = 0; i < sizeof EXAMPLES / sizeof EXAMPLES[0]; i++) {
    put_tag(file, EXAMPLES[i].command, "");
    put_line(file, EXAMPLES[i].text);
  }
  put_see_also(program, file);
  return done;
}

// --- a program with a usage ---

// Whether a line explains a command: a word, then two blanks or more.
static size_t explained_word(const char *line) {
  size_t length = strcspn(line, " \n");
  return length > 0 && strncmp(line + length, "  ", 2) == 0 ? length : 0;
}

// The lines behind the usage: explanations of commands and paragraphs. What follows "Exit codes: " is a section.
static void put_explanations(const char *line, FILE *file) {
  static const char exit_codes[] = "Exit codes: ";
  bool begins = false; // a paragraph
  for (; *line != '\0'; line += strcspn(line, "\n") + 1) {
    size_t length = strcspn(line, "\n"), word = explained_word(line);
    const char *codes = strstr(line, exit_codes);
    if (length == 0) {
      begins = true;
      continue;
    }
    if (word > 0) {
      fputs(".TP\n\\fB", file);
      put(file, line, word, true);
      fputs("\\fR\n", file);
    } else if (begins) {
      fputs(".PP\n", file);
    }
    begins = false;
    size_t start = word + strspn(line + word, " ");
    bool splits = codes != NULL && codes < line + length;
    size_t end = splits ? (size_t)(codes - line) : length;
    if (end > start) {
      put(file, line + start, end - start, true);
      fputc('\n', file);
    }
    if (splits) {
      put_heading(file, "SH", "EXIT STATUS");
      put(file, codes + strlen(exit_codes), length - end - strlen(exit_codes), true);
      fputc('\n', file);
    }
  }
}

static bool write_usage_manual(const titan_help_program *program, FILE *file) {
  static const char head[] = "usage: ";
  const char *line = program->usage;
  fputs(".nf\n", file);
  for (; *line != '\0' && *line != '\n'; line += strcspn(line, "\n") + 1) {
    const char *start = line + strlen(head); // the lines after the first have as many blanks
    put(file, start, strcspn(start, "\n"), true);
    fputc('\n', file);
  }
  fputs(".fi\n", file);
  put_heading(file, "SH", "DESCRIPTION");
  put_explanations(line + (*line != '\0'), file);
  put_see_also(program, file);
  return true;
}

bool titan_help_write_manual(const titan_help_program *program, FILE *file) {
  put_head(program, file);
  return program->usage != NULL ? write_usage_manual(program, file) : write_table_manual(program, file);
}
