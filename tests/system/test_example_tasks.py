"""Dynamics of the tasks in examples/."""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pytest

from herfast.envs.adapters import as_goal_env

ROOT = Path(__file__).parents[2]


def example(name):
    spec = spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


hanoi = example("towers_of_hanoi")
sliding = example("sliding_puzzle")


@pytest.mark.parametrize("task", [hanoi.TowersOfHanoi(1), hanoi.TowersOfHanoi(5), sliding.SlidingPuzzle()])
def test_the_examples_are_valid_tasks(task):
    env = as_goal_env(task)
    assert env.encoding == "binary"
    assert env.spec()["id"] == f"{type(task).__module__}:{type(task).__name__}"


def pegs_of(states, disks):
    """Return the peg of each disk; each disk must be on one peg."""
    bits = states.reshape(-1, disks, 3)
    assert (bits.sum(axis=2) == 1).all()
    return bits.argmax(axis=2)


def moved(pegs, source, target):
    """Return the pegs after a move, by the rules in words."""
    pegs = list(pegs)
    on_source = [disk for disk, peg in enumerate(pegs) if peg == source]
    on_target = [disk for disk, peg in enumerate(pegs) if peg == target]
    if on_source and not (on_target and min(on_target) < min(on_source)):
        pegs[min(on_source)] = target
    return pegs


@pytest.mark.parametrize("disks", [1, 2, 3, 5])
def test_hanoi_moves_the_top_disk_and_never_onto_a_smaller_one(disks):
    task = hanoi.TowersOfHanoi(disks)
    states, goals = task.reset(np.random.default_rng(0), 200)
    pegs_of(goals, disks)
    for action, (source, target) in enumerate(hanoi.MOVES):
        after = task.step(states, np.full(200, action))
        expected = [moved(pegs, source, target) for pegs in pegs_of(states, disks)]
        np.testing.assert_array_equal(pegs_of(after, disks), expected)


def test_hanoi_takes_back_each_move_by_another():
    task = hanoi.TowersOfHanoi(4)
    states, _ = task.reset(np.random.default_rng(1), 300)
    moves = [tuple(move) for move in hanoi.MOVES]
    assert len(set(moves)) == 6
    for action, (source, target) in enumerate(moves):
        after = task.step(states, np.full(300, action))
        is_moved = (after != states).any(axis=1)
        assert 0 < is_moved.sum() < 300
        back = task.step(after, np.full(300, moves.index((target, source))))
        np.testing.assert_array_equal(back[is_moved], states[is_moved])


def test_hanoi_is_solved_by_the_known_moves():
    """A tower of n disks takes 2**n - 1 moves, which is less than max_steps."""
    task = hanoi.TowersOfHanoi(4)
    state = np.zeros((1, 4, 3), bool)
    state[:, :, 0] = True
    state = state.reshape(1, 12)
    moves = [tuple(move) for move in hanoi.MOVES]

    def solve(disks, source, target):
        if disks:
            other = 3 - source - target
            return [*solve(disks - 1, source, other), (source, target), *solve(disks - 1, other, target)]
        return []

    solution = solve(4, 0, 2)
    for move in solution:
        state = task.step(state, np.array([moves.index(move)]))
    assert (pegs_of(state, 4) == 2).all()
    assert len(solution) == 15 < task.max_steps


def boards_of(states):
    """Return the tile of each cell; each tile must be in one cell."""
    bits = states.reshape(-1, 9, 9)
    boards = bits.argmax(axis=2)
    assert (np.sort(boards) == np.arange(9)).all()
    assert (bits.sum(axis=2) == 1).all()
    return boards.reshape(-1, 3, 3)


STEPS = [(-1, 0), (1, 0), (0, -1), (0, 1)]  # of the blank, in rows and columns


@pytest.mark.parametrize("action", range(4))
def test_the_blank_changes_places_with_a_tile_beside_it(action):
    task = sliding.SlidingPuzzle()
    states, _ = task.reset(np.random.default_rng(2), 200)
    after = boards_of(task.step(states, np.full(200, action)))
    n_moved = 0
    for before, board in zip(boards_of(states), after, strict=True):
        row, column = np.argwhere(before == 0)[0]
        row_after, column_after = row + STEPS[action][0], column + STEPS[action][1]
        if 0 <= row_after < 3 and 0 <= column_after < 3:
            before[row, column] = before[row_after, column_after]
            before[row_after, column_after] = 0
            n_moved += 1
        np.testing.assert_array_equal(board, before)
    assert 0 < n_moved < 200


def test_moves_of_the_blank_are_taken_back_by_the_opposite_ones():
    task = sliding.SlidingPuzzle()
    states, _ = task.reset(np.random.default_rng(3), 200)
    for action, opposite in enumerate((1, 0, 3, 2)):
        after = task.step(states, np.full(200, action))
        is_moved = (after != states).any(axis=1)
        back = task.step(after, np.full(200, opposite))
        np.testing.assert_array_equal(back[is_moved], states[is_moved])


def test_goals_of_the_puzzle_are_some_moves_away():
    starts, goals = sliding.SlidingPuzzle(moves=1).reset(np.random.default_rng(4), 400)
    boards_of(goals)
    is_near = np.zeros(400, bool)
    for action in range(4):
        is_near |= (sliding.SlidingPuzzle().step(starts, np.full(400, action)) == goals).all(axis=1)
    assert is_near.all()
    assert len(np.unique(starts, axis=0)) > 350


def test_the_manual_shows_the_sliding_puzzle():
    source = (ROOT / "examples" / "sliding_puzzle.py").read_text()
    shown = source[source.index("ROW, COLUMN") : source.index("\n\n\ndef main")]
    manual = (ROOT / "docs" / "own_tasks.md").read_text()
    assert f"from herfast import Agent, GoalTask\n\n{shown}\n" in manual
