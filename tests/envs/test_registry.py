"""Tests of the registry of environments."""

import functools
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Optional

import numpy as np
import pytest
from support.toy_tasks import Coins, LampTask

from herfast import BitFlip, GridWorld, make_env, register_env
from herfast.envs import registry
from herfast.envs.goal_task import PackedTask


@pytest.fixture(autouse=True)
def empty_registry(monkeypatch):
    monkeypatch.setattr(registry, "_REGISTRY", {"BitFlip": BitFlip})


def make_pair():
    return BitFlip(2)


def test_make_env_returns_an_equal_environment():
    assert make_env(BitFlip(5, 9).spec()) == BitFlip(5, 9)


def test_a_class_can_be_registered_again():
    register_env("Pair", make_pair)
    register_env("Pair", make_pair)
    assert make_env({"id": "Pair"}) == BitFlip(2)


def test_two_functions_without_a_name_are_different():
    register_env("Pair", lambda: BitFlip(2))
    with pytest.raises(ValueError, match=r"^id 'Pair' is already registered for "):
        register_env("Pair", lambda: BitFlip(3))


def test_an_object_without_a_name_is_rejected():
    with pytest.raises(TypeError, match=r"^cls must be a class or function, got functools\.partial"):
        register_env("Pair", functools.partial(BitFlip, 2))


def test_the_task_of_a_module_is_imported():
    env = make_env({"id": "support.toy_tasks:LampTask", "max_steps": 9})
    assert env.task == LampTask(9)
    assert make_env(env.spec()).spec() == env.spec()
    assert make_env({"id": "support.toy_tasks:Coins"}).spec() == {"id": "support.toy_tasks:Coins"}


class Outer:
    class Inner(Coins):
        """A class with a qualified name."""


def test_a_class_within_a_class_is_imported():
    spec = Outer.Inner().spec()
    assert spec["id"].endswith(":Outer.Inner")
    assert type(make_env(spec).task) is Outer.Inner


def test_a_registered_id_may_have_a_colon():
    register_env("support.toy_tasks:Coins", make_pair)
    assert make_env({"id": "support.toy_tasks:Coins"}) == BitFlip(2)


def test_a_registered_task_is_packed():
    register_env("Lamps", LampTask)
    assert make_env({"id": "Lamps", "max_steps": 9}).task == LampTask(9)


UNKNOWN = {
    "not registered": (
        "Maze",
        "^the environment 'Maze' is not registered, only 'BitFlip': see herfast.register_env, or name the "
        "class of a GoalTask, as in 'module:Class'$",
    ),
    "script": (
        "__main__:Maze",
        "^the environment '__main__:Maze' cannot be imported, since its class is defined in a script, a "
        "notebook or a function: put the class into a module$",
    ),
    "function": (
        "tasks:make.<locals>.Maze",
        "cannot be imported, since its class is defined in a script, a n",
    ),
    "no module": (
        "no_mazes:Maze",
        "cannot be imported: ModuleNotFoundError: No module named 'no_mazes'; start in the folder of the "
        "module, or install it$",
    ),
    "relative": (".mazes:Maze", "cannot be imported: TypeError: .*relative import"),
    "empty": (":Maze", "cannot be imported: ValueError: Empty module name$"),
    "no class": (
        "support.toy_tasks:Maze",
        "cannot be imported: AttributeError: module .* no attribute 'Maze'$",
    ),
    "not a task": (
        "herfast:BitFlip",
        "^'herfast:BitFlip' must name a subclass of herfast.GoalTask, got <class ",
    ),
    "a function": (
        "support.toy_tasks:bits_of",
        "must name a subclass of herfast.GoalTask, got <function bits_of",
    ),
    "built-in": ("os:system", "must name a subclass of herfast.GoalTask, got <built-in function system>$"),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_ids_that_name_no_task_are_rejected(name):
    id, message = UNKNOWN[name]
    with pytest.raises(registry.UnknownEnvError, match=message) as caught:
        make_env({"id": id})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("raise RuntimeError('two\\nlines')", "RuntimeError: two lines"),
        ("raise SystemExit(3)", "SystemExit: 3"),
    ],
)
def test_any_error_of_a_module_is_reported(code, reason, tmp_path, monkeypatch):
    (tmp_path / "broken_mazes.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(registry.UnknownEnvError, match=rf"cannot be imported: {reason}$"):
        make_env({"id": "broken_mazes:Maze"})


@dataclass(frozen=True)
class Texts(Coins):
    text: str = ""
    quoted: "str | None" = None
    optional: Optional[str] = None  # noqa: UP045 (as users write it)
    either: str | int = 0
    texts: list[str] = field(default_factory=list)
    number: int = 0


class FromAbove(Texts):
    """A class with the fields of another."""


@dataclass(frozen=True)
class Unresolved(Coins):
    text: "Missing" = ""  # noqa: F821 (of a type checker's import)


class WithInit:
    def __init__(self, text: str, number: int = 0) -> None:
        """Nothing else has annotations."""


def make_text(text: str, other=None):
    """Return nothing: only the annotations are read."""


@pytest.mark.parametrize(
    ("cls", "expected"),
    [
        (Texts, {"text", "quoted", "optional"}),
        (FromAbove, {"text", "quoted", "optional"}),
        (BitFlip, {"goal"}),
        (GridWorld, {"map"}),
        (WithInit, {"text"}),
        (make_text, {"text"}),
        (make_pair, set()),
        (Unresolved, set()),
    ],
)
def test_parameters_that_are_texts_are_known_by_their_annotations(cls, expected):
    register_env("Some", cls)
    assert registry.text_parameters("Some") == expected


def test_parameters_of_a_task_that_is_imported_are_known():
    assert registry.text_parameters(Texts().spec()["id"]) == {"text", "quoted", "optional"}
    assert not registry.text_parameters("no_mazes:Maze")


class LabelledCoins(BitFlip):
    def __init__(self, text):
        super().__init__(3)
        object.__setattr__(self, "text", text)

    @property
    def label(self):
        return self.text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a" * 101, "a" * 100),
        ("\u5ba4" * 90, "\u5ba4" * 33),  # 3 bytes each
        ("a" + "\U00020000" * 40, "a" + "\U00020000" * 24),  # 4 bytes each
        ("\ud800/" * 60, "-" * 100),
    ],
)
def test_labels_are_cut_to_100_bytes(text, expected):
    assert registry.env_label(LabelledCoins(text)) == expected
    task = Coins()
    task.label = text
    assert registry.env_label(PackedTask(task)) == expected


def test_the_label_of_a_long_spec_is_cut():
    env = SimpleNamespace(spec=lambda: {"id": "Maze", "walls": "#." * 500})
    assert registry.env_label(env) == "Maze-" + "-." * 47 + "-"


def test_tasks_get_json_values_only():
    with pytest.raises(
        TypeError, match=r"^spec must hold JSON values, got {'id': .*, 'max_steps': np.int64\(9\)}$"
    ):
        make_env({"id": "support.toy_tasks:LampTask", "max_steps": np.int64(9)})
    with pytest.raises(TypeError, match="unexpected keyword argument 'size'"):
        make_env({"id": "support.toy_tasks:LampTask", "size": 9})


SAME = [
    ({"id": "BitFlip", "n_bits": 3}, {"id": "BitFlip", "n_bits": 3}, True),
    ({"id": "BitFlip", "n_bits": 3}, {"id": "BitFlip", "n_bits": 4}, False),
    ({"id": "a:Maze"}, {"id": "b:Maze"}, False),
    ({"id": "__main__:Maze", "size": 3}, {"id": "b:Maze", "size": 3}, True),
    ({"id": "a:Maze", "size": 3}, {"id": "__main__:Maze", "size": 3}, True),
    ({"id": "__main__:Maze", "size": 3}, {"id": "b:Maze", "size": 4}, False),
    ({"id": "__main__:Maze"}, {"id": "b:Grid"}, False),
    ({"id": "BitFlip"}, {"id": "__main__:BitFlip"}, False),
    ({"id": 7}, {"id": "BitFlip"}, False),
    (None, {"id": "BitFlip"}, False),
]


@pytest.mark.parametrize(("saved", "own", "expected"), SAME)
def test_specs_are_compared_with_their_module_unless_it_is_a_script(saved, own, expected):
    assert registry.is_same_env(saved, own) is expected
