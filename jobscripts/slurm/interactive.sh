#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Trains in a job that begins now, with the log on this terminal; Ctrl-C once saves and ends the run.
#
#   jobscripts/slurm/interactive.sh run.toml --training.steps 20
#   NODES=2 RANKS=16 CORES=4 TIME=00:30:00 jobscripts/slurm/interactive.sh run.toml
#
# RANKS are those of a node, CORES those of a rank. SALLOC_FLAGS takes more options of salloc, such as a partition or an account.
set -euo pipefail

config=${1:?usage: interactive.sh CONFIGURATION_FILE [options of titan-hpc]}
shift
export OMP_NUM_THREADS=${CORES:-1} SRUN_CPUS_PER_TASK=${CORES:-1}
flags=${TITAN_SRUN_FLAGS---mpi=pmix}
# shellcheck disable=SC2086 # flags are words
exec salloc --job-name=titan-hpc --nodes="${NODES:-1}" --ntasks-per-node="${RANKS:-1}" --cpus-per-task="${CORES:-1}" --time="${TIME:-01:00:00}" \
  ${SALLOC_FLAGS:-} srun $flags --kill-on-bad-exit=1 "${TITAN_HPC:-titan-hpc}" --job.config_file "$config" "$@"
