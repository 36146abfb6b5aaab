"""Check of a Gymnasium environment: a few random episodes before training."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from herfast.common.batches import Encoding
from herfast.common.seeding import Role, stream
from herfast.common.validation import check_zero_or_one, short_repr
from herfast.envs.gym_task.goal_rewards import GoalRewards, Infos, Rewards
from herfast.envs.gym_task.infos import as_json
from herfast.envs.gym_task.observations import Bits, Packings
from herfast.envs.gym_task.packing import UnsupportedEnvError
from herfast.envs.gym_task.sub_envs import SubEnvs

_N_STEPS = 256  # transitions to check
_MAX_STEPS = 4_096  # steps of all sub-environments in which they are collected
_SIGNED_SHARE = (0.35, 0.65)  # of bits that are 1, for signed inputs


class Facts(NamedTuple):
    """Properties of an environment that the check finds."""

    is_same: bool  # the observation always equals the achieved goal
    encoding: Encoding
    has_unit_rewards: bool  # 0 where a goal is reached, and otherwise -1 or 0
    ends_at_goals: bool  # compute_terminated is True for every goal that is achieved


class _Transition(NamedTuple):
    bits: Bits  # of the next observation, one row each
    reward: float
    info: dict[str, Any]


def check_contract(
    name: str, sub_envs: SubEnvs, packings: Packings, functions: GoalRewards, copy_info_dict: bool
) -> Facts:
    """Check in random episodes that an environment suits training, and describe it.

    Args:
        name: The environment, for error messages.
        sub_envs: The environment.
        packings: Packings of its observations.
        functions: Its `compute_reward`. `extra_axis` is set if batches need it.
        copy_info_dict: Pass each step's info to it instead of an empty one.

    Raises:
        UnsupportedEnvError: desired_goal changes within an episode.
        TypeError, ValueError: An observation is not in its space, `compute_reward` returns other rewards
            than `step`, or an info to copy has no form in JSON.
    """
    transitions = list(_play(name, sub_envs, packings))
    bits = Bits(*(np.concatenate(parts) for parts in zip(*(t.bits for t in transitions), strict=True)))
    for packing, part in zip(packings, bits, strict=True):
        check_zero_or_one(packing.name, part)
    own = np.array([transition.reward for transition in transitions], np.float32)
    infos: list[dict[str, Any]] = [{} for _ in transitions]
    if copy_info_dict:
        infos = [as_json(transition.info) for transition in transitions]
    hint = ""
    if not copy_info_dict and any(transition.info for transition in transitions):
        hint = "; if it needs the infos of steps, give GymnasiumTask copy_info_dict=True"
    _check_single_rewards(name, functions, bits, own, infos, hint)
    _check_batch(name, functions, bits, own, infos)
    success = functions.rewards(bits.desired, bits.desired, infos)
    others = functions.rewards(bits.achieved, np.roll(bits.desired, 1, axis=0), infos)
    has_unit_rewards = bool(np.isin([*own, *others], (0, -1)).all() and (success == 0).all())
    ends_at_goals = functions.has_terminated
    if functions.has_terminated:
        ends_at_goals = bool(functions.terminated(bits.desired, bits.desired, infos).all())
    is_same = packings.observation.space == packings.achieved.space
    is_same = is_same and bool((bits.observation == bits.achieved).all())
    encoding: Encoding = "binary"
    if all(packing.is_binary for packing in packings) and _is_balanced(bits):
        encoding = "signed"
    return Facts(is_same, encoding, has_unit_rewards, ends_at_goals)


def _is_balanced(bits: Bits) -> bool:
    """Return whether about half of the bits are 1.

    Bits that are always the same are not counted, such as those of a goal that never changes.
    """
    columns = np.concatenate(bits, axis=1)
    changing = columns[:, columns.min(axis=0) != columns.max(axis=0)]
    low, high = _SIGNED_SHARE
    return changing.size > 0 and bool(low <= changing.mean() <= high)


def _play(name: str, sub_envs: SubEnvs, packings: Packings) -> Iterator[_Transition]:
    """Yield the transitions of random episodes.

    All seeds are fixed. Actions are not drawn as by a generator that an environment seeds.
    """
    rng = stream(0, Role.TEST)
    n_envs = sub_envs.num_envs
    space = sub_envs.action_space
    limit = sub_envs.max_steps or _N_STEPS
    seeds: list[int] | None = list(range(n_envs))
    n_found = 0
    n_steps = 0
    while n_found < _N_STEPS and n_steps < _MAX_STEPS:
        before = packings.encode(sub_envs.reset(seeds)).desired.copy()
        seeds = None
        active: NDArray[np.bool_] = np.ones(n_envs, np.bool_)
        for _ in range(limit):
            step = sub_envs.step(space.start + rng.integers(0, space.n, n_envs))
            bits = packings.next_bits(step)
            n_steps += 1
            for e in np.flatnonzero(active).tolist():
                if (bits.desired[e] != before[e]).any():
                    got = f"{name}, which changes it"
                    raise UnsupportedEnvError("the same desired_goal throughout an episode", got)
                row = Bits(*(part[e : e + 1].copy() for part in bits))  # an environment may reuse arrays
                yield _Transition(row, float(step.rewards[e]), sub_envs.info(step, e))
                n_found += 1
            active &= ~step.ended
            if not active.any() or n_found >= _N_STEPS:
                break


def _check_single_rewards(
    name: str, functions: GoalRewards, bits: Bits, own: Rewards, infos: Infos, hint: str
) -> None:
    """Compare the reward of each step with that of `compute_reward` for one goal."""
    for i, (reward, info) in enumerate(zip(own, infos, strict=True)):
        row = slice(i, i + 1)
        try:
            computed = functions.reward_of_one(bits.achieved[row], bits.desired[row], info)
        except Exception as error:  # whatever the environment raises
            got = _described(error)
        else:
            if np.float32(computed) == reward:
                continue
            got = f"{computed:g}"
        raise ValueError(
            f"compute_reward of {name} must return the reward of step for the next achieved_goal, "
            f"got {got} instead of {reward:g}{hint}"
        )


def _check_batch(name: str, functions: GoalRewards, bits: Bits, own: Rewards, infos: Infos) -> None:
    """Compare the rewards of the steps with those of `compute_reward` for a batch."""
    problem = _batch_problem(functions, bits, own, infos)
    if problem is not None and functions.is_integer:
        functions.extra_axis = True
        if _batch_problem(functions, bits, own, infos) is None:
            return
    if problem is not None:
        raise ValueError(
            f"compute_reward of {name} must return the same rewards for a batch of goals as for single ones, "
            f"{problem}"
        )


def _batch_problem(functions: GoalRewards, bits: Bits, own: Rewards, infos: Infos) -> str | None:
    """Return what is wrong with the rewards of a batch, or None."""
    try:
        rewards = functions.rewards(bits.achieved, bits.desired, infos)
    except Exception as error:  # whatever the environment raises
        return f"got {_described(error)}"
    wrong = np.flatnonzero(rewards != own)
    if not wrong.size:
        return None
    return f"got {rewards[wrong[0]]:g} instead of {own[wrong[0]]:g} for {wrong.size} of {len(own)} goals"


def _described(error: Exception) -> str:
    """Return an error in one line."""
    return f"{type(error).__name__}: {short_repr(str(error))}"
