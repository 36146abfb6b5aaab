"""Plan of a sweep: values of its arguments, jobs that fit into memory."""

import os
import random
from typing import NamedTuple

import numpy as np
import pytest
from support.trials import TRIAL_SETTINGS, plan

import herfast
from herfast import BitFlip
from herfast.cli import main
from herfast.dqn import memory_budget
from herfast.envs import registry
from herfast.experiments import sweep, sweep_plan

SEVERAL = [
    ("n_bits", [10, 20, 30], range(10, 40, 10)),
    ("n_bits", [10, 20], (10, 20)),
    ("n_bits", [10, 20], np.array([10, 20], np.int32)),
    ("n_bits", [10, 20], [np.int64(10), np.int64(20)]),
    ("n_bits", [10], np.array(10)),
    ("k", [1, 4], (1, 4)),
    ("k", [0, 1, 2], range(3)),
    ("gamma", [0.5], 0.5),
    ("gamma", [0.5, 0.75], np.array([0.5, 0.75], np.float32)),
    ("learning_rate", [0.001, 0.01], np.geomspace(1e-3, 1e-2, 2)),
    ("until", [None, 0.5], (None, 0.5)),
    ("double_q", [True, False], np.array([True, False])),
    ("strategy", ["final", "future"], ("final", "future")),
    ("strategy", ["final", "future"], np.array(["final", "future"])),
    ("preset", ["notebook", "paper"], ("notebook", "paper")),
    ("preset", ["notebook"], "notebook"),
    ("hidden", [(256, 128)], (256, 128)),
    ("hidden", [(256,), (256, 128)], ((256,), (256, 128))),
    ("hidden", [(256,), (256, 128)], [[256], [256, 128]]),
    ("hidden", [(8, 4), (16, 8)], np.array([[8, 4], [16, 8]])),
]


def planned(name, value):
    arguments = {"n_bits": 3, **TRIAL_SETTINGS, name: value}
    return plan(arguments.pop("n_bits"), **arguments)


@pytest.mark.parametrize(("name", "listed", "value"), SEVERAL)
def test_tuples_ranges_and_arrays_are_several_values_as_lists_are(name, listed, value):
    trials = planned(name, value)
    assert len(trials) == len(listed)
    assert [trial.description for trial in trials] == [trial.description for trial in planned(name, listed)]


@pytest.mark.parametrize("several", [list, tuple, lambda envs: np.array(envs, object)])
def test_environments_may_be_in_a_list_tuple_or_array(several):
    envs = [BitFlip(3), {"id": "BitFlip", "n_bits": 4, "max_steps": 4}]
    assert [env.n_bits for env in sweep_plan.sweep_envs(None, None, several(envs))] == [3, 4]


class Flips(NamedTuple):
    """Environment that is a named tuple."""

    n_bits: int

    def spec(self):
        return {"id": "Flips", "n_bits": self.n_bits}

    def __getattr__(self, name):
        return getattr(BitFlip(self.n_bits), name)


def test_an_environment_that_is_a_named_tuple_is_one_value(monkeypatch):
    monkeypatch.setitem(registry._REGISTRY, "Flips", Flips)
    assert sweep_plan.sweep_envs(None, None, Flips(5)) == [Flips(5)]


@pytest.mark.parametrize(
    ("name", "value"),
    [("k", {1, 2}), ("k", iter([1, 2])), ("n_bits", {4: 5}), ("preset", frozenset()), ("hidden", {(8,)})],
)
def test_other_collections_are_rejected(name, value):
    message = f"^{name} must be one value, or a list, tuple, range or array of values, got "
    with pytest.raises(TypeError, match=message):
        planned(name, value)


@pytest.mark.parametrize("value", [[], range(0), np.array([])])
def test_no_values_are_rejected(value):
    with pytest.raises(ValueError, match=r"^k must have at least one value, got "):
        planned("k", value)


@pytest.mark.parametrize("value", [(), (256, 0.5), (0, 8)])
def test_a_tuple_of_invalid_widths_is_one_invalid_network(value):
    with pytest.raises((TypeError, ValueError), match=r"^hidden must be "):
        planned("hidden", value)


def needed(**fields):
    (trial,) = plan(20, **fields)
    return sum(memory_budget.estimate_memory(trial.env, trial.config).values())


@pytest.fixture
def available(monkeypatch):
    """A function that sets the available memory."""

    def set_memory(size):
        for module in (memory_budget, sweep_plan):
            monkeypatch.setattr(module, "available_memory", lambda: size)

    return set_memory


CAPACITIES = [10_000, 20_000, 30_000, 40_000, 50_000]


def jobs_for(folder, jobs=None, scheduler=None):
    order = random.Random(0).sample(CAPACITIES, 5)
    return sweep_plan.check_jobs(jobs, scheduler, plan(20, capacity=order), folder)


def test_the_largest_trials_must_fit_into_memory_together(available, tmp_path):
    two = needed(capacity=50_000) + needed(capacity=40_000)
    available(two)
    assert jobs_for(tmp_path, 1) == 1
    assert jobs_for(tmp_path, 2) == 2
    message = (
        r"^[\d.]+ MB of memory is available and 3 trials at the same time need [\d.]+ MB: lower jobs to 2$"
    )
    with pytest.raises(MemoryError, match=message):
        jobs_for(tmp_path, 3)
    with pytest.raises(MemoryError, match="and 5 trials at the same time need"):
        jobs_for(tmp_path, 1024)
    available(two - 1)
    with pytest.raises(MemoryError, match=r"2 trials at the same time .*: lower jobs to 1$"):
        jobs_for(tmp_path, 2)
    available(needed(capacity=50_000) - 1)
    for jobs in (None, 1, 2):
        with pytest.raises(MemoryError, match=r"the agent needs .* for the replay buffer: lower capacity$"):
            jobs_for(tmp_path, jobs)


def test_by_default_there_are_as_many_jobs_as_fit_and_cores(available, tmp_path, monkeypatch):
    monkeypatch.setattr(sweep_plan.os, "sched_getaffinity", lambda pid: {0, 2, 5}, raising=False)
    for memory, jobs in ((2**40, 3), (None, 3), (needed(capacity=50_000) + needed(capacity=40_000), 2)):
        available(memory)
        assert jobs_for(tmp_path) == jobs
    available(needed(capacity=50_000))
    assert jobs_for(tmp_path) == 1
    monkeypatch.delattr(sweep_plan.os, "sched_getaffinity")  # as on macOS
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    available(None)
    assert jobs_for(tmp_path) == 2


def test_a_scheduler_needs_no_memory_here(available, tmp_path):
    available(0)
    assert jobs_for(tmp_path, scheduler="tcp://127.0.0.1:1") == 0


def test_jobs_and_a_scheduler_exclude_each_other(tmp_path, capsys):
    message = "jobs is for trials on this machine, got 2 with a scheduler: "
    with pytest.raises(ValueError, match=f"^{message}"):
        jobs_for(tmp_path, 2, "tcp://127.0.0.1:1")
    flags = ["--n-bits", "3", "--jobs", "2", "--scheduler", "tcp://127.0.0.1:1", "--out", str(tmp_path)]
    assert main.main(["sweep", *flags]) == 2
    assert message in capsys.readouterr().err


def test_nothing_is_written_if_the_trials_do_not_fit(available, tmp_path, capsys):
    available(2 * needed() - 1)
    settings = {**TRIAL_SETTINGS, "seeds": 2, "jobs": 2}
    with pytest.raises(MemoryError, match=r"lower jobs to 1$"):
        herfast.sweep(20, out=tmp_path / "new", **settings)
    assert not (tmp_path / "new").exists()
    available(10_000)
    assert main.main(["sweep", "--n-bits", "20", "--out", str(tmp_path / "new")]) == 2
    assert "10 kB of memory is available and the agent needs " in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_finished_trials_need_no_memory(available, tmp_path):
    rows = herfast.sweep(4, out=tmp_path, seeds=2, **TRIAL_SETTINGS)
    available(0)
    assert herfast.sweep(4, out=tmp_path, seeds=2, jobs=2, **TRIAL_SETTINGS) == rows


def test_seed_is_rejected_in_favour_of_seeds(tmp_path):
    message = r"^seed is not an argument of a sweep, got 3: use seeds, the number of seeds 0, 1, \.\.\.$"
    with pytest.raises(TypeError, match=message):
        herfast.sweep(2, out=tmp_path / "new", seed=3, **TRIAL_SETTINGS)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("name", ["seed", "callback", "total_timesteps", "checkpoint_every", "n_envs"])
def test_arguments_of_other_calls_are_not_ignored(name, tmp_path):
    with pytest.raises(TypeError, match=name):
        herfast.sweep(2, out=tmp_path, **{name: 1}, **TRIAL_SETTINGS)


def test_run_trials_is_given_the_jobs_that_fit(available, tmp_path, monkeypatch):
    available(needed(capacity=50_000))
    given = []
    monkeypatch.setattr(sweep, "run_trials", lambda trials, out, jobs, *_: given.append(jobs))
    herfast.sweep(20, out=tmp_path, **{**TRIAL_SETTINGS, "capacity": CAPACITIES})
    assert given == [1]
