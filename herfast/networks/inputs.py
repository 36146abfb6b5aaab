"""Validation of what a Q-network is given: packed words and minibatches."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from herfast.common.batches import Minibatches, Words, n_words
from herfast.common.validation import check_array


def checked_words(name: str, words: Words, n_bits: int, ndim: int) -> Words:
    """`words` as the kernels need them, if they are uint64[..., W] with `n_bits` bits and nothing past them."""
    check_array(name, words, np.uint64, ndim)
    if words.shape[-1] != n_words(n_bits):
        raise ValueError(f"{name} must have {n_words(n_bits)} words a row for {n_bits} bits, got {words.shape}")
    if n_bits % 64 and (past := words[..., -1] >> np.uint64(n_bits % 64)).any():
        bad = int(words[..., -1][past > 0][0])
        raise ValueError(f"{name} must have no bits set past bit {n_bits - 1}, got the word {bad:#x}")
    return as_contiguous(words)


def checked_minibatches(batches: Minibatches, n_state_bits: int, n_goal_bits: int, n_actions: int) -> Minibatches:
    """`batches` as the kernels need them. Raises TypeError or ValueError for another shape, dtype or action."""
    if not isinstance(batches, Minibatches):
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


def as_contiguous(array: NDArray[Any]) -> NDArray[Any]:
    """`array`, or a copy where it is not C-contiguous, aligned and writable."""
    return array if array.flags.carray else np.array(array, order="C")
