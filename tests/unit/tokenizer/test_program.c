// SPDX-License-Identifier: Apache-2.0
// Property: titan-tokenizer does what its help says, and ends with the documented exit codes. Oracles: round trips, and
// the library. Exact.
#include "program_test.h"

static void a_vocabulary_is_trained_and_used(void **state) {
  (void)state;
  expect("printf '{\"text\":\"the boats, the boats\"}\\n{\"text\":\"the boat\"}\\n' > c.jsonl && gzip -k c.jsonl", 0,
         "");
  expect("\"$T\" train --jsonl c.jsonl --vocab-size 260 --output a.model", 0, "a.model: 260 tokens from 28 bytes");
  expect("\"$T\" train --jsonl=c.jsonl.gz --vocab-size=260 --output=b.model && cmp a.model b.model", 0, "");
  expect("\"$T\" info --model a.model", 0, "vocabulary size:    516");
  expect("printf ' boat \\303\\251' | \"$T\" encode --model a.model | \"$T\" decode --model a.model | od -c", 0,
         "b   o   a   t     303 251\n");
  expect("\"$T\" encode --model a.model --jsonl c.jsonl | wc -l", 0, "2");
  expect("\"$T\" encode --model a.model --jsonl c.jsonl --special | head -n 1 | cut -d ' ' -f 1", 0, "260\n");
  expect("printf '260 65 261' | \"$T\" decode --model a.model", 0, "<|begin_of_text|>A<|end_of_text|>");
  expect("printf 'a\\377b' | \"$T\" encode --model a.model", 0, "97 239 191 189 98\n");
  assert_non_null(strstr(output, "1 invalid UTF-8 sequences"));
  expect("\"$T\" --help", 0, "usage: titan-tokenizer");
  expect("\"$T\" --version", 0, "titan-tokenizer 0.");
}

static void wrong_use_ends_with_2(void **state) {
  (void)state;
  expect("\"$T\"", 2, "a command is needed");
  expect("\"$T\" enc", 2, "unknown command 'enc'");
  expect("\"$T\" encode", 2, "needs --model");
  expect("\"$T\" encode --model", 2, "--model needs a value");
  expect("\"$T\" encode --modle x", 2, "'--modle'");
  expect("\"$T\" encode --model a.model x", 2,
         "encode: unexpected argument 'x'; the text comes from standard input or --jsonl FILE");
  expect("\"$T\" decode --model a.model 5", 2, "unexpected argument '5'; the ids come from standard input");
  expect("\"$T\" info a.model", 2, "unexpected argument 'a.model'; the tokenizer is given as --model FILE");
  expect("\"$T\" train c.jsonl --vocab-size 260 --output x", 2,
         "unexpected argument 'c.jsonl'; a file of text is given as --jsonl FILE");
  expect("\"$T\" encode --model a.model --special=1", 2, "--special takes no value");
  expect("\"$T\" info --model nowhere.model", 2, "cannot open the tokenizer nowhere.model");
  expect("\"$T\" train --jsonl c.jsonl --vocab-size 26x --output x", 2, "'26x' is not a whole number");
  expect("\"$T\" train --jsonl c.jsonl --vocab-size 255 --output x", 2, "256");
  expect("\"$T\" train --jsonl c.jsonl --output x", 2, "--vocab-size N");
  expect("\"$T\" train --jsonl nowhere.jsonl --vocab-size 256 --output x", 2, "nowhere.jsonl");
}

static void broken_data_end_with_3(void **state) {
  (void)state;
  expect("echo 'QQ== x' > broken.model; \"$T\" info --model broken.model", 3, "broken.model:1:");
  expect("echo '{\"text\":' > broken.jsonl; \"$T\" encode --model a.model --jsonl broken.jsonl", 3, "broken.jsonl:1:");
  expect("echo '1 2 x' | \"$T\" decode --model a.model", 3, "'x");
  expect("echo '1 600' | \"$T\" decode --model a.model", 3, "600 is outside the vocabulary");
  expect("\"$T\" train --jsonl c.jsonl --vocab-size 1000 --output x", 3, "smaller vocabulary");
}

static void an_output_that_cannot_be_written_ends_with_5(void **state) {
  (void)state;
  expect("\"$T\" train --jsonl c.jsonl --vocab-size 257 --output no/where", 5, "cannot write no/where");
  expect("\"$T\" info --model a.model > /dev/full", 5, "cannot write standard output: No space left on device");
  expect("\"$T\" --help > /dev/full", 5, "cannot write standard output: No space left on device");
  expect("\"$T\" --version > /dev/full", 5, "cannot write standard output: No space left on device");
  // Longer than the stream's buffer: the write that fails is not the last.
  expect("seq 1 20000 | \"$T\" encode --model a.model > /dev/full", 5, "cannot write standard output");
}

static void training_replaces_whole_files_only(void **state) {
  (void)state;
  expect("cp a.model old.model; cp c.jsonl d.jsonl; ln -s d.jsonl e.jsonl", 0, "");
  expect("\"$T\" train --jsonl c.jsonl --jsonl d.jsonl --vocab-size 257 --output d.jsonl", 2, "is the input d.jsonl");
  expect("\"$T\" train --jsonl d.jsonl --vocab-size 257 --output e.jsonl", 2, "is the input d.jsonl");
  expect("cmp c.jsonl d.jsonl", 0, "");
  // A limit on the size of files stands for a full disk.
  expect("trap '' XFSZ; ulimit -f 1; \"$T\" train --jsonl c.jsonl --vocab-size 257 --output old.model", 5,
         "cannot write old.model: File too large");
  expect("\"$T\" train --jsonl c.jsonl --vocab-size 1000 --output old.model", 3, "smaller vocabulary");
  expect("cmp a.model old.model && ls | grep -c partial", 1, "0\n");
  expect("\"$T\" train --jsonl c.jsonl --vocab-size 257 --output old.model && \"$T\" info --model old.model", 0,
         "tokens in the file: 257");
  expect("\"$T\" train --jsonl c.jsonl --vocab-size 257 --output /dev/stdout 2>> errors | cmp - old.model", 0, "");
  expect("\"$T\" train --jsonl c.jsonl --vocab-size 257 --output /dev/null && test -c /dev/null", 0, "257 tokens");
}

static void damaged_gzip_ends_with_3(void **state) {
  (void)state;
  expect("cat c.jsonl.gz c.jsonl > behind.gz; \"$T\" encode --model a.model --jsonl behind.gz", 3,
         "behind.gz:3: damaged gzip data");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_vocabulary_is_trained_and_used),
      cmocka_unit_test(wrong_use_ends_with_2),
      cmocka_unit_test(broken_data_end_with_3),
      cmocka_unit_test(an_output_that_cannot_be_written_ends_with_5),
      cmocka_unit_test(training_replaces_whole_files_only),
      cmocka_unit_test(damaged_gzip_ends_with_3),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
