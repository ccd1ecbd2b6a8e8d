"""Close the hours of the audit log: list each hour's entries in the log of digests, once the hour is over.

The log comes first and the state second. A process that dies in between leaves a record that the next run finds at the
end of the log. Entries that are listed twice do no harm.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.domain.audit_digest import (
    HOUR,
    BrokenLog,
    DigestRecord,
    DigestState,
    Fingerprint,
    blob_of,
    difference,
    followed,
    hour_of,
    read_log,
    records_of,
)
from shared.domain.errors import Conflict, Unavailable
from shared.handlers.maintenance.needs import Needs

log = logging.getLogger(__name__)

MARGIN = timedelta(minutes=5)
"""After the end of an hour: what is being written then is in the table, and clocks of two instances differ by less."""

REMEDY = "Restore the blob as it was: soft delete keeps it for 30 days."

ROW_FOLLOWS = timedelta(days=1)
"""A row can follow its mark long after it: its writer can be slow, or be started again after a failure."""

HOURS_AT_ONCE = 48
"""Hours of one run at most, so that it ends within the ten minutes of a function; the next run continues."""


async def close_hours(world: Needs) -> int:
    """Close every hour that has ended; returns how many. Faults of the log are logged and stored for the health page.
    While the log lacks its last record, no hour is closed."""
    now = world.clock.now()
    latest = hour_of(now - MARGIN) - HOUR
    state = await world.stores.audit_digests.state()
    if state is not None and state.next_hour > latest and not state.fault:
        return 0
    try:
        return await _close(world, state, latest, now - MARGIN)
    except Conflict as lost:
        log.info("audit hour closed elsewhere reason=%r", str(lost))
    except Unavailable as fault:
        await _note(world, state or _before_first(latest), str(fault))
    except BrokenLog as fault:
        await _note(world, state or _before_first(latest), f"{fault}. {REMEDY}")
    return 0


def _before_first(hour: datetime) -> DigestState:
    """The state before the first record, for the fault that keeps it from being written."""
    return DigestState(hour, "", False, 0)


async def _note(world: Needs, state: DigestState, fault: str) -> None:
    log.error("audit digest failed reason=%r", fault)
    if state.fault != fault:
        # Another process that was quicker has noted a fault too, or closed the hour.
        with suppress(Conflict):
            await world.stores.audit_digests.save(replace(state, fault=fault))


async def _close(world: Needs, state: DigestState | None, latest: datetime, late_before: datetime) -> int:
    """Raises BrokenLog, Conflict, Unavailable."""
    known = state
    state, found, end = await _end_of_log(world, state, latest)
    if known is not None and known.has_record:
        await _check_found(world, known, found)
    if state is not None and state != known:
        state = await world.stores.audit_digests.save(state)
    closed = 0
    hour = state.next_hour if state is not None else latest
    while hour <= latest and closed < HOURS_AT_ONCE:
        marks = await world.stores.audit_digests.late(late_before) if hour == latest else ()
        entries = [each async for each in world.stores.audit_digests.fingerprints(hour)]
        entries += [each for mark in marks for each in mark.entries or ()]
        if end is None or end.blob != blob_of(hour):
            _, _, end = await _moved(world, None, blob_of(hour), 0, latest)
        state, end = await _append(world, state, hour, entries, end)
        over = [mark for mark in marks if mark.entries is not None or mark.marked_at < late_before - ROW_FOLLOWS]
        await world.stores.audit_digests.forget_late(mark.key for mark in over)
        hour += HOUR
        closed += 1
    return closed


async def _check_found(world: Needs, known: DigestState, found: Sequence[DigestRecord]) -> None:
    """Check records that this app's state does not know: of a process that died, or of another caller who can append.

    Entries that they omit are marked as late before the state moves on, so that the next record lists them. Otherwise
    no record ever would, and they could be deleted unnoticed.
    """
    # An hour that was closed in part is listed again as a whole.
    hours = sorted({record.hour for record in found if record.last and record.hour != known.hour})
    if not hours:
        return
    now = world.clock.now()
    late = [each for mark in await world.stores.audit_digests.late(now) for each in mark.entries or ()]
    for hour in hours:
        stored = [each async for each in world.stores.audit_digests.fingerprints(hour)]
        differs = difference(hour, found, stored, late)
        if differs is not None:
            log.error("audit digest failed reason=%r", f"{differs}. The next record lists the omitted ones")
            await world.stores.audit_digests.mark_late(hour, differs.omitted, now)


@dataclass(frozen=True, slots=True)
class _End:
    """Where a blob ends. `is_open`: its last line has no end, so the next record begins a line of its own."""

    blob: str
    length: int
    is_open: bool


async def _append(
    world: Needs, state: DigestState | None, hour: datetime, entries: list[Fingerprint], end: _End
) -> tuple[DigestState, _End]:
    """Append the records of an hour. Returns the state after them, and the end of the blob."""
    records, begins = records_of(hour, entries, state.digest if state else ""), end.length
    for record in records:
        line = (b"\n" if end.is_open else b"") + record.line()
        await world.digest_log.append(end.blob, line, end.length)
        begins = end.length + end.is_open
        end = _End(end.blob, end.length + len(line), is_open=False)
    version = state.version if state else None
    after = DigestState(hour, records[-1].digest, records[-1].last, begins, version=version, seen=end.length)
    return await world.stores.audit_digests.save(after), end


async def _end_of_log(
    world: Needs, state: DigestState | None, latest: datetime
) -> tuple[DigestState | None, list[DigestRecord], _End | None]:
    """The state, moved on to the last record of the log, the records on the way, and the end of the blob.

    A process can have died after it appended and before it saved the state; and a restored table can lack the state.
    """
    if state is None or not state.has_record:
        for hour in (latest, latest.replace(day=1, hour=0) - HOUR):
            found, records, end = await _moved(world, None, blob_of(hour), 0, latest)
            if found is not None:
                return replace(found, version=state.version if state else None), records, end
        return state, [], None
    blob = blob_of(state.hour)
    moved, records, end = await _moved(world, state, blob, state.offset, latest)
    following = blob_of(moved.next_hour) if moved is not None else blob
    if following != blob:
        moved, more, end = await _moved(world, moved, following, 0, latest)
        records += more
    return moved, records, end


async def _moved(
    world: Needs, state: DigestState | None, blob: str, offset: int, latest: datetime
) -> tuple[DigestState | None, list[DigestRecord], _End]:
    """The state after the records of a blob from a byte on, these records, and the end of the blob.

    Other lines are reported, and the log goes on behind them. Raises BrokenLog if the blob lacks the record that the
    state is of.
    """
    data = await world.digest_log.read(blob, offset)
    part, end = read_log(data or b"", blob), offset + len(data or b"")
    records = part.records
    if state is not None and blob == blob_of(state.hour):
        if data is None:
            raise BrokenLog(f"{blob} is missing in the container audit")
        if not records or records[0].begins or records[0].digest != state.digest:
            raise BrokenLog(f"{blob} does not have the record of hour {state.hour.isoformat()} where it was written")
        records = tuple(each for each in records[1:] if offset + each.begins >= state.seen)
    moved, followers, faults = followed(state, records, offset, latest)
    faults = [*part.faults, *faults]
    if faults:
        more = f" ({len(faults) - 1} more)" if len(faults) > 1 else ""
        log.error("audit digest failed reason=%r", f"{faults[0]}{more}. It is left out, and later hours follow it")
    if moved is not None and blob == blob_of(moved.hour):
        moved = replace(moved, seen=end, fault="")
    return moved, followers, _End(blob, end, part.is_open)
