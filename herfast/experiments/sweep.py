"""Sweeps: train every combination of environments, presets, seeds and settings.

The folder of a sweep contains:

- results.csv: the rows of the finished trials, one per trial and epoch; see `trial_rows`.
- <bits>-<preset>-.../: the folder of a trial, a run folder as `herfast train` writes it.

The trials' folders record what is finished. results.csv is rebuilt from them every few seconds and at the
end, and is replaced atomically. A sweep can therefore be killed at any moment, and the next call trains what
is missing.
"""

from __future__ import annotations

import itertools
import os
import re
import threading
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing
from pathlib import Path
from typing import Any

from herfast.common.atomic_file import locked
from herfast.common.validation import check_bool, check_integer, check_path, short_repr
from herfast.config import Config
from herfast.dqn.memory_budget import check_memory
from herfast.dqn.progress_bar import new_bar
from herfast.envs.adapters import as_goal_env
from herfast.envs.base import GoalEnv
from herfast.envs.bit_flip import BitFlip
from herfast.envs.registry import make_env
from herfast.experiments.dask_backend import check_dask, train_on_cluster
from herfast.experiments.results_table import RESULTS_FILE, ResultsTable, read_results
from herfast.experiments.run import CONFIG_FILE
from herfast.experiments.trial import Trial, train_trial, warm_up_kernels
from herfast.presets import Preset


def sweep(
    n_bits: int | list[int] | None = None,
    *,
    env: object = None,
    out: str | os.PathLike[str],
    preset: Preset | list[Preset] = "fast",
    seeds: int = 1,
    max_steps: int | None = None,
    jobs: int | None = None,
    scheduler: str | None = None,
    progress_bar: bool = False,
    **fields: Any,
) -> list[dict[str, Any]]:
    """Train every combination of the given values and return all results.

    A list gives several values of an argument; anything else is one value. Trials that are finished in `out`
    are not trained again, and trials with a checkpoint there are resumed.

    Args:
        n_bits: shorthand for env=BitFlip(n_bits, max_steps).
        env: an environment, a spec of one, or a list of them. Its id must be registered: see `register_env`.
        out: the folder of the sweep.
        preset: the preset or presets that supply the defaults of Config's fields.
        seeds: the number of seeds: 0, 1, ...
        max_steps: steps after which an episode is truncated, only with `n_bits`. None: n_bits.
        jobs: trials trained at the same time, in one thread each, since the kernels release the GIL. None:
            the number of cores.
        scheduler: address of a Dask scheduler, such as tcp://host:8786. Its workers then train the trials.
            They need no shared disk, and another worker restarts the trial of a worker that dies.
        progress_bar: whether to show the number of finished trials and the remaining time on stderr.
        **fields: fields of Config.

    Returns:
        A row for each epoch of each trial, largest environments first. The keys are the columns of
        results.csv.

    Raises:
        TypeError, ValueError, MemoryError: an argument is invalid, or an agent would reject a combination.
            Nothing is trained.
        FileExistsError, NotADirectoryError, BlockingIOError: `out` is not the folder of a sweep, or another
            process uses it. If a trial's folder is the cause, the other trials are trained first.
        OSError: files cannot be written, or the Dask scheduler cannot be reached.
        ImportError: `scheduler` is given, and dask.distributed is not installed.
        KeyboardInterrupt: after Ctrl-C. Unfinished trials are saved, except on Dask workers.
    """
    trials = plan_trials(sweep_envs(n_bits, max_steps, env), preset, seeds, fields)
    check_bool("progress_bar", progress_bar)
    return run_trials(trials, check_sweep_folder(out), check_jobs(jobs, scheduler), scheduler, progress_bar)


def sweep_envs(n_bits: Any, max_steps: int | None, env: Any = None) -> list[GoalEnv]:
    """Return the environments that these arguments of `sweep` describe.

    Raises TypeError or ValueError.
    """
    if (n_bits is None) == (env is None):
        raise TypeError(
            f"either n_bits or env must be given, got n_bits={short_repr(n_bits)}, env={short_repr(env)}"
        )
    if env is None:
        return [BitFlip(size, max_steps) for size in _values("n_bits", n_bits)]
    if max_steps is not None:
        raise ValueError(
            f"max_steps needs n_bits, got {short_repr(max_steps)} with env: pass it to the environment"
        )
    envs = []
    for value in _values("env", env):
        if isinstance(value, Mapping):
            value = make_env(value)
        goal_env = as_goal_env(value)
        _check_registered(goal_env)
        envs.append(goal_env)
    return envs


def _check_registered(env: GoalEnv) -> None:
    """Raise ValueError unless `make_env` returns an equal environment for its spec."""
    spec = env.spec()
    if make_env(spec).spec() != spec:
        raise ValueError(f"env.spec() must describe the environment, but make_env returns another for {spec}")


def plan_trials(envs: list[GoalEnv], preset: Any, seeds: int, fields: Mapping[str, Any]) -> list[Trial]:
    """Return the trials of every combination, without duplicates.

    Trials with larger environments come first.

    Args:
        envs: the environments.
        preset: a preset's name or a list of them.
        seeds: the number of seeds, from 1 to 2**20.
        fields: fields of Config, each a value or a list of values.

    Raises:
        TypeError, ValueError, MemoryError: an agent would reject a combination.
    """
    choices = {name: _values(name, value) for name, value in {"preset": preset, **fields}.items()}
    choices["seed"] = list(range(check_integer("seeds", seeds, 1, 2**20)))
    trials: dict[str, Trial] = {}
    for env, *values in itertools.product(envs, *choices.values()):
        settings = dict(zip(choices, values, strict=True))
        seed = settings.pop("seed")
        preset_name = settings.pop("preset")
        trial = Trial(env, preset_name, seed, Config.preset(preset_name, env, **settings))
        check_memory(env, trial.config)
        trials[trial.name] = trial
    return sorted(trials.values(), key=lambda trial: -trial.env.n_state_bits)


def _values(name: str, value: Any) -> list[Any]:
    """Return `value` if it is a list, else [value]. Raises ValueError for []."""
    if not isinstance(value, list):
        return [value]
    if not value:
        raise ValueError(f"{name} must have at least one value, got []")
    return value


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


def check_jobs(jobs: int | None, scheduler: str | None) -> int:
    """Return the number of trials to train at the same time on this machine.

    Args:
        jobs: that number, from 1 to 1,024. None: the number of cores.
        scheduler: address of a Dask scheduler, which is only validated. None: no scheduler.

    Raises:
        TypeError, ValueError: an argument is invalid.
        ImportError: `scheduler` is given, and dask.distributed is not installed.
    """
    if not (scheduler is None or isinstance(scheduler, str)):
        raise TypeError(
            f"scheduler must be the address of a Dask scheduler or None, got {short_repr(scheduler)}"
        )
    if scheduler is not None and not re.fullmatch(r"\w+://.+:\d+/?", scheduler):
        raise ValueError(f"scheduler must be an address such as tcp://host:8786, got {short_repr(scheduler)}")
    if scheduler is not None:
        check_dask()
    if jobs is None:
        jobs = os.cpu_count()
    return check_integer("jobs", jobs, 1, 2**10)


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
    with locked(out):
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
                for trial in finished:
                    rows = table.add(trial.name)
                    table.write_if_due()
                    report(trial.name, rows)
                    bar.update()
        finally:
            for trial in missing:
                if trial.name not in table:  # it may have finished after the last report
                    table.add(trial.name)
            table.write()
    return table.rows_of(trials)


def _train_in_threads(plan: list[Trial], out: Path, jobs: int) -> Generator[Trial, None, None]:
    """Train trials in threads and yield each when it is finished.

    When the generator is closed, running trials are saved. A trial that raises OSError does not stop the
    others: the first such error is raised at the end.
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
