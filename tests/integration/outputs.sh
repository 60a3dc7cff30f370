#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What a run writes beside its checkpoints. Each part's property and oracle stand beside it.
#
# usage: outputs.sh PROGRAM COMPARE WORK PART
TITAN=$1 COMPARE=$2 WORK=$3
part=$4
. "$(dirname "$0")/common.sh"
tools=$(dirname "$COMPARE")
quick=(--training.seq_len 16 --training.batch_size 1 --debug.dump_initial_weights=false)

# said NAME COUNT TEXT: NAME.log has so many lines with the text.
said() {
  [ "$(grep -cF -- "$3" "$1.log")" = "$2" ] || fail "\"$3\" is not $2 times in $1.log: $(tail -n 5 "$1.log")"
}

rows() {
  "$tools/metrics_rows" rows "$1" || fail "$1 cannot be read"
}

attribute() {
  "$tools/metrics_rows" attribute "$1" "$2" || fail "$1 has no attribute $2"
}

# A run that resumes goes on whatever has become of its metrics.h5, with one warning, and what was there is kept.
damaged_metrics() {
  local steps=2 kind
  local -a resume=("${quick[@]}" --checkpoint.enable_checkpoint --checkpoint.interval 100 --lr_scheduler.total_steps 10)
  train run 1 "${resume[@]}" --training.steps 2 || return
  cp run/metrics.h5 whole.h5
  for kind in empty cut garbage flipped folder; do
    rm -rf run/metrics*.h5
    cp whole.h5 run/metrics.h5
    case $kind in
    empty) : >run/metrics.h5 ;;
    cut) truncate -s $(($(stat -c %s whole.h5) / 2)) run/metrics.h5 ;;
    garbage) head -c 5000 "$TITAN" >run/metrics.h5 ;;
    flipped) printf '\377' | dd of=run/metrics.h5 bs=1 seek=$(($(stat -c %s whole.h5) - 1)) conv=notrunc status=none ;;
    folder) rm run/metrics.h5 && mkdir run/metrics.h5 ;;
    esac
    [ $kind = folder ] || cp run/metrics.h5 damaged
    steps=$((steps + 1))
    run_timeout=120 train run 1 "${resume[@]}" --training.steps $steps || continue
    said run 1 'WARNING'
    said run 1 'it is kept as run/metrics.1.h5, and a new file starts'
    said run 1 'The whole run: steps 1 to '"$steps"'; the time of its earlier starts is unknown'
    [ $kind = folder ] || cmp -s damaged run/metrics.1.h5 || fail "$kind: what was there is not kept"
    [ "$(rows run/metrics.h5 | wc -l)" = 1 ] || fail "$kind: $(rows run/metrics.h5 | wc -l) rows instead of one"
  done
  # What HDF5 cannot read is not read by HDF5: the rows are there nevertheless, and the file is whole again.
  rm -rf run/metrics*.h5
  cp whole.h5 run/metrics.h5
  printf '\377\377\377\377' | dd of=run/metrics.h5 bs=1 seek=8 conv=notrunc status=none
  "$tools/metrics_rows" rows run/metrics.h5 >/dev/null 2>&1 && fail "the damaged file can be read"
  run_timeout=120 train run 1 "${resume[@]}" --training.steps $((steps + 1))
  [ "$(rows run/metrics.h5 | wc -l)" = 3 ] || fail "rows: $(rows run/metrics.h5)"
}

# Folders in the way of files, and a disk that is full for a while: warnings, and the run ends well.
faults() {
  mkdir -p run/metrics.h5 run/steps.txt run/configuration.toml run/run.log run/weights.txt run/plans/block.txt
  echo text >run/graphs
  train run 1 --training.seq_len 16 --training.batch_size 1 --training.steps 2 --debug.dump_plan --debug.dump_graph || return
  said run 1 'debug.dump_plan: cannot write run/plans/block.txt: Is a directory; the training continues without it'
  said run 1 'debug.dump_graph: cannot write run/graphs/embedding.txt: cannot make the folder run/graphs'
  local name first
  for name in metrics.h5 steps.txt configuration.toml run.log weights.txt; do
    [ -f "run/$name" ] || fail "no $name"
    [ -d "run/${name%.*}.1.${name##*.}" ] || fail "what was in the way of $name is gone"
  done
  [ "$(wc -l <run/steps.txt)" = 2 ] || fail "$(wc -l <run/steps.txt) lines in steps.txt"
  # A row is 41 writes: the first fits, the attempts to write the three after it do not.
  [ -n "${TITAN_SANITIZE:-}" ] && return
  LD_PRELOAD=$tools/libmetrics_fault.so METRICS_FIRST=42 METRICS_LAST=44 train full 1 "${quick[@]}" --training.steps 6
  said full 1 'cannot write to the metrics file full/metrics.h5: No space left on device; the training continues'
  said full 1 'metrics.h5 is written again, including the missing rows'
  [ "$(rows full/metrics.h5 | cut -d ' ' -f 1 | tr '\n' ' ')" = '1 2 3 4 5 6 ' ] || fail "rows: $(rows full/metrics.h5)"
  LD_PRELOAD=$tools/libmetrics_fault.so METRICS_FIRST=42 METRICS_LAST=1000 train gone 1 "${quick[@]}" --training.steps 4
  said gone 1 'metrics.h5 lacks the last 3 rows, because they could not be written'
  [ "$(rows gone/metrics.h5 | wc -l)" = 1 ] || fail "rows: $(rows gone/metrics.h5)"
  # The file is being made: the next row makes it anew, and the run ends well (MPI_Finalize closes HDF5).
  for first in 1 2 30; do
    METRICS_NAME=metrics.h5.partial LD_PRELOAD=$tools/libmetrics_fault.so METRICS_FIRST=$first METRICS_LAST=$first \
      train "made.$first" 1 "${quick[@]}" --training.steps 3
    said "made.$first" 1 "cannot create the metrics file made.$first/metrics.h5: No space left on device; the training continues"
    [ "$(rows "made.$first/metrics.h5" | wc -l)" = 3 ] || fail "rows: $(rows "made.$first/metrics.h5")"
  done
}

# A run into the folder of another one loses nothing of it; one that resumes continues.
second_run() {
  train run 1 "${quick[@]}" --training.steps 3 || return
  said run 1 'WARNING'
  said run 1 'checkpoint.enable_checkpoint is off: the trained weights are lost when this run ends'
  said run 0 'are kept as'
  cp run/metrics.h5 first.h5
  cp run/configuration.toml first.toml
  cp run/steps.txt first.txt
  local -a resume=("${quick[@]}" --checkpoint.enable_checkpoint --checkpoint.interval 100 --metrics.log_freq 2)
  train run 1 "${resume[@]}" --training.steps 4 || return
  said run 1 'The metrics of the previous run are kept as run/metrics.1.h5'
  cmp -s first.h5 run/metrics.1.h5 || fail "the first run's metrics are not kept"
  cmp -s first.toml run/configuration.1.toml || fail "the first run's configuration is not kept"
  cmp -s first.txt run/steps.1.txt || fail "the first run's steps.txt is not kept"
  said run 0 'WARNING'
  said run 1 ' INFO - The run: steps 1 to 4, 64 tokens in '
  said run 1 'To train further, run the same command with a larger training.steps: '
  train run 1 "${resume[@]}" --training.steps 6 || return
  said run 0 'are kept as'
  said run 1 ' INFO - This start: steps 5 to 6, 32 tokens in '
  said run 1 ' INFO - The whole run: steps 1 to 6, 96 tokens in '
  [ "$(ls run/metrics*.h5 | wc -l)" = 2 ] || fail "a resumed run has a file of its own: $(ls run)"
  [ "$(rows run/metrics.h5 | cut -d ' ' -f 1 | tr '\n' ' ')" = '1 2 4 6 ' ] || fail "rows: $(rows run/metrics.h5)"
  rows run/metrics.h5 | awk '$11 <= last { exit 1 } { last = $11 }' || fail "the time goes back: $(rows run/metrics.h5)"
  # The log of all three, as it was on stderr.
  [ "$(grep -c 'Training completed' run/run.log)" = 3 ] || fail "run.log does not have three runs"
  grep -F ' - root - ' run.log | tail -n +2 | while IFS= read -r line; do
    grep -qxF -- "$line" run/run.log || echo "$line"
  done >missing
  [ -s missing ] && fail "not in run.log: $(head -n 3 missing)"
}

# The log's head, the attributes of metrics.h5 and configuration.toml say what the run was; the last runs again.
description() {
  SLURM_JOB_ID=4711 train run 2 "${quick[@]}" --training.steps 3 --optimizer.lr 1e-3 --job.description "a 'b' \"c\" \\ d"
  local file=run/metrics.h5 commit
  commit=$("$TITAN" --version | sed -n 's/^commit: *//p')
  [ -n "$commit" ] || fail "--version names no commit"
  [ "$(attribute $file commit)" = "$commit" ] || fail "commit $(attribute $file commit) instead of $commit"
  [ "$(attribute $file job)" = 'SLURM 4711' ] || fail "job $(attribute $file job)"
  [ "$(attribute $file ranks)" = 2 ] || fail "ranks $(attribute $file ranks)"
  [ "$(attribute $file hosts)" = "$(uname -n)" ] || fail "hosts $(attribute $file hosts)"
  attribute $file optimizer | grep -qF 'AdamW, lr 0.001,' || fail "optimizer $(attribute $file optimizer)"
  [ "$(attribute $file schedule)" = '2 steps of warm-up, then linear to 0 after step 3' ] || fail "schedule $(attribute $file schedule)"
  attribute $file date | grep -qE '^20[0-9-]{8}T' || fail "date $(attribute $file date)"
  attribute $file version | grep -q '^titan-hpc [0-9]' || fail "version $(attribute $file version)"
  attribute $file configuration | grep -qF 'lr = 0.001  # command line' || fail "configuration $(attribute $file configuration)"
  # A shell makes the command's words of it again.
  eval "set -- $(attribute $file command)"
  [ "$1" = "$TITAN" ] && [ "${*: -1}" = "a 'b' \"c\" \\ d" ] || fail "command $(attribute $file command)"
  local what
  for what in "commit $commit" 'SLURM 4711' 'Command: ' "$(uname -n)" 'lr = 0.001  # command line' 'Optimizer: AdamW'; do
    grep -qF -- "$what" run/run.log || fail "\"$what\" is not in run.log"
  done
  launch 2 "$TITAN" --job.config_file run/configuration.toml --job.dump_folder again >again.out 2>again.log ||
    fail "configuration.toml does not run: $(tail -n 3 again.log)"
  alike configuration.toml bitwise 3 run/steps.txt again/steps.txt
  [ "$(grep -c WARNING run.log)" = "$(grep -c WARNING again.log)" ] || fail "other warnings: $(grep WARNING again.log)"
  # Colours: none into files, but for those who ask on the command line; never into run.log.
  local escape=$'\033'
  printf '[metrics]\nenable_color_printing = true\n' >color.toml
  cat run/configuration.toml | sed 's/^# enable_color_printing.*/enable_color_printing = true/' >color.toml
  grep -q '^enable_color_printing' color.toml || fail "no file that asks for colours"
  launch 1 "$TITAN" --job.config_file color.toml --training.steps 1 2>color.log || fail "colours in a file: $(tail -n 3 color.log)"
  grep -qF "$escape" color.log && fail "a file's wish for colours puts them into a file"
  launch 1 "$TITAN" --job.config_file color.toml --training.steps 1 --metrics.enable_color_printing 2>color.log || fail "$(tail -n 3 color.log)"
  grep -qF "$escape" color.log || fail "no colours for those who ask on the command line"
  grep -qF "$escape" run/run.log && fail "colours in run.log"
  grep -q 'Preparing c4_test dataset from /.*/c4_test.jsonl.gz$' color.log || fail "$(grep Preparing color.log)"
  printf '{"text": "%s"}\n' "$(seq -s ' ' 300)" >mine.jsonl
  train mine 1 "${quick[@]}" --training.steps 1 --training.dataset_path mine.jsonl
  said mine 1 'Preparing the dataset from mine.jsonl'
  # A share above 100 % is not printed without a word, be it one.
  said mine 0 'mfu is above 100 %'
  train above 1 "${quick[@]}" --training.steps 2 --metrics.peak_flops 1e6
  said above 1 'mfu is above 100 %: metrics.peak_flops = 1.000e+06 (command line) is lower than the measured speed of a rank'
}

# Every column of metrics.h5 and every field of the log's lines against what other runs and formulas give: fsdp over four
# ranks, a line every three steps. With a learning rate that moves no weight the losses of each rank are those of a run on one
# rank with that rank's documents (document i is of lane i mod 4), and the gradient norms those of one rank with all of them.
# Tolerance: 1e-5 for what is summed in another order; 1e-12 for what is the same arithmetic.
# The dump folder is moved away while a run writes to it: it goes on in a new one, and says so.
vanished() {
  local run code last
  local -a command=("$TITAN" --job.config_file "$here/small.toml" --job.dump_folder run --training.seq_len 16 --training.batch_size 1 --training.steps 1000000
    --metrics.rank_0_only=false --metrics.enable_tensorboard --profiling.enable_profiling --profiling.profile_freq 1 --debug.dump_initial_weights=false)
  mpirun --oversubscribe --bind-to none -np 2 "${command[@]}" >run.out 2>vanished.log &
  run=$!
  wait_until "$run_timeout" eval '[ -f run/steps.txt ] && [ "$(wc -l <run/steps.txt)" -ge 3 ]' || fail "no steps: $(tail -n 3 vanished.log)"
  mv run old
  wait_until "$run_timeout" eval '[ -f run/metrics.h5 ] && [ "$(rows run/metrics.h5 | wc -l)" -ge 4 ]' || fail "no rows in the new folder: $(tail -n 3 vanished.log)"
  touch run/STOP
  wait_until 60 gone $run || { fail "the run does not end"; kill -9 $run; }
  wait $run
  code=$?
  [ $code = 75 ] || fail "code $code instead of 75: $(tail -n 3 vanished.log)"
  steps() { rows "$1/metrics.h5" | cut -d ' ' -f 1; }
  last=$(steps run | tail -n 1)
  cmp <(steps old && steps run) <(seq 1 "$last") || fail "rows are missing: $(steps old | tail -n 1), then $(steps run | tr '\n' ' ')"
  said vanished 1 'the metrics file run/metrics.h5 was moved or removed; a new one starts with the latest row'
  [ "$(grep -c 'WARNING - run/run.log was moved or removed; the log continues in a new file' vanished.log)" = 1 ] || fail "not said once: $(grep WARNING vanished.log)"
  [ "$(grep -c "step: *$last " run/run.log)" = 1 ] || fail "run.log lacks step $last"
  compgen -G 'run/profile_traces/iteration_*/rank1_trace.json' >/dev/null || fail "no traces in the new folder"
  compgen -G 'run/tb/*/rank_1/events*' >/dev/null || fail "no event file in the new folder"
  grep -q '"outcome": "stopped"' run/summary.json || fail "no summary in the new folder"
}

numbers() {
  local documents=all.jsonl rank
  local -a same=(--training.steps 7 --optimizer.lr 1e-30 --metrics.log_freq 3 --debug.dump_initial_weights=false)
  gunzip -c "$(dirname "$TITAN")/assets/c4_test.jsonl.gz" | head -n 200 >$documents
  train four 4 "${same[@]}" --training.batch_size 1 --training.dataset_path $documents --metrics.rank_0_only=false
  train one 1 "${same[@]}" --training.batch_size 4 --training.dataset_path $documents
  for rank in 0 1 2 3; do
    awk -v rank=$rank '(NR - 1) % 4 == rank' $documents >rank$rank.jsonl
    train rank$rank 1 "${same[@]}" --training.batch_size 1 --training.dataset_path rank$rank.jsonl
  done
  rows four/metrics.h5 >rows.txt
  # The columns that no clock is in (step, loss, loss_max, grad_norm, lr, tokens) are the same without rows of ranks.
  train without 4 "${same[@]}" --training.batch_size 1 --training.dataset_path $documents
  rows without/metrics.h5 >without.txt
  cmp <(cut -d ' ' -f 1-6 rows.txt) <(cut -d ' ' -f 1-6 without.txt) || fail "metrics.rank_0_only changes the rows of all ranks"
  "$tools/metrics_rows" ranks four/metrics.h5 >ranks.txt || fail "the rows of ranks cannot be read"
  grep -F ' - step: ' four.log | sed 's/.* - step: *//; s/[,%()]/ /g; s/GiB/ /' >lines.txt
  awk -f "$here/metrics_expected.awk" one/steps.txt rank?/steps.txt rows.txt ranks.txt four.log || fail "metrics.h5 or the log is wrong"
}

# metrics.log_format = json: each line of stderr's log and of run.log is a JSON object; the numbers are those of metrics.h5 and
# of the text. Oracle: the shape of the lines, which a reader of JSON lines cuts at the same places; metrics.h5. summary.json has the
# last row, how the run ended, and its warnings.
json() {
  local -a options=("${quick[@]}" --training.steps 2 --validation.enabled --validation.freq 2 --validation.steps 1)
  train run 1 "${options[@]}" --metrics.log_format json --checkpoint.enable_checkpoint || return
  grep -vE '^\{"time": "20[0-9T:.+-]+", "rank": 0, "level": "(info|warning)", "message": "([^"\\]|\\.)*"(, "[a-z_]+":.*)?\}$' run.log run/run.log && fail "lines that are no objects"
  local event
  for event in step:2 validation:1 save:1 end:1; do
    [ "$(grep -c "\"event\":\"${event%:*}\"" run.log)" = "${event#*:}" ] || fail "no $event in run.log"
  done
  grep -oE '"message": "step: .*"step":[0-9]+,"loss":[0-9.]+' run.log | sed 's/.*"step"://; s/,"loss":/ /' >lines.txt
  rows run/metrics.h5 | cut -d ' ' -f 1,2 >rows.txt
  paste -d ' ' lines.txt rows.txt | awk '$1 != $3 || $2 - $4 > 1e-14 || $4 - $2 > 1e-14 { exit 1 } END { exit NR != 2 }' ||
    fail "the numbers differ: $(cat lines.txt rows.txt)"
  grep -q '"outcome": "complete"' run/summary.json || fail "summary.json: $(head -n 3 run/summary.json)"
  grep -q '"path": "run/checkpoint/step-2.h5"' run/summary.json || fail "no checkpoint in summary.json"
  grep -q '"bytes_per_step": [0-9]' run/summary.json || fail "no bytes in summary.json"
  grep -q '"last_validation": {' run/summary.json || fail "no validation in summary.json"
  grep -q '"warning_count": 0' run/summary.json || fail "warnings in summary.json: $(tail -n 4 run/summary.json)"
  launch 1 "$TITAN" --job.config_file "$here/small.toml" --job.dump_folder failed "${quick[@]}" --debug.inject_nan_step 2 2>failed.log
  [ $? = 6 ] || fail "a run that fails: $(tail -n 2 failed.log)"
  grep -q '"outcome": "failed"' failed/summary.json || fail "summary.json: $(head -n 3 failed/summary.json)"
  grep -q '"message": "step 2: the loss of rank 0 is nan' failed/summary.json || fail "summary.json: $(head -n 3 failed/summary.json)"
  grep -q '"last_validation": null' failed/summary.json || fail "a validation in summary.json"
  grep -q '"warning_count": 1' failed/summary.json || fail "summary.json: $(tail -n 4 failed/summary.json)"
  grep -q '"checkpoint.enable_checkpoint is off' failed/summary.json || fail "no warning in summary.json"
}

run_part "$part"
finish
