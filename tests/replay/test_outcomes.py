"""Tests of episodes with outcomes: storage, samples and infos."""

import numpy as np
import pytest
from support.trajectories import random_episodes

from herfast import HindsightReplay, _core
from herfast.common.batches import Outcomes
from herfast.replay.infos import InfoRing
from herfast.replay.outcomes import add_with_outcomes, sample_with_origins


def random_outcomes(rng, lengths):
    """Return outcomes of episodes, with infos that number all their steps."""
    flags = rng.integers(0, 2, (2, len(lengths))).astype(bool)
    infos = [[{"step": int(step)} for step in rng.integers(0, 10**9, length)] for length in lengths]
    return Outcomes(rng.normal(size=len(lengths)), flags[0], flags[1], infos)


def filled(capacity=60, n_additions=4, with_infos=True, **options):
    """Return a replay buffer, and what is known of each transition by its state."""
    rng = np.random.default_rng(4)
    replay = HindsightReplay(capacity, 100, 70, seed=1, **options)
    if with_infos:
        replay.infos = InfoRing(capacity)
    known = {}
    for _ in range(n_additions):
        episodes = random_episodes(rng, 100, 70)
        outcomes = random_outcomes(rng, episodes.lengths)
        add_with_outcomes(replay, episodes, outcomes)
        for e, length in enumerate(episodes.lengths):
            for t in range(length):
                is_last = t + 1 == length
                flags = (is_last and outcomes.terminated[e], is_last and outcomes.successes[e])
                key = episodes.states[t, e].tobytes()
                known[key] = (*map(bool, flags), outcomes.infos[e][t], bool(outcomes.terminated[e]))
    return replay, known


@pytest.mark.parametrize("strategy", ["future", "final", "episode", "random"])
@pytest.mark.parametrize("capacity", [23, 60, 500])
def test_samples_know_how_their_episodes_ended(strategy, capacity):
    replay, known = filled(capacity, strategy=strategy, k=2)
    other, _ = filled(capacity, strategy=strategy, k=2)
    batches, origins = sample_with_origins(replay, 3, 200)
    plain = other.sample(3, 200)
    for name in ("states", "next_states", "goals", "actions", "rewards", "terminated"):
        np.testing.assert_array_equal(getattr(batches, name), getattr(plain, name))
    assert _core.ring_is_valid(replay.records, replay.cursor, 100, 70)
    seen = set()
    for u, b in np.ndindex(3, 200):
        terminated, succeeded, info, ends = known[batches.states[u, b].tobytes()]
        assert origins.terminated[u, b] == terminated
        assert origins.succeeded[u, b] == (terminated and succeeded)
        assert origins.infos[200 * u + b] == info
        steps = plain.steps_to_goal[u, b]
        if not (origins.relabelled[u, b] or ends):
            steps = 0  # rewards follow after the goal
        assert batches.steps_to_goal[u, b] == steps
        seen.add((terminated, succeeded, ends, bool(origins.relabelled[u, b]), steps > 0))
    assert {flags[3] for flags in seen} == {True, False}
    assert len(seen) >= 8
    assert 0.6 < origins.relabelled.mean() < 0.73  # k / (k + 1)


def test_without_outcomes_nothing_is_terminated():
    replay = HindsightReplay(100, 100, 70, seed=0)
    replay.add(random_episodes(np.random.default_rng(0), 100, 70))
    _, origins = sample_with_origins(replay, 1, 50)
    assert not origins.terminated.any()
    assert not origins.succeeded.any()
    assert origins.infos is None


@pytest.mark.parametrize("capacity", [23, 60, 500])
def test_infos_are_saved_and_loaded(capacity):
    replay, _ = filled(capacity)
    copy = HindsightReplay(capacity, 100, 70, seed=1)
    copy.infos = InfoRing(capacity)
    copy.load_state_dict(replay.state_dict())
    size = int(replay.cursor[1])
    copy.infos.load_array(replay.infos.to_array(size), size)
    assert sample_with_origins(copy, 2, 50)[1].infos == sample_with_origins(replay, 2, 50)[1].infos


@pytest.mark.parametrize("n_stored", [1, 3])
def test_episodes_keep_their_infos_after_ctrl_c(n_stored, monkeypatch):
    """The core raises it after an episode."""
    replay, known = filled(23)
    before = len(known)
    episodes = random_episodes(np.random.default_rng(5), 100, 70)
    outcomes = random_outcomes(np.random.default_rng(6), episodes.lengths)
    add = HindsightReplay._add
    added = []

    def interrupted(self, trajectories, ends):
        add(self, trajectories, ends)
        added.append(int(trajectories.lengths[0]))
        if len(added) == n_stored:
            raise KeyboardInterrupt

    monkeypatch.setattr(HindsightReplay, "_add", interrupted)
    with pytest.raises(KeyboardInterrupt):
        add_with_outcomes(replay, episodes, outcomes)
    assert added == episodes.lengths[:n_stored].tolist()
    for e, length in enumerate(added):
        known |= {episodes.states[t, e].tobytes(): (outcomes.infos[e][t],) for t in range(length)}
    assert len(known) > before
    batches, origins = sample_with_origins(replay, 1, 300)
    for b, info in enumerate(origins.infos):
        assert info in known[batches.states[0, b].tobytes()]


@pytest.mark.parametrize("text", ["3", "[]", "[1, 2]", '{"a": 1}', "[null"])
def test_damaged_infos_are_rejected(text):
    ring = InfoRing(5)
    with pytest.raises(ValueError, match=r"ring\.infos must be|Expecting"):
        ring.load_array(np.frombuffer(text.encode(), np.uint8), 2)
    assert ring.take(np.arange(5)) == [{}] * 5


def test_infos_are_copied():
    ring = InfoRing(4)
    ring.add(0, [{"a": 1}])
    ring.take(np.array([0]))[0]["a"] = 2
    assert ring.take(np.array([0])) == [{"a": 1}]


@pytest.mark.parametrize(
    ("ends", "message"),
    [
        (np.array([0, 4, 1, 0, 0], np.uint8), r"ends\[1\] must be from 0 to 3, got 4"),
        (np.zeros(4, np.uint8), "ends"),
    ],
)
def test_the_core_checks_how_episodes_ended(ends, message):
    replay = HindsightReplay(100, 100, 70)
    with pytest.raises(ValueError, match=message):
        replay._add(random_episodes(np.random.default_rng(0), 100, 70), ends)
    assert len(replay) == 0


def test_the_core_checks_the_shapes_of_sources():
    replay, _ = filled()
    for shapes in (((2, 3), (2, 4)), ((2, 4), (3, 3))):
        sources = (np.empty(shapes[0], np.int64), np.empty(shapes[1], np.bool_))
        with pytest.raises(ValueError, match=r"^out_(rows|relabelled) must have shape \(2, 3\)|\(2, 4\)"):
            replay._sample(2, 3, 1, replay.rng, *sources)
