// SPDX-License-Identifier: Apache-2.0
// Property: an estimate of a mesh that is not there counts every rank once, adds up, needs little itself, says truly
// what fits, and plans pack scratch near its lower bound for every configuration that is installed. Oracles: sums made
// here; the estimate asked again with what it answered; the figures of the 8B model by hand. Tolerances: none for
// bytes.
#include "graph_test.h"

#include "estimate/estimate_private.h"
#include "graph/plan_report.h"

#include <stdio.h>
#include <string.h>

static const titan_topology laptop = {.node_size = 1, .node_cores = 4, .threads = 4, .node_bytes = UINT64_MAX};

typedef struct asked {
  titan_config *config;
  titan_estimate *estimate;
} asked;

static titan_config *config_of(const char *name, int count, const char *const *more) {
  char path[1024];
  const char *arguments[40] = {"titan-hpc", "--memory_estimation.enabled"};
  int n = 2;
  if (name != NULL) {
    snprintf(path, sizeof path, "%s/configs/%s", TITAN_SOURCE_FOLDER, name);
    arguments[n++] = "--job.config_file";
    arguments[n++] = path;
  }
  for (int i = 0; i < count; i++)
    arguments[n++] = more[i];
  titan_config *config;
  TRY(titan_config_create(n, arguments, &config));
  return config;
}

// available: bytes of a rank; 0: as the options say.
static asked ask_with(double available, const char *name, int count, const char *const *more) {
  asked a = {.config = config_of(name, count, more)};
  TRY(titan_setup_check(a.config, 1));
  titan_estimate_question question =
      titan_estimate_question_of(a.config, &laptop, 1, a.config->memory_estimation.vocabulary > 0 ? 0 : 2256);
  if (available > 0)
    question.available = available;
  TRY(titan_estimate_create(&question, &a.estimate));
  return a;
}

static asked ask(const char *name, int count, const char *const *more) {
  return ask_with(0, name, count, more);
}

#define ASK(name, ...)                                                                                                 \
  ask(name, (int)(sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *)), (const char *[]){__VA_ARGS__})

static void forget(asked *a) {
  titan_estimate_destroy(&a->estimate);
  titan_config_destroy(&a->config);
}

static void check_sums(const titan_estimate *estimate) {
  int ranks = 0;
  for (int i = 0; i < estimate->kind_count; i++) {
    const titan_estimate_kind *kind = &estimate->kinds[i];
    size_t total = kind->own;
    int of_kind = 0;
    for (int tag = 0; tag < TITAN_MEMORY_TAG_COUNT; tag++)
      total += kind->by_tag[tag];
    for (int rank = 0; rank < estimate->question.world_size; rank++)
      of_kind += estimate->kind_of_rank[rank] == i;
    assert_int_equal(kind->total, total);
    assert_int_equal(kind->ranks, of_kind);
    assert_int_equal(estimate->kind_of_rank[kind->first_rank], i);
    assert_int_equal(estimate->kind_of_rank[kind->last_rank], i);
    assert_true(kind->total <= estimate->kinds[estimate->largest].total);
    size_t alive = kind->peak.others;
    for (int v = 0; v < kind->peak.value_count; v++)
      alive += kind->peak.values[v].bytes;
    assert_int_equal(alive, kind->peak.scratch_bytes);
    size_t kept = kind->peak.kept_others;
    for (int v = 0; v < kind->peak.kept_count; v++)
      kept += kind->peak.kept[v].bytes * (size_t)kind->peak.kept[v].units;
    assert_int_equal(kept, kind->peak.saved_bytes);
    assert_true(kind->peak.kept_count > 0);
    assert_true(kind->peak.scratch_bytes + kind->peak.saved_bytes <= kind->by_tag[TITAN_MEMORY_ACTIVATIONS]);
    assert_true(kind->peak.saved_bytes <= kind->by_tag[TITAN_MEMORY_ACTIVATIONS]);
    ranks += kind->ranks;
  }
  assert_int_equal(ranks, estimate->question.world_size);
}

// 8 ranks share 8,030,261,248 parameters of 4 bytes; the optimizer has two more; no rank pads here.
// Memory that NCCL gives is a multiple of 2 MiB.
static int64_t of_nccl(int64_t bytes) {
  const int64_t unit = 2 << 20;
  return (bytes + unit - 1) / unit * unit;
}

static void the_8B_model_on_eight_ranks_is_what_a_pencil_says(void **state) {
  (void)state;
  asked a = ASK("llama3_8b.toml", "--memory_estimation.world_size", "8", "--memory_estimation.device", "h100-80g");
  const titan_estimate_kind *kind = &a.estimate->kinds[0];
  int64_t block = 2 * 4096 * 4096 + 2 * 4096 * 1024 + 3 * 4096 * 14336 + 2 * 4096;
  int64_t head = 4096 + 128256LL * 4096;
  int64_t parameters = 32 * block + head + 128256LL * 4096;
  assert_int_equal(a.estimate->parameters, parameters);
  assert_int_equal(a.estimate->kind_count, 1);
  assert_int_equal(kind->by_tag[TITAN_MEMORY_MASTERS], parameters / 8 * 4);
  assert_int_equal(kind->by_tag[TITAN_MEMORY_OPTIMIZER], parameters / 8 * 8);
  assert_int_equal(kind->by_tag[TITAN_MEMORY_PARAMETERS],
                   of_nccl(parameters / 8 * 2) + of_nccl((head + block) * 2)); // at most these two are whole
  assert_int_equal(kind->by_tag[TITAN_MEMORY_GRADIENTS], of_nccl(parameters / 8 * 4) + of_nccl((head + block) * 4));
  check_sums(a.estimate);
  forget(&a);
}

// With training.fsdp_prefetch = auto, and so many bytes.
static asked ask_ahead(const char *prefetch, double available) {
  const char *more[] = {"--memory_estimation.world_size", "8",     "--memory_estimation.device", "h100-80g",
                        "--training.fsdp_prefetch",       prefetch};
  return ask_with(available, "llama3_8b.toml", sizeof more / sizeof *more, more);
}

// What auto comes to fits, is planned as if it had been asked for, and is as much as serves where there is room.
static void parts_are_gathered_ahead_as_the_memory_allows(void **state) {
  (void)state;
  asked most = ask_ahead("auto", 0);
  int all = most.estimate->kinds[0].prefetch, before = 0;
  assert_true(all > 2);
  forget(&most);
  for (int given = 1; given <= all; given++) {
    char text[16];
    snprintf(text, sizeof text, "%d", given);
    asked fixed = ask_ahead(text, 0);
    double bytes = (double)fixed.estimate->kinds[0].total;
    asked chosen = ask_ahead("auto", bytes), less = ask_ahead("auto", bytes - 1);
    int ahead = chosen.estimate->kinds[0].prefetch;
    assert_int_equal(fixed.estimate->kinds[0].prefetch, given);
    assert_true(ahead >= 1 && ahead <= given && ahead >= before && (given < all || ahead == all));
    assert_true((double)chosen.estimate->kinds[0].total <= bytes);
    assert_true(ahead < given || (double)chosen.estimate->kinds[0].total == bytes);
    assert_true(less.estimate->kinds[0].prefetch <= (given > 1 ? given - 1 : 1));
    before = ahead;
    forget(&fixed);
    forget(&chosen);
    forget(&less);
  }
}

// A document of the limit in the training, and one in the validation beside it: its line, and as much again.
static void documents_of_training_and_of_validation_are_planned(void **state) {
  (void)state;
  asked with = ASK("debug_model.toml", "--training.document_limit", "273", "--validation.enabled"),
        without = ASK("debug_model.toml", "--training.document_limit", "273");
  const size_t limit = (size_t)273 << 20;
  size_t more = with.estimate->kinds[0].own - without.estimate->kinds[0].own;
  assert_true(without.estimate->kinds[0].own >= titan_setup_process_bytes + 2 * limit);
  assert_true(more >= 2 * limit && more < 2 * limit + (1 << 20)); // and two windows of the validation
  check_sums(with.estimate);
  forget(&with);
  forget(&without);
}

static void the_405B_model_on_512_ranks_takes_a_few_megabytes_to_estimate(void **state) {
  (void)state;
  size_t before = titan_memory_usage_total().live_bytes;
  titan_memory_reset_peaks();
  asked a = ASK("llama3_405b.toml", "--memory_estimation.world_size", "512", "--memory_estimation.device", "h100-80g");
  TRY(titan_estimate_fit(a.estimate));
  assert_true(titan_memory_usage_total().peak_bytes - before < (size_t)32 << 20);
  assert_int_equal(titan_memory_usage_of(TITAN_MEMORY_MASTERS).peak_bytes, 0);
  assert_int_equal(a.estimate->degrees.dp_shard, 64);
  check_sums(a.estimate);
  forget(&a);
}

// Six ranks a node and tp 4: some sharding pairs lie on one node and gather nothing, others gather.
static void ranks_that_differ_are_told_apart(void **state) {
  (void)state;
  asked a = ASK(NULL, "--memory_estimation.world_size", "24", "--memory_estimation.ranks_per_node", "6",
                "--training.tensor_parallel_degree", "4", "--training.data_parallel_replicate_degree", "3");
  assert_true(a.estimate->kind_count >= 2);
  check_sums(a.estimate);
  size_t first = a.estimate->kinds[a.estimate->kind_of_rank[0]].by_tag[TITAN_MEMORY_PARAMETERS];
  size_t other = a.estimate->kinds[a.estimate->kind_of_rank[2]].by_tag[TITAN_MEMORY_PARAMETERS];
  assert_true(other > first);
  forget(&a);
}

// Three ranks a node and tp 2: partners of a tp group gather their parameters in different ways, and would recompute
// different values if each spent the budget on its own, transfers of their group among them.
static void ranks_with_different_memory_recompute_the_same(void **state) {
  (void)state;
  asked least = ASK(NULL, "--memory_estimation.world_size", "4", "--memory_estimation.ranks_per_node", "3",
                    "--training.tensor_parallel_degree", "2", "--training.batch_size", "2", "--training.seq_len", "128",
                    "--activation_checkpoint.mode", "full");
  size_t total = least.estimate->kinds[least.estimate->largest].total;
  assert_true(least.estimate->kind_count > 1);
  for (int more = 1; more <= 8; more++) {
    char option[64];
    snprintf(option, sizeof option, "budget=%.6f", ((double)total + more * 1.5e6) / (1 << 30));
    asked a = ASK(NULL, "--memory_estimation.world_size", "4", "--memory_estimation.ranks_per_node", "3",
                  "--training.tensor_parallel_degree", "2", "--training.batch_size", "2", "--training.seq_len", "128",
                  "--activation_checkpoint.mode", "selective", "--activation_checkpoint.selective_ac_option", option);
    for (int i = 0; i < a.estimate->kind_count; i++) {
      assert_string_equal(a.estimate->kinds[i].activations, a.estimate->kinds[0].activations);
      assert_true((double)a.estimate->kinds[i].total <= (double)total + more * 1.5e6);
    }
    forget(&a);
  }
  forget(&least);
}

// Nodes of two, two and one rank: the ranks differ in the size of their node alone.
static void the_size_of_a_node_counts(void **state) {
  (void)state;
  asked a = ASK(NULL, "--memory_estimation.world_size", "5", "--memory_estimation.ranks_per_node", "2",
                "--training.data_parallel_shard_degree", "5");
  assert_int_equal(a.estimate->kind_count, 2);
  assert_int_equal(a.estimate->kind_of_rank[0], a.estimate->kind_of_rank[3]);
  assert_true(a.estimate->kind_of_rank[4] != a.estimate->kind_of_rank[0]);
  forget(&a);
}

// A budget is all that a rank takes, the program's own included; what any mode needs is a budget that can be met, and
// staging memory of checkpoints counts.
static void the_need_of_each_mode_is_a_budget_that_is_met(void **state) {
  (void)state;
  static const char *const modes[][2] = {{"none", "2"}, {"selective", "2"}, {"selective", "op"}, {"full", "2"}};
  for (int way = 0; way < 4; way++) {
    const char *compile = way & 1 ? "true" : "false", *async = way == 3 ? "true" : "false";
    const char *save = way & 2 ? "true" : "false";
    for (size_t m = 0; m < sizeof modes / sizeof *modes; m++) {
      asked a =
          ASK("debug_model.toml", "--memory_estimation.world_size", "4", "--training.tensor_parallel_degree", "2",
              "--training.compile", compile, "--experimental.enable_async_tensor_parallel", async,
              "--checkpoint.enable_checkpoint", save, "--checkpoint.async_mode", "async_with_pinned_mem",
              "--activation_checkpoint.mode", modes[m][0], "--activation_checkpoint.selective_ac_option", modes[m][1]);
      const titan_estimate_kind *given = &a.estimate->kinds[a.estimate->largest];
      char option[64];
      snprintf(option, sizeof option, "budget=%.9f", (double)given->total / (1 << 30) + 1e-9);
      asked b = ASK("debug_model.toml", "--memory_estimation.world_size", "4", "--training.tensor_parallel_degree", "2",
                    "--training.compile", compile, "--experimental.enable_async_tensor_parallel", async,
                    "--checkpoint.enable_checkpoint", save, "--checkpoint.async_mode", "async_with_pinned_mem",
                    "--activation_checkpoint.mode", "selective", "--activation_checkpoint.selective_ac_option", option);
      const titan_estimate_kind *met = &b.estimate->kinds[b.estimate->largest];
      assert_true(met->total <= given->total + 2);
      assert_true(met->work.recomputed <= given->work.recomputed);
      assert_true((met->by_tag[TITAN_MEMORY_CHECKPOINT] > 0) == (way >= 2));
      forget(&a);
      forget(&b);
    }
  }
}

static void what_is_said_to_fit_does_and_one_more_does_not(void **state) {
  (void)state;
  asked a = ASK("llama3_8b.toml", "--memory_estimation.world_size", "64", "--memory_estimation.device", "h200-141g",
                "--training.seq_len", "2048");
  TRY(titan_estimate_fit(a.estimate));
  int64_t batch = a.estimate->largest_batch;
  assert_true(batch > 1 && (double)a.estimate->largest_batch_total <= a.estimate->question.available);
  for (int more = 0; more < 2; more++) {
    char text[32];
    snprintf(text, sizeof text, "%lld", (long long)batch + more);
    asked b = ASK("llama3_8b.toml", "--memory_estimation.world_size", "64", "--memory_estimation.device", "h200-141g",
                  "--training.seq_len", "2048", "--training.batch_size", text);
    TRY(titan_estimate_fit(b.estimate));
    assert_true(((double)b.estimate->kinds[0].total <= b.estimate->question.available) == (more == 0));
    assert_int_equal(b.estimate->largest_batch, batch);
    if (more == 0)
      assert_int_equal(b.estimate->kinds[0].total, a.estimate->largest_batch_total);
    forget(&b);
  }
  forget(&a);
}

static void advice_is_what_the_changed_options_give(void **state) {
  (void)state;
  asked a = ASK("llama3_70b.toml", "--memory_estimation.world_size", "8", "--memory_estimation.device", "a100-40g");
  TRY(titan_estimate_fit(a.estimate));
  assert_int_equal(a.estimate->largest_batch, 0);
  assert_true(a.estimate->advice_count > 0);
  for (int i = 0; i < a.estimate->advice_count; i++) {
    char option[160], *equals = strstr(strcpy(option, a.estimate->advice[i].text), " = ");
    assert_non_null(equals);
    *equals = '\0';
    char name[170];
    snprintf(name, sizeof name, "--%s", option);
    asked b = ASK("llama3_70b.toml", "--memory_estimation.world_size", "8", "--memory_estimation.device", "a100-40g",
                  name, equals + 3);
    assert_int_equal(b.estimate->kinds[b.estimate->largest].total, a.estimate->advice[i].total);
    assert_true(a.estimate->advice[i].total < a.estimate->kinds[a.estimate->largest].total);
    forget(&b);
  }
  forget(&a);
}

static void check_packing(const char *name, const char *tp, const char *dtype, const char *device, const char *compile,
                          const char *reduce) {
  asked a =
      ASK(name, "--memory_estimation.world_size", "64", "--training.tensor_parallel_degree", tp,
          "--training.mixed_precision_param", dtype, "--memory_estimation.device", device, "--training.compile",
          compile, "--experimental.enable_async_tensor_parallel", compile, "--training.global_batch_size",
          reduce[0] == '\0' ? "-1"
          : tp[0] == '1'    ? "128"
                            : "16",
          "--training.batch_size", "1", "--training.gradient_accumulation_reduce", reduce[0] == '\0' ? "auto" : reduce);
  for (int i = 0; i < a.estimate->kind_count; i++)
    if (a.estimate->kinds[i].packing > 1.05)
      fail_msg("%s, tp %s, %s, %s, compile %s, reduce %s: an arena is %.4f of its lower bound", name, tp, dtype, device,
               compile, reduce, a.estimate->kinds[i].packing);
  forget(&a);
}

static void arenas_are_packed_within_a_twentieth_of_their_bounds(void **state) {
  (void)state;
  static const char *const names[] = {"debug_model.toml", "debug_64.toml", "llama3_8b.toml", "llama3_70b.toml",
                                      "llama3_405b.toml"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    for (int which = 0; which < 16; which++)
      check_packing(names[i], which & 1 ? "8" : "1", which & 2 ? "bfloat16" : "float32", which & 4 ? "h100-80g" : "cpu",
                    which & 8 ? "true" : "false",
                    which % 3 == 0   ? ""
                    : which % 3 == 1 ? "each"
                                     : "last");
}

// Every '{' and '[' is closed by its like, strings end, and the figures are there.
static void the_json_is_well_formed(void **state) {
  (void)state;
  asked a = ASK("llama3_8b.toml", "--memory_estimation.world_size", "16", "--memory_estimation.device", "a100-40g");
  titan_text text = {0};
  char open[64], expected[64];
  int depth = 0;
  bool in_string = false;
  TRY(titan_estimate_fit(a.estimate));
  TRY(titan_estimate_json(a.estimate, &text));
  for (const char *c = text.data; *c != '\0'; c++) {
    if (*c == '"')
      in_string = !in_string;
    if (in_string)
      continue;
    if (*c == '{' || *c == '[')
      open[depth++] = *c;
    if (*c == '}' || *c == ']')
      assert_true(depth > 0 && open[--depth] == (*c == '}' ? '{' : '['));
  }
  assert_true(depth == 0 && !in_string);
  snprintf(expected, sizeof expected, "\"total_bytes\": %zu", a.estimate->kinds[0].total);
  assert_non_null(strstr(text.data, expected));
  assert_non_null(strstr(text.data, "\"fits\": "));
  titan_text_destroy(&text);
  forget(&a);
}

static void the_devices_of_the_table_plan_and_run_nothing(void **state) {
  (void)state;
  titan_text names = {0};
  TRY(titan_device_facts_names(&names));
  int count = 0;
  for (char *name = strtok(names.data, ", "); name != NULL; name = strtok(NULL, ", "), count++) {
    const titan_device_facts *facts = titan_device_facts_find(name);
    titan_device *device;
    void *memory = &count;
    assert_non_null(facts);
    assert_true(facts->bytes > (size_t)30 << 30 && facts->bfloat16 > facts->float32 && facts->ranks_per_node > 0);
    TRY(titan_device_create_meta(facts, false, &device));
    assert_int_equal(device->alignment, 256);
    assert_int_equal(device->allocate(device, TITAN_SPACE_DEVICE, TITAN_MEMORY_SCRATCH, 64, &memory),
                     TITAN_ERROR_DEVICE);
    assert_null(memory);
    assert_int_equal(device->kernel(device, TITAN_OP_add)->run(device, NULL, NULL, NULL, NULL, NULL),
                     TITAN_ERROR_DEVICE);
    titan_device_destroy(&device);
  }
  assert_true(count >= 6);
  assert_null(titan_device_facts_find("abacus"));
  titan_text_destroy(&names);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_8B_model_on_eight_ranks_is_what_a_pencil_says),
      cmocka_unit_test(parts_are_gathered_ahead_as_the_memory_allows),
      cmocka_unit_test(documents_of_training_and_of_validation_are_planned),
      cmocka_unit_test(the_405B_model_on_512_ranks_takes_a_few_megabytes_to_estimate),
      cmocka_unit_test(ranks_that_differ_are_told_apart),
      cmocka_unit_test(ranks_with_different_memory_recompute_the_same),
      cmocka_unit_test(the_size_of_a_node_counts),
      cmocka_unit_test(the_need_of_each_mode_is_a_budget_that_is_met),
      cmocka_unit_test(what_is_said_to_fit_does_and_one_more_does_not),
      cmocka_unit_test(advice_is_what_the_changed_options_give),
      cmocka_unit_test(arenas_are_packed_within_a_twentieth_of_their_bounds),
      cmocka_unit_test(the_json_is_well_formed),
      cmocka_unit_test(the_devices_of_the_table_plan_and_run_nothing),
  };
  int failures = cmocka_run_group_tests(tests, NULL, NULL);
  return failures != 0 || titan_memory_report_leaks() != 0;
}
