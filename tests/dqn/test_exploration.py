"""Tests of random actions, which are draw for draw those of NumPy."""

import numpy as np
import pytest
from reference import exploration as reference

from herfast.common.bits import _core

SIZES = [*range(10), 63, 64, 65, 127, 128, 129, 5000]
N_ACTIONS = [1, 2, 3, 20, 50, 255, 256, 257, 32_769, 65_535, 65_536]
GENERATORS = [np.random.PCG64, np.random.PCG64DXSM, np.random.MT19937, np.random.Philox, np.random.SFC64]


def explored(explore, generator, epsilon, n_actions, n_episodes):
    """Return actions of all episodes and of half of them, and two outputs."""
    rng = np.random.Generator(generator(n_episodes))
    actions = np.full((2, n_episodes), 65_535, np.uint16)
    for step, active in enumerate((np.arange(n_episodes), np.arange(0, n_episodes, 2))):
        explore(rng, epsilon, n_actions, active, actions[step])
    return actions.tolist(), int(rng.integers(2**32)), int(rng.bit_generator.random_raw())


def core_explore(rng, epsilon, n_actions, active, actions):
    _core.explore(rng.bit_generator, epsilon, n_actions, active, actions)


@pytest.mark.parametrize("generator", GENERATORS)
@pytest.mark.parametrize("n_episodes", SIZES)
def test_random_actions_equal_those_of_numpy(n_episodes, generator):
    for n_actions in N_ACTIONS:
        for epsilon in (0.0, 0.2, 1.0):
            arguments = (generator, epsilon, n_actions, n_episodes)
            assert explored(core_explore, *arguments) == explored(reference.explore, *arguments), arguments


def test_a_rejected_output_is_drawn_again():
    """For 60,000 actions an output is rejected once in 90,000 draws."""
    actions, expected = np.zeros((2, 1_000_000), np.uint16)
    active = np.arange(len(actions))
    rngs = [np.random.default_rng(0), np.random.default_rng(0)]
    core_explore(rngs[0], 1.0, 60_000, active, actions)
    reference.explore(rngs[1], 1.0, 60_000, active, expected)
    np.testing.assert_array_equal(actions, expected)
    unrejected = np.random.default_rng(0)
    unrejected.random(len(actions))
    outputs = unrejected.integers(2**32, size=len(actions), dtype=np.uint64)
    assert (outputs * np.uint64(60_000) >> np.uint64(32) != actions).any(), "no output was rejected"


@pytest.mark.parametrize(
    ("n_actions", "active", "message"),
    [
        (0, [0], r"^n_actions must be from 1 to 65,536, got 0$"),
        (65_537, [0], r"^n_actions must be from 1 to 65,536, got 65,537$"),
        (3, [0, 4], r"^active\[1\] must be from 0 to 3, got 4$"),
        (3, [-1], r"^active\[0\] must be from 0 to 3, got -1$"),
    ],
)
def test_invalid_arguments_draw_nothing(n_actions, active, message):
    rng = np.random.default_rng(0)
    actions = np.zeros(4, np.uint16)
    with pytest.raises(ValueError, match=message):
        core_explore(rng, 1.0, n_actions, np.array(active), actions)
    assert rng.random() == np.random.default_rng(0).random()
    assert not actions.any()
