"""Tests of GymnasiumTask: what it accepts, and the rewards it gives."""

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from support.gym_tasks import KINDS, Climb, GoalGym, Lock, Maze, Pit, Toll, make

from herfast import Agent, Config, GymnasiumTask, pack_bits
from herfast.common.batches import Minibatches, Origins


def test_sizes_and_encoding():
    found = {}
    for name in KINDS:
        task = GymnasiumTask(make(name), copy_info_dict=name == "Toll")
        found[name] = (task.n_state_bits, task.n_goal_bits, task.n_actions, task.max_steps, task.encoding)
    assert found == {
        "Maze": (40, 40, 4, 40, "binary"),
        "Climb": (6 + 8, 6, 2, 12, "binary"),
        "Pit": (5, 5, 2, 20, "binary"),
        "Lock": (8 + 9, 8, 3, 65_535, "binary"),
        "Toll": (5, 5, 2, 20, "binary"),
    }


class Switches(Pit):
    """Like Pit, with about `share` of 40 bits set at random."""

    def __init__(self, share):
        part = spaces.MultiBinary(40)
        self.observation_space = spaces.Dict(observation=part, achieved_goal=part, desired_goal=part)
        self.action_space = spaces.Discrete(2)
        self.share = share

    def start(self):
        self.bits, self.goal = (self.np_random.random((2, 40)) < self.share).astype(np.int8)

    def move(self, action):
        self.bits = self.np_random.permutation(self.bits)

    def ends(self, reward):
        return False

    def parts(self):
        return {"observation": self.bits, "achieved_goal": self.bits, "desired_goal": self.goal}


@pytest.mark.parametrize(("share", "encoding"), [(0.2, "binary"), (0.5, "signed"), (0.8, "binary")])
def test_the_encoding_depends_on_the_share_of_ones(share, encoding):
    env = gymnasium.wrappers.TimeLimit(Switches(share), 9)
    assert GymnasiumTask(env).encoding == encoding
    assert Agent(env).config.encoding == encoding
    assert Agent(env, encoding="signed").config.encoding == "signed"


class FixedGoal(Switches):
    """Like Switches with half of the bits set, but all bits of the goal."""

    def start(self):
        super().start()
        self.goal[:] = 1


def test_bits_that_never_change_do_not_decide_the_encoding():
    assert GymnasiumTask(gymnasium.wrappers.TimeLimit(FixedGoal(0.5), 9)).encoding == "signed"
    assert GymnasiumTask(gymnasium.wrappers.TimeLimit(FixedGoal(0.2), 9)).encoding == "binary"
    assert GymnasiumTask(gymnasium.wrappers.TimeLimit(FixedGoal(0.0), 9)).encoding == "binary"


def test_the_step_limit_is_the_lowest_one():
    unlimited = Pit()
    assert GymnasiumTask(unlimited).max_steps == 65_535
    wrapped = gymnasium.wrappers.TimeLimit(gymnasium.wrappers.TimeLimit(unlimited, 9), 30)
    assert GymnasiumTask(gymnasium.wrappers.RecordEpisodeStatistics(wrapped)).max_steps == 9
    assert GymnasiumTask(gymnasium.wrappers.TimeLimit(make("Pit"), 7)).max_steps == 7
    assert GymnasiumTask(make("Pit").unwrapped).max_steps == 65_535
    vector = SyncVectorEnv([lambda: gymnasium.wrappers.TimeLimit(Pit(), 8)] * 2)
    assert GymnasiumTask(vector).max_steps == 8
    assert GymnasiumTask(gymnasium.wrappers.vector.RecordEpisodeStatistics(vector)).max_steps == 8


def changed(base, **members):
    """Return an environment of a subclass of `base`."""
    return type(base.__name__, (base,), members)()


def with_spaces(action=None, **parts):
    """Return a Pit with other spaces."""
    env = Pit()
    env.observation_space = spaces.Dict({**env.observation_space.spaces, **parts})
    env.action_space = action or env.action_space
    return env


def without(part):
    env = Pit()
    kept = {name: space for name, space in env.observation_space.spaces.items() if name != part}
    env.observation_space = spaces.Dict(kept)
    return env


def moving_goal(self):
    parts = Pit.parts(self)
    return {**parts, "desired_goal": parts["achieved_goal"]}


def without_mode():
    env = SyncVectorEnv([Pit] * 2)
    env.metadata = {}
    return env


UNSUPPORTED = {
    "no goals": (
        lambda: gymnasium.make("CartPole-v1"),
        r"Discrete actions, and observation, .* got the obser",
    ),
    "missing part": (
        lambda: without("achieved_goal"),
        r"Discrete actions, and .*, got the observation space",
    ),
    "Box": (
        lambda: with_spaces(observation=spaces.Box(0, 1, (5,))),
        r"observation, .* MultiBinary, .*, got Box.* in observation",
    ),
    "Box goals": (
        lambda: with_spaces(achieved_goal=spaces.Box(0, 1, (5,)), desired_goal=spaces.Box(0, 1, (5,))),
        r"observation, .* MultiBinary, .*, got Box.* in achieved_goal",
    ),
    "other goals": (
        lambda: with_spaces(desired_goal=spaces.MultiBinary(4)),
        r"the same space for achieved_goal and desired_goal, got MultiBinary\(5\) and MultiBinary\(4\)",
    ),
    "actions": (
        lambda: with_spaces(spaces.MultiDiscrete([2, 2])),
        r"Discrete actions, .*, got the action space MultiDiscrete\(\[2 2\]\)",
    ),
    "no reward": (
        lambda: changed(Pit, compute_reward=None),
        r"a function compute_reward\(achieved_goal, .* with",
    ),
    "moving goal": (
        lambda: changed(Pit, parts=moving_goal),
        r"the same desired_goal throughout an episode, got ",
    ),
    "no autoreset mode": (without_mode, r"a gymnasium.vector.AutoresetMode as metadata\['autor.*, got None"),
}


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_the_error_for_an_unsupported_environment_names_stable_baselines3(name):
    build, message = UNSUPPORTED[name]
    other = r": Stable-Baselines3 trains on other environments, and herfast\.sb3 has parts for it$"
    with pytest.raises(TypeError, match=f"^env must have {message}.*{other}"):
        Agent(build())


def rewards_once(self, achieved_goal, desired_goal, info):
    return GoalGym.compute_reward(self, achieved_goal, desired_goal, info)[:1]


class NeedsInfo(gymnasium.Wrapper):
    def compute_reward(self, achieved_goal, desired_goal, info):
        return info["toll"]


WRONG = {
    "reward of step": (
        lambda: gymnasium.wrappers.TransformReward(Pit(), lambda reward: 2 * reward),
        r"must return the reward of step for the next achieved_goal, got -1 instead of -2$",
    ),
    "reward of step that depends on the info": (
        lambda: make("Toll"),
        r"got -1 instead of -1.5; if it needs the infos of steps, give GymnasiumTask copy_info_dict=True$",
    ),
    "info": (
        lambda: NeedsInfo(Toll()),
        r"of step for the next achieved_goal, got KeyError: \"'toll'\" instead of -.*copy_info_dict=True$",
    ),
    "batch": (
        lambda: make("Broken"),
        r"for a batch of goals as for single ones, got ValueError: .*256 numbers",
    ),
    "batch values": (
        lambda: changed(
            Pit,
            compute_reward=lambda self, achieved, goal, info: (
                GoalGym.compute_reward(self, achieved, goal, info) * (1 if np.ndim(achieved) == 1 else 2)
            ),
        ),
        r"for a batch of goals as for single ones, got -2 instead of -1 for \d+ of 256 goals$",
    ),
    "text": (lambda: changed(Pit, compute_reward=lambda *_: "a"), "could not convert|must return numbers"),
    "NaN": (
        lambda: gymnasium.wrappers.TransformReward(
            changed(Pit, compute_reward=lambda self, achieved, *_: np.full(np.shape(achieved)[:-1], np.nan)),
            lambda reward: reward,
        ),
        "must return",
    ),
    "observation": (
        lambda: with_spaces(observation=spaces.MultiBinary(4)),
        "observation must be in its space",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_an_environment_that_does_not_keep_its_promises_is_rejected(name):
    build, message = WRONG[name]
    with pytest.raises((TypeError, ValueError), match=message) as caught:
        Agent(build())
    assert "\n" not in str(caught.value)


class Columns(Maze):
    """Maze whose `compute_reward` takes integers as Stable-Baselines3 stores them."""

    def is_reached(self, achieved, desired):
        size = len(achieved) if np.ndim(achieved) > 1 else 1
        return (np.reshape(achieved, (size, -1)) == np.reshape(desired, (size, -1))).all(axis=1)

    def compute_reward(self, achieved_goal, desired_goal, info):
        rewards = super().compute_reward(achieved_goal, desired_goal, info)
        return rewards if np.ndim(achieved_goal) else rewards.item()


def test_integers_may_need_batches_as_in_stable_baselines3():
    agent = Agent(
        gymnasium.wrappers.TimeLimit(Columns(), 20), "notebook", 0, hidden=(8,), updates_per_cycle=2
    )
    assert agent.learn(total_timesteps=1).cycles == 1


def minibatches(task, next_states, goals):
    """Return minibatches [1, B] of given bits, with rewards that must be replaced."""
    size = len(goals)
    words = pack_bits(np.array(next_states, np.uint8))[None]
    ones = np.ones((1, size), np.float32)
    return Minibatches(
        words,
        words,
        pack_bits(np.array(goals, np.uint8))[None],
        np.zeros((1, size), np.uint16),
        9 * ones,
        ones > 0,
        np.zeros((1, size), np.int32),
    )


PLACES = np.eye(5, dtype=np.uint8)
# Each row: next place, goal, relabelled, terminated by the environment, with success.
ROWS = [
    (1, 1, False, True, True),
    (1, 1, False, False, False),
    (2, 1, False, False, False),
    (0, 1, False, True, False),
    (1, 1, True, True, True),
    (1, 1, True, False, False),
    (2, 1, True, False, False),
    (2, 1, True, True, True),  # at its own goal, which is another one
    (0, 1, True, True, False),
]
TERMINATED = {
    "from the goal": (Pit, {}, [1, 0, 0, 1, 1, 1, 0, 0, 1]),
    "kept": (Pit, {"terminated_from_goal": False}, [1, 0, 0, 1, 1, 0, 0, 1, 1]),
}


def origins(infos=None):
    columns = [np.array([column]) for column in zip(*(row[2:] for row in ROWS), strict=True)]
    return Origins(*columns, infos)


@pytest.mark.parametrize("name", TERMINATED)
def test_terminations_after_relabelling(name):
    cls, options, expected = TERMINATED[name]
    task = GymnasiumTask(cls(), **options)
    batches = minibatches(task, PLACES[[row[0] for row in ROWS]], PLACES[[row[1] for row in ROWS]])
    judged = task.judge(batches, origins())
    assert judged.terminated.tolist() == [[bool(value) for value in expected]]
    assert judged.rewards.tolist() == [[0.0 if row[0] == row[1] else -1.0 for row in ROWS]]
    assert judged.rewards.dtype == np.float32
    for part in ("states", "next_states", "goals", "actions", "steps_to_goal"):
        assert getattr(judged, part) is getattr(batches, part)


def test_compute_terminated_decides_where_there_is_one():
    task = GymnasiumTask(make("Toll"), copy_info_dict=True)
    batches = minibatches(task, PLACES[[row[0] for row in ROWS]], PLACES[[row[1] for row in ROWS]])
    infos = [{"toll": 0.5 * i} for i in range(len(ROWS))]
    judged = task.judge(batches, origins(infos))
    assert judged.terminated.tolist() == [[True, False, False, True, True, True, False, False, True]]
    expected = [(row[0] == row[1]) - 1.0 - 0.5 * i for i, row in enumerate(ROWS)]
    assert judged.rewards.tolist() == [expected]


def test_rewards_that_the_check_did_not_see_are_rejected():
    task = GymnasiumTask(Pit())
    task._functions._compute_reward = lambda achieved, goals, info: np.full(len(achieved), 0.5)
    batches = minibatches(task, PLACES[[row[0] for row in ROWS]], PLACES[[row[1] for row in ROWS]])
    with pytest.raises(ValueError, match=r"^compute_reward must return 0 and -1 as in the check, got 0\.5$"):
        task.judge(batches, origins())


SETTINGS = {  # environment, options, settings that are allowed
    "not deterministic": (Pit, {}, {"clip_targets"}),
    "deterministic": (Pit, {"deterministic": True}, {"clip_targets", "hindsight_bound"}),
    "goals that do not end": (Pit, {"deterministic": True, "terminated_from_goal": False}, {"clip_targets"}),
    "other rewards": (Lock, {"deterministic": True}, set()),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_settings_that_need_other_rewards_or_a_promise(name):
    cls, options, allowed = SETTINGS[name]
    task = GymnasiumTask(cls(), **options)
    assert Config.preset("fast", task).hindsight_bound == ("hindsight_bound" in allowed)
    assert Config.preset("paper", task).clip_targets == ("clip_targets" in allowed)
    assert not Config.preset("notebook", task).clip_targets
    for setting in ("hindsight_bound", "clip_targets"):
        if setting in allowed:
            assert getattr(Config.preset("notebook", task, **{setting: True}), setting)
        else:
            with pytest.raises(ValueError, match=f"^{setting}=True needs .*, got GymnasiumTask"):
                Agent(task, "notebook", **{setting: True})


def test_episodes_per_cycle_is_a_multiple_of_the_number_of_sub_environments():
    task = GymnasiumTask(make("Pit", 5))
    assert Config.preset("notebook", task).episodes_per_cycle == 20
    assert Config.preset("notebook", task, episodes_per_cycle=15).episodes_per_cycle == 15
    with pytest.raises(ValueError, match=r"^episodes_per_cycle must be a multiple of 5, .*, got 16$"):
        Agent(task, "notebook", episodes_per_cycle=16)


def test_observations_that_differ_from_the_goal_after_the_check_are_rejected():
    env = Pit()
    task = GymnasiumTask(env)
    parts = env.parts
    env.parts = lambda: {**parts(), "observation": np.ones(5, np.int8)}
    states, goals = np.zeros((1, 1), np.uint64), np.zeros((1, 1), np.uint64)
    with pytest.raises(
        ValueError, match="must return observations that equal achieved_goal, as in the check"
    ):
        task.reset(np.random.default_rng(0), states, goals)


def test_predict_takes_observations_of_the_environment():
    for env in (make("Climb"), make("Climb", 3)):
        agent = Agent(env, "notebook", 0, hidden=(8,))
        observation, _ = env.reset(seed=1)
        actions, state = agent.predict(observation)
        assert state is None
        assert env.action_space.contains(actions)
        states, goals, _ = agent.env.pack_observation(observation)
        assert np.atleast_1d(actions).tolist() == (agent.network.act(states, goals) + 1).tolist()
    single = Agent(make("Climb"), "notebook", 0, hidden=(8,))
    one_by_one = [
        single.predict({part: values[e] for part, values in observation.items()})[0] for e in range(3)
    ]
    assert single.predict(observation)[0].tolist() == one_by_one
    without_goal = {part: values for part, values in observation.items() if part != "desired_goal"}
    with pytest.raises(
        TypeError, match=r"^the observation must be a dict with observation, achieved_goal, des"
    ):
        single.predict(without_goal)
    with pytest.raises(ValueError, match=r"^the parts of the observation must be equally many, got 3, 3, 2$"):
        single.predict({**observation, "desired_goal": observation["desired_goal"][:2]})
    for goal in (6, -1, 2.5, None):
        with pytest.raises(
            ValueError, match=rf"^desired_goal must be in its space Discrete\(6\), got {goal}$"
        ):
            single.predict({part: values[0] for part, values in observation.items()} | {"desired_goal": goal})
    with pytest.raises(ValueError, match=r"^desired_goal must be in its space, got 6$"):
        single.predict({**observation, "desired_goal": np.array([0, 6, 1])})


def test_names():
    assert repr(GymnasiumTask(make("Lock", limit=3))) == "GymnasiumTask(tests/Lock-v0, limit=3)"
    assert GymnasiumTask(make("Lock")).describe() == "tests/Lock-v0 without a step limit"
    assert GymnasiumTask(make("Climb", 2)).describe() == "tests/Climb-v0 in at most 12 steps"
    assert GymnasiumTask(Climb()).label == "Climb"


@pytest.mark.parametrize("mode", [None, *AutoresetMode])
def test_the_environment_takes_a_part_of_the_time(mode):
    env = make("Pit") if mode is None else make("Pit", 2, mode)
    agent = Agent(env, "notebook", 0, hidden=(8,), updates_per_cycle=2)
    assert agent.env_seconds == 0
    agent.learn(total_timesteps=1)
    first = agent.env_seconds
    assert 0 < first < agent.seconds
    agent.evaluate(5)
    assert agent.env_seconds == first
    agent.learn(total_timesteps=1)
    assert first < agent.env_seconds < agent.seconds
