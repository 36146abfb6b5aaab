"""Greedy evaluation."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from herfast.dqn.memory_budget import trajectory_bytes
from herfast.dqn.rollout import ended_in_loop, reached_goal, rollout
from herfast.envs.base import GoalEnv
from herfast.networks.q_network import QNetwork

MAX_PARALLEL_EPISODES = 4_096  # test episodes in lockstep
MAX_TRAJECTORY_BYTES = 2**28  # size of their trajectories


class Evaluation(NamedTuple):
    """Result of an evaluation."""

    n_episodes: int
    success_rate: float  # share of episodes that reached their goal
    mean_return: float  # undiscounted: -1 for each step but one that reaches the goal
    mean_length: float  # steps
    loop_share: float  # share of episodes that ended in a state visited before


def n_parallel_episodes(env: GoalEnv, n_episodes: int) -> int:
    """How many of `n_episodes` episodes are played in lockstep, so that their trajectories stay small."""
    return max(1, min(n_episodes, MAX_PARALLEL_EPISODES, MAX_TRAJECTORY_BYTES // trajectory_bytes(env)))


def evaluate(
    env: GoalEnv, network: QNetwork, n_episodes: int, rng: np.random.Generator, which: str, no_revisit: bool = False
) -> Evaluation:
    """Play `n_episodes` greedy episodes, drawn from `rng`, with the "online" or "target" network; as `rollout` does."""
    chunk_size = n_parallel_episodes(env, n_episodes)
    successes = steps = loops = 0
    for first in range(0, n_episodes, chunk_size):
        episodes = rollout(env, network, min(chunk_size, n_episodes - first), rng, which=which, no_revisit=no_revisit)
        successes += int(reached_goal(episodes, env.n_goal_bits).sum())
        steps += int(episodes.lengths.sum())
        loops += int(ended_in_loop(episodes).sum())
    return Evaluation(
        n_episodes=n_episodes,
        success_rate=successes / n_episodes,
        mean_return=(successes - steps) / n_episodes,
        mean_length=steps / n_episodes,
        loop_share=loops / n_episodes,
    )
