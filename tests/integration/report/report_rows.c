// SPDX-License-Identifier: Apache-2.0
// Makes a run's folder: report_rows FOLDER ROWS PHASE DATE. A metrics.h5 of that many rows, which are functions of the
// step and PHASE, of a validation every tenth of them, and of two ranks at the first hundred steps; at three quarters
// of the way one row has a peak, and the row after it no number. A configuration whose learning rate is PHASE.
#include "base/memory.h"
#include "observe/metrics_file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static titan_metrics_row row_of(uint64_t i, uint64_t rows, double phase) {
  double step = (double)i + 1, part = step / (double)rows;
  titan_metrics_row row = {
      .step = step,
      .loss = 2 + 6 * exp(-5 * part) + 0.2 * sin(40 * part + phase),
      .grad_norm = 1 + phase * part + 0.3 * sin(300 * part),
      .lr = 1e-3 * (1 - part),
      .tokens = 2048 * step,
      .seconds = 0.5,
      .tps = 4096 + 100 * sin(20 * part),
      .mfu = 40 + sin(20 * part),
      .memory = 1.25,
      .elapsed = 0.5 * step + floor(step / 10),
      .node_hours = 0.5 * step / 3600,
      .tflops = 1,
      .time_left = 0.5 * ((double)rows - step),
      .data_loading = 0.01,
      .exposed = 0.1,
      .busy_mean = 0.4,
      .busy_max = 0.45,
      .slowest_rank = 1,
      .memory_max = 1.5,
  };
  row.loss_max = row.loss + 0.1;
  if (rows > 4 && i == rows * 3 / 4)
    row.loss = 9.5;
  if (rows > 4 && i == rows * 3 / 4 + 1)
    row.loss = NAN;
  return row;
}

static void fill(uint64_t rows, double phase, titan_metrics_rows series[TITAN_METRICS_SERIES]) {
  uint64_t every = rows >= 10 ? rows / 10 : 1;
  titan_status status = TITAN_OK;
  for (uint64_t i = 0; i < rows && status == TITAN_OK; i++) {
    titan_metrics_row row = row_of(i, rows, phase);
    status = titan_metrics_rows_append(TITAN_METRICS_TRAINING, (const double *)&row, 1, &series[0]);
    for (int rank = 0; rank < 2 && i < 100 && status == TITAN_OK; rank++) {
      titan_metrics_rank_row one = {row.step, rank, row.loss_max, 0.5, 0.35 + 0.1 * rank, 0.15 - 0.1 * rank, 0.01, 1.5};
      status = titan_metrics_rows_append(TITAN_METRICS_RANK, (const double *)&one, 1, &series[TITAN_METRICS_RANK]);
    }
    titan_metrics_validation_row validation = {row.step, row.loss_max + 0.5, 1000};
    if ((i + 1) % every == 0 && status == TITAN_OK)
      status = titan_metrics_rows_append(TITAN_METRICS_VALIDATION, (const double *)&validation, 1,
                                         &series[TITAN_METRICS_VALIDATION]);
  }
  if (status != TITAN_OK)
    exit(1);
}

int main(int argc, char **argv) {
  if (argc != 5) {
    fputs("usage: report_rows FOLDER ROWS PHASE DATE\n", stderr);
    return 2;
  }
  char path[4096], configuration[256];
  snprintf(path, sizeof path, "%s/metrics.h5", argv[1]);
  snprintf(configuration, sizeof configuration,
           "[optimizer]\nlr = %s  # command line\n\n[training]\n# steps = 10000\n# text = \"</script><b>\"\n", argv[3]);
  const titan_metrics_attribute attributes[] = {{"version", "titan-hpc test"},
                                                {"ranks", "2"},
                                                {"date", argv[4]},
                                                {"command", "titan-hpc </script><script>alert(1)</script>"},
                                                {"configuration", configuration}};
  titan_metrics_rows series[TITAN_METRICS_SERIES] = {0};
  const uint64_t to_come[TITAN_METRICS_SERIES] = {1, 1, 1};
  const titan_metrics_options options = {
      .path = path, .attributes = attributes, .attribute_count = sizeof attributes / sizeof *attributes};
  titan_metrics_file file;
  fill(strtoull(argv[2], NULL, 10), strtod(argv[3], NULL), series);
  titan_status status = titan_metrics_file_create(&options, series, to_come, &file);
  titan_metrics_rows_destroy(series);
  if (status != TITAN_OK)
    fprintf(stderr, "report_rows: %s\n", titan_error_message());
  return titan_status_exit_code(status);
}
