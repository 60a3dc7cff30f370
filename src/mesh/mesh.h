// SPDX-License-Identifier: Apache-2.0
// The device mesh: ranks in several dimensions (the rows of rows.def, outermost first: tp ranks are neighbours), and a
// communicator for each set of rows that the runtime works with.
#ifndef TITAN_MESH_MESH_H
#define TITAN_MESH_MESH_H

#include "comm/comm.h"

typedef enum titan_mesh_row {
#define TITAN_MESH_ROW(set, name, section, key) TITAN_MESH_ROW_##set,
#include "mesh/rows.def"
#undef TITAN_MESH_ROW
  TITAN_MESH_DIMENSIONS
} titan_mesh_row;

// A set of rows, a bit each. As a group: the ranks that differ in these coordinates and agree in the others.
typedef unsigned titan_mesh_rows;
enum {
#define TITAN_MESH_ROW(set, name, section, key) TITAN_MESH_##set = 1 << TITAN_MESH_ROW_##set,
#include "mesh/rows.def"
#undef TITAN_MESH_ROW
  TITAN_MESH_DP = TITAN_MESH_DP_REPLICATE | TITAN_MESH_DP_SHARD, // ranks with different samples
  TITAN_MESH_DP_SHARD_CP = TITAN_MESH_DP_SHARD | TITAN_MESH_CP,  // what parameters are sharded over
  TITAN_MESH_DP_CP = TITAN_MESH_DP | TITAN_MESH_CP,              // what the loss is averaged over
  TITAN_MESH_WORLD = (1 << TITAN_MESH_DIMENSIONS) - 1,
};

// A member for each row: pp, dp_replicate, ... dp_shard may be -1: what is left over.
typedef struct titan_mesh_degrees {
#define TITAN_MESH_ROW(set, name, section, key) int name;
#include "mesh/rows.def"
#undef TITAN_MESH_ROW
} titan_mesh_degrees;

typedef struct titan_mesh_group {
  titan_mesh_rows rows;
  titan_comm *comm; // owned by the mesh
} titan_mesh_group;

typedef struct titan_mesh {
  int degrees[TITAN_MESH_DIMENSIONS];     // by row
  int coordinates[TITAN_MESH_DIMENSIONS]; // of this rank
  int group_count;
  titan_mesh_group groups[]; // every one exists, also of size 1
} titan_mesh;

// "dp_shard"
const char *titan_mesh_row_name(titan_mesh_row row);

// Not collective. Resolves dp_shard -1 and checks that all are >= 1 and the product is world_size; TITAN_ERROR_USAGE
// with "Invalid parallel dims: dp_replicate(r) * dp_shard(s) * cp(c) * tp(t) * pp(p) != WORLD_SIZE(w)" otherwise.
titan_status titan_mesh_resolve(titan_mesh_degrees *degrees, int world_size);

// Collective over world. Degrees as resolved.
titan_status titan_mesh_create(MPI_Comm world, titan_mesh_degrees degrees, titan_mesh **out);
// Not collective, no communication: the mesh as rank `rank` of the product of the degrees (as resolved) has it, its
// groups made by titan_comm_create_fake. Ranks lie on nodes of ranks_per_node, one node after another.
titan_status titan_mesh_create_fake(titan_mesh_degrees degrees, int rank, int ranks_per_node, titan_mesh **out);
// A number that ranks have in common whose groups lie alike on nodes. Ranks that have the same number and the same
// place in the groups that shard a graph (cp, tp, pp) have the same plan.
uint64_t titan_mesh_nodes_key(const titan_mesh *mesh);
// Bytes under the tag COMMUNICATION of a new mesh.
size_t titan_mesh_bytes(const titan_mesh *mesh);
// Collective, unless it stands for one that is not there.
void titan_mesh_destroy(titan_mesh **mesh);

// The group of a set of rows: one of the sets that mesh.c lists; NULL for any other.
titan_comm *titan_mesh_comm(const titan_mesh *mesh, titan_mesh_rows rows);
// How many ranks a set of rows spans, whether or not it has a group: the product of the rows' degrees.
int titan_mesh_degree(const titan_mesh *mesh, titan_mesh_rows rows);
// This rank's place among those that a set of rows spans, in the order of the world.
int titan_mesh_coordinate(const titan_mesh *mesh, titan_mesh_rows rows);

// All groups, for those who walk over them: index 0 .. count - 1, the same on every rank.
static inline int titan_mesh_group_count(const titan_mesh *mesh) {
  return mesh->group_count;
}
static inline const titan_mesh_group *titan_mesh_group_at(const titan_mesh *mesh, int index) {
  return &mesh->groups[index];
}

// "Building 2-D device mesh with ['dp_replicate', 'dp_shard'], [2, 4]": dimensions of size 1 left out, into text (size
// bytes).
void titan_mesh_describe(const titan_mesh *mesh, char *text, size_t size);

#endif
