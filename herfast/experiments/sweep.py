"""Sweeps: train every combination of environments, presets, seeds and settings.

The folder of a sweep contains:

- results.csv: the rows of the finished trials, one per trial and epoch; see `trial_rows`.
- <bits>-<preset>-.../: the folder of a trial, a run folder as `herfast train` writes it.

The trials' folders record what is finished. results.csv is rebuilt from them every few seconds and at the
end, and is replaced atomically. A sweep can therefore be killed at any moment, and the next call trains what
is missing.
"""

from __future__ import annotations

import os
import threading
import traceback
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from herfast.common.atomic_file import locked
from herfast.common.validation import check_bool, check_path, one_line
from herfast.dqn.progress_bar import new_bar
from herfast.experiments.dask_backend import train_on_cluster
from herfast.experiments.results_table import ResultsTable, read_results
from herfast.experiments.run import CONFIG_FILE
from herfast.experiments.sweep_folder import RESULTS_FILE
from herfast.experiments.sweep_plan import check_jobs, plan_trials, sweep_envs
from herfast.experiments.trial import Trial, train_trial, warm_up_kernels
from herfast.presets import Preset


class TrialError(RuntimeError):
    """Error at the end of a sweep in which trials failed.

    The message has a line for each of them. The cause is the exception of the first one.
    """


def sweep(
    n_bits: int | Sequence[int] | NDArray[np.integer[Any]] | None = None,
    *,
    env: object = None,
    out: str | os.PathLike[str],
    preset: Preset | Sequence[Preset] = "fast",
    seeds: int = 1,
    max_steps: int | None = None,
    jobs: int | None = None,
    scheduler: str | None = None,
    progress_bar: bool = False,
    **fields: Any,
) -> list[dict[str, Any]]:
    """Train every combination of the given values and return all results.

    `n_bits`, `env`, `preset` and the fields of Config take one value, or several in a list, tuple, range or
    NumPy array. For `hidden`, a tuple of widths is one value: (256, 128) is one network, and
    [(256,), (256, 128)] are two.

    Trials that are finished in `out` are not trained again, and trials with a checkpoint there are resumed.
    A trial that fails does not stop the others.

    Args:
        n_bits: shorthand for env=BitFlip(n_bits, max_steps).
        env: an environment, a spec of one, or several. Its id must be registered, see `register_env`, or it
            is a GoalTask of a module.
        out: the folder of the sweep.
        preset: the preset or presets that supply the defaults of Config's fields.
        seeds: the number of seeds: 0, 1, ...
        max_steps: steps after which an episode is truncated, only with `n_bits`. None: n_bits.
        jobs: trials trained at the same time on this machine, in one thread each, since the kernels release
            the GIL. None: the number of cores that the process may use, or fewer if memory is short.
        scheduler: address of a Dask scheduler, such as tcp://host:8786. Its workers then train the trials.
            They need no shared disk, and another worker restarts the trial of a worker that dies.
        progress_bar: whether to show the number of finished trials and the remaining time on stderr.
        **fields: fields of Config.

    Returns:
        A row for each epoch of each trial, largest environments first. The keys are the columns of
        results.csv.

    Raises:
        TypeError, ValueError: an argument is invalid, or an agent would reject a combination. Nothing is
            trained.
        MemoryError: a trial, or `jobs` trials together, need more memory than is available. Nothing is
            trained.
        FileExistsError, NotADirectoryError, BlockingIOError: `out` is not the folder of a sweep, or another
            process uses it.
        OSError: results.csv cannot be written, or the Dask scheduler cannot be reached.
        RuntimeError: trials failed, as after an exception of their environment or in a folder in use. The
            other trials are trained first. The message has a line for each failed trial, and the cause is
            the exception of the first one.
        ImportError: `scheduler` is given, and dask.distributed is not installed.
        KeyboardInterrupt: after Ctrl-C. Unfinished trials are saved, except on Dask workers.
    """
    trials = plan_trials(sweep_envs(n_bits, max_steps, env), preset, seeds, fields)
    check_bool("progress_bar", progress_bar)
    folder = check_sweep_folder(out)
    n_jobs = check_jobs(jobs, scheduler, trials, folder)
    return run_trials(trials, folder, n_jobs, scheduler, progress_bar)


def check_sweep_folder(out: str | os.PathLike[str]) -> Path:
    """Check that `out` is or can become the folder of a sweep, and return its path.

    Raises:
        TypeError, ValueError: `out` is not a path, or its results.csv is damaged or not that of a sweep.
        NotADirectoryError: `out` is a file.
        FileExistsError: `out` contains a run.
    """
    check_path("out", out)
    folder = Path(out)
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"{folder} is a file: choose a folder for the sweep")
    if (folder / CONFIG_FILE).exists():
        raise FileExistsError(f"{folder} contains a run: choose another folder for the sweep")
    if (folder / RESULTS_FILE).exists():
        read_results(folder)
    return folder


def run_trials(
    trials: list[Trial],
    out: Path,
    jobs: int,
    scheduler: str | None,
    progress_bar: bool,
    report: Callable[[str, list[dict[str, Any]]], None] = lambda name, rows: None,
) -> list[dict[str, Any]]:
    """Train the trials that are not finished in `out`.

    Args:
        trials: the trials.
        out: the folder of the sweep, validated by `check_sweep_folder`.
        jobs: trials trained at the same time, if there is no scheduler.
        scheduler: address of a Dask scheduler, or None.
        progress_bar: whether to show a progress bar on stderr.
        report: called as `report(name, rows)` after each finished trial.

    Returns and raises as `sweep`.
    """
    failures: dict[str, Exception] = {}
    with locked(out):
        check_sweep_folder(out)  # again, since another process may have begun a run in it
        table = ResultsTable(out)
        missing = [trial for trial in trials if trial.name not in table]
        if scheduler is None:
            finished = _train_in_threads(missing, out, jobs)
        else:
            finished = train_on_cluster(missing, out, scheduler)
        n_done = len(trials) - len(missing)
        bar = new_bar(total=len(trials), initial=n_done, unit="trial", disable=not progress_bar)
        try:
            # Closed here, since the traceback of an error would keep the generator alive, and training with
            # it.
            with bar, closing(finished):
                for trial, error in finished:
                    bar.update()
                    if error is not None:
                        failures[trial.name] = error
                        continue
                    rows = table.add(trial.name)
                    table.write_if_due()
                    report(trial.name, rows)
        finally:
            for trial in missing:
                if trial.name not in table:  # it may have finished after the last report
                    table.add(trial.name)
            table.write()
    if failures:
        raise TrialError(_describe(failures, len(trials))) from next(iter(failures.values()))
    return table.rows_of(trials)


def _describe(failures: dict[str, Exception], n_trials: int) -> str:
    """Return the number of failed trials, and a line for each of them."""
    lines = [f"{len(failures):,} of {n_trials:,} trials failed: run the sweep again to train them"]
    for name, error in failures.items():
        lines.append(f"{name}: {type(error).__name__}: {one_line(str(error))}")
    return "\n".join(lines)


def _train_in_threads(
    plan: list[Trial], out: Path, jobs: int
) -> Generator[tuple[Trial, Exception | None], None, None]:
    """Train trials in threads and yield each when it has ended.

    A trial that fails is yielded with its exception, the others with None. When the generator is closed,
    running trials are saved.
    """
    stop = threading.Event()
    warm_up_kernels(trial.config for trial in plan)
    with ThreadPoolExecutor(jobs) as pool:
        futures = {pool.submit(_try_trial, trial, out / trial.name, stop.is_set): trial for trial in plan}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        finally:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)


def _clear_frames(error: BaseException | None) -> None:
    """Clear the frames of an error and its causes, which hold the agent."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


def _try_trial(trial: Trial, folder: Path, stopped: Callable[[], bool]) -> Exception | None:
    """Train a trial and return its exception if it fails."""
    try:
        train_trial(trial, folder, stopped)
    except Exception as error:
        _clear_frames(error)
        return error
    return None
