"""Tables `auditYYYYMM`: audit entries, newest first. A month after its retention is dropped as a whole.

PartitionKey inverted minutes, RowKey inverted milliseconds, both of the row's first entry, and a hash of all its ids.
So a table is in order from the newest to the oldest, and writes of a time are few in a partition. `entries0`..:
zlib-compressed JSON list of entries. `user0`/`user1`, `group0`/`group1`: the least and greatest id in them. By these,
the service leaves out rows that cannot have an entry of a user or group. Chunks are parts of sorted ids, so the spans
of a large group's rows are narrow. Entries hold opaque ids; erasable data is in `audit_names`.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import zlib
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from shared.adapters.tables.audit_late import AuditLate
from shared.adapters.tables.audit_names import NAME, AuditNames, Key, claim_place, joined
from shared.adapters.tables.client import LAST, Tables
from shared.adapters.tables.packing import dump, must_be_time, newest_first, time_text
from shared.adapters.tables.rows import Row, joined_bytes, split_bytes
from shared.domain.audit import log_line
from shared.domain.audit_digest import Fingerprint, hour_of
from shared.domain.errors import BadRequest
from shared.domain.ids import GroupId, OperationId, UserId
from shared.domain.initiator import Initiator, InitiatorKind
from shared.domain.read_models import AuditEntry, AuditFilter, ReplayedMessage

log = logging.getLogger(__name__)

CLAIMED = "?"
"""In an entry: its message claimed an identity, which is stored in `audit_names`."""

PACKED = 20
"""Entries a row holds at most: those of a chunk are one row, since each row costs the client much CPU. A row is named
by all its entries, so none overwrites another; reading drops entries that a repeat recorded again."""

SPAN = timedelta(minutes=10)
"""How much later than a row's first entry its last one may be."""

READ_AT_MOST = 2000
"""Rows that one search reads at most; it then gives what it has found, and the place to go on from."""

ROWS_A_PAGE = 50
"""Rows the service sends at once: a page of the audit log is found in one or two answers."""

_PLACE = re.compile(r"(\d{13}-[0-9a-f]{24})\.(\d{1,4})")


@dataclass(frozen=True, slots=True)
class _Place:
    """A row, and how many of its entries a reader has seen."""

    key: str
    seen: int

    @classmethod
    def parse(cls, token: str) -> _Place:
        match = _PLACE.fullmatch(token)
        if match is None:
            raise BadRequest("InvalidSkipToken", "$skiptoken is not from an earlier answer.", "$skiptoken")
        return cls(match[1], int(match[2]))

    def __str__(self) -> str:
        return f"{self.key}.{self.seen}"


class TableAudit:
    """Implements AuditLog."""

    def __init__(self, tables: Tables, now: Callable[[], datetime], *, checked: int = READ_AT_MOST) -> None:
        self._tables = tables
        self._now = now
        self._names = AuditNames(tables)
        self._late = AuditLate(tables)
        self._read_at_most = checked

    async def append(self, entries: Iterable[AuditEntry]) -> None:
        entries = list(entries)
        await self._names.keep(entries)
        rows = [(packed[0].at, _month(packed[0].at), _row(packed)) for packed in _packed(sorted(entries, key=_time))]
        began = self._now()
        await self._late.mark(rows, began)
        by_month: dict[str, list[Row]] = defaultdict(list)
        for _, month, row in rows:
            by_month[month].append(row)
        for month, of_month in by_month.items():
            await self._tables.upsert_all(f"audit{month}", of_month)
        if hour_of(began) != hour_of(ended := self._now()):
            # Their hour can have been closed while they were written.
            await self._late.mark([row for row in rows if hour_of(row[0]) == hour_of(began)], ended)
        for entry in entries:
            log.info("audit %s", log_line(entry))

    async def search(
        self, wanted: AuditFilter, since: datetime, until: datetime, top: int, after: str | None = None
    ) -> tuple[tuple[AuditEntry, ...], str | None]:
        place = _Place.parse(after) if after else None
        found: dict[str, AuditEntry] = {}
        names = _SearchedNames(self._names) if wanted.initiator else None
        checked = 0
        async for row in self._rows(wanted, since, until, place):
            again = place is not None and place.key == row["RowKey"]
            seen = place.seen if place and again else 0
            entries = sorted(_entries(row), key=_time, reverse=True)
            if names is not None:
                entries = await names.joined(entries)
            for number, entry in enumerate(entries[seen:], seen):
                if not since <= entry.at <= until or not wanted.lets_pass(entry):
                    continue
                if len(found) == top:
                    return await self._shown(found, names), str(_Place(row["RowKey"], number))
                found.setdefault(entry.id, entry)
            checked += not again
            if checked == self._read_at_most:
                return await self._shown(found, names), str(_Place(row["RowKey"], len(entries)))
        return await self._shown(found, names), None

    async def _shown(self, found: Mapping[str, AuditEntry], names: _SearchedNames | None) -> tuple[AuditEntry, ...]:
        """The entries newest first, with their names."""
        entries = tuple(sorted(found.values(), key=_time, reverse=True))
        if names is not None:
            return entries
        texts = await self._names.of(entries)
        return tuple(joined(entry, texts) for entry in entries)

    async def _rows(
        self, wanted: AuditFilter, since: datetime, until: datetime, place: _Place | None
    ) -> AsyncIterator[Row]:
        first = max(newest_first(until, ""), place.key if place else "")
        last = newest_first(since - SPAN, LAST)
        spans = {name: key for name, key in (("user", wanted.user_id), ("group", wanted.group_id)) if key}
        for month in _months_back(since, until):
            async for row in self._tables.query(
                f"audit{month}",
                _partition(first),
                first,
                last,
                to_partition=_partition(last),
                spanning=spans,
                rows_a_page=ROWS_A_PAGE,
            ):
                yield row

    async def forget(self, months: Iterable[str]) -> None:
        months = list(months)
        for month in months:
            await self._tables.drop(f"audit{month}")
        await self._names.forget(months)

    async def keep_message(self, entry_id: str, at: datetime, message: ReplayedMessage) -> None:
        await self._names.keep_message(entry_id, at, message)

    async def message(self, entry_id: str) -> ReplayedMessage | None:
        return await self._names.message(entry_id)

    async def forget_messages(self, before: datetime) -> int:
        return await self._names.forget_messages(before)


class _SearchedNames:
    """The names that one search for a name has read: all initiators, and the claims of each month that it reaches."""

    def __init__(self, names: AuditNames) -> None:
        self._names = names
        self._texts: dict[Key, str] = {}
        self._read: set[str] = set()

    async def joined(self, entries: Iterable[AuditEntry]) -> list[AuditEntry]:
        entries = list(entries)
        claims = {claim_place(entry)[0] for entry in entries if entry.initiator.claimed_by}
        for partition in {NAME, *claims} - self._read:
            self._texts |= await self._names.all(partition)
            self._read.add(partition)
        return [joined(entry, self._texts) for entry in entries]


def _packed(entries: Iterable[AuditEntry]) -> Iterator[list[AuditEntry]]:
    """Entries, oldest first, as rows hold them: few, of one hour, and of a short time."""
    packed: list[AuditEntry] = []
    for entry in entries:
        if packed and (
            len(packed) == PACKED or entry.at - packed[0].at > SPAN or hour_of(entry.at) != hour_of(packed[0].at)
        ):
            yield packed
            packed = []
        packed.append(entry)
    if packed:
        yield packed


def _month(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y%m}"


def _time(entry: AuditEntry) -> tuple[datetime, str]:
    return entry.at, entry.id


def _months_back(since: datetime, until: datetime) -> Iterator[str]:
    """Months as YYYYMM that have rows of the time, the latest first."""
    month, earliest = until.astimezone(UTC).replace(day=1), _month(since - SPAN)
    while _month(month) >= earliest:
        yield _month(month)
        month = (month - timedelta(days=1)).replace(day=1)


def _row(entries: Sequence[AuditEntry]) -> Row:
    name = hashlib.sha256(",".join(entry.id for entry in entries).encode()).hexdigest()[:24]
    body = zlib.compress(dump([_entry_json(entry) for entry in entries]).encode())
    key = newest_first(entries[0].at, name)
    return {
        "PartitionKey": _partition(key),
        "RowKey": key,
        **_span("user", [entry.user_id for entry in entries if entry.user_id]),
        **_span("group", [entry.group_id for entry in entries if entry.group_id]),
        **split_bytes("entries", body),
    }


def _partition(key: str) -> str:
    """Inverted minutes of a row's key, which begins with inverted milliseconds."""
    return f"{int(key.partition('-')[0]) // 60_000:09d}"


def _span(name: str, ids: Sequence[str]) -> Row:
    return {f"{name}0": min(ids), f"{name}1": max(ids)} if ids else {}


def _entry_json(entry: AuditEntry) -> list[object]:
    return [
        entry.id,
        time_text(entry.at),
        entry.activity,
        _opaque(entry.initiator),
        entry.result,
        entry.user_id,
        entry.group_id,
        entry.operation_id,
        entry.before,
        entry.after,
        entry.detail,
    ]


def _opaque(by: Initiator) -> list[str]:
    """The initiator without a name; one without an ID is the app itself or a queue, whose name says nothing of a
    person."""
    return [
        by.id,
        "" if by.id else by.display_name,
        str(by.kind),
        by.app_id,
        by.channel,
        CLAIMED if by.claimed_by else "",
    ]


def _unnamed(object_id: str, own_name: str, kind: str, app_id: str, channel: str, claimed: str) -> Initiator:
    return Initiator(object_id, own_name, InitiatorKind(kind), app_id, channel, claimed)


def fingerprints(row: Row) -> list[Fingerprint]:
    """Of each entry as it is stored."""
    stored = json.loads(zlib.decompress(joined_bytes(row, "entries")))
    return [Fingerprint(each[1], each[0], hashlib.sha256(dump(each).encode()).hexdigest()) for each in stored]


async def rows_of(tables: Tables, since: datetime, until: datetime) -> AsyncIterator[Row]:
    """Rows whose first entry is of the time, newest first."""
    first, last = newest_first(until, ""), newest_first(since, LAST)
    for month in _months_back(since, until):
        rows = tables.query(f"audit{month}", _partition(first), first, last, to_partition=_partition(last))
        async for row in rows:
            yield row


def _entries(row: Row) -> list[AuditEntry]:
    found = []
    for entry_id, at, activity, initiator, result, user, group, operation, before, after, detail in json.loads(
        zlib.decompress(joined_bytes(row, "entries"))
    ):
        found.append(
            AuditEntry(
                id=entry_id,
                at=must_be_time(at),
                activity=activity,
                initiator=_unnamed(*initiator),
                result=result,
                user_id=UserId(user) if user else None,
                group_id=GroupId(group) if group else None,
                operation_id=OperationId(operation) if operation else None,
                before=before,
                after=after,
                detail=detail,
            )
        )
    return found
