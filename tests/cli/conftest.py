"""FakeAgent, which the commands run instead of herfast.Agent, and the folders of its runs."""

from __future__ import annotations

import dataclasses
import json
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import herfast
from herfast.cli import main
from herfast.common.history import COLUMNS, History
from herfast.config import Config
from herfast.dqn.diagnosis import Diagnosis
from herfast.dqn.evaluation import Evaluation


class FakeAgent:
    """Has the interface of herfast.Agent as far as the commands use it, and learns nothing.

    Its success rises by a fixed amount per cycle, its greedy success is 0.5 after the first epoch and 1 after the
    second, and it flips the first wrong bit, or always bit 0 if `lost`. test_fake_agent.py compares it with the real
    one.
    """

    PAUSE = 0  # among `events`: wait for a signal

    instances: list[FakeAgent]  # all that were made in this test
    events: Sequence[int | BaseException] = ()  # signals to raise, errors to raise, PAUSE: all in cycle `event_cycle`
    event_cycle = 15
    lost = False

    def __init__(self, env: Any, preset: str, seed: int, **config_fields: Any) -> None:
        self.env, self.preset, self.seed, self.config = env, preset, seed, Config(**config_fields)
        self.history = History(**COLUMNS)
        self.solved = False
        self.calls: list[Any] = []  # the arguments of `learn` and `evaluate`
        self.instances.append(self)

    @property
    def cycles(self) -> int:
        return len(self.history["epoch"])

    def learn(
        self, epochs: int, *, until: float | None, progress_bar: bool, callback: Callable[[FakeAgent], bool | None]
    ) -> FakeAgent:
        self.calls.append((epochs, until))
        for cycle in range(self.cycles + 1, self.cycles + epochs * self.config.cycles_per_epoch + 1):
            for event in self.events if cycle == self.event_cycle else ():
                if isinstance(event, BaseException):
                    raise event
                if event == self.PAUSE:
                    assert 0 < signal.getitimer(signal.ITIMER_REAL)[0] <= 0.25
                    signal.pause()
                else:
                    signal.raise_signal(event)
            epoch, last = divmod(cycle - 1, self.config.cycles_per_epoch)
            greedy = min(1.0, 0.5 * (epoch + 1)) if last == self.config.cycles_per_epoch - 1 else np.nan
            row = {"epoch": epoch + 1, "success": cycle / 100, "return": -1.0, "loss": 1 / cycle, "seconds": cycle / 4}
            row |= {"greedy_success": greedy, "env_steps": 1000 * cycle, "episodes": 64 * cycle, "updates": 40 * cycle}
            self.history.append(**row, epsilon=0.2, learning_rate=0.001)
            self.solved = until is not None and greedy >= until
            if callback(self) is False or self.solved:
                break
        return self

    def evaluate(self, n_episodes: int, seed: int | None = None, *, no_revisit: bool = False) -> Evaluation:
        self.calls.append((n_episodes, seed, no_revisit) if no_revisit else (n_episodes, seed))
        return Evaluation(n_episodes, 0.996, -4.5, 5.496, 0.004)

    def predict(self, observation: Mapping[str, Any]) -> tuple[np.int64, None]:
        wrong = np.flatnonzero(observation["observation"] != observation["desired_goal"])
        return np.int64(0 if self.lost else wrong[0]), None

    def diagnose(self) -> Diagnosis:
        return Diagnosis(0.99, 0.0, 0.1, -9.0, 0.5, -50.0, 1.5, 0.2, 0.1, 0.5, "Do it.")

    def save(self, path: Path, *, replay: bool = False) -> None:
        settings = [self.env.n_bits, self.env.max_steps, self.preset, self.seed]
        history = {name: column.tolist() for name, column in self.history.items()}
        state = {"history": history, "solved": self.solved} if replay else {}
        path.write_text(json.dumps([settings, dataclasses.asdict(self.config), state]))

    @classmethod
    def load(cls, path: Path) -> FakeAgent:
        try:
            (n_bits, max_steps, preset, seed), fields, state = json.loads(path.read_text())
        except ValueError:
            raise ValueError(f"{path} is not a readable herfast file") from None
        agent = cls(herfast.BitFlip(n_bits, max_steps), preset, seed, **fields)
        if state:
            agent.history.load_state_dict({name: np.array(column) for name, column in state["history"].items()})
            agent.solved = state["solved"]
        return agent


@pytest.fixture
def fake_agent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> type[FakeAgent]:
    """The class FakeAgent, which the commands now run instead of herfast.Agent; the working folder is empty."""
    FakeAgent.instances = []
    monkeypatch.setattr("herfast.dqn.agent.Agent", FakeAgent)
    monkeypatch.chdir(tmp_path)
    return FakeAgent


@pytest.fixture
def agents(fake_agent: type[FakeAgent]) -> list[FakeAgent]:
    """The instances of FakeAgent, in the order in which the commands made them."""
    return fake_agent.instances


@pytest.fixture(autouse=True)
def signal_handlers() -> Iterator[None]:
    """Ctrl-C raises KeyboardInterrupt, even if the tests run in the background; each test restores all handlers."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    others = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGALRM)]
    yield
    assert signal.signal(signal.SIGINT, before) is signal.default_int_handler
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGALRM)] == others
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


@pytest.fixture
def finished_run(agents: list[FakeAgent], capsys: pytest.CaptureFixture[str]) -> Path:
    """The folder of a finished run with 8 bits, without its plots (they take most of the time)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("herfast.experiments.run.plot_run", lambda *args: [])
        assert main.main(["train", "--n-bits", "8", "--out", "run"]) == 0
    capsys.readouterr()
    agents.clear()
    return Path("run")


@pytest.fixture
def interrupted_run(fake_agent: type[FakeAgent], agents: list[FakeAgent], capsys: pytest.CaptureFixture[str]) -> Path:
    """The folder of a run with 8 bits, interrupted in its 13th of 40 cycles; no greedy success would end it earlier."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fake_agent, "events", [signal.SIGINT])
        patch.setattr(fake_agent, "event_cycle", 13)
        argv = "train --n-bits 8 --max-steps 9 --preset paper --seed 3 --cycles-per-epoch 10 --epochs 4 --out run"
        assert main.main(argv.split()) == 130
    capsys.readouterr()
    agents.clear()
    return Path("run")
