"""Sweeps on Dask, with a scheduler and workers in processes of their own."""

import csv
import io
import os
import re
import signal
import subprocess
import sys
from contextlib import ExitStack
from types import SimpleNamespace

import pytest
from support.dask_cluster import start_cluster, start_process, start_worker

from herfast.experiments import dask_backend

pytestmark = pytest.mark.slow

TRIALS = "--preset notebook --n-bits 6 8 --k 0 1 --seeds 3 --epochs 8 --hidden 64"


def rows(folder):
    """Rows of results.csv without time and machine, sorted by trial and epoch."""
    with (folder / "results.csv").open(newline="") as file:
        found = list(csv.DictReader(file))
    for row in found:
        del row["seconds"], row["machine"]
    return sorted(found, key=lambda row: (row["cell"], int(row["epoch"])))


SWEEP = (sys.executable, "-m", "herfast", "sweep")


def test_the_trial_of_a_killed_worker_is_trained_by_another(tmp_path):
    with ExitStack() as stack:
        _, address, workers = start_cluster(stack, tmp_path, 2)
        flags = (*TRIALS.split(), "--out", str(tmp_path / "cluster"), "--scheduler", address)
        process, lines = start_process(stack, tmp_path, *SWEEP, *flags, until="all epochs completed")
        workers[0].send_signal(signal.SIGKILL)  # the first trial is finished: the worker trains another
        assert workers[0].wait() == -signal.SIGKILL
        lines += process.stdout.readlines()
        assert process.wait() == 0, "".join(lines)
    assert sum("all epochs completed" in line for line in lines) == 12, "".join(lines)
    subprocess.run(
        [*SWEEP, *TRIALS.split(), "--out", str(tmp_path / "local")],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    assert len(rows(tmp_path / "local")) == 12 * 8
    assert rows(tmp_path / "cluster") == rows(tmp_path / "local")


def start_endless_sweep(stack, address, folder):
    """Start a sweep of two trials and wait for the first one.

    The second trial does not end.
    """
    flags = ["--preset", "notebook", "--n-bits", "4", "--hidden", "8", "--epochs", "1", "1000000"]
    return start_process(
        stack,
        folder,
        *SWEEP,
        *flags,
        "--scheduler",
        address,
        "--out",
        str(folder / "endless"),
        until="epoch 1 ",
    )[0]


def run_quick_sweep(address, folder):
    """Run a sweep of one trial, for which a worker must become idle in time."""
    flags = ["--preset", "notebook", "--n-bits", "3", "--hidden", "8", "--epochs", "1"]
    argv = [*SWEEP, *flags, "--scheduler", address, "--out", str(folder / "quick")]
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr


def test_an_interrupted_sweep_releases_the_workers(tmp_path):
    with ExitStack() as stack:
        _, address, _ = start_cluster(stack, tmp_path, 1)
        endless = start_endless_sweep(stack, address, tmp_path)
        endless.send_signal(signal.SIGINT)
        output = endless.stdout.read()
        assert endless.wait() == 130, output
        assert output.endswith("unfinished trials are discarded; run the same command again to continue\n")
        run_quick_sweep(address, tmp_path)


def test_a_killed_sweep_releases_the_workers(tmp_path):
    with ExitStack() as stack:
        _, address, _ = start_cluster(stack, tmp_path, 1)
        endless = start_endless_sweep(stack, address, tmp_path)
        endless.send_signal(signal.SIGKILL)
        assert endless.wait() == -signal.SIGKILL
        run_quick_sweep(address, tmp_path)


def test_a_sweep_without_workers_prints_a_message_and_continues_with_the_first_worker(tmp_path):
    with ExitStack() as stack:
        _, address, _ = start_cluster(stack, tmp_path, 0)
        flags = ["--preset", "notebook", "--n-bits", "3", "--hidden", "8", "--epochs", "1"]
        flags += ["--scheduler", address, "--out", str(tmp_path / "swept")]
        process, lines = start_process(stack, tmp_path, *SWEEP, *flags, until="waiting for workers")
        assert lines[-1] == (
            f"waiting for workers of {address}: none is connected; start some with `dask worker {address}`\n"
        )
        start_worker(stack, tmp_path, address)
        output = process.stdout.read()
        assert process.wait() == 0, output
    assert "waiting" not in output
    assert len(rows(tmp_path / "swept")) == 1


ENVS = """
import herfast
from herfast.envs.bit_flip import BitFlip

class Flip(BitFlip):
    def spec(self):
        return {**super().spec(), "id": "Flip"}

    def step(self, *args):
        if self.n_bits == 4:
            raise ValueError("no power")
        super().step(*args)

herfast.register_env("Flip", Flip)
"""
ENV_SWEEP = """
import sys
import herfast
from envs import Flip

try:
    herfast.sweep(env=[Flip(4), Flip(3), Flip(2)], out="swept", scheduler=sys.argv[1], epochs=1)
except RuntimeError as error:
    print(repr(error.__cause__), error, sep="\\n")
"""


def test_a_failed_trial_does_not_stop_the_others(tmp_path):
    (tmp_path / "envs.py").write_text(ENVS)
    (tmp_path / "sweeping.py").write_text(ENV_SWEEP)
    with ExitStack() as stack:
        _, address, _ = start_cluster(stack, tmp_path, 1)
        argv = [sys.executable, "sweeping.py", address]
        done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    cause, summary, failure = done.stdout.splitlines()
    assert cause == "ValueError('no power')"
    assert summary == "1 of 3 trials failed: run the sweep again to train them"
    assert re.fullmatch(r"4bits-fast-k\d-seed0-\w+: ValueError: no power", failure)
    assert {row["n_bits"] for row in rows(tmp_path / "swept")} == {"2", "3"}


def test_a_lost_scheduler_is_reported_in_one_line(tmp_path):
    with ExitStack() as stack:
        scheduler, address, workers = start_cluster(stack, tmp_path, 1)
        endless = start_endless_sweep(stack, address, tmp_path)
        scheduler.kill()
        output = endless.stdout.read()
        assert endless.wait() == 2, output
        message = (
            f"lost the connection to the Dask scheduler {address}: run the same command again to continue"
        )
        assert output.endswith(f"herfast: error: {message}\n")
        workers[0].wait(timeout=120)  # without a trial to train, it ends
    assert len(rows(tmp_path / "endless")) == 1


def test_an_unreachable_scheduler_is_reported_in_one_line(tmp_path):
    argv = [sys.executable, "-m", "herfast", "sweep", "--n-bits", "3", "--out", str(tmp_path), "--scheduler"]
    argv.append("tcp://127.0.0.1:1")
    env = {**os.environ, "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "1s"}
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False, env=env)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "tcp://127.0.0.1:1" in done.stderr


@pytest.mark.parametrize("stderr", [None, "closed"])
def test_the_message_about_workers_needs_no_stderr(stderr, capsys, monkeypatch):
    stream = None
    if stderr:
        stream = io.StringIO()
        stream.close()
    monkeypatch.setattr(sys, "stderr", stream)
    client = SimpleNamespace(nthreads=dict)
    assert dask_backend._check_workers(client, "tcp://host:1") == dask_backend._MESSAGE_SECONDS
    assert capsys.readouterr().out == ""
