"""Callbacks: several at once, when one stops, and how a writer keeps its file in step with the history."""

import numpy as np
import pytest
from support.files import full_disk
from support.history_files import history_rows, json_lines_rows
from support.small_agents import tiny_agent

from herfast import Agent, JsonLines


@pytest.mark.parametrize("kind", [list, tuple])
def test_all_callbacks_are_called_in_order_for_the_cycle_in_which_one_stops(kind):
    called = []

    def first(agent):
        called.append(("first", agent.cycles))
        return agent.cycles < 3

    def second(agent):
        called.append(("second", agent.cycles))

    agent = tiny_agent().learn(epochs=5, callback=kind([first, second]))
    assert agent.cycles == 3
    assert called == [(name, cycle) for cycle in (1, 2, 3) for name in ("first", "second")]


def test_no_callback_and_an_empty_list_are_alike():
    assert [tiny_agent().learn(epochs=2, callback=callback).cycles for callback in (None, [], ())] == [4, 4, 4]


@pytest.mark.parametrize("answer", [False, np.False_])
def test_false_stops_numpys_too(answer):
    """Which is what a comparison with the history gives."""
    assert tiny_agent().learn(epochs=2, callback=lambda agent: answer).cycles == 1


@pytest.mark.parametrize("answer", [None, True, 0, "", np.True_])
def test_only_false_stops(answer):
    assert tiny_agent().learn(epochs=2, callback=lambda agent: answer).cycles == 4


@pytest.mark.parametrize("callback", [5, "log", [5], [print, None], {print}])
def test_what_cannot_be_called_is_refused_before_anything_is_learnt(callback):
    agent = tiny_agent()
    with pytest.raises(TypeError, match=r"^callback must be a function of the agent or a list of them, got "):
        agent.learn(epochs=1, callback=callback)
    assert agent.cycles == 0


# --- HistoryWriter, by the file of JsonLines --------------------------------------------------------------------------


def test_however_it_is_used_the_file_mirrors_the_history_of_who_called_last(tmp_path):
    path = tmp_path / "run.jsonl"
    log, agent = JsonLines(path), tiny_agent().learn(epochs=1)
    log(tiny_agent())
    assert json_lines_rows(path) == []
    agent.learn(epochs=1, callback=log)  # which came late
    assert json_lines_rows(path) == history_rows(agent)
    agent.learn(epochs=2, callback=lambda agent: log(agent) if agent.cycles % 3 == 0 else None)  # seldom
    assert json_lines_rows(path) == history_rows(agent)[:6]
    agent.learn(epochs=1, callback=[log, log])  # and twice
    assert json_lines_rows(path) == history_rows(agent)
    log.close()
    log.close()
    agent.learn(epochs=1, callback=log)  # after it was closed
    assert json_lines_rows(path) == history_rows(agent)
    agent.save(tmp_path / "agent", replay=True)
    agent.learn(epochs=1, callback=log)
    earlier = Agent.load(tmp_path / "agent")
    earlier.learn(total_timesteps=1, callback=log)  # an agent that is a cycle behind
    assert json_lines_rows(path) == history_rows(earlier)
    assert len(json_lines_rows(path)) == agent.cycles - 1
    log.close()


def test_lines_are_appended_and_not_written_again(tmp_path):
    path = tmp_path / "run.jsonl"
    with JsonLines(path) as log:
        agent = tiny_agent().learn(epochs=1, callback=log)
        path.write_text("")
        agent.learn(epochs=1, callback=log)
    assert path.read_bytes().lstrip(b"\0").count(b"\n") == 2


def test_after_an_error_the_next_call_writes_all(tmp_path):
    path, agent = tmp_path / "run.jsonl", tiny_agent()
    with JsonLines(path) as log:
        agent.learn(epochs=1, callback=log)
        size = path.stat().st_size
        with pytest.raises(OSError, match="File too large"), full_disk(size + 30):
            agent.learn(epochs=1, callback=log)
        assert agent.cycles == 3
        assert path.stat().st_size == size + 30  # a torn line
        agent.learn(total_timesteps=1, callback=log)
        assert json_lines_rows(path) == history_rows(agent)
    assert json_lines_rows(path) == history_rows(agent)
