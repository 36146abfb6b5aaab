"""Tests of docs/inserts, which makes parts of pages from the code."""

import dataclasses
import json
import re

import pytest
from architecture.source_tree import ROOT
from inserts import INSERTS, command_line, files, notebook, settings, with_inserts
from safetensors import safe_open

import herfast
from herfast import Agent, BitFlip, Config
from herfast.cli import options
from herfast.config import config_fields
from herfast.experiments.trial import RESULT_COLUMNS

PAGES = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md")}


def table_rows(text):
    """Cells of the rows of a Markdown table, without the header."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def column(text, index=0):
    """Names in code of a column."""
    return [re.search(r"`(.+?)`", row[index])[1] for row in table_rows(text)]


def test_each_part_is_in_one_page():
    found = [name for text in PAGES.values() for name in re.findall(r"<!-- insert: ([a-z ]+) -->", text)]
    assert sorted(found) == sorted(INSERTS)


def test_a_part_replaces_its_comment(monkeypatch):
    monkeypatch.setitem(INSERTS, "tensors", lambda: "a table")
    assert with_inserts("above\n<!-- insert: tensors -->\nbelow") == "above\na table\nbelow"


def test_an_unknown_part_raises():
    with pytest.raises(KeyError, match="tabel"):
        with_inserts("<!-- insert: tabel -->")


def test_every_public_name_is_in_the_api():
    entries = re.findall(
        r"^\.\. (?:py:class|autoclass|autofunction):: ([\w.]+)", PAGES["api.md"], re.MULTILINE
    )
    assert {entry.removeprefix("herfast.") for entry in entries} >= set(herfast.__all__)
    assert ".. automodule:: herfast.sb3" in PAGES["api.md"]


def test_every_field_has_its_documentation_and_its_values():
    text = settings.fields()
    assert re.findall(r"^`(\w+)`$", text, re.MULTILINE) == list(config_fields())
    assert ": Discount factor.\\\n  Allowed: numbers in [0, 1)." in text
    assert 'Allowed: `"dense"` or `"sparse"`.' in text
    assert "Allowed: integers from 0 to 1,000,000." in text
    assert "Allowed: integers from 1 to 2**24." in text
    assert "Allowed: a tuple of 1 to 8 integers from 1 to 65,536." in text
    assert "Allowed: numbers in (0, 1], or None. It may change after training has begun." in text
    assert "Allowed: True or False." in text


def test_the_table_of_presets_has_every_field():
    text = settings.preset_values()
    assert column(text) == list(config_fields())
    values = {row[0].split("`")[1]: row[1:] for row in table_rows(text)}
    assert values["gamma"] == ["0.999", "0.999", "0.98", "0.98"]
    assert values["hidden"] == ["by size", "128, 256", "256", "256"]
    assert values["capacity"] == ["200,000", "200,000", "1,000,000", "by size"]


def test_values_by_size_are_those_of_the_presets():
    rows = {(row[0].strip("`"), row[1].strip("`")): row[2:] for row in table_rows(settings.size_values())}
    by_size = {row[0].split("`")[1]: row[1:] for row in table_rows(settings.preset_values())}
    for index, preset in ((0, "fast"), (2, "paper"), (3, "notebook")):
        names = {name for name, values in by_size.items() if values[index] == settings.SIZE_DEPENDENT}
        assert names == {name for preset_name, name in rows if preset_name == preset}
    widths = [Config.preset("fast", BitFlip(n_bits)).hidden[0] for n_bits in settings.SIZES]
    assert rows["fast", "hidden"] == list(map(str, widths))


def test_every_option_of_every_command_is_listed_once():
    sections = command_line.options().split("\n## ")
    assert [section.split("\n")[0].removeprefix("## ") for section in sections] == [
        f"herfast {command}" for command in command_line.COMMANDS
    ]
    classes = (options.Train, options.Resume, options.SweepOptions, options.Eval, options.Play, options.Plot)
    for section, command in zip(sections, (*classes, options.Doctor), strict=True):
        names = {field.name for field in dataclasses.fields(command)} - {"config", "path", "folder"}
        listed = re.findall(r"^`--([\w-]+)(?: .*)?`\n: \S", section, re.MULTILINE)
        assert sorted(name.replace("-", "_") for name in listed) == sorted(names)


def test_the_notebook_is_shown_with_its_outputs():
    cells = json.loads(notebook.NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    text = notebook.tutorial()
    pictures = 0
    for cell in cells:
        assert "".join(cell["source"]) in text
        for output in cell.get("outputs", []):
            assert "".join(output.get("text", "")).rstrip() in text
            pictures += output["output_type"] == "display_data"
    assert text.count("data:image/png;base64,") == pictures > 0


def test_a_cell_that_was_not_executed_raises():
    cell = {"cell_type": "code", "source": ["1 + 1"], "execution_count": None, "outputs": []}
    with pytest.raises(ValueError, match=r"1 \+ 1"):
        notebook.cell_markdown(cell)


def test_an_output_of_another_kind_raises():
    with pytest.raises(ValueError, match="'error'"):
        notebook.output_markdown({"output_type": "error"})


def test_the_columns_of_results_are_complete_and_in_order():
    assert column(files.results_columns()) == list(RESULT_COLUMNS)
    assert all(row[1] for row in table_rows(files.results_columns()))


def test_the_columns_of_the_history_are_those_of_an_agent():
    agent = Agent(BitFlip(4), "notebook", seed=0)
    assert column(files.history_columns()) == list(agent.history)


@pytest.mark.parametrize("replay", [False, True])
def test_the_tensors_are_those_of_a_file(tmp_path, replay):
    Agent(BitFlip(files.N_BITS), "notebook", seed=0).save(tmp_path / "agent.safetensors", replay=replay)
    kinds = ("both", "checkpoint") if replay else ("both",)
    listed = [row[0].strip("`") for row in table_rows(files.tensors()) if row[3] in kinds]
    with safe_open(tmp_path / "agent.safetensors", framework="np") as file:
        assert listed == sorted(file.keys())


def test_no_line_begins_with_a_percent_sign():
    # MyST takes such a line for a comment and leaves it out.
    for path in (ROOT / "docs").glob("*.md"):
        text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        assert not re.search(r"^\s*%", text, re.MULTILINE), path.name
