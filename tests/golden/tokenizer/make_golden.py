#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the golden files of the tokenizer tests with tiktoken.

Usage: pip install tiktoken==0.14.0 regex unicodedata2==16.0.0
       python3 make_golden.py PATH/TO/titan-tokenizer

Writes beside itself:
  training.jsonl  the text of text.py
  golden.model    trained on it by titan-tokenizer (the test trains again and wants the same bytes)
  hard.jsonl      strings that are hard to split: those of text.py and random ones
  hard.ids        tiktoken's ids, one line for each line of hard.jsonl
  long.txt        rows "repeats unit-in-hex token-count FNV-1a-of-the-ids": long texts of one repeated unit
  invalid.txt     rows "bytes-in-hex repaired-in-hex replacements": Python's decode("utf-8", "replace")
  versions.txt    what the ids were made with
"""
import importlib.metadata
import json
import os
import platform
import random
import subprocess
import sys

import unicodedata2

from reference import Reference
from text import HARD, LONG, TRAINING

HERE = os.path.dirname(os.path.abspath(__file__))
VOCABULARY = 700
SPACES = "\t\n\v\f\r \u0085\u00a0\u1680\u2000\u2003\u2028\u2029\u202f\u205f\u3000\u180e\u200b\ufeff"
HOT = "'’ſsStTrReEvVmMlLdD  \n\r\t09aZ.,!?-_\u0301\u200d😀👩漢字한กع½²٣"


def path(name):
    return os.path.join(HERE, name)


def random_strings(count):
    chance = random.Random(20260131)
    assigned = [c for c in range(0x110000) if unicodedata2.category(chr(c)) not in ("Cs", "Cn", "Co")]

    def character():
        kind = chance.random()
        if kind < 0.5:
            return chance.choice(HOT)
        if kind < 0.65:
            return chance.choice(SPACES)
        if kind < 0.75:
            return chr(chance.randrange(0x20, 0x7f))
        if kind < 0.9:
            return chr(chance.choice(assigned))
        return chance.choice(["'s", "'S", "'ſ", "'re", "'LL", "'vE", "river", " boats", "\r\n", "流过", "Река"])

    return ["".join(character() for _ in range(chance.randrange(1, 24))) for _ in range(count)]


def fingerprint(ids):
    value = 0xCBF29CE484222325
    for i in ids:
        for byte in i.to_bytes(4, "little"):
            value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return value


def invalid_bytes(count):
    chance = random.Random(7)
    likely = b"\xc0\xc1\xc2\xe0\xe1\xed\xee\xf0\xf1\xf4\xf5\xff\x80\x8f\x90\x9f\xa0\xbf aA'9"
    rows = [b"\x61\xf1\x80\x80\xe1\x80\xc2\x62\x80\x63\x80\xbf\x64", b"\xed\xa0\x80\xed\xb0\x80", b"\xf4\x8f\xbf\xbf\xf4\x90\x80\x80",
            b"\xe0\x80\xaf\xc0\xaf", b"\xf0\x80\x80\xaf", b"\xe2\x82", b"\xf0\x9f\x98", b"ok"]
    while len(rows) < count:
        rows.append(bytes(chance.choice(likely) if chance.random() < 0.85 else chance.randrange(256)
                          for _ in range(chance.randrange(1, 16))))
    return rows


def repair(data):
    """The repaired text, and how many characters of it are replacements."""
    count = 0
    text = ""
    while data:
        try:
            text += data.decode("utf-8")
            break
        except UnicodeDecodeError as error:
            text += data[:error.start].decode("utf-8") + "\ufffd"
            count += 1
            data = data[error.end:]
    return text, count


def main():
    with open(path("training.jsonl"), "w", encoding="utf-8") as file:
        for text in TRAINING:
            file.write(json.dumps({"text": text}, ensure_ascii=False) + "\n")
    subprocess.run([sys.argv[1], "train", "--jsonl", path("training.jsonl"), "--vocab-size", str(VOCABULARY), "--output",
                    path("golden.model")], check=True)
    reference = Reference(path("golden.model"))
    strings = HARD + TRAINING + random_strings(600)
    lines = [json.dumps({"text": s}, ensure_ascii=bool(n % 2)) for n, s in enumerate(strings)]
    # surrogates without a partner: tiktoken takes each as U+FFFD
    lines += ['{"text": "a\\ud800b"}', '{"text": "\\udc00\\ud83d\\ude00\\ud83d x"}', '{"url": null, "te\\u0078t": "boats"}']
    with open(path("hard.jsonl"), "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    with open(path("hard.ids"), "w") as file:
        for line in lines:
            file.write(" ".join(map(str, reference.encode(json.loads(line)["text"]))) + "\n")
    with open(path("long.txt"), "w") as file:
        for unit, repeats in LONG:
            ids = reference.encode(unit * repeats)
            file.write(f"{repeats} {unit.encode().hex()} {len(ids)} {fingerprint(ids):016x}\n")
    with open(path("invalid.txt"), "w") as file:
        for row in invalid_bytes(500):
            text, count = repair(row)
            assert text == row.decode("utf-8", "replace")
            file.write(f"{row.hex()} {text.encode().hex()} {count}\n")
    with open(path("versions.txt"), "w") as file:
        file.write(f"python {platform.python_version()}\n")
        for name in ("tiktoken", "regex", "unicodedata2"):
            file.write(f"{name} {importlib.metadata.version(name)}\n")


main()
