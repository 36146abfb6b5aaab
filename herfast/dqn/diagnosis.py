"""Diagnosis of an agent: numbers that show why training fails, and advice."""

from __future__ import annotations

import copy
import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from herfast.common.batches import Trajectories, Words
from herfast.config import Config
from herfast.dqn.evaluation import n_parallel_episodes
from herfast.dqn.rollout import ended_in_loop, play_episodes
from herfast.envs.base import GoalEnv, OptimalPlay
from herfast.networks.q_network import QNetwork
from herfast.replay.hindsight_replay import MAX_K, HindsightReplay

N_EPISODES = 100  # greedy test episodes
MAX_STATES = 1_000  # of these episodes, for Q values
N_TRANSITIONS = 20_000  # sampled to measure the success of relabelled goals
GOOD_SUCCESS = 0.95  # success rate from which no advice is given
MIN_CYCLES_STORED = 5  # a replay buffer should hold the episodes of at least so many cycles
NO_LIMIT = 65_535  # steps of an episode without a limit, which is rarely so long
Q_SLACK = 4.0  # tolerance around the range of returns; Q values of an untrained network leave it by up to 3


class Diagnosis(NamedTuple):
    """Result of a diagnosis. Values that are unknown are NaN."""

    success_rate: float  # share of greedy test episodes that reached their goal
    loop_share: float  # share of these episodes that ended in a state visited before
    hindsight_success: float  # share of sampled transitions that are relabelled and reach their goal
    q_lowest: float  # over the states of the test episodes and all actions
    q_highest: float
    q_floor: float  # -1 / (1 - gamma): every return lies between it and 0, unless rewards are others
    action_gap: float  # mean Q of the actions that lead closer to the goal, minus that of all others
    action_noise: float  # standard deviation of Q among actions of the same kind, which are equally good
    epsilon: float  # of the next step; NaN if nothing is stored, as in a file without replay buffer
    ring_fill: float  # share of the replay buffer in use; NaN if nothing is stored
    advice: str | None = None  # None if no problem was found

    def __str__(self) -> str:
        """Return a table with one finding per line. NaN is shown as "unknown"."""
        hindsight = "{:.3f} of the sampled transitions are relabelled and reach their goal"
        lines = [
            _line("greedy success", "{:.3f}", self.success_rate),
            _line("loops", "{:.3f} of the episodes end in a state visited before", self.loop_share),
            _line("hindsight success", hindsight, self.hindsight_success),
            _line(
                "Q values",
                "{:.2f} to {:.2f}; returns: {:.4g} to 0",
                self.q_lowest,
                self.q_highest,
                self.q_floor,
            ),
            _line("action gap", "{:.3f} with a noise of {:.3f}", self.action_gap, self.action_noise),
            _line("epsilon", "{:.3f}", self.epsilon),
            _line("replay buffer", "{:.3f} full", self.ring_fill),
            _line("advice", self.advice or "none, no problem was found"),
        ]
        return "\n".join(lines)


def _line(name: str, form: str, *values: float) -> str:
    text = form
    if values:
        text = form.format(*values)
    if np.isnan(values).any():
        text = "unknown"
    return f"{name:19}{text}"


def diagnose(
    env: GoalEnv,
    network: QNetwork,
    replay: HindsightReplay | None,
    config: Config,
    test_rng: np.random.Generator,
    env_steps: int,
) -> Diagnosis:
    """Diagnose an agent from its parts, which stay as they are.

    Args:
        env: the environment. Action gap and noise are known if it has `better_actions`.
        network: the Q-network. The one that `config.evaluate_with` names plays and gives the Q values.
        replay: the replay buffer, or None. Transitions are sampled with a copy of its generator.
        config: the settings of the agent.
        test_rng: draws the test episodes.
        env_steps: completed environment steps, for epsilon.
    """
    n_episodes = n_parallel_episodes(env, N_EPISODES)
    played = play_episodes(env, network, n_episodes, test_rng, which=config.evaluate_with)
    episodes = played.trajectories
    states, goals = visited_states(episodes, max(1, min(MAX_STATES, 2**24 // env.n_actions)))
    q = network.q_values(states, goals, config.evaluate_with).astype(np.float64)
    gap = math.nan
    noise = math.nan
    better_actions = getattr(env, "better_actions", None)
    if better_actions:
        gap, noise = action_gap(q, better_actions(states, goals))
    epsilon = math.nan
    ring_fill = math.nan
    if replay:
        epsilon = config.epsilon_at(env_steps)
        ring_fill = float(replay.cursor[1] / replay.capacity)
    q_floor = -1.0 / (1.0 - config.gamma)
    if "clip_targets" in getattr(env, "unsuitable_settings", {}):  # returns have another range
        q_floor = math.nan
    diagnosis = Diagnosis(
        success_rate=float(played.successes.mean()),
        loop_share=float(ended_in_loop(episodes).mean()),
        hindsight_success=hindsight_success(replay),
        q_lowest=float(q.min()),
        q_highest=float(q.max()),
        q_floor=q_floor,
        action_gap=gap,
        action_noise=noise,
        epsilon=epsilon,
        ring_fill=ring_fill,
    )
    return diagnosis._replace(advice=advice(env, network, replay, config, diagnosis))


def visited_states(episodes: Trajectories, max_states: int) -> tuple[Words, Words]:
    """Return the states [M, Ws] that were acted in, and their goals [M, Wg].

    If there are more than `max_states`, they are thinned out evenly.
    """
    t, e = np.nonzero(np.arange(len(episodes.actions))[:, None] < episodes.lengths)
    chosen = np.linspace(0, len(t) - 1, min(max_states, len(t))).astype(int)
    return episodes.states[t[chosen], e[chosen]], episodes.goals[e[chosen]]


def action_gap(q: NDArray[np.float64], better: NDArray[np.bool_]) -> tuple[float, float]:
    """Measure how clearly Q values separate better actions from others.

    The greedy policy depends on this gap (Bellemare et al. 2016). It is taken between the two kinds of
    actions, not between the best two, because all better actions are equally good. With the terminal mask it
    tends to gamma^(d-1) (1 + gamma) / (1 - advantage_gap) at distance d from the goal.

    Args:
        q: Q values [M, A].
        better: for each state [M, A] the actions that lead closer to its goal.

    Returns:
        The mean difference between the mean Q of the two kinds, and the standard deviation of Q within a
        kind. Both are NaN if no state has actions of both kinds.
    """
    has_both = better.any(axis=1) & ~better.all(axis=1)
    if not has_both.any():
        return math.nan, math.nan
    q = q[has_both]
    better = better[has_both]
    n_better = better.sum(axis=1)
    mean_better = (q * better).sum(axis=1) / n_better
    mean_others = (q * ~better).sum(axis=1) / (better.shape[1] - n_better)
    spread = q - np.where(better, mean_better[:, None], mean_others[:, None])
    return float((mean_better - mean_others).mean()), float(spread.std())


def hindsight_success(replay: HindsightReplay | None) -> float:
    """Return the share of sampled transitions that are relabelled and succeed.

    To measure it, all but one transition in a million are relabelled. The share is then scaled to the `k` of
    the replay buffer. It is NaN if there is none or it is empty.
    """
    if not replay:
        return math.nan
    batches = replay._sample(1, N_TRANSITIONS, k=MAX_K, rng=copy.deepcopy(replay.rng))
    return float(batches.terminated.mean()) * replay.k / (replay.k + 1)


def advice(
    env: GoalEnv, network: QNetwork, replay: HindsightReplay | None, config: Config, diagnosis: Diagnosis
) -> str | None:
    """Return advice for the most serious problem found, or None."""
    if not network.is_finite():
        return "The weights are not finite: restart training with a lower learning_rate."
    slack = Q_SLACK / (1.0 - config.advantage_gap)  # advantage learning lowers Q values below any return
    has_range = not math.isnan(diagnosis.q_floor)
    if has_range and (diagnosis.q_highest > slack or diagnosis.q_lowest < diagnosis.q_floor - slack):
        return (
            "Q values left the range of returns: restart training with a lower learning_rate or clip_targets."
        )
    if diagnosis.success_rate >= GOOD_SUCCESS:
        return None
    return (
        _replay_advice(env, config, diagnosis)
        or _horizon_advice(env, config, diagnosis)
        or _policy_advice(env, network, replay, config, diagnosis)
    )


def _replay_advice(env: GoalEnv, config: Config, diagnosis: Diagnosis) -> str | None:
    """Return advice on goal relabelling and the capacity of the buffer, or None."""
    if config.k == 0:
        return (
            "k is 0, so no goal is relabelled and nothing is learned before an episode succeeds by chance: "
            "set k to 1 or more."
        )
    if config.strategy == "random" and diagnosis.hindsight_success < 0.1 / env.max_steps:
        return (
            "Relabelled goals are almost never reached, because strategy 'random' takes them from other "
            "episodes: use 'future', 'final' or 'episode'."
        )
    cycles_held = config.capacity / (config.episodes_per_cycle * (env.max_steps + 1))
    if cycles_held < MIN_CYCLES_STORED and env.max_steps < NO_LIMIT:
        return (
            f"The replay buffer may hold the episodes of only {cycles_held:.1f} cycles, which is too few: "
            "raise capacity."
        )
    return None


def _horizon_advice(env: GoalEnv, config: Config, diagnosis: Diagnosis) -> str | None:
    """Return advice on max_steps, gamma and epsilon, or None."""
    optimal_play = getattr(env, "optimal_play", None)
    if optimal_play:
        optimal: OptimalPlay = optimal_play()
        if optimal.unreachable > 1 - GOOD_SUCCESS:
            return (
                f"max_steps = {env.max_steps} leaves {optimal.unreachable:.0%} of the goals out of reach: "
                "raise max_steps."
            )
        if -diagnosis.q_floor < 0.99 * optimal.mean_steps:
            return (
                f"gamma = {config.gamma:g} has a horizon of {-diagnosis.q_floor:.3g} steps, but an optimal "
                f"policy needs {optimal.mean_steps:g} steps on average: raise gamma."
            )
    if diagnosis.epsilon < 0.01:
        setting = "epsilon_end"
        if config.epsilon == "constant":
            setting = "epsilon_start"
        return f"Exploration is too low (epsilon = {diagnosis.epsilon:g}): raise {setting}."
    return None


def _policy_advice(
    env: GoalEnv, network: QNetwork, replay: HindsightReplay | None, config: Config, diagnosis: Diagnosis
) -> str:
    """Return advice against loops of the greedy policy, or to continue training."""
    if diagnosis.loop_share > 1 - GOOD_SUCCESS:
        return f"Greedy episodes end in loops: {_gap_advice(env, network, config, diagnosis)}."
    if not replay:
        return "The replay buffer is empty: train the agent, or load a file saved with its replay buffer."
    return (
        f"The greedy policy succeeds in {diagnosis.success_rate:.1%} of the episodes, and no other problem "
        "was found: train longer."
    )


def _gap_advice(env: GoalEnv, network: QNetwork, config: Config, diagnosis: Diagnosis) -> str:
    """Return which setting would widen the action gap or lower its noise most."""
    means = "a wider hidden layer"
    if config.learning_rate_at(network.updates) > 5e-3:
        means = "a lower learning_rate"  # those of the presets are at most 4e-3
    elif not config.mask_terminal:
        means = "mask_terminal"
    elif config.encoding != getattr(env, "encoding", config.encoding):
        means = f"encoding {env.encoding!r}"  # type: ignore[attr-defined]
    elif config.encoding == "signed" and config.init == "dense" and env.n_goal_bits > 30:
        means = "init 'sparse', with a single input per hidden unit"
    if math.isnan(diagnosis.action_gap):
        return f"more updates help, and so does {means}"
    return (
        f"the action gap is {diagnosis.action_gap:.2f} and should be 4 times its noise, which is "
        f"{diagnosis.action_noise:.2f}; more updates help, and so does {means}"
    )
