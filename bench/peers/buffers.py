"""Replay buffers alone: microseconds to store a transition and to draw 128 with final goals, half of them relabelled.

Each buffer gets the same games of random play and holds 50,000 transitions when it is timed. What it hands out is
checked first: rewards must be those of the goals that come with them, and about half of these hindsight goals.
"""

import json
import sys
import time

import numpy as np

BATCH, CAPACITY = 128, 50_000


def games(n_bits, rng):
    """Random play: states bool [E, T + 1, n], actions [E, T], goals bool [E, n]; none happens to reach its goal."""
    episodes = CAPACITY // n_bits
    states = np.empty((episodes, n_bits + 1, n_bits), np.bool_)
    states[:, 0], actions = rng.random((episodes, n_bits)) < 0.5, rng.integers(n_bits, size=(episodes, n_bits))
    for t in range(n_bits):
        states[:, t + 1] = states[:, t] ^ (np.arange(n_bits) == actions[:, t, None])
    goals = rng.random((episodes, n_bits)) < 0.5
    goals[(states == goals[:, None]).all(axis=2).any(axis=1)] ^= True
    return states, actions, goals


def herfast(n_bits, states, actions, goals):
    """Sixteen episodes at a time, as a cycle stores them, and a cycle's 40 minibatches at once."""
    from herfast import HindsightReplay, Trajectories, pack_bits, unpack_bits

    replay = HindsightReplay(CAPACITY * (n_bits + 1) // n_bits, n_bits, strategy="final", k=1, seed=0)
    cycles = []
    for first in range(0, len(goals), 16):
        some = slice(first, first + 16)
        states_, actions_ = pack_bits(states[some].swapaxes(0, 1)), actions[some].T.astype(np.uint16)
        lengths = np.full(len(goals[some]), n_bits, np.int32)
        cycles.append(Trajectories(states_, np.ascontiguousarray(actions_), pack_bits(goals[some]), lengths))

    def store():
        for cycle in cycles:
            replay.add(cycle)

    def seen():
        batches = replay.sample(40, BATCH)
        return unpack_bits(batches.next_states, n_bits), unpack_bits(batches.goals, n_bits), batches.rewards

    return store, lambda: replay.sample(40, BATCH), 40, seen


def cpprb(n_bits, states, actions, goals):
    """Step by step, as it wants them; a row each for its relabelled twin; one minibatch a call."""
    from cpprb import HindsightReplayBuffer

    def reward(next_state, action, goal):
        return (next_state == goal).all(axis=-1).astype(np.float32) - 1

    shapes = {"obs": {"shape": n_bits, "dtype": np.int8}, "act": {"dtype": np.int64}}
    replay = HindsightReplayBuffer(
        2 * CAPACITY,
        {**shapes, "next_obs": shapes["obs"]},
        max_episode_len=n_bits,
        reward_func=reward,
        goal_func=lambda state: state,
        goal_shape=n_bits,
        strategy="final",
        additional_goals=1,
        prioritized=False,
    )
    states, goals = states.view(np.int8), goals.view(np.int8)

    def store():
        for e in range(len(goals)):
            for t in range(n_bits):
                replay.add(obs=states[e, t], act=actions[e, t], next_obs=states[e, t + 1])
            replay.on_episode_end(goals[e])

    def seen():
        batch = replay.sample(40 * BATCH)
        return batch["next_obs"], batch["goal"], batch["rew"].ravel()

    return store, lambda: replay.sample(BATCH), 1, seen


def sb3(n_bits, states, actions, goals):
    """Step by step, as it wants them; one minibatch a call."""
    import gymnasium
    from stable_baselines3 import HerReplayBuffer
    from stable_baselines3.common.vec_env import DummyVecEnv

    import herfast  # noqa: F401 (registers the game)

    env = DummyVecEnv([lambda: gymnasium.make("herfast/BitFlip-v0", n_bits=n_bits)])
    spaces = (env.observation_space, env.action_space)
    options = {"n_sampled_goal": 1, "goal_selection_strategy": "final", "device": "cpu"}
    replay = HerReplayBuffer(CAPACITY, *spaces, env, **options)

    def store():
        for e in range(len(goals)):
            for t in range(n_bits):
                now, then = (
                    {"observation": s[None], "achieved_goal": s[None], "desired_goal": goals[e, None]}
                    for s in (states[e, t], states[e, t + 1])
                )
                ends = np.array([t == n_bits - 1])
                replay.add(now, then, actions[e, t, None], np.array([-1.0]), ends, [{"TimeLimit.truncated": ends[0]}])

    def seen():
        batch = replay.sample(40 * BATCH)
        return (
            p.numpy()
            for p in (batch.next_observations["observation"], batch.observations["desired_goal"], batch.rewards)
        )

    return store, lambda: replay.sample(BATCH), 1, seen


def check(next_states, goals, rewards, original):
    reached = (np.asarray(next_states, bool) == np.asarray(goals, bool)).all(axis=-1)
    assert (np.ravel(rewards) == reached.ravel() - 1.0).all(), "rewards do not belong to the goals"
    rows = {row.tobytes() for row in original}
    hindsight = np.mean([row.tobytes() not in rows for row in np.asarray(goals, bool).reshape(-1, original.shape[1])])
    assert 0.45 < hindsight < 0.55, f"{hindsight:.0%} of the goals are hindsight goals, not half"


def seconds(function):
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def main(name, n_bits):
    states, actions, goals = games(n_bits, np.random.default_rng(0))
    store, draw, minibatches, seen = globals()[name](n_bits, states, actions, goals)
    stored = seconds(store)
    check(*seen(), goals)
    drawn = np.median([seconds(draw) for _ in range(200)])
    found = {
        "transitions": actions.size,
        "us_per_sample": drawn / minibatches * 1e6,
        "us_per_transition": stored / actions.size * 1e6,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
