"""Plain English: first lines, sentence lengths, and words that are not used."""

import ast
import io
import re
import tokenize

import pytest
from architecture.source_tree import CYTHON_FILES, MODULES, ROOT

MAX_FIRST_LINE = 79  # characters
MAX_SENTENCE = 25  # words
OPENINGS = r"(What|Whether|How|Why|As|Of|If|Which|Where|When|That|Who|From|To|Else)\b"
# Metaphors, and words for which CONTRIBUTING.md has another one.
UNUSED = (
    r"rooms?|house|doors?|faces?|wears|hears?|heard|said|told|homes?|twins?|goes on|go on|going on|gone on|"
    r"anew|learnt|unlearnt|looked|refus(?:e|es|ed|al|ing)|at the door|a word"
)
FILES = sorted([*MODULES.values(), *(ROOT / "tests").rglob("*.py")])
OWN = (ROOT / "tests" / "architecture" / "test_prose.py",)


def name_of(path):
    return str(path.relative_to(ROOT))


def docstrings(tree):
    """Docstrings, also those of fields, with their line numbers."""
    found = []
    for node in ast.walk(tree):
        body = getattr(node, "body", [])
        for statement in body if isinstance(body, list) else []:
            value = getattr(statement, "value", None)
            if (
                isinstance(statement, ast.Expr)
                and isinstance(value, ast.Constant)
                and isinstance(value.value, str)
            ):
                found.append((statement.lineno, value.value))
    return found


def comments(source):
    """Comments with their line numbers. Comments on consecutive lines are one text."""
    found = []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT and not token.string.startswith("#!"):
            text = token.string.lstrip("#").strip()
            alone = not token.line[: token.start[1]].strip()
            if (
                alone
                and found
                and found[-1][2]
                and found[-1][0] + found[-1][1].count("\n") + 1 == token.start[0]
            ):
                found[-1] = (found[-1][0], f"{found[-1][1]}\n{text}", True)
            else:
                found.append((token.start[0], text, alone))
    return [(line, text) for line, text, _ in found]


def sentences(text):
    """Sentences of a docstring or comment, with lists and paragraphs set apart."""
    text = re.sub(r"`[^`]*`", "name", text)
    for paragraph in re.split(r"\n\s*\n|\n\s*- |\n\s*(?=[\w, .]+: )", text):
        yield from re.split(r"(?<=[.?!:])\s+", " ".join(paragraph.split()))


def words(sentence):
    return [word for word in sentence.split() if re.search(r"[A-Za-z]", word)]


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_first_lines_are_short_and_name_what_is_returned_or_done(path):
    long = []
    for line, text in docstrings(ast.parse(path.read_text())):
        first = text.strip().split("\n")[0]
        if len(first) > MAX_FIRST_LINE or re.match(OPENINGS, first):
            long.append(f"{line}: {first}")
    assert long == []


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_sentences_are_short(path):
    source = path.read_text()
    long = [
        f"{line}: {sentence}"
        for line, text in [*docstrings(ast.parse(source)), *comments(source)]
        for sentence in sentences(text)
        if len(words(sentence)) > MAX_SENTENCE
    ]
    assert long == []


@pytest.mark.parametrize("path", [path for path in [*FILES, *CYTHON_FILES] if path not in OWN], ids=name_of)
def test_words_that_are_not_used(path):
    lines = path.read_text().replace("_", " ").splitlines()
    found = [
        f"{n}: {line.strip()}"
        for n, line in enumerate(lines, 1)
        if re.search(
            rf"\b({UNUSED})\b",
            re.sub(r"\(\?:home\||XDG CACHE HOME|four rooms", "", line, flags=re.IGNORECASE),  # folders, a map
            re.IGNORECASE,
        )
    ]
    assert found == []
