#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Trains on a SLURM cluster. Copy this script, set the lines below to your site's, and submit it:
#
#   sbatch --job-name=my_run slurm.sh run.toml --training.steps 1000 --checkpoint.enable_checkpoint
#
# The first argument is a configuration file; what follows are options of titan-hpc, which win over the file.
# The run writes into outputs/JOB_NAME, a task of an array into outputs/JOB_NAME/TASK: give each run a name of its own.
# With checkpoints, a run that has not come to its end when its time is up saves and goes on in the same job, requeued; the same
# command submitted again goes on too.

#SBATCH --job-name=titan-hpc
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=8
#SBATCH --cpus-per-task=8
#SBATCH --exclusive
#SBATCH --time=24:00:00
#SBATCH --output=%x-%j.log
#SBATCH --open-mode=append
#SBATCH --requeue
# Ten minutes before the end all ranks get SIGUSR1: time for one step and one save. Change it here, where the script reads it.
#SBATCH --signal=USR1@600

set -euo pipefail

if [ $# = 0 ] || [ -z "${SLURM_JOB_ID:-}" ]; then
  echo "slurm.sh: expected a configuration file and a job of SLURM: sbatch slurm.sh CONFIGURATION_FILE [options of titan-hpc]" >&2
  exit 2
fi
config=$1
shift

# Uncomment where titan-hpc is installed as a module; otherwise TITAN_HPC=/path/to/titan-hpc or PATH names it.
# module load titan-hpc
program=${TITAN_HPC:-titan-hpc}

# Ranks x threads = cores: one thread a core of the task.
export OMP_NUM_THREADS=${SLURM_CPUS_PER_TASK:-1}
# Since SLURM 22.05 srun does not take --cpus-per-task over from the job.
export SRUN_CPUS_PER_TASK=${SLURM_CPUS_PER_TASK:-1}

# How the ranks start. TITAN_SRUN_FLAGS takes the place of --mpi=pmix: `srun --mpi=list` says what the site has.
launch() {
  # shellcheck disable=SC2086 # flags are words
  srun ${TITAN_SRUN_FLAGS---mpi=pmix} --cpu-bind=cores --kill-on-bad-exit=1 "$@"
}
# Where SLURM and the MPI share no PMI: this in its place, and --signal=B:USR1@600 above, so that the signal comes to this script.
# launch() {
#   mpirun -np "$SLURM_NTASKS" --map-by "slot:PE=$OMP_NUM_THREADS" -x OMP_NUM_THREADS "$@" &
#   local run=$! code=0
#   trap 'kill -USR1 $run' USR1
#   wait $run || code=$?
#   while kill -0 $run 2>/dev/null; do code=0; wait $run || code=$?; done # a signal ends wait, not the run
#   return $code
# }

# option NAME WORDS...: the value that the words give to the option, if they do; the last one counts.
option() {
  local name=$1 value='' before='' word
  shift
  for word in "$@"; do
    if [ "$before" = "--$name" ]; then value=$word; fi
    if [ "${word%%=*}" = "--$name" ] && [ "$word" != "--$name" ]; then value=${word#*=}; fi
    before=$word
  done
  printf '%s' "$value"
}

# checkpoint.folder of the configuration file, TOML or libconfig.
folder_in_file() {
  awk '/^[ \t]*(\[[ \t]*checkpoint[ \t]*\]|checkpoint[ \t]*[:=])/ { inside = 1; next }
    /^[ \t]*(\[|})/ { inside = 0 }
    inside && /^[ \t]*folder[ \t]*=/ { sub(/^[^"\x27]*["\x27]/, ""); sub(/["\x27].*/, ""); print }' "$1" 2>/dev/null
}

folder=$(option job.dump_folder "$@")
if [ -z "$folder" ]; then
  folder=outputs/${SLURM_JOB_NAME:-titan-hpc}${SLURM_ARRAY_TASK_ID:+/$SLURM_ARRAY_TASK_ID}
  set -- --job.dump_folder "$folder" "$@"
fi
checkpoints=$(option checkpoint.folder "$@")
checkpoints=${checkpoints:-$(folder_in_file "$config" || true)}
checkpoints=${checkpoints:-checkpoint}
[ "${checkpoints:0:1}" = / ] || checkpoints=$folder/$checkpoints

# The name of the checkpoint that was written last.
newest() {
  find "$checkpoints" -maxdepth 1 -name 'step-*.h5' -printf '%T@ %f\n' 2>/dev/null | sort -k 1,1n -k 2,2V | tail -n 1 | cut -d ' ' -f 2
}

# The time limit has to leave room for training before the signal. [days-]hours:minutes:seconds; other words are no limit.
lead=$(sed -n 's/^#SBATCH --signal=.*@\([0-9]*\).*/\1/p' "$0" 2>/dev/null | head -n 1 || true)
limit=$(scontrol show job "$SLURM_JOB_ID" 2>/dev/null | sed -n 's/.*TimeLimit=\([^ ]*\).*/\1/p' | head -n 1 || true)
if [[ "$limit" =~ ^(([0-9]+)-)?([0-9]+):([0-9]+):([0-9]+)$ ]]; then
  seconds=$(((10#${BASH_REMATCH[2]:-0} * 24 + 10#${BASH_REMATCH[3]}) * 3600 + 10#${BASH_REMATCH[4]} * 60 + 10#${BASH_REMATCH[5]}))
  if [ "$seconds" -le "${lead:-0}" ]; then
    echo "slurm.sh: the time limit $limit is not longer than the $lead s of --signal, so the run would be ended at its start;" \
      "expected a longer --time, or fewer seconds in this script's line #SBATCH --signal" >&2
    exit 2
  fi
fi

before=$(newest || true)
code=0
launch "$program" --job.config_file "$config" "$@" || code=$?

# 75: ended by a signal, to be continued. Without a new checkpoint the next piece would do the same again, for ever.
if [ "$code" = 75 ]; then
  after=$(newest || true)
  if [ "$after" != "$before" ]; then
    scontrol requeue "$SLURM_JOB_ID"
  else
    echo "slurm.sh: not requeued: this piece of the run saved nothing new in $checkpoints" >&2
  fi
fi
exit "$code"
