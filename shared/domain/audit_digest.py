"""Digests of the audit log: each hour's entries are listed with their hashes in records, and each record names the hash
of the one before it. So a changed, deleted or added entry shows, and so does a changed or missing record.

An entry counts to the hour of its time. One that is written after its hour was closed goes into a later record.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import pairwise

HOUR = timedelta(hours=1)

MAX_FAULT = 200
"""Characters of a reason: a line can be anything."""

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
    first one. `begins`: the position of its line in the data."""

    hour: datetime
    previous: str
    last: bool
    entries: tuple[Fingerprint, ...]
    begins: int = 0

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
    seen: int = 0
    """Bytes of the blob that were read: records before are not accepted later, when their hour is over."""

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


@dataclass(frozen=True, slots=True)
class LogPart:
    """A blob of the log, or its end, as it was read. `faults`: one for each line that is not a record with its own
    digest. Such a line proves nothing, and it cannot be taken away from a blob that can only be appended to. So it is
    reported, and the log goes on behind it. `is_open`: the last line has no end."""

    records: tuple[DigestRecord, ...]
    faults: tuple[str, ...]
    is_open: bool


def read_log(data: bytes, name: str) -> LogPart:
    """The records in a blob, or in its end."""
    found: list[DigestRecord] = []
    faults: list[str] = []
    begins = 0
    lines = data.splitlines(keepends=True)
    for number, line in enumerate(lines, 1):
        try:
            found.append(_record(line, begins))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as fault:
            faults.append(f"{name}: line {number} is not a record: {str(fault)[:MAX_FAULT]}")
        begins += len(line)
    return LogPart(tuple(found), tuple(faults), bool(lines) and not lines[-1].endswith(b"\n"))


def _record(line: bytes, begins: int) -> DigestRecord:
    body = json.loads(line)
    entries = tuple(Fingerprint(at, entry_id, sha) for at, entry_id, sha in body["entries"])
    hour = datetime.fromisoformat(body["hour"])
    if not all(isinstance(text, str) for each in entries for text in (each.at, each.id, each.sha)):
        raise ValueError("an entry is not three texts")
    for each in entries:
        datetime.fromisoformat(each.at)
    record = DigestRecord(hour, body["previous"], body["last"], entries, begins)
    if record.digest != body["digest"] or hour != hour_of(hour):
        raise ValueError(f"of hour {body['hour']}, it was changed: its digest does not fit")
    return record


def followed(
    state: DigestState | None, records: Iterable[DigestRecord], offset: int, latest: datetime
) -> tuple[DigestState | None, list[DigestRecord], list[str]]:
    """The state after the records that follow it, these records, and the faults of the others. `offset`: where the
    data begins in its blob; `latest`: the newest hour that can be closed.

    A record follows if it names the record before it, and is of the next hour. A person who can append could otherwise
    close years ahead, and no later hour would be closed.
    """
    followers: list[DigestRecord] = []
    faults: list[str] = []
    for record in records:
        what = f"the record of hour {record.hour.isoformat()}"
        if state is not None and record.previous != state.digest:
            faults.append(f"{what} does not follow the one before it")
        elif state is not None and record.hour != state.next_hour:
            faults.append(f"{what} is not of the hour that follows, {state.next_hour.isoformat()}")
        elif record.hour > latest:
            faults.append(f"{what} is of an hour that is not over")
        else:
            version = state.version if state else None
            state = DigestState(record.hour, record.digest, record.last, offset + record.begins, version=version)
            followers.append(record)
    return state, followers, faults


@dataclass(frozen=True, slots=True)
class Difference:
    """How a record that was found in the log differs from the stored entries of its hour. `omitted`: entries that it
    does not list, and that were not written late; `unknown`: entries that it lists and that are not stored."""

    hour: datetime
    omitted: tuple[Fingerprint, ...]
    unknown: tuple[Fingerprint, ...]

    def __str__(self) -> str:
        return (
            f"the record of hour {self.hour.isoformat()}, which another process appended, omits {len(self.omitted)} "
            f"entries and lists {len(self.unknown)} that are not stored"
        )


def difference(
    hour: datetime, records: Iterable[DigestRecord], stored: Iterable[Fingerprint], late: Iterable[Fingerprint]
) -> Difference | None:
    """How found records differ from the stored entries of an hour; None if they do not. A process of the app that died
    after its append listed what was stored, so a difference means that another caller wrote it."""
    listed = {each for record in records for each in record.entries if each.hour == hour}
    now = set(stored)
    omitted, unknown = now - listed - set(late), listed - now
    return Difference(hour, tuple(sorted(omitted)), tuple(sorted(unknown))) if omitted or unknown else None


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
