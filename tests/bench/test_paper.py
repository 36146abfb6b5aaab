"""Test of bench/paper.py, whose results report.py reads."""

import json
import sys

import paper
import pytest
from report import report

from herfast import Agent, BitFlip


def test_the_results_are_those_of_an_agent(tmp_path, monkeypatch):
    out = tmp_path / "paper.json"
    options = {"--bits": 3, "--seeds": 2, "--epochs": 2, "--folder": tmp_path / "paper", "--out": out}
    monkeypatch.setattr(sys, "argv", ["paper.py", *(str(part) for pair in options.items() for part in pair)])
    monkeypatch.setattr(paper, "NOTEBOOK_BITS", 4)
    paper.main()
    measured = json.loads(out.read_text())
    runs = measured["paper"]
    assert [run["preset"] for run in runs] == 2 * ["notebook"] + 8 * ["paper"]
    assert [run["settings"] for run in runs[2::2]] == list(paper.SETTINGS.values())
    agent = Agent(BitFlip(3), "paper", 1, k=0).learn(epochs=2)
    cycles = agent.config.cycles_per_epoch
    assert runs[5] == {
        "preset": "paper",
        "n_bits": 3,
        "seed": 1,
        "settings": {"k": 0},
        "played": pytest.approx(agent.history["success"].reshape(2, cycles).mean(axis=1), abs=1e-4),
        "greedy": agent.history["greedy_success"][cycles - 1 :: cycles].tolist(),
        "success": agent.evaluate(1_000, seed=1).success_rate,
        "env_steps": agent.env_steps,
        "updates": agent.network.updates,
    }
    assert "| 3 |" in report(measured)["paper"]
