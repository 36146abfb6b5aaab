"""The terminal interface of one run: output per epoch, checkpoints, signals, plots, exit code."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from herfast.cli.errors import user_errors
from herfast.cli.signals import CycleTimeout, Interruption, catch_signals
from herfast.config import Config
from herfast.experiments.run import (
    AGENT_FILE,
    CHECKPOINT_FILE,
    PROGRESS_FILE,
    RUN_FILES,
    last_cycle,
    plot_run_folder,
    train_in_folder,
)

if TYPE_CHECKING:
    from herfast.dqn.agent import Agent


def train_and_save(agent: Agent, folder: Path, checkpoint_every: int) -> int:
    """Learn up to Config's `epochs` and `until`, saving every so many epochs and at the end, and plot.

    Returns the exit code: 0, or 1 if learning diverged, or 128 and the number of a signal. Raises UserError if the run
    cannot be written, BrokenPipeError if nobody reads what is printed; what was learnt is saved even then, if possible.
    """
    try:
        with catch_signals() as interruption:
            unwritten = _train(agent, folder, checkpoint_every, interruption)
            with user_errors():
                _save(agent, folder)
    except FloatingPointError as error:
        print(f"herfast: error: {error}; {folder / PROGRESS_FILE} holds the history so far", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"Interrupted at once, saving nothing more; {folder} holds {_list_files(folder)}")
        return 130
    if unwritten is not None and not interruption:
        if isinstance(unwritten, BrokenPipeError):
            raise unwritten
        with user_errors():
            raise unwritten
    if not (agent.solved or agent.cycles >= last_cycle(agent.config)):
        print(
            f"Interrupted after {agent.cycles:,} cycles; {folder} holds {_list_files(folder)}; "
            f"to go on: herfast train --resume {shlex.quote(str(folder))}"
        )
        return interruption.exit_code
    _plot(folder)
    print(_summary(agent, folder))
    return 0


def _train(agent: Agent, folder: Path, checkpoint_every: int, interruption: Interruption) -> OSError | None:
    """Learn until the end, a signal, or something that cannot be written, which is returned."""
    try:
        try:
            _train_and_write(agent, folder, checkpoint_every, interruption)
        finally:
            interruption.end_learning()
    except CycleTimeout:  # in the midst of a cycle, from where it can go on all the same
        interruption.end_learning()
    except OSError as error:
        return error
    return None


def _save(agent: Agent, folder: Path) -> None:
    agent.save(folder / AGENT_FILE)
    agent.save(folder / CHECKPOINT_FILE, replay=True)


def _train_and_write(agent: Agent, folder: Path, checkpoint_every: int, interruption: Interruption) -> None:
    """Learn until the end or a signal, with a line an epoch and now and then a checkpoint.

    A checkpoint that cannot be written is no reason to stop while the one before is there.
    """
    from tqdm import tqdm

    def after_epoch(epoch: int, continues: bool) -> None:
        tqdm.write(_epoch_line(agent.history, agent.config))  # a plain print would break the progress bar
        sys.stdout.flush()
        if continues and epoch % checkpoint_every == 0:
            try:
                _save(agent, folder)
            except OSError as error:
                if not (folder / CHECKPOINT_FILE).exists():
                    raise
                tqdm.write(f"herfast: warning: {error}", file=sys.stderr)

    train_in_folder(agent, folder, lambda: bool(interruption), after_epoch, progress_bar=sys.stderr.isatty())


def _epoch_line(history: Mapping[str, NDArray[Any]], config: Config) -> str:
    epoch = slice(-config.cycles_per_epoch, None)
    greedy = history["greedy_success"][-1]
    return (
        f"epoch {len(history['epoch']) // config.cycles_per_epoch}/{config.epochs}"
        f"  success {np.mean(history['success'][epoch]):.3f}"
        f"  greedy {'-' if np.isnan(greedy) else format(greedy, '.3f')}"
        f"  loss {np.mean(history['loss'][epoch]):.4g}"
        f"  steps {history['env_steps'][-1]:,}"
        f"  updates {history['updates'][-1]:,}"
        f"  {history['seconds'][-1]:.1f} s"
    )


def _plot(folder: Path) -> None:
    try:
        plot_run_folder(folder)
    except ImportError as error:  # matplotlib is optional, and the run is complete without
        print(f"No plots: {error}; then herfast plot {folder}")


def _summary(agent: Agent, folder: Path) -> str:
    """One paragraph: how learning ended, what greedy play achieves on games that had no part in that, and the files."""
    history = agent.history
    totals = {name: history[name][-1] for name in ("episodes", "env_steps", "updates", "seconds")}
    end = f"Solved, {solved_text(agent)}" if agent.solved else f"All {agent.config.epochs:,} epochs are done"
    result = agent.evaluate(1000, seed=agent.seed)
    return (
        f"{end}: {totals['episodes']:,} episodes, {totals['env_steps']:,} steps, {totals['updates']:,} updates, "
        f"{totals['seconds']:.1f} s. On {result.n_episodes:,} fresh games (seed {agent.seed}) greedy play succeeds in "
        f"{result.success_rate:.1%}, with a mean return of {result.mean_return:.1f} and a mean length of "
        f"{result.mean_length:.1f} steps. {folder} holds {_list_files(folder)}."
    )


def solved_text(agent: Agent) -> str:
    rate, epoch = agent.config.until, agent.history["epoch"][-1]
    return f"a greedy success of {rate} being reached and confirmed in epoch {epoch:,}"


def _list_files(folder: Path) -> str:
    return ", ".join(name for name in RUN_FILES if (folder / name).exists())


def describe_env(agent: Agent) -> str:
    return f"{agent.env.n_bits:,} bits in at most {agent.env.max_steps:,} steps"
