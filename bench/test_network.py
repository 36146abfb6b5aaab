"""One update of the Q-network against the dense NumPy yardstick of dense.py, in the same process on one thread.

Run with `pytest bench/test_network.py --benchmark-only -s`. Both sides start from the same weights and see the same 40
minibatches; their losses are compared before anything is timed. Times are medians of interleaved windows.
"""

import time

import numpy as np
import pytest
from dense import DenseNetwork
from threadpoolctl import threadpool_limits

from herfast import Config, Minibatches, QNetwork, pack_bits

PLAIN = {}
FAST = {"gamma": 0.999, "dueling": True, "hindsight_bound": True, "advantage_gap": 0.5}
CASES = [
    (8, (256,), PLAIN),
    (20, (256,), PLAIN),
    (50, (256,), PLAIN),
    (128, (256,), PLAIN),
    (256, (512,), PLAIN),
    (50, (512,), PLAIN),
    (100, (512,), PLAIN),
    (50, (1024,), PLAIN),
    (100, (1024,), PLAIN),
    (20, (256,), FAST),
    (50, (256,), FAST),
    (50, (512,), FAST),
    (128, (256,), FAST),
    (256, (512,), FAST),
    (128, (1024,), FAST),
    (50, (256, 256), PLAIN),
]
UPDATES, BATCH, WINDOWS = 40, 128, 25


def minibatches(rng, n_bits):
    """Random transitions of the game, some of them with a goal that the step reaches, as relabelling makes them."""
    bits = rng.integers(0, 2, (UPDATES, BATCH, n_bits))
    actions = rng.integers(0, n_bits, (UPDATES, BATCH))
    next_bits = bits.copy()
    np.put_along_axis(next_bits, actions[..., None], 1 - np.take_along_axis(bits, actions[..., None], -1), -1)
    goals = rng.integers(0, 2, bits.shape)
    reached = rng.random((UPDATES, BATCH)) < 0.1
    goals[reached] = next_bits[reached]
    steps = np.where(reached, 1, rng.integers(0, n_bits, (UPDATES, BATCH)))
    batches = Minibatches(
        states=pack_bits(bits),
        next_states=pack_bits(next_bits),
        goals=pack_bits(goals),
        actions=actions.astype(np.uint16),
        rewards=np.where(reached, 0, -1).astype(np.float32),
        terminated=reached,
        steps_to_goal=steps.astype(np.int32),
    )
    signs = [2 * np.concatenate([part, goals], axis=-1).astype(np.float32) - 1 for part in (bits, next_bits)]
    return batches, [
        {
            "x": signs[0][u],
            "x_next": signs[1][u],
            "actions": actions[u],
            "rewards": batches.rewards[u],
            "terminated": reached[u],
            "steps_to_goal": batches.steps_to_goal[u],
        }
        for u in range(UPDATES)
    ]


def seconds(function):
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


@pytest.mark.parametrize(
    ("n_bits", "hidden", "rules"),
    CASES,
    ids=[f"{n}-{'x'.join(map(str, hidden))}-{'fast' if rules else 'plain'}" for n, hidden, rules in CASES],
)
def test_update(benchmark, n_bits, hidden, rules):
    network = QNetwork(n_bits, config=Config(hidden=hidden, **rules), seed=0)
    batches, dense_batches = minibatches(np.random.default_rng(0), n_bits)
    dense = DenseNetwork(network.parameters(), network.parameters("target"), network.config, BATCH)
    times = {"herfast": [], "dense": [], "gemms": []}
    with threadpool_limits(1):
        losses, dense_losses = network.fit(batches), [dense.update(batch) for batch in dense_batches]
        # later on, rounding may have turned an argmax, and the two learn on differently
        np.testing.assert_allclose(losses[:10], dense_losses[:10], rtol=1e-3)
        for _ in range(WINDOWS):
            times["herfast"].append(seconds(lambda: network.fit(batches)))
            times["dense"].append(seconds(lambda: [dense.update(batch) for batch in dense_batches]))
            times["gemms"].append(seconds(lambda: [dense.gemms() for _ in dense_batches]))
        benchmark.pedantic(network.fit, (batches,), rounds=5, warmup_rounds=1)
    us = {name: float(np.median(values)) / UPDATES * 1e6 for name, values in times.items()}
    benchmark.extra_info.update(
        us_per_update=us["herfast"],
        updates_per_second=1e6 / us["herfast"],
        dense_us=us["dense"],
        gemms_us=us["gemms"],
        ratio_to_dense=us["dense"] / us["herfast"],
        dense_to_gemms=us["dense"] / us["gemms"],
    )
    print(
        f"\n{n_bits} bits, hidden {hidden}, {'fast' if rules else 'plain'}: {us['herfast']:.0f} us an update,"
        f" dense {us['dense']:.0f} us, {us['dense'] / us['herfast']:.2f} times as long;"
        f" dense / its matrix products {us['dense'] / us['gemms']:.2f}"
    )
