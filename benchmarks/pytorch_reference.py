#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Trains the same Llama on the same tokens with PyTorch, in float32: an oracle for titan-hpc's loss curve, and a speed
to compare with. It is optional: nothing in titan-hpc needs it. It needs torch and numpy, and tiktoken where it makes the
tokens itself.

With --init philox the weights are titan-hpc's own, so the losses agree to rounding; with --init torch they come from
PyTorch's generator, so the curves agree as two seeds do.

    pytorch_reference.py --corpus corpus.jsonl.gz --tokenizer tokenizer.model --steps 10
    pytorch_reference.py --windows windows.bin --vocab 2256 --init torch --seed 1

--windows is raw int32 [steps][batch][seq_len+1]. Made from a corpus: document i belongs to lane i mod batch, a lane is BOS
+ tokens + EOS of its documents one after another, cut into windows of seq_len+1 that do not overlap; row b of step s is
window s of lane b. A corpus that ends starts over, its documents numbered on.
"""

import argparse
import base64
import gzip
import json
import pathlib
import sys
import time

import numpy as np
import torch

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden" / "llama"))
import reference  # noqa: E402

SPLIT_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
SPECIAL_TOKENS = 256


def load_tokenizer(path):
    """The tiktoken encoding of a .model file, and its number of tokens without the special ones."""
    import tiktoken

    ranks = {}
    for line in pathlib.Path(path).read_bytes().splitlines():
        if line:
            token, rank = line.split()
            ranks[base64.b64decode(token)] = int(rank)
    return tiktoken.Encoding("titan", pat_str=SPLIT_PATTERN, mergeable_ranks=ranks, special_tokens={}), len(ranks)


def read_documents(path):
    opener = gzip.open if path.endswith(".gz") else open
    with opener(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            if line.strip():
                yield json.loads(line)["text"]


def cut_windows(corpus, encoding, base, steps, batch, seq_len):
    lanes = [[] for _ in range(batch)]
    need = steps * (seq_len + 1)
    document = 0  # numbered through over the passes
    while any(len(lane) < need for lane in lanes):
        first = document
        for text in read_documents(corpus):
            lane = lanes[document % batch]
            if len(lane) < need:
                lane.extend([base, *encoding.encode_ordinary(text), base + 1])
            document += 1
        if document == first:
            sys.exit(f"{corpus}: no document")
    return np.array([lane[:need] for lane in lanes], np.int32).reshape(batch, steps, seq_len + 1).swapaxes(0, 1)


def load_windows(arguments):
    """int32 [steps, batch, seq_len+1], and the vocabulary's size."""
    shape = (arguments.steps, arguments.batch, arguments.seq_len + 1)
    if arguments.windows:
        windows = np.fromfile(arguments.windows, np.int32)
        if windows.size != np.prod(shape):
            sys.exit(f"{arguments.windows}: holds {windows.size} tokens, expected {shape} = {np.prod(shape)}")
        return windows.reshape(shape), arguments.vocab
    if not (arguments.corpus and arguments.tokenizer):
        sys.exit("give --windows, or --corpus and --tokenizer")
    encoding, base = load_tokenizer(arguments.tokenizer)
    return cut_windows(arguments.corpus, encoding, base, *shape[:2], arguments.seq_len), base + SPECIAL_TOKENS


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--windows", help="raw int32 tokens [steps][batch][seq_len+1]")
    parser.add_argument("--corpus", help="JSON lines with a text field, plain or .gz")
    parser.add_argument("--tokenizer", help="tiktoken .model file")
    parser.add_argument("--dump_windows", help="write the tokens as --windows reads them")
    parser.add_argument("--output", help="also write the table of losses to this file")
    parser.add_argument("--init", choices=("philox", "torch"), default="philox")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=10, help="number of steps, and the length of the schedule")
    parser.add_argument("--warmup_steps", type=int, default=2)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--seq_len", type=int, default=2048)
    parser.add_argument("--lr", type=float, default=8e-4)
    parser.add_argument("--max_norm", type=float, default=1.0)
    parser.add_argument("--threads", type=int, default=0, help="0: PyTorch's choice")
    model = parser.add_argument_group("model (default: llama3's debugmodel)")
    model.add_argument("--dim", type=int, default=256)
    model.add_argument("--layers", type=int, default=8)
    model.add_argument("--heads", type=int, default=16)
    model.add_argument("--kv_heads", type=int, default=0, help="0: as many as heads")
    model.add_argument("--vocab", type=int, default=2256, help="with --windows; a tokenizer brings its own")
    model.add_argument("--multiple_of", type=int, default=256)
    model.add_argument("--ffn_dim_multiplier", type=float, default=1.0)
    model.add_argument("--rope_theta", type=float, default=500000.0)
    model.add_argument("--norm_type", default="rmsnorm")
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    windows, vocab = load_windows(arguments)
    if arguments.dump_windows:
        windows.tofile(arguments.dump_windows)
    sizes = reference.Sizes(
        dim=arguments.dim, layers=arguments.layers, heads=arguments.heads, kv_heads=arguments.kv_heads or arguments.heads,
        vocab=vocab, multiple_of=arguments.multiple_of, ffn_dim_multiplier=arguments.ffn_dim_multiplier,
        norm_type=arguments.norm_type, rope_theta=arguments.rope_theta)
    model = reference.Llama(sizes)
    {"philox": reference.initialise_philox, "torch": reference.initialise_torch}[arguments.init](model, arguments.seed)
    optimizer, schedule = reference.build_optimizer(model, arguments.lr, arguments.warmup_steps, arguments.steps)

    output = open(arguments.output, "w", encoding="utf-8") if arguments.output else None

    def report(line):
        for file in (sys.stdout, output):
            if file:
                print(line, file=file, flush=True)

    parameters = sum(p.numel() for p in model.parameters())
    report(f"# torch {torch.__version__}, {torch.get_num_threads()} threads, float32, init {arguments.init}, "
           f"seed {arguments.seed}, {parameters:,} parameters")
    report("# step loss grad_norm seconds tokens_per_second")
    seconds = []
    for step in range(arguments.steps):
        begin = time.perf_counter()
        window = torch.from_numpy(windows[step].astype(np.int64))
        loss, norm = reference.train_step(model, optimizer, schedule, window, arguments.max_norm)
        seconds.append(time.perf_counter() - begin)
        tokens = arguments.batch * arguments.seq_len
        report(f"{step + 1} {loss:.7f} {norm:.7f} {seconds[-1]:.3f} {tokens / seconds[-1]:.1f}")
    if len(seconds) > 1:
        report(f"# {arguments.batch * arguments.seq_len / np.median(seconds[1:]):.1f} tokens/s "
               "(median of the steps after the first)")


if __name__ == "__main__":
    main()
