#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What PyTorch needs for the same steps as benchmarks/activations: memory and seconds with each mode of activation
checkpointing, in float32. Optional; needs torch and numpy.

    pytorch_activations.py [--flavor debugmodel|271M] [--batch 8] [--seq_len 2048] [--steps 2] [--threads 2] [--compile]

Each mode runs in a process of its own. `resident` is the process's largest resident memory less what it had when model,
optimizer and imports were there, so gradients, moments and activations; the first step is not counted for seconds.
"""

import argparse
import gc
import pathlib
import resource
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden" / "llama"))

MODES = ("none", "selective 2", "selective op", "full")
VOCABULARY = 2256


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--flavor", choices=("debugmodel", "271M"), default="debugmodel")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--seq_len", type=int, default=2048)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--mode", choices=MODES, help=argparse.SUPPRESS)
    return parser.parse_args()


def resident_bytes():
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def policy():
    """Keeps attention's outputs and every second matrix product, as TorchTitan's selective op."""
    import torch
    from torch.utils.checkpoint import CheckpointPolicy, create_selective_checkpoint_contexts

    aten = torch.ops.aten
    kept = {aten._scaled_dot_product_flash_attention_for_cpu.default, aten._scaled_dot_product_efficient_attention.default,
            aten._scaled_dot_product_flash_attention.default}

    def context():
        products = {True: 0, False: 0}

        def choose(state, op, *_, **__):
            if op == aten.mm.default:
                products[state.is_recompute] += 1
                keep = products[state.is_recompute] % 2 == 1
            else:
                keep = op in kept
            return CheckpointPolicy.MUST_SAVE if keep else CheckpointPolicy.PREFER_RECOMPUTE

        return create_selective_checkpoint_contexts(choose)

    return context


def checkpointed(block, mode):
    import torch.utils.checkpoint as checkpoint

    forward = block.forward
    options = {"context_fn": policy()} if mode == "selective op" else {}
    block.forward = lambda x, rotation: checkpoint.checkpoint(forward, x, rotation, use_reentrant=False, **options)


def build(arguments):
    import reference

    sizes = {
        "debugmodel": reference.Sizes(dim=256, layers=8, heads=16, kv_heads=16, vocab=VOCABULARY),
        "271M": reference.Sizes(dim=1024, layers=16, heads=8, kv_heads=8, vocab=VOCABULARY, rope_theta=10000.0),
    }[arguments.flavor]
    model = reference.Llama(sizes)
    reference.initialise_torch(model, 0)
    for index, block in enumerate(model.layers):
        if arguments.mode in ("full", "selective op") or (arguments.mode == "selective 2" and index % 2 == 1):
            checkpointed(block, arguments.mode)
        if arguments.compile:
            block.compile()
    return model


def run(arguments):
    import reference
    import torch

    torch.set_num_threads(arguments.threads)
    model = build(arguments)
    optimizer, schedule = reference.build_optimizer(model, 8e-4, 2, 1000)
    gc.collect()
    before = resident_bytes()
    seconds = []
    for step in range(arguments.steps + 1):
        torch.manual_seed(step)
        window = torch.randint(0, VOCABULARY, (arguments.batch, arguments.seq_len + 1))
        begin = time.perf_counter()
        reference.train_step(model, optimizer, schedule, window, 1.0)
        seconds.append(time.perf_counter() - begin)
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    mean = sum(seconds[1:]) / arguments.steps
    print(f"{arguments.mode:14} {(largest - before) / 2**30:12.3f} {largest / 2**30:14.3f} {mean:9.3f} "
          f"{arguments.batch * arguments.seq_len / mean:9.0f}", flush=True)


def main():
    arguments = parse_arguments()
    if arguments.mode:
        run(arguments)
        return
    print(f"# {arguments.flavor}, batch {arguments.batch} x {arguments.seq_len}, float32, {arguments.threads} threads, "
          f"compile {'on' if arguments.compile else 'off'}")
    print(f"{'activations':14} {'resident GiB':>12} {'in all, GiB':>14} {'s/step':>9} {'tokens/s':>9}", flush=True)
    for mode in MODES:
        subprocess.run([sys.executable, *sys.argv, "--mode", mode], check=True)


if __name__ == "__main__":
    main()
