"""NUMBA_DISABLE_JIT, a setting of Numba without an effect on herfast."""

from pathlib import Path

import pytest
from support.processes import run_python
from support.small_agents import tiny_agent

from herfast.networks.compiled import entry_points

TESTS = Path(__file__).parents[1]
LEARN = """
from support.small_agents import tiny_agent
agent = tiny_agent().learn(epochs=1)
print(agent.network.parameters()["output.weight"].tobytes())
"""


@pytest.mark.parametrize("value", ["0", "1"])
def test_kernels_are_compiled_although_numba_is_switched_off(tmp_path, value):
    """With and without the setting, the weights are the same."""
    expected = tiny_agent().learn(epochs=1).network.parameters()["output.weight"].tobytes()
    for notice in (f"{entry_points.NOTICE}\n", ""):
        result = run_python(LEARN, TESTS, NUMBA_CACHE_DIR=str(tmp_path), NUMBA_DISABLE_JIT=value)
        assert (result.stdout, result.stderr) == (f"{expected}\n", notice)
    assert len(list(tmp_path.rglob("*.o"))) == 2
