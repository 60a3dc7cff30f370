#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checkpoints against other programs: transformers' LlamaForCausalLM, safetensors and h5py.

    python3 compare.py TITAN_HPC TITAN_CHECKPOINT CHECKPOINT_LOGITS TITAN_TOKENIZER

1. A few steps are trained; h5py reads the checkpoint as the safetensors package reads its export.
2. The export for Hugging Face, in one file and in several, gives our logits in LlamaForCausalLM (float32, 1e-4 of the largest).
3. AutoTokenizer and AutoModelForCausalLM load that folder; the tokenizer gives titan-tokenizer's ids, the model generates.
4. A model trained with scaled rotary frequencies gives our logits in LlamaForCausalLM.
5. Models that transformers makes, for multi-head and grouped-query attention, give its logits after the import.

Needs numpy, h5py, safetensors, torch and transformers; exits with 77 where one is missing.
"""

import pathlib
import subprocess
import sys
import tempfile

try:
    import h5py
    import numpy as np
    import safetensors.numpy
    import safetensors.torch
    import torch
    import transformers
except ImportError as missing:
    print(f"SKIPPED: {missing}. pip install numpy h5py safetensors torch transformers")
    sys.exit(77)

BATCH, LENGTH, TOLERANCE = 2, 96, 1e-4


def run(*command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\nended with {done.returncode}\n{done.stdout}{done.stderr}")


def our_logits(program, checkpoint, tokens, folder):
    tokens.astype(np.int32).tofile(folder / "tokens")
    run(program, checkpoint, folder / "tokens", BATCH, LENGTH, folder / "logits")
    return np.fromfile(folder / "logits", np.float32).reshape(BATCH, LENGTH, -1)


def their_logits(model, tokens):
    with torch.no_grad():
        return model(torch.from_numpy(tokens)).logits.float().numpy()


def compare(what, ours, theirs):
    largest, error = np.abs(theirs).max(), np.abs(ours - theirs).max()
    print(f"{what}: largest logit {largest:.4f}, largest difference {error:.3g}")
    if not error <= TOLERANCE * largest:
        sys.exit(f"FAILED: {what}")


def load(folder):
    model, info = transformers.LlamaForCausalLM.from_pretrained(
        folder, dtype=torch.float32, output_loading_info=True, attn_implementation="eager")
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if info[kind]:
            sys.exit(f"FAILED: {folder}: {kind}: {info[kind]}")
    return model.eval()


def trained(titan, folder, *options):
    run(titan, "--job.dump_folder", folder, "--model.flavor", "debugmodel", "--training.dataset", "c4_test",
        "--training.batch_size", 2, "--training.seq_len", 64, "--training.steps", 5, "--training.warmup_steps", 1,
        "--optimizer.lr", 3e-3, "--metrics.peak_flops", 1e12, "--checkpoint.enable_checkpoint", "--checkpoint.interval", 5,
        *options)
    return folder / "checkpoint" / "step-5.h5"


def check_file(tool, checkpoint, folder):
    run(tool, "export", checkpoint, folder / "own.safetensors")
    exported = safetensors.numpy.load_file(folder / "own.safetensors")
    with h5py.File(checkpoint) as file:
        model = file["model"]
        assert set(model) == set(exported), "names differ"
        for name, values in exported.items():
            assert np.array_equal(model[name][...], values), name
        assert file.attrs["step"] == 5
        assert all(np.isfinite(file["optimizer/exp_avg_sq"][name][...]).all() for name in exported)
        print(f"h5py: {len(exported)} tensors as exported; attributes {sorted(file.attrs)}")
    run(tool, "export", checkpoint, folder / "bf16.safetensors", "--dtype", "bfloat16")
    rounded = safetensors.torch.load_file(folder / "bf16.safetensors")
    for name, values in exported.items():
        assert torch.equal(rounded[name], torch.from_numpy(values).to(torch.bfloat16)), name
    run(tool, "export", checkpoint, folder / "f16.safetensors", "--dtype", "float16")
    rounded = safetensors.torch.load_file(folder / "f16.safetensors")
    for name, values in exported.items():
        assert torch.equal(rounded[name], torch.from_numpy(values).to(torch.float16)), name
    print("bfloat16 and float16 are rounded as torch rounds")


def check_export(tool, logits, checkpoint, folder):
    vocabulary = h5py.File(checkpoint)["model"].attrs["vocabulary"]
    tokens = np.random.default_rng(1).integers(0, vocabulary, (BATCH, LENGTH))
    ours = our_logits(logits, checkpoint, tokens, folder)
    for name, options in {"one file": [], "several files": ["--max_shard_size", "5MB"]}.items():
        run(tool, "export", checkpoint, folder / name, "--hf", *options)
        compare(f"export, {name}", ours, their_logits(load(folder / name), tokens))
    run(tool, "import", folder / "several files", folder / "back.h5")
    run(tool, "compare", "--weights", checkpoint, folder / "back.h5")


TEXTS = ["Hello, world! It's 2024's 12345th day.\n\n  And   then\t...", "Zażółć gęślą jaźń — 你好，世界 🙂", "a" * 50,
         "def f(x):\r\n    return x**2  # square\n", " ", "'S'll 'RE don't WON'T", "\u00a0\u2003x\u0301"]


def check_tokenizer(program, model, folder):
    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    for text in TEXTS:
        done = subprocess.run([program, "encode", "--model", model, "--special"], input=text.encode(), capture_output=True)
        ours = [int(word) for word in done.stdout.split()]
        ids = theirs(text)["input_ids"]
        if ids != ours[:-1]:  # EOS is for training only
            sys.exit(f"FAILED: {text!r}: {ids} there, {ours[:-1]} here")
        if theirs.decode(ids, skip_special_tokens=True) != text:
            sys.exit(f"FAILED: {text!r} comes back as {theirs.decode(ids, skip_special_tokens=True)!r}")
    generating = transformers.AutoModelForCausalLM.from_pretrained(folder)
    made = generating.generate(**theirs("The cat", return_tensors="pt"), max_new_tokens=5, do_sample=False)
    if (generating.generation_config.eos_token_id, theirs.eos_token_id) != (ours[-1], ours[-1]):
        sys.exit(f"FAILED: EOS is {generating.generation_config.eos_token_id} and {theirs.eos_token_id}, not {ours[-1]}")
    print(f"AutoTokenizer: {len(TEXTS)} texts; generated {theirs.decode(made[0])!r}")


def check_import(tool, logits, folder, name, dtype, tied=False, **sizes):
    torch.manual_seed(7)
    config = transformers.LlamaConfig(rms_norm_eps=1e-5, tie_word_embeddings=tied, initializer_range=0.1, **sizes)
    model = transformers.LlamaForCausalLM(config).to(dtype)
    model.save_pretrained(folder / name, max_shard_size="20MB")
    run(tool, "import", folder / name, folder / f"{name}.h5")
    tokens = np.random.default_rng(2).integers(0, config.vocab_size, (BATCH, LENGTH))
    compare(f"import, {name}", our_logits(logits, folder / f"{name}.h5", tokens, folder),
            their_logits(load(folder / name), tokens))


def main():
    titan, tool, logits, tokenizer = sys.argv[1:5]
    print(f"transformers {transformers.__version__}, torch {torch.__version__}, h5py {h5py.__version__}")
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        checkpoint = trained(titan, folder / "run")
        check_file(tool, checkpoint, folder)
        check_export(tool, logits, checkpoint, folder)
        check_tokenizer(tokenizer, pathlib.Path(titan).parent / "assets" / "test_tokenizer.model", folder / "one file")
        (folder / "scaled").mkdir()
        scaled = trained(titan, folder / "scaled run", "--model.rope_scaling_factor", 8,
                         "--model.rope_scaling_original_length", 64)
        check_export(tool, logits, scaled, folder / "scaled")
        (folder / "tied").mkdir()
        tied = trained(titan, folder / "tied run", "--model.tie_embeddings", "true")
        check_export(tool, logits, tied, folder / "tied")
        llama3 = dict(hidden_size=256, num_hidden_layers=8, num_attention_heads=16, num_key_value_heads=16,
                      intermediate_size=768, rope_theta=500000.0)
        check_import(tool, logits, folder, "llama3 debugmodel", torch.float32, vocab_size=1000, **llama3)
        check_import(tool, logits, folder, "llama3 debugmodel in bfloat16", torch.bfloat16, vocab_size=300, **llama3)
        check_import(tool, logits, folder, "llama2 debugmodel", torch.float16, vocab_size=257,
                     **{**llama3, "rope_theta": 10000.0})
        check_import(tool, logits, folder, "llama3 debugmodel with scaled rotary frequencies", torch.float32, vocab_size=300,
                     max_position_embeddings=4096, **{**llama3, "rope_scaling": {
                         "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                         "original_max_position_embeddings": 64}})
        check_import(tool, logits, folder, "llama3 debugmodel that is tied", torch.float32, tied=True, vocab_size=300, **llama3)
        check_import(tool, logits, folder, "llama2 271M", torch.float32, vocab_size=300, hidden_size=1024,
                     num_hidden_layers=16, num_attention_heads=8, num_key_value_heads=8, intermediate_size=2816,
                     rope_theta=10000.0)
    print("all equal")


if __name__ == "__main__":
    main()
