"""AMQP types to and from bytes (AMQP 1.0 part 1, section 1.6), and the sections of a message (part 3, section 3.2).

Integers are decoded into subclasses of int that keep their AMQP type, so that what was decoded encodes to the same.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID


class DecodeError(Exception):
    """The bytes are not AMQP; the text says where."""


class Symbol(str):
    """An AMQP symbol."""

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
    """Milliseconds since the epoch."""


class Double(float):
    """64 bits."""


class Float(float):
    """32 bits."""


@dataclass(frozen=True)
class Raw:
    """A value of a type that is only passed on: its constructor byte and its bytes."""

    code: int
    data: bytes


@dataclass(frozen=True)
class Described:
    """A described value; `descriptor` is a ulong code or a symbol."""

    descriptor: Any
    value: Any


@dataclass(frozen=True)
class Array:
    """Values of one type."""

    values: tuple[Any, ...]


_FIXED: dict[int, tuple[str, type]] = {
    0x50: (">B", UByte),
    0x51: (">b", Byte),
    0x52: (">B", UInt),
    0x53: (">B", ULong),
    0x54: (">b", Int),
    0x55: (">b", Long),
    0x60: (">H", UShort),
    0x61: (">h", Short),
    0x70: (">I", UInt),
    0x71: (">i", Int),
    0x72: (">f", Float),
    0x80: (">Q", ULong),
    0x81: (">q", Long),
    0x82: (">d", Double),
    0x83: (">q", Timestamp),
}
_STRUCTS = {code: (struct.Struct(form), kind) for code, (form, kind) in _FIXED.items()}
_U32 = struct.Struct(">I")
_EMPTY: dict[int, Any] = {0x40: None, 0x41: True, 0x42: False, 0x43: UInt(0), 0x44: ULong(0), 0x45: []}
_RAW_WIDTH = {0x73: 4, 0x74: 4, 0x84: 8, 0x94: 16}
MAX_DEPTH = 32


def decode(data: bytes | memoryview, at: int = 0, depth: int = 0) -> tuple[Any, int]:
    """The value that begins at `at`, and the offset after it. Raises DecodeError."""
    if depth > MAX_DEPTH:
        raise DecodeError("values are nested too deeply")
    try:
        code = data[at]
        if code == 0:
            descriptor, at = decode(data, at + 1, depth + 1)
            value, at = decode(data, at, depth + 1)
            return Described(descriptor, value), at
        return _decode_body(data, code, at + 1, depth)
    except (IndexError, struct.error, UnicodeDecodeError) as fault:
        raise DecodeError(f"truncated or malformed at byte {at}: {fault}") from fault


def _decode_body(data: bytes | memoryview, code: int, at: int, depth: int) -> tuple[Any, int]:
    if code in _EMPTY:
        return ([] if code == 0x45 else _EMPTY[code]), at
    if code in _STRUCTS:
        form, kind = _STRUCTS[code]
        return kind(form.unpack_from(data, at)[0]), at + form.size
    if code == 0x56:
        return bool(data[at]), at + 1
    if code == 0x98:
        return UUID(bytes=_take(data, at, 16)), at + 16
    if code in _RAW_WIDTH:
        width = _RAW_WIDTH[code]
        return Raw(code, _take(data, at, width)), at + width
    if code >> 4 in (0xA, 0xB):
        return _decode_variable(data, code, at)
    if code >> 4 in (0xC, 0xD):
        return _decode_compound(data, code, at, depth)
    if code in (0xE0, 0xF0):
        return _decode_array(data, code, at, depth)
    raise DecodeError(f"unknown type 0x{code:02x} at byte {at - 1}")


def _take(data: bytes | memoryview, at: int, size: int) -> bytes:
    taken = bytes(data[at : at + size])
    if len(taken) != size:
        raise DecodeError(f"{size} bytes wanted at byte {at}, {len(taken)} left")
    return taken


def _size(data: bytes | memoryview, wide: bool, at: int) -> tuple[int, int]:
    if wide:
        return _U32.unpack_from(data, at)[0], at + 4
    return data[at], at + 1


def _decode_variable(data: bytes | memoryview, code: int, at: int) -> tuple[Any, int]:
    size, at = _size(data, code >= 0xB0, at)
    raw = _take(data, at, size)
    kind = code & 0xF
    if kind == 0:
        return raw, at + size
    if kind == 1:
        return raw.decode(), at + size
    if kind == 3:
        return Symbol(raw.decode("ascii")), at + size
    raise DecodeError(f"unknown type 0x{code:02x} at byte {at}")


def _decode_compound(data: bytes | memoryview, code: int, at: int, depth: int) -> tuple[Any, int]:
    wide = code >= 0xD0
    size, at = _size(data, wide, at)
    end = at + size
    if end > len(data):
        raise DecodeError(f"a list or map of {size} bytes at byte {at} is cut off")
    count, at = _size(data, wide, at)
    values = []
    for _ in range(count):
        value, at = decode(data, at, depth + 1)
        values.append(value)
    if at != end:
        raise DecodeError(f"a list or map at byte {at} is not as long as it says")
    if code & 0xF == 0:
        return values, end
    if code & 0xF == 1 and not count % 2:
        return dict(zip(values[::2], values[1::2], strict=True)), end
    raise DecodeError(f"unknown type 0x{code:02x} at byte {at}")


def _decode_array(data: bytes | memoryview, code: int, at: int, depth: int) -> tuple[Any, int]:
    size, at = _size(data, code == 0xF0, at)
    end = at + size
    count, at = _size(data, code == 0xF0, at)
    descriptor = None
    element = data[at]
    at += 1
    if element == 0:
        descriptor, at = decode(data, at, depth + 1)
        element, at = data[at], at + 1
    values = []
    for _ in range(count):
        value, at = _decode_body(data, element, at, depth + 1)
        values.append(value if descriptor is None else Described(descriptor, value))
    return Array(tuple(values)), end


def encode(value: Any) -> bytes:
    """The bytes of a value. Raises TypeError for what has no AMQP type here."""
    out = bytearray()
    _encode(value, out)
    return bytes(out)


def _encode(value: Any, out: bytearray) -> None:
    if value is None:
        out.append(0x40)
    elif isinstance(value, bool):
        out.append(0x41 if value else 0x42)
    elif isinstance(value, int | float):
        _encode_number(value, out)
    elif isinstance(value, str):
        _encode_sized(0xA3 if isinstance(value, Symbol) else 0xA1, value.encode(), out)
    elif isinstance(value, bytes | bytearray | memoryview):
        _encode_sized(0xA0, bytes(value), out)
    elif isinstance(value, UUID):
        out += b"\x98" + value.bytes
    elif isinstance(value, Described):
        out.append(0)
        _encode(value.descriptor, out)
        _encode(value.value, out)
    elif isinstance(value, Raw):
        out.append(value.code)
        out += value.data
    else:
        _encode_container(value, out)


def _encode_sized(code: int, raw: bytes, out: bytearray) -> None:
    if len(raw) < 256:
        out += bytes((code, len(raw)))
    else:
        out.append(code + 0x10)
        out += _U32.pack(len(raw))
    out += raw


def _encode_number(value: float, out: bytearray) -> None:
    kind = type(value)
    if kind in (UInt, ULong) and 0 <= value < 256:
        small, zero = (0x52, 0x43) if kind is UInt else (0x53, 0x44)
        out += bytes((small, int(value))) if value else bytes((zero,))
    elif kind in _WIDE:
        code, form = _WIDE[kind]
        out.append(code)
        out += form.pack(value)
    else:
        raise TypeError(f"a number needs an AMQP type, not {kind.__name__}")


_WIDE: dict[type, tuple[int, struct.Struct]] = {
    UByte: (0x50, struct.Struct(">B")),
    UShort: (0x60, struct.Struct(">H")),
    UInt: (0x70, struct.Struct(">I")),
    ULong: (0x80, struct.Struct(">Q")),
    Byte: (0x51, struct.Struct(">b")),
    Short: (0x61, struct.Struct(">h")),
    Int: (0x71, struct.Struct(">i")),
    Long: (0x81, struct.Struct(">q")),
    Timestamp: (0x83, struct.Struct(">q")),
    Float: (0x72, struct.Struct(">f")),
    Double: (0x82, struct.Struct(">d")),
}


def _encode_container(value: Any, out: bytearray) -> None:
    if isinstance(value, Array):
        _encode_array(value, out)
        return
    body = bytearray()
    if isinstance(value, dict):
        for key, each in value.items():
            _encode(key, body)
            _encode(each, body)
        code, count = 0xC1, 2 * len(value)
    elif isinstance(value, list | tuple):
        if not value:
            out.append(0x45)
            return
        for each in value:
            _encode(each, body)
        code, count = 0xC0, len(value)
    else:
        raise TypeError(f"{type(value).__name__} has no AMQP type")
    if len(body) < 255 and count < 256:
        out += bytes((code, len(body) + 1, count))
    else:
        out.append(code + 0x10)
        out += _U32.pack(len(body) + 4) + _U32.pack(count)
    out += body


def _encode_array(value: Array, out: bytearray) -> None:
    """Elements in the widest form of their type, so that all have the same constructor."""
    code, parts = 0x40, []
    for each in value.values:
        code, data = _element(each)
        parts.append(data)
    body = _U32.pack(len(parts)) + bytes((code,)) + b"".join(parts)
    out.append(0xF0)
    out += _U32.pack(len(body)) + body


def _element(value: Any) -> tuple[int, bytes]:
    if isinstance(value, UUID):
        return 0x98, value.bytes
    if isinstance(value, str):
        raw = value.encode()
        return (0xB3 if isinstance(value, Symbol) else 0xB1), _U32.pack(len(raw)) + raw
    code, form = _WIDE[type(value)]
    return code, form.pack(value)


def sections(data: bytes) -> Iterator[tuple[int, int, int]]:
    """The sections of an encoded message: descriptor code, start and end offset. Raises DecodeError."""
    at = 0
    while at < len(data):
        if data[at] != 0:
            raise DecodeError(f"a message section must begin at byte {at}")
        code, body_at = decode(data, at + 1)
        if not isinstance(code, int):
            raise DecodeError(f"a message section has the descriptor {code!r}")
        end = _skip(data, body_at)
        yield int(code), at, end
        at = end


def _skip(data: bytes, at: int) -> int:
    """The offset after a value, without decoding the large kinds."""
    if at >= len(data):
        raise DecodeError("a message section is cut off")
    code = data[at]
    if code >> 4 in (0xA, 0xC, 0xE) and at + 1 < len(data):
        end = at + 2 + data[at + 1]
    elif code >> 4 in (0xB, 0xD, 0xF) and at + 4 < len(data):
        end = at + 5 + _U32.unpack_from(data, at + 1)[0]
    else:
        _, end = decode(data, at)
    if end > len(data):
        raise DecodeError("a message section is cut off")
    return int(end)
