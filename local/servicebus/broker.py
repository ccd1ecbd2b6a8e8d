"""All queues of the namespace by their address, with what links attach to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from local.servicebus.amqp.links import Node, Wanted
from local.servicebus.amqp.types import AmqpError
from local.servicebus.config import QueueSettings
from local.servicebus.disturbance import Disturbance
from local.servicebus.management import ManagementNode
from local.servicebus.nodes import QueueNode
from local.servicebus.queue import Queue
from local.servicebus.requests import CbsNode

CBS = "$cbs"
DEAD_LETTER = "/$deadletterqueue"
MANAGEMENT = "/$management"
SESSION_FILTER = "com.microsoft:session-filter"


class Broker:
    """`queues` has the declared ones by name in lower case; each has its dead-letter queue. Needs the event loop."""

    def __init__(self, declared: Mapping[str, QueueSettings], now: Callable[[], float]) -> None:
        self.disturbance = Disturbance()
        self.queues: dict[str, Queue] = {}
        self._nodes: dict[str, QueueNode] = {}
        self._services: dict[str, Node] = {CBS: CbsNode()}
        self._ahead_s = 0.0
        self._now = lambda: now() + self._ahead_s
        for name, settings in declared.items():
            self.add(name, settings)

    def add(self, name: str, settings: QueueSettings) -> None:
        """One more queue, with its dead letters."""
        dead = Queue(f"{name}{DEAD_LETTER}", settings, self._now)
        queue = Queue(name, settings, self._now, dead_letters=dead, disturbance=self.disturbance)
        self.queues[name.lower()] = queue
        for each in (queue, dead):
            address = each.name.lower()
            self._nodes[address] = QueueNode(each, accepts_messages=each is queue)
            self._services[f"{address}{MANAGEMENT}"] = ManagementNode(each)

    def pass_by(self, seconds: float) -> None:
        """Let time pass: due messages are delivered, locks expire, messages expire."""
        self._ahead_s += seconds
        for node in self._nodes.values():
            node.clock_moved()

    def close(self) -> None:
        """Stop the timers."""
        for node in self._nodes.values():
            node.close()

    def resolve(self, wanted: Wanted) -> Node:
        """The node of a client's link. Raises AmqpError for an unknown address, or one not meant for this use."""
        path = _path(wanted.address)
        if path in self._services:
            return self._services[path]
        node = self._nodes.get(path)
        if node is None:
            raise AmqpError("amqp:not-found", f"The messaging entity '{path}' could not be found.")
        if SESSION_FILTER in wanted.filters:
            raise AmqpError("amqp:not-allowed", f"'{path}' has no sessions; it is received from without one.")
        if not wanted.receives and not node.accepts_messages:
            raise AmqpError("amqp:not-allowed", f"Messages cannot be sent to the dead-letter queue '{path}'.")
        return node


def _path(address: str) -> str:
    """Address without scheme and host, in lower case: clients write some with, some without."""
    path = urlsplit(address).path if "://" in address else address
    return path.strip("/").lower()
