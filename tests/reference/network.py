"""Reference Q-network in plain dense NumPy, of any dtype.

It does not import herfast. Parameters are a dict of arrays with the names of QNetwork.parameters.
"""

from __future__ import annotations

import numpy as np

BETA1 = 0.9
BETA2 = 0.999
ADAM_EPSILON = 1e-8


def unpack(words, n_bits):
    """Unpack uint64[..., W] to int64[..., n_bits] of 0 and 1."""
    bits = (words[..., :, None] >> np.arange(64, dtype=np.uint64)) & np.uint64(1)
    return bits.reshape(*words.shape[:-1], 64 * words.shape[-1])[..., :n_bits].astype(np.int64)


def inputs(states, goals, n_state_bits, n_goal_bits, dtype, encoding="signed"):
    """Return packed states, then goals, as inputs +-1 or 0 and 1."""
    bits = np.concatenate([unpack(states, n_state_bits), unpack(goals, n_goal_bits)], axis=-1)
    return (bits if encoding == "binary" else 2 * bits - 1).astype(dtype)


def initial(n_bits, config, rng):
    """Draw the initial parameters of QNetwork, in the order of their names.

    They are float64 arrays, rounded to float32.
    """
    params, fan_in = {}, 2 * n_bits

    def draw(name, *shape):
        params[name] = (rng.uniform(-1, 1, shape) / np.sqrt(fan_in)).astype(np.float32).astype(np.float64)

    for layer, width in enumerate(config["hidden"], 1):
        if layer == 1 and config["init"] == "sparse":
            params["hidden1.weight"] = sparse(2 * n_bits, width, rng)
            if config["encoding"] == "binary":
                params["hidden1.weight"] = np.abs(params["hidden1.weight"])
        else:
            draw(f"hidden{layer}.weight", fan_in, width)
        draw(f"hidden{layer}.bias", width)
        fan_in = width
    name = "advantage" if config["dueling"] else "output"
    draw(f"{name}.weight", n_bits, fan_in)
    draw(f"{name}.bias", n_bits)
    if config["dueling"]:
        draw("value.weight", fan_in)
        draw("value.bias")
    return params


def sparse(n_inputs, units, rng):
    """Draw first-layer weights: one input per unit, in random orders of all inputs.

    In the first of these orders each input has a random sign, and in each order the opposite of the last one.
    """
    weights = np.zeros((n_inputs, units))
    inputs = [i for _ in range(0, units, n_inputs) for i in rng.permutation(n_inputs)]
    signs = rng.choice([-1.0, 1.0], n_inputs)
    for unit in range(units):
        weights[inputs[unit], unit] = signs[inputs[unit]]
        signs[inputs[unit]] *= -1
    return weights


def depth(params):
    """Return the number of hidden layers."""
    return sum(name.startswith("hidden") and name.endswith("weight") for name in params)


def forward(params, x):
    """Return the pre-activations of the hidden layers, and Q [B, A]."""
    zs, h = [], x
    for layer in range(1, depth(params) + 1):
        zs.append(h @ params[f"hidden{layer}.weight"] + params[f"hidden{layer}.bias"])
        h = np.where(zs[-1] <= 0, 0, zs[-1])
    if "output.weight" in params:
        return zs, h @ params["output.weight"].T + params["output.bias"]
    advantage = h @ params["advantage.weight"].T + params["advantage.bias"]
    value = h @ params["value.weight"] + params["value.bias"]
    return zs, value[:, None] + advantage - advantage.mean(axis=1, keepdims=True)


def targets(online, target, batch, config):
    """Return the targets y: bootstrap, then clip, hindsight bound, advantage gap.

    `batch` is a dict of arrays with dense inputs x and x_next.
    """
    rows = np.arange(len(batch["actions"]))
    q_next = forward(target, batch["x_next"])[1]
    chooser = forward(online, batch["x_next"])[1] if config["double_q"] else q_next
    bootstrap = q_next[rows, chooser.argmax(axis=1)]
    mask = np.where(batch["terminated"] & config["mask_terminal"], 0.0, 1.0)
    y = batch["rewards"] + config["gamma"] * mask * bootstrap
    worst = -1 / (1 - config["gamma"])
    if config["clip_targets"]:
        y = np.minimum(np.maximum(y, worst), 0)
    if config["hindsight_bound"]:
        j = batch["steps_to_goal"]
        bound = worst * (1 - config["gamma"] ** (j - 1.0))
        y = np.where(j > 0, np.maximum(y, bound), y)
    if config["advantage_gap"]:
        q = forward(target, batch["x"])[1]
        y = y - config["advantage_gap"] * (q.max(axis=1) - q[rows, batch["actions"]])
    return y


def loss(params, x, actions, y):
    """Return mean (Q(s, a) - y)^2."""
    q = forward(params, x)[1]
    return np.mean((q[np.arange(len(actions)), actions] - y) ** 2)


def gradient(params, x, actions, y):
    """Return the gradient of the loss by all parameters, by the chain rule."""
    rows = np.arange(len(actions))
    zs, q = forward(params, x)
    d_q = np.zeros_like(q)
    d_q[rows, actions] = 2 * (q[rows, actions] - y) / len(actions)
    hs = [x] + [np.where(z <= 0, 0, z) for z in zs]
    d = {}
    if "output.weight" in params:
        d["output.weight"], d["output.bias"] = d_q.T @ hs[-1], d_q.sum(axis=0)
        d_h = d_q @ params["output.weight"]
    else:
        d_value, d_advantage = d_q.sum(axis=1), d_q - d_q.mean(axis=1, keepdims=True)
        d["advantage.weight"], d["advantage.bias"] = d_advantage.T @ hs[-1], d_advantage.sum(axis=0)
        d["value.weight"], d["value.bias"] = d_value @ hs[-1], d_value.sum()
        d_h = d_advantage @ params["advantage.weight"] + np.outer(d_value, params["value.weight"])
    for layer in range(len(zs), 0, -1):
        d_z = np.where(zs[layer - 1] <= 0, 0, d_h)
        d[f"hidden{layer}.weight"], d[f"hidden{layer}.bias"] = hs[layer - 1].T @ d_z, d_z.sum(axis=0)
        d_h = d_z @ params[f"hidden{layer}.weight"].T
    return d


def adam(params, d_params, moment1, moment2, learning_rate, step):
    """Make one step of Adam in place (Kingma and Ba 2015, algorithm 1).

    `step` counts from 1.
    """
    for name, d in d_params.items():
        moment1[name] = BETA1 * moment1[name] + (1 - BETA1) * d
        moment2[name] = BETA2 * moment2[name] + (1 - BETA2) * d**2
        m, v = moment1[name] / (1 - BETA1**step), moment2[name] / (1 - BETA2**step)
        params[name] = params[name] - learning_rate * m / (np.sqrt(v) + ADAM_EPSILON)


def update(online, target, moment1, moment2, batch, config, learning_rate, step):
    """Make one update of all dicts in place, and return the loss and the gradient."""
    y = targets(online, target, batch, config)
    before = loss(online, batch["x"], batch["actions"], y)
    d = gradient(online, batch["x"], batch["actions"], y)
    adam(online, d, moment1, moment2, learning_rate, step)
    if step % config["target_update"] == 0:
        for name in target:
            target[name] = config["polyak"] * target[name] + (1 - config["polyak"]) * online[name]
    return before, d
