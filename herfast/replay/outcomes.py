"""Episodes and minibatches with rewards and terminations of the environment.

Their outcomes do not follow from states and goals, so the replay buffer stores them with each episode.
"""

from __future__ import annotations

import numpy as np

from herfast.common.batches import Minibatches, Origins, Outcomes, Trajectories
from herfast.replay.hindsight_replay import HindsightReplay

_END_SHIFT = np.uint64(48)  # of a record's last word (csrc/replay.h)
_TERMINATED = 1
_SUCCEEDED = 2


def add_with_outcomes(replay: HindsightReplay, trajectories: Trajectories, outcomes: Outcomes) -> None:
    """Append episodes as `HindsightReplay.add` does, with their outcomes.

    After Ctrl-C all stored episodes have their infos.
    """
    ends = (outcomes.terminated * _TERMINATED + outcomes.successes * _SUCCEEDED).astype(np.uint8)
    if replay.infos is None:
        replay._add(trajectories, ends)
        return
    states, actions, goals, lengths = trajectories
    for e, (length, infos) in enumerate(zip(lengths.tolist(), outcomes.infos or [], strict=True)):
        one = slice(e, e + 1)
        head = int(replay.cursor[0])
        try:
            replay._add(
                Trajectories(states[: length + 1, one], actions[:length, one], goals[one], lengths[one]),
                ends[one],
            )
        finally:  # Ctrl-C is raised when the episode is stored
            replay.infos.add(head, infos)


def sample_with_origins(
    replay: HindsightReplay, n_batches: int, batch_size: int
) -> tuple[Minibatches, Origins]:
    """Sample as `HindsightReplay.sample` does, and return the origins.

    `steps_to_goal` is 0 for an original goal at which the environment did not terminate the episode: rewards
    would follow there.
    """
    rows = np.empty((n_batches, batch_size), np.int64)
    relabelled = np.empty(rows.shape, np.bool_)
    batches = replay._sample(n_batches, batch_size, replay.k, replay.rng, rows, relabelled)
    ends = replay.records[:, -1]
    own = ends[rows] >> _END_SHIFT
    last = (rows + np.maximum(batches.steps_to_goal, 1) - 1) % replay.capacity
    is_open = (ends[last] >> _END_SHIFT) & _TERMINATED == 0
    batches.steps_to_goal[is_open & ~relabelled] = 0
    terminated = (own & _TERMINATED) != 0
    infos = None
    if replay.infos is not None:
        infos = replay.infos.take(rows)
    return batches, Origins(relabelled, terminated, terminated & ((own & _SUCCEEDED) != 0), infos)
