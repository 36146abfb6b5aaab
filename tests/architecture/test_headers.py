"""Tests of the C headers and Cython files: includes, allocation, global state."""

import re

import pytest
from architecture.source_tree import CYTHON_FILES, HEADERS

HEADERS_MAY_INCLUDE = {
    "bits.h": "",
    "draw.h": "numpy/random/bitgen.h",
    "bitflip.h": "bits.h draw.h",
    "grid_world.h": "bits.h draw.h",
    "lights_out.h": "bits.h draw.h",
    "exploration.h": "draw.h",
    "replay.h": "bits.h draw.h",
    "hindsight.h": "bits.h draw.h bitflip.h replay.h",
    "episode_index.h": "draw.h hindsight.h",
    "gather.h": "",
}
STANDARD_HEADERS = {"stdint.h", "stddef.h", "stdbool.h", "string.h", "assert.h"}


@pytest.mark.parametrize("header", HEADERS)
def test_headers_include_only_what_is_allowed(header):
    found = set(
        re.findall(r"^\s*#\s*include\s*[<\"]([^>\"]+)[>\"]", HEADERS[header].read_text(), re.MULTILINE)
    )
    assert header in HEADERS_MAY_INCLUDE, f"add {header} to HEADERS_MAY_INCLUDE"
    assert found - STANDARD_HEADERS - set(HEADERS_MAY_INCLUDE[header].split()) == set()


@pytest.mark.parametrize("header", HEADERS)
def test_headers_neither_allocate_nor_have_global_state(header):
    code = HEADERS[header].read_text().replace("__extension__ ", "")
    code = re.sub(r"/\*.*?\*/|//[^\n]*", "", code, flags=re.DOTALL)
    assert not re.search(r"\b(malloc|calloc|realloc|free|Py\w+)\s*\(", code)
    functions = re.findall(r"^(?!typedef|#|\s|[{}])[^;{=]*\([^;{]*\)\s*\{", code, re.MULTILINE)
    assert functions
    for function in functions:
        assert function.startswith("static inline "), function
    globals_ = re.findall(r"^(?!typedef|#|\s|[{}]|static inline|struct|enum).*;", code, re.MULTILINE)
    assert [line for line in globals_ if not line.startswith("static const ")] == []


def test_the_core_imports_only_headers_numpy_and_cython_modules():
    text = "".join(path.read_text() for path in CYTHON_FILES)
    included = set(re.findall(r"^cdef extern from \"<?([^\">]+)>?\"", text, re.MULTILINE))
    assert included <= {*HEADERS, "Python.h", "stdbool.h", "numpy/random/bitgen.h"}
    assert len(included) > 3
    cimported = set(re.findall(r"^\s*(?:from\s+([\w.]+)\s+cimport|cimport\s+([\w.]+))", text, re.MULTILINE))
    modules = {a or b for a, b in cimported} - {"herfast._core_checks"}
    assert {module.partition(".")[0] for module in modules} <= {"cpython", "libc", "numpy"}
    assert not re.search(r"^\s*(?:import|from\s+[\w.]+\s+import)\s", text, re.MULTILINE)
