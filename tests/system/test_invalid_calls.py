"""Every public call refuses what it cannot take in one sentence with name, value and what is allowed.

Each case asks a world of its own. After the refusal it must hold the very bytes it held before, and go on as a world
does of which nothing was asked. What can be taken, arrays of any layout, is taken for what it is.
"""

import dataclasses
import inspect
import math
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
from support.api_objects import GAME, SMALL, N, goes_on, made, words
from support.invalid_calls import NAN, PECULIAR, TABLE

import herfast
from herfast import Agent, BitFlip, Config, HindsightReplay, Minibatches, QNetwork, Trajectories, pack_bits, unpack_bits
from herfast.envs.gym_env import BitFlipEnv
from herfast.envs.gym_vector_env import BitFlipVectorEnv

STRATEGIES, NETWORKS = ("future", "final", "episode", "random"), ("online", "target")
BOOLEANS = ("double_q", "dueling", "clip_targets", "mask_terminal", "hindsight_bound")


def agent_with(name):
    return lambda w, value: Agent(GAME, **SMALL | {name: value})


# --- kinds of arguments: who takes one, what is allowed, the call -----------------------------------------------------

INTEGERS = {
    "BitFlip n_bits": (1, 65_535, lambda w, v: BitFlip(v)),
    "BitFlip max_steps": (1, 65_535, lambda w, v: BitFlip(N, v)),
    "BitFlipEnv n_bits": (1, 65_535, lambda w, v: BitFlipEnv(v)),
    "BitFlipEnv max_steps": (1, 65_535, lambda w, v: BitFlipEnv(N, v)),
    "BitFlipVectorEnv num_envs": (1, 2**31 - 1, lambda w, v: BitFlipVectorEnv(v, n_bits=N)),
    "BitFlipVectorEnv n_bits": (1, 65_535, lambda w, v: BitFlipVectorEnv(3, n_bits=v)),
    "BitFlipVectorEnv max_steps": (1, 65_535, lambda w, v: BitFlipVectorEnv(3, n_bits=N, max_steps=v)),
    "HindsightReplay capacity": (2, 2**40, lambda w, v: HindsightReplay(v, N)),
    "HindsightReplay n_state_bits": (1, 65_535, lambda w, v: HindsightReplay(60, v)),
    "HindsightReplay n_goal_bits": (1, N, lambda w, v: HindsightReplay(60, N, v)),
    "HindsightReplay k": (0, 1_000_000, lambda w, v: HindsightReplay(60, N, k=v)),
    "HindsightReplay.sample n_batches": (1, 2**24, lambda w, v: w.ring.sample(v, 1)),
    "HindsightReplay.sample batch_size": (1, 2**24, lambda w, v: w.ring.sample(1, v)),
    "QNetwork n_state_bits": (1, 65_535, lambda w, v: QNetwork(v)),
    "QNetwork n_goal_bits": (1, N, lambda w, v: QNetwork(N, v)),
    "QNetwork n_actions": (1, 65_536, lambda w, v: QNetwork(N, N, v)),
    "QNetwork.greedy_policy n_envs": (0, 2**31 - 1, lambda w, v: w.network.greedy_policy(v)),
    "unpack_bits n_bits": (0, 2**40, lambda w, v: unpack_bits(words(2, 1), v)),
    "Agent.learn epochs": (1, 2**40, lambda w, v: w.agent.learn(v)),
    "Agent.learn total_timesteps": (1, 2**40, lambda w, v: w.agent.learn(total_timesteps=v)),
    "Agent.evaluate n_episodes": (1, 2**40, lambda w, v: w.agent.evaluate(v)),
    "Config.epsilon_at env_steps": (0, 2**62, lambda w, v: w.agent.config.epsilon_at(v)),
    "Config.learning_rate_at updates": (0, 2**62, lambda w, v: w.agent.config.learning_rate_at(v)),
    "Config.learning_rates updates": (0, 2**62, lambda w, v: w.agent.config.learning_rates(v, 1)),
    "Config.learning_rates count": (0, 2**24, lambda w, v: w.agent.config.learning_rates(0, v)),
    "Config hidden": (1, 65_536, lambda w, v: Config(hidden=(8, v))),
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
    "Agent.learn until": ("(0, 1]", lambda w, v: w.agent.learn(until=v)),
    "Config.preset gamma": ("[0, 1)", lambda w, v: Config.preset("fast", GAME, gamma=v)),
}
CHOICES = {
    "HindsightReplay strategy": (STRATEGIES, lambda w, v: HindsightReplay(60, N, strategy=v)),
    "Agent strategy": (STRATEGIES, agent_with("strategy")),
    "Agent init": (("dense", "sparse_pairs"), agent_with("init")),
    "Agent epsilon": (("constant", "hyperbola", "linear"), agent_with("epsilon")),
    "Agent evaluate_with": (NETWORKS, agent_with("evaluate_with")),
    "Agent preset": (("fast", "paper", "notebook"), lambda w, v: Agent(GAME, v)),
    "Config.preset preset": (("fast", "paper", "notebook"), lambda w, v: Config.preset(v, GAME)),
    "QNetwork.act which": (NETWORKS, lambda w, v: w.network.act(words(2, 1), words(2, 1), v)),
    "QNetwork.q_values which": (NETWORKS, lambda w, v: w.network.q_values(words(2, 1), words(2, 1), v)),
    "QNetwork.greedy_policy which": (NETWORKS, lambda w, v: w.network.greedy_policy(2, v)),
    "QNetwork.parameters which": ((*NETWORKS, "gradient", "moment1", "moment2"), lambda w, v: w.network.parameters(v)),
}
SEEDS = {
    "HindsightReplay seed": lambda w, v: HindsightReplay(60, N, seed=v),
    "QNetwork seed": lambda w, v: QNetwork(N, seed=v),
    "Agent seed": lambda w, v: Agent(GAME, seed=v, **SMALL),
    "Agent.evaluate seed": lambda w, v: w.agent.evaluate(3, seed=v),
    "BitFlipEnv.reset seed": lambda w, v: w.env.reset(seed=v),
    "BitFlipVectorEnv.reset seed": lambda w, v: w.envs.reset(seed=v),
}


def kinds():
    """For each of them the calls that must fail: who, value, error, what is allowed, call."""
    for who, (low, high, call) in INTEGERS.items():
        yield from ((who, v, ValueError, f"from {low:,} to {high:,}", call) for v in (low - 1, high + 1))
        wrong = (True, np.False_, 2.5, NAN, "3", [3], TABLE)
        yield from ((who, v, TypeError, f"an integer from {low:,} to {high:,}", call) for v in wrong)
    for who, (interval, call) in REALS.items():
        outside = (-0.5, 1.5, NAN, math.inf, 0.0 if interval[0] == "(" else -1e-9)
        yield from ((who, v, ValueError, f"in {interval}", call) for v in outside)
        yield from ((who, v, TypeError, f"a number in {interval}", call) for v in (True, "0.5", [0.5], TABLE))
    for who, (words_, call) in CHOICES.items():
        wrong = (words_[0].title(), 3, [words_[0]], np.array(words_[0]), np.array(words_))
        yield from ((who, v, ValueError, f"one of {', '.join(map(repr, words_))}", call) for v in wrong)
    for name in BOOLEANS:
        wrong = (1, "yes", None, TABLE)
        yield from ((f"Agent {name}", v, TypeError, "True or False", agent_with(name)) for v in wrong)
    for who, call in SEEDS.items():
        wrong = ((-1, ValueError), *((v, TypeError) for v in (True, np.True_, 1.5, NAN, "0", [1, 2], TABLE)))
        yield from ((who, v, error, "None or an integer >= 0", call) for v, error in wrong)


def rows_of_kinds():
    for who, value, error, allowed, call in kinds():
        text = " ".join(repr(value).split())
        got = f"{value:,}" if type(value) is int else text
        sentence = f"^{re.escape(f'{who.split()[1]} must be {allowed}, got {got}')}$"
        yield f"{who}={text.replace('array', '')}", value, error, sentence, call


def rows():
    yield from rows_of_kinds()
    for who, (call, *cases) in PECULIAR.items():
        yield from ((f"{who} {what}", value, error, sentence, call) for what, error, sentence, value in cases)


ROWS = [pytest.param(*row, id=name) for name, *row in rows()]


@pytest.fixture(scope="module")
def world():
    """A world as bytes, and what it does next."""
    start = pickle.dumps(made())
    return start, goes_on(pickle.loads(start))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working folder, with a file and a folder."""
    monkeypatch.chdir(tmp_path)
    Path("text").write_text("not an agent")
    Path("folder").mkdir()
    return tmp_path


@pytest.mark.parametrize(("value", "error", "sentence", "call"), ROWS)
def test_what_cannot_be_taken_is_refused_and_changes_nothing(value, error, sentence, call, world, folder):
    w, given = pickle.loads(world[0]), pickle.dumps(value)
    before = pickle.dumps(w)
    with pytest.raises(error) as caught:
        call(w, value)
    message = str(caught.value)
    assert re.search(sentence, message), message
    assert "\n" not in message
    assert len(message) < 500
    assert (pickle.dumps(w), pickle.dumps(value)) == (before, given)
    assert sorted(path.name for path in folder.rglob("*")) == ["folder", "text"]
    assert goes_on(w) == world[1]


def test_every_public_call_has_its_cases():
    """Each name, and each of its own methods that takes an argument."""
    calls = {"gymnasium.make", "gymnasium.make_vec", "BitFlipEnv", "BitFlipVectorEnv", *herfast.__all__}
    for kind in (Agent, BitFlip, Config, HindsightReplay, QNetwork, BitFlipEnv, BitFlipVectorEnv):
        methods = inspect.getmembers(kind, inspect.isroutine)
        own = [name for name, method in methods if not name.startswith("_") and "herfast" in method.__module__]
        takes = [name for name in own if set(inspect.signature(getattr(kind, name)).parameters) - {"self"}]
        calls |= {f"{kind.__name__}.{name}" for name in takes}
    names = [name for name, *_ in rows()]
    assert {re.match(r"[\w.]+", name)[0] for name in names} == calls
    assert len(set(names)) == len(names) > 110
    tried = {name.partition("=")[0].split()[1] for name in names if name.startswith("Agent ")}
    assert tried >= {field.name for field in dataclasses.fields(Config)} - {"hidden"}


# --- what can be taken ------------------------------------------------------------------------------------------------


def frozen(array):
    array = array.copy()
    array.setflags(write=False)
    return array


def strided(array):
    wide = np.repeat(array, 2, axis=0)
    wide[1::2] = ~wide[1::2] if wide.dtype != np.float32 else -5
    return wide[::2]


LAYOUTS = {
    "read-only": frozen,
    "every other": strided,
    "backwards": lambda array: array[::-1].copy()[::-1],
    "Fortran": np.asfortranarray,
    "misaligned": lambda array: np.frombuffer(b"x" + array.tobytes(), array.dtype, array.size, 1).reshape(array.shape),
}
TAKING = {
    "pack_bits": lambda w, lay: pack_bits(lay(w.observation["observation"])),
    "pack_bits of bool": lambda w, lay: pack_bits(lay(w.observation["observation"] > 0)),
    "pack_bits of int64": lambda w, lay: pack_bits(lay(w.observation["observation"].astype(np.int64))),
    "unpack_bits": lambda w, lay: unpack_bits(lay(w.step["states"]), N),
    "HindsightReplay.add": lambda w, lay: w.ring.add(Trajectories(*map(lay, w.trajectories))),
    "HindsightReplay.load_state_dict": lambda w, lay: w.ring.load_state_dict(
        {"records": lay(w.ring.records), "cursor": lay(w.ring.cursor)}
    ),
    "QNetwork.act": lambda w, lay: w.network.act(lay(w.step["states"]), lay(w.step["goals"])),
    "QNetwork.q_values": lambda w, lay: w.network.q_values(lay(w.step["states"]), lay(w.step["goals"])),
    "QNetwork.fit": lambda w, lay: w.network.fit(Minibatches(*map(lay, w.batches))),
    "Agent.predict": lambda w, lay: w.agent.predict({name: lay(bits) for name, bits in w.observation.items()}),
    "BitFlipVectorEnv.step": lambda w, lay: w.envs.step(lay(np.array([3, 1, 8]))),
    "BitFlipVectorEnv.reset": lambda w, lay: w.envs.reset(options={"reset_mask": lay(np.array([True, False, True]))}),
    "BitFlipEnv.compute_reward": lambda w, lay: w.env.compute_reward(*map(lay, w.observation.values()), {}),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("call", TAKING)
def test_arrays_of_any_layout_are_taken_for_what_they_are(call, layout, world):
    plain, w = pickle.loads(world[0]), pickle.loads(world[0])
    expected, found = TAKING[call](plain, np.copy), TAKING[call](w, LAYOUTS[layout])
    assert pickle.dumps(found) == pickle.dumps(expected)
    assert goes_on(w) == goes_on(plain)


def test_the_packed_game_takes_read_only_inputs(world):
    plain, w = pickle.loads(world[0]), pickle.loads(world[0])
    inputs = {name: frozen(array) for name, array in w.step.items() if not name.startswith("out_")}
    GAME.step(**plain.step)
    GAME.step(**w.step | inputs)
    assert goes_on(w) == goes_on(plain)


def test_lists_are_taken_where_gymnasium_would_hand_out_arrays(world):
    plain, w = pickle.loads(world[0]), pickle.loads(world[0])
    lists = {name: bits.tolist() for name, bits in w.observation.items()}
    assert (w.agent.predict(lists)[0] == plain.agent.predict(plain.observation)[0]).all()
    assert (pack_bits(lists["observation"]) == plain.step["states"]).all()
    assert pickle.dumps(w.envs.step([3, 1, 8])) == pickle.dumps(plain.envs.step(np.array([3, 1, 8])))
    assert pickle.dumps(w.env.reset(seed=np.int64(7))) == pickle.dumps(plain.env.reset(seed=7))
    assert w.env.compute_reward([1.0] * N, np.ones(N, np.float32), None) == 0.0


@pytest.mark.parametrize("limit", ["epochs", "total_timesteps"])
def test_numpy_integers_do_not_overflow(limit, world):
    plain, w = pickle.loads(world[0]), pickle.loads(world[0])
    for one in (plain, w):
        one.agent.config = dataclasses.replace(one.agent.config, cycles_per_epoch=3)
    plain.agent.learn(**{limit: 100})
    w.agent.learn(**{limit: np.int8(100)})
    assert w.agent.cycles == plain.agent.cycles
