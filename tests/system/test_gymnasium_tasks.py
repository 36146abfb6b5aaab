"""Agents on Gymnasium environments: training, files, resuming and sweeps."""

import json
import pickle
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from support.gym_tasks import KINDS, Maze, Pit, make
from support.processes import run_python

import herfast
from herfast import Agent, GymnasiumTask, make_env
from herfast.envs.registry import env_label

SETTINGS = {"hidden": (16,), "episodes_per_cycle": 6, "updates_per_cycle": 4, "batch_size": 32}
SETTINGS |= {"cycles_per_epoch": 2, "strategy": "future", "k": 4, "capacity": 70_000}
MODES = [(None, None), *((n_envs, mode) for n_envs in (1, 3) for mode in AutoresetMode)]


def task_of(name, n_envs=None, mode=None, **options):
    return GymnasiumTask(make(name, n_envs, mode), copy_info_dict=name == "Toll", **options)


def contents(agent):
    """Return all that training changes, in comparable form."""
    arrays = {**agent.network.parameters(), **agent.history, **agent.replay.state_dict()}
    del arrays["seconds"]
    return {name: array.tobytes() for name, array in arrays.items()}, agent.streams.state_dict()


@pytest.mark.parametrize(("n_envs", "mode"), MODES)
@pytest.mark.parametrize("name", KINDS)
def test_a_resumed_agent_equals_one_that_was_never_stopped(name, n_envs, mode, tmp_path):
    whole = Agent(task_of(name, n_envs, mode), "notebook", 0, **SETTINGS).learn(2)
    begun = Agent(task_of(name, n_envs, mode), "notebook", 0, **SETTINGS).learn(1)
    begun.save(tmp_path / "agent", replay=True)
    begun.learn(1)  # of which the resumed one knows nothing
    resumed = Agent.load(tmp_path / "agent")
    assert (resumed.env.num_envs, resumed.cycles) == (n_envs or 1, 2)
    assert contents(resumed.learn(1)) == contents(whole)
    assert resumed.evaluate(2, seed=1) == whole.evaluate(2, seed=1)


@pytest.mark.parametrize("name", KINDS)
def test_history_holds_the_successes_and_rewards_of_the_environment(name):
    agent = Agent(task_of(name, 3, AutoresetMode.SAME_STEP), "notebook", 0, **SETTINGS).learn(2)
    records = agent.replay.records[: agent.replay.cursor[1], -1]
    ends = (records >> np.uint64(48))[(records >> np.uint64(32)) & np.uint64(0xFFFF) == 1]
    assert len(ends) == agent.episodes
    assert agent.history["success"].mean() == pytest.approx(((ends & np.uint64(2)) > 0).mean())
    low, high = {"Lock": (-0.25 * 7, 70), "Toll": (-1.5 * 20, 0)}.get(name, (-agent.env.max_steps, 0))
    assert ((low <= agent.history["return"]) & (agent.history["return"] <= high)).all()
    if name == "Lock":
        assert not (ends & np.uint64(1)).any()  # truncated
    result = agent.evaluate(50, seed=0)
    assert low <= result.mean_return <= high
    assert 0 <= result.success_rate <= 1


def test_async_sub_environments_play_as_synchronous_ones():
    results = []
    for mode in ("sync", "async"):
        env = make("Climb", 2, AutoresetMode.DISABLED, mode)
        agent = Agent(env, "notebook", 0, **SETTINGS).learn(1)
        results.append(contents(agent))
        assert agent.env.spec()["vector"]["vectorization_mode"] == mode
        env.close()
    assert results[0] == results[1]


def test_training_solves_a_small_task():
    """The pit ends an episode without success, which must not look like success."""
    settings = {**SETTINGS, "hidden": (64,), "updates_per_cycle": 20, "cycles_per_epoch": 10}
    agent = Agent(
        GymnasiumTask(make("Pit"), deterministic=True), "notebook", 0, hindsight_bound=True, **settings
    )
    assert agent.learn(4).evaluate(100, seed=0).success_rate == 1


def test_diagnosis():
    assert "unknown" in str(Agent(task_of("Lock"), "notebook", 0, **SETTINGS).learn(1).diagnose())
    found = Agent(task_of("Pit"), "notebook", 0, **SETTINGS).learn(1).diagnose()
    assert found.q_floor == pytest.approx(-50)
    assert 0 <= found.success_rate <= 1


def test_no_revisit_is_rejected():
    with pytest.raises(
        TypeError, match=r"^no_revisit needs an environment that steps from any state, got Gymn"
    ):
        Agent(task_of("Pit"), "notebook", 0, **SETTINGS).evaluate(3, no_revisit=True)


def test_the_progress_bar_shows_the_share_of_the_environment(capfd):
    Agent(task_of("Pit"), "notebook", 0, **SETTINGS).learn(1, progress_bar=True)
    assert ", env " in capfd.readouterr().err


# --- files ---


@pytest.mark.parametrize(
    "build",
    [
        lambda: make("Lock", limit=3),
        lambda: gymnasium.make("tests/Pit-v0", max_episode_steps=4),
        lambda: make("Pit").unwrapped,
        lambda: make("Lock", 2, AutoresetMode.SAME_STEP, limit=3),
        lambda: make("Pit", 2),
        lambda: make("Pit", 3, AutoresetMode.DISABLED, max_episode_steps=4),
    ],
)
def test_a_spec_builds_an_equal_task(build):
    task = GymnasiumTask(build(), deterministic=True, terminated_from_goal=False)
    for copy in (make_env(json.loads(json.dumps(task.spec()))), pickle.loads(pickle.dumps(task))):
        assert copy.spec() == task.spec()
        assert (copy.max_steps, copy.num_envs, copy.deterministic) == (task.max_steps, task.num_envs, True)
        assert copy.env.metadata.get("autoreset_mode") == task.env.metadata.get("autoreset_mode")


def without_id():
    return gymnasium.wrappers.TimeLimit(Pit(), 20)


WITHOUT_ID = {
    "class": without_id,
    "wrapper": lambda: gymnasium.wrappers.RecordEpisodeStatistics(make("Pit")),
    "vector": lambda: SyncVectorEnv([without_id] * 2),
    "vector wrapper": lambda: gymnasium.wrappers.vector.RecordEpisodeStatistics(make("Pit", 2)),
    "argument": lambda: make("Maze", rows=("#####", "#   #", "#####")),
}


@pytest.mark.parametrize("name", WITHOUT_ID)
def test_an_environment_without_an_id_is_given_to_load(name, tmp_path):
    agent = Agent(WITHOUT_ID[name](), "notebook", 0, **SETTINGS).learn(1)
    agent.save(tmp_path / "agent", replay=True)
    with pytest.raises(
        ValueError, match=r"cannot be loaded without env, as in Agent.load\(path, env=\.\.\.\): th"
    ):
        Agent.load(tmp_path / "agent")
    loaded = Agent.load(tmp_path / "agent", env=WITHOUT_ID[name]())
    assert contents(loaded.learn(1)) == contents(agent.learn(1))
    with pytest.raises(ValueError, match=r"was trained on .*, got .*"):
        Agent.load(tmp_path / "agent", env=make("Climb"))
    with pytest.raises(ValueError, match=r"was made without a Gymnasium id$"):
        herfast.sweep(env=agent.env, out=tmp_path / "swept", **SETTINGS)
    assert not (tmp_path / "swept").exists()


def test_an_agent_of_several_sub_environments_may_continue_with_one(tmp_path):
    Agent(make("Pit", 3), "notebook", 0, **SETTINGS).learn(1).save(tmp_path / "agent", replay=True)
    loaded = Agent.load(tmp_path / "agent", env=make("Pit")).learn(1)
    assert (loaded.env.num_envs, loaded.cycles) == (1, 4)


def test_another_size_than_that_of_the_file_is_rejected():
    spec = GymnasiumTask(make("Pit")).spec()
    with pytest.raises(
        ValueError, match=r"^tests/Pit-v0 must have the sizes \[6, 5, 2, 20\], got \[5, 5, 2, 20\]$"
    ):
        make_env({**spec, "sizes": [6, 5, 2, 20]})
    with pytest.raises(ValueError, match=r"^Gymnasium does not know the environment 'tests/Gone-v0': "):
        make_env({**spec, "env": "tests/Gone-v0"})


PARAMETERS = {
    "no env": ({}, r"^env must be the id of a Gymnasium environment, got None$"),
    "env": ({"env": 5}, r"^env must be the id of a Gymnasium environment, got 5$"),
    "kwargs": (
        {"env": "tests/Lock-v0", "kwargs": 5},
        r"^kwargs must be a dict of arguments of tests/Lock-v0, got 5$",
    ),
    "argument": (
        {"env": "tests/Lock-v0", "limit": 5},
        r"^'limit' is not a parameter of 'Gymnasium': arguments of the environment itself go into kwargs$",
    ),
    "option": (
        {"env": "tests/Lock-v0", "deterministic": 5},
        r"^deterministic must be True or False, got 5$",
    ),
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_invalid_parameters_of_a_spec_are_rejected(name):
    parameters, message = PARAMETERS[name]
    with pytest.raises(TypeError, match=message):
        Agent("Gymnasium", env_kwargs=parameters)


LOAD = """
import sys
sys.path.append({folder!r})
from herfast import Agent
agent = Agent.load("agent")
print(agent.env.spec()["env"], agent.learn(1).cycles)
"""


def test_an_id_with_a_module_is_loaded_in_another_process(tmp_path):
    module = "support.gym_tasks:tests/Lock-v0"
    agent = Agent(module, "notebook", 0, env_kwargs={"limit": 3}, **SETTINGS).learn(1)
    assert agent.env.spec()["kwargs"] == {"limit": 3}
    agent.save(tmp_path / "agent", replay=True)
    assert run_python(LOAD.format(folder=str(Path(__file__).parents[1])), tmp_path).stdout == f"{module} 4\n"


def test_sweeps_train_an_environment_for_each_trial(tmp_path):
    settings = {**SETTINGS, "epochs": 1, "preset": "notebook"}
    task = GymnasiumTask(make("Pit"))
    rows = herfast.sweep(env=task, out=tmp_path, seeds=3, jobs=3, **settings)
    assert len(rows) == 3
    assert {row["env"] for row in rows} == {json.dumps(task.spec())}
    for seed, row in enumerate(sorted(rows, key=lambda row: row["cell"])):
        alone = Agent(GymnasiumTask(make("Pit")), seed=seed, threads=1, **settings).learn(1)
        assert row["env_steps"] == alone.env_steps
        assert row["success"] == pytest.approx(alone.history["success"].mean())
    assert herfast.sweep(env=task, out=tmp_path, seeds=3, **settings) == rows
    assert env_label(task) == "tests-Pit-v0"


def test_infos_that_files_cannot_hold_are_rejected():
    class Note(Maze):
        def info(self, reward):
            return {"note": object()}

    with pytest.raises(TypeError, match=r"^copy_info_dict=True needs infos of numbers, .* as 'note'$"):
        GymnasiumTask(gymnasium.wrappers.TimeLimit(Note(), 9), copy_info_dict=True)
