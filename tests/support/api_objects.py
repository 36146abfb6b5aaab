"""A small world to ask bad things of: a learnt agent, a replay, a network, games of all kinds, arguments for each."""

import pickle
from types import SimpleNamespace

import numpy as np
from support.trajectories import played

from herfast import Agent, BitFlip, Config, HindsightReplay, QNetwork, pack_bits
from herfast.envs.gym_env import BitFlipEnv
from herfast.envs.gym_vector_env import BitFlipVectorEnv

N = 9
GAME = BitFlip(N)
SMALL = {"hidden": (8,), "capacity": 200, "episodes_per_cycle": 4, "updates_per_cycle": 2, "batch_size": 4}


def words(*shape):
    return np.zeros(shape, np.uint64)


def made():
    """A new world; two are alike but for the seconds that learning took."""
    rng = np.random.default_rng(0)
    trajectories = played(rng, N)
    ring = HindsightReplay(60, N, seed=1)
    ring.add(trajectories)
    network = QNetwork(N, config=Config(hidden=(8,)), seed=2)
    batches = ring.sample(2, 4)
    batches = batches._replace(actions=np.minimum(batches.actions, N - 1))
    network.fit(batches)
    env, over, fresh = (BitFlipEnv(N, 2) for _ in range(3))
    envs, ended, unborn = (BitFlipVectorEnv(3, n_bits=N, max_steps=2, autoreset_mode="Disabled") for _ in range(3))
    for number, game in enumerate((env, over, envs, ended)):
        game.reset(seed=number)
    for _ in range(2):
        over.step(0)
        ended.step(np.zeros(3, np.int64))
    bits = rng.integers(0, 2, (4, N), np.int8)
    played_by = {"actions": np.arange(4, dtype=np.uint16), "active": np.arange(4)}
    return SimpleNamespace(
        agent=Agent(GAME, seed=3, cycles_per_epoch=1_000, **SMALL).learn(total_timesteps=1),
        ring=ring,
        network=network,
        env=env,
        over=over,
        fresh=fresh,
        envs=envs,
        ended=ended,
        unborn=unborn,
        trajectories=trajectories,
        batches=batches,
        observation={"observation": bits, "desired_goal": bits[::-1].copy()},
        reset={"rng": rng, "out_states": words(4, 1), "out_goals": words(4, 1)},
        step={"states": pack_bits(bits), "goals": words(4, 1), "out_states": words(4, 1)}
        | {**played_by, "out_terminated": np.zeros(4, bool)},
    )


def goes_on(w):
    """What a world does next, as bytes."""
    w.agent.learn(total_timesteps=1)
    w.ring.add(w.trajectories)
    done = [w.network.fit(w.ring.sample(1, 4)._replace(actions=w.batches.actions[:1])), w.agent.predict(w.observation)]
    GAME.step(**w.step)
    GAME.reset(**w.reset)
    done += [
        w.agent.evaluate(3),
        w.agent.evaluate(3, seed=0),
        w.env.step(1),
        w.envs.step(np.arange(3)),
        w.step,
        w.reset,
    ]
    done += [game.reset(seed=4) for game in (w.over, w.fresh, w.ended, w.unborn)]
    return pickle.dumps([done, w.ring, w.network, w.agent.network, w.agent.replay, w.agent.streams])
