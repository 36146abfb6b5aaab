"""FakeAgent, which replaces herfast.Agent in the commands, and its run folders."""

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
from herfast import presets
from herfast.callbacks.base import Callback, combine
from herfast.cli import main
from herfast.common.history import History
from herfast.config import Config
from herfast.dqn.diagnosis import Diagnosis
from herfast.dqn.evaluation import Evaluation


class FakeAgent:
    """Agent with the part of the interface of herfast.Agent that the commands use.

    It does not train. Its success rate rises by a fixed amount per cycle. Its greedy success rate is 0.5
    after the first epoch and 1 after the second. It flips the first wrong bit, or always bit 0 if `fails`.
    test_fake_agent.py compares its interface with that of herfast.Agent.
    """

    PAUSE = 0  # one of `events`: wait for a signal

    instances: list[FakeAgent]  # all instances of this test
    events: Sequence[int | BaseException] = ()  # signals and errors to raise in cycle `event_cycle`, or PAUSE
    event_cycle = 15
    fails = False

    def __init__(
        self, env: Any, preset: str, seed: int, *, threads: int | None = None, **config_fields: Any
    ) -> None:
        self.env, self.preset, self.seed, self.config = env, preset, seed, Config(**config_fields)
        self.threads = threads
        self.history = History()
        self.solved = False
        self.calls: list[Any] = []  # the arguments of `learn` and `evaluate`
        self.instances.append(self)

    @property
    def cycles(self) -> int:
        return len(self.history["epoch"])

    def learn(
        self, epochs: int, *, until: float | None, progress_bar: bool, callback: Sequence[Callback[FakeAgent]]
    ) -> FakeAgent:
        call = combine(callback)
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
            row = {
                "epoch": epoch + 1,
                "success": cycle / 100,
                "return": -1.0,
                "loss": 1 / cycle,
                "seconds": cycle / 4,
            }
            row |= {
                "greedy_success": greedy,
                "env_steps": 1000 * cycle,
                "episodes": 64 * cycle,
                "updates": 40 * cycle,
            }
            self.history.append(**row, epsilon=0.2, learning_rate=0.001)
            self.solved = until is not None and greedy >= until
            if not call(self) or self.solved:
                break
        return self

    def evaluate(self, n_episodes: int, seed: int | None = None, *, no_revisit: bool = False) -> Evaluation:
        self.calls.append((n_episodes, seed, no_revisit) if no_revisit else (n_episodes, seed))
        return Evaluation(n_episodes, 0.996, -4.5, 5.496, 0.004)

    def predict(self, observation: Mapping[str, Any]) -> tuple[np.int64, None]:
        wrong = np.flatnonzero(observation["observation"] != observation["desired_goal"])
        return np.int64(0 if self.fails else wrong[0]), None

    def diagnose(self) -> Diagnosis:
        return Diagnosis(0.99, 0.0, 0.1, -9.0, 0.5, -50.0, 1.5, 0.2, 0.1, 0.5, "Do it.")

    def save(self, path: Path, *, replay: bool = False) -> None:
        settings = [self.env.spec(), self.preset, self.seed]
        history = {name: column.tolist() for name, column in self.history.items()}
        state = {"history": history, "solved": self.solved} if replay else {}
        path.write_text(json.dumps([settings, dataclasses.asdict(self.config), state]))

    @classmethod
    def load(
        cls, path: Path, *, replay: bool = True, threads: int | None = None, **config_fields: Any
    ) -> FakeAgent:
        try:
            (spec, preset, seed), fields, state = json.loads(path.read_text())
        except ValueError:
            raise ValueError(f"{path} is not a readable herfast file") from None
        agent = cls(herfast.make_env(spec), preset, seed, threads=threads, **fields, **config_fields)
        if replay and state:
            agent.history.load_state_dict(
                {name: np.array(column) for name, column in state["history"].items()}
            )
            agent.solved = state["solved"]
        return agent


def with_ten_cycles(preset: Callable[[presets.Sized], dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """Return the preset with ten cycles per epoch, whatever its value is."""
    return lambda env: {**preset(env), "cycles_per_epoch": 10}


@pytest.fixture
def fake_agent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> type[FakeAgent]:
    """The class FakeAgent, which replaces herfast.Agent; the working folder is empty."""
    FakeAgent.instances = []
    monkeypatch.setattr("herfast.dqn.agent.Agent", FakeAgent)
    monkeypatch.setitem(presets._PRESETS, "fast", with_ten_cycles(presets._PRESETS["fast"]))
    monkeypatch.chdir(tmp_path)
    return FakeAgent


@pytest.fixture
def agents(fake_agent: type[FakeAgent]) -> list[FakeAgent]:
    """The instances of FakeAgent, in the order of their creation."""
    return fake_agent.instances


@pytest.fixture(autouse=True)
def signal_handlers() -> Iterator[None]:
    """Restore Python's handlers of signals, which background processes may ignore.

    After each test, check that they are again in place.
    """
    defaults: dict[int, Any] = {
        signal.SIGINT: signal.default_int_handler,
        signal.SIGTERM: signal.SIG_DFL,
        signal.SIGHUP: signal.SIG_DFL,
    }
    before = {number: signal.signal(number, handler) for number, handler in defaults.items()}
    alarm = signal.getsignal(signal.SIGALRM)
    yield
    after = {number: signal.signal(number, handler) for number, handler in before.items()}
    assert after == defaults
    assert signal.getsignal(signal.SIGALRM) == alarm
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


@pytest.fixture
def finished_run(agents: list[FakeAgent], capsys: pytest.CaptureFixture[str]) -> Path:
    """The folder of a finished run with 8 bits; without its plots, to save time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("herfast.experiments.run.plot_run", lambda *args: [])
        assert main.main(["train", "--n-bits", "8", "--out", "run"]) == 0
    capsys.readouterr()
    agents.clear()
    return Path("run")


@pytest.fixture
def interrupted_run(
    fake_agent: type[FakeAgent], agents: list[FakeAgent], capsys: pytest.CaptureFixture[str]
) -> Path:
    """The folder of a run with 8 bits that was interrupted in cycle 13 of 40."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fake_agent, "events", [signal.SIGINT])
        patch.setattr(fake_agent, "event_cycle", 13)
        argv = "train --n-bits 8 --max-steps 9 --preset paper --seed 3"
        argv += " --cycles-per-epoch 10 --epochs 4 --out run"
        assert main.main(argv.split()) == 130
    capsys.readouterr()
    agents.clear()
    return Path("run")
