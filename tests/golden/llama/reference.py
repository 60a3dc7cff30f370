# SPDX-License-Identifier: Apache-2.0
"""Llama in plain PyTorch, and titan-hpc's initialisation in numpy: what the golden numbers are made with.

The model is TorchTitan's of the end of 2024: interleaved-pair rotary embedding, no biases, output not tied to the
embeddings unless `tied` is asked for. It is written to be read, and runs in the dtype of its weights: in float64 every product is written out; in
float32 attention is PyTorch's scaled_dot_product_attention.
"""

import dataclasses
import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn


@dataclasses.dataclass
class Sizes:
    dim: int
    layers: int
    heads: int
    kv_heads: int
    vocab: int
    multiple_of: int = 256
    ffn_dim_multiplier: float = 1.0
    norm_type: str = "rmsnorm"
    norm_eps: float = 1e-5
    rope_theta: float = 500000.0
    tied: int = 0

    @property
    def head_size(self):
        return self.dim // self.heads

    @property
    def ffn_hidden(self):
        hidden = int(self.ffn_dim_multiplier * int(2 * 4 * self.dim / 3))
        return self.multiple_of * ((hidden + self.multiple_of - 1) // self.multiple_of)


# --- titan-hpc's random numbers (src/base/random.c), vectorised ------------------------------------------------------


def stream_key(seed, name):
    mask = (1 << 64) - 1
    hashed = 0xCBF29CE484222325
    for byte in name.encode():
        hashed = ((hashed ^ byte) * 0x100000001B3) & mask
    z = (hashed + (seed + 1) * 0x9E3779B97F4A7C15) & mask
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    z ^= z >> 31
    return z & 0xFFFFFFFF, z >> 32


def philox4x32(key, blocks):
    """Philox4x32-10 of the counters (block, 0, 0): four uint64 arrays that hold 32 bits each."""
    low = np.uint64(0xFFFFFFFF)
    half = np.uint64(32)
    k0, k1 = key
    c0, c1 = blocks & low, blocks >> half
    c2, c3 = np.zeros_like(blocks), np.zeros_like(blocks)
    for _ in range(10):
        p0, p1 = np.uint64(0xD2511F53) * c0, np.uint64(0xCD9E8D57) * c2
        c0, c1, c2, c3 = (p1 >> half) ^ c1 ^ np.uint64(k0), p1 & low, (p0 >> half) ^ c3 ^ np.uint64(k1), p0 & low
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return c0, c1, c2, c3


def uniform(seed, name, first, count):
    """Elements first .. first+count-1 of the stream, in (0, 1), float64."""
    begin, end = first // 2, (first + count + 1) // 2
    c0, c1, c2, c3 = philox4x32(stream_key(seed, name), np.arange(begin, end, dtype=np.uint64))
    bits = np.stack([(c0 << np.uint64(32)) | c1, (c2 << np.uint64(32)) | c3], axis=1).reshape(-1) >> np.uint64(12)
    values = (bits.astype(np.float64) + 0.5) * 2.0**-52
    return values[first - 2 * begin :][:count]


def polynomial(coefficients, r):
    value = np.full_like(r, coefficients[0])
    for c in coefficients[1:]:
        value = value * r + c
    return value


def normal_quantile(p):
    """Algorithm AS 241 (Wichura 1988). Its logarithm is the C library's, so that the C code is met bit by bit."""
    q = p - 0.5
    out = np.empty_like(p)
    centre = np.abs(q) <= 0.425
    r = 0.180625 - q[centre] * q[centre]
    out[centre] = q[centre] * polynomial(
        [2509.0809287301226727, 33430.575583588128105, 67265.770927008700853, 45921.953931549871457,
         13731.693765509461125, 1971.5909503065514427, 133.14166789178437745, 3.387132872796366608], r) / polynomial(
        [5226.495278852545925, 28729.085735721942674, 39307.89580009271061, 21213.794301586595867,
         5394.1960214247511077, 687.1870074920579083, 42.313330701600911252, 1.0], r)
    tail = np.where(q < 0, p, 1 - p)[~centre]
    r = np.sqrt(-np.fromiter(map(math.log, tail), np.float64, len(tail)))
    s = r - 1.6
    near = polynomial(
        [7.7454501427834140764e-4, 0.0227238449892691845833, 0.24178072517745061177, 1.27045825245236838258,
         3.64784832476320460504, 5.7694972214606914055, 4.6303378461565452959, 1.42343711074968357734], s) / polynomial(
        [1.05075007164441684324e-9, 5.475938084995344946e-4, 0.0151986665636164571966, 0.14810397642748007459,
         0.68976733498510000455, 1.6763848301838038494, 2.05319162663775882187, 1.0], s)
    s = r - 5
    far = polynomial(
        [2.01033439929228813265e-7, 2.71155556874348757815e-5, 0.0012426609473880784386, 0.026532189526576123093,
         0.29656057182850489123, 1.7848265399172913358, 5.4637849111641143699, 6.6579046435011037772], s) / polynomial(
        [2.04426310338993978564e-15, 1.4215117583164458887e-7, 1.8463183175100546818e-5, 7.868691311456132591e-4,
         0.0148753612908506148525, 0.13692988092273580531, 0.59983220655588793769, 1.0], s)
    value = np.where(r <= 5, near, far)
    out[~centre] = np.where(q[~centre] < 0, -value, value)
    return out


def normal(seed, name, first, count, mean, std, low, high):
    """float32: mean + std z, z standard normal cut to [low, high] standard deviations."""
    p_low, p_high = (0.5 * math.erfc(-z * 0.70710678118654752440) for z in (low, high))
    z = normal_quantile(p_low + (p_high - p_low) * uniform(seed, name, first, count))
    return (mean + std * np.clip(z, low, high)).astype(np.float32)


# --- the model -------------------------------------------------------------------------------------------------------


class RMSNorm(nn.Module):
    def __init__(self, dim, eps):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x):
        return x * torch.rsqrt(torch.mean(x * x, dim=-1, keepdim=True) + self.eps) * self.weight


def build_norm(sizes):
    if sizes.norm_type in ("rmsnorm", "fused_rmsnorm"):  # the same function; fused is one kernel
        return RMSNorm(sizes.dim, sizes.norm_eps)
    if sizes.norm_type == "layernorm":
        return nn.LayerNorm(sizes.dim, eps=sizes.norm_eps, bias=False)
    if sizes.norm_type == "np_layernorm":
        return nn.LayerNorm(sizes.dim, eps=sizes.norm_eps, elementwise_affine=False)
    raise ValueError(f"unknown norm type {sizes.norm_type}")


def rotation(sizes, length, dtype):
    """exp(i t theta^(-2j/H)) for position t and pair j: complex [L, H/2]."""
    exponents = torch.arange(0, sizes.head_size, 2, dtype=dtype) / sizes.head_size
    angles = torch.outer(torch.arange(length, dtype=dtype), 1.0 / sizes.rope_theta**exponents)
    return torch.polar(torch.ones_like(angles), angles)


def rotate(x_BLNH, rotation_LP):
    pairs = torch.view_as_complex(x_BLNH.reshape(*x_BLNH.shape[:-1], -1, 2))
    return torch.view_as_real(pairs * rotation_LP[None, :, None, :]).flatten(3)


class Attention(nn.Module):
    def __init__(self, sizes):
        super().__init__()
        self.sizes = sizes
        kv_dim = sizes.kv_heads * sizes.head_size
        self.wq = nn.Linear(sizes.dim, sizes.dim, bias=False)
        self.wk = nn.Linear(sizes.dim, kv_dim, bias=False)
        self.wv = nn.Linear(sizes.dim, kv_dim, bias=False)
        self.wo = nn.Linear(sizes.dim, sizes.dim, bias=False)

    def forward(self, x, rotation_LP):
        batch, length, _ = x.shape
        q, k, v = (w(x).view(batch, length, -1, self.sizes.head_size) for w in (self.wq, self.wk, self.wv))
        q, k = rotate(q, rotation_LP), rotate(k, rotation_LP)
        # Query head n reads key/value head n // (N / K).
        repeats = self.sizes.heads // self.sizes.kv_heads
        k, v = (torch.repeat_interleave(t, repeats, dim=2) for t in (k, v))
        q, k, v = (t.transpose(1, 2) for t in (q, k, v))
        if x.dtype == torch.float64:
            scores = q @ k.transpose(-2, -1) / math.sqrt(self.sizes.head_size)
            later = torch.ones(length, length, dtype=torch.bool).triu(1)
            out = torch.softmax(scores.masked_fill(later, -math.inf), dim=-1) @ v
        else:
            out = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.wo(out.transpose(1, 2).reshape(batch, length, -1))


class FeedForward(nn.Module):
    def __init__(self, sizes):
        super().__init__()
        self.w1 = nn.Linear(sizes.dim, sizes.ffn_hidden, bias=False)
        self.w2 = nn.Linear(sizes.ffn_hidden, sizes.dim, bias=False)
        self.w3 = nn.Linear(sizes.dim, sizes.ffn_hidden, bias=False)

    def forward(self, x):
        return self.w2(F.silu(self.w1(x)) * self.w3(x))


class Block(nn.Module):
    def __init__(self, sizes):
        super().__init__()
        self.attention = Attention(sizes)
        self.feed_forward = FeedForward(sizes)
        self.attention_norm = build_norm(sizes)
        self.ffn_norm = build_norm(sizes)

    def forward(self, x, rotation_LP):
        h = x + self.attention(self.attention_norm(x), rotation_LP)
        return h + self.feed_forward(self.ffn_norm(h))


class Llama(nn.Module):
    def __init__(self, sizes):
        super().__init__()
        self.sizes = sizes
        self.tok_embeddings = nn.Embedding(sizes.vocab, sizes.dim)
        self.layers = nn.ModuleList(Block(sizes) for _ in range(sizes.layers))
        self.norm = build_norm(sizes)
        self.output = nn.Linear(sizes.dim, sizes.vocab, bias=False)
        if sizes.tied:
            self.output.weight = self.tok_embeddings.weight

    def forward(self, tokens_BL):
        h = self.tok_embeddings(tokens_BL)
        rotation_LP = rotation(self.sizes, tokens_BL.shape[1], h.dtype)
        for layer in self.layers:
            h = layer(h, rotation_LP)
        return self.output(self.norm(h))


def distribution(name, sizes):
    """(std, low, high) of a parameter, the cut in standard deviations; None: ones."""
    if name == "tok_embeddings.weight" and not sizes.tied:
        return 1.0, -math.inf, math.inf
    if name in ("tok_embeddings.weight", "output.weight"):
        return sizes.dim**-0.5, -3.0, 3.0
    if "norm" in name:
        return None
    std = 0.02
    if name.split(".")[-2] in ("wo", "w2", "w3"):
        std /= math.sqrt(2 * (int(name.split(".")[1]) + 1))
    return std, -2.0 / std, 2.0 / std


def initialise_philox(model, seed):
    """titan-hpc's weights: the stream of the parameter's name, element by global index, rounded to float32."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            rule = distribution(name, model.sizes)
            if rule is None:
                parameter.fill_(1.0)
                continue
            values = normal(seed, name, 0, parameter.numel(), 0.0, *rule)
            parameter.copy_(torch.from_numpy(values).view(parameter.shape))


def initialise_torch(model, seed):
    """The same distributions from PyTorch's own generator."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            rule = distribution(name, model.sizes)
            if rule is None:
                parameter.fill_(1.0)
            elif math.isinf(rule[1]):
                nn.init.normal_(parameter)
            else:
                std, low, high = rule
                nn.init.trunc_normal_(parameter, mean=0.0, std=std, a=low * std, b=high * std)


# --- training --------------------------------------------------------------------------------------------------------


def learning_rate_factor(finished, warmup, total):
    if finished < warmup:
        return (finished + 1) / (warmup + 1)
    return max(0.0, 1 - (finished - warmup) / max(1, total - warmup))


def build_optimizer(model, lr, warmup, total):
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda s: learning_rate_factor(s, warmup, total))
    return optimizer, schedule


def loss_of(model, window):
    """Mean cross-entropy of a window [B, L+1] of tokens: the first L predict the last L. Gives logits and loss."""
    logits = model(window[:, :-1])
    return logits, F.cross_entropy(logits.flatten(0, 1), window[:, 1:].flatten())


def train_step(model, optimizer, schedule, window, max_norm):
    """One step; gives the loss and the norm of the gradient before it is clipped."""
    optimizer.zero_grad()
    _, loss = loss_of(model, window)
    loss.backward()
    norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()
    schedule.step()
    return loss.item(), norm.item()
