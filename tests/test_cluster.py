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
QUIET = {**os.environ, "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "3"}


def started(stack, *argv, says):
    """A process, and what it wrote up to the line that `says` is found in."""
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=QUIET)
    stack.callback(process.communicate)  # what it writes until then fits the pipe
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


def test_a_worker_that_is_killed_costs_no_cell(tmp_path):
    herfast = (sys.executable, "-m", "herfast", "sweep", *CELLS.split(), "--out")
    dask = (sys.executable, "-m", "dask")
    with ExitStack() as stack:
        local = ("--host", "127.0.0.1", "--port", "0", "--no-dashboard")
        _, lines = started(stack, *dask, "scheduler", *local, says="Scheduler at:")
        address = re.search(r"tcp://\S+", lines[-1]).group()
        alone = ("--nthreads", "1", "--no-nanny", "--no-dashboard", "--local-directory", str(tmp_path))
        workers = [started(stack, *dask, "worker", address, *alone, says="Registered to")[0] for _ in range(2)]
        swept, lines = started(stack, *herfast, str(tmp_path / "there"), "--scheduler", address, says="all epochs done")
        workers[0].send_signal(signal.SIGKILL)  # when the first cell has come back, so that it is busy with another
        assert workers[0].wait() == -signal.SIGKILL
        lines += swept.stdout.readlines()
        assert swept.wait() == 0, "".join(lines)
    assert sum("all epochs done" in line for line in lines) == 12, "".join(lines)
    subprocess.run([*herfast, str(tmp_path / "here")], check=True, capture_output=True)
    assert len(rows(tmp_path / "here")) == 12 * 8
    assert rows(tmp_path / "there") == rows(tmp_path / "here")


def test_a_scheduler_that_is_not_there_is_refused_in_a_sentence(tmp_path):
    argv = [sys.executable, "-m", "herfast", "sweep", "--n-bits", "3", "--out", str(tmp_path), "--scheduler"]
    done = subprocess.run([*argv, "tcp://127.0.0.1:1"], capture_output=True, text=True, check=False, env={
        **os.environ, "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "1s"})  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "tcp://127.0.0.1:1" in done.stderr
