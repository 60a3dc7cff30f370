// SPDX-License-Identifier: Apache-2.0
#include "comm/levels.h"

#include "base/memory.h"
#include "comm/mpi_error.h"
#include "comm/nodes.h"

#include <stdatomic.h>
#include <stdio.h>

// The beginning of a rank's shared part.
typedef struct header {
  _Alignas(TITAN_MEMORY_ALIGNMENT) _Atomic uint64_t arrived;
  _Atomic uint64_t used;
} header;

enum { PART_BYTES = (int)sizeof(header) + TITAN_LEVELS_SLOTS * TITAN_LEVELS_SLOT_BYTES, NAME_BYTES = 160 };

// --- sizes ---

static size_t aligned(size_t bytes) {
  return titan_round_up(bytes, TITAN_MEMORY_ALIGNMENT);
}

// Messages of a rank in a step, each way: one, or those that it looks after.
static size_t messages(titan_comm_nodes nodes) {
  return (size_t)((nodes.most + nodes.own - 1) / nodes.own) + 1;
}

typedef struct layout {
  size_t firsts, ranks, sources, requests, piece, pieces, total;
} layout;

static layout lay_out(const titan_comm *comm) {
  titan_comm_nodes nodes = comm->nodes;
  layout l = {.firsts = aligned((size_t)(nodes.count + 1) * sizeof(int)),
              .ranks = aligned((size_t)comm->size * sizeof(int)),
              .sources = aligned((size_t)nodes.own * sizeof(void *)),
              .requests = aligned(messages(nodes) * sizeof(MPI_Request)),
              .piece = aligned(TITAN_LEVELS_SLOT_BYTES / (size_t)nodes.most),
              .pieces = (size_t)(TITAN_LEVELS_SLOTS + titan_reduce_tree_levels(nodes.count))};
  l.total = l.firsts + l.ranks + l.sources + 2 * (size_t)TITAN_LEVELS_SLOTS * l.requests + l.pieces * l.piece;
  return l;
}

static void name_node_group(const titan_comm *comm, char *text) {
  snprintf(text, NAME_BYTES, "%s_node", comm->name);
}

bool titan_comm_can_level(const titan_comm *comm) {
  return comm->nodes.count > 1 && comm->nodes.most > 1;
}

bool titan_comm_levels_all_reduce(size_t bytes) {
  return bytes > TITAN_COMM_LEAST_BYTES;
}

size_t titan_comm_level_bytes(const titan_comm *comm) {
  char name[NAME_BYTES];
  name_node_group(comm, name);
  titan_comm node = {.backend = comm->backend, .name = name, .size = comm->nodes.own};
  return sizeof(titan_levels) + lay_out(comm).total + titan_comm_bytes(&node) + titan_shared_handle_bytes(&node) +
         PART_BYTES;
}

// --- creation ---

static void place(titan_levels *levels) {
  layout l = lay_out(levels->comm);
  char *next = levels->memory;
  levels->firsts = (int *)(void *)next, next += l.firsts;
  levels->ranks = (int *)(void *)next, next += l.ranks;
  levels->sources = (const void **)(void *)next, next += l.sources;
  for (int slot = 0; slot < TITAN_LEVELS_SLOTS; slot++) {
    levels->lanes[slot].receives = (MPI_Request *)(void *)next, next += l.requests;
    levels->lanes[slot].sends = (MPI_Request *)(void *)next, next += l.requests;
  }
  levels->received = next;
  levels->tree = (titan_reduce_tree){.sums = next + TITAN_LEVELS_SLOTS * l.piece, .stride = l.piece};
}

static titan_status find_places(titan_levels *levels) {
  titan_comm *comm = levels->comm;
  titan_node_place *places;
  int nodes = 0;
  TITAN_TRY(titan_nodes_places(comm->mpi, comm->size, &places));
  for (int i = 0; i < comm->size; i++) {
    if (i == 0 || places[i].node != places[i - 1].node)
      levels->firsts[nodes++] = i;
    levels->ranks[i] = places[i].rank;
    if (places[i].rank == comm->rank)
      levels->own = nodes - 1;
  }
  levels->firsts[nodes] = comm->size;
  levels->tree.own = levels->own;
  levels->tree.sources = nodes;
  titan_memory_free(places);
  return TITAN_OK;
}

static titan_status allocate(titan_comm *comm, titan_levels **out) {
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_COMMUNICATION, 1, sizeof **out, out));
  (*out)->comm = comm;
  return titan_memory_allocate(TITAN_MEMORY_COMMUNICATION, lay_out(comm).total, &(*out)->memory);
}

static titan_status create_node_group(titan_levels *levels) {
  char name[NAME_BYTES];
  name_node_group(levels->comm, name);
  TITAN_TRY(titan_comm_create_split(levels->comm->mpi, levels->own, levels->comm->rank, name, &levels->node));
  return titan_shared_create(levels->node, PART_BYTES, TITAN_MEMORY_COMMUNICATION, &levels->shared);
}

static void destroy(titan_levels *levels) {
  if (levels == NULL)
    return;
  titan_shared_destroy(&levels->shared);
  titan_comm_destroy(&levels->node);
  titan_memory_free(levels->memory);
  titan_memory_free(levels);
}

static titan_status create(titan_comm *comm, titan_levels **out) {
  titan_levels *levels = NULL;
  titan_status status = TITAN_OK;
  TITAN_TRY_CLEANUP(titan_comm_agree(comm, allocate(comm, &levels)));
  place(levels);
  TITAN_TRY_CLEANUP(titan_comm_agree(comm, find_places(levels)));
  // One node may have too little shared memory, and another one enough.
  TITAN_TRY_CLEANUP(titan_comm_agree(comm, create_node_group(levels)));
  *out = levels;
  return TITAN_OK;
cleanup:
  destroy(levels);
  return status;
}

titan_status titan_comm_level(titan_comm *comm) {
  if (titan_comm_can_level(comm) && comm->levels == NULL)
    TITAN_TRY(create(comm, &comm->levels));
  if (comm->levels != NULL)
    comm->levels->users++;
  return TITAN_OK;
}

void titan_comm_unlevel(titan_comm *comm) {
  titan_levels *levels = comm->levels;
  if (levels == NULL || --levels->users > 0)
    return;
  comm->levels = NULL;
  destroy(levels);
}

bool titan_comm_is_levelled(const titan_comm *comm) {
  return comm->levels != NULL;
}

// --- slots ---

static header *header_of(const titan_levels *levels, int node_rank) {
  return titan_shared_part(levels->shared, node_rank);
}

char *titan_levels_slot(const titan_levels *levels, int node_rank, uint64_t ticket) {
  return (char *)(header_of(levels, node_rank) + 1) + ticket % TITAN_LEVELS_SLOTS * TITAN_LEVELS_SLOT_BYTES;
}

void titan_levels_tell_arrived(const titan_levels *levels) {
  titan_shared_fence();
  atomic_store_explicit(&header_of(levels, levels->node->rank)->arrived, levels->arrived, memory_order_release);
}

void titan_levels_tell_used(const titan_levels *levels) {
  titan_shared_fence();
  atomic_store_explicit(&header_of(levels, levels->node->rank)->used, levels->used, memory_order_release);
}

bool titan_levels_all_arrived(const titan_levels *levels, uint64_t ticket) {
  for (int i = 0; i < levels->node->size; i++)
    if (atomic_load_explicit(&header_of(levels, i)->arrived, memory_order_acquire) < ticket)
      return false;
  titan_shared_fence();
  return true;
}

bool titan_levels_all_used(const titan_levels *levels, uint64_t ticket) {
  for (int i = 0; i < levels->node->size; i++)
    if (atomic_load_explicit(&header_of(levels, i)->used, memory_order_acquire) < ticket)
      return false;
  titan_shared_fence();
  return true;
}
