"""Digests of the audit log: each hour's entries are listed with their hashes in records, and each record names the hash
of the one before it. So a changed, deleted or added entry shows, and so does a changed or missing record.

An entry counts to the hour of its time. One that is written after its hour was closed goes into a later record.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import pairwise

HOUR = timedelta(hours=1)

ENTRIES_A_RECORD = 10_000
"""About 2.5 MB: a block of an append blob has at most 4 MiB in versions of the service before 2022
(learn.microsoft.com/rest/api/storageservices/append-block)."""


@dataclass(frozen=True, slots=True, order=True)
class Fingerprint:
    """An entry as records know it: `at` in ISO 8601, UTC; `sha`: SHA-256 over the stored entry, in hex."""

    at: str
    id: str
    sha: str

    @property
    def hour(self) -> datetime:
        return hour_of(datetime.fromisoformat(self.at))


@dataclass(frozen=True, slots=True)
class DigestRecord:
    """One line of the log. `last`: the hour is closed with it. `previous`: digest of the record before, empty for the
    first one. `size`: bytes of the line where it was read."""

    hour: datetime
    previous: str
    last: bool
    entries: tuple[Fingerprint, ...]
    size: int = 0

    @property
    def next_hour(self) -> datetime:
        """The hour of the record after it."""
        return self.hour + HOUR if self.last else self.hour

    @property
    def digest(self) -> str:
        """64 hex digits over everything the record says."""
        return hashlib.sha256(_text(self._body()).encode()).hexdigest()

    def _body(self) -> dict[str, object]:
        listed = [[each.at, each.id, each.sha] for each in self.entries]
        return {"hour": self.hour.isoformat(), "previous": self.previous, "last": self.last, "entries": listed}

    def line(self) -> bytes:
        return (_text({**self._body(), "digest": self.digest}) + "\n").encode()


@dataclass(frozen=True, slots=True)
class DigestState:
    """Where the log ends: hour and digest of its last record, and whether that closes the hour. `offset`: where the
    record begins in the blob of its month. `fault`: why the last try to close an hour failed. `version` is the ETag of
    the stored row, None before it is stored. If the first try already failed, there is no digest, and `hour` is the one
    to close first."""

    hour: datetime
    digest: str
    closed: bool
    offset: int
    fault: str = ""
    version: str | None = None

    @property
    def has_record(self) -> bool:
        return bool(self.digest)

    @property
    def next_hour(self) -> datetime:
        """The hour to close next: a process can have died between two records of one hour."""
        return self.hour + HOUR if self.closed else self.hour


class BrokenLog(ValueError):
    """The log of digests is not as it was written."""


def hour_of(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def blob_of(hour: datetime) -> str:
    """The blob that holds the records of a month."""
    return f"{hour:%Y%m}.jsonl"


def records_of(hour: datetime, entries: Iterable[Fingerprint], previous: str) -> list[DigestRecord]:
    """The records that close an hour: one, and more for very many entries."""
    listed = sorted(set(entries))
    parts = [listed[start : start + ENTRIES_A_RECORD] for start in range(0, len(listed), ENTRIES_A_RECORD)] or [[]]
    found: list[DigestRecord] = []
    for number, part in enumerate(parts, 1):
        record = DigestRecord(hour, previous, number == len(parts), tuple(part))
        previous = record.digest
        found.append(record)
    return found


def read_records(data: bytes, name: str) -> list[DigestRecord]:
    """The records of a blob, or of its end. Raises BrokenLog for a line that is not a record with its own digest."""
    found: list[DigestRecord] = []
    for number, line in enumerate(data.splitlines(keepends=True), 1):
        try:
            body = json.loads(line)
            entries = tuple(Fingerprint(at, entry_id, sha) for at, entry_id, sha in body["entries"])
            hour = datetime.fromisoformat(body["hour"])
            record = DigestRecord(hour, body["previous"], body["last"], entries, len(line))
            right = record.digest == body["digest"]
        except (ValueError, KeyError, TypeError) as fault:
            raise BrokenLog(f"{name}: line {number} is not a record: {fault}") from fault
        if not right:
            raise BrokenLog(f"{name}: line {number} (hour {body['hour']}) was changed: its digest does not fit")
        found.append(record)
    return found


def next_state(state: DigestState | None, records: Sequence[DigestRecord], offset: int) -> DigestState:
    """The state after records that follow it. `offset`: where the first of them begins. Without a state, there is at
    least one record. Raises BrokenLog if one does not name the record before it, or is of another hour
    than the next."""
    for record in records:
        if state is not None and record.previous != state.digest:
            raise BrokenLog(f"the record of hour {record.hour.isoformat()} does not follow the one before it")
        if state is not None and record.hour != state.next_hour:
            # A person who can append could otherwise close years ahead, and no later hour would be closed.
            text = f"the record of hour {record.hour.isoformat()} is not of the hour that follows"
            raise BrokenLog(f"{text}, {state.next_hour.isoformat()}")
        version = state.version if state else None
        state = DigestState(record.hour, record.digest, record.last, offset, version=version)
        offset += record.size or len(record.line())
    if state is None:
        raise BrokenLog("the log has no record")
    return replace(state, fault="")


class HourState(StrEnum):
    VERIFIED = "verified"
    DIFFERS = "differs"
    NO_RECORD = "noRecord"
    NOT_CLOSED = "notClosed"
    BEFORE_FIRST = "beforeFirstRecord"


@dataclass(frozen=True, slots=True)
class VerifiedHour:
    """What became of the entries of an hour, compared with the records."""

    hour: datetime
    state: HourState
    entries: int
    missing: tuple[Fingerprint, ...] = ()
    changed: tuple[Fingerprint, ...] = ()
    added: tuple[Fingerprint, ...] = ()


def verify_hour(
    hour: datetime,
    stored: Iterable[Fingerprint],
    recorded: Iterable[Fingerprint],
    pending: Iterable[Fingerprint],
    closed: HourState,
) -> VerifiedHour:
    """Compare what is stored of an hour with what all records list of it. `pending`: written late, in no record yet.
    `closed`: whether a record closes the hour, `VERIFIED` if so."""
    now, then = _by_place(stored), _by_place(recorded)
    if closed in (HourState.NOT_CLOSED, HourState.BEFORE_FIRST):
        return VerifiedHour(hour, closed, len(now))
    late = _by_place(pending)
    missing = [each for place in then if place not in now for each in then[place]]
    changed = [each for place in then if place in now for each in then[place] - now[place]]
    added = [
        each
        for place in now
        for each in now[place] - then.get(place, set()) - late.get(place, set())
        if not (place in then and then[place] - now[place])
    ]
    state = HourState.DIFFERS if missing or changed or (added and closed is HourState.VERIFIED) else closed
    return VerifiedHour(hour, state, len(now), tuple(sorted(missing)), tuple(sorted(changed)), tuple(sorted(added)))


def chain_faults(records: Sequence[DigestRecord], state: DigestState | None) -> list[str]:
    """Faults of the log as a whole, of records in order. `state`: where the log should end."""
    faults = [
        f"the record of hour {later.hour.isoformat()} does not follow the one of hour {earlier.hour.isoformat()}"
        for earlier, later in pairwise(records)
        if later.previous != earlier.digest or later.hour != earlier.next_hour
    ]
    if state is not None and state.digest not in {record.digest for record in records}:
        faults.append(f"the log lacks its last record, of hour {state.hour.isoformat()}")
    return faults


def by_hour(entries: Iterable[Fingerprint]) -> Mapping[datetime, list[Fingerprint]]:
    found: dict[datetime, list[Fingerprint]] = defaultdict(list)
    for each in entries:
        found[each.hour].append(each)
    return found


def _by_place(entries: Iterable[Fingerprint]) -> dict[tuple[str, str], set[Fingerprint]]:
    found: dict[tuple[str, str], set[Fingerprint]] = defaultdict(set)
    for each in entries:
        found[each.at, each.id].add(each)
    return found


def _text(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))
