// SPDX-License-Identifier: Apache-2.0
// What a check measures. Rank 0 gets the records of all ranks; everything else is computed from them.
#ifndef TITAN_CHECK_RESULTS_H
#define TITAN_CHECK_RESULTS_H

#include "check/check.h"

enum { TITAN_CHECK_HOST_BYTES = 64, TITAN_CHECK_GROUPS = 16, TITAN_CHECK_NAMES_BYTES = 128 };

// Rates of a rank; all ranks compute or copy at the same time.
typedef enum titan_check_rate {
  TITAN_CHECK_FLOAT32,   // FLOP/s of a matrix product
  TITAN_CHECK_BFLOAT16,  // the same
  TITAN_CHECK_COPY,      // bytes/s copied from device memory to device memory
  TITAN_CHECK_TO_DEVICE, // bytes/s copied from host memory; 0 on a device without queues
  TITAN_CHECK_RATES
} titan_check_rate;

// Operations of a group; seconds are those of its slowest rank, the median of the rounds.
typedef enum titan_check_operation {
  TITAN_CHECK_ALL_REDUCE, // of titan_check_small_bytes: a latency
  TITAN_CHECK_ALL_GATHER, // of titan_check_group.bytes a rank
  TITAN_CHECK_REDUCE_SCATTER,
  TITAN_CHECK_OPERATIONS
} titan_check_operation;

static const size_t titan_check_small_bytes = 8;      // of an all_reduce, and of a ping-pong for latency
static const size_t titan_check_link_bytes = 1 << 20; // of a ping-pong for bandwidth

// Of a rank, as bytes that ranks exchange. A link is the one to the next rank of the world (the last one's: to rank 0).
typedef struct titan_check_record {
  char host[TITAN_CHECK_HOST_BYTES];
  int32_t node; // the first rank of the world on the same node
  double rates[TITAN_CHECK_RATES];
  double link_latency, link_rate;       // one way: seconds, bytes/s; 0: no link
  int32_t first[TITAN_CHECK_GROUPS];    // of this rank's group of each kind: its first rank in the world
  int32_t one_node[TITAN_CHECK_GROUPS]; // whether its ranks are on one node
  double seconds[TITAN_CHECK_GROUPS][TITAN_CHECK_OPERATIONS];
} titan_check_record;

// A kind of group: a set of the mesh's rows. Alike on all ranks, but for `comm`.
typedef struct titan_check_group {
  const char *name;                   // borrowed from comm
  char also[TITAN_CHECK_NAMES_BYTES]; // names of the groups with the same ranks: "dp, dp_shard"; or ""
  titan_comm *comm;                   // this rank's, borrowed
  int ranks;
  size_t bytes; // that a rank contributes to all_gather, and receives of reduce_scatter
} titan_check_group;

typedef struct titan_check_results {
  int ranks, group_count;
  titan_check_group groups[TITAN_CHECK_GROUPS];
  titan_check_record *records; // [ranks], owned
} titan_check_results;

// The groups of the mesh with more than one rank, each set of ranks once.
void titan_check_list_groups(const titan_mesh *mesh, titan_check_results *results);

// Collective over world: what this rank and its links and groups take, into its record.
titan_status titan_check_measure_rank(const titan_check_environment *environment, titan_check_record *record);
titan_status titan_check_measure_links(const titan_check_environment *environment, titan_check_record *record);
titan_status titan_check_measure_groups(const titan_check_environment *environment, const titan_check_results *results,
                                        titan_check_record *record);

// Whether the rank has a link to the next one: there is another rank, and of two ranks only the first counts.
static inline bool titan_check_has_link(int rank, int ranks) {
  return ranks > 2 || (ranks == 2 && rank == 0);
}

// Bus bandwidth of an all_gather or reduce_scatter of a group, bytes/s: what each rank's link carries. With n ranks and
// b bytes a rank, n b / seconds (n - 1) / n, as nccl-tests define it.
double titan_check_bus_rate(const titan_check_group *group, double seconds);

// --- what stands out ---

// A measurement stands out that is more than this factor slower than the median of the others of its kind. Links and
// groups within a node are compared with one another, and so are those between nodes.
static const double titan_check_factor = 1.5;

typedef enum titan_check_kind { TITAN_CHECK_OF_RANK, TITAN_CHECK_OF_LINK, TITAN_CHECK_OF_GROUP } titan_check_kind;

typedef struct titan_check_finding {
  titan_check_kind kind;
  int rank;             // or the first rank of the link or group
  int group;            // index of its kind, for groups
  const char *measured; // static: "float32 product"
  const char *unit;     // static: "TFLOP/s"
  double value, others; // in that unit: its own, and the median of the others
  int other_count;
} titan_check_finding;

typedef struct titan_check_findings {
  int count;
  titan_check_finding *list; // owned: titan_memory_free
} titan_check_findings;

// Not collective. Looks at all records; what has nothing to be compared with does not stand out.
titan_status titan_check_find(const titan_check_results *results, titan_check_findings *out);

// --- output ---

// Appends the tables; as JSON, one object a line.
titan_status titan_check_print(const titan_check_results *results, const titan_check_findings *findings,
                               titan_text *text);
titan_status titan_check_print_json(const titan_check_results *results, const titan_check_findings *findings,
                                    titan_text *text);
// Appends a finding as a sentence: "rank 3 (host node17): float32 product 0.012 TFLOP/s, 5.1 times slower than ..."
titan_status titan_check_describe(const titan_check_results *results, const titan_check_finding *finding,
                                  titan_text *text);

#endif
