"""Tables `onboarding`, `onboardingdue`, `onboardingended`: events of HR.

`onboarding`: a record: PartitionKey `e{first two hex digits of the key}`, RowKey key; `body` JSON. Its indexes, rows
without properties, written before it: by person: PartitionKey `p{first hex digit}`, RowKey `{hash of a name of the
person}-{key}`; all, newest first: PartitionKey `all`, RowKey `{inverted ms}-{key}`; those that need a person:
PartitionKey `attention`, RowKey key. Names of the account that the event does not have: PartitionKey `n{first two hex
digits of the key}`, RowKey `{key}-{hash of the name}`. `onboardingdue`, `onboardingended`: see `agenda`; the name is
the key. An entry of the latter has the time at which the event ended.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any

from shared.adapters.tables.by_day import Agenda
from shared.adapters.tables.client import LAST, Tables, gather_limited
from shared.adapters.tables.hr_state import employment_json, employment_of
from shared.adapters.tables.packing import (
    approvals_json,
    approvals_of,
    dump,
    grant_json,
    grant_of,
    initiator_json,
    initiator_of,
    must_be_time,
    newest_first,
    time_of,
    time_text,
)
from shared.adapters.tables.rows import Op, Row, joined_body, split_body
from shared.domain.errors import Conflict
from shared.domain.hr_contents import ended_at
from shared.domain.hr_events import SourceRules, read_event
from shared.domain.hr_state import Taken
from shared.domain.ids import GroupId, SkuId, UserId
from shared.domain.onboarding import (
    FARTHEST_MESSAGE,
    GroupOutcome,
    GroupResult,
    HrEvent,
    HrEventType,
    LicenseOutcome,
    LicenseResult,
    OnboardingRecord,
    OnboardingState,
    PersonRef,
    Rejection,
    SourceOrder,
)

TABLE, DUE, ENDED = "onboarding", "onboardingdue", "onboardingended"
ALL, ATTENTION = "all", "attention"
AT_ONCE = 16
"""Rows of different partitions written or read at the same time."""

SLACK = timedelta(seconds=60)
"""The timer looks this long after the message for the same time should have: it is there for lost messages.

It keeps an entry for each record until that is over, so that putting a record off needs no new one."""

SLOW_INSERT_S = 30.0
"""After so long the timer may soon have taken off entries whose rows it did not find."""


class TableOnboarding:
    """Implements OnboardingStore."""

    def __init__(self, tables: Tables, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._tables = tables
        self._due = Agenda(tables, DUE)
        self._ended = Agenda(tables, ENDED)
        self._monotonic = monotonic

    async def insert(self, records: Sequence[OnboardingRecord]) -> Sequence[OnboardingRecord]:
        began = self._monotonic()
        entries = [(_check_at(record), record.key) for record in records]
        await self._due.put(entries)
        indexes = [_person_row(name, each.key) for each in records for name in each.event.person.identities]
        everything = [{"PartitionKey": ALL, "RowKey": newest_first(each.received_at, each.key)} for each in records]
        await self._tables.upsert_all(TABLE, [*indexes, *everything])
        inserted = await gather_limited([partial(self._insert, record) for record in records], AT_ONCE)
        if self._monotonic() - began > SLOW_INSERT_S:
            await self._due.put(entries)
        return inserted

    async def _unlist(self, record: OnboardingRecord) -> None:
        """Take a repeat off the list again: the event is listed under the time at which it came first."""
        await self._tables.delete(TABLE, ALL, newest_first(record.received_at, record.key))

    async def _insert(self, record: OnboardingRecord) -> OnboardingRecord:
        try:
            etag = await self._tables.write(TABLE, Op("create", _record_row(record)))
        except Conflict:
            known = await self.get(record.key)
            if known is None:
                raise
            if newest_first(known.received_at, "") != newest_first(record.received_at, ""):
                await self._unlist(record)
            return known
        return replace(record, version=etag, due_by=_check_at(record))

    async def get(self, key: str) -> OnboardingRecord | None:
        row = await self._tables.get(TABLE, f"e{key[:2]}", key)
        return _record(row) if row else None

    async def save(self, record: OnboardingRecord) -> OnboardingRecord:
        due_by, at = record.due_by, _check_at(record)
        # What gets no message has an entry of its own, whatever became of the one it had.
        alone = at - record.updated_at > FARTHEST_MESSAGE
        if not record.is_over and (due_by is None or at < due_by or alone):
            await self._due.put([(at, record.key)])
            due_by = at if due_by is None else min(due_by, at)
        if record.is_over:
            await self._ended.put([(ended_at(record), record.key)])
        if record.state.needs_a_person:
            await self._tables.write(TABLE, Op("upsert", {"PartitionKey": ATTENTION, "RowKey": record.key}))
        etag = await self._tables.write(TABLE, Op("replace", _record_row(record), record.version))
        if not record.state.needs_a_person and (record.listed or _may_be_listed(record)):
            await self._tables.delete(TABLE, ATTENTION, record.key)
        listed = record.state.needs_a_person
        return replace(record, version=etag, due_by=None if record.is_over else due_by, listed=listed)

    async def know(self, key: str, identities: Iterable[str]) -> None:
        names = [_person_row(name, key) for name in identities]
        known = [{"PartitionKey": f"n{key[:2]}", "RowKey": f"{key}-{row['RowKey'].partition('-')[0]}"} for row in names]
        await self._tables.upsert_all(TABLE, [*known, *names])

    async def of_person(self, identities: Iterable[str]) -> tuple[OnboardingRecord, ...]:
        keys: dict[str, None] = {}
        for name in identities:
            digest = _digest(name)
            async for row in self._tables.query(TABLE, f"p{digest[0]}", f"{digest}-", f"{digest}-{LAST}"):
                keys[row["RowKey"].partition("-")[2]] = None
        found = await asyncio.gather(*(self.get(key) for key in keys))
        return tuple(record for record in found if record is not None)

    async def newest(self, top: int, after: str | None = None) -> tuple[tuple[OnboardingRecord, ...], str | None]:
        rows, token = await self._tables.page(TABLE, ALL, "", LAST, top, after)
        return await self._of_keys(row["RowKey"].partition("-")[2] for row in rows), token

    async def attention(self, top: int, after: str | None = None) -> tuple[tuple[OnboardingRecord, ...], str | None]:
        rows, token = await self._tables.page(TABLE, ATTENTION, "", LAST, top, after)
        found = await self._of_keys(row["RowKey"] for row in rows)
        return tuple(record for record in found if record.state.needs_a_person), token

    async def count_attention(self, most: int) -> int:
        number = 0
        async for _ in self._tables.query(TABLE, ATTENTION, select=("RowKey",)):
            number += 1
            if number == most:
                break
        return number

    async def forget(self, received_before: datetime, top: int) -> int:
        oldest, _ = await self._tables.page(TABLE, ALL, newest_first(received_before, ""), LAST, top, None)
        forgotten = 0
        for row in oldest:
            key = row["RowKey"].partition("-")[2]
            record = await self.get(key)
            if record is not None and not record.state.is_ended:
                continue
            await self._delete(key, record, row["RowKey"])
            forgotten += 1
        return forgotten

    async def erase(self, record: OnboardingRecord) -> None:
        await self._delete(record.key, record, newest_first(record.received_at, record.key))

    async def _delete(self, key: str, record: OnboardingRecord | None, listed_as: str) -> None:
        """The list of all goes last, so that a process that died in between is made up for."""
        names = (*record.event.person.identities, f"id:{record.user_id}") if record else ()
        await self._delete_names(key, names)
        await self._tables.delete(TABLE, ATTENTION, key)
        await self._tables.delete(TABLE, f"e{key[:2]}", key)
        await self._tables.delete(TABLE, ALL, listed_as)

    async def _delete_names(self, key: str, names: Iterable[str], keep: str = "") -> None:
        """Those names, and those that the record came to be known under later, without the one to keep."""
        persons = [_person_row(name, key) for name in names]
        known = [row async for row in self._tables.query(TABLE, f"n{key[:2]}", f"{key}-", f"{key}-{LAST}")]
        digests = [row["RowKey"].partition("-")[2] for row in known]
        persons += [{"PartitionKey": f"p{digest[0]}", "RowKey": f"{digest}-{key}"} for digest in digests]
        kept = _person_row(keep, key)["RowKey"]
        for row in (*persons, *known):
            if row["RowKey"] != kept:
                await self._tables.delete(TABLE, row["PartitionKey"], row["RowKey"])

    async def ended(self, before: datetime, top: int) -> tuple[tuple[datetime, str], ...]:
        return await self._ended.until(before, top)

    async def check_ended_again(self, entries: Iterable[tuple[datetime, str]]) -> None:
        await self._ended.put(entries)

    async def ended_checked(self, entries: Iterable[tuple[datetime, str]]) -> None:
        await self._ended.remove(entries)

    async def forget_content(self, record: OnboardingRecord, kept: OnboardingRecord) -> OnboardingRecord:
        """Names go first: once the content is gone, nothing says what they were."""
        names = record.event.person.identities
        await self._delete_names(record.key, names, keep=f"id:{record.user_id}")
        try:
            etag = await self._tables.write(TABLE, Op("replace", _record_row(kept), record.version))
        except Conflict:
            await self._tables.upsert_all(TABLE, [_person_row(name, record.key) for name in names])
            raise
        return replace(kept, version=etag)

    async def due(self, now: datetime, top: int) -> tuple[tuple[datetime, str], ...]:
        return await self._due.until(now, top)

    async def scheduled(self, until: datetime) -> tuple[str, ...]:
        return tuple(dict.fromkeys([key for _, key in await self._due.ahead(until)]))

    async def check_again(self, entries: Iterable[tuple[datetime, str]]) -> None:
        await self._due.put((at + SLACK, key) for at, key in entries)

    async def checked(self, entries: Iterable[tuple[datetime, str]]) -> None:
        await self._due.remove(entries)

    async def _of_keys(self, keys: Iterable[str]) -> tuple[OnboardingRecord, ...]:
        found = await gather_limited([partial(self.get, key) for key in dict.fromkeys(keys)], AT_ONCE)
        return tuple(record for record in found if record is not None)


def _may_be_listed(record: OnboardingRecord) -> bool:
    """Whether the record may have needed a person before: it was held, or it is replayed."""
    taken_back = record.state in (OnboardingState.CANCELLED, OnboardingState.SUPERSEDED)
    return taken_back or bool(record.permitted_by) or record.waits_since is not None


def _check_at(record: OnboardingRecord) -> datetime:
    return (record.next_at or record.updated_at) + SLACK


def _digest(identity: str) -> str:
    return hashlib.sha256(identity.encode()).hexdigest()[:32]


def _person_row(identity: str, key: str) -> Row:
    digest = _digest(identity)
    return {"PartitionKey": f"p{digest[0]}", "RowKey": f"{digest}-{key}"}


def _record_row(record: OnboardingRecord) -> Row:
    rejected = record.location_rejected
    body = {
        **({"event": json.loads(record.body)} if record.body else {"kept": _kept_json(record)}),
        "order": str(record.event.order),
        "day": record.event.day.isoformat(),
        "effectiveAt": time_text(record.event.effective_at),
        "state": str(record.state),
        "receivedAt": time_text(record.received_at),
        "updatedAt": time_text(record.updated_at),
        "sender": initiator_json(record.sender),
        "userId": record.user_id,
        "nextAt": time_text(record.next_at),
        "waitsSince": time_text(record.waits_since),
        "workingSince": time_text(record.working_since),
        "note": record.note,
        "remedy": record.remedy,
        "profiles": list(record.profiles),
        "groups": [[g.group_id, str(g.outcome), g.text, g.remedy] for g in record.groups],
        "licenses": [[each.sku_id, str(each.outcome), each.text, each.remedy] for each in record.licenses],
        "locationRefused": [rejected.text, rejected.remedy] if rejected else None,
        "permittedBy": record.permitted_by,
        **({"approvals": approvals_json(record.approvals)} if record.approvals else {}),
        "forProtected": record.for_protected,
        "permittedFrom": time_text(record.permitted_from),
        "taken": _taken_json(record.taken),
        "oneOfSeveral": record.one_of_several,
        "cancelledBy": record.cancelled_by,
        "supersededBy": record.superseded_by,
        "revived": record.revived,
        "matchedBy": record.matched_by,
        "candidate": record.candidate,
        "decidedBy": record.decided_by,
        "released": record.released,
        "announced": record.announced,
        "completedAt": time_text(record.completed_at),
    }
    return {"PartitionKey": f"e{record.key[:2]}", "RowKey": record.key, **split_body(dump(body))}


def _record(row: Row) -> OnboardingRecord:
    body: dict[str, Any] = json.loads(joined_body(row))
    received_at = must_be_time(body["receivedAt"])
    record = OnboardingRecord(
        event=_event(body, received_at),
        body=json.dumps(body["event"], sort_keys=True, separators=(",", ":")) if "event" in body else "",
        digest=body["kept"]["digest"] if "kept" in body else "",
        state=OnboardingState(body["state"]),
        received_at=received_at,
        updated_at=must_be_time(body["updatedAt"]),
        sender=initiator_of(body["sender"]),
        user_id=UserId(body["userId"]) if body["userId"] else None,
        next_at=time_of(body["nextAt"]),
        waits_since=time_of(body["waitsSince"]),
        working_since=time_of(body["workingSince"]),
        note=body["note"],
        remedy=body["remedy"],
        profiles=tuple(body["profiles"]),
        groups=tuple(GroupResult(GroupId(g), GroupOutcome(o), text, remedy) for g, o, text, remedy in body["groups"]),
        licenses=tuple(
            LicenseResult(SkuId(sku), LicenseOutcome(o), text, remedy) for sku, o, text, remedy in body["licenses"]
        ),
        location_rejected=Rejection(*body["locationRefused"]) if body["locationRefused"] else None,
        permitted_by=body["permittedBy"],
        approvals=approvals_of(body.get("approvals", ())),
        for_protected=body.get("forProtected", False),
        permitted_from=time_of(body.get("permittedFrom")),
        taken=_taken(body["taken"]),
        one_of_several=body["oneOfSeveral"],
        cancelled_by=body["cancelledBy"],
        superseded_by=body["supersededBy"],
        revived=body["revived"],
        matched_by=body["matchedBy"],
        candidate=UserId(body["candidate"]) if body["candidate"] else None,
        decided_by=body["decidedBy"],
        released=body["released"],
        announced=body["announced"],
        completed_at=time_of(body["completedAt"]),
        version=row["etag"],
    )
    due_by = None if record.is_over else _check_at(record)
    return replace(record, due_by=due_by, listed=record.state.needs_a_person)


def _event(body: dict[str, Any], received_at: datetime) -> HrEvent:
    """The event as it was read when it came, whatever its source's order and time zone are now."""
    if "event" not in body:
        return _kept_event(body)
    read = read_event(body["event"], received_at + timedelta(days=1), SourceRules(SourceOrder(body["order"])))
    day, effective_at = date.fromisoformat(body["day"]), must_be_time(body["effectiveAt"])
    return replace(read, day=day, effective_at=effective_at)


def _kept_json(record: OnboardingRecord) -> dict[str, Any]:
    """The rest of an event whose content was deleted."""
    event = record.event
    return {
        "id": event.id,
        "source": event.source,
        "type": str(event.type),
        "employmentId": event.employment_id,
        "sequence": event.sequence,
        "time": time_text(event.time),
        "digest": record.digest,
    }


def _kept_event(body: dict[str, Any]) -> HrEvent:
    kept = body["kept"]
    return HrEvent(
        id=kept["id"],
        source=kept["source"],
        type=HrEventType(kept["type"]),
        person=PersonRef(UserId(body["userId"]) if body["userId"] else None),
        effective_at=must_be_time(body["effectiveAt"]),
        day=date.fromisoformat(body["day"]),
        order=SourceOrder(body["order"]),
        employment_id=kept["employmentId"],
        sequence=kept["sequence"],
        time=time_of(kept["time"]),
    )


def _taken_json(taken: Taken | None) -> dict[str, Any] | None:
    if taken is None:
        return None
    grants = [grant_json(grant) for grant in taken.grants]
    return {"employment": employment_json(taken.employment), "grants": grants}


def _taken(body: dict[str, Any] | None) -> Taken | None:
    if body is None:
        return None
    return Taken(employment_of(body["employment"]), tuple(map(grant_of, body["grants"])))
