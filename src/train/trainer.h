// SPDX-License-Identifier: Apache-2.0
// Training: everything a run holds, and the loop.
#ifndef TITAN_TRAIN_TRAINER_H
#define TITAN_TRAIN_TRAINER_H

#include "comm/topology.h"
#include "comm/watchdog.h"
#include "config/config.h"
#include "device/device.h"
#include "mesh/mesh.h"
#include "tokenizer/tokenizer.h"

typedef struct titan_trainer titan_trainer;

// What main has made; all borrowed, and outliving the trainer.
typedef struct titan_trainer_environment {
  const titan_config *config;
  const titan_topology *topology;
  titan_comm *node; // the ranks of this node
  titan_mesh *mesh;
  titan_device *device;
  titan_watchdog *watchdog; // NULL: there is none
  const titan_tokenizer *tokenizer;
  const titan_text *schedule; // the contents of a pipeline schedule's file; empty where no file is used
  const char *command;        // the command line, for people
} titan_trainer_environment;

// Collective over the mesh. Plans, checks the memory, then takes it, and initialises the model. Fails alike on all
// ranks.
titan_status titan_trainer_create(const titan_trainer_environment *environment, titan_trainer **out);
// Collective over the mesh. Trains to the last step. TITAN_ERROR_NUMBERS when a loss or the gradient norm is not
// finite.
titan_status titan_trainer_run(titan_trainer *trainer);
void titan_trainer_destroy(titan_trainer **trainer);

#endif
