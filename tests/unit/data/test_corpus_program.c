// SPDX-License-Identifier: Apache-2.0
// Property: titan-corpus does what its help says, and ends with the documented exit codes. Oracle: the files that are
// expected, written here by hand; what gzip and cmp say for the rest.
#include "program_test.h"

static void text_becomes_documents(void **state) {
  (void)state;
  expect("printf '\\357\\273\\277One \"q\"\\r\\nmore\\r\\n \\t\\r\\n\\r\\nTwo \\\\ \\001\\377\\n' > a.txt; printf "
         "'\\n\\nThree' > b.txt",
         0, "");
  expect("\"$T\" text2jsonl a.txt b.txt --output file.jsonl", 0, "file.jsonl: 2 documents");
  assert_non_null(strstr(output, "1 invalid UTF-8 sequences became U+FFFD"));
  expect("cat file.jsonl", 0,
         "{\"text\": \"One \\\"q\\\"\\u000d\\nmore\\u000d\\n \\u0009\\u000d\\n\\u000d\\nTwo \\\\ "
         "\\u0001\xef\xbf\xbd\\n\"}\n"
         "{\"text\": \"\\n\\nThree\"}\n");
  expect("\"$T\" text2jsonl --document paragraph --output p.jsonl a.txt b.txt && cat p.jsonl", 0,
         "{\"text\": \"One \\\"q\\\"\\nmore\"}\n{\"text\": \"Two \\\\ \\u0001\xef\xbf\xbd\"}\n{\"text\": \"Three\"}\n");
  expect("\"$T\" text2jsonl a.txt --document line b.txt --output l.jsonl && cat l.jsonl", 0,
         "{\"text\": \"One \\\"q\\\"\"}\n{\"text\": \"more\"}\n{\"text\": \"Two \\\\ \\u0001\xef\xbf\xbd\"}\n"
         "{\"text\": \"Three\"}\n");
}

static void gzip_goes_in_and_out(void **state) {
  (void)state;
  expect("gzip -c a.txt > a.txt.gz; \"$T\" text2jsonl a.txt.gz b.txt --output z.jsonl.gz && gzip -dc z.jsonl.gz | cmp "
         "- file.jsonl",
         0, "");
  expect("cat a.txt | \"$T\" text2jsonl - b.txt --output - 2>> errors | cmp - file.jsonl", 0, "");
  // Longer than every buffer; a byte order mark's beginning at the end of a file is text.
  expect("seq 1 400000 | tr '\\n' ' ' > long.txt; \"$T\" text2jsonl long.txt --output long.jsonl.gz", 0,
         "1 documents, 2688895 bytes");
  expect("{ printf '{\"text\": \"'; cat long.txt; printf '\"}\\n'; } > long.jsonl; gzip -dc long.jsonl.gz | cmp - "
         "long.jsonl",
         0, "");
  expect("cat a.txt.gz b.txt > damaged.gz; \"$T\" text2jsonl damaged.gz --output z.jsonl.gz", 3,
         "damaged.gz: damaged gzip data");
  expect("gzip -dc z.jsonl.gz | cmp - file.jsonl", 0, "");
}

static void what_cannot_be_converted_is_told(void **state) {
  (void)state;
  expect("\"$T\" text2jsonl --output x", 2, "needs an INPUT");
  expect("\"$T\" text2jsonl a.txt", 2, "--output FILE");
  expect("\"$T\" text2jsonl a.txt --output", 2, "--output needs a value");
  expect("\"$T\" text2jsonl a.txt --output x --document page", 2, "'page' is unknown");
  expect("\"$T\" text2jsonl a.txt --output=x --document=page", 2, "'page' is unknown");
  expect("\"$T\" text2jsonl a.txt --output x --documents 5", 2, "no option --documents");
  expect("\"$T\" text2jsonl nowhere.txt --output x", 2, "nowhere.txt: No such file");
  expect("\"$T\" text2jsonl . --output x", 2, "is a folder");
  expect("\"$T\" text2jsonl b.txt a.txt --output a.txt", 2, "is the input a.txt");
  expect("printf ' \\n\\n' > blank.txt; \"$T\" text2jsonl blank.txt --output x", 3, "holds no text");
  expect("ls | grep -c -e partial -e '^x$'", 1, "0\n");
}

static void json_lines_are_told_from_text(void **state) {
  (void)state;
  expect(
      "printf '{\"text\": \"a\"}\\n{\"text\": \"b\"}\\n' > lines.jsonl; \"$T\" text2jsonl a.txt lines.jsonl --output x",
      0, "lines.jsonl seems to be JSON lines already");
  expect("\"$T\" text2jsonl a.txt b.txt --output x; rm x", 0, "bytes of text\n");
  assert_null(strstr(output, "JSON lines"));
}

static void generated_files_are_written_whole(void **state) {
  (void)state;
  expect("\"$T\" --documents 3 --output g.jsonl && wc -l < g.jsonl", 0, "3\n");
  expect("\"$T\" --documents 3 --output - | cmp - g.jsonl", 0, "");
  expect("\"$T\" --documents=3 --seed=0 --output=- | cmp - g.jsonl", 0, "");
  expect("\"$T\" --documents 0 --output x", 2, "--documents: expected a number of at least 1, got 0");
  expect("\"$T\" --documents", 2, "--documents needs a value");
  expect("\"$T\" --document 3 --output x", 2, "unknown option --document\n");
  expect("\"$T\" text2json a.txt --output x", 2,
         "unexpected argument 'text2json'; the commands are text2jsonl and index");
  expect("\"$T\" --documents 3 --output /dev/null && test -c /dev/null", 0, "");
  expect("mkfifo pipe; cat pipe > piped & \"$T\" --documents 3 --output pipe; wait; test -p pipe && cmp piped g.jsonl",
         0, "");
  expect("cp g.jsonl h.jsonl; trap '' XFSZ; ulimit -f 4; \"$T\" --documents 50 --output h.jsonl", 5,
         "cannot write h.jsonl: File too large");
  expect("cmp g.jsonl h.jsonl; ls | grep -c partial", 1, "0\n");
  expect("\"$T\" --documents 3 --output no/where", 5, "cannot write no/where");
  expect("\"$T\" --documents 3", 2, "--output");
  expect("\"$T\" --help", 0, "text2jsonl");
  expect("\"$T\" --version", 0, "titan-corpus 0.");
  expect("\"$T\" --help > /dev/full", 5, "cannot write standard output: No space left on device");
  expect("\"$T\" --version > /dev/full", 5, "cannot write standard output: No space left on device");
}

// Oracle: `grep -b`, which tells the bytes where lines begin.
static void an_index_has_the_places_of_all_documents(void **state) {
  (void)state;
  expect("\"$T\" --documents 1000 --output i.jsonl && sed -i 's/^/\\n/;5s/$/\\n \\n\\n/' i.jsonl", 0, "");
  expect("\"$T\" index i.jsonl g.jsonl", 0, "i.jsonl.index: 1000 documents\ng.jsonl.index: 3 documents\n");
  expect("wc -c < i.jsonl.index", 0, "16384\n"); // a header and three blocks
  expect("for b in 0 1 2; do od -An -v -t u8 -w8 -j $((4104 + 4096 * b)) -N $((8 * 339)) i.jsonl.index; done | tr -d ' "
         "' | "
         "head -n 1000 > begins; grep -b text i.jsonl | cut -d: -f1 | cmp - begins",
         0, "");
  expect("cp i.jsonl.index old; \"$T\" index ./i.jsonl && cmp old i.jsonl.index", 0, "./i.jsonl.index: 1000");
  expect("printf '\\n \\n' > none.jsonl; \"$T\" index none.jsonl && wc -c < none.jsonl.index", 0, "4096\n");
}

static void an_index_that_cannot_be_made_is_told(void **state) {
  (void)state;
  expect("\"$T\" index", 2, "index needs a FILE");
  expect("\"$T\" index --seed 1", 2, "index has no option --seed");
  expect("\"$T\" index nowhere.jsonl", 2, "cannot open nowhere.jsonl: No such file");
  expect("\"$T\" index .", 2, ". is a folder");
  expect("gzip -k g.jsonl; \"$T\" index g.jsonl.gz", 2, "g.jsonl.gz is gzip, which cannot be entered in its middle");
  expect("\"$T\" index /proc/version", 5, "cannot write /proc/version.index: ");
  expect("cp g.jsonl k.jsonl; mkdir k.jsonl.index; \"$T\" index k.jsonl", 5, "cannot write k.jsonl.index: ");
  expect("trap '' XFSZ; ulimit -f 4; \"$T\" index i.jsonl", 5, "cannot write i.jsonl.index: File too large");
  expect("cmp old i.jsonl.index; ls | grep -c -e partial -e gz.index", 1, "0\n");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(text_becomes_documents),
      cmocka_unit_test(gzip_goes_in_and_out),
      cmocka_unit_test(what_cannot_be_converted_is_told),
      cmocka_unit_test(json_lines_are_told_from_text),
      cmocka_unit_test(generated_files_are_written_whole),
      cmocka_unit_test(an_index_has_the_places_of_all_documents),
      cmocka_unit_test(an_index_that_cannot_be_made_is_told),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
