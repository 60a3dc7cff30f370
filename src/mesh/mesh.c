#include "mesh/mesh.h"

#include <stdio.h>
#include <string.h>

static const char *const group_names[TITAN_MESH_GROUPS] = {
    [TITAN_MESH_PP] = "pp",
    [TITAN_MESH_DP_REPLICATE] = "dp_replicate",
    [TITAN_MESH_DP_SHARD] = "dp_shard",
    [TITAN_MESH_CP] = "cp",
    [TITAN_MESH_TP] = "tp",
    [TITAN_MESH_DP] = "dp",
    [TITAN_MESH_DP_SHARD_CP] = "dp_shard_cp",
    [TITAN_MESH_DP_CP] = "dp_cp",
    [TITAN_MESH_WORLD] = "world",
};

// Which mesh dimensions a group spans: its ranks differ in these coordinates and agree in the others.
#define SPAN(dimension) (1u << (dimension))
static const unsigned group_spans[TITAN_MESH_GROUPS] = {
    [TITAN_MESH_PP] = SPAN(TITAN_MESH_PP),
    [TITAN_MESH_DP_REPLICATE] = SPAN(TITAN_MESH_DP_REPLICATE),
    [TITAN_MESH_DP_SHARD] = SPAN(TITAN_MESH_DP_SHARD),
    [TITAN_MESH_CP] = SPAN(TITAN_MESH_CP),
    [TITAN_MESH_TP] = SPAN(TITAN_MESH_TP),
    [TITAN_MESH_DP] = SPAN(TITAN_MESH_DP_REPLICATE) | SPAN(TITAN_MESH_DP_SHARD),
    [TITAN_MESH_DP_SHARD_CP] = SPAN(TITAN_MESH_DP_SHARD) | SPAN(TITAN_MESH_CP),
    [TITAN_MESH_DP_CP] = SPAN(TITAN_MESH_DP_REPLICATE) | SPAN(TITAN_MESH_DP_SHARD) | SPAN(TITAN_MESH_CP),
    [TITAN_MESH_WORLD] = SPAN(TITAN_MESH_DIMENSIONS) - 1,
};

static void degrees_as_array(titan_mesh_degrees degrees, int out[TITAN_MESH_DIMENSIONS]) {
  out[TITAN_MESH_PP] = degrees.pp;
  out[TITAN_MESH_DP_REPLICATE] = degrees.dp_replicate;
  out[TITAN_MESH_DP_SHARD] = degrees.dp_shard;
  out[TITAN_MESH_CP] = degrees.cp;
  out[TITAN_MESH_TP] = degrees.tp;
}

static titan_status invalid_product(titan_mesh_degrees degrees, int world_size, const char *reason) {
  return titan_error(
      TITAN_ERROR_USAGE,
      "Invalid parallel dims: dp_replicate(%d) * dp_shard(%d) * cp(%d) * tp(%d) * pp(%d) != WORLD_SIZE(%d)%s",
      degrees.dp_replicate, degrees.dp_shard, degrees.cp, degrees.tp, degrees.pp, world_size, reason);
}

titan_status titan_mesh_resolve(titan_mesh_degrees *degrees, int world_size) {
  int values[TITAN_MESH_DIMENSIONS];
  degrees_as_array(*degrees, values);
  bool open = degrees->dp_shard == -1;
  long long product = 1;
  for (int d = 0; d < TITAN_MESH_DIMENSIONS; d++) {
    if (d == TITAN_MESH_DP_SHARD && open)
      continue;
    if (values[d] < 1)
      return titan_error(TITAN_ERROR_USAGE, "Invalid parallel dims: %s is %d, but a degree is at least 1%s",
                         group_names[d], values[d],
                         d == TITAN_MESH_DP_SHARD ? " (or -1, which takes the ranks that are left over)" : "");
    if (product <= world_size) // it cannot come back, and must not overflow
      product *= values[d];
  }
  if (!open)
    return product == world_size ? TITAN_OK : invalid_product(*degrees, world_size, "");
  if (product > world_size || world_size % product != 0) {
    char reason[160];
    snprintf(reason, sizeof reason,
             ": dp_shard -1 takes the ranks that are left over, but the other degrees do not divide %d ranks",
             world_size);
    return invalid_product(*degrees, world_size, reason);
  }
  degrees->dp_shard = (int)(world_size / product);
  return TITAN_OK;
}

// Creates one group: ranks with equal coordinates outside its span, ordered by their world rank.
static titan_status create_group(titan_mesh *mesh, MPI_Comm world, int world_rank, titan_mesh_group group) {
  int color = 0, size = 1;
  for (int d = 0; d < TITAN_MESH_DIMENSIONS; d++) {
    if (group_spans[group] & SPAN(d))
      size *= mesh->degrees[d];
    else
      color = color * mesh->degrees[d] + mesh->coordinates[d];
  }
  // A group of one rank needs no agreement with others.
  if (size == 1)
    return titan_comm_create_mpi(MPI_COMM_SELF, group_names[group], &mesh->groups[group]);
  return titan_comm_create_split(world, color, world_rank, group_names[group], &mesh->groups[group]);
}

static void place_rank(titan_mesh *mesh, int rank) {
  for (int d = TITAN_MESH_DIMENSIONS - 1; d >= 0; d--) { // the last dimension's ranks are neighbours
    mesh->coordinates[d] = rank % mesh->degrees[d];
    rank /= mesh->degrees[d];
  }
}

titan_status titan_mesh_create(MPI_Comm world, titan_mesh_degrees degrees, titan_mesh **out) {
  *out = NULL;
  int size = 0, rank = 0;
  if (MPI_Comm_size(world, &size) != MPI_SUCCESS || MPI_Comm_rank(world, &rank) != MPI_SUCCESS)
    return titan_error(TITAN_ERROR_COMMUNICATION, "the mesh's communicator is not valid");
  TITAN_TRY(titan_mesh_resolve(&degrees, size));
  titan_mesh *mesh = NULL;
  titan_status status = TITAN_OK;
  TITAN_TRY_CLEANUP(titan_memory_allocate_zeroed(TITAN_MEMORY_COMMUNICATION, 1, sizeof *mesh, &mesh));
  degrees_as_array(degrees, mesh->degrees);
  place_rank(mesh, rank);
  for (int group = 0; group < TITAN_MESH_GROUPS; group++)
    TITAN_TRY_CLEANUP(create_group(mesh, world, rank, (titan_mesh_group)group));
  *out = mesh;
  return TITAN_OK;
cleanup:
  titan_mesh_destroy(&mesh);
  return status;
}

// This rank's place in a group, the group's size, and its first and last ranks in the world. (Ranks of a group lie in
// the order of the world, and nodes too: the group is on one node when its first and last rank are.)
static titan_status create_fake_group(titan_mesh *mesh, titan_mesh_group group, int ranks_per_node) {
  int rank = 0, size = 1, first = 0, last = 0;
  for (int d = 0; d < TITAN_MESH_DIMENSIONS; d++) {
    int degree = mesh->degrees[d], place = mesh->coordinates[d];
    bool spanned = group_spans[group] & SPAN(d);
    first = first * degree + (spanned ? 0 : place);
    last = last * degree + (spanned ? degree - 1 : place);
    if (spanned) {
      rank = rank * degree + place;
      size *= degree;
    }
  }
  return titan_comm_create_fake(group_names[group], rank, size, first / ranks_per_node == last / ranks_per_node,
                                &mesh->groups[group]);
}

titan_status titan_mesh_create_fake(titan_mesh_degrees degrees, int rank, int ranks_per_node, titan_mesh **out) {
  *out = NULL;
  titan_mesh *mesh = NULL;
  titan_status status = TITAN_OK;
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_COMMUNICATION, 1, sizeof *mesh, &mesh));
  degrees_as_array(degrees, mesh->degrees);
  place_rank(mesh, rank);
  for (int group = 0; group < TITAN_MESH_GROUPS; group++)
    TITAN_TRY_CLEANUP(create_fake_group(mesh, (titan_mesh_group)group, ranks_per_node));
  *out = mesh;
  return TITAN_OK;
cleanup:
  titan_mesh_destroy(&mesh);
  return status;
}

unsigned titan_mesh_one_node_bits(const titan_mesh *mesh) {
  unsigned bits = 0;
  for (int group = 0; group < TITAN_MESH_GROUPS; group++)
    bits |= titan_comm_is_one_node(mesh->groups[group]) ? 1u << group : 0;
  return bits;
}

size_t titan_mesh_bytes(const titan_mesh *mesh) {
  size_t bytes = sizeof *mesh;
  for (int group = 0; group < TITAN_MESH_GROUPS; group++)
    bytes += titan_comm_bytes(mesh->groups[group]);
  return bytes;
}

void titan_mesh_destroy(titan_mesh **handle) {
  titan_mesh *mesh = *handle;
  if (mesh == NULL)
    return;
  *handle = NULL;
  for (int group = 0; group < TITAN_MESH_GROUPS; group++)
    titan_comm_destroy(&mesh->groups[group]);
  titan_memory_free(mesh);
}

void titan_mesh_describe(const titan_mesh *mesh, char *text, size_t size) {
  char names[128] = "", sizes[96] = "";
  int dimensions = 0;
  for (int d = 0; d < TITAN_MESH_DIMENSIONS; d++) {
    if (mesh->degrees[d] == 1)
      continue;
    size_t name_end = strlen(names), size_end = strlen(sizes);
    const char *comma = dimensions++ > 0 ? ", " : "";
    snprintf(names + name_end, sizeof names - name_end, "%s'%s'", comma, group_names[d]);
    snprintf(sizes + size_end, sizeof sizes - size_end, "%s%d", comma, mesh->degrees[d]);
  }
  snprintf(text, size, "Building %d-D device mesh with [%s], [%s]", dimensions, names, sizes);
}
