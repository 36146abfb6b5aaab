"""`herfast doctor` with FakeAgent."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from support.command_line import run_command

from herfast.experiments.run import AGENT_FILE


@pytest.mark.parametrize(
    ("path", "loaded", "after"),
    [
        ("run", "checkpoint", ", after 20 cycles"),
        ("run/agent.safetensors", "agent", ""),
        ("alone", "agent", ""),
    ],
)
def test_doctor_diagnoses_the_checkpoint_if_there_is_one(
    path: str,
    loaded: str,
    after: str,
    finished_run: Path,
    agents: list[Any],
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("alone").mkdir()
    shutil.copy(finished_run / AGENT_FILE, "alone")
    code, out, err = run_command(["doctor", path], capsys)
    assert (code, err) == (0, "")
    assert bool(agents[0].cycles) == (loaded == "checkpoint")
    first, *rest = out.splitlines()
    assert first == f"8 bits in at most 8 steps, preset fast, seed 0{after}"
    assert "\n".join(rest) == str(agents[0].diagnose())
    assert rest[-1].endswith("Do it.")
