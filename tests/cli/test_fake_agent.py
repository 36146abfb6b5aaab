"""Comparison of FakeAgent and herfast.Agent: signatures, attributes and history."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from herfast import Agent, BitFlip
from herfast.common.history import HISTORY_SCHEMA

METHODS = ["__init__", "learn", "evaluate", "predict", "diagnose", "save", "load"]
ATTRIBUTES = ["history", "cycles", "solved", "env", "preset", "seed", "config", "threads"]
FOR_TESTS = {"PAUSE", "instances", "events", "event_cycle", "fails", "calls"}  # not in herfast.Agent


def public_names(names: Any) -> set[str]:
    return {name for name in names if not name.startswith("_")}


def parameters(cls: type, method: str) -> dict[str, inspect.Parameter]:
    return dict(inspect.signature(getattr(cls, method)).parameters)


def positional_names(parameters: dict[str, inspect.Parameter]) -> list[str]:
    return [
        name for name, parameter in parameters.items() if parameter.kind == parameter.POSITIONAL_OR_KEYWORD
    ]


def test_every_public_name_of_fake_agent_is_compared(fake_agent: Any) -> None:
    names = public_names([*vars(fake_agent), *vars(fake_agent(BitFlip(3), "fast", 0))])
    assert names - FOR_TESTS == {*METHODS, *ATTRIBUTES} - {"__init__"}


@pytest.mark.parametrize("method", METHODS)
def test_methods_have_the_parameters_of_the_real_agent(method: str, fake_agent: Any) -> None:
    """Optional parameters that the commands do not use may be missing."""
    fake, real = parameters(fake_agent, method), parameters(Agent, method)
    assert type(inspect.getattr_static(fake_agent, method)) is type(inspect.getattr_static(Agent, method))
    assert positional_names(fake) == positional_names(real)[: len(positional_names(fake))]
    assert {name for name, parameter in real.items() if parameter.default is parameter.empty} <= fake.keys()
    for name, parameter in fake.items():
        assert name in real
        assert parameter.kind == real[name].kind, name
        assert parameter.default in (parameter.empty, real[name].default), name


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_attributes_have_the_types_of_the_real_agent(name: str, fake_agent: Any) -> None:
    real = Agent(BitFlip(3), seed=0, hidden=(8,), capacity=100)
    assert type(getattr(fake_agent(BitFlip(3), "fast", 0), name)) is type(getattr(real, name))


@pytest.mark.parametrize("loaded", [False, True])
def test_the_history_has_the_columns_of_the_real_agent(loaded: bool, fake_agent: Any) -> None:
    agent = fake_agent(BitFlip(3), "fast", 0, cycles_per_epoch=3)
    agent.learn(2, until=None, progress_bar=False, callback=lambda agent: None)
    if loaded:
        agent.save(Path("agent"), replay=True)
        agent = fake_agent.load(Path("agent"))
    assert agent.cycles == 6
    assert {name: column.dtype for name, column in agent.history.items()} == {
        name: np.dtype(column.dtype) for name, column in HISTORY_SCHEMA.items()
    }
    assert {column.shape for column in agent.history.values()} == {(6,)}
