"""One client connection: SASL, sessions, links, credit, transfers of several frames, dispositions.

Tolerant where the Python client is loose: delivery ids are labels and never checked for sequence; frames for links or
sessions that are gone are ignored. Access is not checked: every SASL mechanism is accepted.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from local.servicebus.amqp import frames
from local.servicebus.amqp.frames import MAX_FRAME, WINDOW, Frame, FrameReader, disposition, frame, outcome
from local.servicebus.amqp.links import MAX_MESSAGE, Incoming, Link, Resolver, Session, wanted
from local.servicebus.amqp.types import AmqpError, Array, Described, Symbol, UByte, UInt, ULong, UShort

log = logging.getLogger(__name__)

SENDER_CREDIT = 1000
"""Messages a client may send ahead; topped up when half are used."""
OPENING_S = 30.0
"""From the connection to OPEN; then it is closed."""
SASL_MECHANISMS = ("MSSBCBS", "PLAIN", "ANONYMOUS", "EXTERNAL")
PRESETTLED = 1
"""snd-settle-mode settled."""


class Connection(asyncio.Protocol):
    """Serves one client until it goes. `lost` is called once when it is gone."""

    def __init__(self, resolve: Resolver, lost: Callable[[Connection], None]) -> None:
        self.congested = False
        self._resolve = resolve
        self._lost = lost
        self._reader = FrameReader()
        self._sessions: dict[int, Session] = {}
        self._transport: asyncio.Transport | None = None
        self._opening: asyncio.TimerHandle | None = None
        self._peer_max_frame = 512
        self._actions: dict[int, Callable[[Frame], None]] = {
            frames.SASL_INIT: self._sasl_init,
            frames.OPEN: self._open,
            frames.BEGIN: self._begin,
            frames.ATTACH: self._attach,
            frames.FLOW: self._flow,
            frames.TRANSFER: self._transfer,
            frames.DISPOSITION: self._disposition,
            frames.DETACH: self._detach,
            frames.END: self._end,
            frames.CLOSE: self._close,
        }

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            self._transport = transport
            self._opening = asyncio.get_running_loop().call_later(OPENING_S, self.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._opening is not None:
            self._opening.cancel()
        for channel in list(self._sessions):
            self._drop_session(channel)
        self._transport = None
        self._lost(self)

    def pause_writing(self) -> None:
        """The client does not read: neither deliver more nor take what it would have to be answered."""
        self.congested = True
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        self.congested = False
        if self._transport is not None:
            self._transport.resume_reading()
        for session in list(self._sessions.values()):
            for link in [each for each in session.links.values() if each.sends and each.credit > 0]:
                link.node.credited(link)

    def data_received(self, data: bytes) -> None:
        try:
            for item in self._reader.feed(data):
                if self._transport is None or self._transport.is_closing():
                    return
                self._handle(item)
        except AmqpError as fault:
            log.warning("connection closed: %s: %s", fault.condition, fault)
            self._send(0, frames.CLOSE, [frames.error(fault.condition, str(fault))])
            if self._transport is not None:
                self._transport.close()

    def abort(self) -> None:
        """Break the connection without a word, as an outage does."""
        if self._transport is not None:
            self._transport.abort()

    def transfer(self, link: Link, payload: bytes, tag: bytes, *, settled: bool) -> None:
        """Send a delivery in as many frames as the client's limit asks for."""
        session = link.session
        delivery_id = session.next_delivery_id
        session.next_delivery_id = (delivery_id + 1) & 0xFFFFFFFF
        if not settled:
            session.unsettled[delivery_id] = (link, tag)
        room = self._peer_max_frame - 128
        for at in range(0, len(payload) or 1, room):
            first = [UInt(delivery_id), tag, UInt(0)] if at == 0 else [None, None, None]
            fields = [UInt(link.handle), *first, settled, at + room < len(payload)]
            self._send(session.channel, frames.TRANSFER, fields, payload[at : at + room])
            session.next_outgoing_id = (session.next_outgoing_id + 1) & 0xFFFFFFFF

    def _send(self, channel: int, code: int, fields: list[Any], payload: bytes = b"", *, sasl: bool = False) -> None:
        self._write(frame(channel, code, fields, payload, sasl=sasl))

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def _handle(self, item: Frame | bytes) -> None:
        if isinstance(item, bytes):
            self._header(item)
            return
        action = self._actions.get(item.code) if item.code is not None else None
        if action is not None:
            action(item)
        elif item.code is not None:
            raise AmqpError("amqp:not-implemented", f"performative 0x{item.code:02x} is not supported")

    def _header(self, header: bytes) -> None:
        if header == frames.SASL_HEADER:
            self._write(header)
            names = Array(tuple(Symbol(name) for name in SASL_MECHANISMS))
            self._send(0, frames.SASL_MECHANISMS, [names], sasl=True)
        elif header == frames.AMQP_HEADER:
            self._write(header)
        else:
            raise AmqpError("amqp:connection:framing-error", f"AMQP 1.0 is spoken here, not {header!r}")

    def _sasl_init(self, got: Frame) -> None:
        self._send(0, frames.SASL_OUTCOME, [UByte(0)], sasl=True)

    def _open(self, got: Frame) -> None:
        """No idle time-out is announced, so the client never has to keep the connection alive."""
        self._peer_max_frame = min(max(512, got.number(2, MAX_FRAME)), 2**20)
        if self._opening is not None:
            self._opening.cancel()
        self._send(0, frames.OPEN, ["service-bus-emulator", None, UInt(MAX_FRAME), UShort(65535)])

    def _begin(self, got: Frame) -> None:
        self._drop_session(got.channel)
        self._sessions[got.channel] = Session(self, got.channel, next_incoming_id=got.number(1, 0))
        fields = [UShort(got.channel), UInt(0), UInt(WINDOW), UInt(WINDOW), UInt(255)]
        self._send(got.channel, frames.BEGIN, fields)

    def _attach(self, got: Frame) -> None:
        session = self._sessions.get(got.channel)
        if session is None:
            return
        name, handle, receives = str(got.get(0)), got.number(1), got.get(2) is True
        source, target = got.get(5), got.get(6)
        wish = wanted(source, target, receives=receives)
        answer: list[Any] = [name, UInt(handle), not receives, got.get(3), got.get(4), source, target, None, None]
        count = UInt(0) if receives else None
        try:
            node = self._resolve(wish)
        except AmqpError as rejection:
            # Without source and target the client knows the link as rejected and waits for the DETACH with the reason.
            self._send(got.channel, frames.ATTACH, [*answer[:5], None, None, None, None, count])
            error = frames.error(rejection.condition, str(rejection))
            self._send(got.channel, frames.DETACH, [UInt(handle), True, error])
            return
        if handle in session.links:
            session.forget(session.links[handle])
        link = Link(session, handle, name, wish.address, receives, got.number(3, 2) == PRESETTLED, node)
        session.links[handle] = link
        self._send(got.channel, frames.ATTACH, [*answer, count, ULong(MAX_MESSAGE)])
        node.attached(link)
        if not receives:
            link.credit = SENDER_CREDIT
            self._send_flow(link)

    def _send_flow(self, link: Link, *, drained: bool = False) -> None:
        session = link.session
        ids = [UInt(session.next_incoming_id), UInt(WINDOW), UInt(session.next_outgoing_id), UInt(WINDOW)]
        state = [UInt(link.handle), UInt(link.delivery_count), UInt(link.credit), None, drained]
        self._send(session.channel, frames.FLOW, [*ids, *state])

    def _link(self, got: Frame, field: int) -> Link | None:
        session = self._sessions.get(got.channel)
        return session.links.get(got.number(field)) if session is not None else None

    def _flow(self, got: Frame) -> None:
        if got.get(4) is None:
            return
        link = self._link(got, 4)
        if link is None:
            return
        if link.sends:
            # The client sets its credit again with each flow, counted from the deliveries it has seen.
            link.credit = max(0, got.number(5, 0) + got.number(6, 0) - link.delivery_count)
            link.send_waiting()
            if link.credit > 0:
                link.node.credited(link)
        drain = got.get(8) is True and link.sends
        if drain:
            link.delivery_count += link.credit
            link.credit = 0
        if drain or got.get(9) is True:
            self._send_flow(link, drained=drain)

    def _transfer(self, got: Frame) -> None:
        session, link = self._sessions.get(got.channel), self._link(got, 0)
        if session is not None:
            session.next_incoming_id = (session.next_incoming_id + 1) & 0xFFFFFFFF
        if link is None or link.sends:
            return
        if link.incoming is None:
            link.incoming = Incoming(got.number(1), got.number(3, 0), got.get(4) is True)
        incoming = link.incoming
        incoming.add(got.payload)
        aborted = got.get(9) is True
        if got.get(5) is True and not aborted:
            return
        link.incoming = None
        link.delivery_count += 1
        link.credit -= 1
        state = None if aborted else self._accept(link, incoming)
        if state is not None and not incoming.settled:
            fields = disposition(incoming.delivery_id, state, as_receiver=True)
            self._send(got.channel, frames.DISPOSITION, fields)
        if link.credit <= SENDER_CREDIT // 2 and link.open:
            link.credit = SENDER_CREDIT
            self._send_flow(link)

    def _accept(self, link: Link, incoming: Incoming) -> Described:
        try:
            if incoming.size > MAX_MESSAGE:
                text = f"The message has {incoming.size} bytes; the limit is {MAX_MESSAGE} bytes."
                raise AmqpError("amqp:link:message-size-exceeded", text)
            link.node.received(link, bytes(incoming.data), incoming.message_format)
        except AmqpError as rejection:
            return outcome(frames.REJECTED, frames.error(rejection.condition, str(rejection)))
        return outcome(frames.ACCEPTED)

    def _disposition(self, got: Frame) -> None:
        session = self._sessions.get(got.channel)
        if session is None or got.get(0) is not True:
            return
        first = got.number(1)
        state = got.get(4) if isinstance(got.get(4), Described) else None
        for delivery_id, link, tag in session.take_unsettled(first, got.number(2, first)):
            answer = link.node.settled(link, tag, state)
            if got.get(3) is not True:
                fields = disposition(delivery_id, answer, as_receiver=False)
                self._send(got.channel, frames.DISPOSITION, fields)

    def _detach(self, got: Frame) -> None:
        link = self._link(got, 0)
        if link is not None:
            link.session.forget(link)
            self._send(got.channel, frames.DETACH, [UInt(link.handle), got.get(1) is True])

    def _end(self, got: Frame) -> None:
        if got.channel in self._sessions:
            self._drop_session(got.channel)
            self._send(got.channel, frames.END, [])

    def _close(self, got: Frame) -> None:
        self._send(0, frames.CLOSE, [])
        if self._transport is not None:
            self._transport.close()

    def _drop_session(self, channel: int) -> None:
        session = self._sessions.pop(channel, None)
        if session is not None:
            for link in list(session.links.values()):
                session.forget(link)
