"""Tests of Stable-Baselines3's BitFlippingEnv as the task of an agent."""

import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers import TimeLimit

from herfast import Agent, BitFlip, GymnasiumTask

envs = pytest.importorskip("stable_baselines3.common.envs")

SETTINGS = {"hidden": (64,), "updates_per_cycle": 40, "cycles_per_epoch": 10, "strategy": "future"}


def bit_flipping(n_envs=None, mode=None, **options):
    def build():
        return TimeLimit(envs.BitFlippingEnv(**options), options["n_bits"])

    if n_envs is None:
        return build()
    return SyncVectorEnv([build] * n_envs, autoreset_mode=mode)


@pytest.mark.parametrize(
    ("n_envs", "mode"), [(None, None), *((n, mode) for n in (1, 4) for mode in AutoresetMode)]
)
def test_it_has_the_sizes_of_bit_flip_and_is_learned(n_envs, mode):
    task = GymnasiumTask(bit_flipping(n_envs, mode, n_bits=6), deterministic=True)
    own = BitFlip(6)
    for name in ("n_state_bits", "n_goal_bits", "n_actions", "max_steps"):
        assert getattr(task, name) == getattr(own, name)
    agent = Agent(task, "notebook", 0, hindsight_bound=True, **SETTINGS).learn(3)
    assert agent.evaluate(200, seed=1).success_rate > 0.98


def test_integers_are_learned_one_hot():
    task = GymnasiumTask(bit_flipping(n_bits=4, discrete_obs_space=True))
    assert (task.n_state_bits, task.encoding) == (16, "binary")
    agent = Agent(task, "notebook", 0, **SETTINGS).learn(3)
    assert agent.evaluate(200, seed=1).success_rate > 0.9


@pytest.mark.parametrize("options", [{"image_obs_space": True}, {"continuous": True}])
def test_images_and_continuous_actions_are_rejected(options):
    with pytest.raises(TypeError, match=r"^env must have .*Stable-Baselines3 trains on other environments"):
        Agent(bit_flipping(n_bits=4, **options))


def test_a_resumed_agent_equals_one_that_was_never_stopped(tmp_path):
    whole, begun = (
        Agent(bit_flipping(2, AutoresetMode.SAME_STEP, n_bits=5), "notebook", 0, **SETTINGS) for _ in "ab"
    )
    whole.learn(2)
    begun.learn(1).save(tmp_path / "agent", replay=True)
    resumed = Agent.load(tmp_path / "agent", bit_flipping(2, AutoresetMode.SAME_STEP, n_bits=5)).learn(1)
    assert (resumed.history["loss"] == whole.history["loss"]).all()
