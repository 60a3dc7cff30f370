#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# titan-report. Each part's property and oracle stand above it.
#
# usage: report.sh TITAN_HPC TITAN_REPORT TOOLS WORK PART
TITAN=$1 REPORT=$2 tools=$3
WORK=$4 # of common.sh
part=$5
. "$(dirname "$0")/../common.sh"
scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
here=$scripts/..
quick=(--training.seq_len 16 --training.batch_size 1 --debug.dump_initial_weights=false --debug.record_step_numbers=false)
date=2026-01-02T03:04:05+0000

# make NAME ROWS [PHASE]: a folder with a metrics.h5 (report_rows); finished NAME [MORE]: its summary.json.
make() {
  mkdir -p "$1"
  "$tools/report_rows" "$1" "$2" "${3:-0.5}" $date || fail "$1 cannot be made"
}
finished() {
  echo "{\"outcome\": \"complete\", \"date\": \"$date\"${2:-}}" >"$1/summary.json"
}
check() {
  "$tools/report_check" "$@" || fail "the page $1 has other numbers than ${*:2}"
}
# gives CODE TEXT ARGUMENTS...: titan-report ends with the code and one message with the text, and prints nothing else.
gives() {
  local code=$1 text=$2 got
  shift 2
  timeout 60 "$REPORT" "$@" >out.txt 2>err.txt
  got=$?
  [ $got = "$code" ] || fail "$*: code $got, expected $code: $(cat err.txt)"
  grep -qF -- "$text" err.txt || fail "$*: no \"$text\" in: $(cat err.txt)"
  [ "$code" = 0 ] || [ "$(wc -l <err.txt)" = 1 ] || fail "$*: not one message: $(cat err.txt)"
  [ "$code" = 0 ] || [ ! -s out.txt ] || fail "$*: output: $(cat out.txt)"
}

# A page of real runs, and one of made-up rows, has the numbers of their metrics.h5. Oracle: HDF5 (report_check). The table of
# differences has what differs; texts from runs are data, not HTML.
numbers() {
  train first 2 "${quick[@]}" --training.steps 6 --validation.enabled --validation.freq 2 --validation.steps 1 --metrics.rank_0_only=false
  train second 1 "${quick[@]}" --training.steps 4 --optimizer.lr 2e-3 --metrics.log_freq 2
  "$REPORT" first second/metrics.h5 -o real.html 2>err.txt || fail "no page: $(cat err.txt)"
  grep -qF 'the runs have different steps, and each curve ends where its run does: first 6, second 4' err.txt || fail "no note: $(cat err.txt)"
  check real.html first/metrics.h5 second/metrics.h5
  grep -qF '{"name":"optimizer.lr","values":["0.0008","0.002"]}' real.html || fail "the difference in optimizer.lr is missing"
  grep -qF '{"name":"ranks","values":["2","1"]}' real.html || fail "the difference in ranks is missing"
  grep -qF '"name":"training.seq_len"' real.html && fail "an option that is the same is a difference"
  grep -qF '"name":"job.dump_folder"' real.html && fail "the folder is a difference"
  grep -qF '"outcome":"complete"' real.html || fail "no outcome"
  [ "$(grep -o '"rank":[01],' real.html | wc -l)" = 2 ] || fail "no ranks"
  make a 300 && make b 300 0.25 && make c 120
  "$REPORT" a b c --points 300 --output=made.html 2>err.txt || fail "no page: $(cat err.txt)"
  check made.html a/metrics.h5 b/metrics.h5 c/metrics.h5
  grep -qF 'alert(1)' made.html || fail "the command is missing"
  grep -qF '<script>alert' made.html && fail "a text of the run is HTML"
  # Of step 0.5 s: 0.1 s communication, 0.01 s data, the rest computation; a second after each tenth step.
  grep -qE '"time":\{"computation":117(\.0)?,"data":3(\.0)?,"communication":30(\.0)?,"between":30(\.0)?,"steps":300,"imbalance":0\.1\}' made.html ||
    fail "other times: $(grep -o '"time":{[^}]*}' made.html | head -n 1)"
}

# A page of a million rows stays below six megabytes, each curve has 2,000 points at most, with the smallest and the largest value of
# all rows and means of every row. Oracle: HDF5 (report_check).
million() {
  make long 1000000
  make other 1000003 0.25
  "$REPORT" long other -o page.html 2>err.txt || fail "no page: $(cat err.txt)"
  grep -qF 'curves of more than 2000 rows are reduced' err.txt || fail "no note: $(cat err.txt)"
  check page.html long/metrics.h5 other/metrics.h5
  [ "$(stat -c %s page.html)" -lt 6000000 ] || fail "the page has $(stat -c %s page.html) bytes"
  echo "page.html: $(stat -c %s page.html) bytes"
  "$REPORT" show long --curve loss >out.txt || fail "long cannot be shown"
  grep -q 'from 1.* to 9.5$' out.txt || fail "the peak is not in: $(head -n 4 out.txt)"
}

# Curves in a terminal. Oracle: drawings that a person has looked at (show*.txt).
terminal() {
  make run 40
  finished run
  drawn() {
    local golden=$1
    shift
    "$REPORT" show run "$@" >out.txt 2>err.txt || fail "$*: $(cat err.txt)"
    diff -u "$scripts/$golden" out.txt || fail "$*: other than $golden"
  }
  LC_ALL=C.UTF-8 drawn show.txt
  LC_ALL=C drawn show_ascii.txt --curve loss --curve=lr --x tokens --width 60 --height 6
  LC_ALL=C.UTF-8 drawn show_ascii.txt --curve loss --curve lr --x=tokens --width 60 --height 6 --ascii
  LC_ALL=C.UTF-8 drawn show_log.txt --curve loss --log --x time
  make empty 0
  "$REPORT" show empty >out.txt || fail "a run without rows"
  grep -q 'no rows yet' out.txt || fail "a run without rows: $(cat out.txt)"
}

# watch prints until summary.json is there, or a signal comes, and a summary of another start does not end it.
watch() {
  make run 10
  finished run
  sed -i 's/2026/2025/' run/summary.json # of an earlier start
  : >out.txt
  "$REPORT" watch run --interval 0.1 --curve loss >>out.txt 2>err.txt &
  local watcher=$!
  wait_until 30 eval '[ "$(grep -c "^run: no summary yet, last written" out.txt)" -ge 3 ]' || fail "watch does not print: $(cat out.txt err.txt)"
  alive $watcher || fail "watch has ended early"
  make run 20
  finished run
  wait $watcher || fail "watch ends with code $?"
  tail -n 12 out.txt | grep -q 'to 20 steps\|20 steps$' || fail "the last rows are missing: $(tail -n 12 out.txt)"
  grep -q '^run: complete$' out.txt || fail "the end is missing"
  rm run/summary.json
  local signal
  for signal in INT TERM; do
    : >out.txt
    "$REPORT" watch run --curve loss >>out.txt 2>err.txt &
    watcher=$!
    wait_until 30 grep -q 'no summary yet' out.txt || fail "watch does not print"
    kill -$signal $watcher
    wait $watcher || fail "SIGTERM and SIGINT end watch with code $?"
  done
}

# A run in progress gives pages at any time; after kill -9 the page has all rows of the file. Oracle: HDF5 (report_check).
living() {
  "$TITAN" --job.config_file "$here/small.toml" --job.dump_folder run "${quick[@]}" --training.steps 1000000 >log.txt 2>&1 &
  local run=$! pages=0
  wait_until 60 eval '[ -e run/metrics.h5 ]' || fail "no metrics"
  while [ $pages -lt 50 ] && alive $run; do
    "$REPORT" run -o page.html 2>err.txt || fail "no page of a run in progress: $(cat err.txt)"
    pages=$((pages + 1))
  done
  grep -qF '"outcome":"no summary yet"' page.html || fail "a run in progress has another outcome"
  [ $pages = 50 ] || fail "the run has ended: $(tail -n 3 log.txt)"
  kill -9 $run
  wait $run
  "$REPORT" run -o page.html 2>err.txt || fail "no page of a killed run: $(cat err.txt)"
  [ ! -s err.txt ] || grep -q 'are reduced' err.txt || fail "a message: $(cat err.txt)"
  check page.html run/metrics.h5
  grep -qF '"outcome":"ended without a summary"' page.html || fail "a killed run has another outcome"
}

# Bad input has one message and the documented code; inputs and older pages are as they were.
bad_input() {
  make run 20
  finished run
  make other 30 0.25
  cp -r run before
  gives 2 'needs a RUN'
  gives 2 '--output FILE is needed' run
  gives 2 "has no option '--outputs'" run --outputs x
  gives 2 '-o needs a value' run -o
  gives 2 "--points: '1' is not a whole number from 4" run -o page.html --points 1
  gives 2 "--curve: 'losses' is not one of loss, validation_loss" show run --curve losses
  gives 2 "--x: 'epoch' is not one of step, tokens, time" show run --x epoch
  gives 2 "--width: '0' is not a whole number" show run --width 0
  gives 2 "--interval: 'soon' is not a number of seconds" watch run --interval soon
  gives 2 '--log takes no value' show run --log=yes
  gives 2 'show takes one RUN, and 2 are given' show run other
  gives 2 'the run ./run is given twice, also as run' run ./run -o page.html
  gives 2 'cannot read the run nothing: No such file or directory' nothing -o page.html
  mkdir empty below && cp -r run below/one && cp -r run below/two
  gives 2 'the folder empty has no metrics.h5; expected the dump folder of a run' empty -o page.html
  gives 2 'the folder below has no metrics.h5; runs below it: below/' below -o page.html
  gives 2 'the folder empty has no metrics.h5' watch empty
  mkdir -p odd/metrics.h5
  gives 2 'the folder odd has no metrics.h5' odd -o page.html
  local kind
  for kind in empty cut garbage flipped pipe; do
    rm -rf bad && cp -r run bad
    case $kind in
    empty) : >bad/metrics.h5 ;;
    cut) truncate -s $(($(stat -c %s run/metrics.h5) / 2)) bad/metrics.h5 ;;
    garbage) head -c 5000 "$REPORT" >bad/metrics.h5 ;;
    flipped) printf '\377' | dd of=bad/metrics.h5 bs=1 seek=$(($(stat -c %s run/metrics.h5) - 1)) conv=notrunc status=none ;;
    pipe) rm bad/metrics.h5 && mkfifo bad/metrics.h5 ;;
    esac
    gives 3 'cannot read the metrics file bad/metrics.h5: ' run bad -o page.html
    gives 3 'cannot read the metrics file bad/metrics.h5: ' show bad
  done
  [ ! -e page.html ] || fail "a page of bad input"
  # The part that HDF5 reads is damaged: the rows are there nevertheless.
  rm -rf bad && cp -r run bad
  printf '\377\377\377\377' | dd of=bad/metrics.h5 bs=1 seek=8 conv=notrunc status=none
  gives 0 'bad: the attributes of metrics.h5 cannot be read; its rows can' bad -o page.html
  grep -qF '"rows":20,' page.html || fail "the rows are missing"
  echo '{' >bad/summary.json
  cp run/metrics.h5 bad/metrics.h5
  gives 0 'bad: its summary.json is damaged and left out' bad -o page.html
  gives 0 'the runs have different steps, and each curve ends where its run does: run 20, other 30' run other -o page.html
  # Outputs.
  echo '[job]' >run/configuration.toml && cp run/configuration.toml before
  for kind in metrics.h5 summary.json configuration.toml; do
    gives 2 "the output run/$kind is the input run/$kind: the input would be lost" run -o run/$kind
  done
  ln -s run/metrics.h5 link.html
  gives 2 'the output link.html is the input run/metrics.h5' run -o link.html
  gives 5 'cannot write empty: Is a directory' run -o empty
  gives 5 'cannot write missing/page.html: No such file or directory' run -o missing/page.html
  gives 5 'cannot write /dev/full: No space left on device' run -o /dev/full
  diff -r run before || fail "the run has changed"
  echo older >page.html && cp page.html older.html
  (ulimit -f 8 && trap '' XFSZ && exec "$REPORT" run -o page.html) 2>err.txt
  [ $? = 5 ] || fail "a disk that is full: $(cat err.txt)"
  cmp page.html older.html || fail "the older page is lost"
  if compgen -G '*.partial' >/dev/null; then fail "left: $(echo *.partial)"; fi
  "$REPORT" show run >/dev/full 2>err.txt
  [ $? = 5 ] || fail "standard output that is full: $(cat err.txt)"
  local name
  for name in /dev/stdout -; do
    "$REPORT" run -o $name 2>err.txt | grep -q '^<!DOCTYPE html>$' || fail "standard output: $(cat err.txt)"
  done
  [ -e ./- ] && fail "a file called -"
}

# In a browser, with each kind of axis: every curve has its canvas, the tables have the numbers, and the console is silent: no error of
# the script and, as the page's policy forbids every request, none was tried. Oracle: the DOM that headless Chromium gives.
browser() {
  local chromium dom hash
  chromium=${TITAN_CHROMIUM:-$(command -v chromium || command -v chromium-browser || command -v google-chrome)}
  if [ -z "$chromium" ]; then
    echo "SKIPPED: no chromium is installed, so no browser draws the page (Debian: chromium; or set TITAN_CHROMIUM)"
    exit 77
  fi
  make a 5000 && make b 300 0.25 && make c 120
  finished a
  "$REPORT" a b c -o page.html 2>/dev/null || fail "no page"
  for hash in '' '#axis=tokens' '#axis=time&smoothing=50' '#axis=tokens&smoothing=10&log_x=1&log_y=1'; do
    timeout 120 "$chromium" --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --user-data-dir="$PWD/profile" --window-size=1300,900 \
      --enable-logging=stderr --virtual-time-budget=5000 --dump-dom "file://$PWD/page.html$hash" >dom.html 2>console.txt ||
      { fail "chromium: $(tail -n 3 console.txt)"; return; }
    dom=$(sed 's/<script.*//' dom.html)
    grep -F CONSOLE console.txt && fail "$hash: the console has messages"
    grep -qF '<body data-drawn="11">' dom.html || fail "$hash: other than 11 curves are drawn: $(grep -o '<body[^>]*>' dom.html)"
    [ "$(grep -o '<canvas' <<<"$dom" | wc -l)" = 22 ] || fail "$hash: $(grep -o '<canvas' <<<"$dom" | wc -l) canvases"
    grep -qF '<tr data-result="steps"><th>Steps</th><td>5,000</td><td>300</td><td>120</td></tr>' <<<"$dom" ||
      fail "$hash: the table of results: $(grep -o '<tr data-result="steps">.*' <<<"$dom" | head -c 200)"
    grep -qF '<tr><th>optimizer.lr</th><td class="text">0.5</td><td class="text">0.25</td><td class="text">0.5</td></tr>' <<<"$dom" ||
      fail "$hash: the table of differences"
    [ "$(grep -o 'dygraph-axis-label-x' <<<"$dom" | wc -l)" -ge 33 ] || fail "$hash: no scales"
  done
  grep -q 'class="dygraph-axis-label dygraph-axis-label-x">[0-9.]*M<' <<<"$dom" || fail "no tokens on the scale"
  # The smoothed mfu ends where the formula's mean over 10 rows does: of rows (b, c), and about so of buckets' means (a).
  local wanted got
  wanted=$(for rows in 5000 300 120; do
    awk -v rows=$rows 'BEGIN { for (i = 1; i <= rows; i++) { s = 0.9 * s + 0.1 * (40 + sin(20 * i / rows)); w = 0.9 * w + 0.1 }; print s / w }'
  done)
  got=$(sed -n 's/.*data-last="\([^"]*\)"[^>]*><h3>Model FLOP.*/\1/p' <<<"$dom" | tr ' ' '\n')
  paste -d ' ' <(echo "$wanted") <(echo "$got") | awk '{ tolerance = NR == 1 ? 1e-3 : 1e-5; d = $1 - $2; if (!(d <= tolerance * $1 && -d <= tolerance * $1)) exit 1 }
    END { exit NR != 3 }' || fail "smoothed mfu: $got, expected $wanted"
}

"$part"
finish
