// The lines of a run's log, in the reference's form.
#ifndef TITAN_OBSERVE_REPORT_H
#define TITAN_OBSERVE_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TITAN_REPORT_BYTES = 256 }; // enough for every text made here

typedef struct titan_report_step {
  int64_t step;
  double loss;
  double memory_gib, memory_percent; // peak
  double tps;                        // tokens per second and device
  double mfu;                        // percent
  double grad_norm;
  double tflops; // per device
} titan_report_step;

// Whether lines get colours: when asked for, or when stderr is a terminal that takes them (TERM is not "dumb", NO_COLOR
// is not set).
bool titan_report_wants_color(bool asked);

// "7975168" as "7,975,168".
void titan_report_integer(int64_t value, char *text, size_t size);

// "step:  1  loss:  8.2211  memory:  1.49GiB(12.34%)  tps: 1,234  mfu: 1.23%  grad_norm:  1.2345  tflops: 0.12".
void titan_report_step_line(const titan_report_step *step, bool color, char *text, size_t size);

// "Training completed: 10 steps, 163,840 tokens in 82.51 s, mean 1,986 tokens/s". Tokens of all ranks together.
void titan_report_end_line(int64_t steps, int64_t tokens, double seconds, char *text, size_t size);

// "82.51 s" below ten minutes, above "1 h 02 min 03 s".
void titan_report_duration(double seconds, char *text, size_t size);

#endif
