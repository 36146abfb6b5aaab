"""A scheduler and workers of Dask, in processes of their own."""

import re
import subprocess
import sys
import threading

DASK = (sys.executable, "-m", "dask")


def start_process(stack, folder, *argv, until):
    """Start a process; return it and its output up to the first match of `until`."""
    process = subprocess.Popen(argv, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    stack.callback(process.stdout.close)
    stack.callback(process.wait)
    stack.callback(process.kill)
    deadline = threading.Timer(120, process.kill)
    deadline.start()
    lines = []
    for line in process.stdout:
        lines.append(line)
        if re.search(until, line):
            deadline.cancel()
            return process, lines
    raise AssertionError("".join(lines))


def start_cluster(stack, folder, n_workers):
    """Start a scheduler and workers with one thread; return them and the address."""
    local = ("--host", "127.0.0.1", "--port", "0", "--no-dashboard")
    scheduler, lines = start_process(stack, folder, *DASK, "scheduler", *local, until="Scheduler at:")
    address = re.search(r"tcp://\S+", lines[-1]).group()
    return scheduler, address, [start_worker(stack, folder, address) for _ in range(n_workers)]


def start_worker(stack, folder, address):
    options = ("--nthreads", "1", "--no-nanny", "--no-dashboard", "--local-directory", str(folder))
    return start_process(stack, folder, *DASK, "worker", address, *options, until="Registered to")[0]
