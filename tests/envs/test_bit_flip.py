"""Tests of the bit-flipping environment.

The reference runs one episode at a time from the same raw random outputs.
"""

import dataclasses
import json
import pickle

import numpy as np
import pytest
from reference import bitflip as ref
from reference.bits import from_bits, from_words
from support.chi_square import assert_uniform

from herfast import BitFlip, GoalEnv, _core_envs, make_env

SIZES = [*range(1, 10), 63, 64, 65, 127, 128, 129, 1000]


def start_episodes(n_bits, n_episodes, seed=0):
    """Return environment, generator, start states and goals."""
    env = BitFlip(n_bits)
    rng = np.random.default_rng(seed)
    states, goals = (np.empty((n_episodes, -(-n_bits // 64)), np.uint64) for _ in range(2))
    env.reset(rng, states, goals)
    return env, rng, states, goals


def test_start_states_and_goals_differ_between_episodes_and_seeds():
    _, _, states, goals = start_episodes(50, 100)
    assert len(np.unique(states)) == len(np.unique(goals)) == 100
    assert (start_episodes(50, 100, seed=1)[2] != states).all()


@pytest.mark.parametrize("n_bits", SIZES)
def test_reset_equals_the_reference_draw_for_draw(n_bits):
    _, rng, states, goals = start_episodes(n_bits, 40, seed=n_bits)
    raw = np.random.PCG64(n_bits)
    for state, goal in zip(states, goals, strict=True):
        assert (from_words(state), from_words(goal)) == ref.reset(raw, n_bits)
    assert rng.bit_generator.random_raw() == raw.random_raw()


@pytest.mark.parametrize(("n_bits", "n_episodes"), [*((n_bits, 60) for n_bits in SIZES), (50, 2000)])
@pytest.mark.parametrize("in_place", [False, True])
def test_step_equals_the_reference_and_skips_inactive_episodes(n_bits, n_episodes, in_place):
    env, rng, states, goals = start_episodes(n_bits, n_episodes, seed=n_bits)
    active = np.flatnonzero(rng.random(n_episodes) < 0.6)
    rng.shuffle(active)
    actions = rng.integers(0, n_bits, n_episodes, np.uint16)
    for e in active[::3]:  # a third of them reaches the goal in this step
        goals[e] = states[e]
        word, bit = divmod(int(actions[e]), 64)
        goals[e, word] ^= np.uint64(1 << bit)
    before = states.copy()
    out_states = states if in_place else np.full_like(states, 7)
    out_terminated = rng.random(n_episodes) < 0.5
    expected_states = out_states.copy()
    expected_terminated = out_terminated.copy()
    env.step(states, goals, actions, active, out_states, out_terminated)
    for e in active:
        state, terminated = ref.step(from_words(before[e]), from_words(goals[e]), int(actions[e]))
        assert from_words(out_states[e]) == state
        assert out_terminated[e] == terminated
        expected_states[e] = out_states[e]
        expected_terminated[e] = out_terminated[e]
    np.testing.assert_array_equal(out_states, expected_states)
    np.testing.assert_array_equal(out_terminated, expected_terminated)
    assert out_terminated[active[::3]].all()
    if not in_place:
        np.testing.assert_array_equal(states, before)


def test_flipping_a_bit_twice_restores_the_state():
    env, rng, states, goals = start_episodes(65, 30)
    start = states.copy()
    terminated = np.empty(30, bool)
    active = np.arange(30)
    actions = rng.integers(0, 65, 30, np.uint16)
    env.step(states, goals, actions, active, states, terminated)
    assert (states != start).any(axis=1).all()
    env.step(states, goals, actions, active, states, terminated)
    np.testing.assert_array_equal(states, start)


def step_arguments(n_bits=50, n_episodes=4):
    _, _, states, goals = start_episodes(n_bits, n_episodes)
    return {
        "states": states,
        "goals": goals,
        "actions": np.zeros(n_episodes, np.uint16),
        "active": np.arange(n_episodes),
        "out_states": np.zeros_like(states),
        "out_terminated": np.zeros(n_episodes, bool),
    }


def test_read_only_inputs_and_no_active_episodes_are_accepted():
    arguments = step_arguments()
    for name in ("states", "goals", "actions", "active"):
        arguments[name].setflags(write=False)
    BitFlip(50).step(**arguments)
    assert arguments["out_states"].all()
    arguments |= {"active": np.zeros(0, np.int64), "out_states": np.zeros((4, 1), np.uint64)}
    BitFlip(50).step(**arguments)
    assert not arguments["out_states"].any()
    BitFlip(50).step(**step_arguments(n_episodes=0))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        (
            {"actions": np.array([0, 0, 50, 0], np.uint16)},
            ValueError,
            r"actions\[2\] must be from 0 to 49, got 50",
        ),
        ({"active": np.array([0, 1, 4])}, ValueError, r"active\[2\] must be from 0 to 3, got 4"),
        ({"active": np.array([0, -1])}, ValueError, r"active\[1\] must be from 0 to 3, got -1"),
        (
            {"active": np.array([0, -(2**63)])},
            ValueError,
            r"active\[1\] must be from 0 to 3, got -9223372036854775808",
        ),
        (
            {"active": np.arange(4, dtype=np.int32)},
            TypeError,
            "active must be a NumPy array of int64, got dtype int32",
        ),
        (
            {"actions": np.zeros(4, np.int64)},
            TypeError,
            "actions must be a NumPy array of uint16, got dtype int64",
        ),
        ({"actions": [0, 0, 0, 0]}, TypeError, "actions must be a NumPy array of uint16, got list"),
        ({"states": np.zeros(4, np.uint64)}, ValueError, r"states must have 2 axes, got shape \(4,\)"),
        (
            {"states": np.zeros((4, 2), np.uint64)},
            ValueError,
            r"states must have shape \(4, 1\), got \(4, 2\)",
        ),
        ({"goals": np.zeros((3, 1), np.uint64)}, ValueError, r"goals must have shape \(4, 1\), got \(3, 1\)"),
        ({"actions": np.zeros(3, np.uint16)}, ValueError, r"actions must have shape \(4,\), got \(3,\)"),
        (
            {"out_terminated": np.zeros(5, bool)},
            ValueError,
            r"out_terminated must have shape \(4,\), got \(5,\)",
        ),
        (
            {"out_terminated": np.zeros(4, np.int8)},
            TypeError,
            "out_terminated must be .* bool, got dtype int8",
        ),
        ({"goals": np.zeros((8, 1), np.uint64)[::2]}, ValueError, "contiguous"),
        ({"goals": None}, TypeError, "goals must be a NumPy array of uint64, got NoneType"),
    ],
)
def test_step_with_an_invalid_argument_raises_and_writes_nothing(changes, error, message):
    arguments = step_arguments() | changes
    with pytest.raises(error, match=message):
        BitFlip(50).step(**arguments)
    assert not arguments["out_states"].any()
    assert not arguments["out_terminated"].any()


def test_step_without_episodes_rejects_active_ones():
    with pytest.raises(ValueError, match="there are no episodes"):
        BitFlip(50).step(**step_arguments(n_episodes=0) | {"active": np.arange(1)})


def test_actions_of_inactive_episodes_are_not_read():
    arguments = step_arguments() | {
        "actions": np.array([0, 999, 0, 0], np.uint16),
        "active": np.array([0, 2, 3]),
    }
    BitFlip(50).step(**arguments)
    assert not arguments["out_states"][1]


def test_reset_rejects_invalid_arguments():
    rng = np.random.default_rng(0)
    good = np.zeros((3, 1), np.uint64)
    wide = np.zeros((3, 2), np.uint64)
    signed = np.zeros((3, 1), np.int64)
    with pytest.raises(ValueError, match=r"out_states must have shape \(3, 1\), got \(3, 2\)"):
        BitFlip(50).reset(rng, wide, good)
    with pytest.raises(ValueError, match=r"out_goals must have shape \(3, 1\), got \(2, 1\)"):
        BitFlip(50).reset(rng, good, good[:2])
    with pytest.raises(TypeError, match="out_goals must be a NumPy array of uint64, got dtype int64"):
        BitFlip(50).reset(rng, good, signed)
    good.setflags(write=False)
    with pytest.raises(ValueError, match="read-only"):
        BitFlip(50).reset(rng, good, good)


def test_bit_flip_is_immutable_hashable_and_picklable():
    env: GoalEnv = BitFlip(np.int64(50))
    assert (env.n_state_bits, env.n_goal_bits, env.n_actions, env.max_steps) == (50, 50, 50, 50)
    assert type(env.n_state_bits) is int
    assert env == BitFlip(n_bits=50, max_steps=50) != BitFlip(50, 49)
    assert hash(env) == hash(BitFlip(50))
    assert repr(env) == "BitFlip(n_bits=50, max_steps=50)"
    assert pickle.loads(pickle.dumps(env)) == env
    with pytest.raises(dataclasses.FrozenInstanceError):
        env.n_bits = 3


@pytest.mark.parametrize("value", [0, -1, 65_536])
@pytest.mark.parametrize("name", ["n_bits", "max_steps"])
def test_a_size_out_of_range_is_named_in_the_error(name, value):
    with pytest.raises(ValueError, match=f"{name} must be from 1 to 65,535, got {value:,}"):
        BitFlip(**{"n_bits": 3, name: value})


@pytest.mark.parametrize("value", [True, np.True_, 2.0, "5", [5]])
@pytest.mark.parametrize("name", ["n_bits", "max_steps"])
def test_a_size_that_is_not_an_integer_is_named_in_the_error(name, value):
    with pytest.raises(TypeError, match=f"{name} must be an integer from 1 to 65,535, got "):
        BitFlip(**{"n_bits": 3, name: value})


def test_step_flips_the_last_of_65535_bits():
    env, _, states, goals = start_episodes(65_535, 2)
    actions = np.full(2, 65_534, np.uint16)
    terminated = np.empty(2, bool)
    before = states.copy()
    env.step(states, goals, actions, np.arange(2), states, terminated)
    np.testing.assert_array_equal(states[:, -1] ^ before[:, -1], np.uint64(1 << 62))
    np.testing.assert_array_equal(states[:, :-1], before[:, :-1])


# --- a fixed goal ---


@pytest.mark.parametrize("n_bits", SIZES)
def test_reset_to_a_fixed_goal_equals_the_reference_draw_for_draw(n_bits):
    bits = np.random.default_rng(n_bits).integers(0, 2, n_bits)
    rng = np.random.default_rng(n_bits)
    states, goals = (np.empty((40, -(-n_bits // 64)), np.uint64) for _ in range(2))
    BitFlip(n_bits, goal=bits).reset(rng, states, goals)
    raw = np.random.PCG64(n_bits)
    goal = from_bits(bits)
    for state, row in zip(states, goals, strict=True):
        assert (from_words(state), from_words(row)) == (ref.reset_to(raw, n_bits, goal), goal)
    assert rng.bit_generator.random_raw() == raw.random_raw()


def test_start_states_are_uniform_over_all_but_the_fixed_goal():
    states, goals = (np.empty((20_000, 1), np.uint64) for _ in range(2))
    BitFlip(4, goal="1011").reset(np.random.default_rng(0), states, goals)
    assert (goals == 0b1101).all()  # the first character is bit 0
    starts = states[:, 0].astype(int)
    assert (starts != 0b1101).all()
    assert_uniform(starts - (starts > 0b1101), 15, "start states")


def test_an_optimal_policy_needs_as_many_steps_to_a_fixed_goal():
    n_bits, max_steps = 8, 5
    env = BitFlip(n_bits, max_steps, goal="1" * n_bits)
    steps = [n_bits - state.bit_count() for state in range(2**n_bits - 1)]
    optimal = env.optimal_play()
    assert optimal == BitFlip(n_bits, max_steps).optimal_play()
    assert optimal.mean_steps == pytest.approx(np.mean(steps), rel=0.01)
    assert optimal.unreachable == pytest.approx(np.mean(np.array(steps) > max_steps), rel=0.01)


@pytest.mark.parametrize(
    "goal",
    ["0110", np.str_("0110"), [0, 1, 1, 0], (False, True, True, False), np.array([0, 1, 1, 0], np.uint8)],
)
def test_goals_of_any_type_are_kept_as_text(goal):
    env = BitFlip(4, goal=goal)
    assert type(env.goal) is str
    assert env.goal == "0110"
    assert env.spec() == {"id": "BitFlip", "n_bits": 4, "max_steps": 4, "goal": "0110"}
    copies = [pickle.loads(pickle.dumps(env)), make_env(json.loads(json.dumps(env.spec())))]
    copies += [dataclasses.replace(env), eval(repr(env), {"BitFlip": BitFlip})]
    assert copies == [env] * 4
    assert {hash(other) for other in copies} == {hash(env)}
    assert env not in (BitFlip(4), BitFlip(4, goal="0111"))


def test_names_mention_the_fixed_goal():
    assert BitFlip(4).spec() == {"id": "BitFlip", "n_bits": 4, "max_steps": 4}
    assert (BitFlip(4).label, BitFlip(4).describe()) == ("4bits", "4 bits in at most 4 steps")
    env = BitFlip(4, 6, goal="0110")
    assert (env.label, env.describe()) == ("4bits-fixed-goal", "4 bits in at most 6 steps to a fixed goal")
    assert repr(env) == "BitFlip(n_bits=4, max_steps=6, goal='0110')"
    assert env.encoding == "signed"


@pytest.mark.parametrize(
    ("goal", "error", "message"),
    [
        ("011", ValueError, "^goal must have 4 characters, each 0 or 1, got '011'$"),
        ("01102", ValueError, "^goal must have 4 characters, each 0 or 1, got '01102'$"),
        ("01x0", ValueError, "^goal must have 4 characters, each 0 or 1, got '01x0'$"),
        ([0, 1, 1], ValueError, r"^goal must have shape \(4,\), got \(3,\)$"),
        ([[0, 1, 1, 0]], ValueError, r"^goal must have shape \(4,\), got \(1, 4\)$"),
        ([0, 1, 2, 0], ValueError, r"^goal must be 0 or 1, got 2$"),
        ([0.0, 1.0, 1.0, 0.0], TypeError, r"^goal must be booleans or integers, got dtype float64$"),
        (10, TypeError, "^goal must be a str or an array of 4 zeros and ones, got the single value 10$"),
        (b"0110", TypeError, r"^goal must be a str or an array of 4 zeros and ones, got .* b'0110'$"),
    ],
)
def test_an_invalid_goal_is_rejected(goal, error, message):
    with pytest.raises(error, match=message):
        BitFlip(4, goal=goal)


def test_the_core_checks_the_shape_of_a_fixed_goal():
    states, goals = (np.full((1, 1), 7, np.uint64) for _ in range(2))
    with pytest.raises(ValueError, match=r"^goal must have shape \(1,\), got \(2,\)$"):
        _core_envs.bitflip_reset(np.random.PCG64(0), 9, states, goals, np.zeros(2, np.uint64))
    assert (states[0, 0], goals[0, 0]) == (7, 7)
