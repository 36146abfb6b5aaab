"""Minibatches that a network refuses, and layouts of arrays that it accepts."""

import numpy as np
import pytest
from support.network_twin import (
    random_minibatches,
)

from herfast import Config, Minibatches, QNetwork

GOOD = random_minibatches(np.random.default_rng(0), 2, 3, 5, 5, 5)
BAD_BATCHES = {
    "dtype of states": (GOOD._replace(states=GOOD.states.astype(np.int64)), TypeError, "states.*got dtype int64"),
    "not an array": (GOOD._replace(states=[[1]]), TypeError, "states.*list"),
    "dimensions": (GOOD._replace(goals=GOOD.goals[0]), ValueError, "goals must have 3 axes"),
    "bits past the end": (GOOD._replace(next_states=GOOD.next_states | np.uint64(32)), ValueError, "past bit 4"),
    "action out of range": (GOOD._replace(actions=GOOD.actions + np.uint16(5)), ValueError, "below 5"),
    "dtype of actions": (
        GOOD._replace(actions=GOOD.actions.astype(np.int64)),
        TypeError,
        "actions must be a NumPy array of uint16",
    ),
    "shape of rewards": (GOOD._replace(rewards=GOOD.rewards[:1]), ValueError, "rewards must have"),
    "empty": (Minibatches(*(array[:, :0] for array in GOOD)), ValueError, "at least one"),
}


@pytest.mark.parametrize(("batches", "error", "message"), BAD_BATCHES.values(), ids=BAD_BATCHES.keys())
def test_bad_minibatches_are_refused_and_change_nothing(batches, error, message):
    network = QNetwork(5, config=Config(hidden=(33,)), seed=0)
    before = network._online.params.copy()
    with pytest.raises(error, match=message):
        network.fit(batches)
    assert (network._online.params == before).all()
    assert network.updates == 0


def test_read_only_and_strided_minibatches_are_accepted():
    expected = QNetwork(5, config=Config(hidden=(33,)), seed=0).fit(GOOD)
    awkward = []
    for array in GOOD:
        wide = np.repeat(array, 2, axis=1)
        wide.flags.writeable = False
        awkward.append(wide[:, ::2])
    assert QNetwork(5, config=Config(hidden=(33,)), seed=0).fit(Minibatches(*awkward)).tolist() == expected.tolist()
