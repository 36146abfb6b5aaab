"""Rollout of episodes in lockstep, and their outcomes.

The order of random draws is a contract. The environment stream resets all episodes, or draws a seed for each
sub-environment. At each step the exploration stream draws as csrc/exploration.h states. Without exploration
only the reset draws numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from herfast.common.batches import Outcomes, Trajectories, Words, n_words
from herfast.common.bits import _core
from herfast.config import Evaluator
from herfast.envs.base import GoalEnv, StatefulEnv, stateful
from herfast.networks.arrays import Floats
from herfast.networks.q_network import QNetwork


class Episodes(NamedTuple):
    """E finished episodes with their outcomes."""

    trajectories: Trajectories
    returns: NDArray[np.float64]  # [E], sums of rewards
    successes: NDArray[np.bool_]  # [E]
    outcomes: Outcomes | None  # None if they follow from states and goals


def play_episodes(
    env: GoalEnv,
    network: QNetwork,
    n_episodes: int,
    rng: np.random.Generator,
    *,
    no_revisit: bool = False,
    **options: Any,
) -> Episodes:
    """Play episodes in any environment until all of them have ended.

    The arguments are those of `rollout`. A StatefulEnv cannot be played with `no_revisit`.
    """
    sub_envs = stateful(env)
    if sub_envs is not None:
        return play_in_sub_envs(sub_envs, network, n_episodes, rng, **options)
    trajectories = rollout(env, network, n_episodes, rng, no_revisit=no_revisit, **options)
    successes = reached_goal(trajectories, env.n_goal_bits)
    return Episodes(trajectories, successes.astype(np.float64) - trajectories.lengths, successes, None)


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


def play_in_sub_envs(
    env: StatefulEnv,
    network: QNetwork,
    n_episodes: int,
    rng: np.random.Generator,
    *,
    which: Evaluator = "online",
    exploration: np.random.Generator | None = None,
    epsilon_at: Callable[[int], float] | None = None,
    env_steps: int = 0,
) -> Episodes:
    """Play episodes in sub-environments, in each of them one after the other.

    Sub-environment e plays the episodes e, e + num_envs and so on, all to their ends, and is then idle.

    Args:
        env: the environment.
        network: the Q-network.
        n_episodes: number of episodes E.
        rng: draws the seeds of the sub-environments.
        which, exploration, epsilon_at, env_steps: as in `rollout`.
    """
    n_envs = min(env.num_envs, n_episodes)
    played = _PlayedEpisodes(env, n_episodes)
    states, next_states = np.zeros((2, n_envs, n_words(env.n_state_bits)), np.uint64)
    goals = np.zeros((n_envs, n_words(env.n_goal_bits)), np.uint64)
    actions = np.zeros(n_envs, np.uint16)
    ended = np.zeros(n_envs, np.bool_)
    active = np.arange(n_envs)
    waiting = active[:0]  # their last episode has ended, and the next one not begun
    policy = network.greedy_policy(n_envs, which)
    env.reset(rng, states, goals)
    played.begin(active, states, goals)
    while active.size or waiting.size:
        if active.size:
            policy.act(states, goals, active, actions)
        if exploration is not None and epsilon_at is not None:
            _core.explore(exploration.bit_generator, epsilon_at(env_steps), env.n_actions, active, actions)
        env.step(states, goals, actions, active, next_states, ended)
        env_steps += active.size
        done = played.add(active, actions, next_states, ended)
        states, next_states = next_states, states
        if done.size:
            active = np.setdiff1d(active, done)
            waiting = np.union1d(waiting, done[played.episode[done] < n_episodes])
        begun = waiting
        if waiting.size:
            begun = env.begin(waiting, states, goals)
        if begun.size:
            played.begin(begun, states, goals)
            active = np.union1d(active, begun)
            waiting = np.setdiff1d(waiting, begun)
            policy.restart()
    return played.result()


class _PlayedEpisodes:
    """Episodes that sub-environments play, with their outcomes.

    Args:
        env: the environment.
        n_episodes: number of episodes E.

    Attributes:
        episode: int64[num_envs], the episode that each sub-environment plays, at least E after its last one.
    """

    def __init__(self, env: StatefulEnv, n_episodes: int) -> None:
        self._env = env
        self.episode = np.arange(env.num_envs)
        self._t = np.zeros(env.num_envs, np.int64)  # step of each sub-environment
        # Pages that were never written take no memory, so T may be large.
        self._trajectories = Trajectories(
            states=np.zeros((env.max_steps + 1, n_episodes, n_words(env.n_state_bits)), np.uint64),
            actions=np.zeros((env.max_steps, n_episodes), np.uint16),
            goals=np.zeros((n_episodes, n_words(env.n_goal_bits)), np.uint64),
            lengths=np.zeros(n_episodes, np.int32),
        )
        self._outcomes = Outcomes(
            returns=np.zeros(n_episodes, np.float64),
            successes=np.zeros(n_episodes, np.bool_),
            terminated=np.zeros(n_episodes, np.bool_),
            infos=[[] for _ in range(n_episodes)],
        )

    def begin(self, begun: NDArray[np.int64], states: Words, goals: Words) -> None:
        """Store the start states and goals of the sub-environments in `begun`."""
        self._t[begun] = 0
        self._trajectories.states[0, self.episode[begun]] = states[begun]
        self._trajectories.goals[self.episode[begun]] = goals[begun]

    def add(
        self,
        active: NDArray[np.int64],
        actions: NDArray[np.uint16],
        next_states: Words,
        ended: NDArray[np.bool_],
    ) -> NDArray[np.int64]:
        """Store a step, and return the sub-environments whose episode it ends."""
        t = self._t[active]
        episodes = self.episode[active]
        self._trajectories.actions[t, episodes] = actions[active]
        t += 1
        self._trajectories.states[t, episodes] = next_states[active]
        self._t[active] = t
        is_done: NDArray[np.bool_] = ended[active] | (t == self._env.max_steps)
        done: NDArray[np.int64] = active[is_done]
        if done.size:
            self._finish(done, episodes[is_done])
        return done

    def _finish(self, done: NDArray[np.int64], episodes: NDArray[np.int64]) -> None:
        """Store how the episodes of the sub-environments in `done` ended."""
        outcomes = self._env.finish(done)
        self._trajectories.lengths[episodes] = self._t[done]
        self._outcomes.returns[episodes] = outcomes.returns
        self._outcomes.successes[episodes] = outcomes.successes
        self._outcomes.terminated[episodes] = outcomes.terminated
        if outcomes.infos is not None and self._outcomes.infos is not None:
            for episode, infos in zip(episodes.tolist(), outcomes.infos, strict=True):
                self._outcomes.infos[episode] = infos
        self.episode[done] += self._env.num_envs

    def result(self) -> Episodes:
        """Return the episodes. T is the longest length."""
        states, actions, goals, lengths = self._trajectories
        longest = lengths.max()
        trajectories = Trajectories(states[: longest + 1], actions[:longest], goals, lengths)
        outcomes = self._outcomes
        if not self._env.copies_infos:
            outcomes = outcomes._replace(infos=None)
        return Episodes(trajectories, outcomes.returns, outcomes.successes, outcomes)


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
