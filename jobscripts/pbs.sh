#!/bin/bash
# Trains on a PBS Professional or OpenPBS cluster. Copy this script, set the lines below to your site's, and submit it:
#
#   qsub -v config=configs/llama3_8b.toml,options="--training.steps 1000" pbs.sh
#
# config is a configuration file; options are options of titan-hpc, which win over the file.

#PBS -N titan-hpc
#PBS -l select=2:ncpus=64:mpiprocs=8:ompthreads=8
#PBS -l place=scatter:excl
#PBS -l walltime=24:00:00
#PBS -j oe

set -euo pipefail
cd "$PBS_O_WORKDIR"

: "${config:?usage: qsub -v config=CONFIGURATION_FILE[,options=...] pbs.sh}"

# Uncomment where titan-hpc is installed as a module; otherwise TITAN_HPC=/path/to/titan-hpc or PATH names it.
# module load titan-hpc
program=${TITAN_HPC:-titan-hpc}

# PBS sets OMP_NUM_THREADS from ompthreads; $PBS_NODEFILE has one line a rank. Open MPI gives each rank as many cores.
ranks=$(wc -l <"$PBS_NODEFILE")
# shellcheck disable=SC2086 # options are words
exec mpirun -np "$ranks" --hostfile "$PBS_NODEFILE" --map-by "slot:PE=${OMP_NUM_THREADS:-1}" -x OMP_NUM_THREADS \
  "$program" --job.config_file "$config" --job.dump_folder "outputs/$PBS_JOBID" ${options:-}
