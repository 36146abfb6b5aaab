"""Tests of tasks on booleans and of their packed environments."""

import pickle
from dataclasses import InitVar, dataclass, field

import numpy as np
import pytest
from support.toy_env import Lamps
from support.toy_tasks import Coins, LampTask, Masks

from herfast import Agent, GoalTask, pack_bits, unpack_bits
from herfast.common.batches import n_words
from herfast.envs.adapters import as_goal_env
from herfast.envs.goal_task import PackedTask
from herfast.envs.gym.env import GymGoalEnv
from herfast.envs.registry import env_label


@pytest.mark.parametrize("n_goal_bits", [1, 2, 63, 64, 65, 128])
@pytest.mark.parametrize("more_bits", [0, 1, 63, 64, 65])
def test_steps_are_those_of_the_task_on_unpacked_bits(n_goal_bits, more_bits):
    task = Masks(n_goal_bits + more_bits, n_goal_bits)
    env = PackedTask(task)
    n_episodes = 40
    states = np.full((n_episodes, n_words(env.n_state_bits)), 7, np.uint64)
    goals = np.full((n_episodes, n_words(n_goal_bits)), 7, np.uint64)
    env.reset(np.random.default_rng(0), states, goals)
    bits, goal_bits = task.reset(np.random.default_rng(0), n_episodes)
    np.testing.assert_array_equal(unpack_bits(states, env.n_state_bits), bits)
    np.testing.assert_array_equal(unpack_bits(goals, n_goal_bits), goal_bits)

    actions = np.random.default_rng(1).integers(0, 3, n_episodes).astype(np.uint16)
    active = np.flatnonzero(np.arange(n_episodes) % 3)[::-1].copy()
    next_bits = bits.copy()
    next_bits[active] = task.step(bits[active], actions[active])
    terminated = (next_bits[:, :n_goal_bits] == goal_bits).all(axis=1)
    assert 0 < terminated[active].sum() < len(active) or n_goal_bits == 1
    for out in (np.full_like(states, 9), states):
        inactive = np.delete(np.arange(n_episodes), active)
        before = out[inactive].copy()
        out_terminated = np.ones(n_episodes, bool)
        env.step(states, goals, actions, active, out, out_terminated)
        np.testing.assert_array_equal(unpack_bits(out[active], env.n_state_bits), next_bits[active])
        np.testing.assert_array_equal(out_terminated[active], terminated[active])
        np.testing.assert_array_equal(out[inactive], before)
        assert out_terminated[inactive].all()


def test_a_task_plays_as_the_packed_environment_of_the_same_task():
    rng = np.random.default_rng(2)
    states, goals = (pack_bits(bits) for bits in LampTask().reset(rng, 50))
    results = []
    for env in (Lamps(), PackedTask(LampTask())):
        out, terminated = np.zeros_like(states), np.zeros(50, bool)
        env.step(states, goals, np.arange(50, dtype=np.uint16) % 2, np.arange(50), out, terminated)
        results.append((out, terminated))
    for packed, task in zip(*results, strict=True):
        np.testing.assert_array_equal(packed, task)
    assert results[0][1].any()


def test_a_task_gets_arrays_of_its_own():
    given = []

    class Recorder(Coins):
        def step(self, states, actions):
            given.append((states, actions))
            return super().step(states, actions)

    env = PackedTask(Recorder())
    states = np.array([[1], [2]], np.uint64)
    arrays = (states, states + np.uint64(1), np.ones(2, np.uint16), np.arange(2), states, np.zeros(2, bool))
    env.step(*arrays)
    (bits, actions), *rest = given
    assert (bits.dtype, bits.flags.writeable, actions.dtype) == (np.bool_, True, np.int64)
    assert not rest


def test_calls_without_episodes_do_not_reach_the_task():
    class Never(Coins):
        def reset(self, rng, n_episodes):
            raise AssertionError

        step = reset

    env = PackedTask(Never())
    none = np.zeros((0, 1), np.uint64)
    env.reset(np.random.default_rng(0), none, none)
    states = np.ones((2, 1), np.uint64)
    terminated = np.zeros(2, bool)
    env.step(states, states, np.zeros(2, np.uint16), np.zeros(0, np.int64), states, terminated)
    assert (states == 1).all()
    assert not terminated.any()


OPTIONAL = ("action_names", "better_actions", "render_ansi", "render_rgb_array", "task_")


def test_members_of_an_environment():
    env = as_goal_env(LampTask(9))
    assert env.task == LampTask(9)
    assert (env.n_state_bits, env.n_goal_bits, env.n_actions, env.max_steps) == (3, 2, 2, 9)
    assert env.spec() == {"id": "support.toy_tasks:LampTask", "max_steps": 9}
    assert (env.encoding, env_label(env)) == ("signed", "LampTask-9")
    assert (repr(env), env.describe()) == (
        "LampTask(max_steps=9)",
        "LampTask(max_steps=9) in at most 9 steps",
    )
    env = as_goal_env(Coins())
    assert env.spec() == {"id": "support.toy_tasks:Coins"}
    assert (env.encoding, env_label(env)) == ("binary", "Coins")
    assert (repr(env), env.describe()) == ("Coins()", "Coins() in at most 5 steps")
    assert not any(hasattr(env, name) for name in OPTIONAL)


def test_optional_members_are_those_of_the_task():
    class Named(Coins):
        label = "five coins"
        action_names = ["a", "b", "c", "d", "e"]  # noqa: RUF012 (a task of a user)

        def describe(self):
            return "5 coins"

        def render_ansi(self, state, goal):
            assert (state.dtype, goal.dtype) == (np.bool_, np.bool_)
            return f"{state.sum()} of {goal.sum()}"

    env = PackedTask(Named())
    assert (env_label(env), env.describe(), env.action_names) == ("five-coins", "5 coins", tuple("abcde"))
    assert env.render_ansi(np.array([1, 1, 0], np.int8), np.array([0, 1, 0], np.int8)) == "2 of 1"


def test_optional_members_may_be_none():
    task = type("Bare", (Coins,), dict.fromkeys([*OPTIONAL, "label"]))()
    env = as_goal_env(task)
    assert not any(hasattr(env, name) for name in OPTIONAL)
    assert env_label(env) == "Bare"


class Hinted(Masks):
    """Masks, of which the action that the bits of a state and a goal name is better."""

    def render_rgb_array(self, state, goal):
        assert (state.dtype, goal.dtype) == (np.bool_, np.bool_)
        return np.full((2, 4, 3), 10 * state.sum() + goal.sum(), np.uint8)

    def better_actions(self, states, goals):
        assert (states.dtype, goals.dtype) == (np.bool_, np.bool_)
        named = states.sum(axis=1) + goals.sum(axis=1)
        return np.arange(self.n_actions) == named[:, None] % self.n_actions


@pytest.mark.parametrize(("n_state_bits", "n_goal_bits"), [(3, 2), (65, 64), (130, 65)])
def test_better_actions_get_unpacked_bits(n_state_bits, n_goal_bits):
    task = Hinted(n_state_bits, n_goal_bits)
    states, goals = task.reset(np.random.default_rng(0), 30)
    better = as_goal_env(task).better_actions(pack_bits(states), pack_bits(goals))
    np.testing.assert_array_equal(better, task.better_actions(states, goals))
    assert better.any(axis=0).all()


def test_images_are_those_of_the_task():
    env = GymGoalEnv(Hinted(5, 3), render_mode="rgb_array")
    observation, _ = env.reset(seed=0)
    ones = 10 * observation["observation"].sum() + observation["desired_goal"].sum()
    np.testing.assert_array_equal(env.render(), np.full((2, 4, 3), ones))


def test_the_diagnosis_uses_better_actions():
    settings = {"hidden": (8,), "episodes_per_cycle": 2, "capacity": 999}
    assert np.isnan(Agent(Masks(6, 3), seed=0, **settings).diagnose().action_gap)
    assert np.isfinite(Agent(Hinted(6, 3), seed=0, **settings).diagnose().action_gap)


@pytest.mark.parametrize(
    ("better", "error", "message"),
    [
        (None, TypeError, "got NoneType$"),
        (np.ones((2, 5)), TypeError, "got dtype float64$"),
        (np.ones((2, 3), bool), ValueError, r"got shape \(2, 3\)$"),
    ],
)
def test_better_actions_that_are_no_booleans_are_rejected(better, error, message):
    task = Coins()
    task.better_actions = lambda states, goals: better
    states = np.ones((2, 1), np.uint64)
    start = r"^Coins.better_actions must return actions as a bool array of shape \(2, 5\), "
    with pytest.raises(error, match=start + message):
        PackedTask(task).better_actions(states, states)


def test_the_label_of_a_long_field_fits_into_a_file_name():
    @dataclass(frozen=True)
    class Maze(Coins):
        walls: str

    assert env_label(PackedTask(Maze("#." * 500))) == "Maze-" + "-." * 47 + "-"


def test_environments_can_be_pickled():
    env = pickle.loads(pickle.dumps(PackedTask(LampTask(9))))
    assert (env.task, env.max_steps, env.label) == (LampTask(9), 9, "LampTask-9")


def test_fields_that_the_constructor_does_not_take_are_not_saved():
    @dataclass(frozen=True)
    class Derived(Coins):
        size: float = 0.5
        names: list = field(default_factory=lambda: ["a", None])
        table: object = field(init=False, default=np.float64(3))

    assert list(Derived().spec().items())[1:] == [("size", 0.5), ("names", ["a", None])]
    assert (
        Derived()
        .spec()["id"]
        .endswith(":test_fields_that_the_constructor_does_not_take_are_not_saved.<locals>.Derived")
    )


class WithArguments(Coins):
    def __init__(self, size=3):
        self.size = size


@dataclass
class NotFrozen(Coins):
    size: int = 3


@dataclass(frozen=True)
class WithInitVar(Coins):
    size: int = 3
    seed: InitVar[int] = 0


@dataclass(frozen=True)
class WithField(Coins):
    size: object = 3


@dataclass(frozen=True)
class WithId(Coins):
    id: int = 3


def nested():
    """Return lists in each other, too deep for repr and JSON."""
    outer = []
    for _ in range(100_000):
        outer = [outer]
    return outer


ARGUMENTS = r"so it must be a dataclass with them as its fields, decorated with @dataclass\(frozen=True\)$"


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (WithArguments(), rf"^WithArguments takes arguments \(size\), {ARGUMENTS}"),
        (NotFrozen(), rf"^NotFrozen takes arguments \(size\), {ARGUMENTS}"),
        (WithInitVar(), rf"^WithInitVar takes arguments \(size, seed\), {ARGUMENTS}"),
        (WithField((1, 2)), r"^WithField.size must be a JSON value, .*, got \(1, 2\)$"),
        (WithField(np.int64(3)), r"^WithField.size must be a JSON value, .*, got np.int64\(3\)$"),
        (WithField(float("nan")), "^WithField.size must be a JSON value, .*, got nan$"),
        (WithField({1: 2}), "^WithField.size must be a JSON value, .*, got {1: 2}$"),
        (WithField(nested()), "^WithField.size must be a JSON value, .*, got a deeply nested list$"),
        (WithId(), "^WithId.id must have another name, since files hold the class as id$"),
    ],
)
def test_arguments_that_a_file_cannot_hold_are_rejected(task, message):
    with pytest.raises(TypeError, match=message):
        Agent(task)


def with_size(**sizes):
    return type("Sized", (Coins,), sizes)()


@pytest.mark.parametrize(
    ("task", "error", "message"),
    [
        (with_size(n_state_bits=0), ValueError, "^n_state_bits must be from 1 to 65,535, got 0$"),
        (with_size(n_state_bits=65_536), ValueError, "^n_state_bits must be from 1 to 65,535, got 65,536$"),
        (with_size(n_goal_bits=6), ValueError, "^n_goal_bits must be from 1 to 5, got 6$"),
        (with_size(n_actions=65_537), ValueError, "^n_actions must be from 1 to 65,536, got 65,537$"),
        (with_size(max_steps=65_536), ValueError, "^max_steps must be from 1 to 65,535, got 65,536$"),
        (with_size(n_actions=5.0), TypeError, "^n_actions must be an integer from 1 to 65,536, got 5.0$"),
        (with_size(max_steps=True), TypeError, "^max_steps must be an integer from .*, got True$"),
        (with_size(action_names="abcd"), ValueError, "^action_names must hold 5 names, got 4$"),
        (
            with_size(action_names=[1, 2, 3, 4, 5]),
            TypeError,
            r"^action_names must be a sequence of str, got \[1, 2, 3, 4, 5\]$",
        ),
        (with_size(action_names=5), TypeError, "^action_names must be a sequence of str, got 5$"),
        (with_size(action_names={*"abcde"}), TypeError, "^action_names must be a sequence of str, got {"),
        (with_size(render_ansi="x"), TypeError, "^render_ansi must be a function, got 'x'$"),
        (with_size(better_actions=3), TypeError, "^better_actions must be a function, got 3$"),
        (with_size(render_rgb_array=3), TypeError, "^render_rgb_array must be a function, got 3$"),
        (with_size(describe=None), TypeError, "^describe must be a function, got None$"),
        (with_size(describe=lambda self: 5), TypeError, r"^env.describe\(\) must return a str, got 5$"),
        (with_size(encoding="ternary"), ValueError, "^encoding must be one of 'signed', 'binary', got 'ter"),
    ],
)
def test_members_that_are_not_allowed_are_rejected(task, error, message):
    with pytest.raises(error, match=message):
        Agent(task)


def test_a_size_that_is_missing_is_named():
    class Endless(GoalTask):
        n_state_bits = n_goal_bits = n_actions = 5
        reset = Coins.reset
        step = Coins.step

    with pytest.raises(TypeError, match=r"^a GoalTask must have max_steps, but 'Endless' object has no attr"):
        Agent(Endless())


def test_a_task_without_a_method_is_rejected():
    class Motionless(GoalTask):
        n_state_bits = n_goal_bits = n_actions = max_steps = 5
        reset = Coins.reset

    with pytest.raises(TypeError, match=r"^Can't instantiate abstract class Motionless .*step"):
        Motionless()


def test_sizes_may_be_numpy_integers():
    env = PackedTask(with_size(n_state_bits=np.int8(5), max_steps=np.uint16(7)))
    assert (type(env.n_state_bits), type(env.max_steps), env.max_steps) == (int, int, 7)


def test_wrong_results_are_rejected_while_training_too():
    """They would otherwise be packed without notice, such as integers."""

    class Late(Coins):
        def step(self, states, actions):
            if len(states) == 3:
                return super().step(states, actions).astype(int)
            return super().step(states, actions)

    env = as_goal_env(Late())
    states = np.ones((3, 1), np.uint64)
    before = states.copy()
    with pytest.raises(
        TypeError, match=r"^Late.step must return states as a bool array of shape \(3, 5\), got dty"
    ):
        env.step(states, states, np.zeros(3, np.uint16), np.arange(3), states, np.zeros(3, bool))
    np.testing.assert_array_equal(states, before)
