"""Memberships and usage locations of HR events: which can be written, writing them within the write quota, and the
audit entries of what was written."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from shared.domain.attempt import CONTENTION_RETRY
from shared.domain.budget import Charged
from shared.domain.directory import DirectoryGroup
from shared.domain.errors import NotFound
from shared.domain.first_contact import USERS_MAX_AGE_S
from shared.domain.hr_groups import HrGroups
from shared.domain.ids import GroupId, UserId
from shared.domain.joiner import location_rejection
from shared.domain.messages import MAX_USERS
from shared.domain.onboarding import (
    GroupOutcome,
    GroupResult,
    Next,
    OnboardingRecord,
    OnboardingState,
    Rejection,
    waiting,
)
from shared.domain.read_models import AuditEntry
from shared.domain.write_results import Accepted, Contended, Rejected, Throttled, Unanswered, Unsent, WriteResult
from shared.domain.writing import WHY
from shared.handlers.onboarding.hr_scope import writable
from shared.handlers.onboarding.needs import Needs
from shared.handlers.reconcile.prepaid import Prepaid
from shared.handlers.reconcile.write_limiter import Pacer
from shared.ports.graph_writes import AlreadySo, MembershipChange

UNANSWERED_RETRY = timedelta(seconds=5)
MISSING_RETRY = timedelta(seconds=15)
NEW_FOR = timedelta(hours=1)
"""An event this young may be ahead of replication: a 404 for its person or group is waited out."""

KNOWN_FOR = timedelta(minutes=5)
"""How long what was read of a group is believed; Graph rejects what has changed since."""

IN_USE_FOR = timedelta(minutes=1)
"""When a user comes back whom a first-contact run uses."""

NOTHING_TO_WRITE = HrGroups(frozenset())


def hindrance(group: DirectoryGroup) -> tuple[str, str]:
    """Why only the group's own source can change its members, and what to do; empty if the app can.

    Which groups Graph writes: learn.microsoft.com/graph/api/group-post-members, .../resources/groups-overview.
    """
    if group.is_dynamic:
        return (
            f"The membership of {group.display_name!r} follows a rule.",
            "Change the person's attributes or the rule in Entra; this system licenses the person when the rule does.",
        )
    if group.on_premises:
        return (
            f"The group {group.display_name!r} is synchronised from on-premises.",
            "Change the membership in the on-premises directory.",
        )
    if group.role_assignable:
        return (
            f"The group {group.display_name!r} is role-assignable; the app has no right to change it, on purpose.",
            "Have a Privileged Role Administrator change the membership.",
        )
    if group.mail_enabled and "Unified" not in group.group_types:
        return (
            f"The group {group.display_name!r} is mail-enabled and managed by Exchange.",
            "Change the membership in Exchange, or name a security group.",
        )
    return ("", "")


class GroupsKnown:
    """Groups as read within the last minutes."""

    def __init__(self, world: Needs) -> None:
        self._world = world
        self._known: dict[GroupId, tuple[datetime, DirectoryGroup | None]] = {}

    async def get(self, group_id: GroupId) -> DirectoryGroup | None:
        """The group; None when there is no such group. Raises Unavailable."""
        now = self._world.clock.now()
        known = self._known.get(group_id)
        if known is None or now - known[0] > KNOWN_FOR:
            try:
                found: DirectoryGroup | None = await self._world.directory.group(group_id)
            except NotFound:
                found = None
            known = self._known[group_id] = (now, found)
        return known[1]

    async def hindrances(self, group_ids: Iterable[GroupId]) -> dict[GroupId, tuple[str, str]]:
        """Why the membership of each group cannot be written, and what to do; empty texts where it can."""
        allowed = await writable(self._world)
        return {group_id: await self._why_not(group_id, allowed) for group_id in group_ids}

    async def _why_not(self, group_id: GroupId, allowed: HrGroups) -> tuple[str, str]:
        outside = allowed.why_not(group_id)
        if outside[0]:
            return outside
        group = await self.get(group_id)
        if group is None:
            return "There is no such group.", "Correct the event or the profile, then replay the event."
        return hindrance(group)


@dataclass(slots=True)
class Written:
    """The results of the writes. `put_off`: users with a write that must be repeated, with time and reason."""

    results: dict[UserId, dict[GroupId, GroupResult]] = field(default_factory=lambda: defaultdict(dict))
    accepted_locations: dict[UserId, str] = field(default_factory=dict)
    rejected_locations: dict[UserId, Rejection] = field(default_factory=dict)
    put_off: dict[UserId, tuple[datetime, str]] = field(default_factory=dict)

    def postpone(self, user_id: UserId, at: datetime, why: str) -> None:
        before, _ = self.put_off.get(user_id, (at, why))
        self.put_off[user_id] = (max(at, before), why)

    def is_done(self, user_id: UserId) -> bool:
        return user_id not in self.put_off

    def postponed(self, records: Iterable[OnboardingRecord], state: OnboardingState, now: datetime) -> list[Next]:
        """Of these events, those of whom a write was not answered; they begin again from the state."""
        steps = []
        for record in records:
            if record.user_id is not None and record.user_id in self.put_off:
                at, why = self.put_off[record.user_id]
                steps.append(Next(waiting(record, state, now, at, why)))
        return steps


class Writer:
    """Writes for all people of one message, charged as urgent work. `charged`: in advance."""

    def __init__(self, world: Needs, pacer: Pacer, charged: Charged | None = None) -> None:
        self._world = world
        self._pacer = pacer
        self._prepaid = Prepaid(pacer, charged)

    async def give_back(self) -> None:
        """Release the unused reservation for other work."""
        await self._prepaid.give_back()

    async def backlog(self) -> timedelta:
        """Of the write quota."""
        return await self._pacer.backlog()

    async def locate(self, locations: Mapping[UserId, str], records: Mapping[UserId, OnboardingRecord]) -> Written:
        """Set usage locations. Raises Unavailable only where nothing was written."""
        written = Written()
        if locations:
            await self._locate(locations, records, written)
        return written

    async def write(self, changes: Sequence[MembershipChange], records: Mapping[UserId, OnboardingRecord]) -> Written:
        """One result per change. Raises Unavailable only where nothing was written.

        Whether HR may change the group is asked here, at the last moment: a record can be older than the setting.
        """
        written = Written()
        allowed = await writable(self._world) if changes else NOTHING_TO_WRITE
        for start in range(0, len(changes), MAX_USERS):
            part = changes[start : start + MAX_USERS]
            reasons = [allowed.why_not(change.group_id) for change in part]
            for change, (text, remedy) in zip(part, reasons, strict=True):
                if text:
                    outcome = GroupOutcome.REJECTED if change.add else GroupOutcome.KEPT
                    result = GroupResult(change.group_id, outcome, text, remedy)
                    written.results[change.user_id][change.group_id] = result
            open_ones = [change for change, (text, _) in zip(part, reasons, strict=True) if not text]
            await self._change(open_ones, records, written)
        return written

    async def _leave_test_users(self, users: Iterable[UserId], written: Written) -> None:
        """Users that an open first-contact run uses come back later."""
        for user_id in await self._world.stores.first_contact.users_in_use(USERS_MAX_AGE_S) & set(users):
            at = self._world.clock.now() + IN_USE_FOR
            written.postpone(UserId(user_id), at, "A first-contact run uses this user; comes back.")

    async def _start(self, users: Sequence[UserId], writes: int, written: Written) -> bool:
        """Wait for room in the write quota; where it is far off, the users come back then."""
        slot = await self._prepaid.start(urgent=True, writes=writes)
        if slot.charged:
            await self._world.clock.sleep(max(0.0, slot.start - self._world.clock.now().timestamp()))
            return True
        why = WHY if slot.is_off else "The write quota is used; comes back."
        for user_id in users:
            written.postpone(user_id, datetime.fromtimestamp(slot.start, tz=UTC), why)
        return False

    async def _locate(
        self, locations: Mapping[UserId, str], records: Mapping[UserId, OnboardingRecord], written: Written
    ) -> None:
        await self._leave_test_users(locations, written)
        locations = {user_id: code for user_id, code in locations.items() if user_id not in written.put_off}
        if not locations or not await self._start(list(locations), len(locations), written):
            return
        answers = await self._world.licenses.set_usage_locations(locations, urgent=True)
        await self._pacer.heed_throttling(answers.values())
        entries = []
        for user_id, answer in answers.items():
            match answer:
                case Accepted():
                    written.accepted_locations[user_id] = locations[user_id]
                    detail = f"usageLocation {locations[user_id]}"
                    entries.append(self._entry("Update user", records[user_id], user_id, detail=detail))
                case Rejected(status=404) if self._is_young(records[user_id]):
                    self._missing(user_id, answer, written)
                case Rejected():
                    rejection = location_rejection(locations[user_id], answer.message, answer.status)
                    written.rejected_locations[user_id] = rejection
                case _:
                    self._put_off(user_id, answer, written)
        await self._world.stores.audit.append(entries)

    async def _change(
        self, changes: Sequence[MembershipChange], records: Mapping[UserId, OnboardingRecord], written: Written
    ) -> None:
        await self._leave_test_users({change.user_id for change in changes}, written)
        open_ones = [change for change in changes if change.user_id not in written.put_off]
        users = [change.user_id for change in open_ones]
        if not open_ones or not await self._start(users, len(open_ones), written):
            return
        answers = await self._world.memberships.change(open_ones)
        await self._pacer.heed_throttling(answers)
        entries = []
        for change, answer in zip(open_ones, answers, strict=True):
            match answer:
                case Accepted():
                    done = GroupOutcome.ADDED if change.add else GroupOutcome.REMOVED
                    written.results[change.user_id][change.group_id] = GroupResult(change.group_id, done)
                    activity = "Add member to group" if change.add else "Remove member from group"
                    entries.append(self._entry(activity, records[change.user_id], change.user_id, change.group_id))
                case AlreadySo():
                    done = GroupOutcome.ALREADY_MEMBER if change.add else GroupOutcome.NOT_A_MEMBER
                    written.results[change.user_id][change.group_id] = GroupResult(change.group_id, done)
                case Rejected(status=404) if self._is_young(records[change.user_id]):
                    self._missing(change.user_id, answer, written)
                case Rejected():
                    written.results[change.user_id][change.group_id] = _rejected(change.group_id, answer)
                case _:
                    self._put_off(change.user_id, answer, written)
        await self._world.stores.audit.append(entries)

    def _is_young(self, record: OnboardingRecord) -> bool:
        return self._world.clock.now() < record.received_at + NEW_FOR

    def _missing(self, user_id: UserId, answer: Rejected, written: Written) -> None:
        written.postpone(user_id, self._world.clock.now() + MISSING_RETRY, f"Not replicated yet: {answer.message}")

    def _put_off(self, user_id: UserId, answer: WriteResult, written: Written) -> None:
        now = self._world.clock.now()
        if isinstance(answer, Throttled):
            written.postpone(user_id, now + timedelta(seconds=answer.retry_after_s), "Graph throttles writes.")
        elif isinstance(answer, Contended):
            wait = max(CONTENTION_RETRY.shortest, timedelta(seconds=answer.retry_after_s or 0))
            written.postpone(user_id, now + wait, f"Other writes are in progress: {answer.message}")
        elif isinstance(answer, Unsent):
            again = now + timedelta(seconds=answer.retry_after_s)
            written.postpone(user_id, again, "No connection to Graph could be opened.")
        elif isinstance(answer, Unanswered):
            written.postpone(user_id, now + UNANSWERED_RETRY, f"A write was not answered: {answer.why}")

    def _entry(
        self,
        activity: str,
        record: OnboardingRecord,
        user_id: UserId,
        group_id: GroupId | None = None,
        detail: str = "",
    ) -> AuditEntry:
        """Named by the event, so that recording it again changes nothing."""
        name = (record.key, activity.lower().replace(" ", "-"), user_id, *([group_id] if group_id else []))
        now = self._world.clock.now()
        return AuditEntry("-".join(name), now, activity, record.sender, "success", user_id, group_id, detail=detail)


def _rejected(group_id: GroupId, answer: Rejected) -> GroupResult:
    """The meaning of Graph's rejection of a membership."""
    if answer.status == 403:
        remedy = "Grant the app GroupMember.ReadWrite.All (see the permissions in the README), then replay the event."
    elif answer.status == 404:
        remedy = "Check that the group exists, then replay the event."
    else:
        remedy = "Repair what the message names, then replay the event."
    return GroupResult(group_id, GroupOutcome.REJECTED, answer.message or f"Graph answered {answer.status}", remedy)
