"""Learning on a Gymnasium environment, compared with the same GridWorld."""

import numpy as np
import pytest
from support.gym_tasks import MAZE, make

from herfast import Agent, GridWorld, GymnasiumTask

pytestmark = pytest.mark.slow

SEEDS = range(5)


def success_rates(build, epochs):
    """Return the greedy success rates of all seeds after so many epochs."""
    rates = []
    for seed in SEEDS:
        agent = Agent(build(), "fast", seed, until=None, episodes_per_cycle=64).learn(epochs)
        rates.append(agent.evaluate(300, seed=seed).success_rate)
    return np.array(rates)


@pytest.mark.parametrize(("n_envs", "epochs"), [(16, 12), (16, 25), (1, 12)])
def test_a_maze_reaches_what_grid_world_reaches_in_as_many_updates(n_envs, epochs):
    """After 12 epochs about 0.7, where seeds differ most, and after 25 nearly 1."""
    own = success_rates(lambda: GridWorld(map="\n".join(MAZE), max_steps=40), epochs)
    gym = success_rates(lambda: GymnasiumTask(make("Maze", n_envs), deterministic=True), epochs)
    assert own.min() <= gym.mean() <= own.max(), (own, gym)
