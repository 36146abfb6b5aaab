"""Updates of preset `fast` compared with JAX.

JAX runs all updates of a cycle in one jitted scan. Run with `pytest bench/test_beyond.py --benchmark-only
-s`. Both use one core, the same initial weights and the same minibatches. Their losses are compared before
they are timed. Times are medians of interleaved windows.
"""

import os

os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")

import numpy as np
import pytest
from learning import BATCH, UPDATES, WINDOWS, minibatches, seconds

from herfast import BitFlip, Config, QNetwork

jax = pytest.importorskip("jax")
jnp = jax.numpy
BETA1 = 0.9
BETA2 = 0.999
EPSILON = 1e-8


def q_of(params, x):
    h = jax.nn.relu(x @ params["hidden1.weight"] + params["hidden1.bias"])
    return h @ params["output.weight"].T + params["output.bias"]


def loss_of(params, target, batch, config):
    """Return the loss of Double DQN with hindsight bound and advantage gap.

    The target network is evaluated once for states and next states together.
    """
    rows, gamma = jnp.arange(BATCH), config.gamma
    q_target = q_of(target, jnp.concatenate([batch["x"], batch["x_next"]]))
    best = q_of(params, batch["x_next"]).argmax(axis=1)
    y = batch["rewards"] + gamma * ~batch["terminated"] * q_target[BATCH:][rows, best]
    bound = -(1 - gamma ** (batch["steps_to_goal"] - 1.0)) / (1 - gamma)
    y = jnp.where(batch["steps_to_goal"] > 0, jnp.maximum(y, bound), y)
    gap = q_target[:BATCH].max(axis=1) - q_target[rows, batch["actions"]]
    y = jax.lax.stop_gradient(y - config.advantage_gap * gap)
    return jnp.mean((q_of(params, batch["x"])[rows, batch["actions"]] - y) ** 2)


def scan_of(config):
    """Return a jitted function of params, target and batches that returns the losses."""

    def update(carry, batch):
        params, target, m, v, count, rate = carry
        loss, d = jax.value_and_grad(loss_of)(params, target, batch, config)
        m = jax.tree.map(lambda m, d: BETA1 * m + (1 - BETA1) * d, m, d)
        v = jax.tree.map(lambda v, d: BETA2 * v + (1 - BETA2) * d * d, v, d)
        root = jnp.sqrt(1 - BETA2**count)
        step = rate * root / (1 - BETA1**count)
        params = jax.tree.map(lambda p, m, v: p - step * m / (jnp.sqrt(v) + EPSILON * root), params, m, v)
        return (params, target, m, v, count + 1, rate), loss

    @jax.jit
    def fit(params, target, batches):
        zeros = jax.tree.map(jnp.zeros_like, params)
        return jax.lax.scan(update, (params, target, zeros, zeros, 1.0, config.learning_rate), batches)[1]

    return fit


@pytest.fixture(autouse=True, scope="module")
def one_core():
    """Pin this process to one core, before JAX starts its threads.

    The flags of JAX do not limit it to one core.
    """
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("this system cannot pin a process to a core")
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})
    yield
    os.sched_setaffinity(0, cores)


@pytest.mark.parametrize("n_bits", [20, 50, 100])
def test_the_recipe_in_jax(benchmark, n_bits):
    # Both omit the decay of the learning rate and the target update, whose times are negligible.
    config = Config.preset("fast", BitFlip(n_bits), learning_rate_end=None, target_update=UPDATES)
    network = QNetwork(n_bits, config=config, seed=0)
    batches, dense_batches = minibatches(np.random.default_rng(0), n_bits)
    stacked = {name: jnp.stack([batch[name] for batch in dense_batches]) for name in dense_batches[0]}
    params, target = (
        {k: jnp.array(v) for k, v in network.parameters(w).items()} for w in ("online", "target")
    )
    fit = scan_of(config)
    losses = network.fit(batches)
    # Only the first losses, since rounding may later change an argmax, after which the networks differ.
    np.testing.assert_allclose(losses[:10], fit(params, target, stacked)[:10], rtol=1e-3)
    times = {"herfast": [], "jax": []}
    for _ in range(WINDOWS):
        times["herfast"].append(seconds(lambda: network.fit(batches)))
        times["jax"].append(seconds(lambda: fit(params, target, stacked).block_until_ready()))
    benchmark.pedantic(network.fit, (batches,), rounds=5, warmup_rounds=1)
    us = {name: float(np.median(values)) / UPDATES * 1e6 for name, values in times.items()}
    benchmark.extra_info.update(
        us_per_update=us["herfast"], jax_us=us["jax"], ratio_to_jax=us["jax"] / us["herfast"]
    )
    print(
        f"\n{n_bits} bits, fast: {us['herfast']:.0f} us per update, JAX {us['jax']:.0f} us, "
        f"{us['jax'] / us['herfast']:.2f} times as long"
    )
