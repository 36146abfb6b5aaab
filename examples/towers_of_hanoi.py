"""Towers of Hanoi: move disks from any position to any other.

python examples/towers_of_hanoi.py
"""

from dataclasses import dataclass

import numpy as np

from herfast import Agent, GoalTask

MOVES = np.array([(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)])  # from peg, to peg


@dataclass(frozen=True)
class TowersOfHanoi(GoalTask):
    """Three pegs and some disks, of which none may lie on a smaller one.

    A state has three bits per disk, the smallest disk first: the bit of its peg is True. Action a takes the
    top disk of one peg to another, as MOVES[a] says. A move that is not allowed changes nothing.
    """

    disks: int = 3

    n_actions = len(MOVES)
    encoding = "binary"  # 0 and 1 are the network's inputs

    @property
    def n_state_bits(self):
        return 3 * self.disks

    n_goal_bits = n_state_bits

    @property
    def max_steps(self):
        return 2 ** (self.disks + 1)

    def reset(self, rng, n_episodes):
        pegs = rng.integers(0, 3, (2, n_episodes, self.disks))  # any pegs are an allowed position
        starts, goals = (pegs[..., None] == np.arange(3)).reshape(2, n_episodes, -1)
        return starts, goals

    def step(self, states, actions):
        on_peg = states.reshape(-1, self.disks, 3).copy()  # [episode, disk, peg]
        top = np.where(on_peg.any(axis=1), on_peg.argmax(axis=1), self.disks)  # [episode, peg], smallest disk
        source, target = MOVES[actions].T
        episodes = np.arange(len(states))
        allowed = top[episodes, source] < top[episodes, target]
        e, disk = episodes[allowed], top[episodes, source][allowed]
        on_peg[e, disk, source[allowed]] = False
        on_peg[e, disk, target[allowed]] = True
        return on_peg.reshape(states.shape)


def main():
    agent = Agent(TowersOfHanoi(disks=3), preset="fast", seed=0).learn(until=0.99, progress_bar=True)
    print(f"success in {agent.evaluate(1_000, seed=1).success_rate:.1%} of 1,000 episodes")


if __name__ == "__main__":
    main()
