"""The command line: flags, refusals, what a run leaves behind. A stand-in agent learns at once, so all but the last
tests are quick; those marked slow use the real one."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from support.terminal import SGR, terminal

import herfast
from herfast.callbacks import text_logs
from herfast.cli import main, options
from herfast.common import atomic_file, tensor_file
from herfast.common.seeding import Role, stream
from herfast.config import Config
from herfast.dqn.diagnosis import Diagnosis
from herfast.dqn.rollout import rollout
from herfast.experiments.run import AGENT_FILE, CHECKPOINT_FILE, CONFIG_FILE, PROGRESS_FILE
from herfast.plotting.run_plots import PLOT_FILES


class Evaluation(NamedTuple):
    n_episodes: int
    success_rate: float
    mean_return: float
    mean_length: float
    loop_share: float


PAUSE = 0  # to wait for a signal


class StandIn:
    """Has the agent's face, flips the first wrong bit (or, `lost`, bit 0), and records what it was asked."""

    made: list[StandIn]
    trouble: Sequence[int | BaseException] = ()  # signals to get and errors to raise, in cycle `trouble_in`
    trouble_in = 15
    lost = False

    def __init__(self, env: Any, preset: str, seed: int, **fields: Any) -> None:
        self.env, self.preset, self.seed, self.config = env, preset, seed, Config(**fields)
        self.history = {name: np.zeros(0) for name in ("success", "return", "loss", "seconds", "greedy_success")}
        self.history |= {name: np.zeros(0, np.int64) for name in ("epoch", "env_steps", "episodes", "updates")}
        self.cycles, self.solved = 0, False
        self.asked: list[Any] = []
        self.made.append(self)

    def learn(self, epochs: int, *, until: float | None, progress_bar: bool, callback: Any) -> None:
        self.asked.append((epochs, until))
        for cycle in range(self.cycles + 1, self.cycles + epochs * self.config.cycles_per_epoch + 1):
            for trouble in self.trouble if cycle == self.trouble_in else ():
                if isinstance(trouble, BaseException):
                    raise trouble
                if trouble == PAUSE:
                    assert 0 < signal.getitimer(signal.ITIMER_REAL)[0] <= 0.25
                    signal.pause()
                else:
                    signal.raise_signal(trouble)
            epoch, last = divmod(cycle - 1, self.config.cycles_per_epoch)
            greedy = min(1.0, 0.5 * (epoch + 1)) if last == self.config.cycles_per_epoch - 1 else np.nan
            row = {"epoch": epoch + 1, "success": cycle / 100, "return": -1.0, "loss": 1 / cycle, "seconds": cycle / 4}
            row |= {"greedy_success": greedy, "env_steps": 1000 * cycle, "episodes": 64 * cycle, "updates": 40 * cycle}
            self.history = {name: np.append(column, row[name]) for name, column in self.history.items()}
            self.cycles, self.solved = cycle, until is not None and greedy >= until
            if callback(self) is False or self.solved:
                return

    def evaluate(self, n_episodes: int, seed: int | None = None, no_revisit: bool = False) -> Evaluation:
        self.asked.append((n_episodes, seed, no_revisit) if no_revisit else (n_episodes, seed))
        return Evaluation(n_episodes, 0.996, -4.5, 5.496, 0.004)

    def predict(self, observation: Any) -> tuple[np.int64, None]:
        wrong = np.flatnonzero(observation["observation"] != observation["desired_goal"])
        return np.int64(0 if self.lost else wrong[0]), None

    def diagnose(self) -> Diagnosis:
        return Diagnosis(0.99, 0.0, 0.1, -9.0, 0.5, -50.0, 1.5, 0.2, 0.1, 0.5, "Do it.")

    def save(self, path: Path, *, replay: bool = False) -> None:
        state = {"history": {name: column.tolist() for name, column in self.history.items()}} if replay else {}
        state |= {"cycles": self.cycles, "solved": self.solved} if replay else {}
        game = [self.env.n_bits, self.env.max_steps, self.preset, self.seed]
        path.write_text(json.dumps([game, dataclasses.asdict(self.config), state]))

    @classmethod
    def load(cls, path: Path) -> StandIn:
        try:
            (n_bits, max_steps, preset, seed), fields, state = json.loads(path.read_text())
        except ValueError:
            raise ValueError(f"{path} is not a readable herfast file") from None
        agent = cls(herfast.BitFlip(n_bits, max_steps), preset, seed, **fields)
        if state:
            agent.history = {name: np.array(column) for name, column in state["history"].items()}
            agent.cycles, agent.solved = state["cycles"], state["solved"]
        return agent


@pytest.fixture
def agents(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[StandIn]:
    """Puts the stand-in in the agent's place, in an empty working folder; the list of agents made."""
    StandIn.made = []
    monkeypatch.setattr("herfast.dqn.agent.Agent", StandIn)
    monkeypatch.chdir(tmp_path)
    return StandIn.made


@pytest.fixture(autouse=True)
def interruptible() -> Any:
    """Ctrl-C as in a terminal, even where the tests run in the background, and back to that after each test."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    others = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGALRM)]
    yield
    assert signal.signal(signal.SIGINT, before) is signal.default_int_handler
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGALRM)] == others
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


@pytest.fixture
def run(agents: list[StandIn], capsys: pytest.CaptureFixture[str]) -> Path:
    """The folder of a run of 8 bits, without its plots (they take most of the time)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("herfast.experiments.run.plot_run", lambda *args: [])
        assert main.main(["train", "--n-bits", "8", "--out", "run"]) == 0
    capsys.readouterr()
    agents.clear()
    return Path("run")


def outcome(argv: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Exit code, stdout and stderr."""
    try:
        code = main.main(argv)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else -1
    return code, *capsys.readouterr()


def parsed(*argv: str) -> options.Train:
    command = options.parse(["train", *argv])
    assert isinstance(command, options.Train)
    return command


# ---- flags


@pytest.mark.parametrize("preset", ["fast", "paper", "notebook"])
@pytest.mark.parametrize(("n_bits", "max_steps"), [(5, None), (50, None), (200, 7), (300_000, None)])
def test_defaults_are_those_of_the_preset_at_that_size(preset: Any, n_bits: int, max_steps: int | None) -> None:
    command = parsed("--preset", preset, "--n-bits", str(n_bits), "--max-steps", str(max_steps))
    assert command.config == Config.preset(preset, options._EnvSize(n_bits, max_steps or n_bits))
    assert (command.n_bits, command.max_steps, command.preset) == (n_bits, max_steps, preset)
    assert parsed("--max_steps", str(max_steps), f"--n_bits={n_bits}", f"--preset={preset}") == command


def test_flags_override_the_preset() -> None:
    argv = "--n-bits 50 --gamma 0.9 --no-double-q --hidden 64 32 --until None --epsilon linear --capacity 999 --seed 4"
    command = parsed(*argv.split(), "--out", "some/where", "--overwrite")
    changed = {"gamma": 0.9, "double_q": False, "hidden": (64, 32), "until": None, "epsilon": "linear", "capacity": 999}
    assert command.config == Config.preset("fast", options._EnvSize(50, 50), **changed)
    assert (command.seed, command.out, command.overwrite) == (4, Path("some/where"), True)
    assert parsed("--n-bits", "50", "--until", "0.5").config.until == 0.5


@pytest.mark.parametrize(
    ("argv", "hidden", "epochs"),
    [("--n-bits 20", 256, 500), ("--n-bits 50", 640, 500), ("--n-bits 200", 2560, 500), ("--preset paper", 256, 200)],
)
def test_help_shows_the_resolved_defaults_of_every_field(
    argv: str, hidden: int, epochs: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    code, out, err = outcome(["train", *argv.split(), "--help"], capsys)
    assert (code, err) == (0, "")
    text = " ".join(out.replace("│", " ").split())
    for field in dataclasses.fields(Config):
        assert f"--{field.name.replace('_', '-')}" in text, field.name
    assert f"Widths of the hidden ReLU layers, one or more. (default: {hidden})" in text
    assert f"(default: {epochs})" in text[text.index("--epochs") :]
    assert "--config" not in text
    assert "--resume FOLDER" in text


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ("train", True),
        ("train --preset paper --max-steps 7", True),
        ("train --n-bits 50", False),
        ("train --n_bits=20", False),
        ("train --resume run", False),
        ("", False),
        ("eval", False),
    ],
)
def test_help_says_whose_defaults_it_shows_if_no_size_is_given(
    argv: str, said: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = outcome([*argv.split(), "--help"], capsys)
    assert code == 0
    text = " ".join(out.split())
    assert ("defaults shown for 50 bits" in text) == said
    if said:
        assert "Learn a bit-flip game" in text, "beside what it says in any case"
        assert "Ctrl-C and SIGTERM stop a run" in text


def test_help_lists_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = outcome(["--help"], capsys)
    assert code == 0
    assert "{train,sweep,eval,play,plot,doctor}" in out
    assert "--version prints the version" in " ".join(out.split())


def test_version_prints_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert outcome(["--version"], capsys) == (0, f"herfast {herfast.__version__}\n", "")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ("", "Missing subcommand"),
        ("learn", "learn"),
        ("train", "--n-bits"),
        ("train --n-bits 8 --gama 0.9", "--gamma"),
        ("train --n-bits eight", "eight"),
        ("train --n-bits 8 --preset quick", "quick"),
        ("train --n-bits 8 --seed 1.5", "1.5"),
        ("train --n-bits 8 --max-steps", "--max-steps"),
        ("train --n-bits 8 --strategy first", "first"),
        ("train --n-bits 8 --double-q no", "no"),
        ("train --resume", "--resume"),
        ("train --resume run --epochs many", "many"),
        ("train --resume run more", "more"),
        ("eval", "PATH"),
        ("eval run --episodes many", "many"),
        ("play run --bits 3", "--bits"),
        ("plot", "PATH"),
        ("doctor", "PATH"),
    ],
)
def test_a_bad_flag_exits_with_2_and_names_it(
    argv: str, message: str, agents: list[StandIn], capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = outcome(argv.split(), capsys)
    assert (code, out) == (2, "")
    assert message in err
    assert "Traceback" not in err
    assert not agents


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ("train --n-bits 0", "n_bits must be from 1 to 65,535, got 0"),
        ("train --n-bits -3", "n_bits must be from 1 to 65,535, got -3"),
        ("train --n-bits 70000", "n_bits must be from 1 to 65,535, got 70,000"),
        ("train --n-bits 8 --max-steps 0", "max_steps must be from 1 to 65,535, got 0"),
        ("train --n-bits 8 --gamma 2", "gamma must be in [0, 1), got 2.0"),
        ("train --n-bits 8 --gamma nan", "gamma must be in [0, 1), got nan"),
        ("train --n-bits 8 --hidden", "layer widths, got ()"),
        ("train --n-bits 8 --until 1.5", "until must be in (0, 1], got 1.5"),
        ("train --n-bits 8 --batch-size 0", "batch_size must be from 1"),
        ("train --n-bits 8 --no-mask-terminal", "hindsight_bound=True needs mask_terminal=True"),
        ("train --n-bits 8 --out run", "run already holds a run: --resume goes on with it, --overwrite replaces it"),
        ("train --n-bits 8 --out run/config.json", "run/config.json is a file"),
        ("train --n-bits 8 --out run/config.json/x", "Not a directory"),
        ("train --resume none", "none is not the folder of a run"),
        ("train --resume .", ". is not the folder of a run: it holds no config.json of herfast"),
        ("train --resume run/config.json", "run/config.json is not the folder of a run"),
        ("train --resume run", "run is solved, a greedy success of 0.99 being reached and confirmed in epoch 2: ask"),
        ("train --resume run --epochs 800", "run is solved"),
        ("train --resume run --until None --epochs 2", "run has done 2 of 2 epochs: ask for more with --epochs"),
        ("train --resume run --epochs 0", "epochs must be from 1"),
        ("train --resume run --until 1.5", "until must be in (0, 1], got 1.5"),
        ("train --resume run --n-bits 8", "--n-bits cannot be given with --resume: a run keeps its settings, all but"),
        ("train --gamma=0.5 --resume=run", "--gamma cannot be given with --resume"),
        ("train --seed 1 --resume run --epochs 9", "--seed cannot be given with --resume"),
        ("train --resume run --overwrite", "--overwrite cannot be given with --resume"),
        ("eval none", "none does not exist"),
        ("eval .", "holds no agent.safetensors"),
        ("eval run/config.json", "is not a readable herfast file"),
        ("eval run --episodes 0", "episodes must be from 1 to 1,099,511,627,776, got 0"),
        ("play none", "none does not exist"),
        ("play run --games 0", "games must be from 1"),
        ("play run --seed -1", "seed must be None or an integer >= 0, got -1"),
        ("plot none", "none does not exist"),
        ("plot .", "holds no progress.csv"),
        ("plot run/config.json", "run/config.json is not the progress of a run"),
    ],
)
def test_a_bad_value_exits_with_2_and_one_sentence(
    argv: str, message: str, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    code, out, err = outcome(argv.split(), capsys)
    assert (code, out) == (2, "")
    assert err.startswith("herfast: error: ")
    assert message in err
    assert err.count("\n") == 1
    assert {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()} == before


# ---- train


def test_train_makes_the_agent_that_was_asked_for(agents: list[StandIn], capsys: pytest.CaptureFixture[str]) -> None:
    argv = "train --n-bits 9 --max-steps 12 --preset paper --seed 5 --gamma 0.7"
    assert outcome(argv.split(), capsys)[0] == 0
    (agent,) = agents
    assert (agent.env.n_bits, agent.env.max_steps, agent.preset, agent.seed) == (9, 12, "paper", 5)
    assert agent.config == Config.preset("paper", options._EnvSize(9, 12), gamma=0.7)
    assert (Path("runs") / "bitflip-9-paper-seed5" / AGENT_FILE).exists()


def test_train_fills_the_folder(agents: list[StandIn], capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = outcome(["train", "--n-bits", "8", "--out", "a/b"], capsys)
    assert (code, err) == (0, "")
    (agent,) = agents
    names = {CONFIG_FILE, PROGRESS_FILE, AGENT_FILE, CHECKPOINT_FILE, *PLOT_FILES}
    assert {path.name for path in Path("a/b").iterdir()} == names
    assert json.loads(Path("a/b", CONFIG_FILE).read_text()) == {
        "herfast": herfast.__version__,
        "environment": {"id": "BitFlip", "n_bits": 8, "max_steps": 8},
        "preset": "fast",
        "seed": 0,
        "config": {**dataclasses.asdict(agent.config), "hidden": [256]},
    }
    columns = text_logs.read_csv_log(Path("a/b", PROGRESS_FILE))
    assert list(columns) == list(agent.history)
    for name, column in agent.history.items():
        np.testing.assert_array_equal(columns[name], column)
    assert all(name in out.splitlines()[-1] for name in names)


def test_train_prints_a_line_per_epoch_and_a_summary(agents: list[StandIn], capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = outcome(["train", "--n-bits", "8", "--out", "run"], capsys)
    first, *epochs, summary = out.splitlines()
    assert first == "Learning 8 bits in at most 8 steps, preset fast, seed 0; the run is in run"
    assert epochs == [
        "epoch 1/500  success 0.055  greedy 0.500  loss 0.2929  steps 10,000  updates 400  2.5 s",
        "epoch 2/500  success 0.155  greedy 1.000  loss 0.06688  steps 20,000  updates 800  5.0 s",
    ]
    assert summary.startswith(
        "Solved, a greedy success of 0.99 being reached and confirmed in epoch 2: 1,280 episodes, 20,000 steps, "
        "800 updates, 5.0 s. On 1,000 fresh games (seed 0) greedy play succeeds in 99.6%, with a mean return of -4.5 "
        "and a mean length of 5.5 steps. run holds config.json, "
    )
    assert agents[0].asked == [(500, 0.99), (1000, 0)]


def test_a_run_to_the_last_epoch_claims_no_confirmation(
    agents: list[StandIn], capsys: pytest.CaptureFixture[str]
) -> None:
    _, out, _ = outcome(["train", "--n-bits", "8", "--epochs", "2", "--until", "None", "--seed", "7"], capsys)
    assert "All 2 epochs are done: 1,280 episodes" in out
    assert "confirmed" not in out
    assert agents[0].asked == [(2, None), (1000, 7)]


def test_solved_in_the_last_epoch_is_solved(agents: list[StandIn], capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = outcome(["train", "--n-bits", "8", "--epochs", "2"], capsys)
    assert "Solved, a greedy success of 0.99 being reached and confirmed in epoch 2: 1,280 episodes" in out


def test_progress_is_written_while_learning(
    agents: list[StandIn], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = []
    write = text_logs.CsvLog.write

    def spy(self: text_logs.CsvLog, history: Any) -> None:
        write(self, history)
        rows.append(len(text_logs.read_csv_log(Path("run", PROGRESS_FILE))["success"]))

    monkeypatch.setattr(text_logs.CsvLog, "write", spy)
    outcome(["train", "--n-bits", "8", "--out", "run"], capsys)
    assert rows == [*range(21)]


def test_overwrite_leaves_foreign_files_alone(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run / "notes.txt").write_text("mine")
    assert outcome(["train", "--n-bits", "6", "--out", "run", "--overwrite"], capsys)[0] == 0
    assert json.loads((run / CONFIG_FILE).read_text())["environment"]["n_bits"] == 6
    assert (run / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("cycle", [1, 15])
@pytest.mark.parametrize(("number", "expected"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_cycle_and_saves(
    number: int,
    expected: int,
    cycle: int,
    agents: list[StandIn],
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(StandIn, "trouble", [number])
    monkeypatch.setattr(StandIn, "trouble_in", cycle)
    code, out, err = outcome(["train", "--n-bits", "8", "--out", "my run"], capfd)
    assert code == expected
    assert err == "\nStopping and saving the run; Ctrl-C again stops at once, without saving.\n"
    last = out.splitlines()[-1]
    assert last.startswith(f"Interrupted after {cycle} cycles; my run holds config.json, progress.csv")
    assert last.endswith("; to go on: herfast train --resume 'my run'")
    assert StandIn.load(Path("my run", CHECKPOINT_FILE)).cycles == cycle
    assert Path("my run", AGENT_FILE).exists()
    assert len(text_logs.read_csv_log(Path("my run", PROGRESS_FILE))["success"]) == cycle
    assert agents[0].asked == [(500, 0.99)], "nobody waits for test games"


def test_a_cycle_that_takes_too_long_is_not_waited_for(
    agents: list[StandIn], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(StandIn, "trouble", [signal.SIGTERM, signal.SIGTERM, PAUSE])
    code, out, _ = outcome(["train", "--n-bits", "8", "--out", "run"], capsys)
    assert code == 143
    assert out.splitlines()[-1].startswith("Interrupted after 14 cycles; run holds config.json, progress.csv, agent")
    assert StandIn.load(Path("run", CHECKPOINT_FILE)).cycles == 14


def test_saving_is_waited_for(
    agents: list[StandIn], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    save = StandIn.save

    def slow_save(self: StandIn, path: Path, replay: bool = False) -> None:
        signal.raise_signal(signal.SIGINT)
        signal.pause()  # until the time for a cycle is up
        save(self, path, replay=replay)
        monkeypatch.setattr(StandIn, "save", save)

    monkeypatch.setattr(StandIn, "save", slow_save)
    assert outcome(["train", "--n-bits", "8", "--out", "run"], capsys)[0] == 0
    assert StandIn.load(Path("run", CHECKPOINT_FILE)).solved


def saves(monkeypatch: pytest.MonkeyPatch, fails: Sequence[int] = ()) -> list[tuple[str, bool, int]]:
    """Name, whether with the replay, and cycles of each save; those with as many cycles as `fails` says fail."""
    done: list[tuple[str, bool, int]] = []
    save = StandIn.save

    def spy(self: StandIn, path: Path, replay: bool = False) -> None:
        if self.cycles in fails:
            raise OSError(f"cannot write {path}: No space left on device")
        save(self, path, replay=replay)
        done.append((path.name, replay, self.cycles))

    monkeypatch.setattr(StandIn, "save", spy)
    return done


def pairs(*cycles: int) -> list[tuple[str, bool, int]]:
    return [pair for cycle in cycles for pair in ((AGENT_FILE, False, cycle), (CHECKPOINT_FILE, True, cycle))]


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("", [50, 70]),  # every 10 epochs, and at the end
        ("--checkpoint-every 1", [5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60, 65, 70]),
        ("--checkpoint_every=6", [30, 60, 70]),
        ("--checkpoint-every 14", [70]),
        ("--checkpoint-every 1000", [70]),
    ],
)
def test_checkpoints_are_written_on_the_way(
    flags: str,
    expected: list[int],
    agents: list[StandIn],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done = saves(monkeypatch)
    argv = f"train --n-bits 8 --out run --until None --epochs 14 --cycles-per-epoch 5 {flags}"
    assert outcome(argv.split(), capsys)[0] == 0
    assert done == pairs(*expected)
    done.clear()
    assert outcome(f"train --resume run --epochs 25 {flags}".split(), capsys)[0] == 0
    every = int(re.split("[ =]", flags)[-1] or 10)
    assert done == pairs(*(5 * epoch for epoch in range(15, 26) if epoch % every == 0 or epoch == 25))


def test_a_run_goes_on_if_a_checkpoint_cannot_be_written(
    agents: list[StandIn], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    done = saves(monkeypatch, fails=[10])
    argv = "train --n-bits 8 --out run --until None --epochs 4 --cycles-per-epoch 5 --checkpoint-every 1"
    code, _, err = outcome(argv.split(), capsys)
    assert code == 0
    assert err == f"herfast: warning: cannot write {Path('run', AGENT_FILE)}: No space left on device\n"
    assert done == pairs(5, 15, 20)


def test_a_run_stops_if_not_even_its_first_checkpoint_can_be_written(
    agents: list[StandIn], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    done = saves(monkeypatch, fails=[5, 10])
    argv = "train --n-bits 8 --out run --until None --epochs 4 --cycles-per-epoch 5 --checkpoint-every 1"
    code, _, err = outcome(argv.split(), capsys)
    assert (code, err) == (2, f"herfast: error: cannot write {Path('run', AGENT_FILE)}: No space left on device\n")
    assert agents[0].cycles == 5
    assert done == []


@pytest.mark.parametrize("signals", [[], [signal.SIGINT]])
def test_nobody_reading_on_stops_a_run_that_is_saved(
    signals: list[int], agents: list[StandIn], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether Ctrl-C ended the reader too, as `tee`, or it read enough, as `head`."""
    monkeypatch.setattr(StandIn, "trouble", [*signals, BrokenPipeError(32, "Broken pipe")])
    with monkeypatch.context() as patch:
        patch.setattr(os, "dup2", lambda *args: None)
        code, _, err = outcome(["train", "--n-bits", "8", "--out", "run"], capfd)
    assert code == (130 if signals else 0)
    assert "error" not in err
    assert StandIn.load(Path("run", CHECKPOINT_FILE)).cycles == 14


def test_two_processes_do_not_write_one_run(
    stopped: Path, agents: list[StandIn], capsys: pytest.CaptureFixture[str]
) -> None:
    files = {path: path.read_bytes() for path in stopped.iterdir()}
    with atomic_file.locked(stopped):
        for argv in ("train --resume run", "train --n-bits 8 --out run --overwrite"):
            code, out, err = outcome(argv.split(), capsys)
            assert (code, out) == (2, "")
            assert err == (
                "herfast: error: another herfast writes into run: wait for its end, or choose another --out\n"
            )
    assert {path: path.read_bytes() for path in stopped.iterdir()} == files
    assert outcome(["train", "--resume", "run"], capsys)[0] == 0


def test_a_closed_stdout_is_no_fault(
    agents: list[StandIn], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    assert main.main(["train", "--n-bits", "8", "--out", "run"]) == 0
    sys.stdout.close()  # what took its place
    sys.stderr.close()
    assert Path("run", CHECKPOINT_FILE).exists()


def test_alarms_of_others_are_left_alone(
    agents: list[StandIn], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    got: list[int] = []
    before = signal.signal(signal.SIGALRM, lambda number, frame: got.append(number))
    monkeypatch.setattr(StandIn, "trouble", [signal.SIGALRM, signal.SIGINT, signal.SIGALRM])
    code, out, _ = outcome(["train", "--n-bits", "8", "--out", "run"], capsys)
    signal.signal(signal.SIGALRM, before)
    assert (code, got) == (130, [signal.SIGALRM] * 2)
    assert "Interrupted after 15 cycles" in out


def test_what_was_learnt_is_saved_if_the_progress_cannot_be_written(
    agents: list[StandIn], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write = text_logs.CsvLog.write

    def full(self: text_logs.CsvLog, history: Any) -> None:
        if len(history["epoch"]) == 7:
            raise OSError(28, "No space left on device", str(Path("run", PROGRESS_FILE)))
        write(self, history)

    monkeypatch.setattr(text_logs.CsvLog, "write", full)
    code, _, err = outcome(["train", "--n-bits", "8", "--out", "run"], capsys)
    assert (code, err) == (2, f"herfast: error: No space left on device: {Path('run', PROGRESS_FILE)}\n")
    assert StandIn.load(Path("run", CHECKPOINT_FILE)).cycles == 7


def test_an_interrupt_in_the_last_cycle_is_too_late(
    agents: list[StandIn], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(StandIn, "trouble", [signal.SIGINT])
    monkeypatch.setattr(StandIn, "trouble_in", 20)
    code, out, _ = outcome(["train", "--n-bits", "8"], capsys)
    assert code == 0
    assert "Solved, " in out


def test_a_second_interrupt_stops_at_once_and_saves_nothing(
    agents: list[StandIn], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(StandIn, "trouble", [signal.SIGINT, signal.SIGINT])
    code, out, err = outcome(["train", "--n-bits", "8", "--out", "run"], capsys)
    assert (code, err) == (130, "")
    assert out.splitlines()[-1] == "Interrupted at once, saving nothing more; run holds config.json, progress.csv"
    assert len(text_logs.read_csv_log(Path("run", PROGRESS_FILE))["success"]) == 14


def test_handlers_of_others_are_left_alone(
    agents: list[StandIn], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    got: list[int] = []
    signal.signal(signal.SIGINT, lambda number, frame: got.append(number))
    monkeypatch.setattr(StandIn, "trouble", [signal.SIGINT])
    code, _, _ = outcome(["train", "--n-bits", "8"], capsys)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    assert (code, got) == (0, [signal.SIGINT])


def test_train_works_in_any_thread(agents: list[StandIn], capsys: pytest.CaptureFixture[str]) -> None:
    with ThreadPoolExecutor() as pool:
        assert pool.submit(main.main, ["train", "--n-bits", "8", "--epochs", "1"]).result() == 0


def test_a_full_disk_is_said_in_one_sentence(
    agents: list[StandIn], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def save(self: StandIn, path: Path, replay: bool = False) -> None:
        raise OSError(f"cannot write {path}: No space left on device")

    monkeypatch.setattr(StandIn, "save", save)
    code, _, err = outcome(["train", "--n-bits", "8", "--out", "run"], capsys)
    assert (code, err) == (2, f"herfast: error: cannot write {Path('run', AGENT_FILE)}: No space left on device\n")


def test_divergence_exits_with_1_and_says_where_the_history_is(
    agents: list[StandIn], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(StandIn, "trouble", [FloatingPointError("loss is not finite in epoch 2")])
    code, _, err = outcome(["train", "--n-bits", "8", "--out", "run"], capsys)
    path = Path("run", PROGRESS_FILE)
    assert code == 1
    assert err == f"herfast: error: loss is not finite in epoch 2; {path} holds the history so far\n"
    assert len(text_logs.read_csv_log(path)["success"]) == 14
    assert not Path("run", AGENT_FILE).exists()
    assert not Path("run", CHECKPOINT_FILE).exists()


def test_a_fault_of_ours_shows_its_traceback(agents: list[StandIn], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StandIn, "trouble", [ValueError("a bug in learn")])
    with pytest.raises(ValueError, match="a bug in learn"):
        main.main(["train", "--n-bits", "8"])


@pytest.mark.parametrize("error", [MemoryError("needs 9 GB"), ValueError("capacity must be 9")])
def test_an_agent_that_cannot_be_made_leaves_no_folder(
    error: Exception, agents: list[StandIn], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: StandIn, *args: Any, **kwargs: Any) -> None:
        raise error

    monkeypatch.setattr(StandIn, "__init__", refuse)
    assert outcome(["train", "--n-bits", "8"], capsys) == (2, "", f"herfast: error: {error}\n")
    assert not Path("runs").exists()


def test_without_matplotlib_a_run_is_complete_but_for_the_plots(
    agents: list[StandIn], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("matplotlib", "matplotlib.figure", "matplotlib.ticker"):
        monkeypatch.setitem(sys.modules, name, None)
    code, out, _ = outcome(["train", "--n-bits", "8", "--out", "run"], capsys)
    assert code == 0
    assert "No plots: plots need matplotlib, which is not installed: pip install 'herfast[plot]'" in out
    assert Path("run", AGENT_FILE).exists()
    code, _, err = outcome(["plot", "run"], capsys)
    assert (code, err.count("\n")) == (2, 1)
    assert "pip install 'herfast[plot]'" in err


# ---- train --resume


@pytest.fixture
def stopped(agents: list[StandIn], capsys: pytest.CaptureFixture[str]) -> Path:
    """The folder of a run of 8 bits that was interrupted in its 13th of 40 cycles, and never stops before the last."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StandIn, "trouble", [signal.SIGINT])
        patch.setattr(StandIn, "trouble_in", 13)
        argv = "train --n-bits 8 --max-steps 9 --preset paper --seed 3 --cycles-per-epoch 10 --epochs 4 --out run"
        assert main.main(argv.split()) == 130
    capsys.readouterr()
    agents.clear()
    return Path("run")


def test_resume_goes_on_to_the_runs_last_cycle_in_its_folder(
    stopped: Path, agents: list[StandIn], capsys: pytest.CaptureFixture[str]
) -> None:
    config = (stopped / CONFIG_FILE).read_bytes()
    for name in PLOT_FILES:
        (stopped / name).write_bytes(b"of an older run")
    code, out, err = outcome(["train", "--resume", "run"], capsys)
    assert (code, err) == (0, "")
    (agent,) = agents
    assert (agent.env, agent.preset, agent.seed) == (herfast.BitFlip(8, 9), "paper", 3)
    assert agent.config == Config.preset("paper", options._EnvSize(8, 9), cycles_per_epoch=10, epochs=4)
    assert agent.asked == [(3, None), (1000, 3)]
    assert agent.cycles == 40
    first, *epochs, last = out.splitlines()
    assert first == "Resuming 8 bits in at most 9 steps after 13 cycles, preset paper, seed 3; the run is in run"
    assert [line[:9] for line in epochs] == ["epoch 2/4", "epoch 3/4", "epoch 4/4"]
    assert last.startswith("All 4 epochs are done: ")
    assert (stopped / CONFIG_FILE).read_bytes() == config
    assert all((stopped / name).read_bytes() != b"of an older run" for name in PLOT_FILES)
    assert StandIn.load(stopped / CHECKPOINT_FILE).cycles == 40
    assert outcome(["train", "--resume", "run"], capsys)[2] == (
        "herfast: error: run has done 4 of 4 epochs: ask for more with --epochs\n"
    )


@pytest.mark.parametrize("n_rows", [0, 5, 13, 17])
def test_resume_takes_the_progress_from_the_checkpoint(
    n_rows: int, stopped: Path, agents: list[StandIn], capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever a kill has left in progress.csv."""
    header, *rows = (stopped / PROGRESS_FILE).read_text().splitlines(keepends=True)
    (stopped / PROGRESS_FILE).write_text("".join([header, *(rows + rows)[:n_rows], "0.1,0."]))
    assert outcome(["train", "--resume", "run"], capsys)[0] == 0
    columns = text_logs.read_csv_log(stopped / PROGRESS_FILE)
    assert list(columns) == list(agents[0].history)
    for name, column in agents[0].history.items():
        np.testing.assert_array_equal(columns[name], column)


def test_resume_after_nothing_but_a_start_writes_the_progress_at_once(
    stopped: Path, agents: list[StandIn], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(StandIn, "trouble", [FloatingPointError("loss is not finite")])
    monkeypatch.setattr(StandIn, "trouble_in", 14)
    before = (stopped / CHECKPOINT_FILE).read_bytes()
    assert outcome(["train", "--resume", "run"], capsys)[0] == 1
    assert len(text_logs.read_csv_log(stopped / PROGRESS_FILE)["success"]) == 13
    assert (stopped / CHECKPOINT_FILE).read_bytes() == before, "the last sound state is kept"


@pytest.mark.parametrize(
    ("flags", "asked", "cycles", "end"),
    [
        ("--epochs 6", (5, None), 60, "All 6 epochs are done"),
        ("--epochs 2", (1, None), 20, "All 2 epochs are done"),
        ("--until 0.9", (3, 0.9), 20, "Solved, a greedy success of 0.9 being"),
        ("--until 0.9 --epochs=5", (4, 0.9), 20, "Solved, a greedy success of 0.9 being"),
    ],
)
def test_resume_takes_new_limits_and_keeps_them(
    flags: str,
    asked: Any,
    cycles: int,
    end: str,
    stopped: Path,
    agents: list[StandIn],
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, out, _ = outcome(["train", "--resume", "run", *flags.split()], capsys)
    assert code == 0
    assert agents[0].asked[0] == asked
    assert agents[0].cycles == cycles
    assert out.splitlines()[-1].startswith(end)
    assert StandIn.load(stopped / CHECKPOINT_FILE).config == agents[0].config


def test_resume_tells_the_limits_in_force_in_config_json(
    stopped: Path, agents: list[StandIn], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = json.loads((stopped / CONFIG_FILE).read_text())
    before["herfast"] = "0.0.1"  # the version that began the run stays
    (stopped / CONFIG_FILE).write_text(json.dumps(before))
    seen: list[Any] = []
    learn = StandIn.learn

    def spy(self: StandIn, *args: Any, **kwargs: Any) -> None:
        seen.append(json.loads((stopped / CONFIG_FILE).read_text()))  # already while it learns
        learn(self, *args, **kwargs)

    monkeypatch.setattr(StandIn, "learn", spy)
    assert outcome(["train", "--resume", "run", "--until", "0.9", "--epochs", "7"], capsys)[0] == 0
    expected = {**before, "config": {**before["config"], "until": 0.9, "epochs": 7}}
    assert seen == [expected]
    assert json.loads((stopped / CONFIG_FILE).read_text()) == expected


def test_a_solved_run_goes_on_if_more_is_asked_for(
    run: Path, agents: list[StandIn], capsys: pytest.CaptureFixture[str]
) -> None:
    assert outcome(["train", "--resume", "run", "--until", "1"], capsys)[0] == 0
    assert agents[0].cycles == 30


def test_resume_is_interrupted_as_train_is(
    stopped: Path, agents: list[StandIn], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(StandIn, "trouble", [signal.SIGINT])
        assert outcome(["train", "--resume", "run"], capsys)[0] == 130
    assert outcome(["train", "--resume", "run"], capsys)[0] == 0
    assert [agent.asked[0][0] for agent in agents] == [3, 3]
    assert agents[1].cycles == 40


def test_a_run_without_a_checkpoint_cannot_go_on(stopped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (stopped / CHECKPOINT_FILE).unlink()
    code, _, err = outcome(["train", "--resume", "run"], capsys)
    assert code == 2
    assert err == ("herfast: error: run holds no checkpoint.safetensors to go on from: train anew with --overwrite\n")


def test_resume_is_a_flag_of_train_alone() -> None:
    assert options._is_resume(("train", "--resume=run"))
    assert not options._is_resume(("train", "--out", "resume"))
    assert not options._is_resume(("eval", "run", "--seed", "3", "--resume", "run"))


def test_help_on_resume_shows_its_flags_alone(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = outcome(["train", "--resume", "run", "--help"], capsys)
    assert code == 0
    assert all(flag in out for flag in ("--resume", "--epochs", "--until", "kept"))
    assert "--gamma" not in out


# ---- eval, doctor, play, plot


@pytest.mark.parametrize("path", ["run", "run/agent.safetensors"])
def test_eval_prints_what_was_measured(
    path: str, run: Path, agents: list[StandIn], capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = outcome(["eval", path, "--episodes", "1234", "--seed", "9"], capsys)
    assert (code, err) == (0, "")
    assert agents[0].asked == [(1234, 9)]
    assert out.splitlines() == [
        "1,234 games of 8 bits in at most 8 steps, seed 9",
        "success      0.9960",
        "mean return  -4.50",
        "mean length  5.50 steps",
        "loop share   0.0040 (games that ended going round in circles)",
    ]


def test_eval_says_that_no_bit_was_flipped_back(
    run: Path, agents: list[StandIn], capsys: pytest.CaptureFixture[str]
) -> None:
    _, out, _ = outcome(["eval", "run", "--no-revisit"], capsys)
    assert agents[0].asked == [(1000, 1, True)]
    assert out.splitlines()[0] == "1,000 games of 8 bits in at most 8 steps, seed 1, never flipping a bit back"


@pytest.mark.parametrize(
    ("path", "loaded", "after"),
    [("run", "checkpoint", ", after 20 cycles"), ("run/agent.safetensors", "agent", ""), ("alone", "agent", "")],
)
def test_doctor_looks_into_the_checkpoint_if_there_is_one(
    path: str, loaded: str, after: str, run: Path, agents: list[StandIn], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("alone").mkdir()
    shutil.copy(run / AGENT_FILE, "alone")
    code, out, err = outcome(["doctor", path], capsys)
    assert (code, err) == (0, "")
    assert bool(agents[0].cycles) == (loaded == "checkpoint")
    first, *rest = out.splitlines()
    assert first == f"8 bits in at most 8 steps, preset fast, seed 0{after}"
    assert "\n".join(rest) == str(agents[0].diagnose())
    assert rest[-1].endswith("Do it.")


def test_an_interrupted_eval_is_quiet(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(self: StandIn, *args: Any, **kwargs: Any) -> Evaluation:
        raise KeyboardInterrupt

    monkeypatch.setattr(StandIn, "evaluate", interrupt)
    assert outcome(["eval", "run"], capsys) == (130, "", "")


def games(text: str) -> list[list[str]]:
    return [game.strip("\n").split("\n") for game in text.split("NEW GAME\n")[1:]]


def test_play_writes_games_out(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = outcome(["play", "run", "--games", "4", "--seed", "2"], capsys)
    assert (code, err) == (0, "")
    assert len(games(out)) == 4
    assert len(set(map(tuple, games(out)))) == 4
    for goal_line, start, *steps, end in games(out):
        goal, state = goal_line.split()[1], start.split()[1]
        n_wrong = sum(a != b for a, b in zip(goal, state, strict=True))
        assert start == f"start      {state}  {n_wrong} to go"
        assert end == f"WON AFTER {n_wrong} STEPS"
        assert len(steps) == 2 * n_wrong
        for step, (line, mark) in enumerate(zip(steps[::2], steps[1::2], strict=True), 1):
            _, bit, new, left, *_ = line.split()
            (changed,) = (i for i in range(8) if state[i] != new[i])
            assert changed == int(bit)
            assert line.index(new) + changed == mark.index("^") == len(mark) - 1
            assert int(left) == n_wrong - step
            state = new
        assert state == goal


def test_play_tells_a_lost_game(run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StandIn, "lost", True)
    _, out, _ = outcome(["play", "run", "--games", "1", "--seed", "2"], capsys)
    assert games(out)[0][-1] == "LOST AFTER 8 STEPS"


def test_play_repeats_with_its_seed(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, again, other = (outcome(["play", "run", "--seed", seed], capsys)[1] for seed in "002")
    assert first == again != other
    assert len(games(first)) == 3


def test_play_watched_shows_the_same_games(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("time.sleep", pauses.append)
    monkeypatch.setenv("TERM", "xterm")
    _, plain, _ = outcome(["play", "run"], capsys)
    assert outcome(["play", "run", "--watch"], capsys) == (0, plain, "")
    assert pauses == []
    with terminal() as written:
        assert main.main(["play", "run", "--watch"]) == 0
    ends = [[end for end in text.splitlines() if end.startswith("WON")] for text in (plain, SGR.sub("", written.text))]
    assert ends[0] == ends[1]
    assert len(pauses) == plain.count("to go")


def test_ctrl_c_ends_a_watched_game_and_shows_the_cursor(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: signal.raise_signal(signal.SIGINT))
    monkeypatch.setenv("TERM", "xterm")
    with terminal() as written:
        assert main.main(["play", "run", "--watch"]) == 130
    assert written.text.startswith("\x1b[?25lNEW GAME\n")
    assert written.text.endswith("\x1b[?25h")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("seed", [0, 7, 2**200])
@pytest.mark.parametrize(("n_bits", "max_steps"), [(3, 2), (64, 9), (130, 5)])
def test_play_plays_the_games_that_eval_counts(
    n_bits: int, max_steps: int, seed: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the real agent, untrained: start, goal, every step and the end are those of the rollout behind `eval`."""
    agent = herfast.Agent(herfast.BitFlip(n_bits, max_steps), seed=1, hidden=(32,), capacity=1000)
    agent.save(tmp_path / "agent.safetensors")
    played = rollout(agent.env, agent.network, 5, stream(seed, Role.TEST), which=agent.config.evaluate_with)
    states = herfast.unpack_bits(played.states, n_bits).view(np.int8)
    goals = herfast.unpack_bits(played.goals, n_bits).view(np.int8)
    code, out, _ = outcome(["play", str(tmp_path / "agent.safetensors"), "--games", "5", "--seed", str(seed)], capsys)
    assert code == 0
    assert len(games(out)) == 5
    for game, (goal, start, *steps, end) in enumerate(games(out)):
        n_steps = played.lengths[game]
        expected = ["".join(map(str, state)) for state in states[: n_steps + 1, game]]
        assert [line.split()[1 if line == start else 2] for line in (start, *steps[::2])] == expected
        assert goal.split()[1] == "".join(map(str, goals[game]))
        assert end == f"{'WON' if expected[-1] == goal.split()[1] else 'LOST'} AFTER {n_steps} STEPS"


@pytest.mark.parametrize("path", ["run", "run/progress.csv"])
def test_plot_draws_a_run(path: str, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = outcome(["plot", path], capsys)
    assert (code, err) == (0, "")
    assert out.splitlines() == [str(run / name) for name in PLOT_FILES]
    assert all((run / name).exists() for name in PLOT_FILES)


# ---- as a process


def python(*argv: str, cwd: Path, **kwargs: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *argv], cwd=cwd, capture_output=True, text=True, timeout=300, **kwargs)


def test_python_m_herfast_is_the_command(tmp_path: Path) -> None:
    assert "usage: herfast" in python("-m", "herfast", "--help", cwd=tmp_path).stdout
    done = python("-m", "herfast", "train", "--n-bits", "8", "--gamma", "2", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "herfast: error: gamma must be in [0, 1), got 2.0\n"


def test_help_and_plot_import_no_numba(run: Path) -> None:
    code = "\n".join(
        [
            "import sys",
            "from herfast.cli.main import main",
            "for argv in (['--help'], ['train', '--help'], ['plot', 'run']):",
            "    try:",
            "        main(argv)",
            "    except SystemExit as end:",
            "        assert end.code == 0",
            "    assert ('matplotlib' in sys.modules) == (argv[0] == 'plot')",
            "    assert 'numba' not in sys.modules",
        ]
    )
    done = python("-c", code, cwd=Path.cwd())
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("module", ["tyro", "herfast.cli.commands", "numba", None])
def test_a_ctrl_c_at_any_import_is_quiet(module: str | None, run: Path) -> None:
    code = f"""
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
class CtrlC:
    def find_spec(self, name, *_):
        if name == {module!r}:
            signal.raise_signal(signal.SIGINT)
sys.meta_path.insert(0, CtrlC())
from herfast.cli.main import main
sys.exit(main(["eval", "none"]))
"""
    done = python("-c", code, cwd=Path.cwd())
    assert (done.returncode, done.stdout) == (130 if module else 2, "")
    assert done.stderr == ("" if module else "herfast: error: none does not exist\n")


def test_nobody_reading_on_is_no_fault(tmp_path: Path) -> None:
    code = "import sys\nfrom herfast.cli import commands, main\n"
    code += (
        "commands.plot = lambda path: [print('x') for _ in range(1_000_000)] and 0\nsys.exit(main.main(['plot', '.']))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stderr is not None
    with process:
        assert process.stdout.readline() == "x\n"
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 0


def test_nobody_reading_the_help_is_no_fault(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "herfast", "train", "--help"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


@pytest.mark.slow
def test_the_real_agent_learns_plays_and_is_interrupted(tmp_path: Path) -> None:
    done = python("-m", "herfast", "train", "--n-bits", "6", "--out", "six", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "being reached and confirmed" in done.stdout
    done = python("-m", "herfast", "eval", "six", "--episodes", "500", cwd=tmp_path)
    assert float(done.stdout.split("success")[1].split()[0]) > 0.95, done.stderr
    done = python("-m", "herfast", "doctor", "six", cwd=tmp_path)
    assert done.stdout.endswith("none, nothing is off\n"), done
    done = python("-m", "herfast", "play", "six", "--games", "5", cwd=tmp_path)
    assert done.stdout.count("NEW GAME") == 5
    assert "WON AFTER" in done.stdout

    argv = [sys.executable, "-m", "herfast", "train", "--n-bits", "60", "--out", "sixty", "--until", "None"]
    with subprocess.Popen(argv, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("epoch 1/"):
                process.send_signal(signal.SIGINT)
                break
        rest = process.stdout.read()
    assert process.returncode == 130
    n_cycles = len(text_logs.read_csv_log(tmp_path / "sixty" / PROGRESS_FILE)["success"])
    assert n_cycles >= 10
    assert f"Interrupted after {n_cycles} cycles" in rest
    epochs = str(n_cycles // 10 + 1)
    done = python("-m", "herfast", "train", "--resume", "sixty", "--epochs", epochs, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"All {epochs} epochs are done" in done.stdout


@pytest.mark.slow
def test_a_killed_run_goes_on_from_its_last_checkpoint(tmp_path: Path) -> None:
    argv = ["-m", "herfast", "train", "--n-bits", "20", "--until", "None", "--checkpoint-every", "2"]
    command = [sys.executable, *argv, "--epochs", "100000", "--out", "killed"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("epoch 5/"):
                process.kill()
                break
    assert python("-m", "herfast", "doctor", "killed", cwd=tmp_path).returncode == 0
    n_cycles = len(tensor_file.read_tensors(tmp_path / "killed" / CHECKPOINT_FILE)[0]["history.epoch"])
    assert n_cycles >= 40
    assert n_cycles % 20 == 0
    epochs = ("--epochs", str(n_cycles // 10 + 2))
    assert python(*argv, *epochs, "--out", "whole", cwd=tmp_path).returncode == 0
    done = python("-m", "herfast", "train", "--resume", "killed", *epochs, cwd=tmp_path)
    assert f"after {n_cycles} cycles" in done.stdout.splitlines()[0], done
    for name in (CHECKPOINT_FILE, AGENT_FILE):
        assert_same_state(tmp_path / "whole" / name, tmp_path / "killed" / name)


def assert_same_state(one: Path, other: Path) -> None:
    """All that two files of agents hold is equal, bit for bit, but the seconds."""
    (tensors, metadata), (others, other_metadata) = tensor_file.read_tensors(one), tensor_file.read_tensors(other)
    for table in (tensors, others):
        table.pop("history.seconds", None)
    assert metadata == other_metadata
    assert tensors.keys() == others.keys()
    for name, tensor in tensors.items():
        assert tensor.dtype == others[name].dtype
        assert tensor.tobytes() == others[name].tobytes(), name


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["fast", "paper", "notebook"])
def test_a_resumed_run_equals_one_that_was_never_stopped(
    preset: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    sizes = "--hidden 32 --episodes-per-cycle 4 --updates-per-cycle 3 --cycles-per-epoch 4 --batch-size 16"
    argv = f"train --n-bits 6 --preset {preset} --capacity 100 --until None {sizes}".split()
    assert main.main([*argv, "--out", "whole", "--epochs", "3"]) == 0

    assert main.main([*argv, "--out", "between", "--epochs", "1"]) == 0
    assert main.main(["train", "--resume", "between", "--epochs", "3"]) == 0

    write = text_logs.CsvLog.write

    def interrupt(self: text_logs.CsvLog, history: Any) -> None:
        write(self, history)
        if len(history["epoch"]) == 6:
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(text_logs.CsvLog, "write", interrupt)
        assert main.main([*argv, "--out", "within", "--epochs", "3"]) == 130
    assert main.main(["train", "--resume", "within"]) == 0

    whole = text_logs.read_csv_log(Path("whole", PROGRESS_FILE))
    assert len(whole["epoch"]) == 12
    for folder in ("between", "within"):
        for name in (CHECKPOINT_FILE, AGENT_FILE):
            assert_same_state(Path("whole", name), Path(folder, name))
        columns = text_logs.read_csv_log(Path(folder, PROGRESS_FILE))
        for name in whole.keys() - {"seconds"}:
            np.testing.assert_array_equal(columns[name], whole[name], err_msg=name)
