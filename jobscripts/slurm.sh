#!/bin/bash
# Trains on a SLURM cluster. Copy this script, set the lines below to your site's, and submit it:
#
#   sbatch slurm.sh configs/llama3_8b.toml --training.steps 1000 --checkpoint.enable_checkpoint
#
# The first argument is a configuration file; what follows are options of titan-hpc, which win over the file.
# With checkpoints, a run that has not come to its end when its time is up saves and goes on in the same job, requeued.

#SBATCH --job-name=titan-hpc
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=8
#SBATCH --cpus-per-task=8
#SBATCH --exclusive
#SBATCH --time=24:00:00
#SBATCH --output=%x-%j.log
#SBATCH --open-mode=append
#SBATCH --requeue
# Ten minutes before the end all ranks get SIGUSR1: time for one step and one save.
#SBATCH --signal=USR1@600

set -euo pipefail

config=${1:?usage: sbatch slurm.sh CONFIGURATION_FILE [options of titan-hpc]}
shift

# Uncomment where titan-hpc is installed as a module; otherwise TITAN_HPC=/path/to/titan-hpc or PATH names it.
# module load titan-hpc
program=${TITAN_HPC:-titan-hpc}

# Ranks x threads = cores: one thread a core of the task.
export OMP_NUM_THREADS=${SLURM_CPUS_PER_TASK:-1}
# Since SLURM 22.05 srun does not take --cpus-per-task over from the job.
export SRUN_CPUS_PER_TASK=${SLURM_CPUS_PER_TASK:-1}

folder=outputs/$SLURM_JOB_ID
code=0
srun --mpi=pmix --cpu-bind=cores --kill-on-bad-exit=1 \
  "$program" --job.config_file "$config" --job.dump_folder "$folder" "$@" || code=$?

# 75: ended by a signal, to be continued; without a checkpoint it would begin anew each time.
if [ "$code" = 75 ] && compgen -G "$folder/*/step-*.h5" >/dev/null; then
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
