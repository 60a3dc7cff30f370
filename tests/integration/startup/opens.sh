#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Which files the ranks of a run open and look at, counted by strace on 1 and 8 ranks. Property: ranks above 0 open libraries, the system's and
# the MPI library's files, and of the run's own files the corpus that they read and the two files by which rank 0 makes sure that they see its folders;
# configuration, tokenizer, log and outputs are rank 0's. The counts do not grow with the ranks. Oracle: the system calls.
#
# usage: opens.sh PROGRAM COMPARE WORK
TITAN=$1 COMPARE=$2 WORK=$3
. "$(dirname "$0")/../common.sh"
if ! strace -qq -o /dev/null true 2>/dev/null; then
  echo "SKIPPED: this test needs strace, and permission to use it (Debian: apt-get install strace)"
  exit 77
fi
assets=$(dirname "$TITAN")/assets
mkdir data
cp "$assets/c4_test.jsonl.gz" data/corpus.jsonl.gz
cp "$assets/test_tokenizer.model" data/tokenizer.model
cp "$here/small.toml" data/run.toml
cat >traced <<'SCRIPT'
#!/bin/bash
exec strace -f -qq -e trace=open,openat,stat,lstat,newfstatat,statx,access,faccessat,faccessat2 -o "$CALLS.${OMPI_COMM_WORLD_RANK:-0}" "$@"
SCRIPT
chmod +x traced

# files CALLS RANK: the names in its system calls that are the run's own, a line a call: "open NAME" or "look NAME".
files() {
  sed -nE 's/^[0-9]+ +([a-z0-9]+)\((AT_FDCWD, )?"([^"]*)".*/\1 \3/p' "$1.$2" |
    awk '$2 ~ /^(data|dump)(\/|$)/ { print ($1 ~ /^open/ ? "open " : "look ") $2 }' | sed 's/all-ranks\..*/all-ranks/; s/\.[0-9.]*\.partial$//'
}
# foreign CALLS RANK: names that are neither the run's nor libraries' or the system's, opened with success.
foreign() {
  sed -nE 's/^[0-9]+ +open(at)?\((AT_FDCWD, )?"(\/[^"]*)".* = [0-9]+$/\3/p' "$1.$2" |
    grep -vE '^/(proc|sys|dev|etc|usr|lib|lib64|run|var|opt)/|^/$|\.so(\.[0-9.]*)?$' | grep -vF "${TMPDIR:-/tmp}/ompi." | grep -v '^/\(dev\|proc\|sys\)$'
}

start() { # start RANKS
  CALLS=$PWD/calls$1 launch "$1" ./traced "$TITAN" --job.config_file data/run.toml --training.dataset_path data/corpus.jsonl.gz \
    --model.tokenizer_path data/tokenizer.model --training.steps 1 --training.seq_len 16 --training.batch_size 1 --job.dump_folder dump --job.time_limit -1 \
    >"run$1.out" 2>"run$1.log" || fail "$1 ranks: code $?: $(tail -n 3 "run$1.log")"
  rm -rf dump
}
start 1
start 8

# Rank 0 reads and writes all of it, alone as well as with others: so the filter finds what it looks for.
for ranks in 1 8; do
  for name in data/run.toml data/tokenizer.model data/corpus.jsonl.gz dump/run.log dump/summary.json; do
    files "calls$ranks" 0 | grep -qxF "open $name" || fail "$ranks ranks: rank 0 does not open $name: $(files "calls$ranks" 0 | sort -u | head -n 20)"
  done
done
# Alone it makes sure of nothing; else the counts are the same.
files calls1 0 | grep -v all-ranks | sort | uniq -c >one
files calls8 0 | grep -v all-ranks | sort | uniq -c >eight
diff one eight >differences || echo "rank 0 alone (<) and of eight (>): $(cat differences)"
[ "$(wc -l <differences)" -le 6 ] || fail "rank 0 does other things with 8 ranks: $(cat differences)"

for rank in 1 2 3 4 5 6 7; do
  files calls8 $rank | sort | uniq -c | sed 's/^ *//' >"own.$rank"
  grep -vE '^[12] (open|look) data/corpus\.jsonl\.gz$|^[12] (open|look) dump/\.seen-by-all-ranks$' "own.$rank" >others
  [ ! -s others ] || fail "rank $rank: $(cat others)"
  grep -q 'open data/corpus.jsonl.gz' "own.$rank" || fail "rank $rank reads no data"
  cmp -s own.1 "own.$rank" || fail "ranks 1 and $rank differ: $(diff own.1 "own.$rank")"
  foreign calls8 $rank >others || true
  [ ! -s others ] || fail "rank $rank opens $(sort -u others | head -n 5)"
done
echo "a rank above 0, of the run's files: $(cat own.1)"
finish
