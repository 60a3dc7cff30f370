# SPDX-License-Identifier: Apache-2.0
"""h5py (PyPI) reads metrics.h5 while a run writes it, opened for SWMR, and plainly after kill -9 at random instants.

What is read at any time is a beginning of what the same run has at its end: all columns of a series together, no row changed later. After a kill
the rows are those of a run that nobody killed: loss and learning rate bitwise. Oracle: that run's file.

usage: metrics_live.py PROGRAM CONFIGURATION WORK KILLS [SEED]    ends with 77 where a package is missing
"""
import os
import random
import shutil
import subprocess
import sys
import time

try:
    import h5py
    import numpy
except ImportError as missing:
    print(f"skipped: {missing}; pip install h5py")
    sys.exit(77)

program, configuration, work = sys.argv[1:4]
kills, seed = int(sys.argv[4]), int(sys.argv[5]) if len(sys.argv) > 5 else 4711
random.seed(seed)
shutil.rmtree(work, ignore_errors=True)
os.makedirs(work)
SERIES = ("step", "validation_step", "rank_step")


def start(folder, steps):
    return subprocess.Popen(
        [program, "--job.config_file", configuration, "--job.dump_folder", folder, "--training.seq_len", "16", "--training.batch_size", "1",
         "--training.steps", str(steps), "--metrics.log_freq", "1", "--metrics.rank_0_only=false", "--validation.enabled", "--validation.freq", "2",
         "--validation.steps", "1", "--debug.dump_initial_weights=false"], stderr=subprocess.DEVNULL)


def series_of(column):
    return "validation_step" if column.startswith("validation_") else "rank_step" if column.startswith("rank_") else "step"


def read(file):
    """Every column as an array, each series cut to the rows that its first column has."""
    for column in file:
        if column in SERIES:
            file[column].refresh()
    lengths = {name: file[name].shape[0] for name in SERIES if name in file}
    columns = {}
    for column in file:
        file[column].refresh()
        values = file[column][:]
        assert len(values) + 1 >= lengths[series_of(column)], (column, len(values), lengths)
        columns[column] = values[:lengths[series_of(column)]]
    return columns


def is_beginning(columns, whole, names):
    for name in names:
        count = len(columns[name])
        assert numpy.array_equal(columns[name], whole[name][:count], equal_nan=True), (name, columns[name], whole[name][:count])


# --- while a run writes ---
folder = os.path.join(work, "live")
path = os.path.join(folder, "metrics.h5")
run = start(folder, 40)
while not os.path.exists(path) and run.poll() is None:
    time.sleep(0.01)
seen = []
with h5py.File(path, "r", libver="latest", swmr=True) as file:
    while run.poll() is None:
        seen.append(read(file))
        time.sleep(0.02)
    last = read(file)
assert run.returncode == 0, run.returncode
with h5py.File(path) as file:
    whole = read(file)
assert len(whole["step"]) == 40 and len(whole["validation_step"]) == 20 and len(whole["rank_step"]) == 40, {k: len(v) for k, v in whole.items()}
is_beginning(last, whole, whole)
assert len(last["step"]) == 40
for columns in seen:
    is_beginning(columns, whole, whole)
different = len({len(columns["step"]) for columns in seen})
print(f"{len(seen)} readings while the run wrote, {different} lengths")

# --- after a kill ---
reference = os.path.join(work, "reference")
assert start(reference, 12).wait() == 0
with h5py.File(os.path.join(reference, "metrics.h5")) as file:
    reference_rows = read(file)
rows = opened = 0


def lines(path):
    return open(path).read().count("\n") if os.path.exists(path) else 0


for kill in range(kills):
    folder = os.path.join(work, "killed")
    shutil.rmtree(folder, ignore_errors=True)
    path = os.path.join(folder, "metrics.h5")
    run = start(folder, 12)
    # A part of the kills comes while the file is made, the others after 1 to 9 steps.
    while run.poll() is None and (lines(os.path.join(folder, "steps.txt")) < kill % 10 if kill % 10 else not os.path.exists(folder)):
        time.sleep(0.005)
    time.sleep(random.random() * (0.1 if kill % 10 else 1))
    run.kill()
    run.wait()
    if not os.path.exists(path):
        continue
    with h5py.File(path) as file:
        columns = read(file)
    is_beginning(columns, reference_rows, ("step", "loss", "loss_max", "lr", "grad_norm", "tokens", "validation_step", "validation_loss", "rank_step"))
    opened += 1
    rows += len(columns["step"])
print(f"seed {seed}: {kills} kills, {opened} files opened, {rows} rows compared")
assert opened > 0
shutil.rmtree(work)
