"""Columns of progress.csv and results.csv, and the contents of an agent's file."""

import json
import tempfile
from pathlib import Path

from herfast import Agent, BitFlip
from herfast.common.history import HISTORY_SCHEMA
from herfast.config import config_fields
from herfast.experiments.trial import RESULT_COLUMNS
from inserts.tables import markdown_table

N_BITS = 20
EPOCH_VALUES = {
    "mean": "mean over the epoch's cycles",
    "final": "value at the end of the epoch",
    "total": "total since the start of the trial",
}
MEANINGS = {
    "cell": "name of the trial's folder",
    "n_bits": "bits of a state",
    "max_steps": "steps after which an episode is truncated",
    "preset": "preset of the trial",
    "seed": "seed of the trial",
    "epoch": "number of the epoch, from 1; 0 if the trial diverged in its first cycle",
    "ended": "how the trial ended: solved, epochs (all are done) or diverged",
    "machine": "machine that trained the trial",
    "version": "version of herfast",
    "env": "the environment's spec, as JSON",
    "hidden": "widths of the hidden layers, separated by commas",
}


def history_columns():
    """Return a table of the columns of an agent's history."""
    rows = []
    for name, column in HISTORY_SCHEMA.items():
        tag = ""
        if column.tag:
            tag = f"`{column.tag}`"
        rows.append([f"`{name}`", column.dtype.__name__, tag])
    return markdown_table(["column", "type", "name in TensorBoard"], rows)


def results_columns():
    """Return a table of the columns of results.csv, in their order."""
    rows = []
    for name in RESULT_COLUMNS:
        if name in MEANINGS:
            rows.append([f"`{name}`", MEANINGS[name]])
        elif name in config_fields():
            rows.append([f"`{name}`", f"[setting](#field-{name})"])
        else:
            rows.append([f"`{name}`", EPOCH_VALUES[HISTORY_SCHEMA[name].epoch]])
    return markdown_table(["column", "value"], rows)


def tensors():
    """Return a table of the tensors in the file of an agent that was saved with its replay buffer."""
    with tempfile.TemporaryDirectory() as folder:
        header = {}
        for replay in (True, False):
            path = Path(folder) / "agent.safetensors"
            Agent(BitFlip(N_BITS), "notebook", seed=0).save(path, replay=replay)
            data = path.read_bytes()
            size = int.from_bytes(data[:8], "little")
            header[replay] = json.loads(data[8 : 8 + size])
    names = [name for name in header[True] if name != "__metadata__"]
    rows = []
    for name in sorted(names):
        files = "both"
        if name not in header[False]:
            files = "checkpoint"
        entry = header[True][name]
        rows.append([f"`{name}`", entry["dtype"], " x ".join(map(str, entry["shape"])), files])
    metadata = ", ".join(f"`{name}`" for name in sorted(header[True]["__metadata__"]))
    table = markdown_table(["tensor", "type", "shape", "file"], rows)
    return f"{table}\n\nMetadata: {metadata}."
