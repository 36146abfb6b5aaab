"""Every setting of the agent in one frozen dataclass, and the schedules that follow from it.

The command line is this dataclass: each field is a flag of `herfast train`, its docstring the flag's help.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from herfast.common.batches import Strategy
from herfast.common.validation import check_bool, check_choice, check_integer, short_repr
from herfast.presets import Preset, Sized, preset_fields

Init: TypeAlias = Literal["dense", "sparse_pairs"]
EpsilonSchedule: TypeAlias = Literal["constant", "hyperbola", "linear"]
Evaluator: TypeAlias = Literal["online", "target"]


@dataclass(frozen=True, kw_only=True)
class Config:
    """All settings of an agent but the environment and the seed. The defaults are those of preset `notebook`.

    NumPy's scalars are taken for Python's, so that a Config can always be written as JSON. Raises ValueError or
    TypeError, naming field, value and allowed range.
    """

    strategy: Strategy = "final"
    """Which state of the episode becomes the hindsight goal (HER paper, section 4.5)."""
    k: int = 1
    """Hindsight goals per original goal: a transition is relabelled with probability k/(k+1); 0 is plain DQN."""
    hidden: tuple[int, ...] = (256,)
    """Widths of the hidden ReLU layers, one or more."""
    gamma: float = 0.98
    """Discount factor."""
    double_q: bool = True
    """Choose the next action by the online network, value it by the target network (Double DQN, van Hasselt 2015)."""
    dueling: bool = False
    """Split the output into value and advantage, Q = V + A - mean A (Wang et al. 2016, equation 9)."""
    clip_targets: bool = False
    """Clip targets into [-1/(1-gamma), 0], the range of returns (HER paper, appendix A)."""
    mask_terminal: bool = True
    """Do not bootstrap from a next state that reaches the goal; the HER paper does bootstrap."""
    hindsight_bound: bool = False
    """Raise targets to the return that the stored episode proves possible (optimality tightening, He et al. 2017)."""
    advantage_gap: float = 0.0
    """Subtract this share of max_a Q(s, a) - Q(s, a_t) from the target (advantage learning, Bellemare et al. 2016)."""
    init: Init = "dense"
    """Initial first layer: uniform, or three random bits per unit, each state bit paired with the same goal bit."""
    epsilon: EpsilonSchedule = "hyperbola"
    """Exploration rate as a function of environment steps: epsilon_start; or max(epsilon_end, epsilon_start /
    (steps / epsilon_decay_steps + 1)); or a straight line to epsilon_end over epsilon_decay_steps."""
    epsilon_start: float = 1.0
    """Probability of a random action at the first step."""
    epsilon_end: float = 0.02
    """Lowest probability of a random action; not used by the constant schedule."""
    epsilon_decay_steps: int = 500
    """Environment steps over which epsilon falls (linear) or halves for the first time (hyperbola)."""
    learning_rate: float = 1e-3
    """Adam's step size at the first update."""
    learning_rate_end: float | None = None
    """Step size after learning_rate_decay_updates, reached geometrically and then held; None never changes it."""
    learning_rate_decay_updates: int = 20_000
    """Updates from learning_rate to learning_rate_end."""
    target_update: int = 40
    """Updates between two updates of the target network."""
    polyak: float = 0.0
    """Share of the old target network that an update keeps; 0 copies the online network."""
    evaluate_with: Evaluator = "online"
    """The network that plays test episodes and predicts."""
    batch_size: int = 128
    """Transitions per update."""
    capacity: int = 52_500
    """Ring size in records; an episode of L steps takes L + 1."""
    episodes_per_cycle: int = 16
    """Episodes played in lockstep, then stored, in each cycle."""
    updates_per_cycle: int = 40
    """Updates after the episodes of each cycle."""
    cycles_per_epoch: int = 50
    """Cycles per epoch; `until` is judged at an epoch's end."""
    epochs: int = 6
    """Epochs that `learn` runs at most, unless it is told otherwise."""
    until: float | None = None
    """Stop once this greedy success rate is reached on 100 episodes and confirmed on 1,000; None never stops early."""

    def __post_init__(self) -> None:
        for name, allowed in _CHOICES.items():
            check_choice(name, getattr(self, name), allowed)
        for name, (low, high) in _INTEGERS.items():
            object.__setattr__(self, name, check_integer(name, getattr(self, name), low, high))
        for name, text in _REALS.items():
            object.__setattr__(self, name, _checked_real(name, getattr(self, name), text))
        for name in _BOOLEANS:
            object.__setattr__(self, name, check_bool(name, getattr(self, name)))
        object.__setattr__(self, "hidden", _checked_widths(self.hidden))
        for name in ("learning_rate_end", "until"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, _checked_real(name, getattr(self, name), "(0, 1]"))
        if self.hindsight_bound and not self.mask_terminal:
            raise ValueError("hindsight_bound=True needs mask_terminal=True: the bound assumes value 0 at the goal")

    @classmethod
    def preset(cls, name: Preset, env: Sized, **fields: Any) -> Config:
        """The preset `name` resolved for the size of `env`; `fields` override its values.

        `notebook` is the bit-flip notebook, Double DQN with final goals; `paper` is Andrychowicz et al. 2017, section
        3.1 and appendix A; `fast` is ours, the notebook with gamma 0.999, the hindsight bound, an advantage gap, about
        13 units a bit, much exploration, a target network copied twice as often, and a step size that falls, until it
        is solved. It starts from sparse pairs, so its initial weights already tell the network which goal bit belongs
        to which state bit.
        """
        values = preset_fields(name, env)
        unknown = sorted(fields.keys() - {field.name for field in dataclasses.fields(cls)})
        if unknown:
            raise TypeError(f"{unknown[0]!r} is not a field of Config; the fields are {', '.join(config_fields())}")
        return cls(**{**values, **fields})

    def epsilon_at(self, env_steps: int) -> float:
        """The exploration rate after `env_steps` completed environment steps."""
        env_steps = check_integer("env_steps", env_steps, 0, 2**62)
        if self.epsilon == "constant":
            return self.epsilon_start
        if self.epsilon == "hyperbola":
            return max(self.epsilon_end, self.epsilon_start / (env_steps / self.epsilon_decay_steps + 1.0))
        done = min(1.0, env_steps / self.epsilon_decay_steps)
        return self.epsilon_start + (self.epsilon_end - self.epsilon_start) * done

    def learning_rate_at(self, updates: int) -> float:
        """Adam's step size after `updates` completed updates."""
        return float(self.learning_rates(updates, 1)[0])

    def learning_rates(self, updates: int, count: int) -> NDArray[np.float64]:
        """The step sizes of the `count` updates that follow on `updates` completed ones, float64[count]."""
        updates, count = check_integer("updates", updates, 0, 2**62), check_integer("count", count, 0, 2**24)
        if self.learning_rate_end is None:
            return np.full(count, self.learning_rate)
        done = np.minimum(1.0, np.arange(updates, updates + count) / self.learning_rate_decay_updates)
        rates: NDArray[np.float64] = self.learning_rate * (self.learning_rate_end / self.learning_rate) ** done
        return rates


def config_fields() -> tuple[str, ...]:
    """The names of Config's fields, in order."""
    return tuple(field.name for field in dataclasses.fields(Config))


def _checked_widths(value: object) -> tuple[int, ...]:
    if not isinstance(value, (list, tuple)):  # a list, as from JSON, is welcome
        raise TypeError(f"hidden must be a tuple of 1 to 8 layer widths, got {short_repr(value)}")
    if not 1 <= len(value) <= 8:
        raise ValueError(f"hidden must be a tuple of 1 to 8 layer widths, got {short_repr(value)}")
    return tuple(check_integer("hidden", width, 1, 65_536) for width in value)


def _checked_real(name: str, value: object, interval: str) -> float:
    """`value` as a float, if it lies in `interval`, written as in [0, 1)."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{name} must be a number in {interval}, got {short_repr(value)}")
    low, high = (float(end) for end in interval[1:-1].split(","))
    above = value >= low if interval[0] == "[" else value > low
    below = value <= high if interval[-1] == "]" else value < high
    if not (above and below):  # NaN is neither
        raise ValueError(f"{name} must be in {interval}, got {value}")
    return float(value)


_CHOICES: dict[str, tuple[str, ...]] = {
    "strategy": get_args(Strategy),
    "init": get_args(Init),
    "epsilon": get_args(EpsilonSchedule),
    "evaluate_with": get_args(Evaluator),
}
_INTEGERS = {
    "k": (0, 1_000_000),
    "epsilon_decay_steps": (1, 2**62),
    "learning_rate_decay_updates": (1, 2**62),
    "target_update": (1, 2**62),
    "batch_size": (1, 2**24),
    "capacity": (2, 2**40),
    "episodes_per_cycle": (1, 2**24),
    "updates_per_cycle": (1, 2**24),
    "cycles_per_epoch": (1, 2**40),
    "epochs": (1, 2**40),
}
_REALS = {
    "gamma": "[0, 1)",
    "advantage_gap": "[0, 1)",
    "epsilon_start": "[0, 1]",
    "epsilon_end": "[0, 1]",
    "learning_rate": "(0, 1]",
    "polyak": "[0, 1)",
}
_BOOLEANS = ("double_q", "dueling", "clip_targets", "mask_terminal", "hindsight_bound")
