"""Values that tyro does not parse itself: integers, widths and environments."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

from herfast.common.validation import one_line, short_repr

if TYPE_CHECKING:
    from herfast.envs.base import GoalEnv

_MAX_DIGITS = 4_300  # Python's own limit for the digits of an integer in a text
_WORDS = {"True": True, "False": False, "None": None}  # as in the other options


def parse_integer(text: str) -> int:
    """Parse an integer, such as 1000, 1_000, 1e3 or 2.5e3.

    Raises:
        ValueError: `text` is not a number, or has a fractional part.
    """
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal("nan")
    if not value.is_finite() or value.adjusted() >= _MAX_DIGITS or int(value) != value:
        raise ValueError(f"expected an integer such as 1000, 1_000 or 1e3, got {text!r}")
    return int(value)


integer_registry = ConstructorRegistry()  # lets tyro parse integers with `parse_integer`


@integer_registry.primitive_rule
def _integer_rule(type_info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[int] | None:
    if type_info.type is not int:
        return None
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar="INT",
        instance_from_str=lambda args: parse_integer(args[0]),
        is_instance=lambda value: isinstance(value, int) and not isinstance(value, bool),
        str_from_instance=lambda value: [str(value)],
    )


def parse_widths(text: str) -> tuple[int, ...]:
    """Parse the value of --hidden of a sweep, such as 64,32.

    Args:
        text: widths of hidden layers, separated by commas.

    Returns:
        The widths.

    Raises:
        ValueError: `text` has another format. The range of the widths is not validated.
    """
    try:
        return tuple(parse_integer(width) for width in text.split(","))
    except ValueError:
        raise ValueError(f"hidden must be widths separated by commas, such as 64,32, got {text!r}") from None


def split_env_kwargs(texts: Sequence[str]) -> dict[str, str]:
    """Split the values of --env-kwargs, such as width=5 and height=5.

    Args:
        texts: pairs key=value.

    Returns:
        The text of each value by key.

    Raises:
        ValueError: a text is not such a pair, or its key is "id" or occurs twice.
    """
    values: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not (key and equals):
            raise ValueError(
                f"--env-kwargs must be pairs key=value, such as max_steps=9, got {short_repr(text)}"
            )
        if key == "id":
            raise ValueError(
                f"id is not allowed in --env-kwargs, got {short_repr(text)}: it is the value of --env"
            )
        if key in values:
            raise ValueError(f"--env-kwargs must have each key once, got a second {short_repr(text)}")
        values[key] = value
    return values


def parse_env_value(text: str, is_text: bool = False) -> Any:
    """Parse the value of an argument of an environment.

    It is JSON, or True, False or None, or else text. A number without a fraction, such as 1e3, is an integer.

    Args:
        text: the value.
        is_text: True for an argument that is a str. A number or a boolean then stays text.
    """
    value: Any = text
    if text in _WORDS:
        value = _WORDS[text]
    else:
        with suppress(ValueError, RecursionError):
            value = json.loads(text, parse_float=_parse_number, parse_constant=_reject_constant)
    if is_text and isinstance(value, (bool, int, float)):
        return text
    return value


def _parse_number(text: str) -> int | float:
    try:
        return parse_integer(text)
    except ValueError:
        return float(text)


def _reject_constant(text: str) -> None:
    """Raise ValueError: NaN and Infinity are not JSON."""
    raise ValueError(text)


def chosen_env(
    n_bits: int | None, max_steps: int | None, env: str | None, env_kwargs: Sequence[str]
) -> GoalEnv:
    """Return the environment of --n-bits, or of --env and --env-kwargs.

    Raises:
        TypeError, ValueError: options are missing or exclude each other, or the environment cannot be built.
    """
    if n_bits is not None and env is None:
        if env_kwargs:
            raise ValueError(f"--env-kwargs needs --env, got {short_repr(env_kwargs[0])} with --n-bits")
        from herfast.envs.bit_flip import BitFlip  # needs the compiled core, which --help does not

        return BitFlip(n_bits, max_steps)
    if env is not None and n_bits is None:
        if max_steps is not None:
            raise ValueError(
                f"--max-steps needs --n-bits, got {max_steps} with --env: use --env-kwargs max_steps=..."
            )
        return _build_env(env, split_env_kwargs(env_kwargs))
    raise ValueError(f"exactly one of --n-bits and --env must be given, got {n_bits} and {short_repr(env)}")


def _build_env(env: str, texts: Mapping[str, str]) -> GoalEnv:
    from herfast.envs.adapters import as_goal_env
    from herfast.envs.registry import text_parameters

    try:
        names = text_parameters(env)
        values = {name: parse_env_value(text, name in names) for name, text in texts.items()}
        return as_goal_env(env, values)
    except Exception as error:  # of a user's class, which may raise any
        message = str(error)
        if not isinstance(error, (TypeError, ValueError, ImportError)):
            message = f"{type(error).__name__}: {message}"
        raise ValueError(one_line(f"--env {env}: {message}")) from error
