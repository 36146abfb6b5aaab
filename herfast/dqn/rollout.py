"""Roll out episodes in lockstep.

Order of draws, a contract: the environment stream resets all episodes; then, at each step, the exploration stream gives
one uniform [0, 1) per episode still active, in order, and after them one action for each episode whose uniform is below
epsilon. Without exploration nothing but the reset is drawn.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from herfast.common.batches import Trajectories, n_words
from herfast.envs.base import GoalEnv
from herfast.networks.kernels.simd import Floats
from herfast.networks.q_network import QNetwork


def rollout(
    env: GoalEnv,
    network: QNetwork,
    n_episodes: int,
    rng: np.random.Generator,
    *,
    which: str = "online",
    exploration: np.random.Generator | None = None,
    epsilon_at: Callable[[int], float] | None = None,
    env_steps: int = 0,
    no_revisit: bool = False,
) -> Trajectories:
    """Play `n_episodes` episodes with the "online" or "target" network; finished games are not stepped.

    Greedy, unless `exploration` is given: then each action is random with probability epsilon_at(steps completed),
    counted from `env_steps` over all games and constant within a lockstep step. With `no_revisit` a greedy game takes
    the best of the actions that it has not yet taken: in the bit-flip game it never flips a bit back.
    """
    states = np.zeros((env.max_steps + 1, n_episodes, n_words(env.n_state_bits)), np.uint64)
    goals = np.zeros((n_episodes, n_words(env.n_goal_bits)), np.uint64)
    actions = np.zeros((env.max_steps, n_episodes), np.uint16)
    lengths = np.full(n_episodes, env.max_steps, np.int32)
    terminated = np.zeros(n_episodes, np.bool_)
    active = np.arange(n_episodes)
    taken = np.zeros((env.n_actions, n_episodes), np.bool_) if no_revisit else None

    env.reset(rng, states[0], goals)
    policy = network.greedy_policy(n_episodes, which)
    for t in range(env.max_steps):
        policy.act(states[t], goals, active, actions[t])
        if taken is not None:
            actions[t, active] = _best_untaken(policy.values(active.size), taken, active)
        if exploration is not None and epsilon_at is not None:
            explorers = active[exploration.random(active.size) < epsilon_at(env_steps)]
            if explorers.size:
                actions[t, explorers] = exploration.integers(env.n_actions, size=explorers.size)
        env.step(states[t], goals, actions[t], active, states[t + 1], terminated)
        env_steps += active.size
        done: NDArray[np.bool_] = terminated[active]
        if np.count_nonzero(done):  # a quarter of the time of done.any(), once a step
            lengths[active[done]] = t + 1
            active = active[~done]
            if not active.size:
                break
    return Trajectories(states, actions, goals, lengths)


def _best_untaken(q: Floats, taken: NDArray[np.bool_], active: NDArray[np.int64]) -> NDArray[np.int64]:
    """From q [A, n_active]: the best action of each active game that `taken` [A, E] does not have, noted there.

    Where it has them all, as it may where max_steps exceeds A, all are open again.
    """
    taken[:, active[taken[:, active].all(axis=0)]] = False
    best: NDArray[np.int64] = np.where(taken[:, active], -np.inf, q).argmax(axis=0)
    taken[best, active] = True
    return best


def final_states(trajectories: Trajectories) -> NDArray[np.uint64]:
    """The last state of each episode, uint64[E, Ws]."""
    return trajectories.states[trajectories.lengths, np.arange(len(trajectories.lengths))]


def reached_goal(trajectories: Trajectories, n_goal_bits: int) -> NDArray[np.bool_]:
    """Which episodes ended at their goal, bool[E]: the achieved goal is the first bits of the last state."""
    difference = final_states(trajectories)[:, : n_words(n_goal_bits)] ^ trajectories.goals
    if n_goal_bits % 64:
        difference[:, -1] &= np.uint64((1 << n_goal_bits % 64) - 1)
    return np.logical_not(difference.any(axis=1))


def ended_in_loop(trajectories: Trajectories) -> NDArray[np.bool_]:
    """Which episodes ended in a state that they had visited before, bool[E]; greedy play never leaves such a loop."""
    last, steps = final_states(trajectories), np.arange(len(trajectories.states))[:, None]
    equal = (trajectories.states == last).all(axis=2)
    repeats: NDArray[np.bool_] = np.any(equal & (steps < trajectories.lengths), axis=0)
    return repeats
