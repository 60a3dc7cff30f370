#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# With metrics.enable_tensorboard, event files have the numbers of metrics.h5 under the reference's tags, and the configuration as a text.
# Oracle: metrics.h5, through HDF5; event_rows, a reader of TFRecord and protobuf of its own. Tolerance: 1e-6, as event files have
# float32.
#
# usage: tensorboard.sh PROGRAM COMPARE WORK
TITAN=$1 COMPARE=$2 WORK=$3
. "$(dirname "$0")/common.sh"
tools=$(dirname "$COMPARE")
options=(--training.seq_len 16 --training.batch_size 1 --training.steps 4 --metrics.log_freq 2 --metrics.enable_tensorboard
  --validation.enabled --validation.freq 2 --validation.steps 1 --debug.dump_initial_weights=false)

# compare EVENTS: the scalars of an event file (events.txt) with rows.txt and validations.txt.
compare() {
  awk '
    function near(tag, step, expected) {
      got = value[step " " tag]; difference = got - expected; size = expected < 0 ? -expected : expected
      if (got == "" || !(difference <= 1e-6 * size && -difference <= 1e-6 * size)) { print tag, step, got, "expected", expected; bad = 1 }
    }
    FILENAME == "events.txt" { value[$1 " " $2] = $3; next }
    FILENAME == "rows.txt" {
      near("loss_metrics/global_avg_loss", $1, $2); near("loss_metrics/global_max_loss", $1, $3); near("grad_norm", $1, $4)
      near("lr", $1, $5); near("tokens", $1, $6); near("throughput(tps)", $1, $8); near("mfu(%)", $1, $9); near("tflops", $1, $13)
      near("memory/num_ooms", $1, 0)
      rows++
      next
    }
    { near("validation_metrics/loss", $1, $2); near("validation_metrics/tokens", $1, $3); validations++ }
    END { exit bad || rows != 3 || validations != 2 }' events.txt rows.txt validations.txt || fail "$1: other numbers: $(cat events.txt)"
}

train run 2 "${options[@]}"
"$tools/metrics_rows" rows run/metrics.h5 >rows.txt || fail "no rows"
"$tools/metrics_rows" validations run/metrics.h5 >validations.txt || fail "no validations"
files=(run/tb/20*-*/events.out.tfevents.*)
[ ${#files[@]} = 1 ] && [ -f "${files[0]}" ] || fail "event files: ${files[*]}"
"$tools/event_rows" "${files[0]}" >events.txt || fail "${files[0]} is damaged"
compare "${files[0]}"
grep -q '^0 configuration text ```toml' events.txt || fail "no configuration"
grep -q '^0 run text titan-hpc ' events.txt || fail "no description"
grep -q ' warnings text checkpoint.enable_checkpoint is off' events.txt || fail "no warning"
# Each rank its own: seconds and memory are those of its row in metrics.h5.
train ranks 2 "${options[@]}" --metrics.rank_0_only=false --metrics.save_tb_folder boards
"$tools/metrics_rows" rows ranks/metrics.h5 >rows.txt || fail "no rows"
"$tools/metrics_rows" validations ranks/metrics.h5 >validations.txt || fail "no validations"
"$tools/metrics_rows" ranks ranks/metrics.h5 >ranks.txt || fail "no rows of ranks"
for rank in 0 1; do
  "$tools/event_rows" ranks/boards/20*-*/rank_$rank/events.out.tfevents.* >events.txt || fail "rank $rank has no whole event file"
  compare "rank $rank"
  awk -v rank=$rank '
    FILENAME == "ranks.txt" { if ($2 == rank) { seconds[$1] = $4; memory[$1] = $8 } next }
    $2 == "time_metrics/end_to_end(s)" { if ($3 / seconds[$1] - 1 > 1e-6 || 1 - $3 / seconds[$1] > 1e-6) exit 1; count++ }
    $2 == "memory/max_active(GiB)" { if ($3 / memory[$1] - 1 > 1e-6 || 1 - $3 / memory[$1] > 1e-6) exit 1; count++ }
    END { exit count != 6 }' ranks.txt events.txt || fail "rank $rank: $(cat ranks.txt events.txt)"
done
# A folder that cannot be made: one warning, and the run ends well.
mkdir bad && echo text >bad/tb
train bad 1 "${options[@]}"
[ "$(grep -c 'WARNING.*bad/tb' bad.log)" = 1 ] || fail "warnings: $(grep WARNING bad.log)"
finish
