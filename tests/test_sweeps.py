"""A sweep: every combination once, all in one table, whatever is interrupted, killed, or started again."""

import csv
import itertools
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest

import herfast
from herfast import Agent, BitFlip, Config, cell, runs, sweeps

TINY = {"preset": "notebook", "hidden": (8,), "cycles_per_epoch": 2, "updates_per_cycle": 2, "batch_size": 8}
TINY |= {"epochs": 3, "episodes_per_cycle": 2}
FLAGS = "--preset notebook --hidden 8 --cycles-per-epoch 2 --updates-per-cycle 2 --batch-size 8 --episodes-per-cycle 2"


def without_time(rows):
    return [{name: value for name, value in row.items() if name not in ("seconds", "machine")} for row in rows]


def planned(n_bits, seeds=1, **fields):
    settings = {**TINY, **fields}
    return sweeps.planned(n_bits, settings.pop("preset"), seeds, None, settings)


def table(folder):
    with (folder / sweeps.RESULTS).open(newline="") as file:
        return list(csv.DictReader(file))


def as_text(rows):
    return [{name: "" if value is None else str(value) for name, value in row.items()} for row in rows]


def by_cell(rows):
    return sorted(rows, key=lambda row: (row["cell"], int(row["epoch"])))


def test_every_combination_is_learnt_once_and_is_what_an_agent_learns(tmp_path):
    rows = herfast.sweep([3, 2], out=tmp_path, seeds=2, k=[0, 4], gamma=0.9, **TINY)
    assert len(rows) == 2 * 2 * 2 * 3
    found = {(row["n_bits"], row["k"], row["seed"]): row for row in rows}
    assert set(found) == set(itertools.product((2, 3), (0, 4), (0, 1)))
    assert [row["n_bits"] for row in rows] == [3] * 12 + [2] * 12  # the longest first
    for (n_bits, k, seed), last in found.items():
        agent = Agent(BitFlip(n_bits), seed=seed, k=k, gamma=0.9, **TINY).learn()
        history, parameters = agent.history, agent.network.parameters()
        assert (last["epoch"], last["ended"], last["max_steps"]) == (3, "epochs", n_bits)
        assert [last[name] for name in ("env_steps", "episodes", "updates")] == [agent.env_steps, agent.episodes, 12]
        for name in ("success", "return", "loss"):
            assert last[name] == history[name][-2:].mean()
        assert last["greedy_success"] == history["greedy_success"][-1]
        np.testing.assert_equal(Agent.load(tmp_path / last["cell"] / runs.AGENT).network.parameters(), parameters)


def test_a_row_holds_every_setting_and_the_table_holds_the_rows(tmp_path):
    rows = herfast.sweep(2, out=tmp_path, **{**TINY, "hidden": [(8,), (4, 4)]})
    assert by_cell(table(tmp_path)) == by_cell(as_text(rows))
    assert set(rows[0]) == set(cell.COLUMNS) >= {"machine", "version", "seconds", *Config.__dataclass_fields__}
    assert {row["hidden"] for row in rows} == {"8", "4,4"}
    assert {row["version"] for row in rows} == {herfast.__version__}


def test_seeds_settings_and_several_presets_make_cells_of_their_own():
    plan = sweeps.planned([4, 5], ["fast", "paper"], 3, None, {"k": [0, 1], "gamma": [0.9, 0.9]})
    assert len(plan) == len({cell.name for cell in plan}) == 2 * 2 * 3 * 2  # 0.9 twice is one cell
    assert plan[0].config == Config.preset("fast", BitFlip(5), k=0, gamma=0.9)
    (other,) = sweeps.planned(5, "fast", 1, 9, {"k": 0, "gamma": 0.9})
    assert other.name not in {cell.name for cell in plan}  # max_steps


def test_the_same_call_again_learns_nothing_and_more_seeds_only_those(tmp_path, monkeypatch):
    first = herfast.sweep([2, 3], out=tmp_path, **TINY)
    learnt = []
    learn = cell.learn
    monkeypatch.setattr(cell, "learn", lambda cell, *args: (learnt.append(cell.seed), learn(cell, *args)))
    assert herfast.sweep([2, 3], out=tmp_path, **TINY) == first
    assert learnt == []
    more = herfast.sweep([2, 3], out=tmp_path, seeds=2, **TINY)
    assert learnt == [1, 1]
    assert [row for row in more if row["seed"] == 0] == first
    assert by_cell(table(tmp_path)) == by_cell(as_text(more))
    herfast.sweep(2, out=tmp_path, **TINY)  # a part of it leaves the table whole
    assert by_cell(table(tmp_path)) == by_cell(as_text(more))


def test_a_cell_that_was_stopped_goes_on_from_its_checkpoint(tmp_path):
    """Stopped after one cycle and again and again, it ends as one that never was."""
    (what,) = planned(3)
    cell.learn(what, tmp_path / "whole")
    for cycle in range(1, 6):
        cell.learn(what, tmp_path / "stopped", lambda: True)
        assert not cell.ended(tmp_path / "stopped")
        assert Agent.load(tmp_path / "stopped" / runs.CHECKPOINT).cycles == cycle
    cell.learn(what, tmp_path / "stopped", lambda: True)  # the sixth and last
    assert cell.ended(tmp_path / "stopped")
    whole, stopped = (without_time(cell.rows(tmp_path / name)) for name in ("whole", "stopped"))
    assert [{**row, "cell": "stopped"} for row in whole] == stopped
    assert not (tmp_path / "stopped" / runs.CHECKPOINT).exists()


def test_a_checkpoint_that_cannot_be_read_costs_only_time(tmp_path):
    (what,) = sweeps.planned(3, "notebook", 1, None, {k: v for k, v in TINY.items() if k != "preset"})
    cell.learn(what, tmp_path / "a", lambda: True)
    (tmp_path / "a" / runs.CHECKPOINT).write_bytes(b"rubbish")
    cell.learn(what, tmp_path / "a")
    cell.learn(what, tmp_path / "b")
    assert without_time(cell.rows(tmp_path / "a"))[-1] == {**without_time(cell.rows(tmp_path / "b"))[-1], "cell": "a"}


def test_learning_that_diverges_is_an_end_and_stops_nothing_else(tmp_path):
    rows = herfast.sweep(4, out=tmp_path, learning_rate=[1.0, 1e-3], gamma=0.999, **{**TINY, "epochs": 400})
    assert {row["learning_rate"]: row["ended"] for row in rows}[1e-3] == "epochs"


def test_interrupted_it_saves_what_is_under_way(tmp_path, monkeypatch):
    """The first cell ends, then Ctrl-C: no other is begun, and those under way can go on."""
    with pytest.raises(KeyboardInterrupt):
        sweeps.carry_out(
            planned(3, seeds=6, epochs=50),
            tmp_path, 2, None, False, interrupt,
        )  # fmt: skip
    assert [thread.name for thread in threading.enumerate() if "Pool" in thread.name] == []
    begun = [folder for folder in tmp_path.iterdir() if folder.is_dir()]
    open_ = [folder for folder in begun if not cell.ended(folder)]
    assert 1 <= len(begun) < 6
    assert all((folder / runs.CHECKPOINT).exists() for folder in open_)
    assert {row["cell"] for row in table(tmp_path)} == {folder.name for folder in begun} - {f.name for f in open_}


def interrupt(name, rows):
    raise KeyboardInterrupt


@pytest.mark.slow
def test_killed_at_any_moment_it_ends_with_the_same_numbers(tmp_path):
    """Ten times killed a little later, then let go: as a sweep that was never killed, each cell once."""
    flags = f"--n-bits 3 4 --k 0 4 --seeds 2 --epochs 60 {FLAGS} --out".split()
    argv = [sys.executable, "-m", "herfast", "sweep", *flags]
    rng = np.random.default_rng(0)
    for _ in range(10):
        process = subprocess.Popen([*argv, str(tmp_path / "killed")], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert process.stdout is not None
        for _ in range(int(rng.integers(1, 3))):  # its first line, and perhaps a cell's
            process.stdout.readline()
        threading.Event().wait(rng.uniform(0, 0.1))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        if (tmp_path / "killed" / sweeps.RESULTS).exists():
            rows = table(tmp_path / "killed")
            assert len({(row["cell"], row["epoch"]) for row in rows}) == len(rows)
    for name in ("killed", "whole"):
        done = subprocess.run([*argv, str(tmp_path / name)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    killed, whole = (by_cell(without_time(table(tmp_path / name))) for name in ("killed", "whole"))
    assert len(whole) == 8 * 60
    assert killed == whole
