"""Tests of the check of a task: what it finds, and what it lets pass."""

import re
from dataclasses import dataclass

import numpy as np
import pytest
from support.toy_tasks import Coins, LampTask, Masks, bits_of

from herfast import Agent, GoalTask
from herfast.envs import task_contract
from herfast.envs.adapters import as_goal_env
from herfast.envs.goal_task import PackedTask

SMALL = {"hidden": (8,), "capacity": 100, "episodes_per_cycle": 2, "updates_per_cycle": 1, "batch_size": 4}


def broken(**members):
    return type("Broken", (Coins,), members)()


def reset_to(change):
    """Return a `reset` whose states and goals are changed."""
    return lambda self, rng, n_episodes: change(*Coins.reset(self, rng, n_episodes))


def step_to(change):
    """Return a `step` whose next states are changed."""
    return lambda self, states, actions: change(Coins.step(self, states, actions))


def step_in_place(self, states, actions):
    states ^= actions[:, None] == np.arange(5)
    return states


def step_with_own_actions(self, states, actions):
    actions += 1
    return states ^ (actions[:, None] == np.arange(1, 6))


def step_by_the_row_above(self, states, actions):
    """Only the last row is right."""
    above = np.concatenate([actions[1:], actions[-1:]])
    return states ^ (above[:, None] == np.arange(5))


def step_of_last_bits(self, states, actions):
    """The goal is compared with the first three bits, which never change."""
    return states ^ (np.arange(5) == 3 + actions[:, None] % 2)


def step_of_four_actions(self, states, actions):
    return states ^ np.eye(5, dtype=bool)[:4][actions]


def step_of_many(self, states, actions):
    if len(states) > 1:
        raise RuntimeError("too many\nepisodes")
    return Coins.step(self, states, actions)


def step_with_one_action(self, states, actions):
    return Coins.step(self, states, np.full_like(actions, actions[0]))


def step_at_random(self, states, actions):
    return Coins.step(self, states, np.random.default_rng().permuted(actions))


def reset_at_random(self, rng, n_episodes):
    return Coins.reset(self, np.random.default_rng(), n_episodes)


def reset_of_many(self, rng, n_episodes):
    states, goals = Coins.reset(self, rng, n_episodes)
    return np.array([states[0], states[1]]), goals


def goals_at_random(self, rng, n_episodes):
    states, _ = Coins.reset(self, rng, n_episodes)
    return states, ~states & Coins.reset(self, np.random.default_rng(), n_episodes)[1]


STATES = "^Broken.step must return states as a bool array of shape (64, 5), got"
STARTS = "^Broken.reset must return states as a bool array of shape (1, 5), got"
BROKEN = {
    "no tuple": (
        {"reset": reset_to(lambda states, goals: states)},
        TypeError,
        "^Broken.reset must return a tuple of states and goals, got array([[",
    ),
    "states as integers": (
        {"reset": reset_to(lambda states, goals: (states.astype(int), goals))},
        TypeError,
        f"{STARTS} dtype int64$",
    ),
    "goals as a list": (
        {"reset": reset_to(lambda states, goals: (states, goals.tolist()))},
        TypeError,
        "^Broken.reset must return goals as a bool array of shape (1, 5), got list$",
    ),
    "goals of another size": (
        {"reset": reset_to(lambda states, goals: (states, goals[:, :4]))},
        ValueError,
        "^Broken.reset must return goals as a bool array of shape (1, 5), got shape (1, 4)$",
    ),
    "one episode too few": (
        {"reset": reset_to(lambda states, goals: (states[1:], goals))},
        ValueError,
        f"{STARTS} shape (0, 5)$",
    ),
    "reset fails": (
        {"reset": reset_of_many},
        ValueError,
        "^Broken.reset fails for n_episodes=1: IndexError: index 1 is out of bounds for axis 0 with size 1$",
    ),
    "states from another generator": (
        {"reset": reset_at_random},
        ValueError,
        "^Broken.reset returns other episodes for an equal rng: all draws must come from rng$",
    ),
    "goals from another generator": (
        {"reset": goals_at_random},
        ValueError,
        "^Broken.reset returns other episodes for an equal rng: all draws must come from rng$",
    ),
    "next states as integers": (
        {"step": step_to(lambda s: s.astype(np.int8))},
        TypeError,
        f"{STATES} dtype int8$",
    ),
    "next states of another size": (
        {"step": step_to(lambda s: s[:, 1:])},
        ValueError,
        f"{STATES} shape (64, 4)$",
    ),
    "no next states": ({"step": step_to(lambda s: None)}, TypeError, f"{STATES} NoneType$"),
    "states changed": (
        {"step": step_in_place},
        ValueError,
        "^Broken.step changes its arguments: it must work on a copy$",
    ),
    "actions changed": (
        {"step": step_with_own_actions},
        ValueError,
        "^Broken.step changes its arguments: it must work on a copy$",
    ),
    "an action too many": (
        {"step": step_of_four_actions},
        ValueError,
        "^Broken.step fails for action 4: IndexError: index 4 is out of bounds for axis 0 with size 4$",
    ),
    "one episode only": (
        {"step": step_of_many},
        ValueError,
        "^Broken.step fails for 64 episodes, but not for one: RuntimeError: too many episodes$",
    ),
    "draws in step": (
        {"step": step_at_random},
        ValueError,
        "^Broken.step returns other states for equal arguments: it must not draw or store anything$",
    ),
    "the action of another episode": (
        {"step": step_with_one_action},
        ValueError,
        "^Broken.step returns another state for an episode alone or in another row: each row of states must "
        "depend only on the same row of the arguments$",
    ),
    "the action of the next episode": (
        {"step": step_by_the_row_above},
        ValueError,
        "^Broken.step returns another state for an episode alone or in another row: each row of states must "
        "depend only on the same row of the arguments$",
    ),
    "no action does anything, at the goal": (
        {
            "reset": reset_to(lambda states, goals: (states, states)),
            "step": lambda self, states, actions: states,
        },
        ValueError,
        "^Broken.step never changes the first 5 bits of the state, which are compared with the goal: put the "
        "bits that the goal describes first$",
    ),
    "goal bits at the end": (
        {
            "n_goal_bits": 3,
            "reset": reset_to(lambda states, goals: (states, goals[:, :3])),
            "step": step_of_last_bits,
        },
        ValueError,
        "^Broken.step never changes the first 3 bits of the state, which are compared with the goal: put the "
        "bits that the goal describes first$",
    ),
    "no action does anything": (
        {"step": lambda self, states, actions: states},
        ValueError,
        "^Broken.step never changes the first 5 bits of the state, which are compared with the goal: put the "
        "bits that the goal describes first$",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_task_is_rejected_in_one_sentence(name):
    members, error, start = BROKEN[name]
    task = broken(**members)
    with pytest.raises(error) as caught:
        Agent(task, **SMALL)
    message = str(caught.value)
    ends = start.endswith("$")
    pattern = "^" + re.escape(start.strip("^$")) + "$" * ends
    assert re.search(pattern, message), message
    assert "\n" not in message


@dataclass(frozen=True)
class Corridor(GoalTask):
    """A position as one bit per cell, after `n_walls` bits that never change."""

    n_cells: int
    n_walls: int
    max_steps: int = 9
    n_actions = 2

    @property
    def n_state_bits(self):
        return self.n_cells + self.n_walls

    @property
    def n_goal_bits(self):
        return self.n_cells

    def reset(self, rng, n_episodes):
        start = rng.integers(0, self.n_cells, n_episodes)
        goal = (start + rng.integers(1, self.n_cells, n_episodes)) % self.n_cells
        walls = rng.integers(0, 2, (n_episodes, self.n_walls)).astype(bool)
        return np.hstack([walls, self.cells(start)]), self.cells(goal)

    def cells(self, position):
        return position[:, None] == np.arange(self.n_cells)

    def step(self, states, actions):
        position = states[:, self.n_walls :].argmax(axis=1)
        position = np.clip(position + 2 * actions - 1, 0, self.n_cells - 1)
        return np.hstack([states[:, : self.n_walls], self.cells(position)])


def test_goal_bits_that_are_not_the_first_are_found():
    with pytest.raises(
        ValueError, match=r"^Corridor.step never changes the first 20 bits of the state, which"
    ):
        Agent(Corridor(n_cells=20, n_walls=30), **SMALL)


@dataclass(frozen=True)
class Counter(GoalTask):
    """A counter, whose last carry is the goal. Random play hardly reaches it."""

    n_bits: int
    n_actions: int = 3
    max_steps: int = 500
    n_goal_bits = 1

    @property
    def n_state_bits(self):
        return 1 + self.n_bits

    def reset(self, rng, n_episodes):
        return np.zeros((n_episodes, self.n_state_bits), bool), np.ones((n_episodes, 1), bool)

    def step(self, states, actions):
        number = states[:, 1:] @ (1 << np.arange(self.n_bits))
        number = np.where(actions == 1, number + 1, 0)
        done = states[:, :1] | (number >> self.n_bits)[:, None].astype(bool)
        return np.hstack([done, bits_of(number, self.n_bits)])


class UndefinedAtGoal(Coins):
    """Raises for a state that an episode does not continue from."""

    def step(self, states, actions):
        assert states.any(axis=1).all()
        return super().step(states, actions)

    def reset(self, rng, n_episodes):
        states, goals = super().reset(rng, n_episodes)
        states[:, 0] = True
        return states, np.zeros_like(goals)


class OneStep(Coins):
    """Every episode ends after its first step, and there is no step without episodes."""

    n_state_bits = n_goal_bits = n_actions = 1

    def reset(self, rng, n_episodes):
        return np.zeros((n_episodes, 1), bool), np.ones((n_episodes, 1), bool)

    def step(self, states, actions):
        assert len(states)
        return ~states


def read_only_reset(self, rng, n_episodes):
    goals = np.broadcast_to(np.array([True] * 5), (n_episodes, 5))
    return np.broadcast_to(np.zeros(5, bool), (n_episodes, 5)), goals


VALID = {
    "lamps": LampTask(),
    "one bit": Masks(1, 1, 2, 1),
    "one action": Masks(3, 2, 1),
    "largest state": Masks(65_535, 65_535, 2, 65_535),
    "most actions": Masks(1, 1, 65_536, 1),
    "undefined at goal": UndefinedAtGoal(),
    "one step": OneStep(),
    "read-only": broken(reset=read_only_reset),
    "goal bit in 2**6 actions": Counter(6),
    "goal bit in 2**30 actions": Counter(30),
    "many actions, goal bit in 2**6 of one": Counter(6, 65_536),
}


@pytest.mark.parametrize("name", VALID)
def test_valid_tasks_are_accepted(name):
    assert as_goal_env(VALID[name]).task is VALID[name]


def test_all_actions_are_tried():
    class Recorder(Masks):
        def step(self, states, actions):
            tried.update(actions.tolist())
            return super().step(states, actions)

    tried = set()
    as_goal_env(Recorder(9, 9, 1_000))
    assert tried == set(range(1_000))
    tried.clear()
    as_goal_env(Recorder(99, 9, 65_536))
    assert {0, 65_535} < tried
    assert len(tried) > 2**20 // 99


@pytest.mark.parametrize("task", [Masks(65_535, 9, 2), Masks(1, 1, 65_536), Counter(30), Counter(6, 65_536)])
def test_the_work_is_bounded(task, monkeypatch):
    sizes = []
    step = type(task).step

    def record(self, states, actions):
        sizes.append(states.size)
        return step(self, states, actions)

    monkeypatch.setattr(type(task), "step", record)
    task_contract.check_contract(PackedTask(task))
    assert max(sizes) <= 2**20
    assert sum(sizes) <= 20 * 2**20
    assert len(sizes) < 300
