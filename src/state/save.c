// SPDX-License-Identifier: Apache-2.0
#include "state/save.h"

#include "base/clock.h"
#include "base/copy.h"
#include "base/memory.h"
#include "checkpoint/agree.h"
#include "checkpoint/tiles.h"
#include "checkpoint/writer.h"
#include "comm/bootstrap.h"
#include "comm/mpi_error.h"
#include "comm/recorder.h"
#include "device/queue.h"
#include "state/join.h"
#include "state/layout.h"

#include <omp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

struct titan_saver {
  titan_runtime *runtime;
  titan_save_mode mode;
  const char *hints;
  size_t piece, tile_bytes;
  bool apart, verify;
  MPI_Comm comm; // of the saves alone
  titan_checkpoint_join join;
  titan_checkpoint_layout *layout;
  titan_checkpoint_tensor *tensors; // [kept][parameters]
  float *copy;                      // [kept][layout->elements], rectangle after rectangle
  // The save under way.
  titan_save_request request;
  bool busy, threaded, joinable;
  pthread_t thread;
  atomic_bool done;
  titan_status status;
  char message[4096]; // of a failure
  double start;
  titan_save_result result;
};

static size_t copy_bytes(const titan_checkpoint_layout *layout) {
  return (size_t)layout->kept_count * (size_t)layout->elements * sizeof(float);
}

// What a save at once looks at, where the device's memory is apart.
static size_t view_bytes(titan_runtime *runtime, const titan_checkpoint_layout *layout) {
  size_t most = 0;
  for (int64_t i = 0; titan_shard_view_copies(titan_runtime_optimizer_device(runtime)) && i < layout->rectangle_count;
       i++) {
    size_t bytes = titan_checkpoint_view_bytes(&layout->rectangles[i]);
    most = bytes > most ? bytes : most;
  }
  return most;
}

// What a save beside the training takes to verify its file; one at once has given back its working memory, which is
// larger.
static size_t verify_bytes(const titan_checkpoint_layout *layout) {
  int64_t elements = layout->kept_count * layout->slab_elements;
  return titan_checkpoint_writer_verify_bytes((uint64_t)elements * sizeof(float));
}

size_t titan_checkpoint_staging_bytes(titan_runtime *runtime, titan_save_mode mode, bool verify) {
  titan_checkpoint_layout *layout;
  size_t piece = TITAN_CHECKPOINT_STAGING_BYTES;
  if (titan_checkpoint_layout_create(runtime, true, &layout) != TITAN_OK)
    return piece;
  size_t join = titan_checkpoint_join_bytes(layout, piece), copy = copy_bytes(layout);
  size_t beside = copy + (verify ? verify_bytes(layout) : 0);
  piece += view_bytes(runtime, layout);
  titan_checkpoint_layout_destroy(&layout);
  if (mode == TITAN_SAVE_AT_ONCE)
    return piece + join;
  // The last save is made at once, and converts weights in the working memory while a kept copy is still there.
  if (mode == TITAN_SAVE_ASYNC_PINNED)
    return copy + piece + join;
  return (beside > piece ? beside : piece) + join;
}

// --- creation ---

static titan_status check_threads(titan_save_mode mode) {
  int level = MPI_THREAD_SINGLE;
  MPI_Query_thread(&level);
  if (mode == TITAN_SAVE_AT_ONCE || level >= MPI_THREAD_MULTIPLE)
    return TITAN_OK;
  return titan_error(TITAN_ERROR_USAGE,
                     "checkpoint.async_mode needs an MPI library with the thread level \"multiple\"; this one grants "
                     "\"%s\": set checkpoint.async_mode = disabled",
                     titan_mpi_thread_level_name(level));
}

// Its memory is taken with each save.
static titan_status allocate_join(titan_saver *saver) {
  titan_checkpoint_join *join = &saver->join;
  MPI_Comm_rank(join->comm, &join->rank);
  MPI_Comm_size(join->comm, &join->size);
  join->bytes = titan_checkpoint_join_bytes(saver->layout, saver->piece);
  return titan_memory_allocate(TITAN_MEMORY_GENERAL, 4 * (size_t)join->size * sizeof *join->numbers, &join->numbers);
}

static titan_status allocate_copy(titan_saver *saver) {
  titan_device *device = titan_runtime_optimizer_device(saver->runtime);
  return device->allocate(device, TITAN_SPACE_HOST, TITAN_MEMORY_CHECKPOINT, copy_bytes(saver->layout), &saver->copy);
}

static void free_copy(titan_saver *saver) {
  titan_device *device = titan_runtime_optimizer_device(saver->runtime);
  device->free(device, TITAN_SPACE_HOST, saver->copy);
  saver->copy = NULL;
}

static titan_status allocate(titan_saver *saver) {
  TITAN_TRY(check_threads(saver->mode));
  TITAN_TRY(titan_checkpoint_layout_create(saver->runtime, true, &saver->layout));
  size_t count = (size_t)saver->layout->parameter_count, kept = (size_t)saver->layout->kept_count;
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, kept * count, sizeof *saver->tensors, &saver->tensors));
  for (size_t i = 0; i < kept * count; i++) {
    saver->tensors[i] = saver->layout->parameters[i % count];
    saver->tensors[i].group = saver->layout->kept[i / count];
  }
  TITAN_TRY(allocate_join(saver));
  if (saver->mode != TITAN_SAVE_ASYNC_PINNED)
    return TITAN_OK;
  // Written once now, so that no save waits for the system to give the pages.
  TITAN_TRY(allocate_copy(saver));
  memset(saver->copy, 0, copy_bytes(saver->layout));
  return TITAN_OK;
}

// Communicators of the saves alone: a thread uses them beside the training's.
static titan_status connect(titan_saver *saver) {
  const titan_mesh *mesh = titan_runtime_mesh(saver->runtime);
  TITAN_TRY_MPI(MPI_Comm_dup(titan_comm_mpi(titan_mesh_comm(mesh, TITAN_MESH_WORLD)), &saver->comm));
  TITAN_TRY_MPI(MPI_Comm_set_errhandler(saver->comm, MPI_ERRORS_RETURN));
  TITAN_TRY_MPI(MPI_Comm_dup(titan_comm_mpi(titan_mesh_comm(mesh, TITAN_MESH_TP)), &saver->join.comm));
  TITAN_TRY_MPI(MPI_Comm_set_errhandler(saver->join.comm, MPI_ERRORS_RETURN));
  saver->apart = saver->apart || !titan_comm_is_one_node(titan_mesh_comm(mesh, TITAN_MESH_WORLD));
  return TITAN_OK;
}

titan_status titan_saver_create(const titan_saver_options *options, titan_saver **out) {
  titan_comm *world = titan_mesh_comm(titan_runtime_mesh(options->runtime), TITAN_MESH_WORLD);
  titan_saver *saver = NULL;
  *out = NULL;
  titan_status status = titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, 1, sizeof *saver, &saver);
  TITAN_TRY(titan_comm_agree(world, status));
  saver->runtime = options->runtime;
  saver->mode = options->mode;
  saver->hints = options->hints;
  saver->piece = options->piece > 0 ? options->piece : TITAN_CHECKPOINT_STAGING_BYTES;
  saver->tile_bytes = options->tile_bytes > 0 ? options->tile_bytes : TITAN_CHECKPOINT_TILE_BYTES;
  saver->apart = options->apart;
  saver->verify = options->verify;
  saver->comm = saver->join.comm = MPI_COMM_NULL;
  status = connect(saver);
  if (status == TITAN_OK)
    status = allocate(saver);
  status = titan_comm_agree(world, status);
  if (status != TITAN_OK)
    titan_saver_destroy(&saver);
  *out = saver;
  return status;
}

void titan_saver_destroy(titan_saver **saver) {
  titan_saver *s = *saver;
  titan_save_result unused;
  if (s == NULL)
    return;
  if (s->busy)
    titan_saver_finish(s, &unused);
  if (s->comm != MPI_COMM_NULL)
    MPI_Comm_free(&s->comm);
  if (s->join.comm != MPI_COMM_NULL)
    MPI_Comm_free(&s->join.comm);
  titan_checkpoint_layout_destroy(&s->layout);
  titan_memory_free(s->join.numbers);
  titan_memory_free(s->tensors);
  free_copy(s);
  titan_memory_free(s);
  *saver = NULL;
}

// --- writing ---

static int groups_of(const titan_saver *saver) {
  return saver->request.model_only ? 1 : saver->layout->kept_count;
}

// One rectangle of a group, of which this rank has `data`.
static titan_status write_rectangle(titan_saver *saver, titan_checkpoint_writer *writer, int group,
                                    const titan_checkpoint_rectangle *r, const float *data, int64_t stride,
                                    titan_status status) {
  const titan_checkpoint_tensor *parameter = &saver->layout->parameters[r->parameter];
  int64_t tensor = r->parameter + (int64_t)group * saver->layout->parameter_count;
  titan_checkpoint_section slab = {
      .tensor = tensor, .row = r->row, .rows = r->rows, .column = r->column, .columns = r->columns};
  if (r->joined)
    return titan_checkpoint_join_write(&saver->join, writer, r, tensor, titan_checkpoint_columns(parameter), data,
                                       stride, status);
  return status == TITAN_OK ? titan_checkpoint_writer_write(writer, &slab, data, stride) : status;
}

// One rectangle from its shard.
static titan_status write_from_shard(titan_saver *saver, titan_checkpoint_writer *writer, int group,
                                     const titan_checkpoint_rectangle *r, titan_status status) {
  titan_shard_view view = {0};
  titan_status opened = titan_checkpoint_view_open(saver->runtime, r, group, TITAN_ACCESS_READ, &view);
  status = status == TITAN_OK ? opened : status; // a rank that has failed still gives the others their rows
  status = write_rectangle(saver, writer, group, r, view.values, r->stride, status);
  titan_status closed = titan_shard_view_close(&view);
  return status == TITAN_OK ? closed : status;
}

// The rectangles of a group, from the shards or, where `copy` is there, from it. A rank that has failed goes on as far
// as others wait for it.
static titan_status write_group(titan_saver *saver, titan_checkpoint_writer *writer, int group, const float *copy,
                                titan_status status) {
  const titan_checkpoint_layout *layout = saver->layout;
  for (int64_t i = 0; i < layout->rectangle_count; i++) {
    const titan_checkpoint_rectangle *r = &layout->rectangles[i];
    status = copy != NULL ? write_rectangle(saver, writer, group, r, copy, r->columns, status)
                          : write_from_shard(saver, writer, group, r, status);
    if (copy != NULL)
      copy += r->rows * r->columns;
  }
  return status;
}

static titan_status write_groups(titan_saver *saver, titan_checkpoint_writer *writer, bool threaded) {
  titan_status status = TITAN_OK;
  for (int group = 0; group < groups_of(saver); group++)
    status = write_group(saver, writer, group, threaded ? saver->copy + group * saver->layout->elements : NULL, status);
  return status;
}

// Collective over saver->comm; by the training's thread or by that of the save.
static titan_status write_file(titan_saver *saver, bool threaded) {
  const titan_save_request *request = &saver->request;
  int groups = groups_of(saver);
  for (int p = 0; p < saver->layout->parameter_count; p++)
    saver->tensors[p].number = request->number;
  titan_checkpoint_writer_options options = {
      .comm = saver->comm,
      .patient = threaded,
      .staging = !threaded,
      .apart = saver->apart,
      .verify = saver->verify,
      .piece = saver->piece,
      .path = request->path,
      .replace = request->replace,
      .hints = saver->hints,
      .contents = request->contents,
      .tensor_count = groups * saver->layout->parameter_count,
      .tensors = saver->tensors,
      .slab_count = groups * saver->layout->slab_count,
      .tile_bytes = saver->tile_bytes,
      .sum_count = titan_checkpoint_layout_sums(saver->layout, saver->tile_bytes) / saver->layout->kept_count * groups,
  };
  titan_checkpoint_writer *writer;
  saver->join.patient = threaded;
  titan_status status = titan_memory_allocate(TITAN_MEMORY_CHECKPOINT, saver->join.bytes, &saver->join.memory);
  status = titan_checkpoint_agree(saver->comm, status, threaded);
  if (status == TITAN_OK)
    status = titan_checkpoint_writer_create(&options, &writer);
  if (status == TITAN_OK)
    status = titan_checkpoint_writer_finish(&writer, write_groups(saver, writer, threaded), &saver->result.written);
  titan_memory_free(saver->join.memory);
  return status;
}

static void *run_thread(void *context) {
  titan_saver *saver = context;
  titan_recorder_aside_begins();
  saver->status = write_file(saver, true);
  if (saver->status != TITAN_OK)
    snprintf(saver->message, sizeof saver->message, "%s", titan_error_message());
  saver->result.seconds = titan_clock_seconds() - saver->start;
  titan_recorder_aside_ends();
  atomic_store(&saver->done, true);
  return NULL;
}

// --- the copy ---

static void copy_rectangle(const titan_checkpoint_rectangle *r, const float *shard, float *out) {
  const float *from = shard + r->first_in_shard;
  if (r->stride == r->columns) {
    titan_copy_past_caches(out, from, (size_t)(r->rows * r->columns) * sizeof *out);
    return;
  }
  for (int64_t i = 0; i < r->rows; i++)
    memcpy(out + i * r->columns, from + i * r->stride, (size_t)r->columns * sizeof *out);
}

static void copy_host_shards(titan_saver *saver) {
  const titan_checkpoint_layout *layout = saver->layout;
  titan_device *device = titan_runtime_optimizer_device(saver->runtime);
#pragma omp parallel num_threads(device->threads)
  for (int group = 0; group < layout->kept_count; group++) {
    float *out = saver->copy + group * layout->elements;
    for (int64_t i = 0; i < layout->rectangle_count; i++) {
      const titan_checkpoint_rectangle *r = &layout->rectangles[i];
      // Rows are dealt to the threads in equal blocks.
      int64_t threads = omp_get_num_threads(), thread = omp_get_thread_num();
      int64_t begin = r->rows * thread / threads, end = r->rows * (thread + 1) / threads;
      titan_checkpoint_rectangle part = *r;
      part.rows = end - begin;
      part.first_in_shard += begin * r->stride;
      copy_rectangle(&part, titan_checkpoint_shard(titan_runtime_unit(saver->runtime, r->unit), group),
                     out + begin * r->columns);
      out += r->rows * r->columns;
    }
  }
}

// From a device whose memory is apart, in COPY, past all that COMPUTE has got so far.
static titan_status copy_from_device(titan_saver *saver) {
  titan_device *device = titan_runtime_optimizer_device(saver->runtime);
  const titan_checkpoint_layout *layout = saver->layout;
  float *out = saver->copy;
  TITAN_TRY(titan_queue_follow(device, TITAN_QUEUE_COPY, TITAN_QUEUE_COMPUTE));
  for (int group = 0; group < layout->kept_count; group++)
    for (int64_t i = 0; i < layout->rectangle_count; i++) {
      const titan_checkpoint_rectangle *r = &layout->rectangles[i];
      const float *shard = titan_checkpoint_shard(titan_runtime_unit(saver->runtime, r->unit), group);
      TITAN_TRY(titan_queue_copy_rows(device, TITAN_QUEUE_COPY, out, (size_t)r->columns * sizeof *out,
                                      shard + r->first_in_shard, (size_t)r->stride * sizeof *out,
                                      (size_t)r->columns * sizeof *out, (size_t)r->rows));
      out += r->rows * r->columns;
    }
  return titan_queue_finish(device, TITAN_QUEUE_COPY);
}

// The thread gets no signals but the watchdog's: the others are for the training's. Where the system gives no thread,
// it is done here.
static void start_thread(titan_saver *saver) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  saver->joinable = pthread_create(&saver->thread, NULL, run_thread, saver) == 0;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (!saver->joinable)
    run_thread(saver);
}

static titan_status start_async(titan_saver *saver) {
  titan_comm *world = titan_mesh_comm(titan_runtime_mesh(saver->runtime), TITAN_MESH_WORLD);
  titan_status status = TITAN_OK;
  if (saver->copy == NULL)
    status = allocate_copy(saver);
  status = titan_comm_agree(world, status);
  if (status != TITAN_OK)
    return titan_error(TITAN_ERROR_CHECKPOINT, "%s", titan_error_message());
  if (titan_shard_view_copies(titan_runtime_optimizer_device(saver->runtime)))
    TITAN_TRY(titan_comm_agree(world, copy_from_device(saver)));
  else
    copy_host_shards(saver);
  saver->result.copy_seconds = titan_clock_seconds() - saver->start;
  saver->busy = saver->threaded = true;
  start_thread(saver);
  return TITAN_OK;
}

// --- the interface ---

uint64_t titan_saver_file_bytes(const titan_saver *saver) {
  uint64_t bytes = 1 << 20; // what lies beside tensors
  for (int p = 0; p < saver->layout->parameter_count; p++)
    bytes += (uint64_t)saver->layout->kept_count * titan_checkpoint_tensor_bytes(&saver->layout->parameters[p]);
  return bytes;
}

static titan_status check_rectangle(titan_saver *saver, const titan_checkpoint_rectangle *r, titan_number number) {
  titan_shard_view view;
  TITAN_TRY(titan_checkpoint_view_open(saver->runtime, r, TITAN_CHECKPOINT_MODEL, TITAN_ACCESS_READ, &view));
  titan_status status = TITAN_OK;
  for (int64_t row = 0; row < r->rows && status == TITAN_OK; row++) {
    const float *values = view.values + row * r->stride;
    int64_t place = titan_number_unfit(number, r->columns, values);
    if (place >= 0)
      status = titan_number_unfit_error("the model", saver->layout->parameters[r->parameter].name, values[place]);
  }
  titan_status closed = titan_shard_view_close(&view);
  return status == TITAN_OK ? closed : status;
}

titan_status titan_saver_check_values(titan_saver *saver, titan_number number) {
  titan_status status = TITAN_OK;
  for (int64_t i = 0; i < saver->layout->rectangle_count && status == TITAN_OK; i++)
    status = check_rectangle(saver, &saver->layout->rectangles[i], number);
  return titan_checkpoint_agree(saver->comm, status, false);
}

titan_status titan_saver_start(titan_saver *saver, const titan_save_request *request) {
  saver->request = *request;
  saver->result = (titan_save_result){0};
  saver->start = titan_clock_seconds();
  atomic_store(&saver->done, false);
  if (saver->mode != TITAN_SAVE_AT_ONCE && !request->at_once)
    return start_async(saver);
  saver->threaded = false;
  saver->status = write_file(saver, false);
  saver->result.seconds = saver->result.copy_seconds = titan_clock_seconds() - saver->start;
  saver->busy = saver->status == TITAN_OK;
  atomic_store(&saver->done, true);
  return saver->status;
}

bool titan_saver_is_busy(const titan_saver *saver) {
  return saver->busy;
}

bool titan_saver_is_done(const titan_saver *saver) {
  return atomic_load(&saver->done);
}

// The thread writes to storage, and waits for the other ranks: the watchdog looks at it in place of this one.
static void join_thread(titan_saver *saver) {
  char action[64];
  const char *slash = strrchr(saver->request.path, '/');
  snprintf(action, sizeof action, "write of %s", slash != NULL ? slash + 1 : saver->request.path);
  titan_recorder_await_aside(action);
  pthread_join(saver->thread, NULL);
  titan_recorder_awaited_aside();
}

titan_status titan_saver_finish(titan_saver *saver, titan_save_result *result) {
  if (saver->threaded && saver->joinable)
    join_thread(saver);
  if (saver->threaded && saver->mode == TITAN_SAVE_ASYNC) {
    free_copy(saver);
  }
  bool failed = saver->threaded && saver->status != TITAN_OK;
  saver->busy = saver->threaded = false;
  *result = saver->result;
  if (!failed)
    return TITAN_OK;
  titan_status status = titan_error(saver->status, "%s", saver->message);
  titan_error_mark_agreed();
  return status;
}
