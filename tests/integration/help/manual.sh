#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Property: each program has a manual page that the formatters read without a warning; titan-hpc's has every option of the table with its
# section, every later spelling and every exit code; the others' have every command and option of --help. Oracle: the
# rows of options.def and spellings.def as sed finds them, the programs' own --help, and the formatters that are installed.
#
# usage: manual.sh SOURCE BUILD
set -euo pipefail
source=$1 build=$2
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export LC_ALL=C.UTF-8 MANWIDTH=400 OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
fail() {
  echo "FAILED: $*"
  exit 1
}
have() { command -v "$1" >/dev/null; }
if ! have groff && ! have man && ! have mandoc; then
  echo "SKIPPED: no formatter of manual pages is installed (man, groff or mandoc), so the pages are not looked at"
  exit 77
fi

# render PAGE: writes the page as text to $folder/text; a warning is a failure.
render() {
  local page=$build/help/$1.1
  [ -s "$page" ] || fail "$page is missing"
  : >"$folder/warnings"
  if have mandoc; then
    mandoc -T lint -W error "$page" >"$folder/warnings" 2>&1 || true
    [ ! -s "$folder/warnings" ] || fail "mandoc: $(cat "$folder/warnings")"
    mandoc -T utf8 -O width=400 "$page" >"$folder/raw"
  fi
  if have groff; then
    groff -man -ww -rLL=400n -Tutf8 -P-c "$page" >"$folder/raw" 2>"$folder/warnings"
    [ ! -s "$folder/warnings" ] || fail "groff: $(cat "$folder/warnings")"
  fi
  if have man; then
    man --warnings -E UTF-8 -l "$page" >"$folder/raw" 2>"$folder/warnings" </dev/null
    [ ! -s "$folder/warnings" ] || fail "man: $(cat "$folder/warnings")"
  fi
  sed -e $'s/.\b//g' -e $'s/\e\\[[0-9;]*m//g' "$folder/raw" >"$folder/text"
}
# has PAGE PATTERN: a line of the rendered page.
has() { grep -qE -- "$2" "$folder/text" || fail "$1's page lacks /$2/"; }

# names MACRO FILE: section.key of each row.
names() { sed -n "s/^$1(\([a-z0-9_]*\), \([a-z0-9_]*\),.*/\1.\2/p" "$source/src/config/$2"; }

render titan-hpc
options=$(names OPTION options.def)
[ "$(wc -w <<<"$options")" -gt 100 ] || fail "only $(wc -w <<<"$options") options are found in options.def"
for name in $options $(names SPELLING spellings.def) $(names FIXED spellings.def) $(names UNUSED spellings.def); do
  printf '%s\n' "--$name"
done | sort -u >"$folder/wanted"
sed -nE 's/^ +(--[a-z0-9_]+\.[a-z0-9_]+)( .*)?$/\1/p' "$folder/text" | sort -u >"$folder/got"
diff "$folder/wanted" "$folder/got" >"$folder/differences" || fail "options of the table (<) and of the page (>): $(cat "$folder/differences")"
for section in $(sed -n 's/^SECTION(\([a-z0-9_]*\),.*/\1/p' "$source/src/config/options.def"); do has titan-hpc "^ +$section: "; done
for code in 0 2 3 4 5 6 70 75; do has titan-hpc "^ +$code +[a-z]"; done
has titan-hpc '^ +--training\.steps VALUE$'
has titan-hpc '^ +Steps to train\. Takes an integer of at least 1; default 10000\.$'
has titan-hpc '^ +Folder for checkpoints, .*default "checkpoint"\.'

for program in titan-checkpoint titan-report titan-tokenizer titan-corpus; do
  render $program
  "$build/$program" --help >"$folder/help"
  for word in $(grep -o -e '--[a-z_-]*[a-z]' "$folder/help" | sort -u) $(sed -n "s/^.* $program \([a-z][a-z0-9]*\) .*/\1/p" "$folder/help"); do
    has $program "(^|[^a-z-])$word([^a-z_-]|\$)"
  done
  # All words of the help, in their order, are words of the page, but for the headings.
  sed -e 's/^usage: //' -e 's/Exit codes: //' "$folder/help" | tr -s ' \n' '\n\n' | sed '/^$/d' >"$folder/wanted"
  sed -n '/^SYNOPSIS/,/^SEE ALSO/p' "$folder/text" | sed -e '/^[A-Z]/d' | tr -s ' \n' '\n\n' | sed '/^$/d' >"$folder/got"
  diff "$folder/wanted" "$folder/got" >"$folder/differences" || fail "$program: words of --help (<) and of the page (>): $(cat "$folder/differences")"
done
for section in NAME SYNOPSIS DESCRIPTION 'EXIT STATUS' 'SEE ALSO'; do has titan-corpus "^$section\$"; done
