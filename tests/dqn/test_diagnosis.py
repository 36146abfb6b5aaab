"""Tests of the diagnosis: its numbers, its text and its advice."""

import math
import pickle
import re

import numpy as np
import pytest
from reference import network as reference_network
from support.small_agents import SMALL_SETTINGS
from support.trajectories import numbered_episodes, random_episodes

from herfast import Agent, BitFlip, GridWorld, HindsightReplay
from herfast.common.seeding import Role, stream
from herfast.dqn import diagnosis
from herfast.dqn.diagnosis import Diagnosis, action_gap, advice, hindsight_success, visited_states
from herfast.dqn.rollout import rollout

HEALTHY = Diagnosis(0.99, 0.0, 0.1, -9.0, 0.5, -50.0, 1.5, 0.2, 0.1, 0.5)
WEAK = HEALTHY._replace(success_rate=0.94)


def trained_agent(n_bits=9, preset="notebook", epochs=2, **fields):
    return Agent(BitFlip(n_bits), preset, 1, **{**SMALL_SETTINGS, "until": None, **fields}).learn(
        epochs=epochs
    )


def test_action_gap_equals_a_computation_by_hand():
    q = np.array([[1.0, 3.0, -1.0, 0.0], [5.0, 9.0, 9.0, 9.0], [2.0, 2.0, 4.0, 0.0]])
    better = np.array([[1, 1, 0, 0], [1, 1, 1, 1], [0, 0, 1, 0]], bool)
    gap, noise = action_gap(q, better)
    # Means of better and other actions: 2 and -0.5; no other action; 4 and 4/3.
    assert gap == pytest.approx((2.5 + 8 / 3) / 2)
    deviations = [-1, 1, -0.5, 0.5, 2 / 3, 2 / 3, -4 / 3, 0]
    assert noise == pytest.approx(np.sqrt(np.mean(np.square(deviations))))
    assert np.isnan(action_gap(q[1:2], better[1:2])).all()


@pytest.mark.parametrize(
    ("strategy", "k", "rate"),
    [
        ("final", 1, 1 / 10),
        ("final", 3, 1 / 10),
        ("future", 4, sum(1 / i for i in range(1, 11)) / 10),
        ("episode", 4, 1 / 11),
        ("random", 4, 1 / 77),
        ("future", 0, 1.0),
    ],
)
def test_hindsight_success_is_the_share_of_relabelled_successes(strategy, k, rate):
    """Use seven episodes of ten steps without equal states: one step reaches a goal."""
    replay = HindsightReplay(1000, 50, strategy=strategy, k=k, seed=0)
    assert np.isnan(hindsight_success(replay))
    replay.add(numbered_episodes(7, 10))
    before = pickle.dumps(replay)
    share = hindsight_success(replay)
    assert pickle.dumps(replay) == before
    deviation = np.sqrt(rate * (1 - rate) / diagnosis.N_TRANSITIONS)
    assert abs(share - rate * k / (k + 1)) <= 5 * deviation * k / (k + 1) + 1e-6


def test_visited_states_are_those_in_which_an_action_was_taken():
    episodes = random_episodes(np.random.default_rng(0), 70, n_episodes=5, max_steps=6)
    states, goals = visited_states(episodes, 1000)
    expected = [
        (episodes.states[t, e], episodes.goals[e])
        for t in range(6)
        for e in range(5)
        if t < episodes.lengths[e]
    ]
    np.testing.assert_array_equal(states, [state for state, _ in expected])
    np.testing.assert_array_equal(goals, [goal for _, goal in expected])
    few, _ = visited_states(episodes, 4)
    assert len(few) == 4
    np.testing.assert_array_equal(few[[0, -1]], states[[0, -1]])


@pytest.mark.parametrize("preset", ["notebook", "paper", "fast"])
def test_diagnosis_agrees_with_evaluation_and_reference_network(preset):
    agent = trained_agent(preset=preset, epochs=3)
    found = agent.diagnose()
    evaluation = agent.evaluate(diagnosis.N_EPISODES, seed=agent.seed)
    assert (found.success_rate, found.loop_share) == (evaluation.success_rate, evaluation.loop_share)
    which = agent.config.evaluate_with
    episodes = rollout(agent.env, agent.network, diagnosis.N_EPISODES, stream(1, Role.TEST), which=which)
    states, goals = visited_states(episodes, diagnosis.MAX_STATES)
    params = {name: array.astype(np.float64) for name, array in agent.network.parameters(which).items()}
    inputs = reference_network.inputs(states, goals, 9, 9, np.float64)
    _, q = reference_network.forward(params, inputs)
    assert (found.q_lowest, found.q_highest) == pytest.approx((q.min(), q.max()), abs=1e-4)
    assert found.q_floor == pytest.approx(-1 / (1 - agent.config.gamma))
    better = reference_network.unpack(states, 9) != reference_network.unpack(goals, 9)
    assert (found.action_gap, found.action_noise) == pytest.approx(action_gap(q, better), abs=1e-4)
    assert found.epsilon == agent.config.epsilon_at(agent.env_steps)
    assert found.ring_fill == (agent.env_steps + agent.episodes) / agent.config.capacity
    assert found.hindsight_success > 0


def test_diagnose_does_not_change_the_agent():
    diagnosed = trained_agent()
    other = trained_agent()
    assert diagnosed.diagnose() == diagnosed.diagnose()
    diagnosed.learn(epochs=1)
    other.learn(epochs=1)
    for name, array in diagnosed.network.parameters().items():
        np.testing.assert_array_equal(array, other.network.parameters()[name])
    assert diagnosed.evaluate(30) == other.evaluate(30)


@pytest.mark.parametrize("n_bits", [1, 2, 64, 130])
def test_untrained_and_trained_agents_can_be_diagnosed(n_bits):
    agent = Agent(BitFlip(n_bits), "fast", 0, **SMALL_SETTINGS)
    for found in (agent.diagnose(), agent.learn(epochs=1).diagnose()):
        assert 0 <= found.loop_share <= 1 - found.success_rate
        assert found.q_lowest <= found.q_highest
        assert str(found).count("\n") == 7
        assert np.isnan(found.action_gap) == (n_bits == 1)
    assert np.isnan(Agent(BitFlip(n_bits), "fast", 0, **SMALL_SETTINGS).diagnose().hindsight_success)


def test_a_diagnosis_is_printed_as_a_table():
    assert str(HEALTHY).splitlines()[3:5] == [
        "Q values           -9.00 to 0.50; returns: -50 to 0",
        "action gap         1.500 with a noise of 0.200",
    ]
    assert str(HEALTHY).endswith("advice             none, no problem was found")
    assert str(HEALTHY._replace(advice="Do it.")).endswith("advice             Do it.")
    assert "returns: -1.333 to 0" in str(HEALTHY._replace(q_floor=-4 / 3))
    unknown = HEALTHY._replace(action_gap=np.nan, hindsight_success=np.nan, epsilon=np.nan, ring_fill=np.nan)
    assert [line.split()[-1] for line in str(unknown).splitlines()[2:7]] == ["unknown", "0", *["unknown"] * 3]


# Fields of Config, arguments of BitFlip, changed findings of WEAK, and the expected advice.
ADVICE = [
    ({}, {}, {}, "The greedy policy succeeds in 94.0% of the episodes, .*: train longer"),
    ({}, {}, {"success_rate": 0.95, "loop_share": 0.04}, None),
    ({}, {}, {"q_highest": 4.5}, "Q values left the range of returns"),
    ({}, {}, {"q_lowest": -54.5}, "Q values left the range of returns"),
    ({}, {}, {"q_lowest": -54.5, "success_rate": 1.0}, "Q values left the range of returns"),
    ({"advantage_gap": 0.5}, {}, {"q_lowest": -54.5}, "train longer"),
    ({"k": 0}, {}, {"hindsight_success": 0.0}, "k is 0"),
    ({"k": 0}, {}, {"success_rate": 0.95}, None),
    (
        {"strategy": "random"},
        {},
        {"hindsight_success": 0.0},
        "strategy 'random' takes them from other episodes",
    ),
    ({"strategy": "random"}, {}, {"hindsight_success": 0.02}, "train longer"),
    ({"strategy": "final"}, {}, {"hindsight_success": 0.0}, "train longer"),
    ({"capacity": 160}, {}, {}, "the episodes of only 4.0 cycles"),
    ({"capacity": 200}, {}, {}, "train longer"),
    ({}, {"max_steps": 4}, {}, "max_steps = 4 leaves 50% of the goals out of reach"),
    ({}, {"max_steps": 6}, {}, "max_steps = 6 leaves 9% of the goals out of reach"),
    ({}, {"max_steps": 7}, {}, "train longer"),
    (
        {"gamma": 0.75},
        {},
        {"q_floor": -4.0, "q_lowest": -5.0},
        "gamma = 0.75 has a horizon of 4 steps, but an optimal policy needs 4.5 steps on average",
    ),
    ({"gamma": 0.0}, {}, {"q_floor": -1.0, "q_lowest": -1.0}, "gamma = 0 has a horizon of 1 steps, "),
    (
        {"gamma": 0.776},
        {},
        {"q_floor": -1 / 0.224, "q_lowest": -5.0},
        "train longer",  # less than 1 % too short
    ),
    (
        {"epsilon": "constant", "epsilon_start": 0.0},
        {},
        {"epsilon": 0.0},
        "epsilon = 0.: raise epsilon_start",
    ),
    ({}, {}, {"loop_share": 0.04}, "train longer"),
    (
        {},
        {},
        {"loop_share": 0.06, "action_gap": 0.4},
        "is 0.40 and should be 4 times its noise, which is 0.20; more updates help, and so does a wider",
    ),
    ({"mask_terminal": False}, {}, {"loop_share": 0.1}, "and so does mask_terminal"),
    ({"learning_rate": 0.01}, {}, {"loop_share": 0.1}, "and so does a lower learning_rate"),
    (
        {"learning_rate": 0.01, "learning_rate_end": 1e-3, "learning_rate_decay_updates": 3},  # completed
        {},
        {"loop_share": 0.1},
        "and so does a wider hidden layer",
    ),
]


def advice_for(agent, found):
    return advice(agent.env, agent.network, agent.replay, agent.config, found)


@pytest.mark.parametrize(("fields", "env_args", "findings", "expected"), ADVICE)
def test_advice_names_the_most_serious_problem(fields, env_args, findings, expected):
    agent = Agent(BitFlip(9, **env_args), "notebook", 0, **{**SMALL_SETTINGS, **fields}).learn(epochs=1)
    text = advice_for(agent, WEAK._replace(**findings))
    if expected is None:
        assert text is None
    else:
        assert re.search(expected, text), text
        assert text.endswith(".")
        assert "\n" not in text


@pytest.mark.parametrize(("n_bits", "max_steps"), [(1, 1), (9, 4), (9, 9), (20, 10), (20, 12), (64, 30)])
def test_optimal_play_counts_the_goals_out_of_reach(n_bits, max_steps):
    far = sum(math.comb(n_bits, distance) for distance in range(max_steps + 1, n_bits + 1))
    assert BitFlip(n_bits, max_steps).optimal_play().unreachable == pytest.approx(far / 2**n_bits)


def test_advice_for_an_empty_replay_buffer_and_for_nan_weights(tmp_path):
    agent = Agent(BitFlip(9), "notebook", 0, **SMALL_SETTINGS).learn(epochs=1)
    agent.save(tmp_path / "agent.safetensors")
    loaded = Agent.load(tmp_path / "agent.safetensors")
    assert "replay buffer is empty" in advice_for(loaded, WEAK)
    assert "end in loops" in advice_for(loaded, WEAK._replace(loop_share=0.5))
    found = loaded.diagnose()
    assert np.isnan([found.hindsight_success, found.epsilon, found.ring_fill]).all()
    agent.network.parameters("target")["output.bias"][0] = np.nan
    assert "not finite" in agent.diagnose().advice


@pytest.mark.parametrize("preset", ["notebook", "paper", "fast"])
@pytest.mark.parametrize("advantage_gap", [0.0, 0.5])
def test_untrained_agents_have_q_values_in_the_range_of_returns(preset, advantage_gap):
    for seed in range(10):
        found = Agent(BitFlip(20), preset, seed, advantage_gap=advantage_gap).diagnose()
        assert "range of returns" not in found.advice, (seed, found)


def test_large_environments_are_diagnosed_with_fewer_episodes(monkeypatch):
    """The number of episodes is limited to one portion of `evaluate`."""
    agent = trained_agent(epochs=4)
    whole = agent.diagnose()
    monkeypatch.setattr(diagnosis, "n_parallel_episodes", lambda env, n_episodes: 3)
    part = agent.diagnose()
    assert part.loop_share == agent.evaluate(3, seed=agent.seed).loop_share
    assert part.action_gap != whole.action_gap


def test_advice_names_the_encoding_that_the_environment_proposes():
    agent = Agent(GridWorld("...", 5), "notebook", 0, encoding="signed", **SMALL_SETTINGS).learn(epochs=1)
    assert "encoding 'binary'" in advice_for(agent, WEAK._replace(loop_share=0.5))


def test_advice_for_many_bits_names_sparse_weights():
    agent = Agent(BitFlip(40), "notebook", 0, **SMALL_SETTINGS).learn(epochs=1)
    assert "init 'sparse'" in advice_for(agent, WEAK._replace(loop_share=0.5))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "expected"),  # fields of Config, and max_steps
    [
        ({}, None),
        ({"k": 0}, "k is 0"),
        ({"strategy": "random"}, "strategy 'random'"),
        ({"learning_rate": 1.0}, "Q values left"),
        ({"capacity": 300}, "raise capacity"),
        ({"hidden": (16,)}, "wider hidden"),
        ({"max_steps": 10}, "out of reach"),
    ],
)
def test_problems_of_trained_agents_are_found(settings, expected):
    """Train for 4,000 updates at 20 bits, enough for the preset without changes."""
    fields = dict(settings)
    env = BitFlip(20, fields.pop("max_steps", None))
    found = Agent(env, "notebook", 0, **fields).learn(epochs=2).diagnose()
    assert (found.advice is None) == (expected is None), found
    assert expected is None or expected in found.advice, found
    assert (found.success_rate > 0.95) == (expected is None), found
