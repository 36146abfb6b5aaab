"""Training of an agent in a run folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from herfast.callbacks.base import Callback
from herfast.callbacks.text_logs import CsvLog
from herfast.config import Config
from herfast.experiments.run import AGENT_FILE, CHECKPOINT_FILE, PROGRESS_FILE

if TYPE_CHECKING:
    from herfast.dqn.agent import Agent


def save_run(agent: Agent, folder: Path) -> None:
    """Write checkpoint.safetensors and agent.safetensors. Raises OSError."""
    agent.save(folder / CHECKPOINT_FILE, replay=True)  # first, since an agent alone cannot be resumed
    agent.save(folder / AGENT_FILE)


def complete_files(agent: Agent, folder: Path) -> None:
    """Write progress.csv and agent.safetensors of a finished run. Raises OSError."""
    with CsvLog(folder / PROGRESS_FILE) as log:
        log(agent)
    agent.save(folder / AGENT_FILE)


class CheckpointCallback:
    """Callback of `Agent.learn` that saves the agent every few epochs.

    It does not save after the last cycle: the caller of `learn` does.

    Args:
        folder: the run's folder.
        every: epochs from one checkpoint to the next.
        stopped: returns True if training is about to stop, so that the caller of `learn` saves.
        save: function that writes the files of an agent to a folder.
        warn: called with the OSError if saving fails while an older checkpoint exists. Without `warn`, or
            without an older checkpoint, the error is raised.
    """

    def __init__(
        self,
        folder: Path,
        every: int,
        stopped: Callable[[], bool],
        save: Callable[[Agent, Path], None] = save_run,
        warn: Callable[[OSError], None] | None = None,
    ) -> None:
        self._folder = folder
        self._every = every
        self._stopped = stopped
        self._save = save
        self._warn = warn

    def __call__(self, agent: Agent) -> None:
        epoch, cycle_of_epoch = divmod(agent.cycles, agent.config.cycles_per_epoch)
        if cycle_of_epoch or epoch % self._every or is_finished(agent) or self._stopped():
            return
        try:
            self._save(agent, self._folder)
        except OSError as error:
            if self._warn is None or not (self._folder / CHECKPOINT_FILE).exists():
                raise
            self._warn(error)


def train_in_folder(
    agent: Agent, folder: Path, callbacks: Sequence[Callback[Agent]], progress_bar: bool = False
) -> None:
    """Train up to Config's `epochs` and `until`, and write progress.csv.

    Args:
        agent: the agent, which may have been trained before.
        folder: the run's folder.
        callbacks: called after each cycle, when progress.csv has its row. One that returns False ends
            training.
        progress_bar: whether to show a progress bar on stderr.

    Raises:
        OSError: progress.csv cannot be written.
        FloatingPointError: training diverged.
    """
    with CsvLog(folder / PROGRESS_FILE) as log:
        log(agent)
        remaining_cycles = last_cycle(agent.config) - agent.cycles
        epochs = -(-remaining_cycles // agent.config.cycles_per_epoch)  # rounded up
        agent.learn(
            epochs,
            until=agent.config.until,
            progress_bar=progress_bar,
            callback=[log, *callbacks, lambda agent: not is_finished(agent)],
        )


def is_finished(agent: Agent) -> bool:
    """Return True if `until` is reached or all of Config's `epochs` are done."""
    return agent.solved or agent.cycles >= last_cycle(agent.config)


def last_cycle(config: Config) -> int:
    """Return the number of cycles in Config's `epochs`."""
    return config.epochs * config.cycles_per_epoch
