"""Tasks on plain arrays of booleans, and the packed environment of a task."""

from __future__ import annotations

import dataclasses
import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from herfast.common.batches import Encoding, Words, n_words
from herfast.common.bits import pack_bits, unpack_bits
from herfast.common.validation import check_choice, check_integer, is_json, short_repr
from herfast.envs.base import Spec

Bools: TypeAlias = NDArray[np.bool_]


class GoalTask(ABC):
    """Base class of a task on arrays of booleans.

    A subclass sets the sizes, as class attributes, dataclass fields or properties, and implements `reset` and
    `step`, which handle E episodes at once. An agent takes it as its environment, and packs the bits itself.
    An episode ends when the first `n_goal_bits` bits of the state equal the goal.

    A task holds no state. If it takes arguments, it is a frozen dataclass whose fields are JSON values. It is
    saved as "module:Class" with its fields, so that files load wherever that module can be imported.

    Attributes:
        n_state_bits: Number of bits of a state, S, from 1 to 65,535.
        n_goal_bits: Number of bits of a goal, G, from 1 to S.
        n_actions: Number of actions, A, from 1 to 65,536.
        max_steps: Number of steps after which an episode is truncated, from 1 to 65,535.
        encoding: Network's inputs for a bit. "binary", 0 and 1, is the default and suits states with few
            ones, such as one bit per position. "signed", -1 and 1, suits states with many.
        label: Short name for folders, optional. By default it is the class and its fields.
        action_names: A name for each action, optional.
        render_ansi: Function of a state bool[S] and a goal bool[G] that returns them as text, optional.
        render_rgb_array: Function of a state bool[S] and a goal bool[G] that returns them as an image,
            uint8[height, width, 3], optional. Height and width are even and depend only on the task.
        better_actions: Function of states bool[M, S] and goals bool[M, G] that returns bool[M, A], optional:
            True for actions that bring a state closer to its goal. The diagnosis of an agent uses it.
    """

    if TYPE_CHECKING:  # at run time a property would be the default of a dataclass's field of its name

        @property
        @abstractmethod
        def n_state_bits(self) -> int: ...
        @property
        @abstractmethod
        def n_goal_bits(self) -> int: ...
        @property
        @abstractmethod
        def n_actions(self) -> int: ...
        @property
        @abstractmethod
        def max_steps(self) -> int: ...
        @property
        def encoding(self) -> Encoding:
            return "binary"

    else:
        encoding = "binary"

    @abstractmethod
    def reset(self, rng: np.random.Generator, n_episodes: int) -> tuple[Bools, Bools]:
        """Return the start states bool[E, S] and goals bool[E, G] of E episodes.

        Args:
            rng: Source of all draws.
            n_episodes: Number of episodes, E, at least 1.
        """

    @abstractmethod
    def step(self, states: Bools, actions: NDArray[np.int64]) -> Bools:
        """Return the next states, bool[E, S].

        An episode's next state depends on its own state and action alone.

        Args:
            states: bool[E, S], which is not changed.
            actions: int64[E], each below n_actions.
        """

    def spec(self) -> Spec:
        """Return `{"id": "module:Class", **fields}`, the argument of `make_env`.

        Raises:
            TypeError: The class takes arguments that are not the fields of a frozen dataclass, or a field is
                not a JSON value.
        """
        cls = type(self)
        fields: dict[str, Any] = {}
        if dataclasses.is_dataclass(self):
            fields = {
                field.name: getattr(self, field.name) for field in dataclasses.fields(self) if field.init
            }
        arguments = inspect.signature(cls).parameters
        is_frozen = not fields or cls.__dataclass_params__.frozen  # type: ignore[attr-defined]
        if arguments.keys() != fields.keys() or not is_frozen:
            raise TypeError(
                f"{cls.__name__} takes arguments ({', '.join(arguments)}), so it must be a dataclass with "
                "them as its fields, decorated with @dataclass(frozen=True)"
            )
        for name, value in fields.items():
            if name == "id":
                raise TypeError(f"{cls.__name__}.id must have another name, since files hold the class as id")
            if not is_json(value):
                raise TypeError(
                    f"{cls.__name__}.{name} must be a JSON value, so that files can hold it: a number, str, "
                    f"bool, None, or a list or dict of them, got {short_repr(value)}"
                )
        return {"id": f"{cls.__module__}:{cls.__qualname__}", **fields}

    def describe(self) -> str:
        """Return a short description; by default the task and its max_steps."""
        return f"{self!r} in at most {self.max_steps:,} steps"

    def __repr__(self) -> str:
        return f"{type(self).__qualname__}()"


class PackedTask:
    """Environment on packed words of a task on booleans.

    It has the members of `herfast.envs.base.GoalEnv`.

    Args:
        task: The task, which is kept as `task`.

    Raises:
        TypeError, ValueError: A size, `encoding`, `action_names` or an optional function is not allowed.
    """

    _OPTIONAL: ClassVar = ("better_actions", "render_ansi", "render_rgb_array")

    def __init__(self, task: GoalTask) -> None:
        self.task = task
        self.n_state_bits = self._size("n_state_bits", 65_535)
        self.n_goal_bits = self._size("n_goal_bits", self.n_state_bits)
        self.n_actions = self._size("n_actions", 65_536)
        self.max_steps = self._size("max_steps", 65_535)
        self.encoding = task.encoding
        check_choice("encoding", self.encoding, get_args(Encoding))
        names = getattr(task, "action_names", None)
        if names is not None:
            self.action_names = self._checked_names(names)
        for name in self._OPTIONAL:
            function = getattr(task, name, None)
            if not (function is None or callable(function)):
                raise TypeError(f"{name} must be a function, got {short_repr(function)}")
        if not callable(task.describe):
            raise TypeError(f"describe must be a function, got {short_repr(task.describe)}")

    def __getattr__(self, name: str) -> Any:
        """Return an optional function of the task, with the arguments of a GoalEnv."""
        function = None
        if name in self._OPTIONAL:
            function = getattr(self.task, name, None)
        if function is None:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        if name == "better_actions":
            return partial(self._better_actions, function)
        return partial(_render_booleans, function)

    def __repr__(self) -> str:
        return repr(self.task)

    @property
    def label(self) -> str:
        """Name for folders: the task's label, or its class and the values of its fields."""
        label = getattr(self.task, "label", None)
        if label is None:
            _, *values = self.spec().values()
            label = "-".join([type(self.task).__name__, *map(str, values)])
        return str(label)

    def spec(self) -> Spec:
        return self.task.spec()

    def describe(self) -> str:
        return self.task.describe()

    def reset(self, rng: np.random.Generator, out_states: Words, out_goals: Words) -> None:
        """Start one episode per row, as `GoalEnv.reset`."""
        if len(out_states):
            states, goals = self.check_start(self.task.reset(rng, len(out_states)), len(out_states))
            out_states[:] = pack_bits(states)
            out_goals[:] = pack_bits(goals)

    def step(
        self,
        states: Words,
        goals: Words,
        actions: NDArray[np.uint16],
        active: NDArray[np.int64],
        out_states: Words,
        out_terminated: NDArray[np.bool_],
    ) -> None:
        """Step the episodes in `active`, as `GoalEnv.step`."""
        if not active.size:
            return
        bits = unpack_bits(states[active], self.n_state_bits)
        result = self.task.step(bits, actions[active].astype(np.int64))
        next_states = pack_bits(self.check_next(result, len(active)))
        difference = next_states[:, : n_words(self.n_goal_bits)] ^ goals[active]
        if self.n_goal_bits % 64:
            difference[:, -1] &= np.uint64((1 << self.n_goal_bits % 64) - 1)
        out_states[active] = next_states
        out_terminated[active] = ~difference.any(axis=1)

    def check_start(self, result: object, n_episodes: int) -> tuple[Bools, Bools]:
        """Return `result` as states bool[E, S] and goals bool[E, G].

        Raises:
            TypeError, ValueError: The task's `reset` returned something else.
        """
        name = f"{type(self.task).__name__}.reset"
        if not (isinstance(result, tuple) and len(result) == 2):
            raise TypeError(f"{name} must return a tuple of states and goals, got {short_repr(result)}")
        states, goals = result
        return (
            _check_bits(f"{name} must return states", states, (n_episodes, self.n_state_bits)),
            _check_bits(f"{name} must return goals", goals, (n_episodes, self.n_goal_bits)),
        )

    def check_next(self, result: object, n_episodes: int) -> Bools:
        """Return `result` as states bool[E, S].

        Raises:
            TypeError, ValueError: The task's `step` returned something else.
        """
        name = f"{type(self.task).__name__}.step"
        return _check_bits(f"{name} must return states", result, (n_episodes, self.n_state_bits))

    def _better_actions(
        self, function: Callable[[Bools, Bools], object], states: Words, goals: Words
    ) -> Bools:
        """Return what the task's `better_actions` returns for packed states and goals."""
        better = function(unpack_bits(states, self.n_state_bits), unpack_bits(goals, self.n_goal_bits))
        name = f"{type(self.task).__name__}.better_actions"
        return _check_bits(f"{name} must return actions", better, (len(states), self.n_actions))

    def _checked_names(self, names: object) -> tuple[str, ...]:
        """Return the names of actions as a tuple."""
        if not (isinstance(names, Sequence) and all(isinstance(name, str) for name in names)):
            raise TypeError(f"action_names must be a sequence of str, got {short_repr(names)}")
        if len(names) != self.n_actions:
            raise ValueError(f"action_names must hold {self.n_actions:,} names, got {len(names):,}")
        return tuple(names)

    def _size(self, name: str, high: int) -> int:
        """Return a size of the task as an int from 1 to `high`."""
        try:
            value = getattr(self.task, name)
        except AttributeError as error:
            raise TypeError(f"a GoalTask must have {name}, but {error}") from error
        return check_integer(name, value, 1, high)


def _check_bits(prefix: str, bits: object, shape: tuple[int, int]) -> Bools:
    """Return `bits` if it is bool[shape]; raise an error with this prefix otherwise."""
    expected = f"{prefix} as a bool array of shape {shape}"
    if not isinstance(bits, np.ndarray):
        raise TypeError(f"{expected}, got {type(bits).__name__}")
    if bits.dtype != np.bool_:
        raise TypeError(f"{expected}, got dtype {bits.dtype}")
    if bits.shape != shape:
        raise ValueError(f"{expected}, got shape {bits.shape}")
    return bits


def _render_booleans(render: Callable[[Bools, Bools], Any], state: NDArray[Any], goal: NDArray[Any]) -> Any:
    """Return the text or image of a task for a state and a goal of zeros and ones."""
    return render(state.astype(np.bool_), goal.astype(np.bool_))
