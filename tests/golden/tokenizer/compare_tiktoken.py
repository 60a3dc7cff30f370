#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares titan-tokenizer with tiktoken over a corpus; any difference is exit code 1.

Usage: python3 compare_tiktoken.py PATH/TO/titan-tokenizer MODEL CORPUS.jsonl[.gz]
Without the tiktoken package it says so and exits with 77, which CTest and Automake call "skipped".
"""
import gzip
import json
import subprocess
import sys

from reference import Reference


def main():
    program, model, corpus = sys.argv[1:4]
    try:
        reference = Reference(model)
    except ModuleNotFoundError as error:
        print(f"SKIPPED: {error}; pip install tiktoken regex", file=sys.stderr)
        return 77
    run = subprocess.Popen([program, "encode", "--model", model, "--jsonl", corpus], stdout=subprocess.PIPE, text=True)
    documents = tokens = different = 0
    with (gzip.open if corpus.endswith(".gz") else open)(corpus, "rb") as file:
        for line in file:
            if not line.strip():
                continue
            text = json.loads(line.decode("utf-8", "replace"))["text"]
            expected, got = reference.encode(text), list(map(int, run.stdout.readline().split()))
            documents += 1
            tokens += len(expected)
            if expected != got:
                different += 1
                if different <= 5:
                    at = next((i for i, (a, b) in enumerate(zip(expected, got)) if a != b), min(len(expected), len(got)))
                    print(f"document {documents}, token {at}: tiktoken {expected[at:at + 8]}, ours {got[at:at + 8]}")
    left = run.stdout.read()
    code = run.wait()
    print(f"{documents} documents, {tokens} tokens, {different} documents differ")
    return 1 if different or left or code else 0


sys.exit(main())
