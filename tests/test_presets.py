"""Tests of the presets: all values, and how they depend on the environment."""

import dataclasses
from types import SimpleNamespace

import pytest

from herfast import Config

NOTEBOOK = {  # the bit-flip notebook; its buffer of 100,000 rows stores each transition twice
    "strategy": "final",
    "k": 1,
    "hidden": (256,),
    "gamma": 0.98,
    "double_q": True,
    "dueling": False,
    "clip_targets": False,
    "mask_terminal": True,
    "hindsight_bound": False,
    "advantage_gap": 0.0,
    "init": "dense",
    "encoding": "signed",
    "epsilon": "hyperbola",
    "epsilon_start": 1.0,
    "epsilon_end": 0.02,
    "epsilon_decay_steps": 500,
    "learning_rate": 1e-3,
    "learning_rate_end": None,
    "target_update": 40,
    "polyak": 0.0,
    "evaluate_with": "online",
    "batch_size": 128,
    "capacity": {20: 52_500, 50: 51_000},
    "episodes_per_cycle": 16,
    "updates_per_cycle": 40,
    "cycles_per_epoch": 50,
    "epochs": 6,
    "until": None,
}
PAPER = {  # Andrychowicz et al. 2017, section 3.1 and appendix A
    **NOTEBOOK,
    "double_q": False,
    "clip_targets": True,
    "mask_terminal": False,
    "epsilon": "constant",
    "epsilon_start": 0.2,
    "polyak": 0.95,
    "evaluate_with": "target",
    "capacity": 1_000_000,
    "epochs": 200,
}
FAST = {
    **NOTEBOOK,
    "strategy": "future",
    "hidden": {20: (192,), 50: (448,)},
    "gamma": 0.999,
    "hindsight_bound": True,
    "advantage_gap": 0.5,
    "init": "sparse",
    "epsilon": "constant",
    "epsilon_start": 0.5,
    "target_update": 10,
    "learning_rate": {20: 4e-3, 50: 2e-3},
    "learning_rate_end": 2e-5,
    "learning_rate_decay_updates": 15_000,
    "capacity": 200_000,
    "episodes_per_cycle": 64,
    "cycles_per_epoch": 2,
    "epochs": 500,
    "until": 0.99,
}


FAST_BINARY = {
    **FAST,
    "encoding": "binary",
    "hidden": (128, 256),
    "learning_rate": 4e-3,
    "learning_rate_end": 4e-4,
    "learning_rate_decay_updates": 20_000,
    "episodes_per_cycle": {20: 256, 50: 128},
    "cycles_per_epoch": 10,
    "until": 0.995,
}


def env_of_size(n_bits, max_steps=None):
    return SimpleNamespace(n_state_bits=n_bits, max_steps=max_steps or n_bits)


@pytest.mark.parametrize("n_bits", [20, 50])
@pytest.mark.parametrize(("name", "expected"), [("notebook", NOTEBOOK), ("paper", PAPER), ("fast", FAST)])
def test_presets_set_these_values(name, expected, n_bits):
    values = dataclasses.asdict(Config.preset(name, env_of_size(n_bits)))
    expected = {
        field: value[n_bits] if isinstance(value, dict) else value for field, value in expected.items()
    }
    assert {field: values[field] for field in expected} == expected
    assert values.keys() - expected.keys() <= {"learning_rate_decay_updates"}  # unused without decay


@pytest.mark.parametrize("name", ["notebook", "paper", "fast"])
def test_presets_use_the_encoding_that_the_environment_proposes(name):
    for encoding in ("signed", "binary"):
        env = SimpleNamespace(n_state_bits=9, max_steps=9, encoding=encoding)
        assert Config.preset(name, env).encoding == encoding
        assert Config.preset(name, env, encoding="signed").encoding == "signed"


@pytest.mark.parametrize("n_bits", [20, 50])
def test_fast_sets_these_values_for_binary_inputs(n_bits):
    env = SimpleNamespace(n_state_bits=n_bits, max_steps=n_bits, encoding="binary")
    values = dataclasses.asdict(Config.preset("fast", env))
    assert values == {
        field: value[n_bits] if isinstance(value, dict) else value for field, value in FAST_BINARY.items()
    }


def test_the_defaults_are_the_notebook_at_20_bits():
    assert Config() == Config.preset("notebook", env_of_size(20))


@pytest.mark.parametrize("name", ["notebook", "paper", "fast"])
@pytest.mark.parametrize("n_bits", [1, 2, 100, 65_535])
def test_the_capacity_of_presets_holds_an_episode_of_any_size(name, n_bits):
    assert Config.preset(name, env_of_size(n_bits)).capacity > n_bits
    assert Config.preset(name, env_of_size(n_bits, max_steps=65_535)).capacity > 65_535


@pytest.mark.parametrize(
    ("n_bits", "max_steps", "hidden", "learning_rate", "decay", "episodes", "cycles"),
    [
        (1, 1, 128, 4e-3, 15_000, 64, 2),
        (21, 21, 192, 4e-3, 15_000, 64, 2),
        (50, 100, 448, 2e-3, 15_000, 32, 2),
        (100, 100, 832, 1e-3, 15_000, 32, 5),
        (128, 128, 1024, 0.1 / 128, 19_200, 32, 6),
        (256, 256, 2048, 0.1 / 256, 38_400, 32, 12),
        (65_535, 65_535, 4096, 2e-5, 9_830_250, 32, 3_276),
    ],
)
def test_fast_depends_on_the_size(n_bits, max_steps, hidden, learning_rate, decay, episodes, cycles):
    config = Config.preset("fast", env_of_size(n_bits, max_steps))
    assert config.hidden == (hidden,)
    assert (config.learning_rate, config.learning_rate_decay_updates) == (learning_rate, decay)
    assert (config.episodes_per_cycle, config.cycles_per_epoch) == (episodes, cycles)


def test_fields_override_a_preset():
    config = Config.preset("paper", env_of_size(20), k=4, strategy="future", hidden=[8])
    assert config == dataclasses.replace(
        Config.preset("paper", env_of_size(20)), k=4, strategy="future", hidden=(8,)
    )
    with pytest.raises(ValueError, match=r"^gamma must be in"):
        Config.preset("paper", env_of_size(20), gamma=1)
    with pytest.raises(ValueError, match="hindsight_bound"):
        Config.preset("fast", env_of_size(20), mask_terminal=False)


def test_unknown_presets_and_fields_raise_with_their_name():
    with pytest.raises(ValueError, match="preset must be one of 'fast', 'paper', 'notebook', got 'Fast'"):
        Config.preset("Fast", env_of_size(20))
    with pytest.raises(
        TypeError, match="'learning_rates' is not a field of Config; the fields are strategy, k, "
    ):
        Config.preset("fast", env_of_size(20), learning_rates=1e-3)
