// SPDX-License-Identifier: Apache-2.0
// Property: the table of options is complete, and what is made of it agrees with it: defaults, checks, warnings, text
// for other ranks, documents, the configurations of configs/. Oracle: TorchTitan's table and debug configuration of
// December 2024, written out here.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the four above first
#include <cmocka.h>

#include "base/memory.h"
#include "config/config.h"
#include "config/option.h"

#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[] = "/tmp/titan_config_XXXXXX";

static titan_config *create(int count, const char *const *words) {
  const char *argv[32] = {"titan-hpc"};
  assert_true(count < 31);
  for (int i = 0; i < count; i++)
    argv[i + 1] = words[i];
  titan_config *config;
  titan_status status = titan_config_create(count + 1, argv, &config);
  if (status != TITAN_OK)
    fail_msg("%s", titan_error_message());
  return config;
}
#define CREATE(...)                                                                                                    \
  create((int)(sizeof(const char *[]){__VA_ARGS__} / sizeof(char *)), (const char *const[]){__VA_ARGS__})

static void assert_value(const titan_config *config, const char *name, const char *expected) {
  bool negated;
  int index = titan_option_find(name, &negated);
  if (index < 0)
    fail_msg("%s is no option", name);
  titan_text text = {0};
  assert_int_equal(titan_option_format(config, &titan_options[index], false, &text), TITAN_OK);
  if (strcmp(text.data, expected) != 0)
    fail_msg("%s is %s and not %s", name, text.data, expected);
  titan_text_destroy(&text);
}

static void every_option_of_the_reference_is_there_with_its_default(void **state) {
  (void)state;
  static const char *const expected[][2] = {
      {"job.config_file", "none"},
      {"job.dump_folder", "./torchtitan/outputs"},
      {"job.description", "default job"},
      {"job.use_for_integration_test", "false"},
      {"profiling.enable_profiling", "false"},
      {"profiling.save_traces_folder", "profile_traces"},
      {"profiling.profile_freq", "10"},
      {"profiling.enable_memory_snapshot", "false"},
      {"profiling.save_memory_snapshot_folder", "memory_snapshot"},
      {"metrics.log_freq", "10"},
      {"metrics.enable_color_printing", "false"},
      {"metrics.enable_tensorboard", "false"},
      {"metrics.save_tb_folder", "tb"},
      {"metrics.rank_0_only", "true"},
      {"model.name", "llama"},
      {"model.flavor", "debugmodel"},
      {"model.norm_type", "rmsnorm"},
      {"model.tokenizer_path", "./torchtitan/datasets/tokenizer/tokenizer.model"},
      {"optimizer.name", "AdamW"},
      {"optimizer.lr", "0.0008"},
      {"optimizer.fused", "false"},
      {"training.dataset", "c4_mini"},
      {"training.dataset_path", "none"},
      {"training.batch_size", "8"},
      {"training.seq_len", "2048"},
      {"training.warmup_steps", "200"},
      {"training.max_norm", "1.0"},
      {"training.steps", "10000"},
      {"training.data_parallel_replicate_degree", "1"},
      {"training.data_parallel_shard_degree", "-1"},
      {"training.enable_cpu_offload", "false"},
      {"training.tensor_parallel_degree", "1"},
      {"training.enable_loss_parallel", "true"},
      {"experimental.enable_async_tensor_parallel", "false"},
      {"checkpoint.enable_checkpoint", "false"},
      {"checkpoint.folder", "checkpoint"},
      {"checkpoint.interval_type", "steps"},
      {"checkpoint.interval", "500"},
      {"checkpoint.model_weights_only", "false"},
      {"memory_estimation.enabled", "false"},
      {"memory_estimation.disable_fake_mode", "false"},
      // not in its table, but in its files of that time
      {"job.print_args", "false"},
      {"metrics.enable_wandb", "false"},
      {"optimizer.early_step_in_backward", "false"},
      {"training.seed", "0"},
      {"training.deterministic", "false"},
      {"training.mixed_precision_param", "bfloat16"},
      {"training.mixed_precision_reduce", "float32"},
      {"training.compile", "false"},
      {"training.gc_freq", "50"},
      {"experimental.context_parallel_degree", "1"},
      {"experimental.context_parallel_rotate_method", "allgather"},
      {"experimental.pipeline_parallel_degree", "1"},
      {"experimental.pipeline_parallel_split_points", "none"},
      {"experimental.pipeline_parallel_schedule", "1F1B"},
      {"experimental.pipeline_parallel_schedule_csv", "none"},
      {"experimental.pipeline_parallel_microbatches", "0"},
      {"checkpoint.create_seed_checkpoint", "false"},
      {"checkpoint.export_dtype", "float32"},
      {"checkpoint.async_mode", "disabled"},
      {"checkpoint.keep_latest_k", "0"},
      {"checkpoint.load_step", "-1"},
      {"activation_checkpoint.mode", "selective"},
      {"activation_checkpoint.selective_ac_option", "2"},
      {"float8.enable_float8_linear", "false"},
      {"float8.enable_fsdp_float8_all_gather", "false"},
      {"float8.precompute_float8_dynamic_scale_for_fsdp", "false"},
      {"float8.scaling_type_input", "dynamic"},
      {"float8.scaling_type_weight", "dynamic"},
      {"float8.scaling_type_grad_output", "dynamic"},
      {"comm.init_timeout_seconds", "300"},
      {"comm.train_timeout_seconds", "100"},
      {"comm.trace_buf_size", "20000"},
      // of its later versions
      {"lr_scheduler.decay_type", "linear"},
      {"lr_scheduler.decay_ratio", "-1.0"},
      {"lr_scheduler.lr_min", "0.0"},
      {"lr_scheduler.total_steps", "-1"},
      {"optimizer.beta1", "0.9"},
      {"optimizer.beta2", "0.95"},
      {"optimizer.eps", "1e-08"},
      {"optimizer.weight_decay", "0.1"},
      {"training.global_batch_size", "-1"},
      {"validation.enabled", "false"},
      {"validation.dataset", "c4_test"}, // not its default, which is on a network
      {"validation.dataset_path", "none"},
      {"validation.local_batch_size", "0"}, // the training's
      {"validation.seq_len", "0"},
      {"validation.freq", "10"},
      {"validation.steps", "-1"},
  };
  titan_config *config;
  assert_int_equal(titan_config_create_default(&config), TITAN_OK);
  size_t count = sizeof expected / sizeof expected[0], ours = 0;
  for (size_t i = 0; i < count; i++) {
    assert_value(config, expected[i][0], expected[i][1]);
    assert_false(titan_config_is_set(config, expected[i][0]));
  }
  for (int i = 0; i < TITAN_OPTION_COUNT; i++) {
    ours += titan_options[i].origin == TITAN_ORIGIN_OURS;
    if (!titan_option_holds(config, &titan_options[i]))
      fail_msg("the default of %s is outside of its range", titan_options[i].name);
  }
  assert_int_equal(TITAN_OPTION_COUNT, count + ours);
  titan_config_destroy(&config);
}

// The reference's debug configuration, key by key.
static const char reference_file[] =
    "[job]\ndump_folder = \"./outputs\"\ndescription = \"Llama 3 debug training\"\nuse_for_integration_test = true\n"
    "[profiling]\nenable_profiling = true\nsave_traces_folder = \"profile_trace\"\nprofile_freq = 10\n"
    "enable_memory_snapshot = false\nsave_memory_snapshot_folder = \"memory_snapshot\"\n"
    "[metrics]\nlog_freq = 1\nenable_color_printing = true\nenable_tensorboard = true\nsave_tb_folder = \"tb\"\n"
    "[model]\nname = \"llama3\"\nflavor = \"debugmodel\"\nnorm_type = \"rmsnorm\"  # layernorm / rmsnorm\n"
    "tokenizer_path = \"./test/assets/test_tiktoken.model\"\n"
    "[optimizer]\nname = \"AdamW\"\nlr = 8e-4\n"
    "[training]\nbatch_size = 8\nseq_len = 2048\nwarmup_steps = 2\nmax_norm = 1.0\nsteps = 10\n"
    "data_parallel_replicate_degree = 1\ndata_parallel_shard_degree = -1\ntensor_parallel_degree = 1\ncompile = false\n"
    "dataset = \"c4_test\"\n"
    "[experimental]\ncontext_parallel_degree = 1\npipeline_parallel_degree = 1\nenable_async_tensor_parallel = false\n"
    "[checkpoint]\nenable_checkpoint = false\nfolder = \"checkpoint\"\ninterval_type = \"steps\"\ninterval = 5\n"
    "model_weights_only = false\nexport_dtype = \"float32\"\nasync_mode = \"disabled\"\n"
    "[activation_checkpoint]\nmode = 'selective'\nselective_ac_option = '2'\n[float8]\nenable_float8_linear = false\n";

static const char *write_file(const char *name, const char *text) {
  static char path[256];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  FILE *file = fopen(path, "w");
  assert_non_null(file);
  assert_true(fputs(text, file) >= 0);
  assert_int_equal(fclose(file), 0);
  return path;
}

typedef struct lines {
  int count;
  char text[8][512];
} lines;

static void collect(void *context, const char *line) {
  lines *all = context;
  assert_true(all->count < 8);
  snprintf(all->text[all->count++], sizeof all->text[0], "%s", line);
}

static void the_reference_file_passes_with_warnings(void **state) {
  (void)state;
  const char *path = write_file("reference.toml", reference_file);
  titan_config *config = CREATE("--job.config_file", path);
  for (int64_t ranks = 1; ranks <= 64; ranks++)
    assert_int_equal(titan_config_validate(config, ranks), TITAN_OK);
  // A warning for each option it asks for that this build does not have, and no other.
  lines warnings = {0};
  assert_int_equal(titan_config_warnings(config, collect, &warnings), TITAN_OK);
  int next = 0;
  for (int i = 0; i < TITAN_OPTION_COUNT; i++) {
    const titan_option *option = &titan_options[i];
    if (option->availability.kind != TITAN_LATER_WARNED || !titan_option_is_asked_for(config, option))
      continue;
    titan_text start = {0};
    assert_int_equal(titan_text_printf(&start, "%s = ", option->name), TITAN_OK);
    assert_int_equal(titan_option_format(config, option, false, &start), TITAN_OK);
    assert_int_equal(titan_text_printf(&start, ": not available in this build yet; "), TITAN_OK);
    assert_true(next < warnings.count);
    assert_int_equal(strncmp(warnings.text[next++], start.data, start.length), 0);
    titan_text_destroy(&start);
  }
  assert_int_equal(next, warnings.count);
  titan_config_destroy(&config);
}

static void options_without_effect_are_warned_about_once(void **state) {
  (void)state;
  titan_config *config =
      CREATE("--training.gc_freq", "50", "--activation_checkpoint.mode=none", "--training.steps", "5");
  lines warnings = {0};
  assert_int_equal(titan_config_warnings(config, collect, &warnings), TITAN_OK);
  assert_int_equal(warnings.count, 2);
  assert_non_null(strstr(warnings.text[0], "training.gc_freq = 50: this option has no effect; "));
  assert_non_null(strstr(warnings.text[1], "training.warmup_steps = 200, training.steps = 5: "));
  titan_config_destroy(&config);

  // Typed, it was meant; files have the section for the day when an estimate is asked for.
  config = CREATE("--memory_estimation.world_size", "8", "--training.warmup_steps", "2");
  warnings.count = 0;
  assert_int_equal(titan_config_warnings(config, collect, &warnings), TITAN_OK);
  assert_int_equal(warnings.count, 1);
  assert_non_null(strstr(warnings.text[0], "memory_estimation.world_size (command line) has no effect"));
  titan_config_destroy(&config);
  const char *path = write_file("estimate.toml", "[memory_estimation]\nworld_size = 8\n");
  config = CREATE("--job.config_file", path);
  warnings.count = 0;
  assert_int_equal(titan_config_warnings(config, collect, &warnings), TITAN_OK);
  assert_int_equal(warnings.count, 0);
  titan_config_destroy(&config);

  config = CREATE("--activation_checkpoint.mode=none");
  warnings.count = 0;
  assert_int_equal(titan_config_warnings(config, collect, &warnings), TITAN_OK);
  assert_int_equal(warnings.count, 0);
  titan_config_destroy(&config);
}

// A value that the option takes and that is not its default: the last word of a choice.
static const char *value_to_ask_with(const titan_option *option) {
  const char *words = option->constraint.words;
  if (words != NULL)
    return strrchr(words, '|') + 1;
  return option->type == TITAN_OPTION_BOOL ? "true" : "2";
}

static void what_this_build_does_not_have_is_refused_and_all_of_it_named(void **state) {
  (void)state;
  // Every option that is refused when asked for, whatever the table says of it at the time.
  for (int i = 0; i < TITAN_OPTION_COUNT; i++) {
    const titan_option *option = &titan_options[i];
    titan_availability_kind kind = option->availability.kind;
    if (kind != TITAN_LATER && kind != TITAN_REFUSED)
      continue;
    titan_config *config;
    assert_int_equal(titan_config_create_default(&config), TITAN_OK);
    const char *value = value_to_ask_with(option);
    assert_int_equal(titan_config_set(config, option->name, value), TITAN_OK);
    assert_int_equal(titan_config_validate(config, 2), TITAN_ERROR_USAGE);
    char expected[256];
    snprintf(expected, sizeof expected, "%s = %s: %s (program)", option->name, value,
             kind == TITAN_LATER ? "not available in this build yet" : option->availability.note);
    // the first line; what an option needs of others may follow
    size_t length = strlen(expected);
    if (strncmp(titan_error_message(), expected, length) != 0 || titan_error_message()[length] > '\n')
      fail_msg("\"%s\", expected \"%s\"", titan_error_message(), expected);
    titan_config_destroy(&config);
  }
  titan_config *config = CREATE("--metrics.enable_wandb");
  assert_int_equal(titan_config_validate(config, 1), TITAN_ERROR_USAGE);
  assert_non_null(strstr(titan_error_message(), "TensorBoard"));
  assert_non_null(strstr(titan_error_message(), "HDF5"));
  titan_config_destroy(&config);
}

static void asynchronous_tensor_parallelism_needs_compile(void **state) {
  (void)state;
  titan_config *config = CREATE("--experimental.enable_async_tensor_parallel");
  assert_int_equal(titan_config_validate(config, 1), TITAN_ERROR_USAGE);
  assert_non_null(strstr(titan_error_message(), "needs training.compile = true"));
  titan_config_destroy(&config);
  config = CREATE("--experimental.enable_async_tensor_parallel", "--training.compile");
  assert_int_equal(titan_config_validate(config, 1), TITAN_OK);
  titan_config_destroy(&config);
}

// Early updates change the weights before a step is known to be bad: it cannot run again.
static void a_search_for_bad_numbers_that_is_insisted_on_needs_late_updates(void **state) {
  (void)state;
  titan_config *config = CREATE("--debug.find_nonfinite", "on", "--optimizer.early_step_in_backward");
  assert_int_equal(titan_config_validate(config, 1), TITAN_ERROR_USAGE);
  assert_non_null(strstr(titan_error_message(), "needs optimizer.early_step_in_backward = false"));
  titan_config_destroy(&config);
  config = CREATE("--optimizer.early_step_in_backward");
  assert_string_equal(config->debug.find_nonfinite, "auto");
  assert_int_equal(titan_config_validate(config, 1), TITAN_OK);
  titan_config_destroy(&config);
  config = CREATE("--debug.find_nonfinite", "on");
  assert_int_equal(titan_config_validate(config, 1), TITAN_OK);
  titan_config_destroy(&config);
}

static void a_configuration_made_by_the_program_is_checked_like_one_that_was_read(void **state) {
  (void)state;
  titan_config *config;
  assert_int_equal(titan_config_create_default(&config), TITAN_OK);
  assert_int_equal(titan_config_validate(config, 7), TITAN_OK);
  config->training.steps = 0;
  config->optimizer.lr = 0;
  config->model.norm_type = "batchnorm";
  config->training.dataset = "c4";
  config->training.data_parallel_replicate_degree = 3;
  assert_int_equal(titan_config_validate(config, 7), TITAN_ERROR_USAGE);
  assert_string_equal(
      titan_error_message(),
      "model.norm_type = batchnorm: expected one of layernorm, np_layernorm, rmsnorm, fused_rmsnorm\n"
      "optimizer.lr = 0.0: expected a number above 0\n"
      "training.steps = 0: expected an integer of at least 1\n"
      "training.dataset = c4: this corpus is not installed with the program; give its file or folder as "
      "training.dataset_path, or use c4_test or c4_mini\n"
      "Invalid parallel dims: dp_replicate(3) * dp_shard(2) * cp(1) * tp(1) * pp(1) != WORLD_SIZE(7): the product of "
      "training.data_parallel_replicate_degree = 3 (default), training.data_parallel_shard_degree = -1 (default; the "
      "remaining ranks) must be the number of ranks, 7 (mpirun -np)");
  titan_config_destroy(&config);
}

// Every degree that had a say is named with its place, the others are not; and where the number of ranks is from.
static void a_mesh_that_does_not_fit_names_the_options_that_made_it(void **state) {
  (void)state;
  titan_config *config = CREATE("--training.tensor_parallel_degree", "2", "--training.data_parallel_shard_degree", "1");
  assert_int_equal(titan_config_validate(config, 3), TITAN_ERROR_USAGE);
  assert_string_equal(
      titan_error_message(),
      "Invalid parallel dims: dp_replicate(1) * dp_shard(1) * cp(1) * tp(2) * pp(1) != WORLD_SIZE(3): the product of "
      "training.data_parallel_shard_degree = 1 (command line), training.tensor_parallel_degree = 2 (command line) "
      "must be the number of ranks, 3 (mpirun -np)");
  titan_config_destroy(&config);
  config = CREATE("--training.tensor_parallel_degree", "2", "--memory_estimation.enabled",
                  "--memory_estimation.world_size", "3");
  assert_int_equal(titan_config_validate(config, 3), TITAN_ERROR_USAGE);
  assert_non_null(strstr(titan_error_message(), "3 (memory_estimation.world_size, command line)"));
  assert_non_null(strstr(titan_error_message(), "training.data_parallel_shard_degree = -1 (default; the remaining "
                                                "ranks"));
  titan_config_destroy(&config);
}

static void degrees_must_multiply_to_the_number_of_ranks(void **state) {
  (void)state;
  static const struct {
    int64_t replicate, shard, ranks;
    bool fits;
  } cases[] = {
      {1, -1, 1, true},   {1, -1, 64, true}, {4, -1, 64, true}, {4, 16, 64, true}, {4, 4, 64, false},
      {3, -1, 64, false}, {8, -1, 4, false}, {1, 1, 1, true},   {1, 1, 2, false},  {2147483647, 2147483647, 4, false}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    titan_config *config;
    assert_int_equal(titan_config_create_default(&config), TITAN_OK);
    config->training.data_parallel_replicate_degree = cases[i].replicate;
    config->training.data_parallel_shard_degree = cases[i].shard;
    titan_status status = titan_config_validate(config, cases[i].ranks);
    assert_int_equal(status, cases[i].fits ? TITAN_OK : TITAN_ERROR_USAGE);
    titan_config_destroy(&config);
  }
}

static void other_ranks_get_exactly_the_same_configuration(void **state) {
  (void)state;
  const char *path =
      write_file("round.toml", "[training]\nmax_norm = 0.1\n[job]\ndescription = \"tab\\tnew\\nline \\\\n \\\"q\\\" "
                               "\\\\0 \\u00e9\"\n[model]\nname = \"llama3\"\n");
  titan_config *config = CREATE("--job.config_file", path, "--optimizer.lr", "0.1234567890123456789",
                                "--training.dataset_path=\\0", "--training.seed", "9223372036854775807",
                                "--training.disable_loss_parallel", "--experimental.pipeline_parallel_schedule_csv=");
  titan_text text = {0}, again = {0};
  assert_int_equal(titan_config_serialize(config, &text), TITAN_OK);
  titan_config *copy;
  assert_int_equal(titan_config_deserialize(text.data, &copy), TITAN_OK);
  assert_int_equal(titan_config_serialize(copy, &again), TITAN_OK);
  assert_string_equal(text.data, again.data);
  assert_true(copy->optimizer.lr == 0.1234567890123456789);
  assert_true(copy->training.max_norm == 0.1);
  assert_int_equal(copy->training.seed, INT64_MAX);
  assert_false(copy->training.enable_loss_parallel);
  assert_string_equal(copy->job.description, "tab\tnew\nline \\n \"q\" \\0 \xc3\xa9");
  assert_string_equal(copy->training.dataset_path, "\\0");
  assert_null(copy->experimental.pipeline_parallel_schedule_csv);
  for (int i = 0; i < TITAN_OPTION_COUNT; i++) {
    const char *name = titan_options[i].name;
    assert_int_equal(titan_config_is_set(copy, name), titan_config_is_set(config, name));
    assert_string_equal(titan_config_origin(copy, name), titan_config_origin(config, name));
  }
  titan_config_destroy(&copy);
  titan_text_destroy(&text);
  titan_text_destroy(&again);
  titan_config_destroy(&config);

  config = CREATE("--version");
  assert_int_equal(titan_config_serialize(config, &text), TITAN_OK);
  assert_int_equal(titan_config_deserialize(text.data, &copy), TITAN_OK);
  assert_int_equal(copy->request, TITAN_REQUEST_VERSION);
  titan_config_destroy(&copy);
  titan_config_destroy(&config);
  for (size_t cut = 0; cut + 1 < text.length; cut += 7) { // a text that is cut off is an error, wherever it is cut
    text.data[text.length - cut - 1] = '\0';
    assert_int_equal(titan_config_deserialize(text.data, &copy), TITAN_ERROR_INTERNAL);
    assert_null(copy);
  }
  titan_text_destroy(&text);
}

static void the_printed_configuration_can_be_read_again(void **state) {
  (void)state;
  titan_config *config = CREATE("--training.steps", "11", "--optimizer.lr=1e-7", "--job.description=a \"b\" \\ c",
                                "--training.max_norm", "1e22");
  titan_text text = {0};
  assert_int_equal(titan_config_to_toml(config, &text), TITAN_OK);
  assert_non_null(strstr(text.data, "\nsteps = 11  # command line\n"));
  assert_non_null(strstr(text.data, "\n# batch_size = 8\n"));
  titan_config *again = CREATE("--job.config_file", write_file("printed.toml", text.data));
  for (int i = 0; i < TITAN_OPTION_COUNT; i++) {
    if (i == TITAN_OPTION_job_config_file)
      continue;
    titan_text value = {0};
    assert_int_equal(titan_option_format(config, &titan_options[i], false, &value), TITAN_OK);
    assert_value(again, titan_options[i].name, value.data);
    titan_text_destroy(&value);
    assert_int_equal(titan_config_is_set(again, titan_options[i].name),
                     titan_config_is_set(config, titan_options[i].name));
  }
  titan_config_destroy(&again);
  titan_config_destroy(&config);
  titan_text_destroy(&text);
}

// The whole of an open file, from its start.
static char *read_all(FILE *file) {
  assert_non_null(file);
  fseek(file, 0, SEEK_END);
  long size = ftell(file);
  rewind(file);
  char *text = calloc((size_t)size + 1, 1);
  assert_non_null(text);
  assert_int_equal(fread(text, 1, (size_t)size, file), size);
  fclose(file);
  return text;
}

static void help_names_every_option_its_default_and_which_are_ours(void **state) {
  (void)state;
  FILE *file = tmpfile();
  assert_int_equal(titan_config_print_help("", file), TITAN_OK);
  char *help = read_all(file);
  for (int i = 0; i < TITAN_OPTION_COUNT; i++) {
    char line[256];
    bool ours = titan_options[i].origin == TITAN_ORIGIN_OURS;
    snprintf(line, sizeof line, "\n  --%s%s\n", titan_options[i].name, ours ? "  [ours]" : "");
    if (strstr(help, line) == NULL)
      fail_msg("--help lacks %s", line);
  }
  assert_non_null(strstr(help, "default 0.0008."));
  for (const char *line = help; *line != '\0'; line += strcspn(line, "\n") + 1)
    assert_true(strcspn(line, "\n") <= 120);
  free(help);
}

static void the_page_of_options_is_what_the_table_gives(void **state) {
  (void)state;
  FILE *file = tmpfile();
  assert_int_equal(titan_config_print_markdown(file), TITAN_OK);
  char *made = read_all(file);
  char *committed = read_all(fopen(TITAN_SOURCE_FOLDER "/docs/options.md", "r"));
  if (strcmp(made, committed) != 0)
    fail_msg("docs/options.md is not what options.def gives: build the target options_doc");
  free(made);
  free(committed);
}

static void every_configuration_of_the_project_is_read(void **state) {
  (void)state;
  glob_t found;
  assert_int_equal(glob(TITAN_SOURCE_FOLDER "/configs/*", 0, NULL, &found), 0);
  assert_true(found.gl_pathc >= 6);
  for (size_t i = 0; i < found.gl_pathc; i++) {
    titan_config *config = CREATE("--job.config_file", found.gl_pathv[i]);
    assert_true(titan_config_is_set(config, "training.steps"));
    titan_config_destroy(&config);
  }
  globfree(&found);
}

// Each passes its checks on a mesh it is meant for, asks for nothing that is not there, writes into ./outputs, and its
// first line says what it needs, or that it runs as it is: those whose corpus is not installed need one, and a
// tokenizer.
static void every_configuration_of_the_project_runs_or_says_what_it_needs(void **state) {
  (void)state;
  glob_t found;
  assert_int_equal(glob(TITAN_SOURCE_FOLDER "/configs/*", 0, NULL, &found), 0);
  for (size_t i = 0; i < found.gl_pathc; i++) {
    const char *path = found.gl_pathv[i];
    titan_config *config = CREATE("--job.config_file", path);
    bool needs = strcmp(config->training.dataset, "c4") == 0;
    if (needs) {
      titan_config_destroy(&config);
      config = CREATE("--job.config_file", path, "--training.dataset_path", "c4");
    }
    lines warnings = {0};
    if (titan_config_validate(config, 64) != TITAN_OK)
      fail_msg("%s: %s", path, titan_error_message());
    assert_int_equal(titan_config_warnings(config, collect, &warnings), TITAN_OK);
    if (warnings.count > 0)
      fail_msg("%s: %d warnings", path, warnings.count);
    assert_string_equal(config->job.dump_folder, "./outputs");
    char *text = read_all(fopen(path, "r"));
    text[strcspn(text, "\n")] = '\0';
    const char *const words[] = {needs ? "model.tokenizer_path" : "Runs as it is.",
                                 needs ? "training.dataset_path" : "Runs"};
    if (strstr(text, words[0]) == NULL || strstr(text, words[1]) == NULL)
      fail_msg("%s: the first line lacks %s or %s", path, words[0], words[1]);
    if (needs && !config->checkpoint.enable_checkpoint)
      fail_msg("%s: a long run that saves nothing", path);
    free(text);
    titan_config_destroy(&config);
  }
  globfree(&found);
}

static void the_debug_configurations_are_the_reference_file(void **state) {
  (void)state;
  titan_config *reference = CREATE("--job.config_file", write_file("reference.toml", reference_file));
  static const char *const paths[] = {TITAN_SOURCE_FOLDER "/configs/debug_model.toml",
                                      TITAN_SOURCE_FOLDER "/configs/debug_model.cfg"};
  for (int p = 0; p < 2; p++) {
    titan_config *config = CREATE("--job.config_file", paths[p]);
    for (int i = 0; i < TITAN_OPTION_COUNT; i++) {
      // Its own: the tokenizer that is installed with the program, and nothing that this build does not have.
      if (i == TITAN_OPTION_job_config_file || i == TITAN_OPTION_model_tokenizer_path ||
          i == TITAN_OPTION_profiling_enable_profiling || i == TITAN_OPTION_metrics_enable_tensorboard)
        continue;
      titan_text value = {0};
      assert_int_equal(titan_option_format(reference, &titan_options[i], false, &value), TITAN_OK);
      assert_value(config, titan_options[i].name, value.data);
      titan_text_destroy(&value);
      assert_int_equal(titan_config_is_set(config, titan_options[i].name),
                       titan_config_is_set(reference, titan_options[i].name));
    }
    assert_int_equal(titan_config_validate(config, 2), TITAN_OK);
    titan_config_destroy(&config);
  }
  titan_config_destroy(&reference);
}

static void sixty_four_ranks_pass_as_one_and_as_two_dimensions(void **state) {
  (void)state;
  const char *path = TITAN_SOURCE_FOLDER "/configs/debug_64.toml";
  titan_config *config = CREATE("--job.config_file", path);
  assert_int_equal(titan_config_validate(config, 64), TITAN_OK);
  assert_int_equal(titan_config_validate(config, 1), TITAN_OK);
  lines warnings = {0};
  assert_int_equal(titan_config_warnings(config, collect, &warnings), TITAN_OK);
  assert_int_equal(warnings.count, 0);
  titan_config_destroy(&config);
  config = CREATE("--job.config_file", path, "--training.data_parallel_replicate_degree", "4");
  assert_int_equal(titan_config_validate(config, 64), TITAN_OK);
  titan_config_destroy(&config);
}

static int make_folder(void **state) {
  (void)state;
  return mkdtemp(folder) == NULL ? -1 : 0;
}

static int nothing_is_left(void **state) {
  (void)state;
  char command[64];
  snprintf(command, sizeof command, "rm -rf '%s'", folder);
  return system(command) == 0 && titan_memory_report_leaks() == 0 ? 0 : -1;
}

// What a text of titan_config_to_toml says of each option is what the configuration has, and another value is noticed.
static void values_are_found_again_in_the_text_of_a_configuration(void **state) {
  (void)state;
  titan_config *config = CREATE("--job.description", "a # \"b\"  # c\nd", "--training.steps=7", "--optimizer.lr=1e-4",
                                "--checkpoint.exclude_from_loading=data,schedule", "--training.compile");
  titan_text toml = {0};
  assert_int_equal(titan_config_to_toml(config, &toml), TITAN_OK);
  for (int i = 0; i < TITAN_OPTION_COUNT; i++) {
    titan_text theirs = {0}, mine = {0};
    bool differ;
    assert_int_equal(titan_config_compare(config, toml.data, titan_options[i].name, &theirs, &mine, &differ), TITAN_OK);
    if (differ || theirs.length == 0)
      fail_msg("%s: %s and %s", titan_options[i].name, theirs.data, mine.data);
    titan_text_destroy(&theirs);
    titan_text_destroy(&mine);
  }
  static const char *const other[][3] = {{"training.steps", "8", "7"},
                                         {"training.compile", "false", "true"},
                                         {"job.description", "a", "\"a # \\\"b\\\"  # c\\nd\""},
                                         {"training.dataset_path", "x", "none"}};
  for (size_t i = 0; i < sizeof other / sizeof *other; i++) {
    titan_text theirs = {0}, mine = {0};
    bool differ;
    assert_int_equal(titan_config_set(config, other[i][0], other[i][1]), TITAN_OK);
    assert_int_equal(titan_config_compare(config, toml.data, other[i][0], &theirs, &mine, &differ), TITAN_OK);
    assert_true(differ);
    assert_string_equal(theirs.data, other[i][2]);
    titan_text_destroy(&theirs);
    titan_text_destroy(&mine);
  }
  titan_text none = {0};
  bool found;
  assert_int_equal(titan_config_saved_value("[training]\nsteps = 3", "training.seed", &none, &found), TITAN_OK);
  assert_false(found);
  titan_text_destroy(&toml);
  titan_config_destroy(&config);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_option_of_the_reference_is_there_with_its_default),
      cmocka_unit_test(the_reference_file_passes_with_warnings),
      cmocka_unit_test(options_without_effect_are_warned_about_once),
      cmocka_unit_test(what_this_build_does_not_have_is_refused_and_all_of_it_named),
      cmocka_unit_test(asynchronous_tensor_parallelism_needs_compile),
      cmocka_unit_test(a_search_for_bad_numbers_that_is_insisted_on_needs_late_updates),
      cmocka_unit_test(a_configuration_made_by_the_program_is_checked_like_one_that_was_read),
      cmocka_unit_test(a_mesh_that_does_not_fit_names_the_options_that_made_it),
      cmocka_unit_test(degrees_must_multiply_to_the_number_of_ranks),
      cmocka_unit_test(other_ranks_get_exactly_the_same_configuration),
      cmocka_unit_test(the_printed_configuration_can_be_read_again),
      cmocka_unit_test(help_names_every_option_its_default_and_which_are_ours),
      cmocka_unit_test(the_page_of_options_is_what_the_table_gives),
      cmocka_unit_test(every_configuration_of_the_project_is_read),
      cmocka_unit_test(every_configuration_of_the_project_runs_or_says_what_it_needs),
      cmocka_unit_test(the_debug_configurations_are_the_reference_file),
      cmocka_unit_test(values_are_found_again_in_the_text_of_a_configuration),
      cmocka_unit_test(sixty_four_ranks_pass_as_one_and_as_two_dimensions),
  };
  return cmocka_run_group_tests(tests, make_folder, nothing_is_left);
}
