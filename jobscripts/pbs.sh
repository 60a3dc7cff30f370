#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Trains on a PBS Professional or OpenPBS cluster. Copy this script, set the lines below to your site's, and submit it:
#
#   qsub -N my_run -v config=run.toml,options="--training.steps 1000 --checkpoint.enable_checkpoint" pbs.sh
#
# config is a configuration file; options are options of titan-hpc, which win over the file.
# The run writes into outputs/JOB_NAME, a task of an array into outputs/JOB_NAME/TASK: give each run a name of its own.
# With checkpoints, a run that has not come to its end when its time is up saves and goes on in a new job: the script submits
# itself, by the name it has in the folder of the submission (script=NAME, where that is not pbs.sh). Resources that qsub's command
# line set are not taken over; set them here. The same command submitted again goes on too.

#PBS -N titan-hpc
#PBS -l select=2:ncpus=64:mpiprocs=8:ompthreads=8
#PBS -l place=scatter:excl
#PBS -l walltime=24:00:00
#PBS -j oe

set -euo pipefail
if [ -z "${config:-}" ] || [ -z "${PBS_O_WORKDIR:-}" ]; then
  echo "pbs.sh: expected a configuration file and a job of PBS: qsub -v config=CONFIGURATION_FILE[,options=...] pbs.sh" >&2
  exit 2
fi
cd "$PBS_O_WORKDIR"

# So long before the end of the walltime the ranks get SIGUSR1: time for one step and one save.
lead=600

export config options=${options:-} script=${script:-pbs.sh} folder=${folder:-}

# Uncomment where titan-hpc is installed as a module; otherwise TITAN_HPC=/path/to/titan-hpc or PATH names it.
# module load titan-hpc
program=${TITAN_HPC:-titan-hpc}

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

# shellcheck disable=SC2086 # options are words
set -- $options
given=$(option job.dump_folder "$@")
if [ -n "$given" ]; then
  folder=$given
else
  folder=${folder:-outputs/${PBS_JOBNAME:-titan-hpc}${PBS_ARRAY_INDEX:+/$PBS_ARRAY_INDEX}}
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

# The walltime as PBS has it, else as above; it has to leave room for training before the signal.
limit=$(qstat -f "$PBS_JOBID" 2>/dev/null | sed -n 's/.*Resource_List.walltime = \([0-9:]*\).*/\1/p' | head -n 1 || true)
limit=${limit:-24:00:00}
IFS=: read -r hours minutes seconds <<<"$limit"
seconds=$((10#$hours * 3600 + 10#$minutes * 60 + 10#$seconds - lead))
if [ "$seconds" -le 0 ]; then
  echo "pbs.sh: the walltime $limit is not longer than the $lead s before its end at which the run is to save;" \
    "expected a longer walltime, or a smaller lead in this script" >&2
  exit 2
fi

# PBS sets OMP_NUM_THREADS from ompthreads; $PBS_NODEFILE has one line a rank. Open MPI gives each rank as many cores, and
# passes SIGUSR1 on to them.
ranks=$(wc -l <"$PBS_NODEFILE")
before=$(newest || true)
code=0
timeout --foreground --preserve-status --signal=USR1 "$seconds" \
  mpirun -np "$ranks" --hostfile "$PBS_NODEFILE" --map-by "slot:PE=${OMP_NUM_THREADS:-1}" -x OMP_NUM_THREADS \
  "$program" --job.config_file "$config" "$@" || code=$?

# 75: ended by a signal, to be continued. Without a new checkpoint the next piece would do the same again, for ever.
if [ "$code" = 75 ]; then
  after=$(newest || true)
  if [ "$after" != "$before" ]; then
    qsub -N "${PBS_JOBNAME:-titan-hpc}" -v config,options,script,folder "$script"
  else
    echo "pbs.sh: not submitted again: this piece of the run saved nothing new in $checkpoints" >&2
  fi
fi
exit "$code"
