#!/usr/bin/env bash
# Property: the scripts parse, quickstart answers --help and a wrong command without doing anything, and the batch scripts go on
# in another job when the run has ended with code 75 and saved, and else end with its code. Oracle: bash's own parser, exit codes,
# and programs in the places of the batch systems' that note how they are called.
set -euo pipefail
cd "$1"
for script in quickstart .ci/run jobscripts/*.sh; do
  bash -n "$script"
  [ -x "$script" ] || { echo "$script is not executable"; exit 1; }
done
./quickstart --help | grep -q './quickstart test'
code=0
./quickstart tset >/dev/null 2>&1 || code=$?
[ "$code" -eq 2 ] || { echo "a wrong command gave exit code $code, not 2"; exit 1; }

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/bin"
# titan-hpc in the place of a run: saves where it is told to, and ends with $ENDS.
cat >"$folder/bin/titan-hpc" <<'SCRIPT'
#!/bin/bash
[ "$SAVES" = yes ] && mkdir -p "$4/checkpoint" && touch "$4/checkpoint/step-3.h5"
exit "$ENDS"
SCRIPT
for launcher in srun mpirun; do # what follows the launcher's own options
  printf '#!/bin/bash\nwhile [ "$1" != titan-hpc ]; do shift; done\nexec "$@"\n' >"$folder/bin/$launcher"
done
for starter in scontrol qsub; do
  printf '#!/bin/bash\necho "%s $*" >>calls\n' $starter >"$folder/bin/$starter"
done
chmod +x "$folder"/bin/*
scripts=$PWD/jobscripts
cd "$folder"
printf 'node\nnode\n' >nodes

# batch WANTED_CODE "WANTED CALL" SCRIPT ARGUMENTS...
batch() {
  local wanted=$1 call=$2 got=0
  shift 2
  rm -rf calls outputs
  PATH="$folder/bin:$PATH" SLURM_JOB_ID=17 PBS_JOBID=17.host PBS_O_WORKDIR=$folder PBS_NODEFILE=$folder/nodes "$@" || got=$?
  [ "$got" = "$wanted" ] || { echo "code $got, expected $wanted: $*"; exit 1; }
  [ "$(cat calls 2>/dev/null)" = "$call" ] || { echo "called: $(cat calls), expected: $call"; exit 1; }
}

export config=run.toml options='--training.steps 9' ENDS SAVES
for ENDS in 0 4 75; do
  for SAVES in no yes; do
    requeue='' submit=''
    if [ $ENDS = 75 ] && [ $SAVES = yes ]; then
      requeue='scontrol requeue 17' submit='qsub -v config,options,script,folder pbs.sh'
    fi
    batch $ENDS "$requeue" bash "$scripts/slurm.sh" run.toml --training.steps 9
    batch $ENDS "$submit" bash "$scripts/pbs.sh"
  done
done
