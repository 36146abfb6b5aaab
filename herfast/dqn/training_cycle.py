"""One cycle of training: episodes, updates (HER paper, algorithm 1), and a test."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from herfast.common.batches import Minibatches
from herfast.common.seeding import Role
from herfast.config import Config
from herfast.dqn.checkpoint import AgentParts
from herfast.dqn.evaluation import Evaluation
from herfast.dqn.rollout import Episodes, play_episodes
from herfast.envs.base import GoalEnv, stateful
from herfast.replay.hindsight_replay import HindsightReplay
from herfast.replay.infos import InfoRing
from herfast.replay.outcomes import add_with_outcomes, sample_with_origins

TEST_EPISODES = 100  # at the end of each epoch
CONFIRMING_EPISODES = 1_000  # once the test episodes reach `until`


def run_cycle(parts: AgentParts, replay: HindsightReplay) -> dict[str, float]:
    """Play episodes, store them, update the network; return a row of the history.

    Raises:
        FloatingPointError: the loss or the weights are no longer finite.
    """
    network = parts.network
    config = network.config
    env_steps = parts.history.total("env_steps")
    episodes = play_episodes(
        parts.env,
        network,
        config.episodes_per_cycle,
        parts.streams[Role.ENVIRONMENT],
        exploration=parts.streams[Role.EXPLORATION],
        epsilon_at=config.epsilon_at,
        env_steps=env_steps,
    )
    store(replay, episodes)
    steps = int(episodes.trajectories.lengths.sum())
    learning_rate = config.learning_rate_at(network.updates)
    minibatches = sample(parts.env, replay, config.updates_per_cycle, config.batch_size)
    loss = float(network.fit(minibatches).mean())
    cycles = len(parts.history["epoch"])
    epoch = cycles // config.cycles_per_epoch + 1
    if not (np.isfinite(loss) and network.is_finite()):
        raise FloatingPointError(
            f"loss or weights are no longer finite in epoch {epoch}, cycle {cycles + 1}, with "
            f"learning rate {learning_rate:g} and gamma {config.gamma:g}; lowering one of them may help"
        )
    return {
        "epoch": epoch,
        "success": np.count_nonzero(episodes.successes) / config.episodes_per_cycle,
        "return": float(episodes.returns.sum()) / config.episodes_per_cycle,
        "loss": loss,
        "epsilon": config.epsilon_at(env_steps),
        "learning_rate": learning_rate,
        "env_steps": env_steps + steps,
        "episodes": parts.history.total("episodes") + config.episodes_per_cycle,
        "updates": network.updates,
    }


def new_replay(env: GoalEnv, config: Config, seed: int) -> HindsightReplay:
    """Return an empty replay buffer for an agent."""
    sizes = (config.capacity, env.n_state_bits, env.n_goal_bits)
    replay = HindsightReplay(*sizes, strategy=config.strategy, k=config.k, seed=seed)
    sub_envs = stateful(env)
    if sub_envs is not None and sub_envs.copies_infos:
        replay.infos = InfoRing(config.capacity)
    return replay


def store(replay: HindsightReplay, episodes: Episodes) -> None:
    """Add episodes to a replay buffer, with their outcomes if they need them."""
    if episodes.outcomes is None:
        replay.add(episodes.trajectories)
    else:
        add_with_outcomes(replay, episodes.trajectories, episodes.outcomes)


def sample(env: GoalEnv, replay: HindsightReplay, n_batches: int, batch_size: int) -> Minibatches:
    """Sample minibatches, with the rewards and terminations of the environment."""
    judge = stateful(env)
    if judge is None:
        return replay.sample(n_batches, batch_size)
    return judge.judge(*sample_with_origins(replay, n_batches, batch_size))


def check_solved(
    evaluate: Callable[[int], Evaluation], ends_epoch: bool, until: float | None
) -> tuple[float, bool]:
    """Measure the greedy policy at the end of an epoch.

    Args:
        evaluate: returns the result of the next test episodes, given their number.
        ends_epoch: whether the cycle is the last of an epoch.
        until: success rate at which training ends, or None.

    Returns:
        The success rate, NaN within an epoch; and True if it reaches `until`.
    """
    if not ends_epoch:
        return float("nan"), False
    rate = evaluate(TEST_EPISODES).success_rate
    if until is None or rate < until:
        return rate, False
    rate = evaluate(CONFIRMING_EPISODES).success_rate
    return rate, rate >= until
