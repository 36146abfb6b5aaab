"""Greedy evaluation."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from herfast.common.validation import short_repr
from herfast.config import Evaluator
from herfast.dqn.memory_budget import trajectory_bytes
from herfast.dqn.rollout import ended_in_loop, play_episodes
from herfast.envs.base import GoalEnv
from herfast.networks.q_network import QNetwork

MAX_PARALLEL_EPISODES = 4_096  # test episodes in lockstep
MAX_TRAJECTORY_BYTES = 2**28  # size of their trajectories


class Evaluation(NamedTuple):
    """Result of an evaluation."""

    n_episodes: int
    success_rate: float  # share of episodes that reached their goal
    mean_return: float  # undiscounted; by default -1 for each step except one that reaches the goal
    mean_length: float  # steps
    loop_share: float  # share of episodes that ended in a state visited before


def n_parallel_episodes(env: GoalEnv, n_episodes: int) -> int:
    """Return how many episodes to play in lockstep, so that trajectories stay small."""
    return max(1, min(n_episodes, MAX_PARALLEL_EPISODES, MAX_TRAJECTORY_BYTES // trajectory_bytes(env)))


def evaluate(
    env: GoalEnv,
    network: QNetwork,
    n_episodes: int,
    rng: np.random.Generator,
    which: Evaluator,
    no_revisit: bool = False,
) -> Evaluation:
    """Evaluate the greedy policy of a network.

    Args:
        env: the environment.
        network: the Q-network.
        n_episodes: number of episodes, played in lockstep in portions of `n_parallel_episodes`.
        rng: draws initial states and goals.
        which: "online" or "target", the network that plays.
        no_revisit: as in `rollout`.

    Raises:
        TypeError: with `no_revisit`, the environment holds a state, so that actions cannot be tried.
    """
    if no_revisit and getattr(env, "holds_state", False):
        raise TypeError(f"no_revisit needs an environment that steps from any state, got {short_repr(env)}")
    chunk_size = n_parallel_episodes(env, n_episodes)
    successes = 0
    returns = 0.0
    steps = 0
    loops = 0
    for first in range(0, n_episodes, chunk_size):
        n_chunk = min(chunk_size, n_episodes - first)
        episodes = play_episodes(env, network, n_chunk, rng, which=which, no_revisit=no_revisit)
        successes += int(episodes.successes.sum())
        returns += float(episodes.returns.sum())
        steps += int(episodes.trajectories.lengths.sum())
        loops += int(ended_in_loop(episodes.trajectories).sum())
    return Evaluation(
        n_episodes=n_episodes,
        success_rate=successes / n_episodes,
        mean_return=returns / n_episodes,
        mean_length=steps / n_episodes,
        loop_share=loops / n_episodes,
    )
