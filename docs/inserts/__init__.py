"""Parts of pages that are made from the code when the site is built.

A page has the comment `<!-- insert: NAME -->` where the part belongs.
"""

import re

from inserts.command_line import options
from inserts.files import history_columns, results_columns, tensors
from inserts.notebook import tutorial
from inserts.settings import fields, preset_values, size_values

INSERTS = {
    "fields": fields,
    "preset values": preset_values,
    "size values": size_values,
    "options": options,
    "history columns": history_columns,
    "results columns": results_columns,
    "tensors": tensors,
    "tutorial": tutorial,
}


def with_inserts(text):
    """Return the Markdown text of a page with its parts inserted."""
    return re.sub(r"<!-- insert: ([a-z ]+) -->", lambda match: INSERTS[match[1]](), text)
