// SPDX-License-Identifier: Apache-2.0
// checkpoint_logits CHECKPOINT TOKENS BATCH LENGTH LOGITS: logits [BATCH*LENGTH,V] float32 of a checkpoint's model for
// int32 tokens [BATCH,LENGTH], raw files both. Computes in float32 on one rank. For compare.py.
#include "comm/bootstrap.h"
#include "state/load.h"
#include "storage/hdf5.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct program {
  titan_checkpoint_file *opened, *loaded;
  titan_mesh *mesh;
  titan_device *device;
  titan_runtime *runtime;
  float *logits;
} program;

static titan_status load(program *p, const char *path, int64_t batch, int64_t length) {
  titan_checkpoint_fault fault;
  TITAN_TRY(titan_checkpoint_file_open(path, &p->opened, &fault));
  titan_runtime_options options = {.slot_count = 2,
                                   .slots = {"exp_avg", "exp_avg_sq"},
                                   .model = titan_model_find(p->opened->contents.model_name),
                                   .arguments = p->opened->contents.model,
                                   .shape = {.batch = batch, .length = length, .dtype = TITAN_FLOAT32},
                                   .global_tokens = batch * length};
  TITAN_TRY(titan_mesh_create(MPI_COMM_WORLD, (titan_mesh_degrees){1, 1, 1, 1, 1}, &p->mesh));
  TITAN_TRY(titan_device_create_cpu(1, &p->device));
  TITAN_TRY(titan_runtime_plan(&options, p->mesh, p->device, &p->runtime));
  TITAN_TRY(titan_runtime_allocate(p->runtime));
  titan_checkpoint_load_options loading = {.runtime = p->runtime, .step = -1};
  TITAN_TRY(titan_checkpoint_load(&loading, path, &p->loaded, &fault));
  return titan_runtime_publish(p->runtime);
}

static titan_status compute(program *p, char **arguments, int64_t tokens) {
  int64_t count = tokens * p->opened->contents.model.vocabulary;
  FILE *in = fopen(arguments[2], "rb"), *out = fopen(arguments[5], "wb");
  TITAN_TRY(titan_memory_allocate(TITAN_MEMORY_GENERAL, (size_t)count * sizeof *p->logits, &p->logits));
  bool good = in != NULL && out != NULL &&
              fread(titan_runtime_tokens(p->runtime), sizeof(int32_t), (size_t)tokens, in) == (size_t)tokens;
  if (good)
    TITAN_TRY(titan_runtime_logits(p->runtime, p->logits));
  good = good && fwrite(p->logits, sizeof *p->logits, (size_t)count, out) == (size_t)count;
  if (in != NULL)
    fclose(in);
  good = good && fclose(out) == 0;
  return good ? TITAN_OK : titan_error(TITAN_ERROR_OUTPUT, "cannot read %s or write %s", arguments[2], arguments[5]);
}

int main(int count, char **arguments) {
  program p = {0};
  titan_mpi mpi;
  if (count != 6) {
    fprintf(stderr, "usage: checkpoint_logits CHECKPOINT TOKENS BATCH LENGTH LOGITS\n");
    return 2;
  }
  int64_t batch = atoll(arguments[3]), length = atoll(arguments[4]);
  titan_status status = titan_mpi_initialize(&count, &arguments, &mpi);
  titan_hdf5_quiet();
  if (status == TITAN_OK)
    status = load(&p, arguments[1], batch, length);
  if (status == TITAN_OK)
    status = compute(&p, arguments, batch * length);
  if (status != TITAN_OK)
    fprintf(stderr, "checkpoint_logits: %s\n", titan_error_message());
  titan_memory_free(p.logits);
  titan_checkpoint_file_close(&p.opened);
  titan_checkpoint_file_close(&p.loaded);
  titan_runtime_destroy(&p.runtime);
  titan_device_destroy(&p.device);
  titan_mesh_destroy(&p.mesh);
  titan_mpi_finalize();
  return titan_status_exit_code(status);
}
