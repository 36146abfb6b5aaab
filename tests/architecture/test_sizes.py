"""Limits of file length, function length and number of modules per folder."""

import ast
import itertools
import re

import pytest
from architecture.source_tree import C_FILES, CYTHON_FILES, MODULES, ROOT, parsed

MAX_FILE_LINES = 300
MAX_HEADER_LINES = 200
MAX_TEST_LINES = 400
MAX_FUNCTION_LINES = 60
MAX_MODULES_PER_FOLDER = 10

SOURCES = [*MODULES.values(), *C_FILES.values(), *CYTHON_FILES]


def name_of(path):
    return str(path.relative_to(ROOT))


def own_lines(node):
    """Return the number of lines of a function, without those of inner functions."""
    inner = [n for n in ast.walk(node) if isinstance(n, ast.FunctionDef) and n is not node]
    lines = set(range(node.lineno, node.end_lineno + 1))
    return len(lines.difference(*(range(n.lineno, n.end_lineno + 1) for n in inner)))


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_files_are_short(path):
    limit = MAX_HEADER_LINES if path.suffix in (".h", ".c") else MAX_FILE_LINES
    assert len(path.read_text().splitlines()) <= limit


def test_test_files_are_short():
    lengths = {name_of(path): len(path.read_text().splitlines()) for path in (ROOT / "tests").rglob("*.py")}
    assert len(lengths) > 40
    assert {path: length for path, length in lengths.items() if length > MAX_TEST_LINES} == {}


@pytest.mark.parametrize("folder", sorted({path.parent for path in MODULES.values()}), ids=name_of)
def test_folders_hold_few_modules(folder):
    modules = [path for path in folder.glob("*.py") if not path.name.startswith("__")]
    assert len(modules) <= MAX_MODULES_PER_FOLDER


@pytest.mark.parametrize("path", MODULES.values(), ids=name_of)
def test_functions_are_short(path):
    long = [
        f"{node.name}: {own_lines(node)} lines"
        for node in ast.walk(parsed(path))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and own_lines(node) > MAX_FUNCTION_LINES
    ]
    assert long == []


@pytest.mark.parametrize("path", C_FILES.values(), ids=C_FILES)
def test_c_functions_are_short(path):
    """A function starts in column 0 and ends at the next } in column 0."""
    lengths = []
    start = None
    for number, line in enumerate(path.read_text().splitlines()):
        if line[:1].isalpha() and not line.endswith(";"):
            start = number
        elif line.startswith("}"):
            lengths.append(number - start + 1)
    assert lengths
    assert max(lengths) <= MAX_FUNCTION_LINES


@pytest.mark.parametrize("path", [path for path in CYTHON_FILES if path.suffix == ".pyx"], ids=name_of)
def test_core_functions_are_short(path):
    lines = path.read_text().splitlines()
    starts = [i for i, line in enumerate(lines) if line and not line[0].isspace()] + [len(lines)]
    heads = [(a, b) for a, b in itertools.pairwise(starts) if re.match(r"def |cdef .*\(", lines[a])]
    assert len(heads) > 5
    assert [lines[a] for a, b in heads if b - a > MAX_FUNCTION_LINES] == []
