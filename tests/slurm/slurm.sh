#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The batch scripts on a real SLURM (cluster.sh): a run trains to its end, over any number of pieces; what is wrong stops it with
# the reason. Oracles: job states and exit codes of SLURM, and the steps of a run that was never interrupted, bit by bit.
#
# usage: slurm.sh PROGRAM COMPARE WORK JOBSCRIPTS
TITAN=$1 COMPARE=$2 WORK=$3 SCRIPTS=$4
folder=$(cd "$(dirname "$0")" && pwd)
. "$folder/../integration/common.sh"
. "$folder/cluster.sh"
small=$folder/../integration/small.toml
slurm_begin 8
export TITAN_HPC=$TITAN
cp "$small" run.toml
same=(--training.seq_len 16 --training.batch_size 1 --checkpoint.enable_checkpoint --metrics.log_freq 100)
shape=(--nodes=1 --ntasks=2 --ntasks-per-node=2 --cpus-per-task=1 --parsable)
# The script as a user adapts it: its node is shared here.
sed '/^#SBATCH --exclusive/d' "$SCRIPTS/slurm/pretrain.sbatch" >pretrain.sbatch

# submit NAME SBATCH_OPTIONS... -- OPTIONS...: sets job.
submit() {
  local name=$1 options=()
  shift
  while [ "$1" != -- ]; do options+=("$1") && shift; done
  shift
  job=$(sbatch --job-name="$name" --output="$name.log" "${shape[@]}" "${options[@]}" pretrain.sbatch run.toml "${same[@]}" "$@") ||
    fail "$name: sbatch: $job"
}

# ended NAME STATE CODE
ended() {
  wait_until "$run_timeout" has_ended "$job" || fail "$1: job $job has not ended: $(state_of "$job")"
  [ "$(state_of "$job")" = "$2" ] && [ "$(exit_of "$job")" = "$3" ] ||
    fail "$1: state $(state_of "$job"), code $(exit_of "$job"), expected $2, $3: $(tail -n 4 "$1.log")"
}

count_steps() { [ -f "outputs/$1/steps.txt" ] && wc -l <"outputs/$1/steps.txt" || echo 0; }
has_steps() { [ "$(count_steps "$1")" -ge "$2" ]; }
was_requeued() { case $(restarts_of "$job") in '' | 0) return 1 ;; esac; }
# comes NAME COMMAND...: it comes true before the job ends.
or_ended() { "$@" || has_ended "$job"; }
comes() {
  local name=$1
  shift
  wait_until "$run_timeout" or_ended "$@"
  "$@" || fail "$name: not so: $*; job $job is $(state_of "$job"): $(tail -n 3 "$name.log")"
}
first_steps() { head -n "$2" "outputs/$1/steps.txt"; }

train straight 2 "${same[@]}" --training.steps 3
launch 2 "$TITAN" --job.config_file run.toml --job.dump_folder long "${same[@]}" --training.steps 100000 --debug.raise_signal TERM \
  --debug.raise_signal_step 6 >long.log 2>&1

# The job's time is over after each step: three pieces, and done.
submit pieces --time=30 -- --training.steps 3 --job.time_limit 1
ended pieces COMPLETED 0
[ "$(restarts_of "$job")" = 2 ] || fail "pieces: $(restarts_of "$job") restarts, expected 2"
cmp <(first_steps pieces 3) <(head -n 3 straight/steps.txt) || fail "pieces: other numbers than in one piece"
grep -q "The job's time is over in .*(job.time_limit)" pieces.log || fail "pieces: the log does not tell the time limit"
grep -q "job SLURM $job, restart 2" pieces.log || fail "pieces: the log has no restart 2"

# A signal to the tasks, as --signal sends it: saved, requeued, continued.
submit signal --time=30 -- --training.steps 100000
comes signal has_steps signal 2
grep -q "The job's time is over in .*(SLURM_JOB_END_TIME)" signal.log || fail "signal: the log does not tell SLURM's time limit"
scancel --signal=USR1 "$job"
comes signal was_requeued
before=$(count_steps signal)
comes signal has_steps signal $((before + 2))
scancel "$job"
ended signal CANCELLED 0
cmp <(first_steps signal 6) <(head -n "$(first_steps signal 6 | wc -l)" long/steps.txt) || fail "signal: other numbers than without one"

# SLURM's own limit: --signal comes before it.
sed 's/^#SBATCH --signal=.*/#SBATCH --signal=USR1@40/' pretrain.sbatch >limited.sbatch
job=$(sbatch --job-name=limited --output=limited.log "${shape[@]}" --time=1 limited.sbatch run.toml "${same[@]}" --training.steps 100000 \
  --job.time_limit -1)
comes limited was_requeued
grep -q 'Ending early, to be continued: SIGUSR1' limited.log || fail "limited: no signal: $(tail -n 5 limited.log)"
scancel "$job"

# TERM to the tasks, and one that is wrong: no requeue.
submit term --time=30 -- --training.steps 100000
comes term has_steps term 2
scancel --signal=TERM "$job"
comes term was_requeued
scancel "$job"
submit wrong --time=30 -- --training.steps 3 --training.seq_len 0
ended wrong FAILED 2
[ "$(restarts_of "$job")" = 0 ] || fail "wrong: a configuration error is requeued"
grep -q 'training.seq_len' wrong.log || fail "wrong: no reason: $(tail -n 3 wrong.log)"

# srun with pmix, and without any PMI.
for ranks in 1 4 8; do
  srun --mpi=pmix -n $ranks --cpus-per-task=1 "$TITAN" --job.config_file run.toml --job.dump_folder srun$ranks "${same[@]}" --training.steps 1 \
    >srun$ranks.log 2>&1 || fail "srun -n $ranks: $(tail -n 3 srun$ranks.log)"
  grep -q "$ranks rank.* on 1 node" srun$ranks.log || fail "srun -n $ranks: $(grep -m 1 rank srun$ranks.log)"
done
srun --mpi=none -n 4 "$TITAN" --job.config_file run.toml --job.dump_folder none "${same[@]}" --training.steps 1 >none.log 2>&1 &&
  fail "four runs of one rank are not refused"
grep -q -- '--mpi=pmix' none.log || fail "no way out for srun --mpi=none: $(tail -n 3 none.log)"

# A job array of three learning rates.
printf '%s\n' '--optimizer.lr 1e-3' '' '# the next is too small' '--optimizer.lr 2e-3' '--optimizer.lr 1e-5' >lines.txt
sed '/^#SBATCH --exclusive/d' "$SCRIPTS/slurm/array.sbatch" >array.sbatch
job=$(sbatch --job-name=rates --output=rates-%a.log "${shape[@]}" --time=30 --array=1-3 array.sbatch lines.txt run.toml "${same[@]}" --training.steps 2)
for task in 1 2 3; do
  wait_until "$run_timeout" has_ended "${job}_$task" || fail "array: task $task: $(state_of "${job}_$task")"
  [ "$(state_of "${job}_$task")" = COMPLETED ] || fail "array: task $task: $(tail -n 3 rates-$task.log)"
done
grep -q 'lr 1e-05' outputs/rates/3/run.log || fail "array: task 3 has another learning rate"
cmp -s outputs/rates/1/steps.txt outputs/rates/2/steps.txt && fail "array: two learning rates give the same numbers"
finish
