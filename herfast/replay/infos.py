"""Infos of the steps in a ring, for environments whose rewards depend on them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray


class InfoRing:
    """Infos of steps, one for each record of a ring.

    Args:
        capacity: Number of records.
    """

    def __init__(self, capacity: int) -> None:
        self._infos: list[dict[str, Any] | None] = [None] * capacity

    def add(self, head: int, infos: list[dict[str, Any]]) -> None:
        """Store the infos of an episode.

        Args:
            head: Row of its first record.
            infos: An info of each step.
        """
        for t, info in enumerate([*infos, None]):
            self._infos[(head + t) % len(self._infos)] = info

    def take(self, rows: NDArray[np.int64]) -> list[dict[str, Any]]:
        """Return copies of the infos of these rows, in one list."""
        return [dict(self._infos[row] or {}) for row in rows.reshape(-1).tolist()]

    def to_array(self, size: int) -> NDArray[np.uint8]:
        """Return the infos of the first `size` records as JSON, uint8[n]."""
        return infos_as_array(self._infos[:size])

    def load_array(self, array: NDArray[np.uint8], size: int) -> None:
        """Replace the infos of the first `size` records by those of `to_array`.

        Raises:
            ValueError: The array is not a JSON list of `size` dicts or nulls.
        """
        infos = json.loads(array.tobytes())
        is_list = isinstance(infos, list) and len(infos) == size
        if not (is_list and all(info is None or isinstance(info, dict) for info in infos)):
            raise ValueError(f"ring.infos must be a list of {size:,} infos")
        self._infos[:size] = infos


def infos_as_array(infos: list[dict[str, Any] | None]) -> NDArray[np.uint8]:
    """Return infos as JSON, uint8[n]."""
    return np.frombuffer(json.dumps(infos).encode(), np.uint8)
