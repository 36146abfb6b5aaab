"""What the commands of `herfast` do, each a function that returns the exit code. The flags are in `herfast.cli`.

What was asked for is checked first, and refused in one sentence; what goes wrong after that is a fault of ours and
shows its traceback. The agent, and with it Numba, is imported only by the commands that need one.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from herfast import __version__, runs
from herfast.bits import check_integer
from herfast.config import Config, Preset
from herfast.envs import BitFlip
from herfast.gym_envs import BitFlipEnv

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
    n_bits: int, max_steps: int | None, preset: Preset, seed: int, out: Path | None, overwrite: bool, config: Config
) -> int:
    """Learn, and fill the run's folder. 0, or 1 if learning diverged, or 130 if it was interrupted."""
    with _refusing():
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
    try:
        finished = _learn(agent, folder)
    except FloatingPointError as error:
        print(f"herfast: error: {error}; {folder / runs.PROGRESS} holds the history so far", file=sys.stderr)
        return 1
    agent.save(folder / runs.AGENT)
    if len(agent.history["epoch"]):
        _draw(folder)
    if not finished:
        print(f"Interrupted after {len(agent.history['epoch']):,} cycles; {folder} holds {_contents(folder)}")
        return 130
    print(_summary(agent, folder))
    return 0


def _learn(agent: Agent, folder: Path) -> bool:
    """Learn, writing the history as it grows and a line per epoch. Returns False if the user interrupted it."""
    from tqdm import tqdm

    with runs.Progress(folder) as progress:

        def after_cycle(agent: Agent) -> None:
            progress.write(agent.history)
            if len(agent.history["epoch"]) % agent.config.cycles_per_epoch == 0:
                tqdm.write(_epoch_line(agent.history, agent.config))  # a plain print would break the progress bar
                sys.stdout.flush()

        try:
            agent.learn(progress_bar=sys.stderr.isatty(), callback=after_cycle)
        except KeyboardInterrupt:
            return False
        finally:
            progress.write(agent.history)  # a cycle that was interrupted between its end and its callback
    return True


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
    history, config, seed = agent.history, agent.config, agent.seed + 1
    totals = {name: history[name][-1] for name in ("episodes", "env_steps", "updates", "seconds")}
    n_epochs = history["epoch"][-1]
    if n_epochs < config.epochs:
        end = f"Stopped after epoch {n_epochs}, a greedy success of {config.until} being reached and confirmed"
    else:
        end = f"All {config.epochs} epochs are done"
    found = agent.evaluate(1000, seed=seed)
    return (
        f"{end}: {totals['episodes']:,} episodes, {totals['env_steps']:,} steps, {totals['updates']:,} updates, "
        f"{totals['seconds']:.1f} s. On {found.n_episodes:,} fresh games (seed {seed}) greedy play succeeds in "
        f"{found.success_rate:.1%}, with a mean return of {found.mean_return:.1f} and a mean length of "
        f"{found.mean_length:.1f} steps. {folder} holds {_contents(folder)}."
    )


def _contents(folder: Path) -> str:
    return ", ".join(name for name in runs.OWN_FILES if (folder / name).exists())


def evaluate(path: Path, episodes: int, seed: int) -> int:
    """Print what greedy play achieves on `episodes` games."""
    with _refusing():
        agent = _load(path)
        found = agent.evaluate(episodes, seed=seed)
    print(f"{found.n_episodes:,} games of {_game_of(agent)}, seed {seed}")
    print(f"success      {found.success_rate:.4f}")
    print(f"mean return  {found.mean_return:.2f}")
    print(f"mean length  {found.mean_length:.2f} steps")
    print(f"loop share   {found.loop_share:.4f} (games that ended going round in circles)")
    return 0


def play(path: Path, games: int, seed: int) -> int:
    """Write out `games` games."""
    with _refusing():
        check_integer("games", games, 1, 2**31 - 1)
        check_integer("seed", seed, 0, 2**63 - 1)
        agent = _load(path)
    env = BitFlipEnv(agent.env.n_bits, agent.env.max_steps)
    for number in range(games):
        for line in _game(agent, env, seed if number == 0 else None):
            print(line)
    return 0


def _game(agent: Agent, env: BitFlipEnv, seed: int | None) -> Iterator[str]:
    """The lines of one game: goal, start, the state after each step, and how it ended."""
    observation, _ = env.reset(seed=seed)
    yield "NEW GAME"
    yield f"goal       {_text(observation['desired_goal'])}"
    yield f"start      {_text(observation['observation'])}  {_distance(observation)} to go"
    over = False
    while not over:
        bit = int(agent.predict(observation)[0])
        observation, _, terminated, truncated, info = env.step(np.int64(bit))
        over = terminated or truncated
        yield f"flip {bit:5d} {_text(observation['observation'])}  {_distance(observation)} to go"
        yield " " * (11 + bit) + "^"
    yield f"{'WON' if terminated else 'LOST'} AFTER {info['elapsed_steps']} STEPS"
    yield ""


def _text(bits: NDArray[np.int8]) -> str:
    return "".join(map(str, bits))


def _distance(observation: Mapping[str, NDArray[np.int8]]) -> int:
    return int((observation["achieved_goal"] != observation["desired_goal"]).sum())


def plot(path: Path) -> int:
    """Draw the plots of a run and print where they are."""
    with _refusing():
        for picture in runs.plot(path):
            print(picture)
    return 0


def _load(path: Path) -> Agent:
    from herfast.agent import Agent

    return Agent.load(runs.find(path, runs.AGENT))


def _game_of(agent: Agent) -> str:
    return f"{agent.env.n_bits:,} bits in at most {agent.env.max_steps:,} steps"
