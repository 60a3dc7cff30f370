#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Property: each relative link of a page (*.md) names a file that is there, and each anchor a heading of that page; each page of docs/ can be
# reached from README.md or docs/README.md by links.
#
# usage: links.sh ROOT
set -euo pipefail
cd "$1"
mapfile -t pages < <(find . -maxdepth 1 -name '*.md' -printf '%P\n' && find docs .github .devcontainer -name '*.md' 2>/dev/null)
[ "${#pages[@]}" -gt 0 ] || { echo "no pages in $1"; exit 1; }
{
  find . -maxdepth 1 -printf 'file %P\n'
  find docs src configs jobscripts modules benchmarks cmake assets tests third_party .github .devcontainer -printf 'file %p\n' 2>/dev/null || true
  printf 'page %s\n' "${pages[@]}"
} | sort | LC_ALL=C awk '
# The anchor that a heading gets: lower case, without punctuation, a hyphen for each space.
function slug(heading) {
  gsub(/\]\([^)]*\)/, "", heading)
  heading = tolower(heading)
  gsub(/[^a-z0-9 _-]/, "", heading)
  gsub(/ /, "-", heading)
  return heading
}
# The path of `target`, seen from the folder of `page`, without . and ..
function resolve(page, target,    part, count, kept, i, path) {
  if (sub(/\/[^\/]*$/, "/", page) == 0) page = ""
  count = split(page target, part, "/")
  kept = 0
  for (i = 1; i <= count; i++) {
    if (part[i] == ".." && kept > 0) kept--
    else if (part[i] != "." && part[i] != "") part[++kept] = part[i]
  }
  path = part[1]
  for (i = 2; i <= kept; i++) path = path "/" part[i]
  return kept > 0 ? path : ""
}
function read_page(page,    line, number, fenced, text) {
  number = 0
  fenced = 0
  while ((getline line < page) > 0) {
    number++
    if (line ~ /^ *```/) fenced = !fenced
    if (fenced) continue
    if (line ~ /^#+ /) {
      text = line
      sub(/^#+ +/, "", text)
      text = slug(text)
      if ((page, text) in repeats) text = text "-" ++repeats[page, text]
      else repeats[page, text] = 0
      anchors[page "#" text] = 1
    }
    gsub(/`[^`]*`/, "code", line)
    while (match(line, /\]\([^()]*\)/)) {
      text = substr(line, RSTART + 2, RLENGTH - 3)
      line = substr(line, RSTART + RLENGTH)
      if (text ~ /^[a-z]+:/) continue
      links++
      from[links] = page
      place[links] = page ":" number
      to[links] = text
    }
  }
  close(page)
}
function complain(message) {
  print message
  failed = 1
}
$1 == "file" { files[substr($0, 6)] = 1 }
$1 == "page" { page_names[substr($0, 6)] = 1 }
END {
  for (page in page_names) read_page(page)
  for (i = 1; i <= links; i++) {
    anchor = ""
    path = to[i]
    if (match(path, /#.*/)) {
      anchor = substr(path, RSTART)
      path = substr(path, 1, RSTART - 1)
    }
    target = path == "" ? from[i] : resolve(from[i], path)
    if (target != "" && !(target in files)) complain(place[i] ": no file " target)
    else if (anchor != "" && target in page_names && !((target anchor) in anchors)) complain(place[i] ": no heading " anchor " in " target)
    target_of[i] = target
  }
  reached["README.md"] = reached["docs/README.md"] = 1
  do {
    more = 0
    for (i = 1; i <= links; i++)
      if (from[i] in reached && !(target_of[i] in reached)) {
        reached[target_of[i]] = 1
        more = 1
      }
  } while (more)
  for (page in page_names)
    if (page ~ /^docs\// && !(page in reached)) complain(page ": no link from README.md or docs/README.md leads here")
  if (links == 0) complain("the pages have no links")
  exit failed
}'
