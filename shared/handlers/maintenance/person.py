"""All stored data about one person: export it, or erase it.

An erasure keeps the rows that have IDs only and prove which licenses are managed. Without them, licenses would stay for
ever or be removed by mistake. Audit entries have IDs only too, so their verification still passes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from shared.domain.errors import BadRequest
from shared.domain.ids import UserId
from shared.domain.initiator import Initiator
from shared.domain.named_users import NAMED
from shared.domain.onboarding import OnboardingRecord
from shared.domain.read_models import AuditEntry, AuditFilter
from shared.handlers.maintenance.needs import Needs
from shared.handlers.notes import note

PAGE = 500


@dataclass(frozen=True, slots=True)
class PersonExport:
    """`rows`: by table, as they are stored. `events`: HR events that were matched to the person. `entries`: all audit
    entries about the person, then those of the person's acts on others, page by page."""

    user_id: UserId
    rows: Mapping[str, list[dict[str, object]]]
    events: tuple[OnboardingRecord, ...]
    entries: AsyncIterator[Sequence[AuditEntry]]


@dataclass(frozen=True, slots=True)
class Erasure:
    """Rows by table that were deleted, or lost their names, and HR events that are still open: they are needed to be
    carried out, and end first."""

    erased: Mapping[str, int]
    open_events: tuple[str, ...]


async def export_person(world: Needs, user_id: UserId) -> PersonExport:
    """Everything about a person, also as an initiator."""
    groups = [*(each.group_id for each in await world.stores.assignments.all()), NAMED]
    rows = await world.stores.people.rows(user_id, groups)
    return PersonExport(user_id, rows, await _events(world, user_id), _entries(world, user_id))


async def erase_person(world: Needs, user_id: UserId, initiator: Initiator) -> Erasure:
    """Erase names, HR events that have ended, and messages that mention the person; the act is recorded. Open HR events
    stay, with the data that they need. A repeat erases data that has come since. Raises BadRequest for the initiator's
    own ID, so that no person can hide their own acts."""
    if initiator.id == user_id:
        raise BadRequest("OwnData", "Nobody can erase their own data: another administrator must do it.", "user_id")
    records = await _events(world, user_id)
    names = {record.event.person.user_principal_name for record in records}
    names |= {record.event.person.employee_id for record in records}
    groups = [*(each.group_id for each in await world.stores.assignments.all()), NAMED]
    rows = await world.stores.people.rows(user_id, groups)
    names |= {str(row["upn"]) for row in rows.get("members", ()) if row.get("upn")}
    names |= {str(row["text"]) for row in rows.get("auditnames", ())}
    erased = dict(await world.stores.people.erase(user_id, groups, sorted(filter(None, names))))
    over = [record for record in records if record.is_over]
    for record in over:
        await world.stores.onboarding.erase(record)
    if over:
        erased["onboarding"] = erased.get("onboarding", 0) + len(over)
    count = sum(erased.values())
    await note(world, "Erase personal data", initiator, user_id=user_id, detail=f"{count} rows")
    return Erasure(erased, tuple(record.key for record in records if not record.is_over))


async def _events(world: Needs, user_id: UserId) -> tuple[OnboardingRecord, ...]:
    """Events found by the person's ID, and by the names in those."""
    found = {record.key: record for record in await world.stores.onboarding.of_person([f"id:{user_id}"])}
    names = {name for record in found.values() for name in record.event.person.identities}
    for record in await world.stores.onboarding.of_person(sorted(names)):
        if record.user_id in (None, user_id):
            found[record.key] = record
    return tuple(found.values())


async def _entries(world: Needs, user_id: UserId) -> AsyncIterator[Sequence[AuditEntry]]:
    async for entries in _pages(world, AuditFilter(user_id=user_id)):
        yield entries
    async for entries in _pages(world, AuditFilter(initiator=user_id)):
        yield [entry for entry in entries if entry.user_id != user_id]


async def _pages(world: Needs, wanted: AuditFilter) -> AsyncIterator[Sequence[AuditEntry]]:
    now = world.clock.now()
    since = now - timedelta(seconds=world.policy.retention_s)
    after: str | None = None
    while True:
        page, after = await world.stores.audit.search(wanted, since, now, PAGE, after)
        yield page
        if after is None:
            return
