"""Training of one run: output, checkpoints, signals, plots and exit code."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from herfast.callbacks.base import Callback
from herfast.cli.errors import user_errors
from herfast.cli.plots import draw_plots_if_possible
from herfast.cli.signals import CycleTimeout, Interruption, catch_signals, exit_code
from herfast.common.console import print_to_stderr
from herfast.experiments.run import PROGRESS_FILE, RUN_FILES
from herfast.experiments.run_training import CheckpointCallback, is_finished, save_run, train_in_folder

if TYPE_CHECKING:
    from herfast.dqn.agent import Agent


class EpochPrinter:
    """Callback that prints a line at the end of each epoch."""

    def __call__(self, agent: Agent) -> None:
        if agent.cycles % agent.config.cycles_per_epoch == 0:
            from tqdm import tqdm

            tqdm.write(_epoch_line(agent))  # a plain print would break the progress bar
            sys.stdout.flush()


class StopOnSignal:
    """Callback that stops training after a signal.

    Args:
        interruption: the signal that was received, if any.
    """

    def __init__(self, interruption: Interruption) -> None:
        self._interruption = interruption

    def __call__(self, agent: Agent) -> bool:
        return not self._interruption


def train_and_save(agent: Agent, folder: Path, checkpoint_every: int) -> int:
    """Train up to Config's `epochs` and `until`, and save the run.

    After the end of training, the plots are drawn and a summary is printed.

    Args:
        agent: the agent, new or resumed.
        folder: the run's folder, which the caller has locked.
        checkpoint_every: epochs from one checkpoint to the next. One is always written at the end.

    Returns:
        Exit code 0, or 1 if training diverged, or 128 plus the number of the signal that stopped training.

    Raises:
        UserError: the run cannot be written. The agent is saved first, if possible.
    """
    failure: OSError | None = None
    try:
        with catch_signals() as interruption:
            checkpoint = CheckpointCallback(folder, checkpoint_every, lambda: bool(interruption), warn=_warn)
            callbacks: list[Callback[Agent]] = [EpochPrinter(), checkpoint, StopOnSignal(interruption)]
            try:
                try:
                    train_in_folder(agent, folder, callbacks, progress_bar=sys.stderr.isatty())
                finally:
                    interruption.end_training()
            except CycleTimeout:  # in the middle of a cycle, from where training can be resumed, too
                interruption.end_training()
            except OSError as error:
                failure = error
            with user_errors():
                save_run(agent, folder)
                if failure is not None and not interruption:
                    raise failure
    except FloatingPointError as error:
        message = f"{error}; {folder / PROGRESS_FILE} contains the history so far"
        print_to_stderr(f"herfast: error: {message}")
        return 1
    except KeyboardInterrupt:
        print(f"Interrupted immediately without saving; {folder} contains {_list_files(folder)}")
        return 130
    if not is_finished(agent):
        print(
            f"Interrupted after {agent.cycles:,} cycles; {folder} contains {_list_files(folder)}; "
            f"to resume: herfast resume {shlex.quote(str(folder))}"
        )
        return exit_code(interruption)
    return complete_run(agent, folder)


def complete_run(agent: Agent, folder: Path) -> int:
    """Draw the plots and print the summary of a run whose files are saved; return 0."""
    draw_plots_if_possible(folder)
    print(_summary(agent, folder))
    return 0


def solved_text(agent: Agent) -> str:
    """Return by which criterion and in which epoch the agent was solved."""
    epoch = agent.history["epoch"][-1]
    return f"a greedy success rate of {agent.config.until} was reached and confirmed in epoch {epoch:,}"


def _warn(error: OSError) -> None:
    """Print a warning on stderr, above the progress bar."""
    from tqdm import tqdm

    tqdm.write(f"herfast: warning: {error}", file=sys.stderr)


def _epoch_line(agent: Agent) -> str:
    """Return the line of an epoch: means over its cycles and totals since the start."""
    history = agent.history
    cycles = slice(-agent.config.cycles_per_epoch, None)
    greedy = history["greedy_success"][-1]
    greedy_text = f"{greedy:.3f}"
    if np.isnan(greedy):
        greedy_text = "-"
    return (
        f"epoch {agent.cycles // agent.config.cycles_per_epoch}/{agent.config.epochs}"
        f"  success {np.mean(history['success'][cycles]):.3f}"
        f"  greedy {greedy_text}"
        f"  loss {np.mean(history['loss'][cycles]):.4g}"
        f"  steps {history['env_steps'][-1]:,}"
        f"  updates {history['updates'][-1]:,}"
        f"  {history['seconds'][-1]:.1f} s"
    )


def _summary(agent: Agent, folder: Path) -> str:
    """Return how training ended, the result on 1,000 new episodes, and the files."""
    history = agent.history
    totals = (
        f"{history['episodes'][-1]:,} episodes, {history['env_steps'][-1]:,} steps, "
        f"{history['updates'][-1]:,} updates, {history['seconds'][-1]:.1f} s"
    )
    end = f"All {agent.config.epochs:,} epochs are completed."
    if agent.solved:
        end = f"Solved: {solved_text(agent)}."
    result = agent.evaluate(1000, seed=agent.seed)
    return (
        f"{end} Totals: {totals}. "
        f"On {result.n_episodes:,} new episodes (seed {agent.seed}) the greedy policy has "
        f"a success rate of {result.success_rate:.1%}, a mean return of {result.mean_return:.1f} "
        f"and a mean length of {result.mean_length:.1f} steps. "
        f"{folder} contains {_list_files(folder)}."
    )


def _list_files(folder: Path) -> str:
    """Return the names of the run's files in `folder`, separated by commas."""
    return ", ".join(name for name in RUN_FILES if (folder / name).exists())
