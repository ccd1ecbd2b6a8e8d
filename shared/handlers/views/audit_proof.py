"""Verify the audit log: compare the stored entries of some hours with the log of digests."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.domain.audit_digest import (
    HOUR,
    BrokenLog,
    DigestRecord,
    DigestState,
    HourState,
    VerifiedHour,
    blob_of,
    by_hour,
    chain_faults,
    hour_of,
    read_records,
    verify_hour,
)
from shared.domain.errors import BadRequest
from shared.handlers.views.needs import Needs

LONGEST = timedelta(days=31)
"""Of one request: about 750 hours, each read from the table."""

DEFAULT = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class AuditProof:
    """The result of the verification. `faults`: faults of the log of digests."""

    since: datetime
    until: datetime
    hours: tuple[VerifiedHour, ...]
    faults: tuple[str, ...]

    @property
    def verified(self) -> bool:
        """Whether every closed hour of the time is as it was recorded."""
        bad = (HourState.DIFFERS, HourState.NO_RECORD)
        return not self.faults and not any(each.state in bad for each in self.hours)


async def verify(world: Needs, since: datetime | None, until: datetime | None) -> AuditProof:
    """Compare the entries of each hour with the log; by default of the last 24 hours.

    Raises BadRequest, Unavailable.
    """
    now = world.clock.now()
    last = hour_of(until or now)
    first = hour_of(since or last - DEFAULT)
    if first > last or last - first > LONGEST:
        text = f"since must be before until, and at most {LONGEST.days} days before it. Verify a longer time in parts."
        raise BadRequest("InvalidRange", text, "since")
    state = await world.stores.audit_digests.state()
    state = state if state is not None and state.has_record else None
    records, faults = await _records(world, first, state)
    listed = by_hour(each for record in records for each in record.entries)
    closed = {record.hour for record in records if record.last}
    began = records[0].hour if records and not records[0].previous else None
    pending = by_hour(each for late in await world.stores.audit_digests.late(now + HOUR) for each in late.entries)
    hours: list[VerifiedHour] = []
    hour = first
    while hour <= last:
        known = HourState.VERIFIED if hour in closed else HourState.NO_RECORD
        if hour not in closed and (state is None or hour >= state.next_hour):
            known = HourState.NOT_CLOSED
        if began is not None and hour < began:
            known = HourState.BEFORE_FIRST
        stored = [each async for each in world.stores.audit_digests.fingerprints(hour)]
        hours.append(verify_hour(hour, stored, listed.get(hour, ()), pending.get(hour, ()), known))
        hour += HOUR
    return AuditProof(first, last, tuple(hours), tuple([*faults, *chain_faults(records, state)]))


async def _records(world: Needs, first: datetime, state: DigestState | None) -> tuple[list[DigestRecord], list[str]]:
    """The records of every month from the first hour on, since late entries are in later records, and what is wrong
    with the blobs."""
    found: list[DigestRecord] = []
    faults: list[str] = []
    month = first.replace(day=1, hour=0)
    while month <= world.clock.now():
        name = blob_of(month)
        data = await world.digest_log.read(name)
        try:
            found += read_records(data or b"", name)
        except BrokenLog as fault:
            faults.append(str(fault))
        if data is None and state is not None and name == blob_of(state.hour):
            faults.append(f"{name} is missing in the container audit")
        month = (month + timedelta(days=32)).replace(day=1)
    return found, faults
