"""Adapter of a Gymnasium goal environment to the packed environment of an agent."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from herfast.common.batches import Encoding, Minibatches, Origins, Outcomes, Words, n_words
from herfast.common.bits import pack_bits, unpack_bits
from herfast.common.validation import check_bool, short_repr
from herfast.envs.base import Spec
from herfast.envs.gym_task.contract import Facts, check_contract
from herfast.envs.gym_task.goal_rewards import GoalRewards
from herfast.envs.gym_task.identity import Identity, identify, rebuild
from herfast.envs.gym_task.infos import as_json
from herfast.envs.gym_task.observations import Bits, given_bits, next_part, packings_in, packings_of
from herfast.envs.gym_task.packing import MAX_BITS, UnsupportedEnvError
from herfast.envs.gym_task.sub_envs import Step, SubEnvs

MAX_STEPS = 65_535  # of an episode; the ring stores 16 bits


class GymnasiumTask:
    """Task of an agent made of a Gymnasium goal environment, single or vector.

    `Agent(env)` makes it without options. An observation is a dict of `observation`, `achieved_goal` and
    `desired_goal`, each MultiBinary, Discrete, MultiDiscrete, or a Dict or Tuple of them. Actions are
    Discrete. The environment has `compute_reward(achieved_goal, desired_goal, info)`, also for batches.

    A few random episodes are played to check that `compute_reward` returns the rewards of `step`. It then
    gives the rewards of all minibatches, with empty infos. An `action_mask` in the info is not used.

    A goal is reached where the reward equals `compute_reward(goal, goal, info)`. An episode succeeds if its
    last `info["is_success"]` is true, or without this entry, if its goal was reached.

    The environment belongs to the agent from then on. It is not closed.

    Args:
        env: The environment.
        deterministic: A promise that an action in a state always leads to the same state. With rewards of -1,
            and 0 at the goal, it allows `hindsight_bound`.
        terminated_from_goal: With a hindsight goal, a transition is terminated if it reaches the goal, or if
            the environment terminated it without success. With False it keeps the environment's termination.
            Neither matters if the environment has `compute_terminated`, which is used instead.
        copy_info_dict: Store the info of each step, as JSON, and pass it to `compute_reward`.

    Attributes:
        n_state_bits: Number of bits of a state, S: those of the achieved goal, and those of the observation
            unless both are always equal.
        n_goal_bits: Number of bits of a goal, G.
        n_actions: Number of actions, A.
        max_steps: Step limit of an episode: that of the environment, or 65,535.
        num_envs: Number of sub-environments.
        encoding: Network's inputs for a bit, "signed" where all parts are MultiBinary and 35 to 65 % of the
            bits that change are 1 in the check, otherwise "binary".
        seconds: Time that the environment itself took.

    Raises:
        TypeError: The environment is not supported. The message says what is.
        ValueError: The environment does something else than it promises.
    """

    holds_state = True

    def __init__(
        self,
        env: object,
        *,
        deterministic: bool = False,
        terminated_from_goal: bool = True,
        copy_info_dict: bool = False,
        _module: str | None = None,  # imported before the environment was made
    ) -> None:
        self.deterministic = check_bool("deterministic", deterministic)
        self.terminated_from_goal = check_bool("terminated_from_goal", terminated_from_goal)
        self.copies_infos = check_bool("copy_info_dict", copy_info_dict)
        if isinstance(env, SubEnvs):  # of another library
            self._packings = packings_in(env.observation_space, env.action_space)
            self._sub_envs = env
        else:
            self._packings = packings_of(env)
            self._sub_envs = SubEnvs(env)
        self.env = self._sub_envs.env
        self._start = int(self._sub_envs.action_space.start)
        self.n_actions = int(self._sub_envs.action_space.n)
        self.n_goal_bits = self._packings.achieved.n_bits
        self.max_steps = min(self._sub_envs.max_steps or MAX_STEPS, MAX_STEPS)
        self.num_envs = self._sub_envs.num_envs
        self._identity: Identity = identify(self._sub_envs.identified, _module)
        self._functions = GoalRewards(self._sub_envs, self._packings.achieved)
        self._facts = self._check(self._sub_envs)
        self.encoding: Encoding = self._facts.encoding
        self.n_state_bits = self.n_goal_bits
        if not self._facts.is_same:
            self.n_state_bits += self._packings.observation.n_bits
        if self.n_state_bits > MAX_BITS:
            raise UnsupportedEnvError(f"states of at most {MAX_BITS:,} bits", f"{self.n_state_bits:,}")
        self._returns = np.zeros(self.num_envs, np.float64)  # of the current episodes
        self._infos: list[list[dict[str, Any]]] = [[] for _ in range(self.num_envs)]
        self._desired = np.zeros((self.num_envs, self.n_goal_bits), np.uint8)
        self._last: Step

    def _check(self, sub_envs: SubEnvs) -> Facts:
        """Return what a check finds that plays in `sub_envs`."""
        name = self._identity.name
        return check_contract(name, sub_envs, self._packings, self._functions, self.copies_infos)

    def __repr__(self) -> str:
        return f"GymnasiumTask({self._identity.name})"

    def __reduce__(self) -> Any:
        spec = self.spec()
        return rebuild_task, ({name: value for name, value in spec.items() if name != "id"},)

    @property
    def seconds(self) -> float:
        return self._sub_envs.seconds

    @property
    def label(self) -> str:
        return self._identity.label

    @property
    def unsuitable_settings(self) -> dict[str, str]:
        """Fields of Config that must be False, each with the reason."""
        settings = {}
        ends_by_rule = self.terminated_from_goal and not self._functions.has_terminated
        if not self._facts.has_unit_rewards:
            reason = "rewards that are 0 where a goal is reached, and otherwise -1"
            settings = {"hindsight_bound": reason, "clip_targets": reason}
        elif not (self._facts.ends_at_goals or ends_by_rule):
            settings = {"hindsight_bound": "episodes that end at their goal"}
        elif not self.deterministic:
            settings = {"hindsight_bound": "GymnasiumTask(env, deterministic=True)"}
        return settings

    def spec(self) -> Spec:
        """Return the argument of `make_env`.

        It builds the task if the environment was made with a Gymnasium id.
        """
        return {
            "id": "Gymnasium",
            **self._identity.parameters,
            "sizes": [self.n_state_bits, self.n_goal_bits, self.n_actions, self.max_steps],
            "deterministic": self.deterministic,
            "terminated_from_goal": self.terminated_from_goal,
            "copy_info_dict": self.copies_infos,
        }

    def describe(self) -> str:
        """Return a short description."""
        if self.max_steps == MAX_STEPS:
            return f"{self._identity.name} without a step limit"
        return f"{self._identity.name} in at most {self.max_steps:,} steps"

    def reset(self, rng: np.random.Generator, out_states: Words, out_goals: Words) -> None:
        """Reset all sub-environments with seeds from `rng`; start an episode per row."""
        if not isinstance(rng, np.random.Generator):
            raise TypeError(f"rng must be a numpy.random.Generator, got {short_repr(rng)}")
        seeds = rng.integers(0, 2**31, self.num_envs).tolist()
        bits = self._packings.encode(self._sub_envs.reset(seeds))
        out_states[:] = self._pack(bits)[: len(out_states)]
        out_goals[:] = pack_bits(bits.desired)[: len(out_states)]
        self._clear(np.arange(self.num_envs), bits)

    def begin(self, waiting: NDArray[np.int64], out_states: Words, out_goals: Words) -> NDArray[np.int64]:
        """Start the next episodes of sub-environments, as `StatefulEnv.begin`."""
        begun, observations = self._sub_envs.begin(waiting)
        if begun.size:
            bits = self._packings.encode(observations)
            out_states[begun] = self._pack(bits)[begun]
            out_goals[begun] = pack_bits(bits.desired)[begun]
            self._clear(begun, bits)
        return begun

    def _clear(self, begun: NDArray[np.int64], bits: Bits) -> None:
        """Forget the last episodes of sub-environments; store the next goals."""
        self._desired[begun] = bits.desired[begun]
        self._returns[begun] = 0
        for e in begun.tolist():
            self._infos[e] = []

    def step(
        self,
        states: Words,
        goals: Words,
        actions: NDArray[np.uint16],
        active: NDArray[np.int64],
        out_states: Words,
        out_terminated: NDArray[np.bool_],
    ) -> None:
        """Step the episodes in `active`, as `StatefulEnv.step`.

        `states` and `goals` are not read.
        """
        own_actions = np.zeros(self.num_envs, np.int64)
        own_actions[active] = actions[active]
        step = self._sub_envs.step(own_actions + self._start)
        achieved = next_part(self._packings.achieved, step)
        if self._facts.is_same:  # checked only where an episode begins, which saves a third of the time
            out_states[active] = pack_bits(achieved)[active]
        else:
            observed = next_part(self._packings.observation, step)
            out_states[active] = pack_bits(np.concatenate((achieved, observed), axis=1))[active]
        out_terminated[active] = step.ended[active]
        self._last = step
        self._returns[active] += step.rewards[active]
        if self.copies_infos:
            for e in active.tolist():
                self._infos[e].append(as_json(self._sub_envs.info(step, e)))

    def finish(self, done: NDArray[np.int64]) -> Outcomes:
        """Return the outcomes of episodes, as `StatefulEnv.finish`."""
        step = self._last
        infos = [self._sub_envs.info(step, e) for e in done.tolist()]
        stored = None
        last = None
        if self.copies_infos:
            stored = [self._infos[e] for e in done.tolist()]
            last = [steps[-1] for steps in stored]
        successes = np.array([bool(info.get("is_success")) for info in infos])
        unsure = [i for i, info in enumerate(infos) if "is_success" not in info]
        if unsure:
            rewards = step.rewards[done].astype(np.float32)
            successes[unsure] = self._functions.reached(rewards, self._desired[done], last)[unsure]
        return Outcomes(self._returns[done], successes, step.terminated[done], stored)

    def judge(self, batches: Minibatches, origins: Origins) -> Minibatches:
        """Return minibatches with the rewards and terminations of the environment.

        Raises:
            TypeError, ValueError: `compute_reward` returns something else than the check found.
        """
        shape = batches.rewards.shape
        states = batches.next_states.reshape(-1, n_words(self.n_state_bits))
        achieved = unpack_bits(states, self.n_state_bits)[:, : self.n_goal_bits].view(np.uint8)
        goals = unpack_bits(batches.goals.reshape(len(states), -1), self.n_goal_bits).view(np.uint8)
        rewards = self._functions.rewards(achieved, goals, origins.infos)
        if self._facts.has_unit_rewards and not np.isin(rewards, (0, -1)).all():
            other = rewards[(rewards != 0) & (rewards != -1)][0]
            raise ValueError(f"compute_reward must return 0 and -1 as in the check, got {other:g}")
        terminated = self._functions.terminations(
            achieved, goals, rewards, origins, self.terminated_from_goal
        )
        return batches._replace(rewards=rewards.reshape(shape), terminated=terminated.reshape(shape))

    def pack_observation(self, observation: Any) -> tuple[Words, Words, bool]:
        """Return states [E, Ws] and goals [E, Wg] of observations, and True for a batch.

        Args:
            observation: A dict as the environment returns it, or as a vector environment does.

        Raises:
            TypeError, ValueError: A part is missing or not in its space.
        """
        bits, is_batch = given_bits(self._packings, self._sub_envs.observation_space, observation)
        return self._pack(bits), pack_bits(bits.desired), is_batch

    def own_actions(self, actions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the environment's own numbers of actions."""
        return actions + self._start

    def _pack(self, bits: Bits) -> Words:
        """Return the states [E, Ws] of observations."""
        if not self._facts.is_same:
            return pack_bits(np.concatenate((bits.achieved, bits.observation), axis=1))
        if (bits.achieved != bits.observation).any():
            raise ValueError(
                f"{self._identity.name} must return observations that equal achieved_goal, as in the check, "
                f"got {short_repr(bits.observation)} and {short_repr(bits.achieved)}"
            )
        return pack_bits(bits.achieved)


def rebuild_task(parameters: dict[str, Any]) -> GymnasiumTask:
    """Return the task of a spec without its id.

    Raises:
        TypeError, ValueError: `parameters` are not those of a task.
        UnknownEnvError: It was made without a Gymnasium id, or its id is unknown.
    """
    values = dict(parameters)
    sizes = values.pop("sizes", None)
    names = ("deterministic", "terminated_from_goal", "copy_info_dict")
    options = {name: values.pop(name) for name in names if name in values}
    unknown = values.keys() - {"env", "class_name", "kwargs", "max_episode_steps", "vector"}
    if unknown:
        raise TypeError(
            f"{min(unknown)!r} is not a parameter of 'Gymnasium': arguments of the environment itself go "
            "into kwargs"
        )
    env = rebuild(**values)
    task = GymnasiumTask(env, **options, _module=values["env"].rpartition(":")[0] or None)
    if sizes not in (None, task.spec()["sizes"]):
        raise ValueError(f"{task.label} must have the sizes {sizes}, got {task.spec()['sizes']}")
    return task
