"""Observations of Gymnasium goal environments as bits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import gymnasium

from herfast.common.validation import short_repr
from herfast.envs.gym_task.packing import (
    SUPPORTED,
    BitArray,
    Packing,
    UnsupportedEnvError,
    batch_of_one,
    not_in_space,
)
from herfast.envs.gym_task.sub_envs import Step

PARTS = ("observation", "achieved_goal", "desired_goal")
MAX_ACTIONS = 65_536
_NEEDED = f"Discrete actions, and {SUPPORTED}"


class Bits(NamedTuple):
    """The parts of E observations as bits."""

    observation: BitArray  # [E, n]
    achieved: BitArray  # [E, G]
    desired: BitArray  # [E, G]


class Packings(NamedTuple):
    """The packing of each part of an observation."""

    observation: Packing
    achieved: Packing
    desired: Packing

    def encode(self, observations: Any) -> Bits:
        """Return a batch of observations as bits."""
        return Bits(*(pack.encode(observations[pack.name]) for pack in self))

    def next_bits(self, step: Step) -> Bits:
        """Return the observations that a step led to, as bits."""
        return Bits(*(next_part(packing, step) for packing in self))


def next_part(packing: Packing, step: Step) -> BitArray:
    """Return one part of the observations that a step led to, as bits [E, n]."""
    bits = packing.encode(step.observations[packing.name])
    if step.finals:
        bits = bits.copy()
        for e, observation in step.finals.items():
            bits[e] = packing.encode(observation[packing.name])[0]
    return bits


def packings_of(env: Any) -> Packings:
    """Return the packings of an environment's observations.

    Raises:
        UnsupportedEnvError: `env` is no Gymnasium environment, or has other spaces.
    """
    if not isinstance(env, (gymnasium.Env, gymnasium.vector.VectorEnv)):
        raise UnsupportedEnvError(f"the class of a Gymnasium environment, with {_NEEDED}", short_repr(env))
    if isinstance(env, gymnasium.vector.VectorEnv):
        return packings_in(env.single_observation_space, env.single_action_space)
    return packings_in(env.observation_space, env.action_space)


def packings_in(space: Any, actions: Any) -> Packings:
    """Return the packings of observations.

    Args:
        space: Space of a single observation.
        actions: Space of a single action.

    Raises:
        UnsupportedEnvError: The spaces are not supported.
    """
    if not isinstance(actions, gymnasium.spaces.Discrete) or actions.n > MAX_ACTIONS:
        raise UnsupportedEnvError(_NEEDED, f"the action space {actions}")
    if not (isinstance(space, gymnasium.spaces.Dict) and set(PARTS) <= space.keys()):
        raise UnsupportedEnvError(_NEEDED, f"the observation space {short_repr(space)}")
    if space["achieved_goal"] != space["desired_goal"]:
        got = f"{space['achieved_goal']} and {space['desired_goal']}"
        raise UnsupportedEnvError("the same space for achieved_goal and desired_goal", got)
    return Packings(*(Packing(part, space[part]) for part in PARTS))


def given_bits(packings: Packings, space: Any, observation: object) -> tuple[Bits, bool]:
    """Return the bits of an observation that a user gives, and True for a batch.

    Args:
        packings: Packings of the environment's observations.
        space: Space of a single observation.
        observation: A single one, or a batch as a vector environment returns it.

    Raises:
        TypeError, ValueError: A part is missing or not in its space.
    """
    if not (isinstance(observation, Mapping) and set(PARTS) <= observation.keys()):
        raise TypeError(
            f"the observation must be a dict with {', '.join(PARTS)}, got {short_repr(observation)}"
        )
    parts = gymnasium.spaces.Dict({part: space[part] for part in PARTS})
    given = {part: observation[part] for part in PARTS}
    others = [part for part in PARTS if not space[part].contains(given[part])]
    is_batch = len(others) == len(PARTS)
    if not is_batch:
        if others:
            raise not_in_space(others[0], space[others[0]], given[others[0]])
        given = batch_of_one(parts, given)
    bits = packings.encode(given)
    if len({len(part) for part in bits}) != 1:
        raise ValueError(
            f"the parts of the observation must be equally many, got {', '.join(str(len(b)) for b in bits)}"
        )
    return bits, is_batch
