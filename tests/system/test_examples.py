"""The notebook in examples/: it runs as it is, in the installed herfast, and what is stored of it is fit to be read."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import herfast

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "examples" / "bitflip_her.ipynb"
ANNOUNCEMENT = "herfast: compiling its kernels, once for this machine; about 10 seconds\n"

# A process of its own, since Jupyter's packages warn of each other and leave sockets open, which are errors to pytest.
# Without folders to search there is one kernel, that of the Python which runs this, whatever else is installed.
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


def text_of(outputs, name):
    streams = [output for output in outputs if output["output_type"] == "stream" and output["name"] == name]
    return "".join("".join(output["text"]) for output in streams)  # a file holds a text as lines


def pictures(outputs):
    return sum("image/png" in output.get("data", {}) for output in outputs)


def code_cells(path):
    return [cell for cell in json.loads(path.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]


@pytest.mark.slow
def test_it_runs(tmp_path):
    homes = (
        "JUPYTER_RUNTIME_DIR",
        "JUPYTER_CONFIG_DIR",
        "IPYTHONDIR",
        "MPLCONFIGDIR",
    )  # not those of who runs the tests
    folders = {name: tmp_path / name.lower() for name in (*homes, "EMPTY")}
    for folder in folders.values():
        folder.mkdir()
    result = subprocess.run(
        [sys.executable, "-c", EXECUTE, NOTEBOOK, tmp_path / "executed.ipynb", folders["EMPTY"]],
        cwd=folders["EMPTY"],
        env={**os.environ, **{name: str(folders[name]) for name in homes}},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert result.returncode == 0, result.stderr  # which shows the cell that failed

    *executed, where = code_cells(tmp_path / "executed.ipynb")
    assert text_of(where["outputs"], "stdout").splitlines() == [sys.executable, herfast.__file__]
    for stored, cell in zip(code_cells(NOTEBOOK), executed, strict=True):
        before, after = stored["outputs"], cell["outputs"]
        assert text_of(after, "stderr").replace(ANNOUNCEMENT, "") == "", cell["id"]
        assert pictures(after) == pictures(before), cell["id"]
        assert bool(text_of(after, "stdout")) == bool(text_of(before, "stdout")), cell["id"]
    assert list(folders["EMPTY"].iterdir()) == []


def test_what_is_stored_is_one_clean_run():
    text = NOTEBOOK.read_text(encoding="utf-8")
    notebook = json.loads(text)
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)  # the first with cell ids
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    ids = [cell["id"] for cell in notebook["cells"]]
    assert len(set(ids)) == len(ids)

    cells = code_cells(NOTEBOOK)
    assert [cell["execution_count"] for cell in cells] == [*range(1, len(cells) + 1)]
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert {output["output_type"] for output in outputs} == {"stream", "display_data"}
    assert text_of(outputs, "stderr") == ""
    assert pictures(outputs) >= 2

    assert len(text) < 400_000
    assert [cell["id"] for cell in notebook["cells"] if cell["metadata"]] == []  # such as the time it was run at
    assert re.findall(r"/(?:home|Users|root|tmp)/|site-packages|\\u001b", text) == []  # of one machine, or colours
