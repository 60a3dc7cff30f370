#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# titan-checkpoint does what its help says, on one rank and on three, and answers wrong input with the documented exit code
# and one message that names the file. Oracles: the run that wrote the checkpoints, round trips, and cmp. Exact, but for
# bfloat16, which has 8 bits: 2^-8 of a tensor's largest value.
#
# usage: checkpoint_tool.sh PROGRAM COMPARE WORK PART
TITAN=$1 COMPARE=$2 WORK=$3
part=$4
. "$(dirname "$0")/common.sh"
tool=$(dirname "$TITAN")/titan-checkpoint
options=(--checkpoint.enable_checkpoint --checkpoint.interval 2 --debug.dump_initial_weights=false)

# does CODE "PART|PART|..." ARGUMENTS...: the tool ends with CODE, and says all parts: on stdout when it ends well, else in
# one message on stderr. RANKS before it sets the number of ranks.
does() {
  local wanted=$1 parts=$2 code expected=stderr
  shift 2
  launch "${RANKS:-1}" "$tool" "$@" >stdout 2>stderr
  code=$?
  local before=$failures
  [ $code = "$wanted" ] || fail "exit code $code, expected $wanted"
  # mpirun's notices stand between lines of dashes; ranks that it ends early may leave a line before.
  sed -i -e '/^-----*$/,/^-----*$/d' stderr
  if [ "$wanted" = 0 ]; then
    expected=stdout
    [ -s stderr ] && fail "it wrote to stderr"
  else
    [ "$(grep -c '^titan-checkpoint: ' stderr)" = 1 ] || fail "not one message"
    grep -qE 'Segmentation|Assertion|runtime error|Sanitizer|signal|MPI_ERR|HDF5-DIAG|leak|\.c:[0-9]' stderr && fail "signs of a crash"
  fi
  local -a list
  IFS='|' read -ra list <<<"$parts"
  local text
  for text in "${list[@]}"; do
    grep -qF -- "$text" $expected || fail "no \"$text\" in $expected"
  done
  if [ $failures != "$before" ]; then
    echo "  in: titan-checkpoint $*"
    sed 's/^/  | /' stdout stderr | head -n 30
  elif [ -n "${TITAN_SHOW:-}" ]; then
    head -n 12 stderr
  fi
}

three() {
  RANKS=3 does "$@"
}

# limited CODE PARTS ARGUMENTS...: as does, where files may have 20,000 KiB at most.
limited() {
  (
    ulimit -f 20000
    failures=0
    does "$@"
    exit $failures
  ) || fail "with a limit on the size of files"
}

prepare() {
  train run 1 "${options[@]}" --training.steps 4 || finish
  first=run/checkpoint/step-2.h5 last=run/checkpoint/step-4.h5
}

looking() {
  prepare
  : >run/checkpoint/step-6.h5.partial
  echo text >run/checkpoint/step-7.h5
  does 0 '     2 |     4 |float32 weights, optimizer, state|7  cannot be used: |step-7.h5|step-6.h5.partial: not complete' list run/checkpoint
  rm run/checkpoint/step-[67].h5*
  cp $first run/checkpoint/step-9.h5
  mkfifo run/checkpoint/step-8.h5
  does 0 '     9  cannot be used: run/checkpoint/step-9.h5 is a checkpoint of step 2|     8  cannot be used: |not a file' list run/checkpoint
  does 4 'step-8.h5 is not a file' verify run/checkpoint/step-8.h5
  rm run/checkpoint/step-[89].h5
  local hint='run/checkpoint is a folder, not a checkpoint|titan-checkpoint list run/checkpoint'
  does 4 "$hint" show run/checkpoint
  does 4 "$hint" verify run/checkpoint
  does 4 "$hint" compare $first run/checkpoint
  does 4 "$hint" export run/checkpoint unused
  does 4 'the folder run holds no checkpoint|there are some in run/checkpoint' list run
  # What show prints is longer than the stream's buffer: the write that fails is not the last.
  local command
  local -a question
  for command in "show $last" "list run/checkpoint" "verify $last" --help --version; do
    read -ra question <<<"$command"
    launch 1 "$tool" "${question[@]}" >/dev/full 2>stderr
    [ $? = 5 ] && grep -q '^titan-checkpoint: cannot write standard output: ' stderr || fail "$command to a full disk: $(cat stderr)"
  done
  does 0 'optimizer AdamW' show $last
  three 0 '     2 |     4 ' list run/checkpoint/
  does 0 "step:           4|llama3 debugmodel|rope theta 500000|512 tokens|lanes|/optimizer/exp_avg_sq: 75 tensors|[2256, 256]|float32|seq_len = 64" show $last
  three 0 "step:           2" show $first
  # What needs no MPI works where MPI cannot begin.
  (
    export OMPI_MCA_pml=missing MPIR_CVAR_CH4_NETMOD=missing
    failures=0
    for arguments in --help --version "list run/checkpoint" "show $last"; do
      # shellcheck disable=SC2086 # words
      "$tool" $arguments >stdout 2>stderr || fail "without MPI: $arguments: $(cat stderr)"
      [ -s stdout ] && [ ! -s stderr ] || fail "without MPI: $arguments"
    done
    "$tool" show >stdout 2>stderr
    [ $? = 2 ] && grep -q '^titan-checkpoint: show needs FILE' stderr || fail "without MPI: a wrong command line: $(cat stderr)"
    "$tool" verify $last >stdout 2>stderr && fail "verify began without MPI"
    exit $failures
  ) || fail "without MPI"
  does 0 "$last: good; step 4, 225 tensors|$first: good" verify $first $last
  three 0 "$last: good" verify $last
  for ranks in 1 3; do
    RANKS=$ranks does 0 'are equal' compare $last $last
    RANKS=$ranks does 4 "$first|$last|225 tensors in their values, 0 missing" compare $first $last
    RANKS=$ranks does 0 'are equal in their weights, within the tolerance' compare --weights --tolerance 0.5 $first $last
  done
  grep -q '^step: 2 and 4$' stdout && fail "the state is compared with --weights"
  does 0 'usage: titan-checkpoint list' --help
  does 0 'titan-checkpoint 0.' --version
}

weights() {
  prepare
  does 0 '75 tensors of step 4' export $last one.safetensors
  three 0 '75 tensors of step 4' export $last three.safetensors
  cmp one.safetensors three.safetensors || fail "three ranks write another file than one"
  does 0 'with config.json' export $last hf --hf
  three 0 'in 4 files, with config.json' export $last hf_many --hf --dtype=bfloat16 --max_shard_size 5MB
  does 0 'has no config.json' export $last hf.safetensors --hf
  cmp hf.safetensors hf/model.safetensors || fail "file and folder differ"
  cmp -s hf.safetensors one.safetensors && fail "both namings give the same file"
  [ "$(echo $(ls hf))" = 'config.json generation_config.json model.safetensors tokenizer.json tokenizer_config.json' ] ||
    fail "in the folder: $(ls hf)"
  grep -q '"eos_token_id": 2001' hf/generation_config.json || fail "no end of text in generation_config.json"
  # The tokenizer is that of the training, or none.
  sed -e 's/ 1000$/ x/; s/ 1001$/ 1000/; s/ x$/ 1001/' "$(dirname "$TITAN")/assets/test_tokenizer.model" >swapped.model
  does 4 'swapped.model is another tokenizer than the model' export $last hf_other --hf --tokenizer swapped.model
  [ -e hf_other ] && fail "a folder was left"
  TITAN_ASSETS=$PWD does 0 'generation_config.json|give its file with --tokenizer' export $last hf_without --hf
  [ -e hf_without/tokenizer.json ] && fail "a tokenizer from nowhere"
  TITAN_ASSETS=$PWD does 0 'tokenizer_config.json' export $last hf_given --hf \
    --tokenizer "$(dirname "$TITAN")/assets/test_tokenizer.model"
  cmp hf/tokenizer.json hf_given/tokenizer.json || fail "given and found, the tokenizer is another"
  grep -q '"num_attention_heads": 16' hf/config.json || fail "no sizes in config.json"
  grep -q '"model.layers.7.self_attn.q_proj.weight": "model-0000[1-4]-of-00004.safetensors"' hf_many/model.safetensors.index.json ||
    fail "no q_proj in the index"
  does 0 '75 tensors of step 4' export $last half.safetensors --dtype float16

  three 0 'new optimizer' import one.safetensors new/a/step-0.h5
  does 0 'new optimizer|step-0.h5' import hf b.h5
  does 0 'llama3 debugmodel' import hf_many c.h5
  does 0 'llama3 debugmodel' import hf_many/model.safetensors.index.json d.h5
  does 0 'llama3 debugmodel' import half.safetensors half.h5
  does 4 'several models|llama3 debugmodel, llama2 debugmodel|--flavor' import hf.safetensors e.h5
  three 0 'llama3 debugmodel' import hf.safetensors e.h5 --model llama3
  does 0 'good' verify new/a/step-0.h5 b.h5 c.h5 d.h5 e.h5 half.h5
  does 0 'equal in their weights' compare --weights $last new/a/step-0.h5
  does 0 'equal' compare new/a/step-0.h5 b.h5
  does 0 'equal' compare b.h5 e.h5
  does 0 'equal' compare c.h5 d.h5
  does 0 'within the tolerance' compare b.h5 c.h5 --tolerance 0.0039
  does 4 'differ: 75 tensors in their values' compare b.h5 c.h5
  does 0 'within the tolerance' compare b.h5 half.h5 --tolerance=0.0005
  does 4 '150 missing' compare $last b.h5
  does 0 'imported from hf' show b.h5
  # And there and back once more.
  does 0 '75 tensors of step 0' export c.h5 again --hf --dtype bfloat16 --max_shard_size 5MB
  does 0 'llama3 debugmodel' import again f.h5
  does 0 'equal' compare c.h5 f.h5
  # A checkpoint of weights only, in another type than float32.
  train short 1 "${options[@]}" --training.steps 4 --checkpoint.model_weights_only --checkpoint.export_dtype bfloat16
  does 0 'bfloat16 weights |float32 weights, optimizer' list short/checkpoint
  three 0 'good' verify short/checkpoint/step-4.h5
  three 0 'with config.json' export short/checkpoint/step-4.h5 hf_short --hf --max_shard_size 5MB
  cmp hf_short/model-00002-of-00004.safetensors hf_many/model-00002-of-00004.safetensors || fail "bfloat16 by the run and by the export differ"
  # A run goes on from the weights, and starts where their loss was.
  train resumed 2 "${options[@]}" --checkpoint.folder ../new/a --training.steps 1
  grep -q 'Loaded the checkpoint .*new/a/step-0.h5: step 0' resumed.log || fail "the run did not load the import"
  grep -q 'no optimizer state' resumed.log || fail "the run does not say that its optimizer starts fresh"
}

# Weights with scaled rotary frequencies, as Llama 3.1's, keep the scaling on every way; a run must ask for it. And an output
# that is tied to the embedding becomes a matrix of its own where that is asked for.
scaled() {
  local scaling=(--model.rope_scaling_factor 8 --model.rope_scaling_original_length 64)
  train run 1 "${options[@]}" "${scaling[@]}" --training.steps 2
  train plain 1 "${options[@]}" --training.steps 2
  cmp -s run/steps.txt plain/steps.txt && fail "the scaling changes nothing"
  last=run/checkpoint/step-2.h5
  does 0 'rope scaling: factor 8, low 1, high 4, original length 64' show $last
  does 0 'with config.json' export $last hf --hf
  grep -q '"original_max_position_embeddings": 64' hf/config.json || fail "no scaling in config.json"
  does 0 'new optimizer' import hf new/step-0.h5
  does 0 '75 tensors' export $last own.safetensors
  does 0 'new optimizer' import own.safetensors own.h5
  for file in new/step-0.h5 own.h5; do
    does 0 'rope scaling: factor 8, low 1, high 4, original length 64' show $file
    does 0 'equal in their weights' compare --weights $last $file
  done
  launch 1 "$TITAN" --job.config_file "$here/small.toml" "${options[@]}" --job.dump_folder plain --checkpoint.folder ../new \
    2>plain.log && fail "a run without the scaling took a checkpoint with it"
  grep -qF 'rope_scaling: factor 8, low 1, high 4, original length 64 in the file, none in this run (model.rope_scaling_...' plain.log ||
    fail "$(tail -n 3 plain.log)"
  sed -i 's/"tie_word_embeddings": false/"tie_word_embeddings": true, "new_trick": 1/' hf/config.json
  does 0 'tie_word_embeddings): both are written|has unknown keys, which are ignored: new_trick' import hf tied.h5 --untie
  does 0 '75 tensors' export tied.h5 tied.safetensors
  does 0 '75 tensors' export new/step-0.h5 untied.safetensors
  cmp -s tied.safetensors untied.safetensors && fail "the output is not the embedding's"
}

# refuses MESSAGE OPTIONS...: a run on one rank ends with 4 and says so.
refuses() {
  local message=$1
  shift
  rm -rf refused
  launch 1 "$TITAN" --job.config_file "$here/small.toml" "${options[@]}" --job.dump_folder refused "$@" 2>refused.log
  local code=$?
  [ $code = 4 ] || fail "exit code $code, expected 4: $*"
  grep -qF "$message" refused.log || fail "not said: $message: $(tail -n 3 refused.log)"
}

# A model whose output is its embedding is so on every way: in the run, on other meshes, in our files and Hugging Face's,
# which leave out the output. A run must ask for it, as for one whose output has weights of its own.
tied() {
  local tie=(--model.tie_embeddings true)
  train run 2 "${options[@]}" "${tie[@]}" --training.steps 2 --debug.check_replicas
  train apart 1 "${options[@]}" --training.steps 2
  last=run/checkpoint/step-2.h5
  does 0 "the output's weights are the embedding's" show $last
  does 0 '74 tensors|with config.json' export $last hf --hf
  grep -q '"tie_word_embeddings": true' hf/config.json || fail "config.json does not say that they are tied"
  grep -aq 'lm_head' hf/model.safetensors && fail "the output is written"
  does 0 '74 tensors' export $last single.safetensors --hf
  does 0 '75 tensors' export $last own.safetensors
  does 0 'a run trains them as one' import hf new/step-0.h5
  does 0 'a run trains them as one' import single.safetensors single.h5 --model llama3
  does 0 'a run trains them as one' import own.safetensors own.h5
  for file in new/step-0.h5 single.h5 own.h5; do
    does 0 'equal in their weights' compare --weights $last $file
    does 0 "the output's weights are the embedding's" show $file
  done
  train on 1 "${options[@]}" "${tie[@]}" --checkpoint.folder ../new --training.steps 1
  grep -q 'Loaded the checkpoint' on.log || fail "a tied run did not load the import"
  refuses "tie_embeddings: the output's weights are the embedding's in the file, of their own in this run (model.tie_embeddings)" \
    --checkpoint.folder ../new
  # With weights of its own from here on.
  does 0 'both are written, and a run trains them separately' import hf untied/step-0.h5 --untie
  does 0 'equal in their weights' compare --weights $last untied/step-0.h5
  refuses "tie_embeddings: the output's weights are of their own in the file, the embedding's in this run (model.tie_embeddings)" \
    --checkpoint.folder ../untied "${tie[@]}"
  train begun 1 "${options[@]}" --checkpoint.initial_load_path hf --training.steps 1
  grep -q 'this run trains the two separately' begun.log || fail "the run does not say that its output is apart"
  train tied_begun 1 "${options[@]}" "${tie[@]}" --checkpoint.initial_load_path hf --training.steps 1
  grep -q 'trains the two separately' tied_begun.log && fail "the run says that its output is apart"
  does 0 '75 tensors' export apart/checkpoint/step-2.h5 hf_apart --hf
  refuses "the output's weights are not tied to the embedding (tie_word_embeddings in config.json), but are tied in this run" \
    --checkpoint.initial_load_path hf_apart "${tie[@]}"
  does 2 '--untie: the output of hf_apart' import hf_apart none.h5 --untie
}

# copy NAME: a copy of the last checkpoint to be damaged.
copy() {
  rm -rf "$1"
  cp $last "$1"
}

# put FILE OFFSET BYTES: overwrites bytes, given as printf writes them.
put() {
  printf "$3" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

checkpoints() {
  prepare
  local bytes
  bytes=$(stat -c %s $last)
  for command in 'show' 'verify' 'compare '$last 'export'; do
    local rest=
    [ "$command" = export ] && rest=out.safetensors
    does 4 'nowhere.h5|No such file' $command nowhere.h5 $rest
    echo 'a text, and no more' >text.h5
    does 4 'text.h5 is not a checkpoint of this program' $command text.h5 $rest
    : >empty.h5
    does 4 'empty.h5' $command empty.h5 $rest
    cp run/metrics.h5 other.h5
    does 4 'other.h5 is not a checkpoint of this program' $command other.h5 $rest
    does 4 'run is a folder' $command run $rest
    copy newer.h5
    put newer.h5 24 '\003'
    does 4 'newer.h5' $command newer.h5 $rest
    copy cut.h5
    truncate -s $((bytes - 1)) cut.h5
    does 4 "cut.h5|$bytes" $command cut.h5 $rest
    truncate -s 5000 cut.h5
    three 4 "cut.h5" $command cut.h5 $rest
  done
  # A flipped bit in a tensor is found by whatever reads the tensor; in anything else, by opening.
  copy flipped.h5
  put flipped.h5 $((bytes / 6)) '\125\252'
  does 4 'flipped.h5|checksum' verify flipped.h5
  three 4 'flipped.h5|checksum' verify flipped.h5
  # Whichever rank finds it, the tensor is named with its state: more than the first third is the optimizer's.
  local place
  for place in 5 7 8 9 10 11; do
    copy flipped.h5
    put flipped.h5 $((bytes * place / 12)) '\125\252'
    three 4 'flipped.h5|: /optimizer/exp_avg|checksum' verify flipped.h5
  done
  copy flipped.h5
  put flipped.h5 $((bytes / 6)) '\125\252'
  does 4 'flipped.h5|checksum' export flipped.h5 out.safetensors
  three 4 'flipped.h5|checksum' export flipped.h5 out --hf
  does 4 'flipped.h5|checksum' compare $last flipped.h5
  does 4 '2 of 3 files|flipped.h5|cut.h5' verify flipped.h5 $last cut.h5
  copy header.h5
  put header.h5 5000 '\125\252\125\252'
  does 4 'header.h5' verify header.h5
  [ -e out.safetensors ] || [ -e out ] && fail "an output of a damaged checkpoint"
  mkdir empty
  does 4 'empty|step-N.h5' list empty
  does 4 'nowhere' list nowhere
  does 4 "$last" list $last
}

outputs() {
  prepare
  echo mine >taken
  does 4 'taken|nothing is overwritten' export $last taken
  does 4 'run|not empty' export $last run --hf
  does 4 'taken' export $last taken/out.safetensors
  does 4 "/proc/out" export $last /proc/out.safetensors
  does 0 '' export $last w.safetensors
  does 4 'taken|nothing is overwritten' import w.safetensors taken
  does 2 'x.safetensors ends in .safetensors, and import makes a checkpoint' import w.safetensors x.safetensors
  three 2 'x.h5 ends in .h5, and export makes safetensors' export $last x.h5
  does 4 'taken' import w.safetensors taken/step-0.h5
  [ "$(cat taken)" = mine ] || fail "a file was overwritten"
  # A limit on the size of files stands for a full disk: nothing is left.
  limited 4 'big.safetensors|20480000' export $last big.safetensors
  RANKS=3 limited 4 'big/model.safetensors|20480000' export $last big --hf
  limited 4 'big.h5|20480000' import w.safetensors big.h5
  limited 4 'big/a/b.safetensors|20480000' export $last big/a/b.safetensors
  limited 4 'big/a/b.h5|20480000' import w.safetensors big/a/b.h5
  find . -path './big*' | grep . && fail "something was left"
  # Nor where it fails in the middle.
  train large 1 "${options[@]}" --training.steps 1 --optimizer.lr 1e9
  does 4 'large/checkpoint/step-1.h5|.weight holds|which float16 cannot' export large/checkpoint/step-1.h5 deep/er/f.safetensors --dtype float16
  three 4 'which float16 cannot' export large/checkpoint/step-1.h5 deep/er/hf --hf --dtype float16 --max_shard_size 5MB
  [ -e deep ] && fail "something was left: $(find deep)"
  names
  held

  # Inputs of import.
  does 4 'nowhere' import nowhere out.h5
  does 4 'taken is not a safetensors file' import taken out.h5
  does 4 "$last" import $last out.h5
  does 4 'empty|0 files' import "$(mkdir -p empty && echo empty)" out.h5
  head -c 1000000 w.safetensors >cut.safetensors
  does 4 'cut.safetensors|truncated' import cut.safetensors out.h5
  three 4 'cut.safetensors|truncated' import cut.safetensors out.h5
  sed 's/layers\.7\.ffn_norm/layers.7.fff_norm/' w.safetensors >renamed.safetensors
  does 4 'renamed.safetensors|2 tensors|missing: layers.7.ffn_norm.weight|not part of the model: layers.7.fff_norm.weight' import renamed.safetensors out.h5
  sed 's/"titan.model_flavor":"debugmodel"/"titan.model_flavor":"debugmodal"/' w.safetensors >flavor.safetensors
  does 4 'flavor.safetensors|debugmodal|dim 256' import flavor.safetensors out.h5
  does 0 '' import flavor.safetensors flavored.h5 --flavor debugmodel
  does 4 'w.safetensors|8B' import w.safetensors out.h5 --flavor 8B
  does 2 'gpt|llama2' import w.safetensors out.h5 --model gpt
  sed 's/"shape":\[256,768\]/"shape":[768,256]/g' w.safetensors >shape.safetensors
  does 4 'shape.safetensors|8 tensors|of shape [768, 256], not [256, 768]: layers.0.feed_forward.w2.weight' import shape.safetensors out.h5
  cp w.safetensors nan.safetensors
  put nan.safetensors 20000000 '\377\377\377\377\377\377\377\377'
  does 4 'nan.safetensors|holds|finite' import nan.safetensors out.h5
  three 4 'nan.safetensors|holds|finite' import nan.safetensors out.h5
  does 0 '' export $last hf --hf
  sed -i 's/"rope_scaling": null/"rope_scaling": {"rope_type": "yarn", "factor": 8.0}/' hf/config.json
  does 4 'hf/config.json|yarn' import hf out.h5
  # Errors name the tensors as the files do.
  mkdir -p hf_renamed hf_beheaded
  sed 's/model\.layers\.3\.self_attn\.k_proj/model.layers.3.self_attn.k_pro_/' hf/model.safetensors >hf_renamed/model.safetensors
  does 4 'hf_renamed: 2 tensors|missing: model.layers.3.self_attn.k_proj.weight|not part of the model: model.layers.3.self_attn.k_pro_' \
    import hf_renamed out.h5 --model llama3
  sed 's/model\.embed_tokens/model.embed_tokenz/' hf/model.safetensors >hf_beheaded/model.safetensors
  does 4 'hf_beheaded holds no Llama: it has no matrix model.embed_tokens.weight' import hf_beheaded out.h5
  sed -i 's/"rope_scaling": .*/"rope_scaling": null,/; s/"num_attention_heads": 16/"num_attention_heads": 8/; s/"head_dim": 16/"head_dim": 32/' hf/config.json
  does 4 'hf|heads 8' import hf out.h5
  echo '{' >hf/config.json
  does 4 'hf/config.json' import hf out.h5
  [ -e out.h5 ] && fail "an output of a broken input"

  # Usage.
  does 2 'a command is needed'
  does 2 "'lst'|list" lst
  three 2 'show needs FILE' show
  does 2 '3 paths' compare a b c
  does 2 "'--dtype'|compare" compare a b --dtype float32
  does 2 "'int8'|bfloat16" export a b --dtype int8
  does 2 "'-1'|tolerance" compare a b --tolerance -1
  does 2 "'nan'|tolerance" compare a b --tolerance nan
  does 2 'needs a value' export a b --dtype
  does 2 'needs --hf' export a b --max_shard_size 1GB
  does 2 "'5XB'" export a b --hf --max_shard_size 5XB
  does 2 'tokenizer needs --hf' export a b --tokenizer x
  does 2 'takes no tokenizer: give a folder' export $last b.safetensors --hf --tokenizer x
  does 2 '--hf takes no value' export a b --hf=yes
}

# What cannot be a name is refused at once, and what lies under the name of an unfinished file is left.
names() {
  does 2 'newd/ ends in a slash' export $last newd/
  does 2 'newd/ ends in a slash' import w.safetensors newd/
  does 2 'OUT is empty' export $last ''
  three 2 'OUT is empty' export $last '' --hf
  does 2 'OUT is empty' import w.safetensors ''
  [ -e newd ] && fail "a folder was made"
  local long
  long=$(printf 'x%.0s' {1..250})
  does 4 'too long' export $last "$long"
  does 4 'too long' export $last newd/$long
  does 4 'too long' import w.safetensors newd/$long
  [ -e newd ] && fail "a folder was left"
  # Hugging Face's folder is made, and taken back with what was written into it.
  mkdir slash
  does 0 'with config.json' export $last slash/ --hf
  local link name
  for link in no yes; do
    for name in x.safetensors x.h5 hf_x/model.safetensors; do
      mkdir -p "$(dirname $name)"
      if [ $link = yes ]; then ln -s "$PWD/taken" $name.partial; else echo mine >$name.partial; fi
    done
    does 4 'x.safetensors.partial is in the way|remove it first' export $last x.safetensors
    three 4 'x.safetensors.partial is in the way|remove it first' export $last x.safetensors
    does 4 'x.h5.partial is in the way|remove it first' import w.safetensors x.h5
    does 4 'hf_x is not empty' export $last hf_x --hf
    for name in x.safetensors x.h5 hf_x/model.safetensors; do
      [ "$(cat $name.partial)" = mine ] || fail "$name.partial has changed"
      [ -e $name ] && fail "$name was written"
      rm $name.partial
    done
  done
  [ "$(cat taken)" = mine ] || fail "a link was followed"
  # An import is of step 0.
  does 2 'step-10.h5: an import is a checkpoint of step 0|step-0.h5' import w.safetensors steps/step-10.h5
  [ -e steps ] && fail "a folder was made"
  does 0 'under the name step-0.h5' import w.safetensors steps/step-010.h5
}

# A folder of checkpoints that a run holds (here: flock, in its place) takes no import, and nothing in it changes.
held() {
  mkdir taken_folder
  echo mine >taken_folder/step-0.h5.partial
  local real=$tool
  printf '#!/bin/bash\nexec flock taken_folder/.checkpoints.lock %s "$@"\n' "$tool" >held.sh
  chmod +x held.sh
  tool=./held.sh
  does 4 'taken_folder/step-0.h5: a run or another import is writing to this folder' import w.safetensors taken_folder/step-0.h5
  does 4 'taken_folder/other.h5: a run or another import is writing to this folder' import w.safetensors taken_folder/other.h5
  tool=$real
  [ "$(cat taken_folder/step-0.h5.partial)" = mine ] || fail "what a run writes was written over"
  rm -r taken_folder/step-0.h5.partial
  does 0 'new optimizer' import w.safetensors taken_folder/step-0.h5
  [ "$(ls -A taken_folder | wc -l)" = 2 ] || fail "not just the import and the run's lock: $(ls -A taken_folder)"
  does 0 'new optimizer' import w.safetensors untouched/step-0.h5
  [ "$(ls -A untouched)" = step-0.h5 ] || fail "not just the import: $(ls -A untouched)"
}

layernorms() {
  train run 1 "${options[@]}" --training.steps 1 --model.norm_type np_layernorm
  does 4 'step-1.h5|np_layernorm' export run/checkpoint/step-1.h5 out --hf
  does 0 '58 tensors' export run/checkpoint/step-1.h5 own.safetensors
  does 0 '58 tensors' import own.safetensors own.h5
  does 0 'np_layernorm' show own.h5
  does 0 'equal' compare --weights run/checkpoint/step-1.h5 own.h5
}

$part
finish
