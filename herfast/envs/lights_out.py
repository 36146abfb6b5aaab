"""Lights-out environment on packed words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from herfast.common.batches import Encoding, Words
from herfast.common.bits import _core_envs
from herfast.common.validation import check_integer
from herfast.envs.base import CoreEnv, Spec
from herfast.envs.rendering import DARK, YELLOW, Bits, as_bits, draw_squares

MAX_CELLS = 65_535


@dataclass(frozen=True, init=False)
class LightsOut(CoreEnv):
    """Board of lights, each on or off, that has to be brought into a given pattern.

    State and goal have one bit per cell, row by row. Action row * width + column presses this cell, which
    flips it and its up to four neighbours. The start state is drawn uniformly. The goal can always be
    reached: it is the start state after random presses, and is never equal to it. Threads may share an
    environment, since it holds no state.

    Args:
        width: Number of columns, from 1 to 65,535.
        height: Number of rows, from 1 to 65,535. The board has at most 65,535 cells.
        presses: Largest number of presses between start and goal, from 1 to the number of cells. Their number
            is drawn uniformly from 1 to `presses`, then that many different cells. None draws goals uniformly
            from all that can be reached.
        max_steps: Number of steps after which an episode is truncated, from 1 to 65,535. Default: the number
            of cells.

    Raises:
        TypeError, ValueError: An argument is not an integer or out of range.
    """

    width: int
    height: int
    presses: int | None
    max_steps: int

    encoding: ClassVar[Encoding] = "binary"
    action_label: ClassVar[str] = "press"

    def __init__(
        self, width: int, height: int, presses: int | None = None, max_steps: int | None = None
    ) -> None:
        object.__setattr__(self, "width", check_integer("width", width, 1, MAX_CELLS))
        object.__setattr__(self, "height", check_integer("height", height, 1, MAX_CELLS))
        check_integer("width * height", self.n_state_bits, 1, MAX_CELLS)
        if presses is not None:
            presses = check_integer("presses", presses, 1, self.n_state_bits)
        object.__setattr__(self, "presses", presses)
        if max_steps is None:
            max_steps = self.n_state_bits
        object.__setattr__(self, "max_steps", check_integer("max_steps", max_steps, 1, 65_535))

    @property
    def n_state_bits(self) -> int:
        return self.width * self.height

    @property
    def n_goal_bits(self) -> int:
        return self.n_state_bits

    @property
    def n_actions(self) -> int:
        return self.n_state_bits

    @property
    def label(self) -> str:
        board = f"lights-{self.width}x{self.height}"
        if self.presses is None:
            return board
        return f"{board}-{self.presses}presses"

    def spec(self) -> Spec:
        return {
            "id": "LightsOut",
            "width": self.width,
            "height": self.height,
            "presses": self.presses,
            "max_steps": self.max_steps,
        }

    def describe(self) -> str:
        text = f"{self.width:,} x {self.height:,} lights in at most {self.max_steps:,} steps"
        if self.presses is None:
            return text
        return f"{text}, with up to {self.presses:,} presses to the goal"

    def _reset(self, bit_generator: np.random.BitGenerator, out_states: Words, out_goals: Words) -> None:
        sizes = (self.width, self.height)
        _core_envs.lights_out_reset(bit_generator, *sizes, self.presses or 0, out_states, out_goals)

    def _step(self, *arrays: Any) -> None:
        _core_envs.lights_out_step(self.width, self.height, *arrays)

    def render_ansi(self, state: Bits, goal: Bits) -> str:
        """Return the board and, to its right, the goal as text, below a heading: O is on.

        Args:
            state: int8[S].
            goal: int8[S].
        """
        boards = (np.where(board, "O", ".") for board in self._boards(state, goal))
        rows = [("state", "goal")]
        rows += [("".join(left), "".join(right)) for left, right in zip(*boards, strict=True)]
        return "\n".join(f"{left:{max(5, self.width)}}   {right}" for left, right in rows)

    def render_rgb_array(self, state: Bits, goal: Bits) -> NDArray[np.uint8]:
        """Return the board and, to its right, the goal as an image of squares.

        Lights that are on are yellow. Small orange squares mark the cells of the board that differ from the
        goal.

        Args:
            state: int8[S].
            goal: int8[S].

        Returns:
            RGB pixels uint8[height, width, 3].
        """
        board, target = self._boards(state, goal)
        palette = np.array([DARK, YELLOW], np.uint8)
        gap = np.full((self.height, 1, 3), 255, np.uint8)
        colours = np.concatenate([palette[board], gap, palette[target]], axis=1)
        marks = np.zeros(colours.shape[:2], np.bool_)
        marks[:, : self.width] = board != target
        return draw_squares(colours, marks)

    def _boards(self, state: Bits, goal: Bits) -> tuple[Bits, Bits]:
        """Return state and goal as arrays [height, width]."""
        board = as_bits("state", state, self.n_state_bits)
        target = as_bits("goal", goal, self.n_goal_bits)
        return board.reshape(self.height, self.width), target.reshape(self.height, self.width)
