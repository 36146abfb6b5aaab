"""Tests of bench/episode_picture.py, which draws docs/relabelling.svg."""

from pathlib import Path
from xml.etree import ElementTree

from episode_picture import FLIPS, GOAL, START, picture, states_of

ROOT = Path(__file__).parents[2]


def texts(kind):
    """Return the texts of a class in the picture."""
    return [
        element.text for element in ElementTree.fromstring(picture()).iter() if element.get("class") == kind
    ]


def test_each_step_flips_one_bit():
    assert states_of("0010", (0, 3)) == ["0010", "1010", "1011"]


def test_the_goal_is_missed_and_the_last_state_is_new():
    states = states_of(START, FLIPS)
    assert GOAL not in states
    assert len(set(states)) == len(states)


def test_only_the_last_reward_of_the_relabelled_episode_is_0():
    assert texts("reward") == ["\N{MINUS SIGN}1"] * (2 * len(FLIPS) - 1)
    assert texts("reward success") == ["0"]


def test_the_picture_in_docs_is_up_to_date():
    assert (ROOT / "docs" / "relabelling.svg").read_text(encoding="utf-8") == picture()
