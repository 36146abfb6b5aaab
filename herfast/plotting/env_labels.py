"""Short labels of the environments of a sweep."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any

from herfast.common.validation import one_line

MAX_LENGTH = 20  # characters of a parameter


def env_labels(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a short label of each row's environment.

    It has the id and the parameters with several values among environments of equal size and id. So
    environments of one size have different labels, and one that grows has the same label at every size.
    `max_steps` is left out, since it has a column.
    """
    specs = [_parameters(row) for row in rows]
    ids = [spec["id"] for spec in specs]
    sizes = [str(row["n_bits"]) for row in rows]
    parameters = dict.fromkeys((spec["id"], name) for spec in specs for name in spec)
    short_ids = _short_texts(ids, _class_name)
    labels = [short_ids[id] for id in ids]
    for id, name in parameters:
        of_id = [index for index in range(len(rows)) if ids[index] == id]
        values = {index: specs[index].get(name) for index in of_id}
        if not several_values([sizes[index] for index in of_id], values.values()):
            continue
        given = {index: value for index, value in values.items() if value is not None}
        texts = _short_texts(given.values(), _short_value)
        for index, value in given.items():
            labels[index] += f" {name}={texts[value]}"
    return labels


def several_values(groups: Iterable[Hashable], values: Iterable[Hashable]) -> bool:
    """Return whether values of the same group differ.

    Args:
        groups: the group of each value.
        values: as many values.
    """
    first: dict[Hashable, Hashable] = {}
    return any(first.setdefault(group, value) != value for group, value in zip(groups, values, strict=True))


def _parameters(row: Mapping[str, Any]) -> dict[str, str]:
    """Return the id and the parameters of a row's spec, each as JSON."""
    spec = json.loads(row.get("env") or '{"id": "BitFlip"}')
    return {name: json.dumps(value) for name, value in spec.items() if name != "max_steps"}


def _short_texts(values: Iterable[str], shorten: Callable[[Any], str]) -> dict[str, str]:
    """Return a short text for each value, which is JSON.

    Where different values have the same text, all but the first are numbered.
    """
    texts = {value: shorten(json.loads(value)) for value in values}
    counts: dict[str, int] = {}
    for value, text in texts.items():
        counts[text] = counts.get(text, 0) + 1
        if counts[text] > 1:
            texts[value] = f"{text} ({counts[text]})"
    return texts


def _class_name(id: str) -> str:
    """Return the class of an id of the form "module:Class", else the id."""
    return id.rpartition(":")[2]


def _short_value(value: object) -> str:
    """Return the rows and columns of a map, and the beginning of another value."""
    text = str(value)
    lines = text.split("\n")
    if len(lines) > 1:
        return f"{len(lines)}x{max(map(len, lines))}"
    return one_line(text, MAX_LENGTH)
