"""Output to streams that are None, closed or full."""

from __future__ import annotations

import copy
import io
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TextIO

import pytest
from support.streams import UNWRITABLE
from tqdm import tqdm

from herfast.common.console import (
    LossyStream,
    drop_unwritten,
    lossy_output,
    print_to_stderr,
    usable_output,
)


def test_print_to_stderr_prints_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_to_stderr("a line")
    assert capsys.readouterr() == ("", "a line\n")


@pytest.mark.parametrize("stream", UNWRITABLE)
def test_a_line_for_a_stderr_that_cannot_be_written_is_lost(
    stream: Callable[[], TextIO | None], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", stream())
    print_to_stderr("a line")
    assert capsys.readouterr() == ("", ""), "it must not be printed on stdout instead"


def test_print_to_stderr_clears_a_progress_bar_first(capsys: pytest.CaptureFixture[str]) -> None:
    with tqdm(total=2):
        print_to_stderr("a line")
    assert "\ra line\n\r" in capsys.readouterr().err


@pytest.mark.parametrize("stream", UNWRITABLE)
def test_a_lossy_stream_never_raises(stream: Callable[[], TextIO | None]) -> None:
    lossy: Any = LossyStream(stream())
    print("a line", file=lossy, flush=True)
    assert lossy.write("abc") == 3
    assert not lossy.isatty()


def test_a_lossy_stream_writes_to_the_stream_below() -> None:
    below = io.StringIO()
    lossy: Any = LossyStream(below)
    print("a line", file=lossy, flush=True)
    assert below.getvalue() == "a line\n"
    assert lossy.getvalue() == "a line\n"


@pytest.mark.parametrize("output", [nullcontext, lossy_output])
def test_tqdm_clears_its_bar_before_other_output_to_stdout_and_stderr(
    output: Callable[[], AbstractContextManager[None]], capsys: pytest.CaptureFixture[str]
) -> None:
    with output():
        lossy: Any = LossyStream(sys.stderr)
        with tqdm(total=2, file=lossy):
            tqdm.write("a line")
    out, err = capsys.readouterr()
    assert out == "a line\n"
    assert err.count("0/2") == 3, "at the start, after the line, at the end"


def test_usable_output_restores_the_error_handler(monkeypatch: pytest.MonkeyPatch) -> None:
    buffer = io.BytesIO()
    stream = io.TextIOWrapper(buffer, encoding="ascii", errors="strict")
    monkeypatch.setattr(sys, "stdout", stream)
    with usable_output():
        print("\xfc")
    assert stream.errors == "strict"
    stream.flush()
    assert buffer.getvalue() == b"\\xfc\n"


class Minimal:
    """A stdout with the two methods that print needs."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> None:
        self.text += text

    def flush(self) -> None:
        pass


def test_a_minimal_stdout_is_usable(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Minimal()
    monkeypatch.setattr(sys, "stdout", stream)
    with usable_output(), lossy_output():
        print("text")
    drop_unwritten()
    assert stream.text == "text\n"


def test_a_lossy_stream_can_be_copied() -> None:
    stream = LossyStream(io.StringIO())
    assert copy.copy(stream).write("text") == 4
