// SPDX-License-Identifier: Apache-2.0
// Collectives and messages of float32 between GPUs, by size: microseconds and bus bandwidth, beside the same over MPI
// in host memory. Start with: mpirun -np N gpu_collectives [--largest MiB] [--transport auto|nccl|host] [--json FILE]
//
// Size: the whole buffer, of all ranks' parts. Bus bandwidth is what each rank's link moves in one direction, as NCCL's
// tests count it: size x (N - 1) / N over the time; twice that for all_reduce; the size itself for messages, which go
// around the ring of ranks. The time is the slowest rank's for one of several operations in a row, in the best of the
// rounds. --largest: 256 MiB.
#include "../common.h"

#include "base/clock.h"
#include "base/text.h"
#include "comm/bootstrap.h"
#include "comm/topology.h"
#include "device/plugin.h"
#include "device/queue.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 5, IN_A_ROW = 4, WORKS = 2 * IN_A_ROW };

typedef struct bench {
  titan_device *device; // NULL: host memory
  titan_comm *world;    // of the host
  titan_comm *collectives, *messages;
  float *send, *recv; // whole buffers
  size_t part;        // elements of a rank
} bench;

typedef struct operation {
  const char *name;
  titan_status (*begin)(const bench *b, titan_work *works[2]);
  int works;
  bool is_message;
  double factor; // of size x (N - 1) / N, or of the size of a message
} operation;

static titan_status all_gather(const bench *b, titan_work *works[2]) {
  return titan_comm_all_gather(b->collectives, b->send, b->recv, b->part, TITAN_FLOAT32, &works[0]);
}

static titan_status reduce_scatter(const bench *b, titan_work *works[2]) {
  return titan_comm_reduce_scatter(b->collectives, b->send, b->recv, b->part, TITAN_FLOAT32, TITAN_SUM, &works[0]);
}

static titan_status all_reduce(const bench *b, titan_work *works[2]) {
  size_t count = b->part * (size_t)titan_comm_size(b->world);
  return titan_comm_all_reduce(b->collectives, b->send, b->recv, count, TITAN_FLOAT32, TITAN_SUM, &works[0]);
}

static titan_status ring(const bench *b, titan_work *works[2]) {
  int rank = titan_comm_rank(b->world), size = titan_comm_size(b->world);
  size_t count = b->part * (size_t)size;
  TITAN_TRY(titan_comm_recv(b->messages, b->recv, count, TITAN_FLOAT32, (rank + size - 1) % size, 0, &works[0]));
  return titan_comm_send(b->messages, b->send, count, TITAN_FLOAT32, (rank + 1) % size, 0, &works[1]);
}

static const operation operations[] = {
    {"all_gather", all_gather, 1, false, 1},
    {"reduce_scatter", reduce_scatter, 1, false, 1},
    {"all_reduce", all_reduce, 1, false, 2},
    {"ring of messages", ring, 2, true, 1},
};
enum { OPERATIONS = sizeof operations / sizeof *operations };

// Seconds of one operation on this rank, of several in a row.
static titan_status run_in_a_row(const bench *b, const operation *o, double *seconds) {
  titan_work *works[2];
  double begin = titan_clock_seconds();
  for (int i = 0; i < IN_A_ROW; i++) {
    TITAN_TRY(o->begin(b, works));
    for (int k = 0; k < o->works; k++)
      TITAN_TRY(titan_work_wait(&works[k]));
  }
  if (b->device != NULL)
    TITAN_TRY(titan_device_drain(b->device));
  *seconds = (titan_clock_seconds() - begin) / IN_A_ROW;
  return TITAN_OK;
}

static titan_status measure(const bench *b, const operation *o, double *best) {
  *best = 1e30;
  for (int round = 0; round < ROUNDS; round++) {
    double seconds = 0;
    TITAN_TRY(titan_comm_barrier(b->world, NULL));
    TITAN_TRY(run_in_a_row(b, o, &seconds));
    TITAN_TRY(titan_comm_all_reduce(b->world, &seconds, &seconds, 1, TITAN_FLOAT64, TITAN_MAX, NULL));
    *best = seconds < *best ? seconds : *best;
  }
  return TITAN_OK;
}

static titan_status allocate(bench *b, size_t bytes) {
  if (b->device == NULL) {
    TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, bytes, 1, &b->send));
    return titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, bytes, 1, &b->recv);
  }
  TITAN_TRY(b->device->allocate(b->device, TITAN_SPACE_EXCHANGE, TITAN_MEMORY_GENERAL, bytes, &b->send));
  TITAN_TRY(b->device->allocate(b->device, TITAN_SPACE_EXCHANGE, TITAN_MEMORY_GENERAL, bytes, &b->recv));
  TITAN_TRY(b->device->vector->fill(b->device, (int64_t)(bytes / sizeof(float)), b->send, 0));
  TITAN_TRY(titan_comm_register(b->collectives, b->send, bytes));
  return titan_comm_register(b->collectives, b->recv, bytes);
}

static void release(bench *b) {
  if (b->device != NULL) {
    b->device->free(b->device, TITAN_SPACE_EXCHANGE, b->send);
    b->device->free(b->device, TITAN_SPACE_EXCHANGE, b->recv);
  } else {
    titan_memory_free(b->send);
    titan_memory_free(b->recv);
  }
  b->send = b->recv = NULL;
}

static double bus_bandwidth(const operation *o, size_t bytes, int ranks, double seconds) {
  double moved = o->is_message ? (double)bytes : (double)bytes * (ranks - 1) / ranks;
  return o->factor * moved / seconds;
}

// Of a GPU and of host memory, one row.
static void print(FILE *json, const operation *o, size_t bytes, int ranks, const double seconds[2]) {
  static bool any;
  double gpu = bus_bandwidth(o, bytes, ranks, seconds[0]), host = bus_bandwidth(o, bytes, ranks, seconds[1]);
  printf("%10zu  %-16s  %10.1f %8.2f  %10.1f %8.2f\n", bytes >> 10, o->name, 1e6 * seconds[0], gpu / 1e9,
         1e6 * seconds[1], host / 1e9);
  fflush(stdout);
  if (json != NULL)
    fprintf(json,
            "%s\n  {\"operation\": \"%s\", \"bytes\": %zu, \"gpu_seconds\": %.9g, \"gpu_bus_bytes_per_second\": %.9g, "
            "\"mpi_seconds\": %.9g, \"mpi_bus_bytes_per_second\": %.9g}",
            any ? "," : "", o->name, bytes, seconds[0], gpu, seconds[1], host);
  any = true;
}

// A size: first all operations of the GPUs, then those of the host, as memory that is registered stays for the run.
static titan_status run_size(bench *gpu, bench *host, size_t bytes, FILE *json) {
  double seconds[OPERATIONS][2];
  int ranks = titan_comm_size(host->world);
  bench *both[] = {gpu, host};
  TITAN_TRY(allocate(host, bytes));
  for (int which = 0; which < 2; which++)
    for (int i = 0; i < OPERATIONS; i++) {
      both[which]->part = bytes / sizeof(float) / (size_t)ranks;
      TITAN_TRY(measure(both[which], &operations[i], &seconds[i][which]));
    }
  for (int i = 0; i < OPERATIONS && titan_comm_rank(host->world) == 0; i++)
    print(json, &operations[i], bytes, ranks, seconds[i]);
  release(host);
  return TITAN_OK;
}

typedef struct settings {
  size_t largest;
  titan_transport transport;
  const char *json;
} settings;

static settings parse(int argc, char **argv) {
  static const char *const transports[] = {
      [TITAN_TRANSPORT_AUTO] = "auto", [TITAN_TRANSPORT_NCCL] = "nccl", [TITAN_TRANSPORT_HOST] = "host"};
  settings s = {.largest = 256, .transport = TITAN_TRANSPORT_AUTO};
  for (int i = 1; i < argc; i += 2) {
    const char *value = i + 1 < argc ? argv[i + 1] : "";
    bool known = false;
    if (strcmp(argv[i], "--largest") == 0)
      known = (s.largest = strtoul(value, NULL, 10)) > 0;
    else if (strcmp(argv[i], "--json") == 0)
      known = *(s.json = value) != '\0';
    for (int t = 0; strcmp(argv[i], "--transport") == 0 && t < 3; t++)
      if (strcmp(value, transports[t]) == 0) {
        s.transport = (titan_transport)t;
        known = true;
      }
    if (!known)
      bench_end(
          titan_error(TITAN_ERROR_USAGE,
                      "%s %s: expected --largest MiB (at least 1), --transport auto, nccl or host, or --json FILE",
                      argv[i], value));
  }
  return s;
}

static titan_device *open_device(titan_comm *node) {
  titan_device *device;
  titan_topology topology;
  titan_text remark = {0};
  bench_end(titan_topology_query(node, &topology));
  titan_device_request request = {.threads = 1, .node_rank = topology.node_rank, .node_size = topology.node_size};
  bench_end(titan_cpu_isa_choose(&request.level));
  bench_end(titan_device_create(TITAN_DEVICE_CUDA, &request, &remark, &device));
  titan_text_destroy(&remark);
  return device;
}

static void run(const settings *s, titan_device *device, titan_comm *world, FILE *json) {
  size_t most = s->largest << 20, unit = sizeof(float) * (size_t)titan_comm_size(world);
  bench host = {.world = world, .collectives = world, .messages = world}, gpu = {.device = device, .world = world};
  if (device->connect != NULL)
    bench_end(device->connect(device, world, s->transport));
  bench_end(titan_device_group_create(device, world, TITAN_QUEUE_GATHER, WORKS, &gpu.collectives));
  bench_end(titan_device_group_create(device, world, TITAN_QUEUE_PIPELINE, WORKS, &gpu.messages));
  bench_end(allocate(&gpu, most / unit * unit));
  if (titan_comm_rank(world) == 0)
    printf("%s; %d ranks\n%10s  %-16s  %10s %8s  %10s %8s\n", device->description, titan_comm_size(world), "KiB", "",
           "GPU us", "bus GB/s", "MPI us", "bus GB/s");
  for (size_t bytes = (size_t)64 << 10; bytes <= most; bytes *= 4)
    bench_end(run_size(&gpu, &host, bytes / unit * unit, json));
  titan_device_group_destroy(world, &gpu.messages);
  titan_device_group_destroy(world, &gpu.collectives);
  release(&gpu);
}

int main(int argc, char **argv) {
  titan_mpi mpi;
  titan_comm *world, *node;
  FILE *json = NULL;
  bench_end(titan_mpi_initialize(&argc, &argv, &mpi));
  settings s = parse(argc, argv);
  if (mpi.size < 2)
    bench_end(titan_error(TITAN_ERROR_USAGE, "one rank exchanges nothing: start with mpirun -np 2 or more"));
  if (s.json != NULL && mpi.rank == 0 && (json = fopen(s.json, "w")) == NULL)
    bench_end(titan_error(TITAN_ERROR_OUTPUT, "cannot write %s", s.json));
  bench_end(titan_comm_create_mpi(MPI_COMM_WORLD, "world", &world));
  bench_end(titan_comm_create_node(MPI_COMM_WORLD, "node", &node));
  titan_device *device = open_device(node);
  if (json != NULL)
    fprintf(json, "[");
  run(&s, device, world, json);
  if (json != NULL) {
    fprintf(json, "\n]\n");
    fclose(json);
  }
  titan_device_destroy(&device);
  titan_comm_destroy(&node);
  titan_comm_destroy(&world);
  titan_mpi_finalize();
  return titan_memory_report_leaks() != 0;
}
