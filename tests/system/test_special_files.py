"""Tests of FIFOs with the names of files that are read.

Opening one would wait for a writer.
"""

import os

import pytest

from herfast.callbacks.text_logs import read_csv_log
from herfast.cli.main import main
from herfast.common.tensor_file import open_tensors
from herfast.experiments.results_table import read_results
from herfast.experiments.run import read_config


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("fifo", "plot folder/fifo"),
        ("fifo", "eval folder/fifo"),
        ("progress.csv", "plot folder"),
        ("config.json", "resume folder"),
        ("config.json", "train --n-bits 4 --out folder"),
        ("agent.safetensors", "play folder"),
        ("results.csv", "plot folder"),
        ("results.csv", "sweep --n-bits 4 --out folder"),
    ],
)
def test_a_command_does_not_wait_for_a_fifo(name, command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    os.mkdir("folder")
    os.mkfifo(f"folder/{name}")
    assert main(command.split()) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("herfast: error: ")
    assert os.listdir("folder") == [name]


def test_reading_a_fifo_raises(tmp_path):
    for name in ("fifo", "results.csv", "config.json"):
        os.mkfifo(tmp_path / name)
    message = "^cannot read .*: it is not a regular file$"
    with pytest.raises(OSError, match=message):
        read_csv_log(tmp_path / "fifo")
    with pytest.raises(OSError, match=message), open_tensors(tmp_path / "fifo"):
        pass
    with pytest.raises(OSError, match=message):
        read_results(tmp_path)
    assert read_config(tmp_path) is None
