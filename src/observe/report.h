// SPDX-License-Identifier: Apache-2.0
// The lines of a run's log, in the reference's form.
#ifndef TITAN_OBSERVE_REPORT_H
#define TITAN_OBSERVE_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

enum { TITAN_REPORT_BYTES = 512 }; // enough for every text made here

typedef struct titan_report_step {
  int64_t step;
  double loss;
  double memory_gib, memory_percent; // peak
  double tps;                        // tokens per second and device
  double mfu;                        // percent
  double grad_norm;
  double tflops; // per device
  double lr;
  double seconds_left; // to the last step; negative: not known
  time_t now;          // 0: the time at the end is not said
  int ranks, slowest_rank;
  double slower_percent; // by which the slowest rank's step takes longer than the mean one, without communication
} titan_report_step;

typedef enum titan_report_color { TITAN_COLOR_AUTOMATIC, TITAN_COLOR_ALWAYS, TITAN_COLOR_NEVER } titan_report_color;

// Whether lines get colours. Automatic: when stderr is a terminal that takes them (TERM is not "dumb", NO_COLOR is not
// set).
bool titan_report_wants_color(titan_report_color wish);

// "7975168" as "7,975,168".
void titan_report_integer(int64_t value, char *text, size_t size);

// "step:  1  loss:  8.2211  memory:  1.49GiB(12.34%)  tps: 1,234  mfu: 1.23%  grad_norm:  1.2345  tflops: 0.12
// lr: 8.000e-04  time_left: 0:12:03  end: 01-31 12:34  slowest: rank 3 (+12%)", in one line: the reference's fields,
// then ours. The end is the clock time at which the last step will be done; the last two are left out where they say
// nothing: at the last step, on one rank.
void titan_report_step_line(const titan_report_step *step, bool color, char *text, size_t size);

// "Training completed: 10 steps, 163,840 tokens in 82.51 s, mean 1,986 tokens/s". Tokens of all ranks together.
void titan_report_end_line(int64_t steps, int64_t tokens, double seconds, char *text, size_t size);

// A run, or the part of one from a start to its end.
typedef struct titan_report_part {
  int64_t first_step, last_step;
  int64_t tokens; // of all ranks
  double seconds;
  double mfu; // percent
  double node_hours;
  double memory_gib; // the most that a rank took; 0: not said
  double joule;      // of all nodes; 0: not said
} titan_report_part;

// "steps 6 to 10, 81,920 tokens in 41.20 s, mean 1,988 tokens/s, mfu 1.23%, 0.011 node-hours, peak memory 1.49 GiB a
// rank, 3.21 kJ".
void titan_report_part_text(const titan_report_part *part, char *text, size_t size);

// "82.51 s" below ten minutes, above "1 h 02 min 03 s".
void titan_report_duration(double seconds, char *text, size_t size);

#endif
