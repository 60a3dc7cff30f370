// SPDX-License-Identifier: Apache-2.0
// Property: options come from the command line, TOML and libconfig files with the documented precedence, and whatever
// is wrong with them is reported with its place and what would be right. Oracle: messages written out here; files are
// real ones in a fresh folder.
#include "config_test.h"

#include <sys/stat.h>
#include <unistd.h>

static void the_command_line_takes_both_forms_of_every_type(void **state) {
  (void)state;
  titan_config *config =
      create_well("--training.steps 12 --training.seq_len=64 --optimizer.lr 3e-4 --training.max_norm=2 "
                  "--job.description=a=b --training.data_parallel_shard_degree -1 "
                  "--activation_checkpoint.selective_ac_option 3 "
                  "--experimental.pipeline_parallel_split_points layers.2,layers.4");
  assert_int_equal(config->training.steps, 12);
  assert_int_equal(config->training.seq_len, 64);
  assert_true(config->optimizer.lr == 3e-4);
  assert_true(config->training.max_norm == 2.0);
  assert_string_equal(config->job.description, "a=b");
  assert_int_equal(config->training.data_parallel_shard_degree, -1);
  assert_string_equal(config->activation_checkpoint.selective_ac_option, "3");
  assert_string_equal(config->experimental.pipeline_parallel_split_points, "layers.2,layers.4");
  assert_int_equal(config->training.batch_size, 8);
  titan_config_destroy(&config);
}

static void a_boolean_may_stand_alone_or_with_a_value(void **state) {
  (void)state;
  static const struct {
    const char *words;
    bool tensorboard, loss_parallel;
  } cases[] = {
      {"", false, true},
      {"--metrics.enable_tensorboard", true, true},
      {"--metrics.enable_tensorboard --training.enable_loss_parallel", true, true},
      {"--metrics.enable_tensorboard --training.enable_loss_parallel false", true, false},
      {"--metrics.enable_tensorboard=true --training.enable_loss_parallel=False", true, false},
      {"--metrics.enable_tensorboard true", true, true},
      {"--metrics.enable_tensorboard=false --training.disable_loss_parallel", false, false},
      {"--training.disable_loss_parallel=false", false, true},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    titan_config *config = create_well(cases[i].words);
    assert_int_equal(config->metrics.enable_tensorboard, cases[i].tensorboard);
    assert_int_equal(config->training.enable_loss_parallel, cases[i].loss_parallel);
    titan_config_destroy(&config);
  }
}

static const char *const toml_text = "[training]\nsteps = 5\nmax_norm = 2\nseq_len = 0x40\n[metrics]\n"
                                     "enable_tensorboard = true\ndisable_color_printing = false\n"
                                     "[activation_checkpoint]\nselective_ac_option = 4\n[experimental]\n"
                                     "pipeline_parallel_split_points = ['layers.1', 'layers.2']\n"
                                     "pipeline_parallel_schedule = 'gpipe'\n";
static const char *const cfg_text = "training: { steps = 5;\nmax_norm = 2;\nseq_len = 0x40; };\nmetrics:\n{\n"
                                    "enable_tensorboard = true; disable_color_printing = false; };\n"
                                    "activation_checkpoint = { selective_ac_option = 4; };\nexperimental = {\n"
                                    "pipeline_parallel_split_points = [\"layers.1\", \"layers.2\"];\n"
                                    "pipeline_parallel_schedule = \"gpipe\"; /* 99999999999999999999 */ };\n";

static void both_kinds_of_file_fill_the_same_table(void **state) {
  (void)state;
  for (int i = 0; i < 2; i++) {
    titan_config *config;
    assert_int_equal(create_with_file(&config, i ? "a.cfg" : "a.toml", i ? cfg_text : toml_text, ""), TITAN_OK);
    assert_int_equal(config->training.steps, 5);
    assert_true(config->training.max_norm == 2.0);
    assert_int_equal(config->training.seq_len, 64);
    assert_true(config->metrics.enable_tensorboard);
    assert_true(config->metrics.enable_color_printing);
    assert_string_equal(config->activation_checkpoint.selective_ac_option, "4");
    assert_string_equal(config->experimental.pipeline_parallel_split_points, "layers.1,layers.2");
    assert_string_equal(config->experimental.pipeline_parallel_schedule, "GPipe");
    titan_config_destroy(&config);
  }
}

static void the_command_line_wins_over_the_file_and_the_file_over_the_defaults(void **state) {
  (void)state;
  for (int i = 0; i < 2; i++) {
    titan_config *config;
    const char *name = i ? "b.cfg" : "b.toml";
    assert_int_equal(create_with_file(&config, name, i ? cfg_text : toml_text,
                                      "--training.steps 7 --metrics.enable_tensorboard=false"),
                     TITAN_OK);
    assert_int_equal(config->training.steps, 7);
    assert_false(config->metrics.enable_tensorboard);
    assert_int_equal(config->training.seq_len, 64);
    assert_int_equal(config->training.batch_size, 8);
    assert_string_equal(titan_config_origin(config, "training.steps"), "command line");
    char origin[PATH_BYTES + 8];
    snprintf(origin, sizeof origin, "%s/%s:%d", folder, name, i ? 3 : 4);
    assert_string_equal(titan_config_origin(config, "training.seq_len"), origin);
    assert_string_equal(titan_config_origin(config, "training.batch_size"), "default");
    assert_true(titan_config_is_set(config, "training.steps"));
    assert_true(titan_config_is_set(config, "training.seq_len"));
    assert_false(titan_config_is_set(config, "training.batch_size"));
    assert_false(titan_config_is_set(config, "training.no_such_key"));
    titan_config_destroy(&config);
  }
}

static void a_large_integer_in_libconfig_does_not_wrap_around(void **state) {
  (void)state;
  titan_config *config;
  assert_int_equal(create_with_file(&config, "c.cfg",
                                    "training = { seed = 4294967298; };\n"
                                    "metrics = { peak_flops = 989000000000000; };\n",
                                    ""),
                   TITAN_OK);
  assert_int_equal(config->training.seed, 4294967298);
  assert_true(config->metrics.peak_flops == 989e12);
  titan_config_destroy(&config);
}

static void an_empty_value_means_none_where_the_default_is_none(void **state) {
  (void)state;
  titan_config *config;
  assert_int_equal(create_with_file(&config, "d.toml", "[training]\ndataset_path = 'x'\n", "--training.dataset_path="),
                   TITAN_OK);
  assert_null(config->training.dataset_path);
  assert_true(titan_config_is_set(config, "training.dataset_path"));
  titan_config_destroy(&config);
}

static void help_and_version_are_requests_whatever_else_is_given(void **state) {
  (void)state;
  titan_config *config = create_well("--no.such.option -h");
  assert_int_equal(config->request, TITAN_REQUEST_HELP);
  titan_config_destroy(&config);
  config = create_well("--help --training.steps x");
  assert_int_equal(config->request, TITAN_REQUEST_HELP);
  titan_config_destroy(&config);
  config = create_well("--version");
  assert_int_equal(config->request, TITAN_REQUEST_VERSION);
  titan_config_destroy(&config);
  config = create_well("--check --version");
  assert_int_equal(config->request, TITAN_REQUEST_VERSION);
  titan_config_destroy(&config);
  config = create_well("");
  assert_int_equal(config->request, TITAN_REQUEST_RUN);
  titan_config_destroy(&config);
}

static void a_check_is_a_request_with_options(void **state) {
  (void)state;
  titan_text text = {0};
  titan_config *config = create_well("--training.steps 7 --check --training.tensor_parallel_degree 2"), *copy;
  assert_int_equal(config->request, TITAN_REQUEST_CHECK);
  assert_int_equal(config->training.steps, 7);
  assert_int_equal(config->training.tensor_parallel_degree, 2);
  assert_int_equal(titan_config_serialize(config, &text), TITAN_OK);
  assert_int_equal(titan_config_deserialize(text.data, &copy), TITAN_OK);
  assert_int_equal(copy->request, TITAN_REQUEST_CHECK);
  titan_text_destroy(&text);
  titan_config_destroy(&copy);
  titan_config_destroy(&config);
}

static void mistakes_on_the_command_line_are_named(void **state) {
  (void)state;
  static const char *const cases[][2] = {
      {"--training.batch_sze 4",
       "command line: --training.batch_sze: unknown option; the nearest known one is --training.batch_size"},
      {"--traning.steps=4", "command line: --traning.steps: unknown option; the nearest known one is --training.steps"},
      {"--check yes", "command line: --check: expected no value, got \"yes\""},
      {"--steps 4", "command line: --steps: unknown option; the nearest known one is --training.steps"},
      {"--config x.toml", "command line: --config: unknown option; the nearest known one is --job.config_file"},
      {"--model.tokenizer x",
       "command line: --model.tokenizer: unknown option; the nearest known one is --model.tokenizer_path"},
      {"--training.enable_float8_linear",
       "command line: --training.enable_float8_linear: unknown option; the nearest known one is "
       "--float8.enable_float8_linear"},
      {"--training.folder x",
       "command line: --training.folder: unknown option; the nearest known one is --checkpoint.folder"},
      {"--training.steps 1e3", "command line: training.steps: expected an integer of at least 1, got \"1e3\""},
      {"--training.steps 10_000", "command line: training.steps: expected an integer of at least 1, got \"10_000\""},
      {"--training.steps 12x", "command line: training.steps: expected an integer of at least 1, got \"12x\""},
      {"--training.steps=", "command line: training.steps: expected an integer of at least 1, got \"\""},
      {"--training.steps 0", "command line: training.steps: expected an integer of at least 1, got \"0\""},
      {"--training.steps 99999999999999999999",
       "command line: training.steps: expected an integer of at least 1, got \"99999999999999999999\""},
      {"--training.steps 4294967297",
       "command line: training.steps: expected an integer of at least 1 and at most 2147483647, got \"4294967297\""},
      {"--training.data_parallel_shard_degree 0",
       "command line: training.data_parallel_shard_degree: expected an integer of at least 1, or -1, got \"0\""},
      {"--optimizer.lr nan", "command line: optimizer.lr: expected a number above 0, got \"nan\""},
      {"--optimizer.lr inf", "command line: optimizer.lr: expected a number above 0, got \"inf\""},
      {"--optimizer.lr 0x1p3", "command line: optimizer.lr: expected a number above 0, got \"0x1p3\""},
      {"--optimizer.lr 1e999", "command line: optimizer.lr: expected a number above 0, got \"1e999\""},
      {"--optimizer.lr 0", "command line: optimizer.lr: expected a number above 0, got \"0\""},
      {"--training.mixed_precision_reduce bfloat16",
       "command line: training.mixed_precision_reduce: expected float32, got \"bfloat16\""},
      {"--activation_checkpoint.selective_ac_option 0",
       "command line: activation_checkpoint.selective_ac_option: expected op, auto, budget=<GiB> or an integer of at "
       "least 1, each number above 0, got \"0\""},
      {"--job.dump_folder=", "command line: job.dump_folder: expected a path that is not empty, got \"\""},
      {"--metrics.enable_tensorboard maybe",
       "command line: metrics.enable_tensorboard: expected true or false, got \"maybe\""},
      {"--metrics.enable_tensorboard=1", "command line: metrics.enable_tensorboard: expected true or false, got \"1\""},
      {"--training.steps", "command line: training.steps: expected an integer of at least 1, got no value"},
      {"--training.steps --metrics.enable_tensorboard",
       "command line: training.steps: expected an integer of at least 1, got no value"},
      {"run.toml",
       "command line: unexpected argument \"run.toml\"; a configuration file is given as --job.config_file run.toml"},
      {"-x", "command line: unexpected argument \"-x\"; options are written --section.key value"},
      {"--training.quux 4",
       "command line: --training.quux: unknown option; titan-hpc --help training lists the options of this section"},
      {"--foo.quux", "command line: --foo.quux: unknown option; titan-hpc --help lists all options"},
      {"--optimizr.name Adam",
       "command line: --optimizr.name: unknown option; the nearest known one is --optimizer.name"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
    expect_command_line_error(cases[i][0], cases[i][1]);
}

static void mistakes_in_toml_are_named_with_file_and_line(void **state) {
  (void)state;
  static const char *const cases[][2] = {
      {"[training]\n\nbatch_sze = 4\n",
       "@:3: training.batch_sze: unknown key; the nearest known key is training.batch_size"},
      {"[job]\n[traning]\nsteps = 4\nfoo = 5\n",
       "@:2: traning: unknown section; the nearest known section is training"},
      {"[zebra]\nsteps = 4\n",
       "@:1: zebra: unknown section; the sections are job, profiling, metrics, model, optimizer, lr_scheduler, "
       "training, "
       "experimental, checkpoint, activation_checkpoint, float8, comm, memory_estimation, validation, debug"},
      {"[training]\nzebra = 4\n",
       "@:2: training.zebra: unknown key; titan-hpc --help training lists the options of this section"},
      {"\nsteps = 4\n", "@:2: steps: expected inside a section; the nearest known key is training.steps"},
      {"training = 4\n", "@:1: training: expected a section with options, got a value"},
      {"[training]\nsteps = 'ten'\n", "@:2: training.steps: expected an integer of at least 1, got \"ten\""},
      {"[training]\nsteps = 10.0\n", "@:2: training.steps: expected an integer of at least 1, got 10.0"},
      {"[training]\nsteps = [10]\n",
       "@:2: training.steps: expected an integer of at least 1, got an array with elements that are not strings"},
      {"[training]\nsteps = 2024-12-01\n",
       "@:2: training.steps: expected an integer of at least 1, got a date or time"},
      {"[training]\nsteps = 0\n", "@:2: training.steps: expected an integer of at least 1, got 0"},
      {"[training.steps]\nx = 1\n", "@:1: training.steps: expected an integer of at least 1, got a table"},
      {"[optimizer]\nlr = nan\n", "@:2: optimizer.lr: expected a number above 0, got nan"},
      {"[optimizer]\nlr = inf\n", "@:2: optimizer.lr: expected a number above 0, got inf"},
      {"[optimizer]\nlr = true\n", "@:2: optimizer.lr: expected a number above 0, got true"},
      {"[metrics]\nenable_tensorboard = 1\n", "@:2: metrics.enable_tensorboard: expected true or false, got 1"},
      {"[metrics]\nenable_tensorboard = 'true'\n",
       "@:2: metrics.enable_tensorboard: expected true or false, got \"true\""},
      {"[model]\nname = 3\n", "@:2: model.name: expected a string, got 3"},
      {"[model]\nnorm_type = 'batch'\n",
       "@:2: model.norm_type: expected one of layernorm, np_layernorm, rmsnorm, fused_rmsnorm, got \"batch\""},
      {"[job]\ndescription = \"a\\u0000b\"\n",
       "@:2: job.description: expected a string, got a string with a NUL character"},
      {"[job]\nconfig_file = 'x.toml'\n",
       "@:2: job.config_file: a configuration file cannot name another one; give it on the command line"},
      {"[training]\nbatch_size = 1\nlocal_batch_size = 1\n",
       "@:3: training.batch_size: given a second time, after @:2; each option may be given once"},
      {"[training]\nenable_loss_parallel = true\ndisable_loss_parallel = true\n",
       "@:3: training.enable_loss_parallel: given a second time, after @:2; each option may be given once"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
    expect_file_error("e.toml", cases[i][0], cases[i][1]);
}

static void mistakes_in_libconfig_are_named_with_file_and_line(void **state) {
  (void)state;
  static const char *const cases[][2] = {
      {"training:\n{\nbatch_sze = 4;\n};\n",
       "@:3: training.batch_sze: unknown key; the nearest known key is training.batch_size"},
      {"job: {};\ntraning: { steps = 4; foo = 5; };\n",
       "@:2: traning: unknown section; the nearest known section is training"},
      {"\nsteps = 4;\n", "@:2: steps: expected inside a section; the nearest known key is training.steps"},
      {"training: {\nsteps = \"ten\"; };\n", "@:2: training.steps: expected an integer of at least 1, got \"ten\""},
      {"training: {\nsteps = 10.5; };\n", "@:2: training.steps: expected an integer of at least 1, got 10.5"},
      {"training: {\nsteps = { x = 1; }; };\n", "@:2: training.steps: expected an integer of at least 1, got a group"},
      {"training: {\nsteps = (1, 2); };\n",
       "@:2: training.steps: expected an integer of at least 1, got a list with elements that are not strings"},
      {"training: {\nsteps = -5; };\n", "@:2: training.steps: expected an integer of at least 1, got -5"},
      {"training: {\nsteps = 99999999999999999999; };\n",
       "@:2: 99999999999999999999: expected an integer that fits 64 bits"},
      {"training: {\nsteps = 4294967297; };\n",
       "@:2: training.steps: expected an integer of at least 1 and at most 2147483647, got 4294967297"},
      {"optimizer: {\nlr = 1e999; };\n", "@:2: optimizer.lr: expected a number above 0, got inf"},
      {"metrics: {\nenable_tensorboard = 1; };\n", "@:2: metrics.enable_tensorboard: expected true or false, got 1"},
      {"@include \"other.cfg\"\n", NULL},
      {"training: {\nsteps = 1;\nsteps = 2;\n};\n", "@:3: not valid libconfig: duplicate setting name"},
      {"training: {\nsteps = 1_0;\n};\n", "@:2: not valid libconfig: syntax error"},
      {"training: {\nsteps = ;\n};\n", "@:2: not valid libconfig: syntax error"},
      {"training: {\nsteps = - 5;\n};\n", "@:2: not valid libconfig: syntax error"},
      {"training: { steps = 5; };\n/* nobody closes this\noptimizer: { lr = 1e-3; };\n",
       "@:2: the comment that starts here is never closed"},
      {"job: {\n/* a */ description = \"x\"; /*/ };\n", "@:2: the comment that starts here is never closed"},
      {"job: {\ndescription = \"x\" \"y; };\ntraining: { steps = 5; };\n",
       "@:2: the string that starts here is never closed"},
      {"job: { description = \"x\\\"; };\n", "@:1: the string that starts here is never closed"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    if (cases[i][1] != NULL) {
      expect_file_error("e.cfg", cases[i][0], cases[i][1]);
      continue;
    }
    titan_config *config;
    assert_int_equal(create_with_file(&config, "e.cfg", cases[i][0], ""), TITAN_ERROR_USAGE);
    assert_non_null(strstr(titan_error_message(), "e.cfg:1: @include: a configuration cannot include"));
  }
}

// The text after the line is toml++'s, and not compared.
static void syntax_errors_in_toml_are_named_with_file_and_line(void **state) {
  (void)state;
  static const struct {
    const char *text;
    int line;
  } cases[] = {
      {"[training]\nsteps = \n", 2},
      {"[training\nsteps = 1\n", 1},
      {"[training]\nsteps = 1\nsteps = 2\n", 3},
      {"[job]\n[training]\n\n[training]\n", 4},
      {"[training]\nsteps = 12x\n", 2},
      {"[job]\ndescription = \"a\n", 2},
      {"[job]\ndescription = \"\"\"a\n[training]\nsteps = 5\n", 4},
      {"[experimental]\npipeline_parallel_split_points = ['a',\n[training]\nsteps = 5\n", 3},
      {"[training]\nsteps = 99999999999999999999\n", 2},
      {"[job]\ndescription = '\xff'\n", 2},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    titan_config *config;
    assert_int_equal(create_with_file(&config, "s.toml", cases[i].text, ""), TITAN_ERROR_USAGE);
    assert_null(config);
    char start[PATH_BYTES + 64];
    snprintf(start, sizeof start, "%s/s.toml:%d: not valid TOML: ", folder, cases[i].line);
    if (strncmp(titan_error_message(), start, strlen(start)) != 0)
      fail_msg("%s gives %s", cases[i].text, titan_error_message());
    assert_true(strlen(titan_error_message()) > strlen(start));
  }
  titan_config *config;
  assert_int_equal(create_with_file(&config, "s.toml", "[model]\nname = llama3\n", ""), TITAN_ERROR_USAGE);
  assert_non_null(strstr(titan_error_message(), "s.toml:2: "));
  assert_non_null(strstr(titan_error_message(), "(a string needs quotes)"));
}

static void files_that_cannot_be_read_are_named(void **state) {
  (void)state;
  char words[PATH_BYTES * 2], expected[PATH_BYTES * 2], path[PATH_BYTES];
  snprintf(words, sizeof words, "--job.config_file %s/none.toml", folder);
  snprintf(expected, sizeof expected, "%s/none.toml: cannot read this configuration file: No such file or directory",
           folder);
  expect_command_line_error(words, expected);

  snprintf(path, sizeof path, "%s/folder.toml", folder);
  assert_int_equal(mkdir(path, 0700), 0);
  snprintf(words, sizeof words, "--job.config_file=%s", path);
  snprintf(expected, sizeof expected, "%s: cannot read this configuration file: Is a directory", path);
  expect_command_line_error(words, expected);

  if (geteuid() != 0) { // root reads everything
    assert_int_equal(chmod(write_file("secret.toml", "[job]\n"), 0), 0);
    snprintf(words, sizeof words, "--job.config_file %s/secret.toml", folder);
    snprintf(expected, sizeof expected, "%s/secret.toml: cannot read this configuration file: Permission denied",
             folder);
    expect_command_line_error(words, expected);
  }
  expect_file_error("run.yaml", "training: 1\n",
                    "@: expected a configuration file whose name ends in .toml (TOML) or .cfg (libconfig)");
  expect_file_error("run", "", "@: expected a configuration file whose name ends in .toml (TOML) or .cfg (libconfig)");
}

static void all_problems_are_reported_at_once_in_the_order_of_their_lines(void **state) {
  (void)state;
  char expected[2048];
  snprintf(
      expected, sizeof expected,
      "%s/m.toml:2: training.steps: expected an integer of at least 1, got 0\n"
      "%s/m.toml:4: checkpoint.folde: unknown key; the nearest known key is checkpoint.folder\n"
      "%s/m.toml:6: model.norm_type: expected one of layernorm, np_layernorm, rmsnorm, fused_rmsnorm, got \"gpt\"\n"
      "command line: training.seq_len: expected an integer of at least 1, got \"x\"\n"
      "command line: unexpected argument \"y\"; options are written --section.key value",
      folder, folder, folder);
  titan_config *config;
  titan_status status = create_with_file(
      &config, "m.toml", "[training]\nsteps = 0\n[checkpoint]\nfolde = 'x'\n[model]\nnorm_type = 'gpt'\n",
      "--training.seq_len x y");
  expect_message(status, config, expected, "five problems");
}

static void a_thousand_problems_fit_the_message(void **state) {
  (void)state;
  titan_text text = {0};
  assert_int_equal(titan_text_printf(&text, "[training]\n"), TITAN_OK);
  for (int i = 0; i < 1000; i++)
    assert_int_equal(titan_text_printf(&text, "unknown_key_%d = 1\n", i), TITAN_OK);
  titan_config *config;
  assert_int_equal(create_with_file(&config, "t.toml", text.data, ""), TITAN_ERROR_USAGE);
  titan_text_destroy(&text);
  assert_non_null(strstr(titan_error_message(), "t.toml:2: training.unknown_key_0: unknown key"));
  const char *last = strrchr(titan_error_message(), '\n');
  assert_non_null(last);
  assert_int_equal(strncmp(last, "\n... and ", 9), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_command_line_takes_both_forms_of_every_type),
      cmocka_unit_test(a_boolean_may_stand_alone_or_with_a_value),
      cmocka_unit_test(both_kinds_of_file_fill_the_same_table),
      cmocka_unit_test(the_command_line_wins_over_the_file_and_the_file_over_the_defaults),
      cmocka_unit_test(a_large_integer_in_libconfig_does_not_wrap_around),
      cmocka_unit_test(an_empty_value_means_none_where_the_default_is_none),
      cmocka_unit_test(help_and_version_are_requests_whatever_else_is_given),
      cmocka_unit_test(a_check_is_a_request_with_options),
      cmocka_unit_test(mistakes_on_the_command_line_are_named),
      cmocka_unit_test(mistakes_in_toml_are_named_with_file_and_line),
      cmocka_unit_test(mistakes_in_libconfig_are_named_with_file_and_line),
      cmocka_unit_test(syntax_errors_in_toml_are_named_with_file_and_line),
      cmocka_unit_test(files_that_cannot_be_read_are_named),
      cmocka_unit_test(all_problems_are_reported_at_once_in_the_order_of_their_lines),
      cmocka_unit_test(a_thousand_problems_fit_the_message),
  };
  return cmocka_run_group_tests(tests, make_folder, nothing_is_left);
}
