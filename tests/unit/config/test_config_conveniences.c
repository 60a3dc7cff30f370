// SPDX-License-Identifier: Apache-2.0
// Property: what people expect of a command line and of TorchTitan's later files: the last of repeated options wins,
// several files lie over each other, ~ and ${NAME} in paths are replaced, later spellings mean the same options, and
// help can be asked for in parts. Oracle: values and messages written out here.
#include "config_test.h"

#include "config/spelling.h"

#include <unistd.h>

static void an_option_given_again_on_the_command_line_has_the_last_value(void **state) {
  (void)state;
  titan_config *config = create_well("--training.steps 1 --training.steps=3 --training.local_batch_size 2 "
                                     "--training.batch_size 4 --training.enable_loss_parallel "
                                     "--training.disable_loss_parallel");
  assert_int_equal(config->training.steps, 3);
  assert_int_equal(config->training.batch_size, 4);
  assert_false(config->training.enable_loss_parallel);
  titan_config_destroy(&config);
}

static void later_files_lie_over_earlier_ones_and_the_command_line_over_all(void **state) {
  (void)state;
  char words[1024], origin[PATH_BYTES + 8];
  write_file("one.toml", "[training]\nsteps = 1\nseq_len = 16\nbatch_size = 2\n");
  write_file("two.cfg", "training: { steps = 2;\nseq_len = 32; };\n");
  write_file("with,comma.toml", "[training]\nsteps = 9\n");
  snprintf(words, sizeof words, "--job.config_file %s/one.toml,%s/two.cfg --training.seq_len 64", folder, folder);
  titan_config *config = create_well(words);
  assert_int_equal(config->training.steps, 2);
  assert_int_equal(config->training.seq_len, 64);
  assert_int_equal(config->training.batch_size, 2);
  snprintf(origin, sizeof origin, "%s/two.cfg:1", folder);
  assert_string_equal(titan_config_origin(config, "training.steps"), origin);
  titan_config_destroy(&config);

  snprintf(words, sizeof words, "--job.config_file %s/two.cfg,%s/one.toml", folder, folder);
  config = create_well(words);
  assert_int_equal(config->training.steps, 1);
  titan_config_destroy(&config);

  snprintf(words, sizeof words, "--job.config_file none.toml --job.config_file %s/with,comma.toml", folder);
  config = create_well(words);
  assert_int_equal(config->training.steps, 9);
  titan_config_destroy(&config);

  snprintf(words, sizeof words, "--job.config_file %s/one.toml,,%s/two.cfg", folder, folder);
  expect_command_line_error(words, "command line: job.config_file: a name between commas is empty");
}

static void homes_and_variables_in_paths_are_replaced(void **state) {
  (void)state;
  assert_int_equal(setenv("HOME", folder, 1), 0);
  assert_int_equal(setenv("TITAN_TEST_NAME", "name", 1), 0);
  write_file("name.toml", "[training]\ndataset_path = '~/data/${TITAN_TEST_NAME}.jsonl'\n[job]\n"
                          "description = '~/${TITAN_TEST_NAME}'\n");
  write_file("more.toml", "[checkpoint]\nfolder = '${TITAN_TEST_NAME}${TITAN_TEST_NAME}/x~y/$HOME'\n");
  char expected[PATH_BYTES];
  titan_config *config = create_well("--job.config_file ~/${TITAN_TEST_NAME}.toml,~/more.toml --job.dump_folder ~ "
                                     "--model.tokenizer_path ~nobody/t.model");
  assert_string_equal(config->job.dump_folder, folder);
  snprintf(expected, sizeof expected, "%s/data/name.jsonl", folder);
  assert_string_equal(config->training.dataset_path, expected);
  assert_string_equal(config->checkpoint.folder, "namename/x~y/$HOME");
  assert_string_equal(config->model.tokenizer_path, "~nobody/t.model");
  assert_string_equal(config->job.description, "~/${TITAN_TEST_NAME}"); // no path
  titan_config_destroy(&config);
}

static void a_variable_that_is_not_set_is_named(void **state) {
  (void)state;
  assert_int_equal(unsetenv("TITAN_TEST_NONE"), 0);
  assert_int_equal(setenv("TITAN_TEST_EMPTY", "", 1), 0);
  expect_command_line_error("--job.dump_folder ${TITAN_TEST_NONE}/out",
                            "command line: job.dump_folder = ${TITAN_TEST_NONE}/out: the environment variable "
                            "TITAN_TEST_NONE is not set");
  expect_command_line_error("--job.dump_folder=/${TITAN_TEST_EMPTY}", "command line: job.dump_folder = "
                                                                      "/${TITAN_TEST_EMPTY}: the environment variable "
                                                                      "TITAN_TEST_EMPTY is empty");
  expect_command_line_error("--job.config_file ${TITAN_TEST_NONE}/a.toml",
                            "command line: job.config_file = ${TITAN_TEST_NONE}/a.toml: the environment variable "
                            "TITAN_TEST_NONE is not set");
  expect_command_line_error("--checkpoint.folder a${b", "command line: checkpoint.folder = a${b: expected the name of "
                                                        "an environment variable and \"}\" after \"${\"");
  expect_file_error("p.toml", "[training]\ndataset_path = '${TITAN_TEST_NONE}'\n",
                    "@:2: training.dataset_path = ${TITAN_TEST_NONE}: the environment variable TITAN_TEST_NONE is not "
                    "set");
}

// The sections and keys of the reference's debug configuration of autumn 2025, with values that this program has.
static const char later_file[] =
    "[job]\ndump_folder = './outputs'\ndescription = 'debug training'\nprint_config = true\n"
    "[profiling]\nenable_profiling = false\nprofile_freq = 10\n"
    "[metrics]\nlog_freq = 1\ndisable_color_printing = true\nsave_for_all_ranks = true\nenable_wandb = false\n"
    "[model]\nname = 'llama3'\nflavor = 'debugmodel'\nhf_assets_path = './tests/assets/tokenizer'\nconverters = []\n"
    "[optimizer]\nname = 'AdamW'\nlr = 8e-4\neps = 1e-8\nbeta1 = 0.9\nimplementation = 'fused'\n"
    "[lr_scheduler]\nwarmup_steps = 2\ndecay_type = 'linear'\nmin_lr_factor = 0.0\n"
    "[training]\nlocal_batch_size = 3\nglobal_batch_size = -1\nseq_len = 2048\nsteps = 10\ndataset = 'c4_test'\n"
    "[parallelism]\ndata_parallel_replicate_degree = 2\ndata_parallel_shard_degree = 4\n"
    "fsdp_reshard_after_forward = 'default'\ntensor_parallel_degree = 8\ndisable_loss_parallel = true\n"
    "enable_async_tensor_parallel = true\npipeline_parallel_degree = 1\npipeline_parallel_schedule = 'gpipe'\n"
    "context_parallel_degree = 1\nexpert_parallel_degree = 1\n"
    "[checkpoint]\nenable = true\nfolder = 'c'\ninterval = 10\nlast_save_model_only = true\nasync_mode = 'disabled'\n"
    "[activation_checkpoint]\nmode = 'selective'\nselective_ac_option = '2'\n"
    "[compile]\nenable = true\ncomponents = ['model', 'loss']\n"
    "[quantize.linear.float8]\nenable_fsdp_float8_all_gather = false\nfilter_fqns = ['output']\n"
    "[memory_estimation]\nenable = true\n"
    "[validation]\nenable = false\ndataset = 'c4_validation'\nfreq = 5\nsteps = 10\n";

static void the_references_later_spellings_mean_the_same_options(void **state) {
  (void)state;
  titan_config *config;
  titan_status status = create_with_file(&config, "later.toml", later_file, "");
  if (status != TITAN_OK)
    fail_msg("%s", titan_error_message());
  assert_true(config->job.print_args);
  assert_false(config->metrics.enable_color_printing);
  assert_false(config->metrics.rank_0_only);
  assert_string_equal(config->model.tokenizer_path, "./tests/assets/tokenizer");
  assert_true(config->optimizer.fused);
  assert_int_equal(config->training.warmup_steps, 2);
  assert_int_equal(config->training.batch_size, 3);
  assert_int_equal(config->training.data_parallel_replicate_degree, 2);
  assert_int_equal(config->training.data_parallel_shard_degree, 4);
  assert_int_equal(config->training.tensor_parallel_degree, 8);
  assert_false(config->training.enable_loss_parallel);
  assert_true(config->experimental.enable_async_tensor_parallel);
  assert_string_equal(config->experimental.pipeline_parallel_schedule, "GPipe");
  assert_true(config->checkpoint.enable_checkpoint);
  assert_true(config->checkpoint.model_weights_only);
  assert_true(config->training.compile);
  assert_true(config->memory_estimation.enabled);
  titan_config_destroy(&config);

  config = create_well("--optimizer.implementation foreach --parallelism.tensor_parallel_degree=2 --compile.enable "
                       "--lr_scheduler.warmup_steps 7 --validation.enable=false --optimizer.eps 1e-08");
  assert_false(config->optimizer.fused);
  assert_int_equal(config->training.tensor_parallel_degree, 2);
  assert_true(config->training.compile);
  assert_int_equal(config->training.warmup_steps, 7);
  titan_config_destroy(&config);
}

static void a_key_without_counterpart_is_an_error_that_says_so(void **state) {
  (void)state;
  static const char *const files[][2] = {
      {"[model]\nconverters = ['float8']\n",
       "@:2: model.converters: expected \"\", got an array of strings; models are not converted; "
       "float8.enable_float8_linear asks for products in float8"},
      {"[parallelism]\nmodule_fqns_per_model_part = ['a']\n",
       "@:2: parallelism.module_fqns_per_model_part: titan-hpc has no counterpart of this option of TorchTitan; give "
       "experimental.pipeline_parallel_split_points instead"},
      {"[optimizer]\nimplementation = 'slow'\n",
       "@:2: optimizer.implementation: expected \"for-loop\" or \"foreach\" or \"fused\", got \"slow\""},
      {"[parallelism]\ntensor_parallel_degree = 0\n",
       "@:2: training.tensor_parallel_degree: expected an integer of at least 1, got 0"},
  };
  for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
    expect_file_error("l.toml", files[i][0], files[i][1]);
  expect_command_line_error("--model.converters float8",
                            "command line: model.converters: expected \"\", got \"float8\"; models are not converted; "
                            "float8.enable_float8_linear asks for products in float8");
}

static void no_spelling_hides_an_option_or_stands_twice(void **state) {
  (void)state;
  for (size_t i = 0; i < titan_spelling_count; i++) {
    const titan_spelling *spelling = &titan_spellings[i];
    for (int o = 0; o < TITAN_OPTION_COUNT; o++)
      if (strcmp(titan_options[o].name, spelling->name) == 0)
        fail_msg("%s is an option and has a row in spellings.def", spelling->name);
    assert_ptr_equal(titan_spelling_find(spelling->name), spelling);
    bool is_bool = spelling->target >= 0 && titan_options[spelling->target].type == TITAN_OPTION_BOOL;
    bool needs_bool =
        spelling->meaning.kind == TITAN_MEANING_OPPOSITE || spelling->meaning.kind == TITAN_MEANING_IS_WORD;
    if (needs_bool && !is_bool)
      fail_msg("%s stands for an option that is not true or false", spelling->name);
  }
}

// The help for a topic, to be freed.
static char *help_for(const char *words) {
  titan_config *config = create_well(words);
  assert_int_equal(config->request, TITAN_REQUEST_HELP);
  char *text = NULL;
  size_t size = 0;
  FILE *file = open_memstream(&text, &size);
  assert_non_null(file);
  titan_status status = titan_config_print_help(config->help_topic, file);
  if (status != TITAN_OK)
    fail_msg("%s: %s", words, titan_error_message());
  fclose(file);
  titan_config_destroy(&config);
  return text;
}

static void help_is_given_for_one_section_or_one_option(void **state) {
  (void)state;
  static const struct {
    const char *words, *has, *has_not;
  } cases[] = {
      {"--help", "\n  --debug.dump_graph", "\n  --compile.enable"},
      {"--help training", "\n  --training.steps\n", "--model.flavor"},
      {"-h checkpoint --no.such", "\n  --checkpoint.folder\n", "--training.steps\n"},
      {"--help=checkpoint", "\n  --checkpoint.enable\n", "--training.steps\n"},
      {"--help training.steps", "--training.steps\n", "--training.seq_len"},
      {"--help --training.steps", "\n  --debug.dump_graph", "\n  --compile.enable"},
      {"--help compile", "--compile.enable\n", "--training.steps"},
      {"--help training.local_batch_size", "--training.batch_size\n", "--training.steps"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    char *help = help_for(cases[i].words);
    if (strstr(help, cases[i].has) == NULL || strstr(help, cases[i].has_not) != NULL)
      fail_msg("%s gives\n%s", cases[i].words, help);
    free(help);
  }
  assert_int_equal(titan_config_print_help("trainning", stdout), TITAN_ERROR_USAGE);
  assert_string_equal(titan_error_message(), "--help trainning: expected a section, or an option as section.option; "
                                             "the nearest known section is training");
  assert_int_equal(titan_config_print_help("training.stepz", stdout), TITAN_ERROR_USAGE);
  assert_string_equal(titan_error_message(), "--help training.stepz: expected a section, or an option as "
                                             "section.option; the nearest known one is training.steps");
  assert_int_equal(titan_config_print_help("seq_len", stdout), TITAN_ERROR_USAGE); // a key without its section
  assert_string_equal(titan_error_message(), "--help seq_len: expected a section, or an option as section.option; "
                                             "the nearest known one is training.seq_len");
}

static void help_for_one_option_says_where_it_may_be_set_and_its_other_spellings(void **state) {
  (void)state;
  static const struct {
    const char *topic, *text;
  } cases[] = {
      {"training.steps", "  --training.steps\n"
                         "      Steps to train. Takes an integer of at least 1; default 10000.\n"
                         "      Command line: --training.steps VALUE or --training.steps=VALUE\n"
                         "      TOML file: [training], then steps = 10000\n"
                         "      libconfig file: training: { steps = 10000; };\n"},
      {"metrics.rank_0_only",
       "  --metrics.rank_0_only\n"
       "      Write TensorBoard event files for rank 0 only; false: for every rank, and rows of every rank\n"
       "      in metrics.h5. Takes true or false; default true.\n"
       "      Command line: --metrics.rank_0_only or --metrics.rank_0_only=false\n"
       "      TOML file: [metrics], then rank_0_only = true\n"
       "      libconfig file: metrics: { rank_0_only = true; };\n"
       "      Other spelling: --metrics.save_for_all_ranks (the opposite of "
       "metrics.rank_0_only)\n"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    char words[64];
    snprintf(words, sizeof words, "--help %s", cases[i].topic);
    char *help = help_for(words);
    assert_string_equal(help, cases[i].text);
    free(help);
  }
  char *help = help_for("--help job.config_file");
  assert_non_null(strstr(help, "A configuration file may not have it.\n"));
  free(help);
  help = help_for("--help training.gc_freq"); // what has no effect says why
  assert_non_null(strstr(help, "there is no garbage collector to schedule.\n"));
  free(help);
}

// What the help of an option says a file may hold is read from a file without a problem, for every option with a value.
static void the_settings_that_help_shows_are_read(void **state) {
  (void)state;
  for (int i = 0; i < TITAN_OPTION_COUNT; i++) {
    char words[160];
    snprintf(words, sizeof words, "--help %s", titan_options[i].name);
    char *help = help_for(words);
    char *line = strstr(help, "libconfig file: ");
    if (line != NULL && strstr(line, "\"...\"") == NULL) {
      line[strcspn(line, "\n")] = '\0';
      snprintf(words, sizeof words, "--job.config_file %.120s",
               write_file("shown.cfg", line + strlen("libconfig file: ")));
      titan_config *config = create_well(words);
      assert_true(titan_config_is_set(config, titan_options[i].name));
      titan_config_destroy(&config);
    }
    free(help);
  }
}

static void help_lists_the_sections_the_most_used_first(void **state) {
  (void)state;
  char *help = help_for("--help");
  static const char *const order[] = {"Sections, the most used first.",
                                      "\n  job ",
                                      "\n  model ",
                                      "\n  training ",
                                      "\n  debug ",
                                      "\njob: ",
                                      "\nmodel: ",
                                      "\ntraining: ",
                                      "\ndebug: "};
  const char *at = help;
  for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
    const char *found = strstr(at, order[i]);
    if (found == NULL)
      fail_msg("\"%s\" is not where it should be in\n%s", order[i], help);
    at = found;
  }
  for (size_t s = 0; s < titan_option_section_count; s++) { // each once in the list, and once as a heading
    char heading[64];
    snprintf(heading, sizeof heading, "\n%s: ", titan_option_sections[s].name);
    const char *first = strstr(help, heading);
    assert_non_null(first);
    assert_null(strstr(first + 1, heading));
  }
  free(help);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_option_given_again_on_the_command_line_has_the_last_value),
      cmocka_unit_test(later_files_lie_over_earlier_ones_and_the_command_line_over_all),
      cmocka_unit_test(homes_and_variables_in_paths_are_replaced),
      cmocka_unit_test(a_variable_that_is_not_set_is_named),
      cmocka_unit_test(the_references_later_spellings_mean_the_same_options),
      cmocka_unit_test(a_key_without_counterpart_is_an_error_that_says_so),
      cmocka_unit_test(no_spelling_hides_an_option_or_stands_twice),
      cmocka_unit_test(help_is_given_for_one_section_or_one_option),
      cmocka_unit_test(help_for_one_option_says_where_it_may_be_set_and_its_other_spellings),
      cmocka_unit_test(the_settings_that_help_shows_are_read),
      cmocka_unit_test(help_lists_the_sections_the_most_used_first),
  };
  return cmocka_run_group_tests(tests, make_folder, nothing_is_left);
}
