"""Memory that an agent needs, estimated and checked before it is allocated."""

from __future__ import annotations

import os
from pathlib import Path

from herfast.common.batches import n_words
from herfast.config import Config
from herfast.envs.base import GoalEnv
from herfast.replay.hindsight_replay import check_capacity

_REMEDIES = {
    "trajectories": "lower max_steps or episodes_per_cycle",
    "replay buffer": "lower capacity",
    "minibatches": "lower updates_per_cycle or batch_size",
    "network": "lower hidden",
}


def estimate_memory(env: GoalEnv, config: Config) -> dict[str, int]:
    """Estimate the memory that an agent allocates.

    Args:
        env: the environment, which gives the numbers of bits, actions and steps.
        config: the settings of the agent.

    Returns:
        Bytes of the trajectories of a cycle, the replay buffer, the minibatches of a cycle, and the network.
    """
    state_bytes = 8 * n_words(env.n_state_bits)
    goal_bytes = 8 * n_words(env.n_goal_bits)
    n_transitions = config.updates_per_cycle * config.batch_size
    return {
        "trajectories": config.episodes_per_cycle * trajectory_bytes(env),
        "replay buffer": config.capacity * (state_bytes + goal_bytes + 8),
        "minibatches": n_transitions * (2 * state_bytes + goal_bytes + 11),
        "network": _network_bytes(env, config),
    }


def _network_bytes(env: GoalEnv, config: Config) -> int:
    """Return the bytes of parameters and work arrays, most of which are float32."""
    n_inputs = env.n_state_bits + env.n_goal_bits
    widths = [-(-width // 32) * 32 for width in config.hidden]  # padded as in the kernels
    batch_size = config.batch_size
    n_envs = config.episodes_per_cycle

    layer_inputs = n_inputs
    n_hidden_parameters = 0
    for width in widths:
        n_hidden_parameters += (layer_inputs + 1) * width
        layer_inputs = width
    n_output_parameters = (layer_inputs + 1) * env.n_actions

    # Online and target network, gradient, and Adam's two moments.
    parameters = 5 * (n_hidden_parameters + n_output_parameters)
    if config.dueling:
        parameters += 3 * n_output_parameters  # output layers derived from the value and advantage layers
    # For minibatches the activations of three passes; for acting those of one and the first pre-activations.
    activations = max(widths) * len(widths) * (3 * batch_size + n_envs) + widths[0] * n_envs
    # Q values, and 32 pre-activations.
    values = (env.n_actions + 32) * (batch_size + n_envs)
    first_layer_gradient = n_inputs * (128 + 8 * n_words(batch_size))
    per_sample = 64 * batch_size
    lookup_tables = 2**16
    return 4 * (parameters + activations + values) + first_layer_gradient + per_sample + lookup_tables


def trajectory_bytes(env: GoalEnv) -> int:
    """Return the bytes of one trajectory of at most max_steps steps."""
    state_bytes = 8 * n_words(env.n_state_bits)
    goal_bytes = 8 * n_words(env.n_goal_bits)
    action_bytes = 2
    return env.max_steps * (state_bytes + action_bytes) + state_bytes + goal_bytes


def available_memory() -> int | None:
    """Return the bytes available without swapping, or None if unknown.

    Both the system and the container limit them.
    """
    sizes = []
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                sizes.append(int(line.split()[1]) * 1024)
        limit = Path("/sys/fs/cgroup/memory.max").read_text()
        used = Path("/sys/fs/cgroup/memory.current").read_text()
        sizes.append(int(limit) - int(used))
    except (OSError, ValueError):  # not Linux, no control group, or one without a limit, which reads "max"
        pass
    if sizes:
        return max(0, min(sizes))
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def check_memory(env: GoalEnv, config: Config, acting_only: bool = False) -> None:
    """Check that the agent fits into memory and an episode into the replay buffer.

    Args:
        env: the environment.
        config: the settings of the agent.
        acting_only: leave out the replay buffer and the minibatches, which are allocated for training.

    Raises:
        ValueError: the capacity is below max_steps + 1.
        MemoryError: more memory is needed than is available. The message names the largest part.
    """
    check_capacity(config.capacity, env.max_steps)
    parts = estimate_memory(env, config)
    if acting_only:
        del parts["replay buffer"]
        del parts["minibatches"]
    needed = sum(parts.values())
    available = available_memory()
    if available is not None and needed > available:
        largest = max(parts, key=lambda name: parts[name])
        raise MemoryError(
            f"{available / 1e9:,.1f} GB of memory is available and the agent needs {needed / 1e9:,.1f} GB, "
            f"of which {parts[largest] / 1e9:,.1f} GB for the {largest}: {_REMEDIES[largest]}"
        )
