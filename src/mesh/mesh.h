// The device mesh: ranks in up to five dimensions, outermost first pp, dp_replicate, dp_shard, cp, tp (tp ranks are
// neighbours), a communicator for each dimension, and for the flattened groups that the runtime works with.
#ifndef TITAN_MESH_MESH_H
#define TITAN_MESH_MESH_H

#include "comm/comm.h"

enum { TITAN_MESH_DIMENSIONS = 5 };

typedef enum titan_mesh_group {
  TITAN_MESH_PP,
  TITAN_MESH_DP_REPLICATE,
  TITAN_MESH_DP_SHARD,
  TITAN_MESH_CP,
  TITAN_MESH_TP,
  TITAN_MESH_DP,          // dp_replicate x dp_shard: ranks with different samples
  TITAN_MESH_DP_SHARD_CP, // what parameters are sharded over
  TITAN_MESH_DP_CP,       // what the loss is averaged over
  TITAN_MESH_WORLD,
  TITAN_MESH_GROUPS
} titan_mesh_group;

typedef struct titan_mesh_degrees {
  int pp, dp_replicate, dp_shard, cp, tp; // dp_shard may be -1: what is left over
} titan_mesh_degrees;

typedef struct titan_mesh {
  int degrees[TITAN_MESH_DIMENSIONS];     // by titan_mesh_group
  int coordinates[TITAN_MESH_DIMENSIONS]; // of this rank
  titan_comm *groups[TITAN_MESH_GROUPS];  // every one exists, also of size 1; owned
} titan_mesh;

// Not collective. Resolves dp_shard -1 and checks that all are >= 1 and the product is world_size; TITAN_ERROR_USAGE
// with "Invalid parallel dims: dp_replicate(r) * dp_shard(s) * cp(c) * tp(t) * pp(p) != WORLD_SIZE(w)" otherwise.
titan_status titan_mesh_resolve(titan_mesh_degrees *degrees, int world_size);

// Collective over world. Degrees as resolved.
titan_status titan_mesh_create(MPI_Comm world, titan_mesh_degrees degrees, titan_mesh **out);
// Not collective, no communication: the mesh as rank `rank` of the product of the degrees (as resolved) has it, its
// groups made by titan_comm_create_fake. Ranks lie on nodes of ranks_per_node, one node after another.
titan_status titan_mesh_create_fake(titan_mesh_degrees degrees, int rank, int ranks_per_node, titan_mesh **out);
// A bit for each group, set where the group of this rank lies on one node. Ranks that have the same bits and the same
// place in the groups that shard a graph (cp, tp, pp) have the same plan.
unsigned titan_mesh_one_node_bits(const titan_mesh *mesh);
// Bytes under the tag COMMUNICATION of a new mesh.
size_t titan_mesh_bytes(const titan_mesh *mesh);
// Collective, unless it stands for one that is not there.
void titan_mesh_destroy(titan_mesh **mesh);

static inline titan_comm *titan_mesh_comm(const titan_mesh *mesh, titan_mesh_group group) {
  return mesh->groups[group];
}

// "Building 2-D device mesh with ['dp_replicate', 'dp_shard'], [2, 4]": dimensions of size 1 left out, into text (size
// bytes).
void titan_mesh_describe(const titan_mesh *mesh, char *text, size_t size);

#endif
