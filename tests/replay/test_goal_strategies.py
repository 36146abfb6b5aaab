"""Tests of hindsight goals, with states that encode their episode and step."""

import json

import numpy as np
import pytest
from golden import replay as golden
from support.trajectories import decode_numbered, numbered_episodes

from herfast import HindsightReplay, Trajectories

STRATEGIES = ["future", "final", "episode", "random"]


def sampled_numbers(strategy, k, n_episodes=7, max_steps=10, capacity=1000, n_samples=40_000):
    """Sample many transitions and decode them.

    Returns episode, t, episode of the goal, t of the goal, steps to the goal, and whether it is a hindsight
    goal.
    """
    replay = HindsightReplay(capacity, 50, strategy=strategy, k=k, seed=1)
    replay.add(numbered_episodes(n_episodes, max_steps))
    batch = replay.sample(1, n_samples)
    states, next_states, goals = (words.ravel().astype(np.int64) for words in batch[:3])
    np.testing.assert_array_equal(next_states, states + 1)
    np.testing.assert_array_equal(batch.actions[0], states & 0xFFFF)
    np.testing.assert_array_equal(batch.terminated[0], next_states == goals)
    np.testing.assert_array_equal(batch.rewards[0], np.where(next_states == goals, 0, -1))
    return *decode_numbered(states), *decode_numbered(goals), batch.steps_to_goal[0], goals != 2**50 - 1


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("k", [0, 1, 4])
@pytest.mark.parametrize("capacity", [1000, 61])  # of 77 records, 61 begin within the second episode
def test_goals_are_chosen_as_in_the_paper(strategy, k, capacity):
    *columns, hindsight = sampled_numbers(strategy, k, capacity=capacity)
    assert not columns[-1][~hindsight].any()
    episode, t, goal_episode, goal_t, steps = (column[hindsight] for column in columns)
    if strategy == "random":
        assert not steps.any()
        assert k == 0 or (goal_episode != episode).any()
        return
    assert (goal_episode == episode).all()
    np.testing.assert_array_equal(steps, np.maximum(goal_t - t, 0))
    if strategy == "future":
        assert (goal_t > t).all()
        assert k == 0 or set(goal_t - t) == set(range(1, 11))
    if strategy == "final":
        assert (goal_t == 10).all()
    if strategy == "episode":
        assert k == 0 or set(goal_t) == set(range(11))


def test_the_rest_of_a_partly_overwritten_episode_is_sampled():
    # 30 records: the last 8 of episode 0 (t = 3..10), then all of episodes 1 and 2.
    episode, t, goal_episode, goal_t, _, hindsight = sampled_numbers("episode", 4, n_episodes=3, capacity=30)
    assert set(t[episode == 0]) == set(range(3, 10))
    assert (goal_episode == episode)[hindsight].all()
    assert set(goal_t[hindsight & (episode == 0)]) == set(range(3, 11))
    assert set(goal_t[hindsight & (episode == 1)]) == set(range(11))


def test_transitions_whose_state_already_equals_the_goal_are_sampled():
    states = np.array([5, 4, 5, 4], np.uint64).reshape(4, 1, 1)
    replay = HindsightReplay(4, 3, strategy="final", k=0, seed=0)
    replay.add(Trajectories(states, np.zeros((3, 1), np.uint16), states[:1, 0], np.array([3], np.int32)))
    batch = replay.sample(1, 500)
    assert (batch.states == batch.goals).any()
    np.testing.assert_array_equal(batch.terminated, (batch.next_states == batch.goals)[..., 0])
    assert not batch.steps_to_goal.any()  # the episode does not end at the goal


def test_steps_to_an_original_goal_are_known_only_if_the_episode_ends_there():
    trajectories = numbered_episodes(2, 10)
    trajectories.goals[1] = trajectories.states[10, 1]
    replay = HindsightReplay(100, 50, k=0, seed=0)
    replay.add(trajectories)
    batch = replay.sample(1, 500)
    episode, t = decode_numbered(batch.states[0])
    np.testing.assert_array_equal(batch.steps_to_goal[0], np.where(episode == 1, 10 - t, 0))
    assert set(episode) == {0, 1}


def test_checksums_of_a_scripted_example_have_not_changed():
    assert golden.compute_checksums() == json.loads(golden.FILE.read_text())
