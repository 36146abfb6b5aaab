"""Tests of imports between modules and of third-party packages.

The order of the subpackages is checked by import-linter, as set in pyproject.toml.
"""

import ast
from pathlib import Path

import pytest
from architecture.source_tree import (
    COMPILED,
    MODULES,
    PACKAGE,
    ROOT,
    imports,
    imports_of,
    parsed,
    subpackage,
    third_party,
)

# Packages besides NumPy and the standard library, which may be imported "at import" or only "in a function".
THIRD_PARTY = {
    "__init__": {"gymnasium": "at import"},
    "common": {"safetensors": "at import", "tqdm": "in a function"},
    "envs": {"gymnasium": "at import"},
    "networks": {"numba": "at import", "llvmlite": "at import"},
    "callbacks": {"tensorboardX": "in a function"},
    "plotting": {"matplotlib": "in a function"},
    "dqn": {"tqdm": "in a function"},
    "experiments": {"tqdm": "in a function", "dask": "in a function"},
    "cli": {"tyro": "at import", "tqdm": "in a function"},
    "sb3": {"stable_baselines3": "at import", "torch": "at import", "gymnasium": "at import"},
}
ONLY_IN = {  # prefixes of the modules that may import a package
    "numba": ("herfast.networks.kernels.", "herfast.networks.compiled.compiler"),
    "llvmlite": ("herfast.networks.kernels.", "herfast.networks.compiled."),
    "safetensors": "herfast.common.tensor_file",
    "gymnasium": (
        "herfast.envs.gym.",
        "herfast.envs.gym_task.",
        "herfast.envs.adapters",
        "herfast.sb3.",
    ),
}


def test_imports_of_every_kind_are_found():
    code = """
import os, numba.core
from herfast import _core, _core_envs, BitFlip
from herfast.common.bits import pack_bits
from herfast.networks.compiled import entry_points
from . import sweep
from .trial import Trial
from ..common.batches import Words
if TYPE_CHECKING:
    import types_
def f():
    try:
        import late.part
    except ImportError:
        from herfast.cli import main
class C:
    import early
"""
    found = {(name, when) for name, when in imports(ast.parse(code), "herfast.experiments.run")}
    at_import = {
        "os",
        "numba.core",
        "herfast._core",
        "herfast._core_envs",
        "herfast",
        "herfast.common.bits",
        "early",
        "herfast.common.batches",
    }
    at_import |= {
        "herfast.networks.compiled.entry_points",
        "herfast.experiments.sweep",
        "herfast.experiments.trial",
    }
    assert found == {
        *((name, "at import") for name in at_import),
        ("types_", "for types"),
        ("late.part", "in a function"),
        ("herfast.cli.main", "in a function"),
    }


def test_there_are_no_import_cycles_not_even_for_types():
    """Imports of the package itself, for its public names, do not count."""
    remaining = {}
    for module in MODULES.keys() - {"herfast"}:
        remaining[module] = imports_of(module) & MODULES.keys() - {"herfast"}
    while remaining:
        free = [module for module, imported in remaining.items() if not imported & remaining.keys()]
        assert free, f"these modules import each other: {sorted(remaining)}"
        for module in free:
            del remaining[module]


def test_no_module_imports_the_package_itself():
    """The package imports modules for its public names, so this would be a cycle."""
    assert [module for module in MODULES if "herfast" in imports_of(module)] == []


def test_no_subpackage_imports_sb3():
    """It needs Stable-Baselines3, which is optional."""
    importers = {module for module in MODULES if any("herfast.sb3" in name for name in imports_of(module))}
    assert {subpackage(module) for module in importers} == {"sb3"}


def test_only_common_bits_imports_the_compiled_core():
    assert imports_of("herfast.common.bits") >= COMPILED
    assert [module for module in MODULES if imports_of(module) & COMPILED] == ["herfast.common.bits"]


def test_networks_do_not_import_the_compiled_core():
    found = {module for module in MODULES if module.startswith("herfast.networks")}
    reached = set()
    while found - reached:
        reached |= found
        found = set().union(
            *(imports_of(module, "at import", "in a function") & MODULES.keys() for module in found)
        )
    assert "herfast.common.bits" not in reached


@pytest.mark.parametrize("module", MODULES)
def test_third_party_packages_are_imported_only_where_allowed(module):
    allowed = THIRD_PARTY.get(subpackage(module), {})
    found = third_party(imports_of(module, "at import", "in a function"))
    assert found - allowed.keys() == set()
    at_import = third_party(imports_of(module, "at import"))
    assert {package for package in at_import if allowed[package] != "at import"} == set()
    for package in found & ONLY_IN.keys():
        assert module == "herfast" or module.startswith(ONLY_IN[package])


@pytest.mark.parametrize(
    "package", sorted(path.parent for path in PACKAGE.glob("**/__init__.py")), ids=lambda p: p.name
)
def test_init_files_of_subpackages_hold_only_a_docstring(package):
    """The one of sb3 also imports its public class."""
    if package not in (PACKAGE, PACKAGE / "sb3"):
        (docstring,) = parsed(package / "__init__.py").body
        assert isinstance(docstring, ast.Expr)
        assert isinstance(docstring.value.value, str)


def test_no_module_has_the_name_of_a_public_object():
    """After its import the module would replace the public object."""
    import herfast

    assert {subpackage(module) for module in MODULES if "." in module} & set(herfast.__all__) == set()


def test_the_cache_digest_covers_all_modules_that_determine_compiled_code(monkeypatch):
    """Outdated code would otherwise be run from the cache."""
    from herfast.networks.compiled import kernel_cache

    compiled = "herfast.networks.compiled."
    determining = {compiled + "compiler", compiled + "native_code"}
    determining |= {module for module in MODULES if module.startswith("herfast.networks.kernels.")}
    reached, new = set(), set(determining)
    while new:
        reached |= new
        new = set().union(*map(imports_of, new)) & MODULES.keys() - reached
    read = []
    monkeypatch.setattr(Path, "read_bytes", lambda path: read.append(path) or b"")
    kernel_cache._digest.__wrapped__()
    package = Path(kernel_cache.__file__).parents[2]  # may be installed elsewhere
    names = {path.relative_to(package) for path in read}
    assert {MODULES[module].relative_to(PACKAGE) for module in reached} <= names


def test_references_do_not_import_herfast():
    references = sorted((ROOT / "tests" / "reference").glob("*.py"))
    assert len(references) > 3
    for path in references:
        names = {found.name for found in imports(parsed(path))}
        assert third_party(names) <= {"reference"}, path.name
        assert not any(name.startswith("herfast") for name in names), path.name
