"""Callbacks: several at once, and which answer stops."""

import numpy as np
import pytest

from herfast import Agent, BitFlip

SMALL = {"hidden": (8,), "episodes_per_cycle": 2, "updates_per_cycle": 2, "cycles_per_epoch": 2, "batch_size": 4}


def small_agent(seed=0):
    return Agent(BitFlip(4), "fast", seed, capacity=100, until=None, **SMALL)


# --- one or several ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [list, tuple])
def test_all_callbacks_are_called_in_order_for_the_cycle_in_which_one_stops(kind):
    called = []

    def first(agent):
        called.append(("first", agent.cycles))
        return agent.cycles < 3

    def second(agent):
        called.append(("second", agent.cycles))

    agent = small_agent().learn(epochs=5, callback=kind([first, second]))
    assert agent.cycles == 3
    assert called == [(name, cycle) for cycle in (1, 2, 3) for name in ("first", "second")]


def test_no_callback_and_an_empty_list_are_alike():
    assert [small_agent().learn(epochs=2, callback=callback).cycles for callback in (None, [], ())] == [4, 4, 4]


@pytest.mark.parametrize("answer", [None, True, 0, "", np.True_])
def test_only_false_stops(answer):
    assert small_agent().learn(epochs=2, callback=lambda agent: answer).cycles == 4


@pytest.mark.parametrize("callback", [5, "log", [5], [print, None], {print}])
def test_what_cannot_be_called_is_refused_before_anything_is_learnt(callback):
    agent = small_agent()
    with pytest.raises(TypeError, match=r"^callback must be a function of the agent or a list of them, got "):
        agent.learn(epochs=1, callback=callback)
    assert agent.cycles == 0
