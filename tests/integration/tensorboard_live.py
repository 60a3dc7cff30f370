# SPDX-License-Identifier: Apache-2.0
"""TensorBoard itself (PyPI) shows a run while the run goes on, and at its end every tag with the values of metrics.h5.

Two of its readers: that of the server, which answers over HTTP on this machine as for a browser, and that in Python. The run goes on until both have shown
three of its steps, and is then ended by a file STOP.

usage: tensorboard_live.py PROGRAM CONFIGURATION WORK    ends with 77 where a package is missing
"""
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.parse
import urllib.request

try:
    import h5py
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
except ImportError as missing:
    print(f"skipped: {missing}; pip install tensorboard h5py")
    sys.exit(77)

program, configuration, work = sys.argv[1:]
PATIENCE = 300  # seconds, far above what anything here takes
COLUMNS = {"loss_metrics/global_avg_loss": "loss", "loss_metrics/global_max_loss": "loss_max", "throughput(tps)": "tps", "mfu(%)": "mfu",
           "grad_norm": "grad_norm", "lr": "lr", "tokens": "tokens", "tflops": "tflops", "time_metrics/data_loading(s)": "data_loading",
           "memory/max_active(GiB)": "memory", "memory/max_reserved(GiB)": "memory", "time_metrics/busy_max(s)": "busy_max",
           "time_metrics/exposed_communication(s)": "exposed", "time_metrics/time_left(s)": "time_left"}
OTHERS = {"time_metrics/end_to_end(s)", "time_metrics/data_loading(%)", "memory/max_active(%)", "memory/max_reserved(%)",
          "memory/num_alloc_retries", "memory/num_ooms", "time_metrics/busy(s)", "time_metrics/slowest_rank", "validation_metrics/tokens",
          "validation_metrics/seconds", "validation_metrics/loss"}
LOSS = "loss_metrics/global_avg_loss"
failed = 0


def fail(*what):
    global failed
    print("FAILED:", *what)
    failed += 1


def wait_for(what, condition):
    end = time.time() + PATIENCE
    while not condition():
        if time.time() > end:
            sys.exit(f"FAILED: {what}")
        time.sleep(0.2)


class Server:
    """tensorboard --logdir, asked for what its page asks for."""

    def __init__(self, folder):
        self.log = os.path.join(work, "server.log")
        with open(self.log, "w") as log:
            self.process = subprocess.Popen([sys.executable, "-m", "tensorboard.main", "--logdir", folder, "--host", "127.0.0.1", "--port", "0",
                                             "--reload_interval", "1"], stdout=log, stderr=log)
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        wait_for("the server does not start", self.address)

    def address(self):
        assert self.process.poll() is None, open(self.log).read()
        found = re.search(r"http://127\.0\.0\.1:\d+/", open(self.log).read())
        return found and found[0]

    def ask(self, path, **query):
        with self.opener.open(self.address() + path + "?" + urllib.parse.urlencode(query), timeout=PATIENCE) as answer:
            return json.load(answer)

    def tags(self):
        runs = self.ask("data/plugin/scalars/tags")
        return (list(runs)[0], set(list(runs.values())[0])) if runs else ("", set())

    def scalars(self, tag):
        run, tags = self.tags()
        if tag not in tags:
            return []
        return [(step, value) for _, step, value in self.ask("data/plugin/scalars/scalars", run=run, tag=tag)]


class Reader:
    def __init__(self):
        self.accumulator = None

    def reload(self):
        files = glob.glob(f"{work}/run/tb/*")
        if self.accumulator is None and files:
            self.accumulator = EventAccumulator(files[0], size_guidance={"scalars": 0})
        if self.accumulator is not None:
            self.accumulator.Reload()

    def tags(self):
        return "", set(self.accumulator.Tags()["scalars"]) if self.accumulator else set()

    def scalars(self, tag):
        self.reload()
        return [(event.step, event.value) for event in self.accumulator.Scalars(tag)] if tag in self.tags()[1] else []


def compare(name, reader, columns):
    wait_for(f"{name} does not show the last step", lambda: len(reader.scalars(LOSS)) == len(columns["step"]))
    expected = {tag: ("step", column) for tag, column in COLUMNS.items()} | {"validation_metrics/loss": ("validation_step", "validation_loss")}
    for tag, (steps, values) in expected.items():
        got, wanted = reader.scalars(tag), list(zip(columns[steps], columns[values]))
        if len(got) != len(wanted) or any(a[0] != b[0] or not abs(a[1] - b[1]) <= 1e-6 * abs(b[1]) for a, b in zip(got, wanted)):
            fail(name, tag, len(got), got[:3], len(wanted), wanted[:3])
    if reader.tags()[1] != set(COLUMNS) | OTHERS:
        fail(name, "other tags:", reader.tags()[1] ^ (set(COLUMNS) | OTHERS))
    print(f"{name}: {len(reader.tags()[1])} tags, {len(reader.scalars(LOSS))} steps")


shutil.rmtree(work, ignore_errors=True)
os.makedirs(f"{work}/run/tb")
server, reader = Server(f"{work}/run/tb"), Reader()
try:
    run = subprocess.Popen(
        [program, "--job.config_file", configuration, "--job.dump_folder", f"{work}/run", "--training.seq_len", "16", "--training.batch_size", "1",
         "--training.steps", "5000", "--metrics.enable_tensorboard", "--validation.enabled", "--validation.freq", "2", "--validation.steps", "1",
         "--debug.dump_initial_weights=false"], stderr=subprocess.DEVNULL)
    for name, one in (("the server", server), ("the reader in Python", reader)):
        wait_for(f"{name} shows no steps", lambda: len(one.scalars(LOSS)) >= 3)
        if run.poll() is not None:
            fail(f"{name} showed the steps of a run that was over: code {run.returncode}")
    with open(f"{work}/run/STOP", "w"):
        pass
    if run.wait() != 75:
        fail("code", run.returncode)
    with h5py.File(f"{work}/run/metrics.h5") as file:
        columns = {name: file[name][:] for name in file}
    if len(columns["step"]) <= 1000:
        compare("the server", server, columns)
    else:
        print("the server: not compared, as it shows 1,000 points of a tag at most")
    compare("the reader in Python", reader, columns)
finally:
    server.process.terminate()
    server.process.wait()
texts = {tag: reader.accumulator.Tensors(tag)[0].tensor_proto.string_val[0] for tag in reader.accumulator.Tags()["tensors"]}
if not any(tag.startswith("configuration") and b"seq_len = 16" in text for tag, text in texts.items()):
    fail("texts", list(texts))
if not failed:
    shutil.rmtree(work)
sys.exit(failed > 0)
