"""An agent seen from inside: the numbers that tell why it does not learn, and a sentence of advice."""

from __future__ import annotations

import copy
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
SLACK = 2.0  # by which the highest of 1,000 Q values may leave the range of returns without being wrong


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
    epsilon: float  # of the next step
    ring_fill: float  # share of the capacity that is in use
    advice: str | None = None  # one sentence, where something is off

    def __str__(self) -> str:
        """A line a finding."""
        return "\n".join(
            (
                f"greedy success     {self.success_rate:.3f}",
                f"loops              {self.loop_share:.3f} of the games end in a state visited before",
                f"hindsight success  {self.hindsight_success:.3f} of a minibatch is relabelled and reaches its goal",
                f"Q values           {self.q_lowest:.2f} to {self.q_highest:.2f}; returns: {self.q_floor:.0f} to 0",
                f"action gap         {self.action_gap:.3f} amid a noise of {self.action_noise:.3f}",
                f"epsilon            {self.epsilon:.3f}",
                f"ring               {self.ring_fill:.3f} full",
                f"advice             {self.advice or 'none, nothing is off'}",
            )
        )


def diagnose(agent: Agent) -> Diagnosis:
    """Look at `agent` without changing it: the games are `evaluate`'s with its seed, the minibatch is put back."""
    which, config = agent.config.evaluate_with, agent.config
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
        epsilon=config.epsilon_at(agent.env_steps),
        ring_fill=float(agent.replay.cursor[1] / agent.replay.capacity),
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
    d. NaN if no state has actions of both kinds.
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
    horizon = -found.q_floor
    complaints = (
        (not agent.network.is_finite(), "The weights are not finite: start anew with a lower learning_rate."),
        (
            found.q_highest > slack or found.q_lowest < found.q_floor - slack,
            "Q values have left the range of returns: start anew with a lower learning_rate, or with clip_targets.",
        ),
        (found.success_rate >= GOOD, None),
        (config.k == 0, "k is 0, so no goal is relabelled and a success is luck: let k be 1 or more."),
        (
            found.hindsight_success < 0.1 / steps,  # a goal of the same episode gives k/(k+1) / steps at the least
            f"Relabelled goals are hardly ever reached: strategy {config.strategy!r} takes them from other episodes, "
            "'future', 'final' and 'episode' from the same one.",
        ),
        (
            cycles_held < FEW_CYCLES,
            f"The ring holds the games of {cycles_held:.1f} cycles and forgets too soon: raise capacity.",
        ),
        (steps < average, f"max_steps = {steps} cuts games off that take {average:g} steps on average: raise it."),
        (
            horizon < average,
            f"gamma = {config.gamma:g} looks {horizon:.0f} steps ahead, games take {average:g} on average: raise it.",
        ),
        (not len(agent.replay), "Nothing is stored to be judged: let it learn, or load a file saved with its replay."),
        (found.epsilon < 0.01, f"Hardly anything new is tried with epsilon = {found.epsilon:g}: explore more."),
        (found.loop_share > 1 - GOOD, f"Greedy games go round in circles: {_gap_advice(agent, found)}."),
    )
    return next((sentence for off, sentence in complaints if off), None)


def _gap_advice(agent: Agent, found: Diagnosis) -> str:
    """What widens the action gap, or lowers the noise, the strongest means that is not in use first."""
    config = agent.config
    means = (
        (config.learning_rate_at(agent.network.updates) > 3e-3, "a lower learning_rate"),
        (not config.mask_terminal, "mask_terminal"),
        (config.init == "dense" and agent.env.n_bits > 30, "init 'sparse_pairs'"),
        (True, "a wider hidden layer"),
    )
    return (
        f"the action gap is {found.action_gap:.2f} and should be 4 times its noise, {found.action_noise:.2f}; "
        f"more updates widen it, and {next(mean for use, mean in means if use)}"
    )
