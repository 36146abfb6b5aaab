"""One run of `herfast train`: an agent learns, and its folder fills."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from herfast import runs
from herfast.config import Config
from herfast.interrupts import Interruption, Late, interruptible
from herfast.refusal import refusing

if TYPE_CHECKING:
    from herfast.agent import Agent


def run(agent: Agent, folder: Path, checkpoint_every: int) -> int:
    """Learn up to Config's `epochs` and `until`, saving every so many epochs and at the end, and draw.

    The exit code: 0, or 1 if learning diverged, or 128 and the number of a signal. Raises Refused if the run cannot be
    written, BrokenPipeError if nobody reads what is printed; all that was learnt is saved even then, if it can be.
    """
    try:
        with interruptible() as interruption:
            unwritten = _learn(agent, folder, checkpoint_every, interruption)
            with refusing():
                _save(agent, folder)
    except FloatingPointError as error:
        print(f"herfast: error: {error}; {folder / runs.PROGRESS} holds the history so far", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"Interrupted at once, saving nothing more; {folder} holds {_contents(folder)}")
        return 130
    if unwritten is not None and not interruption:
        if isinstance(unwritten, BrokenPipeError):
            raise unwritten
        with refusing():
            raise unwritten
    if not (agent.solved or agent.cycles >= last_cycle(agent.config)):
        print(
            f"Interrupted after {agent.cycles:,} cycles; {folder} holds {_contents(folder)}; "
            f"to go on: herfast train --resume {shlex.quote(str(folder))}"
        )
        return interruption.exit_code
    _draw(folder)
    print(_summary(agent, folder))
    return 0


def _learn(agent: Agent, folder: Path, checkpoint_every: int, interruption: Interruption) -> OSError | None:
    """Learn until the end, a signal, or something that cannot be written, which is returned."""
    try:
        try:
            _learn_and_write(agent, folder, checkpoint_every, interruption)
        finally:
            interruption.learning_ends()
    except Late:  # in the midst of a cycle, from where it can go on all the same
        interruption.learning_ends()
    except OSError as error:
        return error
    return None


def _save(agent: Agent, folder: Path) -> None:
    agent.save(folder / runs.AGENT)
    agent.save(folder / runs.CHECKPOINT, replay=True)


def _learn_and_write(agent: Agent, folder: Path, checkpoint_every: int, interruption: Interruption) -> None:
    """Learn until the end or a signal, with a line an epoch and now and then a checkpoint.

    A checkpoint that cannot be written is no reason to stop while the one before is there.
    """
    from tqdm import tqdm

    def after_epoch(epoch: int, go_on: bool) -> None:
        tqdm.write(_epoch_line(agent.history, agent.config))  # a plain print would break the progress bar
        sys.stdout.flush()
        if go_on and epoch % checkpoint_every == 0:
            try:
                _save(agent, folder)
            except OSError as error:
                if not (folder / runs.CHECKPOINT).exists():
                    raise
                tqdm.write(f"herfast: warning: {error}", file=sys.stderr)

    learn_in(agent, folder, lambda: bool(interruption), after_epoch, progress_bar=sys.stderr.isatty())


def learn_in(
    agent: Agent,
    folder: Path,
    stopped: Callable[[], bool],
    after_epoch: Callable[[int, bool], None],
    progress_bar: bool = False,
) -> None:
    """Learn up to Config's `epochs` and `until`, or until `stopped`, writing the history into `folder` as it grows.

    `after_epoch` is told how many epochs are done, and whether learning goes on.
    """
    config, last = agent.config, last_cycle(agent.config)
    with runs.Progress(folder) as progress:
        progress.write(agent.history)

        def after_cycle(agent: Agent) -> bool:
            progress.write(agent.history)
            epoch, within = divmod(agent.cycles, config.cycles_per_epoch)
            go_on = agent.cycles < last and not agent.solved and not stopped()
            if within == 0:
                after_epoch(epoch, go_on)
            return go_on

        epochs = -(-(last - agent.cycles) // config.cycles_per_epoch)  # one begun counts, `after_cycle` ends it in time
        agent.learn(epochs, until=config.until, progress_bar=progress_bar, callback=after_cycle)


def last_cycle(config: Config) -> int:
    return config.epochs * config.cycles_per_epoch


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


def _draw(folder: Path) -> None:
    try:
        runs.plot(folder)
    except ImportError as error:  # matplotlib is optional, and the run is complete without
        print(f"No plots: {error}; then herfast plot {folder}")


def _summary(agent: Agent, folder: Path) -> str:
    """One paragraph: how learning ended, what greedy play achieves on games that had no part in that, and the files."""
    history = agent.history
    totals = {name: history[name][-1] for name in ("episodes", "env_steps", "updates", "seconds")}
    end = f"Solved, {solved(agent)}" if agent.solved else f"All {agent.config.epochs:,} epochs are done"
    found = agent.evaluate(1000, seed=agent.seed)
    return (
        f"{end}: {totals['episodes']:,} episodes, {totals['env_steps']:,} steps, {totals['updates']:,} updates, "
        f"{totals['seconds']:.1f} s. On {found.n_episodes:,} fresh games (seed {agent.seed}) greedy play succeeds in "
        f"{found.success_rate:.1%}, with a mean return of {found.mean_return:.1f} and a mean length of "
        f"{found.mean_length:.1f} steps. {folder} holds {_contents(folder)}."
    )


def solved(agent: Agent) -> str:
    rate, epoch = agent.config.until, agent.history["epoch"][-1]
    return f"a greedy success of {rate} being reached and confirmed in epoch {epoch:,}"


def _contents(folder: Path) -> str:
    return ", ".join(name for name in runs.OWN_FILES if (folder / name).exists())


def game_of(agent: Agent) -> str:
    return f"{agent.env.n_bits:,} bits in at most {agent.env.max_steps:,} steps"
