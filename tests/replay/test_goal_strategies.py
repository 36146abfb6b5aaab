"""What hindsight goals mean, told from states that carry their game and step: sources, rates, rewards, distances."""

import json

import numpy as np
import pytest
from golden import replay as golden
from support.trajectories import decode_numbered, numbered_episodes

from herfast import HindsightReplay, Trajectories

STRATEGIES = ["future", "final", "episode", "random"]


def sampled_numbers(strategy, k, n_games=7, max_steps=10, capacity=1000, n_samples=40_000):
    """Game, t, goal's game, goal's t, steps to the goal, and whether it is a hindsight goal, of many samples."""
    replay = HindsightReplay(capacity, 50, strategy=strategy, k=k, seed=1)
    replay.add(numbered_episodes(n_games, max_steps))
    batch = replay.sample(1, n_samples)
    states, following, goals = (words.ravel().astype(np.int64) for words in batch[:3])
    np.testing.assert_array_equal(following, states + 1)
    np.testing.assert_array_equal(batch.actions[0], states & 0xFFFF)
    np.testing.assert_array_equal(batch.terminated[0], following == goals)
    np.testing.assert_array_equal(batch.rewards[0], np.where(following == goals, 0, -1))
    return *decode_numbered(states), *decode_numbered(goals), batch.steps_to_goal[0], goals != 2**50 - 1


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("k", [0, 1, 4])
@pytest.mark.parametrize("capacity", [1000, 61])  # all records are 77, so that 61 cut into the second game
def test_goals_come_from_where_the_paper_says(strategy, k, capacity):
    game, t, goal_game, goal_t, steps, hindsight = sampled_numbers(strategy, k, capacity=capacity)
    assert not steps[~hindsight].any()
    game, t, goal_game, goal_t, steps = (column[hindsight] for column in (game, t, goal_game, goal_t, steps))
    if strategy == "random":
        assert not steps.any()
        assert k == 0 or (goal_game != game).any()
        return
    assert (goal_game == game).all()
    np.testing.assert_array_equal(steps, np.maximum(goal_t - t, 0))
    if strategy == "future":
        assert (goal_t > t).all()
        assert k == 0 or set(goal_t - t) == set(range(1, 11))
    if strategy == "final":
        assert (goal_t == 10).all()
    if strategy == "episode":
        assert k == 0 or set(goal_t) == set(range(11))


def test_a_partly_overwritten_episode_stays_valid_for_what_is_left():
    # 30 records: the last 8 of game 0 (t = 3..10), then games 1 and 2 whole.
    game, t, goal_game, goal_t, _, hindsight = sampled_numbers("episode", 4, n_games=3, capacity=30)
    assert set(t[game == 0]) == set(range(3, 10))
    assert (goal_game == game)[hindsight].all()
    assert set(goal_t[hindsight & (game == 0)]) == set(range(3, 11))
    assert set(goal_t[hindsight & (game == 1)]) == set(range(11))


def test_a_state_that_is_its_goal_already_is_kept():
    states = np.array([5, 4, 5, 4], np.uint64).reshape(4, 1, 1)
    replay = HindsightReplay(4, 3, strategy="final", k=0, seed=0)
    replay.add(Trajectories(states, np.zeros((3, 1), np.uint16), states[:1, 0], np.array([3], np.int32)))
    batch = replay.sample(1, 500)
    assert (batch.states == batch.goals).any()
    np.testing.assert_array_equal(batch.terminated, (batch.next_states == batch.goals)[..., 0])
    assert not batch.steps_to_goal.any()  # the episode ends elsewhere


def test_an_original_goal_knows_the_way_only_if_the_episode_ends_there():
    trajectories = numbered_episodes(2, 10)
    trajectories.goals[1] = trajectories.states[10, 1]
    replay = HindsightReplay(100, 50, k=0, seed=0)
    replay.add(trajectories)
    batch = replay.sample(1, 500)
    game, t = batch.states[0, :, 0].astype(int) >> 16, batch.states[0, :, 0].astype(int) & 0xFFFF
    np.testing.assert_array_equal(batch.steps_to_goal[0], np.where(game == 1, 10 - t, 0))
    assert set(game) == {0, 1}


def test_a_scripted_run_has_not_changed():
    assert golden.run() == json.loads(golden.FILE.read_text())
