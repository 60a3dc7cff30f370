// SPDX-License-Identifier: Apache-2.0
// titan-hpc: reads the options on rank 0, agrees on them, makes mesh and device, and trains, or checks the machine.
#include "base/clock.h"
#include "base/log.h"
#include "check/check.h"
#include "comm/bootstrap.h"
#include "comm/crash.h"
#include "comm/instruction_set.h"
#include "comm/recorder.h"
#include "comm/watchdog.h"
#include "data/assets.h"
#include "device/executor.h"
#include "device/plugin.h"
#include "estimate/estimate.h"
#include "setup/setup.h"
#include "train/signals.h"
#include "train/trainer.h"

#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/version.h"

typedef struct application {
  titan_mpi mpi;
  titan_comm *world, *node;
  titan_config *config;
  titan_topology topology;
  titan_mesh *mesh;
  titan_device *device;
  titan_watchdog *watchdog;
  titan_tokenizer *tokenizer;
  titan_trainer *trainer;
  titan_text command, schedule;
} application;

// The command line as a shell takes it; what is not printable is left out.
static titan_status describe_command(int argc, char **argv, titan_text *text) {
  static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./=,:+@%";
  for (int i = 0; i < argc; i++) {
    bool quoted = argv[i][0] == '\0' || argv[i][strspn(argv[i], plain)] != '\0';
    TITAN_TRY(titan_text_printf(text, "%s%s", i > 0 ? " " : "", quoted ? "'" : ""));
    for (const char *c = argv[i]; *c != '\0'; c++)
      if (*c == '\'')
        TITAN_TRY(titan_text_printf(text, "'\\''"));
      else if ((unsigned char)*c >= ' ' && *c != 127)
        TITAN_TRY(titan_text_append(text, c, 1));
    TITAN_TRY(titan_text_printf(text, "%s", quoted ? "'" : ""));
  }
  return TITAN_OK;
}

// --- options ---

static bool checks(const application *app) {
  return app->config->request == TITAN_REQUEST_CHECK;
}

static titan_status read_options(application *app, int argc, char **argv, titan_text *text) {
  TITAN_TRY(titan_config_create(argc, (const char *const *)argv, &app->config));
  if (checks(app))
    TITAN_TRY(titan_check_options(app->config));
  if (checks(app) || app->config->request == TITAN_REQUEST_RUN)
    TITAN_TRY(titan_setup_check(app->config, app->mpi.size));
  return titan_config_serialize(app->config, text);
}

static void warn(void *context, const char *line) {
  (void)context;
  titan_log_warning("%s", line);
}

static titan_status create_options(application *app, int argc, char **argv) {
  titan_text text = {0};
  titan_status status = app->mpi.rank == 0 ? read_options(app, argc, argv, &text) : TITAN_OK;
  status = titan_comm_agree(app->world, status);
  if (status == TITAN_OK)
    status = titan_comm_broadcast_text(app->world, &text);
  if (status == TITAN_OK && app->mpi.rank != 0)
    status = titan_config_deserialize(text.data, &app->config);
  titan_text_destroy(&text);
  if (status == TITAN_OK)
    titan_log_set_json(strcmp(app->config->metrics.log_format, "json") == 0);
  return status;
}

// --- tokenizer ---

// The file to read: the user's, else the default where it exists, else the installed test tokenizer.
static titan_status tokenizer_path(const titan_config *config, titan_text *path) {
  FILE *file = NULL;
  if (titan_config_is_set(config, "model.tokenizer_path") || (file = fopen(config->model.tokenizer_path, "r"))) {
    if (file != NULL)
      fclose(file);
    return titan_text_printf(path, "%s", config->model.tokenizer_path);
  }
  TITAN_TRY(titan_assets_find("test_tokenizer.model", path));
  titan_log_info("Using the test tokenizer %s, as model.tokenizer_path is not given", path->data);
  return TITAN_OK;
}

static titan_status read_tokenizer(const titan_config *config, titan_text *path, titan_text *bytes) {
  char *file = NULL;
  size_t length = 0;
  TITAN_TRY(tokenizer_path(config, path));
  titan_status status = titan_tokenizer_read_file(path->data, &file, &length);
  if (status == TITAN_ERROR_USAGE)
    return titan_error(status, "model.tokenizer_path (%s): %s", titan_config_origin(config, "model.tokenizer_path"),
                       titan_error_message());
  if (status == TITAN_OK)
    status = titan_text_append(bytes, file, length);
  titan_memory_free(file);
  return status;
}

static titan_status create_tokenizer(application *app) {
  titan_text path = {0}, bytes = {0};
  titan_status status = app->mpi.rank == 0 ? read_tokenizer(app->config, &path, &bytes) : TITAN_OK;
  status = titan_comm_agree(app->world, status);
  if (status == TITAN_OK)
    status = titan_comm_broadcast_text(app->world, &path);
  if (status == TITAN_OK)
    status = titan_comm_broadcast_text(app->world, &bytes);
  if (status == TITAN_OK)
    status = titan_comm_agree(app->world, titan_tokenizer_create(bytes.data, bytes.length, path.data, &app->tokenizer));
  titan_text_destroy(&path);
  titan_text_destroy(&bytes);
  return status;
}

// --- schedule ---

static titan_status read_schedule(application *app) {
  titan_status status = app->mpi.rank == 0 ? titan_setup_read_schedule(app->config, &app->schedule) : TITAN_OK;
  TITAN_TRY(titan_comm_agree(app->world, status));
  return titan_comm_broadcast_text(app->world, &app->schedule);
}

// --- mesh and device ---

// One instruction-set level for all ranks.
static titan_status choose_level(application *app, titan_cpu_isa *level) {
  char message[512];
  titan_cpu_isa own = TITAN_CPU_GENERIC;
  TITAN_TRY(titan_comm_agree(app->world, titan_cpu_isa_choose(&own)));
  TITAN_TRY(titan_instruction_set_agree(app->world, own, level, message, sizeof message));
  if (message[0] != '\0' && app->mpi.rank == 0)
    titan_log_warning("%s", message);
  return TITAN_OK;
}

// Every rank has the device that rank 0 has.
static titan_status compare_devices(const application *app) {
  char name[32] = "";
  titan_status status = TITAN_OK;
  snprintf(name, sizeof name, "%s", app->device->name);
  TITAN_TRY(titan_comm_broadcast(app->world, name, sizeof name / sizeof(int32_t), TITAN_INT32, 0, NULL));
  if (strcmp(name, app->device->name) != 0)
    status =
        titan_error(TITAN_ERROR_DEVICE,
                    "job.device = %s: this rank has the device %s, and rank 0 the device %s; expected one kind for "
                    "all (job.device = cpu, or cuda for the reason)",
                    app->config->job.device, app->device->name, name);
  return titan_comm_agree(app->world, status);
}

// Collective over node. The ranks of this node that have the same chip as this one.
static titan_status count_sharing_ranks(const application *app) {
  enum { BYTES = 64 };
  int size = titan_comm_size(app->node);
  char own[BYTES] = "", *all = NULL;
  snprintf(own, sizeof own, "%s", app->device->identity);
  TITAN_TRY(titan_comm_agree(app->node, titan_memory_allocate(TITAN_MEMORY_GENERAL, (size_t)size * BYTES, &all)));
  titan_status status = titan_comm_all_gather(app->node, own, all, BYTES, TITAN_BYTE, NULL);
  int count = 0;
  for (int rank = 0; status == TITAN_OK && rank < size; rank++)
    count += strcmp(all + (size_t)rank * BYTES, own) == 0;
  app->device->sharing_ranks = count;
  titan_memory_free(all);
  return status;
}

// Collective over world. A word where ranks share a GPU: that is slow, and may not be meant.
static titan_status tell_sharing_ranks(const application *app) {
  int32_t mine, most;
  if (app->device->identity == NULL) // on all ranks, which have one kind of device
    return TITAN_OK;
  TITAN_TRY(count_sharing_ranks(app));
  mine = app->device->sharing_ranks;
  TITAN_TRY(titan_comm_all_reduce(app->world, &mine, &most, 1, TITAN_INT32, TITAN_MAX, NULL));
  if (most > 1 && app->mpi.rank == 0)
    titan_log_warning("%d ranks share one GPU, its memory and its time: one rank for each GPU is faster", most);
  return TITAN_OK;
}

// Collective over node. The NUMA domain of each of its ranks.
static titan_status gather_numa(const application *app, int **out) {
  int32_t own = app->topology.numa;
  size_t size = (size_t)titan_comm_size(app->node);
  TITAN_TRY(titan_comm_agree(app->node, titan_memory_allocate(TITAN_MEMORY_GENERAL, size * sizeof **out, out)));
  titan_status status = titan_comm_all_gather(app->node, &own, *out, 1, TITAN_INT32, NULL);
  if (status != TITAN_OK)
    titan_memory_free(*out);
  return status;
}

static titan_status make_device(application *app, titan_cpu_isa level, const int *numa) {
  static const struct {
    const char *name;
    titan_device_wish wish;
  } wishes[] = {{"cpu", TITAN_DEVICE_CPU}, {"cuda", TITAN_DEVICE_CUDA}, {"auto", TITAN_DEVICE_AUTO}};
  const titan_device_request request = {.threads = app->topology.threads,
                                        .level = level,
                                        .node_rank = titan_comm_rank(app->node),
                                        .node_size = titan_comm_size(app->node),
                                        .numa_of_ranks = numa,
                                        .deterministic = app->config->training.deterministic};
  titan_device_wish wish = TITAN_DEVICE_AUTO;
  titan_text remark = {0};
  for (size_t i = 0; i < sizeof wishes / sizeof *wishes; i++)
    if (strcmp(wishes[i].name, app->config->job.device) == 0)
      wish = wishes[i].wish;
  titan_status status = titan_device_create(wish, &request, &remark, &app->device);
  if (status == TITAN_OK && remark.length > 0 && app->mpi.rank == 0)
    titan_log_warning("job.device = auto: %s", remark.data);
  titan_text_destroy(&remark);
  return status;
}

// How groups of the device go. Collective; with the watchdog, as ranks wait for each other in it.
static titan_status connect_device(const application *app) {
  const char *transport = app->config->comm.gpu_transport;
  if (app->device->connect == NULL)
    return TITAN_OK;
  return app->device->connect(app->device, app->world,
                              strcmp(transport, "nccl") == 0   ? TITAN_TRANSPORT_NCCL
                              : strcmp(transport, "host") == 0 ? TITAN_TRANSPORT_HOST
                                                               : TITAN_TRANSPORT_AUTO);
}

static titan_status create_device(application *app) {
  titan_cpu_isa level;
  TITAN_TRY(choose_level(app, &level));
  titan_topology told;
  char host[256] = "";
  TITAN_TRY(titan_topology_query(app->node, &app->topology));
  TITAN_TRY(titan_topology_tell(app->world, &app->topology, &told, host, sizeof host));
  if (told.message[0] != '\0' && app->mpi.rank == 0)
    titan_log(told.warning ? TITAN_LOG_WARNING : TITAN_LOG_INFO, "host %s: %s", host, told.message);
  omp_set_num_threads(app->topology.threads);
  int *numa;
  TITAN_TRY(gather_numa(app, &numa));
  titan_status status = make_device(app, level, numa);
  titan_memory_free(numa);
  TITAN_TRY(titan_comm_agree(app->world, status));
  TITAN_TRY(compare_devices(app));
  TITAN_TRY(tell_sharing_ranks(app));
  titan_executor_synchronous(app->config->debug.device_synchronous);
  TITAN_TRY(titan_setup_check_device(app->config, app->device));
  if (app->mpi.rank == 0)
    TITAN_TRY(titan_setup_device_warnings(app->config, app->device, warn, NULL));
  if (app->mpi.rank == 0)
    titan_log_info("%d rank%s, %d on this node; device %s", app->mpi.size, app->mpi.size == 1 ? "" : "s",
                   app->topology.node_size, app->device->description);
  return TITAN_OK;
}

static titan_status create_mesh(application *app) {
  titan_mesh_degrees degrees = titan_setup_degrees(app->config);
  char text[256];
  TITAN_TRY(titan_mesh_resolve(&degrees, app->mpi.size));
  TITAN_TRY(titan_mesh_create(MPI_COMM_WORLD, degrees, &app->mesh));
  titan_mesh_describe(app->mesh, text, sizeof text);
  if (app->mpi.rank == 0)
    titan_log_info("%s", text);
  return TITAN_OK;
}

// No mesh, no model, no corpus; a tokenizer only where the vocabulary is not given.
static titan_status estimate(application *app) {
  if (app->config->memory_estimation.vocabulary > 0)
    return titan_estimate_run(app->config, &app->topology, app->world, 0, &app->schedule);
  TITAN_TRY(create_tokenizer(app));
  return titan_estimate_run(app->config, &app->topology, app->world, titan_tokenizer_vocabulary_size(app->tokenizer),
                            &app->schedule);
}

// No model, no corpus, no tokenizer.
static titan_status check(application *app) {
  return titan_check_run(&(titan_check_environment){
      .config = app->config, .world = app->world, .node = app->node, .mesh = app->mesh, .device = app->device});
}

// What the command line asks for in place of a run. Rank 0 alone.
static titan_status print_request(const titan_config *config) {
  return config->request == TITAN_REQUEST_HELP ? titan_config_print_help(config->help_topic, stdout)
                                               : titan_version_print(stdout);
}

// Rank 0 alone.
static titan_status log_start(const titan_config *config) {
  titan_log_info("%s: %s", config->request == TITAN_REQUEST_CHECK ? "Checking the machine for job" : "Starting job",
                 config->job.description);
  TITAN_TRY(titan_config_warnings(config, warn, NULL));
  TITAN_TRY(titan_setup_warnings(config, warn, NULL));
  if (config->job.print_args)
    (void)titan_config_print(config, stderr); // as with the log, a closed stderr ends no run
  return TITAN_OK;
}

// Collective.
static titan_status watch_communication(application *app) {
  const titan_config *config = app->config;
  titan_text folder = {0};
  char option[96];
  titan_comm_check_collectives(config->debug.check_collectives);
  titan_status status = titan_text_printf(&folder, "%s/comm_trace", config->job.dump_folder);
  if (status == TITAN_OK)
    status = titan_recorder_create(config->comm.trace_buf_size);
  TITAN_TRY(titan_comm_agree(app->world, status));
  snprintf(option, sizeof option, "comm.init_timeout_seconds = %lld", (long long)config->comm.init_timeout_seconds);
  const titan_watchdog_options options = {
      .timeout = (double)config->comm.init_timeout_seconds, .option = option, .folder = folder.data};
  status = titan_watchdog_create(app->world, &options, &app->watchdog);
  titan_text_destroy(&folder);
  return status;
}

static titan_status run(application *app, int argc, char **argv) {
  bool is_first = app->mpi.rank == 0;
  TITAN_TRY(titan_comm_create_mpi(MPI_COMM_WORLD, "world", &app->world));
  TITAN_TRY(titan_comm_create_node(MPI_COMM_WORLD, "node", &app->node));
  TITAN_TRY(create_options(app, argc, argv));
  if (app->config->request == TITAN_REQUEST_HELP || app->config->request == TITAN_REQUEST_VERSION) {
    titan_signals_restore_pipe();
    return titan_comm_agree(app->world, is_first ? print_request(app->config) : TITAN_OK);
  }
  TITAN_TRY(titan_comm_agree(app->world, is_first ? log_start(app->config) : TITAN_OK));
  TITAN_TRY(read_schedule(app));
  TITAN_TRY(create_device(app));
  if (titan_estimate_is_fake(app->config))
    return estimate(app);
  TITAN_TRY(watch_communication(app));
  TITAN_TRY(connect_device(app));
  TITAN_TRY(create_mesh(app));
  if (checks(app))
    return check(app);
  TITAN_TRY(create_tokenizer(app));
  TITAN_TRY(titan_comm_agree(app->world, describe_command(argc, argv, &app->command)));
  titan_trainer_environment environment = {.config = app->config,
                                           .topology = &app->topology,
                                           .node = app->node,
                                           .mesh = app->mesh,
                                           .device = app->device,
                                           .watchdog = app->watchdog,
                                           .tokenizer = app->tokenizer,
                                           .schedule = &app->schedule,
                                           .command = app->command.data};
  bool comparing = titan_estimate_is_real(app->config);
  uint64_t resident = titan_topology_resident();
  if (comparing)
    TITAN_TRY(titan_comm_agree(app->world, titan_estimate_trial_begin(app->config, app->mpi.rank == 0)));
  TITAN_TRY(titan_trainer_create(&environment, &app->trainer));
  TITAN_TRY(titan_trainer_run(app->trainer));
  if (!comparing)
    return TITAN_OK;
  TITAN_TRY(titan_comm_agree(app->world, titan_estimate_trial_end(app->config, app->mpi.rank == 0)));
  return titan_estimate_compare(app->config, &app->topology, app->device, app->world, app->node,
                                titan_tokenizer_vocabulary_size(app->tokenizer), &app->schedule, resident);
}

static void destroy(application *app) {
  titan_trainer_destroy(&app->trainer);
  titan_watchdog_destroy(&app->watchdog);
  titan_recorder_destroy();
  titan_tokenizer_destroy(&app->tokenizer);
  titan_mesh_destroy(&app->mesh);
  titan_device_destroy(&app->device);
  titan_config_destroy(&app->config);
  titan_comm_destroy(&app->node);
  titan_comm_destroy(&app->world);
  titan_text_destroy(&app->command);
  titan_text_destroy(&app->schedule);
}

static void tell(titan_status status, bool speaks) {
  if (speaks && status == TITAN_PREEMPTED)
    titan_log_warning("Ending early, %s", titan_error_message());
  else if (speaks)
    titan_log_error("%s", titan_error_message());
  if (getenv("TITAN_TRACE") != NULL)
    titan_log_error("%s at %s", titan_status_text(status), titan_error_trace());
}

// MPI does not begin: no other rank can be asked.
static int end_before_start(const application *app, titan_status status) {
  if (!app->mpi.is_silent)
    titan_log_error("%s", titan_error_message());
  titan_mpi_finalize();
  titan_signals_end();
  return titan_status_exit_code(status);
}

int main(int argc, char **argv) {
  application app = {0};
  if (argc == 1 && titan_launch_find().launcher == NULL) {
    titan_config_print_usage(stderr);
    return titan_status_exit_code(TITAN_ERROR_USAGE);
  }
  titan_status status = titan_signals_begin();
  if (status == TITAN_OK)
    status = titan_mpi_initialize(&argc, &argv, &app.mpi);
  if (status != TITAN_OK)
    return end_before_start(&app, status);
  titan_log_configure(app.mpi.rank, TITAN_LOG_INFO);
  titan_crash_watch(app.mpi.rank);
  status = run(&app, argc, argv);
  titan_signals_end_promise();
  int code = status == TITAN_OK ? 0 : titan_mpi_end_badly(app.mpi.rank, status, tell);
  destroy(&app);
  uint64_t left = titan_memory_report_leaks();
  titan_mpi_finalize();
  titan_signals_end();
  titan_log_close();
  return code != 0 ? code : left > 0 ? 70 : 0;
}
