"""Time of replay buffers: microseconds to store a transition and to draw 128.

Goals are final goals, and half of the transitions are relabelled. Each buffer gets the same random episodes
and has 50,000 transitions when it is timed. Its samples are checked first: rewards must fit the goals, and
about half of the goals must be hindsight goals.
"""

import json
import sys
import time

import numpy as np

BATCH = 128
CAPACITY = 50_000


def random_episodes(n_bits, rng):
    """Return random episodes, none of which reaches its goal.

    Returns states bool[E, T + 1, n], actions [E, T] and goals bool[E, n].
    """
    episodes = CAPACITY // n_bits
    states = np.empty((episodes, n_bits + 1, n_bits), np.bool_)
    states[:, 0] = rng.random((episodes, n_bits)) < 0.5
    actions = rng.integers(n_bits, size=(episodes, n_bits))
    for t in range(n_bits):
        states[:, t + 1] = states[:, t] ^ (np.arange(n_bits) == actions[:, t, None])
    goals = rng.random((episodes, n_bits)) < 0.5
    goals[(states == goals[:, None]).all(axis=2).any(axis=1)] ^= True
    return states, actions, goals


def herfast(n_bits, states, actions, goals):
    """Store 16 episodes per call and draw 40 minibatches per call, as a cycle does."""
    from herfast import HindsightReplay, Trajectories, pack_bits, unpack_bits

    replay = HindsightReplay(CAPACITY * (n_bits + 1) // n_bits, n_bits, strategy="final", k=1, seed=0)
    cycles = []
    for first in range(0, len(goals), 16):
        chunk = slice(first, first + 16)
        states_, actions_ = pack_bits(states[chunk].swapaxes(0, 1)), actions[chunk].T.astype(np.uint16)
        lengths = np.full(len(goals[chunk]), n_bits, np.int32)
        cycles.append(Trajectories(states_, np.ascontiguousarray(actions_), pack_bits(goals[chunk]), lengths))

    def store():
        for cycle in cycles:
            replay.add(cycle)

    def drawn_rows():
        batches = replay.sample(40, BATCH)
        return unpack_bits(batches.next_states, n_bits), unpack_bits(batches.goals, n_bits), batches.rewards

    return store, lambda: replay.sample(40, BATCH), 40, drawn_rows


def cpprb(n_bits, states, actions, goals):
    """Store single steps, as the API requires, and draw one minibatch per call.

    Each transition is stored once with its goal and once relabelled.
    """
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

    def drawn_rows():
        batch = replay.sample(40 * BATCH)
        return batch["next_obs"], batch["goal"], batch["rew"].ravel()

    return store, lambda: replay.sample(BATCH), 1, drawn_rows


def sb3(n_bits, states, actions, goals):
    """Store single steps, as the API requires, and draw one minibatch per call."""
    import gymnasium
    from stable_baselines3 import HerReplayBuffer
    from stable_baselines3.common.vec_env import DummyVecEnv

    import herfast  # noqa: F401 (registers the environment)

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
                replay.add(
                    now, then, actions[e, t, None], np.array([-1.0]), ends, [{"TimeLimit.truncated": ends[0]}]
                )

    def drawn_rows():
        batch = replay.sample(40 * BATCH)
        return (
            part.numpy()
            for part in (
                batch.next_observations["observation"],
                batch.observations["desired_goal"],
                batch.rewards,
            )
        )

    return store, lambda: replay.sample(BATCH), 1, drawn_rows


def check(next_states, goals, rewards, original):
    reached = (np.asarray(next_states, bool) == np.asarray(goals, bool)).all(axis=-1)
    assert (np.ravel(rewards) == reached.ravel() - 1.0).all(), "rewards do not fit the goals"
    rows = {row.tobytes() for row in original}
    hindsight = np.mean(
        [row.tobytes() not in rows for row in np.asarray(goals, bool).reshape(-1, original.shape[1])]
    )
    assert 0.45 < hindsight < 0.55, f"{hindsight:.0%} of the goals are hindsight goals, not half"


def seconds(function):
    """Return the wall time of one call."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def main(name, n_bits):
    states, actions, goals = random_episodes(n_bits, np.random.default_rng(0))
    store, draw, n_minibatches, drawn_rows = globals()[name](n_bits, states, actions, goals)
    store_seconds = seconds(store)
    check(*drawn_rows(), goals)
    draw_seconds = np.median([seconds(draw) for _ in range(200)])
    result = {
        "transitions": actions.size,
        "us_per_sample": draw_seconds / n_minibatches * 1e6,
        "us_per_transition": store_seconds / actions.size * 1e6,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
