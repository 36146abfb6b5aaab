"""Greedy evaluation: its numbers, the random stream it draws from, and episodes played in portions."""

import pytest
from support.small_agents import small_agent

from herfast.common.seeding import Role, stream
from herfast.dqn.rollout import rollout


def test_evaluation():
    agent = small_agent().learn(epochs=10)
    once, again, other = agent.evaluate(50, seed=1), agent.evaluate(50, seed=1), agent.evaluate(50, seed=2)
    assert once == again != other
    assert once.n_episodes == 50
    assert once.mean_return == pytest.approx(once.success_rate - once.mean_length)
    assert 0 <= once.loop_share <= 1 - once.success_rate
    assert agent.evaluate(50) != agent.evaluate(50)  # the next games of the agent's own stream


def test_games_of_a_seed_are_not_those_that_learning_is_judged_by(monkeypatch):
    streams = {role.name: stream(3, role).bit_generator.state for role in Role}
    seen = []

    def spy(env, network, n_episodes, rng, **kwargs):
        seen.append([name for name, state in streams.items() if state == rng.bit_generator.state])
        return rollout(env, network, n_episodes, rng, **kwargs)

    monkeypatch.setattr("herfast.dqn.evaluation.rollout", spy)
    agent = small_agent(seed=3)
    agent.evaluate(5)
    agent.evaluate(5, seed=3)
    assert seen == [["EVALUATION"], ["TEST"]]


def test_evaluation_in_portions_plays_the_same_games(monkeypatch):
    whole = small_agent().evaluate(50, seed=1)
    monkeypatch.setattr("herfast.dqn.evaluation.MAX_PARALLEL_EPISODES", 7)
    assert small_agent().evaluate(50, seed=1) == whole
