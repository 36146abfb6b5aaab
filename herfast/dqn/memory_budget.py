"""Memory that an agent needs and that is available, before it is allocated."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from herfast.common.batches import n_words
from herfast.common.control_groups import control_groups, read_lines
from herfast.config import Config
from herfast.envs.base import GoalEnv
from herfast.networks.arrays import layout
from herfast.replay.hindsight_replay import check_capacity

_REMEDIES = {
    "trajectories": "lower max_steps or episodes_per_cycle",
    "replay buffer": "lower capacity",
    "minibatches": "lower updates_per_cycle or batch_size",
    "network": "lower hidden",
}
_UNITS = ("bytes", "kB", "MB", "GB", "TB", "PB", "EB", "ZB")
# Files of the limit and the usage of a control group, and the prefix of the names in its memory.stat.
_GROUP_FILES = (
    ("memory.max", "memory.current", ""),  # version 2
    ("memory.high", "memory.current", ""),  # above it, processes are slowed down
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_"),  # version 1
)
_RECLAIMABLE = ("inactive_file", "active_file", "slab_reclaimable")  # caches of files, names in memory.stat


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
    batch_size = config.batch_size
    n_envs = config.episodes_per_cycle
    sizes = (env.n_state_bits, env.n_goal_bits, config.hidden, env.n_actions)
    shape = layout(*sizes, dueling=config.dueling)
    n_output_parameters = (shape.last_width + 1) * env.n_actions

    # Online and target network, gradient, and Adam's two moments.
    parameters = 5 * (shape.output + n_output_parameters)
    if config.dueling:
        parameters += 3 * n_output_parameters  # output layers derived from the value and advantage layers
    # For minibatches the activations of two passes, or three with an advantage gap; for acting those of one
    # and the first pre-activations.
    passes = 2 + (config.advantage_gap > 0)
    activations = shape.stride * len(config.hidden) * (passes * batch_size + n_envs) + shape.width * n_envs
    # Q values, and 32 pre-activations.
    values = (env.n_actions + 32) * (batch_size + n_envs)
    first_layer_gradient = shape.n_inputs * (128 + 8 * n_words(batch_size))
    per_sample = 64 * batch_size
    lookup_tables = 2**16
    return 4 * (parameters + activations + values) + first_layer_gradient + per_sample + lookup_tables


def trajectory_bytes(env: GoalEnv) -> int:
    """Return the bytes of one trajectory of at most max_steps steps."""
    state_bytes = 8 * n_words(env.n_state_bits)
    goal_bytes = 8 * n_words(env.n_goal_bits)
    action_bytes = 2
    return env.max_steps * (state_bytes + action_bytes) + state_bytes + goal_bytes


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
            f"{format_bytes(available)} of memory is available and the agent needs {format_bytes(needed)}, "
            f"of which {format_bytes(parts[largest])} for the {largest}: {_REMEDIES[largest]}"
        )


def format_bytes(size: int) -> str:
    """Return a size with three significant digits, such as 12.3 MB."""
    exponent = 0
    while size >= 999.5 * 1000**exponent:
        exponent += 1
    return f"{size / 1000**exponent:.3g} {_UNITS[exponent]}"


def available_memory(root: Path = Path("/")) -> int | None:
    """Return the bytes available without swapping, or None if unknown.

    The system, the control groups of the process (containers, systemd, batch systems) and `ulimit` limit
    them. Caches of files count as available, since the system shrinks them on demand.

    Args:
        root: the folder that holds proc and sys.
    """
    sizes: list[int] = []
    for left in (_left_by_system, _left_by_control_groups, _left_by_ulimit):
        with suppress(ValueError, IndexError):  # a file in an unknown format
            sizes.extend(left(root))
    if not sizes:
        return None
    return max(0, min(sizes))


def _left_by_system(root: Path) -> Iterator[int]:
    """Yield the available memory of the machine, or without /proc all its memory."""
    for line in read_lines(root / "proc/meminfo"):
        if line.startswith("MemAvailable:"):
            yield int(line.split()[1]) * 1024
            return
    try:
        yield os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return


def _left_by_control_groups(root: Path) -> Iterator[int]:
    """Yield the bytes that each limited control group of the process leaves."""
    for folder in control_groups(root, "memory"):
        for limit, usage, prefix in _GROUP_FILES:
            try:
                left = int((folder / limit).read_text()) - int((folder / usage).read_text())
            except (OSError, ValueError):  # the other version, or without a limit, which reads "max"
                continue
            statistics = dict(line.split() for line in read_lines(folder / "memory.stat"))
            yield left + sum(int(statistics.get(prefix + name, 0)) for name in _RECLAIMABLE)


def _left_by_ulimit(root: Path) -> Iterator[int]:
    """Yield the bytes that `ulimit -v` and `ulimit -d` leave, on Linux."""
    for line in read_lines(root / "proc/self/statm"):
        pages = [int(number) for number in line.split()]
        for limit, used in ((resource.RLIMIT_AS, pages[0]), (resource.RLIMIT_DATA, pages[5])):
            allowed, _ = resource.getrlimit(limit)
            if allowed != resource.RLIM_INFINITY:
                yield allowed - used * os.sysconf("SC_PAGE_SIZE")
