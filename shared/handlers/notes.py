"""The audit entry of an act that has no entry of its own form."""

from __future__ import annotations

from typing import Protocol

from shared.domain.ids import UserId
from shared.domain.initiator import Initiator
from shared.domain.read_models import AuditEntry
from shared.ports.audit_log import AuditLog
from shared.ports.clock import Clock


class Stores(Protocol):
    """The audit log."""

    @property
    def audit(self) -> AuditLog: ...


class Needs(Protocol):
    """Every package's `Needs` has this."""

    @property
    def clock(self) -> Clock: ...

    @property
    def stores(self) -> Stores: ...

    def token(self) -> str: ...


async def note(
    world: Needs,
    activity: str,
    initiator: Initiator,
    *,
    user_id: UserId | None = None,
    before: str = "",
    after: str = "",
    detail: str = "",
) -> None:
    """Record a successful act, under a new id: an act that is repeated is recorded again."""
    entry = AuditEntry(
        world.token(),
        world.clock.now(),
        activity,
        initiator,
        "success",
        user_id,
        before=before,
        after=after,
        detail=detail,
    )
    await world.stores.audit.append([entry])
