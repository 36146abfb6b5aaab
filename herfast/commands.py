"""What the commands of `herfast` do, each a function that returns the exit code. The flags are in `herfast.cli`.

What was asked for is checked first, and refused in one sentence; what goes wrong after that is a fault of ours and
shows its traceback. The agent, and with it Numba, is imported only by the commands that need one.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from herfast import runs, show, sweeps
from herfast.bits import unpack_bits
from herfast.checks import check_integer
from herfast.config import Config, Preset
from herfast.data import Role, n_words, stream
from herfast.envs import BitFlip
from herfast.figures import plot_sweep
from herfast.grid import widths
from herfast.refusal import Refused, refusing
from herfast.training import game_of, last_cycle, run, solved

if TYPE_CHECKING:
    from herfast.agent import Agent


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
    """Learn, and fill the run's folder. The exit code is `training.run`'s."""
    with ExitStack() as held:
        with refusing():
            check_integer("checkpoint_every", checkpoint_every, 1, 2**40)
            game = BitFlip(n_bits, max_steps)
            folder = out or Path("runs") / f"bitflip-{n_bits}-{preset}-seed{seed}"
            runs.check_free(folder, overwrite)
            from herfast.agent import Agent

            fields = asdict(config)
            agent = Agent(game, preset=preset, seed=seed, **fields)
            held.enter_context(runs.claimed(folder))
            runs.begin(folder, runs.description(game, preset, seed, fields))
        print(f"Learning {game_of(agent)}, preset {preset}, seed {seed}; the run is in {folder}", flush=True)
        return run(agent, folder, checkpoint_every)


def resume(
    folder: Path, epochs: int | Literal["kept"], until: float | Literal["kept"] | None, checkpoint_every: int
) -> int:
    """Go on with the run in `folder`, under its own settings but for the two that may be given anew. As `train`."""
    with ExitStack() as held:
        with refusing():
            check_integer("checkpoint_every", checkpoint_every, 1, 2**40)
            checkpoint = runs.resumable(folder)
            held.enter_context(runs.claimed(folder))
            from herfast.agent import Agent

            agent = Agent.load(checkpoint)
            anew: dict[str, Any]
            anew = {name: value for name, value in (("epochs", epochs), ("until", until)) if value != "kept"}
            agent.config = replace(agent.config, **anew)
            if agent.solved and until == "kept":
                raise ValueError(f"{folder} is solved, {solved(agent)}: ask for more with --until")
            if agent.cycles >= last_cycle(agent.config):
                done = agent.cycles // agent.config.cycles_per_epoch
                raise ValueError(
                    f"{folder} has done {done:,} of {agent.config.epochs:,} epochs: ask for more with --epochs"
                )
            runs.amend(folder, asdict(agent.config))
        after = f"after {agent.cycles:,} cycles, preset {agent.preset}, seed {agent.seed}"
        print(f"Resuming {game_of(agent)} {after}; the run is in {folder}", flush=True)
        return run(agent, folder, checkpoint_every)


def sweep(
    n_bits: tuple[int, ...],
    max_steps: int | None,
    preset: tuple[Preset, ...],
    seeds: int,
    out: Path,
    jobs: int | None,
    scheduler: str | None,
    **fields: tuple[Any, ...],
) -> int:
    """Learn the cells that are missing, and draw. 130 after Ctrl-C."""
    from tqdm import tqdm

    with refusing():
        values = {name: list(several) for name, several in fields.items() if several}
        if "hidden" in values:
            values["hidden"] = [widths(text) for text in values["hidden"]]
        plan = sweeps.planned(list(n_bits), list(preset), seeds, max_steps, values)
        folder, at_once = sweeps.checked_folder(out), sweeps.checked_jobs(jobs, scheduler)
    print(f"{len(plan):,} cells; their runs and {sweeps.RESULTS} are in {folder}", flush=True)

    def report(name: str, rows: list[dict[str, Any]]) -> None:
        tqdm.write(f"{name}  {_cell_line(rows)}")
        sys.stdout.flush()

    try:
        sweeps.carry_out(plan, folder, at_once, scheduler, sys.stderr.isatty(), report)
    except OSError as error:
        with refusing():
            raise error
    except KeyboardInterrupt:
        under_way = "saved" if scheduler is None else "given up"
        print(f"Interrupted, the cells under way are {under_way}; the same command goes on", flush=True)
        return 130
    try:
        return plot(folder)
    except Refused as reason:  # matplotlib is optional, and the sweep is complete without
        print(f"No plots: {reason}; then herfast plot {folder}")
    return 0


def _cell_line(rows: list[dict[str, Any]]) -> str:
    last = rows[-1]
    return (
        f"{'all epochs done' if last['ended'] == 'epochs' else last['ended']}: greedy {last['greedy_success']:.3f}"
        f"  epoch {last['epoch']:,}  updates {last['updates']:,}  {last['seconds']:.1f} s"
    )


def evaluate(path: Path, episodes: int, seed: int, no_revisit: bool) -> int:
    """Print what greedy play achieves on `episodes` games."""
    with refusing():
        check_integer("episodes", episodes, 1, 2**40)
        agent = _load(path)
        found = agent.evaluate(episodes, seed=seed, no_revisit=no_revisit)
    how = ", never flipping a bit back" if no_revisit else ""
    print(f"{found.n_episodes:,} games of {game_of(agent)}, seed {seed}{how}")
    print(f"success      {found.success_rate:.4f}")
    print(f"mean return  {found.mean_return:.2f}")
    print(f"mean length  {found.mean_length:.2f} steps")
    print(f"loop share   {found.loop_share:.4f} (games that ended going round in circles)")
    return 0


def play(path: Path, games: int, seed: int, watch: bool) -> int:
    """Write out `games` games: the first of those that `evaluate` counts with the same seed."""
    with refusing():
        check_integer("games", games, 1, 2**31 - 1)
        rng = stream(seed, Role.TEST)
        agent = _load(path)
    words = np.empty((2, 1, n_words(agent.env.n_bits)), np.uint64)  # the state, then the goal
    for _ in range(games):
        agent.env.reset(rng, *words)  # games are drawn one after the other, however many at once
        state, goal = unpack_bits(words[:, 0], agent.env.n_bits).view(np.int8)
        show.write(show.moments(agent, state, goal), watch)
    return 0


def plot(path: Path) -> int:
    """Draw the plots of a run or a sweep and print where they are."""
    with refusing():
        swept = (path / sweeps.RESULTS).exists()
        for picture in plot_sweep(sweeps.read_results(path), path) if swept else runs.plot(path):
            print(picture)
    return 0


def doctor(path: Path) -> int:
    """Print what an agent looks like from inside, with its replay if the run's folder holds it, and advice."""
    with refusing():
        agent = _load(path, runs.CHECKPOINT if (path / runs.CHECKPOINT).is_file() else runs.AGENT)
    after = f", after {agent.cycles:,} cycles" if agent.cycles else ""  # which an agent without its replay forgot
    print(f"{game_of(agent)}, preset {agent.preset}, seed {agent.seed}{after}")
    print(agent.diagnose())
    return 0


def _load(path: Path, name: str = runs.AGENT) -> Agent:
    from herfast.agent import Agent

    return Agent.load(runs.find(path, name))
