"""A directory with memory and a writer that changes it: what handlers' tests use in place of Graph.

Both can be told to fail for one user: throttled, rejected, unanswered with the write done or not, stale, unreadable.
The rules are Graph's simple ones (learn.microsoft.com/graph/api/user-assignlicense): request, removals, usage location,
seats and, where sets are given, plans that exclude each other.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict, deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from shared.domain.directory import (
    AssignedLicense,
    DirectoryGroup,
    DirectoryUser,
    FoundUser,
    LicenseAssignmentState,
    LicenseState,
    NotAUser,
    ReadFailed,
    SubscribedSku,
    UserGone,
    UserRead,
)
from shared.domain.errors import NotFound, PermissionDenied, Unavailable
from shared.domain.ids import NO_PLANS, GroupId, Plans, ServicePlanId, SkuId, UserId
from shared.domain.write_results import Accepted, Contended, LicenseCall, Rejected, Throttled, Unanswered, WriteResult
from shared.ports.directory import MOST_FOUND, Organization

BATCH_LIMIT = 20
ALWAYS = 1_000_000
DENIED = Rejected(403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")
BEGINNING = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)


CONFLICT_TEXTS = (
    "License assignment failed because service plans {a}, {b} are mutually exclusive",
    "License assignment failed because service plan {a} conflicts with service plan {b}",
    "License assignment failed because service plans {a},{b} are mutually exclusive",
)
"""How live tenants were seen to word a conflict."""


@dataclass(frozen=True, slots=True)
class _Person:
    user: DirectoryUser
    deleted: bool = False

    @property
    def takes(self) -> frozenset[SkuId]:
        """Products of which he takes a seat."""
        rows = () if self.deleted else self.user.license_assignment_states
        return frozenset(row.sku_id for row in rows if row.state.counts)


def _has_words(text: str, name: str) -> bool:
    """Whether each word of the text begins one of the name."""
    if name.lower().startswith(text):
        return True
    have = re.split(r"[\s\-_.,]+", name.lower())
    return all(any(word.startswith(wanted) for word in have) or wanted in have for wanted in text.split())


def _fits(text: str, user: FoundUser) -> bool:
    beginnings = (user.display_name, user.user_principal_name, user.mail)
    exact = {user.id, user.employee_id.lower()}
    starts = any(each.lower().startswith(text) for each in beginnings)
    return starts or text in exact or _has_words(text, user.display_name)


class FakeDirectory:
    """Users, groups in groups, products. Ids may be any text. `now` dates what is written."""

    def __init__(
        self,
        *,
        exclusions: Iterable[Plans] = (),
        now: Callable[[], datetime] = lambda: BEGINNING,
        country_letter_code: str | None = "DE",
        page_size: int = 999,
    ) -> None:
        self.exclusions = tuple(exclusions)
        """Sets of plans of which a user can have one on."""
        self.conflict_text = CONFLICT_TEXTS[0]
        self.plan_text = "Service plan {plan} does not belong to the subscription with SKU {sku}."
        """The text for a disabled plan that is not in its product, since Microsoft publishes none; empty: ignored."""
        self.stale_skus: Mapping[SkuId, SubscribedSku] = {}
        self.cached_skus: Mapping[SkuId, SubscribedSku] = {}
        """What a caller gets that accepts an earlier answer."""
        """Products as a read from before a change shows them."""
        self.addresses: dict[str, frozenset[str]] = {}
        """Ids of the objects that have an e-mail address."""
        self.now = now
        self.page_size = page_size
        self.reads: list[tuple[UserId, ...]] = []
        """The ids of each call of `users`."""
        self.lists_holders = True
        """Whether the users of a product can be listed."""
        self.described: dict[UserId, dict[str, str]] = {}
        """What a search shows of a user beside the names: fields of FoundUser."""
        self.groups: dict[GroupId, DirectoryGroup] = {}
        self.units: dict[str, set[GroupId]] = {}
        """Groups of each administrative unit; reading one of `unit_faults` raises that."""
        self.unit_faults: dict[str, Exception] = {}
        self._organization = Organization("tenant", "Fabrikam", country_letter_code)
        self._people: dict[UserId, _Person] = {}
        self._holders: Counter[SkuId] = Counter()
        self._members: dict[GroupId, dict[str, None]] = {}
        self._others: dict[str, str] = {}
        self._skus: dict[SkuId, SubscribedSku] = {}
        self._stale: dict[UserId, DirectoryUser] = {}
        self._read_failures: dict[UserId, deque[ReadFailed]] = defaultdict(deque)
        self._away_for = 0
        self._away_s: float | None = None
        self._cut: dict[GroupId, int] = {}
        self._thin: set[GroupId] = set()

    def add_sku(self, sku: SubscribedSku) -> SkuId:
        """A product; its `consumed_units` are seats taken by people this directory does not hold."""
        self._skus[sku.sku_id] = sku
        return sku.sku_id

    def remove_sku(self, sku_id: SkuId, *, licenses: bool = False) -> None:
        """The tenant no longer has a product, and with `licenses` nobody has it either."""
        del self._skus[sku_id]
        for user_id, person in list(self._people.items()) if licenses else ():
            rest = tuple(row for row in person.user.license_assignment_states if row.sku_id != sku_id)
            self._keep(user_id, replace(person, user=replace(person.user, license_assignment_states=rest)))

    def retire_plan(self, sku_id: SkuId, plan_id: ServicePlanId, *, is_forgotten: bool = True) -> None:
        """Microsoft takes a plan out of a product. `is_forgotten`: no license shows it in `disabledPlans` any more."""
        sku = self._skus[sku_id]
        left = tuple(plan for plan in sku.service_plans if plan.service_plan_id != plan_id)
        self._skus[sku_id] = replace(sku, service_plans=left)
        for person in list(self._people.values()) if is_forgotten else ():
            rows = tuple(
                replace(row, disabled_plans=row.disabled_plans - {plan_id}) if row.sku_id == sku_id else row
                for row in person.user.license_assignment_states
            )
            self.change_user(replace(person.user, license_assignment_states=rows))

    def add_user(
        self,
        user_id: str,
        *,
        has: Iterable[AssignedLicense] = (),
        rows: Iterable[LicenseAssignmentState] = (),
        location: str | None = "DE",
        enabled: bool = True,
        guest: bool = False,
        groups: Iterable[str] = (),
    ) -> UserId:
        """A user with direct licenses `has` and any other assignment states `rows`, in `groups`."""
        key = UserId(user_id)
        direct = [LicenseAssignmentState(each.sku_id, each.disabled_plans, last_updated=self.now()) for each in has]
        user = DirectoryUser(
            id=key,
            user_principal_name=f"{user_id}@fabrikam.example",
            display_name=f"User {user_id}",
            account_enabled=enabled,
            user_type="Guest" if guest else "Member",
            usage_location=location,
            license_assignment_states=(*direct, *rows),
        )
        self._keep(key, _Person(user))
        for group_id in groups:
            self.join(group_id, user_id)
        return key

    def add_group(self, group_id: str, members: Iterable[str] = (), *, group: DirectoryGroup | None = None) -> GroupId:
        """A security group of users, groups and other things; `group` gives it other properties."""
        key = GroupId(group_id)
        self.groups[key] = group or DirectoryGroup(key, f"Group {group_id}", security_enabled=True)
        self._members.setdefault(key, {})
        for member in members:
            self.join(group_id, member)
        return key

    def add_other(self, object_id: str, kind: str = "device") -> UserId:
        """Something that is no user."""
        self._others[object_id] = kind
        return UserId(object_id)

    def join(self, group_id: str, member_id: str) -> None:
        self._members[GroupId(group_id)].setdefault(member_id)

    def leave(self, group_id: str, member_id: str) -> None:
        del self._members[GroupId(group_id)][member_id]

    def remove_group(self, group_id: str) -> None:
        del self.groups[GroupId(group_id)], self._members[GroupId(group_id)]

    def delete_user(self, user_id: str) -> None:
        """As the recycle bin does: `restore_user` brings everything back."""
        self._keep(UserId(user_id), replace(self._people[UserId(user_id)], deleted=True))

    def restore_user(self, user_id: str) -> None:
        self._keep(UserId(user_id), replace(self._people[UserId(user_id)], deleted=False))

    def change_user(self, user: DirectoryUser) -> None:
        """Replace a user's properties and assignment states, as a person at the console would."""
        self._keep(user.id, replace(self._people[user.id], user=replace(user, group_ids=frozenset())))

    def user_ids(self) -> tuple[UserId, ...]:
        """All users, deleted ones too."""
        return tuple(self._people)

    def direct_members(self, group_id: str) -> tuple[str, ...]:
        return tuple(self._members[GroupId(group_id)])

    def truth(self, user_id: str) -> DirectoryUser:
        """The user as he is, never stale, with all his groups."""
        user = self._people[UserId(user_id)].user
        return replace(user, group_ids=self._groups_of(user_id))

    def licenses(self, user_id: str) -> dict[SkuId, Plans]:
        """The direct licenses the user really has: SKU to disabled plans."""
        return {sku_id: row.disabled_plans for sku_id, row in self.truth(user_id).direct.items()}

    def make_stale(self, user_id: str) -> None:
        """Serve the user as he is now, groups and all, until `make_fresh`."""
        self._stale[UserId(user_id)] = self.truth(user_id)

    def is_stale(self, user_id: str) -> bool:
        """Whether reads of the user lag."""
        return UserId(user_id) in self._stale

    def make_fresh(self, user_id: str) -> None:
        self._stale.pop(UserId(user_id), None)

    def fail_read(self, user_id: str, failure: ReadFailed | None = None, *, times: int = 1) -> None:
        """The next `times` reads of the user fail."""
        self._read_failures[UserId(user_id)].extend([failure or ReadFailed("told to fail")] * times)

    def go_away(self, retry_after_s: float | None = None, *, times: int = ALWAYS) -> None:
        """The next `times` calls of any kind raise Unavailable; `come_back` ends that."""
        self._away_for, self._away_s = times, retry_after_s

    def come_back(self) -> None:
        self._away_for = 0

    def cut_members(self, group_id: str, after_pages: int) -> None:
        """Reading the group's members breaks off after so many pages; 0 before the first; -1 never again."""
        if after_pages < 0:
            self._cut.pop(GroupId(group_id), None)
        else:
            self._cut[GroupId(group_id)] = after_pages

    def thin_members(self, group_id: str, *, thin: bool = True) -> None:
        """Members come without their properties, as they do without User.Read.All."""
        (self._thin.add if thin else self._thin.discard)(GroupId(group_id))

    async def organization(self) -> Organization:
        self._check_away()
        return self._organization

    async def subscribed_skus(self, max_age_s: float = 30.0) -> tuple[SubscribedSku, ...]:
        self._check_away()
        shown = {**self._skus, **self.stale_skus, **(self.cached_skus if max_age_s else {})}.values()
        return tuple(replace(sku, consumed_units=self.consumed(sku.sku_id)) for sku in shown)

    async def address_holders(self, addresses: Sequence[str]) -> Mapping[str, frozenset[str]]:
        self._check_away()
        return {each: self.addresses[each] for each in addresses if each in self.addresses}

    async def users(self, user_ids: Sequence[UserId], *, with_groups: bool = True) -> Mapping[UserId, UserRead]:
        self._check_away()
        self.reads.append(tuple(user_ids))
        return {user_id: self._read(user_id, with_groups) for user_id in user_ids}

    async def find_groups(self, text: str, top: int = MOST_FOUND) -> tuple[DirectoryGroup, ...]:
        self._check_away()
        found = [
            each for each in self.groups.values() if _has_words(text.lower(), each.display_name) or each.id == text
        ]
        return tuple(sorted(found, key=lambda each: each.display_name)[:top])

    async def groups_named(self, name: str) -> tuple[DirectoryGroup, ...]:
        self._check_away()
        return tuple(each for each in self.groups.values() if each.display_name.casefold() == name.casefold())

    async def find_users(self, text: str, top: int = MOST_FOUND) -> tuple[FoundUser, ...]:
        self._check_away()
        present = (key for key, person in self._people.items() if not person.deleted)
        found = [each for each in map(self._found_user, present) if _fits(text.lower(), each)]
        return tuple(sorted(found, key=lambda each: each.display_name)[:top])

    async def users_found(self, user_ids: Sequence[UserId]) -> Mapping[UserId, FoundUser]:
        self._check_away()
        people = self._people
        return {each: self._found_user(each) for each in user_ids if each in people and not people[each].deleted}

    def _found_user(self, user_id: UserId) -> FoundUser:
        user = self._people[user_id].user
        plain = FoundUser(user_id, user.display_name, user.user_principal_name, user.account_enabled)
        more: dict[str, Any] = dict(self.described.get(user_id, {}))
        return replace(plain, **more)

    async def holders(
        self, sku_id: SkuId, top: int, after: str | None = None
    ) -> tuple[tuple[DirectoryUser, ...], str | None]:
        self._check_away()
        if not self.lists_holders:
            raise Unavailable(None, "unsupported filter", rejected=True)
        found = sorted(key for key, person in self._people.items() if sku_id in person.takes and key > (after or ""))
        users = tuple(self._people[key].user for key in found[:top])
        return users, found[top - 1] if len(found) > top else None

    async def group(self, group_id: GroupId) -> DirectoryGroup:
        self._check_away()
        if group_id not in self.groups:
            raise NotFound(f"group {group_id}")
        return self.groups[group_id]

    async def kinds(self, ids: Sequence[str]) -> Mapping[str, str | None]:
        self._check_away()
        return {each: self._kind_of(each) for each in ids}

    def _kind_of(self, each: str) -> str | None:
        if each in self.groups:
            return "group"
        person = self._people.get(UserId(each))
        return "user" if person is not None and not person.deleted else self._others.get(each)

    async def member_pages(
        self, group_id: GroupId, nested: set[GroupId] | None = None
    ) -> AsyncIterator[Sequence[DirectoryUser]]:
        if nested is not None:
            nested |= {GroupId(each) for each in self._below(group_id) & self.groups.keys() - {group_id}}
        if group_id in self._thin:
            raise PermissionDenied("members come without their properties: User.Read.All is missing")
        async for page in self._pages(group_id):
            yield page

    async def _pages(self, group_id: GroupId) -> AsyncIterator[Sequence[DirectoryUser]]:
        self._check_away()
        if group_id not in self.groups:
            raise NotFound(f"group {group_id}")
        inside = self._below(group_id)
        seen = (self._stale.get(key) or person.user for key, person in self._people.items() if not person.deleted)
        found = [user for user in seen if (group_id in user.group_ids if user.id in self._stale else user.id in inside)]
        pages = [found[start : start + self.page_size] for start in range(0, len(found), self.page_size)]
        for number, page in enumerate(pages or [[]]):
            if self._cut.get(group_id) == number:
                raise Unavailable(None, f"members of group {group_id} broke off at page {number}")
            yield [_as_member(user) for user in page]

    async def member_ids(self, group_id: GroupId) -> AsyncIterator[Sequence[UserId]]:
        async for page in self._pages(group_id):
            yield [user.id for user in page]

    async def member_list(self, group_id: GroupId, max_age_s: float) -> frozenset[UserId]:
        return frozenset([user_id async for page in self.member_ids(group_id) for user_id in page])

    async def groups_of_unit(self, unit_id: str) -> frozenset[GroupId]:
        self._check_away()
        if unit_id in self.unit_faults:
            raise self.unit_faults[unit_id]
        return frozenset(self.units[unit_id])

    def consumed(self, sku_id: SkuId) -> int:
        """Seats taken: one per user, however many sources give the SKU."""
        return self._holders[sku_id] + self._skus[sku_id].consumed_units

    def sku(self, sku_id: SkuId) -> SubscribedSku | None:
        """The product with its seats as they are now, or None for one the tenant does not own."""
        sku = self._skus.get(sku_id)
        return replace(sku, consumed_units=self.consumed(sku_id)) if sku else None

    def person(self, user_id: UserId) -> DirectoryUser | None:
        """The user as he is, or None for one who is deleted or unknown."""
        person = self._people.get(user_id)
        return None if person is None or person.deleted else person.user

    def _check_away(self) -> None:
        if self._away_for > 0:
            self._away_for -= 1
            raise Unavailable(self._away_s, "told to be away")

    def _seen(self, user_id: UserId) -> DirectoryUser | None:
        if self._people[user_id].deleted:
            return None
        return self._stale.get(user_id) or self.truth(user_id)

    def _read(self, user_id: UserId, with_groups: bool) -> UserRead:
        if self._read_failures[user_id]:
            return self._read_failures[user_id].popleft()
        if user_id in self._others:
            return NotAUser(self._others[user_id])
        if GroupId(user_id) in self.groups:
            return NotAUser("group")
        user = self._seen(user_id) if user_id in self._people else None
        if user is None:
            return UserGone()
        return user if with_groups else replace(user, group_ids=frozenset())

    def _keep(self, user_id: UserId, person: _Person) -> None:
        before = self._people.get(user_id)
        if before is not None:
            self._holders.subtract(before.takes)
        self._holders.update(person.takes)
        self._people[user_id] = person

    def _below(self, group_id: GroupId) -> set[str]:
        """All that is in the group, directly or through other groups."""
        found: set[str] = set()
        look_into = deque([str(group_id)])
        while look_into:
            new = self._members.get(GroupId(look_into.popleft()), {}).keys() - found
            found |= new
            look_into.extend(new)
        return found

    def _groups_of(self, member_id: str) -> frozenset[GroupId]:
        found: set[GroupId] = set()
        look_for = deque([member_id])
        while look_for:
            one = look_for.popleft()
            above = [group for group, members in self._members.items() if one in members and group not in found]
            found.update(above)
            look_for.extend(above)
        return frozenset(found)


def _as_member(user: DirectoryUser) -> DirectoryUser:
    """As lists of members show a user: without groups, and license rows without their times."""
    rows = tuple(replace(row, last_updated=None) for row in user.license_assignment_states)
    return replace(user, group_ids=frozenset(), license_assignment_states=rows)


@dataclass(frozen=True, slots=True)
class WriteEntry:
    """One write that succeeded. `before`/`after`: direct licenses, SKU to disabled plans."""

    user_id: UserId
    operation: str
    before: Mapping[SkuId, Plans]
    after: Mapping[SkuId, Plans]
    location: str | None
    urgent: bool
    at: datetime

    @property
    def changed(self) -> bool:
        return self.operation != "assignLicense" or self.before != self.after


@dataclass(slots=True)
class _Trouble:
    """What becomes of one call: the answer given, and whether the write is done all the same."""

    answer: WriteResult
    done: bool = False


@dataclass(slots=True)
class FakeLicenseWriter:
    """Writes into a FakeDirectory and keeps what it was told and what it did."""

    directory: FakeDirectory
    calls: list[Mapping[UserId, LicenseCall]] = field(default_factory=list)
    """Each call of `assign`, rejected and failed users included."""
    log: list[WriteEntry] = field(default_factory=list)
    """The writes that were done, lost answers included."""
    on_call: Callable[[UserId], None] | None = None
    """Called for every user before the write, so that a test can change the world in between."""
    denied_until: datetime = BEGINNING
    """Licenses are denied before this time, as to a token that is older than the grant."""
    locations_denied_until: datetime = BEGINNING
    _troubles: dict[UserId, deque[_Trouble]] = field(default_factory=lambda: defaultdict(deque))
    _location_troubles: dict[UserId, deque[_Trouble]] = field(default_factory=lambda: defaultdict(deque))

    def throttle(
        self, user_id: str, retry_after_s: float = 10.0, *, times: int = 1, scope: str = "Tenant_Application/Write"
    ) -> None:
        """Answer 429 to the next `times` calls for the user."""
        self._expect(user_id, _Trouble(Throttled(retry_after_s, scope)), times)

    def reject(
        self, user_id: str, message: str, *, status: int = 400, code: str = "Request_BadRequest", times: int = 1
    ) -> None:
        self._expect(user_id, _Trouble(Rejected(status, code, message)), times)

    def reject_location(self, user_id: str, message: str, *, status: int = 403, times: int = 1) -> None:
        """Refuse the next `times` usage locations for the user."""
        answer = Rejected(status, "Authorization_RequestDenied", message)
        self._location_troubles[UserId(user_id)].extend([_Trouble(answer)] * times)

    def contend(self, user_id: str, *, times: int = 1, done: bool = False) -> None:
        """Reject the next `times` calls for the user as concurrent. `done`: the write is done all the same."""
        text = "Error due to concurrent requests being made to the tenant."
        self._expect(user_id, _Trouble(Contended(text), done), times)

    def drop(self, user_id: str, *, times: int = 1) -> None:
        """No answer, and the write is not done."""
        self._expect(user_id, _Trouble(Unanswered("told to drop")), times)

    def lose_answer(self, user_id: str, *, times: int = 1) -> None:
        """No answer, though the write is done."""
        self._expect(user_id, _Trouble(Unanswered("told to lose the answer"), done=True), times)

    @property
    def calls_made(self) -> int:
        """License calls, one per user and attempt."""
        return sum(len(each) for each in self.calls)

    async def assign(self, calls: Mapping[UserId, LicenseCall], *, urgent: bool) -> Mapping[UserId, WriteResult]:
        _check_size(calls)
        self.calls.append(dict(calls))
        return {user_id: self._dated(self._assign(user_id, call, urgent)) for user_id, call in calls.items()}

    def _dated(self, answer: WriteResult) -> WriteResult:
        """The answer with the time that its `Date` tells."""
        now = self.directory.now()
        return replace(answer, between=(now, now)) if isinstance(answer, Accepted | Rejected | Contended) else answer

    async def set_usage_locations(
        self, locations: Mapping[UserId, str], *, urgent: bool
    ) -> Mapping[UserId, WriteResult]:
        _check_size(locations)
        return {user_id: self._locate(user_id, place, urgent) for user_id, place in locations.items()}

    def _expect(self, user_id: str, trouble: _Trouble, times: int) -> None:
        self._troubles[UserId(user_id)].extend([trouble] * times)

    def _assign(self, user_id: UserId, call: LicenseCall, urgent: bool) -> WriteResult:
        if self.on_call is not None:
            self.on_call(user_id)
        if self.directory.now() < self.denied_until:
            return DENIED
        trouble = _next(self._troubles[user_id])
        if trouble is not None and not trouble.done:
            return trouble.answer
        user = self.directory.person(user_id)
        if user is None:
            return _not_found(user_id)
        after = tuple(map(self._without_unknown_plans, _rows_after(user, call, self.directory.now())))
        rejection = _fault_of(call, user) or self._state_fault(user, after, call)
        if rejection is not None:
            return Rejected(400, "Request_BadRequest", rejection)
        changed = replace(user, license_assignment_states=after)
        self.directory.change_user(changed)
        self.log.append(
            WriteEntry(
                user_id,
                "assignLicense",
                _direct(user),
                _direct(changed),
                user.usage_location,
                urgent,
                self.directory.now(),
            )
        )
        return trouble.answer if trouble else Accepted()

    def _locate(self, user_id: UserId, place: str, urgent: bool) -> WriteResult:
        if self.directory.now() < self.locations_denied_until:
            return DENIED
        trouble = _next(self._location_troubles[user_id])
        if trouble is not None and not trouble.done:
            return trouble.answer
        user = self.directory.person(user_id)
        if user is None:
            return _not_found(user_id)
        self.directory.change_user(replace(user, usage_location=place))
        held, now = _direct(user), self.directory.now()
        self.log.append(WriteEntry(user_id, "usageLocation", held, held, place, urgent, now))
        return trouble.answer if trouble else Accepted()

    def _state_fault(
        self, user: DirectoryUser, after: tuple[LicenseAssignmentState, ...], call: LicenseCall
    ) -> str | None:
        for license_ in call.add:
            sku = self.directory.sku(license_.sku_id)
            if sku is None:
                return f"License {license_.sku_id} does not correspond to a valid company License."
            for plan in sorted(license_.disabled_plans - sku.plan_ids) if self.directory.plan_text else ():
                return self.directory.plan_text.format(plan=plan, sku=license_.sku_id)
            if license_.sku_id not in user.assigned_skus and sku.available < 1:
                return f"Subscription with SKU {license_.sku_id} does not have any available licenses."
        if call.add and not user.usage_location:
            return "License assignment cannot be done for user with invalid usage location."
        on_before, on_after = self._plans_on(user.license_assignment_states), self._plans_on(after)
        for exclusive in self.directory.exclusions:
            both = sorted(exclusive & on_after)
            if len(both) > 1 and exclusive & on_after - on_before:
                return self.directory.conflict_text.format(a=both[0], b=both[1])
        return None

    def _without_unknown_plans(self, row: LicenseAssignmentState) -> LicenseAssignmentState:
        sku = None if self.directory.plan_text else self.directory.sku(row.sku_id)
        return replace(row, disabled_plans=row.disabled_plans & sku.plan_ids) if sku else row

    def _plans_on(self, rows: Iterable[LicenseAssignmentState]) -> Plans:
        on: Plans = NO_PLANS
        for row in rows:
            sku = self.directory.sku(row.sku_id)
            if sku is not None and row.state.counts:
                on |= sku.plan_ids - row.disabled_plans
        return on


def _check_size(users: Mapping[UserId, object]) -> None:
    if len(users) > BATCH_LIMIT:
        raise ValueError(f"{len(users)} users in one call, at most {BATCH_LIMIT}")


def _next(troubles: deque[_Trouble]) -> _Trouble | None:
    return troubles.popleft() if troubles else None


def _not_found(user_id: UserId) -> Rejected:
    text = f"Resource '{user_id}' does not exist or one of its queried reference-property objects are not present."
    return Rejected(404, "Request_ResourceNotFound", text)


def _direct(user: DirectoryUser) -> dict[SkuId, Plans]:
    return {sku_id: row.disabled_plans for sku_id, row in user.direct.items()}


def _fault_of(call: LicenseCall, user: DirectoryUser) -> str | None:
    if not call.add and not call.remove:
        return "No license changes provided"
    for sku_id in call.remove:
        sources = [row.assigned_by_group for row in user.license_assignment_states if row.sku_id == sku_id]
        if not sources:
            return "User does not have a corresponding license."
        if None not in sources:
            return "User license is inherited from a group membership and it cannot be removed directly from the user."
    return None


def _rows_after(user: DirectoryUser, call: LicenseCall, now: datetime) -> tuple[LicenseAssignmentState, ...]:
    touched = {license_.sku_id for license_ in call.add} | set(call.remove)
    kept = [
        row for row in user.license_assignment_states if row.assigned_by_group is not None or row.sku_id not in touched
    ]
    added = [
        LicenseAssignmentState(license_.sku_id, license_.disabled_plans, None, LicenseState.ACTIVE, None, now)
        for license_ in call.add
    ]
    return (*kept, *added)
