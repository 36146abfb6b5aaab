"""Tests of lights out.

The reference runs one episode at a time from the same raw random outputs.
"""

import copy
import dataclasses
import itertools
import json
import math
import pickle

import numpy as np
import pytest
from reference import lights_out as ref
from reference.bits import from_words, to_words
from support.chi_square import assert_fair_bits, assert_frequencies, assert_independent, assert_uniform
from support.packed_envs import check_invalid_resets, check_invalid_steps, check_steps, start_episodes

from herfast import GoalEnv, LightsOut, _core_envs, make_env, unpack_bits

# Boards of 1 to 9, 63 to 65, 127 to 129 and 1,000 cells.
BOARDS = [(1, 1), (2, 1), (1, 3), (2, 2), (5, 1), (2, 3), (1, 7), (4, 2), (3, 3)]
BOARDS += [(7, 9), (8, 8), (13, 5), (1, 127), (16, 8), (43, 3), (25, 40)]


def as_integers(words):
    return np.array([from_words(row) for row in words])


@pytest.mark.parametrize(("width", "height"), BOARDS)
@pytest.mark.parametrize("presses", [None, 1, 3, "all"])
def test_reset_equals_the_reference_draw_for_draw(width, height, presses):
    most = presses
    if presses is not None:
        most = width * height if presses == "all" else min(presses, width * height)
    env = LightsOut(width, height, most)
    rng, states, goals = start_episodes(env, 20, seed=width)
    raw = np.random.PCG64(width)
    for state, goal in zip(states, goals, strict=True):
        assert (from_words(state), from_words(goal)) == ref.reset(raw, width, height, most)
    assert rng.bit_generator.random_raw() == raw.random_raw()


@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize(("width", "height"), BOARDS)
def test_step_equals_the_reference_and_skips_inactive_episodes(width, height, in_place):
    env = LightsOut(width, height)
    n = width * height

    def next_state(words, action):
        return to_words(ref.press(from_words(words), width, height, action), n)

    check_steps(env, next_state, in_place, seed=n)
    if n == 9:
        check_steps(env, next_state, in_place, seed=n, n_episodes=2000)


def test_a_board_of_65535_cells():
    env = LightsOut(255, 257, presses=2)
    _, states, goals = start_episodes(env, 2)
    before = states.copy()
    terminated = np.ones(2, bool)
    env.step(states, goals, np.array([65_534, 0], np.uint16), np.arange(2), states, terminated)
    changed = [np.flatnonzero(row).tolist() for row in unpack_bits(states ^ before, 65_535)]
    assert changed == [[65_534 - 255, 65_533, 65_534], [0, 1, 255]]
    assert not terminated.any()


def test_start_states_are_uniform_and_do_not_depend_on_the_difference_to_the_goal():
    for env in (LightsOut(3, 2), LightsOut(3, 2, 2)):
        _, states, goals = start_episodes(env, 20_000)
        starts = as_integers(states)
        assert_uniform(starts, 64, f"starts of {env}")
        assert_independent(starts, starts ^ as_integers(goals), f"start and goal of {env}")
    _, states, _ = start_episodes(LightsOut(13, 10), 2_000)
    assert_fair_bits(unpack_bits(states, 130), "start states")


@pytest.mark.parametrize(("width", "height"), [(2, 1), (3, 2), (5, 1), (3, 3), (2, 2)])
def test_goals_are_uniform_over_those_that_can_be_reached(width, height):
    n = width * height
    reachable = {
        ref.pressed(0, width, height, [cell for cell in range(n) if presses >> cell & 1])
        for presses in range(2**n)
    }
    assert (width, height) not in [(2, 1), (3, 2), (5, 1)] or len(reachable) < 2**n
    _, states, goals = start_episodes(LightsOut(width, height), 20_000)
    weights = [float(change in reachable and change > 0) for change in range(2**n)]
    assert_frequencies(as_integers(states) ^ as_integers(goals), weights, "changes")


@pytest.mark.parametrize(("width", "height", "presses"), [(3, 2, 1), (3, 2, 3), (2, 2, 4), (5, 1, 5)])
def test_numbers_of_presses_are_uniform_and_cells_are_different(width, height, presses):
    n = width * height
    weights = np.zeros(2**n)
    for count in range(1, presses + 1):
        for cells in itertools.combinations(range(n), count):
            weights[ref.pressed(0, width, height, list(cells))] += 1 / math.comb(n, count)
    weights[0] = 0  # drawn again
    _, states, goals = start_episodes(LightsOut(width, height, presses), 20_000)
    assert_frequencies(as_integers(states) ^ as_integers(goals), weights, "changes")


@pytest.mark.parametrize("env", [LightsOut(3, 3), LightsOut(13, 5)])
def test_invalid_arguments_of_step_and_reset_change_nothing(env):
    n = env.n_state_bits
    row = np.zeros(-(-n // 64), np.uint64)
    row[-1:] = 1 << n % 64
    check_invalid_steps(env, row, f"must be a string of {n} bits, got a 1 at or past bit {n}$")
    check_invalid_resets(env)


def test_copies_are_equal():
    for env in (LightsOut(np.int64(3), 4), LightsOut(3, 4, 5, 6)):
        copies = [
            pickle.loads(pickle.dumps(env)),
            copy.deepcopy(env),
            dataclasses.replace(env),
            make_env(json.loads(json.dumps(env.spec()))),
            eval(repr(env), {"LightsOut": LightsOut}),
        ]
        for other in copies:
            assert other == env
            assert hash(other) == hash(env)
        with pytest.raises(dataclasses.FrozenInstanceError):
            env.width = 3
    assert LightsOut(3, 4) != LightsOut(4, 3)
    assert LightsOut(3, 4) != LightsOut(3, 4, 12)


def test_members():
    env: GoalEnv = LightsOut(3, 4)
    assert (env.n_state_bits, env.n_goal_bits, env.n_actions, env.max_steps) == (12, 12, 12, 12)
    assert type(env.n_state_bits) is int
    assert env.spec() == {"id": "LightsOut", "width": 3, "height": 4, "presses": None, "max_steps": 12}
    assert (env.label, env.action_label, env.encoding) == ("lights-3x4", "press", "binary")
    assert env.describe() == "3 x 4 lights in at most 12 steps"
    near = LightsOut(3, 4, presses=2)
    assert near.label == "lights-3x4-2presses"
    assert near.describe() == "3 x 4 lights in at most 12 steps, with up to 2 presses to the goal"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 3), "^width must be from 1 to 65,535, got 0$"),
        ((3, 65_536), "^height must be from 1 to 65,535, got 65,536$"),
        ((256, 256), r"^width \* height must be from 1 to 65,535, got 65,536$"),
        ((3, 3, 0), "^presses must be from 1 to 9, got 0$"),
        ((3, 3, 10), "^presses must be from 1 to 9, got 10$"),
        ((3, 3, 1.5), r"^presses must be an integer from 1 to 9, got 1.5$"),
        ((3, 3, None, 0), "^max_steps must be from 1 to 65,535, got 0$"),
        (("3", 3), "^width must be an integer from 1 to 65,535, got '3'$"),
    ],
)
def test_invalid_sizes_are_rejected(arguments, message):
    with pytest.raises((TypeError, ValueError), match=message):
        LightsOut(*arguments)


def test_text_shows_board_and_goal():
    env = LightsOut(3, 2)
    text = env.render_ansi(np.array([1, 0, 0, 0, 1, 1], np.int8), np.array([0, 0, 1, 0, 1, 0], np.int8))
    wide = LightsOut(6, 1).render_ansi(np.array([1, 0, 0, 0, 1, 1]), np.zeros(6, np.int8))
    assert wide == "state    goal\nO...OO   ......"
    assert text == "state   goal\nO..     ..O\n.OO     .O."


def test_image_shows_board_and_goal_and_marks_differences():
    env = LightsOut(3, 2)
    pixels = env.render_rgb_array(np.array([1, 0, 0, 0, 1, 1]), np.array([0, 0, 1, 0, 1, 1]))
    assert (pixels.dtype, pixels.shape) == (np.dtype(np.uint8), (50, 140, 3))
    corners = pixels[8:44:18, 8:134:18].reshape(14, 3)
    centres = pixels[16:44:18, 16:134:18].reshape(14, 3)
    names = {(0xF4, 0xC9, 0x3C): "O", (0x3B, 0x40, 0x4A): ".", (255, 255, 255): " ", (0xD1, 0x60, 0x0A): "x"}
    assert "".join(names[tuple(colour)] for colour in corners.tolist()) == "O.. ..O.OO .OO"
    assert "".join(names[tuple(colour)] for colour in centres.tolist()) == "x.x ..O.OO .OO"


@pytest.mark.parametrize("render", ["render_ansi", "render_rgb_array"])
def test_rendering_rejects_other_shapes_and_values(render):
    with pytest.raises(ValueError, match=r"^state must have shape \(2,\), got \(3,\)$"):
        getattr(LightsOut(2, 1), render)([0, 1, 0], [0, 0])
    with pytest.raises(ValueError, match=r"^goal must be 0 or 1, got -1$"):
        getattr(LightsOut(2, 1), render)([0, 1], [0, -1])


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((0, 1, 0), "^width must be from 1 to 65,535, got 0$"),
        ((1, 65_536, 0), "^height must be from 1 to 65,535, got 65,536$"),
        ((256, 256, 0), r"^width \* height must be from 1 to 65,535, got 65,536$"),
        ((2, 2, 5), "^most_presses must be from 0 to 4, got 5$"),
        ((2, 2, -1), "^most_presses must be from 0 to 4, got -1$"),
    ],
)
def test_the_core_checks_sizes(sizes, message):
    states, goals = (np.full((1, 1), 7, np.uint64) for _ in range(2))
    with pytest.raises(ValueError, match=message):
        _core_envs.lights_out_reset(np.random.PCG64(0), *sizes, states, goals)
    assert (states[0, 0], goals[0, 0]) == (7, 7)
