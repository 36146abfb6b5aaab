"""A scripted run through game, ring and sampling, told in integers. `python tests/golden/replay.py` writes replay.json.

The numbers may only change in a commit that says why an order of draws or a layout had to.
"""

import json
import zlib
from pathlib import Path

import numpy as np

from herfast import BitFlip, HindsightReplay, Trajectories
from herfast.common.seeding import Role, stream

FILE = Path(__file__).with_suffix(".json")


def checksum(array):
    integers = array.astype(array.dtype.newbyteorder("<") if array.dtype.kind in "iu" else np.int8)
    return zlib.crc32(integers.tobytes())


def play(n_bits, n_games=8):
    """Games in lockstep; game e plays action (7 t + 3 e) mod n at step t and stops after e + 1 steps."""
    env, n_words = BitFlip(n_bits), -(-n_bits // 64)
    states, goals = np.zeros((n_games + 1, n_games, n_words), np.uint64), np.zeros((n_games, n_words), np.uint64)
    steps, games = np.ogrid[:n_games, :n_games]
    actions, terminated = ((7 * steps + 3 * games) % n_bits).astype(np.uint16), np.zeros(n_games, bool)
    env.reset(stream(1, Role.ENVIRONMENT), states[0], goals)
    for t in range(n_games):
        env.step(states[t], goals, actions[t], np.arange(t, n_games), states[t + 1], terminated)
    return Trajectories(states, actions, goals, np.arange(1, n_games + 1, dtype=np.int32))


def run():
    signatures = {}
    for n_bits in (50, 64, 130):
        trajectories = play(n_bits)
        for strategy in ("future", "final", "episode", "random"):
            replay = HindsightReplay(37, n_bits, strategy=strategy, seed=1)
            replay.add(trajectories)
            batches = replay.sample(5, 32)
            signatures[f"{n_bits} bits, {strategy}"] = [checksum(array) for array in (replay.records, *batches)]
    return signatures


if __name__ == "__main__":
    FILE.write_text("{\n" + ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in run().items()) + "\n}\n")
