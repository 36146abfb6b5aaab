"""Code blocks, commands, links and headings of the Markdown files."""

import re
import shlex
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]

FENCE = re.compile(r"\s*```+")
SPAN = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)  # code in a sentence
LINK = re.compile(r"\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)|^\[[^\]]+\]:\s*(\S+)", re.MULTILINE)
ATTRIBUTE = re.compile(r"\b(?:src|href)=\"([^\"]+)\"")
AUTOLINK = re.compile(r"<(https?:[^>\s]+)>")


class Block(NamedTuple):
    line: int  # of its opening fence
    language: str  # "" if none is given
    text: str


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def code_blocks(text: str) -> list[Block]:
    """Return the fenced code blocks of a page."""
    return _divided(text)[0]


def prose(text: str) -> str:
    """Return the text of a page without its code blocks."""
    return _divided(text)[1]


def _divided(text: str) -> tuple[list[Block], str]:
    blocks: list[Block] = []
    outside: list[str] = []
    lines: list[str] = []  # of the open block
    fence = ""
    for number, line in enumerate(text.splitlines(), 1):
        if not fence and (opening := FENCE.match(line)):
            fence = opening[0]
            first = number
            language = line[len(fence) :].strip()
        elif fence and line.rstrip() == fence:
            blocks.append(Block(first, language, "".join(f"{code}\n" for code in lines)))
            lines.clear()
            fence = ""
        elif fence:
            lines.append(line.removeprefix(fence.partition("`")[0]))
        else:
            outside.append(line)
    assert not fence, f"the code block of line {first} has no end"
    return blocks, "\n".join(outside)


def spans(text: str) -> list[str]:
    """Return the code in sentences, with line breaks as spaces."""
    return [" ".join(match[2].split()) for match in SPAN.finditer(prose(text))]


def links(text: str) -> list[str]:
    """Return the targets of links and images."""
    plain = SPAN.sub("code", prose(text))
    found = [first or second for first, second in LINK.findall(plain)]
    return [*found, *ATTRIBUTE.findall(plain), *AUTOLINK.findall(plain)]


def anchors(text: str) -> set[str]:
    """Return the anchors of headings, as GitHub and MyST make them, and others."""
    plain = prose(text)
    found: set[str] = set()
    for heading in re.findall(r"^#+ +(.+?)\s*$", plain, re.MULTILINE):
        shown = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", shown.lower()).replace(" ", "-")
        copies = sum(re.fullmatch(rf"{re.escape(slug)}(-\d+)?", other) is not None for other in found)
        found.add(f"{slug}-{copies}" if copies else slug)
    found.update(re.findall(r"^\(([\w.-]+)\)=$", plain, re.MULTILINE))
    found.update(re.findall(r"\bid=\"([^\"]+)\"", plain))
    return found


def commands(text: str) -> list[list[str]]:
    """Return the commands of a page's shell blocks, in order, as lists of arguments."""
    found = []
    for block in code_blocks(text):
        if block.language in ("bash", "console"):
            found += _commands_of(block)
    return found


def _commands_of(block: Block) -> list[list[str]]:
    text = block.text.replace("\\\n", " ")
    if block.language == "console":
        text = "\n".join(line.removeprefix("$ ") for line in text.splitlines() if line.startswith("$ "))
    found = []
    for line in text.splitlines():
        found += split_commands(line)
    return found


def split_commands(line: str) -> list[list[str]]:
    """Return the commands of a line, which `&&` separates, without comments.

    Raises:
        AssertionError: the line has a pipe, a redirection or a background process.
    """
    lexer = shlex.shlex(line, posix=True, punctuation_chars="&|;<>")
    lexer.whitespace_split = True
    found: list[list[str]] = [[]]
    for word in lexer:
        if word == "&&":
            found.append([])
        else:
            assert not set(word) <= set("&|;<>"), f"{line!r} needs a shell, which the tests do not have"
            found[-1].append(word)
    return [command for command in found if command]
