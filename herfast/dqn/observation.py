"""Conversion of Gymnasium observations to packed states and goals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from herfast.common.batches import Words
from herfast.common.bits import pack_named
from herfast.common.validation import as_array, check_zero_or_one
from herfast.config import Evaluator
from herfast.envs.base import GoalEnv, stateful
from herfast.networks.q_network import QNetwork

_KEYS = ("observation", "desired_goal")


def greedy_actions(env: GoalEnv, network: QNetwork, observation: Mapping[str, Any], which: Evaluator) -> Any:
    """Return the greedy action for an observation, int64, or int64[E] for a batch.

    Args:
        env: the environment, whose own numbers of actions are returned.
        network: the Q-network.
        observation: as `pack_observation` takes it.
        which: "online" or "target", the network that acts.
    """
    states, goals, is_batch = pack_observation(env, observation)
    actions = network.act(states, goals, which)
    sub_envs = stateful(env)
    if sub_envs is not None:
        actions = sub_envs.own_actions(actions)
    if is_batch:
        return actions
    return actions[0]


def pack_observation(env: GoalEnv, observation: Mapping[str, Any]) -> tuple[Words, Words, bool]:
    """Validate and pack an observation.

    A StatefulEnv packs its own observations.

    Args:
        env: the environment, which gives the numbers of bits.
        observation: "observation" and "desired_goal", each an array [n] or, for a batch, [E, n] of 0 and 1,
            as booleans, integers or floats.

    Returns:
        The states [E, Ws], the goals [E, Wg], and True for a batch. For a single observation E is 1.

    Raises:
        TypeError, ValueError: a key is missing, or an array has the wrong shape, dtype or values.
    """
    sub_envs = stateful(env)
    if sub_envs is not None:
        return sub_envs.pack_observation(observation)
    if not isinstance(observation, Mapping):
        raise _key_error(type(observation).__name__)
    if not set(_KEYS) <= observation.keys():
        raise _key_error(str(list(observation)))
    state, goal = (as_array(name, observation[name]) for name in _KEYS)
    for name, array, n_bits in (
        ("observation", state, env.n_state_bits),
        ("desired_goal", goal, env.n_goal_bits),
    ):
        if array.ndim not in (1, 2) or array.shape[-1] != n_bits:
            raise ValueError(f"{name} must have shape ({n_bits},) or (E, {n_bits}), got {array.shape}")
    if state.ndim != goal.ndim:
        raise ValueError(
            "observation and desired_goal must both be single or both be batches, "
            f"got shapes {state.shape} and {goal.shape}"
        )
    is_batch = state.ndim == 2
    if is_batch and len(state) != len(goal):
        raise ValueError(
            f"observation and desired_goal must be equally many, got {len(state)} and {len(goal)}"
        )
    return _pack("observation", state), _pack("desired_goal", goal), is_batch


def _pack(name: str, bits: NDArray[Any]) -> Words:
    """Pack bits [n] or [E, n] of any numeric dtype to words [E, W]."""
    if bits.dtype.kind not in "biuf":
        raise TypeError(f"{name} must be numbers, 0 or 1, got dtype {bits.dtype}")
    if bits.dtype.kind == "f":
        check_zero_or_one(name, bits)
        bits = bits.astype(np.uint8)
    return pack_named(name, np.atleast_2d(bits))


def _key_error(got: str) -> TypeError:
    return TypeError(f"the observation must be a dict with observation and desired_goal, got {got}")
