"""Tasks on booleans: training, files, runs and sweeps."""

import json
import pickle
import shutil
from dataclasses import dataclass

import numpy as np
import pytest
from support.files import read_tensors
from support.processes import run_python
from support.toy_tasks import Coins, LampTask, Masks

import herfast
from herfast import Agent, BitFlip
from herfast.common.tensor_file import write_tensors
from herfast.experiments.run import load_run
from herfast.experiments.sweep_plan import plan_trials, sweep_envs
from herfast.experiments.trial import train_trial, trial_rows

SETTINGS = {"hidden": (64,), "cycles_per_epoch": 10, "updates_per_cycle": 20, "strategy": "future"}
SMALL = {"preset": "notebook", "epochs": 2, **SETTINGS}


class LocalLamps(LampTask):
    """A task of a module that no other process can import."""


@pytest.fixture(scope="module")
def trained():
    return Agent(LampTask(), "notebook", 0, **SETTINGS).learn(6)


def test_training_and_evaluation(trained):
    untrained = Agent(LampTask(), "notebook", 0, **SETTINGS)
    assert trained.evaluate(200, seed=1).success_rate > 0.95 > untrained.evaluate(200, seed=1).success_rate
    action, _ = trained.predict({"observation": [0, 0, 0], "desired_goal": [1, 0]})
    assert action == 0
    assert trained.diagnose().success_rate > 0.95
    assert repr(trained).startswith("Agent(LampTask(max_steps=6), preset='notebook', seed=0) after ")


@pytest.mark.parametrize("env", [None, LampTask()])
def test_a_loaded_agent_continues_as_the_saved_one(env, trained, tmp_path):
    trained.save(tmp_path / "agent", replay=True)
    loaded, again = Agent.load(tmp_path / "agent", env), Agent.load(tmp_path / "agent")
    assert loaded.env.task == LampTask()
    for agent in (loaded, again):
        agent.learn(1)
    for name, array in again.network.parameters().items():
        np.testing.assert_array_equal(array, loaded.network.parameters()[name])


def load_error(path, *args, **kwargs):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the caller compares the message)
        Agent.load(path, *args, **kwargs)
    return str(caught.value)


def test_a_file_of_another_environment_is_rejected(trained, tmp_path):
    """The sizes of the first one are equal."""
    path = tmp_path / "agent"
    trained.save(path)
    spec = "{'id': 'support.toy_tasks:LampTask', 'max_steps': 6}"
    got = f"{path} was trained on {spec}, got {{'id': 'support.toy_tasks:Masks', 'n_state_bits': 3, 'n_goal_b"
    assert load_error(path, Masks(3, 2, 2, 6)).startswith(got)
    other = "{'id': 'support.toy_tasks:LampTask', 'max_steps': 7}"
    assert load_error(path, env=LampTask(7)) == f"{path} was trained on {spec}, got {other}"
    other = "{'id': 'BitFlip', 'n_bits': 3, 'max_steps': 3}"
    assert load_error(path, BitFlip(3), replay=False) == f"{path} was trained on {spec}, got {other}"


def test_environments_of_herfast_may_be_given_too(tmp_path):
    path = tmp_path / "agent"
    Agent(BitFlip(6), "notebook", **SETTINGS).save(path)
    assert Agent.load(path, BitFlip(6)).env == BitFlip(6)
    other = "{'id': 'BitFlip', 'n_bits': 6, 'max_steps': 7}"
    assert load_error(path, BitFlip(6, 7)).endswith(f"max_steps': 6}}, got {other}")


def test_an_object_that_is_no_environment_is_rejected(trained, tmp_path):
    trained.save(tmp_path / "agent")
    with pytest.raises(TypeError, match=r"^env must .*, got 3$"):
        Agent.load(tmp_path / "agent", 3)
    with pytest.raises(TypeError, match=r"^Local.size must be a JSON value"):
        Agent.load(tmp_path / "agent", local_task()((1, 2)))


def test_a_file_without_its_environment_holds_no_agent(trained, tmp_path):
    trained.save(tmp_path / "agent")
    tensors, metadata = read_tensors(tmp_path / "agent")
    del metadata["environment"]
    write_tensors(tmp_path / "agent", tensors, metadata)
    assert load_error(tmp_path / "agent", LampTask()).endswith("not hold an agent: 'environment' is missing")


def local_task():
    @dataclass(frozen=True)
    class Local(Coins):
        size: object = 3

    return Local


def test_a_task_that_cannot_be_imported_needs_env(tmp_path):
    path = tmp_path / "agent"
    task = local_task()()
    agent = Agent(task, "notebook", 0, **SETTINGS).learn(1)
    agent.save(path, replay=True)
    start = f"{path} cannot be loaded without env, as in Agent.load(path, env=...): the environment "
    message = load_error(path)
    assert message.startswith(start)
    assert message.endswith("in a script, a notebook or a function: put the class into a module")
    loaded = Agent.load(path, task)
    assert loaded.env.task is task
    assert loaded.learn(1).cycles == agent.cycles + 10


def test_a_task_whose_class_or_module_is_gone_needs_env(tmp_path, monkeypatch):
    path = tmp_path / "agent"
    Agent(LocalLamps(), "notebook", 0, **SETTINGS).save(path)
    monkeypatch.delitem(globals(), "LocalLamps")
    assert ": the environment " in load_error(path)
    assert load_error(path).endswith("has no attribute 'LocalLamps'")
    monkeypatch.setattr(Coins, "__module__", "no_coins")
    Agent(Coins(), "notebook", 0, **SETTINGS).save(path)
    assert load_error(path).endswith(
        " cannot be loaded without env, as in Agent.load(path, env=...): the environment 'no_coins:Coins' "
        "cannot be imported: ModuleNotFoundError: No module named 'no_coins'; start in the folder of the "
        "module, or install it"
    )
    assert type(Agent.load(path, Coins()).env.task) is Coins


COINS = """
import numpy as np
from herfast import Agent, GoalTask

class Coins(GoalTask):
    n_state_bits = n_goal_bits = n_actions = max_steps = 5

    def reset(self, rng, n_episodes):
        return (rng.integers(0, 2, (2, n_episodes, 5)) > 0)[0], np.zeros((n_episodes, 5), bool)

    def step(self, states, actions):
        return states ^ (actions[:, None] == np.arange(5))

"""
SCRIPT = """
if __name__ == "__main__":
    import herfast
    small = dict(hidden=(8,), episodes_per_cycle=2, updates_per_cycle=2, cycles_per_epoch=2, batch_size=4)
    Agent(Coins(), seed=0, **small).learn(1).save("agent", replay=True)
    print(Agent.load("agent", Coins()).cycles)
    for call in (lambda: Agent.load("agent"), lambda: herfast.sweep(env=Coins(), out="swept")):
        try:
            call()
        except ValueError as error:
            print(error)
"""
LOAD = """
from coins import Coins
from herfast import Agent
agent = Agent.load("agent", Coins())
print(agent.env.spec(), agent.cycles)
agent.save("agent")
print(Agent.load("agent").env.spec())
"""


def test_the_agent_of_a_script_is_loaded_where_its_module_is_imported(tmp_path):
    (tmp_path / "coins.py").write_text(COINS + SCRIPT)
    cannot = "the environment '__main__:Coins' cannot be imported, since its class is defined in a script, a "
    cannot += "notebook or a function: put the class into a module"
    assert run_python(COINS + SCRIPT, tmp_path).stdout.splitlines() == [
        "2",
        f"agent cannot be loaded without env, as in Agent.load(path, env=...): {cannot}",
        cannot,
    ]
    assert not (tmp_path / "swept").exists()
    spec = "{'id': 'coins:Coins'}"
    assert run_python(LOAD, tmp_path).stdout.splitlines() == [f"{spec} 2", spec]


def test_sweeps_and_runs(tmp_path):
    envs = [LampTask(), {"id": "support.toy_tasks:LampTask", "max_steps": 9}, Coins(), BitFlip(2)]
    rows = herfast.sweep(env=envs, out=tmp_path, **SMALL)
    assert len(rows) == 4 * 2
    assert [json.loads(row["env"])["id"].partition(":")[2] for row in rows[::2]] == [
        "Coins",
        "LampTask",
        "LampTask",
        "",
    ]
    assert herfast.sweep(env=envs, out=tmp_path, **SMALL) == rows  # finished trials are read
    run = tmp_path / "run"
    shutil.copytree(tmp_path / rows[2]["cell"], run)
    agent = Agent(LampTask(), seed=0, **SMALL).learn(1)
    agent.save(run / "checkpoint.safetensors", replay=True)
    assert load_run(run).env.task == LampTask()


def test_trials_of_tasks_can_be_sent_to_another_process(tmp_path):
    (trial,) = plan_trials(sweep_envs(None, None, LampTask()), "notebook", 1, {"epochs": 1, **SETTINGS})
    copy = pickle.loads(pickle.dumps(trial))
    assert copy.is_same(trial)
    assert copy.name.startswith("LampTask-6-notebook-k1-seed0-")
    folder = tmp_path / copy.name
    train_trial(copy, folder)
    assert len(trial_rows(folder)) == 1
