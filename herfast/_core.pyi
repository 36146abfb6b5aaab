"""Types of the compiled core, which is documented in _core.pyx. All arrays are C-contiguous."""

import numpy as np
from numpy.typing import NDArray

from herfast.common.batches import Words

_Bytes = NDArray[np.uint8]
_Bools = NDArray[np.bool_]
_Cursor = NDArray[np.int64]

def pack_bits(bits: _Bytes, out_words: Words) -> int: ...
def unpack_bits(words: Words, out_bits: _Bytes) -> None: ...
def explore(
    bit_generator: np.random.BitGenerator,
    epsilon: float,
    n_actions: int,
    active: NDArray[np.int64],
    out_actions: NDArray[np.uint16],
) -> None: ...
def ring_add(
    records: Words,
    cursor: _Cursor,
    n_state_bits: int,
    n_goal_bits: int,
    states: Words,
    actions: NDArray[np.uint16],
    goals: Words,
    lengths: NDArray[np.int32],
    ends: _Bytes | None = None,
) -> None: ...
def ring_is_valid(records: Words, cursor: _Cursor, n_state_bits: int, n_goal_bits: int) -> bool: ...
def ring_sample(
    records: Words,
    cursor: _Cursor,
    n_state_bits: int,
    n_goal_bits: int,
    strategy: str,
    k: int,
    bit_generator: np.random.BitGenerator,
    out_states: Words,
    out_next_states: Words,
    out_goals: Words,
    out_actions: NDArray[np.uint16],
    out_rewards: NDArray[np.float32],
    out_terminated: _Bools,
    out_steps_to_goal: NDArray[np.int32],
    out_rows: NDArray[np.int64] | None = None,
    out_relabelled: _Bools | None = None,
) -> None: ...
