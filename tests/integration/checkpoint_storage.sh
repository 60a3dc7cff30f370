#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Checkpoints on storage that fails, and what is then left. Oracle: the files that were there before, and those of a run
# in which nothing failed.
#
# usage: checkpoint_storage.sh PROGRAM COMPARE WORK PRELOAD failing_calls | altered | no_locks | unreadable | inputs | writes | kept | other_folders |
#                              mpi_io
TITAN=$1 COMPARE=$2 WORK=$3
preload=$4 part=$5
. "$(dirname "$0")/common.sh"
. "$here/checkpoint_common.sh"

# with FAULT COMMAND...: the program's system calls fail (failing_calls.c).
with() {
  local fault=$1
  shift
  TITAN_FAULT=$fault LD_PRELOAD=$preload "$@"
}

# One rank's storage fails: all ranks go on, or end with the code of checkpoints; never with a signal or not at all.
failing_calls() {
  with pwrite:5:1:1 run 0 once tp2 --training.steps 4 --checkpoint.interval 2 --checkpoint.async_mode async
  said once 'The checkpoint of step 2 could not be saved, and the training continues: rank 1: cannot write'
  said once 'step-2.h5: Input/output error'
  [ "$(ls once/checkpoint)" = step-4.h5 ] || fail "after one failure: $(ls once/checkpoint)"
  run 0 straight tp2 --training.steps 4
  same_state straight/checkpoint/step-4.h5 once/checkpoint/step-4.h5
  with fsync:122:0:0 run 4 always fsdp2 --training.steps 4 --checkpoint.interval 3
  said always 'The checkpoint of step 3 could not be saved, and the training continues'
  said always 'the checkpoint of step 4 could not be saved'
  said always 'Disk quota exceeded'
  [ -z "$(ls always/checkpoint)" ] || fail "something is left: $(ls always/checkpoint)"
}

# The storage keeps another byte than it was given: with checkpoint.verify the save fails, the older file stays, and the next save is
# good; without, titan-checkpoint verify finds the byte. Both ways of saving, on a mesh where ranks join columns too.
altered() {
  local mode
  for mode in disabled async async_with_pinned_mem; do
    run 0 "$mode" tp2 --training.steps 2 --checkpoint.interval 1 --checkpoint.keep_latest_k 1 --checkpoint.verify \
      --checkpoint.async_mode $mode
    cksum "$mode"/checkpoint/step-2.h5 >before
    with flip:0:1:1 run 6 "$mode" tp2 --training.steps 5 --checkpoint.interval 1 --checkpoint.keep_latest_k 1 --checkpoint.verify \
      --checkpoint.async_mode $mode --debug.inject_nan_step 4
    said "$mode" 'The checkpoint of step 3 could not be saved, and the training continues: rank 1: checkpoint.verify, reading back what rank 1 wrote: '
    grep -qE "$mode/checkpoint/step-3.h5 is damaged: /(model|optimizer)/.*, rows [0-9]+ to [0-9]+, columns [0-9]+ to [0-9]+, do not match" \
      "$mode.log" || fail "$mode: the place is not told: $(grep verify "$mode.log")"
    [ "$(ls "$mode/checkpoint")" = step-2.h5 ] && cksum "$mode"/checkpoint/step-2.h5 | cmp -s - before ||
      fail "$mode: the older checkpoint did not stay: $(ls "$mode/checkpoint")"
    run 0 "$mode" tp2 --training.steps 5 --checkpoint.interval 1 --checkpoint.keep_latest_k 1 --checkpoint.verify \
      --checkpoint.async_mode $mode
    [ "$(ls "$mode/checkpoint")" = step-5.h5 ] || fail "$mode: after it: $(ls "$mode/checkpoint")"
    "$tool" verify "$mode/checkpoint/step-5.h5" >/dev/null || fail "$mode: the next save is not whole"
  done
  # The last save must be good.
  with flip:0:0:1 run 4 last fsdp2 --training.steps 2 --checkpoint.verify
  said last 'the checkpoint of step 2 could not be saved: checkpoint.verify, reading back what rank 0 wrote: last/checkpoint/step-2.h5 is damaged'
  [ -z "$(ls last/checkpoint)" ] || fail "something is left: $(ls last/checkpoint)"
  with flip:0:1:1 run 0 without tp2 --training.steps 2
  "$tool" verify without/checkpoint/step-2.h5 >verify.out 2>&1 && fail "the altered byte was not there"
}

# ENOSYS; others in the unit test of the same name.
no_locks() {
  local running left=600
  with flock:38:-1:0 attempt first one --training.steps 100000 --checkpoint.interval 100000 &
  running=$!
  until [ -s first/steps.txt ] || [ $left = 0 ]; do
    sleep 0.1
    left=$((left - 1))
  done
  echo mine >first/checkpoint/step-9.h5.partial
  with flock:38:-1:0 run 2 first one --training.steps 2
  said first 'another run is writing to this folder'
  with flock:38:-1:0 run 2 second one --training.steps 2 --checkpoint.folder ../first/checkpoint
  said second 'another run is writing to this folder'
  [ "$(cat first/checkpoint/step-9.h5.partial)" = mine ] || fail "a run removed what another one writes"
  kill -KILL $(processes_of first)
  wait $running
  with flock:38:-1:0 run 0 first fsdp2 --training.steps 2
  said first 'This file system has no locks (Function not implemented)'
  [ -e first/checkpoint/step-9.h5.partial ] && fail "what a killed run left is still there"
  [ -z "$(find first -name '*.holder')" ] || fail "left: $(find first -name '*.holder')"
}

# A file that cannot be read may be whole: the run ends, and writes over nothing.
unreadable() {
  run 0 u fsdp2 --training.steps 4 --checkpoint.interval 2 || return
  cksum u/checkpoint/* >before
  with pread:5:1:0 run 4 u fsdp2 --training.steps 6 --checkpoint.interval 1
  said u 'u/checkpoint/step-4.h5 cannot be read at byte'
  said u 'Input/output error'
  grep -q 'trying the checkpoint before it' u.log && fail "an error in reading was taken for damage"
  cksum u/checkpoint/* | cmp -s - before || fail "files have changed: $(ls u/checkpoint)"
  # So it is where the file tells how its run began: from step 2 the run would go back, and overwrite what descends from it.
  run 0 u fsdp2 --training.steps 6 --checkpoint.interval 1 --checkpoint.load_step 4
  rm u/checkpoint/step-5.h5
  cksum u/checkpoint/* >before
  TITAN_FAULT_FILE=step-6.h5 with pread:5:0:0 run 4 u fsdp2 --training.steps 7 --checkpoint.interval 1 --checkpoint.load_step 4
  said u 'u/checkpoint/step-6.h5 cannot be read at byte'
  cksum u/checkpoint/* | cmp -s - before || fail "load_step: files have changed: $(ls u/checkpoint)"
  mv u/checkpoint/step-4.h5 .
  TITAN_FAULT_FILE=step-6.h5 with pread:5:0:0 run 4 u fsdp2 --training.steps 7 --checkpoint.interval 1 --checkpoint.load_step 4
  said u 'u/checkpoint/step-6.h5 cannot be read at byte'
  mv step-4.h5 u/checkpoint
  TITAN_FAULT_FILE=step-6.h5 with pread:5:0:0 run 4 u fsdp2 --training.steps 7 --checkpoint.interval 1 \
    --checkpoint.exclude_from_loading optimizer
  said u 'u/checkpoint/step-6.h5 cannot be read at byte'
  cksum u/checkpoint/* | cmp -s - before || fail "exclude_from_loading: files have changed: $(ls u/checkpoint)"
  # Once the storage reads again, the same command goes on.
  run 0 u fsdp2 --training.steps 7 --checkpoint.interval 1 --checkpoint.load_step 4
  said u 'was applied at an earlier start: the run resumes from step 6'
}

# What a run reads beside its own checkpoints: an error in reading is told with the file and the system's reason, is not taken
# for the end of the file, and nothing is written over.
inputs() {
  local assets
  assets=$(dirname "$TITAN")/assets
  run 0 base fsdp2 --training.steps 2 --checkpoint.interval 2 || return
  "$tool" export base/checkpoint/step-2.h5 hf --hf >/dev/null || fail "no export"
  cksum base/checkpoint/* >before
  # Weights to begin with, of each kind.
  with pread:5:1:0 run 4 other fsdp2 --checkpoint.initial_load_path base
  said other 'base/checkpoint/step-2.h5 cannot be read at byte'
  TITAN_FAULT_FILE=model.safetensors with pread:5:1:0 run 4 other fsdp2 --checkpoint.initial_load_path hf
  said other 'cannot read hf/model.safetensors: Input/output error'
  ln -sf /proc/self/mem hf/config.json # opens, and gives EIO at its start
  run 4 other fsdp2 --checkpoint.initial_load_path hf
  said other 'cannot read hf/config.json: Input/output error'
  [ -z "$(ls other/checkpoint)" ] || fail "other: $(ls other/checkpoint)"
  # The corpus, at its start and further inside, and the tokenizer.
  cp "$assets/c4_test.jsonl.gz" corpus.jsonl.gz
  TITAN_FAULT_FILE=corpus.jsonl.gz with pread:5:1:0 run 3 base fsdp2 --training.steps 4 --training.dataset_path corpus.jsonl.gz
  said base 'cannot read the corpus file corpus.jsonl.gz: Input/output error'
  TITAN_FAULT_FILE=corpus.jsonl.gz with read:5:1:0 run 3 base fsdp2 --training.steps 4 --training.dataset_path corpus.jsonl.gz
  said base 'corpus.jsonl.gz:1: cannot read: Input/output error (byte 0 of the file)'
  run 2 base fsdp2 --training.steps 4 --model.tokenizer_path /proc/self/mem
  said base 'cannot read the tokenizer /proc/self/mem: Input/output error'
  # metrics.h5 never stops a run: what cannot be read is kept.
  cp base/metrics.h5 whole.h5
  cksum base/checkpoint/* | cmp -s - before || fail "files have changed: $(ls base/checkpoint)"
  TITAN_FAULT_FILE=/metrics.h5 with pread:5:0:1 run 0 base fsdp2 --training.steps 4
  said base 'Input/output error; it is kept as base/metrics.1.h5, and a new file starts'
  cmp -s whole.h5 base/metrics.1.h5 || fail "what metrics.h5 held is not kept"
}

# A save writes few and large pieces, of tensors that the mesh cuts by columns too, and each byte once. Oracles: the file's size; 75
# parameters and their two moments are 225 tensors, of which each of four ranks writes its rows at once, and 100 writes are left
# for the structure.
writes() {
  local mesh count bytes size
  for mesh in tp4 fsdp2tp2 fsdp4; do
    TITAN_COUNT=$PWD/$mesh. LD_PRELOAD=$preload run 0 "$mesh" "$mesh" --training.steps 1
    size=$(stat -c %s "$mesh/checkpoint/step-1.h5")
    cat "$mesh".[0-9]* >counts || fail "$mesh: nothing was counted"
    count=$(awk '{ sum += $1 } END { print sum }' counts)
    bytes=$(awk '{ sum += $2 } END { print sum }' counts)
    echo "$mesh: $count writes of $bytes bytes for a file of $size"
    [ "$count" -le 1000 ] || fail "$mesh: $count writes of a file of $size bytes"
    [ "$bytes" -ge $((size * 9 / 10)) ] && [ "$bytes" -le $((size * 11 / 10)) ] ||
      fail "$mesh: $bytes bytes were written into a file of $size"
  done
}

# A save that fails leaves the files that it would have replaced, whatever is kept; every file of saves beside the
# training is that of saves at once.
kept() {
  local keep step
  for keep in 1 2; do
    run 0 "k$keep" one --training.steps 2 --checkpoint.interval 1 --checkpoint.keep_latest_k $keep
    cksum "k$keep"/checkpoint/step-*.h5 >before
    mkdir "k$keep/checkpoint/step-3.h5.partial" # stands where the next file would be written
    run 6 "k$keep" one --training.steps 5 --checkpoint.interval 1 --checkpoint.keep_latest_k $keep \
      --debug.inject_nan_step 4
    said "k$keep" 'The checkpoint of step 3 could not be saved'
    rmdir "k$keep/checkpoint/step-3.h5.partial"
    cksum "k$keep"/checkpoint/step-*.h5 | cmp -s - before || fail "keep $keep: $(ls "k$keep/checkpoint")"
    [ "$(ls "k$keep/checkpoint" | wc -l)" = $keep ] || fail "keep $keep: $(ls "k$keep/checkpoint")"
  done
  run 0 sync fsdp2 --training.steps 4 --checkpoint.interval 1
  run 0 async fsdp2 --training.steps 4 --checkpoint.interval 1 --checkpoint.async_mode async_with_pinned_mem
  for step in 1 2 3 4; do
    same_state sync/checkpoint/step-$step.h5 async/checkpoint/step-$step.h5
  done
}

other_folders() {
  # An absolute folder is taken as it is; so is one that leaves the dump folder. The trial of an estimate leaves both alone.
  run 0 a one --training.steps 1 --checkpoint.folder "$PWD/elsewhere"
  [ "$(ls elsewhere)" = step-1.h5 ] || fail "elsewhere: $(ls elsewhere)"
  [ -z "$(find a -name '*step-1*')" ] || fail "in the dump folder: $(find a)"
  cksum elsewhere/step-1.h5 >before
  run 0 a one --training.steps 1 --checkpoint.folder "$PWD/elsewhere" --memory_estimation.enabled \
    --memory_estimation.disable_fake_mode
  cksum elsewhere/step-1.h5 | cmp -s - before || fail "an estimate has touched a checkpoint"
  # Weights only, at the end of a run that keeps one file: the last whole checkpoint stays.
  run 0 w one --training.steps 2 --checkpoint.interval 1 --checkpoint.keep_latest_k 1 --checkpoint.model_weights_only
  [ "$(echo $(ls w/checkpoint))" = 'step-1.h5 step-2.h5' ] || fail "weights only: $(ls w/checkpoint)"
  "$tool" show w/checkpoint/step-1.h5 >show.out || fail "the whole checkpoint is gone"
  # No room: said at the start, where a small file system can be had.
  unshare -m true 2>/dev/null || return
  mkdir small
  unshare -m bash -c "mount -t tmpfs -o size=150m none small && exec '$TITAN' --job.config_file '$here/small.toml' \
    --job.dump_folder small/d --training.seq_len 16 --training.batch_size 4 --training.steps 4 \
    --checkpoint.enable_checkpoint --checkpoint.interval 1 --checkpoint.keep_latest_k 1" 2>small.log
  local code=$?
  [ $code = 4 ] || fail "a full disk: code $code"
  said small 'has space for 1 more checkpoint of 0.09 GiB, and this run needs space for 2'
  said small 'could not be saved'
}

# With hints MPI-IO makes the file. Whichever of Open MPI's I/O components does it, eight ranks write the same tensors and state as
# without hints, and no rank locks a part of the file. Oracles: the file of a run without hints; the system calls, where strace is there.
mpi_io() {
  local component name traced=$TITAN locks
  if strace -qq -o /dev/null true 2>/dev/null; then
    traced=$PWD/traced
    printf '#!/bin/bash\nexec strace -f -qq -e trace=fcntl,pwrite64 -o "$CALLS.${OMPI_COMM_WORLD_RANK:-0}" "%s" "$@"\n' "$TITAN" >traced
    chmod +x traced
  else
    echo "locks are not counted: this part needs strace, and permission to use it (Debian: apt-get install strace)"
  fi
  run 0 plain fsdp4tp2 --training.steps 1 || return
  for component in romio321 ompio/dynamic ompio/dynamic_gen2 ompio/individual ompio/two_phase ompio/vulcan; do
    name=${component#*/}
    ompi_info --param all all 2>/dev/null | grep -q "MCA $([ "$component" = "$name" ] && echo io || echo fcoll): $name " || continue
    export OMPI_MCA_io=${component%/*} OMPI_MCA_fcoll= CALLS=$PWD/calls.$name
    [ "$component" = "$name" ] && unset OMPI_MCA_fcoll || OMPI_MCA_fcoll=$name
    TITAN=$traced run 0 "$name" fsdp4tp2 --training.steps 1 --checkpoint.mpi_io_hints romio_no_indep_rw=false || continue
    same_state plain/checkpoint/step-1.h5 "$name/checkpoint/step-1.h5"
    [ "$traced" = "$TITAN" ] && continue
    grep -q pwrite64 "$CALLS.7" || fail "$name: nothing was traced"
    locks=$(cat "$CALLS".[0-7] | grep -cE 'F_(OFD_)?SETLKW?' || true)
    [ "$locks" = 0 ] || fail "$name: $locks locks of parts of files: $(cat "$CALLS".[0-7] | grep -m 2 -E 'F_(OFD_)?SETLKW?')"
    echo "$name: no lock"
  done
  unset OMPI_MCA_io OMPI_MCA_fcoll
}

run_part "$part"
finish
