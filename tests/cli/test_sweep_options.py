"""The command line of `herfast sweep`, and of `herfast plot` on what it leaves."""

import csv
import dataclasses
import sys

import pytest

from herfast import Config
from herfast.cli import main, options, sweep_options
from herfast.experiments import sweep

SMALL = "--preset notebook --n-bits 2 3 --hidden 8 4,4 --cycles-per-epoch 1 --updates-per-cycle 1 --epochs 2"


def test_each_field_of_config_is_a_flag_with_its_docstring(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit) as done:
        main.main(["sweep", "--help"])
    assert done.value.code == 0
    said = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert set(sweep_options._docstrings()) == {field.name for field in dataclasses.fields(Config)}
    for name, text in sweep_options._docstrings().items():
        assert f"--{name.replace('_', '-')}" in said
        assert text in said
    assert "Draw a run" not in said


def test_values_of_every_kind_are_taken():
    argv = "sweep --n-bits 5 10 --k 0 4 --until None 0.5 --double-q True False --hidden 64,32 8 --strategy final future"
    command = options.parse([*argv.split(), "--out", "somewhere", "--seeds", "3"])
    assert isinstance(command, sweep_options.SweepOptions)
    found = {name: value for name, value in vars(command).items() if value not in ((), None)}
    assert found.pop("out").name == "somewhere"
    assert found == {
        "n_bits": (5, 10), "preset": ("fast",), "seeds": 3, "k": (0, 4), "until": (None, 0.5),
        "double_q": (True, False), "hidden": ("64,32", "8"), "strategy": ("final", "future"),
    }  # fmt: skip


@pytest.mark.parametrize(("text", "widths"), [("64", (64,)), ("64,32", (64, 32)), (" 64, 32", (64, 32))])
def test_widths(text, widths):
    assert sweep_options.parse_widths(text) == widths


@pytest.mark.parametrize("text", ["", "64,", "a", "64 32", "6.5"])
def test_widths_are_refused(text):
    with pytest.raises(ValueError, match=r"^hidden must be widths with commas between them, such as 64,32, got '"):
        sweep_options.parse_widths(text)


def test_a_sweep_says_what_it_does_and_plot_draws_it_again(tmp_path, capsys):
    argv = ["sweep", *SMALL.split(), "--out", str(tmp_path / "swept")]
    assert main.main(argv) == 0
    first, *lines = capsys.readouterr().out.splitlines()
    assert first == f"4 cells; their runs and results.csv are in {tmp_path / 'swept'}"
    cells = [line for line in lines if "all epochs done: greedy" in line]
    pictures = [line for line in lines if line.endswith((".png", ".svg"))]
    assert (len(cells), len(cells) + len(pictures)) == (4, len(lines))
    with (tmp_path / "swept" / sweep.RESULTS_FILE).open(newline="") as file:
        assert {row["hidden"] for row in csv.DictReader(file)} == {"8", "4,4"}
    assert main.main(["plot", str(tmp_path / "swept")]) == 0
    assert capsys.readouterr().out.splitlines() == pictures
    assert main.main(argv) == 0  # nothing is left to learn
    assert capsys.readouterr().out.splitlines() == [first, *pictures]


def test_without_matplotlib_a_sweep_is_complete_all_the_same(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert main.main(["sweep", *SMALL.split(), "--out", str(tmp_path)]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("No plots: plots need matplotlib")
    assert last.endswith(f"; then herfast plot {tmp_path}")


def test_ctrl_c_ends_it_with_130(tmp_path, capsys, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("herfast.cli.commands.run_trials", interrupted)
    assert main.main(["sweep", *SMALL.split(), "--out", str(tmp_path)]) == 130
    assert capsys.readouterr().out.endswith("the same command goes on\n")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("--gamma 0.9 1.5", "gamma must be in [0, 1), got 1.5"),
        ("--hidden 8,x", "hidden must be widths with commas between them, such as 64,32, got '8,x'"),
        ("--seeds 0", "seeds must be from 1 to 1,048,576, got 0"),
        ("--jobs 0", "jobs must be from 1 to 1,024, got 0"),
        ("--scheduler here", "scheduler must be an address such as tcp://host:8786, got 'here'"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(flags, said, tmp_path, capsys):
    assert main.main(["sweep", "--n-bits", "3", "--out", str(tmp_path / "new"), *flags.split()]) == 2
    assert capsys.readouterr() == ("", f"herfast: error: {said}\n")
    assert not (tmp_path / "new").exists()


def test_the_folder_of_a_run_or_of_something_else_is_refused(tmp_path, capsys):
    (tmp_path / "config.json").write_text("{}")
    assert main.main(["sweep", "--n-bits", "3", "--out", str(tmp_path)]) == 2
    assert "holds a run: choose another folder for the sweep" in capsys.readouterr().err
    (tmp_path / "config.json").unlink()
    (tmp_path / sweep.RESULTS_FILE).write_text("a,b\n1,2\n")
    for argv in (["sweep", "--n-bits", "3", "--out", str(tmp_path)], ["plot", str(tmp_path)]):
        assert main.main(argv) == 2
        assert "is not the results.csv of a sweep" in capsys.readouterr().err
    assert (tmp_path / sweep.RESULTS_FILE).read_text() == "a,b\n1,2\n"
