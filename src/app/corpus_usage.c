// SPDX-License-Identifier: Apache-2.0
// Lines as they are printed, which are longer than lines of C.
// clang-format off
#include "app/usage.h"

const char titan_corpus_usage[] =
    "usage: titan-corpus --documents N --output FILE [--seed S]\n"
    "       titan-corpus text2jsonl INPUT [INPUT ...] --output FILE [--document file|paragraph|line]\n"
    "       titan-corpus index FILE [FILE ...]\n"
    "\n"
    "The first form writes N documents of generated text. Equal arguments give equal files. The default of S is 0.\n"
    "\n"
    "text2jsonl  makes a corpus from text files (UTF-8, plain or gzip; - is standard input). A document is a whole file\n"
    "            (the default), a paragraph between blank lines, or a line. Documents of white space only are left out;\n"
    "            invalid UTF-8 becomes U+FFFD.\n"
    "index       writes FILE.index, the places of the documents of a plain file of JSON lines (not gzip). A training with\n"
    "            many ranks then reads each document on one rank only. A FILE that is changed needs a new index.\n"
    "\n"
    "The output is JSON lines {\"text\": ...}; a FILE that ends in .gz is compressed, and - is standard output. An older\n"
    "FILE or index is replaced once the new one is complete.\n"
    "\n"
    "Other options: --help, --version. Exit codes: 0 done, 2 usage, 3 broken data, 5 memory or output.\n";
