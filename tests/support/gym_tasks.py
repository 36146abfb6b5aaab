"""Goal environments of a user of Gymnasium.

Each has an id "tests/<class>-v0".
"""

import gymnasium
import numpy as np
from gymnasium import spaces

MAZE = ["#########", "#   #   #", "#       #", "#   #   #", "## ### ##"]
MAZE += ["#   #   #", "#       #", "#   #   #", "#########"]
MOVES = [(-1, 0), (0, 1), (1, 0), (0, -1)]  # as in GridWorld


class GoalGym(gymnasium.Env):
    """Base class.

    A subclass sets the spaces and defines `start`, `move`, `parts` and `is_reached`.
    """

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.start()
        return self.parts(), {}

    def step(self, action):
        self.move(int(action))
        parts = self.parts()
        reward = float(self.compute_reward(parts["achieved_goal"], parts["desired_goal"], {}))
        return parts, reward, self.ends(reward), False, self.info(reward)

    def ends(self, reward):
        return reward == 0

    def info(self, reward):
        return {}

    def compute_reward(self, achieved_goal, desired_goal, info):
        return np.where(self.is_reached(achieved_goal, desired_goal), 0.0, -1.0)


class Maze(GoalGym):
    """A maze of four parts of 3 x 3 cells.

    Goals are cells, as one integer that counts from 5.
    """

    def __init__(self, rows=tuple(MAZE)):
        self.cells = [(y, x) for y, row in enumerate(rows) for x, char in enumerate(row) if char == " "]
        targets = [[(y + dy, x + dx) for dy, dx in MOVES] for y, x in self.cells]
        numbers = {cell: number for number, cell in enumerate(self.cells)}
        self.next = [[numbers.get(cell, i) for cell in row] for i, row in enumerate(targets)]
        part = spaces.Discrete(len(self.cells), start=5)
        self.observation_space = spaces.Dict(observation=part, achieved_goal=part, desired_goal=part)
        self.action_space = spaces.Discrete(4)

    def start(self):
        self.place, self.goal = self.np_random.choice(len(self.cells), 2, replace=False).tolist()

    def move(self, action):
        self.place = self.next[self.place][action]

    def parts(self):
        return {"observation": self.place + 5, "achieved_goal": self.place + 5, "desired_goal": self.goal + 5}

    def is_reached(self, achieved, desired):
        return np.equal(achieved, desired)


class Climb(GoalGym):
    """A ladder of 6 steps, whose goal is reached at any height from it on.

    The reward is not symmetric.

    The observation is a MultiDiscrete of height and parity, and does not equal the achieved goal.
    """

    def __init__(self):
        self.observation_space = spaces.Dict(
            observation=spaces.MultiDiscrete([6, 2]),
            achieved_goal=spaces.Discrete(6),
            desired_goal=spaces.Discrete(6),
        )
        self.action_space = spaces.Discrete(2, start=1)

    def start(self):
        self.height, self.goal = self.np_random.integers(0, 3), self.np_random.integers(3, 6)

    def move(self, action):
        self.height = np.clip(self.height + (1 if action == 2 else -1), 0, 5)

    def parts(self):
        seen = np.array([self.height, self.height % 2])
        return {"observation": seen, "achieved_goal": self.height, "desired_goal": self.goal}

    def is_reached(self, achieved, desired):
        return np.greater_equal(achieved, desired)


class Pit(GoalGym):
    """A line of 5 cells.

    The episode terminates at the goal and, without success, at either end.

    The info says nothing about success.
    """

    def __init__(self):
        part = spaces.MultiBinary(5)
        self.observation_space = spaces.Dict(observation=part, achieved_goal=part, desired_goal=part)
        self.action_space = spaces.Discrete(2)

    def start(self):
        self.place, self.goal = 2, int(self.np_random.choice([1, 3]))

    def move(self, action):
        self.place += 2 * action - 1

    def parts(self):
        place, goal = np.eye(5, dtype=np.int8)[[self.place, self.goal]]
        return {"observation": place.copy(), "achieved_goal": place, "desired_goal": goal}

    def ends(self, reward):
        return reward == 0 or self.place in (0, 4)

    def is_reached(self, achieved, desired):
        return (np.asarray(achieved) == desired).all(axis=-1)


class Lock(GoalGym):
    """A wheel of 4 digits.

    Its digit is the achieved goal, while only a counter of steps is observed.

    Parts are nested, and the reward is 10 at the goal and -0.25 elsewhere. Episodes end at their limit alone.
    """

    def __init__(self, limit=7):
        self.limit = limit
        part = spaces.Dict(digit=spaces.Discrete(4), lights=spaces.Tuple([spaces.MultiBinary((2, 1))] * 2))
        count = spaces.Tuple([spaces.Discrete(limit + 1), spaces.MultiBinary(1)])
        self.observation_space = spaces.Dict(observation=count, achieved_goal=part, desired_goal=part)
        self.action_space = spaces.Discrete(3)

    def start(self):
        self.count = 0
        self.digit, self.goal = self.np_random.integers(0, 4, 2)

    def move(self, action):
        self.count += 1
        self.digit = (self.digit + action) % 4

    def parts(self):
        def part(digit):
            lights = np.array([[digit & 1], [digit >> 1]], np.int8)
            return {"digit": digit, "lights": (lights, 1 - lights)}

        count = (self.count, np.ones(1, np.int8))
        return {"observation": count, "achieved_goal": part(self.digit), "desired_goal": part(self.goal)}

    def step(self, action):
        parts, reward, _, _, _ = super().step(action)
        return parts, reward, False, self.count == self.limit, {"is_success": self.digit == 2}

    def compute_reward(self, achieved_goal, desired_goal, info):
        return np.where(np.equal(achieved_goal["digit"], desired_goal["digit"]), 10.0, -0.25)


class Toll(Pit):
    """Pit whose reward depends on the info, with a `compute_terminated`."""

    def info(self, reward):
        return {"toll": np.float64(0.5 * (self.place % 2)), "path": np.array([self.place]), "note": "paid"}

    def step(self, action):
        parts, reward, terminated, truncated, info = super().step(action)
        return parts, reward - info["toll"], terminated, truncated, info

    def compute_reward(self, achieved_goal, desired_goal, info):
        rewards = super().compute_reward(achieved_goal, desired_goal, info)
        tolls = [single.get("toll", 0.0) for single in ([info] if isinstance(info, dict) else info)]
        return rewards - np.reshape(tolls, rewards.shape)

    def compute_terminated(self, achieved_goal, desired_goal, info):
        achieved = np.asarray(achieved_goal)
        return self.is_reached(achieved, desired_goal) | (achieved[..., [0, 4]] != 0).any(axis=-1)


class Broken(Pit):
    """Like Pit, with a `compute_reward` that compares a batch as a whole."""

    def is_reached(self, achieved, desired):
        return np.array_equal(achieved, desired)


LIMITS = {"Maze": 40, "Climb": 12, "Pit": 20, "Lock": None, "Toll": 20, "Broken": 20}
KINDS = [name for name in LIMITS if name != "Broken"]
for _name, _limit in LIMITS.items():
    gymnasium.register(f"tests/{_name}-v0", globals()[_name], max_episode_steps=_limit)


def make(name, n_envs=None, autoreset=None, mode="sync", **kwargs):
    """Return an environment by the name of its class, single or vector."""
    id = f"tests/{name}-v0"
    if n_envs is None:
        return gymnasium.make(id, **kwargs)
    vector_kwargs = {}
    if autoreset is not None:
        vector_kwargs["autoreset_mode"] = autoreset
    return gymnasium.make_vec(id, n_envs, mode, vector_kwargs, **kwargs)
