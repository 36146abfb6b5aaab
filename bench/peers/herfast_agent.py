"""herfast with preset notebook, through the public class Agent."""

from protocol import Clock, Result, main

from herfast import Agent, BitFlip

SHARED = [
    "learning_rate",
    "batch_size",
    "gamma",
    "episodes_per_cycle",
    "updates_per_cycle",
    "cycles_per_epoch",
    "epsilon_end",
]


def train(protocol, seed):
    agent, clock = Agent(BitFlip(protocol.n_bits), "notebook", seed), Clock()
    assert agent.config.hidden == (protocol.hidden,)
    assert all(getattr(agent.config, name) == getattr(protocol, name) for name in SHARED)
    agent.replay.sample = timed(agent.replay.sample, clock)
    agent.network.fit = timed(agent.network.fit, clock)
    agent.learn(epochs=protocol.epochs)
    return Result(
        agent.history["success"], agent.env_steps, agent.episodes, agent.network.updates, clock.seconds
    )


def timed(function, clock):
    """Return `function` with its time added to `clock`."""

    def inside(*args):
        with clock:
            return function(*args)

    return inside


if __name__ == "__main__":
    main(train)
