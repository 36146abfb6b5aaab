"""The example notebook runs with the installed herfast, and its file is clean."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import herfast
from herfast.networks.compiled.entry_points import NOTICE

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "examples" / "bitflip_her.ipynb"

# Executes the notebook in a separate process, since Jupyter's packages emit warnings and leave sockets open.
# pytest would report these as errors. Without kernel folders the only kernel is that of this Python.
EXECUTE = """
import sys
import nbformat
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

source, target, folder = sys.argv[1:]
notebook = nbformat.read(source, as_version=4)
nbformat.validate(notebook)
where = "import sys, herfast; print(sys.executable); print(herfast.__file__)"
notebook.cells.append(nbformat.v4.new_code_cell(where))
manager = AsyncKernelManager(kernel_name="python3", kernel_spec_manager=KernelSpecManager(kernel_dirs=[]))
NotebookClient(notebook, km=manager, timeout=300, resources={"metadata": {"path": folder}}).execute()
nbformat.write(notebook, target)
"""


def stream_text(outputs, name):
    streams = [output for output in outputs if output["output_type"] == "stream" and output["name"] == name]
    return "".join("".join(output["text"]) for output in streams)  # a file stores text as a list of lines


def count_images(outputs):
    return sum("image/png" in output.get("data", {}) for output in outputs)


def code_cells(path):
    return [
        cell for cell in json.loads(path.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"
    ]


@pytest.mark.slow
def test_the_notebook_runs(tmp_path):
    # Empty folders in place of the settings of the user who runs the tests.
    config_variables = (
        "JUPYTER_RUNTIME_DIR",
        "JUPYTER_CONFIG_DIR",
        "IPYTHONDIR",
        "MPLCONFIGDIR",
    )
    folders = {name: tmp_path / name.lower() for name in (*config_variables, "EMPTY")}
    for folder in folders.values():
        folder.mkdir()
    result = subprocess.run(
        [sys.executable, "-c", EXECUTE, NOTEBOOK, tmp_path / "executed.ipynb", folders["EMPTY"]],
        cwd=folders["EMPTY"],
        env={**os.environ, **{name: str(folders[name]) for name in config_variables}},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert result.returncode == 0, result.stderr  # shows the cell that failed

    *executed, where = code_cells(tmp_path / "executed.ipynb")
    assert stream_text(where["outputs"], "stdout").splitlines() == [sys.executable, herfast.__file__]
    for stored, cell in zip(code_cells(NOTEBOOK), executed, strict=True):
        before, after = stored["outputs"], cell["outputs"]
        assert stream_text(after, "stderr").replace(f"{NOTICE}\n", "") == "", cell["id"]
        assert count_images(after) == count_images(before), cell["id"]
        assert bool(stream_text(after, "stdout")) == bool(stream_text(before, "stdout")), cell["id"]
    assert list(folders["EMPTY"].iterdir()) == []


def test_stored_outputs_are_of_one_clean_run():
    text = NOTEBOOK.read_text(encoding="utf-8")
    notebook = json.loads(text)
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)  # the first version with cell ids
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    ids = [cell["id"] for cell in notebook["cells"]]
    assert len(set(ids)) == len(ids)

    cells = code_cells(NOTEBOOK)
    assert [cell["execution_count"] for cell in cells] == [*range(1, len(cells) + 1)]
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert {output["output_type"] for output in outputs} == {"stream", "display_data"}
    assert stream_text(outputs, "stderr") == ""
    assert count_images(outputs) >= 2

    assert len(text) < 400_000
    # No metadata, such as the time of execution.
    assert [cell["id"] for cell in notebook["cells"] if cell["metadata"]] == []
    # No paths of one machine, and no colour codes.
    assert re.findall(r"/(?:home|Users|root|tmp)/|site-packages|\\u001b", text) == []
