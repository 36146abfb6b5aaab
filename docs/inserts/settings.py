"""Fields of Config with their documentation, and their values in each preset."""

import re
from typing import Literal, get_args, get_origin, get_type_hints

from herfast import BitFlip, Config, GridWorld
from herfast.bounds import Between
from herfast.cli.options import field_docstrings
from herfast.config import CHANGEABLE, config_fields
from inserts.tables import markdown_table

PRESETS = ("fast", "paper", "notebook")
SIZES = (10, 20, 50, 100, 256)
BINARY_MAP = "four_rooms"
SIZE_DEPENDENT = "by size"


def fields():
    """Return a definition list: each field, its allowed values and its documentation."""
    docs = field_docstrings()
    entries = []
    for name in config_fields():
        allowed = f"Allowed: {allowed_values(name)}."
        if name in CHANGEABLE:
            allowed += " It may change after training has begun."
        doc = re.sub(r"(?<!`)\b(\w*[a-z]_[a-z]\w*)\b", r"`\1`", docs[name])  # names of other fields
        entries.append(f"(field-{name})=\n`{name}`\n: {doc}\\\n  {allowed}")
    return "\n\n".join(entries)


def allowed_values(name):
    """Return the allowed values of a field as text."""
    kind = get_type_hints(Config, include_extras=True)[name]
    if kind is bool:
        return "True or False"
    if get_origin(kind) is Literal:
        *choices, last = (f'`"{choice}"`' for choice in get_args(kind))
        return f"{', '.join(choices)} or {last}"
    base, bound = get_args(kind)
    if isinstance(bound, Between):
        text = f"integers from {bound.low:,} to {power_of_two(bound.high)}"
    elif hasattr(bound, "text"):
        text = f"numbers in {bound.text}"
    else:
        text = "a tuple of 1 to 8 integers from 1 to 65,536"
    if type(None) in get_args(base):
        text += ", or None"
    return text


def power_of_two(number):
    """Return a number as text, and a power of two above a million as 2**n."""
    if number > 10**6 and number & (number - 1) == 0:
        return f"2**{number.bit_length() - 1}"
    return f"{number:,}"


def preset_values():
    """Return a table of the values of each field in each preset."""
    configs = {preset: [Config.preset(preset, BitFlip(n)) for n in SIZES] for preset in PRESETS}
    binary = Config.preset("fast", GridWorld(BINARY_MAP))
    rows = []
    for name in config_fields():
        cells = [shown_or_size(configs["fast"], name), shown(getattr(binary, name))]
        cells += [shown_or_size(configs[preset], name) for preset in PRESETS[1:]]
        rows.append([f"[`{name}`](#field-{name})", *cells])
    header = ["field", "`fast`, bit flipping", "`fast`, four rooms", "`paper`", "`notebook`"]
    return markdown_table(header, rows)


def size_values():
    """Return a table of the values that depend on the number of bits."""
    rows = []
    for preset in PRESETS:
        configs = [Config.preset(preset, BitFlip(n)) for n in SIZES]
        for name in config_fields():
            if shown_or_size(configs, name) == SIZE_DEPENDENT:
                rows.append([f"`{preset}`", f"`{name}`", *(shown(getattr(c, name)) for c in configs)])
    return markdown_table(["preset", "field", *(f"{n} bits" for n in SIZES)], rows)


def shown_or_size(configs, name):
    """Return the value that all configs share, or SIZE_DEPENDENT."""
    values = {shown(getattr(config, name)) for config in configs}
    if len(values) > 1:
        return SIZE_DEPENDENT
    return values.pop()


def shown(value):
    """Return a value as in a table."""
    if isinstance(value, bool) or value is None:
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return str(value)
