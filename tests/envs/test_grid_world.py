"""Tests of the grid world.

The reference runs one episode at a time from the same raw random outputs.
"""

import copy
import dataclasses
import json
import pickle

import numpy as np
import pytest
from reference import grid_world as ref
from reference.bits import from_words, to_words
from support.chi_square import assert_frequencies
from support.packed_envs import check_invalid_resets, check_invalid_steps, check_steps, start_episodes

from herfast import GoalEnv, GridWorld, _core_envs, make_env
from herfast.envs.grid_world import FOUR_ROOMS

SIZES = [*range(2, 10), 63, 64, 65, 127, 128, 129, 1000]
TWO_PARTS = "..#...\n.##.#.\n#.##.."  # components of 3 and 7 cells, and a single one


def random_map(n_cells, seed=0):
    """Return a map of n_cells free cells with many walls.

    The first two places are free and adjacent.
    """
    rng = np.random.default_rng([n_cells, seed])
    width = int(rng.integers(1, 21))
    chars = ".."
    while chars.count(".") < n_cells:
        chars += "#" if rng.random() < 0.3 else "."
    return "\n".join(chars[start : start + width] for start in range(0, len(chars), width))


def cell_of(words):
    """Return the index of the only 1."""
    return from_words(words).bit_length() - 1


@pytest.mark.parametrize("n_cells", SIZES)
def test_reset_equals_the_reference_draw_for_draw(n_cells):
    env = GridWorld(random_map(n_cells))
    assert env.n_state_bits == env.n_goal_bits == n_cells
    rng, states, goals = start_episodes(env, 40, seed=n_cells)
    raw = np.random.PCG64(n_cells)
    places = ref.free_places(env.map)
    components = ref.components(places)
    for state, goal in zip(states, goals, strict=True):
        expected = (1 << places.index(place) for place in ref.reset(raw, components))
        assert (from_words(state), from_words(goal)) == tuple(expected)
    assert rng.bit_generator.random_raw() == raw.random_raw()


@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("n_cells", SIZES)
def test_step_equals_the_reference_and_skips_inactive_episodes(n_cells, in_place):
    env = GridWorld(random_map(n_cells))
    places = ref.free_places(env.map)

    def next_state(words, action):
        target = ref.moved(places, places[cell_of(words)], action)
        return to_words(1 << places.index(target), n_cells)

    check_steps(env, next_state, in_place, seed=n_cells)
    check_steps(env, next_state, in_place, seed=n_cells, n_episodes=2000 if n_cells < 10 else 60)


def test_a_map_of_65535_cells():
    env = GridWorld(("." * 255 + "\n") * 257)
    _, states, goals = start_episodes(env, 2)
    states[:] = to_words(1 << 65_533, 65_535)
    goals[:] = to_words(1 << 65_534, 65_535)
    assert env.better_actions(states, goals).tolist() == [[False, True, False, False]] * 2
    terminated = np.zeros(2, bool)
    env.step(states, goals, np.array([1, 0], np.uint16), np.arange(2), states, terminated)
    assert [cell_of(state) for state in states] == [65_534, 65_533 - 255]
    assert terminated.tolist() == [True, False]


def test_starts_and_goals_have_the_stated_distribution():
    env = GridWorld(TWO_PARTS)
    _, states, goals = start_episodes(env, 20_000)
    places = ref.free_places(env.map)
    components = ref.components(places)
    assert [len(component) for component in components] == [3, 7]
    n = len(places)
    probabilities = np.zeros((n, n))
    for component in components:
        for start in component:
            for goal in component:
                if goal != start:
                    probabilities[places.index(start), places.index(goal)] = 0.1 / (len(component) - 1)
    pairs = [n * cell_of(state) + cell_of(goal) for state, goal in zip(states, goals, strict=True)]
    assert_frequencies(pairs, probabilities.ravel(), "start and goal")


@pytest.mark.parametrize("text", [TWO_PARTS, FOUR_ROOMS, random_map(40)])
def test_better_actions_shorten_the_shortest_path(text):
    env = GridWorld(text)
    places = ref.free_places(env.map)
    n = len(places)
    words = np.array([to_words(1 << cell, n) for cell in range(n)])
    better = env.better_actions(np.repeat(words, n, axis=0), np.tile(words, (n, 1))).reshape(n, n, 4)
    for goal, place in enumerate(places):
        distances = ref.distances(places, place)
        for cell, start in enumerate(places):
            after = [distances.get(ref.moved(places, start, action), n) for action in range(4)]
            assert better[cell, goal].tolist() == [steps < distances.get(start, n) for steps in after]


def test_following_better_actions_reaches_the_goal():
    env = GridWorld("four_rooms")
    _, states, goals = start_episodes(env, 100)
    active = np.arange(100)
    reached = np.zeros(100, bool)
    for _ in range(30):
        actions = env.better_actions(states, goals).argmax(axis=1).astype(np.uint16)
        env.step(states, goals, actions, active, states, reached)
        active = active[~reached[active]]
    assert reached.all()


@pytest.mark.parametrize("env", [GridWorld("four_rooms"), GridWorld("..")])
def test_invalid_arguments_of_step_and_reset_change_nothing(env):
    none, two, past_end = (to_words(string, 64) for string in (0, 3, 1 << 63))
    for stray in (none, two, past_end):
        row = np.zeros(-(-env.n_state_bits // 64), np.uint64)
        row[-1:] = stray
        check_invalid_steps(env, row, f"must have exactly one 1 in {env.n_state_bits} bits")
    check_invalid_resets(env)


def test_maps_are_normalised():
    env = GridWorld("\n\n# .\n\n ..#.\n\n")
    assert env.map == "#..##\n#####\n...#."
    assert (env.n_state_bits, env.max_steps, env.n_actions) == (6, 6, 4)
    same = GridWorld(env.map)
    assert env == same
    assert hash(env) == hash(same)
    assert env.spec() == same.spec() == {"id": "GridWorld", "map": env.map, "max_steps": 6}
    assert env != GridWorld(env.map, 5)
    assert env != GridWorld("..")


def test_the_included_map():
    env = GridWorld("four_rooms")
    assert env == GridWorld(FOUR_ROOMS)
    assert (env.n_state_bits, env.max_steps) == (104, 104)
    assert env.label == "four_rooms"
    assert env.describe() == "four_rooms with 104 free cells in at most 104 steps"
    labels = {GridWorld(map, 9).label for map in ("..\n..\n..", "..\n..\n.#")}
    assert {label.rpartition("-")[0] for label in labels} == {"grid-3x2"}
    assert len(labels) == 2
    assert [len(row) for row in env.map.split("\n")] == [13] * 13
    assert len(ref.components(ref.free_places(env.map))) == 1


def test_copies_are_equal_and_work():
    env = GridWorld(TWO_PARTS, 8)
    copies = [
        pickle.loads(pickle.dumps(env)),
        copy.copy(env),
        copy.deepcopy(env),
        dataclasses.replace(env),
        make_env(json.loads(json.dumps(env.spec()))),
        eval(repr(env), {"GridWorld": GridWorld}),
    ]
    _, states, goals = start_episodes(env, 20)
    for other in copies:
        assert other == env
        assert hash(other) == hash(env)
        _, other_states, other_goals = start_episodes(other, 20)
        np.testing.assert_array_equal(other_states, states)
        np.testing.assert_array_equal(other_goals, goals)
    assert dataclasses.replace(env, max_steps=3) == GridWorld(TWO_PARTS, 3)
    assert len(pickle.dumps(env)) < 200, "tables are not saved"
    assert not any(table.flags.writeable for table in env._tables)
    with pytest.raises(dataclasses.FrozenInstanceError):
        env.map = ".."


def test_members():
    env: GoalEnv = GridWorld("..")
    assert (env.encoding, env.action_label) == ("binary", "move")
    assert env.action_names == ("up", "right", "down", "left")
    assert not hasattr(env, "holds_state")


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("\n  ##\n  ..\n", ValueError, "^map must not be indented, got only rows that begin with a space: "),
        ("", ValueError, "^map must have two connected free cells, got ''$"),
        ("####", ValueError, "^map must have two connected free cells, got '####'$"),
        (".#.\n#.#", ValueError, r"^map must have two connected free cells, got '.#.\\n#.#'$"),
        (
            "...\n.x.",
            ValueError,
            "^map must be 'four_rooms' or rows of '#', '.' and spaces, got 'x' in row 2$",
        ),
        ("..\r\n", ValueError, r"^map must be .*, got '\\r' in row 1$"),
        ("five", ValueError, "^map must be 'four_rooms' or rows .*, got 'f' in row 1$"),
        ("." * 65_536, ValueError, "^map must have at most 65,535 cells with its walls, got 1 x 65,536$"),
        ("..\n" * 257 + "." * 255, ValueError, "^map must have at most .*, got 258 x 255$"),
        (None, TypeError, "^map must be a str, got None$"),
        (["..", ".."], TypeError, r"^map must be a str, got \['..', '..'\]$"),
    ],
)
def test_an_invalid_map_is_rejected(text, error, message):
    with pytest.raises(error, match=message):
        GridWorld(text)


@pytest.mark.parametrize("max_steps", [0, 65_536, 2.0, True])
def test_an_invalid_step_limit_is_rejected(max_steps):
    with pytest.raises((TypeError, ValueError), match=r"^max_steps must be "):
        GridWorld("..", max_steps)


def test_text_shows_position_and_goal():
    env = GridWorld("...\n.#.")
    state, goal = np.zeros((2, 5), np.int8)
    state[1] = goal[4] = 1
    assert env.render_ansi(state, goal) == ".@.\n.#G"
    goal[:] = state
    assert env.render_ansi(state, goal) == ".*.\n.#."
    assert env.render_ansi(state, goal) == env.render_ansi(state.tolist(), goal > 0)


def test_image_shows_position_and_goal():
    env = GridWorld("...\n.#.")
    state, goal = np.zeros((2, 5), np.int8)
    state[1] = goal[4] = 1
    pixels = env.render_rgb_array(state, goal)
    assert (pixels.dtype, pixels.shape) == (np.dtype(np.uint8), (50, 68, 3))
    corners = pixels[8:44:18, 8:62:18].reshape(6, 3)
    centres = pixels[16:44:18, 16:62:18].reshape(6, 3)
    pale, blue, dark, orange = (0xC9, 0xD8, 0xEA), (0x1F, 0x5F, 0xA8), (0x3B, 0x40, 0x4A), (0xD1, 0x60, 0x0A)
    assert list(map(tuple, corners.tolist())) == [pale, pale, pale, pale, dark, blue]
    assert list(map(tuple, centres.tolist())) == [pale, orange, pale, pale, dark, blue]


@pytest.mark.parametrize("render", ["render_ansi", "render_rgb_array"])
def test_rendering_rejects_other_shapes_and_values(render):
    env = GridWorld("...")
    with pytest.raises(ValueError, match=r"^state must have shape \(3,\), got \(2,\)$"):
        getattr(env, render)([0, 1], [0, 0, 1])
    with pytest.raises(ValueError, match=r"^goal must be 0 or 1, got 2$"):
        getattr(env, render)([0, 1, 0], [0, 0, 2])


def test_better_actions_reject_states_without_a_position():
    env = GridWorld("...")
    one = np.ones((1, 1), np.uint64)
    with pytest.raises(ValueError, match=r"^states must have exactly one 1 per row, got 0$"):
        env.better_actions(one * 0, one)
    with pytest.raises(ValueError, match=r"^goals must have exactly one 1 per row, got 2$"):
        env.better_actions(one, one * 3)


@pytest.mark.parametrize(
    ("moves", "starts", "message"),
    [
        ((0, 4), (2, 3), "^n_cells must be from 1 to 65,535, got 0$"),
        ((2, 3), (2, 3), r"^moves must have shape \(2, 4\), got \(2, 3\)$"),
        ((2, 4), (0, 3), "^n_starts must be from 1 to 65,535, got 0$"),
        ((2, 4), (2, 2), r"^starts must have shape \(2, 3\), got \(2, 2\)$"),
    ],
)
def test_the_core_checks_the_shapes_of_tables(moves, starts, message):
    states, goals = (np.full((1, 1), 7, np.uint64) for _ in range(2))
    with pytest.raises(ValueError, match=message):
        _core_envs.grid_world_reset(
            np.random.PCG64(0), np.zeros(moves, np.uint16), np.zeros(starts, np.uint16), states, goals
        )
    assert (states[0, 0], goals[0, 0]) == (7, 7)
