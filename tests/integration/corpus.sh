#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A run trains on one corpus: all ranks have the same, and a resumed run knows it by what it holds. Oracle: exit codes, the
# place where each difference was put, and a run whose corpus stays where it is. Ranks with different working folders and a relative
# dataset path stand for nodes with different copies.
#
# usage: corpus.sh PROGRAM COMPARE WORK PART
TITAN=$1 COMPARE=$2 WORK=$3
part=$4
. "$(dirname "$0")/common.sh"

# documents COUNT: lines of JSON of 193 bytes each.
documents() {
  local i
  for i in $(seq "$1"); do
    printf '{"text": "%s"}\n' "$(printf 'number %4d of the documents, ' $i $i $i $i $i $i)"
  done
}

# put FILE OFFSET BYTES
put() {
  printf '%s' "$3" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

# differ CODE "PART|PART|..." CORPUS OPTIONS...: rank 0 runs in a/, rank 1 in b/.
differ() {
  local wanted=$1 parts=$2 corpus=$3 part
  shift 3
  local -a command=("$TITAN" --job.config_file "$here/small.toml" --job.dump_folder "$WORK/out" --training.dataset_path "$corpus"
    --debug.dump_initial_weights=false "$@")
  timeout -k 10 "$run_timeout" mpirun --oversubscribe --bind-to none -np 1 --wdir "$WORK/a" "${command[@]}" : \
    -np 1 --wdir "$WORK/b" "${command[@]}" >stdout 2>stderr
  local code=$?
  [ $code = "$wanted" ] || fail "exit code $code, expected $wanted: $* $(tail -n 5 stderr)"
  local -a list
  IFS='|' read -ra list <<<"$parts"
  for part in "${list[@]}"; do
    grep -qF -- "$part" stderr || fail "no \"$part\" in $(grep ERROR stderr)"
  done
}

# fresh: a/data and b/data are the same file of 77,200 bytes.
fresh() {
  rm -rf a b
  mkdir a b
  documents 400 >a/data
  cp a/data b/data
}

at_the_start() {
  fresh
  differ 0 '' data --training.steps 2
  put b/data 50 x
  differ 3 "rank 1: host $(hostname): the corpus file data|differs from that of rank 0: the same size, other bytes" data
  fresh
  echo '{"text": "more"}' >>b/data
  differ 3 "rank 1: host $(hostname): the corpus file data|77217 bytes on this host, 77200 on rank 0" data
  rm b/data
  differ 3 "rank 1: host $(hostname): cannot read the corpus file data: No such file" data
  # Folders: rank 0's list counts.
  fresh
  mkdir a/folder b/folder
  mv a/data a/folder/1.json
  mv b/data b/folder/1.json
  cp a/folder/1.json a/folder/2.json
  cp a/folder/1.json b/folder/3.json
  differ 3 'cannot read the corpus file folder/2.json' folder
  cp a/folder/1.json b/folder/2.json
  differ 0 '' folder --training.steps 2
}

# Bytes that no digest sees, in document 30: the step that reads it ends the run where ranks share sequences.
in_a_step() {
  fresh
  put b/data $((30 * 193 + 50)) x
  differ 3 'read different tokens|training.tensor_parallel_degree|no checkpoint' data --training.tensor_parallel_degree 2 \
    --training.steps 60
  local step
  step=$(sed -n 's/.*ERROR - step \([0-9]*\):.*/\1/p' stderr)
  [ "${step:-0}" -gt 1 ] || fail "the first step has the same tokens, and step ${step:-none} is told"
  [ "$(wc -l <out/steps.txt)" = $((step - 1)) ] || fail "$(wc -l <out/steps.txt) steps are on disk, expected those before $step"
  # More files than every rank looks at.
  fresh
  mkdir a/folder b/folder
  for i in $(seq 100 170); do
    cp a/data a/folder/$i.json
    cp a/data b/folder/$i.json
  done
  differ 0 '' folder --training.tensor_parallel_degree 2 --training.steps 2
  put b/folder/100.json 50 x
  differ 3 '' folder --training.tensor_parallel_degree 2 --training.steps 60
}

# The same in a corpus of validation: ranks of a tp group with other tokens, and ranks that disagree about the number of
# windows, which would wait for each other for ever.
in_a_validation() {
  local -a on=(--validation.enabled --validation.dataset_path held_out --validation.seq_len 32 --training.steps 1 --training.seq_len 16)
  local told='validation after step 1: ranks read different text from held_out|has changed during the run'
  local i
  fresh
  documents 60 | sed "s/\$/$(printf '%1200s' '')/" >a/held_out # lines of 1,393 bytes: a digest does not see all of it
  cp a/held_out b/held_out
  put b/held_out $((20 * 1393 + 50)) x
  run_timeout=120 differ 3 "$told" data --training.tensor_parallel_degree 2 "${on[@]}"
  for i in $(seq 8 18); do
    put b/held_out $((i * 1393 + 20)) "$(printf 'qxzjvk%.0s' {1..20})"
  done
  run_timeout=120 differ 3 "$told" data "${on[@]}"
  [ "$(grep -c ' - ERROR - ' stderr)" = 1 ] || fail "not one error: $(grep ERROR stderr)"
}

renamed() {
  local -a on=(--checkpoint.enable_checkpoint --checkpoint.interval 2)
  documents 400 | gzip >one.jsonl.gz
  local name
  for name in kept moved; do
    train $name 1 --training.dataset_path one.jsonl.gz --training.steps 4 "${on[@]}"
  done
  train kept 1 --training.dataset_path one.jsonl.gz --training.steps 6 "${on[@]}"
  mkdir elsewhere
  mv one.jsonl.gz elsewhere/another.json.gz
  train moved 1 --training.dataset_path elsewhere --training.steps 6 "${on[@]}"
  alike moved bitwise 6 kept/steps.txt moved/steps.txt
}

# An index changes no number, whether it fits or not, and a run goes on with it or without.
indexed() {
  local -a on=(--training.dataset_path text.jsonl --checkpoint.enable_checkpoint --checkpoint.interval 5)
  local long i
  long=$(printf 'a long document of words that are repeated, %.0s' {1..8000})
  for i in {1..96}; do # 40 short documents are 10 for each lane; the others are long enough to be worth passing over
    if [ $((i % 48)) -lt 41 ]; then documents "$i" | tail -n 1; else printf '{"text": "%s %s"}\n\n' "$i" "$long"; fi
  done >text.jsonl
  train without 2 "${on[@]}" --training.steps 15
  grep -q 'text.jsonl.index' without.log && fail "an index that is not there: $(grep index without.log)"
  "$(dirname "$TITAN")/titan-corpus" index text.jsonl || fail "titan-corpus index: code $?"
  train with 2 "${on[@]}" --training.steps 15
  alike with bitwise 15 without/steps.txt with/steps.txt
  told_once with 'INFO - The index text.jsonl.index is used: a rank reads its own documents only'
  go_on resumed without
  told_once resumed 'INFO - The index text.jsonl.index is used: a rank reads its own documents only'
  touch text.jsonl
  go_on stale with
  told_once stale 'WARNING - The index text.jsonl.index is not used: the file was changed at'
}

# told_once NAME LINE: of all lines on indexes, once.
told_once() {
  [ "$(grep -c "$2" "$1.log")" = 1 ] && [ "$(grep -c '\.index ' "$1.log")" = 1 ] ||
    fail "$1: expected once: $2; it says: $(grep '\.index' "$1.log")"
}

# go_on NAME FROM: the last 10 steps of the run FROM, out of its checkpoint.
go_on() {
  cp -r "$2" "$1"
  sed -i '6,$d' "$1/steps.txt"
  train "$1" 2 "${on[@]}" --training.steps 15 --checkpoint.load_step 5
  alike "$1" bitwise 15 without/steps.txt "$1/steps.txt"
}

run_part "$part"
finish
