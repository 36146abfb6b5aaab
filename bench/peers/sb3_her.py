"""Stable-Baselines3: DQN with HerReplayBuffer on herfast's Gymnasium environment.

It follows the protocol as closely as possible. These differences remain:

- DQN instead of Double DQN.
- The Huber loss.
- The buffer does not recompute `terminated` of a relabelled transition.
- Exactly half of each minibatch is relabelled, instead of each row with probability 1/2.
"""

import os

import gymnasium
import torch
from protocol import Clock, Result, main
from stable_baselines3 import DQN, HerReplayBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.utils import polyak_update
from torch import nn

import herfast  # noqa: F401 (registers the environment)

NEVER = 10**9


class Signs(BaseFeaturesExtractor):
    """State and goal as +-1. The achieved goal equals the state and is omitted."""

    def __init__(self, observation_space):
        super().__init__(observation_space, 2 * observation_space["observation"].n)

    def forward(self, observations):
        return 2 * torch.cat([observations["observation"], observations["desired_goal"]], dim=1) - 1


class NotebookDQN(DQN):
    """DQN with the epsilon and the target updates of the notebook, and a clock."""

    def begin(self, protocol):
        self.protocol, self.clock = protocol, Clock()
        return self

    def _on_step(self):
        super()._on_step()
        self.exploration_rate = self.protocol.epsilon_at(self.num_timesteps)

    def train(self, gradient_steps, batch_size=128):
        with self.clock:
            super().train(gradient_steps, batch_size)
            polyak_update(self.q_net.parameters(), self.q_net_target.parameters(), 1.0)


class EpisodeLog(BaseCallback):
    """Records the success of each episode, and stops training after the last update."""

    def __init__(self):
        super().__init__()
        self.success, self.steps = [], 0

    def _on_step(self):
        if self.model._n_updates >= self.model.protocol.updates:
            return False
        self.steps += 1
        if self.locals["dones"][0]:
            self.success.append(self.locals["infos"][0]["is_success"])
        return True


def train(protocol, seed):
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    env = gymnasium.make("herfast/BitFlip-v0", n_bits=protocol.n_bits, disable_env_checker=True)
    model = NotebookDQN(
        "MultiInputPolicy",
        env,
        learning_rate=protocol.learning_rate,
        buffer_size=protocol.capacity,
        learning_starts=0,
        batch_size=protocol.batch_size,
        gamma=protocol.gamma,
        train_freq=(protocol.episodes_per_cycle, "episode"),
        gradient_steps=protocol.updates_per_cycle,
        replay_buffer_class=HerReplayBuffer,
        replay_buffer_kwargs={"n_sampled_goal": 1, "goal_selection_strategy": "final"},
        target_update_interval=NEVER,
        max_grad_norm=float("inf"),
        policy_kwargs={
            "net_arch": [protocol.hidden],
            "activation_fn": nn.ReLU,
            "features_extractor_class": Signs,
            "optimizer_kwargs": {"eps": protocol.adam_epsilon},
        },
        seed=seed,
        device="cpu",
    ).begin(protocol)
    log = EpisodeLog()
    model.learn(total_timesteps=NEVER, callback=log)
    return Result(log.success, log.steps, len(log.success), model._n_updates, model.clock.seconds)


if __name__ == "__main__":
    main(train)
