"""Random streams: one PCG64 generator per role, all derived from one seed."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import numpy as np

from herfast.common.validation import short_repr

MAX_SEED = 2**128 - 1


class Role(IntEnum):
    """Purpose of a random stream.

    The numbers are part of the file format and never change.
    """

    ENVIRONMENT = 0
    EXPLORATION = 1
    REPLAY = 2
    WEIGHTS = 3
    EVALUATION = 4  # episodes that measure the agent during training
    TEST = 5  # episodes of a seeded evaluation; no other stream of an agent draws them


class Streams(dict[Role, np.random.Generator]):
    """Random streams of one agent by role."""

    def state_dict(self) -> dict[str, Any]:
        """Return the states of the generators by role name, as values for JSON."""
        return {role.name: rng.bit_generator.state for role, rng in self.items()}

    def load_state_dict(self, states: dict[str, Any]) -> None:
        """Set every generator to its saved state.

        Args:
            states: As returned by `state_dict`.

        Raises:
            LookupError: The state of a role is missing. Nothing is changed.
            TypeError, ValueError: A state is not a PCG64 state. Nothing is changed.
        """
        for role in self:
            _check_state(role, states[role.name])
        for role, rng in self.items():
            rng.bit_generator.state = states[role.name]


def _check_state(role: Role, state: Any) -> None:
    """Raise TypeError, ValueError or LookupError unless `state` is a PCG64 state."""
    bit_generator = np.random.PCG64()
    try:
        bit_generator.state = state
    except OverflowError as error:
        raise ValueError(f"the state of stream {role.name} is not a PCG64 state: {error}") from error
    if bit_generator.state != state or state["state"]["inc"] % 2 == 0:
        raise ValueError(f"the state of stream {role.name} is not a PCG64 state")


def stream(seed: int | None, role: Role) -> np.random.Generator:
    """Return a new generator for one role.

    It is a PCG64 generator seeded by `SeedSequence(seed, spawn_key=(role,))`.

    Args:
        seed: Integer from 0 to 2**128 - 1, or None for entropy from the operating system.
        role: Purpose of the stream.

    Raises:
        TypeError, ValueError: `seed` is not allowed.
    """
    entropy = np.random.SeedSequence(check_seed(seed), spawn_key=(int(role),))
    return np.random.Generator(np.random.PCG64(entropy))


def check_seed(seed: object) -> int | None:
    """Return `seed` as None or an int.

    Raises:
        TypeError: It is neither None nor an integer of Python or NumPy. A bool is not an integer here.
        ValueError: It is below 0 or above MAX_SEED.
    """
    if seed is None:
        return None
    allowed = "None or an integer from 0 to 2**128 - 1"
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)):
        raise TypeError(f"seed must be {allowed}, got {short_repr(seed)}")
    if not 0 <= seed <= MAX_SEED:
        raise ValueError(f"seed must be {allowed}, got {int(seed):,}")
    return int(seed)


def drawn_seed(seed: object) -> int:
    """Return a valid seed, drawn if it is None. Raises the errors of `check_seed`."""
    checked = check_seed(seed)
    if checked is None:
        return int(np.random.SeedSequence().generate_state(1)[0])
    return checked
