"""Packages that are imported, and compilation at import."""

from support.processes import run_python


def test_importing_herfast_imports_no_heavy_package(tmp_path):
    heavy = {
        "numba",
        "llvmlite",
        "tyro",
        "tqdm",
        "matplotlib",
        "safetensors",
        "torch",
        "scipy",
        "dask",
        "joblib",
    }
    heavy |= {"tensorboardX"}
    code = f"import herfast, sys; print(sorted({heavy} & sys.modules.keys()))"
    assert run_python(code, tmp_path).stdout == "[]\n"


PUBLIC = """
import sys
from herfast import *
from herfast.networks.compiled.entry_points import act, fit, update_dueling_head
Agent, BitFlip, Config, Evaluation, GoalEnv, GridWorld, HindsightReplay
JsonLines, LightsOut, Minibatches, QNetwork, Trajectories
print("numba" in sys.modules, [entry._functions for entry in (act, fit, update_dueling_head)])
"""
LEARN = """
import sys
from herfast import Agent, BitFlip
sizes = dict(hidden=(8,), cycles_per_epoch=1, episodes_per_cycle=2, updates_per_cycle=2, batch_size=4)
Agent(BitFlip(4), "fast", **sizes).learn(epochs=1)
print("numba" in sys.modules)
"""


def test_importing_all_public_names_compiles_nothing(tmp_path):
    result = run_python(PUBLIC, tmp_path, NUMBA_CACHE_DIR=str(tmp_path))
    assert (result.stdout, result.stderr) == ("False [{}, {}, {}]\n", "")
    assert list(tmp_path.iterdir()) == []


def test_training_with_a_filled_cache_does_not_import_numba(tmp_path):
    results = [run_python(LEARN, tmp_path, NUMBA_CACHE_DIR=str(tmp_path)) for _ in range(2)]
    assert [result.stdout for result in results] == ["True\n", "False\n"]
    assert results[1].stderr == ""
