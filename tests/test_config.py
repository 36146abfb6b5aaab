"""Tests of Config: accepted and rejected values, error messages, and schedules."""

import dataclasses
import json
import math
import typing

import numpy as np
import pytest

from herfast import Config

NAN = math.nan
INF = math.inf
CHOICES = {
    "strategy": ("future", "final", "episode", "random"),
    "init": ("dense", "sparse"),
    "encoding": ("signed", "binary"),
    "epsilon": ("constant", "hyperbola", "linear"),
    "evaluate_with": ("online", "target"),
}
INTEGERS = {
    "k": (0, 1_000_000),
    "epsilon_decay_steps": (1, 2**62),
    "learning_rate_decay_updates": (1, 2**62),
    "target_update": (1, 2**62),
    "batch_size": (1, 2**24),
    "capacity": (2, 2**40),
    "episodes_per_cycle": (1, 2**24),
    "updates_per_cycle": (1, 2**24),
    "cycles_per_epoch": (1, 2**40),
    "epochs": (1, 2**40),
}
REALS = {  # interval, accepted values at its ends, rejected values at its ends
    "gamma": ("[0, 1)", (0, 0.0, math.nextafter(1, 0)), (-1e-300, 1, 1.0)),
    "advantage_gap": ("[0, 1)", (0.0, math.nextafter(1, 0)), (-1e-300, 1.0)),
    "polyak": ("[0, 1)", (0.0, math.nextafter(1, 0)), (-1e-300, 1.0)),
    "epsilon_start": ("[0, 1]", (0.0, 1, 1.0), (-1e-300, math.nextafter(1, 2))),
    "epsilon_end": ("[0, 1]", (0.0, 1, 1.0), (-1e-300, math.nextafter(1, 2))),
    "learning_rate": ("(0, 1]", (5e-324, 1, 1.0), (0, 0.0, -0.1, math.nextafter(1, 2))),
    "learning_rate_end": ("(0, 1]", (None, 5e-324, 1, 1.0), (0, 0.0, -0.1, math.nextafter(1, 2))),
    "until": ("(0, 1]", (None, 5e-324, 1, 1.0), (0, 0.0, -0.1, math.nextafter(1, 2))),
}
BOOLEANS = ("double_q", "dueling", "clip_targets", "mask_terminal", "hindsight_bound")
GOOD = [
    *((name, value) for name, values in CHOICES.items() for value in values),
    *((name, value) for name, (low, high) in INTEGERS.items() for value in (low, low + 1, high)),
    *((name, value) for name, (_, inside, _) in REALS.items() for value in inside),
    *((name, value) for name in BOOLEANS for value in (True, False)),
    *(("hidden", value) for value in ((1,), (65_536,), (256, 33), (1,) * 8)),
]
BAD = [
    *(
        (n, v, ValueError, ", ".join(map(repr, CHOICES[n])))
        for n in CHOICES
        for v in ("", "Future", None, 3, True)
    ),
    *(
        (n, v, ValueError, f"{a:,} to {z:,}")
        for n, (a, z) in INTEGERS.items()
        for v in (a - 1, -1, z + 1, 10**30)
    ),
    *(
        (n, v, TypeError, f"{a:,} to {z:,}")
        for n, (a, z) in INTEGERS.items()
        for v in (True, np.True_, 3.0, np.float64(3), NAN, INF, "3", None, [3])
    ),
    *(
        (n, v, ValueError, text)
        for n, (text, _, outside) in REALS.items()
        for v in (*outside, NAN, INF, -INF, 10**30)
    ),
    *(
        (n, v, TypeError, text)
        for n, (text, _, _) in REALS.items()
        for v in (True, np.True_, "0.5", [0.5], 0.5j)
    ),
    *((n, None, TypeError, text) for n, (text, allowed, _) in REALS.items() if None not in allowed),
    *((n, v, TypeError, "True or False") for n in BOOLEANS for v in (1, 0, 0.0, "true", None, [True])),
    *(("hidden", v, TypeError, "1 to 8") for v in (256, None, "256", {256}, 256.0)),
    *(("hidden", v, ValueError, "1 to 8") for v in ((), (8,) * 9)),
    *(("hidden", (8, v), ValueError, "1 to 65,536") for v in (0, -1, 65_537)),
    *(("hidden", (8, v), TypeError, "1 to 65,536") for v in (True, 8.0, "8", None, NAN, (8,))),
]


def test_every_field_is_tested_and_annotated():
    fields = {field.name for field in dataclasses.fields(Config)}
    assert fields == {*CHOICES, *INTEGERS, *REALS, *BOOLEANS, "hidden"}
    assert fields == typing.get_type_hints(Config).keys()


@pytest.mark.parametrize(("name", "value"), GOOD)
def test_values_in_range_are_accepted(name, value):
    assert getattr(Config(**{name: value}), name) == value


@pytest.mark.parametrize(("name", "value", "error", "allowed"), BAD)
def test_other_values_raise_with_field_value_and_range(name, value, error, allowed):
    with pytest.raises(error) as caught:
        Config(**{name: value})
    message = str(caught.value)
    wrong = value
    if isinstance(value, tuple) and len(value) == 2:
        wrong = value[1]
    texts = {str(wrong), repr(wrong)}
    if type(wrong) is int:
        texts.add(f"{wrong:,}")
    assert message.startswith(f"{name} must be ")
    assert allowed in message
    assert any(message.endswith(f", got {text}") for text in texts if text)
    assert "\n" not in message


def test_fields_cannot_be_assigned_or_given_by_position():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().gamma = 0.5
    with pytest.raises(TypeError):
        Config("final")


def test_configs_are_equal_if_their_fields_are():
    assert Config(k=3) == Config(k=3) != Config(k=4)
    assert len({Config(k=3), Config(k=3), Config(hidden=[256])}) == 2


def test_lists_and_numpy_scalars_become_tuples_and_python_scalars():
    config = Config(
        hidden=[np.int64(64), 32],
        k=np.uint8(4),
        gamma=np.float64(0.9),
        polyak=np.float32(0.5),
        epsilon_start=1,
        until=np.float64(0.5),
        dueling=np.True_,
    )
    assert config == Config(
        hidden=(64, 32), k=4, gamma=0.9, polyak=0.5, epsilon_start=1.0, until=0.5, dueling=True
    )
    values = [config.hidden[0], config.k, config.gamma, config.polyak, config.epsilon_start, config.until]
    assert [type(value) for value in values] == [int, int, float, float, float, float]
    assert config.dueling is True
    assert Config(**json.loads(json.dumps(dataclasses.asdict(config)))) == config


def test_hindsight_bound_requires_mask_terminal():
    with pytest.raises(ValueError, match="hindsight_bound=True needs mask_terminal=True"):
        Config(hindsight_bound=True, mask_terminal=False)
    Config(hindsight_bound=True, mask_terminal=True)
    Config(hindsight_bound=False, mask_terminal=False)


# --- schedules ----------------------------------------------------------------------------------------------


STEPS = [0, 1, 2, 499, 500, 501, 999, 1000, 1001, 24_499, 24_500, 24_501, 10**6, 10**15]


@pytest.mark.parametrize("steps", STEPS)
def test_default_epsilon_is_that_of_the_notebook(steps):
    assert Config().epsilon_at(steps) == max(0.02, 1 / (steps / 500 + 1))


@pytest.mark.parametrize("steps", STEPS)
def test_epsilon_follows_its_schedule(steps):
    start = 0.8
    end = 0.1
    decay_steps = 1000
    settings = {"epsilon_start": start, "epsilon_end": end, "epsilon_decay_steps": decay_steps}
    assert Config(epsilon="constant", **settings).epsilon_at(steps) == start
    hyperbola = max(end, start * decay_steps / (steps + decay_steps))
    assert Config(epsilon="hyperbola", **settings).epsilon_at(steps) == pytest.approx(hyperbola, rel=1e-12)
    line = max(end, start - (start - end) * steps / decay_steps)
    assert Config(epsilon="linear", **settings).epsilon_at(steps) == pytest.approx(line, rel=1e-12)


def test_linear_epsilon_may_increase():
    config = Config(epsilon="linear", epsilon_start=0.0, epsilon_end=1.0, epsilon_decay_steps=4)
    assert [config.epsilon_at(steps) for steps in range(6)] == [0.0, 0.25, 0.5, 0.75, 1.0, 1.0]


@pytest.mark.parametrize("updates", [0, 1, 10, 999, 1000, 1001, 10**15])
def test_learning_rate_decays_geometrically(updates):
    config = Config(learning_rate=1e-3, learning_rate_end=2e-5, learning_rate_decay_updates=1000)
    expected = 1e-3 * 0.02 ** (min(updates, 1000) / 1000)
    assert config.learning_rate_at(updates) == pytest.approx(expected, rel=1e-12)
    assert Config().learning_rate_at(updates) == 1e-3
    assert Config(learning_rate=1e-5).learning_rate_at(updates) == 1e-5  # constant without learning_rate_end


def test_learning_rate_after_half_of_the_decay_is_the_geometric_mean():
    config = Config(learning_rate=1e-2, learning_rate_end=1e-4, learning_rate_decay_updates=10)
    assert config.learning_rate_at(5) == pytest.approx(1e-3, rel=1e-12)


@pytest.mark.parametrize("end", [None, 1e-4])
def test_learning_rates_are_those_of_the_single_updates(end):
    config = Config(learning_rate=1e-2, learning_rate_end=end, learning_rate_decay_updates=10)
    rates = config.learning_rates(7, 6)
    assert rates.tolist() == [config.learning_rate_at(updates) for updates in range(7, 13)]
    assert len(set(rates.tolist())) == (1 if end is None else 4)  # updates 7, 8, 9, and all from 10 on
