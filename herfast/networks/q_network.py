"""The Q-network: its arrays, named views of them, and calls of the kernels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from herfast.common.batches import Minibatches, Words
from herfast.common.seeding import Role, stream
from herfast.common.thread_guard import ThreadGuard, synchronized
from herfast.common.validation import FixedAttributes, check_bool, check_choice, check_integer
from herfast.config import Config, Evaluator, config_fields
from herfast.networks import inputs
from herfast.networks.arrays import (
    Adam,
    Floats,
    Network,
    UpdateOptions,
    aligned,
    layout,
    workspace,
    workspaces,
)
from herfast.networks.compiled import entry_points, thread_pool
from herfast.networks.compiled.thread_pool import SharedCall
from herfast.networks.greedy_policy import MAX_CALL_OPERATIONS, GreedyPolicy
from herfast.networks.initial_weights import draw_weights
from herfast.networks.parameter_views import parameter_views

MAX_ACTIONS = 65_536  # actions are stored in 16 bits

_ACTING_PARTS = ("online", "target")
_LEARNING_PARTS = (*_ACTING_PARTS, "moment1", "moment2")


class QNetwork(FixedAttributes):
    """A ReLU network Q(state, goal, action) on packed bits, float32.

    It includes the target network and Adam's moments. The inputs are the S state bits, then the G goal bits,
    each as +-1, or as 0 or 1 with config.encoding "binary". Initial weights are uniform in +-1/sqrt(inputs);
    the HER paper, appendix A, specifies none.
    With config.init "sparse", each unit of the first layer has a single weight, +-1 or with binary inputs +1.

    Threads may share a network: their calls take turns. Views of the parameters are not protected.

    Args:
        n_state_bits: S, 1 to 65,535.
        n_goal_bits: G, 1 to S; by default S.
        n_actions: A, 1 to 65,536; by default S.
        config: the layer widths and the settings of an update; by default Config().
        seed: seed of the initial weights, an integer from 0 to 2**128 - 1; None draws one.
        threads: threads of a call, 1 to 1,024. Results do not depend on it. None: the processors that the
            process may use, shared by all calls at the same time, or one where the work is small.

    Raises:
        TypeError, ValueError: an argument of the wrong type, or out of its range.
    """

    FIXED: ClassVar = frozenset({"n_state_bits", "n_goal_bits", "n_actions"})
    SETTINGS: ClassVar = frozenset(config_fields())

    def __init__(
        self,
        n_state_bits: int,
        n_goal_bits: int | None = None,
        n_actions: int | None = None,
        *,
        config: Config | None = None,
        seed: int | None = None,
        threads: int | None = None,
    ) -> None:
        self.threads = threads
        n_state_bits = check_integer("n_state_bits", n_state_bits, 1, 65_535)
        if n_goal_bits is None:
            n_goal_bits = n_state_bits
        if n_actions is None:
            n_actions = n_state_bits
        if config is None:
            config = Config()
        config = inputs.checked_config(config)
        n_goal_bits = check_integer("n_goal_bits", n_goal_bits, 1, n_state_bits)
        n_actions = check_integer("n_actions", n_actions, 1, MAX_ACTIONS)
        self._allocate(n_state_bits, n_goal_bits, n_actions, config)
        draw_weights(self.parameters(), n_state_bits, n_goal_bits, config, stream(seed, Role.WEIGHTS))
        self.sync_target()

    def _allocate(self, n_state_bits: int, n_goal_bits: int, n_actions: int, config: Config) -> None:
        """Allocate all arrays, with parameters of zero."""
        self.n_state_bits = n_state_bits
        self.n_goal_bits = n_goal_bits
        self.n_actions = n_actions
        self._config = config
        self._thread_guard = ThreadGuard()
        self._policies: dict[Evaluator, GreedyPolicy] = {}  # used by `act` and `q_values`
        self._count = np.zeros(1, np.int64)  # number of updates so far
        sizes = (n_state_bits, n_goal_bits, config.hidden, n_actions)
        self._shape = layout(*sizes, dueling=config.dueling, is_binary=config.encoding == "binary")
        online, target, d_params, moment1, moment2 = aligned(*[(self._shape.n_parameters,)] * 5)
        self._online = self._network(online)
        self._target = self._network(target)
        self._adam = Adam(d_params, self._network(d_params).head, moment1, moment2)
        self._options = UpdateOptions(*[getattr(config, name) for name in UpdateOptions._fields])
        self._fit: tuple[tuple[int, int], SharedCall] | None = None  # batch size and threads; the kernel

    @property
    def threads(self) -> int | None:
        """Number of threads of a call, or None. It may be set, and is not saved."""
        return self._threads

    @threads.setter
    def threads(self, threads: int | None) -> None:
        if threads is not None:
            threads = check_integer("threads", threads, 1, thread_pool.MAX_THREADS)
        self._threads = threads

    @property
    def config(self) -> Config:
        """The settings. Some may be changed, see `herfast.config.CHANGEABLE`."""
        return self._config

    @config.setter
    @synchronized
    def config(self, config: Config) -> None:
        self._config = inputs.changed_config(self._config, config)

    @synchronized
    def __getstate__(self) -> dict[str, Any]:
        """Return sizes and flat vectors for copy and pickle, without their views."""
        sizes = (self.n_state_bits, self.n_goal_bits, self.n_actions)
        flats = {name: flat.copy() for name, flat in self._flats().items()}  # consistent with `updates`
        settings = {"sizes": sizes, "config": self.config, "threads": self.threads}
        return {**settings, "updates": self.updates, "flats": flats}

    def __setstate__(self, state: dict[str, Any]) -> None:
        n_state_bits, n_goal_bits, n_actions = state["sizes"]
        self.threads = state["threads"]
        self._allocate(n_state_bits, n_goal_bits, n_actions, state["config"])
        self.updates = state["updates"]
        for which, flat in self._flats().items():
            flat[:] = state["flats"][which]
        self.refresh()

    def _flats(self) -> dict[str, Floats]:
        """Return the flat vectors [P] by the names that `parameters` accepts."""
        return {
            "online": self._online.params,
            "target": self._target.params,
            "gradient": self._adam.d_params,
            "moment1": self._adam.moment1,
            "moment2": self._adam.moment2,
        }

    @property
    def updates(self) -> int:
        """Number of updates that `fit` has made."""
        return int(self._count[0])

    @updates.setter
    def updates(self, count: int) -> None:
        self._count[0] = count

    def parameters(self, which: str = "online") -> dict[str, Floats]:
        """Return named float32 views of one flat vector.

        Call `refresh` after modifying them. The names are hidden<l>.weight [inputs, H_l], hidden<l>.bias
        [H_l] for l from 1, output.weight [A, H_L] and output.bias [A]. Dueling replaces the last two by
        advantage.weight [A, H_L], advantage.bias [A], value.weight [H_L] and value.bias [].

        Args:
            which: "online", "target", "gradient", "moment1" or "moment2"; ValueError for another name.
        """
        flats = self._flats()
        check_choice("which", which, flats)
        return dict(parameter_views(flats[which], self._shape, self.config.hidden))

    def state_dict(self, learning: bool = True) -> dict[str, Floats]:
        """Return named views of all parameters and, with `learning`, of Adam's moments.

        The names are those of `parameters` with the prefix "online.", "target.", "moment1." or "moment2.".
        The number of updates is not included.
        """
        parts: tuple[str, ...] = _ACTING_PARTS
        if check_bool("learning", learning):
            parts = _LEARNING_PARTS
        return {f"{part}.{name}": view for part in parts for name, view in self.parameters(part).items()}

    @synchronized
    def load_state_dict(self, state: Mapping[str, Floats]) -> None:
        """Copy a result of `state_dict`, with or without the moments, into this network.

        Raises TypeError or ValueError, and changes nothing, if names, dtypes or shapes differ, a number is
        not finite, or a second moment is negative.
        """
        learning = isinstance(state, Mapping) and any(
            name in state for name in self.state_dict() if "moment" in name
        )
        views = self.state_dict(learning)
        inputs.check_state(state, views)
        for name, view in views.items():
            view[...] = state[name]
        self.refresh()

    @synchronized
    def refresh(self) -> None:
        """Recompute derived values after `parameters` were modified in place."""
        if self.config.dueling:
            for network in (self._online, self._target):
                entry_points.update_dueling_head.bind(network, self._shape)(np.zeros(16, np.int64))

    @synchronized
    def sync_target(self) -> None:
        """Copy the online network into the target network."""
        self._target.params[:] = self._online.params
        self.refresh()

    @synchronized
    def is_finite(self) -> bool:
        """Return True if all parameters of both networks and Adam's moments are finite."""
        numbers = (self._online.params, self._target.params, self._adam.moment1, self._adam.moment2)
        return all(bool(np.isfinite(flat).all()) for flat in numbers)

    @synchronized
    def act(self, states: Words, goals: Words, which: Evaluator = "online") -> NDArray[np.int64]:
        """Return the greedy actions int64[E], the lowest one of equal values.

        Args:
            states: uint64[E, Ws], packed.
            goals: uint64[E, Wg], packed.
            which: the network to use, "online" or "target".

        Raises:
            TypeError, ValueError: wrong dtype or shape, bits set past the end, or an unknown network.
        """
        return self._forward(states, goals, which)[0].astype(np.int64)

    @synchronized
    def q_values(self, states: Words, goals: Words, which: Evaluator = "online") -> Floats:
        """Return Q float32[E, A] of all actions. Arguments and errors are those of `act`."""
        return self._forward(states, goals, which)[1].T.copy()

    def _forward(self, states: Words, goals: Words, which: Evaluator) -> tuple[NDArray[np.uint16], Floats]:
        """Return the greedy actions [E] and a view of the values [A, E]."""
        states = inputs.checked_words("states", states, self.n_state_bits, 2)
        goals = inputs.checked_words("goals", goals, self.n_goal_bits, 2)
        check_choice("which", which, ("online", "target"))
        n_envs = len(states)
        if n_envs != len(goals):
            raise ValueError(f"states and goals must have the same length, got {n_envs} and {len(goals)}")
        policy = self._policies.get(which)
        if policy is None or (policy.n_envs, policy.threads) != (n_envs, self.threads):
            policy = self._policies[which] = self.greedy_policy(n_envs, which)
        policy.restart()
        actions = np.zeros(n_envs, np.uint16)
        return actions, policy.act(states, goals, np.arange(n_envs), actions)[:, :n_envs]

    def greedy_policy(self, n_envs: int, which: Evaluator = "online") -> GreedyPolicy:
        """Return a greedy policy for `n_envs` episodes, valid until the weights change."""
        check_choice("which", which, ("online", "target"))
        n_envs = check_integer("n_envs", n_envs, 0, 2**31 - 1)
        network = {"online": self._online, "target": self._target}[which]
        return GreedyPolicy(network, self._shape, n_envs, self.threads)

    @synchronized
    def fit(self, batches: Minibatches) -> NDArray[np.float64]:
        """Make one update per minibatch, in order.

        Returns:
            The losses float64[U], each computed before its update.

        Raises:
            TypeError, ValueError: wrong dtype, shape, action or bit past the end. The network is unchanged.
        """
        batches = inputs.checked_minibatches(batches, self.n_state_bits, self.n_goal_bits, self.n_actions)
        n_updates, batch_size = batches.actions.shape
        n_threads = thread_pool.n_threads_for(self.threads, batch_size * self._shape.n_parameters)
        if self._fit is None or self._fit[0] != (batch_size, n_threads):
            work = workspace(batch_size, self._shape, with_gap=self.config.advantage_gap > 0)
            networks = (self._online, self._target, self._shape, self._adam, self._options)
            calls = [entry_points.fit.bind(*networks, part) for part in workspaces(work, n_threads)]
            self._fit = ((batch_size, n_threads), SharedCall(calls, work.scratch.barrier))
        _, fit = self._fit
        losses = np.empty(n_updates)
        rates = self.config.learning_rates(self.updates, n_updates)
        chunk_size = max(1, MAX_CALL_OPERATIONS // (batch_size * self._online.params.size))
        for start in range(0, n_updates, chunk_size):
            chunk = slice(start, start + chunk_size)
            arrays = [array[chunk] for array in batches]
            rest = (len(arrays[0]), rates[chunk], self._count, losses[chunk])
            fit(n_threads, len(arrays[0]), *arrays, *rest)
        return losses

    def _network(self, params: Floats) -> Network:
        """Return a Network on `params`, with a head of its own if dueling."""
        head = params[self._shape.output :]
        if self.config.dueling:
            head = aligned(((self._shape.last_width + 1) * self.n_actions,))[0]
        return Network(params, head)
