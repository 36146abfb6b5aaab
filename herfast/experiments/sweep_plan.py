"""Plan of a sweep: its environments, its trials, and its number of jobs."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from herfast.common.validation import check_integer, short_repr
from herfast.config import Config
from herfast.dqn.memory_budget import available_memory, check_memory, estimate_memory, format_bytes
from herfast.envs.adapters import as_goal_env
from herfast.envs.base import GoalEnv
from herfast.envs.bit_flip import BitFlip
from herfast.envs.registry import make_env
from herfast.experiments.dask_backend import check_dask
from herfast.experiments.run import has_ended
from herfast.experiments.trial import Trial
from herfast.replay.hindsight_replay import check_capacity


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
        preset: a preset's name or several.
        seeds: the number of seeds, from 1 to 2**20.
        fields: fields of Config, each with one value or several.

    Raises:
        TypeError, ValueError: an argument is invalid, or an agent would reject a combination.
    """
    if "seed" in fields:
        raise TypeError(
            f"seed is not an argument of a sweep, got {short_repr(fields['seed'])}: "
            "use seeds, the number of seeds 0, 1, ..."
        )
    choices = {name: _values(name, value) for name, value in {"preset": preset, **fields}.items()}
    choices["seed"] = range(check_integer("seeds", seeds, 1, 2**20))
    trials: dict[str, Trial] = {}
    for env, *values in itertools.product(envs, *choices.values()):
        settings = dict(zip(choices, values, strict=True))
        seed = settings.pop("seed")
        preset_name = settings.pop("preset")
        trial = Trial(env, preset_name, seed, Config.preset(preset_name, env, **settings))
        check_capacity(trial.config.capacity, env.max_steps)
        trials[trial.name] = trial
    return sorted(trials.values(), key=lambda trial: -trial.env.n_state_bits)


def _values(name: str, value: Any) -> Sequence[Any]:
    """Return the values of an argument of `sweep`.

    They are in a list, tuple, range or array; any other value is a single one. For `hidden`, a tuple of
    widths is a single value.

    Raises:
        TypeError: it is another collection, such as a set, which has no order.
        ValueError: it is empty.
    """
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if name == "hidden" and isinstance(value, tuple) and not _has_sequence(value):
        return [value]
    if isinstance(value, (list, range)) or type(value) is tuple:  # a named tuple is one value
        if not value:
            raise ValueError(f"{name} must have at least one value, got {value}")
        return value
    if name != "env" and isinstance(value, Iterable) and not isinstance(value, str):
        raise TypeError(
            f"{name} must be one value, or a list, tuple, range or array of values, got {short_repr(value)}"
        )
    return [value]


def _has_sequence(values: tuple[Any, ...]) -> bool:
    return any(isinstance(value, (list, tuple)) for value in values)


def check_jobs(jobs: int | None, scheduler: str | None, trials: list[Trial], out: Path) -> int:
    """Return the number of trials to train at the same time on this machine.

    Args:
        jobs: that number, from 1 to 1,024. None: the number of cores, or fewer if memory is short.
        scheduler: address of a Dask scheduler, which is only validated. None: no scheduler.
        trials: the trials.
        out: the folder of the sweep. Trials that are finished there need no memory.

    Returns:
        That number. With a scheduler it is 0.

    Raises:
        TypeError, ValueError: an argument is invalid.
        ImportError: `scheduler` is given, and dask.distributed is not installed.
        MemoryError: a trial, or `jobs` trials together, need more memory than is available.
    """
    if scheduler is not None:
        _check_scheduler(scheduler)
        if jobs is not None:
            raise ValueError(
                f"jobs is for trials on this machine, got {short_repr(jobs)} with a scheduler: "
                "its workers set how many trials they train"
            )
        return 0
    if jobs is not None:
        jobs = check_integer("jobs", jobs, 1, 2**10)
    missing = [trial for trial in trials if not has_ended(out / trial.name)]
    if not missing:
        return jobs or 1
    missing.sort(key=_needed_bytes, reverse=True)
    check_memory(missing[0].env, missing[0].config)
    return _fitting_jobs(jobs, [_needed_bytes(trial) for trial in missing])


def _needed_bytes(trial: Trial) -> int:
    return sum(estimate_memory(trial.env, trial.config).values())


def _fitting_jobs(jobs: int | None, sizes: list[int]) -> int:
    """Return `jobs`, or without them the number of trials that fit into memory.

    Args:
        jobs: trials at the same time, or None.
        sizes: bytes that each trial needs, the largest first, which fits alone.

    Raises:
        MemoryError: `jobs` trials do not fit.
    """
    wanted = jobs or _usable_cores()
    totals = list(itertools.accumulate(sizes[:wanted]))  # of the largest trials
    available = available_memory()
    if available is None or totals[-1] <= available:
        return wanted
    fitting = max(1, sum(total <= available for total in totals))
    if jobs is None:
        return fitting
    raise MemoryError(
        f"{format_bytes(available)} of memory is available and {len(totals)} trials at the same time need "
        f"{format_bytes(totals[-1])}: lower jobs to {fitting}"
    )


def _usable_cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _check_scheduler(scheduler: object) -> None:
    """Check that Dask is installed and `scheduler` an address.

    Raises TypeError, ValueError or ImportError.
    """
    if not isinstance(scheduler, str):
        raise TypeError(
            f"scheduler must be the address of a Dask scheduler or None, got {short_repr(scheduler)}"
        )
    if not re.fullmatch(r"\w+://.+:\d+/?", scheduler):
        raise ValueError(f"scheduler must be an address such as tcp://host:8786, got {short_repr(scheduler)}")
    check_dask()
