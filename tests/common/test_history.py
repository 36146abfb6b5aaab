"""Tests of the history: appending rows, views, and saving and loading."""

import numpy as np
import pytest

from herfast.common.history import History


def history_of(n_rows):
    history = History({"updates": np.int64, "loss": np.float64})
    for row in range(n_rows):
        history.append(loss=row / 4, updates=row)
    return history


@pytest.mark.parametrize("n_rows", [0, 1, 63, 64, 65, 128, 129, 300])
def test_history_holds_all_appended_rows(n_rows):
    history = history_of(n_rows)
    assert history["updates"].tolist() == list(range(n_rows))
    assert history["loss"].tolist() == [row / 4 for row in range(n_rows)]
    assert (history["updates"].dtype, history["loss"].dtype) == (np.int64, np.float64)


def test_history_is_a_mapping_of_columns():
    history = history_of(3)
    assert list(history) == ["updates", "loss"]
    assert len(history) == 2
    assert "loss" in history
    assert "success" not in history
    with pytest.raises(KeyError):
        history["success"]


def test_columns_are_read_only_and_do_not_change_when_rows_are_appended():
    history = history_of(64)
    before = history["loss"]
    with pytest.raises(ValueError, match="read-only"):
        before[0] = 1
    history.append(loss=-1.0, updates=64)
    history.append(loss=-1.0, updates=65)
    assert before.tolist() == [row / 4 for row in range(64)]
    assert history["loss"][-2:].tolist() == [-1.0, -1.0]


@pytest.mark.parametrize("row", [{"loss": 1.0}, {"loss": 1.0, "updates": 1, "success": 1.0}, {}])
def test_a_row_with_other_columns_is_rejected(row):
    history = history_of(2)
    with pytest.raises(ValueError, match="a row has the columns updates, loss, got"):
        history.append(**row)
    assert history["updates"].tolist() == [0, 1]


@pytest.mark.parametrize("n_rows", [0, 1, 64, 65, 100])
def test_a_loaded_history_continues_after_its_saved_rows(n_rows):
    saved = {name: column.copy() for name, column in history_of(n_rows).items()}
    history = history_of(7)
    history.load_state_dict(saved)
    for column in saved.values():
        column[:] = -1  # the history holds a copy
    for row in range(n_rows, n_rows + 70):
        history.append(loss=row / 4, updates=row)
    assert history["updates"].tolist() == list(range(n_rows + 70))
    assert history["loss"].tolist() == [row / 4 for row in range(n_rows + 70)]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"loss": np.zeros(3)}, "history has the columns updates, loss, got loss"),
        ({"updates": np.zeros(3), "loss": np.zeros(3), "more": np.zeros(3)}, "got updates, loss, more"),
        ({"updates": np.zeros(3), "loss": np.zeros(4)}, "equally long"),
        ({"updates": np.zeros((3, 1)), "loss": np.zeros((3, 1))}, "equally long"),
        ({"updates": np.array(1), "loss": np.array(1.0)}, "equally long"),
    ],
)
def test_loading_wrong_columns_raises_and_changes_nothing(columns, message):
    history = history_of(5)
    with pytest.raises(ValueError, match=message):
        history.load_state_dict(columns)
    assert history["updates"].tolist() == [0, 1, 2, 3, 4]
    history.append(loss=0.0, updates=5)
    assert history["updates"].tolist() == [0, 1, 2, 3, 4, 5]
