"""Checksums of records and minibatches of a scripted example.

`python tests/golden/replay.py` writes them to replay.json. They may change only in a commit that explains why
an order of draws or a layout had to change.
"""

import json
import zlib
from pathlib import Path

import numpy as np

from herfast import BitFlip, HindsightReplay, Trajectories
from herfast.common.seeding import Role, stream

FILE = Path(__file__).with_suffix(".json")


def checksum(array):
    """Return the CRC-32 of an array; floats and booleans are converted to int8."""
    integers = array.astype(array.dtype.newbyteorder("<") if array.dtype.kind in "iu" else np.int8)
    return zlib.crc32(integers.tobytes())


def scripted_episodes(n_bits, n_episodes=8):
    """Return episodes in lockstep.

    Episode e takes action (7 t + 3 e) mod n_bits at step t and stops after e + 1 steps.
    """
    env = BitFlip(n_bits)
    n_words = -(-n_bits // 64)
    states = np.zeros((n_episodes + 1, n_episodes, n_words), np.uint64)
    goals = np.zeros((n_episodes, n_words), np.uint64)
    steps, episodes = np.ogrid[:n_episodes, :n_episodes]
    actions = ((7 * steps + 3 * episodes) % n_bits).astype(np.uint16)
    terminated = np.zeros(n_episodes, bool)
    env.reset(stream(1, Role.ENVIRONMENT), states[0], goals)
    for t in range(n_episodes):
        env.step(states[t], goals, actions[t], np.arange(t, n_episodes), states[t + 1], terminated)
    return Trajectories(states, actions, goals, np.arange(1, n_episodes + 1, dtype=np.int32))


def compute_checksums():
    """Return checksums of records and minibatches by number of bits and strategy."""
    checksums = {}
    for n_bits in (50, 64, 130):
        trajectories = scripted_episodes(n_bits)
        for strategy in ("future", "final", "episode", "random"):
            replay = HindsightReplay(37, n_bits, strategy=strategy, seed=1)
            replay.add(trajectories)
            batches = replay.sample(5, 32)
            arrays = (replay.records, *batches)
            checksums[f"{n_bits} bits, {strategy}"] = [checksum(array) for array in arrays]
    return checksums


if __name__ == "__main__":
    lines = [f"{json.dumps(name)}: {json.dumps(values)}" for name, values in compute_checksums().items()]
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n")
