"""Views of the license center beyond single operations and groups: products with the groups that use them, managed
groups, searches, people, the audit log."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from shared.domain.assignment import GroupLicenseAssignment, is_active, is_watched
from shared.domain.directory import DirectoryGroup, DirectoryUser, FoundUser, SubscribedSku
from shared.domain.errors import BadRequest, NotFound, PermissionDenied, Unavailable
from shared.domain.group_status import GroupState, GroupStatus
from shared.domain.ids import GroupId, SkuId, UserId
from shared.domain.member_counts import ProductCounts
from shared.domain.named_users import NAMED
from shared.domain.open_items import OpenItems
from shared.domain.read_models import AuditEntry, AuditFilter, MemberRow
from shared.handlers.views import queries
from shared.handlers.views.needs import Needs
from shared.handlers.views.person_apps import App, NamedPlan, apps_of, plans_named
from shared.handlers.views.queries import UserLicense

SEATS_MAX_AGE_S = 5.0
"""How old seat counts on the page may be."""

MAX_SEARCH = 120
"""Characters of a name to search for."""

AUDIT_DAYS = 31
"""Days that a search of the audit log goes back where nothing else is asked."""

HISTORY, HISTORY_DAYS = 50, 7
"""Entries of a user's history that are shown beside the licenses, and of how many days; a search finds all."""

MAX_AUDIT_DAYS = 400
"""Days of one search: a year and a month, each month a table."""


@dataclass(frozen=True, slots=True)
class ProductView:
    """A product with its licenses, the groups that assign it, and their members together with users who are licensed by
    name. A waiting user counts once, and a user with an error in each group."""

    sku: SubscribedSku
    groups: tuple[GroupLicenseAssignment, ...]
    counts: ProductCounts

    @property
    def short_by(self) -> int:
        """How many licenses must be bought so that no user waits."""
        total = self.sku.enabled + self.sku.warning
        return max(0, self.sku.consumed_units + self.counts.waiting - total)


@dataclass(frozen=True, slots=True)
class ManagedGroup:
    """A group that gives licenses, and its status; in progress until its first operation has ended."""

    assignment: GroupLicenseAssignment
    status: GroupStatus


@dataclass(frozen=True, slots=True)
class FoundGroup:
    """A group of the directory. `hindrance`: why it cannot be managed, empty where it can."""

    group: DirectoryGroup
    hindrance: str
    managed: bool


@dataclass(frozen=True, slots=True)
class Person:
    """A user with every license and app, and the state in each managed group. `named`: by group and position, the
    plans that each problem names. `approvals`: open approvals of the groups."""

    user: DirectoryUser
    licenses: tuple[UserLicense, ...]
    rows: tuple[MemberRow, ...]
    names: Mapping[GroupId, str]
    apps: tuple[App, ...] = ()
    named: Mapping[GroupId, tuple[tuple[NamedPlan, ...], ...]] = field(default_factory=dict)
    approvals: Mapping[GroupId, str] = field(default_factory=dict)


async def products(world: Needs) -> tuple[ProductView, ...]:
    """The tenant's products for users, those in use by groups first, then by name. Groups of Microsoft's own licensing
    count too."""
    skus = await world.directory.subscribed_skus(SEATS_MAX_AGE_S)
    statuses = {status.group_id: status for status in await world.stores.group_status.all()}
    active = [each for each in await world.stores.assignments.all() if is_active(each) or is_watched(each)]
    groups: dict[SkuId, list[GroupLicenseAssignment]] = defaultdict(list)
    counts: dict[SkuId, ProductCounts] = defaultdict(ProductCounts)
    for assignment in active:
        for sku_id in assignment.sku_ids:
            groups[sku_id].append(assignment)
            if assignment.group_id in statuses:
                counts[sku_id] += statuses[assignment.group_id].of_product(sku_id)
    named = await world.stores.member_counts.counts(NAMED)
    for sku_id in named.products if named else ():
        counts[sku_id] += named.products[sku_id] if named else ProductCounts()
    waiting = (await open_items(world)).waiting
    views = [
        ProductView(
            sku,
            tuple(groups[sku.sku_id]),
            replace(counts[sku.sku_id], waiting=waiting.get(sku.sku_id, 0)),
        )
        for sku in skus
        if sku.applies_to == "User"
    ]
    return tuple(sorted(views, key=lambda view: (-len(view.groups), view.sku.sku_part_number)))


async def open_items(world: Needs) -> OpenItems:
    """What needs a person, as it was counted last."""
    return await world.stores.open_items.get() or OpenItems()


async def managed_groups(world: Needs) -> tuple[ManagedGroup, ...]:
    """All groups that give licenses or still owe the end of some, by name."""
    statuses = {status.group_id: status for status in await world.stores.group_status.all()}
    found = [
        ManagedGroup(each, statuses.get(each.group_id) or GroupStatus(each.group_id, GroupState.IN_PROGRESS))
        for each in await world.stores.assignments.all()
        if each.version > 0 or is_watched(each)
    ]
    return tuple(sorted(found, key=lambda each: (each.assignment.display_name.casefold(), each.assignment.group_id)))


async def has_only_watched_groups(world: Needs) -> bool:
    """Whether Microsoft's licensing licenses groups, and this app none."""
    known = await world.stores.assignments.all()
    return any(is_watched(each) for each in known) and not any(is_active(each) for each in known)


async def find_groups(world: Needs, text: str) -> tuple[FoundGroup, ...]:
    """Groups by words of their name or by their ID, and what they may be used for."""
    managed = {each.group_id for each in await world.stores.assignments.all() if is_active(each)}
    found = await world.directory.find_groups(text.strip()[:MAX_SEARCH])
    return tuple(FoundGroup(group, hindrance(group), group.id in managed) for group in found)


def hindrance(group: DirectoryGroup) -> str:
    """Why licenses cannot be given to a group's members here; empty where they can."""
    if group.hidden_membership:
        return "Its members are hidden: the app needs Member.Read.Hidden to see them."
    if not group.security_enabled:
        return "It is not a security group."
    return ""


async def find_users(world: Needs, text: str) -> tuple[FoundUser, ...]:
    """Users by words of their name, surname, sign-in name, mail, employee ID or object ID."""
    return await world.directory.find_users(text.strip()[:MAX_SEARCH])


async def person(world: Needs, user_id: UserId) -> Person:
    """One user. Raises NotFound, Unavailable."""
    read = await queries.directory_user(world, user_id, with_groups=True)
    stored, granted, assignments, left, skus = await asyncio.gather(
        world.stores.ledger.rows([user_id]),
        world.stores.grants.of_users([user_id]),
        world.stores.assignments.all(),
        world.stores.members.groups_left(user_id),
        world.directory.subscribed_skus(queries.NAMES_MAX_AGE_S),
    )
    row = stored[user_id]
    licenses = queries.licenses_of(read, row, granted.get(user_id, ()))
    known = {each.group_id: each for each in assignments}
    rows = await world.stores.members.of_user(user_id, [*sorted(known.keys() & (read.group_ids | left)), NAMED])
    rejected = {sku_id: record.plans for sku_id, record in row.rejections.items()}
    return Person(
        read,
        licenses,
        rows,
        {group_id: each.display_name for group_id, each in known.items()},
        apps_of(licenses, skus),
        {row.group_id: tuple(plans_named(each, licenses, skus, rejected) for each in row.problems) for row in rows},
        {group_id: each.open_approval for group_id, each in known.items() if each.open_approval},
    )


async def named_with_errors(world: Needs, top: int = 50) -> tuple[MemberRow, ...]:
    """Users who are licensed by name and in error or waiting; the first ones if they are very many."""
    return (await world.stores.members.errors(NAMED, top))[0]


async def names_of(world: Needs, user_ids: Sequence[UserId]) -> dict[UserId, str]:
    """Names of users as the directory has them; none while it is away, since the ids are still right."""
    if not user_ids:
        return {}
    try:
        found = await world.directory.users_found(user_ids)
    except (Unavailable, PermissionDenied):
        return {}
    return {user_id: user.display_name for user_id, user in found.items()}


async def named(world: Needs, names: dict[GroupId, str], group_id: GroupId | None) -> dict[GroupId, str]:
    """The names with that of one more group, where the directory has it."""
    if group_id is not None and group_id not in names:
        with suppress(NotFound, Unavailable):
            return {**names, group_id: (await world.directory.group(group_id)).display_name}
    return names


async def names_of_groups(world: Needs, group_ids: Iterable[GroupId]) -> dict[GroupId, str]:
    """Names of groups, without those that the directory does not have or cannot return now."""
    wanted = sorted(set(group_ids))
    found = await asyncio.gather(*(named(world, {}, each) for each in wanted))
    return {group_id: name for names in found for group_id, name in names.items()}


async def history(world: Needs, user_id: UserId) -> tuple[AuditEntry, ...]:
    """Audit entries of a user in the last week, newest first, at most HISTORY entries."""
    since = world.clock.now() - timedelta(days=HISTORY_DAYS)
    entries, _ = await audit(world, AuditFilter(user_id=user_id), HISTORY, since=since)
    return entries


async def audit(
    world: Needs,
    wanted: AuditFilter,
    top: int,
    *,
    after: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> tuple[tuple[AuditEntry, ...], str | None]:
    """A page of the entries that pass, newest first, and what to go on after. Without `since`, of 31 days.

    Raises BadRequest for a time that is empty or longer than a search may be.
    """
    last = until or world.clock.now()
    first = since or last - timedelta(days=AUDIT_DAYS)
    if not timedelta(0) <= last - first <= timedelta(days=MAX_AUDIT_DAYS):
        asked = f"from {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M}"
        raise BadRequest("InvalidRequest", f"The time {asked} must be 0 to {MAX_AUDIT_DAYS} days long.", "since")
    return await world.stores.audit.search(wanted, first, last, top, after)
