"""Writing memberships and usage locations for events of HR, within the write quota, and keeping what was written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from shared.domain.budget import Charged
from shared.domain.ids import UserId
from shared.domain.messages import MAX_USERS
from shared.domain.onboarding import GroupOutcome, GroupResult, OnboardingRecord
from shared.domain.read_models import AuditEntry
from shared.handlers.onboarding.group_rules import refused
from shared.handlers.reconcile.write_limiter import Pacer, Prepaid
from shared.ports.graph_writes import (
    Accepted,
    AlreadySo,
    MembershipChange,
    Rejected,
    Throttled,
    Unanswered,
    WriteResult,
)
from shared.ports.world import World

UNANSWERED_RETRY = timedelta(seconds=5)
MISSING_RETRY = timedelta(seconds=15)
NEW_FOR = timedelta(hours=1)
"""An event this young may be ahead of replication: a 404 for its person or group is waited out."""


@dataclass(slots=True)
class Written:
    """What became of the writes. `again`: users of whom some write is to be made again, and when."""

    results: dict[MembershipChange, GroupResult] = field(default_factory=dict)
    refused_locations: dict[UserId, str] = field(default_factory=dict)
    again: dict[UserId, datetime] = field(default_factory=dict)
    why: dict[UserId, str] = field(default_factory=dict)

    def put_off(self, user_id: UserId, at: datetime, why: str) -> None:
        self.again[user_id] = max(at, self.again.get(user_id, at))
        self.why[user_id] = why


class Writer:
    """Writes for all people of one message, charged as urgent work. `charged`: in advance."""

    def __init__(self, world: World, pacer: Pacer, charged: Charged | None = None) -> None:
        self._world = world
        self._pacer = pacer
        self._prepaid = Prepaid(pacer, charged)

    async def give_back(self) -> None:
        """What was charged and not needed is for others."""
        await self._prepaid.give_back()

    async def backlog(self) -> timedelta:
        """Of the write quota."""
        return await self._pacer.backlog()

    async def write(
        self,
        changes: Sequence[MembershipChange],
        locations: Mapping[UserId, str],
        records: Mapping[UserId, OnboardingRecord],
    ) -> Written:
        """One result per change. Locations go first. Raises Unavailable only where nothing was written."""
        written = Written()
        if locations:
            await self._locate(locations, records, written)
        for start in range(0, len(changes), MAX_USERS):
            await self._change(changes[start : start + MAX_USERS], records, written)
        return written

    async def _start(self, users: Sequence[UserId], writes: int, written: Written) -> bool:
        """Wait for room in the write quota; where it is far off, the users come back then."""
        slot = await self._prepaid.start(urgent=True, writes=writes)
        if slot.charged:
            await self._world.clock.sleep(max(0.0, slot.start - self._world.clock.now().timestamp()))
            return True
        for user_id in users:
            written.put_off(user_id, datetime.fromtimestamp(slot.start, tz=UTC), "The write quota is used; comes back.")
        return False

    async def _locate(
        self, locations: Mapping[UserId, str], records: Mapping[UserId, OnboardingRecord], written: Written
    ) -> None:
        if not await self._start(list(locations), len(locations), written):
            return
        answers = await self._world.licenses.set_usage_locations(locations, urgent=True)
        await self._freeze(list(answers.values()))
        entries = []
        for user_id, answer in answers.items():
            match answer:
                case Accepted():
                    entry = self._entry("Update user", records[user_id], user_id)
                    entries.append(_with(entry, detail=f"usageLocation {locations[user_id]}"))
                case Rejected(status=404):
                    self._missing(user_id, records[user_id], answer, written)
                case Rejected():
                    written.refused_locations[user_id] = f"The usage location was refused: {answer.message}"
                case _:
                    self._put_off(user_id, answer, written)
        await self._world.stores.audit.append(entries)

    async def _change(
        self, changes: Sequence[MembershipChange], records: Mapping[UserId, OnboardingRecord], written: Written
    ) -> None:
        open_ones = [change for change in changes if change.user_id not in written.again]
        users = [change.user_id for change in open_ones]
        if not open_ones or not await self._start(users, len(open_ones), written):
            return
        answers = await self._world.memberships.change(open_ones)
        await self._freeze(answers)
        entries = []
        for change, answer in zip(open_ones, answers, strict=True):
            match answer:
                case Accepted():
                    done = GroupOutcome.ADDED if change.add else GroupOutcome.REMOVED
                    written.results[change] = GroupResult(change.group_id, done)
                    activity = "Add member to group" if change.add else "Remove member from group"
                    entry = self._entry(activity, records[change.user_id], change.user_id)
                    entries.append(_with(entry, group=change))
                case AlreadySo():
                    done = GroupOutcome.ALREADY_MEMBER if change.add else GroupOutcome.NOT_A_MEMBER
                    written.results[change] = GroupResult(change.group_id, done)
                case Rejected(status=404) if self._is_young(records[change.user_id]):
                    self._missing(change.user_id, records[change.user_id], answer, written)
                case Rejected():
                    written.results[change] = refused(change.group_id, answer)
                case _:
                    self._put_off(change.user_id, answer, written)
        await self._world.stores.audit.append(entries)

    def _is_young(self, record: OnboardingRecord) -> bool:
        return self._world.clock.now() < record.received_at + NEW_FOR

    def _missing(self, user_id: UserId, record: OnboardingRecord, answer: Rejected, written: Written) -> None:
        if self._is_young(record):
            written.put_off(user_id, self._world.clock.now() + MISSING_RETRY, f"Not replicated yet: {answer.message}")
        else:
            written.refused_locations[user_id] = answer.message

    def _put_off(self, user_id: UserId, answer: WriteResult, written: Written) -> None:
        now = self._world.clock.now()
        if isinstance(answer, Throttled):
            written.put_off(user_id, now + timedelta(seconds=answer.retry_after_s), "Graph throttles writes.")
        elif isinstance(answer, Unanswered):
            written.put_off(user_id, now + UNANSWERED_RETRY, f"A write was not answered: {answer.why}")

    async def _freeze(self, answers: Sequence[WriteResult | AlreadySo]) -> None:
        waits = [each.retry_after_s for each in answers if isinstance(each, Throttled)]
        if waits:
            await self._pacer.freeze(max(waits))

    def _entry(self, activity: str, record: OnboardingRecord, user_id: UserId) -> AuditEntry:
        """Named by the event, so that recording it again changes nothing."""
        act = activity.lower().replace(" ", "-")
        return AuditEntry(
            id=f"{record.key}-{act}-{user_id}",
            at=self._world.clock.now(),
            activity=activity,
            actor=f"HR {record.event.source}",
            result="success",
            user_id=user_id,
        )


def _with(entry: AuditEntry, *, detail: str = "", group: MembershipChange | None = None) -> AuditEntry:
    if group is None:
        return AuditEntry(entry.id, entry.at, entry.activity, entry.actor, entry.result, entry.user_id, detail=detail)
    entry_id = f"{entry.id}-{group.group_id}"
    return AuditEntry(entry_id, entry.at, entry.activity, entry.actor, entry.result, entry.user_id, group.group_id)
