"""Settings of the agent: the dataclass Config, its validation and its schedules.

Each field is an option of `herfast train`, and the docstring below the field is the help of that option.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Literal, TypeAlias, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

from herfast.bounds import Between, Interval, Widths
from herfast.common.batches import Encoding, Strategy
from herfast.common.validation import check_bool, check_choice, check_integer, short_repr
from herfast.presets import Preset, Sized, preset_fields
from herfast.schedules import EpsilonSchedule, exploration_rate, learning_rates

CHECKPOINT_EVERY = 10  # epochs from one checkpoint of a run or trial to the next, by default

Init: TypeAlias = Literal["dense", "sparse"]
Evaluator: TypeAlias = Literal["online", "target"]


@dataclass(frozen=True, kw_only=True)
class Config:
    """All settings of an agent except the environment and the seed.

    The defaults are those of the preset `notebook` at 20 bits. NumPy scalars are converted to Python scalars,
    so a Config can always be written as JSON.

    Raises:
        TypeError: a value has the wrong type. The message names the field, the value and the allowed range.
        ValueError: a value is out of range, or two fields contradict each other.
    """

    strategy: Strategy = "final"
    """Strategy for choosing hindsight goals (HER paper, section 4.5)."""
    k: Annotated[int, Between(0, 1_000_000)] = 1
    """Number of hindsight goals per original goal.
    A transition is relabelled with probability k/(k+1). With 0 there is no hindsight, as in plain DQN."""
    hidden: Annotated[tuple[int, ...], Widths()] = (256,)
    """Widths of the hidden ReLU layers, from one to eight of them."""
    gamma: Annotated[float, Interval("[0, 1)")] = 0.98
    """Discount factor."""
    double_q: bool = True
    """Use Double DQN (van Hasselt et al. 2015).
    The online network selects the next action and the target network evaluates it."""
    dueling: bool = False
    """Split the output into value and advantage: Q = V + A - mean A
    (Wang et al. 2016, equation 9)."""
    clip_targets: bool = False
    """Clip targets to the range of returns, [-1/(1-gamma), 0]
    (HER paper, appendix A)."""
    mask_terminal: bool = True
    """Do not bootstrap from a next state that reaches the goal.
    The HER paper does bootstrap from it."""
    hindsight_bound: bool = False
    """Use the return of the stored episode as a lower bound of the target
    (optimality tightening, He et al. 2017)."""
    advantage_gap: Annotated[float, Interval("[0, 1)")] = 0.0
    """Share of max_a Q(s, a) - Q(s, a_t) that is subtracted from the target
    (advantage learning, Bellemare et al. 2016)."""
    init: Init = "dense"
    """Initial weights of the first layer: uniform (dense) or sparse.
    With sparse each unit has a single weight, +-1 or with binary inputs +1, and each input is used equally
    often."""
    encoding: Encoding = "signed"
    """Inputs of the network for a bit: -1 or 1 (signed), or 0 or 1 (binary).
    Presets use what the environment proposes. Binary suits states with few ones, such as one-hot states."""
    epsilon: EpsilonSchedule = "hyperbola"
    """Schedule of the exploration rate over environment steps.
    The constant schedule is epsilon_start. The hyperbola is
    max(epsilon_end, epsilon_start / (steps / epsilon_decay_steps + 1)). The linear schedule reaches
    epsilon_end after epsilon_decay_steps."""
    epsilon_start: Annotated[float, Interval("[0, 1]")] = 1.0
    """Probability of a random action at the first step."""
    epsilon_end: Annotated[float, Interval("[0, 1]")] = 0.02
    """Lowest probability of a random action.
    The constant schedule does not use it."""
    epsilon_decay_steps: Annotated[int, Between(1, 2**62)] = 500
    """Environment steps after which epsilon is epsilon_end (linear)
    or half of epsilon_start (hyperbola)."""
    learning_rate: Annotated[float, Interval("(0, 1]")] = 1e-3
    """Learning rate of Adam at the first update."""
    learning_rate_end: Annotated[float | None, Interval("(0, 1]")] = None
    """Learning rate after learning_rate_decay_updates, kept from then on.
    The decay is geometric. None keeps the learning rate constant."""
    learning_rate_decay_updates: Annotated[int, Between(1, 2**62)] = 20_000
    """Number of updates from learning_rate to learning_rate_end."""
    target_update: Annotated[int, Between(1, 2**62)] = 40
    """Number of updates between two updates of the target network."""
    polyak: Annotated[float, Interval("[0, 1)")] = 0.0
    """Share of the old target network that is kept at its update.
    0 copies the online network."""
    evaluate_with: Evaluator = "online"
    """Network used for test episodes and predictions."""
    batch_size: Annotated[int, Between(1, 2**24)] = 128
    """Transitions per update."""
    capacity: Annotated[int, Between(2, 2**40)] = 52_500
    """Size of the replay buffer in records.
    An episode of L steps takes L + 1 records."""
    episodes_per_cycle: Annotated[int, Between(1, 2**24)] = 16
    """Episodes per cycle, played in lockstep and then stored."""
    updates_per_cycle: Annotated[int, Between(1, 2**24)] = 40
    """Updates per cycle, after its episodes are stored."""
    cycles_per_epoch: Annotated[int, Between(1, 2**40)] = 50
    """Cycles per epoch. `until` is checked at the end of each epoch."""
    epochs: Annotated[int, Between(1, 2**40)] = 6
    """Maximum number of epochs, unless `learn` is called with another limit."""
    until: Annotated[float | None, Interval("(0, 1]")] = None
    """Greedy success rate at which training stops early.
    It must be reached on 100 episodes and confirmed on 1,000. None never stops early."""

    def __post_init__(self) -> None:
        for name, check in _CHECKS.items():
            object.__setattr__(self, name, check(name, getattr(self, name)))
        if self.hindsight_bound and not self.mask_terminal:
            raise ValueError(
                "hindsight_bound=True needs mask_terminal=True: the bound assumes value 0 at the goal"
            )

    @classmethod
    def preset(cls, name: Preset, /, env: Sized, **fields: Any) -> Config:
        """Return the settings of a preset for the size of an environment.

        Args:
            name: one of the presets:

                - "notebook": the bit-flip notebook, Double DQN with final goals.
                - "paper": Andrychowicz et al. 2017, section 3.1 and appendix A.
                - "fast": herfast's own, based on "notebook". It adds future goals, gamma 0.999, the hindsight
                  bound and an advantage gap. Hidden units of the first layer start from one input each, init
                  "sparse". There is more exploration, and the learning rate decays. The target network is
                  copied four times as often, and training stops once the environment is solved.
                  It has one layer of about 8 units per bit. For environments that propose the encoding
                  "binary" it has two layers, and a learning rate that decays less.
                  The network does not know which bits of state and goal correspond. HER alone knows the goal
                  that a state achieves.
            env: an environment with `n_state_bits` and `max_steps`. Presets use the `encoding` that it
                proposes.
            fields: values that override those of the preset.

        Raises:
            TypeError: `env` has no size, a field is unknown, or a value has the wrong type.
            ValueError: the preset is unknown, or a value is out of range.
        """
        values = preset_fields(name, env)
        unknown = sorted(fields.keys() - {field.name for field in dataclasses.fields(cls)})
        if unknown:
            raise TypeError(
                f"{unknown[0]!r} is not a field of Config; the fields are {', '.join(config_fields())}"
            )
        return cls(**_suited(values, fields, env))

    def epsilon_at(self, env_steps: int) -> float:
        """Return the exploration rate after `env_steps` completed environment steps."""
        env_steps = check_integer("env_steps", env_steps, 0, 2**62)
        return exploration_rate(
            self.epsilon, self.epsilon_start, self.epsilon_end, self.epsilon_decay_steps, env_steps
        )

    def learning_rate_at(self, updates: int) -> float:
        """Return the learning rate after `updates` completed updates."""
        return float(self.learning_rates(updates, 1)[0])

    def learning_rates(self, updates: int, count: int) -> NDArray[np.float64]:
        """Return the learning rates of the next updates.

        Args:
            updates: number of completed updates.
            count: number of updates that follow.

        Returns:
            The learning rate of each update, float64[count].
        """
        updates = check_integer("updates", updates, 0, 2**62)
        count = check_integer("count", count, 0, 2**24)
        return learning_rates(
            self.learning_rate, self.learning_rate_end, self.learning_rate_decay_updates, updates, count
        )


# Fields that files of herfast 0.1.0 do not have, with the values that have the same effect.
OLDER_BEHAVIOUR: dict[str, Any] = {"encoding": "signed"}


def _suited(preset: dict[str, Any], given: dict[str, Any], env: Sized) -> dict[str, Any]:
    """Return the fields of a preset and the given ones, suited to the environment.

    Of the preset, settings that do not suit are False, and episodes_per_cycle is rounded up to a multiple of
    the number of sub-environments.

    Raises:
        ValueError: a given field does not suit the environment.
    """
    for name, needed in getattr(env, "unsuitable_settings", {}).items():
        if given.get(name):
            raise ValueError(f"{name}=True needs {needed}, got {short_repr(env)}")
        preset = {**preset, name: False}
    n_envs = getattr(env, "num_envs", 1)
    episodes = preset.get("episodes_per_cycle", Config.episodes_per_cycle)
    fields = {**preset, "episodes_per_cycle": -(-episodes // n_envs) * n_envs, **given}
    per_cycle = fields["episodes_per_cycle"]
    if isinstance(per_cycle, int) and per_cycle % n_envs:
        raise ValueError(
            f"episodes_per_cycle must be a multiple of {n_envs}, so that all sub-environments play equally "
            f"many, got {per_cycle:,}"
        )
    return fields


def config_fields() -> tuple[str, ...]:
    """Return the names of the fields of Config, in order."""
    return tuple(field.name for field in dataclasses.fields(Config))


def saved_fields(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a Config that a file contains, with values that exist.

    The initial weights "sparse_pairs" of herfast 0.1.0 no longer do, and become "sparse". The weights of such
    a file are kept. Only an agent that begins again starts from others.
    Fields that herfast 0.1.0 did not have get the values of OLDER_BEHAVIOUR.
    """
    fields = {**OLDER_BEHAVIOUR, **config}
    if fields.get("init") == "sparse_pairs":
        fields["init"] = "sparse"
    return fields


def check_field(name: str, value: object) -> object:
    """Validate a value for one field of Config.

    Args:
        name: the field.
        value: any object.

    Returns:
        The value as a Config stores it.

    Raises:
        TypeError: the value has the wrong type.
        ValueError: the value is out of range.
    """
    return _CHECKS[name](name, value)


def _checks() -> dict[str, Callable[[str, object], object]]:
    """Return for each field the function that validates it, from its annotation."""
    checks: dict[str, Callable[[str, object], object]] = {}
    for name, kind in get_type_hints(Config, include_extras=True).items():
        if kind is bool:
            checks[name] = check_bool
        elif get_origin(kind) is Literal:
            checks[name] = partial(_check_literal, get_args(kind))
        else:
            base, bound = get_args(kind)
            checks[name] = bound.check
            if type(None) in get_args(base):
                checks[name] = partial(_check_optional, bound.check)
    return checks


def _check_literal(allowed: tuple[str, ...], name: str, value: object) -> object:
    check_choice(name, value, allowed)
    return value


def _check_optional(check: Callable[[str, object], object], name: str, value: object) -> object:
    if value is None:
        return None
    return check(name, value)


_CHECKS = _checks()
# Fields that may change after training has begun: limits and schedules.
CHANGEABLE = tuple(
    name for name in _CHECKS if name.startswith(("epochs", "until", "learning_rate", "epsilon"))
)
