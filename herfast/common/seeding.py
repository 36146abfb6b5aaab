"""Random streams: one PCG64 per role, all from one seed."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import numpy as np


class Role(IntEnum):
    """Who draws from a random stream. The numbers are part of the file format and never change."""

    ENVIRONMENT = 0
    EXPLORATION = 1
    REPLAY = 2
    WEIGHTS = 3
    EVALUATION = 4  # episodes by which an agent judges itself while it learns
    TEST = 5  # episodes named by a seed, which no agent's own stream ever plays


class Streams(dict[Role, np.random.Generator]):
    """The random streams of one agent, by role."""

    def state_dict(self) -> dict[str, Any]:
        """The state of each generator, by the role's name: what JSON can hold."""
        return {role.name: rng.bit_generator.state for role, rng in self.items()}

    def load_state_dict(self, states: dict[str, Any]) -> None:
        """Continue from saved states. Raises LookupError, TypeError or ValueError for what is none of PCG64."""
        for role, rng in self.items():
            state = states[role.name]
            rng.bit_generator.state = state
            if rng.bit_generator.state != state or state["state"]["inc"] % 2 == 0:
                raise ValueError(f"the state of stream {role.name} is not one of PCG64")


def stream(seed: int | None, role: Role) -> np.random.Generator:
    """The random stream of one role: PCG64 seeded by `SeedSequence(seed, spawn_key=(role,))`; None is fresh entropy.

    Raises TypeError or ValueError as `check_seed` does.
    """
    entropy = np.random.SeedSequence(check_seed(seed), spawn_key=(int(role),))
    return np.random.Generator(np.random.PCG64(entropy))


def check_seed(seed: object) -> int | None:
    """`seed`; TypeError unless it is None or an integer (NumPy's are, bool is not), ValueError if it is negative."""
    if seed is None:
        return None
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)):
        raise TypeError(f"seed must be None or an integer >= 0, got {' '.join(repr(seed).split())}")
    if seed < 0:
        raise ValueError(f"seed must be None or an integer >= 0, got {seed}")
    return int(seed)
