"""The rules of the house: who may import whom, how long a thing may be, and what is written in one place only."""

import ast
import itertools
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from mutate import MUTATIONS

ROOT = Path(__file__).parents[1]
ROOMS = {path.stem: path for path in sorted((ROOT / "herfast").glob("*.py"))}
C_FILES = {path.name: path for path in sorted((ROOT / "csrc").iterdir())}
HEADERS = {name: path for name, path in C_FILES.items() if not name.startswith(("test_", "fuzz_"))}
SOURCES = [*ROOMS.values(), *C_FILES.values(), ROOT / "herfast" / "_core.pyx"]

NETWORK = "checks data simd layers dense buffers forward update kernels config player network"
AGENT = (
    f"{NETWORK} _core bits envs replay gym_envs rollout evaluation diagnosis checkpoint snapshot memory progress guard"
    " show faces callbacks agent"
)
MAY_IMPORT = {  # another room, and other packages than the standard library and NumPy
    "__init__": "gymnasium",
    "__main__": "cli",
    "checks": "",
    "guard": "",
    "show": "agent",  # for types only
    "interrupts": "",
    "refusal": "",
    "data": "",
    "bits": "_core checks data",
    "envs": "_core checks data bits",
    "replay": "_core checks data bits",
    "gym_envs": "checks data bits envs show gymnasium",
    "simd": "numba llvmlite",
    "layers": "simd numba",
    "dense": "simd layers",
    "buffers": "simd layers data",
    "forward": "simd layers dense buffers",
    "update": "simd layers dense buffers forward data",
    "kernels": "simd layers buffers forward update data numba",
    "config": "checks data",
    "player": "layers buffers kernels data",
    "network": "checks simd layers buffers kernels player config data",
    "rollout": "envs layers network data",
    "checkpoint": "checks safetensors",
    "memory": "config data envs",
    "evaluation": "envs memory network rollout",
    "diagnosis": "bits data evaluation replay rollout agent",  # the agent for types only
    "progress": "tqdm",
    "snapshot": "checkpoint checks config data envs agent",  # the agent for types only, else it would be a circle
    "faces": "checks envs gym_envs gymnasium",  # to see through its wrappers
    "callbacks": "checks agent tensorboardX",  # the agent for types only
    "agent": "checks bits faces replay network rollout evaluation diagnosis config checkpoint snapshot memory guard"
    " progress callbacks data",
    "plots": f"{AGENT} matplotlib",
    "runs": f"{AGENT} __init__ plots",
    "sb3": f"{AGENT} gymnasium stable_baselines3",
    "cell": f"{AGENT} runs training",
    "cluster": "cell dask",
    "sweeps": f"{AGENT} cell cluster runs tqdm",
    "figures": "cell config plots matplotlib",
    "grid": "config tyro",
    "training": f"{AGENT} interrupts refusal plots runs tqdm",
    "commands": f"{AGENT} training refusal runs grid sweeps figures tqdm",
    "cli": f"{AGENT} __init__ grid commands refusal tyro",
}
# imported by who needs them, then
OPTIONAL = {"matplotlib", "dask", "joblib", "stable_baselines3", "tensorboardX", "torch", "tqdm"}
HEADERS_MAY_INCLUDE = {
    "bits.h": "",
    "draw.h": "numpy/random/bitgen.h",
    "bitflip.h": "bits.h draw.h",
    "replay.h": "bits.h draw.h",
    "hindsight.h": "bits.h draw.h bitflip.h replay.h",
}
STANDARD_HEADERS = {"stdint.h", "stddef.h", "stdbool.h", "string.h", "assert.h"}

LONGEST_FILE, LONGEST_HEADER, LONGEST_FUNCTION = 300, 200, 60


def parsed(path):
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imports(tree):
    """For each import of a module: what is imported ("numpy", "herfast.bits"), and when.

    It is imported "at once", "later", inside a function, or "for types", which is never. A public name taken from
    herfast itself is the room "__init__", since it is resolved there.
    """
    found = []

    def walk(node, when):
        if isinstance(node, ast.Import):
            found.extend(SimpleNamespace(name=alias.name, when=when) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "herfast" + (f".{node.module}" if node.module else "") if node.level else node.module
            for alias in node.names:
                room = alias.name if alias.name in (*MAY_IMPORT, "_core") else "__init__"
                name = f"herfast.{room}" if module == "herfast" else module
                found.append(SimpleNamespace(name=name, when=when))
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            when = "for types"
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            when = "later"
        for child in ast.iter_child_nodes(node):
            walk(child, when)

    walk(tree, "at once")
    return found


def needs(room, *when):
    """Rooms and packages that a room imports at these times, at any without."""
    return {other(found.name) for found in imports(parsed(ROOMS[room])) if not when or found.when in when} - {None}


def other(name):
    """A room's name, or a package that is neither NumPy nor of the standard library, or None."""
    package, _, room = name.partition(".")
    if package == "herfast":
        return room.partition(".")[0] or "__init__"
    return None if package == "numpy" or package in sys.stdlib_module_names else package


def test_the_walk_sees_every_kind_of_import():
    code = """
import os, numba.core
from herfast import _core, BitFlip
from herfast.bits import pack_bits
from . import network
from .data import Words
if TYPE_CHECKING:
    import types_
def f():
    try:
        import late.part
    except ImportError:
        from herfast import cli
class C:
    import early
"""
    found = {(other(found.name), found.when) for found in imports(ast.parse(code))}
    at_once = {None, "numba", "_core", "__init__", "bits", "network", "data", "early"}
    assert found == {
        *((name, "at once") for name in at_once),
        ("types_", "for types"),
        ("late", "later"),
        ("cli", "later"),
    }


@pytest.mark.parametrize("room", ROOMS)
def test_who_may_import_whom(room):
    assert room in MAY_IMPORT, f"say in MAY_IMPORT what {room}.py may import"
    found = needs(room, "at once") if room == "__init__" else needs(room)
    assert found - set(MAY_IMPORT[room].split()) == set()


def test_the_table_itself():
    allowed = {room: set(text.split()) for room, text in MAY_IMPORT.items()}
    for room in NETWORK.split():
        assert not allowed[room] & {"_core", "bits", "envs", "replay"}, "the network does not need the compiled core"
    for room in ("bits", "envs", "replay", "gym_envs"):
        assert not allowed[room] & {"numba", "simd", "layers", "kernels", "network"}, "nor the core Numba"
    assert [room for room in allowed if "cli" in allowed[room]] == ["__main__"]
    for room in allowed.keys() & set(AGENT.split()):
        assert not allowed[room] & {"plots", "runs", "sb3", "sweeps", "commands", "cli"}


def test_no_room_imports_itself_in_a_circle():
    below = {room: needs(room, "at once", "later") for room in ROOMS}
    while below:
        free = [room for room, rooms in below.items() if not rooms & below.keys()]
        assert free, f"these import each other: {sorted(below)}"
        for room in free:
            del below[room]


@pytest.mark.parametrize("room", ROOMS)
def test_optional_packages_are_imported_by_who_needs_them_then(room):
    assert needs(room, "at once") & OPTIONAL == set()


def is_name(node, name):
    return isinstance(node, ast.Name) and node.id == name


def test_the_digest_of_the_compiled_code_covers_all_that_it_is_made_of():
    """Else Numba would run code of an older layer from its cache."""
    reached, new = set(), {"kernels"}
    while new:
        reached |= new
        new = set().union(*map(needs, new)) & ROOMS.keys() - reached
    (sources,) = (
        ast.literal_eval(node.value)
        for node in parsed(ROOMS["kernels"]).body
        if isinstance(node, ast.Assign) and is_name(node.targets[0], "SOURCES")
    )
    assert sorted(sources) == sorted(f"{room}.py" for room in reached)


# --- C and Cython -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("header", HEADERS)
def test_who_may_include_whom(header):
    found = set(re.findall(r"^\s*#\s*include\s*[<\"]([^>\"]+)[>\"]", HEADERS[header].read_text(), re.MULTILINE))
    assert header in HEADERS_MAY_INCLUDE, f"say in HEADERS_MAY_INCLUDE what {header} may include"
    assert found - STANDARD_HEADERS - set(HEADERS_MAY_INCLUDE[header].split()) == set()


@pytest.mark.parametrize("header", HEADERS)
def test_headers_allocate_nothing_and_keep_nothing(header):
    code = HEADERS[header].read_text().replace("__extension__ ", "")
    code = re.sub(r"/\*.*?\*/|//[^\n]*", "", code, flags=re.DOTALL)
    assert not re.search(r"\b(malloc|calloc|realloc|free|Py\w+)\s*\(", code)
    functions = re.findall(r"^(?!typedef|#|\s|[{}])[^;{=]*\([^;{]*\)\s*\{", code, re.MULTILINE)
    assert functions
    for function in functions:
        assert function.startswith("static inline "), function
    globals_ = re.findall(r"^(?!typedef|#|\s|[{}]|static inline|struct|enum).*;", code, re.MULTILINE)
    assert [line for line in globals_ if not line.startswith("static const ")] == []


def test_the_core_imports_only_headers_and_pythons_own():
    text = (ROOT / "herfast" / "_core.pyx").read_text()
    included = set(re.findall(r"^cdef extern from \"<?([^\">]+)>?\"", text, re.MULTILINE))
    assert included <= {*HEADERS, "stdbool.h", "numpy/random/bitgen.h"}
    assert len(included) > 3
    cimported = set(re.findall(r"^\s*(?:from\s+([\w.]+)\s+cimport|cimport\s+([\w.]+))", text, re.MULTILINE))
    packages = {(a or b).partition(".")[0] for a, b in cimported}
    assert packages <= {"cpython", "libc", "numpy"}
    assert not re.search(r"^\s*(?:import|from\s+[\w.]+\s+import)\s", text, re.MULTILINE)


# --- sizes ------------------------------------------------------------------------------------------------------------


def own_lines(node):
    """The lines of a function without those of the functions within it."""
    inner = [n for n in ast.walk(node) if isinstance(n, ast.FunctionDef) and n is not node]
    lines = set(range(node.lineno, node.end_lineno + 1))
    return len(lines.difference(*(range(n.lineno, n.end_lineno + 1) for n in inner)))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_files_are_short(path):
    most = LONGEST_HEADER if path.suffix in (".h", ".c") else LONGEST_FILE
    assert len(path.read_text().splitlines()) <= most, "a room that grows longer wants to be two"


@pytest.mark.parametrize("path", ROOMS.values(), ids=lambda path: path.name)
def test_functions_are_short(path):
    long = [
        f"{node.name}: {own_lines(node)} lines"
        for node in ast.walk(parsed(path))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and own_lines(node) > LONGEST_FUNCTION
    ]
    assert long == []


@pytest.mark.parametrize("path", C_FILES.values(), ids=C_FILES)
def test_c_functions_are_short(path):
    """What starts in column 0 ends at the next } in column 0."""
    lengths, start = [], None
    for number, line in enumerate(path.read_text().splitlines()):
        if line[:1].isalpha() and not line.endswith(";"):
            start = number
        elif line.startswith("}"):
            lengths.append(number - start + 1)
    assert lengths
    assert max(lengths) <= LONGEST_FUNCTION


def test_core_functions_are_short():
    lines = (ROOT / "herfast" / "_core.pyx").read_text().splitlines()
    starts = [i for i, line in enumerate(lines) if line and not line[0].isspace()] + [len(lines)]
    heads = [(a, b) for a, b in itertools.pairwise(starts) if re.match(r"def |cdef .*\(", lines[a])]
    assert len(heads) > 5
    assert [lines[a] for a, b in heads if b - a > LONGEST_FUNCTION] == []


# --- one place for each thing -----------------------------------------------------------------------------------------


def called(node):
    """The name of the function that a call or a decorator without arguments names."""
    function = node.func if isinstance(node, ast.Call) else node
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def compilations(tree):
    """Each use of one of Numba's compilers, as a call or as a bare decorator."""
    compilers = {"njit", "jit", "vectorize", "guvectorize", "cfunc", "stencil", "jit_module", "generated_jit"}
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, (ast.Call, ast.Name, ast.Attribute)) and called(node) in compilers
    ]


@pytest.mark.parametrize("room", ROOMS)
def test_only_layers_and_kernels_compile(room):
    if room not in ("layers", "kernels"):
        assert compilations(parsed(ROOMS[room])) == []


@pytest.mark.parametrize(("room", "where"), [("layers", "inner"), ("kernels", "_entry_points")])
def test_they_compile_in_one_place_with_the_same_flags(room, where):
    tree = parsed(ROOMS[room])
    (function,) = (node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == where)
    assert len(compilations(tree)) == len(compilations(function)) > 0
    for call in compilations(function):
        if isinstance(call, ast.Call):
            options = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
            assert options.get("fastmath", "set(FASTMATH)") == "set(FASTMATH)"
            assert options.get("error_model", "'numpy'") == "'numpy'"
            assert "parallel" not in options


def test_there_is_one_fastmath_constant():
    assigned = [
        (room, ast.unparse(node.value))
        for room, path in ROOMS.items()
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Assign) and any(is_name(target, "FASTMATH") for target in node.targets)
    ]
    assert assigned == [("simd", "('contract', 'nsz')")]
    for path in ROOMS.values():
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.keyword) and node.arg in ("fastmath", "flags"):
                assert ast.unparse(node.value) in ("set(FASTMATH)", "FASTMATH"), path.name
            assert not (isinstance(node, ast.Constant) and node.value in ("nnan", "ninf", "fast-math")), path.name


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.what)
def test_mutations_still_find_their_place(mutation):
    """tests/mutate.py is run by hand, and must not rot meanwhile."""
    assert (ROOT / mutation.file).read_text().count(mutation.before) == 1
    assert len(MUTATIONS) == 10


def test_nothing_is_left_to_do():
    marks = re.compile(r"\b(TO" r"DO|FIX" r"ME)\b")  # in pieces, since this file is searched too
    folders = (ROOT / folder for folder in ("herfast", "csrc", "tests", "bench"))
    files = [path for folder in folders for path in folder.rglob("*") if path.suffix in (".py", ".pyx", ".h")]
    assert len(files) > 40
    assert [path for path in files if marks.search(path.read_text())] == []


# --- tests cannot shadow what they test -------------------------------------------------------------------------------


def test_no_test_folder_is_a_package():
    assert [*ROOT.glob("tests/**/__init__.py"), *ROOT.glob("bench/**/__init__.py")] == []
    assert not (ROOT / "conftest.py").exists()
    assert not (ROOT / "__init__.py").exists()


def test_twins_never_import_what_they_are_compared_with():
    twins = list((ROOT / "tests" / "reference").glob("*.py"))
    assert len(twins) > 3
    for path in twins:
        assert {other(found.name) for found in imports(parsed(path))} - {"reference"} == {None}, path.name


def test_the_wheel_holds_every_room():
    """The package is flat: a folder below it would not be installed."""
    assert [path for path in (ROOT / "herfast").rglob("*.py") if path.parent != ROOT / "herfast"] == []
