// SPDX-License-Identifier: Apache-2.0
// What a run says of itself: program, command, hosts, job, configuration.
#include "train/trainer_private.h"

#include "base/build.h"
#include "base/clock.h"
#include "base/log.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { HOST_BYTES = 64 };

void titan_trainer_about_destroy(trainer_about *about) {
  titan_text *texts[] = {&about->version, &about->commit, &about->command,       &about->hosts,     &about->ranks,
                         &about->job,     &about->date,   &about->configuration, &about->optimizer, &about->schedule};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
    titan_text_destroy(texts[i]);
}

void titan_trainer_about_attributes(const trainer_about *about,
                                    titan_metrics_attribute attributes[TITAN_TRAINER_ATTRIBUTES]) {
  const titan_metrics_attribute all[TITAN_TRAINER_ATTRIBUTES] = {
      {"version", about->version.data},     {"commit", about->commit.data},
      {"command", about->command.data},     {"hosts", about->hosts.data},
      {"ranks", about->ranks.data},         {"job", about->job.data},
      {"date", about->date.data},           {"configuration", about->configuration.data},
      {"optimizer", about->optimizer.data}, {"schedule", about->schedule.data},
  };
  memcpy(attributes, all, sizeof all);
}

// "SLURM 1234", of a job that was requeued "SLURM 1234, restart 2"; or "none".
static titan_status find_job(titan_text *job) {
  static const struct {
    const char *variable, *system;
  } systems[] = {
      {"SLURM_JOB_ID", "SLURM"}, {"PBS_JOBID", "PBS"}, {"FLUX_JOB_ID", "Flux"},
      {"LSB_JOBID", "LSF"},      {"PJM_JOBID", "PJM"},
  };
  for (size_t i = 0; i < sizeof systems / sizeof *systems; i++) {
    const char *number = getenv(systems[i].variable);
    if (number == NULL || *number == '\0')
      continue;
    const char *restarts = i == 0 ? getenv("SLURM_RESTART_COUNT") : NULL;
    TITAN_TRY(titan_text_printf(job, "%s %s", systems[i].system, number));
    return restarts != NULL && strcmp(restarts, "0") != 0 ? titan_text_printf(job, ", restart %s", restarts) : TITAN_OK;
  }
  return titan_text_printf(job, "none");
}

static titan_status describe_optimizer(const titan_trainer *trainer, titan_text *text) {
  const titan_optimizer_options *o = &trainer->optimizer;
  TITAN_TRY(titan_text_printf(text, "%s, lr %g, ", o->rule->name, o->learning_rate));
  TITAN_TRY(strcmp(o->rule->slots[0], "momentum") == 0
                ? titan_text_printf(text, "momentum %g", o->momentum)
                : titan_text_printf(text, "betas %g and %g, epsilon %g", o->beta1, o->beta2, o->epsilon));
  TITAN_TRY(titan_text_printf(text, ", weight decay %g, ", o->weight_decay));
  return trainer->env.config->optimizer.early_step_in_backward
             ? titan_text_printf(text, "gradients not clipped")
             : titan_text_printf(text, "gradients clipped to norm %g", o->max_norm);
}

// See titan_lr_factor.
static titan_status describe_schedule(const titan_optimizer_options *o, titan_text *text) {
  static const char *const decays[] = {
      [TITAN_LR_LINEAR] = "linear", [TITAN_LR_SQRT] = "sqrt", [TITAN_LR_COSINE] = "cosine"};
  int64_t decay = titan_lr_decay_steps(&o->curve, o->warmup_steps, o->total_steps), begin = o->total_steps - decay;
  TITAN_TRY(titan_text_printf(text, "%" PRId64 " step%s of warm-up, then ", o->warmup_steps,
                              o->warmup_steps == 1 ? "" : "s"));
  if (decay <= 0)
    return titan_text_printf(text, "constant");
  if (begin > o->warmup_steps)
    TITAN_TRY(titan_text_printf(text, "constant, and after step %" PRId64 " ", begin));
  return titan_text_printf(text, "%s to %g after step %" PRId64, decays[o->curve.decay],
                           o->curve.minimum * o->learning_rate, o->total_steps);
}

// Each host once, in the order of the ranks; a node's ranks are neighbours or not.
static titan_status list_hosts(const char *names, const int32_t *firsts, int ranks, titan_text *hosts, int *nodes) {
  *nodes = 0;
  for (int rank = 0; rank < ranks; rank++)
    if (firsts[rank] != 0)
      TITAN_TRY(titan_text_printf(hosts, "%s%s", (*nodes)++ > 0 ? " " : "", names + (size_t)rank * HOST_BYTES));
  return TITAN_OK;
}

// Collective. On every rank the number of nodes, on rank 0 their names too.
static titan_status gather_hosts(titan_trainer *trainer) {
  titan_comm *world = titan_trainer_world(trainer);
  size_t ranks = (size_t)titan_comm_size(world), mine = (size_t)trainer->rank;
  char *names = NULL;
  int32_t *firsts = NULL;
  titan_status status = titan_memory_allocate_zeroed(TITAN_MEMORY_OBSERVE, ranks, HOST_BYTES, &names);
  if (status == TITAN_OK)
    status = titan_memory_allocate_zeroed(TITAN_MEMORY_OBSERVE, ranks, sizeof *firsts, &firsts);
  TITAN_TRY_CLEANUP(titan_comm_agree(world, status));
  if (gethostname(names + mine * HOST_BYTES, HOST_BYTES - 1) != 0)
    strcpy(names + mine * HOST_BYTES, "unknown");
  firsts[mine] = trainer->env.topology->node_rank == 0;
  TITAN_TRY_CLEANUP(titan_comm_all_gather(world, names + mine * HOST_BYTES, names, HOST_BYTES, TITAN_BYTE, NULL));
  TITAN_TRY_CLEANUP(titan_comm_all_gather(world, &firsts[mine], firsts, 1, TITAN_INT32, NULL));
  status = list_hosts(names, firsts, (int)ranks, &trainer->about.hosts, &trainer->totals.nodes);
  TITAN_TRY_CLEANUP(titan_comm_agree(world, status));
cleanup:
  titan_memory_free(names);
  titan_memory_free(firsts);
  return status;
}

static titan_status describe(titan_trainer *trainer) {
  trainer_about *about = &trainer->about;
  int ranks = titan_comm_size(titan_trainer_world(trainer));
  char date[TITAN_CLOCK_DATE_BYTES];
  titan_clock_date(date);
  TITAN_TRY(titan_text_printf(&about->version, "titan-hpc " TITAN_VERSION));
  TITAN_TRY(titan_text_printf(&about->commit, "%s", titan_build_commit()));
  TITAN_TRY(titan_text_printf(&about->command, "%s", trainer->env.command));
  TITAN_TRY(titan_text_printf(&about->ranks, "%d", ranks));
  TITAN_TRY(titan_text_printf(&about->date, "%s", date));
  TITAN_TRY(find_job(&about->job));
  TITAN_TRY(titan_config_to_toml(trainer->env.config, &about->configuration));
  TITAN_TRY(describe_optimizer(trainer, &about->optimizer));
  return describe_schedule(&trainer->optimizer, &about->schedule);
}

static void log_head(const titan_trainer *trainer) {
  const trainer_about *about = &trainer->about;
  int nodes = trainer->totals.nodes, ranks = titan_comm_size(titan_trainer_world(trainer));
  titan_log_info("%s, commit %s, started %s, job %s", about->version.data, about->commit.data, about->date.data,
                 about->job.data);
  titan_log_info("Command: %s", about->command.data);
  titan_log_info("%d rank%s on %d node%s: %s", ranks, ranks == 1 ? "" : "s", nodes, nodes == 1 ? "" : "s",
                 about->hosts.data);
  titan_log_info("Optimizer: %s", about->optimizer.data);
  titan_log_info("Learning rate: %s", about->schedule.data);
  titan_log_text("The whole configuration:\n");
  titan_log_text(about->configuration.data);
  titan_log_text("\n");
}

titan_status titan_trainer_about_create(titan_trainer *trainer) {
  TITAN_TRY(gather_hosts(trainer));
  TITAN_TRY(titan_comm_agree(titan_trainer_world(trainer), describe(trainer)));
  if (trainer->rank == 0)
    log_head(trainer);
  titan_status status = TITAN_OK;
  if (trainer->env.topology->node_rank == 0)
    status = titan_energy_create(TITAN_ENERGY_FOLDER, &trainer->totals.energy);
  return titan_comm_agree(titan_trainer_world(trainer), status);
}
