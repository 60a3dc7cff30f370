// SPDX-License-Identifier: Apache-2.0
// titan-report: runs as a page with curves, and as curves in a terminal.
#include "app/usage.h"
#include "base/clock.h"
#include "base/memory.h"
#include "report/page.h"
#include "report/show.h"

#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WIDTH = 80, HEIGHT = 8, LEAST_HEIGHT = 3, MOST_SIZE = 1000, USUAL_CURVES = 5, POINTS = 2000 };

typedef struct arguments {
  const char **paths; // owned
  size_t path_count;
  const char *output;
  int64_t points, width, height; // 0: not given
  double interval;               // seconds
  titan_show_options show;
} arguments;

typedef struct command {
  const char *name, *options; // each with a blank on both sides
  size_t most;                // paths
  titan_status (*run)(arguments *given);
} command;

static void warn(const char *line) {
  fprintf(stderr, "titan-report: %s\n", line);
}

// --- commands ---

static titan_status finish_output(void) {
  return fflush(stdout) == 0 && !ferror(stdout)
             ? TITAN_OK
             : titan_error(TITAN_ERROR_OUTPUT, "cannot write to standard output: %s", strerror(errno));
}

static titan_status check_twice(const titan_run *runs, size_t count) {
  for (size_t i = 0; i < count; i++)
    for (size_t j = 0; j < i; j++) {
      struct stat a, b;
      if (stat(runs[i].path.data, &a) == 0 && stat(runs[j].path.data, &b) == 0 && a.st_dev == b.st_dev &&
          a.st_ino == b.st_ino)
        return titan_error(TITAN_ERROR_USAGE, "the run %s is given twice, also as %s", runs[i].name, runs[j].name);
    }
  return TITAN_OK;
}

// The files of a run are inputs.
static titan_status check_output(const char *output, const titan_run *runs, size_t count) {
  for (size_t i = 0; i < count; i++) {
    static const char *const names[] = {"summary.json", "configuration.toml"};
    TITAN_TRY(titan_output_check_input(output, runs[i].path.data));
    for (size_t n = 0; n < sizeof names / sizeof *names; n++) {
      titan_text path = {0};
      titan_status status = titan_text_printf(&path, "%s/%s", runs[i].folder.data, names[n]);
      if (status == TITAN_OK)
        status = titan_output_check_input(output, path.data);
      titan_text_destroy(&path);
      TITAN_TRY(status);
    }
  }
  return TITAN_OK;
}

static titan_status warn_of_notes(const titan_report_data *data) {
  titan_text notes = {0};
  titan_status status = titan_report_notes(data, &notes);
  char *rest = notes.data;
  for (char *line; status == TITAN_OK && rest != NULL && (line = strtok_r(rest, "\n", &rest)) != NULL;)
    warn(line);
  titan_text_destroy(&notes);
  return status;
}

static titan_status write_page(const arguments *given, titan_report_data *data) {
  titan_output *output = NULL;
  for (; data->count < given->path_count; data->count++)
    TITAN_TRY(titan_run_read(given->paths[data->count], warn, &data->runs[data->count]));
  TITAN_TRY(check_twice(data->runs, data->count));
  TITAN_TRY(check_output(given->output, data->runs, data->count));
  TITAN_TRY(titan_output_create(given->output, TITAN_OUTPUT_REPLACE, &output));
  titan_status status = titan_page_write(data, output);
  if (status == TITAN_OK)
    status = titan_output_finish(&output);
  titan_output_discard(&output);
  TITAN_TRY(status);
  return warn_of_notes(data);
}

static titan_status run_page(arguments *given) {
  titan_report_data data = {.program = "titan-report " TITAN_VERSION,
                            .most_points = given->points > 0 ? (uint64_t)given->points : POINTS};
  if (given->output == NULL)
    return titan_error(TITAN_ERROR_USAGE, "--output FILE is needed, the page to write; see titan-report --help");
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, given->path_count, sizeof *data.runs, &data.runs));
  titan_status status = write_page(given, &data);
  for (size_t i = 0; i < given->path_count; i++)
    titan_run_destroy(&data.runs[i]);
  titan_memory_free(data.runs);
  return status;
}

// Width and height of the drawings, and their characters. `fit`: all curves fit a terminal's height.
static void set_sizes(arguments *given, bool fit) {
  titan_plot_options *plot = &given->show.plot;
  struct winsize size = {0};
  int64_t curves = 0, width = given->width, height = given->height;
  bool is_terminal = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0;
  for (int i = 0; i < TITAN_CURVES; i++)
    curves += given->show.wanted[i];
  if (width == 0)
    width = is_terminal && size.ws_col > TITAN_PLOT_SCALE ? size.ws_col : WIDTH;
  if (height == 0 && fit && is_terminal && size.ws_row > 0) // three lines of the head; title, scale and a blank line
    height = (size.ws_row - 4) / (curves > 0 ? curves : USUAL_CURVES) - 4;
  else if (height == 0)
    height = HEIGHT;
  if (given->height == 0 && (height > HEIGHT || height < LEAST_HEIGHT))
    height = height > HEIGHT ? HEIGHT : LEAST_HEIGHT;
  plot->columns = (int)(width - TITAN_PLOT_SCALE);
  plot->lines = (int)height;
  setlocale(LC_CTYPE, "");
  plot->ascii |= strcmp(nl_langinfo(CODESET), "UTF-8") != 0;
}

static titan_status run_show(arguments *given) {
  titan_run run;
  titan_text text = {0};
  set_sizes(given, false);
  titan_status status = titan_run_read(given->paths[0], warn, &run);
  if (status == TITAN_OK)
    status = titan_show(&run, &given->show, 0, &text);
  if (status == TITAN_OK) {
    fwrite(text.data, 1, text.length, stdout);
    status = finish_output();
  }
  titan_text_destroy(&text);
  titan_run_destroy(&run);
  return status;
}

static titan_status run_watch(arguments *given) {
  set_sizes(given, true);
  return titan_watch(given->paths[0], &given->show, given->interval > 0 ? given->interval : 5, warn);
}

static const command commands[] = {
    {"show", " --curve --x --log --ascii --width --height ", 1, run_show},
    {"watch", " --interval --curve --x --log --ascii --width --height ", 1, run_watch},
};
static const command page = {"titan-report", " --output --points ", SIZE_MAX, run_page};

// --- arguments ---

static titan_status parse_count(const char *name, const char *value, int64_t least, int64_t most, int64_t *out) {
  char *end;
  errno = 0;
  long long count = strtoll(value, &end, 10);
  if (errno != 0 || end == value || *end != '\0' || count < least || count > most)
    return titan_error(TITAN_ERROR_USAGE, "%s: '%s' is not a whole number from %lld to %lld", name, value,
                       (long long)least, (long long)most);
  *out = count;
  return TITAN_OK;
}

static titan_status parse_interval(const char *value, double *out) {
  char *end;
  *out = strtod(value, &end);
  if (end == value || *end != '\0' || !(*out >= 0.1 && *out <= 86400))
    return titan_error(TITAN_ERROR_USAGE, "--interval: '%s' is not a number of seconds from 0.1 to 86400", value);
  return TITAN_OK;
}

static titan_status parse_curve(const char *value, titan_show_options *show) {
  int curve = titan_curve_find(value);
  titan_text names = {0};
  if (curve >= 0) {
    show->wanted[curve] = true;
    return TITAN_OK;
  }
  titan_status status = TITAN_OK;
  for (int i = 0; i < TITAN_CURVES && status == TITAN_OK; i++)
    status = titan_text_printf(&names, "%s%s", i > 0 ? ", " : "", titan_curve_table[i].name);
  if (status == TITAN_OK)
    status = titan_error(TITAN_ERROR_USAGE, "--curve: '%s' is not one of %s", value, names.data);
  titan_text_destroy(&names);
  return status;
}

static titan_status parse_axis(const char *value, titan_axis *out) {
  static const char *const names[TITAN_AXES] = {"step", "tokens", "time"};
  for (int i = 0; i < TITAN_AXES; i++)
    if (strcmp(value, names[i]) == 0) {
      *out = (titan_axis)i;
      return TITAN_OK;
    }
  return titan_error(TITAN_ERROR_USAGE, "--x: '%s' is not one of step, tokens, time", value);
}

static titan_status set_value(const char *name, const char *value, arguments *out) {
  if (strcmp(name, "--points") == 0)
    return parse_count(name, value, 4, 1000000, &out->points);
  if (strcmp(name, "--width") == 0)
    return parse_count(name, value, TITAN_PLOT_SCALE + 1, MOST_SIZE, &out->width);
  if (strcmp(name, "--height") == 0)
    return parse_count(name, value, 1, MOST_SIZE, &out->height);
  if (strcmp(name, "--interval") == 0)
    return parse_interval(value, &out->interval);
  if (strcmp(name, "--curve") == 0)
    return parse_curve(value, &out->show);
  if (strcmp(name, "--x") == 0)
    return parse_axis(value, &out->show.plot.axis);
  out->output = strcmp(value, "-") == 0 ? "/dev/stdout" : value;
  return TITAN_OK;
}

// One option, "--name value" or "--name=value", or "-o value"; *i is the place of the last argument that it takes.
static titan_status parse_option(const command *wanted, int count, char **values, int *i, arguments *out) {
  char name[32], padded[40];
  const char *text = strcmp(values[*i], "-o") == 0 ? "--output" : values[*i], *equals = strchr(text, '=');
  snprintf(name, sizeof name, "%.*s", (int)(equals != NULL && equals - text < 31 ? equals - text : 31), text);
  snprintf(padded, sizeof padded, " %s ", name);
  if (strchr(name, ' ') != NULL || strstr(wanted->options, padded) == NULL)
    return titan_error(TITAN_ERROR_USAGE, "%s has no option '%s'; see titan-report --help", wanted->name, values[*i]);
  bool is_flag = strcmp(name, "--log") == 0 || strcmp(name, "--ascii") == 0;
  if (is_flag && equals != NULL)
    return titan_error(TITAN_ERROR_USAGE, "%s takes no value", name);
  out->show.plot.log_y |= strcmp(name, "--log") == 0;
  out->show.plot.ascii |= strcmp(name, "--ascii") == 0;
  if (is_flag)
    return TITAN_OK;
  if (equals == NULL && *i + 1 == count)
    return titan_error(TITAN_ERROR_USAGE, "%s needs a value", values[*i]);
  return set_value(name, equals != NULL ? equals + 1 : values[++*i], out);
}

static titan_status parse_arguments(const command *wanted, int first, int count, char **values, arguments *out) {
  bool only_paths = false;
  for (int i = first; i < count; i++) {
    if (!only_paths && strcmp(values[i], "--") == 0)
      only_paths = true;
    else if (!only_paths && values[i][0] == '-' && values[i][1] != '\0')
      TITAN_TRY(parse_option(wanted, count, values, &i, out));
    else
      out->paths[out->path_count++] = values[i];
  }
  if (out->path_count == 0)
    return titan_error(TITAN_ERROR_USAGE,
                       "%s needs a RUN: the dump folder of a run, or its metrics.h5 (see "
                       "titan-report --help)",
                       wanted->name);
  if (out->path_count > wanted->most)
    return titan_error(TITAN_ERROR_USAGE, "%s takes one RUN, and %zu are given", wanted->name, out->path_count);
  return TITAN_OK;
}

static titan_status run(int count, char **values) {
  arguments given = {0};
  const command *wanted = &page;
  for (size_t i = 0; count > 1 && i < sizeof commands / sizeof *commands; i++)
    if (strcmp(values[1], commands[i].name) == 0)
      wanted = &commands[i];
  TITAN_TRY(titan_memory_allocate(TITAN_MEMORY_GENERAL, (size_t)count * sizeof *given.paths, &given.paths));
  titan_status status = parse_arguments(wanted, wanted == &page ? 1 : 2, count, values, &given);
  if (status == TITAN_OK)
    status = wanted->run(&given);
  titan_memory_free(given.paths);
  return status;
}

int main(int count, char **values) {
  for (int i = 1; i < count && strcmp(values[i], "--") != 0; i++) {
    if (strcmp(values[i], "--help") == 0 || strcmp(values[i], "-h") == 0) {
      fputs(titan_report_usage, stdout);
      return 0;
    }
    if (strcmp(values[i], "--version") == 0) {
      puts("titan-report " TITAN_VERSION);
      return 0;
    }
  }
  titan_status status = run(count, values);
  if (status != TITAN_OK)
    fprintf(stderr, "titan-report: %s\n", titan_error_message());
  if (status != TITAN_OK && getenv("TITAN_TRACE") != NULL)
    fprintf(stderr, "%s at %s\n", titan_status_text(status), titan_error_trace());
  int code = titan_status_exit_code(status);
  return titan_memory_report_leaks() > 0 && code == 0 ? 70 : code;
}
