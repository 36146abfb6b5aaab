"""Types of the compiled replay index, which is documented in _core_sb3.pyx. All arrays are C-contiguous."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

_Index = NDArray[np.int64]

def begin_slot(starts: _Index, lengths: _Index, running: _Index, counts: _Index, slot: int) -> None: ...
def end_episode(
    starts: _Index, lengths: _Index, running: _Index, counts: _Index, env: int, next_slot: int
) -> None: ...
def choose(
    starts: _Index,
    lengths: _Index,
    running: _Index,
    counts: _Index,
    strategy: str,
    bit_generator: np.random.BitGenerator,
    out_rows: _Index,
    out_goal_rows: _Index,
) -> None: ...
def store(arrays: list[NDArray[Any]], slot: int, values: list[NDArray[Any]]) -> None: ...
def gather(sources: list[NDArray[Any]], rows: _Index, outs: list[NDArray[Any]]) -> None: ...
