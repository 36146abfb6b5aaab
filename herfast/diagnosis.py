"""An agent seen from inside: the numbers that tell why it does not learn, and a sentence of advice."""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from herfast.bits import unpack_bits
from herfast.data import Role, Trajectories, Words, stream
from herfast.evaluation import games_at_once
from herfast.replay import HindsightReplay
from herfast.rollout import looped, reached, rollout

if TYPE_CHECKING:
    from herfast.agent import Agent

GAMES, STATES, TRANSITIONS = 100, 1_000, 20_000  # that are looked at, at most
GOOD = 0.95  # success rate from which on nothing needs mending
FEW_CYCLES = 5  # a ring that holds less than their games forgets too soon
SLACK = 4.0  # by which Q values may leave the range of returns without being wrong; an untrained network's do by 3


class Diagnosis(NamedTuple):
    """What greedy test games, their states' Q values and the replay tell; NaN where they cannot."""

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


def diagnose(agent: Agent) -> Diagnosis:
    """Look at `agent` without changing it: the games are `evaluate`'s with its seed, the minibatch is put back."""
    which, config, stored = agent.config.evaluate_with, agent.config, len(agent.replay) > 0
    games = games_at_once(agent.env, GAMES)
    episodes = rollout(agent.env, agent.network, games, stream(agent.seed, Role.TEST), which=which)
    states, goals = visited(episodes, max(1, min(STATES, 2**24 // agent.env.n_actions)))
    q = agent.network.q_values(states, goals, which).astype(np.float64)
    gap, noise = action_gap(q, unpack_bits(states ^ goals, agent.env.n_bits))
    found = Diagnosis(
        success_rate=float(reached(episodes, agent.env.n_goal_bits).mean()),
        loop_share=float(looped(episodes).mean()),
        hindsight_success=hindsight_success(agent.replay),
        q_lowest=float(q.min()),
        q_highest=float(q.max()),
        q_floor=-1.0 / (1.0 - config.gamma),
        action_gap=gap,
        action_noise=noise,
        epsilon=config.epsilon_at(agent.env_steps) if stored else math.nan,
        ring_fill=float(agent.replay.cursor[1] / agent.replay.capacity) if stored else math.nan,
    )
    return found._replace(advice=advice(agent, found))


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
    return float(view.sample(1, TRANSITIONS).terminated.mean()) * replay.k / (replay.k + 1)


def advice(agent: Agent, found: Diagnosis) -> str | None:
    """What to do about the first thing that is off, the gravest first."""
    config, steps, average = agent.config, agent.env.max_steps, agent.env.n_bits / 2
    slack = SLACK / (1.0 - config.advantage_gap)  # the gap lowers values below any return
    cycles_held = config.capacity / (config.episodes_per_cycle * (steps + 1))
    horizon, hopeless = -found.q_floor, out_of_reach(agent.env.n_bits, steps)
    complaints = (
        (not agent.network.is_finite(), "The weights are not finite: start anew with a lower learning_rate."),
        (
            found.q_highest > slack or found.q_lowest < found.q_floor - slack,
            "Q values have left the range of returns: start anew with a lower learning_rate, or with clip_targets.",
        ),
        (found.success_rate >= GOOD, None),
        (
            config.k == 0,
            "k is 0, so no goal is relabelled and a success beyond about 13 bits is luck: let k be 1 or more.",
        ),
        (
            config.strategy == "random" and found.hindsight_success < 0.1 / steps,
            "Relabelled goals are hardly ever reached: strategy 'random' takes them from other episodes, "
            "'future', 'final' and 'episode' from the same one.",
        ),
        (
            cycles_held < FEW_CYCLES,
            f"The ring may hold the games of only {cycles_held:.1f} cycles and forgets too soon: raise capacity.",
        ),
        (hopeless > 1 - GOOD, f"max_steps = {steps} leaves {hopeless:.0%} of the goals out of reach: raise it."),
        (
            horizon < 0.99 * average,
            f"gamma = {config.gamma:g} has a horizon of {horizon:.3g}, games take {average:g} on average: raise it.",
        ),
        (found.epsilon < 0.01, f"Hardly anything new is tried with epsilon = {found.epsilon:g}: explore more."),
        (found.loop_share > 1 - GOOD, f"Greedy games go round in circles: {_gap_advice(agent, found)}."),
        (not len(agent.replay), "Nothing is stored to be judged: let it learn, or load a file saved with its replay."),
        (True, f"It wins {found.success_rate:.1%} of its games so far, and nothing else is off: let it learn longer."),
    )
    return next(sentence for off, sentence in complaints if off)


def out_of_reach(n_bits: int, max_steps: int) -> float:
    """The share of random goals that differ from a random start in more than `max_steps` of `n_bits` bits."""
    log_all, log_factorial = n_bits * math.log(2), math.lgamma(n_bits + 1)
    far = range(max_steps + 1, n_bits + 1)
    return sum(math.exp(log_factorial - math.lgamma(d + 1) - math.lgamma(n_bits - d + 1) - log_all) for d in far)


def _gap_advice(agent: Agent, found: Diagnosis) -> str:
    """What widens the action gap, or lowers the noise, the strongest means that is not in use first."""
    config = agent.config
    means = (
        (config.learning_rate_at(agent.network.updates) > 3e-3, "a lower learning_rate"),
        (not config.mask_terminal, "mask_terminal"),
        (
            config.init == "dense" and agent.env.n_bits > 30,
            "init 'sparse_pairs', which tells the network which bit of the goal belongs to which bit of the state",
        ),
        (True, "a wider hidden layer"),
    )
    return (
        f"the action gap is {found.action_gap:.2f} and should be 4 times its noise, {found.action_noise:.2f}; "
        f"more updates help, and so does {next(mean for use, mean in means if use)}"
    )
