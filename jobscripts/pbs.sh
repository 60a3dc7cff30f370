#!/bin/bash
# Trains on a PBS Professional or OpenPBS cluster. Copy this script, set the lines below to your site's, and submit it:
#
#   qsub -v config=configs/llama3_8b.toml,options="--training.steps 1000 --checkpoint.enable_checkpoint" pbs.sh
#
# config is a configuration file; options are options of titan-hpc, which win over the file.
# With checkpoints, a run that has not come to its end when its time is up saves and goes on in a new job: the script submits
# itself, by the name it has in the folder of the submission (script=NAME, where that is not pbs.sh).

#PBS -N titan-hpc
#PBS -l select=2:ncpus=64:mpiprocs=8:ompthreads=8
#PBS -l place=scatter:excl
#PBS -l walltime=24:00:00
#PBS -j oe

set -euo pipefail
cd "$PBS_O_WORKDIR"

# The walltime less ten minutes: then the ranks get SIGUSR1, with time left for one step and one save.
seconds=$((24 * 3600 - 600))

: "${config:?usage: qsub -v config=CONFIGURATION_FILE[,options=...] pbs.sh}"
export config options=${options:-} script=${script:-pbs.sh} folder=${folder:-outputs/$PBS_JOBID}

# Uncomment where titan-hpc is installed as a module; otherwise TITAN_HPC=/path/to/titan-hpc or PATH names it.
# module load titan-hpc
program=${TITAN_HPC:-titan-hpc}

# PBS sets OMP_NUM_THREADS from ompthreads; $PBS_NODEFILE has one line a rank. Open MPI gives each rank as many cores, and
# passes SIGUSR1 on to them.
ranks=$(wc -l <"$PBS_NODEFILE")
code=0
# shellcheck disable=SC2086 # options are words
timeout --foreground --preserve-status --signal=USR1 "$seconds" \
  mpirun -np "$ranks" --hostfile "$PBS_NODEFILE" --map-by "slot:PE=${OMP_NUM_THREADS:-1}" -x OMP_NUM_THREADS \
  "$program" --job.config_file "$config" --job.dump_folder "$folder" $options || code=$?

# 75: ended by a signal, to be continued; without a checkpoint it would begin anew each time.
if [ "$code" = 75 ] && compgen -G "$folder/*/step-*.h5" >/dev/null; then
  qsub -v config,options,script,folder "$script"
fi
exit "$code"
