#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The loss on a validation corpus. Each part's property and oracle stand beside it.
#
# usage: validation.sh PROGRAM COMPARE WORK PART
TITAN=$1 COMPARE=$2 WORK=$3
part=$4
. "$(dirname "$0")/common.sh"
tools=$(dirname "$COMPARE")
text=$(dirname "$TITAN")/assets/c4_test.jsonl.gz
# Sequences of a step on every mesh here: 12.
common=(--training.seq_len 16 --debug.dump_initial_weights=false --optimizer.lr 3e-3)
validation=(--validation.enabled --validation.dataset_path validation.jsonl)
# 30 short documents: about 1,500 tokens. (gunzip goes on behind the last line that is wanted.)
{ gunzip -c "$text" 2>/dev/null || true; } | tail -n +101 | sed 's/^\({"text": ".\{190\}\)[^"\\]*[^"]*"/\1"/' | head -n 30 >validation.jsonl

# mesh_of NAME: sets ranks and options of a mesh.
mesh_of() {
  case $1 in
  one) ranks=1 mesh=(--training.batch_size 12) ;;
  fsdp2) ranks=2 mesh=(--training.batch_size 6) ;;
  fsdp3) ranks=3 mesh=(--training.batch_size 4) ;;
  hsdp) ranks=4 mesh=(--training.batch_size 3 --training.data_parallel_replicate_degree 2) ;;
  tp2_twice) ranks=2 mesh=(--training.batch_size 6 --training.global_batch_size 12 --training.tensor_parallel_degree 2) ;;
  tp2) ranks=2 mesh=(--training.batch_size 12 --training.tensor_parallel_degree 2) ;;
  pp2) ranks=2 mesh=(--training.batch_size 12 --experimental.pipeline_parallel_degree 2
    --experimental.pipeline_parallel_schedule ZBVZeroBubble) ;;
  pp4) ranks=4 mesh=(--training.batch_size 12 --experimental.pipeline_parallel_degree 4) ;;
  pp2fsdp2) ranks=4 mesh=(--training.batch_size 6 --experimental.pipeline_parallel_degree 2
    --experimental.pipeline_parallel_schedule InterleavedZeroBubble) ;;
  *) echo "no mesh $1"; exit 2 ;;
  esac
}

# rows FOLDER: the validations in its metrics.h5, a line each: step, loss, tokens.
rows() {
  "$tools/metrics_rows" validations "$1/metrics.h5" || fail "$1/metrics.h5 cannot be read"
}

# steps_are FOLDER STEP...: it has one row for each of these, in this order, each with a finite loss and tokens.
steps_are() {
  local folder=$1
  shift
  [ "$(rows "$folder" | awk '$2 > 0 && $2 < 20 && $3 > 0 { print $1 }' | tr '\n' ' ')" = "$* " ] ||
    fail "$folder: rows $(rows "$folder"), expected steps $*"
}

# same_loss TOLERANCE A B: the last rows of two files agree: losses to that share, step and tokens exactly.
same_loss() {
  { rows "$2" | tail -n 1; rows "$3" | tail -n 1; } | awk -v tolerance="$1" '
    NR == 1 { step = $1; loss = $2; tokens = $3 }
    NR == 2 { d = ($2 - loss) / loss; good = loss > 0 && d <= tolerance && -d <= tolerance && $1 == step && $3 == tokens }
    END { exit !(NR == 2 && good) }' || fail "$2 and $3 differ: $(rows "$2" | tail -n 1), $(rows "$3" | tail -n 1)"
}

# again NAME MESH BATCH LENGTH OPTIONS...: validates the checkpoint of `made` on a mesh, as a run that has nothing left to
# train.
again() {
  local name=$1 batch=$3 length=$4
  mesh_of "$2"
  shift 4
  mkdir "$name"
  cp -r made/checkpoint "$name"
  train "$name" "$ranks" "${common[@]}" "${validation[@]}" "${mesh[@]}" --training.steps 3 --checkpoint.enable_checkpoint \
    --validation.local_batch_size "$batch" --validation.seq_len "$length" "$@" || return
  grep -q 'No steps are left' "$name.log" || fail "$name: it trained"
  steps_are "$name" 3
}

# The loss of one checkpoint is the same on each mesh, with each batch. Oracle: one rank with a batch of 1. The lengths are
# shorter and longer than the training's. Tolerance: 1e-6 for what is summed in another order; bfloat16
# rounds more where a tp group adds up parts.
meshes() {
  mesh_of one
  train made 1 "${common[@]}" "${mesh[@]}" --training.steps 3 --checkpoint.enable_checkpoint
  again one1 one 1 12
  again fsdp5 fsdp3 5 12
  again tp1 tp2 1 12
  for name in fsdp5 tp1; do same_loss 1e-6 one1 $name; done
  again long1 one 1 48
  again long_fsdp2 fsdp3 2 48
  again long_tp5 tp2 5 48 --training.compile
  # More rows than the corpus has windows: the last ranks have none.
  again long_hsdp25 hsdp 25 48 --training.compile
  for name in fsdp2 tp5 hsdp25; do same_loss 1e-6 long1 long_$name; done
  again half1 one 1 48 --training.mixed_precision_param bfloat16
  again half_tp5 tp2 5 48 --training.mixed_precision_param bfloat16 --training.compile
  same_loss 1e-3 half1 half_tp5
  same_loss 1e-2 long1 half1
}

# The same of pipelines. A batch of 5 is one microbatch on two and four ranks, one of 4 as many as there are ranks.
pipelines() {
  mesh_of one
  train made 1 "${common[@]}" "${mesh[@]}" --training.steps 3 --checkpoint.enable_checkpoint
  again one1 one 1 12
  again pp2 pp2 5 12
  again pp4 pp4 4 12
  again pp2fsdp2 pp2fsdp2 2 12 --training.compile
  for name in pp2 pp4 pp2fsdp2; do same_loss 1e-6 one1 $name; done
  again long1 one 1 48
  again long_pp4 pp4 25 48
  same_loss 1e-6 long1 long_pp4
}

# pair NAME MESH OPTIONS...: the same run with and without validation.
pair() {
  local name=$1 with
  mesh_of "$2"
  shift 2
  for with in without with; do
    local -a options=()
    [ $with = with ] && options=("${validation[@]}" --validation.freq 1 --validation.steps 2 --validation.seq_len 48)
    train "$name.$with" "$ranks" "${common[@]}" "${mesh[@]}" --training.steps 3 --checkpoint.enable_checkpoint \
      "$@" "${options[@]}"
  done
  steps_are "$name.with" 1 2 3
  alike "$name" bitwise 3 "$name.with/steps.txt" "$name.without/steps.txt"
  "$(dirname "$TITAN")/titan-checkpoint" compare "$name.with/checkpoint/step-3.h5" "$name.without/checkpoint/step-3.h5" \
    >compared 2>&1 || fail "$name: the checkpoints differ: $(tail -n 3 compared)"
}

# Steps and checkpoints do not depend on validation. Oracle: the same run without it, bitwise.
alone() {
  pair fsdp fsdp2
  pair tensor tp2_twice --training.compile --training.mixed_precision_param bfloat16
  pair pipeline pp2
}

# A run that stops and goes on has the rows of one that does not stop, and each step once. Oracle: the run in one piece,
# exact.
resume() {
  local -a run=("${common[@]}" "${validation[@]}" --training.batch_size 1 --training.global_batch_size 2 --validation.freq 2
    --checkpoint.enable_checkpoint --checkpoint.interval 3 --lr_scheduler.total_steps 6 --validation.seq_len 12)
  local -a all=("${run[@]}" --validation.steps 3)
  train straight 1 "${all[@]}" --training.steps 6
  steps_are straight 2 4 6
  rows straight >expected
  train parts 1 "${all[@]}" --training.steps 3
  steps_are parts 2 3
  train parts 1 "${all[@]}" --training.steps 4
  steps_are parts 2 3 4
  train parts 1 "${all[@]}" --training.steps 6
  steps_are parts 2 3 4 6
  rows parts | grep -v '^3 ' | cmp -s - expected || fail "the rows differ: $(rows parts), expected $(cat expected)"
  # Back to step 3: what came after is written anew.
  rm straight/checkpoint/step-6.h5
  train straight 1 "${all[@]}" --training.steps 6
  rows straight | cmp -s - expected || fail "the rows differ: $(rows straight), expected $(cat expected)"
  # Nothing is left: the last row gives its place to one of what is asked for now.
  train straight 1 "${run[@]}" --training.steps 6 --validation.steps 1
  steps_are straight 2 4 6
  [ "$(rows straight | tail -n 1)" != "$(tail -n 1 expected)" ] || fail "the checkpoint was not validated again"
  # A run that is asked to end, in a step on its way and in its last one, does not validate first; the next start does.
  launch 1 "$TITAN" --job.config_file "$here/small.toml" --job.dump_folder asked "${all[@]}" --training.steps 6 \
    --debug.raise_signal_step 2 2>asked.log
  local code=$?
  [ $code = 75 ] || fail "exit code $code, expected 75: $(tail -n 5 asked.log)"
  [ "$(rows asked | wc -l)" = 0 ] || fail "it validated first: $(rows asked)"
  train asked 1 "${all[@]}" --training.steps 6 --debug.raise_signal_step 6
  steps_are asked 2 4
  train asked 1 "${all[@]}" --training.steps 6
  rows asked | cmp -s - expected || fail "the rows differ: $(rows asked), expected $(cat expected)"
}

# A signal ends a validation, which the run that goes on makes up for. The corpus would take minutes.
signal() {
  local -a run=("${common[@]}" --training.batch_size 1 --validation.enabled --validation.freq 1 --validation.local_batch_size 1
    --checkpoint.enable_checkpoint --training.steps 3)
  "$TITAN" --job.config_file "$here/small.toml" --job.dump_folder stopped "${run[@]}" 2>stopped.log &
  local process=$! waited=0
  until grep -q ' - step:  *1 ' stopped.log || [ $waited -ge $((run_timeout * 10)) ]; do
    sleep 0.1
    waited=$((waited + 1))
  done
  kill -TERM $process
  wait $process
  local code=$?
  [ $code = 75 ] || fail "exit code $code, expected 75: $(tail -n 5 stopped.log)"
  [ -f stopped/checkpoint/step-1.h5 ] || fail "no checkpoint of step 1: $(tail -n 5 stopped.log)"
  [ "$(rows stopped | wc -l)" = 0 ] || fail "the validation was not left: $(rows stopped)"
  train stopped 1 "${run[@]}" --validation.steps 1
  steps_are stopped 1 2 3
}

# The loss is that of the training on the same windows. With a learning rate that moves no weight, and a batch of one, three
# steps take the windows 0, 1 and 2 of the same corpus. Tolerance: 1e-6 for what is summed in another order.
same_windows() {
  local -a run=(--training.seq_len 40 --training.batch_size 1 --training.steps 3 --optimizer.lr 1e-30 --training.dataset_path
    validation.jsonl --debug.dump_initial_weights=false "${validation[@]}" --validation.freq 3)
  train three 1 "${run[@]}" --validation.local_batch_size 3 --validation.steps 1
  train one 1 "${run[@]}" --validation.steps 1
  cat three/steps.txt >steps
  { rows three; rows one; } | awk '
    function near(a, b) { return a > 0 && a - b <= 1e-6 * b && b - a <= 1e-6 * b }
    FILENAME != "-" { loss[$1] = $2; next }
    $3 == 120 { good += $1 == 3 && near($2, (loss[1] + loss[2] + loss[3]) / 3) }
    $3 == 40 { good += $1 == 3 && near($2, loss[1]) }
    END { exit good != 2 }' steps - || fail "losses of the training: $(cat steps); of the validation: $(rows three) $(rows one)"
}

run_part "$part"
finish
