"""Values that tyro does not parse itself: integers and widths."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

_MAX_DIGITS = 4_300  # Python's own limit for the digits of an integer in a text


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
    """Parse the value of --hidden, such as 64,32.

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
