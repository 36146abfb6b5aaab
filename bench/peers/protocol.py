"""Protocol that all peers follow, and the format of their results.

The protocol is that of the bit-flip notebook: a 2n-256-n ReLU network on inputs of +-1, Adam, and Double DQN
that does not bootstrap from a reached goal. Each cycle plays 16 episodes and stores each transition twice,
with its own goal and with the final state of its episode as the goal. Then it makes 40 updates of 128 and
copies the target network.
"""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Protocol:
    """Settings of the protocol. An episode has at most `n_bits` steps."""

    n_bits: int
    epochs: int
    hidden: int = 256
    learning_rate: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    adam_epsilon: float = 1e-8
    batch_size: int = 128
    gamma: float = 0.98
    episodes_per_cycle: int = 16
    updates_per_cycle: int = 40
    cycles_per_epoch: int = 50
    capacity: int = 50_000  # transitions; the notebook's ring of 100,000 rows has each of them twice
    epsilon_end: float = 0.02
    epsilon_decay_steps: int = 500

    @property
    def cycles(self):
        return self.epochs * self.cycles_per_epoch

    @property
    def updates(self):
        return self.cycles * self.updates_per_cycle

    def epsilon_at(self, env_steps):
        return max(self.epsilon_end, 1 / (env_steps / self.epsilon_decay_steps + 1))

    def initial_parameters(self, rng):
        """Draw w1 [2n, H], b1 [H], w2 [H, n] and b2 [n], float32.

        They are uniform in +-1/sqrt(inputs of the layer).
        """
        shapes = ((2 * self.n_bits, self.hidden), (self.hidden,), (self.hidden, self.n_bits), (self.n_bits,))
        bounds = np.repeat([1 / np.sqrt(2 * self.n_bits), 1 / np.sqrt(self.hidden)], 2)
        return [rng.uniform(-b, b, shape).astype(np.float32) for b, shape in zip(bounds, shapes, strict=True)]


@dataclass
class Result:
    """Result of one run of a peer.

    `success` is that of the training episodes, exploration included.
    """

    success: list[float]  # per episode, per cycle or per epoch
    env_steps: int
    episodes: int
    updates: int
    # seconds spent in drawing minibatches and in updates, or a function that measures them later
    update_seconds: float | Callable[[], float]


class Clock:
    """Sums the seconds spent inside `with clock:`."""

    seconds = 0.0

    def __enter__(self):
        self._start = time.perf_counter()

    def __exit__(self, *error):
        self.seconds += time.perf_counter() - self._start


def threads():
    """Return the largest number of threads of a loaded library.

    It is reported by threadpoolctl; None if that is not installed.
    """
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return None
    return max((pool["num_threads"] for pool in threadpool_info()), default=1)


def main(train):
    """Run `train(protocol, seed) -> Result` and print the result as one line of JSON.

    The protocol, the seed and the number of runs are read from the command line.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--bits", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--runs", type=int, default=1, help="number of identical runs; the first one is cold")
    args = parser.parse_args()
    protocol, seconds, processor_seconds, ended = Protocol(args.bits, args.epochs), [], [], []
    for _ in range(args.runs):
        start, processor_start = time.perf_counter(), time.process_time()
        result = train(protocol, args.seed)
        seconds.append(time.perf_counter() - start)
        processor_seconds.append(time.process_time() - processor_start)
        ended.append(time.time())
    assert result.updates == protocol.updates
    assert result.episodes == protocol.cycles * protocol.episodes_per_cycle
    update_seconds = result.update_seconds() if callable(result.update_seconds) else result.update_seconds
    success = np.mean(np.reshape(result.success, (protocol.epochs, -1)), axis=1)
    print(
        json.dumps(
            {
                "seconds": seconds,
                "processor_seconds": processor_seconds,
                "ended": ended,  # time of day, from which compare.py subtracts the start of the process
                "us_per_update": update_seconds / result.updates * 1e6,
                "success": [round(float(rate), 4) for rate in success],
                "env_steps": int(result.env_steps),
                "episodes": int(result.episodes),
                "updates": int(result.updates),
                "threads": threads(),
            }
        )
    )
