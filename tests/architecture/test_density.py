"""Limits on the number of parallel assignments and conditional expressions."""

import ast
import io
import tokenize

import pytest
from architecture.source_tree import MODULES, parsed

MAX_PER_1000_LINES = 4
KERNELS = "herfast.networks.kernels"  # where they save lines that are read as formulas


def code_lines(source):
    """The number of lines that hold code: no blank lines, comments or docstrings."""
    layout = {
        tokenize.NEWLINE,
        tokenize.NL,
        tokenize.INDENT,
        tokenize.DEDENT,
        tokenize.COMMENT,
        tokenize.ENDMARKER,
    }
    lines = set()
    previous = tokenize.NEWLINE
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        is_docstring = token.type == tokenize.STRING and previous in (
            tokenize.NEWLINE,
            tokenize.INDENT,
            tokenize.DEDENT,
        )
        if token.type not in layout and not is_docstring:
            lines.update(range(token.start[0], token.end[0] + 1))
        if token.type not in (tokenize.NL, tokenize.COMMENT):
            previous = token.type
    return len(lines)


def is_parallel_assignment(node):
    """a, b = x, y; not the unpacking of one value."""
    return (
        isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Tuple)
        and isinstance(node.value, ast.Tuple)
    )


def is_conditional_expression(node):
    return isinstance(node, ast.IfExp)


def test_the_counters_see_what_they_shall_count():
    tree = ast.parse('"""Doc."""\n\n# comment\na, b = 1, 2\nc, d = f()\ne = 1 if a else 2\n')
    assert [
        sum(map(count, ast.walk(tree))) for count in (is_parallel_assignment, is_conditional_expression)
    ] == [1, 1]
    assert (
        code_lines(
            '"""Doc.\n\nMore."""\n\n# comment\na = (\n    1,\n)\ndef f():\n    """Doc."""\n    return 1\n'
        )
        == 5
    )


@pytest.mark.parametrize("counted", [is_parallel_assignment, is_conditional_expression])
def test_lines_hold_one_thing(counted):
    modules = {module: path for module, path in MODULES.items() if not module.startswith(KERNELS)}
    n_lines = sum(code_lines(path.read_text()) for path in modules.values())
    found = [
        f"{module}:{node.lineno}"
        for module, path in modules.items()
        for node in ast.walk(parsed(path))
        if counted(node)
    ]
    assert n_lines > 2_000
    assert len(found) <= MAX_PER_1000_LINES * n_lines / 1000, found
