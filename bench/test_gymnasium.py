"""Cost of the adapter for Gymnasium environments, compared with Stable-Baselines3's `collect_rollouts`.

Run with `pytest bench/test_gymnasium.py --benchmark-only -s` where Stable-Baselines3 is installed. 16
environments of its bit-flipping task are played in lockstep. Of the adapter, the time of the vector
environment is subtracted, and its actions are random. Of `collect_rollouts`, the time of the 16 environments'
own steps is subtracted. It acts, and stores the transitions.
"""

import time
from functools import partial

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers import TimeLimit

from herfast import BitFlip, GymnasiumTask
from herfast.dqn.rollout import play_episodes

N_BITS, N_ENVS, N_EPISODES = 50, 16, 160


def timed_env(clock):
    """Return an environment that adds the time of its steps and resets to clock[0]."""
    envs = pytest.importorskip("stable_baselines3.common.envs")

    class Timed(envs.BitFlippingEnv):
        def step(self, action):
            started = time.perf_counter()
            result = super().step(action)
            clock[0] += time.perf_counter() - started
            return result

        def reset(self, **options):
            started = time.perf_counter()
            result = super().reset(**options)
            clock[0] += time.perf_counter() - started
            return result

    return TimeLimit(Timed(N_BITS), N_BITS)


class RandomActions:
    """Stands for a network and its policy, and takes no time."""

    def greedy_policy(self, n_envs, which):
        self.actions = np.random.default_rng(0).integers(0, N_BITS, (1_000, n_envs)).astype(np.uint16)
        self.t = 0
        return self

    def act(self, states, goals, active, out_actions):
        self.t += 1
        out_actions[active] = self.actions[self.t, active]

    def restart(self):
        pass


def added_by_adapter():
    """Return the microseconds that the adapter adds to a step of the vector environment."""
    mode = AutoresetMode.SAME_STEP
    task = GymnasiumTask(SyncVectorEnv([partial(timed_env, [0.0])] * N_ENVS, autoreset_mode=mode))
    own = BitFlip(N_BITS)
    for name in ("n_state_bits", "n_goal_bits", "n_actions", "max_steps"):
        assert getattr(task, name) == getattr(own, name)
    before = task.seconds
    started = time.perf_counter()
    played = play_episodes(task, RandomActions(), N_EPISODES, np.random.default_rng(0))
    added = time.perf_counter() - started - (task.seconds - before)
    return added / played.trajectories.lengths.sum() * N_ENVS * 1e6


def added_by_stable_baselines3():
    """Return the microseconds per step of 16 environments that `collect_rollouts` adds."""
    import torch
    from stable_baselines3 import DQN, HerReplayBuffer
    from stable_baselines3.common.vec_env import DummyVecEnv

    torch.set_num_threads(1)
    clock = [0.0]
    model = DQN(
        "MultiInputPolicy",
        DummyVecEnv([partial(timed_env, clock)] * N_ENVS),
        buffer_size=100_000,
        learning_starts=0,
        train_freq=N_BITS,
        gradient_steps=0,
        exploration_initial_eps=0.0,
        exploration_final_eps=0.0,
        replay_buffer_class=HerReplayBuffer,
        policy_kwargs={"net_arch": [256]},
        device="cpu",
        seed=0,
    )
    n_steps = N_EPISODES * N_BITS
    model.learn(n_steps // 4)
    clock[0] = 0.0
    started = time.perf_counter()
    model.learn(n_steps)
    added = time.perf_counter() - started - clock[0]
    return added / n_steps * N_ENVS * 1e6


def test_adapter(benchmark):
    """Target: an eighth of what Stable-Baselines3 adds."""
    pytest.importorskip("stable_baselines3")
    theirs = np.median([added_by_stable_baselines3() for _ in range(3)])
    results = []
    benchmark.pedantic(lambda: results.append(added_by_adapter()), rounds=5, warmup_rounds=1)
    ours = np.median(results)
    benchmark.extra_info.update(ours_us=ours, theirs_us=theirs)
    print(
        f"\nadded per step of {N_ENVS}: the adapter {ours:.0f} us, "
        f"Stable-Baselines3 {theirs:.0f} us: {ours / theirs:.3f}"
    )
