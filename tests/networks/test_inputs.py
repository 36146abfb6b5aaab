"""Tests of the validation of minibatches."""

import numpy as np
import pytest
from support.network_reference import random_minibatches
from support.second_import import imported_again

from herfast import Config, Minibatches, QNetwork
from herfast.common import batches as batches_module

VALID = random_minibatches(np.random.default_rng(0), 2, 3, 5, 5, 5)
INVALID_BATCHES = {
    "dtype of states": (
        VALID._replace(states=VALID.states.astype(np.int64)),
        TypeError,
        "states.*got dtype int64",
    ),
    "not an array": (VALID._replace(states=[[1]]), TypeError, "states.*list"),
    "dimensions": (VALID._replace(goals=VALID.goals[0]), ValueError, "goals must have 3 axes"),
    "bits past the end": (
        VALID._replace(next_states=VALID.next_states | np.uint64(32)),
        ValueError,
        "past bit 4",
    ),
    "action out of range": (VALID._replace(actions=VALID.actions + np.uint16(5)), ValueError, "below 5"),
    "dtype of actions": (
        VALID._replace(actions=VALID.actions.astype(np.int64)),
        TypeError,
        "actions must be a NumPy array of uint16",
    ),
    "shape of rewards": (VALID._replace(rewards=VALID.rewards[:1]), ValueError, "rewards must have"),
    "empty": (Minibatches(*(array[:, :0] for array in VALID)), ValueError, "at least one"),
}


@pytest.mark.parametrize(("batches", "error", "message"), INVALID_BATCHES.values(), ids=INVALID_BATCHES)
def test_invalid_minibatches_raise_and_change_nothing(batches, error, message):
    network = QNetwork(5, config=Config(hidden=(33,)), seed=0)
    before = network._online.params.copy()
    with pytest.raises(error, match=message):
        network.fit(batches)
    assert (network._online.params == before).all()
    assert network.updates == 0


def test_read_only_and_strided_minibatches_are_accepted():
    expected = QNetwork(5, config=Config(hidden=(33,)), seed=0).fit(VALID)
    strided = []
    for array in VALID:
        repeated = np.repeat(array, 2, axis=1)
        repeated.flags.writeable = False
        strided.append(repeated[:, ::2])
    assert (
        QNetwork(5, config=Config(hidden=(33,)), seed=0).fit(Minibatches(*strided)).tolist()
        == expected.tolist()
    )


def test_minibatches_of_a_class_that_was_imported_again_are_accepted():
    again = imported_again(batches_module).Minibatches(*VALID)
    assert not isinstance(again, Minibatches)
    expected = QNetwork(5, config=Config(hidden=(33,)), seed=0).fit(VALID)
    network = QNetwork(5, config=Config(hidden=(33,)), seed=0)
    with pytest.raises(TypeError, match=r"^batches must be Minibatches, got tuple$"):
        network.fit(tuple(VALID))
    assert network.fit(again).tolist() == expected.tolist()
