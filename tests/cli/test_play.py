"""`herfast play` with FakeAgent and with an untrained herfast.Agent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.command_line import run_command
from support.terminal import SGR, terminal

import herfast
from herfast.cli import main
from herfast.common.seeding import Role, stream
from herfast.dqn.rollout import rollout


def split_episodes(text: str) -> list[list[str]]:
    """The lines of each episode without its first line."""
    return [episode.strip("\n").split("\n") for episode in text.split("NEW EPISODE\n")[1:]]


def test_play_prints_goal_start_steps_and_result(
    finished_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run_command(["play", "run", "--games", "4", "--seed", "2"], capsys)
    assert (code, err) == (0, "")
    assert len(split_episodes(out)) == 4
    assert len(set(map(tuple, split_episodes(out)))) == 4
    for goal_line, start, *steps, end in split_episodes(out):
        goal, state = goal_line.split()[1], start.split()[1]
        n_wrong = sum(a != b for a, b in zip(goal, state, strict=True))
        assert start == f"start      {state}  {n_wrong} to go"
        assert end == f"SUCCESS AFTER {n_wrong} STEPS"
        assert len(steps) == 2 * n_wrong
        for step, (line, mark) in enumerate(zip(steps[::2], steps[1::2], strict=True), 1):
            _, bit, new, left, *_ = line.split()
            (changed,) = (i for i in range(8) if state[i] != new[i])
            assert changed == int(bit)
            assert line.index(new) + changed == mark.index("^") == len(mark) - 1
            assert int(left) == n_wrong - step
            state = new
        assert state == goal


def test_play_prints_a_failed_episode(
    finished_run: Path, fake_agent: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fake_agent, "fails", True)
    _, out, _ = run_command(["play", "run", "--games", "1", "--seed", "2"], capsys)
    assert split_episodes(out)[0][-1] == "FAILURE AFTER 8 STEPS"


def test_play_is_reproducible_with_its_seed(finished_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, again, other = (run_command(["play", "run", "--seed", seed], capsys)[1] for seed in "002")
    assert first == again != other
    assert len(split_episodes(first)) == 3


def test_play_with_watch_shows_the_same_episodes(
    finished_run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("time.sleep", pauses.append)
    monkeypatch.setenv("TERM", "xterm")
    _, plain, _ = run_command(["play", "run"], capsys)
    assert run_command(["play", "run", "--watch"], capsys) == (0, plain, "")
    assert pauses == []
    with terminal() as written:
        assert main.main(["play", "run", "--watch"]) == 0
    ends = [
        [end for end in text.splitlines() if end.startswith("SUCCESS")]
        for text in (plain, SGR.sub("", written.text))
    ]
    assert ends[0] == ends[1]
    assert len(pauses) == plain.count("to go")


@pytest.mark.parametrize("seed", [0, 7, 2**128 - 1])
@pytest.mark.parametrize(("n_bits", "max_steps"), [(3, 2), (64, 9), (130, 5)])
def test_play_prints_the_episodes_of_eval(
    n_bits: int, max_steps: int, seed: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Start, goal, steps and results equal those of the rollout that `eval` uses."""
    agent = herfast.Agent(herfast.BitFlip(n_bits, max_steps), seed=1, hidden=(32,), capacity=1000)
    agent.save(tmp_path / "agent.safetensors")
    played = rollout(agent.env, agent.network, 5, stream(seed, Role.TEST), which=agent.config.evaluate_with)
    states = herfast.unpack_bits(played.states, n_bits).view(np.int8)
    goals = herfast.unpack_bits(played.goals, n_bits).view(np.int8)
    code, out, _ = run_command(
        ["play", str(tmp_path / "agent.safetensors"), "--games", "5", "--seed", str(seed)], capsys
    )
    assert code == 0
    assert len(split_episodes(out)) == 5
    for episode, (goal, start, *steps, end) in enumerate(split_episodes(out)):
        n_steps = played.lengths[episode]
        expected = ["".join(map(str, state)) for state in states[: n_steps + 1, episode]]
        assert [line.split()[1 if line == start else 2] for line in (start, *steps[::2])] == expected
        assert goal.split()[1] == "".join(map(str, goals[episode]))
        result = "SUCCESS" if expected[-1] == goal.split()[1] else "FAILURE"
        assert end == f"{result} AFTER {n_steps} STEPS"
