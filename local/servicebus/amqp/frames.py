"""Frames and performatives (AMQP 1.0 part 2): what goes over the wire between codec and connection."""

from __future__ import annotations

import asyncio
import struct
from dataclasses import dataclass
from typing import Any

from local.servicebus.amqp.codec import DecodeError, Described, Symbol, ULong, decode, encode

OPEN, BEGIN, ATTACH, FLOW, TRANSFER, DISPOSITION, DETACH, END, CLOSE = range(0x10, 0x19)
SASL_MECHANISMS, SASL_INIT, SASL_OUTCOME = 0x40, 0x41, 0x44
ACCEPTED, REJECTED, RELEASED, MODIFIED = 0x24, 0x25, 0x26, 0x27
ERROR, SOURCE, TARGET = 0x1D, 0x28, 0x29

AMQP_HEADER = b"AMQP\x00\x01\x00\x00"
SASL_HEADER = b"AMQP\x03\x01\x00\x00"
MAX_FRAME = 1024 * 1024
_HEADER = struct.Struct(">IBBH")


@dataclass(frozen=True)
class Frame:
    """A performative and what follows it. `code` None: an empty frame."""

    channel: int
    code: int | None
    fields: list[Any]
    payload: bytes = b""

    def field(self, index: int) -> Any:
        """A field, or None where the list is shorter."""
        return self.fields[index] if index < len(self.fields) else None


async def read_frame(reader: asyncio.StreamReader) -> Frame:
    """The next frame. Raises DecodeError, IncompleteReadError at the end."""
    size, doff, _, channel = _HEADER.unpack(await reader.readexactly(8))
    if not 8 <= size <= MAX_FRAME or doff < 2 or doff * 4 > size:
        raise DecodeError(f"a frame of {size} bytes with data offset {doff}")
    body = (await reader.readexactly(size - 8))[doff * 4 - 8 :]
    if not body:
        return Frame(channel, None, [])
    performative, at = decode(body)
    if not isinstance(performative, Described) or not isinstance(performative.value, list):
        raise DecodeError("a frame must hold a performative")
    return Frame(channel, int(performative.descriptor), performative.value, body[at:])


def frame(channel: int, code: int, fields: list[Any], payload: bytes = b"", *, sasl: bool = False) -> bytes:
    """The bytes of a frame."""
    body = encode(Described(ULong(code), fields)) + payload
    return _HEADER.pack(8 + len(body), 2, int(sasl), channel) + body


def error(condition: str, text: str) -> Described:
    """An AMQP error; all three fields, since the client indexes the third."""
    return Described(ULong(ERROR), [Symbol(condition), text, {}])


def outcome(code: int, *fields: Any) -> Described:
    return Described(ULong(code), list(fields))
