"""A sweep on Dask: a real scheduler and two real workers, one of which is killed."""

import csv
import os
import re
import signal
import subprocess
import sys
from contextlib import ExitStack

import pytest

pytestmark = pytest.mark.slow

CELLS = "--preset notebook --n-bits 6 8 --k 0 1 --seeds 3 --epochs 8 --hidden 64"


def started(stack, folder, *argv, says):
    """A process started in `folder`, and what it wrote up to the line that `says` is found in."""
    process = subprocess.Popen(argv, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    stack.callback(process.stdout.close)
    stack.callback(process.wait)
    stack.callback(process.kill)
    lines = []
    for line in process.stdout:
        lines.append(line)
        if re.search(says, line):
            return process, lines
    raise AssertionError("".join(lines))


def rows(folder):
    with (folder / "results.csv").open(newline="") as file:
        found = [{k: v for k, v in row.items() if k not in ("seconds", "machine")} for row in csv.DictReader(file)]
    return sorted(found, key=lambda row: (row["cell"], int(row["epoch"])))


SWEEP = (sys.executable, "-m", "herfast", "sweep")
DASK = (sys.executable, "-m", "dask")


def cluster(stack, folder, n_workers):
    """A scheduler, its address, and workers of one thread."""
    local = ("--host", "127.0.0.1", "--port", "0", "--no-dashboard")
    scheduler, lines = started(stack, folder, *DASK, "scheduler", *local, says="Scheduler at:")
    address = re.search(r"tcp://\S+", lines[-1]).group()
    alone = ("--nthreads", "1", "--no-nanny", "--no-dashboard", "--local-directory", str(folder))
    workers = [
        started(stack, folder, *DASK, "worker", address, *alone, says="Registered to")[0] for _ in range(n_workers)
    ]
    return scheduler, address, workers


def test_a_worker_that_is_killed_costs_no_cell(tmp_path):
    with ExitStack() as stack:
        _, address, workers = cluster(stack, tmp_path, 2)
        flags = (*CELLS.split(), "--out", str(tmp_path / "there"), "--scheduler", address)
        swept, lines = started(stack, tmp_path, *SWEEP, *flags, says="all epochs done")
        workers[0].send_signal(signal.SIGKILL)  # when the first cell has come back, so that it is busy with another
        assert workers[0].wait() == -signal.SIGKILL
        lines += swept.stdout.readlines()
        assert swept.wait() == 0, "".join(lines)
    assert sum("all epochs done" in line for line in lines) == 12, "".join(lines)
    subprocess.run(
        [*SWEEP, *CELLS.split(), "--out", str(tmp_path / "here")], cwd=tmp_path, check=True, capture_output=True
    )
    assert len(rows(tmp_path / "here")) == 12 * 8
    assert rows(tmp_path / "there") == rows(tmp_path / "here")


def begun(stack, address, folder):
    """A sweep whose first cell has come back, and whose second, which never ends, comes next."""
    flags = ["--preset", "notebook", "--n-bits", "4", "--hidden", "8", "--epochs", "1", "1000000"]
    return started(
        stack, folder, *SWEEP, *flags, "--scheduler", address, "--out", str(folder / "endless"), says="epoch 1 "
    )[0]


def test_an_interrupted_sweep_frees_the_workers(tmp_path):
    with ExitStack() as stack:
        _, address, _ = cluster(stack, tmp_path, 1)
        endless = begun(stack, address, tmp_path)
        endless.send_signal(signal.SIGINT)
        said = endless.stdout.read()
        assert endless.wait() == 130, said
        assert said.endswith("the cells under way are given up; the same command goes on\n")
        quick = ["--preset", "notebook", "--n-bits", "3", "--hidden", "8", "--epochs", "1"]
        swept, lines = started(
            stack, tmp_path, *SWEEP, *quick, "--scheduler", address, "--out", str(tmp_path / "quick"), says="epoch 1 "
        )
        assert swept.wait() == 0, lines


def test_a_scheduler_that_goes_away_is_told_in_a_sentence(tmp_path):
    with ExitStack() as stack:
        scheduler, address, _ = cluster(stack, tmp_path, 1)
        endless = begun(stack, address, tmp_path)
        scheduler.kill()
        said = endless.stdout.read()
        assert endless.wait() == 2, said
        assert said.endswith(f"herfast: error: the Dask scheduler {address} went away; the same command goes on\n")
    assert len(rows(tmp_path / "endless")) == 1


def test_a_scheduler_that_is_not_there_is_refused_in_a_sentence(tmp_path):
    argv = [sys.executable, "-m", "herfast", "sweep", "--n-bits", "3", "--out", str(tmp_path), "--scheduler"]
    done = subprocess.run([*argv, "tcp://127.0.0.1:1"], cwd=tmp_path, capture_output=True, text=True, check=False, env={
        **os.environ, "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "1s"})  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "tcp://127.0.0.1:1" in done.stderr
