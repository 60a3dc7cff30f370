#ifndef TITAN_TRAIN_TRAINER_PRIVATE_H
#define TITAN_TRAIN_TRAINER_PRIVATE_H

#include "data/corpus.h"
#include "data/loader.h"
#include "observe/metrics.h"
#include "observe/report.h"
#include "train/setup.h"
#include "train/trainer.h"

#include <stdio.h>

// What has gathered since the last line of the log.
typedef struct trainer_window {
  double loss_sum, loss_max; // of this rank's mean losses
  int64_t steps;
  double start; // clock
} trainer_window;

// One step's numbers.
typedef struct trainer_step {
  int64_t step;
  double local_loss; // mean over this rank's tokens
  double loss;       // mean over all tokens
  double grad_norm;
  double seconds;
} trainer_step;

struct titan_trainer {
  titan_trainer_environment env;
  titan_optimizer_options optimizer;
  titan_corpus *corpus;
  titan_loader *loader;
  titan_runtime *runtime;
  titan_metrics *metrics; // rank 0
  FILE *steps_file;       // rank 0, with debug.record_step_numbers
  FILE *lock_file;        // rank 0: locked while the run lives
  int rank, dp;           // in the world; data-parallel ranks
  double flops_per_token, peak_flops;
  int64_t step, tokens; // finished; tokens of all ranks
  trainer_window window;
  bool color;
};

static inline titan_comm *titan_trainer_world(const titan_trainer *trainer) {
  return titan_mesh_comm(trainer->env.mesh, TITAN_MESH_WORLD);
}

// Rank 0: the dump folder and the files in it. Collective.
titan_status titan_trainer_open_outputs(titan_trainer *trainer);
// Adds a step to the window, and at log steps writes the line and the row. Collective.
titan_status titan_trainer_report(titan_trainer *trainer, const trainer_step *step);
void titan_trainer_report_end(const titan_trainer *trainer, double seconds);

// debug.dump_graph: <dump>/graphs/<part>.txt; debug.dump_initial_weights: <dump>/weights.txt, a line "name checksum"
// per parameter, checksums that do not depend on the mesh. Collective.
titan_status titan_trainer_dump_graphs(titan_trainer *trainer);
titan_status titan_trainer_dump_weights(titan_trainer *trainer);

#endif
