#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the golden files of this folder: NAME.golden (numbers) and NAME.txt (the model's sizes), one pair a case.

    python3 make_golden.py            write all files
    python3 make_golden.py --check    write nothing; compare a fresh computation with the files

Needs torch, numpy and a C compiler (cc): before anything is computed, the numpy copy of titan-hpc's random numbers is
compared bitwise with src/base/random.c. README.md says what the files hold and which versions made them.
"""

import argparse
import ctypes
import dataclasses
import math
import pathlib
import platform
import subprocess
import sys
import tempfile

import numpy as np
import torch

import reference

FOLDER = pathlib.Path(__file__).resolve().parent
SOURCE = FOLDER.parents[2] / "src"

# A high learning rate, and gradients that are always clipped: so that a mistake in the schedule, the clip, the weight decay,
# a beta or epsilon moves a loss by more than 1e-5 within ten steps, while rounding to float32 moves it by less than 1e-6.
STEPS, WARMUP, LEARNING_RATE, MAX_NORM, SEED = 10, 2, 1e-2, 0.5, 0
ALIGNMENT = 64


@dataclasses.dataclass
class Case:
    sizes: reference.Sizes
    batch: int
    length: int


def llama3(**sizes):
    return reference.Sizes(vocab=199, rope_theta=500000.0, **sizes)


def llama2(**sizes):
    return reference.Sizes(vocab=199, rope_theta=10000.0, **sizes)


CASES = {
    "llama3_rmsnorm": Case(llama3(dim=64, layers=2, heads=4, kv_heads=4, multiple_of=16), 2, 48),
    "llama3_gqa": Case(llama3(dim=64, layers=3, heads=4, kv_heads=2, multiple_of=32, ffn_dim_multiplier=1.3), 3, 33),
    "llama2_fused_rmsnorm": Case(
        llama2(dim=96, layers=2, heads=3, kv_heads=1, multiple_of=32, ffn_dim_multiplier=0.5, norm_type="fused_rmsnorm"),
        2, 40),
    "llama3_layernorm": Case(llama3(dim=48, layers=2, heads=3, kv_heads=3, multiple_of=32, norm_type="layernorm"), 2, 37),
    "llama2_np_layernorm": Case(
        llama2(dim=48, layers=2, heads=3, kv_heads=3, multiple_of=32, norm_type="np_layernorm"), 2, 33),
    "llama3_tied": Case(llama3(dim=64, layers=2, heads=4, kv_heads=2, multiple_of=16, tied=1), 2, 40),
}


def tokens_of(case, step):
    """int64 [B, L+1]: floor(V u^2) of the stream "golden.tokens"; small numbers are common, so there is much to learn."""
    count = case.batch * (case.length + 1)
    u = reference.uniform(SEED, "golden.tokens", step * count, count)
    tokens = np.floor(case.sizes.vocab * (u * u)).astype(np.int64)
    return torch.from_numpy(tokens).view(case.batch, case.length + 1)


def compute(case, dtype):
    """Every tensor of a case by its name in the file, float64 or float32 as it is stored."""
    model = reference.Llama(case.sizes)
    reference.initialise_philox(model, SEED)
    model = model.to(dtype)
    tensors = {"tokens": torch.stack([tokens_of(case, step) for step in range(STEPS)]).numpy().astype(np.int32)}
    for name, parameter in model.named_parameters():
        values = parameter.detach().double().flatten()
        tensors[f"initial/{name}"] = np.array([values[0], values[-1], values.sum()])

    logits, loss = reference.loss_of(model, tokens_of(case, 0))
    loss.backward()
    gradients = {name: p.grad.detach().clone() for name, p in model.named_parameters()}
    norm = math.sqrt(sum((g.double() ** 2).sum().item() for g in gradients.values()))
    tensors["logits"] = logits.detach().numpy().astype(np.float32)
    tensors["loss"] = np.array(loss.item())
    tensors["gradient_norm"] = np.array(norm)
    for name, gradient in gradients.items():
        tensors[f"gradient/{name}"] = gradient.numpy().astype(np.float32)

    optimizer, schedule = reference.build_optimizer(model, LEARNING_RATE, WARMUP, STEPS)
    curve = [reference.train_step(model, optimizer, schedule, tokens_of(case, step), MAX_NORM) for step in range(STEPS)]
    tensors["training/loss"] = np.array([loss for loss, _ in curve])
    tensors["training/gradient_norm"] = np.array([norm for _, norm in curve])
    return tensors


def settings_of(case):
    sizes = dataclasses.asdict(case.sizes) | {"ffn_hidden": case.sizes.ffn_hidden}
    training = {"batch": case.batch, "seq_len": case.length, "seed": SEED, "steps": STEPS, "warmup_steps": WARMUP,
                "lr": LEARNING_RATE, "max_norm": MAX_NORM}
    if not case.sizes.tied:  # said only where it is so
        del sizes["tied"]
    return sizes | training


def write_tensors(path, tensors):
    """Text lines `name dtype rank dimensions... offset`, blanks up to the data, raw little-endian data."""
    lines, blob = [], bytearray()
    for name, array in tensors.items():
        blob.extend(b"\0" * (-len(blob) % ALIGNMENT))
        lines.append(" ".join(map(str, (name, array.dtype.name, array.ndim, *array.shape, len(blob)))) + "\n")
        blob.extend(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes())
    body = "".join(lines)
    first = "titan-golden 1 {:6} {:10} {:12}\n"
    start = len(first.format(0, 0, 0)) + len(body)
    start += -start % ALIGNMENT
    header = (first.format(len(tensors), start, len(blob)) + body).encode()
    path.write_bytes(header + b" " * (start - len(header)) + blob)


def read_tensors(path):
    data = path.read_bytes()
    lines = data.split(b"\n")
    count, start = (int(field) for field in lines[0].split()[2:4])
    tensors = {}
    for line in lines[1 : count + 1]:
        name, dtype, rank, *numbers = line.decode().split()
        shape, offset = tuple(map(int, numbers[: int(rank)])), int(numbers[int(rank)])
        count_of = math.prod(shape)
        tensors[name] = np.frombuffer(data, np.dtype(dtype), count_of, start + offset).reshape(shape)
    return tensors


def check_random_numbers():
    """Compares the numpy generator with the C one, compiled here: bitwise, in all its branches."""
    with tempfile.TemporaryDirectory() as folder:
        library_path = pathlib.Path(folder) / "random.so"
        subprocess.run(["cc", "-std=c11", "-O2", "-shared", "-fPIC", f"-I{SOURCE}", str(SOURCE / "base" / "random.c"),
                        "-o", str(library_path), "-lm"], check=True)
        library = ctypes.CDLL(str(library_path))

        class Stream(ctypes.Structure):
            _fields_ = [("key", ctypes.c_uint32 * 2)]

        library.titan_random_stream_create.restype = Stream
        library.titan_random_stream_create.argtypes = [ctypes.c_uint64, ctypes.c_char_p]
        library.titan_random_uniform.argtypes = [Stream, ctypes.c_uint64, ctypes.c_uint64, ctypes.c_void_p]
        library.titan_random_normal.argtypes = [
            Stream, ctypes.c_uint64, ctypes.c_uint64, *[ctypes.c_double] * 4, ctypes.c_void_p]
        cases = [(0, "golden.tokens", 0, 100001), (2**63 + 5, "layers.0.attention.wq.weight", 7, 99999),
                 (1, "output.weight", 2**34 + 1, 1000)]
        cuts = [(1.0, -math.inf, math.inf), (0.0625, -3.0, 3.0), (0.01, -200.0, 200.0), (1.0, 0.5, 2.5)]
        for seed, name, first, count in cases:
            stream = library.titan_random_stream_create(seed, name.encode())
            out = np.empty(count)
            library.titan_random_uniform(stream, first, count, out.ctypes.data)
            if not np.array_equal(out, reference.uniform(seed, name, first, count)):
                sys.exit(f"uniform numbers of stream {name} differ from src/base/random.c")
            out = np.empty(count, np.float32)
            for std, low, high in cuts:
                library.titan_random_normal(stream, first, count, 0.25, std, low, high, out.ctypes.data)
                if not np.array_equal(out, reference.normal(seed, name, first, count, 0.25, std, low, high)):
                    sys.exit(f"normal numbers of stream {name} differ from src/base/random.c")
        out = np.array([1e-300, 1e-20, 1e-12, 1e-5, 0.074, 0.076, 0.5, 0.93, 1 - 1e-14])
        library.titan_normal_quantile.restype = ctypes.c_double
        library.titan_normal_quantile.argtypes = [ctypes.c_double]
        if [library.titan_normal_quantile(p) for p in out] != reference.normal_quantile(out).tolist():
            sys.exit("normal quantiles differ from src/base/random.c")


def deviation(a, b):
    """Largest difference, relative to the largest value of the tensor b."""
    scale = np.abs(b).max()
    return float(np.abs(a.astype(np.float64) - b).max() / scale) if scale > 0 else float(np.abs(a).max())


def print_float32_deviation(case, golden):
    """How far PyTorch's own float32 is from float64: the floor under any tolerance of a float32 test."""
    single = compute(case, torch.float32)
    worst = {"logits": 0.0, "loss": 0.0, "gradient": 0.0, "training": 0.0}
    for name, tensor in golden.items():
        group = name.split("/")[0].replace("gradient_norm", "gradient")
        if group == "training":
            worst[group] = max(worst[group], float(np.abs(single[name] / tensor - 1).max()))
        elif group in worst:
            worst[group] = max(worst[group], deviation(single[name], tensor))
    print("  PyTorch float32: " + ", ".join(f"{group} {value:.1e}" for group, value in worst.items()))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare with the files instead of writing them")
    parser.add_argument("cases", nargs="*", help="only these cases; all where none is given")
    check, chosen = parser.parse_args().check, parser.parse_args().cases
    check_random_numbers()
    print(f"python {platform.python_version()}, torch {torch.__version__}, numpy {np.__version__}")
    for name, case in CASES.items():
        if chosen and name not in chosen:
            continue
        tensors = compute(case, torch.float64)
        path = FOLDER / f"{name}.golden"
        if check:
            stored = read_tensors(path)
            if list(stored) != list(tensors):
                sys.exit(f"{path}: holds other tensors than this script makes")
            worst = np.max([deviation(stored[key], tensors[key]) for key in tensors])  # NaN stays NaN
            print(f"{name}: largest deviation {worst:.1e}")
            if not worst <= 1e-6:
                sys.exit(f"{path}: differs from a fresh computation")
            continue
        write_tensors(path, tensors)
        path.with_suffix(".txt").write_text("".join(f"{key}={value}\n" for key, value in settings_of(case).items()))
        print(f"{name}: loss {tensors['loss']:.9f}, gradient norm {tensors['gradient_norm']:.9f}, "
              f"{path.stat().st_size:,} bytes")
        print("  losses " + " ".join(f"{loss:.4f}" for loss in tensors["training/loss"]))
        print_float32_deviation(case, tensors)


if __name__ == "__main__":
    main()
