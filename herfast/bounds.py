"""Bounds of the fields of Config."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from herfast.common.validation import check_integer, short_repr


@dataclass(frozen=True)
class Between:
    """Bound of a field: an integer from `low` to `high`."""

    low: int
    high: int

    def check(self, name: str, value: object) -> int:
        return check_integer(name, value, self.low, self.high)


@dataclass(frozen=True)
class Interval:
    """Bound of a field: a number in an interval, which is written as in "[0, 1)"."""

    text: str
    low: float = field(init=False)
    high: float = field(init=False)

    def __post_init__(self) -> None:
        low, high = self.text[1:-1].split(",")
        object.__setattr__(self, "low", float(low))
        object.__setattr__(self, "high", float(high))

    def check(self, name: str, value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
            raise TypeError(f"{name} must be a number in {self.text}, got {short_repr(value)}")
        is_above_low = value > self.low or (value == self.low and self.text[0] == "[")
        is_below_high = value < self.high or (value == self.high and self.text[-1] == "]")
        if not (is_above_low and is_below_high):  # for NaN both are false
            raise ValueError(f"{name} must be in {self.text}, got {value}")
        return float(value)


@dataclass(frozen=True)
class Widths:
    """Bound of a field: 1 to 8 layer widths from 1 to 65,536, as a tuple or a list."""

    def check(self, name: str, value: object) -> tuple[int, ...]:
        if not isinstance(value, (list, tuple)):  # JSON turns tuples into lists
            raise TypeError(f"{name} must be a tuple of 1 to 8 layer widths, got {short_repr(value)}")
        if not 1 <= len(value) <= 8:
            raise ValueError(f"{name} must be a tuple of 1 to 8 layer widths, got {short_repr(value)}")
        return tuple(check_integer(name, width, 1, 65_536) for width in value)
