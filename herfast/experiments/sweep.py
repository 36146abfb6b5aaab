"""Every combination of games, presets, seeds and settings, learnt side by side into one folder.

    results.csv             the rows of the cells that are finished, one a cell and epoch; see `trial.rows`
    <bits>-<preset>-.../    the folder of a cell, as of a run of `herfast train`

The cells' folders say what is done: results.csv is made of them anew, every few seconds and at the end, and replaced
whole, so that a sweep may be killed at any moment, and does what is missing when it is called again.
"""

from __future__ import annotations

import csv
import io
import itertools
import os
import re
import threading
import time
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing
from pathlib import Path
from typing import Any

from herfast.common.atomic_file import locked, write_file
from herfast.common.validation import check_bool, check_integer, check_path, short_repr
from herfast.config import Config
from herfast.dqn.memory_budget import check_memory
from herfast.envs.bit_flip import BitFlip
from herfast.experiments.dask_backend import check_dask, train_on_cluster
from herfast.experiments.run import CONFIG_FILE
from herfast.experiments.trial import RESULT_COLUMNS, Trial, train_trial, trial_rows, warm_up_kernels
from herfast.presets import Preset

RESULTS_FILE = "results.csv"
_WRITE_EVERY = 5.0  # seconds; each time all of it is written


def sweep(
    n_bits: int | list[int],
    *,
    out: str | os.PathLike[str],
    preset: Preset | list[Preset] = "fast",
    seeds: int = 1,
    max_steps: int | None = None,
    jobs: int | None = None,
    scheduler: str | None = None,
    progress_bar: bool = False,
    **fields: Any,
) -> list[dict[str, Any]]:
    """Learn every combination into the folder `out`, all but what is finished there, and return the rows of them all.

    Args:
        n_bits: the size of the game. Here and below a list is several values, anything else one.
        out: the folder; what an interrupted or killed sweep has left there is gone on with.
        preset: where the defaults of Config's fields come from.
        seeds: how many: 0, 1, ...
        max_steps: steps after which an episode is truncated; None: n_bits.
        jobs: cells at a time, a thread each, since the kernels leave Python free; None: as many as there are cores.
        scheduler: address of a Dask scheduler, such as tcp://host:8786, whose workers learn the cells instead; those
            need no common disk, and a cell whose worker dies is begun anew by another.
        progress_bar: count the cells on stderr, with the time left.
        **fields: fields of Config.

    Returns:
        A row for each epoch of each cell, largest games first; their keys are the columns of results.csv.

    Raises:
        TypeError, ValueError: an argument, or a combination that an agent would refuse; then nothing is learnt.
        FileExistsError, NotADirectoryError, BlockingIOError: `out` is not the folder of a sweep, or another fills it;
            or so is the folder of a cell, and then the other cells are learnt before this is raised.
        ImportError: `scheduler` without dask.distributed.
        KeyboardInterrupt: after Ctrl-C, when the cells under way have been saved.
    """
    plan = plan_trials(n_bits, preset, seeds, max_steps, fields)
    check_bool("progress_bar", progress_bar)
    return run_trials(plan, check_sweep_folder(out), check_jobs(jobs, scheduler), scheduler, progress_bar)


def plan_trials(n_bits: Any, preset: Any, seeds: int, max_steps: int | None, fields: Mapping[str, Any]) -> list[Trial]:
    """The cells, each once, longest first. Raises TypeError, ValueError, MemoryError where an agent would."""
    lists = {"n_bits": n_bits, "preset": preset, **fields}
    choices = {name: value if isinstance(value, list) else [value] for name, value in lists.items()}
    for name, values in choices.items():
        if not values:
            raise ValueError(f"{name} must have one value or more, got []")
    choices["seed"] = list(range(check_integer("seeds", seeds, 1, 2**20)))
    trials: dict[str, Trial] = {}
    for chosen in itertools.product(*choices.values()):
        settings = dict(zip(choices, chosen, strict=True))
        env, seed = BitFlip(settings.pop("n_bits"), max_steps), settings.pop("seed")
        name = settings.pop("preset")
        trial = Trial(env, name, seed, Config.preset(name, env, **settings))
        check_memory(env, trial.config)
        trials[trial.name] = trial
    return sorted(trials.values(), key=lambda trial: -trial.env.n_bits)


def check_sweep_folder(out: str | os.PathLike[str]) -> Path:
    """`out`, if it is the folder of a sweep or can become one. Raises FileExistsError, NotADirectoryError."""
    check_path("out", out)
    folder = Path(out)
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"{folder} is a file, where the folder of a sweep is wanted")
    if (folder / CONFIG_FILE).exists():
        raise FileExistsError(f"{folder} holds a run: choose another folder for the sweep")
    if (folder / RESULTS_FILE).exists():
        read_results(folder)
    return folder


def check_jobs(jobs: int | None, scheduler: str | None) -> int:
    """How many cells are learnt at a time, here. Raises TypeError, ValueError, ImportError; for `scheduler`, too."""
    if not (scheduler is None or isinstance(scheduler, str)):
        raise TypeError(f"scheduler must be the address of a Dask scheduler or None, got {short_repr(scheduler)}")
    if scheduler is not None and not re.fullmatch(r"\w+://.+:\d+/?", scheduler):
        raise ValueError(f"scheduler must be an address such as tcp://host:8786, got {short_repr(scheduler)}")
    if scheduler is not None:
        check_dask()
    return check_integer("jobs", os.cpu_count() if jobs is None else jobs, 1, 2**10)


def run_trials(
    plan: list[Trial],
    out: Path,
    jobs: int,
    scheduler: str | None,
    progress_bar: bool,
    report: Callable[[str, list[dict[str, Any]]], None] = lambda name, rows: None,
) -> list[dict[str, Any]]:
    """Learn the cells of `plan` that are not finished in `out`; `report(name, rows)` hears of each. As `sweep`."""
    from tqdm.auto import tqdm

    with locked(out):
        rows = {}
        for folder in sorted(out.iterdir()):
            if (rows_of_trial := trial_rows(folder)) is not None:
                rows[folder.name] = rows_of_trial
        missing = [trial for trial in plan if trial.name not in rows]
        finished = (
            _train_in_threads(missing, out, jobs) if scheduler is None else train_on_cluster(missing, out, scheduler)
        )
        done = len(plan) - len(missing)
        written = 0.0
        bar = tqdm(total=len(plan), initial=done, unit="cell", disable=not progress_bar, dynamic_ncols=True)
        try:
            with bar, closing(finished):  # closed at once, since a traceback would keep it going
                for trial in finished:
                    rows[trial.name] = trial_rows(out / trial.name) or []
                    if time.monotonic() - written > _WRITE_EVERY:
                        _write_results(out, rows)
                        written = time.monotonic()
                    report(trial.name, rows[trial.name])
                    bar.update()
        finally:
            unread = [trial.name for trial in missing if trial.name not in rows]  # some of them ended meanwhile
            rows |= {name: trial_rows(out / name) or [] for name in unread}
            if any(rows.values()):
                _write_results(out, rows)
    return [row for trial in plan for row in rows[trial.name]]


def _train_in_threads(plan: list[Trial], out: Path, jobs: int) -> Generator[Trial, None, None]:
    """Learn the cells in threads; each as it is finished. When it is closed, those under way are saved.

    Raises OSError at the end, for the first cell that could not be learnt; the others are.
    """
    stop = threading.Event()
    failure = None
    if plan:
        warm_up_kernels()
    with ThreadPoolExecutor(jobs) as pool:
        futures = {pool.submit(train_trial, trial, out / trial.name, stop.is_set): trial for trial in plan}
        try:
            for future in as_completed(futures):
                try:
                    future.result()
                except OSError as error:
                    failure = failure or error
                    continue
                yield futures[future]
        finally:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
    if failure:
        raise failure


def _write_results(out: Path, rows: Mapping[str, list[dict[str, Any]]]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, RESULT_COLUMNS)
    writer.writeheader()
    writer.writerows(itertools.chain.from_iterable(rows.values()))
    write_file(out / RESULTS_FILE, text.getvalue().encode())


def read_results(folder: Path) -> list[dict[str, str]]:
    """The rows of results.csv, as text. Raises ValueError if it is not that of a sweep."""
    path = folder / RESULTS_FILE
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file, strict=True)
            if tuple(reader.fieldnames or ()) == RESULT_COLUMNS:
                return list(reader)
    except (UnicodeDecodeError, csv.Error):
        pass
    raise ValueError(f"{path} is not the {RESULTS_FILE} of a sweep, or is damaged: move it away, a sweep makes it anew")
