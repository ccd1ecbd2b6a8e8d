"""A client's end of a connection without a network, for tests that go frame by frame."""

from __future__ import annotations

import asyncio
from typing import Any

from local.servicebus.amqp import frames
from local.servicebus.amqp.codec import encode
from local.servicebus.amqp.engine import Connection
from local.servicebus.amqp.frames import Frame, FrameReader, frame
from local.servicebus.amqp.types import Described, UInt, ULong
from local.servicebus.broker import Broker
from local.servicebus.config import QueueSettings
from local.servicebus.message import DATA

SOURCE, TARGET = 0x28, 0x29
BASE = "amqps://127.0.0.1:5672"


class Wire(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = False
        self.reading = True

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        self.written += bytes(data)

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


class Peer:
    """The client's end of a connection."""

    def __init__(self, broker: Broker) -> None:
        self.wire = Wire()
        self.lost = 0
        self.connection = Connection(broker.resolve, self._lost)
        self.connection.connection_made(self.wire)
        self._reader = FrameReader()

    def _lost(self, connection: Connection) -> None:
        self.lost += 1

    def send(self, code: int, *fields: Any, payload: bytes = b"", channel: int = 1) -> None:
        self.connection.data_received(frame(channel, code, list(fields), payload))

    def got(self) -> list[Frame]:
        """The frames since the last call."""
        data, self.wire.written = self.wire.written, b""
        return [item for item in self._reader.feed(data) if isinstance(item, Frame)]

    def codes(self) -> list[int | None]:
        return [item.code for item in self.got()]

    def open(self) -> Peer:
        self.connection.data_received(frames.AMQP_HEADER)
        self.send(frames.OPEN, "client", "host", UInt(2**20), channel=0)
        self.send(frames.BEGIN, None, UInt(0), UInt(100), UInt(100))
        return self

    def attach(self, address: str, handle: int, *, receive: bool, settled: bool = False) -> Peer:
        ends = [Described(ULong(SOURCE), [address]), Described(ULong(TARGET), [address])]
        self.send(frames.ATTACH, f"link-{handle}", UInt(handle), receive, UInt(settled), UInt(1), *ends)
        return self

    def transfer(self, handle: int, delivery_id: int, payload: bytes, **more: Any) -> None:
        message_format, has_more = more.get("message_format", 0), more.get("more", False)
        fields = [UInt(handle), UInt(delivery_id), b"tag", UInt(message_format), False, has_more]
        self.send(frames.TRANSFER, *fields, payload=payload)

    def credit(self, handle: int, credit: int, *, count: int = 0, drain: bool = False) -> None:
        session = [UInt(0), UInt(100), UInt(0), UInt(100)]
        self.send(frames.FLOW, *session, UInt(handle), UInt(count), UInt(credit), None, drain, False)

    def settle(self, first: int, last: int | None, state: Any, *, settled: bool = False) -> None:
        self.send(frames.DISPOSITION, True, UInt(first), None if last is None else UInt(last), settled, state)


def a_broker() -> Broker:
    """Two queues, at a time that stands still. Needs the event loop."""
    return Broker({"q": QueueSettings(lock_duration_s=60), "other": QueueSettings()}, lambda: 1_000_000.0)


def a_message(text: str) -> bytes:
    return encode(Described(ULong(DATA), text.encode()))


def outcomes(items: list[Frame]) -> list[tuple[int, int]]:
    """Delivery id and outcome of the settled dispositions among frames."""
    return [
        (item.number(1), int(item.get(4).descriptor))
        for item in items
        if item.code == frames.DISPOSITION and item.get(3) is True
    ]
