// SPDX-License-Identifier: Apache-2.0
// titan-checkpoint: lists, shows, verifies and compares checkpoints, and takes weights to and from safetensors.
#include "app/usage.h"
#include "base/text.h"
#include "comm/bootstrap.h"
#include "storage/hdf5.h"
#include "tool/tool.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct command {
  const char *name, *paths;
  int least, most; // number of paths
  const char *options;
  bool is_local; // the work of one process, for which MPI need not begin
  titan_status (*run)(const titan_tool *tool, const titan_tool_arguments *arguments);
} command;

static const command commands[] = {
    {"list", "FOLDER", 1, 1, "", true, titan_tool_list},
    {"show", "FILE", 1, 1, "", true, titan_tool_show},
    {"verify", "FILE...", 1, 1 << 20, "", false, titan_tool_verify},
    {"compare", "A B", 2, 2, " --tolerance --weights ", false, titan_tool_compare},
    {"export", "FILE OUT", 2, 2, " --dtype --hf --max_shard_size --tokenizer ", false, titan_tool_export},
    {"import", "IN OUT.h5", 2, 2, " --model --flavor --untie ", false, titan_tool_import},
};

// --- arguments ---

static titan_status parse_tolerance(const char *value, double *out) {
  char *end;
  *out = strtod(value, &end);
  if (end == value || *end != '\0' || !(*out >= 0) || isinf(*out))
    return titan_error(TITAN_ERROR_USAGE, "--tolerance: '%s' is not a number of at least 0", value);
  return TITAN_OK;
}

static titan_status parse_size(const char *value, uint64_t *out) {
  static const struct {
    const char *name;
    double bytes;
  } units[] = {{"", 1}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}};
  char *end;
  double size = strtod(value, &end);
  for (size_t i = 0; i < sizeof units / sizeof *units; i++)
    if (end != value && strcmp(end, units[i].name) == 0 && size * units[i].bytes >= 1 && size * units[i].bytes < 1e18) {
      *out = (uint64_t)(size * units[i].bytes);
      return TITAN_OK;
    }
  return titan_error(TITAN_ERROR_USAGE, "--max_shard_size: '%s' is not a size such as 500MB or 5GB", value);
}

static titan_status set_value(const char *name, const char *value, titan_tool_arguments *out) {
  if (strcmp(name, "--tolerance") == 0)
    return parse_tolerance(value, &out->tolerance);
  if (strcmp(name, "--max_shard_size") == 0)
    return parse_size(value, &out->shard_bytes);
  if (strcmp(name, "--tokenizer") == 0)
    out->tokenizer = value;
  if (strcmp(name, "--model") == 0)
    out->model = value;
  if (strcmp(name, "--flavor") == 0)
    out->flavor = value;
  if (strcmp(name, "--dtype") == 0 && !(out->has_number = titan_number_find(value, &out->number)))
    return titan_error(TITAN_ERROR_USAGE, "--dtype: '%s' is not one of float32, bfloat16, float16", value);
  return TITAN_OK;
}

// One option, "--name value" or "--name=value"; *i is the place of the last argument that it takes.
static titan_status parse_option(const command *wanted, int count, char **values, int *i, titan_tool_arguments *out) {
  char name[32], padded[40];
  const char *text = values[*i], *equals = strchr(text, '=');
  snprintf(name, sizeof name, "%.*s", (int)(equals != NULL ? equals - text : 31), text);
  snprintf(padded, sizeof padded, " %s ", name);
  if (strchr(name, ' ') != NULL || strstr(wanted->options, padded) == NULL)
    return titan_error(TITAN_ERROR_USAGE, "%s has no option '%s'; see titan-checkpoint --help", wanted->name, text);
  bool is_flag = strcmp(name, "--hf") == 0 || strcmp(name, "--weights") == 0 || strcmp(name, "--untie") == 0;
  if (is_flag && equals != NULL)
    return titan_error(TITAN_ERROR_USAGE, "%s takes no value", name);
  out->hugging_face |= strcmp(name, "--hf") == 0;
  out->weights |= strcmp(name, "--weights") == 0;
  out->untie |= strcmp(name, "--untie") == 0;
  if (is_flag)
    return TITAN_OK;
  if (equals == NULL && *i + 1 == count)
    return titan_error(TITAN_ERROR_USAGE, "%s needs a value", name);
  return set_value(name, equals != NULL ? equals + 1 : values[++*i], out);
}

// paths: [count], filled.
static titan_status parse_arguments(int count, char **values, const char **paths, const command **wanted,
                                    titan_tool_arguments *out) {
  const char *name = count > 1 ? values[1] : NULL;
  *wanted = NULL;
  for (size_t i = 0; name != NULL && i < sizeof commands / sizeof *commands; i++)
    if (strcmp(commands[i].name, name) == 0)
      *wanted = &commands[i];
  if (*wanted == NULL)
    return titan_error(TITAN_ERROR_USAGE, "%s%s%s; expected list, show, verify, compare, export or import (see --help)",
                       name != NULL ? "unknown command '" : "a command is needed", name != NULL ? name : "",
                       name != NULL ? "'" : "");
  out->paths = paths;
  bool only_paths = false;
  for (int i = 2; i < count; i++) {
    if (!only_paths && strcmp(values[i], "--") == 0)
      only_paths = true;
    else if (!only_paths && values[i][0] == '-' && values[i][1] != '\0')
      TITAN_TRY(parse_option(*wanted, count, values, &i, out));
    else
      paths[out->path_count++] = values[i];
  }
  if (out->path_count < (*wanted)->least || out->path_count > (*wanted)->most)
    return titan_error(TITAN_ERROR_USAGE, "%s needs %s, and %d path%s given; see titan-checkpoint --help", name,
                       (*wanted)->paths, out->path_count, out->path_count == 1 ? " is" : "s are");
  if (out->shard_bytes > 0 && !out->hugging_face)
    return titan_error(TITAN_ERROR_USAGE, "--max_shard_size needs --hf");
  if (out->tokenizer != NULL && !out->hugging_face)
    return titan_error(TITAN_ERROR_USAGE, "--tokenizer needs --hf");
  if (out->shard_bytes == 0)
    out->shard_bytes = 5000000000u;
  return TITAN_OK;
}

// --- the program ---

typedef struct request {
  bool help, version;
  titan_status parsed; // of the arguments, where neither is asked for
  const command *wanted;
  const char **paths; // owned
  titan_tool_arguments arguments;
} request;

static bool asks_for(int count, char **values, const char *name, const char *letter) {
  for (int i = 1; i < count && strcmp(values[i], "--") != 0; i++)
    if (strcmp(values[i], name) == 0 || strcmp(values[i], letter) == 0)
      return true;
  return false;
}

static request read_request(int count, char **values) {
  request r = {.help = asks_for(count, values, "--help", "-h")};
  r.version = !r.help && asks_for(count, values, "--version", "--version");
  if (r.help || r.version)
    return r;
  r.parsed = titan_memory_allocate(TITAN_MEMORY_GENERAL, (size_t)(count + 1) * sizeof *r.paths, &r.paths);
  if (r.parsed == TITAN_OK)
    r.parsed = parse_arguments(count, values, r.paths, &r.wanted, &r.arguments);
  return r;
}

static titan_status run(titan_tool *tool, const request *r) {
  titan_status status = titan_comm_agree(tool->world, r->parsed);
  if (status == TITAN_OK)
    status = r->wanted->run(tool, &r->arguments);
  if (status == TITAN_OK && tool->rank == 0)
    status = titan_text_flush(stdout, "standard output");
  return titan_comm_agree(tool->world, status);
}

static void tell(titan_status status, bool speaks) {
  fflush(stdout);
  if (speaks)
    fprintf(stderr, "titan-checkpoint: %s\n", titan_error_message());
  if (getenv("TITAN_TRACE") != NULL)
    fprintf(stderr, "%s at %s\n", titan_status_text(status), titan_error_trace());
}

// Help or the version. Gives the exit code.
static int print_facts(const titan_tool *tool, const request *r) {
  if (r->help)
    fputs(titan_checkpoint_usage, stdout);
  else
    puts(tool->program);
  titan_status status = titan_text_flush(stdout, "standard output");
  if (status != TITAN_OK)
    tell(status, true);
  return titan_status_exit_code(status);
}

// Without MPI. Gives the exit code, as the next does.
static int run_alone(titan_tool *tool, const request *r) {
  tool->size = 1;
  if (r->help || r->version)
    return print_facts(tool, r);
  titan_status status = r->parsed;
  if (status == TITAN_OK)
    status = titan_comm_create_fake("world", 0, 1, (titan_comm_nodes){1, 1, 1, 1}, &tool->world);
  if (status == TITAN_OK)
    status = run(tool, r);
  if (status != TITAN_OK)
    tell(status, true);
  return titan_status_exit_code(status);
}

static int run_with_mpi(titan_tool *tool, const request *r, int *count, char ***values) {
  titan_mpi mpi;
  titan_status status = titan_mpi_initialize(count, values, &mpi);
  if (status != TITAN_OK) {
    if (!mpi.is_silent)
      fprintf(stderr, "titan-checkpoint: %s\n", titan_error_message());
    return titan_status_exit_code(status);
  }
  tool->rank = mpi.rank;
  tool->size = mpi.size;
  if (r->help || r->version)
    return mpi.rank == 0 ? print_facts(tool, r) : 0;
  status = titan_comm_create_mpi(MPI_COMM_WORLD, "world", &tool->world);
  if (status == TITAN_OK)
    status = run(tool, r);
  return status == TITAN_OK ? 0 : titan_mpi_end_badly(mpi.rank, status, tell);
}

int main(int count, char **values) {
  titan_tool tool = {.program = "titan-checkpoint " TITAN_VERSION};
  request r = read_request(count, values);
  titan_hdf5_quiet();
  // A process that a launcher started beside others is one rank of them, whatever it is asked for.
  bool alone = titan_launch_find().launcher == NULL && (r.wanted == NULL || r.parsed != TITAN_OK || r.wanted->is_local);
  int code = alone ? run_alone(&tool, &r) : run_with_mpi(&tool, &r, &count, &values);
  titan_memory_free(r.paths);
  titan_comm_destroy(&tool.world);
  uint64_t left = titan_memory_report_leaks();
  titan_mpi_finalize();
  return code != 0 ? code : left > 0 ? 70 : 0;
}
