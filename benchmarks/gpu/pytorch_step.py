#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The steps of benchmarks/gpu/gpu_step.c in PyTorch: a Llama with the layers of 8B, on one GPU, with random tokens.

Masters, gradients and AdamW's states are float32, and the forward and backward compute in bfloat16, as with
TorchTitan's FSDP on one rank. Attention is cuDNN's where PyTorch offers it for the shapes, AdamW is fused. --compile
compiles each block, and norm, output and loss as one function. MFU is by the formula of gpu_step.

    pytorch_step.py [--layers 8] [--batch 1] [--length 8192] [--compile] [--warm 3] [--steps 10] [--json FILE]

--device cpu and --divisor N (of length, widths and vocabulary) are for a trial without a GPU.
"""

import argparse
import contextlib
import json
import time

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

COMPUTE = torch.bfloat16


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--length", type=int, default=8192)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--warm", type=int, default=3)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--peak", type=float, default=989e12, help="FLOP/s that MFU refers to")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--divisor", type=int, default=1)
    parser.add_argument("--json", help="write the results to this file")
    return parser.parse_args()


class Sizes:
    def __init__(self, divisor):
        self.dim, self.ffn, self.vocab = 4096 // divisor, 14336 // divisor, 128256 // divisor
        self.head_size = 128 if divisor == 1 else 16
        self.heads = self.dim // self.head_size
        self.kv_heads = self.heads // 4


class Linear(nn.Module):
    def __init__(self, inputs, outputs, device):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, device=device) * 0.02)

    def forward(self, x):
        return F.linear(x, self.weight.to(COMPUTE))


class Norm(nn.Module):
    def __init__(self, dim, device):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim, device=device))

    def forward(self, x):
        return F.rms_norm(x, (x.shape[-1],), self.weight.to(COMPUTE), 1e-5)


def rotate(x_BLNH, cos_LP, sin_LP):
    even, odd = x_BLNH.float().unflatten(-1, (-1, 2)).unbind(-1)
    cos, sin = cos_LP[None, :, None], sin_LP[None, :, None]
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), -1).flatten(-2).to(x_BLNH.dtype)


class Block(nn.Module):
    def __init__(self, s, grouped, device):
        super().__init__()
        self.sizes, self.grouped = s, grouped
        self.wq, self.wo = Linear(s.dim, s.dim, device), Linear(s.dim, s.dim, device)
        self.wk, self.wv = (Linear(s.dim, s.kv_heads * s.head_size, device) for _ in range(2))
        self.w1, self.w3 = (Linear(s.dim, s.ffn, device) for _ in range(2))
        self.w2 = Linear(s.ffn, s.dim, device)
        self.attention_norm, self.ffn_norm = Norm(s.dim, device), Norm(s.dim, device)

    def attention(self, x, cos, sin):
        q, k, v = (w(x).unflatten(-1, (-1, self.sizes.head_size)) for w in (self.wq, self.wk, self.wv))
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        if not self.grouped:
            k, v = (torch.repeat_interleave(t, self.sizes.heads // self.sizes.kv_heads, dim=2) for t in (k, v))
        out = F.scaled_dot_product_attention(
            *(t.transpose(1, 2) for t in (q, k, v)), is_causal=True, **({"enable_gqa": True} if self.grouped else {}))
        return self.wo(out.transpose(1, 2).flatten(2))

    def forward(self, x, cos, sin):
        h = x + self.attention(self.attention_norm(x), cos, sin)
        n = self.ffn_norm(h)
        return h + self.w2(F.silu(self.w1(n)) * self.w3(n))


class Head(nn.Module):
    """Norm, output and the mean loss."""

    def __init__(self, s, device):
        super().__init__()
        self.norm, self.output = Norm(s.dim, device), Linear(s.dim, s.vocab, device)

    def forward(self, h, labels):
        return F.cross_entropy(self.output(self.norm(h)).flatten(0, 1).float(), labels.flatten())


class Llama(nn.Module):
    def __init__(self, s, layers, grouped, device):
        super().__init__()
        self.embedding = nn.Parameter(torch.randn(s.vocab, s.dim, device=device))
        self.blocks = nn.ModuleList(Block(s, grouped, device) for _ in range(layers))
        self.head = Head(s, device)

    def forward(self, tokens, labels, cos, sin):
        h = F.embedding(tokens, self.embedding).to(COMPUTE)
        for block in self.blocks:
            h = block(h, cos, sin)
        return self.head(h, labels)


def choose_attention(s, arguments):
    """(name, backends, whether kv heads may be fewer): cuDNN's if it takes the shapes, both ways; else PyTorch's choice."""
    if arguments.device != "cuda":
        return "PyTorch's choice", None, False
    for grouped in (True, False):
        kv = s.kv_heads if grouped else s.heads
        q, k = (torch.randn(1, n, 256, s.head_size, device="cuda", dtype=COMPUTE, requires_grad=True) for n in (s.heads, kv))
        try:
            with sdpa_kernel(SDPBackend.CUDNN_ATTENTION):
                F.scaled_dot_product_attention(
                    q, k, k, is_causal=True, **({"enable_gqa": True} if grouped else {})).float().sum().backward()
            return "cuDNN", SDPBackend.CUDNN_ATTENTION, grouped
        except (RuntimeError, TypeError) as error:
            print(f"cuDNN attention, kv heads {'fewer' if grouped else 'repeated'}: {error}")
    return "PyTorch's choice", None, False


def run_steps(model, optimizer, batches, angles, backend, count):
    for step in range(count):
        tokens, labels = batches[step % len(batches)]
        with sdpa_kernel(backend) if backend is not None else contextlib.nullcontext():
            loss = model(tokens, labels, *angles)
            loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return loss.item()  # waits for the GPU


def main():
    a = parse_arguments()
    s = Sizes(a.divisor)
    length = a.length // a.divisor
    torch.manual_seed(0)
    name, backend, grouped = choose_attention(s, a)
    model = Llama(s, a.layers, grouped, a.device)
    if a.compile:
        for block in model.blocks:
            block.compile()
        model.head.compile()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1, fused=True)
    frequencies = 500000.0 ** -(torch.arange(0, s.head_size, 2, device=a.device) / s.head_size)
    turns = torch.outer(torch.arange(length, device=a.device).float(), frequencies)
    angles = turns.cos(), turns.sin()
    batches = [tuple(torch.randint(s.vocab, (a.batch, length), device=a.device) for _ in range(2)) for _ in range(4)]

    begin = time.perf_counter()
    run_steps(model, optimizer, batches, angles, backend, a.warm)
    warm = time.perf_counter() - begin
    begin = time.perf_counter()
    loss = run_steps(model, optimizer, batches, angles, backend, a.steps)
    seconds = (time.perf_counter() - begin) / a.steps
    if loss != loss:
        raise SystemExit("the loss is not finite")

    parameters = sum(p.numel() for p in model.parameters())
    flops = 6 * (parameters - model.embedding.numel()) + 12 * a.layers * s.dim * length
    rate = a.batch * length / seconds
    results = {
        "torch": torch.__version__, "cuda": torch.version.cuda, "compile": a.compile, "attention": name, "grouped": grouped,
        "layers": a.layers, "batch": a.batch, "length": length, "warm_seconds": round(warm, 3),
        "step_seconds": round(seconds, 6), "tokens_per_second": round(rate, 1), "tflops": round(rate * flops / 1e12, 2),
        "mfu": round(rate * flops / a.peak, 4), "loss": round(loss, 5),
        "taken_bytes": torch.cuda.max_memory_allocated() if a.device == "cuda" else 0}
    print(json.dumps(results, indent=1))
    if a.json:
        with open(a.json, "w", encoding="utf-8") as file:
            json.dump(results, file, indent=1)
            file.write("\n")


if __name__ == "__main__":
    main()
