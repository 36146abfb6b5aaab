"""Presets: the settings that each of them makes for the size of an environment.

- `notebook` is the bit-flip notebook, Double DQN with final goals. It sets the defaults of Config.
- `paper` is Andrychowicz et al. 2017, section 3.1 and appendix A.
- `fast` is herfast's own.
"""

from __future__ import annotations

import math
from typing import Any, Literal, Protocol, TypeAlias, get_args

from herfast.common.validation import check_choice, short_repr

Preset: TypeAlias = Literal["fast", "paper", "notebook"]


class Sized(Protocol):
    """Size of an environment, from which a preset is resolved."""

    @property
    def n_state_bits(self) -> int: ...
    @property
    def max_steps(self) -> int: ...


def proposed_encoding(env: object) -> str:
    """Return the encoding that an environment proposes, by default "signed"."""
    encoding: str = getattr(env, "encoding", "signed")
    return encoding


def _notebook(env: Sized) -> dict[str, Any]:
    # The notebook's replay buffer of 100,000 rows stores each transition twice, so it holds 50,000
    # transitions. Here each episode takes one record more, for its last state.
    records_per_episode = env.max_steps + 1
    capacity = math.ceil(50_000 * records_per_episode / env.max_steps)
    return {"capacity": max(capacity, records_per_episode)}


def _paper(env: Sized) -> dict[str, Any]:
    return {
        "double_q": False,
        "clip_targets": True,
        "mask_terminal": False,
        "epsilon": "constant",
        "epsilon_start": 0.2,
        "polyak": 0.95,
        "evaluate_with": "target",
        "capacity": 1_000_000,
        "epochs": 200,
    }


def _fast(env: Sized) -> dict[str, Any]:
    # docs/beyond.md and docs/tasks.md show the effect of each value.
    values = {
        "strategy": "future",
        "gamma": 0.999,
        "hindsight_bound": True,
        "advantage_gap": 0.5,
        "init": "sparse",
        "epsilon": "constant",
        "epsilon_start": 0.5,
        "target_update": 10,
        "capacity": max(200_000, env.max_steps + 1),
        "epochs": 500,
    }
    if proposed_encoding(env) == "binary":
        return {**values, **_fast_binary(env)}
    return {**values, **_fast_signed(env)}


def _fast_signed(env: Sized) -> dict[str, Any]:
    # About 3,200 steps, and at least 32 episodes, are enough for the updates of a cycle.
    n_bits = env.n_state_bits
    width = 64 * min(64, max(2, math.ceil(n_bits / 8)))
    return {
        "hidden": (width,),
        # All units of the last layer change a value together, so the step size falls as the width grows.
        "learning_rate": min(4e-3, max(2e-5, 0.1 / n_bits)),
        "learning_rate_end": 2e-5,
        "learning_rate_decay_updates": 150 * max(100, n_bits),
        "episodes_per_cycle": min(64, max(32, 3_200 // env.max_steps)),
        "cycles_per_epoch": max(2, n_bits // 20),
        "until": 0.99,
    }


def _fast_binary(env: Sized) -> dict[str, Any]:
    # A value depends on several bits at once, which takes a second layer, or on a pair of positions.
    return {
        "hidden": (128, 256),
        "learning_rate": 4e-3,
        "learning_rate_end": 4e-4,
        "learning_rate_decay_updates": 20_000,
        "episodes_per_cycle": min(256, max(32, 6_400 // env.max_steps)),
        "cycles_per_epoch": 10,
        "until": 0.995,
    }


_PRESETS = {"notebook": _notebook, "paper": _paper, "fast": _fast}


def preset_fields(name: Preset, env: Sized) -> dict[str, Any]:
    """Return the fields of Config that a preset sets for the size of an environment.

    Args:
        name: "fast", "paper" or "notebook".
        env: an environment with `n_state_bits` and `max_steps`, and perhaps an `encoding`.

    Returns:
        Values by field name. All other fields keep their defaults.

    Raises:
        TypeError: `env` has no `n_state_bits` or no `max_steps`.
        ValueError: the preset is unknown.
    """
    check_choice("preset", name, get_args(Preset))
    if not (hasattr(env, "n_state_bits") and hasattr(env, "max_steps")):
        raise TypeError(f"env must have n_state_bits and max_steps, as a BitFlip has, got {short_repr(env)}")
    return {"encoding": proposed_encoding(env), **_PRESETS[name](env)}
