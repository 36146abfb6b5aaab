"""The tutorial: the notebook in examples/, with the outputs that are stored in it.

tests/system/test_examples.py executes the notebook.
"""

import json
from pathlib import Path

NOTEBOOK = Path(__file__).parents[2] / "examples" / "bitflip_her.ipynb"


def tutorial():
    """Return the notebook as Markdown."""
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    return "\n\n".join(cell_markdown(cell) for cell in cells)


def cell_markdown(cell):
    """Return a cell, and its outputs if it has any, as Markdown.

    Raises:
        ValueError: a cell of code was not executed, or has an output of an unknown kind.
    """
    source = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        return source
    if cell["execution_count"] is None:
        raise ValueError(f"every cell must be executed, got {source!r} without outputs")
    return "\n\n".join([f"```python\n{source}\n```", *map(output_markdown, cell["outputs"])])


def output_markdown(output):
    """Return one output as Markdown. A picture is part of the page."""
    if output["output_type"] == "stream":
        return f"```text\n{''.join(output['text']).rstrip()}\n```"
    if output["output_type"] != "display_data":
        raise ValueError(f"an output must be a stream or a picture, got {output['output_type']!r}")
    data = "".join(output["data"]["image/png"]).replace("\n", "")
    return f'<p><img class="plot" alt="plot of the code above" src="data:image/png;base64,{data}"></p>'
