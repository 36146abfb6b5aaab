"""Commands of `herfast`: functions that return the exit code.

Their arguments are the options in `herfast.cli.options`. Each command validates them first and raises
UserError if one is invalid; later exceptions are bugs and keep their traceback. Only the commands that need
an agent import it, since that imports Numba.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from herfast.cli.errors import UserError, user_errors
from herfast.cli.playback import Predict, begin_next, play_episode, write_episode
from herfast.cli.plots import draw_plots, draw_plots_if_possible
from herfast.cli.signals import exit_code, raise_signals
from herfast.cli.train import complete_run, solved_text, train_and_save
from herfast.cli.values import chosen_env, parse_widths
from herfast.common.atomic_file import locked
from herfast.common.batches import n_words
from herfast.common.bits import pack_bits
from herfast.common.console import lossy_output
from herfast.common.seeding import Role, stream
from herfast.common.validation import check_integer
from herfast.config import Config
from herfast.envs.base import GoalEnv, stateful
from herfast.envs.bit_flip import BitFlip
from herfast.envs.registry import env_label
from herfast.envs.rendering import Bits
from herfast.experiments.run import (
    AGENT_FILE,
    CHECKPOINT_FILE,
    check_folder_free,
    create_run,
    describe_run,
    find_checkpoint,
    find_file,
    load_run,
    update_config,
)
from herfast.experiments.run_training import complete_files, is_finished, last_cycle
from herfast.experiments.sweep import TrialError, check_sweep_folder, run_trials
from herfast.experiments.sweep_folder import RESULTS_FILE
from herfast.experiments.sweep_plan import check_jobs, plan_trials, sweep_envs
from herfast.presets import Preset

if TYPE_CHECKING:
    from herfast.dqn.agent import Agent


@lossy_output()
def train(
    n_bits: int | None,
    max_steps: int | None,
    env: str | None,
    env_kwargs: tuple[str, ...],
    preset: Preset,
    seed: int,
    out: Path | None,
    overwrite: bool,
    checkpoint_every: int,
    threads: int | None,
    config: Config,
) -> int:
    """Train an agent and write the run to its folder.

    Returns the exit code of `train_and_save`.
    """
    with ExitStack() as held:
        with user_errors():
            check_integer("checkpoint_every", checkpoint_every, 1, 2**40)
            goal_env = chosen_env(n_bits, max_steps, env, env_kwargs)
            folder = out or Path("runs") / f"{_run_label(goal_env)}-{preset}-seed{seed}"
            check_folder_free(folder, overwrite)  # before its creation; again below, under the lock
            from herfast.dqn.agent import Agent

            fields = asdict(config)
            agent = Agent(goal_env, preset=preset, seed=seed, threads=threads, **fields)
            held.enter_context(locked(folder))
            check_folder_free(folder, overwrite)
            create_run(folder, describe_run(goal_env, preset, seed, fields))
        print(
            f"Training on {agent.env.describe()}, preset {preset}, seed {seed}; the run is in {folder}",
            flush=True,
        )
        return train_and_save(agent, folder, checkpoint_every)


def _run_label(env: GoalEnv) -> str:
    """Return the name of an environment in the default name of a run's folder."""
    if isinstance(env, BitFlip) and env == BitFlip(env.n_bits, env.max_steps):  # no other arguments
        return f"bitflip-{env.n_bits}"
    return env_label(env)


@lossy_output()
def resume(
    folder: Path, epochs: int | Literal["kept"], until: float | Literal["kept"] | None, checkpoint_every: int
) -> int:
    """Resume the run in `folder` with its settings.

    `epochs` and `until` replace the settings of the run, unless they are "kept". If both are kept and the run
    is finished, its files, plots and summary are made again. Returns the exit code of `train_and_save`.
    """
    with ExitStack() as held:
        with user_errors():
            check_integer("checkpoint_every", checkpoint_every, 1, 2**40)
            find_checkpoint(folder)  # before the lock, which creates a missing folder; again below, under it
            held.enter_context(locked(folder))
            agent = load_run(folder)
            changes: dict[str, Any] = {}
            if epochs != "kept":
                changes["epochs"] = epochs
            if until != "kept":
                changes["until"] = until
            agent.config = replace(agent.config, **changes)
            if not changes and is_finished(agent):  # perhaps the process ended before it was complete
                complete_files(agent, folder)
                return complete_run(agent, folder)
            if agent.solved and until == "kept":
                raise ValueError(f"{folder} is solved: {solved_text(agent)}; change --until to continue")
            if agent.cycles >= last_cycle(agent.config):  # `solved` may be false
                done = agent.cycles // agent.config.cycles_per_epoch
                raise ValueError(
                    f"{folder} has completed {done:,} of {agent.config.epochs:,} epochs: "
                    "increase --epochs to continue"
                )
            update_config(folder, asdict(agent.config))
        after = f"after {agent.cycles:,} cycles, preset {agent.preset}, seed {agent.seed}"
        print(f"Resuming training on {agent.env.describe()} {after}; the run is in {folder}", flush=True)
        return train_and_save(agent, folder, checkpoint_every)


@lossy_output()
@raise_signals()
def sweep(
    n_bits: tuple[int, ...],
    max_steps: int | None,
    env: str | None,
    env_kwargs: tuple[str, ...],
    preset: tuple[Preset, ...],
    seeds: int,
    out: Path,
    jobs: int | None,
    scheduler: str | None,
    **fields: tuple[Any, ...],
) -> int:
    """Train the missing trials of a sweep and draw its plots.

    Returns the exit code 0, or 128 plus the number of the signal that stopped the sweep.
    """
    from tqdm import tqdm

    with user_errors():
        values = {name: list(values) for name, values in fields.items() if values}
        if "hidden" in values:
            values["hidden"] = [parse_widths(text) for text in values["hidden"]]
        envs = [chosen_env(size, max_steps, env, env_kwargs) for size in n_bits or (None,)]
        trials = plan_trials(sweep_envs(None, None, envs), list(preset), seeds, values)
        folder = check_sweep_folder(out)
        n_jobs = check_jobs(jobs, scheduler, trials, folder)
    print(f"{len(trials):,} trials; their runs and {RESULTS_FILE} are in {folder}", flush=True)

    def report(name: str, rows: list[dict[str, Any]]) -> None:
        tqdm.write(f"{name}  {_trial_line(rows)}")
        sys.stdout.flush()

    try:
        run_trials(trials, folder, n_jobs, scheduler, sys.stderr.isatty(), report)
    except TrialError as error:
        raise UserError(error) from error
    except (ImportError, OSError) as error:
        with user_errors():
            raise error
    except KeyboardInterrupt as interrupt:
        unfinished = "saved"
        if scheduler is not None:
            unfinished = "discarded"
        print(
            f"Interrupted: unfinished trials are {unfinished}; run the same command again to continue",
            flush=True,
        )
        return exit_code(interrupt)
    for picture in draw_plots_if_possible(folder):
        print(picture)
    return 0


def _trial_line(rows: list[dict[str, Any]]) -> str:
    """Return how a trial ended, and its results at the end."""
    last = rows[-1]
    ended = last["ended"]
    if ended == "epochs":
        ended = "all epochs completed"
    return (
        f"{ended}: greedy {last['greedy_success']:.3f}"
        f"  epoch {last['epoch']:,}  updates {last['updates']:,}  {last['seconds']:.1f} s"
    )


def evaluate(path: Path, episodes: int, seed: int, threads: int | None, no_revisit: bool) -> int:
    """Print the results of the greedy policy on test episodes."""
    with user_errors():
        check_integer("episodes", episodes, 1, 2**40)
        agent = _load_agent(path)
        agent.threads = threads
        result = agent.evaluate(episodes, seed=seed, no_revisit=no_revisit)
    restriction = ""
    if no_revisit:
        restriction = ", no state visited twice"
    print(f"{result.n_episodes:,} episodes of {agent.env.describe()}, seed {seed}{restriction}")
    print(f"success      {result.success_rate:.4f}")
    print(f"mean return  {result.mean_return:.2f}")
    print(f"mean length  {result.mean_length:.2f} steps")
    print(f"loop rate    {result.loop_share:.4f} (episodes that ended in a repeated state)")
    return 0


@raise_signals()  # an animation has to show the cursor at its end
def play(path: Path, games: int, seed: int, watch: bool) -> int:
    """Print the first `games` episodes that `evaluate` plays with the same seed."""
    with user_errors():
        check_integer("games", games, 1, 2**31 - 1)
        rng = stream(seed, Role.TEST)
        agent = _load_agent(path)
    env = agent.env
    states = np.empty((1, n_words(env.n_state_bits)), np.uint64)
    goals = np.empty((1, n_words(env.n_goal_bits)), np.uint64)
    sub_envs = stateful(env)
    predict: Predict = agent.predict
    if sub_envs is not None:  # whose observations have another form
        predict = partial(_act_on_bits, agent)
    for game in range(games):
        if game == 0 or sub_envs is None:
            env.reset(rng, states, goals)  # draws the same episodes as one reset for all of them
        else:
            begin_next(sub_envs, states, goals)
        write_episode(play_episode(env, predict, states, goals), watch)
    return 0


def _act_on_bits(agent: Agent, observation: Mapping[str, Bits]) -> tuple[Any, None]:
    """Return the greedy action for bits of state and goal, as `Agent.predict`."""
    state = pack_bits(observation["observation"][np.newaxis])
    goal = pack_bits(observation["desired_goal"][np.newaxis])
    return agent.network.act(state, goal, agent.config.evaluate_with)[0], None


def plot(path: Path) -> int:
    """Draw the plots of a run or a sweep and print their paths."""
    for picture in draw_plots(path):
        print(picture)
    return 0


def doctor(path: Path) -> int:
    """Print a diagnosis of an agent.

    It includes the replay buffer if the run has a checkpoint.
    """
    with user_errors():
        name = AGENT_FILE
        if (path / CHECKPOINT_FILE).is_file():
            name = CHECKPOINT_FILE
        agent = _load_agent(path, name, replay=True)
    after = ""
    if agent.cycles:  # not stored in an agent's file without its replay buffer
        after = f", after {agent.cycles:,} cycles"
    print(f"{agent.env.describe()}, preset {agent.preset}, seed {agent.seed}{after}")
    print(agent.diagnose())
    return 0


def _load_agent(path: Path, name: str = AGENT_FILE, replay: bool = False) -> Agent:
    """Load the agent from a file, or from the file `name` of a run's folder."""
    from herfast.dqn.agent import Agent

    return Agent.load(find_file(path, name), replay=replay)
