"""The directory: objects, memberships and units, and the only place that changes them.

Reads may ask for an earlier moment (`as_of`); writes act on the present. Nothing here knows HTTP.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator

from local.tenant import clock
from local.tenant.directory.catalog import Catalog
from local.tenant.directory.changes import ChangeLog, Kind, Presence
from local.tenant.directory.history import History
from local.tenant.directory.model import (
    DirectoryObject,
    Group,
    LicenseRow,
    ServicePrincipal,
    Subscription,
    User,
    UserState,
    assigned_skus,
)
from local.tenant.directory.roles import Roles


class Directory:
    """One tenant's objects."""

    def __init__(self, tenant_id: str, country: str = "DE", name: str = "Fabrikam") -> None:
        self.tenant_id = tenant_id
        self.country = country
        self.name = name
        self.domain = "fabrikam.example"
        self.catalog = Catalog()
        self.objects: dict[str, DirectoryObject] = {}
        self.users: dict[str, User] = {}
        self.groups: dict[str, Group] = {}
        self.subscriptions: dict[str, Subscription] = {}
        self.roles = Roles()
        self.administrative_units: dict[str, list[str]] = {}
        self.withdrawn: dict[str, Subscription] = {}
        self.history = History()
        self.changes = ChangeLog()
        self.license_log: list[tuple[float, str, tuple[LicenseRow, ...]]] | None = None
        self._by_upn: dict[str, User] = {}
        self._by_employee_id: dict[str, list[str]] = {}
        self._by_alias: dict[str, list[str]] = {}
        self._closures: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._flat: dict[str, list[str]] = {}
        self._sorted_users: list[str] | None = None

    def add(self, thing: DirectoryObject) -> None:
        """Put in a new object, or one that takes the place of another with the same id (memberships stay)."""
        old = self.objects.get(thing.id)
        if old is not None:
            thing.parents = old.parents
            if isinstance(old, User):
                self._units(assigned_skus(old.rows) if old.deleted is None else set(), set())
                self._by_upn.pop(old.user_principal_name.lower(), None)
        self.objects[thing.id] = thing
        if isinstance(thing, User):
            self.users[thing.id] = thing
            self.history.touch(thing.id)
            self._by_upn[thing.user_principal_name.lower()] = thing
            if thing.employee_id:
                named = self._by_employee_id.setdefault(thing.employee_id.lower(), [])
                named[:] = sorted({*named, thing.id})
            self._sorted_users = None
            self._units(set(), assigned_skus(thing.rows) if thing.deleted is None else set())
        elif isinstance(thing, Group):
            if isinstance(old, Group):
                thing.member_ids = old.member_ids
            self.groups[thing.id] = thing
            self._log(thing, _kind_of_placing(old, thing), clock.time())
        if old is not None and (old.deleted is None) != (thing.deleted is None):
            self._appearance_changed(thing, clock.time())
        self._structure_changed()

    def load_users(self, users: Iterable[User]) -> None:
        """Add many new users at once (generator). The caller must recount units afterwards."""
        for user in users:
            self.objects[user.id] = user
            self.users[user.id] = user
            self._by_upn[user.user_principal_name.lower()] = user
        self._sorted_users = None

    def find_user(self, key: str) -> User | None:
        """The user with this id or userPrincipalName, deleted ones included."""
        lowered = key.lower()
        return self.users.get(lowered) or self._by_upn.get(lowered)

    def ids_by_employee_id(self, employee_id: str) -> list[str]:
        """Ids of users that may have an employeeId, deleted ones included, in the order of paging."""
        return self._by_employee_id.get(employee_id.lower(), [])

    def give_alias(self, user: User, address: str) -> None:
        """One more e-mail address, which others can have too."""
        user.aliases = (*user.aliases, address)
        self._by_alias.setdefault(address.lower(), []).append(user.id)

    def ids_by_address(self, addresses: Iterable[str]) -> list[str]:
        """Ids of users that can have one of these e-mail addresses, deleted ones included, in the order of paging."""
        found: set[str] = set()
        for address in addresses:
            found.update(self._by_alias.get(address, ()))
            if user := self._by_upn.get(address):
                found.add(user.id)
        return sorted(found)

    def user_state(self, user: User, as_of: float | None) -> UserState:
        """The changeable part of a user now, or at an earlier moment."""
        current = user.state()
        return current if as_of is None else self.history.user_as_of(user.id, current, as_of)

    def sorted_user_ids(self) -> list[str]:
        """Ids of all users, deleted ones included, in the order of paging."""
        if self._sorted_users is None:
            self._sorted_users = sorted(self.users)
        return self._sorted_users

    def add_member(self, group: Group, member: DirectoryObject, now: float | None = None) -> bool:
        """Make `member` a direct member; False where it is one already."""
        if contains(group.member_ids, member.id):
            return False
        insort(group.member_ids, member.id)
        member.parents = (*member.parents, group.id)
        self._membership_changed(group, member, True, now)
        return True

    def remove_member(self, group: Group, member: DirectoryObject, now: float | None = None) -> bool:
        """End a direct membership; False where there is none."""
        if not contains(group.member_ids, member.id):
            return False
        del group.member_ids[bisect_left(group.member_ids, member.id)]
        member.parents = tuple(parent for parent in member.parents if parent != group.id)
        self._membership_changed(group, member, False, now)
        return True

    def load_members(self, group: Group, members: Iterable[DirectoryObject]) -> None:
        """Fill a new group in one go (generator)."""
        for member in members:
            group.member_ids.append(member.id)
            member.parents = (*member.parents, group.id)
        group.member_ids.sort()
        self._structure_changed()

    def direct_members(self, group: Group, as_of: float | None) -> list[str]:
        """Sorted ids of direct members of every kind."""
        if as_of is None:
            return group.member_ids
        return self.history.members_as_of(group.id, group.member_ids, as_of)

    def transitive_members(self, group: Group, as_of: float | None) -> list[str]:
        """Sorted ids of all members at any depth, each once; nested groups are members too."""
        if as_of is not None and self.history.changed_since(as_of):
            return self._flatten(group, as_of)
        found = self._flat.get(group.id)
        if found is None:
            found = self._flat[group.id] = self._flatten(group, None)
        return found

    def parent_groups(self, thing: DirectoryObject, as_of: float | None) -> tuple[str, ...]:
        """Ids of the groups the object is a direct member of; deleted ones are gone from here at once."""
        parents = thing.parents if as_of is None else self.history.parents_as_of(thing.id, thing.parents, as_of)
        return tuple(one for one in parents if self.groups[one].deleted is None)

    def transitive_groups(self, thing: DirectoryObject, as_of: float | None) -> tuple[str, ...]:
        """Ids of the groups the object lies in at any depth."""
        parents = self.parent_groups(thing, as_of)
        if as_of is not None and self.history.changed_since(as_of):
            return tuple(self._climb(parents, as_of))
        found = self._closures.get(parents)
        if found is None:
            found = self._closures[parents] = tuple(self._climb(parents, None))
        return found

    def set_rows(self, user: User, rows: tuple[LicenseRow, ...], now: float) -> None:
        """Replace a user's license rows and move the units accordingly."""
        self.history.user_changes(user.id, user.state(), now)
        before = assigned_skus(user.rows)
        user.rows = rows
        if self.license_log is not None:
            self.license_log.append((now, user.id, rows))
        self._units(before, assigned_skus(rows), now)

    def set_usage_location(self, user: User, place: str | None, now: float) -> None:
        """Replace the usage location."""
        self.history.user_changes(user.id, user.state(), now)
        user.usage_location = place
        user.location_changed = now

    def delete_user(self, user: User, now: float) -> None:
        """Into the recycle bin: licenses go along, their units are free again."""
        if user.deleted is None:
            self.history.user_changes(user.id, user.state(), now)
            user.deleted = now
            self._units(assigned_skus(user.rows), set(), now)
            self._appearance_changed(user, now)

    def restore_user(self, user: User, now: float) -> None:
        """Out of the recycle bin with licenses and memberships (learn.microsoft.com/graph/api/user-delete)."""
        if user.deleted is not None:
            self.history.user_changes(user.id, user.state(), now)
            user.deleted = None
            self._units(set(), assigned_skus(user.rows), now)
            self._appearance_changed(user, now)

    def delete_group(self, group: Group, now: float, *, for_good: bool = False) -> bool:
        """Into the recycle bin, or out of it for good; False where it lies there already, or is gone."""
        if group.purged or (group.deleted is not None and not for_good):
            return False
        was_there = group.deleted is None
        group.deleted, group.purged = now, for_good
        self._log(group, Kind.PURGED if for_good else Kind.DELETED, now)
        if was_there:
            self._appearance_changed(group, now)
        self._structure_changed()
        return True

    def restore_group(self, group: Group, now: float) -> bool:
        """Out of the recycle bin with its members; False where it is not there."""
        if group.deleted is None or group.purged:
            return False
        group.deleted = None
        self._log(group, Kind.RESTORED, now)
        self._appearance_changed(group, now)
        self._structure_changed()
        return True

    def presence(self, group: Group, when: int) -> Presence:
        """Whether the group is there at a position of the change log."""
        current = Presence.THERE
        if group.deleted is not None:
            current = Presence.DELETED if group.purged else Presence.CHANGED
        return self.changes.presence(group.id, current, when)

    def members_at(self, group: Group, when: int) -> list[str]:
        """Sorted ids of direct members that are not deleted themselves, at a position of the change log."""
        alive = [one for one in group.member_ids if self.objects[one].deleted is None]
        return self.changes.members(group.id, alive, when)

    def withdraw(self, sku_id: str, now: float, *, keep_assignments: bool) -> None:
        """The tenant does not have this product any more; ValueError if it never had.

        Users lose the license with it, unless `keep_assignments`: no page says how long it stays visible on them.
        """
        if sku_id not in self.subscriptions:
            raise ValueError(f"SKU {sku_id} is not a product of the tenant")
        if not keep_assignments:
            for user in self.users.values():
                rest = tuple(row for row in user.rows if row.sku_id != sku_id)
                if len(rest) != len(user.rows):
                    self.set_rows(user, rest, now)
        self.withdrawn[sku_id] = self.subscriptions.pop(sku_id)

    def readmit(self, sku_id: str) -> None:
        """The tenant has a withdrawn product again, with the units it had; ValueError if it is not withdrawn."""
        if sku_id not in self.withdrawn:
            raise ValueError(f"SKU {sku_id} was not withdrawn from the tenant")
        self.subscriptions[sku_id] = self.withdrawn.pop(sku_id)
        self.recount_units()

    def consumed_units(self, subscription: Subscription, as_of: float | None) -> int:
        """consumedUnits now, or at an earlier moment."""
        if as_of is None:
            return subscription.consumed
        return self.history.consumed_as_of(subscription.sku_id, subscription.consumed, as_of)

    def recount_units(self) -> None:
        """Count consumed units again from all users (after the generator wrote rows directly)."""
        for subscription in self.subscriptions.values():
            subscription.consumed = 0
        for user in self.users.values():
            if user.rows and user.deleted is None:
                self._units(set(), assigned_skus(user.rows))

    def _units(self, before: set[str], after: set[str], now: float | None = None) -> None:
        for sku_id in before - after:
            self._unit(sku_id, -1, now)
        for sku_id in after - before:
            self._unit(sku_id, 1, now)

    def _unit(self, sku_id: str, delta: int, now: float | None) -> None:
        subscription = self.subscriptions.get(sku_id)
        if subscription is not None:
            subscription.consumed += delta
            if now is not None:
                self.history.units_change(sku_id, delta, now)

    def _membership_changed(self, group: Group, member: DirectoryObject, added: bool, now: float | None) -> None:
        now = clock.time() if now is None else now
        self.history.membership_changes(group.id, member.id, added, now)
        if member.deleted is None:
            self._log(group, Kind.JOINED if added else Kind.LEFT, now, member.id)
        self._flat.clear()
        if isinstance(member, Group):
            self._closures.clear()

    def _appearance_changed(self, member: DirectoryObject, now: float) -> None:
        """A deleted object leaves the members of its groups and comes back restored, its membership being kept.

        Deleting a user is no change of the group: whether Graph notifies of it is not documented, so nothing is sent.
        """
        kind = Kind.JOINED if member.deleted is None else Kind.LEFT
        for parent in member.parents:
            self._log(self.groups[parent], kind, now, member.id, observed=False)

    def _log(self, group: Group, kind: Kind, now: float, member_id: str = "", *, observed: bool = True) -> None:
        settled = self.history.horizon <= 0
        self.changes.append(group.id, kind, now, member_id=member_id, settled=settled, observed=observed)

    def _structure_changed(self) -> None:
        self._flat.clear()
        self._closures.clear()

    def _flatten(self, group: Group, as_of: float | None) -> list[str]:
        """Members at any depth; what lies below a deleted group is not reached through it."""
        found: set[str] = set()
        open_groups = [group]
        while open_groups:
            for member_id in self.direct_members(open_groups.pop(), as_of):
                if member_id not in found:
                    found.add(member_id)
                    nested = self.groups.get(member_id)
                    if nested is not None and nested.deleted is None:
                        open_groups.append(nested)
        found.discard(group.id)
        return sorted(found)

    def _climb(self, parents: tuple[str, ...], as_of: float | None) -> Iterator[str]:
        seen = set(parents)
        queue = list(parents)
        while queue:
            group_id = queue.pop(0)
            yield group_id
            for parent in self.parent_groups(self.groups[group_id], as_of):
                if parent not in seen:
                    seen.add(parent)
                    queue.append(parent)


def _kind_of_placing(old: DirectoryObject | None, group: Group) -> Kind:
    if old is None or (old.deleted is None) == (group.deleted is None):
        return Kind.CREATED if old is None else Kind.UPDATED
    return Kind.DELETED if old.deleted is None else Kind.RESTORED


def contains(sorted_ids: list[str], wanted: str) -> bool:
    """Whether a sorted list has this id."""
    place = bisect_left(sorted_ids, wanted)
    return place < len(sorted_ids) and sorted_ids[place] == wanted


def shown_in_members(thing: DirectoryObject) -> bool:
    """Whether `members` in v1.0 lists this object: service principals are left out, as documented."""
    return not isinstance(thing, ServicePrincipal)
