"""Diagnosis of an agent that does not learn: the numbers that show why, and a sentence of advice."""

from __future__ import annotations

import copy
import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from herfast.common.batches import Trajectories, Words
from herfast.common.bits import unpack_bits
from herfast.config import Config
from herfast.dqn.evaluation import n_parallel_episodes
from herfast.dqn.rollout import ended_in_loop, reached_goal, rollout
from herfast.envs.bit_flip import BitFlip
from herfast.networks.q_network import QNetwork
from herfast.replay.hindsight_replay import HindsightReplay

N_EPISODES = 100
MAX_STATES = 1_000
N_TRANSITIONS = 20_000
GOOD_SUCCESS = 0.95  # success rate from which on nothing needs mending
MIN_CYCLES_STORED = 5  # a ring that holds less than their games forgets too soon
Q_SLACK = 4.0  # by which Q values may leave the range of returns without being wrong; an untrained network's do by 3


class Diagnosis(NamedTuple):
    """Result of a diagnosis, from greedy test episodes, their states' Q values and the replay; NaN where unknown."""

    success_rate: float  # share of greedy games that reached their goal
    loop_share: float  # share of them that ended in a state visited before
    hindsight_success: float  # share of a minibatch's transitions that are relabelled and reach their goal
    q_lowest: float  # over the games' states and all actions
    q_highest: float
    q_floor: float  # -1 / (1 - gamma): every return lies between it and 0
    action_gap: float  # mean Q of the actions that bring a state nearer to its goal, minus that of all others
    action_noise: float  # standard deviation of Q among actions of the same kind, which are equally good
    epsilon: float  # of the next step; NaN while nothing is stored, as in an agent's file without replay
    ring_fill: float  # share of the capacity that is in use; NaN likewise
    advice: str | None = None  # one sentence, where something is off

    def __str__(self) -> str:
        """A line a finding; "unknown" for NaN."""
        rows = (
            ("greedy success", "{:.3f}", self.success_rate),
            ("loops", "{:.3f} of the games end in a state visited before", self.loop_share),
            ("hindsight success", "{:.3f} of a minibatch is relabelled and reaches its goal", self.hindsight_success),
            ("Q values", "{:.2f} to {:.2f}; returns: {:.4g} to 0", self.q_lowest, self.q_highest, self.q_floor),
            ("action gap", "{:.3f} amid a noise of {:.3f}", self.action_gap, self.action_noise),
            ("epsilon", "{:.3f}", self.epsilon),
            ("ring", "{:.3f} full", self.ring_fill),
        )
        lines = [
            f"{name:19}{'unknown' if np.isnan(values).any() else form.format(*values)}" for name, form, *values in rows
        ]
        return "\n".join([*lines, f"{'advice':19}{self.advice or 'none, nothing is off'}"])


def diagnose(
    env: BitFlip,
    network: QNetwork,
    replay: HindsightReplay,
    config: Config,
    test_rng: np.random.Generator,
    env_steps: int,
) -> Diagnosis:
    """Diagnose an agent from its parts, which stay as they are.

    Args:
        env: the environment.
        network: the network, of which config.evaluate_with plays.
        replay: the replay buffer; the generator that a minibatch is drawn from is a copy of its own.
        config: the agent's settings.
        test_rng: draws the test episodes.
        env_steps: environment steps completed, for epsilon.
    """
    has_transitions = len(replay) > 0
    n_episodes = n_parallel_episodes(env, N_EPISODES)
    episodes = rollout(env, network, n_episodes, test_rng, which=config.evaluate_with)
    states, goals = visited(episodes, max(1, min(MAX_STATES, 2**24 // env.n_actions)))
    q = network.q_values(states, goals, config.evaluate_with).astype(np.float64)
    gap, noise = action_gap(q, unpack_bits(states ^ goals, env.n_bits))
    diagnosis = Diagnosis(
        success_rate=float(reached_goal(episodes, env.n_goal_bits).mean()),
        loop_share=float(ended_in_loop(episodes).mean()),
        hindsight_success=hindsight_success(replay),
        q_lowest=float(q.min()),
        q_highest=float(q.max()),
        q_floor=-1.0 / (1.0 - config.gamma),
        action_gap=gap,
        action_noise=noise,
        epsilon=config.epsilon_at(env_steps) if has_transitions else math.nan,
        ring_fill=float(replay.cursor[1] / replay.capacity) if has_transitions else math.nan,
    )
    return diagnosis._replace(advice=advice(env, network, replay, config, diagnosis))


def visited(episodes: Trajectories, most: int) -> tuple[Words, Words]:
    """States [M, Ws] in which the episodes acted, and their goals [M, Wg]; evenly chosen if more than `most`."""
    t, e = np.nonzero(np.arange(len(episodes.actions))[:, None] < episodes.lengths)
    chosen = np.linspace(0, len(t) - 1, min(most, len(t))).astype(int)
    return episodes.states[t[chosen], e[chosen]], episodes.goals[e[chosen]]


def action_gap(q: NDArray[np.float64], right: NDArray[np.bool_]) -> tuple[float, float]:
    """From Q [M, A] and which actions bring nearer [M, A]: the gap between their means, and the spread around them.

    The gap is what acting hangs on (Bellemare et al. 2016), between the two kinds of actions instead of the best two,
    since all that bring nearer are equally good. With the terminal mask it tends to gamma^(d-1) (1 + gamma) at distance
    d, over 1 - advantage_gap. NaN if no state has actions of both kinds.
    """
    n_right = right.sum(axis=1)
    both = (n_right > 0) & (n_right < right.shape[1])
    if not both.any():
        return float("nan"), float("nan")
    q, right, n_right = q[both], right[both], n_right[both]
    of_right = (q * right).sum(axis=1) / n_right
    of_others = (q * ~right).sum(axis=1) / (right.shape[1] - n_right)
    spread = q - np.where(right, of_right[:, None], of_others[:, None])
    return float((of_right - of_others).mean()), float(spread.std())


def hindsight_success(replay: HindsightReplay) -> float:
    """The share of a minibatch's transitions that are relabelled and reach their goal; NaN while nothing is stored."""
    if not len(replay):
        return float("nan")
    view = copy.copy(replay)  # of the same records
    view.rng, view.k = copy.deepcopy(replay.rng), 1_000_000  # relabels as good as always, where the replay does k/(k+1)
    return float(view.sample(1, N_TRANSITIONS).terminated.mean()) * replay.k / (replay.k + 1)


def advice(
    env: BitFlip, network: QNetwork, replay: HindsightReplay, config: Config, diagnosis: Diagnosis
) -> str | None:
    """Advice for the most serious problem found, or None."""
    steps = env.max_steps
    average = env.n_bits / 2
    slack = Q_SLACK / (1.0 - config.advantage_gap)  # the gap lowers values below any return
    cycles_held = config.capacity / (config.episodes_per_cycle * (steps + 1))
    horizon, hopeless = -diagnosis.q_floor, out_of_reach(env.n_bits, steps)
    complaints = (
        (not network.is_finite(), "The weights are not finite: start anew with a lower learning_rate."),
        (
            diagnosis.q_highest > slack or diagnosis.q_lowest < diagnosis.q_floor - slack,
            "Q values have left the range of returns: start anew with a lower learning_rate, or with clip_targets.",
        ),
        (diagnosis.success_rate >= GOOD_SUCCESS, None),
        (
            config.k == 0,
            "k is 0, so no goal is relabelled and a success beyond about 13 bits is luck: let k be 1 or more.",
        ),
        (
            config.strategy == "random" and diagnosis.hindsight_success < 0.1 / steps,
            "Relabelled goals are hardly ever reached: strategy 'random' takes them from other episodes, "
            "'future', 'final' and 'episode' from the same one.",
        ),
        (
            cycles_held < MIN_CYCLES_STORED,
            f"The ring may hold the games of only {cycles_held:.1f} cycles and forgets too soon: raise capacity.",
        ),
        (
            hopeless > 1 - GOOD_SUCCESS,
            f"max_steps = {steps} leaves {hopeless:.0%} of the goals out of reach: raise it.",
        ),
        (
            horizon < 0.99 * average,
            f"gamma = {config.gamma:g} has a horizon of {horizon:.3g}, games take {average:g} on average: raise it.",
        ),
        (diagnosis.epsilon < 0.01, f"Hardly anything new is tried with epsilon = {diagnosis.epsilon:g}: explore more."),
        (
            diagnosis.loop_share > 1 - GOOD_SUCCESS,
            f"Greedy games go round in circles: {_gap_advice(env, network, config, diagnosis)}.",
        ),
        (not len(replay), "Nothing is stored to be judged: let it learn, or load a file saved with its replay."),
        (
            True,
            f"It wins {diagnosis.success_rate:.1%} of its games so far, and nothing else is off: let it learn longer.",
        ),
    )
    return next(sentence for off, sentence in complaints if off)


def out_of_reach(n_bits: int, max_steps: int) -> float:
    """The share of random goals that differ from a random start in more than `max_steps` of `n_bits` bits."""
    log_all, log_factorial = n_bits * math.log(2), math.lgamma(n_bits + 1)
    far = range(max_steps + 1, n_bits + 1)
    return sum(math.exp(log_factorial - math.lgamma(d + 1) - math.lgamma(n_bits - d + 1) - log_all) for d in far)


def _gap_advice(env: BitFlip, network: QNetwork, config: Config, diagnosis: Diagnosis) -> str:
    """What widens the action gap, or lowers the noise, the strongest means that is not in use first."""
    means = (
        (config.learning_rate_at(network.updates) > 3e-3, "a lower learning_rate"),
        (not config.mask_terminal, "mask_terminal"),
        (
            config.init == "dense" and env.n_bits > 30,
            "init 'sparse_pairs', which tells the network which bit of the goal belongs to which bit of the state",
        ),
        (True, "a wider hidden layer"),
    )
    return (
        f"the action gap is {diagnosis.action_gap:.2f} and should be 4 times its noise, {diagnosis.action_noise:.2f}; "
        f"more updates help, and so does {next(mean for use, mean in means if use)}"
    )
