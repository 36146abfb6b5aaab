"""What greedy play achieves."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from herfast.envs import GoalEnv
from herfast.memory import trajectory_bytes
from herfast.network import QNetwork
from herfast.rollout import looped, reached, rollout

MOST_GAMES, MOST_BYTES = 4_096, 2**28  # test episodes played at once, at most; their trajectories' size


class Evaluation(NamedTuple):
    """What greedy play achieved."""

    n_episodes: int
    success_rate: float  # share of episodes that reached their goal
    mean_return: float  # undiscounted: -1 for each step but one that reaches the goal
    mean_length: float  # steps
    loop_share: float  # share of episodes that ended in a state visited before


def games_at_once(env: GoalEnv, n_episodes: int) -> int:
    """How many of `n_episodes` episodes are played in lockstep, so that their trajectories stay small."""
    return max(1, min(n_episodes, MOST_GAMES, MOST_BYTES // trajectory_bytes(env)))


def evaluate(
    env: GoalEnv, network: QNetwork, n_episodes: int, rng: np.random.Generator, which: str, no_revisit: bool = False
) -> Evaluation:
    """Play `n_episodes` greedy episodes, drawn from `rng`, with the "online" or "target" network; as `rollout` does."""
    at_once = games_at_once(env, n_episodes)
    successes = steps = loops = 0
    for first in range(0, n_episodes, at_once):
        episodes = rollout(env, network, min(at_once, n_episodes - first), rng, which=which, no_revisit=no_revisit)
        successes += int(reached(episodes, env.n_goal_bits).sum())
        steps += int(episodes.lengths.sum())
        loops += int(looped(episodes).sum())
    return Evaluation(
        n_episodes=n_episodes,
        success_rate=successes / n_episodes,
        mean_return=(successes - steps) / n_episodes,
        mean_length=steps / n_episodes,
        loop_share=loops / n_episodes,
    )
