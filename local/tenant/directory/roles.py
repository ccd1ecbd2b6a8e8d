"""Directory roles, and who holds them or is eligible for them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple


class RoleDefinition(NamedTuple):
    """A role; a built-in one has its template id as id (learn.microsoft.com/graph/api/resources/unifiedroledefinition).
    `privileged`: what the page "Microsoft Entra built-in roles" labels so."""

    id: str
    display_name: str
    privileged: bool
    built_in: bool = True


class RoleAssignment(NamedTuple):
    """A user, group or service principal that holds a role."""

    id: str
    principal_id: str
    role_definition_id: str


class GroupEligibility(NamedTuple):
    """A user or group that can activate membership or ownership of a group (Privileged Identity Management for Groups).
    `access_id`: `member` or `owner`."""

    id: str
    group_id: str
    principal_id: str
    access_id: str


BUILT_IN = (
    RoleDefinition("62e90394-69f5-4237-9190-012177145e10", "Global Administrator", True),
    RoleDefinition("e8611ab8-c189-46e8-94e1-60213ab1f814", "Privileged Role Administrator", True),
    RoleDefinition("fe930be7-5e62-47db-91af-98c3a49a38b1", "User Administrator", True),
    RoleDefinition("f2ef992c-3afb-46b9-b7cf-a126ee74c451", "Global Reader", True),
    RoleDefinition("4d6ac14f-3453-41d0-bef9-a3e0c569773a", "License Administrator", False),
    RoleDefinition("4a5d8f65-41da-4de4-8968-e035b65339cf", "Reports Reader", False),
)
"""Some of the roles of every tenant."""


@dataclass(slots=True)
class Roles:
    """The roles of a tenant. `active` and `eligible`: assignments of each kind. `group_eligible`: of groups."""

    definitions: list[RoleDefinition] = field(default_factory=lambda: list(BUILT_IN))
    active: list[RoleAssignment] = field(default_factory=list)
    eligible: list[RoleAssignment] = field(default_factory=list)
    group_eligible: list[GroupEligibility] = field(default_factory=list)
