"""What the commands of `herfast` do, each a function that returns the exit code. The options are in
`herfast.cli.options`.

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

from herfast.cli.errors import UserError, user_errors
from herfast.cli.playback import play_episode, write_episode
from herfast.cli.sweep_options import parse_widths
from herfast.cli.train import describe_env, solved_text, train_and_save
from herfast.common.atomic_file import locked
from herfast.common.batches import n_words
from herfast.common.bits import unpack_bits
from herfast.common.seeding import Role, stream
from herfast.common.validation import check_integer
from herfast.config import Config
from herfast.envs.bit_flip import BitFlip
from herfast.experiments.run import (
    AGENT_FILE,
    CHECKPOINT_FILE,
    check_folder_free,
    create_run,
    describe_run,
    find_checkpoint,
    find_file,
    last_cycle,
    plot_run_folder,
    update_config,
)
from herfast.experiments.sweep import (
    RESULTS_FILE,
    check_jobs,
    check_sweep_folder,
    plan_trials,
    read_results,
    run_trials,
)
from herfast.plotting.sweep_plots import plot_sweep
from herfast.presets import Preset

if TYPE_CHECKING:
    from herfast.dqn.agent import Agent


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
    """Learn, and fill the run's folder. The exit code is that of `train_and_save`."""
    with ExitStack() as held:
        with user_errors():
            check_integer("checkpoint_every", checkpoint_every, 1, 2**40)
            env = BitFlip(n_bits, max_steps)
            folder = out or Path("runs") / f"bitflip-{n_bits}-{preset}-seed{seed}"
            check_folder_free(folder, overwrite)
            from herfast.dqn.agent import Agent

            fields = asdict(config)
            agent = Agent(env, preset=preset, seed=seed, **fields)
            held.enter_context(locked(folder))
            create_run(folder, describe_run(env, preset, seed, fields))
        print(f"Learning {describe_env(agent)}, preset {preset}, seed {seed}; the run is in {folder}", flush=True)
        return train_and_save(agent, folder, checkpoint_every)


def resume(
    folder: Path, epochs: int | Literal["kept"], until: float | Literal["kept"] | None, checkpoint_every: int
) -> int:
    """Go on with the run in `folder`, under its own settings but for the two that may be given anew. As `train`."""
    with ExitStack() as held:
        with user_errors():
            check_integer("checkpoint_every", checkpoint_every, 1, 2**40)
            checkpoint = find_checkpoint(folder)
            held.enter_context(locked(folder))
            from herfast.dqn.agent import Agent

            agent = Agent.load(checkpoint)
            changes: dict[str, Any]
            changes = {name: value for name, value in (("epochs", epochs), ("until", until)) if value != "kept"}
            agent.config = replace(agent.config, **changes)
            if agent.solved and until == "kept":
                raise ValueError(f"{folder} is solved, {solved_text(agent)}: ask for more with --until")
            if agent.cycles >= last_cycle(agent.config):
                done = agent.cycles // agent.config.cycles_per_epoch
                raise ValueError(
                    f"{folder} has done {done:,} of {agent.config.epochs:,} epochs: ask for more with --epochs"
                )
            update_config(folder, asdict(agent.config))
        after = f"after {agent.cycles:,} cycles, preset {agent.preset}, seed {agent.seed}"
        print(f"Resuming {describe_env(agent)} {after}; the run is in {folder}", flush=True)
        return train_and_save(agent, folder, checkpoint_every)


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

    with user_errors():
        values = {name: list(values) for name, values in fields.items() if values}
        if "hidden" in values:
            values["hidden"] = [parse_widths(text) for text in values["hidden"]]
        plan = plan_trials(list(n_bits), list(preset), seeds, max_steps, values)
        folder, n_jobs = check_sweep_folder(out), check_jobs(jobs, scheduler)
    print(f"{len(plan):,} cells; their runs and {RESULTS_FILE} are in {folder}", flush=True)

    def report(name: str, rows: list[dict[str, Any]]) -> None:
        tqdm.write(f"{name}  {_trial_line(rows)}")
        sys.stdout.flush()

    try:
        run_trials(plan, folder, n_jobs, scheduler, sys.stderr.isatty(), report)
    except OSError as error:
        with user_errors():
            raise error
    except KeyboardInterrupt:
        unfinished = "saved" if scheduler is None else "given up"
        print(f"Interrupted, the cells under way are {unfinished}; the same command goes on", flush=True)
        return 130
    try:
        return plot(folder)
    except UserError as reason:  # matplotlib is optional, and the sweep is complete without
        print(f"No plots: {reason}; then herfast plot {folder}")
    return 0


def _trial_line(rows: list[dict[str, Any]]) -> str:
    last = rows[-1]
    return (
        f"{'all epochs done' if last['ended'] == 'epochs' else last['ended']}: greedy {last['greedy_success']:.3f}"
        f"  epoch {last['epoch']:,}  updates {last['updates']:,}  {last['seconds']:.1f} s"
    )


def evaluate(path: Path, episodes: int, seed: int, no_revisit: bool) -> int:
    """Print what greedy play achieves on `episodes` games."""
    with user_errors():
        check_integer("episodes", episodes, 1, 2**40)
        agent = _load_agent(path)
        result = agent.evaluate(episodes, seed=seed, no_revisit=no_revisit)
    how = ", never flipping a bit back" if no_revisit else ""
    print(f"{result.n_episodes:,} games of {describe_env(agent)}, seed {seed}{how}")
    print(f"success      {result.success_rate:.4f}")
    print(f"mean return  {result.mean_return:.2f}")
    print(f"mean length  {result.mean_length:.2f} steps")
    print(f"loop share   {result.loop_share:.4f} (games that ended going round in circles)")
    return 0


def play(path: Path, games: int, seed: int, watch: bool) -> int:
    """Write out `games` games: the first of those that `evaluate` counts with the same seed."""
    with user_errors():
        check_integer("games", games, 1, 2**31 - 1)
        rng = stream(seed, Role.TEST)
        agent = _load_agent(path)
    words = np.empty((2, 1, n_words(agent.env.n_bits)), np.uint64)  # the state, then the goal
    for _ in range(games):
        agent.env.reset(rng, *words)  # games are drawn one after the other, however many at once
        state, goal = unpack_bits(words[:, 0], agent.env.n_bits).view(np.int8)
        write_episode(play_episode(agent.env, agent.predict, state, goal), watch)
    return 0


def plot(path: Path) -> int:
    """Draw the plots of a run or a sweep and print where they are."""
    with user_errors():
        swept = (path / RESULTS_FILE).exists()
        for picture in plot_sweep(read_results(path), path) if swept else plot_run_folder(path):
            print(picture)
    return 0


def doctor(path: Path) -> int:
    """Print what an agent looks like from inside, with its replay if the run's folder holds it, and advice."""
    with user_errors():
        agent = _load_agent(path, CHECKPOINT_FILE if (path / CHECKPOINT_FILE).is_file() else AGENT_FILE)
    after = f", after {agent.cycles:,} cycles" if agent.cycles else ""  # which an agent without its replay forgot
    print(f"{describe_env(agent)}, preset {agent.preset}, seed {agent.seed}{after}")
    print(agent.diagnose())
    return 0


def _load_agent(path: Path, name: str = AGENT_FILE) -> Agent:
    from herfast.dqn.agent import Agent

    return Agent.load(find_file(path, name))
