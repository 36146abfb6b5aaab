"""`herfast eval` with FakeAgent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.command_line import run_command


@pytest.mark.parametrize("path", ["run", "run/agent.safetensors"])
def test_eval_prints_the_results(
    path: str, finished_run: Path, agents: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run_command(
        ["eval", path, "--episodes", "1234", "--seed", "9", "--threads", "3"], capsys
    )
    assert (code, err) == (0, "")
    assert agents[0].threads == 3
    assert agents[0].calls == [(1234, 9)]
    assert out.splitlines() == [
        "1,234 episodes of 8 bits in at most 8 steps, seed 9",
        "success      0.9960",
        "mean return  -4.50",
        "mean length  5.50 steps",
        "loop rate    0.0040 (episodes that ended in a repeated state)",
    ]


def test_eval_prints_that_no_state_was_visited_twice(
    finished_run: Path, agents: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    _, out, _ = run_command(["eval", "run", "--no-revisit"], capsys)
    assert agents[0].calls == [(1000, 1, True)]
    first = out.splitlines()[0]
    assert first == "1,000 episodes of 8 bits in at most 8 steps, seed 1, no state visited twice"


def test_an_interrupted_eval_prints_nothing(
    finished_run: Path, fake_agent: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(self: Any, *args: Any, **kwargs: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(fake_agent, "evaluate", interrupt)
    assert run_command(["eval", "run"], capsys) == (130, "", "")
