"""Tests of copies, files and conversions of replay buffers."""

import copy
import pickle

import numpy as np
import pytest

pytest.importorskip("stable_baselines3")

from stable_baselines3 import HerReplayBuffer as TheirBuffer
from support.sb3_buffers import (
    LONG,
    SHORT,
    add_numbered,
    assert_same_arrays,
    episode_ends,
    filled_pair,
    numbers,
)

from herfast.sb3 import HerReplayBuffer


def pickled(buffer):
    return pickle.loads(pickle.dumps(buffer))


def more(buffers, n_envs=2):
    """Add further transitions, also to the running episodes."""
    add_numbered(buffers, *episode_ends(30, n_envs, SHORT, seed=1), first=95)


def sample_theirs(buffer):
    np.random.seed(0)  # noqa: NPY002
    return numbers(buffer.sample(60))


@pytest.mark.parametrize("copied", [pickled, copy.deepcopy], ids=["pickle", "deepcopy"])
@pytest.mark.parametrize("share", [SHORT, LONG])
@pytest.mark.parametrize("copy_info_dict", [True, False])
def test_a_copy_continues_as_the_original_would(copied, share, copy_info_dict):
    _, ours = filled_pair(40, 2, 95, share, copy_info_dict=copy_info_dict, seed=2)
    if share == SHORT:
        ours.sample(10)
    other = copied(ours)
    assert other.env is None
    other.set_env(ours.env)
    assert_same_arrays(other, ours)
    more([ours])
    more([other])
    assert_same_arrays(other, ours)
    for one, expected in zip(numbers(other.sample(60)), numbers(ours.sample(60)), strict=True):
        np.testing.assert_array_equal(one, expected)


def test_an_unfinished_episode_is_saved_and_continues():
    _, ours = filled_pair(40, 1, 0, SHORT)
    done = np.zeros((6, 1), bool)
    add_numbered([ours], done, done)
    other = pickled(ours)
    other.set_env(ours.env)
    done[-1] = True
    add_numbered([other], done, done & False, first=6)
    assert set(other.ep_length[:12, 0]) == {12}
    assert set(numbers(other.sample(300))[0]) == set(range(0, 24, 2))


@pytest.mark.parametrize("handle_timeout_termination", [True, False])
@pytest.mark.parametrize("share", [SHORT, LONG])
@pytest.mark.parametrize("n_envs", [1, 3])
def test_truncate_last_trajectory(n_envs, share, handle_timeout_termination):
    kwargs = {"handle_timeout_termination": handle_timeout_termination}
    theirs, ours = filled_pair(40, n_envs, 95, share, **kwargs)
    for buffer in (theirs, ours):
        with pytest.warns(UserWarning, match="last trajectory in the replay buffer will be truncated"):
            buffer.truncate_last_trajectory()
    assert_same_arrays(ours, theirs)
    np.testing.assert_array_equal(ours._n_transitions, (theirs.ep_length > 0).sum(axis=0))
    more([theirs, ours], n_envs)
    assert_same_arrays(ours, theirs)


@pytest.mark.parametrize("copy_info_dict", [True, False])
@pytest.mark.parametrize("loaded", [True, False])
def test_buffers_of_stable_baselines3_are_converted(loaded, copy_info_dict):
    theirs, ours = filled_pair(40, 2, 95, SHORT, copy_info_dict=copy_info_dict, n_sampled_goal=3)
    original = theirs
    if loaded:
        original = pickled(theirs)
        original.set_env(theirs.env)
    converted = HerReplayBuffer.from_sb3(original)
    assert vars(converted).keys() == vars(ours).keys()
    assert converted.observations is original.observations
    assert (converted.env, converted.n_sampled_goal) == (theirs.env, 3)
    more([converted, ours])
    assert_same_arrays(converted, ours)
    for one, expected in zip(sample_theirs(converted), sample_theirs(ours), strict=True):
        np.testing.assert_array_equal(one, expected)


@pytest.mark.parametrize("copy_info_dict", [True, False])
def test_buffers_are_converted_to_stable_baselines3(copy_info_dict):
    theirs, ours = filled_pair(40, 2, 95, SHORT, copy_info_dict=copy_info_dict)
    ours.sample(10)
    converted = ours.to_sb3()
    assert type(converted) is TheirBuffer
    missing = set() if copy_info_dict else {"infos"}
    assert vars(converted).keys() == vars(theirs).keys() - missing
    converted = pickled(converted)
    converted.set_env(theirs.env)
    for one, expected in zip(sample_theirs(converted), sample_theirs(theirs), strict=True):
        np.testing.assert_array_equal(one, expected)
    more([converted, theirs] if copy_info_dict else [converted])


def test_invalid_conversions():
    _, ours = filled_pair(40, 1, 30, SHORT)
    ours.goal_selection_strategy = "random"
    with pytest.raises(ValueError, match=r"^goal_selection_strategy must be 'future', .*, got 'random'$"):
        ours.to_sb3()
    with pytest.raises(TypeError, match="buffer must be a HerReplayBuffer, got 5"):
        HerReplayBuffer.from_sb3(5)


def test_contradicting_episodes_are_not_loaded():
    theirs, ours = filled_pair(40, 2, 95, SHORT)
    before = vars(ours).copy()
    state = copy.deepcopy(theirs.__getstate__())
    state["_current_ep_start"] += 20
    with pytest.raises(ValueError, match=r"^lengths must be .* episodes, environment \d has a gap$"):
        ours.__setstate__(state)
    assert all(vars(ours)[name] is value for name, value in before.items())


def test_a_buffer_without_infos_takes_less_memory_in_a_file():
    theirs, ours = filled_pair(2000, 2, 95, SHORT)
    assert len(pickle.dumps(ours)) < len(pickle.dumps(theirs))
