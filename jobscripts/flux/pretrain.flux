#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Trains on a Flux cluster. Copy this script, set the lines below to your site's, and submit it:
#
#   flux batch --job-name=my_run pretrain.flux run.toml --training.steps 1000 --checkpoint.enable_checkpoint
#
# The first argument is a configuration file; what follows are options of titan-hpc, which win over the file.
# The run writes into outputs/JOB_NAME: give each run a name of its own. With checkpoints, a run that has not come to its end when its
# time is up saves and goes on in a new job; the same command submitted again goes on too.

#flux: --job-name=titan-hpc
#flux: --nodes=2
#flux: --exclusive
#flux: --time-limit=24h
#flux: --output={{name}}-{{id}}.log

set -euo pipefail

# Ranks, and cores of a rank: ranks x cores = cores of the nodes above.
ranks=${RANKS:-16} cores=${CORES:-8}
# The MPI library's wishes for its launcher, such as -o mpi=spectrum or -o pmi=pmix; many libraries need none.
flags=${TITAN_FLUX_FLAGS:-}
# How often the script may submit itself: a run that goes on for ever is a mistake somewhere.
most_requeues=${TITAN_MOST_REQUEUES:-100}
# This script in the folder of the submission, and the folder of checkpoints where it is not inside the run's.
script=${script:-pretrain.flux} checkpoints=${checkpoints:-}

if [ $# = 0 ] || [ -z "${FLUX_URI:-}" ]; then
  echo "pretrain.flux: expected a configuration file and a job of Flux: flux batch pretrain.flux CONFIGURATION_FILE [options of titan-hpc]" >&2
  exit 2
fi
# The job's name, which the instance knows that runs this job.
name=$(flux --parent jobs --no-header --format='{name}' "$(flux getattr jobid)" 2>/dev/null || true)
name=${name:-titan-hpc} requeues=${requeues:-0}
folder=outputs/$name

# Uncomment where titan-hpc is installed as a module; otherwise TITAN_HPC=/path/to/titan-hpc or PATH names it.
# module load titan-hpc
program=${TITAN_HPC:-titan-hpc}
export OMP_NUM_THREADS=$cores

# The name of the checkpoint that was written last.
newest() {
  find "$folder" ${checkpoints:+"$checkpoints"} -name 'step-*.h5' -printf '%T@ %f\n' 2>/dev/null | sort -k 1,1n -k 2,2V | tail -n 1 | cut -d ' ' -f 2
}

# titan-hpc saves and ends before the job does: Flux tells how many seconds are left, titan-hpc needs them as its limit.
left=$(flux job timeleft 2>/dev/null || true)
[[ "$left" =~ ^[0-9]+$ ]] && [ "$left" -gt 0 ] || left=-1

before=$(newest || true)
code=0
# shellcheck disable=SC2086 # flags are words
flux run $flags --ntasks="$ranks" --cores-per-task="$cores" \
  "$program" --job.dump_folder "$folder" --job.time_limit "$left" --job.config_file "$@" || code=$?

# 75: ended by a signal or the time limit, to be continued. Without a new checkpoint the next piece would do the same again, for ever.
if [ "$code" = 75 ]; then
  if [ "$(newest || true)" = "$before" ]; then
    echo "pretrain.flux: not submitted again: this piece of the run saved nothing new in $folder" >&2
  elif [ "$requeues" -ge "$most_requeues" ]; then
    echo "pretrain.flux: not submitted again: the run was continued $requeues times, and most_requeues is $most_requeues;" \
      "the same command submitted again goes on" >&2
  else
    # --parent: in the instance that runs this job, not inside of the job.
    flux --parent batch --job-name="$name" --env=requeues=$((requeues + 1)) "$script" "$@"
  fi
fi
exit "$code"
