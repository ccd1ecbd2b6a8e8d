"""AMQP values that Python has no type of its own for (AMQP 1.0 part 1, section 1.6), and errors with an AMQP condition.

Integers keep their AMQP type in a subclass of int, so that what was decoded is encoded as the same type again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


class AmqpError(Exception):
    """Something is rejected. `condition` is the error symbol that goes to the client, the text its description."""

    def __init__(self, condition: str, text: str) -> None:
        super().__init__(text)
        self.condition = condition


class DecodeError(AmqpError):
    """The bytes are not the AMQP that is expected here; the text says where."""

    def __init__(self, text: str) -> None:
        super().__init__("amqp:decode-error", text)


class Symbol(str):
    """An ASCII name from a constrained domain."""

    __slots__ = ()


class UByte(int):
    """8 bits, unsigned."""


class UShort(int):
    """16 bits, unsigned."""


class UInt(int):
    """32 bits, unsigned."""


class ULong(int):
    """64 bits, unsigned."""


class Byte(int):
    """8 bits, signed."""


class Short(int):
    """16 bits, signed."""


class Int(int):
    """32 bits, signed."""


class Long(int):
    """64 bits, signed."""


class Timestamp(int):
    """Milliseconds since the epoch, 64 bits, signed."""


class Float(float):
    """IEEE 754 binary32."""


class Double(float):
    """IEEE 754 binary64."""


@dataclass(frozen=True, slots=True)
class Raw:
    """A value that is only passed on (char, decimals): its constructor byte and its bytes."""

    code: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Described:
    """A value with a descriptor, which is a ulong code or a symbol."""

    descriptor: Any
    value: Any


@dataclass(frozen=True, slots=True)
class Array:
    """Values that all have one type."""

    values: tuple[Any, ...]
