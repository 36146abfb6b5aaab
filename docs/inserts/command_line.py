"""Options of the commands, from the text of --help."""

import os
import re
import subprocess
import sys

from herfast.config import config_fields

COMMANDS = ("train", "resume", "sweep", "eval", "play", "plot", "doctor")


def options():
    """Return a section for each command: usage, description and options.

    Options that are fields of Config are left out. The page of settings has them.
    """
    return "\n\n".join(section(command) for command in COMMANDS)


def section(command):
    """Return the section of one command."""
    usage, about, *boxes = parts(help_text(command))
    entries = [entry for box in boxes for entry in entries_of(box)]
    text = [f"## herfast {command}", f"```text\n{usage}\n```", with_code(about)]
    if command in ("train", "sweep"):
        text.append("Each field of Config is an option, too: see [Settings](settings.md).")
        entries = [entry for entry in entries if not is_setting(entry[0])]
    text += [f"`{name}`\n: {with_code(about)}" for name, about in entries]
    return "\n\n".join(text)


def with_code(text):
    """Return a text in which options are code, and `<` begins no HTML."""
    return re.sub(r"(?<![`\w-])(--[a-z][\w-]*)", r"`\1`", text.replace("<", r"\<"))


def help_text(command):
    """Return what `herfast COMMAND --help` prints without colours, in lines that are long enough."""
    return subprocess.run(
        [sys.executable, "-m", "herfast", command, "--help"],
        env={**os.environ, "COLUMNS": "200", "NO_COLOR": "1", "PYTHONIOENCODING": "utf-8"},
        stdout=subprocess.PIPE,
        encoding="utf-8",
        check=True,
    ).stdout


def parts(text):
    """Return the usage, the description, and the lines of each box."""
    head, *boxes = re.split(r"╭.*╮\n", text)
    usage, _, about = head.removeprefix("usage: ").partition("\n\n")
    rows = [re.findall(r"^│ (.*) │$", box, re.MULTILINE) for box in boxes]
    return usage, about.strip(), *rows


def entries_of(rows):
    """Return pairs of an option, with its values, and its description."""
    entries = []
    for row in rows:
        if row.startswith(" "):
            entries[-1][1] += f" {row.strip()}"
        else:
            name, _, about = re.sub(r"\s{2,}", "\n", row.strip(), count=1).partition("\n")
            entries.append([name, about])
    return [(name, about.strip()) for name, about in entries if "--help" not in name]


def is_setting(name):
    """Return True if an option is a field of Config."""
    field = re.match(r"-*([\w-]*)", name)[1].replace("-", "_")
    return field in config_fields()
