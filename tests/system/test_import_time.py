"""Importing herfast imports no heavy package and compiles nothing."""

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


def test_importing_all_public_names_compiles_nothing(tmp_path):
    code = """
from numba.core import event
compiled = event.RecordingListener()
with event.install_listener("numba:compile", compiled):
    from herfast import *
    from herfast.networks.kernels.entry_points import act, fit, update_dueling_head
    Agent, BitFlip, Config, Evaluation, GoalEnv, HindsightReplay
    JsonLines, Minibatches, QNetwork, Trajectories
print(len(compiled.buffer), [len(f.overloads) for f in (act, fit, update_dueling_head)])
"""
    result = run_python(code, tmp_path, NUMBA_CACHE_DIR=str(tmp_path))
    assert (result.stdout, result.stderr) == ("0 [0, 0, 0]\n", "")
    assert list(tmp_path.rglob("*.nb?")) == []
