"""The objects of the directory, compact enough for 200,000 users in one process.

Everything that a write can change about a user's licenses is an immutable value (`rows`). A version of it can be kept
for stale reads and for the write log without copying.
"""

from __future__ import annotations

from typing import NamedTuple

ACTIVE = frozenset({"Active", "ActiveWithError"})
"""States of a licenseAssignmentStates row in which the license is held and takes a unit."""


class LicenseRow(NamedTuple):
    """One row of licenseAssignmentStates: a SKU from one source (`group` None = direct)."""

    sku_id: str
    disabled: tuple[str, ...]
    group: str | None
    state: str
    error: str
    updated: float


class AssignedLicense(NamedTuple):
    """A SKU with the plans that are off."""

    sku_id: str
    disabled: tuple[str, ...]


class DirectoryObject:
    """What every object has: an id, a name, and the groups it lies in directly."""

    __slots__ = ("deleted", "display_name", "id", "parents")
    odata_type = "#microsoft.graph.directoryObject"

    def __init__(self, object_id: str, display_name: str) -> None:
        self.id = object_id
        self.display_name = display_name
        self.parents: tuple[str, ...] = ()
        self.deleted: float | None = None


class User(DirectoryObject):
    """A person, with all licenses from all sources."""

    __slots__ = (
        "account_enabled",
        "aliases",
        "created",
        "department",
        "employee_id",
        "job_title",
        "location_changed",
        "proxy_clash",
        "rows",
        "usage_location",
        "user_principal_name",
        "user_type",
    )
    odata_type = "#microsoft.graph.user"

    def __init__(self, object_id: str, display_name: str, user_principal_name: str, created: float) -> None:
        super().__init__(object_id, display_name)
        self.user_principal_name = user_principal_name
        self.usage_location: str | None = None
        self.account_enabled = True
        self.user_type = "Member"
        self.rows: tuple[LicenseRow, ...] = ()
        self.created = created
        self.employee_id: str | None = None
        self.department: str | None = None
        self.job_title: str | None = None
        self.location_changed = 0.0
        self.proxy_clash = False
        self.aliases: tuple[str, ...] = ()
        """E-mail addresses beside the userPrincipalName."""

    def state(self) -> UserState:
        """The changeable part as a value, for stale reads."""
        return UserState(self.usage_location, self.account_enabled, self.rows, self.deleted)


class UserState(NamedTuple):
    """What can change about a user, at one moment."""

    usage_location: str | None
    account_enabled: bool
    rows: tuple[LicenseRow, ...]
    deleted: float | None


class Group(DirectoryObject):
    """A group; `member_ids` is kept sorted, which is also the order of paging."""

    __slots__ = (
        "changed_licenses",
        "created",
        "group_types",
        "licenses",
        "member_ids",
        "on_premises",
        "owner_ids",
        "processing_state",
        "purged",
        "role_assignable",
        "rule",
        "security_enabled",
        "visibility",
    )
    odata_type = "#microsoft.graph.group"

    def __init__(self, object_id: str, display_name: str, created: float) -> None:
        super().__init__(object_id, display_name)
        self.member_ids: list[str] = []
        self.owner_ids: tuple[str, ...] = ()
        self.security_enabled = True
        self.group_types: tuple[str, ...] = ()
        self.licenses: tuple[AssignedLicense, ...] = ()
        self.changed_licenses: tuple[tuple[AssignedLicense, ...], float] = ((), 0.0)
        """The licenses before the last change, and until when reads show them."""
        self.processing_state: str | None = None
        self.visibility: str | None = None
        self.role_assignable = False
        self.on_premises = False
        self.rule: str | None = None
        self.created = created
        self.purged = False

    def licenses_seen(self, now: float) -> tuple[AssignedLicense, ...]:
        """The licenses as reads show them."""
        before, until = self.changed_licenses
        return before if now < until else self.licenses


class Device(DirectoryObject):
    """A device; a member of groups, never licensed."""

    __slots__ = ()
    odata_type = "#microsoft.graph.device"


class ServicePrincipal(DirectoryObject):
    """An application's identity; v1.0 leaves it out of `members`."""

    __slots__ = ()
    odata_type = "#microsoft.graph.servicePrincipal"


class Subscription:
    """A SKU the tenant owns, with its units."""

    __slots__ = (
        "applies_to",
        "capability_status",
        "consumed",
        "enabled",
        "locked_out",
        "sku_id",
        "suspended",
        "warning",
    )

    def __init__(self, sku_id: str, enabled: int, *, warning: int = 0, suspended: int = 0, locked_out: int = 0) -> None:
        self.sku_id = sku_id
        self.enabled = enabled
        self.warning = warning
        self.suspended = suspended
        self.locked_out = locked_out
        self.consumed = 0
        self.applies_to = "User"
        self.capability_status = "Enabled" if enabled else "Warning" if warning else "Suspended"

    @property
    def available(self) -> int:
        """Units that can still be handed out: enabled + warning - consumed; suspended and locked-out never count."""
        return self.enabled + self.warning - self.consumed


def assigned_skus(rows: tuple[LicenseRow, ...]) -> set[str]:
    """SKUs that take a unit: held from at least one source."""
    return {row.sku_id for row in rows if row.state in ACTIVE}


def direct_licenses(rows: tuple[LicenseRow, ...]) -> dict[str, tuple[str, ...]]:
    """SKU -> disabledPlans of the direct licenses."""
    return {row.sku_id: row.disabled for row in rows if row.group is None}


def net_licenses(rows: tuple[LicenseRow, ...]) -> list[AssignedLicense]:
    """`assignedLicenses`: the union over all sources; a plan is off only where every source has it off.

    learn.microsoft.com/graph/api/resources/assignedlicense
    """
    net: dict[str, tuple[str, ...]] = {}
    for row in rows:
        if row.state not in ACTIVE:
            continue
        before = net.get(row.sku_id)
        if before is None:
            net[row.sku_id] = row.disabled
        else:
            net[row.sku_id] = tuple(plan for plan in before if plan in row.disabled)
    return [AssignedLicense(sku_id, disabled) for sku_id, disabled in net.items()]
