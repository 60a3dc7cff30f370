# SPDX-License-Identifier: Apache-2.0
"""TensorBoard itself (PyPI) reads a run's event files while the run goes on, and at its end every tag with the values of metrics.h5.

usage: tensorboard_live.py PROGRAM CONFIGURATION WORK    ends with 77 where a package is missing
"""
import glob
import os
import shutil
import subprocess
import sys
import time

try:
    import h5py
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
except ImportError as missing:
    print(f"skipped: {missing}; pip install tensorboard h5py")
    sys.exit(77)

program, configuration, work = sys.argv[1:]
shutil.rmtree(work, ignore_errors=True)
run = subprocess.Popen(
    [program, "--job.config_file", configuration, "--job.dump_folder", work, "--training.seq_len", "32", "--training.batch_size", "1",
     "--training.steps", "30", "--metrics.log_freq", "1", "--metrics.enable_tensorboard", "--validation.enabled", "--validation.freq", "10",
     "--validation.steps", "1"], stderr=subprocess.DEVNULL)
seen = 0
accumulator = None
while run.poll() is None:
    files = glob.glob(f"{work}/tb/*")
    if accumulator is None and files:
        accumulator = EventAccumulator(files[0])
    if accumulator is not None and run.poll() is None:
        accumulator.Reload()
        if "loss_metrics/global_avg_loss" in accumulator.Tags()["scalars"]:
            seen = max(seen, len(accumulator.Scalars("loss_metrics/global_avg_loss")) if run.poll() is None else 0)
    time.sleep(0.05)
assert run.returncode == 0, run.returncode
accumulator.Reload()
tags = accumulator.Tags()
columns = {"loss_metrics/global_avg_loss": "loss", "loss_metrics/global_max_loss": "loss_max", "throughput(tps)": "tps", "mfu(%)": "mfu",
           "grad_norm": "grad_norm", "lr": "lr", "tokens": "tokens", "tflops": "tflops", "time_metrics/data_loading(s)": "data_loading",
           "memory/max_active(GiB)": "memory", "memory/max_reserved(GiB)": "memory", "time_metrics/busy_max(s)": "busy_max",
           "time_metrics/exposed_communication(s)": "exposed", "time_metrics/time_left(s)": "time_left"}
reference = {"time_metrics/end_to_end(s)", "time_metrics/data_loading(%)", "memory/max_active(%)", "memory/max_reserved(%)",
             "memory/num_alloc_retries", "memory/num_ooms"}
failed = 0
with h5py.File(os.path.join(work, "metrics.h5")) as file:
    for tag, column in columns.items():
        got = [(event.step, event.value) for event in accumulator.Scalars(tag)]
        expected = list(zip(file["step"][:], file[column][:]))
        if len(got) != len(expected) or any(a[0] != b[0] or not abs(a[1] - b[1]) <= 1e-6 * abs(b[1]) for a, b in zip(got, expected)):
            print(tag, got[:3], expected[:3])
            failed += 1
    validations = [event.value for event in accumulator.Scalars("validation_metrics/loss")]
    if len(validations) != 3 or any(not abs(a - b) <= 1e-6 * b for a, b in zip(validations, file["validation_loss"][:])):
        print("validation_metrics/loss", validations)
        failed += 1
missing = reference - set(tags["scalars"])
texts = {tag: accumulator.Tensors(tag)[0].tensor_proto.string_val[0] for tag in tags["tensors"]}
if missing or not any(tag.startswith("configuration") and b"seq_len = 32" in text for tag, text in texts.items()):
    print("missing tags", missing, "texts", list(texts))
    failed += 1
print(f"{len(tags['scalars'])} scalars, {len(texts)} texts; {seen} steps seen while the run went on")
if not 0 < seen:
    print("nothing was seen while the run went on")
    failed += 1
sys.exit(failed > 0)
