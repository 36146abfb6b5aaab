"""Invalid and valid arguments of every public call.

An invalid argument raises an error of one sentence, which states name, value and what is allowed. Each case
has its own objects. The call must leave their bytes unchanged. Their next results must be those of objects
without the call. Arrays of any memory layout are valid.
"""

import dataclasses
import inspect
import math
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
from support.api_objects import AGENT_SETTINGS, ENV, N, build_objects, next_results, words
from support.invalid_board_calls import BOARD_CASES
from support.invalid_calls import NAN, SPECIFIC_CASES, TABLE
from support.invalid_env_calls import ENV_CASES

import herfast
from herfast import (
    Agent,
    BitFlip,
    Config,
    GridWorld,
    HindsightReplay,
    LightsOut,
    Minibatches,
    QNetwork,
    Trajectories,
    pack_bits,
    unpack_bits,
)
from herfast.envs.gym.env import GymGoalEnv
from herfast.envs.gym.vector_env import GymGoalVectorEnv

STRATEGIES = ("future", "final", "episode", "random")
NETWORKS = ("online", "target")
BOOLEANS = ("double_q", "dueling", "clip_targets", "mask_terminal", "hindsight_bound")


def agent_with(name):
    return lambda api, value: Agent(ENV, **AGENT_SETTINGS | {name: value})


# --- kinds of arguments: name of call and argument, allowed values, function that makes the call ---

INTEGERS = {
    "BitFlip n_bits": (1, 65_535, lambda api, v: BitFlip(v)),
    "BitFlip max_steps": (1, 65_535, lambda api, v: BitFlip(N, v)),
    "GridWorld max_steps": (1, 65_535, lambda api, v: GridWorld("..", v)),
    "LightsOut width": (1, 65_535, lambda api, v: LightsOut(v, 1)),
    "LightsOut height": (1, 65_535, lambda api, v: LightsOut(1, v)),
    "LightsOut presses": (1, N, lambda api, v: LightsOut(3, 3, v)),
    "LightsOut max_steps": (1, 65_535, lambda api, v: LightsOut(3, 3, None, v)),
    "GymGoalEnv n_bits": (1, 65_535, lambda api, v: GymGoalEnv("BitFlip", n_bits=v)),
    "GymGoalEnv max_steps": (1, 65_535, lambda api, v: GymGoalEnv("BitFlip", n_bits=N, max_steps=v)),
    "GymGoalVectorEnv num_envs": (1, 2**31 - 1, lambda api, v: GymGoalVectorEnv(v, goal_env=ENV)),
    "GymGoalVectorEnv n_bits": (1, 65_535, lambda api, v: GymGoalVectorEnv(3, goal_env="BitFlip", n_bits=v)),
    "GymGoalVectorEnv max_steps": (
        1,
        65_535,
        lambda api, v: GymGoalVectorEnv(3, goal_env="BitFlip", n_bits=N, max_steps=v),
    ),
    "HindsightReplay capacity": (2, 2**40, lambda api, v: HindsightReplay(v, N)),
    "HindsightReplay n_state_bits": (1, 65_535, lambda api, v: HindsightReplay(60, v)),
    "HindsightReplay n_goal_bits": (1, N, lambda api, v: HindsightReplay(60, N, v)),
    "HindsightReplay k": (0, 1_000_000, lambda api, v: HindsightReplay(60, N, k=v)),
    "HindsightReplay.sample n_batches": (1, 2**24, lambda api, v: api.replay.sample(v, 1)),
    "HindsightReplay.sample batch_size": (1, 2**24, lambda api, v: api.replay.sample(1, v)),
    "QNetwork n_state_bits": (1, 65_535, lambda api, v: QNetwork(v)),
    "QNetwork n_goal_bits": (1, N, lambda api, v: QNetwork(N, v)),
    "QNetwork n_actions": (1, 65_536, lambda api, v: QNetwork(N, N, v)),
    "QNetwork.greedy_policy n_envs": (0, 2**31 - 1, lambda api, v: api.network.greedy_policy(v)),
    "unpack_bits n_bits": (0, 2**40, lambda api, v: unpack_bits(words(2, 1), v)),
    "Agent.learn epochs": (1, 2**40, lambda api, v: api.agent.learn(v)),
    "Agent.learn total_timesteps": (1, 2**40, lambda api, v: api.agent.learn(total_timesteps=v)),
    "Agent.evaluate n_episodes": (1, 2**40, lambda api, v: api.agent.evaluate(v)),
    "Config.epsilon_at env_steps": (0, 2**62, lambda api, v: api.agent.config.epsilon_at(v)),
    "Config.learning_rate_at updates": (0, 2**62, lambda api, v: api.agent.config.learning_rate_at(v)),
    "Config.learning_rates updates": (0, 2**62, lambda api, v: api.agent.config.learning_rates(v, 1)),
    "Config.learning_rates count": (0, 2**24, lambda api, v: api.agent.config.learning_rates(0, v)),
    "Config hidden": (1, 65_536, lambda api, v: Config(hidden=(8, v))),
    "Agent k": (0, 1_000_000, agent_with("k")),
    "Agent epsilon_decay_steps": (1, 2**62, agent_with("epsilon_decay_steps")),
    "Agent learning_rate_decay_updates": (1, 2**62, agent_with("learning_rate_decay_updates")),
    "Agent target_update": (1, 2**62, agent_with("target_update")),
    "Agent batch_size": (1, 2**24, agent_with("batch_size")),
    "Agent capacity": (2, 2**40, agent_with("capacity")),
    "Agent episodes_per_cycle": (1, 2**24, agent_with("episodes_per_cycle")),
    "Agent updates_per_cycle": (1, 2**24, agent_with("updates_per_cycle")),
    "Agent cycles_per_epoch": (1, 2**40, agent_with("cycles_per_epoch")),
    "Agent epochs": (1, 2**40, agent_with("epochs")),
}
REALS = {
    "Agent gamma": ("[0, 1)", agent_with("gamma")),
    "Agent advantage_gap": ("[0, 1)", agent_with("advantage_gap")),
    "Agent polyak": ("[0, 1)", agent_with("polyak")),
    "Agent epsilon_start": ("[0, 1]", agent_with("epsilon_start")),
    "Agent epsilon_end": ("[0, 1]", agent_with("epsilon_end")),
    "Agent learning_rate": ("(0, 1]", agent_with("learning_rate")),
    "Agent learning_rate_end": ("(0, 1]", agent_with("learning_rate_end")),
    "Agent until": ("(0, 1]", agent_with("until")),
    "Agent.learn until": ("(0, 1]", lambda api, v: api.agent.learn(until=v)),
    "Config.preset gamma": ("[0, 1)", lambda api, v: Config.preset("fast", ENV, gamma=v)),
}
CHOICES = {
    "HindsightReplay strategy": (STRATEGIES, lambda api, v: HindsightReplay(60, N, strategy=v)),
    "Agent strategy": (STRATEGIES, agent_with("strategy")),
    "Agent init": (("dense", "sparse"), agent_with("init")),
    "Agent encoding": (("signed", "binary"), agent_with("encoding")),
    "Agent epsilon": (("constant", "hyperbola", "linear"), agent_with("epsilon")),
    "Agent evaluate_with": (NETWORKS, agent_with("evaluate_with")),
    "Agent preset": (("fast", "paper", "notebook"), lambda api, v: Agent(ENV, v)),
    "Config.preset preset": (("fast", "paper", "notebook"), lambda api, v: Config.preset(v, ENV)),
    "QNetwork.act which": (NETWORKS, lambda api, v: api.network.act(words(2, 1), words(2, 1), v)),
    "QNetwork.q_values which": (NETWORKS, lambda api, v: api.network.q_values(words(2, 1), words(2, 1), v)),
    "QNetwork.greedy_policy which": (NETWORKS, lambda api, v: api.network.greedy_policy(2, v)),
    "QNetwork.parameters which": (
        (*NETWORKS, "gradient", "moment1", "moment2"),
        lambda api, v: api.network.parameters(v),
    ),
}
SEEDS = {
    "HindsightReplay seed": lambda api, v: HindsightReplay(60, N, seed=v),
    "QNetwork seed": lambda api, v: QNetwork(N, seed=v),
    "Agent seed": lambda api, v: Agent(ENV, seed=v, **AGENT_SETTINGS),
    "Agent.evaluate seed": lambda api, v: api.agent.evaluate(3, seed=v),
    "GymGoalEnv.reset seed": lambda api, v: api.env.reset(seed=v),
    "GymGoalVectorEnv.reset seed": lambda api, v: api.vector_env.reset(seed=v),
}


def cases_by_kind():
    """Yield the calls that must fail.

    Each item is name of call and argument, value, error, what is allowed, and a function that makes the call.
    """
    for name, (low, high, call) in INTEGERS.items():
        yield from ((name, v, ValueError, f"from {low:,} to {high:,}", call) for v in (low - 1, high + 1))
        wrong = (True, np.False_, 2.5, NAN, "3", [3], TABLE)
        yield from ((name, v, TypeError, f"an integer from {low:,} to {high:,}", call) for v in wrong)
    for name, (interval, call) in REALS.items():
        outside = (-0.5, 1.5, NAN, math.inf, 0.0 if interval[0] == "(" else -1e-9)
        yield from ((name, v, ValueError, f"in {interval}", call) for v in outside)
        yield from (
            (name, v, TypeError, f"a number in {interval}", call) for v in (True, "0.5", [0.5], TABLE)
        )
    for name, (choices, call) in CHOICES.items():
        wrong = (choices[0].title(), 3, [choices[0]], np.array(choices[0]), np.array(choices))
        yield from ((name, v, ValueError, f"one of {', '.join(map(repr, choices))}", call) for v in wrong)
    for name in BOOLEANS:
        wrong = (1, "yes", None, TABLE)
        yield from ((f"Agent {name}", v, TypeError, "True or False", agent_with(name)) for v in wrong)
    for name, call in SEEDS.items():
        wrong = [(v, TypeError) for v in (True, np.True_, 1.5, NAN, "0", [1, 2], TABLE)]
        wrong += [(-1, ValueError), (2**128, ValueError)]
        yield from ((name, v, error, "None or an integer from 0 to 2**128 - 1", call) for v, error in wrong)


def rows_by_kind():
    for name, value, error, allowed, call in cases_by_kind():
        text = " ".join(repr(value).split())
        got = f"{value:,}" if type(value) is int else text
        pattern = f"^{re.escape(f'{name.split()[1]} must be {allowed}, got {got}')}$"
        yield f"{name}={text.replace('array', '')}", value, error, pattern, call


def rows():
    """Yield all cases: id, value, error, pattern of its message, call."""
    yield from rows_by_kind()
    for name, (call, *cases) in (SPECIFIC_CASES | ENV_CASES | BOARD_CASES).items():
        yield from ((f"{name} {case}", value, error, pattern, call) for case, error, pattern, value in cases)


ROWS = [pytest.param(*row, id=name) for name, *row in rows()]


@pytest.fixture(scope="module")
def saved_objects():
    """Return pickled objects, and the results of the next calls of unpickled ones."""
    start = pickle.dumps(build_objects())
    return start, next_results(pickle.loads(start))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Change to a temporary folder that holds one file and one folder."""
    monkeypatch.chdir(tmp_path)
    Path("text").write_text("not an agent")
    Path("folder").mkdir()
    return tmp_path


@pytest.mark.parametrize(("value", "error", "pattern", "call"), ROWS)
def test_invalid_arguments_raise_and_change_nothing(value, error, pattern, call, saved_objects, folder):
    api, given = pickle.loads(saved_objects[0]), pickle.dumps(value)
    before = pickle.dumps(api)
    with pytest.raises(error) as caught:
        call(api, value)
    message = str(caught.value)
    assert re.search(pattern, message), message
    assert "\n" not in message
    assert len(message) < 500
    assert (pickle.dumps(api), pickle.dumps(value)) == (before, given)
    assert sorted(path.name for path in folder.rglob("*")) == ["folder", "text"]
    assert next_results(api) == saved_objects[1]


def test_every_public_call_has_cases():
    """Public calls are the exported names, and their methods that take an argument."""
    calls = {"gymnasium.make", "gymnasium.make_vec", "GymGoalEnv", "GymGoalVectorEnv", *herfast.__all__}
    kinds = (Agent, BitFlip, Config, GridWorld, HindsightReplay, LightsOut, QNetwork)
    for kind in (*kinds, GymGoalEnv, GymGoalVectorEnv):
        methods = inspect.getmembers(kind, inspect.isroutine)
        own = [
            name for name, method in methods if not name.startswith("_") and "herfast" in method.__module__
        ]
        takes = [name for name in own if set(inspect.signature(getattr(kind, name)).parameters) - {"self"}]
        calls |= {f"{kind.__name__}.{name}" for name in takes}
    names = [name for name, *_ in rows()]
    assert {re.match(r"[\w.]+", name)[0] for name in names} == calls
    assert len(set(names)) == len(names) > 110
    tested = {name.partition("=")[0].split()[1] for name in names if name.startswith("Agent ")}
    assert tested >= {field.name for field in dataclasses.fields(Config)} - {"hidden"}


# --- valid arguments ---


def readonly(array):
    array = array.copy()
    array.setflags(write=False)
    return array


def every_other(array):
    wide = np.repeat(array, 2, axis=0)
    wide[1::2] = ~wide[1::2] if wide.dtype != np.float32 else -5
    return wide[::2]


LAYOUTS = {
    "read-only": readonly,
    "every other": every_other,
    "backwards": lambda array: array[::-1].copy()[::-1],
    "Fortran": np.asfortranarray,
    "misaligned": lambda array: np.frombuffer(b"x" + array.tobytes(), array.dtype, array.size, 1).reshape(
        array.shape
    ),
}
ACCEPTING_CALLS = {
    "pack_bits": lambda api, convert: pack_bits(convert(api.observation["observation"])),
    "pack_bits of bool": lambda api, convert: pack_bits(convert(api.observation["observation"] > 0)),
    "pack_bits of int64": lambda api, convert: pack_bits(
        convert(api.observation["observation"].astype(np.int64))
    ),
    "unpack_bits": lambda api, convert: unpack_bits(convert(api.step_args["states"]), N),
    "HindsightReplay.add": lambda api, convert: api.replay.add(Trajectories(*map(convert, api.trajectories))),
    "HindsightReplay.load_state_dict": lambda api, convert: api.replay.load_state_dict(
        {"records": convert(api.replay.records), "cursor": convert(api.replay.cursor)}
    ),
    "QNetwork.act": lambda api, convert: api.network.act(
        convert(api.step_args["states"]), convert(api.step_args["goals"])
    ),
    "QNetwork.q_values": lambda api, convert: api.network.q_values(
        convert(api.step_args["states"]), convert(api.step_args["goals"])
    ),
    "QNetwork.fit": lambda api, convert: api.network.fit(Minibatches(*map(convert, api.batches))),
    "Agent.predict": lambda api, convert: api.agent.predict(
        {name: convert(bits) for name, bits in api.observation.items()}
    ),
    "GymGoalVectorEnv.step": lambda api, convert: api.vector_env.step(convert(np.array([3, 1, 8]))),
    "GymGoalVectorEnv.reset": lambda api, convert: api.vector_env.reset(
        options={"reset_mask": convert(np.array([True, False, True]))}
    ),
    "GymGoalEnv.compute_reward": lambda api, convert: api.env.compute_reward(
        *map(convert, api.observation.values()), {}
    ),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("call", ACCEPTING_CALLS)
def test_arrays_of_any_layout_are_accepted(call, layout, saved_objects):
    plain, api = pickle.loads(saved_objects[0]), pickle.loads(saved_objects[0])
    expected, found = ACCEPTING_CALLS[call](plain, np.copy), ACCEPTING_CALLS[call](api, LAYOUTS[layout])
    assert pickle.dumps(found) == pickle.dumps(expected)
    assert next_results(api) == next_results(plain)


def test_bit_flip_accepts_read_only_inputs(saved_objects):
    plain, api = pickle.loads(saved_objects[0]), pickle.loads(saved_objects[0])
    inputs = {name: readonly(array) for name, array in api.step_args.items() if not name.startswith("out_")}
    ENV.step(**plain.step_args)
    ENV.step(**api.step_args | inputs)
    assert next_results(api) == next_results(plain)


def test_lists_are_accepted_in_place_of_arrays(saved_objects):
    plain, api = pickle.loads(saved_objects[0]), pickle.loads(saved_objects[0])
    lists = {name: bits.tolist() for name, bits in api.observation.items()}
    assert (api.agent.predict(lists)[0] == plain.agent.predict(plain.observation)[0]).all()
    assert (pack_bits(lists["observation"]) == plain.step_args["states"]).all()
    assert pickle.dumps(api.vector_env.step([3, 1, 8])) == pickle.dumps(
        plain.vector_env.step(np.array([3, 1, 8]))
    )
    assert pickle.dumps(api.env.reset(seed=np.int64(7))) == pickle.dumps(plain.env.reset(seed=7))
    assert api.env.compute_reward([1.0] * N, np.ones(N, np.float32), None) == 0.0


@pytest.mark.parametrize("limit", ["epochs", "total_timesteps"])
def test_numpy_integers_do_not_overflow(limit, saved_objects):
    plain, api = pickle.loads(saved_objects[0]), pickle.loads(saved_objects[0])
    for one in (plain, api):
        one.agent.network._config = dataclasses.replace(one.agent.config, cycles_per_epoch=3)
    plain.agent.learn(**{limit: 100})
    api.agent.learn(**{limit: np.int8(100)})
    assert api.agent.cycles == plain.agent.cycles
