"""Sliding puzzle: bring eight tiles on a board of 3 x 3 cells into a given order.

python examples/sliding_puzzle.py
"""

from dataclasses import dataclass

import numpy as np

from herfast import Agent, GoalTask

ROW, COLUMN = np.divmod(np.arange(9), 3)
# NEXT_CELL[action, cell]: the cell above, below, left and right of a cell, or the cell itself at the border.
NEXT_CELL = np.array(
    [
        np.arange(9) - 3 * (ROW > 0),
        np.arange(9) + 3 * (ROW < 2),
        np.arange(9) - (COLUMN > 0),
        np.arange(9) + (COLUMN < 2),
    ]
)


@dataclass(frozen=True)
class SlidingPuzzle(GoalTask):
    """Eight tiles, 1 to 8, and a blank cell, 0, that changes places with a tile beside it.

    A state has nine bits per cell: the bit of its tile is True. Actions 0 to 3 move the blank up, down, left
    and right. A move off the board changes nothing. The goal is `moves` random moves away from the start.
    """

    moves: int = 10
    max_steps: int = 30

    n_state_bits = 81
    n_goal_bits = 81
    n_actions = 4
    encoding = "binary"  # 0 and 1 are the network's inputs

    def reset(self, rng, n_episodes):
        tiles = rng.permuted(np.tile(np.arange(9), (n_episodes, 1)), axis=1)
        starts = (tiles[:, :, None] == np.arange(9)).reshape(n_episodes, 81)
        goals = starts
        for _ in range(self.moves):
            goals = self.step(goals, rng.integers(0, 4, n_episodes))
        return starts, goals

    def step(self, states, actions):
        is_tile = states.reshape(-1, 9, 9).copy()  # [episode, cell, tile]
        episodes = np.arange(len(states))
        blank = is_tile[:, :, 0].argmax(axis=1)
        cell = NEXT_CELL[actions, blank]
        is_tile[episodes, blank], is_tile[episodes, cell] = is_tile[episodes, cell], is_tile[episodes, blank]
        return is_tile.reshape(states.shape)


def main():
    agent = Agent(SlidingPuzzle(), preset="fast", seed=0).learn(until=0.95, progress_bar=True)
    print(f"success in {agent.evaluate(1_000, seed=1).success_rate:.1%} of 1,000 episodes")


if __name__ == "__main__":
    main()
