#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Property: the scripts parse, quickstart answers --help and a wrong command without doing anything, and the batch scripts start
# the run with the folder of the job's name, go on in another job when the run has ended with code 75 and saved something new, and else
# end with its code. Oracle: bash's own parser, exit codes,
# and programs in the places of the batch systems' that note how they are called.
set -euo pipefail
cd "$1"
for script in quickstart .ci/run jobscripts/*.sh jobscripts/*/* benchmarks/scaling/titan-scaling benchmarks/startup/startup.sh; do
  bash -n "$script"
  [ -x "$script" ] || { echo "$script is not executable"; exit 1; }
done
if command -v shellcheck >/dev/null; then shellcheck quickstart .ci/run jobscripts/*.sh jobscripts/*/* benchmarks/scaling/titan-scaling benchmarks/startup/startup.sh; fi
./quickstart --help | grep -q './quickstart test'
code=0
./quickstart tset >/dev/null 2>&1 || code=$?
[ "$code" -eq 2 ] || { echo "a wrong command gave exit code $code, not 2"; exit 1; }
# unsubmitted "WORDS" COMMAND...: a batch script without a job or a configuration says how it is submitted, and ends with 2.
unsubmitted() {
  local code=0 words=$1 said
  shift
  said=$(env -u SLURM_JOB_ID -u PBS_O_WORKDIR "$@" 2>&1) || code=$?
  [ "$code" -eq 2 ] && [[ $said == *"$words"* ]] && [ "$(wc -l <<<"$said")" = 1 ] || { echo "$*: code $code: $said"; exit 1; }
}
unsubmitted 'sbatch pretrain.sbatch CONFIGURATION_FILE' jobscripts/slurm/pretrain.sbatch configs/cpu_node.toml
unsubmitted 'sbatch pretrain.sbatch CONFIGURATION_FILE' env SLURM_JOB_ID=1 jobscripts/slurm/pretrain.sbatch
unsubmitted 'qsub -v config=CONFIGURATION_FILE' env config=configs/cpu_node.toml jobscripts/pbs/pretrain.pbs
unsubmitted 'qsub -v config=CONFIGURATION_FILE' env PBS_O_WORKDIR=. jobscripts/pbs/pretrain.pbs
unsubmitted 'qsub -J 1-N -v list=LIST' env config=configs/cpu_node.toml PBS_O_WORKDIR=. jobscripts/pbs/array.pbs
unsubmitted 'flux batch pretrain.flux CONFIGURATION_FILE' env -u FLUX_URI jobscripts/flux/pretrain.flux configs/cpu_node.toml
unsubmitted 'config=CONFIGURATION_FILE' env -u LSB_JOBID config=configs/cpu_node.toml jobscripts/lsf/pretrain.lsf
unsubmitted 'usage: [RANKS="1 2 4"]' benchmarks/startup/startup.sh
unsubmitted 'sbatch scaling.sbatch CONFIGURATION_FILE' jobscripts/slurm/scaling.sbatch configs/cpu_node.toml

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/bin"
# titan-hpc in the place of a run: notes how it is called, saves step $STEP where that is not 0, and ends with $ENDS.
cat >"$folder/bin/titan-hpc" <<'SCRIPT'
#!/bin/bash
echo "$*" >ran
dump=$(sed -n 's/.*--job.dump_folder[ =]\([^ ]*\).*/\1/p' ran)
[ "${WHERE:0:1}" = / ] || WHERE=$dump/$WHERE
[ "$STEP" = 0 ] || { mkdir -p "$WHERE" && touch "$WHERE/step-$STEP.h5"; }
exit "$ENDS"
SCRIPT
for launcher in srun mpirun; do # what follows the launcher's own options
  cat >"$folder/bin/$launcher" <<'SCRIPT'
#!/bin/bash
if [ "$*" = --mpi=list ]; then
  echo "MPI plugin types are... ${INTERFACES-none pmi2 pmix}"
  exit 0
fi
echo "$*" >launched
while [ "$1" != titan-hpc ]; do shift; done
exec "$@"
SCRIPT
done
cat >"$folder/bin/scontrol" <<'SCRIPT'
#!/bin/bash
case $1 in
show) echo "   RunTime=00:00:01 TimeLimit=$LIMIT TimeMin=N/A" ;;
*) echo "scontrol $*" >>calls ;;
esac
SCRIPT
cat >"$folder/bin/qstat" <<'SCRIPT'
#!/bin/bash
echo "    Resource_List.walltime = $LIMIT"
SCRIPT
cat >"$folder/bin/bjobs" <<'SCRIPT'
#!/bin/bash
echo "$LEFT L"
SCRIPT
cat >"$folder/bin/bsub" <<'SCRIPT'
#!/bin/bash
echo "bsub $* <$(head -n 3 | tail -n 1) config=$config options=$options requeues=$requeues" >>calls
SCRIPT
cat >"$folder/bin/flux" <<'SCRIPT'
#!/bin/bash
case "$*" in
"job timeleft") echo "$SECONDS_LEFT" ;;
"getattr jobid") echo f17 ;;
--parent\ jobs*f17) echo a_run ;;
--parent\ batch*) echo "flux $*" >>calls ;;
run*)
  echo "$*" >launched
  while [ "$1" != titan-hpc ]; do shift; done
  exec "$@"
  ;;
esac
SCRIPT
cat >"$folder/bin/qsub" <<'SCRIPT'
#!/bin/bash
echo "qsub $*" >>calls
SCRIPT
chmod +x "$folder"/bin/*
scripts=$PWD/jobscripts
cd "$folder"
printf 'node\nnode\n' >nodes
fail() {
  echo "FAILED: $*"
  exit 1
}

# batch WANTED_CODE "WANTED CALL" SCRIPT ARGUMENTS...
batch() {
  local wanted=$1 call=$2 got=0
  shift 2
  rm -f calls ran launched
  PATH="$folder/bin:$PATH" SLURM_JOB_ID=17 SLURM_JOB_NAME=a_run PBS_JOBID=17.host PBS_JOBNAME=a_run PBS_O_WORKDIR=$folder \
    FLUX_URI=local://here LSB_JOBID=17 LSB_JOBNAME=a_run LS_SUBCWD=$folder LSB_DJOB_NUMPROC=4 PBS_NODEFILE=$folder/nodes "$@" 2>err || got=$?
  [ "$got" = "$wanted" ] || fail "code $got, expected $wanted: $*: $(cat err)"
  [ "$(cat calls 2>/dev/null)" = "$call" ] || fail "called: $(cat calls), expected: $call: $*"
}
requeued='scontrol requeue 17' submitted='qsub -N a_run -v config,options,script,folder,requeues pretrain.pbs'
slurm() { batch "$1" "$2" bash "$scripts/slurm/pretrain.sbatch" run.toml "${@:3}"; }
pbs() { batch "$1" "$2" env options="${*:3}" bash "$scripts/pbs/pretrain.pbs"; }
flux() { batch "$1" "$2" bash "$scripts/flux/pretrain.flux" run.toml "${@:3}"; }
lsf() { batch "$1" "$2" env options="${*:3}" bash "$scripts/lsf/pretrain.lsf"; }
# ran_with WORDS: the program got these options.
ran_with() { [[ " $(cat ran) " == *" $1 "* ]] || fail "ran with: $(cat ran), expected: $1"; }

printf '[job]\ndump_folder = "./elsewhere"\n[checkpoint]\ninterval = 5\n' >run.toml
export config=run.toml ENDS STEP WHERE=checkpoint LIMIT=24:00:00
for ENDS in 0 4 75; do
  for STEP in 0 3; do
    requeue='' submit=''
    if [ $ENDS = 75 ] && [ $STEP != 0 ]; then requeue=$requeued submit=$submitted; fi
    rm -rf outputs
    slurm $ENDS "$requeue" --training.steps 9
    ran_with "--job.config_file run.toml --job.dump_folder outputs/a_run --training.steps 9"
    rm -rf outputs
    pbs $ENDS "$submit" --training.steps 9
    ran_with "--job.config_file run.toml --job.dump_folder outputs/a_run --training.steps 9"
  done
done

# A piece that gets no further than the last one ends the chain, and says so; the files of earlier pieces do not count.
for system in slurm pbs; do
  rm -rf outputs
  [ $system = slurm ] && again=$requeued || again=$submitted
  ENDS=75 STEP=9 $system 75 "$again"
  ENDS=75 STEP=10 $system 75 "$again"
  ENDS=75 STEP=0 $system 75 ''
  grep -q 'saved nothing new in outputs/a_run/checkpoint$' err || fail "$system does not say why it stops: $(cat err)"
  ENDS=75 STEP=10 $system 75 ''
  ENDS=75 STEP=11 $system 75 "$again"
done

# As often as most_requeues says, and no more.
refused() { grep -q "most_requeues is 3; the same command submitted again goes on" err || fail "$1: the limit is not told: $(cat err)"; }
export TITAN_MOST_REQUEUES=3
rm -rf outputs
SLURM_RESTART_COUNT=2 ENDS=75 STEP=1 slurm 75 "$requeued"
SLURM_RESTART_COUNT=3 ENDS=75 STEP=2 slurm 75 ''
refused slurm
rm -rf outputs
requeues=2 ENDS=75 STEP=1 pbs 75 "$submitted"
requeues=3 ENDS=75 STEP=2 pbs 75 ''
refused pbs

# Flux and LSF: the same, and the time that is left goes to the program.
cp "$scripts/lsf/pretrain.lsf" .
export SECONDS_LEFT=3600 LEFT=1:02
flux_again() { echo "flux --parent batch --job-name=a_run --env=requeues=$1 pretrain.flux run.toml --training.steps 9"; }
lsf_again() { echo "bsub -J a_run <$(sed -n 3p pretrain.lsf) config=run.toml options=--training.steps 9 requeues=$1"; }
for system in flux lsf; do
  for ENDS in 0 2 4 75; do
    rm -rf outputs
    again=''
    [ $ENDS != 75 ] || again=$(${system}_again 1)
    STEP=3 $system $ENDS "$again" --training.steps 9
    STEP=0 $system $ENDS '' --training.steps 9
    [ $ENDS != 75 ] || grep -q 'saved nothing new in outputs/a_run$' err || fail "$system does not say why it stops: $(cat err)"
  done
  rm -rf outputs
  requeues=2 ENDS=75 STEP=1 $system 75 "$(${system}_again 3)" --training.steps 9
  requeues=3 ENDS=75 STEP=2 $system 75 '' --training.steps 9
  refused $system
  checkpoints=far WHERE=$folder/far ENDS=75 STEP=1 $system 75 "$(${system}_again 1)" --training.steps 9
  rm -rf far
done
ENDS=0 STEP=0 flux 0 '' --training.steps 9
ran_with '--job.dump_folder outputs/a_run --job.time_limit 3600 --job.config_file run.toml --training.steps 9'
[ "$(cut -d ' ' -f 1-3 launched)" = 'run --ntasks=16 --cores-per-task=8' ] || fail "flux $(cat launched)"
SECONDS_LEFT=infinity ENDS=0 STEP=0 flux 0 ''
ran_with '--job.time_limit -1'
ENDS=0 STEP=0 lsf 0 '' --training.steps 9
ran_with '--job.dump_folder outputs/a_run --job.time_limit 3720 --job.config_file run.toml --training.steps 9'
[ "$(cut -d ' ' -f 1-4 launched)" = '-np 4 --map-by slot:PE=8' ] || fail "mpirun $(cat launched)"
LEFT=- ENDS=0 STEP=0 lsf 0 ''
ran_with '--job.time_limit -1'
unset TITAN_MOST_REQUEUES

# checkpoint.folder with a slash, and an absolute one, from the options and from both kinds of file; job.dump_folder from the options.
printf '[job]\nfolder = "x"\n[checkpoint]\nenable_checkpoint = true\nfolder = "a/b"  # "here"\n[training]\nsteps = 3\n' >deep.toml
printf 'checkpoint:\n{\n  enable_checkpoint = true;\n  folder = "%s";\n};\n' "$folder/far" >far.cfg
again() { # again WHERE CONFIGURATION OPTIONS...
  rm -rf outputs far mine
  WHERE=$1 ENDS=75 STEP=3 batch 75 "$requeued" bash "$scripts/slurm/pretrain.sbatch" "${@:2}"
  rm -rf outputs far mine
  WHERE=$1 ENDS=75 STEP=3 batch 75 "$submitted" env config="$2" options="${*:3}" bash "$scripts/pbs/pretrain.pbs"
}
again a/b run.toml --checkpoint.folder a/b
again a/b run.toml --checkpoint.folder=c --checkpoint.folder=a/b
again "$folder/far" run.toml --checkpoint.folder "$folder/far"
again a/b deep.toml
again "$folder/far" far.cfg
again c/d deep.toml --checkpoint.folder c/d
again checkpoint run.toml --job.dump_folder mine
ran_with "--job.config_file run.toml --job.dump_folder mine"
again checkpoint run.toml --job.dump_folder=mine --training.steps 3
ran_with "--job.config_file run.toml --job.dump_folder=mine --training.steps 3"

# Each task of an array has a folder of its own.
export ENDS=0 STEP=0
SLURM_ARRAY_TASK_ID=4 slurm 0 ''
ran_with "--job.dump_folder outputs/a_run/4"
PBS_ARRAY_INDEX=4 pbs 0 ''
ran_with "--job.dump_folder outputs/a_run/4"

# A time limit that the signal's time uses up is refused before the run; a limit that is not a time is none.
for LIMIT in 00:10:00 00:00:30 0-00:05:00; do
  slurm 2 ''
  grep -q -- "time limit $LIMIT is not longer than the 600 s of --signal" err || fail "$LIMIT: $(cat err)"
  [ ! -e ran ] || fail "$LIMIT: ran"
done
for LIMIT in 00:10:01 2-00:00:00 UNLIMITED ''; do slurm 0 ''; done
LIMIT=00:09:00 pbs 2 ''
grep -q 'walltime 00:09:00 is not longer than the 600 s' err || fail "$(cat err)"

# How srun is asked for its PMI.
LIMIT=24:00:00
slurm 0 ''
[ "$(cut -d ' ' -f 1,2 launched)" = '--mpi=pmix --cpu-bind=cores' ] || fail "srun $(cat launched)"
TITAN_SRUN_FLAGS='--mpi=pmi2 --label' slurm 0 ''
[ "$(cut -d ' ' -f 1-3 launched)" = '--mpi=pmi2 --label --cpu-bind=cores' ] || fail "srun $(cat launched)"
TITAN_SRUN_FLAGS='' slurm 0 ''
[ "$(cut -d ' ' -f 1 launched)" = '--cpu-bind=cores' ] || fail "srun $(cat launched)"

INTERFACES='none pmi2' slurm 0 ''
[ "$(cut -d ' ' -f 1 launched)" = '--mpi=pmi2' ] || fail "srun $(cat launched)"
grep -q 'no pmix here; the ranks start with --mpi=pmi2' err || fail "pmi2 in place of pmix is not said: $(cat err)"

# A task of an array has the options of its line, empty lines and comments left out.
printf '%s\n' '--optimizer.lr 1e-3' '' '# a comment' '--optimizer.lr 2e-3 --training.seed 3' >rates.txt
cp "$scripts/slurm/pretrain.sbatch" .
array() { SLURM_ARRAY_TASK_ID=$1 SLURM_SUBMIT_DIR=$folder batch "$2" '' bash "$scripts/slurm/array.sbatch" rates.txt run.toml --training.steps 9; }
array 2 0
ran_with '--job.dump_folder outputs/a_run/2 --training.steps 9 --optimizer.lr 2e-3 --training.seed 3'
array 3 2
grep -q 'rates.txt has no line 3' err || fail "a task without a line: $(cat err)"

# So has a task of an array of PBS, whose continuation keeps its folder.
cp "$scripts/pbs/pretrain.pbs" .
pbs_array() { PBS_ARRAY_INDEX=$1 batch "$2" "$3" env list=rates.txt options='--training.steps 9' bash "$scripts/pbs/array.pbs"; }
pbs_array 2 0 ''
ran_with '--job.dump_folder outputs/a_run/2 --training.steps 9 --optimizer.lr 2e-3 --training.seed 3'
rm -rf outputs
ENDS=75 STEP=3 pbs_array 1 75 "$submitted"
pbs_array 3 2 ''
grep -q 'rates.txt has no line 3' err || fail "a task without a line: $(cat err)"

# Scaling: the program that runs the points gets them; its code 75 is a requeue once a point more is finished.
cat >bin/titan-scaling <<'SCRIPT'
#!/bin/bash
printf '%s|' "$@" >ran
[ "$STEP" = 0 ] || { mkdir -p scaling/a_run/points && touch "scaling/a_run/points/$STEP.csv"; }
exit "$ENDS"
SCRIPT
chmod +x bin/titan-scaling
scaling() { SLURM_JOB_NUM_NODES=2 batch "$1" "$2" bash "$scripts/slurm/scaling.sbatch" run.toml --training.seq_len 64; }
RANKS='1 2' REPEATS=2 scaling 0 ''
[[ "$(cat ran)" == '--out|scaling/a_run|--launch|srun --mpi=pmix --cpu-bind=cores '*'--nodes=1-2 --ntasks=%n|--ranks|1 2|--meshes|fsdp hsdp2 tp2|--repeats|2|'* ]] ||
  fail "scaling: $(cat ran)"
[[ "$(cat ran)" == *'|--config|run.toml|--|--training.seq_len|64|' ]] || fail "scaling: $(cat ran)"
ENDS=75 STEP=1 scaling 75 "$requeued"
ENDS=75 STEP=1 scaling 75 ''
grep -q 'no point was finished in this time' err || fail "scaling: $(cat err)"
SLURM_RESTART_COUNT=10 ENDS=75 STEP=2 scaling 75 ''
grep -q 'most_requeues is 10' err || fail "scaling: $(cat err)"
ENDS=2 STEP=3 scaling 2 ''

# Where srun has neither: SIGUSR1 that comes to the script gets to mpirun, whose code is the script's.
cat >bin/mpirun <<'SCRIPT'
#!/bin/bash
trap 'mkdir -p outputs/a_run/checkpoint; touch outputs/a_run/checkpoint/step-5.h5; exit 75' USR1
kill -USR1 $PPID
for ((i = 0; i < 3000; i++)); do sleep 0.02; done
SCRIPT
rm -rf outputs
INTERFACES=none SLURM_NTASKS=2 batch 75 "$requeued" bash "$scripts/slurm/pretrain.sbatch" run.toml
