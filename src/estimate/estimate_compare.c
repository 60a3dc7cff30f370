// SPDX-License-Identifier: Apache-2.0
// memory_estimation.disable_fake_mode: after two real steps, what the allocator counted on each rank beside the plan.
#include "base/log.h"
#include "base/size.h"
#include "estimate/estimate.h"

#include <stdio.h>
#include <string.h>

// Code of kernels made at the start, the reading thread, tables: part of the libraries' and the program's own, measured
// on ranks of the debug model.
static const int64_t growth_beside_plan = (int64_t)8 << 20;

// What a rank tells: live bytes by tag, and the growth of its resident memory.
enum { FIGURES = TITAN_MEMORY_TAG_COUNT + 1, GROWTH = TITAN_MEMORY_TAG_COUNT };

// Tags that the estimate knows to the byte.
static bool is_exact(int tag) {
  return tag >= TITAN_MEMORY_PARAMETERS || tag == TITAN_MEMORY_COMMUNICATION || tag == TITAN_MEMORY_CHECKPOINT;
}

// Of staging memory, which is taken for a save and mostly given back after it, the most there was. The growth of
// resident memory leaves it out.
static void count(uint64_t resident_before, int64_t *figures) {
  for (int tag = 0; tag < TITAN_MEMORY_TAG_COUNT; tag++)
    figures[tag] = (int64_t)titan_memory_usage_of((titan_memory_tag)tag).live_bytes;
  figures[GROWTH] = (int64_t)titan_topology_resident() - (int64_t)resident_before - figures[TITAN_MEMORY_CHECKPOINT];
  figures[TITAN_MEMORY_CHECKPOINT] = (int64_t)titan_memory_usage_of(TITAN_MEMORY_CHECKPOINT).peak_bytes;
}

// The least and most that the ranks of a kind tell; false when there is none.
static void range_of(const titan_estimate *estimate, int kind, const int64_t *figures, int figure, int64_t *least,
                     int64_t *most) {
  *least = INT64_MAX;
  *most = INT64_MIN;
  for (int rank = 0; rank < estimate->question.world_size; rank++)
    if (estimate->kind_of_rank[rank] == kind) {
      int64_t value = figures[rank * FIGURES + figure];
      *least = value < *least ? value : *least;
      *most = value > *most ? value : *most;
    }
}

static titan_status print_range(titan_text *text, int64_t least, int64_t most) {
  TITAN_TRY(titan_text_printf(text, "  %16lld", (long long)least));
  return least == most ? titan_text_printf(text, "\n") : titan_text_printf(text, " to %lld\n", (long long)most);
}

static titan_status print_kind(const titan_estimate *estimate, int index, const int64_t *figures, bool *exact,
                               titan_text *text) {
  const titan_estimate_kind *kind = &estimate->kinds[index];
  int64_t least, most, expected = 0;
  TITAN_TRY(titan_text_printf(text, "\n%d rank%s, from rank %d to rank %d%*s%16s  %16s\n", kind->ranks,
                              kind->ranks == 1 ? "" : "s", kind->first_rank, kind->last_rank, 4, "", "estimate",
                              "counted, bytes"));
  for (int tag = 0; tag < TITAN_MEMORY_TAG_COUNT; tag++) {
    if (!is_exact(tag))
      continue;
    range_of(estimate, index, figures, tag, &least, &most);
    TITAN_TRY(
        titan_text_printf(text, "  %-26s  %16zu", titan_memory_tag_text((titan_memory_tag)tag), kind->by_tag[tag]));
    TITAN_TRY(print_range(text, least, most));
    *exact &= least == most && (size_t)least == kind->by_tag[tag];
    expected += tag == TITAN_MEMORY_CHECKPOINT ? 0 : (int64_t)kind->by_tag[tag];
  }
  for (int tag = 0; tag < TITAN_MEMORY_TAG_COUNT; tag++) {
    range_of(estimate, index, figures, tag, &least, &most);
    if (is_exact(tag) || most == 0)
      continue;
    TITAN_TRY(titan_text_printf(text, "  %-26s  %16s", titan_memory_tag_text((titan_memory_tag)tag), "-"));
    TITAN_TRY(print_range(text, least, most));
  }
  expected += growth_beside_plan;
  range_of(estimate, index, figures, GROWTH, &least, &most);
  TITAN_TRY(titan_text_printf(text, "  %-26s  %16lld", "resident memory, growth", (long long)expected));
  TITAN_TRY(print_range(text, least, most));
  return titan_text_printf(text, "  %-26s  %16.2f  %16.2f  (%+.1f %%)\n", "  in GiB", (double)expected / TITAN_GIB,
                           (double)most / TITAN_GIB, 100.0 * ((double)most / (double)expected - 1));
}

static titan_status print_all(const titan_estimate *estimate, const int64_t *figures) {
  titan_text text = {0};
  bool exact = true;
  titan_status status = titan_text_printf(&text, "\nTwo real steps and the estimate:\n");
  for (int i = 0; i < estimate->kind_count && status == TITAN_OK; i++)
    status = print_kind(estimate, i, figures, &exact, &text);
  if (status == TITAN_OK)
    status = titan_text_printf(&text, "\n%s\n",
                               exact ? "every rank used the estimated memory, to the byte"
                                     : "NOT the estimated memory: this is a defect of the program, please report it");
  if (status == TITAN_OK) {
    fputs(text.data, stdout);
    status = titan_text_flush(stdout, "standard output");
  }
  titan_text_destroy(&text);
  if (status == TITAN_OK && !exact)
    status = titan_error(TITAN_ERROR_INTERNAL, "the used memory differs from the estimate (see the table)");
  return status;
}

static titan_status report(const titan_estimate_question *question, const int64_t *figures) {
  titan_estimate *estimate = NULL;
  TITAN_TRY(titan_estimate_create(question, &estimate));
  titan_status status = titan_estimate_fit(estimate);
  if (status == TITAN_OK)
    status = titan_estimate_write(estimate);
  if (status == TITAN_OK)
    status = print_all(estimate, figures);
  titan_estimate_destroy(&estimate);
  return status;
}

titan_status titan_estimate_compare(const titan_config *config, const titan_topology *topology, titan_device *device,
                                    titan_comm *world, titan_comm *node, int64_t tokenizer_vocabulary,
                                    const titan_text *schedule, uint64_t resident_before) {
  int ranks = titan_comm_size(world);
  size_t auto_budget;
  int64_t mine[FIGURES], *all = NULL;
  count(resident_before, mine);
  TITAN_TRY(titan_setup_available_bytes(device, world, node, topology, &auto_budget));
  titan_status status = titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, (size_t)ranks * FIGURES, sizeof *all, &all);
  TITAN_TRY(titan_comm_agree(world, status));
  status = titan_comm_all_gather(world, mine, all, FIGURES, TITAN_INT64, NULL);
  if (status == TITAN_OK) {
    if (titan_comm_rank(world) == 0) {
      titan_estimate_question question = titan_estimate_question_of(config, topology, ranks, tokenizer_vocabulary);
      question.auto_budget = auto_budget; // as the run had it
      question.schedule = schedule;
      status = report(&question, all);
    }
    status = titan_comm_agree(world, status);
  }
  titan_memory_free(all);
  return status;
}
