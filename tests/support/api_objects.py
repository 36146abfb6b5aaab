"""Small objects of each public class, and arguments of their methods."""

import pickle
from types import SimpleNamespace

import numpy as np
from support.trajectories import random_episodes

from herfast import Agent, BitFlip, Config, HindsightReplay, QNetwork, pack_bits
from herfast.envs.gym.env import GymGoalEnv
from herfast.envs.gym.vector_env import GymGoalVectorEnv

N = 9
ENV = BitFlip(N)
AGENT_SETTINGS = {
    "hidden": (8,),
    "capacity": 200,
    "episodes_per_cycle": 4,
    "updates_per_cycle": 2,
    "batch_size": 4,
}


STRAY_BIT = np.array(1 << N, np.uint64)  # the first bit past the end


def words(*shape):
    return np.zeros(shape, np.uint64)


def ints(*shape, of=np.int64):
    return np.zeros(shape, of)


def build_objects():
    """Return new objects.

    Two results are equal, except for the training time in seconds.
    """
    rng = np.random.default_rng(0)
    trajectories = random_episodes(rng, N)
    replay = HindsightReplay(60, N, seed=1)
    replay.add(trajectories)
    network = QNetwork(N, config=Config(hidden=(8,)), seed=2)
    batches = replay.sample(2, 4)
    batches = batches._replace(actions=np.minimum(batches.actions, N - 1))
    network.fit(batches)
    env, finished_env, env_before_reset = (GymGoalEnv(BitFlip(N, 2)) for _ in range(3))
    vector_env, finished_vector_env, vector_env_before_reset = (
        GymGoalVectorEnv(3, goal_env=BitFlip(N, 2), autoreset_mode="Disabled") for _ in range(3)
    )
    for seed, any_env in enumerate((env, finished_env, vector_env, finished_vector_env)):
        any_env.reset(seed=seed)
    for _ in range(2):
        finished_env.step(0)
        finished_vector_env.step(np.zeros(3, np.int64))
    bits = rng.integers(0, 2, (4, N), np.int8)
    action_args = {"actions": np.arange(4, dtype=np.uint16), "active": np.arange(4)}
    return SimpleNamespace(
        agent=Agent(ENV, seed=3, cycles_per_epoch=1_000, **AGENT_SETTINGS).learn(total_timesteps=1),
        replay=replay,
        network=network,
        env=env,
        finished_env=finished_env,
        env_before_reset=env_before_reset,
        vector_env=vector_env,
        finished_vector_env=finished_vector_env,
        vector_env_before_reset=vector_env_before_reset,
        trajectories=trajectories,
        batches=batches,
        observation={"observation": bits, "desired_goal": bits[::-1].copy()},
        reset_args={"rng": rng, "out_states": words(4, 1), "out_goals": words(4, 1)},
        step_args={"states": pack_bits(bits), "goals": words(4, 1), "out_states": words(4, 1)}
        | {**action_args, "out_terminated": np.zeros(4, bool)},
    )


def next_results(api):
    """Return the results of a further call of each object, and the objects, pickled."""
    api.agent.learn(total_timesteps=1)
    api.replay.add(api.trajectories)
    results = [
        api.network.fit(api.replay.sample(1, 4)._replace(actions=api.batches.actions[:1])),
        api.agent.predict(api.observation),
    ]
    ENV.step(**api.step_args)
    ENV.reset(**api.reset_args)
    results += [
        api.agent.evaluate(3),
        api.agent.evaluate(3, seed=0),
        api.env.step(1),
        api.vector_env.step(np.arange(3)),
        api.step_args,
        api.reset_args,
    ]
    environments = (
        api.finished_env,
        api.env_before_reset,
        api.finished_vector_env,
        api.vector_env_before_reset,
    )
    results += [env.reset(seed=4) for env in environments]
    return pickle.dumps(
        [results, api.replay, api.network, api.agent.network, api.agent.replay, api.agent.streams]
    )
