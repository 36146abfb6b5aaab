"""Tests of settings that may change after training has begun."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
from support.small_agents import small_agent

from herfast import Agent, BitFlip, Config, HindsightReplay, QNetwork
from herfast.config import CHANGEABLE, config_fields

CHANGES = {
    "epochs": 7,
    "until": 0.5,
    "learning_rate": 1e-6,
    "learning_rate_end": 1e-7,
    "learning_rate_decay_updates": 5,
    "epsilon": "constant",
    "epsilon_start": 0.25,
    "epsilon_end": 0.125,
    "epsilon_decay_steps": 77,
}


def test_every_changeable_field_has_a_case():
    assert sorted(CHANGES) == sorted(CHANGEABLE)


@pytest.mark.parametrize("name", CHANGES)
def test_a_field_changes_when_a_file_is_loaded(name, tmp_path):
    agent = small_agent().learn(epochs=1)
    agent.save(tmp_path / "agent", replay=True)
    changed = Agent.load(tmp_path / "agent", **{name: CHANGES[name]})
    assert changed.config == dataclasses.replace(agent.config, **{name: CHANGES[name]})
    changed.save(tmp_path / "again", replay=True)
    assert Agent.load(tmp_path / "again").config == changed.config


def test_a_changed_learning_rate_is_used_by_the_network_and_shown_in_the_history():
    """With a rate of 1e-30 no weight changes."""
    agent = small_agent().learn(epochs=1)
    before = {name: array.copy() for name, array in agent.network.parameters().items()}
    agent.config = dataclasses.replace(agent.config, learning_rate=1e-30, learning_rate_end=None)
    agent.learn(epochs=1)
    assert agent.history["learning_rate"][-1] == 1e-30
    for name, array in agent.network.parameters().items():
        np.testing.assert_array_equal(array, before[name])


def test_agent_and_network_have_one_config():
    agent = small_agent()
    agent.network.config = dataclasses.replace(agent.config, epsilon_end=0.5)
    assert agent.config is agent.network.config
    assert agent.config.epsilon_end == 0.5


def changed(value):
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        return {
            "final": "future",
            "dense": "sparse",
            "sparse": "dense",
            "online": "target",
            "signed": "binary",
        }[value]
    if isinstance(value, tuple):
        return (8,)
    return value / 2 if isinstance(value, float) else value + 1


@pytest.mark.parametrize("name", sorted(set(config_fields()) - set(CHANGEABLE)))
def test_a_fixed_field_cannot_be_changed(name, tmp_path):
    agent = small_agent(preset="notebook", polyak=0.5, advantage_gap=0.5)
    agent.save(tmp_path / "agent")
    value = changed(getattr(agent.config, name))
    before = agent.config
    with pytest.raises(ValueError, match=f"^{name} cannot be changed from .* to .*, only epsilon.* can"):
        agent.config = dataclasses.replace(before, **{name: value})
    with pytest.raises(ValueError, match=f"^{name} cannot be changed from"):
        Agent.load(tmp_path / "agent", **{name: value})
    assert agent.config is before
    assert Agent.load(tmp_path / "agent", **{name: getattr(before, name)}).config == before


def test_unknown_fields_and_values_out_of_range_are_rejected_by_load(tmp_path):
    small_agent().save(tmp_path / "agent")
    with pytest.raises(TypeError, match="'epoch' is not a field of Config"):
        Agent.load(tmp_path / "agent", epoch=3)
    with pytest.raises(ValueError, match=r"learning_rate must be in \(0, 1\], got 2"):
        Agent.load(tmp_path / "agent", learning_rate=2.0)
    with pytest.raises(TypeError, match="config must be a Config, got"):
        small_agent().config = {"epochs": 3}


@pytest.mark.parametrize(
    ("make", "name", "value"),
    [
        *((small_agent, name, None) for name in sorted(Agent.FIXED)),
        *((lambda: QNetwork(6), name, 5) for name in ("n_state_bits", "n_goal_bits", "n_actions")),
        *(
            (lambda: HindsightReplay(10, 6), name, 5)
            for name in ("capacity", "n_state_bits", "n_goal_bits", "k")
        ),
        (lambda: HindsightReplay(10, 6), "strategy", "final"),
    ],
)
def test_an_attribute_that_is_fixed_cannot_be_set(make, name, value):
    owner = make()
    before = getattr(owner, name)
    with pytest.raises(AttributeError, match=f"^{name} cannot be changed to .*: create a new"):
        setattr(owner, name, value)
    assert getattr(owner, name) is before


def test_settings_can_be_changed_during_training(tmp_path):
    """A callback is the place for a schedule of one's own."""

    def lower(agent):
        agent.config = dataclasses.replace(agent.config, learning_rate=10.0 ** -(3 + agent.cycles))

    agent = small_agent(learning_rate_end=None).learn(epochs=2, callback=lower)
    np.testing.assert_allclose(agent.history["learning_rate"][1:], [1e-4, 1e-5, 1e-6])


def test_a_config_of_another_size_is_rejected():
    agent = Agent(BitFlip(6), "notebook", 0)
    with pytest.raises(ValueError, match=r"^hidden cannot be changed from \(256,\) to \(64,\)"):
        agent.config = Config(hidden=(64,))


@pytest.mark.parametrize(("first", "later", "cycles"), [(2, 5, 10), (3, 1, 2)])
def test_a_callback_changes_the_limits_of_the_config(first, later, cycles):
    """Two cycles are an epoch."""

    def change(agent):
        agent.config = dataclasses.replace(agent.config, epochs=later)

    agent = small_agent(epochs=first).learn(callback=change)
    assert agent.cycles == cycles


def test_a_callback_changes_until():
    def change(agent):
        agent.config = dataclasses.replace(agent.config, until=1e-9)

    agent = small_agent(n_bits=2, preset="notebook", epochs=50)
    agent.learn(callback=change)
    assert agent.solved
    assert agent.cycles < 100


def test_arguments_of_learn_take_precedence_over_the_config():
    def change(agent):
        agent.config = dataclasses.replace(agent.config, epochs=1)

    assert small_agent(epochs=1).learn(epochs=3, callback=change).cycles == 6


def test_an_object_with_wrong_settings_is_rejected():
    agent = small_agent()
    before = agent.config
    fields = dataclasses.asdict(before)
    with pytest.raises(ValueError, match=r"^learning_rate must be in \(0, 1\], got -5"):
        agent.config = SimpleNamespace(**{**fields, "learning_rate": -5.0})
    assert agent.config is before
    agent.config = SimpleNamespace(**{**fields, "learning_rate": 0.5})
    assert type(agent.config) is Config
    assert agent.config.learning_rate == 0.5


class LoggingAgent(Agent):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.log = []


@pytest.mark.parametrize("replay", [True, False])
@pytest.mark.parametrize("saved", [True, False])
def test_load_creates_an_agent_of_a_subclass(replay, saved, tmp_path):
    LoggingAgent(BitFlip(6), "notebook", 0).save(tmp_path / "agent", replay=saved)
    agent = LoggingAgent.load(tmp_path / "agent", replay=replay)
    assert type(agent) is LoggingAgent
    assert agent.log == []


def test_state_for_copies_does_not_share_arrays_with_the_network():
    network = QNetwork(6)
    flats = network.__getstate__()["flats"]
    assert not any(np.shares_memory(flats[name], flat) for name, flat in network._flats().items())


@pytest.mark.parametrize("make", [small_agent, lambda: QNetwork(6)], ids=["Agent", "QNetwork"])
@pytest.mark.parametrize("name", config_fields())
def test_a_field_of_the_config_is_no_attribute(make, name):
    owner = make()
    with pytest.raises(AttributeError, match=f"^{name} is a field of config: set config instead of {name}$"):
        setattr(owner, name, 0.5)
    assert not hasattr(owner, name)


@pytest.mark.parametrize("name", ["name", "cls"])
def test_names_of_parameters_of_preset_are_no_fields(name, tmp_path):
    small_agent().save(tmp_path / "agent")
    for call in (
        lambda: Agent(BitFlip(6), **{name: 3}),
        lambda: (
            Agent.load(tmp_path / "agent", **{name: 3})
            if name != "cls"
            else Config.preset("fast", BitFlip(6), cls=3)
        ),
    ):
        with pytest.raises(TypeError, match=f"'{name}' is not a field of Config"):
            call()
