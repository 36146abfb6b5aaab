"""Validation of the inputs of a Q-network: settings, words, batches, states."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from herfast.common.batches import Minibatches, Words, n_words
from herfast.common.validation import check_array, check_matches, check_names, short_repr
from herfast.config import CHANGEABLE, Config, config_fields


def checked_config(config: object) -> Config:
    """Return `config` as a Config.

    A Config of a module that was imported again has another class.

    Raises:
        TypeError, ValueError: `config` has not all fields of a Config, or a wrong value of a field.
    """
    if isinstance(config, Config):
        return config
    if isinstance(config, type) or not all(hasattr(config, name) for name in config_fields()):
        raise TypeError(f"config must be a Config, got {short_repr(config)}")
    return Config(**{name: getattr(config, name) for name in config_fields()})


def changed_config(old: Config, new: object) -> Config:
    """Return `new` as a Config if the settings of a network may be changed to it.

    Raises:
        TypeError: `new` is not a Config.
        ValueError: a field differs that is not in CHANGEABLE.
    """
    config = checked_config(new)
    for name in config_fields():
        value = getattr(config, name)
        if name not in CHANGEABLE and value != getattr(old, name):
            raise ValueError(
                f"{name} cannot be changed from {getattr(old, name)!r} to {value!r}, "
                f"only {', '.join(CHANGEABLE)} can: create a new agent"
            )
    return config


def checked_words(name: str, words: Words, n_bits: int, ndim: int) -> Words:
    """Validate packed words and return them as the kernels need them.

    Args:
        name: the name of the argument, for error messages.
        words: uint64[..., W] with W = ceil(n_bits / 64). Bits past `n_bits` must be zero.
        n_bits: number of bits per row.
        ndim: required number of axes.

    Returns:
        `words`, or a copy if they are not C-contiguous and aligned.

    Raises:
        TypeError: `words` is no NumPy array of uint64.
        ValueError: `words` has another shape, or a bit past `n_bits` is set.
    """
    check_array(name, words, np.uint64, ndim)
    if words.shape[-1] != n_words(n_bits):
        raise ValueError(
            f"{name} must have {n_words(n_bits)} words per row for {n_bits} bits, got {words.shape}"
        )
    if n_bits % 64:
        word = int(words[..., -1].max(initial=0))
        if word >> n_bits % 64:
            raise ValueError(f"{name} must have no bits set past bit {n_bits - 1}, got the word {word:#x}")
    return as_contiguous(words)


def checked_minibatches(
    batches: Minibatches, n_state_bits: int, n_goal_bits: int, n_actions: int
) -> Minibatches:
    """Validate minibatches and return them as the kernels need them.

    Args:
        batches: U minibatches of B transitions, with shapes and dtypes as in `Minibatches`.
        n_state_bits: number of bits of `states` and `next_states`.
        n_goal_bits: number of bits of `goals`.
        n_actions: upper bound of `actions`, exclusive.

    Returns:
        `batches` with arrays that are C-contiguous and aligned; arrays that are not are copied.

    Raises:
        TypeError: `batches` are no Minibatches, or an array has another dtype.
        ValueError: an array has another shape, a bit past the end is set, or an action is out of range.
    """
    if getattr(batches, "_fields", None) != Minibatches._fields:  # the class may have been imported again
        raise TypeError(f"batches must be Minibatches, got {type(batches).__name__}")
    states = checked_words("states", batches.states, n_state_bits, 3)
    next_states = checked_words("next_states", batches.next_states, n_state_bits, 3)
    goals = checked_words("goals", batches.goals, n_goal_bits, 3)
    shape = states.shape[:2]
    if 0 in shape:
        raise ValueError(f"minibatches must hold at least one transition each, got shape {shape}")
    rest = {}
    for name, dtype in (
        ("actions", np.uint16),
        ("rewards", np.float32),
        ("terminated", np.bool_),
        ("steps_to_goal", np.int32),
    ):
        array = getattr(batches, name)
        check_array(name, array, dtype, 2)
        rest[name] = as_contiguous(array)
    for name, array in {"next_states": next_states, "goals": goals, **rest}.items():
        if array.shape[:2] != shape:
            raise ValueError(f"{name} must have the states' leading shape {shape}, got {array.shape}")
    if rest["actions"].max() >= n_actions:
        raise ValueError(f"actions must be below {n_actions}, got {rest['actions'].max()}")
    return Minibatches(states, next_states, goals, **rest)


def check_state(state: Mapping[str, NDArray[np.float32]], views: Mapping[str, NDArray[np.float32]]) -> None:
    """Raise TypeError or ValueError unless `state` can be copied into `views`.

    Names, dtypes and shapes must be equal, all numbers finite, and second moments not negative.
    """
    check_names("state", state, views)
    for name, view in views.items():
        check_matches(name, state[name], view)
        if not np.isfinite(state[name]).all():
            raise ValueError(f"{name} is not finite")
        if name.startswith("moment2.") and (state[name] < 0).any():
            raise ValueError(f"{name} has a negative number, {state[name].min():g}")


def as_contiguous(array: NDArray[Any]) -> NDArray[Any]:
    """Return `array`, or a copy if it is not C-contiguous and aligned."""
    if array.flags.c_contiguous and array.flags.aligned:
        return array
    return np.array(array, order="C")
