"""Frames and performatives (AMQP 1.0 part 2, sections 2.3 and 2.7): what is on the wire between codec and engine."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from local.servicebus.amqp.codec import decode, encode
from local.servicebus.amqp.types import AmqpError, DecodeError, Described, Symbol, UInt, ULong

OPEN, BEGIN, ATTACH, FLOW, TRANSFER, DISPOSITION, DETACH, END, CLOSE = range(0x10, 0x19)
SASL_MECHANISMS, SASL_INIT, SASL_OUTCOME = 0x40, 0x41, 0x44
ACCEPTED, REJECTED, RELEASED, MODIFIED = 0x24, 0x25, 0x26, 0x27
ERROR = 0x1D

AMQP_HEADER = b"AMQP\x00\x01\x00\x00"
SASL_HEADER = b"AMQP\x03\x01\x00\x00"

MAX_FRAME = 65_536
"""Bytes of one frame that are accepted; what Service Bus announces too."""
WINDOW = 2**31 - 1
"""Session windows are never used to slow a client down; link credit is."""
_HEADER = struct.Struct(">IBBH")


@dataclass(frozen=True, slots=True)
class Frame:
    """A performative and the payload after it. `code` None: an empty frame, sent to keep a connection alive."""

    channel: int
    code: int | None
    fields: list[Any]
    payload: bytes = b""

    def get(self, index: int) -> Any:
        """A field, or None where the list is shorter."""
        return self.fields[index] if index < len(self.fields) else None

    def number(self, index: int, default: int | None = None) -> int:
        """A field that must be a number. Raises AmqpError when it is neither given nor has a default."""
        value = self.get(index)
        if value is None and default is not None:
            return default
        if not isinstance(value, int) or isinstance(value, bool):
            raise AmqpError("amqp:invalid-field", f"field {index} of performative 0x{self.code or 0:02x} is {value!r}")
        return int(value)


class FrameReader:
    """Cuts a byte stream into frames and the protocol headers before them."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[Frame | bytes]:
        """The units that these bytes complete: a frame, or the 8 bytes of a protocol header. Raises AmqpError."""
        pending = self._rest + data if self._rest else data
        at = 0
        try:
            while len(pending) - at >= 8:
                size = 8 if pending.startswith(b"AMQP", at) else _frame_size(pending, at)
                if len(pending) - at < size:
                    break
                piece, at = pending[at : at + size], at + size
                yield piece if piece.startswith(b"AMQP") else _parse(piece)
        finally:
            self._rest = pending[at:]


def _frame_size(data: bytes, at: int) -> int:
    size, offset, _, _ = _HEADER.unpack_from(data, at)
    if not 8 <= size <= MAX_FRAME or not 8 <= offset * 4 <= size:
        text = f"a frame of {size} bytes with its body at {offset * 4}; the limit is {MAX_FRAME} bytes"
        raise AmqpError("amqp:connection:framing-error", text)
    return int(size)


def _parse(piece: bytes) -> Frame:
    _, offset, _, channel = _HEADER.unpack_from(piece)
    if offset * 4 == len(piece):
        return Frame(channel, None, [])
    performative, end = decode(piece, offset * 4)
    match performative:
        case Described(int(code), list(fields)):
            return Frame(channel, int(code), fields, piece[end:])
    raise DecodeError("a frame must begin with a performative")


def frame(channel: int, code: int, fields: list[Any], payload: bytes = b"", *, sasl: bool = False) -> bytes:
    """The bytes of a frame."""
    body = encode(Described(ULong(code), fields))
    return _HEADER.pack(8 + len(body) + len(payload), 2, int(sasl), channel) + body + payload


def error(condition: str, text: str) -> Described:
    """An AMQP error. All three fields, since the Python client reads the third without looking whether it is there."""
    return Described(ULong(ERROR), [Symbol(condition), text, {}])


def outcome(code: int, *fields: Any) -> Described:
    """A delivery state."""
    return Described(ULong(code), list(fields))


def disposition(delivery_id: int, state: Any, *, as_receiver: bool) -> list[Any]:
    """Fields that settle one delivery."""
    return [as_receiver, UInt(delivery_id), UInt(delivery_id), True, state]
