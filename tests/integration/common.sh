# SPDX-License-Identifier: Apache-2.0
# What the integration tests share. A test sources it with the variables TITAN (the program), COMPARE (compare_steps)
# and WORK (a folder of its own, made afresh here) set, and ends with `finish`.
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
failures=0
rm -rf "$WORK"
mkdir -p "$WORK"
cd "$WORK" || exit 1
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
unset SLURM_JOB_END_TIME # of a job that runs the tests
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
run_timeout=${run_timeout:-300} # far above any run's time: it only turns a hang into a failure

fail() {
  echo "FAILED: $*"
  failures=$((failures + 1))
}

# run_part FUNCTION ARGUMENTS...: of a script that has several.
run_part() {
  declare -F "$1" >/dev/null || fail "there is no part $1"
  "$@"
}

# The outputs of a test that passed are removed, as those of the whole suite would take 30 GiB; TITAN_KEEP_OUTPUTS=1 keeps them.
finish() {
  echo "$failures failed"
  cd /
  [ $failures -gt 0 ] || [ -n "${TITAN_KEEP_OUTPUTS:-}" ] || rm -rf "$WORK"
  exit $((failures > 0))
}

# launch RANKS COMMAND...: one rank runs without mpirun, as users start it.
launch() {
  local ranks=$1
  shift
  if [ "$ranks" = 1 ]; then
    timeout -k 10 "$run_timeout" "$@"
  else
    timeout -k 10 "$run_timeout" mpirun --oversubscribe --bind-to none -np "$ranks" "$@"
  fi
}

# train NAME RANKS OPTIONS...: a run of small.toml that must end well; its output is in NAME/, its log in NAME.log.
train() {
  local name=$1 ranks=$2 start=$SECONDS
  shift 2
  launch "$ranks" "$TITAN" --job.config_file "$here/small.toml" --job.dump_folder "$name" "$@" >"$name.out" 2>"$name.log"
  local code=$?
  echo "$name: $ranks ranks, $((SECONDS - start)) s"
  [ $code = 0 ] && return 0
  fail "$name ended with code $code: $*"
  tail -n 20 "$name.log"
  return 1
}

# alive PROCESS; gone PROCESSES...: none of them is.
alive() { [ -n "$(sed -n 's/^State:\t\([^Z]\).*/\1/p' "/proc/$1/status" 2>/dev/null)" ]; }
gone() {
  local process
  for process in "$@"; do
    alive "$process" && return 1
  done
  return 0
}
# wait_until SECONDS COMMAND...
wait_until() {
  local left=$(($1 * 20))
  shift
  until "$@"; do
    [ $left -gt 0 ] || return 1
    left=$((left - 1))
    sleep 0.05
  done
}

# alike NAME MODE ARGUMENTS...: compare_steps must find no difference.
alike() {
  local name=$1
  shift
  "$COMPARE" "$@" || fail "$name: compare_steps $*"
}
