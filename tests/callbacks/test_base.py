"""Tests of combined callbacks, of stopping training, and of HistoryWriter."""

import numpy as np
import pytest
from support.files import full_disk
from support.history_files import history_rows, json_lines_rows
from support.small_agents import tiny_agent

from herfast import Agent, JsonLines


@pytest.mark.parametrize("kind", [list, tuple])
def test_all_callbacks_are_called_in_the_cycle_in_which_one_stops_training(kind):
    called = []

    def first(agent):
        called.append(("first", agent.cycles))
        return agent.cycles < 3

    def second(agent):
        called.append(("second", agent.cycles))

    agent = tiny_agent().learn(epochs=5, callback=kind([first, second]))
    assert agent.cycles == 3
    assert called == [(name, cycle) for cycle in (1, 2, 3) for name in ("first", "second")]


def test_none_and_an_empty_list_never_stop_training():
    for callback in (None, [], ()):
        assert tiny_agent().learn(epochs=2, callback=callback).cycles == 4


@pytest.mark.parametrize("result", [False, np.False_])
def test_a_callback_that_returns_false_stops_training(result):
    """A comparison with a value of the history returns NumPy's False."""
    assert tiny_agent().learn(epochs=2, callback=lambda agent: result).cycles == 1


@pytest.mark.parametrize("result", [None, True, 0, "", np.True_])
def test_other_return_values_do_not_stop_training(result):
    assert tiny_agent().learn(epochs=2, callback=lambda agent: result).cycles == 4


@pytest.mark.parametrize("callback", [5, "log", [5], [print, None], {print}])
def test_a_callback_that_is_not_callable_is_rejected_before_training(callback):
    agent = tiny_agent()
    with pytest.raises(TypeError, match=r"^callback must be a callable or a list of callables, got "):
        agent.learn(epochs=1, callback=callback)
    assert agent.cycles == 0


# --- HistoryWriter, tested through JsonLines ----------------------------------------------------------------


def test_the_file_always_mirrors_the_history_of_the_last_caller(tmp_path):
    path = tmp_path / "run.jsonl"
    log = JsonLines(path)
    agent = tiny_agent().learn(epochs=1)
    log(tiny_agent())
    assert json_lines_rows(path) == []
    agent.learn(epochs=1, callback=log)  # not called in the first cycles
    assert json_lines_rows(path) == history_rows(agent)
    agent.learn(epochs=2, callback=lambda agent: log(agent) if agent.cycles % 3 == 0 else None)
    assert json_lines_rows(path) == history_rows(agent)[:6]
    agent.learn(epochs=1, callback=[log, log])  # called twice per cycle
    assert json_lines_rows(path) == history_rows(agent)
    log.close()
    log.close()
    agent.learn(epochs=1, callback=log)  # called after it was closed
    assert json_lines_rows(path) == history_rows(agent)
    agent.save(tmp_path / "agent", replay=True)
    agent.learn(epochs=1, callback=log)
    earlier = Agent.load(tmp_path / "agent")
    earlier.learn(total_timesteps=1, callback=log)  # an agent with fewer cycles
    assert json_lines_rows(path) == history_rows(earlier)
    assert len(json_lines_rows(path)) == agent.cycles - 1
    log.close()


def test_later_calls_append_and_do_not_rewrite_the_file(tmp_path):
    path = tmp_path / "run.jsonl"
    with JsonLines(path) as log:
        agent = tiny_agent().learn(epochs=1, callback=log)
        path.write_text("")
        agent.learn(epochs=1, callback=log)
    assert path.read_bytes().lstrip(b"\0").count(b"\n") == 2


def test_the_first_call_after_an_error_writes_the_whole_history(tmp_path):
    path = tmp_path / "run.jsonl"
    agent = tiny_agent()
    with JsonLines(path) as log:
        agent.learn(epochs=1, callback=log)
        size = path.stat().st_size
        with pytest.raises(OSError, match="File too large"), full_disk(size + 30):
            agent.learn(epochs=1, callback=log)
        assert agent.cycles == 3
        assert path.stat().st_size == size + 30  # an incomplete line
        agent.learn(total_timesteps=1, callback=log)
        assert json_lines_rows(path) == history_rows(agent)
    assert json_lines_rows(path) == history_rows(agent)
