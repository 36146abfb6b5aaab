"""The modules of herfast and what each of them imports, read from the source. For the tests in this folder."""

import ast
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "herfast"
C_FILES = {path.name: path for path in sorted((ROOT / "csrc").iterdir())}
HEADERS = {name: path for name, path in C_FILES.items() if not name.startswith(("test_", "fuzz_"))}


def dotted(path):
    """The module of a file: "herfast.dqn.agent"; of an __init__.py its package."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {dotted(path): path for path in sorted(PACKAGE.rglob("*.py"))}


class Import(NamedTuple):
    name: str  # "numpy.random", "herfast.common.bits"
    when: str  # "at import", "in a function" or "for types"


def parsed(path):
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imports(tree, module="herfast"):
    """All imports in a module's tree. `from package import module` counts as an import of that module."""
    found = []
    package = module if module in MODULES and MODULES[module].name == "__init__.py" else module.rpartition(".")[0]

    def walk(node, when):
        if isinstance(node, ast.Import):
            found.extend(Import(alias.name, when) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = ".".join(
                    [*package.split(".")[: len(package.split(".")) + 1 - node.level], *filter(None, [base])]
                )
            for alias in node.names:
                submodule = f"{base}.{alias.name}"
                is_module = submodule in MODULES or submodule == "herfast._core"
                found.append(Import(submodule if is_module else base, when))
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            when = "for types"
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            when = "in a function"
        for child in ast.iter_child_nodes(node):
            walk(child, when)

    walk(tree, "at import")
    return found


def imports_of(module, *when):
    """The names that a module imports at these times; at any time without them."""
    return {found.name for found in imports(parsed(MODULES[module]), module) if not when or found.when in when}


def third_party(names):
    """The packages among `names` that are neither herfast, NumPy nor of the standard library."""
    packages = {name.partition(".")[0] for name in names}
    return {name for name in packages if name not in {"herfast", "numpy", *sys.stdlib_module_names}}


def subpackage(module):
    """The name that import rules use: "dqn" for herfast.dqn.agent, "config" for herfast.config."""
    return module.split(".")[1] if "." in module else "__init__"
