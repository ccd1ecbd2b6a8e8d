"""Which application permission each operation needs, and the declared clients with what they are granted.

From the permission tables of each operation's page on learn.microsoft.com/graph/api. A rule is a tuple of
alternatives; an alternative is the set of permissions that must all be there.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field

Alternatives = tuple[frozenset[str], ...]

READ_DIRECTORY = ("Directory.Read.All", "Directory.ReadWrite.All")


def any_of(*names: str) -> Alternatives:
    """One of these is enough."""
    return tuple(frozenset({name}) for name in names)


SEE_USERS = frozenset({"User.Read.All", "User.ReadWrite.All", *READ_DIRECTORY})
"""Any of these lets all properties of users be seen; without one, members are an id and nulls."""

READ_GROUPS = frozenset(
    {"GroupMember.Read.All", "GroupMember.ReadWrite.All", "Group.Read.All", "Group.ReadWrite.All", *READ_DIRECTORY}
)

USERS_READ = any_of("User.ReadBasic.All", *sorted(SEE_USERS))
GROUPS_READ = any_of("Group.ReadBasic.All", *sorted(READ_GROUPS))
MEMBERS_READ = any_of("GroupMember.ReadBasic.All", *sorted(READ_GROUPS))
SUBSCRIBE = any_of("Group.Read.All")
"""Subscriptions on groups; a permission to write does not include it (graph/api/subscription-post-subscriptions)."""
HIDDEN_MEMBERS = "Member.Read.Hidden"
SKUS_READ = any_of(
    "LicenseAssignment.Read.All", "Organization.Read.All",
    "Organization.ReadWrite.All", *READ_DIRECTORY,
)  # fmt: skip
LICENSE_DETAILS = (*SKUS_READ, *any_of("User.Read.All", "User.ReadWrite.All"))
ASSIGN_USER = any_of("LicenseAssignment.ReadWrite.All", "User.ReadWrite.All", "Directory.ReadWrite.All")
ASSIGN_GROUP = any_of("LicenseAssignment.ReadWrite.All", "Group.ReadWrite.All", "Directory.ReadWrite.All")
REPROCESS = any_of("User.ReadWrite.All", "Directory.ReadWrite.All")
GROUPS_DELETE = any_of("Group.ReadWrite.All", "Directory.ReadWrite.All")
MEMBERS_WRITE = any_of("GroupMember.ReadWrite.All", "Group.ReadWrite.All", "Directory.ReadWrite.All")
ROLE_GROUPS_WRITE = "RoleManagement.ReadWrite.Directory"
ROLES_READ = any_of("RoleManagement.Read.Directory", "RoleManagement.ReadWrite.Directory")
"""rbacapplication-list-roledefinitions and -list-roleassignments, application permissions."""
ELIGIBILITY_READ = (
    *ROLES_READ,
    *any_of("RoleEligibilitySchedule.Read.Directory", "RoleEligibilitySchedule.ReadWrite.Directory"),
)
GROUP_ELIGIBILITY_READ = any_of(
    "PrivilegedEligibilitySchedule.Read.AzureADGroup", "PrivilegedEligibilitySchedule.ReadWrite.AzureADGroup"
)
"""privilegedaccessgroup-list-eligibilityscheduleinstances, application permissions."""
UNITS_READ = any_of("AdministrativeUnit.Read.All", "AdministrativeUnit.ReadWrite.All", *READ_DIRECTORY)
ORGANIZATION_READ = any_of("Organization.Read.All", "Organization.ReadWrite.All", "User.Read.All", *READ_DIRECTORY)
ORGANIZATION_WHOLE = frozenset({"Organization.Read.All", "Organization.ReadWrite.All", *READ_DIRECTORY})
"""The permission that the page of organization names; permission metadata also lists User.Read.All (switch
`organizationRead`).
"""
MEMBER_OF = any_of(*sorted(SEE_USERS | READ_GROUPS))
MEMBER_GROUPS: Alternatives = (
    *any_of(*READ_DIRECTORY),
    *(
        frozenset({user, group})
        for user in ("User.ReadBasic.All", "User.Read.All", "User.ReadWrite.All")
        for group in sorted(READ_GROUPS - set(READ_DIRECTORY))
    ),
)
DIRECTORY_OBJECTS = (*USERS_READ, *GROUPS_READ)
"""getByIds: the page names Directory.Read.All; with less, if a tenant allows it (switch `byIdsPermission`), objects one
may not read come as id and type only."""


USERS_DELTA = any_of(*sorted(SEE_USERS))
OWNERS_READ = any_of("Group.ReadBasic.All", *sorted(READ_GROUPS))
"""group-list-owners; GroupMember.Read.All is enough."""
OBJECT_READ = any_of(*READ_DIRECTORY)
"""directoryobject-get."""
DELETED_READ = any_of(*sorted(SEE_USERS | READ_GROUPS))
"""directory-deleteditems-list: that of the type; the handler judges which."""
DELETED_RESTORE = any_of(
    "User.DeleteRestore.All", "User.ReadWrite.All", "Group.ReadWrite.All", "Directory.ReadWrite.All"
)
APPLICATIONS_READ = any_of("Application.Read.All", "Application.ReadWrite.All", *READ_DIRECTORY)
"""serviceprincipal-list, serviceprincipal-list-approleassignments."""


def allowed(granted: frozenset[str], needed: Alternatives) -> bool:
    """Whether the grants satisfy one of the alternatives."""
    return any(alternative <= granted for alternative in needed)


@dataclass(slots=True)
class Client:
    """An application known to the tenant, by a name for tests and a fixed appId."""

    name: str
    graph: frozenset[str]
    api: tuple[str, ...] = ()
    app_id: str = field(init=False)

    def __post_init__(self) -> None:
        self.app_id = str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{self.name}.tenant.example"))


_LICENSING = frozenset({
    "LicenseAssignment.ReadWrite.All", "LicenseAssignment.Read.All", "Organization.Read.All", "Group.Read.All",
    "GroupMember.ReadWrite.All", "User.Read.All", "User.ReadWrite.All",
})  # fmt: skip

_PRODUCT = frozenset({
    "LicenseAssignment.ReadWrite.All", "LicenseAssignment.Read.All", "User.Read.All", "Group.Read.All",
    "User.ReadWrite.All", "Member.Read.Hidden", "RoleManagement.Read.Directory",
    "PrivilegedEligibilitySchedule.Read.AzureADGroup", "AdministrativeUnit.Read.All", "GroupMember.ReadWrite.All",
})  # fmt: skip
"""The permissions that a deployment grants to the app's identity with all features, and no others; a test compares
this with the script that grants."""

_ADMINISTRATOR = frozenset({
    *_LICENSING, "Group.ReadWrite.All", "Directory.ReadWrite.All", "Member.Read.Hidden",
    "RoleManagement.ReadWrite.Directory",
})  # fmt: skip


def declared_clients() -> dict[str, Client]:
    """The clients of a new tenant by name: the product's identity, a person, other apps, bench competitors."""
    clients = (
        Client("product", _PRODUCT),
        Client("administrator", _ADMINISTRATOR, ("Licensing.ReadWrite", "Onboarding.Write")),
        Client("other", _LICENSING),
        Client("loop", _LICENSING),
        Client("script", _LICENSING),
        Client("outside", frozenset(), ("Licensing.ReadWrite",)),
        Client("reader", frozenset({"User.Read.All", "Group.Read.All"}), ("Licensing.Read",)),
        Client("onboarding", frozenset(), ("Onboarding.Write",)),
    )
    return {client.name: client for client in clients}
