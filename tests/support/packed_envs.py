"""Checks of the steps of any packed environment."""

import numpy as np
import pytest


def start_episodes(env, n_episodes, seed=0):
    """Return generator, start states and goals."""
    rng = np.random.default_rng(seed)
    states, goals = (np.empty((n_episodes, -(-env.n_state_bits // 64)), np.uint64) for _ in range(2))
    env.reset(rng, states, goals)
    return rng, states, goals


def step_arguments(env, n_episodes=4):
    _, states, goals = start_episodes(env, n_episodes)
    return {
        "states": states,
        "goals": goals,
        "actions": np.zeros(n_episodes, np.uint16),
        "active": np.arange(n_episodes),
        "out_states": np.zeros_like(states),
        "out_terminated": np.zeros(n_episodes, bool),
    }


def check_steps(env, next_state, in_place, seed, n_episodes=60):
    """Compare one step with `next_state(state words, action) -> state words`.

    A third of the active episodes reaches its goal. Arrays of other episodes must not change.
    """
    rng, states, goals = start_episodes(env, n_episodes, seed)
    active = np.flatnonzero(rng.random(n_episodes) < 0.6)
    rng.shuffle(active)
    actions = rng.integers(0, env.n_actions, n_episodes, np.uint16)
    for e in active[::3]:
        goals[e] = next_state(states[e], int(actions[e]))
    before = states.copy()
    out_states = states if in_place else np.full_like(states, 7)
    out_terminated = rng.random(n_episodes) < 0.5
    expected_states = out_states.copy()
    expected_terminated = out_terminated.copy()
    for e in active:
        expected_states[e] = next_state(states[e], int(actions[e]))
        expected_terminated[e] = (expected_states[e] == goals[e]).all()
    env.step(states, goals, actions, active, out_states, out_terminated)
    np.testing.assert_array_equal(out_states, expected_states)
    np.testing.assert_array_equal(out_terminated, expected_terminated)
    assert out_terminated[active[::3]].all()
    if not in_place:
        np.testing.assert_array_equal(states, before)


def check_invalid_steps(env, stray, message):
    """Check that invalid steps raise an error and write nothing.

    `stray` is an invalid state, `message` the pattern of its error.
    """
    width = -(-env.n_state_bits // 64)
    last_action = env.n_actions - 1
    good = step_arguments(env)
    bad_states, bad_goals, shared = good["states"].copy(), good["goals"].copy(), good["goals"].copy()
    bad_states[2] = stray
    bad_goals[1] = stray
    cases = [
        (
            {"actions": np.array([0, 0, env.n_actions, 0], np.uint16)},
            rf"^actions\[2\] must be from 0 to {last_action}, got {env.n_actions}$",
        ),
        ({"active": np.array([0, 1, 4])}, r"^active\[2\] must be from 0 to 3, got 4$"),
        ({"active": np.array([0, -1])}, r"^active\[1\] must be from 0 to 3, got -1$"),
        ({"states": bad_states}, rf"^states\[2\] {message}"),
        ({"goals": bad_goals}, rf"^goals\[1\] {message}"),
        ({"states": good["states"][:3]}, rf"^goals must have shape \(3, {width}\), got \(4, {width}\)$"),
        ({"actions": np.zeros(3, np.uint16)}, r"^actions must have shape \(4,\), got \(3,\)$"),
        ({"out_states": shared, "goals": shared}, "^out_states and goals must not share memory$"),
        ({"actions": np.zeros(4, np.int64)}, "^actions must be a NumPy array of uint16, got dtype int64$"),
        ({"out_terminated": None}, "^out_terminated must be a NumPy array of bool, got NoneType$"),
    ]
    for changes, pattern in cases:
        arguments = good | changes
        copies = {name: np.copy(array) for name, array in arguments.items()}
        with pytest.raises((TypeError, ValueError), match=pattern):
            env.step(**arguments)
        for name, array in arguments.items():
            np.testing.assert_array_equal(array, copies[name])
    empty = step_arguments(env, n_episodes=0)
    env.step(**empty)
    with pytest.raises(ValueError, match=r"^active must be empty, since there are no episodes, got 0$"):
        env.step(**empty | {"active": np.arange(1)})


def check_invalid_resets(env):
    """Check that invalid resets raise an error, write nothing and draw nothing."""
    width = -(-env.n_state_bits // 64)
    good, other = (np.full((3, width), 7, np.uint64) for _ in range(2))
    rng = np.random.default_rng(0)
    state = rng.bit_generator.state
    cases = [
        ((rng, np.zeros((3, width + 1), np.uint64), good), "^out_states must have shape"),
        ((rng, good, other[:2]), "^out_goals must have shape"),
        ((rng, good, other.astype(np.int64)), "^out_goals must be a NumPy array of uint64, got dtype int64$"),
        ((rng, good, good), "^out_states and out_goals must not share memory$"),
        ((5, good, other), "^rng must be a numpy.random.Generator, got 5$"),
    ]
    for arguments, pattern in cases:
        with pytest.raises((TypeError, ValueError), match=pattern):
            env.reset(*arguments)
        assert rng.bit_generator.state == state
        assert (good == 7).all()
        assert (other == 7).all()
