// SPDX-License-Identifier: Apache-2.0
#include "passes/activation_budget.h"

#include "base/memory.h"
#include "passes/activation_checkpoint.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// A byte that passes costs as much as so many floating-point operations: the balance of most machines of today is
// between 5 and 20.
static const double operations_per_byte = 10;

static const titan_keep policies[] = {TITAN_KEEP_ALL, TITAN_KEEP_ALL_BUT_STREAMING, TITAN_KEEP_OPERATIONS,
                                      TITAN_KEEP_NOTHING};
enum { POLICIES = sizeof policies / sizeof *policies };

// The walk that titan_activation_checkpoint_apply would take, for its figures only.
typedef struct walk {
  const titan_graph *graph;
  const bool *keep;
  bool *again, *saved; // by node: computed again; its outputs are saved (all of a node's, which differ little)
  size_t saved_bytes;
  double cost;
} walk;

static size_t kept_bytes(const titan_node *node) {
  size_t bytes = 0;
  if (node->call.kind == TITAN_OP_add_rms_norm)
    return titan_tensor_bytes(&node->call.outputs[2]);
  for (int i = 0; i < node->call.output_count; i++)
    bytes += titan_tensor_bytes(&node->call.outputs[i]);
  return bytes;
}

static void read_in_backward(walk *w, titan_value value) {
  int producer = titan_graph_value(w->graph, value)->producer;
  if (producer < 0)
    return;
  const titan_node *node = titan_graph_node(w->graph, producer);
  bool view = titan_op_is_view(node->call.kind);
  if (node->phase == TITAN_BACKWARD || w->again[producer])
    return;
  if (w->keep[producer] && !view) {
    if (!w->saved[producer])
      w->saved_bytes += kept_bytes(node);
    w->saved[producer] = true;
    return;
  }
  w->again[producer] = true;
  if (!view) {
    titan_op_cost cost = titan_op_cost_of(&node->call);
    w->cost += cost.flops + operations_per_byte * cost.bytes;
  }
  for (int i = 0; i < node->call.input_count; i++)
    read_in_backward(w, node->inputs[i]);
}

static void walk_backward(walk *w) {
  int count = titan_graph_node_count(w->graph);
  memset(w->again, 0, (size_t)count * sizeof *w->again);
  memset(w->saved, 0, (size_t)count * sizeof *w->saved);
  w->saved_bytes = 0;
  w->cost = 0;
  for (int n = 0; n < count; n++) {
    const titan_node *node = titan_graph_node(w->graph, n);
    for (int i = 0; node->phase == TITAN_BACKWARD && i < node->call.input_count; i++)
      read_in_backward(w, node->inputs[i]);
  }
}

// Nodes that are computed again when nothing is kept, but for gathered rows; the largest where there are too many.
static void find_decisions(walk *w, titan_activation_choices *out) {
  walk_backward(w);
  for (int n = 0; n < titan_graph_node_count(w->graph); n++) {
    const titan_node *node = titan_graph_node(w->graph, n);
    if (!w->again[n] || titan_op_is_view(node->call.kind) || node->call.kind == TITAN_OP_all_gather)
      continue;
    int at = out->decision_count;
    if (at == TITAN_ACTIVATION_DECISIONS) {
      for (int i = 0, least = -1; i < TITAN_ACTIVATION_DECISIONS; i++)
        if (least < 0 || kept_bytes(titan_graph_node(w->graph, out->decisions[i])) <
                             kept_bytes(titan_graph_node(w->graph, out->decisions[least])))
          at = least = i;
      if (kept_bytes(titan_graph_node(w->graph, out->decisions[at])) >= kept_bytes(node))
        continue;
    } else {
      out->decision_count++;
    }
    out->decisions[at] = n;
  }
}

// Most bytes first; of equal bytes the cheapest first.
static int compare(const void *left, const void *right) {
  const titan_activation_choice *a = left, *b = right;
  if (a->saved_bytes != b->saved_bytes)
    return a->saved_bytes < b->saved_bytes ? -1 : 1;
  if (a->cost != b->cost)
    return a->cost < b->cost ? -1 : 1;
  return a->set < b->set ? -1 : a->set > b->set;
}

// What the other modes keep stays a choice also where it is beaten: what a block needs beside what it saves is not
// known here.
static uint32_t set_of(const titan_graph *graph, const titan_activation_choices *out, titan_keep policy, bool *keep) {
  uint32_t set = 0;
  titan_activation_keep(graph, policy, keep);
  for (int i = 0; i < out->decision_count; i++)
    set |= (uint32_t)keep[out->decisions[i]] << i;
  return set;
}

// Of the choices in the order of their bytes, those that are cheaper than all with fewer bytes, and the named ones;
// then turned around.
static void keep_unbeaten(titan_activation_choices *out, const uint32_t *named) {
  qsort(out->choices, (size_t)out->count, sizeof *out->choices, compare);
  int count = 0;
  double cheapest = INFINITY;
  for (int i = 0; i < out->count; i++) {
    bool kept = out->choices[i].cost < cheapest;
    cheapest = kept ? out->choices[i].cost : cheapest;
    for (int policy = 0; policy < POLICIES; policy++)
      kept = kept || out->choices[i].set == named[policy];
    if (kept)
      out->choices[count++] = out->choices[i];
  }
  out->count = count;
  for (int i = 0; i < count / 2; i++) {
    titan_activation_choice other = out->choices[i];
    out->choices[i] = out->choices[count - 1 - i];
    out->choices[count - 1 - i] = other;
  }
}

void titan_activation_choice_keep(const titan_activation_choices *choices, int choice, const titan_graph *graph,
                                  bool *keep) {
  memset(keep, 0, (size_t)titan_graph_node_count(graph) * sizeof *keep);
  for (int i = 0; i < choices->decision_count; i++)
    keep[choices->decisions[i]] = choices->choices[choice].set >> i & 1;
}

titan_status titan_activation_choices_create(const titan_graph *graph, titan_activation_choices *out) {
  titan_status status = TITAN_OK;
  size_t nodes = (size_t)titan_graph_node_count(graph) + 1;
  bool *keep = NULL;
  walk w = {.graph = graph};
  *out = (titan_activation_choices){0};
  TITAN_TRY_CLEANUP(titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, nodes, sizeof *keep, &keep));
  TITAN_TRY_CLEANUP(titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, nodes, sizeof *w.again, &w.again));
  TITAN_TRY_CLEANUP(titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, nodes, sizeof *w.saved, &w.saved));
  w.keep = keep;
  find_decisions(&w, out);
  out->count = 1 << out->decision_count;
  TITAN_TRY_CLEANUP(
      titan_memory_allocate(TITAN_MEMORY_GRAPH, (size_t)out->count * sizeof *out->choices, &out->choices));
  for (int set = 0; set < out->count; set++) {
    for (int i = 0; i < out->decision_count; i++)
      keep[out->decisions[i]] = set >> i & 1;
    walk_backward(&w);
    out->choices[set] = (titan_activation_choice){(uint32_t)set, w.saved_bytes, w.cost};
  }
  uint32_t named[POLICIES];
  for (int policy = 0; policy < POLICIES; policy++)
    named[policy] = set_of(graph, out, policies[policy], keep);
  keep_unbeaten(out, named);
cleanup:
  titan_memory_free(keep);
  titan_memory_free(w.again);
  titan_memory_free(w.saved);
  if (status != TITAN_OK)
    titan_activation_choices_destroy(out);
  return status;
}

void titan_activation_choices_destroy(titan_activation_choices *choices) {
  titan_memory_free(choices->choices);
  *choices = (titan_activation_choices){0};
}
