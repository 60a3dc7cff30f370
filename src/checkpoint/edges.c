// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/edges.h"

#include "base/memory.h"
#include "checkpoint/agree.h"
#include "comm/mpi_error.h"

#include <stdlib.h>
#include <string.h>

enum { PAGE = TITAN_CHECKPOINT_PAGE_BYTES };

int titan_checkpoint_page_owner(const titan_checkpoint_tensor *tensor, uint64_t page, int ranks) {
  uint64_t begin = page * PAGE, end = tensor->offset + titan_checkpoint_tensor_bytes(tensor);
  return begin < tensor->offset || begin + PAGE > end ? 0 : (int)(page % (uint64_t)ranks);
}

void titan_checkpoint_page_split(uint64_t offset, size_t bytes, size_t *before, size_t *behind) {
  *before = (size_t)((PAGE - offset % PAGE) % PAGE);
  *behind = (size_t)((offset + bytes) % PAGE);
  if (*before + *behind > bytes) {
    *before = bytes;
    *behind = 0;
  }
}

// --- collecting ---

static titan_status grow(titan_checkpoint_edges *edges, size_t bytes) {
  if (edges->count == edges->capacity) {
    int64_t capacity = edges->capacity > 0 ? 2 * edges->capacity : 256;
    TITAN_TRY(titan_memory_resize(TITAN_MEMORY_GENERAL, (size_t)capacity * sizeof *edges->edges, &edges->edges));
    edges->capacity = capacity;
  }
  if (edges->length + bytes > edges->room) {
    size_t room = 2 * edges->room + 16 * PAGE;
    TITAN_TRY(titan_memory_resize(TITAN_MEMORY_GENERAL, room, &edges->data));
    edges->room = room;
  }
  return TITAN_OK;
}

titan_status titan_checkpoint_edges_add(titan_checkpoint_edges *edges, const titan_checkpoint_tensor *tensor,
                                        uint64_t offset, const void *data, size_t bytes, int ranks) {
  for (size_t done = 0, count; done < bytes; done += count) {
    uint64_t at = offset + done;
    count = bytes - done < PAGE - at % PAGE ? bytes - done : (size_t)(PAGE - at % PAGE);
    TITAN_TRY(grow(edges, count));
    edges->edges[edges->count++] =
        (titan_checkpoint_edge){at, (int32_t)count, titan_checkpoint_page_owner(tensor, at / PAGE, ranks)};
    memcpy(edges->data + edges->length, (const char *)data + done, count);
    edges->length += count;
  }
  return TITAN_OK;
}

void titan_checkpoint_edges_destroy(titan_checkpoint_edges *edges) {
  titan_memory_free(edges->edges);
  titan_memory_free(edges->data);
  *edges = (titan_checkpoint_edges){0};
}

// --- the exchange ---

// For each rank: how many edges and bytes, and after which ones.
typedef struct traffic {
  int *numbers; // [8][ranks]
  int *edges, *bytes, *first_edge, *first_byte;
  int *from_edges, *from_bytes, *from_first_edge, *from_first_byte;
} traffic;

static titan_status traffic_create(int ranks, traffic *t) {
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, 8 * (size_t)ranks, sizeof *t->numbers, &t->numbers));
  int **const parts[] = {&t->edges,      &t->bytes,      &t->first_edge,      &t->first_byte,
                         &t->from_edges, &t->from_bytes, &t->from_first_edge, &t->from_first_byte};
  for (int i = 0; i < 8; i++)
    *parts[i] = t->numbers + (ptrdiff_t)i * ranks;
  return TITAN_OK;
}

static void add_up(int ranks, const int *counts, int *first, int64_t *all) {
  *all = 0;
  for (int r = 0; r < ranks; r++) {
    first[r] = (int)*all;
    *all += counts[r];
  }
}

// The edges and their bytes in the order of owners.
static titan_status sort_by_owner(const titan_checkpoint_edges *edges, int ranks, traffic *t,
                                  titan_checkpoint_edges *out) {
  int64_t edge_count, byte_count;
  for (int64_t i = 0; i < edges->count; i++) {
    t->edges[edges->edges[i].owner]++;
    t->bytes[edges->edges[i].owner] += edges->edges[i].bytes;
  }
  add_up(ranks, t->edges, t->first_edge, &edge_count);
  add_up(ranks, t->bytes, t->first_byte, &byte_count);
  TITAN_TRY(titan_memory_allocate(TITAN_MEMORY_GENERAL, (size_t)edge_count * sizeof *out->edges, &out->edges));
  TITAN_TRY(titan_memory_allocate(TITAN_MEMORY_GENERAL, (size_t)byte_count, &out->data));
  const char *from = edges->data;
  for (int64_t i = 0; i < edges->count; i++) {
    const titan_checkpoint_edge *edge = &edges->edges[i];
    out->edges[t->first_edge[edge->owner]++] = *edge;
    memcpy(out->data + t->first_byte[edge->owner], from, (size_t)edge->bytes);
    t->first_byte[edge->owner] += edge->bytes;
    from += edge->bytes;
  }
  add_up(ranks, t->edges, t->first_edge, &edge_count);
  add_up(ranks, t->bytes, t->first_byte, &byte_count);
  return TITAN_OK;
}

static titan_status make_room(int ranks, traffic *t, titan_checkpoint_edges *received) {
  int64_t bytes;
  add_up(ranks, t->from_edges, t->from_first_edge, &received->count);
  add_up(ranks, t->from_bytes, t->from_first_byte, &bytes);
  if (received->count > INT32_MAX || bytes > INT32_MAX)
    return titan_error(TITAN_ERROR_INTERNAL, "more parts of pages than a rank can take");
  TITAN_TRY(
      titan_memory_allocate(TITAN_MEMORY_GENERAL, (size_t)received->count * sizeof *received->edges, &received->edges));
  received->length = (size_t)bytes;
  return titan_memory_allocate(TITAN_MEMORY_GENERAL, (size_t)bytes, &received->data);
}

static titan_status send(const titan_checkpoint_edges *sorted, const traffic *t, MPI_Comm comm, bool patient,
                         titan_checkpoint_edges *received) {
  MPI_Request requests[2];
  MPI_Datatype type;
  TITAN_TRY_MPI(MPI_Type_contiguous((int)sizeof *sorted->edges, MPI_BYTE, &type));
  TITAN_TRY_MPI(MPI_Type_commit(&type));
  TITAN_TRY_MPI(MPI_Ialltoallv(sorted->edges, t->edges, t->first_edge, type, received->edges, t->from_edges,
                               t->from_first_edge, type, comm, &requests[0]));
  TITAN_TRY_MPI(MPI_Ialltoallv(sorted->data, t->bytes, t->first_byte, MPI_BYTE, received->data, t->from_bytes,
                               t->from_first_byte, MPI_BYTE, comm, &requests[1]));
  TITAN_TRY(titan_checkpoint_wait(2, requests, patient));
  return TITAN_MPI(MPI_Type_free(&type));
}

static titan_status exchange(const titan_checkpoint_edges *edges, int ranks, traffic *t, MPI_Comm comm, bool patient,
                             titan_checkpoint_edges *received) {
  titan_checkpoint_edges sorted = {0};
  MPI_Request requests[2];
  titan_status status = titan_checkpoint_agree(comm, sort_by_owner(edges, ranks, t, &sorted), patient);
  if (status == TITAN_OK)
    status = TITAN_MPI(MPI_Ialltoall(t->edges, 1, MPI_INT, t->from_edges, 1, MPI_INT, comm, &requests[0]));
  if (status == TITAN_OK)
    status = TITAN_MPI(MPI_Ialltoall(t->bytes, 1, MPI_INT, t->from_bytes, 1, MPI_INT, comm, &requests[1]));
  if (status == TITAN_OK)
    status = titan_checkpoint_wait(2, requests, patient);
  if (status == TITAN_OK)
    status = titan_checkpoint_agree(comm, make_room(ranks, t, received), patient);
  if (status == TITAN_OK)
    status = send(&sorted, t, comm, patient, received);
  titan_checkpoint_edges_destroy(&sorted);
  return status;
}

titan_status titan_checkpoint_edges_exchange(titan_checkpoint_edges *edges, MPI_Comm comm, bool patient,
                                             titan_checkpoint_edges *received) {
  traffic t = {0};
  int ranks = 1;
  MPI_Comm_size(comm, &ranks);
  *received = (titan_checkpoint_edges){0};
  titan_status status = titan_checkpoint_agree(comm, traffic_create(ranks, &t), patient);
  if (status == TITAN_OK)
    status = exchange(edges, ranks, &t, comm, patient, received);
  titan_memory_free(t.numbers);
  return status;
}
