"""Train DQN of Stable-Baselines3 on bit flipping, with stored or recomputed terminations.

Run `pip install torch "herfast[sb3]"`, then `python examples/bit_flipping_dqn.py`. It takes about a minute.
"""

import numpy as np
from stable_baselines3 import DQN
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.envs import BitFlippingEnv

from herfast.sb3 import HerReplayBuffer


def train(seed, terminated_from_goal, timesteps=1500):
    """Return the success rate of the last 50 training episodes, with 10 bits."""
    env = make_vec_env(lambda: BitFlippingEnv(n_bits=10, continuous=False), n_envs=2)
    model = DQN(
        "MultiInputPolicy",
        env,
        replay_buffer_class=HerReplayBuffer,
        replay_buffer_kwargs={
            "n_sampled_goal": 5,
            "goal_selection_strategy": "future",
            "terminated_from_goal": terminated_from_goal,
        },
        learning_rate=2e-3,
        train_freq=1,
        gradient_steps=2,
        learning_starts=20,
        exploration_final_eps=0.02,
        target_update_interval=100,
        batch_size=32,
        buffer_size=100_000,
        stats_window_size=50,
        device="cpu",
        seed=seed,
    )
    model.learn(timesteps)
    return np.mean(model.ep_success_buffer)


if __name__ == "__main__":
    for terminated_from_goal in (False, True):
        rates = [train(seed, terminated_from_goal) for seed in range(8)]
        shown = " ".join(f"{rate:.2f}" for rate in rates)
        print(f"terminated_from_goal={terminated_from_goal}: {shown}, mean {np.mean(rates):.3f}", flush=True)
