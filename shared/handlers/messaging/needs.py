"""Everything that this package can reach. `World` fits it, and mypy rejects any other access."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from shared.ports.audit_log import AuditLog
from shared.ports.clock import Clock
from shared.ports.dead_letter_store import DeadLetterStore
from shared.ports.messaging import DeadLetterQueues, Queue
from shared.ports.stores import ChunkStore, MemberStore, OperationStore


class Stores(Protocol):
    """The tables."""

    @property
    def audit(self) -> AuditLog: ...

    @property
    def chunks(self) -> ChunkStore: ...

    @property
    def dead_letters(self) -> DeadLetterStore: ...

    @property
    def members(self) -> MemberStore: ...

    @property
    def operations(self) -> OperationStore: ...


class Needs(Protocol):
    """What handlers of messages are given."""

    @property
    def clock(self) -> Clock: ...

    @property
    def dead_letters(self) -> DeadLetterQueues: ...

    @property
    def queue(self) -> Queue: ...

    @property
    def token(self) -> Callable[[], str]: ...

    @property
    def stores(self) -> Stores: ...
