"""Tests of the curves of sweeps over several environments, and their labels."""

import json
import warnings
from dataclasses import asdict

import pytest
from support.toy_tasks import LampTask, Masks

from herfast import BitFlip, GridWorld, LightsOut
from herfast.config import Config
from herfast.envs.adapters import as_goal_env
from herfast.plotting.env_labels import env_labels
from herfast.plotting.sweep_plots import plot_sweep
from herfast.plotting.trial_curves import trial_curves

OPEN = "...\n...\n..."
BENT = "..#\n...\n.#.\n.#."  # nine free cells, too


def rows(envs, presets=("fast",), **fields):
    """Return one row per environment and preset, with the settings of the preset."""
    sweep_rows = []
    for env in map(as_goal_env, envs):
        for preset in presets:
            config = Config.preset(preset, env, **fields)
            trial = {
                "cell": str(len(sweep_rows)),
                "n_bits": env.n_state_bits,
                "max_steps": env.max_steps,
                "preset": preset,
                "env": json.dumps(env.spec()),
            }
            results = {"greedy_success": 1.0, "updates": 400, "seconds": 1.0, "ended": "epochs"}
            sweep_rows.append({**trial, **asdict(config), **results})
    return sweep_rows


def labels(sweep_rows):
    """Return the label of each trial's curve, by ascending size."""
    return [trial.curve for trial in trial_curves(sweep_rows)]


def test_environments_of_one_size_are_named_without_the_fields_that_follow_from_them():
    """The preset sets ten fields by the proposed encoding and the step limit."""
    envs = [LightsOut(3, 3), LightsOut(3, 3, 2), GridWorld(OPEN, 20), BitFlip(9)]
    names = ["env LightsOut presses=None", "env LightsOut presses=2", "env GridWorld", "env BitFlip"]
    assert labels(rows(envs)) == names
    presets = ("paper", "fast")
    assert labels(rows(envs, presets)) == [f"preset {preset}, {env}" for env in names for preset in presets]


def test_an_environment_that_grows_is_one_curve():
    envs = [LightsOut(3, 3), BitFlip(9), LightsOut(4, 4), BitFlip(16), BitFlip(20)]
    pair = ["env LightsOut", "env BitFlip"]
    assert labels(rows(envs)) == [*pair, *pair, "env BitFlip"]


@pytest.mark.parametrize(
    "envs",
    [
        [BitFlip(9), BitFlip(16)],
        [LightsOut(3, 3), LightsOut(4, 4)],
        [GridWorld(OPEN), GridWorld(OPEN + ".")],
        [LightsOut(3, 3), BitFlip(16)],
    ],
)
def test_environments_are_not_named_where_each_size_has_one(envs):
    assert labels(rows(envs)) == ["preset fast"] * 2
    without_her = [{**row, "cell": f"{row['cell']} k0"} for row in rows(envs, k=0)]
    assert labels(rows(envs, k=4) + without_her) == ["HER, k = 4", "without HER"] * 2


def test_fields_that_differ_for_one_environment_are_named():
    envs = [LightsOut(3, 3), BitFlip(9)]
    others = [{**row, "cell": f"{row['cell']} 0.8"} for row in rows(envs, gamma=0.8)]
    assert labels(rows(envs, gamma=0.9) + others) == [
        f"env {env}, gamma {gamma}" for gamma in (0.9, 0.8) for env in ("LightsOut", "BitFlip")
    ]


def test_fields_that_follow_from_max_steps_are_not_named():
    envs = [BitFlip(200, max_steps) for max_steps in (50, 100)]
    by_limit = rows(envs)
    assert by_limit[0]["episodes_per_cycle"] != by_limit[1]["episodes_per_cycle"]
    assert labels(by_limit) == ["max_steps 50", "max_steps 100"]


def test_a_map_is_its_size_and_equal_sizes_are_numbered():
    other = BENT.replace("\n.#.\n.#.", "\n.#.\n#..")
    envs = [GridWorld(map) for map in (OPEN, BENT, other)]
    assert labels(rows(envs)) == [
        "env GridWorld map=3x3",
        "env GridWorld map=4x3",
        "env GridWorld map=4x3 (2)",
    ]


def test_long_values_are_cut_and_stay_different():
    goals = [list(range(30)), [*range(29), 0], [1]]
    specs = [json.dumps({"id": "Task", "goal": goal}) for goal in goals]
    cut = "Task goal=[0, 1, 2, 3, 4, 5..."
    found = env_labels([{"n_bits": 9, "env": spec} for spec in specs])
    assert found == [cut, f"{cut} (2)", "Task goal=[1]"]


def test_a_task_of_a_module_is_named_by_its_class():
    assert labels(rows([LampTask(), Masks(3, 3), BitFlip(3)])) == ["env LampTask", "env Masks", "env BitFlip"]
    ids = ["one.tasks:Maze", "two.tasks:Maze"]
    assert env_labels([{"n_bits": 9, "env": json.dumps({"id": id})} for id in ids]) == ["Maze", "Maze (2)"]


def test_a_parameter_that_only_some_have_is_named_for_those():
    assert labels(rows([BitFlip(4), BitFlip(4, goal="0101")])) == [
        "env BitFlip",
        "env BitFlip goal=0101",
    ]


def test_the_legend_of_four_environments_leaves_space_for_the_plots(tmp_path):
    """Matplotlib warns if axes collapse beside a wide legend."""
    envs = [LightsOut(3, 3), LightsOut(3, 3, 2), GridWorld(OPEN), BitFlip(9)]
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="constrained_layout not applied")
        assert len(plot_sweep(rows(envs), tmp_path)) == 8
