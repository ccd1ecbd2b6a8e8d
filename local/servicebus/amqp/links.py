"""Sessions and links as the server sees them, and what a link is attached to."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from local.servicebus.amqp.types import Described

if TYPE_CHECKING:
    from local.servicebus.amqp.engine import Connection

MAX_MESSAGE = 262_144
"""Bytes of one message in the Standard tier (learn.microsoft.com/azure/service-bus-messaging/service-bus-quotas)."""


class Node(Protocol):
    """The far end of links: a queue, or a service that answers requests. Everything is called in the event loop."""

    def attached(self, link: Link) -> None:
        """A link was attached and its answer sent."""

    def detached(self, link: Link) -> None:
        """A link is gone, whatever the reason. Its deliveries that were not settled are no longer known to it."""

    def credited(self, link: Link) -> None:
        """A receiver has credit; what there is should be sent before this returns."""

    def received(self, link: Link, data: bytes, message_format: int) -> None:
        """A complete message came from a sender. Raises AmqpError to reject it."""

    def settled(self, link: Link, tag: bytes, state: Described | None) -> Described | None:
        """The receiver gave a delivery's outcome. Returns the one to confirm with."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The node that a client attaches to. `filters`: the names of the filters that it requests."""

    address: str
    receives: bool
    filters: frozenset[str] = frozenset()


Resolver = Callable[[Wanted], Node]
"""To the node that is wanted. Raises AmqpError."""


@dataclass(eq=False, slots=True)
class Incoming:
    """A message of which not all frames have come. Its size is counted on where its bytes are no longer kept."""

    delivery_id: int
    message_format: int
    settled: bool
    data: bytearray = field(default_factory=bytearray)
    size: int = 0

    def add(self, payload: bytes) -> None:
        self.size += len(payload)
        if self.size <= MAX_MESSAGE:
            self.data += payload


@dataclass(eq=False, slots=True)
class Link:
    """`sends`: the server is the sender. `presettled`: deliveries are settled as they are sent.

    `credit` is what the receiving side has left to give or take, `delivery_count` the transfers so far.
    """

    session: Session
    handle: int
    name: str
    address: str
    sends: bool
    presettled: bool
    node: Node
    credit: int = 0
    delivery_count: int = 0
    incoming: Incoming | None = None
    open: bool = True
    _waiting: deque[tuple[bytes, bytes]] = field(default_factory=deque)

    @property
    def ready(self) -> bool:
        """Whether a delivery can be sent now; not while the client is slow to read what it has been sent."""
        return self.open and self.credit > 0 and not self.session.connection.congested

    def send(self, payload: bytes, tag: bytes, *, settled: bool) -> None:
        """Send a message; takes one credit."""
        self.credit -= 1
        self.delivery_count += 1
        self.session.connection.transfer(self, payload, tag, settled=settled)

    def send_when_credited(self, payload: bytes, tag: bytes) -> None:
        """Send a settled message now, or as soon as the client gives credit."""
        self._waiting.append((payload, tag))
        self.send_waiting()

    def send_waiting(self) -> None:
        while self._waiting and self.credit > 0 and self.open:
            payload, tag = self._waiting.popleft()
            self.send(payload, tag, settled=True)


@dataclass(eq=False, slots=True)
class Session:
    """One session; `unsettled` has each delivery to the client by its id."""

    connection: Connection
    channel: int
    next_incoming_id: int
    next_outgoing_id: int = 0
    next_delivery_id: int = 0
    links: dict[int, Link] = field(default_factory=dict)
    unsettled: dict[int, tuple[Link, bytes]] = field(default_factory=dict)

    def reply_link(self, address: str) -> Link | None:
        """The link over which the client receives from an address."""
        return next((link for link in self.links.values() if link.sends and link.address == address), None)

    def take_unsettled(self, first: int, last: int) -> list[tuple[int, Link, bytes]]:
        """Remove and return the deliveries in a range of ids; the range may be far wider than what there is."""
        if last - first < len(self.unsettled):
            ids = [each for each in range(first, last + 1) if each in self.unsettled]
        else:
            ids = [each for each in self.unsettled if first <= each <= last]
        return [(each, *self.unsettled.pop(each)) for each in ids]

    def forget(self, link: Link) -> None:
        """Drop a link and its deliveries: an outcome that comes later must not be applied to them."""
        link.open = False
        self.links.pop(link.handle, None)
        self.unsettled = {key: kept for key, kept in self.unsettled.items() if kept[0] is not link}
        link.node.detached(link)


def wanted(source: Any, target: Any, *, receives: bool) -> Wanted:
    """The node that an ATTACH names in its source or target; the address is empty if there is none."""
    match source if receives else target:
        case Described(_, [str(address), *more]):
            filters = more[6] if receives and len(more) > 6 and isinstance(more[6], dict) else {}
            return Wanted(str(address), receives, frozenset(str(name) for name in filters))
        case _:
            return Wanted("", receives)
