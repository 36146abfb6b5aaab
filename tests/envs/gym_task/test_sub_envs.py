"""Tests of the common view of single and vector environments."""

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers.vector import DictInfoToList, RecordEpisodeStatistics
from support.gym_tasks import Lock, Pit, make

from herfast.envs.gym_task.sub_envs import SubEnvs


def test_the_step_limit_is_the_highest_of_all_sub_environments():
    """Otherwise the episodes of the others would be cut off."""
    limits = (4, 9, 5)
    envs = [lambda limit=limit: gymnasium.wrappers.TimeLimit(Pit(), limit) for limit in limits]
    assert SubEnvs(SyncVectorEnv(envs)).max_steps == 9
    assert SubEnvs(SyncVectorEnv([*envs, Pit])).max_steps is None


@pytest.mark.parametrize("mode", AutoresetMode)
@pytest.mark.parametrize("name", ["Lock", "Toll"])
def test_infos_may_be_a_list(name, mode):
    views = [SubEnvs(make(name, 3, mode)), SubEnvs(DictInfoToList(make(name, 3, mode)))]
    for view in views:
        view.reset([1, 2, 3])
    n_finals = 0
    for t in range(12):
        steps = [view.step(np.array([1, (t + 1) % 2, 1]) + view.action_space.start) for view in views]
        for e in range(3):
            infos = [view.info(step, e) for view, step in zip(views, steps, strict=True)]
            assert infos[0] == infos[1]
            assert infos[0].keys() <= {"is_success", "toll", "path", "note"}
        assert repr(steps[0].finals) == repr(steps[1].finals)
        n_finals += len(steps[0].finals)
        assert steps[0].ended.tolist() == steps[1].ended.tolist()
    assert (n_finals > 0) == (mode is AutoresetMode.SAME_STEP)


class OwnVector(gymnasium.vector.VectorEnv):
    """Vector environment without sub-environments, with one stream of random numbers."""

    num_envs = 3
    single_observation_space = observation_space = Lock().observation_space
    single_action_space = action_space = Lock().action_space

    def __init__(self):
        self.metadata = {"autoreset_mode": AutoresetMode.SAME_STEP}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.np_random.integers(0, 100, 3).tolist(), {}


def test_a_vector_environment_without_sub_environments_gets_one_seed():
    for env in (OwnVector(), RecordEpisodeStatistics(OwnVector())):
        assert SubEnvs(env).reset([5, 6, 7]) == OwnVector().reset(seed=5)[0]
        assert SubEnvs(env).reset(None) != OwnVector().reset(seed=5)[0]
