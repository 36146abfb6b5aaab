"""DQN of both libraries on 15 bits: seconds and steps to 95 % success, and the parts of training.

Run with `pytest bench/test_sb3_dqn.py --benchmark-only -s`, in an environment with Stable-Baselines3.
bench/sb3_dqn.py does the same for other sizes and seeds.
"""

import pytest

pytest.importorskip("stable_baselines3")

import torch
from sb3_dqn import LIBRARIES, run, show, show_ratios, show_split, split

BITS = 15


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def test_seconds_to_success(benchmark):
    """Target: ratio 10. The benchmark is the training of ours."""
    results = [run(name, BITS, seed=0) for name in LIBRARIES]
    for result in results:
        show(result)
        assert result["reached"]
        assert result["success"] > 0.9
    show_ratios(results)
    benchmark.extra_info.update({result["library"]: result["seconds"] for result in results})
    benchmark.pedantic(run, ("ours", BITS, 0))


def test_parts_of_training(benchmark):
    """The benchmark is the training of ours for 5,000 steps."""
    parts = {name: split(name, BITS, seed=0, steps=5_000) for name in LIBRARIES}
    for name, microseconds in parts.items():
        show_split(BITS, name, microseconds)
    benchmark.extra_info.update(parts)
    benchmark.pedantic(split, ("ours", BITS, 0, 5_000))
