"""Random and numbered episodes, and comparison of replay buffer and reference."""

import numpy as np
from reference.bits import from_words, prefix, to_words
from reference.ring import Transition

from herfast import Trajectories


def random_words(rng, shape, n_bits):
    """Return random packed bits, uint64[*shape, W]."""
    words = rng.integers(0, 2**64, (*shape, -(-n_bits // 64)), np.uint64)
    words[..., -1] &= np.uint64(2 ** ((n_bits - 1) % 64 + 1) - 1)
    return words


def random_episodes(rng, n_bits, n_goal_bits=None, n_episodes=5, max_steps=6):
    """Return episodes of random lengths, some of which end at their goal.

    Entries past the end of an episode are random.
    """
    n_goal_bits = n_goal_bits or n_bits
    lengths = rng.integers(1, max_steps + 1, n_episodes, dtype=np.int32)
    states = rng.integers(0, 2**64, (max_steps + 1, n_episodes, -(-n_bits // 64)), np.uint64)
    used = np.arange(max_steps + 1)[:, None] <= lengths
    states[used] = random_words(rng, (used.sum(),), n_bits)
    goals = random_words(rng, (n_episodes,), n_goal_bits)
    for episode in np.flatnonzero(rng.random(n_episodes) < 0.5):
        goals[episode] = to_words(
            prefix(from_words(states[lengths[episode], episode]), n_goal_bits), n_goal_bits
        )
    actions = rng.integers(0, n_bits, (max_steps, n_episodes), np.uint16)
    actions[np.arange(max_steps)[:, None] >= lengths] = 65_535
    return Trajectories(states, actions, goals, lengths)


def numbered_episodes(n_episodes, max_steps, first_episode=0):
    """Return episodes with states episode << 16 | t, actions t and unreachable goals."""
    t, episode = np.meshgrid(np.arange(max_steps + 1), first_episode + np.arange(n_episodes), indexing="ij")
    states = (episode << 16 | t).astype(np.uint64)[..., None]
    goals = np.full((n_episodes, 1), 2**50 - 1, np.uint64)
    return Trajectories(states, t[:-1].astype(np.uint16), goals, np.full(n_episodes, max_steps, np.int32))


def decode_numbered(words):
    """Return episode and t, one-dimensional int64, of states of `numbered_episodes`."""
    numbers = words.ravel().astype(np.int64)
    return numbers >> 16, numbers & 0xFFFF


def add_to_reference(ring, trajectories):
    """Add trajectories to a reference.ring.Ring, as HindsightReplay.add does."""
    for episode, length in enumerate(trajectories.lengths):
        states = [from_words(state) for state in trajectories.states[: length + 1, episode]]
        ring.add(
            states, trajectories.actions[:length, episode].tolist(), from_words(trajectories.goals[episode])
        )


def records_oldest_first(replay):
    """Return the records of a HindsightReplay, oldest first."""
    head, size, _ = replay.cursor
    return np.roll(replay.records, -head, axis=0) if size == replay.capacity else replay.records[:size]


def reference_records(ring, n_bits):
    """Return the records of a reference.ring.Ring in the layout of HindsightReplay."""
    return np.array(
        [
            [
                *to_words(record.state, n_bits),
                *to_words(record.goal, ring.n_goal_bits),
                record.action | record.t << 16 | record.steps_to_end << 32,
            ]
            for record in ring.records
        ],
        np.uint64,
    )


def transitions_of(batch):
    """Return the rows of one minibatch as the Transitions of the reference."""
    rows = zip(*batch, strict=True)
    return [Transition(*map(from_words, row[:3]), *(value.item() for value in row[3:])) for row in rows]


def assert_same_samples(replay, ring, raw, n_batches=3, batch_size=17):
    """Assert that a HindsightReplay and its reference draw the same minibatches.

    Both must have the same records, and `raw` must be in the state of the replay's bit generator.
    Returns the minibatches.
    """
    batches = replay.sample(n_batches, batch_size)
    for batch in zip(*batches, strict=True):
        assert transitions_of(batch) == ring.sample(raw, replay.strategy, replay.k, batch_size)
    return batches
