"""What the commands of `herfast` do, each a function that returns the exit code. The flags are in `herfast.cli`.

What was asked for is checked first, and refused in one sentence; what goes wrong after that is a fault of ours and
shows its traceback. The agent, and with it Numba, is imported only by the commands that need one.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from herfast import __version__, runs
from herfast.bits import unpack_bits
from herfast.checks import check_integer
from herfast.config import Config, Preset
from herfast.data import Role, Words, n_words, stream
from herfast.envs import BitFlip
from herfast.interrupts import Interruption, Late, interruptible

if TYPE_CHECKING:
    from herfast.agent import Agent


class Refused(Exception):
    """What was asked for cannot be done; the message is one sentence for the user."""


@contextmanager
def _refusing() -> Iterator[None]:
    """Turn what the checks at the door raise into a refusal."""
    try:
        yield
    except OSError as error:
        raise Refused(f"{error.strerror}: {error.filename}" if error.strerror else error) from error
    except (ValueError, TypeError, MemoryError, ImportError) as error:
        raise Refused(error) from error


def train(
    n_bits: int,
    max_steps: int | None,
    preset: Preset,
    seed: int,
    out: Path | None,
    overwrite: bool,
    checkpoint_every: int,
    config: Config,
) -> int:
    """Learn, and fill the run's folder. 0, or 1 if learning diverged, or 128 and the number of a signal."""
    with _refusing():
        check_integer("checkpoint_every", checkpoint_every, 1, 2**40)
        game = BitFlip(n_bits, max_steps)
        folder = out or Path("runs") / f"bitflip-{n_bits}-{preset}-seed{seed}"
        runs.check_free(folder, overwrite)
        from herfast.agent import Agent

        fields = asdict(config)
        agent = Agent(game, preset=preset, seed=seed, **fields)
        what = {"id": "BitFlip", "n_bits": game.n_bits, "max_steps": game.max_steps}  # as in the agent's file
        asked = {"herfast": __version__, "environment": what, "preset": preset, "seed": seed, "config": fields}
        runs.begin(folder, asked)
    print(f"Learning {_game_of(agent)}, preset {preset}, seed {seed}; the run is in {folder}", flush=True)
    return _run(agent, folder, checkpoint_every)


def resume(
    folder: Path, epochs: int | Literal["kept"], until: float | Literal["kept"] | None, checkpoint_every: int
) -> int:
    """Go on with the run in `folder`, under its own settings but for the two that may be given anew. As `train`."""
    with _refusing():
        check_integer("checkpoint_every", checkpoint_every, 1, 2**40)
        checkpoint = runs.resumable(folder)
        from herfast.agent import Agent

        agent = Agent.load(checkpoint)
        anew: dict[str, Any]
        anew = {name: value for name, value in (("epochs", epochs), ("until", until)) if value != "kept"}
        agent.config = replace(agent.config, **anew)
        if agent.solved and until == "kept":
            raise ValueError(f"{folder} is solved, {_solved(agent)}: ask for more with --until")
        if agent.cycles >= _last_cycle(agent):
            done = agent.cycles // agent.config.cycles_per_epoch
            raise ValueError(
                f"{folder} has done {done:,} of {agent.config.epochs:,} epochs: ask for more with --epochs"
            )
        runs.amend(folder, asdict(agent.config))
    after = f"after {agent.cycles:,} cycles, preset {agent.preset}, seed {agent.seed}"
    print(f"Resuming {_game_of(agent)} {after}; the run is in {folder}", flush=True)
    return _run(agent, folder, checkpoint_every)


def _run(agent: Agent, folder: Path, checkpoint_every: int) -> int:
    """Learn up to Config's `epochs` and `until`, then save and draw; the exit code."""
    unwritten: OSError | None = None
    try:
        with interruptible() as interruption:
            try:
                _learn(agent, folder, checkpoint_every, interruption)
                interruption.learning_ends()
            except Late:
                pass  # in the midst of a cycle, from where it can go on all the same
            except OSError as error:  # a full disk, or nobody who reads on: what was learnt may yet be saved
                unwritten = error
            with _refusing():
                _save(agent, folder)
    except FloatingPointError as error:
        print(f"herfast: error: {error}; {folder / runs.PROGRESS} holds the history so far", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"Interrupted at once, saving nothing more; {folder} holds {_contents(folder)}")
        return 130
    if unwritten is not None:
        with _refusing():
            raise unwritten
    if interruption and not (agent.solved or agent.cycles >= _last_cycle(agent)):
        print(
            f"Interrupted after {agent.cycles:,} cycles; {folder} holds {_contents(folder)}; "
            f"to go on: herfast train --resume {shlex.quote(str(folder))}"
        )
        return 128 + (interruption.signal or 0)
    _draw(folder)
    print(_summary(agent, folder))
    return 0


def _save(agent: Agent, folder: Path) -> None:
    agent.save(folder / runs.AGENT)
    agent.save(folder / runs.CHECKPOINT, replay=True)


def _learn(agent: Agent, folder: Path, checkpoint_every: int, interruption: Interruption) -> None:
    """Learn until the end or a signal, writing the history as it grows, a line an epoch and now and then a checkpoint.

    A checkpoint that cannot be written is no reason to stop: the one before is still there, and so is the agent.
    """
    from tqdm import tqdm

    config, last = agent.config, _last_cycle(agent)
    with runs.Progress(folder) as progress:
        progress.write(agent.history)

        def after_cycle(agent: Agent) -> bool:
            progress.write(agent.history)
            epoch, within = divmod(agent.cycles, config.cycles_per_epoch)
            go_on = agent.cycles < last and not interruption
            if within == 0:
                tqdm.write(_epoch_line(agent.history, config))  # a plain print would break the progress bar
                sys.stdout.flush()
                if go_on and epoch % checkpoint_every == 0:
                    try:
                        _save(agent, folder)
                    except OSError as error:
                        tqdm.write(f"herfast: warning: {error}", file=sys.stderr)
            return go_on

        epochs = -(-(last - agent.cycles) // config.cycles_per_epoch)  # one begun counts, `after_cycle` ends it in time
        agent.learn(epochs, until=config.until, progress_bar=sys.stderr.isatty(), callback=after_cycle)


def _last_cycle(agent: Agent) -> int:
    return agent.config.epochs * agent.config.cycles_per_epoch


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
    end = f"Solved, {_solved(agent)}" if agent.solved else f"All {agent.config.epochs:,} epochs are done"
    found = agent.evaluate(1000, seed=agent.seed)
    return (
        f"{end}: {totals['episodes']:,} episodes, {totals['env_steps']:,} steps, {totals['updates']:,} updates, "
        f"{totals['seconds']:.1f} s. On {found.n_episodes:,} fresh games (seed {agent.seed}) greedy play succeeds in "
        f"{found.success_rate:.1%}, with a mean return of {found.mean_return:.1f} and a mean length of "
        f"{found.mean_length:.1f} steps. {folder} holds {_contents(folder)}."
    )


def _solved(agent: Agent) -> str:
    rate, epoch = agent.config.until, agent.history["epoch"][-1]
    return f"a greedy success of {rate} being reached and confirmed in epoch {epoch:,}"


def _contents(folder: Path) -> str:
    return ", ".join(name for name in runs.OWN_FILES if (folder / name).exists())


def evaluate(path: Path, episodes: int, seed: int) -> int:
    """Print what greedy play achieves on `episodes` games."""
    with _refusing():
        check_integer("episodes", episodes, 1, 2**40)
        agent = _load(path)
        found = agent.evaluate(episodes, seed=seed)
    print(f"{found.n_episodes:,} games of {_game_of(agent)}, seed {seed}")
    print(f"success      {found.success_rate:.4f}")
    print(f"mean return  {found.mean_return:.2f}")
    print(f"mean length  {found.mean_length:.2f} steps")
    print(f"loop share   {found.loop_share:.4f} (games that ended going round in circles)")
    return 0


def play(path: Path, games: int, seed: int) -> int:
    """Write out `games` games: the first of those that `evaluate` counts with the same seed."""
    with _refusing():
        check_integer("games", games, 1, 2**31 - 1)
        rng = stream(seed, Role.TEST)
        agent = _load(path)
    words = np.empty((2, 1, n_words(agent.env.n_bits)), np.uint64)  # the state, then the goal
    for _ in range(games):
        agent.env.reset(rng, *words)  # games are drawn one after the other, however many at once
        for line in _game(agent, words):
            print(line)
    return 0


def _game(agent: Agent, words: Words) -> Iterator[str]:
    """The lines of the game that starts from `words`: goal, start, the state after each step, and how it ended."""
    state, goal = unpack_bits(words[:, 0], agent.env.n_bits).view(np.int8)
    yield "NEW GAME"
    yield f"goal       {_text(goal)}"
    yield f"start      {_text(state)}  {_distance(state, goal)} to go"
    steps = 0
    while _distance(state, goal) and steps < agent.env.max_steps:
        bit = int(agent.predict({"observation": state, "desired_goal": goal})[0])
        state[bit] ^= 1
        steps += 1
        yield f"flip {bit:5d} {_text(state)}  {_distance(state, goal)} to go"
        yield " " * (11 + bit) + "^"
    yield f"{'LOST' if _distance(state, goal) else 'WON'} AFTER {steps} STEPS"
    yield ""


def _text(bits: NDArray[np.int8]) -> str:
    return "".join(map(str, bits))


def _distance(state: NDArray[np.int8], goal: NDArray[np.int8]) -> int:
    return int((state != goal).sum())


def plot(path: Path) -> int:
    """Draw the plots of a run and print where they are."""
    with _refusing():
        for picture in runs.plot(path):
            print(picture)
    return 0


def doctor(path: Path) -> int:
    """Print what an agent looks like from inside, with its replay if the run's folder holds it, and advice."""
    with _refusing():
        agent = _load(path, runs.CHECKPOINT if (path / runs.CHECKPOINT).is_file() else runs.AGENT)
    after = f", after {agent.cycles:,} cycles" if agent.cycles else ""  # which an agent without its replay forgot
    print(f"{_game_of(agent)}, preset {agent.preset}, seed {agent.seed}{after}")
    print(agent.diagnose())
    return 0


def _load(path: Path, name: str = runs.AGENT) -> Agent:
    from herfast.agent import Agent

    return Agent.load(runs.find(path, name))


def _game_of(agent: Agent) -> str:
    return f"{agent.env.n_bits:,} bits in at most {agent.env.max_steps:,} steps"
