"""Rollout of episodes in lockstep.

The order of random draws is a contract. The environment stream resets all episodes. At each step the
exploration stream draws as csrc/exploration.h states. Without exploration only the reset draws numbers.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from herfast.common.batches import Trajectories, Words, n_words
from herfast.common.bits import _core
from herfast.config import Evaluator
from herfast.envs.base import GoalEnv
from herfast.networks.arrays import Floats
from herfast.networks.q_network import QNetwork


def rollout(
    env: GoalEnv,
    network: QNetwork,
    n_episodes: int,
    rng: np.random.Generator,
    *,
    which: Evaluator = "online",
    exploration: np.random.Generator | None = None,
    epsilon_at: Callable[[int], float] | None = None,
    env_steps: int = 0,
    no_revisit: bool = False,
) -> Trajectories:
    """Play episodes until all of them have ended.

    Args:
        env: the environment.
        network: the Q-network.
        n_episodes: number of episodes E.
        rng: draws initial states and goals.
        which: "online" or "target", the network that plays.
        exploration: draws random actions. With None the policy is greedy.
        epsilon_at: probability of a random action as a function of completed environment steps. It is
            evaluated once per step of all episodes.
        env_steps: environment steps completed before. Those of all episodes are added.
        no_revisit: take the best of the actions that lead to no state that the episode has visited. Where all
            of them do, all are allowed.

    Returns:
        The trajectories: T is env.max_steps.
    """
    states = np.zeros((env.max_steps + 1, n_episodes, n_words(env.n_state_bits)), np.uint64)
    goals = np.zeros((n_episodes, n_words(env.n_goal_bits)), np.uint64)
    actions = np.zeros((env.max_steps, n_episodes), np.uint16)
    lengths = np.full(n_episodes, env.max_steps, np.int32)
    terminated = np.zeros(n_episodes, np.bool_)
    active = np.arange(n_episodes)

    env.reset(rng, states[0], goals)
    policy = network.greedy_policy(n_episodes, which)
    for t in range(env.max_steps):
        values = policy.act(states[t], goals, active, actions[t])
        if no_revisit:
            q = values[:, : active.size].T
            actions[t, active] = _best_new(env, q, states[: t + 1, active], goals[active])
        if exploration is not None and epsilon_at is not None:
            epsilon = epsilon_at(env_steps)
            _core.explore(exploration.bit_generator, epsilon, env.n_actions, active, actions[t])
        env.step(states[t], goals, actions[t], active, states[t + 1], terminated)
        env_steps += active.size
        done: NDArray[np.bool_] = terminated[active]
        if np.count_nonzero(done):  # takes a quarter of the time of done.any(), which matters at each step
            lengths[active[done]] = t + 1
            active = active[~done]
            if not active.size:
                break
    return Trajectories(states, actions, goals, lengths)


def _best_new(env: GoalEnv, q: Floats, visited: Words, goals: Words) -> NDArray[np.uint16]:
    """Return each episode's best action to a new state, or its best one.

    Actions are tried from the best to the worst, since mostly the best one is allowed.

    Args:
        env: the environment.
        q: Q values [M, A].
        visited: uint64[t + 1, M, Ws], the states of M episodes up to the current one.
        goals: uint64[M, Wg].
    """
    order = np.argsort(-q, axis=1, kind="stable").astype(np.uint16)
    chosen = order[:, 0].copy()
    pending = np.arange(len(q))
    for rank in range(env.n_actions):
        past = visited[:, pending]
        next_states = np.empty_like(past[-1])
        terminated = np.zeros(len(pending), np.bool_)
        actions = np.ascontiguousarray(order[pending, rank])
        rows = np.arange(len(pending))
        env.step(np.ascontiguousarray(past[-1]), goals[pending], actions, rows, next_states, terminated)
        is_new = np.logical_not((past == next_states).all(axis=2).any(axis=0))
        chosen[pending[is_new]] = actions[is_new]
        pending = pending[~is_new]
        if not pending.size:
            break
    return chosen


def final_states(trajectories: Trajectories) -> NDArray[np.uint64]:
    """Return the last state of each episode, uint64[E, Ws]."""
    return trajectories.states[trajectories.lengths, np.arange(len(trajectories.lengths))]


def reached_goal(trajectories: Trajectories, n_goal_bits: int) -> NDArray[np.bool_]:
    """Return for each episode whether it ended at its goal, bool[E].

    The achieved goal is the first `n_goal_bits` bits of the last state.
    """
    difference = final_states(trajectories)[:, : n_words(n_goal_bits)] ^ trajectories.goals
    if n_goal_bits % 64:
        difference[:, -1] &= np.uint64((1 << n_goal_bits % 64) - 1)
    return np.logical_not(difference.any(axis=1))


def ended_in_loop(trajectories: Trajectories) -> NDArray[np.bool_]:
    """Return for each episode whether it ended in a state visited before, bool[E].

    A greedy policy never leaves such a loop.
    """
    last = final_states(trajectories)
    steps = np.arange(len(trajectories.states))[:, None]
    equal = (trajectories.states == last).all(axis=2)
    repeats: NDArray[np.bool_] = np.any(equal & (steps < trajectories.lengths), axis=0)
    return repeats
