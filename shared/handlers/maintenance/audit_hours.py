"""Close the hours of the audit log: list each hour's entries in the log of digests, once the hour is over.

The log comes first and the state second. A process that dies in between leaves a record that the next run finds at the
end of the log. Entries that are listed twice do no harm.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

from shared.domain.audit_digest import (
    HOUR,
    BrokenLog,
    DigestState,
    Fingerprint,
    blob_of,
    hour_of,
    next_state,
    read_records,
    records_of,
)
from shared.domain.errors import Conflict, Unavailable
from shared.handlers.maintenance.needs import Needs

log = logging.getLogger(__name__)

MARGIN = timedelta(minutes=5)
"""After the end of an hour: what is being written then is in the table, and clocks of two instances differ by less."""

REMEDY = "Restore the blob as it was: soft delete keeps it for 30 days."

HOURS_AT_ONCE = 48
"""Hours of one run at most, so that it ends within the ten minutes of a function; the next run continues."""


async def close_hours(world: Needs) -> int:
    """Close every hour that has ended; returns how many. Faults of the log are logged and stored for the health page.
    No hour is closed before a person has repaired them."""
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
    state, end = await _end_of_log(world, state, latest)
    if state is not None and state != known:
        state = await world.stores.audit_digests.save(state)
    closed = 0
    hour = state.next_hour if state is not None else latest
    while hour <= latest and closed < HOURS_AT_ONCE:
        marks = await world.stores.audit_digests.late(late_before) if hour == latest else ()
        entries = [each async for each in world.stores.audit_digests.fingerprints(hour)]
        entries += [each for mark in marks for each in mark.entries]
        is_new = state is None or blob_of(state.hour) != blob_of(hour)
        state, end = await _append(world, state, hour, entries, 0 if is_new else end)
        await world.stores.audit_digests.forget_late(mark.key for mark in marks)
        hour += HOUR
        closed += 1
    return closed


async def _append(
    world: Needs, state: DigestState | None, hour: datetime, entries: list[Fingerprint], end: int
) -> tuple[DigestState, int]:
    """Append the records of an hour. Returns the state after them, and the length of the blob."""
    records = records_of(hour, entries, state.digest if state else "")
    after = next_state(state, records, end)
    for record in records:
        line = record.line()
        await world.digest_log.append(blob_of(hour), line, end)
        end += len(line)
    return await world.stores.audit_digests.save(after), end


async def _end_of_log(world: Needs, state: DigestState | None, latest: datetime) -> tuple[DigestState | None, int]:
    """The state, moved on to the last record of the log, and the length of the blob with that. A process can have died
    after it appended and before it saved the state; and a restored table can lack the state."""
    if state is None or not state.has_record:
        for hour in (latest, latest.replace(day=1, hour=0) - HOUR):
            data = await world.digest_log.read(blob_of(hour))
            if data:
                found = next_state(None, read_records(data, blob_of(hour)), 0)
                return replace(found, version=state.version if state else None), len(data)
        return state, 0
    blob = blob_of(state.hour)
    data = await world.digest_log.read(blob, state.offset)
    if data is None:
        raise BrokenLog(f"{blob} is missing in the container audit")
    records = read_records(data, blob)
    if not records or records[0].digest != state.digest:
        raise BrokenLog(f"{blob} does not have the record of hour {state.hour.isoformat()} where it was written")
    moved, end = next_state(state, records[1:], state.offset + records[0].size), state.offset + len(data)
    following = blob_of(moved.next_hour)
    more = await world.digest_log.read(following) if following != blob else None
    if more:
        return next_state(moved, read_records(more, following), 0), len(more)
    return moved, end
