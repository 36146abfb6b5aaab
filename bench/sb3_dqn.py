"""DQN of Stable-Baselines3 and of herfast on bit flipping: seconds and steps to 95 % success.

Both run the same script on one core, with one update per step, after changing one import. Training stops when
a greedy evaluation over 200 episodes succeeds in 95 %, or after 100,000 steps. Seconds are those of training
without evaluations. Run on an idle machine, in an environment with Stable-Baselines3:

    python bench/sb3_dqn.py --seeds 5                   # 15 bits, a minute
    python bench/sb3_dqn.py --split 5000                # parts of a step, ten seconds
    python bench/sb3_dqn.py --bits 20 25 30 40 50 --every 2000   # seven minutes
    python bench/sb3_dqn.py --bits 20 30 40 50 --every 2000 --fast   # herfast with its preset, half a minute
"""

import argparse
import json
import time
from collections import defaultdict
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from statistics import median

import stable_baselines3 as their_library
import torch
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.envs import BitFlippingEnv
from stable_baselines3.common.evaluation import evaluate_policy

import herfast.sb3 as our_library

LIBRARIES = {"theirs": their_library, "ours": our_library}
UPDATES = {"theirs": "train", "ours": "_make_updates"}  # methods
TARGET = 0.95
LEARNING_STARTS = 1_000
ARGUMENTS = {
    "policy_kwargs": {"net_arch": [256]},
    "learning_rate": 1e-3,
    "batch_size": 128,
    "buffer_size": 100_000,
    "learning_starts": LEARNING_STARTS,
    "gamma": 0.98,
    "train_freq": 1,
    "gradient_steps": 1,
    "target_update_interval": 500,
    "exploration_fraction": 0.1,
    "exploration_final_eps": 0.05,
    "device": "cpu",
}


def new_model(name, bits, seed, **arguments):
    """Return the model of a library. All else is the same for both, but for "fast", the preset of ours."""
    if name == "fast":
        env = BitFlippingEnv(n_bits=bits)
        return our_library.DQN(
            "MultiInputPolicy", env, preset="fast", deterministic_env=True, seed=seed, threads=1
        )
    library = LIBRARIES[name]
    if name == "ours":
        arguments["threads"] = 1
    return library.DQN(
        "MultiInputPolicy",
        BitFlippingEnv(n_bits=bits),
        replay_buffer_class=library.HerReplayBuffer,
        replay_buffer_kwargs={"n_sampled_goal": 4, "goal_selection_strategy": "future"},
        seed=seed,
        **{**ARGUMENTS, **arguments},
    )


def success(model, bits, seed, episodes=200):
    """Return the share of greedy episodes that reach their goal, whose last reward is 0."""
    env = make_vec_env(lambda: BitFlippingEnv(n_bits=bits), 40, seed=seed)
    returns, lengths = evaluate_policy(model, env, episodes, return_episode_rewards=True)
    assert len(returns) == episodes
    return sum(total > -length for total, length in zip(returns, lengths, strict=True)) / episodes


class Evaluations(BaseCallback):
    """Evaluate every `every` steps, stop at TARGET, and measure the seconds of all that."""

    def __init__(self, bits, every):
        super().__init__()
        self.bits = bits
        self.every = every
        self.rates = {}
        self.seconds = 0.0

    def _on_step(self):
        if self.num_timesteps % self.every != 0:
            return True
        start = time.perf_counter()
        rate = success(self.model, self.bits, seed=self.num_timesteps)
        self.rates[self.num_timesteps] = rate
        self.seconds += time.perf_counter() - start
        return rate < TARGET


def check(model, steps):
    """Raise AssertionError unless one update per step was made, but for those of a running episode."""
    missing = max(0, steps - LEARNING_STARTS) - model._n_updates
    assert 0 <= missing <= model.observation_space["observation"].n, f"{missing} updates are missing"


def warm_up(name, bits, seed):
    """Compile and load all that the training needs."""
    new_model(name, bits, seed, learning_starts=2 * bits).learn(20 * bits)


def run(name, bits, seed, steps=100_000, every=500):
    """Train one model, and return its results as a dict."""
    warm_up(name, bits, seed)
    model = new_model(name, bits, seed)
    evaluations = Evaluations(bits, every)
    start = time.perf_counter()
    model.learn(steps, callback=evaluations)
    seconds = time.perf_counter() - start - evaluations.seconds
    if name in LIBRARIES:
        check(model, model.num_timesteps)
    final = success(model, bits, seed=10**6)
    return {
        "bits": bits,
        "library": name,
        "seed": seed,
        "steps": model.num_timesteps,
        "seconds": seconds,
        "reached": evaluations.rates[max(evaluations.rates)] >= TARGET,
        "best": max(evaluations.rates.values()),
        "success": final,  # of the last model, in other episodes
    }


@contextmanager
def timed(owner, method, seconds, key):
    """Add the seconds of a method's calls to `seconds[key]` in a block."""
    original = getattr(owner, method)

    @wraps(original)
    def call(*args, **kwargs):
        start = time.perf_counter()
        result = original(*args, **kwargs)
        seconds[key] += time.perf_counter() - start
        return result

    setattr(owner, method, call)
    try:
        yield
    finally:
        setattr(owner, method, original)


class Nothing(BaseCallback):
    """Callback that does nothing."""

    def _on_step(self):
        return True


def split(name, bits, seed, steps):
    """Return microseconds per step of each part of training, as a dict."""
    warm_up(name, bits, seed)
    model = new_model(name, bits, seed)
    callback = Nothing()
    seconds = defaultdict(float)
    env = model.get_env()
    inner = env.envs[0].unwrapped
    with (
        timed(inner, "step", seconds, "environment"),
        timed(inner, "reset", seconds, "environment"),
        timed(env, "step", seconds, "wrappers"),
        timed(callback, "update_locals", seconds, "callbacks"),
        timed(callback, "on_step", seconds, "callbacks"),
        timed(model, "_sample_action", seconds, "acting"),
        timed(model, UPDATES[name], seconds, "updates"),
    ):
        start = time.perf_counter()
        model.learn(steps, callback=callback)
        total = time.perf_counter() - start
    check(model, model.num_timesteps)
    seconds["wrappers"] -= seconds["environment"]
    seconds["all else"] = total - sum(seconds.values())
    return {key: 1e6 * value / steps for key, value in seconds.items()} | {"total": 1e6 * total / steps}


def show(result):
    state = "reached" if result["reached"] else "not reached"
    print(
        f"{result['bits']} bits, {result['library']}, seed {result['seed']}: {TARGET:.0%} {state} "
        f"after {result['steps']:,} steps and {result['seconds']:.1f} s, best {result['best']:.1%}, "
        f"success {result['success']:.1%}",
        flush=True,
    )


def show_split(bits, name, parts):
    texts = [f"{key} {value:.0f}" for key, value in parts.items()]
    print(f"{bits} bits, {name}, us per step: {', '.join(texts)}", flush=True)


def show_ratios(results):
    """Print ratios of medians over seeds, of theirs to ours."""
    medians = {}
    for name in LIBRARIES:
        own = [result for result in results if result["library"] == name]
        medians[name] = {
            key: median(result[key] for result in own) for key in ("seconds", "steps", "reached")
        }
    theirs, ours = medians.values()
    seconds = theirs["seconds"] / ours["seconds"]
    steps = theirs["steps"] / ours["steps"]
    if all(result["reached"] for result in results):
        print(f"ratio to {TARGET:.0%}: {seconds:.1f} in seconds, {steps:.1f} in steps")
    print(f"ratio of seconds per step: {seconds / steps:.1f}", flush=True)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--bits", type=int, nargs="+", default=[15])
    parser.add_argument("--seeds", type=int, default=1, help="number of seeds, from 0")
    parser.add_argument("--steps", type=int, default=100_000, help="steps at most")
    parser.add_argument("--every", type=int, default=500, help="steps between two evaluations")
    parser.add_argument("--fast", action="store_true", help="train only ours, with its preset fast")
    parser.add_argument("--split", type=int, metavar="STEPS", help="measure parts of STEPS steps instead")
    parser.add_argument("--json", type=Path, help="file to write")
    return parser.parse_args()


def main():
    options = arguments()
    torch.set_num_threads(1)
    results = []
    for bits in options.bits:
        if options.split is not None:
            for name in LIBRARIES:
                parts = split(name, bits, 0, options.split)
                results.append({"bits": bits, "library": name, "microseconds": parts})
                show_split(bits, name, parts)
            continue
        own = []
        names = ["fast"] if options.fast else list(LIBRARIES)
        for seed in range(options.seeds):
            for name in names:
                own.append(run(name, bits, seed, options.steps, options.every))
                show(own[-1])
        if not options.fast:
            show_ratios(own)
        results += own
    if options.json is not None:
        options.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
