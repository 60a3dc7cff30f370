// SPDX-License-Identifier: Apache-2.0
// Lines as they are printed, which are longer than lines of C.
// clang-format off
#include "app/usage.h"

const char titan_tokenizer_usage[] =
    "usage: titan-tokenizer train --jsonl FILE [--jsonl FILE ...] --vocab-size N --output FILE\n"
    "       titan-tokenizer encode --model FILE [--jsonl FILE ...] [--special]\n"
    "       titan-tokenizer decode --model FILE\n"
    "       titan-tokenizer info --model FILE\n"
    "\n"
    "train   makes a byte-pair vocabulary of N tokens, 256 at least, from the \"text\" fields of JSON lines (plain or gzip)\n"
    "        and writes it as a tiktoken .model file. 256 special tokens follow it in use: N = 2000 gives models a\n"
    "        vocabulary of 2256. The same text always gives the same file. An older file of the name is replaced once the\n"
    "        new one is complete.\n"
    "encode  prints the ids of each document in one line; without --jsonl, standard input is one document.\n"
    "        --special puts <|begin_of_text|> and <|end_of_text|> around each document, as training does.\n"
    "decode  reads ids from standard input, separated by white space, and writes their bytes.\n"
    "info    prints the sizes, the special ids, the longest token and the fingerprint of a tokenizer.\n"
    "\n"
    "Other options: --help, --version. Exit codes: 0 done, 2 usage, 3 broken data, 5 memory or output.\n";
