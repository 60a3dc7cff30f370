#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What a run does about the way it was started, and about a node that gives it less than usual. Oracle: exit codes and messages
# written out here; fault_shim.c makes the calls fail. small.toml trains on every machine.
#
# usage: launch.sh PROGRAM COMPARE WORK PART SHIM
arguments=("$@")
TITAN=$1 COMPARE=$2 WORK=$3
part=$4 shim=$5
. "$(dirname "$0")/../common.sh"
small=$here/small.toml
unset "${!SLURM_@}" "${!PMI_@}" "${!PMIX_@}" "${!OMPI_COMM_WORLD_@}" "${!PALS_@}" "${!FLUX_@}"

# says FILE COUNT TEXT: so many lines of the file have the text.
says() {
  local count
  count=$(grep -cF -- "$3" "$1")
  [ "$count" = "$2" ] || fail "$count lines with \"$3\", expected $2: $(tail -n 5 "$1")"
}

# ends CODE COMMAND...: it ends with this code; its output is in the file log.
ends() {
  local wanted=$1 code
  shift
  timeout -k 10 "$run_timeout" "$@" >log.out 2>log
  code=$?
  [ $code = "$wanted" ] || fail "code $code, expected $wanted: $* $(tail -n 5 log)"
}

# Alone, a program without arguments trains nothing and makes no folder.
usage() {
  ends 2 "$TITAN"
  [ "$(wc -l <log)" = 3 ] || fail "$(wc -l <log) lines, expected three"
  says log 1 'Usage: titan-hpc --job.config_file FILE'
  says log 1 'titan-hpc --help'
  [ -z "$(find . -mindepth 1 ! -name 'log*')" ] || fail "it made $(find . -mindepth 1 ! -name 'log*')"
  ends 0 mpirun --oversubscribe -np 2 "$TITAN" --help job # under a launcher, help is printed once
  says log.out 1 '--job.dump_folder'
}

# Tasks that a launcher started beside each other, each alone.
tasks() {
  local tool
  tool=$(dirname "$TITAN")/titan-checkpoint
  ends 2 env SLURM_NTASKS=8 SLURM_PROCID=3 "$TITAN" --job.config_file "$small"
  says log 1 'srun of SLURM started at least 8 tasks, of which this is number 3'
  says log 1 'srun --mpi=pmix'
  ends 2 env SLURM_STEP_NUM_TASKS=8 SLURM_PROCID=0 "$TITAN" --job.config_file "$small"
  says log 1 ' - ERROR - srun of SLURM started 8 tasks'
  ends 2 env SLURM_STEP_NUM_TASKS=8 SLURM_PROCID=1 "$TITAN" --job.config_file "$small"
  [ ! -s log ] || fail "task 1 speaks beside task 0: $(cat log)"
  ends 2 env PMI_SIZE=4 PMI_RANK=0 "$TITAN"
  says log 1 "PMI's launcher started 4 tasks"
  ends 2 env PALS_RANKID=0 PALS_NODEID=0 PALS_LOCAL_SIZE=1 PMI_SIZE=8 PMI_RANK=0 "$TITAN" --job.config_file "$small"
  says log 1 'PALS started 8 tasks, of which this is number 0'
  says log 1 'mpiexec --pmi=pmix'
  ends 2 env PALS_RANKID=3 PALS_NODEID=3 PALS_LOCAL_SIZE=1 "$TITAN" --job.config_file "$small"
  says log 1 'PALS started at least 4 tasks'
  ends 2 env FLUX_JOB_SIZE=4 FLUX_TASK_RANK=0 "$TITAN" --job.config_file "$small"
  says log 1 'Flux started 4 tasks'
  ends 2 env OMPI_COMM_WORLD_SIZE=3 OMPI_COMM_WORLD_RANK=0 "$TITAN" --job.config_file "$small"
  says log 1 "Open MPI's mpirun started 3 tasks"
  if [ -x "$tool" ]; then
    ends 2 env SLURM_STEP_NUM_TASKS=8 SLURM_PROCID=0 "$tool" list .
    says log 1 'srun of SLURM started 8 tasks'
  fi
  # mpirun in a batch script, a batch script alone
  ends 0 env SLURM_NTASKS=8 SLURM_PROCID=0 mpirun --oversubscribe -np 2 "$TITAN" --help job
  ends 0 env SLURM_NTASKS=8 SLURM_PROCID=0 "$TITAN" --help job
}

# Too low a thread level is told once.
threads() {
  ends 5 mpirun --oversubscribe -np 4 -x LD_PRELOAD="$shim" -x FAULT_THREADS=0 "$TITAN" --job.config_file "$small"
  says log 1 'grants thread level "single"'
  says log 0 'MPI_ABORT'
}

# run RANKS FAULTS... -- OPTIONS...: three steps of small.toml.
faulty() {
  local -a faults=() options=()
  local ranks=$1
  shift
  while [ "$1" != -- ]; do
    faults+=(-x "$1")
    shift
  done
  shift
  options=(--job.config_file "$small" --training.steps 2 --training.seq_len 16 --training.batch_size 1 "$@")
  ends "$wanted" mpirun --oversubscribe --bind-to none -np "$ranks" -x LD_PRELOAD="$shim" "${faults[@]}" "$TITAN" "${options[@]}"
}

# No shared memory, or too little of it on one rank only: told in one line, and the run goes on through messages.
shared() {
  local wanted=0 rank
  faulty 2 FAULT_MEMFD=38 -- # /dev/shm takes its place
  says log 0 'shared memory inside the node is not used'
  says log 1 'parameters gathered through: shared memory'
  for rank in 0 1; do
    faulty 2 FAULT_PAGES=$rank --
    says log 1 'shared memory inside the node is not used: '
    says log 1 'No space left on device'
    says log 1 'parameters gathered through: MPI'
  done
  faulty 2 FAULT_TRUNCATE=0 --
  says log 1 'shared memory inside the node is not used: '
  says log 1 'ftruncate: File too large'
  for rank in 0 1; do
    faulty 2 FAULT_MAP=$rank --
    says log 1 'shared memory inside the node is not used: '
    says log 1 'mmap: Cannot allocate memory'
  done
  faulty 4 FAULT_MEMFD=1 FAULT_SHM=3 -- --training.tensor_parallel_degree 2
  says log 1 'shared memory inside the node is not used: '
  wanted=5
  faulty 2 FAULT_PAGES=1 -- --comm.intra_node shared
  says log 1 ' - ERROR - '
  says log 0 'MPI_ABORT'
  [ -z "$(find /dev/shm -name "titan-hpc-*" 2>/dev/null)" ] || fail "left in /dev/shm: $(ls /dev/shm)"
}

# What an estimate says first is what a run says first, and it is done sooner.
look() {
  ends 0 "$@" "$TITAN" --job.config_file "$small" --memory_estimation.enabled
}

# Another job fills /dev/shm after the room in it was looked at. Before the pages are taken, the run goes on through messages;
# afterwards they are there, and no first touch ends in SIGBUS. A small /dev/shm of its own, as root.
race() {
  local wanted=0 segments
  if [ -z "${TITAN_OWN_SHM:-}" ]; then
    unshare -m true 2>/dev/null || { echo "no namespace of mounts can be made: needs root"; exit 77; }
    TITAN_OWN_SHM=1 exec unshare -m bash -c 'mount -t tmpfs -o size=400m none /dev/shm && exec "$@"' \
      mounted bash "$0" "${arguments[@]}"
  fi
  faulty 2 FAULT_MEMFD=38 FAULT_FILL=ftruncate --
  says log 1 '/dev/shm has been filled'
  says log 1 'shared memory inside the node is not used: '
  says log 1 'No space left on device'
  rm /dev/shm/filler
  faulty 2 FAULT_MEMFD=38 FAULT_FILL=mmap FAULT_FILL_AT=0 --
  segments=$(grep -c '/dev/shm could be filled' log)
  [ "$segments" -gt 0 ] || fail "no segment was mapped"
  faulty 2 FAULT_MEMFD=38 FAULT_FILL=mmap FAULT_FILL_AT=$segments --
  says log 1 '/dev/shm has been filled'
  says log 1 'parameters gathered through: shared memory'
}

# Cores that lie idle, and a number of threads that is none: told once, with the host.
cores() {
  local host where=': 4 ranks are bound to the same 1 core(s), and '
  host=$(hostname)
  look env OMP_NUM_THREADS=abc mpirun --oversubscribe --bind-to none -np 2
  says log 1 "host $host: OMP_NUM_THREADS = \"abc\" is not a number of threads of at least 1: each rank uses "
  look env OMP_NUM_THREADS=0 mpirun --oversubscribe --bind-to none -np 2
  says log 1 'OMP_NUM_THREADS = "0" is not a number'
  look env OMP_NUM_THREADS=64 mpirun --oversubscribe --bind-to none -np 2
  says log 1 "host $host: 64 threads (OMP_NUM_THREADS) share the "
  if [ "$(nproc)" -gt 1 ]; then
    look taskset -c "$(taskset -cp $$ | sed 's/.*: //; s/[,-].*//')" mpirun --oversubscribe --bind-to none -np 4
    says log 1 "host $host$where"
  fi
}

# Folders that an MPI library needs: TMPDIR that nodes share or that is not there, and a /dev/shm that is too small; each told once, with the
# host, and the run goes on.
folders() {
  local host magic
  local -a start=(mpirun --oversubscribe --bind-to none -np 4)
  host=$(hostname)
  mkdir shared
  for magic in 0BD00BD0:Lustre 47504653:GPFS 6969:NFS 19830326:BeeGFS; do
    look env LD_PRELOAD="$shim" FAULT_STATFS="${magic%:*}" "${start[@]}" env TMPDIR="$PWD/shared"
    says log 1 "WARNING - host $host: "
    says log 1 "TMPDIR = $PWD/shared is on a file system that nodes share (${magic#*:}): "
  done
  look "${start[@]}" env TMPDIR="$PWD/shared"
  says log 0 'TMPDIR ='
  look "${start[@]}" env TMPDIR="$PWD/nowhere"
  says log 1 "TMPDIR = $PWD/nowhere: No such file or directory; "
  look env LD_PRELOAD="$shim" FAULT_SHM_LEFT=16000000 "${start[@]}"
  says log 1 "/dev/shm has 15.3 MiB left for 4 ranks, and an MPI library may take 16 MiB"
  look env LD_PRELOAD="$shim" FAULT_SHM_LEFT=17000000 "${start[@]}"
  says log 0 '/dev/shm has'
}

# Ranks with different instruction sets compute alike, on the lowest of their levels, and a run that goes on with another level
# says so.
levels() {
  local ours="--training.seq_len 16 --training.batch_size 2" name log
  "$TITAN" --version | grep -qE 'the chip has (avx|amx)' || return 0 # there is one level only
  printf '#!/bin/bash\n[ "$OMPI_COMM_WORLD_RANK" != 1 ] || export TITAN_CPU_ISA=baseline\nexec "$@"\n' >second_is_lower
  chmod +x second_is_lower
  for name in mixed baseline; do
    local -a wrapper=(./second_is_lower)
    [ $name = mixed ] || wrapper=(env TITAN_CPU_ISA=baseline)
    ends 0 env TITAN_CPU_ISA=avx2 mpirun --oversubscribe --bind-to none -np 2 "${wrapper[@]}" "$TITAN" --job.config_file "$small" $ours \
      --training.steps 4 --training.data_parallel_replicate_degree 2 --debug.check_replicas --job.dump_folder $name \
      --checkpoint.enable_checkpoint --checkpoint.interval 2
    cp log $name.log
  done
  says mixed.log 1 "the instruction sets of the ranks differ: rank 1 on host $(hostname) has baseline, others have up to avx2"
  says mixed.log 1 ', baseline, 1 thread'
  says baseline.log 0 'instruction sets of the ranks differ'
  alike mixed bitwise 4 mixed/steps.txt baseline/steps.txt
  ends 0 env TITAN_CPU_ISA=avx2 mpirun --oversubscribe --bind-to none -np 2 "$TITAN" --job.config_file "$small" $ours \
    --training.steps 5 --training.data_parallel_replicate_degree 2 --job.dump_folder mixed --checkpoint.enable_checkpoint
  says log 1 'was written with the instruction set baseline, and this run continues with avx2'
}

"$part"
finish
