"""One client connection: SASL, sessions, links, credit, transfers of several frames, dispositions.

Tolerant where the client is loose: delivery ids are labels and never checked for sequence, frames for links or channels
that are gone are ignored.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from local.servicebus.amqp import frames
from local.servicebus.amqp.codec import Array, DecodeError, Described, Symbol, UByte, UInt, ULong, UShort
from local.servicebus.amqp.frames import Frame, frame, outcome, read_frame

log = logging.getLogger(__name__)

WINDOW = 2**31 - 1
SENDER_CREDIT = 1000
MAX_MESSAGE = 262_144
"""Bytes of one message in Service Bus Standard (learn.microsoft.com/azure/service-bus-messaging/service-bus-quotas)."""
MAX_TRANSFER = 4 * MAX_MESSAGE
"""Bytes of one transfer that are taken in before it is refused."""
HANDSHAKE_S = 30.0


class Refused(Exception):
    """A link or message is refused: AMQP condition and text."""

    def __init__(self, condition: str, text: str) -> None:
        super().__init__(text)
        self.condition = condition


class Node(Protocol):
    """What a link is attached to."""

    def attached(self, link: Link) -> None: ...

    def message(self, link: Link, data: bytes, message_format: int) -> None:
        """A complete message from the client. Raises Refused."""
        ...

    def credit(self, link: Link) -> None:
        """The client gave credit."""
        ...

    def settled(self, link: Link, tag: bytes, state: Described | None) -> Described | None:
        """The client settled a delivery; returns the outcome to confirm with."""
        ...

    def detached(self, link: Link) -> None: ...


Resolver = Callable[[str | None, str | None, bool], Node]
"""From source address, target address and whether the client receives, to a node. Raises Refused."""


@dataclass(eq=False)
class Link:
    """A link as the server sees it. `sends`: we are the sender."""

    connection: Connection
    channel: int
    handle: int
    name: str
    sends: bool
    node: Node
    source: Any
    target: Any
    properties: dict[Any, Any]
    settled_mode: bool = False
    credit: int = 0
    delivery_count: int = 0
    received: int = 0
    unsettled: dict[int, bytes] = field(default_factory=dict)
    partial: bytearray = field(default_factory=bytearray)
    partial_of: tuple[int, int] | None = None
    open: bool = True

    def address(self) -> str | None:
        terminus = self.source if self.sends else self.target
        return address_of(terminus)

    def send(self, payload: bytes, tag: bytes, *, settled: bool) -> None:
        """Send a message over this link, in as many frames as it takes; uses one credit."""
        self.credit -= 1
        self.delivery_count += 1
        self.connection.transfer(self, payload, tag, settled=settled)


def address_of(terminus: Any) -> str | None:
    """The address of a source or target."""
    if isinstance(terminus, Described) and isinstance(terminus.value, list) and terminus.value:
        address = terminus.value[0]
        return address.decode() if isinstance(address, bytes) else address
    return None


class Connection:
    """Serves one client until it goes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, resolve: Resolver) -> None:
        self._reader = reader
        self._writer = writer
        self._resolve = resolve
        self._links: dict[tuple[int, int], Link] = {}
        self._delivery_id = 0
        self._closing = False

    async def serve(self) -> None:
        """Read frames until the connection ends; then every link is detached."""
        try:
            await asyncio.wait_for(self._handshake(), HANDSHAKE_S)
            while not self._closing:
                self._handle(await read_frame(self._reader))
                await self._writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, TimeoutError):
            pass
        except DecodeError as fault:
            log.warning("connection closed: %s", fault)
            self._send(0, frames.CLOSE, [frames.error("amqp:decode-error", str(fault))])
        finally:
            for link in list(self._links.values()):
                self._forget(link)
            self._writer.close()

    def abort(self) -> None:
        """Break the connection, as an outage does."""
        self._closing = True
        self._writer.transport.abort()

    async def _handshake(self) -> None:
        header = await self._reader.readexactly(8)
        if header == frames.SASL_HEADER:
            names = [Symbol(name) for name in ("MSSBCBS", "PLAIN", "ANONYMOUS", "EXTERNAL")]
            self._writer.write(frames.SASL_HEADER)
            self._writer.write(frame(0, frames.SASL_MECHANISMS, [Array(tuple(names))], sasl=True))
            init = await read_frame(self._reader)
            if init.code != frames.SASL_INIT:
                raise DecodeError("sasl-init expected")
            self._writer.write(frame(0, frames.SASL_OUTCOME, [UByte(0)], sasl=True))
            header = await self._reader.readexactly(8)
        if header != frames.AMQP_HEADER:
            raise DecodeError(f"AMQP 1.0 header expected, not {header!r}")
        self._writer.write(frames.AMQP_HEADER)

    def _send(self, channel: int, code: int, fields: list[Any], payload: bytes = b"") -> None:
        if not self._writer.is_closing():
            self._writer.write(frame(channel, code, fields, payload))

    def _handle(self, got: Frame) -> None:
        match got.code:
            case frames.OPEN:
                name = got.field(0)
                opened = [f"local-{name}", None, UInt(frames.MAX_FRAME), UShort(65535)]
                self._send(0, frames.OPEN, opened)
            case frames.BEGIN:
                begun = [UShort(got.channel), UInt(0), UInt(WINDOW), UInt(WINDOW), UInt(255)]
                self._send(got.channel, frames.BEGIN, begun)
            case frames.ATTACH:
                self._attach(got)
            case frames.FLOW:
                self._flow(got)
            case frames.TRANSFER:
                self._transfer(got)
            case frames.DISPOSITION:
                self._disposition(got)
            case frames.DETACH:
                self._detach(got)
            case frames.END:
                self._end(got.channel)
            case frames.CLOSE:
                self._send(0, frames.CLOSE, [])
                self._closing = True
            case _:
                return

    def _attach(self, got: Frame) -> None:
        name, handle, client_receives = got.field(0), int(got.field(1)), bool(got.field(2))
        send_mode, receive_mode = got.field(3), got.field(4)
        source, target, properties = got.field(5), got.field(6), got.field(13)
        properties = properties if isinstance(properties, dict) else {}
        reply: list[Any] = [name, UInt(handle), not client_receives, send_mode, receive_mode, source, target]
        try:
            node = self._resolve(address_of(source), address_of(target), client_receives)
        except Refused as refusal:
            reply[5] = reply[6] = None
            self._send(got.channel, frames.ATTACH, [*reply, None, None, UInt(0) if client_receives else None])
            error = frames.error(refusal.condition, str(refusal))
            self._send(got.channel, frames.DETACH, [UInt(handle), True, error])
            return
        link = Link(self, got.channel, handle, name, client_receives, node, source, target, properties)
        link.settled_mode = send_mode is not None and int(send_mode) == 1
        self._links[got.channel, handle] = link
        count = UInt(0) if client_receives else None
        self._send(got.channel, frames.ATTACH, [*reply, None, None, count, ULong(MAX_MESSAGE), None, None, properties])
        node.attached(link)
        if not client_receives:
            self._give_credit(link)

    def _give_credit(self, link: Link) -> None:
        link.credit = SENDER_CREDIT
        fields = [
            UInt(0),
            UInt(WINDOW),
            UInt(0),
            UInt(WINDOW),
            UInt(link.handle),
            UInt(link.received),
            UInt(SENDER_CREDIT),
        ]
        self._send(link.channel, frames.FLOW, fields)

    def _flow(self, got: Frame) -> None:
        link = self._links.get((got.channel, int(got.field(4)))) if got.field(4) is not None else None
        if link is None or not link.sends:
            return
        count = int(got.field(5) or 0)
        link.credit = count + int(got.field(6) or 0) - link.delivery_count
        if got.field(8):
            link.delivery_count += max(0, link.credit)
            link.credit = 0
            echoed = [UInt(0), UInt(WINDOW), UInt(self._delivery_id), UInt(WINDOW), UInt(link.handle)]
            self._send(link.channel, frames.FLOW, [*echoed, UInt(link.delivery_count), UInt(0), None, True])
        elif link.credit > 0:
            link.node.credit(link)

    def _transfer(self, got: Frame) -> None:
        link = self._links.get((got.channel, int(got.field(0))))
        if link is None or link.sends:
            return
        if link.partial_of is None:
            link.partial_of = (int(got.field(1) or 0), int(got.field(3) or 0))
            link.partial = bytearray()
        if len(link.partial) + len(got.payload) <= MAX_TRANSFER:
            link.partial += got.payload
        if got.field(5):
            return
        (delivery_id, message_format), link.partial_of = link.partial_of, None
        link.received += 1
        state = self._accept(link, bytes(link.partial), message_format)
        if not got.field(4):
            fields = [True, UInt(delivery_id), UInt(delivery_id), True, state]
            self._send(link.channel, frames.DISPOSITION, fields)
        link.credit -= 1
        if link.credit < SENDER_CREDIT // 2 and link.open:
            self._give_credit(link)

    def _accept(self, link: Link, data: bytes, message_format: int) -> Described:
        try:
            if len(data) > MAX_MESSAGE:
                text = f"The message of {len(data)} bytes is larger than the limit of {MAX_MESSAGE} bytes."
                raise Refused("amqp:link:message-size-exceeded", text)
            link.node.message(link, data, message_format)
        except Refused as refusal:
            return outcome(frames.REJECTED, frames.error(refusal.condition, str(refusal)))
        except DecodeError as fault:
            return outcome(frames.REJECTED, frames.error("amqp:decode-error", str(fault)))
        return outcome(frames.ACCEPTED)

    def transfer(self, link: Link, payload: bytes, tag: bytes, *, settled: bool) -> None:
        """Send a delivery to the client."""
        delivery_id = self._delivery_id
        self._delivery_id = (self._delivery_id + 1) & 0xFFFFFFFF
        if not settled:
            link.unsettled[delivery_id] = tag
        room = frames.MAX_FRAME - 512
        pieces = [payload[at : at + room] for at in range(0, len(payload), room)] or [b""]
        for index, piece in enumerate(pieces):
            more = index < len(pieces) - 1
            head: list[Any] = [UInt(link.handle)]
            if index == 0:
                head += [UInt(delivery_id), tag, UInt(0), settled, more]
            else:
                head += [None, None, None, None, more]
            self._send(link.channel, frames.TRANSFER, head, piece)

    def _disposition(self, got: Frame) -> None:
        if not got.field(0):
            return
        first = int(got.field(1))
        last = int(got.field(2)) if got.field(2) is not None else first
        state = got.field(4)
        for link in [each for each in self._links.values() if each.channel == got.channel and each.sends]:
            for delivery_id in [each for each in link.unsettled if first <= each <= last]:
                tag = link.unsettled.pop(delivery_id)
                answer = link.node.settled(link, tag, state)
                if not got.field(3):
                    fields = [False, UInt(delivery_id), UInt(delivery_id), True, answer]
                    self._send(link.channel, frames.DISPOSITION, fields)

    def _detach(self, got: Frame) -> None:
        link = self._links.get((got.channel, int(got.field(0))))
        if link is None:
            return
        self._forget(link)
        self._send(got.channel, frames.DETACH, [UInt(link.handle), bool(got.field(1))])

    def _end(self, channel: int) -> None:
        for link in [each for each in self._links.values() if each.channel == channel]:
            self._forget(link)
        self._send(channel, frames.END, [])

    def _forget(self, link: Link) -> None:
        link.open = False
        link.unsettled.clear()
        self._links.pop((link.channel, link.handle), None)
        link.node.detached(link)
