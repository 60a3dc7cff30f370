#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Property: bash completes sections, options, their choices, files, commands and topics of --help for each program, in both forms of an
# option. Oracle: what has to come out, written down here, and
# the rows of options.def as sed finds them; bash's own parser, and shellcheck where it is installed.
#
# usage: completion.sh SOURCE BUILD
set -euo pipefail
source=$1 build=$2
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
fail() {
  echo "FAILED: $*"
  exit 1
}
for program in titan-hpc titan-checkpoint titan-report titan-tokenizer titan-corpus; do
  bash -n "$build/help/$program.bash"
  if command -v shellcheck >/dev/null; then shellcheck --shell=bash "$build/help/$program.bash"; fi
done
mkdir "$folder/here"
cd "$folder/here"
mkdir 'a folder' && touch run.toml 'a folder/run.cfg' weights.h5

# A bash of its own that completes the words after its first argument, as readline would hand them over, and prints what comes back.
cat >"$folder/complete.bash" <<'SCRIPT'
build=$1
shift
program=${1##*/}
source "$build/help/$program.bash"
function=$(complete -p "$program" | sed 's/.*-F \([^ ]*\) .*/\1/')
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_LINE="$*"
"$function" "$program" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
[ ${#COMPREPLY[@]} -eq 0 ] || printf '%s\n' "${COMPREPLY[@]}"
SCRIPT
# gives "CANDIDATE|CANDIDATE..." WORDS...: all candidates, in any order.
gives() {
  local wanted got
  wanted=$(tr '|' '\n' <<<"$1" | sort)
  shift
  got=$(bash --norc "$folder/complete.bash" "$build" "$@" 2>"$folder/err" | sort)
  [ ! -s "$folder/err" ] || fail "$*: $(cat "$folder/err")"
  [ "$got" = "$wanted" ] || fail "$*: gives"$'\n'"$got"$'\n'"and not"$'\n'"$wanted"
}

# Sections, then options: each of the table, and nothing else.
gives '--training.' titan-hpc --train
gives '--training.' "$build/titan-hpc" --train
gives '--version' titan-hpc --training.steps 10 --ver
gives '' titan-hpc --nothing
options=$(sed -n 's/^OPTION(\([a-z0-9_]*\), \([a-z0-9_]*\),.*/--\1.\2/p' "$source/src/config/options.def")
sections=$(sed -n 's/^SECTION(\([a-z0-9_]*\),.*/\1/p' "$source/src/config/options.def")
[ "$(wc -w <<<"$options")" -gt 100 ] || fail "only $(wc -w <<<"$options") options are found in options.def"
join() { tr -s ' \n' '||' <<<"$1" | sed 's/|$//'; }
for section in $sections; do gives "$(join "$(grep -- "^--$section\." <<<"$options")")" titan-hpc "--$section."; done
gives "$(join "$(sed 's/.*/--&./' <<<"$sections") --help --check --version")" titan-hpc --

# Choices, in both forms.
gives 'layernorm' titan-hpc --model.norm_type l
gives 'rmsnorm|fused_rmsnorm|layernorm|np_layernorm' titan-hpc --model.norm_type ''
gives 'c4|c4_mini|c4_test' titan-hpc --training.dataset = c4
gives 'c4|c4_mini|c4_test' titan-hpc --training.dataset =
gives '--training.dataset=c4_mini|--training.dataset=c4_test' titan-hpc --training.dataset=c4_ # where "=" breaks no words
gives 'true' titan-hpc --training.compile t
gives 'true|false' titan-hpc --training.compile =
gives '--training.' titan-hpc --training.compile --train # it may stand alone
gives 'norm,embedding' titan-hpc --optimizer.no_decay norm,e
gives 'budget=' titan-hpc --activation_checkpoint.selective_ac_option b
gives '' titan-hpc --training.steps 1 # a number
gives '' titan-hpc --training.steps --train

# Files.
gives 'run.toml' titan-hpc --job.config_file r
gives 'a folder/run.cfg' titan-hpc --job.config_file 'a folder/'
gives 'run.toml,a folder' titan-hpc --job.config_file run.toml,a
gives 'run.toml|weights.h5|a folder' titan-hpc --training.dataset_path ''
gives 'run.toml' titan-hpc --checkpoint.initial_load_path = run

# What --help is asked for.
gives 'training|training.' titan-hpc --help train
gives 'training.seq_len' titan-hpc --help training.seq

# Programs with commands.
gives 'list|show|verify|compare|export|import' titan-checkpoint ''
gives 'export' titan-checkpoint ex
gives '--help|--version' titan-checkpoint --
gives '--dtype|--hf|--max_shard_size|--tokenizer' titan-checkpoint export weights.h5 --
gives 'float32|float16' titan-checkpoint export weights.h5 --dtype fl
gives 'weights.h5' titan-checkpoint show w
gives 'weights.h5' titan-checkpoint compare run.toml --weights w # it takes nothing
gives 'a folder' titan-checkpoint list ''
gives '--jsonl|--vocab-size|--output' titan-tokenizer train --
gives '--model' titan-tokenizer decode -
gives 'run.toml' titan-tokenizer info --model r
gives '--documents|--output|--seed|--help|--version' titan-corpus --
gives 'text2jsonl' titan-corpus t
gives 'file|paragraph|line' titan-corpus text2jsonl run.toml --document ''
gives '--output|--document' titan-corpus text2jsonl --
gives 'index' titan-corpus i
gives 'run.toml' titan-corpus index run
gives 'run.toml' titan-corpus text2jsonl run
gives 'show|watch|run.toml|weights.h5|a folder' titan-report ''
gives 'show' titan-report sh
gives 'weights.h5' titan-report run.toml w
gives '--output|--points|--help|--version' titan-report run.toml --
gives 'weights.h5' titan-report run.toml -o w
gives 'weights.h5' titan-report show w
gives 'step|tokens|time' titan-report show run.toml --x ''
gives '--interval|--curve|--x|--log|--ascii|--width|--height' titan-report watch run.toml --
