"""AMQP values to and from bytes (AMQP 1.0 part 1, sections 1.2 and 1.6).

Encoding takes the shortest form where clients expect it: descriptors of performatives and message sections are one
byte, since the Python client looks for them at fixed offsets.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

from local.servicebus.amqp.types import (
    Array,
    Byte,
    DecodeError,
    Described,
    Double,
    Float,
    Int,
    Long,
    Raw,
    Short,
    Symbol,
    Timestamp,
    UByte,
    UInt,
    ULong,
    UShort,
)

MAX_DEPTH = 64
"""Nesting of values; the limit of the client's own decoder."""
MAX_ARRAY = 65_536
"""Elements of one array, which may take no bytes each; the limit of the client's own decoder."""

_U32 = struct.Struct(">I")
_NULL, _TRUE, _FALSE, _BOOLEAN, _UUID = 0x40, 0x41, 0x42, 0x56, 0x98
_UINT0, _ULONG0, _LIST0 = 0x43, 0x44, 0x45
_BINARY, _STRING, _SYMBOL = 0xA0, 0xA1, 0xA3
_LIST, _MAP, _ARRAY = 0xC0, 0xC1, 0xE0
_WIDER = 0x10
"""From the code with one byte of size to the one with four."""

_Decoder = Callable[[bytes, int, int], tuple[Any, int]]
"""From data, offset after the constructor and depth to the value and the offset after it."""


def decode(data: bytes, at: int = 0) -> tuple[Any, int]:
    """The value that begins at `at`, and the offset after it. Raises DecodeError."""
    try:
        return _decode(data, at, 0)
    except (IndexError, struct.error, UnicodeDecodeError, TypeError) as fault:
        raise DecodeError(f"truncated or malformed value at byte {at}: {fault}") from fault


def _decode(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    if depth > MAX_DEPTH:
        raise DecodeError(f"values are nested deeper than {MAX_DEPTH}")
    code = data[at]
    decoder = _DECODERS.get(code)
    if decoder is None:
        raise DecodeError(f"unknown constructor 0x{code:02x} at byte {at}")
    return decoder(data, at + 1, depth)


def _constant(value: Any) -> _Decoder:
    return lambda data, at, depth: (value, at)


def _fixed(form: str, kind: Callable[[Any], Any]) -> _Decoder:
    packing = struct.Struct(form)

    def read(data: bytes, at: int, depth: int) -> tuple[Any, int]:
        return kind(packing.unpack_from(data, at)[0]), at + packing.size

    return read


def _raw(code: int, width: int) -> _Decoder:
    return lambda data, at, depth: (Raw(code, _take(data, at, width)), at + width)


def _take(data: bytes, at: int, size: int) -> bytes:
    taken = data[at : at + size]
    if len(taken) != size:
        raise DecodeError(f"{size} bytes are announced at byte {at}, {len(taken)} are left")
    return taken


def _number(data: bytes, at: int, wide: bool) -> tuple[int, int]:
    """A size or count of one or four bytes."""
    return (_U32.unpack_from(data, at)[0], at + 4) if wide else (data[at], at + 1)


def _variable(wide: bool, kind: Callable[[bytes], Any]) -> _Decoder:
    def read(data: bytes, at: int, depth: int) -> tuple[Any, int]:
        size, at = _number(data, at, wide)
        return kind(_take(data, at, size)), at + size

    return read


def _compound(wide: bool, kind: Callable[[list[Any]], Any]) -> _Decoder:
    def read(data: bytes, at: int, depth: int) -> tuple[Any, int]:
        size, at = _number(data, at, wide)
        end = at + size
        count, at = _number(data, at, wide)
        if count > size:
            raise DecodeError(f"{count} elements in {size} bytes at byte {at}")
        values = []
        for _ in range(count):
            value, at = _decode(data, at, depth + 1)
            values.append(value)
        if at != end:
            raise DecodeError(f"a list or map ends at byte {at} instead of {end}")
        return kind(values), end

    return read


def _to_map(values: list[Any]) -> dict[Any, Any]:
    if len(values) % 2:
        raise DecodeError("a map has a key without a value")
    return dict(zip(values[::2], values[1::2], strict=True))


def _array(wide: bool) -> _Decoder:
    def read(data: bytes, at: int, depth: int) -> tuple[Any, int]:
        size, at = _number(data, at, wide)
        end = at + size
        count, at = _number(data, at, wide)
        if count > MAX_ARRAY:
            raise DecodeError(f"an array of {count} elements; the limit is {MAX_ARRAY}")
        values = _elements(data, at, end, count, depth) if count else ()
        return Array(values), end

    return read


def _elements(data: bytes, at: int, end: int, count: int, depth: int) -> tuple[Any, ...]:
    descriptors: list[Any] = []
    while data[at] == 0:
        descriptor, at = _decode(data, at + 1, depth + 1 + len(descriptors))
        descriptors.append(descriptor)
    decoder = _DECODERS.get(data[at])
    if decoder is None:
        raise DecodeError(f"unknown constructor 0x{data[at]:02x} at byte {at}")
    at += 1
    values = []
    for _ in range(count):
        value, at = decoder(data, at, depth + 1)
        for descriptor in reversed(descriptors):
            value = Described(descriptor, value)
        values.append(value)
    if at != end:
        raise DecodeError(f"an array ends at byte {at} instead of {end}")
    return tuple(values)


def _described(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    descriptor, at = _decode(data, at, depth + 1)
    value, at = _decode(data, at, depth + 1)
    return Described(descriptor, value), at


_DECODERS: dict[int, _Decoder] = {
    0x00: _described,
    _NULL: _constant(None),
    _TRUE: _constant(True),
    _FALSE: _constant(False),
    _UINT0: _constant(UInt(0)),
    _ULONG0: _constant(ULong(0)),
    _LIST0: lambda data, at, depth: ([], at),
    0x50: _fixed(">B", UByte),
    0x51: _fixed(">b", Byte),
    0x52: _fixed(">B", UInt),
    0x53: _fixed(">B", ULong),
    0x54: _fixed(">b", Int),
    0x55: _fixed(">b", Long),
    _BOOLEAN: _fixed(">?", bool),
    0x60: _fixed(">H", UShort),
    0x61: _fixed(">h", Short),
    0x70: _fixed(">I", UInt),
    0x71: _fixed(">i", Int),
    0x72: _fixed(">f", Float),
    0x73: _raw(0x73, 4),
    0x74: _raw(0x74, 4),
    0x80: _fixed(">Q", ULong),
    0x81: _fixed(">q", Long),
    0x82: _fixed(">d", Double),
    0x83: _fixed(">q", Timestamp),
    0x84: _raw(0x84, 8),
    0x94: _raw(0x94, 16),
    _UUID: lambda data, at, depth: (UUID(bytes=_take(data, at, 16)), at + 16),
    **{_BINARY + _WIDER * wide: _variable(bool(wide), bytes) for wide in (0, 1)},
    **{_STRING + _WIDER * wide: _variable(bool(wide), bytes.decode) for wide in (0, 1)},
    **{_SYMBOL + _WIDER * wide: _variable(bool(wide), lambda raw: Symbol(raw.decode("ascii"))) for wide in (0, 1)},
    **{_LIST + _WIDER * wide: _compound(bool(wide), list) for wide in (0, 1)},
    **{_MAP + _WIDER * wide: _compound(bool(wide), _to_map) for wide in (0, 1)},
    **{_ARRAY + _WIDER * wide: _array(bool(wide)) for wide in (0, 1)},
}

_NUMBERS: dict[type, tuple[int, struct.Struct]] = {
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


def encode(value: Any) -> bytes:
    """The bytes of a value. Raises TypeError for a value without an AMQP type, struct.error for a number that does
    not fit.
    """
    match value:
        case None:
            return bytes((_NULL,))
        case bool():
            return bytes((_TRUE if value else _FALSE,))
        case int() | float():
            return _encode_number(value)
        case Symbol() | str() | bytes():
            return _sized(*_text(value))
        case UUID():
            return bytes((_UUID,)) + value.bytes
        case Described():
            return b"\x00" + encode(value.descriptor) + encode(value.value)
        case Raw():
            return bytes((value.code,)) + value.data
        case [] | ():
            return bytes((_LIST0,))
        case list() | tuple() | dict():
            return _counted(*_members(value))
        case Array():
            constructor, body = _element(value)
            return constructor + body
        case _:
            raise TypeError(f"{type(value).__name__} has no AMQP type")


def _sized(code: int, body: bytes) -> bytes:
    size = len(body)
    return (bytes((code, size)) if size < 256 else bytes((code + _WIDER,)) + _U32.pack(size)) + body


def _counted(code: int, count: int, body: bytes) -> bytes:
    size = len(body)
    if size < 255 and count < 256:
        return bytes((code, size + 1, count)) + body
    return bytes((code + _WIDER,)) + _U32.pack(size + 4) + _U32.pack(count) + body


def _encode_number(value: float) -> bytes:
    kind = type(value)
    if kind is UInt and value < 256:
        return bytes((0x52, int(value))) if value else bytes((_UINT0,))
    if kind is ULong and value < 256:
        return bytes((0x53, int(value))) if value else bytes((_ULONG0,))
    if kind not in _NUMBERS:
        raise TypeError(f"a number needs an AMQP type; {kind.__name__} {value} has none")
    code, packing = _NUMBERS[kind]
    return bytes((code,)) + packing.pack(value)


def _text(value: str | bytes) -> tuple[int, bytes]:
    if isinstance(value, bytes):
        return _BINARY, value
    return (_SYMBOL if isinstance(value, Symbol) else _STRING), value.encode()


def _members(value: Any) -> tuple[int, int, bytes]:
    if isinstance(value, dict):
        return _MAP, 2 * len(value), b"".join(encode(part) for item in value.items() for part in item)
    return _LIST, len(value), b"".join(encode(each) for each in value)


def _element(value: Any) -> tuple[bytes, bytes]:
    """Constructor and body of an array's element, always in the widest form, so that all elements agree."""
    match value:
        case bool():
            return bytes((_BOOLEAN,)), bytes((value,))
        case Symbol() | str() | bytes():
            code, raw = _text(value)
            return bytes((code + _WIDER,)), _U32.pack(len(raw)) + raw
        case list() | tuple() | dict():
            code, count, body = _members(value)
            return bytes((code + _WIDER,)), _U32.pack(len(body) + 4) + _U32.pack(count) + body
        case Described():
            inner, body = _element(value.value)
            return b"\x00" + encode(value.descriptor) + inner, body
        case Array():
            body = _array_body(value)
            return bytes((_ARRAY + _WIDER,)), _U32.pack(len(body) + 4) + _U32.pack(len(value.values)) + body
        case int() | float() if type(value) in _NUMBERS:
            code, packing = _NUMBERS[type(value)]
            return bytes((code,)), packing.pack(value)
        case _:
            plain = encode(value)
            return plain[:1], plain[1:]


def _array_body(array: Array) -> bytes:
    """One constructor and the elements. None for an empty array: the Python client takes it for the next value."""
    parts = [_element(each) for each in array.values]
    constructors = {constructor for constructor, _ in parts}
    if len(constructors) > 1:
        raise TypeError("the values of an array must have one type")
    return b"".join([*constructors, *(body for _, body in parts)])


def skip(data: bytes, at: int) -> int:
    """The offset after the value that begins at `at`; what has a size is not looked into. Raises DecodeError."""
    kind = data[at] >> 4 if at < len(data) else 0
    if kind in (0xA, 0xC, 0xE) and at + 1 < len(data):
        end = at + 2 + data[at + 1]
    elif kind in (0xB, 0xD, 0xF) and at + 4 < len(data):
        end = at + 5 + int(_U32.unpack_from(data, at + 1)[0])
    else:
        _, end = decode(data, at)
    if end > len(data):
        raise DecodeError(f"the value at byte {at} is cut off")
    return end


def sections(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Descriptor code, start and end of each section of a message (part 3, section 3.2). Raises DecodeError."""
    at = 0
    while at < len(data):
        if data[at] != 0:
            raise DecodeError(f"a message section is expected at byte {at}")
        code, body = decode(data, at + 1)
        if not isinstance(code, int):
            raise DecodeError(f"a message section has the descriptor {code!r}")
        end = skip(data, body)
        yield int(code), at, end
        at = end
