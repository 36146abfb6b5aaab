"""Minimal custom environment with three state bits and two goal bits."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Lamps:
    """Two lamps, bits 0 and 1, and a selector, bit 2.

    Action 0 switches the selected lamp. Action 1 selects the other lamp.
    """

    max_steps: int = 6
    n_state_bits = 3
    n_goal_bits = 2
    n_actions = 2

    def reset(self, rng, out_states, out_goals):
        out_states[:, 0] = rng.integers(0, 8, len(out_states))
        out_goals[:, 0] = (out_states[:, 0] & 3) ^ rng.integers(1, 4, len(out_states)).astype(np.uint64)

    def step(self, states, goals, actions, active, out_states, out_terminated):
        before = states[active, 0]
        lamp = np.uint64(1) << (before >> np.uint64(2))
        after = before ^ np.where(actions[active] == 0, lamp, np.uint64(4))
        out_states[active, 0] = after
        out_terminated[active] = (after & np.uint64(3)) == goals[active, 0]

    def spec(self):
        return {"id": "Lamps", "max_steps": self.max_steps}

    def describe(self):
        return f"2 lamps in at most {self.max_steps} steps"
