// SPDX-License-Identifier: Apache-2.0
#include "observe/report.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NUMBER_BYTES = 48 };

// The reference's colours; each lasts until the next.
typedef struct report_colors {
  const char *step, *loss, *memory, *tps, *mfu, *reset;
} report_colors;

static const report_colors terminal_colors = {"\033[31m", "\033[32m", "\033[33m", "\033[34m", "\033[35m", "\033[39m"};
static const report_colors no_colors = {"", "", "", "", "", ""};

bool titan_report_wants_color(titan_report_color wish) {
  if (wish != TITAN_COLOR_AUTOMATIC)
    return wish == TITAN_COLOR_ALWAYS;
  const char *terminal = getenv("TERM"), *refused = getenv("NO_COLOR");
  if (refused != NULL && *refused != '\0')
    return false;
  return isatty(STDERR_FILENO) && terminal != NULL && strcmp(terminal, "dumb") != 0;
}

void titan_report_integer(int64_t value, char *text, size_t size) {
  char digits[NUMBER_BYTES], grouped[NUMBER_BYTES];
  uint64_t magnitude = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
  int count = snprintf(digits, sizeof digits, "%llu", (unsigned long long)magnitude), length = 0;
  if (value < 0)
    grouped[length++] = '-';
  for (int i = 0; i < count; i++) {
    if (i > 0 && (count - i) % 3 == 0)
      grouped[length++] = ',';
    grouped[length++] = digits[i];
  }
  grouped[length] = '\0';
  snprintf(text, size, "%s", grouped);
}

// A rate rounded to an integer, with separators; "nan" and "inf" as they are.
static void format_rate(double value, char text[NUMBER_BYTES]) {
  if (!isfinite(value) || fabs(value) > 9e18)
    snprintf(text, NUMBER_BYTES, "%.3g", value);
  else
    titan_report_integer(llround(value), text, NUMBER_BYTES);
}

// "12:03:04"; days are not split off. "-" where it is not known.
static void format_time_left(double seconds, char text[NUMBER_BYTES]) {
  if (!(seconds >= 0 && seconds < 1e12)) {
    snprintf(text, NUMBER_BYTES, "-");
    return;
  }
  long long whole = llround(seconds);
  snprintf(text, NUMBER_BYTES, "%lld:%02lld:%02lld", whole / 3600, whole / 60 % 60, whole % 60);
}

// "  end: 01-31 12:34", or nothing where there is no step left, or it is not known when.
static void format_end(time_t now, double seconds_left, char text[NUMBER_BYTES]) {
  struct tm local;
  text[0] = '\0';
  if (now == 0 || !(seconds_left > 0 && seconds_left < 1e9))
    return;
  time_t end = now + (time_t)llround(seconds_left);
  if (localtime_r(&end, &local) != NULL)
    strftime(text, NUMBER_BYTES, "  end: %m-%d %H:%M", &local);
}

void titan_report_step_line(const titan_report_step *step, bool color, char *text, size_t size) {
  const report_colors *colors = color ? &terminal_colors : &no_colors;
  char tps[NUMBER_BYTES], left[NUMBER_BYTES], end[NUMBER_BYTES], slowest[NUMBER_BYTES] = "";
  format_rate(step->tps, tps);
  format_time_left(step->seconds_left, left);
  format_end(step->now, step->seconds_left, end);
  if (step->ranks > 1)
    snprintf(slowest, sizeof slowest, "  slowest: rank %d (+%.0f%%)", step->slowest_rank, step->slower_percent);
  snprintf(text, size,
           "%sstep: %2lld  %sloss: %7.4f  %smemory: %5.2fGiB(%.2f%%)  %stps: %s  %smfu: %.2f%%%s"
           "  grad_norm: %7.4f  tflops: %.2f  lr: %.3e  time_left: %s%s%s",
           colors->step, (long long)step->step, colors->loss, step->loss, colors->memory, step->memory_gib,
           step->memory_percent, colors->tps, tps, colors->mfu, step->mfu, colors->reset, step->grad_norm, step->tflops,
           step->lr, left, end, slowest);
}

void titan_report_duration(double seconds, char *text, size_t size) {
  if (!(seconds >= 600)) {
    snprintf(text, size, "%.2f s", seconds);
    return;
  }
  long long whole = llround(seconds);
  snprintf(text, size, "%lld h %02lld min %02lld s", whole / 3600, whole / 60 % 60, whole % 60);
}

void titan_report_end_line(int64_t steps, int64_t tokens, double seconds, char *text, size_t size) {
  char step_text[NUMBER_BYTES], token_text[NUMBER_BYTES], duration[NUMBER_BYTES], rate[NUMBER_BYTES];
  titan_report_integer(steps, step_text, sizeof step_text);
  titan_report_integer(tokens, token_text, sizeof token_text);
  titan_report_duration(seconds, duration, sizeof duration);
  format_rate(seconds > 0 ? (double)tokens / seconds : 0, rate);
  snprintf(text, size, "Training completed: %s step%s, %s tokens in %s, mean %s tokens/s", step_text,
           steps == 1 ? "" : "s", token_text, duration, rate);
}

// "3.21 kJ": thousands of joules have a prefix.
static void format_energy(double joule, char text[NUMBER_BYTES]) {
  static const char *const units[] = {"J", "kJ", "MJ", "GJ", "TJ"};
  int unit = 0;
  for (; joule >= 1000 && unit < 4; unit++)
    joule /= 1000;
  snprintf(text, NUMBER_BYTES, "%.2f %s", joule, units[unit]);
}

void titan_report_part_text(const titan_report_part *part, char *text, size_t size) {
  char tokens[NUMBER_BYTES], duration[NUMBER_BYTES], rate[NUMBER_BYTES], energy[NUMBER_BYTES];
  char memory_text[NUMBER_BYTES + 32] = "", energy_text[NUMBER_BYTES + 8] = "";
  titan_report_integer(part->tokens, tokens, sizeof tokens);
  titan_report_duration(part->seconds, duration, sizeof duration);
  format_rate(part->seconds > 0 ? (double)part->tokens / part->seconds : 0, rate);
  if (part->memory_gib > 0)
    snprintf(memory_text, sizeof memory_text, ", peak memory %.2f GiB a rank", part->memory_gib);
  format_energy(part->joule, energy);
  if (part->joule > 0)
    snprintf(energy_text, sizeof energy_text, ", %s", energy);
  snprintf(text, size, "steps %lld to %lld, %s tokens in %s, mean %s tokens/s, mfu %.2f%%, %.3f node-hours%s%s",
           (long long)part->first_step, (long long)part->last_step, tokens, duration, rate, part->mfu, part->node_hours,
           memory_text, energy_text);
}
