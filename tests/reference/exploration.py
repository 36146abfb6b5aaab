"""Random actions by NumPy's own draws, as specified in csrc/exploration.h."""


def explore(rng, epsilon, n_actions, active, actions):
    """Replace the actions of some active episodes by random ones."""
    explorers = active[rng.random(active.size) < epsilon]
    actions[explorers] = rng.integers(n_actions, size=explorers.size)
