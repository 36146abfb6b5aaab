"""Settings of agents that train within a second.

Tests depend on the values, for example on the numbers of episodes and updates.
"""

from herfast import Agent, BitFlip

SMALL_SETTINGS = {
    "hidden": (32,),
    "episodes_per_cycle": 4,
    "updates_per_cycle": 3,
    "cycles_per_epoch": 2,
    "batch_size": 16,
}
TINY_SETTINGS = {
    "hidden": (8,),
    "episodes_per_cycle": 2,
    "updates_per_cycle": 2,
    "cycles_per_epoch": 2,
    "batch_size": 4,
}


def small_agent(seed=0, n_bits=6, preset="fast", **fields):
    return Agent(BitFlip(n_bits), preset, seed, **{**SMALL_SETTINGS, "until": None, **fields})


def tiny_agent(seed=0):
    return Agent(BitFlip(4), "fast", seed, capacity=100, until=None, **TINY_SETTINGS)
