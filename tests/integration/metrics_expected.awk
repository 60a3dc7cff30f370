# SPDX-License-Identifier: Apache-2.0
# See outputs.sh, numbers: one/steps.txt, rank?/steps.txt, the rows of metrics.h5, those of its ranks, and the log, in
# this order.
function wrong(what, row, got, expected) {
  printf "row %d: %s is %.10g, expected %.10g\n", row, what, got, expected
  failed = 1
}
function near(what, row, got, expected, tolerance) {
  difference = got - expected
  if (!(difference <= tolerance * expected && -difference <= tolerance * expected))
    wrong(what, row, got, expected)
}
function maximum(a, b) { return a > b ? a : b }
BEGIN {
  ranks = 4; length_ = 64; steps = 7; warmup = 2; lr = 1e-30; peak = 1e12
  # 6 (parameters - embedding) + 12 layers x dim x length, of the debug model with the test tokenizer's 2,256 tokens.
  flops = 6 * (7975168 - 2256 * 256) + 12 * 8 * 256 * length_
  logged[1] = 1; logged[2] = 3; logged[3] = 6; first[1] = 1; first[2] = 2; first[3] = 4
}
FILENAME == "one/steps.txt" { norm[$1] = $3; next }
FILENAME ~ /^rank[0-9]/ { loss_of[substr(FILENAME, 5, 1), $1] = $2; sum[$1] += $2; most[$1] = maximum(most[$1], $2); next }
FILENAME == "rows.txt" {
  row = FNR
  if (row > 3) { wrong("the step", row, $1, 0); next }
  loss = largest = 0
  for (s = first[row]; s <= logged[row]; s++) {
    loss += sum[s] / ranks
    largest = maximum(largest, most[s])
  }
  count = logged[row] - first[row] + 1
  near("step", row, $1, logged[row], 0)
  near("loss", row, $2, loss / count, 1e-5)
  near("loss_max", row, $3, largest, 1e-5)
  near("grad_norm", row, $4, norm[logged[row]], 1e-5)
  finished = logged[row] - 1
  near("lr", row, $5, lr * (finished < warmup ? (finished + 1) / (warmup + 1) : 1 - (finished - warmup) / (steps - warmup)), 1e-12)
  near("tokens", row, $6, logged[row] * ranks * length_, 0)
  if (!($7 > 0 && $7 <= ($11 - elapsed) * (1 + 1e-6))) wrong("seconds", row, $7, $11 - elapsed)
  near("tps", row, $8, count * length_ / ($11 - elapsed), 1e-6)
  near("mfu", row, $9, 100 * flops * $8 / peak, 1e-12)
  near("node_hours", row, $12, $11 / 3600, 1e-12)
  near("tflops", row, $13, flops * $8 / 1e12, 1e-12)
  if (!($14 > 0)) wrong("time_left", row, $14, 0)
  if (!($15 > 0 && $16 >= 0 && $15 + $16 < $11 - elapsed)) wrong("data_loading", row, $15, 0)
  if (!($19 >= 0 && $19 < ranks && $17 > 0 && $18 >= $17)) wrong("busy_max", row, $18, $17)
  if (!($20 >= $10)) wrong("memory_max", row, $20, $10)
  waiting[row] = $15; exposed[row] = $16; busy[row] = $17; busiest[row] = $18; slowest[row] = $19; memory_max[row] = $20
  elapsed = $11
  for (i = 1; i <= 12; i++) column[row, i] = $i
  rows = row
  next
}
# step number loss_max seconds busy exposed data_loading memory
FILENAME == "ranks.txt" {
  row = int((FNR - 1) / ranks) + 1
  near("rank_step", row, $1, logged[row], 0)
  near("rank_number", row, $2, (FNR - 1) % ranks, 0)
  largest = 0
  for (s = first[row]; s <= logged[row]; s++) largest = maximum(largest, loss_of[$2, s])
  near("rank_loss_max", row, $3, largest, 1e-5)
  near("rank_seconds", row, $4, $5 + $6, 1e-9)
  busy_sum[row] += $5; exposed_sum[row] += $6
  waiting_max[row] = maximum(waiting_max[row], $7); memory_most[row] = maximum(memory_most[row], $8)
  if ($2 == slowest[row]) near("the slowest rank's busy", row, $5, busiest[row], 0)
  rank_rows++
  next
}
/Memory planned for each rank/ { sub(/.*rank: /, ""); planned = $1 + 0 }
/ - step: / {
  sub(/.* - /, "")
  line++
  rate = sprintf("%.0f", column[line, 8])
  while (rate ~ /[0-9][0-9][0-9][0-9]/) sub(/[0-9][0-9][0-9]($|,)/, ",&", rate)
  memory = column[line, 10]
  expected = sprintf("step: %2d  loss: %7.4f  memory: %5.2fGiB", column[line, 1], column[line, 2], memory)
  rest = sprintf("  tps: %s  mfu: %.2f%%  grad_norm: %7.4f  tflops: %.2f  lr: %.3e  time_left: ", rate, column[line, 9],
    column[line, 4], flops * column[line, 8] / 1e12, column[line, 5])
  if (index($0, expected "(") != 1 || index($0, ")" rest) == 0) {
    printf "the log has\n  %s\nexpected\n  %s(...)%s\n", $0, expected, rest
    failed = 1
  }
  if (!(memory > planned - 0.01)) wrong("memory", line, memory, planned)
}
END {
  for (row = 1; row <= 3; row++) {
    near("busy_mean", row, busy[row], busy_sum[row] / ranks, 1e-12)
    near("exposed", row, exposed[row], exposed_sum[row] / ranks, 1e-12)
    near("data_loading", row, waiting[row], waiting_max[row], 0)
    near("memory_max", row, memory_max[row], memory_most[row], 0)
  }
  if (rank_rows != 12) { printf "%d rows of ranks instead of 12\n", rank_rows; failed = 1 }
  if (rows != 3 || line != 3) { printf "%d rows and %d lines instead of 3\n", rows, line; failed = 1 }
  exit failed
}
