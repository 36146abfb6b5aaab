"""`herfast sweep`, and `herfast plot` for the folder of a sweep."""

import csv
import dataclasses
import sys

import pytest

from herfast import Config
from herfast.cli import main, options, parsing, values
from herfast.experiments import sweep

SMALL = "--preset notebook --n-bits 2 3 --hidden 8 4,4 --cycles-per-epoch 1 --updates-per-cycle 1 --epochs 2"


def test_each_field_of_config_is_an_option_with_its_docstring(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit) as done:
        main.main(["sweep", "--help"])
    assert done.value.code == 0
    help_text = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert set(options.field_docstrings()) == {field.name for field in dataclasses.fields(Config)}
    for name, text in options.field_docstrings().items():
        assert f"--{name.replace('_', '-')}" in help_text
        assert text in help_text
    assert "Draw the plots of a run" not in help_text


def test_values_of_every_type_are_parsed():
    argv = "sweep --n-bits 5 10 --k 0 4 --until None 0.5 --double-q True False"
    argv += " --hidden 64,32 8 --strategy final future"
    command = parsing.parse([*argv.split(), "--out", "somewhere", "--seeds", "3"])
    assert isinstance(command, options.SweepOptions)
    found = {name: value for name, value in vars(command).items() if value not in ((), None)}
    assert found.pop("out").name == "somewhere"
    assert found == {
        "n_bits": (5, 10), "preset": ("fast",), "seeds": 3, "k": (0, 4), "until": (None, 0.5),
        "double_q": (True, False), "hidden": ("64,32", "8"), "strategy": ("final", "future"),
    }  # fmt: skip


@pytest.mark.parametrize(("text", "widths"), [("64", (64,)), ("64,32", (64, 32)), (" 64, 32", (64, 32))])
def test_widths_are_parsed(text, widths):
    assert values.parse_widths(text) == widths


@pytest.mark.parametrize("text", ["", "64,", "a", "64 32", "6.5"])
def test_invalid_widths_are_rejected(text):
    with pytest.raises(ValueError, match=r"^hidden must be widths separated by commas, such as 64,32, got '"):
        values.parse_widths(text)


def test_sweep_prints_trials_and_plots_and_plot_draws_them_again(tmp_path, capsys):
    argv = ["sweep", *SMALL.split(), "--out", str(tmp_path / "swept")]
    assert main.main(argv) == 0
    first, *lines = capsys.readouterr().out.splitlines()
    assert first == f"4 trials; their runs and results.csv are in {tmp_path / 'swept'}"
    trials = [line for line in lines if "all epochs completed: greedy" in line]
    plots = [line for line in lines if line.endswith((".png", ".svg"))]
    assert (len(trials), len(trials) + len(plots)) == (4, len(lines))
    with (tmp_path / "swept" / sweep.RESULTS_FILE).open(newline="") as file:
        assert {row["hidden"] for row in csv.DictReader(file)} == {"8", "4,4"}
    assert main.main(["plot", str(tmp_path / "swept")]) == 0
    assert capsys.readouterr().out.splitlines() == plots
    assert main.main(argv) == 0  # nothing is left to train
    assert capsys.readouterr().out.splitlines() == [first, *plots]


def test_without_matplotlib_a_sweep_is_complete_except_for_the_plots(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert main.main(["sweep", *SMALL.split(), "--out", str(tmp_path)]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("No plots: plots need matplotlib")
    assert last.endswith(f"; to draw them later: herfast plot {tmp_path}")


def test_ctrl_c_exits_with_130(tmp_path, capsys, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("herfast.cli.commands.run_trials", interrupt)
    assert main.main(["sweep", *SMALL.split(), "--out", str(tmp_path)]) == 130
    assert capsys.readouterr().out.endswith(
        "unfinished trials are saved; run the same command again to continue\n"
    )


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--gamma 0.9 1.5", "gamma must be in [0, 1), got 1.5"),
        ("--hidden 8,x", "hidden must be widths separated by commas, such as 64,32, got '8,x'"),
        ("--seeds 0", "seeds must be from 1 to 1,048,576, got 0"),
        ("--jobs 0", "jobs must be from 1 to 1,024, got 0"),
        ("--scheduler here", "scheduler must be an address such as tcp://host:8786, got 'here'"),
    ],
)
def test_invalid_options_are_rejected_before_anything_is_written(flags, message, tmp_path, capsys):
    assert main.main(["sweep", "--n-bits", "3", "--out", str(tmp_path / "new"), *flags.split()]) == 2
    assert capsys.readouterr() == ("", f"herfast: error: {message}\n")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("flags", "name"),
    [("--k 0 --k 4", "--k"), ("--batch-size 8 --batch_size=9", "--batch-size"), ("--n-bits 4", "--n-bits")],
)
def test_an_option_that_is_given_twice_is_rejected(flags, name, tmp_path, capsys):
    assert main.main(["sweep", "--n-bits", "3", "--out", str(tmp_path / "new"), *flags.split()]) == 2
    message = f"herfast: error: {name} is given 2 times: give it once, with all its values\n"
    assert capsys.readouterr() == ("", message)
    assert not (tmp_path / "new").exists()


def test_a_single_seed_is_no_option(tmp_path, capsys):
    with pytest.raises(SystemExit) as done:
        main.main(["sweep", "--n-bits", "3", "--seed", "3", "--out", str(tmp_path / "new")])
    assert done.value.code == 2
    assert "--seeds" in capsys.readouterr().err


def test_a_run_folder_and_a_foreign_results_csv_are_rejected(tmp_path, capsys):
    (tmp_path / "config.json").write_text("{}")
    assert main.main(["sweep", "--n-bits", "3", "--out", str(tmp_path)]) == 2
    assert "contains a run: choose another folder for the sweep" in capsys.readouterr().err
    (tmp_path / "config.json").unlink()
    (tmp_path / sweep.RESULTS_FILE).write_text("a,b\n1,2\n")
    for argv in (["sweep", "--n-bits", "3", "--out", str(tmp_path)], ["plot", str(tmp_path)]):
        assert main.main(argv) == 2
        assert "is not the results.csv of a sweep" in capsys.readouterr().err
    assert (tmp_path / sweep.RESULTS_FILE).read_text() == "a,b\n1,2\n"
