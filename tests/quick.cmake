# SPDX-License-Identifier: Apache-2.0
# The tests of the label `quick`: together one minute on two cores, with something of every folder of src/. A test of more than ten
# seconds of processor time is not for this list.
set(TITAN_QUICK_TESTS
  base storage signals setup_missing_packages
  config_reading config_table
  comm_reduce comm.np2 comm_shared.np2 comm_messages.np2 topology_plan mesh.np2
  step step_pipelines step_transfers
  graph graph_differentiate graph_fused graph_pack graph_plan graph_schedule graph_shapes model
  parallel_unit parallel_gather.np2 parallel_reduce.np2 parallel_runtime.np1 tensor_placements tensor_plan.np2 optim.np2
  tokenizer_split tokenizer tokenizer_program golden_tokenizer jsonl loader loader_errors
  checkpoint_stream checkpoint_meshes.np2 safetensors safetensors_malformed hugging_face store
  metrics report report_curves report_differences setup_memory.np2
  guard_include_order guard_include_order_notices guard_file_length guard_file_length_notices guard_words guard_words_notices
  guard_headers_notices setup_container check_find config_conveniences help_manual help_completion help_completion_zsh
  the_comparison_refuses_what_differs)

# The tests of the label `threads`, which the preset `tsan` builds and runs: what has threads of its own, or waits for other ranks' threads.
set(TITAN_THREAD_TESTS
  comm_reduce comm.np2 comm_shared.np2 comm_messages.np2 comm_staging.np2
  checkpoint_stream checkpoint_saving.np1 checkpoint_saving.np2
  corpus_index loader loader_errors validation_data signals)
