"""Program that runs `herfast train` with a fault at each of its steps.

    python fault_injection.py FAULT FOLDER EVERY

A step is an operation that changes the run's folder. After each fault, the run is resumed or begun again,
without a fault. The program prints a JSON object: the number of steps, and the runs with a wrong end.
"""

import errno
import json
import os
import resource
import shutil
import signal
import sys
from pathlib import Path

from herfast.common.tensor_file import open_tensors

SETTINGS = ["--preset", "notebook", "--hidden", "8", "--epochs", "2", "--cycles-per-epoch", "2"]
SETTINGS += ["--episodes-per-cycle", "2", "--updates-per-cycle", "2", "--batch-size", "4", "--capacity", "50"]
EVENTS = (
    "open",
    "os.rename",
    "os.mkdir",
    "os.remove",
    "os.rmdir",
    "os.chmod",
    "os.truncate",
    "shutil.rmtree",
)
WRITING = os.O_WRONLY | os.O_RDWR


def failing(name):
    def fail(*args, **kwargs):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    setattr(os, name, fail)


def close_reader(descriptor):
    """Let `descriptor` write to a pipe that nobody reads."""
    reader, writer = os.pipe()
    os.close(reader)
    os.dup2(writer, descriptor)


def fill(descriptor):
    """Let `descriptor` write to a full device."""
    os.dup2(os.open("/dev/full", os.O_WRONLY), descriptor)


def damage_cache():
    for path in Path(os.environ["NUMBA_CACHE_DIR"]).rglob("*.o"):
        os.truncate(path, path.stat().st_size // 2)


FAULTS = {
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "full disk": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY)),
    "failing fsync": lambda: failing("fsync"),
    "failing rename": lambda: failing("replace"),
    "closed stdout": lambda: close_reader(1),
    "full stdout": lambda: fill(1),
    "closed stderr": lambda: close_reader(2),
    "damaged cache": damage_cache,
}


def count_steps(folder, at, fault):
    """Call `fault` before step number `at`; return a list of all steps."""
    steps = []

    def hook(event, args):
        if event in EVENTS and str(folder) in str(args[0]) and (event != "open" or (args[2] or 0) & WRITING):
            steps.append(event)
            if len(steps) == at:
                fault()

    sys.addaudithook(hook)
    return steps


def run(command, folder, at=0, fault=None):
    """Run a command of herfast in a forked process.

    Returns its exit code, stderr and the number of steps.
    """
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 70
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            os.dup2(writer, 2)
            steps = count_steps(folder, at, fault)
            from herfast.cli.main import main

            code = main(command)
            os.write(writer, f"\nsteps {len(steps)}".encode())
        except BaseException:
            import traceback

            os.write(writer, traceback.format_exc().encode())
        finally:
            os._exit(code)
    os.close(writer)
    with open(reader, encoding="utf-8") as output:
        text, _, n_steps = output.read().partition("\nsteps ")
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status), text, n_steps


def problem_after(fault, at, folder, expected):
    """Return what is wrong after a fault at a step and a second try, or None."""
    code, text, _ = run(train_command(folder), folder, at, FAULTS[fault])
    outputs = [text]
    if code != 0:
        command = train_command(folder)
        if (folder / "checkpoint.safetensors").exists():
            command = ["resume", str(folder)]
        code, text, _ = run(command, folder)
        outputs.append(text)
    if code != 0 or any("Traceback" in output for output in outputs):
        return {"step": at, "exit code": code, "outputs": outputs}
    if weights(folder) != expected:
        return {"step": at, "weights": "missing or different", "outputs": outputs}
    return None


def train_command(folder):
    return ["train", "--n-bits", "4", "--checkpoint-every", "1", "--out", str(folder), *SETTINGS]


def weights(folder):
    if not (folder / "agent.safetensors").exists():
        return None
    with open_tensors(folder / "agent.safetensors") as file:
        return {name: file.read(name).tobytes() for name in file.shapes}


def main():
    fault, root, every = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    sys.modules["matplotlib"] = None  # drawing has tests of its own, and takes most of the time
    from herfast.cli import commands  # noqa: F401 (imported before the forks)

    if fault != "damaged cache":
        from herfast.config import Config
        from herfast.experiments.trial import warm_up_kernels

        warm_up_kernels([Config()])
    folder = root / "undisturbed"
    code, text, n_steps = run(train_command(folder), folder)
    assert code == 0, text
    expected = weights(folder)
    problems = []
    for at in range(1, int(n_steps) + 1, every):
        folder = root / f"fault at step {at}"
        problem = problem_after(fault, at, folder, expected)
        if problem:
            problems.append(problem)
        shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps({"steps": int(n_steps), "problems": problems}))


if __name__ == "__main__":
    main()
