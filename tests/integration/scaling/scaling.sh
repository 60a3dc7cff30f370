#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# titan-scaling on 1 and 2 ranks: every point is in the files, its bytes are what the formulas of docs/performance.md allow, a second start runs
# only what is missing, a signal stops it, wrong words and other settings are refused. Oracles: the columns' own arithmetic, the time stamps of
# the runs, exit codes.
#
# usage: scaling.sh PROGRAM COMPARE WORK SCALING
TITAN=$1 COMPARE=$2 WORK=$3 SCALING=$4
. "$(dirname "$0")/../common.sh"
export TITAN_HPC=$TITAN
run_timeout=2400 # of twenty runs one after another, on a busy machine too

# scaling CODE OPTIONS...
scaling() {
  local wanted=$1 code=0
  shift
  timeout -k 10 "$run_timeout" "$SCALING" "$@" >out.txt 2>log.txt || code=$?
  [ $code = "$wanted" ] || fail "code $code, expected $wanted: $*: $(tail -n 3 log.txt)"
}
said() { grep -qF -- "$1" log.txt || fail "not said: $1: $(tail -n 3 log.txt)"; }
tiny=(--out result --config "$here/small.toml" --ranks '1 2' --meshes 'fsdp ddp tp2' --batch 1 --steps 2 --repeats 2)
options=(-- --training.seq_len 16 --comm.intra_node mpi)

scaling 0 "${tiny[@]}" "${options[@]}"
said 'weak tp2: 1 ranks have no such mesh or batch; left out'
[ "$(wc -l <result/scaling.csv)" = 21 ] || fail "scaling.csv: $(cat result/scaling.csv)" # 5 points, two modes, two repeats
[ "$(wc -l <result/medians.csv)" = 10 ] || fail "medians.csv: $(cat result/medians.csv)"
[ "$(grep -c '^| \(weak\|strong\) |' result/scaling.md)" = 10 ] || fail "scaling.md: $(cat result/scaling.md)"
cmp -s out.txt result/scaling.md || fail "the table is not printed"
# One rank moves nothing; a replica moves its gradients once; others at least what they must, and at most half as much again.
awk -F , 'NR > 1 && !($10 > 0 && $11 > 0 && $12 >= 0 && $12 < $11 && $16 > 0) { print "numbers: " $0; bad = 1 }
  NR > 1 && $3 == 1 && $13 != 0 { print "one rank: " $0; bad = 1 }
  NR > 1 && $3 == 2 && !($15 >= 0.999 && $15 <= ($2 == "ddp" ? 1.001 : $2 == "fsdp" ? 1.05 : 1.5)) { print "bytes: " $0; bad = 1 }
  NR > 1 { tokens = $10 * $11; wanted = 16 * ($1 == "weak" ? $3 : 2); if (tokens / wanted < 0.99 || tokens / wanted > 1.01) { print "tokens: " $0; bad = 1 } }
  END { exit bad }' result/scaling.csv || fail "scaling.csv is wrong"
# The base of each mode has the efficiency 1, and a median lies between least and greatest.
awk -F , '$3 == 1 && $2 == "fsdp" && $8 != 1 { bad = 1 } !($6 <= $5 && $5 <= $7) { bad = 1 } END { exit bad }' result/medians.csv ||
  fail "medians: $(cat result/medians.csv)"
# Exposed communication is a part of the step, also the median of it.
awk -F , '!($9 >= 0 && $9 <= 100) { bad = 1 } END { exit bad }' result/medians.csv || fail "exposed: $(cut -d , -f 9 result/medians.csv | tr '\n' ' ')"
if command -v gnuplot >/dev/null; then
  for file in tokens_per_second efficiency; do
    [ "$(head -c 4 result/$file.png | tail -c 3)" = PNG ] || fail "$file.png is no PNG"
    grep -q '<svg' result/$file.svg || fail "$file.svg is no SVG"
  done
else
  said 'gnuplot is not there: no plots'
fi
# The HDF5 file has the numbers of the CSV files.
if command -v h5import >/dev/null && command -v h5dump >/dev/null; then
  # data_set NAME: its values, one a line.
  data_set() { h5dump -y -w 1 -m %.9g -d "$1" result/scaling.h5 | sed -n '/DATA {/,/}/p' | tr -d ' ",}' | grep -v -e DATA -e '^$'; }
  data_set /runs/tokens_per_second | awk '{ printf "%.6g\n", $1 }' >values
  tail -n +2 result/scaling.csv | cut -d , -f 10 | awk '{ printf "%.6g\n", $1 }' | cmp -s - values || fail "runs/tokens_per_second: $(head values)"
  data_set /runs/ranks | cmp -s - <(tail -n +2 result/scaling.csv | cut -d , -f 3) || fail "runs/ranks: $(data_set /runs/ranks)"
  data_set /medians/mesh | cmp -s - <(cut -d , -f 2 result/medians.csv) || fail "medians/mesh: $(data_set /medians/mesh)"
  data_set /medians/memory_gib | awk '{ printf "%.3f\n", $1 }' | cmp -s - <(cut -d , -f 13 result/medians.csv) || fail "medians/memory_gib"
else
  said 'h5import is not there: no scaling.h5'
fi
mkdir without
for tool in timeout bash awk sed grep sort cut tail head tr cat mkdir rm mv cksum dirname cmp; do ln -s "$(command -v $tool)" without; done
cp -r result again
PATH=$PWD/without scaling 0 --out again "${tiny[@]:2}" "${options[@]}" # all points are there: no mpirun is needed
said 'gnuplot is not there: no plots'
said 'h5import is not there: no scaling.h5'

# What is missing is run, and nothing else.
rm result/points/weak-tp2-2-2.csv
touch stamp
sleep 1
scaling 0 "${tiny[@]}" "${options[@]}"
[ "$(find result/points -newer stamp -name '*.csv')" = result/points/weak-tp2-2-2.csv ] || fail "run again: $(find result/points -newer stamp)"
[ "$(wc -l <result/scaling.csv)" = 21 ] || fail "scaling.csv after it: $(cat result/scaling.csv)"

# A signal ends it, and the point under way does not count.
"$SCALING" --out stopped --config "$here/small.toml" --ranks 1 --modes weak --steps 100000 --repeats 1 "${options[@]}" >out.txt 2>log.txt &
process=$!
wait_until 120 test -s stopped/runs/weak-fsdp-1-1.log || fail "no run began"
kill -USR1 $process
code=0
wait $process || code=$?
[ $code = 75 ] || fail "code $code after SIGUSR1: $(cat log.txt)"
[ -z "$(ls stopped/points)" ] || fail "a stopped point counts: $(ls stopped/points)"

# What is wrong is refused before anything runs; a run's error is the script's.
scaling 2 --config "$here/small.toml"
said 'expected --out FOLDER and --config'
scaling 2 --out new --config missing.toml
said 'cannot read missing.toml'
scaling 2 --out new --config "$here/small.toml" --meshes 'fsdp cube'
said '--meshes: cube is none'
scaling 2 --out new --config "$here/small.toml" --ranks '1 x'
said '--ranks x: expected an integer of at least 1'
scaling 2 "${tiny[@]}" "${options[@]}" --training.seq_len 32
said 'result has points of another configuration'
[ ! -e new ] || fail "a refused start made a folder"
scaling 2 --out failed --config "$here/small.toml" --ranks 1 --modes weak -- --no.such_option 1
said 'weak-fsdp-1-1 ended with code 2'
finish
