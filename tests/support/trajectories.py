"""Episodes to store in tests, random ones and ones whose states are numbered; and a replay compared with its twin."""

import numpy as np
from reference.bits import from_words, prefix, to_words
from reference.ring import Transition

from herfast import Trajectories


def random_words(rng, shape, n_bits):
    words = rng.integers(0, 2**64, (*shape, -(-n_bits // 64)), np.uint64)
    words[..., -1] &= np.uint64(2 ** ((n_bits - 1) % 64 + 1) - 1)
    return words


def random_episodes(rng, n_bits, n_goal_bits=None, n_episodes=5, max_steps=6):
    """Episodes of random lengths, some of which end at their goal; past an episode's end all is random."""
    n_goal_bits = n_goal_bits or n_bits
    lengths = rng.integers(1, max_steps + 1, n_episodes, dtype=np.int32)
    states = rng.integers(0, 2**64, (max_steps + 1, n_episodes, -(-n_bits // 64)), np.uint64)
    used = np.arange(max_steps + 1)[:, None] <= lengths
    states[used] = random_words(rng, (used.sum(),), n_bits)
    goals = random_words(rng, (n_episodes,), n_goal_bits)
    for episode in np.flatnonzero(rng.random(n_episodes) < 0.5):
        goals[episode] = to_words(prefix(from_words(states[lengths[episode], episode]), n_goal_bits), n_goal_bits)
    actions = rng.integers(0, n_bits, (max_steps, n_episodes), np.uint16)
    actions[np.arange(max_steps)[:, None] >= lengths] = 65_535
    return Trajectories(states, actions, goals, lengths)


def numbered_episodes(n_episodes, max_steps, first_episode=0):
    """Episodes whose states are episode << 16 | t, whose actions are t and whose goals none can reach."""
    t, episode = np.meshgrid(np.arange(max_steps + 1), first_episode + np.arange(n_episodes), indexing="ij")
    states = (episode << 16 | t).astype(np.uint64)[..., None]
    goals = np.full((n_episodes, 1), 2**50 - 1, np.uint64)
    return Trajectories(states, t[:-1].astype(np.uint16), goals, np.full(n_episodes, max_steps, np.int32))


def decode_numbered(words):
    """Episode and t of states that `numbered_episodes` made, int64 in one axis."""
    numbers = words.ravel().astype(np.int64)
    return numbers >> 16, numbers & 0xFFFF


def add_to_twin(twin, trajectories):
    """What HindsightReplay.add does, for a reference.ring.Ring."""
    for episode, length in enumerate(trajectories.lengths):
        states = [from_words(state) for state in trajectories.states[: length + 1, episode]]
        twin.add(states, trajectories.actions[:length, episode].tolist(), from_words(trajectories.goals[episode]))


def records_oldest_first(replay):
    """The ring's records, oldest first."""
    head, size, _ = replay.cursor
    return np.roll(replay.records, -head, axis=0) if size == replay.capacity else replay.records[:size]


def twin_records(twin, n_bits):
    """The records of a reference.ring.Ring, in the layout of HindsightReplay's."""
    return np.array(
        [
            [
                *to_words(record.state, n_bits),
                *to_words(record.goal, twin.n_goal_bits),
                record.action | record.t << 16 | record.steps_to_end << 32,
            ]
            for record in twin.records
        ],
        np.uint64,
    )


def transitions_of(batch):
    """The rows of one minibatch, as the twin's."""
    rows = zip(*batch, strict=True)
    return [Transition(*map(from_words, row[:3]), *(value.item() for value in row[3:])) for row in rows]


def assert_same_samples(replay, twin, raw, n_batches=3, batch_size=17):
    """Both rings, which hold the same, sample the same from the same raw outputs; returns the minibatches."""
    batches = replay.sample(n_batches, batch_size)
    for batch in zip(*batches, strict=True):
        assert transitions_of(batch) == twin.sample(raw, replay.strategy, replay.k, batch_size)
    return batches
