#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Bad input ends a run with the documented exit code and one message that names the place, on every rank count, without
# a hang (a time limit) and without a crash: stderr holds the program's log, in it one ERROR that has the expected parts, and
# beside it nothing but mpirun's own notice that a rank has ended with an error. Oracle: the table of exit codes (2 usage, 3 data, 6
# numbers) and the places where each case's damage was put.
#
# usage: bad_input.sh PROGRAM COMPARE WORK PART RANKS
TITAN=$1 COMPARE=$2 WORK=$3
part=$4 ranks=$5
. "$(dirname "$0")/common.sh"
run_timeout=${TITAN_CASE_TIMEOUT:-180}
small=$here/small.toml
assets=$(dirname "$TITAN")/assets
[ -d "$assets" ] || { echo "no assets beside $TITAN"; exit 1; }

# refused CODE "PART|PART|..." OPTIONS...: small.toml with these options.
refused() {
  local code=$1 parts=$2
  shift 2
  expect "$code" "$parts" --job.config_file "$small" "$@"
}

# expect CODE "PART|PART|..." OPTIONS...
expect() {
  local code=$1 parts=$2
  shift 2
  judge "$code" "$parts" "$TITAN" "$@"
}

# judge CODE "PART|PART|..." COMMAND...: runs it, then looks at all it has left behind.
judge() {
  local wanted=$1 parts=$2 code part
  shift 2
  cases=$((cases + 1))
  launch "$ranks" "$@" >stdout 2>stderr
  code=$?
  local before=$failures
  [ "$code" = "$wanted" ] || fail "exit code $code, expected $wanted"
  [ -s stdout ] && fail "it wrote to stdout"
  grep -q 'MPI_ABORT was invoked' stderr && fail "MPI_Abort, although all ranks could end by themselves"
  # mpirun's notices stand between lines of dashes; ranks that it ends early may leave a line before.
  sed -e '/^-----*$/,/^-----*$/d' stderr >own
  [ "$(grep -c ' - root - ERROR - ' own)" = 1 ] || fail "$(grep -c ' - root - ERROR - ' own) ERROR lines, expected one"
  # The error is the ERROR line and the lines that continue it, to the next line of the log.
  sed -n '/ - root - ERROR - /,$p' own >message
  sed -n '1!{/^\[rank[0-9]*\]:/p}' message >after
  [ -s after ] && fail "the log goes on after the error: $(head -n 1 after)"
  head -n 1 message | grep -q '^\[rank0\]:' || fail "it is not rank 0 that tells"
  local -a list
  IFS='|' read -ra list <<<"$parts"
  for part in "${list[@]}"; do
    grep -qF -- "$part" message || fail "no \"$part\" in the message"
  done
  sed -n '/ - root - ERROR - /q;/^\[rank0\]:/!p' own >strange
  [ -s strange ] && fail "lines that are not the log's: $(head -n 3 strange)"
  grep -qE 'Segmentation|Assertion|runtime error|Sanitizer|process received signal|\.c:[0-9]|MPI_ERR|leak|Killed|bad_alloc' stderr &&
    fail "signs of a crash"
  if [ $failures != "$before" ]; then
    echo "  in: $*"
    sed 's/^/  | /' stderr
  elif [ -n "${TITAN_SHOW:-}" ]; then
    sed 's/^\[rank0\]:.* - ERROR - //' message
  fi
}

# A configuration file's text comes from stdin.
write() {
  mkdir -p "$(dirname "$1")"
  cat >"$1"
}

options() {
  refused 2 'modle.name|unknown|--model.name' --modle.name llama3
  refused 2 'training.stepz|unknown|--training.steps' --training.stepz 5
  refused 2 'model.norm_type|batchnorm|layernorm|rmsnorm' --model.norm_type batchnorm
  refused 2 'model.name|gpt2|llama3' --model.name gpt2
  refused 2 'model.flavor|9B|command line|debugmodel' --model.flavor 9B
  refused 2 'training.steps|12x' --training.steps 12x
  refused 2 'optimizer.lr|fast' --optimizer.lr fast
  refused 2 'optimizer.name|expected one of AdamW, Adam, SGD|"Lion"' --optimizer.name Lion
  refused 2 'optimizer.lr|nan' --optimizer.lr nan
  refused 2 'training.steps|99999999999999999999' --training.steps 99999999999999999999
  refused 2 'debug.dump_graph|maybe' --debug.dump_graph=maybe
  refused 2 'debug.find_nonfinite|maybe|auto, on, off' --debug.find_nonfinite maybe
  refused 2 'training.steps|got no value' --training.steps
  refused 2 'unexpected argument|"train"' train
  refused 2 'training.batch_size|at least 1|"0"' --training.batch_size 0
  refused 2 'training.seq_len|at least 1|"0"' --training.seq_len 0
  refused 2 'training.seq_len|at least 1|"-5"' --training.seq_len -5
  refused 2 'training.steps|at least 1|"0"' --training.steps 0
  refused 2 'training.max_norm' --training.max_norm 0
  refused 2 'lr_scheduler.decay_type|linear, sqrt, cosine|"step"' --lr_scheduler.decay_type step
  refused 2 'lr_scheduler.decay_ratio|from 0 to 1, or -1|"1.5"|lr_scheduler.lr_min|from 0 to 1, got "-1"' \
    --lr_scheduler.decay_ratio 1.5 --lr_scheduler.lr_min -1
  refused 2 'optimizer.beta1|below 1|optimizer.no_decay|norm, embedding, output|"bias"|validation.freq|at least 1' \
    --optimizer.beta1 1 --optimizer.no_decay bias --validation.freq 0
  refused 2 'model.tie_embeddings|auto, true, false|"yes"' --model.tie_embeddings yes
  refused 2 'optimizer.no_decay = norm,output (command line) names one of embedding and output, which are one parameter' \
    --model.tie_embeddings true --optimizer.no_decay norm,output
  refused 2 "training.global_batch_size = 7 (command line)|times the number of data-parallel ranks, $ranks; the nearest: " \
    --training.global_batch_size 7
  refused 2 'metrics.enable_wandb|TensorBoard|metrics.h5' --metrics.enable_wandb
  refused 2 'checkpoint.interval|at least 1|"0"' --checkpoint.interval 0
  refused 2 'training.dataset|c4|training.dataset_path' --training.dataset c4
  # Two problems are told in one message.
  refused 2 'training.steps|"0"|training.batch_size|"-1"' --training.steps 0 --training.batch_size -1
  # Degrees: neither 5 nor 3 divides 1 or 4 ranks, and no rank is left idle.
  refused 2 "Invalid parallel dims: dp_replicate(1) * dp_shard(5) * cp(1) * tp(1) * pp(1) != WORLD_SIZE($ranks)" \
    --training.data_parallel_shard_degree 5
  refused 2 "Invalid parallel dims: dp_replicate(3)|!= WORLD_SIZE($ranks): the product of|must be the number of ranks, $ranks (mpirun -np)" \
    --training.data_parallel_replicate_degree 3
  refused 2 "Invalid parallel dims: dp_replicate(8) * dp_shard(8)|!= WORLD_SIZE($ranks)" \
    --training.data_parallel_replicate_degree 8 --training.data_parallel_shard_degree 8
  refused 2 'training.data_parallel_shard_degree|at least 1|"-2"' --training.data_parallel_shard_degree -2
  refused 2 'training.data_parallel_replicate_degree|at least 1|"0"' --training.data_parallel_replicate_degree 0
  # 16 heads and 256 columns cannot be cut in three.
  refused 2 'training.tensor_parallel_degree = 3' --training.tensor_parallel_degree 3
  refused 2 'experimental.pipeline_parallel_degree = 3' --experimental.pipeline_parallel_degree 3
}

files() {
  printf '[training]\nsteps = 5\n\n[traning]\nsteps = 5\n' | write section.toml
  expect 2 'section.toml:4|traning|unknown section|training' --job.config_file section.toml
  printf '[training]\nsteps = 5\nstepz = 5\n' | write key.toml
  expect 2 'key.toml:3|training.stepz|unknown key|training.steps' --job.config_file key.toml
  printf '[training]\nsteps = 5\nsteps = 5\n' | write repeated.toml
  expect 2 'repeated.toml:3' --job.config_file repeated.toml
  printf '[training]\nsteps = 5\nseq_len = "long"\n' | write type.toml
  expect 2 'type.toml:3|training.seq_len|long' --job.config_file type.toml
  printf '[model]\n\nnorm_type = "batchnorm"\n' | write choice.toml
  expect 2 'choice.toml:3|model.norm_type|batchnorm' --job.config_file choice.toml
  printf '[training]\nbatch_size = 0\n' | write zero.toml
  expect 2 'zero.toml:2|training.batch_size|at least 1' --job.config_file zero.toml
  printf '[training]\nsteps = 5\nseq_len = = 5\n' | write syntax.toml
  expect 2 'syntax.toml:3|TOML' --job.config_file syntax.toml
  printf '[training\nsteps = 5\n' | write header.toml
  expect 2 'header.toml:1|TOML' --job.config_file header.toml
  printf 'training:\n{\n  steps = ;\n};\n' | write syntax.cfg
  expect 2 'syntax.cfg:3' --job.config_file syntax.cfg
  printf 'training:\n{\n  steps = 5;\n  stepz = 5;\n};\n' | write key.cfg
  expect 2 'key.cfg:4|training.stepz|unknown key|training.steps' --job.config_file key.cfg
  printf 'training:\n{\n  steps = 5;\n  steps = 6;\n};\n' | write repeated.cfg
  expect 2 'repeated.cfg:4' --job.config_file repeated.cfg
  printf 'traning:\n{\n  steps = 5;\n};\n' | write section.cfg
  expect 2 'section.cfg:1|traning|unknown section|training' --job.config_file section.cfg
  expect 2 'nowhere.toml|No such file' --job.config_file nowhere.toml
  expect 2 'run.yaml|.toml|.cfg' --job.config_file run.yaml
  mkdir folder.toml folder.cfg
  expect 2 'folder.toml|folder|cannot read' --job.config_file folder.toml
  expect 2 'folder.cfg|folder|cannot read' --job.config_file folder.cfg
  ln -s /proc/self/mem unreadable.toml # opens, but cannot be read at its start
  expect 2 'unreadable.toml|cannot read' --job.config_file unreadable.toml
  if [ "$(id -u)" != 0 ]; then
    printf '[training]\n' | write closed.toml
    chmod 000 closed.toml
    expect 2 'closed.toml|Permission denied' --job.config_file closed.toml
  fi
  # The dump folder.
  echo text >plain
  refused 2 'job.dump_folder = plain/below|command line|plain' --job.dump_folder plain/below
  refused 2 'job.dump_folder = plain|command line' --job.dump_folder plain
  refused 2 'job.dump_folder = /proc/titan-hpc/out|command line|/proc/titan-hpc' --job.dump_folder /proc/titan-hpc/out
  if [ "$(id -u)" != 0 ]; then
    mkdir -m 555 read_only
    refused 2 'job.dump_folder = read_only/out|Permission denied' --job.dump_folder read_only/out
  fi
}

# documents COUNT: lines of JSON, about 300 bytes each.
documents() {
  local i
  for i in $(seq "$1"); do
    printf '{"text": "%s", "url": "d%d"}\n' "$(printf 'the quick brown fox number %d jumps. ' $i $i $i $i $i $i $i $i)" $i
  done
}

# As refused; told before the model is made.
refused_early() {
  refused "$@"
  grep -q 'total parameters' stderr && fail "the model was made before this was told: $2"
}

data() {
  refused 2 'nowhere.jsonl|No such file|training.dataset_path' --training.dataset_path nowhere.jsonl
  { documents 3; echo '{"body": "no text here"}'; documents 40; } >no_text.jsonl
  refused 3 'no_text.jsonl:4|"text"' --training.dataset_path no_text.jsonl
  { documents 2; echo '{"text": "cut off'; documents 40; } >broken.jsonl
  refused 3 'broken.jsonl:3' --training.dataset_path broken.jsonl
  { documents 2; echo '{"text": 17}'; documents 40; } >number.jsonl
  refused 3 'number.jsonl:3|"text"' --training.dataset_path number.jsonl
  documents 40 | gzip >whole.jsonl.gz
  head -c $(($(stat -c %s whole.jsonl.gz) / 2)) whole.jsonl.gz >truncated.jsonl.gz
  # Some lanes are filled before the end: the run must not pass over the damage in silence, so it is made to read on.
  refused 3 'truncated.jsonl.gz:|truncated' --training.dataset_path truncated.jsonl.gz --training.steps 200
  : >empty.jsonl
  refused 3 'empty.jsonl|is empty' --training.dataset_path empty.jsonl
  mkdir nothing
  refused 3 'training.dataset_path|nothing|no file' --training.dataset_path nothing
  echo '{"text": "short"}' >short.jsonl
  refused 3 'short.jsonl|window' --training.dataset_path short.jsonl
  mkdir mixed
  documents 8 >mixed/a.jsonl
  { documents 2; echo 'not json'; } >mixed/b.jsonl
  refused 3 'mixed/b.jsonl:3' --training.dataset_path mixed --training.steps 200
  # Document i goes to lane i mod the global batch, and a rank parses the documents of its own lanes: with 4 lanes and 4
  # ranks, it is rank 2 alone that meets the broken document 10 (line 11), and all end.
  { documents 10; echo '{"text": '; documents 5; } >late.jsonl
  local late='late.jsonl:11'
  [ "$ranks" = 4 ] && late="rank 2: $late"
  refused 3 "$late" --training.dataset_path late.jsonl --training.batch_size $((4 / ranks)) \
    --training.steps 200
  # gzip: damage in a later member, and text behind a member, are no end of the file.
  documents 12 | gzip >members.jsonl.gz
  local second
  second=$(stat -c %s members.jsonl.gz)
  { cat members.jsonl.gz; documents 3; } >plain_behind.jsonl.gz
  refused 3 "plain_behind.jsonl.gz:13: damaged gzip data|byte $second of the file" \
    --training.dataset_path plain_behind.jsonl.gz --training.steps 200
  documents 12 | gzip >>members.jsonl.gz
  printf 'X' | dd of=members.jsonl.gz bs=1 seek=$((second + 1)) conv=notrunc status=none
  refused 3 "members.jsonl.gz:13: damaged gzip data|byte $second of the file" --training.dataset_path members.jsonl.gz \
    --training.steps 200
  # What each file begins with.
  mkdir beginnings
  for i in 1 2 3 4 5; do documents 3 >beginnings/$i.jsonl; done
  echo 'no json' >beginnings/4.jsonl
  refused_early 3 'beginnings/4.jsonl:1' --training.dataset_path beginnings
  gzip -c beginnings/1.jsonl | head -c 9 >beginnings/4.jsonl
  refused_early 3 'beginnings/4.jsonl:1|truncated' --training.dataset_path beginnings
  printf '\n \n' >blank.jsonl
  refused_early 3 'blank.jsonl is empty: it holds no document' --training.dataset_path blank.jsonl
  mkfifo pipe.jsonl
  refused_early 2 'training.dataset_path: the corpus file pipe.jsonl is a device or a pipe' --training.dataset_path pipe.jsonl
  ln -s nowhere.jsonl beginnings/6.jsonl
  refused_early 2 'training.dataset_path: cannot read the corpus file beginnings/6.jsonl: No such file' --training.dataset_path beginnings
  # A document beyond the limit, on the first line and later.
  { printf '{"text": "'; head -c 1100000 /dev/zero | tr '\0' 'a'; echo '"}'; } >large.jsonl
  refused_early 3 'large.jsonl:1|longer than 1 MiB|training.document_limit' --training.dataset_path large.jsonl \
    --training.document_limit 1
  { documents 10; cat large.jsonl; } >late_large.jsonl
  refused 3 'late_large.jsonl:11|longer than 1 MiB|training.document_limit' --training.dataset_path late_large.jsonl \
    --training.document_limit 1 --training.steps 200
  # NaN on the last rank.
  refused 6 "step 3|rank $((ranks - 1))|nan" --debug.inject_nan_step 3
  # The numbers of the steps before it are on disk.
  [ "$(wc -l <out/steps.txt)" = 2 ] || fail "$(wc -l <out/steps.txt) steps in steps.txt, expected the two before the NaN"
}

tokenizer() {
  refused 2 'model.tokenizer_path|nowhere.model|No such file' --model.tokenizer_path nowhere.model
  refused 2 'model.tokenizer_path|command line' --model.tokenizer_path "$WORK"
  printf '[model]\n\ntokenizer_path = "nowhere.model"\n' >missing.toml
  expect 2 'missing.toml:3|model.tokenizer_path|nowhere.model' --job.config_file missing.toml
  local model=$assets/test_tokenizer.model
  : >empty.model
  refused 3 'empty.model|no tokens' --model.tokenizer_path empty.model
  sed '5s/.*/not base64!/' "$model" >base64.model
  refused 3 'base64.model:5' --model.tokenizer_path base64.model
  sed '7s/ .*//' "$model" >no_rank.model
  refused 3 'no_rank.model:7|rank' --model.tokenizer_path no_rank.model
  sed '9s/ .*/ nine/' "$model" >letters.model
  refused 3 'letters.model:9|rank' --model.tokenizer_path letters.model
  sed '301s/ .*/ 299/' "$model" >duplicate.model
  refused 3 'duplicate.model:301|rank 299|line 300' --model.tokenizer_path duplicate.model
  sed '300d' "$model" >gap.model
  refused 3 'gap.model:|rank 299 is missing' --model.tokenizer_path gap.model
  sed '1s/.*/QQ== 0/' "$model" >no_byte.model
  refused 3 'no_byte.model' --model.tokenizer_path no_byte.model
  refused 3 'c4_test.jsonl.gz:1' --model.tokenizer_path "$assets/c4_test.jsonl.gz"
  head -c $(($(stat -c %s "$model") - 3)) "$model" >cut.model
  refused 3 'cut.model:' --model.tokenizer_path cut.model
}

# Sizes that the ranks of a tp group do not divide, each alone and all in one message.
tensor() {
  local tp=training.tensor_parallel_degree
  refused 2 "$tp = 3 (command line) does not divide heads 16 of model.flavor = debugmodel ($small:" --$tp 3
  refused 2 "$tp = 16 (command line) does not divide kv heads 8 of model.flavor = 8B (command line)" --$tp 16 --model.flavor 8B
  refused 2 "$tp = 2 (command line) does not divide training.seq_len 65 (command line)" --$tp 2 --training.seq_len 65
  refused 2 "$tp = 5 (command line) does not divide training.seq_len 64 ($small:" --$tp 5 --model.name llama2
  refused 2 "$tp = 5 (command line) does not divide feed-forward hidden size 13824 of model.flavor = 13B (command line)" \
    --$tp 5 --model.name llama2 --model.flavor 13B --training.seq_len 60
  refused 2 "does not divide heads 32|does not divide kv heads 8|does not divide training.seq_len 65|does not divide feed-forward hidden size 14336" \
    --$tp 24 --model.flavor 8B --training.seq_len 65
  refused 2 "$tp = 32 (command line) does not divide heads 16" --$tp 32
  refused 2 "dp_shard(1) * cp(1) * tp(16) * pp(1) != WORLD_SIZE($ranks): the product of|$tp = 16 (command line)" --$tp 16
  refused 2 "$tp|at least 1|\"0\"" --$tp 0
  if [ "$ranks" -gt 1 ]; then # NaN on one rank of a tp group ends them all before the step is told
    refused 6 "step 3|rank $((ranks - 1))|nan" --$tp 2 --debug.inject_nan_step 3 --training.batch_size 1
    [ "$(wc -l <out/steps.txt)" = 2 ] || fail "$(wc -l <out/steps.txt) steps in steps.txt, expected the two before the NaN"
  fi
  refused 2 'experimental.enable_async_tensor_parallel = true (command line) needs training.compile = true' \
    --experimental.enable_async_tensor_parallel
  small_vocabulary 5 4 2 # parts of 2, 2, 1 and 0; 3 does not divide the heads
  small_vocabulary 1 8 1
}

# small_vocabulary TOKENS DEGREE LARGEST: a rank would have none of them. What the message suggests is then tried.
small_vocabulary() {
  local tp=training.tensor_parallel_degree option
  local -a e=(--memory_estimation.enabled --memory_estimation.vocabulary "$1" --memory_estimation.world_size "$2")
  refused 2 "$tp = $2 (command line)|the vocabulary's $1 tokens|largest degree that works is $3,|training.enable_loss_parallel = false" \
    "${e[@]}" --$tp "$2"
  for option in "--$tp=$3" "--$tp=$2 --training.enable_loss_parallel=false"; do
    launch "$ranks" "$TITAN" --job.config_file "$small" "${e[@]}" $option >suggested.out 2>suggested.log ||
      fail "$option does not work either: $(tail -n 3 suggested.log)"
  done
}

# columns COUNT COMPUTE...: a row of a schedule's file, of each of these ("0F", "2B") the microbatches 0 to COUNT - 1.
columns() {
  local count=$1 compute m
  shift
  for compute in "$@"; do
    for ((m = 0; m < count; m++)); do printf '%s%d,' "$compute" $m; done
  done
  echo
}

# Schedules, where the model is cut, and microbatches. One rank asks about four that are not there. Nothing of a run is left.
pipeline() {
  local pp=experimental.pipeline_parallel row
  local -a four=(--${pp}_degree 4 --training.batch_size 8) e=(--memory_estimation.enabled --memory_estimation.world_size)
  [ "$ranks" = 1 ] && four+=("${e[@]}" 4)
  # Where it is cut.
  refused 2 "16 pipeline stages need at least as many parts of the model; it has 10|${pp}_degree, command line" \
    "${e[@]}" 16 --${pp}_degree 16 --training.batch_size 16
  refused 2 "16 pipeline stages need at least as many parts|${pp}_schedule, command line" "${e[@]}" 8 --${pp}_degree 8 \
    --training.batch_size 16 --${pp}_schedule DualPipeV --${pp}_microbatches 16
  refused 2 "${pp}_split_points: \"layers.8\" is not a part of the model: expected layers.0 to head|${pp}_split_points, command line" \
    "${four[@]}" --${pp}_split_points layers.2,layers.8,layers.3
  refused 2 "${pp}_split_points: \"layers.2\" comes after \"layers.3\"|rising order|${pp}_split_points, command line" \
    "${four[@]}" --${pp}_split_points layers.3,layers.2,layers.5
  refused 2 "the schedule 1F1B needs one stage a rank, not 3 stages on 4 ranks|${pp}_split_points, command line" \
    "${four[@]}" --${pp}_split_points layers.3,layers.4
  refused 2 "the schedule Interleaved1F1B needs the same number of stages on each rank, at least 2, not 6 stages on 4 ranks|${pp}_split_points" \
    "${four[@]}" --${pp}_schedule Interleaved1F1B --${pp}_split_points layers.1,layers.2,layers.4,layers.5,layers.6
  refused 2 "the schedule ZBVZeroBubble needs 2 stages a rank, not 4 stages on 4 ranks|${pp}_schedule, command line" \
    "${four[@]}" --${pp}_schedule ZBVZeroBubble --${pp}_split_points layers.3,layers.4,layers.5
  refused 2 "${pp}_split|expected one of auto, even|\"uneven\"" "${four[@]}" --${pp}_split uneven
  refused 2 'embedding and head share a parameter (model.tie_embeddings) and are on the pipeline ranks 0 and 3' "${four[@]}" \
    --model.tie_embeddings true
  # Schedules and microbatches.
  refused 2 "${pp}_schedule|expected one of auto, 1F1B, GPipe|PipelineScheduleMulti|\"2F2B\"" "${four[@]}" --${pp}_schedule 2F2B
  refused 2 "${pp}_microbatches|\"-1\"" "${four[@]}" --${pp}_microbatches -1
  refused 2 "the schedule 1F1B does not take 2 microbatches on 4 pipeline ranks: it needs at least as many|nearest number that works is 4|${pp}_microbatches, command line" \
    "${four[@]}" --${pp}_microbatches 2
  refused 2 "the schedule DualPipeV does not take 4 microbatches|twice as many microbatches as ranks; the nearest number that works is 8" \
    "${four[@]}" --${pp}_schedule DualPipeV
  refused 2 "the schedule Interleaved1F1B does not take 9 microbatches|multiple of its rounds|the nearest number that works is 8" \
    "${four[@]}" --training.batch_size 9 --${pp}_schedule Interleaved1F1B --${pp}_microbatches 9
  refused 2 "training.batch_size = 8 (command line) cannot be cut into the 3 equal microbatches of ${pp}_microbatches (command line)|multiple of 3|${pp}_microbatches = 2" \
    "${four[@]}" --${pp}_microbatches 3
  printf '[training]\nbatch_size = 6\n[experimental]\npipeline_parallel_degree = 4\n' | write odd.toml
  expect 2 "training.batch_size = 6 (odd.toml:2) cannot be cut into the 4 equal microbatches of ${pp}_degree (odd.toml:4)|multiple of 4|${pp}_microbatches = 3" \
    --job.config_file odd.toml "${four[@]:4}"
  # Files of schedules.
  local -a single=("${four[@]}" --${pp}_schedule PipelineScheduleSingle --${pp}_schedule_csv)
  refused 2 "${pp}_schedule = PipelineScheduleMulti (command line) needs ${pp}_schedule_csv" "${four[@]}" \
    --${pp}_schedule PipelineScheduleMulti
  for row in 0 1 2 3; do columns 4 ${row}F ${row}B; done >good.csv
  refused 2 "${pp}_schedule_csv = good.csv (command line)|${pp}_schedule = GPipe (command line)" "${four[@]}" \
    --${pp}_schedule GPipe --${pp}_schedule_csv good.csv
  refused 2 "${pp}_schedule_csv: cannot read nowhere.csv: No such file|${pp}_schedule_csv, command line" "${single[@]}" nowhere.csv
  : >empty.csv
  refused 2 "${pp}_schedule_csv: empty.csv is empty" "${single[@]}" empty.csv
  head -n 3 good.csv >short.csv
  refused 2 "short.csv: expected a row for each of the 4 pipeline ranks (${pp}_degree), got 3" "${single[@]}" short.csv
  sed 's/3B2/3I2/' good.csv >weight.csv
  refused 2 'weight.csv: row 4 (rank 3), cell 7, "3I2": the weight gradient of stage 3 and microbatch 2 is missing|command line' \
    "${single[@]}" weight.csv
  sed '2s/1F1/2F1/' good.csv >stage.csv
  refused 2 'stage.csv: row 2 (rank 1), cell 2, "2F1": stage 2 is on two ranks: it is also in row 3 (rank 2), cell 1' \
    "${single[@]}" stage.csv
  sed '2s/1F1/1X1/' good.csv >cell.csv
  refused 2 'cell.csv: row 2 (rank 1), cell 2, "1X1": this is not an action' "${single[@]}" cell.csv
  sed '3s/2F3/2F4/' good.csv >beyond.csv
  refused 2 'beyond.csv: row 3 (rank 2), cell 4, "2F4"|microbatch' "${single[@]}" beyond.csv
  # Rank 0 wants a gradient before it has sent all that rank 1 wants first.
  sed '1s/.*/0F0,0B0,0F1,0F2,0F3,0B1,0B2,0B3/' good.csv >for_ever.csv
  refused 2 'for_ever.csv: row 1 (rank 0), cell 2, "0B0": the order deadlocks: this waits for the gradient of stage 1 and microbatch 0, which rank 1 cannot reach' "${single[@]}" for_ever.csv
  { columns 4 0F 2F 2B 0B; columns 4 1F 3F 3B 1B; columns 4 4F 5F 5B 4B; columns 4 6F 6B; } >uneven.csv
  refused 2 'uneven.csv: row 4 (rank 3), cell 1, "6F0": expected the same number of stages on each of 4 ranks, got 7' \
    "${four[@]}" --${pp}_schedule PipelineScheduleMulti --${pp}_schedule_csv uneven.csv
  { columns 4 0F 2F 2B 0B; columns 4 1F 3F 3B 1B; columns 4 4F 6F 6B 4B; columns 4 5F 7F 7B 5B; } >multi.csv
  refused 2 'multi.csv|expected one stage on each of 4 ranks, got 8' "${single[@]}" multi.csv
  refused 2 "${pp}_split_points: 3 names make 4 stages, and multi.csv has 8" "${four[@]}" --${pp}_split_points \
    layers.1,layers.2,layers.3 --${pp}_schedule PipelineScheduleMulti --${pp}_schedule_csv multi.csv
  [ -z "$(find . -name steps.txt -o -name weights.txt -o -name '*.h5' -o -name '*.json')" ] ||
    fail "something is left behind: $(find . -type f)"
  # NaN on one rank of a pipeline ends all, wherever the loss is.
  [ "$ranks" = 1 ] && return
  for row in 1F1B ZBVZeroBubble; do
    refused 6 'step 3|rank 3|nan' "${four[@]}" --${pp}_schedule $row --debug.inject_nan_step 3
    [ "$(wc -l <out/steps.txt)" = 2 ] || fail "$(wc -l <out/steps.txt) steps in steps.txt, expected the two before the NaN"
  done
}

# What is asked of checkpoints, and the folder they are in. Nothing that is there is overwritten.
checkpoint() {
  local on="--checkpoint.enable_checkpoint --training.batch_size $((4 / ranks))" made=out/checkpoint/step-2.h5 sum
  refused 2 'checkpoint.export_dtype|int8|float16' --checkpoint.export_dtype int8
  refused 2 'checkpoint.interval_type|hours|seconds' --checkpoint.interval_type hours
  refused 2 'checkpoint.async_mode|maybe' --checkpoint.async_mode maybe
  refused 2 'checkpoint.load_step|"-2"' --checkpoint.load_step -2
  refused 2 'checkpoint.max_failures|"-1"' --checkpoint.max_failures -1
  refused 2 'checkpoint.exclude_from_loading|"weights"|optimizer, data, schedule' --checkpoint.exclude_from_loading data,weights
  refused 2 'checkpoint.mpi_io_hints|"striping"|name=value' --checkpoint.mpi_io_hints striping
  refused 2 'checkpoint.mpi_io_hints (command line): "xxx|is too long for the name of a hint' \
    --checkpoint.mpi_io_hints "$(printf 'x%.0s' {1..300})=1"
  refused 2 'checkpoint.mpi_io_hints (command line): "xxx|is too long for the value of a hint' \
    --checkpoint.mpi_io_hints "cb_nodes=$(printf 'x%.0s' {1..3000})"
  [ "$ranks" = 1 ] || refused 2 'create_seed_checkpoint|one rank' --checkpoint.create_seed_checkpoint
  # The folder.
  mkdir -p in_the_way
  echo text >in_the_way/checkpoint
  refused 2 'checkpoint.folder|in_the_way/checkpoint|in the way' $on --job.dump_folder in_the_way
  refused 2 'checkpoint.folder|command line|/proc' $on --checkpoint.folder ../../../../../../../../../../proc/nothing
  if [ "$(id -u)" != 0 ]; then
    mkdir -p closed/checkpoint
    chmod 555 closed/checkpoint
    refused 2 'checkpoint.folder|closed/checkpoint|Permission denied' $on --job.dump_folder closed
  fi
  refused 4 'checkpoint.load_step = 3|holds no checkpoint of that step|none' $on --checkpoint.load_step 3
  # A good file, and runs that it does not fit.
  launch "$ranks" "$TITAN" --job.config_file "$small" $on --training.steps 2 2>made.log || fail "no checkpoint: $(tail -n 3 made.log)"
  sum=$(cksum <$made)
  refused 4 'checkpoint.load_step = 3|holds no checkpoint of that step|it has: 2' $on --checkpoint.load_step 3
  documents 60 >other.jsonl
  refused 4 'another corpus|other.jsonl|exclude_from_loading = data' $on --training.dataset_path other.jsonl
  refused 4 'does not fit this model|too much: /model/layers.0.attention_norm.weight [256]' $on --model.norm_type np_layernorm
  refused 4 'step-2.h5 does not fit this model|rope_theta: 500000 in the file, 10000 in this run' $on --model.name llama2
  # The newest is of another program, or damaged beyond knowing.
  cp out/metrics.h5 out/checkpoint/step-5.h5
  refused 4 'step-5.h5 is not a checkpoint of this program|move it away' $on
  head -c 100000 /dev/zero >out/checkpoint/step-5.h5
  refused 4 'step-5.h5 is not a checkpoint of this program' $on --checkpoint.load_step 5
  rm out/checkpoint/step-5.h5
  [ "$(cksum <$made)" = "$sum" ] || fail "$made has changed"
  [ "$(ls out/checkpoint)" = step-2.h5 ] || fail "something was written: $(ls out/checkpoint)"
}

memory() {
  local option=activation_checkpoint.selective_ac_option
  refused 2 "activation_checkpoint.mode|none, full, selective|\"some\"" --activation_checkpoint.mode some
  refused 2 "$option|op, auto, budget=<GiB> or an integer of at least 1|\"0\"" --$option 0
  refused 2 "$option|op, auto, budget=<GiB>|\"budget=\"" --$option budget=
  refused 2 "$option|op, auto, budget=<GiB>|\"budget=-1\"" --$option budget=-1
  refused 2 "$option|op, auto, budget=<GiB>|\"ops\"" --$option ops
  # What cannot be met says what can, and that is then met.
  refused 2 "$option = budget=0.001 (command line): a budget of 0.001 GiB cannot be met: a rank needs at least" \
    --activation_checkpoint.mode selective --$option budget=0.001
  local least
  least=$(sed -n 's/.*a rank needs at least \([0-9.]*\) GiB.*/\1/p' message)
  launch "$ranks" "$TITAN" --job.config_file "$small" --activation_checkpoint.mode selective \
    --$option "budget=${least:-0}" --training.steps 1 2>least.log ||
    fail "the least budget of ${least:-no} GiB does not run: $(tail -n 3 least.log)"
  refused 2 'this node is too small|GiB, and|GiB are available|training.batch_size =|would fit' \
    --training.batch_size 100000 --training.seq_len 2048
  refused 2 'this node is too small|GiB, and|GiB are available|no batch fits' --model.flavor 405B
  # A limit of the process instead of the node's size. The suggestion is then tried, and holds.
  [ "$ranks" = 1 ] && [ -z "${TITAN_SANITIZE:-}" ] || return 0
  judge 2 'this node is too small|GiB, and|GiB are available|training.batch_size =|would fit' \
    bash -c 'ulimit -v 2000000; exec "$0" "$@"' "$TITAN" --job.config_file "$small" --training.seq_len 2048 --training.batch_size 64
  local batch
  batch=$(sed -n 's/.*training.batch_size = \([0-9]*\) would fit.*/\1/p' message)
  bash -c 'ulimit -v 2000000; exec "$0" "$@"' "$TITAN" --job.config_file "$small" --training.seq_len 2048 \
    --training.batch_size "${batch:-0}" --training.steps 1 2>suggested.log ||
    fail "the suggested batch of ${batch:-no} sequences does not run: $(tail -n 3 suggested.log)"
}

# memory_estimation's own options. The mesh that is asked about counts, not the ranks that run.
estimate() {
  local -a e=(--memory_estimation.enabled)
  refused 2 'memory_estimation.device = h300|a100-40g|h200-141g' "${e[@]}" --memory_estimation.device h300
  refused 2 'memory_estimation.device' "${e[@]}" --memory_estimation.device ''
  refused 2 'memory_estimation.world_size|at least 0|"-1"' "${e[@]}" --memory_estimation.world_size -1
  refused 2 'memory_estimation.world_size|8x' "${e[@]}" --memory_estimation.world_size 8x
  refused 2 'memory_estimation.world_size = 2000000|at most' "${e[@]}" --memory_estimation.world_size 2000000
  refused 2 'memory_estimation.ranks_per_node|at least 0|"-8"' "${e[@]}" --memory_estimation.ranks_per_node -8
  refused 2 'memory_estimation.vocabulary|at least 0|"-2"' "${e[@]}" --memory_estimation.vocabulary -2
  refused 2 'Invalid parallel dims|tp(8)|!= WORLD_SIZE(12)|12 (memory_estimation.world_size, command line)' "${e[@]}" --memory_estimation.world_size 12 \
    --training.tensor_parallel_degree 8
  refused 2 'Invalid parallel dims|dp_shard(3)|!= WORLD_SIZE(512)' "${e[@]}" --memory_estimation.world_size 512 \
    --training.data_parallel_shard_degree 3
  refused 2 'training.tensor_parallel_degree = 32|does not divide heads 16' "${e[@]}" --memory_estimation.world_size 64 \
    --training.tensor_parallel_degree 32
  refused 2 "memory_estimation.world_size = 3|disable_fake_mode|$ranks" "${e[@]}" --memory_estimation.disable_fake_mode \
    --memory_estimation.world_size 3
  refused 2 'memory_estimation.device = h100-80g|disable_fake_mode' "${e[@]}" --memory_estimation.disable_fake_mode \
    --memory_estimation.device h100-80g
  refused 2 'model.tokenizer_path|nowhere.model' "${e[@]}" --model.tokenizer_path nowhere.model
  echo text >file
  refused 2 'job.dump_folder = file/under' "${e[@]}" --job.dump_folder file/under
}

# The corpus of validation, and the sizes of its batches. All is told before the model is made.
validation() {
  local on="--validation.enabled"
  refused_early 2 'nowhere.jsonl|No such file|validation.dataset_path' $on --validation.dataset_path nowhere.jsonl
  refused_early 2 'validation.dataset = c4_validation|validation.dataset_path' $on --validation.dataset c4_validation
  refused_early 2 'validation.dataset|c4_train' $on --validation.dataset c4_train
  : >empty.jsonl
  refused_early 3 'validation.dataset_path|empty.jsonl|is empty' $on --validation.dataset_path empty.jsonl
  mkdir nothing
  refused_early 3 'validation.dataset_path|nothing|no file' $on --validation.dataset_path nothing
  { echo '{"body": "no text here"}'; documents 5; } >no_text.jsonl
  refused_early 3 'no_text.jsonl:1|"text"' $on --validation.dataset_path no_text.jsonl
  echo '{"text": "short"}' >short.jsonl
  refused 3 'validation.dataset_path|short.jsonl|shorter than one window' $on --validation.dataset_path short.jsonl
  printf '{"text": ""}\n{"text": ""}\n' >blank.jsonl
  refused 3 'validation.dataset_path|blank.jsonl|holds no text' $on --validation.dataset_path blank.jsonl
  # Damage behind the beginning is met in the first round. It is told once, and the steps before it stay.
  { documents 10; echo 'not json'; } >late.jsonl
  refused 3 'late.jsonl:11' $on --validation.dataset_path late.jsonl --validation.freq 1
  [ "$(wc -l <out/steps.txt)" = 1 ] || fail "$(wc -l <out/steps.txt) steps in steps.txt, expected the one before the validation"
  refused_early 2 'validation.freq|at least 1|"0"|validation.steps|at least 1, or -1|validation.seq_len|"-1"|validation.local_batch_size|"-3"' \
    $on --validation.freq 0 --validation.steps 0 --validation.seq_len -1 --validation.local_batch_size -3
  refused_early 2 'training.tensor_parallel_degree = 4 (command line) does not divide validation.seq_len 66 (command line)' \
    $on --training.tensor_parallel_degree 4 --validation.seq_len 66
  refused_early 2 'validation.local_batch_size = 100000000 (command line) with training.seq_len = 64|tokens a rank' \
    $on --validation.local_batch_size 100000000
  refused 2 'this node is too small|validation.local_batch_size = 1 with validation.seq_len = |would fit' \
    $on --validation.seq_len 100000000 --validation.local_batch_size 1
}

cases=0
run_part "$part"
echo "$cases cases"
[ $cases -gt 0 ] || fail "no cases"
finish
