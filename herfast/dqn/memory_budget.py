"""How much memory an agent needs, checked before it is allocated."""

from __future__ import annotations

import os
from pathlib import Path

from herfast.common.batches import n_words
from herfast.config import Config
from herfast.envs.base import GoalEnv

_REMEDIES = {
    "trajectories": "lower max_steps or episodes_per_cycle",
    "ring": "lower capacity",
    "minibatches": "lower updates_per_cycle or batch_size",
    "network": "lower hidden",
}


def estimate_memory(env: GoalEnv, config: Config) -> dict[str, int]:
    """Bytes that an agent allocates: a cycle's trajectories, the ring, a cycle's minibatches, the network."""
    state, goal = 8 * n_words(env.n_state_bits), 8 * n_words(env.n_goal_bits)
    inputs, parameters = env.n_state_bits + env.n_goal_bits, 0
    widths = [-(-width // 32) * 32 for width in config.hidden]  # as the kernels pad them
    for width in widths:
        parameters, inputs = parameters + (inputs + 1) * width, width
    head = (inputs + 1) * env.n_actions
    batch, n_envs, depth = config.batch_size, config.episodes_per_cycle, len(widths)
    return {
        "trajectories": n_envs * trajectory_bytes(env),
        "ring": config.capacity * (state + goal + 8),
        "minibatches": config.updates_per_cycle * config.batch_size * (2 * state + goal + 11),
        # online, target, gradient and two moments; three heads of a dueling network; activations and values; tables;
        # what the first layer's gradient needs
        "network": 4 * (5 * (parameters + head) + (3 * head if config.dueling else 0))
        + 4 * (max(widths) * depth * (3 * batch + n_envs) + widths[0] * n_envs)
        + 4 * (env.n_actions + 32) * (batch + n_envs)
        + 64 * batch
        + 2**16
        + (env.n_state_bits + env.n_goal_bits) * (128 + 8 * n_words(batch)),
    }


def trajectory_bytes(env: GoalEnv) -> int:
    """Bytes of one trajectory of at most max_steps steps."""
    state, goal = 8 * n_words(env.n_state_bits), 8 * n_words(env.n_goal_bits)
    return env.max_steps * (state + 2) + state + goal


def available_memory() -> int | None:
    """Bytes of memory that can be had without swapping, in the system and in a container; None where nobody tells."""
    sizes = []
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                sizes.append(int(line.split()[1]) * 1024)
        most, used = (Path(f"/sys/fs/cgroup/memory.{name}").read_text() for name in ("max", "current"))
        sizes.append(int(most) - int(used))
    except (OSError, ValueError):  # no Linux, no control group, or one without a limit, which is called "max"
        pass
    if sizes:
        return max(0, min(sizes))
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def check_memory(env: GoalEnv, config: Config) -> None:
    """Raise ValueError if the ring cannot hold an episode.

    Raise MemoryError, naming the largest part and what to lower, if an agent needs more than is available.
    """
    if config.capacity <= env.max_steps:
        raise ValueError(f"capacity must be at least max_steps + 1 = {env.max_steps + 1:,}, got {config.capacity:,}")
    parts, free = estimate_memory(env, config), available_memory()
    needed = sum(parts.values())
    if free is not None and needed > free:
        largest = max(parts, key=lambda name: parts[name])
        raise MemoryError(
            f"{free / 1e9:,.1f} GB of memory is available and the agent needs {needed / 1e9:,.1f} GB; "
            f"{parts[largest] / 1e9:,.1f} GB of that for the {largest}: {_REMEDIES[largest]}"
        )
