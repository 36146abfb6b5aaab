"""Tests of greedy evaluation: results, random stream and portions of episodes."""

import pytest
from support.small_agents import small_agent

from herfast.common.seeding import Role, stream
from herfast.dqn.rollout import play_episodes


def test_evaluation_is_reproducible_with_a_seed():
    agent = small_agent().learn(epochs=10)
    once = agent.evaluate(50, seed=1)
    assert agent.evaluate(50, seed=1) == once
    assert agent.evaluate(50, seed=2) != once
    assert once.n_episodes == 50
    assert once.mean_return == pytest.approx(once.success_rate - once.mean_length)
    assert 0 <= once.loop_share <= 1 - once.success_rate
    assert agent.evaluate(50) != agent.evaluate(50)  # the next episodes of the evaluation stream


def test_seeded_episodes_come_from_another_stream_than_those_of_learn(monkeypatch):
    streams = {role.name: stream(3, role).bit_generator.state for role in Role}
    seen = []

    def spy(env, network, n_episodes, rng, **kwargs):
        seen.append([name for name, state in streams.items() if state == rng.bit_generator.state])
        return play_episodes(env, network, n_episodes, rng, **kwargs)

    monkeypatch.setattr("herfast.dqn.evaluation.play_episodes", spy)
    agent = small_agent(seed=3)
    agent.evaluate(5)
    agent.evaluate(5, seed=3)
    assert seen == [["EVALUATION"], ["TEST"]]


def test_evaluation_in_portions_plays_the_same_episodes(monkeypatch):
    whole = small_agent().evaluate(50, seed=1)
    monkeypatch.setattr("herfast.dqn.evaluation.MAX_PARALLEL_EPISODES", 7)
    assert small_agent().evaluate(50, seed=1) == whole


def test_no_revisit_needs_an_environment_without_a_state():
    agent = small_agent()
    object.__setattr__(agent.env, "holds_state", True)
    with pytest.raises(TypeError, match=r"^no_revisit needs an environment that .*, got BitFlip\(n_bits="):
        agent.evaluate(2, seed=1, no_revisit=True)
    assert agent.evaluate(2, seed=1).n_episodes == 2
