#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The validation loss against PyTorch, on the same weights and the same windows.

    python3 validation.py TITAN_HPC TITAN_CHECKPOINT

A tokenizer whose tokens are the 256 bytes makes the windows plain: BOS, the bytes of a document, EOS, one document after another,
cut every L+1 tokens; they are cut here again. The weights go through the export for Hugging Face into LlamaForCausalLM (float32).
The loss in metrics.h5 must be that model's mean cross-entropy to 1e-4, and the tokens as many.

Exits with 77 where a package is missing (compare.py names them).
"""

import base64
import json
import pathlib
import sys
import tempfile

from compare import h5py, load, np, run, torch

BOS, EOS, TOLERANCE = 256, 257, 1e-4
TEXTS = ["The quick brown fox jumps over the lazy dog.", "Zwölf Boxkämpfer jagen Viktor.", "", "0123456789 " * 30,
         "A man, a plan, a canal: Panama!"] * 3


def write_files(folder):
    with open(folder / "bytes.model", "wb") as file:
        for byte in range(256):
            file.write(base64.b64encode(bytes([byte])) + b" %d\n" % byte)
    with open(folder / "held_out.jsonl", "w") as file:
        for text in TEXTS:
            file.write(json.dumps({"text": text}) + "\n")


def windows_of(length):
    stream = []
    for text in TEXTS:
        stream += [BOS, *text.encode(), EOS]
    return [stream[at:at + length + 1] for at in range(0, len(stream), length + 1)]


def their_loss(model, length):
    total, count = 0.0, 0
    for window in windows_of(length):
        if len(window) < 2:
            continue
        tokens = torch.tensor([window])
        with torch.no_grad():
            logits = model(tokens[:, :-1]).logits.double()
        total += torch.nn.functional.cross_entropy(logits[0], tokens[0, 1:], reduction="sum").item()
        count += len(window) - 1
    return total / count, count


def main():
    titan, tool = sys.argv[1:3]
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        write_files(folder)
        for length, batch in ((64, 5), (150, 2)):
            run(titan, "--job.dump_folder", folder / "run", "--model.flavor", "debugmodel", "--model.tokenizer_path",
                folder / "bytes.model", "--training.dataset", "c4_test", "--training.batch_size", 2, "--training.seq_len", 64,
                "--training.steps", 5, "--training.warmup_steps", 1, "--training.mixed_precision_param", "float32",
                "--optimizer.lr", 3e-3, "--metrics.peak_flops", 1e12, "--checkpoint.enable_checkpoint", "--validation.enabled",
                "--validation.dataset_path", folder / "held_out.jsonl", "--validation.seq_len", length,
                "--validation.local_batch_size", batch)
            if not (folder / "hf").exists():
                run(tool, "export", folder / "run" / "checkpoint" / "step-5.h5", folder / "hf", "--hf")
            with h5py.File(folder / "run" / "metrics.h5") as file:
                step, ours, tokens = (file[f"validation_{column}"][-1] for column in ("step", "loss", "tokens"))
            theirs, count = their_loss(load(folder / "hf"), length)
            print(f"length {length}: loss {ours:.7f} over {tokens:.0f} tokens, PyTorch {theirs:.7f} over {count}")
            if step != 5 or tokens != count or not abs(ours - theirs) <= TOLERANCE * theirs or not np.isfinite(ours):
                sys.exit("FAILED: the losses differ")


if __name__ == "__main__":
    main()
