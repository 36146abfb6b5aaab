"""Modules of herfast and their imports, read from the source."""

import ast
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "herfast"
CYTHON_FILES = sorted([*PACKAGE.glob("*.pyx"), *PACKAGE.glob("*.pxd")])
COMPILED = {"herfast._core", "herfast._core_envs", "herfast._core_sb3"}  # modules without a .py file
C_FILES = {path.name: path for path in sorted((ROOT / "csrc").iterdir())}
HEADERS = {name: path for name, path in C_FILES.items() if not name.startswith(("test_", "fuzz_"))}


def dotted(path):
    """Return the module name of a file, such as "herfast.dqn.agent"."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    if parts[-1] == "__init__":
        parts = parts[:-1]
    return ".".join(parts)


MODULES = {dotted(path): path for path in sorted(PACKAGE.rglob("*.py"))}


class Import(NamedTuple):
    name: str  # "numpy.random", "herfast.common.bits"
    when: str  # "at import", "in a function" or "for types"


def parsed(path):
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imports(tree, module="herfast"):
    """Return all imports in the tree of a module.

    `from package import module` counts as an import of that module.
    """
    found = []
    package = module.rpartition(".")[0]
    if module in MODULES and MODULES[module].name == "__init__.py":
        package = module

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
                is_module = submodule in MODULES or submodule in COMPILED
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
    """Return the names that a module imports at the given times, or at any time."""
    found = imports(parsed(MODULES[module]), module)
    return {imported.name for imported in found if not when or imported.when in when}


def third_party(names):
    """Return the packages in `names` except herfast, NumPy and the standard library."""
    packages = {name.partition(".")[0] for name in names}
    return {name for name in packages if name not in {"herfast", "numpy", *sys.stdlib_module_names}}


def subpackage(module):
    """Return "dqn" for herfast.dqn.agent, "config" for herfast.config, and so on."""
    if "." not in module:
        return "__init__"
    return module.split(".")[1]
