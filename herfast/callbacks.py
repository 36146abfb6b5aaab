"""What `Agent.learn` calls after each cycle: one function or several."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from herfast.checks import shown

if TYPE_CHECKING:
    from herfast.agent import Agent

Callback: TypeAlias = "Callable[[Agent], bool | None]"


def together(callback: Callback | Sequence[Callback] | None) -> Callable[[Agent], bool]:
    """One function for a callback, a list or tuple of them, or none: calls all of them, and is False if one is.

    Raises TypeError for anything else.
    """
    given = () if callback is None else callback
    callbacks: list[Any] = [*given] if isinstance(given, (list, tuple)) else [given]
    for one in callbacks:
        if not callable(one):
            raise TypeError(f"callback must be a function of the agent or a list of them, got {shown(one)}")

    def call(agent: Agent) -> bool:
        answers = [one(agent) for one in callbacks]
        return not any(answer is False for answer in answers)

    return call
