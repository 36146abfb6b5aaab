"""Values on the command line: integers and parameters of environments."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from support.command_line import run_command

from herfast.cli import parsing
from herfast.cli.values import parse_env_value, parse_integer, split_env_kwargs
from herfast.config import Config


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("-3", -3),
        ("1000", 1000),
        ("1_000", 1000),
        ("1e3", 1000),
        ("1E3", 1000),
        ("2.5e3", 2500),
        ("1_0e2", 1000),
        ("-1e3", -1000),
        ("5e0", 5),
        ("128.0", 128),
        ("1e30", 10**30),
        ("123456789012345678901234567890123456789", 123456789012345678901234567890123456789),
        (str(2**200), 2**200),
    ],
)
def test_integers_are_parsed_exactly(text: str, value: int) -> None:
    assert parse_integer(text) == value
    assert type(parse_integer(text)) is int


@pytest.mark.parametrize(
    "text",
    ["", "x", "1.5", "1e-3", "2.55e1", "nan", "inf", "-inf", "snan", "1e3.5", "e3", "1,000", "1e999999999"],
)
def test_other_texts_are_rejected_in_one_sentence(text: str) -> None:
    with pytest.raises(ValueError, match=r"^expected an integer such as 1000, 1_000 or 1e3, got '.*'$"):
        parse_integer(text)


def integer_fields() -> list[str]:
    return [
        field.name for field in dataclasses.fields(Config) if str(field.type).startswith("Annotated[int,")
    ]


@pytest.mark.parametrize("name", integer_fields())
def test_every_integer_of_config_takes_scientific_notation(name: str) -> None:
    flag = f"--{name.replace('_', '-')}"
    command: Any = parsing.parse(["train", "--n-bits", "5", flag, "2.5e3"])
    assert getattr(command.config, name) == 2500
    with_lists: Any = parsing.parse(["sweep", "--n-bits", "1e1", "--out", "x", flag, "1e3", "7"])
    assert (with_lists.n_bits, getattr(with_lists, name)) == ((10,), (1000, 7))


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ("train --n-bits 2e1 --max-steps 1e1", {"n_bits": 20, "max_steps": 10}),
        ("train --n-bits 5 --seed 1e6 --checkpoint-every 1e2", {"seed": 10**6, "checkpoint_every": 100}),
        ("resume run --epochs 1e3 --checkpoint-every 1e1", {"epochs": 1000, "checkpoint_every": 10}),
        ("resume run --epochs kept", {"epochs": "kept"}),
        ("train --resume run --epochs 1e3", {"epochs": 1000}),
        ("sweep --n-bits 5 --out x --seeds 1e1 --jobs 1e0", {"seeds": 10, "jobs": 1, "max_steps": None}),
        ("eval run --episodes 1e4 --seed 1e1", {"episodes": 10_000, "seed": 10}),
        ("play run --games 1e1 --seed 1_0", {"games": 10, "seed": 10}),
    ],
)
def test_every_integer_option_takes_scientific_notation(argv: str, expected: dict[str, Any]) -> None:
    command = parsing.parse(argv.split())
    found = {name: getattr(command, name) for name in expected}
    assert found == expected
    assert [type(value) for value in found.values()] == [type(value) for value in expected.values()]


def test_widths_take_scientific_notation() -> None:
    command: Any = parsing.parse(["train", "--n-bits", "5", "--hidden", "1e2", "6.4e1"])
    assert command.config.hidden == (100, 64)


def test_the_defaults_are_those_of_the_size_in_scientific_notation() -> None:
    assert parsing.parse(["train", "--n-bits", "2e2"]) == parsing.parse(["train", "--n-bits", "200"])


@pytest.mark.parametrize("text", ["1.5", "1e-3"])
@pytest.mark.parametrize("argv", ["train --n-bits", "train --n-bits 5 --max-steps", "resume run --epochs"])
def test_a_fraction_is_rejected_with_its_option(
    argv: str, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run_command([*argv.split(), text], capsys)
    assert (code, out) == (2, "")
    message = " ".join(err.replace("│", " ").split())
    assert argv.split()[-1] in message
    assert f"expected an integer such as 1000, 1_000 or 1e3, got '{text}'" in message


@pytest.mark.parametrize("text", ["1e18", "1e400", "9" * 400])
def test_a_size_that_is_too_large_is_rejected_in_one_line(
    text: str, agents: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    for argv in (f"train --n-bits {text}", f"train --n-bits 5 --max-steps {text}"):
        code, out, err = run_command(argv.split(), capsys)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert "must be from 1 to 65,535, got" in err
    assert not agents


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", 5),
        ("-5", -5),
        ("2.5", 2.5),
        ("1e3", 1000),
        ("4.0", 4),
        ("1e-3", 0.001),
        ("true", True),
        ("True", True),
        ("false", False),
        ("False", False),
        ("null", None),
        ("None", None),
        ('"text"', "text"),
        ('"5"', "5"),
        ("[1, 2e1, [0.5]]", [1, 20, [0.5]]),
        ('{"a": 1}', {"a": 1}),
        ("", ""),
        ("four_walls", "four_walls"),
        ("0101", "0101"),
        ("a=b", "a=b"),
        ("1_000", "1_000"),
        ("NaN", "NaN"),
        ("-Infinity", "-Infinity"),
        ("[1", "[1"),
        ("[" * 100_000, "[" * 100_000),
    ],
)
def test_values_of_environments_are_json_or_text(text: str, value: Any) -> None:
    parsed = parse_env_value(text)
    assert parsed == value
    assert repr(parsed) == repr(value), "the types are equal, too"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1010", "1010"),
        ("0101", "0101"),
        ("1e3", "1e3"),
        ("2.50", "2.50"),
        ("true", "true"),
        ("False", "False"),
        ("None", None),
        ("null", None),
        ('"1010"', "1010"),
        ("[1, 0]", [1, 0]),
        ("four_rooms", "four_rooms"),
    ],
)
def test_a_number_for_an_argument_that_is_a_text_stays_text(text: str, value: Any) -> None:
    assert parse_env_value(text, is_text=True) == value


def test_keys_of_environments_keep_their_order() -> None:
    pairs = split_env_kwargs(["b=1", "a=2=3", "B=", "c= "])
    assert list(pairs.items()) == [("b", "1"), ("a", "2=3"), ("B", ""), ("c", " ")]


@pytest.mark.parametrize("text", ["", "key", "=", "=5", "--5"])
def test_a_text_that_is_no_pair_is_rejected(text: str) -> None:
    with pytest.raises(
        ValueError, match=r"^--env-kwargs must be pairs key=value, such as .*, got '"
    ) as error:
        split_env_kwargs(["a=1", text])
    assert len(str(error.value)) < 200
