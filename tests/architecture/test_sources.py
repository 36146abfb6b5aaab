"""Tests of source texts: compiler flags, mutations, marks and packages."""

import ast
import re

import pytest
from architecture.source_tree import MODULES, PACKAGE, ROOT, dotted, parsed
from mutation.mutate import MUTATIONS

SIMD = "herfast.networks.kernels.simd"


def is_name(node, name):
    return isinstance(node, ast.Name) and node.id == name


def called(node):
    """Return the name of the function in a call or in a decorator without arguments."""
    function = node.func if isinstance(node, ast.Call) else node
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def compilations(tree):
    """Return all uses of a compiler of Numba, as a call or as a decorator."""
    compilers = {"njit", "jit", "vectorize", "guvectorize", "cfunc", "stencil", "jit_module", "generated_jit"}
    compilers |= {"CPUDispatcher"}
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, (ast.Call, ast.Name, ast.Attribute)) and called(node) in compilers
    ]


@pytest.mark.parametrize("module", sorted(MODULES.keys() - {SIMD}))
def test_only_simd_compiles(module):
    assert compilations(parsed(MODULES[module])) == []


def test_all_kernels_are_compiled_with_the_same_flags():
    tree = parsed(MODULES[SIMD])
    (inner,) = (node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "inner")
    assert len(compilations(tree)) == len(compilations(inner)) > 0
    text = ast.unparse(inner)
    assert "'fastmath': set(FASTMATH)" in text
    assert "'error_model': 'numpy'" in text
    assert "parallel" not in text


def test_there_is_one_fastmath_constant():
    assigned = [
        (module, ast.unparse(node.value))
        for module, path in MODULES.items()
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Assign) and any(is_name(target, "FASTMATH") for target in node.targets)
    ]
    assert assigned == [(SIMD, "('contract', 'nsz')")]
    for path in MODULES.values():
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.keyword) and node.arg in ("fastmath", "flags"):
                assert ast.unparse(node.value) == "FASTMATH", path.name
            assert not (isinstance(node, ast.Constant) and node.value in ("nnan", "ninf", "fast-math")), (
                path.name
            )


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.effect)
def test_mutations_match_one_line_of_the_source(mutation):
    """mutate.py is run by hand, so that outdated mutations would not be noticed."""
    assert (ROOT / mutation.file).read_text().count(mutation.before) == 1
    assert len(MUTATIONS) == 10


def test_there_are_no_marks_of_unfinished_work():
    marks = re.compile(r"\b(TO" r"DO|FIX" r"ME)\b")  # split, because this file is searched too
    folders = (ROOT / folder for folder in ("herfast", "csrc", "tests", "bench"))
    files = [
        path
        for folder in folders
        for path in folder.rglob("*")
        if path.suffix in (".py", ".pyx", ".pxd", ".h")
    ]
    assert len(files) > 40
    assert [path for path in files if marks.search(path.read_text())] == []


def test_no_test_folder_is_a_package():
    assert [*ROOT.glob("tests/**/__init__.py"), *ROOT.glob("bench/**/__init__.py")] == []
    assert not (ROOT / "conftest.py").exists()
    assert not (ROOT / "__init__.py").exists()


def test_every_folder_with_a_module_is_a_package():
    """Setuptools leaves other folders out of the wheel."""
    init_files = {path.parent / "__init__.py" for path in PACKAGE.rglob("*.py")}
    assert [dotted(init) for init in init_files if not init.exists()] == []


def test_processes_of_tests_get_a_working_folder():
    """In the root of a clone they would import the source, not the installed package."""
    calls = [
        (path.name, node.lineno, {keyword.arg for keyword in node.keywords})
        for path in (ROOT / "tests").rglob("test_*.py")
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("subprocess.run", "subprocess.Popen")
    ]
    assert len(calls) > 10
    assert [call for call in calls if "cwd" not in call[2]] == []
