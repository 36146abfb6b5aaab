"""What each preset sets, resolved for the size of an environment.

`notebook` is the bit-flip notebook, Double DQN with final goals, and the defaults of Config; `paper` is Andrychowicz et
al. 2017, section 3.1 and appendix A; `fast` is herfast's own.
"""

from __future__ import annotations

import math
from typing import Any, Literal, Protocol, TypeAlias, get_args

from herfast.common.validation import check_choice, short_repr

Preset: TypeAlias = Literal["fast", "paper", "notebook"]


class Sized(Protocol):
    """What a preset needs to know of an environment."""

    @property
    def n_state_bits(self) -> int: ...
    @property
    def max_steps(self) -> int: ...


def _notebook(env: Sized) -> dict[str, Any]:
    # The notebook's ring of 100,000 rows holds each transition twice; a record more per episode holds its last state.
    return {"capacity": max(math.ceil(50_000 * (env.max_steps + 1) / env.max_steps), env.max_steps + 1)}


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
    # What grows with n was found by bench/beyond.py, and docs/beyond.md tells what each is worth: width above all, then
    # a falling step size. About 3,200 steps a cycle are enough data for its updates at any size.
    n_bits = env.n_state_bits
    return {
        "hidden": (64 * min(64, max(4, math.ceil(n_bits / 5))),),
        "gamma": 0.999,
        "hindsight_bound": True,
        "advantage_gap": 0.5,
        "init": "sparse_pairs",
        "epsilon": "constant",
        "epsilon_start": 0.35,
        "target_update": 20,
        "learning_rate_end": 2e-5,
        "learning_rate_decay_updates": 150 * max(100, n_bits),
        "episodes_per_cycle": min(64, max(16, 3_200 // env.max_steps)),
        "capacity": max(200_000, env.max_steps + 1),
        "cycles_per_epoch": 10,
        "epochs": 500,
        "until": 0.99 if n_bits <= 100 else 0.98,
    }


_PRESETS = {"notebook": _notebook, "paper": _paper, "fast": _fast}


def preset_fields(name: Preset, env: Sized) -> dict[str, Any]:
    """The fields of Config that the preset `name` sets for the size of `env`; the others keep their defaults.

    Raises TypeError unless `env` has n_state_bits and max_steps, ValueError for another name.
    """
    check_choice("preset", name, get_args(Preset))
    if not (hasattr(env, "n_state_bits") and hasattr(env, "max_steps")):
        raise TypeError(f"env must have n_state_bits and max_steps, as a BitFlip has, got {short_repr(env)}")
    return _PRESETS[name](env)
