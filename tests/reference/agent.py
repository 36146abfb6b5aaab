"""Reference implementation of the whole agent, written for readability.

It does not import herfast. It consists of hindsight experience replay (Andrychowicz et al. 2017,
algorithm 1), DQN or Double DQN, and the bit-flipping environment. States and goals are Python integers, and
the network is float64.

It draws from the same random streams in the same order as herfast. So the same seed gives the same episodes,
exploration, minibatches and goals, as long as the same actions are taken.
"""

from typing import NamedTuple

import numpy as np
from reference import bitflip, network
from reference.bits import to_bits
from reference.ring import Ring

ENVIRONMENT, EXPLORATION, REPLAY, WEIGHTS, EVALUATION = range(5)  # roles of the random streams


def stream(seed, role):
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(role,))))


def epsilon_at(config, env_steps):
    start, end, over = config["epsilon_start"], config["epsilon_end"], config["epsilon_decay_steps"]
    if config["epsilon"] == "constant":
        return start
    if config["epsilon"] == "linear":
        return end if env_steps >= over else start + (end - start) * (env_steps / over)
    return max(end, start / (env_steps / over + 1))


def learning_rate_at(config, updates):
    first, last = config["learning_rate"], config["learning_rate_end"]
    if last is None:
        return first
    return first * (last / first) ** min(1, updates / config["learning_rate_decay_updates"])


class Episode(NamedTuple):
    """One episode, from its start to its goal or to the step limit."""

    states: list[int]  # one more than actions
    actions: list[int]
    goal: int
    reached: bool


class Agent:
    """Agent whose methods are the steps of herfast's Agent._cycle.

    `config` is a dict of the fields of Config.
    """

    def __init__(self, n_bits, max_steps, config, seed):
        self.n_bits, self.max_steps, self.config = n_bits, max_steps, config
        self.streams = [stream(seed, role) for role in range(5)]
        self.ring = Ring(config["capacity"], n_bits)
        self.online = network.initial(n_bits, config, self.streams[WEIGHTS])
        self.target = dict(self.online)
        self.moment1, self.moment2 = (
            {name: 0 * array for name, array in self.online.items()} for _ in range(2)
        )
        self.env_steps = self.updates = 0

    def epoch(self):
        """Train for one epoch.

        Returns the success rate of its episodes, exploration included, and that of 100 greedy episodes at its
        end.
        """
        success = [self.cycle() for _ in range(self.config["cycles_per_epoch"])]
        return np.mean(success), self.evaluate(100)

    def cycle(self):
        episodes = self.play(self.config["episodes_per_cycle"])
        self.remember(episodes)
        for _ in range(self.config["updates_per_cycle"]):
            self.update(self.sample())
        return np.mean([episode.reached for episode in episodes])

    def play(self, n_episodes, script=None):
        """Play epsilon-greedy episodes in lockstep.

        With a `script`, script[t][e] is taken instead of the greedy action.
        """
        return self._play(
            n_episodes,
            self.streams[ENVIRONMENT],
            self.online,
            lambda active, t: self._explore(active, t, script),
        )

    def evaluate(self, n_episodes):
        """Return the success rate of greedy episodes."""
        params = self.target if self.config["evaluate_with"] == "target" else self.online
        episodes = self._play(n_episodes, self.streams[EVALUATION], params, lambda active, t: {})
        return np.mean([episode.reached for episode in episodes])

    def _play(self, n_episodes, rng, params, explore):
        episodes = []
        for _ in range(n_episodes):
            start, goal = bitflip.reset(rng.bit_generator, self.n_bits)
            episodes.append(Episode([start], [], goal, False))
        for t in range(self.max_steps):
            active = [e for e, episode in enumerate(episodes) if not episode.reached]
            if not active:
                break
            chosen = explore(active, t)
            greedy = [e for e in active if e not in chosen]
            if greedy:
                pairs = [(episodes[e].states[-1], episodes[e].goal) for e in greedy]
                chosen |= zip(greedy, self.values(params, pairs).argmax(axis=1).tolist(), strict=True)
            for e in active:
                states, actions, goal, _ = episodes[e]
                state, reached = bitflip.step(states[-1], goal, chosen[e])
                episodes[e] = Episode([*states, state], [*actions, chosen[e]], goal, reached)
        return episodes

    def _explore(self, active, t, script):
        """Return the actions of the episodes that explore, as a dict by episode.

        With a script, the scripted actions of all other active episodes are included.
        """
        rng, epsilon = self.streams[EXPLORATION], epsilon_at(self.config, self.env_steps)
        explorers = [e for e, u in zip(active, rng.random(len(active)), strict=True) if u < epsilon]
        drawn = rng.integers(self.n_bits, size=len(explorers)).tolist() if explorers else []
        self.env_steps += len(active)
        scripted = {} if script is None else {e: int(script[t][e]) for e in active}
        return scripted | dict(zip(explorers, drawn, strict=True))

    def remember(self, episodes):
        for episode in episodes:
            self.ring.add(episode.states, episode.actions, episode.goal)

    def sample(self):
        raw = self.streams[REPLAY].bit_generator
        return self.ring.sample(raw, self.config["strategy"], self.config["k"], self.config["batch_size"])

    def update(self, minibatch):
        """Make one update on a list of transitions, and return the loss before it."""
        batch = {
            "x": self.inputs([(row.state, row.goal) for row in minibatch]),
            "x_next": self.inputs([(row.next_state, row.goal) for row in minibatch]),
            "actions": np.array([row.action for row in minibatch]),
            "rewards": np.array([row.reward for row in minibatch]),
            "terminated": np.array([row.terminated for row in minibatch]),
            "steps_to_goal": np.array([row.steps_to_goal for row in minibatch]),
        }
        parts = (self.online, self.target, self.moment1, self.moment2)
        rate = learning_rate_at(self.config, self.updates)
        self.updates += 1
        return network.update(*parts, batch, self.config, rate, self.updates)[0]

    def values(self, params, pairs):
        """Return Q [len(pairs), n] of (state, goal) pairs."""
        return network.forward(params, self.inputs(pairs))[1]

    def inputs(self, pairs):
        """Return the bits of the state, then of the goal, as +-1 or as 0 and 1."""
        bits = np.array([self._bits(state) + self._bits(goal) for state, goal in pairs], float)
        return bits if self.config["encoding"] == "binary" else 2 * bits - 1

    def _bits(self, string):
        return to_bits(string, self.n_bits)
