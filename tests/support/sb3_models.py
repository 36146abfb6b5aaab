"""Models of herfast.sb3 on bit flipping, for tests."""

import copy

import numpy as np
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.envs import BitFlippingEnv

from herfast.sb3 import DQN, HerReplayBuffer

SMALL = {
    "learning_starts": 20,
    "batch_size": 8,
    "buffer_size": 200,
    "policy_kwargs": {"net_arch": [16]},
    "learning_rate": 1e-3,
    "train_freq": 1,
    "target_update_interval": 30,
    "seed": 0,
}
HINDSIGHT = {"replay_buffer_class": HerReplayBuffer, "replay_buffer_kwargs": {"n_sampled_goal": 4}}


def bit_flipping(n_envs=1, n_bits=5, **kwargs):
    """Return a DummyVecEnv of monitored environments."""
    return make_vec_env(lambda: BitFlippingEnv(n_bits, **kwargs), n_envs)


def small_model(env=None, **kwargs):
    """Return a model with a small network, by default on one environment with 5 bits."""
    if env is None:
        env = bit_flipping()
    return DQN("MultiInputPolicy", env, **{**SMALL, **HINDSIGHT, **kwargs})


def state_of(model):
    """Return all that training changes, in a form that can be compared."""
    network = model.network
    running = model._episodes.state_dict()
    ring = model.replay_buffer.state_dict()
    return {
        **{f"network {name}": view.tobytes() for name, view in network.state_dict().items()},
        **{f"running {name}": array.tobytes() for name, array in running.items()},
        **{f"ring {name}": array.tobytes() for name, array in ring.items()},
        "updates": network.updates,
        "due": list(model._due.counts),
        "streams": copy.deepcopy(model._streams.state_dict()),
        "steps": model.num_timesteps,
        "episodes": model._episode_num,
        "rewards": [info["r"] for info in model.ep_info_buffer],
        "successes": list(model.ep_success_buffer),
        "exploration": model.exploration_rate,
        "observation": {key: np.asarray(part).tolist() for key, part in model._last_obs.items()},
    }
