# SPDX-License-Identifier: Apache-2.0
# What the tests of checkpoints share; sourced after common.sh.
FILE_TOOL=$(dirname "$COMPARE")/checkpoint_file
tool=$(dirname "$TITAN")/titan-checkpoint
meshes="one fsdp4 ddp2 hsdp tp2 fsdp2tp2 pp2tp2"

# mesh_of NAME: sets ranks and options of a mesh; the global batch is 4 sequences on each.
mesh_of() {
  case $1 in
  one) ranks=1 mesh_options="--training.batch_size 4" ;;
  one3) ranks=1 mesh_options="--training.batch_size 3" ;; # 3 sequences
  fsdp2x4) ranks=2 mesh_options="--training.batch_size 4" ;; # 8
  fsdp2) ranks=2 mesh_options="--training.batch_size 2" ;;
  fsdp4) ranks=4 mesh_options="--training.batch_size 1" ;;
  ddp2) ranks=2 mesh_options="--training.batch_size 2 --training.data_parallel_replicate_degree 2" ;;
  hsdp) ranks=4 mesh_options="--training.batch_size 1 --training.data_parallel_replicate_degree 2" ;;
  tp4) ranks=4 mesh_options="--training.batch_size 4 --training.tensor_parallel_degree 4" ;;
  tp2) ranks=2 mesh_options="--training.batch_size 4 --training.tensor_parallel_degree 2" ;;
  fsdp2tp2) ranks=4 mesh_options="--training.batch_size 2 --training.tensor_parallel_degree 2" ;;
  fsdp4tp2) ranks=8 mesh_options="--training.batch_size 1 --training.tensor_parallel_degree 2" ;;
  pp4) ranks=4 mesh_options="--training.batch_size 4 --experimental.pipeline_parallel_degree 4" ;;
  pp2) ranks=2 mesh_options="--training.batch_size 4 --experimental.pipeline_parallel_degree 2" ;;
  pp2fsdp2) ranks=4 mesh_options="--training.batch_size 2 --experimental.pipeline_parallel_degree 2
    --experimental.pipeline_parallel_schedule Interleaved1F1B" ;;
  pp2tp2) ranks=4 mesh_options="--training.batch_size 4 --experimental.pipeline_parallel_degree 2 --training.tensor_parallel_degree 2
    --experimental.pipeline_parallel_schedule ZBVZeroBubble" ;;
  *) echo "no mesh $1"; exit 2 ;;
  esac
}

# attempt FOLDER MESH OPTIONS...: a run into FOLDER with checkpoints; its exit code is in $code, its log in FOLDER.log.
attempt() {
  local folder=$1 defaults=
  mesh_of "$2"
  shift 2
  case " $* " in *--training.steps*) ;; *) defaults="--training.steps 20" ;; esac
  case " $* " in *--training.seq_len*) ;; *) defaults="$defaults --training.seq_len 16" ;; esac
  case " $* " in *--checkpoint.enable_checkpoint*) ;; *) defaults="$defaults --checkpoint.enable_checkpoint" ;; esac
  # shellcheck disable=SC2086 # the mesh's options are words
  launch "$ranks" "$TITAN" --job.config_file "$here/small.toml" --job.dump_folder "$folder" \
    --debug.dump_initial_weights=false $defaults $mesh_options "$@" \
    >"$folder.out" 2>"$folder.log"
  code=$?
}

# Processes of the program whose command line names the folder.
processes_of() {
  local process
  for process in /proc/[0-9]*; do
    [ "$(readlink "$process/exe")" = "$(readlink -f "$TITAN")" ] && grep -qzxF -- "$1" "$process/cmdline" 2>/dev/null &&
      echo "${process#/proc/}"
  done
}

# run CODE FOLDER MESH OPTIONS...: the exit code must be CODE.
run() {
  local wanted=$1
  shift
  attempt "$@"
  [ "$code" = "$wanted" ] && return 0
  fail "code $code, expected $wanted: $*"
  tail -n 15 "$1.log"
  return 1
}

# said FOLDER TEXT: the log of the last run into FOLDER has it.
said() {
  grep -qF -- "$2" "$1.log" || fail "\"$2\" is not in $1.log: $(tail -n 3 "$1.log")"
}

digest() {
  "$FILE_TOOL" digest "$1" >"$2" || fail "$1 is not whole"
}

# same_state A B: two files hold the same tensors and the same state.
same_state() {
  digest "$1" a.digest
  digest "$2" b.digest
  cmp -s a.digest b.digest || fail "$1 and $2 differ: $(diff a.digest b.digest | head -n 4)"
}

no_partial() {
  local left
  left=$(find "$1" -name '*.partial')
  [ -z "$left" ] || fail "left behind: $left"
}
