"""Microsoft's own group-based licensing over a FakeDirectory: what groups have is what tests wrote there.

`reprocess` answers as the test says; by default it makes every product of the user's licensed groups active.
`assign_group_licenses` changes the group at once; its members follow at once, or with `slow` when the test says.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from shared.domain.directory import (
    AssignedLicense,
    DirectoryGroup,
    DirectoryUser,
    LicenseAssignmentState,
    LicenseError,
    LicenseState,
)
from shared.domain.errors import NotFound, NotOffered, Unavailable
from shared.domain.ids import GroupId, Plans, ServicePlanId, SkuId, UserId
from shared.domain.write_results import Accepted, Rejected, Unanswered, WriteResult
from shared.ports.native_licensing import DirectMembers, LicensedGroup
from tests.support.fakes_directory import FakeDirectory

Answer = Callable[[UserId], WriteResult]


@dataclass(slots=True)
class FakeNativeLicensing:
    """`calls`: what was asked of Graph, in order."""

    directory: FakeDirectory
    processing: dict[GroupId, str] = field(default_factory=dict)
    shows_licenses: bool = True
    away: bool = False
    unlisted: set[GroupId] = field(default_factory=set)
    """Licensed groups that a list leaves out, as a lagging one does."""
    answer: Answer | None = None
    page_size: int = 999
    calls: list[str] = field(default_factory=list)
    reprocessed: list[UserId] = field(default_factory=list)
    group_calls: list[tuple[GroupId, tuple[SkuId, ...], tuple[SkuId, ...]]] = field(default_factory=list)
    """Group calls in order: the group, products added, products removed."""
    group_answers: list[WriteResult] = field(default_factory=list)
    """Answers of the next group calls. A call that is not accepted changes nothing, unless it is Unanswered."""
    lost_calls: int = 0
    """So many of the next group calls are accepted and then lost, as beside a parallel call."""
    slow: bool = False
    """Members are processed by `process` alone."""
    hidden: set[GroupId] = field(default_factory=set)
    """Groups whose members the app cannot see: they read empty, as without Member.Read.Hidden."""
    lagging: dict[GroupId, DirectoryGroup] = field(default_factory=dict)
    """Groups whose reads show an earlier state, until the test removes the entry."""
    on_group_call: Callable[[GroupId], None] | None = None
    """Called before a group call takes effect."""
    plans_after: timedelta = timedelta(0)
    """How long after a license its plans are Enabled in `assignedPlans`."""
    unreadable_plans: set[UserId] = field(default_factory=set)
    """Users whose `assignedPlans` cannot be read."""
    keeps_products: bool = False
    """A member in error keeps the products of the group that were active, with an error (the switch
    `failedGroupProduct` of the simulated tenant)."""
    exclusive: frozenset[frozenset[SkuId]] = frozenset()
    """Pairs of products that a member cannot have together."""

    def license(self, group_id: str, *sku_ids: SkuId, members: Sequence[str] = ()) -> GroupId:
        """A licensed group, its members with every product."""
        licenses = tuple(AssignedLicense(each) for each in sku_ids)
        group = DirectoryGroup(GroupId(group_id), f"Group {group_id}", security_enabled=True, native_skus=licenses)
        key = self.directory.add_group(group_id, members, group=group)
        self.processing.setdefault(key, "ProcessingComplete")
        for each in members:
            if self.directory.person(UserId(each)) is not None:
                self.give(each, key)
        return key

    def give(self, user_id: str, group_id: GroupId, error: str | None = None, culprit: SkuId | None = None) -> None:
        """The rows of a group for a user: active, or all in error, `Other` for all but the culprit."""
        user = self.directory.person(UserId(user_id))
        assert user is not None
        rows = [row for row in user.license_assignment_states if row.assigned_by_group != group_id]
        mine = [row for row in user.license_assignment_states if row.assigned_by_group == group_id]
        kept = {row.sku_id: row for row in mine if row.state.counts} if error and self.keeps_products else {}
        for each in self.directory.groups[group_id].native_skus:
            own = error if error is None or culprit in (None, each.sku_id) else "Other"
            state = LicenseState.ACTIVE if error is None else LicenseState.ERROR
            now = self.directory.now()
            row = LicenseAssignmentState(each.sku_id, each.disabled_plans, group_id, state, own, now)
            if before := kept.get(each.sku_id):
                row = replace(before, state=LicenseState.ACTIVE_WITH_ERROR, error=own, last_updated=now)
            rows.append(row)
        self.directory.change_user(replace(user, license_assignment_states=tuple(rows)))

    def take(self, user_id: str, group_id: GroupId) -> None:
        """No rows of a group, as before it was processed."""
        user = self.directory.person(UserId(user_id))
        assert user is not None
        rows = tuple(row for row in user.license_assignment_states if row.assigned_by_group != group_id)
        self.directory.change_user(replace(user, license_assignment_states=rows))

    def hide(self, group_id: GroupId) -> None:
        """The group hides its membership, and the app lacks the permission to see it."""
        self.directory.groups[group_id] = replace(self.directory.groups[group_id], hidden_membership=True)
        self.hidden.add(group_id)

    async def licensed_groups(self) -> tuple[LicensedGroup, ...]:
        self._count("groups")
        groups = [each for each in self.directory.groups.values() if each.native_skus and each.id not in self.unlisted]
        return tuple(LicensedGroup(each, self.processing.get(each.id, "")) for each in groups)

    async def licensed_group(self, group_id: GroupId) -> LicensedGroup:
        self._count("group")
        if group_id not in self.directory.groups:
            raise NotFound(f"group {group_id}")
        group = self.lagging.get(group_id) or self.directory.groups[group_id]
        return LicensedGroup(group, self.processing.get(group_id, ""))

    async def enabled_plans(self, user_ids: Sequence[UserId]) -> Mapping[UserId, Plans]:
        self._count("plans")
        return {each: self._shown(each) for each in user_ids if each not in self.unreadable_plans}

    def _shown(self, user_id: UserId) -> Plans:
        """`assignedPlans`: the plans of all sources, later than the licenses."""
        shown: set[ServicePlanId] = set()
        for row in self.directory.truth(user_id).license_assignment_states:
            sku, since = self.directory.sku(row.sku_id), row.last_updated
            is_old = since is None or self.directory.now() - since >= self.plans_after
            if row.state.counts and sku is not None and is_old:
                shown |= sku.plan_ids - row.disabled_plans
        return frozenset(shown)

    async def assign_group_licenses(
        self, group_id: GroupId, add: Sequence[AssignedLicense], remove: Sequence[SkuId], *, urgent: bool = False
    ) -> WriteResult:
        self._count("assign")
        self.group_calls.append((group_id, tuple(each.sku_id for each in add), tuple(remove)))
        if self.on_group_call is not None:
            self.on_group_call(group_id)
        answer = self.group_answers.pop(0) if self.group_answers else Accepted()
        if not isinstance(answer, Accepted | Unanswered):
            return answer
        group = self.directory.groups[group_id]
        licenses = {each.sku_id: each for each in group.native_skus}
        if missing := set(remove) - licenses.keys():
            return Rejected(400, "Request_BadRequest", f"Group does not have a corresponding license. {missing}")
        if self.lost_calls:
            self.lost_calls -= 1
            return answer
        kept = {sku_id: each for sku_id, each in licenses.items() if sku_id not in remove}
        kept.update({each.sku_id: each for each in add})
        self.directory.groups[group_id] = replace(group, native_skus=tuple(kept.values()))
        self.processing[group_id] = "QueuedForProcessing"
        if not self.slow:
            self.process(group_id)
        return answer

    def process(self, group_id: GroupId, *user_ids: str) -> None:
        """What Microsoft's licensing does for members, by default for all; then the group is complete."""
        ids = user_ids or tuple(self.directory.direct_members(group_id))
        for each in ids:
            if self.directory.person(UserId(each)) is not None:
                self._settle(each, group_id)
        self.processing[group_id] = "ProcessingInProgress" if user_ids else "ProcessingComplete"

    def _settle(self, user_id: str, group_id: GroupId) -> None:
        """All products of the group, or none; `keeps_products` says what becomes of those that the member had."""
        group, user = self.directory.groups[group_id], self.directory.truth(user_id)
        others = {
            row.sku_id
            for row in user.license_assignment_states
            if row.assigned_by_group != group_id and row.state.counts
        }
        wanted = {each.sku_id for each in group.native_skus}
        for each in sorted(wanted):
            sku = self.directory.sku(each)
            if each not in user.assigned_skus and (sku is None or sku.available < 1):
                self.give(user_id, group_id, LicenseError.COUNT_VIOLATION, each)
                return
            if any(each in pair and pair & ((others | wanted) - {each}) for pair in self.exclusive):
                self.give(user_id, group_id, LicenseError.MUTUALLY_EXCLUSIVE, each)
                return
        self.give(user_id, group_id)

    async def members(self, group_id: GroupId) -> AsyncIterator[DirectMembers]:
        self._count("members")
        if group_id not in self.directory.groups:
            raise NotFound(f"group {group_id}")
        if not self.shows_licenses:
            raise NotOffered("licenseAssignmentStates is absent")
        ids = () if group_id in self.hidden else tuple(self.directory.direct_members(group_id))
        users = [user for each in ids if (user := self.directory.person(UserId(each))) is not None]
        nested = [GroupId(each) for each in ids if GroupId(each) in self.directory.groups]
        for start in range(0, max(1, len(users)), self.page_size):
            yield DirectMembers(users[start : start + self.page_size], nested if start == 0 else ())

    async def in_error(self, group_id: GroupId) -> tuple[DirectoryUser, ...]:
        self._count("errors")
        ids = self.directory.direct_members(group_id)
        users = [user for each in ids if (user := self.directory.person(UserId(each))) is not None]
        return tuple(
            user
            for user in users
            if any(row.assigned_by_group == group_id and row.error for row in user.license_assignment_states)
        )

    async def reprocess(self, user_ids: Sequence[UserId], *, urgent: bool) -> Mapping[UserId, WriteResult]:
        self._count("reprocess")
        self.reprocessed += user_ids
        return {user_id: self._reprocess(user_id) for user_id in user_ids}

    def _reprocess(self, user_id: UserId) -> WriteResult:
        answer = self.answer(user_id) if self.answer is not None else Accepted()
        if isinstance(answer, Accepted):
            user = self.directory.truth(user_id)
            for row in user.license_assignment_states:
                sku = self.directory.sku(row.sku_id)
                short = row.error == "CountViolation" and (sku is None or sku.available < 1)
                if short:
                    text = f"Subscription with SKU {row.sku_id} does not have any available licenses."
                    return Rejected(400, "Request_BadRequest", text)
            for group_id in user.group_ids:
                if self.directory.groups[group_id].native_skus and user_id in self.directory.direct_members(group_id):
                    self.give(user_id, group_id)
        return answer

    def _count(self, call: str) -> None:
        if self.away:
            raise Unavailable(5.0, "told to be away")
        self.calls.append(call)
