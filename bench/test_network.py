"""Updates of the Q-network compared with the dense NumPy baseline of dense.py.

Run with `pytest bench/test_network.py --benchmark-only -s`. Both use one thread of the same process, the same
initial weights and the same 40 minibatches. Their losses are compared before they are timed. Times are
medians of interleaved windows.
"""

import numpy as np
import pytest
from dense import DenseNetwork
from learning import BATCH, UPDATES, WINDOWS, minibatches, seconds
from threadpoolctl import threadpool_limits

from herfast import Config, QNetwork

PLAIN = {}
ALL_OPTIONS = {"gamma": 0.999, "dueling": True, "hindsight_bound": True, "advantage_gap": 0.5}
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
    (20, (256,), ALL_OPTIONS),
    (50, (256,), ALL_OPTIONS),
    (50, (512,), ALL_OPTIONS),
    (128, (256,), ALL_OPTIONS),
    (256, (512,), ALL_OPTIONS),
    (128, (1024,), ALL_OPTIONS),
    (50, (256, 256), PLAIN),
]


@pytest.mark.parametrize(
    ("n_bits", "hidden", "options"),
    CASES,
    ids=[
        f"{n}-{'x'.join(map(str, hidden))}-{'all options' if options else 'plain'}"
        for n, hidden, options in CASES
    ],
)
def test_update(benchmark, n_bits, hidden, options):
    network = QNetwork(n_bits, config=Config(hidden=hidden, **options), seed=0)
    batches, dense_batches = minibatches(np.random.default_rng(0), n_bits)
    dense = DenseNetwork(network.parameters(), network.parameters("target"), network.config, BATCH)
    times = {"herfast": [], "dense": [], "gemms": []}
    with threadpool_limits(1):
        losses = network.fit(batches)
        dense_losses = [dense.update(batch) for batch in dense_batches]
        # Only the first losses, since rounding may later change an argmax, after which the networks differ.
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
        f"\n{n_bits} bits, hidden {hidden}, {'all options' if options else 'plain'}: "
        f"{us['herfast']:.0f} us per update,"
        f" dense {us['dense']:.0f} us, {us['dense'] / us['herfast']:.2f} times as long;"
        f" dense / its matrix products {us['dense'] / us['gemms']:.2f}"
    )
