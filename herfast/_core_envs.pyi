"""Types of the compiled environments, which are documented in _core_envs.pyx. All arrays are C-contiguous."""

import numpy as np
from numpy.typing import NDArray

from herfast.common.batches import Words

_Table = NDArray[np.uint16]

def bitflip_reset(
    bit_generator: np.random.BitGenerator,
    n_bits: int,
    out_states: Words,
    out_goals: Words,
    goal: Words | None = None,
) -> None: ...
def bitflip_step(
    n_bits: int,
    states: Words,
    goals: Words,
    actions: NDArray[np.uint16],
    active: NDArray[np.int64],
    out_states: Words,
    out_terminated: NDArray[np.bool_],
) -> None: ...
def grid_world_reset(
    bit_generator: np.random.BitGenerator, moves: _Table, starts: _Table, out_states: Words, out_goals: Words
) -> None: ...
def grid_world_step(
    moves: _Table,
    starts: _Table,
    states: Words,
    goals: Words,
    actions: NDArray[np.uint16],
    active: NDArray[np.int64],
    out_states: Words,
    out_terminated: NDArray[np.bool_],
) -> None: ...
def lights_out_reset(
    bit_generator: np.random.BitGenerator,
    width: int,
    height: int,
    most_presses: int,
    out_states: Words,
    out_goals: Words,
) -> None: ...
def lights_out_step(
    width: int,
    height: int,
    states: Words,
    goals: Words,
    actions: NDArray[np.uint16],
    active: NDArray[np.int64],
    out_states: Words,
    out_terminated: NDArray[np.bool_],
) -> None: ...
