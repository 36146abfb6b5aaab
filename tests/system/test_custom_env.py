"""Custom environments: training, evaluation, files, sweeps, diagnosis."""

import json
import shutil
from dataclasses import asdict

import numpy as np
import pytest
from support.toy_env import Lamps

import herfast
from herfast import Agent, BitFlip
from herfast.cli.main import main
from herfast.dqn.diagnosis import Diagnosis
from herfast.envs import registry
from herfast.experiments.run import PLOT_FILES
from herfast.experiments.sweep import plan_trials, sweep_envs
from herfast.plotting.trial_curves import trial_curves

SETTINGS = {"hidden": (64,), "cycles_per_epoch": 10, "updates_per_cycle": 20, "strategy": "future"}


@pytest.fixture(autouse=True)
def register_lamps(monkeypatch):
    """Register the environment for the duration of a test."""
    monkeypatch.setattr(registry, "_REGISTRY", dict(registry._REGISTRY))
    herfast.register_env("Lamps", Lamps)


@pytest.fixture(scope="module")
def trained():
    return Agent(Lamps(), "notebook", 0, **SETTINGS).learn(6)


def test_training_and_evaluation(trained):
    untrained = Agent(Lamps(), "notebook", 0, **SETTINGS)
    assert trained.evaluate(200, seed=1).success_rate > 0.95 > untrained.evaluate(200, seed=1).success_rate
    action, _ = trained.predict({"observation": [0, 0, 0], "desired_goal": [1, 0]})
    assert action == 0


def test_loaded_agents_continue_equally(trained, tmp_path):
    trained.save(tmp_path / "agent", replay=True)
    loaded = Agent.load(tmp_path / "agent")
    assert (loaded.env, loaded.preset) == (Lamps(), "notebook")
    for agent in (again := Agent.load(tmp_path / "agent")), loaded:
        agent.learn(1)
    for name, array in again.network.parameters().items():
        np.testing.assert_array_equal(array, loaded.network.parameters()[name])


def test_a_file_of_an_unregistered_environment_is_rejected(trained, tmp_path, monkeypatch):
    trained.save(tmp_path / "agent")
    monkeypatch.setattr(registry, "_REGISTRY", {"BitFlip": BitFlip})
    start = (
        r"cannot be loaded without env, as in Agent.load\(path, env=...\): the environment 'Lamps' is not "
    )
    with pytest.raises(ValueError, match=f"{start}registered, only 'BitFlip': see herfast.register_env, "):
        Agent.load(tmp_path / "agent")
    assert Agent.load(tmp_path / "agent", Lamps()).env == Lamps()


def test_sweep_and_commands(tmp_path, capsys):
    envs = [Lamps(), {"id": "Lamps", "max_steps": 9}]
    rows = herfast.sweep(env=envs, out=tmp_path, preset="notebook", k=[0, 1], epochs=2, **SETTINGS)
    assert len(rows) == 2 * 2 * 2
    assert {(row["n_bits"], row["max_steps"]) for row in rows} == {(3, 6), (3, 9)}
    assert {row["env"] for row in rows} == {json.dumps(Lamps(steps).spec()) for steps in (6, 9)}
    assert herfast.sweep(env=envs, out=tmp_path, preset="notebook", k=[0, 1], epochs=2, **SETTINGS) == rows
    assert main(["plot", str(tmp_path)]) == 0

    run = tmp_path / "run"
    shutil.copytree(tmp_path / rows[0]["cell"], run)
    agent = Agent(Lamps(), "notebook", 0, epochs=2, **SETTINGS).learn(1)
    agent.save(run / "checkpoint.safetensors", replay=True)
    assert main(["resume", str(run), "--epochs", "3"]) == 0
    assert all((run / name).exists() for name in PLOT_FILES)
    for command in ("eval", "play", "doctor"):
        assert main([command, str(run)]) == 0
    out = capsys.readouterr().out
    assert "2 lamps in at most" in out
    assert_columns_align(out)
    assert "action gap         unknown" in out


def assert_columns_align(out):
    """The states begin in one column, and a mark is below one of their bits."""
    lines = out.splitlines()
    steps = [n for n, line in enumerate(lines) if line.startswith("action ") and line.endswith(" to go")]
    assert steps
    for n in steps:
        assert lines[n][12] == " "
        assert set(lines[n][13:16]) <= {"0", "1"}
        assert 13 <= lines[n + 1].index("^") < 16


def test_one_sweep_covers_several_environments(tmp_path):
    rows = herfast.sweep(env=[BitFlip(2), Lamps()], out=tmp_path, preset="notebook", epochs=1, **SETTINGS)
    assert [json.loads(row["env"])["id"] for row in rows] == ["Lamps", "BitFlip"]
    assert herfast.sweep(2, out=tmp_path, preset="notebook", epochs=1, **SETTINGS) == rows[1:]


def test_an_unregistered_environment_is_not_swept(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "_REGISTRY", {"BitFlip": BitFlip})
    with pytest.raises(ValueError, match="the environment 'Lamps' is not registered"):
        herfast.sweep(env=Lamps(), out=tmp_path / "out")
    monkeypatch.setattr(registry, "_REGISTRY", {"Lamps": lambda max_steps: Lamps()})
    with pytest.raises(ValueError, match="make_env returns another for"):
        herfast.sweep(env=Lamps(9), out=tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_environments_of_equal_size_are_different_trials_and_curves(monkeypatch):
    """Only the id differs, not the label, the sizes or the parameters."""

    class Other(BitFlip):
        def spec(self):
            return {**super().spec(), "id": "Other"}

    herfast.register_env("Other", Other)
    envs = [BitFlip(3), Other(3)]
    trials = plan_trials(sweep_envs(None, None, envs), "fast", 1, {})
    assert len({trial.name for trial in trials}) == 2
    shared = {"cell": "", "ended": "epochs", "greedy_success": 1, "updates": 1, "seconds": 1, "n_bits": 3}
    rows = [
        {**asdict(trial.config), **shared, "cell": trial.name, "max_steps": 3, "preset": "fast"}
        | {"env": json.dumps(trial.env.spec())}
        for trial in trials
    ]
    assert {curve.curve for curve in trial_curves(rows)} == {"env BitFlip", "env Other"}


def test_diagnosis_without_known_optimal_actions(trained):
    diagnosis = trained.diagnose()
    assert isinstance(diagnosis, Diagnosis)
    assert np.isnan([diagnosis.action_gap, diagnosis.action_noise]).all()
    assert diagnosis.success_rate > 0.95


@pytest.mark.parametrize("missing", ["n_goal_bits", "step", "spec", "describe"])
def test_an_environment_without_a_required_member_is_rejected(missing):
    members = {
        name: value for name, value in vars(Lamps).items() if name != missing and not name.startswith("__")
    }
    env = type("Incomplete", (), {**members, "max_steps": 6})()
    with pytest.raises(
        TypeError, match=f"must have all members of herfast.GoalEnv, got .* without {missing}$"
    ):
        Agent(env)


@pytest.mark.parametrize("spec", [None, {"max_steps": 6}, {"id": 3}, {"id": "Lamps", "size": np.int64(3)}])
def test_an_environment_with_an_invalid_spec_is_rejected(spec, monkeypatch):
    monkeypatch.setattr(Lamps, "spec", lambda self: spec)
    with pytest.raises(
        TypeError, match=r"^env.spec\(\) must be a dict that JSON can hold, with a str as its id, got "
    ):
        Agent(Lamps())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "^either n_bits or env must be given, got n_bits=None, env=None$"),
        ({"n_bits": 3, "env": Lamps()}, "^either n_bits or env must be given, got n_bits=3, env=Lamps"),
        ({"env": Lamps(), "max_steps": 3}, "^max_steps needs n_bits, got 3 with env"),
        ({"env": []}, r"^env must have at least one value, got \[\]$"),
        (
            {"env": [{"id": "Maze"}]},
            "^the environment 'Maze' is not registered, only 'BitFlip', 'GridWorld', 'Gymnasium', 'Lamps', ",
        ),
        ({"env": 5}, "^env must be a BitFlip or .*, a herfast.GoalTask, .*, got 5$"),
    ],
)
def test_invalid_sweep_arguments_are_rejected_before_training(arguments, message, tmp_path):
    with pytest.raises((TypeError, ValueError), match=message):
        herfast.sweep(out=tmp_path / "out", **arguments)
    assert list(tmp_path.iterdir()) == []
