// SPDX-License-Identifier: Apache-2.0
#include "comm/nodes.h"

#include "base/hash.h"
#include "base/memory.h"
#include "comm/mpi_error.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char variable[] = "TITAN_SIMULATED_NODES";

titan_status titan_nodes_simulated(int *node) {
  const char *text = getenv(variable), *next = text;
  int rank = 0;
  *node = 0;
  if (text == NULL)
    return TITAN_OK;
  TITAN_TRY_MPI(MPI_Comm_rank(MPI_COMM_WORLD, &rank)); // then: among the ranks from the next node on
  for (bool more = true; more; next++) {
    char *end = NULL;
    long ranks = strtol(next, &end, 10);
    if (end == next || ranks < 1 || ranks > 1 << 20 || (*end != '\0' && *end != ','))
      return titan_error(TITAN_ERROR_USAGE, "%s = \"%.40s\": expected the ranks of each node, as 4 or 3,1", variable,
                         text);
    more = *end == ',';
    if (rank >= 0)
      *node += more ? rank >= (int)ranks : rank / (int)ranks;
    rank -= (int)ranks;
    next = end;
  }
  return TITAN_OK;
}

// A number that ranks have in common exactly when they can share memory: the kernel's boot, and the file system that
// shared memory comes from (containers on one machine may each have their own).
static titan_status find_own(int64_t *node) {
  uint64_t hash;
  char bytes[MPI_MAX_PROCESSOR_NAME + 128] = {0};
  int length = 0, simulated = 0;
  TITAN_TRY(titan_nodes_simulated(&simulated));
  MPI_Get_processor_name(bytes, &length);
  int file = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
  if (file >= 0) {
    ssize_t got = read(file, bytes + length, 64);
    length += got > 0 ? (int)got : 0;
    close(file);
  }
  hash = titan_hash_bytes(TITAN_HASH_START, bytes, (size_t)length);
  struct stat status;
  if (stat("/dev/shm", &status) == 0)
    hash = titan_hash_number(hash, (uint64_t)status.st_dev, 8);
  *node = (int64_t)titan_hash_number(hash, (uint64_t)simulated, 8);
  return TITAN_OK;
}

static int compare(const void *a, const void *b) {
  const titan_node_place *x = a, *y = b;
  if (x->node != y->node)
    return x->node < y->node ? -1 : 1;
  return x->rank - y->rank;
}

// The end of the run of places of one node that begins at `first`.
static int end_of_node(const titan_node_place *places, int size, int first) {
  int end = first;
  while (end < size && places[end].node == places[first].node)
    end++;
  return end;
}

static void sort(titan_node_place *places, int size) {
  qsort(places, (size_t)size, sizeof *places, compare);
  for (int first = 0, end; first < size; first = end) {
    end = end_of_node(places, size, first);
    for (int i = end - 1; i >= first; i--)
      places[i].node = places[first].rank;
  }
  qsort(places, (size_t)size, sizeof *places, compare);
}

static titan_status gather(MPI_Comm mpi, int size, int64_t own, titan_node_place *places) {
  int64_t *nodes = NULL;
  TITAN_TRY(titan_memory_allocate(TITAN_MEMORY_COMMUNICATION, (size_t)size * sizeof *nodes, &nodes));
  titan_status status = TITAN_MPI(MPI_Allgather(&own, 1, MPI_INT64_T, nodes, 1, MPI_INT64_T, mpi));
  for (int rank = 0; rank < size; rank++)
    places[rank] = (titan_node_place){nodes[rank], rank};
  titan_memory_free(nodes);
  return status;
}

titan_status titan_nodes_places(MPI_Comm mpi, int size, titan_node_place **out) {
  int64_t own;
  *out = NULL;
  TITAN_TRY(find_own(&own));
  TITAN_TRY(titan_memory_allocate(TITAN_MEMORY_COMMUNICATION, (size_t)size * sizeof **out, out));
  titan_status status = gather(mpi, size, own, *out);
  if (status == TITAN_OK) {
    sort(*out, size);
    return TITAN_OK;
  }
  titan_memory_free(*out);
  *out = NULL;
  return status;
}

titan_comm_nodes titan_nodes_count(const titan_node_place *places, int size, int rank) {
  titan_comm_nodes nodes = {.least = size};
  for (int first = 0, end; first < size; first = end) {
    end = end_of_node(places, size, first);
    nodes.count++;
    nodes.most = end - first > nodes.most ? end - first : nodes.most;
    nodes.least = end - first < nodes.least ? end - first : nodes.least;
    for (int i = first; i < end; i++)
      nodes.own = places[i].rank == rank ? end - first : nodes.own;
  }
  return nodes;
}
