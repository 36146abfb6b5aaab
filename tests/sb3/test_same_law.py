"""Tests that herfast stores and samples as Stable-Baselines3 does."""

import numpy as np
import pytest

pytest.importorskip("stable_baselines3")

from scipy import stats
from support.chi_square import MIN_P_VALUE, assert_uniform
from support.sb3_buffers import (
    LONG,
    NO_GOAL,
    SHORT,
    add_numbered,
    assert_same_arrays,
    episode_ends,
    filled_pair,
    numbers,
)

N_SAMPLES = 40
BATCH_SIZE = 1500
N_STEPS = {"not full": 35, "wrapped": 95}


def draws(buffer, batch_size=BATCH_SIZE):
    """Return the columns of `numbers` for many samples, relabelled rows last."""
    np.random.seed(0)  # noqa: NPY002
    samples = [numbers(buffer.sample(batch_size)) for _ in range(N_SAMPLES)]
    return [np.concatenate(column) for column in zip(*samples, strict=True)]


def assert_same_law(one, other, what):
    """Assert that two samples of integers are from one distribution."""
    values = np.unique(np.concatenate((one, other)))
    table = np.array([np.bincount(np.searchsorted(values, v), minlength=len(values)) for v in (one, other)])
    rare = table.sum(axis=0) < 20
    table = np.column_stack((table[:, ~rare], table[:, rare].sum(axis=1)))
    table = table[:, table.any(axis=0)]
    assert table.shape[1] > 3, what
    p = stats.chi2_contingency(table).pvalue
    assert p > MIN_P_VALUE, f"{what}: p = {p:.3g}"


@pytest.mark.parametrize("n_envs", [1, 3])
@pytest.mark.parametrize("n_steps", N_STEPS.values(), ids=N_STEPS)
@pytest.mark.parametrize("strategy", ["future", "final", "episode"])
def test_transitions_and_goals_have_the_same_probabilities(strategy, n_steps, n_envs):
    theirs, ours = filled_pair(40, n_envs, n_steps, SHORT, goal_selection_strategy=strategy)
    assert theirs.full == (n_steps > 40)
    expected, drawn = draws(theirs), draws(ours)
    for name, one, other in zip(("state", "next state", "goal"), expected, drawn, strict=False):
        assert_same_law(one, other, f"{name}, {strategy}, {n_steps}, {n_envs}")
    assert_same_law(expected[0] * 10_000 + expected[2], drawn[0] * 10_000 + drawn[2], f"pairs, {strategy}")
    for column in (3, 4):
        rates = [columns[column].mean() for columns in (expected, drawn)]
        assert abs(rates[0] - rates[1]) < 5 * np.sqrt(0.25 * 2 / len(drawn[0]))


@pytest.mark.parametrize("share", [SHORT, LONG])
@pytest.mark.parametrize("n_envs", [1, 2, 5])
def test_the_same_arrays_are_stored(n_envs, share):
    theirs, ours = filled_pair(40, n_envs, 0, share)
    done, truncated = episode_ends(300, n_envs, share)
    for step in range(300):
        add_numbered([theirs, ours], done[step : step + 1], truncated[step : step + 1], first=step)
        assert_same_arrays(ours, theirs)
        valid = (theirs.ep_length > 0).sum(axis=0)
        np.testing.assert_array_equal(ours._n_transitions, valid)


@pytest.mark.parametrize("n_sampled_goal", [0, 1, 2, 4, 5, 99])
@pytest.mark.parametrize("batch_size", [1, 2, 5, 32, 100, 256])
def test_the_same_number_of_rows_is_relabelled_and_they_come_last(n_sampled_goal, batch_size):
    theirs, ours = filled_pair(40, 2, 95, SHORT, n_sampled_goal=n_sampled_goal)
    np.random.seed(0)  # noqa: NPY002
    expected = numbers(theirs.sample(batch_size))[2] != NO_GOAL
    relabelled = numbers(ours.sample(batch_size))[2] != NO_GOAL
    np.testing.assert_array_equal(relabelled, expected)


@pytest.mark.parametrize("handle_timeout_termination", [True, False])
@pytest.mark.parametrize("strategy", ["future", "final", "episode", "random"])
def test_rows_are_those_of_stored_transitions(strategy, handle_timeout_termination):
    kwargs = {"handle_timeout_termination": handle_timeout_termination}
    _, ours = filled_pair(40, 3, 95, SHORT, **kwargs)
    ours.goal_selection_strategy = strategy
    batch = ours.sample(5000)
    state, next_state, goal, reward, done = numbers(batch)
    env, step = np.divmod(state // 2, 1000)
    done_steps, truncated = episode_ends(95, 3, SHORT)
    np.testing.assert_array_equal(next_state, state + 1)
    np.testing.assert_array_equal(batch.actions.numpy().ravel(), state % 5)
    np.testing.assert_array_equal(reward, np.where(goal == next_state, 0, -1))
    if handle_timeout_termination:
        done_steps = done_steps & ~truncated
    np.testing.assert_array_equal(done, done_steps[step, env])
    np.testing.assert_array_equal(numbers(batch)[2], batch.next_observations["desired_goal"].numpy().ravel())
    assert (goal % 2)[goal != NO_GOAL].all()  # goals were achieved after a transition


def test_random_goals_are_uniform_over_stored_transitions():
    _, ours = filled_pair(40, 2, 95, SHORT)
    ours.goal_selection_strategy = "random"
    goals = draws(ours)[2]
    stored = np.unique(ours.next_observations["achieved_goal"][ours.ep_length > 0])
    assert len(stored) == ours._n_transitions.sum()
    goals = goals[goals != NO_GOAL]
    assert np.isin(goals, stored).all()
    assert_uniform(np.searchsorted(stored, goals), len(stored), "random goals")
