"""The Q-network: owns the arrays that the kernels work on, checks what comes in, and hands out named views."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from herfast import kernels
from herfast.buffers import Adam, Network, Rules, Scratch, Workspace, aligned, layout, n_parameters, scratch, workspace
from herfast.checks import check_array, check_choice, check_integer, shown
from herfast.config import Config
from herfast.data import Minibatches, Role, Words, n_words, stream
from herfast.layers import Floats
from herfast.player import Player

MOST_ACTIONS = 65_536  # actions are stored in 16 bits
LONGEST_CALL = (
    2**29
)  # samples times parameters in one call of the kernel, during which no signal is heard: 0.1 s at most


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
            raise TypeError(f"config must be a Config or None, got {shown(config)}")
        n_state_bits = check_integer("n_state_bits", n_state_bits, 1, 65_535)
        goal_bits, actions = (n_state_bits if value is None else value for value in (n_goal_bits, n_actions))
        goal_bits = check_integer("n_goal_bits", goal_bits, 1, n_state_bits)
        actions = check_integer("n_actions", actions, 1, MOST_ACTIONS)
        self._allocate(n_state_bits, goal_bits, actions, Config() if config is None else config)
        self._initialise(stream(seed, Role.WEIGHTS))

    def _allocate(self, n_state_bits: int, n_goal_bits: int, n_actions: int, config: Config) -> None:
        self.n_state_bits, self.n_goal_bits, self.n_actions, self.config = n_state_bits, n_goal_bits, n_actions, config
        self._count = np.zeros(1, np.int64)  # of updates
        self._shape = layout(self.n_state_bits + self.n_goal_bits, config.hidden, self.n_actions)
        size = n_parameters(self._shape, config.dueling)
        online, target, d_params, moment1, moment2 = aligned(*[(size,)] * 5)
        self._online, self._target = self._network(online), self._network(target)
        self._adam = Adam(d_params, self._network(d_params).head, moment1, moment2)
        self._rules = Rules(
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

    def refresh(self) -> None:
        """Take note that `parameters` were written to: recomputes what is derived from them."""
        if self.config.dueling:
            kernels.refold(self._online, self._shape)
            kernels.refold(self._target, self._shape)

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
        return self._looked(states, goals, which)[0].astype(np.int64)

    def q_values(self, states: Words, goals: Words, which: str = "online") -> Floats:
        """Q float32[E, A] of the "online" or "target" network, from states [E, Ws] and goals [E, Wg]."""
        return self._looked(states, goals, which)[1].T.copy()

    def _looked(self, states: Words, goals: Words, which: str) -> tuple[NDArray[np.uint16], Floats]:
        """The greedy actions [E], and a view of the values [A, E]."""
        states = self._words("states", states, self.n_state_bits, 2)
        goals = self._words("goals", goals, self.n_goal_bits, 2)
        if len(states) != len(goals):
            raise ValueError(f"states and goals must be equally many, got {len(states)} and {len(goals)}")
        actions = np.zeros(len(states), np.uint16)
        player = self.player(len(states), which)
        player.act(states, goals, np.arange(len(states)), actions)
        return actions, player.values(len(states))

    def player(self, n_envs: int, which: str = "online") -> Player:
        """A player of `n_envs` games in lockstep, valid until the network's weights change."""
        check_choice("which", which, ("online", "target"))
        n_envs = check_integer("n_envs", n_envs, 0, 2**31 - 1)
        numbers = self._online if which == "online" else self._target
        return Player(numbers, self._shape, self._rules.sizes, n_envs, self._acting_scratch(n_envs))

    def _acting_scratch(self, rows: int) -> Scratch:
        """What players of `rows` games share, since it means nothing between two calls."""
        if self._acting is None or len(self._acting.block) != rows:
            self._acting = scratch(rows, self._shape, self._rules.sizes)
        return self._acting

    def fit(self, batches: Minibatches) -> NDArray[np.float64]:
        """One update a minibatch, in order; the losses float64[U], each taken before its update.

        Raises:
            ValueError, TypeError: wrong shape or dtype, bits past the end, an action out of range; nothing has changed.
        """
        if not isinstance(batches, Minibatches):
            raise TypeError(f"batches must be Minibatches, got {type(batches).__name__}")
        batches = self._checked(batches)
        n_updates, batch_size = batches.actions.shape
        if self._work is None or len(self._work.block) != batch_size:
            self._work = workspace(batch_size, self._shape, self._rules.sizes)
        losses, rates = np.empty(n_updates), self.config.learning_rates(self.updates, n_updates)
        at_once = max(1, LONGEST_CALL // (batch_size * self._online.params.size))
        for some in (slice(start, start + at_once) for start in range(0, n_updates, at_once)):
            kernels.fit(
                self._online,
                self._target,
                self._shape,
                self._adam,
                Minibatches._make(array[some] for array in batches),
                self._rules,
                rates[some],
                self._count,
                self._work,
                losses[some],
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

    def _initialise(self, rng: np.random.Generator) -> None:
        """Draw the online network's parameters in the order of `parameters`, then copy them to the target network."""
        inputs = self.n_state_bits + self.n_goal_bits
        for name, view in self.parameters().items():
            if name == "hidden1.weight" and self.config.init == "sparse_pairs":
                view[:] = self._sparse_pairs(rng, view.shape[1])
            else:
                view[...] = rng.uniform(-1.0, 1.0, view.shape) / math.sqrt(inputs)
            if name.startswith("hidden") and name.endswith("bias"):
                inputs = len(view)
        self.sync_target()

    def _sparse_pairs(self, rng: np.random.Generator, units: int) -> NDArray[np.float64]:
        bits = min(3, self.n_goal_bits)
        weights = np.zeros((self.n_state_bits + self.n_goal_bits, units))
        for unit in range(units):
            chosen = rng.choice(self.n_goal_bits, size=bits, replace=False)
            values = rng.choice([-1.0, 1.0], size=bits) / math.sqrt(2 * bits)
            weights[chosen, unit] = values
            weights[self.n_state_bits + chosen, unit] = -values
        return weights

    def _words(self, name: str, words: Words, n_bits: int, ndim: int) -> Words:
        """`words` as the kernels want them, if they are uint64[..., W] with `n_bits` bits and nothing past them."""
        check_array(name, words, np.uint64, ndim)
        if words.shape[-1] != n_words(n_bits):
            raise ValueError(f"{name} must have {n_words(n_bits)} words a row for {n_bits} bits, got {words.shape}")
        if n_bits % 64 and (past := words[..., -1] >> np.uint64(n_bits % 64)).any():
            bad = int(words[..., -1][past > 0][0])
            raise ValueError(f"{name} must have no bits set past bit {n_bits - 1}, got the word {bad:#x}")
        return as_kernels_want(words)

    def _checked(self, batches: Minibatches) -> Minibatches:
        states = self._words("states", batches.states, self.n_state_bits, 3)
        next_states = self._words("next_states", batches.next_states, self.n_state_bits, 3)
        goals = self._words("goals", batches.goals, self.n_goal_bits, 3)
        shape = states.shape[:2]
        if 0 in shape:
            raise ValueError(f"minibatches must hold at least one transition each, got shape {shape}")
        rest = {}
        for name, dtype in (
            ("actions", np.uint16),
            ("rewards", np.float32),
            ("terminated", np.bool_),
            ("steps_to_goal", np.int32),
        ):
            array = getattr(batches, name)
            check_array(name, array, dtype, 2)
            rest[name] = as_kernels_want(array)
        for name, array in {"next_states": next_states, "goals": goals, **rest}.items():
            if array.shape[:2] != shape:
                raise ValueError(f"{name} must have the states' leading shape {shape}, got {array.shape}")
        if rest["actions"].max() >= self.n_actions:
            raise ValueError(f"actions must be below {self.n_actions}, got {rest['actions'].max()}")
        return Minibatches(states, next_states, goals, **rest)


def as_kernels_want(array: NDArray[Any]) -> NDArray[Any]:
    """`array`, or a copy where it is not C-contiguous, aligned and writable."""
    return array if array.flags.carray else np.array(array, order="C")
