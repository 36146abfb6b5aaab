"""The Q-network: owns the arrays that the kernels work on, validates input, and hands out named views."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from herfast.common.batches import Minibatches, Words
from herfast.common.seeding import Role, stream
from herfast.common.validation import check_bool, check_choice, check_integer, check_matches, check_names, short_repr
from herfast.config import Config
from herfast.networks.greedy_policy import GreedyPolicy
from herfast.networks.initial_weights import draw_weights
from herfast.networks.inputs import checked_minibatches, checked_words
from herfast.networks.kernels import entry_points
from herfast.networks.kernels.arrays import (
    Adam,
    Network,
    Scratch,
    UpdateOptions,
    Workspace,
    aligned,
    layout,
    n_parameters,
    scratch,
    workspace,
)
from herfast.networks.kernels.simd import Floats

MAX_ACTIONS = 65_536  # actions are stored in 16 bits
MAX_CALL_OPERATIONS = 2**29  # samples times parameters in one call of `fit`: no signal is handled for 0.1 s at most

_ACTING_PARTS = ("online", "target")
_LEARNING_PARTS = (*_ACTING_PARTS, "moment1", "moment2")


class QNetwork:
    """A ReLU network Q(state, goal, action) on packed bits with its target network and Adam's moments, all float32.

    Inputs are the S state bits, then the G goal bits, each as +-1. Initial weights (HER paper, appendix A, leaves them
    open): uniform in +-1/sqrt(inputs) for every layer; with config.init "sparse_pairs" the first layer's weights are
    zero but for 3 bits of the state a unit, each +-1/sqrt(6) with the opposite weight on the goal's same bit, which
    tells the network which goal bit belongs to which state bit.

    Args:
        n_state_bits: S, 1 to 65,535.
        n_goal_bits: G <= S; by default S.
        n_actions: A, 1 to 65,536; by default S.
        config: what an update does; by default Config().
        seed: of the initial weights.

    Raises:
        TypeError, ValueError: a size that is no integer, or out of its range; a config or seed of another kind.
    """

    def __init__(
        self,
        n_state_bits: int,
        n_goal_bits: int | None = None,
        n_actions: int | None = None,
        *,
        config: Config | None = None,
        seed: int | None = None,
    ) -> None:
        if not (config is None or isinstance(config, Config)):
            raise TypeError(f"config must be a Config or None, got {short_repr(config)}")
        n_state_bits = check_integer("n_state_bits", n_state_bits, 1, 65_535)
        goal_bits, actions = (n_state_bits if value is None else value for value in (n_goal_bits, n_actions))
        goal_bits = check_integer("n_goal_bits", goal_bits, 1, n_state_bits)
        actions = check_integer("n_actions", actions, 1, MAX_ACTIONS)
        self._allocate(n_state_bits, goal_bits, actions, Config() if config is None else config)
        draw_weights(self.parameters(), n_state_bits, goal_bits, self.config.init, stream(seed, Role.WEIGHTS))
        self.sync_target()

    def _allocate(self, n_state_bits: int, n_goal_bits: int, n_actions: int, config: Config) -> None:
        self.n_state_bits, self.n_goal_bits, self.n_actions, self.config = n_state_bits, n_goal_bits, n_actions, config
        self._count = np.zeros(1, np.int64)  # of updates
        self._shape = layout(self.n_state_bits + self.n_goal_bits, config.hidden, self.n_actions)
        size = n_parameters(self._shape, config.dueling)
        online, target, d_params, moment1, moment2 = aligned(*[(size,)] * 5)
        self._online, self._target = self._network(online), self._network(target)
        self._adam = Adam(d_params, self._network(d_params).head, moment1, moment2)
        self._options = UpdateOptions(
            sizes=(self.n_state_bits, self.n_goal_bits),
            gamma=config.gamma,
            double_q=config.double_q,
            dueling=config.dueling,
            clip_targets=config.clip_targets,
            mask_terminal=config.mask_terminal,
            hindsight_bound=config.hindsight_bound,
            advantage_gap=config.advantage_gap,
            target_update=config.target_update,
            polyak=config.polyak,
        )
        self._work: Workspace | None = None
        self._acting: Scratch | None = None

    def __getstate__(self) -> dict[str, Any]:
        """For copy and pickle: sizes and numbers, from which the views of one flat vector are made anew."""
        sizes = (self.n_state_bits, self.n_goal_bits, self.n_actions)
        return {"sizes": sizes, "config": self.config, "updates": self.updates, "flats": self._flats()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        n_state_bits, n_goal_bits, n_actions = state["sizes"]
        self._allocate(n_state_bits, n_goal_bits, n_actions, state["config"])
        self.updates = state["updates"]
        for which, flat in self._flats().items():
            flat[:] = state["flats"][which]
        self.refresh()

    def _flats(self) -> dict[str, Floats]:
        return {
            "online": self._online.params,
            "target": self._target.params,
            "gradient": self._adam.d_params,
            "moment1": self._adam.moment1,
            "moment2": self._adam.moment2,
        }

    @property
    def updates(self) -> int:
        """How many updates it has learnt from."""
        return int(self._count[0])

    @updates.setter
    def updates(self, count: int) -> None:
        self._count[0] = count

    # --- parameters ---

    def parameters(self, which: str = "online") -> dict[str, Floats]:
        """Named views of one flat vector: "online", "target", "gradient", "moment1" or "moment2".

        hidden<l>.weight [inputs, H_l] and hidden<l>.bias [H_l], l from 1; output.weight [A, H_L] and output.bias [A],
        or with dueling advantage.weight, advantage.bias and value.weight [H_L], value.bias []. After writing into them
        call `refresh`.
        """
        flats = self._flats()
        check_choice("which", which, flats)
        return dict(self._views(flats[which]))

    def state_dict(self, learning: bool = True) -> dict[str, Floats]:
        """Views of the online and target networks' parameters; with `learning` of Adam's moments too.

        The names are those of `parameters`, behind "online.", "target.", "moment1." or "moment2.". The number of
        updates is not among them.
        """
        parts = _LEARNING_PARTS if check_bool("learning", learning) else _ACTING_PARTS
        return {f"{part}.{name}": view for part in parts for name, view in self.parameters(part).items()}

    def load_state_dict(self, state: Mapping[str, Floats]) -> None:
        """Copy what `state_dict` returned, with or without the moments, into this network.

        Raises TypeError or ValueError, and changes nothing, for a name that is missing or unknown, another dtype or
        shape, a number that is not finite, or a negative second moment.
        """
        learning = isinstance(state, Mapping) and any(name in state for name in self.state_dict() if "moment" in name)
        views = self.state_dict(learning)
        check_names("state", state, views)
        for name, view in views.items():
            check_matches(name, state[name], view)
            if not np.isfinite(state[name]).all():
                raise ValueError(f"{name} is not finite")
            if name.startswith("moment2.") and (state[name] < 0).any():
                raise ValueError(f"{name} has a negative number, {state[name].min():g}")
        for name, view in views.items():
            view[...] = state[name]
        self.refresh()

    def refresh(self) -> None:
        """Recompute derived values after `parameters` were modified in place."""
        if self.config.dueling:
            entry_points.update_dueling_head(self._online, self._shape)
            entry_points.update_dueling_head(self._target, self._shape)

    def sync_target(self) -> None:
        """Copy the online network into the target network."""
        self._target.params[:] = self._online.params
        self.refresh()

    def is_finite(self) -> bool:
        """No parameter of the online and target networks is NaN or infinite, and none of Adam's moments."""
        numbers = (self._online.params, self._target.params, self._adam.moment1, self._adam.moment2)
        return all(bool(np.isfinite(flat).all()) for flat in numbers)

    # --- acting and learning ---

    def act(self, states: Words, goals: Words, which: str = "online") -> NDArray[np.int64]:
        """The greedy actions int64[E] of the "online" or "target" network, from states [E, Ws] and goals [E, Wg]."""
        return self._forward(states, goals, which)[0].astype(np.int64)

    def q_values(self, states: Words, goals: Words, which: str = "online") -> Floats:
        """Q float32[E, A] of the "online" or "target" network, from states [E, Ws] and goals [E, Wg]."""
        return self._forward(states, goals, which)[1].T.copy()

    def _forward(self, states: Words, goals: Words, which: str) -> tuple[NDArray[np.uint16], Floats]:
        """The greedy actions [E], and a view of the values [A, E]."""
        states = checked_words("states", states, self.n_state_bits, 2)
        goals = checked_words("goals", goals, self.n_goal_bits, 2)
        if len(states) != len(goals):
            raise ValueError(f"states and goals must be equally many, got {len(states)} and {len(goals)}")
        actions = np.zeros(len(states), np.uint16)
        policy = self.greedy_policy(len(states), which)
        policy.act(states, goals, np.arange(len(states)), actions)
        return actions, policy.values(len(states))

    def greedy_policy(self, n_envs: int, which: str = "online") -> GreedyPolicy:
        """The greedy policy for `n_envs` episodes in lockstep, valid until the network's weights change."""
        check_choice("which", which, ("online", "target"))
        n_envs = check_integer("n_envs", n_envs, 0, 2**31 - 1)
        numbers = self._online if which == "online" else self._target
        return GreedyPolicy(numbers, self._shape, self._options.sizes, n_envs, self._acting_scratch(n_envs))

    def _acting_scratch(self, rows: int) -> Scratch:
        """What policies for `rows` episodes share, since it means nothing between two calls."""
        if self._acting is None or len(self._acting.block) != rows:
            self._acting = scratch(rows, self._shape, self._options.sizes)
        return self._acting

    def fit(self, batches: Minibatches) -> NDArray[np.float64]:
        """One update a minibatch, in order; the losses float64[U], each taken before its update.

        Raises:
            ValueError, TypeError: wrong shape or dtype, bits past the end, an action out of range; nothing has changed.
        """
        batches = checked_minibatches(batches, self.n_state_bits, self.n_goal_bits, self.n_actions)
        n_updates, batch_size = batches.actions.shape
        if self._work is None or len(self._work.block) != batch_size:
            self._work = workspace(batch_size, self._shape, self._options.sizes)
        losses, rates = np.empty(n_updates), self.config.learning_rates(self.updates, n_updates)
        chunk_size = max(1, MAX_CALL_OPERATIONS // (batch_size * self._online.params.size))
        for start in range(0, n_updates, chunk_size):
            chunk = slice(start, start + chunk_size)
            entry_points.fit(
                self._online,
                self._target,
                self._shape,
                self._adam,
                Minibatches._make(array[chunk] for array in batches),
                self._options,
                rates[chunk],
                self._count,
                self._work,
                losses[chunk],
            )
        return losses

    # --- inside ---

    def _network(self, params: Floats) -> Network:
        first = int(self._shape[-1, 2])
        size = int(self._shape[-1, 3]) + self.n_actions - first
        return Network(params, aligned((size,))[0] if self.config.dueling else params[first:])

    def _views(self, flat: Floats) -> Iterator[tuple[str, Floats]]:
        inputs = self.n_state_bits + self.n_goal_bits
        for layer, width in enumerate(self.config.hidden):
            _, padded, weights, biases = self._shape[layer]
            rows = flat[weights:biases].reshape(-1, padded)
            yield f"hidden{layer + 1}.weight", rows[:inputs, :width]
            yield f"hidden{layer + 1}.bias", flat[biases : biases + width]
            inputs = width
        terms, actions, weights, biases = self._shape[-1]
        name = "advantage" if self.config.dueling else "output"
        yield f"{name}.weight", flat[weights:biases].reshape(actions, terms)[:, :inputs]
        yield f"{name}.bias", flat[biases : biases + actions]
        if self.config.dueling:
            yield "value.weight", flat[biases + actions : biases + actions + inputs]
            yield "value.bias", flat[biases + actions + terms : biases + actions + terms + 1].reshape(())
