// SPDX-License-Identifier: Apache-2.0
#include "mesh/mesh.h"

#include "base/hash.h"
#include "base/integer.h"

#include <stdio.h>
#include <string.h>

static const char *const row_names[TITAN_MESH_DIMENSIONS] = {
#define TITAN_MESH_ROW(set, name, section, key) #name,
#include "mesh/rows.def"
#undef TITAN_MESH_ROW
};

// The groups that a mesh has, each made once. What asks for another set of rows adds it here.
static const titan_mesh_rows group_rows[] = {
    TITAN_MESH_PP, TITAN_MESH_DP_REPLICATE, TITAN_MESH_DP_SHARD, TITAN_MESH_CP,    TITAN_MESH_TP,
    TITAN_MESH_DP, TITAN_MESH_DP_SHARD_CP,  TITAN_MESH_DP_CP,    TITAN_MESH_WORLD,
};
enum { GROUPS = sizeof group_rows / sizeof *group_rows };

// Sets with a name of their own, alone or within a larger set; the larger one first.
static const struct {
  titan_mesh_rows rows;
  const char *name;
} named_sets[] = {{TITAN_MESH_WORLD, "world"}, {TITAN_MESH_DP, "dp"}};

static bool contains(titan_mesh_rows rows, int row) {
  return rows >> row & 1;
}

const char *titan_mesh_row_name(titan_mesh_row row) {
  return row_names[row];
}

// "dp_shard_cp", "dp_cp": the names of the rows, outermost first.
static void name_rows(titan_mesh_rows rows, char *text, size_t size) {
  text[0] = '\0';
  for (int row = 0; row < TITAN_MESH_DIMENSIONS; row++) {
    if (!contains(rows, row))
      continue;
    titan_mesh_rows named = 1u << row;
    const char *name = row_names[row];
    for (size_t i = sizeof named_sets / sizeof *named_sets; i-- > 0;)
      if (contains(named_sets[i].rows, row) && (named_sets[i].rows & rows) == named_sets[i].rows) {
        named = named_sets[i].rows;
        name = named_sets[i].name;
      }
    size_t end = strlen(text);
    snprintf(text + end, size - end, "%s%s", end > 0 ? "_" : "", name);
    rows &= ~named;
  }
}

static void degrees_as_array(titan_mesh_degrees degrees, int out[TITAN_MESH_DIMENSIONS]) {
#define TITAN_MESH_ROW(set, name, section, key) out[TITAN_MESH_ROW_##set] = degrees.name;
#include "mesh/rows.def"
#undef TITAN_MESH_ROW
}

// The reference's words, in its order: the outermost dimension last.
static titan_status invalid_product(titan_mesh_degrees degrees, int world_size, const char *reason) {
  int values[TITAN_MESH_DIMENSIONS];
  char product[256] = "";
  degrees_as_array(degrees, values);
  for (int i = 1; i <= TITAN_MESH_DIMENSIONS; i++) {
    int row = i % TITAN_MESH_DIMENSIONS;
    size_t end = strlen(product);
    snprintf(product + end, sizeof product - end, "%s%s(%d)", i > 1 ? " * " : "", row_names[row], values[row]);
  }
  return titan_error(TITAN_ERROR_USAGE, "Invalid parallel dims: %s != WORLD_SIZE(%d)%s", product, world_size, reason);
}

titan_status titan_mesh_resolve(titan_mesh_degrees *degrees, int world_size) {
  int values[TITAN_MESH_DIMENSIONS];
  degrees_as_array(*degrees, values);
  bool open = degrees->dp_shard == -1;
  long long product = 1;
  for (int d = 0; d < TITAN_MESH_DIMENSIONS; d++) {
    if (d == TITAN_MESH_ROW_DP_SHARD && open)
      continue;
    if (values[d] < 1)
      return titan_error(TITAN_ERROR_USAGE, "Invalid parallel dims: %s is %d, but a degree is at least 1%s",
                         row_names[d], values[d],
                         d == TITAN_MESH_ROW_DP_SHARD ? " (or -1, which takes the remaining ranks)" : "");
    if (product <= world_size) // it cannot come back, and must not overflow
      product *= values[d];
  }
  if (!open)
    return product == world_size ? TITAN_OK : invalid_product(*degrees, world_size, "");
  if (product > world_size || world_size % product != 0) {
    char reason[160];
    snprintf(reason, sizeof reason,
             ": dp_shard -1 takes the remaining ranks, but the other degrees do not divide %d ranks", world_size);
    return invalid_product(*degrees, world_size, reason);
  }
  degrees->dp_shard = (int)(world_size / product);
  return TITAN_OK;
}

// Creates one group: ranks with equal coordinates outside its rows, ordered by their world rank.
static titan_status create_group(const titan_mesh *mesh, MPI_Comm world, int world_rank, titan_mesh_rows rows,
                                 titan_comm **out) {
  char name[128];
  name_rows(rows, name, sizeof name);
  // A group of one rank needs no agreement with others.
  if (titan_mesh_degree(mesh, rows) == 1)
    return titan_comm_create_mpi(MPI_COMM_SELF, name, out);
  return titan_comm_create_split(world, titan_mesh_coordinate(mesh, TITAN_MESH_WORLD & ~rows), world_rank, name, out);
}

static void place_rank(titan_mesh *mesh, int rank) {
  for (int d = TITAN_MESH_DIMENSIONS - 1; d >= 0; d--) { // the last dimension's ranks are neighbours
    mesh->coordinates[d] = rank % mesh->degrees[d];
    rank /= mesh->degrees[d];
  }
}

// Without its groups.
static titan_status create_empty(titan_mesh_degrees degrees, int rank, titan_mesh **out) {
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_COMMUNICATION, 1,
                                         sizeof(titan_mesh) + GROUPS * sizeof(titan_mesh_group), out));
  titan_mesh *mesh = *out;
  degrees_as_array(degrees, mesh->degrees);
  place_rank(mesh, rank);
  mesh->group_count = GROUPS;
  for (int i = 0; i < GROUPS; i++)
    mesh->groups[i].rows = group_rows[i];
  return TITAN_OK;
}

titan_status titan_mesh_create(MPI_Comm world, titan_mesh_degrees degrees, titan_mesh **out) {
  *out = NULL;
  int size = 0, rank = 0;
  if (MPI_Comm_size(world, &size) != MPI_SUCCESS || MPI_Comm_rank(world, &rank) != MPI_SUCCESS)
    return titan_error(TITAN_ERROR_COMMUNICATION, "the mesh's communicator is not valid");
  TITAN_TRY(titan_mesh_resolve(&degrees, size));
  titan_mesh *mesh = NULL;
  titan_status status = TITAN_OK;
  TITAN_TRY_CLEANUP(create_empty(degrees, rank, &mesh));
  for (int i = 0; i < mesh->group_count; i++)
    TITAN_TRY_CLEANUP(create_group(mesh, world, rank, mesh->groups[i].rows, &mesh->groups[i].comm));
  *out = mesh;
  return TITAN_OK;
cleanup:
  titan_mesh_destroy(&mesh);
  return status;
}

// Of a group of ranks first, first + stride, ..: what a node after the other has of them.
static titan_comm_nodes count_nodes(int first, int stride, int size, int own, int ranks_per_node) {
  titan_comm_nodes nodes = {.least = size};
  for (int begin = 0, end; begin < size; begin = end) {
    int node = (first + begin * stride) / ranks_per_node;
    end = (int)titan_lesser(((node + 1) * ranks_per_node - first + stride - 1) / stride, size);
    nodes.count++;
    nodes.most = (int)titan_greater(nodes.most, end - begin);
    nodes.least = (int)titan_lesser(nodes.least, end - begin);
    if (own >= begin && own < end)
      nodes.own = end - begin;
  }
  return nodes;
}

// Ranks of a group lie in the order of the world, at equal distances (its rows are neighbours), and nodes too.
static titan_status create_fake_group(const titan_mesh *mesh, titan_mesh_rows rows, int ranks_per_node,
                                      titan_comm **out) {
  int first = 0, last = 0, size = titan_mesh_degree(mesh, rows), own = titan_mesh_coordinate(mesh, rows);
  char name[128];
  name_rows(rows, name, sizeof name);
  for (int row = 0; row < TITAN_MESH_DIMENSIONS; row++) {
    int degree = mesh->degrees[row], place = mesh->coordinates[row];
    bool spanned = contains(rows, row);
    first = first * degree + (spanned ? 0 : place);
    last = last * degree + (spanned ? degree - 1 : place);
  }
  int stride = size > 1 ? (last - first) / (size - 1) : 1;
  return titan_comm_create_fake(name, own, size, count_nodes(first, stride, size, own, ranks_per_node), out);
}

titan_status titan_mesh_create_fake(titan_mesh_degrees degrees, int rank, int ranks_per_node, titan_mesh **out) {
  *out = NULL;
  titan_mesh *mesh = NULL;
  titan_status status = TITAN_OK;
  TITAN_TRY(create_empty(degrees, rank, &mesh));
  for (int i = 0; i < mesh->group_count; i++)
    TITAN_TRY_CLEANUP(create_fake_group(mesh, mesh->groups[i].rows, ranks_per_node, &mesh->groups[i].comm));
  *out = mesh;
  return TITAN_OK;
cleanup:
  titan_mesh_destroy(&mesh);
  return status;
}

uint64_t titan_mesh_nodes_key(const titan_mesh *mesh) {
  uint64_t hash = TITAN_HASH_START;
  for (int i = 0; i < mesh->group_count; i++) {
    titan_comm_nodes nodes = titan_comm_nodes_of(mesh->groups[i].comm);
    hash = titan_hash_bytes(hash, &nodes, sizeof nodes);
  }
  return hash;
}

size_t titan_mesh_bytes(const titan_mesh *mesh) {
  size_t bytes = sizeof *mesh + (size_t)mesh->group_count * sizeof *mesh->groups;
  for (int i = 0; i < mesh->group_count; i++)
    bytes += titan_comm_bytes(mesh->groups[i].comm);
  return bytes;
}

void titan_mesh_destroy(titan_mesh **handle) {
  titan_mesh *mesh = *handle;
  if (mesh == NULL)
    return;
  *handle = NULL;
  for (int i = 0; i < mesh->group_count; i++)
    titan_comm_destroy(&mesh->groups[i].comm);
  titan_memory_free(mesh);
}

titan_comm *titan_mesh_comm(const titan_mesh *mesh, titan_mesh_rows rows) {
  for (int i = 0; i < mesh->group_count; i++)
    if (mesh->groups[i].rows == rows)
      return mesh->groups[i].comm;
  return NULL;
}

int titan_mesh_degree(const titan_mesh *mesh, titan_mesh_rows rows) {
  int degree = 1;
  for (int row = 0; row < TITAN_MESH_DIMENSIONS; row++)
    degree *= contains(rows, row) ? mesh->degrees[row] : 1;
  return degree;
}

int titan_mesh_coordinate(const titan_mesh *mesh, titan_mesh_rows rows) {
  int place = 0;
  for (int row = 0; row < TITAN_MESH_DIMENSIONS; row++)
    if (contains(rows, row))
      place = place * mesh->degrees[row] + mesh->coordinates[row];
  return place;
}

void titan_mesh_describe(const titan_mesh *mesh, char *text, size_t size) {
  char names[128] = "", sizes[96] = "";
  int dimensions = 0;
  for (int d = 0; d < TITAN_MESH_DIMENSIONS; d++) {
    if (mesh->degrees[d] == 1)
      continue;
    size_t name_end = strlen(names), size_end = strlen(sizes);
    const char *comma = dimensions++ > 0 ? ", " : "";
    snprintf(names + name_end, sizeof names - name_end, "%s'%s'", comma, row_names[d]);
    snprintf(sizes + size_end, sizeof sizes - size_end, "%s%d", comma, mesh->degrees[d]);
  }
  snprintf(text, size, "Building %d-D device mesh with [%s], [%s]", dimensions, names, sizes);
}
