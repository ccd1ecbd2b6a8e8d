"""Graph's application permissions that the app uses, and how those in its token compare with them.

`PERMISSIONS` repeats infra/scripts/permissions.tsv, which the script that grants them reads; a test compares the two.
A managed identity's token is kept for about a day, and a restart does not renew it
(learn.microsoft.com/entra/identity/managed-identities-azure-resources/managed-identity-best-practice-recommendations).
So a permission that was just granted can be missing here until the token expires.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Feature(StrEnum):
    """Features with permissions of their own, as `--with FEATURE` of the script names them."""

    ALWAYS = "always"
    USAGE_LOCATION = "usage-location"
    HIDDEN_GROUPS = "hidden-groups"
    PROTECTED_PEOPLE = "protected-people"
    ADMINISTRATIVE_UNITS = "administrative-units"
    ONBOARDING = "onboarding"


OPTIONAL = frozenset({Feature.USAGE_LOCATION, Feature.HIDDEN_GROUPS})
"""Features without a setting: nothing shows whether the tenant needs them, so their permissions are never missing and
never excess."""

PERMISSIONS: tuple[tuple[Feature, str], ...] = (
    (Feature.ALWAYS, "LicenseAssignment.ReadWrite.All"),
    (Feature.ALWAYS, "LicenseAssignment.Read.All"),
    (Feature.ALWAYS, "User.Read.All"),
    (Feature.ALWAYS, "Group.Read.All"),
    (Feature.USAGE_LOCATION, "User.ReadWrite.All"),
    (Feature.HIDDEN_GROUPS, "Member.Read.Hidden"),
    (Feature.PROTECTED_PEOPLE, "RoleManagement.Read.Directory"),
    (Feature.PROTECTED_PEOPLE, "PrivilegedEligibilitySchedule.Read.AzureADGroup"),
    (Feature.ADMINISTRATIVE_UNITS, "AdministrativeUnit.Read.All"),
    (Feature.ONBOARDING, "GroupMember.ReadWrite.All"),
)
"""Feature and permission, in the order of the script's table."""

MEMBERSHIP_ROLE = "GroupMember.ReadWrite.All"
"""Lets the app add and remove members of groups (learn.microsoft.com/graph/api/group-post-members)."""


@dataclass(frozen=True, slots=True)
class GraphToken:
    """The token that Graph is called with. `roles`: its permissions; None if the token does not show them, as with
    some credentials of a developer's machine. `expires_at`: UTC."""

    roles: frozenset[str] | None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class MissingPermission:
    """A permission that the token lacks. `feature`: what needs it, also the word for `--with`."""

    permission: str
    feature: Feature


@dataclass(frozen=True, slots=True)
class Permissions:
    """The permissions of the token, compared with the features that are switched on. `is_known`: False while no token
    was read, or if it does not show its permissions; then the others are empty. `excess`: permissions that no feature
    needs."""

    is_known: bool
    present: tuple[str, ...] = ()
    missing: tuple[MissingPermission, ...] = ()
    excess: tuple[str, ...] = ()
    expires_at: datetime | None = None

    @property
    def is_complete(self) -> bool:
        return self.is_known and not self.missing


UNKNOWN = Permissions(is_known=False)


def compared(
    token: GraphToken | None, features: Collection[Feature], unclear: Collection[Feature] = OPTIONAL
) -> Permissions:
    """The token's permissions against those that the features need. `features`: those switched on; `ALWAYS` need not
    be among them. `unclear`: features that may use their permissions, which are then not excess."""
    if token is None or token.roles is None:
        return Permissions(is_known=False, expires_at=token.expires_at if token else None)
    needed = {Feature.ALWAYS, *features}
    missing = [
        MissingPermission(permission, feature)
        for feature, permission in PERMISSIONS
        if feature in needed and permission not in token.roles
    ]
    used = {permission for feature, permission in PERMISSIONS if feature in {*needed, *unclear}}
    return Permissions(
        is_known=True,
        present=tuple(sorted(token.roles)),
        missing=tuple(missing),
        excess=tuple(sorted(token.roles - used)),
        expires_at=token.expires_at,
    )
